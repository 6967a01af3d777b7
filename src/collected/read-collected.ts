/**
 * The files that the script of `netsim collect` wrote → one CollectedNode. What is wrong with them, and what of them netsim cannot make use of, is said
 * with the file and the line; the rest is read.
 *
 *   manifest          what the script says of itself and of the node
 *   missing           what it could not gather
 *   node/…            the node's own netns: addr, route, rule, neigh, fdb, iptables-legacy, iptables-nft, ipset, sysctl, sockets, …
 *   pods/INODE/…      every netns that a veth joins to it, the same files, and `about`: which pod it is
 */
import type { Problem } from '../base/problem.js'
import type { Dataplane, DeviceSpec, UnknownParts } from '../dataplane/dataplane.js'
import { absentDevices, absentTold } from './absent-devices.js'
import { COLLECT_FORMAT } from './collect-script.js'
import type { CollectedFile, CollectedNode, CollectedPod, CollectedReading, NotUnderstood } from './collected-node.js'
import { deviceSpecs, type NetnsLinks } from './device-specs.js'
import { filesUnder, podFolders, sizeProblems, unreadFiles } from './dump-files.js'
import { MANIFEST_WORD, readCni, readConnections, readListId, readManifest, readMissing, readSubnetEnv, type Manifest } from './files-of-node.js'
import { readLinks } from './links.js'
import { readNetns, toldOf, type NetnsFiles, type NetnsReading } from './netns-files.js'
import { readSysDevices } from './sys-devices.js'
import { unknownParts, type DumpWords } from './unknown-parts.js'
import { readWireguard } from './wireguard-text.js'

/** A netns while it is read. */
interface Draft {
  readonly name: string
  /** `node` or `pods/INODE`. */
  readonly folder: string
  readonly files: NetnsFiles
  readonly links: NetnsLinks
  readonly reading: NetnsReading
}

/**
 * @param source the folder or the archive, as the user named it
 * @param files paths are within the folder that has the manifest
 * @param called the Node's name, where it is not the one that the script found
 */
export function readCollected(source: string, files: readonly CollectedFile[], called?: string): CollectedReading {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const manifest = byPath.get('manifest')
  const said = manifest === undefined ? undefined : readManifest(manifest.text)
  const refuse = (what: string, fix: string): CollectedReading => ({
    problems: [{ severity: 'error', file: manifest?.file ?? source, line: manifest === undefined ? 0 : 1, object: '', what, fix }],
  })
  const gather = 'Gather one: netsim collect | ssh NODE sudo sh -s -- -o - > NODE.tar'
  if (manifest === undefined) return refuse('no dump of a node: it has no file "manifest"', gather)
  if (said === undefined) return refuse(`no dump of a node: its manifest does not begin with "${MANIFEST_WORD}"`, gather)
  if (said.format !== COLLECT_FORMAT)
    return refuse(`the dump has the format ${said.format}; this netsim reads ${COLLECT_FORMAT}`, 'Gather it with the script of this netsim.')
  // as kubelet does with what it is told (pkg/util/node GetHostname)
  const name = called ?? (said.values.get('node') ?? said.values.get('hostname'))?.toLowerCase()
  if (name === undefined || name === '') return refuse('the manifest names no node', 'A line of it reads: node NAME.')
  const kernel = said.values.get('kernel') ?? 'Linux'
  if (!/^Linux\b/.test(kernel)) return refuse(`the dump of ${name} is of the kernel "${kernel}"`, 'netsim knows the network of Linux nodes.')
  if (!byPath.has('node/addr')) return refuse(`the dump of ${name} has no node/addr: nothing is known of its devices`, missingWords(byPath))
  const node = readNode(name, { source, said, byPath })
  if (node.dataplane.devices.length > 0) return { node, problems: [] }
  const what = `the dump of ${name} tells of no device`
  const nothing: Problem = { severity: 'error', file: byPath.get('node/addr')?.file ?? source, line: 0, object: '', what, fix: 'Gather it again.' }
  return { problems: node.problems.some(({ severity }) => severity === 'error') ? node.problems : [...node.problems, nothing] }
}

/** What the script said of it. */
function missingWords(byPath: ReadonlyMap<string, CollectedFile>): string {
  const said = byPath
    .get('missing')
    ?.text.split('\n')
    .find((line) => line.startsWith('node'))
  return said === undefined ? 'Gather it again.' : `The script said: ${said}`
}

interface NodeFiles {
  readonly source: string
  readonly said: Manifest
  readonly byPath: ReadonlyMap<string, CollectedFile>
}

function readNode(name: string, { source, said, byPath }: NodeFiles): CollectedNode {
  const problems: Problem[] = []
  const first = /nf_tables/.test(said.tools.get('iptables') ?? '') ? 'nft' : 'legacy'
  const open = (netns: string, folder: string, registered?: string): Draft => {
    const files = filesUnder(`${folder}/`, byPath)
    const links = linksOf({ netns, files, ...(registered === undefined ? {} : { registered }) }, problems)
    const reading = readNetns(files, first)
    problems.push(...reading.problems)
    return { name: netns, folder, files, links, reading }
  }
  const own = open(name, 'node')
  const taken = new Set([name])
  const pods = podFolders(byPath).map((folder) => {
    const about = aboutOf(filesUnder(`${folder}/`, byPath), folder, taken)
    return { about, draft: open(about.name, folder, about.registered) }
  })
  const specs = deviceSpecs([own.links, ...pods.map(({ draft }) => draft.links)])
  const file = (path: string): CollectedFile | undefined => byPath.get(path)
  const [missing, subnetEnv, conntrack] = [file('missing'), file('node/subnet.env'), file('node/conntrack')]
  const kubernetes = subnetEnv !== undefined || [...byPath.keys()].some((path) => path.startsWith('node/cni/')) || pods.some(({ about }) => about.known)
  const words: DumpWords = { missing: missing === undefined ? [] : readMissing(missing), sizes: said.sizes }
  const whole = (draft: Draft): Whole => wholeOf(draft, specs.devices.get(draft.name) ?? [], { source, words, kubernetes })
  const found = { own: whole(own), pods: pods.map(({ about, draft }) => ({ about, whole: whole(draft) })) }
  const every = [found.own, ...found.pods.map((pod) => pod.whole)]
  const optional = {
    hostname: said.values.get('hostname'),
    kernel: said.values.get('kernel'),
    subnetEnv: subnetEnv === undefined ? undefined : readSubnetEnv(subnetEnv),
    conntrack: conntrack === undefined ? undefined : readConnections(conntrack),
  }
  return {
    name,
    source,
    format: said.format,
    tools: said.tools,
    ...withoutUndefined(optional),
    missing: [...toldMissing(words.missing, byPath), ...alike(every.flatMap(({ told }) => told))],
    dataplane: found.own.dataplane,
    pods: found.pods.map((pod) => podOf(pod.about, pod.whole.dataplane, name)),
    cni: [...byPath.values()].filter(({ path }) => path.startsWith('node/cni/')).map(readCni),
    iptablesBackends: own.reading.backends,
    notUnderstood: [...specs.notUnderstood, ...every.flatMap(({ absent }) => absentTold(absent)), ...every.flatMap(({ notUnderstood }) => notUnderstood)],
    unread: unreadFiles(byPath),
    problems: [...problems, ...sizeProblems(source, said.sizes, byPath)],
  }
}

/** A netns that was read, with what is not known of it. */
interface Whole {
  readonly dataplane: Dataplane
  /** Devices that it must have, and that nothing shows. */
  readonly absent: readonly DeviceSpec[]
  readonly told: readonly NotUnderstood[]
  readonly notUnderstood: readonly NotUnderstood[]
}

function wholeOf(
  { name, folder, files, reading }: Draft,
  shown: readonly DeviceSpec[],
  dump: { readonly source: string; readonly words: DumpWords; readonly kubernetes: boolean },
): Whole {
  const { routes } = reading.dataplane
  const absent = shown.length === 0 ? [] : absentDevices({ devices: shown, routes }, 'addr')
  const contents = { folder, place: dump.source, files, devices: shown, routes, backends: reading.backends, kubernetes: dump.kubernetes }
  const { unknown, told } = unknownParts(contents, dump.words)
  const parts: { readonly unknown?: UnknownParts } = Object.keys(unknown).length === 0 ? {} : { unknown }
  return { dataplane: { netns: name, devices: [...shown, ...absent], ...reading.dataplane, ...parts }, absent, told, notUnderstood: reading.notUnderstood }
}

const ANOTHER_WAY = 'It was gathered another way, or in part.'

/** The script's own words: where one command failed, another may have written the file all the same. */
function toldMissing(missing: readonly NotUnderstood[], byPath: ReadonlyMap<string, CollectedFile>): readonly NotUnderstood[] {
  return missing.map((one) => (byPath.has(/^[^:]*/.exec(one.what)?.[0] ?? '') ? { ...one, fix: ANOTHER_WAY } : one))
}

/** Of pods that lack the same, the first is told, and how many there are. */
function alike(told: readonly NotUnderstood[]): readonly NotUnderstood[] {
  const words = ({ what }: NotUnderstood): string => what.replaceAll(/pods\/\d+/g, 'pods/*')
  const groups = new Map<string, NotUnderstood[]>()
  for (const one of told) groups.set(words(one), [...(groups.get(words(one)) ?? []), one])
  return [...groups.values()].map(([first, ...more]) => (more.length === 0 ? first : { ...first, what: `${first.what} (nor have ${more.length} more pods)` }))
}

type Defined<Fields> = { [Key in keyof Fields]?: Exclude<Fields[Key], undefined> }

function withoutUndefined<Fields extends object>(fields: Fields): Defined<Fields> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Defined<Fields>
}

function linksOf(one: { readonly netns: string; readonly files: NetnsFiles; readonly registered?: string }, problems: Problem[]): NetnsLinks {
  const { files } = one
  const text = (name: string): string => files.get(name)?.text ?? ''
  const addr = files.get('addr')
  const read = readLinks(text('addr'), { file: addr?.file ?? 'addr', line: 1 })
  const { links } = read
  const keys = files.get('wireguard')
  const wireguard = readWireguard(text('wireguard'), { file: keys?.file ?? 'wireguard', line: 1 })
  problems.push(...toldOf(read), ...wireguard.problems)
  return {
    netns: one.netns,
    ...(one.registered === undefined ? {} : { registered: one.registered }),
    file: addr?.file ?? '',
    links,
    detailed: links.some(({ kind }) => kind !== undefined) || /\bpromiscuity\b/.test(text('addr')),
    sys: readSysDevices(text('sys')),
    wireguard: wireguard.devices,
    names: readListId(text('list-id')),
  }
}

interface About {
  /** Of its Dataplane. */
  readonly name: string
  readonly known: boolean
  /** Under /run/netns. */
  readonly registered?: string
  readonly containerId?: string
  readonly place: Pick<NotUnderstood, 'file' | 'line'>
}

/** @param taken names of others: what is left of an old sandbox of a pod may have the name of the new one */
function aboutOf(files: NetnsFiles, folder: string, taken: Set<string>): About {
  const file = files.get('about')
  const values = new Map<string, { readonly value: string; readonly line: number }>()
  for (const [at, line] of (file?.text ?? '').split('\n').entries()) {
    const match = /^(\S+)\s+(\S+)\s*$/.exec(line)
    if (match !== null) values.set(match[1], { value: match[2], line: at + 1 })
  }
  const [pod, registered, container] = [values.get('pod'), values.get('name')?.value, values.get('container')?.value]
  const inode = `netns-${folder.slice('pods/'.length)}`
  const name = [pod?.value, registered].find((said) => said !== undefined && !taken.has(said)) ?? inode
  taken.add(name)
  return {
    name,
    known: name === pod?.value,
    ...(registered === undefined ? {} : { registered }),
    ...(container === undefined ? {} : { containerId: container }),
    place: { file: file?.file ?? folder, line: pod?.line ?? 1 },
  }
}

function podOf({ name, known, containerId, place }: About, dataplane: Dataplane, node: string): CollectedPod {
  const veth = dataplane.devices.flatMap((device) => (device.kind === 'veth' && device.peer.netns === node ? [device.peer.device] : [])).at(0)
  return {
    name,
    known,
    ...(containerId === undefined ? {} : { containerId }),
    ...(veth === undefined ? {} : { veth }),
    dataplane,
    place,
  }
}
