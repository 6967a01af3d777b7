// hot path
/**
 * The layout that iptables rules are compiled to (compile.ts) and run from (evaluate.ts): one row of integers a rule, the
 * fields that most rules have at fixed places, typed matches and target arguments in two side arrays.
 *
 *   rules    | src mask | dst mask | proto | sport range | dport range | in out | matches | target arg | flags |   one row a rule
 *   matches  | op+length+index, args … | op … | 0 |                                                             in kernel order
 *   targets  | args … |
 *
 * A chain is a run of rows closed by a row that is no rule: T_END (a user chain's implicit RETURN) or T_POLICY.
 * Source: net/ipv4/netfilter/ip_tables.c (ipt_do_table) for the order in which a rule's parts are tried.
 */

/** Integers of a rule row. */
export const RULE_STRIDE = 16
export const R_SRC = 0
export const R_SRC_MASK = 1
export const R_DST = 2
export const R_DST_MASK = 3
export const R_PROTO = 4
/** First port and how many follow it; type of an ICMP packet. */
export const R_SPORT = 5
export const R_SPORT_RANGE = 6
/** The same for the destination port; code of an ICMP packet. */
export const R_DPORT = 7
export const R_DPORT_RANGE = 8
/** Device pattern. */
export const R_IN = 9
export const R_OUT = 10
/** Where its typed matches begin; 0: it has none. */
export const R_MATCH = 11
export const R_TARGET = 12
/** Jump, goto: row offset of the chain. Policy: verdict. Others: offset in `targets`. */
export const R_ARG = 13
export const R_FLAGS = 14
/** Index of the classifier run that begins here, -1 none. */
export const R_RUN = 15

export const FLAG_PORTS = 1
export const FLAG_DEVICES = 2

// Targets
export const T_NONE = 0
export const T_ACCEPT = 1
export const T_DROP = 2
export const T_RETURN = 3
export const T_JUMP = 4
export const T_GOTO = 5
export const T_END = 6
export const T_POLICY = 7
export const T_REJECT = 8
/** LOG, NFLOG, TRACE: nothing that the packet's row shows. */
export const T_LOG = 9
export const T_MARK = 10
export const T_CONNMARK_SET = 11
export const T_CONNMARK_SAVE = 12
export const T_CONNMARK_RESTORE = 13
export const T_MASQUERADE = 14
export const T_SNAT = 15
export const T_DNAT = 16
export const T_REDIRECT = 17
export const T_NOTRACK = 18
export const T_TCPMSS = 19
export const T_SET = 20
export const T_DSCP = 21
export const T_TTL = 22
export const T_UNKNOWN = 23
export const T_CHECKSUM = 24

// Matches: the low 8 bits of the first word; bit 8: inverted; bits 9 to 15: words of the match; from 16: its index in the rule
export const M_END = 0
export const M_SRC = 1
export const M_DST = 2
export const M_PROTO = 3
export const M_FRAGMENT = 4
export const M_SPORT = 5
export const M_DPORT = 6
export const M_TCP_FLAGS = 7
export const M_ICMP = 8
export const M_MULTIPORT = 9
export const M_MARK = 10
export const M_CONNMARK = 11
export const M_CT_STATE = 12
export const M_CT_PROTO = 13
export const M_CT_ADDRESS = 14
export const M_CT_PORT = 15
export const M_CT_STATUS = 16
export const M_CT_DIRECTION = 17
export const M_ADDRTYPE = 18
export const M_SET = 19
export const M_RANDOM = 20
export const M_NTH = 21
export const M_PHYSDEV = 22
export const M_PHYSDEV_IS = 23
export const M_RPFILTER = 24
export const M_LIMIT = 25
export const M_MAC = 26
export const M_LENGTH = 27
export const M_TTL = 28
export const M_PKTTYPE = 29
export const M_IPRANGE = 30
export const M_DSCP = 31
export const M_TOS = 32
export const M_RECENT = 33
export const M_UNKNOWN = 34
/** A second device match of a rule. */
export const M_DEVICE = 35

export const MATCH_INVERT = 0x100
export const MATCH_LENGTH_SHIFT = 9
export const MATCH_LENGTH_MASK = 0x7f
export const MATCH_INDEX_SHIFT = 16

// What a match says
export const NO_MATCH = 0
export const MATCHED = 1
/** The packet has met something that is not modelled. */
export const NOT_MODELLED = 2

/** What an extended target says when the table goes on with the next rule. */
export const CONTINUE = -1

// Hooks, verdicts, tables
export const HOOK_PREROUTING = 0
export const HOOK_INPUT = 1
export const HOOK_FORWARD = 2
export const HOOK_OUTPUT = 3
export const HOOK_POSTROUTING = 4

export const NF_DROP = 0
export const NF_ACCEPT = 1
/** A fragment kept for reassembly. */
export const NF_STOLEN = 2
/** Met something that is not modelled; `netfilter.incompleteWord` names it. */
export const NF_INCOMPLETE = 3
/** ip_route_me_harder found no route for what OUTPUT changed: dropped there. */
export const NF_UNROUTED = 4

export const TABLE_RAW = 0
export const TABLE_MANGLE = 1
export const TABLE_NAT = 2
export const TABLE_FILTER = 3
export const TABLE_SECURITY = 4

// packet.rejectWith
export const REJECT_NONE = 0
export const REJECT_NET_UNREACHABLE = 1
export const REJECT_HOST_UNREACHABLE = 2
export const REJECT_PROTO_UNREACHABLE = 3
export const REJECT_PORT_UNREACHABLE = 4
export const REJECT_NET_PROHIBITED = 5
export const REJECT_HOST_PROHIBITED = 6
export const REJECT_ADMIN_PROHIBITED = 7
export const REJECT_TCP_RESET = 8
/** ICMP destination-unreachable code by packet.rejectWith; -1: none, a TCP reset. */
export const REJECT_ICMP_CODES = [-1, 0, 1, 2, 3, 9, 10, 13, -1] as const

// Flags of a NAT range (include/uapi/linux/netfilter/nf_nat.h)
export const NAT_MAP_IPS = 1
export const NAT_PROTO_SPECIFIED = 2
export const NAT_RANDOM = 4
export const NAT_PERSISTENT = 8
export const NAT_RANDOM_FULLY = 16
export const NAT_RANDOM_ALL = NAT_RANDOM | NAT_RANDOM_FULLY
