/** What to do about packets that are too big, in the words of whoever sets the pods' MTU, and what the one who sends them sees. */
import { tunnelMtus } from '../calico/mtu.js'
import { atLeast } from '../flannel/version.js'
import type { Network } from '../network/network.js'
import { ENCAPSULATIONS, mtuReserve } from '../wire/overhead.js'
import { fileText, placeText } from './mtu-bands.js'
import type { BandDocument, DirectionDocument, MtuVerdict, UnderlayDocument } from './mtu-document.js'

/** These backends of flannel take MTU, the underlay's, from their configuration since then (pkg/backend/vxlan/vxlan.go, wireguard/wireguard.go). */
const OPTION_OF = ['vxlan', 'wireguard']
const MTU_OPTION_SINCE = '0.21.3'

/** What the cluster's agent would set for this underlay with each encapsulation; flannel's words where it has none. */
export function underlayDocument({ cluster }: Pick<Network, 'cluster'>, mtu: number): UnderlayDocument | null {
  if (mtu === 0) return null
  if (cluster.cni === 'calico') return { mtu, podMtu: { none: mtu, ...tunnelMtus(mtu, {}) } }
  const podMtu = Object.fromEntries(ENCAPSULATIONS.map((name) => [name, mtu - mtuReserve(name)])) as unknown as UnderlayDocument['podMtu']
  return { mtu, podMtu }
}

/** The stretches that a sender meets without looking for them. */
export function met(direction: DirectionDocument): BandDocument[] {
  return [...direction.above, ...direction.withoutDf].filter(({ from, outcome }) => from <= direction.full && outcome !== 'PASSES')
}

export function fixesOf(network: Network, directions: readonly DirectionDocument[], underlay: UnderlayDocument | null): string[] {
  const bad = directions.filter(({ verdict, limit }) => verdict !== 'PASSES' && verdict !== 'UNREACHABLE' && limit !== null)
  if (bad.length === 0) return []
  const least = Math.min(...bad.map(({ largest }) => largest))
  const fixes: string[] = []
  if (bad.some(({ limit }) => limit?.mtu !== 0)) fixes.push(podMtuFix(network, least, underlay), clampFix(least))
  for (const told of bad.flatMap(met).flatMap(({ tries }) => tries.flatMap((one) => one.told ?? []))) {
    if (told.fate === 'LOST') fixes.push(`or let ICMP fragmentation needed (type 3 code 4) through: ${told.text ?? ''}${fileText(told.provenance)}`)
  }
  for (const { limit, full, fullOverhead } of bad) {
    if (limit?.kind === 'segment' || limit?.kind === 'router')
      fixes.push(`or let ${placeText(limit.place)} carry ${full + fullOverhead} bytes in place of ${limit.mtu}`)
    if (limit?.kind === 'rule') fixes.push(`change the rule that looks at the length${fileText(limit.provenance)}: ${limit.text ?? ''}`)
  }
  return [...new Set(fixes)]
}

function podMtuFix(network: Network, largest: number, underlay: UnderlayDocument | null): string {
  const { cluster, flannel } = network
  // Calico's CNI plugin: the installer fills it into the configuration of new pods
  if (cluster.cni === 'canal') return `set veth_mtu: "${largest}" in the ConfigMap canal-config: pods made after that have it`
  if (cluster.cni === 'calico')
    return `set veth_mtu: "${largest}" in the ConfigMap calico-config (operator: spec.calicoNetwork.mtu): pods made after that have it`
  if (cluster.cni !== 'flannel') return `set the pods' MTU to ${largest}: dockerd --mtu=${largest}`
  const runtime = cluster.runtime.name === 'docker' ? 'docker --mtu' : 'the bridge plugin'
  const backend = flannel?.config?.backendType ?? ''
  const encapsulation = ENCAPSULATIONS.find((name) => name === backend) ?? 'none'
  const pods = Math.min(largest, underlay?.podMtu[encapsulation] ?? largest)
  const kept = "flannel's device and the bridge keep their old MTU until they are made anew"
  const outcome = `pods' MTU ${pods} (FLANNEL_MTU, handed to ${runtime}); ${kept}`
  const outer = underlay?.mtu ?? largest
  if (OPTION_OF.includes(backend) && atLeast(cluster.flannel.version, MTU_OPTION_SINCE)) return `set "MTU": ${outer} in flannel's Backend: ${outcome}`
  return `set the MTU of the hosts' cards to ${outer} before flanneld starts: ${outcome}`
}

function clampFix(largest: number): string {
  return `or clamp TCP: iptables -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss ${largest - 40}`
}

/** What the one who sends sees. */
export function clientText(verdict: MtuVerdict, proto: string): string {
  const tcp = proto === 'tcp'
  switch (verdict) {
    case 'PASSES':
      return tcp ? 'full segments pass' : 'whatever its device carries passes'
    case 'FRAGMENTED':
      return 'everything arrives; full-size packets travel in fragments, and one lost fragment loses the packet'
    case 'TOLD':
      return tcp
        ? 'connects; the first full segment is lost, then smaller ones pass (path MTU discovery)'
        : 'the first large packet is lost, the next call knows the path MTU'
    case 'LEARNED':
      return tcp ? 'connects; the first full segment is lost and sent again after a timeout, then all pass' : 'the first large packet is lost, later ones pass'
    case 'BLACKHOLE':
      return tcp
        ? 'connect succeeds, small messages pass, large transfers hang and retransmit'
        : 'small packets are answered, large ones vanish: nothing comes back'
    case 'UNREACHABLE':
      return 'nothing passes, whatever its size'
    case 'UNKNOWN':
      return 'unknown: the question could not be answered'
  }
}
