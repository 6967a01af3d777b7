/**
 * Pods' own namespaces: device, addresses, routes, and who listens on the ports that Services lead to. Pods that the node has and the cluster has not, and the
 * other way round. From the plan of the node's pods and the namespaces of its dump to differences, each of the pod's own kernel.
 */
import { cidr, contains } from '../../base/cidr.js'
import { formatIp, type Ip } from '../../base/ip.js'
import type { CollectedPod } from '../../collected/collected-node.js'
import type { AddressSpec, Dataplane, DeviceSpec, SocketSpec } from '../../dataplane/dataplane.js'
import type { PodPlan } from '../../network/pods.js'
import type { Difference, DriftView } from './difference.js'
import { LEFT_ALONE } from './repair.js'
import { routeDifferences } from './route-differences.js'
import { Printer, shown } from './shown.js'
import { translate } from './translate.js'
import { LEFT_OUT, mend, wordsOf } from './shell-words.js'

const PLUGIN = 'the CNI plugin does it once, when a pod is made: delete the pod, and its successor has it'

export interface PodPair {
  readonly plan: PodPlan
  readonly found: CollectedPod
}

export interface PodPairs {
  readonly pairs: readonly PodPair[]
  /** Of the cluster, and not on the node. */
  readonly absent: readonly PodPlan[]
  /** On the node, and not of the cluster. */
  readonly extra: readonly CollectedPod[]
}

/** By the runtime's word, else by the address. */
export function pairPods(plans: readonly PodPlan[], found: readonly CollectedPod[]): PodPairs {
  const byName = new Map(found.flatMap((one) => (one.known ? [[one.name, one] as const] : [])))
  const byAddress = new Map(found.flatMap((one) => (one.known ? [] : addressesIn(one).map((address) => [address, one] as const))))
  const pairs: PodPair[] = []
  const absent: PodPlan[] = []
  for (const plan of plans) {
    const own = byName.get(plan.dataplane.netns) ?? byAddress.get(plan.address)
    if (own === undefined) absent.push(plan)
    else pairs.push({ plan, found: own })
  }
  const taken = new Set(pairs.map((pair) => pair.found))
  return { pairs, absent, extra: found.filter((one) => !taken.has(one)) }
}

export function addressesIn({ dataplane }: Pick<CollectedPod, 'dataplane'>): readonly Ip[] {
  return (dataplane?.devices ?? []).flatMap(({ kind, addresses }) =>
    kind === 'loopback' ? [] : addresses.flatMap(({ address, scope }) => (scope === 'global' ? [address] : [])),
  )
}

export function podDifferences(view: DriftView): Difference[] {
  const { collected, network, node } = view
  const plans = network.nodePlan(node)?.pods
  if (collected === undefined || plans === undefined || collected.pods.length === 0) return []
  const { pairs, absent, extra } = pairPods(plans, collected.pods)
  return [
    ...pairs.flatMap((pair) => (pair.found.dataplane === undefined ? [] : ofPair(view, pair, pair.found.dataplane))),
    // where the runtime was not asked a pod without an address on record cannot be told from another
    ...absent.flatMap((plan) => (collected.pods.some(({ known }) => known) && plan.pod.address !== undefined ? [podAbsent(view, plan)] : [])),
    ...extra.flatMap((one) => (one.known && isOfNamespace(view, one) ? [podExtra(view, one)] : [])),
  ]
}

/** Of others the input has none: they were not asked for. */
export function isOfNamespace({ network }: Pick<DriftView, 'network'>, { name }: CollectedPod): boolean {
  const namespace = name.slice(0, name.indexOf('/'))
  return network.cluster.pods.some((pod) => pod.namespace === namespace)
}

/** In the pod's namespace, by the number that its folder in the dump bears. */
function inside({ place }: CollectedPod, command: string): string {
  const inode = /pods\/(\d+)/.exec(place.file)?.[1]
  const each = 'for n in /run/netns/* /run/docker/netns/*'
  return inode === undefined || command === LEFT_OUT
    ? command
    : `${each}; do [ "$(stat -Lc %i "$n" 2>/dev/null)" != ${inode} ] || nsenter --net="$n" ${command}; done`
}

function ofPair(view: DriftView, { plan, found }: PodPair, kernel: Dataplane): Difference[] {
  const { netns } = plan.dataplane
  const own = view.alignment
  const names = { toExpected: { ...own.toExpected, device: same }, toDump: { ...own.toDump, device: same }, told: [] }
  const pod: DriftView = { ...view, expected: plan.dataplane, there: translate(kernel, names.toExpected), alignment: names }
  const { found: differences, expected } = deviceIn(pod, plan)
  // the address of a pod without one on record was drawn here
  const isDrawn = plan.pod.address === undefined && !addressesIn({ dataplane: kernel }).includes(plan.address)
  const routes = isDrawn || kernel.unknown?.routes !== undefined ? [] : routeDifferences({ ...pod, expected })
  const all = [...differences, ...routes, ...portsIn(view, plan, kernel)]
  return all.map((one) => ({
    ...one,
    cause: `pod ${netns} ${one.cause}`,
    netns,
    what: `in the pod ${netns} ${one.what}`,
    focus: { ...one.focus, pods: [netns] },
    commands: one.commands.map((command) => inside(found, command)),
    repair: one.repair === LEFT_ALONE ? LEFT_ALONE : PLUGIN,
  }))
}

function same(name: string): string {
  return name
}

interface InPod {
  readonly found: readonly Difference[]
  /** With what was found done to it. */
  readonly expected: Dataplane
}

function deviceIn(pod: DriftView, { pod: { address }, dataplane }: PodPlan): InPod {
  const found: Difference[] = []
  let { expected } = pod
  const add = (difference: Difference): void => {
    found.push(difference)
    expected = difference.apply?.(expected) ?? expected
  }
  for (const device of dataplane.devices) {
    if (device.kind === 'loopback') continue
    const there = pod.there.devices.find(({ name }) => name === device.name)
    if (there === undefined) {
      add(noDevice(pod, device))
      continue
    }
    if (device.up && !there.up) add(deviceDown(pod, device, there))
    if (device.mtu !== there.mtu) add(deviceMtu(pod, device, there))
    if (address !== undefined) {
      const wrong = addressIn(pod, device, there)
      if (wrong !== undefined) add(wrong)
    }
  }
  return { found, expected }
}

function changing(name: string, change: (device: DeviceSpec) => DeviceSpec): NonNullable<Difference['apply']> {
  return (dataplane) => ({ ...dataplane, devices: dataplane.devices.map((one) => (one.name === name ? change(one) : one)) })
}

function noDevice(pod: DriftView, { name }: DeviceSpec): Difference {
  return {
    code: 'ND101',
    cause: `device ${name}`,
    what: `${name} is missing`,
    expected: [new Printer(pod).deviceLine(pod.expected.devices.find((one) => one.name === name) as DeviceSpec)],
    there: [],
    apply: (dataplane) => ({
      ...dataplane,
      devices: dataplane.devices.filter((one) => one.name !== name),
      routes: dataplane.routes.filter(({ device }) => device !== name),
    }),
    focus: {},
    commands: [],
    repair: PLUGIN,
  }
}

function deviceDown(pod: DriftView, device: DeviceSpec, there: DeviceSpec): Difference {
  const printer = new Printer(pod)
  const lost = pod.expected.routes.filter(
    (route) =>
      route.device === device.name && !pod.there.routes.some((other) => other.device === device.name && other.destination.base === route.destination.base),
  )
  return {
    code: 'ND102',
    cause: `device ${device.name}`,
    what: `${device.name} is down`,
    expected: [printer.deviceLine(device)],
    there: [printer.deviceLine(there)],
    apply: (dataplane) => ({
      ...changing(device.name, (one) => ({ ...one, up: false }))(dataplane),
      routes: dataplane.routes.filter((route) => !lost.includes(route)),
    }),
    focus: {},
    commands: [
      mend`ip link set dev ${device.name} up`,
      ...lost.filter(({ protocol }) => protocol !== 'kernel').map((route) => mend`ip route replace ${wordsOf(printer.routeText(route))}`),
    ],
    repair: PLUGIN,
  }
}

function deviceMtu(pod: DriftView, device: DeviceSpec, there: DeviceSpec): Difference {
  const printer = new Printer(pod)
  const big = there.mtu > device.mtu
  return {
    code: 'ND104',
    cause: `mtu ${device.name}`,
    what: `the MTU of ${device.name} is ${there.mtu}, ${Math.abs(there.mtu - device.mtu)} too ${big ? 'big' : 'small'}: it should be ${device.mtu}`,
    expected: [printer.deviceLine(device)],
    there: [printer.deviceLine(there)],
    apply: changing(device.name, (one) => ({ ...one, mtu: there.mtu })),
    focus: { sizes: [Math.min(there.mtu, device.mtu), Math.max(there.mtu, device.mtu)] },
    commands: [mend`ip link set dev ${device.name} mtu ${device.mtu}`],
    repair: PLUGIN,
  }
}

/** With the routes that the kernel makes of it, and those that it cannot have without. */
function addressIn(pod: DriftView, device: DeviceSpec, there: DeviceSpec): Difference | undefined {
  const printer = new Printer(pod)
  const has = (one: DeviceSpec, { address }: AddressSpec): boolean => one.addresses.some((other) => other.address === address)
  const absent = device.addresses.filter((one) => !has(there, one))
  const extra = there.addresses.filter((one) => one.scope === 'global' && !has(device, one))
  if (absent.length === 0) return undefined
  const text = ({ address, length }: AddressSpec): string => `${formatIp(address)}/${length}`
  const goes = (all: readonly AddressSpec[]) => (route: Dataplane['routes'][number]) =>
    route.device === device.name &&
    all.some(({ address, length }) => route.source === address || (length < 32 && contains(cidr(address, length), route.via ?? 0)))
  const kept = pod.there.routes.filter((route) => goes([...absent, ...extra])(route))
  return {
    code: 'ND107',
    cause: `address ${device.name}`,
    what: `${device.name} has ${extra.length === 0 ? 'not its address' : `${extra.map(text).join(', ')} in place of`} ${absent.map(text).join(', ')}`,
    expected: absent.map((one) => printer.address(device, one)),
    there: extra.map((one) => printer.address(there, one)),
    apply: (dataplane) => ({
      ...changing(device.name, (one) => ({ ...one, addresses: [...one.addresses.filter((own) => !absent.includes(own)), ...extra] }))(dataplane),
      routes: [...dataplane.routes.filter((route) => !goes(absent)(route)), ...kept],
    }),
    focus: {},
    commands: [
      // what is left of a subnet goes with its first address (__inet_del_ifa)
      ...extra.map((one) => mend`ip addr del ${text(one)} dev ${device.name}`),
      ...absent.map((one) => mend`ip addr add ${text(one)} dev ${device.name}`),
      ...pod.expected.routes
        .filter((route) => goes(absent)(route) && route.protocol !== 'kernel')
        .map((route) => mend`ip route replace ${wordsOf(printer.routeText(route))}`),
    ],
    repair: PLUGIN,
  }
}

/** Ports that a Service leads to; whether others that a pod declares are open is its own affair. */
function portsIn({ network }: DriftView, { pod, dataplane }: PodPlan, kernel: Dataplane): Difference[] {
  // a sidecar that takes connections over, and a pod that is not ready, are another matter
  if (kernel.unknown?.sockets !== undefined || !pod.ready || kernel.iptables.tables.some(({ name }) => name === 'nat')) return []
  const wanted = new Map<string, { readonly proto: 'tcp' | 'udp'; readonly port: number; readonly services: string[] }>()
  for (const { service, ports } of network.services.endpoints)
    for (const { port, endpoints } of ports) {
      const proto = port.protocol === 'TCP' ? 'tcp' : port.protocol === 'UDP' ? 'udp' : undefined
      for (const one of endpoints) {
        if (one.pod !== pod || proto === undefined) continue
        const known = wanted.get(`${proto} ${one.port}`) ?? { proto, port: one.port, services: [] }
        known.services.push(`${service.namespace}/${service.name}`)
        wanted.set(`${proto} ${one.port}`, known)
      }
    }
  return [...wanted.values()].flatMap(({ proto, port, services }): Difference[] => {
    const on = kernel.sockets.filter((one) => one.proto === proto && one.port <= port && port <= (one.portEnd ?? one.port))
    const own = addressesIn({ dataplane: kernel })
    if (on.some(({ address }) => address === 0 || own.includes(address))) return []
    const where = on.map(({ address }) => formatIp(address)).join(', ')
    const leads = `the ${services.length === 1 ? 'Service' : 'Services'} ${services.join(', ')} ${services.length === 1 ? 'leads' : 'lead'}`
    return [
      {
        code: 'ND903',
        cause: `port ${proto} ${port}`,
        what: `${on.length === 0 ? 'nobody listens' : `only ${where} is listened on`}, on ${proto} port ${port} that ${leads} to`,
        expected: [shown(`LISTEN 0.0.0.0:${port}/${proto}`, dataplane.sockets.find((one) => one.proto === proto && covers(one, port))?.provenance)],
        there: on.map((one) => shown(`LISTEN ${formatIp(one.address)}:${port}/${proto}`, one.provenance)),
        apply: (now) => ({ ...now, sockets: kernel.sockets }),
        focus: { listening: [{ proto, port }], services },
        commands: [],
        repair: LEFT_ALONE,
      },
    ]
  })
}

function covers({ port, portEnd = port }: SocketSpec, wanted: number): boolean {
  return port <= wanted && wanted <= portEnd
}

function podAbsent(view: DriftView, { dataplane: { netns, devices }, address, pod }: PodPlan): Difference {
  const host = view.expected.devices.find((device) => device.kind === 'veth' && device.peer.netns === netns)
  return {
    code: 'ND901',
    // the host's end is missing with it
    cause: host === undefined ? `pod ${netns}` : `device ${host.name}`,
    what: `the pod ${netns} (${formatIp(address)}) has no network namespace on the node`,
    expected: [
      {
        ...shown(`${devices.find(({ kind }) => kind === 'veth')?.name ?? 'eth0'} ${formatIp(address)}`),
        object: `Pod/${netns}`,
        file: pod.file,
        line: pod.line,
      },
    ],
    there: [],
    focus: { pods: [netns] },
    commands: [mend`kubectl -n ${pod.namespace} delete pod ${pod.name}`],
    repair: 'the kubelet makes the sandbox anew once it finds it gone: if it stays, the kubelet or the runtime does not run',
  }
}

function podExtra(view: DriftView, found: CollectedPod): Difference {
  const addresses = addressesIn(found)
  const routes = view.there.routes.filter(({ destination }) => destination.length === 32 && addresses.includes(destination.base))
  const id = found.containerId
  return {
    code: 'ND902',
    cause: `pod ${found.name}`,
    what: `the network of the pod ${found.name} (${addresses.map(formatIp).join(', ')}) is on the node, and the cluster has no such pod here`,
    expected: [],
    there: [shown(`pod ${found.name}`, { by: 'dump', ...found.place }), ...routes.map((route) => new Printer(view).route(route))],
    focus: {},
    commands: id === undefined ? [] : [mend`crictl inspectp ${id}   # whose it is; then: crictl stopp ${id} && crictl rmp ${id}`],
    repair: 'the kubelet stops sandboxes whose pods are gone: if it stays, the runtime could not, or the objects are older than the dump',
  }
}
