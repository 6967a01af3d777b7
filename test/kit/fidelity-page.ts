/** The generated parts of docs/fidelity.md, from the code that decides them. */
import { readFileSync } from 'node:fs'
import { MATCH_MODULES } from '../../src/dataplane/iptables-match.js'
import { OTHER_MATCHES, OTHER_TARGETS, TARGET_MODULES } from '../../src/dataplane/iptables-target.js'
import { CHANCES, type Chance } from '../../src/kernel/frame-fields.js'
import { DISPOSITIONS, REASONS } from '../../src/net/disposition.js'
import { wrapped } from './wrapped.js'

const source = (file: string): string => readFileSync(new URL(`../../src/${file}`, import.meta.url), 'utf8')

/** The words of a union of string literals, `type NAME =` or `readonly kind:`, as the file writes them. */
function wordsOf(file: string, from: string, to: string): string[] {
  const text = source(file)
  const start = text.indexOf(from)
  const end = text.indexOf(to, start + from.length)
  if (start < 0 || end < 0) throw new Error(`${file} has no ${from}`)
  return [...new Set([...text.slice(start, end).matchAll(/(?:kind: |^\s*\| )'([a-z:,]+)'/gm)].map(([, word]) => word))]
}

/** What deviceTransmit() knows; other kinds are read and printed, and named when a packet meets them. */
function devices(): string[] {
  return [...new Set([...source('net/device-io.ts').matchAll(/case DEVICE_([A-Z]+):/g)].map(([, word]) => word.toLowerCase()))].sort()
}

const CHANCE_WORDS: Readonly<Record<Chance, string>> = {
  'ip-id': 'the IPv4 identification',
  'icmp-id': 'the identifier of an ICMP echo',
  'tcp-sequence': 'TCP’s initial sequence numbers, and with them every sequence and acknowledgement number',
  'tcp-timestamp': 'TCP’s timestamps',
  'vxlan-port': 'the source port of a VXLAN packet',
  'nat-port': 'a port that NAT draws at random (`--random`, `--random-fully`)',
  'icmp-time': 'the times of an ICMP timestamp reply, which are those of a clock',
}

const list = (label: string, words: Iterable<string>): string => wrapped(`- **${label}**: ${[...words].join(', ')}.`)

export function generatedParts(): Readonly<Record<string, string>> {
  return {
    modelled: [
      list('Devices that carry packets', devices()),
      list('Matches of iptables', [...Object.keys(MATCH_MODULES)].sort()),
      list('Targets of iptables', [...Object.keys(TARGET_MODULES)].sort()),
      list('Types of IP sets', wordsOf('dataplane/ipset.ts', 'export type IpSetType', 'export interface')),
      list('Dispositions', DISPOSITIONS),
      list(
        'Reasons of the kernel for a loss',
        REASONS.filter((word) => word !== ''),
      ),
    ].join('\n'),
    chance: CHANCES.map((chance) => `- ${CHANCE_WORDS[chance]}`).join('\n'),
    'not modelled': [list('Matches of iptables', [...OTHER_MATCHES].sort()), list('Targets of iptables', [...OTHER_TARGETS].sort())].join('\n'),
  }
}
