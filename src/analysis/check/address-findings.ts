/**
 * Networks and addresses that are told twice, or in the wrong place: from the cluster's objects alone, so that they are found where nothing can be
 * built from them either.
 */
import { contains, covers, formatCidr, overlaps, type Cidr } from '../../base/cidr.js'
import { compareIp, formatIp, type Ip } from '../../base/ip.js'
import type { Cluster } from '../../cluster/cluster.js'
import type { EtcdEntry } from '../../cluster/network-document.js'
import type { ClusterPod } from '../../cluster/pod.js'
import type { Place } from '../../cluster/problem-list.js'
import { leaseObject, parseLeaseValue, parseSubnetKey, type LeaseAttributes } from '../../flannel/lease.js'
import { finding } from './catalogue.js'
import type { Evidence, Finding } from '../../base/finding.js'
import { podName } from './pair-classes.js'

/** A prefix that somebody owns. */
export interface NamedNetwork {
  readonly kind: 'pods' | 'Services' | 'nodes'
  readonly name: string
  readonly prefix: Cidr
  readonly place: Place | undefined
  /** netsim took it, nobody told it. */
  readonly assumed: boolean
}

/** @param pools of Calico's, in place of the cluster's network */
export function addressFindings(cluster: Cluster, pools: readonly NamedNetwork[] = []): readonly Finding[] {
  const leases = readLeases(cluster)
  return [
    ...overlapFindings([...(pools.length > 0 ? pools : podNetwork(cluster)), ...serviceNetwork(cluster), ...nodeNetworks(cluster)]),
    ...podCidrFindings(cluster),
    ...leaseFindings(cluster, leases),
    ...duplicateFindings(cluster),
    ...outsideFindings(cluster, leases),
  ]
}

function placed(place: Place | undefined): Pick<Evidence, 'file' | 'line'> {
  return place === undefined || place.file === '' || place.line === 0 ? {} : { file: place.file, line: place.line }
}

function podNetwork({ cni, clusterCIDR, flannel, networkDocument }: Cluster): readonly NamedNetwork[] {
  if (clusterCIDR === undefined || cni === 'none') return []
  const told = networkDocument?.clusterCIDR !== undefined
  const place = flannel.config ?? (told ? networkDocument?.object.at('spec', 'clusterCIDR') : undefined)
  return [{ kind: 'pods', name: "the pods' network", prefix: clusterCIDR, place, assumed: flannel.configAssumed && !told }]
}

function serviceNetwork({ serviceCIDR, serviceCIDRAssumed, kubeProxy, networkDocument }: Cluster): readonly NamedNetwork[] {
  if (kubeProxy.mode === 'none') return []
  const place = networkDocument?.serviceCIDR === undefined ? undefined : networkDocument.object.at('spec', 'serviceCIDR')
  return [{ kind: 'Services', name: 'the network of Services', prefix: serviceCIDR, place, assumed: serviceCIDRAssumed }]
}

function nodeNetworks({ segments }: Cluster): readonly NamedNetwork[] {
  return segments.map(({ name, cidr, file, line, inferred }) => ({
    kind: 'nodes',
    name: `segment ${name} of the nodes`,
    prefix: cidr,
    place: { file, line },
    assumed: inferred,
  }))
}

/** Each pair of two kinds; pools of one kind too. */
function overlapFindings(networks: readonly NamedNetwork[]): readonly Finding[] {
  return networks.flatMap((one, index) =>
    networks.slice(index + 1).flatMap((other) => {
      if (!overlaps(one.prefix, other.prefix) || (one.kind === other.kind && one.kind === 'nodes')) return []
      const guessed = [one, other].some(({ kind, assumed }) => assumed && kind === 'Services')
      const words = (network: NamedNetwork): string =>
        `${network.name} (${formatCidr(network.prefix)}${network.assumed && network.kind === 'Services' ? ', assumed' : ''})`
      return finding('NM201', {
        what: `${words(one)} overlaps ${words(other)}`,
        evidence: [other, one].sort((a, b) => Number(a.assumed) - Number(b.assumed)).map((network) => ({ what: words(network), ...placed(network.place) })),
        // nobody said where Services are
        ...(guessed ? { severity: 'info', fix: 'Say where Services are: spec.serviceCIDR of the Network document.' } : {}),
      })
    }),
  )
}

function podCidrFindings({ nodes, cni, datastore, clusterCIDR }: Cluster): readonly Finding[] {
  const owned = nodes.flatMap((node) => (node.podCIDR === undefined ? [] : [{ node, prefix: node.podCIDR, place: node.object.at('spec', 'podCIDR') }]))
  owned.sort((a, b) => compareIp(a.prefix.base, b.prefix.base) || a.prefix.length - b.prefix.length)
  const found: Finding[] = []
  owned.forEach((one, index) => {
    const earlier = owned.slice(0, index).findLast(({ prefix }) => overlaps(prefix, one.prefix))
    if (earlier === undefined) return
    found.push(
      finding('NM204', {
        what: `podCIDR ${formatCidr(one.prefix)} of node ${one.node.name} overlaps ${formatCidr(earlier.prefix)} of node ${earlier.node.name}`,
        evidence: [one, earlier].map(({ node, prefix, place }) => ({ what: `podCIDR ${formatCidr(prefix)}`, object: node.object.label, ...placed(place) })),
      }),
    )
  })
  // only flannel goes by podCIDR, and only on the Kubernetes API
  if ((cni !== 'flannel' && cni !== 'canal') || datastore !== 'kubernetes' || clusterCIDR === undefined) return found
  for (const { node, prefix, place } of owned) {
    if (covers(clusterCIDR, prefix)) continue
    found.push(
      finding('NM204', {
        what: `podCIDR ${formatCidr(prefix)} of node ${node.name} is outside the pods' network ${formatCidr(clusterCIDR)}`,
        evidence: [
          { what: `podCIDR ${formatCidr(prefix)}`, object: node.object.label, ...placed(place) },
          { what: `node ${node.name}`, object: node.object.label, ...placed(node) },
        ],
      }),
    )
  }
  return found
}

interface ReadLease {
  readonly subnet: Cidr
  readonly attributes: LeaseAttributes
  readonly entry: EtcdEntry
}

function readLeases({ cni, datastore, etcd, etcdPrefix }: Cluster): readonly ReadLease[] {
  if ((cni !== 'flannel' && cni !== 'canal') || datastore !== 'etcd') return []
  return etcd.flatMap((entry) => {
    const parsed = entry.key.startsWith(`${etcdPrefix}/subnets/`) ? parseSubnetKey(entry.key) : undefined
    if (parsed === undefined) return []
    const { attributes } = parseLeaseValue(entry.value, { file: entry.file, line: entry.line, object: entry.key })
    return attributes === undefined ? [] : [{ subnet: parsed.subnet, attributes, entry }]
  })
}

function leaseEvidence({ subnet, attributes, entry }: ReadLease): Evidence {
  return { what: `lease ${formatCidr(subnet)} of ${formatIp(attributes.publicIp)}`, object: leaseObject(subnet), ...placed(entry) }
}

function leaseFindings({ nodeByAddress, clusterCIDR }: Cluster, leases: readonly ReadLease[]): readonly Finding[] {
  const found: Finding[] = []
  leases.forEach((lease, index) => {
    const { subnet, attributes } = lease
    const words = `lease ${formatCidr(subnet)}`
    const earlier = leases.slice(0, index).find((other) => overlaps(other.subnet, subnet))
    if (earlier !== undefined)
      found.push(finding('NM204', { what: `${words} overlaps lease ${formatCidr(earlier.subnet)}`, evidence: [leaseEvidence(lease), leaseEvidence(earlier)] }))
    if (clusterCIDR !== undefined && !covers(clusterCIDR, subnet))
      found.push(finding('NM204', { what: `${words} is outside flannel's Network ${formatCidr(clusterCIDR)}`, evidence: [leaseEvidence(lease)] }))
    if (!nodeByAddress.has(attributes.publicIp))
      found.push(
        finding('NM205', { what: `${words} is of ${formatIp(attributes.publicIp)}, which is no node of the cluster`, evidence: [leaseEvidence(lease)] }),
      )
    const second = leases.slice(0, index).find((other) => other.attributes.publicIp === attributes.publicIp)
    if (second !== undefined && nodeByAddress.has(attributes.publicIp))
      found.push(
        finding('NM205', {
          what: `${formatIp(attributes.publicIp)} has two leases, ${formatCidr(second.subnet)} and ${formatCidr(subnet)}; flanneld uses one of them`,
          evidence: [leaseEvidence(lease), leaseEvidence(second)],
        }),
      )
  })
  return found
}

function addressPlace(pod: ClusterPod): Place {
  return pod.object.at('status', 'podIP')
}

function duplicateFindings({ podsByAddress, nodeByAddress }: Cluster): readonly Finding[] {
  const found: Finding[] = []
  for (const [address, pods] of podsByAddress) {
    const evidence = pods.map((pod): Evidence => ({
      what: `${podName(pod)} on ${pod.node ?? 'no node'}`,
      object: pod.object.label,
      ...placed(addressPlace(pod)),
    }))
    const node = nodeByAddress.get(address)
    if (node !== undefined)
      found.push(
        finding('NM202', {
          what: `${podName(pods[0])} has the address ${formatIp(address)}, which is node ${node.name}'s`,
          evidence: [...evidence, { what: `node ${node.name}`, object: node.object.label, ...placed(node.object.at('status', 'addresses')) }],
          fix: "A pod on its node's network says spec.hostNetwork: true; any other needs an address of its own.",
        }),
      )
    if (pods.length > 1)
      found.push(finding('NM202', { what: `${pods.map(podName).join(', ')} have the address ${formatIp(address)}`, evidence: evidence.reverse() }))
  }
  return found
}

/** flannel's lease of the node, or its podCIDR. */
function outsideFindings({ cni, datastore, pods, nodeByName }: Cluster, leases: readonly ReadLease[]): readonly Finding[] {
  if (cni !== 'flannel' && cni !== 'canal') return []
  const byAddress = new Map<Ip, ReadLease[]>()
  for (const lease of leases) byAddress.set(lease.attributes.publicIp, [...(byAddress.get(lease.attributes.publicIp) ?? []), lease])
  return pods.flatMap((pod) => {
    const node = pod.node === undefined ? undefined : nodeByName.get(pod.node)
    if (node === undefined || pod.address === undefined || pod.hostNetwork || pod.terminated) return []
    const owned = byAddress.get(node.address) ?? []
    const prefixes = datastore === 'kubernetes' ? (node.podCIDR === undefined ? [] : [node.podCIDR]) : owned.map(({ subnet }) => subnet)
    const address = pod.address
    if (prefixes.length === 0 || prefixes.some((prefix) => contains(prefix, address))) return []
    const source: Evidence =
      datastore === 'kubernetes'
        ? { what: `podCIDR ${formatCidr(prefixes[0])}`, object: node.object.label, ...placed(node.object.at('spec', 'podCIDR')) }
        : leaseEvidence(owned[0])
    return finding('NM203', {
      what: `${podName(pod)} has ${formatIp(address)}, its node ${node.name} ${prefixes.map(formatCidr).join(' and ')}`,
      evidence: [{ what: `podIP ${formatIp(address)}`, object: pod.object.label, ...placed(addressPlace(pod)) }, source],
    })
  })
}
