/**
 * Commands for a root shell out of words that a dump may have given: each is quoted, so that the shell takes it as one word and does nothing that it says.
 */
import { shellWord } from '../../base/shell.js'
import { splitWords } from '../../dataplane/text.js'

/** In place of a command whose words cannot be typed. */
export const LEFT_OUT = '# no command: a name in it holds a line break, or what no terminal shows'

/** What a terminal, or who pastes, would take for the end of a line or for a key. */
// eslint-disable-next-line no-control-regex -- these are what is looked for
const UNTYPED = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/

/** A template of a command: what stands in it as written is sh, each value becomes one word of it, and a list of values that many. */
export function mend(sh: TemplateStringsArray, ...values: readonly (string | number | readonly string[])[]): string {
  const lists = values.map((value) => (typeof value === 'object' ? value : [String(value)]))
  if (lists.some((words) => words.some((word) => UNTYPED.test(word)))) return LEFT_OUT
  return sh.reduce((text, piece, at) => text + lists[at - 1].map(shellWord).join(' ') + piece)
}

/** The words of a line that ip, bridge, wg or ipset prints: none of their names has a blank in it. */
export function wordsOf(text: string): readonly string[] {
  return text.split(' ').filter((word) => word !== '')
}

/** The words of a rule as iptables-save prints it, its escapes undone: a quote that stays open cannot be typed. */
export function savedWords(text: string): readonly string[] {
  return splitWords(text, { shell: false }) ?? ['\n']
}
