/** YAML text → what lint finds in it; and the pieces that its worlds are made of. */
import type { Finding } from '../../src/base/finding.js'
import { lintPolicies } from '../../src/policy/lint/lint.js'
import type { Switches } from '../../src/policy/model.js'
import { readTold } from './kit.js'

/** Of every severity, the worst first. */
export function lint(text: string, switches: Partial<Switches> = {}): readonly Finding[] {
  return lintPolicies(readTold(text, switches), { severity: 'info', only: [], skip: [], tool: 'netsim 0', inputs: ['w.yaml'] }).found
}

/** What is only to be known: it stands beside many a finding. */
const NOTES = ['NP303', 'NP403', 'NP404', 'NP410', 'NP604']

/** Codes, each once; notes only where they are asked for. */
export function codesOf(findings: readonly Finding[], asked: string): readonly string[] {
  return [...new Set(findings.map(({ code }) => code))].filter((code) => code === asked || !NOTES.includes(code)).sort()
}

export function namespace(name: string, labels = ''): string {
  return `{apiVersion: v1, kind: Namespace, metadata: {name: ${name}, labels: {${labels}}}}`
}

interface PodText {
  readonly ports?: string
  readonly spec?: string
  readonly address?: string
}

/** @param name `ns/name` */
export function pod(name: string, labels: string, { ports = '', spec = '', address = '' }: PodText = {}): string {
  const [own, bare] = name.split('/')
  const status =
    address === ''
      ? ''
      : `, status: {podIPs: [${address
          .split(' ')
          .map((one) => `{ip: "${one}"}`)
          .join(', ')}], podIP: "${address.split(' ')[0]}"}`
  return `{apiVersion: v1, kind: Pod, metadata: {namespace: ${own}, name: ${bare}, labels: {${labels}}}, spec: {${spec}containers: [{name: c, image: i, ports: [${ports}]}]}${status}}`
}

/** @param name `ns/name` */
export function policy(name: string, spec: string): string {
  const [own, bare] = name.split('/')
  return `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {namespace: ${own}, name: ${bare}}, spec: {${spec}}}`
}

/** @param name `ns/name` */
export function service(name: string, spec: string): string {
  const [own, bare] = name.split('/')
  return `{apiVersion: v1, kind: Service, metadata: {namespace: ${own}, name: ${bare}}, spec: {${spec}}}`
}

export function admin(name: string, priority: number, spec: string): string {
  return `{apiVersion: policy.networking.k8s.io/v1alpha1, kind: AdminNetworkPolicy, metadata: {name: ${name}}, spec: {priority: ${priority}, ${spec}}}`
}

export function world(...objects: readonly string[]): string {
  return objects.join('\n---\n')
}

/** Two namespaces with two pods each. */
export const SHOP = world(
  namespace('shop', 'team: shop'),
  namespace('ops', 'team: ops'),
  pod('shop/web-0', 'app: web', { ports: '{name: http, containerPort: 8080}' }),
  pod('shop/db-0', 'app: db', { ports: '{name: sql, containerPort: 5432}' }),
  pod('ops/prom-0', 'app: prometheus'),
  pod('ops/other-0', 'app: other'),
)
export const DNS = world(
  namespace('kube-system'),
  pod('kube-system/coredns-0', 'k8s-app: kube-dns', { ports: '{name: dns, protocol: UDP, containerPort: 53}, {name: dns-tcp, containerPort: 53}' }),
)
export const WEB = 'podSelector: {matchLabels: {app: web}}'
export const DB = 'podSelector: {matchLabels: {app: db}}'
export const ALL_PODS = 'podSelector: {}'
export const IN = 'policyTypes: [Ingress]'
export const OUT = 'policyTypes: [Egress]'
export const FROM_DB = 'from: [{podSelector: {matchLabels: {app: db}}}]'
export const TO_DNS = 'to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}]'
export const BOTH_53 = 'ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]'
export const NODE =
  '{apiVersion: v1, kind: Node, metadata: {name: k1}, spec: {podCIDR: 10.1.0.0/24}, status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}}'
export const HTTP_SERVICE = service('shop/web', 'selector: {app: web}, clusterIP: 10.96.0.20, ports: [{port: 80, targetPort: http}]')
export const TCP = (port: number | string): string => `ports: [{protocol: TCP, port: ${port}}]`
export const BLOCK = (cidr: string, except = ''): string => `{ipBlock: {cidr: "${cidr}"${except === '' ? '' : `, except: [${except}]`}}}`
