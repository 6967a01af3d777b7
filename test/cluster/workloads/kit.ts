/** Clusters for tests of workloads: nodes and objects as YAML, pods in a few words. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Problem } from '../../../src/base/problem.js'
import { buildCluster, type Cluster } from '../../../src/cluster/cluster.js'
import { formatProblem } from '../../../src/base/problem.js'
import { node } from '../support.js'

export const THREE_NODES = node('n1', '10.0.0.1') + node('n2', '10.0.0.2') + node('n3', '10.0.0.3')

export function fixture(name: string): string {
  return readFileSync(fileURLToPath(new URL(`fixtures/${name}`, import.meta.url)), 'utf8')
}

export interface Built {
  readonly cluster: Cluster
  readonly problems: readonly Problem[]
  /** First lines. */
  readonly told: readonly string[]
}

/** The objects of t.yaml on three nodes of nodes.yaml. */
export function build(text: string, nodes = THREE_NODES): Built {
  const { cluster, problems } = buildCluster([
    { file: 'nodes.yaml', text: nodes },
    { file: 't.yaml', text },
  ])
  return { cluster, problems, told: problems.map((problem) => formatProblem(problem).split('\n')[0]) }
}

export function manifest(object: Readonly<Record<string, unknown>>): string {
  return `${JSON.stringify(object)}\n---\n`
}

interface Workload {
  readonly apiVersion?: string
  readonly kind: string
  readonly name?: string
  readonly metadata?: object
  readonly spec?: object
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly pod?: object
  readonly status?: object
}

/** With a selector that fits, and a template of one container. */
export function workload({ apiVersion = 'apps/v1', kind, name = 'web', metadata = {}, spec = {}, labels = { app: name }, ...rest }: Workload): string {
  const { annotations, pod = {}, status } = rest
  const template = { metadata: { labels, ...(annotations === undefined ? {} : { annotations }) }, spec: { containers: [{ name: 'c' }], ...pod } }
  const hasSelector = kind !== 'Job' && kind !== 'ReplicationController'
  return manifest({
    apiVersion,
    kind,
    metadata: { name, ...metadata },
    spec: { ...(hasSelector ? { selector: { matchLabels: labels } } : {}), template, ...spec },
    ...(status === undefined ? {} : { status }),
  })
}

export function names({ cluster }: Built): string[] {
  return cluster.pods.map(({ name }) => name)
}
