// hot path
/** What the IP tunnels share: congestion marks on the way in and out (RFC 6040 as include/net/inet_ecn.h has it), and how deep they nest. */
import { ETHERTYPE_ARP, type Packet } from '../wire/packet.js'

/**
 * A tunnel that routes into itself is broken off at its fourth encapsulation (iptunnel_xmit, dev_recursion_level; seen on Linux 6.18.44,
 * older kernels go on to the eighth, dev_xmit_recursion).
 */
export const TUNNEL_DEPTH_MAX = 3

const ECN_MASK = 3
const NOT_ECT = 0
const ECT_1 = 1
const ECT_0 = 2
const CE = 3

/** INET_ECN_encapsulate: the DSCP of `base`, the ECN field of the inner packet, where CE becomes ECT(0). */
export function ecnEncapsulate(base: number, inner: number): number {
  const ecn = inner & ECN_MASK
  return (base & ~ECN_MASK) | (ecn === CE ? ECT_0 : ecn)
}

/**
 * INET_ECN_decapsulate: what the outer header saw goes into the inner one.
 * @returns false when the two cannot be (congestion was marked on a packet that does not speak of it): most tunnels then drop it
 */
export function ecnDecapsulate(outerTos: number, inner: Packet): boolean {
  if (inner.etherType === ETHERTYPE_ARP) return true
  const outer = outerTos & ECN_MASK
  const ecn = inner.tos & ECN_MASK
  if (ecn === NOT_ECT) return outer !== CE
  if (outer === CE) inner.tos |= CE
  else if (outer === ECT_1 && ecn === ECT_0) inner.tos ^= ECN_MASK
  return true
}
