/** What the names that an agent of Calico's gives to chains and IP sets stand for, whichever generation it is of. */
import type { Ip } from '../base/ip.js'
import type { PolicyDirection } from '../cluster/calico/policy.js'
import type { Provenance } from '../dataplane/dataplane.js'

export interface PolicyChain {
  /** `NetworkPolicy default/db`; with `Calico` before it where Kubernetes has a kind of that name too. */
  readonly label: string
  readonly tier: string
  readonly direction: PolicyDirection
  /** Whom it applies to: `app == 'db' in namespace default`. */
  readonly selector: string
  /** How many rules it has in that direction. */
  readonly rules: number
  readonly provenance: Provenance
}

export interface ProfileChain {
  readonly name: string
  readonly direction: PolicyDirection
}

export interface PolicyBook {
  /** By name of the chain. */
  readonly policies: ReadonlyMap<string, PolicyChain>
  readonly profiles: ReadonlyMap<string, ProfileChain>
  /** What is in the set, in the words of the policy that asks for it; undefined: no set of Felix's. */
  setWords(name: string): string | undefined
  /** Why an address is not in the set, by its endpoint: `has app=api`. */
  mismatch(name: string, address: Ip): readonly string[]
  /** Labels that would put its endpoint into the set, `app=web`; undefined where that cannot be said so simply. */
  wanted(name: string, address: Ip): readonly string[] | undefined
}
