/** Explanations: what decided, what nearly did, what the answer rests on; each held against evaluatePair, which decides. */
import { describe, expect, it } from 'vitest'
import { explanationDocument, type ExplanationDocument } from '../../src/policy/explain/explain-document.js'
import { explainLines } from '../../src/policy/explain/explain-line.js'
import { explain, type Question } from '../../src/policy/explain/explain.js'
import { nearWords, reasonWords } from '../../src/policy/explain/explain-words.js'
import { ConnectionSet } from '../../src/policy/connections.js'
import { evaluatePair } from '../../src/policy/evaluate.js'
import type { PolicyWorld } from '../../src/policy/model.js'
import { endOf, worldOf } from './kit.js'
import { Draw, endsOf, randomWorld } from './random-world.js'

const PODS = `
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: n1, containers: [{name: c, image: i}]}
status: {podIP: 10.0.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: report, namespace: shop, labels: {app: report}}
spec: {nodeName: n1, containers: [{name: c, image: i}]}
status: {podIP: 10.0.0.2}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {nodeName: n1, containers: [{name: c, image: i, ports: [{name: sql, containerPort: 5432}]}]}
status: {podIP: 10.0.0.3}
---
`

const DB = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
    - from: [{podSelector: {matchLabels: {app: web}}}]
      ports: [{port: sql}]
    - from: [{podSelector: {matchLabels: {app: reports}}}]
      ports: [{port: 5432}]
---
`

const ADMIN = `
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: team}
spec:
  priority: 5
  subject: {namespaces: {}}
  ingress:
    - name: within
      action: Pass
      from: [{namespaces: {matchLabels: {kubernetes.io/metadata.name: shop}}}]
---
`

function lineOf(text: string, part: string): number {
  return text.slice(0, text.indexOf(part)).split('\n').length
}

function ask(world: PolicyWorld, from: string, to: string, port?: number): ExplanationDocument {
  const question: Question = {
    source: endOf(world, from),
    destination: endOf(world, to),
    ...(port === undefined ? {} : { connection: { protocol: 'TCP', port } }),
  }
  return explanationDocument(world, explain(world, question), { src: from, dst: to })
}

describe('an explanation of one connection', () => {
  const text = PODS + DB
  const world = worldOf(text)

  it('names the rule that allows it, with its line', () => {
    const { allowed, verdict, egress, ingress, proto, port } = ask(world, 'shop/web', 'shop/db', 5432)
    expect({ allowed, verdict, proto, port }).toEqual({ allowed: true, verdict: 'allowed', proto: 'tcp', port: 5432 })
    expect(egress).toMatchObject({ allowed: true, reason: 'default', rules: [], chain: 'no policies targeting egress' })
    const line = lineOf(text, '- from: [{podSelector: {matchLabels: {app: web}}}]')
    expect(ingress.rules).toEqual([
      {
        kind: 'NetworkPolicy',
        namespace: 'shop',
        name: 'db',
        tier: 'NetworkPolicy',
        file: 'w.yaml',
        line,
        effect: 'allow',
        direction: 'ingress',
        rule: 0,
      },
    ])
  })

  it('names isolation with the policies that cause it, and the typing error as the nearest rule', () => {
    const { ingress, allowed } = ask(world, 'shop/report', 'shop/db', 5432)
    expect(allowed).toBe(false)
    expect(ingress).toMatchObject({ allowed: false, reason: 'isolation', chain: '[NPv1] Dropped (shop/db)' })
    expect(ingress.rules).toMatchObject([{ effect: 'isolate', rule: null, name: 'db', line: lineOf(text, 'kind: NetworkPolicy') - 1 }])
    expect(ingress.near.map(({ rule, failed }) => [rule, failed.map(({ what, term, text: why }) => [what, term, why])])).toEqual([
      [1, [['peer', 'app=reports', 'shop/report has app=report']]],
      [0, [['peer', 'app=web', 'shop/report has app=report']]],
    ])
    expect(ingress.near[0].failed[0].line).toBe(lineOf(text, 'matchLabels: {app: reports}'))
  })

  it('a rule whose peer matches and whose port does not is nearest', () => {
    const { ingress } = ask(world, 'shop/web', 'shop/db', 80)
    expect(ingress.near[0]).toMatchObject({ rule: 0, failed: [{ what: 'port', term: 'TCP sql', text: 'that is TCP 5432 at shop/db; TCP 80 was asked' }] })
  })

  it('a named port that the destination has not is said', () => {
    const other = worldOf(PODS + DB.replace('port: sql', 'port: mysql'))
    expect(ask(other, 'shop/web', 'shop/db', 5432).ingress.near[0].failed[0].text).toBe('shop/db has no TCP port named mysql; TCP 5432 was asked')
  })

  it('a policy that one label keeps from selecting the end is near, where it would have denied', () => {
    const other = worldOf(PODS + DB.replace('podSelector: {matchLabels: {app: db}}', 'podSelector: {matchLabels: {app: dbs}}'))
    const { verdict, ingress } = ask(other, 'shop/report', 'shop/db', 5432)
    expect(verdict).toBe('allowed')
    expect(ingress.near).toMatchObject([{ name: 'db', rule: null, failed: [{ what: 'subject', term: 'app=dbs', text: 'shop/db has app=db' }] }])
  })
})

describe('the chain of tiers', () => {
  const world = worldOf(PODS + DB + ADMIN)

  it('tells who passed it on before who decided', () => {
    const found = ask(world, 'shop/web', 'shop/db', 5432)
    expect(found.ingress.chain).toBe('[ANP] Pass (team ingress[0] within) -> [NPv1] Allow (shop/db ingress[0])')
    expect(found.ingress.rules.map(({ kind, effect }) => [kind, effect])).toEqual([
      ['AdminNetworkPolicy', 'pass'],
      ['NetworkPolicy', 'allow'],
    ])
  })

  it('tells a tier without a say', () => {
    const question: Question = { source: endOf(world, '8.8.8.8'), destination: endOf(world, 'shop/db'), connection: { protocol: 'UDP', port: 53 } }
    expect(explainLines(explain(world, question), { src: '8.8.8.8', dst: 'shop/db' })).toEqual([
      '8.8.8.8 -> shop/db UDP 53 denied: egress no pod: policies select none; ingress [ANP] No-Op -> [NPv1] Dropped (shop/db)',
    ])
  })
})

describe('the whole of a pair', () => {
  const world = worldOf(PODS + DB)

  it('comes in parts, the allowed first', () => {
    const { parts = [], verdict, conn, allowed } = ask(world, 'shop/web', 'shop/db')
    expect({ verdict, conn, allowed }).toEqual({ verdict: 'partly', conn: 'TCP 5432', allowed: true })
    expect(parts.map((part) => [part.conn, part.allowed])).toEqual([
      ['TCP 5432', true],
      ['SCTP 1-65535,TCP 1-5431,5433-65535,UDP 1-65535', false],
    ])
  })
})

describe('what an answer rests on', () => {
  const BLOCK = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: block, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{ipBlock: {cidr: 10.0.0.1/32}}]}]
---
`
  it.each([
    ['shop/web', true],
    ['shop/report', false],
  ])('trap 1: an ipBlock against the address of %s', (from, decides) => {
    const found = ask(worldOf(PODS + BLOCK), from, 'shop/db', 80)
    expect(found.allowed).toBe(decides)
    expect(found.assumptions).toEqual([{ name: 'ipblock-pod', text: 'an ipBlock matches addresses of pods too', decides }])
  })

  it('trap 27: a pod to itself', () => {
    const found = ask(worldOf(PODS + BLOCK), 'shop/db', 'shop/db', 80)
    expect(found).toMatchObject({ allowed: true, ingress: { reason: 'exempt' }, assumptions: [{ name: 'hairpin', decides: true }] })
  })
})

describe('in random worlds', () => {
  it.each(Array.from({ length: 24 }, (_, seed) => seed + 1))('an explanation is what evaluatePair says, and its words are of its rules (seed %i)', (seed) => {
    const drawn = randomWorld(new Draw(seed), 5)
    const { world } = drawn
    const ends = endsOf(drawn).slice(0, 9)
    for (const source of ends)
      for (const destination of ends) {
        const meaning = evaluatePair(world, source, destination)
        const found = explain(world, { source, destination })
        expect(found.allowed.key).toBe(meaning.allowed.key)
        expect(ConnectionSet.union(found.parts.map(({ connections }) => connections)).isAll).toBe(true)
        const allowed = found.parts.filter((part) => part.allowed).map(({ connections }) => connections)
        expect(ConnectionSet.union(allowed).key).toBe(meaning.allowed.key)
        for (const part of found.parts) {
          const connection = part.connections.witness()
          if (connection === undefined) throw new Error('a part is empty')
          const one = explain(world, { source, destination, connection })
          expect(one.parts.map(({ allowed: open }) => open)).toEqual([part.allowed])
          for (const directed of [one.parts[0].egress, one.parts[0].ingress]) {
            expect(reasonWords(directed)).not.toBe('')
            for (const miss of directed.near) {
              expect(miss.failed.length).toBeGreaterThan(0)
              expect(nearWords(miss)).toContain(miss.policy.name)
            }
          }
        }
      }
  })
})
