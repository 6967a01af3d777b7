/** resolv.conf by policy (kubernetes pkg/kubelet/network/dns/dns.go and its test's cases), the search list as glibc walks it, and where names end. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatIp, ip } from '../../../src/base/ip.js'
import { candidatesOf, isClusterDns, resolve, type Resolution } from '../../../src/cluster/dns/resolve.js'
import { checkPodDns, formatResolvConf, nodeResolver, podResolver } from '../../../src/cluster/dns/resolver.js'
import { ProblemList } from '../../../src/cluster/problem-list.js'
import { buildCluster } from '../../../src/cluster/cluster.js'
import { readDnsSettings } from '../../../src/cluster/dns/dns-settings.js'
import { buildDnsWorld, type DnsWorld } from '../../../src/cluster/dns/dns-world.js'
import { formatProblem } from '../../../src/base/problem.js'
import { endpoints, pod, podOf, settings, world } from './kit.js'

const KUBE_DNS = endpoints(
  { name: 'kube-system/kube-dns', clusterIP: '10.96.0.10', ports: ['dns:53/UDP', 'dns-tcp:53/TCP'], labels: { 'k8s-app': 'kube-dns' } },
  { address: '10.244.0.2' },
)
const SETTINGS = settings({ services: [KUBE_DNS] })
const WITH_NODES = {
  ...SETTINGS,
  nodes: { nameservers: [ip('192.0.2.53')], searches: ['corp.example.', 'cluster.local'].map((one) => one.replace(/\.$/, '')), options: ['timeout:2'] },
}

describe('resolv.conf', () => {
  it.each([
    ['{}', 'search ns1.svc.cluster.local svc.cluster.local cluster.local corp.example\nnameserver 10.96.0.10\noptions ndots:5\n'],
    ['{dnsPolicy: ClusterFirst, hostNetwork: true}', 'search corp.example cluster.local\nnameserver 192.0.2.53\noptions timeout:2\n'],
    [
      '{dnsPolicy: ClusterFirstWithHostNet, hostNetwork: true}',
      'search ns1.svc.cluster.local svc.cluster.local cluster.local corp.example\nnameserver 10.96.0.10\noptions ndots:5\n',
    ],
    ['{dnsPolicy: Default}', 'search corp.example cluster.local\nnameserver 192.0.2.53\noptions timeout:2\n'],
    [
      '{dnsPolicy: None, dnsConfig: {nameservers: [192.0.2.1], searches: [a.example], options: [{name: ndots, value: "2"}, {name: edns0}]}}',
      'search a.example\nnameserver 192.0.2.1\noptions ndots:2 edns0\n',
    ],
    [
      '{dnsConfig: {nameservers: [192.0.2.1, 10.96.0.10], searches: [a.example, cluster.local], options: [{name: ndots, value: "2"}, {name: edns0}]}}',
      'search ns1.svc.cluster.local svc.cluster.local cluster.local corp.example a.example\nnameserver 10.96.0.10\nnameserver 192.0.2.1\noptions ndots:2 edns0\n',
    ],
  ])('of a pod with %s', (spec, text) => {
    expect(formatResolvConf(podResolver(WITH_NODES, pod('p', { namespace: 'ns1', spec })))).toBe(text)
  })

  it('of a node is its own', () => {
    expect(formatResolvConf(nodeResolver(WITH_NODES))).toBe('search corp.example cluster.local\nnameserver 192.0.2.53\noptions timeout:2\n')
    expect(nodeResolver(SETTINGS)).toMatchObject({ known: false, nameservers: [], ndots: 1 })
  })

  it('without a cluster DNS is that of the node, and says so', () => {
    const resolver = podResolver({ ...WITH_NODES, clusterDNS: [] }, pod('p'))
    expect(formatResolvConf(resolver)).toContain('nameserver 192.0.2.53')
    expect(resolver.notes[0]).toContain('MissingClusterDNS')
  })

  it('of a pod on the host network says why it knows no names of the cluster', () => {
    expect(podResolver(SETTINGS, pod('p', { spec: '{hostNetwork: true}' })).notes[0]).toContain('write ClusterFirstWithHostNet')
  })

  it.each([
    ['too many servers', '{dnsConfig: {nameservers: [192.0.2.1, 192.0.2.2, 192.0.2.3]}}', 'of 4 nameservers the first 3 count: 192.0.2.3 is left out'],
    ['too many domains', `{dnsConfig: {searches: [${Array.from({ length: 40 }, (_, i) => `d${i}`).join(', ')}]}}`, 'of 43 search domains 32 fit'],
    ['more than before 1.28', '{dnsConfig: {searches: [a, b, c, d]}}', 'before Kubernetes 1.28 at most 6 search domains'],
    [
      'too long a line',
      `{dnsConfig: {searches: [${Array.from({ length: 12 }, (_, i) => `${i}${'x'.repeat(240)}`).join(', ')}]}}`,
      'of 15 search domains 11 fit',
    ],
    ['too long a domain', `{dnsConfig: {searches: [${'x'.repeat(254)}]}}`, 'of 4 search domains 3 fit'],
  ])('is cut to its limits: %s', (_what, spec, note) => {
    expect(podResolver(SETTINGS, pod('p', { spec })).notes.join('\n')).toContain(note)
  })

  it.each([
    ['{dnsPolicy: clusterFirst}', 't.yaml:1: error: Pod/default/p: dnsPolicy "clusterFirst" is none'],
    ['{dnsPolicy: None}', 'dnsPolicy None without a nameserver'],
    ['{dnsConfig: {nameservers: [dns.example]}}', 'dnsConfig: "dns.example" is no IPv4 address'],
    ['{dnsConfig: {nameservers: [192.0.2.1, 192.0.2.2, 192.0.2.3, 192.0.2.4]}}', '4 nameservers\n    An API server takes at most 3.'],
  ])('what an API server refuses is a Problem: %s', (spec, text) => {
    const problems = new ProblemList()
    checkPodDns(podOf(`{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": ${toJson(spec)}}`), problems)
    expect(problems.problems.map(formatProblem).join('\n')).toContain(text)
  })
})

/** The flow YAML above as JSON, so that all stands on one line. */
function toJson(flow: string): string {
  return flow.replaceAll(/[A-Za-z0-9.]+/g, (word) => (/^[0-9]+$/.test(word) ? word : `"${word}"`))
}

describe('the search list', () => {
  const pods = { ndots: 5, searches: ['default.svc.cluster.local', 'svc.cluster.local', 'cluster.local'] }

  it.each([
    ['web', ['web.default.svc.cluster.local', 'web.svc.cluster.local', 'web.cluster.local', 'web']],
    ['web.other', ['web.other.default.svc.cluster.local', 'web.other.svc.cluster.local', 'web.other.cluster.local', 'web.other']],
    ['a.b.c.d.e.f', ['a.b.c.d.e.f', 'a.b.c.d.e.f.default.svc.cluster.local', 'a.b.c.d.e.f.svc.cluster.local', 'a.b.c.d.e.f.cluster.local']],
    ['www.example.com.', ['www.example.com']],
  ])('of %s', (name, names) => {
    expect(candidatesOf(name, pods)).toEqual(names)
  })

  it('always has the name itself, once, first or last', () => {
    const label = fc.constantFrom('a', 'bb', 'svc', 'x-1')
    const name = fc.array(label, { minLength: 1, maxLength: 8 }).map((labels) => labels.join('.'))
    fc.assert(
      fc.property(name, fc.integer({ min: 0, max: 15 }), fc.uniqueArray(name, { maxLength: 6 }), (asked, ndots, searches) => {
        const all = candidatesOf(asked, { ndots, searches })
        expect(all.filter((one) => one === asked)).toHaveLength(1)
        expect(all.indexOf(asked)).toBe(asked.split('.').length - 1 >= ndots ? 0 : all.length - 1)
        expect(all).toHaveLength(searches.length + 1)
      }),
    )
  })
})

describe('a lookup', () => {
  const client = pod('client', { namespace: 'default', address: '10.244.1.9', spec: '{hostAliases: [{ip: 192.0.2.7, hostnames: [legacy, legacy.example]}]}' })
  const WORLD: DnsWorld = {
    ...world({
      services: [
        KUBE_DNS,
        endpoints({ name: 'default/web', clusterIP: '10.96.3.4' }, { address: '10.244.1.5' }),
        endpoints({ name: 'shop/cart' }, { address: '10.244.2.5', hostname: 'cart-0' }, { address: '10.244.1.6', hostname: 'cart-1' }),
        endpoints({ name: 'default/db', externalName: 'db.example.com' }),
        endpoints({ name: 'default/mirror', externalName: 'mirror.example.com' }),
      ],
      pods: [client],
    }),
    settings: { ...SETTINGS, hosts: new Map([['db.example.com', { address: ip('192.0.2.80'), file: 'n.yaml', line: 9 }]]) },
  }
  const shape = (found: Resolution) => [
    found.outcome,
    found.address === undefined ? '' : formatIp(found.address),
    found.queries.map(({ name, rcode }) => `${name} ${rcode}`),
  ]

  it.each<[string, string, string, string[]]>([
    ['web', 'found', '10.96.3.4', ['web.default.svc.cluster.local NOERROR']],
    ['cart.shop', 'found', '10.244.2.5', ['cart.shop.default.svc.cluster.local NXDOMAIN', 'cart.shop.svc.cluster.local NOERROR']],
    [
      'cart-1.cart.shop.svc',
      'found',
      '10.244.1.6',
      [
        'cart-1.cart.shop.svc.default.svc.cluster.local NXDOMAIN',
        'cart-1.cart.shop.svc.svc.cluster.local NXDOMAIN',
        'cart-1.cart.shop.svc.cluster.local NOERROR',
      ],
    ],
    ['web.default.svc.cluster.local.', 'found', '10.96.3.4', ['web.default.svc.cluster.local NOERROR']],
    ['10-244-1-9.default.pod.cluster.local.', 'found', '10.244.1.9', ['10-244-1-9.default.pod.cluster.local NOERROR']],
    ['db', 'found', '192.0.2.80', ['db.default.svc.cluster.local NOERROR']],
    ['mirror', 'outside', '', ['mirror.default.svc.cluster.local unknown']],
    [
      'www.example.com',
      'outside',
      '',
      [
        'www.example.com.default.svc.cluster.local NXDOMAIN',
        'www.example.com.svc.cluster.local NXDOMAIN',
        'www.example.com.cluster.local NXDOMAIN',
        'www.example.com unknown',
      ],
    ],
    ['legacy', 'files', '192.0.2.7', []],
    ['client', 'files', '10.244.1.9', []],
    ['localhost', 'files', '127.0.0.1', []],
    ['10.96.3.4', 'literal', '10.96.3.4', []],
    ['a..b', 'none', '', []],
  ])('of %s ends %s', (name, outcome, address, queries) => {
    expect(shape(resolve(WORLD, { pod: client }, name))).toEqual([outcome, address, queries])
  })

  it('asks the address of the DNS Service', () => {
    const { queries } = resolve(WORLD, { pod: client }, 'web')
    expect(queries.map(({ server }) => server)).toEqual([ip('10.96.0.10')])
    expect([ip('10.96.0.10'), ip('10.244.0.2'), ip('10.96.0.1')].map((server) => isClusterDns(WORLD, server))).toEqual([true, true, false])
  })

  it('tells the way of an ExternalName, and which file says the address', () => {
    expect(resolve(WORLD, { pod: client }, 'db')).toMatchObject({
      cname: 'db.example.com',
      why: [
        { object: 'Service/default/db', text: 'ExternalName db.example.com' },
        { text: 'spec.dns.hosts of the Network document', file: 'n.yaml', line: 9 },
      ],
    })
  })

  it('of a node knows no names of the cluster', () => {
    expect(shape(resolve(WORLD, {}, 'web.default.svc.cluster.local'))).toEqual(['outside', '', ['web.default.svc.cluster.local unknown']])
  })

  it('of a node that asks the cluster’s DNS does', () => {
    const asking = { ...WORLD, settings: { ...WORLD.settings, nodes: { nameservers: [ip('10.96.0.10')], searches: [], options: [] } } }
    expect(shape(resolve(asking, {}, 'web.default.svc.cluster.local'))).toEqual(['found', '10.96.3.4', ['web.default.svc.cluster.local NOERROR']])
  })

  it('that finds nothing says why in the first name’s words', () => {
    const closed: DnsWorld = { ...WORLD, settings: settings({ services: [KUBE_DNS], corefile: 'cluster.local {\n  kubernetes\n}' }) }
    const found = resolve(closed, { pod: client }, 'wbe')
    expect(found.queries.map(({ rcode }) => rcode)).toEqual(['NXDOMAIN', 'NXDOMAIN', 'NXDOMAIN', 'REFUSED'])
    expect(found.why[0]).toMatchObject({ object: 'Namespace/default', text: 'there is no Service wbe. Did you mean web?' })
  })

  it.each([
    ['wbe', 'there is no Service wbe. Did you mean web?'],
    ['crat.shop', 'there is no Service crat. Did you mean cart?'],
    ['cart-7.cart.shop', 'Service cart has no endpoint cart-7 (cart-7.cart.shop.svc.cluster.local). Did you mean cart-0?'],
    ['www.example.com', 'www.example.com is outside the cluster, asked of /etc/resolv.conf: netsim does not know its address'],
  ])('that ends outside the cluster tells first what the cluster says of it: %s', (name, text) => {
    const found = resolve(WORLD, { pod: client }, name)
    expect([found.outcome, found.why[0].text]).toEqual(['outside', text])
  })

  it('of any text ends', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ maxLength: 300 }), fc.string({ unit: fc.constantFrom('a', '.', '-', 'svc', '0'), maxLength: 80 })), (name) => {
        expect(['literal', 'files', 'found', 'outside', 'none']).toContain(resolve(WORLD, { pod: client }, name).outcome)
      }),
      { numRuns: 500 },
    )
  })
})

const KUBEADM = `.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30
    loop
    reload
    loadbalance
}
`

describe('a Corefile', () => {
  it('of kubeadm is what is assumed without one', () => {
    const { servers, assumed, notes } = settings({ services: [KUBE_DNS], corefile: KUBEADM })
    expect({ servers, notes }).toEqual({ servers: SETTINGS.servers, notes: SETTINGS.notes })
    expect([assumed, SETTINGS.assumed]).toEqual([false, true])
  })

  it('may name the domain, several servers, hosts, and what is not modelled', () => {
    const read = settings({
      services: [KUBE_DNS],
      clusterDomain: 'cluster.local',
      corefile: `# comment
(snip) {
  errors
}
kube.local:53 {
  kubernetes { # no zones: those of the block
    pods verified
    namespaces a b
    labels x=y
  }
  rewrite name a.kube.local b.kube.local
}
dns://example.org:1053, 10.0.0.0/8 {
  hosts {
    192.0.2.1 One.example.org two.example.org
    fallthrough
  }
  forward . 192.0.2.53 192.0.2.54
}
`,
    })
    expect(read.clusterDomain).toBe('kube.local')
    expect(read.servers.map(({ zones }) => zones)).toEqual([['kube.local'], ['example.org', '10.in-addr.arpa']])
    expect(read.servers[0].kubernetes).toMatchObject({ zones: ['kube.local'], primaryZone: 'kube.local', pods: 'verified', ttl: 5, fallthrough: [] })
    expect([...(read.servers[0].kubernetes?.namespaces ?? [])]).toEqual(['a', 'b'])
    expect(read.servers[1].forward).toEqual(['192.0.2.53', '192.0.2.54'])
    expect([...(read.servers[1].hosts?.entries.keys() ?? [])]).toEqual(['one.example.org', 'two.example.org'])
    expect(read.notes).toEqual(['not modelled of the Corefile: rewrite', 'not modelled of the kubernetes plugin: labels'])
  })

  it.each([
    ['.:53 {\n  kubernetes cluster.local {\n', 'the brace is not closed'],
    ['}\n', 'a closing brace without one that opens'],
    ['a {\n'.repeat(50), 'braces inside braces beyond any plugin'],
  ])('that is wrong is named: %j', (corefile, note) => {
    expect(settings({ services: [KUBE_DNS], corefile }).notes.join('\n')).toContain(note)
  })

  it('of any text is read', () => {
    const word = fc.constantFrom('{', '}', '\n', ' ', '"', '#', 'kubernetes', 'hosts', 'cluster.local', 'pods', 'ttl', '10.0.0.1', '.:53', '\\')
    fc.assert(
      fc.property(fc.array(word, { maxLength: 60 }), (words) => {
        expect(Array.isArray(settings({ services: [], corefile: words.join('') }).notes)).toBe(true)
      }),
      { numRuns: 500 },
    )
  })
})

describe('what kubelets tell pods', () => {
  it('comes from the Network document, the KubeletConfiguration, or the Service', () => {
    const kubelet =
      'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kubelet-config, namespace: kube-system}\ndata:\n  kubelet: |\n    clusterDNS: [10.32.0.10]\n    clusterDomain: kube.local\n---\n'
    expect(SETTINGS.clusterDNS).toEqual([ip('10.96.0.10')])
    const read = settings({ services: [KUBE_DNS], objects: kubelet })
    expect([read.clusterDNS, read.clusterDomain]).toEqual([[ip('10.32.0.10')], 'kube.local'])
    expect(read.notes).toEqual(['pods ask clusterDNS of the kubelets, which is not the address of Service kube-system/kube-dns'])
    const text =
      'apiVersion: netsim/v1\nkind: Network\nspec: {dns: {clusterDNS: [169.254.20.10], hosts: {Db.Example.com: 192.0.2.80}, nodes: {nameservers: [192.0.2.53]}}}\n'
    const { cluster, problems } = buildCluster([{ file: 'n.yaml', text }])
    expect(problems).toEqual([])
    const told = readDnsSettings(cluster, [KUBE_DNS.service])
    expect(told.clusterDNS).toEqual([ip('169.254.20.10')])
    expect(told.hosts.get('db.example.com')).toEqual({ address: ip('192.0.2.80'), file: 'n.yaml', line: 3 })
    const built = buildDnsWorld({ settings: told, services: [KUBE_DNS], namespaces: ['default'], pods: [] })
    expect(resolve(built, { pod: pod('p') }, 'db.example.com')).toMatchObject({ outcome: 'found', address: ip('192.0.2.80') })
  })

  it('names NodeLocal DNSCache, a missing Service and domains that differ', () => {
    const cache = 'apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: node-local-dns, namespace: kube-system}\n'
    expect(settings({ services: [KUBE_DNS], objects: cache }).notes[0]).toContain('NodeLocal DNSCache')
    const bare = settings({ services: [] })
    expect(bare.clusterDNS).toEqual([ip('10.96.0.10')])
    expect(bare.notes[0]).toContain(
      'no Service is that of the cluster DNS (label k8s-app: kube-dns in kube-system): 10.96.0.10 is assumed, no query can reach it',
    )
    const text = 'apiVersion: netsim/v1\nkind: Network\nspec: {clusterDomain: kube.local, dns: {hosts: {"a..b": 192.0.2.1}}}\n'
    const { problems } = buildCluster([{ file: 'n.yaml', text }])
    expect(problems.map(formatProblem).join('')).toContain('n.yaml:3: error: Network/default: spec.dns.hosts: "a..b" has an empty label')
    const map = `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: coredns, namespace: kube-system}\ndata: {Corefile: ". {\\n kubernetes cluster.local\\n}"}\n`
    const both = buildCluster([{ file: 'n.yaml', text: `${text}---\n${map}` }]).cluster
    expect(readDnsSettings(both, [KUBE_DNS.service]).notes[0]).toContain("the kubelets' cluster domain is kube.local, the DNS server's cluster.local")
  })
})
