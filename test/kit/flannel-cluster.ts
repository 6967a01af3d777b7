/**
 * A small flannel cluster from a few words: the classic picture of two hosts, with the faults that a test wants in it.
 *
 *   host-a 192.168.0.100   pod-a 10.1.15.2, pod-a2 10.1.15.3        lease 10.1.15.0/24
 *   host-b 192.168.0.200   pod-b 10.1.20.3                          lease 10.1.20.0/24
 *                          router 192.168.0.254
 */
export type Backend = 'udp' | 'vxlan' | 'host-gw' | 'ipip' | 'wireguard' | 'alloc' | 'aws-vpc' | 'gce'

/** What the owner of a host did by hand. */
export interface HostWords {
  readonly sourceDestinationCheck?: boolean
  readonly iptables?: readonly string[]
  readonly ip?: readonly string[]
  readonly bridge?: readonly string[]
  readonly sysctls?: Readonly<Record<string, number>>
}

export interface PodWords {
  readonly name: string
  readonly node: string
  readonly address?: string
  /** Declared TCP and UDP ports; absent: listens on all. */
  readonly ports?: readonly number[]
}

export interface NodeWords {
  readonly name: string
  readonly address: string
  readonly annotations?: Readonly<Record<string, string>>
}

export interface ClusterWords {
  readonly backend: Backend
  /** More of the Backend object: VNI, Port, DirectRouting. */
  readonly backendOptions?: Readonly<Record<string, unknown>>
  readonly network?: string
  readonly version?: string
  readonly ipMasq?: boolean
  readonly runtime?: Readonly<Record<string, unknown>>
  readonly hosts?: Readonly<Record<string, HostWords>>
  readonly nodes?: readonly NodeWords[]
  readonly pods?: readonly PodWords[]
  /** Lease keys and values in place of, or beside, the usual ones; null takes one away. */
  readonly leases?: Readonly<Record<string, string | object | null>>
  readonly macs?: Readonly<Record<string, string>>
  readonly underlay?: Readonly<Record<string, unknown>>
  readonly cni?: 'flannel' | 'none'
}

export const VTEP_A = 'ee:00:00:00:00:0a'
export const VTEP_B = 'ee:00:00:00:00:0b'

/** Public keys of the wireguard backend. */
export const KEY_A = 'YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE='
export const KEY_B = 'YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmI='

export const NODES: readonly NodeWords[] = [
  { name: 'host-a', address: '192.168.0.100' },
  { name: 'host-b', address: '192.168.0.200' },
]

export const PODS: readonly PodWords[] = [
  { name: 'pod-a', node: 'host-a', address: '10.1.15.2' },
  { name: 'pod-a2', node: 'host-a', address: '10.1.15.3' },
  { name: 'pod-b', node: 'host-b', address: '10.1.20.3' },
]

export const UNDERLAY = { segments: [{ name: 's0', cidr: '192.168.0.0/24', router: '192.168.0.254', mtu: 1500 }] }

/** The value of a lease, as flanneld of that backend writes it. */
export function leaseValue(backend: Backend, publicIp: string, vtepMac = '', publicKey = ''): string {
  if (backend === 'udp' || backend === 'alloc' || backend === 'aws-vpc' || backend === 'gce') return JSON.stringify({ PublicIP: publicIp })
  if (backend === 'host-gw' || backend === 'ipip') return JSON.stringify({ PublicIP: publicIp, BackendType: backend })
  if (backend === 'wireguard') return JSON.stringify({ PublicIP: publicIp, BackendType: 'wireguard', BackendData: { PublicKey: publicKey, Port: 51820 } })
  return JSON.stringify({ PublicIP: publicIp, BackendType: 'vxlan', BackendData: { VtepMAC: vtepMac } })
}

function etcdOf(words: ClusterWords): Record<string, string | object> {
  const { backend } = words
  const config = { Network: words.network ?? '10.1.0.0/16', Backend: { Type: backend, ...words.backendOptions } }
  const leases: Record<string, string | object | null> = {
    '10.1.15.0-24': leaseValue(backend, '192.168.0.100', VTEP_A, KEY_A),
    '10.1.20.0-24': leaseValue(backend, '192.168.0.200', VTEP_B, KEY_B),
    ...words.leases,
  }
  const entries: Record<string, string | object> = { '/coreos.com/network/config': JSON.stringify(config) }
  for (const [subnet, value] of Object.entries(leases)) if (value !== null) entries[`/coreos.com/network/subnets/${subnet}`] = value
  return entries
}

/** The documents, as netsim reads them. */
export function flannelCluster(words: ClusterWords): string {
  const cni = words.cni ?? 'flannel'
  const nodes = (words.nodes ?? NODES).map(({ name, address, annotations }) => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, annotations: annotations ?? {} },
    status: { addresses: [{ type: 'InternalIP', address }] },
  }))
  const pods = (words.pods ?? PODS).map(({ name, node, address, ports }) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      nodeName: node,
      containers: [{ name: 'c', image: 'x', ports: (ports ?? []).flatMap((port) => ['TCP', 'UDP'].map((protocol) => ({ containerPort: port, protocol }))) }],
    },
    status: { phase: 'Running', ...(address === undefined ? {} : { podIP: address }) },
  }))
  const network = {
    apiVersion: 'netsim/v1',
    kind: 'Network',
    metadata: { name: 'default' },
    spec: {
      cni,
      runtime: { name: 'docker', iptables: false, ...words.runtime },
      kubeProxy: { mode: 'none' },
      underlay: words.underlay ?? UNDERLAY,
      ...(cni === 'none'
        ? {}
        : {
            datastore: 'etcd',
            etcd: etcdOf(words),
            flannel: { ipMasq: words.ipMasq ?? true, version: words.version ?? (words.backend === 'wireguard' ? '0.28.9' : '0.11.0'), iface: 'eth0' },
          }),
      hosts: Object.entries(words.hosts ?? {}).map(([node, host]) => ({ node, ...host })),
      pins: { macs: words.macs ?? {} },
    },
  }
  return [...nodes, ...pods, network].map((document) => JSON.stringify(document)).join('\n---\n')
}
