/**
 * Two texts of `netsim show`, of two moments → the lines that are gone and those that are new, under the line that says where they stand: the node, the table
 * of iptables, the device. Columns of tables may have become wider: blanks make no line another. Another order alone is a change where order counts.
 */

export interface StateChange {
  /** Where several are shown: the node or pod. */
  readonly netns?: string
  /** The line that it stands under, as `*nat` or `3: eth0: …`. */
  readonly under?: string
  readonly sign: '+' | '-'
  readonly text: string
}

const HEADING = '# node '

export function stateChanges(before: string, after: string): readonly StateChange[] {
  const [was, is] = [sectionsOf(before), sectionsOf(after)]
  return [...new Set([...was.keys(), ...is.keys()])].flatMap((netns) => {
    const changes = linesChanged(was.get(netns) ?? [], is.get(netns) ?? [])
    return changes.map((change) => ({ ...(netns === '' ? {} : { netns }), ...change }))
  })
}

/** Under each heading its lines; '' where a text has none. */
function sectionsOf(text: string): ReadonlyMap<string, readonly string[]> {
  const sections = new Map<string, string[]>()
  let name = ''
  for (const line of text.split('\n')) {
    if (line.startsWith(HEADING)) name = line.slice(HEADING.length)
    else if (line !== '' && line !== 'COMMIT') push(sections, name, line.trimEnd())
  }
  return sections
}

function push(sections: Map<string, string[]>, name: string, line: string): void {
  const lines = sections.get(name)
  if (lines === undefined) sections.set(name, [line])
  else lines.push(line)
}

interface Located {
  readonly key: string
  readonly text: string
  readonly under?: string
}

function linesChanged(before: readonly string[], after: readonly string[]): readonly StateChange[] {
  const [was, is] = [located(before), located(after)]
  const kept = commonLines(
    was.map(({ key }) => key),
    is.map(({ key }) => key),
  )
  const gone = was.filter((_, index) => !kept.before.has(index))
  const fresh = is.filter((_, index) => !kept.after.has(index))
  const changes = [...gone.map((line) => ({ sign: '-' as const, line })), ...fresh.map((line) => ({ sign: '+' as const, line }))]
  return changes.map(({ sign, line: { text, under } }) => ({ ...(under === undefined ? {} : { under }), sign, text }))
}

function located(lines: readonly string[]): readonly Located[] {
  let table: string | undefined
  let parent: string | undefined
  return lines.map((text) => {
    if (text.startsWith('*')) table = text
    if (!/^\s/.test(text)) parent = text
    const under = /^\s/.test(text) ? parent : /^(-A|:)/.test(text) ? table : undefined
    const key = text.trim().replace(/\s+/g, ' ')
    return { text, key: under === undefined ? key : `${under.replace(/\s+/g, ' ')}\n${key}`, ...(under === undefined ? {} : { under }) }
  })
}

/** Longer middles are compared as bags of lines: what only moved within them is not seen. */
const MIDDLE_MOST = 3000

/** Places of the lines that both have, in one order: what is alike at both ends, and the longest common subsequence of the middle. */
function commonLines(a: readonly string[], b: readonly string[]): { readonly before: ReadonlySet<number>; readonly after: ReadonlySet<number> } {
  const [before, after] = [new Set<number>(), new Set<number>()]
  const keep = (i: number, j: number): void => {
    before.add(i)
    after.add(j)
  }
  let start = 0
  while (start < a.length && start < b.length && a[start] === b[start]) keep(start, start++)
  let end = 0
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) {
    keep(a.length - 1 - end, b.length - 1 - end)
    end++
  }
  const [rows, columns] = [a.length - start - end, b.length - start - end]
  const pairs = rows > MIDDLE_MOST || columns > MIDDLE_MOST ? bagPairs : subsequencePairs
  for (const [i, j] of pairs(a.slice(start, start + rows), b.slice(start, start + columns))) keep(start + i, start + j)
  return { before, after }
}

function subsequencePairs(a: readonly string[], b: readonly string[]): readonly (readonly [number, number])[] {
  const width = b.length + 1
  const lengths = new Int32Array((a.length + 1) * width)
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--) {
      const at = i * width + j
      lengths[at] = a[i] === b[j] ? lengths[at + width + 1] + 1 : Math.max(lengths[at + width], lengths[at + 1])
    }
  const pairs: (readonly [number, number])[] = []
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    if (a[i] === b[j]) pairs.push([i++, j++])
    else if (lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) i++
    else j++
  }
  return pairs
}

function bagPairs(a: readonly string[], b: readonly string[]): readonly (readonly [number, number])[] {
  const places = new Map<string, number[]>()
  b.forEach((line, j) => places.set(line, [...(places.get(line) ?? []), j]))
  return a.flatMap((line, i): (readonly [number, number])[] => {
    const j = places.get(line)?.shift()
    return j === undefined ? [] : [[i, j]]
  })
}

/** Lines with `+` and `-`, each heading once; nothing where nothing changed. */
export function changesText(changes: readonly StateChange[]): string {
  const lines: string[] = []
  let [netns, under]: (string | undefined)[] = [undefined, undefined]
  for (const change of changes) {
    if (change.netns !== netns) {
      lines.push(`${HEADING}${change.netns ?? ''}`)
      under = undefined
    }
    // a line that is new itself stands above what is under it
    if (change.under !== under && change.under !== undefined && lines.at(-1) !== `${change.sign} ${change.under}`) lines.push(`  ${change.under}`)
    lines.push(`${change.sign} ${change.text}`)
    netns = change.netns
    under = change.under
  }
  return lines.map((line) => `${line}\n`).join('')
}
