/** `kind: Scenario` of netsim/v1: what happens to a cluster at virtual times, and what is asked meanwhile. Read by read-scenario.ts. */
import type { Cidr } from '../../base/cidr.js'
import type { Ip } from '../../base/ip.js'
import type { KubernetesObject } from '../manifest.js'
import type { Command } from '../network-document.js'
import type { LabelChange } from '../object-reference.js'
import type { Place } from '../problem-list.js'
import type { Delays } from './delays.js'

export interface Scenario extends Place {
  readonly name: string
  /** converged: time 0 is when the agents that were started together have come to rest. boot: time 0 is their start. */
  readonly start: 'converged' | 'boot'
  /** Absent: ten minutes after the last event, or what a lease that nobody renews takes. */
  readonly untilNs?: number
  readonly seed?: number
  readonly delays: Partial<Delays>
  /** In the order of their times; those of one time in the order of the text. */
  readonly events: readonly ScenarioEvent[]
  readonly probes: readonly ScenarioProbe[]
}

export interface ScenarioEvent extends Place {
  readonly atNs: number
  /** As a person would say it: `node n2 goes down`, `apply np.yaml`. */
  readonly what: string
  readonly action: Action
}

export const AGENTS = ['flanneld', 'felix', 'bird', 'kube-proxy', 'kubelet', 'etcd'] as const
export type AgentName = (typeof AGENTS)[number]

export type Action =
  | { readonly kind: 'apply'; readonly file: string; readonly objects: readonly KubernetesObject[] }
  /** `deploy/shop/web`, `np/shop/db`, `node/n2`: as cluster/object-reference.ts reads it. */
  | { readonly kind: 'delete'; readonly target: string }
  | { readonly kind: 'label'; readonly target: string; readonly changes: readonly LabelChange[] }
  | { readonly kind: 'scale'; readonly target: string; readonly replicas: number }
  | { readonly kind: 'rollout'; readonly how: 'restart' | 'pause' | 'resume' | 'undo'; readonly target: string }
  /** Deleted where it runs and made anew on that node; its owner, where it has one, makes it. */
  | { readonly kind: 'move'; readonly pod: string; readonly node: string }
  /** down: power is off; up: it boots; isolated: its cables are out, all on it runs on; rejoined: they are in again. */
  | { readonly kind: 'node'; readonly node: string; readonly state: 'down' | 'up' | 'isolated' | 'rejoined' }
  /** Of a node's card, or of a router's in that segment. What is absent stays as it was. */
  | {
      readonly kind: 'cable'
      readonly end: string
      readonly segment?: string
      readonly cut?: boolean
      /** 0 to 1, of the frames of each direction. */
      readonly loss?: number
      /** Added to the segment's latency, ns. */
      readonly delayNs?: number
    }
  /** Of all nodes where none is named. stop: SIGTERM; kill: SIGKILL. etcd: the server, on no node. */
  | { readonly kind: 'agent'; readonly agent: AgentName; readonly how: 'stop' | 'kill' | 'start'; readonly nodes: readonly string[] }
  | { readonly kind: 'delete-lease'; readonly subnet: Cidr }
  /** Of a segment (what the switch lets through), or of a node's card. */
  | { readonly kind: 'mtu'; readonly segment?: string; readonly node?: string; readonly mtu: number }
  /** iptables commands on a router, as in the Network document. */
  | { readonly kind: 'firewall'; readonly router: string; readonly iptables: readonly Command[] }
  /** `birdc restart` of one session, or of all of the node. */
  | { readonly kind: 'bgp-reset'; readonly node: string; readonly peer?: Ip }

export type ActionKind = Action['kind']

export interface ScenarioProbe extends Place {
  readonly name: string
  /** As SRC and DST[:PORT] of `netsim trace`; `to` with the namespace of `from`, where the document names none. */
  readonly from: string
  readonly to: string
  readonly proto?: 'tcp' | 'udp' | 'icmp'
  /** IP length. */
  readonly size?: number
  /** Between two packets. */
  readonly everyNs: number
  readonly startNs: number
  /** Absent: to the end. */
  readonly stopNs?: number
  /** true: one connection, opened at the start, that goes on; false: a new connection each time. */
  readonly connection: boolean
}
