// hot path
/** NF_HOOK: runs one hook over a packet and sees to what the verdict asks for (REJECT answers, INCOMPLETE ends). */
import { sumOf } from '../wire/checksum.js'
import { encodeIp } from '../wire/frame.js'
import { ipHeaderLength, isFragment, PROTO_ICMP, PROTO_SCTP, PROTO_TCP, PROTO_UDP, PROTO_UDPLITE, TCP_RST, type Packet } from '../wire/packet.js'
import { DEVICE_VXLAN, DEVICE_WIREGUARD, type Device } from './device.js'
import { DENIED, INCOMPLETE, NO_ROUTE, REASON_NETFILTER_DROP, REASON_NONE, REJECTED } from './disposition.js'
import { dropPacket } from './drop.js'
import { icmpSend, ICMP_DEST_UNREACH } from './icmp.js'
import type { Netns } from './netns.js'
import { HOOK_INPUT, HOOK_PREROUTING, NF_ACCEPT, NF_DROP, NF_STOLEN, NF_UNROUTED, type Netfilter } from './netfilter/netfilter.js'
import { REJECT_ICMP_CODES, REJECT_TCP_RESET } from './netfilter/bytecode.js'
import { sendRejectReset } from './tcp.js'

/** @returns true when the packet goes on; false when it is gone (dropped, answered, or kept for reassembly) */
export function runHook(netns: Netns, hook: number, packet: Packet, inDevice: Device | null, outDevice: Device | null): boolean {
  const netfilter = netns.netfilter as Netfilter
  if (!netfilter.hasHook(hook)) return true
  netns.netfilterUsed = 1
  const verdict = netfilter.run(hook, packet, inDevice, outDevice)
  if (verdict === NF_ACCEPT) return true
  if (verdict === NF_STOLEN) return false
  if (verdict === NF_DROP) {
    refuse(netns, hook, packet, inDevice)
    return false
  }
  if (verdict === NF_UNROUTED) {
    // nf_nat_ipv4_local_fn, ipt_mangle_out: the hook itself drops it
    dropPacket(netns, packet, NO_ROUTE, REASON_NETFILTER_DROP, 'no route to the destination that OUTPUT gave it')
    return false
  }
  dropPacket(netns, packet, INCOMPLETE, REASON_NONE, netns.world.words[netfilter.incompleteWord])
  return false
}

function refuse(netns: Netns, hook: number, packet: Packet, inDevice: Device | null): void {
  const how = packet.rejectWith
  const { trace } = netns.world
  const rule = (netns.netfilter as Netfilter).lastRule
  packet.rejectWith = 0
  if (how === 0) {
    trace.droppingRule = rule
    dropPacket(netns, packet, DENIED, REASON_NETFILTER_DROP, 'a netfilter rule dropped it', hook)
    return
  }
  if (answers(hook, packet, inDevice)) {
    if (how !== REJECT_TCP_RESET) icmpSend(netns, packet, ICMP_DEST_UNREACH, REJECT_ICMP_CODES[how], 0)
    else if (packet.proto === PROTO_TCP && (packet.tcpFlags & TCP_RST) === 0) sendRejectReset(netns, packet)
  }
  trace.droppingRule = rule
  dropPacket(netns, packet, REJECTED, REASON_NETFILTER_DROP, 'a netfilter rule rejected it', hook)
}

/**
 * nf_send_unreach, nf_send_reset: only a first fragment is answered, and only when its checksum holds (nf_ip_checksum). The first
 * of several fragments does not hold the whole that was summed, so without conntrack, which puts fragments together before, a
 * fragmented datagram is refused in silence. What a VXLAN device unwrapped carries the sum of its bytes (CHECKSUM_COMPLETE), which
 * is looked at in PREROUTING and INPUT alone; what a WireGuard device decrypted is trusted. On lo and among own packets only those of
 * a raw socket can be wrong, and nobody vouches for them (raw_send_hdrinc leaves CHECKSUM_NONE).
 */
function answers(hook: number, packet: Packet, inDevice: Device | null): boolean {
  if (packet.fragmentOffset !== 0) return false
  const plain = isSummedPlainly(packet.proto)
  if (packet.corrupt === 0 && !isFragment(packet) && !plain) return true
  if (inDevice !== null && inDevice.kind === DEVICE_WIREGUARD) return true
  if (inDevice !== null && inDevice.kind === DEVICE_VXLAN && hook !== HOOK_PREROUTING && hook !== HOOK_INPUT) return true
  if (plain) return sumsToZero(packet)
  return packet.proto !== PROTO_UDP && packet.proto !== PROTO_TCP && packet.proto !== PROTO_ICMP
}

/** nf_reject_verify_csum: whatever protocol it is, but for those that are known to be summed otherwise or not at all (DCCP, GRE, ESP, AH, SCTP, UDP-Lite). */
function isSummedPlainly(proto: number): boolean {
  switch (proto) {
    case PROTO_TCP:
    case PROTO_UDP:
    case PROTO_ICMP:
    case PROTO_SCTP:
    case PROTO_UDPLITE:
    case 33:
    case 47:
    case 50:
    case 51:
      return false
    default:
      return true
  }
}

/** Cold. The payload as it would sum with a checksum of RFC 1071 in it, as that of IGMP does. */
function sumsToZero(packet: Packet): boolean {
  const bytes = encodeIp(packet)
  return sumOf(bytes, ipHeaderLength(packet), bytes.length) === 0xffff
}
