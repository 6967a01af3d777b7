// hot path
/** The targets that do more than end a chain or jump (net/netfilter/xt_*.c, ipt_REJECT.c). */
import { PAYLOAD_RAW, PROTO_TCP, TCP_OPTIONS_MSS, TCP_OPTIONS_NONE, TCP_OPTIONS_SYN, ipHeaderLength, type Packet } from '../../wire/packet.js'
import { SCOPE_GLOBAL } from '../device.js'
import { RouteResult } from '../fib.js'
import { inetSelectAddr, outputMtu, routeOutputFrom } from '../route-output.js'
import {
  CONTINUE,
  HOOK_OUTPUT,
  NAT_MAP_IPS,
  NF_ACCEPT,
  NF_DROP,
  NF_INCOMPLETE,
  T_CHECKSUM,
  T_CONNMARK_RESTORE,
  T_CONNMARK_SAVE,
  T_CONNMARK_SET,
  T_DNAT,
  T_DSCP,
  T_LOG,
  T_MARK,
  T_MASQUERADE,
  T_NOTRACK,
  T_REDIRECT,
  T_REJECT,
  T_SET,
  T_SNAT,
  T_TCPMSS,
  T_TTL,
  T_UNKNOWN,
} from './bytecode.js'
import { CT_UNTRACKED, E_MARK, E_MASQUERADE, ENTRY_STRIDE } from './conntrack-tuple.js'
import { MANIP_DST, MANIP_SRC, natInitialized, natRange, natSetup } from './nat.js'
import type { Netfilter } from './netfilter.js'

const LOOPBACK_ADDRESS = 0x7f000001
/** TTL target: args. */
export const TTL_SET = 0
export const TTL_DEC = 1
export const TTL_INC = 2
/** TCPMSS target: the argument that stands for --clamp-mss-to-pmtu. */
export const CLAMP_TO_PMTU = 0

const ROUTE = new RouteResult()

/** @returns CONTINUE, or the table's verdict */
export function runTarget(nf: Netfilter, target: number, arg: number, packet: Packet): number {
  const args = nf.targets
  switch (target) {
    case T_REJECT:
      packet.rejectWith = args[arg]
      return NF_DROP
    case T_LOG:
      return CONTINUE
    case T_MARK:
      packet.mark = (packet.mark & ~args[arg + 1]) ^ args[arg]
      return CONTINUE
    case T_CONNMARK_SET:
    case T_CONNMARK_SAVE:
    case T_CONNMARK_RESTORE:
      connmark(nf, target, arg, packet)
      return CONTINUE
    case T_MASQUERADE:
      return masquerade(nf, arg, packet)
    case T_SNAT:
      takeRange(nf, arg)
      return bind(nf, packet, MANIP_SRC)
    case T_DNAT:
      takeRange(nf, arg)
      return bind(nf, packet, MANIP_DST)
    case T_REDIRECT:
      return redirect(nf, arg, packet)
    case T_NOTRACK:
      // a packet that has a connection already keeps it
      if (packet.conntrack < 0) {
        packet.notrack = 1
        packet.conntrackState = CT_UNTRACKED
      }
      return CONTINUE
    case T_TCPMSS:
      tcpmss(nf, args[arg], packet)
      return CONTINUE
    case T_SET:
      nf.fillSetContext()
      if (nf.sets[args[arg]].change(packet, args[arg + 1], args[arg + 2], nf.setContext, nf.setChanges[args[arg + 3]])) return CONTINUE
      nf.incompleteWord = nf.sets[args[arg]].word
      return NF_INCOMPLETE
    case T_DSCP:
      packet.tos = (packet.tos & 0x03) | (args[arg] << 2)
      return CONTINUE
    case T_TTL:
      setTtl(args[arg], args[arg + 1], packet)
      return CONTINUE
    case T_CHECKSUM:
      // checksum_tg: made here, in place of by the card
      packet.partial = 0
      return CONTINUE
    case T_UNKNOWN:
      nf.incompleteWord = args[arg]
      return NF_INCOMPLETE
    default:
      return CONTINUE
  }
}

function connmark(nf: Netfilter, target: number, arg: number, packet: Packet): void {
  const conntrack = nf.netns.conntrack
  if (conntrack === null || packet.conntrack < 0) return
  const args = nf.targets
  const at = packet.conntrack * ENTRY_STRIDE + E_MARK
  const rows = conntrack.rows
  if (target === T_CONNMARK_SET) rows[at] = (rows[at] & ~args[arg + 1]) ^ args[arg]
  else if (target === T_CONNMARK_SAVE) rows[at] = (rows[at] & ~args[arg + 1]) ^ (packet.mark & args[arg])
  else packet.mark = (packet.mark & ~args[arg]) ^ (rows[at] & args[arg + 1])
}

function takeRange(nf: Netfilter, arg: number): void {
  const args = nf.targets
  natRange.flags = args[arg]
  natRange.minAddress = args[arg + 1]
  natRange.maxAddress = args[arg + 2]
  natRange.minPort = args[arg + 3]
  natRange.maxPort = args[arg + 4]
}

function bind(nf: Netfilter, packet: Packet, manip: number): number {
  const conntrack = nf.netns.conntrack
  if (conntrack !== null && packet.conntrack >= 0 && !natInitialized(conntrack, packet.conntrack, manip)) {
    natSetup(conntrack, packet.conntrack, manip, nf.netns.world.prng)
  }
  return NF_ACCEPT
}

/** nf_nat_masquerade_ipv4: the address that the out device would use towards the next hop. */
function masquerade(nf: Netfilter, arg: number, packet: Packet): number {
  const conntrack = nf.netns.conntrack
  const out = nf.outDevice
  if (conntrack === null || packet.conntrack < 0 || out === null) return NF_ACCEPT
  // an address still being asked for (DHCP) is not translated
  if (conntrack.rows[packet.conntrack * ENTRY_STRIDE] === 0) return NF_ACCEPT
  const source = inetSelectAddr(out, packet.nextHop !== 0 ? packet.nextHop : packet.dst, SCOPE_GLOBAL)
  if (source === 0) return NF_DROP
  conntrack.rows[packet.conntrack * ENTRY_STRIDE + E_MASQUERADE] = out.index + 1
  takeRange(nf, arg)
  natRange.flags |= NAT_MAP_IPS
  natRange.minAddress = source
  natRange.maxAddress = source
  return bind(nf, packet, MANIP_SRC)
}

/** nf_nat_redirect_ipv4: to this machine: the first address of the in device, 127.0.0.1 for what is made here. */
function redirect(nf: Netfilter, arg: number, packet: Packet): number {
  let address = LOOPBACK_ADDRESS
  if (nf.hook !== HOOK_OUTPUT) {
    const device = nf.inDevice
    if (device === null || device.addresses.length === 0) return NF_DROP
    address = device.addresses[0].address
  }
  takeRange(nf, arg)
  natRange.flags |= NAT_MAP_IPS
  natRange.minAddress = address
  natRange.maxAddress = address
  return bind(nf, packet, MANIP_DST)
}

/** TCP_MSS_DEFAULT: what a SYN without the option is taken to say. */
const UNSAID_MSS = 536

/** xt_TCPMSS: lowers the MSS of a SYN, never raises it; where there is none it says one. */
function tcpmss(nf: Netfilter, fixed: number, packet: Packet): void {
  if (packet.proto !== PROTO_TCP || packet.fragmentOffset !== 0 || packet.payloadKind === PAYLOAD_RAW) return
  let mss = fixed
  if (fixed === CLAMP_TO_PMTU) {
    mss = Math.min(mtuTowards(nf, packet, packet.src, packet.dst), mtuTowards(nf, packet, packet.dst, packet.src)) - ipHeaderLength(packet) - 20
  }
  if (mss <= 0) return
  if (packet.tcpOptions === TCP_OPTIONS_SYN || packet.tcpOptions === TCP_OPTIONS_MSS) {
    if (packet.tcpMss > mss) packet.tcpMss = mss
  } else if (packet.tcpOptions === TCP_OPTIONS_NONE && packet.payloadLength === 0) {
    packet.tcpOptions = TCP_OPTIONS_MSS
    packet.tcpMss = Math.min(mss, UNSAID_MSS)
    packet.ipLength += 4
  }
}

/** The path MTU of a route, 65535 without one. */
function mtuTowards(nf: Netfilter, packet: Packet, src: number, dst: number): number {
  const savedSrc = packet.src
  const savedDst = packet.dst
  packet.src = src
  packet.dst = dst
  const error = routeOutputFrom(nf.netns, packet, null, ROUTE)
  packet.src = savedSrc
  packet.dst = savedDst
  return error !== 0 || ROUTE.device === null ? 65_535 : outputMtu(nf.netns, dst, ROUTE)
}

function setTtl(action: number, value: number, packet: Packet): void {
  if (action === TTL_SET) packet.ttl = value
  else if (action === TTL_DEC) packet.ttl = Math.max(packet.ttl - value, 0)
  else packet.ttl = Math.min(packet.ttl + value, 255)
}
