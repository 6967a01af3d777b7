/** Kinds of objects whose loss changes what everything means: without one of them an answer would be of another cluster. */

const KINDS: readonly string[] = [
  'NetworkPolicy',
  'AdminNetworkPolicy',
  'BaselineAdminNetworkPolicy',
  'ClusterNetworkPolicy',
  'GlobalNetworkPolicy',
  'Tier',
  'Profile',
  'NetworkSet',
  'GlobalNetworkSet',
  'HostEndpoint',
  'Namespace',
]

/** @param object as a Problem names it: `NetworkPolicy/shop/db` */
export function isPolicyObject(object: string): boolean {
  return KINDS.includes(object.split('/')[0])
}
