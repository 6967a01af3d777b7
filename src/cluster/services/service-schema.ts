/** A Service as an API server takes it, as far as packets and names depend on it. Source: kubernetes api core/v1 types.go. */
import * as v from 'valibot'
import { integerField } from '../fields.js'
import { lazily, optional } from '../schema.js'

const text = () => optional(v.string())
const texts = () => optional(v.array(v.string()))

export const serviceSchema = lazily(() =>
  v.looseObject({
    metadata: v.looseObject({ annotations: optional(v.record(v.string(), v.string())), labels: optional(v.record(v.string(), v.string())) }),
    spec: optional(
      v.looseObject({
        type: optional(v.picklist(['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName', ''])),
        clusterIP: text(),
        clusterIPs: texts(),
        ipFamilies: texts(),
        ports: optional(
          v.array(
            v.looseObject({
              name: text(),
              protocol: optional(v.picklist(['TCP', 'UDP', 'SCTP', ''])),
              port: integerField(1, 65535),
              targetPort: optional(v.union([v.string(), integerField(0, 65535)])),
              nodePort: optional(integerField(0, 65535)),
            }),
          ),
        ),
        selector: optional(v.record(v.string(), v.string())),
        externalIPs: texts(),
        externalName: text(),
        loadBalancerIP: text(),
        loadBalancerSourceRanges: texts(),
        allocateLoadBalancerNodePorts: optional(v.boolean()),
        sessionAffinity: optional(v.picklist(['None', 'ClientIP', ''])),
        sessionAffinityConfig: optional(v.looseObject({ clientIP: optional(v.looseObject({ timeoutSeconds: optional(integerField(1, 86400)) })) })),
        externalTrafficPolicy: optional(v.picklist(['Cluster', 'Local', ''])),
        internalTrafficPolicy: optional(v.picklist(['Cluster', 'Local', ''])),
        healthCheckNodePort: optional(integerField(0, 65535)),
        publishNotReadyAddresses: optional(v.boolean()),
        trafficDistribution: text(),
      }),
    ),
    status: optional(
      v.looseObject({
        loadBalancer: optional(v.looseObject({ ingress: optional(v.array(v.looseObject({ ip: text(), hostname: text(), ipMode: text() }))) })),
      }),
    ),
  }),
)

export type ServiceValue = v.InferOutput<ReturnType<typeof serviceSchema>>
export type ServiceSpec = NonNullable<ServiceValue['spec']>
