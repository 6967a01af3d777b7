/** Text within XML 1.0: of an element or of an attribute in double quotes. */

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

/** XML 1.0 §2.2 knows no control letters; a line break within an attribute stands for itself as a reference. */
export function xmlText(text: string): string {
  return (
    text
      .replace(/[&<>"]/g, (letter) => ENTITIES[letter])
      // eslint-disable-next-line no-control-regex
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '?')
      .replaceAll('\n', '&#10;')
  )
}
