/** Names on the command line: how a trace shows the lookup, `--dns`, and `show dns`. */
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { netsim, type Ran } from './memory-io.js'

const file = (name: string): string => fileURLToPath(new URL(`../../examples/${name}.yaml`, import.meta.url))
const flannel = (...words: string[]): Promise<Ran> => netsim([...words, '-f', file('services-flannel')])
const calico = (...words: string[]): Promise<Ran> => netsim([...words, '-f', file('services-calico')])

describe('a trace to a name', () => {
  it('says who answered what, and from which object', async () => {
    const { code, out } = await flannel('trace', 'shop/web-0', 'api:80', '-n', 'shop')
    expect([code, out]).toEqual([2, ''])
    const named = await flannel('trace', 'shop/web-0', 'api.shop:80')
    expect(named.code).toBe(0)
    expect(named.out.replace(/\s+/g, ' ')).toMatch(
      /10\.96\.0\.10 says: api\.shop\.shop\.svc\.cluster\.local NXDOMAIN; api\.shop\.svc\.cluster\.local 10\.96\.10\.1, from Service\/shop\/api \(\S+:\d+\)/,
    )
  })

  it('of an ExternalName goes to the world outside', async () => {
    const { code, out } = await flannel('trace', 'shop/web-0', 'payments.shop.svc.cluster.local:443', '--summary')
    expect([code, out.includes('host/pay takes it at 192.0.2.80:443 and sees 192.168.0.101:')]).toEqual([0, true])
  })

  it('that nobody knows is no crash, and no guess', async () => {
    expect(await flannel('trace', 'shop/web-0', 'www.example.org:80')).toMatchObject({ code: 4, out: '' })
    const { code, err } = await flannel('trace', 'shop/web-0', 'nix.shop.svc.cluster.local:80')
    expect([code, err.includes('does not resolve')]).toEqual([2, true])
  })

  it('has the lookup in -o json, which the schema knows', async () => {
    const { out } = await flannel('trace', 'shop/web-0', 'api-pods.shop:8080', '-o', 'json')
    expect(JSON.parse(out)).toMatchObject({
      lookup: {
        name: 'api-pods.shop',
        outcome: 'found',
        queries: [
          { name: 'api-pods.shop.shop.svc.cluster.local', type: 'A', server: '10.96.0.10', rcode: 'NXDOMAIN' },
          { name: 'api-pods.shop.svc.cluster.local', rcode: 'NOERROR' },
        ],
        addresses: ['10.244.1.3', '10.244.2.2'],
      },
    })
  })
})

describe('trace --dns', () => {
  it('follows the query to the server and the answer back', async () => {
    const { code, out } = await flannel('trace', 'shop/web-0', 'api.shop', '--dns', '--summary')
    expect(code).toBe(0)
    expect(out).toContain('kube-system/coredns-0 takes it at 10.244.2.3:53')
    expect(out).toContain('an answer from 10.96.0.10 after')
  })

  it('shows the policy that forgot port 53', async () => {
    const { code, out } = await calico('trace', 'tools/curl', 'web.shop', '--dns', '--summary')
    expect(code).toBe(1)
    expect(out.replace(/\s+/g, ' ')).toContain('no rule of it lets it out to kube-system/coredns-0 on udp/53')
    expect((await calico('trace', 'tools/curl', 'web.shop:80', '--summary')).code).toBe(0)
  })
})

describe('show dns', () => {
  it('lists every record with the object that it comes from', async () => {
    const { out } = await calico('show', 'dns')
    const rows = out.split('\n').map((line) => line.split(/ {3,}/).slice(0, 3).join(' '))
    expect(rows).toEqual(
      expect.arrayContaining([
        'web.shop.svc.cluster.local A 10.96.20.1',
        'web-0.web-pods.shop.svc.cluster.local A 10.244.84.130',
        '_http._tcp.web-pods.shop.svc.cluster.local SRV 0 50 8080 web-0.web-pods.shop.svc.cluster.local',
        '1.20.96.10.in-addr.arpa PTR web.shop.svc.cluster.local',
      ]),
    )
    expect(out).toMatch(/StatefulSet\/shop\/web \(\S+services-calico\.yaml:\d+\)/)
    expect(new Set(rows).size).toBe(rows.length)
  })

  it('of one name what the server says of it', async () => {
    const { out } = await flannel('show', 'dns', 'payments.shop.svc.cluster.local')
    expect(out).toMatch(/payments\.shop\.svc\.cluster\.local +CNAME +pay\.example\.com +Service\/shop\/payments/)
    expect(out).toMatch(/pay\.example\.com +A +192\.0\.2\.80/)
    const none = await flannel('show', 'dns', 'nix.shop.svc.cluster.local')
    expect([none.code, /NXDOMAIN +\S/.test(none.out)]).toEqual([0, true])
    expect(await flannel('show', 'dns', 'a..b')).toMatchObject({ code: 2 })
  })
})
