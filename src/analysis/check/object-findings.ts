/** What the cluster's objects say by themselves: policies without an engine, hosts that do not forward, bridges whose packets iptables never sees. */
import type { Cluster } from '../../cluster/cluster.js'
import { CALICO_GROUPS, groupOf } from '../../cluster/kinds.js'
import type { KubernetesObject } from '../../cluster/manifest.js'
import { finding } from './catalogue.js'
import type { Evidence, Finding } from '../../base/finding.js'
import { settingEvidence, sysctlOf } from './settings.js'

const MOST_POLICIES = 20
const BRIDGE_NF = 'net.bridge.bridge-nf-call-iptables'
const IP_FORWARD = 'net.ipv4.ip_forward'

export function policyFindings(cluster: Cluster): readonly Finding[] {
  if (cluster.cni !== 'flannel' && cluster.cni !== 'none') return []
  const calico = cluster.objects.filter(({ apiVersion, kind }) => CALICO_GROUPS.includes(groupOf(apiVersion)) && kind.endsWith('NetworkPolicy'))
  const ignored: readonly KubernetesObject[] = [...cluster.networkPolicies.map(({ object }) => object), ...calico]
  if (ignored.length === 0) return []
  const evidence = ignored
    .slice(0, MOST_POLICIES)
    .map((object): Evidence => ({ what: object.label, object: object.label, file: object.file, line: object.line }))
  const who = cluster.cni === 'flannel' ? 'flannel' : 'plain docker'
  const count = ignored.length === 1 ? `${ignored[0].label} has` : `${ignored.length} policies have`
  return [finding('NM601', { what: `${count} no effect: ${who} enforces none`, evidence })]
}

/** @param isMet a packet showed it already */
export function forwardingFindings(cluster: Cluster, isMet: (node: string) => boolean): readonly Finding[] {
  return nodesWithPods(cluster).flatMap((node) => {
    if (sysctlOf(cluster, node, IP_FORWARD)?.value !== 0 || isMet(node)) return []
    return finding('NM101', { what: `${node} has pods and does not forward`, evidence: settingEvidence(cluster, 'NM101', node) })
  })
}

/** Only where a bridge carries the pods and Services are translated. */
export function bridgeFindings(cluster: Cluster): readonly Finding[] {
  const services = cluster.services.filter(({ clusterIP }) => clusterIP !== undefined).length
  if (services === 0 || cluster.kubeProxy.mode === 'none' || cluster.cni === 'calico' || cluster.cni === 'canal') return []
  return nodesWithPods(cluster).flatMap((node) => {
    const setting = sysctlOf(cluster, node, BRIDGE_NF)
    if (setting?.value !== 0) return []
    const { file, line } = setting
    return finding('NM107', {
      what: `${node}: packets between two of its pods pass iptables by, and there ${services === 1 ? 'is 1 Service' : `are ${services} Services`}`,
      evidence: [{ what: `${node}: ${BRIDGE_NF} = 0`, by: 'owner of the host', file, line }],
    })
  })
}

function nodesWithPods({ pods }: Cluster): readonly string[] {
  return [...new Set(pods.flatMap(({ node, hostNetwork, terminated }) => (node === undefined || hostNetwork || terminated ? [] : [node])))]
}
