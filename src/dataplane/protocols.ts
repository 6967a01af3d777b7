/**
 * Names of IP protocols and of ports, as /etc/protocols and /etc/services of Debian 12 give them to iptables, ipset and ip
 * rule. A small table: a name that is not here is a Problem, never a guess.
 */
import type { PortRange } from './iptables.js'
import { parseInteger } from './text.js'

const PROTOCOL_NAMES: Readonly<Record<number, string>> = {
  1: 'icmp',
  2: 'igmp',
  3: 'ggp',
  4: 'ipencap',
  5: 'st',
  6: 'tcp',
  8: 'egp',
  9: 'igp',
  12: 'pup',
  17: 'udp',
  20: 'hmp',
  22: 'xns-idp',
  27: 'rdp',
  29: 'iso-tp4',
  33: 'dccp',
  36: 'xtp',
  37: 'ddp',
  38: 'idpr-cmtp',
  41: 'ipv6',
  43: 'ipv6-route',
  44: 'ipv6-frag',
  45: 'idrp',
  46: 'rsvp',
  47: 'gre',
  50: 'esp',
  51: 'ah',
  57: 'skip',
  58: 'ipv6-icmp',
  59: 'ipv6-nonxt',
  60: 'ipv6-opts',
  73: 'rspf',
  81: 'vmtp',
  88: 'eigrp',
  89: 'ospf',
  93: 'ax.25',
  94: 'ipip',
  97: 'etherip',
  98: 'encap',
  103: 'pim',
  108: 'ipcomp',
  112: 'vrrp',
  115: 'l2tp',
  124: 'isis',
  132: 'sctp',
  133: 'fc',
  135: 'mobility-header',
  136: 'udplite',
  137: 'mpls-in-ip',
  138: 'manet',
  139: 'hip',
  140: 'shim6',
  141: 'wesp',
  142: 'rohc',
  143: 'ethernet',
}

const PROTOCOL_NUMBERS: ReadonlyMap<string, number> = new Map([
  ...Object.entries(PROTOCOL_NAMES).map(([number, name]): [string, number] => [name, Number(number)]),
  ['all', 0],
  ['icmpv6', 58],
  ['mh', 135],
])

/** By name or number, case aside; 0 is `all`. undefined when unknown. */
export function parseProtocol(text: string): number | undefined {
  return parseInteger(text, 255) ?? PROTOCOL_NUMBERS.get(text.toLowerCase())
}

/** The name where there is one, else the number. */
export function formatProtocol(proto: number): string {
  return PROTOCOL_NAMES[proto] ?? String(proto)
}

const SERVICE_PORTS: ReadonlyMap<string, number> = new Map([
  ['ftp-data', 20],
  ['ftp', 21],
  ['ssh', 22],
  ['telnet', 23],
  ['smtp', 25],
  ['domain', 53],
  ['bootps', 67],
  ['bootpc', 68],
  ['tftp', 69],
  ['http', 80],
  ['www', 80],
  ['kerberos', 88],
  ['pop3', 110],
  ['sunrpc', 111],
  ['ntp', 123],
  ['imap2', 143],
  ['imap', 143],
  ['snmp', 161],
  ['snmp-trap', 162],
  ['bgp', 179],
  ['ldap', 389],
  ['https', 443],
  ['isakmp', 500],
  ['syslog', 514],
  ['route', 520],
  ['submission', 587],
  ['ldaps', 636],
  ['domain-s', 853],
  ['rsync', 873],
  ['imaps', 993],
  ['pop3s', 995],
  ['socks', 1080],
  ['openvpn', 1194],
  ['radius', 1812],
  ['nfs', 2049],
  ['mysql', 3306],
  ['ipsec-nat-t', 4500],
  ['munin', 4949],
  ['sip', 5060],
  ['xmpp-client', 5222],
  ['mdns', 5353],
  ['postgresql', 5432],
  ['amqp', 5672],
  ['redis', 6379],
  ['http-alt', 8080],
  ['git', 9418],
])

/** A number or a service's name. */
export function parsePort(text: string): number | undefined {
  return parseInteger(text, 65535) ?? SERVICE_PORTS.get(text)
}

/** `80`, `80:90`, `:90`, `90:`, with `separator` between the ends; undefined when malformed or backwards. */
export function parsePortRange(text: string, separator: ':' | '-' = ':'): PortRange | undefined {
  const whole = parsePort(text)
  if (whole !== undefined) return [whole, whole]
  const cut = text.indexOf(separator)
  if (cut < 0) return undefined
  const first = cut === 0 ? 0 : parsePort(text.slice(0, cut))
  const last = cut === text.length - 1 ? 65535 : parsePort(text.slice(cut + 1))
  return first === undefined || last === undefined || first > last ? undefined : [first, last]
}

export function formatPortRange(ports: PortRange, separator: ':' | '-' = ':'): string {
  return ports[0] === ports[1] ? String(ports[0]) : `${ports[0]}${separator}${ports[1]}`
}
