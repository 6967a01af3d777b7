/**
 * `bridge fdb show` text ⇄ FdbSpec[], and `bridge fdb add|append|replace|del …` (iproute2 6.1 bridge/fdb.c; vxlan_core.c and
 * br_fdb.c for the answers).
 */
import { formatIp, parseIp } from '../base/ip.js'
import { formatMac, parseMac, type Mac } from '../base/mac.js'
import type { Problem } from '../base/problem.js'
import type { DeviceSpec, FdbSpec } from './dataplane.js'
import { abbreviated, linesOf, parseInteger, Report, Words, type CommandOptions, type Place } from './text.js'

/** As `bridge fdb show` prints it, in the order given (the kernel's is that of its hashes). */
export function printFdb(fdb: readonly FdbSpec[]): string {
  return fdb.map((entry) => `${printEntry(entry)}\n`).join('')
}

function printEntry(entry: FdbSpec): string {
  const parts = [
    formatMac(entry.mac),
    `dev ${entry.device}`,
    entry.destination === undefined ? undefined : `dst ${formatIp(entry.destination)}`,
    entry.port === undefined ? undefined : `port ${entry.port}`,
    entry.vni === undefined ? undefined : `vni ${entry.vni}`,
    entry.via === undefined ? undefined : `via ${entry.via}`,
    entry.self === true ? 'self' : undefined,
    entry.master === undefined ? undefined : `master ${entry.master}`,
  ]
  // a learnt entry has no word for its state, and its line ends in the blank before it
  return `${parts.filter((part) => part !== undefined).join(' ')} ${entry.state === 'reachable' ? '' : entry.state}`
}

interface FdbWords {
  mac?: Mac
  device?: string
  /** '' for `master` without a name. */
  master?: string
  destination?: number
  port?: number
  vni?: number
  via?: string
  self?: boolean
  state?: FdbSpec['state']
  ofVlan?: boolean
}

const STATES: ReadonlyMap<string, FdbSpec['state']> = new Map([
  ['permanent', 'permanent'],
  ['local', 'permanent'],
  ['static', 'static'],
  ['temp', 'static'],
  ['dynamic', 'reachable'],
  ['reachable', 'reachable'],
  ['stale', 'reachable'],
])
const FLAGS = ['extern_learn', 'sticky', 'offload', 'router', 'use', 'locked']

/** With `named`, `master` has the bridge's name behind it, as `bridge fdb show` prints it. */
function readWords(words: Words, report: Report, options: { readonly named: boolean }): FdbWords | undefined {
  const said: FdbWords = {}
  while (!words.done) {
    const word = words.next() ?? ''
    const number = (max: number): number | undefined => {
      const text = words.next()
      return parseInteger(text, max) ?? report.error(`invalid ${word} "${text ?? ''}"`)
    }
    if (word === 'dev') said.device = words.next()
    else if (word === 'via') said.via = words.next()
    else if (word === 'self') said.self = true
    else if (word === 'master') said.master = options.named ? (words.next() ?? '') : ''
    else if (STATES.has(word)) said.state = STATES.get(word)
    else if (word === 'offload' && report.printed) continue
    else if (FLAGS.includes(word)) report.warning(`the flag "${word}" of an FDB entry is not modelled and left out`)
    else if (word === 'vlan' && report.printed) {
      if (words.next() === undefined) return report.error('"vlan" requires an argument')
      said.ofVlan = true
    }
    // which netns its device is in; -s adds when it was used
    else if ((word === 'link-netnsid' || word === 'link-netns' || word === 'used') && report.printed) words.next()
    else if (word === 'vlan' || word === 'src_vni' || word === 'nhid')
      return report.error(`"${word} ${words.next() ?? ''}" of an FDB entry is not modelled`, 'The entry is left out.')
    else if (word === 'port') {
      if ((said.port = number(65535)) === undefined) return undefined
    } else if (word === 'vni') {
      if ((said.vni = number(0xffffff)) === undefined) return undefined
    } else if (word === 'dst') {
      const text = words.next() ?? ''
      said.destination = parseIp(text)
      if (said.destination === undefined)
        return report.error(`Invalid address "${text}" behind dst`, text.includes(':') ? 'IPv6 is not modelled.' : 'Give an IPv4 address.')
    } else if (word === 'to' || said.mac === undefined) {
      const text = word === 'to' ? (words.next() ?? '') : word
      said.mac = parseMac(text)
      if (said.mac === undefined) return report.error(`Invalid mac address ${text}`)
    } else return report.error(`"${word}" is a garbage here`, 'Check the spelling of this word.')
  }
  return said
}

function entryOf(said: FdbWords, mac: Mac, device: string): FdbSpec {
  return {
    mac,
    device,
    ...(said.master === undefined || said.master === '' ? {} : { master: said.master }),
    ...(said.destination === undefined ? {} : { destination: said.destination }),
    ...(said.port === undefined ? {} : { port: said.port }),
    ...(said.vni === undefined ? {} : { vni: said.vni }),
    ...(said.via === undefined ? {} : { via: said.via }),
    ...(said.self === true ? { self: true } : {}),
    state: said.state ?? 'reachable',
  }
}

/** Reads `bridge fdb show` text. */
export function parseFdb(text: string, place: Place): { readonly fdb: readonly FdbSpec[]; readonly problems: readonly Problem[] } {
  const report = new Report(place, { printed: true })
  const fdb: FdbSpec[] = []
  let ofVlans = 0
  for (const line of linesOf(text, report)) {
    const said = readWords(Words.of(line), report, { named: true })
    if (said === undefined) continue
    if (said.ofVlan === true) ofVlans++
    else if (said.mac === undefined || said.device === undefined) report.error('Device and address are required.')
    else fdb.push({ ...entryOf(said, said.mac, said.device), ...report.origin })
  }
  if (ofVlans > 0) report.warning(`${ofVlans} FDB entries of VLANs are left out`, 'A bridge looks at them when it filters VLANs, which is not modelled.')
  return { fdb, problems: report.problems }
}

interface FdbCommandOptions extends CommandOptions {
  /** Which bridge a port is of, and which device is a VXLAN: `master` entries need it. */
  readonly devices?: readonly DeviceSpec[]
}

/** `bridge fdb …` with or without the leading words. After an error the table is as it was. */
export function applyFdbCommand(
  fdb: readonly FdbSpec[],
  text: string,
  place: Place,
  options: FdbCommandOptions = {},
): { readonly fdb: readonly FdbSpec[]; readonly problems: readonly Problem[] } {
  const report = new Report(place)
  return { fdb: apply(fdb, text, options, report) ?? fdb, problems: report.problems }
}

const COMMANDS = ['add', 'append', 'replace', 'delete'] as const

function apply(fdb: readonly FdbSpec[], text: string, options: FdbCommandOptions, report: Report): readonly FdbSpec[] | undefined {
  const words = Words.of(text)
  words.takeIf('bridge')
  if (abbreviated(words.peek(), ['fdb']) !== undefined) words.next()
  const word = words.next()
  const command = abbreviated(word, COMMANDS)
  if (command === undefined) return report.error(`Command "${word ?? ''}" is unknown, try "bridge fdb help".`, `Modelled are ${COMMANDS.join(', ')}.`)
  const said = readWords(words, report, { named: false })
  if (said === undefined) return undefined
  const { mac, device: name } = said
  if (mac === undefined || name === undefined) return report.error('Device and address are required arguments.')
  const device = options.devices?.find((candidate) => candidate.name === name)
  if (options.devices !== undefined && device === undefined) return report.error(`Cannot find device "${name}"`)
  // an entry of the bridge itself stands in the bridge's own table
  const bridge = said.master !== undefined ? device?.master : device?.kind === 'bridge' ? device.name : undefined
  if (said.master !== undefined && bridge === undefined)
    return report.error('RTNETLINK answers: Operation not supported', `${name} is not known as the port of a bridge.`)
  const self = said.master === undefined && bridge === undefined
  const entry: FdbSpec = {
    ...entryOf({ ...said, master: bridge, self, state: said.state ?? 'permanent' }, mac, name),
    ...(options.provenance === undefined ? {} : { provenance: options.provenance }),
  }
  const vxlan = device?.kind === 'vxlan' ? device : undefined
  if (vxlan !== undefined || (device === undefined && entry.destination !== undefined))
    return applyToVxlan(fdb, { entry: withoutDefaults(entry, vxlan), command }, vxlan !== undefined, report)
  return applyToBridge(fdb, { entry, command }, report)
}

/** The device's own port and VNI are not kept with the entry. */
function withoutDefaults(entry: FdbSpec, vxlan: (DeviceSpec & { readonly kind: 'vxlan' }) | undefined): FdbSpec {
  const { port, vni, ...rest } = entry
  return { ...rest, ...(port === undefined || port === vxlan?.port ? {} : { port }), ...(vni === undefined || vni === vxlan?.vni ? {} : { vni }) }
}

interface Change {
  readonly entry: FdbSpec
  readonly command: (typeof COMMANDS)[number]
}

function sameRemote(a: FdbSpec, b: FdbSpec): boolean {
  return a.destination === b.destination && a.port === b.port && a.vni === b.vni && a.via === b.via
}

/** vxlan_fdb_update(), __vxlan_fdb_delete(): several remotes only for broadcast, multicast and the all-zero address. */
function applyToVxlan(fdb: readonly FdbSpec[], { entry, command }: Change, known: boolean, report: Report): readonly FdbSpec[] | undefined {
  const mine = fdb.filter((other) => other.device === entry.device && other.mac === entry.mac && other.master === undefined)
  const several = entry.mac === 0 || Math.floor(entry.mac / 2 ** 40) % 2 === 1
  if (command === 'delete') {
    if (mine.length === 0) return report.error('RTNETLINK answers: No such file or directory', 'There is no such entry.')
    if (entry.destination === undefined) return fdb.filter((other) => !mine.includes(other))
    const victim = mine.find((other) => sameRemote(other, entry))
    if (victim === undefined) {
      report.warning(`no entry of ${entry.device} for ${formatMac(entry.mac)} has this remote`, 'The kernel says nothing and deletes nothing.')
    }
    return fdb.filter((other) => other !== victim)
  }
  if (entry.destination === undefined && known) return report.error('RTNETLINK answers: Invalid argument', 'A VXLAN device needs dst.')
  if (mine.length === 0) return [...fdb, entry]
  if (command === 'add') return report.error('RTNETLINK answers: File exists', several ? 'Use append for one more remote.' : 'Use replace.')
  if (command === 'replace') {
    if (several) return report.error('RTNETLINK answers: Operation not supported', 'The kernel replaces unicast entries only.')
    return fdb.with(fdb.indexOf(mine[0]), entry)
  }
  const same = mine.find((other) => sameRemote(other, entry))
  if (same !== undefined) return fdb.with(fdb.indexOf(same), { ...same, state: entry.state })
  return several ? fdb.toSpliced(fdb.indexOf(mine[mine.length - 1]) + 1, 0, entry) : fdb.with(fdb.indexOf(mine[0]), { ...mine[0], state: entry.state })
}

/** fdb_add_entry() of the bridge: one entry an address and bridge. */
function applyToBridge(fdb: readonly FdbSpec[], { entry, command }: Change, report: Report): readonly FdbSpec[] | undefined {
  const at = fdb.findIndex((other) => other.mac === entry.mac && other.master === entry.master && (entry.master !== undefined || other.device === entry.device))
  if (command === 'delete') {
    if (at < 0 || fdb[at].device !== entry.device) return report.error('RTNETLINK answers: No such file or directory', 'There is no such entry.')
    return fdb.toSpliced(at, 1)
  }
  if (at < 0) return [...fdb, entry]
  return command === 'add' ? report.error('RTNETLINK answers: File exists', 'Use replace.') : fdb.with(at, entry)
}
