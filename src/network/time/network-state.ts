/**
 * What the network is made of at one moment of a run: the objects as the API has them, and how far each agent of each node has come with them.
 * Plain data that never changes: a moment's state shares with the one before what did not change. network-at.ts makes a Network of it.
 */
import type { RouteSpec } from '../../dataplane/dataplane.js'
import type { Problem } from '../../base/problem.js'
import type { Cluster } from '../../cluster/cluster.js'
import type { Command } from '../../cluster/network-document.js'
import type { FlannelView } from '../../flannel/backend.js'

/** The API's objects after a change of them. */
export interface ClusterVersion {
  /** 0: the input. */
  readonly number: number
  readonly atNs: number
  /** Pods that run have their address and node written on them; pods that do not yet have no node. */
  readonly cluster: Cluster
  /** Of this reading, errors too: a version with errors is told, and is in force as far as it can be read. */
  readonly problems: readonly Problem[]
  /** In the diary. */
  readonly cause?: number
}

/** In place of a version's number: nothing of it has been done since the node booted. */
export const NONE_SINCE_BOOT = -1

export interface NodeState {
  /** false: power is off, nothing of it answers. */
  readonly power: boolean
  /** Number of the version whose pods are plugged in here, with the CNI plugin's routes (Calico's chains are Felix's); or NONE_SINCE_BOOT. */
  readonly pods: number
  /** A pod has been plugged in here since the boot: what the CNI plugin made for the first one stays. */
  readonly hadPods?: boolean
  /** Of the version whose endpoints, policies and other nodes Felix has written here; or NONE_SINCE_BOOT. */
  readonly felix: number
  /** Of the version whose Services kube-proxy has written; or NONE_SINCE_BOOT. */
  readonly kubeProxy: number
  /** What flanneld last rendered from; absent: it never had a lease here since the boot. */
  readonly flannel?: FlannelView
  /** Whether the process behind flannel0 runs (udp). */
  readonly flanneldRuns: boolean
  /** It ended by SIGKILL, and has cleared nothing up. */
  readonly flanneldKilled?: boolean
  /** What BIRD has in the kernel; absent: BIRD never ran. */
  readonly bird?: readonly RouteSpec[]
  readonly cable: Cable
  /** Of the card, where an event changed it. */
  readonly mtu?: number
  /** The card's, where Felix found another at its start than the object says. */
  readonly felixMtu?: number
}

export interface Cable {
  readonly cut: boolean
  /** 0 to 1. */
  readonly loss: number
  /** ns */
  readonly delayNs: number
}

export const WHOLE_CABLE: Cable = { cut: false, loss: 0, delayNs: 0 }

export interface UnderlayState {
  /** By segment, where an event changed it. */
  readonly mtus: ReadonlyMap<string, number>
  /** By router: what events added to its rules, in order. */
  readonly firewalls: ReadonlyMap<string, readonly Command[]>
  /** By `router segment`. */
  readonly cables: ReadonlyMap<string, Cable>
  /** What BIRD has in the kernel of routers, by netns. */
  readonly bird: ReadonlyMap<string, readonly RouteSpec[]>
}

export interface StateCause {
  readonly netns?: string
  readonly entry: number
}

export interface NetworkState {
  readonly atNs: number
  /** Newest version of the objects. */
  readonly version: number
  readonly nodes: ReadonlyMap<string, NodeState>
  readonly underlay: UnderlayState
  /** Of the diary: entries up to here have happened. */
  readonly diaryLength: number
  /** Entries of the diary that brought about what is new in it; by netns, where it is of one. */
  readonly causes: readonly StateCause[]
}

/** What control-plane.ts leaves behind: everything that questions about any time need. */
export interface ControlRun {
  readonly seed: number
  readonly versions: readonly ClusterVersion[]
  /** In the order of time, the first at 0: one for each moment at which a kernel, a cable or the objects changed. */
  readonly states: readonly NetworkState[]
  readonly untilNs: number
  readonly problems: readonly Problem[]
}

/** The state in force at a time. */
export function stateAt(states: readonly NetworkState[], timeNs: number): NetworkState {
  let low = 0
  let high = states.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (states[middle].atNs <= timeNs) low = middle
    else high = middle - 1
  }
  return states[low]
}
