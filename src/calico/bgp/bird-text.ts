/**
 * A BirdConfig as BIRD reads it, in two dialects: `calico`, statement for statement what confd writes (bird.cfg with bird_aggr.cfg and
 * bird_ipam.cfg in it) for Calico's BIRD 1.6; `bird2`, the same said to BIRD 2.
 */
import { formatCidr, type Cidr } from '../../base/cidr.js'
import { formatIp } from '../../base/ip.js'
import type { BGPFilter, BGPFilterOperation, BGPFilterRule } from '../../cluster/calico/bgp.js'
import { BGP_PORT, OVERRIDE_PREFERENCE, PRIORITY_TOP, TIMERS, type BirdConfig, type ExportPolicy, type PeerConfig, type PoolInKernel } from './config.js'

export type BirdDialect = 'calico' | 'bird2'

/** One file that can be given to `bird -c`; ends in a newline. */
export function birdText(config: BirdConfig, dialect: BirdDialect): string {
  const lines = [
    `# ${config.name}, written by netsim`,
    ...communityFunction(config.exports, dialect),
    ...staticProtocol(config, dialect),
    ...aggregationFunction(config.exports, dialect),
    ...exportFunctions(config.exports, dialect),
    ...kernelFilter(config, dialect),
    `router id ${formatIp(config.routerId)};`,
    ...(dialect === 'calico' ? listenStatement(config) : []),
    ...kernelProtocol(dialect),
    ...deviceProtocols(config, dialect),
    ...template(config, dialect),
    ...config.bgpFilters.flatMap((filter) => bgpFilterFunctions(filter, dialect)),
    ...config.peers.flatMap((peer) => peerProtocol(config, peer, dialect)),
  ]
  return `${lines.join('\n')}\n`
}

function within(prefix: Cidr): string {
  return `net ~ ${formatCidr(prefix)}`
}

function communityFunction(policy: ExportPolicy | undefined, dialect: BirdDialect): string[] {
  if (policy === undefined) return []
  return [
    `function apply_communities ()${dialect === 'bird2' && policy.communities.length === 0 ? ' { }' : ''}`,
    ...(dialect === 'bird2' && policy.communities.length === 0
      ? []
      : [
          '{',
          ...policy.communities.flatMap(({ cidr, values }) => [
            `  if ( ${within(cidr)} ) then {`,
            ...values.map((value) => `    ${addStatement(value)}`),
            '  }',
          ]),
          '}',
        ]),
  ]
}

function addStatement(value: string): string {
  const parts = value.split(':')
  return `${parts.length === 3 ? 'bgp_large_community' : 'bgp_community'}.add((${parts.join(', ')}));`
}

function staticProtocol(config: BirdConfig, dialect: BirdDialect): string[] {
  const channel = dialect === 'bird2' ? ['  ipv4;'] : []
  return [
    'protocol static {',
    ...channel,
    ...config.statics.map(({ prefix, via }) => `  route ${formatCidr(prefix)} ${via === undefined ? 'blackhole' : `via ${formatIp(via)}`};`),
    '}',
  ]
}

function aggregationFunction(policy: ExportPolicy | undefined, dialect: BirdDialect): string[] {
  if (policy === undefined) return []
  const elevated =
    policy.normalPriority === undefined ? undefined : `${dialect === 'bird2' ? 'defined(krt_metric) && ' : ''}krt_metric < ${policy.normalPriority}`
  const confirmed = policy.blocks.filter(({ state }) => state === 'confirmed')
  if (confirmed.length === 0) return dialect === 'bird2' ? ['function calico_aggr () { }'] : ['function calico_aggr ()', '{', '}']
  return [
    'function calico_aggr ()',
    '{',
    ...confirmed.flatMap(({ cidr }) => [
      `  if ( net = ${formatCidr(cidr)} ) then { accept; }`,
      ...(elevated === undefined ? [] : [`  if ( ${within(cidr)} && ${elevated} ) then { accept; }`]),
      `  if ( ${within(cidr)} ) then { reject; }`,
    ]),
    '}',
  ]
}

function exportFunctions(policy: ExportPolicy | undefined, dialect: BirdDialect): string[] {
  if (policy === undefined) return []
  const interfaces = (patterns: readonly string[]): string => patterns.map((pattern) => `(ifname ~ "${pattern}")`).join(' || ')
  const guarded = (patterns: readonly string[]): string =>
    dialect === 'calico' ? `if (defined(ifname)) then { if (${interfaces(patterns)}) then { reject; } }` : `if (${interfaces(patterns)}) then { reject; }`
  return [
    'function reject_tunnel_routes ()',
    '{',
    `  ${guarded(['*.cali', '*.calico'])}`,
    '}',
    'function reject_local_routes ()',
    '{',
    `  ${guarded(['bpf*.cali'])}`,
    '}',
    'function calico_export_to_bgp_peers(bool internal_peer)',
    '{',
    ...policy.disabledPools.map((pool) => `  if (${within(pool)}) then { reject; } # BGP export is disabled.`),
    '  if (internal_peer) then { reject_tunnel_routes(); }',
    '  reject_local_routes();',
    '  apply_communities();',
    '  calico_aggr();',
    ...[...policy.services, ...policy.reflected].map((prefix) => `  if ( ${within(prefix)} ) then { accept; }`),
    ...policy.pools.map((pool) => `  if (${within(pool)}) then { accept; }`),
    '}',
  ]
}

function kernelFilter({ kernel }: BirdConfig, dialect: BirdDialect): string[] {
  const { normalPriority } = kernel
  return [
    'filter calico_kernel_programming {',
    ...kernel.rejected.map((prefix) => `  if ( ${within(prefix)} ) then { reject; }`),
    ...(normalPriority === undefined
      ? []
      : [
          '  if (defined(source) && (source = RTS_BGP) && !defined(krt_metric)) then {',
          `      krt_metric = ${normalPriority};`,
          '      if (defined(bgp_local_pref)) then {',
          `          krt_metric = ${PRIORITY_TOP} - bgp_local_pref;`,
          '      }',
          `      if (krt_metric < ${normalPriority}) then {`,
          `          preference = ${OVERRIDE_PREFERENCE};`,
          '      }',
          '  }',
        ]),
    ...kernel.pools.map((pool) => (dialect === 'calico' ? poolInKernel(pool) : secondPoolInKernel(pool))),
    '  accept;',
    '}',
  ]
}

function poolInKernel(pool: PoolInKernel): string {
  const head = `  if (${within(pool.cidr)}) then {`
  if (pool.action === 'reject') return `${head} reject; } # ${pool.why}`
  if (pool.action === 'plain') return `${head} accept; }`
  const tunnel =
    pool.unless === undefined
      ? 'krt_tunnel="tunl0";'
      : `if (defined(bgp_next_hop)&&(bgp_next_hop ~ ${formatCidr(pool.unless)})) then krt_tunnel=""; else krt_tunnel="tunl0";`
  return `${head} ${tunnel} accept; }`
}

/** BIRD 2 knows no krt_tunnel: device and gateway of the route are set, for routes of BGP alone. */
function secondPoolInKernel(pool: PoolInKernel): string {
  if (pool.action !== 'tunnel') return poolInKernel(pool)
  const near = pool.unless === undefined ? '' : ` && bgp_next_hop !~ ${formatCidr(pool.unless)}`
  return `  if (${within(pool.cidr)}) then { if (source = RTS_BGP${near}) then { ifname = "tunl0"; onlink = true; gw = bgp_next_hop; } accept; }`
}

function listenStatement({ listen }: BirdConfig): string[] {
  const address = listen.address === undefined ? '' : ` address ${formatIp(listen.address)}`
  const port = listen.port === BGP_PORT ? '' : ` port ${listen.port}`
  return address === '' && port === '' ? [] : [`listen bgp${address}${port};`]
}

function kernelProtocol(dialect: BirdDialect): string[] {
  const policy = ['  import all;', '  export filter calico_kernel_programming;']
  return [
    'protocol kernel {',
    '  learn;',
    '  persist;',
    `  scan time ${TIMERS.kernelScan};`,
    ...(dialect === 'calico' ? policy : ['  ipv4 {', ...policy.map((line) => `  ${line}`), '  };']),
    '  graceful restart;',
    '  merge paths on;',
    '}',
  ]
}

function deviceProtocols(config: BirdConfig, dialect: BirdDialect): string[] {
  const patterns = [...config.directExcept.map((pattern) => `-"${pattern}"`), '"*"'].join(', ')
  return [
    'protocol device {',
    '  debug { states };',
    `  scan time ${TIMERS.kernelScan};`,
    '}',
    'protocol direct {',
    '  debug { states };',
    ...(dialect === 'bird2' ? ['  ipv4;'] : []),
    `  interface ${patterns};`,
    '}',
  ]
}

function template(config: BirdConfig, dialect: BirdDialect): string[] {
  return [
    'template bgp bgp_template {',
    '  debug { states };',
    '  description "Connection to BGP peer";',
    `  local as ${config.localAs};`,
    ...(dialect === 'calico' ? ['  gateway recursive;', '  add paths on;'] : []),
    '  graceful restart;',
    `  connect delay time ${TIMERS.connectDelay};`,
    `  connect retry time ${TIMERS.connectRetry};`,
    `  error wait time ${TIMERS.errorWaitMin},${TIMERS.errorWaitMax};`,
    '}',
  ]
}

function peerProtocol(config: BirdConfig, peer: PeerConfig, dialect: BirdDialect): string[] {
  const routing = [...importFilter(config, peer), ...exportFilter(config, peer)]
  const nextHop = peer.nextHop === 'auto' ? [] : [`  next hop ${peer.nextHop};`]
  return [
    `protocol bgp ${peer.name} from bgp_template {`,
    ...(peer.multihop
      ? peer.ttlSecurity === undefined
        ? ['  ttl security off;', '  multihop;']
        : ['  ttl security on;', `  multihop ${peer.ttlSecurity};`]
      : []),
    ...(peer.localAs === config.localAs ? [] : [`  local as ${peer.localAs};`]),
    ...(dialect === 'bird2' ? localEnd(config, peer) : []),
    `  neighbor ${formatIp(peer.neighbour)}${peer.port === BGP_PORT ? '' : ` port ${peer.port}`} as ${peer.remoteAs};`,
    ...(peer.sourceAddress === undefined ? [] : [`  source address ${formatIp(peer.sourceAddress)};`]),
    ...(dialect === 'calico'
      ? routing
      : [
          '  ipv4 {',
          '    gateway recursive;',
          `    add paths ${peer.addPaths ? 'on' : 'off'};`,
          ...[...routing, ...nextHop].map((line) => `  ${line}`),
          '  };',
        ]),
    ...(dialect === 'calico' && !peer.addPaths ? ['  add paths off;'] : []),
    ...(peer.passive ? ['  passive on;'] : []),
    ...(peer.gracefulRestartTime === TIMERS.gracefulRestart ? [] : [`  graceful restart time ${peer.gracefulRestartTime};`]),
    ...(peer.keepaliveTime === undefined ? [] : [`  keepalive time ${peer.keepaliveTime};`]),
    ...(peer.clusterId === undefined ? [] : ['  rr client;', `  rr cluster id ${formatIp(peer.clusterId)};`]),
    ...(peer.password === undefined ? [] : [`  password "${peer.password}";`]),
    ...(dialect === 'calico' ? nextHop : []),
    ...(peer.allowLocalAs === 0 ? [] : [`  allow local as ${peer.allowLocalAs};`]),
    '}',
  ]
}

/** BIRD 2 has no listening address of the whole daemon: each protocol says its own. */
function localEnd(config: BirdConfig, peer: PeerConfig): string[] {
  const { address, port } = config.listen
  if (address === undefined && port === BGP_PORT) return []
  return [`  local${address === undefined ? '' : ` ${formatIp(address)}`}${port === BGP_PORT ? '' : ` port ${port}`} as ${peer.localAs};`]
}

function filterCalls(config: BirdConfig, peer: PeerConfig, direction: 'import' | 'export'): string[] {
  return peer.filters.flatMap((name) => {
    const filter = config.bgpFilters.find((candidate) => candidate.name === name)
    const rules = direction === 'import' ? filter?.importV4 : filter?.exportV4
    if (filter === undefined || rules === undefined || rules.length === 0) return []
    const argument = rules.some(({ peerType }) => peerType !== undefined) ? String(peer.remoteAs === peer.localAs) : ''
    return [`    '${functionName(filter, direction)}'(${argument});`]
  })
}

function importFilter(config: BirdConfig, peer: PeerConfig): string[] {
  const normal = config.exports?.normalPriority
  const preference =
    normal === undefined
      ? []
      : [`    if (defined(bgp_local_pref)&&(bgp_local_pref > ${PRIORITY_TOP - normal})) then`, `      preference = ${OVERRIDE_PREFERENCE};`]
  return ['  import filter {', ...filterCalls(config, peer, 'import'), ...preference, '    accept;', '  };']
}

function exportFilter(config: BirdConfig, peer: PeerConfig): string[] {
  if (config.exports === undefined) return ['  export all;']
  const normal = config.exports.normalPriority
  const priority =
    normal === undefined
      ? []
      : [
          '    if (defined(source) && source = RTS_BGP && defined(bgp_local_pref)) then {',
          `      krt_metric = ${PRIORITY_TOP} - bgp_local_pref;`,
          '    } else {',
          `      if (!defined(krt_metric)) then { krt_metric = ${normal}; }`,
          `      bgp_local_pref = ${PRIORITY_TOP} - krt_metric;`,
          '    }',
        ]
  const call = `    calico_export_to_bgp_peers(${peer.remoteAs === peer.localAs});`
  return ['  export filter {', ...priority, ...filterCalls(config, peer, 'export'), call, '    reject;', '  };']
}

function functionName({ name }: BGPFilter, direction: 'import' | 'export'): string {
  return `bgp_${name}_${direction}FilterV4`
}

function bgpFilterFunctions(filter: BGPFilter, dialect: BirdDialect): string[] {
  return (['import', 'export'] as const).flatMap((direction) => {
    const rules = direction === 'import' ? filter.importV4 : filter.exportV4
    if (rules.length === 0) return []
    const typed = rules.some(({ peerType }) => peerType !== undefined)
    const head = `function '${functionName(filter, direction)}'(${typed ? 'bool is_same_as' : ''})`
    return [...(dialect === 'calico' ? [`${head} {`] : [head, '{']), ...rules.map((rule) => `  ${ruleStatement(rule)}`), '}']
  })
}

const OPERATORS = { Equal: '=', NotEqual: '!=', In: '~', NotIn: '!~' } as const

function ruleStatement(rule: BGPFilterRule): string {
  const conditions = [
    ...prefixCondition(rule),
    ...(rule.source === undefined ? [] : ['((defined(source))&&(source ~ [ RTS_BGP ]))']),
    ...(rule.interface === undefined ? [] : [`((defined(ifname))&&(ifname ~ "${rule.interface}"))`]),
    ...(rule.communities ?? []).map(
      (value) => `((${value.split(':').join(', ')}) ~ ${value.split(':').length === 3 ? 'bgp_large_community' : 'bgp_community'})`,
    ),
    ...(rule.asPathPrefix === undefined || rule.asPathPrefix.length === 0 ? [] : [`(bgp_path ~ [= ${rule.asPathPrefix.join(' ')} * =])`]),
    ...(rule.priority === undefined ? [] : [`(defined(bgp_local_pref)&&(bgp_local_pref = ${PRIORITY_TOP - rule.priority}))`]),
  ]
  const body = [...rule.operations.flatMap(operationStatements), `${rule.action.toLowerCase()};`].join(' ')
  const statement = conditions.length === 0 ? body : `if (${conditions.join('&&')}) then { ${body} }`
  if (rule.peerType === undefined) return statement
  return `if (${rule.peerType === 'iBGP' ? '' : '!'}is_same_as) then { ${statement} }`
}

function prefixCondition(rule: BGPFilterRule): string[] {
  if (rule.cidr === undefined) return []
  const text = formatCidr(rule.cidr)
  const { prefixLength } = rule
  const range = prefixLength === undefined ? text : `[ ${text}{${Math.max(rule.cidr.length, prefixLength.min ?? 0)},${Math.min(32, prefixLength.max ?? 32)}} ]`
  return [`(net ${OPERATORS[rule.matchOperator ?? 'In']} ${range})`]
}

function operationStatements(operation: BGPFilterOperation): string[] {
  switch (operation.kind) {
    case 'addCommunity':
      return [addStatement(operation.value)]
    case 'prependASPath':
      return operation.prefix.toReversed().map((number) => `bgp_path.prepend(${number});`)
    case 'setPriority':
      return [`bgp_local_pref = ${PRIORITY_TOP - operation.value};`]
  }
}
