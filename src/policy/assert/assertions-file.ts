/**
 * The text of assertion files → assertions that know their lines: a list in YAML or JSON, or one assertion a line.
 *
 *   - {from: shop/web, to: shop/db, port: 5432, expect: allow}      {name, proto, control} where wanted; port: 80, 8000-8010, http, [80, 443]
 *   - allow shop/web -> shop/db:5432                                the same, short; also without a list, one a line
 *   control allow shop/web -> shop/db:5432                          must be open, or the denials beside it prove nothing
 */
import type { Problem } from '../../base/problem.js'
import { parseRange } from '../address-range.js'
import { patternOf } from './assertion-ends.js'
import { PORT_MAX, PORT_MIN, type Protocol } from '../connections.js'
import { isObject, linesAt, type JsonObject, type JsonValue, type Lines } from '../../cluster/located.js'
import { readText } from '../../cluster/manifest-text.js'
import { suggestName } from '../../cluster/nearest-name.js'
import { ProblemList, type Place } from '../../cluster/problem-list.js'

export type AskedPort = { readonly kind: 'range'; readonly first: number; readonly last: number } | { readonly kind: 'name'; readonly name: string }

export interface Assertion extends Place {
  readonly name?: string
  /** As written; patterns where labels were. */
  readonly from: string
  readonly to: string
  /** Empty: every port. */
  readonly ports: readonly AskedPort[]
  /** Absent: TCP where ports are named, else everything. */
  readonly proto?: Protocol
  readonly expect: 'allow' | 'deny'
  readonly control: boolean
}

export interface AssertionsResult {
  readonly assertions: readonly Assertion[]
  readonly problems: readonly Problem[]
}

const FIELDS = ['name', 'from', 'to', 'port', 'ports', 'proto', 'protocol', 'expect', 'control'] as const
const LISTS = ['tests', 'assertions'] as const
const SHORT_FORM = 'Write allow shop/web -> shop/db:5432, or {from, to, port, proto, expect: allow|deny}.'

/** Never throws; what cannot be read is a Problem, and the rest is read all the same. */
export function readAssertions({ file, text }: { readonly file: string; readonly text: string }): AssertionsResult {
  const reader = new AssertionReader(file)
  if (startsShort(text)) reader.readLines(text)
  else reader.readDocuments(text)
  if (reader.assertions.length === 0 && reader.problems.problems.length === 0) {
    reader.problems.error({ file, line: 0 }, '', 'the file holds no assertion', SHORT_FORM)
  }
  return { assertions: reader.assertions, problems: reader.problems.problems }
}

const SHORT = /^(control\s+)?(allow|deny)\s+/i
const ARROW = /->|=>|→/

function startsShort(text: string): boolean {
  const first = text.split('\n').find((line) => line.trim() !== '' && !line.trim().startsWith('#'))
  return first !== undefined && /^\s*(control\s+)?(allow|deny)\s/i.test(first)
}

class AssertionReader {
  readonly assertions: Assertion[] = []
  readonly problems = new ProblemList()
  private readonly file: string

  constructor(file: string) {
    this.file = file
  }

  readLines(text: string): void {
    text.split(/\r?\n/).forEach((line, index) => {
      const bare = line.replace(/(^|\s)#.*$/, '').trim()
      if (bare !== '') this.readShort(bare, { file: this.file, line: index + 1 })
    })
  }

  readDocuments(text: string): void {
    const { documents, issues } = readText(text)
    for (const { line, what, fix } of issues) this.problems.error({ file: this.file, line }, '', what, fix)
    for (const { value, lines } of documents) this.readList(value, lines)
  }

  private readList(value: JsonValue, lines: Lines): void {
    if (value === null) return
    if (Array.isArray(value)) {
      lines.items().forEach((item) => this.readItem(item.value, item))
      return
    }
    if (isObject(value)) {
      const list = LISTS.find((name) => Object.hasOwn(value, name))
      if (list === undefined) this.readItem(value, lines)
      else this.readList(value[list], linesAt(lines, [list]))
      return
    }
    this.readItem(value, lines)
  }

  private readItem(value: JsonValue, lines: Lines): void {
    const place = { file: this.file, line: lines.line }
    if (typeof value === 'string') this.readShort(value.trim(), place)
    else if (isObject(value)) this.readObject(value, lines)
    else this.problems.error(place, '', `${JSON.stringify(value)} is no assertion`, SHORT_FORM)
  }

  private readShort(text: string, place: Place): void {
    const head = SHORT.exec(text)
    const [from, to] = text
      .slice(head?.[0].length)
      .split(ARROW, 2)
      .map((part) => part.trim())
    if (head === null || from === '' || to === undefined || to === '') {
      this.problems.error(place, '', `${JSON.stringify(text)} is no assertion`, SHORT_FORM)
      return
    }
    const target = splitTarget(to)
    const proto = target.proto === undefined ? undefined : this.readProtocol(target.proto, place)
    const ports = target.ports === undefined ? [] : this.readPorts(target.ports.split(','), place)
    if (proto === null || ports === undefined) return
    this.add({ from, to: target.end, ports, expect: head[2].toLowerCase() as 'allow' | 'deny', control: head[1] !== undefined, ...place }, proto)
  }

  private add(assertion: Assertion, proto: Protocol | undefined): void {
    if (assertion.control && assertion.expect === 'deny') {
      this.problems.error(
        assertion,
        '',
        'a control that is expected to be closed controls nothing',
        'Expect allow of it: a control shows that the probes get through.',
      )
    } else if (assertion.ports.length > 0 && proto !== undefined && !hasPorts(proto)) {
      this.problems.error(assertion, '', `${String(proto)} has no ports`, 'Leave the port out.')
    } else this.assertions.push(proto === undefined ? assertion : { ...assertion, proto })
  }

  private readObject(value: JsonObject, lines: Lines): void {
    const place = { file: this.file, line: lines.line }
    const at = (field: string): Place => ({ file: this.file, line: linesAt(lines, [field]).line })
    const unknown = Object.keys(value).filter((name) => !FIELDS.some((known) => known === name))
    for (const field of unknown) this.problems.error(at(field), '', `unknown field ${field}`, suggestName(field, FIELDS))
    const from = this.readEnd(value, 'from', lines)
    const to = this.readEnd(value, 'to', lines)
    const { expect = null, control = false, name } = value
    if (typeof control !== 'boolean') this.problems.error(at('control'), '', 'control is neither true nor false', '')
    // a control is open, whatever else is said
    const wanted = expect === null && control === true ? 'allow' : expect
    if (wanted !== 'allow' && wanted !== 'deny') {
      this.problems.error(
        expect === null ? place : at('expect'),
        '',
        expect === null ? 'expect is missing' : `expect is ${JSON.stringify(expect)}`,
        'It is allow or deny.',
      )
    }
    const protoField = value.proto === undefined ? 'protocol' : 'proto'
    const protoValue = value[protoField] ?? undefined
    const proto =
      protoValue === undefined ? undefined : this.readProtocol(typeof protoValue === 'string' ? protoValue : JSON.stringify(protoValue), at(protoField))
    const portField = value.port === undefined ? 'ports' : 'port'
    const portValue = value[portField] ?? []
    const ports = this.readPorts(Array.isArray(portValue) ? (portValue as readonly JsonValue[]) : [portValue], at(portField))
    if (unknown.length > 0 || from === undefined || to === undefined || proto === null || ports === undefined || (wanted !== 'allow' && wanted !== 'deny'))
      return
    const named = typeof name === 'string' || typeof name === 'number' ? { name: String(name) } : {}
    this.add({ ...named, from, to, ports, expect: wanted, control: control === true, ...place }, proto)
  }

  /** A name, or labels. */
  private readEnd(value: JsonObject, field: 'from' | 'to', lines: Lines): string | undefined {
    const end = value[field] ?? null
    const place = { file: this.file, line: linesAt(lines, [field]).line }
    if (typeof end === 'string' && end.trim() !== '') return end.trim()
    if (isObject(end)) {
      const { namespace = '*', labels, pod } = end
      if (typeof namespace === 'string' && isObject(labels) && Object.values(labels).every((one) => typeof one === 'string')) {
        return patternOf(namespace, labels as Readonly<Record<string, string>>)
      }
      if (typeof namespace === 'string' && typeof pod === 'string') return `${namespace}/${pod}`
    }
    this.problems.error(
      place,
      '',
      end === null ? `${field} is missing` : `${field} is ${JSON.stringify(end)}`,
      'Write ns/pod, deploy/NAME, an address, ns/*, or {namespace, labels}.',
    )
    return undefined
  }

  /** null: it was wrong; undefined: any. */
  private readProtocol(text: string, place: Place): Protocol | undefined | null {
    const word = text.trim().toLowerCase()
    if (word === 'any' || word === '*') return undefined
    const known = PROTOCOLS.find((protocol) => protocol.toLowerCase() === word)
    if (known !== undefined) return known
    const number = /^[0-9]{1,3}$/.test(word) ? Number(word) : 256
    if (number < 256) return number
    this.problems.error(place, '', `there is no protocol ${text}`, `It is ${PROTOCOLS.map((one) => one.toLowerCase()).join(', ')}, a number up to 255, or any.`)
    return null
  }

  private readPorts(values: readonly JsonValue[], place: Place): readonly AskedPort[] | undefined {
    const ports = values.map((value) => readPort(typeof value === 'number' ? String(value) : value))
    const wrong = values.filter((_, index) => ports[index] === undefined)
    for (const value of wrong) {
      this.problems.error(place, '', `${JSON.stringify(value)} is no port`, `A port is ${PORT_MIN} to ${PORT_MAX}, a range like 8000-8010, or a name.`)
    }
    return wrong.length > 0 ? undefined : ports.flatMap((port) => port ?? [])
  }
}

const PROTOCOLS = ['TCP', 'UDP', 'SCTP', 'ICMP', 'ICMPv6'] as const

function hasPorts(proto: Protocol): boolean {
  return proto === 'TCP' || proto === 'UDP' || proto === 'SCTP' || proto === 6 || proto === 17 || proto === 132
}

function readPort(value: JsonValue): AskedPort | undefined {
  return typeof value === 'string' ? askedPort(value.trim()) : undefined
}

/** `80`, `8000-8010`, `http`; names as RFC 6335 §5.1 has them. */
export function askedPort(text: string): AskedPort | undefined {
  const range = /^([0-9]{1,5})(?:-([0-9]{1,5}))?$/.exec(text)
  if (range !== null) {
    const first = Number(range[1])
    const last = range[2] === undefined ? first : Number(range[2])
    return first >= PORT_MIN && first <= last && last <= PORT_MAX ? { kind: 'range', first, last } : undefined
  }
  return text.length <= 15 && /^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$/.test(text) && /[A-Za-z]/.test(text) ? { kind: 'name', name: text } : undefined
}

interface Target {
  readonly end: string
  readonly ports?: string
  readonly proto?: string
}

/** `shop/db:80,443/tcp`, `shop/db:80 udp`, `shop/db icmp`, `[fd00::1]:80`, `fd00::1`: a colon of an IPv6 address parts no port. */
export function splitTarget(text: string): Target {
  const [head, ...words] = text.trim().split(/\s+(?![^[]*\])/)
  const proto = words.length === 0 ? {} : { proto: words.join(' ') }
  const bracketed = /^\[([0-9A-Fa-f:.]+)\](?::([^/]*)(?:\/(\S+))?)?$/.exec(head)
  if (bracketed !== null && bracketed[1].includes(':')) return targetOf(bracketed[1], bracketed[2], bracketed[3], proto)
  if (parseRange(head) !== undefined) return { end: head, ...proto }
  const withPort = /^(.*?):([^:/]*)(?:\/([A-Za-z0-9]+))?$/.exec(head)
  return withPort === null ? { end: head, ...proto } : targetOf(withPort[1], withPort[2], withPort[3], proto)
}

function targetOf(end: string, ports: string | undefined, slashed: string | undefined, proto: { readonly proto?: string }): Target {
  return { end, ...(ports === undefined ? {} : { ports }), ...(slashed === undefined ? proto : { proto: slashed }) }
}
