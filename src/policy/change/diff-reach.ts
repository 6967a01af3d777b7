/**
 * Which pairs a change can have touched at all. A direction of a pair means what its local end's policies say of the remote end: where neither
 * end changed, and the local end is selected by policies of the same content as before, it means what it meant.
 */
import type { SideEnd, Unit } from './diff-ends.js'
import type { Selection } from './diff-select.js'
import type { Direction, Policy, PolicyWorld } from '../model.js'

export class ChangeFinder {
  private readonly units: readonly Unit[]
  private readonly sides: readonly [Side, Side]
  private readonly isOtherWorld: boolean

  constructor(before: Selection, after: Selection, units: readonly Unit[]) {
    this.units = units
    this.sides = [new Side(before), new Side(after)]
    this.isOtherWorld = commonText(before.world) !== commonText(after.world)
  }

  /** In no order. Outside to outside is nobody's question. */
  *pairs(): Generator<readonly [source: Unit, destination: Unit]> {
    const { units } = this
    const changed = units.filter((unit) => this.isOtherWorld || this.hasChanged(unit))
    const isChanged = new Set(changed)
    const fromThem = new Set([...changed, ...units.filter((unit) => !isChanged.has(unit) && this.hasOtherPolicies(unit, 'egress'))])
    const toThem = new Set([...changed, ...units.filter((unit) => !isChanged.has(unit) && this.hasOtherPolicies(unit, 'ingress'))])
    for (const source of fromThem) for (const destination of units) if (isAsked(source, destination)) yield [source, destination]
    for (const destination of toThem) for (const source of units) if (!fromThem.has(source) && isAsked(source, destination)) yield [source, destination]
  }

  *allPairs(): Generator<readonly [source: Unit, destination: Unit]> {
    for (const source of this.units) for (const destination of this.units) if (isAsked(source, destination)) yield [source, destination]
  }

  private hasChanged({ before, after }: Unit): boolean {
    return before === undefined || after === undefined || before.key !== after.key
  }

  private hasOtherPolicies({ before, after }: Unit, direction: Direction): boolean {
    return before !== undefined && after !== undefined && this.sides[0].selecting(before, direction) !== this.sides[1].selecting(after, direction)
  }
}

function isAsked(source: Unit, destination: Unit): boolean {
  return source.kind !== 'outside' || destination.kind !== 'outside'
}

/** The policies that select ends of one world, by content. */
class Side {
  private readonly selection: Selection
  private readonly known = new Map<string, string>()

  constructor(selection: Selection) {
    this.selection = selection
  }

  /** Tier by tier. */
  selecting(side: SideEnd, direction: Direction): string {
    const known = `${direction} ${side.key}`
    let text = this.known.get(known)
    if (text === undefined) this.known.set(known, (text = this.find(side, direction)))
    return text
  }

  private find(side: SideEnd, direction: Direction): string {
    const selected = this.selection.of(side)
    return this.selection.world.tiers
      .map(({ name, atEnd }, index) => {
        const chosen = selected[index].filter((policy) => policy.directions.includes(direction))
        return chosen.length === 0 ? '' : `${name} ${atEnd}\n${chosen.map((policy) => contentOf(policy)).join('\n')}`
      })
      .filter((text) => text !== '')
      .join('\n\n')
  }
}

const contents = new WeakMap<Policy, string>()

/** All that a policy says, and not where it stands. */
export function contentOf(policy: Policy): string {
  let text = contents.get(policy)
  if (text === undefined) contents.set(policy, (text = JSON.stringify(policy, plain)))
  return text
}

/** ConnectionSets have a key; places and words mean nothing. */
function plain(key: string, value: unknown): unknown {
  if (key === 'file' || key === 'line' || key === 'words' || key === 'subjectWords' || key === 'written') return undefined
  if (typeof value === 'bigint') return value.toString()
  return typeof value === 'object' && value !== null && 'key' in value && 'lists' in value ? value.key : value
}

/** What every pair's meaning may depend on, besides its ends and the policies that select them. */
function commonText({ networkSets, hostEndpoints, services, switches, noEngine }: PolicyWorld): string {
  return JSON.stringify({ networkSets, hostEndpoints, services, switches, noEngine }, plain)
}
