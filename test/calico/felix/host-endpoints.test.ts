/** Host endpoints: which one an interface has, and what becomes of packets to, from and through the host. Worked out by hand. */
import { describe, expect, it } from 'vitest'
import { ip } from '../../../src/base/ip.js'
import { renderFelix } from '../../../src/calico/felix/felix.js'
import { resolveHostEndpoints } from '../../../src/calico/felix/host-endpoints.js'
import { applyChainEdits } from '../../../src/dataplane/chain-edit.js'
import type { Dataplane } from '../../../src/dataplane/dataplane.js'
import { dataplaneOf } from '../../net/kit.js'
import { felixConfig } from './kit.js'
import { pool } from '../kit.js'
import { compiled, manifest, podEndpoint } from './manifest.js'
import { itSends, LISTENING, podNetns, send } from './send.js'

const HOST = '192.168.10.11'
const CLIENT = '192.168.10.50'
const POD = '10.65.0.2'

const hep = (name: string, spec: string): string =>
  `---\napiVersion: projectcalico.org/v3\nkind: HostEndpoint\nmetadata: {name: ${name}, labels: {host: edge}}\nspec: ${spec}\n`
const gnp = (name: string, spec: string): string =>
  `---\napiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: ${name}}\nspec: {selector: "host == 'edge'", ${spec}}\n`
const POLICIES = [
  gnp('web', 'types: [Ingress], ingress: [{action: Allow, protocol: TCP, destination: {ports: [80, 31000]}}]'),
  gnp('before-dnat', 'preDNAT: true, applyOnForward: true, types: [Ingress], ingress: [{action: Deny, protocol: TCP, destination: {ports: [31000]}}]'),
  gnp(
    'untracked',
    'doNotTrack: true, applyOnForward: true, types: [Ingress, Egress], ingress: [{action: Allow, protocol: UDP, destination: {ports: [5000]}}], ' +
      'egress: [{action: Allow, protocol: UDP, destination: {ports: [5001]}}]',
  ),
].join('')
const FORWARD = gnp('forward', 'applyOnForward: true, types: [Ingress], ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]')

function node(text: string): readonly Dataplane[] {
  const pods = [podEndpoint({ name: 'pod', address: POD, interfaceName: 'cali0' })]
  const part = renderFelix({
    config: felixConfig({ defaultEndpointToHostAction: 'Accept' }),
    policies: compiled(text, pods),
    workloadEndpoints: pods,
    hostEndpoints: manifest(text).resources.hostEndpoints,
    interfaces: [{ name: 'eth0', addresses: [ip(HOST)] }],
    pools: [pool('10.65.0.0/16')],
    hostAddresses: [ip(HOST)],
    remoteVteps: [],
    serviceCidrs: [],
  })
  const host = dataplaneOf(
    'host',
    1,
    `link eth0 veth client/eth0\nlink cali0 veth pod/eth0\naddr ${HOST}/24 dev eth0\nroute add ${POD}/32 dev cali0 scope link\n` +
      'sysctl net.ipv4.ip_forward=1\nsysctl net.ipv4.conf.cali0.proxy_arp=1\nsysctl net.ipv4.neigh.cali0.proxy_delay=0',
  )
  return [
    { ...host, iptables: applyChainEdits({ tables: [] }, part.edits), ipsets: part.ipsets },
    dataplaneOf('client', 2, `link eth0 veth host/eth0\naddr ${CLIENT}/24 dev eth0\nroute add 10.65.0.0/16 via ${HOST} dev eth0`),
    podNetns('pod', 3, { address: POD, hostDevice: 'cali0' }),
  ].map((one) => ({ ...one, sockets: LISTENING }))
}

const ADDRESSES: Readonly<Record<string, string>> = { host: HOST, client: CLIENT, pod: POD }
const addressOf = (name: string): string => ADDRESSES[name]
const OK = 'DELIVERED'
const NO = 'DENIED'

describe.each([
  ['interfaceName eth0', '{node: n1, interfaceName: eth0}'],
  ['expectedIPs', `{node: n1, expectedIPs: [${HOST}]}`],
])('a host endpoint by %s, without profiles', (_, spec) => {
  const dataplanes = node(hep('n1-eth0', spec) + POLICIES)

  itSends(dataplanes, addressOf, [
    ['client', 'host', 'tcp 80', OK],
    ['client', 'host', 'tcp 81', NO],
    ['client', 'host', 'icmp', NO],
    // failsafe
    ['client', 'host', 'tcp 22', OK],
    ['client', 'host', 'tcp 6443', OK],
    ['client', 'host', 'udp 22', NO],
    // pre-DNAT policy comes before the one that allows
    ['client', 'host', 'tcp 31000', NO],
    ['client', 'pod', 'tcp 31000', NO],
    // untracked
    ['client', 'host', 'udp 5000', OK],
    ['client', 'host', 'udp 5001', NO],
    ['host', 'client', 'udp 5001', OK],
    // no egress policy, and no profile that allows
    ['host', 'client', 'tcp 8000', NO],
    ['host', 'client', 'tcp 2379', OK],
    ['host', 'client', 'udp 53', OK],
    // forwarded traffic is free where no policy applies to it
    ['client', 'pod', 'tcp 80', OK],
    ['client', 'pod', 'tcp 81', OK],
    // host to local pod is never policed
    ['host', 'pod', 'tcp 81', OK],
  ])
})

describe('applyOnForward', () => {
  const dataplanes = node(hep('n1-eth0', '{node: n1, interfaceName: eth0}') + POLICIES + FORWARD)

  itSends(dataplanes, addressOf, [
    ['client', 'pod', 'tcp 80', OK],
    ['client', 'pod', 'tcp 81', NO],
    ['client', 'pod', 'tcp 22', NO],
  ])
})

describe('a host endpoint of all interfaces', () => {
  const all = hep('n1-all', '{node: n1, interfaceName: "*", profiles: [projectcalico-default-allow]}')

  it('with the profile that automatic ones have lets everything through', () => {
    const open = node(all)
    for (const what of ['tcp 81', 'icmp', 'udp 5001']) expect(send(open, { from: 'client', src: CLIENT, dst: HOST, what })).toBe(OK)
    expect(send(open, { from: 'host', src: HOST, dst: CLIENT, what: 'tcp 8000' })).toBe(OK)
  })

  it('knows pre-DNAT policy, and no untracked one', () => {
    const policed = node(hep('n1-all', '{node: n1, interfaceName: "*"}') + POLICIES)
    expect(send(policed, { from: 'client', src: CLIENT, dst: HOST, what: 'tcp 31000' })).toBe(NO)
    expect(send(policed, { from: 'client', src: CLIENT, dst: HOST, what: 'tcp 80' })).toBe(OK)
    expect(send(policed, { from: 'client', src: CLIENT, dst: HOST, what: 'udp 5000' })).toBe(NO)
  })
})

describe('which host endpoint an interface has', () => {
  const resolved = (text: string): string[] =>
    resolveHostEndpoints(manifest(text).resources.hostEndpoints, [
      { name: 'lo', addresses: [ip('127.0.0.1')] },
      { name: 'eth0', addresses: [ip(HOST)] },
      { name: 'eth1', addresses: [ip('10.9.0.1')] },
    ]).map(({ interfaceName, endpoint }) => `${interfaceName}=${endpoint.name}`)

  it('the first by name of those that fit, by name or by address alike', () => {
    expect(resolved(hep('b', '{node: n1, interfaceName: eth0}') + hep('a', `{node: n1, expectedIPs: [${HOST}]}`))).toEqual(['eth0=a'])
    expect(resolved(hep('a', `{node: n1, interfaceName: eth7, expectedIPs: [${HOST}]}`))).toEqual([])
  })

  it('`*` for the rest', () => {
    expect(
      resolved(hep('z', '{node: n1, interfaceName: "*"}') + hep('y', '{node: n1, interfaceName: "*"}') + hep('e', '{node: n1, interfaceName: eth1}')),
    ).toEqual(['eth1=e', 'any-interface-at-all=y'])
  })
})
