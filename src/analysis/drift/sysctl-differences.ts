/** Settings of the kernel that the pod network rests on: what agents set, and what the kernel starts with, against what is there. */
import type { Dataplane } from '../../dataplane/dataplane.js'
import { sysctlDefault } from '../../dataplane/sysctl.js'
import type { Difference, DriftView } from './difference.js'
import { dumpFile } from './dump-file.js'
import { repairOf } from './repair.js'
import { Printer, shown } from './shown.js'
import { mend } from './shell-words.js'

const IP_FORWARD = 'net.ipv4.ip_forward'
const OF_ALL = 'net.ipv4.conf.all.'

/** Of the whole host. */
const OF_HOST = [
  IP_FORWARD,
  'net.bridge.bridge-nf-call-iptables',
  'net.ipv4.icmp_echo_ignore_all',
  'net.ipv4.conf.all.rp_filter',
  'net.ipv4.conf.all.arp_ignore',
  'net.ipv4.conf.all.arp_announce',
  'net.ipv4.conf.all.arp_filter',
  'net.ipv4.conf.all.proxy_arp',
  'net.ipv4.conf.all.accept_local',
  'net.ipv4.conf.all.src_valid_mark',
  'net.ipv4.conf.all.route_localnet',
] as const

/** net.ipv4.conf.DEV.*, of devices that agents make and of the card. */
const OF_DEVICE = [
  'forwarding',
  'rp_filter',
  'proxy_arp',
  'accept_local',
  'arp_ignore',
  'arp_announce',
  'arp_filter',
  'route_localnet',
  'src_valid_mark',
] as const

/** Of these the stronger of all's and the device's own counts (IN_DEV_MAXCONF); of others all's or the device's (IN_DEV_ORCONF). */
const STRONGER: ReadonlySet<string> = new Set(['rp_filter', 'arp_ignore', 'arp_announce'])

type Sysctls = Dataplane['sysctls']

export function sysctlDifferences(view: DriftView): Difference[] {
  const [wanted, there] = [view.expected.sysctls, view.there.sysctls]
  const found: Difference[] = []
  for (const key of OF_HOST) {
    const has = there[key] ?? (key.startsWith('net.bridge.') && isWhole(there) ? 0 : undefined)
    const should = wanted[key] ?? sysctlDefault(key) ?? 0
    if (has !== undefined && has !== should && !(isDevices(key) && isNothing(view, key)))
      found.push(difference(view, key, { should, has, absent: there[key] === undefined }))
  }
  const allKeys = new Set(found.map(({ cause }) => cause))
  for (const device of view.expected.devices) {
    if (device.kind === 'loopback') continue
    for (const name of OF_DEVICE) {
      const key = `net.ipv4.conf.${device.name.replaceAll('.', '/')}.${name}`
      const has = there[key]
      if (has === undefined || allKeys.has(`sysctl net.ipv4.conf.all.${name}`)) continue
      if (name === 'forwarding' && allKeys.has(`sysctl ${IP_FORWARD}`)) continue
      const should = effective(wanted, device.name, name)
      const is = effective(there, device.name, name)
      if (is !== should && isAmiss(name, should, is)) found.push(difference(view, key, { should, has, absent: false }))
    }
  }
  return found
}

/** ip_forward is another name of all's forwarding (devinet_conf_proc), and what devices have been given since is what counts. */
function isDevices(key: string): boolean {
  return key.startsWith(OF_ALL) || key === IP_FORWARD
}

/** Of a sysctl of `all` that every device has for itself anyhow: nothing comes of it. */
function isNothing(view: DriftView, key: string): boolean {
  const name = key === IP_FORWARD ? 'forwarding' : key.slice(OF_ALL.length)
  return view.expected.devices.every(
    (device) =>
      device.kind === 'loopback' || !isAmiss(name, effective(view.expected.sysctls, device.name, name), effective(view.there.sysctls, device.name, name)),
  )
}

/** A dump of all settings: then one that is not among them is not in the kernel (br_netfilter is not loaded). */
function isWhole(sysctls: Sysctls): boolean {
  return Object.keys(sysctls).filter((key) => key.startsWith('net.ipv4.')).length >= 50
}

function effective(sysctls: Sysctls, device: string, name: string): number {
  const key = device.replaceAll('.', '/')
  const own = sysctls[`net.ipv4.conf.${key}.${name}`] ?? sysctls[`net.ipv4.conf.${device}.${name}`]
  if (name === 'forwarding') return own ?? sysctls[IP_FORWARD] ?? sysctls['net.ipv4.conf.all.forwarding'] ?? 0
  const fallback = sysctls[`net.ipv4.conf.default.${name}`] ?? sysctlDefault(`net.ipv4.conf.default.${name}`) ?? 0
  const all = sysctls[`net.ipv4.conf.all.${name}`] ?? sysctlDefault(`net.ipv4.conf.all.${name}`) ?? 0
  const mine = own ?? fallback
  return STRONGER.has(name) ? Math.max(mine, all) : mine !== 0 || all !== 0 ? 1 : 0
}

/** Loose is as good as off: a source that no route leads to has no business here. */
function isAmiss(name: string, should: number, is: number): boolean {
  return name === 'rp_filter' ? (should === 1) !== (is === 1) : should !== is
}

function difference(
  view: DriftView,
  key: string,
  { should, has, absent }: { readonly should: number; readonly has: number; readonly absent: boolean },
): Difference {
  const text = dumpKey(view, key)
  const by = byOf(view, key)
  const bridge = key.startsWith('net.bridge.')
  const file = dumpFile(view, 'sysctl')
  return {
    code: 'ND401',
    cause: `sysctl ${key}`,
    what: absent ? `${text} is not in the kernel: br_netfilter is not loaded` : `${text} is ${has}, not ${should}`,
    expected: [shown(`${text} = ${should}`, by === undefined ? undefined : { by })],
    there: absent ? [] : [shown(`${text} = ${has}`, { by: 'dump', ...(file === undefined ? {} : { file }) })],
    apply: (dataplane) => ({ ...dataplane, sysctls: { ...dataplane.sysctls, [key]: has } }),
    focus: {},
    commands: [...(bridge && absent ? ['modprobe br_netfilter'] : []), mend`sysctl -w ${text}=${should}`],
    repair: repairOf(by, 'sysctl'),
  }
}

/** In the dump's names. */
function dumpKey(view: DriftView, key: string): string {
  const match = /^(net\.ipv4\.conf\.)([^.]+)(\..*)$/.exec(key)
  if (match === null || match[2] === 'all' || match[2] === 'default') return key
  return `${match[1]}${new Printer(view).device(match[2].replaceAll('/', '.')).replaceAll('.', '/')}${match[3]}`
}

/** Who sets it. */
function byOf({ network, expected }: DriftView, key: string): string | undefined {
  if (/\.cali[^.]*\./.test(key)) return 'felix'
  if (key === IP_FORWARD && network.calico !== undefined) return 'felix'
  return key === 'net.ipv4.conf.all.route_localnet' && expected.sysctls[key] === 1 ? 'kube-proxy' : undefined
}
