/** Durations (`50us`) and rates (`10Gbps`) of the Network document → integers. */

const NANOSECONDS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 }
const BITS: Readonly<Record<string, number>> = { '': 1, k: 1e3, K: 1e3, M: 1e6, G: 1e9, T: 1e12 }

/** Integer nanoseconds; undefined when it is no duration with a unit. */
export function parseDuration(text: string): number | undefined {
  const match = /^([0-9]+(?:\.[0-9]+)?)\s*(ns|us|µs|ms|s|m|h)$/.exec(text)
  if (match === null) return text === '0' ? 0 : undefined
  const value = Math.round(Number(match[1]) * NANOSECONDS[match[2]])
  return Number.isSafeInteger(value) ? value : undefined
}

/** As a time since the start: parts may follow one another (`1h30m`), and there are days. Integer nanoseconds; undefined when it is none. */
export function parseMoment(text: string): number | undefined {
  if (text === '0') return 0
  const parts = text.match(/[0-9]+(?:\.[0-9]+)?\s*(?:ns|us|µs|ms|s|m|h|d)/g)
  if (parts === null || parts.join('') !== text) return undefined
  const ns = parts.reduce((sum, part) => sum + (part.endsWith('d') ? 24 * durationOf(`${part.slice(0, -1)}h`) : durationOf(part)), 0)
  return Number.isSafeInteger(ns) ? ns : undefined
}

function durationOf(part: string): number {
  return parseDuration(part) ?? Number.NaN
}

/** Bits per second, at least 1; undefined when it is no rate with a unit. */
export function parseRate(text: string): number | undefined {
  const match = /^([0-9]+(?:\.[0-9]+)?)\s*([kKMGT]?)(?:bps|bit|bit\/s)$/.exec(text)
  if (match === null) return undefined
  const value = Math.round(Number(match[1]) * BITS[match[2]])
  return Number.isSafeInteger(value) && value > 0 ? value : undefined
}
