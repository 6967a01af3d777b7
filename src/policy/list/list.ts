/**
 * The map: for every pair of workloads, and of workloads with the outside, what the policies of both ends let through. A pair that nothing is let
 * through for has no row, nor has a workload with itself.
 */
import type { PolicyState } from '../../cluster/policy-state.js'
import { boundingRanges } from '../change/diff-classes.js'
import { ConnectionSet } from '../connections.js'
import { evaluatePair } from '../evaluate.js'
import { ingressTargets } from '../ingress-targets.js'
import type { Direction, End, PolicyPod, PolicyWorld } from '../model.js'
import { outsideRanges, partition } from '../outside.js'
import { endName, INGRESS_CONTROLLER, workloadName } from '../peer-name.js'
import { Reachability, type ClassGroup } from '../reach/reachability.js'

/** A row's end. */
export interface ListPeer {
  /** `shop/web[Deployment]`: unique. Where policies tell the pods of a workload apart, those of which it is the name follow: `(web-0)`. */
  readonly text: string
  readonly kind: 'workload' | 'outside' | 'ingress-controller'
  /** Empty outside. */
  readonly namespace: string
  /** Of the workload; empty outside. */
  readonly name: string
  readonly workloadKind: string
  /** The Deployment above its ReplicaSet: --focus may name it. */
  readonly deployment?: string
  /** Names of the pods, where the workload has others that policies tell from these. */
  readonly pods?: readonly string[]
}

export interface ListRow {
  readonly source: ListPeer
  readonly destination: ListPeer
  readonly connections: ConnectionSet
}

export interface ListOptions {
  /** `NAME` or `ns/NAME` of workloads, or `ingress-controller`; empty: all. */
  readonly focus: readonly string[]
  /** Of the other end, where there is a focus. */
  readonly focusPeer: readonly string[]
  /** Of the workloads in focus. */
  readonly direction?: Direction
  /** Rows that let all of this through. */
  readonly through?: ConnectionSet
}

export interface PolicyMap {
  /** By source, then destination. */
  readonly rows: readonly ListRow[]
  /** All workloads, with and without rows, by name; in focus, where there is one. */
  readonly workloads: readonly ListPeer[]
  /** Names of --focus and --focus-peer that nothing has. */
  readonly unknown: readonly string[]
}

/** A row's end, and what stands for it when policies are asked. */
export interface Unit {
  readonly peer: ListPeer
  readonly end: End
}

export interface AskedPair {
  readonly source: Unit
  readonly destination: Unit
}

/** Every pair that the map is made of, also those that no row comes of; without the ingress controller's. */
export function* askedPairs(world: PolicyWorld, options: ListOptions): Generator<AskedPair, void> {
  const workloads = workloadUnits(world)
  const sources = [...workloads, ...outsideUnits(world, 'ingress')]
  for (const { source, destinations } of askedBySource(sources, [...workloads, ...outsideUnits(world, 'egress')], options))
    for (const destination of destinations) yield { source, destination }
}

/** With a focus a source that is not in it has the destinations that are, and no others are looked at. */
function* askedBySource<Asked extends Unit>(
  sources: readonly Asked[],
  destinations: readonly Asked[],
  options: ListOptions,
): Generator<{ readonly source: Asked; readonly destinations: readonly Asked[]; readonly isWhole: boolean }, void> {
  const focused = destinations.filter(({ peer }) => isNamed(peer, options.focus))
  for (const source of sources) {
    const isWhole = isNamed(source.peer, options.focus) && options.direction !== 'ingress'
    const candidates = isWhole ? destinations : focused
    yield { source, destinations: candidates.filter(({ peer }) => isAsked(source.peer, peer, options)), isWhole }
  }
}

/** A workload with itself is no pair, nor are two ends outside. */
function isAsked(source: ListPeer, destination: ListPeer, options: ListOptions): boolean {
  if (source.kind === 'outside' ? destination.kind === 'outside' : isSameWorkload(source, destination)) return false
  return isWanted(source, destination, options)
}

function isSameWorkload(a: ListPeer, b: ListPeer): boolean {
  return a.name === b.name && a.namespace === b.namespace && a.kind === b.kind && a.workloadKind === b.workloadKind
}

export function policyMap(world: PolicyWorld, state: PolicyState, options: ListOptions): PolicyMap {
  const { rows, ...rest } = mapRows(world, state, options)
  return { ...rest, rows: [...rows] }
}

/** The same row by row, as they are asked for: of a large cluster they are more than memory holds. */
export interface MapRows extends Omit<PolicyMap, 'rows'> {
  readonly rows: Iterable<ListRow>
  /** Pairs that a row may come of. */
  readonly pairs: number
}

export function mapRows(world: PolicyWorld, state: PolicyState, options: ListOptions): MapRows {
  const reach = reachabilityOf(world)
  const workloads = workloadUnits(world)
  const withClass = (units: readonly Unit[]): readonly ClassedUnit[] => units.map((unit) => ({ ...unit, id: classOf(unit.end, reach) })).sort(byPeer)
  const [sources, destinations] = (['ingress', 'egress'] as const).map((direction) => withClass([...workloads, ...outsideUnits(world, direction)]))
  const found: Reached = { from: new Groups((id) => reach.from(id), world, options), towards: new Groups((id) => reach.towards(id), world, options) }
  const rows = inOrder(rowsBySource(askedBySource(sources, destinations, options), found), () => ingressRows(world, state, options))
  const peers = workloads.map(({ peer }) => peer)
  const shown = peers.filter((peer) => isNamed(peer, options.focus) || (options.focusPeer.length > 0 && isNamed(peer, options.focusPeer)))
  const focused = destinations.filter(({ peer }) => isNamed(peer, options.focus)).length
  return {
    rows,
    pairs: sources.length * focused,
    workloads: shown.sort((a, b) => compare(a.text, b.text)),
    unknown: unknownNames(peers, state, options),
  }
}

interface ClassedUnit extends Unit {
  readonly id: number
}

interface Reached {
  readonly from: Groups
  readonly towards: Groups
}

/** What one class has with others, kept for the next who asks; of a map without a focus for the next source alone. */
class Groups {
  private readonly known = new Map<number, readonly ClassGroup[]>()
  private readonly make: (id: number) => readonly ClassGroup[]
  private readonly world: PolicyWorld
  private readonly options: ListOptions

  constructor(make: (id: number) => readonly ClassGroup[], world: PolicyWorld, options: ListOptions) {
    this.make = make
    this.world = world
    this.options = options
  }

  of(id: number): readonly ClassGroup[] {
    let groups = this.known.get(id)
    if (groups === undefined) {
      if (this.known.size >= MOST_KEPT) this.known.clear()
      groups = this.make(id).filter(({ connections }) => isShown(connections, this.world, this.options))
      this.known.set(id, groups)
    }
    return groups
  }
}

/** Each may be a bitset of all classes: some 5 kB at 40,000. */
const MOST_KEPT = 4096

/** What a source in focus has is asked of it; of any other source those in focus are asked. */
function* rowsBySource(
  asked: Iterable<{ readonly source: ClassedUnit; readonly destinations: readonly ClassedUnit[]; readonly isWhole: boolean }>,
  { from, towards }: Reached,
): Generator<ListRow> {
  for (const { source, destinations, isWhole } of asked) {
    for (const destination of destinations) {
      const [groups, id] = isWhole ? [from.of(source.id), destination.id] : [towards.of(destination.id), source.id]
      const group = groups.find(({ classes }) => classes.has(id))
      if (group !== undefined) yield { source: source.peer, destination: destination.peer, connections: group.connections }
    }
  }
}

/** The rows of the ingress controller come between those of others, by its name. */
function* inOrder(rows: Iterable<ListRow>, ofController: () => readonly ListRow[]): Generator<ListRow> {
  let isDue = true
  for (const row of rows) {
    if (isDue && compare(CONTROLLER.text, row.source.text) < 0) {
      isDue = false
      yield* [...ofController()].sort(byText)
    }
    yield row
  }
  if (isDue) yield* [...ofController()].sort(byText)
}

const known = new WeakMap<PolicyWorld, Reachability>()

/** Made once a world. */
export function reachabilityOf(world: PolicyWorld): Reachability {
  let reach = known.get(world)
  if (reach === undefined) {
    // at the bounds of network sets that no rule asks for too: the map tells addresses apart there
    const cuts = boundingRanges(world)
    const pieces = outsideRanges(world).flatMap(({ range }) => partition(range, cuts))
    known.set(world, (reach = new Reachability(world, { outside: pieces.map((range) => ({ kind: 'outside', range })) })))
  }
  return reach
}

/** A range of one direction may be several of both together: on its side they mean the same, and the first stands for all. */
function classOf(end: End, reach: Reachability): number {
  const asked: End = end.kind === 'outside' ? { kind: 'outside', range: { ...end.range, last: end.range.first } } : end
  const id = reach.classOf(asked)
  if (id === undefined) throw new TypeError('an end that the map knows nothing of')
  return id
}

/** One pod stands for each workload, or for those of its pods that no policy tells apart. netpol-analyzer has none that it tells apart. */
function workloadUnits(world: PolicyWorld): readonly Unit[] {
  const workloads = new Map<string, PolicyPod[]>()
  for (const pod of world.pods) {
    const text = workloadName(pod)
    const pods = workloads.get(text)
    if (pods === undefined) workloads.set(text, [pod])
    else pods.push(pod)
  }
  return [...workloads].flatMap(([text, pods]) => {
    const [pod] = pods
    const parts = pods.length === 1 || world.switches.as === 'np-guard' ? [pods] : partsOf(pods, reachabilityOf(world))
    if (parts.length === 1) return { peer: workloadPeer(pod, text), end: pod }
    return parts.map((part): Unit => {
      const names = part.map(({ name }) => name)
      return { peer: { ...workloadPeer(pod, `${text} (${fewNames(names)})`), pods: names }, end: part[0] }
    })
  })
}

function partsOf(pods: readonly PolicyPod[], reach: Reachability): readonly (readonly PolicyPod[])[] {
  const byClass = new Map<number, PolicyPod[]>()
  for (const pod of pods) {
    const id = classOf(pod, reach)
    byClass.set(id, [...(byClass.get(id) ?? []), pod])
  }
  if (byClass.size === 1) return [pods]
  const parts = new Map<string, PolicyPod[]>()
  for (const [id, alike] of byClass) {
    const key = reach.maps.meaningKey(id)
    parts.set(key, [...(parts.get(key) ?? []), ...alike])
  }
  return [...parts.values()]
}

const MOST_NAMED = 3

function fewNames(names: readonly string[]): string {
  return names.length > MOST_NAMED ? `${names.slice(0, MOST_NAMED - 1).join(', ')} and ${names.length - MOST_NAMED + 1} more` : names.join(', ')
}

function workloadPeer({ namespace, workload, deployment }: PolicyPod, text: string): ListPeer {
  return { text, kind: 'workload', namespace, name: workload.name, workloadKind: workload.kind, ...(deployment === undefined ? {} : { deployment }) }
}

function outsideUnits(world: PolicyWorld, direction: Direction): readonly Unit[] {
  return outsideRanges(world, direction).map((end) => ({ peer: { text: endName(end), kind: 'outside', namespace: '', name: '', workloadKind: '' }, end }))
}

export const CONTROLLER: ListPeer = { text: `{${INGRESS_CONTROLLER}}`, kind: 'ingress-controller', namespace: '', name: INGRESS_CONTROLLER, workloadKind: '' }
/** Nobody's namespace, so that no selector but one over all finds it. */
const CONTROLLER_NAMESPACE = 'ingress-controller-ns'

/** What an Ingress or Route leads to, and an arbitrary pod of the cluster may reach. */
function ingressRows(world: PolicyWorld, state: PolicyState, options: ListOptions): readonly ListRow[] {
  const targets = ingressTargets(state, world.pods, { declaredOnly: world.switches.as === 'np-guard' })
  if (targets.length === 0) return []
  const around = withController(world)
  const rows = new Map<string, ListRow>()
  for (const { pod, connections } of targets) {
    const destination = workloadPeer(pod, workloadName(pod))
    if (!isWanted(CONTROLLER, destination, options)) continue
    const allowed = evaluatePair(around, CONTROLLER_POD, pod).allowed.intersect(connections)
    if (!isShown(allowed, world, options)) continue
    const known = rows.get(destination.text)
    rows.set(destination.text, { source: CONTROLLER, destination, connections: known === undefined ? allowed : known.connections.union(allowed) })
  }
  return [...rows.values()]
}

/** The world with the controller's namespace in it. */
export function withController(world: PolicyWorld): PolicyWorld {
  const labels = { 'kubernetes.io/metadata.name': CONTROLLER_NAMESPACE }
  return { ...world, namespaces: new Map([...world.namespaces, [CONTROLLER_NAMESPACE, { name: CONTROLLER_NAMESPACE, labels }]]) }
}

export const CONTROLLER_POD: PolicyPod = {
  kind: 'pod',
  namespace: CONTROLLER_NAMESPACE,
  name: INGRESS_CONTROLLER,
  labels: {},
  ports: [],
  hostNetwork: false,
  serviceAccount: 'default',
  addresses: [],
  workload: { kind: 'Pod', name: INGRESS_CONTROLLER },
  imagined: true,
  file: '',
  line: 0,
}

/** netpol-analyzer knows three protocols: what is open beside them is no row. */
export function isShown(allowed: ConnectionSet, { switches }: PolicyWorld, { through }: ListOptions): boolean {
  if (through !== undefined) return allowed.covers(through)
  return switches.as === 'np-guard' ? allowed.meets(ConnectionSet.transport) : !allowed.isEmpty
}

export function isWanted(source: ListPeer, destination: ListPeer, { focus, focusPeer, direction }: ListOptions): boolean {
  if (focus.length === 0) return true
  const [from, to] = [isNamed(source, focus), isNamed(destination, focus)]
  if ((direction === 'ingress' && !to) || (direction === 'egress' && !from)) return false
  return (from && isNamed(destination, focusPeer)) || (to && isNamed(source, focusPeer))
}

/** An empty list names everybody. */
export function isNamed({ name, namespace, deployment = name }: Pick<ListPeer, 'name' | 'namespace' | 'deployment'>, names: readonly string[]): boolean {
  return names.length === 0 || [name, deployment].some((own) => names.includes(own) || names.includes(`${namespace}/${own}`))
}

function unknownNames(peers: readonly ListPeer[], { ingresses, routes }: PolicyState, { focus, focusPeer }: ListOptions): readonly string[] {
  const hasController = ingresses.length + routes.length > 0
  return [...focus, ...focusPeer].filter((name) => (name === INGRESS_CONTROLLER ? !hasController : !peers.some((peer) => isNamed(peer, [name]))))
}

function byPeer(a: Unit, b: Unit): number {
  return compare(a.peer.text, b.peer.text)
}

function byText(a: ListRow, b: ListRow): number {
  return compare(a.source.text, b.source.text) || compare(a.destination.text, b.destination.text)
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
