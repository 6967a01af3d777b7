/** The chains of raw, mangle and nat that do not depend on endpoints, and the NAT chains. After felix/rules/static.go, nat.go and dscp.go. */
import { calicoBits } from './marks.js'
import { snatAction, type FelixConfig } from './config.js'
import { CHAIN, ipsetName, SET } from './names.js'
import { act, m, type FelixChain, type FelixRule, type PortPair } from './rule.js'
import { failsafeInChain, failsafeOutChain, HEP_ACCEPTED } from './static-filter.js'

export function staticRawChains(config: FelixConfig): readonly FelixChain[] {
  return [
    failsafeInChain(config, 'raw'),
    failsafeOutChain(config, 'raw'),
    rawPreroutingChain(config),
    wireguardIncomingMarkChain(config),
    rawOutputChain(config),
  ]
}

function untrackVxlan({ vxlan }: FelixConfig): readonly FelixRule[] {
  return vxlan.enabled ? [{ match: [m.protocol('udp'), m.singlePort(vxlan.port)], action: act.noTrack }] : []
}

function rawPreroutingChain(config: FelixConfig): FelixChain {
  const { marks, interfacePrefixes, wireguard, release, deny } = config
  const fromWorkload = marks.scratch0
  return {
    name: CHAIN.prerouting,
    rules: [
      { action: act.clearMark(calicoBits(marks)) },
      ...(wireguard.enabled && wireguard.hostEncryption ? [{ action: act.jump(CHAIN.wireguardIncomingMark) }] : []),
      ...untrackVxlan(config),
      ...interfacePrefixes.map((prefix) => ({ match: [m.inInterface(`${prefix}+`)], action: act.setMark(fromWorkload) })),
      ...(release.rpfSkipChain ? [{ match: [m.markSet(fromWorkload)], action: act.jump(CHAIN.rpfSkip) }] : []),
      { match: [m.markSet(fromWorkload), m.reversePathFailed()], action: deny },
      { match: [m.markClear(fromWorkload)], action: act.jump(CHAIN.fromHostEndpoint) },
      { match: [m.markSet(marks.accept)], action: act.accept },
    ],
  }
}

/** Endpoints that may spoof: interface and the prefixes that they may send from. */
export function rpfSkipChain(spoofers: readonly { readonly interfaceName: string; readonly prefixes: readonly string[] }[]): FelixChain {
  return {
    name: CHAIN.rpfSkip,
    rules: spoofers.flatMap(({ interfaceName, prefixes }) =>
      prefixes.map((prefix) => ({ match: [m.inInterface(interfaceName), m.net('source', prefix)], action: act.accept })),
    ),
  }
}

function wireguardIncomingMarkChain({ marks, interfacePrefixes, wireguard }: FelixConfig): FelixChain {
  const passed = ['lo', wireguard.interfaceName, 'wg-v6.cali', ...interfacePrefixes.map((prefix) => `${prefix}+`)]
  return {
    name: CHAIN.wireguardIncomingMark,
    rules: [...passed.map((name) => ({ match: [m.inInterface(name)], action: act.return })), { action: act.setMark(marks.wireguard) }],
  }
}

function rawOutputChain(config: FelixConfig): FelixChain {
  const { marks } = config
  return {
    name: CHAIN.output,
    rules: [
      { action: act.clearMark(calicoBits(marks)) },
      { action: act.jump(CHAIN.toHostEndpoint) },
      ...untrackVxlan(config),
      { match: [m.markSet(marks.accept)], action: act.accept },
    ],
  }
}

export function staticMangleChains(config: FelixConfig): readonly FelixChain[] {
  const { marks, mangleAllow, release, ipvs } = config
  const accepted = m.markSet(marks.accept)
  const dscp: FelixRule = {
    match: [
      m.ipset('source', ipsetName(4, SET.dscpSources)),
      m.ipset('destination', ipsetName(4, release.allPoolsSetId), { negated: true }),
      m.ipset('destination', ipsetName(4, SET.thisHost), { negated: true }),
    ],
    action: act.jump(CHAIN.egressDscp),
    comments: ['set dscp for traffic leaving cluster.'],
  }
  return [
    failsafeInChain(config, 'mangle'),
    failsafeOutChain(config, 'mangle'),
    {
      name: CHAIN.prerouting,
      rules: [
        { match: [m.ctState('RELATED,ESTABLISHED')], action: mangleAllow },
        { match: [accepted], action: mangleAllow },
        { action: act.jump(CHAIN.fromHostEndpoint) },
        { match: [accepted], action: mangleAllow, comments: [HEP_ACCEPTED] },
      ],
    },
    {
      name: CHAIN.postrouting,
      rules: [
        ...(release.dscpChain ? [dscp] : []),
        { match: [accepted], action: act.return },
        ...(ipvs ? [{ match: [m.markNotClear(marks.endpoint)], action: act.return }] : []),
        { action: act.clearMark(calicoBits(marks)) },
        { match: [m.ctState('DNAT')], action: act.jump(CHAIN.toHostEndpoint) },
        { match: [accepted], action: act.return, comments: [HEP_ACCEPTED] },
      ],
    },
  ]
}

/** Packets that carry a DSCP annotation: source network and code point. */
export function egressDscpChain(marked: readonly { readonly source: string; readonly value: number }[]): FelixChain {
  return { name: CHAIN.egressDscp, rules: marked.map(({ source, value }) => ({ match: [m.net('source', source)], action: act.dscp(value) })) }
}

export function staticNatChains(config: FelixConfig): readonly FelixChain[] {
  const { ipip, vxlan, wireguard, randomFully } = config
  const tunnels = [
    ...(ipip.enabled && ipip.tunnelAddress !== undefined ? ['tunl0'] : []),
    ...(vxlan.enabled && vxlan.tunnelAddress !== undefined ? ['vxlan.calico'] : []),
    ...(wireguard.enabled ? [wireguard.interfaceName] : []),
  ]
  return [
    { name: CHAIN.prerouting, rules: [{ action: act.jump(CHAIN.floatingDnat) }] },
    {
      name: CHAIN.postrouting,
      rules: [
        { action: act.jump(CHAIN.floatingSnat) },
        { action: act.jump(CHAIN.natOutgoing) },
        // the host's own packets into a tunnel whose source is not the tunnel's address
        ...tunnels.map((tunnel) => ({
          match: [m.outInterface(tunnel), m.sourceNotLocalOnOut(), m.sourceLocal()],
          action: act.masquerade({ randomFully }),
        })),
      ],
    },
    { name: CHAIN.output, rules: [{ action: act.jump(CHAIN.floatingDnat) }] },
  ]
}

/** `active`: some pool has natOutgoing. */
export function natOutgoingChain(config: FelixConfig, { active }: { readonly active: boolean }): FelixChain {
  const rule = (protocol: string, action: string): FelixRule => ({
    match: [
      m.ipset('source', ipsetName(4, SET.masqueradePools)),
      m.ipset('destination', ipsetName(4, config.release.allPoolsSetId), { negated: true }),
      ...(config.natExcludesHosts ? [m.ipset('destination', ipsetName(4, SET.allHosts), { negated: true })] : []),
      ...(protocol === '' ? [] : [m.protocol(protocol)]),
      ...(config.natOutgoingInterface === undefined ? [] : [m.outInterface(config.natOutgoingInterface)]),
    ],
    action,
  })
  const whole = rule('', snatAction(config, undefined))
  const ported = (ports: PortPair): FelixRule[] => ['tcp', 'udp'].flatMap((protocol) => [rule(protocol, snatAction(config, ports)), rule(protocol, act.return)])
  const rules = !active ? [] : config.natPortRange === undefined ? [whole] : [...ported(config.natPortRange), whole]
  return { name: CHAIN.natOutgoing, rules }
}

/** Floating addresses: external → internal. The SNAT serves a workload that reaches its own floating address. */
export function floatingIpChains(
  floating: readonly { readonly internal: string; readonly external: string }[],
  { randomFully }: Pick<FelixConfig, 'randomFully'>,
): readonly FelixChain[] {
  const byExternal = floating.toSorted((a, b) => compareText(a.external, b.external))
  const internals = new Map<string, string>()
  for (const { internal, external } of byExternal) if (!internals.has(internal)) internals.set(internal, external)
  return [
    { name: CHAIN.floatingDnat, rules: byExternal.map(({ internal, external }) => ({ match: [m.net('destination', external)], action: act.dnat(internal) })) },
    {
      name: CHAIN.floatingSnat,
      rules: [...internals]
        .sort(([a], [b]) => compareText(a, b))
        .map(([internal, external]) => ({ match: [m.net('destination', internal), m.net('source', internal)], action: act.snat(external, { randomFully }) })),
    },
  ]
}

/** Service prefixes that no kube-proxy translated must not loop between the node and its router. */
export function cidrBlockChain(cidrs: readonly string[], { blockedCidrAction }: Pick<FelixConfig, 'blockedCidrAction'>): FelixChain {
  const sorted = blockedCidrAction === 'none' ? [] : cidrs.filter((text) => !text.includes(':')).toSorted(compareText)
  return { name: CHAIN.cidrBlock, rules: sorted.map((text) => ({ match: [m.net('destination', text)], action: `--jump ${blockedCidrAction}` })) }
}

/** Order of bytes, as Go sorts strings. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
