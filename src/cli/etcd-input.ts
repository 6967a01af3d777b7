/**
 * `--etcd …` → what a real etcd holds, for the cluster to be built from. The only asynchronous input besides files; nothing of a
 * simulation waits for it. Loaded when `--etcd` is given.
 */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { DEFAULT_ETCD_PREFIX, etcdPrefix, maskedUrl, splitUrls } from '../base/etcd-tree.js'
import type { Problem } from '../base/problem.js'
import { readEtcd, type EtcdReading, type EtcdUser } from '../etcd/etcd-client.js'
import type { EtcdTls } from '../etcd/etcd-http.js'
import { PASSWORD_VARIABLE, type EtcdFlags } from './etcd-flags.js'
import { UsageError } from './exit.js'
import type { Io } from './io.js'

const NS_PER_MS = 1e6

/** @throws UsageError for flags that do not go together, without their secrets */
export async function readEtcdInput(flags: EtcdFlags, io: Io): Promise<EtcdReading> {
  const endpoints = endpointsOf(flags.etcd ?? [])
  const user = userOf(flags.etcdUser, io)
  const { tls, problems } = await readTls(flags, io)
  if (problems.length > 0) return { endpoint: maskedUrl(endpoints[0]), trees: [], problems }
  return readEtcd({
    endpoints,
    prefix: etcdPrefix(flags.etcdPrefix ?? DEFAULT_ETCD_PREFIX),
    ...(user === undefined ? {} : { user }),
    tls,
    timeoutMs: (flags.etcdTimeout ?? 5e9) / NS_PER_MS,
  })
}

function endpointsOf(values: readonly string[]): string[] {
  const endpoints = values.flatMap(splitUrls)
  if (endpoints.length === 0) throw new UsageError('--etcd is empty: write a client URL, like http://127.0.0.1:2379')
  for (const endpoint of endpoints) {
    const shown = maskedUrl(endpoint)
    if (!/^https?:\/\//i.test(endpoint)) {
      const hint = /^[a-z]+:\/\//i.test(endpoint) ? 'netsim speaks http and https' : `write http://${shown} or https://${shown}`
      throw new UsageError(`--etcd ${shown} is no URL of etcd: ${hint}`)
    }
    if (!URL.canParse(endpoint)) throw new UsageError(`--etcd ${shown} is no URL`)
    const { search, hash, username, password } = new URL(endpoint)
    if (search !== '' || hash !== '') throw new UsageError(`--etcd ${shown}: a client URL ends with the port; the prefix is --etcd-prefix`)
    if (!isPercentText(username) || !isPercentText(password)) throw new UsageError(`--etcd ${shown}: a % in the user or password of a URL is written %25`)
  }
  return endpoints
}

function isPercentText(text: string): boolean {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}

function userOf(text: string | undefined, io: Io): EtcdUser | undefined {
  if (text === undefined) return undefined
  const colon = text.indexOf(':')
  const name = colon < 0 ? text : text.slice(0, colon)
  const password = colon < 0 ? io.env[PASSWORD_VARIABLE] : text.slice(colon + 1)
  if (name === '') throw new UsageError('--etcd-user begins with the name: NAME:PASSWORD')
  if (password === undefined) throw new UsageError(`--etcd-user ${name} has no password: write NAME:PASSWORD, or put it in ${PASSWORD_VARIABLE}`)
  return { name, password }
}

async function readTls({ etcdCacert, etcdCert, etcdKey }: EtcdFlags, io: Io): Promise<{ readonly tls: EtcdTls; readonly problems: readonly Problem[] }> {
  if ((etcdCert === undefined) !== (etcdKey === undefined)) throw new UsageError('--etcd-cert and --etcd-key go together')
  const problems: Problem[] = []
  const pem = async (flag: string, file: string | undefined, wanted: RegExp): Promise<string | undefined> => {
    if (file === undefined) return undefined
    const wrong = (what: string, fix: string): void => void problems.push({ severity: 'error', file, line: 0, object: flag, what, fix })
    try {
      const text = await readFile(resolve(io.cwd, file), 'utf8')
      if (wanted.test(text)) return text
      wrong('is not in PEM', 'PEM is text that begins with -----BEGIN …; openssl x509 -inform der makes it from DER.')
    } catch (error) {
      wrong(`cannot be read: ${error instanceof Error && 'code' in error ? String(error.code) : String(error)}`, '')
    }
    return undefined
  }
  const ca = await pem('--etcd-cacert', etcdCacert, /-----BEGIN (TRUSTED )?CERTIFICATE-----/)
  const cert = await pem('--etcd-cert', etcdCert, /-----BEGIN CERTIFICATE-----/)
  const key = await pem('--etcd-key', etcdKey, /-----BEGIN [A-Z ]*PRIVATE KEY-----/)
  const tls = { ...(ca === undefined ? {} : { ca }), ...(cert === undefined ? {} : { cert }), ...(key === undefined ? {} : { key }) }
  return { tls, problems }
}
