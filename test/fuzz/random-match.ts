/** A rule's conditions at random: every match that src/dataplane/iptables.ts models, over few values, so that rules do match. */
import type { Draw } from './draw.js'
import type { SetDraft } from './random-sets.js'
import { inward, outward, type Detail, type Surroundings } from './surroundings.js'

export function conditions(draw: Draw, around: Surroundings, detail: Detail): string[] {
  const { hook, protocol } = detail
  const ends = [...around.pods, ...around.nodes, ...around.nets]
  const words: string[] = []
  if (draw.chance(30)) words.push(`${not(draw)}-s ${draw.pick(ends)}`)
  if (draw.chance(30)) words.push(`${not(draw)}-d ${draw.pick(ends)}`)
  if (inward(hook) && draw.chance(20)) words.push(`${not(draw)}-i ${draw.pick([...around.devices, 'veth+', 'e+', '+'])}`)
  if (outward(hook) && draw.chance(20)) words.push(`${not(draw)}-o ${draw.pick([...around.devices, 'veth+', 'f+'])}`)
  if (protocol !== undefined) words.push(`${protocol === '47' || protocol === '253' ? not(draw) : ''}-p ${protocol}`)
  if ((protocol === undefined || protocol === '253') && draw.chance(8)) words.push(`${not(draw)}-f`)
  const count = draw.weighted([
    [4, 0],
    [4, 1],
    [2, 2],
  ])
  for (let i = 0; i < count; i++) words.push(match(draw, around, detail))
  return words
}

function not(draw: Draw): string {
  return draw.chance(20) ? '! ' : ''
}

const FLAGS = ['--tcp-flags SYN,RST,ACK SYN', '--tcp-flags ALL SYN,ACK', '--tcp-flags FIN,SYN FIN', '--syn', '--tcp-flags ALL NONE', '--tcp-flags RST RST']
const ICMP_TYPES = ['8', '0', '3', '3/4', '3/3', '11/0', 'any', 'echo-request', 'fragmentation-needed', 'time-exceeded']

function match(draw: Draw, around: Surroundings, detail: Detail): string {
  const kinds = [connection, connection, packet, packet, ends, memory]
  if (detail.sets.length > 0) kinds.push(sets, sets)
  if (detail.protocol === 'tcp' || detail.protocol === 'udp') kinds.push(ports, ports)
  if (detail.protocol === 'tcp') kinds.push(() => `-m tcp ${not(draw)}${draw.pick(FLAGS)}`)
  if (detail.protocol === 'icmp') kinds.push(() => `-m icmp ${not(draw)}--icmp-type ${draw.pick(ICMP_TYPES)}`)
  return draw.pick(kinds)(draw, around, detail)
}

function connection(draw: Draw, around: Surroundings): string {
  const states = ['NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED', 'SNAT', 'DNAT']
  const port = draw.pick([`${draw.pick(around.ports)}`, '1:1024', '40000:40100', '1:65535'])
  const choices = [
    `-m conntrack ${not(draw)}--ctstate ${draw.some(states, 1, 2).join(',')}`,
    `-m state ${not(draw)}--state ${draw.some(states.slice(0, 5), 1, 2).join(',')}`,
    `-m conntrack ${not(draw)}--ctproto ${draw.pick([1, 6, 17])}`,
    `-m conntrack ${not(draw)}--ct${draw.pick(['origsrc', 'origdst', 'replsrc', 'repldst'])} ${draw.pick([...around.pods, ...around.nodes, ...around.nets])}`,
    `-m conntrack ${not(draw)}--ct${draw.pick(['origsrcport', 'origdstport', 'replsrcport', 'repldstport'])} ${port}`,
    `-m conntrack ${not(draw)}--ctstatus ${draw.some(['EXPECTED', 'SEEN_REPLY', 'ASSURED', 'CONFIRMED'], 1, 2).join(',')}`,
    '-m conntrack --ctstatus NONE',
    `-m conntrack --ctdir ${draw.pick(['ORIGINAL', 'REPLY'])}`,
    `-m conntrack ${not(draw)}--ctstate ${draw.pick(states)} ${not(draw)}--ctproto ${draw.pick([1, 6, 17])} --ctdir ${draw.pick(['ORIGINAL', 'REPLY'])}`,
    `-m connmark ${not(draw)}--mark ${draw.pick(['0x1', '0x2/0x3', '0x0'])}`,
  ]
  return draw.pick(choices)
}

function packet(draw: Draw): string {
  const choices = [
    `-m mark ${not(draw)}--mark ${draw.pick(['0x1', '0x1/0x3', '0x4000/0x4000', '0x0'])}`,
    `-m comment --comment ${draw.pick(['why', '"two words"'])}`,
    `-m ttl --ttl-${draw.pick(['eq', 'lt', 'gt'])} ${draw.int(60, 64)}`,
    `-m ttl ! --ttl-eq ${draw.int(62, 64)}`,
    `-m length ${not(draw)}--length ${draw.pick(['60', '84', '0:100', '1000:65535', '28:84'])}`,
    `-m tos ${not(draw)}--tos ${draw.pick(['0x10', '0x00/0x3f', '0x08/0xfc', '0xc0/0xff'])}`,
    `-m dscp ${not(draw)}--dscp ${draw.pick(['0x00', '0x08', '0x2e', '0x30'])}`,
    `-m dscp ${not(draw)}--dscp-class ${draw.pick(['BE', 'CS1', 'EF'])}`,
    `-m pkttype ${not(draw)}--pkt-type ${draw.pick(['unicast', 'broadcast', 'multicast'])}`,
  ]
  return draw.pick(choices)
}

const ADDRESS_TYPES = ['LOCAL', 'UNICAST', 'BROADCAST', 'MULTICAST', 'UNICAST,LOCAL', 'BLACKHOLE', 'UNREACHABLE', 'PROHIBIT', 'LOCAL,BROADCAST']

function ends(draw: Draw, _around: Surroundings, { table, hook }: Detail): string {
  const limit = !draw.chance(25) || hook === 'USER' ? '' : inward(hook) && draw.chance(50) ? ' --limit-iface-in' : outward(hook) ? ' --limit-iface-out' : ''
  const range = ['10.244.1.2-10.244.2.3', '192.168.10.0-192.168.10.255', '0.0.0.0-10.255.255.255', '10.244.1.3-10.244.1.3']
  const choices = [
    `-m iprange ${not(draw)}--${draw.pick(['src', 'dst'])}-range ${draw.pick(range)}`,
    `-m iprange ${not(draw)}--src-range ${draw.pick(range)} ${not(draw)}--dst-range ${draw.pick(range)}`,
    `-m addrtype ${not(draw)}--${draw.pick(['src', 'dst'])}-type ${draw.pick(ADDRESS_TYPES)}${limit}`,
    `-m addrtype ${not(draw)}--src-type ${draw.pick(ADDRESS_TYPES)} ${not(draw)}--dst-type ${draw.pick(ADDRESS_TYPES)}${limit}`,
  ]
  if (hook === 'PREROUTING' && (table === 'raw' || table === 'mangle')) {
    const rpfilter = ['-m rpfilter', ...draw.some(['--loose', '--validmark', '--accept-local', '--invert'], 0, 4)].join(' ')
    choices.push(rpfilter, rpfilter)
  }
  if (inward(hook) && hook !== 'USER') {
    choices.push(`-m mac ${not(draw)}--mac-source 0e:00:00:00:00:0${draw.int(1, 3)}`)
    choices.push(`-m physdev ${not(draw)}${draw.pick(['--physdev-is-in', '--physdev-is-bridged', '--physdev-in veth+', '--physdev-in eth0'])}`)
  }
  if (hook === 'FORWARD' || hook === 'POSTROUTING') choices.push(`-m physdev --physdev-is-bridged ${not(draw)}--physdev-${draw.pick(['out veth+', 'is-out'])}`)
  return draw.pick(choices)
}

/** What remembers from packet to packet; chance left out. */
function memory(draw: Draw): string {
  const recent = [
    '--set',
    '--rcheck',
    '--update --seconds 100',
    '--remove',
    '--rcheck --hitcount 2',
    '--update --seconds 60 --hitcount 1',
    '--rcheck --seconds 10 --reap',
  ]
  const choices = [
    `-m statistic --mode nth ${not(draw)}--every ${draw.int(1, 3)} --packet 0`,
    '-m statistic --mode nth --every 3 --packet 1',
    `-m statistic --mode random ${not(draw)}--probability ${draw.pick(['0', '1'])}`,
    `-m limit --limit ${draw.pick(['1/hour', '5/day'])} --limit-burst ${draw.int(1, 3)}`,
    `-m recent --name ${draw.pick(['L', 'M'])} ${not(draw)}${draw.pick(recent)} --${draw.pick(['rsource', 'rdest', 'rdest --mask 255.255.255.0'])}`,
  ]
  return draw.pick(choices)
}

function sets(draw: Draw, _around: Surroundings, { sets: known }: Detail): string {
  const set = draw.pick(known)
  return `-m set ${not(draw)}--match-set ${set.name} ${directions(draw, set)}`
}

/** One for each dimension; of a list, as many as one of its sets may want. */
export function directions(draw: Draw, { type }: SetDraft): string {
  const count = type === 'list:set' ? draw.int(1, 2) : type.split(',').length
  return draw.times(count, () => draw.pick(['src', 'dst'])).join(',')
}

function ports(draw: Draw, around: Surroundings, { protocol }: Detail): string {
  const port = draw.pick(around.ports)
  const choices = [
    `-m ${protocol} ${not(draw)}--dport ${draw.pick([`${port}`, '1:1024', '9000:9010'])}`,
    `-m ${protocol} ${not(draw)}--sport ${draw.pick([`${port}`, '40000:40100'])}`,
    `-m ${protocol} ${not(draw)}--sport 1024: ${not(draw)}--dport :${port}`,
    `-m multiport ${not(draw)}--${draw.pick(['dports', 'sports', 'ports'])} ${draw.pick(['53,80', '9000:9010,7', `${port}`])}`,
  ]
  return draw.pick(choices)
}
