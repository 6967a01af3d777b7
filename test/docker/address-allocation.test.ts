/** Addresses of pods: each once, never the bridge's nor the subnet's ends, in the order of each allocator. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { broadcastOf, cidr, contains } from '../../src/base/cidr.js'
import { formatIp, ip } from '../../src/base/ip.js'
import { allocateLowestFree, allocateRoundRobin, type Allocation } from '../../src/docker/address-allocation.js'
import type { PodAttachment } from '../../src/docker/attachment.js'
import { pod, podsNamed } from './support.js'

const ALLOCATORS = [
  ['docker', allocateLowestFree],
  ['host-local', allocateRoundRobin],
] as const

function viewOf(subnet: string, pods: readonly PodAttachment[]): Parameters<typeof allocateLowestFree>[0] {
  const [address, length] = subnet.split('/')
  return { node: 'n1', subnet: { address: ip(address), length: Number(length) }, pods }
}

function texts({ given }: Allocation): string[] {
  return given.map(({ pod: { name }, address }) => `${name} ${formatIp(address)}`)
}

describe.each(ALLOCATORS)('%s', (_name, allocate) => {
  it('begins behind the gateway', () => {
    const { given, problems } = allocate(viewOf('10.1.15.1/24', podsNamed('a', 'b', 'c')))
    expect(texts({ given, problems })).toEqual(['a 10.1.15.2', 'b 10.1.15.3', 'c 10.1.15.4'])
    expect(problems).toEqual([])
  })

  it('goes round a gateway in the middle of the subnet', () => {
    const wanted = ['a 10.1.15.1', 'b 10.1.15.2', 'c 10.1.15.4', 'd 10.1.15.5', 'e 10.1.15.6']
    expect(texts(allocate(viewOf('10.1.15.3/29', podsNamed('a', 'b', 'c', 'd', 'e'))))).toEqual(wanted)
  })

  it('says which pods found the subnet full', () => {
    const { given, problems } = allocate(viewOf('10.1.15.1/30', podsNamed('a', 'b', 'c')))
    expect(given.map((one) => one.pod.name)).toEqual(['a'])
    const places = problems.map(({ severity, file, line, object }) => [severity, file, line, object])
    expect(places).toEqual([
      ['error', 'pods.yaml', 7, 'Pod/default/b'],
      ['error', 'pods.yaml', 7, 'Pod/default/c'],
    ])
    expect(problems[0].what).toBe('no free address is left for it in 10.1.15.0/30, the subnet of node n1')
  })

  it.each(['10.1.15.1/31', '10.1.15.1/32'])('has no room in %s', (subnet) => {
    expect(allocate(viewOf(subnet, podsNamed('a'))).problems).toHaveLength(1)
  })

  it.each([
    ['10.1.16.2', 'its address 10.1.16.2 lies outside of 10.1.15.0/24, the subnet of node n1'],
    ['10.1.15.1', 'its address 10.1.15.1 is the address of the bridge of 10.1.15.0/24 on node n1'],
    ['10.1.15.0', 'its address 10.1.15.0 is the network address of 10.1.15.0/24 on node n1'],
    ['10.1.15.255', 'its address 10.1.15.255 is the broadcast address of 10.1.15.0/24 on node n1'],
  ])('refuses %s as a fixed address, and serves the others', (address, what) => {
    const { given, problems } = allocate(viewOf('10.1.15.1/24', [pod('a', { address: ip(address) }), pod('b')]))
    expect(problems.map((problem) => [problem.severity, problem.object, problem.what])).toEqual([['error', 'Pod/default/a', what]])
    expect(given.map((one) => `${one.pod.name} ${formatIp(one.address)}`)).toEqual(['b 10.1.15.2'])
  })

  it('refuses the second of two equal fixed addresses', () => {
    const address = ip('10.1.15.9')
    const { given, problems } = allocate(viewOf('10.1.15.1/24', [pod('a', { address }), pod('b', { address })]))
    expect(given.map((one) => one.pod.name)).toEqual(['a'])
    expect(problems.map(({ object, what }) => `${object}: ${what}`)).toEqual(['Pod/default/b: its address 10.1.15.9 on node n1 is that of Pod/default/a too'])
  })

  it('never gives an address twice, nor the gateway, nor the ends; nobody is forgotten', () => {
    const pods = fc.array(fc.option(fc.integer({ min: -2, max: 34 }), { nil: undefined }), { maxLength: 40 })
    const bases = fc.constantFrom('10.1.15.0', '200.0.0.0', '127.255.255.224')
    fc.assert(
      fc.property(pods, fc.integer({ min: 27, max: 30 }), fc.integer({ min: 1, max: 30 }), bases, (wanted, length, at, base) => {
        const prefix = cidr(ip(base), length)
        const gateway = prefix.base + 1 + ((at - 1) % (broadcastOf(prefix) - prefix.base - 1))
        const list = wanted.map((offset, i) => pod(`p${i}`, offset === undefined ? {} : { address: prefix.base + offset }))
        const { given, problems } = allocate(viewOf(`${formatIp(gateway)}/${length}`, list))
        const addresses = given.map((one) => one.address)
        expect(new Set(addresses).size).toBe(addresses.length)
        for (const {
          pod: { address: fixed },
          address,
        } of given) {
          expect(contains(prefix, address)).toBe(true)
          expect([prefix.base, broadcastOf(prefix), gateway]).not.toContain(address)
          if (fixed !== undefined) expect(address).toBe(fixed)
        }
        const objects = problems.map(({ object }) => object)
        expect([...given.map((one) => `Pod/default/${one.pod.name}`), ...objects].sort()).toEqual(list.map(({ name }) => `Pod/default/${name}`).sort())
        // a pod without a wish goes without only when the subnet is full
        const wishless = new Set(list.filter(({ address }) => address === undefined).map(({ name }) => `Pod/default/${name}`))
        if (objects.some((object) => wishless.has(object))) expect(addresses).toHaveLength(broadcastOf(prefix) - prefix.base - 2)
        expect(given.map((one) => list.indexOf(one.pod))).toEqual(given.map((one) => list.indexOf(one.pod)).sort((a, b) => a - b))
      }),
    )
  })
})

it('docker gives the lowest free address, host-local the next after the last', () => {
  const view = viewOf('10.1.15.1/29', [pod('a'), pod('b', { address: ip('10.1.15.4') }), pod('c'), pod('d'), pod('e')])
  expect(texts(allocateLowestFree(view))).toEqual(['a 10.1.15.2', 'b 10.1.15.4', 'c 10.1.15.3', 'd 10.1.15.5', 'e 10.1.15.6'])
  expect(texts(allocateRoundRobin(view))).toEqual(['a 10.1.15.2', 'b 10.1.15.4', 'c 10.1.15.5', 'd 10.1.15.6', 'e 10.1.15.3'])
})

it('host-local goes on after the address that it gave last, whoever has it now, and round the end', () => {
  const after = (lastGiven: string): readonly string[] => {
    const view = viewOf('10.1.15.1/29', [pod('a', { address: ip('10.1.15.2') }), pod('new'), pod('newer')])
    return texts(allocateRoundRobin({ ...view, lastGiven: ip(lastGiven) }))
  }
  expect(after('10.1.15.2')).toEqual(['a 10.1.15.2', 'new 10.1.15.3', 'newer 10.1.15.4'])
  expect(after('10.1.15.4')).toEqual(['a 10.1.15.2', 'new 10.1.15.5', 'newer 10.1.15.6'])
  expect(after('10.1.15.6')).toEqual(['a 10.1.15.2', 'new 10.1.15.3', 'newer 10.1.15.4'])
  // the node has another subnet now
  expect(after('10.1.99.4')).toEqual(['a 10.1.15.2', 'new 10.1.15.3', 'newer 10.1.15.4'])
})

it('an address that a later pod holds already is given to no earlier one', () => {
  const view = viewOf('10.1.15.1/24', [pod('a'), pod('b', { address: ip('10.1.15.2') })])
  for (const [, allocate] of ALLOCATORS) expect(texts(allocate(view))).toEqual(['a 10.1.15.3', 'b 10.1.15.2'])
})
