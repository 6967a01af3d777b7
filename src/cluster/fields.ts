/** The kinds of value that fields of many schemas share: text → integers and prefixes of base, with the words for what is wrong. */
import * as v from 'valibot'
import { broadcastOf, formatCidr, parseAddressWithLength, parseCidr, cidr as cidrOf, type Cidr } from '../base/cidr.js'
import { formatIp, isIpv6Text, parseIp, type Ip } from '../base/ip.js'
import { formatMac, parseMac, type Mac } from '../base/mac.js'
import { inJsonSchema, say } from './schema.js'

const OCTET = '(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])'
const ADDRESS_PATTERN = `${OCTET}(\\.${OCTET}){3}`

const IPV6_FIX = 'netsim models IPv4 only: leave the IPv6 one out.'

/** Why a text is no prefix, in words; undefined when it is one. */
export function cidrFault(text: string): { readonly what: string; readonly fix: string } | undefined {
  const prefix = parseCidr(text)
  if (typeof prefix !== 'string') return undefined
  if (prefix === 'host-bits') {
    const given = parseAddressWithLength(text) as { readonly address: Ip; readonly length: number }
    const meant = formatCidr(cidrOf(given.address, given.length))
    return {
      what: `${text} has bits set beyond /${given.length}`,
      fix: `The prefix of that length is ${meant}; for the one address write ${formatIp(given.address)}/32.`,
    }
  }
  if (isIpv6Text(text)) return { what: `${text} is an IPv6 prefix`, fix: IPV6_FIX }
  return {
    what: `${JSON.stringify(text)} is no IPv4 prefix`,
    fix: 'A prefix looks like 10.1.0.0/16: four numbers up to 255 without leading zeros, a slash, 0 to 32.',
  }
}

export function addressFault(text: string): { readonly what: string; readonly fix: string } | undefined {
  if (parseIp(text) !== undefined) return undefined
  if (isIpv6Text(text)) return { what: `${text} is an IPv6 address`, fix: IPV6_FIX }
  return { what: `${JSON.stringify(text)} is no IPv4 address`, fix: 'An address looks like 192.168.0.100: four numbers up to 255 without leading zeros.' }
}

/** A text that `parse` takes or `fault` explains; `pattern`: as near as a regular expression comes to it. */
function parsed<Output>(
  pattern: string,
  parse: (text: string) => Output,
  fault: (text: string) => { readonly what: string; readonly fix: string } | undefined,
): v.GenericSchema<string, Output> {
  return v.pipe(
    v.string(),
    inJsonSchema({ pattern: `^${pattern}$` }),
    v.rawTransform<string, Output>(({ dataset, addIssue, NEVER }) => {
      const found = fault(dataset.value)
      if (found === undefined) return parse(dataset.value)
      addIssue({ message: say(found.what, found.fix) })
      return NEVER
    }),
  )
}

export function cidrField(): v.GenericSchema<string, Cidr> {
  return parsed(`${ADDRESS_PATTERN}(/(3[0-2]|[12]?[0-9]))?`, (text) => parseCidr(text) as Cidr, cidrFault)
}

export function addressField(): v.GenericSchema<string, Ip> {
  return parsed(ADDRESS_PATTERN, (text) => parseIp(text) as Ip, addressFault)
}

export function macField(): v.GenericSchema<string, Mac> {
  return parsed(
    '[0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){5}',
    (text) => parseMac(text) as Mac,
    (text) => {
      const mac = parseMac(text)
      if (mac === undefined) return { what: `${JSON.stringify(text)} is no MAC address`, fix: 'A MAC address looks like 0a:ff:b8:12:f6:df.' }
      if (mac === 0) return { what: 'the MAC address is all zeros', fix: 'Leave it out to have one drawn from the seed.' }
      if (Math.floor(mac / 2 ** 40) % 2 === 1)
        return { what: `${formatMac(mac)} is a group address`, fix: "The second hex digit of a card's address is even: 2, 6, a or e for one made up." }
      return undefined
    },
  )
}

interface Unit {
  /** undefined when the text is wrong. */
  readonly parse: (text: string) => number | undefined
  /** JSON Schema of nearly the same values. */
  readonly forms: readonly Readonly<Record<string, unknown>>[]
  /** As in `no duration`. */
  readonly what: string
  readonly example: string
}

export function unitField({ parse, forms, what, example }: Unit): v.GenericSchema<string | number, number> {
  return v.pipe(
    v.union([v.string(), v.number()], () => say(`not ${what}`, `Write it like ${example}.`)),
    inJsonSchema({ anyOf: forms }),
    v.rawTransform<string | number, number>(({ dataset, addIssue, NEVER }) => {
      const value = parse(String(dataset.value))
      if (value !== undefined) return value
      addIssue({ message: say(`${JSON.stringify(dataset.value)} is not ${what}`, `Write it with its unit, like ${example}.`) })
      return NEVER
    }),
  )
}

/** A whole number of [minimum, maximum]. */
export function integerField(minimum: number, maximum: number): v.GenericSchema<number, number> {
  return v.pipe(
    v.number(),
    inJsonSchema({ type: 'integer', minimum, maximum }),
    v.check(
      (value) => Number.isInteger(value) && value >= minimum && value <= maximum,
      (issue) => say(`${String(issue.input)} is not a whole number from ${minimum} to ${maximum}`, ''),
    ),
  )
}

const DNS_LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const DNS_SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/

/** RFC 1123: a label of at most 63, or labels and dots of at most 253. */
export function nameFault(name: string, form: 'label' | 'subdomain'): { readonly what: string; readonly fix: string } | undefined {
  const limit = form === 'label' ? 63 : 253
  if (name.length > limit) return { what: `the name ${name.slice(0, 40)}... has ${name.length} characters`, fix: `At most ${limit} are allowed.` }
  if ((form === 'label' ? DNS_LABEL : DNS_SUBDOMAIN).test(name)) return undefined
  return {
    what: `${JSON.stringify(name)} is no name that Kubernetes allows (RFC 1123)`,
    fix: `Lower-case letters, digits and -${form === 'label' ? '' : ' and .'}, starting and ending with a letter or digit.`,
  }
}

/** True for an address that a host of the prefix can have: not its first (the network) nor its last (broadcast), unless it is a /31 or /32. */
export function isHostAddress(prefix: Cidr, address: Ip): boolean {
  return prefix.length >= 31 || (address !== prefix.base && address !== broadcastOf(prefix))
}
