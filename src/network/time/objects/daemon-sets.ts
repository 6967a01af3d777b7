/** The DaemonSet controller in time. After pkg/controller/daemon/daemon_controller.go (podsShouldBeOnNode) and update.go (rollingUpdate). */
import type { KubernetesObject } from '../../../cluster/manifest.js'
import type { NodeReading } from '../../../cluster/node.js'
import { daemonOf, daemonPod, runsOn, type Daemon } from '../../../cluster/workloads/daemon.js'
import type { Cell } from './cell.js'
import { isAvailable, type LivePod } from './live-pods.js'
import type { Revisions } from './revisions.js'
import { scaledValue } from './rollout.js'
import { specNumber, specText, type Templates } from './templates.js'
import { untolerated } from '../../../cluster/scheduling/taints.js'

const REVISION_LABEL = 'controller-revision-hash'

interface Parts {
  readonly cell: Cell
  readonly templates: Templates
  readonly revisions: Revisions
  readonly nodes: () => readonly NodeReading[]
}

export class DaemonSets {
  private readonly parts: Parts
  /** Pods made so far, by set and node. */
  private readonly turns = new Map<string, number>()

  constructor(parts: Parts) {
    this.parts = parts
  }

  sync(set: KubernetesObject, cause: number): void {
    const { cell, templates, revisions, nodes } = this.parts
    const template = templates.of(set)
    if (template === undefined) return
    const daemon = daemonOf(set, template)
    const { label } = revisions.current(set)
    const byNode = new Map<string, LivePod[]>()
    for (const pod of cell.pods.of(set.namespace, { kind: set.kind, name: set.name })) {
      const node = pod.node ?? pod.reading.scheduling.requiredTerms?.[0]?.matchFields?.[0]?.values?.[0] ?? ''
      byNode.set(node, [...(byNode.get(node) ?? []), pod])
    }
    const all = nodes()
    for (const node of all) {
      const here = byNode.get(node.name) ?? []
      if (runsOn(daemon, node)) {
        if (here.length === 0) this.make(daemon, node.name, { label, cause })
      } else if (!mayStay(daemon, node)) for (const pod of here) cell.deletePod(pod, { agent: 'controller', kind: 'pod', cause })
    }
    if (specText(set, 'updateStrategy', 'type') !== 'OnDelete') this.roll(set, { wanted: all.filter((node) => runsOn(daemon, node)), byNode, label, cause })
  }

  /** Old pods that are not available go at once, others as many as may be missing; in the order of the nodes' names. */
  private roll(
    set: KubernetesObject,
    at: { readonly wanted: readonly NodeReading[]; readonly byNode: ReadonlyMap<string, readonly LivePod[]>; readonly label: string; readonly cause: number },
  ): void {
    const { cell } = this.parts
    const minReadyNs = specNumber(set, 'minReadySeconds', 0) * 1e9
    const written = specText(set, 'updateStrategy', 'rollingUpdate', 'maxUnavailable') ?? 1
    const most = Math.max(1, scaledValue(written, at.wanted.length, { roundUp: true, otherwise: '1%' }))
    let missing = 0
    const candidates: LivePod[] = []
    for (const { name } of [...at.wanted].sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const pod = at.byNode.get(name)?.find(({ terminating }) => !terminating)
      const available = pod !== undefined && isAvailable(pod, minReadyNs, cell.nowNs)
      if (!available) missing++
      const isOld = pod !== undefined && (pod.reading.labels[REVISION_LABEL] ?? at.label) !== at.label
      if (!isOld) continue
      if (!available) cell.deletePod(pod, { agent: 'controller', kind: 'pod', cause: at.cause })
      else candidates.push(pod)
    }
    for (const pod of candidates.slice(0, Math.max(0, most - missing))) cell.deletePod(pod, { agent: 'controller', kind: 'pod', cause: at.cause })
  }

  private make(daemon: Daemon, node: string, { label, cause }: { readonly label: string; readonly cause: number }): void {
    const { cell } = this.parts
    const { namespace, name } = daemon.object
    const key = `${namespace}/${name}/${node}`
    const turn = this.turns.get(key) ?? 0
    this.turns.set(key, turn + 1)
    const made = daemonPod(daemon, node, cell.pods.taken(namespace), turn)
    cell.makeReplica({ ...made, labels: { ...made.labels, [REVISION_LABEL]: label } }, cause)
  }
}

/** A taint that only keeps new pods away drives none out. */
function mayStay(daemon: Daemon, node: NodeReading): boolean {
  const evicting = node.taints.filter(({ effect }) => effect === 'NoExecute')
  const spared = { ...node, taints: evicting }
  return untolerated(daemon.scheduling.tolerations, evicting) === undefined && runsOn(daemon, spared)
}
