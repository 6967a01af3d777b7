/**
 * What an etcd server answers, as JSON → the keys below a prefix. Both the reader of a real server (etcd/) and the reader of saved answers
 * (cluster/) stand on it: the shapes are the same, over HTTP and as etcdctl prints them.
 *   v3  {"header": {"revision": …}, "kvs": [{"key": base64, "value": base64, "lease": …}], "count": …}
 *   v2  {"action": "get", "node": {"key": …, "dir": true, "nodes": [{"key": …, "value": …, "ttl": …}]}}
 * int64 stands as text in the gateway's JSON and as a number in etcdctl's.
 * Source: etcd api/etcdserverpb/rpc.proto and mvccpb/kv.proto, client/v2 Response and Node, server/etcdserver/api/v2error.
 */
export type EtcdApi = 'v2' | 'v3'

export interface EtcdTreeKey {
  readonly key: string
  readonly value: string
  /** Seconds left, at least 1; absent: the key stays, or the answer does not say. */
  readonly ttl?: number
  /** v3: the lease that the key goes with, int64 in decimal. From a JSON number above 2^53 it is not exact. */
  readonly lease?: string
  /** Where it stands in the answer. */
  readonly path: AnswerPath
}

/** The keys of one API, all of one revision. */
export interface EtcdTree {
  readonly api: EtcdApi
  /** v3; a v2 answer tells its index in a header of HTTP alone. */
  readonly revision?: number
  readonly keys: readonly EtcdTreeKey[]
}

type AnswerPath = readonly (string | number)[]

export interface AnswerFault {
  readonly severity: 'error' | 'warning'
  readonly path: AnswerPath
  /** The key that it is about, where one is. */
  readonly key: string
  readonly what: string
  readonly fix: string
}

interface AnswerReading {
  readonly tree: EtcdTree
  readonly faults: readonly AnswerFault[]
  /** Keys outside the prefix: not looked into. */
  readonly others: number
  /** v2: directories without any node: empty, or of a listing that does not go into them. */
  readonly bareDirectories: readonly AnswerPath[]
  /** v3: there are keys, and all of their values are empty, as when only the keys were asked for. */
  readonly valueless: boolean
}

export const DEFAULT_ETCD_PREFIX = '/coreos.com/network'

/** As flannel joins it: one slash at the front, none at the end. */
export function etcdPrefix(text: string): string {
  return `/${text.split('/').filter(Boolean).join('/')}`
}

/** The password of a URL never leaves; whatever stands before the last @ counts as one, however it was written. */
export function maskedUrl(url: string): string {
  return url.replace(/^([a-z]+:\/\/)?(.*)@/is, (_, scheme: string | undefined, user: string) => {
    return `${scheme ?? ''}${user.split(':')[0]}${user.includes(':') ? ':***' : ''}@`
  })
}

/** A list of URLs as flanneld takes it; a comma inside a password parts nothing. */
export function splitUrls(list: string): string[] {
  return list.split(/,(?=\s*[a-z]+:\/\/)/i).flatMap((url) => url.trim() || [])
}

type Fields = Readonly<Record<string, unknown>>

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Which answer a JSON value is: that of a v2 or v3 read, an error that a server gave, or none. */
export function answerShape(value: unknown): EtcdApi | 'error' | undefined {
  if (!isFields(value) || 'kind' in value || 'apiVersion' in value) return undefined
  if (isFields(value.header) && ('revision' in value.header || 'cluster_id' in value.header)) return 'v3'
  if (typeof value.action === 'string' && isFields(value.node)) return 'v2'
  if (typeof value.errorCode === 'number' && typeof value.message === 'string') return 'error'
  return typeof value.error === 'string' && typeof value.code === 'number' ? 'error' : undefined
}

/** What the error of a server says. */
export function answerError(value: unknown): string {
  if (!isFields(value)) return ''
  const said = typeof value.message === 'string' ? value.message : typeof value.error === 'string' ? value.error : ''
  return typeof value.cause === 'string' && value.cause !== '' ? `${said} (${value.cause})` : said
}

/** @param prefix without a slash at the end; the key of that very name counts too */
export function readAnswer(value: unknown, api: EtcdApi, prefix: string): AnswerReading {
  const reader = new AnswerReader(api, prefix)
  if (isFields(value) && api === 'v3') reader.readRange(value)
  if (isFields(value) && api === 'v2') reader.readNode(value.node, ['node'])
  return reader.result()
}

class AnswerReader {
  private readonly api: EtcdApi
  private readonly prefix: string
  private readonly keys: EtcdTreeKey[] = []
  private readonly faults: AnswerFault[] = []
  private readonly bareDirectories: AnswerPath[] = []
  private others = 0
  private valueless = false
  private revision: number | undefined

  constructor(api: EtcdApi, prefix: string) {
    this.api = api
    this.prefix = prefix
  }

  result(): AnswerReading {
    const { api, keys, faults, others, bareDirectories, revision, valueless } = this
    // A v2 server lists in any order; the same keys give the same network.
    keys.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    return { tree: { api, keys, ...(revision === undefined ? {} : { revision }) }, faults, others, bareDirectories, valueless }
  }

  readRange(answer: Fields): void {
    const revision = isFields(answer.header) ? int64(answer.header.revision) : undefined
    if (revision !== undefined && revision >= 0) this.revision = revision
    const kvs = answer.kvs ?? []
    if (!Array.isArray(kvs)) return this.error(['kvs'], '', 'kvs is no list', 'Save the whole of what etcdctl get --prefix … -w json prints.')
    kvs.forEach((kv: unknown, index) => this.readKv(kv, ['kvs', index]))
    const count = int64(answer.count) ?? kvs.length
    if (count > kvs.length) {
      const what = `the answer holds ${kvs.length} of ${count} keys`
      this.faults.push({ severity: 'warning', path: ['count'], key: '', what, fix: 'Read them all: without --limit.' })
    }
    this.valueless = this.keys.length > 0 && kvs.every((kv) => isFields(kv) && kv.value === undefined)
  }

  private readKv(kv: unknown, path: AnswerPath): void {
    if (!isFields(kv)) return this.error(path, '', 'an entry of kvs that is no object', '')
    const name = this.bytes(kv.key, [...path, 'key'], '')
    if (name === undefined) return
    const key = utf8(name)
    if (!this.isWanted(key.text)) {
      this.others++
      return
    }
    if (!key.exact) return this.warn(path, key.text, 'the name of the key is not UTF-8', 'It is left out: no flannel writes such a key.')
    const content = kv.value === undefined ? new Uint8Array() : this.bytes(kv.value, [...path, 'value'], key.text)
    if (content === undefined) return
    const value = utf8(content)
    if (!value.exact) this.warn([...path, 'value'], key.text, 'the value is not UTF-8', 'The bytes that are not are read as U+FFFD, as Go does.')
    const lease = leaseOf(kv.lease)
    this.keys.push({ key: key.text, value: value.text, ...(lease === undefined ? {} : { lease }), path })
  }

  private bytes(value: unknown, path: AnswerPath, key: string): Uint8Array | undefined {
    if (typeof value === 'string' && value.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(value)) {
      return Uint8Array.from(atob(value), (character) => character.charCodeAt(0))
    }
    const shown =
      typeof value === 'string' ? JSON.stringify(value.length > 40 ? `${value.slice(0, 37)}...` : value) : value === undefined ? 'nothing' : typeof value
    this.error(path, key, `${path.at(-1)} is ${shown}, which is not base64`, 'v3 answers hold keys and values in base64; save the answer as it is printed.')
    return undefined
  }

  readNode(node: unknown, path: AnswerPath): void {
    if (!isFields(node)) return this.error(path, '', 'a node that is no object', '')
    const { key } = node
    const nodes = node.nodes ?? undefined
    if (node.dir === true || Array.isArray(nodes)) {
      if (nodes === undefined) this.bareDirectories.push(path)
      else if (Array.isArray(nodes)) nodes.forEach((child: unknown, index) => this.readNode(child, [...path, 'nodes', index]))
      else this.error([...path, 'nodes'], '', 'nodes is no list', '')
      return
    }
    if (typeof key !== 'string') return this.error(path, '', 'a node without a key', 'Save the whole of what the server answers.')
    if (!this.isWanted(key)) {
      this.others++
      return
    }
    const { value, ttl } = node
    if (typeof value !== 'string') return this.error([...path, 'value'], key, `the value is ${value === undefined ? 'missing' : 'no text'}`, '')
    // A second that is not over yet still counts: 0 is a key on its last one.
    const seconds = typeof ttl === 'number' && Number.isSafeInteger(ttl) ? { ttl: Math.max(1, ttl) } : {}
    if (ttl !== undefined && ttl !== null && typeof ttl !== 'number') this.error([...path, 'ttl'], key, 'the ttl is no number', '')
    this.keys.push({ key, value, ...seconds, path })
  }

  private isWanted(key: string): boolean {
    return key === this.prefix || key.startsWith(this.prefix === '/' ? '/' : `${this.prefix}/`)
  }

  private error(path: AnswerPath, key: string, what: string, fix: string): void {
    this.faults.push({ severity: 'error', path, key, what, fix })
  }

  private warn(path: AnswerPath, key: string, what: string, fix: string): void {
    this.faults.push({ severity: 'warning', path, key, what, fix })
  }
}

/** A number of int64, text or JSON number; undefined for anything else, and beyond 2^53. */
export function int64(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^-?[0-9]{1,16}$/.test(value) ? Number(value) : value
  return Number.isSafeInteger(number) ? (number as number) : undefined
}

/** 0 is no lease. */
function leaseOf(value: unknown): string | undefined {
  if (typeof value === 'string') return /^-?[0-9]{1,19}$/.test(value) && value !== '0' ? value : undefined
  return typeof value === 'number' && Number.isInteger(value) && value !== 0 ? `${BigInt(value)}` : undefined
}

function utf8(bytes: Uint8Array): { readonly text: string; readonly exact: boolean } {
  try {
    return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes), exact: true }
  } catch {
    return { text: new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes), exact: false }
  }
}
