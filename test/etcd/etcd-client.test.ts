/** Servers that are no etcd, or one in trouble: each gives a Problem that says what to do, in time, and without a password. */
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { createServer as createTcpServer, type AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { formatProblem } from '../../src/base/problem.js'
import { readEtcd, type EtcdClientOptions, type EtcdReading } from '../../src/etcd/etcd-client.js'

type Handler = (question: { readonly url: string; readonly body: string; readonly message: IncomingMessage }, answer: ServerResponse) => void

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()))
})

async function listening(server: { listen: Server['listen']; address: Server['address'] }): Promise<string> {
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function fake(handler: Handler): Promise<string> {
  const listener: RequestListener = (message, answer) => {
    let body = ''
    message.on('data', (chunk: Buffer) => (body += chunk.toString()))
    message.on('end', () => handler({ url: message.url ?? '', body, message }, answer))
  }
  const server = createServer(listener)
  closers.push(() => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))))
  return listening(server)
}

const base64 = (text: string): string => Buffer.from(text).toString('base64')
const PREFIX = '/coreos.com/network'
const HEADER = { revision: '7' }

function range(keys: Readonly<Record<string, string>>, leases: Readonly<Record<string, string>> = {}): string {
  const kvs = Object.entries(keys).map(([key, value]) => ({
    key: base64(key),
    value: base64(value),
    ...(leases[key] === undefined ? {} : { lease: leases[key] }),
  }))
  return JSON.stringify({ header: HEADER, ...(kvs.length > 0 ? { kvs, count: `${kvs.length}` } : {}) })
}

/** An etcd that answers as told: a text, a status with a text, or what a function does with the answer. */
type Told = string | [number, string] | ((answer: ServerResponse, message: IncomingMessage) => void)

function etcd(told: {
  readonly version?: Told
  readonly range?: Told
  readonly v2?: Told
  readonly lease?: (id: string) => Told
  readonly seen?: string[]
}): Promise<string> {
  return fake(({ url, body, message }, answer) => {
    told.seen?.push(`${message.method} ${url} ${message.headers.authorization ?? '-'}`)
    const say = (what: Told): void => {
      if (typeof what === 'function') what(answer, message)
      else if (typeof what === 'string') answer.end(what)
      else answer.writeHead(what[0]).end(what[1])
    }
    if (url === '/version') return say(told.version ?? '{"etcdserver":"3.5.9","etcdcluster":"3.5.0"}')
    if (url.endsWith('/kv/range')) return say(told.range ?? [404, 'Not Found'])
    if (url.startsWith('/v2/keys')) return say(told.v2 ?? [404, '404 page not found\n'])
    if (url.endsWith('/lease/timetolive')) return say(told.lease?.((JSON.parse(body) as { ID: string }).ID) ?? [404, 'Not Found'])
    return say([404, 'Not Found'])
  })
}

function ask(endpoint: string | readonly string[], more: Partial<EtcdClientOptions> = {}): Promise<EtcdReading> {
  return readEtcd({ endpoints: typeof endpoint === 'string' ? [endpoint] : endpoint, prefix: PREFIX, tls: {}, timeoutMs: 5000, ...more })
}

async function whatIsWrong(endpoint: string, more: Partial<EtcdClientOptions> = {}): Promise<string> {
  const { problems, trees } = await ask(endpoint, more)
  expect(trees).toEqual([])
  expect(problems.map(({ severity }) => severity)).toEqual(['error'])
  return formatProblem(problems[0]).replace(endpoint, 'URL')
}

const CONFIG = { [`${PREFIX}/config`]: '{"Network":"10.1.0.0/16"}' }
const V2_CONFIG = JSON.stringify({ action: 'get', node: { key: PREFIX, dir: true, nodes: [{ key: `${PREFIX}/config`, value: '{}' }] } })

describe('what is asked', () => {
  it.each([
    ['3.6.1', '/v3/kv/range', '/v3/lease/timetolive'],
    ['3.4.0', '/v3/kv/range', '/v3/lease/timetolive'],
    ['3.3.27', '/v3beta/kv/range', '/v3beta/kv/lease/timetolive'],
    ['3.2.32', '/v3alpha/kv/range', '/v3alpha/kv/lease/timetolive'],
  ])('etcd %s: %s', async (version, path, leasePath) => {
    const seen: string[] = []
    const url = await etcd({
      version: `{"etcdserver":"${version}"}`,
      range: range(CONFIG, { [`${PREFIX}/config`]: '7587899092199462405' }),
      lease: (id) => `{"ID":"${id}","TTL":"77"}`,
      seen,
    })
    const { trees, server, problems } = await ask(url)
    expect([server, problems]).toEqual([version, []])
    expect(trees).toMatchObject([{ api: 'v3', revision: 7, keys: [{ key: `${PREFIX}/config`, ttl: 77 }] }])
    expect(seen).toEqual(['GET /version -', `POST ${path} -`, 'GET /v2/keys/coreos.com/network?recursive=true&quorum=true -', `POST ${leasePath} -`])
  })

  it.each(['etcd 2.0.13', '{"etcdserver":"2.3.8","etcdcluster":"2.3.0"}', '{"etcdserver":"3.0.17"}'])('%s: the v2 API alone', async (version) => {
    const seen: string[] = []
    const { trees } = await ask(await etcd({ version, v2: V2_CONFIG, seen }))
    expect(trees.map(({ api }) => api)).toEqual(['v2'])
    expect(seen).toHaveLength(2)
  })

  it('a lease that is on its last second, one that ended meanwhile, one that the server does not tell', async () => {
    const keys = { a: 'last', b: 'ended', c: 'untold' }
    const leases = Object.fromEntries(Object.keys(keys).map((name, index) => [`${PREFIX}/subnets/${name}`, `${index + 1}`]))
    const values = Object.fromEntries(Object.entries(keys).map(([name, value]) => [`${PREFIX}/subnets/${name}`, value]))
    const lease = (id: string): Told =>
      id === '1' ? '{"ID":"1"}' : id === '2' ? '{"ID":"2","TTL":"-1"}' : [500, '{"error":"etcdserver: request timed out","code":14}']
    const { trees, problems } = await ask(await etcd({ range: range(values, leases), lease }))
    expect(trees[0].keys.map(({ key, ttl }) => [key.at(-1), ttl])).toEqual([
      ['a', 1],
      ['c', undefined],
    ])
    expect(problems.map(({ severity, object, what }) => [severity, object, what])).toEqual([
      ['warning', '', 'the server does not say how long 1 of 3 leases run'],
      ['warning', `${PREFIX}/subnets/b`, 'its lease ended while etcd was read: left out'],
    ])
  })

  it('an API that refuses while the other answers: used, with a warning', async () => {
    const { trees, problems } = await ask(await etcd({ range: [400, '{"error":"etcdserver: user name is empty","code":3}'], v2: V2_CONFIG }))
    expect(trees.map(({ api }) => api)).toEqual(['v2'])
    expect(problems.map(({ severity, what }) => [severity, what])).toEqual([['warning', 'the v3 API: asks who wants to read']])
  })
})

describe('an etcd with a lot to say', () => {
  it('an empty value is a value', async () => {
    const { trees, problems } = await ask(await etcd({ range: JSON.stringify({ header: HEADER, kvs: [{ key: base64(`${PREFIX}/config`) }], count: '1' }) }))
    expect([problems, trees[0].keys.map(({ value }) => value)]).toEqual([[], ['']])
  })

  it('the time is over before every lease is told: the keys are there, and a warning says how many are not told', async () => {
    const names = Array.from({ length: 40 }, (_, n) => `${PREFIX}/subnets/10.1.${100 + n}.0-24`)
    const keys = Object.fromEntries(names.map((name) => [name, '{}']))
    const leases = Object.fromEntries(names.map((name, n) => [name, `${n + 1}`]))
    const lease = (id: string): Told => (Number(id) <= 8 ? '{"TTL":"9"}' : () => undefined)
    const { trees, problems } = await ask(await etcd({ range: range(keys, leases), lease }), { timeoutMs: 400 })
    expect([trees[0].keys.length, trees[0].keys.filter(({ ttl }) => ttl === 9).length]).toEqual([40, 8])
    expect(problems.map(formatProblem)).toEqual([
      expect.stringMatching(
        /warning: the server does not say how long 32 of 40 leases run: no complete answer within 0\.4 s\n {4}Their keys are taken to stay\. --etcd-timeout/,
      ),
    ])
  })
})

describe('the other API', () => {
  it.each<[string, Told, string]>([
    ['a proxy that knows v3 alone', '<html>no such page</html>', 'no etcd answers there: GET /v2/keys/coreos.com/network answers with a page of HTML'],
    ['one that never answers', () => undefined, 'no complete answer within 0.3 s'],
  ])('%s: the keys of v3 are enough, with a warning', async (_name, v2, said) => {
    const { trees, problems } = await ask(await etcd({ range: range(CONFIG), v2 }), { timeoutMs: 300 })
    expect(trees.map(({ api }) => api)).toEqual(['v3'])
    expect(problems.map(({ severity, what }) => [severity, what])).toEqual([['warning', `the v2 API: ${said}`]])
  })

  it('v3 without a leader: the keys of v2 do not stand in for it', async () => {
    const url = await etcd({ range: [503, '{"error":"etcdserver: no leader","code":14}'], v2: V2_CONFIG })
    expect(await whatIsWrong(url)).toContain('answers 503: etcdserver: no leader')
  })
})

describe('no etcd, or one in trouble', () => {
  it('nothing listens; the name has no address', async () => {
    expect(await whatIsWrong('http://127.0.0.1:1')).toBe(
      'URL: error: nothing listens on 127.0.0.1:1\n    Is etcd running there? Its client URLs: etcdctl member list.',
    )
    expect(await whatIsWrong('http://nowhere.invalid:2379', { timeoutMs: 20_000 })).toContain('URL: error: the name nowhere.invalid has no address')
  })

  it.each<[string, Told, string]>([
    ['a page of HTML', '<!doctype html><title>hello</title>', 'no etcd answers there: it answers with a page of HTML'],
    ['an API server', '{"major":"1","gitVersion":"v1.30.0"}', 'no etcd answers there: it is the API server of Kubernetes'],
    ['JSON of something else', '{"hello":1}', 'no etcd answers there: GET /version names no etcdserver'],
    ['no page', [404, 'nothing here'], 'no etcd answers there: GET /version answers 404'],
    ['a proxy that finds nobody', [502, '<html>Bad Gateway</html>'], 'GET /version answers 502\n    Does the cluster have a leader'],
    ['TLS asked for in words', [400, 'Client sent an HTTP request to an HTTPS server.\n'], 'speaks TLS\n    Write https://'],
  ])('%s', async (_name, version, said) => {
    expect(await whatIsWrong(await etcd({ version }))).toContain(`URL: error: ${said}`)
  })

  it.each<[string, Told, string]>([
    ['truncated JSON', '{"header":{"revision":"7"},"kvs":[{"key":"aa', 'POST /v3/kv/range: the answer is cut off, or no JSON'],
    ['HTML', '<html>login</html>', 'no etcd answers there: POST /v3/kv/range answers with a page of HTML'],
    ['JSON of another kind', '[1]', 'no etcd answers there: POST /v3/kv/range answers JSON of another kind'],
    ['no leader', [503, '{"error":"etcdserver: no leader","code":14}'], 'POST /v3/kv/range answers 503: etcdserver: no leader'],
    ['permission', [403, '{"error":"etcdserver: permission denied","code":7}'], 'the user may not read there: etcdserver: permission denied'],
    [
      'a body that breaks off',
      (answer) => (answer.writeHead(200, { 'content-length': '500' }).write('{"header":'), setTimeout(() => answer.destroy(), 20)),
      'it closed the connection before the answer was complete',
    ],
    ['a broken base64', JSON.stringify({ header: HEADER, kvs: [{ key: '*', value: '' }] }), 'key is "*", which is not base64'],
    ['no v2 either', [404, 'Not Found'], 'etcd 3.5.9 serves neither the v3 API as JSON nor the v2 API\n    v3: start etcd with --enable-grpc-gateway'],
    ['nothing in it', range({}), 'etcd 3.5.9 holds no key under /coreos.com/network (v3 API; the v2 API is not served here)'],
  ])('v3: %s', async (_name, told, said) => {
    expect(await whatIsWrong(await etcd({ range: told }))).toContain(`URL: error: ${said}`)
  })

  it('a server that never answers, one that drips, one that takes long for every answer: the time is over for all of it together', async () => {
    const begun = performance.now()
    const drip: Told = (answer) => {
      answer.writeHead(200).write('{"header":')
      const timer = setInterval(() => answer.write(' '), 20)
      answer.on('close', () => clearInterval(timer))
    }
    const slow =
      (text: string): Told =>
      (answer) =>
        void setTimeout(() => answer.end(text), 180)
    const said = await Promise.all(
      [
        etcd({ version: () => undefined }),
        etcd({ range: drip }),
        etcd({ version: slow('{"etcdserver":"3.5.9"}'), range: slow(range({})), v2: slow('{}') }),
      ].map(async (url) => whatIsWrong(await url, { timeoutMs: 300 })),
    )
    expect(said).toEqual(Array(3).fill(expect.stringContaining('URL: error: no complete answer within 0.3 s')))
    expect(performance.now() - begun).toBeLessThan(3000)
  })

  it('a TCP server that says nothing, and one that does not speak HTTP', async () => {
    const serve = async (greeting: string | undefined): Promise<string> => {
      const sockets = new Set<{ destroy(): void }>()
      const server = createTcpServer((socket) => {
        sockets.add(socket)
        socket.on('error', () => undefined)
        if (greeting !== undefined) socket.end(greeting)
      })
      closers.push(() => new Promise((resolve) => (sockets.forEach((socket) => socket.destroy()), server.close(resolve))))
      return listening(server as unknown as Server)
    }
    expect(await whatIsWrong(await serve(undefined), { timeoutMs: 200 })).toContain('no complete answer within 0.2 s')
    expect(await whatIsWrong(await serve('SSH-2.0-OpenSSH_9.2\r\n'))).toContain('what answers does not speak HTTP')
    const plain = await etcd({})
    const said = await whatIsWrong(plain.replace('http:', 'https:'))
    expect(said).toBe('URL: error: TLS fails: wrong version number\n    If it speaks plain HTTP, write http://.')
  })

  it('more than it may: reading stops there', async () => {
    let sent = 0
    const endless: Told = (answer) => {
      const block = Buffer.alloc(65536, 0x20)
      const more = (): void => {
        while (!answer.destroyed && sent < 1 << 28) {
          sent += block.length
          if (!answer.write(block)) return void answer.once('drain', more)
        }
      }
      more()
    }
    expect(await whatIsWrong(await etcd({ range: endless }), { maxAnswer: 1 << 20 })).toContain('answers with more than 1 MiB')
    expect(sent).toBeLessThan(1 << 26)
  })
})

describe('redirects', () => {
  it('to another member: followed, with the password only to an endpoint that was named', async () => {
    const seen: string[] = []
    const other = await etcd({ v2: V2_CONFIG, seen })
    const redirecting = await etcd({ v2: (answer, message) => answer.writeHead(307, { location: other + (message.url ?? '') }).end() })
    const user = { name: 'u', password: 'secret' }
    expect((await ask(redirecting, { user })).trees).toMatchObject([{ api: 'v2' }])
    expect(seen.at(-1)).toMatch(/^GET \/v2\/keys.* -$/)
    await ask([redirecting, other], { user })
    expect(seen.at(-1)).toContain(`Basic ${base64('u:secret')}`)
  })

  it('in a circle, to nowhere: a Problem; a question with a password in it goes nowhere else', async () => {
    const circle = await fake(({ url }, answer) => answer.writeHead(302, { location: url }).end())
    expect(await whatIsWrong(circle)).toContain('redirects more than 5 times')
    expect(await whatIsWrong(await fake((_, answer) => answer.writeHead(302).end()))).toContain('redirects (302) to nowhere')
    const posts: string[] = []
    const other = await fake(({ body }, answer) => (posts.push(body), answer.end('{}')))
    const redirecting = await fake(({ url }, answer) =>
      url === '/version' ? answer.end('{"etcdserver":"3.5.9"}') : answer.writeHead(307, { location: `${other}${url}` }).end(),
    )
    expect(await whatIsWrong(redirecting, { user: { name: 'u', password: 'secret' } })).toContain('sends the question on to')
    expect(posts).toEqual([])
  })
})

describe('several endpoints', () => {
  it('those that are dead are named in warnings, the first that answers is used', async () => {
    const dead = await etcd({ version: '<html>' })
    const good = await etcd({ range: range(CONFIG) })
    const { endpoint, trees, problems } = await ask(['http://127.0.0.1:1', dead, good, 'http://127.0.0.1:2'])
    expect([endpoint, trees.length]).toEqual([good, 1])
    expect(problems.map(({ severity, file }) => [severity, file])).toEqual([
      ['warning', 'http://127.0.0.1:1'],
      ['warning', dead],
    ])
  })

  it('none answers: an error for each. A refusal ends it: every member would say the same', async () => {
    const { problems } = await ask(['http://127.0.0.1:1', 'http://127.0.0.1:2'])
    expect(problems.map(({ severity, file }) => [severity, file])).toEqual([
      ['error', 'http://127.0.0.1:1'],
      ['error', 'http://127.0.0.1:2'],
    ])
    const refusing = await etcd({ range: [403, '{"error":"etcdserver: permission denied","code":7}'] })
    expect((await ask([refusing, 'http://127.0.0.1:2'])).problems.map(({ file }) => file)).toEqual([refusing])
  })

  it('a password in a URL is used, and never shown', async () => {
    const seen: string[] = []
    const url = (await etcd({ v2: V2_CONFIG, seen })).replace('http://', 'http://me:s%40cret@')
    const { endpoint } = await ask(url)
    expect(endpoint).toBe(url.replace('s%40cret', '***'))
    expect(seen.at(-1)).toContain(`Basic ${base64('me:s@cret')}`)
    const { problems } = await ask('http://me:s%40cret@127.0.0.1:1')
    expect(problems.map(formatProblem).join('')).not.toMatch(/cret/)
  })
})
