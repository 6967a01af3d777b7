/** Words for a POSIX shell (XCU 2.2.2, Single-Quotes). */

/** The text as one word of sh, whatever is in it. */
export function shellWord(text: string): string {
  return text === '!' || /^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
