/** What a rule does, at random: every target that src/dataplane/iptables.ts models, where iptables takes it. */
import type { Draw } from './draw.js'
import { directions } from './random-match.js'
import type { Detail, Protocol, Surroundings } from './surroundings.js'

type Choice = readonly [weight: number, make: () => string]

const MARKS = ['--set-xmark 0x1/0x1', '--set-xmark 0x4000/0x4000', '--set-xmark 0x2/0xffffffff', '--or-mark 0x2', '--and-mark 0x1', '--set-mark 0x1']
const CONNMARKS = [
  '--set-xmark 0x1/0x3',
  '--save-mark',
  '--restore-mark',
  '--save-mark --nfmask 0x1 --ctmask 0x3',
  '--restore-mark --mask 0x1',
  '--set-mark 0x2',
]

export function target(draw: Draw, around: Surroundings, detail: Detail): string {
  const { table, chains, sets } = detail
  const choices: Choice[] = [
    [3, () => ''],
    [2, () => '-j ACCEPT'],
    [1, () => '-j RETURN'],
    [1, () => `-j LOG --log-prefix ${draw.pick(['"a "', 'b'])}${draw.pick(['', ' --log-level 7', ' --log-ip-options'])}`],
    [1, () => '-j NFLOG --nflog-group 1'],
    [2, () => `-j MARK ${draw.pick(MARKS)}`],
    [1, () => `-j CONNMARK ${draw.pick(CONNMARKS)}`],
  ]
  const changing = sets.filter(({ type }) => type !== 'list:set' && type !== 'hash:net,iface')
  if (changing.length > 0) {
    const set = draw.pick(changing)
    choices.push([2, () => `-j SET --${draw.pick(['add', 'del'])}-set ${set.name} ${directions(draw, set)}${draw.pick(['', ' --exist'])}`])
  }
  if (chains.length > 0) choices.push([5, () => `-${draw.pick(['j', 'j', 'g'])} ${draw.pick(chains)}`])
  choices.push(...OF_TABLE[table](draw, around, detail))
  const made = draw.weighted(choices)()
  return made.endsWith(' --exist') && made.includes('--del-set') ? made.replace(' --exist', '') : made
}

const OF_TABLE: Readonly<Record<Detail['table'], (draw: Draw, around: Surroundings, detail: Detail) => Choice[]>> = {
  raw: (draw) => [
    [2, () => '-j CT --notrack'],
    [1, () => '-j NOTRACK'],
    [1, () => draw.pick(['-j DROP', '-j TRACE'])],
  ],
  mangle: (draw, _around, { protocol, hook }) => {
    const choices: Choice[] = [
      [2, () => `-j TTL --ttl-${draw.pick(['set 9', 'inc 2', 'dec 1', 'set 1', 'dec 70'])}`],
      [1, () => `-j DSCP ${draw.pick(['--set-dscp 0x08', '--set-dscp 0x2e', '--set-dscp-class CS1'])}`],
      [1, () => '-j DROP'],
      [1, () => '-j CHECKSUM --checksum-fill'],
    ]
    if (protocol === 'tcp') {
      const clamp = hook === 'FORWARD' || hook === 'OUTPUT' || hook === 'POSTROUTING'
      choices.push([
        3,
        () => `-m tcp --tcp-flags SYN,RST SYN -j TCPMSS ${draw.pick(['--set-mss 1000', '--set-mss 5000', ...(clamp ? ['--clamp-mss-to-pmtu'] : [])])}`,
      ])
    }
    return choices
  },
  nat: natChoices,
  filter: (draw, _around, { protocol }) => [
    [2, () => '-j DROP'],
    [2, () => reject(draw, protocol)],
  ],
}

/** Ranges of source ports are left out: the kernel takes one by chance. */
function natChoices(draw: Draw, around: Surroundings, { hook, protocol }: Detail): Choice[] {
  const ported = protocol === 'tcp' || protocol === 'udp'
  const two = (addresses: readonly string[]): string =>
    draw.pick([...addresses, `${addresses[0]}-${addresses[0].replace(/\d+$/, (last) => String(Number(last) + 3))}`])
  const flags = draw.pick(['', '', ' --persistent'])
  if (hook === 'POSTROUTING' || hook === 'INPUT') {
    const choices: Choice[] = [[3, () => `-j SNAT --to-source ${two(around.nodes)}${ported && draw.chance(40) ? ':50000' : ''}${flags}`]]
    if (hook === 'POSTROUTING') choices.push([5, () => `-j MASQUERADE${ported && draw.chance(20) ? ' --to-ports 50001' : ''}`])
    return choices
  }
  if (hook !== 'PREROUTING' && hook !== 'OUTPUT') return []
  const choices: Choice[] = [
    [3, () => `-j DNAT --to-destination ${two(around.pods)}${ported && draw.chance(50) ? `:${draw.pick([...around.ports, '52-53'])}` : ''}${flags}`],
    [1, () => `-j REDIRECT`],
  ]
  if (ported) choices.push([2, () => `-j REDIRECT --to-ports ${draw.pick([80, 53, 9, '80-81'])}`])
  return choices
}

function reject(draw: Draw, protocol: Protocol): string {
  const types = [
    'icmp-net-unreachable',
    'icmp-host-unreachable',
    'icmp-proto-unreachable',
    'icmp-port-unreachable',
    'icmp-net-prohibited',
    'icmp-host-prohibited',
    'icmp-admin-prohibited',
  ]
  if (protocol === 'tcp' && draw.chance(50)) return '-j REJECT --reject-with tcp-reset'
  return draw.chance(20) ? '-j REJECT' : `-j REJECT --reject-with ${draw.pick(types)}`
}
