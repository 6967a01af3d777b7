/** `netsim policy explain`: reads the manifests, asks the pair or all of them, prints why. Loaded when it is called. */
import { isTranslated } from '../analysis/policy-path-ends.js'
import type { Problem } from '../base/problem.js'
import { isEndFault, wholeEnds, type EndFault } from '../policy/assert/assertion-ends.js'
import { askedPort, splitTarget, type AskedPort } from '../policy/assert/assertions-file.js'
import { askedOf } from '../policy/assert/assertions.js'
import { parseRange } from '../policy/address-range.js'
import { ConnectionSet } from '../policy/connections.js'
import { EndClasses } from '../policy/reach/end-classes.js'
import { endsNamed } from '../policy/ends.js'
import { explainLines } from '../policy/explain/explain-line.js'
import { explanationDocument } from '../policy/explain/explain-document.js'
import { explain, type EndNames, type Explanation } from '../policy/explain/explain.js'
import { endWords } from '../policy/explain/explain-terms.js'
import { ingressPairs } from '../policy/explain/explain-ingress.js'
import { npGuardExplanation, type NpGuardPair } from '../policy/explain/explain-np-guard.js'
import { exposureAfter } from '../policy/exposure/exposure-forms.js'
import { askedPairs, withController, type ListOptions } from '../policy/list/list.js'
import type { End, PolicyWorld } from '../policy/model.js'
import { namedRanges } from '../policy/outside.js'
import { workloadName } from '../policy/peer-name.js'
import { EXIT_BAD_INPUT, EXIT_NOT_DELIVERED, UsageError } from './exit.js'
import type { Io } from './io.js'
import { safe } from './load-network.js'
import { explanationText } from './policy-explain-text.js'
import type { PolicyExplainFlags } from './policy-explain-verb.js'
import { loadPolicyState, type LoadedPolicies } from './policy-input.js'
import { tell } from './question.js'
import { wantsAscii, wantsColor, widthOf } from './terminal.js'

interface Answer {
  readonly explanation: Explanation
  readonly names: EndNames
}

/** The exit status. */
export async function policyExplain(source: string | undefined, destination: string | undefined, flags: PolicyExplainFlags, io: Io): Promise<number> {
  if (source !== undefined && destination === undefined) throw new UsageError('DST is missing: name both ends, or none for every pair')
  const loaded = await loadPolicyState(flags, io)
  if (loaded === undefined) return EXIT_BAD_INPUT
  const { noEngine } = loaded.world
  if (noEngine !== undefined)
    await io.err(`warning: ${safe(noEngine)}: the policies of the input have no effect, everything is open (--enforced: as if they had)\n`)
  if (source === undefined || destination === undefined) return explainAll(loaded, flags, io)
  if (isTranslated(loaded.state, source, destination)) {
    const { explainOnPath } = await import('./policy-path-command.js')
    return explainOnPath(loaded, { source, destination }, flags, io)
  }
  const answers = answersTo(loaded.world, { source, destination }, flags)
  if ('what' in answers) {
    await tell([{ severity: 'error', file: 'request', line: 0, object: '', ...answers }], io)
    return EXIT_BAD_INPUT
  }
  await io.out(printed(loaded.world, answers, flags, io))
  return exitOf(answers, flags, loaded.exit)
}

function exitOf(answers: readonly Answer[], { expect }: PolicyExplainFlags, exit: number): number {
  const verdicts = answers.map(({ explanation }) => explanation.verdict)
  const open = expect === 'allow' ? verdicts.every((verdict) => verdict === 'allowed') : verdicts.some((verdict) => verdict !== 'denied')
  const wanted = expect === 'deny' ? !open : open
  return wanted ? exit : EXIT_NOT_DELIVERED
}

/** One answer for all pods of a workload that are answered alike; a range outside in the pieces that policies tell apart. */
function answersTo(
  world: PolicyWorld,
  ends: { readonly source: string; readonly destination: string },
  flags: PolicyExplainFlags,
): readonly Answer[] | EndFault {
  const target = splitTarget(ends.destination)
  const sources = endsOf(world, ends.source, flags.namespace)
  const destinations = endsOf(world, target.end, flags.namespace)
  if (isEndFault(sources)) return sources
  if (isEndFault(destinations)) return destinations
  const ports = target.ports === undefined ? [] : target.ports.split(',').map(askedPort)
  const wrong = ports.findIndex((port) => port === undefined)
  if (wrong >= 0) return { what: `${JSON.stringify(target.ports)} is no port`, fix: 'A port is 1 to 65535, a range like 8000-8010, or a name.' }
  const isAlone = sources.length === 1 && destinations.length === 1
  const answers: Answer[] = []
  for (const source of sources)
    for (const destination of destinations) {
      if (source === destination && !isAlone) continue
      const asked = askedFor(destination, ports as readonly AskedPort[], flags)
      if ('what' in asked) return asked
      const names = { src: titleOf(source, ends.source), dst: titleOf(destination, target.end) }
      answers.push({ explanation: explain(world, { source, destination, names, ...asked }), names })
    }
  return merged(world, answers)
}

/** Names that only a network can tell (svc/…, hosts outside) are none here. */
function endsOf(world: PolicyWorld, text: string, namespace: string): readonly End[] | EndFault {
  const found = wholeEnds<Problem>(world, endsNamed(world, text, namespace))
  if ('what' in found || found.length === 1) return found
  // of pods that policies cannot tell apart two are asked: a workload may ask itself, which is not a pod that asks itself
  const classes = new EndClasses({ ...world, pods: [], nodes: [] }, [], namedRanges(world))
  const seen = new Map<number, number>()
  return found.filter((end) => {
    const { id } = classes.findOrMake(end)
    const count = (seen.get(id) ?? 0) + 1
    seen.set(id, count)
    return count <= 2
  })
}

interface Asked {
  readonly connection?: { readonly protocol: NonNullable<PolicyExplainFlags['proto']>; readonly port: number }
  readonly several?: ConnectionSet
}

function askedFor(destination: End, ports: readonly AskedPort[], { proto }: PolicyExplainFlags): Asked | EndFault {
  if (ports.length === 0 && proto === undefined) return {}
  const several = askedOf(ports, proto, destination)
  if (several.isEmpty) {
    const known = destination.kind === 'pod' ? destination.ports.flatMap(({ name }) => name ?? []) : []
    return { what: `${endWords(destination)} has no port of that name`, fix: known.length === 0 ? 'Its ports have no names.' : `It has ${known.join(', ')}.` }
  }
  const connection = several.witness()
  return connection !== undefined && ConnectionSet.of(connection.protocol, connection.port).equals(several) ? { connection } : { several }
}

/** The workload where it was named, and not one of its pods, or its address. */
function titleOf(end: End, asked: string): string {
  const isPod = end.kind !== 'pod' || end.name === asked.slice(asked.lastIndexOf('/') + 1) || parseRange(asked) !== undefined
  return isPod ? endWords(end) : workloadName(end)
}

/** Pods that are answered alike are one; of those that are not, each goes by its own name. Every range is answered by itself. */
function merged(world: PolicyWorld, answers: readonly Answer[]): readonly Answer[] {
  const groups = new Map<string, Answer[]>()
  for (const answer of answers) {
    const key = `${rangeText(answer.explanation.source)} ${rangeText(answer.explanation.destination)}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [answer])
    else group.push(answer)
  }
  return [...groups.values()].flatMap((group) => {
    const isAlike = group.every(({ explanation }) => explanation.allowed.equals(group[0].explanation.allowed))
    return isAlike ? group.slice(0, 1) : group.map((answer) => byOwnName(world, answer))
  })
}

function byOwnName(world: PolicyWorld, { explanation: { source, destination, connection, several } }: Answer): Answer {
  const names = { src: endWords(source), dst: endWords(destination) }
  const asked = connection === undefined ? (several === undefined ? {} : { several }) : { connection }
  return { names, explanation: explain(world, { source, destination, names, ...asked }) }
}

function rangeText(end: End): string {
  return end.kind === 'outside' ? endWords(end) : ''
}

function printed(world: PolicyWorld, answers: readonly Answer[], flags: PolicyExplainFlags, io: Io): string {
  if (flags.output === 'json') {
    const documents = answers.map(({ explanation, names }) => explanationDocument(world, explanation, names))
    return `${JSON.stringify(documents.length === 1 ? documents[0] : documents, null, 2)}\n`
  }
  if (flags.output === 'short') return answers.flatMap(({ explanation, names }) => explainLines(explanation, names).map((line) => `${safe(line)}\n`)).join('')
  const color = wantsColor(flags.color === false ? 'never' : flags.color, io)
  const page = { width: widthOf(io), color, ascii: wantsAscii(flags.ascii, io) }
  return answers.map(({ explanation, names }) => explanationText(explanation, names, page)).join('\n')
}

/** Every pair of the map, with and without a row; the ingress controller's last. */
async function explainAll(loaded: LoadedPolicies, flags: PolicyExplainFlags, io: Io): Promise<number> {
  const { world, state, exit } = loaded
  const { focus, focusPeer, direction, focusConn, only, expect } = flags
  const options: ListOptions = { focus, focusPeer, ...(direction === undefined ? {} : { direction }) }
  const fromOutside = ingressPairs(world, state, options)
  if (flags.compat === 'np-guard' && flags.output === undefined) {
    const pairs = [...askedPairs(world, options)].map(({ source, destination }): NpGuardPair => {
      return { source: source.end, destination: destination.end, src: source.peer.text, dst: destination.peer.text }
    })
    const asked = { ...(only === undefined ? {} : { only }), ...(focusConn === undefined ? {} : { connection: focusConn }) }
    const text = npGuardExplanation(fromOutside.length === 0 ? world : withController(world), [...pairs, ...fromOutside], asked)
    const through = focusConn === undefined ? {} : { through: ConnectionSet.of(focusConn.protocol, focusConn.port) }
    // of what is open alone, or closed, there is no exposure
    const exposure = flags.exposure && only === undefined ? exposureAfter(world, state, { ...options, ...through }) : ''
    // tabs are of the form
    await io.out((text + (text === '' || exposure === '' ? '' : '\n') + exposure).split('\t').map(safe).join('\t'))
    return exit
  }
  const asked = focusConn === undefined ? {} : { connection: focusConn }
  const teller = new PairTeller(flags, io)
  for (const { source, destination } of askedPairs(world, options)) {
    const names = { src: source.peer.text, dst: destination.peer.text }
    await teller.tell(world, { explanation: explain(world, { source: source.end, destination: destination.end, names, ...asked }), names })
  }
  const around = withController(world)
  for (const { source, destination, src, dst, open } of fromOutside) {
    const through = focusConn === undefined ? { several: open } : asked
    if (focusConn !== undefined && !open.has(focusConn)) continue
    await teller.tell(around, { explanation: explain(around, { source, destination, names: { src, dst }, ...through }), names: { src, dst } })
  }
  await teller.end()
  const met = expect === undefined || (expect === 'allow' ? teller.closed === 0 : teller.open === 0)
  return met ? exit : EXIT_NOT_DELIVERED
}

/** Prints pair by pair, so that the text of a large cluster is never in memory. */
class PairTeller {
  open = 0
  closed = 0
  private readonly flags: PolicyExplainFlags
  private readonly io: Io
  private readonly wanted: PolicyExplainFlags['only']

  constructor(flags: PolicyExplainFlags, io: Io) {
    this.flags = { ...flags, output: flags.output ?? 'short' }
    this.io = io
    this.wanted = flags.only
  }

  async tell(world: PolicyWorld, answer: Answer): Promise<void> {
    const isOpen = answer.explanation.verdict !== 'denied'
    if (this.wanted !== undefined && (this.wanted === 'allow') !== isOpen) return
    const isFirst = this.open + this.closed === 0
    if (isOpen) this.open++
    else this.closed++
    const text = printed(world, [answer], this.flags, this.io)
    if (this.flags.output !== 'json') return this.io.out((isFirst || this.flags.output === 'short' ? '' : '\n') + text)
    await this.io.out((isFirst ? '[\n' : ',\n') + text.trimEnd().replace(/^/gm, '  '))
  }

  async end(): Promise<void> {
    if (this.flags.output === 'json') await this.io.out(this.open + this.closed === 0 ? '[]\n' : '\n]\n')
  }
}
