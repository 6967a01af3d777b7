/**
 * What etcd holds → the one list of keys that the agents start from. Three places may say it: a real server that was asked (--etcd), a
 * snapshot among the files (an EtcdSnapshot document, or what etcdctl or curl printed, as it is), `spec.etcd` of the Network document.
 * The first of them that is there wins, and the others are named.
 */
import * as v from 'valibot'
import { answerError, DEFAULT_ETCD_PREFIX, etcdPrefix, readAnswer, type EtcdApi, type EtcdTree } from '../base/etcd-tree.js'
import { CALICO_ROOT } from './calico/classic-etcd.js'
import { integerField } from './fields.js'
import { linesAt } from './located.js'
import type { KubernetesObject, SavedAnswer } from './manifest.js'
import { readEtcdKeys, type EtcdEntry, type NetworkDocument } from './network-document.js'
import { formatPlace, type Place, type ProblemList } from './problem-list.js'
import { check, lazily, optional } from './schema.js'

/** What a real server holds. */
export interface EtcdServerKeys {
  /** The endpoint, without a password: the file of its Problems. */
  readonly name: string
  readonly trees: readonly EtcdTree[]
}

export interface EtcdInput {
  /** Where flannel's keys are, `/coreos.com/network`. */
  readonly prefix: string
  readonly entries: readonly EtcdEntry[]
  /** The API that the keys are in; absent where `spec.etcd` says what there is. */
  readonly api?: EtcdApi
  /** A server or a snapshot: what it does not hold is not there. Absent where `spec.etcd` says what there is. */
  readonly source?: Place
}

interface EtcdInputParts {
  readonly server?: EtcdServerKeys
  /** --etcd-prefix */
  readonly prefix?: string
  readonly document: NetworkDocument | undefined
  readonly objects: readonly KubernetesObject[]
  readonly answers: readonly SavedAnswer[]
  /** Of flannel, where the input tells it. */
  readonly version?: string
}

const snapshotSchema = lazily(() =>
  v.looseObject({
    apiVersion: v.string(),
    kind: v.string(),
    metadata: optional(v.record(v.string(), v.unknown())),
    spec: v.looseObject({
      api: v.picklist(['v2', 'v3']),
      prefix: optional(v.string()),
      server: optional(v.string()),
      revision: optional(integerField(0, Number.MAX_SAFE_INTEGER)),
      keys: v.record(v.string(), v.unknown()),
    }),
  }),
)

/** Keys of one API from one place. */
interface Part extends Place {
  readonly api: EtcdApi
  readonly prefix?: string
  readonly entries: readonly EtcdEntry[]
}

export function resolveEtcdInput(parts: EtcdInputParts, problems: ProblemList): EtcdInput {
  const { server, document } = parts
  const snapshots = parts.objects.filter((object) => object.apiVersion === 'netsim/v1' && object.kind === 'EtcdSnapshot')
  const files: Part[] = snapshots.flatMap((object) => readSnapshot(object, problems) ?? [])
  const told = [parts.prefix, ...files.map(({ prefix }) => prefix)].find((prefix) => prefix !== undefined)
  const prefix = told === undefined ? DEFAULT_ETCD_PREFIX : etcdPrefix(told)
  for (const answer of parts.answers) files.push(...readSavedAnswer(answer, prefix, problems))
  const saved = [...snapshots, ...parts.answers.map(({ file, lines }) => ({ file, line: lines.line }))]
  if (server === undefined && saved.length === 0) return { prefix, entries: document?.etcd ?? [] }
  const winner = server === undefined ? `the snapshot in ${formatPlace(saved[0])}` : `what ${server.name} holds`
  if (server !== undefined && saved.length > 0)
    problems.warning(saved[0], '', `the snapshot is not used: ${winner} takes its place`, 'Leave out the one or the other.')
  if (document !== undefined && document.etcd.length > 0)
    problems.warning(
      document.object.at('spec', 'etcd'),
      document.object.label,
      `spec.etcd is not used: ${winner} takes its place`,
      'Leave out the one or the other.',
    )
  const candidates = server === undefined ? files : server.trees.map((tree) => partOfServer(tree, server.name))
  const source = server === undefined ? { file: saved[0].file, line: saved[0].line } : { file: server.name, line: 0 }
  return choose(candidates, { prefix, source, version: parts.version }, problems)
}

function partOfServer(tree: EtcdTree, name: string): Part {
  const place = { file: name, line: 0 }
  return { api: tree.api, ...place, entries: tree.keys.map(({ key, value, ttl }) => ({ key, value, ...(ttl === undefined ? {} : { ttl }), ...place })) }
}

function readSnapshot(object: KubernetesObject, problems: ProblemList): Part | undefined {
  const value = check(snapshotSchema(), object, problems, 'refuse')
  if (value === undefined) return undefined
  const { api, prefix, keys } = value.spec
  const entries = readEtcdKeys(keys, ['spec', 'keys'], object, problems)
  return { api, ...(typeof prefix === 'string' ? { prefix } : {}), entries, file: object.file, line: object.line }
}

function readSavedAnswer(answer: SavedAnswer, prefix: string, problems: ProblemList): Part[] {
  const { shape, file, value, lines } = answer
  const place = { file, line: lines.line }
  if (shape === 'error') {
    problems.error(place, '', `a saved answer of etcd that is an error: ${answerError(value)}`, 'Ask again; what etcd holds is not in it.')
    return []
  }
  const { tree, faults, others, bareDirectories, valueless } = readAnswer(value, shape, prefix)
  const at = (path: readonly (string | number)[]): Place => ({ file, line: linesAt(lines, path).line })
  for (const { severity, path, key, what, fix } of faults) problems[severity](at(path), key, what, fix)
  if (valueless) problems.error(at(['kvs']), '', 'no key has a value', 'Read them without --keys-only.')
  for (const path of bareDirectories)
    problems.warning(
      at(path),
      '',
      'a directory without its keys: it is empty, or the answer does not go into it',
      'Ask with ?recursive=true (etcdctl: ls --recursive).',
    )
  const calico = calicoKeys(answer, prefix, problems)
  if (tree.keys.length + calico.length === 0 && faults.length === 0) {
    const found = others === 0 ? 'the saved answer of etcd holds no key' : `none of the ${others} keys in this answer of etcd is under ${prefix}`
    problems.error(place, '', found, "Read flannel's: etcdctl get --prefix /coreos.com/network -w json. Another prefix is named with --etcd-prefix.")
    return []
  }
  if (tree.keys.some(({ lease }) => lease !== undefined))
    problems.warning(
      place,
      '',
      'the answer names leases, but not how long they run: their keys are taken to stay',
      '--etcd asks a server for it, and so does netsim show etcd --etcd URL -o json.',
    )
  const entries = [...tree.keys, ...calico].map(({ key, value, ttl, path }) => ({ key, value, ...(ttl === undefined ? {} : { ttl }), ...at(path) }))
  return [{ api: shape, entries, ...place }]
}

/** Calico's first data model lives beside flannel's keys, in the same etcd. */
function calicoKeys({ shape, file, value, lines }: SavedAnswer, prefix: string, problems: ProblemList): EtcdTree['keys'] {
  if (shape === 'error' || prefix === '/' || prefix === CALICO_ROOT) return []
  const { tree, faults } = readAnswer(value, shape, CALICO_ROOT)
  for (const { severity, path, key, what, fix } of faults)
    if (key.startsWith(CALICO_ROOT)) problems[severity]({ file, line: linesAt(lines, path).line }, key, what, fix)
  return tree.keys
}

/** flannel reads the v3 API since 0.18.0. */
function apiOf(version: string): EtcdApi {
  const [major, minor] = version.replace(/^v/, '').split('.').map(Number)
  return major > 0 || minor >= 18 ? 'v3' : 'v2'
}

/** netsim's flannel of a cluster on etcd, where nothing says its version and both APIs hold keys, is one that reads v2. */
const API_UNLESS_TOLD: EtcdApi = 'v2'

function choose(
  parts: readonly Part[],
  how: { readonly prefix: string; readonly source: Place; readonly version: string | undefined },
  problems: ProblemList,
): EtcdInput {
  const { prefix, source, version } = how
  const wanted = version === undefined ? undefined : apiOf(version)
  const apis = (['v2', 'v3'] as const).filter((api) => parts.some((part) => part.api === api && part.entries.length > 0))
  const api = apis.length === 1 ? apis[0] : (wanted ?? API_UNLESS_TOLD)
  if (apis.length === 2) {
    const other = api === 'v2' ? 'v3' : 'v2'
    const count = parts.filter((part) => part.api === other).reduce((sum, { entries }) => sum + entries.length, 0)
    const why = version === undefined ? `flannel's version is not told, and ${api} is taken` : `flannel ${version} reads ${api}`
    problems.warning(
      source,
      '',
      `both APIs hold keys under ${prefix}: ${why}; the ${count} keys of ${other} play no part`,
      'spec.flannel.version of the Network document says which flannel runs.',
    )
  } else if (apis.length === 1 && wanted !== undefined && wanted !== api) {
    const what = `the keys are in the ${api} API, which flannel ${version} does not see: it reads ${wanted}; they are taken all the same`
    problems.warning(source, '', what, `Correct spec.flannel.version, or write the keys through ${wanted}.`)
  }
  const entries = merged(
    parts.filter((part) => part.api === api),
    problems,
  )
  tellNamedNetworks(entries, prefix, source, problems)
  return { prefix, entries, ...(apis.length === 0 ? {} : { api }), source }
}

/** Several snapshots of one API are one: the configuration and the leases may have been read apart. */
function merged(parts: readonly Part[], problems: ProblemList): EtcdEntry[] {
  const entries = new Map<string, EtcdEntry>()
  for (const entry of parts.flatMap((part) => part.entries)) {
    const earlier = entries.get(entry.key)
    if (earlier === undefined) entries.set(entry.key, entry)
    else if (earlier.value !== entry.value)
      problems.error(entry, entry.key, `stands here and in ${formatPlace(earlier)}, and the two differ`, 'Keep the snapshot of one moment.')
  }
  return [...entries.values()]
}

/** flannel 0.5 to 0.7 could serve several networks (-networks), each with keys under a name of its own. */
function tellNamedNetworks(entries: readonly EtcdEntry[], prefix: string, source: Place, problems: ProblemList): void {
  const names = entries.flatMap(({ key }) => (key.startsWith(`${prefix}/`) ? (/^([^/]+)\/config$/.exec(key.slice(prefix.length + 1))?.[1] ?? []) : []))
  if (names.length === 0) return
  const network = entries.some(({ key }) => key === `${prefix}/config`) ? 'the one without a name is taken' : 'none of them is taken'
  problems.warning(
    source,
    '',
    `there are networks with names of their own (${names.join(', ')}), as flannel -networks has them: ${network}`,
    `Take one with --etcd-prefix ${prefix}/${names[0]}.`,
  )
}
