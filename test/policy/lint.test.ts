/** Each lint: a world that it is right to speak of, and nearly the same world where it is silent. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { lintCatalogue } from '../../src/policy/lint/catalogue.js'
import { LINT_CODES, type LintCode } from '../../src/policy/lint/codes.js'
import type { Switches } from '../../src/policy/model.js'
import {
  SHOP,
  DNS,
  WEB,
  DB,
  ALL_PODS,
  IN,
  OUT,
  FROM_DB,
  TO_DNS,
  BOTH_53,
  NODE,
  HTTP_SERVICE,
  TCP,
  BLOCK,
  admin,
  codesOf,
  lint,
  namespace,
  pod,
  policy,
  service,
  world,
} from './lint-kit.js'

interface Case {
  readonly code: LintCode
  readonly bad: string
  readonly good: string
  /** A word of what it says. */
  readonly says: string
  readonly switches?: Partial<Switches>
}

function inShop(code: LintCode, says: string, bad: string, good: string): Case {
  return { code, says, bad: world(SHOP, DNS, bad), good: world(SHOP, DNS, good) }
}

const ADMIN_SUBJECT = 'subject: {namespaces: {matchLabels: {team: shop}}}'
const FROM_OPS = 'from: [{namespaces: {matchLabels: {team: ops}}}]'
const BANP = (name: string): string =>
  `{apiVersion: policy.networking.k8s.io/v1alpha1, kind: BaselineAdminNetworkPolicy, metadata: {name: ${name}}, spec: {${ADMIN_SUBJECT}, ingress: [{action: Deny, ${FROM_OPS}}]}}`

const WRITING: readonly Case[] = [
  inShop(
    'NP001',
    'default',
    `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p}, spec: {${ALL_PODS}, ${IN}, ingress: [{${FROM_DB}}]}}\n---\n${pod('default/db-0', 'app: db')}`,
    `${policy('default/p', `${ALL_PODS}, ${IN}, ingress: [{${FROM_DB}}]`)}\n---\n${pod('default/db-0', 'app: db')}`,
  ),
  inShop('NP002', '[Ingress]', policy('shop/p', `${WEB}, ingress: [{${FROM_DB}}]`), policy('shop/p', `${WEB}, ${IN}, ingress: [{${FROM_DB}}]`)),
  inShop(
    'NP003',
    'closes ingress of shop/web-0',
    policy('shop/p', `${WEB}, egress: [{${TO_DNS}, ${BOTH_53}}]`),
    policy('shop/p', `${WEB}, ${OUT}, egress: [{${TO_DNS}, ${BOTH_53}}]`),
  ),
  inShop(
    'NP004',
    '1 egress rule',
    policy('shop/p', `${WEB}, ${IN}, ingress: [{${FROM_DB}}], egress: [{${TO_DNS}}]`),
    policy('shop/p', `${WEB}, policyTypes: [Ingress, Egress], ingress: [{${FROM_DB}}], egress: [{${TO_DNS}}]`),
  ),
  inShop(
    'NP005',
    '1 port without a protocol',
    policy('shop/p', `${WEB}, ${IN}, ingress: [{${FROM_DB}, ports: [{port: 8080}]}]`),
    policy('shop/p', `${WEB}, ${IN}, ingress: [{${FROM_DB}, ports: [{protocol: TCP, port: 8080}]}]`),
  ),
  inShop(
    'NP006',
    'stands here and in',
    world(policy('shop/p', `${WEB}, ${IN}, ingress: [{${FROM_DB}}]`), policy('shop/p', `${DB}, ${IN}`)),
    world(policy('shop/p', `${WEB}, ${IN}, ingress: [{${FROM_DB}}]`), policy('shop/q', `${DB}, ${IN}`)),
  ),
]

const SELECTORS: readonly Case[] = [
  inShop(
    'NP101',
    'app is db, web',
    policy('shop/p', `podSelector: {matchLabels: {app: wbe}}, ${IN}, ingress: [{${FROM_DB}}]`),
    policy('shop/p', `${WEB}, ${IN}, ingress: [{${FROM_DB}}]`),
  ),
  inShop(
    'NP102',
    'none of them has app=dbs',
    policy('shop/p', `${WEB}, ${IN}, ingress: [{from: [{podSelector: {matchLabels: {app: dbs}}}]}]`),
    policy('shop/p', `${WEB}, ${IN}, ingress: [{${FROM_DB}}]`),
  ),
  inShop(
    'NP103',
    'none of them has a label name',
    policy('shop/p', `${WEB}, ${IN}, ingress: [{from: [{namespaceSelector: {matchLabels: {name: ops}}}]}]`),
    policy('shop/p', `${WEB}, ${IN}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ops}}}]}]`),
  ),
  inShop(
    'NP104',
    'within every pod of namespaces team=ops it would be ops/prom-0',
    policy('shop/p', `${WEB}, ${IN}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: ops}}}, {podSelector: {matchLabels: {app: prometheus}}}]}]`),
    policy('shop/p', `${WEB}, ${IN}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: ops}}, podSelector: {matchLabels: {app: prometheus}}}]}]`),
  ),
  inShop(
    'NP104',
    'adds nothing beside every pod',
    policy('shop/p', `${WEB}, ${IN}, ingress: [{from: [{namespaceSelector: {}}, {podSelector: {matchLabels: {app: db}}}]}]`),
    policy('shop/p', `${WEB}, ${IN}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}]}]`),
  ),
  inShop(
    'NP105',
    'shop/db-0 by labels',
    policy('shop/p', `${WEB}, ${IN}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: ops}}, podSelector: {matchLabels: {app: db}}}]}]`),
    policy('shop/p', `${WEB}, ${IN}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: ops}}}, {podSelector: {matchLabels: {app: db}}}]}]`),
  ),
  {
    code: 'NP106',
    says: 'selects shop/host-0',
    bad: world(
      SHOP,
      pod('shop/host-0', 'app: host', { spec: 'hostNetwork: true, ' }),
      policy('shop/p', `podSelector: {matchLabels: {app: host}}, ${IN}, ingress: [{${FROM_DB}}]`),
    ),
    good: world(SHOP, pod('shop/host-0', 'app: host'), policy('shop/p', `podSelector: {matchLabels: {app: host}}, ${IN}, ingress: [{${FROM_DB}}]`)),
  },
  {
    code: 'NP107',
    says: 'are shop/host-0',
    bad: world(
      SHOP,
      pod('shop/host-0', 'app: host', { spec: 'hostNetwork: true, ' }),
      policy('shop/p', `${WEB}, ${IN}, ingress: [{from: [{podSelector: {matchLabels: {app: host}}}]}]`),
    ),
    good: world(SHOP, pod('shop/host-0', 'app: host'), policy('shop/p', `${WEB}, ${IN}, ingress: [{from: [{podSelector: {matchLabels: {app: host}}}]}]`)),
  },
]

const PORTS: readonly Case[] = [
  inShop(
    'NP201',
    'port 80 of Service shop/web: shop/web-0 gets it on 8080',
    world(HTTP_SERVICE, policy('shop/p', `${WEB}, ${IN}, ingress: [{${FROM_DB}, ${TCP(80)}}]`)),
    world(HTTP_SERVICE, policy('shop/p', `${WEB}, ${IN}, ingress: [{${FROM_DB}, ${TCP(8080)}}]`)),
  ),
  inShop(
    'NP201',
    'node port 30080',
    world(
      service('shop/web', 'type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 8080, nodePort: 30080}]'),
      policy('shop/p', `${WEB}, ${IN}, ingress: [{${TCP(30080)}}]`),
    ),
    world(
      service('shop/web', 'type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 8080, nodePort: 30080}]'),
      policy('shop/p', `${WEB}, ${IN}, ingress: [{ports: [{protocol: TCP, port: 30080}, {protocol: TCP, port: 8080}]}]`),
    ),
  ),
  inShop(
    'NP202',
    'Did you mean',
    policy('shop/p', `${WEB}, ${IN}, ingress: [{${FROM_DB}, ${TCP('htpp')}}]`),
    policy('shop/p', `${WEB}, ${IN}, ingress: [{${FROM_DB}, ${TCP('http')}}]`),
  ),
  inShop(
    'NP203',
    'towards 203.0.113.0/24',
    policy('shop/p', `${WEB}, ${OUT}, egress: [{to: [{ipBlock: {cidr: 203.0.113.0/24}}], ${TCP('https')}}, {${TO_DNS}, ${BOTH_53}}]`),
    policy('shop/p', `${WEB}, ${OUT}, egress: [{to: [{ipBlock: {cidr: 203.0.113.0/24}}], ${TCP(443)}}, {${TO_DNS}, ${BOTH_53}}]`),
  ),
  inShop(
    'NP204',
    'as UDP',
    world(
      pod('shop/log-0', 'app: log', { ports: '{protocol: UDP, containerPort: 514}' }),
      policy('shop/p', `podSelector: {matchLabels: {app: log}}, ${IN}, ingress: [{${FROM_DB}, ${TCP(514)}}]`),
    ),
    world(
      pod('shop/log-0', 'app: log', { ports: '{protocol: UDP, containerPort: 514}' }),
      policy('shop/p', `podSelector: {matchLabels: {app: log}}, ${IN}, ingress: [{${FROM_DB}, ports: [{protocol: UDP, port: 514}]}]`),
    ),
  ),
]

const TO_BLOCK = (cidr: string): string => policy('shop/p', `${WEB}, ${OUT}, egress: [{to: [${BLOCK(cidr)}], ${TCP(443)}}, {${TO_DNS}, ${BOTH_53}}]`)
const FROM_BLOCK = (blocks: string): string => policy('shop/p', `${WEB}, ${IN}, ingress: [{from: [${blocks}]}]`)
const LOAD_BALANCER = (traffic: string): string =>
  service('shop/web', `type: LoadBalancer, externalTrafficPolicy: ${traffic}, selector: {app: web}, ports: [{port: 80, targetPort: 8080, nodePort: 30080}]`)

const ADDRESSES: readonly Case[] = [
  inShop('NP301', 'the ClusterIP of shop/web', world(HTTP_SERVICE, TO_BLOCK('10.96.0.20/32')), world(HTTP_SERVICE, TO_BLOCK('198.51.100.20/32'))),
  inShop('NP302', 'lies in the network of the pods', world(NODE, TO_BLOCK('10.1.0.0/25')), world(NODE, TO_BLOCK('10.2.0.0/25'))),
  inShop(
    'NP303',
    '10.1.0.0/24',
    world(NODE, TO_BLOCK('0.0.0.0/0')),
    world(NODE, policy('shop/p', `${WEB}, ${OUT}, egress: [{to: [${BLOCK('0.0.0.0/0', '10.1.0.0/24')}], ${TCP(443)}}, {${TO_DNS}, ${BOTH_53}}]`)),
  ),
  inShop(
    'NP304',
    'LoadBalancer shop/web, which hides the source',
    world(NODE, LOAD_BALANCER('Cluster'), FROM_BLOCK(BLOCK('203.0.113.0/24'))),
    world(NODE, LOAD_BALANCER('Local'), FROM_BLOCK(BLOCK('203.0.113.0/24'))),
  ),
  inShop(
    'NP305',
    'no IPv6 one',
    world(pod('shop/dual-0', 'app: dual', { address: '10.1.0.9 fd00::9' }), FROM_BLOCK(BLOCK('0.0.0.0/0'))),
    world(pod('shop/dual-0', 'app: dual', { address: '10.1.0.9 fd00::9' }), FROM_BLOCK(`${BLOCK('0.0.0.0/0')}, ${BLOCK('::/0')}`)),
  ),
  inShop(
    'NP306',
    'leaves no address',
    FROM_BLOCK(BLOCK('203.0.113.0/24', '203.0.113.0/25, 203.0.113.128/25')),
    FROM_BLOCK(BLOCK('203.0.113.0/24', '203.0.113.0/25')),
  ),
  inShop(
    'NP307',
    'excepts 203.0.113.128/25',
    policy(
      'shop/p',
      `${WEB}, ${IN}, ingress: [{from: [${BLOCK('203.0.113.0/24', '203.0.113.128/25')}]}, {from: [${BLOCK('203.0.113.128/26')}, ${BLOCK('203.0.113.192/26')}]}]`,
    ),
    policy('shop/p', `${WEB}, ${IN}, ingress: [{from: [${BLOCK('203.0.113.0/24', '203.0.113.128/25')}]}, {from: [${BLOCK('203.0.113.128/26')}]}]`),
  ),
]

const EFFECTS: readonly Case[] = [
  inShop(
    'NP401',
    'UDP 53 and TCP 53 out to kube-system/coredns-0',
    policy('shop/p', `${WEB}, ${OUT}, egress: [{to: [{${DB}}], ${TCP(5432)}}]`),
    policy('shop/p', `${WEB}, ${OUT}, egress: [{to: [{${DB}}], ${TCP(5432)}}, {${TO_DNS}, ${BOTH_53}}]`),
  ),
  inShop(
    'NP401',
    'let UDP 53 and TCP 53 in',
    policy('kube-system/p', `${ALL_PODS}, ${IN}, ingress: [{${TCP(9153)}}]`),
    policy('kube-system/p', `${ALL_PODS}, ${IN}, ingress: [{${TCP(9153)}}, {${BOTH_53}}]`),
  ),
  inShop(
    'NP402',
    'lets TCP 53 out',
    policy('shop/p', `${WEB}, ${OUT}, egress: [{${TO_DNS}, ports: [{protocol: UDP, port: 53}]}]`),
    policy('shop/p', `${WEB}, ${OUT}, egress: [{${TO_DNS}, ${BOTH_53}}]`),
  ),
  inShop('NP403', 'all egress of shop/web-0 is closed', policy('shop/p', `${WEB}, ${OUT}`), policy('shop/p', `${WEB}, ${OUT}, egress: [{${TO_DNS}}]`)),
  inShop('NP404', 'allows everything', policy('shop/p', `${WEB}, ${IN}, ingress: [{}]`), policy('shop/p', `${WEB}, ${IN}, ingress: [{${FROM_DB}}]`)),
  inShop(
    'NP405',
    'NetworkPolicy shop/open allows all of it',
    world(policy('shop/closed', `${WEB}, ${IN}`), policy('shop/open', `${ALL_PODS}, ${IN}, ingress: [{}]`)),
    world(policy('shop/closed', `${ALL_PODS}, ${IN}`), policy('shop/open', `${WEB}, ${IN}, ingress: [{}]`)),
  ),
  inShop(
    'NP406',
    'ingress rule #1 of NetworkPolicy shop/p allows all of it',
    policy('shop/p', `${WEB}, ${IN}, ingress: [{${FROM_DB}}, {${FROM_DB}, ${TCP(8080)}}]`),
    policy('shop/p', `${WEB}, ${IN}, ingress: [{${FROM_DB}, ${TCP(8081)}}, {${FROM_DB}, ${TCP(8080)}}]`),
  ),
  inShop(
    'NP406',
    'allow all of it',
    policy(
      'shop/p',
      `${WEB}, ${IN}, ingress: [{${FROM_DB}, ${TCP(1)}}, {from: [{podSelector: {matchExpressions: [{key: app, operator: Exists}]}}], ${TCP(2)}}, {${FROM_DB}, ports: [{protocol: TCP, port: 1, endPort: 2}]}]`,
    ),
    policy(
      'shop/p',
      `${WEB}, ${IN}, ingress: [{from: [{podSelector: {matchExpressions: [{key: app, operator: Exists}]}}], ${TCP(2)}}, {${FROM_DB}, ports: [{protocol: TCP, port: 1, endPort: 3}]}]`,
    ),
  ),
  inShop(
    'NP407',
    'adds nothing beside every pod of namespace shop',
    policy('shop/p', `${WEB}, ${IN}, ingress: [{from: [{${DB}}, {podSelector: {}}]}]`),
    policy('shop/p', `${WEB}, ${IN}, ingress: [{from: [{${DB}}, {${WEB}}]}]`),
  ),
  inShop(
    'NP408',
    'NetworkPolicy shop/q adds nothing beside NetworkPolicy shop/p',
    world(policy('shop/p', `${ALL_PODS}, ${IN}, ingress: [{${FROM_DB}}]`), policy('shop/q', `${WEB}, ${IN}, ingress: [{${FROM_DB}, ${TCP(8080)}}]`)),
    world(
      policy('shop/p', `${WEB}, ${IN}, ingress: [{${FROM_DB}, ${TCP(8080)}}]`),
      policy('shop/q', `${ALL_PODS}, ${IN}, ingress: [{${FROM_DB}, ${TCP(5432)}}]`),
    ),
  ),
  inShop(
    'NP409',
    'ingress rule #1 of AdminNetworkPolicy a (deny) comes before it',
    admin('a', 5, `${ADMIN_SUBJECT}, ingress: [{action: Deny, from: [{namespaces: {}}]}, {action: Allow, ${FROM_OPS}}]`),
    admin('a', 5, `${ADMIN_SUBJECT}, ingress: [{action: Allow, ${FROM_OPS}}, {action: Deny, from: [{namespaces: {}}]}]`),
  ),
  inShop(
    'NP409',
    'comes before it',
    world(
      admin('a', 5, `${ADMIN_SUBJECT}, ingress: [{action: Deny, ${FROM_OPS}}]`),
      policy('shop/p', `${ALL_PODS}, ${IN}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: ops}}}]}]`),
    ),
    world(
      admin('a', 5, `${ADMIN_SUBJECT}, ingress: [{action: Pass, ${FROM_OPS}}]`),
      policy('shop/p', `${ALL_PODS}, ${IN}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: ops}}}]}]`),
    ),
  ),
  inShop(
    'NP410',
    'all ingress of shop/db-0 is open',
    policy('shop/p', `${WEB}, ${IN}, ingress: [{${FROM_DB}}]`),
    policy('shop/p', `${ALL_PODS}, ${IN}, ingress: [{${FROM_DB}}]`),
  ),
]

const ENGINES: readonly Case[] = [
  inShop(
    'NP501',
    'have priority 5',
    world(
      admin('a', 5, `${ADMIN_SUBJECT}, ingress: [{action: Deny, ${FROM_OPS}}]`),
      admin('b', 5, `${ADMIN_SUBJECT}, ingress: [{action: Allow, ${FROM_OPS}, ports: [{portNumber: {protocol: TCP, port: 80}}]}]`),
    ),
    world(
      admin('a', 5, `${ADMIN_SUBJECT}, ingress: [{action: Deny, ${FROM_OPS}}]`),
      admin('b', 4, `${ADMIN_SUBJECT}, ingress: [{action: Allow, ${FROM_OPS}, ports: [{portNumber: {protocol: TCP, port: 80}}]}]`),
    ),
  ),
  inShop(
    'NP502',
    'is never asked for ingress',
    world(BANP('default'), policy('shop/p', `${ALL_PODS}, ${IN}, ingress: [{${FROM_DB}}]`)),
    world(BANP('default'), policy('shop/p', `${WEB}, ${IN}, ingress: [{${FROM_DB}}]`)),
  ),
  inShop(
    'NP601',
    'flannel enforces no NetworkPolicy',
    world('{apiVersion: netsim/v1, kind: Network, spec: {cni: flannel}}', policy('shop/p', `${WEB}, ${IN}, ingress: [{${FROM_DB}}]`)),
    world('{apiVersion: netsim/v1, kind: Network, spec: {cni: canal}}', policy('shop/p', `${WEB}, ${IN}, ingress: [{${FROM_DB}}]`)),
  ),
  inShop(
    'NP602',
    'Calico 3.32',
    world('{apiVersion: netsim/v1, kind: Network, spec: {cni: calico}}', admin('a', 5, `${ADMIN_SUBJECT}, ingress: [{action: Deny, ${FROM_OPS}}]`)),
    admin('a', 5, `${ADMIN_SUBJECT}, ingress: [{action: Deny, ${FROM_OPS}}]`),
  ),
  {
    code: 'NP603',
    says: 'namespace old is to be isolated by annotation',
    bad: world(
      SHOP,
      `{apiVersion: v1, kind: Namespace, metadata: {name: old, annotations: {net.beta.kubernetes.io/network-policy: '{"ingress": {"isolation": "DefaultDeny"}}'}}}`,
      pod('old/a', 'app: a'),
    ),
    good: world(SHOP, namespace('old'), pod('old/a', 'app: a')),
  },
  inShop(
    'NP604',
    'the probes of 1 pod pass',
    world(
      `{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: p, labels: {app: probed}}, spec: {containers: [{name: c, image: i, ports: [{containerPort: 9}], readinessProbe: {httpGet: {port: 9}}}]}}`,
      policy('shop/p', `podSelector: {matchLabels: {app: probed}}, ${IN}, ingress: [{${FROM_DB}}]`),
    ),
    world(
      `{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: p, labels: {app: probed}}, spec: {containers: [{name: c, image: i, ports: [{containerPort: 9}], readinessProbe: {httpGet: {port: 9}}}]}}`,
      policy('shop/p', `podSelector: {matchLabels: {app: probed}}, ${IN}, ingress: [{${TCP(9)}}]`),
    ),
  ),
]

const CASES = [...WRITING, ...SELECTORS, ...PORTS, ...ADDRESSES, ...EFFECTS, ...ENGINES]

describe('each lint', () => {
  it.each(CASES)('$code: $says', ({ code, says, bad, good, switches }) => {
    const found = lint(bad, switches)
    expect(codesOf(found, code)).toEqual([code])
    const own = found.filter((one) => one.code === code)
    expect(own.map(({ what, fix }) => `${what} ${fix}`).join('\n')).toContain(says)
    for (const { evidence } of own) expect(evidence[0].line).toBeGreaterThan(0)
    expect(codesOf(lint(good, switches), code).filter((other) => other === code)).toEqual([])
  })

  it('has a case', () => {
    expect([...new Set(CASES.map(({ code }) => code))].sort()).toEqual([...LINT_CODES])
  })
})

describe('a set of policies as it should be', () => {
  it('has nothing to tell but what is as asked', () => {
    const good = world(
      SHOP,
      DNS,
      HTTP_SERVICE,
      policy('shop/closed', `${ALL_PODS}, policyTypes: [Ingress, Egress]`),
      policy('shop/dns', `${ALL_PODS}, ${OUT}, egress: [{${TO_DNS}, ${BOTH_53}}]`),
      policy('shop/web', `${WEB}, policyTypes: [Ingress, Egress], ingress: [{${TCP(8080)}}], egress: [{to: [{${DB}}], ${TCP(5432)}}]`),
      policy('shop/db', `${DB}, ${IN}, ingress: [{from: [{${WEB}}], ${TCP('sql')}}]`),
    )
    expect(lint(good)).toEqual([])
  })
})

describe('docs/policy-lint.md', () => {
  const page = readFileSync(new URL('../../docs/policy-lint.md', import.meta.url), 'utf8')

  it.each(lintCatalogue())('has a section for $code', ({ code, title, severity, cause, effect, fix }) => {
    expect(page).toContain(`### ${code} ${title}\n`)
    const section = page
      .slice(page.indexOf(`### ${code} `))
      .split('\n### ')[0]
      .replace(/\s+/g, ' ')
    expect(section.toLowerCase()).toContain(`${severity}. `)
    for (const text of [cause, effect, fix]) expect(section).toContain(text)
    expect(section).toContain('**Example.**')
  })
})
