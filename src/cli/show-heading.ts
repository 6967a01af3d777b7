/** A comment line before each text when there are several: the tools that read these texts skip it. */

export function withHeadings(texts: readonly (readonly [name: string, text: string])[]): string {
  return texts.length === 1 ? texts[0][1] : texts.map(([name, text]) => `# node ${name}\n${text}`).join('')
}
