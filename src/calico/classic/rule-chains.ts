/**
 * A profile's or a policy's rules → its two chains. A rule that allows sets a mark and returns: what the caller does with an unmarked packet is
 * the caller's business. Many ports on both sides multiply out. What the generator cannot say drops everything, as in Felix.
 * Source: felix 1.4.9 calico/felix/plugins/fiptgenerator.py (profile_updates, _rule_to_iptables_fragments_inner).
 */
import type { Provenance } from '../../dataplane/dataplane.js'
import {
  formatClassicPort,
  type ClassicMatch,
  type ClassicPort,
  type ClassicRule,
  type ClassicRules,
  type ClassicSide,
} from '../../cluster/calico/classic-model.js'
import { parseSelector, isSelectorFault } from '../../cluster/selector.js'
import { assert } from '../../base/assert.js'
import { splitPorts } from '../felix/port-split.js'
import type { ClassicConfig } from './config.js'
import { bit, dropRules, type ClassicChain, type Fragment } from './fragment.js'
import { rulesChain, selectorSet, tagSet } from './names.js'

/** Whose rules they are: `profile/WEB`, `policy/default/no-telnet`. */
export interface RulesOwner {
  /** What the chains are named by. */
  readonly id: string
  readonly label: string
  readonly rules: ClassicRules
}

type Config = Pick<ClassicConfig, 'marks' | 'drop'>

export function rulesChains({ id, label, rules }: RulesOwner, config: Config): readonly ClassicChain[] {
  return (['inbound', 'outbound'] as const).map((direction) => ({
    name: rulesChain(id, direction),
    rules: rules[direction].flatMap((rule, index): readonly Fragment[] => {
      if (rule.ipVersion === 6) return []
      const place = rule.file === '' ? {} : { file: rule.file, line: rule.line }
      const provenance: Provenance = { by: 'felix', object: `${label} ${direction} rule ${index + 1}`, ...place }
      return ruleFragments(rule, config).map((words) => ({ words, provenance }))
    }),
    provenance: { by: 'felix', object: label },
  }))
}

/** In the IPv4 tables. */
export function ruleFragments(rule: ClassicRule, config: Config): readonly string[] {
  if (cannotRender(rule) !== undefined) return dropRules(config, '', 'ERROR failed to parse rules')
  const { source, destination } = rule.match
  return chunks(source.ports).flatMap((sourcePorts) =>
    chunks(destination.ports).flatMap((destinationPorts) => oneRule(rule, { src: sourcePorts, dst: destinationPorts }, config)),
  )
}

/** What stops Felix's generator: it logs the failure and puts a rule that drops everything in the rule's place. */
export function cannotRender({ match, not }: ClassicRule): string | undefined {
  const withPorts = [match, not].some(({ source, destination }) => source.ports.length + destination.ports.length > 0)
  if (withPorts && match.protocol !== 'tcp' && match.protocol !== 'udp') return `it renders ports of tcp and udp alone, not of ${match.protocol ?? 'any'}`
  if (match.icmpType === 255 || not.icmpType === 255) return 'the kernel matches no ICMP type 255'
  return undefined
}

/** What a rule says and Felix leaves out: it then matches more than it reads. */
export function leftOut({ match, not }: ClassicRule): readonly string[] {
  const nets = [match, not].flatMap(({ source, destination }) => [source.net, destination.net].flatMap((net) => (net?.includes(':') === true ? [net] : [])))
  const hasIcmp = match.icmpType !== undefined || not.icmpType !== undefined
  return [...nets, ...(hasIcmp && match.protocol !== 'icmp' ? ['the ICMP type'] : [])]
}

function chunks(ports: readonly ClassicPort[]): readonly (readonly ClassicPort[])[] {
  return ports.length === 0 ? [[]] : splitPorts(ports)
}

function oneRule(rule: ClassicRule, ports: Readonly<Record<'src' | 'dst', readonly ClassicPort[]>>, { marks, drop }: Config): readonly string[] {
  const { action, logPrefix } = rule
  const criteria = [...criteriaOf('', rule.match, rule.match.protocol, ports), ...criteriaOf('! ', rule.not, rule.match.protocol)].join(' ')
  const log = (prefix: string): string => `--jump LOG --log-prefix "${prefix}: " --log-level 5`
  const joined = (target: string): string => (criteria === '' ? target : `${criteria} ${target}`)
  const safePrefix = logPrefix?.replace(/[^a-zA-Z0-9_:-]/g, '_').slice(0, 27)
  switch (action) {
    case 'log':
      return [joined(log(safePrefix ?? 'calico-packet'))]
    case 'deny':
      return [...(safePrefix === undefined ? [] : [joined(log(safePrefix))]), ...dropRules({ drop }, criteria)]
    case 'allow':
    case 'next-tier': {
      const mark = bit(action === 'allow' ? marks.accept : marks.nextTier)
      return [
        joined(`--jump MARK --set-mark ${mark}`),
        ...(safePrefix === undefined ? [] : [`--match mark --mark ${mark} ${log(safePrefix)}`]),
        `--match mark --mark ${mark} --jump RETURN`,
      ]
    }
  }
}

/** @param ports of one chunk; absent for the opposites, which stand one after another instead */
function criteriaOf(
  not: '' | '! ',
  { protocol, icmpType, icmpCode, source, destination }: ClassicMatch,
  ruleProtocol: string | undefined,
  ports?: Readonly<Record<'src' | 'dst', readonly ClassicPort[]>>,
): readonly string[] {
  const icmp =
    icmpType === undefined || ruleProtocol !== 'icmp' ? [] : [`--match icmp ${not}--icmp-type ${icmpType}${icmpCode === undefined ? '' : `/${icmpCode}`}`]
  return [
    ...(protocol === undefined ? [] : [`${not}--protocol ${protocol}`]),
    ...sideCriteria(not, 'src', source, ports === undefined ? undefined : [ports.src]),
    ...sideCriteria(not, 'dst', destination, ports === undefined ? undefined : [ports.dst]),
    ...icmp,
  ]
}

/** A net of the other family says nothing here: the rule is then wider than it reads. */
function sideCriteria(
  not: '' | '! ',
  side: 'src' | 'dst',
  { net, tag, selector, ports }: ClassicSide,
  chunk?: readonly (readonly ClassicPort[])[],
): readonly string[] {
  const direction = side === 'src' ? 'source' : 'destination'
  const lists = (chunk ?? splitPorts(ports)).filter((list) => list.length > 0)
  return [
    ...(net === undefined || net.includes(':') ? [] : [`${not}--${direction} ${net}`]),
    ...(tag === undefined ? [] : [`--match set ${not}--match-set ${tagSet(tag)} ${side}`]),
    ...(selector === undefined ? [] : [`--match set ${not}--match-set ${setOfSelector(selector)} ${side}`]),
    ...lists.map((list) => `--match multiport ${not}--${direction}-ports ${list.map(formatClassicPort).join(',')}`),
  ]
}

function setOfSelector(text: string): string {
  const selector = parseSelector(text)
  assert(!isSelectorFault(selector), `an unread selector: ${text}`)
  return selectorSet(selector)
}
