/**
 * src/cluster/network-schema.ts → docs/network.schema.json. Unknown fields are refused there, as the loader refuses them; a
 * field's description is its row in docs/network-document.md.
 */
import { toJsonSchema } from '@valibot/to-json-schema'
import { networkSchema } from '../../src/cluster/network-schema.js'

interface Node {
  readonly [keyword: string]: unknown
  description?: string
  readonly properties?: Readonly<Record<string, Node>>
  readonly anyOf?: readonly Node[]
}

/** What `optional` wraps: {anyOf: [it, null]}. */
function unwrapped(node: Node | undefined): Node | undefined {
  return node?.properties !== undefined ? node : node?.anyOf?.find(({ properties }) => properties !== undefined)
}

function describe(root: Node, path: readonly string[], description: string): void {
  const [first, ...rest] = path
  const below = unwrapped(root)?.properties?.[first]
  if (below === undefined) throw new Error(`docs/network-document.md has a row for ${path.join('.')}, which the schema does not have`)
  if (rest.length === 0) below.description = description
  else describe(below, rest, description)
}

/** Of the table under `## spec`: each field's path and meaning; a row may name several. */
export function documentedFields(page: string): readonly (readonly [path: string, meaning: string])[] {
  const table = /^## spec\n(.*?)^## /ms.exec(page)?.[1] ?? ''
  return [...table.matchAll(/^\| (`.*?) \| (.*?) \| /gm)].flatMap(([, names, meaning]) =>
    [...names.matchAll(/`([A-Za-z.]+)`/g)].map(([, path]) => [path, meaning.replaceAll('`', '')] as const),
  )
}

export function networkJsonSchema(page: string): object {
  const { $schema, ...body } = toJsonSchema(networkSchema(), {
    target: 'draft-2020-12',
    typeMode: 'input',
    errorMode: 'throw',
    overrideSchema: ({ valibotSchema, jsonSchema }) => (valibotSchema.type === 'loose_object' ? { ...jsonSchema, additionalProperties: false } : undefined),
    // a check says its words in the metadata before it
    overrideAction: ({ valibotAction, jsonSchema }) => (valibotAction.type === 'check' ? jsonSchema : undefined),
  })
  const schema = {
    $schema,
    title: 'netsim/v1 Network',
    description: 'What no Kubernetes object says of a network: docs/network-document.md. Every field is optional.',
    ...body,
  } as Node
  for (const [path, meaning] of documentedFields(page)) describe(schema, ['spec', ...path.split('.')], meaning)
  return schema
}
