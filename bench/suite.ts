/**
 * What every benchmark shares: a suite is a few ways to do one thing, timed by Benchmark.js, printed as nanoseconds per
 * operation and as a ratio to the way named base.
 */
import Benchmark from 'benchmark'

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
  /** What else was found out, a line each. */
  readonly notes?: readonly string[]
}

export interface Measurement {
  readonly suite: string
  readonly name: string
  readonly nsPerOperation: number
  /** Relative margin of error of the mean, percent, at 95 %. */
  readonly marginPercent: number
  readonly samples: number
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
  const timed = suite.cases.map((one) => ({ name: one.name, ...time(one, options) }))
  const base = timed.find((one) => one.name === suite.base)
  if (base === undefined) throw new Error(`${suite.name}: the base ${suite.base} is none of its cases`)
  return timed.map((one) => ({ suite: suite.name, ...one, ratio: one.nsPerOperation / base.nsPerOperation }))
}

function time({ name, run, operations = 1 }: Case, { seconds }: Options): Pick<Measurement, 'nsPerOperation' | 'marginPercent' | 'samples'> {
  const benchmark = new Benchmark(name, () => (sink.value = run()), { maxTime: seconds, minSamples: 10 })
  benchmark.run()
  const { error } = benchmark as { error?: Error }
  if (error !== undefined) throw error
  return {
    nsPerOperation: (benchmark.stats.mean * 1e9) / operations,
    marginPercent: benchmark.stats.rme,
    samples: benchmark.stats.sample.length,
  }
}

export function formatMeasurements(measurements: readonly Measurement[]): string {
  const width = Math.max(...measurements.map(({ name }) => name.length))
  const rows = measurements.map(({ name, nsPerOperation, marginPercent, ratio }) => {
    const time = nsPerOperation >= 1000 ? nsPerOperation.toFixed(0) : nsPerOperation.toFixed(1)
    return `  ${name.padEnd(width)} ${time.padStart(10)} ns/op ±${marginPercent.toFixed(1).padStart(4)} %  × ${ratio.toFixed(2)}`
  })
  return [measurements[0].suite, ...rows].join('\n')
}
