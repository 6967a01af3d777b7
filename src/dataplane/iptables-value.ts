/**
 * Values of iptables options in their own notations: ICMP type names, probabilities and rates as the kernel rounds them, DSCP
 * classes, TOS names. From text to numbers, or undefined when it is none. Source: iptables extensions/libxt_*.c, libipt_icmp.c.
 */
import { parseMasked } from './iptables-option.js'
import { parseInteger } from './text.js'

/** Names of libxt_icmp.h; those that share number and code share a row. */
const ICMP_TYPES: Readonly<Record<string, readonly [type: number, code?: number]>> = {
  any: [255],
  'echo-reply': [0],
  pong: [0],
  'destination-unreachable': [3],
  'network-unreachable': [3, 0],
  'host-unreachable': [3, 1],
  'protocol-unreachable': [3, 2],
  'port-unreachable': [3, 3],
  'fragmentation-needed': [3, 4],
  'source-route-failed': [3, 5],
  'network-unknown': [3, 6],
  'host-unknown': [3, 7],
  'network-prohibited': [3, 9],
  'host-prohibited': [3, 10],
  'TOS-network-unreachable': [3, 11],
  'TOS-host-unreachable': [3, 12],
  'communication-prohibited': [3, 13],
  'host-precedence-violation': [3, 14],
  'precedence-cutoff': [3, 15],
  'source-quench': [4],
  redirect: [5],
  'network-redirect': [5, 0],
  'host-redirect': [5, 1],
  'TOS-network-redirect': [5, 2],
  'TOS-host-redirect': [5, 3],
  'echo-request': [8],
  ping: [8],
  'router-advertisement': [9],
  'router-solicitation': [10],
  'time-exceeded': [11],
  'ttl-exceeded': [11],
  'ttl-zero-during-transit': [11, 0],
  'ttl-zero-during-reassembly': [11, 1],
  'parameter-problem': [12],
  'ip-header-bad': [12, 0],
  'required-option-missing': [12, 1],
  'timestamp-request': [13],
  'timestamp-reply': [14],
  'address-mask-request': [17],
  'address-mask-reply': [18],
}

export function icmpType(text: string): readonly [number, number?] | undefined {
  if (Object.hasOwn(ICMP_TYPES, text)) return ICMP_TYPES[text]
  const [type, code, more] = text.split('/')
  const t = parseInteger(type, 255)
  const c = code === undefined ? undefined : parseInteger(code, 255)
  return t === undefined || more !== undefined || (code !== undefined && c === undefined) ? undefined : [t, c]
}

/** The kernel holds the probability in 31 bits; iptables-save prints that number with 11 decimals, halves to even as printf does. */
export function canonicalProbability(text: string): string | undefined {
  const wanted = /^(\d+(\.\d*)?|\.\d+)(e-?\d+)?$/i.test(text) ? Number(text) : NaN
  if (!(wanted >= 0 && wanted <= 1)) return undefined
  const scaled = BigInt(Math.round(wanted * 0x80000000)) * 10n ** 11n
  const [whole, rest] = [scaled >> 31n, scaled & 0x7fffffffn]
  const up = rest > 0x40000000n || (rest === 0x40000000n && (whole & 1n) === 1n)
  const digits = (whole + (up ? 1n : 0n)).toString().padStart(12, '0')
  return `${digits.slice(0, -11)}.${digits.slice(-11)}`
}

const LIMIT_SCALE = 10000
const LIMIT_UNITS: readonly (readonly [name: string, period: number])[] = [
  ['day', LIMIT_SCALE * 86400],
  ['hour', LIMIT_SCALE * 3600],
  ['min', LIMIT_SCALE * 60],
  ['sec', LIMIT_SCALE],
]

/** `5/minute` → `5/min`, `60/minute` → `1/sec`: the kernel holds the period between packets, and libxt_limit prints it in the largest unit that fits. */
export function canonicalRate(text: string): string | undefined {
  const [count, unit, more] = text.split('/')
  const n = parseInteger(count)
  const period =
    unit === undefined
      ? LIMIT_SCALE
      : LIMIT_UNITS.find(
          ([name]) => unit !== '' && (name.startsWith(unit) || `${name === 'min' ? 'minute' : name === 'sec' ? 'second' : name}`.startsWith(unit)),
        )?.[1]
  if (n === undefined || n === 0 || period === undefined || more !== undefined) return undefined
  const between = Math.floor(period / n)
  if (between === 0) return undefined
  let i = 1
  while (i < LIMIT_UNITS.length && !(between > LIMIT_UNITS[i][1] || Math.floor(LIMIT_UNITS[i][1] / between) < LIMIT_UNITS[i][1] % between)) i++
  return `${Math.floor(LIMIT_UNITS[i - 1][1] / between)}/${LIMIT_UNITS[i - 1][0]}`
}

/** Names of RFC 2474, 2597, 3246. */
export function parseDscpClass(text: string): number | undefined {
  const word = text.toUpperCase()
  const assured = /^AF([1-4])([1-3])$/.exec(word)
  if (assured !== null) return Number(assured[1]) * 8 + Number(assured[2]) * 2
  const selector = /^CS([0-7])$/.exec(word)
  return selector !== null ? Number(selector[1]) * 8 : word === 'EF' ? 46 : word === 'BE' ? 0 : undefined
}

const TOS_NAMES: ReadonlyMap<string, number> = new Map([
  ['minimize-delay', 0x10],
  ['maximize-throughput', 0x08],
  ['maximize-reliability', 0x04],
  ['minimize-cost', 0x02],
  ['normal-service', 0x00],
])

/** A name counts in the six old TOS bits only (mask 0x3f). */
export function parseTos(text: string): { readonly value: number; readonly mask: number } | undefined {
  const named = TOS_NAMES.get(text.toLowerCase())
  return named === undefined ? parseMasked(text, 255) : { value: named, mask: 0x3f }
}
