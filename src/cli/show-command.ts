/** `netsim show`: prints one kind of state. Loaded when it is called. */
import { formatCidr } from '../base/cidr.js'
import { formatIp } from '../base/ip.js'
import type { BirdDialect } from '../calico/bgp/bird-text.js'
import { answer } from '../cluster/dns/records.js'
import type { ClusterPod } from '../cluster/pod.js'
import { suggestName } from '../cluster/nearest-name.js'
import { dockerOptions, formatDockerOptions, parseSubnetEnv } from '../flannel/subnet-env.js'
import type { Dataplane } from '../dataplane/dataplane.js'
import type { Network } from '../network/network.js'
import type { DiaryAgent, DiaryKind } from '../network/time/diary.js'
import type { EtcdFlags } from './etcd-flags.js'
import { EXIT_BAD_INPUT, EXIT_OK, UsageError } from './exit.js'
import type { Io } from './io.js'
import { inWords } from './json-words.js'
import { loadMoment, loadMoments } from './load-moment.js'
import { refusesTouched, type Loaded, safe } from './load-network.js'
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
  type ClusterKind,
  type FileKind,
  type IpamKind,
  type NetnsKindName,
  type ServiceKind,
  type StateKind,
} from './show-names.js'
import { changesText, stateChanges } from './state-changes.js'
import { table } from './table.js'
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
  const [before, after] = [await shownAt(kind, node, loaded[0], call), await shownAt(kind, node, loaded[1], call)]
  for (const { network } of loaded) if (await refusesTouched(network, io)) return EXIT_BAD_INPUT
  const changes = stateChanges(before.text, after.text)
  const state = { apiVersion: 'netsim/v1', kind: 'State', state: kind, moment: loaded[1].moment, diffFromNs: fromNs, items: changes }
  await io.out(flags.output === 'json' ? `${JSON.stringify(state, null, 2)}\n` : changesText(changes).split('\t').map(safe).join('\t'))
  return EXIT_OK
}

async function shownAt(kind: StateKind, node: string | undefined, loaded: Loaded, { flags, questions }: ShowCall): Promise<Shown> {
  const ofService = SERVICE_KINDS.find((name): name is ServiceKind => name === kind)
  const place = node === undefined || ofService !== undefined ? undefined : placeOf(node, flags.namespace, loaded)
  return ofService !== undefined
    ? (await import('./show-services.js')).showServiceKind(ofService, { name: node, namespace: flags.namespace }, loaded)
    : kind === 'conntrack'
      ? conntrackShown(place, questions, loaded)
      : await shownOf(kind, place, loaded, flags)
}

function conntrackShown(place: string | undefined, questions: readonly After[], { network }: Loaded): Shown {
  const shown = showConntrack(network, place, questions)
  if ('text' in shown) return shown
  throw new UsageError(shown.map(({ what, fix }) => (fix === '' ? what : `${what}\n    ${fix}`)).join('\n'))
}

async function shownOf(
  kind: Exclude<StateKind, 'conntrack'>,
  place: string | undefined,
  loaded: Loaded,
  { all, dialect, table: routes }: ShowFlags,
): Promise<Shown> {
  const ofBgp = BGP_KINDS.find((name): name is BgpKind => name === kind)
  const ofIpam = IPAM_KINDS.find((name): name is IpamKind => name === kind)
  if (ofBgp !== undefined) return (await import('./show-bgp.js')).showBgp(ofBgp, { place, all, dialect }, loaded)
  if (ofIpam !== undefined) return (await import('./show-ipam.js')).showIpam(ofIpam, place, loaded)
  const ofCluster = CLUSTER_KINDS.find((name) => name === kind)
  const ofFile = FILE_KINDS.find((name) => name === kind)
  if (ofCluster !== undefined) return showCluster(ofCluster, place, loaded)
  if (ofFile !== undefined) return showFiles(ofFile, place, loaded)
  const ofNetns = all ? ALL_SYSCTLS : routes !== undefined ? routesOfTable(routes) : NETNS_KINDS[kind as NetnsKindName]
  return showNetns(ofNetns, place, loaded.network)
}

/** A node's name first, then `ns/pod`, `router/NAME`, then a bare pod of the namespace. @throws UsageError that names the nearest */
function placeOf(word: string, namespace: string, { network }: Loaded): string {
  const bare = word.replace(/^(node|host|pod)\//, '')
  const candidates = [word, bare, `${namespace}/${bare}`]
  const found = candidates.find((name) => network.dataplane(name) !== undefined)
  if (found === undefined) throw new UsageError(`there is no node or pod '${word}'. ${suggestName(word, [...network.dataplanes.keys()])}`)
  return found
}

function dataplanesOf(place: string | undefined, network: Network): Dataplane[] {
  const names = place === undefined ? network.nodeNames : [place]
  return names.flatMap((name) => network.dataplane(name) ?? [])
}

function showNetns({ part, text }: NetnsKind, place: string | undefined, network: Network): Shown {
  const shown = dataplanesOf(place, network)
  const items = shown.map((dataplane) => ({ netns: dataplane.netns, entries: inWords(part(dataplane)) }))
  return { items, text: withHeadings(shown.map((dataplane) => [dataplane.netns, text(dataplane)])) }
}

function showFiles(kind: FileKind, place: string | undefined, { network, cluster }: Loaded): Shown {
  const entries = [...network.subnetEnv].filter(([name]) => place === undefined || name === place)
  const texts = entries.map(([name, text]): [string, string] => [name, kind === 'subnet-env' ? text : dockerText(text, cluster.flannel.version)])
  if (texts.length === 0) return { items: [], text: `# no flanneld has written a subnet.env${place === undefined ? '' : ` on ${place}`}\n` }
  return { items: texts.map(([node, text]) => ({ node, text })), text: withHeadings(texts) }
}

function dockerText(subnetEnv: string, version: string): string {
  const { env } = parseSubnetEnv(subnetEnv, 'subnet.env')
  return env === undefined ? '' : formatDockerOptions(dockerOptions(env), version)
}

function showCluster(kind: ClusterKind, place: string | undefined, loaded: Loaded): Shown {
  switch (kind) {
    case 'nodes':
      return showNodes(place, loaded)
    case 'pods':
      return showPods(place, loaded)
    case 'leases':
      return showLeases(loaded.network)
    case 'etcd':
      return showEtcd(loaded.network)
  }
}

function rowsShown(heading: readonly string[], rows: readonly (readonly (string | undefined)[])[]): Shown {
  const keys = heading.map((word) => word.toLowerCase().replace(/-(.)/g, (_, letter: string) => letter.toUpperCase()))
  const fields = (row: readonly (string | undefined)[]): [string, string | undefined][] => keys.map((key, column) => [key, row[column]])
  const items = rows.map((row) => Object.fromEntries(fields(row).filter(([, value]) => value !== undefined && value !== '')))
  return { items, text: table(heading, rows) }
}

function showNodes(place: string | undefined, { cluster, network }: Loaded): Shown {
  const nodes = cluster.nodes.filter((node) => place === undefined || node.name === place)
  const leases = new Map(network.leases.map(({ node, lease }) => [node, formatCidr(lease.subnet)]))
  const rows = nodes.map((node) => [
    node.name,
    formatIp(node.address),
    leases.get(node.name) ?? (node.podCIDR === undefined ? undefined : formatCidr(node.podCIDR)),
    node.segment === '' ? undefined : node.segment,
    `${node.mtu}`,
  ])
  return rowsShown(['NAME', 'INTERNAL-IP', 'POD-SUBNET', 'SEGMENT', 'MTU'], rows)
}

function showPods(place: string | undefined, { cluster, network }: Loaded): Shown {
  const pods = cluster.pods.filter((pod) => place === undefined || pod.node === place || `${pod.namespace}/${pod.name}` === place)
  // the last columns only where they say something
  const last = [
    ['DNS', (pod: ClusterPod) => dnsName(pod, network)],
    ['MADE-OF', madeOf],
    ['WHY', ({ pending }: ClusterPod) => pending],
  ] as const
  const told = last.filter(([, tell]) => pods.some((pod) => tell(pod) !== undefined))
  const rows = pods.map((pod) => [
    pod.namespace,
    pod.name,
    pod.pending === undefined ? pod.phase : 'Pending',
    podAddress(pod, network),
    pod.node,
    ...told.map(([, tell]) => tell(pod)),
  ])
  return rowsShown(['NAMESPACE', 'NAME', 'STATUS', 'IP', 'NODE', ...told.map(([heading]) => heading)], rows)
}

/** Its own name under its headless Service, where DNS answers to it. */
function dnsName({ hostname, subdomain, namespace }: ClusterPod, network: Network): string | undefined {
  if (hostname === undefined || subdomain === undefined) return undefined
  const name = `${hostname}.${subdomain}.${namespace}.svc.${network.cluster.clusterDomain}`
  return answer(network.dns, { name, type: 'A' }).records.length > 0 ? name : undefined
}

/** The workload whose template the pod is a copy of; a name that an API server would have drawn is netsim's draw. */
function madeOf({ assumed, object, hostname, name }: ClusterPod): string | undefined {
  if (!assumed) return undefined
  return `${object.kind}/${object.name}${hostname === name ? '' : ' (name assumed)'}`
}

/** What it has, not only what it was told: IPAM may have drawn it. */
function podAddress(pod: ClusterPod, network: Network): string | undefined {
  const address = network.addressOf(pod)
  return address === undefined ? undefined : formatIp(address)
}

function showLeases(network: Network): Shown {
  const rows = network.leases.map(({ node, lease }) => {
    const { publicIp, backendType, backendData } = lease.attributes
    // Through the v3 API a key without an end shows one a second ago.
    const ends = lease.expiresNs === undefined || lease.expiresNs < 0 ? 'never' : `${Math.round(lease.expiresNs / 1e9)}s`
    // Leases of the udp backend name none.
    return [formatCidr(lease.subnet), formatIp(publicIp), node, backendType, ends, backendData === undefined ? undefined : JSON.stringify(backendData)]
  })
  return rowsShown(['SUBNET', 'PUBLIC-IP', 'NODE', 'BACKEND', 'EXPIRES', 'BACKEND-DATA'], rows)
}

/** As `etcdctl get --prefix` prints it: a key, its value, a line each. */
function showEtcd(network: Network): Shown {
  return { items: network.etcdKeys, text: network.etcdKeys.map(({ key, value }) => `${key}\n${value}\n`).join('') }
}
