/** What of a network wakes together: a node with its pods, or a router. From the composition to units that the world compiles on demand (net/compile.ts). */
import type { Ip } from '../base/ip.js'
import type { Dataplane } from '../dataplane/dataplane.js'
import { UDP_HANDLER } from '../flannel/backend-udp.js'
import { attachProcess, cardsOf, type NetnsSpec, type Unit } from '../net/compile.js'
import { deviceNamed, NETNS_NODE, NETNS_POD, type Netns } from '../net/netns.js'
import type { Bare, Composition } from './composition.js'
import { UdpProcess } from './flannel-udp.js'
import type { NodePlan } from './nodes.js'
import { podsOn } from './pods.js'

export function specsOf({ dataplane, pods, others = [] }: NodePlan): readonly NetnsSpec[] {
  return [{ dataplane, role: NETNS_NODE }, ...[...pods.map((pod) => pod.dataplane), ...others].map((one) => ({ dataplane: one, role: NETNS_POD }))]
}

/** The same plan, but for what the node and pods of it have in their kernel. */
export function withKernelsOf(plan: NodePlan, kernels: ReadonlyMap<string, Dataplane>): NodePlan {
  const of = (dataplane: Dataplane): Dataplane => kernels.get(dataplane.netns) ?? dataplane
  if (kernels.size === 0) return plan
  const pods = plan.pods.map((pod) => (kernels.has(pod.dataplane.netns) ? { ...pod, dataplane: of(pod.dataplane) } : pod))
  return { ...plan, dataplane: of(plan.dataplane), pods }
}

export interface UnitPlan {
  /** Renders it, or has it. */
  readonly plan: () => NodePlan
  /** Its kernel holds what its agents did not put there. */
  readonly handSet: boolean
}

export function nodeUnit(composition: Composition, name: string, { plan, ...own }: UnitPlan): Unit {
  const { homes, bare } = composition
  const handSet = own.handSet || homes.isHandSet(name)
  return {
    size: composition.isEager(name) ? specsOf(plan()).length : mostNetns(composition, name),
    // agents leave the cards as they are
    cards: cardsOf([{ dataplane: handSet ? plan().dataplane : (bare.get(name) as Bare).dataplane, role: NETNS_NODE }]),
    mayAnswer: (address) => (handSet ? mayAnswer(plan().dataplane, address) : homes.mayHave(name, address)),
    ...(handSet ? {} : { home: { name, list: homes } }),
    specs: () => specsOf(plan()),
    woken: (byName) => startProxy(composition, byName.get(name)),
  }
}

/** Each pod that is given an address has a netns. */
function mostNetns(composition: Composition, node: string): number {
  const { calico } = composition.agents
  return 1 + (calico === undefined ? podsOn(composition.podsOf(node), node).length : (calico.cluster.endpoints.get(node)?.length ?? 0))
}

export function routerUnit(spec: NetnsSpec): Unit {
  return {
    size: 1,
    cards: cardsOf([spec]),
    mayAnswer: (address) => mayAnswer(spec.dataplane, address),
    specs: () => [spec],
    woken() {},
  }
}

/** It has the address, or may answer for others: as a proxy, with routes of its own to itself, or for whatever is behind a bridge that its card is in. */
function mayAnswer({ devices, routes, neighbours, sysctls }: Dataplane, address: Ip): boolean {
  const cards = devices.filter(({ kind }) => kind === 'nic')
  const proxies = ['all', 'default', ...cards.map(({ name }) => name)].flatMap((name) => [`${name}.proxy_arp`, `${name}.proxy_arp_pvlan`])
  return (
    devices.some(({ addresses }) => addresses.some((own) => own.address === address)) ||
    cards.some(({ master }) => master !== undefined) ||
    routes.some(({ type }) => type === 'local') ||
    neighbours.some(({ proxy }) => proxy === true) ||
    proxies.some((setting) => (sysctls[`net.ipv4.conf.${setting}`] ?? 0) !== 0)
  )
}

/** flanneld's udp backend runs a process behind flannel0. */
function startProxy({ agents: { flannel } }: Composition, netns: Netns | undefined): void {
  const proxy = netns === undefined ? undefined : flannel?.parts.get(netns.name)?.proxy
  if (netns === undefined || proxy === undefined) return
  const tun = deviceNamed(netns, proxy.device)
  if (tun !== null) attachProcess(netns, UDP_HANDLER, new UdpProcess(netns, tun, proxy))
}
