/**
 * What the leases of a cluster have in common for the backends of all its nodes: a list of leases that never changes is looked at once, and so is each row
 * that a backend makes of a lease whoever's kernel it is for. Only of leases without a fault; where there is one every node looks at them by itself.
 */
import { cidr, contains, type Cidr } from '../base/cidr.js'
import type { Piece } from '../dataplane/common-rows.js'
import type { FlannelView } from './backend.js'
import type { Lease } from './lease.js'
import { subnetId } from './subnet-allocation.js'

const KNOWN = new WeakMap<readonly Lease[], CommonLeases>()

/** undefined where the leases may still change, or are not all of the one backend with a subnet each. */
export function commonLeases({ leases }: Pick<FlannelView, 'leases'>, type: string): CommonLeases | undefined {
  if (!Object.isFrozen(leases)) return undefined
  let known = KNOWN.get(leases)
  if (known === undefined) {
    known = new CommonLeases(leases)
    KNOWN.set(leases, known)
  }
  return known.type === type ? known : undefined
}

export class CommonLeases {
  /** Of the backend of all; undefined: it is not one, or two leases have one subnet. */
  readonly type: string | undefined
  private readonly leases: readonly Lease[]
  private readonly places: ReadonlyMap<number, number>
  private readonly rows = new Map<string, readonly unknown[] | undefined>()
  private hull: Cidr | undefined

  constructor(leases: readonly Lease[]) {
    this.leases = leases
    this.places = new Map(leases.map(({ subnet }, index) => [subnetId(subnet), index]))
    const type = leases.at(0)?.attributes.backendType
    const isOne = this.places.size === leases.length && leases.every(({ attributes }) => attributes.backendType === type)
    this.type = isOne ? type : undefined
  }

  /** The smallest prefix that holds every PublicIP. */
  get publicIps(): Cidr {
    if (this.hull !== undefined) return this.hull
    const [{ attributes }] = this.leases
    let length = 32
    for (const lease of this.leases) while (!contains(cidr(attributes.publicIp, length), lease.attributes.publicIp)) length--
    return (this.hull = cidr(attributes.publicIp, length))
  }

  /**
   * A row of each lease but the node's own.
   * @param key of all that the rows depend on beside the leases
   * @param make undefined of a list when one lease does not go with the others
   */
  others<Row>(
    { ownLease }: Pick<FlannelView, 'ownLease'>,
    key: string,
    make: (leases: readonly Lease[]) => readonly Row[] | undefined,
  ): Piece<Row> | undefined {
    if (!this.rows.has(key)) this.rows.set(key, make(this.leases))
    const common = this.rows.get(key) as readonly Row[] | undefined
    const own = this.places.get(subnetId(ownLease.subnet))
    return common === undefined ? undefined : { common, instead: new Map(own === undefined ? [] : [[own, []]]) }
  }
}
