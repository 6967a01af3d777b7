/**
 * netsim's netfilter held against the kernel's: the same rules, the same frames in; the same frames out, byte for byte, and the
 * same counter at every rule. With iptables-nft and, where it differs in how it gets to a rule, iptables-legacy.
 */
import { afterAll, describe, expect, it } from 'vitest'
import { parseIptablesSave, printSavedRule } from '../../src/dataplane/iptables-save.js'
import type { IptablesState } from '../../src/dataplane/iptables.js'
import { NF_ACCEPT, NF_DROP, REJECT_ICMP_CODES, REJECT_TCP_RESET } from '../../src/net/netfilter/netfilter.js'
import { decodeFrame } from '../../src/wire/frame-decode.js'
import { encodeIp } from '../../src/wire/frame.js'
import { Packet } from '../../src/wire/packet.js'
import { host, route, type Host } from '../net/netfilter/support.js'
import { Lab, type Side } from './netfilter-lab.js'
import { SCENARIOS, type Scenario } from './netfilter-scenarios.js'

describe.skipIf(process.getuid?.() !== 0)('netfilter and the real kernel', () => {
  describe.each(['iptables-nft', 'iptables-legacy'])('%s', (tool) => {
    it.each(SCENARIOS.filter((scenario) => scenario.tools === undefined || scenario.tools.includes(tool)))(
      '$name',
      async (scenario) => {
        await compare(tool, scenario)
      },
      20_000,
    )
  })
})

let lab: Lab | undefined
afterAll(() => lab?.remove())

async function compare(tool: string, scenario: Scenario): Promise<void> {
  lab = new Lab('netsim-test-')
  try {
    if (scenario.ipsets !== undefined) lab.router(['ipset', 'restore'], scenario.ipsets)
    lab.router([`${tool}-restore`], scenario.rules)
    const text = lab.router([`${tool}-save`])
    const simulated = host(text, { ipsets: scenario.ipsets === undefined ? '' : lab.router(['ipset', 'save']) })
    await lab.start()
    const arrived: Packet[] = []
    for (const [index, step] of scenario.steps.entries()) {
      if (step.waitSeconds !== undefined) simulated.world.sim.nowNs += step.waitSeconds * 1e9
      const sent = step.packet(arrived)
      arrived.push(await send(lab, simulated, step.from, sent, `step ${index}`))
    }
    const { state } = parseIptablesSave(lab.router([`${tool}-save`, '-c']), { file: 'kernel', line: 1 })
    expect(countersOfNetsim(simulated, state)).toEqual(countersOf(state))
  } finally {
    lab.remove()
    lab = undefined
  }
}

/** One packet through both; @returns netsim's row as it left the router. */
async function send(at: Lab, simulated: Host, from: Side, packet: Packet, step: string): Promise<Packet> {
  const got = await at.send(from, encodeIp(packet))
  const { verdict, to } = route(simulated, packet, `r${from}`)
  if (verdict === NF_ACCEPT && to !== undefined) {
    const end: Side = to === 'ra' ? 'a' : 'b'
    expect(got[end].map(hex), `${step}: what left`).toEqual([hex(encodeIp(packet))])
  } else if (verdict === NF_DROP && packet.rejectWith !== 0) {
    expect(got[from].length, `${step}: an answer to what was rejected`).toBe(1)
    const answer = new Packet()
    expect(decodeFrame(got[from][0], { link: 'none' }, answer)).toBe('ok')
    if (packet.rejectWith === REJECT_TCP_RESET) expect([answer.proto, answer.tcpFlags & 4], step).toEqual([6, 4])
    else expect([answer.proto, answer.sport, answer.dport], step).toEqual([1, 3, REJECT_ICMP_CODES[packet.rejectWith]])
  } else if (verdict === NF_DROP) {
    expect([...got.a, ...got.b].map(hex), `${step}: dropped`).toEqual([])
  }
  return packet
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

/** A line for every rule's packets and bytes, and for the policies of the chains that only forwarded packets see. */
function countersOf(state: IptablesState): string[] {
  return state.tables.flatMap(({ name, chains }) =>
    chains.flatMap((chain) => [
      ...(['PREROUTING', 'FORWARD', 'INPUT'].includes(chain.name) ? [`${name} ${chain.name} policy ${chain.packets ?? 0}:${chain.bytes ?? 0}`] : []),
      ...chain.rules.map((rule) => `${name} ${rule.packets ?? 0}:${rule.bytes ?? 0} ${printSavedRule(chain.name, rule)}`),
    ]),
  )
}

const TABLES = ['raw', 'mangle', 'nat', 'filter', 'security']

function countersOfNetsim(simulated: Host, state: IptablesState): string[] {
  const { netfilter } = simulated
  return countersOf({
    tables: state.tables.map((table) => ({
      ...table,
      chains: table.chains.map((chain) => {
        const index = netfilter.chainIndex(TABLES.indexOf(table.name), chain.name)
        const policy = netfilter.counters(index, -1)
        return {
          ...chain,
          packets: policy.packets,
          bytes: policy.bytes,
          rules: chain.rules.map((rule, number) => ({ ...rule, ...netfilter.counters(index, number) })),
        }
      }),
    })),
  })
}
