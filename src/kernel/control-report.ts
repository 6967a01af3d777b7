/** What a real control plane, run in the network that was built, did beside what netsim says of it: its part of the VerificationDocument, in words. */
import type { Disposition } from '../net/disposition.js'

export type ControlDocument = EtcdDocument | BirdDocument

export interface EtcdDocument {
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
  readonly nodes: readonly EtcdNodeDocument[]
}

export interface EtcdNodeDocument {
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

export interface BirdDocument {
  readonly program: 'bird'
  /** `2.0.12`; empty where it cannot be used. */
  readonly version: string
  /** Of the configuration that they ran with. */
  readonly dialect: 'bird2'
  /** From the start of the first to the state that was compared, seconds. */
  readonly seconds: number
  readonly nodes: readonly BirdNodeDocument[]
}

export interface BirdNodeDocument {
  /** `node-1`, `router/tor-1`. */
  readonly node: string
  /** `equal`: each session is in the predicted state, and the kernel has BIRD's routes by the predicted next hops. */
  readonly verdict: 'equal' | 'differs' | 'left-out'
  /** Why it was left out; empty otherwise. */
  readonly why: string
  /** Peers: all, those that netsim says are Established, those that were, those of the same state. */
  readonly sessions: { readonly peers: number; readonly predicted: number; readonly established: number; readonly equal: number }
  /** Routes of BIRD's in the kernel. */
  readonly routes: { readonly predicted: number; readonly read: number; readonly equal: number }
  /** A line for each session and each route that differs. */
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
export function controlHead(control: ControlDocument): string {
  if (control.program === 'bird') return `${`bird ${control.version}`.trimEnd()} on every speaker, dialect ${control.dialect}, ${control.seconds} s`
  const { program, version, api, node, address, filledFrom } = control
  const filled = filledFrom === '' ? 'not filled' : `filled from ${filledFrom}`
  return `${`${program} ${version}`.trimEnd()} on ${node}, ${address}, API ${api}, ${filled}`
}

/** Begins what a client was told whose connection stands without an answer. */
export const UNANSWERED = 'connected, then '

/** Does the node reach the server, or all its peers? Where not, it is worth a word though netsim says the same. */
export function reaches(one: EtcdNodeDocument | BirdNodeDocument): boolean {
  return 'sessions' in one ? one.sessions.established === one.sessions.peers : one.connection?.kernel === ''
}

/** For each node, one line without its verdict. */
export function controlLines(control: ControlDocument): readonly string[] {
  return control.program === 'bird' ? control.nodes.map(birdLine) : control.nodes.map((one) => etcdLine(control, one))
}

function birdLine({ node, verdict, why, sessions, routes }: BirdNodeDocument): string {
  if (verdict === 'left-out') return `${node} bird: ${why}`
  const beside = sessions.established === sessions.predicted ? ' as predicted' : `, predicted ${sessions.predicted}`
  const up = `${sessions.established} of ${sessions.peers} sessions Established${beside}`
  return `${node} bird: ${up} · ${routes.equal} of ${routes.predicted} kernel routes equal`
}

function etcdLine({ program, node: server, address }: EtcdDocument, one: EtcdNodeDocument): string {
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
