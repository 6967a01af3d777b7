/**
 * Calico's first data model (v1): pools, profiles with tags and rules, tiers and their policies, endpoints. One shape, whether it came as
 * calicoctl's resources, as the text that calicoctl shows, as keys of etcd, or from the policy controller.
 * Source: felix 1.4.9 calico/datamodel_v1.py, calico/common.py, docs/source/etcd-data-model.rst; libcalico-go v1.0 lib/backend/model.
 */
import type { Cidr } from '../../base/cidr.js'
import type { Ip } from '../../base/ip.js'
import type { Mac } from '../../base/mac.js'
import type { Labels } from '../labels.js'
import type { Place } from '../problem-list.js'

export type ClassicDirection = 'inbound' | 'outbound'
/** `next-tier` is `pass` in calicoctl's resources. In a profile it does what `allow` does not: it ends the profile without accepting. */
export type ClassicAction = 'allow' | 'deny' | 'next-tier' | 'log'

/** Both ends in it. */
export type ClassicPort = readonly [first: number, last: number]

export interface ClassicSide {
  readonly tag?: string
  /** As it was written, with a length; of either family. Host bits stay: iptables masks them. */
  readonly net?: string
  readonly selector?: string
  /** Empty: no restriction. */
  readonly ports: readonly ClassicPort[]
}

/** All that is there must hold. */
export interface ClassicMatch {
  /** `tcp`, `icmpv6`, or a number as text. */
  readonly protocol?: string
  readonly icmpType?: number
  readonly icmpCode?: number
  readonly source: ClassicSide
  readonly destination: ClassicSide
}

/** The place is the rule's own. */
export interface ClassicRule extends Place {
  readonly action: ClassicAction
  readonly ipVersion?: 4 | 6
  readonly logPrefix?: string
  readonly match: ClassicMatch
  /** The criteria with `!`: none of them may hold. */
  readonly not: ClassicMatch
}

export interface ClassicRules {
  readonly inbound: readonly ClassicRule[]
  readonly outbound: readonly ClassicRule[]
}

export interface ClassicProfile extends Place {
  readonly name: string
  /** Absent: tags or labels alone are there, and Felix drops what an endpoint sends through the profile. */
  readonly rules?: ClassicRules
  /** Every endpoint of the profile has them. */
  readonly tags: readonly string[]
  /** So too. */
  readonly labels: Labels
}

export interface ClassicTier extends Place {
  readonly name: string
  /** Infinity where absent. */
  readonly order: number
}

export interface ClassicPolicy extends Place {
  readonly tier: string
  readonly name: string
  /** Infinity where absent. */
  readonly order: number
  /** Reads in Felix's grammar. */
  readonly selector: string
  readonly rules: ClassicRules
  readonly untracked: boolean
}

export interface ClassicWorkloadEndpoint extends Place {
  readonly node: string
  /** `k8s`, `libnetwork`, `docker`, … */
  readonly orchestrator: string
  /** `NAMESPACE.POD` under Kubernetes. */
  readonly workload: string
  /** `eth0`, or an ID. */
  readonly name: string
  /** False: Felix takes its chains away, and what is left drops. */
  readonly active: boolean
  readonly interfaceName: string
  readonly mac?: Mac
  /** In the order in which they are asked. */
  readonly profiles: readonly string[]
  /** IPv4. */
  readonly ipNetworks: readonly Cidr[]
  readonly ipNats: readonly { readonly internal: Ip; readonly external: Ip }[]
  readonly labels: Labels
}

export interface ClassicHostEndpoint extends Place {
  readonly node: string
  readonly name: string
  /** Absent: the interface that has one of the expected addresses. */
  readonly interfaceName?: string
  /** IPv4 ones. */
  readonly expectedIPs: readonly Ip[]
  readonly profiles: readonly string[]
  readonly labels: Labels
}

export interface ClassicPool extends Place {
  readonly cidr: Cidr
  readonly ipip: boolean
  readonly ipipMode: 'Always' | 'CrossSubnet'
  readonly masquerade: boolean
  readonly disabled: boolean
}

export interface ClassicBgpPeer extends Place {
  /** Absent: every node's. */
  readonly node?: string
  readonly peerIP: Ip
  readonly asNumber: number
}

export interface ClassicNode extends Place {
  readonly name: string
  readonly address?: Ip
  readonly asNumber?: number
}

export interface ClassicSetting extends Place {
  readonly value: string
}

export type ClassicSettings = ReadonlyMap<string, ClassicSetting>

/** Lists are in the order of names, as a listing of etcd gives them. */
export interface ClassicModel {
  /** Felix does nothing at all until it is true. */
  readonly ready: boolean
  readonly pools: readonly ClassicPool[]
  readonly profiles: readonly ClassicProfile[]
  readonly tiers: readonly ClassicTier[]
  readonly policies: readonly ClassicPolicy[]
  readonly workloadEndpoints: readonly ClassicWorkloadEndpoint[]
  readonly hostEndpoints: readonly ClassicHostEndpoint[]
  readonly bgpPeers: readonly ClassicBgpPeer[]
  readonly nodes: readonly ClassicNode[]
  /** Felix's parameters, for all hosts and by name of the host: the host's win. */
  readonly settings: ClassicSettings
  readonly hostSettings: ReadonlyMap<string, ClassicSettings>
  readonly asNumber: number
  readonly nodeMesh: boolean
}

/** What calicoctl writes where nobody says otherwise (pycalico DEFAULT_AS_NUM). */
const CLASSIC_AS_NUMBER = 64511
export const CLASSIC_TIER = 'default'

export const EMPTY_CLASSIC: ClassicModel = {
  ready: false,
  pools: [],
  profiles: [],
  tiers: [],
  policies: [],
  workloadEndpoints: [],
  hostEndpoints: [],
  bgpPeers: [],
  nodes: [],
  settings: new Map(),
  hostSettings: new Map(),
  asNumber: CLASSIC_AS_NUMBER,
  nodeMesh: true,
}

export const ANY_CLASSIC_SIDE: ClassicSide = { ports: [] }
export const ANY_CLASSIC_MATCH: ClassicMatch = { source: ANY_CLASSIC_SIDE, destination: ANY_CLASSIC_SIDE }

/** `80`, `1000:2000`. */
export function formatClassicPort([first, last]: ClassicPort): string {
  return first === last ? `${first}` : `${first}:${last}`
}
