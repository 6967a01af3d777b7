/** Which iptables table dropped a packet: read off the rows of the network's last question. */
import { NF_DROP } from '../net/netfilter/bytecode.js'
import type { World } from '../net/netns.js'
import { ROW_ACTION, ROW_KIND, ROW_PACKET, STEP_STRIDE, STEP_TABLE } from '../net/trace.js'

/**
 * The table's row before the row of the drop, of the same packet: a REJECT's message has been through tables of its own since.
 * @returns -1 where something else dropped it
 */
export function droppingTable({ trace }: World, drop: number): number {
  const at = (row: number, offset: number): number => trace.steps[row * STEP_STRIDE + offset]
  for (let row = drop - 1; row >= 0; row--) {
    if (at(row, ROW_PACKET) !== at(drop, ROW_PACKET) || at(row, ROW_KIND) !== STEP_TABLE) continue
    return at(row, ROW_ACTION) === NF_DROP ? row : -1
  }
  return -1
}
