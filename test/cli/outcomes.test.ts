/** `trace --all` and `show services|endpoints`: the words that a person reads and the documents that a program does. */
import { describe, expect, it } from 'vitest'
import { fileURLToPath } from 'node:url'
import { netsim, type Ran } from './memory-io.js'

const FLANNEL = fileURLToPath(new URL('../../examples/services-flannel.yaml', import.meta.url))

const run = (...words: string[]): Promise<Ran> => netsim([...words, '-f', FLANNEL])

interface Row {
  readonly probability: number
  readonly disposition: string
  readonly server?: { readonly netns: string; readonly sees: { readonly address: string } }
}

async function outcomesOf(...words: string[]): Promise<{ readonly code: number; readonly outcomes: readonly Row[]; readonly unfollowed: number }> {
  const { code, out } = await run('trace', ...words, '--all', '-o', 'json')
  return { code, ...(JSON.parse(out) as { outcomes: readonly Row[]; unfollowed: number }) }
}

describe('trace --all', () => {
  it('lists who may answer, as whose client, and how likely', async () => {
    const { code, out } = await run('trace', 'shop/api-0', 'svc/shop/api', '--all')
    expect(code).toBe(0)
    expect(out.split('\n')).toEqual([
      'shop/api-0 10.244.1.3 → svc/shop/api 10.96.10.1:80   tcp, 2 outcomes of 2 questions',
      '',
      'LIKELY   OUTCOME     SERVER                       SEES         PATH',
      '50 %     DELIVERED   shop/api-0 10.244.1.3:8080   10.244.1.1   shop/api-0 → node-1 → shop/api-0',
      '50 %     DELIVERED   shop/api-1 10.244.2.2:8080   10.244.1.3   shop/api-0 → node-1 → node-2 → shop/api-1',
      '',
    ])
  })

  it('an address is written once, and the load balancer sends to nodes with an endpoint alone', async () => {
    const { out } = await run('trace', 'host/office', '203.0.113.80:80', '--all')
    expect(out).toMatch(/^host\/office 198\.51\.100\.7 → 203\.0\.113\.80:80 {3}tcp, 2 outcomes/)
    const { outcomes } = await outcomesOf('host/office', '203.0.113.80:80')
    expect(outcomes.map(({ server }) => [server?.netns, server?.sees.address])).toEqual([
      ['shop/api-0', '198.51.100.7'],
      ['shop/api-1', '198.51.100.7'],
    ])
    expect(outcomes.reduce((sum, { probability }) => sum + probability, 0)).toBeCloseTo(1, 12)
  })

  it('exits with 1 when any outcome is a loss, and as expected with --expect', async () => {
    const lost = await outcomesOf('host/pay', '203.0.113.80:80')
    expect([lost.code, lost.outcomes.map(({ disposition }) => disposition)]).toEqual([1, ['DENIED', 'DENIED']])
    expect((await outcomesOf('host/pay', '203.0.113.80:80', '--expect', 'DENIED')).code).toBe(0)
  })

  it('has the path of the packet alone, not of the ARP requests before it; a loop by its beginning', async () => {
    const { out } = await run('trace', 'shop/api-0', 'svc/shop/api', '--all', '--cold')
    expect(out).toContain('shop/api-0 → node-1 → node-2 → shop/api-1\n')
    const loop = await run('trace', 'host/office', '203.0.113.80:81', '--all')
    expect(loop.out).toMatch(/LOOP .* → … \d+ more\n/)
  })

  it.each([
    [['--svg', 'x.svg'], '--svg is of one packet'],
    [['-o', 'mermaid'], '--all has no -o mermaid'],
    [['--dns'], '--all and --dns are two questions'],
  ])('refuses %s', async (words, why) => {
    const { code, err } = await run('trace', 'shop/web-0', 'svc/shop/api', '--all', ...words)
    expect([code, err.includes(why)]).toEqual([2, true])
  })
})

describe('show services', () => {
  it('is what kubectl get services -A -o wide prints', async () => {
    const { out } = await run('show', 'services')
    expect(out.split('\n').slice(0, 4)).toEqual([
      'NAMESPACE     NAME         TYPE           CLUSTER-IP   EXTERNAL-IP       PORT(S)         SELECTOR',
      'kube-system   kube-dns     ClusterIP      10.96.0.10   <none>            53/UDP,53/TCP   k8s-app=kube-dns',
      'shop          api          NodePort       10.96.10.1   <none>            80:30080/TCP    app=api',
      'shop          api-pods     ClusterIP      None         <none>            80/TCP          app=api',
    ])
    expect(out).toContain('payments     ExternalName   <none>       pay.example.com')
  })

  it('marks what the API server would have drawn', async () => {
    const text = `{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: LoadBalancer, ports: [{port: 80}]}}
`
    const { out } = await netsim(['show', 'svc', '-f', '-'], { stdin: text })
    expect(out).toMatch(/a +LoadBalancer +\S+ \(assumed\) +<pending> +80:3\d{4} \(assumed\)\/TCP/)
    const { out: json } = await netsim(['show', 'svc', 'a', '-f', '-', '-o', 'json'], { stdin: text })
    expect(JSON.parse(json)).toMatchObject({ state: 'services', items: [{ name: 'a', clusterIPAssumed: true, ports: [{ port: 80, nodePortAssumed: true }] }] })
  })

  it('of a name that is not there names the nearest', async () => {
    const { code, err } = await run('show', 'services', 'apii', '-n', 'shop')
    expect([code, err.includes("there is no Service 'shop/apii'. Did you mean api?")]).toEqual([2, true])
  })
})

describe('show endpoints', () => {
  it('of one Service, port by port, with where each is', async () => {
    const { out } = await run('show', 'endpoints', 'shop/api')
    expect(out.split('\n')).toEqual([
      'NAMESPACE   SERVICE   PORT     ENDPOINT          READY   NODE     ZONE   POD     FROM',
      'shop        api       80/TCP   10.244.1.3:8080   yes     node-1   east   api-0   pods',
      'shop        api       80/TCP   10.244.2.2:8080   yes     node-2   west   api-1   pods',
      '',
    ])
  })

  it('a Service that nobody is behind has a line of its own', async () => {
    const { out } = await run('show', 'endpoints', 'billing', '-n', 'shop')
    expect(out.split('\n')[1]).toMatch(/^shop +billing +80\/TCP +<none>/)
    const { out: json } = await run('show', 'endpoints', 'billing', '-n', 'shop', '-o', 'json')
    expect(JSON.parse(json)).toMatchObject({ items: [{ service: 'billing', from: 'pods', ports: [{ port: 80, endpoints: [] }], addresses: [] }] })
  })
})
