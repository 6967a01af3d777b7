/** IP sets as data (`ipset save`). */
import type { Provenance } from './dataplane.js'

export type IpSetType =
  | 'hash:ip'
  | 'hash:net'
  | 'hash:ip,port'
  | 'hash:net,port'
  | 'hash:net,iface'
  | 'hash:ip,port,ip'
  | 'hash:ip,port,net'
  | 'hash:net,net'
  | 'hash:mac'
  | 'bitmap:port'
  | 'bitmap:ip'
  | 'list:set'

export interface IpSet {
  readonly name: string
  /** One of IpSetType, or another word kept verbatim: then a match against it is INCOMPLETE. */
  readonly type: string
  /** The options of `create` after the type, verbatim (`family inet hashsize 1024 maxelem 65536`). */
  readonly options: string
  readonly members: readonly IpSetMember[]
  readonly provenance?: Provenance
}

export interface IpSetMember {
  /** As `ipset save` prints it: `10.0.0.0/8`, `10.1.2.3,tcp:80`, `10.0.0.0/24,eth0`, `80`, `other-set`. */
  readonly element: string
  readonly nomatch?: boolean
  /** seconds */
  readonly timeout?: number
  readonly provenance?: Provenance
}
