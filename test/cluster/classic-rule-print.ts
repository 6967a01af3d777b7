/** Rules of the classic model → the text that src/cluster/calico/classic-rule-text.ts reads, so that tests may go both ways. */
import { formatClassicPort, type ClassicRule, type ClassicRules, type ClassicSide } from '../../src/cluster/calico/classic-model.js'

export function formatClassicRule({ action, match, not }: ClassicRule): string {
  return [
    action,
    ...optional('', match.protocol),
    ...optional('!', not.protocol),
    ...numbered('type', match.icmpType),
    ...numbered('code', match.icmpCode),
    ...numbered('!type', not.icmpType),
    ...numbered('!code', not.icmpCode),
    ...sideWords('from', match.source, not.source),
    ...sideWords('to', match.destination, not.destination),
  ].join(' ')
}

function optional(prefix: string, value: string | undefined): string[] {
  return value === undefined ? [] : [prefix + value]
}

function numbered(word: string, value: number | undefined): string[] {
  return value === undefined ? [] : [word, `${value}`]
}

function sideWords(word: 'from' | 'to', match: ClassicSide, not: ClassicSide): string[] {
  const words = [...criteria('', match), ...criteria('!', not)]
  return words.length === 0 ? [] : [word, ...words]
}

function criteria(mark: '' | '!', { ports, tag, selector, net }: ClassicSide): string[] {
  return [
    ...(ports.length === 0 ? [] : [`${mark}ports`, ports.map(formatClassicPort).join(',')]),
    ...(tag === undefined ? [] : [`${mark}tag`, tag]),
    ...(selector === undefined ? [] : [`${mark}selector`, JSON.stringify(selector)]),
    ...(net === undefined ? [] : [`${mark}cidr`, net]),
  ]
}

/** As calicoctl shows a profile's rules. */
export function formatClassicListing({ inbound, outbound }: ClassicRules): string {
  const lines = (rules: readonly ClassicRule[]): string[] => rules.map((rule, index) => ` ${`${index + 1}`.padStart(3)} ${formatClassicRule(rule)}`)
  return [...['Inbound rules:', ...lines(inbound), 'Outbound rules:', ...lines(outbound)], ''].join('\n')
}
