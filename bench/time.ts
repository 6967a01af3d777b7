/**
 * usage: npm run bench -- time [--long --keep --json] [WORD…]
 * The table of runs (time-table.ts): rows whose scenario holds every word, or has it as its size. --long: the large ones too. --keep: these figures are
 * those that the next are held against.
 */
import { keep, keptRows, measuredApart, printMeasured, selected, timeTable, type TimeCase, type TimeRow } from './time-table.js'

const CASES: readonly (() => Promise<{ readonly timeCases: readonly TimeCase[] }>)[] = [
  () => import('./time-flannel.js'),
  () => import('./time-moment.js'),
  () => import('./time-bgp.js'),
]

/** Before the words of the one row that this process is to measure. */
const ROW = '--row'

/** @param words of the command line, without the suite's name. @returns exit status */
export async function runTime(words: readonly string[]): Promise<number> {
  const cases = (await Promise.all(CASES.map(async (load) => (await load()).timeCases))).flat()
  if (words[0] === ROW) {
    const one = cases.find(({ scenario, size }) => scenario === words[1] && String(size) === words[2])
    if (one === undefined) throw new Error(`no row ${words.slice(1).join(' ')}`)
    printMeasured(one)
    return 0
  }
  const chosen = selected(
    cases,
    words.filter((word) => !word.startsWith('--')),
    { long: words.includes('--long') },
  )
  if (chosen.length === 0) {
    const all = cases.map(({ scenario, size, long }) => `  ${scenario} ${size}${long === true ? ' (--long)' : ''}`)
    console.error(['no such row; there are', ...all].join('\n'))
    return 2
  }
  const kept = keptRows()
  const rows: TimeRow[] = []
  for (const { scenario, size } of chosen) {
    process.stderr.write(`${scenario} ${size} …\n`)
    rows.push(measuredApart([process.argv[1], 'time', ROW, scenario, String(size)]))
  }
  console.log(words.includes('--json') ? JSON.stringify({ node: process.version, rows }, null, 2) : timeTable(rows, kept))
  if (words.includes('--keep')) keep(rows)
  return 0
}
