/** Chains that are there whatever the Services are: kubelet's, the jumps from the kernel's own chains, and what every packet to a service passes. */
import { cidr } from '../base/cidr.js'
import { ip } from '../base/ip.js'
import type { ChainEdit, HookName, Match, Rule, TableName } from '../dataplane/iptables.js'
import { CHAIN } from './chain-names.js'
import { ACCEPT, comment, createChain, DROP, jump, KUBE_PROXY, NEW, prepend, RETURN, ruleOf } from './rule.js'

const LOOPBACK = cidr(ip('127.0.0.0'), 8)
const KUBELET = { by: 'kubelet' }
const PROXY = { by: KUBE_PROXY }
const CANARY_TABLES: readonly TableName[] = ['mangle', 'nat', 'filter']

/** kubelet starts first. Source: kubernetes pkg/kubelet/kubelet_network_linux.go. */
export function kubeletEdits(): ChainEdit[] {
  const martian: readonly Match[] = [
    { kind: 'source', net: LOOPBACK, invert: true },
    { kind: 'destination', net: LOOPBACK },
    comment('block incoming localnet connections'),
    { kind: 'ctstate', module: 'conntrack', states: ['RELATED', 'ESTABLISHED', 'DNAT'], invert: true },
  ]
  const toFirewall = ruleOf(KUBELET, [], jump(CHAIN.firewall))
  return [
    createChain('mangle', 'KUBE-IPTABLES-HINT'),
    createChain('filter', CHAIN.firewall, [ruleOf(KUBELET, martian, DROP)]),
    prepend('filter', 'OUTPUT', toFirewall),
    prepend('filter', 'INPUT', toFirewall),
    ...CANARY_TABLES.map((table) => createChain(table, 'KUBE-KUBELET-CANARY')),
  ]
}

/** An empty chain in each table: when it is gone, somebody flushed the rules. */
export function canaryEdits(): ChainEdit[] {
  return CANARY_TABLES.map((table) => createChain(table, 'KUBE-PROXY-CANARY'))
}

const PORTALS = 'kubernetes service portals'
const VISIBLE = 'kubernetes externally-visible service portals'
const BALANCED = 'kubernetes load balancer firewall'

/** In the order of iptablesJumpChains: each goes above the ones before it. */
const JUMPS: readonly (readonly [TableName, HookName, string, string, ...Match[]])[] = [
  ['filter', 'INPUT', CHAIN.externalServices, VISIBLE, NEW],
  ['filter', 'FORWARD', CHAIN.externalServices, VISIBLE, NEW],
  ['filter', 'INPUT', CHAIN.nodePorts, 'kubernetes health check service ports'],
  ['filter', 'FORWARD', CHAIN.services, PORTALS, NEW],
  ['filter', 'OUTPUT', CHAIN.services, PORTALS, NEW],
  ['filter', 'FORWARD', CHAIN.forward, 'kubernetes forwarding rules'],
  ['filter', 'INPUT', CHAIN.proxyFirewall, BALANCED, NEW],
  ['filter', 'OUTPUT', CHAIN.proxyFirewall, BALANCED, NEW],
  ['filter', 'FORWARD', CHAIN.proxyFirewall, BALANCED, NEW],
  ['nat', 'OUTPUT', CHAIN.services, PORTALS],
  ['nat', 'PREROUTING', CHAIN.services, PORTALS],
  ['nat', 'POSTROUTING', CHAIN.postrouting, 'kubernetes postrouting rules'],
]

export function jumpEdits(): ChainEdit[] {
  return JUMPS.map(([table, hook, chain, words, ...matches]) => prepend(table, hook, ruleOf(PROXY, [...matches, comment(words)], jump(chain))))
}

/** @param mark the bit itself, 0x4000 */
export function postroutingRules(mark: number): Rule[] {
  return [
    ruleOf(PROXY, [{ kind: 'mark', value: mark, mask: mark, invert: true }], RETURN),
    // so that what comes by again in a tunnel is not masqueraded again
    ruleOf(PROXY, [], { kind: 'MARK', value: mark, mask: 0 }),
    ruleOf(PROXY, [comment('kubernetes service traffic requiring SNAT')], { kind: 'MASQUERADE', random: false, randomFully: true }),
  ]
}

export function markMasqueradeRules(mark: number): Rule[] {
  return [ruleOf(PROXY, [], { kind: 'MARK', value: mark, mask: mark })]
}

/**
 * Where the kernel counts by nfacct, kube-proxy of 1.31 and later has `-m nfacct` in the first rule, and above each node port's rule one for 127.0.0.0/8 that
 * counts and jumps to where that rule jumps: left out here, no packet fares otherwise for it.
 */
export function forwardRules(mark: number, conntrackBeLiberal: boolean): Rule[] {
  const states = (...names: ('INVALID' | 'RELATED' | 'ESTABLISHED')[]): Match => ({ kind: 'ctstate', module: 'conntrack', states: names })
  return [
    ...(conntrackBeLiberal ? [] : [ruleOf(PROXY, [states('INVALID')], DROP)]),
    ruleOf(PROXY, [comment('kubernetes forwarding rules'), { kind: 'mark', value: mark, mask: mark }], ACCEPT),
    ruleOf(PROXY, [comment('kubernetes forwarding conntrack rule'), states('RELATED', 'ESTABLISHED')], ACCEPT),
  ]
}
