/**
 * The helper process: one Python 3 interpreter that holds the namespaces, spoken to in lines of JSON on its standard streams. It ends when
 * its standard input does, so nothing of it outlives this process.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** The machine will not do what the lab asks of it; `fix` says what would help. */
export class LabError extends Error {
  readonly what: string
  readonly fix: string

  constructor(what: string, fix: string) {
    super(fix === '' ? what : `${what}. ${fix}`)
    this.what = what
    this.fix = fix
  }
}

interface Waiting {
  readonly resolve: (answer: Record<string, unknown>) => void
  readonly reject: (error: Error) => void
}

const ANSWER_MS = 15_000
/** As long as a process is given to go by itself before it is killed. */
const GOODBYE_MS = 2_000

/** A Python file: beside this one in src/ and in dist/lib; beside the chunk, or in its folder cli/, when bundled. */
export function helperPath(name: string): string {
  const places = [`./${name}`, `./cli/${name}`, `../src/kernel/${name}`].map((place) => fileURLToPath(new URL(place, import.meta.url)))
  const found = places.find((place) => existsSync(place))
  if (found === undefined) throw new LabError(`${name} is not where this program was installed`, 'Install netsim again.')
  return found
}

export class Porter {
  private readonly child: ChildProcess
  private readonly waiting: Waiting[] = []
  private readonly ended: Promise<void>
  private complaint = ''
  private inUserNamespace = false
  private readonly kinds = new Map<string, string | null>()

  private constructor(child: ChildProcess) {
    this.child = child
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.complaint = (this.complaint + text).slice(-4000)))
    // what is written to a process that has gone is told by its end
    child.stdin?.on('error', () => undefined)
    if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', (line) => this.answered(line))
    this.ended = new Promise((resolve) => {
      const over = (what: string): void => {
        for (const { reject } of this.waiting.splice(0)) reject(new LabError(what, this.complaint.trim()))
        resolve()
      }
      child.on('error', (error: NodeJS.ErrnoException) =>
        over(error.code === 'ENOENT' ? 'python3 is not installed: apt-get install python3' : `python3 does not start: ${error.message}`),
      )
      child.on('close', () => over('the helper process ended'))
    })
  }

  /** @throws LabError: no python3, no privileges */
  static async start(prefix: string): Promise<Porter> {
    // its own process group: a Ctrl-C reaches netsim alone, whose end ends it
    const child = spawn('python3', ['-B', '-E', '-s', '-S', helperPath('porter.py'), prefix], { stdio: ['pipe', 'pipe', 'pipe'], detached: true })
    const porter = new Porter(child)
    try {
      const { userNamespace } = await porter.ask<{ userNamespace: boolean }>({ op: 'hello' })
      porter.inUserNamespace = userNamespace
      return porter
    } catch (error) {
      await porter.stop()
      throw error
    }
  }

  /** Resolves when the process has ended, by whatever means. */
  get gone(): Promise<void> {
    return this.ended
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  get userNamespace(): boolean {
    return this.inUserNamespace
  }

  /** One question at a time may be under way for each answer; they come in order. @throws LabError */
  async ask<Answer>(question: Readonly<Record<string, unknown>>, { timeoutMs = ANSWER_MS }: { readonly timeoutMs?: number } = {}): Promise<Answer> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) throw new LabError('the helper process has ended', this.complaint.trim())
    const answer = new Promise<Record<string, unknown>>((resolve, reject) => this.waiting.push({ resolve, reject }))
    let answered = false
    AbortSignal.timeout(timeoutMs).addEventListener('abort', () => {
      if (answered) return
      this.complaint += `no answer to "${String(question.op)}" in ${timeoutMs} ms`
      this.child.kill('SIGKILL')
    })
    try {
      this.child.stdin?.write(`${JSON.stringify(question)}\n`)
      const message = await answer
      if (typeof message.failure === 'string') throw new LabError(message.failure, typeof message.fix === 'string' ? message.fix : '')
      return message as Answer
    } finally {
      answered = true
    }
  }

  /** Kinds of devices, of those asked about, that this kernel refuses, and what it said. */
  async lackingKinds(kinds: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const unknown = [...new Set(kinds)].filter((kind) => !this.kinds.has(kind))
    const { refused } = await this.ask<{ refused: Readonly<Record<string, string>> }>({ op: 'kinds', kinds: unknown })
    for (const kind of unknown) this.kinds.set(kind, refused[kind] ?? null)
    return new Map([...this.kinds].filter((entry): entry is [string, string] => entry[1] !== null))
  }

  /** Resolves when the process is gone, and with it every namespace. */
  async stop(): Promise<void> {
    this.child.stdin?.end()
    AbortSignal.timeout(GOODBYE_MS).addEventListener('abort', () => this.child.kill('SIGKILL'))
    await this.ended
  }

  private answered(line: string): void {
    const asked = this.waiting.shift()
    try {
      asked?.resolve(JSON.parse(line) as Record<string, unknown>)
    } catch {
      asked?.reject(new LabError(`the helper process says "${line.slice(0, 200)}"`, ''))
    }
  }
}
