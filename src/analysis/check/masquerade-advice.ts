/** A rule that rewrites addresses of pods → where its agent was told to, and what to tell it instead. */
import type { Network } from '../../network/network.js'
import type { Evidence } from '../../base/finding.js'
import type { RuleFact } from './walk-facts.js'

/** undefined: the code's own advice stands. */
export function masqueradeAdvice({ cluster }: Network, rule: RuleFact | undefined): string | undefined {
  const from = rule?.provenance
  if (from === undefined) return undefined
  const place = from.file === undefined ? '' : ` (${from.file}:${from.line ?? 0})`
  switch (from.by) {
    case 'docker':
      return cluster.cni === 'flannel'
        ? 'start flanneld with --ip-masq and dockerd with --ip-masq=false, as mk-docker-opts.sh then writes it (Network document: spec.flannel.ipMasq: true)'
        : 'start dockerd with --ip-masq=false'
    case 'bridge plugin':
      return "set ipMasq to false in the CNI configuration (flannel's plugin does so when flanneld runs with --ip-masq), or let flanneld masquerade"
    case 'flanneld':
      return "make flannel's Network cover both pods: flanneld masquerades what leaves it, or comes from outside it"
    case 'felix':
      return 'make an IPPool cover both pods: natOutgoing masquerades what is for no pool'
    case 'kube-proxy':
      return "tell kube-proxy the pods' network (clusterCIDR), and leave masqueradeAll off"
    default:
      return `change the rule${place} so that it leaves out packets whose source and destination are both pods or nodes`
  }
}

/** The line of the input that made the agent write it; undefined where the rule bears its own, or nothing of the input says. */
export function masqueradeSetting({ cluster }: Network, rule: RuleFact | undefined): Evidence | undefined {
  const from = rule?.provenance
  const document = cluster.networkDocument
  if (from === undefined || from.file !== undefined || document === undefined) return undefined
  if (cluster.cni !== 'flannel' || cluster.flannel.ipMasq || (from.by !== 'docker' && from.by !== 'bridge plugin')) return undefined
  const place = document.object.at('spec', 'flannel', 'ipMasq')
  return { what: 'flanneld does not masquerade, so that the container runtime does', object: document.object.label, ...place }
}
