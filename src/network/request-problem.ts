/** Problems of a question itself: no file is wrong. */
import type { Problem } from '../base/problem.js'

/** Where a Problem about the question itself stands. */
const REQUEST = 'request'
/** In place of it: the question is sound, and netsim cannot answer it (INCOMPLETE). */
export const NOT_MODELLED = 'not modelled'

export function requestProblem(object: string, what: string, fix: string): Problem {
  return { severity: 'error', file: REQUEST, line: 0, object, what, fix }
}

export function notModelled(object: string, what: string, fix: string): Problem {
  return { severity: 'error', file: NOT_MODELLED, line: 0, object, what, fix }
}
