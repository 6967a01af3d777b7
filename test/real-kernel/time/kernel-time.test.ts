/**
 * Timers of the kernel beside those of src/net in virtual time, with the same settings and the same packets at the same moments: a neighbour that is not there,
 * one that dies while it is believed in, a bridge that forgets a port, a connection that is forgotten. The same in the same order; no timer is early, and
 * a busy machine late.
 */
import { execFileSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodeIp } from '../../../src/wire/frame.js'
import type { Packet } from '../../../src/wire/packet.js'
import { Kit, macFor, packetOf, type Hosts } from '../../net/kit.js'
import { formatMac } from '../../../src/base/mac.js'
import { WalkLab } from '../walk-lab.js'
import { FrameClock } from './frame-clock.js'

const PREFIX = 'netsim-test-walk-'
/** Seconds that a busy machine may be late; the timer wheel itself is late by an eighth at most (kernel/time/timer.c). */
const LATE = 2
const TICK = 0.1
const TICKS = 80
const DEATH = 3
/** Ticks at which echo replies of one connection are sent. */
const REPLIES = [10, 27, 52]
const CONNTRACK_SECONDS = 2
const AGEING_SECONDS = 2

const port = (name: string, peer: string, address: string): string => `link ${name} veth ${peer}\naddr ${address}/24 dev ${name}`
const end = (peer: string, address: string, gateway: string): string => `${port('eth0', peer, address)}\nroute add default via ${gateway}\nsocket udp 9000`
/** Place of a host in HOSTS, from 1: its MACs follow from it. */
const F_PLACE = 9
const E_PLACE = 8

const ROUTER = [
  port('ra', 'a/eth0', '10.1.0.254'),
  port('rs', 's/eth0', '10.2.0.254'),
  port('ru', 'u/eth0', '10.3.0.254'),
  port('rd', 'd/eth0', '10.4.0.254'),
  port('rz', 'z/eth0', '10.6.0.254'),
  'sysctl net.ipv4.ip_forward=1',
  'sysctl net.ipv4.neigh.ru.retrans_time_ms=300',
  'sysctl net.ipv4.neigh.rd.base_reachable_time_ms=1000',
  'sysctl net.ipv4.neigh.rd.delay_first_probe_time=1',
  'sysctl net.ipv4.neigh.rd.retrans_time_ms=500',
  'sysctl net.ipv4.neigh.rd.ucast_solicit=2',
  `sysctl net.netfilter.nf_conntrack_icmp_timeout=${CONNTRACK_SECONDS}`,
].join('\n')

const FILTER = `*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -i rz -p icmp -m conntrack ! --ctstate ESTABLISHED -j DROP
COMMIT
`

const HOSTS: Hosts = {
  a: end('r/ra', '10.1.0.1', '10.1.0.254'),
  r: { text: ROUTER, iptables: FILTER },
  s: end('r/rs', '10.2.0.1', '10.2.0.254'),
  u: end('r/ru', '10.3.0.1', '10.3.0.254'),
  d: end('r/rd', '10.4.0.2', '10.4.0.254'),
  z: end('r/rz', '10.6.0.2', '10.6.0.254'),
  sw: `link br0 bridge ageing ${AGEING_SECONDS}\nlink p1 veth c/eth0 master br0\nlink p2 veth e/eth0 master br0\nlink p3 veth f/eth0 master br0`,
  e: `${port('eth0', 'sw/p2', '10.5.0.2')}\nneigh add 10.5.0.3 lladdr ${formatMac(macFor(F_PLACE, 1))} dev eth0 nud permanent\nsocket udp 9000`,
  f: `${port('eth0', 'sw/p3', '10.5.0.3')}\nneigh add 10.5.0.2 lladdr ${formatMac(macFor(E_PLACE, 1))} dev eth0 nud permanent\nsocket udp 9000`,
  c: port('eth0', 'sw/p1', '10.5.0.1'),
}

/** One of the two worlds. */
interface World {
  send(netns: string, destination: string, packet: Packet): void
  /** Seconds of its clock. */
  now(): Promise<number>
  pass(seconds: number): Promise<void>
  /** It answers no ARP from now on. */
  die(netns: string): void
}

const udp = (src: string, dst: string): Packet => packetOf({ src, dst })
const echo = (src: string, dst: string, icmpType: number): Packet => packetOf({ src, dst, proto: 'icmp', icmpType })

/** @returns when it began, and when each reply was sent */
async function play(world: World): Promise<number> {
  const began = await world.now()
  world.send('a', '10.2.0.9', udp('10.1.0.1', '10.2.0.9'))
  world.send('a', '10.3.0.9', udp('10.1.0.1', '10.3.0.9'))
  world.send('a', '10.6.0.2', echo('10.1.0.1', '10.6.0.2', 8))
  world.send('f', '10.5.0.2', udp('10.5.0.3', '10.5.0.2'))
  for (let tick = 0; tick < TICKS; tick++) {
    if (tick === DEATH) world.die('d')
    if (REPLIES.includes(tick)) world.send('z', '10.1.0.1', echo('10.6.0.2', '10.1.0.1', 0))
    world.send('a', '10.4.0.2', udp('10.1.0.1', '10.4.0.2'))
    world.send('e', '10.5.0.3', udp('10.5.0.2', '10.5.0.3'))
    await world.pass(TICK)
  }
  return began
}

interface Seen {
  readonly at: number
  readonly netns: string
  readonly device: string
  readonly out: boolean
  readonly hex: string
}

interface Event {
  readonly at: number
  readonly what: string
}

const hexOf = (address: string): string => Buffer.from(address.split('.').map(Number)).toString('hex')

/** Questions that leave by a device of the router, until `a` is told that the host behind it is unreachable. */
function neighbourEvents(frames: readonly Seen[], device: string, address: string): Event[] {
  const events: Event[] = []
  for (const { at, netns, device: seenOn, out, hex } of frames) {
    const asks =
      netns === 'r' && seenOn === device && out && hex.slice(24, 28) === '0806' && hex.slice(40, 44) === '0001' && hex.slice(76, 84) === hexOf(address)
    if (asks) events.push({ at, what: hex.startsWith('ffffffffffff') ? 'asks all' : 'asks one' })
    // ICMP 3/1, and what it quotes
    const told = netns === 'a' && !out && hex.slice(24, 28) === '0800' && hex.slice(46, 48) === '01' && hex.slice(68, 72) === '0301'
    if (told && hex.slice(116, 124) === hexOf(address)) return [...events, { at, what: 'host unreachable' }]
  }
  return events
}

/** UDP to 10.5.0.3 out of a port behind which it is not. */
function floods(frames: readonly Seen[]): number[] {
  return frames
    .filter(
      ({ netns, device, out, hex }) => netns === 'sw' && device === 'p1' && out && hex.slice(24, 28) === '0800' && hex.slice(60, 68) === hexOf('10.5.0.3'),
    )
    .map(({ at }) => at)
}

/** Echo replies as they leave `z` and as they reach `a`. */
function echoReplies(frames: readonly Seen[], netns: 'z' | 'a'): number[] {
  return frames
    .filter(
      (one) =>
        one.netns === netns && one.device === 'eth0' && one.out === (netns === 'z') && one.hex.slice(46, 48) === '01' && one.hex.slice(68, 72) === '0000',
    )
    .map(({ at }) => at)
}

async function virtual(): Promise<{ readonly frames: readonly Seen[]; readonly began: number }> {
  const kit = new Kit(HOSTS)
  const began = await play({
    send: (netns, _destination, packet) => kit.send(netns, packet),
    now: () => Promise.resolve(kit.world.sim.nowNs / 1e9),
    pass: (seconds) => Promise.resolve(kit.pass(seconds * 1000)),
    die: (netns) => {
      const device = kit.device(`${netns}/eth0`)
      device.settings = { ...device.settings, arpIgnore: 8 }
    },
  })
  return { began, frames: kit.frames().map((frame) => ({ ...frame, at: frame.timeNs / 1e9, hex: Buffer.from(frame.bytes).toString('hex') })) }
}

describe.runIf(process.getuid?.() === 0)('timers of this kernel and of the model', () => {
  let lab: WalkLab | undefined
  let clock: FrameClock | undefined
  let real: { readonly frames: readonly Seen[]; readonly began: number }
  let model: { readonly frames: readonly Seen[]; readonly began: number }

  beforeAll(async () => {
    lab = new WalkLab(HOSTS)
    execFileSync('ip', ['-n', `${PREFIX}sw`, 'link', 'set', 'br0', 'type', 'bridge', 'ageing_time', `${AGEING_SECONDS * 100}`])
    await lab.start()
    const watched = { a: ['eth0'], r: ['rs', 'ru', 'rd'], z: ['eth0'], sw: ['p1'], e: ['eth0'], f: ['eth0'] }
    const watcher = new FrameClock(Object.fromEntries(Object.entries(watched).map(([name, devices]) => [PREFIX + name, devices])))
    clock = watcher
    await watcher.start()
    const began = await play({
      send: (netns, destination, packet) => watcher.send(PREFIX + netns, destination, encodeIp(packet)),
      now: () => watcher.now(),
      pass: (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000)),
      die: (netns) => execFileSync('ip', ['netns', 'exec', PREFIX + netns, 'sysctl', '-qw', 'net.ipv4.conf.eth0.arp_ignore=8']),
    })
    await watcher.now()
    real = { began, frames: watcher.frames.map((frame) => ({ ...frame, netns: frame.netns.slice(PREFIX.length) })) }
    model = await virtual()
  }, 60_000)
  afterAll(() => {
    clock?.stop()
    lab?.remove()
  })

  it.each([
    ['rs', '10.2.0.9', [0, 1, 2, 3]],
    ['ru', '10.3.0.9', [0, 0.3, 0.6, 0.9]],
  ])('a host that is not there, behind %s: three questions, then the sender is told', (device, address, seconds) => {
    const foreseen = neighbourEvents(model.frames, device, address)
    expect(foreseen.map(({ what }) => what)).toEqual(['asks all', 'asks all', 'asks all', 'host unreachable'])
    foreseen.forEach(({ at }, i) => expect(at - foreseen[0].at).toBeCloseTo(seconds[i], 3))
    const measured = neighbourEvents(real.frames, device, address)
    expect(measured.map(({ what }) => what)).toEqual(foreseen.map(({ what }) => what))
    const times = measured.map(({ at }) => at - measured[0].at)
    console.log(`${device}: ${times.map((time) => time.toFixed(3)).join(' ')} real, ${seconds.join(' ')} model`)
    times.forEach((time, i) => {
      expect(time).toBeGreaterThan(seconds[i] - 0.03)
      expect(time).toBeLessThan(seconds[i] * 1.125 + LATE)
    })
  })

  it('a neighbour that dies while it is believed in: asked itself, then all, then the sender is told', () => {
    const foreseen = neighbourEvents(model.frames, 'rd', '10.4.0.2')
    const measured = neighbourEvents(real.frames, 'rd', '10.4.0.2')
    expect(foreseen.map(({ what }) => what)).toEqual(['asks all', 'asks one', 'asks one', 'asks all', 'asks all', 'asks all', 'host unreachable'])
    expect(measured.map(({ what }) => what)).toEqual(foreseen.map(({ what }) => what))
    const gaps = (events: readonly Event[]): number[] => events.slice(1).map(({ at }, i) => at - events[i].at)
    console.log(
      `rd: gaps ${gaps(measured)
        .map((gap) => gap.toFixed(3))
        .join(' ')} real, ${gaps(foreseen)
        .map((gap) => gap.toFixed(3))
        .join(' ')} model`,
    )
    // base_reachable_time 1 s, of which the kernel draws half to one and a half, and delay_first_probe_time 1 s
    const least = [1.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    const most = [2.5, 0.5, 0.5 + TICK, 0.5, 0.5, 0.5]
    for (const [i, gap] of gaps(foreseen).entries()) {
      expect(gap).toBeGreaterThanOrEqual(least[i] - 1e-6)
      expect(gap).toBeLessThanOrEqual(most[i] + 1e-6)
    }
    for (const [i, gap] of gaps(measured).entries()) {
      expect(gap).toBeGreaterThan(least[i] - 0.03)
      expect(gap).toBeLessThan(most[i] * 1.125 + LATE)
    }
  })

  it('a bridge forgets behind which port a host is, and floods', () => {
    for (const [name, { frames, began }] of Object.entries({ real, model })) {
      const first = floods(frames)[0] - began
      console.log(`flooded ${first.toFixed(3)} s after it was heard: ${name}`)
      expect(first).toBeGreaterThan(AGEING_SECONDS - 0.03)
      expect(first).toBeLessThan(name === 'model' ? AGEING_SECONDS + 2 * TICK : AGEING_SECONDS * 1.125 + TICK + LATE)
    }
    // and from then on every one: nobody tells where it is
    expect(floods(model.frames).length).toBeGreaterThan(50)
  })

  it('a connection is forgotten: what comes for it after its time is not ESTABLISHED', () => {
    for (const [name, { frames }] of Object.entries({ real, model })) {
      const sent = echoReplies(frames, 'z')
      const arrived = echoReplies(frames, 'a')
      // the answer of z itself, and those of the story
      expect(sent, name).toHaveLength(1 + REPLIES.length)
      let heard = sent[0]
      let forgotten = false
      const expected = sent.filter((at) => {
        if (at - heard > CONNTRACK_SECONDS) forgotten = true
        if (!forgotten) heard = at
        return !forgotten
      })
      console.log(`${name}: replies at ${sent.map((at) => (at - sent[0]).toFixed(2)).join(' ')}, of which ${arrived.length} arrive`)
      expect(arrived, name).toHaveLength(expected.length)
      if (name === 'model') expect(arrived).toHaveLength(3)
    }
  })
})
