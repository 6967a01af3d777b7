/** Clusters as people give them, of a few kinds of objects alone: what the node shows is taken from it, what nobody can judge is named, no false finding. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { formatCidr } from '../../../src/base/cidr.js'
import { formatIp } from '../../../src/base/ip.js'
import { driftOf, type DriftOptions, DRIFT_DEFAULTS } from '../../../src/analysis/drift/drift.js'
import type { DriftReport } from '../../../src/analysis/drift/finding.js'
import { withHostFacts } from '../../../src/analysis/drift/host-facts.js'
import { toldByDumps } from '../../../src/analysis/drift/told-by-dumps.js'
import { hasErrors } from '../../../src/base/problem.js'
import { buildCluster } from '../../../src/cluster/cluster.js'
import type { CollectedNode } from '../../../src/collected/collected-node.js'
import type { Dataplane } from '../../../src/dataplane/dataplane.js'
import { buildNetwork } from '../../../src/network/build-network.js'
import type { Network } from '../../../src/network/network.js'
import { asKubectlGives, GIVEN, type Keep } from './as-kubectl-gives.js'
import { dumpOf } from './dump-kit.js'

const EXAMPLES = ['flannel-vxlan', 'flannel-host-gw', 'services-flannel', 'workloads', 'calico-vxlan', 'calico-none', 'calico-ipip', 'services-calico', 'canal']

function networkOf(text: string, file: string): Network {
  const { cluster, problems } = buildCluster([{ file, text }])
  expect(problems.filter(({ severity }) => severity === 'error')).toEqual([])
  return buildNetwork(cluster, { seed: 1 }).network
}

function exampleOf(name: string, change = (text: string): string => text): Network {
  const file = `examples/${name}.yaml`
  return networkOf(change(readFileSync(file, 'utf8')), file)
}

/** With what the script gathers beside the kernel's state. */
function dumped(network: Network, node: string, change = (dataplane: Dataplane): Dataplane => dataplane): CollectedNode {
  const plan = network.nodePlan(node)
  if (plan === undefined) throw new Error(node)
  const { cni } = network.cluster
  const env = network.subnetEnvs().get(node)
  const subnetEnv: Record<string, string> =
    env?.network === undefined
      ? {}
      : {
          'node/subnet.env': `FLANNEL_NETWORK=${formatCidr(env.network)}\nFLANNEL_SUBNET=${formatIp(env.subnet.address)}/${env.subnet.length}\nFLANNEL_MTU=${env.mtu}\nFLANNEL_IPMASQ=true\n`,
        }
  const plugins = cni === 'flannel' ? [{ type: 'flannel' }, { type: 'portmap' }] : [{ type: 'calico' }, { type: 'portmap' }]
  return dumpOf(change(plan.dataplane), plan.pods, { files: { ...subnetEnv, 'node/cni/10-cni.conflist': JSON.stringify({ name: 'pods', plugins }) } })
}

interface Asked {
  readonly report: DriftReport
  readonly told: readonly string[]
}

/** As the command does it. */
function driftGiven(text: string, dumps: readonly CollectedNode[], options: Partial<DriftOptions> = {}): Asked {
  const inputs = [{ file: 'cluster.json', text }]
  const first = buildCluster(inputs)
  const told = toldByDumps(first.cluster, dumps)
  const { cluster, problems } = buildCluster([...inputs, ...told.inputs])
  const { network, problems: more } = buildNetwork(withHostFacts(cluster, dumps), { seed: 1 })
  expect([...problems, ...more].filter(({ severity }) => severity === 'error')).toEqual([])
  expect(hasErrors(more)).toBe(false)
  const nodes = dumps.map((collected) => ({ name: collected.name, dataplane: collected.dataplane, collected }))
  return { report: driftOf(network, nodes, { ...DRIFT_DEFAULTS, ...options }), told: told.words }
}

function found({ findings }: DriftReport): readonly string[] {
  return findings.map(({ code, severity, what }) => `${code} ${severity} ${what}`)
}

describe.each(Object.keys(GIVEN))('kubectl get %s -o json', (given) => {
  it.each(EXAMPLES)('%s: nothing is wrong, and nothing is found', (example) => {
    const network = exampleOf(example)
    const [{ name }] = network.cluster.nodes
    const { report, told } = driftGiven(asKubectlGives(network, GIVEN[given]), [dumped(network, name)])
    expect(found(report)).toEqual([])
    expect(report.metadata.cni, told.join('; ')).toBe(network.cluster.cni)
    expect(report.metadata.nodes[0].compared).toBeGreaterThan(20)
  })
})

const LITTLE: Keep = GIVEN['nodes,pods,services, of nodes without annotations']

describe('what no input says', () => {
  it('is said to be taken from the dump, with its line', () => {
    const network = exampleOf('flannel-host-gw')
    const { told } = driftGiven(asKubectlGives(network, LITTLE), [dumped(network, 'node-1')])
    expect(told[0]).toBe('the CNI is flannel (node-1.dump/node/cni/10-cni.conflist)')
    expect(told[1]).toBe(`flannel's configuration is {"Network":"10.244.0.0/16","Backend":{"Type":"host-gw"}} (node-1.dump/node/subnet.env)`)
  })

  it.each(['0.20.2', '0.19.2', '0.9.1'])("flannel's version: rules of %s are no drift", (version) => {
    const network = exampleOf('flannel-vxlan', (text) => text.replace('flannel:v0.28.9', `flannel:v${version}`))
    const { report, told } = driftGiven(asKubectlGives(network, LITTLE), [dumped(network, 'node-1')])
    expect(found(report)).toEqual([])
    expect(told.join('\n')).toMatch(/flannel's version is in no object; its rules are those of 0\.\d+\.\d+/)
  })

  it('another VNI, another port', () => {
    const network = exampleOf('flannel-vxlan', (text) => text.replace('{"Type": "vxlan"}', '{"Type": "vxlan", "VNI": 4096, "Port": 4789}'))
    expect(found(driftGiven(asKubectlGives(network, LITTLE), [dumped(network, 'node-1')]).report)).toEqual([])
  })

  it('a fault is found all the same', () => {
    const network = exampleOf('flannel-vxlan')
    const gone = dumped(network, 'node-1', (dataplane) => ({ ...dataplane, routes: dataplane.routes.filter(({ via }) => via !== 0x0af40200) }))
    const { report } = driftGiven(asKubectlGives(network, LITTLE), [gone])
    expect(found(report)).toEqual(['ND201 error node-1: the route to 10.244.2.0/24 of the pods of node-2 is missing'])
  })
})

describe('what is not in the input', () => {
  const HERE = ['services-flannel', 'services-calico'] as const

  it.each(HERE)('%s: endpoints of a Service without a selector (default/kubernetes)', (example) => {
    const slice = {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: 'kubernetes', namespace: 'default', labels: { 'kubernetes.io/service-name': 'kubernetes' } },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['192.168.0.250'], conditions: { ready: true } }],
      ports: [{ name: 'https', port: 6443, protocol: 'TCP' }],
    }
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'kubernetes', namespace: 'default' },
      spec: { clusterIP: '10.96.0.1', ports: [{ name: 'https', port: 443, targetPort: 6443 }] },
    }
    const network = exampleOf(example, (text) => `${text}\n---\n${JSON.stringify(slice)}\n---\n${JSON.stringify(service)}\n`)
    const { report } = driftGiven(asKubectlGives(network, GIVEN['nodes,pods,services']), [dumped(network, 'node-1')])
    expect(found(report)).toEqual([])
    expect(report.notJudged.join('\n')).toContain('the rules of the Service default/kubernetes')
  })

  it.each(HERE)('%s: a namespace that was not asked for', (example) => {
    const network = exampleOf(example)
    const some: Keep = (kind, object) => ((object.metadata as { namespace?: string }).namespace === 'shop' || kind === 'Node' ? object : undefined)
    const { report, told } = driftGiven(asKubectlGives(network, some), [dumped(network, 'node-1')])
    expect(found(report)).toEqual([])
    expect([...report.notJudged, ...told].join('\n')).toMatch(/kube-system|tools/)
  })

  it('the blocks of Calico: other tunnel addresses, empty blocks', () => {
    const network = exampleOf('calico-vxlan')
    const elsewhere = dumped(network, 'node-1', (dataplane) => ({
      ...dataplane,
      devices: dataplane.devices.map((device) =>
        device.name === 'vxlan.calico' ? { ...device, addresses: device.addresses.map((one) => ({ ...one, address: 0x0af43c05 })) } : device,
      ),
      neighbours: dataplane.neighbours.map((one) => (one.device === 'vxlan.calico' ? { ...one, address: 0x0af43240 } : one)),
      routes: dataplane.routes.flatMap((route) => {
        if (route.device !== 'vxlan.calico') return route.type === 'blackhole' ? [route, { ...route, destination: { base: 0x0af43c00, length: 26 } }] : [route]
        return [
          { ...route, via: 0x0af43240 },
          { ...route, via: 0x0af43240, destination: { base: 0x0af43240, length: 26 } },
          { ...route, via: 0x0af43240, destination: { base: 0x0af4c840, length: 26 } },
        ]
      }),
      ipsets: dataplane.ipsets.map((set) =>
        set.name === 'cali40this-host'
          ? { ...set, members: set.members.map((one) => (one.element === '10.244.84.128' ? { element: '10.244.60.5' } : one)) }
          : set,
      ),
    }))
    const { report } = driftGiven(asKubectlGives(network, GIVEN['nodes,pods']), [elsewhere])
    expect(found(report)).toEqual([])
    expect(report.notJudged.join('\n')).toMatch(/the routes to 1 block of addresses/)
  })
})
