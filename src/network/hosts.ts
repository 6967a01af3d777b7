/**
 * Hosts before any agent: the card, its address, the default route, the kernel's settings; and the routers of the underlay.
 * From the cluster's nodes and segments to Dataplanes.
 */
import { cidr } from '../base/cidr.js'
import type { Mac } from '../base/mac.js'
import { randomMac } from '../base/mac.js'
import { hashText, Prng } from '../base/prng.js'
import type { Problem } from '../base/problem.js'
import type { Cluster } from '../cluster/cluster.js'
import type { ClusterNode } from '../cluster/node.js'
import type { Router } from '../cluster/underlay.js'
import { EMPTY_DATAPLANE, LOOPBACK, type Dataplane, type DeviceSpec, type RouteSpec, type SocketSpec } from '../dataplane/dataplane.js'
import { fabricRoutes, type FabricPlan } from './cloud.js'
import { iptablesTool, ipTool } from './host-commands.js'

/** Who speaks BGP listens. */
export const BIRD_SOCKET: SocketSpec = { proto: 'tcp', address: 0, port: 179, handler: 'open', provenance: { by: 'BIRD' } }

/** The kernel's defaults but for these (DESIGN.md 5.2). */
const HOST_SYSCTLS = {
  'net.ipv4.ip_forward': 1,
  'net.ipv4.conf.all.rp_filter': 0,
  'net.ipv4.conf.default.rp_filter': 0,
  'net.bridge.bridge-nf-call-iptables': 1,
} as const

const DEFAULT_CARD = 'eth0'
const ANYWHERE = cidr(0, 0)
const KERNEL = { by: 'kernel' } as const
const OWNER = { by: 'owner of the host' } as const

/** A pinned MAC, or one drawn for this very device, so that another device more changes none. */
function macFor(cluster: Cluster, key: string, seed: number): Mac {
  return cluster.pins.macs.get(key) ?? randomMac(new Prng(seed ^ hashText(key)))
}

export function cardName(cluster: Cluster): string {
  const iface = cluster.flannel.iface
  return iface !== undefined && !/^[0-9.]+$/.test(iface) ? iface : DEFAULT_CARD
}

/** A node with its card plugged in and nothing else. */
export function bareHost(cluster: Cluster, node: ClusterNode, seed: number): Dataplane {
  const name = cardName(cluster)
  const segment = cluster.segments.find((candidate) => candidate.name === node.segment)
  const card: DeviceSpec = {
    kind: 'nic',
    name,
    mtu: node.mtu,
    mac: macFor(cluster, `${node.name}/${name}`, seed),
    up: true,
    addresses: [{ address: node.address, length: node.prefixLength, scope: 'global' }],
    provenance: { by: 'node', object: `Node/${node.name}`, file: node.file, line: node.line },
    ...(segment === undefined ? {} : { segment: segment.name }),
  }
  const connected: RouteSpec = {
    destination: cidr(node.address, node.prefixLength),
    type: 'unicast',
    device: name,
    protocol: 'kernel',
    scope: 'link',
    source: node.address,
    provenance: KERNEL,
  }
  const gateway: RouteSpec[] = segment === undefined ? [] : [{ destination: ANYWHERE, type: 'unicast', via: segment.router, device: name, provenance: OWNER }]
  return { ...EMPTY_DATAPLANE, netns: node.name, devices: [LOOPBACK, card], routes: [...gateway, connected], sysctls: HOST_SYSCTLS }
}

export function routerName(router: Router): string {
  return `router/${router.name}`
}

/** Of a cloud's fabric: it answers ARP for the gateway's address and nothing else. */
const FABRIC_SYSCTLS = { 'net.ipv4.conf.all.send_redirects': 0, 'net.ipv4.conf.default.send_redirects': 0, 'net.ipv4.icmp_echo_ignore_all': 1 } as const

/**
 * A Linux router with a card in each of its segments; it knows those and what it was told.
 * @param fabric it is a cloud's, with what flanneld wrote into the cloud's route table
 */
export function routerDataplane(
  cluster: Cluster,
  router: Router,
  seed: number,
  fabric?: FabricPlan,
): { readonly dataplane: Dataplane; readonly problems: readonly Problem[] } {
  const devices: DeviceSpec[] = [LOOPBACK]
  const routes: RouteSpec[] = []
  router.interfaces.forEach((one, index) => {
    const name = `eth${index}`
    const segment = cluster.segments.find((candidate) => candidate.name === one.segment)
    devices.push({
      kind: 'nic',
      name,
      mtu: segment?.mtu ?? 1500,
      mac: macFor(cluster, `${one.segment}/router`, seed ^ hashText(router.name)),
      up: true,
      addresses: [{ address: one.address, length: one.length, scope: 'global' }],
      segment: one.segment,
      provenance: { by: 'underlay', object: `router ${router.name}` },
    })
    routes.push({
      destination: cidr(one.address, one.length),
      type: 'unicast',
      device: name,
      protocol: 'kernel',
      scope: 'link',
      source: one.address,
      provenance: KERNEL,
    })
  })
  const sysctls = fabric === undefined ? HOST_SYSCTLS : { ...HOST_SYSCTLS, ...FABRIC_SYSCTLS }
  let dataplane: Dataplane = { ...EMPTY_DATAPLANE, netns: routerName(router), devices, routes, sysctls }
  const problems: Problem[] = []
  for (const [commands, tool] of [
    [router.routes, routeTool],
    [router.iptables, iptablesTool],
  ] as const) {
    for (const command of commands) {
      const next = tool(
        dataplane,
        command.text,
        { file: command.file, line: command.line },
        { by: `owner of router ${router.name}`, file: command.file, line: command.line },
      )
      dataplane = next.dataplane
      problems.push(...next.problems)
    }
  }
  if (fabric !== undefined) dataplane = { ...dataplane, routes: fabricRoutes(dataplane, router, fabric) }
  return { dataplane, problems }
}

/** `routes` may leave out `ip route add`: `10.0.0.0/8 via 192.168.1.1`. */
const routeTool: typeof ipTool = (dataplane, text, place, provenance) =>
  ipTool(
    dataplane,
    /^(ip |route |r )/.test(text) ? text : `route ${/^(add|replace|append|del|delete|change|prepend) /.test(text) ? '' : 'add '}${text}`,
    place,
    provenance,
  )
