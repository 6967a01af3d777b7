/** What the owner of a host might do at random: iptables, ipset and ip commands over all that netsim models, and sysctls. */
import type { Draw } from './draw.js'

/** From small sets, so that rules do match. */
export interface Surroundings {
  readonly devices: readonly string[]
  readonly nodes: readonly string[]
  /** Of the nodes, those that this host is not. */
  readonly others: readonly string[]
  readonly pods: readonly string[]
  readonly nets: readonly string[]
  readonly ports: readonly number[]
  /** The smallest of the cards. */
  readonly mtu: number
}

export interface SetDraft {
  readonly name: string
  readonly type: string
}

type Protocol = 'tcp' | 'udp' | 'icmp' | undefined

const HOOKS = {
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
} as const

export function iptablesCommands(draw: Draw, around: Surroundings, count: number, sets: readonly SetDraft[] = []): string[] {
  const commands: string[] = []
  const chains: string[] = []
  for (let i = 0; i < count; i++) {
    const table = draw.weighted([
      [6, 'filter'],
      [4, 'nat'],
      [3, 'mangle'],
      [2, 'raw'],
    ] as const)
    if (table === 'filter' && draw.chance(25)) {
      const name = `USER-${chains.length}`
      commands.push(`-t filter -N ${name}`)
      for (let j = draw.int(0, 3); j > 0; j--) commands.push(`-t filter -A ${name} ${rule(draw, around, { table, hook: 'FORWARD', sets, chains: [] })}`)
      chains.push(name)
    }
    const hook = draw.pick(HOOKS[table])
    if (table === 'filter' && draw.chance(6)) commands.push(`-t filter -P ${hook} DROP`)
    else commands.push(`-t ${table} -${draw.chance(50) ? 'A' : 'I'} ${hook} ${rule(draw, around, { table, hook, sets, chains: table === 'filter' ? chains : [] })}`)
  }
  return commands
}

interface Place {
  readonly table: keyof typeof HOOKS
  readonly hook: string
  readonly sets: readonly SetDraft[]
  readonly chains: readonly string[]
}

function rule(draw: Draw, around: Surroundings, place: Place): string {
  const protocol = draw.pick<Protocol>(['tcp', 'udp', 'icmp', undefined])
  const words: string[] = []
  if (draw.chance(40)) words.push(`${not(draw)}-s ${draw.pick([...around.pods, ...around.nodes, ...around.nets])}`)
  if (draw.chance(40)) words.push(`${not(draw)}-d ${draw.pick([...around.pods, ...around.nodes, ...around.nets])}`)
  if (inward(place.hook) && draw.chance(25)) words.push(`${not(draw)}-i ${draw.pick([...around.devices, 'veth+', 'e+'])}`)
  if (outward(place.hook) && draw.chance(25)) words.push(`${not(draw)}-o ${draw.pick([...around.devices, 'veth+', 'f+'])}`)
  if (protocol !== undefined) words.push(`-p ${protocol}`)
  if (protocol === undefined && draw.chance(8)) words.push('-f')
  for (let i = draw.weighted([[3, 0], [4, 1], [2, 2]]); i > 0; i--) words.push(match(draw, around, { ...place, protocol }))
  words.push(target(draw, around, { ...place, protocol }))
  return words.filter((word) => word !== '').join(' ')
}

function not(draw: Draw): string {
  return draw.chance(15) ? '! ' : ''
}

const inward = (hook: string): boolean => hook === 'PREROUTING' || hook === 'INPUT' || hook === 'FORWARD'
const outward = (hook: string): boolean => hook === 'POSTROUTING' || hook === 'OUTPUT' || hook === 'FORWARD'

type Detail = Place & { readonly protocol: Protocol }

function match(draw: Draw, around: Surroundings, { protocol, hook, sets }: Detail): string {
  const port = (): number => draw.pick(around.ports)
  const states = (): string => draw.some(['NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED'], 1, 2).join(',')
  const address = (): string => draw.pick([...around.pods, ...around.nodes])
  const any: (() => string)[] = [
    () => `-m conntrack ${not(draw)}--ctstate ${states()}`,
    () => `-m state --state ${draw.pick(['NEW', 'ESTABLISHED', 'RELATED,ESTABLISHED', 'INVALID'])}`,
    () => `-m conntrack --ctproto ${draw.pick([1, 6, 17])}`,
    () => `-m conntrack ${not(draw)}--ctorigsrc ${draw.pick([...around.pods, ...around.nets])}`,
    () => `-m conntrack --ctreplsrc ${address()} --ctdir ${draw.pick(['ORIGINAL', 'REPLY'])}`,
    () => `-m conntrack --ctstatus ${draw.pick(['SEEN_REPLY', 'ASSURED', 'CONFIRMED', 'NONE'])}`,
    () => `-m mark ${not(draw)}--mark ${draw.pick(['0x1', '0x1/0x3', '0x4000/0x4000', '0x0'])}`,
    () => `-m connmark ${not(draw)}--mark ${draw.pick(['0x1', '0x2/0x3', '0x0'])}`,
    () => `-m comment --comment ${draw.pick(['why', '"two words"'])}`,
    () => `-m ttl --ttl-${draw.pick(['eq', 'lt', 'gt'])} ${draw.int(60, 64)}`,
    () => `-m length ${not(draw)}--length ${draw.pick(['60', '84', '0:100', '1000:65535', '28:84'])}`,
    () => `-m tos ${not(draw)}--tos ${draw.pick(['0x10', '0x00/0x3f', '0x08/0xfc'])}`,
    () => `-m dscp ${not(draw)}--dscp ${draw.pick(['0x00', '0x08', '0x2e'])}`,
    () => `-m pkttype ${not(draw)}--pkt-type ${draw.pick(['unicast', 'broadcast', 'multicast'])}`,
    () => `-m iprange ${not(draw)}--${draw.pick(['src', 'dst'])}-range ${draw.pick(['10.244.1.2-10.244.2.3', '192.168.10.0-192.168.10.255', '0.0.0.0-10.255.255.255'])}`,
    () => `-m addrtype ${not(draw)}--${draw.pick(['src', 'dst'])}-type ${draw.pick(['LOCAL', 'UNICAST', 'BROADCAST', 'UNICAST,LOCAL'])}`,
    () => `-m statistic --mode nth ${not(draw)}--every ${draw.int(1, 3)} --packet 0`,
    () => '-m limit --limit 1/hour --limit-burst 2',
    () => `-m recent --name L --${draw.pick(['set', 'rcheck', 'update --seconds 100'])} --rsource`,
  ]
  if (sets.length > 0) {
    const both = (type: string): string => Array.from({ length: type.split(',').length }, () => draw.pick(['src', 'dst'])).join(',')
    const chosen = (): string => {
      const set = draw.pick(sets)
      return `-m set ${not(draw)}--match-set ${set.name} ${both(set.type)}`
    }
    any.push(chosen, chosen, chosen)
  }
  if (protocol === 'tcp' || protocol === 'udp') {
    any.push(
      () => `-m ${protocol} ${not(draw)}--dport ${draw.pick([`${port()}`, '1:1024', '9000:9010'])}`,
      () => `-m ${protocol} ${not(draw)}--sport ${draw.pick([`${port()}`, '40000:40100'])}`,
      () => `-m multiport ${not(draw)}--${draw.pick(['dports', 'sports', 'ports'])} ${draw.pick(['53,80', '9000:9010,7', `${port()}`])}`,
    )
  }
  if (protocol === 'tcp') any.push(() => `-m tcp ${not(draw)}--tcp-flags ${draw.pick(['SYN,RST,ACK SYN', 'ALL SYN,ACK', 'FIN,SYN FIN'])}`)
  if (protocol === 'icmp') any.push(() => `-m icmp ${not(draw)}--icmp-type ${draw.pick(['8', '0', '3', '3/4', '11/0', 'any'])}`)
  if (hook === 'PREROUTING') any.push(() => `-m rpfilter${draw.pick(['', ' --loose', ' --invert', ' --validmark', ' --accept-local'])}`)
  if (inward(hook)) any.push(() => `-m physdev ${draw.pick(['--physdev-is-in', '--physdev-is-bridged', '! --physdev-is-bridged', '--physdev-in veth+'])}`)
  return draw.pick(any)()
}

function target(draw: Draw, around: Surroundings, { table, hook, protocol, chains, sets }: Detail): string {
  const pod = (): string => draw.pick(around.pods)
  const ported = protocol === 'tcp' || protocol === 'udp'
  const choices: (readonly [weight: number, make: () => string])[] = [
    [3, () => ''],
    [2, () => '-j ACCEPT'],
    [1, () => '-j RETURN'],
    [1, () => `-j LOG --log-prefix ${draw.pick(['"a "', 'b'])}`],
    [1, () => '-j NFLOG --nflog-group 1'],
  ]
  if (sets.some(({ type }) => type === 'hash:ip')) {
    const set = sets.find(({ type }) => type === 'hash:ip')?.name ?? ''
    choices.push([1, () => `-j SET --${draw.pick(['add', 'del'])}-set ${set} ${draw.pick(['src', 'dst'])}${''}`])
  }
  if (table === 'filter') {
    choices.push([2, () => '-j DROP'], [2, () => reject(draw, protocol)])
    if (chains.length > 0) choices.push([4, () => `-${draw.pick(['j', 'g'])} ${draw.pick(chains)}`])
  }
  if (table === 'mangle') {
    choices.push(
      [3, () => `-j MARK --set-xmark ${draw.pick(['0x1/0x1', '0x4000/0x4000', '0x2/0xffffffff'])}`],
      [2, () => `-j CONNMARK ${draw.pick(['--set-xmark 0x1/0x3', '--save-mark', '--restore-mark'])}`],
      [1, () => `-j TTL --ttl-${draw.pick(['set 9', 'inc 2', 'dec 1'])}`],
      [1, () => `-j DSCP --set-dscp ${draw.pick(['0x08', '0x2e'])}`],
      [1, () => '-j DROP'],
    )
    if (protocol === 'tcp' && hook !== 'PREROUTING' && hook !== 'INPUT') {
      choices.push([2, () => `-m tcp --tcp-flags SYN,RST SYN -j TCPMSS ${draw.pick(['--set-mss 1000', '--clamp-mss-to-pmtu'])}`])
    }
  }
  if (table === 'raw') choices.push([2, () => '-j CT --notrack'], [1, () => '-j NOTRACK'], [1, () => '-j DROP'])
  if (table === 'nat' && (hook === 'POSTROUTING' || hook === 'INPUT')) {
    choices.push([3, () => `-j SNAT --to-source ${draw.pick(around.nodes)}${ported && draw.chance(40) ? ':50000-50009' : ''}`])
    if (hook === 'POSTROUTING') choices.push([5, () => '-j MASQUERADE'])
  }
  if (table === 'nat' && (hook === 'PREROUTING' || hook === 'OUTPUT')) {
    choices.push([4, () => `-j DNAT --to-destination ${pod()}${ported && draw.chance(60) ? `:${draw.pick(around.ports)}` : ''}`])
    if (ported) choices.push([2, () => `-j REDIRECT --to-ports ${draw.pick([80, 53, 9])}`])
  }
  return draw.weighted(choices)()
}

function reject(draw: Draw, protocol: Protocol): string {
  const types = ['icmp-net-unreachable', 'icmp-host-unreachable', 'icmp-proto-unreachable', 'icmp-port-unreachable', 'icmp-net-prohibited', 'icmp-host-prohibited']
  if (protocol === 'tcp' && draw.chance(50)) return '-j REJECT --reject-with tcp-reset'
  return `-j REJECT --reject-with ${draw.pick([...types, 'icmp-admin-prohibited'])}`
}

const SET_TYPES = ['hash:ip', 'hash:net', 'hash:ip,port', 'hash:net,port', 'hash:net,iface', 'bitmap:port'] as const

export function ipsetCommands(draw: Draw, around: Surroundings): string[] {
  return draw.some(SET_TYPES, 1, 3).flatMap((type, index) => {
    const name = `set${index}`
    const range = type === 'bitmap:port' ? ' range 0-65535' : ''
    const members = new Set(draw.times(draw.int(0, 5), () => member(draw, around, type)))
    return [`create ${name} ${type}${range}`, ...[...members].map((one) => `add ${name} ${one}`)]
  })
}

function member(draw: Draw, around: Surroundings, type: (typeof SET_TYPES)[number]): string {
  const address = draw.pick([...around.pods, ...around.nodes])
  const net = draw.pick([...around.nets, ...around.pods])
  const port = `${draw.pick(['tcp:', 'udp:'])}${draw.pick(around.ports)}`
  switch (type) {
    case 'hash:ip':
      return address
    case 'hash:net':
      return net
    case 'hash:ip,port':
      return `${address},${port}`
    case 'hash:net,port':
      return `${net},${port}`
    case 'hash:net,iface':
      return `${net},${draw.pick(around.devices)}`
    case 'bitmap:port':
      return String(draw.pick(around.ports))
  }
}

/** Policy routing and routes by hand. */
export function ipCommands(draw: Draw, around: Surroundings): string[] {
  const pod = (): string => draw.pick(around.pods)
  const commands = draw.times(draw.int(1, 3), () =>
    draw.pick([
      () => `route add ${draw.pick(['blackhole', 'unreachable', 'prohibit', 'throw'])} ${pod()}`,
      () => `route add 203.0.113.0/24 via ${draw.pick(around.others)} dev eth0 onlink`,
      () => `route add ${draw.pick(['blackhole', 'unreachable'])} default table 100`,
      () => `rule add from ${pod()} lookup 100 priority ${draw.int(1, 30000)}`,
      () => `rule add fwmark 0x1 ${draw.pick(['lookup 100', 'prohibit', 'unreachable', 'blackhole'])} priority ${draw.int(1, 30000)}`,
      () => `rule add to ${pod()} ${draw.pick(['unreachable', 'lookup main'])} priority ${draw.int(1, 30000)}`,
      () => `link set ${draw.pick(around.devices.filter((name) => name !== 'eth0'))} mtu ${draw.int(around.mtu - 300, around.mtu - 50)}`,
    ])(),
  )
  // the same route or rule twice is refused
  const place = (command: string): string => (command.includes('default table 100') ? 'default table 100' : command.slice(0, 19))
  return commands.filter((command, index) => commands.findIndex((other) => place(other) === place(command)) === index)
}

export function sysctlsOf(draw: Draw, around: Surroundings): (readonly [string, number])[] {
  const device = (): string => draw.pick([...around.devices.filter((name) => !name.includes('.')), 'all'])
  const choices: (() => readonly [string, number])[] = [
    () => ['net.ipv4.ip_forward', 0],
    () => [`net.ipv4.conf.${device()}.rp_filter`, draw.int(1, 2)],
    () => [`net.ipv4.conf.${device()}.accept_local`, 1],
    () => [`net.ipv4.conf.${device()}.proxy_arp`, 1],
    () => [`net.ipv4.conf.${device()}.arp_ignore`, draw.int(1, 2)],
    () => [`net.ipv4.conf.${device()}.arp_announce`, draw.int(1, 2)],
    () => [`net.ipv4.conf.${device()}.send_redirects`, 0],
    () => [`net.ipv4.conf.${device()}.route_localnet`, 1],
    () => [`net.ipv4.conf.${device()}.forwarding`, 0],
    () => ['net.ipv4.icmp_echo_ignore_all', 1],
    () => ['net.ipv4.icmp_errors_use_inbound_ifaddr', 1],
    () => ['net.ipv4.ip_default_ttl', draw.pick([32, 128])],
    () => ['net.ipv4.ip_no_pmtu_disc', 1],
    () => ['net.bridge.bridge-nf-call-iptables', 0],
  ]
  return draw.some(choices, 0, 3).map((make) => make())
}
