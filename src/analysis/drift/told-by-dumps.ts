/**
 * What the objects of a cluster do not say and its nodes do: `kubectl get nodes,pods,services -o json` has no word of the CNI, of its configuration, of
 * kube-proxy's. From a cluster read of such objects and the dumps of its nodes to more objects, as if somebody had written them, on the lines of the dumps,
 * and to words for each thing that was taken from there. What the objects say stands.
 */
import { formatCidr, type Cidr } from '../../base/cidr.js'
import type { Cluster } from '../../cluster/cluster.js'
import type { Input } from '../../cluster/manifest.js'
import type { Cni } from '../../cluster/network-document.js'
import type { CollectedNode } from '../../collected/collected-node.js'
import { agentsOf, pluggedBy, type Seen } from './agents-of-dump.js'
import { flannelConfigOf, flannelNetworkOf, flannelVersionOf, poolsOf, proxyOf } from './settings-of-dump.js'

export interface ToldByDumps {
  readonly inputs: readonly Input[]
  /** `the CNI is flannel (n1/node/addr:12)`: what the answer rests on beside the input. */
  readonly words: readonly string[]
}

const NOTHING: ToldByDumps = { inputs: [], words: [] }

/** A document of the user's own says what it says: then nothing is taken from a dump. */
export function toldByDumps(cluster: Cluster, nodes: readonly CollectedNode[]): ToldByDumps {
  const own = nodes.filter(({ name }) => cluster.nodeByName.has(name))
  if (cluster.networkDocument !== undefined || own.length === 0) return NOTHING
  const teller = new Teller(cluster, own)
  teller.cni()
  teller.flannel()
  teller.calico()
  teller.kubeProxy()
  return teller.told
}

class Teller {
  private readonly cluster: Cluster
  private readonly nodes: readonly CollectedNode[]
  private readonly inputs: Input[] = []
  private readonly words: string[] = []
  private readonly spec: Record<string, unknown> = {}
  private network: Cni

  constructor(cluster: Cluster, nodes: readonly CollectedNode[]) {
    this.cluster = cluster
    this.nodes = nodes
    this.network = cluster.cni
  }

  get told(): ToldByDumps {
    const [{ source }] = this.nodes
    const isEmpty = Object.keys(this.spec).length === 0
    const document = { apiVersion: 'netsim/v1', kind: 'Network', metadata: { name: 'told-by-dumps' }, spec: this.spec }
    return { inputs: [...this.inputs, ...(isEmpty ? [] : [{ file: source, text: JSON.stringify(document) }])], words: this.words }
  }

  cni(): void {
    const agents = agentsOf(this.cluster)
    const seen = first(this.nodes, pluggedBy)
    if (seen === undefined || seen.cni === this.network) return
    // leftovers of another CNI are a finding: what runs by the objects' word runs
    if (this.network !== 'none' && !(this.network === 'flannel' && seen.cni === 'canal' && !agents.has('flannel'))) return
    this.network = seen.cni
    this.spec.cni = seen.cni
    this.say(`the CNI is ${seen.cni === 'none' ? 'the bridge plugin' : seen.cni}`, seen)
    if (seen.cni === 'none') this.spec.runtime = { name: 'cni' }
  }

  flannel(): void {
    if (this.network !== 'flannel' && this.network !== 'canal') return
    const { flannel, datastore } = this.cluster
    const isTold = this.cluster.cni !== 'none' && !flannel.configAssumed
    if (!isTold && (this.network !== this.cluster.cni || datastore === 'kubernetes')) {
      const config = first(this.nodes, (node) => flannelConfigOf(node, this.cluster))
      if (config !== undefined) {
        this.put({ kind: 'ConfigMap', metadata: { name: 'kube-flannel-cfg', namespace: 'kube-flannel' }, data: { 'net-conf.json': config.text } }, config)
        this.say(`flannel's configuration is ${config.text}`, config)
      }
    }
    if (agentsOf(this.cluster).get('flannel')?.object === 'DaemonSet') return
    const version = agentsOf(this.cluster).get('flannel')?.version
    const fits = version === undefined ? first(this.nodes, (node) => flannelVersionOf(node, this.cluster)) : undefined
    const ipMasq = this.nodes.find(({ subnetEnv }) => subnetEnv?.ipMasq !== undefined)?.subnetEnv?.ipMasq
    const known = version ?? fits?.version
    if (known === undefined && ipMasq === undefined) return
    this.spec.flannel = { ...(known === undefined ? {} : { version: known }), ...(ipMasq === undefined ? {} : { ipMasq }) }
    if (fits !== undefined) this.say(`flannel's version is in no object; its rules are those of ${fits.version}`, fits)
  }

  calico(): void {
    if (this.network !== 'calico' && this.network !== 'canal') return
    const { objects } = this.cluster
    const agent = agentsOf(this.cluster).get('calico')
    if (agent?.version !== undefined) this.spec.calico = { version: agent.version }
    const has = (...kinds: readonly string[]): boolean => objects.some(({ kind }) => kinds.includes(kind))
    const pools = has('IPPool', 'Installation') ? undefined : first(this.nodes, poolsOf)
    if (pools === undefined) return
    for (const { name, ...spec } of pools.pools) this.put({ apiVersion: 'projectcalico.org/v3', kind: 'IPPool', metadata: { name }, spec }, pools)
    const list = pools.pools.map(({ cidr, vxlanMode, ipipMode }) => `${cidr} (VXLAN ${vxlanMode}, IPIP ${ipipMode})`).join(', ')
    this.say(`Calico's pools are ${list}`, pools)
    // nobody else says whether there is BGP
    if (this.network === 'canal' || agent?.object === 'DaemonSet' || objects.some(({ kind, name }) => kind === 'ConfigMap' && name === 'calico-config')) return
    const calicoNetwork = { bgp: pools.bgp ? 'Enabled' : 'Disabled' }
    this.put({ apiVersion: 'operator.tigera.io/v1', kind: 'Installation', metadata: { name: 'default' }, spec: { variant: 'Calico', calicoNetwork } }, pools)
    this.say(pools.bgp ? 'Calico speaks BGP' : 'Calico speaks no BGP', pools)
  }

  kubeProxy(): void {
    const { objects, clusterCIDR } = this.cluster
    const isTold = objects.some(
      ({ kind, name, namespace }) => namespace === 'kube-system' && name === 'kube-proxy' && (kind === 'ConfigMap' || kind === 'DaemonSet'),
    )
    if (isTold) return
    const pods: Cidr | undefined = clusterCIDR ?? first(this.nodes, flannelNetworkOf)?.network
    const proxy = first(this.nodes, (node) => proxyOf(node, pods === undefined ? undefined : formatCidr(pods)))
    if (proxy === undefined) return
    this.spec.kubeProxy = proxy.settings
    this.say(proxy.what, proxy)
  }

  private put(object: Readonly<Record<string, unknown>>, { file, line }: { readonly file: string; readonly line: number }): void {
    this.inputs.push({ file, text: '\n'.repeat(Math.max(line - 1, 0)) + JSON.stringify({ apiVersion: 'v1', ...object }) })
  }

  private say(what: string, { file, line }: Pick<Seen, 'file' | 'line'>): void {
    this.words.push(`${what} (${file}${line > 0 ? `:${line}` : ''})`)
  }
}

function first<Value>(nodes: readonly CollectedNode[], of: (node: CollectedNode) => Value | undefined): Value | undefined {
  for (const node of nodes) {
    const value = of(node)
    if (value !== undefined) return value
  }
  return undefined
}
