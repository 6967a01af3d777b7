/** A set of connections in a sentence: `TCP 80,UDP 53`, `everything`, `everything but TCP 22`. */
import { connectionText } from './connection-text.js'
import { ConnectionSet } from './connections.js'

export function connectionWords(set: ConnectionSet): string {
  if (set.isEmpty) return 'nothing'
  if (set.isAll) return 'everything'
  const words = connectionText(set)
  const others = `everything but ${connectionText(ConnectionSet.all.minus(set))}`
  return others.length < words.length ? others : words
}
