/** `netsim show etcd --etcd URL`: what the server holds under the prefix, as it is; `-o json` is a snapshot that `-f` reads. */
import { DEFAULT_ETCD_PREFIX, etcdPrefix, type EtcdTree } from '../base/etcd-tree.js'
import { hasErrors } from '../base/problem.js'
import type { EtcdFlags } from './etcd-flags.js'
import { readEtcdInput } from './etcd-input.js'
import { EXIT_BAD_INPUT, EXIT_OK } from './exit.js'
import type { Io } from './io.js'
import { report, safe } from './load-network.js'

/** The exit status. Text: a key, its value, a line each, as `etcdctl get --prefix` prints them. */
export async function showServerKeys(flags: EtcdFlags & { readonly output: string }, io: Io): Promise<number> {
  const { trees, problems, server } = await readEtcdInput(flags, io)
  await report(problems, io)
  if (hasErrors(problems)) return EXIT_BAD_INPUT
  if (flags.output !== 'json') {
    const headed = trees.map((tree) => `${trees.length > 1 ? `# ${tree.api}\n` : ''}${tree.keys.map(({ key, value }) => `${key}\n${value}\n`).join('')}`)
    await io.out(safe(headed.join('')))
    return EXIT_OK
  }
  const snapshots = trees.map((tree) => snapshotOf(tree, { prefix: etcdPrefix(flags.etcdPrefix ?? DEFAULT_ETCD_PREFIX), server }))
  const document = snapshots.length === 1 ? snapshots[0] : { apiVersion: 'v1', kind: 'List', items: snapshots }
  await io.out(`${JSON.stringify(document, null, 2)}\n`)
  return EXIT_OK
}

function snapshotOf({ api, revision, keys }: EtcdTree, { prefix, server }: { readonly prefix: string; readonly server: string | undefined }): object {
  const values = keys.map(({ key, value, ttl }) => [key, ttl === undefined ? value : { value, ttl }] as const)
  return { apiVersion: 'netsim/v1', kind: 'EtcdSnapshot', metadata: { name: api }, spec: { api, prefix, server, revision, keys: Object.fromEntries(values) } }
}
