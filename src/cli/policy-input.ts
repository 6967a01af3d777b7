/** `-f` and the switches → the state and the world that a `netsim policy` command asks. Loaded with the command. */
import { formatProblem, hasErrors, type Problem } from '../base/problem.js'
import type { Input } from '../cluster/manifest.js'
import { isPolicyLabel, readPolicyState, type PolicyState } from '../cluster/policy-state.js'
import type { Readings } from '../cluster/readings.js'
import type { PolicyWorld, Switches } from '../policy/model.js'
import { npGuardRefusals } from '../policy/np-guard-refusals.js'
import { readPolicyWorld, switchesFor } from '../policy/world.js'
import { EXIT_BAD_INPUT, EXIT_OK, EXIT_UNKNOWN } from './exit.js'
import { readInputs } from './input.js'
import type { Io } from './io.js'
import { report } from './load-network.js'
import type { PolicyFlags } from './policy-flags.js'

export interface ReadPolicies {
  readonly state: PolicyState
  readonly problems: readonly Problem[]
  /** The files, as the user named them. */
  readonly inputs: readonly string[]
  /** What stands in them; absent where the state is not what they say. */
  readonly texts?: readonly Input[]
}

export interface LoadedPolicies {
  readonly state: PolicyState
  readonly world: PolicyWorld
  readonly switches: Switches
  readonly inputs: readonly string[]
  readonly texts?: readonly Input[]
  /** All of them, told already. */
  readonly problems: readonly Problem[]
  /** What an answer ends with that would be 0: 3 where part of the input was wrong, 4 where part is not modelled; both were told. */
  readonly exit: number
}

/** What `--as` and `--compat` say, and the single switches over them. */
export function switchesOf({ as, compat, ipBlock, hairpin, ownNode, hostNetwork, otherProtocols, sourcePort }: PolicyFlags): Switches {
  const told = { ipBlock, hairpin, ownNode, hostNetwork, otherProtocols, sourcePort }
  const given = Object.fromEntries(Object.entries(told).filter(([, value]) => value !== undefined))
  return { ...switchesFor(compat ?? as ?? 'api'), ...given }
}

/** Nothing has been said of it yet. @param filename in place of the flag's: one side of a comparison @param readings kept for edits of the state */
export async function readPolicies(flags: PolicyFlags, io: Io, filename: readonly string[] = flags.filename, readings?: Readings): Promise<ReadPolicies> {
  const { inputs, problems } = await readInputs(filename, flags.recursive, io)
  const read = readPolicyState(inputs, { upToFaults: switchesOf(flags).as === 'np-guard', ...(readings === undefined ? {} : { readings }) })
  const state: PolicyState = flags.enforced && read.state.engine.kind === 'none' ? { ...read.state, engine: { kind: 'unknown' } } : read.state
  return { state, problems: [...problems, ...read.problems], inputs: inputs.map(({ file }) => file), texts: inputs }
}

/**
 * Everything wrong is said at once. undefined: a policy is wrong, or a file is not there, and there is no answer. What else is wrong (a pod that
 * cannot be read) leaves an answer of the rest.
 */
export async function loadPolicyState(flags: PolicyFlags, io: Io): Promise<LoadedPolicies | undefined> {
  return worldOf(await readPolicies(flags, io), flags, io)
}

/** The same of a state that is read already, or was edited. @param told before: said once */
export async function worldOf(
  { state, problems, inputs, texts }: ReadPolicies,
  flags: PolicyFlags,
  io: Io,
  told: readonly Problem[] = [],
): Promise<LoadedPolicies | undefined> {
  const switches = switchesOf(flags)
  const read = readPolicyWorld(state, switches)
  const all = [...problems, ...read.problems]
  const refusals = flags.compat === undefined ? [] : npGuardRefusals(read.world)
  const known = new Set(told.map(formatProblem))
  await report(
    [...all, ...refusals].filter((problem) => !known.has(formatProblem(problem))),
    io,
  )
  if (refusals.length > 0 || leavesNoAnswer(state, problems, read.problems)) return undefined
  const given = texts === undefined ? {} : { texts }
  return { state, world: read.world, switches, inputs, ...given, problems: all, exit: flags.compat === undefined ? exitOf(state, all) : EXIT_OK }
}

/** Beside what other engines decide an answer is not the whole one. */
function exitOf({ foreign }: PolicyState, problems: readonly Problem[]): number {
  if (hasErrors(problems)) return EXIT_BAD_INPUT
  return foreign ? EXIT_UNKNOWN : EXIT_OK
}

/** A policy is wrong, a file was not there or no text (then there is no line), or of all that was given nothing could be read. */
function leavesNoAnswer({ objects, refused }: PolicyState, problems: readonly Problem[], ofPolicies: readonly Problem[]): boolean {
  const isError = ({ severity }: Problem): boolean => severity === 'error'
  return (
    refused.length > 0 ||
    problems.some((problem) => isError(problem) && problem.object === '' && problem.line === 0) ||
    ofPolicies.some((problem) => isError(problem) && isPolicyLabel(problem.object)) ||
    (objects.length === 0 && problems.some(isError))
  )
}
