/**
 * Named numbers cost what literal ones do. esbuild writes a numeric constant into its uses, in whatever module, only where the constant's own
 * module imports nothing; elsewhere it becomes a variable, which each use reads and checks anew: a packet's walk would do so some thousand times.
 * This plug-in gives the constants of each module a module of their own. Nothing of what they say changes: they depend on nothing.
 */
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'

const NAMESPACE = 'constants'
/** A line of its own, of digits and of names of such lines before it. */
const CONSTANT = /^(export )?const ([A-Z][A-Z0-9_]*) = ([-+~*|&<>() \w]+)$/
const NAME = /\b[A-Za-z_$][\w$]*\b/g

export function inlineConstants() {
  return {
    name: 'inline-constants',
    setup(builder) {
      builder.onResolve({ filter: /^constants:/ }, ({ path }) => ({ path: path.slice(NAMESPACE.length + 1), namespace: NAMESPACE, sideEffects: false }))
      builder.onLoad({ filter: /./, namespace: NAMESPACE }, ({ path }) => ({ loader: 'ts', contents: split(readFileSync(path, 'utf8')).constants }))
      builder.onLoad({ filter: /[\\/]src[\\/].*\.ts$/ }, ({ path }) => {
        const { names, exported, rest } = split(readFileSync(path, 'utf8'))
        if (names.length === 0) return undefined
        const from = JSON.stringify(`${NAMESPACE}:${path}`)
        const ways = [`import { ${names.join(', ')} } from ${from}`, `export { ${exported.join(', ')} } from ${from}`]
        return { loader: 'ts', resolveDir: dirname(path), contents: [rest, ...ways].join('\n') }
      })
    },
  }
}

/** Empty lines stand where constants were: a place in the code stays that place. */
function split(text) {
  const names = []
  const exported = []
  const constants = []
  const rest = text.split('\n').map((line) => {
    const [, isExported, name, value] = CONSTANT.exec(line) ?? []
    if (name === undefined || !(value.match(NAME) ?? []).every((word) => names.includes(word))) return line
    names.push(name)
    if (isExported !== undefined) exported.push(name)
    constants.push(`export const ${name} = ${value}`)
    return ''
  })
  return { names, exported, constants: constants.join('\n'), rest: rest.join('\n') }
}
