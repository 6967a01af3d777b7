/**
 * `netsim __complete WORDS…`: the words after `netsim` up to the cursor, the last one unfinished → what it may become. One candidate a line,
 * a tab before its description, then `:N` with what the shell shall do (the protocol of cobra, which kubectl speaks with its plug-ins).
 * Verbs, flags and values come from the program's own definition, names from the manifests that -f gives. Never complains.
 */
import { Help, type Argument, type Command, type Option } from 'commander'
import { choicesOf, type Choices } from './choices.js'
import type { CompletionNames } from './completion-names.js'
import type { Io } from './io.js'

/** No blank after the word, for more of it follows. */
const NO_SPACE = 2
/** No file names where nothing fits. */
const NO_FILES = 4
const FILES = 0

export interface Candidate {
  readonly value: string
  readonly about: string
}

interface Completed {
  readonly candidates: readonly Candidate[]
  readonly directive: number
}

const NOTHING: Completed = { candidates: [], directive: NO_FILES }
const FILE_NAMES: Completed = { candidates: [], directive: FILES }

/** What the finished words say. */
interface Line {
  readonly program: Command
  readonly command: Command
  readonly positionals: readonly string[]
  /** Values by the flag's attribute name; of a switch none. */
  readonly given: ReadonlyMap<string, readonly string[]>
  /** A flag whose value is the unfinished word. */
  readonly pending: Option | undefined
  /** After `--`: no flags any more. */
  readonly closed: boolean
}

const help = new Help()

/** Prints the candidates; on any fault of the input or of ours none. */
export async function complete(program: Command, words: readonly string[], io: Io): Promise<void> {
  const unquoted = io.env.NETSIM_COMPLETE_QUOTED === '1' ? words.map(unquote) : words
  const { candidates, directive } = await completed(program, unquoted, io).catch(() => NOTHING)
  const lines = candidates.map(({ value, about }) => (about === '' ? value : `${value}\t${about.replaceAll(/\s+/g, ' ')}`))
  await io.out(`${[...lines, `:${directive}`].join('\n')}\n`)
}

async function completed(program: Command, words: readonly string[], io: Io): Promise<Completed> {
  const current = words.at(-1) ?? ''
  const line = readLine(program, words.slice(0, -1))
  const { candidates, directive } = await expected(line, current, io)
  const known = new Set<string>()
  const fitting = candidates.filter(({ value }) => value.startsWith(current) && isPlain(value) && !known.has(value) && known.add(value))
  return { candidates: fitting, directive }
}

/** Names come from files: nothing that a shell would read as more than a word. */
function isPlain(value: string): boolean {
  return /^[\w./:@%+=,-]+$/.test(value)
}

function expected(line: Line, current: string, io: Io): Promise<Completed> | Completed {
  if (line.pending !== undefined) return valueOf(line.pending, '', { line, current, io })
  const withValue = line.closed ? null : /^(--[^=]+=)/.exec(current)
  if (withValue !== null) {
    const option = optionNamed(line.command, withValue[1].slice(0, -1))
    return option === undefined ? NOTHING : valueOf(option, withValue[1], { line, current, io })
  }
  if (!line.closed && current.startsWith('-')) return { candidates: optionsOf(line.command, current), directive: NO_FILES }
  const verbs = help.visibleCommands(line.command)
  if (verbs.length > 0 && line.positionals.length === 0) return { candidates: verbs.map(described), directive: NO_FILES }
  const args = line.command.registeredArguments
  const argument = args[line.positionals.length] ?? (args.at(-1)?.variadic === true ? args.at(-1) : undefined)
  return argument === undefined ? NOTHING : positionalOf(argument, { line, current, io })
}

function described(command: Command): Candidate {
  return { value: command.name(), about: command.summary() || command.description() }
}

function optionsOf(command: Command, current: string): Candidate[] {
  const options = help.visibleOptions(command)
  const long = options.flatMap(({ long, description }) => (long === undefined ? [] : [{ value: long, about: description }]))
  const short = options.flatMap(({ short, description }) => (short === undefined ? [] : [{ value: short, about: description }]))
  return current.startsWith('--') ? long : [...long, ...short]
}

/** Where a value is completed. */
interface Spot {
  readonly line: Line
  readonly current: string
  readonly io: Io
}

/** @param prefix `--flag=` when the word holds the flag too */
async function valueOf(option: Option, prefix: string, spot: Spot): Promise<Completed> {
  const choices = choicesOf(option.parseArg)
  if (choices !== undefined) return chosen(choices, prefix, spot.current)
  if (/FILE|DIR/.test(option.flags)) return FILE_NAMES
  if (option.attributeName() !== 'namespace') return NOTHING
  const { namespaceCandidates } = await import('./completion-names.js')
  const candidates = namespaceCandidates(await namesFor(spot))
  return { candidates: candidates.map(({ value, about }) => ({ value: prefix + value, about })), directive: NO_FILES }
}

function chosen({ choices, several }: Choices, prefix: string, current: string): Completed {
  if (!several) return { candidates: choices.map((choice) => ({ value: prefix + choice, about: '' })), directive: NO_FILES }
  const before = current.slice(prefix.length).split(',').slice(0, -1)
  const head = prefix + before.map((word) => `${word},`).join('')
  const left = choices.filter((choice) => !before.includes(choice))
  return { candidates: left.map((choice) => ({ value: head + choice, about: '' })), directive: NO_FILES | NO_SPACE }
}

async function positionalOf(argument: Argument, spot: Spot): Promise<Completed> {
  const choices = choicesOf(argument.parseArg)
  if (choices !== undefined) return chosen(choices, '', spot.current)
  const name = argument.name()
  if (name === 'VERB') return { candidates: help.visibleCommands(spot.line.program).map(described), directive: NO_FILES }
  if (/FILE|DIR/.test(name)) return FILE_NAMES
  const { endCandidates, placeCandidates } = await import('./completion-names.js')
  const namespace = spot.line.given.get('namespace')?.at(-1) ?? 'default'
  if (/^(SRC|DST)/.test(name)) return { candidates: endCandidates(await namesFor(spot), namespace, spot.current), directive: NO_FILES }
  return name === 'NODE' ? { candidates: placeCandidates(await namesFor(spot), namespace), directive: NO_FILES } : NOTHING
}

async function namesFor({ line, io }: Spot): Promise<CompletionNames> {
  const { readNames } = await import('./completion-names.js')
  return readNames(line.given.get('filename') ?? [], line.given.has('recursive'), io)
}

function takesValue(option: Option): boolean {
  return option.required || option.optional
}

function optionNamed(command: Command, name: string): Option | undefined {
  return help.visibleOptions(command).find(({ short, long }) => short === name || long === name)
}

/** Reads the finished words as commander will. */
function readLine(program: Command, words: readonly string[]): Line {
  const reader = new LineReader(program)
  for (const word of words) reader.take(word)
  return reader
}

class LineReader implements Line {
  readonly program: Command
  command: Command
  readonly positionals: string[] = []
  readonly given = new Map<string, string[]>()
  pending: Option | undefined
  closed = false

  constructor(program: Command) {
    this.program = program
    this.command = program
  }

  take(word: string): void {
    if (this.pending !== undefined) this.give(this.pending, word)
    else if (this.closed || word === '-' || !word.startsWith('-')) this.position(word)
    else if (word === '--') this.closed = true
    else if (word.startsWith('--')) this.long(word)
    else this.short(word.slice(1))
  }

  private position(word: string): void {
    const verb = this.positionals.length > 0 ? undefined : help.visibleCommands(this.command).find((command) => command.name() === word)
    if (verb === undefined) this.positionals.push(word)
    else this.command = verb
  }

  private long(word: string): void {
    const [, name, value] = /^([^=]*)(?:=(.*))?$/s.exec(word) ?? []
    const option = optionNamed(this.command, name)
    if (option === undefined) return
    if (value !== undefined) this.give(option, value)
    else if (takesValue(option)) this.pending = option
    else this.given.set(option.attributeName(), [])
  }

  /** `-vv`, `-fFILE`, `-Rf FILE`. */
  private short(letters: string): void {
    for (let i = 0; i < letters.length; i++) {
      const option = optionNamed(this.command, `-${letters[i]}`)
      if (option === undefined) return
      if (!takesValue(option)) this.given.set(option.attributeName(), [])
      else if (i + 1 === letters.length) this.pending = option
      else return this.give(option, letters.slice(i + 1))
    }
  }

  private give(option: Option, value: string): void {
    this.pending = undefined
    this.given.set(option.attributeName(), [...(this.given.get(option.attributeName()) ?? []), value])
  }
}

/** A word as it stands in a line of bash → what bash would make of its quotes; nothing is run, variables stay as they are. */
export function unquote(word: string): string {
  const pieces = word.match(/'[^']*'?|"(?:\\[^]|[^"\\])*"?|\\[^]?|[^'"\\]+/g) ?? []
  return pieces
    .map((piece) => {
      if (piece.startsWith("'")) return piece.replaceAll("'", '')
      if (piece.startsWith('"'))
        return piece
          .replace(/^"/, '')
          .replace(/(?<!\\)"$/, '')
          .replace(/\\(["\\$`])/g, '$1')
      return piece.startsWith('\\') ? piece.slice(1) : piece
    })
    .join('')
}
