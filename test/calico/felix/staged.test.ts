/** Staged policies: no chain, no drop, but a place in the groups (felix/rules/endpoints.go; trap 37). */
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { renderFelix } from '../../../src/calico/felix/felix.js'
import { applyChainEdits } from '../../../src/dataplane/chain-edit.js'
import type { Rule } from '../../../src/dataplane/iptables.js'
import { exampleView } from './example.js'
import { compiled, podEndpoint } from './manifest.js'

const POD = podEndpoint({ name: 'a', address: '10.0.0.2', interfaceName: 'calia', labels: { app: 'a' } })
const policy = (kind: string, name: string, spec: string): string =>
  `---\napiVersion: projectcalico.org/v3\nkind: ${kind}\nmetadata: {name: ${name}}\nspec: {selector: all(), order: 1, ${spec}}\n`

function filterOf(text: string): { readonly chains: readonly string[]; readonly rules: (chain: string) => readonly Rule[] } {
  const view = { ...exampleView(), workloadEndpoints: [POD], hostEndpoints: [], policies: compiled(text, [POD]) }
  const chains = applyChainEdits({ tables: [] }, renderFelix(view).edits).tables.find(({ name }) => name === 'filter')?.chains ?? []
  return { chains: chains.map(({ name }) => name), rules: (chain) => chains.find(({ name }) => name === chain)?.rules ?? [] }
}

/** §2.7: SHA3-224 over the selector, the direction, the count and the policies, a line each. */
function groupName(lines: readonly string[]): string {
  return `cali-gi-${createHash('sha3-224')
    .update(lines.map((line) => `${line}\n`).join(''))
    .digest('base64url')
    .slice(0, 20)}`
}

const DENY = 'ingress: [{action: Deny}]'

describe('staged policies', () => {
  it('trap 37: a tier with nothing else lets everything on', () => {
    const { chains, rules } = filterOf(policy('StagedGlobalNetworkPolicy', 'x', DENY))
    expect(chains.filter((name) => /-p[io]-|-g[io]-/.test(name))).toEqual([])
    const drops = rules('cali-tw-calia').filter(({ target }) => target?.kind === 'DROP')
    // conntrack's INVALID, and no profile that allows
    expect(drops).toHaveLength(2)
  })

  it('stand in the group’s name, and not in its chain', () => {
    const staged = policy('StagedGlobalNetworkPolicy', 'b', 'types: [Ingress]')
    const { chains, rules } = filterOf(policy('GlobalNetworkPolicy', 'a', DENY) + staged + policy('GlobalNetworkPolicy', 'c', DENY))
    const name = groupName([
      'all()',
      'inbound',
      '3',
      '{Name: a, Namespace: , Kind: GlobalNetworkPolicy}',
      '{Name: b, Namespace: , Kind: StagedGlobalNetworkPolicy}',
      '{Name: c, Namespace: , Kind: GlobalNetworkPolicy}',
    ])
    expect(chains.filter((chain) => chain.startsWith('cali-gi-'))).toEqual([name])
    expect(rules(name).map(({ target }) => target)).toEqual([
      { kind: 'jump', chain: 'cali-pi-gnp/a' },
      { kind: 'jump', chain: 'cali-pi-gnp/c' },
    ])
  })

  it('with one that is enforced beside them the group is none', () => {
    const { chains } = filterOf(policy('GlobalNetworkPolicy', 'a', DENY) + policy('StagedGlobalNetworkPolicy', 'b', DENY))
    expect(chains.filter((name) => /-p[io]-gnp|-g[io]-/.test(name))).toEqual(['cali-pi-gnp/a'])
  })

  it('of Kubernetes’ kind likewise', () => {
    const knp = (apiVersion: string, kind: string, name: string): string =>
      `---\napiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: ${name}, namespace: default}\nspec: {podSelector: {}}\n`
    const kubernetes = (name: string): string => knp('networking.k8s.io/v1', 'NetworkPolicy', name)
    const { chains } = filterOf(kubernetes('a') + knp('projectcalico.org/v3', 'StagedKubernetesNetworkPolicy', 'b') + kubernetes('c'))
    const line = (name: string, kind: string): string => `{Name: ${name}, Namespace: default, Kind: ${kind}}`
    const selector = '(projectcalico.org/orchestrator == "k8s" && projectcalico.org/namespace == "default")'
    expect(chains.filter((name) => /-p[io]-knp|-g[io]-/.test(name)).sort()).toEqual([
      groupName([
        selector,
        'inbound',
        '3',
        line('a', 'KubernetesNetworkPolicy'),
        line('b', 'StagedKubernetesNetworkPolicy'),
        line('c', 'KubernetesNetworkPolicy'),
      ]),
      'cali-pi-knp/default/a',
      'cali-pi-knp/default/c',
    ])
  })
})
