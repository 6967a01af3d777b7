/** Neighbours and FDB entries of tunnels: what agents make of them against what is there. What ARP and bridges learn by themselves is nobody's drift. */
import { cidr } from '../../base/cidr.js'
import { formatIp } from '../../base/ip.js'
import { formatMac, ZERO_MAC, type Mac } from '../../base/mac.js'
import type { Dataplane, FdbSpec, NeighbourSpec } from '../../dataplane/dataplane.js'
import type { Difference, DriftView, Focus } from './difference.js'
import type { Gathered } from './gathered.js'
import { LEFT_ALONE, repairOf } from './repair.js'
import { goneWhole, notProgrammed } from './route-differences.js'
import { Printer } from './shown.js'
import { mend } from './shell-words.js'

export function neighbourDifferences(view: DriftView, gathered: Pick<Gathered, 'fdb'>): Difference[] {
  return [...neighbours(view), ...proxies(view), ...(gathered.fdb ? fdb(view) : [])]
}

function isFixed({ state, proxy }: NeighbourSpec): boolean {
  return proxy !== true && (state === 'permanent' || state === 'noarp')
}

/** The node whose tunnel is meant. */
function ownerOf(view: DriftView, entry: NeighbourSpec): string | undefined {
  const lease = view.network.leases.find((row) => row.lease.subnet.base === entry.address)
  if (lease?.node !== undefined) return lease.node
  const far = view.expected.fdb.find(({ mac, device }) => mac === entry.mac && device === entry.device)?.destination
  return far === undefined ? view.facts.nodeWithAddress(entry.address) : view.facts.nodeWithAddress(far)
}

function ofRemote(view: DriftView, owner: string | undefined, else_: string): Pick<Difference, 'cause' | 'focus' | 'whole'> {
  if (owner === undefined || owner === view.node) return { cause: else_, focus: {} }
  return { cause: `remote ${owner}`, focus: { nodes: [owner] }, whole: notProgrammed(view, owner) }
}

function neighbours(view: DriftView): Difference[] {
  const printer = new Printer(view)
  const found: Difference[] = []
  const dumpMac = (mac: Mac): string => formatMac(view.alignment.toDump.mac(mac))
  const same = (a: NeighbourSpec, b: NeighbourSpec): boolean => a.address === b.address && a.device === b.device && a.proxy !== true && b.proxy !== true
  for (const entry of view.expected.neighbours.filter(isFixed)) {
    const there = view.there.neighbours.find((other) => same(other, entry))
    const mac = entry.mac
    if (mac === undefined || (there !== undefined && there.mac === mac && isFixed(there))) continue
    const owner = ownerOf(view, entry)
    const name = printer.device(entry.device)
    const wrong = there !== undefined && there.mac !== undefined && there.mac !== mac && there.mac !== ZERO_MAC
    // one that ARP keeps would be asked for again, and nobody answers on a tunnel
    const left = there === undefined || !wrong ? [] : [there]
    const whose = owner === undefined ? '' : ` of ${owner}`
    found.push({
      code: wrong ? 'ND302' : 'ND301',
      ...ofRemote(view, owner, `neighbour ${formatIp(entry.address)}`),
      what: wrong
        ? `the neighbour ${formatIp(entry.address)}${whose} on ${name} has the MAC ${dumpMac(there.mac ?? 0)}, not ${dumpMac(mac)}`
        : `the permanent neighbour ${formatIp(entry.address)}${whose} on ${name} is ${there === undefined ? 'missing' : `${there.state}, not permanent`}`,
      expected: [printer.neighbour(entry)],
      there: there === undefined ? [] : [printer.neighbour(there)],
      apply: (dataplane) => ({ ...dataplane, neighbours: [...dataplane.neighbours.filter((one) => one !== entry), ...left] }),
      commands: [mend`ip neigh replace ${formatIp(entry.address)} lladdr ${formatMac(view.alignment.toDump.mac(mac))} dev ${name} nud permanent`],
      repair: repairOf(entry.provenance?.by, 'neighbour'),
    })
  }
  for (const entry of view.there.neighbours.filter(isFixed)) {
    if (view.expected.neighbours.some((other) => same(other, entry)) || isKernelsOwn(view, entry)) continue
    const name = printer.device(entry.device)
    const tunnel = view.expected.devices.some((device) => device.name === entry.device && device.kind === 'vxlan')
    found.push({
      code: 'ND303',
      cause: tunnel ? `gone ${formatIp(entry.address)}` : `neighbour ${formatIp(entry.address)}`,
      what: tunnel
        ? `the neighbour ${formatIp(entry.address)} on ${name} is no node of the cluster`
        : `somebody made the neighbour ${formatIp(entry.address)} on ${name} permanent`,
      expected: [],
      there: [printer.neighbour(entry)],
      ...(isUnknown(view, entry)
        ? {}
        : { apply: (dataplane: Dataplane) => ({ ...dataplane, neighbours: [...dataplane.neighbours.filter((one) => !same(one, entry)), entry] }) }),
      focus: focusOfAddress(view, entry.address),
      commands: [mend`ip neigh del ${formatIp(entry.address)} dev ${name}`],
      repair: LEFT_ALONE,
      ...(tunnel ? { whole: goneWhole(view) } : isUnknown(view, entry) ? {} : { bystander: true }),
    })
  }
  return found
}

/** Addresses without ARP: multicast, broadcast, the loopback and devices that have no link layer. */
function isKernelsOwn(view: DriftView, entry: NeighbourSpec): boolean {
  if (entry.state === 'noarp' || entry.device === 'lo') return true
  return view.facts.nodeWithAddress(entry.address) !== undefined && entry.mac !== undefined && isPinnedRight(view, entry)
}

/** Somebody pinned the MAC that the other node has: nothing is amiss. Of a node without a dump nobody knows. */
function isPinnedRight(view: DriftView, entry: NeighbourSpec): boolean {
  const other = view.facts.nodeWithAddress(entry.address)
  const device = view.expected.devices.find(({ name }) => name === entry.device)
  if (other === undefined || device?.kind !== 'nic') return false
  return view.facts.cardMac(other) === view.alignment.toDump.mac(entry.mac ?? 0)
}

/** Whether the MAC of a node without a dump is right nobody knows, and a packet cannot tell. */
function isUnknown(view: DriftView, entry: NeighbourSpec): boolean {
  const other = view.facts.nodeWithAddress(entry.address)
  return (
    other !== undefined && view.facts.cardMac(other) === undefined && view.expected.devices.some(({ name, kind }) => name === entry.device && kind === 'nic')
  )
}

function focusOfAddress(view: DriftView, address: number): Focus {
  const node = view.facts.nodeWithAddress(address) ?? view.facts.nodeBehind(cidr(address, 32))
  return node === undefined || node === view.node ? { addresses: [address] } : { nodes: [node] }
}

function proxies(view: DriftView): Difference[] {
  const printer = new Printer(view)
  const key = ({ address, device }: NeighbourSpec): string => `${address} ${device}`
  const [wanted, there] = [view.expected, view.there].map(({ neighbours: all }) => all.filter(({ proxy }) => proxy === true))
  const has = new Set(there.map(key))
  return wanted
    .filter((entry) => !has.has(key(entry)))
    .map((entry) => ({
      code: 'ND301',
      cause: `proxy ${key(entry)}`,
      what: `${printer.device(entry.device)} does not answer ARP for ${formatIp(entry.address)}`,
      expected: [printer.neighbour(entry)],
      there: [],
      apply: (dataplane) => ({ ...dataplane, neighbours: dataplane.neighbours.filter((one) => one !== entry) }),
      focus: {},
      commands: [mend`ip neigh add proxy ${formatIp(entry.address)} dev ${printer.device(entry.device)}`],
      repair: repairOf(entry.provenance?.by, 'neighbour'),
    }))
}

function fdb(view: DriftView): Difference[] {
  const printer = new Printer(view)
  const { alignment } = view
  const tunnels = new Set(view.expected.devices.filter(({ kind }) => kind === 'vxlan').map(({ name }) => name))
  const isOurs = ({ device, destination }: FdbSpec): boolean => destination !== undefined && tunnels.has(device)
  const same = (a: FdbSpec, b: FdbSpec): boolean => a.mac === b.mac && a.device === b.device
  const wanted = view.expected.fdb.filter(isOurs)
  const there = view.there.fdb.filter(isOurs)
  const found: Difference[] = []
  for (const entry of wanted) {
    const others = there.filter((other) => same(other, entry))
    if (others.some(({ destination }) => destination === entry.destination)) continue
    const owner = entry.destination === undefined ? undefined : view.facts.nodeWithAddress(entry.destination)
    const name = printer.device(entry.device)
    const mac = formatMac(alignment.toDump.mac(entry.mac))
    const to = formatIp(entry.destination ?? 0)
    const led = others.map(({ destination = 0 }) => formatIp(destination)).join(', ')
    found.push({
      code: others.length === 0 ? 'ND304' : 'ND305',
      ...ofRemote(view, owner, `fdb ${mac}`),
      what:
        others.length === 0
          ? `the FDB entry of ${name} for ${mac}${owner === undefined ? '' : ` of ${owner}`} is missing`
          : `the FDB entry of ${name} for ${mac}${owner === undefined ? '' : ` of ${owner}`} leads to ${led}, not to ${to}`,
      expected: [printer.fdb(entry)],
      there: others.map((other) => printer.fdb(other)),
      apply: (dataplane) => ({ ...dataplane, fdb: [...dataplane.fdb.filter((one) => one !== entry), ...others] }),
      commands: [mend`bridge fdb replace ${mac} dev ${name} dst ${to} self permanent`],
      repair: repairOf(entry.provenance?.by, 'neighbour'),
    })
  }
  for (const entry of there) {
    // what the tunnel has learnt runs out by itself
    if (entry.state === 'reachable' || wanted.some((other) => same(other, entry))) continue
    const mac = formatMac(alignment.toDump.mac(entry.mac))
    const name = printer.device(entry.device)
    const owner = view.facts.nodeWithAddress(entry.destination ?? 0)
    const of = entry.mac === ZERO_MAC ? 'every unknown MAC' : `${mac}, which no node published`
    const neighbour = view.there.neighbours.find((one) => one.mac === entry.mac && one.device === entry.device)
    const unknown = neighbour !== undefined && !view.expected.neighbours.some((one) => one.address === neighbour.address && one.device === neighbour.device)
    found.push({
      code: 'ND306',
      cause: unknown ? `gone ${formatIp(neighbour.address)}` : owner === undefined ? `fdb ${mac}` : `remote ${owner}`,
      what: `${name} has an FDB entry for ${of}, to ${owner ?? formatIp(entry.destination ?? 0)}`,
      expected: [],
      there: [printer.fdb(entry)],
      apply: (dataplane) => ({ ...dataplane, fdb: [...dataplane.fdb, entry] }),
      focus: owner === undefined ? {} : { nodes: [owner] },
      commands: [mend`bridge fdb del ${mac} dev ${name} dst ${formatIp(entry.destination ?? 0)} self`],
      repair: LEFT_ALONE,
      ...(unknown ? { whole: goneWhole(view) } : owner === undefined ? {} : { whole: notProgrammed(view, owner) }),
    })
  }
  return found
}
