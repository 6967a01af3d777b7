/** Words of kube-proxy's rules, in the order in which iptables-save shows them: addresses and protocol, then comment and the other modules, then ports. */
import { cidr } from '../base/cidr.js'
import type { Ip } from '../base/ip.js'
import type { ServiceProtocol } from '../cluster/services/service.js'
import type { ChainEdit, HookName, Match, Rule, TableName, Target } from '../dataplane/iptables.js'
import type { Provenance } from '../dataplane/dataplane.js'

export const KUBE_PROXY = 'kube-proxy'
const NUMBERS: Readonly<Record<ServiceProtocol, number>> = { TCP: 6, UDP: 17, SCTP: 132 }
const MODULES = { TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' } as const

export const ACCEPT: Target = { kind: 'ACCEPT' }
export const DROP: Target = { kind: 'DROP' }
export const RETURN: Target = { kind: 'RETURN' }
/** REJECT without an option. */
export const REJECT: Target = { kind: 'REJECT', with: 'icmp-port-unreachable' }
export const TO_LOCAL: Match = { kind: 'addrtype', side: 'dst', types: ['LOCAL'] }
export const FROM_LOCAL: Match = { kind: 'addrtype', side: 'src', types: ['LOCAL'] }
export const NEW: Match = { kind: 'ctstate', module: 'conntrack', states: ['NEW'] }

export function jump(chain: string): Target {
  return { kind: 'jump', chain }
}

export function from(address: Ip): Match {
  return { kind: 'source', net: cidr(address, 32) }
}

export function to(address: Ip): Match {
  return { kind: 'destination', net: cidr(address, 32) }
}

export function comment(text: string): Match {
  return { kind: 'comment', text }
}

export function protocol(name: ServiceProtocol): Match {
  return { kind: 'protocol', proto: NUMBERS[name] }
}

/** `-m tcp` with nothing behind it. */
export function protocolModule(name: ServiceProtocol): Match {
  return { kind: 'module', module: MODULES[name] }
}

export function toPort(name: ServiceProtocol, port: number): Match {
  return { kind: 'destination-port', module: MODULES[name], ports: [port, port] }
}

export function ruleOf(provenance: Provenance, matches: readonly Match[], target?: Target): Rule {
  return { matches, ...(target === undefined ? {} : { target }), provenance }
}

export function createChain(table: TableName, chain: string, rules: readonly Rule[] = []): ChainEdit {
  return { table, chain, action: 'create', rules }
}

/** At the head: kube-proxy and kubelet put every jump above what is there. */
export function prepend(table: TableName, hook: HookName, rule: Rule): ChainEdit {
  return { table, chain: hook, action: 'insert', rules: [rule] }
}
