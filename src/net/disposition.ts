/** How a packet can end: the closed list of DESIGN.md section 4, as small integers inside and words at the door. */
export const DISPOSITIONS = [
  'DELIVERED',
  'REPLY_LOST',
  'EXITED',
  'DENIED',
  'REJECTED',
  'NO_ROUTE',
  'NULL_ROUTED',
  'RPFILTER',
  'MARTIAN',
  'NEIGHBOR_FAILED',
  'NO_VTEP',
  'TTL_EXCEEDED',
  'LOOP',
  'TOO_BIG',
  'BLACKHOLE',
  'NO_SOCKET',
  'NO_ENDPOINT',
  'CORRUPT',
  'AGENT_DROPPED',
  'AMBIGUOUS',
  'INCOMPLETE',
] as const

export type Disposition = (typeof DISPOSITIONS)[number]

export const DELIVERED = 0
export const REPLY_LOST = 1
export const EXITED = 2
export const DENIED = 3
export const REJECTED = 4
export const NO_ROUTE = 5
export const NULL_ROUTED = 6
export const RPFILTER = 7
export const MARTIAN = 8
export const NEIGHBOR_FAILED = 9
export const NO_VTEP = 10
export const TTL_EXCEEDED = 11
export const LOOP = 12
export const TOO_BIG = 13
export const BLACKHOLE = 14
export const NO_SOCKET = 15
export const NO_ENDPOINT = 16
export const CORRUPT = 17
export const AGENT_DROPPED = 18
export const AMBIGUOUS = 19
export const INCOMPLETE = 20

/** The kernel's own word for a loss (enum skb_drop_reason, include/net/dropreason-core.h), where it has one; index = REASON_*. */
export const REASONS = [
  '',
  'NETFILTER_DROP',
  'IP_INNOROUTES',
  'IP_OUTNOROUTES',
  'IP_RPFILTER',
  'NEIGH_FAILED',
  'PKT_TOO_BIG',
  'NO_SOCKET',
  'OTHERHOST',
  'IP_INADDRERRORS',
  'IP_INHDR',
  'IP_CSUM',
  'FRAG_REASM_TIMEOUT',
  'NO_TX_TARGET',
  'VXLAN_VNI_NOT_FOUND',
  'VXLAN_INVALID_HDR',
  'LOCAL_MAC',
  'DEV_READY',
  'BRIDGE_INGRESS_STP_STATE',
  'IP_INVALID_SOURCE',
  'IP_LOCALNET',
  'IP_INVALID_DEST',
  'IP_LOCAL_SOURCE',
  'UDP_CSUM',
  'TCP_CSUM',
  'ICMP_CSUM',
  'NEIGH_QUEUEFULL',
  'RECURSION_LIMIT',
  'DUP_FRAG',
  'FULL_RING',
  'UNICAST_IN_L2_MULTICAST',
  'PKT_TOO_SMALL',
  'IP_TUNNEL_ECN',
  'TCP_FLAGS',
  'TCP_RESET',
] as const

export const REASON_NONE = 0
export const REASON_NETFILTER_DROP = 1
export const REASON_IP_INNOROUTES = 2
export const REASON_IP_OUTNOROUTES = 3
export const REASON_IP_RPFILTER = 4
export const REASON_NEIGH_FAILED = 5
export const REASON_PKT_TOO_BIG = 6
export const REASON_NO_SOCKET = 7
export const REASON_OTHERHOST = 8
export const REASON_IP_INADDRERRORS = 9
export const REASON_IP_INHDR = 10
export const REASON_IP_CSUM = 11
export const REASON_FRAG_REASM_TIMEOUT = 12
export const REASON_NO_TX_TARGET = 13
export const REASON_VXLAN_VNI_NOT_FOUND = 14
export const REASON_VXLAN_INVALID_HDR = 15
export const REASON_LOCAL_MAC = 16
export const REASON_DEV_READY = 17
export const REASON_BRIDGE_INGRESS_STP_STATE = 18
export const REASON_IP_INVALID_SOURCE = 19
export const REASON_IP_LOCALNET = 20
export const REASON_IP_INVALID_DEST = 21
export const REASON_IP_LOCAL_SOURCE = 22
export const REASON_UDP_CSUM = 23
export const REASON_TCP_CSUM = 24
export const REASON_ICMP_CSUM = 25
export const REASON_NEIGH_QUEUEFULL = 26
export const REASON_RECURSION_LIMIT = 27
export const REASON_DUP_FRAG = 28
export const REASON_FULL_RING = 29
export const REASON_UNICAST_IN_L2_MULTICAST = 30
export const REASON_PKT_TOO_SMALL = 31
export const REASON_IP_TUNNEL_ECN = 32
export const REASON_TCP_FLAGS = 33
export const REASON_TCP_RESET = 34
