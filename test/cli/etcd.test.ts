/** `--etcd` and the flags beside it, on the command line. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { netsim } from './memory-io.js'

const PREFIX = '/coreos.com/network'
const EXAMPLES = new URL('../../examples', import.meta.url).pathname
const node = (key: string, value: string): object => ({ key: `${PREFIX}/${key}`, value })
const TREE = {
  action: 'get',
  node: {
    key: PREFIX,
    dir: true,
    nodes: [
      node('config', '{"Network":"10.1.0.0/16"}'),
      node('subnets/10.1.15.0-24', '{"PublicIP":"192.168.0.100"}'),
      node('subnets/10.1.20.0-24', '{"PublicIP":"192.168.0.200"}'),
    ],
  },
}

let server: Server
let url = ''
beforeAll(async () => {
  server = createServer((question, answer) => {
    if (question.url === '/version') answer.end('{"etcdserver":"2.3.8"}')
    else if (question.url?.startsWith('/v2/keys/coreos.com/network?')) answer.end(JSON.stringify(TREE))
    else answer.writeHead(404).end('404 page not found')
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => void server.close())

const BUILT_IN = (endpoint: string): string =>
  `built-in example:51: warning: Network/default: spec.etcd is not used: what ${endpoint} holds takes its place\n    Leave out the one or the other.\n`

describe('--etcd', () => {
  it('takes the place of spec.etcd; the same packet goes the same way', async () => {
    const wanted = await netsim(['trace', 'pod-a', 'pod-b'])
    const found = await netsim(['trace', 'pod-a', 'pod-b', '--etcd', url])
    expect([found.code, found.err]).toEqual([0, BUILT_IN(url)])
    const body = (text: string): string[] => text.split('\n').slice(3, 60)
    expect(body(found.out)).toEqual(body(wanted.out))
  })

  it('stands among the inputs and in the commands of next, without its password', async () => {
    const withUser = url.replace('http://', 'http://me:secret@')
    const words = ['--etcd', `http://127.0.0.1:1,${withUser}`, '--etcd-user', 'me:hidden', '--etcd-timeout', '2s', '-o', 'json']
    const { code, out, err } = await netsim(['trace', 'pod-a', 'pod-b', ...words])
    expect([code, out.includes('secret') || out.includes('hidden') || err.includes('secret') || err.includes('hidden')]).toEqual([0, false])
    const { metadata, result } = JSON.parse(out) as { metadata: { inputs: string[] }; result: { next: string[] } }
    const masked = withUser.replace('secret', '***')
    expect(metadata.inputs).toEqual(['built-in example', masked])
    expect(result.next[0]).toBe(`netsim trace default/pod-a default/pod-b -v --etcd 'http://127.0.0.1:1,${masked}' --etcd-user 'me:***' --etcd-timeout 2000ms`)
    expect(err).toContain('http://127.0.0.1:1: warning: nothing listens on 127.0.0.1:1')
  })

  it('an etcd that is away: its Problem and what else is wrong, in one go; exit 3 and nothing on standard output', async () => {
    const { code, out, err } = await netsim(['trace', 'a', 'b', '--etcd', 'http://127.0.0.1:1', '-f', '-'], {
      stdin: '{apiVersion: v1, kind: Pod, metadata: {name: a}, status: {podIP: 1.2.3}}',
    })
    expect([code, out]).toEqual([3, ''])
    expect(err).toContain('http://127.0.0.1:1: error: nothing listens on 127.0.0.1:1\n')
    expect(err).toContain('-:1: error: Pod/default/a: podIP: "1.2.3" is no IPv4 address')
    expect(err).not.toContain("flannel's configuration is not in the input")
  })

  it('show: leases of the server; its keys as they are, without manifests', async () => {
    const leases = await netsim(['show', 'leases', '--etcd', url])
    expect(leases.out).toMatch(/10\.1\.15\.0\/24 +192\.168\.0\.100 +host-a/)
    const text = await netsim(['show', 'etcd', '--etcd', url])
    expect(text).toEqual({ code: 0, err: '', out: TREE.node.nodes.map((one) => Object.values(one).join('\n')).join('\n') + '\n' })
    const json = await netsim(['show', 'etcd', '--etcd', url, '-o', 'json'])
    expect(JSON.parse(json.out)).toEqual({
      apiVersion: 'netsim/v1',
      kind: 'EtcdSnapshot',
      metadata: { name: 'v2' },
      spec: { api: 'v2', prefix: PREFIX, server: '2.3.8', keys: Object.fromEntries(TREE.node.nodes.map((one) => Object.values(one) as [string, string])) },
    })
    const again = await netsim(['show', 'leases', '-f', 'flannel-udp.yaml', '-f', '-'], { cwd: EXAMPLES, stdin: json.out })
    expect([again.code, again.out]).toEqual([0, leases.out])
  })

  it('--etcd-prefix goes for snapshots too', async () => {
    const { code, err } = await netsim(['show', 'leases', '-f', 'etcd-snapshot', '--etcd-prefix', '/elsewhere'], { cwd: EXAMPLES })
    expect(code).toBe(3)
    expect(err).toContain('none of the 4 keys in this answer of etcd is under /elsewhere')
  })

  it.each<[string, string[], RegExp]>([
    ['no scheme', ['--etcd', '127.0.0.1:2379'], /--etcd 127\.0\.0\.1:2379 is no URL of etcd: write http:\/\/127\.0\.0\.1:2379 or https:/],
    ['another scheme', ['--etcd', 'unix:///run/etcd.sock'], /--etcd unix:\/\/\/run\/etcd\.sock is no URL of etcd: netsim speaks http and https/],
    ['no URL', ['--etcd', 'http://'], /--etcd http:\/\/ is no URL/],
    ['nothing', ['--etcd', ' , '], /--etcd/],
    ['a prefix in the URL', ['--etcd', 'http://x:2379/?a=1'], /a client URL ends with the port/],
    ['a password that no URL holds', ['--etcd', 'http://me:sec/ret@x:2379'], /^error: --etcd http:\/\/me:\*\*\*@x:2379 is no URL\n$/],
    ['a password without a scheme', ['--etcd', 'me:secret@x:2379'], /^error: --etcd me:\*\*\*@x:2379 is no URL of etcd/],
    ['half a percent', ['--etcd', 'http://me:sec%ret@x:2379'], /a % in the user or password of a URL is written %25/],
    ['a user without a password', ['--etcd', 'http://x:2379', '--etcd-user', 'me'], /--etcd-user me has no password: .*NETSIM_ETCD_PASSWORD/],
    ['no name', ['--etcd', 'http://x:2379', '--etcd-user', ':secret'], /--etcd-user begins with the name/],
    ['half a pair', ['--etcd', 'https://x:2379', '--etcd-cert', 'a.pem'], /--etcd-cert and --etcd-key go together/],
    ['flags alone', ['--etcd-cacert', 'ca.pem'], /--etcd-cacert goes with --etcd URL/],
    ['no time', ['--etcd', 'http://x:2379', '--etcd-timeout', '5'], /It must be a time with its unit/],
    ['no prefix', ['--etcd-prefix', '/'], /It must be the key that flannel has/],
  ])('a wrong command line: %s', async (_name, words, said) => {
    const { code, out, err } = await netsim(['show', 'leases', ...words])
    expect([code, out]).toEqual([2, ''])
    expect(err).toMatch(said)
    expect(err).not.toMatch(/secret|sec\/ret|sec%ret|ret@/)
  })
})
