/**
 * Neighbours as the older tools print them → NeighbourSpec: `arp -n` and `arp -a` (net-tools arp.c, BusyBox networking/arp.c), /proc/net/arp
 * (net/ipv4/arp.c arp_format_neigh_entry). They know fewer states than the kernel has: one that is complete is taken as STALE.
 */
import { parseIp } from '../base/ip.js'
import { parseMac } from '../base/mac.js'
import type { NeighbourSpec } from './dataplane.js'
import { parseInteger, type Report } from './text.js'

// linux/if_arp.h
const ATF_COM = 0x02
const ATF_PERM = 0x04
const ATF_PUBL = 0x08

/** Is it such a table's heading? */
export function isArpHeading(line: string): boolean {
  return /^(IP address\s+HW type\s|Address\s+HWtype\s)/.test(line.trim())
}

/** `A (10.0.0.2) at MAC [ether] PERM on eth0`. */
export function isArpSentence(line: string): boolean {
  return /^\S+ \([0-9.]+\) at /.test(line)
}

export function readArpSentence(line: string, report: Report): NeighbourSpec | undefined {
  const match = /^\S+ \(([0-9.]+)\) at (\S+)(.*) on (\S+)\s*$/.exec(line)
  if (match === null) return report.error(`"${line.trim()}" is no line of arp`)
  const [, address, mac, words, device] = match
  const flags = (/^[<(*]/.test(mac) ? 0 : ATF_COM) | (/\bPERM\b/.test(words) ? ATF_PERM : 0) | (/\bPUP\b/.test(words) || mac === '*' ? ATF_PUBL : 0)
  return neighbourOf({ address, mac, device }, flags, report)
}

/** A row of `arp -n` or of /proc/net/arp. */
export function readArpRow(line: string, report: Report): NeighbourSpec | undefined {
  const words = line.trim().split(/\s+/)
  const device = words.at(-1) ?? ''
  // address, type 0x1, flags 0x2, MAC, mask, device
  const bits = parseInteger(words[2])
  if (bits !== undefined && words.length === 6) return neighbourOf({ address: words[0], mac: words[3], device }, bits, report)
  if (words[1] === '(incomplete)') return neighbourOf({ address: words[0], mac: '', device }, 0, report)
  const letters = words[3] ?? ''
  const flags = (letters.includes('C') ? ATF_COM : 0) | (letters.includes('M') ? ATF_PERM : 0) | (letters.includes('P') || words[1] === '*' ? ATF_PUBL : 0)
  return neighbourOf({ address: words[0], mac: words[2] ?? '', device }, flags, report)
}

interface Said {
  readonly address: string
  readonly mac: string
  readonly device: string
}

function neighbourOf(said: Said, flags: number, report: Report): NeighbourSpec | undefined {
  const address = parseIp(said.address)
  if (address === undefined) return report.error(`"${said.address}" is no address of a neighbour`)
  const entry = { address, device: said.device }
  if ((flags & ATF_PUBL) !== 0) return { ...entry, state: 'permanent', proxy: true }
  if ((flags & ATF_COM) === 0) return { ...entry, state: 'incomplete' }
  const mac = parseMac(said.mac)
  if (mac === undefined) return report.error(`"${said.mac}" is no MAC address of a neighbour`)
  return { ...entry, mac, state: (flags & ATF_PERM) !== 0 ? 'permanent' : 'stale' }
}
