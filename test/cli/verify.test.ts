/** `netsim verify` as far as no kernel is asked: its questions, its refusals. What a kernel does is in test/real-kernel/verify.test.ts. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { netsim } from './memory-io.js'

describe('verify refuses', () => {
  it.each([
    ['an end without its partner', ['pod-a', 'pod-b', 'pod-a2'], 'pod-a2 has no partner: questions are pairs of SRC and DST[:PORT]'],
    [
      'what belongs to a question where there is none',
      ['--df'],
      '--proto, --size, --df, --ttl, --cold and --listen belong to a question: name SRC and DST[:PORT]',
    ],
    ['a calibration of somebody’s network', ['pod-a', 'pod-b', '--calibrate'], '--calibrate builds networks of its own: name no ends and no files'],
    ['a calibration as tests', ['--calibrate', '-o', 'junit'], '--calibrate prints text or json'],
    ['a pod that is not there', ['pod-a', 'pod-x'], 'there is no pod "pod-x" in namespace "default"\n    Did you mean pod-a?'],
    ['a port of icmp', ['pod-a', 'pod-b:80', '--proto', 'icmp'], 'icmp has no ports\n    Leave the port out, or ask with --proto tcp.'],
  ])('%s', async (_what, words, message) => {
    expect(await netsim(['verify', ...words])).toEqual({ code: 2, out: '', err: `error: ${message}\n` })
  })

  it.each([
    ['--probes', 'some', 'all, quick'],
    ['--iptables', 'ebtables', 'nft, legacy'],
    ['--with', 'etcd,consul', 'etcd, bird'],
    ['-o', 'xml', 'text'],
  ])('%s %s', async (flag, value, words) => {
    const { code, err } = await netsim(['verify', flag, value])
    expect(code).toBe(2)
    expect(err).toContain(words)
  })

  it.each([
    ['flannel-vxlan', 'only Calico runs BIRD'],
    ['canal', 'the CNI is canal'],
    ['calico-vxlan', 'nobody speaks BGP here'],
  ])('a real BIRD of %s, which has none', async (name, words) => {
    const text = readFileSync(new URL(`../../examples/${name}.yaml`, import.meta.url), 'utf8')
    expect(await netsim(['verify', '--with', 'bird', '-f', '-'], { stdin: text })).toMatchObject({ code: 2, out: '', err: expect.stringContaining(words) })
  })

  it('both, each by its own reason', async () => {
    const text = readFileSync(new URL('../../examples/docker-only.yaml', import.meta.url), 'utf8')
    const { code, err } = await netsim(['verify', '--with', 'bird,etcd', '-f', '-'], { stdin: text })
    expect([code, err.match(/^error: --with (\w+): /gm)]).toEqual([2, ['error: --with bird: ', 'error: --with etcd: ']])
  })

  it.each([
    ['flannel-vxlan', 'datastore kubernetes'],
    ['docker-only', 'the CNI is none'],
  ])('a real etcd of %s, which has none', async (name, words) => {
    const text = readFileSync(new URL(`../../examples/${name}.yaml`, import.meta.url), 'utf8')
    expect(await netsim(['verify', '--with', 'etcd', '-f', '-'], { stdin: text })).toMatchObject({ code: 2, out: '', err: expect.stringContaining(words) })
  })

  it('wrong input', async () => {
    expect((await netsim(['verify', '-f', '-'], { stdin: 'kind: [' })).code).toBe(3)
  })
})
