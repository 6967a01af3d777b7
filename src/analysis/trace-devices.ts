/** The devices on which a trace saw frames, for who reads the bytes: how a frame begins, how large it may be. */
import { formatMac, macOf } from '../base/mac.js'
import { DEVICE_KINDS, DEVICE_LOOPBACK, type Device } from '../net/device.js'
import { isBeyond } from '../net/netns.js'
import { FRAME_STRIDE } from '../net/trace.js'
import type { Network } from '../network/network.js'
import type { DeviceDocument } from './trace-document.js'

/** In the order of their first frame; routers of the underlay are not among them, as in `frames`. */
export function devicesOf({ world: { trace, devices } }: Network): DeviceDocument[] {
  const found = new Map<number, DeviceDocument>()
  for (let i = 0; i < trace.frameCount; i++) {
    const device = devices[trace.frames[i * FRAME_STRIDE + 1]]
    if (!isBeyond(device.netns) && !found.has(device.index)) found.set(device.index, documentOf(device))
  }
  return [...found.values()]
}

function documentOf(device: Device): DeviceDocument {
  const { netns, name, kind, mtu, ethernet, macHigh, macLow } = device
  return {
    netns: netns.name,
    device: name,
    kind: DEVICE_KINDS[kind],
    mtu,
    link: ethernet === 1 ? 'ethernet' : 'none',
    ...(ethernet === 1 && kind !== DEVICE_LOOPBACK ? { mac: formatMac(macOf(macHigh, macLow)) } : {}),
  }
}
