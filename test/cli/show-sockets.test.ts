/** `show sockets`: processes, the kernel's own sockets, and who says that they are there. */
import { describe, expect, it } from 'vitest'
import { fileURLToPath } from 'node:url'
import { socketsOf } from '../../src/cli/show-sockets.js'
import { EMPTY_DATAPLANE, type DeviceSpec } from '../../src/dataplane/dataplane.js'
import { netsim } from './memory-io.js'

/** As `ss -lnptu` of Linux 6.18 shows two VXLAN devices that share port 8472, and a third on 4789 that is down: one line, no process. */
const VXLAN_DEVICE = {
  kind: 'vxlan',
  name: 'flannel.1',
  vni: 1,
  port: 8472,
  mtu: 1450,
  mac: 2,
  up: true,
  addresses: [],
  learning: false,
  gbp: false,
  ttl: 0,
  tos: 0,
  df: 'unset',
  udpChecksum: false,
} as const satisfies DeviceSpec

const example = (name: string): string => fileURLToPath(new URL(`../../examples/${name}.yaml`, import.meta.url))

async function rows(...words: string[]): Promise<string[][]> {
  const { code, out, err } = await netsim(['show', 'sockets', ...words])
  expect({ code, err }).toEqual({ code: 0, err: '' })
  return out
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split(/ {2,}/))
}

describe('show sockets', () => {
  it('flanneld’s proxy of the udp backend', async () => {
    expect(await rows('host-a')).toEqual([
      ['Netid', 'State', 'Local Address:Port', 'Peer Address:Port', 'Process'],
      ['udp', 'UNCONN', '192.168.0.100:8285', '0.0.0.0:*', expect.stringMatching(/^flanneld, /)],
    ])
  })

  it('the kernel’s socket of a VXLAN device, as ss lists it', async () => {
    const [, vxlan] = await rows('node-1', '-f', example('flannel-vxlan'))
    expect(vxlan).toEqual(['udp', 'UNCONN', '0.0.0.0:8472', '0.0.0.0:*', 'kernel (vxlan flannel.1)'])
  })

  it('one socket of the kernel for a port, however many devices share it; none of a device that is down', () => {
    const device = (name: string, up: boolean, port = 8472): DeviceSpec => ({ ...VXLAN_DEVICE, name, up, port })
    const devices = [device('flannel.1', true), device('x2', true), device('x3', false, 4789)]
    expect(socketsOf({ ...EMPTY_DATAPLANE, netns: 'n', devices })).toEqual([
      { netid: 'udp', state: 'UNCONN', address: 0, port: 8472, process: 'kernel (vxlan flannel.1, vxlan x2)' },
    ])
  })

  it('a containerPort with its file and line', async () => {
    const [, , ...others] = await rows('shop/api-0', '-f', example('flannel-vxlan'))
    expect(others).toEqual([])
    const [, socket] = await rows('shop/api-0', '-f', example('flannel-vxlan'))
    expect(socket.slice(0, 4)).toEqual(['tcp', 'LISTEN', '0.0.0.0:8080', '0.0.0.0:*'])
    expect(socket[4]).toMatch(/^containerPort of the Pod: taken to listen, Pod\/shop\/api-0, .*flannel-vxlan\.yaml:\d+$/)
  })

  it('a pod that declares no port: every one, and why', async () => {
    const [, ...sockets] = await rows('pod-a')
    expect(sockets.map((row) => row.slice(0, 3))).toEqual([
      ['tcp', 'LISTEN', '0.0.0.0:1-65535'],
      ['udp', 'UNCONN', '0.0.0.0:1-65535'],
      ['sctp', 'LISTEN', '0.0.0.0:1-65535'],
    ])
  })

  it('-o json has words for addresses', async () => {
    const { out } = await netsim(['show', 'ss', 'host-b', '-o', 'json'])
    expect(JSON.parse(out)).toMatchObject({
      state: 'sockets',
      items: [{ netns: 'host-b', entries: [{ netid: 'udp', state: 'UNCONN', address: '192.168.0.200', port: 8285, provenance: { by: 'flanneld' } }] }],
    })
  })
})
