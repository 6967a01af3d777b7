/**
 * What BIRDs of a run do when nodes, cables, processes and objects fail or change: times against those measured between real BIRD 1.6.8 daemons in a mesh of
 * five (stopped: milliseconds; killed: 121 s; silent: 144 to 202 s; Node deleted: milliseconds after confd; a dead peer at the start: 241.4 s).
 */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { WHOLE_CABLE } from '../../../src/network/time/network-state.js'
import { BirdPlane, blockOf, meshCluster, type PlaneOptions } from './bird-kit.js'
import { clusterOf } from './moment-kit.js'

const FIVE = meshCluster(5)
const OTHERS = ['n2', 'n3', 'n4', 'n5']
const ALL = [1, 2, 3, 4, 5].map(blockOf)

function five(options: PlaneOptions = {}): BirdPlane {
  const plane = new BirdPlane(FIVE, options).rest()
  expect(plane.prefixes('n2')).toEqual(ALL)
  return plane
}

function reflectors(): BirdPlane {
  const name = 'examples/calico-reflectors.yaml'
  return new BirdPlane(clusterOf([{ file: name, text: readFileSync(name, 'utf8') }])).rest()
}

/** The chain of causes of the last entry of a node that is of a kind. */
function chainOf(plane: BirdPlane, node: string, kind: 'route' | 'bgp-session' | 'agent'): string[] {
  const last = plane.diary.entries.findLast((entry) => entry.node === node && entry.kind === kind)
  return last === undefined ? [] : plane.diary.chain(last.id).map(({ what }) => what)
}

describe('one of five goes', () => {
  it('SIGTERM: its peers drop its block within milliseconds; its own kernel keeps every route', () => {
    const plane = five()
    plane.agent('stop', 'n1')
    const times = [...plane.lossTimes(OTHERS, blockOf(1), 1).values()]
    expect(times).toHaveLength(4)
    expect(Math.max(...times)).toBeLessThan(0.002)
    expect(plane.prefixes('n1')).toEqual(ALL)
    expect(chainOf(plane, 'n2', 'route')).toEqual([
      'bird stop on n1',
      'BIRD is stopped (SIGTERM): it tells its peers',
      'session with n2 is down',
      'session with n1 is down: Received: Administrative shutdown',
      '10.244.1.0/26 is gone',
    ])
  })

  it('SIGKILL: graceful restart keeps its routes for 120 s', () => {
    const plane = five()
    plane.agent('kill', 'n1')
    const times = [...plane.lossTimes(OTHERS, blockOf(1), 300).values()]
    expect(times).toHaveLength(4)
    expect(Math.min(...times)).toBeGreaterThan(120)
    // BIRD's loop looks at it with its next turn, up to 2 s later
    expect(Math.max(...times)).toBeLessThan(122.5)
    expect(plane.prefixes('n1')).toEqual(ALL)
    expect(chainOf(plane, 'n3', 'route')).toEqual([
      'bird kill on n1',
      'BIRD is killed (SIGKILL)',
      'session with n1 is down: Socket: Connection closed; its routes are kept for 120 s',
      'n1 has not come back within 120 s: its routes go',
      '10.244.1.0/26 is gone',
    ])
  })

  it('SIGKILL and a start 5 s later: no kernel changes anywhere', () => {
    const plane = five()
    plane.agent('kill', 'n1')
    plane.run(5)
    const before = plane.diary.entries.length
    plane.agent('start', 'n1')
    plane.run(300)
    expect(plane.diary.entries.slice(before).filter(({ kind }) => kind === 'route')).toEqual([])
    for (const name of ['n1', ...OTHERS]) expect(plane.prefixes(name)).toEqual(ALL)
  })

  it('SIGTERM and a start 2 s later: its block is missed for about 5 s', () => {
    const plane = five()
    plane.agent('stop', 'n1')
    plane.run(2)
    expect(plane.prefixes('n2')).not.toContain(blockOf(1))
    plane.agent('start', 'n1')
    const began = plane.simulation.nowNs
    while (!plane.prefixes('n2').includes(blockOf(1)) && plane.simulation.step(began + 60e9));
    const missed = (plane.simulation.nowNs - began) / 1e9 + 2
    expect(missed).toBeGreaterThan(4)
    expect(missed).toBeLessThan(6)
    // whoever dialled: n2 has tried again since the session's end
    plane.run(2)
    for (const kind of ['bgp-session', 'route'] as const) {
      expect(chainOf(plane, 'n2', kind).slice(0, 3)).toEqual(['bird start on n1', 'BIRD starts', 'session with n1 is up'])
    }
  })

  it('power off: hold timers run out between 100 and 240 s, each by itself; what its kernel held is lost', () => {
    const plane = five()
    plane.run(100)
    const cause = plane.change('n1', { power: false })
    const times = [...plane.lossTimes(OTHERS, blockOf(1), 300).values()]
    expect(times).toHaveLength(4)
    expect(Math.min(...times)).toBeGreaterThan(100)
    expect(Math.max(...times)).toBeLessThan(240)
    expect(plane.prefixes('n1')).toEqual([])
    expect(chainOf(plane, 'n4', 'route')).toEqual(['n1 changes', 'session with n1 is down: Error: Hold timer expired', '10.244.1.0/26 is gone'])
    expect(plane.diary.get(cause).kind).toBe('event')
  })

  it.each([
    // who dials all others is heard of at once; to one who waits to be dialled the others' keepalives come first, which its new kernel resets
    ['n5', 12],
    ['n1', 85],
  ])('power of %s off and on again: it boots, and has all routes within %i s; its peers kept its own', (name, seconds) => {
    const plane = five()
    const before = plane.diary.entries.length
    plane.change(name, { power: false })
    plane.run(10)
    plane.change(name, { power: true })
    plane.run(32)
    expect(plane.prefixes(name)).toEqual([])
    plane.run(seconds)
    expect(plane.prefixes(name)).toEqual(ALL)
    expect(plane.diary.entries.slice(before).filter(({ node, kind }) => node !== name && kind === 'route')).toEqual([])
    expect(plane.diary.entries.slice(before).some(({ what }) => what.includes('its routes are kept for 120 s'))).toBe(true)
  })

  it('the cable is cut for a minute: the sessions stand, as TCP sends again', () => {
    const plane = five()
    const before = plane.diary.entries.length
    plane.change('n1', { cable: { ...WHOLE_CABLE, cut: true } })
    plane.run(60)
    plane.change('n1', { cable: WHOLE_CABLE })
    plane.run(600)
    expect(plane.diary.entries.slice(before).filter(({ kind }) => kind !== 'event')).toEqual([])
  })

  it('the cable is cut for ten minutes: both sides lose one another, and find one another again', () => {
    const plane = five()
    plane.change('n1', { cable: { ...WHOLE_CABLE, cut: true } })
    plane.run(600)
    expect(plane.prefixes('n1')).toEqual([blockOf(1)])
    expect(plane.prefixes('n2')).toEqual(ALL.slice(1))
    plane.change('n1', { cable: WHOLE_CABLE })
    plane.run(60)
    for (const name of ['n1', ...OTHERS]) expect(plane.prefixes(name)).toEqual(ALL)
  })

  it('a cable that loses a third of its frames: slower, and nothing else', () => {
    const plane = new BirdPlane(FIVE)
    plane.setNode('n1', { cable: { ...WHOLE_CABLE, loss: 0.33 } })
    plane.rest()
    plane.run(600)
    for (const name of ['n1', ...OTHERS]) expect(plane.prefixes(name)).toEqual(ALL)
  })

  it('birdc restart of one session: down with Cease, up again after the connect delay, the others untouched', () => {
    const plane = five()
    const before = plane.diary.entries.length
    plane.act('reset', { kind: 'bgp-reset', node: 'n2', peer: 0xc0a80001 | 0 })
    plane.run(10)
    const sessions = plane.diary.entries.slice(before).filter(({ kind }) => kind === 'bgp-session')
    expect(sessions.map(({ node, what }) => `${node} ${what}`).sort()).toEqual([
      'n1 session with n2 is down: Received: Administrative reset',
      'n1 session with n2 is up',
      'n2 session with n1 is down',
      'n2 session with n1 is up',
    ])
    expect(plane.prefixes('n2')).toEqual(ALL)
  })

  it('its Node is deleted: the others drop it milliseconds after confd; back again, it is found', () => {
    const plane = five()
    plane.apply(meshCluster(5, [1]))
    const times = [...plane.lossTimes(OTHERS, blockOf(1), 5).values()]
    expect(times).toHaveLength(4)
    for (const seconds of times) expect(seconds).toBeCloseTo(0.5, 1)
    expect(chainOf(plane, 'n2', 'route').slice(-2)).toEqual(['session with n1 is down', '10.244.1.0/26 is gone'])
    plane.apply(FIVE)
    const applied = plane.diary.entries.length
    plane.run(60)
    for (const name of ['n1', ...OTHERS]) expect(plane.prefixes(name)).toEqual(ALL)
    // n1 was never told, and has dialled since its sessions' end: that it is heard again is of the Node that came back
    const up = plane.diary.entries.slice(applied).filter(({ kind, what }) => kind === 'bgp-session' && what.endsWith('is up'))
    expect(up).toHaveLength(8)
    for (const { id } of up) expect(plane.diary.chain(id)[0].id).toBe(applied - 1)
  })

  it('a sixth Node comes: it boots, and everybody peers with it', () => {
    const plane = five()
    plane.apply(meshCluster(6))
    plane.run(120)
    for (const name of ['n1', ...OTHERS, 'n6']) expect(plane.prefixes(name)).toContain(blockOf(6))
    expect(plane.prefixes('n6')).toHaveLength(6)
  })
})

describe('a BIRD that starts waits for its peers', () => {
  it('all alive: two seconds', () => {
    const plane = five()
    const last = plane.diary.entries.findLast(({ kind }) => kind === 'route')
    // the agents' start, BIRD's, and its connect delay
    expect((last?.atNs ?? 0) / 1e9).toBeGreaterThan(4)
    expect((last?.atNs ?? 0) / 1e9).toBeLessThan(4.3)
  })

  it('one configured peer dead: nobody writes a route for 240 s, and the diary says whom they waited for', () => {
    const plane = new BirdPlane(FIVE)
    plane.setNode('n5', { power: false })
    plane.family.boot()
    plane.run(240)
    expect(plane.prefixes('n2')).toEqual([])
    plane.run(5)
    expect(plane.prefixes('n2')).toEqual(ALL.slice(0, 4))
    expect(chainOf(plane, 'n2', 'route').join()).toMatch(/n5 did not come within 240 s: BIRD writes and announces its routes all the same/)
  })

  it('SIGTERM and a start while another peer is dead: its block is missed for about 243 s', () => {
    const plane = five()
    plane.change('n5', { power: false })
    plane.agent('stop', 'n1')
    plane.run(2)
    plane.agent('start', 'n1')
    const began = plane.simulation.nowNs
    while (!plane.prefixes('n2').includes(blockOf(1)) && plane.simulation.step(began + 300e9));
    expect((plane.simulation.nowNs - began) / 1e9 + 2).toBeGreaterThan(241)
    expect((plane.simulation.nowNs - began) / 1e9 + 2).toBeLessThan(245)
  })

  it('timers are the scenario’s', () => {
    const plane = five({ delays: { 'bird.hold': 12e9, 'bird.keepalive': 4e9, 'bird.gracefulRestart': 6e9 } })
    plane.agent('kill', 'n1')
    expect(Math.max(...plane.lossTimes(OTHERS, blockOf(1), 60).values())).toBeLessThan(8.5)
    const silent = five({ delays: { 'bird.hold': 12e9 } })
    silent.change('n1', { power: false })
    const times = [...silent.lossTimes(OTHERS, blockOf(1), 60).values()]
    expect(times).toHaveLength(4)
    expect(Math.min(...times)).toBeGreaterThan(5)
    expect(Math.max(...times)).toBeLessThan(12)
  })
})

describe('reflectors', () => {
  it('one is killed: nobody misses a route; both: all remote blocks go after 120 s', () => {
    const plane = reflectors()
    const blocks = plane.prefixes('node-1')
    expect(blocks).toHaveLength(3)
    plane.agent('kill', 'rr-1')
    plane.run(300)
    expect(plane.prefixes('node-1')).toEqual(blocks)
    plane.agent('kill', 'rr-2')
    plane.run(119)
    expect(plane.prefixes('node-1')).toEqual(blocks)
    plane.run(3)
    for (const name of ['node-1', 'node-2', 'node-3']) expect(plane.prefixes(name)).toHaveLength(1)
  })

  it('both fall silent: by the hold timer', () => {
    const plane = reflectors()
    plane.change('rr-1', { power: false })
    plane.change('rr-2', { power: false })
    plane.run(100)
    expect(plane.prefixes('node-1')).toHaveLength(3)
    plane.run(140)
    for (const name of ['node-1', 'node-2', 'node-3']) expect(plane.prefixes(name)).toHaveLength(1)
  })
})

describe('the diary', () => {
  it('the same seed, the same entries', () => {
    const entries = (seed: number): string => {
      const plane = five({ seed, keepsWatches: true })
      plane.change('n1', { cable: { ...WHOLE_CABLE, loss: 0.5 } })
      plane.agent('kill', 'n2')
      plane.run(400)
      return JSON.stringify(plane.diary.entries)
    }
    expect(entries(1)).toBe(entries(1))
    expect(entries(2)).not.toBe(entries(1))
  })

  it('messages with their bytes, as the world counts them, keepalives apart', () => {
    const plane = five({ keepsWatches: true })
    const messages = plane.diary.entries.filter(({ kind }) => kind === 'bgp-message')
    const { counts } = plane.family.world
    expect(messages.reduce((sum, { bytes = 0 }) => sum + bytes, 0)).toBe(counts.bytes - 19 * counts.keepalive)
    expect(messages.filter(({ what }) => /^UPDATE 10\.244\.\d\.0\/26 to n\d$/.test(what))).toHaveLength(20)
  })
})
