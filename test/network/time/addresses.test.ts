/** Which address a pod of a run gets once others have gone: host-local goes round, docker gives the lowest, Calico's IPAM keeps its own queue. */
import { describe, expect, it } from 'vitest'
import { netsim } from '../../cli/memory-io.js'

const CONFIG = `
apiVersion: v1
kind: ConfigMap
metadata: {name: NAME, namespace: kube-system}
data: {net-conf.json: '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}'}
---
`
const NODE = `
apiVersion: v1
kind: Node
metadata:
  name: n1
  annotations:
    flannel.alpha.coreos.com/kube-subnet-manager: "true"
    flannel.alpha.coreos.com/backend-type: vxlan
    flannel.alpha.coreos.com/backend-data: '{"VNI":1,"VtepMAC":"5e:1d:0c:a6:31:01"}'
    flannel.alpha.coreos.com/public-ip: 192.168.0.11
spec: {podCIDR: 10.244.1.0/29}
status: {addresses: [{type: InternalIP, address: 192.168.0.11}]}
---
`

function pod(name: string): string {
  return `{apiVersion: v1, kind: Pod, metadata: {name: ${name}}, spec: {nodeName: n1, containers: [{name: c, image: i}]}}`
}

function network(spec: string): string {
  const config = CONFIG.replace('NAME', spec.includes('canal') ? 'canal-config' : 'kube-flannel-cfg')
  const document = `apiVersion: netsim/v1\nkind: Network\nmetadata: {name: default}\nspec: ${spec}`
  return `${spec.includes('none') ? '' : config}${NODE}${document}\n---\n${pod('a')}\n---\n${pod('b')}\n---\n`
}

/** One of two pods is deleted and another made, six times. */
const EVENTS = Array.from({ length: 6 }, (_, turn) => {
  const [gone, made] = [turn === 0 ? 'b' : `p${turn}`, `p${turn + 1}`]
  return `    - {at: ${turn * 20 + 10}s, delete: pod/${gone}}\n    - {at: ${turn * 20 + 15}s, apply: ${pod(made)}}\n`
}).join('')

const SCENARIO = `apiVersion: netsim/v1\nkind: Scenario\nmetadata: {name: turns}\nspec:\n  until: 3m\n  events:\n${EVENTS}`

async function addresses(spec: string): Promise<readonly string[]> {
  const found: string[] = []
  for (let turn = 0; turn <= 6; turn++) {
    const { out, code, err } = await netsim(['show', 'pods', '--at', `${turn * 20 + 9}s`, '-f', '-'], { stdin: network(spec) + SCENARIO })
    expect({ code, err }).toEqual({ code: 0, err: '' })
    found.push(/10\.\S+/.exec(out.split('\n').find((line) => line.includes(turn === 0 ? ' b ' : ` p${turn} `)) ?? '')?.[0] ?? 'none')
  }
  return found
}

describe('an address that was given back', () => {
  it.each(['flannel', 'canal'])('host-local (%s): is given again once all others were', async (cni) => {
    const spec = `{cni: ${cni}, runtime: {name: cni}, datastore: kubernetes}`
    expect(await addresses(spec)).toEqual([3, 4, 5, 6, 3, 4, 5].map((last) => `10.244.1.${last}`))
  })

  it('docker: is given again at once', async () => {
    const spec = '{cni: none, runtime: {name: docker}}'
    const found = await addresses(spec)
    expect(new Set(found).size).toBe(1)
  })
})
