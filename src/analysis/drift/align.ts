/**
 * What may differ between a rendered Dataplane and the kernel's own: names of veths, the name of the card, MACs and keys that are drawn by chance. From
 * the two to names that both understand: differences are told in the expected one's and shown in the dump's.
 */
import type { Mac } from '../../base/mac.js'
import type { CollectedNode } from '../../collected/collected-node.js'
import type { Dataplane, DeviceSpec } from '../../dataplane/dataplane.js'
import type { Ip } from '../../base/ip.js'
import { isVeth } from './device-differences.js'
import type { NodeFacts } from './node-facts.js'
import type { Renaming } from './translate.js'

export interface Alignment {
  /** The dump's names → the expected ones. */
  readonly toExpected: Renaming
  /** And back. */
  readonly toDump: Renaming
  /** What was taken for the same, in words. */
  readonly told: readonly string[]
}

export interface AlignInput {
  readonly node: string
  readonly address: Ip
  readonly expected: Dataplane
  readonly dump: Dataplane
  readonly collected?: Pick<CollectedNode, 'pods'>
  readonly facts: NodeFacts
}

/** A one-to-one map of words; what is not in it stays, unless something else was given its name. */
class Names<Word extends string | number> {
  private readonly forth = new Map<Word, Word>()
  private readonly back = new Map<Word, Word>()

  has(from: Word): boolean {
    return this.forth.has(from)
  }

  isTaken(to: Word): boolean {
    return this.back.has(to)
  }

  pair(from: Word, to: Word): void {
    if (this.forth.has(from) || this.back.has(to)) return
    this.forth.set(from, to)
    this.back.set(to, from)
  }

  readonly toExpected = (word: Word): Word => this.forth.get(word) ?? word
  readonly toDump = (word: Word): Word => this.back.get(word) ?? word

  /** Pairs that are not alike. */
  get changed(): number {
    return [...this.forth].filter(([from, to]) => from !== to).length
  }
}

export function align(input: AlignInput): Alignment {
  const devices = pairDevices(input)
  const macs = pairMacs(input, devices)
  const keys = pairKeys(input, devices)
  const told = [
    ...(devices.changed === 0 ? [] : [`${devices.changed} ${devices.changed === 1 ? 'name' : 'names'} of devices (the card, veths)`]),
    ...(macs.changed === 0 ? [] : [`${macs.changed} ${macs.changed === 1 ? 'MAC' : 'MACs'} that nobody published`]),
    ...(keys.changed === 0 ? [] : [`${keys.changed} WireGuard ${keys.changed === 1 ? 'key' : 'keys'} that nobody published`]),
  ]
  return {
    toExpected: { device: devices.toExpected, mac: macs.toExpected, key: keys.toExpected },
    toDump: { device: devices.toDump, mac: macs.toDump, key: keys.toDump },
    told,
  }
}

/** The card by the node's address, veths by their pod, then by their name, then by the bridge that they are in. */
function pairDevices({ address, expected, dump, collected }: AlignInput): Names<string> {
  const names = new Names<string>()
  const cardOf = ({ devices }: Dataplane): string | undefined => devices.find(({ addresses }) => addresses.some((own) => own.address === address))?.name
  const [card, own] = [cardOf(expected), cardOf(dump)]
  if (card !== undefined && own !== undefined) names.pair(own, card)
  for (const { known, name, veth } of collected?.pods ?? []) {
    const host = expected.devices.find((device) => device.kind === 'veth' && device.peer.netns === name)
    if (known && veth !== undefined && host !== undefined) names.pair(veth, host.name)
  }
  const byName = new Set(dump.devices.map(({ name }) => name))
  for (const { name } of expected.devices) if (byName.has(name)) names.pair(name, name)
  const free = dump.devices.filter((device) => isVeth(device) && device.master !== undefined && !names.has(device.name))
  for (const one of expected.devices) {
    if (one.kind !== 'veth' || one.master === undefined || names.isTaken(one.name)) continue
    const at = free.findIndex(({ master }) => names.toExpected(master ?? '') === one.master)
    if (at >= 0) names.pair(free.splice(at, 1)[0].name, one.name)
  }
  // a device that has the name of another here
  for (const { name } of dump.devices) if (!names.has(name) && names.isTaken(name)) names.pair(name, `${name} of the dump`)
  return names
}

/** Of devices that are there on both sides, and of other nodes' tunnels that nobody published. */
function pairMacs(input: AlignInput, devices: Names<string>): Names<Mac> {
  const { expected, dump, node, facts } = input
  const names = new Names<Mac>()
  const byName = new Map(dump.devices.map((device) => [devices.toExpected(device.name), device]))
  for (const { name, mac, kind } of expected.devices) {
    const found = byName.get(name)?.mac
    if (mac === undefined || found === undefined || (isTunnel(kind) && facts.publishedMac(node) !== undefined)) continue
    if (!name.startsWith('cali')) names.pair(found, mac)
  }
  for (const [own, drawn] of facts.cardPairs(node)) names.pair(own, drawn)
  for (const { address, device, mac } of expected.neighbours) {
    if (mac === undefined) continue
    const far = expected.fdb.find((entry) => entry.mac === mac && entry.device === device)?.destination
    const other = far === undefined ? undefined : facts.nodeWithAddress(far)
    const known = other === undefined ? undefined : facts.knownMac(other, device)
    if (known !== undefined) {
      names.pair(known, mac)
      continue
    }
    const saidByFdb = dump.fdb.filter((entry) => entry.destination === far && far !== undefined && devices.toExpected(entry.device) === device)
    const saidByNeighbour = dump.neighbours.find((entry) => entry.address === address && devices.toExpected(entry.device) === device)?.mac
    const said = saidByFdb.length === 1 ? saidByFdb[0].mac : saidByNeighbour
    if (said !== undefined && said !== 0) names.pair(said, mac)
  }
  return names
}

function isTunnel(kind: DeviceSpec['kind']): boolean {
  return kind === 'vxlan' || kind === 'wireguard' || kind === 'ipip'
}

/** A peer is known by where it is. */
function pairKeys({ expected, dump, facts, node }: AlignInput, devices: Names<string>): Names<string> {
  const names = new Names<string>()
  for (const one of expected.devices) {
    const found = dump.devices.find(({ name }) => devices.toExpected(name) === one.name)
    if (one.kind !== 'wireguard' || found?.kind !== 'wireguard') continue
    if (!facts.isKeyPublished(node)) names.pair(found.publicKey, one.publicKey)
    for (const peer of one.peers) {
      const other = peer.endpoint === undefined ? undefined : facts.nodeWithAddress(peer.endpoint.address)
      if (other !== undefined && facts.isKeyPublished(other)) continue
      const same = found.peers.find(({ endpoint }) => endpoint !== undefined && endpoint.address === peer.endpoint?.address)
      if (same !== undefined) names.pair(same.publicKey, peer.publicKey)
    }
  }
  return names
}
