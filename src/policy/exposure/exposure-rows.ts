/** The exposure of every workload as rows of a map: workload, hypothetical peer, connections, beside the rows with outside addresses. */
import { transportText } from '../connection-text.js'
import { ConnectionSet } from '../connections.js'
import { hypotheticalPeers, isNothing, npGuardExposure, type DirectionExposure, type PeerPotential, type Potential } from './exposure-np-guard.js'
import { namespaceNamed, namespaceWords, peerWords, podWords, type PeerSelectors } from './exposure-peer.js'
import type { ListOptions, ListRow, PolicyMap } from '../list/list.js'
import type { Direction, NamedPort, PolicyWorld } from '../model.js'
import { workloadName } from '../peer-name.js'

export const ENTIRE_CLUSTER = 'entire-cluster'

export interface ExposureRow {
  readonly src: string
  readonly dst: string
  readonly conn: string
  /** Of a row with a hypothetical peer; absent with addresses outside. */
  readonly peer?: ExposurePeer
}

export interface ExposurePeer {
  readonly workload: string
  /** `all pods` and `namespace with {…}`; absent: the whole cluster. */
  readonly named?: { readonly pod: string; readonly namespace: string }
}

export interface ExposureReport {
  /** By source, then destination. */
  readonly egress: readonly ExposureRow[]
  /** By destination, then source. */
  readonly ingress: readonly ExposureRow[]
  /** `shop/web[Deployment] is not protected on Ingress`. */
  readonly unprotected: readonly string[]
  /** Of the longest name of an exposed workload. */
  readonly width: number
}

export function exposureReport(world: PolicyWorld, map: PolicyMap, options: ListOptions): ExposureReport {
  const peers = hypotheticalPeers(world)
  const pods = new Map([...world.pods].reverse().map((pod) => [workloadName(pod), pod]))
  const rows = { ingress: [] as ExposureRow[], egress: [] as ExposureRow[] }
  const unprotected: string[] = []
  let width = 0
  for (const { text, name, namespace } of map.workloads) {
    const pod = pods.get(text)
    if (pod === undefined || (options.focus.length > 0 && !options.focus.includes(name) && !options.focus.includes(`${namespace}/${name}`))) continue
    const found: ExposureRow[] = []
    for (const direction of ['ingress', 'egress'] as const) {
      if (options.focus.length > 0 && options.direction !== undefined && options.direction !== direction) continue
      const exposure = throughOnly(npGuardExposure(world, pod, direction, peers), options.through)
      if (!exposure.isProtected) unprotected.push(`${text} is not protected on ${direction === 'ingress' ? 'Ingress' : 'Egress'}`)
      const own = exposure.peers.map(({ selectors, potential }) => row(text, direction, { selectors, conn: potentialText(potential) }))
      if (!exposure.isProtected) own.push(row(text, direction, { conn: transportText(ConnectionSet.all) }))
      rows[direction].push(...own)
      found.push(...own)
    }
    if (found.length === 0) continue
    width = Math.max(width, text.length)
    rows.ingress.push(...outsideRows(map.rows, text, 'ingress'))
    rows.egress.push(...outsideRows(map.rows, text, 'egress'))
  }
  return {
    egress: rows.egress.sort((a, b) => compare(a.src, b.src) || compare(a.dst, b.dst)),
    ingress: rows.ingress.sort((a, b) => compare(a.dst, b.dst) || compare(a.src, b.src)),
    unprotected: unprotected.sort(compare),
    width,
  }
}

/** Of one connection alone: who has it, beyond what everybody has. */
function throughOnly({ isProtected, peers }: DirectionExposure, through: ConnectionSet | undefined): DirectionExposure {
  if (through === undefined) return { isProtected, peers }
  const has = ({ potential }: PeerPotential): boolean => potential.connections.covers(through)
  const everybody = peers.filter((peer) => peer.selectors === undefined && has(peer))
  const kept = everybody.length > 0 ? everybody : peers.filter((peer) => peer.selectors !== undefined && has(peer))
  return { isProtected, peers: kept.map(({ selectors }) => ({ ...(selectors && { selectors }), potential: { connections: through, names: [] } })) }
}

interface Said {
  readonly selectors?: PeerSelectors | undefined
  readonly conn: string
}

function row(workload: string, direction: Direction, { selectors, conn }: Said): ExposureRow {
  const other = selectors === undefined ? ENTIRE_CLUSTER : peerWords(selectors)
  const named = selectors && { pod: podWords(selectors.pod), namespace: namespaceNamed(selectors.namespace) ?? namespaceWords(selectors.namespace) }
  const peer = { workload, ...(named && { named }) }
  return direction === 'ingress' ? { src: other, dst: workload, conn, peer } : { src: workload, dst: other, conn, peer }
}

function outsideRows(rows: readonly ListRow[], workload: string, direction: Direction): readonly ExposureRow[] {
  return rows
    .filter(({ source, destination }) =>
      direction === 'ingress' ? source.kind === 'outside' && destination.text === workload : destination.kind === 'outside' && source.text === workload,
    )
    .map(({ source, destination, connections }) => ({ src: source.text, dst: destination.text, conn: transportText(connections, false) }))
}

const PROTOCOLS = ['SCTP', 'TCP', 'UDP'] as const

/** `TCP 80,http,UDP 53`; a name that may be of any protocol stands behind a blank. */
export function potentialText(potential: Potential): string {
  const { connections, names } = potential
  if (names.length === 0 || isNothing(potential) || connections.covers(ConnectionSet.transport)) return transportText(connections, false)
  const open = (protocol: (typeof PROTOCOLS)[number]): readonly string[] =>
    connections.ranges(protocol).map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`))
  const called = (protocol: NamedPort['protocol']): readonly string[] =>
    names
      .filter((name) => name.protocol === protocol)
      .map(({ name }) => name)
      .sort(compare)
  const parts = [...PROTOCOLS.map((protocol) => [protocol as string, [...open(protocol), ...called(protocol)]] as const), ['', called(undefined)] as const]
  return parts
    .filter(([, ports]) => ports.length > 0)
    .map(([protocol, ports]) => `${protocol} ${ports.join(',')}`)
    .sort(compare)
    .join(',')
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
