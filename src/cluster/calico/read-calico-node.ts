/**
 * Nodes of the cluster + Calico's own Node resources → CalicoNode. What stands nowhere is what calico-node would find and write: the address
 * of the card, with its prefix length. Source: node/pkg/lifecycle/startup/startup.go, lib/backend/k8s/resources/node.go.
 */
import * as v from 'valibot'
import { parseAddressWithLength } from '../../base/cidr.js'
import { parseIp, type Ip } from '../../base/ip.js'
import type { KubernetesObject } from '../manifest.js'
import type { ClusterNode } from '../node.js'
import type { ProblemList } from '../problem-list.js'
import { lazily, optional } from '../schema.js'
import type { CalicoNode } from './calico-node.js'
import { parseAsNumber } from './object-reader.js'
import { given, list, numberOrText, ResourceReader, text, textMap } from './resource-reader.js'

const schema = lazily(() =>
  v.looseObject({
    metadata: v.looseObject({ name: v.string(), labels: textMap(), annotations: textMap() }),
    spec: optional(
      v.looseObject({
        bgp: optional(v.looseObject({ asNumber: numberOrText(), ipv4Address: text(), ipv4IPIPTunnelAddr: text(), routeReflectorClusterID: text() })),
        ipv4VXLANTunnelAddr: text(),
        vxlanTunnelMACAddr: text(),
        wireguard: optional(v.looseObject({ interfaceIPv4Address: text() })),
        addresses: list(v.looseObject({ address: v.string() })),
      }),
    ),
    status: optional(v.looseObject({ wireguardPublicKey: text() })),
  }),
)

/** What an object or the annotations say, in Calico's own words. */
interface Written {
  readonly address?: string
  readonly asNumber?: number | string
  readonly routeReflectorClusterID?: string
  readonly ipip?: string
  readonly vxlan?: string
  readonly vxlanMac?: string
  readonly wireguard?: string
  readonly wireguardKey?: string
}

/**
 * @param resources Calico's Node resources: their fields win over the annotations
 * @param findsAddress false where calico-node is told not to look for one (Canal: IP="")
 */
export function readCalicoNodes(
  nodes: readonly ClusterNode[],
  resources: readonly KubernetesObject[],
  { problems, findsAddress }: { readonly problems: ProblemList; readonly findsAddress: boolean },
): CalicoNode[] {
  const own = new Map(resources.map((object) => [object.name, object]))
  for (const object of resources) {
    if (!nodes.some(({ name }) => name === object.name))
      problems.warning(object, object.label, 'Calico has a node that Kubernetes does not have: left out', 'Add the Node of Kubernetes with its addresses.')
  }
  return nodes.map((node) => {
    const object = own.get(node.name)
    const reader = new ResourceReader(object ?? node.object, problems)
    return calicoNode(node, { ...annotated(node), ...(object === undefined ? {} : fields(reader)) }, { reader, findsAddress })
  })
}

const PREFIX = 'projectcalico.org/'

function annotated({ annotations }: ClusterNode): Written {
  return given({
    address: annotations[`${PREFIX}IPv4Address`],
    asNumber: annotations[`${PREFIX}ASNumber`],
    routeReflectorClusterID: annotations[`${PREFIX}RouteReflectorClusterID`],
    ipip: annotations[`${PREFIX}IPv4IPIPTunnelAddr`],
    vxlan: annotations[`${PREFIX}IPv4VXLANTunnelAddr`],
    vxlanMac: annotations[`${PREFIX}VXLANTunnelMACAddr`],
    wireguard: annotations[`${PREFIX}IPv4WireguardInterfaceAddr`],
    wireguardKey: annotations[`${PREFIX}WireguardPublicKey`],
  })
}

function fields(reader: ResourceReader): Written {
  const value = reader.check(schema())
  const bgp = value?.spec?.bgp
  return given({
    address: bgp?.ipv4Address,
    asNumber: bgp?.asNumber,
    routeReflectorClusterID: bgp?.routeReflectorClusterID,
    ipip: bgp?.ipv4IPIPTunnelAddr,
    vxlan: value?.spec?.ipv4VXLANTunnelAddr,
    vxlanMac: value?.spec?.vxlanTunnelMACAddr,
    wireguard: value?.spec?.wireguard?.interfaceIPv4Address,
    wireguardKey: value?.status?.wireguardPublicKey,
  })
}

function calicoNode(
  node: ClusterNode,
  written: Written,
  { reader, findsAddress }: { readonly reader: ResourceReader; readonly findsAddress: boolean },
): CalicoNode {
  const said = written.address ? parseAddressWithLength(written.address) : undefined
  if (written.address && said === undefined)
    reader.error(['metadata'], `${JSON.stringify(written.address)} is no IPv4 address with a prefix length`, 'Write it like 192.168.0.100/24.')
  const found = findsAddress ? { address: node.address, length: node.prefixLength } : undefined
  const bgpAddress = said ?? found
  const asNumber = written.asNumber === undefined || written.asNumber === '' ? undefined : parseAsNumber(written.asNumber)
  if (written.asNumber && asNumber === undefined) reader.error(['metadata'], `${JSON.stringify(written.asNumber)} is no AS number`, 'Write it like 64512.')
  const clusterId = written.routeReflectorClusterID
  if (clusterId && parseIp(clusterId) === undefined)
    reader.error(['metadata'], `the route reflector's cluster ID ${JSON.stringify(clusterId)} is not written as an IPv4 address`, 'Write it like 224.0.0.1.')
  return {
    name: node.name,
    labels: { ...node.labels, ...(reader.object === node.object ? {} : reader.head(metadataOf(reader.object)).labels) },
    annotations: node.annotations,
    object: reader.object,
    file: reader.object.file,
    line: reader.object.line,
    ...given({
      bgpAddress,
      asNumber,
      routeReflectorClusterID: clusterId || undefined,
      ipipTunnelAddress: addressOf(written.ipip, reader),
      vxlanTunnelAddress: addressOf(written.vxlan, reader),
      vxlanTunnelMac: written.vxlanMac || undefined,
      wireguardAddress: addressOf(written.wireguard, reader),
      wireguardPublicKey: written.wireguardKey || undefined,
    }),
    bgpAddressAssumed: said === undefined && found !== undefined,
    addresses: [...new Set([node.address, ...(bgpAddress === undefined ? [] : [bgpAddress.address])])],
  }
}

function addressOf(value: string | undefined, reader: ResourceReader): Ip | undefined {
  return reader.address(value, ['metadata'])
}

function metadataOf(object: KubernetesObject): { readonly labels: Readonly<Record<string, string>> } {
  const { metadata } = object.value as { readonly metadata?: { readonly labels?: Readonly<Record<string, string>> | null } }
  return { labels: metadata?.labels ?? {} }
}
