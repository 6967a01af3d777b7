/**
 * From a packet's interface to its endpoint's chain: one rule each, and where several interfaces have the same letter after what all of them
 * begin with, a chain for that letter. Felix has no order among them; here they are sorted.
 * Source: felix 1.4.9 calico/felix/dispatch.py, futils.py (find_longest_prefix).
 */
import type { ClassicConfig } from './config.js'
import { dropRules, fragments, type ClassicChain } from './fragment.js'
import { endpointChain, type DispatchNames } from './names.js'

type Config = Pick<ClassicConfig, 'drop' | 'prefixes'>

/** @param unknown what becomes of a packet of no known interface: those of workloads are dropped, those of the host go on */
export function dispatchChains(
  interfaces: readonly string[],
  names: DispatchNames,
  { config, unknown }: { readonly config: Config; readonly unknown: 'drop' | 'return' },
): readonly ClassicChain[] {
  const prefix = commonPrefix(interfaces)
  const groups = new Map<string, string[]>()
  for (const name of interfaces.toSorted()) {
    const letter = name.slice(prefix.length, prefix.length + 1)
    groups.set(letter, [...(groups.get(letter) ?? []), name])
  }
  return (['to', 'from'] as const).flatMap((way) => {
    const option = way === 'to' ? '--out-interface' : '--in-interface'
    const end =
      unknown === 'drop'
        ? dropRules(config, '', `${way === 'to' ? 'To' : 'From'} unknown endpoint`)
        : ['--jump RETURN --match comment --comment "Unknown interface, return"']
    const direct = (name: string): string => `${option} ${name} --goto ${endpointChain(way, name, config.prefixes)}`
    const leaf = (letter: string): string => `${way === 'to' ? names.toLeaf : names.fromLeaf}-${letter}`
    const root = [...groups].map(([letter, members]) => (members.length === 1 ? direct(members[0]) : `${option} ${prefix}${letter}+ --goto ${leaf(letter)}`))
    return [
      { name: way === 'to' ? names.to : names.from, rules: fragments([...root, ...end]) },
      ...[...groups]
        .filter(([, members]) => members.length > 1)
        .map(([letter, members]) => ({ name: leaf(letter), rules: fragments([...members.map(direct), ...end]) })),
    ]
  })
}

function commonPrefix(names: readonly string[]): string {
  return names.reduce((prefix, name) => {
    let length = 0
    while (length < prefix.length && prefix[length] === name[length]) length++
    return prefix.slice(0, length)
  }, names[0] ?? '')
}
