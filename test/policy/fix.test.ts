/** The edits that are found for one connection, case by case. */
import { describe, expect, it } from 'vitest'
import { connectionText } from '../../src/policy/connection-text.js'
import { ConnectionSet } from '../../src/policy/connections.js'
import { changeCommand, fixDocument, fixYaml, patchPlace } from '../../src/policy/fix/fix-document.js'
import { findFixes, type Fix, type FixResult, type Wanted } from '../../src/policy/fix/fix.js'
import type { Switches } from '../../src/policy/model.js'
import { workloadName } from '../../src/policy/peer-name.js'
import { endOf, readTold } from './kit.js'
import { admin, baseline, namespace, networkPolicy, node, pod } from './trap-kit.js'

interface Asked {
  readonly wanted: Wanted
  readonly port?: number
  readonly switches?: Partial<Switches>
}

function fixesOf(documents: readonly string[], [source, destination]: readonly [string, string], { wanted, port = 5432, switches }: Asked): FixResult {
  const told = readTold(documents.join('---\n'), switches)
  expect(told.problems.filter(({ severity }) => severity === 'error')).toEqual([])
  const asked = ConnectionSet.of('TCP', port)
  return findFixes(told, { source: endOf(told.world, source), destination: endOf(told.world, destination), asked, wanted }, workloadName)
}

function commands({ changes }: Fix): readonly string[] {
  return changes.map(changeCommand)
}

const PODS = [namespace('shop'), namespace('ops', 'team: ops'), pod('shop/web'), pod('shop/api'), pod('shop/db'), pod('ops/cron')]
const DB = networkPolicy(
  'shop/db',
  `  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress:
    - from:
        - podSelector: {matchLabels: {app: api}}
      ports:
        - {port: 5432}`,
)

describe('to let a connection through', () => {
  it('says where it is so already', () => {
    const { already, fixes } = fixesOf([...PODS, DB], ['shop/api', 'shop/db'], { wanted: 'allow' })
    expect([already, fixes]).toEqual([true, []])
  })

  it('a peer more, where a rule names the port', () => {
    const [best, ...others] = fixesOf([...PODS, DB], ['shop/web', 'shop/db'], { wanted: 'allow' }).fixes
    expect(commands(best)).toEqual([
      `kubectl -n shop patch networkpolicy db --type=json -p '[{"op":"add","path":"/spec/ingress/0/from/-","value":{"podSelector":{"matchLabels":{"app":"web"}}}}]'`,
    ])
    const [change] = best.changes
    expect(change.kind === 'patch' && patchPlace(change)).toBe('w.yaml:52')
    expect(best.effects).toEqual([])
    expect(others.map(({ words }) => words)).toEqual(['an ingress rule more in NetworkPolicy shop/db', 'a new NetworkPolicy for ingress'])
    expect(fixYaml(others[1])).toBe(`apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: allow-web-to-db-5432
  namespace: shop
spec:
  podSelector:
    matchLabels:
      app: db
  policyTypes:
    - Ingress
  ingress:
    - from:
        - podSelector:
            matchLabels:
              app: web
      ports:
        - protocol: TCP
          port: 5432
`)
  })

  it('a port more, where a rule names the peer', () => {
    const [best] = fixesOf([...PODS, DB], ['shop/api', 'shop/db'], { wanted: 'allow', port: 9187 }).fixes
    expect(commands(best)[0]).toContain('[{"op":"add","path":"/spec/ingress/0/ports/-","value":{"protocol":"TCP","port":9187}}]')
  })

  it('both ends, where both hold it back; the other namespace by its name', () => {
    const cron = networkPolicy('ops/cron', '  podSelector: {matchLabels: {app: cron}}\n  policyTypes: [Egress]')
    const [best] = fixesOf([...PODS, DB, cron], ['ops/cron', 'shop/db'], { wanted: 'allow' }).fixes
    expect(best.changes).toHaveLength(2)
    expect(commands(best)[0]).toContain('"/spec/egress","value":[{"to":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"shop"}}')
    expect(commands(best)[1]).toContain('"/spec/ingress/0/from/-"')
    expect(best.effects).toEqual([])
  })

  it('labels that a rule lets in already; side effects are told, and put it behind', () => {
    const open = networkPolicy('shop/db', '  podSelector: {matchLabels: {app: db}}\n  ingress: [{from: [{podSelector: {matchLabels: {db-client: "yes"}}}]}]')
    const { fixes } = fixesOf([...PODS, open], ['shop/web', 'shop/db'], { wanted: 'allow' })
    const label = fixes.find(({ changes }) => changes[0].kind === 'label')
    expect(label && commands(label)).toEqual(['kubectl -n shop label pod web db-client=yes'])
    expect(label?.effects.map(({ row, opened }) => [row.source.name, row.destination.name, opened.meets(ConnectionSet.of('TCP', 5432))])).toEqual([
      ['shop/web[Pod]', 'shop/db[Pod]', false],
    ])
    expect(fixes[0].effects).toEqual([])
  })

  it('a rule before the one of an AdminNetworkPolicy that denies, or a policy above it', () => {
    const deny = admin('deny', 10, '  subject: {namespaces: {}}\n  ingress: [{name: none, action: Deny, from: [{namespaces: {}}]}]')
    const { fixes } = fixesOf([...PODS, deny], ['shop/web', 'shop/db'], { wanted: 'allow' })
    expect(fixes.map(({ words }) => words)).toContain('an ingress rule more in AdminNetworkPolicy deny, before #1')
    const above = fixes.find(({ needs }) => needs !== undefined)
    expect(above?.changes[0]).toMatchObject({ kind: 'create', object: { spec: { priority: 9 } } })
    expect(above?.effects).toEqual([])
  })

  it('nothing above priority 0: the policy itself is edited', () => {
    const deny = admin('deny', 0, '  subject: {namespaces: {}}\n  ingress: [{name: none, action: Deny, from: [{namespaces: {}}]}]')
    const { fixes } = fixesOf([...PODS, deny], ['shop/web', 'shop/db'], { wanted: 'allow' })
    expect(fixes.map(({ changes }) => changes[0].kind)).toEqual(['patch'])
  })

  it("over a baseline's denial a NetworkPolicy, with what it isolates", () => {
    const base = baseline('  subject: {namespaces: {}}\n  ingress: [{name: none, action: Deny, from: [{namespaces: {matchLabels: {team: ops}}}]}]')
    const { fixes } = fixesOf([...PODS, base], ['ops/cron', 'shop/db'], { wanted: 'allow' })
    const own = fixes.find(({ changes }) => changes[0].kind === 'create')
    expect(own?.effects.map(({ row }) => row.source.name || 'outside').sort()).toEqual(['outside', 'shop/api[Pod]', 'shop/web[Pod]'].sort())
    expect(fixes[0].changes[0].kind).toBe('patch')
  })

  it('from an address outside an ipBlock', () => {
    const [best] = fixesOf([...PODS, DB], ['203.0.113.5', 'shop/db'], { wanted: 'allow' }).fixes
    expect(commands(best)[0]).toContain('{"ipBlock":{"cidr":"203.0.113.5/32"}}')
    expect(best.effects).toEqual([])
  })
})

describe('to stop a connection', () => {
  it('the rule goes that names nobody else and nothing else', () => {
    const [best] = fixesOf([...PODS, DB], ['shop/api', 'shop/db'], { wanted: 'deny' }).fixes
    expect(best.words).toBe('NetworkPolicy shop/db without its ingress rule #1')
    expect(commands(best)[0]).toContain('[{"op":"remove","path":"/spec/ingress/0"}]')
  })

  it('the last egress rule leaves policyTypes behind, without which nothing would be isolated', () => {
    const egress = networkPolicy('shop/api', '  podSelector: {matchLabels: {app: api}}\n  egress: [{to: [{podSelector: {matchLabels: {app: db}}}]}]')
    const { fixes } = fixesOf([...PODS, egress], ['shop/api', 'shop/db'], { wanted: 'deny' })
    const removal = fixes.find(({ words }) => words.includes('without the peer') || words.includes('without its egress rule'))
    expect(removal && commands(removal)[0]).toContain('{"op":"add","path":"/spec/policyTypes","value":["Ingress","Egress"]}')
  })

  it('every rule that would let it through is narrowed', () => {
    const wide = networkPolicy('shop/wide', '  podSelector: {matchLabels: {app: db}}\n  ingress: [{from: [{podSelector: {}}], ports: [{port: 5432}]}]')
    const { fixes } = fixesOf([...PODS, DB, wide], ['shop/api', 'shop/db'], { wanted: 'deny' })
    const exact = fixes.find(({ changes }) => changes.length === 2 && changes.every(({ kind }) => kind === 'patch'))
    expect(exact?.effects).toEqual([])
    expect(exact && commands(exact).join('\n')).toContain('{"matchExpressions":[{"key":"app","operator":"NotIn","values":["api"]}]}')
  })

  it('other pods that the narrowed policy selects are a side effect', () => {
    const wide = networkPolicy('shop/wide', '  podSelector: {}\n  ingress: [{from: [{podSelector: {}}], ports: [{port: 5432}]}]')
    const { fixes } = fixesOf([...PODS, DB, wide], ['shop/api', 'shop/db'], { wanted: 'deny' })
    const exact = fixes.find(({ changes }) => changes.length === 2 && changes.every(({ kind }) => kind === 'patch'))
    expect(exact?.effects.map(({ row, closed }) => [row.source.name, row.destination.name, connectionText(closed)])).toEqual([
      ['shop/api[Pod]', 'shop/web[Pod]', 'TCP 5432'],
    ])
  })

  it('an address is excepted from the block that holds it', () => {
    const outside = networkPolicy('shop/db', '  podSelector: {matchLabels: {app: db}}\n  ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24}}]}]')
    const [best] = fixesOf([...PODS, outside], ['203.0.113.5', 'shop/db'], { wanted: 'deny', switches: { otherProtocols: 'free' } }).fixes
    expect(commands(best).join('\n')).toContain('"except":["203.0.113.5/32"]')
    expect(best.effects).toEqual([])
  })

  it('where no policy selects either end: isolation that opens the rest, or an AdminNetworkPolicy, which can subtract', () => {
    const { fixes } = fixesOf(PODS, ['shop/api', 'shop/db'], { wanted: 'deny' })
    expect(fixes[0].needs).toContain('policy.networking.k8s.io/v1alpha1')
    const own = fixes.find(({ needs }) => needs === undefined)
    expect(own?.words).toBe('a new NetworkPolicy that isolates it for egress and opens the rest')
    const inside = own?.effects.filter(({ row }) => row.destination.kind === 'workload').map(({ closed }) => connectionText(closed))
    expect(inside).toEqual(['ICMP, ICMPv6, other protocols'])
  })

  it('with addresses that are known nothing else inside the cluster or outside loses TCP', () => {
    const pods = [namespace('shop'), pod('shop/api', { ip: '10.1.0.1' }), pod('shop/db', { ip: '10.1.0.2' }), pod('shop/web', { ip: '10.1.0.3' })]
    const { fixes } = fixesOf(pods, ['shop/api', 'shop/db'], { wanted: 'deny' })
    const own = fixes.find(({ needs }) => needs === undefined)
    for (const { row, closed } of own?.effects ?? [])
      if (!row.ranges.some(({ first, last }) => first <= 0x0a010002n && 0x0a010002n <= last)) expect(closed.meets(ConnectionSet.transport)).toBe(false)
    expect(JSON.stringify(own?.changes)).toContain('"except":["10.1.0.2/32"]')
  })

  it('what no policy holds is said to be so', () => {
    const world = [node('n1', '192.0.2.1'), namespace('shop'), pod('shop/db')]
    const { already, fixes, obstacles } = fixesOf(world, ['node/n1', 'shop/db'], { wanted: 'deny' })
    expect([already, fixes]).toEqual([false, []])
    expect(obstacles.some(({ part }) => part.reason.kind === 'exempt')).toBe(true)
  })
})

describe('labels of fixes', () => {
  it('are as many as it takes to name one workload alone', () => {
    const two = [namespace('shop'), pod('shop/a', { labels: 'app: x, tier: one' }), pod('shop/b', { labels: 'app: x, tier: two' }), pod('shop/db')]
    const [best] = fixesOf([...two, DB], ['shop/a', 'shop/db'], { wanted: 'allow' }).fixes
    expect(commands(best)[0]).toContain('{"podSelector":{"matchLabels":{"tier":"one"}}}')
    expect(best.effects).toEqual([])
  })

  it('and where no labels tell two apart, the other one is a side effect', () => {
    const two = [namespace('shop'), pod('shop/a', { labels: 'app: x' }), pod('shop/b', { labels: 'app: x' }), pod('shop/db')]
    const [best] = fixesOf([...two, DB], ['shop/a', 'shop/db'], { wanted: 'allow' }).fixes
    expect(best.effects.map(({ row }) => row.source.name)).toEqual(['shop/b[Pod]'])
  })
})

describe('a default-deny', () => {
  it('is the last to be opened, where a policy of its own does the same', () => {
    const deny = networkPolicy('shop/default-deny', '  podSelector: {}\n  policyTypes: [Ingress, Egress]\n')
    const { fixes } = fixesOf([...PODS, deny], ['shop/web', 'shop/db'], { wanted: 'allow' })
    const edits = fixes.map(({ changes }) => changes.filter(({ kind }) => kind === 'patch').length)
    expect([edits[0], edits.at(-1)]).toEqual([0, 1])
    expect(edits).toEqual(edits.toSorted())
  })
})

describe('a fix as JSON', () => {
  it('has the change with its file and line, the proof and the side effects', () => {
    const told = readTold([...PODS, DB].join('---\n'))
    const question = {
      source: endOf(told.world, 'shop/web'),
      destination: endOf(told.world, 'shop/db'),
      asked: ConnectionSet.of('TCP', 5432),
      wanted: 'allow',
    } as const
    const document = fixDocument(told, findFixes(told, question, workloadName), { src: 'shop/web', dst: 'shop/db' })
    expect(document).toMatchObject({ src: 'shop/web', wanted: 'allow', connections: 'TCP 5432', already: false, before: { allowed: false } })
    expect(document.fixes[0]).toMatchObject({
      changes: [{ kind: 'patch', object: 'NetworkPolicy/shop/db', file: 'w.yaml', line: 52, patch: [{ op: 'add', path: '/spec/ingress/0/from/-' }] }],
      sideEffects: [],
      after: { allowed: true },
    })
  })
})
