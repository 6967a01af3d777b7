/** What other engines decide is named wherever an answer would lack it, and the answer says by its status that it is not the whole one. */
import { describe, expect, it } from 'vitest'
import { readPolicyState } from '../../src/cluster/policy-state.js'
import { netsim } from '../cli/memory-io.js'

const PODS = `apiVersion: v1
kind: Pod
metadata: {name: a, namespace: blue}
---
apiVersion: v1
kind: Pod
metadata: {name: b, namespace: green}
`

const cilium = (name: string): string => `---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: ${name}, namespace: blue}\n`

describe('policies of other engines', () => {
  it.each([
    ['cilium.io/v2', 'CiliumNetworkPolicy'],
    ['cilium.io/v2', 'CiliumClusterwideNetworkPolicy'],
    ['security.istio.io/v1', 'AuthorizationPolicy'],
    ['k8s.ovn.org/v1', 'UserDefinedNetwork'],
    ['k8s.cni.cncf.io/v1beta1', 'MultiNetworkPolicy'],
  ])('%s %s is named with its line', (apiVersion, kind) => {
    const text = `${PODS}---\napiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: x, namespace: blue}\n`
    const { state, problems } = readPolicyState([{ file: 'x.yaml', text }])
    expect(state.foreign).toBe(true)
    expect(problems.map(({ severity, line, what }) => [severity, line, what])).toEqual([
      ['warning', 9, `${kind} of ${apiVersion.split('/')[0]} is not modelled: INCOMPLETE`],
    ])
  })

  it('several of a kind are named once; the answer that there is ends with 4', async () => {
    const { out, err, code } = await netsim(['policy', 'list', '-f', '-'], { stdin: PODS + cilium('one') + cilium('two') })
    expect([code, out]).toEqual([4, expect.stringContaining('blue/a[Pod] => green/b[Pod] : All Connections')])
    expect(err).toContain('CiliumNetworkPolicy of cilium.io is not modelled, and 1 more of the kind: INCOMPLETE')
  })

  it('a kind of that name in another group is none', () => {
    const text = `${PODS}---\napiVersion: example.com/v1\nkind: AuthorizationPolicy\nmetadata: {name: x}\n`
    expect(readPolicyState([{ file: 'x.yaml', text }]).state.foreign).toBe(false)
  })
})
