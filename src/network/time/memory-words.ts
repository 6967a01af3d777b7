/** How what kernels remember at one time differs from what they remembered at another, in words. */
import { formatIp } from '../../base/ip.js'
import type { KernelMemory, NeighbourMemory } from '../../net/kernel-memory.js'
import { NUD_DELAY, NUD_FAILED, NUD_INCOMPLETE, NUD_PROBE, NUD_REACHABLE, NUD_STALE } from '../../net/neigh.js'
import { E_DST, E_ID, E_PORTS, E_PROTO, E_REPLY_SRC, E_SRC } from '../../net/netfilter/conntrack-tuple.js'
import { PROTO_ICMP, PROTO_TCP, PROTO_UDP } from '../../wire/packet.js'

/** As `ip neigh` has them. */
const STATES: Readonly<Record<number, string>> = {
  [NUD_INCOMPLETE]: 'INCOMPLETE',
  [NUD_REACHABLE]: 'REACHABLE',
  [NUD_STALE]: 'STALE',
  [NUD_DELAY]: 'DELAY',
  [NUD_PROBE]: 'PROBE',
  [NUD_FAILED]: 'FAILED',
}
const PROTOCOLS: Readonly<Record<number, string>> = { [PROTO_ICMP]: 'icmp', [PROTO_TCP]: 'tcp', [PROTO_UDP]: 'udp' }
const LINES_MAX = 8

interface Wanted {
  /** Netns. */
  readonly names: ReadonlySet<string>
  /** Source port or identifier of the flow whose connections are told; absent: none are. */
  readonly port?: number
}

/** `n1 eth0: neighbour 10.0.0.3 REACHABLE → FAILED`, `n1: connection udp 10.1.2.3:40000 > 10.96.0.10:53 to 10.1.3.4 is gone`. */
export function memoryChanges(before: KernelMemory, after: KernelMemory, { names, port }: Wanted): string[] {
  const lines: string[] = []
  for (const name of new Set([...before.netns.keys(), ...after.netns.keys()])) {
    if (!names.has(name)) continue
    lines.push(...neighbourChanges(name, before, after), ...pathMtuChanges(name, before, after))
    if (port !== undefined) lines.push(...connectionChanges(name, before, after, port))
  }
  return lines.slice(0, LINES_MAX)
}

function neighbourChanges(name: string, before: KernelMemory, after: KernelMemory): string[] {
  const old = byPlace(before.netns.get(name)?.neighbours ?? [])
  const now = byPlace(after.netns.get(name)?.neighbours ?? [])
  return [...new Set([...old.keys(), ...now.keys()])].flatMap((place) => {
    const [was, is] = [stateWord(old.get(place)), stateWord(now.get(place))]
    const [device, address] = place.split(' ')
    return was === is ? [] : [`${name} ${device}: neighbour ${formatIp(Number(address))} ${was} → ${is}`]
  })
}

function byPlace(neighbours: readonly NeighbourMemory[]): ReadonlyMap<string, NeighbourMemory> {
  return new Map(neighbours.map((neighbour) => [`${neighbour.device} ${neighbour.address}`, neighbour]))
}

function stateWord(neighbour: NeighbourMemory | undefined): string {
  return neighbour === undefined ? 'unknown' : STATES[neighbour.state]
}

function connectionChanges(name: string, before: KernelMemory, after: KernelMemory, port: number): string[] {
  const now = new Set((after.netns.get(name)?.connections ?? []).map(({ row }) => row[E_ID]))
  const gone = (before.netns.get(name)?.connections ?? []).filter(({ row }) => !now.has(row[E_ID]) && row[E_PORTS] >>> 16 === port)
  return gone.map(({ row }) => {
    const ports = row[E_PROTO] === PROTO_ICMP ? ['', ''] : [`:${row[E_PORTS] >>> 16}`, `:${row[E_PORTS] & 0xffff}`]
    const to = row[E_REPLY_SRC] === row[E_DST] ? '' : ` to ${formatIp(row[E_REPLY_SRC])}`
    return `${name}: connection ${PROTOCOLS[row[E_PROTO]] ?? row[E_PROTO]} ${formatIp(row[E_SRC])}${ports[0]} > ${formatIp(row[E_DST])}${ports[1]}${to} is gone`
  })
}

function pathMtuChanges(name: string, before: KernelMemory, after: KernelMemory): string[] {
  const old = new Map((before.netns.get(name)?.pathMtus ?? []).map(({ destination, mtu }) => [destination, mtu]))
  const now = new Map((after.netns.get(name)?.pathMtus ?? []).map(({ destination, mtu }) => [destination, mtu]))
  const changed = [...new Set([...old.keys(), ...now.keys()])].filter((destination) => old.get(destination) !== now.get(destination))
  return changed.map(
    (destination) => `${name}: path MTU to ${formatIp(destination)} ${old.get(destination) ?? 'unknown'} → ${now.get(destination) ?? 'unknown'}`,
  )
}
