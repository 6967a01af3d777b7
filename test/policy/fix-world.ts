/** Random little clusters as manifests, for fixes: they edit text and objects, so that worlds made of model types are no use. */
import type { JsonObject, JsonValue } from '../../src/cluster/located.js'
import { Draw } from './random-world.js'

const NAMESPACES = ['red', 'blue']
const APPS = ['web', 'api', 'db']
const PORTS = [80, 443, 5432]

export interface DrawnCluster {
  readonly objects: readonly JsonObject[]
  /** `red/web`. */
  readonly workloads: readonly string[]
}

/** @param admin with AdminNetworkPolicies and a baseline */
export function drawCluster(seed: number, { admin }: { readonly admin: boolean }): DrawnCluster {
  const draw = new Draw(seed)
  const workloads = NAMESPACES.flatMap((namespace) => draw.some(APPS, 75).map((app) => ({ namespace, app })))
  const both = workloads.length > 1 ? workloads : [...APPS.slice(0, 2).map((app) => ({ namespace: 'red', app }))]
  const objects = [
    ...NAMESPACES.map((name): JsonObject => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: draw.chance(50) ? { env: name } : {} } })),
    ...both.map(({ namespace, app }) => deployment(draw, namespace, app)),
    ...Array.from({ length: draw.below(5) }, (_, i) => networkPolicy(draw, `np-${i}`)),
    ...(admin ? Array.from({ length: draw.below(3) }, (_, i) => adminPolicy(draw, i)) : []),
    ...(admin && draw.chance(40) ? [{ ...adminPolicy(draw, 0), kind: 'BaselineAdminNetworkPolicy', metadata: { name: 'default' } }].map(asBaseline) : []),
  ]
  return { objects, workloads: both.map(({ namespace, app }) => `${namespace}/${app}`) }
}

function deployment(draw: Draw, namespace: string, app: string): JsonObject {
  const labels = { app, ...(draw.chance(40) ? { tier: draw.one(['front', 'back']) } : {}) }
  const ports = draw.chance(50) ? [{ ports: [{ name: 'http', containerPort: draw.one(PORTS) }] }] : [{}]
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: app, namespace },
    spec: {
      replicas: draw.chance(30) ? 2 : 1,
      selector: { matchLabels: { app } },
      template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'c', ...ports[0] }] } },
    },
  }
}

function selector(draw: Draw): JsonObject {
  switch (draw.below(6)) {
    case 0:
      return {}
    case 1:
      return { matchExpressions: [{ key: 'app', operator: draw.one(['In', 'NotIn']), values: draw.some(APPS, 60).concat('web') }] }
    case 2:
      return { matchExpressions: [{ key: draw.one(['tier', 'role']), operator: draw.one(['Exists', 'DoesNotExist']) }] }
    case 3:
      return { matchLabels: { tier: draw.one(['front', 'back']) } }
    default:
      return { matchLabels: { app: draw.one(APPS) } }
  }
}

function namespaces(draw: Draw): JsonObject {
  return draw.one<JsonObject>([{}, { matchLabels: { env: draw.one(NAMESPACES) } }, { matchLabels: { 'kubernetes.io/metadata.name': draw.one(NAMESPACES) } }])
}

function peer(draw: Draw): JsonObject {
  switch (draw.below(5)) {
    case 0:
      return { ipBlock: draw.one<JsonObject>([{ cidr: '10.0.0.0/8' }, { cidr: '0.0.0.0/0', except: ['10.1.0.0/16'] }]) }
    case 1:
      return { namespaceSelector: namespaces(draw) }
    case 2:
      return { namespaceSelector: namespaces(draw), podSelector: selector(draw) }
    default:
      return { podSelector: selector(draw) }
  }
}

function port(draw: Draw): JsonObject {
  return draw.one<JsonObject>([
    { port: draw.one(PORTS) },
    { protocol: 'TCP', port: 80, endPort: 500 },
    { protocol: 'UDP', port: 53 },
    { port: 'http' },
    { protocol: 'TCP' },
  ])
}

function rule(draw: Draw, field: 'from' | 'to'): JsonObject {
  const peers = draw.times(2, () => peer(draw))
  const ports = draw.times(2, () => port(draw))
  return { ...(peers.length > 0 ? { [field]: peers } : {}), ...(ports.length > 0 ? { ports } : {}) }
}

function networkPolicy(draw: Draw, name: string): JsonObject {
  const types = draw.one([['Ingress'], ['Egress'], ['Ingress', 'Egress'], undefined])
  const ingress = draw.times(2, () => rule(draw, 'from'))
  const egress = types?.includes('Egress') === true || (types === undefined && draw.chance(50)) ? draw.times(2, () => rule(draw, 'to')) : []
  const spec: JsonObject = {
    podSelector: selector(draw),
    ...(types === undefined ? {} : { policyTypes: types }),
    ...(ingress.length > 0 || draw.chance(50) ? { ingress } : {}),
    ...(egress.length > 0 ? { egress } : {}),
  }
  return { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name, namespace: draw.one(NAMESPACES) }, spec }
}

function adminPolicy(draw: Draw, index: number): JsonObject {
  const pods = (): JsonObject => ({ pods: { namespaceSelector: namespaces(draw), podSelector: selector(draw) } })
  const rules = (field: 'from' | 'to'): JsonValue =>
    draw.times(2, (i) => ({
      name: `rule-${i}`,
      action: draw.one(['Allow', 'Deny', 'Pass']),
      [field]: [draw.chance(50) ? pods() : { namespaces: namespaces(draw) }],
      ...(draw.chance(50) ? { ports: [{ portNumber: { protocol: 'TCP', port: draw.one(PORTS) } }] } : {}),
    }))
  const spec: JsonObject = { priority: 10 + index * 5, subject: pods(), ingress: rules('from'), egress: rules('to') }
  return { apiVersion: 'policy.networking.k8s.io/v1alpha1', kind: 'AdminNetworkPolicy', metadata: { name: `anp-${index}` }, spec }
}

/** It knows no priority, and no Pass. */
function asBaseline(object: JsonObject): JsonObject {
  const { priority: _, ...spec } = object.spec as JsonObject
  const known = (rules: JsonValue): JsonValue => (rules as readonly JsonObject[]).map((one) => (one.action === 'Pass' ? { ...one, action: 'Deny' } : one))
  return { ...object, spec: { ...spec, ingress: known(spec.ingress), egress: known(spec.egress) } }
}

export function textOf(objects: readonly JsonObject[]): string {
  return objects.map((object) => JSON.stringify(object)).join('\n---\n')
}
