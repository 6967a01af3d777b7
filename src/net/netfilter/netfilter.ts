// hot path
/**
 * Netfilter of one netns: what is registered at each hook, in the kernel's order of priorities, run on the packet's row
 * (net/netfilter/core.c, include/uapi/linux/netfilter_ipv4.h).
 *
 *   PREROUTING   defragment, raw, conntrack, mangle, nat (destination)
 *   INPUT        mangle, filter, security, nat (source), confirm
 *   FORWARD      mangle, filter, security
 *   OUTPUT       defragment, raw, conntrack, mangle, nat (destination), filter, security
 *   POSTROUTING  mangle, nat (source), confirm
 *
 * Defragmentation and conntrack are there only while a rule of the netns needs them (see needsConntrack in compile.ts).
 */
import type { Provenance } from '../../dataplane/dataplane.js'
import type { IptablesState, Rule } from '../../dataplane/iptables.js'
import type { IpSet } from '../../dataplane/ipset.js'
import { isFragment, PROTO_ICMP, type Packet } from '../../wire/packet.js'
import type { Device } from '../device.js'
import { ipDefrag } from '../ip-fragment.js'
import { routeMeHarder } from '../ip-output.js'
import type { Netns } from '../netns.js'
import { ROW_A, ROW_ACTION } from '../trace.js'
import {
  HOOK_FORWARD,
  HOOK_INPUT,
  HOOK_OUTPUT,
  HOOK_POSTROUTING,
  HOOK_PREROUTING,
  NF_ACCEPT,
  NF_DROP,
  NF_STOLEN,
  NF_UNROUTED,
  TABLE_FILTER,
  TABLE_MANGLE,
  TABLE_NAT,
  TABLE_RAW,
  TABLE_SECURITY,
} from './bytecode.js'
import type { ClassifierRun } from './classify.js'
import { compileRules, type CompiledRules, type RulesetFault } from './compile.js'
import { needsConntrack } from './compile-target.js'
import { CT_ESTABLISHED, CT_ESTABLISHED_REPLY, CT_RELATED, CT_RELATED_REPLY, CT_UNTRACKED } from './conntrack-tuple.js'
import { Conntrack } from './conntrack.js'
import { runChain, runChainClassified, runChainTraced } from './evaluate.js'
import type { CompiledSet, SetChange, SetContext } from './ipset.js'
import type { Limits, Recents } from './match-state.js'
import { manipOf, masqueradeDeviceChanged, natInitialized, natNullBinding, natPacket } from './nat.js'

export {
  HOOK_FORWARD,
  HOOK_INPUT,
  HOOK_OUTPUT,
  HOOK_POSTROUTING,
  HOOK_PREROUTING,
  NF_ACCEPT,
  NF_DROP,
  NF_INCOMPLETE,
  NF_STOLEN,
  NF_UNROUTED,
  REJECT_ADMIN_PROHIBITED,
  REJECT_HOST_PROHIBITED,
  REJECT_HOST_UNREACHABLE,
  REJECT_ICMP_CODES,
  REJECT_NET_PROHIBITED,
  REJECT_NET_UNREACHABLE,
  REJECT_NONE,
  REJECT_PORT_UNREACHABLE,
  REJECT_PROTO_UNREACHABLE,
  REJECT_TCP_RESET,
  TABLE_FILTER,
  TABLE_MANGLE,
  TABLE_NAT,
  TABLE_RAW,
  TABLE_SECURITY,
} from './bytecode.js'

const DEFRAG_CONNTRACK_IN = 1
const DEFRAG_CONNTRACK_OUT = 2
const DEFRAG_CONNTRACK_BRIDGE_IN = 3

const TABLES = 5
const HOOKS = 5
const NO_CHAIN = -1

export class Netfilter {
  readonly netns: Netns

  // What was compiled
  readonly rules: Int32Array
  readonly matches: Int32Array
  readonly targets: Int32Array
  readonly sets: readonly CompiledSet[]
  readonly setChanges: readonly SetChange[]
  readonly limits: Limits
  readonly recents: Recents
  readonly nthCounters: Int32Array
  readonly runs: readonly ClassifierRun[]
  /** By rule row: chain, position in the chain (-1 the policy), and which match of the text each fixed field came from. */
  readonly ruleChains: Int32Array
  readonly ruleNumbers: Int32Array
  readonly fieldOrigins: Int8Array
  /** By rule row, as iptables-save -c prints them. */
  readonly packets: Float64Array
  readonly bytes: Float64Array
  /** Where user chains return to, and how many are open. */
  readonly stack: Int32Array
  depth = 0
  /** 1: runs of plain rules go through the classifier. */
  classified = 1

  // What is under way: one packet at a time
  hook = HOOK_PREROUTING
  inDevice: Device | null = null
  outDevice: Device | null = null
  /** Row of the rule, or policy, that counted a packet last. */
  lastRule = -1
  /** Which match of the rule's text failed or could not be told. */
  failedMatch = -1
  /** 1: OUTPUT has given the packet another route (routeMeHarder has it). */
  rerouted = 0
  /** The world's word for what NF_INCOMPLETE met. */
  incompleteWord = 0
  readonly setContext: SetContext = { inInterface: -1, outInterface: -1, nowNs: 0 }

  readonly compiled: CompiledRules
  /** Row of each table's chain at each hook, -1 none; and of that chain's policy. */
  private readonly entries: Int32Array
  private readonly policies: Int32Array
  /** By table and hook: a trace shows the table even when nothing matched. */
  private readonly shown: Uint8Array
  private readonly hooks: number
  /** By hook: bit t is set where table t has a chain. */
  private readonly tablesOf = [0, 0, 0, 0, 0]
  private readonly natTable: boolean

  // Devices by what the rules' patterns say of them: a row of bits a device, made when the device is first met
  private deviceBits: Int32Array
  private readonly deviceInterfaces: number[] = []
  private readonly words: number
  private inRow = 0
  private outRow = 0
  private lastIn: Device | null = null
  private lastOut: Device | null = null

  constructor(netns: Netns, compiled: CompiledRules) {
    this.netns = netns
    this.compiled = compiled
    this.rules = compiled.rules
    this.matches = compiled.matches
    this.targets = compiled.targets
    this.sets = compiled.sets
    this.setChanges = compiled.setChanges
    this.limits = compiled.limits
    this.recents = compiled.recents
    this.nthCounters = compiled.nthCounters.slice()
    this.runs = compiled.runs
    this.ruleChains = compiled.ruleChains
    this.ruleNumbers = compiled.ruleNumbers
    this.fieldOrigins = compiled.fieldOrigins
    this.packets = compiled.packets.slice()
    this.bytes = compiled.bytes.slice()
    this.stack = new Int32Array(compiled.depth + 1)
    this.entries = compiled.entries
    this.policies = compiled.policies
    this.shown = compiled.shown
    this.natTable = compiled.tables[TABLE_NAT]
    this.words = (compiled.patterns.length + 31) >>> 5
    this.deviceBits = new Int32Array(this.words)
    this.makeDeviceRow(null)
    let hooks = netns.conntrack === null ? 0 : (1 << HOOK_PREROUTING) | (1 << HOOK_INPUT) | (1 << HOOK_OUTPUT) | (1 << HOOK_POSTROUTING)
    for (let at = 0; at < this.entries.length; at++) {
      if (this.entries[at] === NO_CHAIN) continue
      hooks |= 1 << (at % HOOKS)
      this.tablesOf[at % HOOKS] |= 1 << (((at / HOOKS) | 0) % TABLES)
    }
    this.hooks = hooks
  }

  /** Anything is registered at the hook. */
  hasHook(hook: number): boolean {
    return ((this.hooks >>> hook) & 1) !== 0
  }

  /** Runs everything registered at the hook. @returns NF_ACCEPT, NF_DROP (packet.rejectWith says how to answer), NF_STOLEN, NF_INCOMPLETE, NF_UNROUTED */
  run(hook: number, packet: Packet, inDevice: Device | null, outDevice: Device | null): number {
    this.hook = hook
    this.inDevice = inDevice
    this.outDevice = outDevice
    if (inDevice !== this.lastIn) {
      this.lastIn = inDevice
      this.inRow = this.deviceRow(inDevice)
    }
    if (outDevice !== this.lastOut) {
      this.lastOut = outDevice
      this.outRow = this.deviceRow(outDevice)
    }
    packet.rejectWith = 0
    this.rerouted = 0
    const verdict = this.runHook(hook, packet)
    const conntrack = this.netns.conntrack
    // a rejected packet keeps its entry: the answer belongs to it
    if ((verdict === NF_DROP || verdict === NF_UNROUTED) && conntrack !== null && packet.conntrack >= 0 && packet.rejectWith === 0) conntrack.abandon(packet)
    return verdict
  }

  /**
   * Cold. As for the first question, where packets left nothing in what was compiled that cannot be taken back.
   * @param keepCounters rules go on counting
   * @returns false: it must be compiled anew
   */
  forget(keepCounters: boolean): boolean {
    if (this.compiled.changing) return false
    this.limits.forget()
    this.recents.forget()
    this.nthCounters.set(this.compiled.nthCounters)
    if (!keepCounters) this.forgetCounters()
    return true
  }

  /** Cold. Rules count from what they began with. */
  forgetCounters(): void {
    this.packets.set(this.compiled.packets)
    this.bytes.set(this.compiled.bytes)
  }

  /** Cold. Goes on counting where an earlier one of the same rules stood. */
  countOn({ packets, bytes }: Pick<Netfilter, 'packets' | 'bytes'>): void {
    this.packets.set(packets)
    this.bytes.set(bytes)
  }

  /** Name of a chain, by the index that trace rows hold. */
  chainName(chain: number): string {
    return this.compiled.chains[chain]?.name ?? ''
  }

  /** Index of a chain in a table (TABLE_*), -1 when there is none. */
  chainIndex(table: number, name: string): number {
    const { chains } = this.compiled
    for (let i = 0; i < chains.length; i++) if (chains[i].table === table && chains[i].name === name) return i
    return -1
  }

  /** The rule that a trace row names; undefined for the policy (rule -1). `table` says nothing that the chain does not. */
  ruleAt(_table: number, chain: number, rule: number): Rule | undefined {
    return this.compiled.chains[chain]?.rules[rule]
  }

  /** Whose the policy of a chain is, by the index that trace rows hold. */
  policyProvenance(chain: number): Provenance | undefined {
    return this.compiled.chains[chain]?.provenance
  }

  /** What iptables would refuse to load. */
  get faults(): readonly RulesetFault[] {
    return this.compiled.faults
  }

  /** Packets and bytes of a rule, or with rule -1 of a built-in chain's policy. */
  counters(chain: number, rule: number): { readonly packets: number; readonly bytes: number } {
    const at = this.compiled.chains[chain]
    const row = at.firstRow + (rule < 0 ? at.rules.length : rule)
    return { packets: this.packets[row], bytes: this.bytes[row] }
  }

  /** The device patterns of a rule hold; pattern 0 always does. */
  devicesMatch(inPattern: number, outPattern: number): boolean {
    const bits = this.deviceBits
    return ((bits[this.inRow + (inPattern >> 5)] >>> (inPattern & 31)) & (bits[this.outRow + (outPattern >> 5)] >>> (outPattern & 31)) & 1) !== 0
  }

  /** A pattern holds for a device. */
  deviceMatches(device: Device, pattern: number): boolean {
    // first the row: making it may replace the bits
    const row = this.deviceRow(device)
    return ((this.deviceBits[row + (pattern >> 5)] >>> (pattern & 31)) & 1) !== 0
  }

  /** What ipset tests and the SET target need to know beside the packet. */
  fillSetContext(): void {
    const context = this.setContext
    context.nowNs = this.netns.world.sim.nowNs
    context.inInterface = this.words === 0 ? -1 : this.deviceInterfaces[(this.inRow / this.words) | 0]
    context.outInterface = this.words === 0 ? -1 : this.deviceInterfaces[(this.outRow / this.words) | 0]
  }

  /** Completes a table's step, whose row was begun before its rules ran. */
  noteTable(header: number, table: number, rule: number, tried: number, matched: number, verdict: number): void {
    const steps = this.netns.world.trace.steps
    steps[header + ROW_ACTION] = verdict
    steps[header + ROW_A] = this.hook
    steps[header + ROW_A + 1] = table
    steps[header + ROW_A + 2] = this.ruleChains[rule]
    steps[header + ROW_A + 3] = this.ruleNumbers[rule]
    steps[header + ROW_A + 4] = tried
    steps[header + ROW_A + 5] = matched
  }

  private runHook(hook: number, packet: Packet): number {
    let verdict: number
    const conntrack = this.netns.conntrack
    const tables = this.tablesOf[hook]
    if (hook === HOOK_PREROUTING || hook === HOOK_OUTPUT) {
      const gather = conntrack !== null && isFragment(packet) && packet.conntrack < 0 && packet.conntrackState !== CT_UNTRACKED
      if (gather && ipDefrag(this.netns, packet, this.defragUser(hook, packet)) === 0) return NF_STOLEN
      if (((tables >>> TABLE_RAW) & 1) !== 0) {
        verdict = this.runTable(TABLE_RAW, hook, packet)
        if (verdict !== NF_ACCEPT) return verdict
      }
      if (conntrack !== null) {
        verdict = conntrack.track(packet, hook === HOOK_PREROUTING ? 1 : 0)
        if (verdict !== NF_ACCEPT) return verdict
      }
    }
    if (((tables >>> TABLE_MANGLE) & 1) !== 0) {
      verdict = hook === HOOK_OUTPUT ? this.mangleOutput(packet) : this.runTable(TABLE_MANGLE, hook, packet)
      if (verdict !== NF_ACCEPT) return verdict
    }
    if (hook !== HOOK_FORWARD && hook !== HOOK_INPUT) {
      verdict = hook === HOOK_OUTPUT ? this.natOutput(conntrack, packet) : this.runNat(conntrack, hook, packet)
      if (verdict !== NF_ACCEPT) return verdict
    }
    if (hook === HOOK_INPUT || hook === HOOK_FORWARD || hook === HOOK_OUTPUT) {
      if (((tables >>> TABLE_FILTER) & 1) !== 0) {
        verdict = this.runTable(TABLE_FILTER, hook, packet)
        if (verdict !== NF_ACCEPT) return verdict
      }
      if (((tables >>> TABLE_SECURITY) & 1) !== 0) {
        verdict = this.runTable(TABLE_SECURITY, hook, packet)
        if (verdict !== NF_ACCEPT) return verdict
      }
    }
    if (hook === HOOK_INPUT) {
      verdict = this.runNat(conntrack, hook, packet)
      if (verdict !== NF_ACCEPT) return verdict
    }
    if (conntrack !== null && (hook === HOOK_INPUT || hook === HOOK_POSTROUTING)) return conntrack.confirm(packet)
    return NF_ACCEPT
  }

  /** ipt_mangle_out, nf_route_table_hook4: another route for whatever it was chosen by. A mark that another table of OUTPUT sets changes none. */
  private mangleOutput(packet: Packet): number {
    const { src, dst, mark, tos } = packet
    const verdict = this.runTable(TABLE_MANGLE, HOOK_OUTPUT, packet)
    if (verdict !== NF_ACCEPT || (packet.src === src && packet.dst === dst && packet.mark === mark && packet.tos === tos)) return verdict
    return this.reroute(packet)
  }

  /** nf_nat_ipv4_local_fn: another route for another destination. */
  private natOutput(conntrack: Conntrack | null, packet: Packet): number {
    const { dst } = packet
    const verdict = this.runNat(conntrack, HOOK_OUTPUT, packet)
    return verdict !== NF_ACCEPT || packet.dst === dst ? verdict : this.reroute(packet)
  }

  private reroute(packet: Packet): number {
    if (!routeMeHarder(this.netns, packet)) return NF_UNROUTED
    this.rerouted = 1
    return NF_ACCEPT
  }

  private defragUser(hook: number, packet: Packet): number {
    if (hook === HOOK_OUTPUT) return DEFRAG_CONNTRACK_OUT
    return packet.physIn >= 0 ? DEFRAG_CONNTRACK_BRIDGE_IN : DEFRAG_CONNTRACK_IN
  }

  /** Both backends' tables of the kind, one after the other: a packet has to pass each; of nat the first that binds it counts (nf_nat_inet_fn). */
  private runTable(table: number, hook: number, packet: Packet): number {
    let verdict = this.runLayer(table * HOOKS + hook, table, packet)
    for (let at = (TABLES + table) * HOOKS + hook; at < this.entries.length && verdict === NF_ACCEPT; at += TABLES * HOOKS) {
      if (table === TABLE_NAT && this.bound(hook, packet)) return verdict
      verdict = this.runLayer(at, table, packet)
    }
    return verdict
  }

  private bound(hook: number, packet: Packet): boolean {
    const conntrack = this.netns.conntrack
    return conntrack !== null && packet.conntrack >= 0 && natInitialized(conntrack, packet.conntrack, manipOf(hook))
  }

  private runLayer(at: number, table: number, packet: Packet): number {
    const entry = this.entries[at]
    if (entry === NO_CHAIN) return NF_ACCEPT
    const policy = this.policies[at]
    if (this.netns.world.trace.on !== 0 && this.shown[at] !== 0) return runChainTraced(this, entry, policy, packet, table)
    return this.classified !== 0 && this.runs.length !== 0 ? runChainClassified(this, entry, policy, packet) : runChain(this, entry, policy, packet)
  }

  /** nf_nat_inet_fn: the nat table chooses once a connection; every packet then follows its connection's binding. */
  private runNat(conntrack: Conntrack | null, hook: number, packet: Packet): number {
    const slot = packet.conntrack
    if (!this.natTable || conntrack === null || slot < 0) return NF_ACCEPT
    const manip = manipOf(hook)
    const state = packet.conntrackState
    // an ICMP error follows the connection it is about
    if ((state === CT_RELATED || state === CT_RELATED_REPLY) && packet.proto === PROTO_ICMP) return natPacket(this.netns, conntrack, packet, manip)
    if (state !== CT_ESTABLISHED && state !== CT_ESTABLISHED_REPLY && !natInitialized(conntrack, slot, manip)) {
      const verdict = this.runTable(TABLE_NAT, hook, packet)
      if (verdict !== NF_ACCEPT) return verdict
      if (!natInitialized(conntrack, slot, manip)) natNullBinding(conntrack, slot, manip, this.netns.world.prng)
    } else if (hook === HOOK_POSTROUTING && this.outDevice !== null && masqueradeDeviceChanged(conntrack, packet, this.outDevice.index)) {
      conntrack.kill(slot)
      return NF_DROP
    }
    return natPacket(this.netns, conntrack, packet, manip)
  }

  private deviceRow(device: Device | null): number {
    if (device === null) return 0
    return device.patternsOf === this ? device.patternRow : this.makeDeviceRow(device)
  }

  /** Cold: once a device. */
  private makeDeviceRow(device: Device | null): number {
    const index = this.deviceInterfaces.length
    const row = index * this.words
    if (row + this.words > this.deviceBits.length) {
      const grown = new Int32Array(Math.max(this.deviceBits.length * 2, row + this.words))
      grown.set(this.deviceBits)
      this.deviceBits = grown
    }
    const name = device === null ? '' : device.name
    for (let i = 0; i < this.compiled.patterns.length; i++) {
      if (this.compiled.patterns[i].matches(name)) this.deviceBits[row + (i >> 5)] |= 1 << (i & 31)
    }
    this.deviceInterfaces.push(this.compiled.interfaces.get(name) ?? -1)
    if (device !== null) {
      device.patternRow = row
      device.patternsOf = this
    }
    return row
  }
}

/**
 * Compiles a netns's rules; null when it has no table at all. Turns conntrack on in the netns when they need it. What iptables
 * would refuse (a loop, a jump to nowhere) is in `faults`; a packet that comes to such a rule meets NF_INCOMPLETE.
 */
export function compileNetfilter(netns: Netns, state: IptablesState, sets: readonly IpSet[]): Netfilter | null {
  if (state.tables.length === 0) return null
  if (!needsConntrack(state)) netns.conntrack = null
  else netns.conntrack ??= new Conntrack(netns)
  return new Netfilter(
    netns,
    compileRules(state, sets, (text) => netns.world.word(text)),
  )
}
