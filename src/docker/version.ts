/** Docker's version numbers, by their parts: `17.06` before `18.09.1` before `27`. */

/** A part that is not given is taken as the newest: `28` is at least 28.0.1. */
export function atLeast(version: string, minimum: string): boolean {
  const have = partsOf(version)
  for (const [index, wanted] of partsOf(minimum).entries()) {
    const part = have[index] ?? Infinity
    if (part !== wanted) return part > wanted
  }
  return true
}

/** `v27.3.1-ce` → 27, 3, 1. */
function partsOf(version: string): number[] {
  return version
    .replace(/^v/, '')
    .replace(/[-+~].*$/, '')
    .split('.')
    .map((part) => Number.parseInt(part, 10) || 0)
}
