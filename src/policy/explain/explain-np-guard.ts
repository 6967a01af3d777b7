/**
 * Why connections go as they do, in the form that readers of netpol-analyzer know (`list --explain`): pair by pair, allowed and denied
 * connections by their reasons, and a tail of the pairs that nothing but the default speaks of.
 *
 * Of NetworkPolicies it names, of each policy, the first rule that allows a connection, or why none does; of the others the one rule that decides.
 */
import { ConnectionSet, PORT_MAX, PORT_MIN, type Connection } from '../connections.js'
import { evaluatePair, portsAt, type DirectionMeaning, type Side } from '../evaluate.js'
import { readRules, sidesOf, type RuleReading } from './explain.js'
import type { Direction, End, Policy, PolicyWorld } from '../model.js'

/** Kinds in the order in which they are told; those of one number by name. */
const LAYERS = { AdminNetworkPolicy: 3, NetworkPolicy: 2, Ingress: 2, Route: 2, BaselineAdminNetworkPolicy: 1, default: 0 } as const
type ReasonKind = keyof typeof LAYERS

interface ReasonText {
  readonly kind: ReasonKind
  readonly text: string
}

/** Connections of one direction that go the same way for the same reasons. */
export interface ReasonedPiece {
  readonly connections: ConnectionSet
  readonly allowed: boolean
  readonly reasons: readonly ReasonText[]
}

export interface NpGuardPair {
  readonly source: End
  readonly destination: End
  readonly src: string
  readonly dst: string
  /** What Ingresses and Routes open from the ingress controller, with their reasons; together they are every connection. */
  readonly exposed?: readonly ReasonedPiece[]
}

export interface NpGuardOptions {
  readonly only?: 'allow' | 'deny'
  readonly connection?: Connection
}

const DEFAULT_TEXT = 'the system default (Allow all)'
const DEFAULT: readonly ReasonText[] = [{ kind: 'default', text: DEFAULT_TEXT }]
const NAMES: Readonly<Record<Direction, string>> = { egress: 'Egress', ingress: 'Ingress' }

interface Reasoned {
  readonly pair: NpGuardPair
  readonly allowed: readonly Told[]
  readonly denied: readonly Told[]
  readonly onlyDefault: boolean
}

interface Told {
  readonly connections: ConnectionSet
  readonly reasons: string
}

/** @param pairs in any order; told by source, then by destination */
export function npGuardExplanation(world: PolicyWorld, pairs: readonly NpGuardPair[], options: NpGuardOptions): string {
  const told = [...pairs]
    .sort((a, b) => compare(a.src, b.src) || compare(a.dst, b.dst))
    .map((pair) => reasoned(world, pair, options))
    .filter((one) => isWanted(one, options))
  const specific = told.filter(({ onlyDefault }) => !onlyDefault)
  const byDefault = told.filter(({ onlyDefault }) => onlyDefault)
  return (
    (specific.length === 0 ? '' : heading('Specific connections and their reasons') + specific.map(pairText).join('')) +
    (byDefault.length === 0 ? '' : heading(`All Connections due to ${DEFAULT_TEXT}`) + byDefault.map(({ pair }) => `${pair.src} => ${pair.dst}\n`).join(''))
  )
}

/** Byte order. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function isWanted({ pair, allowed, denied }: Reasoned, { only, connection }: NpGuardOptions): boolean {
  if (only === 'allow') return allowed.length > 0
  // what is open by an Ingress is told all the same
  if (only === 'deny' && pair.exposed !== undefined && connection === undefined) return true
  if (only === 'deny') return connection === undefined ? allowed.length === 0 : denied.length > 0
  return true
}

function reasoned(world: PolicyWorld, pair: NpGuardPair, { connection }: NpGuardOptions): Reasoned {
  const meaning = evaluatePair(world, pair.source, pair.destination)
  const sides = sidesOf(world, pair)
  const egress = directionPieces(world, { side: sides.egress, meaning: meaning.egress, local: pair.src, remote: pair.dst })
  const own = directionPieces(world, { side: sides.ingress, meaning: meaning.ingress, local: pair.dst, remote: pair.src })
  const ingress = pair.exposed === undefined ? own : joined(pair.exposed, own.map(withoutDefault))
  const asked = connection === undefined ? ConnectionSet.transport : ConnectionSet.of(connection.protocol, connection.port)
  const allowed = new Map<string, ConnectionSet>()
  const denied = new Map<string, ConnectionSet>()
  for (const out of egress)
    for (const into of ingress) {
      const connections = out.connections.intersect(into.connections).intersect(asked)
      if (connections.isEmpty) continue
      const reasons = reasonsText(out, into)
      const group = out.allowed && into.allowed ? allowed : denied
      group.set(reasons, (group.get(reasons) ?? ConnectionSet.none).union(connections))
    }
  const onlyDefault = connection === undefined && [...egress, ...ingress].every(isDefault)
  return { pair, allowed: tellings(allowed), denied: tellings(denied), onlyDefault }
}

function tellings(groups: ReadonlyMap<string, ConnectionSet>): readonly Told[] {
  return [...groups].map(([reasons, connections]) => ({ reasons, connections })).sort((a, b) => compare(portsText(a.connections), portsText(b.connections)))
}

function isDefault({ reasons }: ReasonedPiece): boolean {
  return reasons.length === 1 && reasons[0].kind === 'default'
}

function withoutDefault(piece: ReasonedPiece): ReasonedPiece {
  return isDefault(piece) ? { ...piece, reasons: [] } : piece
}

/** Both must let them through; the reasons of both are told. */
function joined(a: readonly ReasonedPiece[], b: readonly ReasonedPiece[]): readonly ReasonedPiece[] {
  return a.flatMap((one) =>
    b.flatMap((two): ReasonedPiece[] => {
      const connections = one.connections.intersect(two.connections)
      return connections.isEmpty ? [] : [{ connections, allowed: one.allowed && two.allowed, reasons: [...one.reasons, ...two.reasons] }]
    }),
  )
}

/** One of them must let them through; those that do have the word, and where none does all of them. */
export function united(a: readonly ReasonedPiece[], b: readonly ReasonedPiece[]): readonly ReasonedPiece[] {
  return a.flatMap((one) =>
    b.flatMap((two): ReasonedPiece[] => {
      const connections = one.connections.intersect(two.connections)
      if (connections.isEmpty) return []
      const reasons = one.allowed === two.allowed ? [...one.reasons, ...two.reasons] : one.allowed ? one.reasons : two.reasons
      return [{ connections, allowed: one.allowed || two.allowed, reasons }]
    }),
  )
}

interface DirectionAsked {
  readonly side: Side
  readonly meaning: DirectionMeaning
  /** Names of the selected end and of the other one. */
  readonly local: string
  readonly remote: string
}

function directionPieces(world: PolicyWorld, asked: DirectionAsked): readonly ReasonedPiece[] {
  const { side, meaning } = asked
  const rules = readRules(world, side, meaning.selecting)
  const pieces: ReasonedPiece[] = []
  let open: readonly ReasonedPiece[] = [{ connections: ConnectionSet.transport, allowed: true, reasons: [] }]
  open = open.flatMap((one) =>
    byFirstRule(
      one,
      rules.filter(({ policy }) => policy.kind === 'AdminNetworkPolicy'),
      { asked, pieces },
    ),
  )
  const isolating = meaning.selecting.filter(({ kind }) => kind === 'NetworkPolicy')
  if (isolating.length > 0) {
    const rest = open.flatMap((one) => byNetworkPolicies(one, isolating, { asked, rules }))
    return isSilent([...pieces, ...rest], open, rules) ? [...pieces, ...rest].map(withoutDenial) : [...pieces, ...rest]
  }
  open = open.flatMap((one) =>
    byFirstRule(
      one,
      rules.filter(({ policy }) => policy.kind === 'BaselineAdminNetworkPolicy'),
      { asked, pieces },
    ),
  )
  return [...pieces, ...open.map((one) => ({ ...one, reasons: [...one.reasons, ...DEFAULT] }))]
}

/**
 * A denial has no reasons where AdminNetworkPolicies name some of the connections between the ends, and NetworkPolicies then open none: what
 * netpol-analyzer unites with the empty set is told without that set's reasons.
 */
function isSilent(pieces: readonly ReasonedPiece[], open: readonly ReasonedPiece[], rules: readonly RuleReading[]): boolean {
  const named = rules.filter(({ policy, named: set }) => policy.kind === 'AdminNetworkPolicy' && set.meets(ConnectionSet.transport))
  if (named.length === 0 || named.every(({ named: set }) => set.covers(ConnectionSet.transport))) return false
  const opened = rules.filter(({ policy }) => policy.kind === 'NetworkPolicy').map(({ named: set }) => set)
  const denied = pieces
    .filter(({ allowed, reasons }) => !allowed && reasons.every(({ kind }) => kind === 'AdminNetworkPolicy'))
    .map(({ connections }) => connections)
  return open.length > 0 && ConnectionSet.union(opened).intersect(ConnectionSet.transport).minus(ConnectionSet.union(denied)).isEmpty
}

function withoutDenial(piece: ReasonedPiece): ReasonedPiece {
  return piece.allowed ? piece : { ...piece, reasons: [] }
}

const VERBS = { allow: 'allows', deny: 'denies', pass: 'passes', log: 'logs' } as const

interface Deciding {
  readonly asked: DirectionAsked
  /** What is decided is put here. */
  readonly pieces: ReasonedPiece[]
}

/** @returns what goes on */
function byFirstRule(piece: ReasonedPiece, rules: readonly RuleReading[], { asked, pieces }: Deciding): readonly ReasonedPiece[] {
  let left = piece.connections
  const onwards: ReasonedPiece[] = []
  for (const { policy, rule, named } of rules) {
    const connections = named.intersect(left)
    if (connections.isEmpty || rule.action === 'log') continue
    left = left.minus(connections)
    const text = `${titleOf(policy)} ${VERBS[rule.action]} connections by ${NAMES[asked.side.direction]} rule ${rule.name ?? `#${rule.index + 1}`}`
    const reasons = [...piece.reasons, { kind: policy.kind as ReasonKind, text }]
    if (rule.action === 'pass') onwards.push({ connections, allowed: true, reasons })
    else pieces.push({ connections, allowed: rule.action === 'allow', reasons })
  }
  return left.isEmpty ? onwards : [...onwards, { ...piece, connections: left }]
}

function titleOf({ kind, namespace, name }: Policy): string {
  return `${kind} '${namespace === '' ? name : `${namespace}/${name}`}'`
}

/** Where a policy allows, those that do not are silent; where none does, each says why. */
function byNetworkPolicies(
  piece: ReasonedPiece,
  policies: readonly Policy[],
  { asked, rules }: { readonly asked: DirectionAsked; readonly rules: readonly RuleReading[] },
): readonly ReasonedPiece[] {
  const start: ReasonedPiece = { connections: piece.connections, allowed: false, reasons: [] }
  const reasoned = policies.reduce<readonly ReasonedPiece[]>(
    (all, policy) =>
      united(
        all,
        policyPieces(
          policy,
          asked,
          rules.filter((one) => one.policy === policy),
        ),
      ),
    [start],
  )
  return reasoned.map((one) => ({ ...one, reasons: [...piece.reasons, ...one.reasons] }))
}

function policyPieces(policy: Policy, { side, local, remote }: DirectionAsked, rules: readonly RuleReading[]): readonly ReasonedPiece[] {
  const name = NAMES[side.direction]
  const pieces: ReasonedPiece[] = []
  let left = ConnectionSet.transport
  for (const { rule, named } of rules) {
    const connections = named.intersect(left)
    if (connections.isEmpty) continue
    left = left.minus(connections)
    pieces.push({
      connections,
      allowed: true,
      reasons: [{ kind: 'NetworkPolicy', text: `${titleOf(policy)} allows connections by ${name} rule #${rule.index + 1}` }],
    })
  }
  if (left.isEmpty) return pieces
  const text = `${titleOf(policy)} selects ${local}, ${missWords(side, { rules, name, remote })}`
  return [...pieces, { connections: left, allowed: false, reasons: [{ kind: 'NetworkPolicy', text }] }]
}

/** The first rule whose peers match is the one that is told. */
function missWords(side: Side, { rules, name, remote }: { readonly rules: readonly RuleReading[]; readonly name: string; readonly remote: string }): string {
  const near = rules.find(({ peerMatches }) => peerMatches)
  if (near === undefined) return `but ${remote} is not allowed by any ${name} rule${rules.length === 0 ? ' (no rules defined)' : ''}`
  const destination = side.direction === 'ingress' ? side.local : side.remote
  const why = portsAt(near.rule.ports, destination).isEmpty
    ? 'but named ports of the rule have no match in the configuration of the destination peer'
    : 'but the protocols and ports do not match'
  return `and ${name} rule #${near.rule.index + 1} selects ${remote}, ${why}`
}

function reasonsText(egress: ReasonedPiece, ingress: ReasonedPiece): string {
  if (isDefault(egress) && isDefault(ingress)) return ` due to ${DEFAULT_TEXT}\n`
  return ` due to the following policies and rules:\n${directionText('Egress', egress)}${directionText('Ingress', ingress)}`
}

function directionText(name: string, piece: ReasonedPiece): string {
  if (piece.reasons.length === 0) return ''
  const result = `\t\t${name} (${piece.allowed ? 'Allowed' : 'Denied'})`
  if (isDefault(piece)) return `${result} due to ${DEFAULT_TEXT}\n`
  const kinds = [...new Set(piece.reasons.map(({ kind }) => kind))].sort((a, b) => LAYERS[b] - LAYERS[a] || compare(a, b))
  const lists = kinds.map((kind) => kindText(kind, [...new Set(piece.reasons.filter((one) => one.kind === kind).map(({ text }) => text))].sort(compare)))
  return `${[result, ...lists].join('\n')}\n`
}

function kindText(kind: ReasonKind, texts: readonly string[]): string {
  return texts.length === 1 ? `\t\t\t${texts[0]}` : `\t\t\t${kind} list:\n${texts.map((text) => `\t\t\t\t- ${text}\n`).join('')}`
}

const RULER = '-'.repeat(160)

function heading(text: string): string {
  const line = '#'.repeat(text.length + 4)
  return `\n${line}\n# ${text} #\n${line}\n`
}

function pairText({ pair, allowed, denied }: Reasoned): string {
  return `${RULER}\nConnections between ${pair.src} => ${pair.dst}:\n\n${sectionText('Allowed', allowed)}${sectionText('Denied', denied)}`
}

function sectionText(word: string, told: readonly Told[]): string {
  if (told.length === 0) return ''
  return `${word} connections:\n${told.map(({ connections, reasons }) => `\t${word} ${portsText(connections)}${reasons}\n`).join('')}`
}

function portsText(set: ConnectionSet): string {
  return (['TCP', 'UDP', 'SCTP'] as const)
    .map((protocol) => [protocol, set.ranges(protocol)] as const)
    .filter(([, ranges]) => ranges.length > 0)
    .map(([protocol, ranges]) => {
      if (ranges.length === 1 && ranges[0][0] === PORT_MIN && ranges[0][1] === PORT_MAX) return protocol
      return `${protocol}:[${ranges.map(([first, last]) => (first === last ? String(first) : `${first}-${last}`)).join(',')}]`
    })
    .join(', ')
}
