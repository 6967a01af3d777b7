/**
 * `netsim verify` against THIS KERNEL: the examples compare equal, a deliberate fault in what the kernel is given (or in what is predicted) is
 * caught and named, and nothing remains when it is interrupted. Needs root or user namespaces, and the tools; skipped by name without.
 */
import { spawn, spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Dataplane } from '../../src/dataplane/dataplane.js'
import { judge } from '../../src/kernel/judge.js'
import { KernelLab, labNetworkOf } from '../../src/kernel/lab.js'
import { checkKernel } from '../../src/kernel/lab-check.js'
import { labProbeOf } from '../../src/kernel/lab-question.js'
import type { LabProbe } from '../../src/kernel/lab-types.js'
import { isPrediction, predict } from '../../src/kernel/prediction.js'
import { coveringProbes, probeName, type VerifyProbe } from '../../src/kernel/probes.js'
import type { ProbeDocument } from '../../src/kernel/verify-report.js'
import { verifyNetwork, type Verified, type VerifyOptions } from '../../src/kernel/verify.js'
import type { Network } from '../../src/network/network.js'
import { DEFAULT_REQUEST } from '../../src/network/request.js'
import { manifestOf, type WorldDraft } from '../fuzz/random-world.js'
import { networkOf, type Ask } from '../kit/network.js'

const PREFIX = `netsim-test-${process.pid}-`
const example = (name: string): Network => networkOf(readFileSync(new URL(`../../examples/${name}.yaml`, import.meta.url), 'utf8'))
const firewall = example('flannel-firewall')
const machine = await checkKernel(labNetworkOf(firewall), PREFIX).catch((error: unknown) => ({
  missing: [{ what: String(error), fix: '' }],
  cannotBuild: [],
  privilege: 'none',
  kernel: '',
}))
const ready = machine.missing.length === 0
if (!ready) console.warn(`verify is not tried here: ${machine.missing.map(({ what }) => what).join(', ')}`)
const ofRoot = ready && machine.privilege === 'root'

function question(source: string, destination: string, ask: Ask = {}): VerifyProbe {
  const request = { ...DEFAULT_REQUEST, source, destination, ...ask }
  return { name: probeName(request), request }
}

function verified(network: Network, probes: readonly VerifyProbe[], more: Partial<VerifyOptions> = {}): Promise<Verified> {
  return verifyNetwork(network, { probes, prefix: PREFIX, rules: false, ...more })
}

function told({ probes }: Verified): readonly string[] {
  return probes
    .filter(({ verdict }) => verdict !== 'equal')
    .map((probe) =>
      [
        `${probe.name}: ${probe.why}`,
        ...probe.differences.map(({ netns, device, what }) => `${netns} ${device} ${what}`),
        probe.rules.what,
        probe.drops.why,
      ].join('; '),
    )
}

const EXAMPLES = readdirSync(new URL('../../examples/', import.meta.url))
  .filter((file) => file.endsWith('.yaml'))
  .map((file) => file.slice(0, -'.yaml'.length))
/** Asked everything; the others a few questions, unless NETSIM_VERIFY=all. */
const WHOLE = ['flannel-udp', 'flannel-vxlan', 'flannel-host-gw', 'flannel-firewall']
const LONG_MS = 180_000

describe.skipIf(!ready)('netsim verify against THIS KERNEL', () => {
  it.each(EXAMPLES)(
    'examples/%s.yaml: every frame of every question that can be tried here is equal',
    async (name) => {
      const network = example(name)
      const set = WHOLE.includes(name) || process.env.NETSIM_VERIFY === 'all' ? 'all' : 'quick'
      const result = await verified(network, coveringProbes(network, set), { rules: ofRoot })
      expect(told({ ...result, probes: result.probes.filter(({ verdict }) => verdict !== 'left-out') })).toEqual([])
      for (const { name: question, why } of result.probes.filter(({ verdict }) => verdict === 'left-out')) {
        expect([question, why]).toEqual([question, expect.stringMatching(/cannot be made here|no Linux kernel/)])
      }
      expect(result.complaints).toEqual([])
      if (set === 'all') expect(result.summary.frames).toBeGreaterThan(20)
      expect(result.summary.framesEqual).toBe(result.summary.frames)
      if (ofRoot && result.summary.rules > 0) expect(result.summary.rulesEqual).toBe(result.summary.rules)
    },
    LONG_MS,
  )

  it('the window after a segment out of a TUN, for its own host and for a pod behind a bridge', async () => {
    const file = new URL('../fuzz/cases/window-of-pages-behind-a-tun.json', import.meta.url)
    const network = networkOf(manifestOf(JSON.parse(readFileSync(file, 'utf8')) as WorldDraft))
    const sizes = [500, 4031, 4032, 4097, 6000, 7000, 7808, 7809, 8972]
    const asked = ['10.244.2.1:80', '10.244.2.2:80'].flatMap((to) => sizes.map((size) => question('n1-a', to, { size, listen: true })))
    const { summary, ...result } = await verified(network, asked)
    expect(told({ summary, ...result })).toEqual([])
    expect(summary.equal).toBe(asked.length)
  })

  it('rules that remember packets start each question alike', async () => {
    const remembering = [
      '-t raw -A PREROUTING -p udp --dport 9 -m limit --limit 1/hour --limit-burst 1 -j DROP',
      '-I FORWARD -p tcp --dport 80 -m recent --name seen --set -m recent --name seen --rcheck --hitcount 2 -j REJECT',
      '-I FORWARD -p tcp --dport 81 -m statistic --mode nth --every 2 --packet 1 -j DROP',
      '-I FORWARD -p icmp -m limit --limit 1/hour --limit-burst 1 -j ACCEPT',
      '-I FORWARD 2 -p icmp -m set --match-set met src -j DROP',
      '-t mangle -A FORWARD -p tcp --dport 82 -j SET --add-set met src',
    ]
    const text = readFileSync(new URL('../../examples/flannel-firewall.yaml', import.meta.url), 'utf8').replace(
      / {6}iptables:\n/,
      `      ipset: [create met hash:ip]\n      iptables:\n${remembering.map((line) => `        - ${line}\n`).join('')}`,
    )
    const network = networkOf(text)
    const asked = [
      question('web-0', 'api-0:9', { proto: 'udp' }),
      question('web-0', 'api-0:80'),
      question('web-0', 'api-0:81'),
      question('web-0', 'api-0:82'),
      question('web-0', 'api-0'),
    ]
    const result = await verified(network, [...asked, ...asked, ...asked], { rules: ofRoot })
    expect(told(result)).toEqual([])
    expect(result.probes.slice(0, 5).map(({ disposition }) => disposition)).toEqual(['DENIED', 'DELIVERED', 'DELIVERED', 'DELIVERED', 'DELIVERED'])
  })

  /** What the kernel is given, one Dataplane of it altered. */
  function altered(network: Network, netns: string, change: (dataplane: Dataplane) => Dataplane): Partial<VerifyOptions> {
    const lab = labNetworkOf(network)
    const specs = lab.specs.map((spec) => (spec.dataplane.netns === netns ? { ...spec, dataplane: change(spec.dataplane) } : spec))
    expect(specs.filter((spec, at) => spec !== lab.specs[at])).toHaveLength(1)
    return { built: { ...lab, specs } }
  }

  async function caught(probe: VerifyProbe, fault: Partial<VerifyOptions>): Promise<ProbeDocument> {
    expect(told(await verified(firewall, [probe]))).toEqual([])
    const { verdict, probes } = await verified(firewall, [probe], fault)
    expect(verdict).toBe('differs')
    return probes[0]
  }

  it('a fault: one TTL', async () => {
    const fault = altered(firewall, 'node-2', (dataplane) => ({ ...dataplane, sysctls: { ...dataplane.sysctls, 'net.ipv4.ip_default_ttl': 63 } }))
    const { differences } = await caught(question('web-0', 'node/node-2'), fault)
    expect(differences[0]).toMatchObject({ kind: 'fields', netns: 'node-2', device: 'eth0', what: 'ip.ttl 64 ≠ 63' })
    expect(differences[0].step).toBeGreaterThan(0)
  })

  it('a fault: the order of two rules', async () => {
    const fault = altered(firewall, 'node-2', (dataplane) => {
      const tables = dataplane.iptables.tables.map((table) => ({
        ...table,
        chains: table.chains.map((chain) => (table.name === 'filter' && chain.name === 'FORWARD' ? { ...chain, rules: chain.rules.toReversed() } : chain)),
      }))
      return { ...dataplane, iptables: { tables } }
    })
    const { differences } = await caught(question('web-0', 'api-0:9000'), fault)
    expect(differences[0]).toMatchObject({ kind: 'extra', netns: 'node-2' })
  })

  it('a fault: one MTU', async () => {
    const fault = altered(firewall, 'node-1', (dataplane) => ({
      ...dataplane,
      devices: dataplane.devices.map((device) => (device.name === 'flannel.1' ? { ...device, mtu: 1400 } : device)),
    }))
    const { differences } = await caught(question('web-0', 'api-0:80', { proto: 'udp', size: 1450 }), fault)
    expect(differences[0]).toMatchObject({ netns: 'node-1', device: 'flannel.1' })
  })

  it('a fault: one FDB entry', async () => {
    const fault = altered(firewall, 'node-1', (dataplane) => ({ ...dataplane, fdb: dataplane.fdb.filter(({ device }) => device !== 'flannel.1') }))
    const { differences } = await caught(question('web-0', 'api-0'), fault)
    expect(differences[0]).toMatchObject({ kind: 'missing', netns: 'node-1', device: 'eth0', direction: 'tx' })
  })

  it('a fault that no frame shows: the last netns drops what came', async () => {
    const policy = (dataplane: Dataplane): Dataplane => ({
      ...dataplane,
      iptables: {
        tables: dataplane.iptables.tables.map((table) => ({
          ...table,
          chains: table.chains.map((chain) => (table.name === 'filter' && chain.name === 'INPUT' ? { ...chain, policy: 'DROP' } : chain)),
        })),
      },
    })
    const datagram = await caught(question('web-0', 'node/node-2:7000', { proto: 'udp', listen: true }), altered(firewall, 'node-2', policy))
    expect(datagram.differences).toEqual([
      expect.objectContaining({ kind: 'missing', netns: 'node-2', what: expect.stringContaining('a socket takes the datagram') }),
    ])
    const reply = await caught(question('node/node-1', 'node/node-2'), altered(firewall, 'node-1', policy))
    expect(reply.differences).toEqual([expect.objectContaining({ kind: 'missing', netns: 'node-1', what: expect.stringContaining('the echo reply') })])
  })

  it('leaves alone what is the whole machine’s, and says so', async () => {
    const before = readFileSync('/proc/sys/vm/swappiness', 'utf8')
    const sysctls = { 'vm.swappiness': Number(before) + 1, 'net.ipv4.conf.//.//.//.vm.swappiness': Number(before) + 1 }
    const fault = altered(firewall, 'node-1', (dataplane) => ({ ...dataplane, sysctls: { ...dataplane.sysctls, ...sysctls } }))
    const { verdict, complaints } = await verified(firewall, [question('web-0', 'api-0')], fault)
    expect([verdict, complaints.length, readFileSync('/proc/sys/vm/swappiness', 'utf8')]).toEqual(['incomplete', 2, before])
  })

  it('a fault: one checksum, of the frames predicted', async () => {
    const lab = await KernelLab.start(labNetworkOf(firewall), { prefix: PREFIX })
    try {
      const { name, request } = question('web-0', 'api-0')
      const prediction = predict(firewall, request)
      if (!isPrediction(prediction)) throw new Error(name)
      await lab.warm([prediction.outcome.destination.address])
      const sighting = await lab.send(labProbeOf(firewall, prediction, { trace: false }) as LabProbe)
      expect(judge(name, prediction, sighting)).toMatchObject({ verdict: 'equal', frames: { predicted: 20, captured: 20, equal: 20 } })
      for (let at = 0; at < prediction.frames.length; at++) {
        const frames = prediction.frames.map((frame) => ({ ...frame, bytes: frame.bytes.slice() }))
        frames[at].bytes[14 + 10] ^= 1
        const { verdict, differences } = judge(name, { ...prediction, frames }, sighting)
        expect(verdict).toBe('differs')
        expect(differences).toMatchObject([{ kind: 'checksum', netns: frames[at].netns, device: frames[at].device, fields: [{ name: 'ip.checksum' }] }])
      }
    } finally {
      await lab.close()
    }
  })
})

/** Names of namespaces and processes of ours that stand. */
function remains(prefix: string): readonly string[] {
  const netns = spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' })
    .stdout.split('\n')
    .filter((line) => line.startsWith(prefix))
  const processes = spawnSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' })
    .stdout.split('\n')
    .filter((line) => line.includes('porter.py') && line.includes(prefix))
  return [...netns, ...processes]
}

describe.skipIf(!ready)('interrupted in the middle', () => {
  const folder = mkdtempSync(join(tmpdir(), 'netsim-verify-'))
  const cli = join(folder, 'cli.mjs')
  const banner = { js: "import{createRequire}from'module';const require=createRequire(import.meta.url)" }
  const entryPoints = [fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))]
  beforeAll(() => {
    buildSync({ entryPoints, bundle: true, platform: 'node', format: 'esm', outfile: cli, banner, logLevel: 'warning' })
    const kernel = new URL('../../src/kernel/', import.meta.url)
    for (const name of readdirSync(kernel).filter((file) => file.endsWith('.py'))) copyFileSync(new URL(name, kernel), join(folder, name))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it.each(['SIGINT', 'SIGTERM', 'SIGKILL'] as const)(
    '%s leaves nothing behind',
    async (signal) => {
      const child = spawn(process.execPath, [cli, 'verify'], { stdio: 'ignore', cwd: '/' })
      const prefix = `netsim-${child.pid}-`
      let seen: readonly string[] = []
      for (let tries = 0; tries < 100 && seen.length === 0; tries++) {
        await new Promise((resolve) => setTimeout(resolve, 50))
        seen = remains(prefix)
      }
      expect(seen).not.toEqual([])
      await new Promise((resolve) => setTimeout(resolve, 1000))
      child.kill(signal)
      let left = remains(prefix)
      for (let tries = 0; tries < 60 && left.length > 0; tries++) {
        await new Promise((resolve) => setTimeout(resolve, 50))
        left = remains(prefix)
      }
      expect(left).toEqual([])
    },
    30_000,
  )
})
