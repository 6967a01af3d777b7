/**
 * The rules of one service port on one node, for the chains that all services share and for its own.
 *
 *   KUBE-SERVICES ─┬─ cluster IP ──────────▶ SVC | SVL ─▶ SEP ─▶ DNAT
 *                  ├─ external IP ─▶ EXT ──▶ SVC | SVL
 *                  ├─ load balancer ─▶ FW ─▶ EXT
 *                  └─ KUBE-NODEPORTS ──────▶ EXT
 * Source: kubernetes pkg/proxy/iptables/proxier.go syncProxyRules, writeServiceToEndpointRules.
 */
import { contains } from '../base/cidr.js'
import type { Ip } from '../base/ip.js'
import type { ChainEdit, Match, Rule, Target } from '../dataplane/iptables.js'
import { canonicalProbability } from '../dataplane/iptables-value.js'
import { chooseEndpoints, type EndpointChoice, type ProxyNode } from './endpoint-choice.js'
import type { LocalDetector } from './local-detector.js'
import { ACCEPT, comment, createChain, DROP, from, FROM_LOCAL, jump, protocol, REJECT, ruleOf, to, TO_LOCAL, toPort } from './rule.js'
import { MARK_MASQUERADE, virtualAddresses, type ProxiedEndpoint, type ProxiedPort } from './service-port.js'

/** What a service port's rules depend on besides itself. */
export interface PortSurroundings extends ProxyNode {
  readonly nodeAddress: Ip
  /** undefined: not implemented. */
  readonly detector: LocalDetector | undefined
  readonly masqueradeAll: boolean
  readonly large: boolean
}

export interface ServicePortRules {
  readonly natServices: readonly Rule[]
  readonly natNodePorts: readonly Rule[]
  readonly filterServices: readonly Rule[]
  readonly externalServices: readonly Rule[]
  readonly proxyFirewall: readonly Rule[]
  readonly filterNodePorts: readonly Rule[]
  /** In nat. */
  readonly chains: readonly ChainEdit[]
}

/** A port, its endpoints here, and what follows from the two. */
interface PortHere {
  readonly port: ProxiedPort
  readonly at: PortSurroundings
  readonly choice: EndpointChoice<ProxiedEndpoint>
  readonly hasInternal: boolean
  readonly hasExternal: boolean
  readonly firewalled: boolean
  readonly addresses: readonly Ip[]
}

export function portRules(port: ProxiedPort, at: PortSurroundings): ServicePortRules {
  const choice = chooseEndpoints(port.endpoints, port.use, at)
  const { service } = port
  const reachable = (local: boolean): boolean => choice.any && !(local && choice.local.length === 0)
  const addresses = virtualAddresses(service)
  const here: PortHere = {
    port,
    at,
    choice,
    hasInternal: reachable(service.internalLocal),
    hasExternal: reachable(service.externalLocal),
    firewalled: choice.any && addresses.length > 0 && service.sourceRanges.length > 0,
    addresses,
  }
  return {
    natServices: captured(here),
    natNodePorts: choice.any ? nodePortRules(here, [comment(port.name)], jump(port.chains.external)) : [],
    filterServices: here.hasInternal ? [] : [ruleOf(port.provenance, destined(port, service.clusterIP, refusal(here)), refused(here))],
    externalServices: here.hasExternal ? [] : closed(here),
    proxyFirewall: here.firewalled ? firewallDrops(here) : [],
    filterNodePorts: healthCheck(port),
    chains: serviceChains(here),
  }
}

/** `-d ADDRESS -p tcp -m comment … -m tcp --dport PORT` */
function destined({ port }: ProxiedPort, address: Ip, words: string): Match[] {
  return [to(address), protocol(port.protocol), comment(words), toPort(port.protocol, port.port)]
}

/** nat KUBE-SERVICES: addresses of this port that have endpoints behind them. */
function captured({ port, choice, hasInternal, firewalled, addresses }: PortHere): Rule[] {
  const { name, service, chains, provenance } = port
  const rules: Rule[] = []
  if (hasInternal) rules.push(ruleOf(provenance, destined(port, service.clusterIP, `${name} cluster IP`), jump(internalChain(port))))
  if (!choice.any) return rules
  for (const address of service.externalIPs) rules.push(ruleOf(provenance, destined(port, address, `${name} external IP`), jump(chains.external)))
  const balanced = jump(firewalled ? chains.firewall : chains.external)
  for (const address of addresses) rules.push(ruleOf(provenance, destined(port, address, `${name} loadbalancer IP`), balanced))
  return rules
}

function internalChain({ service, chains }: ProxiedPort): string {
  return service.internalLocal ? chains.local : chains.cluster
}

function nodePortRules({ port }: PortHere, words: readonly Match[], target: Target): Rule[] {
  const { nodePort, protocol: name } = port.port
  return nodePort === undefined ? [] : [ruleOf(port.provenance, [protocol(name), ...words, toPort(name, nodePort)], target)]
}

/** Why what is not captured is refused. */
function refusal({ port, choice }: PortHere): string {
  return `${port.name} has no ${choice.any ? 'local ' : ''}endpoints`
}

function refused({ choice }: PortHere): Target {
  return choice.any ? DROP : REJECT
}

/** KUBE-EXTERNAL-SERVICES: what EXT has not sent anywhere. */
function closed(here: PortHere): Rule[] {
  const { port, addresses } = here
  const words = refusal(here)
  return [
    ...[...port.service.externalIPs, ...addresses].map((address) => ruleOf(port.provenance, destined(port, address, words), refused(here))),
    ...nodePortRules(here, [comment(words), TO_LOCAL], refused(here)),
  ]
}

/** KUBE-PROXY-FIREWALL: what FW let fall through. */
function firewallDrops({ port, addresses }: PortHere): Rule[] {
  return addresses.map((address) => ruleOf(port.provenance, destined(port, address, `${port.name} traffic not accepted by ${port.chains.firewall}`), DROP))
}

function healthCheck({ name, service, provenance }: ProxiedPort): Rule[] {
  const { type, externalLocal, healthCheckNodePort } = service
  if (type !== 'LoadBalancer' || !externalLocal || healthCheckNodePort === 0) return []
  return [ruleOf(provenance, [protocol('TCP'), comment(`${name} health check node port`), toPort('TCP', healthCheckNodePort)], ACCEPT)]
}

function serviceChains(here: PortHere): ChainEdit[] {
  const { port, choice, firewalled, hasInternal } = here
  const { chains, use } = port
  const masquerade = hasInternal ? internalMasquerade(here) : []
  const usesExternal = choice.any && port.externallyAccessible
  const balancing = (chain: string, endpoints: readonly ProxiedEndpoint[]): ChainEdit =>
    createChain('nat', chain, [...(chain === internalChain(port) ? masquerade : []), ...balance(here, endpoints)])
  return [
    ...(usesExternal ? [createChain('nat', chains.external, externalTraffic(here))] : []),
    ...(firewalled ? [createChain('nat', chains.firewall, firewallTraffic(here))] : []),
    ...(use.cluster && choice.cluster.length > 0 ? [balancing(chains.cluster, choice.cluster)] : []),
    ...(use.local && choice.local.length > 0 ? [balancing(chains.local, choice.local)] : []),
    ...choice.reachable.map(({ chain }) => chain),
  ]
}

/** What does not come from a pod of the cluster would be answered past this node. */
function internalMasquerade({ port, at }: PortHere): Rule[] {
  const [address, proto, ...rest] = destined(port, port.service.clusterIP, `${port.name} cluster IP`)
  if (at.masqueradeAll) return [ruleOf(port.provenance, [address, proto, ...rest], MARK_MASQUERADE)]
  if (at.detector === undefined) return []
  return [ruleOf(port.provenance, [at.detector.notLocal, address, proto, ...rest], MARK_MASQUERADE)]
}

/** EXT. */
function externalTraffic({ port, at, hasExternal }: PortHere): Rule[] {
  const { name, service, chains, provenance } = port
  const rule = (words: string, matches: readonly Match[], target: Target): Rule => {
    const builtin = matches.filter(({ kind }) => kind !== 'addrtype')
    const rest = matches.filter(({ kind }) => kind === 'addrtype')
    return ruleOf(provenance, [...builtin, comment(`${words} ${name} external destinations`), ...rest], target)
  }
  if (!service.externalLocal) return [rule('masquerade traffic for', [], MARK_MASQUERADE), ruleOf(provenance, [], jump(chains.cluster))]
  return [
    // as if it went out to the load balancer and came back
    ...(at.detector === undefined ? [] : [rule('pod traffic for', [at.detector.local], jump(chains.cluster))]),
    rule('masquerade LOCAL traffic for', [FROM_LOCAL], MARK_MASQUERADE),
    rule('route LOCAL traffic for', [FROM_LOCAL], jump(chains.cluster)),
    ...(hasExternal ? [ruleOf(provenance, [], jump(chains.local))] : []),
  ]
}

/** FW. A node that holds the address as its own sends from it. */
function firewallTraffic({ port, at, addresses }: PortHere): Rule[] {
  const { name, service, chains, provenance } = port
  const words = comment(`${name} loadbalancer IP`)
  const external = jump(chains.external)
  const fromNode = service.sourceRanges.some((range) => contains(range, at.nodeAddress))
  return [
    ...service.sourceRanges.map((net) => ruleOf(provenance, [{ kind: 'source', net }, words], external)),
    ...(fromNode ? addresses.map((address) => ruleOf(provenance, [from(address), words], external)) : []),
    ruleOf(provenance, [comment(`other traffic to ${name} will be dropped by KUBE-PROXY-FIREWALL`)]),
  ]
}

/** SVC and SVL: those who were here before go where they went, the others are dealt out evenly. */
function balance({ port, at }: PortHere, endpoints: readonly ProxiedEndpoint[]): Rule[] {
  const { affinitySeconds: seconds } = port.service
  const wordsOf = (endpoint: ProxiedEndpoint): Match[] => (at.large ? [] : [comment(`${port.name} -> ${endpoint.text}`)])
  const known = (name: string): Match => ({ kind: 'recent', action: 'rcheck', name, side: 'source', mask: -1, seconds, reap: true })
  const sticky =
    seconds === undefined
      ? []
      : endpoints.map((endpoint) => ruleOf(port.provenance, [...wordsOf(endpoint), known(endpoint.chain.chain)], jump(endpoint.chain.chain)))
  const dealt = endpoints.map((endpoint, index) => {
    const left = endpoints.length - index
    const draw: Match[] = left === 1 ? [] : [{ kind: 'statistic-random', probability: canonicalProbability(probability(left)) as string }]
    return ruleOf(port.provenance, [...wordsOf(endpoint), ...draw], jump(endpoint.chain.chain))
  })
  return [...sticky, ...dealt]
}

/** As iptables is told: ten decimals (computeProbability); iptables-save shows eleven of what the kernel made of it. */
export function probability(left: number): string {
  return (1 / left).toFixed(10)
}
