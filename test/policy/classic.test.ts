/** Calico's classic model decides about packets, and policy answers do not hold it: no verb answers as if it were not there. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readPolicyState } from '../../src/cluster/policy-state.js'
import { readPolicyWorld, switchesFor } from '../../src/policy/world.js'
import { netsim } from '../cli/memory-io.js'
import { readTold, type Told } from './kit.js'

const HERE = { cwd: process.cwd() }
const EXAMPLE = 'examples/calico-classic.yaml'
const folder = mkdtempSync(join(tmpdir(), 'netsim-classic-'))
afterAll(() => {
  rmSync(folder, { recursive: true })
})

const errorsOf = ({ problems }: Told): string[] => problems.filter(({ severity }) => severity === 'error').map(({ line, object }) => `${line} ${object}`)
const network = (spec: string): string => `apiVersion: netsim/v1\nkind: Network\nmetadata: {name: default}\nspec: ${spec}\n---\n`
const PROFILE = '/calico/v1/policy/profile/WEB'
const KEYS = `{'/calico/v1/Ready': 'true', '${PROFILE}/tags': '["WEB"]', '${PROFILE}/rules': '{"inbound_rules": [], "outbound_rules": []}'}`
const POD = 'apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\n'

describe('the classic model', () => {
  it.each([
    ['list'],
    ['list', '--as', 'calico'],
    ['list', '--by-class'],
    ['explain', 'default/db-1', 'default/web-1'],
    ['exposure'],
    ['diff', EXAMPLE, EXAMPLE],
  ])('policy %s names it and does not answer', async (...words) => {
    const ran = await netsim(['policy', ...words, ...(words[0] === 'diff' ? [] : ['-f', EXAMPLE])], HERE)
    expect(ran).toMatchObject({ code: 3, out: '' })
    expect(ran.err).toContain("INCOMPLETE: policy answers do not take into account the profile of Calico's classic model: DB, OPS, WEB")
    expect(ran.err).toContain("the policy of Calico's classic model: default/no-telnet")
  })

  it('policy lint ends with 3 and names it', async () => {
    const ran = await netsim(['policy', 'lint', '-f', EXAMPLE], HERE)
    expect(ran.code).toBe(3)
    expect(ran.err).toContain('INCOMPLETE')
    expect(ran.out).toContain("not judged  what profiles and policies of Calico's classic model mean")
    expect(ran.out).not.toContain('CLEAN')
  })

  it('is found among the keys of etcd, in the Network document, in a snapshot and in what etcdctl saved', () => {
    expect(errorsOf(readTold(network(`{cni: calico, etcd: ${KEYS}}`) + POD))).toEqual(['4 profile/WEB'])
    const snapshot = `apiVersion: netsim/v1\nkind: EtcdSnapshot\nmetadata: {name: e}\nspec: {api: v2, keys: ${KEYS}}\n---\n`
    expect(errorsOf(readTold(snapshot + POD))).toEqual(['4 profile/WEB'])
    const nodes = [
      { key: '/calico/v1/Ready', value: 'true' },
      { key: `${PROFILE}/tags`, value: '["WEB"]' },
      { key: `${PROFILE}/rules`, value: '{"inbound_rules": [], "outbound_rules": []}' },
    ]
    const saved = { file: 'etcd.json', text: JSON.stringify({ action: 'get', node: { key: '/calico', dir: true, nodes } }) }
    const { state } = readPolicyState([{ file: 'pod.yaml', text: network('{cni: calico}') + POD }, saved])
    const { problems } = readPolicyWorld(state, switchesFor('calico'))
    expect(problems.filter(({ severity }) => severity === 'error').map(({ file, object }) => `${file} ${object}`)).toEqual(['etcd.json profile/WEB'])
  })

  it('plays no part where nobody enforces, in the view of np-guard, or where it has pools alone', async () => {
    const text = readFileSync(EXAMPLE, 'utf8')
    expect(errorsOf(readTold(text.replace('cni: calico', 'cni: flannel')))).toEqual([])
    const guard = readTold(text, { as: 'np-guard' })
    expect(errorsOf(guard)).toEqual([])
    expect(guard.problems.filter(({ what }) => what.includes('left out with --as np-guard'))).toHaveLength(3)
    const pool = join(folder, 'pool.yaml')
    writeFileSync(pool, `${network('{cni: calico}')}apiVersion: v1\nkind: ipPool\nmetadata: {cidr: 10.65.0.0/16}\nspec: {}\n---\n${POD}`)
    expect(await netsim(['policy', 'list', '-f', pool])).toMatchObject({ code: 0 })
  })
})
