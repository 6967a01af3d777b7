/** Plans of versions one after the other: what IPAM and the CNI plugins give when pods come and go. */
import { describe, expect, it } from 'vitest'
import { formatCidr } from '../../../src/base/cidr.js'
import { formatIp } from '../../../src/base/ip.js'
import { CALICO_AGENTS } from '../../../src/network/calico-agents.js'
import type { Cluster } from '../../../src/cluster/cluster.js'
import { PlanBook } from '../../../src/network/time/plan-book.js'
import { clusterOf, SEED } from './moment-kit.js'

function node(name: string, address: string): string {
  return `apiVersion: v1\nkind: Node\nmetadata: {name: ${name}}\nstatus: {addresses: [{type: InternalIP, address: ${address}}]}\n---\n`
}

function pod(name: string, on: string, ip?: string): string {
  const status = ip === undefined ? '' : `status: {phase: Running, podIP: ${ip}}\n`
  return `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, namespace: default}\nspec: {nodeName: ${on}, containers: [{name: c, image: i}]}\n${status}---\n`
}

function calico(pods: string, nodes = node('n1', '192.168.1.1') + node('n2', '192.168.1.2')): Cluster {
  return clusterOf(`${nodes}${pods}apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: pool}
spec: {cidr: 10.0.0.0/16, blockSize: 26, ipipMode: Always}
---
apiVersion: netsim/v1
kind: Network
metadata: {name: net}
spec: {cni: calico}
`)
}

function bookOf(...clusters: readonly Cluster[]): PlanBook {
  return new PlanBook({ versions: clusters.map((cluster, number) => ({ number, atNs: 0, cluster, problems: [] })), seed: SEED, calico: CALICO_AGENTS })
}

function blocksOf(book: PlanBook, version: number): string[] {
  return (book.calico(version)?.cluster.addresses.affinities ?? []).map(({ node: name, cidr }) => `${name} ${formatCidr(cidr)}`).sort()
}

function given(book: PlanBook, version: number, name: string): string | undefined {
  const address = book.calico(version)?.cluster.addresses.pods.get(`default/${name}`)
  return address === undefined ? undefined : formatIp(address)
}

describe('Calico’s IPAM from version to version', () => {
  it('keeps blocks, tunnel addresses and what pods have, written or not; in whatever order versions are asked for', () => {
    const book = bookOf(calico(pod('a', 'n1') + pod('b', 'n2')), calico(pod('b', 'n2')), calico(pod('b', 'n2') + pod('c', 'n1')))
    const tunnels = (version: number): string[] =>
      [...(book.calico(version)?.cluster.addresses.tunnels ?? [])].map(([name, { ipip = 0 }]) => `${name} ${formatIp(ipip)}`)
    expect([blocksOf(book, 2), tunnels(2)]).toEqual([blocksOf(book, 0), tunnels(0)])
    expect(blocksOf(book, 1)).toEqual(blocksOf(book, 0))
    expect(given(book, 2, 'b')).toBe(given(book, 0, 'b'))
    expect(given(book, 1, 'a')).toBeUndefined()
    expect(given(book, 2, 'c')).not.toBe(given(book, 2, 'b'))
  })

  it('gives another address to a pod that was made anew on another node, and what it had back', () => {
    const book = bookOf(calico(pod('a', 'n1')), calico(pod('a', 'n2')), calico(pod('a', 'n2') + pod('b', 'n1')))
    expect(given(book, 1, 'a')).not.toBe(given(book, 0, 'a'))
    const block = (book.calico(1)?.cluster.addresses.affinities ?? []).find(({ node: name }) => name === 'n2')
    expect(block === undefined ? '' : formatCidr(block.cidr).split('.').slice(0, 3).join('.')).toBe(given(book, 1, 'a')?.split('.').slice(0, 3).join('.'))
    expect(given(book, 2, 'b')).toBeDefined()
  })

  it('takes a node’s blocks back with the node', () => {
    const book = bookOf(calico(pod('a', 'n1')), calico(pod('a', 'n1'), node('n1', '192.168.1.1')))
    expect(blocksOf(book, 0).map((text) => text.slice(0, 2))).toEqual(['n1', 'n2'])
    expect(blocksOf(book, 1).map((text) => text.slice(0, 2))).toEqual(['n1'])
  })

  it('tells a pod of the version to come what it will have', () => {
    const versions = [calico(pod('a', 'n1', '10.0.7.1'))]
    const book = bookOf(...versions)
    const next = calico(pod('a', 'n1', '10.0.7.1') + pod('new', 'n1'))
    const asked = next.podByName.get('default/new')
    const address = asked === undefined ? undefined : book.addressOf(next, asked)
    expect(address).toBeDefined()
    expect(book.addressOf(next, next.podByName.get('default/a') as never)).toBe(versions[0].podByName.get('default/a')?.address)
    const after = bookOf(...versions, next)
    expect(given(after, 1, 'new')).toBe(formatIp(address ?? 0))
  })
})
