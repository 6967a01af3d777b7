/** Which ports must be open: those that a Dataplane names one by one always, those of a range once a probe may come there. */
import { formatIp } from '../base/ip.js'
import type { Dataplane, SocketSpec } from '../dataplane/dataplane.js'

export interface OpenPorts {
  readonly fixed: readonly { readonly proto: string; readonly address: string; readonly port: number }[]
  readonly ranges: readonly { readonly proto: string; readonly address: string; readonly first: number; readonly last: number }[]
}

/** A rule that sends to a range of ports sends to any of them: more than so many are no list but a haystack. */
const MOST_PORTS_OF_A_RULE = 64

/** Sockets with a named handler are opened by whoever handles them. */
export function openPortsOf(sockets: readonly SocketSpec[]): OpenPorts {
  const open = sockets.filter(({ handler, proto }) => handler === 'open' && proto !== 'sctp')
  return {
    fixed: open.filter(({ portEnd }) => portEnd === undefined).map(({ proto, address, port }) => ({ proto, address: formatIp(address), port })),
    ranges: open.flatMap(({ proto, address, port, portEnd }) =>
      portEnd === undefined ? [] : [{ proto, address: formatIp(address), first: port, last: portEnd }],
    ),
  }
}

/** Ports that DNAT and REDIRECT rules of any netns name. */
export function natPortsOf(dataplanes: readonly Dataplane[]): readonly number[] {
  const ports = new Set<number>()
  for (const { iptables } of dataplanes) {
    for (const { target } of iptables.tables.flatMap(({ chains }) => chains.flatMap(({ rules }) => rules))) {
      const range = target === undefined ? undefined : target.kind === 'DNAT' ? target.to.ports : target.kind === 'REDIRECT' ? target.ports : undefined
      if (range === undefined) continue
      for (let port = range[0]; port <= range[1] && port < range[0] + MOST_PORTS_OF_A_RULE; port++) ports.add(port)
    }
  }
  return [...ports].sort((a, b) => a - b)
}
