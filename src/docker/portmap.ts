/**
 * hostPorts by the portmap CNI plugin, which flannel's and Calico's configuration lists both chain behind the plugin that plugs pods in.
 * From pods to edits of nat: the newest container that asks for a port has it.
 *
 *   PREROUTING, OUTPUT ─(to the host itself)─▶ CNI-HOSTPORT-DNAT ─▶ CNI-DN-… of the container ─▶ DNAT      POSTROUTING ─▶ CNI-HOSTPORT-MASQ
 * Source: containernetworking plugins/meta/portmap/portmap_iptables.go, chain.go, pkg/utils/iptables FormatChainNameWithPrefix.
 */
import { cidr, type Cidr } from '../base/cidr.js'
import { ip, type Ip } from '../base/ip.js'
import { hexOf, sha512 } from '../base/sha.js'
import type { Provenance } from '../dataplane/dataplane.js'
import type { ChainEdit, Match, Rule, Target } from '../dataplane/iptables.js'
import { netnsOf, objectOf, type HostPort, type PodAttachment } from './attachment.js'

const PORTMAP = 'portmap plugin'
const DNAT_CHAIN = 'CNI-HOSTPORT-DNAT'
const SETMARK_CHAIN = 'CNI-HOSTPORT-SETMARK'
const MASQUERADE_CHAIN = 'CNI-HOSTPORT-MASQ'
/** markMasqBit 13. */
const MARK = 0x2000
/** What iptables takes, 28, less `CNI-DN-`. */
const HASH_DIGITS = 21
/** -m multiport takes no more. */
const PORTS_PER_RULE = 15
const NUMBERS = { tcp: 6, udp: 17, sctp: 132 } as const
const PROTOCOLS = ['sctp', 'tcp', 'udp'] as const
const LOCALHOST = cidr(ip('127.0.0.1'), 32)

export interface MappedPod {
  readonly attachment: PodAttachment
  readonly address: Ip
}

export interface PortmapView {
  /** `name` of the configuration list. */
  readonly networkName: string
  /** Prefix length of a pod's address: what comes from there is masqueraded, lest the answer go around. */
  readonly prefixLength: number
  /** In the order of their creation. */
  readonly pods: readonly MappedPod[]
}

/** Empty when no pod asks for a port. */
export function renderPortmap({ networkName, prefixLength, pods }: PortmapView): ChainEdit[] {
  const asking = pods.filter(({ attachment }) => (attachment.hostPorts?.length ?? 0) > 0)
  return asking.length === 0 ? [] : [...sharedChains(), ...asking.flatMap((pod) => ownChain(pod, networkName, prefixLength))]
}

const SHARED: Provenance = { by: PORTMAP, object: 'hostPorts' }
const to = (chain: string): Target => ({ kind: 'jump', chain })
const comment = (text: string): Match => ({ kind: 'comment', text })

/** Made for the first container. Its masquerading must come before that of the bridge plugin; the rest stays below kube-proxy's. */
function sharedChains(): ChainEdit[] {
  const toHost: Rule = { matches: [{ kind: 'addrtype', side: 'dst', types: ['LOCAL'] }], target: to(DNAT_CHAIN), provenance: SHARED }
  const mark: Rule = { matches: [comment('CNI portfwd masquerade mark')], target: { kind: 'MARK', value: MARK, mask: MARK }, provenance: SHARED }
  const masquerade: Rule = {
    matches: [{ kind: 'mark', value: MARK, mask: MARK }],
    target: { kind: 'MASQUERADE', random: false, randomFully: false },
    provenance: SHARED,
  }
  const toMasquerade: Rule = { matches: [comment('CNI portfwd requiring masquerade')], target: to(MASQUERADE_CHAIN), provenance: SHARED }
  return [
    { table: 'nat', chain: SETMARK_CHAIN, action: 'create', rules: [mark] },
    { table: 'nat', chain: MASQUERADE_CHAIN, action: 'create', rules: [masquerade] },
    { table: 'nat', chain: 'POSTROUTING', action: 'insert', rules: [toMasquerade] },
    { table: 'nat', chain: DNAT_CHAIN, action: 'create', rules: [] },
    { table: 'nat', chain: 'PREROUTING', action: 'append', rules: [toHost] },
    { table: 'nat', chain: 'OUTPUT', action: 'append', rules: [toHost] },
  ]
}

function ownChain({ attachment, address }: MappedPod, networkName: string, prefixLength: number): ChainEdit[] {
  const containerId = netnsOf(attachment)
  const chain = portmapChainName(networkName, containerId)
  const ports = attachment.hostPorts ?? []
  const words = comment(`dnat name: ${JSON.stringify(networkName)} id: ${JSON.stringify(containerId)}`)
  const placeOf = (port: HostPort | undefined): Provenance => ({
    by: PORTMAP,
    object: `${objectOf(attachment)}, its namespace/name taken for the container ID`,
    ...(attachment.file === undefined ? {} : { file: attachment.file }),
    ...((port?.line ?? attachment.line) === undefined ? {} : { line: port?.line ?? attachment.line }),
  })
  const entries = PROTOCOLS.flatMap((protocol) => {
    const numbers = ports.filter((port) => port.protocol === protocol).map(({ hostPort }) => hostPort)
    const parts = Array.from({ length: Math.ceil(numbers.length / PORTS_PER_RULE) }, (_, i) => numbers.slice(i * PORTS_PER_RULE, (i + 1) * PORTS_PER_RULE))
    return parts.map((part): Rule => {
      const several: Match = { kind: 'multiport', side: 'dports', ports: part.map((number) => [number, number] as const) }
      return { matches: [{ kind: 'protocol', proto: NUMBERS[protocol] }, words, several], target: to(chain), provenance: placeOf(undefined) }
    })
  })
  return [
    {
      table: 'nat',
      chain,
      action: 'create',
      rules: ports.flatMap((port) => translations(port, { address, own: cidr(address, prefixLength), provenance: placeOf(port) })),
    },
    // each is put at the head
    ...entries.map((rule): ChainEdit => ({ table: 'nat', chain: DNAT_CHAIN, action: 'insert', rules: [rule] })),
  ]
}

/** What comes from the pods' subnet or from localhost would not be answered through the host. */
function translations(
  { hostPort, containerPort, protocol, hostIP }: HostPort,
  { address, own, provenance }: { readonly address: Ip; readonly own: Cidr; readonly provenance: Provenance },
): Rule[] {
  const base: Match[] = [
    ...(hostIP === undefined || hostIP === 0 ? [] : [{ kind: 'destination', net: cidr(hostIP, 32) } as const]),
    { kind: 'protocol', proto: NUMBERS[protocol] },
    { kind: 'destination-port', module: protocol, ports: [hostPort, hostPort] },
  ]
  const from = (net: Cidr): Rule => ({ matches: [{ kind: 'source', net }, ...base], target: to(SETMARK_CHAIN), provenance })
  const translate: Target = { kind: 'DNAT', to: { first: address, last: address, ports: [containerPort, containerPort] }, random: false, persistent: false }
  return [from(own), from(LOCALHOST), { matches: base, target: translate, provenance }]
}

export function portmapChainName(networkName: string, containerId: string): string {
  return `CNI-DN-${hexOf(sha512(networkName + containerId)).slice(0, HASH_DIGITS)}`
}
