/** Tables as kubectl prints them: a heading in capitals, columns three blanks apart, `<none>` for nothing. */

export function table(heading: readonly string[], rows: readonly (readonly (string | undefined)[])[]): string {
  const cells = [heading, ...rows.map((row) => heading.map((_, column) => row[column] || '<none>'))]
  const widths = heading.map((_, column) => Math.max(...cells.map((row) => row[column].length)))
  return cells
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column]))
          .join('   ')
          .trimEnd()}\n`,
    )
    .join('')
}
