/** `netsim policy list --by-class`: a map by class as tables for people, as CSV, and as JSON Lines, which hold all of it. Written as it is worked out. */
import { connectionText, othersText, transportText } from '../policy/connection-text.js'
import type { ConnectionSet } from '../policy/connections.js'
import type { ClassMap, ClassRow } from '../policy/list/class-map.js'
import { ClassWords } from '../policy/list/class-words.js'
import { csvField } from '../policy/list/list-forms.js'
import { PairSums } from '../policy/list/pair-sums.js'
import type { PolicyWorld } from '../policy/model.js'
import type { ClassSet } from '../policy/reach/class-set.js'
import { table } from './table.js'

export interface ClassForm {
  /** Rows of a table, 0 for all. */
  readonly top: number
  /** Of --focus: pairs that are not asked for are not counted as closed. */
  readonly hasFocus: boolean
  /** Of --focus-conn: `TCP 80`. */
  readonly through?: string
}

/** Rows that wait until the best of them are kept, for each that is wanted. */
const WAITING = 8
const PIECE = 1 << 16

export function classText(map: ClassMap, world: PolicyWorld, form: ClassForm): string {
  const { rows, count, sums } = mostPairs(map, form.top)
  const words = new ClassWords(map, world)
  const cells = rows.map(({ sources, destinations, pairs, connections }) => {
    const [from, to] = [words.of(sources), words.of(destinations)]
    return [from.text, podsCell(from.pods), to.text, podsCell(to.pods), pairs === 0 ? '-' : String(pairs), connectionText(connections)]
  })
  const more = count - rows.length
  const left = more === 0 ? '' : `… ${counted(more, 'more row')} (--top 0 for all; -o jsonl: every class with its pods, and every row)\n`
  const parts = [headOf(map), totals(map, sums, form), ...(cells.length === 0 ? [] : [table(ROW_HEADING, cells) + left]), NOTES]
  return parts.filter((part) => part !== '').join('\n')
}

const ROW_HEADING = ['FROM EACH OF', 'PODS', 'TO EACH OF', 'PODS', 'PAIRS', 'CONNECTIONS']

const NOTES = `a class   pods that no policy tells apart; in focus or not as a whole
a pair    two pods, in one direction; what is in no row is not let through
not here  what an Ingress leads to, and workloads without a pod
`

function podsCell(pods: number): string {
  return pods === 0 ? '-' : String(pods)
}

function headOf({ classes, pods }: ClassMap): string {
  const inside = classes.filter((one) => one.pods.length > 0).length
  const beyond = classes.length - inside
  return `${counted(pods, 'pod')} in ${counted(inside, 'class', 'classes')}, ${counted(beyond, 'class', 'classes')} of addresses outside\n`
}

function totals(map: ClassMap, sums: PairSums, { hasFocus, through }: ClassForm): string {
  const found = sums.list()
  const all = map.pods * Math.max(0, map.pods - 1)
  const open = found.reduce((sum, { pairs }) => sum + pairs, 0)
  const rows = found.map(({ connections, pairs }) => [connectionText(connections), pairs])
  const closed = hasFocus || all === open ? [] : [[through === undefined ? 'nothing' : `not ${through}`, all - open]]
  const cells = [...rows, ...closed].map(([words, pairs]) => [String(words), String(pairs), share(Number(pairs), hasFocus ? open : all)])
  return cells.length === 0 ? '' : table(['CONNECTIONS', 'PAIRS', 'OF ALL'], cells)
}

function share(value: number, of: number): string {
  const percent = of === 0 ? 0 : (value * 100) / of
  return `${percent >= 0.1 || percent === 0 ? Number(percent.toFixed(1)) : Number(percent.toPrecision(1))} %`
}

function counted(value: number, word: string, several = `${word}s`): string {
  return `${value} ${value === 1 ? word : several}`
}

/** The rows of most pairs, by their pairs, and sums of all. */
function mostPairs(map: ClassMap, top: number): { readonly rows: readonly ClassRow[]; readonly count: number; readonly sums: PairSums } {
  const sums = new PairSums()
  let rows: ClassRow[] = []
  let count = 0
  const best = (): ClassRow[] => rows.sort((a, b) => b.pairs - a.pairs).slice(0, top === 0 ? rows.length : top)
  for (const row of map.rows()) {
    count++
    sums.add(row)
    rows.push(row)
    if (top > 0 && rows.length >= top * WAITING) rows = best()
  }
  map.ownNode.forEach((pairs) => sums.add(pairs))
  return { rows: best(), count, sums }
}

export function* classCsv(map: ClassMap, world: PolicyWorld): Generator<string> {
  const words = new ClassWords(map, world)
  yield 'src,srcPods,dst,dstPods,pairs,conn\n'
  for (const { sources, destinations, pairs, connections } of map.rows()) {
    const [from, to] = [words.of(sources), words.of(destinations)]
    yield `${[from.text, from.pods, to.text, to.pods, pairs, connectionText(connections)].map((cell) => csvField(String(cell))).join(',')}\n`
  }
}

/**
 * Kinds of lines, in this order: `class` (its pods), `set` (places of classes, from and to, where a row is the first to name it), `row` (numbers of two sets),
 * `total`. What is in no row is not let through.
 */
export function* classLines(map: ClassMap, world: PolicyWorld): Generator<string> {
  const words = new ClassWords(map, world)
  for (const [at, { pods }] of map.classes.entries()) {
    const { labels, namespaces, ranges } = words.common(at)
    const names = pods.map(({ namespace, name }) => `${namespace}/${name}`)
    const inside = { labels: [...labels], namespaces: [...namespaces], pods: names }
    yield line({ kind: 'class', class: at, ...(pods.length > 0 ? inside : { outside: ranges }) })
  }
  const sums = new PairSums()
  const numbers = new Map<string, number>()
  for (const row of map.rows()) {
    const sides: number[] = []
    for (const set of [row.sources, row.destinations]) {
      const classes = JSON.stringify(spans(set))
      const number = numbers.get(classes) ?? numbers.size
      if (number === numbers.size) yield `{"kind":"set","set":${number},"classes":${classes}}\n`
      numbers.set(classes, number)
      sides.push(number)
    }
    sums.add(row)
    yield line({ kind: 'row', from: sides[0], to: sides[1], pairs: row.pairs, ...connectionWords(row.connections) })
  }
  for (const { connections, pairs } of map.ownNode) {
    sums.add({ connections, pairs })
    yield line({ kind: 'ownNode', pairs, ...connectionWords(connections) })
  }
  for (const { connections, pairs } of sums.list()) yield line({ kind: 'total', pairs, ...connectionWords(connections) })
}

function line(value: unknown): string {
  return `${JSON.stringify(value)}\n`
}

/** As `-o json` of the list has them. */
function connectionWords(connections: ConnectionSet): { readonly conn: string; readonly others?: string } {
  const others = othersText(connections)
  return { conn: transportText(connections, true), ...(others === '' ? {} : { others }) }
}

/** First and last of numbers that follow one another. */
function spans(set: ClassSet): readonly (readonly [first: number, last: number])[] {
  const found: [number, number][] = []
  set.forEach((at) => {
    const last = found.at(-1)
    if (last !== undefined && last[1] === at - 1) last[1] = at
    else found.push([at, at])
  })
  return found
}

/** Many small texts as fewer longer ones. */
export function* pieces(texts: Iterable<string>): Generator<string> {
  let piece = ''
  for (const text of texts) {
    piece += text
    if (piece.length < PIECE) continue
    yield piece
    piece = ''
  }
  yield piece
}
