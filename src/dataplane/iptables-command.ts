/**
 * One `iptables` command's arguments applied to an IptablesState: `-t filter -I FORWARD 2 -p udp --dport 9000 -j DROP`. What
 * the real command refuses is a Problem in its own words, and the state is left as it was.
 */
import type { Problem } from '../base/problem.js'
import type { Provenance } from './dataplane.js'
import { printRule } from './iptables-print.js'
import { parseRule } from './iptables-rule.js'
import { OTHER_TARGETS, TARGET_MODULES } from './iptables-target.js'
import { BUILTIN_CHAINS, TABLE_NAMES, type Chain, type HookName, type IptablesState, type Rule, type Table, type TableName } from './iptables.js'
import { breaksLine, Report, splitWords, type CommandOptions, type Place } from './text.js'

/** Letter → long names; a long name may be cut short as getopt allows, where that is clear. */
const COMMANDS: Readonly<Record<string, string>> = {
  '--append': '-A',
  '--insert': '-I',
  '--delete': '-D',
  '--replace': '-R',
  '--flush': '-F',
  '--new-chain': '-N',
  '--new': '-N',
  '--delete-chain': '-X',
  '--policy': '-P',
  '--rename-chain': '-E',
  '--zero': '-Z',
  '--check': '-C',
  '--list': '-L',
  '--list-rules': '-S',
}

interface Command {
  readonly table: TableName
  readonly letter: string
  readonly chain: string | undefined
  /** What stands behind the chain. */
  readonly rest: readonly string[]
}

const BAD_RULE = 'iptables: Bad rule (does a matching rule exist in that chain?).'
const NO_CHAIN = 'iptables: No chain/target/match by that name.'

/** `iptables …` with or without the leading word (and `-w`, `-n`, `-v`, `--wait 5`); the state afterwards, unchanged after an error. */
export function applyIptablesCommand(
  state: IptablesState,
  text: string,
  place: Place,
  options: CommandOptions = {},
): { readonly state: IptablesState; readonly problems: readonly Problem[] } {
  const report = new Report(place)
  const words = splitWords(text, { shell: true })
  if (words === undefined) report.error(`a quote stays open in "${text}"`)
  else if (words.some(breaksLine))
    report.error(`a line break within a word of ${JSON.stringify(text)}`, 'iptables-restore could not read it back: write it in one line.')
  const command = words === undefined || words.some(breaksLine) ? undefined : readCommand(words, report)
  if (command === undefined) return { state, problems: report.problems }
  const table = state.tables.find(({ name }) => name === command.table) ?? emptyTable(command.table)
  const changed = applyToTable(table, command, report, options.provenance)
  if (changed === undefined) return { state, problems: report.problems }
  const known = state.tables.some(({ name }) => name === command.table)
  const tables = known ? state.tables.map((old) => (old.name === command.table ? changed : old)) : [...state.tables, changed]
  return { state: { tables }, problems: report.problems }
}

/** A table as the kernel makes it when it is first used. */
export function emptyTable(name: TableName): Table {
  return { name, chains: BUILTIN_CHAINS[name].map((chain) => ({ name: chain, policy: 'ACCEPT', rules: [] })) }
}

/** Takes -t, -w and the like out, finds the one command, and leaves the words of the rule. */
function readCommand(all: readonly string[], report: Report): Command | undefined {
  const words = all[0] !== undefined && /^(\S*\/)?iptables(-legacy|-nft)?$/.test(all[0]) ? all.slice(1) : all
  let table = 'filter'
  let letter: string | undefined
  let chain: string | undefined
  const rest: string[] = []
  for (let i = 0; i < words.length; i++) {
    const word = words[i]
    const attached = /^(-t|--table=)(.+)$/.exec(word)
    const command = commandLetter(word)
    if (word === '-t' || word === '--table') table = words[++i] ?? ''
    else if (attached !== null) table = attached[2]
    else if (/^(-w\d*|--wait(=.*)?|-W\d*|--wait-interval(=.*)?)$/.test(word)) i += /^\d+$/.test(words[i + 1] ?? '') && !word.includes('=') ? 1 : 0
    else if (['-n', '-v', '--numeric', '--verbose', '-4', '--ipv4', '-x', '--exact', '--line-numbers'].includes(word)) continue
    else if (word === '-6' || word === '--ipv6') return report.error('iptables -6 is for ip6tables, which is not modelled')
    else if (command !== undefined && letter !== undefined) return report.error(`Cannot use ${command} with ${letter}`, 'One command per line.')
    else if (command !== undefined) {
      letter = command
      if (words[i + 1] !== undefined && !words[i + 1].startsWith('-') && words[i + 1] !== '!') chain = words[++i]
    } else {
      rest.push(word)
      // an argument that looks like a command stays an argument: --comment "-A"
      if (word === '--comment' && i + 1 < words.length) rest.push(words[++i])
    }
  }
  if (letter === undefined) return report.error(`no command specified in "${all.join(' ')}"`, 'One of -A -I -D -R -F -N -X -P -E -Z.')
  if (!TABLE_NAMES.includes(table as TableName)) return report.error(`table '${table}' does not exist`, `The tables are ${TABLE_NAMES.join(', ')}.`)
  return { table: table as TableName, letter, chain, rest }
}

function commandLetter(word: string): string | undefined {
  if (/^-[AIDRFNXPEZCLS]$/.test(word)) return word
  return Object.hasOwn(COMMANDS, word) ? COMMANDS[word] : undefined
}

function applyToTable(table: Table, command: Command, report: Report, provenance: Provenance | undefined): Table | undefined {
  switch (command.letter) {
    case '-A':
    case '-I':
    case '-R':
    case '-D':
    case '-C':
      return editRules(table, command, report, provenance)
    case '-N':
      return newChain(table, command, report)
    case '-X':
      return deleteChains(table, command, report)
    case '-F':
    case '-Z':
      return emptyChains(table, command, report)
    case '-P':
      return setPolicy(table, command, report)
    case '-E':
      return renameChain(table, command, report)
    default:
      report.warning(`iptables ${command.letter} only prints; it changes nothing`)
      return table
  }
}

function replaceChain(table: Table, name: string, change: (chain: Chain) => Chain): Table {
  return { ...table, chains: table.chains.map((chain) => (chain.name === name ? change(chain) : chain)) }
}

function isBuiltin(table: Table, name: string): boolean {
  return BUILTIN_CHAINS[table.name].includes(name as HookName)
}

function needChain(table: Table, command: Command, report: Report): Chain | undefined {
  if (command.chain === undefined) return report.error(`option "${command.letter}" requires an argument`, 'Name the chain behind it.')
  return (
    table.chains.find(({ name }) => name === command.chain) ??
    report.error(NO_CHAIN, `Table ${table.name} has no chain ${command.chain}; create it with -N ${command.chain}.`)
  )
}

function editRules(table: Table, command: Command, report: Report, provenance: Provenance | undefined): Table | undefined {
  const chain = needChain(table, command, report)
  if (chain === undefined) return undefined
  const { letter } = command
  const numbered = letter !== '-A' && letter !== '-C' && /^\d+$/.test(command.rest[0] ?? '')
  const number = numbered ? Number(command.rest[0]) : undefined
  const words = numbered ? command.rest.slice(1) : command.rest
  if (letter === '-D' && number !== undefined) {
    if (words.length > 0) return report.error(`-D ${chain.name} ${number} takes no rule behind the number`)
    if (number < 1 || number > chain.rules.length) return report.error('iptables: Index of deletion too big.', `${chain.name} has ${chain.rules.length} rules.`)
    return replaceChain(table, chain.name, (old) => ({ ...old, rules: old.rules.toSpliced(number - 1, 1) }))
  }
  const hasChain = (name: string): boolean => !isBuiltin(table, name) && table.chains.some((other) => other.name === name)
  const parsed = parseRule(words, { table: table.name, chain: chain.name, hasChain, report })
  if (parsed === undefined) return undefined
  const rules = provenance === undefined ? parsed : parsed.map((rule) => ({ ...rule, provenance }))
  if (letter === '-A') return replaceChain(table, chain.name, (old) => ({ ...old, rules: [...old.rules, ...rules] }))
  if (letter === '-I') return insertRules(table, chain, { rules, at: number ?? 1 }, report)
  if (letter === '-R') return replaceRule(table, chain, { rules, at: number }, report)
  return removeRules(table, chain, { rules, check: letter === '-C' }, report)
}

function insertRules(table: Table, chain: Chain, { rules, at }: { readonly rules: readonly Rule[]; readonly at: number }, report: Report): Table | undefined {
  if (at < 1) return report.error(`Invalid rule number \`${at}'`)
  if (at > chain.rules.length + 1) return report.error('iptables: Index of insertion too big.', `${chain.name} has ${chain.rules.length} rules.`)
  // iptables inserts the rules of an address list one after the other at the same number: the last one ends up first
  return replaceChain(table, chain.name, (old) => ({ ...old, rules: old.rules.toSpliced(at - 1, 0, ...rules.toReversed()) }))
}

function replaceRule(
  table: Table,
  chain: Chain,
  { rules, at }: { readonly rules: readonly Rule[]; readonly at: number | undefined },
  report: Report,
): Table | undefined {
  if (at === undefined) return report.error('-R requires a rule number', 'Write -R CHAIN NUMBER RULE.')
  if (rules.length !== 1) return report.error('Replacement rule does not specify a unique address')
  if (at < 1 || at > chain.rules.length) return report.error('iptables: Index of replacement too big.', `${chain.name} has ${chain.rules.length} rules.`)
  return replaceChain(table, chain.name, (old) => ({ ...old, rules: old.rules.with(at - 1, rules[0]) }))
}

function removeRules(
  table: Table,
  chain: Chain,
  { rules, check }: { readonly rules: readonly Rule[]; readonly check: boolean },
  report: Report,
): Table | undefined {
  const remaining = [...chain.rules]
  for (const rule of rules) {
    const words = printRule(rule)
    const at = remaining.findIndex((other) => printRule(other) === words)
    if (at < 0) return report.error(BAD_RULE, `No rule "-A ${chain.name} ${words}".`)
    if (!check) remaining.splice(at, 1)
  }
  return check ? table : replaceChain(table, chain.name, (old) => ({ ...old, rules: remaining }))
}

function newChain(table: Table, command: Command, report: Report): Table | undefined {
  const name = command.chain
  if (name === undefined) return report.error('option "-N" requires an argument', 'Name the chain behind it.')
  if (!validChainName(name, report)) return undefined
  if (table.chains.some((chain) => chain.name === name)) return report.error('iptables: Chain already exists.', `Table ${table.name} has ${name}.`)
  return { ...table, chains: insertSorted(table, { name, rules: [] }) }
}

/** User chains stand sorted by name behind the built-in ones: libiptc and the nft variant both insert them so. */
function insertSorted(table: Table, chain: Chain): readonly Chain[] {
  const at = table.chains.findIndex((other) => !isBuiltin(table, other.name) && other.name > chain.name)
  return at < 0 ? [...table.chains, chain] : table.chains.toSpliced(at, 0, chain)
}

function validChainName(name: string, report: Report): boolean {
  if (name.length > 28) report.error(`chain name "${name}" too long (must be under 29 chars)`)
  else if (/^[-!]/.test(name)) report.error(`chain name "${name}" must not start with "-" or "!"`)
  else if (/\s/.test(name) || name === '') report.error(`Invalid chain name "${name}"`)
  else if (Object.hasOwn(TARGET_MODULES, name) || OTHER_TARGETS.has(name)) report.error(`chain name "${name}" may not clash with target name`)
  else return true
  return false
}

function jumpsTo(table: Table, name: string): boolean {
  return table.chains.some((chain) => chain.rules.some(({ target }) => (target?.kind === 'jump' || target?.kind === 'goto') && target.chain === name))
}

function deleteChains(table: Table, command: Command, report: Report): Table | undefined {
  if (command.chain === undefined) {
    // without a name: all user chains that are empty and not referred to; the first that is neither fails the command
    const users = table.chains.filter((chain) => !isBuiltin(table, chain.name))
    const bad = users.find((chain) => chain.rules.length > 0) ?? users.find((chain) => jumpsTo(table, chain.name))
    if (bad !== undefined)
      return report.error(
        bad.rules.length > 0 ? 'iptables: Directory not empty.' : 'iptables: Too many links.',
        `Chain ${bad.name}: flush it (-F) and remove the jumps to it first.`,
      )
    return { ...table, chains: table.chains.filter((chain) => isBuiltin(table, chain.name)) }
  }
  const chain = needChain(table, command, report)
  if (chain === undefined) return undefined
  if (isBuiltin(table, chain.name)) return report.error(`iptables: Invalid argument: ${chain.name} is a built-in chain`)
  if (chain.rules.length > 0) return report.error('iptables: Directory not empty.', `Flush it first: -F ${chain.name}.`)
  if (jumpsTo(table, chain.name)) return report.error('iptables: Too many links.', `Delete the rules that jump to ${chain.name} first.`)
  return { ...table, chains: table.chains.filter((other) => other !== chain) }
}

function emptyChains(table: Table, command: Command, report: Report): Table | undefined {
  const flush = command.letter === '-F'
  const change = (chain: Chain): Chain => {
    if (flush) return { ...chain, rules: [] }
    const { packets: _packets, bytes: _bytes, ...rest } = chain
    return { ...rest, rules: chain.rules.map(withoutCounters) }
  }
  if (command.chain === undefined) return { ...table, chains: table.chains.map(change) }
  const chain = needChain(table, command, report)
  return chain === undefined ? undefined : replaceChain(table, chain.name, change)
}

function withoutCounters(rule: Rule): Rule {
  const { packets: _packets, bytes: _bytes, ...rest } = rule
  return rest
}

function setPolicy(table: Table, command: Command, report: Report): Table | undefined {
  const chain = needChain(table, command, report)
  if (chain === undefined) return undefined
  if (!isBuiltin(table, chain.name)) return report.error('iptables: Bad built-in chain name.', `${chain.name} is a user chain, which has no policy.`)
  const policy = command.rest[0]
  if (policy !== 'ACCEPT' && policy !== 'DROP') return report.error(`iptables: Bad policy name "${policy ?? ''}".`, 'ACCEPT or DROP.')
  return replaceChain(table, chain.name, (old) => ({ ...old, policy }))
}

function renameChain(table: Table, command: Command, report: Report): Table | undefined {
  const chain = needChain(table, command, report)
  const name = command.rest[0]
  if (chain === undefined) return undefined
  if (name === undefined) return report.error('-E requires old-chain-name and new-chain-name')
  if (isBuiltin(table, chain.name)) return report.error(`iptables: Invalid argument: ${chain.name} is a built-in chain`)
  if (!validChainName(name, report)) return undefined
  if (table.chains.some((other) => other.name === name)) return report.error('iptables: File exists.', `Table ${table.name} has ${name}.`)
  const without = { ...table, chains: table.chains.filter((other) => other !== chain) }
  const renamed = { ...table, chains: insertSorted(without, { ...chain, name }) }
  const retarget = (rule: Rule): Rule =>
    (rule.target?.kind === 'jump' || rule.target?.kind === 'goto') && rule.target.chain === chain.name
      ? { ...rule, target: { ...rule.target, chain: name } }
      : rule
  return { ...renamed, chains: renamed.chains.map((other) => ({ ...other, rules: other.rules.map(retarget) })) }
}
