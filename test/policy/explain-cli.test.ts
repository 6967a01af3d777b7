/** `netsim policy explain` from flags to exit status; what it prints fits the published schemas, and holds no field that they do not name. */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { netsim, type Ran } from '../cli/memory-io.js'

const ROOT = new URL('../../', import.meta.url)
const AROUND = { cwd: process.cwd() }
const SHOP = ['-f', 'examples/policy-explain/']

function explain(...words: readonly string[]): Promise<Ran> {
  return netsim(['policy', 'explain', ...words, ...SHOP], AROUND)
}

function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed)
  if (typeof schema !== 'object' || schema === null) return schema
  const copy = Object.fromEntries(Object.entries(schema).map(([name, part]) => [name, closed(part)]))
  return 'properties' in schema && 'type' in schema ? { ...copy, additionalProperties: false } : copy
}

function faults(page: string, value: unknown): readonly unknown[] {
  const schema = JSON.parse(readFileSync(new URL(`docs/${page}.schema.json`, ROOT), 'utf8')) as object
  const validate = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(closed(schema) as object)
  validate(value)
  return validate.errors ?? []
}

describe('the exit status', () => {
  it.each([
    [['shop/web', 'shop/db:5432'], 0],
    [['shop/report', 'shop/db:5432'], 1],
    [['shop/report', 'shop/db:5432', '--expect', 'deny'], 0],
    [['shop/web', 'shop/db:5432', '--expect', 'deny'], 1],
    [['shop/web', 'shop/db'], 0],
    [['shop/web', 'shop/db', '--expect', 'allow'], 1],
    [['shop/web', 'shop/db:5432', '--proto', 'udp'], 1],
    [['shop/web', 'shop/db:sql'], 0],
    [['shop/web', 'shop/nobody:80'], 3],
    [['shop/web', 'shop/db:httpx'], 3],
    [['shop/web', 'shop/db:0'], 3],
    [['shop/web'], 2],
  ])('of %j is %i', async (words, code) => expect((await explain(...words)).code).toBe(code))

  it('one who is asked by address goes by its own name, and one of a workload by that of the workload', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'netsim-explain-')), 'a.yaml')
    const owner = 'ownerReferences: [{controller: true, kind: ReplicaSet, name: web-7d9f}]'
    const pod = (name: string, ip: string): string =>
      `{apiVersion: v1, kind: Pod, metadata: {name: ${name}, ${owner}}, spec: {containers: [{name: c}]}, status: {podIP: ${ip}}}\n---\n`
    writeFileSync(file, pod('web-7d9f-a', '10.1.0.5') + pod('web-7d9f-b', '10.1.0.6'))
    const source = async (asked: string): Promise<unknown> =>
      (JSON.parse((await netsim(['policy', 'explain', asked, '8.8.8.8:80', '-f', file, '-o', 'json'], AROUND)).out) as { readonly src: unknown }).src
    expect([await source('10.1.0.6'), await source('default/web-7d9f')]).toEqual(['default/web-7d9f-b', 'default/web-7d9f[ReplicaSet]'])
  })

  it('what is not there is named with the nearest', async () => {
    expect((await explain('shop/web', 'shop/dbs:80')).err).toBe('error: there is no pod or workload "shop/dbs"\n    Did you mean shop/db?\n')
    expect((await explain('shop/web', 'shop/db:mysql')).err).toBe('error: shop/db-0 has no port of that name\n    It has sql, metrics.\n')
  })
})

describe('the ends', () => {
  it.each([
    ['deploy/web', 'sts/db', 'shop/web[Deployment] -> shop/db[StatefulSet]'],
    ['web', 'db-0', 'shop/web[Deployment] -> shop/db-0'],
  ])('%s to %s in the namespace of -n', async (from, to, head) => {
    const { out } = await explain(from, `${to}:5432`, '-n', 'shop', '-o', 'short')
    expect(out.startsWith(`${head} TCP 5432 allowed: `)).toBe(true)
  })

  it('a range is answered in the pieces that policies tell apart, a workload as one', async () => {
    const { out } = await explain('shop/web', '10.0.0.0/7:443', '-o', 'short')
    expect(out.split('\n').map((line) => line.split(':')[0])).toEqual([
      'shop/web[Deployment] -> 10.0.0.0/8 TCP 443 denied',
      'shop/web[Deployment] -> 11.0.0.0/8 TCP 443 allowed',
      '',
    ])
  })

  it('a workload asks itself as one pod another', async () => {
    expect((await explain('shop/web', 'shop/web:80', '-o', 'short')).out).toContain('denied: egress [NPv1] Dropped (shop/web-egress)')
  })
})

describe('the forms', () => {
  it.each([
    [['shop/web', 'shop/db:5432']],
    [['shop/web', 'shop/db']],
    [['shop/report', 'shop/db:1-100']],
    [['shop/web', '10.0.0.0/7:443']],
    [['shop/web', 'shop/db', '--proto', 'icmp', '--as', 'calico']],
    [[]],
  ])('JSON of %j fits its schema', async (words) => {
    const { out } = await explain(...words, '-o', 'json')
    expect(faults('policy-explanation', JSON.parse(out))).toEqual([])
  })

  it('JSON of a test fits its schema, and so do the explanations in it', async () => {
    const { out } = await netsim(['policy', 'test', 'examples/policy-explain/rules.txt', ...SHOP, '-o', 'json'], AROUND)
    const document = JSON.parse(out) as { results: { failures: { explanation: object }[] }[] }
    expect(faults('policy-test', { ...document, results: document.results.map((one) => ({ ...one, failures: [] })) })).toEqual([])
    const explanations = document.results.flatMap(({ failures }) => failures.map(({ explanation }) => explanation))
    expect(explanations.length).toBeGreaterThan(0)
    expect(faults('policy-explanation', explanations)).toEqual([])
  })

  it('every pair carries the verdicts of the list', async () => {
    const [all, list] = [await explain('-o', 'json'), await netsim(['policy', 'list', ...SHOP, '-o', 'json'], AROUND)]
    type Row = { src: string; dst: string; conn: string; others?: string; allowed?: boolean }
    const key = ({ src, dst, conn, others }: Row): string => [src, dst, conn, others ?? ''].join(' | ')
    const open = (JSON.parse(all.out) as Row[]).filter(({ allowed }) => allowed)
    expect(open.map(key).sort()).toEqual((JSON.parse(list.out) as Row[]).map(key).sort())
  })

  it('plain letters with --ascii, colours with --color always', async () => {
    expect((await explain('shop/web', 'shop/db:5432', '--ascii')).out).toMatch(/^[\n -~]*$/)
    expect((await explain('shop/web', 'shop/db:5432', '--color', 'always')).out).toContain('\u001b[32mALLOWED')
  })
})

describe('--compat np-guard', () => {
  it('tells allowed and denied connections by their reasons, and what only the default speaks of last', async () => {
    const { code, out } = await explain('--compat', 'np-guard', '--focus', 'shop/web', '--focus-peer', 'shop/db', '--direction', 'egress')
    expect(code).toBe(0)
    expect(out).toBe(
      `
##########################################
# Specific connections and their reasons #
##########################################
${'-'.repeat(160)}
Connections between shop/web[Deployment] => shop/db[StatefulSet]:

Allowed connections:
\tAllowed TCP:[5432] due to the following policies and rules:
\t\tEgress (Allowed)
\t\t\tNetworkPolicy 'shop/web-egress' allows connections by Egress rule #1
\t\tIngress (Allowed)
\t\t\tAdminNetworkPolicy 'monitoring' passes connections by Ingress rule own-team
\t\t\tNetworkPolicy 'shop/db' allows connections by Ingress rule #1

Denied connections:
\tDenied TCP:[1-5431,5433-65535], UDP, SCTP due to the following policies and rules:
\t\tEgress (Denied)
\t\t\tNetworkPolicy 'shop/web-egress' selects shop/web[Deployment], and Egress rule #1 selects shop/db[StatefulSet], but the protocols and ports do not match
\t\tIngress (Denied)
\t\t\tAdminNetworkPolicy 'monitoring' passes connections by Ingress rule own-team
\t\t\tNetworkPolicy list:
\t\t\t\t- NetworkPolicy 'shop/db' selects shop/db[StatefulSet], and Ingress rule #1 selects shop/web[Deployment], but the protocols and ports do not match
\t\t\t\t- NetworkPolicy 'shop/default-deny' selects shop/db[StatefulSet], but shop/web[Deployment] is not allowed by any Ingress rule (no rules defined)


`,
    )
  })

  it('--only and --focus-conn choose', async () => {
    const words = ['--compat', 'np-guard', '--focus-conn', 'tcp-5432', '--focus', 'shop/db', '--direction', 'ingress']
    const heads = (out: string): readonly string[] => out.split('\n').filter((line) => line.startsWith('Connections between'))
    expect(heads((await explain(...words, '--only', 'allow')).out)).toEqual(['Connections between shop/web[Deployment] => shop/db[StatefulSet]:'])
    expect(heads((await explain(...words, '--only', 'deny')).out)).toEqual([
      'Connections between 0.0.0.0-255.255.255.255[External] => shop/db[StatefulSet]:',
      'Connections between monitoring/prometheus[Deployment] => shop/db[StatefulSet]:',
      'Connections between shop/report[CronJob] => shop/db[StatefulSet]:',
    ])
  })
})
