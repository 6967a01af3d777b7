/** The containers of a pod's spec → what they listen on, how the kubelet probes them, and what they ask of a node. */
import type { InferOutput } from 'valibot'
import type { podSchema } from './kubernetes-schemas.js'
import type { KubernetesObject } from './manifest.js'
import type { ProblemList } from './problem-list.js'
import { readQuantities } from './quantity.js'

export interface ContainerPort {
  readonly port: number
  readonly protocol: 'TCP' | 'UDP' | 'SCTP'
  readonly name?: string
  readonly hostPort?: number
  readonly hostIP?: string
  readonly line: number
}

/** How the kubelet asks whether a container lives; the node's process is the client. */
export interface Probe {
  readonly kind: 'readiness' | 'liveness' | 'startup'
  readonly action: 'httpGet' | 'tcpSocket' | 'grpc' | 'exec'
  /** A number, or the name of one of the container's ports; absent for exec. */
  readonly port?: number | string
  /** Absent: the pod's own address. */
  readonly host?: string
  readonly path?: string
  readonly scheme?: string
  readonly line: number
}

export interface Container {
  readonly name: string
  /** True for an init container that stays (restartPolicy: Always). */
  readonly sidecar: boolean
  /** All that it declares. */
  readonly ports: readonly ContainerPort[]
  readonly probes: readonly Probe[]
  readonly line: number
}

export type PodSpec = NonNullable<InferOutput<ReturnType<typeof podSchema>>['spec']>
type ContainerSpec = NonNullable<PodSpec['containers']>[number]

const LISTS = ['containers', 'initContainers'] as const
const NONE: readonly never[] = []

/** The containers that run while the pod does: init containers that end are left out. Lists are sliced: without the room that they had to grow in. */
export function readContainers(object: KubernetesObject, spec: PodSpec, problems: ProblemList): Container[] {
  const containers = LISTS.flatMap((list) =>
    (spec[list] ?? []).flatMap((container, index): Container | [] => {
      const sidecar = list === 'initContainers'
      if (sidecar && container.restartPolicy !== 'Always') return []
      const path = ['spec', list, index]
      return {
        name: container.name ?? '',
        sidecar,
        ports: readPorts(container, path, object, problems),
        probes: readProbes(container, path, object),
        line: object.lineOf(path),
      }
    }),
  )
  return containers.slice()
}

type Steps = readonly (string | number)[]

function readPorts({ ports }: ContainerSpec, path: Steps, object: KubernetesObject, problems: ProblemList): readonly ContainerPort[] {
  if (ports === undefined || ports === null || ports.length === 0) return NONE
  const read = ports.flatMap(({ containerPort, protocol, name, hostPort, hostIP }, index): ContainerPort | [] => {
    const at = [...path, 'ports', index]
    if (containerPort === undefined || containerPort === null) {
      problems.error(object.at(...at), object.label, `port ${index + 1} of the list has no containerPort`, 'Write containerPort: 8080 in it.')
      return []
    }
    return {
      port: containerPort,
      protocol: protocol ?? 'TCP',
      ...(name ? { name } : {}),
      ...(hostPort ? { hostPort } : {}),
      ...(hostIP ? { hostIP } : {}),
      line: object.lineOf(at),
    }
  })
  return read.slice()
}

const PROBES = [
  ['readiness', 'readinessProbe'],
  ['liveness', 'livenessProbe'],
  ['startup', 'startupProbe'],
] as const

function readProbes(container: ContainerSpec, path: Steps, object: KubernetesObject): readonly Probe[] {
  const probes = PROBES.flatMap(([kind, field]): Probe | [] => {
    const probe = container[field]
    if (probe === undefined || probe === null) return []
    const line = object.lineOf([...path, field])
    const { httpGet, tcpSocket, grpc } = probe
    if (httpGet) {
      const { port, host, path: asked, scheme } = httpGet
      return { kind, action: 'httpGet', port, ...(host ? { host } : {}), path: asked || '/', scheme: scheme || 'HTTP', line }
    }
    if (tcpSocket) return { kind, action: 'tcpSocket', port: tcpSocket.port, ...(tcpSocket.host ? { host: tcpSocket.host } : {}), line }
    if (grpc) return { kind, action: 'grpc', port: grpc.port, line }
    return probe.exec ? { kind, action: 'exec', line } : []
  })
  return probes.length === 0 ? NONE : probes.slice()
}

/** All ports of all containers; one that two of them declare is named, and the first stands. */
export function portsOf(containers: readonly Container[], object: KubernetesObject, problems: ProblemList): readonly ContainerPort[] {
  if (containers.length === 1 && containers[0].ports.length < 2) return containers[0].ports
  const [first] = containers
  const ports: ContainerPort[] = []
  for (const declared of containers.flatMap((container) => container.ports)) {
    const { port, protocol, line } = declared
    const same = ports.find((other) => other.port === port && other.protocol === protocol)
    if (same === undefined) ports.push(declared)
    else
      problems.warning(
        { file: object.file, line },
        object.label,
        `port ${port}/${protocol} is declared twice, first on line ${same.line}`,
        'The containers of a pod share one network: two of them cannot listen on one port.',
      )
  }
  return containers.length === 1 && ports.length === first.ports.length ? first.ports : ports.slice()
}

const NO_REQUESTS: Readonly<Record<string, number>> = {}

/**
 * What a node must have left: the sum of the containers and of the init containers that stay, or the largest moment of the start, whichever
 * is more (component-helpers resource.PodRequests). A limit without a request is the request (core/v1 defaults).
 */
export function readRequests(object: KubernetesObject, spec: PodSpec, problems: ProblemList): Readonly<Record<string, number>> {
  const all = LISTS.flatMap((list) => (spec[list] ?? []).map((container, index) => ({ list, container, path: ['spec', list, index, 'resources'] })))
  if (all.every(({ container }) => !container.resources) && !spec.overhead) return NO_REQUESTS
  const running = new Map<string, number>()
  const starting = new Map<string, number>()
  const stayed = new Map<string, number>()
  for (const { list, container, path } of all) {
    const { requests, limits } = container.resources ?? {}
    const asked = new Map([
      ...readQuantities(limits, [...path, 'limits'], object, problems),
      ...readQuantities(requests, [...path, 'requests'], object, problems),
    ])
    const stays = list === 'containers' || container.restartPolicy === 'Always'
    for (const [name, amount] of asked) {
      if (stays) running.set(name, (running.get(name) ?? 0) + amount)
      if (list === 'containers') continue
      if (stays) stayed.set(name, (stayed.get(name) ?? 0) + amount)
      starting.set(name, Math.max(starting.get(name) ?? 0, (stayed.get(name) ?? 0) + (stays ? 0 : amount)))
    }
  }
  const overhead = readQuantities(spec.overhead, ['spec', 'overhead'], object, problems)
  const names = [...new Set([...running.keys(), ...starting.keys(), ...overhead.keys()])].sort()
  return Object.fromEntries(
    names
      .map((name) => [name, Math.max(running.get(name) ?? 0, starting.get(name) ?? 0) + (overhead.get(name) ?? 0)] as const)
      .filter(([, amount]) => amount > 0),
  )
}
