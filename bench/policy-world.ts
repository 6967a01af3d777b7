/**
 * Clusters for the policy engine, as kubectl would print them: 15 pods a namespace in four tiers of labels, one NetworkPolicy a namespace out of
 * six usual kinds, 30 pods a node, an address for each pod. The same size, the same text.
 */
import { formatIp } from '../src/base/ip.js'
import { readPolicyState } from '../src/cluster/policy-state.js'
import { parseRange, type AddressRange } from '../src/policy/address-range.js'
import type { PodPort, PolicyPod, PolicyWorld } from '../src/policy/model.js'
import { readPolicyWorld, switchesFor } from '../src/policy/world.js'

export interface ClusterSize {
  readonly namespaces: number
}

export const PODS_PER_NAMESPACE = 15
const PODS_PER_NODE = 30
const TEAMS = 20
const PLACE = { file: 'cluster.json', line: 0 } as const
export const TIERS = ['web', 'app', 'db', 'cache']
const DNS = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } }, podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } } }

type Json = Readonly<Record<string, unknown>>

function metadata(name: string, labels: Readonly<Record<string, string>>, namespace?: string): Json {
  return { name, ...(namespace === undefined ? {} : { namespace }), labels }
}

export function namespaceName(index: number): string {
  return index === 0 ? 'kube-system' : `team-${index % TEAMS}-${index}`
}

export function namespaceObject(index: number): Json {
  const name = namespaceName(index)
  const labels = { 'kubernetes.io/metadata.name': name, team: `team-${index % TEAMS}`, env: index % 3 === 0 ? 'dev' : 'prod' }
  return { apiVersion: 'v1', kind: 'Namespace', metadata: metadata(name, labels) }
}

interface Pod {
  readonly namespace: string
  readonly name: string
  readonly node: string
  readonly labels: Readonly<Record<string, string>>
  readonly ports: readonly PodPort[]
  readonly address: string
}

function podAt(index: number): Pod {
  const namespace = Math.floor(index / PODS_PER_NAMESPACE)
  const inNamespace = index % PODS_PER_NAMESPACE
  const tier = TIERS[inNamespace % TIERS.length]
  const node = Math.floor(index / PODS_PER_NODE)
  const isSystem = namespace === 0
  return {
    namespace: namespaceName(namespace),
    name: `pod-${inNamespace}`,
    node: `node-${node}`,
    labels: isSystem ? { 'k8s-app': inNamespace < 3 ? 'kube-dns' : `system-${inNamespace % 4}` } : { app: `app-${namespace % 50}`, tier },
    ports: tier === 'web' ? [{ name: 'http', protocol: 'TCP', port: namespace % 2 === 0 ? 80 : 8080 }] : [],
    address: formatIp((10 << 24) | (node << 8) | ((index % PODS_PER_NODE) + 2)),
  }
}

function podObject(index: number): Json {
  const { namespace, name, node, labels, ports, address } = podAt(index)
  const containers = [{ name: 'main', image: 'registry.example/main:1', ports: ports.map(({ port, ...rest }) => ({ ...rest, containerPort: port })) }]
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: metadata(name, labels, namespace),
    spec: { nodeName: node, containers },
    status: { phase: 'Running', podIP: address, podIPs: [{ ip: address }] },
  }
}

/** As the reader makes it of the object. */
function policyPodAt(index: number): PolicyPod {
  const { address, ...pod } = podAt(index)
  const range = parseRange(address) as AddressRange
  const { name } = pod
  return { ...PLACE, kind: 'pod', ...pod, hostNetwork: false, serviceAccount: 'default', addresses: [range], workload: { kind: 'Pod', name }, imagined: false }
}

function nodeObject(index: number): Json {
  return { apiVersion: 'v1', kind: 'Node', metadata: metadata(`node-${index}`, { 'kubernetes.io/hostname': `node-${index}` }), spec: {}, status: {} }
}

const tcp = (port: number | string): Json => ({ protocol: 'TCP', port })

/** One of six kinds, in turn. */
function policySpec(index: number): Json {
  switch (index % 6) {
    case 0:
      return { podSelector: {}, policyTypes: ['Ingress'] }
    case 1:
      return { podSelector: {}, policyTypes: ['Ingress'], ingress: [{ from: [{ podSelector: {} }] }] }
    case 2:
      return {
        podSelector: { matchLabels: { tier: 'db' } },
        policyTypes: ['Ingress'],
        ingress: [{ from: [{ podSelector: { matchLabels: { tier: 'app' } } }], ports: [tcp(5432)] }],
      }
    case 3:
      return {
        podSelector: { matchLabels: { tier: 'web' } },
        policyTypes: ['Ingress'],
        ingress: [{ from: [{ namespaceSelector: { matchLabels: { team: `team-${(index * 7) % TEAMS}` } } }], ports: [tcp('http'), tcp(443)] }],
      }
    case 4:
      return {
        podSelector: {},
        policyTypes: ['Egress'],
        egress: [{ to: [DNS], ports: [{ protocol: 'UDP', port: 53 }, tcp(53)] }, { to: [{ podSelector: {} }] }],
      }
    default:
      return {
        podSelector: { matchExpressions: [{ key: 'tier', operator: 'In', values: ['web', 'app'] }] },
        policyTypes: ['Ingress', 'Egress'],
        ingress: [
          {
            from: [
              { namespaceSelector: { matchExpressions: [{ key: 'env', operator: 'NotIn', values: ['dev'] }] }, podSelector: { matchLabels: { tier: 'web' } } },
            ],
            ports: [tcp(443)],
          },
        ],
        egress: [
          { to: [DNS], ports: [{ protocol: 'UDP', port: 53 }] },
          { to: [{ namespaceSelector: { matchLabels: { team: `team-${index % TEAMS}` } } }], ports: [tcp(443), tcp(5432)] },
        ],
      }
  }
}

export function policyObject(index: number): Json {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'policy', namespace: namespaceName(index) },
    spec: policySpec(index),
  }
}

function count<T>(length: number, make: (index: number) => T): readonly T[] {
  return Array.from({ length }, (_, index) => make(index))
}

function listText(items: readonly Json[]): string {
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items }, null, 1)
}

function withoutPods({ namespaces }: ClusterSize): readonly Json[] {
  const nodes = Math.ceil((namespaces * PODS_PER_NAMESPACE) / PODS_PER_NODE)
  return [...count(namespaces, namespaceObject), ...count(nodes, nodeObject), ...count(namespaces, policyObject)]
}

/** As `kubectl get … -o json` prints a list. */
export function clusterText(size: ClusterSize): string {
  return listText([...withoutPods(size), ...count(size.namespaces * PODS_PER_NAMESPACE, podObject)])
}

/** What readPolicyWorld makes of that text; pods are made without it, so that what is measured is the engine. */
export function clusterWorld(size: ClusterSize): PolicyWorld {
  const world = readWithoutPods(size)
  // what reading left behind is none of the engine's memory
  globalThis.gc?.()
  return { ...world, pods: count(size.namespaces * PODS_PER_NAMESPACE, policyPodAt) }
}

function readWithoutPods(size: ClusterSize): PolicyWorld {
  const { state } = readPolicyState([{ file: PLACE.file, text: listText(withoutPods(size)) }])
  return readPolicyWorld(state, switchesFor('api')).world
}
