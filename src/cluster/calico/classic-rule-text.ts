/**
 * Text → rules of the classic model: `allow tcp to ports 80,443`, and the listing of `calicoctl profile NAME rule show`.
 *
 *   rule   = action [protocol] ["type" N ["code" N]] ["from" side] ["to" side]
 *   side   = *( "ports" LIST / "tag" TAG / "selector" QUOTED / "cidr" PREFIX )      each with "!" before it for its opposite
 *
 * Source: pycalico datastore_datatypes.py (Rule.pprint), calicoctl 0.16 profile.py (parse_ports, profile_rule_show), libcalico-go v1.0
 * lib/backend/model/rule.go (Rule.String: selectors and opposites).
 */
import type { Place } from '../problem-list.js'
import { suggestName } from '../nearest-name.js'
import {
  ANY_CLASSIC_MATCH,
  type ClassicAction,
  type ClassicMatch,
  type ClassicPort,
  type ClassicRule,
  type ClassicRules,
  type ClassicSide,
} from './classic-model.js'
import { classicNet, classicPort, classicProtocol, icmpNumber, isClassicId, selectorFault } from './classic-values.js'

interface TextFault {
  readonly what: string
  readonly fix: string
}

export function isTextFault(result: object): result is TextFault {
  return 'fix' in result
}

const ACTIONS: readonly ClassicAction[] = ['allow', 'deny', 'next-tier', 'log']

/** What became of a listing: its rules, and what is wrong with which line (1-based). */
interface ListingReading {
  readonly rules: ClassicRules
  readonly faults: readonly (TextFault & { readonly line: number })[]
}

/** @param placeOf where line N (1-based) of the text stands */
export function parseClassicListing(text: string, placeOf: (line: number) => Place): ListingReading {
  const rules: Record<'inbound' | 'outbound', ClassicRule[]> = { inbound: [], outbound: [] }
  const faults: (TextFault & { line: number })[] = []
  let direction: 'inbound' | 'outbound' | undefined
  const fault = (line: number, what: string, fix: string): void => void faults.push({ line, what, fix })
  for (const [index, written] of text.split('\n').entries()) {
    const line = index + 1
    const words = written.trim()
    if (words === '') continue
    const heading = /^(inbound|outbound) rules:$/i.exec(words)
    const numbered = /^(\d{1,9})\s+(\S.*)$/.exec(words)
    if (heading !== null) direction = heading[1].toLowerCase() as 'inbound' | 'outbound'
    else if (direction === undefined) fault(line, `${JSON.stringify(words)} before "Inbound rules:"`, 'The listing begins with Inbound rules:.')
    else if (numbered === null) fault(line, `${JSON.stringify(words)} is no rule`, 'A line is a number and the rule: 1 allow from tag WEB.')
    else {
      const due = rules[direction].length + 1
      if (Number(numbered[1]) !== due) fault(line, `rule ${numbered[1]} where rule ${due} is due`, 'Rules are numbered from 1, without gaps.')
      const rule = parseClassicRule(numbered[2], placeOf(line))
      if (isTextFault(rule)) fault(line, rule.what, rule.fix)
      else rules[direction].push(rule)
    }
  }
  return { rules, faults }
}

/** @param place of the rule */
export function parseClassicRule(text: string, place: Place): ClassicRule | TextFault {
  const words = splitRule(text)
  if (words === undefined) return { what: `a quote without its end in ${JSON.stringify(text)}`, fix: 'A selector stands in double quotes.' }
  return new RuleReader(words, place).read()
}

/** Words between blanks; a text in double quotes is one, with JSON's escapes. */
function splitRule(text: string): string[] | undefined {
  const words: string[] = []
  const pattern = /\s*("(?:[^"\\]|\\.)*"|[^\s"]+)\s*/y
  while (pattern.lastIndex < text.length) {
    const found = pattern.exec(text)
    if (found === null) return undefined
    words.push(found[1])
  }
  return words
}

type Writable<Type> = { -readonly [Key in keyof Type]: Type[Key] }
type WritableMatch = Omit<Writable<ClassicMatch>, 'source' | 'destination'> & { source: Writable<ClassicSide>; destination: Writable<ClassicSide> }

const SIDE_WORDS: readonly string[] = ['ports', 'tag', 'selector', 'cidr']

class RuleFault extends Error {
  readonly fault: TextFault

  constructor(what: string, fix: string) {
    super(what)
    this.fault = { what, fix }
  }
}

class RuleReader {
  private readonly words: readonly string[]
  private readonly place: Place
  private at = 0
  private readonly match = emptyMatch()
  private readonly not = emptyMatch()

  constructor(words: readonly string[], place: Place) {
    this.words = words
    this.place = place
  }

  read(): ClassicRule | TextFault {
    try {
      const action = this.readAction()
      this.readProtocol()
      this.readIcmp()
      if (this.take('from')) this.readSide('source')
      if (this.take('to')) this.readSide('destination')
      if (this.at < this.words.length) this.fail(`unexpected ${JSON.stringify(this.words[this.at])}`, this.hint(this.words[this.at]))
      return { action, match: this.match, not: this.not, file: this.place.file, line: this.place.line }
    } catch (error) {
      if (error instanceof RuleFault) return error.fault
      throw error
    }
  }

  private readAction(): ClassicAction {
    const word = this.words[this.at++] ?? ''
    const action = word === 'pass' ? 'next-tier' : ACTIONS.find((known) => known === word)
    if (action === undefined) return this.fail(`${JSON.stringify(word)} is no action`, suggestName(word, ACTIONS))
    return action
  }

  private readProtocol(): void {
    for (const [mark, match] of [['', this.match] as const, ['!', this.not] as const]) {
      const word = this.words[this.at] ?? ''
      if (!word.startsWith(mark)) continue
      const protocol = classicProtocol(word.slice(mark.length))
      if (protocol === undefined) continue
      match.protocol = protocol
      this.at++
    }
  }

  private readIcmp(): void {
    for (const [mark, match] of [['', this.match] as const, ['!', this.not] as const]) {
      if (this.take(`${mark}type`)) match.icmpType = this.readIcmpNumber()
      if (this.take(`${mark}code`)) match.icmpCode = this.readIcmpNumber()
      if (match.icmpCode !== undefined && match.icmpType === undefined) this.fail('a code without a type', 'iptables knows a code only with its type.')
    }
  }

  private readIcmpNumber(): number {
    const word = this.words[this.at++] ?? ''
    const number = icmpNumber(/^\d{1,3}$/.test(word) ? Number(word) : undefined)
    return number ?? this.fail(`${JSON.stringify(word)} is no ICMP type or code`, 'Write a number from 0 to 255.')
  }

  private readSide(side: 'source' | 'destination'): void {
    const begun = this.at
    for (;;) {
      const word = this.words[this.at] ?? ''
      const name = word.replace(/^!/, '')
      if (!SIDE_WORDS.includes(name)) break
      this.at++
      this.readCriterion(name, (word === name ? this.match : this.not)[side])
    }
    if (this.at === begun) {
      const word = this.words[this.at] ?? 'nothing'
      this.fail(`${JSON.stringify(word)} after ${side === 'source' ? 'from' : 'to'}`, this.hint(word))
    }
  }

  private readCriterion(name: string, side: Writable<ClassicSide>): void {
    const word = this.words[this.at++] ?? ''
    const fail = (what: string, fix: string): never => this.fail(`${JSON.stringify(word)} ${what}`, fix)
    const given = name === 'ports' ? side.ports.length > 0 : side[name === 'cidr' ? 'net' : (name as 'tag' | 'selector')] !== undefined
    if (given) this.fail(`${name} is said twice`, 'Say it once.')
    if (name === 'ports') side.ports = parsePorts(word) ?? fail('is no list of ports', 'Write it like 80,443 or 1000:2000.')
    else if (name === 'tag') side.tag = isClassicId(word) ? word : fail('is no tag', 'A tag has letters, digits and _ . - alone.')
    else if (name === 'cidr') side.net = classicNet(word) ?? fail('is no prefix', 'Write it like 10.0.0.0/8.')
    else side.selector = this.readSelector(word)
  }

  private readSelector(word: string): string {
    const selector = unquoted(word)
    if (selector === undefined) return this.fail(`the selector ${JSON.stringify(word)} has no quotes`, `Write it like "role == 'web'".`)
    const fault = selectorFault(selector)
    return fault === undefined ? selector : this.fail(`selector ${JSON.stringify(selector)}: ${fault}`, `A selector looks like role == 'web'.`)
  }

  private take(word: string): boolean {
    if (this.words[this.at] !== word) return false
    this.at++
    return true
  }

  private hint(word: string): string {
    if (classicNet(word) !== undefined) return `Write cidr ${word}.`
    return suggestName(word, ['from', 'to', ...SIDE_WORDS, 'type', 'code'])
  }

  private fail(what: string, fix: string): never {
    throw new RuleFault(what, fix)
  }
}

function emptyMatch(): WritableMatch {
  return { ...ANY_CLASSIC_MATCH, source: { ports: [] }, destination: { ports: [] } }
}

function unquoted(word: string): string | undefined {
  if (!word.startsWith('"')) return undefined
  try {
    return JSON.parse(word) as string
  } catch {
    return undefined
  }
}

/** `80,443,1000:2000`; calicoctl takes `1000-2000` too. */
function parsePorts(text: string): ClassicPort[] | undefined {
  const ports = text.split(',').map((item): ClassicPort | undefined => {
    return classicPort(/^\d{1,5}$/.test(item) ? Number(item) : item.replace('-', ':'))
  })
  return ports.includes(undefined) ? undefined : (ports as ClassicPort[])
}
