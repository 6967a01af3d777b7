/** `netsim policy explain`: reads the manifests, asks the pair or all of them, prints why. Loaded when it is called. */
import type { Problem } from '../base/problem.js'
import { isEndFault, wholeEnds, type EndFault } from '../policy/assertion-ends.js'
import { askedPort, splitTarget, type AskedPort } from '../policy/assertions-file.js'
import { askedOf } from '../policy/assertions.js'
import { ConnectionSet } from '../policy/connections.js'
import { EndClasses } from '../policy/end-classes.js'
import { endsNamed } from '../policy/ends.js'
import { explainLines } from '../policy/explain-line.js'
import { explanationDocument, type EndNames } from '../policy/explain-document.js'
import { explain, type Explanation } from '../policy/explain.js'
import { endWords } from '../policy/explain-terms.js'
import { ingressPairs } from '../policy/explain-ingress.js'
import { npGuardExplanation, type NpGuardPair } from '../policy/explain-np-guard.js'
import { askedPairs, withController, type ListOptions } from '../policy/list.js'
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
      const explanation = explain(world, { source, destination, ...asked })
      answers.push({ explanation, names: { src: titleOf(source, sources), dst: titleOf(destination, destinations) } })
    }
  return merged(answers)
}

/** A seam: names that only a network can tell (svc/…, hosts outside) are none here. */
function endsOf(world: PolicyWorld, text: string, namespace: string): readonly End[] | EndFault {
  const found = wholeEnds<Problem>(world, endsNamed(world, text, namespace))
  if ('what' in found || found.length === 1) return found
  // of pods that policies cannot tell apart one is asked
  const classes = new EndClasses({ ...world, pods: [], nodes: [] }, [], namedRanges(world))
  return [...new Map(found.map((end) => [classes.findOrMake(end).id, end])).values()]
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

/** The workload where several pods are meant. */
function titleOf(end: End, all: readonly End[]): string {
  return all.length > 1 && end.kind === 'pod' ? workloadName(end) : endWords(end)
}

/** Pods that are answered alike are one; of those that are not, each goes by its own name. */
function merged(answers: readonly Answer[]): readonly Answer[] {
  const kinds = new Set(answers.map(({ explanation: { source, destination, allowed } }) => `${source.kind} ${destination.kind} ${allowed.key}`))
  if (kinds.size === 1 && answers.every(({ explanation: { source, destination } }) => source.kind !== 'outside' && destination.kind !== 'outside'))
    return answers.slice(0, 1)
  return answers.map(({ explanation }) => ({ explanation, names: { src: endWords(explanation.source), dst: endWords(explanation.destination) } }))
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

async function explainAll({ world, state, exit }: LoadedPolicies, flags: PolicyExplainFlags, io: Io): Promise<number> {
  const { focus, focusPeer, direction, focusConn, only, compat } = flags
  const options: ListOptions = { focus, focusPeer, ...(direction === undefined ? {} : { direction }) }
  if (compat === 'np-guard' && flags.output === undefined) {
    const pairs = [...askedPairs(world, options)].map(({ source, destination }): NpGuardPair => {
      return { source: source.end, destination: destination.end, src: source.peer.text, dst: destination.peer.text }
    })
    const more = ingressPairs(world, state, options)
    const asked = { ...(only === undefined ? {} : { only }), ...(focusConn === undefined ? {} : { connection: focusConn }) }
    await io.out(npGuardExplanation(more.length === 0 ? world : withController(world), [...pairs, ...more], asked))
    return exit
  }
  const documents: unknown[] = []
  let open = 0
  let closed = 0
  for (const { source, destination } of askedPairs(world, options)) {
    const explanation = explain(world, { source: source.end, destination: destination.end, ...(focusConn === undefined ? {} : { connection: focusConn }) })
    const isOpen = explanation.verdict !== 'denied'
    if ((only === 'allow' && !isOpen) || (only === 'deny' && isOpen)) continue
    if (isOpen) open++
    else closed++
    const names = { src: source.peer.text, dst: destination.peer.text }
    if (flags.output === 'json') documents.push(explanationDocument(world, explanation, names))
    else await io.out(printed(world, [{ explanation, names }], { ...flags, output: flags.output ?? 'short' }, io) + (flags.output === 'text' ? '\n' : ''))
  }
  if (flags.output === 'json') await io.out(`${JSON.stringify(documents, null, 2)}\n`)
  const met = flags.expect === undefined || (flags.expect === 'allow' ? closed === 0 : open === 0)
  return met ? exit : EXIT_NOT_DELIVERED
}
