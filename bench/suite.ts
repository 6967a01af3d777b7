/**
 * What every benchmark shares: a suite is a few ways to do one thing, timed by Benchmark.js, printed as nanoseconds per operation, operations a second, as a
 * ratio to the way named base and to what was kept of the row last (figures.ts).
 */
import Benchmark from 'benchmark'
import { referenceNs, slowerThanKept, type Figure, type Section } from './figures.js'

export interface Case {
  readonly name: string
  /** What is timed. It returns something that depends on all its work, or the compiler may drop the work. */
  readonly run: () => unknown
  /** Operations in one run, where one alone is too short to time; default 1. */
  readonly operations?: number
}

export interface Suite {
  readonly name: string
  /** The case that the others are held against. */
  readonly base: string
  readonly cases: readonly Case[]
  /** Takes its own times, in place of cases: of what is no call of a function. */
  readonly timed?: () => readonly Timing[]
  /** What else was found out, a line each. */
  readonly notes?: readonly string[]
}

export interface Timing {
  readonly name: string
  /** Of CPU, user and system: neighbours on the machine do not count. */
  readonly nsPerOperation: number
  /** Relative margin of error of the mean by the clock, percent, at 95 %. */
  readonly marginPercent: number
  readonly samples: number
}

export interface Measurement extends Timing {
  readonly suite: string
  /** Of the machine, right before the row. */
  readonly referenceNs: number
  /** Time over the base's time: 2 is twice as slow. */
  readonly ratio: number
}

export interface Options {
  /** Seconds that a case is timed for; default 2. */
  readonly seconds: number
}

/** Keeps results alive, so that no timed work is dead code. */
export const sink = { value: undefined as unknown }

/** @throws Error when a case throws, or the base is none of the cases */
export function runSuite(suite: Suite, options: Options): Measurement[] {
  const timed = (suite.timed?.() ?? suite.cases.map((one) => ({ name: one.name, ...time(one, options) }))).map((one) => ({
    referenceNs: referenceNs(),
    ...one,
  }))
  const base = timed.find((one) => one.name === suite.base)
  if (base === undefined) throw new Error(`${suite.name}: the base ${suite.base} is none of its cases`)
  return timed.map((one) => ({ suite: suite.name, ...one, ratio: one.nsPerOperation / base.nsPerOperation }))
}

type Timed = Omit<Timing, 'name'> & Pick<Measurement, 'referenceNs'>

function time({ name, run, operations = 1 }: Case, { seconds }: Options): Timed {
  const reference = referenceNs()
  let runs = 0
  const benchmark = new Benchmark(name, () => (runs++, (sink.value = run())), { maxTime: seconds, minSamples: 10 })
  const before = process.cpuUsage()
  benchmark.run()
  const { user, system } = process.cpuUsage(before)
  const { error } = benchmark as { error?: Error }
  if (error !== undefined) throw error
  return {
    nsPerOperation: ((user + system) * 1000) / runs / operations,
    marginPercent: benchmark.stats.rme,
    samples: benchmark.stats.sample.length,
    referenceNs: reference,
  }
}

export function formatMeasurements(measurements: readonly Measurement[], kept: Section<Figure> = {}): string {
  const width = Math.max(...measurements.map(({ name }) => name.length))
  const rows = measurements.map((one) => {
    const { name, nsPerOperation, marginPercent, ratio } = one
    const time = nsPerOperation >= 1000 ? nsPerOperation.toFixed(0) : nsPerOperation.toFixed(1)
    const slower = slowerThanKept(one, kept)
    const toKept = slower === undefined ? 'nothing kept' : `× ${slower.toFixed(2)} of kept`
    const cells = [`${time.padStart(11)} ns/op`, `${perSecond(nsPerOperation).padStart(13)}/s`, `±${marginPercent.toFixed(1).padStart(5)} %`]
    return `  ${name.padEnd(width)} ${cells.join(' ')}  × ${ratio.toFixed(2).padEnd(7)} ${toKept}`
  })
  return [measurements[0].suite, ...rows].join('\n')
}

function perSecond(nsPerOperation: number): string {
  const value = 1e9 / nsPerOperation
  return value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3)
}
