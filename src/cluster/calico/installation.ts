/**
 * `Installation` of operator.tigera.io: what the operator would install → calico-node's environment, the IPPools it makes, the CNI plugin's settings.
 * Source: tigera/operator pkg/controller/ippool/defaults.go (fillDefaults), pkg/controller/installation/core_controller.go (fillDefaults: BGP),
 * pkg/render/node.go (nodeEnvVars).
 */
import * as v from 'valibot'
import { overlaps, type Cidr } from '../../base/cidr.js'
import { ip } from '../../base/ip.js'
import type { Path } from '../located.js'
import type { KubernetesObject } from '../manifest.js'
import type { ProblemList } from '../problem-list.js'
import { lazily, optional } from '../schema.js'
import { IP_POOL_DEFAULTS, type EncapsulationMode, type IPPool, type PoolUse } from './ip-pool.js'
import { blockSizeOf, readCidr } from './read-ip-pool.js'
import { flag, given, list, resourceSchema, ResourceReader, text } from './resource-reader.js'

export interface Installation {
  readonly object: KubernetesObject
  /** Of calico-node, as the operator writes it. */
  readonly environment: Readonly<Record<string, string>>
  /** Those that it makes where the cluster has none; absent: none are said, the default is made. */
  readonly ipPools?: readonly IPPool[]
  /** What is made where none are said. */
  readonly defaultPool: { readonly cidr: Cidr; readonly encapsulation: Encapsulation }
  readonly ipam: 'calico-ipam' | 'host-local'
  readonly allowsIpForwarding: boolean
  /** Of pods and tunnels. */
  readonly mtu?: number
}

const ENCAPSULATIONS = ['IPIP', 'IPIPCrossSubnet', 'VXLAN', 'VXLANCrossSubnet', 'None'] as const
type Encapsulation = (typeof ENCAPSULATIONS)[number]

const SWITCH = ['Enabled', 'Disabled'] as const
const anything = () => optional(v.unknown())

const poolEntries = () =>
  ({
    name: text(),
    cidr: v.string(),
    encapsulation: optional(v.picklist([...ENCAPSULATIONS, ''])),
    natOutgoing: optional(v.picklist([...SWITCH, ''])),
    nodeSelector: text(),
    blockSize: optional(v.number()),
    disableBGPExport: flag(),
    disableNewAllocations: flag(),
    allowedUses: list(v.picklist(['Workload', 'Tunnel', 'LoadBalancer'])),
    assignmentMode: optional(v.picklist(['Automatic', 'Manual', ''])),
  }) as const

const networkEntries = () =>
  ({
    bgp: optional(v.picklist(SWITCH)),
    ipPools: list(v.looseObject(poolEntries())),
    mtu: optional(v.number()),
    containerIPForwarding: optional(v.picklist(SWITCH)),
    linuxDataplane: text(),
    nodeAddressAutodetectionV4: optional(v.looseObject({ firstFound: flag() })),
    nodeAddressAutodetectionV6: anything(),
    hostPorts: text(),
    multiInterfaceMode: text(),
    windowsDataplane: text(),
    sysctl: anything(),
    linuxPolicySetupTimeoutSeconds: anything(),
    bpfNetworkBootstrap: text(),
    kubeProxyManagement: text(),
  }) as const

const schema = lazily(() =>
  resourceSchema({
    kubernetesProvider: text(),
    cni: optional(v.looseObject({ type: text(), ipam: optional(v.looseObject({ type: text() })) })),
    calicoNetwork: optional(v.looseObject(networkEntries())),
  }),
)

type Spec = NonNullable<v.InferOutput<ReturnType<typeof schema>>['spec']>
type Network = NonNullable<Spec['calicoNetwork']>
type PoolSpec = NonNullable<Network['ipPools']>[number]

/** undefined: there is none, or it is wrong beyond use (reported). */
export function readInstallation(objects: readonly KubernetesObject[], problems: ProblemList): Installation | undefined {
  const object = objects.find(({ apiVersion, kind }) => kind === 'Installation' && apiVersion.startsWith('operator.tigera.io/'))
  if (object === undefined) return undefined
  const reader = new ResourceReader(object, problems)
  const value = reader.check(schema())
  if (value === undefined) return undefined
  const spec = value.spec ?? {}
  const network = spec.calicoNetwork ?? {}
  nameUnmodelled(spec, network, reader)
  const ipam = spec.cni?.ipam?.type === 'HostLocal' ? 'host-local' : 'calico-ipam'
  const onEks = spec.kubernetesProvider === 'EKS'
  const { ipPools, mtu } = given({ ipPools: network.ipPools, mtu: network.mtu })
  return {
    object,
    environment: environmentOf(mtu, { ipam, bgp: (network.bgp ?? (onEks ? 'Disabled' : 'Enabled')) === 'Enabled' }),
    ...(ipPools === undefined ? {} : { ipPools: poolsOf(ipPools, value.metadata, reader) }),
    defaultPool: onEks ? { cidr: { base: ip('172.16.0.0'), length: 16 }, encapsulation: 'VXLAN' } : { cidr: DEFAULT_CIDR, encapsulation: 'IPIP' },
    ipam,
    allowsIpForwarding: network.containerIPForwarding === 'Enabled',
    ...given({ mtu }),
  }
}

const DEFAULT_CIDR: Cidr = { base: ip('192.168.0.0'), length: 16 }

/** What would change packets and is not acted on, and fields that nobody here knows. */
function nameUnmodelled({ cni }: Spec, network: Network, reader: ResourceReader): void {
  const path = ['spec', 'calicoNetwork'] as const
  nameUnknown(network, { known: networkEntries(), path }, reader)
  for (const [at, pool] of (network.ipPools ?? []).entries()) nameUnknown(pool, { known: poolEntries(), path: [...path, 'ipPools', at] }, reader)
  if ((cni?.type ?? 'Calico') !== 'Calico')
    reader.warning(
      ['spec', 'cni', 'type'],
      `the CNI plugin ${cni?.type} is not modelled: pods are plugged in as Calico's own plugin does`,
      'netsim knows Calico.',
    )
  const dataplane = network.linuxDataplane ?? 'Iptables'
  if (dataplane !== 'Iptables')
    reader.warning([...path, 'linuxDataplane'], `the dataplane ${dataplane} is not modelled: shown is what Felix does with iptables`, 'netsim knows Iptables.')
  const autodetection = network.nodeAddressAutodetectionV4 ?? { firstFound: true }
  if (autodetection.firstFound !== true && !('kubernetes' in autodetection))
    reader.warning(
      [...path, 'nodeAddressAutodetectionV4'],
      'not followed: each node is taken to find its InternalIP',
      'Write projectcalico.org/IPv4Address on the nodes.',
    )
}

function nameUnknown(value: object, { known, path }: { readonly known: object; readonly path: Path }, reader: ResourceReader): void {
  for (const field of Object.keys(value)) {
    if (!(field in known))
      reader.warning(
        [...path, field],
        `${field}: a field that is not known here, left out`,
        'See the fields of the operator that netsim reads in docs/calico.md.',
      )
  }
}

/** With the backend vxlan there is no BIRD; Felix makes tunnels for the pools that want them. */
function environmentOf(mtu: number | undefined, { ipam, bgp }: { readonly ipam: Installation['ipam']; readonly bgp: boolean }): Record<string, string> {
  return {
    CALICO_NETWORKING_BACKEND: bgp ? 'bird' : ipam === 'host-local' ? 'none' : 'vxlan',
    CLUSTER_TYPE: bgp ? 'k8s,operator,bgp' : 'k8s,operator',
    IP: 'autodetect',
    NO_DEFAULT_POOLS: 'true',
    FELIX_DEFAULTENDPOINTTOHOSTACTION: 'ACCEPT',
    FELIX_IPV6SUPPORT: 'false',
    ...(ipam === 'host-local' ? { USE_POD_CIDR: 'true' } : {}),
    ...(mtu === undefined ? {} : { FELIX_VXLANMTU: `${mtu}`, FELIX_WIREGUARDMTU: `${mtu}`, ...(bgp ? { FELIX_IPINIPMTU: `${mtu}` } : {}) }),
  }
}

function poolsOf(specs: readonly PoolSpec[], metadata: Parameters<ResourceReader['head']>[0], reader: ResourceReader): IPPool[] {
  const pools = specs.flatMap((spec, at): IPPool[] => {
    const path = ['spec', 'calicoNetwork', 'ipPools', at]
    const cidr = readCidr(spec.cidr, [...path, 'cidr'], reader)
    if (cidr === undefined) return []
    const name = spec.name || (specs.length === 1 ? 'default-ipv4-ippool' : spec.cidr.replace('/', '-'))
    const uses = (spec.allowedUses ?? []) as readonly PoolUse[]
    return [
      {
        ...reader.head(metadata),
        ...reader.at(path),
        ...IP_POOL_DEFAULTS,
        name,
        cidr,
        ...modesOf(spec.encapsulation || 'IPIP'),
        natOutgoing: spec.natOutgoing !== 'Disabled',
        disabled: spec.disableNewAllocations === true,
        disableBGPExport: spec.disableBGPExport === true,
        blockSize: blockSizeOf({ cidr, blockSize: spec.blockSize, path }, reader),
        nodeSelector: reader.selector(spec.nodeSelector, [...path, 'nodeSelector']) || IP_POOL_DEFAULTS.nodeSelector,
        ...(uses.length > 0 ? { allowedUses: uses } : {}),
        ...(spec.assignmentMode ? { assignmentMode: spec.assignmentMode } : {}),
      },
    ]
  })
  for (const [at, pool] of pools.entries()) {
    const other = pools.slice(0, at).find((earlier) => overlaps(earlier.cidr, pool.cidr))
    if (other !== undefined) reader.error(['spec', 'calicoNetwork', 'ipPools'], `the pools ${other.name} and ${pool.name} overlap`, 'Make the pools disjoint.')
  }
  return pools
}

export function modesOf(encapsulation: Encapsulation): Pick<IPPool, 'ipipMode' | 'vxlanMode'> {
  const mode: EncapsulationMode = encapsulation === 'None' ? 'Never' : encapsulation.endsWith('CrossSubnet') ? 'CrossSubnet' : 'Always'
  return { ipipMode: encapsulation.startsWith('IPIP') ? mode : 'Never', vxlanMode: encapsulation.startsWith('VXLAN') ? mode : 'Never' }
}
