/** Hosts beyond the cluster: a card on their segment, a default route to its router, and whoever listens. From the cluster's outside hosts to Dataplanes. */
import { cidr } from '../base/cidr.js'
import { randomMac } from '../base/mac.js'
import { hashText, Prng } from '../base/prng.js'
import type { Cluster } from '../cluster/cluster.js'
import type { OutsideHost } from '../cluster/outside-hosts.js'
import { EMPTY_DATAPLANE, LOOPBACK, type Dataplane, type SocketSpec } from '../dataplane/dataplane.js'

const CARD = 'eth0'
const LAST_PORT = 65535

export function outsideName({ name }: Pick<OutsideHost, 'name'>): string {
  return `host/${name}`
}

export function outsideDataplane(cluster: Pick<Cluster, 'pins'>, host: OutsideHost, seed: number): Dataplane {
  const netns = outsideName(host)
  const provenance = { by: 'underlay', object: `host ${host.name}`, file: host.file, line: host.line }
  const key = `${netns}/${CARD}`
  return {
    ...EMPTY_DATAPLANE,
    netns,
    devices: [
      LOOPBACK,
      {
        kind: 'nic',
        name: CARD,
        mtu: host.mtu,
        mac: cluster.pins.macs.get(key) ?? randomMac(new Prng(seed ^ hashText(key))),
        up: true,
        addresses: [{ address: host.address, length: host.prefixLength, scope: 'global' }],
        segment: host.segment,
        provenance,
      },
    ],
    routes: [
      { destination: cidr(0, 0), type: 'unicast', via: host.gateway, device: CARD, provenance },
      {
        destination: cidr(host.address, host.prefixLength),
        type: 'unicast',
        device: CARD,
        protocol: 'kernel',
        scope: 'link',
        source: host.address,
        provenance: { by: 'kernel' },
      },
    ],
    sockets: socketsOf(host),
  }
}

function socketsOf({ ports, name, file, line }: OutsideHost): SocketSpec[] {
  const object = `host ${name}`
  if (ports !== undefined)
    return ports.map(({ proto, port }) => ({ proto, address: 0, port, handler: 'open', provenance: { by: 'ports of the host', object, file, line } }))
  const provenance = { by: 'the host lists no ports: taken to listen on every port', object, file, line }
  return (['tcp', 'udp', 'sctp'] as const).map((proto) => ({ proto, address: 0, port: 1, portEnd: LAST_PORT, handler: 'open', provenance }))
}
