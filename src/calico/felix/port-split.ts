/** iptables' multiport holds 15 slots, a range taking two: a list of ports → lists that fit. After SplitPortList of felix/rules/policy.go. */
import type { PortPair } from './rule.js'

const SLOTS = 15

export function splitPorts(ports: readonly PortPair[]): readonly (readonly PortPair[])[] {
  const splits: PortPair[][] = []
  let free = 0
  for (const range of ports) {
    const needed = range[0] === range[1] ? 1 : 2
    if (free < needed) {
      splits.push([])
      free = SLOTS
    }
    splits[splits.length - 1].push(range)
    free -= needed
  }
  return splits
}
