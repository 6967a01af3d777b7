/**
 * src/cluster/network-schema.ts → docs/network.schema.json. Unknown fields are refused there, as the loader refuses them; a
 * field's description is its row in docs/network-document.md.
 */
import { toJsonSchema } from '@valibot/to-json-schema'
import { networkSchema } from '../../src/cluster/network-schema.js'

export interface SchemaNode {
  readonly [keyword: string]: unknown
  description?: string
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly anyOf?: readonly SchemaNode[]
  readonly items?: SchemaNode
}

/** What `optional` wraps, {anyOf: [it, null]}, and the items of a list. */
function unwrapped(node: SchemaNode | undefined): SchemaNode | undefined {
  if (node === undefined || node.properties !== undefined) return node
  if (node.items !== undefined) return unwrapped(node.items)
  return unwrapped(node.anyOf?.find(({ properties, items }) => properties !== undefined || items !== undefined))
}

export function describeField(root: SchemaNode, path: readonly string[], description: string): void {
  const [first, ...rest] = path
  const below = unwrapped(root)?.properties?.[first]
  if (below === undefined) throw new Error(`the page has a row for ${path.join('.')}, which the schema does not have`)
  if (rest.length === 0) below.description = description
  else describeField(below, rest, description)
}

/** Of the table under `## spec`: each field's path and meaning; a row may name several. */
export function documentedFields(page: string, heading = 'spec'): readonly (readonly [path: string, meaning: string])[] {
  const table = new RegExp(`^## ${heading}\\n(.*?)^## `, 'ms').exec(page)?.[1] ?? ''
  return [...table.matchAll(/^\| (`.*?) \| (.*?) \| /gm)].flatMap(([, names, meaning]) =>
    [...names.matchAll(/`([A-Za-z.]+)`/g)].map(([, path]) => [path, meaning.replaceAll('`', '')] as const),
  )
}

export function jsonSchemaOf(valibotSchema: Parameters<typeof toJsonSchema>[0]): SchemaNode {
  return toJsonSchema(valibotSchema, {
    target: 'draft-2020-12',
    typeMode: 'input',
    errorMode: 'throw',
    overrideSchema: ({ valibotSchema, jsonSchema }) => (valibotSchema.type === 'loose_object' ? { ...jsonSchema, additionalProperties: false } : undefined),
    // a check says its words in the metadata before it
    overrideAction: ({ valibotAction, jsonSchema }) => (valibotAction.type === 'check' ? jsonSchema : undefined),
  }) as unknown as SchemaNode
}

export function networkJsonSchema(page: string): object {
  const { $schema, ...body } = jsonSchemaOf(networkSchema())
  const schema: SchemaNode = {
    $schema,
    title: 'netsim/v1 Network',
    description: 'What no Kubernetes object says of a network: docs/network-document.md. Every field is optional.',
    ...body,
  }
  for (const [path, meaning] of documentedFields(page)) describeField(schema, ['spec', ...path.split('.')], meaning)
  return schema
}
