/**
 * The lab: every example that this kernel can be is made, what `ip`, `bridge`, `iptables-save` and `sysctl` then say is the Dataplane's own
 * text, packets show the frames that netsim predicts, and nothing remains, however it ends. Needs root.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { formatIp, ip } from '../../src/base/ip.js'
import { formatMac } from '../../src/base/mac.js'
import { EXAMPLE_TEXT } from '../../src/cluster/example.js'
import { printFdb } from '../../src/dataplane/bridge-fdb.js'
import type { Dataplane } from '../../src/dataplane/dataplane.js'
import { printNeighbours } from '../../src/dataplane/ip-neigh.js'
import { printRoutes } from '../../src/dataplane/ip-route.js'
import { DEFAULT_ROUTING_RULES, printRules } from '../../src/dataplane/ip-rule.js'
import { parseIptablesSave, printIptablesSave } from '../../src/dataplane/iptables-save.js'
import { printSysctls } from '../../src/dataplane/sysctl.js'
import { compareFrames } from '../../src/kernel/compare.js'
import { KernelLab, labNetworkOf } from '../../src/kernel/lab.js'
import { checkKernel } from '../../src/kernel/lab-check.js'
import { labProbeOf } from '../../src/kernel/lab-question.js'
import type { LabProbe, Sighting } from '../../src/kernel/lab-types.js'
import { isPrediction, predict, type Prediction } from '../../src/kernel/prediction.js'
import type { Network } from '../../src/network/network.js'
import { DEFAULT_REQUEST } from '../../src/network/request.js'
import { networkOf, type Ask } from '../kit/network.js'

const PREFIX = `netsim-test-${process.pid}-`
const ready = process.getuid?.() === 0 && spawnSync('ip', ['netns', 'list']).status === 0
const PLACE = { file: 'kernel', line: 1 }

const sorted = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.replace(/\s+/g, ' ').trim())
    .filter((line) => line !== '')
    .sort()

/** What the machine has that a lab could have left behind. */
function machine(): unknown {
  const said = (tool: string, ...words: string[]): string => spawnSync(tool, words, { encoding: 'utf8' }).stdout
  return {
    names: said('ip', 'netns', 'list')
      .split('\n')
      .filter((line) => line.startsWith('netsim-test-')),
    devices: said('ip', '-br', 'link'),
    processes: helpers(PREFIX),
  }
}

/** Processes whose command line names the prefix. */
function helpers(prefix: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(prefix)
    } catch {
      return false
    }
  })
}

async function eventually(holds: () => boolean): Promise<boolean> {
  for (let tries = 0; tries < 100; tries++) {
    if (holds()) return true
    await new Promise((done) => setTimeout(done, 50))
  }
  return false
}

function predicted(network: Network, source: string, destination: string, ask: Ask = {}): Prediction {
  const prediction = predict(network, { ...DEFAULT_REQUEST, source, destination, ...ask })
  if (!isPrediction(prediction)) throw new Error(JSON.stringify(prediction))
  return prediction
}

/** Nothing that differs. */
async function ask(lab: KernelLab, network: Network, prediction: Prediction, trace = false): Promise<Sighting> {
  const probe = labProbeOf(network, prediction, { trace })
  if (probe === undefined) throw new Error('no process can send it')
  await (prediction.request.cold ? lab.cold() : lab.warm())
  const sighting = await lab.send(probe)
  const { frames, concurrent, natPorts, request } = prediction
  const comparison = compareFrames(frames, sighting.frames, { cold: request.cold, concurrent, natPorts })
  expect(comparison.differences.map(({ netns, device, what }) => `${netns} ${device}: ${what}`)).toEqual([])
  expect(sighting.lost).toBe(0)
  return sighting
}

async function readBack(lab: KernelLab, dataplane: Dataplane): Promise<void> {
  const { netns, devices } = dataplane
  const said = async (...command: string[]): Promise<string> => (await lab.run(netns, command)).stdout
  const up = (name: string | undefined): boolean => devices.find((device) => device.name === name)?.up !== false

  const links = JSON.parse(await said('ip', '-j', 'link', 'show')) as { ifname: string; mtu: number; address?: string; master?: string; flags: string[] }[]
  for (const { name, mtu, mac, master, up: isUp } of devices) {
    const link = links.find(({ ifname }) => ifname === name)
    expect([netns, name, link?.mtu, link?.master, link?.flags.includes('UP')]).toEqual([netns, name, mtu, master, isUp])
    if (mac !== undefined) expect([netns, name, link?.address]).toEqual([netns, name, formatMac(mac)])
  }
  const addresses = devices.flatMap(({ name, addresses: list }) =>
    list.map(
      ({ address, length, scope, broadcast }) =>
        `${name} inet ${formatIp(address)}/${length} ${broadcast === undefined ? '' : `brd ${formatIp(broadcast)} `}scope ${scope}`,
    ),
  )
  const shown = (await said('ip', '-4', '-o', 'addr', 'show')).replace(/^\d+: (\S+)\s+(inet .*? scope \S+).*$/gm, '$1 $2')
  expect([netns, ...sorted(shown)]).toEqual([netns, ...sorted(addresses.join('\n'))])

  const tables = new Set(['main', ...dataplane.routes.map(({ table }) => table ?? 'main')])
  tables.delete('local')
  for (const table of tables) {
    const routes = dataplane.routes.filter(({ device }) => up(device))
    expect([netns, ...sorted((await said('ip', '-4', 'route', 'show', 'table', table)).replaceAll(' linkdown', ''))]).toEqual([
      netns,
      ...sorted(printRoutes(routes, { table })),
    ])
  }
  expect([netns, await said('ip', '-4', 'rule', 'show')]).toEqual([netns, printRules(dataplane.rules.length === 0 ? DEFAULT_ROUTING_RULES : dataplane.rules)])
  const lasting = dataplane.neighbours.filter(({ state, proxy }) => state === 'permanent' && proxy !== true)
  expect([netns, ...sorted(await said('ip', '-4', 'neigh', 'show', 'nud', 'permanent'))]).toEqual([netns, ...sorted(printNeighbours(lasting))])
  const remotes = sorted(printFdb(dataplane.fdb.filter(({ destination }) => destination !== undefined)))
  expect([netns, ...sorted(await said('bridge', 'fdb', 'show')).filter((line) => line.includes(' dst '))]).toEqual([netns, ...remotes])

  const saved = (await said('iptables-save')).replace(/^#.*\n/gm, '').replace(/ \[\d+:\d+\]$/gm, ' [0:0]')
  expect([netns, printIptablesSave(parseIptablesSave(saved, PLACE).state)]).toEqual([
    netns,
    printIptablesSave(parseIptablesSave(printIptablesSave(dataplane.iptables), PLACE).state),
  ])
  const settings = printSysctls(dataplane.sysctls)
  const keys = sorted(settings).map((line) => line.split(' = ')[0])
  if (keys.length > 0) expect([netns, ...sorted(await said('sysctl', ...keys))]).toEqual([netns, ...sorted(settings)])
}

const files = readdirSync('examples').filter((name) => name.endsWith('.yaml'))
const networks: readonly (readonly [string, Network])[] = [
  ['the built-in example', networkOf(EXAMPLE_TEXT)],
  ...files.map((name) => [name, networkOf(readFileSync(`examples/${name}`, 'utf8'))] as const),
]

describe.skipIf(!ready)('a lab on THIS KERNEL (skipped without root and ip)', () => {
  it.each(networks)('%s: made, read back, a ping sent, taken away', async (name, network) => {
    const before = machine()
    const check = await checkKernel(labNetworkOf(network), PREFIX)
    expect(check.missing).toEqual([])
    const lab = await KernelLab.start(labNetworkOf(network), { prefix: PREFIX })
    try {
      expect(lab.notBuilt).toEqual(check.cannotBuild)
      expect(lab.complaints).toEqual([])
      if (lab.notBuilt.length > 0) return console.warn(`${name}: left out, since ${lab.notBuilt[0].why}`)
      for (const { dataplane } of network.specs) await readBack(lab, dataplane)
      const [first, second = `node/${network.nodeNames[0]}`] = network.pods.map(({ pod }) => `${pod.namespace}/${pod.name}`)
      const sighting = await ask(lab, network, predicted(network, first, second))
      expect(sighting.frames.length).toBeGreaterThan(1)
    } finally {
      await lab.close()
    }
    await lab.close()
    expect(machine()).toEqual(before)
  })

  describe('probes in the built-in example', () => {
    const network = networkOf(EXAMPLE_TEXT)
    let lab: KernelLab
    beforeAll(async () => {
      lab = await KernelLab.start(labNetworkOf(network), { prefix: PREFIX })
    })
    afterAll(() => lab.close())

    it.each([
      ['pod-a', 'pod-b', { cold: true }],
      ['pod-a', 'pod-b', { ttl: 2 }],
      ['pod-a', 'pod-b', { size: 1473, df: true }],
      ['pod-a', 'pod-b', { size: 3000 }],
      ['pod-a', 'pod-b:8080', { proto: 'udp', size: 1472, df: true }],
      ['pod-a', 'pod-b:8080', {}],
      ['pod-a', 'pod-b:9', {}],
      ['pod-a', 'pod-b:8080', { size: 600 }],
      ['node/host-a', 'pod-b:8080', { proto: 'udp' }],
      ['node/host-b', 'node/host-a:9', {}],
      ['pod-a', 'pod-a', {}],
    ] as const)('%s %s %o', async (source, destination, what) => {
      await ask(lab, network, predicted(network, source, destination, what))
    })

    it('what the kernel lost, and why', async () => {
      const { drops, dropsWhy } = await ask(lab, network, predicted(network, 'pod-a', 'pod-b', { ttl: 1 }))
      if (drops === null) return console.warn(dropsWhy)
      expect(drops.filter(({ certain }) => certain).map(({ reason, location }) => [reason, location.split('+')[0]])).toEqual([['IP_INHDR', 'ip_forward']])
    })

    it('the sender is told, and nothing leaves', async () => {
      const { error, frames } = await ask(lab, network, predicted(network, 'pod-a', 'pod-b', { size: 1473, df: true }))
      expect([error, frames]).toEqual(['Message too long', []])
    })

    it('the rules taken are those predicted, in their order', async () => {
      const prediction = predicted(network, 'pod-a', 'pod-b')
      const { rules, rulesWhy } = await ask(lab, network, prediction, true)
      if (rules === null) return console.warn(rulesWhy)
      for (const netns of ['host-a', 'host-b']) {
        const real = rules.filter((rule) => rule.netns === netns && rule.kind === 'rule').map(({ table, chain, text }) => `${table} ${chain} ${text}`)
        const ours = prediction.rules.filter((rule) => rule.netns === netns && rule.rule > 0).map(({ table, chain, text }) => `${table} ${chain} ${text}`)
        expect([netns, ...real]).toEqual([netns, ...ours])
      }
    })

    it('what a probe leaves behind is forgotten before the next: neighbours, path MTUs, connections', async () => {
      const narrow = await lab.run('host-a', ['ip', 'link', 'set', 'flannel0', 'mtu', '1000'])
      expect(narrow).toEqual({ status: 0, stdout: '', stderr: '' })
      const probe: LabProbe = {
        ...{
          kind: 'udp',
          netns: 'default/pod-a',
          source: ip('10.1.15.2'),
          destination: ip('10.1.20.3'),
          sport: 40000,
          dport: 8080,
          size: 1400,
          ttl: 64,
          df: true,
        },
      }
      const seen: string[] = []
      for (let time = 0; time < 3; time++) {
        await lab.warm()
        const { frames, error } = await lab.send(probe)
        seen.push(`${frames.length} ${error}`)
      }
      // without the flush the pod would be told by its own kernel from the second time on
      expect(seen).toEqual(['6 ', '6 ', '6 '])
      await lab.run('host-a', ['ip', 'link', 'set', 'flannel0', 'mtu', '1472'])
      await lab.cold()
      expect((await lab.run('default/pod-a', ['ip', '-4', 'neigh', 'show'])).stdout).toBe('')
      expect((await lab.run('host-a', ['bridge', 'fdb', 'show', 'br', 'docker0', 'dynamic'])).stdout).toBe('')
    })

    it('raw packets and frames go out as they stand', async () => {
      const [{ bytes }] = predicted(network, 'pod-a', 'pod-b').frames
      const sent: LabProbe[] = [
        { kind: 'frame', netns: 'default/pod-a', device: 'eth0', frame: bytes },
        { kind: 'raw', netns: 'default/pod-a', packet: bytes.subarray(14) },
      ]
      for (const probe of sent) {
        await lab.warm()
        const { frames } = await lab.send(probe)
        expect(Buffer.from(frames[0].bytes).toString('hex')).toBe(Buffer.from(bytes).toString('hex'))
        expect(frames).toHaveLength(20)
      }
      await lab.warm()
      expect((await lab.send({ kind: 'wait', netns: 'default/pod-a' })).frames).toEqual([])
    })
  })

  it('with iptables-legacy, and with IP sets', async () => {
    const text = EXAMPLE_TEXT.replace(
      /(kind: Network\n[\s\S]*?spec:\n)/,
      `$1  hosts:\n    - node: host-b\n      ipset: ["create S hash:ip", "add S 10.1.15.3"]\n      iptables: ["-I FORWARD -m set --match-set S src -j DROP"]\n`,
    )
    const network = networkOf(text)
    for (const iptables of ['legacy', 'nft'] as const) {
      const lab = await KernelLab.start(labNetworkOf(network), { prefix: PREFIX, iptables })
      try {
        expect(lab.complaints).toEqual([])
        expect((await lab.run('host-b', [`iptables-${iptables}-save`, '-t', 'filter'])).stdout).toContain('-A FORWARD -m set --match-set S src -j DROP')
        for (const source of ['pod-a', 'pod-a2']) {
          const prediction = predicted(network, source, 'pod-b')
          expect(prediction.outcome.disposition).toBe(source === 'pod-a' ? 'DELIVERED' : 'DENIED')
          const { drops } = await ask(lab, network, prediction)
          if (drops !== null) expect(drops.filter(({ certain }) => certain).map(({ reason }) => reason)).toEqual(source === 'pod-a' ? [] : ['NETFILTER_DROP'])
        }
        if (iptables === 'legacy') expect((await ask(lab, network, predicted(network, 'pod-a', 'pod-b'), true)).rulesWhy).toContain('iptables-nft')
      } finally {
        await lab.close()
      }
    }
  })

  it('a daemon lives as long as its lab', async () => {
    const network = networkOf(EXAMPLE_TEXT)
    const lab = await KernelLab.start(labNetworkOf(network), { prefix: PREFIX })
    try {
      const pid = await lab.spawn('host-a', ['sleep', '1000'], join(folder, 'log'))
      expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toBe('sleep\u00001000\u0000')
      const [tool, ...words] = [...lab.enter('host-a'), 'ip', '-br', 'addr', 'show', 'docker0']
      expect(spawnSync(tool, words, { encoding: 'utf8' }).stdout).toMatch(/^docker0 +UP +10\.1\.15\.1\/24/)
      await lab.close()
      expect(await eventually(() => !existsSync(`/proc/${pid}`))).toBe(true)
      await expect(lab.run('host-a', ['true'])).rejects.toThrow('the helper process has ended')
    } finally {
      await lab.close()
    }
  })

  it('in a user namespace, without being root', async () => {
    const { stdout, status } = await child(['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'], 'ping').ended
    expect([status, stdout]).toEqual([0, 'up user namespace\nDELIVERED equal\n'])
  })

  it.each(['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGKILL'] as const)('ended by %s in the middle, nothing remains', async (signal) => {
    const before = machine()
    for (const moment of ['build', 'send'] as const) {
      const { process: victim, ended } = child([], moment)
      // in the middle of the building, or of a long probe
      const seen = (): boolean => helpers(CHILD_PREFIX).length > 0
      expect(await eventually(seen)).toBe(true)
      await new Promise((done) => setTimeout(done, moment === 'build' ? 150 : 2000))
      victim.kill(signal)
      await ended
      expect(await eventually(() => helpers(CHILD_PREFIX).length === 0)).toBe(true)
    }
    expect(machine()).toEqual(before)
  })

  it('a machine that lacks what is needed says so', async () => {
    const network = labNetworkOf(networkOf(EXAMPLE_TEXT))
    const path = process.env.PATH
    process.env.PATH = '/nowhere'
    try {
      expect((await checkKernel(network, PREFIX)).missing.map(({ what }) => what)).toEqual([expect.stringContaining('python3')])
    } finally {
      process.env.PATH = path
    }
  })
})

const CHILD_PREFIX = `netsim-test-${process.pid}-child-`
const SCRIPT = `
import { EXAMPLE_TEXT } from './src/cluster/example.js'
import { compareFrames } from './src/kernel/compare.js'
import { KernelLab, labNetworkOf } from './src/kernel/lab.js'
import { checkKernel } from './src/kernel/lab-check.js'
import { labProbeOf } from './src/kernel/lab-question.js'
import { predict } from './src/kernel/prediction.js'
import { DEFAULT_REQUEST } from './src/network/request.js'
import { networkOf } from './test/kit/network.js'
const [prefix, moment] = process.argv.slice(2)
const network = networkOf(moment === 'ping' ? (await import('node:fs')).readFileSync('examples/flannel-host-gw.yaml', 'utf8') : EXAMPLE_TEXT)
const { privilege } = await checkKernel(labNetworkOf(network), prefix)
const lab = await KernelLab.start(labNetworkOf(network), { prefix })
console.log('up ' + privilege)
const [source, destination] = network.pods.map(({ pod }) => pod.namespace + '/' + pod.name)
if (moment === 'send') await lab.send({ kind: 'wait', netns: source, predictedNs: 20e9 })
if (moment === 'ping') {
  const prediction = predict(network, { ...DEFAULT_REQUEST, source, destination })
  await lab.warm()
  const { frames } = await lab.send(labProbeOf(network, prediction, { trace: false }))
  console.log(prediction.outcome.disposition, compareFrames(prediction.frames, frames, { cold: false, concurrent: false }).equal ? 'equal' : 'different')
}
await lab.close()
`

let folder = ''

beforeAll(async () => {
  if (!ready) return
  folder = mkdtempSync(join(tmpdir(), 'netsim-lab-'))
  await build({
    stdin: { contents: SCRIPT, resolveDir: resolve('.') },
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile: join(folder, 'child.mjs'),
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)" },
  })
  for (const name of ['porter.py', 'tun_proxy.py']) copyFileSync(`src/kernel/${name}`, join(folder, name))
  spawnSync('chmod', ['-R', 'a+rX', folder])
})
afterAll(() => {
  if (folder !== '') rmSync(folder, { recursive: true })
})

interface Child {
  readonly process: ChildProcess
  readonly ended: Promise<{ readonly status: number | null; readonly stdout: string }>
}

/** A process of its own that builds the lab; `moment`: what it is to be doing. */
function child(before: readonly string[], moment: 'build' | 'send' | 'ping'): Child {
  const [tool, ...words] = [...before, process.execPath, join(folder, 'child.mjs'), CHILD_PREFIX, moment]
  const made = spawn(tool, words, { stdio: ['ignore', 'pipe', 'inherit'] })
  let stdout = ''
  made.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  return { process: made, ended: new Promise((done) => made.on('close', (status) => done({ status, stdout }))) }
}
