/**
 * sysctls of a netns → the integers of the netns and its devices: `all` and `default` folded into each device as the IN_DEV_* macros of
 * include/linux/inetdevice.h do. Most devices are named by no sysctl: what those have is worked out once for the settings.
 */
import type { Dataplane } from '../dataplane/dataplane.js'
import { DEVICE_WIREGUARD, type DeviceSettings } from './device.js'
import type { Netns } from './netns.js'

/** USER_HZ: what settings in jiffies are counted in. */
const TICK_NS = 10e6

/** arp_tbl.parms (net/ipv4/arp.c), by the names and in the units of sysctl (net/core/neighbour.c neigh_sysctl_template). */
const NEIGHBOUR_SETTINGS = {
  base_reachable_time_ms: 30_000,
  retrans_time_ms: 1000,
  delay_first_probe_time: 5,
  ucast_solicit: 3,
  mcast_solicit: 3,
  locktime: 100,
  proxy_delay: 80,
} as const

/** The kernel lets no two probes follow within 10 ms (neigh_timer_handler, max(RETRANS_TIME, HZ/100)). */
const RETRANSMIT_MIN_NS = 10e6

type Sysctls = Dataplane['sysctls']

interface Known {
  /** As the keys write them: with `/` for a dot, or not. */
  readonly named: ReadonlySet<string>
  readonly others: DeviceSettings
  readonly byName: Map<string, DeviceSettings>
}

const KNOWN = new WeakMap<Sysctls, Known>()
/** Each once, by what it says: of thousands of hosts with the same sysctls all devices have the same one. */
const SETTINGS = new Map<string, DeviceSettings>()

function once(settings: DeviceSettings): DeviceSettings {
  const text = Object.values(settings).join(' ')
  const known = SETTINGS.get(text)
  if (known === undefined) SETTINGS.set(text, settings)
  return known ?? settings
}

export function compileSysctls(netns: Netns, { sysctls }: Dataplane): void {
  netns.sysctls = sysctls
  const value = (key: string, fallback: number): number => sysctls[key] ?? fallback
  netns.ipForward = ipForward(sysctls)
  netns.defaultTtl = value('net.ipv4.ip_default_ttl', 64)
  netns.bridgeNfCallIptables = value('net.bridge.bridge-nf-call-iptables', 1)
  netns.icmpEchoIgnoreAll = value('net.ipv4.icmp_echo_ignore_all', 0)
  netns.icmpEchoIgnoreBroadcasts = value('net.ipv4.icmp_echo_ignore_broadcasts', 1)
  netns.icmpErrorsUseInboundIfaddr = value('net.ipv4.icmp_errors_use_inbound_ifaddr', 0)
  netns.multipathHashPolicy = value('net.ipv4.fib_multipath_hash_policy', 0)
  netns.ipNoPmtuDisc = value('net.ipv4.ip_no_pmtu_disc', 0)
  let known = KNOWN.get(sysctls)
  if (known === undefined) {
    known = { named: devicesOf(sysctls), others: once(settingsOf(undefined, sysctls)), byName: new Map() }
    KNOWN.set(sysctls, known)
  }
  for (const device of netns.devices) {
    const { name } = device
    const isNamed = known.named.has(name) || known.named.has(name.replaceAll('.', '/'))
    let settings = isNamed ? known.byName.get(name) : known.others
    if (settings === undefined) {
      settings = once(settingsOf(name, sysctls))
      known.byName.set(name, settings)
    }
    // wg_open: the device sends none, and `all` is turned off with it
    const isWireguard = device.kind === DEVICE_WIREGUARD
    device.settings = isWireguard ? { ...settings, sendRedirects: sysctls[`net.ipv4.conf.${name}.send_redirects`] ?? 0 } : settings
  }
}

function ipForward(sysctls: Sysctls): number {
  return sysctls['net.ipv4.ip_forward'] ?? sysctls['net.ipv4.conf.all.forwarding'] ?? 0
}

function devicesOf(sysctls: Sysctls): ReadonlySet<string> {
  return new Set(Object.keys(sysctls).flatMap((key) => /^net\.ipv4\.(?:conf|neigh)\.(.+)\.[^.]+$/.exec(key)?.at(1) ?? []))
}

/** Of the device of the name; undefined: of one that no key names. */
function settingsOf(name: string | undefined, sysctls: Sysctls): DeviceSettings {
  const named = (kind: string, key: string): number | undefined =>
    name === undefined ? undefined : (sysctls[`net.ipv4.${kind}.${name}.${key}`] ?? sysctls[`net.ipv4.${kind}.${name.replaceAll('.', '/')}.${key}`])
  const own = (key: string, fallback: number): number => named('conf', key) ?? sysctls[`net.ipv4.conf.default.${key}`] ?? fallback
  const all = (key: string, fallback: number): number => sysctls[`net.ipv4.conf.all.${key}`] ?? fallback
  const or = (key: string, fallback: number): number => (own(key, fallback) !== 0 || all(key, fallback) !== 0 ? 1 : 0)
  const max = (key: string): number => Math.max(own(key, 0), all(key, 0))
  // net.ipv4.neigh.DEV.*, or of `default` in its place (neigh_parms_alloc copies it)
  const neigh = (key: keyof typeof NEIGHBOUR_SETTINGS): number => named('neigh', key) ?? sysctls[`net.ipv4.neigh.default.${key}`] ?? NEIGHBOUR_SETTINGS[key]
  return {
    forwarding: own('forwarding', ipForward(sysctls)),
    rpFilter: max('rp_filter'),
    acceptLocal: or('accept_local', 0),
    proxyArp: or('proxy_arp', 0),
    proxyArpPvlan: or('proxy_arp_pvlan', 0),
    arpIgnore: max('arp_ignore'),
    arpAnnounce: max('arp_announce'),
    arpFilter: or('arp_filter', 0),
    sendRedirects: or('send_redirects', 1),
    routeLocalnet: or('route_localnet', 0),
    srcValidMark: or('src_valid_mark', 0),
    reachableNs: neigh('base_reachable_time_ms') * 1e6,
    retransmitNs: Math.max(neigh('retrans_time_ms') * 1e6, RETRANSMIT_MIN_NS),
    firstProbeNs: neigh('delay_first_probe_time') * 1e9,
    ucastSolicit: neigh('ucast_solicit'),
    mcastSolicit: neigh('mcast_solicit'),
    locktimeNs: neigh('locktime') * TICK_NS,
    proxyDelayNs: (neigh('proxy_delay') * TICK_NS) / 2,
  }
}
