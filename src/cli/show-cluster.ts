/**
 * `netsim show nodes`, `pods`, `leases`, `etcd`, `subnet-env` and `docker-opts`: what the cluster's objects, flannel's datastore and flanneld's files say. At a
 * moment of a Scenario what the API and the datastore hold then, whether or not every agent has come to it.
 */
import { momentText } from '../analysis/timeline/duration.js'
import { formatCidr } from '../base/cidr.js'
import { formatIp } from '../base/ip.js'
import { answer } from '../cluster/dns/records.js'
import type { ClusterPod } from '../cluster/pod.js'
import { dockerOptions, formatDockerOptions, parseSubnetEnv } from '../flannel/subnet-env.js'
import type { LeaseRow } from '../network/flannel-plan.js'
import type { Network } from '../network/network.js'
import type { Run } from '../network/time/control-plane.js'
import type { LoadedMoment } from './load-moment.js'
import type { Shown } from './show-command.js'
import { withHeadings } from './show-heading.js'
import type { ClusterKind, FileKind } from './show-names.js'
import { table } from './table.js'

export function showFiles(kind: FileKind, place: string | undefined, { network, cluster }: LoadedMoment): Shown {
  const entries = [...network.subnetEnv].filter(([name]) => place === undefined || name === place)
  const texts = entries.map(([name, text]): [string, string] => [name, kind === 'subnet-env' ? text : dockerText(text, cluster.flannel.version)])
  if (texts.length === 0) return { items: [], text: `# no flanneld has written a subnet.env${place === undefined ? '' : ` on ${place}`}\n` }
  return { items: texts.map(([node, text]) => ({ node, text })), text: withHeadings(texts) }
}

function dockerText(subnetEnv: string, version: string): string {
  const { env } = parseSubnetEnv(subnetEnv, 'subnet.env')
  return env === undefined ? '' : formatDockerOptions(dockerOptions(env), version)
}

export function showCluster(kind: ClusterKind, place: string | undefined, loaded: LoadedMoment): Shown {
  switch (kind) {
    case 'nodes':
      return showNodes(place, loaded)
    case 'pods':
      return showPods(place, loaded)
    case 'leases':
      return showLeases(loaded)
    case 'etcd':
      return showEtcd(loaded)
  }
}

function rowsShown(heading: readonly string[], rows: readonly (readonly (string | undefined)[])[]): Shown {
  const keys = heading.map((word) => word.toLowerCase().replace(/-(.)/g, (_, letter: string) => letter.toUpperCase()))
  const fields = (row: readonly (string | undefined)[]): [string, string | undefined][] => keys.map((key, column) => [key, row[column]])
  const items = rows.map((row) => Object.fromEntries(fields(row).filter(([, value]) => value !== undefined && value !== '')))
  return { items, text: table(heading, rows) }
}

function showNodes(place: string | undefined, { cluster, network, told, ended, compared }: LoadedMoment): Shown {
  const nodes = cluster.nodes.filter((node) => place === undefined || node.name === place)
  const leases = new Map((ended?.().flannel?.leases ?? network.leases).map(({ node, lease }) => [node, formatCidr(lease.subnet)]))
  const rows = nodes.map((node) => [
    node.name,
    formatIp(node.address),
    leases.get(node.name) ?? (node.podCIDR === undefined ? undefined : formatCidr(node.podCIDR)),
    node.segment === '' ? undefined : node.segment,
    `${told?.mtuOf(node.name) ?? node.mtu}`,
    told?.stateOf(node.name),
  ])
  // only where it says something
  const heading = ['NAME', 'INTERNAL-IP', 'POD-SUBNET', 'SEGMENT', 'MTU', 'STATE'].slice(
    0,
    (compared === true && told !== undefined) || rows.some((row) => row[5] !== undefined) ? 6 : 5,
  )
  return rowsShown(
    heading,
    rows.map((row) => row.slice(0, heading.length)),
  )
}

function showPods(place: string | undefined, { cluster, network, told, compared }: LoadedMoment): Shown {
  const pods = cluster.pods.filter((pod) => place === undefined || pod.node === place || `${pod.namespace}/${pod.name}` === place)
  // the last columns only where they say something
  const last = [
    ['DNS', (pod: ClusterPod) => dnsName(pod, network)],
    ['MADE-OF', madeOf],
    ['WHY', ({ pending }: ClusterPod) => pending],
  ] as const
  const extra = last.filter(([, tell]) => compared === true || pods.some((pod) => tell(pod) !== undefined))
  const rows = pods.map((pod) => [
    pod.namespace,
    pod.name,
    pod.pending === undefined ? pod.phase : 'Pending',
    podAddress(pod, told ?? network),
    pod.node,
    ...extra.map(([, tell]) => tell(pod)),
  ])
  return rowsShown(['NAMESPACE', 'NAME', 'STATUS', 'IP', 'NODE', ...extra.map(([heading]) => heading)], rows)
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
function podAddress(pod: ClusterPod, of: Pick<Network, 'addressOf'>): string | undefined {
  const address = of.addressOf(pod)
  return address === undefined ? undefined : formatIp(address)
}

/** In the datastore: an agent may know of others still. */
function showLeases({ network, ended }: LoadedMoment): Shown {
  const run = ended?.()
  const held: readonly LeaseRow[] = run?.flannel?.leases ?? network.leases
  const rows = held.map(({ node, lease }) => {
    const { publicIp, backendType, backendData } = lease.attributes
    // Through the v3 API a key without an end shows one a second ago.
    const ends =
      lease.expiresNs === undefined || lease.expiresNs < 0
        ? 'never'
        : run === undefined
          ? `${Math.round(lease.expiresNs / 1e9)}s`
          : momentText(lease.expiresNs - run.startNs)
    // Leases of the udp backend name none.
    return [formatCidr(lease.subnet), formatIp(publicIp), node, backendType, ends, backendData === undefined ? undefined : JSON.stringify(backendData)]
  })
  return withAbsence(rowsShown(['SUBNET', 'PUBLIC-IP', 'NODE', 'BACKEND', 'EXPIRES', 'BACKEND-DATA'], rows), run)
}

/** As `etcdctl get --prefix` prints it: a key, its value, a line each. */
function showEtcd({ network, ended }: LoadedMoment): Shown {
  const run = ended?.()
  const keys = run?.flannel === undefined ? network.etcdKeys : [...run.flannel.etcdKeys, ...(network.calico?.etcdKeys ?? [])]
  return withAbsence({ items: keys, text: keys.map(({ key, value }) => `${key}\n${value}\n`).join('') }, run)
}

/** A server that is away answers nobody; what it holds is on its disk. */
function withAbsence(shown: Shown, run: Run | undefined): Shown {
  if (run?.flannel?.answers !== false) return shown
  return { ...shown, text: `# etcd does not answer now: this is what it has on its disk\n${shown.text}`, more: { answers: false } }
}
