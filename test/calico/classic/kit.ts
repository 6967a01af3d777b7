/** What the tests of the classic model share: manifests and keys → model → one node. */
import { formatProblem } from '../../../src/base/problem.js'
import { buildClassicCluster } from '../../../src/calico/classic/cluster.js'
import { renderClassic, type ClassicPart, type ClassicView } from '../../../src/calico/classic/classic.js'
import { resolveClassicConfig, type ClassicConfig } from '../../../src/calico/classic/config.js'
import type { ClassicModel, ClassicSetting } from '../../../src/cluster/calico/classic-model.js'
import { readClassic } from '../../../src/cluster/calico/read-classic.js'
import { buildCluster } from '../../../src/cluster/cluster.js'
import type { EtcdEntry } from '../../../src/cluster/network-document.js'
import { ProblemList } from '../../../src/cluster/problem-list.js'

export function entries(pairs: readonly { readonly key: string; readonly value: string }[]): EtcdEntry[] {
  return pairs.map(({ key, value }, index) => ({ key, value, file: 'etcd.json', line: index + 1 }))
}

export function setting(value: string): ClassicSetting {
  return { value, file: '', line: 0 }
}

/** Felix's parameters as they are without calico/node's file. */
export function configOf(settings: Readonly<Record<string, string>>): ClassicConfig {
  const global = new Map(Object.entries(settings).map(([name, value]): [string, ClassicSetting] => [name, setting(value)]))
  return resolveClassicConfig({ host: new Map(), global, file: {} }).config
}

export interface Classic {
  readonly model: ClassicModel
  readonly part: (node: string, view?: Partial<ClassicView>) => ClassicPart
  readonly texts: readonly string[]
}

/** @param text manifests; @param keys of etcd beside them */
export function classic(text: string, keys: readonly { readonly key: string; readonly value: string }[] = []): Classic {
  const { cluster, problems } = buildCluster([{ file: 't.yaml', text }])
  const list = new ProblemList()
  const model = readClassic(cluster.objects, keys.length === 0 ? cluster.etcd : entries(keys), list)
  if (model === undefined) throw new Error('nothing of the classic model')
  const compiled = buildClassicCluster(
    {
      model,
      objects: cluster.objects,
      namespaces: cluster.namespaces,
      nodes: cluster.nodes,
      pods: cluster.pods.filter((pod) => !pod.hostNetwork && pod.node !== undefined),
      addressOf: (pod) => pod.address,
      macOf: () => undefined,
    },
    list,
  )
  return {
    model: compiled.model,
    part: (node, view = {}) => renderClassic({ cluster: compiled, node, interfaces: [], ...view }),
    texts: [...problems, ...list.problems].map(formatProblem),
  }
}
