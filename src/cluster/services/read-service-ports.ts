/** spec.ports of a Service. Source of what is refused: kubernetes pkg/apis/core/validation ValidateService, validateServicePort. */
import type { KubernetesObject } from '../manifest.js'
import type { ProblemList } from '../problem-list.js'
import { formatPlace } from '../problem-list.js'
import { nameFault } from '../fields.js'
import type { ClusterService, ServicePort } from './service.js'
import type { ServiceSpec } from './service-schema.js'

interface Surroundings extends Pick<ClusterService, 'type' | 'headless'> {
  readonly object: KubernetesObject
}

/** In their order; one that repeats another is reported and left out. */
export function readServicePorts(spec: ServiceSpec, { type, headless, object }: Surroundings, problems: ProblemList): ServicePort[] {
  const written = spec.ports ?? []
  const ports: ServicePort[] = []
  if (written.length === 0 && !headless && type !== 'ExternalName')
    problems.error(object.at('spec', 'ports'), object.label, 'a Service without ports', 'Write spec.ports; only a headless one needs none.')
  for (const [index, { name, protocol, port, targetPort, nodePort }] of written.entries()) {
    const place = object.at('spec', 'ports', index)
    const read: ServicePort = {
      name: name ?? '',
      protocol: protocol || 'TCP',
      port,
      targetPort: targetPort || port,
      ...(nodePort ? { nodePort } : {}),
      nodePortAssumed: false,
      ...place,
    }
    const error = (field: string, what: string, fix: string): void => {
      problems.error(object.at('spec', 'ports', index, field), object.label, what, fix)
    }
    if (read.name === '' && written.length > 1) error('name', `port ${port} has no name`, 'Where a Service has several ports, each needs a name of its own.')
    const fault = read.name === '' ? undefined : nameFault(read.name, 'label')
    if (fault !== undefined) error('name', `port ${port}: ${fault.what}`, fault.fix)
    const named = read.name === '' ? undefined : ports.find((other) => other.name === read.name)
    if (named !== undefined) error('name', `two ports are called ${read.name}, the other in ${formatPlace(named)}`, 'Give each its own name.')
    const same = ports.find((other) => other.port === port && other.protocol === read.protocol)
    if (same !== undefined) error('port', `port ${port}/${read.protocol} stands here and in ${formatPlace(same)}`, 'Keep one of them.')
    if (nodePort && (type === 'ClusterIP' || type === 'ExternalName'))
      error('nodePort', `nodePort ${nodePort} on a Service of type ${type}`, 'Write type: NodePort, or leave nodePort out.')
    const nodePorts = ports.find((other) => nodePort && other.nodePort === nodePort && other.protocol === read.protocol)
    if (nodePorts !== undefined)
      error('nodePort', `nodePort ${nodePort}/${read.protocol} stands here and in ${formatPlace(nodePorts)}`, 'Give each port its own.')
    if (same === undefined && named === undefined) ports.push(type === 'ClusterIP' || type === 'ExternalName' ? withoutNodePort(read) : read)
  }
  return ports
}

function withoutNodePort({ nodePort: _, ...port }: ServicePort): ServicePort {
  return port
}
