/**
 * The worked example of the first Calico documents (profiles WEB and APP, the tag APP_7890), with a database, an operator and a container
 * without any profile beside it: what becomes of each packet, worked out by hand from the rules, and sent through the chains that Felix wrote.
 */
import { describe, expect, it } from 'vitest'
import { applyChainEdits } from '../../../src/dataplane/chain-edit.js'
import type { Dataplane } from '../../../src/dataplane/dataplane.js'
import { dataplaneOf } from '../../net/kit.js'
import { itSends, LISTENING, podNetns, send } from '../felix/send.js'
import { classic } from './kit.js'

const HOST = '192.168.10.11'
const CLIENT = '192.168.10.50'

interface Pod {
  readonly address: string
  readonly profiles: string
  readonly more?: string
}

const PODS: Readonly<Record<string, Pod>> = {
  web1: { address: '10.65.0.10', profiles: '[WEB]' },
  web2: { address: '10.65.0.11', profiles: '[WEB]' },
  app1: { address: '10.65.0.12', profiles: '[APP]' },
  db1: { address: '10.65.0.13', profiles: '[DB]' },
  // two profiles: what the first does not decide the second may allow
  both: { address: '10.65.0.14', profiles: '[DB, WEB]' },
  ops: { address: '10.65.0.15', profiles: '[OPS]' },
  // no profile, and one that does not exist
  bare: { address: '10.65.0.16', profiles: '[]' },
  lost: { address: '10.65.0.17', profiles: '[NOBODY]' },
}

const PROFILES = `
apiVersion: v1
kind: profile
metadata: {name: WEB, tags: [WEB, APP_7890]}
spec:
  rules: |
    Inbound rules:
       1 allow tcp to ports 80,443
       2 allow icmp type 8
    Outbound rules:
       1 allow
---
apiVersion: v1
kind: profile
metadata: {name: APP, tags: [APP]}
spec:
  ingress:
    - {action: allow, protocol: tcp, source: {tag: APP_7890}, destination: {ports: [7890]}}
    - {action: allow, protocol: icmp, icmp: {type: 8}}
  egress: [{action: allow}]
---
apiVersion: v1
kind: profile
metadata: {name: DB, tags: [DB]}
spec:
  ingress:
    - {action: deny, source: {net: 10.65.0.11/32}}
    - {action: allow, protocol: tcp, source: {tag: APP}, destination: {ports: ["3306:3309"]}}
    - {action: allow, protocol: udp, source: {notTag: WEB}, destination: {ports: [53], notPorts: [54]}}
  egress: [{action: allow, destination: {tag: DB}}]
---
apiVersion: v1
kind: profile
metadata: {name: OPS, tags: [OPS]}
spec: {egress: [{action: allow}]}
---
`

const endpoint = ([name, { address, profiles, more = '' }]: [string, Pod]): string =>
  `apiVersion: v1\nkind: workloadEndpoint\nmetadata: {name: eth0, workload: default.${name}, orchestrator: k8s, node: n1, labels: {app: ${name}}}\n` +
  `spec: {ipNetworks: [${address}/32], profiles: ${profiles}, interfaceName: cali${name}${more}}\n---\n`

function world(more = '', pods = PODS): readonly Dataplane[] {
  const { part, texts } = classic(PROFILES + Object.entries(pods).map(endpoint).join('') + more)
  expect(texts).toEqual([])
  const { edits, ipsets, sysctls } = part('n1', { interfaces: [{ name: 'eth0', addresses: [0xc0a80a0b | 0] }] })
  const names = Object.entries(pods)
  const host = dataplaneOf(
    'host',
    1,
    [
      'link eth0 veth client/eth0',
      `addr ${HOST}/24 dev eth0`,
      // without a way to 169.254.1.1 the host does not answer for it
      `route add default via ${CLIENT} dev eth0`,
      'sysctl net.ipv4.ip_forward=1',
      ...names.flatMap(([name, { address }]) => [`link cali${name} veth ${name}/eth0`, `route add ${address}/32 dev cali${name} scope link`]),
      ...Object.entries(sysctls).map(([key, value]) => `sysctl ${key}=${value}`),
    ].join('\n'),
  )
  return [
    { ...host, iptables: applyChainEdits({ tables: [] }, edits), ipsets },
    dataplaneOf('client', 2, `link eth0 veth host/eth0\naddr ${CLIENT}/24 dev eth0\nroute add 10.65.0.0/16 via ${HOST} dev eth0`),
    ...names.map(([name, { address }], index) => podNetns(name, index + 3, { address, hostDevice: `cali${name}` })),
  ].map((one) => ({ ...one, sockets: LISTENING }))
}

const OK = 'DELIVERED'
const NO = 'DENIED'

const addressOf = (name: string): string => (name === 'host' ? HOST : name === 'client' ? CLIENT : PODS[name].address)

describe('tags and rules', () => {
  const dataplanes = world()

  itSends(dataplanes, addressOf, [
    // WEB is open on 80 and 443 and to pings, and has no rule for itself any more
    ['client', 'web1', 'tcp 80', OK],
    ['client', 'web1', 'tcp 443', OK],
    ['client', 'web1', 'icmp', OK],
    ['client', 'web1', 'tcp 22', NO],
    ['client', 'web1', 'udp 80', NO],
    ['web2', 'web1', 'tcp 80', OK],
    ['web2', 'web1', 'tcp 8080', NO],
    ['ops', 'web1', 'tcp 443', OK],
    ['ops', 'web1', 'tcp 444', NO],
    // 7890 of APP is for those who have the tag, whatever their profile is called
    ['web1', 'app1', 'tcp 7890', OK],
    ['web2', 'app1', 'tcp 7890', OK],
    ['both', 'app1', 'tcp 7890', OK],
    ['ops', 'app1', 'tcp 7890', NO],
    ['client', 'app1', 'tcp 7890', NO],
    ['web1', 'app1', 'tcp 80', NO],
    ['web1', 'app1', 'icmp', OK],
    ['client', 'app1', 'icmp', OK],
    // a deny before an allow; a range of ports; a criterion and its opposite
    ['app1', 'db1', 'tcp 3306', OK],
    ['app1', 'db1', 'tcp 3309', OK],
    ['app1', 'db1', 'tcp 3310', NO],
    ['web1', 'db1', 'tcp 3306', NO],
    ['web2', 'db1', 'udp 53', NO],
    ['web1', 'db1', 'udp 53', NO],
    ['app1', 'db1', 'udp 53', OK],
    ['ops', 'db1', 'udp 53', OK],
    ['client', 'db1', 'udp 53', OK],
    ['app1', 'db1', 'udp 54', NO],
    // outbound: DB sends to DB alone
    ['db1', 'web1', 'tcp 80', NO],
    ['db1', 'client', 'tcp 80', NO],
    ['db1', 'both', 'udp 53', OK],
    // the deny of the first profile is final, its silence is not
    ['both', 'web1', 'tcp 80', OK],
    ['web2', 'both', 'tcp 80', NO],
    ['web1', 'both', 'tcp 80', OK],
    ['app1', 'both', 'tcp 3307', OK],
    ['ops', 'both', 'tcp 3307', NO],
    // nothing comes in where no rule says so, and nothing goes anywhere without a profile
    ['client', 'ops', 'icmp', NO],
    ['web1', 'ops', 'tcp 80', NO],
    ['ops', 'client', 'tcp 9999', OK],
    ['bare', 'web1', 'tcp 80', NO],
    ['web1', 'bare', 'tcp 80', NO],
    ['lost', 'web1', 'tcp 80', NO],
    ['ops', 'lost', 'icmp', NO],
    // to the host itself: what the sender's outbound rules let go
    ['web1', 'host', 'tcp 22', OK],
    ['db1', 'host', 'tcp 22', NO],
    // but for names and leases, which everybody may ask for
    ['db1', 'host', 'udp 53', OK],
    ['bare', 'host', 'udp 53', OK],
    // what the host itself sends is policed by nobody
    ['host', 'ops', 'tcp 80', OK],
    ['host', 'client', 'tcp 80', OK],
    ['client', 'host', 'tcp 80', OK],
  ])

  it('a wrong source dies by the reverse path, not by a rule', () => {
    expect(send(dataplanes, { from: 'web1', src: PODS.web2.address, dst: CLIENT, what: 'tcp 80' })).toBe('RPFILTER')
  })
})

describe('policies come before profiles', () => {
  const policy = (name: string, spec: string): string => `apiVersion: v1\nkind: policy\nmetadata: {name: ${name}}\nspec: ${spec}\n---\n`
  const dataplanes = world(
    policy('no-mail', `{order: 10, selector: all(), ingress: [{action: deny, protocol: tcp, destination: {ports: [25]}}]}`) +
      policy('ops-web', `{order: 20, selector: "app == 'web1'", ingress: [{action: allow, source: {selector: "app == 'ops'"}}], egress: [{action: pass}]}`) +
      // selects web2 and app1: what it does not pass on ends with the tier
      policy('closed', `{order: 30, selector: "app in {'web2', 'app1'}", ingress: [{action: allow, protocol: icmp}], egress: [{action: allow}]}`) +
      policy('the-rest', `{selector: "app not in {'web2', 'app1'}", ingress: [{action: pass}], egress: [{action: pass}]}`),
  )

  itSends(dataplanes, addressOf, [
    ['ops', 'web1', 'tcp 9999', OK],
    ['client', 'web1', 'tcp 9999', NO],
    ['client', 'web1', 'tcp 80', OK],
    // the policy of lower order is asked first
    ['ops', 'web1', 'tcp 25', NO],
    ['ops', 'web2', 'icmp', OK],
    // a profile's rule is never reached where the tier did not pass the packet on
    ['ops', 'web2', 'tcp 80', NO],
    ['web1', 'app1', 'tcp 7890', NO],
    ['app1', 'db1', 'tcp 3306', OK],
    ['bare', 'web1', 'tcp 80', NO],
  ])
})

describe('host endpoints', () => {
  const dataplanes = world(`
apiVersion: v1
kind: hostEndpoint
metadata: {name: eth0, node: n1, labels: {host: edge}}
spec: {expectedIPs: [${HOST}], profiles: [EDGE]}
---
apiVersion: v1
kind: profile
metadata: {name: EDGE}
spec: {ingress: [{action: allow, protocol: tcp, destination: {ports: [8080]}}], egress: [{action: allow, protocol: udp}]}
---
apiVersion: v1
kind: policy
metadata: {name: free}
spec:
  order: 1
  selector: host == 'edge'
  doNotTrack: true
  ingress: [{action: allow, protocol: udp, destination: {ports: [5000]}}]
  egress: [{action: allow, protocol: udp, source: {ports: [5000]}}]
`)

  itSends(dataplanes, addressOf, [
    ['client', 'host', 'tcp 8080', OK],
    ['client', 'host', 'tcp 8081', NO],
    ['client', 'host', 'icmp', NO],
    // failsafe
    ['client', 'host', 'tcp 22', OK],
    ['host', 'client', 'tcp 2379', OK],
    ['host', 'client', 'tcp 80', NO],
    ['host', 'client', 'udp 80', OK],
    // let through before connections are tracked
    ['client', 'host', 'udp 5000', OK],
    // a workload's packet is none of the host endpoint's business
    ['client', 'web1', 'tcp 80', OK],
    ['web1', 'client', 'tcp 80', OK],
  ])
})

describe('where somebody looks closer', () => {
  it('a MAC that is not the endpoint’s', () => {
    const wrong = world('', { ...PODS, web1: { ...PODS.web1, more: ', mac: "02:00:00:00:00:99"' } })
    expect(send(wrong, { from: 'web1', src: PODS.web1.address, dst: CLIENT, what: 'tcp 80' })).toBe(NO)
    // it is looked at on the way out alone
    expect(send(wrong, { from: 'client', src: CLIENT, dst: PODS.web1.address, what: 'tcp 81' })).toBe(NO)
  })
})
