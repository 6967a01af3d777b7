/**
 * The figures that a run is held against: bench/figures.json, a line a row. Beside each row stands how long a fixed piece of work (referenceNs) took on that
 * machine at that moment, so that what is compared is how often it fits: machines and their loads differ, the ratio hardly does.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import type { Measurement } from './suite.js'

const FILE = 'bench/figures.json'

/** Of one row: nanoseconds an operation, and of the reference. */
export interface Figure {
  readonly ns: number
  readonly reference: number
}

/** Of a section of the file: lines of JSON by their names. */
export type Section<Row> = Readonly<Record<string, Row>>

interface Figures {
  readonly node: string
  readonly rows: Section<Figure>
  readonly time: Section<unknown>
}

function readFigures(): Figures {
  return existsSync(FILE) ? (JSON.parse(readFileSync(FILE, 'utf8')) as Figures) : { node: process.version, rows: {}, time: {} }
}

export function keptSection<Row>(name: 'rows' | 'time'): Section<Row> {
  return readFigures()[name] as Section<Row>
}

/** What was not measured now stays as it was. */
export function keepSection(name: 'rows' | 'time', rows: Section<unknown>): void {
  const kept = readFigures()
  const figures: Figures = { ...kept, node: process.version, [name]: { ...kept[name], ...rows } }
  const lines = (section: Section<unknown>): string =>
    Object.keys(section)
      .sort()
      .map((key) => `    ${JSON.stringify(key)}: ${JSON.stringify(section[key])}`)
      .join(',\n')
  const text = `{\n  "node": "${figures.node}",\n  "rows": {\n${lines(figures.rows)}\n  },\n  "time": {\n${lines(figures.time)}\n  }\n}\n`
  writeFileSync(FILE, text)
}

export function rowName({ suite, name }: Pick<Measurement, 'suite' | 'name'>): string {
  return `${suite}: ${name}`
}

export function figureOf({ nsPerOperation, referenceNs }: Measurement): Figure {
  return { ns: Number(nsPerOperation.toPrecision(4)), reference: Math.round(referenceNs) }
}

/** How often slower than kept, the machine's speed taken out; undefined: nothing is kept of it. */
export function slowerThanKept(measured: Measurement, kept: Section<Figure>): number | undefined {
  const before = Object.hasOwn(kept, rowName(measured)) ? kept[rowName(measured)] : undefined
  return before === undefined ? undefined : measured.nsPerOperation / measured.referenceNs / (before.ns / before.reference)
}

const WORDS = 1 << 14
const ROUNDS = 11

/** Least time of a piece of work that no change of netsim touches: integers in a typed array, a Map, objects made and dropped. */
export function referenceNs(): number {
  const times: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint()
    if (referenceWork(round) === 0.5) throw new Error('never')
    times.push(Number(process.hrtime.bigint() - start))
  }
  return Math.min(...times)
}

function referenceWork(seed: number): number {
  const words = new Int32Array(WORDS)
  const places = new Map<number, { readonly at: number; readonly next: { readonly at: number } | undefined }>()
  let value = seed | 1
  for (let i = 0; i < WORDS; i++) {
    value = (Math.imul(value, 1103515245) + 12345) | 0
    words[i] = value
    const key = (value >>> 16) & 1023
    places.set(key, { at: i, next: places.get(key)?.next ?? { at: value } })
  }
  let sum = 0
  for (let i = 0; i < WORDS; i++) sum += words[(words[i] >>> 18) & (WORDS - 1)] & 1
  for (const { at, next } of places.values()) sum += at + (next === undefined ? 0 : next.at & 1)
  return sum
}
