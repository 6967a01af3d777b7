/**
 * What a laboratory cannot show although this kernel can: its cards are ends of veths. Such a question is left out, and named; comparing it
 * would find the veth and not the model.
 */
import { DEVICE_NIC, type Device } from '../net/device.js'
import type { Network } from '../network/network.js'
import { read16 } from '../wire/bytes.js'
import type { PredictedFrame } from './compare.js'
import type { Prediction } from './prediction.js'

const ETHERNET_HEADER = 14
/** __is_skb_forwardable: over its MTU a veth takes an Ethernet header and a tag. */
const VETH_SLACK = ETHERNET_HEADER + 4
const MORE_FRAGMENTS = 0x2000

/** Why not, in words; undefined: it can be shown. */
export function labLimit(network: Network, { frames }: Prediction): string | undefined {
  for (const frame of frames) {
    const device = network.netns(frame.netns)?.devices.find(({ name }) => name === frame.device)
    const limit = device?.kind === DEVICE_NIC ? limitOf(device, frame) : undefined
    if (limit !== undefined) return limit
  }
  return undefined
}

function limitOf({ name, netns, mtu, segment }: Device, { direction, bytes }: PredictedFrame): string | undefined {
  if (direction === 'rx' && bytes.length > mtu + VETH_SLACK)
    return `${netns.name} ${name}: a card takes longer frames than it sends; the veth in its place does not`
  // veth_xmit tells of the loss (NET_XMIT_DROP), and ip_do_fragment gives up the rest; a card does not know what a switch loses
  const lost = direction === 'tx' && segment !== null && bytes.length > segment.mtu + ETHERNET_HEADER
  const more = bytes.length > ETHERNET_HEADER + 8 && (read16(bytes, ETHERNET_HEADER + 6) & MORE_FRAGMENTS) !== 0
  return lost && more ? `${netns.name} ${name}: the switch loses a fragment, and the veth in the card's place tells the sender` : undefined
}
