/** Twenty things that go wrong on real nodes, each done to a rendered node by the tool's own command, written as text, read back: named, with its effect. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { driftCatalogue } from '../../../src/analysis/drift/catalogue.js'
import type { DriftCode } from '../../../src/analysis/drift/codes.js'
import { driftOf, type DriftInput } from '../../../src/analysis/drift/drift.js'
import type { DriftFinding, DriftReport } from '../../../src/analysis/drift/finding.js'
import { sarifLog } from '../../../src/analysis/findings-sarif.js'
import { buildCluster } from '../../../src/cluster/cluster.js'
import type { Dataplane } from '../../../src/dataplane/dataplane.js'
import { applyHostSettings } from '../../../src/network/host-commands.js'
import { buildNetwork } from '../../../src/network/build-network.js'
import type { Network } from '../../../src/network/network.js'
import { dumpOf, type DumpOptions } from './dump-kit.js'

const networks = new Map<string, Network>()

function networkOf(example: string): Network {
  const known = networks.get(example)
  if (known !== undefined) return known
  const { cluster } = buildCluster([{ file: `examples/${example}`, text: readFileSync(`examples/${example}`, 'utf8') }])
  const { network } = buildNetwork(cluster, { seed: 1 })
  networks.set(example, network)
  return network
}

interface Commands {
  readonly ip?: readonly string[]
  readonly bridge?: readonly string[]
  readonly iptables?: readonly string[]
  readonly ipset?: readonly string[]
  readonly sysctls?: Readonly<Record<string, number>>
}

/** What somebody typed on the node. */
function broken(dataplane: Dataplane, { ip = [], bridge = [], iptables = [], ipset = [], sysctls = {} }: Commands): Dataplane {
  const commands = (texts: readonly string[]): { text: string; file: string; line: number }[] => texts.map((text) => ({ text, file: 'typed', line: 1 }))
  const applied = applyHostSettings(dataplane, {
    ip: commands(ip),
    bridge: commands(bridge),
    iptables: commands(iptables),
    ipset: commands(ipset),
    sysctls: Object.entries(sysctls).map(([name, value]) => ({ name, value })),
  } as unknown as Parameters<typeof applyHostSettings>[1])
  expect(applied.problems).toEqual([])
  return applied.dataplane
}

function driftAfter(example: string, node: string, change: Commands | ((dataplane: Dataplane) => Dataplane), options?: DumpOptions): readonly DriftFinding[] {
  const network = networkOf(example)
  const plan = network.nodePlan(node)
  if (plan === undefined) throw new Error(node)
  const dataplane = typeof change === 'function' ? change(plan.dataplane) : broken(plan.dataplane, change)
  const collected = dumpOf(dataplane, plan.pods, options)
  const input: DriftInput = { name: node, dataplane: collected.dataplane, collected }
  const report = driftOf(network, [input])
  expectSarif(report)
  return report.findings
}

interface SarifResult {
  readonly ruleId: string
  readonly ruleIndex: number
  readonly level: string
  readonly message: { readonly text: string }
  readonly locations: readonly {
    readonly physicalLocation: { readonly artifactLocation: { readonly uri: string }; readonly region?: { readonly startLine: number } }
  }[]
  readonly partialFingerprints: Readonly<Record<string, string>>
}

/** What code scanners ask of each result: a rule that is listed, a level, a relative place, a fingerprint of its own. */
function expectSarif(report: DriftReport): void {
  const log = sarifLog(report, { catalogue: driftCatalogue(), version: '1.0.0', relative: (file) => file }) as unknown as {
    readonly runs: readonly {
      readonly tool: { readonly driver: { readonly rules: readonly { readonly id: string }[] } }
      readonly results: readonly SarifResult[]
    }[]
  }
  const [{ tool, results }] = log.runs
  expect(results).toHaveLength(report.findings.length)
  for (const { ruleId, ruleIndex, level, message, locations } of results) {
    expect([tool.driver.rules[ruleIndex].id, message.text === '']).toEqual([ruleId, false])
    expect(['error', 'warning', 'note']).toContain(level)
    expect(locations.map(({ physicalLocation }) => physicalLocation.artifactLocation.uri)).toEqual([expect.stringMatching(/^(?!\/|[a-z]+:)./)])
    expect(locations[0].physicalLocation.region?.startLine ?? 1).toBeGreaterThan(0)
  }
  expect(new Set(results.map(({ partialFingerprints }) => JSON.stringify(partialFingerprints))).size).toBe(results.length)
}

interface Told {
  readonly code: DriftCode
  readonly severity: string
  readonly verdict: string
  readonly what: RegExp
  readonly command: RegExp
  /** Of the first change. */
  readonly after?: RegExp
}

function expectTold(findings: readonly DriftFinding[], told: Told): void {
  expect(findings.map(({ code, severity, traffic, what }) => [code, severity, traffic.verdict, what])).toEqual([
    [told.code, told.severity, told.verdict, expect.stringMatching(told.what) as string],
  ])
  const [one] = findings
  expect(one.commands.join('\n')).toMatch(told.command)
  if (told.after !== undefined) expect(one.traffic.changes[0].after).toMatch(told.after)
}

const FLANNEL = 'services-flannel.yaml'
const CALICO = 'services-calico.yaml'

/** Most take packets away. */
interface Fault extends Omit<Told, 'severity' | 'verdict'>, Partial<Pick<Told, 'severity' | 'verdict'>> {
  readonly name: string
  readonly example?: string
  readonly change: Commands | ((dataplane: Dataplane) => Dataplane)
  readonly options?: DumpOptions
}

const without =
  (name: string) =>
  (dataplane: Dataplane): Dataplane => ({
    ...dataplane,
    devices: dataplane.devices.filter((device) => device.name !== name),
    routes: dataplane.routes.filter(({ device }) => device !== name),
    neighbours: dataplane.neighbours.filter(({ device }) => device !== name),
    fdb: dataplane.fdb.filter(({ device }) => device !== name),
  })

/** As somebody would see it: one finding each. */
const FAULTS: readonly Fault[] = [
  {
    name: 'an FDB entry deleted',
    change: { bridge: ['fdb del d2:16:16:83:62:05 dev flannel.1 dst 192.168.0.102'] },
    code: 'ND304',
    what: /FDB entry of flannel.1 for d2:16:16:83:62:05 of node-2 is missing/,
    command: /^bridge fdb replace d2:16:16:83:62:05 dev flannel.1 dst 192.168.0.102 self permanent$/,
    after: /^NO_VTEP at node-1/,
  },
  {
    name: 'an FDB entry that leads to another VTEP',
    change: { bridge: ['fdb replace d2:16:16:83:62:05 dev flannel.1 dst 192.168.0.103 self permanent'] },
    code: 'ND305',
    what: /leads to 192.168.0.103, not to 192.168.0.102/,
    command: /^bridge fdb replace d2:16:16:83:62:05 dev flannel.1 dst 192.168.0.102 self permanent$/,
    after: /^NEIGHBOR_FAILED at node-3/,
  },
  {
    name: 'the MAC of a neighbour changed',
    change: { ip: ['neigh replace 10.244.2.0 lladdr 02:00:00:00:00:01 dev flannel.1 nud permanent'] },
    code: 'ND302',
    what: /neighbour 10.244.2.0 of node-2 on flannel.1 has the MAC 02:00:00:00:00:01, not d2:16:16:83:62:05/,
    command: /^ip neigh replace 10.244.2.0 lladdr d2:16:16:83:62:05 dev flannel.1 nud permanent$/,
    after: /^NO_VTEP at node-1/,
  },
  {
    name: 'a permanent neighbour deleted',
    change: { ip: ['neigh del 10.244.3.0 dev flannel.1'] },
    code: 'ND301',
    what: /permanent neighbour 10.244.3.0 of node-3 on flannel.1 is missing/,
    command: /^ip neigh replace 10.244.3.0 lladdr 0e:2d:21:db:e1:07 dev flannel.1 nud permanent$/,
    after: /NEIGH/,
  },
  {
    name: 'a route removed',
    change: { ip: ['route del 10.244.2.0/24'] },
    code: 'ND201',
    what: /route to 10.244.2.0\/24 of the pods of node-2 is missing/,
    command: /^ip route replace 10.244.2.0\/24 via 10.244.2.0 dev flannel.1 onlink$/,
    after: /^NO_ROUTE at router\/router/,
  },
  {
    name: 'a route by the wrong node',
    change: { ip: ['route replace 10.244.2.0/24 via 192.168.0.103 dev eth0'] },
    code: 'ND203',
    what: /route to 10.244.2.0\/24 of the pods of node-2 leads elsewhere/,
    command: /^ip route replace 10.244.2.0\/24 via 10.244.2.0 dev flannel.1 onlink$/,
    after: /^REPLY_LOST/,
  },
  {
    name: 'a more specific route to nowhere',
    change: { ip: ['route add blackhole 10.244.2.0/25'] },
    code: 'ND204',
    what: /route to 10.244.2.0\/25 of the pods of node-2 that no agent makes/,
    command: /^ip route del blackhole 10.244.2.0\/25$/,
    after: /^NULL_ROUTED at node-1/,
  },
  {
    name: 'a foreign table of routes in front',
    change: { ip: ['rule add priority 100 from all lookup 99', 'route add 10.244.3.0/24 via 192.168.0.254 dev eth0 table 99'] },
    code: 'ND206',
    what: /rule of routing that no agent makes: 100: from all lookup 99/,
    command: /^ip rule del priority 100 from all lookup 99$/,
  },
  {
    name: 'flannel.1 gone, with all that was on it',
    change: without('flannel.1'),
    code: 'ND101',
    what: /flannel.1 is missing, and with it 2 routes, 2 neighbours, 2 FDB entries/,
    command: /^kubectl -n kube-flannel delete pod -l app=flannel --field-selector spec.nodeName=node-1$/,
    after: /^NO_ROUTE at router\/router/,
  },
  {
    name: 'flannel.1 down',
    change: (dataplane) => {
      const { devices, routes } = broken(dataplane, { ip: ['link set dev flannel.1 down'] })
      return { ...dataplane, devices, routes: routes.filter(({ device }) => device !== 'flannel.1') }
    },
    code: 'ND102',
    what: /flannel.1 is down, and 2 of its routes with it/,
    command: /^ip link set dev flannel.1 up\nip route replace 10.244.2.0\/24 via 10.244.2.0 dev flannel.1 onlink\nip route replace 10.244.3.0/,
  },
  {
    name: 'an MTU too big',
    change: { ip: ['link set dev flannel.1 mtu 1500'] },
    code: 'ND104',
    severity: 'warning',
    verdict: 'changed',
    what: /MTU of flannel.1 is 1500, 50 too big: it should be 1450/,
    command: /^ip link set dev flannel.1 mtu 1450$/,
  },
  {
    name: 'an MTU too small',
    change: { ip: ['link set dev flannel.1 mtu 1400'] },
    code: 'ND104',
    severity: 'warning',
    verdict: 'changed',
    what: /MTU of flannel.1 is 1400, 50 too small/,
    command: /^ip link set dev flannel.1 mtu 1450$/,
    after: /^TOO_BIG at node-1/,
  },
  {
    name: 'a REJECT before all chains',
    change: { iptables: ['-I FORWARD -p tcp --dport 8080 -j REJECT'] },
    code: 'ND504',
    what: /rule 1 of FORWARD in filter is no agent's and comes before KUBE-PROXY-FIREWALL/,
    command: /^iptables -t filter -D FORWARD -p tcp -m tcp --dport 8080 -j REJECT --reject-with icmp-port-unreachable$/,
    after: /^REJECTED at node-1/,
  },
  {
    name: 'a second masquerade',
    change: { iptables: ['-t nat -I POSTROUTING -s 10.244.0.0/16 -j MASQUERADE'] },
    code: 'ND507',
    severity: 'warning',
    verdict: 'changed',
    what: /rule 1 of POSTROUTING in nat is no agent's/,
    command: /^iptables -t nat -D POSTROUTING -s 10.244.0.0\/16 -j MASQUERADE$/,
    after: /as from 10.244.1.0$/,
  },
  {
    name: "kube-proxy's chain flushed",
    change: { iptables: ['-t nat -F KUBE-SERVICES'] },
    code: 'ND501',
    what: /chain KUBE-SERVICES of nat is empty: its 7 rules are gone/,
    command: /k8s-app=kube-proxy/,
    after: /^NO_ROUTE/,
  },
  {
    name: 'rules in another order',
    change: {
      iptables: ['-t nat -D FLANNEL-POSTRTG 2', '-t nat -A FLANNEL-POSTRTG -s 10.244.1.0/24 -d 10.244.0.0/16 -m comment --comment "flanneld masq" -j RETURN'],
    },
    code: 'ND505',
    severity: 'warning',
    verdict: 'changed',
    what: /rules of FLANNEL-POSTRTG in nat stand in another order/,
    command: /app=flannel/,
    after: /as from 10.244.1.0$/,
  },
  {
    name: 'ip_forward off',
    change: { sysctls: { 'net.ipv4.ip_forward': 0 } },
    code: 'ND401',
    what: /net.ipv4.ip_forward is 0, not 1/,
    command: /^sysctl -w net.ipv4.ip_forward=1$/,
    after: /^NO_ROUTE at node-1/,
  },
  {
    name: 'rp_filter strict, where nothing comes of it',
    change: { sysctls: { 'net.ipv4.conf.all.rp_filter': 1 } },
    code: 'ND401',
    severity: 'info',
    verdict: 'none',
    what: /net.ipv4.conf.all.rp_filter is 1, not 0/,
    command: /^sysctl -w net.ipv4.conf.all.rp_filter=0$/,
  },
  {
    name: "a pod's veth that is in no bridge",
    change: (dataplane) => ({
      ...dataplane,
      devices: dataplane.devices.map((device) => {
        if (device.kind !== 'veth' || device.peer.netns !== 'shop/web-0') return device
        const { master: _, bridgePort: __, ...rest } = device
        return rest
      }),
    }),
    code: 'ND108',
    what: /of shop\/web-0 is in no bridge, not in cni0/,
    command: /^ip link set dev veth\w+ master cni0$/,
  },
  {
    name: 'hairpin off',
    change: (dataplane) => ({
      ...dataplane,
      devices: dataplane.devices.map((device) => (device.kind === 'veth' && device.peer.netns === 'shop/api-0' ? { ...device, bridgePort: {} } : device)),
    }),
    code: 'ND108',
    what: /of shop\/api-0 has hairpin off as a port of cni0/,
    command: /^bridge link set dev veth\w+ hairpin on$/,
  },
  {
    name: 'an ipset emptied',
    example: CALICO,
    change: { ipset: ['flush cali40all-vxlan-net'] },
    code: 'ND602',
    what: /the set cali40all-vxlan-net is empty/,
    command: /^ipset add cali40all-vxlan-net /,
  },
  {
    name: "Calico's jump taken out of FORWARD",
    example: CALICO,
    change: { iptables: ['-D FORWARD -m comment --comment "cali:wUHhoiAYhphO9Mso" -j cali-FORWARD'] },
    code: 'ND502',
    severity: 'error',
    verdict: 'opened',
    what: /rule 1 of FORWARD in filter is missing/,
    command: /^iptables -t filter -I FORWARD 1 /,
  },
]

describe('faults made on one node', () => {
  it('two of one code are two in SARIF', () => {
    const found = driftAfter(FLANNEL, 'node-1', { ip: ['route add blackhole 10.244.2.0/25', 'route add blackhole 10.244.3.0/25'] })
    expect(found.map(({ code }) => code)).toEqual(['ND204', 'ND204'])
  })

  it.each(FAULTS)('$name', ({ example = FLANNEL, change, options, severity = 'error', verdict = 'lost', ...told }) => {
    expectTold(driftAfter(example, 'node-1', change, options), { ...told, severity, verdict })
  })

  it('together they do what none does alone', () => {
    const findings = driftAfter(FLANNEL, 'node-1', { iptables: ['-P FORWARD DROP', '-F FLANNEL-FWD'] })
    expect(findings.map(({ code, severity, traffic }) => [code, severity, traffic.verdict, traffic.together])).toEqual([
      ['ND501', 'error', 'lost', true],
      ['ND506', 'error', 'lost', true],
    ])
  })
})
