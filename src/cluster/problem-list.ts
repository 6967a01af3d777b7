/** Collects Problems while a reader goes on; each names its place, its object, what is wrong and what to do. */
import type { Problem } from '../base/problem.js'

/** A place in the input; every located thing of the cluster is one. */
export interface Place {
  readonly file: string
  readonly line: number
}

export class ProblemList {
  readonly problems: Problem[] = []

  error(place: Place, object: string, what: string, fix: string): void {
    this.problems.push(Object.freeze({ severity: 'error', file: place.file, line: place.line, object, what, fix }))
  }

  warning(place: Place, object: string, what: string, fix: string): void {
    this.problems.push(Object.freeze({ severity: 'warning', file: place.file, line: place.line, object, what, fix }))
  }
}

/** `n1.yaml:12`, to name a second place inside a text. */
export function formatPlace(place: Place): string {
  return place.line > 0 ? `${place.file}:${place.line}` : place.file
}
