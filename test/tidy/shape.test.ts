/**
 * The house style, as far as a machine can read it: sizes, first comments, punctuation, banned words, and what hot files do
 * without. Every check has cases of its own below it, since a check that finds nothing may be one that cannot.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { filesUnder, lineOf, parseSource, readSources, ROOT, walk, type Source } from './sources.js'

const FILE_LINES_MAX = 450
const FUNCTION_LINES_MAX = 70
const LINE_COLUMNS_MAX = 160

const HOT = '// hot path'
const HOT_BANNED_PACKAGES = ['ts-pattern', 'ip-address', 'netmask', 'yaml', 'valibot', 'commander']

/** Whatever reads a clock or draws by chance. */
const IMPURE_NAMES = ['Date', 'performance', 'crypto', 'setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'process', 'console']

// Put together here, so that this file does not find itself.
const UNFINISHED = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX', 'HA' + 'CK'].join('|')})\\b`)
const SET_ASIDE = new RegExp(`\\b(describe|it|test)(\\.[a-z]+)*\\.(on${'ly'}|sk${'ip'}|to${'do'})\\(`)
const PATH_OF_A_MACHINE = new RegExp(`(^|[\\s'"\`(=:,])/(${['wo' + 'rk', 'ho' + 'me', 'ro' + 'ot', 'Us' + 'ers'].join('|')})/`)

const src = readSources('src')
const code = [...src, ...['test', 'bench', 'scripts'].flatMap(readSources)]

type Check = (source: Source) => string[]

const sizes: Check = ({ path, lines, tree }) => {
  const complaints = lines.length - 1 > FILE_LINES_MAX ? [`${path}: ${lines.length - 1} lines`] : []
  walk(tree, (node) => {
    if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined) return
    const first = lineOf(tree, node)
    const length = tree.getLineAndCharacterOfPosition(node.end).line + 2 - first
    if (length > FUNCTION_LINES_MAX) complaints.push(`${path}:${first}: a function of ${length} lines`)
  })
  return complaints
}

const firstComment: Check = ({ path, text }) => (/^(#!.*\n)?(\/\/ hot path\n)?\/\*\*/.test(text) ? [] : [`${path}:1: no doc comment says what this is`])

/** A test's vector stands on one line as it is: a text in quotes, with at most a name before it. */
function isVector(path: string, line: string): boolean {
  return path.startsWith('test/') && /^\s*(\w+: |return )?['`"].*['`"],?$/.test(line)
}

const words: Check = ({ path, lines }) =>
  lines.flatMap((line, index) => {
    const at = `${path}:${index + 1}:`
    return [
      ...(line.length > LINE_COLUMNS_MAX && !isVector(path, line) ? [`${at} ${line.length} columns`] : []),
      ...(UNFINISHED.test(line) ? [`${at} unfinished: ${line.trim()}`] : []),
      ...(SET_ASIDE.test(line) ? [`${at} a test set aside: ${line.trim()}`] : []),
      ...(PATH_OF_A_MACHINE.test(line) ? [`${at} a path of one machine: ${line.trim()}`] : []),
      ...(/[ \t]+$/.test(line) ? [`${at} trailing space`] : []),
    ]
  })

const COMMENT_OR_NOTHING = /^\s*(\/\/.*|\/\*([^*]|\*(?!\/))*\*\/\s*)?$/

/** A semicolon stands only where a line that follows would otherwise be read as its continuation, and it stands on that line. */
const semicolons: Check = ({ path, tree, text }) => {
  const complaints: string[] = []
  walk(tree, (node) => {
    if (text[node.end - 1] !== ';' || !(ts.isStatement(node) || ts.isClassElement(node) || ts.isTypeElement(node))) return
    if (ts.isEmptyStatement(node) || (ts.isIterationStatement(node, false) && ts.isEmptyStatement(node.statement))) return
    const before = text.slice(text.lastIndexOf('\n', node.end - 1) + 1, node.end - 1)
    const after = text.slice(node.end, (text.indexOf('\n', node.end) + 1 || text.length + 1) - 1)
    const line = tree.getLineAndCharacterOfPosition(node.end).line + 1
    if (before.trim() !== '' && COMMENT_OR_NOTHING.test(after)) complaints.push(`${path}:${line}: semicolon`)
  })
  return [...new Set(complaints)]
}

const impurity: Check = ({ path, tree }) => {
  const complaints: string[] = []
  const own = namesDeclaredIn(tree)
  walk(tree, (node) => {
    const random = ts.isPropertyAccessExpression(node) && node.getText(tree) === 'Math.random'
    const named = ts.isIdentifier(node) && IMPURE_NAMES.includes(node.text) && !own.has(node.text) && !namesMember(node)
    if (random || named) complaints.push(`${path}:${lineOf(tree, node)}: ${node.getText(tree)}`)
  })
  return complaints
}

function namesDeclaredIn(tree: ts.SourceFile): Set<string> {
  const names = new Set<string>()
  walk(tree, (node) => {
    const declares =
      ts.isVariableDeclaration(node) || ts.isParameter(node) || ts.isBindingElement(node) || ts.isFunctionDeclaration(node) || ts.isImportSpecifier(node)
    if (declares && node.name !== undefined && ts.isIdentifier(node.name)) names.add(node.name.text)
  })
  return names
}

/** `a.process`, `{ process: 1 }` and the members of types and classes. */
function namesMember(node: ts.Identifier): boolean {
  const { parent } = node
  if (ts.isPropertyAccessExpression(parent)) return parent.name === node
  if (ts.isQualifiedName(parent)) return parent.right === node
  if (ts.isBindingElement(parent)) return parent.propertyName === node
  const member = ts.isPropertyAssignment(parent) || ts.isPropertySignature(parent) || ts.isMethodSignature(parent) || ts.isClassElement(parent)
  return member && parent.name === node
}

const hotFile: Check = ({ path, text, tree, imports }) => {
  if (!text.startsWith(`${HOT}\n`)) return []
  const complaints = imports
    .filter(({ specifier, typeOnly }) => !typeOnly && HOT_BANNED_PACKAGES.includes(specifier))
    .map(({ line, specifier }) => `${path}:${line}: ${specifier} in a hot file`)
  walk(tree, (node) => {
    const what = isCold(node) ? undefined : slowInHotFile(node)
    if (what !== undefined) complaints.push(`${path}:${lineOf(tree, node)}: ${what} in a hot file`)
  })
  return complaints
}

const ARRAY_METHODS = ['map', 'filter', 'find', 'findIndex', 'some', 'every', 'forEach', 'reduce', 'flatMap', 'sort']

/** Code that runs once: at load, in a constructor, in a function whose doc comment says `Cold.` */
function isCold(node: ts.Node): boolean {
  let inFunction = false
  for (let at: ts.Node | undefined = node; at !== undefined; at = at.parent) {
    if (ts.isConstructorDeclaration(at)) return true
    const named =
      ts.isFunctionDeclaration(at) || ts.isMethodDeclaration(at) || ts.isAccessor(at) || (ts.isArrowFunction(at) && ts.isVariableDeclaration(at.parent))
    if (!named) continue
    inFunction = true
    const documented = ts.isArrowFunction(at) ? at.parent.parent.parent : at
    if (ts.getJSDocCommentsAndTags(documented).some((comment) => /\bCold\./.test(comment.getText()))) return true
  }
  return !inFunction
}

function slowInHotFile(node: ts.Node): string | undefined {
  if (ts.isThrowStatement(node)) return 'throw'
  if (ts.isSpreadAssignment(node) || ts.isSpreadElement(node)) return 'a spread'
  if (ts.isTemplateExpression(node)) return 'a template literal'
  if (!ts.isCallExpression(node) || !ts.isPropertyAccessExpression(node.expression)) return undefined
  const takesClosure = node.arguments.some((argument) => ts.isArrowFunction(argument) || ts.isFunctionExpression(argument))
  const method = node.expression.name.text
  return takesClosure && ARRAY_METHODS.includes(method) ? `an array method with a closure (${method})` : undefined
}

describe('every source file', () => {
  it('opens with a comment that says what it is', () => expect(src.flatMap(firstComment)).toEqual([]))

  it(`has at most ${FILE_LINES_MAX} lines, its functions at most ${FUNCTION_LINES_MAX}`, () => expect(src.flatMap(sizes)).toEqual([]))

  it('touches no clock, no chance, no process and no console outside cli/', () => {
    expect(src.filter(({ path }) => !path.startsWith('src/cli/')).flatMap(impurity)).toEqual([])
  })

  it('keeps throw, spreads, template literals, closures over arrays and libraries out of hot files', () => expect(src.flatMap(hotFile)).toEqual([]))
})

describe('all code', () => {
  it('holds no over-long line, nothing unfinished, no test set aside, no path of one machine', () => expect(code.flatMap(words)).toEqual([]))

  it('ends no statement with a semicolon', () => expect(code.flatMap(semicolons)).toEqual([]))

  it('is named in kebab-case', () => {
    expect(code.map(({ path }) => path).filter((path) => !/^([a-z0-9-]+\/)*[a-z0-9-]+(\.test|\.d)?\.(ts|mjs)$/.test(path))).toEqual([])
  })
})

describe('the pages', () => {
  const pages = [...['README.md', 'ARCHITECTURE.md', 'CHANGELOG.md'].filter((page) => existsSync(join(ROOT, page))), ...filesUnder('docs')]
    .filter((path) => path.endsWith('.md'))
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }))

  it('name only files that exist', () => {
    expect(pages.flatMap(({ path, text }) => deadPaths(text, path).map((dead) => `${path}: ${dead}`))).toEqual([])
  })

  it('hold nothing unfinished and no path of one machine', () => {
    const wrong = (line: string): boolean => UNFINISHED.test(line) || PATH_OF_A_MACHINE.test(line)
    expect(pages.filter(({ text }) => text.split('\n').some(wrong)).map(({ path }) => path)).toEqual([])
  })
})

/** Links to files, and code words that look like paths of the project (`src/net/fib.ts`, `net/`, `scripts/*.mjs`), that lead nowhere. */
function deadPaths(markdown: string, page: string): string[] {
  const here = page.includes('/') ? page.slice(0, page.lastIndexOf('/')) : '.'
  const prose = markdown.replace(/^```.*?^```/gms, '')
  const links = [...prose.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)].map((match) => match[1]).filter((link) => !/^[a-z]+:/.test(link))
  const named = [...prose.matchAll(/`([A-Za-z0-9_.*/-]+)`/g)].map((match) => match[1]).filter(isPathOfProject)
  return [...links.filter((link) => !leadsSomewhere(join(here, link))), ...named.filter((path) => !leadsSomewhere(path) && !leadsSomewhere(join('src', path)))]
}

function isPathOfProject(word: string): boolean {
  const [first, ...rest] = word.split('/')
  if (rest.length === 0) return false
  if (['src', 'test', 'bench', 'scripts', 'docs', 'examples', '.ci'].includes(first)) return true
  return existsSync(join(ROOT, 'src', first)) && /(^|\.ts)$/.test(rest[rest.length - 1])
}

function leadsSomewhere(path: string): boolean {
  if (!path.includes('*')) return existsSync(join(ROOT, path))
  const folder = path.slice(0, path.lastIndexOf('/', path.indexOf('*')))
  const pattern = new RegExp(`^${path.replace(/[.+]/g, '\\$&').replace(/\*+/g, '.*')}$`)
  return filesUnder(folder).some((file) => pattern.test(file))
}

describe('the checks themselves', () => {
  const long = (count: number): string => 'let a = 1\n'.repeat(count)

  const COLD_SAMPLE = `${HOT}
const table = [...rows].map((row) => row.length)
class Table { constructor() { this.rows = [...rows] } }
/** Reads. Cold. */
export function read(): number[] { return [...table] }
/** Cold. */
const again = () => [...table]
`

  it.each<[string, Check, string, number]>([
    ['a long file', sizes, long(FILE_LINES_MAX + 1), 1],
    ['a file just short enough', sizes, long(FILE_LINES_MAX), 0],
    ['a long function', sizes, `const f = () => {\n${long(FUNCTION_LINES_MAX - 1)}}\n`, 1],
    ['a function just short enough', sizes, `class A { b() {\n${long(FUNCTION_LINES_MAX - 2)}}\n}\n`, 0],
    ['no first comment', firstComment, '// what\nlet a\n', 1],
    ['a hot file with its comment', firstComment, `${HOT}\n/** What. */\n`, 0],
    ['a long line', words, 'x'.repeat(161), 1],
    ['an unfinished line', words, '// TO' + 'DO later', 1],
    ['a test left alone', words, 'it.on' + "ly('a')", 1],
    ['a conditional test', words, "it.skipIf(root)('a')", 0],
    ['a path of a machine', words, "read('/ro" + "ot/x')", 1],
    ['a path of any system', words, "read('/proc/sys/net/ho" + "me/')", 0],
    ['a statement with a semicolon', semicolons, 'let a = 1; // why\n', 1],
    ['an import, a field and a member with semicolons', semicolons, "import 'a';\nclass B {\n  c = 1;\n}\ninterface D {\n  e: 1;\n}\n", 3],
    ['loops, inline types and a guarding semicolon', semicolons, 'for (;;) {}\nwhile (b());\nlet a: { b: 1; /** why */ c: 2 }\nf()\n;[1].at(0)\n', 0],
    ['a clock', impurity, 'const now = Date.now()', 1],
    ['chance', impurity, 'const a = Math.random()', 1],
    ['a process handed on', impurity, 'run({ process })', 1],
    ['a field of that name', impurity, 'interface A { process: string }\nconst b = a.process\nconst c = { console: 1 }', 0],
    ['a method called skip', words, 'words.sk' + "ip('dev')", 0],
    ['a parameter of that name', impurity, 'function a(process: B): void {\n  process.run()\n}\n', 0],
    ['a hot throw, spread, template and closure', hotFile, `${HOT}\nfunction a(): void {\n  throw { ...a, b: \`\${c}\`, d: e.map((f) => f) }\n}\n`, 4],
    ['a hot arrow function', hotFile, `${HOT}\nconst a = () => [...b]\n`, 1],
    ['tables, constructors and what says so are cold', hotFile, COLD_SAMPLE, 0],
    ['a hot file with a library', hotFile, `${HOT}\nimport { match } from 'ts-pattern'`, 1],
    ['a cold file', hotFile, "import { match } from 'ts-pattern'\nthrow [...a]", 0],
  ])('%s', (_name, check, text, count) => {
    expect(check(parseSource('src/net/sample.ts', text))).toHaveLength(count)
  })

  it('dead paths of a page', () => {
    expect(deadPaths('`src/base/ip.ts` `base/` `test/tidy/*.test.ts` [a](LICENSE) [b](https://x.y/z) `net.ipv4/x`', 'README.md')).toEqual([])
    expect(deadPaths('`src/base/nothing.ts` `base/nothing.ts` [a](NOTHING.md) `test/nothing/*.ts`', 'README.md')).toHaveLength(4)
    expect(deadPaths('[a](../LICENSE) [b](LICENSE)', 'docs/page.md')).toEqual(['LICENSE'])
  })
})
