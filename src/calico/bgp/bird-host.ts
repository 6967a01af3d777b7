/**
 * What a BIRD daemon finds in its kernel: devices with addresses, and the main table's routes of others (sysdep/linux/netlink.c
 * nl_parse_route, sysdep/unix/krt.c krt_got_route).
 */
import { contains, type Cidr } from '../../base/cidr.js'
import type { Ip } from '../../base/ip.js'
import type { Dataplane, RouteSpec } from '../../dataplane/dataplane.js'
import type { BirdConfig } from './config.js'
import { prefixKey, type Destination, type KernelFacts } from './route.js'

/** /etc/iproute2/rt_protos, those that a node's routes bear. */
const PROTOCOL_NUMBERS: Readonly<Record<string, number>> = { unspec: 0, redirect: 1, kernel: 2, boot: 3, static: 4, ra: 9, zebra: 11, bird: 12, dhcp: 16 }
const SCOPE_NUMBERS = { global: 0, site: 200, link: 253, host: 254, nowhere: 255 } as const
const KERNELS_OWN = [PROTOCOL_NUMBERS.kernel, PROTOCOL_NUMBERS.redirect, PROTOCOL_NUMBERS.bird]

/** A device of the host with its addresses, as `direct` sees it. */
export interface HostDevice {
  readonly name: string
  readonly addresses: readonly { readonly address: Ip; readonly length: number }[]
}

/** A route that somebody else put into the main table. */
export interface AlienRoute {
  readonly prefix: Cidr
  readonly destination: Destination
  readonly facts: KernelFacts
}

export interface BirdHost {
  readonly devices: readonly HostDevice[]
  readonly aliens: readonly AlienRoute[]
}

const NONE: readonly number[] = []

export class AliensByPrefix {
  private readonly routes = new Map<string, AlienRoute[]>()

  constructor(aliens: readonly AlienRoute[]) {
    for (const alien of aliens) {
      const key = prefixKey(alien.prefix)
      const known = this.routes.get(key)
      if (known === undefined) this.routes.set(key, [alien])
      else known.push(alien)
    }
  }

  prefixes(): Cidr[] {
    return [...this.routes.values()].map(([{ prefix }]) => prefix)
  }

  /** Of the lowest metric. */
  best(prefix: Cidr): AlienRoute | undefined {
    return this.routes
      .get(prefixKey(prefix))
      ?.toSorted((a, b) => a.facts.metric - b.facts.metric)
      .at(0)
  }

  metrics(prefix: Cidr): readonly number[] {
    return this.routes.size === 0 ? NONE : (this.routes.get(prefixKey(prefix))?.map(({ facts }) => facts.metric) ?? NONE)
  }

  /** Prefixes of which the other has other routes. */
  changesTo(other: AliensByPrefix): Cidr[] {
    const prefixes = [...this.routes.values(), ...[...other.routes].flatMap(([key, routes]) => (this.routes.has(key) ? [] : [routes]))].map(
      ([{ prefix }]) => prefix,
    )
    return prefixes.filter((prefix) => {
      const key = prefixKey(prefix)
      return JSON.stringify(this.routes.get(key)) !== JSON.stringify(other.routes.get(key))
    })
  }
}

/** @param dataplane without BIRD's own routes, or with them: they are left out */
export function birdHostOf(dataplane: Pick<Dataplane, 'devices' | 'routes'>): BirdHost {
  return {
    devices: dataplane.devices
      .filter(({ kind, up }) => kind !== 'loopback' && up)
      .map(({ name, addresses }) => ({
        name,
        addresses: addresses.filter(({ scope }) => scope === 'global').map(({ address, length }) => ({ address, length })),
      })),
    aliens: dataplane.routes.flatMap(alienOf),
  }
}

/** A route of the main table as BIRD learns it; empty: it is the kernel's own, BIRD's, or of a kind that BIRD does not read. */
function alienOf(route: RouteSpec): AlienRoute[] {
  const source = PROTOCOL_NUMBERS[route.protocol ?? 'boot'] ?? Number(route.protocol)
  const destination = destinationOf(route)
  if ((route.table ?? 'main') !== 'main' || KERNELS_OWN.includes(source) || destination === undefined) return []
  const scope = SCOPE_NUMBERS[route.scope ?? 'global']
  return [{ prefix: route.destination, destination, facts: { source, metric: route.metric ?? 0, ...(scope === 0 ? {} : { scope }) } }]
}

function destinationOf(route: RouteSpec): Destination | undefined {
  if (route.type === 'blackhole' || route.type === 'unreachable' || route.type === 'prohibit') return { kind: route.type }
  if (route.type !== 'unicast') return undefined
  if (route.nexthops !== undefined) {
    return {
      kind: 'multipath',
      nexthops: route.nexthops.map(({ via, device, weight }) => ({ device, weight, ...(via === undefined ? {} : { gateway: via }) })),
    }
  }
  if (route.device === undefined) return undefined
  return route.via === undefined ? { kind: 'device', device: route.device } : { kind: 'router', gateway: route.via, device: route.device }
}

export function addressesOf({ devices }: BirdHost): ReadonlySet<Ip> {
  return new Set(devices.flatMap(({ addresses }) => addresses.map(({ address }) => address)))
}

/** The name of the device behind which an address lies. */
export function deviceTo({ devices }: BirdHost, address: Ip): string | undefined {
  return devices.find(({ addresses }) => addresses.some((own) => contains({ base: own.address, length: own.length }, address)))?.name
}

export function networkOf({ address, length }: HostDevice['addresses'][number]): Cidr {
  return { base: address & (length === 0 ? 0 : -1 << (32 - length)), length }
}

export function isExcluded(device: HostDevice, directExcept: BirdConfig['directExcept']): boolean {
  const matches = (pattern: string): boolean => (pattern.endsWith('*') ? device.name.startsWith(pattern.slice(0, -1)) : device.name === pattern)
  return device.name === 'lo' || directExcept.some(matches)
}
