/** `--node [NAME=]DIR|TAR` → the nodes that dumps are of, or the list of what is wrong with the dumps. */
import { Buffer } from 'node:buffer'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import type { Problem } from '../base/problem.js'
import { nearestName } from '../cluster/nearest-name.js'
import type { CollectedFile, CollectedNode, UnreadFile } from '../collected/collected-node.js'
import { FILES_READ } from '../collected/dump-files.js'
import { readCollected } from '../collected/read-collected.js'
import type { Io } from './io.js'
import { isArchive, readTar } from './tar.js'

/** Of one dump. */
const LARGEST = 1024 * 1024 * 1024

interface NodesRead {
  readonly nodes: readonly CollectedNode[]
  readonly problems: readonly Problem[]
}

/** Each dump is one node's; what cannot be read is a Problem, and the rest is read all the same. */
export async function readNodes(values: readonly string[], io: Io): Promise<NodesRead> {
  const nodes: CollectedNode[] = []
  const problems: Problem[] = []
  for (const value of values) {
    const { name, source } = split(value)
    if (source === '' || name === '') {
      problems.push(nothingNamed(value))
      continue
    }
    const files = await filesOf(source, io)
    if ('what' in files) {
      problems.push({ severity: 'error', file: source, line: 0, object: '', ...files })
      continue
    }
    const read = readCollected(source, files.files, name)
    problems.push(...read.problems, ...(files.links ?? []).map((path) => linkProblem(source, path)))
    if (read.node === undefined) continue
    const before = nodes.find((node) => node.name === read.node?.name)
    if (before === undefined) nodes.push({ ...read.node, problems: [...read.node.problems, ...read.node.unread.map(unreadProblem)] })
    else problems.push(twice(before, read.node))
  }
  return { nodes, problems }
}

/** Who unpacks the dump of somebody else has asked for no file of his own. */
function linkProblem(source: string, path: string): Problem {
  const fix = 'The script writes no links: copy the dump with what they lead to (cp -rL).'
  return { severity: 'warning', file: source, line: 0, object: '', what: `${path} is a link, which is not followed`, fix }
}

function unreadProblem({ file, path, more, instead }: UnreadFile): Problem {
  const near = instead ?? nearestName(path, FILES_READ)
  const what = `${path}: nothing is read from a file of this name${more === 0 ? '' : ` (nor from that of ${more} more pods)`}`
  const fix = near === undefined ? 'docs/nodes.md lists the names of the files that are read.' : `Did you mean ${near}?`
  return { severity: 'warning', file, line: 0, object: '', what, fix }
}

function twice(before: CollectedNode, { name, source }: CollectedNode): Problem {
  const what = `two dumps of ${name}: ${before.source} and ${source}`
  return { severity: 'error', file: source, line: 0, object: `Node/${name}`, what, fix: 'Give one of them, or say which nodes they are of: --node NAME=DIR.' }
}

function nothingNamed(value: string): Problem {
  const what = value.startsWith('=') ? 'no node is named before the =' : 'no folder and no archive is named'
  return { severity: 'error', file: `--node ${value === '' ? "''" : value}`, line: 0, object: '', what, fix: 'Write --node NAME=DIR, or --node DIR.' }
}

/** `n1=DIR`; a path may hold an equals sign, a node's name no slash. */
function split(value: string): { readonly name?: string; readonly source: string } {
  const match = /^([^=/]*)=(.*)$/s.exec(value)
  return match === null ? { source: value } : { name: match[1], source: match[2] }
}

type Read = Omit<CollectedFile, 'file'>
type Files =
  { readonly files: readonly CollectedFile[]; /** Not followed. */ readonly links?: readonly string[] } | { readonly what: string; readonly fix: string }

async function filesOf(source: string, io: Io): Promise<Files> {
  const path = resolve(io.cwd, source)
  try {
    const found = await stat(path)
    if (found.isDirectory()) return await folderFiles(path, source)
    if (found.size > LARGEST) return { what: `holds more than ${LARGEST / 1024 ** 3} GiB`, fix: 'Is it the dump of one node?' }
    if (!isArchive(source))
      return { what: 'is no folder and no archive', fix: 'Give the folder, or a .tar, .tar.gz or .tgz, that the script of netsim collect wrote.' }
    const files = readTar(await readFile(path)).map((file) => ({ path: file.path, text: textOf(file.bytes), bytes: file.bytes.length }))
    return notOneDump(files.map((file) => file.path)) ?? { files: based(files, source) }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOENT') return { what: 'there is no such file or folder', fix: 'Gather it: netsim collect --help' }
    const inside = error instanceof Error && 'path' in error && typeof error.path === 'string' ? relative(path, error.path) : ''
    if (code === 'ELOOP') return { what: 'links that lead to one another', fix: 'Name the folder itself.' }
    if (code === 'EACCES' || code === 'EPERM')
      return { what: `${inside === '' ? '' : `${inside} `}may not be read`, fix: 'The script writes for root alone: change the owner of the folder.' }
    return { what: error instanceof Error ? error.message : String(error), fix: 'Gather it anew.' }
  }
}

/** An archive of several dumps, or of archives: which of them is meant nobody knows. */
function notOneDump(paths: readonly string[]): { readonly what: string; readonly fix: string } | undefined {
  const manifests = paths.map((path) => path.replace(/^(\.\/)+/, '')).filter((path) => /(^|\/)manifest$/.test(path))
  if (manifests.length === 1 || manifests.includes('manifest')) return undefined
  const inside = manifests.length > 0 ? manifests.map((path) => path.slice(0, -'/manifest'.length)) : paths.filter(isArchive)
  if (inside.length === 0) return undefined
  const what = manifests.length > 0 ? `holds ${inside.length} dumps` : 'holds archives and no dump'
  return { what: `${what}: ${inside.join(', ')}`, fix: 'Unpack it, and give each by itself.' }
}

/** Of a folder of folders, the one that has a manifest, where it is the only one: as an archive unpacks. */
async function folderFiles(path: string, source: string): Promise<Files> {
  const top = await readdir(path, { withFileTypes: true })
  const folders = top.filter((one) => one.isDirectory()).map(({ name }) => name)
  const dumps = await Promise.all(
    folders.map((name) =>
      stat(join(path, name, 'manifest')).then(
        () => [name],
        () => [],
      ),
    ),
  )
  const isDump = top.some(({ name }) => name === 'manifest')
  const inside = isDump ? [] : dumps.flat()
  if (inside.length > 1)
    return {
      what: `holds ${inside.length} dumps: ${inside.join(', ')}`,
      fix: `Give each by itself: ${inside.map((name) => `--node ${join(source, name)}`).join(' ')}`,
    }
  // a folder that is no dump is not looked through: it may be anything
  const entries = isDump || inside.length === 1 ? await readdir(join(path, ...inside), { recursive: true, withFileTypes: true }) : []
  const files: Read[] = []
  let total = 0
  for (const entry of entries.filter((one) => one.isFile())) {
    const whole = join(entry.parentPath, entry.name)
    total += (await stat(whole)).size
    if (total > LARGEST) return { what: `holds more than ${LARGEST / 1024 ** 3} GiB`, fix: 'Is it the dump of one node?' }
    const bytes = await readFile(whole)
    files.push({ path: whole.slice(path.length + 1).replaceAll('\\', '/'), text: textOf(bytes), bytes: bytes.length })
  }
  const links = entries.filter((one) => one.isSymbolicLink()).map((one) => relative(path, join(one.parentPath, one.name)))
  return { files: based(files, source), links }
}

/**
 * What no text is becomes letters that no reader knows: it is said where it stands. A byte order mark is the work of an editor, or of PowerShell, which
 * writes UTF-16 into files.
 */
function textOf(bytes: Uint8Array): string {
  const isUtf16 = bytes[0] === 0xff && bytes[1] === 0xfe
  return Buffer.from(bytes)
    .toString(isUtf16 ? 'utf16le' : 'utf8')
    .replace(/^\ufeff/, '')
}

/** Paths from the folder of the manifest on, in the order of their names. */
function based(files: readonly Read[], source: string): readonly CollectedFile[] {
  const manifests = files.map((file) => file.path.replace(/^\.\//, '')).filter((path) => /(^|\/)manifest$/.test(path))
  const base = manifests.length === 1 ? manifests[0].slice(0, -'manifest'.length) : ''
  return files
    .map((file) => ({ ...file, path: file.path.replace(/^\.\//, '') }))
    .filter(({ path }) => path.startsWith(base))
    .map(({ path, ...rest }) => ({ file: `${source.replace(/\/+$/, '')}/${path}`, path: path.slice(base.length), ...rest }))
    .sort((a, b) => (a.path < b.path ? -1 : 1))
}
