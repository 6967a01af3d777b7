/** What was recorded on a real kernel, its docker0 made by hand as dockerd makes it: the same devices, addresses, MTUs and routes. */
import { describe, expect, it } from 'vitest'
import { formatIp, ip } from '../../src/base/ip.js'
import { parseAddressWithLength } from '../../src/base/cidr.js'
import { formatMac, parseMac } from '../../src/base/mac.js'
import type { DeviceSpec } from '../../src/dataplane/dataplane.js'
import { printRoutes } from '../../src/dataplane/ip-route.js'
import type { BridgeView } from '../../src/docker/attachment.js'
import { renderDocker } from '../../src/docker/docker.js'
import { recording } from '../flannel/fixtures.js'
import { dockerView, pod } from './support.js'

interface Link {
  readonly ifname: string
  readonly mtu: number
  readonly address: string
  readonly master?: string
  readonly linkinfo?: { readonly info_kind: string; readonly info_slave_data?: { readonly hairpin: boolean } }
  readonly addr_info: readonly { readonly family: string; readonly local: string; readonly prefixlen: number; readonly scope: string }[]
}

interface DockerRecording {
  readonly scenario: { readonly nodes: readonly { readonly name: string; readonly pods: readonly string[] }[] }
  readonly subnet_env: Readonly<Record<string, Readonly<Record<string, string>>>>
  readonly state: Readonly<Record<string, { readonly addr: string; readonly route_text: string }>>
}

function recordedText({ ifname, mtu, address, master, linkinfo, addr_info: addresses }: Link): string {
  const inet = addresses.filter(({ family }) => family === 'inet').map(({ local, prefixlen, scope }) => `${local}/${prefixlen} ${scope}`)
  return [ifname, linkinfo?.info_kind ?? 'loopback', mtu, address, master ?? '-', linkinfo?.info_slave_data?.hairpin ?? '-', ...inet].join(' ')
}

function renderedText(device: DeviceSpec): string {
  const inet = device.addresses.map(({ address, length, scope }) => `${formatIp(address)}/${length} ${scope}`)
  return [device.name, device.kind, device.mtu, formatMac(device.mac ?? 0), device.master ?? '-', device.bridgePort?.hairpin ?? '-', ...inet].join(' ')
}

describe.each(['flannel-udp', 'flannel-vxlan', 'flannel-host-gw'])('%s', (name) => {
  const rec = recording(name) as unknown as DockerRecording
  const links = (netns: string): Link[] => JSON.parse(rec.state[netns].addr) as Link[]

  describe.each(rec.scenario.nodes.map((node) => node.name))('%s', (node) => {
    const names = rec.scenario.nodes.find((one) => one.name === node)?.pods ?? []
    const recorded = links(node).filter(({ ifname, master }) => ifname === 'docker0' || master === 'docker0')
    const macOf = (link: Link | undefined) => ({ mac: parseMac(link?.address ?? '') as number })
    const pods = names.map((one) => {
      const host = recorded.find(({ ifname }) => ifname === `veth-${one}`)
      const pins = { pinnedMac: macOf(links(one).find(({ ifname }) => ifname === 'eth0')).mac, pinnedHostDevice: `veth-${one}`, pinnedHostMac: macOf(host).mac }
      return pod(one, pins)
    })
    const env = rec.subnet_env[node]
    const view: Partial<BridgeView> = {
      node,
      pods,
      mtu: Number(env.FLANNEL_MTU),
      ipMasq: env.FLANNEL_IPMASQ !== 'true',
      subnet: parseAddressWithLength(env.FLANNEL_SUBNET) ?? { address: ip('0.0.0.0'), length: 0 },
      bridgeMac: macOf(recorded.find(({ ifname }) => ifname === 'docker0')).mac,
    }
    const part = renderDocker(dockerView({ ...view, iptables: false }))

    it('docker0 and its ports', () => {
      expect(names.length).toBeGreaterThan(0)
      expect(part.problems).toEqual([])
      expect(part.devices.map(renderedText)).toEqual(recorded.map(recordedText))
      expect(part.chainEdits).toEqual([])
    })

    it('the route to the subnet', () => {
      expect(printRoutes(part.routes).trim()).toBe(
        rec.state[node].route_text
          .split('\n')
          .find((line) => line.includes('dev docker0'))
          ?.trim(),
      )
    })

    it.each(names)('pod %s: devices and routes', (one) => {
      const dataplane = part.pods.find(({ attachment }) => attachment.name === one)?.dataplane
      expect(dataplane?.devices.map(renderedText)).toEqual(links(one).map(recordedText))
      expect(printRoutes(dataplane?.routes ?? [])).toBe(rec.state[one].route_text)
    })
  })
})
