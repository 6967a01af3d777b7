/** `netsim policy fix` and `exposure` as a shell sees them. */
import { describe, expect, it } from 'vitest'
import { readTold } from '../policy/kit.js'
import { namespace, networkPolicy, pod } from '../policy/trap-kit.js'
import { netsim } from './memory-io.js'

const DB = networkPolicy(
  'shop/db',
  '  podSelector: {matchLabels: {app: db}}\n  ingress: [{from: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 5432}]}]',
)
const SHOP = [namespace('shop'), pod('shop/web'), pod('shop/api'), pod('shop/db'), DB].join('---\n')

const ask = (...words: readonly string[]) => netsim(['policy', ...words, '-f', '-'], { stdin: SHOP })

describe('netsim policy fix', () => {
  it('prints manifests that any reader of policies takes', async () => {
    const { code, out, err } = await ask('fix', 'shop/web', 'shop/db:5432', '--allow', '-o', 'yaml', '--pick', '3')
    expect([code, err]).toEqual([0, ''])
    const { problems, world } = readTold(out)
    expect(problems).toEqual([])
    expect(world.tiers[0].policies.map(({ name }) => name)).toEqual(['allow-web-to-db-5432'])
  })

  it('gives whole objects where it changes one: they take the place of those of the input', async () => {
    const { out } = await ask('fix', 'shop/web', 'shop/db:5432', '--allow', '-o', 'yaml')
    const again = await netsim(['policy', 'fix', 'shop/web', 'shop/db:5432', '--allow', '-f', '-'], { stdin: SHOP.replace(DB, out) })
    expect(again.out).toContain('It is so already')
    expect(again.code).toBe(0)
  })

  it('numbers the ways, and shows the one that is picked', async () => {
    const { out } = await ask('fix', 'shop/web', 'shop/db:5432', '--allow', '--pick', '2')
    expect(out).toContain('1 of 3: a peer more in ingress rule #1 of NetworkPolicy shop/db (nothing else changes)')
    expect(out).toContain('2 of 3: an ingress rule more in NetworkPolicy shop/db\n  -:')
  })

  it('knows JSON, and no way', async () => {
    const { code, out } = await ask('fix', 'shop/db', 'shop/db', '--deny', '-o', 'json')
    expect(code).toBe(1)
    expect(JSON.parse(out)).toMatchObject({ wanted: 'deny', already: false, fixes: [] })
    expect((await ask('fix', 'shop/db', 'shop/db', '--deny')).out).toContain('No policy holds this connection')
  })

  it('wants to know what is wanted, and of whom', async () => {
    expect((await ask('fix', 'shop/web', 'shop/db:5432')).code).toBe(2)
    expect((await ask('fix', 'shop/web', 'shop/db:5432', '--allow', '--deny')).code).toBe(2)
    expect(await ask('fix', 'shop/webb', 'shop/db:5432', '--allow')).toMatchObject({ code: 3, out: '' })
    expect((await ask('fix', 'shop/web', 'shop/db:0', '--allow')).err).toContain('is no port')
  })
})

describe('netsim policy exposure', () => {
  it('answers for one sort of pod that is to come', async () => {
    const { code, out } = await ask('exposure', '--labels', 'app=api', '--in-namespace', 'shop', '--direction', 'egress', '--port', 'tcp-5432')
    expect(code).toBe(0)
    expect(out).toContain('    shop/db[Pod]                       TCP 5432\n')
    const other = await ask('exposure', '--labels', 'app=cron', '--in-namespace', 'shop', '-o', 'json')
    const { reaches } = JSON.parse(other.out) as { reaches: readonly { peer: string }[] }
    expect(reaches.map(({ peer }) => peer)).toEqual(['shop/api[Pod]', 'shop/web[Pod]', '0.0.0.0-255.255.255.255[External]'])
  })

  it('gives the ports of that pod the names that rules know them by', async () => {
    const named = SHOP.replace('ports: [{port: 5432}]', 'ports: [{port: sql}]')
    const words = ['policy', 'exposure', '--labels', 'app=db', '--in-namespace', 'shop', '--direction', 'ingress', '-f', '-']
    expect((await netsim(words, { stdin: named })).out).toContain('could be reached by\n    nobody\n')
    expect((await netsim([...words, '--ports', 'sql:5433'], { stdin: named })).out).toContain('    shop/api[Pod]  TCP 5433\n')
    expect((await netsim([...words, '--ports', 'sql'], { stdin: named })).code).toBe(2)
  })

  it('refuses labels that are none, and two namespaces', async () => {
    expect((await ask('exposure', '--labels', 'app')).code).toBe(2)
    expect((await ask('exposure', '--labels', 'a=b', '--in-namespace', 'shop', '--in-namespace-with', 'x=y')).code).toBe(2)
    expect((await ask('exposure', '--labels', 'a=b', '--focus', 'web')).code).toBe(2)
  })

  it('names workloads that no policy protects', async () => {
    const { out } = await ask('exposure', '--direction', 'ingress')
    expect(out).toContain('No policy protects for ingress:\n  shop/api[Pod]\n  shop/web[Pod]\n')
  })
})
