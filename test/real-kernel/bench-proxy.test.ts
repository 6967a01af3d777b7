/**
 * The benchmark's proxies (bench/kernel/proxy.c) in place of the lab's own: every frame is the predicted one, with a packet that is sent on, one that nobody
 * has a lease for, and one whose TTL ends in a proxy. Needs root and a C compiler.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { forwardNetwork, PORT } from '../../bench/forward-network.js'
import { compiled, startProxies } from '../../bench/kernel/there.js'
import { judge } from '../../src/kernel/judge.js'
import { KernelLab, labNetworkOf } from '../../src/kernel/lab.js'
import { labProbeOf } from '../../src/kernel/lab-question.js'
import { isPrediction, predict } from '../../src/kernel/prediction.js'
import { DEFAULT_REQUEST } from '../../src/network/request.js'

const PREFIX = `netsim-test-${process.pid}-`
const UDP_BACKEND_PORT = 8285
const ready = process.getuid?.() === 0 && spawnSync('ip', ['netns', 'list']).status === 0 && spawnSync('cc', ['--version']).status === 0

describe.skipIf(!ready)('the benchmark’s proxies on this kernel (skipped without root, ip and cc)', () => {
  const network = forwardNetwork('flannel udp', 0)
  const labNetwork = labNetworkOf(network)
  const [from, to] = network.pods
  const folder = mkdtempSync(join(tmpdir(), 'netsim-test-'))
  let lab: KernelLab
  let pids: readonly number[]

  beforeAll(async () => {
    lab = await KernelLab.start(labNetwork, { prefix: PREFIX })
    pids = await startProxies(lab, labNetwork.proxies, compiled(folder, 'proxy'))
  })
  afterAll(async () => {
    await lab.close()
    rmSync(folder, { recursive: true })
  })

  it('have the port', async () => {
    expect(pids).toHaveLength(2)
    for (const [index, { netns }] of labNetwork.proxies.entries()) {
      const { stdout } = await lab.run(netns, ['ss', '-lunpH', `sport = ${UDP_BACKEND_PORT}`])
      expect(stdout).toContain(`pid=${pids[index]},`)
    }
  })

  it.each([
    { what: 'a packet that is sent on', destination: `default/${to.pod.name}:${PORT}`, ttl: 64 },
    { what: 'one that nobody has a lease for', destination: `10.1.99.3:${PORT}`, ttl: 64 },
    { what: 'one whose TTL ends in the first proxy', destination: `default/${to.pod.name}:${PORT}`, ttl: 2 },
    { what: 'one whose TTL ends in the second', destination: `default/${to.pod.name}:${PORT}`, ttl: 3 },
  ])('$what', async ({ destination, ttl }) => {
    const source = `default/${from.pod.name}`
    const prediction = predict(network, { ...DEFAULT_REQUEST, source, destination, ttl, proto: 'udp', listen: true })
    if (!isPrediction(prediction)) throw new Error(JSON.stringify(prediction))
    const probe = labProbeOf(network, prediction, { trace: false })
    if (probe === undefined) throw new Error('no process can send it')
    await lab.warm()
    // drops are told of the lab's own CPU alone
    const sighting = { ...(await lab.send(probe)), drops: null }
    const { verdict, differences, frames } = judge('', prediction, sighting)
    expect({ verdict, differences }).toEqual({ verdict: 'equal', differences: [] })
    expect(frames.captured).toBeGreaterThan(3)
  })

  it('only a TUN device can be handed over', async () => {
    await expect(lab.spawn(labNetwork.proxies[0].netns, ['true'], '/dev/null', { tun: 'eth0' })).rejects.toThrow('has no TUN device eth0')
  })
})
