/**
 * `netsim verify` against THIS KERNEL: the examples compare equal, a deliberate fault in what the kernel is given (or in what is predicted) is
 * caught and named, and nothing remains when it is interrupted. Needs root or user namespaces, and the tools; skipped by name without.
 */
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Dataplane } from '../../src/dataplane/dataplane.js'
import { labNetworkOf } from '../../src/kernel/lab.js'
import { checkKernel } from '../../src/kernel/lab-check.js'
import { coveringProbes, probeName, type VerifyProbe } from '../../src/kernel/probes.js'
import type { ProbeDocument } from '../../src/kernel/verify-report.js'
import { verifyNetwork, type Verified, type VerifyOptions } from '../../src/kernel/verify.js'
import type { Network } from '../../src/network/network.js'
import { DEFAULT_REQUEST } from '../../src/network/request.js'
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
    .map((probe) => `${probe.name}: ${probe.why}${probe.differences.map(({ netns, device, what }) => `${netns} ${device} ${what}`).join('; ')} ${probe.rules.what} ${probe.drops.why}`)
}

const EXAMPLES = ['flannel-udp', 'flannel-vxlan', 'flannel-host-gw', 'flannel-firewall', 'underlay-mtu', 'docker-only', 'stale-lease']
const LONG_MS = 180_000

describe.skipIf(!ready)('netsim verify against THIS KERNEL', () => {
  it.each(EXAMPLES)(
    'examples/%s.yaml: every frame equal',
    async (name) => {
      const network = example(name)
      const result = await verified(network, coveringProbes(network, 'all'), { rules: ofRoot })
      expect(told(result)).toEqual([])
      expect(result.summary.frames).toBeGreaterThan(20)
      expect(result.summary.framesEqual).toBe(result.summary.frames)
      if (ofRoot && result.summary.rules > 0) expect(result.summary.rulesEqual).toBe(result.summary.rules)
    },
    LONG_MS,
  )

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
    expect(differences[0]).toMatchObject({ kind: 'fields', netns: 'node-2', device: 'eth0', what: 'ip.ttl 64 ≠ 63', predicted: { words: expect.any(String) } })
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

  it('a fault: one checksum, of the frames predicted', async () => {
    const { probes } = await verified(firewall, [question('web-0', 'api-0')])
    const [probe] = probes
    expect(probe).toMatchObject({ verdict: 'equal', frames: { predicted: 20, captured: 20 } })
    // what is spoilt in the model's frames and not in the kernel's is held by test/kernel/compare.test.ts, byte by byte
  })
})

/** Names of namespaces and processes of ours that stand. */
function remains(prefix: string): readonly string[] {
  const netns = spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' }).stdout.split('\n').filter((line) => line.startsWith(prefix))
  const processes = spawnSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' }).stdout.split('\n').filter((line) => line.includes('porter.py') && line.includes(prefix))
  return [...netns, ...processes]
}

describe.skipIf(!ready)('interrupted in the middle', () => {
  it.each(['SIGINT', 'SIGTERM', 'SIGKILL'] as const)(
    '%s leaves nothing behind',
    async (signal) => {
      const cli = new URL('../../dist/cli.js', import.meta.url).pathname
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
