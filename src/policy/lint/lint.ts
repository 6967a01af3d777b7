/**
 * `netsim policy lint`: what in a set of policies is probably not what its author meant. From a state and its world to a LintReport. What is told is
 * proven from the model wherever it can be: by form, for whatever pods there will be, or by the pods of the input, and then it says so.
 *
 *   text ─▶ NP0   selectors ─▶ NP1   ports ─▶ NP2   addresses ─▶ NP3   sums of policies ─▶ NP4   tiers ─▶ NP5   engine ─▶ NP6
 */
import { findingsInOrder, isWanted, reportFindings, type Finding, type FindingReport, type Wanted } from '../../base/finding.js'
import { holdsClassic } from '../dialects/classic.js'
import { addressFindings } from './address-findings.js'
import { LINT_CODES, type LintCode } from './codes.js'
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
  /** Of every severity. */
  readonly found: readonly Finding[]
}

export function lintPolicies(input: LintInput, options: LintOptions): Linted {
  const facts = new LintFacts(input)
  const found = findingsOf(facts, input, (code) => isWanted(code, options))
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

interface Looking {
  readonly codes: readonly LintCode[]
  readonly look: (facts: LintFacts, input: LintInput) => readonly Finding[]
}

const LOOKINGS: readonly Looking[] = [
  { codes: ['NP001', 'NP002', 'NP003', 'NP004', 'NP005', 'NP006'], look: textFindings },
  { codes: ['NP101', 'NP102', 'NP103', 'NP104', 'NP105', 'NP106', 'NP107'], look: selectorFindings },
  { codes: ['NP201', 'NP202', 'NP203', 'NP204'], look: portFindings },
  { codes: ['NP301', 'NP302', 'NP303', 'NP304', 'NP305', 'NP306', 'NP307'], look: addressFindings },
  { codes: ['NP401', 'NP402'], look: dnsFindings },
  { codes: ['NP403', 'NP404', 'NP405', 'NP406', 'NP407', 'NP408', 'NP410'], look: sumFindings },
  { codes: ['NP409', 'NP501', 'NP502'], look: orderFindings },
  { codes: ['NP601', 'NP602', 'NP603', 'NP604'], look: (facts, { world }) => engineFindings(facts, world.noEngine) },
]

/** A deny-all that another policy undoes adds nothing either: that is told once. */
function sumFindings(facts: LintFacts): readonly Finding[] {
  const effects = effectFindings(facts)
  const undone = new Set(effects.flatMap(({ code, evidence }) => (code === 'NP405' ? [evidence[0].object] : [])))
  return [...effects, ...redundancyFindings(facts).filter(({ code, evidence }) => code !== 'NP408' || !undone.has(evidence[0].object))]
}

/** Those of some codes: nothing else is looked for. */
export function lintFindings(input: LintInput, isWanted: (code: LintCode) => boolean): readonly Finding[] {
  return findingsOf(new LintFacts(input), input, isWanted)
}

function findingsOf(facts: LintFacts, input: LintInput, isWantedCode: (code: LintCode) => boolean): readonly Finding[] {
  const wanted = new Set<string>(LINT_CODES.filter(isWantedCode))
  const found = LOOKINGS.filter(({ codes }) => codes.some((code) => wanted.has(code))).flatMap(({ look }) => look(facts, input))
  return findingsInOrder(found.filter(({ code }) => wanted.has(code)))
}

function notJudged({ classes, policies, state }: LintFacts): readonly string[] {
  return [
    ...(policies.length > 0 && classes.length === 0 ? ['selectors, ports and DNS: the input has no pod and no workload'] : []),
    ...(holdsClassic(state) ? ["what profiles and policies of Calico's classic model mean"] : []),
    ...(state.complete ? [] : ['what part of the input that could not be read would change']),
  ]
}
