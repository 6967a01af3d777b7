/** What must hold between objects: names that exist, addresses and prefixes that nobody else has. */
import { contains, formatCidr, overlaps } from '../base/cidr.js'
import { compareIp, formatIp, type Ip } from '../base/ip.js'
import { nearestName, suggestName } from './nearest-name.js'
import type { NetworkDocument } from './network-document.js'
import type { ClusterNode, NodeReading } from './node.js'
import type { ClusterPod } from './pod.js'
import { formatPlace, type ProblemList } from './problem-list.js'
import type { Settings } from './settings.js'

/** Names that the input tried to define: an object that was wrong is no reason to call it missing. */
export interface KnownNames {
  readonly nodes: ReadonlySet<string>
  /** `namespace/name` */
  readonly pods: ReadonlySet<string>
  /** False when some of the input could not be read: then a missing name proves nothing. */
  readonly complete: boolean
}

export function checkNodes(nodes: readonly NodeReading[], problems: ProblemList): void {
  const first = new Map<Ip, NodeReading>()
  for (const node of nodes) {
    const same = first.get(node.address)
    if (same === undefined) first.set(node.address, node)
    else
      problems.error(
        node.object.at('status', 'addresses'),
        node.object.label,
        `node ${same.name} (${formatPlace(same.object.at('status', 'addresses'))}) has the address ${formatIp(node.address)} too`,
        'Give each node its own InternalIP.',
      )
  }
  checkPodCidrs(nodes, problems)
}

/** Sorted by base, two prefixes overlap if and only if some neighbouring pair does, the wider one kept while it lasts. */
function checkPodCidrs(nodes: readonly NodeReading[], problems: ProblemList): void {
  const owned = nodes.flatMap((node) => (node.podCIDR === undefined ? [] : [{ node, podCIDR: node.podCIDR }]))
  owned.sort((a, b) => compareIp(a.podCIDR.base, b.podCIDR.base) || a.podCIDR.length - b.podCIDR.length)
  for (let index = 1, wide = 0; index < owned.length; index++) {
    const earlier = owned[wide]
    const { node, podCIDR } = owned[index]
    if (!overlaps(earlier.podCIDR, podCIDR)) wide = index
    else
      problems.error(
        node.object.at('spec', 'podCIDR'),
        node.object.label,
        `its podCIDR ${formatCidr(podCIDR)} overlaps ${formatCidr(earlier.podCIDR)} of node ${earlier.node.name} ` +
          `(${formatPlace(earlier.node.object.at('spec', 'podCIDR'))})`,
        'Give each node a prefix of its own.',
      )
  }
}

/** Names of nodes in pods, before placement. */
export function checkNodeNames(pods: readonly ClusterPod[], known: KnownNames, problems: ProblemList): void {
  if (!known.complete || known.nodes.size === 0) return
  // a dump may lack a node with hundreds of pods
  const suggestions = new Map<string, string>()
  for (const pod of pods) {
    if (pod.node === undefined || known.nodes.has(pod.node) || pod.terminated) continue
    const fix = suggestions.get(pod.node) ?? suggestName(pod.node, [...known.nodes])
    suggestions.set(pod.node, fix)
    problems.error(pod.object.at('spec', 'nodeName'), pod.object.label, `its node ${pod.node} is not in the input`, fix)
  }
}

export function checkPodAddresses(pods: readonly ClusterPod[], nodes: readonly ClusterNode[], settings: Settings, problems: ProblemList): void {
  const nodeByAddress = new Map(nodes.map((node) => [node.address, node]))
  const nodeByName = new Map(nodes.map((node) => [node.name, node]))
  const first = new Map<Ip, ClusterPod>()
  for (const pod of pods) {
    if (pod.address === undefined || pod.hostNetwork || pod.terminated) continue
    const place = pod.object.at('status', 'podIP')
    const node = nodeByAddress.get(pod.address)
    if (node !== undefined)
      problems.error(
        place,
        pod.object.label,
        `its address ${formatIp(pod.address)} is the one of node ${node.name} (${formatPlace(node.object.at('status', 'addresses'))})`,
        "A pod on its node's network says spec.hostNetwork: true; any other needs an address of its own.",
      )
    const same = first.get(pod.address)
    if (same === undefined) first.set(pod.address, pod)
    else reportSharedAddress(pod, same, settings, problems)
    checkPodPrefix(pod, pod.node === undefined ? undefined : nodeByName.get(pod.node), settings, problems)
  }
}

/** Plain docker hands out the same addresses on every host: there it is the trouble to be seen, not a mistake in the input. */
function reportSharedAddress(pod: ClusterPod, same: ClusterPod, settings: Settings, problems: ProblemList): void {
  const place = pod.object.at('status', 'podIP')
  const what = `pod ${same.namespace}/${same.name} (${formatPlace(same.object.at('status', 'podIP'))}) has the address ${formatIp(pod.address as Ip)} too`
  if (settings.cni === 'none' && pod.node !== same.node)
    problems.warning(place, pod.object.label, what, 'Each host knows only its own of the two: no packet from elsewhere reaches either by this address.')
  else problems.error(place, pod.object.label, what, 'Give each pod its own address, or leave status.podIP out to have one assigned.')
}

/** Only what the objects themselves say; leases are the agents' knowledge. */
function checkPodPrefix(pod: ClusterPod, node: ClusterNode | undefined, settings: Settings, problems: ProblemList): void {
  const address = pod.address as Ip
  if (settings.cni === 'none') return
  const podCIDR = settings.cni === 'flannel' && settings.datastore === 'kubernetes' ? node?.podCIDR : undefined
  if (podCIDR !== undefined && node !== undefined && !contains(podCIDR, address)) {
    problems.warning(
      pod.object.at('status', 'podIP'),
      pod.object.label,
      `its address ${formatIp(address)} is outside the podCIDR ${formatCidr(podCIDR)} of node ${node.name} (${formatPlace(node.object.at('spec', 'podCIDR'))})`,
      'No other node routes it there; check the address, nodeName and podCIDR.',
    )
  } else if (settings.clusterCIDR !== undefined && !contains(settings.clusterCIDR, address)) {
    problems.warning(
      pod.object.at('status', 'podIP'),
      pod.object.label,
      `its address ${formatIp(address)} is outside the cluster's ${formatCidr(settings.clusterCIDR)}`,
      'Check the address, or the clusterCIDR.',
    )
  }
}

/** BGP is Calico's: elsewhere nobody answers a router that speaks it. */
export function checkRouterNumbers({ object, routers }: NetworkDocument, { cni }: Settings, problems: ProblemList): void {
  if (cni === 'calico' || cni === 'canal') return
  for (const router of routers) {
    if (router.asn === undefined) continue
    const what = `router ${router.name} has an AS number in a cluster that speaks no BGP: it listens on port 179, and no session comes up`
    problems.warning(router, object.label, what, 'Leave asn out, or say cni: calico.')
  }
}

/** The hosts and pins of the Network document name nodes, pods and segments that exist. */
export function checkDocumentNames(document: NetworkDocument, segments: readonly string[], known: KnownNames, problems: ProblemList): void {
  const label = document.object.label
  const seen = new Map<string, NetworkDocument['hosts'][number]>()
  for (const host of document.hosts) {
    const same = seen.get(host.node)
    seen.set(host.node, same ?? host)
    if (same !== undefined)
      problems.warning(host, label, `host ${host.node} is listed twice, first in ${formatPlace(same)}`, 'Both are applied, in this order.')
    else if (!known.nodes.has(host.node) && known.complete)
      problems.error(host, label, `the host ${host.node} is no node of the input`, suggestName(host.node, [...known.nodes]))
  }
  if (!known.complete) return
  const routers = document.routers.map(({ name }) => name)
  for (const pin of [...document.macs, ...document.devices]) {
    const parts = pin.key.split('/')
    const owner = parts.slice(0, -1).join('/')
    const exists = parts.length === 3 ? known.pods.has(owner) : known.nodes.has(owner) || segments.includes(owner) || routers.includes(owner)
    if (exists) continue
    const meant = nearestName(owner, parts.length === 3 ? known.pods : [...known.nodes, ...segments, ...routers])
    const what = parts.length === 3 ? `no pod ${owner}` : `no node, segment or router ${owner}`
    problems.warning(pin, label, `the pin ${pin.key} pins nothing: there is ${what}`, meant === undefined ? '' : `Did you mean ${meant}?`)
  }
}
