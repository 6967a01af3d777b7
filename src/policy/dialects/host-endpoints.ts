/** Host endpoints as policies find them: by their labels, and by which one it is. */
import type { HostEndpoint } from '../../cluster/calico/endpoint.js'
import type { Labels } from '../../cluster/labels.js'
import type { Place } from '../../cluster/problem-list.js'
import { selectorOf } from '../../cluster/selector.js'
import type { Condition } from '../model.js'

/** A label that no selector can name: which host endpoint it is. */
const HOST_ENDPOINT = 'host endpoint'

/** Its labels, and one by which its profiles find it. */
export function hostEndpointLabels({ name, labels }: HostEndpoint): Labels {
  return { ...labels, [HOST_ENDPOINT]: name }
}

export function hostEndpointCondition(names: readonly string[], { file, line }: Place): Condition {
  const values = [...names].sort()
  const words = `host ${values.length === 1 ? 'endpoint' : 'endpoints'} ${values.join(', ')}`
  return { kind: 'labels', of: 'endpointItself', selector: selectorOf({ kind: 'in', label: HOST_ENDPOINT, values }), words, file, line }
}
