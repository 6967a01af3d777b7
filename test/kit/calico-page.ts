/**
 * The table of docs/calico.md that compares networks, each cell out of a simulation of the same two nodes and four pods: bytes from the frames of a trace,
 * policy from a trace that a NetworkPolicy forbids, addresses from the IPAM of each network for a pod that is made anew on the other node.
 */
import { formatIp } from '../../src/base/ip.js'
import { podHandle } from '../../src/calico/ipam/address-plan.js'
import type { Network } from '../../src/network/network.js'
import { answer, networkOf } from './network.js'

const SIZE = 1000
const ETHERNET = 14

interface World {
  readonly name: string
  /** Beside nodes, pods and policy. */
  readonly objects: readonly string[]
}

const pool = (modes: string): string =>
  `{apiVersion: projectcalico.org/v3, kind: IPPool, metadata: {name: pool}, spec: {cidr: 10.244.0.0/16, natOutgoing: true${modes}}}`
const cni = (name: string): string => `{apiVersion: netsim/v1, kind: Network, metadata: {name: default}, spec: {cni: ${name}, kubeProxy: {mode: none}}}`
const netConf = (name: string): string =>
  `{apiVersion: v1, kind: ConfigMap, metadata: {name: ${name}, namespace: kube-system}, ` +
  `data: {net-conf.json: '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}'}}`
const WIREGUARD = '{apiVersion: projectcalico.org/v3, kind: FelixConfiguration, metadata: {name: default}, spec: {wireguardEnabled: true}}'

const WORLDS: readonly World[] = [
  { name: 'flannel, vxlan', objects: [cni('flannel'), netConf('kube-flannel-cfg')] },
  { name: 'Canal', objects: [cni('canal'), netConf('canal-config')] },
  { name: 'Calico, no encapsulation', objects: [cni('calico'), pool('')] },
  { name: 'Calico, IPIP', objects: [cni('calico'), pool(', ipipMode: Always')] },
  { name: 'Calico, VXLAN', objects: [cni('calico'), pool(', vxlanMode: Always')] },
  { name: 'Calico, WireGuard', objects: [cni('calico'), pool(''), WIREGUARD] },
]

const NODES = ['node-1', 'node-2'].map(
  (name, at) =>
    `{apiVersion: v1, kind: Node, metadata: {name: ${name}}, spec: {podCIDR: 10.244.${at + 1}.0/24}, ` +
    `status: {addresses: [{type: InternalIP, address: 192.168.10.1${at + 1}}]}}`,
)
const POLICY =
  '{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: nobody}, ' +
  'spec: {podSelector: {matchLabels: {app: guarded}}, policyTypes: [Ingress]}}'

function pod(name: string, node: string, annotations = ''): string {
  return `{apiVersion: v1, kind: Pod, metadata: {name: ${name}, labels: {app: ${name}}${annotations}}, spec: {nodeName: ${node}}}`
}

function build({ objects }: World, moving: string): Network {
  const pods = [pod('client', 'node-1'), moving, pod('peer', 'node-2'), pod('guarded', 'node-2')]
  return networkOf([...NODES, ...pods, POLICY, ...objects].join('\n---\n'))
}

function addressOf(network: Network, name: string): string {
  return formatIp(network.pods.find((plan) => plan.pod.name === name)?.address ?? 0)
}

/** The pod is deleted on node-1, and one of the same name made on node-2. */
function madeAnew(world: World, before: Network): string {
  const ipam = before.calico?.cluster.manifest.ipam === 'calico-ipam' ? before.calico.cluster.addresses.ipam : undefined
  if (ipam === undefined) return addressOf(build(world, pod('moving', 'node-2')), 'moving')
  ipam.releaseByHandle(podHandle('default', 'moving'))
  const attribute = { handleId: podHandle('default', 'moving'), secondary: { namespace: 'default', node: 'node-2', pod: 'moving' } }
  const given = ipam.autoAssign({ node: 'node-2', nodeLabels: {}, namespaceLabels: {}, requestedPools: [], use: 'Workload', attribute, now: 0 })
  return 'failure' in given ? given.failure : formatIp(given.address)
}

function row(world: World): string {
  const before = build(world, pod('moving', 'node-1'))
  const { frames } = answer(before, 'client', 'peer', { size: SIZE }).document.forward
  const wire = frames.find(({ netns, device, direction }) => netns === 'node-1' && device === 'eth0' && direction === 'tx')?.length ?? 0
  const mtu = before.pods[0].dataplane.devices.find(({ name }) => name === 'eth0')?.mtu
  const denied = answer(before, 'client', 'guarded').outcome.forward.disposition
  const address = addressOf(before, 'moving')
  const anew = madeAnew(world, before)
  const asking = build(world, pod('moving', 'node-2', `, annotations: {cni.projectcalico.org/ipAddrs: '["${address}"]'}`))
  const asked = addressOf(asking, 'moving')
  const reached = answer(asking, 'client', 'moving').outcome.forward.disposition
  const cells = [
    world.name,
    `${wire - ETHERNET - SIZE}`,
    `${wire}`,
    `${mtu}`,
    `${denied === 'DENIED' ? 'enforced' : 'not enforced'} (${denied})`,
    `${address} → ${anew}: ${address === anew ? 'kept' : 'another'}`,
    `${asked === address ? 'kept' : 'another'} (${asked}, ${reached})`,
  ]
  return `| ${cells.join(' | ')} |`
}

export function comparisonTable(): string {
  const head = [
    'network',
    `bytes added to ${SIZE}`,
    'frame on the wire',
    'MTU of a pod',
    'NetworkPolicy',
    'pod made anew on the other node',
    'and asking for its address',
  ]
  return [`| ${head.join(' | ')} |`, `|${'---|'.repeat(head.length)}`, ...WORLDS.map(row)].join('\n')
}
