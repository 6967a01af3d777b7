/** Connections as `conntrack -L` prints them (libnetfilter_conntrack, snprintf_default.c), and as objects for `-o json`. */
import { formatIp } from '../base/ip.js'
import type { ConntrackEntry, ConntrackTuple } from '../net/netfilter/conntrack-list.js'
import { IPS_ASSURED, IPS_SEEN_REPLY } from '../net/netfilter/conntrack-tuple.js'
import { PROTO_ICMP, PROTO_SCTP, PROTO_TCP, PROTO_UDP } from '../wire/packet.js'

const NAMES: ReadonlyMap<number, string> = new Map([
  [PROTO_ICMP, 'icmp'],
  [PROTO_TCP, 'tcp'],
  [PROTO_UDP, 'udp'],
  [PROTO_SCTP, 'sctp'],
])

function nameOf(proto: number): string {
  return NAMES.get(proto) ?? 'unknown'
}

/** One line, without its end. `use` is 1: nothing else holds the entry once its packets are gone. */
export function conntrackLine(entry: ConntrackEntry): string {
  const words = [
    `${nameOf(entry.proto).padEnd(8)} ${entry.proto} ${entry.secondsLeft}`,
    entry.tcpState,
    tupleText(entry.proto, entry.original),
    isSet(entry, IPS_SEEN_REPLY) ? undefined : '[UNREPLIED]',
    tupleText(entry.proto, entry.reply),
    isSet(entry, IPS_ASSURED) ? '[ASSURED]' : undefined,
    `mark=${entry.mark >>> 0}`,
    'use=1',
  ]
  return words.filter((word) => word !== undefined && word !== '').join(' ')
}

function isSet({ status }: ConntrackEntry, bit: number): boolean {
  return (status & bit) !== 0
}

function tupleText(proto: number, tuple: ConntrackTuple): string {
  return Object.entries(tupleFields(proto, tuple))
    .map(([name, value]) => `${name}=${value}`)
    .join(' ')
}

function tupleFields(proto: number, { src, dst, ports }: ConntrackTuple): Readonly<Record<string, string | number>> {
  const ends = { src: formatIp(src), dst: formatIp(dst) }
  if (proto === PROTO_ICMP) return { ...ends, type: (ports >>> 8) & 0xff, code: ports & 0xff, id: ports >>> 16 }
  return NAMES.has(proto) ? { ...ends, sport: ports >>> 16, dport: ports & 0xffff } : ends
}

export function conntrackObject(entry: ConntrackEntry): object {
  return {
    protocol: nameOf(entry.proto),
    protocolNumber: entry.proto,
    timeout: entry.secondsLeft,
    ...(entry.tcpState === undefined ? {} : { state: entry.tcpState }),
    original: tupleFields(entry.proto, entry.original),
    reply: tupleFields(entry.proto, entry.reply),
    unreplied: !isSet(entry, IPS_SEEN_REPLY),
    assured: isSet(entry, IPS_ASSURED),
    mark: entry.mark >>> 0,
  }
}
