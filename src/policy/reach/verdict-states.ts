/**
 * How far the tiers have come with all connections of a pair in one direction, as one number: what is undecided, what is passed on, what is
 * allowed. A step of a rule takes a number to a number, and each distinct step is worked out once. Steps and ends mean what evaluate.ts says.
 */
import type { ConnectionTable } from './connection-table.js'
import { ConnectionSet } from '../connections.js'
import type { IndexedRule } from './rule-index.js'
import type { Switches, Tier } from '../model.js'

interface State {
  readonly left: number
  readonly passed: number
  readonly allowed: number
}

const ACTIONS: Readonly<Record<IndexedRule['action'], number>> = { allow: 0, deny: 1, pass: 2 }
const SHIFT = 2 ** 24

export class VerdictStates {
  /** Before the first tier. */
  readonly start: number
  private readonly table: ConnectionTable
  private readonly states: State[] = []
  private readonly numbers = new Map<string, number>()
  private readonly steps = new Map<number, number>()

  constructor(table: ConnectionTable, switches: Switches) {
    this.table = table
    const free = switches.otherProtocols === 'free'
    const left = free ? table.number(ConnectionSet.transport) : table.all
    this.start = this.number({ left, passed: table.none, allowed: table.minus(table.all, left) })
  }

  step(state: number, action: IndexedRule['action'], connections: number): number {
    const key = (state * 4 + ACTIONS[action]) * SHIFT + connections
    let next = this.steps.get(key)
    if (next === undefined) this.steps.set(key, (next = this.number(this.after(this.states[state], action, connections))))
    return next
  }

  /** Of an end that a policy of the tier selected. */
  tierEnd(state: number, atEnd: Tier['atEnd']): number {
    const { left, passed, allowed } = this.states[state]
    return this.number({ left: atEnd === 'next' ? this.table.union(left, passed) : passed, passed: this.table.none, allowed })
  }

  /** After the last tier: the connections that are allowed, by their number. */
  outcome(state: number): number {
    const { left, allowed } = this.states[state]
    return this.table.union(left, allowed)
  }

  private after({ left, passed, allowed }: State, action: IndexedRule['action'], connections: number): State {
    const hit = this.table.intersect(left, connections)
    const rest = this.table.minus(left, hit)
    if (action === 'allow') return { left: rest, passed, allowed: this.table.union(allowed, hit) }
    return { left: rest, passed: action === 'pass' ? this.table.union(passed, hit) : passed, allowed }
  }

  private number(state: State): number {
    const key = `${state.left} ${state.passed} ${state.allowed}`
    let number = this.numbers.get(key)
    if (number === undefined) {
      number = this.states.push(state) - 1
      this.numbers.set(key, number)
    }
    return number
  }
}
