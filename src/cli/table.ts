/** Tables as kubectl prints them: a heading in capitals, columns three blanks apart where nothing else is asked, `<none>` for nothing. */

export function table(heading: readonly string[], rows: readonly (readonly (string | undefined)[])[], gap = 3): string {
  const cells = [heading, ...rows.map((row) => heading.map((_, column) => row[column] || '<none>'))]
  const widths = heading.map((_, column) => Math.max(...cells.map((row) => row[column].length)))
  return cells
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column]))
          .join(' '.repeat(gap))
          .trimEnd()}\n`,
    )
    .join('')
}
