/**
 * Calico's releases as profiles of behaviour: one object per release that is known, with what changed between releases as fields, so that
 * code asks the profile and never compares version numbers. Names, marks and rule hashes all move with them.
 */
export interface CalicoProfile {
  readonly version: string
  /** Mark bits are handed out from the lowest of the mask; a drop mark since v3.30. */
  readonly dropMark: boolean
  /** ID of the ipset of every pool. */
  readonly allPoolsSetId: 'network-ip-pools' | 'all-ipam-pools'
  /** The DSCP rule that begins mangle cali-POSTROUTING. */
  readonly dscpChain: boolean
  readonly rpfSkipChain: boolean
  /** cali-gi-/cali-go- chains. */
  readonly policyGroups: boolean
  /** What a policy's chain is named and hashed by. */
  readonly policyId: 'kind' | 'tier' | 'name'
  readonly natPostrouting: 'append' | 'insert'
  /** Name and kind of a converted Kubernetes NetworkPolicy. */
  readonly kubernetesPolicyName: 'as is' | 'knp.default.'
  /** Group UIDs hash `{Name: …, Namespace: …, Kind: …}` lines, or names alone. */
  readonly groupIdByKind: boolean
  /** Policies of one order go by `name/namespace/kind`, or by name alone. */
  readonly sortByKind: boolean
  /** Comments of tiers. */
  readonly tierComments: 'Start of tier' | 'policies'
  /** Metric of a workload's /32 route. */
  readonly workloadRouteMetric: number
  readonly elevatedRouteMetric: number
  /** Metric that BIRD gives routes in the kernel; 0 none. */
  readonly birdRouteMetric: number
  /** LOCAL_PREF carries 2^31-1 less the metric. */
  readonly localPreferenceFromMetric: boolean
  /** FelixConfiguration.programClusterRoutes where absent; BGPConfiguration's, BIRD's half, is then the other way round. */
  readonly programClusterRoutes: 'Enabled' | 'Disabled'
  /** An empty block of another node, older than a minute, may be taken over before borrowing. */
  readonly reclaimsEmptyBlocks: boolean
  /** Tiers that always exist, beside `default`. */
  readonly builtInTiers: readonly { readonly name: string; readonly order: number; readonly defaultAction: 'Deny' | 'Pass' }[]
}

export const CALICO_3_32: CalicoProfile = {
  version: '3.32.1',
  dropMark: true,
  allPoolsSetId: 'network-ip-pools',
  dscpChain: true,
  rpfSkipChain: true,
  policyGroups: true,
  policyId: 'kind',
  natPostrouting: 'append',
  kubernetesPolicyName: 'as is',
  groupIdByKind: true,
  sortByKind: true,
  tierComments: 'Start of tier',
  workloadRouteMetric: 1024,
  elevatedRouteMetric: 512,
  birdRouteMetric: 1024,
  localPreferenceFromMetric: true,
  programClusterRoutes: 'Disabled',
  reclaimsEmptyBlocks: true,
  builtInTiers: [
    { name: 'kube-admin', order: 1_000, defaultAction: 'Pass' },
    { name: 'default', order: 1_000_000, defaultAction: 'Deny' },
    { name: 'kube-baseline', order: 10_000_000, defaultAction: 'Pass' },
  ],
}

/**
 * The first generation, as IPAM, BIRD and the CNI plugin ask of it; its Felix is classic/'s own. Before v3.32 BIRD sets no metric, and blocks stay with their
 * node.
 */
export const CALICO_CLASSIC: CalicoProfile = {
  ...CALICO_3_32,
  version: '1.4.9',
  workloadRouteMetric: 0,
  birdRouteMetric: 0,
  localPreferenceFromMetric: false,
  reclaimsEmptyBlocks: false,
  builtInTiers: [],
}

/** The one that stands where no version is said. */
export const DEFAULT_CALICO_PROFILE: CalicoProfile = CALICO_3_32

const PROFILES: readonly CalicoProfile[] = [CALICO_3_32]

/** `3.32`, `v3.32.1`; undefined: a release whose behaviour is not known here. */
export function calicoProfile(version: string): CalicoProfile | undefined {
  const wanted = /^v?(\d+\.\d+)(?:\.\d+)?$/.exec(version.trim())?.[1]
  return PROFILES.find((profile) => profile.version.startsWith(`${wanted}.`))
}

export function knownCalicoVersions(): string[] {
  return PROFILES.map(({ version }) => version)
}
