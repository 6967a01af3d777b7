/** The chains of the filter table that do not depend on endpoints. After felix/rules/static.go, whose order of matches the rule IDs hold. */
import { calicoBits } from './marks.js'
import { denyWord, type FailsafePort, type FelixConfig } from './config.js'
import { CHAIN, ipsetName, SET } from './names.js'
import { act, m, type Family, type FelixChain, type FelixRule, type Side } from './rule.js'
import { splitPorts } from './port-split.js'

const IPIP = 4
const UDP = 17

/** Accepted by host endpoint policy. */
export const HEP_ACCEPTED = 'Host endpoint policy accepted packet.'

export function staticFilterChains(config: FelixConfig): readonly FelixChain[] {
  return [
    forwardChain(config),
    inputChain(config),
    workloadToHostChain(config),
    failsafeInChain(config, 'filter'),
    ...(config.ipvs ? [forwardCheckChain(config)] : []),
    outputChain(config),
    failsafeOutChain(config, 'filter'),
    ...(config.ipvs ? [forwardEndpointMarkChain(config)] : []),
  ]
}

function forwardChain({ marks, interfacePrefixes }: FelixConfig): FelixChain {
  return {
    name: CHAIN.forward,
    rules: [
      { action: act.clearMark((calicoBits(marks) & ~marks.accept) >>> 0) },
      { match: [m.markClear(marks.accept)], action: act.jump(CHAIN.fromHostEndpointForward) },
      ...interfacePrefixes.flatMap((prefix) => [
        { match: [m.inInterface(`${prefix}+`)], action: act.jump(CHAIN.fromWorkload) },
        { match: [m.outInterface(`${prefix}+`)], action: act.jump(CHAIN.toWorkload) },
      ]),
      { action: act.jump(CHAIN.toHostEndpointForward) },
      { action: act.jump(CHAIN.cidrBlock) },
    ],
  }
}

/** What stands at the end of the kernel's own FORWARD. */
export function forwardAppends({ marks, filterAllow }: FelixConfig): readonly FelixRule[] {
  return [{ match: [m.markSet(marks.accept)], action: filterAllow, comments: ['Policy explicitly accepted packet.'] }, { action: act.setMark(marks.accept) }]
}

function ipipInput(config: FelixConfig): readonly FelixRule[] {
  if (!config.ipip.enabled) return []
  return [
    {
      match: [m.protocol(IPIP), m.ipset('source', ipsetName(4, SET.allHosts)), m.destinationLocal()],
      action: config.filterAllow,
      comments: ['Allow IPIP packets from Calico hosts'],
    },
    { match: [m.protocol(IPIP)], action: config.deny, comments: [`${denyWord(config)} IPIP packets from non-Calico hosts`] },
  ]
}

/** The IPv4 deny is a plain DROP whatever IptablesFilterDenyAction says, as it is in Felix. */
function vxlanInput(config: FelixConfig): readonly FelixRule[] {
  if (!config.vxlan.enabled) return []
  const port = [m.protocol(UDP), m.ports('destination', [[config.vxlan.port, config.vxlan.port]])]
  return [
    {
      match: [...port, m.ipset('source', ipsetName(4, SET.allVxlan)), m.destinationLocal()],
      action: config.filterAllow,
      comments: ['Allow IPv4 VXLAN packets from allowed hosts'],
    },
    { match: [...port, m.destinationLocal()], action: act.drop, comments: ['Drop IPv4 VXLAN packets from non-allowed hosts'] },
  ]
}

function wireguardInput({ wireguard, filterAllow }: FelixConfig): readonly FelixRule[] {
  if (!wireguard.enabled) return []
  return [
    {
      match: [m.protocol(UDP), m.ports('destination', [[wireguard.port, wireguard.port]]), m.destinationLocal()],
      action: filterAllow,
      comments: ['Allow incoming IPv4 Wireguard packets'],
    },
  ]
}

function inputChain(config: FelixConfig): FelixChain {
  const { marks, filterAllow, interfacePrefixes, ipvs } = config
  return {
    name: CHAIN.input,
    rules: [
      ...ipipInput(config),
      ...vxlanInput(config),
      ...wireguardInput(config),
      ...(ipvs
        ? [{ action: act.clearMark(marks.endpoint) }, { action: act.jump(CHAIN.forwardCheck) }, { match: [m.markNotClear(marks.endpoint)], action: act.return }]
        : []),
      ...interfacePrefixes.map((prefix) => ({ match: [m.inInterface(`${prefix}+`)], action: act.goto(CHAIN.workloadToHost) })),
      { match: [m.markSet(marks.accept)], action: filterAllow },
      { action: act.clearMark(calicoBits(marks)) },
      { action: act.jump(CHAIN.fromHostEndpoint) },
      { match: [m.markSet(marks.accept)], action: filterAllow, comments: [HEP_ACCEPTED] },
    ],
  }
}

function workloadToHostChain({ endpointToHost }: FelixConfig): FelixChain {
  return {
    name: CHAIN.workloadToHost,
    rules: [{ action: act.jump(CHAIN.fromWorkload) }, { action: `--jump ${endpointToHost}`, comments: ['Configured DefaultEndpointToHostAction'] }],
  }
}

/** In raw, replies to what the other direction's ports allow must pass too: nothing there knows a connection. */
export function failsafeInChain(config: FelixConfig, table: 'raw' | 'mangle' | 'filter'): FelixChain {
  const rules = config.failsafeInbound.map((entry) => failsafeRule(entry, 'destination', 'source'))
  const replies = table === 'raw' ? config.failsafeOutbound.map((entry) => failsafeRule(entry, 'source', 'source')) : []
  return { name: CHAIN.failsafeIn, rules: [...rules, ...replies] }
}

export function failsafeOutChain(config: FelixConfig, table: 'raw' | 'mangle' | 'filter'): FelixChain {
  const rules = config.failsafeOutbound.map((entry) => failsafeRule(entry, 'destination', 'destination'))
  const replies = table === 'raw' ? config.failsafeInbound.map((entry) => failsafeRule(entry, 'source', 'destination')) : []
  return { name: CHAIN.failsafeOut, rules: [...rules, ...replies] }
}

function failsafeRule({ protocol, port, net }: FailsafePort, portSide: Side, netSide: Side): FelixRule {
  return {
    match: [m.protocol(protocol), m.ports(portSide, [[port, port]]), ...(net === undefined ? [] : [m.net(netSide, net)])],
    action: act.accept,
  }
}

function outputChain(config: FelixConfig): FelixChain {
  const { marks, filterAllow, interfacePrefixes, ipip, vxlan, wireguard } = config
  return {
    name: CHAIN.output,
    rules: [
      { match: [m.markSet(marks.accept)], action: filterAllow },
      ...(config.ipvs ? [{ match: [m.markNotClear(marks.endpoint)], action: act.goto(CHAIN.forwardEndpointMark) }] : []),
      ...interfacePrefixes.map((prefix) => ({ match: [m.outInterface(`${prefix}+`)], action: act.return })),
      ...(ipip.enabled
        ? [
            {
              match: [m.protocol(IPIP), m.ipset('destination', ipsetName(4, SET.allHosts)), m.sourceLocal()],
              action: filterAllow,
              comments: ['Allow IPIP packets to other Calico hosts'],
            },
          ]
        : []),
      ...(vxlan.enabled
        ? [
            {
              match: [m.protocol(UDP), m.ports('destination', [[vxlan.port, vxlan.port]]), m.sourceLocal(), m.ipset('destination', ipsetName(4, SET.allVxlan))],
              action: filterAllow,
              comments: ['Allow IPv4 VXLAN packets to other allowed hosts'],
            },
          ]
        : []),
      ...(wireguard.enabled
        ? [
            {
              match: [m.protocol(UDP), m.ports('destination', [[wireguard.port, wireguard.port]]), m.sourceLocal()],
              action: filterAllow,
              comments: ['Allow outgoing IPv4 Wireguard packets'],
            },
          ]
        : []),
      { action: act.clearMark(calicoBits(marks)) },
      { match: [m.notCtState('DNAT')], action: act.jump(CHAIN.toHostEndpoint) },
      { match: [m.markSet(marks.accept)], action: filterAllow, comments: [HEP_ACCEPTED] },
    ],
  }
}

/** IPVS delivers a service's packet to INPUT although it will be forwarded: told apart here. */
function forwardCheckChain({ nodePortRanges }: FelixConfig, family: Family = 4): FelixChain {
  const host = ipsetName(family, SET.thisHost)
  return {
    name: CHAIN.forwardCheck,
    rules: [
      { match: [m.ctState('RELATED,ESTABLISHED')], action: act.return },
      ...splitPorts(nodePortRanges).flatMap((ports) =>
        ['tcp', 'udp'].map((protocol) => ({
          match: [m.protocol(protocol), m.ports('destination', ports), m.ipset('destination', host)],
          action: act.goto(CHAIN.setEndpointMark),
          comments: ['To kubernetes NodePort service'],
        })),
      ),
      { match: [m.ipset('destination', host, { negated: true })], action: act.jump(CHAIN.setEndpointMark), comments: ['To kubernetes service'] },
    ],
  }
}

function forwardEndpointMarkChain({ marks, interfacePrefixes, filterAllow }: FelixConfig): FelixChain {
  return {
    name: CHAIN.forwardEndpointMark,
    rules: [
      { match: [m.markDiffers(marks.nonCaliEndpoint, marks.endpoint)], action: act.jump(CHAIN.fromEndpointMark) },
      ...interfacePrefixes.map((prefix) => ({ match: [m.outInterface(`${prefix}+`)], action: act.jump(CHAIN.toWorkload) })),
      { action: act.jump(CHAIN.toHostEndpointForward) },
      { action: act.clearMark(marks.endpoint) },
      { match: [m.markSet(marks.accept)], action: filterAllow, comments: ['Policy explicitly accepted packet.'] },
    ],
  }
}
