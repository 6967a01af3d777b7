/** Small clusters as text, and one question of them: for the tests of the traps. */
import { evaluatePair, type PairMeaning } from '../../src/policy/evaluate.js'
import type { Protocol } from '../../src/policy/connections.js'
import type { PolicyWorld } from '../../src/policy/model.js'
import { endOf, readTold } from './kit.js'
import type { Switches } from '../../src/policy/model.js'

export interface PodText {
  readonly labels?: string
  readonly ip?: string
  readonly ports?: string
  readonly node?: string
  readonly spec?: string
}

/** `shop/web` with labels `app: web`, and so on, in YAML's flow style. */
export function pod(name: string, { labels = `app: ${name.split('/')[1]}`, ip, ports, node = 'n1', spec = '' }: PodText = {}): string {
  const [namespace, own] = name.split('/')
  return `apiVersion: v1
kind: Pod
metadata: {name: ${own}, namespace: ${namespace}, labels: {${labels}}}
spec:
  nodeName: ${node}
  containers: [{name: c, image: c${ports === undefined ? '' : `, ports: [${ports}]`}}]
${spec}
status: {phase: Running${ip === undefined ? '' : `, podIP: ${ip}, podIPs: [{ip: '${ip}'}]`}}
`
}

export function namespace(name: string, labels = ''): string {
  return `apiVersion: v1\nkind: Namespace\nmetadata: {name: ${name}, labels: {${labels}}}\n`
}

export function node(name: string, ip: string, labels = ''): string {
  return `apiVersion: v1\nkind: Node\nmetadata: {name: ${name}, labels: {${labels}}}\nstatus: {addresses: [{type: InternalIP, address: ${ip}}]}\n`
}

/** @param spec lines of YAML, indented by two */
export function networkPolicy(name: string, spec: string): string {
  const [of, own] = name.split('/')
  return `apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: ${own}, namespace: ${of}}\nspec:\n${spec}\n`
}

export function admin(name: string, priority: number, spec: string): string {
  return `apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {name: ${name}}\nspec:\n  priority: ${priority}\n${spec}\n`
}

export function baseline(spec: string, name = 'default'): string {
  return `apiVersion: policy.networking.k8s.io/v1alpha1\nkind: BaselineAdminNetworkPolicy\nmetadata: {name: ${name}}\nspec:\n${spec}\n`
}

export function clusterPolicy(name: string, tier: string, spec: string): string {
  return `apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: ${name}}\nspec:\n  tier: ${tier}\n${spec}\n`
}

/** The world of several documents. @throws when something in them is an error */
export function made(documents: readonly string[], switches: Partial<Switches> = {}): PolicyWorld {
  const { world, problems } = readTold(documents.join('---\n'), switches)
  const errors = problems.filter(({ severity }) => severity === 'error')
  if (errors.length > 0) throw new Error(errors.map(({ line, object, what }) => `${line}: ${object}: ${what}`).join('\n'))
  return world
}

/** What is wrong with the documents: `spec.field`-free texts of the errors. */
export function errorsOf(documents: readonly string[], switches: Partial<Switches> = {}): readonly string[] {
  const { problems } = readTold(documents.join('---\n'), switches)
  return problems.filter(({ severity }) => severity === 'error').map(({ line, what }) => `${line}: ${what}`)
}

export function pair(world: PolicyWorld, source: string, destination: string): PairMeaning {
  return evaluatePair(world, endOf(world, source), endOf(world, destination))
}

/** Does a new connection get through, both directions asked? */
export function isOpen(world: PolicyWorld, source: string, destination: string, port: number, protocol: Protocol = 'TCP'): boolean {
  return pair(world, source, destination).allowed.has({ protocol, port })
}

export const DENY_INGRESS = '  podSelector: {}\n  policyTypes: [Ingress]'
