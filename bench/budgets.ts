/**
 * What rows may take. A row that takes more is told at the end of a run, which then ends with 1; in continuous integration (CI is set), where neighbours make
 * any time possible, it is told alone.
 */
import { rowName, slowerThanKept, type Figure, type Section } from './figures.js'
import type { Measurement } from './suite.js'

/** Of any row that has no budget of its own: over what was kept of it, the machine's speed taken out. */
const MOST_SLOWER = 1.6

interface Budget {
  /** Nanoseconds an operation. */
  readonly mostNs?: number
  /** Time over that of the suite's base. */
  readonly mostRatio?: number
  readonly mostSlower?: number
}

const PER_SECOND = 1e9

const BUDGETS: Readonly<Record<string, Budget>> = {
  'pcapng, a frame of 1514 bytes of VXLAN: frames made and written': { mostNs: PER_SECOND / 500_000 },
  'process start, over node -e 0: CPU, trace pod-a pod-b': { mostNs: 150e6, mostSlower: 2 },
  // of the clock: neighbours on the machine count too
  'process start, over node -e 0: wall, trace pod-a pod-b': { mostSlower: 4 },
  'process start, over node -e 0: wall, --version': { mostSlower: 4 },
  // rules that do not match cost next to nothing
  'forward over vxlan, a packet: steps, 200 rules': { mostRatio: 1.5 },
  'forward over vxlan, a packet: steps, 2000 rules': { mostRatio: 2 },
  'FORWARD with 200 rules that do not match: classified': { mostRatio: 0.2 },
  'FORWARD with 2000 rules that do not match: classified': { mostRatio: 0.08 },
  'kube-proxy, a new connection to a Service: 5,000 services': { mostRatio: 3 },
  'a routing lookup: 1,000 routes': { mostRatio: 3 },
}

/** A line for each row that takes more than it may. */
export function overBudget(measurements: readonly Measurement[], kept: Section<Figure>): string[] {
  return measurements.flatMap((one) => {
    const { mostNs = Infinity, mostRatio = Infinity, mostSlower = MOST_SLOWER } = BUDGETS[rowName(one)] ?? {}
    const slower = slowerThanKept(one, kept) ?? 0
    const over = [
      ...(one.nsPerOperation > mostNs ? [`${time(one.nsPerOperation)} where ${time(mostNs)} is the most`] : []),
      ...(one.ratio > mostRatio ? [`× ${one.ratio.toFixed(2)} of its base where × ${mostRatio} is the most`] : []),
      ...(slower > mostSlower ? [`× ${slower.toFixed(2)} of what was kept where × ${mostSlower} is the most`] : []),
    ]
    return over.map((what) => `OVER BUDGET  ${rowName(one)}: ${what}`)
  })
}

/** Rows of budgets that no suite has, where all suites ran: a row was renamed. */
export function unknownBudgets(measurements: readonly Measurement[]): string[] {
  const names = new Set(measurements.map(rowName))
  return Object.keys(BUDGETS).flatMap((name) => (names.has(name) ? [] : [`NO SUCH ROW  ${name}: bench/budgets.ts has a budget for it`]))
}

function time(ns: number): string {
  return ns >= 1e6 ? `${(ns / 1e6).toFixed(1)} ms` : `${ns.toFixed(0)} ns`
}
