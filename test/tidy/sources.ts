/**
 * The project's own files as the tidy tests see them: text, syntax tree and imports. A check returns its complaints as
 * `file:line: what` strings, so that a failing test lists all of them at once.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export interface Import {
  readonly line: number
  /** As written: `../base/ip.js`, `yaml`, `node:fs`. */
  readonly specifier: string
  /** The file it stands for, `src/base/ip.ts`; undefined for a package and for a module of Node. */
  readonly target: string | undefined
  /** Gone after compilation: `import type`. */
  readonly typeOnly: boolean
  /** The names taken; `*` for a whole module, also with import(). */
  readonly names: readonly string[]
}

export interface Source {
  /** Relative to the project, with slashes: `src/net/bridge.ts`. */
  readonly path: string
  readonly text: string
  readonly lines: readonly string[]
  readonly tree: ts.SourceFile
  readonly imports: readonly Import[]
}

/** All files under a folder of the project, sorted, as paths relative to the project. */
export function filesUnder(folder: string): string[] {
  if (!existsSync(join(ROOT, folder))) return []
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length).replaceAll('\\', '/'))
    .sort()
}

export function readSources(folder: string): Source[] {
  return filesUnder(folder)
    .filter((path) => path.endsWith('.ts') || path.endsWith('.mjs'))
    .map((path) => parseSource(path, readFileSync(join(ROOT, path), 'utf8')))
}

export function parseSource(path: string, text: string): Source {
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true)
  return { path, text, lines: text.split('\n'), tree, imports: importsOf(path, tree) }
}

/** Every node of the tree, depth first. */
export function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node)
  ts.forEachChild(node, (child) => walk(child, visit))
}

/** 1-based line on which a node starts, its comments left out. */
export function lineOf(tree: ts.SourceFile, node: ts.Node): number {
  return tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1
}

function importsOf(path: string, tree: ts.SourceFile): Import[] {
  const imports: Import[] = []
  walk(tree, (node) => {
    const found = importAt(node)
    if (found === undefined) return
    imports.push({ ...found, line: lineOf(tree, node), target: targetOf(path, found.specifier) })
  })
  return imports
}

function importAt(node: ts.Node): Pick<Import, 'specifier' | 'typeOnly' | 'names'> | undefined {
  if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
    return { specifier: node.moduleSpecifier.text, typeOnly: node.importClause?.isTypeOnly === true || onlyTypes(node), names: importedNames(node) }
  }
  if (ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined && ts.isStringLiteral(node.moduleSpecifier)) {
    return { specifier: node.moduleSpecifier.text, typeOnly: node.isTypeOnly, names: ['*'] }
  }
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword && ts.isStringLiteral(node.arguments[0])) {
    return { specifier: node.arguments[0].text, typeOnly: false, names: ['*'] }
  }
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument) && ts.isStringLiteral(node.argument.literal)) {
    return { specifier: node.argument.literal.text, typeOnly: true, names: ['*'] }
  }
  return undefined
}

/** `import { type A, type B } from` */
function onlyTypes(node: ts.ImportDeclaration): boolean {
  const clause = node.importClause
  if (clause === undefined || clause.name !== undefined || clause.namedBindings === undefined) return false
  return ts.isNamedImports(clause.namedBindings) && clause.namedBindings.elements.every((element) => element.isTypeOnly)
}

function importedNames(node: ts.ImportDeclaration): string[] {
  const bindings = node.importClause?.namedBindings
  const whole = node.importClause?.name === undefined ? [] : ['default']
  if (bindings === undefined) return whole
  return [...whole, ...(ts.isNamedImports(bindings) ? bindings.elements.map((element) => (element.propertyName ?? element.name).text) : ['*'])]
}

function targetOf(importer: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined
  return normalize(join(dirname(importer), specifier))
    .replaceAll('\\', '/')
    .replace(/\.js$/, '.ts')
}

/**
 * Rings of files that import each other at run time, each as `a → b → a`. Types may refer to each other within a folder, as a
 * device and its netns do; across folders the floors forbid it.
 */
export function importCycles(sources: readonly Source[]): string[] {
  const byPath = new Map(sources.map((source) => [source.path, source]))
  const done = new Set<string>()
  const trail: string[] = []
  const cycles: string[] = []
  const visit = (path: string): void => {
    const at = trail.indexOf(path)
    if (at >= 0) cycles.push([...trail.slice(at), path].join(' → '))
    if (at >= 0 || done.has(path)) return
    trail.push(path)
    for (const { target, typeOnly } of byPath.get(path)?.imports ?? []) if (target !== undefined && !typeOnly && byPath.has(target)) visit(target)
    trail.pop()
    done.add(path)
  }
  for (const source of sources) visit(source.path)
  return cycles
}

/**
 * Uses, while a module loads, of a name that it imports from a file of its own ring: the one thing that makes a ring of modules
 * harmful, since the name may have no value yet. A name used inside a function is read when the function is called.
 */
export function earlyUses(source: Source, sources: readonly Source[]): string[] {
  const early = source.imports
    .filter(({ target, typeOnly }) => target !== undefined && !typeOnly && reachable(sources, [target], 'at run time').has(source.path))
    .flatMap(({ names }) => names)
  const complaints: string[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isTypeNode(node) || ts.isFunctionLike(node)) return
    if (ts.isIdentifier(node) && early.includes(node.text))
      complaints.push(`${source.path}:${lineOf(source.tree, node)}: ${node.text} is read while the module loads`)
    ts.forEachChild(node, visit)
  }
  visit(source.tree)
  return complaints
}

/** The files that some entry reaches through imports, the entries included; types' too unless only run time counts. */
export function reachable(sources: readonly Source[], entries: readonly string[], when: 'at all' | 'at run time' = 'at all'): Set<string> {
  const byPath = new Map(sources.map((source) => [source.path, source]))
  const reached = new Set<string>()
  const pending = [...entries]
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    if (reached.has(path) || !byPath.has(path)) continue
    reached.add(path)
    for (const { target, typeOnly } of byPath.get(path)?.imports ?? []) {
      if (target !== undefined && (when === 'at all' || !typeOnly)) pending.push(target)
    }
  }
  return reached
}
