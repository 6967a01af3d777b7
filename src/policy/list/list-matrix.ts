/**
 * A PolicyMap as a picture of letters: a line for each source, a column for each destination, numbered; what a cell says is in the key below.
 *   # everything   + something   . nothing   (blank) itself
 */
import type { ListPeer, PolicyMap } from './list.js'

interface MatrixLetters {
  readonly all: string
  readonly some: string
  readonly none: string
}

const PLAIN: MatrixLetters = { all: '#', some: '+', none: '.' }

export function listMatrix(map: PolicyMap): string {
  const { sources, destinations } = matrixPeers(map)
  if (sources.length === 0 || destinations.length === 0) return ''
  const cells = new Map(map.rows.map(({ source, destination, connections }) => [`${source.text}\n${destination.text}`, connections.isAll]))
  const numbers = new Map(destinations.map(({ text }, index) => [text, index + 1]))
  const width = Math.max(...sources.map(({ text }) => text.length))
  const digits = `${destinations.length}`.length
  const heads = Array.from({ length: digits }, (_, digit) => {
    const line = destinations.map((_peer, index) => `${index + 1}`.padStart(digits)[digit]).join(' ')
    return `${' '.repeat(width + digits + 3)}${line}`.trimEnd()
  })
  const lines = sources.map((source) => {
    const number = numbers.get(source.text)
    const row = destinations.map((destination) => {
      if (source.text === destination.text || (source.kind === 'outside' && destination.kind === 'outside')) return ' '
      const isAll = cells.get(`${source.text}\n${destination.text}`)
      return isAll === undefined ? PLAIN.none : isAll ? PLAIN.all : PLAIN.some
    })
    return `${`${number ?? ''}`.padStart(digits)}  ${source.text.padEnd(width)} ${row.join(' ')}`.trimEnd()
  })
  const more = destinations.filter(({ text }) => !sources.some((source) => source.text === text))
  const named = more.map(({ text }) => `${`${numbers.get(text) ?? ''}`.padStart(digits)}  ${text}`)
  const key = `${PLAIN.all} everything  ${PLAIN.some} something  ${PLAIN.none} nothing; from the left to the number above`
  return `${[...heads, ...lines, ...named, '', key].join('\n')}\n`
}

/** Workloads all of them, others where they have a row; the same order on both sides. */
export function matrixPeers({ rows, workloads }: PolicyMap): { readonly sources: readonly ListPeer[]; readonly destinations: readonly ListPeer[] } {
  const side = (peers: readonly ListPeer[]): readonly ListPeer[] => {
    const all = new Map([...workloads, ...peers].map((peer) => [peer.text, peer]))
    return [...all.values()].sort((a, b) => order(a) - order(b) || (a.text < b.text ? -1 : 1))
  }
  return { sources: side(rows.map(({ source }) => source)), destinations: side(rows.map(({ destination }) => destination)) }
}

const KINDS: readonly ListPeer['kind'][] = ['workload', 'ingress-controller', 'outside']

function order({ kind }: ListPeer): number {
  return KINDS.indexOf(kind)
}
