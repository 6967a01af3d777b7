/**
 * The fields of Kubernetes objects that netsim reads (k8s.io/api core/v1, apps/v1, networking/v1). Everything else is let through: an object
 * of a real cluster has far more, and new ones come with every release.
 */
import * as v from 'valibot'
import { integerField } from './fields.js'
import { lazily, optional, say } from './schema.js'

const text = () => optional(v.string())
const texts = () => optional(v.array(v.string()))
const textMap = () => optional(v.record(v.string(), v.string()))

const metadata = () =>
  v.looseObject({
    name: v.string(),
    namespace: text(),
    labels: textMap(),
    annotations: textMap(),
    ownerReferences: optional(v.array(v.looseObject({ kind: v.string(), name: v.string(), controller: optional(v.boolean()) }))),
  })

const requirements = () => optional(v.array(v.looseObject({ key: v.string(), operator: v.string(), values: texts() })))

const port = () => integerField(1, 65535)

export const nodeSchema = lazily(() =>
  v.looseObject({
    metadata: metadata(),
    spec: optional(
      v.looseObject({
        podCIDR: text(),
        podCIDRs: texts(),
        unschedulable: optional(v.boolean()),
        taints: optional(v.array(v.looseObject({ key: v.string(), value: text(), effect: v.picklist(['NoSchedule', 'PreferNoSchedule', 'NoExecute']) }))),
      }),
    ),
    status: optional(v.looseObject({ addresses: optional(v.array(v.looseObject({ type: v.string(), address: v.string() }))) })),
  }),
)

const container = () =>
  v.looseObject({
    name: text(),
    ports: optional(
      v.array(
        v.looseObject({
          containerPort: port(),
          hostPort: optional(integerField(0, 65535)),
          hostIP: text(),
          name: text(),
          protocol: optional(v.picklist(['TCP', 'UDP', 'SCTP'], (issue) => say(`${issue.received} is no protocol`, 'Write TCP, UDP or SCTP, in capitals.'))),
        }),
      ),
    ),
    restartPolicy: text(),
  })

const nodeAffinity = () =>
  optional(
    v.looseObject({
      requiredDuringSchedulingIgnoredDuringExecution: optional(
        v.looseObject({ nodeSelectorTerms: v.array(v.looseObject({ matchExpressions: requirements(), matchFields: requirements() })) }),
      ),
    }),
  )

export const podSchema = lazily(() =>
  v.looseObject({
    metadata: metadata(),
    spec: optional(
      v.looseObject({
        nodeName: text(),
        nodeSelector: textMap(),
        hostNetwork: optional(v.boolean()),
        hostname: text(),
        subdomain: text(),
        affinity: optional(v.looseObject({ nodeAffinity: nodeAffinity() })),
        tolerations: optional(v.array(v.looseObject({ key: text(), operator: optional(v.picklist(['Equal', 'Exists'])), value: text(), effect: text() }))),
        containers: optional(v.array(container())),
        initContainers: optional(v.array(container())),
      }),
    ),
    status: optional(v.looseObject({ phase: text(), podIP: text(), podIPs: optional(v.array(v.looseObject({ ip: text() }))), hostIP: text() })),
  }),
)

export const namespaceSchema = lazily(() => v.looseObject({ metadata: metadata() }))

export const configMapSchema = lazily(() => v.looseObject({ metadata: metadata(), data: textMap() }))

export const daemonSetSchema = lazily(() =>
  v.looseObject({
    metadata: metadata(),
    spec: optional(
      v.looseObject({
        template: optional(
          v.looseObject({
            spec: optional(v.looseObject({ containers: optional(v.array(v.looseObject({ name: text(), image: text(), command: texts(), args: texts() }))) })),
          }),
        ),
      }),
    ),
  }),
)

export const networkPolicySchema = lazily(() =>
  v.looseObject({
    metadata: metadata(),
    spec: optional(
      v.looseObject({
        podSelector: optional(v.looseObject({ matchLabels: textMap(), matchExpressions: requirements() })),
        policyTypes: texts(),
        ingress: optional(v.array(v.nullish(v.looseObject({})))),
        egress: optional(v.array(v.nullish(v.looseObject({})))),
      }),
    ),
  }),
)
