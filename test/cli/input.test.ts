/** `-f`: files, folders, standard input, and all that can be wrong with them. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { EXAMPLE_NAME, LARGEST_FILE, readInputs } from '../../src/cli/input.js'
import { EXAMPLE_TEXT } from '../../src/cluster/example.js'
import type { Input } from '../../src/cluster/manifest.js'
import { memoryIo, type Around } from './memory-io.js'

let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'netsim-input-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true })
})

function put(name: string, content: string | Uint8Array): void {
  mkdirSync(join(folder, name, '..'), { recursive: true })
  writeFileSync(join(folder, name), content)
}

async function read(names: readonly string[], options: { recursive?: boolean } & Around = {}) {
  const { inputs, problems } = await readInputs(names, options.recursive ?? false, memoryIo({ cwd: folder, ...options }).io)
  return { inputs: inputs.map((input) => [input.file, textOf(input)]), problems: problems.map(({ file, what }) => `${file}: ${what}`) }
}

function textOf(input: Input): string {
  if ('text' in input) return input.text
  const pieces: Uint8Array[] = []
  // a piece holds until the next one is asked for
  for (const piece of input.chunks) pieces.push(piece.slice())
  return Buffer.concat(pieces).toString('utf8')
}

describe('what is read', () => {
  it('without -f: the built-in example', async () => {
    expect(await read([])).toEqual({ inputs: [[EXAMPLE_NAME, EXAMPLE_TEXT]], problems: [] })
  })

  it('without -f, where there is a netsim.yaml: that', async () => {
    put('netsim.yaml', 'kind: Node')
    expect(await read([])).toEqual({ inputs: [['netsim.yaml', 'kind: Node']], problems: [] })
  })

  it('files in the order given, a byte order mark left out', async () => {
    put('b.yaml', '\ufeffb')
    put('a.txt', 'a')
    expect(await read(['b.yaml', 'a.txt'])).toEqual({
      inputs: [
        ['b.yaml', 'b'],
        ['a.txt', 'a'],
      ],
      problems: [],
    })
  })

  it('a folder: its manifests sorted, nothing else, and no folder in it', async () => {
    for (const name of ['z.yml', 'b.json', 'a.yaml', 'notes.md', 'deep/c.yaml']) put(`d/${name}`, name)
    expect((await read(['d'])).inputs).toEqual([
      ['d/a.yaml', 'a.yaml'],
      ['d/b.json', 'b.json'],
      ['d/z.yml', 'z.yml'],
    ])
  })

  it('with -R its folders too, hidden ones aside, and a link upwards ends', async () => {
    for (const name of ['z.yml', 'deep/er/c.yaml', '.git/x.yaml']) put(`d/${name}`, name)
    symlinkSync('..', join(folder, 'd/deep/up'))
    expect(await read(['d'], { recursive: true })).toEqual({
      inputs: [
        ['d/deep/er/c.yaml', 'deep/er/c.yaml'],
        ['d/z.yml', 'z.yml'],
      ],
      problems: [],
    })
  })

  it('standard input, once', async () => {
    expect(await read(['-', '-'], { stdin: 'kind: Pod' })).toEqual({ inputs: [['-', 'kind: Pod']], problems: [] })
  })
})

describe('what cannot be read is a Problem each, and the rest is read', () => {
  it('missing, binary, broken UTF-16, broken UTF-8, an empty folder, an address', async () => {
    put('good.yaml', 'good')
    put('binary.gz', new Uint8Array([0x1f, 0x8b, 0, 0]))
    put('utf16.yaml', new Uint8Array([0xff, 0xfe, 0x61]))
    put('latin1.yaml', new Uint8Array([0x61, 0xe9, 0x62]))
    mkdirSync(join(folder, 'empty'))
    expect(await read(['gone.yaml', 'binary.gz', 'utf16.yaml', 'latin1.yaml', 'empty', 'https://example.com/a.yaml', 'good.yaml'])).toEqual({
      inputs: [['good.yaml', 'good']],
      problems: [
        'gone.yaml: there is no such file or folder',
        'binary.gz: is a binary file, not YAML or JSON',
        'utf16.yaml: is not text in UTF-8',
        'latin1.yaml: is not text in UTF-8',
        'empty: the folder holds no *.yaml, *.yml or *.json',
        'https://example.com/a.yaml: is an address, not a file: netsim fetches nothing',
      ],
    })
  })

  it('a file of more than 8 GiB is not read, nor is a device without an end', async () => {
    put('huge.yaml', '')
    truncateSync(join(folder, 'huge.yaml'), LARGEST_FILE + 1)
    expect((await read(['huge.yaml', '/dev/zero'])).problems).toEqual(['huge.yaml: holds more than 8 GiB', '/dev/zero: is a binary file, not YAML or JSON'])
  })
})

describe('dumps', () => {
  it('UTF-16 with its mark, as PowerShell writes it, either way round', async () => {
    const text = 'kind: Node # \u00e4'
    const little = Buffer.from(`\ufeff${text}`, 'utf16le')
    put('le.yaml', little)
    put('be.yaml', Buffer.from(little).swap16())
    expect((await read(['le.yaml', 'be.yaml'])).inputs).toEqual([
      ['le.yaml', text],
      ['be.yaml', text],
    ])
  })

  it('a long file comes in pieces that can be asked for again; a binary one is refused by its first', async () => {
    const text = `# ${'x'.repeat(5 * 1024 * 1024)}\nkind: Node`
    put('long.yaml', text)
    put('long.bin', new Uint8Array(5 * 1024 * 1024))
    const { inputs, problems } = await readInputs(['long.yaml', 'long.bin'], false, memoryIo({ cwd: folder }).io)
    expect(problems.map(({ what }) => what)).toEqual(['is a binary file, not YAML or JSON'])
    expect('chunks' in inputs[0]).toBe(true)
    expect(textOf(inputs[0])).toBe(text)
    expect(textOf(inputs[0])).toBe(text)
  })

  it('a long file that is gone when it is read is told', async () => {
    put('long.yaml', 'x'.repeat(5 * 1024 * 1024))
    const result = await readInputs(['long.yaml'], false, memoryIo({ cwd: folder }).io)
    rmSync(join(folder, 'long.yaml'))
    expect(textOf(result.inputs[0])).toBe('')
    expect(result.problems.map(({ what }) => what)).toEqual(['there is no such file or folder'])
  })

  it("the folder of kubectl cluster-info dump is read with its namespaces', without -R, and its logs are not", async () => {
    for (const name of ['nodes.json', 'kube-system/pods.json', 'kube-system/events.json', 'kube-system/web-0/logs.txt']) put(`d/${name}`, name)
    expect((await read(['d'])).inputs.map(([file]) => file)).toEqual(['d/kube-system/events.json', 'd/kube-system/pods.json', 'd/nodes.json'])
  })
})
