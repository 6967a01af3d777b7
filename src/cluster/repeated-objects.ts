/**
 * Objects that stand in the input twice. Two that an API server gave are one object at two moments (dumps take minutes, and files of several
 * are put together): the newer one is kept, which the resourceVersion tells (k8s.io/api meta/v1: the server's order of changes). Two that
 * somebody wrote, and that differ, are a mistake.
 */
import { isObject } from './located.js'
import type { KubernetesObject } from './manifest.js'
import { formatPlace, type ProblemList } from './problem-list.js'

interface Pair {
  readonly kept: KubernetesObject
  readonly left: KubernetesObject
  count: number
}

export class RepeatedObjects {
  private readonly problems: ProblemList
  /** By the two files. */
  private readonly pairs = new Map<string, Pair>()

  constructor(problems: ProblemList) {
    this.problems = problems
  }

  /** Whether `later` takes the place of `earlier`. */
  isNewer(later: KubernetesObject, earlier: KubernetesObject): boolean {
    const [a, b] = [identityOf(earlier), identityOf(later)]
    if (a === undefined || b === undefined) {
      if (JSON.stringify(earlier.value) !== JSON.stringify(later.value))
        this.problems.error(later, later.label, `stands here and in ${formatPlace(earlier)}, and the two differ`, 'Keep one of them.')
      return false
    }
    if (a.uid === b.uid && a.version === b.version) return false
    const isNewer = !isHigher(a.version, b.version)
    const files = `${earlier.file}\n${later.file}`
    const pair = this.pairs.get(files)
    if (pair === undefined) this.pairs.set(files, { kept: isNewer ? later : earlier, left: isNewer ? earlier : later, count: 1 })
    else pair.count++
    return isNewer
  }

  /** One warning for each two files: between dumps of two moments thousands may differ. */
  tell(): void {
    for (const { kept, left, count } of this.pairs.values()) {
      const more = count === 1 ? '' : `; so do ${count - 1} more`
      this.problems.warning(
        kept,
        kept.label,
        `stands here and in ${formatPlace(left)} as of another moment${more}: the newer one is kept`,
        'A dump of one moment leaves no doubt.',
      )
    }
  }
}

interface Identity {
  readonly uid: string
  readonly version: string
}

/** undefined for an object that no API server gave. */
function identityOf({ value: { metadata } }: KubernetesObject): Identity | undefined {
  if (!isObject(metadata)) return undefined
  const { uid, resourceVersion } = metadata
  if (typeof uid !== 'string' || uid === '') return undefined
  return { uid, version: typeof resourceVersion === 'string' ? resourceVersion : '' }
}

/** Whole numbers of any length; of two that say nothing the later one of the input counts. */
function isHigher(a: string, b: string): boolean {
  const [x, y] = [a, b].map((text) => (/^[0-9]+$/.test(text) ? text.replace(/^0+/, '') : ''))
  return x.length === y.length ? x > y : x.length > y.length
}
