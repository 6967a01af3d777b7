/**
 * MTUs as Felix finds them: the host's from its cards, those of tunnels and pods from it. Source: felix/dataplane/linux/int_dataplane.go
 * (findHostMTU, ConfigureDefaultMTUs, determinePodMTU).
 */
import type { FelixSettings } from '../cluster/calico/felix-configuration.js'

const DEFAULT_PATTERN = '^((en|wl|ww|sl|ib)[Pcopsvx].*|(eth|wlan|wwan).*)'
/** What Felix takes when no card's name matches: the smallest among common clouds. */
const FALLBACK_MTU = 1460

export const IPIP_OVERHEAD = 20
export const VXLAN_OVERHEAD = 50
export const WIREGUARD_OVERHEAD = 60

export interface HostLink {
  readonly name: string
  readonly mtu: number
  readonly up: boolean
}

/** The smallest MTU among cards that are up and whose name matches MTUIfacePattern. @param pattern undefined: the default */
export function hostMtu(links: readonly HostLink[], pattern?: string): number {
  const matches = patternOf(pattern)
  const mtus = links.filter(({ name, up }) => up && matches.test(name)).map(({ mtu }) => mtu)
  return mtus.length === 0 ? FALLBACK_MTU : Math.min(...mtus)
}

/** One that is no expression makes Felix keep its default. */
function patternOf(pattern: string | undefined): RegExp {
  try {
    return new RegExp(pattern ?? DEFAULT_PATTERN)
  } catch {
    return new RegExp(DEFAULT_PATTERN)
  }
}

export interface Encapsulations {
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

/** An MTU of 0 in the settings means: from the host's. */
export function calicoMtus(host: number, enabled: Encapsulations, settings: Pick<FelixSettings, 'ipipMTU' | 'vxlanMTU' | 'wireguardMTU'>): CalicoMtus {
  const ipip = settings.ipipMTU || host - IPIP_OVERHEAD
  const vxlan = settings.vxlanMTU || host - VXLAN_OVERHEAD
  const wireguard = settings.wireguardMTU || host - WIREGUARD_OVERHEAD
  const used = [...(enabled.ipip ? [ipip] : []), ...(enabled.vxlan ? [vxlan] : []), ...(enabled.wireguard ? [wireguard] : [])]
  return { host, ipip, vxlan, wireguard, pod: used.length === 0 ? host : Math.min(...used) }
}
