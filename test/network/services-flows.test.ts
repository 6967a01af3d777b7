/**
 * Services as a user asks for them: ends by name, hairpin, affinity, every outcome with its likelihood, names, probes, and policies of Calico's on the way.
 */
import { describe, expect, it } from 'vitest'
import { allOutcomes, type Outcomes } from '../../src/analysis/outcomes.js'
import { queryRequest } from '../../src/analysis/name-lookup.js'
import type { TraceDocument } from '../../src/analysis/trace-document.js'
import { formatProblem } from '../../src/base/problem.js'
import type { Network } from '../../src/network/network.js'
import { DEFAULT_REQUEST } from '../../src/network/request.js'
import { answer, type Ask } from '../kit/network.js'
import { balanced, CNIS, pod, service, world } from './services-world.js'

function refusal(network: Network, source: string, destination: string): string {
  const outcome = network.trace({ ...DEFAULT_REQUEST, source, destination })
  return 'disposition' in outcome ? outcome.disposition : outcome.map(formatProblem).join('\n')
}

function outcomes(network: Network, source: string, destination: string, ask: Ask = {}): Outcomes {
  const told = allOutcomes(network, { ...DEFAULT_REQUEST, source, destination, ...ask })
  if ('outcomes' in told) return told
  throw new Error(told.map(formatProblem).join('\n'))
}

function sum({ outcomes: all }: Outcomes): number {
  return all.reduce((total, { probability }) => total + probability, 0)
}

function netnsOf({ forward }: TraceDocument): string[] {
  return forward.hops.map(({ netns }) => netns)
}

const WEB = service('web', { clusterIP: '172.30.0.50', selector: { app: 'web' }, type: 'NodePort', ports: [{ port: 80, targetPort: 'http', nodePort: 30080 }] })
const SERVICES = { serviceCIDR: '172.30.0.0/16' }

describe('containers of one pod', () => {
  const two = pod({
    name: 'two',
    node: 'n1',
    spec: {
      containers: [
        { name: 'a', image: 'x' },
        { name: 'b', image: 'y', ports: [{ containerPort: 6379 }] },
      ],
    },
  })
  it.each(CNIS)('meet on lo and nowhere else, under %s', (cni) => {
    const network = world(cni, [two])
    for (const destination of ['default/two/b', 'localhost:6379', '127.0.0.1:6379']) {
      const { document } = answer(network, 'default/two/a', destination)
      expect([document.disposition, ...netnsOf(document)]).toEqual(['DELIVERED', 'default/two'])
      const devices = new Set([...document.forward.frames, ...(document.reply?.frames ?? [])].map(({ device }) => device))
      expect([...devices]).toEqual(['lo'])
      expect(document.result.server).toMatchObject({ address: '127.0.0.1', port: 6379, sees: { address: '127.0.0.1' } })
    }
  })

  it('a container that is not there is named', () => {
    expect(refusal(world('flannel', [two]), 'client', 'default/two/c')).toContain('the pod default/two has no container "c"')
  })
})

describe('hairpin', () => {
  const own = service('own', { clusterIP: '172.30.0.51', selector: { pod: 'near' } })

  it('needs a bridge port that sends back where it came from', () => {
    const off = {
      ...SERVICES,
      hosts: [{ node: 'n1', ip: ['link set vethnear type bridge_slave hairpin off'] }],
      pins: { devices: { 'default/near/eth0': 'vethnear' } },
    }
    const document = answer(world('flannel', [own], off), 'near', 'svc/own').document
    expect(document.disposition).toBe('DENIED')
    expect([document.result.cause, ...document.result.fixes].join('\n')).toMatch(/hairpin/)
  })

  it.each(CNIS)('as one of two outcomes under %s: the pod sees the node, another pod the client', (cni) => {
    const told = outcomes(world(cni, [WEB], SERVICES), 'near', 'svc/web')
    expect(told.outcomes.map(({ probability, server }) => [probability, server?.netns, server?.sees.address])).toEqual([
      [0.5, 'default/near', cni === 'flannel' ? '10.180.0.1' : '192.168.0.2'],
      [0.5, 'default/far', '10.180.0.10'],
    ])
  })
})

describe('every outcome', () => {
  const crowd = [3, 4, 5, 6, 7].map((n) => pod({ name: `w${n}`, node: `n${(n % 3) + 1}`, labels: { app: 'crowd' } }))
  const many = service('crowd', { clusterIP: '172.30.0.52', selector: { app: 'crowd' } })
  const vip = service('vip', { type: 'LoadBalancer', clusterIP: '172.30.0.53', selector: { app: 'web' } }, balanced('198.18.0.1'))

  it.each(CNIS)('of five endpoints has a fifth of the likelihood, under %s', (cni) => {
    const told = outcomes(world(cni, [...crowd, many], SERVICES), 'client', 'svc/crowd')
    expect(told.outcomes.map(({ server }) => server?.netns).sort()).toEqual(['default/w3', 'default/w4', 'default/w5', 'default/w6', 'default/w7'])
    // kube-proxy writes 1/n with ten digits, the kernel keeps 31 bits of them
    for (const { probability } of told.outcomes) expect(probability).toBeCloseTo(1 / 5, 8)
    expect(sum(told)).toBeCloseTo(1, 12)
    expect(told.unfollowed).toBe(0)
  })

  it.each(CNIS)('over the nodes of a load balancer too: equal paths times endpoints, under %s', (cni) => {
    const told = outcomes(world(cni, [vip], SERVICES), 'host/inside', '198.18.0.1:80')
    const entered = new Map<string, number>()
    for (const { path, probability } of told.outcomes) {
      const node = path.find((netns) => /^n\d$/.test(netns)) ?? ''
      entered.set(node, (entered.get(node) ?? 0) + probability)
    }
    expect([...entered.keys()].sort()).toEqual(['n1', 'n2', 'n3'])
    for (const share of entered.values()) expect(share).toBeCloseTo(1 / 3, 6)
    expect(sum(told)).toBeCloseTo(1, 12)
    expect(told.outcomes.every(({ disposition }) => disposition === 'DELIVERED')).toBe(true)
  })

  it('of a headless Service is that of each of its pods: DNS gives any address first', () => {
    const told = outcomes(world('flannel', [...crowd, service('heads', { clusterIP: 'None', selector: { app: 'crowd' } })], SERVICES), 'client', 'svc/heads')
    expect(told.outcomes.map(({ server }) => server?.netns).sort()).toEqual(['default/w3', 'default/w4', 'default/w5', 'default/w6', 'default/w7'])
    for (const { probability } of told.outcomes) expect(probability).toBeCloseTo(1 / 5, 12)
    expect([told.asked, told.unfollowed]).toEqual([5, 0])
  })

  it('leaves the world as it was: a question asked twice has one answer', () => {
    const network = world('flannel', [...crowd, many], SERVICES)
    const before = answer(network, 'client', 'svc/crowd').document.result.server
    outcomes(network, 'client', 'svc/crowd')
    expect(answer(network, 'client', 'svc/crowd').document.result.server).toEqual(before)
  })

  it('that is cut off says how much is missing', () => {
    const told = allOutcomes(world('flannel', [...crowd, many], SERVICES), { ...DEFAULT_REQUEST, source: 'client', destination: 'svc/crowd' }, 2)
    expect('unfollowed' in told && told.unfollowed).toBeCloseTo(3 / 5, 6)
  })
})

describe('session affinity', () => {
  const sticky = service('sticky', { clusterIP: '172.30.0.54', selector: { app: 'web' }, sessionAffinity: 'ClientIP' })
  it.each(CNIS)('writes the choice down, under %s', (cni) => {
    const network = world(cni, [sticky], SERVICES)
    const { document } = answer(network, 'client', 'svc/sticky', { level: 1 })
    const texts = document.forward.hops.flatMap(({ steps }) => steps).flatMap(({ rules }) => rules ?? [])
    expect(texts.filter(({ text, matched }) => matched && /recent --set/.test(text.replace('-m recent ', 'recent '))).length).toBeGreaterThan(0)
    expect(texts.filter(({ text, matched }) => !matched && text.includes('--rcheck --seconds 10800 --reap')).length).toBeGreaterThan(0)
    expect(sum(outcomes(network, 'client', 'svc/sticky'))).toBeCloseTo(1, 12)
    // and forgets it before the next question
    const servers = [1, 2, 3, 4, 5, 6, 7, 8].map((seed) => answer(network, 'client', 'svc/sticky', { seed }).document.result.server?.netns)
    expect(new Set(servers)).toEqual(new Set(['default/near', 'default/far']))
  })
})

describe('a Service without endpoints says why', () => {
  const hand = service('hand', { clusterIP: '172.30.0.60' })
  const slip = service('slip', { clusterIP: '172.30.0.61', selector: { app: 'wbe' } })
  const slow = service('slow', { clusterIP: '172.30.0.62', selector: { pod: 'slow' } })
  const notReady = pod({ name: 'slow', node: 'n2', address: '10.180.1.20', ready: false })
  const network = world('flannel', [hand, slip, slow, notReady], SERVICES)

  it.each([
    ['hand', 'it has no selector, and nothing lists endpoints for it', 'EndpointSlice'],
    ['slip', 'its selector app=wbe selects no pod', 'correct the selector'],
    ['slow', 'the one behind it is not ready: default/slow', 'mend what keeps the pods from being ready'],
  ])('%s: %s', (name, cause, fix) => {
    const { result, disposition } = answer(network, 'client', `svc/${name}`).document
    expect(disposition).toBe('NO_ENDPOINT')
    expect(result.cause).toContain(cause)
    expect(result.fixes.join('\n')).toContain(fix)
  })
})

describe('losses read in the words of the Service', () => {
  const ranges = service(
    'lb',
    { type: 'LoadBalancer', clusterIP: '172.30.0.63', selector: { app: 'web' }, loadBalancerSourceRanges: ['203.0.113.0/25', '192.0.2.0/24'] },
    balanced('198.18.0.2'),
  )
  const pods = service('pods', { clusterIP: 'None', selector: { app: 'web' } })
  const network = world('flannel', [WEB, ranges, pods], SERVICES)

  it('out of the source ranges', () => {
    const { result } = answer(network, 'host/outside', '198.18.0.2:80').document
    expect(result.cause).toContain('203.0.113.130 is in none of the loadBalancerSourceRanges of Service default/lb (test.yaml:')
    expect(result.fixes).toEqual([
      expect.stringMatching(/^add 203\.0\.113\.130\/32 to the ranges \(test\.yaml:\d+\), which are 203\.0\.113\.0\/25, 192\.0\.2\.0\/24$/),
    ])
    expect(answer(network, 'client', '198.18.0.2:80').document.result.fixes[1]).toContain('inside the cluster ask for 172.30.0.63')
  })

  it.each([
    ['through a headless name', 'pods.default:80', 'Service default/pods'],
    ['at the pod', 'default/near:80', 'Service default/'],
  ])('the port of the Service in place of the pod’s, %s', (_what, destination, whose) => {
    const { disposition, result } = answer(network, 'client', destination).document
    expect(disposition).toBe('NO_SOCKET')
    expect(result.fixes[0]).toContain(`80 is the port of ${whose}`)
    expect(result.fixes[0]).toContain('the pod itself listens on 8080')
  })

  it('a port that the Service lacks, at its load balancer’s address', () => {
    const { disposition, result } = answer(network, 'host/inside', '198.18.0.2:81').document
    expect(disposition).toBe('LOOP')
    expect(result.fixes).toEqual([expect.stringMatching(/^Service default\/lb \(test\.yaml:\d+\) has 80\/tcp; no rule of kube-proxy's translates 81\/tcp$/)])
  })

  it('a cluster IP from beyond the cluster', () => {
    const { result } = answer(network, 'host/inside', 'svc/web').document
    expect(result.fixes).toEqual(["a cluster IP is known to the cluster's nodes alone: ask for node/n1:30080"])
  })

  it('no kube-proxy at all', () => {
    const without = world('flannel', [WEB], { ...SERVICES, kubeProxy: { mode: 'none' } })
    expect(answer(without, 'client', 'svc/web').document.result.fixes.join('\n')).toContain('no kube-proxy translates its cluster IP here')
    expect(answer(without, 'client', 'node/n1:30080').document.result.fixes).toEqual([
      expect.stringContaining('30080/tcp is the node port of Service default/web (test.yaml:'),
    ])
  })
})

describe('ends by name', () => {
  const dns = [
    service('kube-dns', { clusterIP: '172.30.0.10', selector: { pod: 'coredns' }, ports: [{ port: 53, protocol: 'UDP', targetPort: 5353 }] }),
    pod({ name: 'coredns', node: 'n2', address: '10.180.1.53' }),
  ].map((text) => text.replace('"metadata":{', '"metadata":{"namespace":"kube-system",'))
  const named = [
    WEB,
    service('pods', { clusterIP: 'None', selector: { app: 'set' }, ports: [{ port: 8080 }] }),
    pod({ name: 'set-0', node: 'n1', address: '10.180.0.30', labels: { app: 'set' }, spec: { hostname: 'set-0', subdomain: 'pods' } }),
    pod({ name: 'set-1', node: 'n2', address: '10.180.1.30', labels: { app: 'set' }, spec: { hostname: 'set-1', subdomain: 'pods' } }),
    service('payments', { type: 'ExternalName', externalName: 'pay.example.com', ports: undefined }),
  ]
  const told = { ...SERVICES, dns: { hosts: { 'pay.example.com': '203.0.113.2' } } }
  const network = world('flannel', [...dns, ...named], told)

  it.each([
    ['web.default.svc.cluster.local:80', '172.30.0.50'],
    ['set-1.pods.default.svc.cluster.local:8080', '10.180.1.30'],
    ['payments.default.svc.cluster.local:80', '203.0.113.2'],
  ])('%s is %s', (name, address) => {
    const { document } = answer(network, 'client', name, { listen: true })
    expect([document.disposition, document.request.destination.address]).toEqual(['DELIVERED', address])
    expect(document.lookup).toMatchObject({ outcome: 'found', addresses: [address] })
  })

  it('of a headless Service has the pods’ addresses', () => {
    const { document } = answer(network, 'client', 'pods.default:8080')
    expect(document.lookup?.addresses).toEqual(['10.180.0.30', '10.180.1.30'])
    expect(document.lookup?.queries.map(({ name, rcode }) => [name, rcode])).toEqual([
      ['pods.default.default.svc.cluster.local', 'NXDOMAIN'],
      ['pods.default.svc.cluster.local', 'NOERROR'],
    ])
    expect(document.result.server?.netns).toBe('default/set-0')
  })

  it('an ExternalName whose name nobody says the address of is not guessed', () => {
    expect(refusal(world('flannel', [...dns, ...named], SERVICES), 'client', 'payments.default.svc.cluster.local:80')).toContain(
      'pay.example.com is no name of the cluster',
    )
    expect(refusal(network, 'client', 'wbe.default')).toContain('wbe.default does not resolve: there is no Service wbe. Did you mean web?')
    expect(refusal(network, 'client', 'svc/payments')).toContain('is an ExternalName: nobody proxies it')
  })

  it.each(CNIS)('the query goes to the DNS Service, is translated, and its answer comes back, under %s', (cni) => {
    const here = world(cni, [...dns, ...named], told)
    const { document } = asked(here, 'client', 'web.default')
    expect([document.disposition, document.request.destination.address, document.request.dport]).toEqual(['DELIVERED', '172.30.0.10', 53])
    expect(document.result.server).toMatchObject({ netns: 'kube-system/coredns', address: '10.180.1.53', port: 5353, sees: { address: '10.180.0.2' } })
    expect(document.reply?.disposition).toBe('DELIVERED')
    expect(document.result.client).toContain('an answer from 172.30.0.10 after')
  })

  it('an egress policy of Calico’s that forgets port 53 cuts it', () => {
    const egress = JSON.stringify({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'no-dns' },
      spec: { podSelector: { matchLabels: { pod: 'client' } }, policyTypes: ['Egress'], egress: [{ ports: [{ port: 8080 }] }] },
    })
    const here = world('calico', [...dns, ...named, egress], told)
    const { document } = asked(here, 'client', 'web.default')
    expect(document.disposition).toBe('DENIED')
    expect(document.result.cause).toContain('no-dns')
    // what the policy names is the pod's port, behind the Service
    expect(answer(here, 'client', '172.30.0.50:80').document.disposition).toBe('DELIVERED')
  })
})

function asked(network: Network, source: string, destination: string): { readonly document: TraceDocument } {
  const query = queryRequest(network, { ...DEFAULT_REQUEST, source, destination })
  if (!('request' in query)) throw new Error(query.map(formatProblem).join('\n'))
  const { request } = query
  return answer(network, request.source, request.destination, request)
}

describe('the kubelet', () => {
  const probed = pod({
    name: 'probed',
    node: 'n1',
    spec: {
      containers: [{ name: 'main', image: 'x', ports: [{ name: 'http', containerPort: 8080 }], readinessProbe: { httpGet: { path: '/', port: 'http' } } }],
    },
  })
  const closed = JSON.stringify({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'closed' },
    spec: { podSelector: {}, policyTypes: ['Ingress', 'Egress'] },
  })

  it.each(CNIS)('probes from the pod’s node, under %s', (cni) => {
    const { document } = answer(world(cni, [probed]), 'kubelet', 'default/probed')
    expect([document.disposition, document.request.source.name, document.request.dport]).toEqual(['DELIVERED', 'node/n1', 8080])
    expect(document.result.server?.sees.address).toBe(cni === 'flannel' ? '10.180.0.1' : '192.168.0.2')
  })

  it('probes pods alone, and says so once', () => {
    expect(refusal(world('flannel', [WEB], SERVICES), 'kubelet', 'svc/web').match(/is no pod/g)).toHaveLength(1)
  })

  it('is let through by Calico where everybody else is not', () => {
    const network = world('calico', [probed, closed])
    expect(answer(network, 'client', 'default/probed:8080').document.disposition).toBe('DENIED')
    expect(answer(network, 'node/n2', 'default/probed:8080').document.disposition).toBe('DENIED')
    expect(answer(network, 'kubelet', 'default/probed').document.disposition).toBe('DELIVERED')
  })
})
