/** docs/trace.schema.json and the documents that netsim makes: each fits, and holds no field that the schema does not name. */
import { readdirSync, readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { DISPOSITIONS } from '../src/net/disposition.js'
import { STEP_KINDS } from '../src/net/trace.js'
import { answer, networkOf, type Ask } from './kit/network.js'

interface Schema {
  readonly $defs?: Readonly<Record<string, Schema>>
  readonly enum?: readonly unknown[]
  readonly properties?: Readonly<Record<string, Schema>>
}

const HERE = new URL('../', import.meta.url)
const ROOT = JSON.parse(readFileSync(new URL('docs/trace.schema.json', HERE), 'utf8')) as Schema

/** The published schema lets unknown fields pass, so that fields can be added; here each must be named. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed)
  if (typeof schema !== 'object' || schema === null) return schema
  const copy = Object.fromEntries(Object.entries(schema).map(([name, part]) => [name, closed(part)]))
  return 'properties' in schema && 'type' in schema && !('additionalProperties' in schema) ? { ...copy, additionalProperties: false } : copy
}

const published = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(ROOT)
const strictly = new Ajv2020({ strict: true, allowUnionTypes: true, allErrors: true }).compile(closed(ROOT) as object)

/** Where the value and the schema disagree; a field that the schema does not name is a disagreement too. */
function faults(value: unknown): readonly string[] {
  strictly(value)
  return (strictly.errors ?? []).map(({ instancePath, message, params }) => `${instancePath}: ${message} ${JSON.stringify(params)}`)
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
  ['calico-ipip', 'shop/web-0', 'batch/report-0', { level: 1 }],
  ['calico-vxlan', 'shop/web-0', 'shop/api-0:8080', {}],
  ['canal', 'tools/curl', 'shop/api-0:8080', {}],
  ['services-flannel', 'shop/web-0', 'api-pods.shop:8080', {}],
  ['services-flannel', 'shop/api-0', 'payments.shop.svc.cluster.local:443', { level: 1 }],
]

function exampleText(example: string): string {
  return readFileSync(new URL(`examples/${example}.yaml`, HERE), 'utf8')
}

function documentOf([example, source, destination, ask]: Question): unknown {
  return JSON.parse(JSON.stringify(answer(networkOf(exampleText(example)), source, destination, ask).document))
}

const EXAMPLES = readdirSync(new URL('examples/', HERE))
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => name.replace('.yaml', ''))

/** Between the first pod and up to three others, each way that a question is asked. */
function tracesOf(example: string): unknown[] {
  const network = networkOf(exampleText(example))
  const [first, ...others] = network.pods.map(({ dataplane }) => dataplane.netns)
  const asks: readonly (readonly [port: string, ask: Ask])[] = [
    ['', {}],
    ['', { cold: true, level: 1 }],
    ['', { ttl: 1 }],
    [':8080', { listen: true }],
    [':9', { level: 1 }],
    [':8080', { listen: true, size: 9000 }],
    [':53', { proto: 'udp', size: 4000, df: true }],
  ]
  const ends = [...others.slice(0, 3), `node/${network.nodeNames[0]}`, '203.0.113.9']
  const documents = ends.flatMap((end) => asks.map(([port, ask]) => answer(network, first, `${end}${port}`, ask).document))
  return documents.map((document) => JSON.parse(JSON.stringify(document)) as unknown)
}

describe('docs/trace.schema.json', () => {
  it.each(QUESTIONS)('%s: %s to %s %j', (...question) => {
    const document = documentOf(question)
    expect(faults(document)).toEqual([])
    expect(published(document)).toBe(true)
  })

  it.each(EXAMPLES.map((name) => [name]))('takes every trace of examples/%s.yaml', (example) => {
    const documents = tracesOf(example)
    expect(documents.length).toBeGreaterThan(13)
    expect(documents.flatMap(faults)).toEqual([])
  })

  it('lists the dispositions and the kinds of steps that there are', () => {
    expect(ROOT.$defs?.disposition.enum).toEqual(DISPOSITIONS)
    expect(ROOT.$defs?.step.properties?.kind.enum).toEqual(STEP_KINDS.filter((kind) => kind !== 'rule'))
  })

  it('lets a field pass that a later version added', () => {
    expect(published({ ...(documentOf(QUESTIONS[0]) as object), later: 1 })).toBe(true)
  })

  it.each<[string, (document: Record<string, unknown>) => void]>([
    ['a missing field', (document) => delete document.request],
    ['an unknown field', (document) => Object.assign(document, { extra: 1 })],
    ['another type', (document) => Object.assign(document, { warnings: 'none' })],
    ['another word', (document) => Object.assign(document, { disposition: 'LOST' })],
    ['a leg without its hops', (document) => delete (document.forward as { hops?: unknown }).hops],
    ['another kind', (document) => Object.assign(document, { kind: 'Tarce' })],
    ['a negative port as text', (document) => Object.assign(document.request as object, { dport: '-1' })],
  ])('%s is found', (_what, spoil) => {
    const document = documentOf(QUESTIONS[0]) as Record<string, unknown>
    spoil(document)
    expect(faults(document)).toHaveLength(1)
  })

  it('a number with a fraction is found', () => {
    const document = documentOf(QUESTIONS[0]) as { mtu: object }
    Object.assign(document.mtu, { mss: 1.5 })
    expect(faults(document).some((fault) => fault.startsWith('/mtu/mss: must be integer'))).toBe(true)
  })
})
