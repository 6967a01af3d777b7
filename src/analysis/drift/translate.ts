/**
 * A Dataplane in other names: of devices, MACs and WireGuard keys. Everything keeps its place in its list, so that what was translated is found again
 * by its index. Names of sets and chains stay.
 */
import type { Mac } from '../../base/mac.js'
import type { Dataplane, DeviceSpec } from '../../dataplane/dataplane.js'
import type { IptablesState, Match, Rule } from '../../dataplane/iptables.js'
import type { IpSet } from '../../dataplane/ipset.js'

export interface Renaming {
  readonly device: (name: string) => string
  readonly mac: (mac: Mac) => Mac
  readonly key: (key: string) => string
}

export function translate(dataplane: Dataplane, names: Renaming): Dataplane {
  const { device, mac } = names
  const onDevice = <Item extends { readonly device?: string }>(item: Item): Item =>
    item.device === undefined ? item : { ...item, device: device(item.device) }
  return {
    ...dataplane,
    devices: dataplane.devices.map((one) => translateDevice(one, names)),
    routes: dataplane.routes.map((route) => ({
      ...onDevice(route),
      ...(route.nexthops === undefined ? {} : { nexthops: route.nexthops.map((hop) => ({ ...hop, device: device(hop.device) })) }),
    })),
    rules: dataplane.rules.map((rule) => ({
      ...rule,
      ...(rule.iif === undefined ? {} : { iif: device(rule.iif) }),
      ...(rule.oif === undefined ? {} : { oif: device(rule.oif) }),
    })),
    neighbours: dataplane.neighbours.map((one) => ({ ...onDevice(one), ...(one.mac === undefined ? {} : { mac: mac(one.mac) }) })),
    fdb: dataplane.fdb.map((one) => ({ ...onDevice(one), mac: mac(one.mac), ...(one.master === undefined ? {} : { master: device(one.master) }) })),
    sysctls: Object.fromEntries(Object.entries(dataplane.sysctls).map(([key, value]) => [translateSysctl(key, device), value])),
    iptables: translateTables(dataplane.iptables, device),
    ipsets: dataplane.ipsets.map((set) => translateSet(set, device)),
  }
}

function translateDevice(one: DeviceSpec, { device, mac, key }: Renaming): DeviceSpec {
  const common = {
    name: device(one.name),
    ...(one.mac === undefined ? {} : { mac: mac(one.mac) }),
    ...(one.master === undefined ? {} : { master: device(one.master) }),
  }
  if (one.kind === 'vxlan') return { ...one, ...common, ...(one.link === undefined ? {} : { link: device(one.link) }) }
  if (one.kind !== 'wireguard') return { ...one, ...common }
  return { ...one, ...common, publicKey: key(one.publicKey), peers: one.peers.map((peer) => ({ ...peer, publicKey: key(peer.publicKey) })) }
}

const DEVICE_SYSCTL = /^(net\.ipv[46]\.(?:conf|neigh)\.)([^.]+)(\..*)$/

/** In the key of a sysctl a dot of a device's name is a slash. */
function translateSysctl(key: string, device: Renaming['device']): string {
  const match = DEVICE_SYSCTL.exec(key)
  if (match === null) return key
  const name = match[2].replaceAll('/', '.')
  const renamed = device(name)
  return renamed === name ? key : `${match[1]}${renamed.replaceAll('.', '/')}${match[3]}`
}

function translateTables({ tables }: IptablesState, device: Renaming['device']): IptablesState {
  return {
    tables: tables.map((table) => ({
      ...table,
      chains: table.chains.map((chain) => ({ ...chain, rules: chain.rules.map((rule) => translateRule(rule, device)) })),
    })),
  }
}

/** A rule that names no device that is called otherwise stays the same object. */
function translateRule(rule: Rule, device: Renaming['device']): Rule {
  if (!rule.matches.some((match) => isOnDevice(match) && device(match.name) !== match.name)) return rule
  return { ...rule, matches: rule.matches.map((match) => (isOnDevice(match) ? { ...match, name: device(match.name) } : match)) }
}

function isOnDevice(match: Match): match is Match & { readonly kind: 'in-interface' | 'out-interface' | 'physdev' } {
  return match.kind === 'in-interface' || match.kind === 'out-interface' || match.kind === 'physdev'
}

function translateSet(set: IpSet, device: Renaming['device']): IpSet {
  if (set.type !== 'hash:net,iface') return set
  const element = (text: string): string =>
    text.replace(/^([^,]+,)(physdev:)?(.*)$/, (_, net: string, physdev: string | undefined, name: string) => `${net}${physdev ?? ''}${device(name)}`)
  return { ...set, members: set.members.map((member) => ({ ...member, element: element(member.element) })) }
}
