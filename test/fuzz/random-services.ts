/**
 * A random cluster with Services of every kind on it, in the shape of random-world.ts: a world of flannel's, plain docker's or Calico's of the same seed, to
 * which kube-proxy, Services, a host beyond the cluster and questions about them are added. They are drawn from numbers of their own: the world below stays.
 *
 *   seed ─▶ WorldDraft of random-world.ts or random-calico.ts ─▶ + Services, settings of kube-proxy, probes
 */
import { Draw } from './draw.js'
import { randomCalicoWorld } from './random-calico.js'
import { rawPacket } from './random-packets.js'
import { randomWorld, type NodeDraft, type PodDraft, type ProbeDraft, type ResourceDraft, type WorldDraft, type WorldOptions } from './random-world.js'

/** Its segment lies behind the router; Services' addresses outside lie behind nobody. */
const OUTSIDE = { name: 'client', address: '198.51.100.10' } as const
const OUTSIDE_SEGMENT = '198.51.100.0/24'
const SETS = ['a', 'a', 'b'] as const
const FIRST_NODE_PORT = 30000
/** Of what stands below: mostly the Services are asked. */
const PERCENT_SERVICES = 80

interface ServiceDraft {
  readonly resource: ResourceDraft
  readonly port: number
  readonly proto: 'tcp' | 'udp'
  readonly clusterIP: string
  readonly nodePort?: number
  /** External IPs, load balancers. */
  readonly addresses: readonly string[]
}

export function randomServiceWorld(seed: number, options: WorldOptions): WorldDraft {
  const draw = new Draw(seed ^ 0x5e41ce5)
  const below = draw.chance(60) ? randomWorld(seed, options) : randomCalicoWorld(seed, options)
  const pods = below.pods.map((pod) => ({ ...pod, labels: { ...pod.labels, set: draw.pick(SETS) } }))
  // and with it a way out for nodes, which route to a cluster IP before it is translated
  const isOutside = draw.chance(85)
  const segments = isOutside ? [...below.segments, { name: 'out', cidr: OUTSIDE_SEGMENT, mtu: 1500 }] : below.segments
  const services = draw.times(draw.int(1, 4), (index) => serviceDraft(draw, index, { nodes: below.nodes, pods }))
  const draft: WorldDraft = {
    ...below,
    pods,
    segments,
    outside: isOutside ? [OUTSIDE] : [],
    kubeProxy: kubeProxyDraft(draw, below),
    resources: [...(below.resources ?? []), ...services.map(({ resource }) => resource)],
  }
  return { ...draft, probes: below.probes.map((probe) => (draw.chance(PERCENT_SERVICES) ? probeDraft(draw, draft, services, options.odd === true) : probe)) }
}

function kubeProxyDraft(draw: Draw, { cni }: WorldDraft): Readonly<Record<string, unknown>> {
  const local = draw.weighted<Readonly<Record<string, unknown>>>([
    [4, { clusterCIDR: '10.244.0.0/16' }],
    [2, {}],
    [1, { detectLocalMode: 'InterfaceNamePrefix', interfaceNamePrefix: cni === 'calico' || cni === 'canal' ? 'cali' : 'veth' }],
    [1, { detectLocalMode: 'BridgeInterface', bridgeInterface: 'cni0' }],
  ])
  return {
    mode: 'iptables',
    ...local,
    ...(draw.chance(15) ? { masqueradeAll: true } : {}),
    ...(draw.chance(10) ? { masqueradeBit: draw.pick([0, 15, 31]) } : {}),
    ...(draw.chance(15) ? { nodePortAddresses: draw.pick([['primary'], ['192.168.10.0/24'], ['127.0.0.0/8']]) } : {}),
    ...(draw.chance(15) ? { localhostNodePorts: false } : {}),
  }
}

interface Around {
  readonly nodes: readonly NodeDraft[]
  readonly pods: readonly PodDraft[]
}

function serviceDraft(draw: Draw, index: number, { nodes, pods }: Around): ServiceDraft {
  const type = draw.weighted<'ClusterIP' | 'NodePort' | 'LoadBalancer'>([
    [3, 'ClusterIP'],
    [3, 'NodePort'],
    [3, 'LoadBalancer'],
  ])
  const target = draw.pick(draw.pick(pods).ports.concat({ containerPort: 80, protocol: 'TCP' }))
  const nodePort = type === 'ClusterIP' ? undefined : FIRST_NODE_PORT + index
  const externalIPs = draw.chance(25) ? [draw.pick([`203.0.113.${20 + index}`, draw.pick(nodes).address])] : []
  const balanced = type === 'LoadBalancer' ? [draw.chance(80) ? `203.0.114.${20 + index}` : draw.pick(nodes).address] : []
  const port = { name: 'p', port: 80 + index, targetPort: target.containerPort, protocol: target.protocol, ...(nodePort === undefined ? {} : { nodePort }) }
  const clusterIP = `10.96.0.${10 + index}`
  const isLocal = type !== 'ClusterIP' && draw.chance(35)
  const spec = {
    type,
    clusterIP,
    ports: [port],
    selector: { set: draw.chance(15) ? 'nobody' : draw.pick(SETS) },
    ...(externalIPs.length === 0 ? {} : { externalIPs }),
    ...(isLocal ? { externalTrafficPolicy: 'Local' } : {}),
    ...(isLocal && type === 'LoadBalancer' ? { healthCheckNodePort: FIRST_NODE_PORT + 100 + index } : {}),
    ...(draw.chance(15) ? { internalTrafficPolicy: 'Local' } : {}),
    ...(draw.chance(25) ? { sessionAffinity: 'ClientIP' } : {}),
    ...(type === 'LoadBalancer' && draw.chance(40)
      ? { loadBalancerSourceRanges: draw.some(['198.51.100.0/24', '10.244.1.0/24', '192.168.10.11/32', '0.0.0.0/0'], 1, 2) }
      : {}),
  }
  const status = balanced.length === 0 ? {} : { status: { loadBalancer: { ingress: balanced.map((ip) => ({ ip })) } } }
  const resource = { apiVersion: 'v1', kind: 'Service', metadata: { name: `svc-${index}`, namespace: 'default' }, spec, ...status }
  const proto = target.protocol === 'TCP' ? 'tcp' : 'udp'
  return { resource, port: port.port, proto, clusterIP, ...(nodePort === undefined ? {} : { nodePort }), addresses: [...externalIPs, ...balanced] }
}

function probeDraft(draw: Draw, { nodes, pods, outside = [] }: WorldDraft, services: readonly ServiceDraft[], odd: boolean): ProbeDraft {
  const source = draw.weighted([
    [5, draw.pick(pods.map(({ namespace = 'default', name }) => `${namespace}/${name}`))],
    [3, `node/${draw.pick(nodes).name}`],
    [outside.length === 0 ? 0 : 3, `host/${OUTSIDE.name}`],
  ])
  const { clusterIP, nodePort, port, proto, addresses } = draw.pick(services)
  // nobody leads a host outside to a cluster IP
  const doors: [number, readonly [string, number]][] = [
    [source.startsWith('host/') ? 1 : 4, [clusterIP, port]],
    ...addresses.map((address): [number, readonly [string, number]] => [3, [address, port]]),
  ]
  if (nodePort !== undefined) doors.push([4, [draw.pick(nodes).address, nodePort]])
  if (nodePort !== undefined && source.startsWith('node/')) doors.push([2, ['127.0.0.1', nodePort]])
  const [address, number] = draw.weighted(doors)
  // a source of 0.0.0.0 the kernel fills in
  if (draw.chance(10)) {
    const packet = rawPacket(draw, { own: '0.0.0.0', destination: address, others: [OUTSIDE.address], odd })
    return { kind: 'raw', source, packet: { ...packet, dport: number } }
  }
  const asked = draw.weighted<'tcp' | 'udp' | 'icmp'>([
    [12, proto],
    [1, proto === 'tcp' ? 'udp' : 'tcp'],
    [1, 'icmp'],
  ])
  return {
    kind: 'ask',
    source,
    destination: asked === 'icmp' ? address : `${address}:${draw.chance(95) ? number : number + 1}`,
    ...(asked === 'icmp' ? {} : { proto: asked }),
    ...(draw.chance(15) ? { size: draw.int(60, 1600) } : {}),
    df: draw.chance(20),
    ttl: draw.chance(85) ? 64 : draw.int(1, 5),
    cold: draw.chance(10),
  }
}
