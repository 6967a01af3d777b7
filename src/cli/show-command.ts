/** `netsim show`: prints one kind of state. Loaded when it is called. */
import type { BirdDialect } from '../calico/bgp/bird-text.js'
import type { ClusterPod } from '../cluster/pod.js'
import { suggestName } from '../cluster/nearest-name.js'
import type { Dataplane } from '../dataplane/dataplane.js'
import type { Network } from '../network/network.js'
import type { DiaryAgent, DiaryKind } from '../network/time/diary.js'
import type { EtcdFlags } from './etcd-flags.js'
import { EXIT_BAD_INPUT, EXIT_OK, UsageError } from './exit.js'
import type { Io } from './io.js'
import { inWords } from './json-words.js'
import { loadMoment, loadMoments, type LoadedMoment } from './load-moment.js'
import { refusesTouched, safe } from './load-network.js'
import type { After } from './show-conntrack.js'
import { showConntrack } from './show-conntrack.js'
import { ALL_SYSCTLS, NETNS_KINDS, routesOfTable, type NetnsKind } from './show-kinds.js'
import { withHeadings } from './show-heading.js'
import {
  BGP_KINDS,
  CLUSTER_KINDS,
  FILE_KINDS,
  IPAM_KINDS,
  SERVICE_KINDS,
  type BgpKind,
  type IpamKind,
  type NetnsKindName,
  type ServiceKind,
  type StateKind,
} from './show-names.js'
import { changesText, stateChanges } from './state-changes.js'
import type { OutputFormat } from './trace-options.js'

export interface ShowFlags extends EtcdFlags {
  readonly filename: readonly string[]
  readonly recursive: boolean
  readonly namespace: string
  readonly seed: number
  readonly output: OutputFormat
  /** sysctls: the kernel's defaults too; bgp: every attribute of a route. */
  readonly all: boolean
  /** bird: whose configuration language. */
  readonly dialect: BirdDialect
  /** routes: of one table, or `all`. */
  readonly table?: string
  /** conntrack: questions to ask first, as written. */
  readonly after: readonly string[]
  /** Virtual times, ns. */
  readonly at?: number
  readonly diffFrom?: number
  /** timeline */
  readonly agent?: readonly DiaryAgent[]
  readonly kind?: readonly DiaryKind[]
  readonly object?: string
  readonly from?: number
  readonly to?: number
  /** --seed was given: it wins over a Scenario's. */
  readonly seedGiven?: boolean
}

/** What is shown: an object for `-o json`, and the text. */
export interface Shown {
  readonly items: unknown
  readonly text: string
  /** Beside the items. */
  readonly more?: object
}

export interface ShowCall {
  readonly flags: ShowFlags
  readonly io: Io
  /** What the texts of --after ask. */
  readonly questions: readonly After[]
}

/** The exit status. */
export async function show(kind: StateKind, node: string | undefined, call: ShowCall): Promise<number> {
  const { flags, io } = call
  // The server's keys need no manifests: they are not those that the agents make of them.
  if (kind === 'etcd' && (flags.etcd ?? []).length > 0) return (await import('./show-etcd.js')).showServerKeys(flags, io)
  if (flags.at !== undefined && flags.diffFrom !== undefined) return showDifference(kind, node, { ...call, fromNs: flags.diffFrom, toNs: flags.at })
  const loaded = await loadMoment(flags, io)
  if (loaded === undefined) return EXIT_BAD_INPUT
  const shown = await shownAt(kind, node, loaded, call)
  if (await refusesTouched(loaded.network, io)) return EXIT_BAD_INPUT
  const { moment } = loaded
  const state = { apiVersion: 'netsim/v1', kind: 'State', state: kind, ...(moment === undefined ? {} : { moment }), items: shown.items, ...shown.more }
  // a pipe gets the bytes that iptables-restore wants; a terminal is not steered by a rule's comment
  const text = io.outIsTerminal ? shown.text.split('\t').map(safe).join('\t') : shown.text
  await io.out(flags.output === 'json' ? `${JSON.stringify(state, null, 2)}\n` : text)
  return EXIT_OK
}

/** What is gone and what is new, in the words of the tool. */
async function showDifference(kind: StateKind, node: string | undefined, call: ShowCall & { readonly fromNs: number; readonly toNs: number }): Promise<number> {
  const { flags, io, fromNs, toNs } = call
  const loaded = await loadMoments(flags, [fromNs, toNs], io)
  if (loaded === undefined) return EXIT_BAD_INPUT
  const [before, after] = [await shownAt(kind, node, { ...loaded[0], compared: true }, call), await shownAt(kind, node, { ...loaded[1], compared: true }, call)]
  for (const { network } of loaded) if (await refusesTouched(network, io)) return EXIT_BAD_INPUT
  const changes = stateChanges(before.text, after.text)
  const state = { apiVersion: 'netsim/v1', kind: 'State', state: kind, moment: loaded[1].moment, diffFromNs: fromNs, items: changes }
  await io.out(flags.output === 'json' ? `${JSON.stringify(state, null, 2)}\n` : changesText(changes).split('\t').map(safe).join('\t'))
  return EXIT_OK
}

async function shownAt(kind: StateKind, node: string | undefined, loaded: LoadedMoment, { flags, questions }: ShowCall): Promise<Shown> {
  const ofService = SERVICE_KINDS.find((name): name is ServiceKind => name === kind)
  const place = node === undefined || ofService !== undefined ? undefined : placeOf(node, flags.namespace, loaded)
  return ofService !== undefined
    ? (await import('./show-services.js')).showServiceKind(ofService, { name: node, namespace: flags.namespace }, loaded)
    : kind === 'conntrack'
      ? conntrackShown(place, questions, loaded)
      : await shownOf(kind, place, loaded, flags)
}

function conntrackShown(place: string | undefined, questions: readonly After[], { network }: LoadedMoment): Shown {
  const shown = showConntrack(network, place, questions)
  if ('text' in shown) return shown
  throw new UsageError(shown.map(({ what, fix }) => (fix === '' ? what : `${what}\n    ${fix}`)).join('\n'))
}

async function shownOf(
  kind: Exclude<StateKind, 'conntrack'>,
  place: string | undefined,
  loaded: LoadedMoment,
  { all, dialect, table: routes }: ShowFlags,
): Promise<Shown> {
  const ofBgp = BGP_KINDS.find((name): name is BgpKind => name === kind)
  const ofIpam = IPAM_KINDS.find((name): name is IpamKind => name === kind)
  if (ofBgp !== undefined) return (await import('./show-bgp.js')).showBgp(ofBgp, { place, all, dialect }, loaded)
  if (ofIpam !== undefined) return (await import('./show-ipam.js')).showIpam(ofIpam, place, loaded)
  const ofCluster = CLUSTER_KINDS.find((name) => name === kind)
  const ofFile = FILE_KINDS.find((name) => name === kind)
  if (ofCluster !== undefined) return (await import('./show-cluster.js')).showCluster(ofCluster, place, loaded)
  if (ofFile !== undefined) return (await import('./show-cluster.js')).showFiles(ofFile, place, loaded)
  const ofNetns = all ? ALL_SYSCTLS : routes !== undefined ? routesOfTable(routes) : NETNS_KINDS[kind as NetnsKindName]
  return showNetns(ofNetns, place, loaded.network)
}

/** A node's name first, then `ns/pod`, `router/NAME`, then a bare pod of the namespace. @throws UsageError that names the nearest */
function placeOf(word: string, namespace: string, { network, cluster, moment }: LoadedMoment): string {
  const bare = word.replace(/^(node|host|pod)\//, '')
  const candidates = [word, bare, `${namespace}/${bare}`]
  const found = candidates.find((name) => network.dataplane(name) !== undefined)
  if (found !== undefined) return found
  const pod = moment === undefined ? undefined : candidates.flatMap((name) => cluster.podByName.get(name) ?? []).at(0)
  if (pod !== undefined) throw new UsageError(`${pod.namespace}/${pod.name} has no network at this moment: ${whyWithout(pod, network)}`)
  throw new UsageError(
    `there is no node or pod '${word}'${moment === undefined ? '' : ' at this moment'}. ${suggestName(word, [...network.dataplanes.keys()])}`,
  )
}

function whyWithout({ node, pending, terminated }: ClusterPod, network: Network): string {
  if (terminated) return 'its containers have ended'
  if (node === undefined || pending !== undefined) return pending ?? 'it runs nowhere yet'
  const absent = network.absenceOf(node)
  return absent === undefined ? `it is not plugged in on ${node}` : `${node} ${absent}`
}

function dataplanesOf(place: string | undefined, network: Network): Dataplane[] {
  const names = place === undefined ? network.nodeNames : [place]
  return names.flatMap((name) => network.dataplane(name) ?? [])
}

function showNetns({ part, text }: NetnsKind, place: string | undefined, network: Network): Shown {
  const shown = dataplanesOf(place, network)
  const absent = new Map(shown.flatMap(({ netns }) => [[netns, network.absenceOf(netns)] as const]))
  const items = shown.map((dataplane) => {
    const { netns } = dataplane
    const why = absent.get(netns)
    return why === undefined ? { netns, entries: inWords(part(dataplane)) } : { netns, absent: why, entries: [] }
  })
  const texts = shown.map((dataplane) => {
    const why = absent.get(dataplane.netns)
    return [dataplane.netns, why === undefined ? text(dataplane) : `# ${dataplane.netns} ${why}: nothing is in its kernel\n`] as const
  })
  return { items, text: withHeadings(texts) }
}
