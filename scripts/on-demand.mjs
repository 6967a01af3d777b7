/**
 * Few files for what is loaded on demand. esbuild makes one file for each set of entries that share code, and takes every import()
 * for an entry that may come first: the more there are, the smaller the pieces, and each piece costs its reader a millisecond or two.
 * But an import() comes after the module that has it. This plug-in says so: a module loaded on demand imports, for its side effects
 * (it has none left), what has been loaded by then. Those pieces become one.
 */
import { readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'

/** @param trunk what `entry` loads first of all, and then waits: nothing may import the entry itself, which is still being evaluated */
export function onDemand({ root, entry, trunk }) {
  return {
    name: 'on-demand',
    async setup(builder) {
      const { initialOptions, esbuild } = builder
      const { metafile } = await esbuild.build({ ...initialOptions, plugins: [], metafile: true, write: false })
      const loaded = loadedBefore(metafile.inputs, entry, trunk)
      const wanted = new Set([...loaded.values()].flat().map((file) => join(root, file)))
      // package.json says that importing a module for nothing may be left out; here it may not.
      builder.onResolve({ filter: /\.[jt]s$/ }, ({ path, resolveDir }) => {
        const file = resolve(resolveDir, path).replace(/\.js$/, '.ts')
        return wanted.has(file) ? { path: file, sideEffects: true } : undefined
      })
      builder.onLoad({ filter: /\.(ts|json)$/ }, ({ path }) => {
        const before = loaded.get(relative(root, path).replaceAll('\\', '/'))
        if (before === undefined) return undefined
        const text = readFileSync(path, 'utf8')
        const code = path.endsWith('.json') ? `export default ${text}` : text
        const imports = before.map((file) => `import ${JSON.stringify(join(root, file))}`)
        return { loader: 'ts', resolveDir: dirname(path), contents: [code, ...imports].join('\n') }
      })
    },
  }
}

/** Module loaded on demand → modules that have been loaded whenever it is. */
function loadedBefore(inputs, entry, trunk) {
  const importsOf = (file, onDemand) =>
    inputs[file].imports.filter(({ kind, external }) => !external && (kind === 'dynamic-import') === onDemand).map(({ path }) => path)
  const importers = new Map()
  for (const file of Object.keys(inputs)) for (const path of importsOf(file, true)) importers.set(path, [...(importers.get(path) ?? []), file])
  const atOnce = new Map([entry, ...importers.keys()].map((file) => [file, closureOf(file, (one) => importsOf(one, false))]))
  const loaded = new Map()
  for (const [file, from] of importers) {
    const entries = [...atOnce].filter(([, closure]) => from.some((importer) => closure.has(importer))).map(([one]) => one)
    const before = entries.length === 1 ? entries[0] : from.length === 1 ? from[0] : trunk
    if (file !== trunk) loaded.set(file, [...new Set([before === entry ? trunk : before, trunk])])
  }
  return loaded
}

function closureOf(start, next) {
  const found = new Set([start])
  for (const file of found) for (const other of next(file)) found.add(other)
  return found
}
