/**
 * JSON as Go's encoding/json reads it into a struct: field names without regard to case (the last one given wins), null
 * leaves the default, a value of the wrong type is an error. From text or a parsed object to checked fields.
 */
import { formatCidr, parseAddressWithLength, cidr, type Cidr } from '../base/cidr.js'
import { parseIp, type Ip } from '../base/ip.js'
import type { Problem } from '../base/problem.js'

export type JsonObject = Readonly<Record<string, unknown>>

/** Where a text came from, for Problems: `{ file: 'etcd', line: 0, object: '/coreos.com/network/config' }`. */
export interface TextSource {
  readonly file: string
  readonly line: number
  readonly object: string
}

export function problemAt(source: TextSource, what: string, fix = '', severity: Problem['severity'] = 'error'): Problem {
  return { severity, file: source.file, line: source.line, object: source.object, what, fix }
}

/** The object that a text holds, or a Problem that says why it holds none. */
export function parseJsonObject(text: string, source: TextSource): { readonly object?: JsonObject; readonly problems: readonly Problem[] } {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    return { problems: [problemAt(source, `not JSON: ${error instanceof Error ? error.message : String(error)}`, 'write a JSON object')] }
  }
  return isJsonObject(value)
    ? { object: value, problems: [] }
    : { problems: [problemAt(source, `a JSON object is wanted, found ${typeName(value)}`, 'write a JSON object')] }
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Reads the fields of one object and collects what is wrong with them. */
export class GoFields {
  readonly problems: Problem[] = []
  private readonly object: JsonObject
  private readonly source: TextSource

  constructor(object: JsonObject, source: TextSource) {
    this.object = object
    this.source = source
  }

  /** undefined when the field is absent; null when it is null. */
  raw(name: string): unknown {
    const wanted = name.toLowerCase()
    let value: unknown
    for (const key of Object.keys(this.object)) if (key.toLowerCase() === wanted) value = this.object[key]
    return value
  }

  integer(name: string): number | undefined {
    return this.checked(name, 'a whole number', (value): value is number => typeof value === 'number' && Number.isSafeInteger(value))
  }

  boolean(name: string): boolean | undefined {
    return this.checked(name, 'true or false', (value) => typeof value === 'boolean')
  }

  string(name: string): string | undefined {
    return this.checked(name, 'text', (value) => typeof value === 'string')
  }

  ip(name: string): Ip | undefined {
    const text = this.string(name)
    const address = text === undefined ? undefined : parseIp(text)
    if (text !== undefined && address === undefined) this.problem(`${name} '${text}' is not an IPv4 address`)
    return address
  }

  /** flannel masks host bits away without a word; here they are an error: whoever wrote them meant another prefix. */
  cidr(name: string): Cidr | undefined {
    const text = this.string(name)
    if (text === undefined) return undefined
    const found = text.includes('/') ? parseAddressWithLength(text) : undefined
    if (found === undefined) {
      this.problem(`${name} '${text}' is not an IPv4 prefix`, 'write it as 10.1.0.0/16')
      return undefined
    }
    const prefix = cidr(found.address, found.length)
    if (prefix.base !== found.address)
      this.problem(`${name} ${text} has host bits; flannel would take it as ${formatCidr(prefix)}`, `write ${formatCidr(prefix)}`)
    return prefix
  }

  problem(what: string, fix = '', severity: Problem['severity'] = 'error'): void {
    this.problems.push(problemAt(this.source, what, fix, severity))
  }

  private checked<T>(name: string, wanted: string, check: (value: unknown) => value is T): T | undefined {
    const value = this.raw(name)
    if (value === undefined || value === null) return undefined
    if (check(value)) return value
    this.problem(`${name} is ${typeName(value)} where ${wanted} is wanted`)
    return undefined
  }
}

/** For messages: what a JSON value is, with the value when it is short. */
function typeName(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object') return 'an object'
  return `${typeof value} ${JSON.stringify(value).slice(0, 40)}`
}
