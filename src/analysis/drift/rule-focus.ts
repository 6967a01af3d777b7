/** What rules are about: whose they are, and the questions that meet them. From chain names, provenances and matches. */
import { cidr, contains } from '../../base/cidr.js'
import type { Ip } from '../../base/ip.js'
import type { Match, PortRange, Rule } from '../../dataplane/iptables.js'
import type { DriftView, Focus } from './difference.js'
import { askers } from './ipset-differences.js'

/** Who writes chains of that name. */
const OWNERS: readonly (readonly [RegExp, string])[] = [
  [/^KUBE-(FIREWALL|KUBELET)/, 'kubelet'],
  [/^KUBE-/, 'kube-proxy'],
  [/^cali/, 'felix'],
  [/^felix-/, 'felix'],
  [/^FLANNEL/, 'flanneld'],
  [/^DOCKER/, 'docker'],
  [/^CNI-/, 'portmap'],
]

export function ownerOfChain(name: string): string | undefined {
  return OWNERS.find(([pattern]) => pattern.test(name))?.[1]
}

export function ownerOf(chain: string, rules: readonly Rule[]): string | undefined {
  return rules.find(({ provenance }) => provenance !== undefined)?.provenance?.by ?? ownerOfChain(chain)
}

const MOST_PORTS = 4
const MOST_NAMES = 6

export function focusOfRules(view: DriftView, rules: readonly Rule[], chain: string): Focus {
  const { network } = view
  const objects = rules.flatMap(({ provenance }) => provenance?.object ?? [])
  const named = (kind: string): string[] => objects.flatMap((object) => (object.startsWith(`${kind}/`) ? [object.slice(kind.length + 1).split(/[ ,]/)[0]] : []))
  const matches = rules.flatMap((rule) => rule.matches)
  const addresses = matches.flatMap(addressesOf)
  const { cluster } = network
  const services = cluster.services.filter(
    ({ namespace, name, clusterIP, externalIPs, loadBalancerAddresses }) =>
      named('Service').includes(`${namespace}/${name}`) ||
      [clusterIP, ...externalIPs, ...loadBalancerAddresses.map(({ address }) => address)].some(
        (address) => address !== undefined && addresses.includes(address),
      ),
  )
  const pods = [
    ...named('Pod'),
    ...addresses.flatMap((address) => cluster.podsByAddress.get(address) ?? []).map(({ namespace, name }) => `${namespace}/${name}`),
    ...podsOfChain(view, chain),
    ...matches.flatMap((match) => (match.kind === 'set' ? askers(view, match.set) : [])),
  ]
  const nodes = addresses.flatMap((address) => view.facts.nodeWithAddress(address) ?? view.facts.nodeBehind(cidr(address, 32)) ?? [])
  return {
    services: unique(services.map(({ namespace, name }) => `${namespace}/${name}`)).slice(0, MOST_NAMES),
    pods: unique(pods).slice(0, MOST_NAMES),
    nodes: unique(nodes)
      .filter((node) => node !== view.node)
      .slice(0, MOST_NAMES),
    ports: portsOf(rules).slice(0, MOST_PORTS),
    addresses: unique(addresses)
      .filter((address) => !view.facts.networks.some((one) => contains(one, address)) && view.facts.nodeWithAddress(address) === undefined)
      .slice(0, MOST_NAMES),
  }
}

function unique<Item>(items: readonly Item[]): readonly Item[] {
  return [...new Set(items)]
}

/** One of each prefix that is not nearly everything. */
function addressesOf(match: Match): Ip[] {
  if ((match.kind !== 'source' && match.kind !== 'destination') || match.invert === true || match.net.length < 8) return []
  return [match.net.length === 32 ? match.net.base : match.net.base + 1]
}

/** The pods of the node that a chain of Felix's is of, or that lead to it. */
function podsOfChain(view: DriftView, chain: string): readonly string[] {
  if (!chain.startsWith('cali-')) return []
  const filter = view.expected.iptables.tables.find(({ name }) => name === 'filter')?.chains ?? []
  const leading = filter.filter(
    ({ name, rules }) => name === chain || rules.some(({ target }) => (target?.kind === 'jump' || target?.kind === 'goto') && target.chain === chain),
  )
  return view.expected.devices.flatMap((device) =>
    device.kind === 'veth' && leading.some(({ name }) => /^cali-(tw|fw)-/.test(name) && name.endsWith(device.name)) ? [device.peer.netns] : [],
  )
}

/** Ports that the rules match, so that a question meets them. */
function portsOf(rules: readonly Rule[]): { readonly proto: 'tcp' | 'udp'; readonly port: number }[] {
  const found = new Map<string, { readonly proto: 'tcp' | 'udp'; readonly port: number }>()
  for (const { matches } of rules) {
    const proto = matches.some((match) => match.kind === 'protocol' && match.proto === 17) ? 'udp' : 'tcp'
    for (const match of matches) {
      const ranges: readonly PortRange[] =
        match.kind === 'destination-port' ? [match.ports] : match.kind === 'multiport' && match.side !== 'sports' ? match.ports : []
      if ('invert' in match && match.invert === true) continue
      for (const [first] of ranges) if (first > 0) found.set(`${proto} ${first}`, { proto, port: first })
    }
  }
  return [...found.values()]
}
