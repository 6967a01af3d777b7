/** What came of assertions, as a document: the shape of `netsim policy test -o json`. Stable: fields are added, never changed. */
import type { AssertionReport, AssertionResult, FailedProbe } from './assertions.js'
import type { Assertion, AskedPort } from './assertions-file.js'
import { connectionWords } from '../connection-words.js'
import { explanationDocument, protocolName, type ExplanationDocument } from '../explain/explain-document.js'
import { endWords } from '../explain/explain-terms.js'
import { nearWords } from '../explain/explain-words.js'
import type { PolicyWorld } from '../model.js'

export interface AssertionResultDocument {
  readonly name?: string
  readonly from: string
  readonly to: string
  /** As it was asked: 5432, "8000-8010", "http", a list; null: every port. */
  readonly port: number | string | readonly (number | string)[] | null
  readonly proto: string | null
  readonly expect: 'allow' | 'deny'
  /** mixed: some of what was asked goes one way, some the other. */
  readonly actual: 'allow' | 'deny' | 'mixed'
  readonly passed: boolean
  readonly control: boolean
  /** Pairs that were asked, and those of them that are not as expected. */
  readonly probes: number
  readonly failedProbes: number
  readonly file: string
  readonly line: number
  /** The first of the failed ones. */
  readonly failures: readonly FailureDocument[]
}

export interface FailureDocument {
  readonly src: string
  readonly dst: string
  /** What of the question is not as expected. */
  readonly conn: string
  readonly text: string
  /** Of one connection of these. */
  readonly explanation: ExplanationDocument | null
}

export interface AssertionReportDocument {
  readonly passed: number
  readonly failed: number
  readonly results: readonly AssertionResultDocument[]
  /** Why the denials that hold prove nothing; null: something that must be open is open. */
  readonly provesNothing: string | null
}

export function assertionsDocument(world: PolicyWorld, { results, provesNothing }: AssertionReport): AssertionReportDocument {
  const passed = results.filter((one) => one.passed).length
  return {
    passed,
    failed: results.length - passed,
    results: results.map((one) => resultDocument(world, one)),
    provesNothing: provesNothing === undefined ? null : PROVES_NOTHING[provesNothing],
  }
}

const PROVES_NOTHING = {
  'no-control': 'every assertion is a denial: add one that must be open (control: true), or a typing error in a name proves as much',
  'control-closed': 'a control is closed: what is denied beside it may be denied for another reason',
} as const

function resultDocument(world: PolicyWorld, result: AssertionResult): AssertionResultDocument {
  const { assertion, passed, probes, failedProbes } = result
  const { name, from, to, ports, proto, expect, control, file, line } = assertion
  const failures = result.failures.map((failure) => failureDocument(world, assertion, failure))
  return {
    ...(name === undefined ? {} : { name }),
    from,
    to,
    port: portDocument(ports),
    proto: proto === undefined ? (ports.length === 0 ? null : 'tcp') : protocolName(proto),
    expect,
    actual: result.mixed ? 'mixed' : passed ? expect : expect === 'allow' ? 'deny' : 'allow',
    passed,
    control,
    probes,
    failedProbes,
    file,
    line,
    failures,
  }
}

function portDocument(ports: readonly AskedPort[]): AssertionResultDocument['port'] {
  const texts = ports.map((port) => (port.kind === 'name' ? port.name : port.first === port.last ? port.first : `${port.first}-${port.last}`))
  return texts.length === 0 ? null : texts.length === 1 ? texts[0] : texts
}

function failureDocument(
  world: PolicyWorld,
  { expect }: Assertion,
  { source, destination, connections, missingPort, explanation }: FailedProbe,
): FailureDocument {
  const names = { src: endWords(source), dst: endWords(destination) }
  const document = explanation === undefined ? null : explanationDocument(world, explanation, names)
  if (document === null) return { ...names, conn: connectionWords(connections), text: `${names.dst} has no port named ${missingPort ?? ''}`, explanation: null }
  if (expect === 'deny') {
    return { ...names, conn: connectionWords(connections), text: `egress: ${document.egress.text}; ingress: ${document.ingress.text}`, explanation: document }
  }
  // what is closed is told by the direction that closes it, and by the rule that nearly opened it
  const directions = (['egress', 'ingress'] as const).filter((direction) => !document[direction].allowed)
  const near = directions.flatMap((direction) => explanation?.parts.flatMap((part) => part[direction].near) ?? [])
  const nearest = near.length === 0 ? '' : `; nearest: ${nearWords(near[0])}`
  const text = directions.map((direction) => `${direction}: ${document[direction].text}`).join('; ') + nearest
  return { ...names, conn: connectionWords(connections), text, explanation: document }
}
