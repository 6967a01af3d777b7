/**
 * Calico's first resources, as calicoctl 1.x reads them: `apiVersion: v1` like Kubernetes' own core kinds, told apart by the small first letter
 * of the kind. Several have no name: what they are is said by other fields of their metadata.
 * Source: libcalico-go v1.0 lib/api (TypeMetadata, the …Metadata structs).
 */
import { isObject, type JsonValue } from '../located.js'

export const CLASSIC_KINDS: readonly string[] = ['ipPool', 'profile', 'policy', 'workloadEndpoint', 'hostEndpoint', 'bgpPeer', 'node']

export function isClassicKind(apiVersion: string, kind: string): boolean {
  return apiVersion === 'v1' && CLASSIC_KINDS.includes(kind)
}

/** The fields of metadata that together say which object it is. */
const IDENTITY: Readonly<Record<string, readonly string[]>> = {
  ipPool: ['cidr'],
  bgpPeer: ['scope', 'node', 'peerIP'],
  workloadEndpoint: ['node', 'orchestrator', 'workload', 'name'],
  hostEndpoint: ['node', 'name'],
}

/** `192.168.0.0/16`, `global/10.0.0.1`, `n1/k8s/default.web-0/eth0`; undefined where none of the fields that make it is there. */
export function classicName(kind: string, metadata: JsonValue | undefined): string | undefined {
  if (!isObject(metadata)) return undefined
  const parts = (IDENTITY[kind] ?? ['name']).map((field) => metadata[field]).filter((value): value is string => typeof value === 'string' && value !== '')
  return parts.length === 0 ? undefined : parts.join('/')
}
