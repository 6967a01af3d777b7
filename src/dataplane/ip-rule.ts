/** `ip rule show` text ⇄ RoutingRuleSpec[], and `ip rule add|del …` (iproute2 6.1 iprule.c, net/core/fib_rules.c). */
import { formatCidr, parseCidr, type Cidr } from '../base/cidr.js'
import { formatIp, isIpv6Text } from '../base/ip.js'
import type { Problem } from '../base/problem.js'
import type { RoutingRuleSpec } from './dataplane.js'
import { parseTable } from './ip-route.js'
import { formatPortRange, formatProtocol, parsePortRange, parseProtocol } from './protocols.js'
import { parseRouteProtocol } from './route-words.js'
import { abbreviated, hex, linesOf, parseInteger, Report, Words, type CommandOptions, type Place } from './text.js'

/** What every netns is born with. An empty list of rules stands for these. */
export const DEFAULT_ROUTING_RULES: readonly RoutingRuleSpec[] = [
  { priority: 0, action: 'lookup', table: 'local', protocol: 'kernel' },
  { priority: 32766, action: 'lookup', table: 'main', protocol: 'kernel' },
  { priority: 32767, action: 'lookup', table: 'default', protocol: 'kernel' },
]

/** As `ip rule show` prints it, by rising priority. */
export function printRules(rules: readonly RoutingRuleSpec[]): string {
  return sortRules(rules)
    .map((rule) => `${rule.priority}:\t${printSelector(rule)}${printAction(rule)}\n`)
    .join('')
}

function sortRules(rules: readonly RoutingRuleSpec[]): readonly RoutingRuleSpec[] {
  return [...rules].sort((a, b) => a.priority - b.priority)
}

function prefix(net: Cidr | undefined): string {
  if (net === undefined || net.length === 0) return 'all'
  return net.length === 32 ? formatIp(net.base) : formatCidr(net)
}

function printSelector(rule: RoutingRuleSpec): string {
  const mask = rule.fwmask === undefined || rule.fwmask >>> 0 === 0xffffffff ? '' : `/${hex(rule.fwmask)}`
  const parts = [
    rule.not === true ? 'not' : undefined,
    `from ${prefix(rule.from)}`,
    rule.to === undefined ? undefined : `to ${prefix(rule.to)}`,
    rule.tos === undefined || rule.tos === 0 ? undefined : `tos ${hex(rule.tos, 2)}`,
    rule.fwmark === undefined ? undefined : `fwmark ${hex(rule.fwmark)}${mask}`,
    rule.iif === undefined ? undefined : `iif ${rule.iif}`,
    rule.oif === undefined ? undefined : `oif ${rule.oif}`,
    rule.ipproto === undefined ? undefined : `ipproto ${formatProtocol(rule.ipproto)}`,
    rule.sport === undefined ? undefined : `sport ${formatPortRange(rule.sport, '-')}`,
    rule.dport === undefined ? undefined : `dport ${formatPortRange(rule.dport, '-')}`,
  ]
  return parts
    .filter((part) => part !== undefined)
    .map((part) => `${part} `)
    .join('')
}

function printAction(rule: RoutingRuleSpec): string {
  const action = rule.action === 'lookup' ? `lookup ${rule.table ?? 'main'}` : rule.action === 'goto' ? `goto ${rule.goto}` : rule.action
  const suppress = rule.suppressPrefixLength === undefined ? '' : ` suppress_prefixlength ${rule.suppressPrefixLength}`
  const protocol = rule.protocol === undefined || rule.protocol === 'kernel' || rule.protocol === 'boot' ? '' : ` proto ${rule.protocol}`
  return `${action}${suppress}${protocol}`
}

type RuleWords = { -readonly [Key in keyof RoutingRuleSpec]?: RoutingRuleSpec[Key] }

/** Reads `ip rule show` text. The three rules of birth get `protocol: 'kernel'` back, which is not shown. */
export function parseRules(text: string, place: Place): { readonly rules: readonly RoutingRuleSpec[]; readonly problems: readonly Problem[] } {
  const report = new Report(place, { printed: true })
  const rules: RoutingRuleSpec[] = []
  for (const line of linesOf(text, report)) {
    const match = /^\s*(\d+):\s*(.*)$/.exec(line)
    if (match === null) {
      report.error(`"${line.trim()}" is no line of ip rule`, 'It begins with the priority and a colon.')
      continue
    }
    if (/\blookup \[l3mdev-table\]|\bl3mdev\b/.test(match[2])) {
      // of packets on a device of a VRF alone (net/l3mdev); such a device is not modelled, and says so itself
      report.warning('the rule of VRFs (l3mdev) is left out')
      continue
    }
    const said = readRule(Words.of(match[2]), report)
    if (said === undefined) continue
    const rule = ruleOf(said, Number(match[1]))
    const birth = DEFAULT_ROUTING_RULES.find((known) => printRules([known]) === printRules([rule]))
    rules.push({ ...(birth ?? rule), ...report.origin })
  }
  return { rules, problems: report.problems }
}

function ruleOf(said: RuleWords, priority: number): RoutingRuleSpec {
  const action = said.action ?? 'lookup'
  return { ...said, priority, action, ...(action === 'lookup' ? { table: said.table ?? 'main' } : {}) }
}

const ACTIONS = ['blackhole', 'unreachable', 'prohibit', 'nop'] as const
const NOT_MODELLED = ['realms', 'uidrange', 'suppress_ifgroup', 'tun_id', 'l3mdev', 'nat', 'map-to']

/** The words behind the priority, or behind `add`. undefined after a reported failure. */
function readRule(words: Words, report: Report): RuleWords | undefined {
  const rule: RuleWords = {}
  while (!words.done) {
    const word = words.next() ?? ''
    const action = ACTIONS.find((candidate) => candidate === word)
    if (action !== undefined) rule.action = action
    else if (word === 'not') rule.not = true
    else if (word === '[detached]' || word === '[unresolved]') continue
    else if (NOT_MODELLED.includes(word)) return report.error(`"${word}" of a routing rule is not modelled`, 'The rule is left out.')
    else if (!readSelector(word, words, rule, report)) return undefined
  }
  return rule
}

function readSelector(word: string, words: Words, rule: RuleWords, report: Report): boolean {
  const text = words.next()
  if (text === undefined)
    return report.error(SELECTORS.includes(word) ? `"${word}" requires an argument` : `argument "${word}" is wrong: Failed to parse rule type`) === true
  const set = <Key extends keyof RuleWords>(key: Key, value: RuleWords[Key] | undefined, what: string): boolean => {
    if (value === undefined) return report.error(`argument "${text}" is wrong: invalid ${what}`) === true
    rule[key] = value
    return true
  }
  switch (word) {
    case 'from':
    case 'to':
      return readNet(word, text, rule, report)
    case 'iif':
    case 'dev':
      return set('iif', text, 'device')
    case 'oif':
      return set('oif', text, 'device')
    case 'fwmark': {
      const [mark, mask] = text.split('/')
      if (mask !== undefined && !set('fwmask', parseInteger(mask), 'fwmask value')) return false
      return set('fwmark', parseInteger(mark), 'fwmark value')
    }
    case 'tos':
    case 'dsfield':
      return set('tos', /^(0x)?[0-9a-f]{1,2}$/i.test(text) ? Number.parseInt(text, 16) : undefined, 'TOS value')
    case 'ipproto':
      return set('ipproto', parseProtocol(text), 'ipproto value')
    case 'sport':
    case 'dport':
      return set(word, parsePortRange(text, '-'), 'port range')
    case 'lookup':
    case 'table':
      return set('table', parseTable(text, report), 'table ID')
    case 'goto':
      rule.action = 'goto'
      return set('goto', parseInteger(text), 'target')
    case 'suppress_prefixlength':
    case 'sup_pl':
      return set('suppressPrefixLength', parseInteger(text, 32), 'suppress_prefixlength value')
    case 'pref':
    case 'preference':
    case 'priority':
    case 'order':
      return set('priority', parseInteger(text), 'preference value')
    case 'proto':
    case 'protocol':
      return set('protocol', parseRouteProtocol(text, report), 'protocol value')
    case 'type':
      return set(
        'action',
        ACTIONS.find((candidate) => candidate === text),
        'rule type',
      )
    default:
      return report.error(`argument "${word}" is wrong: Failed to parse rule type`, 'Check the spelling of this word.') === true
  }
}

const SELECTORS = [
  'from',
  'to',
  'iif',
  'dev',
  'oif',
  'fwmark',
  'tos',
  'dsfield',
  'ipproto',
  'sport',
  'dport',
  'lookup',
  'table',
  'goto',
  'suppress_prefixlength',
  'pref',
  'priority',
  'proto',
  'type',
]

function readNet(side: 'from' | 'to', text: string, rule: RuleWords, report: Report): boolean {
  if (text === 'all' || text === 'any' || text === 'default' || text === '0/0') return true
  if (isIpv6Text(text.split('/')[0])) return report.error(`"${text}" is an IPv6 prefix, which is not modelled`) === true
  const net = parseCidr(text)
  if (net === 'host-bits')
    return report.error(`the prefix "${text}" of a routing rule has host bits, which is not modelled`, 'Clear the host bits: the kernel ignores them.') === true
  if (net === 'syntax') return report.error(`any valid prefix is expected rather than "${text}".`) === true
  if (net.length > 0) rule[side] = net
  return true
}

/** `ip rule add|del …` with or without the leading words. An empty list stands for the kernel's three rules. After an error the list is as it was. */
export function applyRuleCommand(
  rules: readonly RoutingRuleSpec[],
  text: string,
  place: Place,
  options: CommandOptions = {},
): { readonly rules: readonly RoutingRuleSpec[]; readonly problems: readonly Problem[] } {
  const report = new Report(place)
  return { rules: apply(rules.length === 0 ? DEFAULT_ROUTING_RULES : rules, text, options, report) ?? rules, problems: report.problems }
}

function apply(rules: readonly RoutingRuleSpec[], text: string, options: CommandOptions, report: Report): readonly RoutingRuleSpec[] | undefined {
  const words = Words.of(text)
  words.takeIf('ip')
  words.takeIf('-4')
  if (abbreviated(words.peek(), ['rule']) !== undefined) words.next()
  const word = words.next()
  const command = abbreviated(word, ['add', 'delete'])
  if (command === undefined) return report.error(`Command "${word ?? ''}" is unknown, try "ip rule help".`, 'Modelled are add and del.')
  if (words.done) return report.error(`"ip rule ${command}" requires arguments.`)
  const said = readRule(words, report)
  if (said === undefined) return undefined
  if (command === 'delete') return remove(rules, said, report)
  const rule = ruleOf(said, said.priority ?? nextPriority(rules))
  if (rule.action === 'goto' && (rule.goto ?? 0) <= rule.priority)
    return report.error('RTNETLINK answers: Invalid argument', 'goto leads to a higher priority only.')
  if (rules.some((other) => printRules([other]) === printRules([rule])))
    return report.error('RTNETLINK answers: File exists', 'There is this rule at this priority.')
  return sortRules([...rules, options.provenance === undefined ? rule : { ...rule, provenance: options.provenance }])
}

/** fib_default_rule_pref(): one before the second rule of the list. */
function nextPriority(rules: readonly RoutingRuleSpec[]): number {
  const second = sortRules(rules)[1]
  return second === undefined || second.priority === 0 ? 0 : second.priority - 1
}

/** The first rule that has all that was said (rule_find()). */
function remove(rules: readonly RoutingRuleSpec[], said: RuleWords, report: Report): readonly RoutingRuleSpec[] | undefined {
  const keys = Object.keys(said) as (keyof RuleWords)[]
  const victim = sortRules(rules).find((rule) => keys.every((key) => JSON.stringify(rule[key]) === JSON.stringify(said[key])))
  if (victim === undefined) return report.error('RTNETLINK answers: No such file or directory', 'No rule has all that the command says.')
  return rules.filter((rule) => rule !== victim)
}
