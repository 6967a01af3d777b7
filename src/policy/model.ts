/**
 * The one rule model under all policy dialects: tiers of policies, policies of rules, rules of conditions on the other end and of connections.
 * A dialect's file (dialects/*.ts) says what its objects mean in these words; evaluate.ts and reachability.ts know nothing else.
 *
 *   tier by tier, in order ─▶ policies that select this end in this direction, in order ─▶ rules, in order
 *     a rule decides the connections that it names to the peers that it names: allow, deny, or pass (on to the next tier)
 *     at the end of a tier that selected the end, what is still undecided goes as the tier says
 *   after the last tier: allowed
 *
 * Nothing here depends on the order of NetworkPolicies: they only allow, and their tier denies at its end.
 */
import type { Labels, LabelSelector } from '../cluster/labels.js'
import type { Place } from '../cluster/problem-list.js'
import type { Selector } from '../cluster/selector.js'
import type { AddressRange } from './address-range.js'
import type { ConnectionSet, Protocol } from './connections.js'

export type Direction = 'ingress' | 'egress'

/** log decides nothing. */
export type Action = 'allow' | 'deny' | 'pass' | 'log'

export interface PolicyNamespace {
  readonly name: string
  readonly labels: Labels
  /** Absent: no object declares it, something lives in it. */
  readonly place?: Place
}

export interface NamedPort {
  readonly name: string
  /** Absent: of whatever protocol. */
  readonly protocol?: Protocol
}

export interface PodPort {
  readonly name?: string
  readonly protocol: Protocol
  readonly port: number
}

export interface PolicyPod extends Place {
  readonly kind: 'pod'
  readonly namespace: string
  readonly name: string
  /** Its own, as the API server has them. */
  readonly labels: Labels
  readonly ports: readonly PodPort[]
  readonly hostNetwork: boolean
  readonly serviceAccount: string
  readonly node?: string
  /** Of both families; empty: not known. */
  readonly addresses: readonly AddressRange[]
  /** Whose pod it is: the controller that the input shows, or itself (`Pod`). */
  readonly workload: { readonly kind: string; readonly name: string }
  /** The Deployment above its ReplicaSet: questions may name it, lists go by the workload. */
  readonly deployment?: string
  /** No such pod runs (replicas: 0, or a question's "what if there were one"). */
  readonly imagined: boolean
}

export interface PolicyNode {
  readonly kind: 'node'
  readonly name: string
  readonly labels: Labels
  readonly addresses: readonly AddressRange[]
}

/** Addresses of no pod and no node. Cut so finely that no network of any policy holds a part of it (worlds.ts partition). */
export interface OutsideRange {
  readonly kind: 'outside'
  readonly range: AddressRange
}

/** One end of a connection. */
export type End = PolicyPod | PolicyNode | OutsideRange

interface ConditionHead extends Place {
  /** As a person would say it: `app=web`, `namespace env in (prod, dev)`, `10.0.0.0/8 except 10.1.0.0/16`. */
  readonly words: string
}

/**
 * One thing that must hold of an end. `labels` of: the pod's own labels, those of its namespace, those of its node object (`node`; nodes and
 * nothing else), of its service account, or the labels that Calico gives an endpoint (own, pcns.…, pcsa.…, projectcalico.org/…): of host
 * endpoints too, and, but for `endpointItself` (whom a policy is for), of the network sets that hold its address.
 */
export type Condition = ConditionHead &
  (
    | { readonly kind: 'namespace'; readonly name: string }
    | {
        readonly kind: 'labels'
        readonly of: 'pod' | 'namespace' | 'serviceAccount' | 'node' | 'endpoint' | 'endpointItself'
        readonly selector: Selector
        /** As the object has it, where its API speaks of a LabelSelector. */
        readonly written?: LabelSelector
      }
    /** The same over an endpoint's labels, turned round: whoever is selected does not match. Anybody else does, addresses too. */
    | { readonly kind: 'notLabels'; readonly of: 'endpoint'; readonly selector: Selector }
    | { readonly kind: 'serviceAccounts'; readonly names: readonly string[] }
    | {
        readonly kind: 'networks'
        /** Empty: every address. */
        readonly include: readonly AddressRange[]
        readonly exclude: readonly AddressRange[]
        /** The dialect leaves no doubt that pods match by their addresses; else the switch `ipBlock` says whether they do. */
        readonly podsToo?: true
      }
    /** Endpoints of a Service (Calico): by address and port as a destination, by address alone as a source. */
    | { readonly kind: 'service'; readonly namespace: string; readonly name: string; readonly withPorts: boolean }
    /** Nobody: a peer that cannot be read where the dialect says that it then matches nothing. */
    | { readonly kind: 'never' }
  )

/** All of the conditions hold. Empty: everybody, pods, nodes and outside. */
export interface Peer extends Place {
  readonly conditions: readonly Condition[]
  readonly words: string
}

/** (`fixed` ∪ the named ports as the destination has them) ∩ `within` − the excepted named ports. */
export interface RulePorts {
  readonly fixed: ConnectionSet
  readonly named: readonly NamedPort[]
  /** Absent: everything. */
  readonly within?: ConnectionSet
  readonly except: readonly NamedPort[]
  /** `TCP 80`, `TCP http`, `any port`. */
  readonly words: string
}

/** The place is the rule's own line. */
export interface PolicyRule extends Place {
  /** 0-based, in its list. */
  readonly index: number
  /** ANP, CNP. */
  readonly name?: string
  readonly action: Action
  /** Alternatives; one peer without conditions is everybody; an empty list is nobody. */
  readonly peers: readonly Peer[]
  /** What must hold of the selected end itself (Calico rules name both sides). */
  readonly local: readonly Condition[]
  readonly ports: RulePorts
  /** Needs the source port to be one of these (Calico); the switch sourcePort stands for it. */
  readonly sourcePorts?: readonly (readonly [first: number, last: number])[]
}

export type PolicyKind =
  | 'NetworkPolicy'
  | 'AdminNetworkPolicy'
  | 'BaselineAdminNetworkPolicy'
  | 'ClusterNetworkPolicy'
  | 'CalicoNetworkPolicy'
  | 'GlobalNetworkPolicy'
  | 'Profile'
  /** The annotation of a namespace before Kubernetes 1.8. */
  | 'NamespaceIsolation'

export interface Policy extends Place {
  readonly kind: PolicyKind
  /** Empty for those of the whole cluster. */
  readonly namespace: string
  readonly name: string
  /** priority of ANP and CNP, order of Calico's; absent where the dialect has none. */
  readonly order?: number
  /** All must hold of the selected end. Pods on the host's network are pods here where the switch hostNetwork says so. */
  readonly subject: readonly Condition[]
  readonly subjectWords: string
  readonly directions: readonly Direction[]
  readonly ingress: readonly PolicyRule[]
  readonly egress: readonly PolicyRule[]
}

export interface Tier {
  /** `admin`, `NetworkPolicy`, `baseline`; Calico's own names where Calico's tiers are in force. */
  readonly name: string
  /** In the order in which they are asked. */
  readonly policies: readonly Policy[]
  /** What becomes of the undecided where a policy of the tier selected the end in that direction: denied, or on to the next tier. */
  readonly atEnd: 'deny' | 'next'
  /** Which of two policies of one priority is asked first is left open; absent: it is the order of the list. */
  readonly ties?: 'undefined'
}

export interface PolicyNetworkSet extends Place {
  readonly kind: 'NetworkSet' | 'GlobalNetworkSet'
  /** Empty for global ones. */
  readonly namespace: string
  readonly name: string
  readonly labels: Labels
  readonly ranges: readonly AddressRange[]
}

export interface PolicyHostEndpoint extends Place {
  readonly name: string
  readonly node: string
  readonly labels: Labels
  readonly profiles: readonly string[]
  readonly addresses: readonly AddressRange[]
}

/** Which addresses and ports are behind a Service: for Calico's rules by Service. */
export interface PolicyService {
  readonly namespace: string
  readonly name: string
  readonly endpoints: readonly { readonly address: AddressRange; readonly port: number; readonly protocol: Protocol }[]
}

/** What the API leaves open, decided. */
export interface Switches {
  readonly as: 'api' | 'calico' | 'np-guard'
  /** Does an ipBlock match pod addresses (where no NAT lies between)? */
  readonly ipBlock: 'pods-too' | 'outside-only'
  /** A pod to its own address. */
  readonly hairpin: 'allowed' | 'governed'
  /** A node to the pods that run on it. */
  readonly ownNode: 'allowed' | 'governed'
  /** Are pods on the host's network pods for selectors, or their node? */
  readonly hostNetwork: 'node' | 'pod'
  /** Are protocols other than TCP, UDP and SCTP held by NetworkPolicy? */
  readonly otherProtocols: 'governed' | 'free'
  /** What is known of the source port of a connection. */
  readonly sourcePort: number
}

/** An answer rests on a decision that the API leaves open, or on something that the input does not say. */
export type Assumption =
  'ipblock-pod' | 'pod-address-unknown' | 'hairpin' | 'own-node' | 'host-network' | 'equal-priority' | 'other-protocols' | 'source-port' | 'applies-on-forward'

/** Everything that the meaning of the policies depends on. */
export interface PolicyWorld {
  readonly namespaces: ReadonlyMap<string, PolicyNamespace>
  /** Living ones and imagined ones. */
  readonly pods: readonly PolicyPod[]
  readonly nodes: readonly PolicyNode[]
  readonly tiers: readonly Tier[]
  readonly networkSets: readonly PolicyNetworkSet[]
  readonly hostEndpoints: readonly PolicyHostEndpoint[]
  readonly services: readonly PolicyService[]
  /** Labels of service accounts, by `namespace/name`. */
  readonly serviceAccounts: ReadonlyMap<string, Labels>
  readonly switches: Switches
  /** Why nothing here has an effect: `flannel enforces no NetworkPolicy`. The tiers are then empty, `unenforced` holds them. */
  readonly noEngine?: string
  readonly unenforced: readonly Tier[]
}
