/**
 * A netns with devices, addresses and routes, but no bridge, no neighbour and no wire: what netfilter looks at. Rules and sets
 * come as the text of iptables-save and ipset save.
 */
import { maskOf, parseAddressWithLength } from '../../../src/base/cidr.js'
import { ip } from '../../../src/base/ip.js'
import type { IptablesState } from '../../../src/dataplane/iptables.js'
import { hasErrors } from '../../../src/base/problem.js'
import { parseIptablesSave } from '../../../src/dataplane/iptables-save.js'
import type { IpSet } from '../../../src/dataplane/ipset.js'
import { parseIpsets } from '../../../src/dataplane/ipset-save.js'
import { Device, DEVICE_LOOPBACK, DEVICE_VETH, SCOPE_GLOBAL } from '../../../src/net/device.js'
import { Fib, RTN_BROADCAST, RTN_LOCAL, RTN_UNICAST } from '../../../src/net/fib.js'
import { RouteTable, type Route } from '../../../src/net/fib-table.js'
import { FragmentQueues } from '../../../src/net/ip-fragment.js'
import {
  compileNetfilter,
  HOOK_FORWARD,
  HOOK_INPUT,
  HOOK_OUTPUT,
  HOOK_POSTROUTING,
  HOOK_PREROUTING,
  NF_ACCEPT,
  type Netfilter,
} from '../../../src/net/netfilter/netfilter.js'
import { Netns, NETNS_NODE, World } from '../../../src/net/netns.js'
import {
  ETHERTYPE_IPV4,
  Packet,
  PAYLOAD_QUOTE,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
  TCP_ACK,
  TCP_OPTIONS_NONE,
  TCP_OPTIONS_SYN,
  TCP_OPTIONS_TIMESTAMP,
  TCP_SYN,
  wholeIpPayloadLength,
} from '../../../src/wire/packet.js'

export interface Host {
  readonly world: World
  readonly netns: Netns
  readonly netfilter: Netfilter
  device(name: string): Device
}

export interface HostSpec {
  /** Device name → addresses with lengths. */
  readonly devices?: Readonly<Record<string, readonly string[]>>
  readonly sysctls?: Readonly<Record<string, number>>
  readonly ipsets?: string
  readonly seed?: number
}

export const ROUTER: NonNullable<HostSpec['devices']> = { ra: ['10.1.0.1/24'], rb: ['10.2.0.1/24'] }

/** A host with rules as text; @throws Error with the problems of the text */
export function host(iptables: string, spec: HostSpec = {}): Host {
  const parsed = parseIptablesSave(iptables, { file: 'rules', line: 1, object: '' })
  const sets = parseIpsets(spec.ipsets ?? '', { file: 'sets', line: 1, object: '' })
  const problems = [...parsed.problems, ...sets.problems]
  if (hasErrors(problems)) throw new Error(JSON.stringify(problems))
  return hostOf(parsed.state, sets.sets, spec)
}

export function hostOf(state: IptablesState, sets: readonly IpSet[] = [], spec: HostSpec = {}): Host {
  const world = new World(spec.seed ?? 1)
  const netns = new Netns(world, 0, 'r', NETNS_NODE)
  netns.sysctls = spec.sysctls ?? {}
  netns.fragments = new FragmentQueues(netns)
  world.netns.push(netns)
  const add = (name: string, kind: number, addresses: readonly string[]): void => {
    const device = new Device(netns, world.devices.length, name, kind, 1500)
    device.addresses = addresses.map((text) => ({
      ...(parseAddressWithLength(text) as { address: number; length: number }),
      scope: SCOPE_GLOBAL,
      secondary: 0,
    }))
    world.devices.push(device)
    netns.devices.push(device)
  }
  add('lo', DEVICE_LOOPBACK, ['127.0.0.1/8'])
  for (const [name, addresses] of Object.entries(spec.devices ?? ROUTER)) add(name, DEVICE_VETH, addresses)
  netns.loopback = netns.devices[0]
  netns.fib = connectedRoutes(netns)
  const netfilter = compileNetfilter(netns, state, sets)
  if (netfilter === null) throw new Error('no table')
  netns.netfilter = netfilter
  return { world, netns, netfilter, device: (name) => netns.devices.find((device) => device.name === name) as Device }
}

function connectedRoutes(netns: Netns): Fib {
  const route = (base: number, length: number, type: number, device: Device): Route => ({
    index: 0,
    base,
    length,
    type,
    gateway: 0,
    device,
    source: device.addresses[0].address,
    scope: 0,
    metric: 0,
    tos: 0,
    mtu: 0,
    mtuLocked: 0,
    advmss: 0,
    nexthops: null,
    spec: -1,
  })
  const local: Route[] = []
  const main: Route[] = []
  for (const device of netns.devices) {
    for (const { address, length } of device.addresses) {
      const base = address & maskOf(length)
      local.push(route(address, 32, RTN_LOCAL, device))
      if (device === netns.loopback) local.push(route(base, length, RTN_LOCAL, device))
      else {
        main.push(route(base, length, RTN_UNICAST, device))
        local.push(route(base | ~maskOf(length), 32, RTN_BROADCAST, device))
      }
    }
  }
  const routes = [...local, ...main]
  routes.forEach((one, index) => (one.index = index))
  return new Fib(netns, {
    rules: [],
    local: new RouteTable('local', local),
    localTrie: RouteTable.merged(local, main),
    fallback: new RouteTable('default', []),
    customRules: 0,
    customLocalRoutes: 0,
    routes,
  })
}

export interface PacketSpec {
  readonly src?: string
  readonly dst?: string
  readonly proto?: 'tcp' | 'udp' | 'icmp' | number
  readonly sport?: number
  readonly dport?: number
  readonly flags?: number
  readonly icmpType?: number
  readonly icmpCode?: number
  readonly icmpId?: number
  readonly length?: number
  readonly ttl?: number
  readonly tos?: number
  readonly mark?: number
}

const PROTOS = { tcp: PROTO_TCP, udp: PROTO_UDP, icmp: PROTO_ICMP } as const

/** A packet from 10.1.0.2 to 10.2.0.2; UDP 40000 → 9000, a TCP SYN, or an echo request. */
export function packet(spec: PacketSpec = {}): Packet {
  const made = new Packet()
  const proto = typeof spec.proto === 'number' ? spec.proto : PROTOS[spec.proto ?? 'udp']
  made.etherType = ETHERTYPE_IPV4
  made.src = ip(spec.src ?? '10.1.0.2')
  made.dst = ip(spec.dst ?? '10.2.0.2')
  made.proto = proto
  made.ttl = spec.ttl ?? 64
  made.tos = spec.tos ?? 0
  made.mark = spec.mark ?? 0
  made.tcpOptions = TCP_OPTIONS_NONE
  if (proto === PROTO_ICMP) {
    made.sport = spec.icmpType ?? 8
    made.dport = spec.icmpCode ?? 0
    made.icmpId = spec.icmpId ?? 77
  } else {
    made.sport = spec.sport ?? 40000
    made.dport = spec.dport ?? 9000
  }
  if (proto === PROTO_TCP) {
    made.tcpFlags = spec.flags ?? TCP_SYN
    made.tcpOptions = (made.tcpFlags & TCP_SYN) !== 0 ? TCP_OPTIONS_SYN : TCP_OPTIONS_TIMESTAMP
    made.tcpMss = 1460
  }
  made.ipLength = spec.length ?? (proto === PROTO_TCP ? ((made.tcpFlags & TCP_SYN) !== 0 ? 60 : 52) : 84)
  made.payloadLength = made.ipLength - wholeIpPayloadLength(made) - 20
  return made
}

/** The answer as the far end would send it to what it got. */
export function answer(to: Packet): Packet {
  const made = new Packet().copyFrom(to)
  made.conntrack = -1
  made.conntrackState = 0
  made.notrack = 0
  made.mark = 0
  made.inDevice = -1
  made.src = to.dst
  made.dst = to.src
  if (to.proto === PROTO_ICMP) made.sport = 0
  else {
    made.sport = to.dport
    made.dport = to.sport
  }
  if (to.proto === PROTO_TCP) made.tcpFlags = TCP_SYN | TCP_ACK
  return made
}

/** An ICMP error about what someone got. */
export function icmpError(about: Packet, from: string, type = 3, code = 3): Packet {
  const made = packet({ proto: 'icmp', src: from, icmpType: type, icmpCode: code, icmpId: 0, length: 56 })
  made.dst = about.src
  made.payloadKind = PAYLOAD_QUOTE
  made.inner = new Packet().copyFrom(about)
  return made
}

/** PREROUTING, FORWARD, POSTROUTING, as ip_forward calls them. @returns the last verdict */
export function forward(at: Host, passing: Packet, from = 'ra', to = 'rb'): number {
  const inDevice = at.device(from)
  const outDevice = at.device(to)
  passing.inDevice = inDevice.index
  let verdict = at.netfilter.run(HOOK_PREROUTING, passing, inDevice, null)
  if (verdict !== NF_ACCEPT) return verdict
  passing.ttl--
  verdict = at.netfilter.run(HOOK_FORWARD, passing, inDevice, outDevice)
  if (verdict !== NF_ACCEPT) return verdict
  return at.netfilter.run(HOOK_POSTROUTING, passing, null, outDevice)
}

/** What a router with the two devices of ROUTER does with a packet: PREROUTING, then by the destination INPUT, or FORWARD and POSTROUTING. */
export function route(at: Host, passing: Packet, from: string): { readonly verdict: number; readonly to: string | undefined } {
  const inDevice = at.device(from)
  passing.inDevice = inDevice.index
  const verdict = at.netfilter.run(HOOK_PREROUTING, passing, inDevice, null)
  if (verdict !== NF_ACCEPT) return { verdict, to: undefined }
  if (at.netns.fib.local.hasLocalAddress(passing.dst)) return { verdict: at.netfilter.run(HOOK_INPUT, passing, inDevice, null), to: undefined }
  const to = passing.dst >>> 16 === 0x0a01 ? 'ra' : 'rb'
  passing.ttl--
  const forwarded = at.netfilter.run(HOOK_FORWARD, passing, inDevice, at.device(to))
  return { verdict: forwarded === NF_ACCEPT ? at.netfilter.run(HOOK_POSTROUTING, passing, null, at.device(to)) : forwarded, to }
}

/** PREROUTING and INPUT. */
export function receive(at: Host, coming: Packet, from = 'ra'): number {
  const inDevice = at.device(from)
  coming.inDevice = inDevice.index
  const verdict = at.netfilter.run(HOOK_PREROUTING, coming, inDevice, null)
  return verdict === NF_ACCEPT ? at.netfilter.run(HOOK_INPUT, coming, inDevice, null) : verdict
}

/** OUTPUT and POSTROUTING. */
export function send(at: Host, leaving: Packet, to = 'rb'): number {
  const outDevice = at.device(to)
  const verdict = at.netfilter.run(HOOK_OUTPUT, leaving, null, outDevice)
  return verdict === NF_ACCEPT ? at.netfilter.run(HOOK_POSTROUTING, leaving, null, outDevice) : verdict
}

/** `*filter` with these rules after the built-in chains. */
export function table(name: string, ...rules: string[]): string {
  const builtin: Record<string, string[]> = {
    raw: ['PREROUTING', 'OUTPUT'],
    mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
    nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
    filter: ['INPUT', 'FORWARD', 'OUTPUT'],
  }
  const users = [...new Set(rules.flatMap((rule) => [/^-A (\S+)/.exec(rule)?.[1] ?? '', /-[jg] ([A-Z]+-[A-Z0-9-]+|cali\S+)/.exec(rule)?.[1] ?? '']))].filter(
    (chain) => chain !== '' && !builtin[name].includes(chain),
  )
  return [`*${name}`, ...builtin[name].map((chain) => `:${chain} ACCEPT [0:0]`), ...users.map((chain) => `:${chain} - [0:0]`), ...rules, 'COMMIT', ''].join(
    '\n',
  )
}
