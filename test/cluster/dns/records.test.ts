/** Answers against CoreDNS's own test tables (plugin/kubernetes handler_test.go, reverse_test.go, handler_pod_*_test.go: their IPv4 rows). */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { buildDnsWorld } from '../../../src/cluster/dns/dns-world.js'
import { answer, QUERY_TYPES, reverseName, type QueryType } from '../../../src/cluster/dns/records.js'
import { ip } from '../../../src/base/ip.js'
import { endpoints, line, pod, settings, world } from './kit.js'

/** The fixtures of handler_test.go, without IPv6. */
const SERVICES = [
  endpoints({ name: 'kube-system/kubedns', clusterIP: '10.0.0.10', ports: ['dns:53/UDP'], labels: { 'k8s-app': 'kube-dns' } }, { address: '172.0.0.100' }),
  endpoints({ name: 'testns/svc1', clusterIP: '10.0.0.1' }, { address: '172.0.0.1', hostname: 'ep1a' }),
  endpoints({ name: 'testns/svcempty', clusterIP: '10.0.0.1' }),
  endpoints(
    { name: 'testns/hdls1' },
    { address: '172.0.0.2' },
    { address: '172.0.0.3' },
    { address: '172.0.0.4', hostname: 'dup-name' },
    { address: '172.0.0.5', hostname: 'dup-name' },
  ),
  endpoints({ name: 'testns/external', externalName: 'ext.interwebs.test' }),
  endpoints({ name: 'testns/external-to-service', externalName: 'svc1.testns.svc.cluster.local.' }),
  endpoints({ name: 'testns/hdlsprtls', ports: [] }, { address: '172.0.0.20' }),
]

/** As the tests make the plugin: its own defaults, one zone. */
const COREFILE = `.:53 {\n  kubernetes cluster.local\n}`
const WORLD = world({ services: SERVICES, corefile: COREFILE })

const ZONE = 'testns.svc.cluster.local'

describe('handler_test.go', () => {
  it.each<[name: string, type: QueryType, records: string[], additional?: string[]]>([
    [`svc1.${ZONE}`, 'A', [`svc1.${ZONE} 5 A 10.0.0.1`]],
    [`svcempty.${ZONE}`, 'A', [`svcempty.${ZONE} 5 A 10.0.0.1`]],
    [`svc1.${ZONE}`, 'SRV', [`svc1.${ZONE} 5 SRV 0 100 80 svc1.${ZONE}`], [`svc1.${ZONE} 5 A 10.0.0.1`]],
    [`svcempty.${ZONE}`, 'SRV', [`svcempty.${ZONE} 5 SRV 0 100 80 svcempty.${ZONE}`], [`svcempty.${ZONE} 5 A 10.0.0.1`]],
    [`_http._tcp.svc1.${ZONE}`, 'SRV', [`_http._tcp.svc1.${ZONE} 5 SRV 0 100 80 svc1.${ZONE}`], [`svc1.${ZONE} 5 A 10.0.0.1`]],
    [`_http._tcp.svcempty.${ZONE}`, 'SRV', [`_http._tcp.svcempty.${ZONE} 5 SRV 0 100 80 svcempty.${ZONE}`], [`svcempty.${ZONE} 5 A 10.0.0.1`]],
    [`hdls1.${ZONE}`, 'A', [2, 3, 4, 5].map((last) => `hdls1.${ZONE} 5 A 172.0.0.${last}`)],
    [`hdlsprtls.${ZONE}`, 'A', [`hdlsprtls.${ZONE} 5 A 172.0.0.20`]],
    [`172-0-0-20.hdlsprtls.${ZONE}`, 'A', [`172-0-0-20.hdlsprtls.${ZONE} 5 A 172.0.0.20`]],
    [`172-0-0-2.hdls1.${ZONE}`, 'A', [`172-0-0-2.hdls1.${ZONE} 5 A 172.0.0.2`]],
    [`172-0-0-3.hdls1.${ZONE}`, 'A', [`172-0-0-3.hdls1.${ZONE} 5 A 172.0.0.3`]],
    [`dup-name.hdls1.${ZONE}`, 'A', [`dup-name.hdls1.${ZONE} 5 A 172.0.0.4`, `dup-name.hdls1.${ZONE} 5 A 172.0.0.5`]],
    [
      `_http._tcp.hdls1.${ZONE}`,
      'SRV',
      // upstream's six endpoints have the weight 16; four have 25
      [`172-0-0-2`, `172-0-0-3`, `dup-name`].map((target) => `_http._tcp.hdls1.${ZONE} 5 SRV 0 25 80 ${target}.hdls1.${ZONE}`),
      [
        `172-0-0-2.hdls1.${ZONE} 5 A 172.0.0.2`,
        `172-0-0-3.hdls1.${ZONE} 5 A 172.0.0.3`,
        `dup-name.hdls1.${ZONE} 5 A 172.0.0.4`,
        `dup-name.hdls1.${ZONE} 5 A 172.0.0.5`,
      ],
    ],
    [`external.${ZONE}`, 'CNAME', [`external.${ZONE} 5 CNAME ext.interwebs.test`]],
    [`external-to-service.${ZONE}`, 'A', [`external-to-service.${ZONE} 5 CNAME svc1.${ZONE}`, `svc1.${ZONE} 5 A 10.0.0.1`]],
    ['dns-version.cluster.local', 'TXT', ['dns-version.cluster.local 28800 TXT 1.1.0']],
    [`ep1a.svc1.${ZONE}`, 'A', [`ep1a.svc1.${ZONE} 5 A 172.0.0.1`]],
    ['ns.dns.cluster.local', 'A', ['ns.dns.cluster.local 5 A 10.0.0.10']],
  ])('%s %s has records', (name, type, records, additional = []) => {
    const reply = answer(WORLD, { name: `${name}.`, type })
    expect(reply.rcode).toBe('NOERROR')
    expect(reply.records.map(line)).toEqual(records)
    expect(reply.additional.map(line)).toEqual(additional)
    if (type !== 'TXT') expect(reply.why.every(({ file, line: at, object }) => file === 't.yaml' && at === 7 && object.startsWith('Service/'))).toBe(true)
  })

  it.each<[name: string, type: QueryType, rcode: 'NOERROR' | 'NXDOMAIN']>([
    [`svc1.${ZONE}`, 'AAAA', 'NOERROR'],
    [`svc0.${ZONE}`, 'AAAA', 'NXDOMAIN'],
    [`svc0.${ZONE}`, 'A', 'NXDOMAIN'],
    ['svc0.svc-nons.svc.cluster.local', 'A', 'NXDOMAIN'],
    [`bogusendpoint.hdls1.${ZONE}`, 'A', 'NXDOMAIN'],
    [`bogusendpoint.svc0.${ZONE}`, 'A', 'NXDOMAIN'],
    ['cluster.local', 'A', 'NOERROR'],
    ['svc.cluster.local', 'A', 'NOERROR'],
    ['pod.cluster.local', 'A', 'NOERROR'],
    [ZONE, 'A', 'NOERROR'],
    ['foo.cluster.local', 'A', 'NXDOMAIN'],
    ['foo.svc.cluster.local', 'A', 'NXDOMAIN'],
    [`endpoint.external.${ZONE}`, 'CNAME', 'NXDOMAIN'],
    [`svc1.${ZONE}`, 'CNAME', 'NOERROR'],
    [`_ftp._tcp.svc1.${ZONE}`, 'SRV', 'NXDOMAIN'],
    [`_http._udp.svc1.${ZONE}`, 'SRV', 'NXDOMAIN'],
    [`a.b.c.svc1.${ZONE}`, 'A', 'NXDOMAIN'],
    ['10-240-0-1.podns.pod.cluster.local', 'A', 'NXDOMAIN'],
    ['example.org.cluster.local', 'PTR', 'NXDOMAIN'],
  ])('%s %s has none: %s', (name, type, rcode) => {
    const reply = answer(WORLD, { name, type })
    expect([reply.rcode, reply.records]).toEqual([rcode, []])
    if (rcode === 'NXDOMAIN') expect(reply.why[0].text).not.toBe('')
  })

  it('the CNAME of a name outside is given, its address is not known', () => {
    const question = { name: `external.${ZONE}`, type: 'A' } as const
    const forwarding = world({ services: SERVICES, corefile: COREFILE.replace('}', '  forward . /etc/resolv.conf\n}') })
    for (const [of, rcode] of [
      [WORLD, 'NOERROR'],
      [forwarding, 'unknown'],
    ] as const) {
      const reply = answer(of, question)
      expect(reply.rcode).toBe(rcode)
      expect(reply.records.map(line)).toEqual([`external.${ZONE} 5 CNAME ext.interwebs.test`])
    }
  })

  it('names the nearest Service where there is none', () => {
    expect(answer(WORLD, { name: `svc2.${ZONE}`, type: 'A' }).why).toEqual([
      { object: 'Namespace/testns', text: 'there is no Service svc2. Did you mean svc1?', file: '', line: 0 },
    ])
  })
})

describe('reverse_test.go', () => {
  const reverse = world({
    services: [
      endpoints({ name: 'testns/svc1', clusterIP: '192.168.1.100' }, { address: '10.0.0.100', hostname: 'ep1a' }, { address: '10.0.0.102' }),
      endpoints({ name: 'testns/svc2' }, { address: '10.0.0.100', hostname: 'ep1a' }, { address: '10.0.0.103', ready: false }),
    ],
    corefile: '.:53 {\n  kubernetes cluster.local 10.0.0.0/16 192.168.0.0/16\n}',
  })

  it.each([
    ['192.168.1.100', ['svc1.testns.svc.cluster.local']],
    ['10.0.0.100', ['ep1a.svc1.testns.svc.cluster.local', 'ep1a.svc2.testns.svc.cluster.local']],
    ['10.0.0.102', ['10-0-0-102.svc1.testns.svc.cluster.local']],
  ])('%s has its names', (address, names) => {
    const name = reverseName(ip(address))
    expect(answer(reverse, { name, type: 'PTR' }).records.map(line)).toEqual(names.map((target) => `${name} 5 PTR ${target}`))
  })

  it.each(['10.0.0.101', '10.0.0.103'])('%s has none', (address) => {
    expect(answer(reverse, { name: reverseName(ip(address)), type: 'PTR' })).toMatchObject({ rcode: 'NXDOMAIN', records: [] })
  })

  it('an address in no zone of the plugin is the world’s', () => {
    const forwarding = world({ services: [], corefile: '. {\n  kubernetes cluster.local 10.0.0.0/16\n  forward . 192.0.2.53\n}' })
    const reply = answer(forwarding, { name: reverseName(ip('8.8.8.8')), type: 'PTR' })
    expect(reply.rcode).toBe('unknown')
    expect(reply.why[0].text).toContain('asked of 192.0.2.53')
  })
})

describe('names of pods (handler_pod_{disabled,insecure,verified}_test.go)', () => {
  const pods = [pod('foo', { namespace: 'podns', address: '10.240.0.1' }), pod('done', { namespace: 'podns', address: '10.240.0.9', spec: '{}' })]
  const modes = (mode: string) =>
    world({ services: [], pods, namespaces: ['podns', 'default'], corefile: `.:53 {\n  kubernetes cluster.local {\n    pods ${mode}\n  }\n}` })

  it.each([
    ['disabled', '10-240-0-1.podns', undefined],
    ['insecure', '10-240-0-1.podns', '10.240.0.1'],
    ['insecure', '172-0-0-2.podns', '172.0.0.2'],
    ['insecure', 'blah.podns', undefined],
    ['insecure', '172-0-0-256.podns', undefined],
    ['insecure', '172-0-0--2.podns', undefined],
    ['insecure', '10-240-0-1.pod-nons', undefined],
    ['verified', '10-240-0-1.podns', '10.240.0.1'],
    ['verified', '172-0-0-2.podns', undefined],
    ['verified', '10-240-0-1.default', undefined],
  ])('pods %s: %s is %s', (mode, name, address) => {
    const reply = answer(modes(mode), { name: `${name}.pod.cluster.local`, type: 'A' })
    expect(reply.records.map(line)).toEqual(address === undefined ? [] : [`${name}.pod.cluster.local 5 A ${address}`])
    expect(reply.rcode).toBe(address === undefined ? 'NXDOMAIN' : 'NOERROR')
  })

  it('a namespace alone has no data', () => {
    expect(answer(modes('insecure'), { name: 'podns.pod.cluster.local', type: 'A' })).toMatchObject({ rcode: 'NOERROR', records: [] })
    expect(answer(modes('disabled'), { name: 'podns.pod.cluster.local', type: 'A' }).rcode).toBe('NXDOMAIN')
  })
})

describe('the domains of a PetSet or StatefulSet (user guide, petset.md)', () => {
  it.each([
    ['cluster.local', 'default'],
    ['cluster.local', 'foo'],
    ['kube.local', 'foo'],
  ])('domain %s, namespace %s', (clusterDomain, namespace) => {
    const members = [0, 1, 2].map((index) => ({
      address: `10.244.${index}.5`,
      hostname: `web-${index}`,
      pod: pod(`web-${index}`, { namespace, address: `10.244.${index}.5`, spec: `{hostname: web-${index}, subdomain: nginx}` }),
    }))
    const built = world({ services: [endpoints({ name: `${namespace}/nginx`, ports: ['web:80/TCP'] }, ...members)], clusterDomain })
    const domain = `nginx.${namespace}.svc.${clusterDomain}`
    expect(answer(built, { name: domain, type: 'A' }).records.map(line)).toEqual(members.map(({ address }) => `${domain} 30 A ${address}`))
    for (const { address, hostname } of members) {
      const reply = answer(built, { name: `${hostname}.${domain}`, type: 'A' })
      expect(reply.records.map(line)).toEqual([`${hostname}.${domain} 30 A ${address}`])
      expect(reply.why).toEqual([{ object: `Pod/${namespace}/${hostname}`, text: 'endpoint, ready', file: 't.yaml', line: 1 }])
    }
    expect(answer(built, { name: `web-3.${domain}`, type: 'A' }).rcode).toBe('NXDOMAIN')
    expect(answer(built, { name: `_web._tcp.${domain}`, type: 'SRV' }).records.map(line)).toEqual(
      [0, 1, 2].map((index) => `_web._tcp.${domain} 30 SRV 0 33 80 web-${index}.${domain}`),
    )
  })
})

describe('readiness', () => {
  const unready = { address: '10.244.0.5', ready: false, pod: pod('web-0', { address: '10.244.0.5' }) }

  it('a headless Service without a ready endpoint does not exist', () => {
    const built = world({ services: [endpoints({ name: 'default/web' }, unready)], corefile: COREFILE })
    const reply = answer(built, { name: 'web.default.svc.cluster.local', type: 'A' })
    expect(reply).toMatchObject({ rcode: 'NXDOMAIN', why: [{ object: 'Service/default/web', text: 'Service web has no ready endpoint: 1 not ready' }] })
  })

  it('one with a clusterIP does, unless the plugin ignores empty ones', () => {
    const one = { services: [endpoints({ name: 'default/web', clusterIP: '10.0.0.1' }, unready)] }
    const question = { name: 'web.default.svc.cluster.local', type: 'A' } as const
    expect(answer(world({ ...one, corefile: COREFILE }), question).rcode).toBe('NOERROR')
    const ignoring = '.:53 {\n  kubernetes cluster.local {\n    ignore empty_service\n  }\n}'
    expect(answer(world({ ...one, corefile: ignoring }), question).rcode).toBe('NXDOMAIN')
  })

  it('a pod without hostname is told what its name takes', () => {
    const built = world({ services: [endpoints({ name: 'default/web' }, { ...unready, ready: true })], corefile: COREFILE })
    const reply = answer(built, { name: 'web-0.web.default.svc.cluster.local', type: 'A' })
    expect(reply.why[0].text).toBe('pod web-0 (t.yaml:1) has no name of its own under Service web: that takes spec.hostname, and spec.subdomain: web')
    const named = '.:53 {\n  kubernetes cluster.local {\n    endpoint_pod_names\n  }\n}'
    expect(
      answer(world({ services: [endpoints({ name: 'default/web' }, { ...unready, ready: true })], corefile: named }), {
        name: 'web-0.web.default.svc.cluster.local',
        type: 'A',
      }).records,
    ).toHaveLength(1)
  })

  it('an assumed clusterIP is said to be so', () => {
    const built = world({ services: [endpoints({ name: 'default/web', clusterIP: '10.0.0.1', assumed: true })] })
    expect(answer(built, { name: 'web.default.svc.cluster.local', type: 'A' }).why[0].text).toBe('clusterIP (assumed: the object has none)')
  })
})

describe('ExternalName', () => {
  it('in a ring gives no address and says so', () => {
    const ring = [
      endpoints({ name: 'default/a', externalName: 'b.default.svc.cluster.local' }),
      endpoints({ name: 'default/b', externalName: 'a.default.svc.cluster.local' }),
    ]
    const reply = answer(world({ services: ring }), { name: 'a.default.svc.cluster.local', type: 'A' })
    expect(reply.records).toEqual([])
    expect(reply.why.map(({ text }) => text)).toContain('the CNAME a.default.svc.cluster.local leads in a ring')
  })

  it('that is an address does not exist', () => {
    const built = world({ services: [endpoints({ name: 'default/a', externalName: '192.0.2.1' })] })
    expect(answer(built, { name: 'a.default.svc.cluster.local', type: 'A' }).rcode).toBe('NXDOMAIN')
  })
})

describe('kube-dns', () => {
  const old = world({
    services: [endpoints({ name: 'default/web' }, { address: '10.1.15.2' }, { address: '10.1.20.2', hostname: 'web-1' })],
    objects:
      'apiVersion: v1\nkind: ReplicationController\nmetadata: {name: kube-dns-v9, namespace: kube-system}\nspec: {template: {spec: {containers: [{name: kube2sky}]}}}',
    namespaces: ['foo'],
  })

  it.each<[string, QueryType, string[]]>([
    ['web.default.svc.cluster.local', 'A', ['web.default.svc.cluster.local 30 A 10.1.15.2', 'web.default.svc.cluster.local 30 A 10.1.20.2']],
    ['web-1.web.default.svc.cluster.local', 'A', ['web-1.web.default.svc.cluster.local 30 A 10.1.20.2']],
    // the label of an endpoint without hostname is a hash there
    ['10-1-15-2.web.default.svc.cluster.local', 'A', []],
    ['10-9-9-9.foo.pod.cluster.local', 'A', ['10-9-9-9.foo.pod.cluster.local 30 A 10.9.9.9']],
    ['dns-version.cluster.local', 'TXT', ['dns-version.cluster.local 28800 TXT 1.0.0']],
    [reverseName(ip('10.1.15.2')), 'PTR', []],
    [reverseName(ip('10.1.20.2')), 'PTR', ['2.20.1.10.in-addr.arpa 30 PTR web-1.web.default.svc.cluster.local']],
  ])('%s %s', (name, type, records) => {
    expect(answer(old, { name, type }).records.map(line)).toEqual(records)
  })
})

describe('any name', () => {
  const cased = (text: string): fc.Arbitrary<string> =>
    fc
      .array(fc.boolean(), { minLength: text.length, maxLength: text.length })
      .map((ups) => [...text].map((letter, i) => (ups[i] ? letter.toUpperCase() : letter)).join(''))

  it('is the same in capitals', () => {
    fc.assert(
      fc.property(
        fc
          .constantFrom(`svc1.${ZONE}`, `dup-name.hdls1.${ZONE}`, `_http._tcp.svc1.${ZONE}`, `external-to-service.${ZONE}`)
          .chain((name) => fc.tuple(fc.constant(name), cased(name))),
        fc.constantFrom('A', 'SRV' as const),
        ([name, other], type) => {
          const [plain, shouted] = [answer(WORLD, { name, type }), answer(WORLD, { name: other, type })]
          expect(shouted.rcode).toBe(plain.rcode)
          expect(shouted.records.map((record) => line(record).toLowerCase())).toEqual(plain.records.map((record) => line(record).toLowerCase()))
        },
      ),
    )
  })

  it('is answered', () => {
    const part = fc.oneof(
      fc.constantFrom('svc', 'pod', 'testns', 'svc1', 'hdls1', 'cluster', 'local', '_http', '_tcp', 'in-addr', 'arpa', '10-0-0-1', '__proto__', 'constructor'),
      fc.string({ maxLength: 6 }),
    )
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), fc.constantFrom(...QUERY_TYPES), (labels, type) => {
        const reply = answer(WORLD, { name: labels.join('.'), type })
        expect(['NOERROR', 'NXDOMAIN', 'SERVFAIL', 'REFUSED', 'unknown']).toContain(reply.rcode)
        if (reply.rcode !== 'NOERROR' && reply.rcode !== 'unknown') expect(reply.records).toEqual([])
      }),
      { numRuns: 2000 },
    )
  })
})

describe('a world', () => {
  it('takes the addresses that IPAM gave', () => {
    const one = pod('a', { namespace: 'default' })
    const verified = settings({ services: [], corefile: '. {\n  kubernetes cluster.local {\n    pods verified\n  }\n}' })
    const built = buildDnsWorld({ settings: verified, services: [], namespaces: ['default'], pods: [one], addressOf: () => ip('10.244.0.9') })
    expect(answer(built, { name: '10-244-0-9.default.pod.cluster.local', type: 'A' }).why).toMatchObject([{ object: 'Pod/default/a' }])
  })
})
