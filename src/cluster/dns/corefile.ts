/**
 * A Corefile → server blocks with their plugins. Syntax after coredns/caddy caddyfile/{lexer,parse}.go: blanks separate words, quotes hold them
 * together, # begins a comment where a word begins, a brace opens a block at the end of a line and closes it on a line of its own.
 */
export interface CorefileLine {
  readonly words: readonly string[]
  /** 1-based, of the Corefile's own text. */
  readonly line: number
  /** What stood between its braces. */
  readonly block: readonly CorefileLine[]
}

export interface ServerBlock {
  /** Lower case, without the last dot; empty: the root. */
  readonly zones: readonly string[]
  readonly plugins: readonly CorefileLine[]
  readonly line: number
}

interface CorefileFault {
  readonly line: number
  readonly what: string
}

interface Corefile {
  readonly servers: readonly ServerBlock[]
  readonly faults: readonly CorefileFault[]
}

/** As good as the text allows. */
export function parseCorefile(text: string): Corefile {
  const faults: CorefileFault[] = []
  const reader: Reader = { lines: linesOf(text), at: 0, faults }
  const servers = readBlock(reader, undefined)
    // (snippet) { ... } is text to import
    .filter(({ words }) => words.length > 0 && !/^\(.*\)$/.test(words[0]))
    .map(({ words, block, line }) => ({
      zones: words
        .flatMap((word) => word.split(','))
        .filter(Boolean)
        .flatMap(zoneOf),
      plugins: block,
      line,
    }))
  return { servers, faults }
}

interface Line {
  readonly words: readonly string[]
  readonly line: number
}

interface Reader {
  readonly lines: readonly Line[]
  at: number
  readonly faults: CorefileFault[]
}

function linesOf(text: string): Line[] {
  return text
    .split('\n')
    .map((line, index) => ({ words: wordsOf(line), line: index + 1 }))
    .filter(({ words }) => words.length > 0)
}

function wordsOf(line: string): string[] {
  const words: string[] = []
  for (const [word] of line.matchAll(/"(?:\\"|[^"])*"?|\S+/g)) {
    if (word.startsWith('#')) break
    words.push(word.startsWith('"') ? word.replace(/^"|"$/g, '').replaceAll('\\"', '"') : word)
  }
  return words
}

/** Up to the brace that closes the block of `opened`; absent: up to the end of the text. Depth is bounded by what plugins nest. */
function readBlock(reader: Reader, opened: number | undefined, depth = 0): CorefileLine[] {
  const read: CorefileLine[] = []
  while (reader.at < reader.lines.length) {
    const { words, line } = reader.lines[reader.at++]
    if (words[0] === '}') {
      if (opened !== undefined) return read
      reader.faults.push({ line, what: 'a closing brace without one that opens' })
    } else if (words.at(-1) !== '{') read.push({ words, line, block: [] })
    else if (depth > MAX_DEPTH) reader.faults.push({ line, what: 'braces inside braces beyond any plugin' })
    else read.push({ words: words.slice(0, -1), line, block: readBlock(reader, line, depth + 1) })
  }
  if (opened !== undefined) reader.faults.push({ line: opened, what: 'the brace is not closed' })
  return read
}

const MAX_DEPTH = 8

/** `dns://cluster.local:1053` → `cluster.local`; a prefix is its reverse zone, where it ends at an octet (plugin.Host.Normalize). */
export function zoneOf(word: string): string[] {
  const bare = word
    .toLowerCase()
    .replace(/^[a-z]+:\/\//, '')
    .replace(/:[0-9]+$/, '')
  const prefix = /^([0-9.]+)\/(8|16|24|32)$/.exec(bare)
  if (prefix !== null) {
    const octets = prefix[1].split('.').slice(0, Number(prefix[2]) / 8)
    return [`${octets.reverse().join('.')}.in-addr.arpa`]
  }
  return [bare.replace(/\.$/, '')]
}

export function inZone(name: string, zone: string): boolean {
  return zone === '' || name === zone || name.endsWith(`.${zone}`)
}

/** The longest zone that holds the name (lower case both). */
export function zoneFor(name: string, zones: readonly string[]): string | undefined {
  return zones.filter((zone) => inZone(name, zone)).sort((a, b) => b.length - a.length)[0]
}
