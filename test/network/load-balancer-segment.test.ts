/** A load balancer's address in the nodes' own segment, as MetalLB's layer 2 mode hands them out: one node takes what comes for it. */
import { describe, expect, it } from 'vitest'
import { answer } from '../kit/network.js'
import { balanced, CNIS, pod, service, world } from './services-world.js'

const UNDERLAY = {
  underlay: {
    hosts: [
      { name: 'beside', address: '192.168.0.77' },
      { name: 'beyond', address: '203.0.113.5' },
    ],
  },
}
const SPEC = { type: 'LoadBalancer', clusterIP: '10.96.8.8', selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }] }

describe.each(CNIS)('a load balancer whose address lies in the segment of the nodes, under %s', (cni) => {
  const only = (externalTrafficPolicy: string): string[] => [
    pod({ name: 'alone', node: 'n3', labels: { app: 'alone' } }),
    service('lb', { ...SPEC, selector: { app: 'alone' }, externalTrafficPolicy }, balanced('192.168.0.240')),
  ]
  it('is reached from the segment and from beyond the router; Local keeps the client', () => {
    for (const [source, address] of [
      ['host/beside', '192.168.0.77'],
      ['host/beyond', '203.0.113.5'],
    ]) {
      const local = answer(world(cni, only('Local'), UNDERLAY), source, '192.168.0.240:80').document
      expect([local.disposition, local.reply?.disposition, local.result.server?.sees.address]).toEqual(['DELIVERED', 'DELIVERED', address])
      const any = answer(world(cni, only('Cluster'), UNDERLAY), source, '192.168.0.240:80').document
      expect([any.disposition, any.reply?.disposition]).toEqual(['DELIVERED', 'DELIVERED'])
      expect(any.result.server?.sees.address).not.toBe(address)
    }
  })

  it('Local: the node that has the endpoint answers for it, and says who assumed so', () => {
    const network = world(cni, only('Local'), UNDERLAY)
    const mac = (node: string): unknown => network.dataplane(node)?.devices.find(({ name }) => name === 'eth0')?.mac
    for (const netns of ['n1', 'n2', 'host/beside', 'router/router'])
      expect(network.dataplane(netns)?.neighbours).toContainEqual(
        expect.objectContaining({
          mac: mac('n3'),
          state: 'permanent',
          provenance: expect.objectContaining({ by: 'load balancer (assumed)', object: 'Service/default/lb' }),
        }),
      )
    expect(network.dataplane('n3')?.neighbours.filter(({ provenance }) => provenance?.by === 'load balancer (assumed)')).toEqual([])
  })

  it('a host that somebody wrote down with that address is asked itself', () => {
    const told = {
      underlay: {
        hosts: [
          { name: 'haproxy', address: '192.168.0.240' },
          { name: 'beside', address: '192.168.0.77' },
        ],
      },
    }
    const { document } = answer(world(cni, only('Local'), told), 'host/beside', '192.168.0.240:80')
    expect([document.disposition, document.forward.hops.at(-1)?.netns]).toEqual(['DELIVERED', 'host/haproxy'])
  })
})
