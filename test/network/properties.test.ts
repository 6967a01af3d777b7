/** What must hold of every trace, whatever is asked of whatever cluster: ends, frames, bytes, replies; with random firewalls on the hosts. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { FrameDocument, TraceDocument } from '../../src/analysis/trace-document.js'
import { formatIp } from '../../src/base/ip.js'
import { ETHERTYPE_IPV4, Packet, PROTO_ICMP } from '../../src/wire/packet.js'
import { DISPOSITIONS } from '../../src/net/disposition.js'
import type { Network } from '../../src/network/network.js'
import { decodeFrame } from '../../src/wire/frame-decode.js'
import { encodeFrame } from '../../src/wire/frame.js'
import { flannelCluster, type Backend, type ClusterWords, type HostWords } from '../kit/flannel-cluster.js'
import { bytesOf, isFragmentFrame, isSoundFrame } from '../kit/frame-view.js'
import { answer, networkOf, type Answered, type Ask } from '../kit/network.js'

const RUNS = 60

const oneOf = <Value>(...values: readonly Value[]): fc.Arbitrary<Value> => fc.constantFrom(...values)

const backends = oneOf<Backend>('udp', 'vxlan', 'host-gw')

/** Sound commands only: what a command may not say is the parser's business. */
const address = oneOf('10.1.0.0/16', '10.1.15.0/24', '10.1.15.2/32', '10.1.20.3/32', '192.168.0.200/32', '0.0.0.0/0')
const ends = fc.record({ source: fc.option(address), destination: fc.option(address), not: fc.boolean() })
const matches = fc
  .tuple(
    ends,
    oneOf(
      '',
      '-p tcp --dport 9000',
      '-p udp --dport 9000',
      '-p udp --dport 8472',
      '-p icmp',
      '-m conntrack --ctstate NEW',
      '-m conntrack --ctstate RELATED,ESTABLISHED',
    ),
  )
  .map(([{ source, destination, not }, more]) =>
    [source === null ? '' : `${not ? '! ' : ''}-s ${source}`, destination === null ? '' : `-d ${destination}`, more].filter((part) => part !== '').join(' '),
  )

const filterRule = fc
  .tuple(
    oneOf('INPUT', 'FORWARD', 'OUTPUT'),
    oneOf('-A', '-I'),
    matches,
    oneOf('ACCEPT', 'DROP', 'RETURN', 'REJECT', 'REJECT --reject-with icmp-host-prohibited'),
  )
  .map(([chain, how, match, target]) => `-t filter ${how} ${chain} ${match} -j ${target}`)
const resetRule = oneOf('INPUT', 'FORWARD').map((chain) => `-t filter -I ${chain} -p tcp --dport 9000 -j REJECT --reject-with tcp-reset`)
const natRule = fc
  .tuple(
    matches,
    oneOf(
      'POSTROUTING -j MASQUERADE',
      'POSTROUTING -j RETURN',
      'PREROUTING -j DNAT --to-destination 10.1.15.3',
      'PREROUTING -j ACCEPT',
      'POSTROUTING -j MASQUERADE --random-fully',
    ),
  )
  .map(([match, rest]) => `-t nat -A ${rest.replace(' -j', ` ${match} -j`)}`)
const mangleRule = fc
  .tuple(oneOf('PREROUTING', 'POSTROUTING', 'FORWARD'), matches)
  .map(([chain, match]) => `-t mangle -A ${chain} ${match} -j MARK --set-xmark 0x4000/0x4000`)
const rawRule = matches.filter((match) => !match.includes('ctstate')).map((match) => `-t raw -A PREROUTING ${match} -j NOTRACK`)
const policy = fc.tuple(oneOf('INPUT', 'FORWARD', 'OUTPUT'), oneOf('ACCEPT', 'DROP')).map(([chain, word]) => `-P ${chain} ${word}`)

const host: fc.Arbitrary<HostWords> = fc.record({
  iptables: fc.array(fc.oneof(filterRule, filterRule, natRule, mangleRule, rawRule, resetRule, policy), { maxLength: 6 }),
  sysctls: fc.record({ 'net.bridge.bridge-nf-call-iptables': oneOf(0, 1), 'net.ipv4.conf.all.rp_filter': oneOf(0, 1, 2) }),
  ip: oneOf<string[]>([], [], [], ['link set eth0 mtu 1400'], ['route del default']),
})

const clusters: fc.Arbitrary<ClusterWords> = fc.record({
  backend: backends,
  ipMasq: fc.boolean(),
  runtime: oneOf({ iptables: false }, { iptables: true }, { iptables: true, dockerVersion: '28' }),
  hosts: fc.record({ 'host-a': host, 'host-b': host }, { requiredKeys: [] }),
})

interface Question {
  readonly from: string
  readonly to: string
  readonly ask: Ask
}

const questions: fc.Arbitrary<Question> = fc
  .record({
    proto: oneOf('icmp' as const, 'udp' as const, 'tcp' as const),
    from: oneOf('pod-a', 'pod-a2', 'pod-b', 'node/host-a', 'node/host-b'),
    to: oneOf('pod-a', 'pod-a2', 'pod-b', 'node/host-a', 'node/host-b', '10.1.99.1', '10.1.15.200', '192.168.0.254', '203.0.113.9'),
    port: oneOf(80, 9000),
    size: oneOf(undefined, 100, 1400, 1450, 1473, 1500, 3000, 9000),
    df: fc.boolean(),
    ttl: oneOf(64, 64, 64, 1, 2, 3, 4, 5),
    cold: fc.boolean(),
    listen: fc.boolean(),
    seed: fc.nat(1000),
  })
  .map(({ proto, from, to, port, size, ...rest }) => ({
    from,
    to: proto === 'icmp' ? to : `${to}:${port}`,
    ask: { proto, ...rest, ...(size === undefined ? {} : { size }) },
  }))

/** Of everything: a cluster, a question, what came of it. */
function holds(check: (network: Network, question: Question, answered: Answered) => void): void {
  fc.assert(
    fc.property(clusters, questions, (words, question) => {
      const network = networkOf(flannelCluster(words))
      check(network, question, answer(network, question.from, question.to, question.ask))
    }),
    { numRuns: RUNS, seed: 20260 },
  )
}

function framesOf({ forward, reply }: TraceDocument): readonly FrameDocument[] {
  return [...forward.frames, ...(reply?.frames ?? [])]
}

function isTun(network: Network, frame: FrameDocument): boolean {
  return network.dataplanes.get(frame.netns)?.devices.find(({ name }) => name === frame.device)?.kind === 'tun'
}

describe('every trace', () => {
  it('ends with a disposition of the closed list, on each leg', () => {
    holds((_network, _question, { document }) => {
      for (const word of [document.disposition, document.forward.disposition, ...(document.reply === null ? [] : [document.reply.disposition])])
        expect(DISPOSITIONS).toContain(word)
      // every packet that set out came to an end: nothing is left hanging
      expect(document.forward.disposition).not.toBe('INCOMPLETE')
    })
  })

  it("delivered: the destination's netns took it, or the one that a DNAT rule named", () => {
    holds((network, _question, { outcome, document }) => {
      if (document.forward.disposition !== 'DELIVERED') return
      const took = network.world.netns[outcome.forward.netns].name
      const last = document.forward.hops.filter(({ steps }) => steps.some(({ kind }) => kind === 'socket')).map(({ netns }) => netns)
      expect(last).toContain(took)
      const rewritten = document.forward.hops.some(({ steps }) => steps.some(({ kind, after }) => kind === 'nat' && after?.dst !== undefined))
      expect([outcome.destination.netns, ...(rewritten ? ['default/pod-a2'] : [])]).toContain(took)
    })
  })

  it('frames: as long as they say, in the order of time, every checksum sound', () => {
    holds((network, _question, { document }) => {
      for (const leg of [document.forward, document.reply]) {
        let last = 0
        for (const frame of leg?.frames ?? []) {
          expect(frame.hex).toMatch(/^([0-9a-f]{2})+$/)
          expect(frame.length * 2).toBe(frame.hex.length)
          expect(frame.timeNs).toBeGreaterThanOrEqual(last)
          last = frame.timeNs
          const bytes = bytesOf(frame.hex)
          // a datagram cut short by a smaller receiver is what it is
          if (document.forward.disposition !== 'CORRUPT')
            expect(isSoundFrame(bytes, isTun(network, frame)), `${frame.netns} ${frame.device} ${frame.hex}`).toBe(true)
        }
      }
    })
  })

  it('frames decode, and encode to the same bytes', () => {
    holds((network, _question, { document }) => {
      for (const frame of framesOf(document)) {
        const tun = isTun(network, frame)
        const bytes = bytesOf(frame.hex)
        // pieces carry raw bytes: told apart from whole packets by their header alone
        if (isFragmentFrame(bytes, tun)) continue
        const packet = new Packet()
        expect(decodeFrame(bytes, { link: tun ? 'none' : 'ethernet' }, packet), frame.hex).toBe('ok')
        expect(Buffer.from(encodeFrame(packet)).toString('hex')).toBe(frame.hex)
      }
    })
  })

  it('what comes back to the asking pod comes from whom it asked, or is an ICMP error', () => {
    holds((_network, question, { outcome, document }) => {
      if (document.disposition !== 'DELIVERED' || question.ask.proto !== 'icmp' || outcome.source.netns === undefined) return
      const { netns } = outcome.source
      const arrived = (document.reply?.frames ?? []).filter(
        (frame) => frame.netns === netns && frame.direction === 'rx' && frame.device === 'eth0' && frame.hex.slice(24, 28) === '0800',
      )
      for (const { hex } of arrived) {
        const packet = new Packet()
        if (
          decodeFrame(bytesOf(hex), { link: 'ethernet' }, packet) !== 'ok' ||
          packet.etherType !== ETHERTYPE_IPV4 ||
          packet.proto !== PROTO_ICMP ||
          packet.sport !== 0
        )
          continue
        expect([formatIp(packet.src), formatIp(packet.dst)]).toEqual([formatIp(outcome.destination.address), formatIp(outcome.source.address)])
      }
    })
  })

  it('asked twice of one network, it says the same twice', () => {
    holds((network, question, { document }) => {
      expect(answer(network, question.from, question.to, question.ask).document).toEqual(document)
    })
  })

  it('shows no frame of a router, none of a device that is not there', () => {
    holds((network, _question, { document }) => {
      for (const { netns, device } of framesOf(document)) {
        expect(network.dataplanes.get(netns)?.devices.some(({ name }) => name === device)).toBe(true)
        expect(netns.startsWith('router/')).toBe(false)
      }
    })
  })
})
