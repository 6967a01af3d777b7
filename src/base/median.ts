/** The middle of what was measured again and again. */

/** Of an even number of values: halfway between the two in the middle. Of none: NaN. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2
}
