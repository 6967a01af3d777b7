/**
 * The bytes of a file → its documents, one after the other: YAML and JSON in any mix, parted by `---` lines or, JSON, by nothing. What
 * `kubectl cluster-info dump` prints between them is passed over: the logs of containers, and its last line.
 * Source: kubectl pkg/cmd/clusterinfo/clusterinfo_dump.go (printContainer writes the log as it is: its end may stand in mid-line).
 */
import { ByteWindow, LONGEST_MARK } from './byte-window.js'
import { JsonReader, JsonSyntaxError } from './json-text.js'
import type { Located, TextIssue, TextResult } from './located.js'
import { readYamlDocument } from './yaml-document.js'
import { readYaml } from './yaml-text.js'

const LOG_STARTS = '==== START logs for container '
const LOG_ENDS = '==== END logs for container '
/** The last line of older dumps. */
const FAREWELL = 'Cluster info dumped to standard output'
/** What kubectl says among the objects where its standard error was redirected too. */
const WARNING = 'Warning: '
const FAILURES = ['Error from server', 'error: ', 'Unable to connect to the server']

const LINE_FEED = 0x0a

/** Text that starts like JSON is read as JSON, document by document; what fails there may still be YAML. */
export function readText(text: string): TextResult {
  return readBytes([new TextEncoder().encode(text)], text.length)
}

/** @param size roughly, in bytes */
export function readBytes(chunks: Iterable<Uint8Array>, size: number): TextResult {
  const reader = new DocumentReader(new ByteWindow(chunks, 1, Math.min(size + 1, 1 << 16)), size)
  reader.read()
  return reader
}

class DocumentReader implements TextResult {
  readonly documents: Located[] = []
  readonly issues: TextIssue[] = []
  private readonly window: ByteWindow
  private readonly json: JsonReader

  constructor(window: ByteWindow, size: number) {
    this.window = window
    this.json = new JsonReader(window, this.issues, size)
  }

  read(): void {
    const { window } = this
    // a document of JSON ends where it ends: what follows without `---` is JSON too
    let afterJson = false
    let atLineStart = true
    for (;;) {
      const passed = this.skipSpace(atLineStart)
      atLineStart ||= passed.newline
      const first = window.peek(0)
      if (first === undefined) return
      if (atLineStart && !passed.indented && this.isSeparator()) {
        window.position += 3
        afterJson = false
        atLineStart = false
      } else if (atLineStart && window.startsWith(LOG_STARTS)) this.skipLog()
      else if (atLineStart && this.isRemark()) window.readLine()
      else if (atLineStart && FAILURES.some((words) => window.startsWith(words))) this.tellFailure()
      else if (first === 0x7b || first === 0x5b || afterJson) {
        afterJson = this.readJson(afterJson)
        atLineStart = !afterJson
      } else {
        window.rewind()
        this.readYaml()
        atLineStart = true
      }
      window.token = -1
    }
  }

  /** To the first byte that is no space; the mark is then where its line starts. */
  private skipSpace(fromLineStart: boolean): { readonly newline: boolean; readonly indented: boolean } {
    const { window } = this
    let newline = false
    let indented = false
    window.setMark()
    for (let code = window.peek(0); code === 0x20 || code === 0x09 || code === 0x0d || code === LINE_FEED; code = window.peek(0)) {
      window.position++
      indented = code !== LINE_FEED && code !== 0x0d
      if (code !== LINE_FEED) continue
      window.line++
      newline = true
      window.setMark()
    }
    return { newline, indented: indented && (fromLineStart || newline) }
  }

  /** At `---` and a space, a newline or the end. */
  private isSeparator(): boolean {
    if (!this.window.startsWith('---')) return false
    const after = this.window.peek(3)
    return after === undefined || after === 0x20 || after === 0x09 || after === 0x0d || after === LINE_FEED
  }

  private isRemark(): boolean {
    return this.window.startsWith(FAREWELL) || (this.window.startsWith(WARNING) && !this.leadsYaml())
  }

  /** Whether a warning stands before YAML: there it reads as a key that nobody asks for. */
  private leadsYaml(): boolean {
    const { window } = this
    for (let ahead = 0; ahead < LONGEST_MARK; ahead++) {
      const code = window.peek(ahead)
      if (code === undefined) return false
      if (code !== LINE_FEED) continue
      const next = window.peek(ahead + 1)
      if (next !== 0x57) return next !== 0x7b && next !== 0x5b && next !== undefined
    }
    return false
  }

  private tellFailure(): void {
    const { window } = this
    const line = window.line
    const end = window.readLine()
    const words = new TextDecoder().decode(window.buffer.subarray(window.token, Math.min(end, window.token + 200))).trimEnd()
    this.issues.push({ line, what: `kubectl failed here: ${words}`, fix: 'What it could not read is missing: take the dump again.' })
  }

  /** True when a document was read, so that more of JSON may follow. */
  private readJson(isContinued: boolean): boolean {
    const { window, issues } = this
    const before = issues.length
    window.setMark()
    const line = window.line
    try {
      const document = this.json.next()
      window.dropMark()
      if (document !== undefined) this.documents.push(document)
      return document !== undefined
    } catch (error) {
      if (!(error instanceof JsonSyntaxError)) throw error
      issues.push(error.issue)
      // so deep that YAML would refuse it too, after long work
      if (error.issue.tooDeep !== true && !isContinued && window.rewind()) this.readAsYaml(line, before)
      else this.skipToSeparator()
      window.dropMark()
      return false
    }
  }

  /** Flow YAML ({a: b}) is no JSON; with errors in both the text decides whose words help more. */
  private readAsYaml(line: number, issuesBefore: number): void {
    const text = this.collectShort()
    if (text === undefined) return this.skipToSeparator()
    const yaml = readYaml(text, line)
    if (yaml.issues.length > 0 && /^\s*[{[]\s*["{[\]}]/.test(text)) return
    this.issues.length = issuesBefore
    this.documents.push(...yaml.documents)
    this.issues.push(...yaml.issues)
  }

  /** The text up to the next document; undefined when it is long. */
  private collectShort(): string | undefined {
    const parts: Uint8Array[] = []
    let length = 0
    for (const line of this.linesOfDocument()) {
      parts.push(line.slice())
      length += line.length
      if (length > LONGEST_MARK) return undefined
    }
    return parts.map((part) => new TextDecoder().decode(part)).join('')
  }

  private skipToSeparator(): void {
    const { window } = this
    if (window.isAtLineStart() && this.startsDocument()) return
    while (!window.isAtEnd()) {
      window.readLine()
      if (this.startsDocument()) break
    }
    window.token = -1
  }

  /** At the start of a line: `---`, or the log of a container. */
  private startsDocument(): boolean {
    return this.isSeparator() || this.window.startsWith(LOG_STARTS)
  }

  private readYaml(): void {
    const { documents, issues } = readYamlDocument(this.linesOfDocument(), this.window.line)
    for (const document of documents) this.documents.push(document)
    this.issues.push(...issues)
  }

  /** Up to the line that starts another document. Each line's bytes hold until the next one is asked for. */
  private *linesOfDocument(): Generator<Uint8Array> {
    const { window } = this
    let hasContent = false
    let hasDirective = false
    for (let isFirst = true; !window.isAtEnd(); isFirst = false) {
      if (!isFirst && (window.startsWith(LOG_STARTS) || window.startsWith(FAREWELL))) break
      if (!isFirst && this.isSeparator()) {
        if (hasContent || !hasDirective) break
        hasContent = true
      }
      const first = window.peek(0)
      if (first === 0x25 && !hasContent) hasDirective = true
      else if (first !== 0x23 && first !== LINE_FEED && first !== 0x0d) hasContent = true
      window.readLine()
      yield window.buffer.subarray(window.token, window.position)
    }
    window.token = -1
  }

  /** To behind the line on which the log's own end stands. */
  private skipLog(): void {
    const { window } = this
    const decoder = new TextDecoder()
    const opened = window.line
    const end = window.readLine()
    const start = decoder.decode(window.buffer.subarray(window.token, end)).trimEnd()
    const marker = new TextEncoder().encode(LOG_ENDS + start.slice(LOG_STARTS.length))
    while (!window.isAtEnd()) {
      const lineEnd = window.readLine()
      if (endsWith(window.buffer, lineEnd, marker)) return
    }
    window.token = -1
    this.issues.push({ line: opened, what: `a log without its end: ${start}`, fix: 'The dump is cut off: take it again.' })
  }
}

/** Whether the line's bytes before `end` (a carriage return aside) are those of `marker`. */
function endsWith(buffer: Uint8Array, end: number, marker: Uint8Array): boolean {
  const last = buffer[end - 1] === 0x0d ? end - 1 : end
  const start = last - marker.length
  if (start < 0) return false
  for (let at = 0; at < marker.length; at++) if (buffer[start + at] !== marker[at]) return false
  return true
}
