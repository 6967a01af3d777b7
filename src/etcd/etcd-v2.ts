/**
 * etcd's v2 API on the store: a tree of directories and files, a time to live per node, compare-and-swap, long polls.
 * From calls to commits of store.ts; the etcd index is the store's revision. Directories that nobody made but that have
 * keys beneath them (a file put through the v3 face) count as directories.
 * Source: etcd's v2store package and v2 API documentation.
 */
import type { EtcdStore, KeyValue, StoreEvent, StoreOperation } from './store.js'

const NS_PER_SECOND = 1e9
/** Events that a v2 server remembers. */
export const HISTORY_LENGTH = 1000

const KEY_NOT_FOUND = 100
const COMPARE_FAILED = 101
const NOT_A_FILE = 102
const NOT_A_DIRECTORY = 104
export const NODE_EXISTS = 105
const ROOT_IS_READ_ONLY = 107
const DIRECTORY_NOT_EMPTY = 108
const EVENT_INDEX_CLEARED = 401

const MESSAGES: Readonly<Record<number, string>> = {
  [KEY_NOT_FOUND]: 'Key not found',
  [COMPARE_FAILED]: 'Compare failed',
  [NOT_A_FILE]: 'Not a file',
  [NOT_A_DIRECTORY]: 'Not a directory',
  [NODE_EXISTS]: 'Key already exists',
  [ROOT_IS_READ_ONLY]: 'Root is read only',
  [DIRECTORY_NOT_EMPTY]: 'Directory not empty',
  [EVENT_INDEX_CLEARED]: 'The event in requested index is outdated and cleared',
}

interface EtcdV2Error {
  readonly errorCode: number
  readonly message: string
  readonly cause: string
  /** The etcd index at that time. */
  readonly index: number
}

export interface EtcdV2Node {
  readonly key: string
  /** Files only. */
  readonly value?: string
  readonly dir?: boolean
  readonly nodes?: readonly EtcdV2Node[]
  /** Whole seconds that remain, rounded up; absent: for ever. */
  readonly ttl?: number
  readonly createdIndex: number
  readonly modifiedIndex: number
}

type EtcdV2Action = 'get' | 'set' | 'create' | 'update' | 'compareAndSwap' | 'delete' | 'compareAndDelete' | 'expire'

interface EtcdV2Response {
  readonly action: EtcdV2Action
  readonly node: EtcdV2Node
  readonly prevNode?: EtcdV2Node
  readonly etcdIndex: number
}

export type EtcdV2Result = EtcdV2Response | EtcdV2Error

export interface SetOptions {
  /** seconds; 0 or absent: for ever. A set without it takes an existing time to live away. */
  readonly ttl?: number
  /** false: only create; true: only update; absent: either. */
  readonly prevExist?: boolean
  readonly prevIndex?: number
  readonly prevValue?: string
  readonly dir?: boolean
}

export interface DeleteOptions {
  readonly recursive?: boolean
  readonly dir?: boolean
  readonly prevIndex?: number
  readonly prevValue?: string
}

export interface WaitOptions {
  readonly recursive?: boolean
  /** The event wanted is the first after this index; 0 or absent: the next one. */
  readonly afterIndex?: number
}

export class EtcdV2 {
  readonly store: EtcdStore

  constructor(store: EtcdStore) {
    this.store = store
  }

  get(key: string, options: { readonly recursive?: boolean } = {}): EtcdV2Result {
    const path = normalized(key)
    const node = this.walk(path, options.recursive === true ? Infinity : 1)
    return isEtcdV2Error(node) ? node : { action: 'get', node, etcdIndex: this.store.revision }
  }

  /** `PUT`: create (prevExist false), compare-and-swap (prevIndex, prevValue), update (prevExist true), or set. */
  set(key: string, value: string, options: SetOptions = {}): EtcdV2Result {
    const path = normalized(key)
    if (path === '/') return this.failure(ROOT_IS_READ_ONLY, '/')
    const action = putAction(options)
    const found = this.walk(path, 0)
    const refusal = this.refusal(found, action, options)
    if (refusal !== undefined) return refusal
    const existing = isEtcdV2Error(found) ? undefined : this.store.get(path)
    const updating = action === 'update' || action === 'compareAndSwap'
    // An update of a directory changes its time to live alone; no other request makes a directory of a file or the reverse.
    const directory = updating ? existing?.directory === true : options.dir === true
    const prevNode = isEtcdV2Error(found) ? {} : { prevNode: found }
    const lease = options.ttl !== undefined && options.ttl > 0 ? this.store.grant(options.ttl * NS_PER_SECOND) : 0
    this.store.commit([...this.missingParents(path), { kind: 'put', key: path, value: directory ? '' : value, lease, fresh: !updating, directory }], {
      label: action,
    })
    if (existing !== undefined) this.dropLease(existing)
    return { action, node: this.nodeOf(this.store.get(path) as KeyValue), ...prevNode, etcdIndex: this.store.revision }
  }

  /** `DELETE`: a file, an empty directory (dir), a whole tree (recursive), or compare-and-delete. */
  delete(key: string, options: DeleteOptions = {}): EtcdV2Result {
    const path = normalized(key)
    if (path === '/') return this.failure(ROOT_IS_READ_ONLY, '/')
    const comparing = isComparing(options)
    const prevNode = this.walk(path, 0)
    if (isEtcdV2Error(prevNode)) return prevNode
    if (prevNode.dir === true && ((options.recursive !== true && options.dir !== true) || comparing)) return this.failure(NOT_A_FILE, path)
    if (prevNode.dir === true && options.recursive !== true && this.hasChildren(path)) return this.failure(DIRECTORY_NOT_EMPTY, path)
    const existing = this.store.get(path)
    const mismatch = existing === undefined ? undefined : this.mismatch(existing, options)
    if (mismatch !== undefined) return mismatch
    const action = comparing ? 'compareAndDelete' : 'delete'
    const doomed = [...this.store.range(`${path}/`), ...(existing === undefined ? [] : [existing])]
    this.store.commit([...this.store.beneath(path), { kind: 'delete', key: path }], { label: action })
    for (const found of doomed) this.dropLease(found)
    const index = this.store.revision
    const node: EtcdV2Node = { key: path, ...(prevNode.dir === true ? { dir: true } : {}), createdIndex: prevNode.createdIndex, modifiedIndex: index }
    return { action, node, prevNode, etcdIndex: index }
  }

  /**
   * One long poll: the first event after `afterIndex`, at once when it is in the past. Also the end of a directory above the key.
   * @returns the way to give up waiting
   */
  wait(key: string, options: WaitOptions, onResult: (result: EtcdV2Result) => void): () => void {
    const path = normalized(key)
    const inside = (key: string, directory: string): boolean => directory === '/' || key.startsWith(`${directory}/`)
    const wanted = (event: StoreEvent): boolean => {
      const { key, directory, value } = event.current
      // A directory made on the way, or a node that went with its directory, is no event of its own.
      if (event.withDirectory === true || (directory && event.type === 'put' && value === IMPLICIT)) return false
      return key === path || (options.recursive === true && inside(key, path)) || (event.type === 'delete' && directory && inside(path, key))
    }
    const after = options.afterIndex ?? 0
    if (after > 0) {
      const missed = this.store.eventsFrom(after + 1)
      if (missed === undefined || missed.length > HISTORY_LENGTH) {
        onResult(this.failure(EVENT_INDEX_CLEARED, `the requested history has been cleared [${this.store.compactRevision}/${after + 1}]`))
        return () => undefined
      }
      const first = missed.find(wanted)
      if (first !== undefined) {
        onResult(this.eventResponse(first))
        return () => undefined
      }
    }
    const close = this.store.watch({
      prefix: '/',
      onEvent: (event) => {
        // Events that were under way when the poll began lie before its index.
        if (event.revision <= after || !wanted(event)) return
        close()
        onResult(this.eventResponse(event))
      },
    })
    return close
  }

  private eventResponse(event: StoreEvent): EtcdV2Response {
    const prevNode = event.previous === undefined ? {} : { prevNode: this.nodeOf(event.previous) }
    if (event.type === 'delete') {
      const dir = event.current.directory ? { dir: true } : {}
      const node = { key: event.current.key, ...dir, createdIndex: event.previous?.createRevision ?? 0, modifiedIndex: event.revision }
      return {
        action: event.reason === 'expire' ? 'expire' : ((event.label as EtcdV2Action | undefined) ?? 'delete'),
        node,
        ...prevNode,
        etcdIndex: event.revision,
      }
    }
    return { action: (event.label as EtcdV2Action | undefined) ?? 'set', node: this.nodeOf(event.current), ...prevNode, etcdIndex: event.revision }
  }

  /** The node, or the error of the first step on the way that fails. @param depth levels of children to list; 0: none */
  private walk(path: string, depth: number): EtcdV2Node | EtcdV2Error {
    const parts = path.split('/').slice(1)
    for (let i = 1; i < parts.length; i++) {
      const parent = `/${parts.slice(0, i).join('/')}`
      const found = this.store.get(parent)
      if (found !== undefined && !found.directory) return this.failure(NOT_A_DIRECTORY, parent)
      if (found === undefined && !this.hasChildren(parent)) return this.failure(KEY_NOT_FOUND, parent)
    }
    return this.nodeAt(path, depth) ?? this.failure(KEY_NOT_FOUND, path)
  }

  private nodeAt(path: string, depth: number): EtcdV2Node | undefined {
    const own = this.store.get(path)
    if (own !== undefined && !own.directory) return this.nodeOf(own)
    if (own === undefined && path !== '/' && !this.hasChildren(path)) return undefined
    const node: EtcdV2Node = own === undefined ? { key: path, dir: true, createdIndex: 0, modifiedIndex: 0 } : this.nodeOf(own)
    return depth === 0 ? node : { ...node, nodes: this.children(path, depth) }
  }

  /** Why a write is refused. @param found what is at its path */
  private refusal(found: EtcdV2Node | EtcdV2Error, action: EtcdV2Action, options: SetOptions): EtcdV2Error | undefined {
    if (isEtcdV2Error(found)) {
      if (found.errorCode === NOT_A_DIRECTORY) return found
      return action === 'update' || action === 'compareAndSwap' ? found : undefined
    }
    if (action === 'create') return this.failure(NODE_EXISTS, found.key)
    const isDirectory = found.dir === true
    if (isDirectory && (action !== 'update' || options.dir !== true)) return this.failure(NOT_A_FILE, found.key)
    const existing = this.store.get(found.key)
    return action === 'compareAndSwap' && existing !== undefined ? this.mismatch(existing, options) : undefined
  }

  private children(path: string, depth: number): EtcdV2Node[] {
    const prefix = path === '/' ? '/' : `${path}/`
    const names = new Set<string>()
    for (const found of this.store.range(prefix)) names.add(found.key.slice(prefix.length).split('/')[0])
    // Names that begin with an underscore are hidden from listings.
    const shown = [...names].filter((name) => !name.startsWith('_')).sort()
    return shown.flatMap((name) => this.nodeAt(prefix + name, depth - 1) ?? [])
  }

  private nodeOf(found: KeyValue): EtcdV2Node {
    const lease = this.store.lease(found.lease)
    const ttl = lease === undefined ? {} : { ttl: Math.ceil((lease.expiresNs - this.store.nowNs) / NS_PER_SECOND) }
    const content = found.directory ? { dir: true } : { value: found.value }
    return { key: found.key, ...content, ...ttl, createdIndex: found.createRevision, modifiedIndex: found.modRevision }
  }

  private mismatch(existing: KeyValue, expected: { readonly prevIndex?: number; readonly prevValue?: string }): EtcdV2Error | undefined {
    const causes: string[] = []
    if ((expected.prevValue ?? '') !== '' && expected.prevValue !== existing.value) causes.push(`[${expected.prevValue} != ${existing.value}]`)
    if ((expected.prevIndex ?? 0) > 0 && expected.prevIndex !== existing.modRevision) causes.push(`[${expected.prevIndex} != ${existing.modRevision}]`)
    return causes.length === 0 ? undefined : this.failure(COMPARE_FAILED, causes.join(' '))
  }

  private missingParents(path: string): StoreOperation[] {
    const parts = path.split('/').slice(1, -1)
    const parents = parts.map((_, i) => `/${parts.slice(0, i + 1).join('/')}`)
    return parents.filter((parent) => this.store.get(parent) === undefined).map((key) => ({ kind: 'put', key, value: IMPLICIT, directory: true }))
  }

  private hasChildren(path: string): boolean {
    return this.store.range(`${path}/`).length > 0
  }

  /** A v2 time to live belongs to one node; when the node is gone or replaced, the lease that stood for it is too. */
  private dropLease(found: KeyValue): void {
    if (found.lease !== 0 && this.store.lease(found.lease)?.keys.size === 0) this.store.revoke(found.lease)
  }

  private failure(errorCode: number, cause: string): EtcdV2Error {
    return { errorCode, message: MESSAGES[errorCode], cause, index: this.store.revision }
  }
}

/** The value of a directory that was made only because a file needed it. */
const IMPLICIT = 'implicit'

export function isEtcdV2Error(result: EtcdV2Result | EtcdV2Node): result is EtcdV2Error {
  return 'errorCode' in result
}

/** An empty prevValue and a prevIndex of 0 compare nothing. */
function isComparing(options: { readonly prevIndex?: number; readonly prevValue?: string }): boolean {
  return (options.prevIndex ?? 0) > 0 || (options.prevValue ?? '') !== ''
}

function putAction(options: SetOptions): EtcdV2Action {
  if (options.prevExist === false) return 'create'
  if (isComparing(options)) return 'compareAndSwap'
  return options.prevExist === true ? 'update' : 'set'
}

export function normalized(key: string): string {
  const parts = key.split('/').filter((part) => part !== '')
  return `/${parts.join('/')}`
}
