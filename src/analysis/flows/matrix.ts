/**
 * A traffic matrix as text → flows: CSV with a heading, or JSON Lines, one flow a line. Kept as rows of integers, names once each. Lines that are wrong
 * are Problems, all of them; what was right is kept.
 */
import type { Problem } from '../../base/problem.js'
import { PROTOCOLS, type Protocol } from '../../network/request.js'
import type { Flow, FlowSource } from './flow.js'
import type { FlowShape } from './sources.js'

export const COLUMNS = ['source', 'destination', 'protocol', 'port', 'packets', 'size', 'rate'] as const
type Column = (typeof COLUMNS)[number]
type Fields = Partial<Record<Column, string>>

/** Integers a flow: source, destination, protocol (its place, -1 none), port (-1), packets, size (0), rate, file, line. */
const STRIDE = 9
const FIRST_ROWS = 1024
const PACKETS_MAX = 2 ** 31 - 1
const RATE_MAX = 1e9
/** As long as virtual time may be, in seconds (sim/simulation.ts TIME_LIMIT_NS). */
const LONGEST_SECONDS = 90 * 86_400

/** Bounds of numbers; of a size by protocol, as a trace has them. */
const RANGES = { port: [1, 65535], packets: [1, PACKETS_MAX], size: [28, 65535], rate: [1, RATE_MAX] } as const
const TCP_SIZE_MIN = 52

/** What a thread needs to have the same flows. */
export interface MatrixRows {
  readonly rows: Int32Array
  readonly count: number
  readonly names: readonly string[]
  readonly files: readonly string[]
}

export class MatrixReader {
  readonly problems: Problem[] = []
  private readonly shape: FlowShape
  private rows = new Int32Array(FIRST_ROWS * STRIDE)
  private count = 0
  private readonly names: string[] = []
  private readonly ids = new Map<string, number>()
  private readonly files: string[] = []
  private line = 0
  private heading: readonly Column[] | undefined
  private isJson = false

  /** @param shape what a line does not say */
  constructor(shape: FlowShape) {
    this.shape = shape
  }

  /** The lines that come are of this file. */
  begin(file: string): void {
    this.files.push(file)
    this.line = 0
    this.heading = undefined
    this.isJson = false
  }

  /** Lines that are blank or begin with # say nothing. */
  read(text: string): void {
    this.line++
    const trimmed = (this.line === 1 ? text.replace(/^\ufeff/, '') : text).trim()
    if (trimmed === '' || trimmed.startsWith('#')) return
    if (this.heading === undefined && !this.isJson) {
      this.isJson = trimmed.startsWith('{')
      if (!this.isJson) return this.readHeading(trimmed)
    }
    const fields = this.isJson ? this.jsonFields(trimmed) : this.csvFields(trimmed)
    if (fields !== undefined) this.take(fields)
  }

  get matrix(): MatrixRows {
    const { count, names, files } = this
    return { rows: this.rows.slice(0, count * STRIDE), count, names, files }
  }

  private readHeading(text: string): void {
    const words = text.split(',').map((word) => word.trim().toLowerCase())
    const unknown = words.filter((word) => !COLUMNS.some((column) => column === word))
    const missing = ['source', 'destination'].filter((column) => !words.includes(column))
    this.heading = words as Column[]
    const twice = words.filter((word, at) => words.indexOf(word) !== at)
    if (unknown.length === 0 && missing.length === 0 && twice.length === 0) return
    const what =
      unknown.length > 0
        ? `there is no column ${quoted(unknown)}`
        : missing.length > 0
          ? `the heading lacks ${missing.join(' and ')}`
          : `${quoted(twice)} stands there twice`
    this.wrong(what, `The first line names the columns: source,destination and any of ${COLUMNS.slice(2).join(',')}.`)
    // nothing of the file can be read
    this.heading = []
  }

  private csvFields(text: string): Fields | undefined {
    const { heading = [] } = this
    if (heading.length === 0) return undefined
    const words = text.split(',').map((word) => word.trim())
    if (words.length > heading.length || words.length < 2) {
      this.wrong(`${words.length} columns where the heading has ${heading.length}`, 'No name holds a comma; columns at the end may be left out.')
      return undefined
    }
    const fields: Fields = {}
    words.forEach((word, at) => {
      if (word !== '') fields[heading[at]] = word
    })
    return fields
  }

  private jsonFields(text: string): Fields | undefined {
    const value = parsed(text)
    if (value === undefined) {
      this.wrong('is no JSON object', 'Write one object a line: {"source":"shop/a","destination":"shop/b","port":80}.')
      return undefined
    }
    const entries = Object.entries(value)
    const unknown = entries.flatMap(([name]) => (COLUMNS.some((column) => column === name) ? [] : [name]))
    const odd = entries.filter(([name, field]) => !unknown.includes(name) && typeof field !== 'string' && typeof field !== 'number').map(([name]) => name)
    if (unknown.length > 0) this.wrong(`there is no field ${quoted(unknown)}`, `There are ${COLUMNS.join(', ')}.`)
    else if (odd.length > 0) this.wrong(`${quoted(odd)} is neither text nor a number`, '')
    else return Object.fromEntries(entries.map(([name, field]) => [name, String(field)]))
    return undefined
  }

  private take(fields: Fields): void {
    const before = this.problems.length
    const { source, destination } = fields
    if (source === undefined || destination === undefined) this.wrong(`has no ${source === undefined ? 'source' : 'destination'}`, '')
    if (destination !== undefined && /:[0-9]+$/.test(destination)) this.wrong(`${quoted([destination])} holds a port`, 'Ports stand in the column port.')
    const proto = this.protocol(fields.protocol)
    const [port, packets, size, rate] = (['port', 'packets', 'size', 'rate'] as const).map((column) => this.number(column, fields[column]))
    if (this.problems.length === before) this.checkTogether({ proto, port, packets, size, rate })
    if (this.problems.length > before || source === undefined || destination === undefined) return
    const { shape } = this
    this.push([
      this.id(source),
      this.id(destination),
      proto === undefined ? -1 : PROTOCOLS.indexOf(proto),
      port ?? shape.port ?? -1,
      packets ?? shape.packets,
      size ?? shape.size ?? 0,
      rate ?? shape.rate,
      this.files.length - 1,
      this.line,
    ])
  }

  private checkTogether(given: Partial<FlowShape>): void {
    const { proto, port, size, packets, rate } = { ...this.shape, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) }
    if (proto === 'icmp' && port !== undefined) this.wrong('icmp has no ports', 'Leave the port out.')
    if ((proto === 'tcp' || proto === 'udp') && port === undefined) this.wrong(`${proto} needs a port`, 'Fill the column port, or give --port.')
    if (proto === 'sctp') this.wrong('sctp is not modelled yet', 'Use tcp or udp.')
    const isTcp = proto === 'tcp' || (proto === undefined && port !== undefined)
    if (isTcp && size !== undefined && size < TCP_SIZE_MIN) this.wrong(`a TCP segment of ${size} bytes cannot be`, `It has ${TCP_SIZE_MIN} bytes of headers.`)
    if (rate > 0 && packets / rate > LONGEST_SECONDS) this.wrong(`${packets} packets at ${rate} a second take more than 90 days`, 'Send fewer, or faster.')
  }

  private protocol(text: string | undefined): Protocol | undefined {
    if (text === undefined) return this.shape.proto
    const found = PROTOCOLS.find((name) => name === text.toLowerCase())
    if (found === undefined) this.wrong(`there is no protocol ${quoted([text])}`, 'It is tcp, udp or icmp.')
    return found
  }

  private number(column: keyof typeof RANGES, text: string | undefined): number | undefined {
    if (text === undefined) return undefined
    const [least, most] = RANGES[column]
    const value = /^[0-9]{1,10}$/.test(text) ? Number(text) : -1
    if (value >= least && value <= most) return value
    this.wrong(`${column} ${quoted([text])} is no whole number from ${least} to ${most}`, '')
    return undefined
  }

  private id(name: string): number {
    const known = this.ids.get(name)
    if (known !== undefined) return known
    const id = this.names.push(name) - 1
    this.ids.set(name, id)
    return id
  }

  private push(row: readonly number[]): void {
    const at = this.count++ * STRIDE
    if (at === this.rows.length) {
      const rows = new Int32Array(this.rows.length * 2)
      rows.set(this.rows)
      this.rows = rows
    }
    this.rows.set(row, at)
  }

  private wrong(what: string, fix: string): void {
    this.problems.push({ severity: 'error', file: this.files[this.files.length - 1], line: this.line, object: '', what, fix })
  }
}

export function matrixSource({ rows, count, names }: MatrixRows): FlowSource {
  return {
    count,
    flow(index): Flow {
      const [source, destination, proto, port, packets, size, rate] = rows.subarray(index * STRIDE, index * STRIDE + STRIDE)
      return {
        source: names[source],
        destination: names[destination],
        ...(proto < 0 ? {} : { proto: PROTOCOLS[proto] }),
        ...(port < 0 ? {} : { port }),
        packets,
        ...(size === 0 ? {} : { size }),
        rate,
      }
    },
  }
}

export function lineOf({ rows, files }: MatrixRows, index: number): { readonly file: string; readonly line: number } {
  const [file, line] = rows.subarray(index * STRIDE + 7, index * STRIDE + 9)
  return { file: files[file], line }
}

function parsed(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Of many the first few. */
function quoted(words: readonly string[]): string {
  return words
    .slice(0, 3)
    .map((word) => JSON.stringify(word.length > 60 ? `${word.slice(0, 60)}…` : word))
    .join(', ')
}
