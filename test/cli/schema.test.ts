/** `netsim schema`: the published files, whole. */
import { readdirSync, readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { DOCUMENT_KINDS } from '../../src/cli/schemas.js'
import { netsim } from './memory-io.js'

const DOCS = new URL('../../docs/', import.meta.url)

describe('schema', () => {
  it('lists the kinds', async () => {
    const { code, out, err } = await netsim(['schema'])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out.split('\n').map((line) => line.split(' ')[0])).toEqual(['KIND', ...DOCUMENT_KINDS.map(({ kind }) => kind), ''])
  })

  it.each(DOCUMENT_KINDS.map(({ kind }) => [kind]))('%s is the published file, and a sound schema', async (kind) => {
    const { code, out, err } = await netsim(['schema', kind])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    const files = readdirSync(DOCS).filter((name) => name.endsWith('.schema.json'))
    const published = files.map((name) => JSON.parse(readFileSync(new URL(name, DOCS), 'utf8')) as { title: string })
    const schema = JSON.parse(out) as { title: string; $schema: string }
    expect(published).toContainEqual(schema)
    expect(schema).toMatchObject({ $schema: 'https://json-schema.org/draft/2020-12/schema', title: expect.stringMatching(new RegExp(` ${kind}$`)) as string })
    expect(new Ajv2020({ strict: true, strictTypes: false }).compile(schema)({ apiVersion: 'netsim/v1', kind: 'Nothing' })).toBe(false)
  })

  it('every published schema is listed', () => {
    expect(readdirSync(DOCS).filter((name) => name.endsWith('.schema.json'))).toHaveLength(DOCUMENT_KINDS.length)
  })

  it('takes any case of letters', async () => {
    expect(await netsim(['schema', 'tRACE'])).toEqual(await netsim(['schema', 'Trace']))
  })

  it('names the nearest', async () => {
    const { code, out, err } = await netsim(['schema', 'Netwrk'])
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toBe(`error: there is no schema of 'Netwrk' (Did you mean Network?)\nThere are ${DOCUMENT_KINDS.map(({ kind }) => kind).join(', ')}.\n`)
  })

  it('help opens with examples', async () => {
    const { out } = await netsim(['schema', '--help'])
    expect(out).toMatch(/^Examples:\n {2}netsim schema /)
    expect(await netsim(['help', 'schema'])).toEqual(await netsim(['schema', '--help']))
  })
})
