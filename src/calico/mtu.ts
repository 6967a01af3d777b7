/**
 * MTUs as Felix finds them: the host's from its cards, those of tunnels and pods from it. Source: felix/dataplane/linux/int_dataplane.go
 * (findHostMTU, ConfigureDefaultMTUs, determinePodMTU), cni-plugin/pkg/plugin/plugin.go.
 */
import type { FelixSettings } from '../cluster/calico/felix-configuration.js'
import { overheadOf } from '../wire/overhead.js'

const DEFAULT_PATTERN = '^((en|wl|ww|sl|ib)[Pcopsvx].*|(eth|wlan|wwan).*)'
/** What Felix takes when no card's name matches: the smallest among common clouds. */
const FALLBACK_MTU = 1460

export interface HostLink {
  readonly name: string
  readonly mtu: number
  readonly up: boolean
}

/** The smallest MTU among cards that are up and whose name matches MTUIfacePattern. @param pattern a regular expression */
export function hostMtu(links: readonly HostLink[], pattern = DEFAULT_PATTERN): number {
  const matches = new RegExp(pattern)
  const mtus = links.filter(({ name, up }) => up && matches.test(name)).map(({ mtu }) => mtu)
  return mtus.length === 0 ? FALLBACK_MTU : Math.min(...mtus)
}

interface Encapsulations {
  readonly ipip: boolean
  readonly vxlan: boolean
  readonly wireguard: boolean
}

export interface CalicoMtus {
  readonly host: number
  readonly ipip: number
  readonly vxlan: number
  readonly wireguard: number
  /** Of both ends of a pod's veth. */
  readonly pod: number
}

type TunnelMtus = Pick<CalicoMtus, 'ipip' | 'vxlan' | 'wireguard'>
type MtuSettings = Pick<FelixSettings, 'ipipMTU' | 'vxlanMTU' | 'wireguardMTU'>

/** What is left of the host's beneath IPv4 headers; an MTU of 0 in the settings means that. */
export function tunnelMtus(host: number, { ipipMTU, vxlanMTU, wireguardMTU }: MtuSettings): TunnelMtus {
  return {
    ipip: ipipMTU || host - overheadOf('ipip').bytes,
    vxlan: vxlanMTU || host - overheadOf('vxlan').bytes,
    wireguard: wireguardMTU || host - overheadOf('wireguard').bytes,
  }
}

/** @param cniMtu what the CNI configuration says; Felix's word counts only where it says nothing */
export function calicoMtus(host: number, enabled: Encapsulations, { cniMtu, ...settings }: MtuSettings & { readonly cniMtu?: number }): CalicoMtus {
  const tunnels = tunnelMtus(host, settings)
  const used = (['ipip', 'vxlan', 'wireguard'] as const).filter((tunnel) => enabled[tunnel]).map((tunnel) => tunnels[tunnel])
  return { host, ...tunnels, pod: cniMtu ?? (used.length === 0 ? host : Math.min(...used)) }
}
