/**
 * What every Calico resource has in common, and the values that several kinds share. The types of this folder are those of
 * api/pkg/apis/projectcalico/v3 (calico v3.32.1) with defaults filled in; the same whether the object came as projectcalico.org/v3
 * (calicoctl, the API server) or as crd.projectcalico.org/v1 (kubectl).
 */
import type { Cidr } from '../../base/cidr.js'
import type { Labels } from '../labels.js'
import type { KubernetesObject } from '../manifest.js'
import type { Place } from '../problem-list.js'

export interface CalicoResource extends Place {
  readonly name: string
  readonly labels: Labels
  readonly annotations: Readonly<Record<string, string>>
  /** Absent: netsim stands in for the one that calico-node or kube-controllers would make; file is then empty and line 0. */
  readonly object?: KubernetesObject
}

export interface NamespacedCalicoResource extends CalicoResource {
  readonly namespace: string
}

/**
 * A prefix as a policy or a set names it: masked to its network, as Calico does. IPv6 ones keep their text alone, because a rule whose
 * nets are all of the other family vanishes from this one.
 */
export type Net = { readonly family: 4; readonly cidr: Cidr; readonly text: string } | { readonly family: 6; readonly text: string }

/** A protocol as numorstring.Protocol: names are kept as `TCP`, `UDP`, `ICMP`, `ICMPv6`, `SCTP`, `UDPLite`; other names as written. */
export type CalicoProtocol = string | number

/** A port number, a range (both ends in it), or the name of an endpoint's port. */
export type CalicoPort = { readonly from: number; readonly to: number } | { readonly name: string }

/** A named port of an endpoint. */
export interface EndpointPort {
  readonly name: string
  readonly protocol: CalicoProtocol
  readonly port: number
}
