/** Services with nobody behind them, and why. From the endpoints that kube-proxy is told of; what the reader of the input found out is taken over. */
import type { Problem } from '../../base/problem.js'
import type { ClusterPod } from '../../cluster/pod.js'
import type { ClusterService, ServiceEndpoints, ServicePort } from '../../cluster/services/service.js'
import { finding } from './catalogue.js'
import type { Evidence, Finding } from '../../base/finding.js'
import { podName } from './pair-classes.js'

/** @param problems of the input: a selector that fits no pod, a port that no container has */
export function endpointFindings(services: readonly ServiceEndpoints[], pods: readonly ClusterPod[], problems: readonly Problem[]): readonly Finding[] {
  return services.flatMap((one) => {
    const { service } = one
    if (service.type === 'ExternalName') return []
    const empty = one.ports.filter(({ endpoints }) => endpoints.every(({ ready, serving, terminating }) => !ready && !(serving && terminating)))
    if (one.ports.length === 0 ? one.addresses.length > 0 : empty.length === 0) return []
    const told = problemOf(service, problems)
    const which = empty.length === one.ports.length ? '' : ` port ${empty.map(({ port }) => portWords(port)).join(', ')}`
    const found = finding('NM401', {
      what: `${service.namespace}/${service.name}${which}: ${told?.what ?? nobody(one, pods)}`,
      evidence: [evidenceOf(service, { told, port: which === '' ? undefined : empty[0].port })],
      ...(told === undefined || told.fix === '' ? {} : { fix: told.fix }),
      // no one is sent to an address of its own; the name resolves to nobody
      ...(service.headless ? { effect: 'Its name resolves to nothing.' } : {}),
      ...(isApiServer(service) ? { severity: 'info' as const } : {}),
    })
    return [found]
  })
}

/** The API server lists itself; a dump seldom holds that. */
function isApiServer({ namespace, name, selector }: ClusterService): boolean {
  return namespace === 'default' && name === 'kubernetes' && selector === undefined
}

/** The Problem that stands where its endpoints come from: its selector, its ports, or the object where it has neither. */
function problemOf({ object, selector, ports }: ClusterService, problems: readonly Problem[]): Problem | undefined {
  const lines = new Set([
    ...Object.keys(selector ?? {}).map((key) => object.at('spec', 'selector', key).line),
    ...ports.map((_, index) => object.at('spec', 'ports', index, 'targetPort').line),
    ...(selector === undefined ? [object.line] : []),
  ])
  return problems.find((problem) => problem.object === object.label && problem.file === object.file && lines.has(problem.line))
}

function evidenceOf(service: ClusterService, { told, port }: { readonly told: Problem | undefined; readonly port: ServicePort | undefined }): Evidence {
  const { file, line } = told ?? port ?? service
  return { what: port === undefined ? 'the Service' : `port ${portWords(port)}`, object: service.object.label, ...(line === 0 ? {} : { file, line }) }
}

function portWords({ name, port, protocol }: ServicePort): string {
  return name === '' ? `${port}/${protocol}` : `${name} (${port}/${protocol})`
}

function nobody({ service, from, ports, addresses }: ServiceEndpoints, pods: readonly ClusterPod[]): string {
  const listed = [...addresses, ...ports.flatMap(({ endpoints }) => endpoints)]
  const { selector, namespace } = service
  if (listed.length > 0) return notReady(listed.flatMap(({ pod }) => pod ?? []))
  if (selector === undefined) return from === 'nobody' ? 'it has no selector, and nothing lists its endpoints' : `its ${from} list nobody`
  const selected = pods.filter(
    (pod) => pod.namespace === namespace && !pod.terminated && Object.entries(selector).every(([key, value]) => pod.labels[key] === value),
  )
  if (selected.length === 0) return `its selector matches no pod of namespace ${namespace}`
  const pending = selected.find((pod) => pod.pending !== undefined)
  if (pending !== undefined) return `its pods are pending: ${podName(pending)} (${pending.pending ?? ''})`
  return from === 'pods' ? notReady(selected) : `its ${from} list nobody, though ${podName(selected[0])} matches its selector`
}

function notReady(pods: readonly ClusterPod[]): string {
  const names = [...new Set(pods.map(podName))]
  const shown = names.slice(0, 3).join(', ')
  return names.length === 0 ? 'none of its endpoints is ready' : `none of its pods is ready: ${shown}${names.length > 3 ? ` and ${names.length - 3} more` : ''}`
}
