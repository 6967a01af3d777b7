/** Virtual time: events in the order of time, then of scheduling; limits; starting again. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EventQueue } from '../../src/sim/event-queue.js'
import { Simulation, TIME_LIMIT_NS } from '../../src/sim/simulation.js'

describe('the event queue', () => {
  it('gives events by time, and those of one time as they came, whatever is taken in between', () => {
    const action = fc.oneof(fc.record({ push: fc.integer({ min: 0, max: 20 }) }), fc.constant('pop' as const))
    fc.assert(
      fc.property(fc.array(action, { maxLength: 400 }), (actions) => {
        const queue = new EventQueue()
        const naive: { time: number; id: number }[] = []
        actions.forEach((step, id) => {
          if (step !== 'pop') {
            queue.push(step.push, 1, id)
            naive.push({ time: step.push, id })
            return
          }
          const first = naive.reduce<(typeof naive)[number] | undefined>((best, next) => (best === undefined || next.time < best.time ? next : best), undefined)
          expect(queue.peekTime()).toBe(first === undefined ? Infinity : first.time)
          if (first === undefined) return
          expect(queue.peekArg()).toBe(first.id)
          queue.pop()
          naive.splice(naive.indexOf(first), 1)
        })
        expect(queue.length).toBe(naive.length)
      }),
    )
  })

  it('holds more than it began with', () => {
    const queue = new EventQueue()
    for (let i = 0; i < 1000; i++) queue.push((i * 7919) % 1000, 2, i)
    const times: number[] = []
    while (queue.length > 0) {
      times.push(queue.peekTime())
      expect(queue.peekHandler()).toBe(2)
      queue.pop()
    }
    expect(times).toEqual(Array.from({ length: 1000 }, (_, i) => i))
  })
})

describe('the simulation', () => {
  it('runs what an event schedules at the same time after what was scheduled before', () => {
    const sim = new Simulation()
    const log: string[] = []
    const note = sim.register((arg) => log.push(`${sim.nowNs}:${arg}`))
    const again = sim.register(() => sim.schedule(0, note, 3))
    sim.schedule(5, again, 0)
    sim.schedule(5, note, 1)
    sim.schedule(4, note, 2)
    expect(sim.run()).toBe(4)
    expect(log).toEqual(['4:2', '5:1', '5:3'])
  })

  it('stops at the time it is told, and goes on from there', () => {
    const sim = new Simulation()
    const seen: number[] = []
    const handler = sim.register((arg) => seen.push(arg))
    for (const time of [10, 20, 30]) sim.schedule(time, handler, time)
    expect([sim.run(20), seen.length, sim.nowNs, sim.pending]).toEqual([2, 2, 20, 1])
    expect([sim.run(), sim.nowNs, sim.step()]).toEqual([1, 30, false])
  })

  it('takes 90 days for endless', () => {
    const sim = new Simulation()
    const forever = sim.register(() => sim.schedule(86_400e9, forever, 0))
    sim.schedule(0, forever, 0)
    expect([sim.run(), sim.nowNs]).toEqual([91, TIME_LIMIT_NS])
  })

  it('asserts on a delay that is no whole number of nanoseconds to come', () => {
    const sim = new Simulation()
    expect(() => sim.schedule(-1, 0, 0)).toThrow('none negative')
    expect(() => sim.schedule(0.5, 0, 0)).toThrow('whole number')
  })

  it('starts again at 0 with its handlers', () => {
    const sim = new Simulation()
    const seen: number[] = []
    const handler = sim.register((arg) => seen.push(arg))
    sim.schedule(7, handler, 1)
    sim.run()
    sim.schedule(7, handler, 2)
    sim.reset()
    sim.schedule(1, handler, 3)
    expect([sim.run(), sim.nowNs, seen]).toEqual([1, 1, [1, 3]])
  })
})
