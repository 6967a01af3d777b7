/** Passwords of BGP out of Secrets: confd reads them in the namespace that it runs in (confd secret_watcher.go NewSecretWatcher). */
import type { Problem } from '../base/problem.js'
import type { CalicoResource } from '../cluster/calico/resource.js'
import type { SecretKey } from '../cluster/calico/bgp.js'
import type { CalicoResources } from '../cluster/calico/calico-resources.js'
import type { Cluster } from '../cluster/cluster.js'
import { isObject } from '../cluster/located.js'

/** Of Calico's manifest and of its operator. */
const NAMESPACES = ['kube-system', 'calico-system'] as const

/** undefined: there is no such Secret or key, and the session goes without a password. */
export function passwordOf({ objects }: Cluster, { name, key }: SecretKey): string | undefined {
  const secrets = NAMESPACES.flatMap((namespace) =>
    objects.filter((object) => object.kind === 'Secret' && object.name === name && object.namespace === namespace),
  )
  if (secrets.length === 0) return undefined
  const { stringData, data } = secrets[0].value
  const plain = isObject(stringData) ? stringData[key] : undefined
  const encoded = isObject(data) ? data[key] : undefined
  if (typeof plain === 'string') return plain
  return typeof encoded === 'string' ? textOf(encoded) : undefined
}

function textOf(base64: string): string {
  return new TextDecoder().decode(Uint8Array.from(Buffer.from(base64, 'base64')))
}

/** Passwords that are asked for and not there. */
export function secretProblems(cluster: Cluster, { bgpPeers, bgpConfigurations }: Pick<CalicoResources, 'bgpPeers' | 'bgpConfigurations'>): Problem[] {
  const wanted: readonly (readonly [CalicoResource, string, SecretKey | undefined])[] = [
    ...bgpConfigurations.map((one) => [one, `BGPConfiguration/${one.name}`, one.nodeMeshPassword] as const),
    ...bgpPeers.map((one) => [one, `BGPPeer/${one.name}`, one.password] as const),
  ]
  return wanted.flatMap(([{ file, line }, object, secret]): Problem[] => {
    if (secret === undefined || passwordOf(cluster, secret) !== undefined) return []
    const what = `its password is key ${secret.key} of Secret ${secret.name}, which is not in ${NAMESPACES.join(' or ')}: its sessions go without a password`
    return [{ severity: 'warning', file, line, object, what, fix: 'Add the Secret to the input, in the namespace that calico-node runs in.' }]
  })
}
