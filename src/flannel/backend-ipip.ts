/**
 * The ipip backend: one IPIP device without a fixed far end; the route's gateway, the PublicIP of the lease, is the outer destination.
 *   10.1.20.0/24 via 192.168.0.200 dev flannel.ipip onlink ─▶ IP protocol 4 to 192.168.0.200
 * Source: flannel pkg/backend/ipip/ipip.go, pkg/backend/route_network.go; since 0.10.0.
 */
import type { Problem } from '../base/problem.js'
import type { DeviceSpec, RouteSpec } from '../dataplane/dataplane.js'
import { backendSource, EMPTY_PART, fromLease, remoteLeases, type Backend, type BackendPart, type FlannelView } from './backend.js'
import { GoFields } from './go-json.js'

/** The outer IPv4 header. */
const IPIP_OVERHEAD = 20
const DEVICE = 'flannel.ipip'

export const ipipBackend: Backend = {
  type: 'ipip',
  attributes: (view) => ({ publicIp: view.externalInterface.publicIp, backendType: 'ipip' }),
  render: renderIpip,
}

/**
 * The one device of a namespace that the kernel makes by itself when it loads the ipip module: it takes the packets that no other
 * IPIP device is meant for, and is down (net/ipv4/ipip.c ipip_init_net, ip_tunnel.c ip_tunnel_init_net).
 */
const FALLBACK: DeviceSpec = {
  kind: 'ipip',
  name: 'tunl0',
  mtu: 1500 - IPIP_OVERHEAD,
  up: false,
  addresses: [],
  ttl: 'inherit',
  tos: 0,
  pmtudisc: false,
  provenance: { by: 'kernel', object: 'module ipip' },
}

function renderIpip(view: FlannelView): BackendPart {
  const { config, externalInterface, ownLease } = view
  const fields = new GoFields(config.backend, backendSource('ipip'))
  const directRouting = fields.boolean('DirectRouting') ?? false
  // The MTU is set anew at every start, also that of a device which was there already.
  const mtu = externalInterface.mtu - IPIP_OVERHEAD
  if (mtu <= 0) fields.problem(`MTU ${externalInterface.mtu} of iface ${externalInterface.name} is too small for ipip mode to work`)
  const device: DeviceSpec = {
    kind: 'ipip',
    name: DEVICE,
    mtu,
    up: true,
    addresses: [{ address: ownLease.subnet.base, length: 32, scope: 'global' }],
    local: externalInterface.address,
    // All attributes 0 on netlink: the outer TTL and DF are those of the packet inside, of its TOS only the ECN bits.
    ttl: 'inherit',
    tos: 0,
    pmtudisc: false,
    provenance: fromLease(ownLease.subnet),
  }
  const problems = [...fields.problems]
  const routes = renderRoutes(view, directRouting, problems)
  return { ...EMPTY_PART, devices: [FALLBACK, device], routes, mtu, problems }
}

function renderRoutes(view: FlannelView, directRouting: boolean, problems: Problem[]): RouteSpec[] {
  const routes: RouteSpec[] = []
  for (const { subnet, attributes } of remoteLeases(view, 'ipip', problems)) {
    const way = directRouting ? view.underlay.lookup(attributes.publicIp) : undefined
    // DirectRouting changes the device alone: the route stays onlink.
    const device = way !== undefined && way.gateway === undefined ? view.externalInterface.name : DEVICE
    routes.push({ destination: subnet, type: 'unicast', via: attributes.publicIp, device, onlink: true, scope: 'global', provenance: fromLease(subnet) })
  }
  return routes
}
