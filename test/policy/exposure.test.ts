/** What pods that are not there yet could do with the workloads of a world. */
import { describe, expect, it } from 'vitest'
import { connectionText } from '../../src/policy/connection-text.js'
import { ConnectionSet } from '../../src/policy/connections.js'
import { evaluatePair } from '../../src/policy/evaluate.js'
import { exposureCsv, exposureJson, exposureMarkdown, exposureText } from '../../src/policy/exposure/exposure-forms.js'
import { hypotheticalPeers } from '../../src/policy/exposure/exposure-np-guard.js'
import { peerKey, peerSelectors, peerWords } from '../../src/policy/exposure/exposure-peer.js'
import { exposureReport } from '../../src/policy/exposure/exposure-rows.js'
import { exposureOf, workloadsOf } from '../../src/policy/exposure/exposure.js'
import { imaginePeer } from '../../src/policy/exposure/imagined-pod.js'
import { policyMap } from '../../src/policy/list/list.js'
import type { PolicyPod, PolicyWorld } from '../../src/policy/model.js'
import { newcomer } from '../../src/policy/exposure/newcomer.js'
import { outsideRanges } from '../../src/policy/outside.js'
import { workloadName } from '../../src/policy/peer-name.js'
import { drawCluster, textOf } from './fix-world.js'
import { endOf, readTold, worldOf } from './kit.js'
import { namespace, networkPolicy, pod } from './trap-kit.js'

const SHOP = [
  namespace('shop', 'env: prod'),
  pod('shop/web'),
  pod('shop/db', { ports: '{name: sql, containerPort: 5432}' }),
  networkPolicy(
    'shop/db',
    `  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress, Egress]
  ingress:
    - from: [{podSelector: {matchLabels: {app: web}}}, {podSelector: {matchLabels: {app: cron}}}]
      ports: [{port: sql}]
    - from: [{namespaceSelector: {matchLabels: {env: ops}}, podSelector: {matchExpressions: [{key: role, operator: NotIn, values: [b, a]}]}}]
    - from: [{ipBlock: {cidr: 10.0.0.0/8}}]
      ports: [{port: 22}]
    - ports: [{port: 9090}]
  egress:
    - to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}]
      ports: [{protocol: UDP, port: dns}]
`,
  ),
].join('---\n')

function told(text: string): { world: PolicyWorld; of: (name: string) => ReturnType<typeof exposureOf>[number] } {
  const world = worldOf(text)
  const ranges = outsideRanges(world).map(({ range }) => range)
  const all = exposureOf(world, workloadsOf(world), ranges)
  return {
    world,
    of: (name) => {
      const found = all.find(({ workload }) => workloadName(workload.pod) === name)
      if (found === undefined) throw new Error(name)
      return found
    },
  }
}

describe('exposure', () => {
  it('tells what any pod may, and what pods may that the rules name', () => {
    const { ingress, egress } = told(SHOP).of('shop/db[Pod]')
    expect(connectionText(ingress.anybody.connections)).toBe('TCP 9090')
    expect(ingress.peers.map(({ words, connections, livingPods }) => [words, connectionText(connections), livingPods])).toEqual([
      ['shop/[pod with {app=web}]', 'TCP 5432,9090', 1],
      ['shop/[pod with {app=cron}]', 'TCP 5432,9090', 0],
      ['[namespace with {env=ops}]/[pod with {{Key:role,Operator:NotIn,Values:[b a],}}]', 'All Connections', 0],
    ])
    expect(ingress.outside.map(({ connections }) => connectionText(connections))).toEqual(['TCP 9090', 'TCP 22,9090'])
    expect(egress.anybody.connections.isEmpty).toBe(true)
    expect(egress.peers.map(({ words, namedPorts }) => [words, namedPorts])).toEqual([
      ['[all namespaces]/[pod with {k8s-app=kube-dns}]', [{ name: 'dns', protocol: 'UDP' }]],
    ])
    expect(ingress.peers[0].decidedBy.map(({ rule }) => rule.index)).toEqual([0, 3])
  })

  it('says of whom no policy protects', () => {
    const { ingress, egress } = told(SHOP).of('shop/web[Pod]')
    expect([ingress.selecting, egress.selecting]).toEqual([[], []])
    expect(ingress.anybody.connections.isAll).toBe(true)
  })

  it('tells pods of one workload apart where policies do, and not by the labels that a StatefulSet gives', () => {
    const sts = `apiVersion: apps/v1
kind: StatefulSet
metadata: {name: s, namespace: n}
spec: {replicas: 2, serviceName: s, selector: {matchLabels: {app: s}}, template: {metadata: {labels: {app: s}}, spec: {containers: [{name: c, image: c}]}}}
`
    const sorts = (selector: string): readonly number[] =>
      workloadsOf(worldOf([sts, networkPolicy('n/p', `  podSelector: {matchLabels: {${selector}}}`)].join('---\n'))).map(({ pods }) => pods)
    expect(sorts('app: s')).toEqual([2])
    expect(sorts('statefulset.kubernetes.io/pod-name: s-0')).toEqual([1, 1])
  })

  it('is what the meaning of the pair would be, for every peer that is made up (random clusters)', () => {
    let asked = 0
    for (let seed = 1; seed <= 40; seed++) {
      const { world } = readTold(textOf(drawCluster(seed, { admin: seed % 2 === 0 }).objects))
      for (const { workload, ingress, egress } of exposureOf(world, workloadsOf(world), [])) {
        for (const peer of [...ingress.peers, ingress.anybody]) {
          const around = { ...world, namespaces: new Map([...world.namespaces, ...namespaceOf(world, peer.pod)]) }
          if (world.namespaces.has(peer.pod.namespace)) expect(peer.connections.key).toBe(evaluatePair(around, peer.pod, workload.pod).ingress.allowed.key)
          asked++
        }
        for (const peer of egress.peers)
          if (world.namespaces.has(peer.pod.namespace)) expect(peer.connections.key).toBe(evaluatePair(world, workload.pod, peer.pod).egress.allowed.key)
      }
    }
    expect(asked).toBeGreaterThan(100)
  })

  it('makes up pods that the peer names, of every kind of selector', () => {
    let made = 0
    for (let seed = 1; seed <= 40; seed++) {
      const { world } = readTold(textOf(drawCluster(seed, { admin: true }).objects))
      const rules = world.tiers.flatMap(({ policies }) => policies.flatMap(({ ingress, egress }) => [...ingress, ...egress]))
      for (const peer of rules.flatMap(({ peers }) => peers)) {
        if (peer.conditions.some(({ kind }) => kind === 'networks')) expect(imaginePeer(world, peer)).toBeUndefined()
        else if (imaginePeer(world, peer) !== undefined) made++
      }
    }
    expect(made).toBeGreaterThan(50)
  })
})

function namespaceOf(world: PolicyWorld, { namespace: name }: PolicyPod): (readonly [string, { name: string; labels: Record<string, string> }])[] {
  return world.namespaces.has(name) ? [] : [[name, { name, labels: { 'kubernetes.io/metadata.name': name } }]]
}

describe('a newcomer', () => {
  it('is judged by both ends, and is no row of its own', () => {
    const found = newcomer(worldOf(SHOP), { namespace: 'shop', labels: { app: 'cron' } })
    expect(found.reaches.map(({ peer, connections }) => `${peer} ${connectionText(connections)}`)).toEqual([
      'shop/db[Pod] TCP 5432,9090',
      'shop/web[Pod] All Connections',
      '0.0.0.0-255.255.255.255[External] All Connections',
    ])
    expect(found.reachedBy.map(({ peer }) => peer)).toEqual(['shop/web[Pod]', '0.0.0.0-255.255.255.255[External]'])
    expect(found.selecting).toEqual({ ingress: [], egress: [] })
  })

  it('comes under the policies that would select it', () => {
    const found = newcomer(worldOf(SHOP), { namespace: 'shop', labels: { app: 'db' } }, ConnectionSet.of('TCP', 9090))
    expect(found.selecting.ingress.map(({ name }) => name)).toEqual(['db'])
    expect(found.reaches).toEqual([])
    expect(found.reachedBy.map(({ connections }) => connectionText(connections))).toEqual(['TCP 9090', 'TCP 9090'])
  })

  it('may be in a namespace that is not there, with labels of its own', () => {
    const found = newcomer(worldOf(SHOP), { namespaceLabels: { env: 'ops' }, labels: {} }, ConnectionSet.of('TCP', 1))
    expect(found.reaches.map(({ peer }) => peer)).toContain('shop/db[Pod]')
    const barred = newcomer(worldOf(SHOP), { namespaceLabels: { env: 'ops' }, labels: { role: 'a' } }, ConnectionSet.of('TCP', 1))
    expect(barred.reaches.map(({ peer }) => peer)).not.toContain('shop/db[Pod]')
  })

  it('with the labels of a pod that is there sees what that pod sees', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const { world } = readTold(textOf(drawCluster(seed, { admin: true }).objects))
      const [own] = world.pods
      const found = newcomer(world, { namespace: own.namespace, labels: own.labels, ports: own.ports })
      for (const other of world.pods.filter((one) => workloadName(one) !== workloadName(own))) {
        const row = found.reaches.find(({ peer }) => peer === workloadName(other))
        expect((row?.connections ?? ConnectionSet.none).key).toBe(evaluatePair(world, own, endOf(world, `${other.namespace}/${other.name}`)).allowed.key)
      }
    }
  })
})

describe("exposure in netpol-analyzer's forms", () => {
  const { world, state } = readTold(SHOP, { as: 'np-guard', ipBlock: 'outside-only' })
  const options = { focus: [], focusPeer: [] }
  const form = { transportOnly: true }
  const map = policyMap(world, state, options)
  const report = exposureReport(world, map, options)

  it('leaves out peers that a living pod is, and keeps those with expressions', () => {
    expect(hypotheticalPeers(world).map(peerWords)).toEqual([
      'shop/[pod with {app=cron}]',
      '[namespace with {env=ops}]/[pod with {{Key:role,Operator:NotIn,Values:[b a],}}]',
      '[all namespaces]/[pod with {k8s-app=kube-dns}]',
    ])
  })

  it('prints text', () => {
    expect(exposureText(map, report, form).split('\n\n').slice(1).join('\n\n')).toBe(
      [
        'Exposure Analysis Result:',
        'Egress Exposure:',
        'shop/db[Pod]  \t=> \t[all namespaces]/[pod with {k8s-app=kube-dns}] : UDP dns',
        'shop/web[Pod] \t=> \t0.0.0.0-255.255.255.255[External] : All Connections',
        'shop/web[Pod] \t=> \tentire-cluster : All Connections',
        '',
        'Ingress Exposure:',
        'shop/db[Pod]  \t<= \t0.0.0.0-9.255.255.255[External] : TCP 9090',
        'shop/db[Pod]  \t<= \t10.0.0.0-10.255.255.255[External] : TCP 22,9090',
        'shop/db[Pod]  \t<= \t11.0.0.0-255.255.255.255[External] : TCP 9090',
        'shop/db[Pod]  \t<= \t[namespace with {env=ops}]/[pod with {{Key:role,Operator:NotIn,Values:[b a],}}] : All Connections',
        'shop/db[Pod]  \t<= \tentire-cluster : TCP 9090',
        'shop/db[Pod]  \t<= \tshop/[pod with {app=cron}] : TCP 5432,9090',
        ...['0.0.0.0-9.255.255.255', '10.0.0.0-10.255.255.255', '11.0.0.0-255.255.255.255'].map(
          (range) => `shop/web[Pod] \t<= \t${range}[External] : All Connections`,
        ),
        'shop/web[Pod] \t<= \tentire-cluster : All Connections',
        '',
        'Workloads not protected by network policies:',
        'shop/web[Pod] is not protected on Egress',
        'shop/web[Pod] is not protected on Ingress',
        '',
      ].join('\n'),
    )
  })

  it('prints the same rows as JSON, CSV and Markdown', () => {
    const document = JSON.parse(exposureJson(map, report, form)) as Record<string, Record<string, readonly unknown[]>>
    expect(Object.keys(document)).toEqual(['connlist_results', 'exposure_results'])
    const { egress_exposure: egress, ingress_exposure: ingress } = document.exposure_results
    expect([egress.length, ingress.length]).toEqual([3, 10])
    const csv = exposureCsv(map, report, form).split('\n')
    expect(csv.slice(csv.indexOf('Exposure Analysis Result:,,')).slice(0, 4)).toEqual([
      'Exposure Analysis Result:,,',
      'Egress Exposure:,,',
      'src,dst,conn',
      'shop/db[Pod],[all namespaces]/[pod with {k8s-app=kube-dns}],UDP dns',
    ])
    expect(exposureMarkdown(map, report, form)).toContain('### Ingress Exposure:\n| dst | src | conn |\n|-----|-----|------|\n| shop/db[Pod] |')
  })
})

describe('selectors that ask the same', () => {
  const key = (pods: string): string => {
    const spec = `  podSelector: {}\n  ingress: [{from: [{podSelector: ${pods}}]}]\n`
    const world = worldOf([pod('n/a'), networkPolicy('n/p', spec)].join('---\n'))
    const selectors = peerSelectors(world.tiers[0].policies[0].ingress[0].peers[0])
    if (selectors === undefined) throw new Error(pods)
    return peerKey(selectors)
  }

  it('are one peer, however they are written', () => {
    expect(key('{matchLabels: {a: x, b: y}}')).toBe(key('{matchExpressions: [{key: b, operator: In, values: [y]}, {key: a, operator: In, values: [x]}]}'))
    expect(key('{matchExpressions: [{key: a, operator: In, values: [x, y]}]}')).toBe(key('{matchExpressions: [{key: a, operator: In, values: [y, x]}]}'))
    expect(key('{matchExpressions: [{key: a, operator: In, values: [x, y]}]}')).not.toBe(key('{matchLabels: {a: x}}'))
  })
})
