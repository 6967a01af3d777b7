/** What policies say of each way that a connection may go: each direction of the connection as its policies see it (policy-path.ts). */
import { formatPlace } from '../cluster/problem-list.js'
import { formatRange } from '../policy/address-range.js'
import { ConnectionSet } from '../policy/connections.js'
import type { DirectionMeaning } from '../policy/evaluate.js'
import { connectionText } from '../policy/explain/explain-line.js'
import { endWords } from '../policy/explain/explain-terms.js'
import { explain, type DirectedPart, type Explanation } from '../policy/explain/explain.js'
import { sameEnd } from '../policy/evaluate.js'
import type { Direction, End, PolicyWorld } from '../policy/model.js'
import type { PathBranch, PolicyPath, Seen, Translation } from './policy-path.js'

export interface ExplainedBranch {
  readonly branch: PathBranch
  readonly explanation: Explanation
  /** Of the ends as they were asked and found: `host/client`, `shop/web-0`. */
  readonly names: { readonly src: string; readonly dst: string }
}

/** @param world of the whole cluster, as it is or would be: pods of the path go by the labels that they have there */
export function explainPath(world: PolicyWorld, path: PolicyPath): readonly ExplainedBranch[] {
  return path.branches.map((traced) => {
    const branch = inWorld(world, traced)
    const dst = branch.server ?? branch.egress?.destination
    return { branch, explanation: explainBranch(world, branch), names: { src: path.source, dst: dst === undefined ? path.destination : endWords(dst) } }
  })
}

function inWorld(world: PolicyWorld, branch: PathBranch): PathBranch {
  const known = (end: End): End => {
    if (end.kind !== 'pod') return end
    const pod = world.pods.find(({ namespace, name }) => namespace === end.namespace && name === end.name)
    return pod === undefined ? end : { ...end, labels: pod.labels, ports: pod.ports, serviceAccount: pod.serviceAccount }
  }
  const seen = (one: Seen): Seen => ({ ...one, source: known(one.source), destination: known(one.destination) })
  const { egress, ingress } = branch
  return { ...branch, ...(egress === undefined ? {} : { egress: seen(egress) }), ...(ingress === undefined ? {} : { ingress: seen(ingress) }) }
}

/** Pods of the path that the world has no more. */
export function goneFrom({ pods }: PolicyWorld, { branches }: PolicyPath): readonly string[] {
  const ends = branches.flatMap(({ egress, ingress, server }) => [egress?.source, ingress?.source, ingress?.destination, server])
  const gone = ends.filter(
    (end) => end?.kind === 'pod' && !end.hostNetwork && !pods.some(({ namespace, name }) => namespace === end.namespace && name === end.name),
  )
  return [...new Set(gone.flatMap((end) => (end === undefined ? [] : [endWords(end)])))].sort()
}

function explainBranch(world: PolicyWorld, { egress, ingress, server, asked: sent }: PathBranch): Explanation {
  if (egress !== undefined && ingress !== undefined && isSameSight(egress, ingress)) return explainSeen(world, egress)
  const connection = (ingress ?? egress)?.connection ?? sent
  const asked = ConnectionSet.of(connection.protocol, connection.port)
  const [out, into] = [egress, ingress].map((seen) => (seen === undefined ? undefined : explainSeen(world, seen)))
  const source = egress?.source ?? ingress?.source ?? NOBODY
  const destination = server ?? ingress?.destination ?? egress?.destination ?? NOBODY
  const outPart = out?.parts[0].egress ?? notAsked('egress', endWords(source))
  const intoPart = into?.parts[0].ingress ?? notAsked('ingress', endWords(destination))
  const allowed = outPart.allowed && intoPart.allowed
  const assumptions = [...(out?.assumptions ?? []), ...(into?.assumptions ?? [])]
  return {
    source,
    destination,
    connection,
    allowed: allowed ? asked : ConnectionSet.none,
    verdict: allowed ? 'allowed' : 'denied',
    parts: [{ connections: asked, allowed, egress: outPart, ingress: intoPart }],
    egress: out?.egress ?? openMeaning('egress'),
    ingress: into?.ingress ?? openMeaning('ingress'),
    assumptions: [...new Map(assumptions.map((one) => [one.name, one])).values()],
  }
}

const NOBODY: End = { kind: 'node', name: '', labels: {}, addresses: [] }

function isSameSight(a: Seen, b: Seen): boolean {
  const same = (one: End, other: End): boolean => sameEnd(one, other) || JSON.stringify(keyOf(one)) === JSON.stringify(keyOf(other))
  return same(a.source, b.source) && same(a.destination, b.destination) && a.connection.port === b.connection.port
}

function keyOf(end: End): readonly string[] {
  const addresses = end.kind === 'outside' ? [end.range] : end.addresses
  return [end.kind, end.kind === 'outside' ? '' : end.name, ...addresses.map(({ first }) => String(first))]
}

/** A pod's packets that come back to it by a Service have left it: they are held like any other. */
function explainSeen(world: PolicyWorld, { source, destination, connection, hook }: Seen): Explanation {
  const isBack = hook !== '' && sameEnd(source, destination)
  return explain(isBack ? { ...world, switches: { ...world.switches, hairpin: 'governed' } } : world, { source, destination, connection })
}

const NO_POD = { kind: 'exempt', why: 'not-a-pod' } as const

function notAsked(direction: Direction, localName: string): DirectedPart {
  return { direction, localName, allowed: true, reason: NO_POD, steps: [], also: [], near: [] }
}

function openMeaning(direction: Direction): DirectionMeaning {
  const part = { connections: ConnectionSet.all, allowed: true, reason: NO_POD, passedBy: [] }
  return { direction, allowed: ConnectionSet.all, parts: [part], selecting: [] }
}

/** `DNAT 10.96.0.10:80 → 10.244.1.5:8080 on node-1: Service/shop/web (a.yaml:58), step 10` */
export function translationWords({ side, from, to, netns, step, rule }: Translation): string {
  const provenance = rule?.provenance
  const object = provenance?.object ?? (rule === undefined ? 'a known connection' : `${provenance?.by ?? 'a rule'}, ${rule.chain} rule ${rule.number}`)
  const place = provenance?.file === undefined ? '' : ` (${formatPlace({ file: provenance.file, line: provenance.line ?? 0 })})`
  return `${side === 'source' ? 'SNAT' : 'DNAT'} ${from} → ${to} on ${netns}: ${object}${place}, step ${step} of the trace`
}

/** `tools/curl → shop/web-0, TCP 8080 (node-1, FORWARD, step 13)` */
export function seenWords({ source, destination, connection, netns, hook, step }: Seen): string {
  const where = hook === '' ? '' : ` (${netns}, ${hook}, step ${step})`
  return `${seenEnd(source)} → ${seenEnd(destination)}, ${connectionText(connection)}${where}`
}

/** A node by the address that the packet has: an ipBlock sees no more of it. */
function seenEnd(end: End): string {
  const addresses = end.kind === 'node' ? end.addresses.map(formatRange) : []
  return addresses.length === 0 ? endWords(end) : `${endWords(end)} (${addresses.join(', ')})`
}

export interface PathDocument {
  readonly basis: PolicyPath['basis']
  readonly source: string
  readonly destination: string
  readonly probability: number
  readonly translations: readonly {
    readonly side: Translation['side']
    readonly from: string
    readonly to: string
    readonly netns: string
    readonly step: number
    readonly chain?: string
    readonly rule?: number
    readonly object?: string
    readonly file?: string
    readonly line?: number
  }[]
  readonly egress: SeenDocument | null
  readonly ingress: SeenDocument | null
  readonly lost?: PathBranch['lost']
}

export interface SeenDocument {
  readonly src: string
  readonly dst: string
  readonly proto: string
  readonly port: number
  readonly netns: string
  readonly hook: string
  readonly step: number
}

export function pathDocument({ basis, source, destination }: PolicyPath, { probability, translations, egress, ingress, lost }: PathBranch): PathDocument {
  return {
    basis,
    source,
    destination,
    probability,
    translations: translations.map(({ rule, ...one }) => ({
      ...one,
      ...(rule === undefined ? {} : { chain: rule.chain, rule: rule.number }),
      ...(rule?.provenance?.object === undefined ? {} : { object: rule.provenance.object }),
      ...(rule?.provenance?.file === undefined ? {} : { file: rule.provenance.file, line: rule.provenance.line ?? 0 }),
    })),
    egress: egress === undefined ? null : seenDocument(egress),
    ingress: ingress === undefined ? null : seenDocument(ingress),
    ...(lost === undefined ? {} : { lost }),
  }
}

function seenDocument({ source, destination, connection: { protocol, port }, netns, hook, step }: Seen): SeenDocument {
  return { src: endWords(source), dst: endWords(destination), proto: String(protocol).toLowerCase(), port, netns, hook, step }
}
