/**
 * Who looks after what it wrote, and when: from who wrote a thing to a sentence that is true of that agent. Sources: flannel pkg/trafficmngr/iptables
 * (SetupAndEnsure… with --iptables-resync), pkg/backend/route_network.go (routeCheck), pkg/backend/vxlan (events alone); Felix dataplane/linux/
 * int_dataplane.go (refresh timers), vxlan_mgr.go and ipip_mgr.go (Keep…InSync); BIRD sysdep/unix/krt.c (krt_prune); kube-proxy pkg/proxy/iptables/proxier.go
 * (needFullSync, Monitor of the canary chains).
 */
import { DELAYS } from '../../cluster/scenario/delays.js'
import { mend } from './shell-words.js'

export type Part = 'iptables' | 'ipset' | 'route' | 'neighbour' | 'device' | 'sysctl'

const SECOND = 1e9
const seconds = (name: keyof typeof DELAYS): string => `${DELAYS[name].defaultNs / SECOND} s`

const NOBODY = 'nobody puts it back by itself'

/** Of what no agent made. */
export const LEFT_ALONE = 'nobody takes it away by itself'

/** @param by of the provenance @param backend of flannel */
export function repairOf(by: string | undefined, part: Part, backend = ''): string {
  const agent = (by ?? '').toLowerCase()
  if (agent.startsWith('flannel')) return ofFlannel(part, backend)
  if (agent.startsWith('felix')) return ofFelix(part)
  if (agent === 'bird')
    return `BIRD holds its table against the kernel's every ${seconds('bird.kernelScan')}: if it stays, BIRD does not run or has another table`
  if (agent.startsWith('kube-proxy')) return ofKubeProxy(part)
  if (agent.startsWith('docker')) return 'dockerd writes it when it starts, or when a container does: systemctl restart docker'
  if (/plugin|portmap|calico-ipam|host-local/.test(agent)) return 'the CNI plugin does it once, when a pod is made: delete the pod, and its successor has it'
  if (agent.startsWith('kubelet')) return 'the kubelet looks whether its chains are there every minute, and writes them anew'
  return NOBODY
}

/** Restarting the agent makes all of it anew. */
export function restartOf(by: string | undefined, node: string): string | undefined {
  const agent = (by ?? '').toLowerCase()
  const pods = (namespace: string, label: string): string => mend`kubectl -n ${namespace} delete pod -l ${label} --field-selector spec.nodeName=${node}`
  if (agent.startsWith('flannel')) return pods('kube-flannel', 'app=flannel')
  if (agent.startsWith('felix') || agent === 'bird') return pods('calico-system', 'k8s-app=calico-node')
  if (agent.startsWith('kube-proxy')) return pods('kube-system', 'k8s-app=kube-proxy')
  if (agent.startsWith('docker')) return 'systemctl restart docker'
  return undefined
}

function ofFlannel(part: Part, backend: string): string {
  if (part === 'iptables') return 'flanneld looks for its rules every 5 s (--iptables-resync) and writes them anew: if it stays, flanneld does not run'
  if (part === 'route' && /^(host-gw|alloc|ipip)$/.test(backend))
    return 'flanneld looks for its routes every 10 s and adds those that are missing: if it stays, flanneld does not run'
  return 'flanneld writes it when it starts and when the lease changes, not in between: restart flanneld'
}

function ofFelix(part: Part): string {
  const refresh = seconds('felix.refresh')
  switch (part) {
    case 'iptables':
      return `Felix looks through its chains every ${refresh} (iptablesRefreshInterval) and writes them anew: if it stays, Felix does not run`
    case 'ipset':
      return `Felix looks through its sets every ${refresh} (ipsetsRefreshInterval) and mends them: if it stays, Felix does not run`
    case 'route':
    case 'neighbour':
      return `Felix looks through its routes every ${refresh} (routeRefreshInterval) and mends them: if it stays, Felix does not run`
    case 'device':
      return 'Felix looks after its tunnel every 10 s and makes it anew: if it stays, Felix does not run'
    case 'sysctl':
      return 'Felix sets it when the interface comes up, not in between'
  }
}

function ofKubeProxy(part: Part): string {
  if (part !== 'iptables') return 'kube-proxy sets it when it starts, not in between: restart kube-proxy'
  return (
    `kube-proxy looks for its canary chains every ${seconds('kubeProxy.syncPeriod')} and writes all anew when they are gone; single rules come back when the ` +
    'Service changes, or with the full sync of each hour: restart kube-proxy'
  )
}
