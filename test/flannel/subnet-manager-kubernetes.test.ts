import { describe, expect, it } from 'vitest'
import { formatCidr } from '../../src/base/cidr.js'
import { ip } from '../../src/base/ip.js'
import { formatMac } from '../../src/base/mac.js'
import type { LeaseAttributes } from '../../src/flannel/lease.js'
import { KubernetesSubnetManager, leaseOfNode, NodeRegistry, type FlannelNode } from '../../src/flannel/subnet-manager-kubernetes.js'
import { leaseOf } from './fixtures.js'

const P = 'flannel.alpha.coreos.com/'
const CONFIG = {
  text: '{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}}',
  source: { file: 'kube-flannel.yml', line: 10, object: 'ConfigMap/kube-flannel-cfg' },
}
const VTEP: LeaseAttributes = { publicIp: ip('192.168.0.1'), backendType: 'vxlan', backendData: { VNI: 1, VtepMAC: 'ee:00:00:00:00:01' } }

function node(name: string, podCidr: string, annotations: Record<string, string> = {}): FlannelNode {
  return { name, podCidrs: podCidr === '' ? [] : podCidr.split(','), annotations }
}

function managed(name: string, podCidr: string, publicIp: string, data = 'null', type = 'host-gw'): FlannelNode {
  return node(name, podCidr, { [`${P}kube-subnet-manager`]: 'true', [`${P}backend-type`]: type, [`${P}backend-data`]: data, [`${P}public-ip`]: publicIp })
}

function manager(registry: NodeRegistry, version = '0.28.9'): KubernetesSubnetManager {
  return new KubernetesSubnetManager({ registry, nodeName: 'n1', version, config: CONFIG })
}

function tryAcquire(registry: NodeRegistry, attributes = VTEP) {
  const self = manager(registry)
  const { config } = self.readConfig()
  if (config === undefined) throw new Error('no config')
  return self.tryAcquire(config, { attributes }, self.list())
}

describe('KubernetesSubnetManager', () => {
  it('takes podCIDR and writes the annotations', () => {
    const registry = new NodeRegistry()
    registry.put(node('n1', '10.244.1.0/24', { other: 'kept' }))
    expect(tryAcquire(registry)).toMatchObject({ kind: 'acquired', lease: { subnet: { base: ip('10.244.1.0'), length: 24 } } })
    expect(registry.get('n1')?.annotations).toEqual({
      other: 'kept',
      [`${P}kube-subnet-manager`]: 'true',
      [`${P}backend-type`]: 'vxlan',
      [`${P}backend-data`]: '{"VNI":1,"VtepMAC":"ee:00:00:00:00:01"}',
      [`${P}public-ip`]: '192.168.0.1',
    })
  })

  it('a backend without data writes null; public-ip-overwrite changes only what is published', () => {
    const registry = new NodeRegistry()
    registry.put(node('n1', 'fd00::/64,10.244.1.0/24', { [`${P}public-ip-overwrite`]: '203.0.113.9' }))
    expect(tryAcquire(registry, { publicIp: ip('192.168.0.1'), backendType: 'host-gw' })).toMatchObject({
      kind: 'acquired',
      lease: { attributes: { publicIp: ip('192.168.0.1') } },
    })
    expect(registry.get('n1')?.annotations).toMatchObject({ [`${P}backend-data`]: 'null', [`${P}public-ip`]: '203.0.113.9' })
  })

  it('fails without podCIDR, with one outside the Network, with three, with host bits', () => {
    const error = (podCidr: string): string => {
      const registry = new NodeRegistry()
      registry.put(node('n1', podCidr))
      const result = tryAcquire(registry)
      return result.kind === 'failed' && result.fatal ? result.error : result.kind
    }
    expect(error('')).toBe('node "n1" pod cidr not assigned')
    expect(error('10.245.1.0/24')).toContain('does not contain PodCIDR 10.245.1.0/24')
    expect(error('10.244.1.0/24,10.244.2.0/24,10.244.3.0/24')).toContain('IPv4/IPv6 only or dualstack')
    expect(error('10.244.1.5/24')).toContain('host-bits')
    expect(error('fd00::/64')).toContain('no IPv4 prefix')
    expect(tryAcquire(new NodeRegistry())).toMatchObject({ kind: 'failed', error: expect.stringContaining('does not exist') as string })
  })

  it("gives the same events as etcd's manager: added, changed, removed with the attributes known before", () => {
    const registry = new NodeRegistry()
    registry.put(managed('n1', '10.244.1.0/24', '192.168.0.1'))
    registry.put(managed('n2', '10.244.2.0/24', '192.168.0.2'))
    registry.put(node('n3', '10.244.3.0/24'))
    const seen: string[] = []
    const watch = manager(registry).watch(leaseOf('10.244.1.0/24', '192.168.0.1', 'host-gw'), {
      onEvents: (events) => seen.push(...events.map((event) => `${event.kind} ${formatCidr(event.lease.subnet)} ${event.lease.attributes.backendType}`)),
      onProblems: (problems) => seen.push(...problems.map((problem) => problem.object)),
    })
    registry.put({ ...managed('n2', '10.244.2.0/24', '192.168.0.2'), file: 'touched' })
    registry.put(managed('n2', '10.244.2.0/24', '192.168.0.22'))
    registry.put(managed('n3', '10.244.3.0/24', '192.168.0.3'))
    registry.put(managed('n4', '10.244.4.0/24', 'nowhere'))
    registry.delete('n2')
    registry.delete('n1')
    watch.close()
    registry.put(managed('n5', '10.244.5.0/24', '192.168.0.5'))
    expect(seen).toEqual([
      'added 10.244.2.0/24 host-gw',
      'added 10.244.2.0/24 host-gw',
      'added 10.244.3.0/24 host-gw',
      'Node/n4',
      'removed 10.244.2.0/24 host-gw',
    ])
  })

  it('never renews; takes up its published MAC since 0.24.1', () => {
    const registry = new NodeRegistry()
    registry.put(managed('n1', '10.244.1.0/24', '192.168.0.1', '{"VNI":1,"VtepMAC":"ee:00:00:00:00:01"}', 'vxlan'))
    expect(manager(registry).renewDelayNs()).toBe(Infinity)
    expect(formatMac(manager(registry, '0.24.1').storedMac() ?? 0)).toBe('ee:00:00:00:00:01')
    expect(manager(registry, '0.24.0').storedMac()).toBeUndefined()
  })

  it('backend-data that is no JSON is left to the backend to refuse', () => {
    expect(leaseOfNode(managed('n2', '10.244.2.0/24', '192.168.0.2', '{"VtepMAC":')).lease?.attributes.backendData).toBe('{"VtepMAC":')
  })
})
