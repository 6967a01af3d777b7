/** Lists made shorter. */

/** Halves, then each one, left out. */
export function without<Item>(items: readonly Item[]): (readonly Item[])[] {
  if (items.length === 0) return []
  const half = items.length >> 1
  const halves = items.length > 3 ? [items.slice(half), items.slice(0, half)] : []
  return [...(items.length > 1 ? [[]] : []), ...halves, ...items.map((_, index) => items.filter((__, other) => other !== index))]
}
