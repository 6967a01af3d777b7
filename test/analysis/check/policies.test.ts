/** What the policies of a cluster with an engine say that is hardly meant, in the example that has such a slip, and in ones made of it. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { check, codesOf, lineAt, theFinding } from './kit.js'

const TEXT = readFileSync(new URL('../../../examples/services-calico.yaml', import.meta.url), 'utf8')
const POLICIES = ['NM604', 'NM605', 'NM606'] as const

function changed(from: string, to: string): string {
  const text = TEXT.replace(from, to)
  if (text === TEXT) throw new Error(`the example has no ${from}`)
  return text
}

describe('policies under Calico', () => {
  it('NM605: egress that forgets DNS', () => {
    const report = check(TEXT, { only: POLICIES })
    expect(codesOf(report)).toEqual(['NM605'])
    const found = theFinding(report, 'NM605')
    expect(found.what).toBe('tools/curl: no rule of NetworkPolicy tools/curl lets UDP 53 out to kube-system/coredns-0')
    expect(found.severity).toBe('warning')
    expect(lineAt(TEXT, found)).toBe('apiVersion: networking.k8s.io/v1')
    expect(found.evidence[0].object).toBe('NetworkPolicy/tools/curl')
    const mended = changed('  egress: [{to:', '  egress: [{ports: [{protocol: UDP, port: 53}]}, {to:')
    expect(codesOf(check(mended, { only: POLICIES }))).toEqual([])
  })

  it('NM604: the port of a Service', () => {
    const text = changed('ports: [{port: 8080}]}]\n---\n# The commonest', 'ports: [{port: 80}]}]\n---\n# The commonest')
    const found = theFinding(check(text, { only: ['NM604'] }), 'NM604')
    expect(found.what).toContain('opens TCP 80, which is port 80 of Service shop/web')
    expect(found.fix).toBe('Write port: 8080.')
    expect(codesOf(check(TEXT, { only: ['NM604'] }))).toEqual([])
  })

  it('NM606: a selector that finds nobody, and one of namespaces', () => {
    const typo = changed('podSelector: {matchLabels: {app: curl}}', 'podSelector: {matchLabels: {app: crul}}')
    expect(theFinding(check(typo, { only: ['NM606'] }), 'NM606').fix).toBe('Did you mean app=curl?')
    const space = changed('matchLabels: {kubernetes.io/metadata.name: tools}', 'matchLabels: {name: tools}')
    expect(theFinding(check(space, { only: ['NM606'] }), 'NM606').fix).toContain('kubernetes.io/metadata.name: tools')
  })

  it('nothing where nobody enforces them: that is NM601', () => {
    const text = changed('cni: calico', 'cni: flannel')
    expect(codesOf(check(text.replace(/apiVersion: operator[\s\S]*?---/, ''), { only: [...POLICIES, 'NM601'] }))).toEqual(['NM601'])
  })
})
