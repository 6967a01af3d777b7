/**
 * Which pools an address may come from. Requested ones are taken as they are; else those of automatic assignment whose selectors match node
 * and namespace. Source: libcalico-go/lib/ipam/{ipam,pools}.go (determinePools, filterPoolsByUse), cni-plugin/pkg/k8s/k8s.go (annotations).
 */
import { covers, formatCidr, parseCidr, type Cidr } from '../../base/cidr.js'
import { parseIp, type Ip } from '../../base/ip.js'
import type { IPPool, PoolUse } from '../../cluster/calico/ip-pool.js'
import type { Labels } from '../../cluster/labels.js'
import { isSelectorFault, matchesCalicoSelector, parseSelector } from '../../cluster/selector.js'

interface PoolQuestion {
  readonly pools: readonly IPPool[]
  /** Prefixes that the pod, its namespace or the CNI configuration names; empty: none are named. */
  readonly requested: readonly Cidr[]
  readonly nodeLabels: Labels
  /** Absent where there is no namespace: tunnel addresses. */
  readonly namespaceLabels?: Labels
  readonly use: PoolUse
}

interface PoolAnswer {
  readonly pools: readonly IPPool[]
  /** Those that select the node, of whatever use: blocks of others are given back. */
  readonly selecting: readonly IPPool[]
  /** Why there is none. */
  readonly failure?: string
}

export function selectPools({ pools, requested, nodeLabels, namespaceLabels, use }: PoolQuestion): PoolAnswer {
  const none = (failure: string, selecting: readonly IPPool[] = []): PoolAnswer => ({ pools: [], selecting, failure })
  const enabled = pools.filter(({ disabled }) => !disabled)
  if (enabled.length === 0) return none('no IPPool is enabled')
  const selecting: IPPool[] = []
  for (const prefix of requested) {
    const pool = enabled.find((candidate) => formatCidr(candidate.cidr) === formatCidr(prefix))
    if (pool === undefined) return none(`the given pool (${formatCidr(prefix)}) does not exist, or is not enabled`)
    selecting.push(pool)
  }
  if (requested.length === 0) {
    selecting.push(
      ...enabled.filter(
        (pool) => pool.assignmentMode === 'Automatic' && selects(pool.nodeSelector, nodeLabels) && selects(pool.namespaceSelector, namespaceLabels ?? {}),
      ),
    )
  }
  if (selecting.length === 0) return none('no IPPool selects the node and the namespace')
  const usable = selecting.filter(({ allowedUses }) => allowedUses.includes(use))
  return usable.length > 0 ? { pools: usable, selecting } : none(`no pools match the required use (${use})`, selecting)
}

/** Empty text selects everything; one that does not parse (reported when it was read) nothing. */
export function selects(text: string, labels: Labels): boolean {
  const selector = parseSelector(text)
  return !isSelectorFault(selector) && matchesCalicoSelector(selector, labels)
}

export function poolOfAddress(pools: readonly IPPool[], address: Ip): IPPool | undefined {
  return pools.find(({ cidr }) => covers(cidr, { base: address, length: 32 }))
}

const PREFIX = 'cni.projectcalico.org/'

interface AddressRequest {
  /** Empty: none are named. */
  readonly pools: readonly Cidr[]
  /** `ipAddrs`: exactly this one. */
  readonly address?: Ip
  readonly faults: readonly { readonly annotation: string; readonly what: string }[]
}

/** The pod's annotation wins over the namespace's; pools go by name or by prefix. */
export function requestOf(podAnnotations: Labels, namespaceAnnotations: Labels, pools: readonly IPPool[]): AddressRequest {
  const faults: { annotation: string; what: string }[] = []
  const listOf = (annotation: string, annotations: Labels): readonly string[] => {
    const text = annotations[PREFIX + annotation]
    if (text === undefined || text === '') return []
    const values = parseList(text)
    if (values === undefined) faults.push({ annotation: PREFIX + annotation, what: `${text} is no JSON list of texts` })
    return values ?? []
  }
  const own = listOf('ipv4pools', podAnnotations)
  const names = own.length > 0 ? own : listOf('ipv4pools', namespaceAnnotations)
  const requested = names.flatMap((name) => {
    const prefix = parseCidr(name)
    const found = typeof prefix === 'string' ? pools.find((pool) => pool.name === name)?.cidr : prefix
    if (found === undefined) faults.push({ annotation: `${PREFIX}ipv4pools`, what: `there is no IPPool ${name}` })
    return found ?? []
  })
  const addresses = listOf('ipAddrs', podAnnotations).flatMap((text) => {
    const address = parseIp(text)
    if (address === undefined && !text.includes(':')) faults.push({ annotation: `${PREFIX}ipAddrs`, what: `${text} is no IPv4 address` })
    return address ?? []
  })
  if (addresses.length > 1) faults.push({ annotation: `${PREFIX}ipAddrs`, what: 'more than one IPv4 address' })
  return { pools: requested, ...(addresses.length === 0 ? {} : { address: addresses[0] }), faults }
}

function parseList(text: string): readonly string[] | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return Array.isArray(value) && value.every((item): item is string => typeof item === 'string') ? value : undefined
  } catch {
    return undefined
  }
}
