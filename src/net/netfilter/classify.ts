// hot path
import type { Packet } from '../../wire/packet.js'
import type { CompiledChain } from './compile.js'
import type { Netfilter } from './netfilter.js'
export interface ClassifierRun { readonly start: number; readonly end: number }
export function classify(_nf: Netfilter, run: ClassifierRun, _packet: Packet): number { return run.end }
export function compileRuns(_rules: Int32Array, _chains: readonly CompiledChain[]): ClassifierRun[] { return [] }
