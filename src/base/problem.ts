/**
 * Something wrong with the input. Readers collect Problems and go on, so that one run reports all of them, and so that
 * what was right is not lost.
 */
export interface Problem {
  /** An error makes the answer unusable (exit 3); a warning is printed and the work goes on. */
  readonly severity: 'error' | 'warning'
  /** The file as the user named it, `-` for standard input, or `etcd`, `flag --x`. */
  readonly file: string
  /** 1-based; 0 when the place has no line. */
  readonly line: number
  /** The object: `Node/n1`, `Pod/default/web-0`; empty where there is none. */
  readonly object: string
  /** What is wrong, with the offending value in it. */
  readonly what: string
  /** What to do about it; may be empty. */
  readonly fix: string
}

/** Names come from files: none may begin a line of its own. */
function onOneLine(text: string): string {
  return text.replace(/[\r\n]+/g, ' ')
}

export function formatProblem(problem: Problem): string {
  const place = problem.file === '' ? '' : problem.line > 0 ? `${problem.file}:${problem.line}: ` : `${problem.file}: `
  const object = problem.object === '' ? '' : ` ${onOneLine(problem.object)}:`
  const fix = problem.fix === '' ? '' : `\n    ${problem.fix}`
  return `${place}${problem.severity}:${object} ${onOneLine(problem.what)}${fix}`
}

export function hasErrors(problems: readonly Problem[]): boolean {
  return problems.some((problem) => problem.severity === 'error')
}
