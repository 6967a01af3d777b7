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
import type { Dataplane, DeviceSpec } from '../dataplane/dataplane.js'
import { absentDevices, absentTold } from './absent-devices.js'
import { COLLECT_FORMAT } from './collect-script.js'
import type { CollectedFile, CollectedNode, CollectedPod, CollectedReading, NotUnderstood } from './collected-node.js'
import { deviceSpecs, type NetnsLinks } from './device-specs.js'
import { MANIFEST_WORD, readCni, readConnections, readListId, readManifest, readMissing, readSubnetEnv, type Manifest } from './files-of-node.js'
import { readLinks } from './links.js'
import { readNetns, toldOf, type NetnsFiles, type NetnsReading } from './netns-files.js'
import { readSysDevices } from './sys-devices.js'
import { readWireguard } from './wireguard-text.js'

/** A netns while it is read. */
interface Draft {
  readonly name: string
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
  const name = called ?? said.values.get('node') ?? said.values.get('hostname')
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

/** What the script writes, or else says why not: where neither is there, somebody put the folder together by hand, or lost a part of it. */
const ALWAYS = ['route', 'rule', 'neigh', 'fdb', 'sysctl'].map((name) => `node/${name}`)
const IPTABLES = ['node/iptables-legacy', 'node/iptables-nft']

/** Files that are not there, and of which the dump does not say so itself: nothing in them must not be taken for nothing in the kernel. */
function absentParts(source: string, byPath: ReadonlyMap<string, CollectedFile>, missing: readonly NotUnderstood[]): readonly NotUnderstood[] {
  const isTold = (path: string): boolean => byPath.has(path) || missing.some(({ what }) => what.startsWith(path))
  const words = ALWAYS.flatMap((path) => (isTold(path) ? [] : [`${path}: the dump has no such file`]))
  if (![...IPTABLES, 'node/iptables:'].some(isTold)) words.push(`${IPTABLES.join(', ')}: the dump has neither file`)
  return words.map((what) => ({ what, file: source, line: 0 }))
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
  const open = (netns: string, files: NetnsFiles, registered?: string): Draft => {
    const links = linksOf({ netns, files, ...(registered === undefined ? {} : { registered }) }, problems)
    const reading = readNetns(files, first)
    problems.push(...reading.problems)
    return { name: netns, files, links, reading }
  }
  const own = open(name, filesUnder('node/', byPath))
  const taken = new Set([name])
  const pods = podFolders(byPath).map((folder) => {
    const files = filesUnder(`${folder}/`, byPath)
    const about = aboutOf(files, folder, taken)
    return { about, draft: open(about.name, files, about.registered) }
  })
  const specs = deviceSpecs([own.links, ...pods.map(({ draft }) => draft.links)])
  const absent: DeviceSpec[] = []
  const dataplaneOf = ({ name: netns, reading }: Draft): Dataplane => {
    const shown = specs.devices.get(netns) ?? []
    const found = shown.length === 0 ? [] : absentDevices({ devices: shown, routes: reading.dataplane.routes }, 'addr')
    absent.push(...found)
    return { netns, devices: [...shown, ...found], ...reading.dataplane }
  }
  const dataplane = dataplaneOf(own)
  const file = (path: string): CollectedFile | undefined => byPath.get(path)
  const [missing, subnetEnv, conntrack] = [file('missing'), file('node/subnet.env'), file('node/conntrack')]
  const optional = {
    hostname: said.values.get('hostname'),
    kernel: said.values.get('kernel'),
    subnetEnv: subnetEnv === undefined ? undefined : readSubnetEnv(subnetEnv),
    conntrack: conntrack === undefined ? undefined : readConnections(conntrack),
  }
  const podsFound = pods.map(({ about, draft }) => podOf(about, dataplaneOf(draft), name))
  const toldMissing = missing === undefined ? [] : readMissing(missing)
  return {
    name,
    source,
    format: said.format,
    tools: said.tools,
    ...withoutUndefined(optional),
    missing: [...toldMissing, ...absentParts(source, byPath, toldMissing)],
    dataplane,
    pods: podsFound,
    cni: [...byPath.values()].filter(({ path }) => path.startsWith('node/cni/')).map(readCni),
    iptablesBackends: own.reading.backends,
    notUnderstood: [...specs.notUnderstood, ...absentTold(absent), ...[own, ...pods.map(({ draft }) => draft)].flatMap(({ reading }) => reading.notUnderstood)],
    problems,
  }
}

type Defined<Fields> = { [Key in keyof Fields]?: Exclude<Fields[Key], undefined> }

function withoutUndefined<Fields extends object>(fields: Fields): Defined<Fields> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Defined<Fields>
}

function filesUnder(folder: string, byPath: ReadonlyMap<string, CollectedFile>): NetnsFiles {
  return new Map([...byPath].flatMap(([path, file]): [string, CollectedFile][] => (path.startsWith(folder) ? [[path.slice(folder.length), file]] : [])))
}

/** In the order of their names, whatever order the files came in. */
function podFolders(byPath: ReadonlyMap<string, CollectedFile>): readonly string[] {
  const folders = new Set([...byPath.keys()].flatMap((path) => /^pods\/[^/]+(?=\/)/.exec(path) ?? []))
  return [...folders].sort()
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
