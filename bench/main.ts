/**
 * usage: npm run bench [-- NAME… --json --seconds N --keep]
 *        npm run bench -- time …: see time.ts; large …: see large.ts
 * Runs the suites named, or all of them, one after another. With --json, one array of measurements on standard output. --keep: these figures are those
 * that the next are held against. Ends with 1 when a row takes more than it may (budgets.ts), unless CI is set.
 */
import { overBudget, unknownBudgets } from './budgets.js'
import { figureOf, keepSection, keptSection, rowName, type Figure } from './figures.js'
import { formatMeasurements, runSuite, type Measurement, type Suite } from './suite.js'

/** Loaded one by one: a suite's data and compiled code shall not disturb another's. */
const SUITES: Record<string, () => Promise<{ suites: readonly Suite[] }>> = {
  backends: () => import('./backends.js'),
  build: () => import('./build.js'),
  'event-queue': () => import('./event-queue.js'),
  flows: () => import('./flows.js'),
  forward: () => import('./forward.js'),
  ip: () => import('./ip.js'),
  netfilter: () => import('./netfilter.js'),
  policy: () => import('./policy.js'),
  start: () => import('./start.js'),
  tables: () => import('./tables.js'),
  'time-bgp': () => import('./time-bgp.js'),
  wire: () => import('./wire.js'),
}

const words = process.argv.slice(2)
if (words[0] === 'time') process.exit(await (await import('./time.js')).runTime(words.slice(1)))
if (words[0] === 'large') process.exit((await import('./large.js')).runLarge(words.slice(1)))
const json = words.includes('--json')
const secondsAt = words.indexOf('--seconds')
const seconds = secondsAt < 0 ? 2 : Number(words[secondsAt + 1])
const names = words.filter((word, index) => !word.startsWith('--') && (secondsAt < 0 || index !== secondsAt + 1))
const unknown = names.filter((name) => !(name in SUITES))
if (unknown.length > 0 || !(seconds > 0)) {
  console.error(`no suite ${unknown.join(', ')}; there are ${Object.keys(SUITES).join(', ')}, time, large; --seconds takes a positive number`)
  process.exit(2)
}

const kept = keptSection<Figure>('rows')
const all: Measurement[] = []
for (const name of names.length > 0 ? names : Object.keys(SUITES)) {
  const { suites } = await SUITES[name]()
  for (const suite of suites) {
    const measurements = runSuite(suite, { seconds })
    all.push(...measurements)
    if (!json) console.log([formatMeasurements(measurements, kept), ...(suite.notes ?? [])].join('\n'))
  }
}
if (json) console.log(JSON.stringify({ node: process.version, measurements: all }, null, 2))
if (words.includes('--keep')) keepSection('rows', Object.fromEntries(all.map((one) => [rowName(one), figureOf(one)])))
const over = [...overBudget(all, kept), ...(names.length === 0 ? unknownBudgets(all) : [])]
if (over.length > 0) {
  console.error(over.join('\n'))
  if (!process.env.CI) process.exitCode = 1
}
