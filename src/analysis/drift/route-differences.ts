/**
 * Routes and rules of routing: what agents make of them against what is there. The host's own (its default route, its link) are told of only where they
 * take the cluster's traffic.
 */
import { broadcastOf, cidr, formatCidr, type Cidr } from '../../base/cidr.js'
import { formatIp } from '../../base/ip.js'
import type { Dataplane, RouteSpec, RoutingRuleSpec } from '../../dataplane/dataplane.js'
import { tableOf } from '../../dataplane/ip-route.js'
import { DEFAULT_ROUTING_RULES } from '../../dataplane/ip-rule.js'
import type { Change, Difference, DriftView, Focus } from './difference.js'
import { goesWithAddress } from './device-differences.js'
import { LEFT_ALONE, repairOf } from './repair.js'
import { Printer } from './shown.js'
import { mend, wordsOf } from './shell-words.js'

const OWNER = 'owner of the host'

export function routeDifferences(view: DriftView): Difference[] {
  const there = view.there.routes.filter(isCompared)
  const wanted = view.expected.routes.filter(isCompared)
  const expected = new Map<string, RouteSpec[]>()
  for (const route of wanted) push(expected, keyOf(route), route)
  const byKey = new Map<string, RouteSpec[]>()
  for (const route of there) push(byKey, keyOf(route), route)
  const found: Difference[] = []
  const taken = new Set<RouteSpec>()
  for (const [key, routes] of expected) {
    const others = [...(byKey.get(key) ?? [])]
    const left: RouteSpec[] = []
    for (const route of routes) {
      const at = others.findIndex((other) => isAlike(route, other))
      if (at < 0) left.push(route)
      else taken.add(others.splice(at, 1)[0])
    }
    for (const route of left) {
      if (isHosts(view, route)) {
        // the host's gateway is whatever it is
        if (others.length > 0) taken.add(others[0])
        else if (route.destination.length === 0) found.push(missingRoute(view, route, there))
        continue
      }
      const other = others.shift()
      if (other === undefined) found.push(missingRoute(view, route, there))
      else {
        taken.add(other)
        found.push(elsewhere(view, route, other))
      }
    }
  }
  const extra = there.filter((route) => !taken.has(route) && !goesWithAddress(view, route))
  return [...found, ...extraRoutes(view, extra)]
}

function push<Key, Item>(lists: Map<Key, Item[]>, key: Key, item: Item): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [item])
  else list.push(item)
}

/** What the kernel keeps of its own addresses goes with them. */
function isCompared(route: RouteSpec): boolean {
  const table = tableOf(route)
  return table !== 'local' && table !== 'default' && route.type !== 'broadcast' && route.type !== 'multicast'
}

function keyOf(route: RouteSpec): string {
  return `${tableOf(route)} ${formatCidr(route.destination)} ${route.tos ?? 0}`
}

function hopText({ via, device, onlink }: { readonly via?: number; readonly device?: string; readonly onlink?: boolean }): string {
  return `${via === undefined ? '' : formatIp(via)} ${device ?? ''} ${onlink === true ? 'onlink' : ''}`
}

/** Metric, protocol and preferred source may be others. */
function isAlike(a: RouteSpec, b: RouteSpec): boolean {
  if (a.type !== b.type) return false
  const hops = (route: RouteSpec): string => (route.nexthops ?? [route]).map(hopText).sort().join('; ')
  if (hops(a) === hops(b)) return true
  // onlink is needed where the gateway is on no link of the device's alone
  const plain = (route: RouteSpec): string =>
    (route.nexthops ?? [route])
      .map((hop) => hopText({ ...hop, onlink: false }))
      .sort()
      .join('; ')
  return plain(a) === plain(b) && a.via !== undefined && a.protocol === 'bird'
}

/** Written by nobody's agent: the link's own route, the default route. */
function isHosts({ expected }: DriftView, route: RouteSpec): boolean {
  const by = route.provenance?.by
  if (by === OWNER) return true
  return by === 'kernel' && expected.devices.some(({ name, kind }) => name === route.device && kind === 'nic')
}

function focusOf(view: DriftView, prefix: Cidr): Focus {
  const node = view.facts.nodeBehind(prefix)
  const pods = prefix.length > 0 ? view.facts.pods.in(prefix) : []
  const addresses = prefix.length > 0 ? [prefix.base + (prefix.length < 31 ? 1 : 0)] : []
  return {
    ...(node === undefined || node === view.node ? {} : { nodes: [node] }),
    ...(pods.length > 0 && pods.length <= 4 ? { pods: pods.map(({ namespace, name }) => `${namespace}/${name}`) } : {}),
    ...(node === undefined && prefix.length > 0 ? { addresses } : {}),
  }
}

/** `to the pods of n2`. */
function whither(view: DriftView, prefix: Cidr): string {
  const node = view.facts.nodeBehind(prefix)
  return node === undefined ? '' : node === view.node ? ' of pods of its own' : ` of the pods of ${node}`
}

function causeOf(view: DriftView, prefix: Cidr): string {
  const node = view.facts.nodeOfSubnet(prefix)
  return node === undefined || node === view.node ? `route ${formatCidr(prefix)}` : `remote ${node === '' ? formatCidr(prefix) : node}`
}

/** Where it was put in place of where it should be. */
function missingRoute(view: DriftView, route: RouteSpec, there: readonly RouteSpec[]): Difference {
  const printer = new Printer(view)
  const other = there.find((one) => tableOf(one) !== tableOf(route) && formatCidr(one.destination) === formatCidr(route.destination) && isAlike(route, one))
  const text = printer.routeText(route)
  const prefix = route.destination.length === 0 ? 'the default route' : `the route to ${formatCidr(route.destination)}${whither(view, route.destination)}`
  const { backendType } = view.network.flannel?.config ?? {}
  return {
    code: other === undefined ? 'ND201' : 'ND203',
    cause: causeOf(view, route.destination),
    what: other === undefined ? `${prefix} is missing` : `${prefix} is in table ${tableOf(other)}, not in ${tableOf(route)}`,
    expected: [printer.route(route)],
    there: other === undefined ? [] : [printer.route(other)],
    apply: (dataplane) => {
      const all = route.protocol === 'kernel' ? withKernelRoutes(dataplane) : dataplane
      return { ...all, routes: [...all.routes.filter((one) => one !== route), ...(other === undefined ? [] : [other])] }
    },
    focus: focusOf(view, route.destination),
    commands: [mend`ip route replace ${wordsOf(text)}`, ...(other === undefined ? [] : [mend`ip route del ${wordsOf(printer.routeText(other))}`])],
    repair: repairOf(route.provenance?.by, 'route', backendType),
    whole: wholeOf(view, route.destination),
  }
}

/** With those that the kernel makes of addresses (fib_add_ifaddr), so that one of them can be missing. */
function withKernelRoutes(dataplane: Dataplane): Dataplane {
  if (dataplane.routesAreAll === true) return dataplane
  const has = (destination: Cidr, device: string): boolean =>
    dataplane.routes.some((route) => route.device === device && formatCidr(route.destination) === formatCidr(destination))
  const made = dataplane.devices.flatMap(({ name, kind, up, addresses }) =>
    addresses.flatMap(({ address, length }): RouteSpec[] => {
      const prefix = cidr(address, length)
      const common = { device: name, protocol: 'kernel', source: address }
      const own: RouteSpec = { ...common, destination: cidr(address, 32), type: 'local', scope: 'host', table: 'local' }
      if (!up || length === 32) return [own]
      if (kind === 'loopback') return [own, { ...own, destination: prefix }]
      const broadcast: RouteSpec = { ...common, destination: cidr(broadcastOf(prefix), 32), type: 'broadcast', scope: 'link', table: 'local' }
      const connected: RouteSpec = { ...common, destination: prefix, type: 'unicast', scope: 'link' }
      return [own, ...(length < 31 ? [broadcast] : []), ...(has(prefix, name) ? [] : [connected])]
    }),
  )
  return { ...dataplane, routes: [...dataplane.routes, ...made], routesAreAll: true }
}

/** Of a remote node of which more is amiss. */
function wholeOf(view: DriftView, prefix: Cidr): Difference['whole'] {
  const node = view.facts.nodeOfSubnet(prefix)
  if (node === undefined || node === '' || node === view.node) return undefined
  return notProgrammed(view, node)
}

export function notProgrammed(view: DriftView, node: string): NonNullable<Difference['whole']> {
  const by = view.network.flannel === undefined ? 'felix' : 'flanneld'
  return {
    code: 'ND307',
    what: `${view.node} has not programmed node ${node}: several of the entries that lead there are missing or wrong`,
    repair: repairOf(by, 'neighbour'),
    least: 2,
  }
}

function elsewhere(view: DriftView, route: RouteSpec, other: RouteSpec): Difference {
  const printer = new Printer(view)
  const onlink = route.via === other.via && route.device === other.device && route.type === other.type
  const { backendType } = view.network.flannel?.config ?? {}
  return {
    code: 'ND203',
    cause: causeOf(view, route.destination),
    what: onlink
      ? `the route to ${formatCidr(route.destination)}${whither(view, route.destination)} is ${other.onlink === true ? '' : 'not '}onlink`
      : `the route to ${formatCidr(route.destination)}${whither(view, route.destination)} leads elsewhere`,
    expected: [printer.route(route)],
    there: [printer.route(other)],
    apply: (dataplane) => ({ ...dataplane, routes: dataplane.routes.map((one) => (one === route ? other : one)) }),
    focus: focusOf(view, route.destination),
    commands: [
      ...((route.metric ?? 0) === (other.metric ?? 0) && route.tos === other.tos ? [] : [mend`ip route del ${wordsOf(printer.routeText(other))}`]),
      mend`ip route replace ${wordsOf(printer.routeText(route))}`,
    ],
    repair: repairOf(route.provenance?.by, 'route', backendType),
    whole: wholeOf(view, route.destination),
  }
}

const add =
  (routes: readonly RouteSpec[], rules: readonly RoutingRuleSpec[] = []): Change =>
  (dataplane) => ({
    ...dataplane,
    routes: [...dataplane.routes, ...routes],
    rules: rules.length === 0 ? dataplane.rules : withRules(dataplane.rules, (all) => [...all, ...rules]),
  })

function withRules(rules: Dataplane['rules'], change: (rules: readonly RoutingRuleSpec[]) => readonly RoutingRuleSpec[]): Dataplane['rules'] {
  return [...change(rules.length === 0 ? DEFAULT_ROUTING_RULES : rules)].sort((a, b) => a.priority - b.priority)
}

/** A table that no rule looks up is nobody's way; those of a foreign rule come with it. */
function extraRoutes(view: DriftView, extra: readonly RouteSpec[]): Difference[] {
  const looked = new Set(['main', ...view.expected.rules.flatMap(({ table }) => table ?? [])])
  return extra.filter((route) => looked.has(tableOf(route))).map((route) => extraRoute(view, route))
}

function extraRoute(view: DriftView, route: RouteSpec): Difference {
  const printer = new Printer(view)
  const { facts } = view
  const owner = facts.nodeOfSubnet(route.destination)
  const known = view.expected.devices.some(({ name, kind }) => name === route.device && kind !== 'nic' && kind !== 'veth')
  const ours = known || route.protocol === 'bird'
  const gone = ours && route.destination.length > 0 && (owner === undefined || owner === '') && facts.nodeBehind(route.destination) === undefined
  const prefix = formatCidr(route.destination)
  // blocks without pods are not in an input without IPAM's own resources
  const block = route.protocol === 'bird' && !(view.network.calico?.cluster.resources.ipamBlocks.length ?? 0)
  return {
    code: gone ? 'ND202' : ours ? 'ND202' : 'ND204',
    cause: gone ? `gone ${goneKey(route)}` : `route ${prefix}`,
    what: gone
      ? `the route to ${prefix} leads to no node of the cluster`
      : `there is a route to ${prefix === '0.0.0.0/0' ? 'everything' : prefix}${whither(view, route.destination)} that no agent makes`,
    expected: [],
    there: [printer.route(route)],
    apply: add([route]),
    focus: focusOf(view, route.destination),
    commands: [mend`ip route del ${wordsOf(printer.routeText(route))}`],
    repair: route.protocol === 'bird' ? repairOf('BIRD', 'route') : LEFT_ALONE,
    ...(block || (!ours && !facts.concernsCluster(route.destination)) ? { bystander: true } : {}),
    ...(gone ? { whole: goneWhole(view) } : {}),
  }
}

export function goneWhole(view: DriftView): NonNullable<Difference['whole']> {
  return {
    code: 'ND308',
    what: `${view.node} still has entries for a node that the cluster has no more`,
    repair: repairOf(view.network.flannel === undefined ? 'felix' : 'flanneld', 'neighbour'),
    least: 2,
  }
}

/** What belongs to one node that is gone: by the gateway on the tunnel, which its neighbour entry is of. */
function goneKey(route: RouteSpec): string {
  return route.via === undefined ? formatCidr(route.destination) : formatIp(route.via)
}

function ruleKey(rule: RoutingRuleSpec): string {
  const { provenance: _, protocol: __, priority: ___, ...rest } = rule
  return JSON.stringify(rest, Object.keys(rest).sort().concat(['base', 'length']))
}

export function routingRuleDifferences(view: DriftView): Difference[] {
  const printer = new Printer(view)
  const complete = (rules: Dataplane['rules']): Dataplane['rules'] => (rules.length === 0 ? DEFAULT_ROUTING_RULES : rules)
  const [wanted, there] = [complete(view.expected.rules), complete(view.there.rules)]
  const keys = (rules: Dataplane['rules']): ReadonlySet<string> => new Set(rules.map(ruleKey))
  const [wantedKeys, thereKeys] = [keys(wanted), keys(there)]
  const missing = wanted.filter((rule) => !thereKeys.has(ruleKey(rule)))
  const extra = there.filter((rule) => !wantedKeys.has(ruleKey(rule)))
  return [
    ...missing.map((rule): Difference => {
      const key = ruleKey(rule)
      return {
        code: 'ND205',
        cause: `rule ${key}`,
        what: `the rule of routing that looks up table ${rule.table ?? '-'} is missing`,
        expected: [printer.routingRule(rule)],
        there: [],
        apply: (dataplane) => ({ ...dataplane, rules: withRules(dataplane.rules, (all) => all.filter((one) => ruleKey(one) !== key)) }),
        focus: {},
        commands: [ruleCommand('add', printer.routingRuleText(rule))],
        repair: repairOf(rule.provenance?.by, 'route'),
      }
    }),
    ...extra.map((rule): Difference => {
      const table = view.there.routes.filter((route) => rule.table !== undefined && rule.table !== 'main' && tableOf(route) === rule.table)
      const unknown = table.filter((route) => !view.expected.routes.some((one) => keyOf(one) === keyOf(route)))
      return {
        code: 'ND206',
        cause: `rule ${ruleKey(rule)}`,
        what: `there is a rule of routing that no agent makes: ${printer.routingRuleText(rule)}`,
        expected: [],
        there: [printer.routingRule(rule), ...unknown.slice(0, 5).map((route) => printer.route(route))],
        apply: add(unknown, [rule]),
        focus: { addresses: unknown.slice(0, 3).map(({ destination }) => destination.base + (destination.length < 31 ? 1 : 0)) },
        commands: [ruleCommand('del', printer.routingRuleText(rule))],
        repair: LEFT_ALONE,
        bystander: true,
      }
    }),
  ]
}

/** `100: from all fwmark 0x1 lookup 10` → `ip rule add priority 100 from all fwmark 0x1 lookup 10`. */
function ruleCommand(verb: 'add' | 'del', text: string): string {
  return mend`ip rule ${verb} ${wordsOf(text.replace(/^(\d+):/, 'priority $1'))}`
}
