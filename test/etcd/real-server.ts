/** Debian's etcd, started by a test on free ports in a folder of its own, and gone afterwards. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export function hasProgram(name: string): boolean {
  return spawnSync(name, ['--version'], { stdio: 'ignore' }).error === undefined
}

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

export interface TlsFiles {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

export class RealEtcd {
  readonly url: string
  private readonly folder: string
  private readonly child: ChildProcess
  private readonly log: string[]

  private constructor(url: string, folder: string, child: ChildProcess, log: string[]) {
    this.url = url
    this.folder = folder
    this.child = child
    this.log = log
  }

  /** @param tls it asks clients for a certificate too */
  static async start(options: { readonly tls?: TlsFiles; readonly more?: readonly string[] } = {}): Promise<RealEtcd> {
    const { tls, more = ['--enable-v2=true'] } = options
    const folder = mkdtempSync(join(tmpdir(), 'netsim-etcd-'))
    const url = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${await freePort()}`
    const peer = `http://127.0.0.1:${await freePort()}`
    const words = ['--name', 'one', '--data-dir', join(folder, 'data'), '--listen-client-urls', url, '--advertise-client-urls', url, '--listen-peer-urls', peer]
    words.push('--initial-advertise-peer-urls', peer, '--initial-cluster', `one=${peer}`, ...more)
    if (tls !== undefined) words.push('--cert-file', tls.cert, '--key-file', tls.key, '--trusted-ca-file', tls.ca, '--client-cert-auth')
    const child = spawn('etcd', words, { stdio: ['ignore', 'ignore', 'pipe'] })
    // Also when the test is stopped half-way.
    process.once('exit', () => child.kill('SIGKILL'))
    const log: string[] = []
    child.stderr.on('data', (chunk: Buffer) => log.push(chunk.toString()))
    const etcd = new RealEtcd(url, folder, child, log)
    await etcd.ready()
    return etcd
  }

  private async ready(): Promise<void> {
    for (let attempt = 0; attempt < 200; attempt++) {
      if (this.child.exitCode !== null) break
      if (/ready to serve client requests|serving (insecure )?client requests/.test(this.log.join(''))) return
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    await this.stop()
    throw new Error(`etcd did not start:\n${this.log.join('').slice(-2000)}`)
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const gone = new Promise((resolve) => this.child.once('exit', resolve))
      this.child.kill('SIGKILL')
      await gone
    }
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** Through the JSON gateway. */
  async v3(path: string, question: object): Promise<Record<string, unknown>> {
    const answer = await fetch(`${this.url}/v3/${path}`, { method: 'POST', body: JSON.stringify(question) })
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
    return (await answer.json()) as Record<string, unknown>
  }

  /** @param ttl seconds; absent: for ever */
  async putV3(key: string, value: string | Uint8Array, ttl?: number): Promise<void> {
    const lease = ttl === undefined ? undefined : (await this.v3('lease/grant', { TTL: ttl })).ID
    await this.v3('kv/put', {
      key: Buffer.from(key).toString('base64'),
      value: Buffer.from(value).toString('base64'),
      ...(lease === undefined ? {} : { lease }),
    })
  }

  async putV2(key: string, value: string, ttl?: number): Promise<void> {
    const body = new URLSearchParams({ value, ...(ttl === undefined ? {} : { ttl: `${ttl}` }) })
    const answer = await fetch(`${this.url}/v2/keys${key}`, { method: 'PUT', body })
    if (!answer.ok) throw new Error(`${key}: ${answer.status} ${await answer.text()}`)
  }

  async clear(): Promise<void> {
    await this.v3('kv/deleterange', { key: Buffer.from('/').toString('base64'), range_end: Buffer.from('0').toString('base64') })
    await fetch(`${this.url}/v2/keys/coreos.com?recursive=true`, { method: 'DELETE' })
  }
}

/** etcdctl's standard output. */
export function etcdctl(api: 2 | 3, ...words: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync('etcdctl', words, { encoding: 'utf8', env: { ...process.env, ETCDCTL_API: `${api}` } })
  if (status !== 0) throw new Error(`etcdctl ${words.join(' ')}: ${stderr}`)
  return stdout
}
