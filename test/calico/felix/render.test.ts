/** A whole node: which chains are written, which sets, and who is said to have written them. */
import { describe, expect, it } from 'vitest'
import { applyChainEdits } from '../../../src/dataplane/chain-edit.js'
import { printIpsets } from '../../../src/dataplane/ipset-save.js'
import { parseIptablesSave, printIptablesSave } from '../../../src/dataplane/iptables-save.js'
import type { IptablesState, Rule, TableName } from '../../../src/dataplane/iptables.js'
import { renderFelix } from '../../../src/calico/felix/felix.js'
import { exampleNode, exampleView, POLICIES } from './example.js'

const PART = exampleNode()
const STATE = applyChainEdits({ tables: [] }, PART.edits)
const chainsOf = (table: TableName, state: IptablesState = STATE): string[] =>
  state.tables.find(({ name }) => name === table)?.chains.map(({ name }) => name) ?? []
const rulesOf = (table: TableName, chain: string): readonly Rule[] =>
  STATE.tables.find(({ name }) => name === table)?.chains.find(({ name }) => name === chain)?.rules ?? []
const setNamed = (name: string): string[] | undefined => PART.ipsets.find((set) => set.name === name)?.members.map(({ element }) => element)

describe('chains', () => {
  it('read back as they were printed', () => {
    const text = printIptablesSave(STATE)
    const { state, problems } = parseIptablesSave(text, { file: 'felix', line: 1 })
    expect(problems).toEqual([])
    expect(printIptablesSave(state)).toBe(text)
  })

  it('every jump has its chain, every chain is jumped to', () => {
    for (const { name: table, chains } of STATE.tables) {
      const targets = chains.flatMap(({ rules }) => rules.flatMap(({ target }) => (target?.kind === 'jump' || target?.kind === 'goto' ? [target.chain] : [])))
      const own = chains.filter(({ name }) => name.startsWith('cali-')).map(({ name }) => name)
      expect([table, [...new Set(targets)].sort()]).toEqual([table, own])
    }
  })

  it('what nothing refers to is not written', () => {
    expect(chainsOf('raw')).toEqual(expect.arrayContaining(['cali-fh-eth0', 'cali-pi-gnp/untracked', 'cali-failsafe-in', 'cali-rpf-skip']))
    expect(chainsOf('raw')).not.toContain('cali-wireguard-incoming-mark')
    expect(chainsOf('raw')).not.toContain('cali-th-any-interface-at-all')
    expect(chainsOf('mangle')).toEqual(expect.arrayContaining(['cali-fh-eth0', 'cali-pi-gnp/before-dnat', 'cali-th-any-interface-at-all']))
    expect(chainsOf('mangle')).not.toContain('cali-pi-gnp/untracked')
    const bare = applyChainEdits({ tables: [] }, renderFelix({ ...exampleView(), hostEndpoints: [] }).edits)
    expect(chainsOf('filter', bare)).not.toContain('cali-failsafe-in')
  })

  it('two policies of one selector share a chain', () => {
    const [group] = chainsOf('filter').filter((name) => name.startsWith('cali-gi-'))
    expect(rulesOf('filter', group).map(({ target }) => target)).toEqual([
      { kind: 'jump', chain: 'cali-pi-gnp/a-ping' },
      { kind: 'jump', chain: 'cali-pi-gnp/b-web' },
    ])
    expect(rulesOf('filter', 'cali-tw-calidb').some(({ target }) => target?.kind === 'jump' && target.chain === group)).toBe(true)
  })

  it('each rule says who wrote it and where', () => {
    expect(rulesOf('filter', 'cali-pi-gnp/security.scan').map(({ provenance }) => [provenance?.object, provenance?.file, provenance?.line])[0]).toEqual([
      'GlobalNetworkPolicy/security.scan ingress rule 1',
      'policies.yaml',
      POLICIES.split('\n').findIndex((line) => line.includes('action: Log')) + 1,
    ])
    expect(rulesOf('filter', 'cali-tw-caliweb').at(-1)?.provenance).toEqual({ by: 'felix', object: 'Pod/default/web', file: 'pods.yaml', line: 1 })
    for (const { chains } of STATE.tables) for (const { rules } of chains) for (const rule of rules) expect(rule.provenance?.by).toBe('felix')
  })

  it('hooks: first in their chains, but last in nat POSTROUTING', () => {
    const docker = applyChainEdits({ tables: [] }, [
      { table: 'nat', chain: 'POSTROUTING', action: 'append', rules: [{ matches: [], target: { kind: 'RETURN' } }] },
      { table: 'filter', chain: 'FORWARD', action: 'append', rules: [{ matches: [], target: { kind: 'RETURN' } }], policy: 'DROP' },
    ])
    const state = applyChainEdits(docker, PART.edits)
    const kinds = (table: TableName, chain: string): (string | undefined)[] =>
      state.tables
        .find(({ name }) => name === table)
        ?.chains.find(({ name }) => name === chain)
        ?.rules.map(({ target }) => target?.kind) ?? []
    expect(kinds('nat', 'POSTROUTING')).toEqual(['RETURN', 'jump'])
    expect(kinds('filter', 'FORWARD')).toEqual(['jump', 'RETURN', 'ACCEPT', 'MARK'])
    const appending = applyChainEdits(docker, exampleNode({ chainInsertMode: 'Append' }).edits)
    expect(
      appending.tables
        .find(({ name }) => name === 'filter')
        ?.chains.find(({ name }) => name === 'FORWARD')
        ?.rules.map(({ target }) => target?.kind),
    ).toEqual(['RETURN', 'jump', 'ACCEPT', 'MARK'])
  })
})

describe('a second node of the same cluster', () => {
  it('is the same with and without what the first one left in the cache', () => {
    const view = exampleView()
    renderFelix(view)
    const other = { ...view, workloadEndpoints: view.workloadEndpoints.slice(1) }
    expect(renderFelix(other)).toEqual(renderFelix({ ...exampleView(), workloadEndpoints: view.workloadEndpoints.slice(1) }))
  })
})

describe('sets', () => {
  it('of the cluster', () => {
    expect(setNamed('cali40network-ip-pools')).toEqual(['10.0.0.0/16'])
    expect(setNamed('cali40masq-ipam-pools')).toEqual(['10.0.0.0/16'])
    expect(setNamed('cali40this-host')).toEqual(['127.0.0.1', '192.168.10.11', '192.168.20.11'])
    expect(setNamed('cali40all-hosts-net')).toEqual(['192.168.10.11', '192.168.10.12'])
    expect(setNamed('cali40all-vxlan-net')).toEqual(['192.168.10.12'])
    expect(setNamed('cali40dscp-src-net')).toEqual([])
  })

  it('of selectors: the whole cluster’s endpoints, of active policies only', () => {
    const named = PART.ipsets.filter(({ name }) => name.startsWith('cali40n:'))
    // destinations have no selector in a Kubernetes policy: whoever has a port of that name
    expect(named.map(({ type, members }) => [type, members.map(({ element }) => element)])).toEqual([
      ['hash:ip,port', ['10.0.0.2,tcp:8080', '10.0.1.2,tcp:8080']],
    ])
    const sets = PART.ipsets.filter(({ name }) => name.startsWith('cali40s:')).map(({ members }) => members.map(({ element }) => element).join(' '))
    expect(sets.sort()).toEqual(['0.0.0.0/1 128.0.0.0/1 203.0.113.0/24', '10.0.0.2 10.0.1.2', '10.0.0.3'])
    const none = renderFelix({ ...exampleView(), workloadEndpoints: [], hostEndpoints: [] })
    expect(none.ipsets.filter(({ name }) => /^cali40[sn]:/.test(name))).toEqual([])
  })

  it('print as ipset save', () => {
    expect(printIpsets(PART.ipsets)).toContain('create cali40this-host hash:ip family inet hashsize 1024 maxelem 1048576\n')
  })
})
