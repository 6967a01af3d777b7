/**
 * Kubernetes NetworkPolicy: object → type. What the API server would refuse, and Calico has an answer to, is a warning that says the answer
 * (libcalico-go/lib/backend/k8s/conversion/conversion.go); for whoever asks for the API's own view it is an error (network-policy-checks.ts).
 */
import * as v from 'valibot'
import type { InferOutput } from 'valibot'
import { selectorFaults, type LabelSelector } from '../labels.js'
import type { Path } from '../located.js'
import type { KubernetesObject } from '../manifest.js'
import type { ProblemList } from '../problem-list.js'
import { checkApiPeer, checkApiPort, checkApiSpec } from '../network-policy-checks.js'
import { lazily, optional } from '../schema.js'
import type { KubernetesNetworkPolicy, KubernetesPolicyPeer, KubernetesPolicyPort, KubernetesPolicyRule } from './kubernetes-policy.js'
import { given, list, numberOrText, parseNet, parsePort, resourceSchema, ResourceReader, text, textMap, texts } from './resource-reader.js'

type LabelSelectorSchema = v.NullishSchema<
  v.LooseObjectSchema<
    {
      readonly matchLabels: ReturnType<typeof textMap>
      readonly matchExpressions: ReturnType<
        typeof list<
          v.LooseObjectSchema<
            { readonly key: v.StringSchema<undefined>; readonly operator: v.StringSchema<undefined>; readonly values: ReturnType<typeof texts> },
            undefined
          >
        >
      >
    },
    undefined
  >,
  undefined
>

export const labelSelectorSchema = (): LabelSelectorSchema =>
  optional(v.looseObject({ matchLabels: textMap(), matchExpressions: list(v.looseObject({ key: v.string(), operator: v.string(), values: texts() })) }))
const peers = () =>
  list(
    v.looseObject({
      podSelector: labelSelectorSchema(),
      namespaceSelector: labelSelectorSchema(),
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

const schema = lazily(() =>
  resourceSchema({ stagedAction: text(), podSelector: labelSelectorSchema(), policyTypes: texts(), ingress: rules(), egress: rules() }),
)

/** Who is asked what odd values mean: the API server, which refuses them, or Calico, which has an answer. */
export type TakenBy = 'api' | 'calico'

/** NetworkPolicy of Kubernetes, and Calico's staged kind of it; one that is staged to be deleted never comes to Felix. */
export function readKubernetesPolicy(object: KubernetesObject, problems: ProblemList, takenBy: TakenBy = 'calico'): KubernetesNetworkPolicy | undefined {
  const reader = new ResourceReader(object, problems)
  const value = reader.check(schema())
  if (value === undefined) return undefined
  const spec = value.spec ?? {}
  if (spec.stagedAction === 'Delete') return undefined
  if (takenBy === 'api') checkApiSpec(spec, reader)
  const source = { reader, takenBy }
  return {
    ...reader.head(value.metadata),
    namespace: object.namespace,
    staged: object.kind.startsWith('Staged'),
    podSelector: readLabelSelector(spec.podSelector, ['spec', 'podSelector'], reader) ?? {},
    policyTypes: spec.policyTypes ?? [],
    ingress: readRules(spec.ingress, ['spec', 'ingress'], 'from', source),
    egress: readRules(spec.egress, ['spec', 'egress'], 'to', source),
  }
}

type Rules = InferOutput<ReturnType<typeof rules>>
export type KubernetesPeerSpec = NonNullable<InferOutput<ReturnType<typeof peers>>>[number]
export type KubernetesPortSpec = NonNullable<NonNullable<NonNullable<Rules>[number]>['ports']>[number]
type LabelSelectorSpec = InferOutput<ReturnType<typeof labelSelectorSchema>>

interface Source {
  readonly reader: ResourceReader
  readonly takenBy: TakenBy
}

function readRules(values: Rules, path: Path, peerField: 'from' | 'to', source: Source): KubernetesPolicyRule[] {
  return (values ?? []).map((rule, index) => ({
    peers: (rule?.[peerField] ?? []).map((peer, i) => readPeer(peer, [...path, index, peerField, i], source)),
    ports: (rule?.ports ?? []).map((port, i) => readPort(port, [...path, index, 'ports', i], source)),
    ...source.reader.at([...path, index]),
  }))
}

function readPeer(peer: KubernetesPeerSpec, path: Path, { reader, takenBy }: Source): KubernetesPolicyPeer {
  const { ipBlock } = peer
  if (takenBy === 'api') checkApiPeer(peer, path, reader)
  else if (ipBlock) {
    if (peer.podSelector || peer.namespaceSelector) reader.warning(path, 'ipBlock beside selectors: Calico takes the ipBlock alone', 'Make a peer of each.')
    const isPrefix = (text: string): boolean => text.includes('/') && parseNet(text) !== undefined
    if (!isPrefix(ipBlock.cidr))
      reader.warning(
        [...path, 'ipBlock', 'cidr'],
        `${JSON.stringify(ipBlock.cidr)} is no prefix: Calico takes the peer for everybody`,
        'Write it like 10.0.0.0/8.',
      )
    const wrong = (ipBlock.except ?? []).findIndex((text) => !isPrefix(text))
    if (wrong >= 0)
      reader.warning(
        [...path, 'ipBlock', 'except', wrong],
        `${JSON.stringify(ipBlock.except?.[wrong])} is no prefix: Calico leaves it out, and every exception behind it`,
        'Write it like 10.0.0.0/8.',
      )
  } else if (!peer.podSelector && !peer.namespaceSelector)
    reader.warning(path, "an empty peer: Calico takes it for every pod of the policy's namespace", 'Write podSelector, namespaceSelector or ipBlock.')
  return given({
    podSelector: readLabelSelector(peer.podSelector, [...path, 'podSelector'], reader),
    namespaceSelector: readLabelSelector(peer.namespaceSelector, [...path, 'namespaceSelector'], reader),
    ipBlock: ipBlock ? { cidr: ipBlock.cidr, except: ipBlock.except ?? [] } : undefined,
  })
}

/** A rule of which one port cannot be read is left out whole. */
function readPort(spec: KubernetesPortSpec, path: Path, { reader, takenBy }: Source): KubernetesPolicyPort {
  const port = given({ protocol: spec?.protocol, port: spec?.port, endPort: spec?.endPort })
  if (takenBy === 'api') {
    checkApiPort(port, path, reader)
    return port
  }
  const leftOut = 'the rule is left out, as Calico does'
  if (port.protocol !== undefined && !['TCP', 'UDP', 'SCTP'].includes(port.protocol))
    reader.error([...path, 'protocol'], `protocol ${JSON.stringify(port.protocol)}`, 'Write TCP, UDP or SCTP.')
  if (port.port === undefined) {
    if (port.endPort !== undefined) reader.error([...path, 'endPort'], 'endPort without port', 'Write the first port too.')
    return port
  }
  const text = port.endPort === undefined ? `${port.port}` : `${port.port}:${port.endPort}`
  const read = parsePort(text)
  if (read === undefined) reader.warning(path, `${JSON.stringify(text)} is no port: ${leftOut}`, 'Write a number up to 65535, a range upwards, or a name.')
  else if ('from' in read && read.from === 0) reader.error(path, 'port 0', 'Ports go from 1 to 65535.')
  return port
}

/** What its grammar refuses is reported, and the selector goes on as it is. */
export function readLabelSelector(value: LabelSelectorSpec, path: Path, reader: ResourceReader): LabelSelector | undefined {
  if (value === undefined || value === null) return undefined
  const expressions = value.matchExpressions?.map(({ key, operator, values }) => ({ key, operator, values: values ?? [] }))
  const selector = given({ matchLabels: value.matchLabels, matchExpressions: expressions })
  for (const fault of selectorFaults(selector)) reader.error([...path, ...fault.path], fault.what, fault.fix)
  return selector
}
