/** NetworkSet and GlobalNetworkSet. Source: api/…/v3/{networkset,globalnetworkset}.go. */
import type { CalicoResource, Net } from './resource.js'

export interface NetworkSet extends CalicoResource {
  /** Empty for a GlobalNetworkSet. */
  readonly namespace: string
  readonly nets: readonly Net[]
}
