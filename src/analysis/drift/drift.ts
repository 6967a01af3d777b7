/**
 * `netsim drift`: what the agents of a node should have programmed, against what a dump of the node holds. From a network, rendered from the cluster's
 * objects, and the dumps of some of its nodes to a DriftReport.
 *
 *   Dataplane that is rendered ─┐
 *                               ├─▶ names aligned ─▶ differences ─▶ by cause ─▶ each asked of the network with and without ─▶ findings
 *   Dataplane of the dump ──────┘
 */
import { findingsInOrder, isWanted, reportFindings, type Evidence, type Severity, type Wanted } from '../../base/finding.js'
import { formatCidr, parseCidr } from '../../base/cidr.js'
import { DUMP, type CollectedNode } from '../../collected/collected-node.js'
import type { Dataplane } from '../../dataplane/dataplane.js'
import type { Network } from '../../network/network.js'
import { align, type AlignInput } from './align.js'
import { driftCodeInfo } from './catalogue.js'
import type { DriftCode } from './codes.js'
import { differencesOf } from './compare.js'
import type { Difference, DriftView, Focus } from './difference.js'
import { dumpFile, type DumpPart } from './dump-file.js'
import { effectText, Prover, shortened } from './effect.js'
import type { DriftFinding, DriftNodeDocument, DriftReport, ShownDocument, TrafficDocument } from './finding.js'
import { flowsOf } from './flows.js'
import { gatheredOf, notGathered } from './gathered.js'
import { agentsBackend } from './iptables-backends.js'
import { NodeFacts } from './node-facts.js'
import { translate } from './translate.js'
import { unjudgedOf, type Unjudged } from './unjudged.js'

/** A node as it is. */
export interface DriftInput {
  /** As the cluster calls it. */
  readonly name: string
  readonly dataplane: Dataplane
  /** Where the Dataplane came from, with what else was found there. */
  readonly collected?: CollectedNode
}

export interface DriftOptions extends Wanted {
  readonly seed: number
  readonly only: readonly DriftCode[]
  readonly skip: readonly DriftCode[]
  readonly tool: string
  readonly inputs: readonly string[]
  /** What the cluster was taken from beside them (told-by-dumps.ts). */
  readonly told?: readonly string[]
}

/** Everything is told, an effect of each is asked for: what tests and libraries want mostly. */
export const DRIFT_DEFAULTS: DriftOptions = { seed: 1, severity: 'info', only: [], skip: [], tool: 'netsim', inputs: [] }

/** More causes than these on one node are not traced one by one; of a node of many things fewer, since each time its kernel is made anew. */
const MOST_PROVEN = 60
const LEAST_PROVEN = 3
const MOST_THINGS_PROVEN = 800_000
/** More that change nothing by themselves are not tried together. */
const MOST_TOGETHER = 20
const MOST_NOT_JUDGED = 12

/** @param network as all agents would have it (host-facts.ts says what the dumps add to its cluster) @param inputs of nodes that it has */
export function driftOf(network: Network, inputs: readonly DriftInput[], options: DriftOptions = DRIFT_DEFAULTS): DriftReport {
  const facts = new NodeFacts(network, inputs)
  const prover = new Prover(network)
  const judged = inputs.map((input) => driftOfNode({ network, facts, prover, options }, input))
  const found = findingsInOrder(judged.flatMap(({ findings }) => findings)) as readonly DriftFinding[]
  const { cni } = network.cluster
  return {
    apiVersion: 'netsim/v1',
    kind: 'Drift',
    metadata: {
      tool: options.tool,
      seed: options.seed,
      inputs: options.inputs,
      told: options.told ?? [],
      cni,
      backend: network.flannel?.config?.backendType ?? '',
      nodes: judged.map(({ document }) => document),
    },
    ...(reportFindings(found, options) as Pick<DriftReport, 'summary' | 'findings'>),
    notJudged: judged.flatMap(({ notJudged }) => notJudged),
  }
}

interface Judging {
  readonly network: Network
  readonly facts: NodeFacts
  readonly prover: Prover
  readonly options: DriftOptions
}

interface Judged {
  readonly findings: readonly DriftFinding[]
  readonly document: DriftNodeDocument
  readonly notJudged: readonly string[]
}

function driftOfNode(judging: Judging, input: DriftInput): Judged {
  const { network, facts } = judging
  const { name, collected } = input
  const expected = network.dataplane(name)
  const document = { name, source: collected?.source ?? '', compared: 0, aligned: [] }
  if (expected === undefined) return { findings: [], document, notJudged: [`${name}: the cluster has no such node`] }
  const unknown = drawnLease(judging, input, expected)
  if (unknown !== undefined) return { findings: [], document, notJudged: [unknown] }
  const view = viewOf({ network, facts }, input, expected)
  const gathered = gatheredOf(collected)
  const unjudged = unjudgedOf(view)
  const causes = byCause(differencesOf(withoutUnjudged(view, unjudged), gathered))
  const notJudged = [
    ...unjudged.flatMap(({ what }) => (what === undefined ? [] : [`${name}: ${what}`])),
    ...notGathered(gathered, expected).map((part) => `${name}: ${part}: the dump does not tell`),
    ...notUnderstood(input),
  ]
  const compared = countOf(expected)
  const most = Math.max(LEAST_PROVEN, Math.min(MOST_PROVEN, Math.floor(MOST_THINGS_PROVEN / compared)))
  const proofs: Proof[] = []
  let [proven, left] = [0, 0]
  for (const cause of causes) {
    const isTraced = isWanted(codeOf(cause), judging.options) && cause.some(({ apply }) => apply !== undefined)
    if (isTraced && proven >= most) left++
    const traffic = isTraced && proven < most ? trafficOf(judging, view, cause) : NOT_ASKED
    if (isTraced && proven >= most) proofs.push({ cause, traffic, left: true })
    else proofs.push({ cause, traffic })
    if (traffic.asked > 0) proven++
  }
  if (left > 0)
    notJudged.push(
      `${name}: what ${left} of its findings do to traffic: of a node with ${compared} things the first ${most} are traced (--only CODE for others)`,
    )
  const findings: DriftFinding[] = []
  for (const { cause, traffic, left: untraced = false } of withTogether(judging, view, proofs, most)) {
    if (cause.some(({ bystander }) => bystander === true) && (traffic.verdict === 'none' || traffic.verdict === 'not asked')) continue
    if (traffic.changes.some(({ after }) => after.includes('INCOMPLETE'))) notJudged.push(`${name}: ${whatOf(cause)}: a packet meets what is not modelled`)
    const found = findingOfCause(view, cause, traffic)
    findings.push(untraced ? { ...found, effect: UNTRACED } : found)
  }
  return { findings, document: { ...document, compared, aligned: view.alignment.told }, notJudged }
}

function withoutUnjudged(view: DriftView, unjudged: readonly Unjudged[]): DriftView {
  const without = (dataplane: Dataplane): Dataplane => unjudged.reduce((now, one) => one.without(now), dataplane)
  return { ...view, expected: without(view.expected), there: without(view.there) }
}

/** A cause, and what it does by itself. */
interface Proof {
  readonly cause: readonly Difference[]
  readonly traffic: TrafficDocument
  /** There were too many to trace it. */
  readonly left?: true
}

const UNTRACED = 'Not traced: there are more findings than are traced on a node of this size.'

/** Those that change nothing by themselves may do so together: a policy that drops, and a chain without its accepts. Each is taken from the whole in turn. */
function withTogether({ network, prover, options }: Judging, view: DriftView, proofs: readonly Proof[], most: number): readonly Proof[] {
  const quiet = proofs.filter(({ traffic }) => traffic.verdict === 'none')
  if (proofs.length < 2 || quiet.length === 0 || quiet.length > Math.min(MOST_TOGETHER, most / 2)) return proofs
  const applied = (causes: readonly (readonly Difference[])[]): ReadonlyMap<string, Dataplane> => kernelsWith(view, causes.flat())
  const causes = proofs.map(({ cause }) => cause)
  const all = network.withKernels(applied(causes))
  const flows = flowsOf({ network, node: view.node, seed: options.seed }, joinedFocus(quiet.flatMap(({ cause }) => cause)))
  return proofs.map((proof) => {
    if (!quiet.includes(proof)) return proof
    const traffic = prover.proveTogether(applied(causes.filter((cause) => cause !== proof.cause)), all, flows)
    return traffic.changes.length === 0 ? proof : { ...proof, traffic }
  })
}

const NOT_ASKED: TrafficDocument = { verdict: 'not asked', together: false, asked: 0, changes: [] }

/** A lease that netsim drew itself says nothing of the node's. */
function drawnLease({ facts, network }: Judging, { name, dataplane }: DriftInput, expected: Dataplane): string | undefined {
  if (network.flannel === undefined || facts.isLeaseKnown(name)) return undefined
  const tunnel = expected.devices.find(({ provenance }) => provenance?.by.startsWith('flannel') === true)
  const own = dataplane.devices.find((device) => device.name === tunnel?.name)
  const same = tunnel === undefined || own === undefined || tunnel.addresses.every(({ address }) => own.addresses.some((one) => one.address === address))
  if (same) return undefined
  const why = 'no input says which lease the node has, and the one that netsim drew is another'
  return `${name}: ${why}: give flannel's keys (--etcd, a snapshot) or Nodes with their podCIDR`
}

export function viewOf({ network, facts }: Pick<Judging, 'network' | 'facts'>, { name, dataplane, collected }: DriftInput, expected: Dataplane): DriftView {
  const { used } = agentsBackend(collected?.iptablesBackends ?? [])
  const dump = used === undefined ? dataplane : { ...dataplane, iptables: used.state }
  const address = network.cluster.nodeByName.get(name)?.address ?? 0
  const input: AlignInput = { node: name, address, expected, dump, facts, ...(collected === undefined ? {} : { collected }) }
  const alignment = align(input)
  const there = translate(dump, alignment.toExpected)
  return { node: name, network, expected, there, alignment, facts, ...(collected === undefined ? {} : { collected }) }
}

function countOf({ devices, routes, rules, neighbours, fdb, sysctls, iptables, ipsets }: Dataplane): number {
  const inTables = iptables.tables.reduce((sum, { chains }) => sum + chains.reduce((all, chain) => all + 1 + chain.rules.length, 0), 0)
  const inSets = ipsets.reduce((sum, { members }) => sum + 1 + members.length, 0)
  return devices.length + routes.length + rules.length + neighbours.length + fdb.length + Object.keys(sysctls).length + inTables + inSets
}

/** In the order in which each cause was met first. */
function byCause(differences: readonly Difference[]): readonly (readonly Difference[])[] {
  const causes = new Map<string, Difference[]>()
  for (const one of differences) {
    const known = causes.get(one.cause)
    if (known === undefined) causes.set(one.cause, [one])
    else known.push(one)
  }
  return [...causes.values()]
}

/** What stands for all of them, where they are enough. */
function wholeOf(cause: readonly Difference[]): Difference['whole'] {
  const whole = cause.find((one) => one.whole !== undefined)?.whole
  return whole !== undefined && cause.length >= whole.least ? whole : undefined
}

function codeOf(cause: readonly Difference[]): DriftCode {
  return wholeOf(cause)?.code ?? cause[0].code
}

function whatOf(cause: readonly Difference[]): string {
  const [first, ...more] = cause
  const whole = wholeOf(cause)
  if (whole !== undefined) return whole.what
  return more.length === 0 ? first.what : `${first.what}; and ${more.length} more of the same`
}

function trafficOf({ network, prover, options }: Judging, view: DriftView, cause: readonly Difference[]): TrafficDocument {
  const kernels = kernelsWith(view, cause)
  if (kernels.size === 0) return NOT_ASKED
  const flows = flowsOf({ network, node: view.node, seed: options.seed }, joinedFocus(cause))
  return prover.prove(kernels, flows)
}

/** The expected ones with the differences done to them: the node's, and those of its pods. */
function kernelsWith({ network, node, expected }: DriftView, differences: readonly Difference[]): ReadonlyMap<string, Dataplane> {
  const kernels = new Map<string, Dataplane>()
  for (const { netns = node, apply } of differences) {
    const now = kernels.get(netns) ?? (netns === node ? expected : network.dataplane(netns))
    if (apply !== undefined && now !== undefined) kernels.set(netns, apply(now))
  }
  return kernels
}

function joinedFocus(cause: readonly Difference[]): Focus {
  const all = <Key extends keyof Focus>(key: Key): Focus[Key] =>
    [...new Set(cause.flatMap(({ focus }) => (focus[key] ?? []) as unknown[]))] as unknown as Focus[Key]
  return {
    nodes: all('nodes'),
    pods: all('pods'),
    services: all('services'),
    ports: all('ports'),
    addresses: all('addresses'),
    listening: all('listening'),
    sizes: all('sizes'),
  }
}

function severityOf(code: DriftCode, { verdict }: TrafficDocument): Severity {
  if (verdict === 'lost' || verdict === 'opened') return 'error'
  const { withoutEffect } = driftCodeInfo(code)
  return verdict === 'changed' && withoutEffect === 'info' ? 'warning' : withoutEffect
}

const MOST_SHOWN = 12

function findingOfCause(view: DriftView, cause: readonly Difference[], traffic: TrafficDocument): DriftFinding {
  const { node } = view
  const code = codeOf(cause)
  const whole = wholeOf(cause)
  const { title, fix } = driftCodeInfo(code)
  const expected = cause.flatMap((one) => one.expected).map((one) => placed(view, one))
  const there = cause.flatMap((one) => one.there)
  const commands = [...new Set(cause.flatMap((one) => one.commands).filter((command) => command !== ''))]
  return {
    code,
    severity: severityOf(code, traffic),
    title,
    node,
    what: `${node}: ${whatOf(cause)}`,
    effect: effectText(traffic),
    evidence: evidenceOf(view, { code: cause[0].code, expected, there }),
    expected: expected.slice(0, MOST_SHOWN),
    there: there.slice(0, MOST_SHOWN),
    traffic: shortened(traffic),
    fix,
    commands: commands.slice(0, MOST_SHOWN),
    repair: whole?.repair ?? cause[0].repair,
  }
}

/** What a lease says stands with the Node whose lease it is, or in etcd. */
function placed({ facts, network }: DriftView, one: ShownDocument): ShownDocument {
  const lease = /\blease (\S+)/.exec(one.object ?? '')?.[1]
  const subnet = lease === undefined || one.file !== undefined ? 'syntax' : parseCidr(lease)
  if (typeof subnet === 'string') return one
  const entry = network.cluster.etcd.find(({ key }) => key.endsWith(`/${formatCidr(subnet).replace('/', '-')}`))
  const owner = facts.nodeOfSubnet(subnet)
  const place = entry ?? (owner === undefined ? undefined : facts.placeOf(owner))
  return place === undefined ? one : { ...one, file: place.file, line: place.line }
}

/** Where in a dump things of a code are. */
const FILES: readonly (readonly [RegExp, DumpPart])[] = [
  [/^ND(10|803)/, 'addr'],
  [/^ND20[56]/, 'rule'],
  [/^ND2/, 'route'],
  [/^ND30[1-3]/, 'neigh'],
  [/^ND3/, 'fdb'],
  [/^ND4/, 'sysctl'],
  [/^ND6/, 'ipset'],
]

/** The file of the dump in which something is not. */
function fileOf(view: DriftView, code: DriftCode): string | undefined {
  if (code.startsWith('ND5')) return agentsBackend(view.collected?.iptablesBackends ?? []).used?.file
  const part = FILES.find(([codes]) => codes.test(code))?.[1]
  return part === undefined ? undefined : dumpFile(view, part)
}

interface Shown {
  readonly code: DriftCode
  readonly expected: readonly ShownDocument[]
  readonly there: readonly ShownDocument[]
}

/** The line of the dump first: there somebody will look; of what is missing the file in which it is not. */
function evidenceOf(view: DriftView, { code, expected, there }: Shown): readonly Evidence[] {
  const object = `Node/${view.node}`
  const evidence = ({ text, by, object: of, file, line }: ShownDocument, word: string): Evidence => ({
    what: `${word} ${text}`,
    object: of ?? object,
    // what tells two findings of one code apart
    rule: text,
    ...(by === undefined || by === DUMP ? {} : { by }),
    ...(file === undefined ? {} : { file }),
    ...(line === undefined ? {} : { line }),
  })
  const told = [...there, ...expected].some((one) => one.file !== undefined)
  const file = there.some((one) => one.file !== undefined) ? undefined : (fileOf(view, code) ?? (told ? undefined : view.collected?.source))
  const nothing: Evidence[] = file === undefined ? [] : [{ what: there.length > 0 ? 'it is in this file' : 'it is not in this file', object, file }]
  return [
    ...nothing,
    ...there.slice(0, MOST_SHOWN).map((one) => evidence(one, 'there:')),
    ...expected.slice(0, MOST_SHOWN).map((one) => evidence(one, 'expected:')),
  ]
}

/** What the dump has and netsim cannot read. */
function notUnderstood({ name, collected }: DriftInput): readonly string[] {
  const lines = (collected?.notUnderstood ?? []).map(({ file, line, what }) => `${name}: ${file}${line > 0 ? `:${line}` : ''}: ${what}`)
  return lines.length <= MOST_NOT_JUDGED
    ? lines
    : [...lines.slice(0, MOST_NOT_JUDGED), `${name}: … and ${lines.length - MOST_NOT_JUDGED} more lines that were not understood`]
}
