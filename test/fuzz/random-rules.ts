/** What the owner of a host might do at random: iptables, ip and bridge commands over all that netsim models, and sysctls. */
import type { Draw } from './draw.js'
import { conditions } from './random-match.js'
import type { SetDraft } from './random-sets.js'
import { target } from './random-target.js'
import { HOOKS, type Place, type Protocol, type Surroundings } from './surroundings.js'

type Table = keyof typeof HOOKS

export function iptablesCommands(draw: Draw, around: Surroundings, count: number, sets: readonly SetDraft[] = []): string[] {
  const commands: string[] = []
  const chains: Record<Table, string[]> = { raw: [], mangle: [], nat: [], filter: [] }
  for (let i = 0; i < count; i++) {
    const table = draw.weighted<Table>([
      [6, 'filter'],
      [4, 'nat'],
      [3, 'mangle'],
      [2, 'raw'],
    ])
    if (draw.chance(25)) commands.push(...userChain(draw, around, { table, sets, chains: chains[table] }))
    const hook = draw.pick(HOOKS[table])
    const policy = draw.chance(table === 'filter' ? 6 : 1) && table !== 'nat'
    if (policy) commands.push(`-t ${table} -P ${hook} DROP`)
    else commands.push(`-t ${table} -${draw.chance(50) ? 'A' : 'I'} ${hook} ${rule(draw, around, { table, hook, sets, chains: chains[table] })}`)
  }
  return commands
}

/** Its rules may jump to the chains that are there already, so that none leads back to itself. */
function userChain(draw: Draw, around: Surroundings, { table, sets, chains }: Omit<Place, 'hook' | 'chains'> & { readonly chains: string[] }): string[] {
  const name = `USER-${chains.length}`
  const rules = draw.times(draw.int(0, 4), () => `-t ${table} -A ${name} ${rule(draw, around, { table, hook: 'USER', sets, chains: [...chains] })}`)
  chains.push(name)
  return [`-t ${table} -N ${name}`, ...rules]
}

function rule(draw: Draw, around: Surroundings, place: Place): string {
  const protocol = draw.pick<Protocol>(['tcp', 'tcp', 'udp', 'udp', 'icmp', 'icmp', undefined, undefined, undefined, draw.pick(['47', '253'])])
  const detail = { ...place, protocol }
  return [...conditions(draw, around, detail), target(draw, around, detail)].filter((word) => word !== '').join(' ')
}

/** Policy routing and routes by hand; what the kernel decides by chance (multipath over equals) is left out. */
export function ipCommands(draw: Draw, around: Surroundings): string[] {
  const pod = (): string => draw.pick(around.pods)
  const device = (): string => draw.pick(around.devices)
  const via = (): string => `via ${draw.pick(around.others)} dev eth0 onlink`
  const priority = (): string => `priority ${draw.int(1, 30000)}`
  const commands = draw.times(draw.int(1, 3), () =>
    draw.pick([
      () => `route add ${draw.pick(['blackhole', 'unreachable', 'prohibit', 'throw'])} ${pod()}`,
      () => `route add ${pod()} ${via()}${draw.pick(['', ' metric 5'])}`,
      () => `route add ${pod()} ${via()} mtu ${draw.pick(['1000', 'lock 1000', '1300'])}`,
      () => `route add 203.0.113.0/24 ${via()}${draw.pick(['', ' mtu 1200', ' advmss 900'])}`,
      () => 'route add 203.0.113.0/24 dev eth0',
      () => `route add default ${via()} metric 7`,
      () => `route add ${draw.pick(['blackhole', 'unreachable', 'prohibit'])} default table 100`,
      () => `route add default ${via()} table 100`,
      () => `rule add from ${pod()} lookup 100 ${priority()}`,
      () => `rule add iif ${device()} ${draw.pick(['lookup 100', 'unreachable', 'blackhole'])} ${priority()}`,
      () => `rule add oif eth0 lookup 100 ${priority()}`,
      () => `rule add not from ${draw.pick(around.nets)} lookup 100 ${priority()}`,
      () => `rule add ipproto ${draw.pick(['tcp', 'udp', 'icmp'])} lookup 100 ${priority()}`,
      () => `rule add ipproto udp dport ${draw.pick(around.ports)} ${draw.pick(['lookup 100', 'prohibit'])} ${priority()}`,
      () => `rule add tos 0x10 lookup 100 ${priority()}`,
      () => `rule add lookup main suppress_prefixlength ${draw.pick([0, 16, 24])} ${priority()}`,
      () => `rule add fwmark 0x1${draw.pick(['', '/0x1'])} ${draw.pick(['lookup 100', 'prohibit', 'unreachable', 'blackhole'])} ${priority()}`,
      () => `rule add to ${pod()} ${draw.pick(['unreachable', 'lookup main'])} ${priority()}`,
      () => `addr add 10.99.0.${draw.int(1, 5)}/32 dev ${draw.pick(['lo', 'eth0'])}`,
      () => `neigh add ${draw.pick(around.others)} lladdr 02:00:00:00:00:09 dev eth0 nud permanent`,
      () => `neigh add proxy ${pod()} dev eth0`,
      () => `link set ${draw.pick(around.devices.filter((name) => name !== 'eth0'))} mtu ${draw.int(around.mtu - 300, around.mtu - 50)}`,
    ])(),
  )
  const destination = (command: string): string =>
    command.startsWith('route') ? `${command.split(' ').find((word) => /^(\d|default)/.test(word))}${command.includes('table')}` : command
  // the same route twice is refused
  return commands.filter((command, index) => commands.findIndex((other) => destination(other) === destination(command)) === index)
}

/** Of a device or of all, with the least and the greatest value. */
const DEVICE_SYSCTLS: readonly (readonly [key: string, least: number, most: number])[] = [
  ['rp_filter', 1, 2],
  ['rp_filter', 1, 2],
  ['accept_local', 1, 1],
  ['proxy_arp', 1, 1],
  ['proxy_arp_pvlan', 1, 1],
  ['arp_ignore', 1, 2],
  ['arp_announce', 1, 2],
  ['arp_filter', 1, 1],
  ['send_redirects', 0, 0],
  ['route_localnet', 1, 1],
  ['src_valid_mark', 1, 1],
  ['forwarding', 0, 0],
]

export function sysctlsOf(draw: Draw, around: Surroundings): (readonly [string, number])[] {
  const device = (): string => draw.pick([...around.devices.filter((name) => !name.includes('.')), 'all'])
  const choices: (() => readonly [string, number])[] = [
    () => ['net.ipv4.ip_forward', 0],
    ...DEVICE_SYSCTLS.map(([key, least, most]) => (): readonly [string, number] => [`net.ipv4.conf.${device()}.${key}`, draw.int(least, most)]),
    () => ['net.ipv4.icmp_echo_ignore_all', 1],
    () => ['net.ipv4.icmp_echo_ignore_broadcasts', draw.int(0, 1)],
    () => ['net.ipv4.icmp_errors_use_inbound_ifaddr', 1],
    () => ['net.ipv4.ip_default_ttl', draw.pick([32, 128])],
    () => ['net.ipv4.ip_no_pmtu_disc', 1],
    () => ['net.bridge.bridge-nf-call-iptables', 0],
    () => ['net.netfilter.nf_conntrack_tcp_loose', 0],
    () => ['net.netfilter.nf_conntrack_checksum', 0],
  ]
  return draw.some(choices, 0, 3).map((make) => make())
}
