/** Where lint keeps silent, or says that something is only to be known: what the input does not hold, what is meant, what others take care of. */
import { describe, expect, it } from 'vitest'
import {
  SHOP,
  NODE,
  ALL_PODS,
  DNS,
  WEB,
  DB,
  IN,
  OUT,
  FROM_DB,
  TO_DNS,
  BOTH_53,
  HTTP_SERVICE,
  TCP,
  BLOCK,
  lint,
  namespace,
  pod,
  policy,
  service,
  world,
} from './lint-kit.js'

describe('what it does not say, or says with care', () => {
  const found = (code: string, ...objects: readonly string[]): readonly string[] =>
    lint(world(SHOP, ...objects))
      .filter((one) => one.code === code)
      .map(({ severity, what, fix }) => `${severity}: ${what} ${fix}`)

  it('NP401: without DNS pods in the input a rule for port 53 to whomever is enough', () => {
    const rule = (ports: string): string =>
      policy('shop/p', `${WEB}, ${OUT}, egress: [{to: [{${DB}}], ${TCP(5432)}}, {to: [{namespaceSelector: {matchLabels: {a: b}}}], ${ports}}]`)
    expect(found('NP401', rule(BOTH_53))).toEqual([])
    expect(found('NP401', rule(TCP(443)))).toHaveLength(1)
  })

  it('NP401: pods that ask somebody else, and pods that may go nowhere, are left out', () => {
    const spec = `podSelector: {matchLabels: {app: own}}, ${OUT}`
    const own = (dns: string): string => pod('shop/own-0', 'app: own', { spec: dns })
    expect(found('NP401', DNS, own(''), policy('shop/p', `${spec}, egress: [{to: [{${DB}}]}]`))).toHaveLength(1)
    expect(found('NP401', DNS, own('dnsPolicy: Default, '), policy('shop/p', `${spec}, egress: [{to: [{${DB}}]}]`))).toEqual([])
    expect(found('NP401', DNS, own(''), policy('shop/p', spec))).toEqual([])
  })

  it('NP401, NP301: NodeLocal DNSCache answers at an address of its own, and at that of kube-dns', () => {
    const cache = pod('kube-system/node-local-dns-0', 'k8s-app: node-local-dns', { spec: 'hostNetwork: true, ' })
    const dns = service(
      'kube-system/kube-dns',
      'clusterIP: 10.96.0.10, selector: {k8s-app: kube-dns}, ports: [{name: dns, protocol: UDP, port: 53}, {name: dns-tcp, port: 53}]',
    )
    const rules = (more: string): string => policy('shop/p', `${WEB}, ${OUT}, egress: [{${TO_DNS}, ${BOTH_53}}${more}]`)
    expect(found('NP401', DNS, rules(''))).toEqual([])
    expect(found('NP401', DNS, cache, dns, rules(''))).toEqual([expect.stringMatching(/^info: .*169\.254\.20\.10/)])
    const own = rules(`, {to: [${BLOCK('10.96.0.10/32')}], ${BOTH_53}}`)
    expect([...found('NP401', DNS, cache, dns, own), ...found('NP301', DNS, cache, dns, own)]).toEqual([])
    expect(found('NP301', DNS, dns, own)).toHaveLength(1)
  })

  it('NP402: what the Service does not offer is not missed', () => {
    const udp = service('kube-system/kube-dns', 'clusterIP: 10.96.0.10, selector: {k8s-app: kube-dns}, ports: [{name: dns, protocol: UDP, port: 53}]')
    const rules = policy('shop/p', `${WEB}, ${OUT}, egress: [{${TO_DNS}, ports: [{protocol: UDP, port: 53}]}]`)
    expect(found('NP402', DNS, rules)).toHaveLength(1)
    expect(found('NP402', DNS, udp, rules)).toEqual([])
  })

  it('NP304: who lets everybody in keeps nobody out; a private block may be that of nodes that the input does not have', () => {
    const balancer = service('shop/web', 'type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: http}]')
    const rules = (cidr: string, more = ''): string => policy('shop/p', `${WEB}, ${IN}, ingress: [{from: [${BLOCK(cidr)}], ${TCP(8080)}}${more}]`)
    expect(found('NP304', NODE, balancer, rules('203.0.113.0/24'))).toEqual([expect.stringMatching(/^warning/)])
    expect(found('NP304', NODE, balancer, rules('192.168.7.0/24'))).toEqual([expect.stringMatching(/^warning/)])
    expect(found('NP304', balancer, rules('203.0.113.0/24'))).toEqual([expect.stringMatching(/^warning/)])
    expect(found('NP304', balancer, rules('192.168.7.0/24'))).toEqual([expect.stringMatching(/^info/)])
    expect(found('NP304', NODE, balancer, rules('203.0.113.0/24', `, {from: [${BLOCK('0.0.0.0/0')}], ${TCP(8080)}}`))).toEqual([])
    // of another port nobody else is let in
    expect(found('NP304', NODE, balancer, rules('203.0.113.0/24', `, {from: [${BLOCK('0.0.0.0/0')}], ${TCP(9090)}}`))).toHaveLength(1)
    const wide = policy('shop/all', `${ALL_PODS}, ${IN}, ingress: [{${TCP(8080)}}]`)
    expect(found('NP304', NODE, balancer, rules('203.0.113.0/24'), wide)).toEqual([])
  })

  it('NP402: without UDP names fail; without TCP few do, and that is only to be known', () => {
    const rules = (protocol: string): string => policy('shop/p', `${WEB}, ${OUT}, egress: [{${TO_DNS}, ports: [{protocol: ${protocol}, port: 53}]}]`)
    expect(found('NP402', DNS, rules('TCP'))).toEqual([expect.stringMatching(/^warning: .* lets UDP 53 out/)])
    expect(found('NP402', DNS, rules('UDP'))).toEqual([expect.stringMatching(/^info: .* lets TCP 53 out/)])
    // the same before the DNS pods themselves, and where the input has none
    const before = (protocol: string): string => policy('kube-system/p', `podSelector: {}, ${IN}, ingress: [{ports: [{protocol: ${protocol}, port: 53}]}]`)
    expect(found('NP402', DNS, before('TCP'))).toEqual([expect.stringMatching(/^warning/)])
    expect(found('NP402', DNS, before('UDP'))).toEqual([expect.stringMatching(/^info/)])
    expect(found('NP402', rules('UDP'))).toEqual([expect.stringMatching(/^info/)])
  })

  it('NP101: a policy in the wrong namespace', () => {
    expect(found('NP101', policy('ops/p', `${DB}, ${IN}`))[0]).toContain('Put the policy into namespace shop.')
  })

  it('NP103: where Namespace objects are missing it is only to be known', () => {
    const rules = policy('shop/p', `${WEB}, ${IN}, ingress: [{from: [{namespaceSelector: {matchLabels: {zone: x}}}]}]`)
    expect(found('NP103', namespace('default'), namespace('kube-system'), rules)[0]).toMatch(/^warning/)
    expect(found('NP103', pod('else/p', 'a: b'), rules)[0]).toMatch(/^info/)
  })

  it('NP201: a port that a container declares, or a headless Service has, is meant', () => {
    const rules = policy('shop/p', `${WEB}, ${IN}, ingress: [{${FROM_DB}, ${TCP(80)}}]`)
    expect(found('NP201', HTTP_SERVICE, rules)).toHaveLength(1)
    expect(found('NP201', HTTP_SERVICE, pod('shop/web-1', 'app: web', { ports: '{containerPort: 80}' }), rules)).toEqual([])
    expect(found('NP201', service('shop/web', 'selector: {app: web}, clusterIP: None, ports: [{port: 80, targetPort: http}]'), rules)).toEqual([])
  })

  it('NP406: of two that are alike one is told, and both of different policies are only to be known', () => {
    const rule = `{${FROM_DB}, ${TCP(8080)}}`
    expect(found('NP406', policy('shop/p', `${WEB}, ${IN}, ingress: [${rule}, ${rule}]`))).toEqual([expect.stringContaining('warning: ingress rule #2')])
    const other = policy('shop/q', `${WEB}, ${IN}, ingress: [${rule}, {${TCP(1)}}]`)
    expect(found('NP406', policy('shop/p', `${WEB}, ${IN}, ingress: [${rule}, {${TCP(2)}}]`), other)).toEqual([
      expect.stringMatching(/^info: .* of NetworkPolicy shop\/q/),
    ])
  })

  it('NP604: where the own node is governed the probes fail', () => {
    const container = '{name: c, image: i, ports: [{containerPort: 9}], readinessProbe: {httpGet: {port: 9}}}'
    const probed = `{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: p, labels: {app: probed}}, spec: {containers: [${container}]}}`
    const text = world(SHOP, probed, policy('shop/p', `podSelector: {matchLabels: {app: probed}}, ${IN}, ingress: [{${FROM_DB}}]`))
    expect(lint(text, { ownNode: 'governed' }).find(({ code }) => code === 'NP604')).toMatchObject({ severity: 'warning' })
  })

  it("Calico's policies are held against the labels that Calico gives an endpoint", () => {
    const own = (selector: string): string =>
      `{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: p, namespace: shop}, spec: {selector: "${selector}", types: [Ingress], ingress: [{action: Allow}]}}`
    expect(lint(world(SHOP, own("app == 'wbe'")), { as: 'calico' }).filter(({ code }) => code === 'NP101')).toEqual([
      expect.objectContaining({ fix: 'Did you mean app=web?' }),
    ])
    expect(lint(world(SHOP, own("app == 'web'")), { as: 'calico' }).filter(({ severity }) => severity !== 'info')).toEqual([])
  })
})
