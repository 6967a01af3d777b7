/**
 * kube-proxy in iptables mode: from a view of a node to its chains. The order of the edits is that in which kubelet and kube-proxy make them on a
 * host that boots: kubelet's chains and jumps, the canaries, the jumps of kube-proxy (each above the last), then all rules in one restore.
 * Source: kubernetes pkg/proxy/iptables/proxier.go, about 1.31.
 */
import { cidr, contains, type Cidr } from '../base/cidr.js'
import { compareIp, ip, type Ip } from '../base/ip.js'
import type { KubeProxySettings } from '../cluster/services/kube-proxy-settings.js'
import type { Match, Rule } from '../dataplane/iptables.js'
import { CHAIN } from './chain-names.js'
import { canaryEdits, forwardRules, jumpEdits, kubeletEdits, markMasqueradeRules, postroutingRules } from './fixed-rules.js'
import type { KubeProxyPart, KubeProxyView } from './kube-proxy.js'
import { localDetector } from './local-detector.js'
import { comment, createChain, jump, KUBE_PROXY, ruleOf, to, TO_LOCAL } from './rule.js'
import { portRules, type PortSurroundings, type ServicePortRules } from './service-port-rules.js'
import type { ProxiedPort } from './service-port.js'

const LOOPBACK = cidr(ip('127.0.0.0'), 8)
const EVERYTHING = cidr(ip('0.0.0.0'), 0)

export function renderKubeProxy(view: KubeProxyView): KubeProxyPart {
  if (view.settings.mode === 'none') return { chainEdits: [], sysctls: {}, problems: [] }
  const rules = view.services.ports.length === 0 ? [] : rulesOfPorts(view)
  const all = (part: (port: ServicePortRules) => readonly Rule[]): Rule[] => rules.flatMap(part)
  const mark = (1 << view.settings.masqueradeBit) >>> 0
  return {
    chainEdits: [
      ...kubeletEdits(),
      ...canaryEdits(),
      createChain(
        'filter',
        CHAIN.externalServices,
        all(({ externalServices }) => externalServices),
      ),
      createChain(
        'filter',
        CHAIN.nodePorts,
        all(({ filterNodePorts }) => filterNodePorts),
      ),
      createChain(
        'filter',
        CHAIN.services,
        all(({ filterServices }) => filterServices),
      ),
      createChain('filter', CHAIN.forward, forwardRules(mark, view.conntrackBeLiberal)),
      createChain(
        'filter',
        CHAIN.proxyFirewall,
        all(({ proxyFirewall }) => proxyFirewall),
      ),
      createChain('nat', CHAIN.services, [...all(({ natServices }) => natServices), ...toNodePorts(view)]),
      createChain('nat', CHAIN.postrouting, postroutingRules(mark)),
      createChain(
        'nat',
        CHAIN.nodePorts,
        all(({ natNodePorts }) => natNodePorts),
      ),
      createChain('nat', CHAIN.markMasquerade, markMasqueradeRules(mark)),
      ...jumpEdits(),
      ...rules.flatMap(({ chains }) => chains),
    ],
    sysctls: opensLoopback(view) ? { 'net.ipv4.conf.all.route_localnet': 1 } : {},
    problems: problemsOf(view),
  }
}

/** Ports whose rules are everywhere the same are rendered once for all nodes of one detector. */
function rulesOfPorts({ services, settings, node, nodeAddress, podCIDR, zone }: KubeProxyView): ServicePortRules[] {
  const detector = localDetector(settings, podCIDR)
  const at: PortSurroundings = {
    node,
    nodeAddress,
    ...(zone === undefined ? {} : { zone }),
    detector,
    masqueradeAll: settings.masqueradeAll,
    large: services.large,
  }
  const key = `${settings.masqueradeAll ? 'all' : ''} ${detector?.key ?? ''}`
  let uniform = services.uniformRules.get(key)
  if (uniform === undefined) {
    uniform = new Map(services.ports.filter((port) => port.uniform).map((port): [ProxiedPort, ServicePortRules] => [port, portRules(port, at)]))
    services.uniformRules.set(key, uniform)
  }
  return services.ports.map((port) => uniform.get(port) ?? portRules(port, at))
}

/** The end of nat KUBE-SERVICES: addresses of this node at which node ports are open. Source: pkg/proxy/util/nodeport_addresses.go. */
function toNodePorts(view: KubeProxyView): Rule[] {
  const { localhostNodePorts } = view.settings
  const words = comment('kubernetes service nodeports; NOTE: this must be the last rule in this chain')
  const rule = (matches: readonly Match[]): Rule => ruleOf({ by: KUBE_PROXY }, matches, jump(CHAIN.nodePorts))
  if (matchesAll(view.settings)) {
    const notLoopback: Match = { kind: 'destination', net: LOOPBACK, invert: true }
    return [rule([...(localhostNodePorts ? [] : [notLoopback]), words, TO_LOCAL])]
  }
  return nodePortAddresses(view).flatMap((address) => (contains(LOOPBACK, address) && !localhostNodePorts ? [] : [rule([to(address), words])]))
}

function matchesAll({ nodePortAddresses: chosen }: KubeProxySettings): boolean {
  return chosen.length === 0 || chosen.some((net) => net === 'all' || (typeof net === 'object' && net.length === 0))
}

/** What the words stand for on this node. Source: cmd/kube-proxy/app/server.go expandNodePortAddressKeywords. */
function nodePortNets({ settings, nodeAddress }: Pick<KubeProxyView, 'settings' | 'nodeAddress'>): Cidr[] {
  const words = { primary: cidr(nodeAddress, 32), localhost: LOOPBACK, all: EVERYTHING }
  return settings.nodePortAddresses.map((net) => (typeof net === 'string' ? words[net] : net))
}

/** In a Go set's order really: the lowest first here. */
function nodePortAddresses(view: KubeProxyView): Ip[] {
  const nets = nodePortNets(view)
  return [...new Set(view.addresses)].filter((address) => nets.some((net) => contains(net, address))).sort(compareIp)
}

/** Node ports on 127.0.0.1 need the kernel to route what it would call martian. */
function opensLoopback(view: KubeProxyView): boolean {
  // ContainsIPv4Loopback of pkg/proxy/util/nodeport_addresses.go: a prefix within 127.0.0.0/8, or one that holds its first address
  const holdsLoopback = nodePortNets(view).some((net) => contains(LOOPBACK, net.base) || contains(net, LOOPBACK.base))
  return view.settings.localhostNodePorts && (matchesAll(view.settings) || holdsLoopback)
}

function problemsOf(view: KubeProxyView): KubeProxyPart['problems'] {
  const { settings, podCIDR, node } = view
  const problem = (what: string, fix: string) => ({ severity: 'warning' as const, file: '', line: 0, object: `Node/${node}`, what, fix })
  const missing = settings.detectLocalMode === 'NodeCIDR' && podCIDR === undefined
  const closed = !matchesAll(settings) && nodePortAddresses(view).length === 0
  return [
    ...(missing
      ? [problem("kube-proxy tells local traffic by the node's podCIDR, and the node has none", 'Write spec.podCIDR, or detectLocalMode: ClusterCIDR.')]
      : []),
    ...(closed ? [problem('no address of the node is in nodePortAddresses: node ports are closed here', 'Mend nodePortAddresses of kube-proxy.')] : []),
  ]
}
