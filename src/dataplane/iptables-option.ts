/** The options of iptables modules as they are read: their arguments checked and made numbers, each failure said as iptables says it. */
import { cidr, type Cidr } from '../base/cidr.js'
import { isIpv6Text, parseIp, type Ip } from '../base/ip.js'
import type { PortRange } from './iptables.js'
import { lengthOfMask } from './iptables-print.js'
import { parsePort, parsePortRange, parseProtocol } from './protocols.js'
import { parseInteger, type Report } from './text.js'

/** An option with its arguments; `name` is the canonical spelling with its dashes. */
export interface Option {
  readonly name: string
  readonly invert: boolean
  readonly args: readonly string[]
}

/** What one module takes: spelling → canonical name and number of arguments. */
export type OptionTable = Readonly<Record<string, readonly [canonical: string, args: number]>>

/** A module's options for its builder: looked up by canonical name, failures reported, and whether all went well remembered. */
export class OptionReader {
  readonly report: Report
  readonly options: readonly Option[]
  readonly module: string
  /** The rule's protocol, 0 when it has none or an inverted one. */
  readonly protocol: number
  failed = false

  constructor(module: string, options: readonly Option[], protocol: number, report: Report) {
    this.module = module
    this.options = options
    this.protocol = protocol
    this.report = report
  }

  find(name: string): Option | undefined {
    return this.options.find((option) => option.name === name)
  }

  has(name: string): boolean {
    return this.find(name) !== undefined
  }

  /** The argument of an option, made a value; undefined both when the option is absent and when it is wrong (then `failed`). */
  value<Value>(name: string, parse: (text: string) => Value | undefined, what: string): Value | undefined {
    const option = this.find(name)
    if (option === undefined) return undefined
    const value = parse(option.args[0])
    return value ?? this.fail(`${this.module}: ${what} "${option.args[0]}" of ${name} is wrong`)
  }

  integer(name: string, max = 0xffffffff): number | undefined {
    return this.value(name, (text) => parseInteger(text, max), `the number (0 to ${max})`)
  }

  fail(what: string, fix = ''): undefined {
    this.failed = true
    this.report.error(what, fix)
    return undefined
  }
}

/** `V` or `V/M`; without a mask all bits count. */
export function parseMasked(text: string, max = 0xffffffff): { readonly value: number; readonly mask: number } | undefined {
  const [value, mask, more] = text.split('/')
  const v = parseInteger(value, max)
  const m = mask === undefined ? max : parseInteger(mask, max)
  return v === undefined || m === undefined || more !== undefined ? undefined : { value: v, mask: m }
}

/**
 * `10.1.0.0/16`, `10.1/16`, `10.0.0.7/255.255.255.0`, `1.2.3.4`; host bits are masked away as iptables does. On failure the
 * reason as text.
 */
export function parseNetwork(text: string): Cidr | string {
  const [host, mask, more] = text.split('/')
  if (isIpv6Text(host)) return `"${text}" is an IPv6 address: iptables takes IPv4 only`
  const short = /^\d+(\.\d+){0,2}$/.test(host) && mask !== undefined ? host + '.0'.repeat(4 - host.split('.').length) : host
  const address = parseIp(short)
  if (address === undefined || more !== undefined) return `host/network "${text}" not found`
  if (mask === undefined) return cidr(address, 32)
  const dotted = mask.includes('.') ? parseIp(mask) : undefined
  const length = dotted === undefined ? parseInteger(mask, 32) : lengthOfMask(dotted)
  if (length !== undefined) return cidr(address, length)
  return dotted === undefined ? `invalid mask "${mask}" specified` : `the mask of "${text}" is no prefix, which is not modelled`
}

export function parseAddressRange(text: string): readonly [Ip, Ip] | undefined {
  const [first, last, more] = text.split('-')
  const a = parseIp(first)
  const b = last === undefined ? a : parseIp(last)
  return a === undefined || b === undefined || more !== undefined || a >>> 0 > b >>> 0 ? undefined : [a, b]
}

/** `80,443,1000:2000`, at most 15 slots of which a range takes two, as xt_multiport has them. */
export function parsePortList(text: string): readonly PortRange[] | undefined {
  const ranges = text.split(',').map((part) => (part.startsWith(':') || part.endsWith(':') ? undefined : parsePortRange(part)))
  const slots = text.split(/[,:]/).length
  return slots > 15 || ranges.some((range) => range === undefined) ? undefined : (ranges as PortRange[])
}

/** All words of a comma list when each is among those allowed; case aside. */
export function parseWordList<Word extends string>(text: string, allowed: readonly Word[]): readonly Word[] | undefined {
  const words = text.toUpperCase().split(',')
  return words.every((word): word is Word => (allowed as readonly string[]).includes(word)) ? allowed.filter((word) => words.includes(word)) : undefined
}

export { parsePort, parsePortRange, parseProtocol }
