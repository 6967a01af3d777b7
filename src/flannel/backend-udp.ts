/**
 * The udp backend: a TUN device, one route for the whole Network, and a proxy in user space (udp-proxy.ts).
 *   pod ─▶ flannel0 ─▶ flanneld: lease of dst ─▶ UDP 8285 to its PublicIP ─▶ flanneld ─▶ flannel0 ─▶ pod
 * Source: flannel pkg/backend/udp.
 */
import { formatIp } from '../base/ip.js'
import type { AddressSpec, RouteSpec } from '../dataplane/dataplane.js'
import { backendSource, EMPTY_PART, FLANNELD, fromLease, type Backend, type BackendPart, type FlannelView } from './backend.js'
import { GoFields } from './go-json.js'
import { sameSubnet } from './subnet-allocation.js'
import { atLeast } from './version.js'

const UDP_BACKEND_PORT = 8285
/** IPv4 and UDP header. */
const UDP_OVERHEAD = 28
export const UDP_HANDLER = 'flanneld udp'
/** The first free name of the pattern flannel%d. */
const DEVICE = 'flannel0'

export const udpBackend: Backend = {
  type: 'udp',
  // BackendType is left out.
  attributes: (view) => ({ publicIp: view.externalInterface.publicIp, backendType: '' }),
  render: renderUdp,
}

function renderUdp(view: FlannelView): BackendPart {
  const { config, ownLease, externalInterface, version } = view
  const fields = new GoFields(config.backend, backendSource('udp'))
  const port = fields.integer('Port') ?? UDP_BACKEND_PORT
  if (port < 1 || port > 65535) fields.problem(`Port ${port} is not a UDP port`)
  const mtu = externalInterface.mtu - UDP_OVERHEAD
  const provenance = { by: FLANNELD, object: `Network, backend udp` }
  const whole = !atLeast(version, '0.11.0')
  const address: AddressSpec = { address: ownLease.subnet.base, length: whole ? config.network.length : 32, scope: 'global' }
  // With the address /16 the kernel has made the route to the Network already, and adding it fails with EEXIST, which is ignored.
  const route: RouteSpec = { destination: config.network, type: 'unicast', device: DEVICE, scope: 'global', provenance }
  const bound = atLeast(version, '0.5.6') ? externalInterface.address : 0
  // No look at BackendType, unlike all other backends: also nodes that run another one are sent to.
  const others = view.leases.filter((lease) => !sameSubnet(lease.subnet, ownLease.subnet))
  return {
    ...EMPTY_PART,
    devices: [{ kind: 'tun', name: DEVICE, mtu, up: true, addresses: [address], handler: UDP_HANDLER, provenance: fromLease(ownLease.subnet) }],
    routes: whole ? [] : [route],
    sockets: [{ proto: 'udp', address: bound, port, handler: UDP_HANDLER, provenance: { by: FLANNELD, object: `backend udp, bound to ${formatIp(bound)}` } }],
    proxy: {
      device: DEVICE,
      tunAddress: ownLease.subnet.base,
      tunMtu: mtu,
      address: bound,
      port,
      // The peer's port is not in its lease: it is taken to be the own one.
      routes: others.map((lease) => ({ subnet: lease.subnet, nextHop: lease.attributes.publicIp, port })),
    },
    mtu,
    problems: fields.problems,
  }
}
