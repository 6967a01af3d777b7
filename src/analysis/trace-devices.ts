/** The devices on which a trace saw frames, for who reads the bytes: how a frame begins, how large it may be. */
import { formatMac, macOf } from '../base/mac.js'
import {
  DEVICE_BRIDGE,
  DEVICE_DUMMY,
  DEVICE_IPIP,
  DEVICE_LOOPBACK,
  DEVICE_NIC,
  DEVICE_TUN,
  DEVICE_VETH,
  DEVICE_VXLAN,
  DEVICE_WIREGUARD,
  type Device,
} from '../net/device.js'
import { NETNS_ROUTER } from '../net/netns.js'
import { FRAME_STRIDE } from '../net/trace.js'
import type { Network } from '../network/network.js'
import type { DeviceDocument, DeviceKind } from './trace-document.js'

const KINDS: Readonly<Record<number, DeviceKind>> = {
  [DEVICE_LOOPBACK]: 'loopback',
  [DEVICE_NIC]: 'nic',
  [DEVICE_VETH]: 'veth',
  [DEVICE_BRIDGE]: 'bridge',
  [DEVICE_TUN]: 'tun',
  [DEVICE_VXLAN]: 'vxlan',
  [DEVICE_IPIP]: 'ipip',
  [DEVICE_WIREGUARD]: 'wireguard',
  [DEVICE_DUMMY]: 'dummy',
}

/** In the order of their first frame; routers of the underlay are not among them, as in `frames`. */
export function devicesOf({ world: { trace, devices } }: Network): DeviceDocument[] {
  const found = new Map<number, DeviceDocument>()
  for (let i = 0; i < trace.frameCount; i++) {
    const device = devices[trace.frames[i * FRAME_STRIDE + 1]]
    if (device.netns.role !== NETNS_ROUTER && !found.has(device.index)) found.set(device.index, documentOf(device))
  }
  return [...found.values()]
}

function documentOf(device: Device): DeviceDocument {
  const { netns, name, kind, mtu, ethernet, macHigh, macLow } = device
  return {
    netns: netns.name,
    device: name,
    kind: KINDS[kind] ?? 'dummy',
    mtu,
    link: ethernet === 1 ? 'ethernet' : 'none',
    ...(ethernet === 1 && kind !== DEVICE_LOOPBACK ? { mac: formatMac(macOf(macHigh, macLow)) } : {}),
  }
}
