/** Views and recordings for the tests of flannel. */
import { readFileSync } from 'node:fs'
import { parseCidr, type Cidr } from '../../src/base/cidr.js'
import { ip } from '../../src/base/ip.js'
import type { FlannelView } from '../../src/flannel/backend.js'
import { parseFlannelConfig, type FlannelConfig } from '../../src/flannel/config.js'
import type { Lease } from '../../src/flannel/lease.js'
import { underlayOf } from '../../src/flannel/underlay.js'
import type { DeviceSpec, RouteSpec } from '../../src/dataplane/dataplane.js'

export function net(text: string): Cidr {
  const parsed = parseCidr(text)
  if (typeof parsed === 'string') throw new Error(`${text}: ${parsed}`)
  return parsed
}

export function configOf(value: unknown, version = '0.28.9'): FlannelConfig {
  const parsed = parseFlannelConfig(JSON.stringify(value), { version, manager: 'etcd', source: { file: 't', line: 0, object: '' } })
  if (parsed.config === undefined) throw new Error(parsed.problems[0].what)
  return parsed.config
}

export function leaseOf(subnet: string, publicIp: string, backendType = 'vxlan', backendData?: unknown): Lease {
  return { subnet: net(subnet), attributes: { publicIp: ip(publicIp), backendType, ...(backendData === undefined ? {} : { backendData }) }, revision: 1 }
}

/** eth0 with an address and a default route, as every host of the tests has. */
export function hostUnderlay(address: string, gateway: string): ReturnType<typeof underlayOf> {
  const [host, length] = address.split('/')
  const eth0: DeviceSpec = {
    kind: 'nic',
    name: 'eth0',
    mtu: 1500,
    mac: 1,
    up: true,
    addresses: [{ address: ip(host), length: Number(length), scope: 'global' }],
  }
  const defaultRoute: RouteSpec = { destination: { base: 0, length: 0 }, type: 'unicast', via: ip(gateway), device: 'eth0' }
  return underlayOf([eth0], [defaultRoute])
}

/** Host A of the reference page: 192.168.0.100, lease 10.1.15.0/24, with B's lease. */
export function view(change: Partial<Omit<FlannelView, 'config'>> & { readonly network?: unknown } = {}): FlannelView {
  const { network, ...rest } = change
  const version = rest.version ?? '0.28.9'
  return {
    nodeName: 'a',
    version,
    config: configOf(network ?? { Network: '10.1.0.0/16', Backend: { Type: 'vxlan' } }, version),
    ownLease: leaseOf('10.1.15.0/24', '192.168.0.100', 'vxlan', { VNI: 1, VtepMAC: 'ee:00:00:00:00:0a' }),
    leases: [leaseOf('10.1.20.0/24', '192.168.0.200', 'vxlan', { VNI: 1, VtepMAC: 'ee:00:00:00:00:0b' })],
    externalInterface: { name: 'eth0', address: ip('192.168.0.100'), mtu: 1500, publicIp: ip('192.168.0.100') },
    ipMasq: true,
    underlay: hostUnderlay('192.168.0.100/24', '192.168.0.1'),
    seed: 1,
    ...rest,
  }
}

export interface RecordedNetns {
  readonly addr: string
  readonly route: string
  readonly neigh: string
  readonly fdb: string
  readonly iptables: string
}

export interface Recording {
  readonly scenario: { readonly nodes: readonly { readonly name: string; readonly ip: string }[]; readonly segments: Readonly<Record<string, string>> }
  readonly subnet_env: Readonly<Record<string, Readonly<Record<string, string>>>>
  readonly etcd: Readonly<Record<string, string>>
  readonly state: Readonly<Record<string, RecordedNetns>>
}

export function recording(name: string): Recording {
  return JSON.parse(readFileSync(new URL(`../recordings/${name}.rec.json`, import.meta.url), 'utf8')) as Recording
}
