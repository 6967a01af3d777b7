/**
 * HTTP to an etcd server: one request → status and text, or an EtcdFailure that says what is wrong and what to do. A deadline for
 * everything asked of one server together, a cap on what is read, a few redirects (etcd's v2 API may answer 307).
 */
import { Buffer } from 'node:buffer'
import { setMaxListeners } from 'node:events'
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'

export interface EtcdTls {
  /** PEM; absent: the certificate authorities that Node knows. */
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

export interface HttpAnswer {
  readonly status: number
  readonly text: string
  readonly etcdIndex?: number
}

interface HttpQuestion {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly body?: string
  readonly authorization?: string
}

interface HttpOptions {
  readonly tls: EtcdTls
  readonly timeoutMs: number
  /** bytes */
  readonly maxAnswer: number
  /** Origins that may see the user's password after a redirect. */
  readonly trusted: readonly string[]
}

/** What a server, or the way to it, did not do. */
export class EtcdFailure extends Error {
  override name = 'EtcdFailure'
  readonly what: string
  readonly fix: string
  /** Another member of the same cluster may do better. */
  readonly elsewhere: boolean

  constructor(what: string, fix: string, how: { readonly elsewhere: boolean }) {
    super(what)
    this.what = what
    this.fix = fix
    this.elsewhere = how.elsewhere
  }
}

const MAX_REDIRECTS = 5
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308]

/** A connection to one server, kept until `close`; its time runs from the start. */
export class EtcdHttp {
  private readonly origin: string
  private readonly basePath: string
  private readonly options: HttpOptions
  private readonly agents: readonly [HttpAgent, HttpsAgent]
  private readonly deadline: AbortSignal

  /** @param endpoint http or https, without a user */
  constructor(endpoint: URL, options: HttpOptions) {
    this.origin = endpoint.origin
    this.basePath = endpoint.pathname.replace(/\/+$/, '')
    this.options = options
    this.agents = [new HttpAgent({ keepAlive: true, maxSockets: 16 }), new HttpsAgent({ keepAlive: true, maxSockets: 16, ...options.tls })]
    this.deadline = AbortSignal.timeout(options.timeoutMs)
    // One for each request under way.
    setMaxListeners(0, this.deadline)
  }

  close(): void {
    for (const agent of this.agents) agent.destroy()
  }

  /** @throws EtcdFailure */
  async ask(question: HttpQuestion): Promise<HttpAnswer> {
    let url = new URL(this.origin + this.basePath + question.path)
    let { method } = question
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      const message = await this.send(url, { ...question, method })
      const status = message.statusCode ?? 0
      const { location } = message.headers
      if (!REDIRECTS.includes(status)) {
        const index = Number(message.headers['x-etcd-index'])
        return { status, text: await this.body(message, url), ...(Number.isSafeInteger(index) ? { etcdIndex: index } : {}) }
      }
      message.resume()
      const target = location !== undefined && URL.canParse(location, url.href) ? new URL(location, url.href) : undefined
      if (target === undefined || !/^https?:$/.test(target.protocol)) {
        throw new EtcdFailure(`redirects (${status}) to nowhere`, 'This is not an etcd server, or a proxy before it is wrong.', { elsewhere: true })
      }
      if (url.protocol === 'https:' && target.protocol === 'http:') {
        throw new EtcdFailure(`redirects from https to ${target.origin}`, 'It is not followed: name that server yourself if this is meant.', {
          elsewhere: true,
        })
      }
      if (status === 303) method = 'GET'
      url = target
    }
    throw new EtcdFailure(`redirects more than ${MAX_REDIRECTS} times`, "Name the server's own client URL (etcdctl member list).", { elsewhere: true })
  }

  private send(url: URL, { method, body, authorization }: HttpQuestion): Promise<IncomingMessage> {
    const known = url.origin === this.origin || this.options.trusted.includes(url.origin)
    const headers: Record<string, string> = { accept: 'application/json' }
    if (authorization !== undefined && known) headers.authorization = authorization
    if (method === 'POST') headers['content-type'] = 'application/json'
    const secure = url.protocol === 'https:'
    const options: RequestOptions = { method, headers, agent: this.agents[secure ? 1 : 0], signal: this.deadline }
    return new Promise((resolve, reject) => {
      const fail = (error: unknown): void => reject(this.failure(error, url))
      try {
        // A password goes to no server that the user did not name: neither in a header nor in the body of authenticate.
        if (method === 'POST' && !known) throw new EtcdFailure(`sends the question on to ${url.origin}`, 'Name that server in --etcd.', { elsewhere: true })
        const request = (secure ? httpsRequest : httpRequest)(url, options, resolve)
        request.on('error', fail)
        request.end(method === 'POST' ? body : undefined)
      } catch (error) {
        fail(error)
      }
    })
  }

  private async body(message: IncomingMessage, url: URL): Promise<string> {
    const { maxAnswer } = this.options
    const chunks: Uint8Array[] = []
    let length = 0
    try {
      for await (const chunk of message as AsyncIterable<Uint8Array>) {
        length += chunk.length
        if (length > maxAnswer) {
          message.destroy()
          throw new EtcdFailure(
            `answers with more than ${maxAnswer / 1024 / 1024} MiB`,
            'Narrow it with --etcd-prefix: flannel keeps one short key per host.',
            {
              elsewhere: false,
            },
          )
        }
        chunks.push(chunk)
      }
    } catch (error) {
      throw this.failure(error, url)
    }
    return new TextDecoder().decode(Buffer.concat(chunks))
  }

  private failure(error: unknown, url: URL): EtcdFailure {
    if (error instanceof EtcdFailure) return error
    if (this.deadline.aborted) {
      const what = `no complete answer within ${this.options.timeoutMs / 1000} s`
      return new EtcdFailure(what, 'Is it reachable from here, and does it have a leader (etcdctl endpoint health)? --etcd-timeout gives it longer.', {
        elsewhere: true,
      })
    }
    const { what, fix } = describeError(error, url)
    return new EtcdFailure(what, fix, { elsewhere: true })
  }
}

interface Words {
  readonly what: string
  readonly fix: string
}

const UNTRUSTED: readonly string[] = [
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_UNTRUSTED',
]

/** The words for what went wrong on the way. */
function describeError(error: unknown, url: URL): Words {
  const first = error instanceof AggregateError && error.errors.length > 0 ? (error.errors[0] as unknown) : error
  const code = codeOf(error) ?? codeOf(first) ?? ''
  const message = first instanceof Error ? first.message : String(first)
  const { host, hostname } = url
  if (code === 'ECONNREFUSED') return { what: `nothing listens on ${host}`, fix: 'Is etcd running there? Its client URLs: etcdctl member list.' }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return { what: `the name ${hostname} has no address`, fix: 'Correct the name, or write the address.' }
  if (code === 'EHOSTUNREACH' || code === 'ENETUNREACH' || code === 'ETIMEDOUT')
    return { what: `${host} cannot be reached (${code})`, fix: 'Run this where etcd can be reached, or through a tunnel (ssh -L 2379:127.0.0.1:2379 HOST).' }
  if (UNTRUSTED.includes(code))
    return { what: `its certificate is signed by nobody known here (${code})`, fix: "Name the cluster's certificate authority with --etcd-cacert." }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return { what: `its certificate is not for ${hostname}`, fix: 'Use a name that stands in the certificate (openssl x509 -noout -ext subjectAltName).' }
  if (code.startsWith('CERT_')) return { what: `its certificate is not valid: ${message}`, fix: 'Renew it, or correct the clock of this host.' }
  if (/CERTIFICATE_REQUIRED|ALERT_BAD_CERTIFICATE|ALERT_UNKNOWN_CA|HANDSHAKE_FAILURE/.test(`${code} ${message}`.toUpperCase().replaceAll(' ', '_')))
    return { what: `it refuses the certificate of this client, or asks for one (${code})`, fix: 'Give one that it trusts: --etcd-cert and --etcd-key.' }
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_'))
    return { what: `TLS fails: ${reasonOf(error) ?? message.trim()}`, fix: url.protocol === 'https:' ? 'If it speaks plain HTTP, write http://.' : '' }
  if (code.startsWith('HPE_'))
    return { what: 'what answers does not speak HTTP', fix: 'If it speaks TLS, write https://; port 2379 serves clients, 2380 members.' }
  if (code === 'ECONNRESET' || code === 'EPIPE')
    return {
      what: 'it closed the connection before the answer was complete',
      fix: url.protocol === 'http:' ? 'If it speaks TLS, write https://.' : 'If it asks for a certificate, give --etcd-cert and --etcd-key.',
    }
  return { what: `it cannot be asked: ${message}${code === '' ? '' : ` (${code})`}`, fix: '' }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** OpenSSL's own words. */
function reasonOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  if ('reason' in error && typeof error.reason === 'string') return error.reason
  return /:error:[^:]*:[^:]*:[^:]*:([^:]+):/.exec(error.message)?.[1]
}
