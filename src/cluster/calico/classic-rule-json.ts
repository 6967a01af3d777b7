/**
 * A rule as etcd holds it: JSON ↔ ClassicRule. Every criterion may stand with `!` before its name. Checks are Felix's own: with one thing wrong
 * it takes the whole profile or policy for absent.
 * Source: felix 1.4.9 calico/common.py (_validate_rules); libcalico-go v1.0 lib/backend/model/rule.go (order of the fields).
 */
import { isObject, type JsonObject, type JsonValue } from '../located.js'
import { describeValue } from '../manifest.js'
import { suggestName } from '../nearest-name.js'
import type { Place } from '../problem-list.js'
import { formatClassicPort, type ClassicAction, type ClassicMatch, type ClassicRule, type ClassicRules, type ClassicSide } from './classic-model.js'
import { classicNet, classicPort, classicProtocol, hasPorts, icmpNumber, isClassicId, selectorFault } from './classic-values.js'

/** What to do with a fault: `what` has the field in it. */
type Refuse = (what: string, fix: string) => void

const MATCH_KEYS: readonly string[] = [
  'protocol',
  'icmp_type',
  'icmp_code',
  ...['src', 'dst'].flatMap((side) => ['tag', 'net', 'selector', 'ports'].map((key) => `${side}_${key}`)),
]
const RULE_KEYS: readonly string[] = ['action', 'ip_version', 'log_prefix', ...MATCH_KEYS, ...MATCH_KEYS.map((key) => `!${key}`)]
const ACTIONS: readonly ClassicAction[] = ['allow', 'deny', 'next-tier', 'log']

/** `inbound_rules` and `outbound_rules` of a profile or policy; undefined: something is wrong (all of it reported). */
export function readClassicRules(value: JsonObject, place: Place, refuse: Refuse): ClassicRules | undefined {
  let sound = true
  const fault: Refuse = (what, fix) => {
    sound = false
    refuse(what, fix)
  }
  const list = (key: 'inbound_rules' | 'outbound_rules'): ClassicRule[] => {
    const rules = value[key] ?? []
    if (!Array.isArray(rules)) {
      fault(`${key} is ${describeValue(rules)}, not a list`, '')
      return []
    }
    return rules.flatMap((rule: JsonValue, index): ClassicRule[] => {
      const where = `${key}[${index}]`
      if (isObject(rule)) return [readRule(rule, place, (what, fix) => fault(`${where}: ${what}`, fix))]
      fault(`${where} is ${describeValue(rule)}, not a rule`, '')
      return []
    })
  }
  const rules = { inbound: list('inbound_rules'), outbound: list('outbound_rules') }
  return sound ? rules : undefined
}

function readRule(rule: JsonObject, place: Place, refuse: Refuse): ClassicRule {
  // null is as good as nothing
  const fields: JsonObject = Object.fromEntries(Object.entries(rule).filter(([, value]) => value !== null))
  for (const key of Object.keys(fields)) if (!RULE_KEYS.includes(key)) refuse(`unknown field ${key}`, suggestName(key, RULE_KEYS))
  const { action = 'allow', ip_version: version, log_prefix: logPrefix } = fields
  const known = ACTIONS.find((candidate) => candidate === action)
  if (known === undefined)
    refuse(`action is ${describeValue(action)}`, typeof action === 'string' ? suggestName(action, ACTIONS) : `Write ${ACTIONS.join(', ')}.`)
  if (version !== undefined && version !== 4 && version !== 6) refuse(`ip_version is ${describeValue(version)}`, 'Write 4 or 6.')
  if (logPrefix !== undefined && typeof logPrefix !== 'string') refuse(`log_prefix is ${describeValue(logPrefix)}, not text`, '')
  const match = readMatch('', fields, refuse)
  const not = readMatch('!', fields, refuse)
  const read: ClassicRule = {
    action: known ?? 'deny',
    ...(version === 4 || version === 6 ? { ipVersion: version } : {}),
    ...(typeof logPrefix === 'string' ? { logPrefix } : {}),
    match,
    not,
    file: place.file,
    line: place.line,
  }
  for (const { what, fix } of ruleFaults(read)) refuse(what, fix)
  return read
}

/** What does not go together in a rule whose values are right. */
export function ruleFaults({ ipVersion, match, not }: ClassicRule): readonly { readonly what: string; readonly fix: string }[] {
  const ports = [match, not].flatMap(({ source, destination }) => [...source.ports, ...destination.ports])
  const foreign = ipVersion === 4 ? 'icmpv6' : ipVersion === 6 ? 'icmp' : undefined
  return [
    ...(ports.length > 0 && !hasPorts(match.protocol) ? [{ what: `ports, but the protocol is ${match.protocol ?? 'any'}`, fix: 'Name tcp or udp.' }] : []),
    ...[match, not].flatMap(({ icmpType, icmpCode }) =>
      icmpCode !== undefined && icmpType === undefined ? [{ what: 'an ICMP code without its type', fix: 'iptables knows a code only with its type.' }] : [],
    ),
    ...(foreign !== undefined && match.protocol === foreign
      ? [{ what: `${foreign} with ip_version ${ipVersion}`, fix: 'Leave out the one or the other.' }]
      : []),
  ]
}

function readMatch(mark: '' | '!', fields: JsonObject, refuse: Refuse): ClassicMatch {
  const number = (name: string): number | undefined => {
    const value = fields[mark + name]
    const read = icmpNumber(value)
    if (value !== undefined && read === undefined) refuse(`${mark}${name} is ${describeValue(value)}`, 'Write a number from 0 to 255.')
    return read
  }
  const value = fields[`${mark}protocol`]
  const protocol = typeof value === 'string' || typeof value === 'number' ? classicProtocol(value) : undefined
  if (value !== undefined && protocol === undefined)
    refuse(`${mark}protocol is ${describeValue(value)}`, 'Write tcp, udp, icmp, icmpv6, sctp, udplite or a number from 1 to 255.')
  const icmpType = number('icmp_type')
  const icmpCode = number('icmp_code')
  return {
    ...(protocol === undefined ? {} : { protocol }),
    ...(icmpType === undefined ? {} : { icmpType }),
    ...(icmpCode === undefined ? {} : { icmpCode }),
    source: readSide(`${mark}src`, fields, refuse),
    destination: readSide(`${mark}dst`, fields, refuse),
  }
}

function readSide(prefix: string, fields: JsonObject, refuse: Refuse): ClassicSide {
  const text = (name: string, isRight: (value: string) => boolean, fix: string): string | undefined => {
    const key = `${prefix}_${name}`
    const value = fields[key]
    if (value === undefined) return undefined
    if (typeof value === 'string' && isRight(value)) return value
    refuse(`${key} is ${describeValue(value)}`, fix)
    return undefined
  }
  const tag = text('tag', isClassicId, 'A tag has letters, digits and _ . - alone.')
  const net = text('net', (value) => classicNet(value) !== undefined, 'Write it like 10.0.0.0/8.')
  const selector = text('selector', (value) => selectorFault(value) === undefined, `A selector looks like role == 'web'.`)
  return {
    ...(tag === undefined ? {} : { tag }),
    ...(net === undefined ? {} : { net: classicNet(net) ?? net }),
    ...(selector === undefined ? {} : { selector }),
    ports: readPorts(`${prefix}_ports`, fields, refuse),
  }
}

function readPorts(key: string, fields: JsonObject, refuse: Refuse): ClassicSide['ports'] {
  const value = fields[key] ?? []
  if (!Array.isArray(value)) {
    refuse(`${key} is ${describeValue(value)}, not a list`, '')
    return []
  }
  return value.flatMap((item: JsonValue) => {
    const port = classicPort(item)
    if (port === undefined) refuse(`${key}: ${describeValue(item)} is no port`, 'Write a number, or a range like "1000:2000".')
    return port === undefined ? [] : [port]
  })
}

export function classicRuleJson({ action, ipVersion, logPrefix, match, not }: ClassicRule): JsonObject {
  return {
    action,
    ...(ipVersion === undefined ? {} : { ip_version: ipVersion }),
    ...matchJson('', match),
    ...matchJson('!', not),
    ...(logPrefix === undefined ? {} : { log_prefix: logPrefix }),
  }
}

function matchJson(mark: '' | '!', { protocol, icmpType, icmpCode, source, destination }: ClassicMatch): JsonObject {
  return {
    ...(protocol === undefined ? {} : { [`${mark}protocol`]: /^\d+$/.test(protocol) ? Number(protocol) : protocol }),
    ...(icmpType === undefined ? {} : { [`${mark}icmp_type`]: icmpType }),
    ...(icmpCode === undefined ? {} : { [`${mark}icmp_code`]: icmpCode }),
    ...sideJson(`${mark}src`, source),
    ...sideJson(`${mark}dst`, destination),
  }
}

function sideJson(prefix: string, { tag, net, selector, ports }: ClassicSide): JsonObject {
  return {
    ...(tag === undefined ? {} : { [`${prefix}_tag`]: tag }),
    ...(net === undefined ? {} : { [`${prefix}_net`]: net }),
    ...(selector === undefined ? {} : { [`${prefix}_selector`]: selector }),
    ...(ports.length === 0 ? {} : { [`${prefix}_ports`]: ports.map((port) => (port[0] === port[1] ? port[0] : formatClassicPort(port))) }),
  }
}
