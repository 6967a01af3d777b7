/** `ip neigh show` text ⇄ NeighbourSpec[], and `ip neigh add|replace|change|del [proxy] …` (iproute2 6.1 ipneigh.c, net/core/neighbour.c). */
import { formatIp, isIpv6Text, parseIp } from '../base/ip.js'
import { formatMac, parseMac } from '../base/mac.js'
import type { Problem } from '../base/problem.js'
import type { DeviceSpec, NeighbourSpec, NeighbourState } from './dataplane.js'
import { isArpHeading, isArpSentence, readArpRow, readArpSentence } from './neigh-table.js'
import { parseRouteProtocol } from './route-words.js'
import { abbreviated, linesOf, parseInteger, Report, Words, type CommandOptions, type Place } from './text.js'

const STATES: readonly NeighbourState[] = ['permanent', 'noarp', 'reachable', 'stale', 'delay', 'probe', 'incomplete', 'failed']
/** linux/neighbour.h NUD_*, for `nud 0x80`. */
const STATE_BITS: ReadonlyMap<number, NeighbourState> = new Map([
  [0x01, 'incomplete'],
  [0x02, 'reachable'],
  [0x04, 'stale'],
  [0x08, 'delay'],
  [0x10, 'probe'],
  [0x20, 'failed'],
  [0x40, 'noarp'],
  [0x80, 'permanent'],
])

interface PrintNeighboursOptions {
  /** As `ip neigh show proxy`: the proxy entries and nothing else. */
  readonly proxy?: boolean
  /** As `nud all`: NOARP entries too. */
  readonly all?: boolean
}

/** As `ip neigh show` prints it, in the order given (the kernel's is that of its hash). */
export function printNeighbours(neighbours: readonly NeighbourSpec[], options: PrintNeighboursOptions = {}): string {
  const shown = neighbours.filter(
    (entry) => (entry.proxy === true) === (options.proxy === true) && (options.all === true || entry.proxy === true || entry.state !== 'noarp'),
  )
  return shown.map((entry) => `${printNeighbour(entry)}\n`).join('')
}

function printNeighbour(entry: NeighbourSpec): string {
  const head = `${formatIp(entry.address)} dev ${entry.device} `
  if (entry.proxy === true) return `${head}proxy `
  return `${head}${entry.mac === undefined ? '' : `lladdr ${formatMac(entry.mac)} `}${entry.state.toUpperCase()} `
}

/** Reads `ip neigh show` text, proxies among them or not. */
export function parseNeighbours(text: string, place: Place): { readonly neighbours: readonly NeighbourSpec[]; readonly problems: readonly Problem[] } {
  const report = new Report(place, { printed: true })
  const neighbours: NeighbourSpec[] = []
  let table = false
  for (const line of linesOf(text, report)) {
    const heading = isArpHeading(line)
    table ||= heading
    if (table || isArpSentence(line)) {
      const row = heading ? undefined : table ? readArpRow(line, report) : readArpSentence(line, report)
      if (row !== undefined) neighbours.push({ ...row, ...report.origin })
      continue
    }
    const words = Words.of(line)
    if (isIpv6Text(words.peek() ?? '')) continue
    const said = readWords(words, report)
    if (said === undefined) continue
    if (said.address === undefined || said.device === undefined) report.error(`the line "${line.trim()}" needs an address and a device`)
    else neighbours.push({ ...entryOf(said, said.address, said.device), ...report.origin })
  }
  return { neighbours, problems: report.problems }
}

interface NeighbourWords {
  address?: number
  device?: string
  mac?: number
  state?: NeighbourState
  proxy?: boolean
}

function entryOf(said: NeighbourWords, address: number, device: string): NeighbourSpec {
  if (said.proxy === true) return { address, device, state: 'permanent', proxy: true }
  return { address, device, ...(said.mac === undefined ? {} : { mac: said.mac }), state: said.state ?? (said.mac === undefined ? 'incomplete' : 'permanent') }
}

function readWords(words: Words, report: Report): NeighbourWords | undefined {
  const said: NeighbourWords = {}
  while (!words.done) {
    const word = words.next() ?? ''
    if (word === 'dev') said.device = words.next()
    else if (word === 'lladdr') {
      const text = words.next() ?? ''
      said.mac = parseMac(text)
      // a tunnel's is an address, InfiniBand's has 20 bytes
      if (said.mac === undefined && report.printed)
        return void report.warning(`the neighbour with the link layer address "${text}" is left out: that is no MAC`)
      if (said.mac === undefined) return report.error(`"${text}" is invalid lladdr.`, 'Six hexadecimal bytes with colons.')
    } else if (word === 'nud') {
      said.state = parseState(words.next() ?? '')
      if (said.state === undefined) return report.error('nud state is bad', `One of ${STATES.join(', ')}.`)
    } else if (word === 'proxy') said.proxy = true
    else if (STATES.includes(word.toLowerCase() as NeighbourState)) said.state = word.toLowerCase() as NeighbourState
    // who told the kernel, and who keeps it fresh: a packet goes the same way
    else if (['extern_learn', 'managed', 'offload'].includes(word)) continue
    else if (['router', 'use', 'noarp'].includes(word)) report.warning(`the flag "${word}" of a neighbour is not modelled and left out`)
    else if (word === 'proto' || word === 'protocol') {
      if (parseRouteProtocol(words.next(), report) === undefined) return report.error('"protocol" value is invalid')
    } else if (word === 'used' || word === 'ref' || word === 'probes') words.next()
    else if (word === 'to' || said.address === undefined) {
      const text = word === 'to' ? (words.next() ?? '') : word
      if (isIpv6Text(text)) return report.error(`"${text}" is an IPv6 address, which is not modelled`)
      said.address = parseIp(text)
      if (said.address === undefined) return report.error(`any valid address is expected rather than "${text}".`)
    } else return report.error(`"${word}" is a garbage here`, 'Check the spelling of this word.')
  }
  return said
}

function parseState(text: string): NeighbourState | undefined {
  const bits = parseInteger(text, 0xff)
  return bits === undefined ? STATES.find((state) => state === text) : STATE_BITS.get(bits)
}

const COMMANDS = ['add', 'change', 'chg', 'replace', 'delete'] as const

interface NeighbourCommandOptions extends CommandOptions {
  /** When given, the device must be among them. */
  readonly devices?: readonly DeviceSpec[]
}

/** `ip neigh …` with or without the leading words. After an error the list is as it was. */
export function applyNeighbourCommand(
  neighbours: readonly NeighbourSpec[],
  text: string,
  place: Place,
  options: NeighbourCommandOptions = {},
): { readonly neighbours: readonly NeighbourSpec[]; readonly problems: readonly Problem[] } {
  const report = new Report(place)
  return { neighbours: apply(neighbours, text, options, report) ?? neighbours, problems: report.problems }
}

function apply(neighbours: readonly NeighbourSpec[], text: string, options: NeighbourCommandOptions, report: Report): readonly NeighbourSpec[] | undefined {
  const words = Words.of(text)
  words.takeIf('ip')
  words.takeIf('-4')
  if (abbreviated(words.peek(), ['neighbour', 'neighbor']) !== undefined) words.next()
  const word = words.next()
  const command = abbreviated(word, COMMANDS)
  if (command === undefined) return report.error(`Command "${word ?? ''}" is unknown, try "ip neigh help".`, `Modelled are ${COMMANDS.join(', ')}.`)
  const said = readWords(words, report)
  if (said === undefined) return undefined
  const { address, device } = said
  if (address === undefined || device === undefined) return report.error('Device and destination are required arguments.')
  if (options.devices?.some(({ name }) => name === device) === false) return report.error(`Cannot find device "${device}"`)
  const at = neighbours.findIndex((entry) => entry.address === address && entry.device === device && (entry.proxy === true) === (said.proxy === true))
  if (command === 'delete') {
    return at < 0 ? report.error('RTNETLINK answers: No such file or directory', 'There is no such entry.') : neighbours.toSpliced(at, 1)
  }
  if (at < 0 && (command === 'change' || command === 'chg'))
    return report.error('RTNETLINK answers: No such file or directory', 'There is no such entry; use add or replace.')
  // the kernel's pneigh has no EEXIST: adding a proxy twice is adding it once
  if (at >= 0 && command === 'add' && said.proxy !== true) return report.error('RTNETLINK answers: File exists', 'Use replace.')
  const needsMac = !['failed', 'noarp', 'incomplete'].includes(said.state ?? 'permanent')
  const mac = said.mac ?? (at >= 0 ? neighbours[at].mac : undefined)
  if (mac === undefined && needsMac && said.proxy !== true) return report.error('Error: No link layer address given.', 'Add lladdr.')
  const entry = { ...entryOf({ ...said, mac }, address, device), ...(options.provenance === undefined ? {} : { provenance: options.provenance }) }
  return at < 0 ? [...neighbours, entry] : neighbours.with(at, entry)
}
