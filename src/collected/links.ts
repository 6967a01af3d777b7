/** `ip -d addr show` text (or without -d, as busybox prints it) → what it says of each device, word for word; device-specs.ts makes devices of it. */
import { parseAddressWithLength } from '../base/cidr.js'
import { isIpv6Text, parseIp } from '../base/ip.js'
import { parseMac, type Mac } from '../base/mac.js'
import type { Problem } from '../base/problem.js'
import type { AddressSpec } from '../dataplane/dataplane.js'
import { parseInteger, Report, type Place } from '../dataplane/text.js'

export interface Link {
  readonly index: number
  readonly name: string
  /** Behind `@`: the device below or beside it in this netns. */
  readonly beside?: string
  /** Behind `@if`: the index of the other end, in another netns. */
  readonly peerIndex?: number
  /** The name of the netns that the other end is in (`link-netns`), or its number here (`link-netnsid`). */
  readonly peerNetns?: string
  readonly peerNsid?: number
  readonly flags: ReadonlySet<string>
  readonly mtu: number
  readonly master?: string
  /** Of `link/ether`, `link/loopback`, … */
  readonly linkType: string
  readonly mac?: Mac
  /** The first word of the details: `veth`, `vxlan`, `bridge`, …; absent on a real card, and where no details were printed. */
  readonly kind?: string
  /** The words behind it. */
  readonly details: readonly string[]
  /** Behind `bridge_slave`. */
  readonly port?: readonly string[]
  readonly addresses: readonly AddressSpec[]
  readonly line: number
}

type Draft = { -readonly [Key in keyof Link]: Link[Key] } & { addresses: AddressSpec[] }

/** Lines that tell of packets, names and lifetimes. */
const PASSED_OVER = /^(valid_lft|altname|RX:|TX:|alias|vf|prog\/xdp|\d+ )/

export interface LinkReading {
  readonly links: readonly Link[]
  readonly problems: readonly Problem[]
}

export function readLinks(text: string, place: Place): LinkReading {
  const report = new Report(place)
  const links: Draft[] = []
  const names = new Set<string>()
  let open: Draft | 'passed over' | undefined
  for (const [at, written] of text.split('\n').entries()) {
    const raw = written.trimEnd()
    if (raw === '' || raw.startsWith('#')) continue
    report.at(at)
    const head = /^(\d+):\s+(\S+?):\s+<([^>]*)>\s*(.*)$/.exec(raw)
    if (head !== null) {
      open = openLink(head, at + 1, report) ?? 'passed over'
      if (open !== 'passed over' && names.has(open.name)) {
        report.warning(`the device ${open.name} stands here twice`, 'The first is taken: which of them is the later moment?')
        open = 'passed over'
      }
      if (open === 'passed over') continue
      names.add(open.name)
      links.push(open)
    } else if (open === 'passed over' && /^\s/.test(raw)) {
      continue
    } else if (typeof open !== 'object' || !/^\s/.test(raw)) {
      report.error(`"${raw.trim()}" is no line of ip addr`, 'A device begins with INDEX: NAME: <FLAGS>.')
    } else readDetail(raw.trim().split(/\s+/), open, report)
  }
  return { links, problems: report.problems }
}

function openLink([, index, named, flags, rest]: RegExpExecArray, line: number, report: Report): Draft | undefined {
  const at = named.indexOf('@')
  const name = at < 0 ? named : named.slice(0, at)
  const behind = at < 0 ? '' : named.slice(at + 1)
  const peer = /^if(\d+)$/.exec(behind)
  const words = rest.split(/\s+/)
  const mtu = parseInteger(valueOf(words, 'mtu'))
  const master = valueOf(words, 'master')
  if (mtu === undefined) return report.error(`the device ${name} has no MTU`, 'The line reads INDEX: NAME: <FLAGS> mtu N ….')
  return {
    index: Number(index),
    name,
    ...(peer !== null ? { peerIndex: Number(peer[1]) } : behind === '' || behind === 'NONE' ? {} : { beside: behind }),
    flags: new Set(flags.split(',')),
    mtu,
    ...(master === undefined ? {} : { master }),
    linkType: '',
    details: [],
    addresses: [],
    line,
  }
}

export function valueOf(words: readonly string[], key: string): string | undefined {
  const at = words.indexOf(key)
  return at < 0 ? undefined : words[at + 1]
}

function readDetail(words: readonly string[], link: Draft, report: Report): void {
  const [first] = words
  if (first.startsWith('link/')) readLinkLine(words, link)
  else if (first === 'inet') readInet(words, link, report)
  else if (first === 'inet6' || PASSED_OVER.test(words.join(' '))) return
  else if (/_slave$/.test(first)) {
    if (first === 'bridge_slave') link.port = words.slice(1)
  } else if (link.kind === undefined && link.linkType !== '') {
    // a card has nothing but counts behind it
    if (!/^(promiscuity|numtxqueues|addrgenmode|gso_max_size|minmtu)$/.test(first)) Object.assign(link, { kind: first, details: words.slice(1) })
  }
}

function readLinkLine(words: readonly string[], link: Draft): void {
  link.linkType = words[0].slice('link/'.length)
  const mac = parseMac(words[1] ?? '')
  if (mac !== undefined && (link.linkType === 'ether' || link.linkType === 'loopback')) link.mac = mac
  const netns = valueOf(words, 'link-netns')
  const nsid = parseInteger(valueOf(words, 'link-netnsid'))
  if (netns !== undefined) link.peerNetns = netns
  if (nsid !== undefined) link.peerNsid = nsid
}

function readInet(words: readonly string[], link: Draft, report: Report): void {
  const [, written] = words
  if (isIpv6Text((written ?? '').split('/')[0])) return
  const local = parseAddressWithLength(written ?? '')
  if (local === undefined) return report.error(`"${written ?? ''}" of ${link.name} is no address`, 'ADDRESS/LENGTH.')
  const scope = valueOf(words, 'scope')
  const broadcast = parseIp(valueOf(words, 'brd') ?? '')
  link.addresses.push({
    ...local,
    scope: scope === 'link' || scope === 'host' ? scope : 'global',
    ...(broadcast === undefined ? {} : { broadcast }),
  })
}
