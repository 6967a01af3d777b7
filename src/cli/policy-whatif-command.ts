/** `netsim policy whatif`: reads the manifests, edits them, compares, prints what the edit would do. Loaded when it is called. */
import { hasErrors, type Problem } from '../base/problem.js'
import { readManifests } from '../cluster/manifest.js'
import { policyStateOf } from '../cluster/policy-state.js'
import { ProblemList } from '../cluster/problem-list.js'
import { Readings } from '../cluster/readings.js'
import { applyEdits, withMadeLabels, type Edit } from '../policy/change/edit.js'
import { EXIT_BAD_INPUT, EXIT_OK, UsageError } from './exit.js'
import { readInputs } from './input.js'
import type { Io } from './io.js'
import { report } from './load-network.js'
import { tellChange } from './policy-change-output.js'
import type { PolicyChangeFlags } from './policy-change-verb.js'
import { readPolicies, worldOf } from './policy-input.js'
import type { EditWords, WhatIfFlags } from './policy-whatif-verb.js'

/** The exit status. */
export async function policyWhatIf(words: readonly EditWords[], flags: WhatIfFlags, io: Io): Promise<number> {
  if (words.length === 0) throw new UsageError('what if what? Say it with --add, --delete, --label, --scale or --replace')
  for (const edit of words)
    if (edit.kind === 'label' && edit.changes.length === 0)
      throw new UsageError(`which label of ${edit.target}? Write --label ${edit.target} key=value, or key-`)
  const problems: Problem[] = []
  const edits: Edit[] = []
  for (const edit of words) edits.push('file' in edit ? await fileEdit(edit, { flags, problems }, io) : edit)
  const readings = new Readings()
  const read = await readPolicies(flags, io, flags.filename, readings)
  const before = await worldOf(read, flags, io)
  const { objects, answers, complete, engine } = read.state
  const edited = applyEdits(objects, edits, flags.namespace, readings)
  const wrong = [...problems, ...edited.problems]
  await report(wrong, io)
  if (before === undefined || hasErrors(wrong)) return EXIT_BAD_INPUT
  const result = policyStateOf({ objects: edited.objects, answers, complete }, readings)
  const now = withMadeLabels(result.state, edited)
  const state = flags.enforced && engine.kind === 'unknown' ? { ...now, engine } : now
  const after = await worldOf({ state, problems: result.problems, inputs: read.inputs }, flags, io, before.problems)
  if (after === undefined) return EXIT_BAD_INPUT
  if (flags.ask !== undefined) {
    const { askWhatIf } = await import('./policy-path-command.js')
    return askWhatIf({ before, after }, flags.ask, flags, io)
  }
  const status = await tellChange({ before, after, command: 'netsim policy whatif', touched: edited.touched }, flags, io)
  return status === EXIT_OK && before.exit !== EXIT_OK ? before.exit : status
}

interface Reading {
  readonly flags: PolicyChangeFlags
  readonly problems: Problem[]
}

async function fileEdit({ kind, file }: Extract<EditWords, { readonly file: string }>, { flags, problems }: Reading, io: Io): Promise<Edit> {
  const { inputs, problems: unread } = await readInputs([file], flags.recursive, io)
  const list = new ProblemList()
  const { objects } = readManifests(inputs, list)
  problems.push(...unread, ...list.problems)
  return { kind, file, objects }
}
