/** `netsim flows --merge`: what parts of a run wrote → what the whole run would have printed. */
import type { Problem } from '../base/problem.js'
import { csvLine, CSV_HEADING, type FlowLine } from '../analysis/flows/flow-line.js'
import { isPartHead, isPartSums, mismatch, type PartHead } from '../analysis/flows/part.js'
import { addSums, type FlowSums } from '../analysis/flows/sums.js'
import { eachLine } from './flows-lines.js'
import type { Io } from './io.js'

interface Part {
  readonly file: string
  readonly head: PartHead
  readonly sums: FlowSums
}

export interface Merged {
  readonly head: PartHead
  readonly sums: FlowSums
  /** In the order of the parts. */
  readonly files: readonly string[]
}

/** Of each file all but its lines of flows is kept. */
export async function mergeParts(files: readonly string[], io: Io): Promise<Merged | readonly Problem[]> {
  const problems: Problem[] = []
  const parts: Part[] = []
  for (const file of files) {
    const part = await readPart(file, io)
    if ('severity' in part) problems.push(part)
    else parts.push(part)
  }
  const what = problems.length > 0 || parts.length === 0 ? undefined : mismatch(parts.map(({ head }) => head))
  if (what !== undefined) problems.push(problem('--merge', what, 'Name every part of one run once.'))
  if (problems.length > 0) return problems
  const inOrder = parts.sort((a, b) => a.head.part - b.head.part)
  return { head: inOrder[0].head, sums: addSums(inOrder.map(({ sums }) => sums)), files: inOrder.map(({ file }) => file) }
}

/** A line each flow, in the order of the flows. @returns why a file could not be read again */
export async function writeLines(files: readonly string[], form: 'jsonl' | 'csv', io: Io): Promise<Problem | undefined> {
  if (form === 'csv') await io.out(CSV_HEADING)
  for (const file of files) {
    let text = ''
    const failed = await eachLine(file, io, (line) => {
      if (!line.startsWith('{"flow":')) return undefined
      text += form === 'csv' ? csvLine(JSON.parse(line) as FlowLine) : `${line}\n`
      if (text.length < PIECE) return undefined
      const piece = text
      text = ''
      return io.out(piece)
    })
    if (failed !== undefined) return failed
    await io.out(text)
  }
  return undefined
}

const PIECE = 1 << 16

async function readPart(file: string, io: Io): Promise<Part | Problem> {
  if (file === '-') return problem(file, 'a part is read twice, and standard input is there once', 'Name a file.')
  let head: PartHead | undefined
  let sums: FlowSums | undefined
  const failed = await eachLine(file, io, (line) => {
    if (line.startsWith('{"flow":')) return undefined
    const value = parsed(line)
    if (isPartHead(value)) head = value
    else if (isPartSums(value)) sums = value
    return undefined
  })
  if (failed !== undefined) return failed
  if (head === undefined) return problem(file, 'is no part of a run', 'A part is what netsim flows --shard I/N writes.')
  return sums === undefined ? problem(file, 'ends before its sums', 'Run that part again.') : { file, head, sums }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

function problem(file: string, what: string, fix: string): Problem {
  return { severity: 'error', file, line: 0, object: '', what, fix }
}
