/** Requests and what a real etcd 3.4.23 answered, its indices counted from the first request on. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { EtcdV2, isEtcdV2Error, type DeleteOptions, type EtcdV2Node, type EtcdV2Result, type SetOptions, type WaitOptions } from '../../src/etcd/etcd-v2.js'
import { EtcdV3, type Transaction } from '../../src/etcd/etcd-v3.js'
import { EtcdStore } from '../../src/etcd/store.js'

function recorded<T>(name: string): T[] {
  return JSON.parse(readFileSync(new URL(name, import.meta.url), 'utf8')) as T[]
}

interface V2Request {
  readonly method: 'set' | 'delete' | 'get' | 'wait'
  readonly key: string
  readonly value?: string
  readonly options: SetOptions & DeleteOptions & WaitOptions
  readonly result: { readonly code?: number; readonly cause?: string }
}

function summary(node: EtcdV2Node | undefined): unknown {
  if (node === undefined) return undefined
  const nodes = node.nodes === undefined || node.nodes.length === 0 ? undefined : node.nodes.map(summary)
  return { key: node.key, value: node.value, dir: node.dir, c: node.createdIndex, m: node.modifiedIndex, nodes }
}

it('v2: set, create, update, compare-and-swap, delete, get, wait', () => {
  const etcd = new EtcdV2(new EtcdStore({ nowNs: 0 }))
  const ask = (request: V2Request): EtcdV2Result => {
    if (request.method === 'set') return etcd.set(request.key, request.value ?? '', request.options)
    if (request.method === 'delete') return etcd.delete(request.key, request.options)
    if (request.method === 'get') return etcd.get(request.key, request.options)
    const answers: EtcdV2Result[] = []
    etcd.wait(request.key, request.options, (answer) => answers.push(answer))()
    return answers[0]
  }
  for (const request of recorded<V2Request>('etcd-v2.recorded.json')) {
    const answer = ask(request)
    // The cause of a failed comparison holds absolute indices.
    const { cause: _cause, ...wanted } = request.result.code === 101 ? request.result : { ...request.result, cause: undefined }
    const mine = isEtcdV2Error(answer) ? { code: answer.errorCode } : { action: answer.action, node: summary(answer.node), prev: summary(answer.prevNode) }
    expect({ request, mine }).toEqual({ request, mine: wanted })
    if (request.result.code === 100) expect(isEtcdV2Error(answer) && answer.cause).toBe(request.result.cause)
  }
})

it('v3: transactions with puts, gets and deletes, by key and prefix', () => {
  const etcd = new EtcdV3(new EtcdStore({ nowNs: 0 }))
  for (const [transaction, wanted] of recorded<[Transaction, unknown]>('etcd-v3.recorded.json')) {
    const result = etcd.transaction(transaction)
    if ('error' in result) {
      expect(result.error).toBe(wanted)
      continue
    }
    const responses = result.results.map((one) => {
      if (one.kind === 'put') return 'put'
      return one.kind === 'delete' ? one.deleted : one.values.map((found) => [found.key, found.value, found.createRevision, found.modRevision, found.version])
    })
    expect([result.succeeded, result.revision, responses]).toEqual(wanted)
  }
})
