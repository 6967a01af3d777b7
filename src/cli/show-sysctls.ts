/** `netsim show sysctls`: what was set, or with --all every value that the netns's kernel has, as `sysctl -a` prints them. */
import type { Dataplane } from '../dataplane/dataplane.js'
import { defaultSysctls, printSysctls, sysctlDefault } from '../dataplane/sysctl.js'

const CONF = 'net.ipv4.conf.'
const NEIGH = 'net.ipv4.neigh.'
const OF_DEFAULT = /^net\.ipv4\.(?:conf|neigh)\.default\.(.+)$/

/** Keys under net.ipv4, net.bridge and net.netfilter: the kernel's values, each device's own, and over them what was set. */
export function allSysctls({ netns, sysctls, devices }: Dataplane): Readonly<Record<string, number>> {
  const all: Record<string, number> = { ...defaultSysctls() }
  const names = devices.map(({ name }) => name.replaceAll('.', '/'))
  for (const key of Object.keys(all)) {
    const own = OF_DEFAULT.exec(key)
    if (own === null) continue
    const group = key.startsWith(CONF) ? CONF : NEIGH
    for (const name of names) {
      const value = sysctlDefault(`${group}${name}.${own[1]}`)
      if (value !== undefined) all[`${group}${name}.${own[1]}`] = value
    }
  }
  // arp_init registers the directory `default` for the first netns alone (net/ipv4/arp.c)
  if (isPod(netns)) for (const key of Object.keys(all)) if (key.startsWith(`${NEIGH}default.`)) delete all[key]
  const forwarding = sysctls['net.ipv4.ip_forward'] ?? sysctls[`${CONF}all.forwarding`]
  if (forwarding !== undefined) forwardChange(all, forwarding)
  return { ...all, ...sysctls }
}

function isPod(netns: string): boolean {
  return netns.includes('/') && !netns.startsWith('router/')
}

/** inet_forward_change (net/ipv4/devinet.c): one switch turns all devices', and redirects to routers are not accepted. */
function forwardChange(all: Record<string, number>, on: number): void {
  for (const key of Object.keys(all)) if (key.startsWith(CONF) && key.endsWith('.forwarding') && !/\.[mb]c_forwarding$/.test(key)) all[key] = on
  all['net.ipv4.ip_forward'] = on
  all[`${CONF}all.accept_redirects`] = on === 0 ? 1 : 0
}

export function printAllSysctls(dataplane: Dataplane): string {
  return printSysctls(allSysctls(dataplane))
}
