/**
 * 32 policies over tiers on one node, and what becomes of 70 packets: each worked out by hand from what the policies mean, each sent through
 * the chains that Felix rendered.
 */
import { describe } from 'vitest'
import { ip } from '../../../src/base/ip.js'
import { renderFelix } from '../../../src/calico/felix/felix.js'
import { applyChainEdits } from '../../../src/dataplane/chain-edit.js'
import type { Dataplane } from '../../../src/dataplane/dataplane.js'
import { dataplaneOf } from '../../net/kit.js'
import { felixConfig } from './kit.js'
import { pool } from '../kit.js'
import { compiled, manifest, podEndpoint, type PodWords } from './manifest.js'
import { itSends, LISTENING, podNetns } from './send.js'

const WORDS: readonly PodWords[] = [
  { name: 'fe', namespace: 'shop', address: '10.65.0.10', interfaceName: 'cali0fe', labels: { app: 'fe' } },
  { name: 'cart', namespace: 'shop', address: '10.65.0.11', interfaceName: 'cali0cart', labels: { app: 'cart', metrics: 'yes' } },
  {
    name: 'pay',
    namespace: 'shop',
    address: '10.65.0.12',
    interfaceName: 'cali0pay',
    labels: { app: 'pay', pci: 'yes' },
    ports: [{ name: 'api', protocol: 'TCP', port: 8443 }],
  },
  {
    name: 'db',
    namespace: 'shop',
    address: '10.65.0.13',
    interfaceName: 'cali0db',
    labels: { app: 'db', metrics: 'yes' },
    ports: [{ name: 'pg', protocol: 'TCP', port: 5432 }],
  },
  { name: 'mon', namespace: 'ops', address: '10.65.0.20', interfaceName: 'cali1mon', labels: { app: 'mon' } },
  { name: 'bad', namespace: 'ops', address: '10.65.0.21', interfaceName: 'cali1bad', labels: { app: 'bad', quarantine: 'yes' } },
  { name: 'free', namespace: 'lab', address: '10.65.0.30', interfaceName: 'cali2free', labels: { app: 'free' } },
  { name: 'open', namespace: 'lab', address: '10.65.0.31', interfaceName: 'cali2open', labels: { app: 'open' } },
]

const gnp = (name: string, spec: string): string =>
  `---\napiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: ${name}}\nspec: ${spec}\n`
const np = (namespace: string, name: string, spec: string): string =>
  `---\napiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: ${spec}\n`
const knp = (name: string, spec: string): string =>
  `---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: ${name}, namespace: shop}\nspec: ${spec}\n`
const tier = (name: string, spec: string): string => `---\napiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: ${name}}\nspec: ${spec}\n`

const EVERY_POD = 'selector: all(), namespaceSelector: all()'
const POLICIES = [
  tier('security', '{order: 100}'),
  tier('platform', '{order: 200, defaultAction: Pass}'),
  gnp('security.pci', `{tier: security, order: 5, selector: "pci == 'yes'", ingress: [{action: Deny, source: {notSelector: "app in {'cart', 'mon'}"}}]}`),
  gnp('security.quarantine', `{tier: security, order: 10, selector: "quarantine == 'yes'", ingress: [{action: Deny}], egress: [{action: Deny}]}`),
  gnp('security.telnet', `{tier: security, order: 20, ${EVERY_POD}, ingress: [{action: Deny, protocol: TCP, destination: {ports: [23]}}, {action: Pass}]}`),
  // never asked: the policy before it passes everything on
  gnp('security.tftp', `{tier: security, order: 30, ${EVERY_POD}, ingress: [{action: Deny, protocol: UDP, destination: {ports: [69]}}, {action: Pass}]}`),
  gnp(
    'security.mdns',
    `{tier: security, order: 40, ${EVERY_POD}, types: [Egress], egress: [{action: Log, protocol: UDP, destination: {ports: [5353]}}, ` +
      `{action: Deny, protocol: UDP, destination: {ports: [5353]}}, {action: Pass}]}`,
  ),
  gnp(
    'platform.scrape',
    '{tier: platform, order: 10, selector: has(metrics), ' +
      `ingress: [{action: Allow, protocol: TCP, source: {selector: "app == 'mon'"}, destination: {ports: [9100]}}]}`,
  ),
  gnp('platform.ping', `{tier: platform, order: 20, ${EVERY_POD}, ingress: [{action: Allow, protocol: ICMP, icmp: {type: 8}}]}`),
  gnp('platform.no-elastic', `{tier: platform, order: 30, selector: has(metrics), ingress: [{action: Deny, protocol: TCP, destination: {ports: [9200]}}]}`),
  gnp('platform.dns', `{tier: platform, order: 40, ${EVERY_POD}, types: [Egress], egress: [{action: Allow, protocol: UDP, destination: {ports: [53]}}]}`),
  knp('deny', '{podSelector: {}, policyTypes: [Ingress]}'),
  knp('cart', '{podSelector: {matchLabels: {app: cart}}, ingress: [{from: [{podSelector: {matchLabels: {app: fe}}}], ports: [{port: 8080}]}]}'),
  knp('db', '{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: cart}}}], ports: [{port: pg}]}]}'),
  knp('pay', '{podSelector: {matchLabels: {app: pay}}, ingress: [{from: [{podSelector: {matchLabels: {app: cart}}}], ports: [{port: api}]}]}'),
  knp('fe', '{podSelector: {matchLabels: {app: fe}}, ingress: [{ports: [{port: 80}, {port: 443}]}]}'),
  knp('db-out', '{podSelector: {matchLabels: {app: db}}, policyTypes: [Egress]}'),
  np(
    'shop',
    'fe-out',
    `{selector: "app == 'fe'", types: [Egress], egress: [{action: Allow, protocol: TCP, destination: {selector: "app == 'cart'", ports: [8080]}}]}`,
  ),
  gnp('mon-nets', `{order: 500, selector: "app == 'mon'", ingress: [{action: Deny, protocol: TCP, source: {nets: [10.65.0.11/32, 10.99.0.0/16]}}]}`),
  np(
    'ops',
    'mon',
    `{selector: "app == 'mon'", ingress: [{action: Allow, protocol: TCP, source: {namespaceSelector: "team == 'shop'"}, destination: {ports: [3000]}}]}`,
  ),
  ...Array.from({ length: 12 }, (_, i) =>
    gnp(`port-${10 + i}`, `{order: 700, selector: "app == 'free'", ingress: [{action: Allow, protocol: TCP, destination: {ports: [${7001 + i}]}}]}`),
  ),
]

const OK = 'DELIVERED'
const NO = 'DENIED'
type Row = readonly [source: string, destination: string, what: string, expected: string]

/** What the policies mean, read by a person. */
const TABLE: readonly Row[] = [
  // egress of fe: cart:8080 and DNS, nothing else
  ['fe', 'cart', 'tcp 8080', OK],
  ['fe', 'cart', 'tcp 8081', NO],
  ['fe', 'cart', 'udp 8080', NO],
  ['fe', 'cart', 'icmp', NO],
  ['fe', 'db', 'tcp 5432', NO],
  ['fe', 'open', 'tcp 80', NO],
  ['fe', 'open', 'udp 53', OK],
  ['fe', 'cart', 'udp 53', NO],
  ['fe', 'mon', 'tcp 3000', NO],
  // to cart
  ['cart', 'cart', 'tcp 8080', OK],
  ['pay', 'cart', 'tcp 8080', NO],
  ['mon', 'cart', 'tcp 9100', OK],
  ['mon', 'cart', 'tcp 9200', NO],
  ['mon', 'cart', 'tcp 8080', NO],
  ['open', 'cart', 'tcp 9100', NO],
  ['open', 'cart', 'icmp', OK],
  ['open', 'cart', 'udp 53', NO],
  ['bad', 'cart', 'icmp', NO],
  // to db
  ['cart', 'db', 'tcp 5432', OK],
  ['cart', 'db', 'tcp 5433', NO],
  ['cart', 'db', 'udp 5432', NO],
  ['cart', 'db', 'tcp 23', NO],
  ['cart', 'db', 'tcp 9200', NO],
  ['pay', 'db', 'tcp 5432', NO],
  ['mon', 'db', 'tcp 9100', OK],
  ['mon', 'db', 'tcp 5432', NO],
  ['mon', 'db', 'icmp', OK],
  ['free', 'db', 'tcp 5432', NO],
  // from db: DNS only
  ['db', 'cart', 'tcp 8080', NO],
  ['db', 'open', 'tcp 80', NO],
  ['db', 'open', 'udp 53', OK],
  ['db', 'open', 'icmp', NO],
  ['db', 'fe', 'tcp 80', NO],
  // to pay: cart and mon get past the guard, and then cart's port alone
  ['cart', 'pay', 'tcp 8443', OK],
  ['cart', 'pay', 'tcp 8080', NO],
  ['cart', 'pay', 'icmp', OK],
  ['mon', 'pay', 'tcp 8443', NO],
  ['mon', 'pay', 'icmp', OK],
  ['mon', 'pay', 'tcp 9100', NO],
  ['open', 'pay', 'icmp', NO],
  ['free', 'pay', 'tcp 8443', NO],
  // to fe
  ['cart', 'fe', 'tcp 80', OK],
  ['open', 'fe', 'tcp 443', OK],
  ['mon', 'fe', 'tcp 80', OK],
  ['mon', 'fe', 'tcp 23', NO],
  ['mon', 'fe', 'tcp 8080', NO],
  ['mon', 'fe', 'udp 80', NO],
  ['open', 'fe', 'icmp', OK],
  ['bad', 'fe', 'tcp 80', NO],
  // to mon
  ['pay', 'mon', 'tcp 3000', OK],
  ['pay', 'mon', 'tcp 3001', NO],
  ['cart', 'mon', 'tcp 3000', NO],
  ['cart', 'mon', 'icmp', OK],
  ['cart', 'mon', 'udp 3000', NO],
  ['open', 'mon', 'tcp 3000', NO],
  // to the quarantined
  ['open', 'bad', 'icmp', NO],
  ['mon', 'bad', 'tcp 80', NO],
  ['bad', 'open', 'udp 53', NO],
  // to free: twelve policies of one selector
  ['open', 'free', 'tcp 7001', OK],
  ['open', 'free', 'tcp 7005', OK],
  ['open', 'free', 'tcp 7006', OK],
  ['open', 'free', 'tcp 7011', OK],
  ['open', 'free', 'tcp 7012', OK],
  ['open', 'free', 'tcp 7013', NO],
  ['open', 'free', 'udp 7001', NO],
  ['mon', 'free', 'icmp', OK],
  // to open: no policy of the default tier, so the namespace's profile
  ['free', 'open', 'tcp 80', OK],
  ['free', 'open', 'tcp 23', NO],
  ['free', 'open', 'udp 69', OK],
  ['free', 'open', 'udp 5353', NO],
  // to the host: egress only, then DefaultEndpointToHostAction
  ['free', 'host', 'tcp 80', OK],
  ['db', 'host', 'tcp 80', NO],
  ['bad', 'host', 'icmp', NO],
  ['free', 'host', 'udp 5353', NO],
  // from the host: never policed
  ['host', 'bad', 'tcp 23', OK],
  ['host', 'db', 'tcp 9200', OK],
]

const HOST = '192.168.10.11'

function node(): readonly Dataplane[] {
  const pods = WORDS.map(podEndpoint)
  const text = POLICIES.join('')
  const config = felixConfig({ defaultEndpointToHostAction: 'Accept' })
  const part = renderFelix({
    config,
    policies: compiled(text, pods),
    workloadEndpoints: pods,
    hostEndpoints: manifest(text).resources.hostEndpoints,
    interfaces: [{ name: 'lo', addresses: [ip('127.0.0.1')] }],
    pools: [pool('10.65.0.0/16')],
    hostAddresses: [ip(HOST)],
    remoteVteps: [],
    serviceCidrs: [],
  })
  const lines = WORDS.flatMap(({ name, address, interfaceName }) => [
    `link ${interfaceName} veth ${name}/eth0`,
    `route add ${address}/32 dev ${interfaceName} scope link`,
    `sysctl net.ipv4.conf.${interfaceName}.proxy_arp=1`,
    `sysctl net.ipv4.neigh.${interfaceName}.proxy_delay=0`,
  ])
  const host = dataplaneOf(
    'host',
    1,
    [...lines, 'link d0 dummy', `addr ${HOST}/24 dev d0`, 'route add default via 192.168.10.254 dev d0', 'sysctl net.ipv4.ip_forward=1'].join('\n'),
  )
  const guests = WORDS.map(({ name, address, interfaceName }, i) => podNetns(name, i + 2, { address, hostDevice: interfaceName }))
  return [{ ...host, iptables: applyChainEdits({ tables: [] }, part.edits), ipsets: part.ipsets }, ...guests].map((one) => ({ ...one, sockets: LISTENING }))
}

const addressOf = (name: string): string => WORDS.find((pod) => pod.name === name)?.address ?? HOST

describe('packets through the chains', () => {
  itSends(node(), addressOf, TABLE)
})
