/** Taints and tolerations: k8s.io/api core/v1 toleration.go. */
import type { Taint } from '../node.js'
import type { Toleration } from '../pod-scheduling.js'

/** An empty key (with Exists) tolerates every key, an empty effect every effect. */
export function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect !== '' && toleration.effect !== taint.effect) return false
  if (toleration.key !== '' && toleration.key !== taint.key) return false
  if (toleration.operator === 'Exists') return true
  return toleration.key !== '' && toleration.value === taint.value
}

/** The first taint that keeps the pod away; PreferNoSchedule keeps nobody away. */
export function untolerated(tolerations: readonly Toleration[], taints: readonly Taint[]): Taint | undefined {
  return taints.find((taint) => taint.effect !== 'PreferNoSchedule' && !tolerations.some((toleration) => tolerates(toleration, taint)))
}

/** What a cordon puts on a node. */
export const UNSCHEDULABLE: Taint = { key: 'node.kubernetes.io/unschedulable', value: '', effect: 'NoSchedule' }
