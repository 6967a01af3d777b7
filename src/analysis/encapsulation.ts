/** The tunnel that a step of a trace put around its packet: from the device that did it, or flanneld's proxy, to its name and bytes. */
import { DEVICE_IPIP, DEVICE_WIREGUARD, type Device } from '../net/device.js'
import type { World } from '../net/netns.js'
import { ROW_A, ROW_KIND, STEP_AGENT, STEP_ENCAP, STEP_STRIDE } from '../net/trace.js'
import { PROXY_SENT } from '../network/flannel-udp.js'
import { overheadOf, type Encapsulation } from '../wire/overhead.js'

export interface Tunnel {
  readonly encapsulation: Encapsulation
  /** Of this packet, WireGuard's padding included. */
  readonly bytes: number
}

/** flanneld's datagram around what it reads. */
export const PROXY: Tunnel = { encapsulation: 'udp', bytes: overheadOf('udp').bytes }

export function encapsulationOf(device: Device): Encapsulation {
  if (device.kind === DEVICE_IPIP) return 'ipip'
  return device.kind === DEVICE_WIREGUARD ? 'wireguard' : 'vxlan'
}

/** undefined: that step put none around it. */
export function tunnelPutOn({ trace: { steps }, devices }: World, row: number): Tunnel | undefined {
  const at = row * STEP_STRIDE
  const kind = steps[at + ROW_KIND]
  if (kind === STEP_AGENT && steps[at + ROW_A] === PROXY_SENT) return PROXY
  return kind === STEP_ENCAP ? { encapsulation: encapsulationOf(devices[steps[at + ROW_A]]), bytes: steps[at + ROW_A + 5] } : undefined
}
