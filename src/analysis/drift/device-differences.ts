/**
 * Devices and addresses: what agents make of them against what is there. What goes with a device (its routes, its neighbours, its FDB entries) goes with
 * the finding: the comparers after this one start from a Dataplane to which these differences have happened already.
 */
import { formatIp } from '../../base/ip.js'
import { formatMac } from '../../base/mac.js'
import { cidr, contains } from '../../base/cidr.js'
import type { AddressSpec, Dataplane, DeviceSpec, WireguardPeerSpec } from '../../dataplane/dataplane.js'
import type { Change, Difference, DriftView } from './difference.js'
import { repairOf, restartOf } from './repair.js'
import { Printer, shown } from './shown.js'
import { mend, wordsOf } from './shell-words.js'

export function deviceDifferences(view: DriftView): Difference[] {
  const found: Difference[] = []
  for (const device of view.expected.devices) {
    if (device.kind === 'loopback') continue
    const there = view.there.devices.find(({ name }) => name === device.name)
    if (there === undefined) found.push(missing(view, device))
    else found.push(...comparedDevice(view, device, there))
  }
  return found
}

/** Nothing of it is left: what the kernel takes away with a device. */
function missing(view: DriftView, device: DeviceSpec): Difference {
  const printer = new Printer(view)
  const name = printer.device(device.name)
  const by = device.provenance?.by
  const gone = withoutDevice(device.name)
  const [before, after] = [view.expected, gone(view.expected)]
  const with_ = [
    [before.routes.length - after.routes.length, 'route'],
    [before.neighbours.length - after.neighbours.length, 'neighbour'],
    [before.fdb.length - after.fdb.length, 'FDB entry'],
  ] as const
  const lost = with_.filter(([count]) => count > 0).map(([count, word]) => `${count} ${count === 1 ? word : word === 'FDB entry' ? 'FDB entries' : `${word}s`}`)
  const along = lost.length === 0 ? '' : `, and with it ${lost.join(', ')}`
  const restart = restartOf(by, view.node)
  const pod = device.kind === 'veth' ? [device.peer.netns] : []
  return {
    code: device.kind === 'nic' ? 'ND803' : 'ND101',
    cause: `device ${device.name}`,
    what: `${name} is missing${device.kind === 'veth' ? ` (the host's end of ${device.peer.netns}'s eth0)` : ''}${along}`,
    expected: [printer.deviceLine(device), ...device.addresses.map((address) => printer.address(device, address))],
    there: [],
    apply: gone,
    focus: { pods: pod },
    commands: restart === undefined || device.kind === 'veth' ? [] : [restart],
    repair: device.kind === 'veth' ? `delete the pod ${device.peer.netns}: its successor gets a device` : repairOf(by, 'device'),
  }
}

function withoutDevice(name: string): Change {
  return (dataplane) => ({
    ...dataplane,
    devices: dataplane.devices.filter((device) => device.name !== name).map((device) => (device.master === name ? withoutMaster(device) : device)),
    routes: dataplane.routes.filter(({ device, nexthops }) => device !== name && nexthops?.some((hop) => hop.device === name) !== true),
    neighbours: dataplane.neighbours.filter(({ device }) => device !== name),
    fdb: dataplane.fdb.filter(({ device, master }) => device !== name && master !== name),
  })
}

function withoutMaster(device: DeviceSpec): DeviceSpec {
  const { master: _, bridgePort: __, ...rest } = device
  return rest
}

/** The device as `change` makes it. */
function changing(name: string, change: (device: DeviceSpec) => DeviceSpec): Change {
  return (dataplane) => ({ ...dataplane, devices: dataplane.devices.map((device) => (device.name === name ? change(device) : device)) })
}

function comparedDevice(view: DriftView, device: DeviceSpec, there: DeviceSpec): Difference[] {
  const found: Difference[] = []
  // the dump tells too little of it
  if (there.kind === 'other' && there.why !== undefined && !isVeth(there)) return []
  if (isOtherKind(device, there)) return [otherKind(view, device, there)]
  if (device.up && !there.up) found.push(down(view, device, there))
  if (device.mtu !== there.mtu) found.push(otherMtu(view, device, there))
  found.push(...tunnelDifferences(view, device, there), ...macDifference(view, device, there), ...addressDifferences(view, device, there))
  if (device.kind === 'veth') found.push(...portDifferences(view, device, there))
  return found
}

/** A card may be a bond, a VLAN or a bridge of the host's: that is its owner's affair. */
function isOtherKind(device: DeviceSpec, there: DeviceSpec): boolean {
  return device.kind !== 'nic' && device.kind !== there.kind && !(device.kind === 'veth' && isVeth(there))
}

/** Of a pod that was not looked into its other end is not known. */
export function isVeth(there: DeviceSpec): boolean {
  return there.kind === 'veth' || (there.kind === 'other' && there.type === 'veth')
}

function otherKind(view: DriftView, device: DeviceSpec, there: DeviceSpec): Difference {
  const printer = new Printer(view)
  const restart = restartOf(device.provenance?.by, view.node)
  return {
    code: 'ND103',
    cause: `device ${device.name}`,
    what: `${printer.device(device.name)} is a ${there.kind}, not a ${device.kind}`,
    expected: [printer.deviceLine(device)],
    there: [printer.deviceLine(there)],
    apply: (dataplane) => ({ ...dataplane, devices: dataplane.devices.map((one) => (one.name === device.name ? there : one)) }),
    focus: {},
    commands: [mend`ip link del ${printer.device(device.name)}`, ...(restart === undefined ? [] : [restart])],
    repair: repairOf(device.provenance?.by, 'device'),
  }
}

/** Routes go with it (fib_disable_ip); of what is left of them the dump tells. */
function down(view: DriftView, device: DeviceSpec, there: DeviceSpec): Difference {
  const printer = new Printer(view)
  const name = printer.device(device.name)
  const isLeft = (dataplane: Dataplane): Dataplane['routes'] =>
    dataplane.routes.filter(
      (route) => route.device !== device.name || view.there.routes.some((other) => other.device === route.device && sameRoute(other, route)),
    )
  const lost = view.expected.routes.filter((route) => route.device === device.name && !isLeft(view.expected).includes(route))
  return {
    code: 'ND102',
    cause: `device ${device.name}`,
    what: `${name} is down${lost.length === 0 ? '' : `, and ${lost.length} of its routes with it`}`,
    expected: [printer.deviceLine(device)],
    there: [printer.deviceLine(there)],
    apply: (dataplane) => ({ ...changing(device.name, (one) => ({ ...one, up: false }))(dataplane), routes: isLeft(dataplane) }),
    focus: { pods: device.kind === 'veth' ? [device.peer.netns] : [] },
    commands: [
      mend`ip link set dev ${name} up`,
      // connected routes come back with it
      ...lost.filter(({ protocol }) => protocol !== 'kernel').map((route) => mend`ip route replace ${wordsOf(printer.routeText(route))}`),
    ],
    repair: repairOf(device.provenance?.by, 'device'),
  }
}

function sameRoute(a: Dataplane['routes'][number], b: Dataplane['routes'][number]): boolean {
  return a.destination.base === b.destination.base && a.destination.length === b.destination.length
}

function otherMtu(view: DriftView, device: DeviceSpec, there: DeviceSpec): Difference {
  const printer = new Printer(view)
  const name = printer.device(device.name)
  const big = there.mtu > device.mtu
  return {
    code: 'ND104',
    cause: `mtu ${device.name}`,
    what: `the MTU of ${name} is ${there.mtu}, ${Math.abs(there.mtu - device.mtu)} too ${big ? 'big' : 'small'}: it should be ${device.mtu}`,
    expected: [printer.deviceLine(device)],
    there: [printer.deviceLine(there)],
    apply: changing(device.name, (one) => ({ ...one, mtu: there.mtu })),
    focus: { sizes: [Math.min(there.mtu, device.mtu), Math.max(there.mtu, device.mtu)], pods: device.kind === 'veth' ? [device.peer.netns] : [] },
    commands: [mend`ip link set dev ${name} mtu ${device.mtu}`],
    repair: repairOf(device.provenance?.by, 'device'),
  }
}

/** Fields of tunnels that both ends must agree about, in the words of ip -d link and wg show. */
function tunnelWords(device: DeviceSpec): ReadonlyMap<string, string> {
  const words = new Map<string, string>()
  if (device.kind === 'vxlan') {
    words.set('id', String(device.vni))
    words.set('dstport', String(device.port))
    if (device.local !== undefined) words.set('local', formatIp(device.local))
    words.set('learning', device.learning ? 'on' : 'off')
    words.set('gbp', device.gbp ? 'on' : 'off')
  }
  if (device.kind === 'ipip') {
    words.set('remote', device.remote === undefined ? 'any' : formatIp(device.remote))
    words.set('local', device.local === undefined ? 'any' : formatIp(device.local))
  }
  if (device.kind === 'wireguard') {
    words.set('listening port', String(device.port))
    words.set('fwmark', String(device.fwmark ?? 0))
    words.set('public key', device.publicKey)
  }
  return words
}

function tunnelDifferences(view: DriftView, device: DeviceSpec, there: DeviceSpec): Difference[] {
  const printer = new Printer(view)
  const name = printer.device(device.name)
  const [wanted, has] = [tunnelWords(device), tunnelWords(there)]
  const found: Difference[] = []
  const others = [...wanted].filter(([key, value]) => has.has(key) && has.get(key) !== value)
  const { provenance } = device
  const restart = restartOf(provenance?.by, view.node)
  if (others.length > 0) {
    const text = (words: ReadonlyMap<string, string>): string => `${name}: ${others.map(([key]) => `${key} ${words.get(key)}`).join(' ')}`
    found.push({
      code: 'ND105',
      cause: `tunnel ${device.name}`,
      what: `${name} has ${others.map(([key, value]) => `${key} ${has.get(key)} in place of ${value}`).join(', ')}`,
      expected: [shown(text(wanted), provenance)],
      there: [shown(text(has), there.provenance)],
      apply: changing(device.name, (one) => takeTunnel(one, there)),
      focus: {},
      commands: [mend`ip link del ${name}`, ...(restart === undefined ? [] : [restart])],
      repair: repairOf(provenance?.by, 'device'),
    })
  }
  if (device.kind === 'wireguard' && there.kind === 'wireguard') found.push(...peerDifferences(view, device, there))
  return found
}

function takeTunnel(one: DeviceSpec, there: DeviceSpec): DeviceSpec {
  if (one.kind === 'vxlan' && there.kind === 'vxlan') {
    const { vni, port, learning, gbp, local } = there
    return { ...one, vni, port, learning, gbp, ...(local === undefined ? {} : { local }) }
  }
  if (one.kind === 'ipip' && there.kind === 'ipip') return { ...there, addresses: one.addresses, mtu: one.mtu, up: one.up }
  if (one.kind === 'wireguard' && there.kind === 'wireguard') {
    const { port, fwmark, publicKey } = there
    return { ...one, port, publicKey, ...(fwmark === undefined ? {} : { fwmark }) }
  }
  return one
}

function peerText({ publicKey, endpoint, allowedIps }: WireguardPeerSpec, name: string): string {
  const at = endpoint === undefined ? '' : ` endpoint ${formatIp(endpoint.address)}:${endpoint.port}`
  return `wg set ${name} peer ${publicKey}${at} allowed-ips ${allowedIps.map(({ base, length }) => `${formatIp(base)}/${length}`).join(',')}`
}

function peerDifferences(
  view: DriftView,
  device: DeviceSpec & { readonly kind: 'wireguard' },
  there: DeviceSpec & { readonly kind: 'wireguard' },
): Difference[] {
  const name = new Printer(view).device(device.name)
  const key = (peer: WireguardPeerSpec): string =>
    peerText({ ...peer, allowedIps: [...peer.allowedIps].sort((a, b) => a.base - b.base || a.length - b.length) }, name)
  const set = (peers: readonly WireguardPeerSpec[]): Change => changing(device.name, (one) => (one.kind === 'wireguard' ? { ...one, peers } : one))
  const dumpKey = view.alignment.toDump.key
  const found: Difference[] = []
  for (const peer of device.peers) {
    const same = there.peers.find(({ publicKey }) => publicKey === peer.publicKey)
    if (same !== undefined && key(same) === key(peer)) continue
    const other = peer.endpoint === undefined ? undefined : view.facts.nodeWithAddress(peer.endpoint.address)
    const text = peerText({ ...peer, publicKey: dumpKey(peer.publicKey) }, name)
    found.push({
      code: 'ND105',
      cause: `peer ${peer.publicKey}`,
      what: `${name} ${same === undefined ? 'lacks' : 'has otherwise'} its peer${other === undefined ? '' : ` for node ${other}`}`,
      expected: [shown(text, device.provenance)],
      there: same === undefined ? [] : [shown(peerText({ ...same, publicKey: dumpKey(same.publicKey) }, name), there.provenance)],
      apply: (dataplane) => {
        const now = dataplane.devices.find((one) => one.name === device.name)
        const peers = now?.kind === 'wireguard' ? now.peers : []
        return set(peers.flatMap((one) => (one.publicKey !== peer.publicKey ? [one] : same === undefined ? [] : [same])))(dataplane)
      },
      focus: other === undefined ? {} : { nodes: [other] },
      commands: [mend`${wordsOf(text)}`],
      repair: repairOf(device.provenance?.by, 'device'),
    })
  }
  const extra = there.peers.filter(({ publicKey }) => !device.peers.some((peer) => peer.publicKey === publicKey))
  for (const peer of extra) {
    const text = peerText({ ...peer, publicKey: dumpKey(peer.publicKey) }, name)
    found.push({
      code: 'ND308',
      cause: `peer ${peer.publicKey}`,
      what: `${name} has a peer that is no node of the cluster`,
      expected: [],
      there: [shown(text, there.provenance)],
      apply: (dataplane) => {
        const now = dataplane.devices.find((one) => one.name === device.name)
        // allowed IPs belong to one peer: the one that came last has them
        return now?.kind === 'wireguard' ? set([...now.peers, peer])(dataplane) : dataplane
      },
      focus: {},
      commands: [mend`wg set ${name} peer ${dumpKey(peer.publicKey)} remove`],
      repair: repairOf(device.provenance?.by, 'device'),
    })
  }
  return found
}

/** Of the node's own tunnel, where it is published; all others are drawn by chance and were aligned. */
function macDifference(view: DriftView, device: DeviceSpec, there: DeviceSpec): Difference[] {
  const published = view.facts.publishedMac(view.node)
  if (device.kind !== 'vxlan' || device.mac === undefined || there.mac === undefined || there.mac === device.mac) return []
  if (published === undefined && !device.name.startsWith('vxlan')) return []
  const name = new Printer(view).device(device.name)
  const place = view.facts.placeOf(view.node)
  const mac = there.mac
  const restart = restartOf(device.provenance?.by, view.node)
  return [
    {
      code: 'ND106',
      cause: `mac ${device.name}`,
      what: `${name} has the MAC ${formatMac(mac)}, but the node published ${formatMac(device.mac)}`,
      expected: [{ ...shown(`link/ether ${formatMac(device.mac)} dev ${name}`, device.provenance), ...place }],
      there: [shown(`link/ether ${formatMac(mac)} dev ${name}`, there.provenance)],
      apply: changing(device.name, (one) => ({ ...one, mac })),
      focus: {},
      commands: [mend`ip link set dev ${name} address ${formatMac(device.mac)}`, ...(restart === undefined ? [] : [restart])],
      repair: repairOf(device.provenance?.by, 'device'),
    },
  ]
}

function hasAddress(device: DeviceSpec, address: AddressSpec): boolean {
  return device.addresses.some((other) => other.address === address.address)
}

function addressDifferences(view: DriftView, device: DeviceSpec, there: DeviceSpec): Difference[] {
  const printer = new Printer(view)
  const name = printer.device(device.name)
  const absent = device.addresses.filter((address) => !hasAddress(there, address))
  // a card may have any besides
  const extra = device.kind === 'nic' ? [] : there.addresses.filter((address) => address.scope === 'global' && !hasAddress(device, address))
  if (absent.length + extra.length === 0) return []
  const text = ({ address, length }: AddressSpec): string => `${formatIp(address)}/${length}`
  // connected routes and the addresses' own go with them
  const lostRoutes = view.expected.routes.filter(
    (route) => route.device === device.name && route.protocol === 'kernel' && absent.some(({ address }) => route.source === address),
  )
  const left = lostRoutes.filter((route) => !view.there.routes.some((other) => other.device === route.device && sameRoute(other, route)))
  const onNode = device.kind === 'nic'
  return [
    {
      code: onNode ? 'ND803' : 'ND107',
      cause: `address ${device.name}`,
      what:
        absent.length === 0
          ? `${name} has ${extra.map(text).join(', ')} besides`
          : extra.length === 0
            ? `${name} has not its address ${absent.map(text).join(', ')}`
            : `${name} has ${extra.map(text).join(', ')} in place of ${absent.map(text).join(', ')}`,
      expected: absent.map((address) => ({ ...printer.address(device, address), ...(onNode ? view.facts.placeOf(view.node) : {}) })),
      there: extra.map((address) => printer.address(there, address)),
      apply: (dataplane) => ({
        ...changing(device.name, (one) => ({ ...one, addresses: [...one.addresses.filter((own) => !absent.includes(own)), ...extra] }))(dataplane),
        routes: [
          ...dataplane.routes.filter((route) => !left.includes(route)),
          ...view.there.routes.filter(
            (route) => route.device === device.name && route.protocol === 'kernel' && extra.some(({ address }) => route.source === address),
          ),
        ],
      }),
      focus: {},
      // the others of a subnet go with its first address (__inet_del_ifa)
      commands: [
        ...extra.map((address) => mend`ip addr del ${text(address)} dev ${name}`),
        ...absent.map((address) => mend`ip addr add ${text(address)} dev ${name}`),
      ],
      repair: repairOf(device.provenance?.by, 'device'),
    },
  ]
}

/** Is the route that of an address which the difference of its device takes along? */
export function goesWithAddress(view: DriftView, route: Dataplane['routes'][number]): boolean {
  const there = view.there.devices.find(({ name }) => name === route.device)
  const wanted = view.expected.devices.find(({ name }) => name === route.device)
  if (there === undefined || wanted === undefined || wanted.kind === 'nic' || route.protocol !== 'kernel') return false
  const extra = there.addresses.filter((address) => !hasAddress(wanted, address))
  return extra.some(({ address, length }) => route.source === address || contains(cidr(address, length), route.destination.base))
}

function portDifferences(view: DriftView, device: DeviceSpec & { readonly kind: 'veth' }, there: DeviceSpec): Difference[] {
  const printer = new Printer(view)
  const name = printer.device(device.name)
  const flags = portFlags(view, device, there)
  if (device.master === there.master && flags.length === 0) return []
  // the bridge itself is not there: that is told
  if (there.master === undefined && !view.there.devices.some(({ name: other }) => other === device.master)) return []
  const bridge = device.master === undefined ? '' : printer.device(device.master)
  const inBridge = device.master === there.master
  const flagText = (one: DeviceSpec): string =>
    [
      `${name}:`,
      one.master === undefined ? 'no master' : `master ${printer.device(one.master)}`,
      ...flags.map(([flag]) => `${flag} ${isOn(one, flag) ? 'on' : 'off'}`),
    ].join(' ')
  const where = there.master === undefined ? 'no bridge' : printer.device(there.master)
  const what = inBridge
    ? `${name} of ${device.peer.netns} has ${flags.map(([flag, on]) => `${flag} ${on ? 'off' : 'on'}`).join(', ')} as a port of ${bridge}`
    : `${name} of ${device.peer.netns} is in ${where}${bridge === '' ? '' : `, not in ${bridge}`}`
  return [
    {
      code: 'ND108',
      cause: `port ${device.name}`,
      what,
      expected: [shown(flagText(device), device.provenance)],
      there: [shown(flagText(there), there.provenance)],
      apply: changing(device.name, (one) => {
        const { master, bridgePort } = there
        return { ...withoutMaster(one), ...(master === undefined ? {} : { master }), ...(bridgePort === undefined ? {} : { bridgePort }) }
      }),
      focus: { pods: [device.peer.netns] },
      commands: [
        ...(inBridge ? [] : [device.master === undefined ? mend`ip link set dev ${name} nomaster` : mend`ip link set dev ${name} master ${bridge}`]),
        ...flags.map(([flag, on]) => mend`bridge link set dev ${name} ${flag} ${on ? 'on' : 'off'}`),
      ],
      repair: repairOf(device.provenance?.by, 'device'),
    },
  ]
}

const FLAGS = ['hairpin', 'learning', 'flood', 'isolated'] as const
type Flag = (typeof FLAGS)[number]

function isOn({ bridgePort }: DeviceSpec, flag: Flag): boolean {
  return bridgePort?.[flag] ?? (flag === 'learning' || flag === 'flood')
}

/** Flags that are otherwise, and how they should be; where a dump knows no bridge it has no word of its ports either. */
function portFlags({ there: { devices } }: DriftView, device: DeviceSpec, there: DeviceSpec): (readonly [Flag, boolean])[] {
  if (device.master === undefined || device.master !== there.master || !devices.some(({ kind }) => kind === 'bridge')) return []
  return FLAGS.flatMap((flag): (readonly [Flag, boolean])[] => (isOn(device, flag) === isOn(there, flag) ? [] : [[flag, isOn(device, flag)]]))
}
