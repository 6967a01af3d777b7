/**
 * What two lists whose order counts have in common: how they begin, how they end, and between the longest run of words that both have in one order, where
 * of words that are there several times the first is held against the first. By patience sorting: n log n.
 */

/** Places in both, rising in both. */
export function commonRun(was: readonly string[], is: readonly string[]): readonly (readonly [was: number, is: number])[] {
  const shorter = Math.min(was.length, is.length)
  let head = 0
  while (head < shorter && was[head] === is[head]) head++
  let tail = 0
  while (tail < shorter - head && was[was.length - 1 - tail] === is[is.length - 1 - tail]) tail++
  const between = middleRun(was.slice(head, was.length - tail), is.slice(head, is.length - tail))
  return [
    ...Array.from({ length: head }, (_, at): [number, number] => [at, at]),
    ...between.map(([from, to]): [number, number] => [from + head, to + head]),
    ...Array.from({ length: tail }, (_, at): [number, number] => [was.length - tail + at, is.length - tail + at]),
  ]
}

function middleRun(was: readonly string[], is: readonly string[]): readonly (readonly [was: number, is: number])[] {
  const places = new Map(numbered(is).map((key, at) => [key, at]))
  const common = numbered(was).flatMap((key, from): [number, number][] => {
    const to = places.get(key)
    return to === undefined ? [] : [[from, to]]
  })
  return risingRun(common.map(([, to]) => to)).map((at) => common[at])
}

/** Each word with how many of its like stand before it. */
function numbered(words: readonly string[]): string[] {
  const seen = new Map<string, number>()
  return words.map((word) => {
    const count = seen.get(word) ?? 0
    seen.set(word, count + 1)
    return `${count} ${word}`
  })
}

/** Places of a longest rising run of values, none of them twice. */
function risingRun(values: readonly number[]): number[] {
  const tails: number[] = []
  const before: number[] = []
  values.forEach((value, at) => {
    let low = 0
    let high = tails.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (values[tails[middle]] < value) low = middle + 1
      else high = middle
    }
    before[at] = low === 0 ? -1 : tails[low - 1]
    tails[low] = at
  })
  const run: number[] = []
  for (let at = tails.at(-1) ?? -1; at >= 0; at = before[at]) run.push(at)
  return run.reverse()
}
