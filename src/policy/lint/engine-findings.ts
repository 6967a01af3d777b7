/** Who enforces the policies: nobody, somebody who does not know the kind, or nobody any more; and what rests on a pod's own node being let in. */
import type { Finding } from '../../base/finding.js'
import { grouped } from '../../base/grouped.js'
import { isObject } from '../../cluster/located.js'
import { ConnectionSet } from '../connections.js'
import { evaluatePair } from '../evaluate.js'
import { policyName } from '../explain/explain-line.js'
import type { Policy, PolicyNode, PolicyPod } from '../model.js'
import { lintFinding } from './catalogue.js'
import { counted, podsWords, type LintFacts } from './facts.js'

/** @param noEngine as the world has it */
export function engineFindings(facts: LintFacts, noEngine: string | undefined): readonly Finding[] {
  return [...unenforcedFindings(facts, noEngine), ...unknownKindFindings(facts), ...isolationFindings(facts), ...probeFindings(facts)]
}

const MOST_POLICIES = 20

function unenforcedFindings(facts: LintFacts, noEngine: string | undefined): readonly Finding[] {
  const policies = facts.policies.map(({ policy }) => policy)
  if (noEngine === undefined || policies.length === 0) return []
  const count = policies.length === 1 ? `${policyName(policies[0])} has` : `${policies.length} policies have`
  return [
    lintFinding('NP601', {
      what: `${count} no effect: ${noEngine}`,
      evidence: policies.slice(0, MOST_POLICIES).map((policy) => facts.evidence(policy, policyName(policy))),
    }),
  ]
}

const ADMIN_KINDS: readonly Policy['kind'][] = ['AdminNetworkPolicy', 'BaselineAdminNetworkPolicy', 'ClusterNetworkPolicy']
/** Of these agents no release reads the kinds of policy.networking.k8s.io. */
const WITHOUT_ADMIN = ['weave-net', 'aws-node', 'azure-npm', 'kube-router', 'romana-agent', 'sdn', 'ovs-cni', 'k3s', 'cilium']

function unknownKindFindings(facts: LintFacts): readonly Finding[] {
  const { engine } = facts.state
  const kinds = engine.kind === 'calico' ? V1ALPHA1 : engine.kind === 'other' && WITHOUT_ADMIN.includes(engine.name) ? ADMIN_KINDS : []
  const objects = facts.state.objects.filter(({ kind, apiVersion }) => kinds.some((one) => one === kind) && apiVersion.startsWith('policy.networking.k8s.io/'))
  if (objects.length === 0 || engine.kind === 'unknown' || engine.kind === 'none') return []
  const who =
    engine.kind === 'calico' ? 'Calico 3.32, which netsim takes it for, enforces ClusterNetworkPolicy in their place' : `${engine.name} does not read this kind`
  const count = objects.length === 1 ? `${objects[0].label} has` : `${objects.length} policies have`
  return [
    lintFinding('NP602', {
      what: `${count} no effect: ${who}`,
      evidence: [
        ...objects.slice(0, MOST_POLICIES).map(({ label, file, line }) => ({ what: label, file, line, object: label })),
        { what: 'the engine', file: engine.place.file, line: engine.place.line },
      ],
      ...(engine.kind === 'calico' ? { fix: 'Write them as ClusterNetworkPolicy; Calico 3.29 to 3.31 still enforce them.' } : {}),
    }),
  ]
}

const V1ALPHA1: readonly Policy['kind'][] = ['AdminNetworkPolicy', 'BaselineAdminNetworkPolicy']
const ANNOTATION = 'net.beta.kubernetes.io/network-policy'

function isolationFindings({ state, policies }: LintFacts): readonly Finding[] {
  return state.namespaces.flatMap(({ name, object }) => {
    const metadata = object?.value.metadata
    const annotations = isObject(metadata) ? metadata.annotations : undefined
    if (object === undefined || !isObject(annotations) || annotations[ANNOTATION] === undefined) return []
    const inForce = policies.some(({ policy }) => policy.kind === 'NamespaceIsolation' && policy.namespace === name)
    const reading = inForce
      ? 'netsim reads it here, since nothing else in the input is newer'
      : 'the policies beside it are of a newer API, whose servers do not read it'
    return [
      lintFinding('NP603', {
        what: `namespace ${name} is to be isolated by annotation: ${reading}`,
        evidence: [{ what: ANNOTATION, object: object.label, ...object.at('metadata', 'annotations', ANNOTATION) }],
      }),
    ]
  })
}

/** Pods with probes over the network whose rules would not let a node in. */
function probeFindings(facts: LintFacts): readonly Finding[] {
  const { state, world } = facts
  const probed = new Map(
    [...state.pods, ...state.madePods, ...state.idle].flatMap((pod) => {
      const ports = pod.containers.flatMap(({ probes, ports: own }) =>
        probes.flatMap(({ action, port, host }) => (action === 'exec' || host !== undefined ? [] : (numberOf(port, own) ?? []))),
      )
      return ports.length === 0 ? [] : [[`${pod.namespace}/${pod.name}`, ports] as const]
    }),
  )
  const governed = { ...world, switches: { ...world.switches, ownNode: 'governed' as const } }
  const resting = facts.classes.filter(({ pod }) => {
    const ports = probed.get(`${pod.namespace}/${pod.name}`) ?? []
    if (pod.hostNetwork || ports.length === 0) return false
    const { allowed } = evaluatePair(governed, nodeOf(pod, world.nodes), pod).ingress
    return ports.some((port) => !allowed.covers(ConnectionSet.of('TCP', port)))
  })
  if (resting.length === 0) return []
  const isGoverned = world.switches.ownNode === 'governed'
  const evidence = [...grouped(resting, ({ pod }) => `${pod.file}:${pod.line}`).values()].map(([{ pod }]) => placed(pod))
  const many = counted(resting.flatMap(({ members }) => members).length, 'pod')
  return [
    lintFinding('NP604', {
      what: isGoverned
        ? `the probes of ${many} are kept out: no rule lets their own node in (${podsWords(resting)})`
        : `the probes of ${many} pass because they come from the pod's own node, no rule lets it in (${podsWords(resting)})`,
      evidence: evidence.slice(0, MOST_POLICIES),
      ...(isGoverned ? { severity: 'warning' as const, fix: "Let the nodes' addresses in to the ports of the probes." } : {}),
    }),
  ]
}

function placed(pod: PolicyPod): { readonly what: string; readonly file: string; readonly line: number; readonly object: string } {
  return { what: 'has probes', file: pod.file, line: pod.line, object: `Pod/${pod.namespace}/${pod.name}` }
}

function numberOf(port: number | string | undefined, ports: readonly { readonly name?: string; readonly port: number }[]): number | undefined {
  return typeof port === 'string' ? ports.find(({ name }) => name === port)?.port : port
}

function nodeOf({ node }: PolicyPod, nodes: readonly PolicyNode[]): PolicyNode {
  return nodes.find(({ name }) => name === node) ?? { kind: 'node', name: node ?? '', labels: {}, addresses: [] }
}
