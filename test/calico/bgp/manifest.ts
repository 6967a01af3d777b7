/**
 * Manifests of a small cluster for BGP: nodes n1 … at 10.0.0.1 …, each with the block 10.244.N.0/26 and a pod pN, in the shape in which dumps of a real
 * cluster come: annotations on Nodes, BlockAffinity objects, crd.projectcalico.org.
 */
const CRD = 'crd.projectcalico.org/v1'

export interface BgpManifest {
  readonly nodes: number
  /** Names of those that reflect, with the label route-reflector. */
  readonly reflectors?: readonly string[]
  /** By name; else 244.0.0.1. */
  readonly clusterIds?: Readonly<Record<string, string>>
  /** Workers peer with reflectors. */
  readonly peers?: boolean
  /** Reflectors with one another. */
  readonly reflectorsPeer?: boolean
  /** Absent: while nobody reflects. */
  readonly mesh?: boolean
  readonly pool?: object
  /** More of BGPConfiguration. */
  readonly bgp?: object
  /** More of the Network document. */
  readonly network?: object
  /** Nodes without a block; reflectors of the reference's measurements have none. */
  readonly blockless?: readonly string[]
  readonly objects?: readonly object[]
}

export function bgpManifest(manifest: BgpManifest): string {
  const { reflectors = [], peers = true, blockless = [] } = manifest
  const names = Array.from({ length: manifest.nodes }, (_, i) => `n${i + 1}`)
  const resource = (kind: string, name: string, spec: object): object => ({ apiVersion: CRD, kind, metadata: { name }, spec })
  const objects = [
    ...names.map((name, i) => node(name, i + 1, reflectors.includes(name) ? (manifest.clusterIds?.[name] ?? '244.0.0.1') : undefined)),
    resource('IPPool', 'default-ipv4-ippool', {
      cidr: '10.244.0.0/16',
      blockSize: 26,
      ipipMode: 'Never',
      vxlanMode: 'Never',
      natOutgoing: false,
      ...manifest.pool,
    }),
    ...names
      .filter((name) => !blockless.includes(name))
      .map((name) => resource('BlockAffinity', `${name}-block`, { cidr: blockOf(name), node: name, state: 'confirmed', deleted: 'false' })),
    resource('BGPConfiguration', 'default', { nodeToNodeMeshEnabled: manifest.mesh ?? reflectors.length === 0, asNumber: 64512, ...manifest.bgp }),
    ...(reflectors.length === 0 || !peers
      ? []
      : [resource('BGPPeer', 'to-reflectors', { nodeSelector: '!has(route-reflector)', peerSelector: 'has(route-reflector)' })]),
    ...(reflectors.length > 1 && peers && manifest.reflectorsPeer !== false
      ? [resource('BGPPeer', 'reflectors', { nodeSelector: 'has(route-reflector)', peerSelector: 'has(route-reflector)' })]
      : []),
    ...(manifest.objects ?? []),
    ...names.filter((name) => !blockless.includes(name)).map((name) => pod(name)),
    {
      apiVersion: 'netsim/v1',
      kind: 'Network',
      metadata: { name: 'default' },
      spec: { cni: 'calico', datastore: 'kubernetes', kubeProxy: { mode: 'none' }, ...manifest.network },
    },
  ]
  return objects.map((object) => JSON.stringify(object)).join('\n---\n')
}

export function blockOf(name: string): string {
  return `10.244.${name.slice(1)}.0/26`
}

function node(name: string, number: number, clusterId: string | undefined): object {
  const address = `10.0.0.${number}`
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      labels: clusterId === undefined ? {} : { 'route-reflector': 'true' },
      annotations: {
        'projectcalico.org/IPv4Address': `${address}/24`,
        ...(clusterId === undefined ? {} : { 'projectcalico.org/RouteReflectorClusterID': clusterId }),
      },
    },
    status: { addresses: [{ type: 'InternalIP', address }] },
  }
}

function pod(node: string): object {
  const number = node.slice(1)
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `p${number}`, labels: { app: `p${number}` } },
    spec: { nodeName: node, containers: [{ name: 'c', image: 'x', ports: [{ containerPort: 80 }] }] },
    status: { podIP: `10.244.${number}.5`, phase: 'Running' },
  }
}
