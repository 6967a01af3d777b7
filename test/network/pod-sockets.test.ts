/** Who is taken to listen in a pod: a containerPort informs and opens nothing, so what a probe asks of a ready pod is answered too. */
import { describe, expect, it } from 'vitest'
import { answer } from '../kit/network.js'
import { CNIS, pod, world } from './services-world.js'

/** As CoreDNS of kubeadm: 53 and 9153 are declared, 8080 and 8181 only asked. */
function coredns(ready: boolean): string {
  const container = {
    name: 'coredns',
    image: 'registry.k8s.io/coredns/coredns:v1.11.3',
    ports: [{ containerPort: 9153, name: 'metrics' }],
    livenessProbe: { httpGet: { path: '/health', port: 8080 } },
    readinessProbe: { httpGet: { path: '/ready', port: 8181 } },
  }
  return pod({ name: 'dns', node: 'n2', address: '10.180.1.53', ready, spec: { containers: [container] } })
}

describe.each(CNIS)('a pod that declares some ports, under %s', (cni) => {
  const verdict = (ready: boolean, port: string): string => answer(world(cni, [coredns(ready)]), 'kubelet', `default/dns${port}`).document.disposition
  it('listens on those and on what its probes ask, while it is ready', () => {
    expect([verdict(true, ''), verdict(true, ':8080'), verdict(true, ':8181'), verdict(true, ':9153')]).toEqual(Array(4).fill('DELIVERED'))
    expect(verdict(true, ':8081')).toBe('NO_SOCKET')
  })

  it('nobody knows which probe of a pod that is not ready fails: declared ports alone', () => {
    expect([verdict(false, ''), verdict(false, ':8080'), verdict(false, ':9153')]).toEqual(['NO_SOCKET', 'NO_SOCKET', 'DELIVERED'])
  })

  it('the socket says what it is concluded from', () => {
    const sockets = world(cni, [coredns(true)]).dataplane('default/dns')?.sockets ?? []
    expect(sockets.map(({ port, provenance }) => [port, provenance?.by])).toEqual([
      [9153, 'containerPort of the Pod: taken to listen'],
      [8181, 'probe of a ready Pod: taken to listen'],
      [8080, 'probe of a ready Pod: taken to listen'],
    ])
  })
})
