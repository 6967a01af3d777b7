/**
 * kube-proxy's rules against upstream's own expectations. six-services.rules.txt is what kubernetes pkg/proxy/iptables/proxier_test.go
 * (TestOverallIPTablesRules, about 1.31) expects of six services, in the spelling of iptables-save; chain names are its vectors, and those of
 * kubernetes/kops#5283 and of the page "Debug Services".
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatIp, ip } from '../../src/base/ip.js'
import { base32 } from '../../src/base/sha.js'
import type { KubeProxySettings } from '../../src/cluster/services/kube-proxy-settings.js'
import { endpointChainName, serviceChainNames } from '../../src/kubeproxy/chain-names.js'
import { prepareServices } from '../../src/kubeproxy/prepared-services.js'
import { renderKubeProxy } from '../../src/kubeproxy/proxier.js'
import { probability } from '../../src/kubeproxy/service-port-rules.js'
import { net, port, rendered, rulesOf, service, SETTINGS, SIX_SERVICES, vip } from './support.js'

const SIX = readFileSync(join(import.meta.dirname, 'six-services.rules.txt'), 'utf8')
  .trim()
  .split('\n')

describe('names', () => {
  it('RFC 4648 section 10', () => {
    const vectors = { '': '', f: 'MY', fo: 'MZXQ', foo: 'MZXW6', foob: 'MZXW6YQ', fooba: 'MZXW6YTB', foobar: 'MZXW6YTBOI' }
    for (const [text, expected] of Object.entries(vectors)) expect(base32(new TextEncoder().encode(text))).toBe(expected)
  })

  it.each([
    ['ns1/svc1:p80', 'tcp', 'XPGD46QRK7WJZT7O'],
    ['ns2/svc2:p80', 'tcp', 'GNZBNJ2PO5MGZ6GT'],
    ['ns3/svc3:p80', 'tcp', 'X27LE4BHSL4DOUIK'],
    ['ns4/svc4:p80', 'tcp', '4SW47YFZTEDKD3PK'],
    ['ns5/svc5:p80', 'tcp', 'NUKIZ6OKUXPJNT4C'],
    ['default/kubernetes:https', 'tcp', 'NPX46M4PTMTKRN6Y'],
    ['kube-system/kube-dns:dns', 'udp', 'TCOU7JCQXEZGVUNU'],
    ['kube-system/kube-dns:dns-tcp', 'tcp', 'ERIFXISQEP7F7OF4'],
    ['default/hostnames:', 'tcp', 'NWV5X2332I4OT4T3'],
    ['default/nginx:', 'tcp', '4N57TFCL4MD7ZTDA'],
    ['default/nginx', 'tcp', '2CMXP7HKUVJN7L6M'],
  ])('%s %s', (name, protocol, hash) => {
    expect(serviceChainNames(name, protocol)).toEqual({
      cluster: `KUBE-SVC-${hash}`,
      local: `KUBE-SVL-${hash}`,
      external: `KUBE-EXT-${hash}`,
      firewall: `KUBE-FW-${hash}`,
    })
  })

  it.each([
    ['ns1/svc1:p80', '10.180.0.1:80', 'SXIVWICOYRO3J4NJ'],
    ['ns2/svc2:p80', '10.180.0.2:80', 'RS4RBKLTHTF2IUXJ'],
    ['ns3/svc3:p80', '10.180.0.3:80', 'OYPFS5VJICHGATKP'],
    ['ns4/svc4:p80', '10.180.0.4:80', 'UKSFD7AGPMPPLUHC'],
    ['ns4/svc4:p80', '10.180.0.5:80', 'C6EBXVWJJZMIWKLZ'],
    ['ns5/svc5:p80', '10.180.0.3:80', 'I77PXRDZVX7PMWMN'],
    ['ns1/svc1:p80', '10.244.0.1:80', '6KG6DFHVBKBK53RU'],
    ['ns1/svc1:p80', '10.244.2.1:80', 'KDGX2M2ONE25PSWH'],
    ['ns1/svc1:p80', '[ff06::c1]:80', 'LIGRYQQLSZN4UWQ5'],
    ['default/hostnames:', '10.244.3.6:9376', '57KPRZ3JQVENLNBR'],
    ['default/hostnames:', '10.244.1.7:9376', 'WNBA2IHDGP2BOBGZ'],
    ['default/hostnames:', '10.244.2.3:9376', 'X3P2623AGDH6CDF3'],
  ])('%s %s', (name, endpoint, hash) => {
    expect(endpointChainName(name, 'tcp', endpoint)).toBe(`KUBE-SEP-${hash}`)
  })

  it('probabilities as computeProbability prints them', () => {
    expect([2, 3, 4, 5, 6, 7].map(probability)).toEqual(['0.5000000000', '0.3333333333', '0.2500000000', '0.2000000000', '0.1666666667', '0.1428571429'])
  })
})

describe('six services', () => {
  const part = rendered(SIX_SERVICES)

  it('are the rules that upstream expects', () => {
    const rules = [...rulesOf(part, 'filter', 'KUBE'), ...rulesOf(part, 'nat', 'KUBE')].map((rule) => `-A ${rule}`)
    expect(rules.sort((a, b) => (a.split(' ')[1] < b.split(' ')[1] ? -1 : a.split(' ')[1] > b.split(' ')[1] ? 1 : 0))).toEqual(SIX)
  })

  it("hang below the kernel's chains in the order of a dump of a kubeadm node", () => {
    const targets = (table: 'filter' | 'nat', hook: string): string[] => rulesOf(part, table, `${hook} `).map((rule) => rule.split('-j ')[1])
    expect(targets('filter', 'INPUT')).toEqual(['KUBE-PROXY-FIREWALL', 'KUBE-NODEPORTS', 'KUBE-EXTERNAL-SERVICES', 'KUBE-FIREWALL'])
    expect(targets('filter', 'FORWARD')).toEqual(['KUBE-PROXY-FIREWALL', 'KUBE-FORWARD', 'KUBE-SERVICES', 'KUBE-EXTERNAL-SERVICES'])
    expect(targets('filter', 'OUTPUT')).toEqual(['KUBE-PROXY-FIREWALL', 'KUBE-SERVICES', 'KUBE-FIREWALL'])
    expect(targets('nat', 'PREROUTING')).toEqual(['KUBE-SERVICES'])
    expect(targets('nat', 'OUTPUT')).toEqual(['KUBE-SERVICES'])
    expect(targets('nat', 'POSTROUTING')).toEqual(['KUBE-POSTROUTING'])
  })

  it('every rule of a service says where the service was written', () => {
    const rules = part.chainEdits.flatMap((edit) => edit.rules)
    const ours = rules.filter(({ provenance }) => provenance?.object !== undefined)
    expect(ours.length).toBeGreaterThan(40)
    for (const { provenance } of ours) expect(provenance).toMatchObject({ by: 'kube-proxy', file: 'services.yaml', line: 7 })
    expect(new Set(ours.map(({ provenance }) => provenance?.object))).toEqual(new Set(SIX_SERVICES.map(({ service: { object } }) => object.label)))
    expect(rules.filter(({ provenance }) => provenance === undefined)).toEqual([])
  })

  it('open 127.0.0.1 to node ports', () => {
    expect(part.sysctls).toEqual({ 'net.ipv4.conf.all.route_localnet': 1 })
    expect(part.problems).toEqual([])
  })
})

describe('settings', () => {
  const one = [
    service('ns1/svc1', { clusterIP: '172.30.0.41', type: 'NodePort', externalLocal: true, ports: [port({ nodePort: 3001 })] }, ['10.180.0.1:80@node1']),
  ]
  const told = (settings: Partial<KubeProxySettings>) => rendered(one, { settings: { ...SETTINGS, ...settings }, podCIDR: net('10.180.0.0/24') })
  const SVC = 'KUBE-SVC-XPGD46QRK7WJZT7O'
  const masquerades = (settings: Partial<KubeProxySettings>): string[] =>
    rulesOf(told(settings), 'nat', SVC).filter((rule) => rule.endsWith('-j KUBE-MARK-MASQ'))
  const pods = (settings: Partial<KubeProxySettings>): string[] => rulesOf(told(settings), 'nat', 'KUBE-EXT').filter((rule) => rule.includes('pod traffic'))
  const clusterIp = '-p tcp -m comment --comment "ns1/svc1:p80 cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ'
  const podTraffic = `-m comment --comment "pod traffic for ns1/svc1:p80 external destinations" -j ${SVC}`

  it.each([
    ['ClusterIP', {}, '! -s 10.0.0.0/8 -d 172.30.0.41/32', '-s 10.0.0.0/8'],
    ['NodeCIDR', { detectLocalMode: 'NodeCIDR' }, '! -s 10.180.0.0/24 -d 172.30.0.41/32', '-s 10.180.0.0/24'],
    ['BridgeInterface', { detectLocalMode: 'BridgeInterface', bridgeInterface: 'cni0' }, '-d 172.30.0.41/32 ! -i cni0', '-i cni0'],
    ['InterfaceNamePrefix', { detectLocalMode: 'InterfaceNamePrefix', interfaceNamePrefix: 'cali' }, '-d 172.30.0.41/32 ! -i cali+', '-i cali+'],
    ['masqueradeAll', { masqueradeAll: true }, '-d 172.30.0.41/32', '-s 10.0.0.0/8'],
  ] as const)('local traffic by %s', (_, settings, notLocal, local) => {
    expect(masquerades(settings)).toEqual([`${SVC} ${notLocal} ${clusterIp}`])
    expect(pods(settings)).toEqual([`KUBE-EXT-XPGD46QRK7WJZT7O ${local} ${podTraffic}`])
  })

  it('a detector that nobody told a CIDR leaves its rules out', () => {
    expect(masquerades({ clusterCIDR: undefined })).toEqual([])
    expect(pods({ clusterCIDR: undefined })).toEqual([])
  })

  it('a node without podCIDR under NodeCIDR is named', () => {
    const part = rendered(one, { settings: { ...SETTINGS, detectLocalMode: 'NodeCIDR' } })
    expect(part.problems).toMatchObject([
      { severity: 'warning', object: 'Node/node1', what: "kube-proxy tells local traffic by the node's podCIDR, and the node has none" },
    ])
  })

  it('masqueradeBit', () => {
    const part = told({ masqueradeBit: 15 })
    expect(rulesOf(part, 'nat', 'KUBE-MARK-MASQ ')).toEqual(['KUBE-MARK-MASQ -j MARK --set-xmark 0x8000/0x8000'])
    expect(rulesOf(part, 'nat', 'KUBE-POSTROUTING ')[0]).toBe('KUBE-POSTROUTING -m mark ! --mark 0x8000/0x8000 -j RETURN')
    expect(rulesOf(part, 'filter', 'KUBE-FORWARD ')[1]).toContain('--mark 0x8000/0x8000 -j ACCEPT')
  })

  const last = 'KUBE-SERVICES'
  const nodePorts = '-m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain"'
  // TestNodePorts, TestHealthCheckNodePort and NewNodePortAddresses upstream
  it.each([
    ['all', {}, [`${last} ${nodePorts} -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS`], true],
    ['all but 127.0.0.0/8', { localhostNodePorts: false }, [`${last} ! -d 127.0.0.0/8 ${nodePorts} -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS`], false],
    [
      'a zero CIDR is all',
      { nodePortAddresses: [net('10.0.0.0/8'), net('0.0.0.0/0')] },
      [`${last} ${nodePorts} -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS`],
      true,
    ],
    ['by CIDR', { nodePortAddresses: [net('192.168.0.0/24')] }, [`${last} -d 192.168.0.2/32 ${nodePorts} -j KUBE-NODEPORTS`], false],
    ['primary', { nodePortAddresses: ['primary'] }, [`${last} -d 192.168.0.2/32 ${nodePorts} -j KUBE-NODEPORTS`], false],
    [
      'with loopback',
      { nodePortAddresses: [net('192.168.0.0/24'), net('127.0.0.0/8')] },
      [`${last} -d 127.0.0.1/32 ${nodePorts} -j KUBE-NODEPORTS`, `${last} -d 192.168.0.2/32 ${nodePorts} -j KUBE-NODEPORTS`],
      true,
    ],
    // expandNodePortAddressKeywords upstream
    [
      'in words',
      { nodePortAddresses: ['localhost', 'primary'] },
      [`${last} -d 127.0.0.1/32 ${nodePorts} -j KUBE-NODEPORTS`, `${last} -d 192.168.0.2/32 ${nodePorts} -j KUBE-NODEPORTS`],
      true,
    ],
    ['all in a word', { nodePortAddresses: ['primary', 'all'] }, [`${last} ${nodePorts} -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS`], true],
    // ContainsIPv4Loopback upstream
    ['a prefix around loopback', { nodePortAddresses: [net('96.0.0.0/3')] }, [`${last} -d 127.0.0.1/32 ${nodePorts} -j KUBE-NODEPORTS`], true],
    ['with loopback that is shut', { nodePortAddresses: [net('127.0.0.0/8')], localhostNodePorts: false }, [], false],
  ] as const)('nodePortAddresses: %s', (_, settings, expected, routesLoopback) => {
    const part = told(settings)
    expect(rulesOf(part, 'nat', 'KUBE-SERVICES ').filter((rule) => rule.endsWith('-j KUBE-NODEPORTS'))).toEqual(expected)
    expect(part.sysctls).toEqual(routesLoopback ? { 'net.ipv4.conf.all.route_localnet': 1 } : {})
  })

  it('a node without any of nodePortAddresses is named', () => {
    expect(told({ nodePortAddresses: [net('203.0.113.0/24')] }).problems).toMatchObject([
      { object: 'Node/node1', what: expect.stringContaining('node ports are closed') as string },
    ])
  })

  it('mode none writes nothing; conntrack that is liberal needs no DROP of INVALID', () => {
    expect(told({ mode: 'none' }).chainEdits).toEqual([])
    expect(rulesOf(rendered([], { conntrackBeLiberal: true }), 'filter', 'KUBE-FORWARD ')).toHaveLength(2)
  })
})

describe('endpoints', () => {
  const balanced = (part: ReturnType<typeof rendered>, chain: 'SVC' | 'SVL'): string[] =>
    rulesOf(part, 'nat', `KUBE-${chain}-`)
      .filter((rule) => rule.includes(' -> '))
      .map((rule) => (/-> ([0-9.:]+)"/.exec(rule) as RegExpExecArray)[1])

  it('without any, all addresses are rejected, and the node port too (TestNoEndpointsReject)', () => {
    const part = rendered([
      service('ns1/svc1', {
        clusterIP: '172.30.0.41',
        type: 'LoadBalancer',
        externalIPs: [ip('192.168.99.11')],
        ports: [port({ nodePort: 3001 })],
        loadBalancerAddresses: [vip('1.2.3.4')],
      }),
    ])
    const words = '-p tcp -m comment --comment "ns1/svc1:p80 has no endpoints"'
    const rejected = '--reject-with icmp-port-unreachable'
    expect(rulesOf(part, 'filter', 'KUBE-SERVICES ')).toEqual([`KUBE-SERVICES -d 172.30.0.41/32 ${words} -m tcp --dport 80 -j REJECT ${rejected}`])
    expect(rulesOf(part, 'filter', 'KUBE-EXTERNAL-SERVICES ')).toEqual([
      `KUBE-EXTERNAL-SERVICES -d 192.168.99.11/32 ${words} -m tcp --dport 80 -j REJECT ${rejected}`,
      `KUBE-EXTERNAL-SERVICES -d 1.2.3.4/32 ${words} -m tcp --dport 80 -j REJECT ${rejected}`,
      `KUBE-EXTERNAL-SERVICES ${words} -m addrtype --dst-type LOCAL -m tcp --dport 3001 -j REJECT ${rejected}`,
    ])
    expect(rulesOf(part, 'nat').filter((rule) => rule.includes('svc1'))).toEqual([])
  })

  it("internalTrafficPolicy Local: SVL with the node's own, or DROP where it has none (TestInternalTrafficPolicy)", () => {
    const local = [service('ns1/svc1', { clusterIP: '172.30.0.41', internalLocal: true }, ['10.0.1.1:80@node1', '10.0.1.2:80@node2'])]
    expect(balanced(rendered(local), 'SVL')).toEqual(['10.0.1.1:80'])
    expect(balanced(rendered(local), 'SVC')).toEqual([])
    const far = rendered(local, { node: 'node3' })
    expect(rulesOf(far, 'nat', 'KUBE-SVL')).toEqual([])
    expect(rulesOf(far, 'filter', 'KUBE-SERVICES ')).toEqual([
      'KUBE-SERVICES -d 172.30.0.41/32 -p tcp -m comment --comment "ns1/svc1:p80 has no local endpoints" -m tcp --dport 80 -j DROP',
    ])
  })

  it("source ranges: a node within them may come from the balancer's address (TestLoadBalancer)", () => {
    const ranged = service(
      'ns1/svc1',
      {
        clusterIP: '172.30.0.41',
        type: 'LoadBalancer',
        loadBalancerAddresses: [vip('1.2.3.4'), vip('5.6.7.8')],
        sourceRanges: [net('192.168.0.0/24'), net('203.0.113.0/25')],
      },
      ['10.180.0.1:80'],
    )
    const FW = 'KUBE-FW-XPGD46QRK7WJZT7O'
    const words = '-m comment --comment "ns1/svc1:p80 loadbalancer IP" -j KUBE-EXT-XPGD46QRK7WJZT7O'
    expect(rulesOf(rendered([ranged]), 'nat', FW)).toEqual([
      `${FW} -s 192.168.0.0/24 ${words}`,
      `${FW} -s 203.0.113.0/25 ${words}`,
      `${FW} -s 1.2.3.4/32 ${words}`,
      `${FW} -s 5.6.7.8/32 ${words}`,
      `${FW} -m comment --comment "other traffic to ns1/svc1:p80 will be dropped by KUBE-PROXY-FIREWALL"`,
    ])
    expect(rulesOf(rendered([ranged], { nodeAddress: ip('172.16.0.1') }), 'nat', FW)).toHaveLength(3)
  })

  it('a range of /0 is no firewall (newBaseServiceInfo, since 1.34)', () => {
    const balanced = (...ranges: string[]) =>
      rendered([
        service('ns1/svc1', { clusterIP: '172.30.0.41', type: 'LoadBalancer', loadBalancerAddresses: [vip('1.2.3.4')], sourceRanges: ranges.map(net) }, [
          '10.180.0.1:80',
        ]),
      ])
    const save = (part: ReturnType<typeof rendered>) => [...rulesOf(part, 'filter'), ...rulesOf(part, 'nat')]
    expect(save(balanced('203.0.113.0/25', '0.0.0.0/0'))).toEqual(save(balanced()))
    expect(save(balanced('203.0.113.0/25')).filter((rule) => rule.startsWith('KUBE-PROXY-FIREWALL '))).toHaveLength(1)
  })

  it('a balancer that ends the connection itself has no rules', () => {
    const proxy = service('ns1/svc1', { clusterIP: '172.30.0.41', type: 'LoadBalancer', loadBalancerAddresses: [{ ...vip('1.2.3.4'), mode: 'Proxy' }] }, [
      '10.180.0.1:80',
    ])
    expect(rulesOf(rendered([proxy]), 'nat').filter((rule) => rule.includes('1.2.3.4'))).toEqual([])
  })

  it.each([
    ['ready alone', ['10.0.0.1:80', '10.0.0.2:80 unready', '10.0.0.3:80 ending'], ['10.0.0.1:80']],
    ['ending ones when none is ready', ['10.0.0.2:80 unready', '10.0.0.3:80 ending'], ['10.0.0.3:80']],
    ['neither', ['10.0.0.2:80 unready'], []],
    ['hints for the zone', ['10.0.0.1:80 zones=a', '10.0.0.2:80 zones=b', '10.0.0.3:80 zones=a,b'], ['10.0.0.1:80', '10.0.0.3:80']],
    ['hints that one endpoint lacks', ['10.0.0.1:80 zones=a', '10.0.0.2:80'], ['10.0.0.1:80', '10.0.0.2:80']],
    ['hints, the one without not ready', ['10.0.0.1:80 zones=a', '10.0.0.2:80 zones=b', '10.0.0.3:80 unready'], ['10.0.0.1:80']],
    ['hints for other zones', ['10.0.0.1:80 zones=b', '10.0.0.2:80 zones=c'], ['10.0.0.1:80', '10.0.0.2:80']],
    ['hints for the node before those for the zone', ['10.0.0.1:80 zones=a nodes=node1', '10.0.0.2:80 zones=a nodes=node2'], ['10.0.0.1:80']],
    ['hints for other nodes: the zone', ['10.0.0.1:80 zones=b nodes=node3', '10.0.0.2:80 zones=a nodes=node2'], ['10.0.0.2:80']],
  ])('%s (CategorizeEndpoints)', (_, endpoints, expected) => {
    expect(balanced(rendered([service('ns1/svc1', { clusterIP: '172.30.0.41' }, endpoints)], { zone: 'a' }), 'SVC')).toEqual(expected)
  })

  it('Local falls back to its own ending ones, Cluster to those anywhere', () => {
    const mixed = service('ns1/svc1', { clusterIP: '172.30.0.41', type: 'NodePort', externalLocal: true, ports: [port({ nodePort: 3001 })] }, [
      '10.0.0.1:80@node1 ending',
      '10.0.0.2:80@node2',
    ])
    const part = rendered([mixed])
    expect([balanced(part, 'SVC'), balanced(part, 'SVL')]).toEqual([['10.0.0.2:80'], ['10.0.0.1:80']])
    expect(rulesOf(part, 'nat', 'KUBE-SEP')).toHaveLength(4)
  })

  it('every jump leads to a chain that is there, and no service chain is there for nothing (checkIPTablesRuleJumps)', () => {
    const word = fc.constantFrom('', ' unready', ' ending', ' zones=a', ' zones=b', ' nodes=node1')
    const endpoints = fc.uniqueArray(fc.tuple(fc.nat(9), fc.constantFrom('', '@node1', '@node2'), word), { selector: ([host]) => host, maxLength: 6 })
    const fields = fc.record({
      externalLocal: fc.boolean(),
      internalLocal: fc.boolean(),
      nodePort: fc.boolean(),
      balanced: fc.boolean(),
      external: fc.boolean(),
      ranged: fc.boolean(),
      sticky: fc.boolean(),
    })
    fc.assert(
      fc.property(fields, endpoints, fc.boolean(), (is, listed, detects) => {
        const settings = detects ? SETTINGS : { ...SETTINGS, clusterCIDR: undefined }
        const drawn = service(
          'ns1/svc1',
          {
            clusterIP: '172.30.0.41',
            type: 'LoadBalancer',
            externalLocal: is.externalLocal,
            internalLocal: is.internalLocal,
            ports: [port(is.nodePort ? { nodePort: 3001 } : {})],
            externalIPs: is.external ? [ip('192.168.99.11')] : [],
            loadBalancerAddresses: is.balanced ? [vip('1.2.3.4')] : [],
            sourceRanges: is.ranged ? [net('203.0.113.0/25')] : [],
            ...(is.sticky ? { affinitySeconds: 10 } : {}),
          },
          listed.map(([host, node, words]) => `10.0.0.${host}:80${node}${words}`),
        )
        for (const table of ['filter', 'nat'] as const) {
          const edits = rendered([drawn], { settings, zone: 'a' }).chainEdits.filter((edit) => edit.table === table)
          const created = edits.filter(({ action }) => action === 'create').map(({ chain }) => chain)
          const used = edits.flatMap(({ rules }) => rules.flatMap(({ target }) => (target?.kind === 'jump' ? [target.chain] : [])))
          expect(new Set(created).size).toBe(created.length)
          for (const chain of used) expect(created).toContain(chain)
          for (const { chain, rules } of edits.filter((edit) => /^KUBE-(SVC|SVL|EXT|FW|SEP)-/.test(edit.chain))) {
            expect(rules.length).toBeGreaterThan(0)
            expect(used).toContain(chain)
          }
        }
      }),
      { numRuns: 400, seed: 1 },
    )
  })
})

describe('size', () => {
  const many = (count: number, perService: number) =>
    Array.from({ length: count }, (_, i) =>
      service(
        `ns/svc${i}`,
        { clusterIP: formatIp(ip('172.30.0.0') + i) },
        Array.from({ length: perService }, (__, k) => `10.${i >> 8}.${i & 255}.${k}:80`),
      ),
    )

  it('above 1000 endpoints the rules of SVC and SEP bear no comments', () => {
    const words = (count: number): string[] => rulesOf(rendered(many(count, 10)), 'nat', 'KUBE-SEP').filter((rule) => rule.includes('--comment'))
    expect(words(100)).toHaveLength(2000)
    expect(words(101)).toEqual([])
  })

  it('nodes share the chains that are the same on all of them', () => {
    const services = prepareServices(many(20, 3), SETTINGS)
    const of = (node: string) =>
      renderKubeProxy({ node, nodeAddress: ip('192.168.0.2'), addresses: [], services, settings: SETTINGS, conntrackBeLiberal: false })
    const chains = (node: string) => of(node).chainEdits.filter(({ chain }) => /^KUBE-S(EP|VC)-/.test(chain))
    const [a, b] = [chains('a'), chains('b')]
    expect(a).toHaveLength(80)
    expect(a.every((edit, i) => edit === b[i])).toBe(true)
  })
})
