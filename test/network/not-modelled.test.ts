/** Clusters of other proxies and other pod networks: named, and no verdict is guessed. */
import { describe, expect, it } from 'vitest'
import { buildCluster } from '../../src/cluster/cluster.js'
import { answer, networkOf } from '../kit/network.js'
import { SERVICE_CLUSTER } from './not-modelled-cluster.js'

describe('a kube-proxy that netsim does not render', () => {
  it.each(['ipvs', 'nftables'])('in mode %s leaves what is asked of Services INCOMPLETE, with its name and a way out', (mode) => {
    const network = networkOf(SERVICE_CLUSTER.replace('MODE', mode))
    for (const destination of ['svc/web', 'node/n1:30080', '203.0.113.80:80']) {
      const { document } = answer(network, 'client', destination)
      expect(document.disposition, destination).toBe('INCOMPLETE')
      expect(document.notModelled.join('\n'), destination).toContain(`kube-proxy in mode ${mode}`)
    }
    expect(answer(network, 'client', 'web-0:80').document.disposition).toBe('DELIVERED')
  })

  it('in mode iptables is asked', () => {
    const network = networkOf(SERVICE_CLUSTER.replace('MODE', 'iptables'))
    expect(answer(network, 'client', 'svc/web').document.disposition).toBe('DELIVERED')
  })
})

describe("a pods' network that netsim does not model", () => {
  const daemonSet = (name: string): string => `apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: ${name}, namespace: kube-system}\n`
  const errors = (text: string): string[] =>
    buildCluster([{ file: 't.yaml', text }]).problems.flatMap(({ severity, what }) => (severity === 'error' ? [what] : []))

  it.each(['kindnet', 'cilium', 'weave-net', 'aws-node'])('%s is named', (name) => {
    expect(errors(daemonSet(name)).join('\n')).toContain(`the pods' network is ${name}'s, which is not modelled`)
  })

  it('is told by a pod of it, too', () => {
    const owner = 'ownerReferences: [{apiVersion: apps/v1, kind: DaemonSet, name: kindnet, uid: u}]'
    const pod = `apiVersion: v1\nkind: Pod\nmetadata: {name: kindnet-x, ${owner}}\nspec: {hostNetwork: true}\n`
    expect(errors(pod).join('\n')).toContain("kindnet's")
  })

  it('is nobody’s business where the document names a CNI', () => {
    const document = '---\napiVersion: netsim/v1\nkind: Network\nmetadata: {name: default}\nspec: {cni: flannel, datastore: kubernetes}\n'
    expect(errors(daemonSet('cilium') + document).join('\n')).not.toContain('not modelled')
  })
})
