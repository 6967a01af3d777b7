/**
 * Rules with selectors → rules with set IDs, and what those sets are. After felix/calc/rule_scanner.go and rule_convert.go.
 */
import type { CalicoPort } from '../../cluster/calico/resource.js'
import { COMPOSED_DEPTH, isSelectorFault, parseSelector, type Selector } from '../../cluster/selector.js'
import type { BackendPolicy, BackendProfile, BackendRule, BackendSide } from './backend-policy.js'
import { uniqueId } from './hash.js'
import type { FelixPolicy, FelixPolicyRule, FelixProfile, FelixRuleSide } from './model.js'
import type { PortPair } from './rule.js'

export type NamedPortProtocol = 'tcp' | 'udp' | 'sctp' | 'any'

/** Whose addresses a set holds. */
export type SetDefinition =
  | { readonly kind: 'selector'; readonly id: string; readonly selector: Selector }
  | { readonly kind: 'namedPort'; readonly id: string; readonly selector: Selector; readonly port: string; readonly protocol: NamedPortProtocol }
  | { readonly kind: 'service'; readonly id: string; readonly service: string; readonly withPorts: boolean }

/** A selector that cannot be read: the policy is as if it were not there (felix/calc/validation_filter.go). */
class UnreadableSelector extends Error {}

function readSelector(text: string): Selector {
  const selector = parseSelector(text, COMPOSED_DEPTH)
  if (isSelectorFault(selector)) throw new UnreadableSelector(text)
  return selector
}

const EVERYTHING = readSelector('all()')

/** Sets by ID, as rules bring them up. */
export class RuleScanner {
  readonly sets = new Map<string, SetDefinition>()

  /** undefined: a selector of it cannot be read. */
  policy(policy: BackendPolicy): FelixPolicy | undefined {
    return this.guarded(() => ({
      id: policy.id,
      tier: policy.tier,
      untracked: policy.untracked,
      preDnat: policy.preDnat,
      ingress: policy.ingress.map((rule) => this.rule(rule)),
      egress: policy.egress.map((rule) => this.rule(rule)),
      provenance: policy.provenance,
    }))
  }

  profile(profile: BackendProfile): FelixProfile | undefined {
    return this.guarded(() => ({
      name: profile.name,
      ingress: profile.ingress.map((rule) => this.rule(rule)),
      egress: profile.egress.map((rule) => this.rule(rule)),
      provenance: profile.provenance,
    }))
  }

  private guarded<Result>(scan: () => Result): Result | undefined {
    try {
      return scan()
    } catch (error) {
      if (error instanceof UnreadableSelector) return undefined
      throw error
    }
  }

  private rule(rule: BackendRule): FelixPolicyRule {
    const { protocol, notProtocol } = rule
    const version = rule.ipVersion ?? (protocol === 'icmp' ? 4 : protocol === 'icmpv6' ? 6 : undefined)
    const icmp = icmpOf(rule.icmp)
    const notIcmp = icmpOf(rule.notIcmp)
    return {
      action: rule.action,
      ...(version === undefined ? {} : { ipVersion: version }),
      ...(protocol === undefined ? {} : { protocol }),
      ...(notProtocol === undefined ? {} : { notProtocol }),
      ...(icmp === undefined ? {} : { icmp }),
      ...(notIcmp === undefined ? {} : { notIcmp }),
      source: this.side(rule.source, protocol, 'source'),
      destination: this.side(rule.destination, protocol, 'destination'),
      annotations: rule.annotations,
      provenance: rule.provenance,
    }
  }

  private side(side: BackendSide, ruleProtocol: string | number | undefined, which: 'source' | 'destination'): FelixRuleSide {
    const protocol = namedPortProtocol(ruleProtocol)
    const { selector, notSelector } = combined(side)
    const positive = selector === '' ? undefined : readSelector(selector)
    const ports = split(side.ports)
    const notPorts = split(side.notPorts)
    const named = (names: readonly string[]): string[] => names.map((port) => this.add(namedPortSet({ selector: positive ?? EVERYTHING, port, protocol })))
    const sets: string[] = []
    // with named ports alone the selector is in the port sets already
    if (positive !== undefined && (ports.numbers.length > 0 || ports.names.length === 0)) sets.push(this.add(selectorSet(positive)))
    const ipPortSets: string[] = []
    if (side.service !== undefined && which === 'source') sets.push(this.add(serviceSet(side.service, false)))
    if (side.service !== undefined && which === 'destination') ipPortSets.push(this.add(serviceSet(side.service, true)))
    return {
      nets: side.nets,
      notNets: side.notNets,
      sets,
      notSets: notSelector === '' ? [] : [this.add(selectorSet(readSelector(notSelector)))],
      ports: ports.numbers,
      notPorts: notPorts.numbers,
      namedPorts: named(ports.names),
      notNamedPorts: named(notPorts.names),
      ipPortSets,
    }
  }

  private add(set: SetDefinition): string {
    if (!this.sets.has(set.id)) this.sets.set(set.id, set)
    return set.id
  }
}

/** A code without a type matches nothing in iptables' words, and is left out. */
function icmpOf(icmp: BackendRule['icmp']): { readonly type: number; readonly code?: number } | undefined {
  if (icmp?.type === undefined) return undefined
  return { type: icmp.type, ...(icmp.code === undefined ? {} : { code: icmp.code }) }
}

/** One selector where there is a positive one: what remains outside all endpoints cannot match it anyway. */
function combined({ selector, notSelector }: BackendSide): { readonly selector: string; readonly notSelector: string } {
  if (selector === '' || notSelector === '') return { selector, notSelector }
  return { selector: `(${selector}) && (!(${notSelector}))`, notSelector: '' }
}

function namedPortProtocol(protocol: string | number | undefined): NamedPortProtocol {
  switch (protocol) {
    case undefined:
      return 'any'
    case 'udp':
    case 17:
      return 'udp'
    case 'sctp':
    case 132:
      return 'sctp'
    default:
      return 'tcp'
  }
}

function split(ports: readonly CalicoPort[]): { readonly numbers: readonly PortPair[]; readonly names: readonly string[] } {
  return {
    numbers: ports.flatMap((port) => ('name' in port ? [] : [[port.from, port.to] as const])),
    names: ports.flatMap((port) => ('name' in port ? [port.name] : [])),
  }
}

function selectorSet(selector: Selector): SetDefinition {
  return { kind: 'selector', id: uniqueId('s', selector.text), selector }
}

function namedPortSet(set: { readonly selector: Selector; readonly port: string; readonly protocol: NamedPortProtocol }): SetDefinition {
  const { selector, port, protocol } = set
  return { kind: 'namedPort', id: uniqueId('n', `${uniqueId('s', selector.text)},${protocol},${port}`), selector, port, protocol }
}

export function serviceSet(service: string, withPorts: boolean): SetDefinition {
  return { kind: 'service', id: uniqueId(withPorts ? 'svc' : 'svcnoport', service), service, withPorts }
}
