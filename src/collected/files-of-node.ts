/** Files of a dump beside those of a Dataplane: what the script says of itself, flannel's subnet.env, the CNI configuration, connections. */
import { parseAddressWithLength, parseCidr } from '../base/cidr.js'
import { parseIp } from '../base/ip.js'
import { parsePort, parseProtocol } from '../dataplane/protocols.js'
import { parseInteger } from '../dataplane/text.js'
import type { CollectedCni, CollectedConnection, CollectedFile, CollectedSubnetEnv, CollectedTuple, NotUnderstood } from './collected-node.js'

/** `WORD rest` lines; of a word that comes again the first counts, but for tools. */
export interface Manifest {
  readonly format: number
  readonly values: ReadonlyMap<string, string>
  readonly tools: ReadonlyMap<string, string>
  /** The length of each file that was written, by its path; empty where the script did not say. */
  readonly sizes: ReadonlyMap<string, number>
}

/** What the first line of a manifest begins with. */
export const MANIFEST_WORD = 'netsim-collect'

/** undefined: it is none. */
export function readManifest(text: string): Manifest | undefined {
  const values = new Map<string, string>()
  const tools = new Map<string, string>()
  const sizes = new Map<string, number>()
  const [head, ...lines] = text.split('\n').map((line) => line.trim())
  const format = new RegExp(`^${MANIFEST_WORD} (\\d{1,6})$`).exec(head)
  if (format === null) return undefined
  for (const line of lines) {
    const [, word, rest] = /^(\S+)\s+(.*)$/.exec(line) ?? []
    const tool = word === 'tool' ? /^(\S+)\s+(.*)$/.exec(rest) : null
    const size = word === 'file' ? /^(\d+)\s+(.+)$/.exec(rest) : null
    if (tool !== null) tools.set(tool[1], tool[2])
    else if (size !== null) sizes.set(size[2], Number(size[1]))
    else if (word !== undefined && !values.has(word)) values.set(word, rest)
  }
  return { format: Number(format[1]), values, tools, sizes }
}

/** The list of what could not be gathered: `FILE: why`. */
export function readMissing({ text, file }: CollectedFile): readonly NotUnderstood[] {
  return text.split('\n').flatMap((line, at) => (line.trim() === '' ? [] : [{ what: line.trim(), file, line: at + 1 }]))
}

/** `nsid 0 (iproute2 netns name: blue)` lines. */
export function readListId(text: string): ReadonlyMap<number, string> {
  const names = new Map<number, string>()
  for (const line of text.split('\n')) {
    const match = /^nsid (\d+) .*\bname: ([^)]+)\)/.exec(line)
    if (match !== null) names.set(Number(match[1]), match[2])
  }
  return names
}

export function readSubnetEnv({ text, file }: CollectedFile): CollectedSubnetEnv {
  const values = new Map(
    text.split('\n').flatMap((line): [string, string][] => {
      const match = /^FLANNEL_(\w+)=(.*)$/.exec(line.trim())
      return match === null ? [] : [[match[1], match[2].replace(/^(["'])(.*)\1$/, '$2')]]
    }),
  )
  const network = parseCidr(values.get('NETWORK') ?? '')
  const subnet = parseAddressWithLength(values.get('SUBNET') ?? '')
  const mtu = parseInteger(values.get('MTU'))
  return {
    file,
    text,
    ...(typeof network === 'string' ? {} : { network }),
    ...(subnet === undefined ? {} : { subnet }),
    ...(mtu === undefined ? {} : { mtu }),
    ...(values.has('IPMASQ') ? { ipMasq: values.get('IPMASQ') === 'true' } : {}),
  }
}

export function readCni({ text, file }: CollectedFile): CollectedCni {
  const value = parsed(text)
  const name = fieldOf(value, 'name')
  const listed = isRecord(value) && Array.isArray(value.plugins) ? value.plugins : [value]
  const plugins = listed.flatMap((plugin: unknown) => fieldOf(plugin, 'type') ?? [])
  return { file, text, ...(name === undefined ? {} : { name }), plugins }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function fieldOf(value: unknown, key: string): string | undefined {
  const field = isRecord(value) ? value[key] : undefined
  return typeof field === 'string' ? field : undefined
}

/** `conntrack -L` text or that of /proc/net/nf_conntrack, which puts the family in front. Lines that are no connection's are passed over. */
export function readConnections({ text, file }: CollectedFile): readonly CollectedConnection[] {
  return text.split('\n').flatMap((line, at): CollectedConnection[] => {
    const words = line.trim().split(/\s+/)
    const rest = words[0] === 'ipv4' || words[0] === 'ipv6' ? words.slice(2) : words
    const proto = /^\d+$/.test(rest[1] ?? '') ? parseInteger(rest[1], 255) : parseProtocol(rest[0])
    const [original, reply] = tuplesOf(rest)
    if (proto === undefined || original === undefined || reply === undefined) return []
    const state = rest.slice(2).find((word) => /^[A-Z_]+[0-9]?$/.test(word))
    const flags = rest.flatMap((word) => /^\[(.*)\]$/.exec(word)?.[1] ?? [])
    const [mark, zone] = [number(rest, 'mark'), number(rest, 'zone')]
    return [
      {
        file,
        line: at + 1,
        proto,
        ...(state === undefined ? {} : { state }),
        original,
        reply,
        flags,
        ...(mark === undefined ? {} : { mark }),
        ...(zone === undefined ? {} : { zone }),
      },
    ]
  })
}

function number(words: readonly string[], key: string): number | undefined {
  return parseInteger(words.find((word) => word.startsWith(`${key}=`))?.slice(key.length + 1))
}

/** src, dst, sport and dport stand twice: as the connection began, and as answers come. */
function tuplesOf(words: readonly string[]): readonly (CollectedTuple | undefined)[] {
  const values = (key: string): string[] => words.flatMap((word) => (word.startsWith(`${key}=`) ? [word.slice(key.length + 1)] : []))
  const [sources, destinations, sports, dports] = [values('src'), values('dst'), values('sport'), values('dport')]
  return [0, 1].map((i) => {
    const [source, destination] = [parseIp(sources[i] ?? ''), parseIp(destinations[i] ?? '')]
    if (source === undefined || destination === undefined) return undefined
    const [sourcePort, destinationPort] = [parsePort(sports[i] ?? ''), parsePort(dports[i] ?? '')]
    return {
      source,
      destination,
      ...(sourcePort === undefined ? {} : { sourcePort }),
      ...(destinationPort === undefined ? {} : { destinationPort }),
    }
  })
}
