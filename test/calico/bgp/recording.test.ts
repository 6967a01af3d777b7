/** The recording of three nodes with real BIRD 2.0.12: its routes in birdc's words and in the kernel, held against the model's; times aside. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ip } from '../../../src/base/ip.js'
import { BgpWorld } from '../../../src/calico/bgp/bgp-world.js'
import type { AlienRoute } from '../../../src/calico/bgp/bird-host.js'
import { showProtocols, showRoutes } from '../../../src/calico/bgp/birdc.js'
import type { BirdConfig } from '../../../src/calico/bgp/config.js'
import { BIRD_2 } from '../../../src/calico/bgp/flavour.js'
import { parseRoutes, printRoutes } from '../../../src/dataplane/ip-route.js'
import { prefix } from '../kit.js'
import { config, peer } from './kit.js'

interface Recording {
  readonly scenario: { readonly nodes: readonly { readonly name: string; readonly ip: string }[]; readonly calico: { readonly blocks: Record<string, string> } }
  readonly bird: Record<string, { readonly protocols: string; readonly route: string }>
  readonly state: Record<string, { readonly route_text: string }>
}

const recording = JSON.parse(readFileSync('test/recordings/calico-none.rec.json', 'utf8')) as Recording
const nodes = recording.scenario.nodes.map(({ name, ip: text }) => ({
  name,
  address: ip(text.split('/')[0]),
  block: prefix(recording.scenario.calico.blocks[name]),
}))

/** The recording's own configuration: no metrics, no service routes, peers named by their node, everybody may dial. */
function configOf(own: (typeof nodes)[number]): BirdConfig {
  const peers = nodes.filter(({ name }) => name !== own.name).map((other) => peer(own.address, other.address, { name: `p_${other.name}`, addPaths: false }))
  const base = config(1, peers, [own.block])
  return { ...base, name: own.name, routerId: own.address, kernel: { rejected: [], pools: [] }, exports: { ...base.exports!, normalPriority: undefined } }
}

/** What was in the kernel before BIRD came: the default route and the pods' own. */
function aliens(text: string): AlienRoute[] {
  return parseRoutes(text, { file: 'recording', line: 1 })
    .routes.filter(({ protocol }) => protocol !== 'bird' && protocol !== 'kernel')
    .map((route) => ({
      prefix: route.destination,
      destination:
        route.via === undefined ? { kind: 'device', device: route.device ?? '' } : { kind: 'router', gateway: route.via, device: route.device ?? '' },
      facts: { source: 3, metric: 0, ...(route.scope === 'link' ? { scope: 253 } : {}) },
    }))
}

const world = new BgpWorld({ flavour: BIRD_2, seed: 7 })
for (const node of nodes) {
  world.add(configOf(node), {
    devices: [{ name: 'eth0', addresses: [{ address: node.address, length: 24 }] }],
    aliens: aliens(recording.state[node.name].route_text),
  })
}
world.settle()

const timeless = (text: string): string => text.replace(/\d\d:\d\d:\d\d\.\d\d\d/g, 'TIME')

/** Entries of `show route all`, each with its lines, in order. */
function entries(text: string): string[] {
  return timeless(text)
    .split(/\n(?=\d)/)
    .slice(1)
    .map((entry) => entry.trimEnd())
    .sort()
}

describe.each(nodes)('$name of the recording', ({ name }) => {
  const bird = world.birds.get(name)!
  it('show route all', () => {
    expect(entries(showRoutes(bird, { all: true }))).toEqual(entries(recording.bird[name].route))
  })

  it('show protocols', () => {
    const lines = (text: string): string[] => timeless(text).trimEnd().split('\n').sort()
    expect(lines(showProtocols(bird))).toEqual(lines(recording.bird[name].protocols))
  })

  it('ip route, what is BIRD’s', () => {
    const own = recording.state[name].route_text.split('\n').filter((line) => line.includes('proto bird'))
    expect(
      printRoutes(bird.kernelRoutes())
        .split('\n')
        .filter((line) => line !== '')
        .sort(),
    ).toEqual(own.sort())
  })
})
