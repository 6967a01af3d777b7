/**
 * What a dump shows and the input does not tell enough of: Services of namespaces that were not given, policies where there is none in the input, rules of
 * releases that write them otherwise. It is left out on both sides, and named with what to give: a false alarm is worse than none.
 */
import { CALICO_CLASSIC, calicoProfile } from '../../calico/version.js'
import { isObject } from '../../cluster/located.js'
import type { Dataplane } from '../../dataplane/dataplane.js'
import type { Chain, Rule, Table } from '../../dataplane/iptables.js'
import type { Network } from '../../network/network.js'
import type { DriftView } from './difference.js'
import { jumpOf } from './rule-meaning.js'
import { unknownBlocks } from './unknown-blocks.js'
import { unknownPods } from './unknown-pods.js'

export interface Unjudged {
  /** What is not compared, why, and what to give; absent: that is told as a finding. */
  readonly what?: string
  readonly without: (dataplane: Dataplane) => Dataplane
}

export function unjudgedOf(view: DriftView): readonly Unjudged[] {
  const { network, node, there, expected, facts } = view
  const all = [
    ...foreignTables(view),
    unknownPods(view),
    olderProxy(network, node),
    unknownServices(network, there),
    otherRelease(network, there),
    unknownPolicies(network, there),
    unknownBlocks(network, facts, { expected, there }),
  ]
  return all.flatMap((one) => one ?? [])
}

/** Tables that iptables-nft-save refuses to print (iptables-save-read.ts, keepForeign): whether the agents' chains are in them nobody can tell. */
function foreignTables({ there, collected }: DriftView): readonly Unjudged[] {
  const isForeign = ({ chains }: Table): boolean =>
    chains.length > 0 &&
    chains.every(
      ({ policy, rules }) => policy !== undefined && rules.some(({ matches }) => matches.some((one) => one.kind === 'unknown' && one.module === 'nft')),
    )
  return [...new Set(there.iptables.tables.filter(isForeign).map(({ name }) => name))].map((name) => {
    const file = collected?.iptablesBackends.find(({ backend }) => backend === 'nft')?.file
    return {
      what: `the table ${name} of iptables-nft: it has rules that only nft shows${file === undefined ? '' : ` (${file})`}`,
      without: (dataplane) => ({ ...dataplane, iptables: { tables: dataplane.iptables.tables.filter((table) => table.name !== name) } }),
    }
  })
}

function withoutRules(is: (rule: Rule, chain: Chain, table: Table) => boolean): Unjudged['without'] {
  return (dataplane) => ({
    ...dataplane,
    iptables: {
      tables: dataplane.iptables.tables.map((table) => ({
        ...table,
        chains: table.chains.map((chain) =>
          chain.rules.some((rule) => is(rule, chain, table)) ? { ...chain, rules: chain.rules.filter((rule) => !is(rule, chain, table)) } : chain,
        ),
      })),
    },
  })
}

/** With the rules that lead there. */
function withoutChains(is: (name: string) => boolean, sets: (name: string) => boolean = () => false): Unjudged['without'] {
  const rules = withoutRules((rule) => is(jumpOf(rule) ?? ''))
  return (dataplane) => {
    const rest = rules(dataplane)
    const tables = rest.iptables.tables.map((table) => ({ ...table, chains: table.chains.filter(({ name }) => !is(name)) }))
    return { ...rest, iptables: { tables }, ipsets: rest.ipsets.filter(({ name }) => !sets(name)) }
  }
}

/** The rules that are modelled are those of 1.28 and later (cluster/services/kube-proxy-config.ts). */
const PROXY_SINCE = [1, 28] as const

function olderProxy({ cluster }: Network, node: string): Unjudged | undefined {
  const { status } = cluster.nodeByName.get(node)?.object.value ?? {}
  const info = isObject(status) && isObject(status.nodeInfo) ? status.nodeInfo : {}
  const said = [info.kubeProxyVersion, info.kubeletVersion].find((text) => typeof text === 'string' && text !== '') as string | undefined
  const match = /^v?(\d+)\.(\d+)/.exec(said ?? '')
  if (match === null || cluster.kubeProxy.mode === 'none') return undefined
  const [major, minor] = [Number(match[1]), Number(match[2])]
  if (major > PROXY_SINCE[0] || (major === PROXY_SINCE[0] && minor >= PROXY_SINCE[1])) return undefined
  const what = `kube-proxy's rules: the node's is of ${said ?? ''}, and those of ${PROXY_SINCE.join('.')} and later are known`
  return { what, without: withoutChains((name) => name.startsWith('KUBE-')) }
}

/** `shop/api` of `shop/api:http cluster IP`. */
function serviceOf(rule: Rule): string | undefined {
  for (const match of rule.matches) {
    const name = match.kind === 'comment' ? /^([a-z0-9-]+\/[a-z0-9-]+)(?=[: ]|$)/.exec(match.text)?.[1] : undefined
    if (name !== undefined) return name
  }
  return undefined
}

/** Services of namespaces of which the input has none, and those whose endpoints stand in objects that the input does not have. */
function unknownServices({ cluster, services }: Network, there: Dataplane): Unjudged | undefined {
  if (cluster.kubeProxy.mode === 'none') return undefined
  const namespaces = new Set(cluster.services.map(({ namespace }) => namespace))
  const slices = new Set(cluster.objects.flatMap(({ kind, namespace }) => (kind === 'EndpointSlice' || kind === 'Endpoints' ? [namespace] : [])))
  const open = new Set(
    services.endpoints.flatMap(({ service: { namespace, name, selector }, addresses }) =>
      selector === undefined && !slices.has(namespace) && addresses.length === 0 ? [`${namespace}/${name}`] : [],
    ),
  )
  const isUnknown = (service: string): boolean => open.has(service) || !namespaces.has(service.slice(0, service.indexOf('/')))
  const hidden = new Set<string>()
  for (const { chains } of there.iptables.tables)
    for (const { name, rules } of chains) {
      if (!name.startsWith('KUBE-')) continue
      for (const rule of rules) {
        const service = serviceOf(rule)
        if (service !== undefined && isUnknown(service)) hidden.add(service)
      }
    }
  if (hidden.size === 0) return undefined
  const names = [...hidden].sort()
  const what = `the rules of ${listed(names, 'Service')}: the input has no object that says where they lead: give kubectl get services,endpointslices -A`
  const isHidden = (rule: Rule): boolean => {
    const service = serviceOf(rule)
    return service !== undefined && hidden.has(service)
  }
  return { what, without: withoutRules((rule, { name }) => name.startsWith('KUBE-') && isHidden(rule)) }
}

const SHOWN = 3

function listed(names: readonly string[], word: string): string {
  const more = names.length > SHOWN ? ` and ${names.length - SHOWN} more` : ''
  return `${names.length === 1 ? `the ${word}` : `${names.length} ${word}s`} ${names.slice(0, SHOWN).join(', ')}${more}`
}

const FELIX_CHAIN = /^cali-/
const FELIX_SET = /^cali[46]/

/** Names, marks and orders of chains move with Calico's releases. */
function otherRelease({ cluster, calico }: Network, { ipsets }: Dataplane): Unjudged | undefined {
  if (calico === undefined) return undefined
  const { version } = cluster.calico
  const older = ipsets.some(({ name }) => name === 'cali40all-ipam-pools') && !ipsets.some(({ name }) => name === 'cali40network-ip-pools')
  const isKnown = calicoProfile(version) !== undefined || calico.cluster.release === CALICO_CLASSIC
  if (isKnown && !older) return undefined
  const said = isKnown ? 'an older one by the names of its sets' : version
  const what = `Felix's chains and sets: those of Calico ${calico.cluster.release.version} are known, and the node's is ${said}`
  return {
    what,
    without: withoutChains(
      (name) => FELIX_CHAIN.test(name),
      (name) => FELIX_SET.test(name),
    ),
  }
}

const POLICY_KINDS = new Set([
  'NetworkPolicy',
  'GlobalNetworkPolicy',
  'ClusterNetworkPolicy',
  'AdminNetworkPolicy',
  'BaselineAdminNetworkPolicy',
  'Tier',
  'StagedNetworkPolicy',
  'HostEndpoint',
  'Profile',
])

/** A cluster without any is one whose policies were not asked for, where the node has chains of some. */
function unknownPolicies({ cluster, calico }: Network, { iptables }: Dataplane): Unjudged | undefined {
  if (calico === undefined || cluster.objects.some(({ kind }) => POLICY_KINDS.has(kind))) return undefined
  const filter = iptables.tables.find(({ name }) => name === 'filter')
  const chains = filter?.chains.filter(({ name, rules }) => /^cali-p[io]-/.test(name) && rules.length > 0) ?? []
  if (chains.length === 0) return undefined
  const what =
    `policies: the input has none, and the node has ${chains.length} ${chains.length === 1 ? 'chain' : 'chains'} of some: ` +
    'give kubectl get networkpolicies,networkpolicies.crd.projectcalico.org,globalnetworkpolicies,tiers,globalnetworksets,networksets -A'
  return { what, without: withoutRules((_, { name }) => /^cali-([tf][wh]|p[io]|pr[io]|g[io])-/.test(name)) }
}
