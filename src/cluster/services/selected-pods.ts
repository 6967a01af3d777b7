/** Pods behind a selector, found by the rarest of its labels: a thousand Services over thirty thousand pods are not thirty million questions. */
import { matchesLabels, type Labels } from '../labels.js'
import type { ClusterPod } from '../pod.js'

export class SelectedPods {
  /** By `ns`, key and value. */
  private readonly byLabel = new Map<string, ClusterPod[]>()

  constructor(pods: readonly ClusterPod[]) {
    for (const pod of pods) {
      for (const [key, value] of Object.entries(pod.labels)) {
        const label = labelKey(pod.namespace, key, value)
        const known = this.byLabel.get(label)
        if (known === undefined) this.byLabel.set(label, [pod])
        else known.push(pod)
      }
    }
  }

  /** In their own order. An empty selector selects none. */
  of(namespace: string, selector: Labels | undefined): readonly ClusterPod[] {
    let rarest: readonly ClusterPod[] | undefined
    for (const [key, value] of Object.entries(selector ?? {})) {
      const having = this.byLabel.get(labelKey(namespace, key, value)) ?? []
      if (rarest === undefined || having.length < rarest.length) rarest = having
    }
    return rarest?.filter(({ labels }) => matchesLabels(selector as Labels, labels)) ?? []
  }

  has(namespace: string, key: string, value: string): boolean {
    return this.byLabel.has(labelKey(namespace, key, value))
  }
}

function labelKey(namespace: string, key: string, value: string): string {
  return `${namespace}\0${key}\0${value}`
}
