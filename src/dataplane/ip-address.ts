/** `ip addr show` text of devices, and `ip addr add|replace|change|del …` applied to them (iproute2 6.1 ipaddress.c, net/ipv4/devinet.c). */
import { broadcastOf, cidr, contains, maskOf, parseAddressWithLength } from '../base/cidr.js'
import { formatIp, parseIp } from '../base/ip.js'
import { formatMac } from '../base/mac.js'
import type { Problem } from '../base/problem.js'
import type { AddressSpec, DeviceSpec } from './dataplane.js'
import { abbreviated, Report, Words, type Place } from './text.js'

interface PrintAddressesOptions {
  /** A device's index; default its place in the list, from 1. */
  readonly ifindex?: (device: DeviceSpec) => number
  /** What stands behind `@` in the name of a veth whose peer is in another netns (`if5`); default nothing. */
  readonly peer?: (device: DeviceSpec) => string | undefined
}

/** As `ip addr show` prints devices, without IPv6 addresses. */
export function printAddresses(devices: readonly DeviceSpec[], options: PrintAddressesOptions = {}): string {
  return devices.map((device, i) => printDevice(device, devices, { ifindex: options.ifindex?.(device) ?? i + 1, peer: options.peer?.(device) })).join('')
}

function printDevice(
  device: DeviceSpec,
  devices: readonly DeviceSpec[],
  { ifindex, peer }: { readonly ifindex: number; readonly peer: string | undefined },
): string {
  const carrier = hasCarrier(device, devices)
  const name = device.name + (peer === undefined ? lowerOf(device, devices) : `@${peer}`)
  const master = device.master === undefined ? '' : `master ${device.master} `
  const head = `${ifindex}: ${name}: <${flagsOf(device, carrier).join(',')}> mtu ${device.mtu} qdisc ${qdiscOf(device)} ${master}state ${stateOf(
    device,
    carrier,
  )} group default${queueOf(device)}`
  const link = device.kind === 'loopback' ? 'link/loopback' : device.kind === 'ipip' ? 'link/ipip' : device.mac === undefined ? 'link/none' : 'link/ether'
  const hardware =
    device.kind === 'loopback'
      ? ' 00:00:00:00:00:00 brd 00:00:00:00:00:00'
      : device.kind === 'ipip'
        ? ` ${formatIp(device.local ?? 0)} ${device.remote === undefined ? 'brd 0.0.0.0' : `peer ${formatIp(device.remote)}`}`
        : device.mac === undefined
          ? ' '
          : ` ${formatMac(device.mac)} brd ff:ff:ff:ff:ff:ff`
  return `${head}\n    ${link}${hardware}\n${device.addresses.map((address, i) => printAddress(address, device, i)).join('')}`
}

function printAddress(address: AddressSpec, device: DeviceSpec, index: number): string {
  const broadcast = address.broadcast === undefined ? '' : `brd ${formatIp(address.broadcast)} `
  const primary = device.addresses.findIndex((other) => other.length === address.length && contains(cidr(other.address, other.length), address.address))
  const secondary = primary < index ? 'secondary ' : ''
  const head = `    inet ${formatIp(address.address)}/${address.length} ${broadcast}scope ${address.scope} ${secondary}${device.name}`
  return `${head}\n       valid_lft forever preferred_lft forever\n`
}

/** What stands behind the name: the other end of a veth; of an IPIP device, which names no lower one, NONE (ip_tunnel_get_iflink). */
function lowerOf(device: DeviceSpec, devices: readonly DeviceSpec[]): string {
  if (device.kind === 'ipip') return '@NONE'
  return device.kind === 'veth' && devices.some((other) => other.kind === 'veth' && other.name === device.peer.device && other.peer.device === device.name)
    ? `@${device.peer.device}`
    : ''
}

function hasCarrier(device: DeviceSpec, devices: readonly DeviceSpec[]): boolean {
  if (device.kind === 'nic') return device.cable?.cut !== true
  return device.kind !== 'bridge' || devices.some((port) => port.master === device.name && port.up)
}

function flagsOf(device: DeviceSpec, carrier: boolean): readonly string[] {
  const kind = {
    loopback: ['LOOPBACK'],
    tun: ['POINTOPOINT', 'MULTICAST', 'NOARP'],
    wireguard: ['POINTOPOINT', 'NOARP'],
    ipip: ['NOARP'],
    dummy: ['BROADCAST', 'NOARP'],
  } as const
  // ip_tunnel_bind_dev: with a remote end of its own it is point to point
  if (device.kind === 'ipip' && device.remote !== undefined) return ['POINTOPOINT', 'NOARP', ...(device.up ? ['UP', 'LOWER_UP'] : [])]
  const own: readonly string[] = device.kind in kind ? kind[device.kind as keyof typeof kind] : ['BROADCAST', 'MULTICAST']
  return [...(device.up && !carrier ? ['NO-CARRIER'] : []), ...own, ...(device.up ? ['UP'] : []), ...(device.up && carrier ? ['LOWER_UP'] : [])]
}

function qdiscOf(device: DeviceSpec): string {
  if (!device.up) return 'noop'
  return device.kind === 'tun' ? 'pfifo_fast' : 'noqueue'
}

function stateOf(device: DeviceSpec, carrier: boolean): string {
  if (!device.up || !carrier) return 'DOWN'
  return ['loopback', 'tun', 'vxlan', 'ipip', 'wireguard', 'dummy'].includes(device.kind) ? 'UNKNOWN' : 'UP'
}

function queueOf(device: DeviceSpec): string {
  return device.kind === 'tun' ? ' qlen 500' : device.kind === 'vxlan' ? '' : ' qlen 1000'
}

const COMMANDS = ['add', 'change', 'chg', 'replace', 'delete'] as const

/**
 * `ip addr …` with or without the leading words. The connected and local routes that a kernel adds with an address are none of
 * this function's. After an error the devices are as they were.
 */
export function applyAddressCommand(
  devices: readonly DeviceSpec[],
  text: string,
  place: Place,
): { readonly devices: readonly DeviceSpec[]; readonly problems: readonly Problem[] } {
  const report = new Report(place)
  return { devices: apply(devices, text, report) ?? devices, problems: report.problems }
}

function apply(devices: readonly DeviceSpec[], text: string, report: Report): readonly DeviceSpec[] | undefined {
  const words = Words.of(text)
  words.takeIf('ip')
  words.takeIf('-4')
  if (abbreviated(words.peek(), ['address']) !== undefined && COMMANDS.every((command) => words.peek() !== command)) words.next()
  const word = words.next()
  const command = abbreviated(word, COMMANDS)
  if (command === undefined) return report.error(`Command "${word ?? ''}" is unknown, try "ip address help".`, `Modelled are ${COMMANDS.join(', ')}.`)
  const said = readAddress(words, report)
  if (said === undefined) return undefined
  const device = devices.find(({ name }) => name === said.device)
  if (device === undefined) return report.error(`Cannot find device "${said.device}"`)
  const at = device.addresses.findIndex(({ address, length }) => address === said.spec.address && length === said.spec.length)
  const change = (addresses: readonly AddressSpec[]): readonly DeviceSpec[] => devices.map((other) => (other === device ? { ...device, addresses } : other))
  if (command === 'delete')
    return at < 0
      ? report.error('RTNETLINK answers: Cannot assign requested address', `${device.name} does not have it.`)
      : change(device.addresses.toSpliced(at, 1))
  if (at < 0) return change([...device.addresses, said.spec])
  return command === 'add' ? report.error('RTNETLINK answers: File exists', `${device.name} has it already.`) : change(device.addresses.with(at, said.spec))
}

function readAddress(words: Words, report: Report): { readonly device: string; readonly spec: AddressSpec } | undefined {
  let local: { readonly address: number; readonly length: number } | undefined
  let [device, broadcast]: (string | undefined)[] = [undefined, undefined]
  let scope: AddressSpec['scope'] | undefined
  while (!words.done) {
    const word = words.next() ?? ''
    if (word === 'dev') device = words.next()
    else if (word === 'brd' || word === 'broadcast') broadcast = words.next() ?? ''
    else if (word === 'scope') {
      const text = words.next()
      if (text !== 'global' && text !== 'link' && text !== 'host')
        return report.error(`argument "${text ?? ''}" is wrong: invalid scope value.`, 'global, link or host.')
      scope = text
    } else if (word === 'label') report.warning(`the label "${words.next() ?? ''}" of an address is not modelled and left out`)
    else if (word === 'peer' || word === 'noprefixroute' || word === 'metric' || word === 'valid_lft' || word === 'preferred_lft') {
      return report.error(`"${word}" of an address is not modelled`, 'The command is left out.')
    } else if (word === 'local' || local === undefined) {
      const text = word === 'local' ? (words.next() ?? '') : word
      local = parseAddressWithLength(text)
      if (local === undefined)
        return report.error(`any valid prefix is expected rather than "${text}".`, text.includes(':') ? 'IPv6 is not modelled.' : 'ADDRESS/LENGTH.')
    } else return report.error(`"${word}" is a garbage here`, 'Check the spelling of this word.')
  }
  if (device === undefined) return report.error('Not enough information: "dev" argument is required.')
  if (local === undefined) return report.error('"local" is not specified: the command names no address')
  const brd =
    broadcast === undefined || broadcast === '-'
      ? undefined
      : broadcast === '+'
        ? broadcastOf({ base: local.address & maskOf(local.length), length: local.length })
        : parseIp(broadcast)
  if (broadcast !== undefined && broadcast !== '-' && brd === undefined) return report.error(`an IP address is expected rather than "${broadcast}"`)
  const host = contains({ base: 127 << 24, length: 8 }, local.address)
  return { device, spec: { ...local, scope: scope ?? (host ? 'host' : 'global'), ...(brd === undefined ? {} : { broadcast: brd }) } }
}
