/** Services with nobody behind them, and why. From the endpoints that kube-proxy is told of. */
import type { Labels } from '../../cluster/labels.js'
import type { ClusterPod } from '../../cluster/pod.js'
import type { ServiceEndpoints, ServicePort } from '../../cluster/services/service.js'
import { finding } from './catalogue.js'
import type { Evidence, Finding } from './finding.js'
import { podName } from './pair-classes.js'

export function endpointFindings(services: readonly ServiceEndpoints[], pods: readonly ClusterPod[]): readonly Finding[] {
  return services.flatMap((one) => {
    const { service } = one
    if (service.type === 'ExternalName') return []
    const name = `${service.namespace}/${service.name}`
    const evidence = (what: string): readonly Evidence[] => [{ what, object: service.object.label, file: service.file, line: service.line }]
    if (service.ports.length === 0) {
      if (one.addresses.length > 0) return []
      return finding('NM401', { what: `${name}: ${nobody(one, pods)}`, evidence: evidence('the Service'), ...effectOf(one) })
    }
    const empty = one.ports.filter(({ endpoints }) => endpoints.every(({ ready, serving, terminating }) => !ready && !(serving && terminating)))
    if (empty.length === 0) return []
    const all = empty.length === one.ports.length
    const which = all ? '' : ` port ${empty.map(({ port }) => portWords(port)).join(', ')}`
    const why = empty.some(({ endpoints }) => endpoints.length > 0) ? notReady(empty.flatMap(({ endpoints }) => endpoints)) : nobody(one, pods, empty[0].port)
    const place = all
      ? evidence('the Service')
      : [{ what: `port ${portWords(empty[0].port)}`, object: service.object.label, file: empty[0].port.file, line: empty[0].port.line }]
    return finding('NM401', { what: `${name}${which}: ${why}`, evidence: place, ...effectOf(one) })
  })
}

/** Nobody is sent to an address of its own; a name has none. */
function effectOf({ service }: ServiceEndpoints): { readonly effect?: string } {
  return service.headless ? { effect: 'Its name resolves to nothing.' } : {}
}

function portWords({ name, port, protocol }: ServicePort): string {
  return name === '' ? `${port}/${protocol}` : `${name} (${port}/${protocol})`
}

function notReady(endpoints: readonly { readonly pod?: ClusterPod }[]): string {
  const names = [...new Set(endpoints.flatMap(({ pod }) => (pod === undefined ? [] : [podName(pod)])))]
  const shown = names.slice(0, 3).join(', ')
  return names.length === 0 ? 'none of its endpoints is ready' : `none of its pods is ready: ${shown}${names.length > 3 ? ` and ${names.length - 3} more` : ''}`
}

function nobody({ service, from }: ServiceEndpoints, pods: readonly ClusterPod[], port?: ServicePort): string {
  const { selector, namespace } = service
  if (selector === undefined || Object.keys(selector).length === 0)
    return from === 'nobody' ? 'it has no selector, and there are no Endpoints of its name' : `its ${from} list nobody`
  const near = pods.filter((pod) => pod.namespace === namespace && !pod.terminated)
  const selected = near.filter(({ labels }) => Object.entries(selector).every(([key, value]) => labels[key] === value))
  if (selected.length === 0) return noneSelected(selector, namespace, near)
  const pending = selected.filter((pod) => pod.node === undefined || pod.pending !== undefined)
  if (pending.length === selected.length)
    return `its pods are pending: ${podName(pending[0])}${pending[0].pending === undefined ? '' : ` (${pending[0].pending})`}`
  if (port !== undefined && typeof port.targetPort === 'string' && !selected.some(({ ports }) => ports.some(({ name }) => name === port.targetPort)))
    return `no pod that it selects has a port named ${port.targetPort}`
  return from === 'pods' ? `none of its pods is ready: ${podName(selected[0])}` : `its ${from} list nobody, though ${podName(selected[0])} matches its selector`
}

/** The terms that most pods of the namespace miss, with what they have instead. */
function noneSelected(selector: Labels, namespace: string, pods: readonly ClusterPod[]): string {
  const words = Object.entries(selector)
    .map(([key, value]) => `${key}=${value}`)
    .join(',')
  const nothing = `its selector ${words} matches no pod of namespace ${namespace}`
  const missed = Object.entries(selector).find(([key, value]) => pods.every(({ labels }) => labels[key] !== value))
  if (missed === undefined) return `${nothing}: no pod has all of these labels`
  const others = [...new Set(pods.flatMap(({ labels }) => labels[missed[0]] ?? []))]
  return others.length === 0 ? nothing : `${nothing}: ${missed[0]} is ${others.slice(0, 3).join(', ')}${others.length > 3 ? ', …' : ''} there`
}
