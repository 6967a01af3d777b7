/**
 * The recordings of a real kernel (DESIGN.md 5.4), asked again of netsim: the same frames in the same order, all checksums sound,
 * and the same state of every namespace.
 */
import { describe, expect, it } from 'vitest'
import { formatIp } from '../../src/base/ip.js'
import { formatMac } from '../../src/base/mac.js'
import type { Dataplane } from '../../src/dataplane/dataplane.js'
import { printRoutes } from '../../src/dataplane/ip-route.js'
import { printIptablesSave } from '../../src/dataplane/iptables-save.js'
import { bytesOf, isFragmentFrame, isSoundFrame, viewOf, type View } from '../kit/frame-view.js'
import { answer, networkOf } from '../kit/network.js'
import {
  linksOf,
  loadRecording,
  manifestOf,
  netnsName,
  probeTitle,
  requestOf,
  tunDevices,
  WIRE,
  type RecordedFrame,
  type RecordedState,
  type Recording,
} from '../kit/recording.js'

interface Seen {
  readonly tap: string
  readonly sender: boolean
  readonly fragment: boolean
  readonly view: View
}

const ARP = '0806'
const IPV6 = '86dd'

function etherType(hex: string): string {
  return hex.slice(24, 28)
}

/** Neighbour upkeep of a warm network, and IPv6's own chatter, were no part of the question. */
function recordedFrames(recording: Recording, frames: readonly RecordedFrame[], { from, cold }: { readonly from: string; readonly cold: boolean }): Seen[] {
  const tuns = tunDevices(recording)
  const seen = frames.flatMap((frame): Seen[] => {
    const tun = tuns.has(`${frame.ns} ${frame.dev}`)
    if (frame.ns === WIRE || (etherType(frame.hex) === ARP && !cold) || (!tun && etherType(frame.hex) === IPV6)) return []
    const bytes = bytesOf(frame.hex)
    const tap = `${netnsName(recording, frame.ns)} ${frame.dev} ${frame.out ? 'tx' : 'rx'}`
    return [{ tap, sender: frame.ns === from && frame.out, fragment: isFragmentFrame(bytes, tun), view: [tap, bytes.length, viewOf(bytes, tun)] }]
  })
  return cold ? seen.slice(0, seen.findLastIndex(({ view }) => (view[2] as View)[0] !== 'arp') + 1) : seen
}

/** Order across taps is the kernel's scheduling where several packets are under way at once; within a tap it is not. */
function perTap(frames: readonly Seen[]): readonly Seen[] {
  return [...frames].sort((a, b) => (a.tap < b.tap ? -1 : a.tap > b.tap ? 1 : 0))
}

const FLANNEL = ['flannel-udp', 'flannel-vxlan', 'flannel-host-gw'].map((name) => ({ name, recording: loadRecording(name) }))
/** Its state is BIRD's alone, without Felix's rules: test/calico/bgp/recording.test.ts has it. */
const CALICO = { name: 'calico-none', recording: loadRecording('calico-none') }

describe.each([...FLANNEL, CALICO])('the frames of $name', ({ name, recording }) => {
  const network = networkOf(manifestOf(recording))
  const tuns = tunDevices(recording)
  let matched = 0
  let late = 0

  it.each(recording.probes.map((entry) => ({ title: probeTitle(entry.probe), ...entry })))('$title', ({ probe, frames }) => {
    const cold = probe.cold === true
    const recorded = recordedFrames(recording, frames, { from: probe.from, cold })
    const { destination, source, ...ask } = requestOf(recording, probe)
    const { document } = answer(network, source, destination, ask)
    const simulated: Seen[] = []
    for (const frame of [...document.forward.frames, ...(document.reply?.frames ?? [])]) {
      const tun = tuns.has(`${frame.netns} ${frame.device}`)
      const bytes = bytesOf(frame.hex)
      expect(frame.length).toBe(bytes.length)
      expect(isSoundFrame(bytes, tun), `checksums on ${frame.netns} ${frame.device}`).toBe(true)
      if (!tun && etherType(frame.hex) === ARP && !cold) continue
      const tap = `${frame.netns} ${frame.device} ${frame.direction}`
      simulated.push({ tap, sender: false, fragment: isFragmentFrame(bytes, tun), view: [tap, frame.length, viewOf(bytes, tun)] })
    }
    expect(recorded.length).toBeGreaterThan(0)
    const unordered = cold || recorded.some(({ fragment }) => fragment)
    // a recording whose first packet is not yet the source's own began late: what it has is the tail
    const beganLate = !(recorded.find(({ view }) => (view[2] as View)[0] !== 'arp')?.sender ?? false)
    if (beganLate) late++
    const kept = beganLate ? simulated.slice(simulated.length - recorded.length) : simulated
    const inOrder = (seen: readonly Seen[]): View[] => (unordered ? perTap(seen) : seen).map(({ view }) => view)
    expect(inOrder(kept)).toEqual(inOrder(recorded))
    matched++
  })

  // host-gw icmp ttl 2: the recorder was not yet listening when the request left
  it(`all ${recording.probes.length} match, ${name === 'flannel-host-gw' ? 'one of them by its tail' : 'none of them by a tail'}`, () => {
    expect(matched).toBe(recording.probes.length)
    expect(late).toBe(name === 'flannel-host-gw' ? 1 : 0)
  })
})

interface RecordedRoute {
  readonly type?: string
  readonly table?: string
}

function addressesOf(state: RecordedState): string[] {
  return linksOf(state)
    .map((link) => {
      const own = link.addr_info.filter(({ family }) => family === 'inet').map(({ local, prefixlen, scope }) => `${local}/${prefixlen} ${scope}`)
      return [link.ifname, `mtu ${link.mtu}`, link.link_type === 'ether' ? link.address : link.link_type, ...own].join(' ')
    })
    .sort()
}

function devicesOf(dataplane: Dataplane): string[] {
  return dataplane.devices
    .map((device) => {
      const own = device.addresses.map(({ address, length, scope }) => `${formatIp(address)}/${length} ${scope}`)
      const layer = device.kind === 'loopback' ? 'loopback' : device.mac === undefined ? 'none' : formatMac(device.mac)
      return [device.name, `mtu ${device.mtu}`, layer, ...own].join(' ')
    })
    .sort()
}

interface RecordedNeighbour {
  readonly dst: string
  readonly dev: string
  readonly lladdr?: string
  readonly state: readonly string[]
}

interface RecordedFdb {
  readonly mac: string
  readonly ifname: string
  readonly dst?: string
  readonly master?: string
  readonly flags: readonly string[]
  readonly state: string
}

function isUnicast(mac: string): boolean {
  return (parseInt(mac.slice(0, 2), 16) & 1) === 0
}

/** Counters aside. */
function rulesOf(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => !line.startsWith('#') && line !== '')
    .map((line) => line.replace(/\[\d+:\d+\]/, '').trimEnd())
}

describe.each(FLANNEL)('the state of $name', ({ recording }) => {
  const network = networkOf(manifestOf(recording))

  describe.each(Object.keys(recording.state).filter((ns) => ns !== WIRE))('%s', (ns) => {
    const state = recording.state[ns]
    const dataplane = network.dataplanes.get(netnsName(recording, ns)) as Dataplane

    it('devices, MTUs, MACs, addresses', () => expect(devicesOf(dataplane)).toEqual(addressesOf(state)))

    it('unicast routes of the main table', () => {
      const recorded = (JSON.parse(state.route) as RecordedRoute[]).filter(
        ({ type, table }) => table === undefined && (type === undefined || type === 'unicast'),
      )
      expect(recorded.length).toBeGreaterThan(0)
      const unicast = dataplane.routes.filter(({ type, table }) => type === 'unicast' && (table ?? 'main') === 'main')
      expect(printRoutes(unicast)).toBe(state.route_text)
    })

    it('permanent neighbours', () => {
      const recorded = (JSON.parse(state.neigh) as RecordedNeighbour[])
        .filter((one) => one.state.includes('PERMANENT'))
        .map((one) => `${one.dst} ${one.dev} ${one.lladdr}`)
      const rendered = dataplane.neighbours
        .filter((one) => one.state === 'permanent')
        .map((one) => `${formatIp(one.address)} ${one.device} ${formatMac(one.mac ?? 0)}`)
      expect(rendered.sort()).toEqual(recorded.sort())
    })

    it('permanent unicast FDB entries', () => {
      const recorded = (JSON.parse(state.fdb) as RecordedFdb[])
        .filter((one) => one.state === 'permanent' && isUnicast(one.mac))
        .map((one) => [one.mac, one.ifname, one.dst ?? '-', one.master ?? '-', ...one.flags].join(' '))
      const rendered = dataplane.fdb
        .filter((one) => one.state === 'permanent')
        .map((one) =>
          [
            formatMac(one.mac),
            one.device,
            one.destination === undefined ? '-' : formatIp(one.destination),
            one.master ?? '-',
            ...(one.self === true ? ['self'] : []),
          ].join(' '),
        )
      expect(rendered.sort()).toEqual(recorded.sort())
    })

    it('iptables rules', () => expect(rulesOf(printIptablesSave(dataplane.iptables))).toEqual(rulesOf(state.iptables)))
  })
})
