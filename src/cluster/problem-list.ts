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

/** By file in the order given, then by line; those of one line in the order found. */
export function sortProblems(problems: readonly Problem[], files: readonly string[]): Problem[] {
  const order = new Map(files.map((file, index) => [file, index]))
  return [...problems].sort((a, b) => (order.get(a.file) ?? -1) - (order.get(b.file) ?? -1) || a.line - b.line)
}

/** `n1.yaml:12`, to name a second place inside a text. */
export function formatPlace(place: Place): string {
  return place.line > 0 ? `${place.file}:${place.line}` : place.file
}
