/**
 * usage: npm run bench [-- NAME… --json --seconds N]
 *        npm run bench -- time …: see time.ts; large …: see large.ts
 * Runs the suites named, or all of them, one after another. With --json, one array of measurements on standard output.
 */
import { formatMeasurements, runSuite, type Measurement, type Suite } from './suite.js'

/** Loaded one by one: a suite's data and compiled code shall not disturb another's. */
const SUITES: Record<string, () => Promise<{ suites: readonly Suite[] }>> = {
  'event-queue': () => import('./event-queue.js'),
  forward: () => import('./forward.js'),
  ip: () => import('./ip.js'),
  netfilter: () => import('./netfilter.js'),
  policy: () => import('./policy.js'),
  'time-bgp': () => import('./time-bgp.js'),
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

const all: Measurement[] = []
for (const name of names.length > 0 ? names : Object.keys(SUITES)) {
  const { suites } = await SUITES[name]()
  for (const suite of suites) {
    const measurements = runSuite(suite, { seconds })
    all.push(...measurements)
    if (!json) console.log([formatMeasurements(measurements), ...(suite.notes ?? [])].join('\n'))
  }
}
if (json) console.log(JSON.stringify({ node: process.version, measurements: all }, null, 2))
