/** Requests through an Ingress on the command line: the rule, the controller, both connections, what the controller answers by itself. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { netsim, type Ran } from './memory-io.js'

const FILE = fileURLToPath(new URL('../../examples/ingress.yaml', import.meta.url))
const TEXT = readFileSync(FILE, 'utf8')

interface Told {
  readonly disposition: string
  readonly entry: { readonly kind: string; readonly address: string; readonly port: number }
  readonly route: { readonly outcome: string; readonly path?: string; readonly backend?: string; readonly certificate?: string; readonly via?: string }
  readonly status?: { readonly code: number; readonly why: string }
  readonly controller: { readonly pod?: string }
  readonly flows: readonly {
    readonly request: { readonly source: { readonly name: string } }
    readonly result: {
      readonly server?: { readonly netns: string; readonly address: string; readonly sees: { readonly address: string } }
      readonly next: readonly string[]
    }
    readonly metadata: { readonly inputs: readonly string[] }
  }[]
  readonly notes: readonly string[]
}

const run = (url: string, ...words: string[]): Promise<Ran> => netsim(['trace', 'host/customer', url, '-f', FILE, ...words])

async function told(url: string, text = TEXT): Promise<Told & { readonly exit: number }> {
  const { code, out, err } = await netsim(['trace', 'host/customer', url, '-f', '-', '-o', 'json'], { stdin: text })
  if (out === '') throw new Error(err)
  return { ...(JSON.parse(out) as Told), exit: code }
}

function replaced(from: string, to: string): string {
  expect(TEXT).toContain(from)
  return TEXT.replace(from, to)
}

describe('a request through an Ingress', () => {
  it('is two connections: the controller sees the client, the backend the controller', async () => {
    const { exit, route, controller, entry, flows } = await told('https://shop.example.com/api/orders')
    expect(exit).toBe(0)
    expect(route).toMatchObject({ outcome: 'rule', path: '/api', backend: 'Service shop/api port 80', certificate: 'shop/shop-tls', via: 'endpoints' })
    expect(entry).toMatchObject({ kind: 'LoadBalancer', address: '203.0.113.10', port: 443 })
    expect(controller.pod).toBe('ingress-nginx/controller-0')
    expect(flows.map(({ result }) => [result.server?.netns, result.server?.sees.address])).toEqual([
      ['ingress-nginx/controller-0', '198.51.100.20'],
      ['shop/api-0', '10.244.1.2'],
    ])
    expect(flows[1].request.source.name).toBe('ingress-nginx/controller-0')
  })

  it.each([
    ['http://shop.example.com/', 0, 308, 1],
    ['https://shop.example.com/old', 1, 503, 1],
    ['http://blog.example.com/', 1, 404, 1],
    ['https://shop.example.com/older', 0, undefined, 2],
    ['https://shop.example.com/apis', 0, undefined, 2],
  ])('%s: exit %i, status %s, %i connections', async (url, exit, status, count) => {
    const found = await told(url)
    expect([found.exit, found.status?.code, found.flows.length]).toEqual([exit, status, count])
  })

  it('goes to a default backend where no rule takes it', async () => {
    const text = replaced('  ingressClassName: nginx\n', '  ingressClassName: nginx\n  defaultBackend: {service: {name: web, port: {number: 80}}}\n')
    const { exit, route, flows } = await told('http://blog.example.com/', text)
    expect([exit, route.outcome, route.backend, flows[1].result.server?.netns]).toEqual([0, 'default', 'Service shop/web port 80', 'shop/web-0'])
  })

  it('through a node port the controller sees the node', async () => {
    const text = replaced('  type: LoadBalancer', '  type: NodePort')
      .replace('  externalTrafficPolicy: Local\n  healthCheckNodePort: 32000\n', '')
      .replace('status: {loadBalancer: {ingress: [{ip: 203.0.113.10}]}}\n', '')
    const { exit, entry, flows, notes } = await told('https://shop.example.com/', text)
    expect([exit, entry.kind, entry.address, entry.port]).toEqual([0, 'NodePort', '192.168.0.101', 30443])
    expect(flows[0].result.server).toMatchObject({ netns: 'ingress-nginx/controller-0', sees: { address: '10.244.1.1' } })
    expect(notes.join('\n')).toContain('the DNS of shop.example.com is taken to lead to 192.168.0.101')
  })

  it('on the host’s network the controller is the host, and the backend sees the bridge or the tunnel', async () => {
    const text = replaced(
      '  nodeName: node-1\n  containers:\n    - {name: controller',
      '  nodeName: node-1\n  hostNetwork: true\n  containers:\n    - {name: controller',
    ).replace(/^# Local: the controller.*?^---\n/ms, '')
    const { exit, entry, flows } = await told('https://shop.example.com/api', text)
    expect([exit, entry.kind, entry.address, entry.port]).toEqual([0, 'hostNetwork', '192.168.0.101', 443])
    expect(flows.map(({ result }) => [result.server?.netns, result.server?.sees.address])).toEqual([
      ['node-1', '198.51.100.20'],
      ['shop/api-0', '10.244.1.0'],
    ])
  })

  it('through the clusterIP where the annotation says so', async () => {
    const text = replaced(
      'metadata: {name: shop, namespace: shop}\nspec:\n  ingressClassName',
      'metadata: {name: shop, namespace: shop, annotations: {nginx.ingress.kubernetes.io/service-upstream: "true"}}\nspec:\n  ingressClassName',
    )
    const { exit, route, flows } = await told('https://shop.example.com/api', text)
    expect([exit, route.via, flows[1].result.server?.address]).toEqual([0, 'clusterIP', '10.244.2.2'])
  })

  it('without a controller among the pods is refused, with what would help', async () => {
    const text = replaced('"registry.k8s.io/ingress-nginx/controller:v1.11.2"', 'nothing').replaceAll('app.kubernetes.io/name: ingress-nginx', 'app: other')
    const { code, err } = await netsim(['trace', 'host/customer', 'http://shop.example.com/', '-f', '-'], { stdin: text })
    expect([code, err.includes('no Ingress controller is among the pods')]).toEqual([2, true])
  })
})

describe('as text', () => {
  it('the head says rule, backend, answer and what was assumed; what to ask next has the files', async () => {
    const { code, out } = await run('https://shop.example.com/old', '--summary')
    expect(code).toBe(1)
    expect(out).toContain('answer     HTTP 503 by the controller: Service old has no ready endpoint for port 80')
    expect(out).toContain('tls        ends at the controller, with shop/shop-tls')
    expect(out.replace(/\s+/g, ' ')).toContain(`netsim trace host/customer 203.0.113.10:443 -v -f ${FILE}`)
    expect((await told('https://shop.example.com/old')).flows[0].metadata.inputs).toEqual(['-'])
  })

  it.each([
    [['-o', 'mermaid'], 'has no -o mermaid'],
    [['--all'], '--all and --dns are of one connection'],
    [['--dns'], '--all and --dns are of one connection'],
    [['--pcap', 'x'], 'are of one connection'],
  ])('refuses %s', async (words, why) => {
    const { code, err } = await run('http://shop.example.com/', ...words)
    expect([code, err.includes(why)]).toEqual([2, true])
  })
})

describe('show ingress', () => {
  it('has the rules down to the endpoints, with class and controller', async () => {
    const { out } = await netsim(['show', 'ingress', '-f', FILE])
    expect(out.split('\n')).toEqual([
      'NAMESPACE   NAME   CLASS   CONTROLLER                    HOST               PATH   TYPE     BACKEND   ENDPOINTS',
      'shop        shop   nginx   ingress-nginx/ingress-nginx   shop.example.com   /      Prefix   web:80    10.244.1.3:8080',
      'shop        shop   nginx   ingress-nginx/ingress-nginx   shop.example.com   /api   Prefix   api:80    10.244.2.2:9000',
      'shop        shop   nginx   ingress-nginx/ingress-nginx   shop.example.com   /old   Exact    old:80    503 Service old has no ready endpoint for port 80',
      '',
    ])
  })

  it('says why no controller takes it', async () => {
    const { out } = await netsim(['show', 'ingress', 'shop/shop', '-f', '-'], {
      stdin: replaced('spec: {controller: k8s.io/ingress-nginx}', 'spec: {controller: other/one}'),
    })
    expect(out).toContain('# shop/shop: no controller takes it: its class nginx is of other/one')
    const { out: json } = await netsim(['show', 'ing', '-f', FILE, '-o', 'json'])
    expect(JSON.parse(json)).toMatchObject({
      state: 'ingress',
      items: [
        { name: 'shop', class: 'nginx', tls: [{ secretName: 'shop-tls' }], rules: [{}, { path: '/api', endpoints: ['10.244.2.2:9000'] }, { endpoints: [] }] },
      ],
    })
  })
})

describe('a URL', () => {
  it.each([
    ['http://', 2, 'a URL without a host'],
    ['https:///x', 2, 'a URL without a host'],
    ['http://shop.example.com:99999/', 2, '99999 is not a port'],
    ['http://shop.example.com:http/', 2, 'a URL without a host'],
    ['http://[fd00::1]/', 4, 'IPv6 is not modelled yet'],
  ])('%s ends with %i: %s', async (url, code, what) => {
    const ran = await run(url)
    expect([ran.code, ran.out]).toEqual([code, ''])
    expect(ran.err).toContain(what)
  })

  it('may name a user, who is no part of the host', async () => {
    const { exit, entry, route } = await told('https://ann:pw@shop.example.com/api?x=/old#y')
    expect([exit, entry.port, route.path]).toEqual([0, 443, '/api'])
  })

  const NODE_PORTS = replaced('type: LoadBalancer\n  clusterIP: 10.96.30.1', 'type: NodePort\n  clusterIP: 10.96.30.1').replace(/^status: .*203.*$/m, '')

  it('means port 80 or 443 of an address: node ports are others', async () => {
    const bare = await told('https://192.168.0.101/api', NODE_PORTS)
    expect([bare.exit, bare.disposition, bare.entry.port]).toEqual([1, 'NO_SOCKET', 443])
    const named = await told('https://192.168.0.101:30443/api', NODE_PORTS)
    expect([named.disposition, named.entry.port]).toEqual(['DELIVERED', 30443])
  })

  it('of a name that the world knows: who hands on its port is assumed, and told', async () => {
    const { exit, entry, notes } = await told('https://shop.example.com/api', NODE_PORTS)
    expect([exit, entry.kind, entry.port]).toEqual([0, 'NodePort', 30443])
    expect(notes[1]).toBe('somebody is taken to hand on port 443 to port 30443 there: a client by itself has to ask for shop.example.com:30443')
    expect((await told('https://shop.example.com:30443/api', NODE_PORTS)).notes).toHaveLength(1)
  })
})
