/**
 * Pods that the node has and the input has not: their routes, rules and members of sets are no drift. Those of namespaces of which the input has pods are
 * a finding of their own (pod-differences.ts); of others nobody asked.
 */
import { parseIp } from '../../base/ip.js'
import type { Dataplane } from '../../dataplane/dataplane.js'
import type { Match, Rule } from '../../dataplane/iptables.js'
import type { DriftView } from './difference.js'
import { addressesIn, isOfNamespace, pairPods } from './pod-differences.js'
import type { Unjudged } from './unjudged.js'

const SHOWN = 3

/** Without words where the pods are told of elsewhere. */
export function unknownPods(view: DriftView): Unjudged | undefined {
  const { collected, network, node, alignment } = view
  const plans = network.nodePlan(node)?.pods
  if (collected === undefined || plans === undefined) return undefined
  const { extra } = pairPods(plans, collected.pods)
  if (extra.length === 0) return undefined
  const addresses = new Set(extra.flatMap(addressesIn))
  const veths = new Set(extra.flatMap(({ veth }) => (veth === undefined ? [] : [alignment.toExpected.device(veth)])))
  const others = extra.filter((one) => one.known && !isOfNamespace(view, one)).map(({ name }) => name)
  const namespaces = [...new Set(others.map((name) => name.slice(0, name.indexOf('/'))))].sort()
  const list = `${namespaces.slice(0, SHOWN).join(', ')}${namespaces.length > SHOWN ? ` and ${namespaces.length - SHOWN} more` : ''}`
  const what =
    `${others.length} ${others.length === 1 ? 'pod' : 'pods'} of ${namespaces.length === 1 ? 'the namespace' : 'the namespaces'} ${list}: ` +
    'the input has no pod of there: give kubectl get pods -A'
  return { ...(others.length === 0 ? {} : { what }), without: (dataplane) => withoutPods(dataplane, { addresses, veths }) }
}

interface Gone {
  readonly addresses: ReadonlySet<number>
  readonly veths: ReadonlySet<string>
}

function withoutPods(dataplane: Dataplane, { addresses, veths }: Gone): Dataplane {
  const isOf = (match: Match): boolean =>
    ((match.kind === 'in-interface' || match.kind === 'out-interface') && veths.has(match.name)) ||
    ((match.kind === 'source' || match.kind === 'destination') && match.net.length === 32 && addresses.has(match.net.base))
  const isOfThem = ({ matches }: Rule): boolean => matches.some(isOf)
  const tables = dataplane.iptables.tables.map((table) => ({
    ...table,
    chains: table.chains.map((chain) => (chain.rules.some(isOfThem) ? { ...chain, rules: chain.rules.filter((rule) => !isOfThem(rule)) } : chain)),
  }))
  const isIn = (element: string): boolean => addresses.has(parseIp(element.split(/[,/]/)[0]) ?? 0) && !/\/(?!32\b)\d/.test(element)
  return {
    ...dataplane,
    routes: dataplane.routes.filter(({ destination, device }) => !(destination.length === 32 && addresses.has(destination.base)) && !veths.has(device ?? '')),
    neighbours: dataplane.neighbours.filter(({ device }) => !veths.has(device)),
    iptables: { tables },
    ipsets: dataplane.ipsets.map((set) =>
      set.members.some(({ element }) => isIn(element)) ? { ...set, members: set.members.filter(({ element }) => !isIn(element)) } : set,
    ),
  }
}
