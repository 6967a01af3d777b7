/** `netsim policy diff`: reads both sides, compares them, prints what changed. Loaded when it is called. */
import { EXIT_BAD_INPUT, EXIT_OK, UsageError } from './exit.js'
import type { Io } from './io.js'
import { tellChange } from './policy-change-output.js'
import type { PolicyChangeFlags } from './policy-change-verb.js'
import { readPolicies, worldOf } from './policy-input.js'

/** The exit status. */
export async function policyDiff([old, now]: readonly [old: string, now: string], flags: PolicyChangeFlags, io: Io): Promise<number> {
  if (flags.filename.length > 0) throw new UsageError('policy diff compares OLD with NEW: -f says nothing there')
  if (old === '-' && now === '-') throw new UsageError('OLD and NEW cannot both be standard input')
  const before = await worldOf(await readPolicies(flags, io, [old]), flags, io)
  const after = await worldOf(await readPolicies(flags, io, [now]), flags, io)
  if (before === undefined || after === undefined) return EXIT_BAD_INPUT
  const status = await tellChange({ before, after, command: 'netsim policy diff' }, flags, io)
  const wrong = [before.exit, after.exit].find((exit) => exit !== EXIT_OK)
  return status === EXIT_OK ? (wrong ?? EXIT_OK) : status
}
