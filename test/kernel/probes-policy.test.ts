/** The questions about policies that verify chooses: of each rule that can be taken one that takes it, of each policy one that is allowed and one denied. */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { buildCluster } from '../../src/cluster/cluster.js'
import { isPrediction, predict } from '../../src/kernel/prediction.js'
import { coveringProbes, probeName } from '../../src/kernel/probes.js'
import { policyQuestions } from '../../src/kernel/probes-policy.js'
import { buildNetwork } from '../../src/network/build-network.js'
import type { Network } from '../../src/network/network.js'
import { networkOf } from '../kit/network.js'

const SET = new URL('../calico/policy-set/', import.meta.url)

/** 38 policies in six tiers. */
function policySet(): Network {
  const files = readdirSync(SET).filter((file) => file.endsWith('.yaml'))
  const { cluster } = buildCluster(files.map((file) => ({ file, text: readFileSync(new URL(file, SET), 'utf8') })))
  return buildNetwork(cluster, { seed: 1 }).network
}

const TWO_PODS = `
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 192.168.10.11}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec: {nodeName: n1, containers: [{name: c}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, labels: {app: db}}
spec: {nodeName: n1, containers: [{name: c, ports: [{name: sql, containerPort: 5432}]}]}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: default}
spec:
  selector: app == 'db'
  ingress:
  - {action: Deny, protocol: UDP, destination: {ports: [5000]}}
  - {action: Allow, protocol: TCP, source: {selector: app == 'web'}, destination: {ports: [sql]}}
---
apiVersion: netsim/v1
kind: Network
metadata: {name: default}
spec: {cni: calico, kubeProxy: {mode: none}}
`

describe('questions about policies', () => {
  it('each rule, by number and by the name of its port, and what no rule takes', { timeout: 60_000 }, () => {
    const network = networkOf(TWO_PODS)
    const asked = policyQuestions(network, {}).map(({ source, destination, proto }) => `${source} ${destination} ${proto ?? 'icmp'}`)
    expect(asked).toContain('default/web default/db:5432 tcp')
    expect(asked.some((text) => text.endsWith(' default/db:5000 udp'))).toBe(true)
    const outcomes = policyQuestions(network, {}).map((request) => {
      const prediction = predict(network, request)
      return isPrediction(prediction) ? prediction.outcome.disposition : 'refused'
    })
    expect(new Set(outcomes)).toEqual(new Set(['DELIVERED', 'DENIED']))
  })

  it('none where there is no policy', () => {
    const without = TWO_PODS.replace(/apiVersion: projectcalico[^]*?\n---\n/, '')
    expect(policyQuestions(networkOf(without), {})).toEqual([])
  })

  it('of a large set: few, all different, each taking a rule of a policy, and among what is asked when nothing is named', { timeout: 180_000 }, () => {
    const network = policySet()
    const questions = policyQuestions(network, {})
    expect(questions.length).toBeGreaterThan(10)
    expect(questions.length).toBeLessThanOrEqual(48)
    expect(new Set(questions.map((question) => JSON.stringify(question))).size).toBe(questions.length)
    const taken = new Set<string>()
    for (const question of questions) {
      const prediction = predict(network, question)
      if (!isPrediction(prediction)) throw new Error(JSON.stringify(prediction))
      for (const { chain, rule } of prediction.rules) if (/^cali-p[io]-/.test(chain)) taken.add(`${chain} ${rule}`)
    }
    expect(taken.size).toBeGreaterThan(30)
    const all = coveringProbes(network, 'all').map(({ name }) => name)
    expect(questions.map(probeName).filter((name) => !all.includes(name))).toEqual([])
  })
})
