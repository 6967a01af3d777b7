/** HostEndpoint, WorkloadEndpoint, NetworkSet, GlobalNetworkSet: objects → types. */
import * as v from 'valibot'
import type { InferOutput } from 'valibot'
import type { Cidr } from '../../base/cidr.js'
import { parseMac } from '../../base/mac.js'
import type { Labels } from '../labels.js'
import type { Path } from '../located.js'
import type { KubernetesObject } from '../manifest.js'
import type { ProblemList } from '../problem-list.js'
import { lazily } from '../schema.js'
import type { HostEndpoint, WorkloadEndpoint } from './endpoint.js'
import type { NetworkSet } from './network-set.js'
import { given, list, resourceSchema, ResourceReader, text, texts } from './resource-reader.js'
import type { EndpointPort } from './resource.js'

const ports = () => list(v.looseObject({ name: text(), protocol: v.union([v.number(), v.string()]), port: v.number() }))

const hostEndpointSchema = lazily(() => resourceSchema({ node: text(), interfaceName: text(), expectedIPs: texts(), profiles: texts(), ports: ports() }))

export function readHostEndpoint(object: KubernetesObject, problems: ProblemList): HostEndpoint | undefined {
  const reader = new ResourceReader(object, problems)
  const value = reader.check(hostEndpointSchema(), 'name')
  if (value === undefined) return undefined
  const spec = value.spec ?? {}
  if (!spec.node) reader.error(['spec', 'node'], 'the host endpoint says no node', 'Write spec.node.')
  if (!spec.interfaceName && (spec.expectedIPs ?? []).length === 0)
    reader.error(['spec'], 'neither interfaceName nor expectedIPs', 'Say which interface it is; "*" is all of them.')
  return {
    ...reader.head(value.metadata),
    node: spec.node ?? '',
    ...given({ interfaceName: spec.interfaceName || undefined }),
    expectedIPs: reader.addresses(spec.expectedIPs, ['spec', 'expectedIPs']),
    profiles: spec.profiles ?? [],
    ports: readPorts(spec.ports, ['spec', 'ports'], reader),
  }
}

function readPorts(values: InferOutput<ReturnType<typeof ports>>, path: Path, reader: ResourceReader): EndpointPort[] {
  return (values ?? []).flatMap(({ name, protocol, port }, index) => {
    const known = reader.protocol(protocol, [...path, index, 'protocol'])
    return known === undefined || !name ? [] : [{ name, protocol: known, port }]
  })
}

const workloadEndpointSchema = lazily(() =>
  resourceSchema({
    orchestrator: text(),
    workload: text(),
    node: text(),
    containerID: text(),
    pod: text(),
    endpoint: text(),
    serviceAccountName: text(),
    ipNetworks: texts(),
    ipNATs: list(v.looseObject({ internalIP: v.string(), externalIP: v.string() })),
    profiles: texts(),
    interfaceName: text(),
    mac: text(),
    ports: ports(),
    allowSpoofedSourcePrefixes: texts(),
  }),
)

export function readWorkloadEndpoint(object: KubernetesObject, problems: ProblemList): WorkloadEndpoint | undefined {
  const reader = new ResourceReader(object, problems)
  const value = reader.check(workloadEndpointSchema())
  if (value === undefined) return undefined
  const spec = value.spec ?? {}
  const mac = spec.mac ? parseMac(spec.mac) : undefined
  if (spec.mac && mac === undefined) reader.error(['spec', 'mac'], `${JSON.stringify(spec.mac)} is no MAC address`, 'Write it like ee:ee:ee:ee:ee:ee.')
  if (!spec.node) reader.error(['spec', 'node'], 'the endpoint says no node', 'Write spec.node.')
  if (!spec.interfaceName) reader.error(['spec', 'interfaceName'], 'the endpoint says no interface', "Write the host's end, like cali0123456789a.")
  const head = reader.head(value.metadata)
  return {
    ...head,
    labels: { ...head.labels, ...ownLabels(object.namespace, spec.orchestrator || 'k8s') },
    namespace: object.namespace,
    node: spec.node ?? '',
    orchestrator: spec.orchestrator || 'k8s',
    workload: spec.workload || spec.orchestrator || 'k8s',
    pod: spec.pod ?? '',
    endpoint: spec.endpoint || 'eth0',
    ...given({ containerId: spec.containerID || undefined, serviceAccount: spec.serviceAccountName || undefined, mac }),
    interfaceName: spec.interfaceName ?? '',
    ipNetworks: prefixes(spec.ipNetworks, ['spec', 'ipNetworks'], reader),
    ipNats: (spec.ipNATs ?? []).flatMap(({ internalIP, externalIP }, index) => {
      const internal = reader.address(internalIP, ['spec', 'ipNATs', index, 'internalIP'])
      const external = reader.address(externalIP, ['spec', 'ipNATs', index, 'externalIP'])
      return internal === undefined || external === undefined ? [] : [{ internal, external }]
    }),
    profiles: spec.profiles ?? [],
    ports: readPorts(spec.ports, ['spec', 'ports'], reader),
    allowedSourcePrefixes: prefixes(spec.allowSpoofedSourcePrefixes, ['spec', 'allowSpoofedSourcePrefixes'], reader),
  }
}

/** What Calico's API writes over a stored endpoint's labels (updateLabelsForStorage). */
function ownLabels(namespace: string, orchestrator: string): Labels {
  return { 'projectcalico.org/namespace': namespace, 'projectcalico.org/orchestrator': orchestrator }
}

function prefixes(values: readonly string[] | null | undefined, path: Path, reader: ResourceReader): Cidr[] {
  return reader.nets(values, path).flatMap((net) => (net.family === 4 ? [net.cidr] : []))
}

const networkSetSchema = lazily(() => resourceSchema({ nets: texts() }))

/** NetworkSet and GlobalNetworkSet. */
export function readNetworkSet(object: KubernetesObject, problems: ProblemList): NetworkSet | undefined {
  const reader = new ResourceReader(object, problems)
  const value = reader.check(networkSetSchema(), 'name')
  if (value === undefined) return undefined
  if (Object.hasOwn(value.metadata.labels ?? {}, 'projectcalico.org/namespace'))
    reader.error(['metadata', 'labels', 'projectcalico.org/namespace'], 'a label that is Calico’s own', 'Leave it out: Felix gives it.')
  return { ...reader.head(value.metadata), namespace: object.namespace, nets: reader.nets(value.spec?.nets, ['spec', 'nets']) }
}
