/**
 * The classic model → the keys that etcd holds, in the order of a listing: what `etcdctl ls --recursive /calico` and a get of each would show.
 * Source: felix 1.4.9 calico/datamodel_v1.py; libcalico-go v1.0 lib/backend/model (order of the fields), lib/backend/compat (a profile and a
 * node are several keys).
 */
import { formatCidr } from '../../base/cidr.js'
import { formatIp } from '../../base/ip.js'
import { formatMac } from '../../base/mac.js'
import type { JsonObject, JsonValue } from '../located.js'
import { sorted } from './classic-etcd.js'
import type { ClassicBgpPeer, ClassicHostEndpoint, ClassicModel, ClassicRules, ClassicSettings, ClassicWorkloadEndpoint } from './classic-model.js'
import { classicRuleJson } from './classic-rule-json.js'

export interface EtcdPair {
  readonly key: string
  readonly value: string
}

export function classicEtcdTree(model: ClassicModel): readonly EtcdPair[] {
  const pairs: EtcdPair[] = [
    pair('/calico/v1/Ready', String(model.ready)),
    ...settingPairs('/calico/v1/config', model.settings),
    ...[...model.hostSettings].flatMap(([host, settings]) => settingPairs(`/calico/v1/host/${host}/config`, settings)),
    ...model.pools.map(({ cidr, ipip, ipipMode, masquerade, disabled }) =>
      pair(`/calico/v1/ipam/v4/pool/${formatCidr(cidr).replace('/', '-')}`, {
        cidr: formatCidr(cidr),
        ipip: ipip ? 'tunl0' : '',
        ...(ipip && ipipMode === 'CrossSubnet' ? { ipip_mode: 'cross-subnet' } : {}),
        masquerade,
        ipam: !disabled,
        disabled,
      }),
    ),
    ...model.profiles.flatMap(({ name, rules, tags, labels }) => [
      ...(rules === undefined ? [] : [pair(`/calico/v1/policy/profile/${name}/rules`, { id: name, ...rulesJson(rules) })]),
      pair(`/calico/v1/policy/profile/${name}/tags`, tags),
      ...(Object.keys(labels).length === 0 ? [] : [pair(`/calico/v1/policy/profile/${name}/labels`, labels)]),
    ]),
    ...model.tiers.map(({ name, order }) => pair(`/calico/v1/policy/tier/${name}/metadata`, orderJson(order))),
    ...model.policies.map(({ tier, name, order, selector, rules, untracked }) =>
      pair(`/calico/v1/policy/tier/${tier}/policy/${name}`, {
        ...orderJson(order),
        ...rulesJson(rules),
        selector,
        ...(untracked ? { untracked } : {}),
      }),
    ),
    ...model.workloadEndpoints.map(workloadEndpointPair),
    ...model.hostEndpoints.map(hostEndpointPair),
    pair('/calico/bgp/v1/global/as_num', String(model.asNumber)),
    pair('/calico/bgp/v1/global/node_mesh', { enabled: model.nodeMesh }),
    ...model.bgpPeers.map(peerPair),
    ...model.nodes.flatMap(({ name, address, asNumber }) => [
      pair(`/calico/v1/host/${name}/metadata`, {}),
      ...(address === undefined ? [] : [pair(`/calico/v1/host/${name}/bird_ip`, formatIp(address))]),
      pair(`/calico/bgp/v1/host/${name}/ip_addr_v4`, address === undefined ? '' : formatIp(address)),
      pair(`/calico/bgp/v1/host/${name}/ip_addr_v6`, ''),
      ...(asNumber === undefined ? [] : [pair(`/calico/bgp/v1/host/${name}/as_num`, String(asNumber))]),
    ]),
  ]
  return sorted(pairs, ({ key }) => key)
}

/** Text stays text; everything else is JSON. */
function pair(key: string, value: JsonValue): EtcdPair {
  return { key, value: typeof value === 'string' ? value : JSON.stringify(value) }
}

function settingPairs(path: string, settings: ClassicSettings): EtcdPair[] {
  return [...settings].map(([name, { value }]) => pair(`${path}/${name}`, value))
}

function orderJson(order: number): JsonObject {
  return order === Infinity ? {} : { order }
}

function rulesJson({ inbound, outbound }: ClassicRules): JsonObject {
  return { inbound_rules: inbound.map(classicRuleJson), outbound_rules: outbound.map(classicRuleJson) }
}

function workloadEndpointPair(endpoint: ClassicWorkloadEndpoint): EtcdPair {
  const { node, orchestrator, workload, name, active, interfaceName, mac, profiles, ipNetworks, ipNats, labels } = endpoint
  return pair(`/calico/v1/host/${node}/workload/${orchestrator}/${workload}/endpoint/${name}`, {
    state: active ? 'active' : 'inactive',
    name: interfaceName,
    mac: mac === undefined ? null : formatMac(mac),
    profile_ids: profiles,
    ipv4_nets: ipNetworks.map(formatCidr),
    ipv6_nets: [],
    ...(ipNats.length === 0 ? {} : { ipv4_nat: ipNats.map(({ internal, external }) => ({ int_ip: formatIp(internal), ext_ip: formatIp(external) })) }),
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
  })
}

function hostEndpointPair({ node, name, interfaceName, expectedIPs, labels, profiles }: ClassicHostEndpoint): EtcdPair {
  return pair(`/calico/v1/host/${node}/endpoint/${name}`, {
    ...(interfaceName === undefined ? {} : { name: interfaceName }),
    ...(expectedIPs.length === 0 ? {} : { expected_ipv4_addrs: expectedIPs.map(formatIp) }),
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
    ...(profiles.length === 0 ? {} : { profile_ids: profiles }),
  })
}

function peerPair({ node, peerIP, asNumber }: ClassicBgpPeer): EtcdPair {
  const where = node === undefined ? 'global' : `host/${node}`
  return pair(`/calico/bgp/v1/${where}/peer_v4/${formatIp(peerIP)}`, { ip: formatIp(peerIP), as_num: String(asNumber) })
}
