/**
 * Reads flannel's keys from a real etcd: endpoints, a prefix → the keys of the API that holds them, of both where both do. It only reads.
 *
 *   endpoint 1 ─ dead? ─▶ endpoint 2 ─▶ GET /version ─▶ v3: POST …/kv/range, one revision; then …/lease/timetolive of each lease
 *                                                    └▶ v2: GET /v2/keys/…?recursive=true&quorum=true
 *
 * Which path the v3 gateway has depends on the version: /v3alpha up to 3.2, /v3beta in 3.3, /v3 since 3.4.
 * Source: etcd's gRPC gateway (api/etcdserverpb/rpc.proto), v2 API, server/etcdserver/api/v3rpc/rpctypes/error.go.
 */
import { Buffer } from 'node:buffer'
import { answerError, answerShape, int64, maskedUrl, readAnswer, type AnswerFault, type EtcdApi, type EtcdTree, type EtcdTreeKey } from '../base/etcd-tree.js'
import type { Problem } from '../base/problem.js'
import { EtcdFailure, EtcdHttp, type EtcdTls, type HttpAnswer } from './etcd-http.js'

export interface EtcdUser {
  readonly name: string
  readonly password: string
}

export interface EtcdClientOptions {
  /** http and https URLs, asked in this order until one answers. A user and password in a URL count as `user`. */
  readonly endpoints: readonly string[]
  /** One slash at the front, none at the end. */
  readonly prefix: string
  readonly user?: EtcdUser
  readonly tls: EtcdTls
  /** For all that one endpoint is asked. */
  readonly timeoutMs: number
  /** bytes; default 64 MiB */
  readonly maxAnswer?: number
}

export interface EtcdReading {
  /** Without a password; the endpoint that answered, else the first. */
  readonly endpoint: string
  /** `3.4.23`; absent when none answered. */
  readonly server?: string
  /** Those that hold keys: none when something is wrong. */
  readonly trees: readonly EtcdTree[]
  readonly problems: readonly Problem[]
}

const LARGEST_ANSWER = 64 * 1024 * 1024
/** Leases asked after at a time. */
const AT_A_TIME = 16

/** Never throws on what a server does. */
export async function readEtcd(options: EtcdClientOptions): Promise<EtcdReading> {
  const dead: Problem[] = []
  for (const endpoint of options.endpoints) {
    const reader = new EndpointReader(new URL(endpoint), options)
    try {
      const reading = await reader.read()
      const warnings = dead.map((problem): Problem => ({ ...problem, severity: 'warning' }))
      return { ...reading, problems: [...warnings, ...reading.problems] }
    } catch (error) {
      if (!(error instanceof EtcdFailure)) throw error
      dead.push(reader.problem('error', error))
      if (!error.elsewhere) break
    } finally {
      reader.close()
    }
  }
  return { endpoint: maskedUrl(options.endpoints[0]), trees: [], problems: dead }
}

/** What came of one API. */
interface Attempt {
  readonly api: EtcdApi
  /** Absent: the server does not serve this API, or it failed. */
  readonly tree?: EtcdTree
  readonly failure?: EtcdFailure
}

class EndpointReader {
  private readonly name: string
  private readonly prefix: string
  private readonly user: EtcdUser | undefined
  private readonly http: EtcdHttp
  private readonly problems: Problem[] = []
  /** Of v3. */
  private token: string | undefined

  constructor(url: URL, options: EtcdClientOptions) {
    this.name = maskedUrl(url.href.replace(/\/$/, ''))
    this.prefix = options.prefix
    this.user = url.username === '' ? options.user : { name: decodeURIComponent(url.username), password: decodeURIComponent(url.password) }
    this.http = new EtcdHttp(url, {
      tls: options.tls,
      timeoutMs: options.timeoutMs,
      maxAnswer: options.maxAnswer ?? LARGEST_ANSWER,
      trusted: options.endpoints.map((endpoint) => new URL(endpoint).origin),
    })
  }

  close(): void {
    this.http.close()
  }

  problem(severity: Problem['severity'], { what, fix }: { readonly what: string; readonly fix: string }, object = ''): Problem {
    return { severity, file: this.name, line: 0, object, what, fix }
  }

  /** @throws EtcdFailure when nothing of it can be used */
  async read(): Promise<EtcdReading> {
    const server = await this.version()
    const gateway = gatewayOf(server)
    const v3: Attempt = gateway === undefined ? { api: 'v3' } : await this.attempt('v3', () => this.readV3(gateway))
    // A dead or slow server is left as a whole, unless what it said already is enough; a refusal is about this API.
    const enough = v3.tree !== undefined && v3.tree.keys.length > 0
    if (v3.failure?.elsewhere === true) throw v3.failure
    const v2 = await this.attempt('v2', () => this.readV2())
    if (v2.failure?.elsewhere === true && !enough) throw v2.failure
    const attempts = [v3, v2]
    const trees: EtcdTree[] = []
    if (v3.tree !== undefined && enough) trees.push({ ...v3.tree, keys: await this.withTimes(v3.tree.keys, gateway ?? '') })
    if (v2.tree !== undefined && v2.tree.keys.length > 0) trees.push(v2.tree)
    const failed = attempts.flatMap(({ failure }) => failure ?? [])
    const hurt = this.problems.some(({ severity }) => severity === 'error')
    if (trees.length === 0 && !hurt) throw failed[0] ?? this.nothing(server, attempts)
    for (const { api, failure } of attempts) {
      if (failure !== undefined) this.problems.push(this.problem('warning', { what: `the ${api} API: ${failure.what}`, fix: failure.fix }))
    }
    return { endpoint: this.name, server, trees: hurt ? [] : trees, problems: this.problems }
  }

  private async attempt(api: EtcdApi, read: () => Promise<EtcdTree | undefined>): Promise<Attempt> {
    try {
      const tree = await read()
      return tree === undefined ? { api } : { api, tree }
    } catch (error) {
      if (!(error instanceof EtcdFailure)) throw error
      return { api, failure: error }
    }
  }

  private nothing(server: string, attempts: readonly Attempt[]): EtcdFailure {
    const served = attempts.filter(({ tree }) => tree !== undefined).map(({ api }) => api)
    if (served.length === 0) {
      const fix = 'v3: start etcd with --enable-grpc-gateway (enable-grpc-gateway: true where it has a configuration file); v2: with --enable-v2.'
      return new EtcdFailure(`etcd ${server} serves neither the v3 API as JSON nor the v2 API`, fix, { elsewhere: true })
    }
    const not = served.length === 2 ? '' : `; the ${served[0] === 'v3' ? 'v2' : 'v3'} API is not served here`
    const fix = 'Write it (etcdctl put …/config), or name where it is with --etcd-prefix.'
    return new EtcdFailure(`etcd ${server} holds no key under ${this.prefix} (${served.join(' and ')} API${not})`, fix, { elsewhere: false })
  }

  private async version(): Promise<string> {
    const answer = await this.http.ask({ method: 'GET', path: '/version' })
    if (answer.status === 400 && /HTTP request to an HTTPS server/i.test(answer.text))
      throw new EtcdFailure('speaks TLS', 'Write https://, with --etcd-cacert where its certificate authority is your own.', { elsewhere: true })
    if (answer.status >= 500) throw statusFailure(answer, 'GET /version', this.user)
    const plain = /^etcd (?:server )?v?(\d+\.\d+[^\s<]*)/.exec(answer.text.trim())?.[1]
    if (plain !== undefined) return plain
    const json = parseJson(answer.text)
    if (answer.status !== 200) throw notEtcd(`GET /version answers ${answer.status}`)
    if (typeof json !== 'object' || json === null) throw notEtcd(/^\s*</.test(answer.text) ? 'it answers with a page of HTML' : 'GET /version answers no JSON')
    if ('etcdserver' in json && typeof json.etcdserver === 'string' && /^\d+\.\d+/.test(json.etcdserver)) return json.etcdserver
    throw notEtcd('gitVersion' in json ? 'it is the API server of Kubernetes' : 'GET /version names no etcdserver')
  }

  private async readV3(gateway: string): Promise<EtcdTree | undefined> {
    const token = this.user === undefined ? undefined : await this.authenticate(gateway, this.user)
    if (token === false) return undefined
    this.token = token
    // Everything that begins with the prefix and a slash: after the slash comes the zero.
    const body = JSON.stringify({ key: base64(`${this.prefix}/`), range_end: base64(`${this.prefix}0`) })
    const answer = await this.http.ask({ method: 'POST', path: `${gateway}/kv/range`, body, ...this.authorization() })
    if (answer.status === 404 || answer.status === 405) return undefined
    const json = this.checked(answer, `POST ${gateway}/kv/range`, 'v3')
    const { tree, faults } = readAnswer(json, 'v3', this.prefix)
    this.tell(faults)
    return tree
  }

  /** undefined: the server asks for no user. false: it has no v3 gateway. */
  private async authenticate(gateway: string, { name, password }: EtcdUser): Promise<string | false | undefined> {
    const path = `${gateway}/auth/authenticate`
    const answer = await this.http.ask({ method: 'POST', path, body: JSON.stringify({ name, password }) })
    if (answer.status === 404 || answer.status === 405) return false
    const json = parseJson(answer.text)
    if (answer.status !== 200 && /authentication is not enabled/.test(answerError(json))) return undefined
    if (answer.status !== 200) throw statusFailure(answer, `POST ${path}`, this.user)
    if (typeof json === 'object' && json !== null && 'token' in json && typeof json.token === 'string') return json.token
    throw new EtcdFailure(`POST ${path} answers no token`, 'Is a proxy in between?', { elsewhere: true })
  }

  private authorization(): { readonly authorization?: string } {
    return this.token === undefined ? {} : { authorization: this.token }
  }

  /** The time to live of each lease in place of the lease. Where the server does not tell, or no longer in time, the keys are known all the same. */
  private async withTimes(keys: readonly EtcdTreeKey[], gateway: string): Promise<EtcdTreeKey[]> {
    const times = new Map<string, number>()
    const leases = [...new Set(keys.flatMap(({ lease }) => lease ?? []))]
    const path = gateway === '/v3' ? '/v3/lease/timetolive' : `${gateway}/kv/lease/timetolive`
    let next = 0
    let failure: EtcdFailure | undefined
    const askOn = async (): Promise<void> => {
      while (next < leases.length && failure === undefined) {
        const lease = leases[next++]
        const answer = await this.http.ask({ method: 'POST', path, body: JSON.stringify({ ID: lease }), ...this.authorization() })
        const json = answer.status === 200 ? parseJson(answer.text) : undefined
        // proto3 leaves a zero out
        const ttl = typeof json === 'object' && json !== null ? int64('TTL' in json ? json.TTL : 0) : undefined
        if (ttl !== undefined) times.set(lease, ttl)
      }
    }
    const guarded = async (): Promise<void> => {
      try {
        await askOn()
      } catch (error) {
        if (!(error instanceof EtcdFailure)) throw error
        failure = error
      }
    }
    await Promise.all(Array.from({ length: AT_A_TIME }, guarded))
    this.tellUntold(leases.length - times.size, leases.length, failure)
    return keys.flatMap(({ lease, ...key }) => {
      const ttl = lease === undefined ? undefined : times.get(lease)
      if (ttl === undefined) return key
      // -1: the lease ended between the two questions, and its key with it. 0: on its last second.
      if (ttl >= 0) return { ...key, ttl: Math.max(1, ttl) }
      this.problems.push(this.problem('warning', { what: 'its lease ended while etcd was read: left out', fix: '' }, key.key))
      return []
    })
  }

  private tellUntold(untold: number, all: number, failure: EtcdFailure | undefined): void {
    if (untold === 0) return
    const why = failure === undefined ? '' : `: ${failure.what}`
    const fix = `Their keys are taken to stay.${failure === undefined ? '' : ' --etcd-timeout gives it longer.'}`
    this.problems.push(this.problem('warning', { what: `the server does not say how long ${untold} of ${all} leases run${why}`, fix }))
  }

  private async readV2(): Promise<EtcdTree | undefined> {
    const path = `/v2/keys${this.prefix.split('/').map(encodeURIComponent).join('/')}`
    const authorization = this.user === undefined ? {} : { authorization: `Basic ${base64(`${this.user.name}:${this.user.password}`)}` }
    const answer = await this.http.ask({ method: 'GET', path: `${path}?recursive=true&quorum=true`, ...authorization })
    const json = parseJson(answer.text)
    if (answer.status === 404 || answer.status === 405) {
      const isKeyNotFound = typeof json === 'object' && json !== null && 'errorCode' in json
      return isKeyNotFound ? { api: 'v2', keys: [] } : undefined
    }
    const { tree, faults } = readAnswer(this.checked(answer, `GET ${path}`, 'v2'), 'v2', this.prefix)
    this.tell(faults)
    return { ...tree, ...(answer.etcdIndex === undefined ? {} : { revision: answer.etcdIndex }) }
  }

  /** @throws EtcdFailure unless it is the answer of that API */
  private checked(answer: HttpAnswer, question: string, api: EtcdApi): unknown {
    if (answer.status !== 200) throw statusFailure(answer, question, this.user)
    const json = parseJson(answer.text)
    if (json === undefined && /^\s*</.test(answer.text)) throw notEtcd(`${question} answers with a page of HTML`)
    if (json === undefined)
      throw new EtcdFailure(`${question}: the answer is cut off, or no JSON`, 'Is a proxy in between? Ask the server itself.', { elsewhere: true })
    if (answerShape(json) !== api) throw notEtcd(`${question} answers JSON of another kind`)
    return json
  }

  private tell(faults: readonly AnswerFault[]): void {
    for (const { severity, key, what, fix } of faults) this.problems.push(this.problem(severity, { what, fix }, key))
  }
}

/** undefined: the version has none. */
function gatewayOf(server: string): string | undefined {
  const [major, minor] = server.split('.').map((part) => Number.parseInt(part, 10))
  if (major < 3 || (major === 3 && minor < 1)) return undefined
  if (major > 3 || minor >= 4) return '/v3'
  return minor === 3 ? '/v3beta' : '/v3alpha'
}

function notEtcd(why: string): EtcdFailure {
  return new EtcdFailure(`no etcd answers there: ${why}`, "Name etcd's client URL; etcdctl member list prints it (port 2379 as a rule).", { elsewhere: true })
}

/** An HTTP status that is no success, in the words of who sent it. */
function statusFailure(answer: HttpAnswer, question: string, user: EtcdUser | undefined): EtcdFailure {
  const { status } = answer
  const said = clip(answerError(parseJson(answer.text)) || (/^\s*</.test(answer.text) ? '' : answer.text.trim()))
  const who = user === undefined ? '' : ` ${user.name}`
  if (/user name is empty/.test(said) || (status === 401 && user === undefined))
    return new EtcdFailure('asks who wants to read', 'Give --etcd-user NAME:PASSWORD; a client certificate alone is not enough over HTTP.', {
      elsewhere: false,
    })
  if (status === 401 || /authentication failed|invalid auth token/.test(said)) {
    const fix = 'Correct --etcd-user. The v2 and the v3 API have users of their own; v2 also says so where the user may not read the prefix and all below it.'
    return new EtcdFailure(`refuses the user${who}: ${said || status}`, fix, { elsewhere: false })
  }
  if (status === 403 || /permission denied/.test(said))
    return new EtcdFailure(`the user${who} may not read there: ${said || status}`, 'etcdctl role grant-permission ROLE --prefix=true read PREFIX/', {
      elsewhere: false,
    })
  const fix = status >= 500 ? 'Does the cluster have a leader (etcdctl endpoint health)?' : ''
  return new EtcdFailure(`${question} answers ${status}${said === '' ? '' : `: ${said}`}`, fix, { elsewhere: status >= 500 || status === 429 })
}

function clip(text: string): string {
  return text.length > 200 ? `${text.slice(0, 197)}...` : text
}

/** undefined for what is no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64')
}
