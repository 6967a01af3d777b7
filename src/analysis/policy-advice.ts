/** A drop by policy: its cause in a sentence, and what would mend it, said of the rule that came nearest. */
import { formatIp } from '../base/ip.js'
import type { Match } from '../dataplane/iptables.js'
import { formatProtocol } from '../dataplane/protocols.js'
import { podsLike } from '../policy/fix/fix-selector.js'
import { policyPod } from '../policy/world.js'
import { PROTO_ICMP, PROTO_SCTP, PROTO_TCP, PROTO_UDP } from '../wire/packet.js'
import type { NearMiss, Nearness } from './near-miss.js'
import type { PacketFacts } from './packet-facts.js'
import { endpointWords } from './policy-verdict.js'
import { addressWords, type Namer } from './term-words.js'
import type { AskedPolicyDocument, PolicyReason, PolicyVerdictDocument, ProvenanceDocument } from './trace-document.js'

export interface PolicyDrop {
  readonly verdict: PolicyVerdictDocument
  readonly nearness: Nearness
  readonly facts: PacketFacts | undefined
  readonly namer: Namer
}

/** The other end, as it is seen from the endpoint: `default/web on tcp/22`. */
function otherEnd({ verdict, facts, namer }: PolicyDrop): string {
  if (facts === undefined) return 'this packet'
  const other = verdict.direction === 'egress' ? facts.dst : facts.src
  return `${nameOf(namer, other)} on ${portWords(facts)}`
}

function nameOf(namer: Namer, address: number): string {
  return /\((.*)\)$/.exec(addressWords(namer, address))?.[1] ?? formatIp(address)
}

function portWords({ proto, sport, dport }: PacketFacts): string {
  const protocol = formatProtocol(proto)
  return proto === PROTO_ICMP ? `icmp type ${sport}` : dport === 0 ? protocol : `${protocol}/${dport}`
}

/** Why the packet was dropped. */
export function dropCause(drop: PolicyDrop): string {
  const { verdict, nearness } = drop
  if (verdict.reason !== 'tier-end') return verdict.text
  const endpoint = verdict.endpoint === undefined ? 'the endpoint' : endpointWords(verdict.endpoint)
  const names = nearness.policies.map(({ policy }) => policy)
  const who = names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ')
  const rules = nearness.policies.reduce((sum, policy) => sum + policy.rules, 0)
  const none =
    rules === 0 ? `${names.length === 1 ? 'it has' : 'they have'} no ${verdict.direction ?? ''} rule` : `no rule of ${names.length === 1 ? 'it' : 'theirs'}`
  const lets = verdict.direction === 'egress' ? `lets it out to ${otherEnd(drop)}` : `lets in ${otherEnd(drop)}`
  const denies = `tier ${verdict.tier ?? ''} denies what none of its policies allows: ${endpoint} is selected for ${verdict.direction ?? ''} by ${who}`
  return `${denies}, and ${rules === 0 ? none : `${none} ${lets}`}`
}

const ADVICE: Readonly<Partial<Record<PolicyReason, string>>> = {
  'no-profile': 'give the endpoint a profile that allows it, or a policy with an Allow rule for it',
  // what the environment of calico-node says wins over the FelixConfiguration
  'endpoint-to-host': 'set FELIX_DEFAULTENDPOINTTOHOSTACTION of calico-node, or defaultEndpointToHostAction of the FelixConfiguration, to Accept or Return',
  spoofed: 'send from the address that the workload has, or allow the source with the annotation cni.projectcalico.org/allowedSourcePrefixes',
  encapsulated: 'set allowVXLANPacketsFromWorkloads or allowIPIPPacketsFromWorkloads of the FelixConfiguration',
  tunnel: 'the sender is no node that Calico knows: compare netsim show ipset with its address, or name it in externalNodesList of the FelixConfiguration',
  'unknown-interface': 'the interface has no endpoint on this node: is the pod gone, or interfacePrefix of the FelixConfiguration too wide?',
  'service-loop': 'nobody translates that service address: is kube-proxy there, has the service endpoints? serviceLoopPrevention: Disabled lets it pass',
  disabled: 'bring the workload endpoint up',
  invalid: 'the answer or the first packet went another way; disableConntrackInvalidCheck of the FelixConfiguration lets it pass',
}

/** At least one. */
export function dropFixes(drop: PolicyDrop): readonly string[] {
  const { verdict, nearness } = drop
  if (verdict.reason === 'rule' || verdict.reason === 'profile') return [denyFix(verdict)]
  const nearest = nearness.near.at(0)
  if (verdict.reason === 'no-profile' && nearest !== undefined) {
    const mended = ruleFix(nearest, drop)
    if (mended !== undefined) return [mended]
  }
  if (verdict.reason !== 'tier-end') return [ADVICE[verdict.reason] ?? `raise the limit: ${verdict.text}`]
  const amended = nearest === undefined ? undefined : ruleFix(nearest, drop)
  if (amended !== undefined) return [amended]
  const policy = nearness.policies.find((candidate) => candidate.policy === nearest?.document.policy) ?? nearness.policies.at(0)
  return policy === undefined ? ['allow it in a policy of that tier'] : [newRule(policy, drop)]
}

function denyFix({ policy, rule, tier, provenance }: PolicyVerdictDocument): string {
  const before = tier === undefined ? 'allow it before' : `allow it in tier ${tier} in a rule or policy before it`
  return `take the packet out of what rule ${rule ?? '?'} of ${policy ?? 'that policy'}${placeOf(provenance)} denies, or ${before}`
}

function placeOf(provenance: ProvenanceDocument | undefined): string {
  return provenance?.file === undefined ? '' : ` (${provenance.file}:${provenance.line ?? 0})`
}

function newRule({ policy, direction, provenance }: AskedPolicyDocument, drop: PolicyDrop): string {
  const { facts, namer } = drop
  if (facts === undefined) return `add a rule to the ${direction} of ${policy}${placeOf(provenance)} that allows it`
  const address = direction === 'egress' ? facts.dst : facts.src
  const other = peerText(namer, address, policy) ?? nameOf(namer, address)
  const article = direction === 'egress' ? 'an egress' : 'an ingress'
  const ports = isKubernetes(policy) && !hasPorts(facts) ? `without ports (none lets in ${formatProtocol(facts.proto)} alone)` : portWords(facts)
  return `add ${article} rule to ${policy}${placeOf(provenance)}: ${direction === 'egress' ? 'to' : 'from'} ${other}, ${ports}`
}

/** One thing to add to the rule that came nearest; undefined where several are missing, and a rule of its own is better. */
function ruleFix({ document, failing }: NearMiss, drop: PolicyDrop): string | undefined {
  const { facts, namer, verdict } = drop
  if (facts === undefined) return undefined
  const kubernetes = isKubernetes(document.policy ?? '')
  const rule = `${verdict.direction ?? ''} rule ${document.rule} of ${document.policy ?? ''}${placeOf(document.provenance)}`
  const kinds = new Set(failing.map((match) => partOf(match)))
  const [part] = kinds
  if (kinds.size !== 1 || part === undefined) return undefined
  switch (part) {
    case 'destination port':
      if (!hasPorts(facts)) return undefined
      if (failing.some(isExcluded)) return `take port ${facts.dport} out of the notPorts of ${rule}`
      if (!kubernetes && failing.some(({ kind }) => kind === 'protocol')) return undefined
      return `add port ${facts.dport}${kubernetes ? ` (${formatProtocol(facts.proto).toUpperCase()}) to the ports` : ' to destination.ports'} of ${rule}`
    case 'source port':
      return `add port ${facts.sport} to source.ports of ${rule}`
    case 'source':
    case 'destination': {
      const address = part === 'source' ? facts.src : facts.dst
      const peer = kubernetes ? (part === 'source' ? 'from' : 'to') : part
      if (failing.some(isExcluded)) return `take ${addressWords(namer, address)} out of what ${peer} of ${rule} excludes`
      const set = failing.find((match): match is Extract<Match, { kind: 'set' }> => match.kind === 'set')
      const labels = set === undefined ? undefined : namer.calico?.book().wanted(set.set, address)
      const who = peerText(namer, address, document.policy ?? '') ?? addressWords(namer, address)
      const add = kubernetes ? `add ${who} to ${peer} of ${rule}` : `let ${peer} of ${rule} take in ${who}`
      return labels === undefined ? add : `${add}, or label ${nameOf(namer, address)} ${labels.join(', ')}`
    }
    case 'icmp':
      return `let ${rule} take in ICMP type ${facts.sport}`
  }
}

/**
 * A pod as a peer would select it, for its address is another's tomorrow; with its name. undefined: nobody's address that has labels. A pod on the
 * host's network is known by its node's address alone.
 */
function peerText({ pods, cluster }: Namer, address: number, policy: string): string | undefined {
  const pod = pods.find((plan) => plan.address === address)?.pod
  if (pod === undefined || pod.hostNetwork) return undefined
  const { namespace, name } = pod
  const neighbours = cluster.pods.filter((other) => other.namespace === namespace && !other.terminated)
  const all = neighbours.map((other) => policyPod(other, { imagined: false, nodeAddresses: new Map() }))
  const own = all.find((other) => other.name === name)
  const labels = own === undefined ? [] : Object.entries(podsLike({ pods: all }, own).labels)
  if (labels.length === 0) return undefined
  const isHome = policy.includes(` ${namespace}/`)
  if (!isKubernetes(policy)) {
    const selector = labels.map(([key, value]) => `${key} == '${value}'`).join(' && ')
    return `selector ${selector}${isHome ? '' : ` with namespaceSelector projectcalico.org/name == '${namespace}'`} (${namespace}/${name})`
  }
  const selector = labels.map(([key, value]) => `${key}=${value}`).join(', ')
  return `podSelector ${selector}${isHome ? '' : ` with namespaceSelector kubernetes.io/metadata.name=${namespace}`} (${namespace}/${name})`
}

/** Its rules say `from`, `to` and `ports`. */
function isKubernetes(policy: string): boolean {
  return policy.startsWith('NetworkPolicy ')
}

function hasPorts({ proto }: PacketFacts): boolean {
  return proto === PROTO_TCP || proto === PROTO_UDP || proto === PROTO_SCTP
}

function isExcluded(match: Match): boolean {
  return 'invert' in match && match.invert === true
}

/** Which part of a policy's rule a match stands for; undefined: of another. */
function partOf(match: Match): 'source' | 'destination' | 'source port' | 'destination port' | 'icmp' | undefined {
  switch (match.kind) {
    case 'source':
      return 'source'
    case 'destination':
      return 'destination'
    case 'set':
      // a named port is looked for with its address
      return match.directions.length > 1
        ? match.directions[0] === 'src'
          ? 'source port'
          : 'destination port'
        : match.directions[0] === 'src'
          ? 'source'
          : 'destination'
    case 'multiport':
      return match.side === 'sports' ? 'source port' : 'destination port'
    case 'protocol':
      return 'destination port'
    case 'icmp-type':
      return 'icmp'
    default:
      return undefined
  }
}
