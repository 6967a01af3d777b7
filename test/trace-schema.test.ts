/** docs/trace.schema.json and the documents that netsim makes: each fits, and holds no field that the schema does not name. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { DISPOSITIONS } from '../src/net/disposition.js'
import { STEP_KINDS } from '../src/net/trace.js'
import { answer, networkOf, type Ask } from './kit/network.js'

/** The part of JSON Schema (draft 2020-12) that the file uses. */
interface Schema {
  readonly $ref?: string
  readonly $defs?: Readonly<Record<string, Schema>>
  readonly type?: string | readonly string[]
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly anyOf?: readonly Schema[]
  readonly required?: readonly string[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: Schema
  readonly items?: Schema
}

const ROOT = JSON.parse(readFileSync(new URL('../docs/trace.schema.json', import.meta.url), 'utf8')) as Schema
const KEYWORDS = [
  '$schema',
  'title',
  'description',
  '$ref',
  '$defs',
  'type',
  'const',
  'enum',
  'anyOf',
  'required',
  'properties',
  'additionalProperties',
  'items',
]

function typeOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  return Number.isInteger(value) ? 'integer' : typeof value
}

/** Where the value and the schema disagree; a field that the schema does not name is a disagreement too. */
function faults(value: unknown, schema: Schema, path = '$'): string[] {
  if (schema.$ref !== undefined) return faults(value, ROOT.$defs?.[schema.$ref.replace('#/$defs/', '')] as Schema, path)
  if (schema.anyOf !== undefined) return schema.anyOf.some((one) => faults(value, one, path).length === 0) ? [] : [`${path}: fits none of anyOf`]
  if (schema.const !== undefined) return value === schema.const ? [] : [`${path}: not ${JSON.stringify(schema.const)}`]
  if (schema.enum !== undefined) return schema.enum.includes(value) ? [] : [`${path}: ${JSON.stringify(value)} is not in the enum`]
  if (![schema.type].flat().includes(typeOf(value))) return [`${path}: ${typeOf(value)}, not ${[schema.type].flat().join(' or ')}`]
  if (Array.isArray(value)) return value.flatMap((item, index) => faults(item, schema.items as Schema, `${path}[${index}]`))
  if (typeof value !== 'object' || value === null) return []
  const missing = (schema.required ?? []).filter((name) => !(name in value)).map((name) => `${path}.${name}: missing`)
  const inside = Object.entries(value).flatMap(([name, field]) => {
    const known = schema.properties?.[name] ?? schema.additionalProperties
    return known === undefined ? [`${path}.${name}: not named`] : faults(field, known, `${path}.${name}`)
  })
  return [...missing, ...inside]
}

type Question = readonly [example: string, source: string, destination: string, ask: Ask]

const QUESTIONS: readonly Question[] = [
  ['flannel-udp', 'pod-a', 'pod-b', {}],
  ['flannel-udp', 'pod-a', 'pod-b', { cold: true, level: 1 }],
  ['flannel-udp', 'pod-a', 'pod-b:53', { proto: 'udp', size: 3000 }],
  ['flannel-udp', 'pod-a', 'pod-b', { ttl: 2 }],
  ['flannel-udp', 'pod-a', 'node/host-b', { level: 1 }],
  ['flannel-udp', 'pod-a', '10.1.20.77', {}],
  ['flannel-udp', 'pod-a', '8.8.8.8', {}],
  ['flannel-vxlan', 'shop/web-0', 'shop/api-0:8080', { level: 1 }],
  ['flannel-vxlan', 'shop/web-0', 'shop/api-0:9', {}],
  ['flannel-host-gw', 'client', 'server:80', { size: 1500 }],
  ['flannel-firewall', 'web-0', 'api-0:9000', { level: 1 }],
  ['flannel-firewall', 'web-0', 'api-0:9001', {}],
  ['underlay-mtu', 'client', 'server:80', { size: 1450 }],
  ['docker-only', 'pod-a', 'pod-b', {}],
]

function documentOf([example, source, destination, ask]: Question): unknown {
  const text = readFileSync(new URL(`../examples/${example}.yaml`, import.meta.url), 'utf8')
  return JSON.parse(JSON.stringify(answer(networkOf(text), source, destination, ask).document))
}

describe('docs/trace.schema.json', () => {
  it.each(QUESTIONS)('%s: %s to %s %j', (...question) => {
    expect(faults(documentOf(question), ROOT)).toEqual([])
  })

  it('lists the dispositions and the kinds of steps that there are', () => {
    expect(ROOT.$defs?.disposition.enum).toEqual(DISPOSITIONS)
    expect(ROOT.$defs?.step.properties?.kind.enum).toEqual(STEP_KINDS.filter((kind) => kind !== 'rule'))
  })

  it('uses only what is checked here', () => {
    const used = (schema: Schema): string[] => {
      const { $defs = {}, properties = {}, anyOf = [], items, additionalProperties } = schema
      const below = [...Object.values($defs), ...Object.values(properties), ...anyOf, items, additionalProperties]
      return [...Object.keys(schema), ...below.flatMap((one) => (one === undefined ? [] : used(one)))]
    }
    expect(used(ROOT).filter((word) => !KEYWORDS.includes(word))).toEqual([])
  })

  it.each<[string, (document: Record<string, unknown>) => void]>([
    ['a missing field', (document) => delete document.request],
    ['an unknown field', (document) => Object.assign(document, { extra: 1 })],
    ['another type', (document) => Object.assign(document, { warnings: 'none' })],
    ['another word', (document) => Object.assign(document, { disposition: 'LOST' })],
    ['a number with a fraction', (document) => Object.assign(document, { mtu: { ...(document.mtu as object), mss: 1.5 } })],
  ])('%s is found', (_what, spoil) => {
    const document = documentOf(QUESTIONS[0]) as Record<string, unknown>
    spoil(document)
    expect(faults(document, ROOT)).toHaveLength(1)
  })
})
