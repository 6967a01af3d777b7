/**
 * `netsim policy lint`: what in a set of policies is probably not what its author meant. From a state and its world to a LintReport. What is told is
 * proven from the model wherever it can be: by form, for whatever pods there will be, or by the pods of the input, and then it says so.
 *
 *   text ─▶ NP0   selectors ─▶ NP1   ports ─▶ NP2   addresses ─▶ NP3   sums of policies ─▶ NP4   tiers ─▶ NP5   engine ─▶ NP6
 */
import { findingsInOrder, reportFindings, type Finding, type FindingReport, type Wanted } from '../../base/finding.js'
import { addressFindings } from './address-findings.js'
import { dnsFindings } from './dns-findings.js'
import { effectFindings } from './effect-findings.js'
import { engineFindings } from './engine-findings.js'
import { LintFacts, type LintInput } from './facts.js'
import { orderFindings } from './order-findings.js'
import { portFindings } from './port-findings.js'
import { redundancyFindings } from './redundancy-findings.js'
import { selectorFindings } from './selector-findings.js'
import { textFindings } from './text-findings.js'

export interface LintReport extends FindingReport {
  readonly apiVersion: 'netsim/v1'
  readonly kind: 'PolicyFindings'
  readonly metadata: LintMetadata
}

export interface LintMetadata {
  readonly tool: string
  readonly inputs: readonly string[]
  /** The switches' name. */
  readonly as: string
  readonly policies: number
  readonly namespaces: number
  /** With those that workloads would have. */
  readonly pods: number
}

export interface LintOptions extends Wanted {
  readonly tool: string
  readonly inputs: readonly string[]
}

export interface Linted {
  readonly report: LintReport
  /** All that was found, whatever was asked to be told. */
  readonly found: readonly Finding[]
}

export function lintPolicies(input: LintInput, options: LintOptions): Linted {
  const facts = new LintFacts(input)
  const found = findingsInOrder(allFindings(facts, input))
  const { world } = facts
  const report: LintReport = {
    apiVersion: 'netsim/v1',
    kind: 'PolicyFindings',
    metadata: {
      tool: options.tool,
      inputs: options.inputs,
      as: world.switches.as,
      policies: facts.policies.length,
      namespaces: world.namespaces.size,
      pods: world.pods.length,
    },
    ...reportFindings(found, options),
    notJudged: notJudged(facts),
  }
  return { report, found }
}

function allFindings(facts: LintFacts, { world }: LintInput): readonly Finding[] {
  const found = [
    ...textFindings(facts),
    ...selectorFindings(facts),
    ...portFindings(facts),
    ...addressFindings(facts),
    ...dnsFindings(facts),
    ...redundancyFindings(facts),
    ...effectFindings(facts),
    ...orderFindings(facts),
    ...engineFindings(facts, world.noEngine),
  ]
  // a deny-all that another policy undoes adds nothing either
  const undone = new Set(found.flatMap(({ code, evidence }) => (code === 'NP405' ? [evidence[0].object] : [])))
  return found.filter(({ code, evidence }) => code !== 'NP408' || !undone.has(evidence[0].object))
}

function notJudged({ classes, policies, state }: LintFacts): readonly string[] {
  return [
    ...(policies.length > 0 && classes.length === 0 ? ['selectors, ports and DNS: the input has no pod and no workload'] : []),
    ...(state.complete ? [] : ['what part of the input that could not be read would change']),
  ]
}
