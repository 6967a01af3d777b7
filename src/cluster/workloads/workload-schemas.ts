/** The fields of workload objects that say how many pods there are and what they are called (k8s.io/api apps, batch, extensions, core). */
import * as v from 'valibot'
import { integerField } from '../fields.js'
import { labelSelector, metadata, text, textMap } from '../kubernetes-schemas.js'
import { lazily, optional } from '../schema.js'

const count = () => optional(integerField(0, 2147483647))
const truth = () => optional(v.boolean())

/** Its own fields are looked at as those of a Pod. */
const template = () =>
  optional(v.looseObject({ metadata: optional(v.looseObject({ labels: textMap(), annotations: textMap() })), spec: optional(v.looseObject({})) }))

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
