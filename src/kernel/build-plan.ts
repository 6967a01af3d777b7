/**
 * Everything that porter.py has to do to make a network, in its order: cables between the namespaces, then in each namespace settings,
 * devices, ports, addresses, routes, rules, neighbours, FDB, ipsets, iptables, sockets. Pure: the same network gives the same plan.
 */
import { formatIp } from '../base/ip.js'
import type { Dataplane, DeviceSpec } from '../dataplane/dataplane.js'
import { printIptablesSave } from '../dataplane/iptables-save.js'
import { printIpsets } from '../dataplane/ipset-save.js'
import { defaultSysctls, printSysctls } from '../dataplane/sysctl.js'
import { cablesOf, deviceLines, portLines, switchFdbLines, switchLines, type SwitchPort } from './build-links.js'
import { Indexes, labNames, type LabNames } from './build-names.js'
import { fdbLines, stateLines } from './build-state.js'
import { natPortsOf, openPortsOf, type OpenPorts } from './build-sockets.js'
import type { LabNetwork, LabOptions, LabProxy, NotBuilt } from './lab-types.js'

export interface NamespacePlan {
  /** Of the network namespace. */
  readonly name: string
  /** Dataplane's name; empty for what only the lab has. */
  readonly netns: string
  /** `sysctl -a` text, written before there are devices. */
  readonly settings: string
  readonly tuns: readonly string[]
  /** For `ip -batch`: devices and ports, everything up but bridges. */
  readonly devices: readonly string[]
  /** They have to run before a bridge above them comes up, and before anything is sent. */
  readonly awaited: readonly string[]
  /** For `ip -batch`: bridges up, then addresses and the rest. */
  readonly state: readonly string[]
  /** `sysctl -a` text, written once there are devices. */
  readonly deviceSettings: string
  readonly fdb: readonly string[]
  readonly ipset: string
  readonly iptables: string
  readonly sockets: OpenPorts
}

export interface LabPlan {
  readonly prefix: string
  readonly restore: string
  readonly names: Readonly<Record<string, string>>
  readonly cables: readonly string[]
  readonly namespaces: readonly NamespacePlan[]
  readonly proxies: readonly ProxyPlan[]
  /** Ports to which a rule may send a packet, asked for or not. */
  readonly natPorts: readonly number[]
  readonly notBuilt: readonly NotBuilt[]
}

interface ProxyPlan {
  readonly netns: string
  readonly device: string
  readonly tunAddress: string
  readonly tunMtu: number
  readonly address: string
  readonly port: number
  readonly routes: readonly { readonly base: number; readonly length: number; readonly nextHop: string; readonly port: number }[]
}

/** An hour: nobody becomes STALE while probes are under way. */
const REACHABLE_MS = 3_600_000
/** IPv6 is not modelled; its own chatter (duplicate address detection, MLD) would be seen. */
const NO_IPV6 = { 'net.ipv6.conf.all.disable_ipv6': 1, 'net.ipv6.conf.default.disable_ipv6': 1 }
/** A switch looks into no packet. */
const SWITCH_SETTINGS = {
  ...NO_IPV6,
  'net.bridge.bridge-nf-call-iptables': 0,
  'net.bridge.bridge-nf-call-arptables': 0,
  'net.bridge.bridge-nf-call-ip6tables': 0,
}

/** @param lacking kinds of devices that this kernel refuses, and its words */
export function buildPlan(network: LabNetwork, options: LabOptions, lacking: ReadonlyMap<string, string>): LabPlan {
  const names = labNames(network, options.prefix)
  const indexes = new Indexes()
  const dataplanes = network.specs.map(({ dataplane }) => withoutLacking(dataplane, lacking))
  const cables = cablesOf(dataplanes, network.segments, names, { indexes, direct: options.bare === true })
  const isUp = new Set(dataplanes.flatMap(({ netns, devices }) => devices.filter(({ up }) => up).map(({ name }) => `${netns} ${name}`)))
  const plugged = (device: DeviceSpec): boolean =>
    (device.kind === 'nic' && cables.ports.has(device.segment ?? '')) || (device.kind === 'veth' && isUp.has(`${device.peer.netns} ${device.peer.device}`))
  const namespaces = [
    nowherePlan(names, cables.loose),
    ...network.segments.map(({ name }) => switchPlan(names.segments.get(name) ?? '', cables.ports.get(name) ?? [], indexes)),
    ...dataplanes.map((dataplane) => namespacePlan(dataplane, { name: names.netns.get(dataplane.netns) ?? '', plugged, options, indexes })),
  ]
  return {
    prefix: options.prefix,
    restore: options.iptables === undefined ? 'iptables-restore' : `iptables-${options.iptables}-restore`,
    names: Object.fromEntries(names.netns),
    cables: cables.lines,
    namespaces,
    proxies: network.proxies.map(proxyPlan),
    natPorts: natPortsOf(dataplanes),
    notBuilt: unbuildable(network, lacking),
  }
}

/** What this kernel cannot be, of the network: devices of kinds it refuses, and what is no Linux at all. */
export function unbuildable({ specs }: Pick<LabNetwork, 'specs'>, lacking: ReadonlyMap<string, string>): readonly NotBuilt[] {
  return specs.flatMap(({ dataplane: { netns, devices }, fabric }): NotBuilt[] => [
    ...(fabric === true ? [{ netns, device: '', kind: 'cloud', why: "a cloud's fabric is no Linux kernel" }] : []),
    ...devices.flatMap(({ name, kind }) => {
      const why = lacking.get(kind)
      return why === undefined ? [] : [{ netns, device: name, kind, why }]
    }),
  ])
}

function withoutLacking(dataplane: Dataplane, lacking: ReadonlyMap<string, string>): Dataplane {
  const gone = new Set(dataplane.devices.filter(({ kind }) => lacking.has(kind)).map(({ name }) => name))
  if (gone.size === 0) return dataplane
  const there = (device: string | undefined): boolean => device === undefined || !gone.has(device)
  return {
    ...dataplane,
    devices: dataplane.devices.filter(({ name }) => there(name)),
    routes: dataplane.routes.filter(({ device, nexthops }) => there(device) && (nexthops ?? []).every((hop) => there(hop.device))),
    neighbours: dataplane.neighbours.filter(({ device }) => there(device)),
    fdb: dataplane.fdb.filter(({ device }) => there(device)),
  }
}

interface Context {
  readonly name: string
  /** A cable leads from the device to another that is up. */
  readonly plugged: (device: DeviceSpec) => boolean
  readonly options: LabOptions
  readonly indexes: Indexes
}

const EMPTY_PLAN: Omit<NamespacePlan, 'name' | 'netns' | 'settings'> = {
  tuns: [],
  devices: [],
  awaited: [],
  state: [],
  deviceSettings: '',
  fdb: [],
  ipset: '',
  iptables: '',
  sockets: { fixed: [], ranges: [] },
}

function namespacePlan(dataplane: Dataplane, { name, plugged, options, indexes }: Context): NamespacePlan {
  const { devices } = dataplane
  const bridges = devices.filter(({ kind, up }) => kind === 'bridge' && up)
  const others = devices.filter(({ kind, up }) => kind !== 'bridge' && up)
  const loopback = devices.some(({ kind }) => kind === 'loopback') ? [] : ['link set lo up']
  const { before, after } = settingsOf(dataplane, options)
  return {
    name,
    netns: dataplane.netns,
    settings: before,
    tuns: devices.filter(({ kind }) => kind === 'tun').map((device) => device.name),
    devices: [...deviceLines(dataplane, indexes), ...portLines(dataplane), ...loopback, ...others.map((device) => `link set ${device.name} up`)],
    awaited: others.filter(plugged).map((device) => device.name),
    state: [...bridges.map((device) => `link set ${device.name} up`), ...stateLines(dataplane)],
    deviceSettings: after,
    fdb: fdbLines(dataplane),
    ipset: printIpsets(dataplane.ipsets),
    iptables: dataplane.iptables.tables.length === 0 ? '' : printIptablesSave(dataplane.iptables),
    sockets: openPortsOf(dataplane.sockets),
  }
}

/** Errors of every kind; without the mask each would still empty its peer's ration, from which ip_error pays (inet_peer_xrlim_allow). */
const UNRATIONED: Readonly<Record<string, number>> = { 'net.ipv4.icmp_ratelimit': 0, 'net.ipv4.icmp_ratemask': 0 }

/**
 * A new namespace copies the settings `all` and `default` of the machine (devconf_inherit_init_net), so every one is written; those of a
 * device begin as `default`'s once the device is there, but for lo, which is older. Forwarding comes before the rest of what the owner
 * said, since it changes other settings (inet_forward_change).
 */
function settingsOf({ sysctls, devices }: Dataplane, options: LabOptions): Readonly<Record<'before' | 'after', string>> {
  const names = new Set(devices.filter(({ kind }) => kind !== 'loopback').map((device) => device.name))
  const deviceOf = (key: string): string => /^net\.ipv[46]\.(?:conf|neigh)\.([^.]+)\./.exec(key)?.[1].replaceAll('/', '.') ?? ''
  const taken = Object.entries(sysctls).filter(([key]) => options.icmpRateLimit === 'kernel' || !(key in UNRATIONED))
  const own = taken.filter(([key]) => !names.has(deviceOf(key)))
  const isForwarding = ([key]: readonly [string, number]): boolean => key === 'net.ipv4.ip_forward' || key === 'net.ipv4.conf.all.forwarding'
  const defaults = Object.entries(defaultSysctls()).filter(([key]) => /^net\.ipv4\.conf\.(all|default)\./.test(key) && !/forwarding$/.test(key))
  if (options.icmpRateLimit !== 'kernel') defaults.push(...Object.entries(UNRATIONED))
  const onLoopback = [...defaults, ...own].flatMap(([key, value]): [string, number][] => {
    const ofLoopback = key.replace(/^net\.ipv4\.conf\.default\./, 'net.ipv4.conf.lo.')
    return ofLoopback === key || ofLoopback in sysctls || /disable_(policy|xfrm)$/.test(key) ? [] : [[ofLoopback, value]]
  })
  const groups = [[...Object.entries(NO_IPV6), ...defaults], own.filter(isForwarding), own.filter((entry) => !isForwarding(entry)), onLoopback]
  const arp = devices.filter(({ kind }) => kind === 'veth' || kind === 'nic' || kind === 'bridge' || kind === 'vxlan')
  const reachable = arp.map(({ name }): [string, number] => [`net.ipv4.neigh.${name.replaceAll('.', '/')}.base_reachable_time_ms`, REACHABLE_MS])
  const after = [...reachable, ...taken.filter(([key]) => names.has(deviceOf(key)))]
  return { before: groups.map((group) => printSysctls(Object.fromEntries(group))).join(''), after: printSysctls(Object.fromEntries(after)) }
}

function switchPlan(name: string, ports: readonly SwitchPort[], indexes: Indexes): NamespacePlan {
  return {
    ...EMPTY_PLAN,
    name,
    netns: '',
    settings: printSysctls(SWITCH_SETTINGS),
    devices: switchLines(ports, indexes),
    awaited: ports.map(({ device }) => device),
    state: ['link set switch up'],
    fdb: switchFdbLines(ports),
  }
}

function nowherePlan({ nowhere }: LabNames, loose: readonly string[]): NamespacePlan {
  return { ...EMPTY_PLAN, name: nowhere, netns: '', settings: printSysctls(NO_IPV6), devices: loose.map((device) => `link set ${device} down`) }
}

function proxyPlan({ netns, device, tunAddress, tunMtu, address, port, routes }: LabProxy): ProxyPlan {
  return {
    netns,
    device,
    tunAddress: formatIp(tunAddress),
    tunMtu,
    address: formatIp(address),
    port,
    routes: routes.map(({ subnet, nextHop, port: to }) => ({ base: subnet.base >>> 0, length: subnet.length, nextHop: formatIp(nextHop), port: to })),
  }
}
