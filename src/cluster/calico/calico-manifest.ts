/**
 * What the manifests of Calico and Canal say: the environment of calico-node's DaemonSet, the CNI configuration in its ConfigMap, and the pools
 * that are made where there are none. Without a DaemonSet in the input the operator's Installation says it, else it is that of the release's own
 * calico.yaml or canal.yaml. Source: calico manifests/{calico,canal}.yaml, node/pkg/lifecycle/startup/startup.go (configureIPPools),
 * cni-plugin/pkg/types.
 */
import { formatCidr, overlaps, parseCidr, type Cidr } from '../../base/cidr.js'
import { ip } from '../../base/ip.js'
import { readEnvironment } from '../environment.js'
import { isObject, type JsonObject, type JsonValue } from '../located.js'
import type { KubernetesObject } from '../manifest.js'
import type { Place, ProblemList } from '../problem-list.js'
import type { FelixSettings } from './felix-configuration.js'
import { modesOf, readInstallation, type Installation } from './installation.js'
import { IP_POOL_DEFAULTS, type EncapsulationMode, type IPPool } from './ip-pool.js'
import { felixWarnings } from './felix-warnings.js'
import { felixEnvironment } from './read-felix-configuration.js'

export interface CalicoManifest extends Place {
  /** Of calico-node. */
  readonly environment: Readonly<Record<string, string>>
  readonly backend: 'bird' | 'vxlan' | 'none'
  /** Of the image's tag: `3.32.1`. */
  readonly version?: string
  readonly ipam: 'calico-ipam' | 'host-local'
  /** Tunnel addresses are the first of the node's podCIDR. */
  readonly usesPodCidr: boolean
  /** calico-node looks for an address for BGP. */
  readonly findsAddress: boolean
  /** container_settings.allow_ip_forwarding of the CNI configuration. */
  readonly allowsIpForwarding: boolean
  /** `mtu` of the CNI configuration; absent: 0 there, pods have what Felix found. */
  readonly cniMtu?: number
  /** The operator's; it makes the pools then. */
  readonly installation?: Installation
  readonly felix: FelixSettings
  /** No DaemonSet in the input. */
  readonly assumed: boolean
}

const CALICO_ENVIRONMENT: Readonly<Record<string, string>> = {
  CALICO_NETWORKING_BACKEND: 'bird',
  CLUSTER_TYPE: 'k8s,bgp',
  IP: 'autodetect',
  CALICO_IPV4POOL_IPIP: 'Always',
  CALICO_IPV4POOL_VXLAN: 'Never',
  FELIX_DEFAULTENDPOINTTOHOSTACTION: 'ACCEPT',
  FELIX_IPV6SUPPORT: 'false',
}

const CANAL_ENVIRONMENT: Readonly<Record<string, string>> = {
  CALICO_NETWORKING_BACKEND: 'none',
  CLUSTER_TYPE: 'k8s,canal',
  USE_POD_CIDR: 'true',
  FELIX_IPTABLESREFRESHINTERVAL: '60',
  IP: '',
  FELIX_DEFAULTENDPOINTTOHOSTACTION: 'ACCEPT',
  FELIX_IPV6SUPPORT: 'false',
}

export function readCalicoManifest(objects: readonly KubernetesObject[], cni: 'calico' | 'canal', problems: ProblemList): CalicoManifest {
  const daemonSet = objects.find((object) => object.kind === 'DaemonSet' && (object.name === 'calico-node' || object.name === 'canal'))
  const container = daemonSet === undefined ? undefined : nodeContainer(daemonSet)
  const configMaps = objects.filter(({ kind }) => kind === 'ConfigMap')
  const installation = readInstallation(objects, problems)
  const assumed = container === undefined
  const standing = installation?.environment ?? (cni === 'canal' ? CANAL_ENVIRONMENT : CALICO_ENVIRONMENT)
  const environment = container === undefined ? standing : readEnvironment(container, configMaps)
  const written = environment.CALICO_NETWORKING_BACKEND ?? 'bird'
  const backend = written === 'none' || written === 'vxlan' ? written : 'bird'
  if (daemonSet !== undefined && written !== backend)
    problems.warning(
      daemonSet,
      daemonSet.label,
      `CALICO_NETWORKING_BACKEND is ${JSON.stringify(written)}: taken to be bird`,
      'Calico knows bird, vxlan and none.',
    )
  const cniConfig = readCniConfig(configMaps)
  const version = typeof container?.image === 'string' ? /:v?([0-9]+(?:\.[0-9]+)+)/.exec(container.image)?.[1] : undefined
  const felix = felixEnvironment(Object.entries(environment).map(([name, value]) => ({ name, value })))
  if (daemonSet !== undefined) for (const { what, fix } of felixWarnings(felix)) problems.warning(daemonSet, daemonSet.label, what, fix)
  return {
    environment,
    backend,
    ...(version === undefined ? {} : { version }),
    ipam: cniConfig.ipam ?? installation?.ipam ?? (cni === 'canal' ? 'host-local' : 'calico-ipam'),
    usesPodCidr: isTrue(environment.USE_POD_CIDR),
    // with the backend none calico-node skips the whole step; so it does when told IP=none
    findsAddress: backend !== 'none' && environment.IP !== 'none',
    allowsIpForwarding: cniConfig.allowsIpForwarding ?? installation?.allowsIpForwarding ?? false,
    ...cniMtuOf(cniConfig, installation),
    ...(installation === undefined ? {} : { installation }),
    felix,
    assumed,
    file: daemonSet?.file ?? installation?.object.file ?? '',
    line: daemonSet?.line ?? installation?.object.line ?? 0,
  }
}

function cniMtuOf({ mtu }: CniConfig, installation: Installation | undefined): Pick<CalicoManifest, 'cniMtu'> {
  const said = mtu ?? installation?.mtu
  return said === undefined || said <= 0 ? {} : { cniMtu: said }
}

function nodeContainer(daemonSet: KubernetesObject): JsonObject | undefined {
  const containers = itemsAt(daemonSet.value, ['spec', 'template', 'spec', 'containers']).filter(isObject)
  return containers.find(({ name }) => name === 'calico-node') ?? containers[0]
}

function itemsAt(value: JsonValue, path: readonly string[]): readonly JsonValue[] {
  let at: JsonValue | undefined = value
  for (const key of path) at = isObject(at) ? at[key] : undefined
  return Array.isArray(at) ? (at as readonly JsonValue[]) : []
}

interface CniConfig {
  readonly ipam?: 'calico-ipam' | 'host-local'
  readonly allowsIpForwarding?: boolean
  readonly mtu?: number
}

/** Of the manifests and of the operator. */
const CNI_KEYS: Readonly<Record<string, string>> = { 'calico-config': 'cni_network_config', 'canal-config': 'cni_network_config', 'cni-config': 'config' }

/** The text holds `__CNI_MTU__`, which the installer replaces by veth_mtu, and other such words, which play no part. */
function readCniConfig(configMaps: readonly KubernetesObject[]): CniConfig {
  const configMap = configMaps.find(({ name, value }) => Object.hasOwn(CNI_KEYS, name) && isObject(value.data) && CNI_KEYS[name] in value.data)
  const data = configMap?.value.data
  if (configMap === undefined || !isObject(data)) return {}
  const text = data[CNI_KEYS[configMap.name]]
  const vethMtu = typeof data.veth_mtu === 'string' && /^\d+$/.test(data.veth_mtu) ? data.veth_mtu : '0'
  const filled = typeof text === 'string' ? text.replaceAll('__CNI_MTU__', vethMtu).replaceAll(/__[A-Z0-9_]+__/g, '0') : ''
  const plugin = itemsAt(parseJson(filled), ['plugins'])
    .filter(isObject)
    .find(({ type }) => type === 'calico')
  if (plugin === undefined) return {}
  const ipam = isObject(plugin.ipam) ? plugin.ipam.type : undefined
  const settings = plugin.container_settings
  return {
    ...(ipam === 'calico-ipam' || ipam === 'host-local' ? { ipam } : {}),
    allowsIpForwarding: isObject(settings) && settings.allow_ip_forwarding === true,
    ...(typeof plugin.mtu === 'number' ? { mtu: plugin.mtu } : {}),
  }
}

function parseJson(text: string): JsonValue {
  try {
    return JSON.parse(text) as JsonValue
  } catch {
    return null
  }
}

function isTrue(text: string | undefined): boolean {
  return text?.toLowerCase() === 'true'
}

interface DefaultPoolInput {
  readonly manifest: CalicoManifest
  /** Where there is one already, none is made. */
  readonly pools: readonly IPPool[]
  /** What the Network document says of the pods' addresses; absent: the environment, kubeadm's configuration, 192.168.0.0/16. */
  readonly clusterCIDR?: Cidr
  /** The networks of the nodes' cards: a default that overlaps one of them is not taken. */
  readonly hostNetworks: readonly Cidr[]
  readonly objects: readonly KubernetesObject[]
}

const PREFERRED_POOL: Cidr = { base: ip('192.168.0.0'), length: 16 }

/** The pools that stand, else those that the operator makes, else the one that calico-node makes at its first start. */
export function ipPoolsOf(input: DefaultPoolInput, problems: ProblemList): readonly IPPool[] {
  const { installation, ipam } = input.manifest
  if (input.pools.length > 0) return input.pools
  if (installation === undefined) {
    const pool = defaultIpPool(input, problems)
    return pool === undefined ? [] : [pool]
  }
  if (installation.ipPools !== undefined) return installation.ipPools
  if (ipam !== 'calico-ipam') return []
  const { cidr, encapsulation } = installation.defaultPool
  return [{ ...DEFAULT_POOL, ...installation.object.at('spec'), cidr: input.clusterCIDR ?? kubeadmPodSubnet(input.objects) ?? cidr, ...modesOf(encapsulation) }]
}

const DEFAULT_POOL = { ...IP_POOL_DEFAULTS, name: 'default-ipv4-ippool', natOutgoing: true } as const

/** `default-ipv4-ippool`, as calico-node makes it at its first start; undefined where it makes none. */
export function defaultIpPool({ manifest, pools, clusterCIDR, hostNetworks, objects }: DefaultPoolInput, problems: ProblemList): IPPool | undefined {
  const { environment } = manifest
  const written = environment.CALICO_IPV4POOL_CIDR ?? ''
  if (pools.length > 0 || isTrue(environment.NO_DEFAULT_POOLS) || written === 'none') return undefined
  const asked = written === '' ? (clusterCIDR ?? kubeadmPodSubnet(objects)) : parseCidr(written)
  if (typeof asked === 'string') {
    problems.error(manifest, 'DaemonSet', `CALICO_IPV4POOL_CIDR is ${JSON.stringify(written)}, which is no IPv4 prefix`, 'Write it like 192.168.0.0/16.')
    return undefined
  }
  const size = Number(environment.CALICO_IPV4POOL_BLOCK_SIZE || DEFAULT_POOL.blockSize)
  const cidr = asked ?? freeDefault(hostNetworks)
  if (asked === undefined && manifest.ipam === 'calico-ipam')
    problems.warning(
      manifest,
      'IPPool',
      `no IPPool is in the input: taken is what calico-node makes at its first start, ${formatCidr(cidr)}`,
      "Give the cluster's own (kubectl get ippools -o yaml), or CALICO_IPV4POOL_CIDR, or clusterCIDR of the Network document.",
    )
  return {
    ...DEFAULT_POOL,
    file: manifest.file,
    line: manifest.line,
    cidr,
    ipipMode: modeOf(environment.CALICO_IPV4POOL_IPIP),
    vxlanMode: modeOf(environment.CALICO_IPV4POOL_VXLAN),
    natOutgoing: (environment.CALICO_IPV4POOL_NAT_OUTGOING ?? 'true').toLowerCase() !== 'false',
    disableBGPExport: isTrue(environment.CALICO_IPV4POOL_DISABLE_BGP_EXPORT),
    blockSize: Number.isInteger(size) && size >= 20 && size <= 32 ? size : DEFAULT_POOL.blockSize,
    nodeSelector: environment.CALICO_IPV4POOL_NODE_SELECTOR || DEFAULT_POOL.nodeSelector,
  }
}

/** 192.168.0.0/16, else the first of 172.16.0.0/16 to 172.31.0.0/16 that no card's network overlaps (GetDefaultIPv4Pool). */
function freeDefault(hostNetworks: readonly Cidr[]): Cidr {
  const others = Array.from({ length: 16 }, (_, i): Cidr => ({ base: (ip('172.16.0.0') + i * 0x10000) | 0, length: 16 }))
  return [PREFERRED_POOL, ...others].find((candidate) => !hostNetworks.some((network) => overlaps(network, candidate))) ?? PREFERRED_POOL
}

function kubeadmPodSubnet(objects: readonly KubernetesObject[]): Cidr | undefined {
  const data = objects.find(({ kind, name }) => kind === 'ConfigMap' && name === 'kubeadm-config')?.value.data
  const text = isObject(data) ? data.ClusterConfiguration : undefined
  const written = typeof text === 'string' ? /^\s*podSubnet:\s*["']?([0-9./]+)/m.exec(text)?.[1] : undefined
  const prefix = written === undefined ? undefined : parseCidr(written)
  return typeof prefix === 'string' ? undefined : prefix
}

function modeOf(text = ''): EncapsulationMode {
  const word = text.toLowerCase()
  return word === 'always' ? 'Always' : word === 'crosssubnet' || word === 'cross-subnet' ? 'CrossSubnet' : 'Never'
}
