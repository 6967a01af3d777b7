/** Virtual time in words: exact to what it says, and short. `5.000 ms`, `10.000 s`, `23 h 59 m 50 s`; without blanks as `--at` takes it. */

const SECOND = 1e9
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** A stretch of time. Below a minute to the microsecond where there are any, above without needless zeros. */
export function durationText(ns: number): string {
  return textOf(ns, ' ')
}

/** A moment, as one word: what `--at`, `--from` and `--to` read. */
export function momentText(ns: number): string {
  return textOf(ns, '')
}

function textOf(ns: number, gap: string): string {
  if (ns < 0) return `-${textOf(-ns, gap)}`
  if (ns === 0) return `0${gap}s`
  if (ns < 1e6) return `${trimmed(ns / 1e3, 0)}${gap}us`
  if (ns < SECOND) return `${trimmed(Math.round(ns / 1e3) / 1e3, 3)}${gap}ms`
  const exact = Math.round(ns / 1e3) * 1e3
  if (exact < MINUTE) return `${trimmed(exact / SECOND, 3)}${gap}s`
  const days = exact < 2 * DAY ? 0 : Math.floor(exact / DAY)
  const hours = Math.floor((exact - days * DAY) / HOUR)
  const minutes = Math.floor((exact % HOUR) / MINUTE)
  const seconds = (exact % MINUTE) / SECOND
  return [
    [days, 'd'],
    [hours, 'h'],
    [minutes, 'm'],
    [seconds, 's'],
  ]
    .filter(([value]) => value !== 0)
    .map(([value, unit]) => `${typeof value === 'number' ? trimmed(value, 0) : value}${gap}${unit}`)
    .join(gap)
}

/** At least so many decimals, at most six. */
function trimmed(value: number, least: number): string {
  const [whole, decimals] = value.toFixed(6).split('.')
  const kept = decimals.replace(/0+$/, '').padEnd(least, '0')
  const shown = kept.length > least && kept.length > 3 ? kept.padEnd(6, '0') : kept
  return shown === '' ? whole : `${whole}.${shown}`
}
