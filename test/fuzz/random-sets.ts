/** IP sets at random: every type that netsim evaluates. */
import type { Draw } from './draw.js'
import type { Surroundings } from './surroundings.js'

export interface SetDraft {
  readonly name: string
  readonly type: string
}

const SET_TYPES = ['hash:ip', 'hash:ip', 'hash:net', 'hash:ip,port', 'hash:net,port', 'hash:net,iface', 'bitmap:port'] as const
type SetType = (typeof SET_TYPES)[number]

export function ipsetCommands(draw: Draw, around: Surroundings): string[] {
  const types = draw.some(SET_TYPES, 1, 3)
  const commands = types.flatMap((type, index) => {
    const name = `set${index}`
    const options = type === 'bitmap:port' ? ' range 0-65535' : type === 'hash:ip' && draw.chance(15) ? ' netmask 24' : ''
    // of one net of hash:ip with a mask, one address
    const masked = (one: string): string => (options.includes('netmask') ? one.replace(/\d+$/, '0') : one)
    const members = new Set(draw.times(draw.int(0, 5), () => masked(member(draw, around, type))))
    const nomatch = (): string => (type.startsWith('hash:net') && draw.chance(15) ? ' nomatch' : '')
    return [`create ${name} ${type}${options}`, ...[...members].map((one) => `add ${name} ${one}${nomatch()}`)]
  })
  if (!draw.chance(30)) return commands
  return [
    ...commands,
    `create list0 list:set`,
    ...draw
      .some(
        types.map((_, index) => `set${index}`),
        1,
        types.length,
      )
      .map((name) => `add list0 ${name}`),
  ]
}

function member(draw: Draw, around: Surroundings, type: SetType): string {
  const address = draw.pick([...around.pods, ...around.nodes])
  const net = draw.pick([...around.nets, ...around.pods])
  const port = draw.pick([`${draw.pick(['tcp:', 'udp:'])}${draw.pick(around.ports)}`, 'icmp:8/0', 'icmp:echo-reply'])
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
