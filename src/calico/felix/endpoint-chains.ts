/**
 * The chains of one endpoint: what it may receive, what it may send. After felix/rules/endpoints.go endpointIptablesChain.
 *
 *   limits ─▶ conntrack ─▶ failsafe ─▶ clear accept, pass ─▶ no nested tunnels ─▶ tier ─▶ tier … ─▶ profiles ─▶ drop
 */
import type { PolicyDirection } from '../../cluster/calico/policy.js'
import type { FelixConfig } from './config.js'
import { denyComment } from './dispatch.js'
import { groupsOf, type EndpointTier, type PolicyGroup, type QosControls } from './model.js'
import { CHAIN, ENDPOINT_PREFIX, endpointChain, groupChain, isStaged, policyChain, profileChain } from './names.js'
import { NFLOG_GROUP, noProfileNflogPrefix, tierNflogPrefix } from './nflog.js'
import { act, m, type FelixChain, type FelixRule } from './rule.js'

type ChainType = 'normal' | 'untracked' | 'preDnat' | 'forward'

interface EndpointChain {
  readonly interfaceName: string
  readonly prefix: string
  readonly direction: PolicyDirection
  readonly type: ChainType
  readonly tiers: readonly EndpointTier[]
  /** In the order in which they are asked; normal chains only. */
  readonly profiles: readonly string[]
  /** What ends a packet of a known connection. */
  readonly allow: string
  readonly failsafe?: string
  readonly adminUp: boolean
  readonly allowVxlan: boolean
  readonly allowIpip: boolean
  readonly qos?: QosControls
}

interface WorkloadChains {
  readonly interfaceName: string
  readonly tiers: readonly EndpointTier[]
  readonly profiles: readonly string[]
  readonly adminUp?: boolean
  readonly qos?: QosControls
}

/** cali-tw-…, cali-fw-…: table filter. */
export function workloadChains(workload: WorkloadChains, config: FelixConfig): readonly FelixChain[] {
  const { interfaceName, tiers, profiles, adminUp = true, qos } = workload
  const common = { interfaceName, tiers, profiles, adminUp, type: 'normal', allow: config.filterAllow, ...(qos === undefined ? {} : { qos }) } as const
  return [
    endpointRules({ ...common, prefix: ENDPOINT_PREFIX.toWorkload, direction: 'ingress', allowVxlan: true, allowIpip: true }, config),
    endpointRules(
      {
        ...common,
        prefix: ENDPOINT_PREFIX.fromWorkload,
        direction: 'egress',
        allowVxlan: config.allowVxlanFromWorkloads,
        allowIpip: config.allowIpipFromWorkloads,
      },
      config,
    ),
  ]
}

/** The tiers of a host endpoint, by what their policies are for. */
interface HostEndpointChains {
  readonly interfaceName: string
  readonly profiles: readonly string[]
  readonly normal: readonly EndpointTier[]
  readonly untracked: readonly EndpointTier[]
  readonly preDnat: readonly EndpointTier[]
  readonly forward: readonly EndpointTier[]
}

/** cali-th-, cali-fh- in raw, mangle and filter, cali-thfw-, cali-fhfw- in filter. */
export function hostEndpointChains(host: HostEndpointChains, config: FelixConfig): Readonly<Record<'raw' | 'mangle' | 'filter', readonly FelixChain[]>> {
  const { interfaceName, profiles } = host
  const common = { interfaceName, profiles, adminUp: true, allowVxlan: true, allowIpip: true } as const
  const to = { ...common, prefix: ENDPOINT_PREFIX.toHost, direction: 'egress', failsafe: CHAIN.failsafeOut } as const
  const from = { ...common, prefix: ENDPOINT_PREFIX.fromHost, direction: 'ingress', failsafe: CHAIN.failsafeIn } as const
  const forward = { ...common, type: 'forward', tiers: host.forward, allow: config.filterAllow } as const
  return {
    raw: [
      endpointRules({ ...to, type: 'untracked', tiers: host.untracked, allow: act.accept }, config),
      endpointRules({ ...from, type: 'untracked', tiers: host.untracked, allow: act.accept }, config),
    ],
    mangle: [
      endpointRules({ ...to, type: 'normal', tiers: host.normal, allow: act.return }, config),
      endpointRules({ ...from, type: 'preDnat', tiers: host.preDnat, allow: config.mangleAllow }, config),
    ],
    filter: [
      endpointRules({ ...to, type: 'normal', tiers: host.normal, allow: config.filterAllow }, config),
      endpointRules({ ...from, type: 'normal', tiers: host.normal, allow: config.filterAllow }, config),
      endpointRules({ ...forward, prefix: ENDPOINT_PREFIX.toHostForward, direction: 'egress' }, config),
      endpointRules({ ...forward, prefix: ENDPOINT_PREFIX.fromHostForward, direction: 'ingress' }, config),
    ],
  }
}

function endpointRules(chain: EndpointChain, config: FelixConfig): FelixChain {
  const name = endpointChain(chain.prefix, chain.interfaceName)
  if (!chain.adminUp) return { name, rules: [{ action: config.deny, comments: ['Endpoint admin disabled'] }] }
  const { marks } = config
  return {
    name,
    rules: [
      ...packetRateRules(chain, config),
      ...(chain.type === 'untracked' ? [] : conntrackRules(chain.allow, config)),
      ...connectionLimitRules(chain),
      ...(chain.failsafe === undefined ? [] : [{ action: act.jump(chain.failsafe) }]),
      { action: act.clearMark((marks.accept | marks.pass) >>> 0) },
      ...nestedTunnelRules(chain, config),
      ...chain.tiers.flatMap((tier) => tierRules(tier, chain, config)),
      ...(chain.type === 'forward' && chain.tiers.length === 0 ? allowForwarded(config) : []),
      ...(chain.type === 'normal' ? profileRules(chain, config) : []),
    ],
  }
}

function packetRateRules({ type, direction, qos }: EndpointChain, { marks }: FelixConfig): readonly FelixRule[] {
  if (type !== 'normal' || qos === undefined) return []
  const [rate, burst] = direction === 'ingress' ? [qos.ingressPacketRate, qos.ingressPacketBurst] : [qos.egressPacketRate, qos.egressPacketBurst]
  if (rate === 0) return []
  const clear = { action: act.clearMark(marks.scratch0), comments: [`Clear ${direction} packet rate limit mark`] }
  return [
    clear,
    { action: act.limitPackets(rate, burst, marks.scratch0), comments: [`Mark packets within ${direction} packet rate limit`] },
    {
      match: [m.markDiffers(marks.scratch0, marks.scratch0)],
      action: act.drop,
      comments: [`Drop packets over ${direction} packet rate limit`],
    },
    clear,
  ]
}

/** Where the allow action only returns, what is known must bear the accept bit home. */
function conntrackRules(allow: string, { marks, conntrackInvalidCheck, deny }: FelixConfig): readonly FelixRule[] {
  const known = [m.ctState('RELATED,ESTABLISHED')]
  return [
    ...(allow === act.accept ? [] : [{ match: known, action: act.setMark(marks.accept) }]),
    { match: known, action: allow },
    ...(conntrackInvalidCheck ? [{ match: [m.ctState('INVALID')], action: deny }] : []),
  ]
}

function connectionLimitRules({ type, direction, qos }: EndpointChain): readonly FelixRule[] {
  const most = type !== 'normal' ? 0 : direction === 'ingress' ? qos?.ingressMaxConnections : qos?.egressMaxConnections
  if (most === undefined || most === 0) return []
  return [{ action: act.limitConnections(most), comments: [`Reject connections over ${direction} connection limit`] }]
}

function nestedTunnelRules({ allowVxlan, allowIpip }: EndpointChain, config: FelixConfig): readonly FelixRule[] {
  const { vxlan, deny } = config
  return [
    ...(allowVxlan
      ? []
      : [
          {
            match: [m.protocol(17), m.ports('destination', [[vxlan.port, vxlan.port]])],
            action: deny,
            comments: [denyComment(config, 'VXLAN encapped packets originating in workloads')],
          },
        ]),
    ...(allowIpip ? [] : [{ match: [m.protocol(4)], action: deny, comments: [denyComment(config, 'IPinIP encapped packets originating in workloads')] }]),
  ]
}

/** A group of at most one policy that is enforced has no chain of its own. */
function isInlined(group: PolicyGroup, { release }: FelixConfig): boolean {
  return !release.policyGroups || group.policies.filter((id) => !isStaged(id)).length <= 1
}

function tierRules(tier: EndpointTier, chain: EndpointChain, config: FelixConfig): readonly FelixRule[] {
  const { direction, type } = chain
  const groups = groupsOf(tier, direction)
  if (groups.length === 0) return []
  const { marks, release, deny } = config
  const notPassed = [m.markClear(marks.pass)]
  const start = release.tierComments === 'policies' ? 'Start of policies' : `Start of tier ${tier.name}`
  const enforced = groups.some(({ policies }) => policies.some((id) => !isStaged(id)))
  const ends = type === 'normal' || type === 'forward'
  const drops = enforced && tier.defaultAction !== 'Pass'
  const log = (action: 'deny' | 'pass'): FelixRule[] =>
    config.flowLogs ? [{ match: notPassed, action: act.nflog(NFLOG_GROUP[direction], tierNflogPrefix(action, direction, tier.name)) }] : []
  const end = release.tierComments === 'policies' ? '' : `End of tier ${tier.name}. `
  return [
    { action: act.clearMark(marks.pass), comments: [start] },
    ...groups.flatMap((group) => groupJumps(group, { tier: tier.name, chain }, config)),
    ...(ends && drops ? [...log('deny'), { match: notPassed, action: deny, comments: [`${end}${denyComment(config, 'if no policies passed packet')}`] }] : []),
    ...(ends && !drops ? log('pass') : []),
  ]
}

function groupJumps(group: PolicyGroup, at: { readonly tier: string; readonly chain: EndpointChain }, config: FelixConfig): readonly FelixRule[] {
  const { marks, release } = config
  const { direction, type } = at.chain
  const enforced = group.policies.filter((id) => !isStaged(id))
  const targets = isInlined(group, config)
    ? enforced.map((id) => policyChain(id, direction, { release, tier: at.tier }))
    : [groupChain(group, direction, release)]
  const accepted = [m.markSet(marks.accept)]
  return targets.flatMap((target) => [
    { match: [m.markClear(marks.pass)], action: act.jump(target) },
    ...(type === 'untracked' ? [{ match: accepted, action: act.noTrack }] : []),
    { match: accepted, action: act.return, comments: ['Return if policy accepted'] },
  ])
}

function allowForwarded({ marks }: FelixConfig): readonly FelixRule[] {
  return [
    { action: act.setMark(marks.accept), comments: ['Allow forwarded traffic by default'] },
    { action: act.return, comments: ['Return for accepted forward traffic'] },
  ]
}

function profileRules({ profiles, direction }: EndpointChain, config: FelixConfig): readonly FelixRule[] {
  return [
    ...profiles.flatMap((name) => [
      { action: act.jump(profileChain(name, direction)) },
      { match: [m.markSet(config.marks.accept)], action: act.return, comments: ['Return if profile accepted'] },
    ]),
    ...(config.flowLogs ? [{ action: act.nflog(NFLOG_GROUP[direction], noProfileNflogPrefix(direction)) }] : []),
    { action: config.deny, comments: [denyComment(config, 'if no profiles matched')] },
  ]
}

const RETURN_STRIDE = 5

/** The chains of the groups that need one. Every fifth jump is free of a match, behind a look whether there is a verdict. */
export function groupChains(tiers: readonly EndpointTier[], config: FelixConfig): readonly FelixChain[] {
  return (['ingress', 'egress'] as const).flatMap((direction) =>
    [...new Map(tiers.flatMap((tier) => groupsOf(tier, direction).map((group) => [group, tier.name] as const)))]
      .filter(([group]) => !isInlined(group, config))
      .map(([group, tier]) => ({ name: groupChain(group, direction, config.release), rules: groupRules(group, { tier, direction }, config) })),
  )
}

function groupRules(group: PolicyGroup, at: { readonly tier: string; readonly direction: PolicyDirection }, config: FelixConfig): readonly FelixRule[] {
  const { marks, release } = config
  const verdict = (marks.pass | marks.accept) >>> 0
  const enforced = group.policies.filter((id) => !isStaged(id))
  return enforced.flatMap((id, i): FelixRule[] => {
    const jump = act.jump(policyChain(id, at.direction, { release, tier: at.tier }))
    if (i % RETURN_STRIDE !== 0) return [{ match: [m.markClear(verdict)], action: jump }]
    return [...(i === 0 ? [] : [{ match: [m.markNotClear(verdict)], action: act.return, comments: ['Return on verdict'] }]), { action: jump }]
  })
}
