/** flanneld 0.11.0 as recorded on a real kernel: what it rendered from etcd must be what is rendered here. */
import { describe, expect, it } from 'vitest'
import { formatCidr } from '../../src/base/cidr.js'
import { formatIp, ip } from '../../src/base/ip.js'
import { formatMac } from '../../src/base/mac.js'
import { Prng } from '../../src/base/prng.js'
import type { RouteSpec } from '../../src/dataplane/dataplane.js'
import { printSavedRule } from '../../src/dataplane/iptables-save.js'
import { EtcdV2 } from '../../src/etcd/etcd-v2.js'
import { EtcdStore } from '../../src/etcd/store.js'
import type { FlannelView } from '../../src/flannel/backend.js'
import { renderFlannel } from '../../src/flannel/flanneld.js'
import { formatLeaseValue } from '../../src/flannel/lease.js'
import { formatSubnetEnv } from '../../src/flannel/subnet-env.js'
import { EtcdSubnetManager } from '../../src/flannel/subnet-manager-etcd.js'
import { hostUnderlay, recording, type Recording } from './fixtures.js'

const VERSION = '0.11.0'

function viewOf(rec: Recording, nodeName: string): FlannelView {
  const etcd = new EtcdV2(new EtcdStore({ nowNs: 0 }))
  for (const [key, value] of Object.entries(rec.etcd)) etcd.set(key, value, { ttl: 86400 })
  const manager = new EtcdSubnetManager({ store: etcd.store, version: VERSION, prng: new Prng(1) })
  const { config, problems } = manager.readConfig()
  const { leases } = manager.list()
  const node = rec.scenario.nodes.find((one) => one.name === nodeName)
  const address = ip(node?.ip.split('/')[0] ?? '')
  const ownLease = leases.find((lease) => lease.attributes.publicIp === address)
  if (config === undefined || ownLease === undefined || node === undefined) throw new Error(`${nodeName}: ${problems[0]?.what ?? 'no lease'}`)
  const gateway = rec.scenario.segments.s0.split('/')[0]
  const externalInterface = { name: 'eth0', address, mtu: 1500, publicIp: address }
  return { nodeName, version: VERSION, config, ownLease, leases, externalInterface, ipMasq: true, underlay: hostUnderlay(node.ip, gateway), seed: 1 }
}

interface IpAddress {
  readonly ifname: string
  readonly mtu: number
  readonly address?: string
  readonly linkinfo?: { readonly info_kind: string; readonly info_data?: Readonly<Record<string, unknown>> }
  readonly addr_info: readonly {
    readonly family: string
    readonly local: string
    readonly prefixlen: number
    readonly scope: string
    readonly broadcast?: string
  }[]
}

function routeText(route: RouteSpec): string {
  return [
    formatCidr(route.destination),
    route.via === undefined ? '' : `via ${formatIp(route.via)}`,
    `dev ${route.device}`,
    route.onlink === true ? 'onlink' : '',
  ]
    .filter((word) => word !== '')
    .join(' ')
}

describe.each(['flannel-udp', 'flannel-vxlan', 'flannel-host-gw'])('%s', (name) => {
  const rec = recording(name)

  describe.each(rec.scenario.nodes.map((node) => node.name))('%s', (nodeName) => {
    const part = renderFlannel(viewOf(rec, nodeName))
    const state = rec.state[nodeName]

    it('without problems', () => expect(part.problems).toEqual([]))

    it('devices: name, kind, MTU, MAC, addresses, VXLAN attributes', () => {
      const recorded = (JSON.parse(state.addr) as IpAddress[]).filter((device) => device.ifname.startsWith('flannel'))
      expect(recorded).toHaveLength(name === 'flannel-host-gw' ? 0 : 1)
      const rendered = part.devices.map((device) => ({
        name: device.name,
        kind: device.kind,
        mtu: device.mtu,
        mac: device.mac === undefined ? undefined : formatMac(device.mac),
        addresses: device.addresses.map((one) => `${formatIp(one.address)}/${one.length} ${one.scope} ${one.broadcast ?? ''}`),
        vxlan:
          device.kind === 'vxlan'
            ? {
                id: device.vni,
                local: formatIp(device.local ?? 0),
                link: device.link,
                port: device.port,
                learning: device.learning,
                ttl: device.ttl,
                df: device.df,
                udp_csum: device.udpChecksum,
              }
            : undefined,
      }))
      const wanted = recorded.map((device) => {
        const data = device.linkinfo?.info_data ?? {}
        const { id, local, link, port, learning, ttl, df, udp_csum } = data
        return {
          name: device.ifname,
          kind: device.linkinfo?.info_kind,
          mtu: device.mtu,
          mac: device.address,
          addresses: device.addr_info.filter((one) => one.family === 'inet').map((one) => `${one.local}/${one.prefixlen} ${one.scope} ${one.broadcast ?? ''}`),
          vxlan: device.linkinfo?.info_kind === 'vxlan' ? { id, local, link, port, learning, ttl, df, udp_csum } : undefined,
        }
      })
      expect(rendered).toEqual(wanted)
    })

    it('routes: all that flannel made, none besides', () => {
      interface Route {
        readonly dst: string
        readonly gateway?: string
        readonly dev: string
        readonly table?: string
        readonly protocol?: string
        readonly scope?: string
        readonly flags: readonly string[]
      }
      const recorded = (JSON.parse(state.route) as Route[]).filter(
        (route) => route.table === undefined && route.protocol === undefined && route.dst !== 'default',
      )
      expect(recorded.length).toBeGreaterThan(0)
      expect(recorded.every((route) => route.scope === undefined)).toBe(true)
      const wanted = recorded.map((route) =>
        [route.dst, route.gateway === undefined ? '' : `via ${route.gateway}`, `dev ${route.dev}`, ...route.flags].filter((word) => word !== '').join(' '),
      )
      expect(part.routes.map(routeText).sort()).toEqual(wanted.sort())
      expect(part.routes.every((route) => route.scope === 'global' && route.protocol === undefined)).toBe(true)
    })

    it('permanent neighbours and FDB entries', () => {
      interface Neighbour {
        readonly dst: string
        readonly dev: string
        readonly lladdr?: string
        readonly state: readonly string[]
      }
      interface Entry {
        readonly mac: string
        readonly ifname: string
        readonly dst?: string
        readonly flags: readonly string[]
        readonly state: string
      }
      const neighbours = (JSON.parse(state.neigh) as Neighbour[])
        .filter((one) => one.state.includes('PERMANENT'))
        .map((one) => `${one.dst} ${one.dev} ${one.lladdr}`)
      expect(part.neighbours.map((one) => `${formatIp(one.address)} ${one.device} ${formatMac(one.mac ?? 0)}`).sort()).toEqual(neighbours.sort())
      const fdb = (JSON.parse(state.fdb) as Entry[])
        .filter((one) => one.ifname.startsWith('flannel'))
        .map((one) => `${one.mac} ${one.ifname} ${one.dst} ${one.flags.join(' ')} ${one.state}`)
      expect(fdb).toHaveLength(name === 'flannel-vxlan' ? rec.scenario.nodes.length - 1 : 0)
      expect(
        part.fdb.map((one) => `${formatMac(one.mac)} ${one.device} ${formatIp(one.destination ?? 0)} ${one.self === true ? 'self' : ''} ${one.state}`).sort(),
      ).toEqual(fdb.sort())
    })

    it('iptables rules, in their order', () => {
      const recorded = state.iptables.split('\n').filter((line) => line.startsWith('-A '))
      expect(recorded).toHaveLength(6)
      const inTable = (table: string): string[] =>
        part.chainEdits.filter((edit) => edit.table === table).flatMap((edit) => edit.rules.map((rule) => printSavedRule(edit.chain, rule)))
      expect([...inTable('filter'), ...inTable('nat')]).toEqual(recorded)
      expect(part.chainEdits.every((edit) => edit.action === 'append')).toBe(true)
    })

    it('subnet.env', () => {
      const wanted = Object.entries(rec.subnet_env[nodeName])
        .map(([key, value]) => `${key}=${value}\n`)
        .join('')
      expect(part.subnetEnv === undefined ? '' : formatSubnetEnv(part.subnetEnv, VERSION)).toBe(wanted)
    })

    it('the lease value in etcd is what this node publishes', () => {
      const { ownLease } = viewOf(rec, nodeName)
      const key = `/coreos.com/network/subnets/${formatCidr(ownLease.subnet).replace('/', '-')}`
      expect(formatLeaseValue(ownLease.attributes, VERSION)).toBe(rec.etcd[key])
    })
  })
})
