/**
 * flannel's network configuration: from the JSON at `/coreos.com/network/config` in etcd, or in net-conf.json, to checked
 * fields with their defaults, by version. Source: flannel pkg/subnet/config.go and its ancestors.
 */
import { broadcastOf, contains, maskOf, type Cidr } from '../base/cidr.js'
import { compareIp, formatIp, type Ip } from '../base/ip.js'
import { hasErrors, type Problem } from '../base/problem.js'
import { GoFields, isJsonObject, parseJsonObject, type JsonObject, type TextSource } from './go-json.js'
import { atLeast } from './version.js'

export interface FlannelConfig {
  readonly network: Cidr
  /** Prefix length of a node's subnet; 0 with the kubernetes manager, which takes what podCIDR says. */
  readonly subnetLength: number
  /** First and last subnet that may be leased, by their network addresses. */
  readonly subnetMin: Ip
  readonly subnetMax: Ip
  readonly enableNFTables: boolean
  /** Lower case; empty when `Backend` has no `Type`. */
  readonly backendType: string
  /** The `Backend` object for the backend to read. */
  readonly backend: JsonObject
}

export interface ConfigOptions {
  readonly version: string
  /** kubernetes: subnets come from podCIDR, so SubnetLen, SubnetMin and SubnetMax are neither checked nor used (from 0.20.0 on). */
  readonly manager: 'etcd' | 'kubernetes'
  readonly source: TextSource
}

/** @returns no config when any Problem is an error; the first error is the one that flanneld would print */
export function parseFlannelConfig(text: string, options: ConfigOptions): { readonly config?: FlannelConfig; readonly problems: readonly Problem[] } {
  const parsed = parseJsonObject(text, options.source)
  if (parsed.object === undefined) return { problems: parsed.problems }
  const fields = new GoFields(parsed.object, options.source)
  checkAddressFamily(fields, options.version)
  const network = fields.cidr('Network')
  if (network === undefined && !hasErrors(fields.problems))
    fields.problem('Network is missing', 'give the prefix that all subnets lie in, as in {"Network": "10.1.0.0/16"}')
  const enableNFTables = (atLeast(options.version, '0.25.0') ? fields.boolean('EnableNFTables') : undefined) ?? false
  const backend = parseBackend(fields)
  const subnets = network === undefined ? undefined : parseSubnets(fields, network, options)
  if (network === undefined || subnets === undefined || backend === undefined || hasErrors(fields.problems)) return { problems: fields.problems }
  return { config: { network, ...subnets, enableNFTables, ...backend }, problems: fields.problems }
}

interface Subnets {
  readonly subnetLength: number
  readonly subnetMin: Ip
  readonly subnetMax: Ip
}

function checkAddressFamily(fields: GoFields, version: string): void {
  if (!atLeast(version, '0.15.0')) return
  if (fields.boolean('EnableIPv6') === true) fields.problem('EnableIPv6: IPv6 is not modelled, only the IPv4 half of the network is built', '', 'warning')
  if (fields.boolean('EnableIPv4') === false) fields.problem('EnableIPv4 is false: a network of IPv6 alone is not modelled')
}

/** Absent means udp, whatever the documentation says; present without a Type is an unknown backend. */
function parseBackend(fields: GoFields): Pick<FlannelConfig, 'backendType' | 'backend'> | undefined {
  const backend = fields.raw('Backend')
  if (backend === undefined) return { backendType: 'udp', backend: {} }
  if (backend === null) return { backendType: '', backend: {} }
  if (!isJsonObject(backend)) {
    fields.problem('Backend is not an object', 'write it as {"Type": "vxlan"}')
    return undefined
  }
  const inner = new GoFields(backend, { file: '', line: 0, object: '' })
  const type = inner.string('Type') ?? ''
  for (const problem of inner.problems) fields.problem(`Backend: ${problem.what}`)
  return { backendType: type.toLowerCase(), backend }
}

function parseSubnets(fields: GoFields, network: Cidr, options: ConfigOptions): Subnets {
  const givenLength = fields.integer('SubnetLen')
  const givenMin = fields.ip('SubnetMin')
  const givenMax = fields.ip('SubnetMax')
  if (options.manager === 'kubernetes' && atLeast(options.version, '0.20.0')) return { subnetLength: 0, subnetMin: 0, subnetMax: 0 }
  const strict = atLeast(options.version, '0.10.0')
  const subnetLength = strict ? checkedLength(fields, network, givenLength) : earlyLength(fields, network, givenLength)
  if (subnetLength === undefined) return { subnetLength: 0, subnetMin: 0, subnetMax: 0 }
  const size = 2 ** (32 - subnetLength)
  const subnetMin = givenMin === undefined || givenMin === 0 ? (network.base + size) | 0 : givenMin
  const subnetMax = givenMax === undefined || givenMax === 0 ? (broadcastOf(network) + 1 - size) | 0 : givenMax
  const limits: readonly (readonly [string, Ip, boolean])[] = [
    ['SubnetMin', subnetMin, subnetMin === givenMin],
    ['SubnetMax', subnetMax, subnetMax === givenMax],
  ]
  for (const [name, limit, given] of limits)
    if (given && !contains(network, limit)) fields.problem(`${name} ${formatIp(limit)} is not in the range of the Network`)
  for (const [name, limit] of strict ? limits : []) {
    const boundary = limit & maskOf(subnetLength)
    if (boundary !== limit)
      fields.problem(`${name} is not on a SubnetLen boundary: ${formatIp(limit)}`, `the subnet that it lies in begins at ${formatIp(boundary)}`)
  }
  if (!hasErrors(fields.problems) && compareIp(subnetMin, subnetMax) > 0) {
    fields.problem(`SubnetMin ${formatIp(subnetMin)} is above SubnetMax ${formatIp(subnetMax)}: no subnet can be leased`, '', 'warning')
  }
  return { subnetLength, subnetMin, subnetMax }
}

function checkedLength(fields: GoFields, network: Cidr, given: number | undefined): number | undefined {
  if (given !== undefined && given < 0) {
    fields.problem(`SubnetLen ${given} is negative`)
    return undefined
  }
  if (given !== undefined && given > 0) {
    if (given > 30) fields.problem(`SubnetLen must be less than /31, not ${given}`)
    else if (given < network.length + 2)
      fields.problem(`Network must be able to accommodate at least four subnets: /${network.length} holds too few of /${given}`)
    else return given
    return undefined
  }
  if (network.length > 28) {
    fields.problem(`Network is too small. Minimum useful network prefix is /28, not /${network.length}`)
    return undefined
  }
  return network.length <= 22 ? 24 : network.length + 2
}

/** Up to 0.9.1: one subnet was enough. */
function earlyLength(fields: GoFields, network: Cidr, given: number | undefined): number | undefined {
  const length = given !== undefined && given !== 0 ? given : network.length < 24 ? 24 : network.length + 1
  if (length >= network.length && length <= 32) return length
  fields.problem(length > 32 || length < 0 ? `SubnetLen ${length} is not a prefix length` : `SubnetLen ${length}: HostSubnet is larger network than Network`)
  return undefined
}
