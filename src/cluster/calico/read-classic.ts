/**
 * The input → the classic model, where it holds one: keys of etcd, calicoctl 1.x's resources, or both (calicoctl would have written the resources
 * over the keys). Without keys, what calico/node writes when it starts is taken to be there.
 */
import { formatCidr } from '../../base/cidr.js'
import { formatIp } from '../../base/ip.js'
import type { KubernetesObject } from '../manifest.js'
import type { EtcdEntry } from '../network-document.js'
import type { ProblemList } from '../problem-list.js'
import { holdsClassicKeys, readClassicEtcd, sorted } from './classic-etcd.js'
import { isClassicKind } from './classic-identity.js'
import { CLASSIC_TIER, EMPTY_CLASSIC, type ClassicModel, type ClassicSetting } from './classic-model.js'
import {
  readClassicBgpPeer,
  readClassicHostEndpoint,
  readClassicNode,
  readClassicPolicy,
  readClassicPool,
  readClassicProfile,
  readClassicWorkloadEndpoint,
} from './classic-resources.js'

/** undefined: nothing of the classic model is in the input. Never throws on bad input. */
export function readClassic(objects: readonly KubernetesObject[], entries: readonly EtcdEntry[], problems: ProblemList): ClassicModel | undefined {
  const own = objects.filter(({ apiVersion, kind }) => isClassicKind(apiVersion, kind))
  const inEtcd = holdsClassicKeys(entries)
  if (own.length === 0 && !inEtcd) return undefined
  const stored = inEtcd ? readClassicEtcd(entries, problems) : EMPTY_CLASSIC
  if (inEtcd && !stored.ready && own.length === 0) {
    const first = entries.find(({ key }) => key.startsWith('/calico/'))
    problems.warning(
      first ?? { file: '', line: 0 },
      '/calico/v1/Ready',
      'Ready is not true: Felix waits for it and programs nothing',
      'calicoctl writes it when the first node starts.',
    )
  }
  const read = <Item>(kind: string, reader: (object: KubernetesObject, problems: ProblemList) => Item | undefined): Item[] =>
    own.filter((object) => object.kind === kind).flatMap((object) => reader(object, problems) ?? [])
  const over = <Item>(older: readonly Item[], newer: readonly Item[], keyOf: (item: Item) => string): Item[] =>
    sorted(new Map([...older, ...newer].map((item) => [keyOf(item), item])).values(), keyOf)
  const model: ClassicModel = {
    ...stored,
    ready: stored.ready || own.length > 0,
    pools: over(stored.pools, read('ipPool', readClassicPool), ({ cidr }) => formatCidr(cidr)),
    profiles: over(stored.profiles, read('profile', readClassicProfile), ({ name }) => name),
    policies: over(stored.policies, read('policy', readClassicPolicy), ({ tier, name }) => `${tier}/${name}`),
    workloadEndpoints: over(
      stored.workloadEndpoints,
      read('workloadEndpoint', readClassicWorkloadEndpoint),
      ({ node, orchestrator, workload, name }) => `${node}/${orchestrator}/${workload}/${name}`,
    ),
    hostEndpoints: over(stored.hostEndpoints, read('hostEndpoint', readClassicHostEndpoint), ({ node, name }) => `${node}/${name}`),
    bgpPeers: over(stored.bgpPeers, read('bgpPeer', readClassicBgpPeer), ({ node, peerIP }) => `${node ?? ''}/${formatIp(peerIP)}`),
    nodes: over(stored.nodes, read('node', readClassicNode), ({ name }) => name),
  }
  return inEtcd ? model : started(model)
}

/** What calico/node and calicoctl write by themselves: the prefix, IPIP where a pool has it, and the tier that policies without one are in. */
function started(model: ClassicModel): ClassicModel {
  const setting = (value: string): ClassicSetting => ({ value, file: '', line: 0 })
  return {
    ...model,
    tiers: [{ name: CLASSIC_TIER, order: Infinity, file: '', line: 0 }],
    settings: new Map([
      ['InterfacePrefix', setting('cali')],
      ['IpInIpEnabled', setting(String(model.pools.some(({ ipip }) => ipip)))],
      ['DefaultEndpointToHostAction', setting('RETURN')],
    ]),
  }
}
