/**
 * Devices that routes of a dump name and its list of devices does not show: a kernel has no such route, so that the dump is not whole. They are kept as
 * devices of which nothing is known: a packet that a route sends there is INCOMPLETE, and takes no other way.
 */
import type { Dataplane, DeviceSpec, RouteSpec } from '../dataplane/dataplane.js'
import type { NotUnderstood } from './collected-node.js'
import { agentsKind } from './device-specs.js'

const ETHERNET_MTU = 1500

export function absentDevices({ devices, routes }: Pick<Dataplane, 'devices' | 'routes'>, shownIn: string): readonly DeviceSpec[] {
  const known = new Set(devices.map(({ name }) => name))
  const absent = new Map<string, RouteSpec>()
  for (const route of routes) for (const name of namesOf(route)) if (!known.has(name) && !absent.has(name)) absent.set(name, route)
  return [...absent].map(([name, { provenance }]) => ({
    kind: 'other',
    name,
    type: agentsKind(name) ?? 'unknown',
    why: `${shownIn} does not show the device ${name}, which a route names`,
    mtu: ETHERNET_MTU,
    up: true,
    addresses: [],
    ...(provenance === undefined ? {} : { provenance }),
  }))
}

function namesOf({ device, nexthops }: RouteSpec): readonly string[] {
  return [...(device === undefined ? [] : [device]), ...(nexthops ?? []).map((hop) => hop.device)]
}

/** The same, told. */
export function absentTold(devices: readonly DeviceSpec[]): readonly NotUnderstood[] {
  return devices.map(({ name, provenance }) => ({
    what: `the device ${name}, which a route names and the list of devices does not show`,
    file: provenance?.file ?? '',
    line: provenance?.line ?? 0,
  }))
}
