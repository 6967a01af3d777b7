/** Kubernetes NetworkPolicy: object → type. Shapes are checked; what wrong values inside mean is for the converter. */
import * as v from 'valibot'
import type { InferOutput } from 'valibot'
import type { LabelSelector } from '../labels.js'
import type { Path } from '../located.js'
import type { KubernetesObject } from '../manifest.js'
import type { ProblemList } from '../problem-list.js'
import { lazily, optional } from '../schema.js'
import type { KubernetesNetworkPolicy, KubernetesPolicyPeer, KubernetesPolicyRule } from './kubernetes-policy.js'
import { given, list, numberOrText, resourceSchema, ResourceReader, text, textMap, texts } from './resource-reader.js'

const selector = () =>
  optional(v.looseObject({ matchLabels: textMap(), matchExpressions: list(v.looseObject({ key: v.string(), operator: v.string(), values: texts() })) }))
const peers = () =>
  list(
    v.looseObject({
      podSelector: selector(),
      namespaceSelector: selector(),
      ipBlock: optional(v.looseObject({ cidr: v.string(), except: texts() })),
    }),
  )
const rules = () =>
  list(
    v.nullish(
      v.looseObject({
        from: peers(),
        to: peers(),
        ports: list(v.nullish(v.looseObject({ protocol: text(), port: numberOrText(), endPort: optional(v.number()) }))),
      }),
    ),
  )

const schema = lazily(() => resourceSchema({ podSelector: selector(), policyTypes: texts(), ingress: rules(), egress: rules() }))

export function readKubernetesPolicy(object: KubernetesObject, problems: ProblemList): KubernetesNetworkPolicy | undefined {
  const reader = new ResourceReader(object, problems)
  const value = reader.check(schema())
  if (value === undefined) return undefined
  const spec = value.spec ?? {}
  return {
    ...reader.head(value.metadata),
    namespace: object.namespace,
    podSelector: selectorOf(spec.podSelector) ?? {},
    policyTypes: spec.policyTypes ?? [],
    ingress: readRules(spec.ingress, ['spec', 'ingress'], 'from', reader),
    egress: readRules(spec.egress, ['spec', 'egress'], 'to', reader),
  }
}

type Rules = InferOutput<ReturnType<typeof rules>>
type Peer = NonNullable<InferOutput<ReturnType<typeof peers>>>[number]

function readRules(values: Rules, path: Path, peerField: 'from' | 'to', reader: ResourceReader): KubernetesPolicyRule[] {
  return (values ?? []).map((rule, index) => ({
    peers: (rule?.[peerField] ?? []).map(readPeer),
    ports: (rule?.ports ?? []).map((port) => given({ protocol: port?.protocol, port: port?.port, endPort: port?.endPort })),
    ...reader.at([...path, index]),
  }))
}

function readPeer(peer: Peer): KubernetesPolicyPeer {
  return given({
    podSelector: selectorOf(peer.podSelector),
    namespaceSelector: selectorOf(peer.namespaceSelector),
    ipBlock: peer.ipBlock ? { cidr: peer.ipBlock.cidr, except: peer.ipBlock.except ?? [] } : undefined,
  })
}

function selectorOf(value: InferOutput<ReturnType<typeof selector>>): LabelSelector | undefined {
  if (value === undefined || value === null) return undefined
  const expressions = value.matchExpressions?.map(({ key, operator, values }) => ({ key, operator, values: values ?? [] }))
  return given({ matchLabels: value.matchLabels, matchExpressions: expressions })
}
