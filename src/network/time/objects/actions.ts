/** What a scenario does to objects: apply, delete, label, scale, rollout, move, as kubectl would ask an API server; and kubelets and etcd that stop. */
import type { Problem } from '../../../base/problem.js'
import { matchesSelector, type Labels } from '../../../cluster/labels.js'
import { isObject, valueAt, type JsonObject } from '../../../cluster/located.js'
import type { KubernetesObject } from '../../../cluster/manifest.js'
import { readPod, type ClusterPod } from '../../../cluster/pod.js'
import { ProblemList } from '../../../cluster/problem-list.js'
import type { Action } from '../../../cluster/scenario/scenario.js'
import { expandWorkloads, isExpanded } from '../../../cluster/workloads/expand.js'
import { applyEdits, isWorkload, type Edit } from '../../../policy/change/edit.js'
import { findObject, isFault, parseReference, type Fault } from '../../../cluster/object-reference.js'
import type { Cell } from './cell.js'
import { controllerOf, type Controllers } from './controllers.js'
import type { Kubelets } from './kubelets.js'
import type { LivePod } from './live-pods.js'
import { selectorOf } from './materialise.js'
import type { NodeController } from './node-controller.js'
import { edited, timestamp } from './pod-object.js'
import { templateOf, withTemplate } from './templates.js'

interface Parts {
  readonly cell: Cell
  readonly namespace: string
  readonly controllers: Controllers
  readonly kubelets: Kubelets
  readonly nodeController: NodeController
}

type Of<Kind extends Action['kind']> = Extract<Action, { kind: Kind }>

const RESTARTED = 'kubectl.kubernetes.io/restartedAt'
const ROLLED_KINDS: readonly string[] = ['Deployment', 'StatefulSet', 'DaemonSet']

export class Actions {
  /** What was refused, in the order of time. */
  readonly problems: Problem[] = []
  private readonly parts: Parts

  constructor(parts: Parts) {
    this.parts = parts
  }

  knows(action: Action): boolean {
    return (
      ['apply', 'delete', 'label', 'scale', 'rollout', 'move'].includes(action.kind) || (action.kind === 'agent' && ['kubelet', 'etcd'].includes(action.agent))
    )
  }

  act(action: Action, cause: number): boolean {
    const { cell } = this.parts
    if (action.kind === 'agent') return this.agent(action, cause)
    if (cell.isDown) {
      this.refuse(action.kind, { what: 'the API server answers nothing: etcd is stopped', fix: 'Start etcd before.' }, cause)
      return true
    }
    switch (action.kind) {
      case 'apply':
        this.apply(action, cause)
        return true
      case 'delete':
        this.delete(action.target, cause)
        return true
      case 'label':
        this.label(action, cause)
        return true
      case 'scale':
        this.edit(action.target, { kind: 'scale', target: action.target, replicas: action.replicas }, cause)
        return true
      case 'rollout':
        this.rollout(action, cause)
        return true
      case 'move':
        this.move(action, cause)
        return true
      default:
        return false
    }
  }

  private agent({ agent, how, nodes }: Of<'agent'>, cause: number): boolean {
    const { cell, kubelets } = this.parts
    if (agent === 'etcd') {
      if (how === 'start') cell.resume()
      else cell.stop()
      cell.context.diary.add({
        agent: 'apiserver',
        kind: 'agent',
        what: how === 'start' ? 'the API server answers again' : 'the API server answers nothing any more',
        cause,
      })
      return true
    }
    const named = nodes.length > 0 ? nodes : [...cell.api.ofKind('Node')].map(({ name }) => name)
    for (const node of named) kubelets.processChanged(node, how === 'start', cause)
    return true
  }

  // ---- apply

  /** All of it, or where an API server would refuse some of it, nothing. */
  private apply({ file, objects }: Of<'apply'>, cause: number): void {
    const { cell, namespace } = this.parts
    const before = cell.api.objects
    const result = applyEdits(before, [{ kind: 'add', file, objects: objects.map((object) => this.asCreated(object)) }], namespace)
    const changed = result.objects.filter((object) => cell.api.current(object) !== object)
    const faults = [...result.problems, ...this.workloadFaults(changed), ...this.newFaults(result.objects)]
    if (faults.length > 0) return this.refuseAll(file, faults, cause)
    for (const object of changed) this.write(object, cause)
  }

  /** The status of a new pod or workload is its controllers'. */
  private asCreated(object: KubernetesObject): KubernetesObject {
    if (object.value.status === undefined || (object.kind !== 'Pod' && !isWorkload(object))) return object
    const { status: _, ...value } = object.value
    return object.part([], Object.freeze(value))
  }

  private workloadFaults(changed: readonly KubernetesObject[]): readonly Problem[] {
    const problems = new ProblemList()
    expandWorkloads({ pods: [], objects: changed.filter(isExpanded), nodes: [] }, problems)
    return problems.problems.filter(({ severity, what }) => severity === 'error' || what.startsWith('an API server refuses it'))
  }

  /** Errors that the reading did not have before. */
  private newFaults(objects: readonly KubernetesObject[]): readonly Problem[] {
    const { api } = this.parts.cell
    const known = new Set(api.newest.problems.map(wordsOf))
    return api.read(objects).problems.filter((problem) => problem.severity === 'error' && !known.has(wordsOf(problem)))
  }

  private write(object: KubernetesObject, cause: number): void {
    const { cell, nodeController } = this.parts
    const isNew = cell.api.current(object) === undefined
    const told = { agent: 'apiserver', kind: 'object', cause } as const
    if (object.kind === 'Pod' && cell.api.find('Pod', object.namespace, object.name) === undefined) {
      const reading = readPod(object, new ProblemList())
      if (reading !== undefined) cell.makePod(reading, withPhase(object), { ...told, kind: 'pod' })
      return
    }
    const entry = cell.tell(object, `${isNew ? 'creates' : 'updates'} ${object.label}`, told)
    if (object.kind === 'Pod') return this.writePod(object, entry)
    cell.api.put(object.kind === 'Node' && isNew ? nodeController.registered(object) : object, entry)
  }

  private writePod(object: KubernetesObject, cause: number): void {
    const { cell } = this.parts
    const pod = cell.pods.get(object.namespace, object.name)
    const reading = readPod(object, new ProblemList())
    if (pod === undefined || reading === undefined) return
    pod.reading = { ...reading, ...(pod.node === undefined ? {} : { node: pod.node }) }
    cell.writePod(pod, object, cause)
  }

  // ---- delete

  private delete(target: string, cause: number): void {
    const { cell } = this.parts
    const reference = parseReference(target, cell.api.objects)
    if (!isFault(reference) && reference.kind === 'Namespace') return this.deleteNamespace(reference.name, target, cause)
    const object = this.find(target, cause)
    if (object === undefined) return
    const pod = object.kind === 'Pod' ? cell.pods.get(object.namespace, object.name) : undefined
    if (pod !== undefined) return cell.deletePod(pod, { agent: 'apiserver', kind: 'pod', cause })
    this.deleteOwned(object, cause)
  }

  /** What the garbage collector takes with it: what it owns, all the way down. */
  private deleteOwned(object: KubernetesObject, cause: number): void {
    const { cell, controllers } = this.parts
    const entry = cell.tell(object, `deletes ${object.label}`, { agent: 'apiserver', kind: 'object', cause })
    cell.api.remove(object, entry)
    controllers.revisions.forget(object)
    if (!isWorkload(object)) return
    for (const kind of ['ReplicaSet', 'Job'])
      for (const owned of [...cell.api.ofKind(kind)]) {
        const owner = owned.namespace === object.namespace ? controllerOf(owned) : undefined
        if (owner?.kind === object.kind && owner.name === object.name) this.deleteOwned(owned, entry)
      }
    for (const pod of cell.pods.of(object.namespace, object)) cell.deletePod(pod, { agent: 'controller', kind: 'pod', cause: entry })
  }

  private deleteNamespace(name: string, target: string, cause: number): void {
    const { cell } = this.parts
    const inIt = cell.api.objects.filter(({ namespace }) => namespace === name)
    const object = cell.api.find('Namespace', '', name)
    if (object === undefined && inIt.length === 0) {
      this.find(target, cause)
      return
    }
    if (object !== undefined) cell.api.remove(object, cell.tell(object, `deletes ${object.label}`, { agent: 'apiserver', kind: 'object', cause }))
    for (const one of inIt) if (one.kind !== 'Pod' && cell.api.current(one) !== undefined) this.deleteOwned(one, cause)
    for (const pod of [...cell.pods.all]) if (pod.namespace === name) cell.deletePod(pod, { agent: 'controller', kind: 'pod', cause })
  }

  // ---- label, scale

  private label({ target, changes }: Of<'label'>, cause: number): void {
    const object = this.edit(target, { kind: 'label', target, changes }, cause)
    if (object?.kind === 'Pod') this.release(object, cause)
  }

  /** By the rules of edit.ts, of this object alone: what it owns is its controllers' business. */
  private edit(target: string, edit: Edit, cause: number): KubernetesObject | undefined {
    const { cell, namespace } = this.parts
    const reference = parseReference(target, cell.api.objects)
    const isNamespace = !isFault(reference) && reference.kind === 'Namespace'
    const object = isNamespace ? undefined : this.find(target, cause)
    if (object === undefined && !isNamespace) return undefined
    const { objects, problems, touched } = applyEdits(object === undefined ? cell.api.objects : [object], [edit], namespace)
    if (problems.length > 0) {
      this.refuseAll(target, problems, cause)
      return undefined
    }
    const edited = objects.find((one) => cell.api.current(one) !== one)
    if (edited === undefined) return undefined
    const entry = cell.tell(edited, `${edited.label}: ${touched[0]?.detail ?? ''}`, { agent: 'apiserver', kind: 'object', cause })
    if (edited.kind === 'Pod') this.writePod(edited, entry)
    else cell.api.put(edited, entry)
    return edited
  }

  /** A pod that its owner does not select any more is let go, and another one is made. */
  private release(object: KubernetesObject, cause: number): void {
    const { cell } = this.parts
    const owner = controllerOf(object)
    const workload = owner === undefined ? undefined : cell.api.find(owner.kind, owner.namespace, owner.name)
    const selector = workload === undefined ? undefined : selectorOf(workload)
    if (owner === undefined || selector === undefined || matchesSelector(selector, labelsOf(object))) return
    const pod = cell.pods.get(object.namespace, object.name)
    if (pod === undefined) return
    const { ownerReferences: _, ...metadata } = object.value.metadata as JsonObject
    const free = object.part([], Object.freeze({ ...object.value, metadata: Object.freeze(metadata) }))
    const entry = cell.tell(object, `${owner.kind}/${owner.namespace}/${owner.name} lets go of ${object.label}: its selector does not match`, {
      agent: 'controller',
      kind: 'pod',
      cause,
    })
    cell.pods.release(pod)
    this.writePod(free, entry)
    cell.enqueue(owner, entry)
  }

  // ---- rollout

  private rollout({ how, target }: Of<'rollout'>, cause: number): void {
    const { cell, controllers } = this.parts
    const object = this.find(target, cause)
    if (object === undefined) return
    const isPausing = how === 'pause' || how === 'resume'
    if (!ROLLED_KINDS.includes(object.kind) || (isPausing && object.kind !== 'Deployment')) {
      const who = isPausing ? 'Only a Deployment can be paused and resumed.' : 'A Deployment, StatefulSet or DaemonSet can be rolled out.'
      return this.refuse(object.label, { what: `a ${object.kind} has no rollout ${how}`, fix: who }, cause)
    }
    const isPaused = valueAt(object.value, ['spec', 'paused']) === true
    if (isPaused && (how === 'restart' || how === 'undo'))
      return this.refuse(object.label, { what: `it is paused: kubectl refuses rollout ${how}`, fix: 'Resume it first.' }, cause)
    if (isPausing) return this.put(edited(object, ['spec', 'paused'], how === 'pause'), `rollout ${how} of ${object.label}`, cause)
    if (how === 'restart') {
      const restarted = edited(object, ['spec', 'template', 'metadata', 'annotations', RESTARTED], timestamp(cell.nowNs))
      return this.put(restarted, `rollout restart of ${object.label}`, cause)
    }
    const before = object.kind === 'Deployment' ? controllers.deployments.previousTemplate(object) : controllers.revisions.previous(object)?.template
    if (before === undefined || before === templateOf(object))
      return this.refuse(object.label, { what: 'there is no earlier revision to go back to', fix: 'Undo a rollout that the scenario has made before.' }, cause)
    this.put(withTemplate(object, before), `rollout undo of ${object.label}`, cause)
  }

  private put(object: KubernetesObject, what: string, cause: number): void {
    const { cell } = this.parts
    cell.api.put(object, cell.tell(object, what, { agent: 'apiserver', kind: 'object', cause }))
  }

  // ---- move

  private move({ pod: target, node }: Of<'move'>, cause: number): void {
    const { cell, controllers } = this.parts
    const text = /^(po|pods?)\//i.test(target) ? target : `pod/${target}`
    const object = this.find(text, cause)
    const pod = object === undefined ? undefined : cell.pods.get(object.namespace, object.name)
    if (object === undefined || pod === undefined) return
    const fault = this.moveFault(pod, node)
    if (fault !== undefined) return this.refuse(object.label, fault, cause)
    const owner = controllerOf(object)
    const isOwned = owner !== undefined && cell.api.find(owner.kind, owner.namespace, owner.name) !== undefined
    if (isOwned) controllers.wishes.add(`${owner.namespace}/${owner.kind}/${owner.name}`, node)
    else pod.again = node
    cell.deletePod(pod, { agent: 'apiserver', kind: 'pod', cause })
  }

  private moveFault({ owner, node: from, terminating }: LivePod, node: string): Fault | undefined {
    if (this.parts.cell.api.find('Node', '', node) === undefined) return { what: `there is no node ${node}`, fix: 'Name a node of the cluster.' }
    if (owner?.kind === 'DaemonSet') return { what: 'a pod of a DaemonSet stays on its node', fix: 'Move a pod of another workload.' }
    if (terminating) return { what: 'it is being deleted', fix: 'Move it before.' }
    return from === node ? { what: `it runs on ${node} already`, fix: 'Name another node.' } : undefined
  }

  /** A bare pod that was moved: its user applies it again, for the other node. */
  recreate(pod: LivePod, cause: number): void {
    if (pod.again === undefined) return
    const { nodeName: _, ...spec } = pod.object.value.spec as JsonObject
    const { deletionTimestamp: _deleted, ...metadata } = pod.object.value.metadata as JsonObject
    const object = pod.object.part([], Object.freeze({ ...pod.object.value, metadata, spec, status: Object.freeze({ phase: 'Pending' }) }))
    const reading = readPod(object, new ProblemList()) as ClusterPod
    this.parts.cell.makePod(reading, object, { agent: 'apiserver', kind: 'pod', cause }, pod.again)
  }

  // ---- what is wrong

  private find(target: string, cause: number): KubernetesObject | undefined {
    const { cell, namespace } = this.parts
    const reference = parseReference(target, cell.api.objects)
    const found = isFault(reference) ? reference : findObject(cell.api.objects, reference, namespace)
    if (!isFault(found)) return found
    this.refuse(target, found, cause)
    return undefined
  }

  private refuse(object: string, { what, fix }: Fault, cause: number): void {
    const { file = '', line = 0 } = this.parts.cell.context.diary.get(cause)
    this.refuseAll(object, [{ severity: 'warning', file, line, object, what, fix }], cause)
  }

  private refuseAll(object: string, problems: readonly Problem[], cause: number): void {
    for (const { file, line, what, fix, object: of } of problems) {
      this.problems.push(Object.freeze({ severity: 'warning', file, line, object: of, what: `the API server refuses it: ${what}`, fix }))
      this.parts.cell.context.diary.add({ agent: 'apiserver', kind: 'object', object: of === '' ? object : of, what: `refused: ${what}`, cause, file, line })
    }
  }
}

function wordsOf({ file, line, object, what }: Problem): string {
  return JSON.stringify([file, line, object, what])
}

/** Its phase is said, so that nothing takes it for one that runs. spec.nodeName is the kubelet's business until it does. */
function withPhase(object: KubernetesObject): KubernetesObject {
  const { nodeName: _, ...spec } = isObject(object.value.spec) ? object.value.spec : {}
  return object.part([], Object.freeze({ ...object.value, spec: Object.freeze(spec), status: Object.freeze({ phase: 'Pending' }) }))
}

function labelsOf({ value }: KubernetesObject): Labels {
  const labels = valueAt(value, ['metadata', 'labels'])
  return isObject(labels) ? (labels as Labels) : {}
}
