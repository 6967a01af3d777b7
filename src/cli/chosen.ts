/** Objects by the name that the command line gives: `NAME` of the namespace of bare names, or `ns/NAME`. */
import { suggestName } from '../cluster/nearest-name.js'
import { UsageError } from './exit.js'

export interface Wanted {
  /** As written: `NAME`, `ns/NAME`; of dns a name. Absent: all. */
  readonly name: string | undefined
  /** Of bare names. */
  readonly namespace: string
}

/** Those that the name means. @throws UsageError when there are none */
export function chosen<Named extends { readonly namespace: string; readonly name: string }>(
  what: string,
  all: readonly Named[],
  { name: word, namespace }: Wanted,
): readonly Named[] {
  if (word === undefined) return all
  const bare = word.replace(/^(svc|service|ingress|ing)\//, '')
  const full = bare.includes('/') ? bare : `${namespace}/${bare}`
  const found = all.filter((one) => `${one.namespace}/${one.name}` === full)
  if (found.length > 0) return found
  const names = all.map((one) => (one.namespace === namespace ? one.name : `${one.namespace}/${one.name}`))
  throw new UsageError(`there is no ${what} '${full}'. ${suggestName(bare, names)}`)
}
