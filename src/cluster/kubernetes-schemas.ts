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
    ownerReferences: optional(v.array(v.looseObject({ kind: text(), name: v.string(), controller: optional(v.boolean()) }))),
    deletionTimestamp: text(),
  })

const requirements = () => optional(v.array(v.looseObject({ key: v.string(), operator: v.string(), values: texts() })))

const labelSelector = () => optional(v.looseObject({ matchLabels: textMap(), matchExpressions: requirements() }))

const port = () => integerField(1, 65535)

const quantities = () => optional(v.record(v.string(), v.union([v.string(), v.number()])))

const taints = () => v.array(v.looseObject({ key: v.string(), value: text(), effect: v.picklist(['NoSchedule', 'PreferNoSchedule', 'NoExecute']) }))

/** For the annotation in which taints stood before they were a field. */
export const taintsSchema = lazily(taints)

export const nodeSchema = lazily(() =>
  v.looseObject({
    metadata: metadata(),
    spec: optional(
      v.looseObject({
        podCIDR: text(),
        podCIDRs: texts(),
        unschedulable: optional(v.boolean()),
        taints: optional(taints()),
      }),
    ),
    status: optional(
      v.looseObject({
        addresses: optional(v.array(v.looseObject({ type: v.string(), address: v.string() }))),
        allocatable: quantities(),
        capacity: quantities(),
      }),
    ),
  }),
)

const portOrName = () => v.union([port(), v.string()])

const probe = () =>
  optional(
    v.looseObject({
      httpGet: optional(v.looseObject({ port: portOrName(), path: text(), host: text(), scheme: text() })),
      tcpSocket: optional(v.looseObject({ port: portOrName(), host: text() })),
      grpc: optional(v.looseObject({ port: port() })),
      exec: optional(v.looseObject({ command: texts() })),
    }),
  )

const container = () =>
  v.looseObject({
    name: text(),
    ports: optional(
      v.array(
        v.looseObject({
          // one without it is reported where it is read, and left out: the pod is there all the same
          containerPort: optional(port()),
          hostPort: optional(integerField(0, 65535)),
          hostIP: text(),
          name: text(),
          protocol: optional(v.picklist(['TCP', 'UDP', 'SCTP'], (issue) => say(`${issue.received} is no protocol`, 'Write TCP, UDP or SCTP, in capitals.'))),
        }),
      ),
    ),
    restartPolicy: text(),
    readinessProbe: probe(),
    livenessProbe: probe(),
    startupProbe: probe(),
    resources: optional(v.looseObject({ requests: quantities(), limits: quantities() })),
  })

const nodeSelectorTerm = () => v.looseObject({ matchExpressions: requirements(), matchFields: requirements() })

const podAffinityTerm = () =>
  v.looseObject({
    topologyKey: v.string(),
    labelSelector: labelSelector(),
    namespaces: texts(),
    namespaceSelector: labelSelector(),
    matchLabelKeys: texts(),
    mismatchLabelKeys: texts(),
  })

const podAffinity = () =>
  optional(
    v.looseObject({
      requiredDuringSchedulingIgnoredDuringExecution: optional(v.array(podAffinityTerm())),
      preferredDuringSchedulingIgnoredDuringExecution: optional(v.array(v.looseObject({ weight: integerField(1, 100), podAffinityTerm: podAffinityTerm() }))),
    }),
  )

const affinity = () =>
  v.looseObject({
    nodeAffinity: optional(
      v.looseObject({
        requiredDuringSchedulingIgnoredDuringExecution: optional(v.looseObject({ nodeSelectorTerms: v.array(nodeSelectorTerm()) })),
        preferredDuringSchedulingIgnoredDuringExecution: optional(v.array(v.looseObject({ weight: integerField(1, 100), preference: nodeSelectorTerm() }))),
      }),
    ),
    podAffinity: podAffinity(),
    podAntiAffinity: podAffinity(),
  })

const tolerations = () => v.array(v.looseObject({ key: text(), operator: optional(v.picklist(['Equal', 'Exists'])), value: text(), effect: text() }))

const spreadConstraints = () =>
  v.array(
    v.looseObject({
      maxSkew: integerField(1, 2147483647),
      topologyKey: v.string(),
      whenUnsatisfiable: v.picklist(['DoNotSchedule', 'ScheduleAnyway']),
      labelSelector: labelSelector(),
      minDomains: optional(integerField(1, 2147483647)),
      nodeAffinityPolicy: optional(v.picklist(['Honor', 'Ignore'])),
      nodeTaintsPolicy: optional(v.picklist(['Honor', 'Ignore'])),
      matchLabelKeys: texts(),
    }),
  )

/** For the annotations in which affinity and tolerations stood before they were fields. */
export const affinitySchema = lazily(affinity)
export const tolerationsSchema = lazily(tolerations)

/** As resolv.conf has them; every part may be missing. */
const dnsConfig = () => v.looseObject({ nameservers: texts(), searches: texts(), options: optional(v.array(v.looseObject({ name: text(), value: text() }))) })

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
        dnsPolicy: text(),
        dnsConfig: optional(dnsConfig()),
        restartPolicy: text(),
        affinity: optional(affinity()),
        tolerations: optional(tolerations()),
        topologySpreadConstraints: optional(spreadConstraints()),
        overhead: quantities(),
        containers: optional(v.array(container())),
        initContainers: optional(v.array(container())),
      }),
    ),
    status: optional(
      v.looseObject({
        phase: text(),
        podIP: text(),
        podIPs: optional(v.array(v.looseObject({ ip: text() }))),
        hostIP: text(),
        hostIPs: optional(v.array(v.looseObject({ ip: text() }))),
        conditions: optional(v.array(v.looseObject({ type: v.string(), status: v.string() }))),
      }),
    ),
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
        podSelector: labelSelector(),
        policyTypes: texts(),
        ingress: optional(v.array(v.nullish(v.looseObject({})))),
        egress: optional(v.array(v.nullish(v.looseObject({})))),
      }),
    ),
  }),
)

const count = () => optional(integerField(0, 2147483647))
const truth = () => optional(v.boolean())

/** What is in it is looked at as a Pod. */
const template = () => optional(v.looseObject({}))

const conditions = () => optional(v.array(v.looseObject({ type: v.string(), status: v.string() })))

export const replicatedSchema = lazily(() =>
  v.looseObject({
    metadata: metadata(),
    spec: optional(v.looseObject({ replicas: count(), selector: labelSelector(), template: template(), paused: truth() })),
    status: optional(v.looseObject({ replicas: count() })),
  }),
)

export const replicationControllerSchema = lazily(() =>
  v.looseObject({
    metadata: metadata(),
    spec: optional(v.looseObject({ replicas: count(), selector: textMap(), template: template() })),
    status: optional(v.looseObject({ replicas: count() })),
  }),
)

export const daemonSchema = lazily(() =>
  v.looseObject({
    metadata: metadata(),
    spec: optional(v.looseObject({ selector: labelSelector(), template: template() })),
    status: optional(v.looseObject({})),
  }),
)

export const statefulSchema = lazily(() =>
  v.looseObject({
    metadata: metadata(),
    spec: optional(
      v.looseObject({
        replicas: count(),
        selector: labelSelector(),
        template: template(),
        serviceName: text(),
        ordinals: optional(v.looseObject({ start: count() })),
      }),
    ),
    status: optional(v.looseObject({ replicas: count() })),
  }),
)

const jobSpec = () =>
  v.looseObject({
    parallelism: count(),
    completions: count(),
    completionMode: optional(v.picklist(['NonIndexed', 'Indexed'])),
    suspend: truth(),
    manualSelector: truth(),
    autoSelector: truth(),
    selector: labelSelector(),
    template: template(),
  })

export const jobSchema = lazily(() =>
  v.looseObject({
    metadata: metadata(),
    spec: optional(jobSpec()),
    status: optional(v.looseObject({ active: count(), succeeded: count(), completedIndexes: text(), conditions: conditions() })),
  }),
)

export const cronJobSchema = lazily(() =>
  v.looseObject({
    metadata: metadata(),
    spec: optional(v.looseObject({ suspend: truth(), jobTemplate: optional(v.looseObject({ spec: optional(jobSpec()) })) })),
  }),
)
