/** What a real control plane, run in the network that was built, did beside what netsim says of it: its part of the VerificationDocument, in words. */
import type { Disposition } from '../net/disposition.js'

export interface ControlDocument {
  readonly program: 'etcd'
  /** `3.4.23`; empty where it did not start. */
  readonly version: string
  readonly api: 'v2' | 'v3'
  /** Where the server ran. */
  readonly node: string
  /** `192.168.0.100:2379`. */
  readonly address: string
  /** The node from which the keys were written; empty: from none. */
  readonly filledFrom: string
  readonly nodes: readonly ControlNodeDocument[]
}

export interface ControlNodeDocument {
  readonly node: string
  /** `equal`: the keys are as predicted, or no connection comes about and netsim says so too. */
  readonly verdict: 'equal' | 'differs' | 'left-out'
  /** Why it was left out; empty otherwise. */
  readonly why: string
  /** Of the client in the node: what `netsim trace` says, and what the kernel told (empty: it stands). null: not tried. */
  readonly connection: { readonly predicted: Disposition; readonly kernel: string } | null
  readonly keys: { readonly predicted: number; readonly read: number; readonly equal: number }
  /** A line for each key and each Dataplane that differs. */
  readonly differences: readonly string[]
}

export interface ControlCounts {
  /** Nodes from which a real control plane was looked at. */
  readonly control: number
  readonly controlEqual: number
  readonly controlDiffer: number
}

export function controlCounts(control: readonly ControlDocument[]): ControlCounts {
  const verdicts = control.flatMap(({ nodes }) => nodes.map(({ verdict }) => verdict))
  const count = (word: string): number => verdicts.filter((verdict) => verdict === word).length
  return { control: verdicts.length, controlEqual: count('equal'), controlDiffer: count('differs') }
}

/** `etcd 3.4.23 on node-1, 192.168.0.100:2379, API v3, filled from node-2`. */
export function controlHead({ program, version, api, node, address, filledFrom }: ControlDocument): string {
  const filled = filledFrom === '' ? 'not filled' : `filled from ${filledFrom}`
  return `${`${program} ${version}`.trimEnd()} on ${node}, ${address}, API ${api}, ${filled}`
}

/** Begins what a client was told whose connection stands without an answer. */
export const UNANSWERED = 'connected, then '

/** Does the node reach the server? Where not, it is worth a word though netsim says the same. */
export function reaches({ connection }: ControlNodeDocument): boolean {
  return connection?.kernel === ''
}

/** One line of one node, without its verdict. */
export function controlLine({ program, node: server, address }: ControlDocument, one: ControlNodeDocument): string {
  const { node, verdict, why, connection, keys } = one
  if (verdict === 'left-out') return `${node} → ${program}: ${why}`
  if (!reaches(one) && connection !== null) {
    if (connection.kernel.startsWith(UNANSWERED))
      return `${node} → ${program}: ${connection.kernel} · netsim: a full segment of the answer: ${connection.predicted}`
    const port = address.slice(address.lastIndexOf(':'))
    const command = `netsim trace node/${node} node/${server}${port} --listen`
    return `${node} → ${program}: does not reach it: ${connection.kernel} · ${command}: ${connection.predicted}`
  }
  return `${node} → ${program}: ${keys.equal} of ${keys.predicted} keys equal${verdict === 'equal' ? ' · the same Dataplanes from them' : ''}`
}
