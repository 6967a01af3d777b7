/** `netsim schema` on the command line. The schemas come when one is asked for. */
import type { Command } from 'commander'
import { nearestName } from '../cluster/nearest-name.js'
import { choosing } from './choices.js'
import { UsageError } from './exit.js'
import { DOCUMENT_KINDS, type DocumentKind } from './schemas.js'
import { table } from './table.js'
import type { Running } from './verb.js'

export function addSchema(program: Command, name: string, { io }: Running): void {
  program
    .command('schema')
    .summary('print the JSON Schema of a document')
    .description('Prints the JSON Schema (draft 2020-12) of a document that netsim reads or prints; without KIND, which there are.')
    .argument('[KIND]', `${DOCUMENT_KINDS.map(({ kind }) => kind).join(', ')}; in any case of letters`, documentKind)
    .addHelpText('before', schemaExamples(name))
    .showHelpAfterError(`See '${name} schema --help'.`)
    .action(async (document: DocumentKind | undefined) => {
      if (document === undefined)
        return io.out(
          table(
            ['KIND', 'DOCUMENT'],
            DOCUMENT_KINDS.map(({ kind, about }) => [kind, about]),
          ),
        )
      const { default: schema } = await document.load()
      await io.out(`${JSON.stringify(schema, null, 2)}\n`)
    })
}

const documentKind = choosing(
  DOCUMENT_KINDS.map(({ kind }) => kind),
  (word): DocumentKind => {
    const found = DOCUMENT_KINDS.find(({ kind }) => kind.toLowerCase() === word.toLowerCase())
    if (found !== undefined) return found
    const kinds = DOCUMENT_KINDS.map(({ kind }) => kind)
    const nearest = nearestName(word, kinds)
    throw new UsageError(`there is no schema of '${word}'${nearest === undefined ? '' : ` (Did you mean ${nearest}?)`}\nThere are ${kinds.join(', ')}.`)
  },
)

function schemaExamples(name: string): string {
  return `Examples:
  ${name} schema                                  which there are
  ${name} schema Network > network.schema.json    for an editor: # yaml-language-server: $schema=network.schema.json
  ${name} schema trace | jq '."$defs".step'       what a step of a trace holds
`
}
