/**
 * Completion: what `netsim __complete` answers, and the scripts in the shells themselves, with netsim bundled as it is published. A shell that
 * is not installed is named on standard error and its tests do not run.
 */
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { unquote } from '../../src/cli/completion-command.js'
import { KINDS } from '../../src/cli/show-names.js'
import { DISPOSITIONS } from '../../src/net/disposition.js'
import { netsim, type Around } from './memory-io.js'

const VXLAN = fileURLToPath(new URL('../../examples/flannel-vxlan.yaml', import.meta.url))

interface Answer {
  readonly values: readonly string[]
  readonly directive: string
}

async function complete(words: readonly string[], around: Around = {}): Promise<Answer> {
  const { code, out, err } = await netsim(['__complete', ...words], around)
  expect({ code, err }).toEqual({ code: 0, err: '' })
  const lines = out.split('\n')
  expect(lines.pop()).toBe('')
  return { directive: lines.pop() ?? '', values: lines.map((line) => line.split('\t')[0]) }
}

const of = (line: string): Promise<Answer> => complete(line.split(' '))

/** The first words of the lines of a help text's block. */
function namedIn(help: string, block: string): string[] {
  const text = help.slice(help.indexOf(`\n${block}:\n`)).split('\n\n')[0]
  return [...text.matchAll(/^ {2}(?:-\w, )?([\w-]+)/gm)].map(([, word]) => word)
}

describe('__complete', () => {
  it('verbs: those of the help', async () => {
    const { out } = await netsim(['--help'])
    expect(namedIn(out, 'Commands').length).toBeGreaterThan(4)
    expect(await complete([''])).toEqual({ values: namedIn(out, 'Commands'), directive: ':4' })
    expect(await complete(['help', ''])).toEqual({ values: namedIn(out, 'Commands'), directive: ':4' })
    expect((await of('tra')).values).toEqual(['trace'])
  })

  it.each(['trace', 'show', 'schema', 'completion'])('flags of %s: those of its help', async (verb) => {
    const { out } = await netsim([verb, '--help'])
    const flags = namedIn(out, 'Options').filter((word) => word.startsWith('--'))
    expect(flags).toContain('--help')
    expect(await complete([verb, '--'])).toEqual({ values: flags, directive: ':4' })
  })

  it('words of a list: those that the flag takes', async () => {
    expect((await of('trace a b --proto ')).values).toEqual(['tcp', 'udp', 'icmp', 'sctp'])
    expect((await of('trace --color=n')).values).toEqual(['--color=never'])
    expect((await of('show -o ')).values).toEqual(['text', 'json'])
    expect((await of('trace --expect ')).values).toEqual(DISPOSITIONS)
    expect(await of('trace --expect DENIED,REJ')).toEqual({ values: ['DENIED,REJECTED'], directive: ':6' })
    expect((await of('trace --expect DENIED,DEN')).values).toEqual([])
    expect((await of('show ')).values).toEqual(KINDS)
    expect((await of('schema T')).values).toEqual(['Trace'])
    expect((await of('completion ')).values).toEqual(['bash', 'zsh', 'fish'])
  })

  it('each value that is offered is taken', async () => {
    for (const flag of ['--proto', '-o', '--color', '--expect']) {
      for (const value of (await of(`trace ${flag} `)).values) {
        // no place to ask about is the first complaint once the flags are read
        expect((await netsim(['trace', '', 'pod-b', flag, value])).err).toBe('error: SRC is empty\n')
      }
    }
  })

  it('files are the shell’s', async () => {
    for (const line of ['trace -f ', 'show --filename=', 'trace a b --svg ', 'trace -Rf x'])
      expect(await of(line), line).toEqual({ values: [], directive: ':0' })
    expect(await of('trace a b --size ')).toEqual({ values: [], directive: ':4' })
  })

  it('pods and nodes of the built-in example', async () => {
    expect(await of('trace ')).toEqual({ values: ['pod-a', 'pod-a2', 'pod-b', 'node/host-a', 'node/host-b'], directive: ':4' })
    expect((await of('trace -v pod-a --ttl 9 default/')).values).toEqual(['default/pod-a', 'default/pod-a2', 'default/pod-b'])
    expect((await of('trace pod/')).values).toEqual(['pod/pod-a', 'pod/pod-a2', 'pod/pod-b'])
    expect((await of('show routes ')).values).toEqual(['host-a', 'host-b', 'pod-a', 'pod-a2', 'pod-b', 'router/router'])
    expect((await of('trace pod-a pod-b x')).values).toEqual([])
    expect((await of('trace -- ')).values).toContain('pod-a')
  })

  it('names of -f, in the namespace of -n, with their ports', async () => {
    expect((await complete(['trace', '-f', VXLAN, 's'])).values).toEqual(['shop/web-0', 'shop/api-0'])
    expect((await complete(['trace', `-f${VXLAN}`, '--namespace=shop', ''])).values.slice(0, 2)).toEqual(['web-0', 'api-0'])
    expect((await complete(['trace', '-f', VXLAN, 'shop/web-0', 'shop/api-0:'])).values).toEqual(['shop/api-0:8080'])
    expect((await complete(['trace', '-f', VXLAN, '-n', 's'])).values).toEqual(['shop'])
  })

  it('Services, from their objects', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'netsim-complete-'))
    writeFileSync(join(folder, 'netsim.yaml'), 'apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n')
    expect((await complete(['trace', 'svc/'], { cwd: folder })).values).toEqual(['svc/web'])
    rmSync(folder, { recursive: true })
  })

  it.each<[string, string[], Around]>([
    ['a file that is not there', ['trace', '-f', 'gone.yaml', ''], {}],
    ['an address', ['trace', '-f', 'http://127.0.0.1:1/', ''], {}],
    ['standard input, which stays unread', ['trace', '-f', '-', ''], { stdin: 'kind: {' }],
    ['an unknown verb', ['nonsense', ''], {}],
    ['an unknown flag’s value', ['trace', '--nonsense=x'], {}],
    ['no word at all', ['trace', 'a', 'b', ''], {}],
  ])('%s: nothing, and no complaint', async (_what, words, around) => {
    expect((await complete(words, around)).values).toEqual([])
  })

  it('a name that a shell could read as more than a word is not offered', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'netsim-complete-'))
    const names = ['good', '$(touch x)', 'a;b', 'a b', '`id`', "it's"]
    writeFileSync(join(folder, 'netsim.yaml'), names.map((name) => JSON.stringify({ apiVersion: 'v1', kind: 'Service', metadata: { name } })).join('\n---\n'))
    expect((await complete(['trace', 'svc/'], { cwd: folder })).values).toEqual(['svc/good'])
    rmSync(folder, { recursive: true })
  })

  it('whatever is typed: lines that fit it, a directive, and no complaint', async () => {
    const pieces = [
      'trace',
      'show',
      '--proto',
      '--proto=',
      '-f',
      '-vR',
      '--',
      '-',
      'pod-a',
      'pod-',
      ':',
      '=',
      '',
      'x',
      "'",
      '\\n',
      '--expect=A,',
      'é',
      '__complete',
    ]
    const word = fc.array(fc.oneof(fc.constantFrom(...pieces), fc.string({ maxLength: 4 })), { maxLength: 3 }).map((parts) => parts.join(''))
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(fc.constantFrom(...pieces), word), { maxLength: 6 }), async (words) => {
        const { values, directive } = await complete(words)
        expect(directive).toMatch(/^:[0246]$/)
        for (const value of values) expect(value.startsWith(words.at(-1) ?? '')).toBe(true)
      }),
      { numRuns: 60 },
    )
  })

  it('kubectl asks a command of its own', async () => {
    const asked = await netsim(['trace', 'pod-b'], { script: '/usr/local/bin/kubectl_complete-netsim' })
    expect(asked).toEqual({ code: 0, out: 'pod-b\tpod of default on host-b\n:4\n', err: '' })
  })

  it.each([
    ['plain', 'plain'],
    ["'my dir/a b'", 'my dir/a b'],
    ["my\\ dir/it\\'s", "my dir/it's"],
    ['"a \\"b\\" \\$c"/d', 'a "b" $c/d'],
    ["'un closed", 'un closed'],
    ['"un closed', 'un closed'],
    ["'it'\\''s'", "it's"],
    ['$(touch x)', '$(touch x)'],
    ['a\\', 'a'],
  ])('%s without its quotes', (word, plain) => {
    expect(unquote(word)).toBe(plain)
  })
})

let folder = ''

/** `netsim` on the PATH, and a folder whose names need quotes. */
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'netsim-shells-'))
  const require = "import { createRequire as __createRequire } from 'node:module'\nconst require = __createRequire(import.meta.url)"
  buildSync({
    entryPoints: [fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))],
    outfile: join(folder, 'main.mjs'),
    bundle: true,
    format: 'esm',
    platform: 'node',
    banner: { js: require },
    logLevel: 'error',
  })
  writeFileSync(join(folder, 'netsim'), `#!/bin/sh\nexec '${process.execPath}' '${join(folder, 'main.mjs')}' "$@"\n`)
  chmodSync(join(folder, 'netsim'), 0o755)
  mkdirSync(join(folder, 'my dir'))
  copyFileSync(VXLAN, join(folder, "my dir/it's $a.yaml"))
})

afterAll(() => {
  rmSync(folder, { recursive: true })
})

const IN_ODD_FILE = ['-f', "my dir/it's $a.yaml", '-n', 'shop', 'web-0']

function isThere(shell: string): boolean {
  const there = spawnSync(shell, ['--version']).status === 0
  if (!there) process.stderr.write(`NOT HELD: the completion script of ${shell}, which is not installed here\n`)
  return there
}

function shell(command: string, words: readonly string[]): string[] {
  const env = { PATH: `${folder}:${process.env.PATH}`, HOME: folder }
  const { status, stdout, stderr } = spawnSync(command, words, { cwd: folder, env, encoding: 'utf8' })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  return stdout.split('\n').filter((line) => line !== '')
}

/** The function as readline calls it. @param words as bash breaks the line, at : and = too */
function bash(line: string, words: readonly string[]): string[] {
  const code = 'source <(netsim completion bash)\nCOMP_LINE=$1 COMP_POINT=${#1}\nshift\nCOMP_WORDS=("$@") COMP_CWORD=$(($# - 1))\n_netsim'
  return shell('bash', ['-c', `${code}\n((\${#COMPREPLY[@]})) && printf '%s\\n' "\${COMPREPLY[@]}"; true`, 'bash', line, ...words])
}

describe.runIf(isThere('bash'))('the script of bash', () => {
  it.each<[line: string, words: string[], expected: string[]]>([
    ['netsim tra', ['netsim', 'tra'], ['trace']],
    ['netsim trace ', ['netsim', 'trace', ''], ['pod-a', 'pod-a2', 'pod-b', 'node/host-a', 'node/host-b']],
    ['netsim   trace  --proto=u', ['netsim', 'trace', '--proto', '=', 'u'], ['udp']],
    ['netsim trace --proto=', ['netsim', 'trace', '--proto', '='], ['tcp', 'udp', 'icmp', 'sctp']],
    ['netsim trace -f gone', ['netsim', 'trace', '-f', 'gone'], []],
    [
      "netsim trace -f 'my dir/it'\\''s $a.yaml' -n shop web-0 api-0:80",
      ['netsim', 'trace', '-f', "'my dir/it'\\''s $a.yaml'", '-n', 'shop', 'web-0', 'api-0', ':', '80'],
      ['8080'],
    ],
    ["netsim trace -f my\\ dir/it\\'s\\ \\$a.yaml shop/a", ['netsim', 'trace', '-f', "my\\ dir/it\\'s\\ \\$a.yaml", 'shop/a'], ['shop/api-0']],
    ['netsim trace $(touch pwned) pod-a2', ['netsim', 'trace', '$(touch pwned)', 'pod-a2'], ['pod-a2']],
  ])('%s', (line, words, expected) => {
    expect(bash(line, words)).toEqual(expected)
    expect(spawnSync('test', ['-e', join(folder, 'pwned')]).status).toBe(1)
  })

  it('completes what stands before the cursor', () => {
    const line = `COMP_LINE='netsim tra pod-a' COMP_POINT=10 COMP_WORDS=(netsim tra pod-a) COMP_CWORD=1`
    expect(shell('bash', ['-c', `source <(netsim completion bash); ${line}; _netsim; echo "$COMPREPLY"`])).toEqual(['trace'])
  })

  it('is bound to the command, with files where there is nothing else', () => {
    expect(shell('bash', ['-c', 'source <(netsim completion bash); complete -p netsim'])).toEqual(['complete -o default -F _netsim netsim'])
  })
})

describe.runIf(isThere('zsh'))('the script of zsh', () => {
  /** With zsh's own functions, which run in its line editor alone, replaced by ones that print what they are given. */
  const zsh = (...words: string[]): string[] => {
    const stubs = `compdef() { }; compset() { print -r "compset $*" }; _files() { print files }
      _describe() { shift 2; print -rl -- \${(P)1}; shift; (($#)) && print -r "options: \${(j:|:)@}"; true }`
    const code = `${stubs}\nsource <(netsim completion zsh)\nwords=("$@") CURRENT=$# PREFIX=\${@[-1]}\n_netsim`
    return shell('zsh', ['-f', '-c', code, 'zsh', 'netsim', ...words])
  }

  it('verbs, flags and names with their descriptions', () => {
    expect(zsh('tra')).toEqual(['trace:follow one packet, and its answer'])
    expect(zsh('trace', '--proto=u')).toEqual(['--proto=udp'])
    expect(zsh('trace', '--expect', 'DENIED,REJ')).toEqual(['DENIED,REJECTED', 'options: -S|'])
    expect(zsh('trace', 'pod-b')).toEqual(['pod-b:pod of default on host-b'])
  })

  it('quotes are taken off, and a colon of a name kept apart', () => {
    expect(zsh('trace', '-f', "'my dir/it'\\''s $a.yaml'", '-n', 'shop', 'web-0', 'api-0:')).toEqual(['api-0\\:8080:containerPort, TCP'])
  })

  it('files where a file is due, nothing where nothing fits', () => {
    expect(zsh('trace', '-f', '')).toEqual(['files'])
    expect(zsh('trace', '--svg=')).toEqual(['compset -P *=', 'files'])
    expect(
      shell('zsh', [
        '-f',
        '-c',
        `compdef() { }; _files() { print files }; source <(netsim completion zsh); words=(netsim trace zzz) CURRENT=3 PREFIX=zzz; _netsim; true`,
      ]),
    ).toEqual([])
  })
})

describe.runIf(isThere('fish'))('the script of fish', () => {
  const fish = (line: string): string[] => shell('fish', ['--no-config', '-c', 'netsim completion fish | source; complete -C $argv[1]', line])

  it('verbs, flags and names with their descriptions', () => {
    expect(fish('netsim tra')).toEqual(['trace\tfollow one packet, and its answer'])
    expect(fish('netsim trace --proto=u')).toEqual(['--proto=udp'])
    expect(fish('netsim trace pod-a pod-b')).toEqual(['pod-b\tpod of default on host-b'])
    expect(fish('netsim show routes zzz')).toEqual([])
  })

  it('files, and names of a file whose name needs quotes', () => {
    const quoted = `'${IN_ODD_FILE[1].replaceAll("'", "\\'")}'`
    expect(fish(`netsim trace -f ${quoted} -n shop web-0 api-0:`)).toEqual(['api-0:8080\tcontainerPort, TCP'])
    expect(fish('netsim trace -f my\\ dir/').map((line) => line.trimEnd())).toEqual([IN_ODD_FILE[1]])
    expect(fish('netsim trace --svg=mai').map((line) => line.trimEnd())).toEqual(['--svg=main.mjs'])
  })
})

describe('completion', () => {
  it.each(['bash', 'zsh', 'fish'])('%s prints a script for netsim', async (name) => {
    const { code, out, err } = await netsim(['completion', name.toUpperCase()])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toContain('__complete')
  })

  it('another shell is told, with the nearest', async () => {
    expect(await netsim(['completion', 'fihs'])).toEqual({
      code: 2,
      out: '',
      err: "error: there is no completion for 'fihs' (Did you mean fish?)\nThere are bash, zsh, fish.\n",
    })
    expect((await netsim(['completion'])).err).toMatch(/missing required argument 'SHELL'/)
  })

  it('help opens with examples', async () => {
    expect((await netsim(['help', 'completion'])).out).toMatch(/^Examples:\n {2}source <\(netsim completion bash\)/)
  })
})
