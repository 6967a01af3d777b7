/**
 * What a dump does not tell of a netns: files that are not there, and empty ones that no such netns has empty. From its files to the parts of its Dataplane
 * that are unknown, each with the reason in words (a packet whose way rests on one is INCOMPLETE), and to what is said of them.
 */
import type { Dataplane, DeviceSpec, UnknownPart, UnknownParts } from '../dataplane/dataplane.js'
import type { CollectedBackend, NotUnderstood } from './collected-node.js'
import type { NetnsFiles } from './netns-files.js'

/** One netns, and what helps to tell whether nothing in a file is nothing in its kernel. */
export interface NetnsContents {
  /** `node` or `pods/INODE`. */
  readonly folder: string
  /** Where Problems without a line are told. */
  readonly place: string
  readonly files: NetnsFiles
  readonly devices: readonly DeviceSpec[]
  readonly routes: Dataplane['routes']
  readonly backends: readonly CollectedBackend[]
  /** Kubernetes runs on the node: its kubelet alone writes chains of iptables. */
  readonly kubernetes: boolean
}

/** What the dump says of itself. */
export interface DumpWords {
  /** Its file `missing`. */
  readonly missing: readonly NotUnderstood[]
  /** The length of each file as the script wrote it; empty: the dump does not tell. */
  readonly sizes: ReadonlyMap<string, number>
}

export interface UnknownReading {
  readonly unknown: UnknownParts
  /** What nobody has said yet. */
  readonly told: readonly NotUnderstood[]
}

interface Part {
  readonly part: UnknownPart
  /** Any of them tells it. */
  readonly files: readonly string[]
  /** What the script says that it misses begins with this, where it is no file's name. */
  readonly word?: string
  readonly nodeAlone?: boolean
  /** Of files without a byte, where the script did not say that they have none: what speaks against it. */
  readonly isDoubtful: (contents: NetnsContents) => boolean
  readonly fix: string
}

const PARTS: readonly Part[] = [
  {
    part: 'routes',
    files: ['route'],
    isDoubtful: ({ devices }) => devices.some(({ up, addresses }) => up && addresses.length > 0),
    fix: 'Gather ip route show table all: only the routes that the kernel makes of addresses are known, what they do not lead is INCOMPLETE.',
  },
  {
    part: 'rules',
    files: ['rule'],
    isDoubtful: () => true,
    fix: 'Gather ip rule show: the three of every kernel are taken; where there are tables of routes beside theirs the way is INCOMPLETE.',
  },
  {
    part: 'neighbours',
    files: ['neigh'],
    isDoubtful: () => false,
    fix: 'Gather ip -4 neigh show nud all: who answers to ARP is found, any other neighbour is INCOMPLETE.',
  },
  {
    part: 'fdb',
    files: ['fdb'],
    nodeAlone: true,
    isDoubtful: ({ devices }) => devices.some(({ kind, up }) => kind === 'bridge' && up),
    fix: 'Gather bridge fdb show: what a VXLAN device sends is INCOMPLETE.',
  },
  {
    part: 'sysctls',
    files: ['sysctl'],
    isDoubtful: () => true,
    fix: "Gather sysctl -a: the kernel's defaults are taken, and what they lose (ip_forward, rp_filter) is INCOMPLETE.",
  },
  {
    part: 'iptables',
    files: ['iptables-legacy', 'iptables-nft'],
    word: 'iptables',
    isDoubtful: ({ kubernetes, folder, backends }) => kubernetes && folder === 'node' && !backends.some(hasChains),
    fix: 'Gather iptables-save -c of both backends (a file with no more than "# none" says that there are no rules): every packet here is INCOMPLETE.',
  },
  {
    part: 'sockets',
    files: ['sockets', 'proc-tcp', 'proc-udp'],
    isDoubtful: () => false,
    fix: 'Gather ss -lntu: what comes to a port is INCOMPLETE, but with --listen.',
  },
]

function hasChains({ state }: CollectedBackend): boolean {
  return state.tables.some(({ chains }) => chains.some(({ policy, rules }) => policy === undefined || rules.length > 0))
}

export function unknownParts(contents: NetnsContents, words: DumpWords): UnknownReading {
  const unknown: Partial<Record<UnknownPart, string>> = {}
  const told: NotUnderstood[] = []
  const { folder, files, place, devices } = contents
  if (folder !== 'node' && devices.length === 0) {
    const addr = files.get('addr')
    const what = `${folder}/addr: ${addr === undefined ? 'the dump has no such file' : 'no device is in it'}`
    const said = words.missing.some((one) => one.what.startsWith(`${folder}/addr:`) || one.what.startsWith(`${folder}: `))
    return {
      unknown,
      told: said ? [] : [{ what, file: addr?.file ?? place, line: 0, fix: 'Gather ip -d addr in the namespace: what goes there is INCOMPLETE.' }],
    }
  }
  for (const part of PARTS) {
    if (part.nodeAlone === true && folder !== 'node') continue
    const cut = cutFile(part, contents, words)
    // told already, with its lengths
    if (cut !== undefined) unknown[part.part] = `the dump does not tell: ${cut} was cut short, or changed`
    const reason = reasonOf(part, contents, words)
    if (reason === undefined) continue
    unknown[part.part] = `the dump does not tell: ${reason.what}`
    if (!words.missing.includes(reason)) told.push({ ...reason, fix: part.fix })
  }
  return { unknown, told }
}

/** Of which less is there than the script wrote: what it still says holds, what it no longer says nobody knows. */
function cutFile({ files: names }: Part, { folder, files }: NetnsContents, { sizes }: DumpWords): string | undefined {
  const paths = names.map((name) => ({ path: `${folder}/${name}`, bytes: files.get(name)?.bytes }))
  return paths.find(({ path, bytes }) => bytes !== undefined && bytes > 0 && bytes < (sizes.get(path) ?? 0))?.path
}

/** Why nothing is known of the part; undefined: it is known. */
function reasonOf(part: Part, contents: NetnsContents, { missing, sizes }: DumpWords): NotUnderstood | undefined {
  const { folder, files, place } = contents
  const paths = part.files.map((name) => `${folder}/${name}`)
  const there = part.files.flatMap((name) => files.get(name) ?? [])
  const lost = paths.find((path, at) => (sizes.get(path) ?? 0) > 0 && (files.get(part.files[at])?.text ?? '') === '')
  if (lost !== undefined) return { what: `${lost}: ${String(sizes.get(lost))} bytes were gathered, and are gone`, file: place, line: 0 }
  const said = missing.find(
    ({ what }) => saysOf(what, part, paths, files) || what.startsWith(`${folder}: `) || what.startsWith(`${folder}/${part.word ?? '\0'}:`),
  )
  if (said !== undefined && (there.length === 0 || part.word !== undefined)) return said
  if (there.length === 0)
    return {
      what: `${paths.join(', ')}: the dump has ${paths.length === 1 ? 'no such file' : paths.length === 2 ? 'neither file' : 'none of these files'}`,
      file: place,
      line: 0,
    }
  if (part.part === 'iptables') {
    const found = lostRules(contents)
    if (found !== undefined) return found
  }
  if (there.some(({ text }) => text.trim() !== '')) return undefined
  const isVouched = part.files.some((name) => sizes.get(`${folder}/${name}`) === 0)
  return isVouched || !part.isDoubtful(contents) ? undefined : { what: `${paths.join(', ')}: nothing is in it`, file: there[0].file, line: 0 }
}

/** What iptables-nft-save says where the other backend has tables. */
const OTHER_BACKEND = /^# Warning: iptables-legacy tables present/m

function lostRules({ folder, files, backends }: NetnsContents): NotUnderstood | undefined {
  const spoilt = backends.find(({ lost }) => lost !== undefined)
  if (spoilt?.lost !== undefined) return { ...spoilt.lost, what: `rules of ${folder}/iptables-${spoilt.backend}: ${spoilt.lost.what}` }
  const nft = files.get('iptables-nft')
  if (nft === undefined || files.has('iptables-legacy') || !OTHER_BACKEND.test(nft.text)) return undefined
  return { what: `${folder}/iptables-legacy: the dump has no such file, and the node has tables of it`, file: nft.file, line: 0 }
}

/** Of a file that is not there. */
function saysOf(what: string, { files: names }: Part, paths: readonly string[], files: NetnsFiles): boolean {
  return paths.some((path, at) => what.startsWith(`${path}:`) && !files.has(names[at]))
}
