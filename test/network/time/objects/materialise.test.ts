/** The pods of the input as objects: the network of what the API server then holds is the network of the input, for every example with pods. */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { buildCluster, type Cluster } from '../../../../src/cluster/cluster.js'
import { buildNetwork } from '../../../../src/network/build-network.js'
import { CALICO_AGENTS } from '../../../../src/network/calico-agents.js'
import type { Network } from '../../../../src/network/network.js'
import { PlanBook } from '../../../../src/network/time/plan-book.js'
import { newest, worldOf } from './kit.js'

const EXAMPLES = new URL('../../../../examples/', import.meta.url)

function textOf(path: string): string {
  const url = new URL(path, EXAMPLES)
  return path.endsWith('.yaml')
    ? readFileSync(url, 'utf8')
    : readdirSync(url)
        .filter((file) => /\.ya?ml$/.test(file))
        .sort()
        .map((file) => readFileSync(new URL(`${path}/${file}`, EXAMPLES), 'utf8'))
        .join('\n---\n')
}

const names = readdirSync(EXAMPLES).sort()
const usable = names
  .map((name) => ({ name, text: textOf(name) }))
  .filter(({ text }) => {
    const { cluster, problems } = buildCluster([{ file: 'input.yaml', text }])
    return cluster.nodes.length > 0 && cluster.pods.length > 0 && problems.every(({ severity }) => severity !== 'error')
  })

function networkOf(cluster: Cluster): Network {
  return buildNetwork(cluster, { seed: 1 }).network
}

/** Netns that are not the same in both, with the first part of each that differs; a whole diff would be too long to read. */
function differences(a: Network, b: Network): string[] {
  const names = new Set([...a.dataplanes.keys(), ...b.dataplanes.keys()])
  return [...names].flatMap((netns) => {
    const [one, other] = [a, b].map((network) => Object.entries(network.dataplanes.get(netns) ?? {}).map(([part, value]) => `${part} ${JSON.stringify(value)}`))
    const at = Array.from({ length: Math.max(one.length, other.length) }, (_, index) => index).find((index) => one[index] !== other[index])
    if (at === undefined) return []
    const from = [...one[at]].findIndex((character, index) => character !== other[at]?.[index])
    return [`${netns}: ${one[at].slice(0, 20)} …${one[at].slice(from - 80, from + 60)} / ${other[at]?.slice(from - 80, from + 60)}`]
  })
}

describe('the input in an API server', () => {
  it('is tried with most of the examples', () => {
    expect(usable.length).toBeGreaterThan(15)
  })

  it.each(usable)('$name: routes, addresses and chains are those of the input', ({ text }) => {
    const addresses = new PlanBook({
      versions: [{ number: 0, atNs: 0, cluster: buildCluster([{ file: 'input.yaml', text }]).cluster, problems: [] }],
      seed: 1,
      calico: CALICO_AGENTS,
    })
    const world = worldOf({
      text,
      addressOf: (cluster, pod) => addresses.composition(0).addressOf(cluster.podByName.get(`${pod.namespace}/${pod.name}`) ?? pod),
    })
    world.act({ kind: 'label', target: `node/${world.cluster.nodes[0].name}`, changes: [{ key: 'touched', value: 'yes' }] })
    world.to(1)
    const after = newest(world)
    expect(world.family.versions).toHaveLength(2)
    expect(world.family.versions[1].problems.filter(({ severity }) => severity === 'error')).toEqual([])
    expect(after.pods.map(({ namespace, name, node, ready }) => [namespace, name, node, ready])).toEqual(
      world.cluster.pods.map(({ namespace, name, node, ready }) => [namespace, name, node, node === undefined ? false : ready]),
    )
    expect(after.pods.filter((pod) => pod.node !== undefined && !pod.terminated && pod.address === undefined)).toEqual([])
    expect(networkOf(after).dataplanes.size).toBeGreaterThan(world.cluster.nodes.length)
    expect(differences(networkOf(after), networkOf(world.cluster))).toEqual([])
  })
})
