/** src/cluster/scenario/scenario-schema.ts → docs/scenario.schema.json, with the words of docs/scenarios.md and delays.ts. */
import { DELAYS } from '../../src/cluster/scenario/delays.js'
import { scenarioSchema } from '../../src/cluster/scenario/scenario-schema.js'
import { describeField, documentedFields, jsonSchemaOf, type SchemaNode } from './network-json-schema.js'

export function scenarioJsonSchema(page: string): object {
  const { $schema, ...body } = jsonSchemaOf(scenarioSchema())
  const schema: SchemaNode = {
    $schema,
    title: 'netsim/v1 Scenario',
    description: 'What happens to a cluster at virtual times, and what is asked meanwhile: docs/scenarios.md.',
    ...body,
  }
  for (const [path, meaning] of documentedFields(page)) describeField(schema, ['spec', ...path.split('.')], meaning)
  for (const [name, { what }] of Object.entries(DELAYS)) describeField(schema, ['spec', 'delays', name], what)
  for (const [path, meaning] of documentedFields(page, 'Probes')) describeField(schema, ['spec', 'probes', path], meaning)
  return schema
}
