/** A rule that a kernel holds and that is not understood → what of it is, and an unknown match for the rest: INCOMPLETE for a packet that may match it. */
import type { Match, Rule } from './iptables.js'
import { parseNetwork, parseProtocol } from './iptables-option.js'
import { BUILTIN_OPTIONS, quoteWords } from './iptables-rule.js'

/**
 * The rule of words that parseRule could not read: its addresses, protocol and devices where those are understood, so that packets which they exclude
 * pass it by, and one unknown match with the rest.
 */
export function keptRule(words: readonly string[]): Rule {
  const matches: Match[] = []
  const rest: string[] = []
  for (let i = 0; i < words.length; i++) {
    const invert = words[i] === '!' && i + 1 < words.length
    const at = invert ? i + 1 : i
    const name = BUILTIN_OPTIONS[Object.hasOwn(BUILTIN_OPTIONS, words[at]) ? words[at] : '']
    const match = matches.some(({ kind }) => `--${kind}` === name) ? undefined : builtinMatch(name, words[at + 1])
    if (match === undefined) rest.push(words[i])
    else {
      matches.push((invert ? { ...match, invert } : match) as Match)
      i = at + 1
    }
  }
  return { matches: [...matches, { kind: 'unknown', module: '', text: quoteWords(rest) }] }
}

function builtinMatch(name: string | undefined, argument: string | undefined): Match | undefined {
  if (argument === undefined) return undefined
  if (name === '--source' || name === '--destination') {
    const net = parseNetwork(argument)
    return typeof net === 'string' || net.length === 0 ? undefined : { kind: name.slice(2) as 'source' | 'destination', net }
  }
  if (name === '--protocol') {
    const proto = parseProtocol(argument)
    return proto === undefined || proto === 0 ? undefined : { kind: 'protocol', proto }
  }
  if (name !== '--in-interface' && name !== '--out-interface') return undefined
  return argument === '' || argument.length > 15 || argument === '+' ? undefined : { kind: name.slice(2) as 'in-interface' | 'out-interface', name: argument }
}
