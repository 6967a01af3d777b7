/**
 * `netsim show sockets`: who listens in a netns, in the columns of `ss -lnptu` without its queues; in place of a process id, who holds the
 * socket and what says so. Sockets of the kernel itself (vxlan_sock_add, wg_socket_init) are among them, as ss shows them.
 */
import { formatIp } from '../base/ip.js'
import type { Dataplane, Provenance } from '../dataplane/dataplane.js'
import { table } from './table.js'

interface ShownSocket {
  readonly netid: 'tcp' | 'udp' | 'sctp'
  readonly state: 'LISTEN' | 'UNCONN'
  readonly address: number
  readonly port: number
  /** Inclusive end, where it stands for several. */
  readonly portEnd?: number
  readonly process: string
  readonly provenance?: Provenance
}

export function socketsOf({ sockets, devices }: Dataplane): readonly ShownSocket[] {
  const byProcess = sockets.map(({ proto, address, port, portEnd, provenance }): ShownSocket => ({
    netid: proto,
    state: proto === 'udp' ? 'UNCONN' : 'LISTEN',
    address,
    port,
    ...(portEnd === undefined ? {} : { portEnd }),
    process: processOf(provenance),
    ...(provenance === undefined ? {} : { provenance }),
  }))
  const byKernel = [...kernelPorts(devices)].map(([port, holders]): ShownSocket => {
    return { netid: 'udp', state: 'UNCONN', address: 0, port, process: `kernel (${holders.join(', ')})` }
  })
  return [...byKernel, ...byProcess]
}

/** One socket for a port, whichever VXLAN devices share it; while they are up. */
function kernelPorts(devices: Dataplane['devices']): ReadonlyMap<number, readonly string[]> {
  const ports = new Map<number, string[]>()
  for (const device of devices) {
    if ((device.kind !== 'vxlan' && device.kind !== 'wireguard') || !device.up) continue
    ports.set(device.port, [...(ports.get(device.port) ?? []), `${device.kind} ${device.name}`])
  }
  return ports
}

function processOf(provenance: Provenance | undefined): string {
  if (provenance === undefined) return ''
  const { by, object, file, line } = provenance
  const place = file === undefined || file === '' ? undefined : line === undefined ? file : `${file}:${line}`
  return [by, object, place].filter((part) => part !== undefined && part !== '').join(', ')
}

export function printSockets(dataplane: Dataplane): string {
  const rows = socketsOf(dataplane).map(({ netid, state, address, port, portEnd, process }) => {
    const ports = portEnd === undefined || portEnd === port ? `${port}` : `${port}-${portEnd}`
    return [netid, state, `${formatIp(address)}:${ports}`, '0.0.0.0:*', process]
  })
  return table(['Netid', 'State', 'Local Address:Port', 'Peer Address:Port', 'Process'], rows)
}
