/** Who does not take a frame, for people: a loss at a card without carrier → whose card it is, and why, as far as the network of the moment knows. */
import { UNPLUGGED } from '../net/link.js'
import type { Network } from './network.js'

/** @param detail of a STEP_DROP @param number its first number; of another loss the detail stays as it is */
export function lossText(network: Network, detail: string, number: number): string {
  if (detail !== UNPLUGGED) return detail
  const { name } = network.world.netns[number]
  const absent = network.absenceOf(name)
  return absent === undefined ? `the frame is for ${name}, whose cable is out` : `the frame is for ${name}, which ${absent}`
}
