/** What rules and commands of a random world speak of. */
import type { SetDraft } from './random-sets.js'

/** From small sets, so that rules do match. */
export interface Surroundings {
  readonly devices: readonly string[]
  readonly nodes: readonly string[]
  /** Of the nodes, those that this host is not. */
  readonly others: readonly string[]
  readonly pods: readonly string[]
  readonly nets: readonly string[]
  readonly ports: readonly number[]
  /** The smallest of the cards. */
  readonly mtu: number
}

export type Protocol = 'tcp' | 'udp' | 'icmp' | '47' | '253' | undefined

/** A chain of the owner's may be jumped to from anywhere. */
export type Hook = 'PREROUTING' | 'INPUT' | 'FORWARD' | 'OUTPUT' | 'POSTROUTING' | 'USER'

export const HOOKS = {
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
} as const

export interface Place {
  readonly table: keyof typeof HOOKS
  readonly hook: Hook
  readonly sets: readonly SetDraft[]
  /** That may be jumped to. */
  readonly chains: readonly string[]
}

export type Detail = Place & { readonly protocol: Protocol }

/** `-i` is taken there; a user's chain takes both. */
export const inward = (hook: Hook): boolean => hook === 'PREROUTING' || hook === 'INPUT' || hook === 'FORWARD' || hook === 'USER'
export const outward = (hook: Hook): boolean => hook === 'POSTROUTING' || hook === 'OUTPUT' || hook === 'FORWARD' || hook === 'USER'
