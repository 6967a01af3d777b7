/**
 * dockerd's iptables rules for the default bridge network, by version. SUB is docker0's subnet.
 *
 *   ≤ 27      FORWARD: DOCKER-USER, DOCKER-ISOLATION-STAGE-1, then docker0's own rules
 *   28.0.0    FORWARD: the set docker-ext-bridges-v4 says what is a bridge; chain DOCKER ends with a DROP of what did not come from docker0
 *   28.0.1    FORWARD: DOCKER-USER, DOCKER-FORWARD; all else moved below DOCKER-FORWARD
 *
 * Source: moby libnetwork/drivers/bridge/setup_ip_tables_linux.go, libnetwork/iptables, integration/network/bridge/iptablesdoc.
 */
import { cidr, formatCidr } from '../base/cidr.js'
import { ip, type Ip } from '../base/ip.js'
import type { ChainEdit, Match, Rule, TableName, Target } from '../dataplane/iptables.js'
import type { IpSet } from '../dataplane/ipset.js'
import { objectOf, subnetOf, type AttachedPod, type DockerView, type HostPort } from './attachment.js'
import { atLeast } from './version.js'

type RulesView = Pick<DockerView, 'version' | 'iptables' | 'icc' | 'ipMasq' | 'userlandProxy' | 'forwardPolicyDrop' | 'subnet'>

const IN: Match = { kind: 'in-interface', name: 'docker0' }
const OUT: Match = { kind: 'out-interface', name: 'docker0' }
const NOT_IN: Match = { ...IN, invert: true }
const NOT_OUT: Match = { ...OUT, invert: true }
const REPLIES: Match = { kind: 'ctstate', module: 'conntrack', states: ['RELATED', 'ESTABLISHED'] }
const TO_LOCAL: Match = { kind: 'addrtype', side: 'dst', types: ['LOCAL'] }
const FROM_LOCAL: Match = { kind: 'addrtype', side: 'src', types: ['LOCAL'] }
const NOT_LOOPBACK: Match = { kind: 'destination', net: cidr(ip('127.0.0.0'), 8), invert: true }
const PROTOCOLS = { tcp: 6, udp: 17, sctp: 132 } as const
const BRIDGE_SET = 'docker-ext-bridges-v4'
const TO_BRIDGE: Match = { kind: 'set', set: BRIDGE_SET, directions: ['dst'] }

const ACCEPT: Target = { kind: 'ACCEPT' }
const DROP: Target = { kind: 'DROP' }
const RETURN: Target = { kind: 'RETURN' }
const MASQUERADE: Target = { kind: 'MASQUERADE', random: false, randomFully: false }

type Shape = 'per bridge' | 'bridge set' | 'bridge chains'

/** Edits in the order in which dockerd makes them: its chains, then what leads to them. */
export function renderDockerRules(view: RulesView): { readonly chainEdits: readonly ChainEdit[]; readonly ipsets: readonly IpSet[] } {
  if (!view.iptables) return { chainEdits: [], ipsets: [] }
  const shape = shapeOf(view.version)
  const filter = shape === 'bridge chains' ? bridgeChains(view) : shape === 'bridge set' ? bridgeSet(view) : perBridge(view)
  const closes = view.forwardPolicyDrop && atLeast(view.version, '1.13')
  const policy: ChainEdit = { table: 'filter', chain: 'FORWARD', action: 'append', rules: [], policy: 'DROP' }
  return { chainEdits: [...natEdits(view), ...filter, ...(closes ? [policy] : [])], ipsets: shape === 'bridge set' ? [bridgeSetOf(view)] : [] }
}

/**
 * Since 28.2 (moby#49829) whoever comes from outside docker0 does not get at a container's own address, published ports or not: what
 * flannel has brought is dropped before DOCKER-USER could let it pass.
 */
export function renderDirectAccess(view: RulesView, addresses: readonly Ip[]): ChainEdit[] {
  if (!view.iptables || !atLeast(view.version, '28.2') || addresses.length === 0) return []
  const rules = addresses.map((address) => rule('direct access to a container', [{ kind: 'destination', net: { base: address, length: 32 } }, NOT_IN], DROP))
  return [{ table: 'raw', chain: 'PREROUTING', action: 'append', rules }]
}

/**
 * Ports that containers publish, as kubelet asks of docker for a hostPort: translated for whoever does not come from docker0 itself (the
 * userland proxy serves those), accepted in DOCKER, and masqueraded where a container reaches itself. Source: moby setPerPortNAT, setPerPortForwarding.
 */
export function renderPublished(view: RulesView, pods: readonly AttachedPod[]): ChainEdit[] {
  if (!view.iptables) return []
  const closed = atLeast(view.version, '28.0.0')
  return pods.flatMap(({ attachment, address }) =>
    (attachment.hostPorts ?? []).flatMap((port): ChainEdit[] => {
      const { nat, accept, hairpin } = publishedRules(view, { attachment, address }, port)
      return [
        { table: 'nat', chain: 'DOCKER', action: 'append', rules: [nat] },
        // since 28 the chain ends with a DROP
        { table: 'filter', chain: 'DOCKER', action: closed ? 'insert' : 'append', rules: [accept] },
        ...(view.userlandProxy && closed ? [] : [{ table: 'nat', chain: 'POSTROUTING', action: 'append', rules: [hairpin] } as const]),
      ]
    }),
  )
}

function publishedRules(
  view: RulesView,
  { attachment, address }: Pick<AttachedPod, 'attachment' | 'address'>,
  port: HostPort,
): { readonly nat: Rule; readonly accept: Rule; readonly hairpin: Rule } {
  const provenance = {
    by: 'docker',
    object: objectOf(attachment),
    ...(attachment.file === undefined ? {} : { file: attachment.file }),
    ...(port.line === undefined ? {} : { line: port.line }),
  }
  const proto: Match = { kind: 'protocol', proto: PROTOCOLS[port.protocol] }
  const toPort = (number: number): Match => ({ kind: 'destination-port', module: port.protocol, ports: [number, number] })
  const own = cidr(address, 32)
  const onHost: Match[] = port.hostIP === undefined || port.hostIP === 0 ? [] : [{ kind: 'destination', net: cidr(port.hostIP, 32) }]
  const target: Target = {
    kind: 'DNAT',
    to: { first: address, last: address, ports: [port.containerPort, port.containerPort] },
    random: false,
    persistent: false,
  }
  return {
    nat: { matches: [...onHost, ...(view.userlandProxy ? [NOT_IN] : []), proto, toPort(port.hostPort)], target, provenance },
    accept: { matches: [{ kind: 'destination', net: own }, NOT_IN, OUT, proto, toPort(port.containerPort)], target: ACCEPT, provenance },
    hairpin: { matches: [{ kind: 'source', net: own }, { kind: 'destination', net: own }, proto, toPort(port.containerPort)], target: MASQUERADE, provenance },
  }
}

function shapeOf(version: string): Shape {
  if (atLeast(version, '28.0.1')) return 'bridge chains'
  return atLeast(version, '28.0.0') ? 'bridge set' : 'per bridge'
}

function bridgeSetOf(view: RulesView): IpSet {
  return { name: BRIDGE_SET, type: 'hash:net', options: 'family inet hashsize 1024 maxelem 65536', members: [{ element: formatCidr(subnetOf(view)) }] }
}

function natEdits(view: RulesView): ChainEdit[] {
  const local = view.userlandProxy ? [NOT_LOOPBACK, TO_LOCAL] : [TO_LOCAL]
  const masquerade = [
    ...(view.userlandProxy ? [] : [rule('a port published on the host, reached from the host itself', [OUT, FROM_LOCAL], MASQUERADE)]),
    ...(view.ipMasq ? [rule('--ip-masq', [{ kind: 'source', net: subnetOf(view) }, NOT_OUT], MASQUERADE)] : []),
  ]
  return [
    create('nat', 'DOCKER', view.ipMasq && view.userlandProxy ? [rule('published ports', [IN], RETURN)] : []),
    { table: 'nat', chain: 'PREROUTING', action: 'append', rules: [rule('published ports', [TO_LOCAL], jump('DOCKER'))] },
    { table: 'nat', chain: 'OUTPUT', action: 'append', rules: [rule('published ports', local, jump('DOCKER'))] },
    ...(masquerade.length === 0 ? [] : [{ table: 'nat', chain: 'POSTROUTING', action: 'insert', rules: masquerade } as const]),
  ]
}

/** Up to 27. Without ICC the DROP goes to the end, behind whatever others put into FORWARD before. */
function perBridge(view: RulesView): ChainEdit[] {
  const user = atLeast(view.version, '17.06')
  const staged = atLeast(view.version, '18.02')
  const head = [
    ...(user ? [rule('DOCKER-USER', [], jump('DOCKER-USER'))] : []),
    rule('isolation', [], jump(staged ? 'DOCKER-ISOLATION-STAGE-1' : 'DOCKER-ISOLATION')),
    rule('replies', [OUT, REPLIES], ACCEPT),
    rule('published ports', [OUT], jump('DOCKER')),
    rule('outbound', [IN, NOT_OUT], ACCEPT),
    ...(view.icc ? [rule('--icc', [IN, OUT], ACCEPT)] : []),
  ]
  return [
    create('filter', 'DOCKER', []),
    ...(staged ? isolation([rule('isolation', [], RETURN)]) : [create('filter', 'DOCKER-ISOLATION', [rule('isolation', [], RETURN)])]),
    ...(user ? [userChain()] : []),
    { table: 'filter', chain: 'FORWARD', action: 'insert', rules: head },
    ...(view.icc ? [] : [{ table: 'filter', chain: 'FORWARD', action: 'append', rules: [rule('--icc=false', [IN, OUT], DROP)] } as const]),
  ]
}

/** 28.0.0. */
function bridgeSet(view: RulesView): ChainEdit[] {
  const head = [
    rule('DOCKER-USER', [], jump('DOCKER-USER')),
    rule('replies', [TO_BRIDGE, REPLIES], ACCEPT),
    rule('isolation', [], jump('DOCKER-ISOLATION-STAGE-1')),
    rule('published ports', [TO_BRIDGE], jump('DOCKER')),
    ...outbound(view),
  ]
  return [create('filter', 'DOCKER', [unpublished()]), ...isolation([]), userChain(), { table: 'filter', chain: 'FORWARD', action: 'insert', rules: head }]
}

/** Since 28.0.1. */
function bridgeChains(view: RulesView): ChainEdit[] {
  const forward = [
    rule('replies', [], jump('DOCKER-CT')),
    rule('isolation', [], jump('DOCKER-ISOLATION-STAGE-1')),
    rule('published ports', [], jump('DOCKER-BRIDGE')),
    ...outbound(view),
  ]
  return [
    create('filter', 'DOCKER', [unpublished()]),
    create('filter', 'DOCKER-BRIDGE', [rule('published ports', [OUT], jump('DOCKER'))]),
    create('filter', 'DOCKER-CT', [rule('replies', [OUT, REPLIES], ACCEPT)]),
    ...isolation([]),
    userChain(),
    create('filter', 'DOCKER-FORWARD', forward),
    {
      table: 'filter',
      chain: 'FORWARD',
      action: 'insert',
      rules: [rule('DOCKER-USER', [], jump('DOCKER-USER')), rule('bridge docker0', [], jump('DOCKER-FORWARD'))],
    },
  ]
}

/** Since 28: what may leave docker0; without ICC all but to another of its ports. */
function outbound(view: RulesView): Rule[] {
  return view.icc ? [rule('outbound', [IN], ACCEPT)] : [rule('--icc=false', [IN, OUT], DROP), rule('outbound', [IN, NOT_OUT], ACCEPT)]
}

/** Since 28: no way to a container but by a published port, not even for what flannel has brought. */
function unpublished(): Rule {
  return rule('ports that are not published', [NOT_IN, OUT], DROP)
}

function isolation(end: readonly Rule[]): ChainEdit[] {
  return [
    create('filter', 'DOCKER-ISOLATION-STAGE-1', [rule('isolation', [IN, NOT_OUT], jump('DOCKER-ISOLATION-STAGE-2')), ...end]),
    create('filter', 'DOCKER-ISOLATION-STAGE-2', [rule('isolation', [OUT], DROP), ...end]),
  ]
}

function userChain(): ChainEdit {
  return create('filter', 'DOCKER-USER', [rule('DOCKER-USER', [], RETURN)])
}

function create(table: TableName, chain: string, rules: readonly Rule[]): ChainEdit {
  return { table, chain, action: 'create', rules }
}

function jump(chain: string): Target {
  return { kind: 'jump', chain }
}

function rule(object: string, matches: readonly Match[], target: Target): Rule {
  return { matches, target, provenance: { by: 'docker', object } }
}
