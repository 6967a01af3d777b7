/**
 * How a run grows with its size, as one table: each row measured in a process of its own, since its memory is asked of that process. From cases of
 * time-*.ts to rows, printed beside what was kept of them last (figures.ts).
 */
import { spawnSync } from 'node:child_process'
import { keepSection, keptSection } from './figures.js'

export interface TimeCounts {
  /** Of the process, user and system, for the run alone: see timed(). */
  readonly cpuSeconds: number
  /** What stands at the end: sessions of BGP, leases of flannel. */
  readonly sessions?: number
  readonly events?: number
  /** Of virtual time, until the last change of a kernel. */
  readonly virtualSeconds?: number
}

/** One row, before it is measured. */
export interface TimeCase {
  readonly scenario: string
  /** Nodes, as a rule; sizes of a scenario follow each other upwards. */
  readonly size: number
  /** Runs only with --long. */
  readonly long?: boolean
  /** Throws when the result is wrong. What it prepares is not in its cpuSeconds, and is in the memory. */
  readonly measure: () => TimeCounts
}

export interface TimeRow extends TimeCounts {
  readonly scenario: string
  readonly size: number
  /** Peak resident memory of its process, MB of 10^6 bytes. */
  readonly peakMB: number
}

/** CPU of this process while it runs. */
export function timed<T>(run: () => T): { readonly result: T; readonly cpuSeconds: number } {
  const before = process.cpuUsage()
  const result = run()
  const { user, system } = process.cpuUsage(before)
  return { result, cpuSeconds: (user + system) / 1e6 }
}

/** Words that must all stand in `scenario size`; a number stands for a whole size. */
export function selected(cases: readonly TimeCase[], filter: readonly string[], options: { readonly long: boolean }): TimeCase[] {
  const fits = ({ scenario, size }: TimeCase, word: string): boolean => (/^\d+$/.test(word) ? String(size) === word : scenario.includes(word))
  return cases.filter((one) => (options.long || one.long !== true) && filter.every((word) => fits(one, word)))
}

/** In the child: its one row, as JSON on standard output. */
export function printMeasured({ scenario, size, measure }: TimeCase): void {
  const counts = measure()
  const row: TimeRow = { scenario, size, ...counts, peakMB: (process.resourceUsage().maxRSS * 1024) / 1e6 }
  console.log(JSON.stringify(row))
}

/** @param words of the command line with which this program measures that one case and prints it */
export function measuredApart(words: readonly string[]): TimeRow {
  const { status, stdout, error } = spawnSync(process.execPath, [...process.execArgv, ...words], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
  if (error !== undefined || status !== 0) throw error ?? new Error(`${words.join(' ')} ended with ${status}`)
  return JSON.parse(stdout) as TimeRow
}

export function keptRows(): readonly TimeRow[] {
  return Object.values(keptSection<TimeRow>('time'))
}

/** Rows that were not measured now stay as they were. */
export function keep(rows: readonly TimeRow[]): void {
  keepSection('time', Object.fromEntries(rows.map((row) => [nameOf(row), rounded(row)])))
}

const COLUMNS = ['scenario', 'size', 'sessions/leases', 'events', 'virtual s', 'CPU s', 'events/s', 'peak MB', 'growth: events', 'CPU', 'memory', 'CPU/kept']

/** Growth: how often more than the next smaller size of the scenario, for each doubling. */
export function timeTable(rows: readonly TimeRow[], kept: readonly TimeRow[] = []): string {
  const cells = [COLUMNS, ...rows.map((row) => cellsOf(row, { rows: [...rows, ...kept], kept }))]
  const widths = COLUMNS.map((_, at) => Math.max(...cells.map((line) => line[at].length)))
  return cells.map((line) => line.map((cell, at) => (at === 0 ? cell.padEnd(widths[at]) : cell.padStart(widths[at]))).join('  ')).join('\n')
}

function cellsOf(row: TimeRow, { rows, kept }: { readonly rows: readonly TimeRow[]; readonly kept: readonly TimeRow[] }): string[] {
  const smaller = rows.filter(({ scenario, size }) => scenario === row.scenario && size < row.size)
  const next = smaller.find(({ size }) => size === Math.max(...smaller.map((one) => one.size)))
  const last = kept.find((one) => nameOf(one) === nameOf(row))
  const growth = (of: (one: TimeRow) => number | undefined): string => {
    const [now, before] = [of(row), next === undefined ? undefined : of(next)]
    if (next === undefined || !now || !before) return '-'
    return `×${((now / before) ** (1 / Math.log2(row.size / next.size))).toFixed(2)}`
  }
  return [
    row.scenario,
    whole(row.size),
    whole(row.sessions),
    whole(row.events),
    row.virtualSeconds?.toFixed(3) ?? '-',
    row.cpuSeconds.toFixed(2),
    whole(row.events === undefined ? undefined : row.events / row.cpuSeconds),
    whole(row.peakMB),
    growth(({ events }) => events),
    growth(({ cpuSeconds }) => cpuSeconds),
    growth(({ peakMB }) => peakMB),
    last === undefined ? '-' : `×${(row.cpuSeconds / last.cpuSeconds).toFixed(2)}`,
  ]
}

function whole(value: number | undefined): string {
  return value === undefined ? '-' : Math.round(value).toLocaleString('en')
}

function nameOf({ scenario, size }: TimeRow): string {
  // so that sizes stand in their order
  return `${scenario} ${String(size).padStart(5)}`
}

function rounded(row: TimeRow): TimeRow {
  return { ...row, cpuSeconds: Number(row.cpuSeconds.toFixed(3)), peakMB: Math.round(row.peakMB) }
}
