/**
 * A pod on Calico's network: its WorkloadEndpoint, and what the CNI plugin and Felix make of it. From a pod and its address to the host's end
 * of the veth pair, the host's route and sysctls, and the pod's netns. No bridge: the pod asks for 169.254.1.1, which nobody has, and the host
 * answers for it (proxy ARP).
 * Source: libcalico-go/lib/backend/k8s/conversion/workload_endpoint_default.go, cni-plugin/pkg/dataplane/linux/dataplane_linux.go,
 * felix/dataplane/linux/endpoint_mgr.go.
 */
import { cidr, type Cidr } from '../base/cidr.js'
import { ip, parseIp, type Ip } from '../base/ip.js'
import { parseMac, randomMac, type Mac } from '../base/mac.js'
import { hashText, Prng } from '../base/prng.js'
import { hexOf, sha1 } from '../base/sha.js'
import type { WorkloadEndpoint } from '../cluster/calico/endpoint.js'
import type { EndpointPort } from '../cluster/calico/resource.js'
import { parseNet, parseProtocol } from '../cluster/calico/resource-reader.js'
import { isObject, type JsonValue } from '../cluster/located.js'
import type { ClusterPod } from '../cluster/pod.js'
import { EMPTY_DATAPLANE, LOOPBACK, type Dataplane, type DeviceSpec, type RouteSpec } from '../dataplane/dataplane.js'

/** Of the host's end of every pod's veth pair. */
const HOST_MAC: Mac = 0xeeeeeeeeeeee
/** The gateway of every pod, and of nobody. */
const GATEWAY: Ip = ip('169.254.1.1')
const DEFAULT_PREFIX = 'cali'
const CNI_PLUGIN = 'calico CNI'
const FELIX = 'felix'
const ANNOTATION_PREFIX = 'cni.projectcalico.org/'
/** What the API server gives to a pod that names none. */
const DEFAULT_SERVICE_ACCOUNT = 'default'

/** `cali` and 11 digits that follow from the pod's name alone. @param prefixes InterfacePrefix of Felix: the first of its list */
export function hostInterfaceName(namespace: string, pod: string, prefixes = DEFAULT_PREFIX): string {
  return prefixes.split(',')[0].trim() + hexOf(sha1(`${namespace}.${pod}`)).slice(0, 11)
}

/** The resource's name: the parts joined by dashes, dashes inside of them doubled. */
export function workloadEndpointName(node: string, pod: string, endpoint = 'eth0'): string {
  return [node, 'k8s', pod, endpoint].map((part) => part.replaceAll('-', '--')).join('-')
}

/** @param address undefined: none yet, or no more */
export function workloadEndpointOfPod(pod: ClusterPod, address: Ip | undefined, interfacePrefixes = DEFAULT_PREFIX): WorkloadEndpoint {
  const serviceAccount = serviceAccountOf(pod)
  const { annotations } = pod
  const internal = address === undefined || pod.terminated ? undefined : address
  return {
    name: workloadEndpointName(pod.node ?? '', pod.name),
    namespace: pod.namespace,
    labels: {
      ...pod.labels,
      'projectcalico.org/namespace': pod.namespace,
      'projectcalico.org/orchestrator': 'k8s',
      ...(serviceAccount.length < 63 ? { 'projectcalico.org/serviceaccount': serviceAccount } : {}),
    },
    annotations,
    object: pod.object,
    file: pod.file,
    line: pod.line,
    node: pod.node ?? '',
    orchestrator: 'k8s',
    workload: `${pod.namespace}/${pod.name}`,
    pod: pod.name,
    endpoint: 'eth0',
    serviceAccount,
    interfaceName: hostInterfaceName(pod.namespace, pod.name, interfacePrefixes),
    ipNetworks: internal === undefined ? [] : [cidr(internal, 32)],
    ipNats:
      internal === undefined
        ? []
        : listOf(annotations, 'floatingIPs').flatMap((text) => {
            const external = parseIp(text)
            return external === undefined ? [] : [{ internal, external }]
          }),
    profiles: [`kns.${pod.namespace}`, `ksa.${pod.namespace}.${serviceAccount}`],
    ports: namedPorts(pod),
    allowedSourcePrefixes: listOf(annotations, 'allowedSourcePrefixes').flatMap((text): Cidr[] => {
      const net = parseNet(text)
      return net?.family === 4 ? [net.cidr] : []
    }),
  }
}

function serviceAccountOf(pod: ClusterPod): string {
  const { spec } = pod.object.value
  const name = isObject(spec) ? spec.serviceAccountName : undefined
  return typeof name === 'string' && name !== '' ? name : DEFAULT_SERVICE_ACCOUNT
}

/** The strings of an annotation that holds a JSON list; none where it holds anything else. */
function listOf(annotations: Readonly<Record<string, string>>, name: string): readonly string[] {
  try {
    const value: unknown = JSON.parse(annotations[ANNOTATION_PREFIX + name] ?? '[]')
    return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : []
  } catch {
    return []
  }
}

/** Of the containers and of every init container; ports without a name say nothing here. */
function namedPorts(pod: ClusterPod): EndpointPort[] {
  const { spec } = pod.object.value
  if (!isObject(spec)) return []
  return [spec.containers, spec.initContainers]
    .flatMap(itemsOf)
    .flatMap((container) => (isObject(container) ? itemsOf(container.ports) : []))
    .flatMap((port) => {
      if (!isObject(port) || typeof port.name !== 'string' || port.name === '' || typeof port.containerPort !== 'number') return []
      const protocol = parseProtocol(typeof port.protocol === 'string' ? port.protocol : 'TCP')
      return protocol === undefined ? [] : [{ name: port.name, protocol, port: port.containerPort }]
    })
}

function itemsOf(value: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(value) ? (value as readonly JsonValue[]) : []
}

export interface WorkloadView {
  readonly endpoint: WorkloadEndpoint
  /** Of both ends. */
  readonly mtu: number
  /** IPv4NormalRoutePriority, or the release's; 0: no metric. */
  readonly routeMetric: number
  /** DeviceRouteProtocol; 3 is boot. */
  readonly routeProtocol: number
  readonly routeSource?: Ip
  /** net.ipv4.conf.default.rp_filter of the node. */
  readonly defaultRpFilter: number
  /** FloatingIPs is Enabled. */
  readonly floatingIps: boolean
  readonly ipv6: boolean
  /** The CNI configuration's allow_ip_forwarding. */
  readonly ipForwarding: boolean
  readonly pinnedMac?: Mac
  readonly seed: number
}

export interface WorkloadPart {
  /** The host's end. */
  readonly device: DeviceSpec
  readonly routes: readonly RouteSpec[]
  /** Of the host. */
  readonly sysctls: Readonly<Record<string, number>>
  /** The pod's netns, `namespace/name`: lo, eth0, its routes. */
  readonly pod: Dataplane
}

/** Pure. */
export function renderWorkload(view: WorkloadView): WorkloadPart {
  const { endpoint } = view
  const netns = `${endpoint.namespace}/${endpoint.pod}`
  const object = `Pod/${netns}`
  return {
    device: {
      kind: 'veth',
      name: endpoint.interfaceName,
      mtu: view.mtu,
      mac: HOST_MAC,
      up: true,
      addresses: [],
      peer: { netns, device: endpoint.endpoint },
      provenance: { by: CNI_PLUGIN, object },
    },
    routes: hostRoutes(view, object),
    sysctls: hostSysctls(view),
    pod: podDataplane(view, { netns, object }),
  }
}

/**
 * Felix's; that which the CNI plugin wrote first, without a metric, is gone by then (RemoveExternalRoutes). The order is the kernel's: by address.
 */
function hostRoutes({ endpoint, routeMetric, routeProtocol, routeSource, floatingIps }: WorkloadView, object: string): RouteSpec[] {
  const floating = floatingIps ? endpoint.ipNats.map(({ external }) => cidr(external, 32)) : []
  return [...endpoint.ipNetworks, ...floating].map((destination) => ({
    destination,
    type: 'unicast',
    device: endpoint.interfaceName,
    scope: 'link',
    ...(routeProtocol === 3 ? {} : { protocol: String(routeProtocol) }),
    ...(routeSource === undefined ? {} : { source: routeSource }),
    ...(routeMetric === 0 ? {} : { metric: routeMetric }),
    provenance: { by: FELIX, object },
  }))
}

function hostSysctls({ endpoint, defaultRpFilter, ipv6 }: WorkloadView): Record<string, number> {
  const name = endpoint.interfaceName
  return {
    [`net.ipv4.conf.${name}.route_localnet`]: 1,
    [`net.ipv4.neigh.${name}.proxy_delay`]: 0,
    [`net.ipv4.conf.${name}.proxy_arp`]: 1,
    [`net.ipv4.conf.${name}.forwarding`]: 1,
    [`net.ipv4.conf.${name}.rp_filter`]: endpoint.allowedSourcePrefixes.length > 0 ? 0 : defaultRpFilter,
    [`net.ipv6.conf.${name}.accept_ra`]: 0,
    ...(ipv6 ? { [`net.ipv6.conf.${name}.proxy_ndp`]: 1, [`net.ipv6.conf.${name}.forwarding`]: 1 } : {}),
  }
}

function podDataplane(view: WorkloadView, { netns, object }: { readonly netns: string; readonly object: string }): Dataplane {
  const { endpoint } = view
  const provenance = { by: CNI_PLUGIN, object }
  const written = endpoint.annotations[`${ANNOTATION_PREFIX}hwAddr`]
  const asked = written === undefined ? undefined : parseMac(written)
  const eth0: DeviceSpec = {
    kind: 'veth',
    name: endpoint.endpoint,
    mtu: view.mtu,
    mac: view.pinnedMac ?? asked ?? endpoint.mac ?? randomMac(new Prng(view.seed ^ hashText(netns))),
    up: true,
    addresses: endpoint.ipNetworks.map(({ base, length }) => ({ address: base, length, scope: 'global' })),
    peer: { netns: endpoint.node, device: endpoint.interfaceName },
    provenance: { by: 'calico-ipam', object },
  }
  const routes: RouteSpec[] = [
    { destination: cidr(GATEWAY, 32), type: 'unicast', device: endpoint.endpoint, scope: 'link', provenance },
    { destination: { base: 0, length: 0 }, type: 'unicast', via: GATEWAY, device: endpoint.endpoint, scope: 'global', provenance },
  ]
  return {
    ...EMPTY_DATAPLANE,
    netns,
    devices: [LOOPBACK, eth0],
    routes,
    sysctls: { 'net.ipv4.ip_forward': view.ipForwarding ? 1 : 0 },
  }
}
