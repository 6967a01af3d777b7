/**
 * A real etcd as input: Debian's etcd-server 3.4, both APIs, filled with the keys that a real flanneld wrote (test/recordings). The same
 * frames as with the keys in the Network document. Runs where the programs are there; must run with NETSIM_REAL_KERNEL=1.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { TraceDocument } from '../../src/analysis/trace-document.js'
import { traceDocument } from '../../src/analysis/trace-report.js'
import { formatProblem } from '../../src/base/problem.js'
import { buildCluster, type Given } from '../../src/cluster/cluster.js'
import { readEtcd, type EtcdClientOptions, type EtcdReading } from '../../src/etcd/etcd-client.js'
import { buildNetwork } from '../../src/network/build-network.js'
import { netsim } from '../cli/memory-io.js'
import { loadRecording, manifestOf, requestOf, type Probe, type Recording } from '../kit/recording.js'
import { etcdctl, hasProgram, RealEtcd } from './real-server.js'

const PREFIX = '/coreos.com/network'
const RECORDINGS = ['flannel-udp', 'flannel-vxlan', 'flannel-host-gw']

const missing = ['etcd', 'etcdctl', 'openssl'].filter((name) => !hasProgram(name))
const mustRun = process.env.NETSIM_REAL_KERNEL === '1'
if (missing.length > 0)
  process.stderr.write(`\n!!!!!!!! SKIPPED: a real etcd; missing: ${missing.join(', ')} (apt-get install etcd-server etcd-client openssl) !!!!!!!!\n`)

it.runIf(mustRun)('the programs are here: etcd-server, etcd-client, openssl', () => expect(missing).toEqual([]))

function ask(url: string, more: Partial<EtcdClientOptions> = {}): Promise<EtcdReading> {
  return readEtcd({ endpoints: [url], prefix: PREFIX, tls: {}, timeoutMs: 30_000, ...more })
}

/** The manifests with another flannel, or without what etcd holds. */
function manifest(recording: Recording, change: { readonly etcd?: 'left out'; readonly version?: string } = {}): string {
  const documents = manifestOf(recording).split('\n---\n')
  const network = JSON.parse(documents.pop() ?? '') as { spec: { etcd?: object; flannel: { version: string } } }
  if (change.etcd === 'left out') delete network.spec.etcd
  if (change.version !== undefined) network.spec.flannel.version = change.version
  return [...documents, JSON.stringify(network)].join('\n---\n')
}

function traced(text: string, recording: Recording, given: Given = {}): { readonly documents: TraceDocument[]; readonly problems: string[] } {
  const { cluster, problems } = buildCluster([{ file: 'network', text }], given)
  const built = buildNetwork(cluster, { seed: 1 })
  const probes = (recording as unknown as { probes: { probe: Probe }[] }).probes
  const documents = probes.map(({ probe }) => {
    const outcome = built.network.trace(requestOf(recording, probe))
    if (Array.isArray(outcome)) throw new Error(JSON.stringify(outcome))
    return traceDocument(built.network, outcome as Exclude<typeof outcome, readonly unknown[]>)
  })
  return { documents, problems: [...problems, ...built.problems].map(formatProblem) }
}

function hexOf(documents: readonly TraceDocument[]): readonly string[][] {
  return documents.map(({ forward, reply }) => [...forward.frames, ...(reply?.frames ?? [])].map(({ hex }) => hex))
}

describe.skipIf(missing.length > 0)('a real etcd', () => {
  let etcd: RealEtcd
  const folder = mkdtempSync(join(tmpdir(), 'netsim-etcd-files-'))
  beforeAll(async () => {
    etcd = await RealEtcd.start()
  })
  afterEach(() => etcd.clear())
  afterAll(async () => {
    await etcd.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  async function fill(api: 'v2' | 'v3', keys: Readonly<Record<string, string>>): Promise<void> {
    for (const [key, value] of Object.entries(keys)) {
      const ttl = key.endsWith('/config') ? undefined : 86_400
      await (api === 'v2' ? etcd.putV2(key, value, ttl) : etcd.putV3(key, value, ttl))
    }
  }

  describe.each(RECORDINGS)('%s', (name) => {
    const recording = loadRecording(name)
    it('v2: every probe takes the same way, byte for byte, as with the keys in the document', async () => {
      await fill('v2', recording.etcd)
      const { trees, problems, server } = await ask(etcd.url)
      expect([problems, server?.startsWith('3.'), trees.map(({ api }) => api)]).toEqual([[], true, ['v2']])
      expect(trees[0].keys.filter(({ ttl }) => ttl !== undefined && ttl > 86_300 && ttl <= 86_400)).toHaveLength(Object.keys(recording.etcd).length - 1)
      const wanted = traced(manifest(recording), recording)
      const found = traced(manifest(recording, { etcd: 'left out' }), recording, { etcd: { name: 'etcd', trees } })
      expect(found.problems).toEqual(wanted.problems)
      expect(wanted.documents.length).toBeGreaterThan(5)
      expect(hexOf(wanted.documents).every((frames) => frames.length > 0)).toBe(true)
      expect(hexOf(found.documents)).toEqual(hexOf(wanted.documents))
      expect(found.documents).toEqual(wanted.documents)
    })

    it('v3: the same, with a flannel that reads v3', async () => {
      await fill('v3', recording.etcd)
      const { trees, problems } = await ask(etcd.url)
      expect([problems, trees.map(({ api }) => api)]).toEqual([[], ['v3']])
      expect(Object.fromEntries(trees[0].keys.map(({ key, value }) => [key, value]))).toEqual(recording.etcd)
      const newer = { version: '0.22.0' }
      const wanted = traced(manifest(recording, newer), recording)
      const found = traced(manifest(recording, { ...newer, etcd: 'left out' }), recording, { etcd: { name: 'etcd', trees } })
      expect(found).toEqual(wanted)
    })

    it('what etcdctl and curl print is read as a file, and gives the same', async () => {
      await fill('v2', recording.etcd)
      await fill('v3', recording.etcd)
      const curl = await (await fetch(`${etcd.url}/v2/keys${PREFIX}?recursive=true`)).text()
      const ls = etcdctl(2, '--endpoints', etcd.url, '-o', 'json', 'ls', '--recursive', PREFIX)
      const v3 = etcdctl(3, '--endpoints', etcd.url, 'get', '--prefix', PREFIX, '-w', 'json')
      const text = manifest(recording, { etcd: 'left out' })
      const wanted = traced(manifest(recording), recording).documents
      for (const saved of [curl, ls, v3]) {
        const { cluster, problems } = buildCluster([
          { file: 'network', text },
          { file: 'saved.json', text: saved },
        ])
        expect(problems.filter(({ severity }) => severity === 'error')).toEqual([])
        const { network } = buildNetwork(cluster, { seed: 1 })
        const probes = (recording as unknown as { probes: { probe: Probe }[] }).probes
        const outcome = network.trace(requestOf(recording, probes[1].probe))
        expect(traceDocument(network, outcome as Exclude<typeof outcome, readonly unknown[]>)).toEqual(wanted[1])
      }
    })
  })

  it('both APIs hold keys: the version of flannel decides, and the other is named', async () => {
    const recording = loadRecording('flannel-vxlan')
    await fill('v2', recording.etcd)
    await fill('v3', { ...loadRecording('flannel-udp').etcd, [`${PREFIX}/subnets/10.1.99.0-24`]: '{"PublicIP":"192.168.10.99"}' })
    const { trees } = await ask(etcd.url)
    expect(trees.map(({ api }) => api)).toEqual(['v3', 'v2'])
    const built = (version: string): [readonly string[], string[]] => {
      const { cluster, problems } = buildCluster([{ file: 'network', text: manifest(recording, { etcd: 'left out', version }) }], {
        etcd: { name: 'etcd', trees },
      })
      return [cluster.etcd.map(({ key }) => key), problems.map(({ what }) => what)]
    }
    expect(built('0.17.0')).toEqual([
      Object.keys(recording.etcd).sort(),
      [`both APIs hold keys under ${PREFIX}: flannel 0.17.0 reads v2; the 4 keys of v3 play no part`],
    ])
    expect(built('0.18.0')[0]).toContain(`${PREFIX}/subnets/10.1.99.0-24`)
    expect(built('0.18.0')[1]).toEqual([`both APIs hold keys under ${PREFIX}: flannel 0.18.0 reads v3; the 4 keys of v2 play no part`])
  })

  it('half-written values, keys of no subnet, bytes that are no UTF-8: named, and the rest is read', async () => {
    const recording = loadRecording('flannel-vxlan')
    const bad = { [`${PREFIX}/subnets/10.1.7.0-24`]: '{"PublicIP":"192.1', [`${PREFIX}/subnets/10.1.8.0-24`]: '', [`${PREFIX}/subnets/oops`]: '{}' }
    await fill('v3', { ...recording.etcd, ...bad, [`${PREFIX}/subnets/10.1.9.0-24&fc00::-64`]: '{"PublicIP":"192.168.10.77"}' })
    await etcd.putV3(`${PREFIX}/subnets/10.1.6.0-24`, Uint8Array.of(0x7b, 0xff, 0x7d))
    const { trees, problems } = await ask(etcd.url)
    expect(problems.map(({ object, severity, what }) => [object, severity, what])).toEqual([
      [`${PREFIX}/subnets/10.1.6.0-24`, 'warning', 'the value is not UTF-8'],
    ])
    const text = manifest(recording, { etcd: 'left out', version: '0.22.0' })
    const { cluster, problems: more } = buildCluster([{ file: 'network', text }], { etcd: { name: 'etcd', trees } })
    const { problems: all } = buildNetwork(cluster, { seed: 1 })
    expect([...more, ...all].filter(({ severity }) => severity === 'error')).toEqual([])
    const named = all.map(({ object }) => object)
    for (const key of [...Object.keys(bad), `${PREFIX}/subnets/10.1.6.0-24`, `${PREFIX}/subnets/10.1.9.0-24&fc00::-64`]) expect(named).toContain(key)
  })

  it('no key, another prefix, no config', async () => {
    const empty = await ask(etcd.url)
    expect(empty.problems.map(({ what }) => what)).toEqual([expect.stringMatching(/^etcd 3\.\S+ holds no key under \/coreos\.com\/network \(v3 and v2 API\)$/)])
    await etcd.putV3('/coreos.com/networkish/config', '{}')
    await etcd.putV3('/over/there/subnets/10.1.15.0-24', '{"PublicIP":"192.168.0.100"}', 7200)
    expect((await ask(etcd.url)).trees).toEqual([])
    const { code, out, err } = await netsim(['show', 'leases', '--etcd', etcd.url, '--etcd-prefix', 'over/there/'])
    expect([code, out]).toEqual([3, ''])
    expect(err).toContain(`${etcd.url}: error: /over/there/config: flannel network configuration not found`)
    await etcd.putV3('/over/there/subnets/10.1.20.0-24', '{"PublicIP":"192.168.0.200"}')
    await etcd.putV3('/over/there/config', '{"Network":"10.1.0.0/16"}')
    const shown = await netsim(['show', 'leases', '--etcd', etcd.url, '--etcd-prefix', 'over/there/'])
    expect(shown.out).toMatch(/10\.1\.15\.0\/24 +192\.168\.0\.100 +host-a +<none> +7[12]\d\ds/)
  })

  it('show etcd -o json is a snapshot that -f reads', async () => {
    const recording = loadRecording('flannel-vxlan')
    await fill('v2', recording.etcd)
    const { code, out, err } = await netsim(['show', 'etcd', '--etcd', etcd.url, '-o', 'json'])
    expect([code, err]).toEqual([0, ''])
    const { cluster, problems } = buildCluster([
      { file: 'network', text: manifest(recording, { etcd: 'left out' }) },
      { file: 'snapshot', text: out },
    ])
    expect(problems).toEqual([])
    expect(Object.fromEntries(cluster.etcd.map(({ key, value }) => [key, value]))).toEqual(recording.etcd)
    expect(cluster.etcd.filter(({ ttl }) => ttl !== undefined)).toHaveLength(3)
    const text = await netsim(['show', 'etcd', '--etcd', etcd.url])
    expect(text.out).toBe(
      Object.entries(recording.etcd)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, value]) => `${key}\n${value}\n`)
        .join(''),
    )
  })

  it('three hundred leases within the default time, each with what it has left', async () => {
    await etcd.putV3(`${PREFIX}/config`, '{"Network":"10.0.0.0/8"}')
    const puts = Array.from(
      { length: 300 },
      (_, n) => (): Promise<void> => etcd.putV3(`${PREFIX}/subnets/10.${n >> 8}.${n & 255}.0-24`, `{"PublicIP":"192.168.${n >> 8}.${n & 255}"}`, 600 + n),
    )
    for (let at = 0; at < puts.length; at += 50) await Promise.all(puts.slice(at, at + 50).map((put) => put()))
    const { trees, problems } = await ask(etcd.url)
    expect(problems).toEqual([])
    expect(trees[0].keys).toHaveLength(301)
    const ttl = trees[0].keys.find(({ key }) => key.endsWith('/10.1.43.0-24'))?.ttl ?? 0
    expect(ttl).toBeGreaterThan(800)
    expect(ttl).toBeLessThanOrEqual(899)
  })

  it('a member that is away: the next one is asked, and a warning names the first', async () => {
    await fill('v2', loadRecording('flannel-udp').etcd)
    const { trees, problems } = await ask(etcd.url, { endpoints: ['http://127.0.0.1:1', etcd.url] })
    expect(trees).toHaveLength(1)
    expect(problems.map(formatProblem)).toEqual([
      'http://127.0.0.1:1: warning: nothing listens on 127.0.0.1:1\n    Is etcd running there? Its client URLs: etcdctl member list.',
    ])
  })
})

describe.skipIf(missing.length > 0)('a real etcd that asks who reads', () => {
  const udp = loadRecording('flannel-udp')
  const AS_ROOT = ['--user', 'root:root-secret'] as const
  let etcd: RealEtcd
  beforeAll(async () => {
    etcd = await RealEtcd.start()
    for (const [key, value] of Object.entries(udp.etcd)) {
      await etcd.putV3(key, value, key.endsWith('/config') ? undefined : 86_400)
      await etcd.putV2(key, value)
    }
    const v3 = (...words: readonly string[]): string => etcdctl(3, '--endpoints', etcd.url, ...words)
    v3('user', 'add', 'root:root-secret')
    v3('user', 'add', 'flannel:flannel-secret')
    v3('user', 'add', 'nobody:nobody-secret')
    v3('role', 'add', 'reader')
    v3('role', 'grant-permission', 'reader', '--prefix=true', 'read', `${PREFIX}/`)
    v3('user', 'grant-role', 'flannel', 'reader')
    v3('user', 'grant-role', 'root', 'root')
    v3('auth', 'enable')
  })
  afterAll(() => etcd.stop())

  it('v3: the user of --etcd-user, with read on the prefix alone; its leases too', async () => {
    const { trees, problems } = await ask(etcd.url, { user: { name: 'flannel', password: 'flannel-secret' } })
    expect(problems).toEqual([])
    const v3 = trees.find(({ api }) => api === 'v3')
    expect(v3?.keys.map(({ key }) => key)).toEqual(Object.keys(udp.etcd).sort())
    expect(v3?.keys.filter(({ ttl }) => ttl !== undefined)).toHaveLength(2)
  })

  it('without a user, with a wrong password, with a user who may not read: each says what to do, none shows the password', async () => {
    await fetch(`${etcd.url}/v2/keys/coreos.com?recursive=true`, { method: 'DELETE' })
    const texts = async (user?: string): Promise<string> => {
      const { code, err } = await netsim(['show', 'etcd', '--etcd', etcd.url, ...(user === undefined ? [] : ['--etcd-user', user])])
      expect(code).toBe(3)
      expect(err).not.toContain('secret')
      return err
    }
    expect(await texts()).toContain('error: asks who wants to read\n    Give --etcd-user NAME:PASSWORD')
    expect(await texts('flannel:wrong-secret')).toContain('error: refuses the user flannel: etcdserver: authentication failed')
    expect(await texts('nobody:nobody-secret')).toContain('error: the user nobody may not read there: etcdserver: permission denied')
    const { code } = await netsim(['show', 'etcd', '--etcd', etcd.url, '--etcd-user', 'flannel'], { env: { NETSIM_ETCD_PASSWORD: 'flannel-secret' } })
    expect(code).toBe(0)
  })

  it('v2: users of its own, by basic authentication', async () => {
    etcdctl(3, '--endpoints', etcd.url, ...AS_ROOT, 'auth', 'disable')
    etcdctl(3, '--endpoints', etcd.url, 'del', '--prefix', '/')
    await etcd.putV2(`${PREFIX}/config`, '{"Network":"10.1.0.0/16"}')
    const v2 = (...words: readonly string[]): string => etcdctl(2, '--endpoints', etcd.url, ...words)
    v2('user', 'add', 'root:root-secret')
    v2('user', 'add', 'flannel:flannel-secret')
    v2('role', 'add', 'reader')
    v2('role', 'grant', 'reader', '-path', `${PREFIX}*`, '-read')
    v2('user', 'grant', 'flannel', '-roles', 'reader')
    v2('auth', 'enable')
    v2('-u', 'root:root-secret', 'role', 'revoke', 'guest', '-path', '/*', '-rw')
    expect((await ask(etcd.url)).problems.map(({ what }) => what)).toEqual(['asks who wants to read'])
    const { trees, problems } = await ask(etcd.url.replace('http://', 'http://flannel:flannel-secret@'))
    expect([problems, trees.map(({ api, keys }) => [api, keys.length])]).toEqual([[], [['v2', 1]]])
    const wrong = await ask(etcd.url, { user: { name: 'flannel', password: 'no' } })
    expect(wrong.problems.map(({ what }) => what)).toEqual([expect.stringContaining('refuses the user flannel')])
  })
})

describe.skipIf(missing.length > 0)('a real etcd behind TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'netsim-etcd-tls-'))
  const file = (name: string): string => join(folder, name)
  let etcd: RealEtcd
  function openssl(...words: readonly string[]): void {
    const { status, stderr } = spawnSync('openssl', words, { cwd: folder, encoding: 'utf8' })
    if (status !== 0) throw new Error(stderr)
  }
  function certificate(name: string, subjectAltName: string): void {
    openssl('req', '-newkey', 'rsa:2048', '-nodes', '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`)
    writeFileSync(file(`${name}.ext`), `subjectAltName=${subjectAltName}\n`)
    openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      '-CA',
      'ca.pem',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-days',
      '2',
      '-extfile',
      `${name}.ext`,
      '-out',
      `${name}.pem`,
    )
  }
  beforeAll(async () => {
    openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=test authority')
    certificate('server', 'IP:127.0.0.1')
    certificate('client', 'DNS:client')
    etcd = await RealEtcd.start({ tls: { ca: file('ca.pem'), cert: file('server.pem'), key: file('server.key') } })
    etcdctl(3, '--endpoints', etcd.url, ...CLIENT(file), 'put', `${PREFIX}/config`, '{"Network":"10.1.0.0/16"}')
  })
  afterAll(async () => {
    await etcd.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  it('with its authority and a client certificate', async () => {
    const words = ['--etcd-cacert', 'ca.pem', '--etcd-cert', 'client.pem', '--etcd-key', 'client.key']
    const { code, out, err } = await netsim(['show', 'etcd', '--etcd', etcd.url, ...words], { cwd: folder })
    expect([code, out, err]).toEqual([0, `${PREFIX}/config\n{"Network":"10.1.0.0/16"}\n`, ''])
  })

  it('without them, by the wrong name, in plain HTTP, from broken files: each says which', async () => {
    const wrong = async (url: string, ...words: string[]): Promise<string> => (await netsim(['show', 'etcd', '--etcd', url, ...words], { cwd: folder })).err
    expect(await wrong(etcd.url)).toContain('its certificate is signed by nobody known here')
    expect(await wrong(etcd.url, '--etcd-cacert', 'ca.pem')).toContain('--etcd-cert')
    expect(await wrong(etcd.url.replace('127.0.0.1', 'localhost'), '--etcd-cacert', 'ca.pem')).toContain('its certificate is not for localhost')
    expect(await wrong(etcd.url.replace('https', 'http'))).toContain('If it speaks TLS, write https://')
    expect(await wrong(etcd.url, '--etcd-cacert', 'ca.key')).toContain('ca.key: error: --etcd-cacert: is not in PEM')
    expect(await wrong(etcd.url, '--etcd-cacert', 'none.pem')).toContain('none.pem: error: --etcd-cacert: cannot be read: ENOENT')
    writeFileSync(file('broken.pem'), '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
    expect(await wrong(etcd.url, '--etcd-cacert', 'ca.pem', '--etcd-cert', 'broken.pem', '--etcd-key', 'client.key')).toContain('error: it cannot be asked')
    expect(await wrong(etcd.url, '--etcd-cacert', 'ca.pem', '--etcd-cert', 'client.pem', '--etcd-key', 'ca.key')).toContain('error: ')
  })
})

function CLIENT(file: (name: string) => string): readonly string[] {
  return ['--cacert', file('ca.pem'), '--cert', file('client.pem'), '--key', file('client.key')]
}

describe.skipIf(missing.length > 0)('a real etcd with one API', () => {
  it('v2 switched off: v3 is read; nothing there says so', async () => {
    const etcd = await RealEtcd.start({ more: [] })
    try {
      expect((await ask(etcd.url)).problems[0].what).toMatch(/holds no key under \/coreos\.com\/network \(v3 API; the v2 API is not served here\)$/)
      await etcd.putV3(`${PREFIX}/config`, '{}')
      expect((await ask(etcd.url)).trees).toMatchObject([{ api: 'v3', keys: [{ key: `${PREFIX}/config`, value: '{}' }] }])
    } finally {
      await etcd.stop()
    }
  })

  it('the JSON gateway switched off: v2 is read; without v2 too, it says what to switch on', async () => {
    const etcd = await RealEtcd.start({ more: ['--enable-v2=true', '--enable-grpc-gateway=false'] })
    try {
      await etcd.putV2(`${PREFIX}/config`, '{}')
      expect((await ask(etcd.url)).trees.map(({ api }) => api)).toEqual(['v2'])
    } finally {
      await etcd.stop()
    }
    const neither = await RealEtcd.start({ more: ['--enable-grpc-gateway=false'] })
    try {
      expect((await ask(neither.url)).problems.map(({ what }) => what)).toEqual([expect.stringContaining('serves neither the v3 API as JSON nor the v2 API')])
    } finally {
      await neither.stop()
    }
  })
})
