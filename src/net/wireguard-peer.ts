// hot path
/**
 * What a WireGuard device knows: its peers, whose allowed IPs hold which address (allowedips.c), and how far it is with each of them
 * (peer.h, noise.c). The registry of a world stands for the cryptography: an index in a message names the peer that drew it.
 */
import type { Packet } from '../wire/packet.js'
import type { Device } from './device.js'
import type { World } from './netns.js'

export class WireguardPeer {
  /** In the registry, for timers and steps. */
  readonly index: number
  readonly device: Device
  /** base64 */
  readonly publicKey: string
  /** Endpoint, as configured or last heard; address 0: none. */
  address: number
  port: number
  /** Own address that the peer last wrote to, 0 none, and the device that its message came in on. */
  source = 0
  sourceDevice = -1
  /** 1: there is a session, under the peer's index. */
  valid = 0
  sendIndex = 0
  sendCounter = 0
  /** A session that the peer began and has not used yet; 0: none. */
  nextReceiveIndex = 0
  nextSendIndex = 0
  /** Of the initiation under way; 0: none. */
  handshakeIndex = 0
  lastHandshakeNs = -Infinity
  /** Initiations repeated. */
  attempts = 0
  /** Timers that are of no use any more carry an older number. */
  timer = 0
  /** Packets that wait for a session. */
  readonly staged: Packet[] = []
  private readonly configuredAddress: number
  private readonly configuredPort: number

  constructor(index: number, device: Device, publicKey: string, endpoint: { readonly address: number; readonly port: number } | undefined) {
    this.index = index
    this.device = device
    this.publicKey = publicKey
    this.configuredAddress = endpoint?.address ?? 0
    this.configuredPort = endpoint?.port ?? 0
    this.address = this.configuredAddress
    this.port = this.configuredPort
  }

  /** wg_socket_set_peer_endpoint_from_skb: a peer is where it was last heard from. */
  heardFrom(outer: Packet): void {
    this.address = outer.src
    this.port = outer.sport
    this.source = outer.dst
    this.sourceDevice = outer.inDevice
  }

  /** wg_socket_clear_peer_endpoint_src. */
  forgetSource(): void {
    this.source = 0
    this.sourceDevice = -1
  }

  /** wg_noise_handshake_begin_session, wg_timers_handshake_complete. */
  beginSession(sendIndex: number): void {
    const { netns } = this.device
    netns.world.touch(netns)
    this.valid = 1
    this.sendIndex = sendIndex
    this.sendCounter = 0
    this.attempts = 0
    this.timer++
  }

  /** As when the device was made. */
  reset(): void {
    this.address = this.configuredAddress
    this.port = this.configuredPort
    this.forgetSource()
    this.valid = 0
    this.sendIndex = 0
    this.sendCounter = 0
    this.nextReceiveIndex = 0
    this.nextSendIndex = 0
    this.handshakeIndex = 0
    this.lastHandshakeNs = -Infinity
    this.attempts = 0
    this.timer++
    this.staged.length = 0
  }
}

/** The longest prefix that holds an address, over the peers of one device; a prefix belongs to the peer that was given it last. */
export class AllowedIps {
  private readonly masks: number[] = []
  private readonly peers: Map<number, WireguardPeer>[] = []

  add(base: number, length: number, peer: WireguardPeer): void {
    const mask = length === 0 ? 0 : -1 << (32 - length)
    let at = 0
    // longer masks first: as uint32 they are the greater ones
    while (at < this.masks.length && this.masks[at] >>> 0 > mask >>> 0) at++
    if (this.masks[at] !== mask) {
      this.masks.splice(at, 0, mask)
      this.peers.splice(at, 0, new Map())
    }
    this.peers[at].set(base & mask, peer)
  }

  find(address: number): WireguardPeer | null {
    for (let i = 0; i < this.masks.length; i++) {
      const peer = this.peers[i].get(address & this.masks[i])
      if (peer !== undefined) return peer
    }
    return null
  }
}

export class Wireguard {
  readonly port: number
  /** base64 */
  readonly publicKey: string
  readonly fwmark: number
  readonly peers: WireguardPeer[] = []
  readonly allowed = new AllowedIps()

  constructor(port: number, publicKey: string, fwmark: number) {
    this.port = port
    this.publicKey = publicKey
    this.fwmark = fwmark
  }

  peerWith(publicKey: string): WireguardPeer | null {
    for (let i = 0; i < this.peers.length; i++) if (this.peers[i].publicKey === publicKey) return this.peers[i]
    return null
  }

  reset(): void {
    for (let i = 0; i < this.peers.length; i++) this.peers[i].reset()
  }
}

/** The peers of a world's devices, and the indices that they drew for handshakes and sessions (peerlookup.c index_hashtable). */
export class WireguardRegistry {
  readonly peers: WireguardPeer[] = []
  readonly devices: Device[] = []
  private readonly indices = new Map<number, WireguardPeer>()
  private readonly world: World

  constructor(world: World) {
    this.world = world
  }

  /** A new index, that none has; never 0. */
  draw(peer: WireguardPeer): number {
    let index = this.world.prng.nextInt32()
    while (index === 0 || this.indices.has(index)) index = this.world.prng.nextInt32()
    this.indices.set(index, peer)
    return index
  }

  find(index: number): WireguardPeer | null {
    return this.indices.get(index) ?? null
  }

  forget(index: number): void {
    if (index !== 0) this.indices.delete(index)
  }

  reset(): void {
    this.indices.clear()
  }
}

/** Is a session up? In a warm network there is one between any two devices that know each other and where the endpoint leads to. */
export function hasSession(peer: WireguardPeer): boolean {
  if (peer.valid === 1) return true
  const { world } = peer.device.netns
  if (world.warm === 0) return false
  const other = counterpart(peer)
  if (other === null || other.valid === 1) return false
  const registry = world.wireguard
  const mine = registry.draw(peer)
  const theirs = registry.draw(other)
  peer.beginSession(theirs)
  other.beginSession(mine)
  return true
}

/** The other device's own entry for this one; of several devices that could be meant, that of the first netns. */
function counterpart(peer: WireguardPeer): WireguardPeer | null {
  const { world } = peer.device.netns
  world.wakeOwners(peer.address)
  const { devices } = world.wireguard
  let first: WireguardPeer | null = null
  const own = (peer.device.wireguard as Wireguard).publicKey
  for (let i = 0; i < devices.length; i++) {
    const device = devices[i]
    const wireguard = device.wireguard as Wireguard
    if (wireguard.publicKey !== peer.publicKey || wireguard.port !== peer.port || device.up === 0) continue
    if (!device.netns.fib.local.hasLocalAddress(peer.address)) continue
    const other = wireguard.peerWith(own)
    if (other !== null && (first === null || device.netns.index < first.device.netns.index)) first = other
  }
  return first
}
