/**
 * Hosts beyond the cluster (spec.underlay.hosts of the Network document): clients and servers with a card on a segment of the underlay, reached over its
 * routers. One whose address is in no listed segment gets a segment of its own, behind the same routers as far as they are not listed.
 */
import { cidr, contains, formatCidr, overlaps, type Cidr } from '../base/cidr.js'
import { formatIp, type Ip } from '../base/ip.js'
import { isHostAddress } from './fields.js'
import type { KubernetesObject } from './manifest.js'
import { formatPlace, type Place, type ProblemList } from './problem-list.js'

export interface OutsidePort {
  readonly proto: 'tcp' | 'udp' | 'sctp'
  readonly port: number
}

/** As written. */
export interface OutsideHostSpec extends Place {
  readonly name: string
  readonly address: Ip
  readonly gateway?: Ip
  /** Absent: taken to listen on every port. */
  readonly ports?: readonly OutsidePort[]
}

export interface OutsideHost extends OutsideHostSpec {
  readonly segment: string
  readonly prefixLength: number
  readonly gateway: Ip
  readonly mtu: number
}

interface Written {
  readonly name: string
  readonly address: Ip
  readonly gateway?: Ip | null | undefined
  readonly ports?: readonly (number | string)[] | null | undefined
}

const PORT = /^([0-9]{1,5})(?:\/(tcp|udp|sctp))?$/

export function readOutsideHosts(written: readonly Written[], object: KubernetesObject, problems: ProblemList): OutsideHostSpec[] {
  const hosts: OutsideHostSpec[] = []
  for (const [index, { name, address, gateway, ports }] of written.entries()) {
    const path = ['spec', 'underlay', 'hosts', index] as const
    const same = hosts.find((host) => host.name === name || host.address === address)
    if (same !== undefined) {
      const what = same.name === name ? `two hosts are called ${name}` : `${name} and ${same.name} both have ${formatIp(address)}`
      problems.error(object.at(...path), object.label, `${what}, the other in ${formatPlace(same)}`, 'Give each its own name and address.')
      continue
    }
    const listens = ports?.flatMap((text, at) => readPort(text) ?? fault(text, at))
    hosts.push({ name, address, ...(gateway ? { gateway } : {}), ...(listens === undefined ? {} : { ports: listens }), ...object.at(...path) })

    function fault(text: number | string, at: number): [] {
      problems.error(object.at(...path, 'ports', at), object.label, `${JSON.stringify(text)} is no port of host ${name}`, 'Write 80, or "53/udp".')
      return []
    }
  }
  return hosts
}

function readPort(text: number | string): OutsidePort | undefined {
  const match = PORT.exec(String(text))
  const port = Number(match?.[1] ?? 0)
  return match === null || port < 1 || port > 65535 ? undefined : { proto: (match[2] ?? 'tcp') as OutsidePort['proto'], port }
}

const OWN_PREFIX_LENGTH = 24

/** Prefixes for those that are in no segment: the /24, or where that overlaps a segment the longest that holds the host and a router. */
export function ownPrefixes(hosts: readonly OutsideHostSpec[], segments: readonly Cidr[]): { readonly cidr: Cidr; readonly host: OutsideHostSpec }[] {
  const found: { cidr: Cidr; host: OutsideHostSpec }[] = []
  for (const host of hosts) {
    if (segments.some((segment) => contains(segment, host.address)) || found.some((own) => contains(own.cidr, host.address))) continue
    let own = cidr(host.address, OWN_PREFIX_LENGTH)
    while (own.length < 30 && segments.some((segment) => overlaps(segment, own))) own = cidr(host.address, own.length + 1)
    found.push({ cidr: own, host })
  }
  return found
}

interface Wire {
  readonly name: string
  readonly cidr: Cidr
  readonly router: Ip
  readonly mtu: number
}

/** With the segment that each is in. @param taken addresses of nodes and routers */
export function placeOutsideHosts(
  hosts: readonly OutsideHostSpec[],
  segments: readonly Wire[],
  taken: ReadonlyMap<Ip, string>,
  problems: ProblemList,
): OutsideHost[] {
  return hosts.flatMap((host) => {
    const segment = segments.find((candidate) => contains(candidate.cidr, host.address))
    const owner = taken.get(host.address)
    if (segment === undefined || owner !== undefined || !isHostAddress(segment.cidr, host.address)) {
      const why =
        owner === undefined
          ? `is no host address of segment ${segment?.name ?? ''} (${segment === undefined ? '' : formatCidr(segment.cidr)})`
          : `is ${owner}'s`
      problems.error(host, '', `host ${host.name}: ${formatIp(host.address)} ${why}`, 'Take a free address of the segment.')
      return []
    }
    const gateway = host.gateway ?? segment.router
    if (!contains(segment.cidr, gateway)) {
      problems.error(
        host,
        '',
        `host ${host.name}: its gateway ${formatIp(gateway)} is not in its segment ${segment.name} (${formatCidr(segment.cidr)})`,
        `Take the router's address, ${formatIp(segment.router)}; without a gateway that is what it has.`,
      )
      return []
    }
    return [{ ...host, segment: segment.name, prefixLength: segment.cidr.length, gateway, mtu: segment.mtu }]
  })
}
