/**
 * Iptables rules as objects → the bytecode that evaluate.ts runs: chains laid out one after the other, jumps resolved to rows.
 * Cold: once for each change of a netns's rules.
 */
import type { Provenance } from '../../dataplane/dataplane.js'
import { BUILTIN_CHAINS, TABLE_NAMES, type HookName, type IptablesState, type Rule } from '../../dataplane/iptables.js'
import type { IpSet } from '../../dataplane/ipset.js'
import { NF_ACCEPT, NF_DROP, R_ARG, R_TARGET, RULE_STRIDE, T_END, T_POLICY } from './bytecode.js'
import type { ClassifierRun } from './classify.js'
import { compileSets } from './compile-ipset.js'
import { compileMatches, FIELD_ORIGINS } from './compile-match.js'
import { compileRuns } from './compile-runs.js'
import { compileTarget } from './compile-target.js'
import type { CompiledSet, SetChange } from './ipset.js'
import { Limits, Recents } from './match-state.js'

const HOOK_NAMES: readonly HookName[] = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING']
const TABLE_NUMBERS = { raw: 0, mangle: 1, nat: 2, filter: 3, security: 4 } as const

/** What iptables would refuse to load. */
export interface RulesetFault {
  readonly table: string
  readonly chain: string
  /** Position of the rule in its chain, from 0. */
  readonly rule: number
  readonly what: string
}

/** A device name, or with a trailing + the beginning of one. */
class DevicePattern {
  readonly name: string
  readonly invert: boolean

  constructor(name: string, invert: boolean) {
    this.name = name
    this.invert = invert
  }

  /** No device at the hook is the empty name. */
  matches(device: string): boolean {
    return (this.name.endsWith('+') ? device.startsWith(this.name.slice(0, -1)) : device === this.name) !== this.invert
  }
}

export interface CompiledChain {
  readonly table: number
  /** Which of the tables of that name, from 0: each backend may have its own. */
  readonly layer: number
  readonly name: string
  readonly rules: readonly Rule[]
  readonly policy: 'ACCEPT' | 'DROP' | undefined
  /** Whose the policy is. */
  readonly provenance: Provenance | undefined
  /** Row of its first rule; its end's row follows its last. */
  readonly firstRow: number
}

export interface CompiledRules {
  readonly rules: Int32Array
  readonly matches: Int32Array
  readonly targets: Int32Array
  readonly sets: readonly CompiledSet[]
  readonly setChanges: readonly SetChange[]
  readonly limits: Limits
  readonly recents: Recents
  readonly nthCounters: Int32Array
  readonly runs: readonly ClassifierRun[]
  readonly ruleChains: Int32Array
  readonly ruleNumbers: Int32Array
  readonly fieldOrigins: Int8Array
  readonly packets: Float64Array
  readonly bytes: Float64Array
  /** Jumps on top of one another, at most. */
  readonly depth: number
  /** By layer * 25 + table * 5 + hook: offset of the built-in chain's first row and of its policy's, -1 without; whether a trace shows it. */
  readonly entries: Int32Array
  readonly policies: Int32Array
  readonly shown: Uint8Array
  /** By TABLE_*: the table exists. */
  readonly tables: readonly boolean[]
  readonly patterns: readonly DevicePattern[]
  /** Interface names in sets, numbered. */
  readonly interfaces: ReadonlyMap<string, number>
  readonly chains: readonly CompiledChain[]
  readonly faults: readonly RulesetFault[]
  /** Packets change what is compiled here: sets gain and lose members. */
  readonly changing: boolean
}

/** What the matches and targets of one ruleset share while it is compiled. */
export class RuleCompiler {
  readonly matches: number[] = [0]
  readonly targets: number[] = []
  readonly limits = new Limits()
  readonly recents = new Recents()
  readonly nthStarts: number[] = []
  readonly setChanges: SetChange[] = []
  readonly patterns: DevicePattern[] = [new DevicePattern('+', false)]
  readonly word: (text: string) => number
  readonly sets: readonly CompiledSet[]
  readonly interfaces = new Map<string, number>()
  private readonly patternIds = new Map<string, number>()
  private readonly setIds: ReadonlyMap<string, number>

  constructor(sets: readonly IpSet[], word: (text: string) => number) {
    this.word = word
    const intern = (name: string): number => {
      if (!this.interfaces.has(name)) this.interfaces.set(name, this.interfaces.size)
      return this.interfaces.get(name) as number
    }
    const compiled = compileSets(sets, intern, word)
    this.sets = compiled.sets
    this.setIds = compiled.byName
  }

  pattern(name: string, invert: boolean): number {
    const key = `${invert ? '!' : ''}${name}`
    const known = this.patternIds.get(key)
    if (known !== undefined) return known
    const id = this.patterns.push(new DevicePattern(name, invert)) - 1
    this.patternIds.set(key, id)
    return id
  }

  /** -1: there is no such set. */
  setIndex(name: string): number {
    return this.setIds.get(name) ?? -1
  }

  nth(start: number): number {
    return this.nthStarts.push(start) - 1
  }

  /** Offset of the arguments. */
  args(...values: number[]): number {
    return this.targets.push(...values) - values.length
  }
}

/** Never throws: what iptables would refuse is in `faults`, and a packet that comes to such a rule meets something not modelled. */
export function compileRules(state: IptablesState, sets: readonly IpSet[], word: (text: string) => number): CompiledRules {
  const compiler = new RuleCompiler(sets, word)
  const chains = layOut(state)
  const rowCount = chains.reduce((sum, chain) => sum + chain.rules.length + 1, 0)
  const rules = new Int32Array(rowCount * RULE_STRIDE)
  const ruleChains = new Int32Array(rowCount)
  const ruleNumbers = new Int32Array(rowCount)
  const fieldOrigins = new Int8Array(rowCount * FIELD_ORIGINS)
  const packets = new Float64Array(rowCount)
  const bytes = new Float64Array(rowCount)
  const graph = new JumpGraph(chains)
  const source = state.tables.flatMap((table) => table.chains)
  // one row for all rules: of a hundred thousand, views of their own would cost more than what is written into them
  const row = new Int32Array(RULE_STRIDE)
  const origins = new Int8Array(FIELD_ORIGINS)
  for (const [index, chain] of chains.entries()) {
    const from = source[index]
    for (const [number, rule] of chain.rules.entries()) {
      const at = chain.firstRow + number
      row.fill(0)
      origins.fill(0)
      compileMatches(compiler, rule, row, origins)
      const [op, arg] = compileTarget(compiler, rule.target, (name) => graph.resolve(index, number, name))
      row[R_TARGET] = op
      row[R_ARG] = arg
      rules.set(row, at * RULE_STRIDE)
      fieldOrigins.set(origins, at * FIELD_ORIGINS)
      ruleChains[at] = index
      ruleNumbers[at] = number
      packets[at] = rule.packets ?? 0
      bytes[at] = rule.bytes ?? 0
    }
    const end = chain.firstRow + chain.rules.length
    rules[end * RULE_STRIDE + R_TARGET] = chain.policy === undefined ? T_END : T_POLICY
    rules[end * RULE_STRIDE + R_ARG] = chain.policy === 'DROP' ? NF_DROP : NF_ACCEPT
    ruleChains[end] = index
    ruleNumbers[end] = -1
    packets[end] = from.packets ?? 0
    bytes[end] = from.bytes ?? 0
  }
  return {
    rules,
    ruleChains,
    ruleNumbers,
    fieldOrigins,
    packets,
    bytes,
    chains,
    matches: Int32Array.from(compiler.matches),
    targets: Int32Array.from(compiler.targets),
    sets: compiler.sets,
    setChanges: compiler.setChanges,
    limits: compiler.limits,
    recents: compiler.recents,
    nthCounters: Int32Array.from(compiler.nthStarts),
    runs: compileRuns(rules, chains),
    depth: graph.depth(),
    patterns: compiler.patterns,
    interfaces: compiler.interfaces,
    tables: TABLE_NAMES.map((name) => state.tables.some((table) => table.name === name)),
    faults: graph.faults,
    changing: compiler.setChanges.length > 0 || compiler.sets.some((set) => set.hasTimeouts),
    ...hookEntries(chains),
  }
}

function layOut(state: IptablesState): CompiledChain[] {
  const chains: CompiledChain[] = []
  let row = 0
  for (const [index, table] of state.tables.entries()) {
    const layer = state.tables.slice(0, index).filter(({ name }) => name === table.name).length
    for (const chain of table.chains) {
      const builtin = (BUILTIN_CHAINS[table.name] as readonly string[]).includes(chain.name)
      const policy = builtin ? (chain.policy ?? 'ACCEPT') : undefined
      const { name, rules, provenance } = chain
      chains.push({ table: TABLE_NUMBERS[table.name], layer, name, rules, policy, provenance, firstRow: row })
      row += chain.rules.length + 1
    }
  }
  return chains
}

function hookEntries(chains: readonly CompiledChain[]): { entries: Int32Array; policies: Int32Array; shown: Uint8Array } {
  const size = 25 * (1 + chains.reduce((most, { layer }) => Math.max(most, layer), 0))
  const entries = new Int32Array(size).fill(-1)
  const policies = new Int32Array(size).fill(-1)
  const shown = new Uint8Array(size)
  for (const chain of chains) {
    if (chain.policy === undefined) continue
    const at = chain.layer * 25 + chain.table * 5 + HOOK_NAMES.indexOf(chain.name as HookName)
    entries[at] = chain.firstRow * RULE_STRIDE
    policies[at] = (chain.firstRow + chain.rules.length) * RULE_STRIDE
    shown[at] = chain.rules.length > 0 || chain.policy === 'DROP' ? 1 : 0
  }
  return { entries, policies, shown }
}

/** Which chain jumps to which; finds the loops that iptables refuses. */
class JumpGraph {
  readonly faults: RulesetFault[] = []
  private readonly chains: readonly CompiledChain[]
  /** Chains by name, by layer and table. */
  private readonly ids: Map<string, number>[] = []
  private readonly depths = new Map<number, number>()
  /** Rules whose jump closes a loop: `chain rule`. */
  private readonly loops = new Set<string>()

  constructor(chains: readonly CompiledChain[]) {
    this.chains = chains
    for (const [index, chain] of chains.entries()) this.namesIn(chain).set(chain.name, index)
    for (let index = 0; index < chains.length; index++) this.visit(index)
  }

  depth(): number {
    let most = 0
    for (const depth of this.depths.values()) most = Math.max(most, depth)
    return most
  }

  /** The chain that the rule jumps to; undefined when there is none or the jump closes a loop. */
  resolve(chain: number, rule: number, name: string): CompiledChain | undefined {
    const target = this.namesIn(this.chains[chain]).get(name)
    if (target === undefined || this.chains[target].policy !== undefined) return undefined
    return this.loops.size > 0 && this.loops.has(`${chain} ${rule}`) ? undefined : this.chains[target]
  }

  private namesIn({ layer, table }: CompiledChain): Map<string, number> {
    return (this.ids[layer * TABLE_NAMES.length + table] ??= new Map<string, number>())
  }

  /** Depth first without recursion, for chains that are nested deeply: length of the longest way down. */
  private visit(root: number): void {
    const open = new Map<number, { next: number; depth: number }>()
    const path = [root]
    while (path.length > 0) {
      const chain = path[path.length - 1]
      if (this.depths.has(chain)) {
        path.pop()
        continue
      }
      const state = open.get(chain) ?? { next: 0, depth: 0 }
      open.set(chain, state)
      const child = this.nextChild(chain, state, open)
      if (child >= 0) path.push(child)
      else {
        this.depths.set(chain, state.depth)
        open.delete(chain)
        path.pop()
      }
    }
  }

  /** A chain below that must be visited first, -1 when none is left. */
  private nextChild(chain: number, state: { next: number; depth: number }, open: ReadonlyMap<number, unknown>): number {
    const { rules } = this.chains[chain]
    const ids = this.namesIn(this.chains[chain])
    for (; state.next < rules.length; state.next++) {
      const target = rules[state.next].target
      if (target === undefined || (target.kind !== 'jump' && target.kind !== 'goto')) continue
      const id = ids.get(target.chain)
      const known = id === undefined ? undefined : this.depths.get(id)
      if (id === undefined || this.chains[id].policy !== undefined) this.fault(chain, state.next, `there is no chain ${target.chain} to jump to`)
      else if (known !== undefined) state.depth = Math.max(state.depth, known + 1)
      else if (open.has(id)) {
        this.loops.add(`${chain} ${state.next}`)
        this.fault(chain, state.next, `the jump to ${target.chain} closes a loop`)
      } else return id
    }
    return -1
  }

  private fault(chain: number, rule: number, what: string): void {
    this.faults.push({ table: TABLE_NAMES[this.chains[chain].table], chain: this.chains[chain].name, rule, what })
  }
}
