/** Scenarios from text, for tests. */
import fc from 'fast-check'
import type { Problem } from '../../../src/base/problem.js'
import { readManifests, type KubernetesObject } from '../../../src/cluster/manifest.js'
import { ProblemList } from '../../../src/cluster/problem-list.js'
import type { AppliedFiles } from '../../../src/cluster/scenario/read-event.js'
import { isScenario, readScenario } from '../../../src/cluster/scenario/read-scenario.js'
import type { Scenario } from '../../../src/cluster/scenario/scenario.js'

interface ReadText {
  readonly object?: KubernetesObject
  readonly read?: Scenario
  readonly problems: readonly Problem[]
}

/** The first Scenario of a text. */
export function readText(text: string, files: AppliedFiles = new Map()): ReadText {
  const list = new ProblemList()
  const object = readManifests([{ file: 's.yaml', text }], list).objects.find(isScenario)
  const read = object === undefined ? undefined : readScenario(object, files, list)
  return { ...(object === undefined ? {} : { object }), ...(read === undefined ? {} : { read }), problems: list.problems }
}

export const objectsOf = (text: string, file = 'x.yaml'): readonly KubernetesObject[] => readManifests([{ file, text }], new ProblemList()).objects

const value: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(
    '1s',
    '0',
    'n1',
    'down',
    'np.yaml',
    'np/a/b',
    'flanneld',
    'restart',
    '10.1.0.0/24',
    '10.0.0.1',
    '10%',
    'a=b',
    'router/r0',
    '-A FORWARD -j DROP',
    '',
  ),
  fc.constantFrom<unknown>(null, true, false, 0, 1, 1400, 5, [], {}, ['a-'], ['n1', 'n2'], [1], {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'x' },
  }),
)

const some = (fields: readonly string[]): fc.Arbitrary<object> => fc.dictionary(fc.constantFrom(...fields), value, { maxKeys: 3, noNullPrototype: true })

const at = fc.constantFrom<unknown>('1s', '1s', '1h30m', 0)

/** Near what an event is: often one that is right. */
export const arbitraryEvent: fc.Arbitrary<object> = fc.oneof(
  ...(
    [
      ['apply', []],
      ['delete', []],
      ['scale', ['replicas']],
      ['rollout', ['of']],
      ['label', ['set']],
      ['move', ['to']],
      ['node', ['state']],
      ['cable', ['segment', 'cut', 'loss', 'delay']],
      ['stop', ['on']],
      ['kill', ['on']],
      ['start', ['on']],
      ['deleteLease', []],
      ['mtu', ['segment', 'node']],
      ['firewall', ['iptables']],
      ['resetBGP', ['peer']],
    ] as const
  ).map(([key, others]) =>
    fc.tuple(at, value, others.length === 0 ? fc.constant({}) : some(others)).map(([time, main, rest]) => ({ at: time, [key]: main, ...rest })),
  ),
)

export const arbitraryProbe: fc.Arbitrary<object> = some(['name', 'proto', 'size', 'every', 'start', 'stop', 'connection']).map((rest) => ({
  from: 'a/b',
  to: 'c/d:80',
  ...rest,
}))
