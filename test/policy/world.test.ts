/** What is read for policies, who enforces them, and how ends are named. */
import { describe, expect, it } from 'vitest'
import { parseRange, type AddressRange } from '../../src/policy/address-range.js'
import { endNamed, endsNamed, isProblem } from '../../src/policy/ends.js'
import { partition, without } from '../../src/policy/outside.js'
import { endName } from '../../src/policy/peer-name.js'
import { switchesFor } from '../../src/policy/world.js'
import { endOf, readTold, worldOf } from './kit.js'

const POD = `
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop, labels: {app: web}}
spec: {serviceAccountName: front, containers: [{name: c, ports: [{containerPort: 80, name: http}]}]}
status: {podIP: 10.244.0.7, podIPs: [{ip: 10.244.0.7}, {ip: "fd00::7"}]}
---
`

const range = (text: string): AddressRange => {
  const found = parseRange(text)
  if (found === undefined) throw new Error(text)
  return found
}

describe('a state', () => {
  it('asks for no node, no underlay and no address', () => {
    const { problems, world } = readTold('{apiVersion: v1, kind: Pod, metadata: {name: a}}')
    expect(problems).toEqual([])
    expect(world.pods[0]).toMatchObject({ name: 'a', namespace: 'default', addresses: [], serviceAccount: 'default', imagined: false })
  })

  it('has addresses of both families, the service account and the ports of a pod', () => {
    const [pod] = worldOf(POD).pods
    expect(pod.addresses).toEqual([range('10.244.0.7'), range('fd00::7')])
    expect(pod).toMatchObject({ serviceAccount: 'front', ports: [{ name: 'http', port: 80, protocol: 'TCP' }] })
  })

  it("gives a pod on its host's network the addresses of its node, and its own where the input does not show the node", () => {
    const hosted = POD.replace('spec: {', 'spec: {hostNetwork: true, nodeName: n1, ')
    expect(worldOf(hosted).pods[0].addresses).toEqual([range('10.244.0.7'), range('fd00::7')])
    const node = '{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}}\n---\n'
    expect(worldOf(node + hosted).pods[0].addresses).toEqual([range('192.168.0.1')])
  })

  it('has every namespace that something lives in, each with the label that the API server gives it', () => {
    const namespace = '{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {kubernetes.io/metadata.name: other, a: b}}}\n---\n'
    const { namespaces } = worldOf(namespace + POD.replace('namespace: shop', 'namespace: away'))
    expect([...namespaces.keys()]).toEqual(['shop', 'default', 'away'])
    expect(namespaces.get('shop')?.labels).toEqual({ a: 'b', 'kubernetes.io/metadata.name': 'shop' })
    expect(namespaces.get('away')).toEqual({ name: 'away', labels: { 'kubernetes.io/metadata.name': 'away' } })
  })

  it('leaves out pods that ended, but for netpol-analyzer', () => {
    const ended = POD.replace('podIP: 10', 'phase: Succeeded, podIP: 10')
    expect(worldOf(ended).pods).toEqual([])
    expect(worldOf(ended, switchesFor('np-guard')).pods).toHaveLength(1)
  })

  it("reads a VirtualMachine's template, and takes its running pod for it", () => {
    const machine =
      '{apiVersion: kubevirt.io/v1, kind: VirtualMachine, metadata: {name: vm, namespace: shop}, spec: {template: {metadata: {labels: {app: vm}}, spec: {domain: {}}}}}\n---\n'
    expect(worldOf(machine).pods.map((pod) => [endName(pod), pod.labels, pod.imagined])).toEqual([['shop/vm[VirtualMachine]', { app: 'vm' }, true]])
    const launcher =
      '{apiVersion: v1, kind: Pod, metadata: {name: virt-launcher-vm-x, namespace: shop, ownerReferences: [{controller: true, kind: VirtualMachineInstance, name: vm}]}}'
    expect(worldOf(machine + launcher).pods.map(endName)).toEqual(['shop/vm[VirtualMachineInstance]'])
  })

  it('names a policy that the API server would refuse, and has it nowhere', () => {
    const { state, problems } = readTold(
      'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\nspec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0}}]}]}',
    )
    expect(state.refused).toEqual(['NetworkPolicy/default/a'])
    expect(state.kubernetesPolicies).toEqual([])
    expect(problems).toEqual([expect.objectContaining({ severity: 'error', line: 4, object: 'NetworkPolicy/default/a' })])
  })

  it('names two policies of one name that differ', () => {
    const policy = (types: string): string =>
      `apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\nspec: {podSelector: {}, policyTypes: [${types}]}\n---\n`
    expect(readTold(policy('Ingress') + policy('Egress')).state.refused).toEqual(['NetworkPolicy/default/a'])
  })

  it('has a pod whose owner lacks a kind, and one whose port lacks a number; both are said', () => {
    const owner = '{apiVersion: v1, kind: Pod, metadata: {name: a, ownerReferences: [{controller: true, name: x}]}}\n---\n'
    const port = '{apiVersion: v1, kind: Pod, metadata: {name: b}, spec: {containers: [{name: c, ports: [{name: http}, {containerPort: 81}]}]}}'
    const { world, problems } = readTold(owner + port)
    expect(world.pods.map((pod) => [endName(pod), pod.ports.map((one) => one.port)])).toEqual([
      ['default/x[Pod]', []],
      ['default/b[Pod]', [81]],
    ])
    expect(problems.map(({ what }) => what)).toEqual(['an owner without a kind', 'port 1 of the list has no containerPort'])
  })
})

describe('who enforces', () => {
  const POLICY = '\n---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: closed}, spec: {podSelector: {}}}\n'
  const engineOf = (text: string): unknown => worldOf(text + POLICY).noEngine

  it('is nobody where the Network document or the manifest of flannel says so; the policies are kept apart', () => {
    const world = worldOf(`{apiVersion: netsim/v1, kind: Network, spec: {cni: flannel}}${POLICY}`)
    expect(world.noEngine).toBe('flannel enforces no NetworkPolicy')
    expect(world.tiers).toEqual([])
    expect(world.unenforced.flatMap((tier) => tier.policies).map(({ name }) => name)).toEqual(['closed'])
    expect(engineOf('{apiVersion: netsim/v1, kind: Network, spec: {cni: none}}')).toBe('plain docker enforces no NetworkPolicy')
    expect(engineOf('{apiVersion: v1, kind: ConfigMap, metadata: {name: kube-flannel-cfg, namespace: kube-flannel}, data: {}}')).toBe(
      'flannel enforces no NetworkPolicy',
    )
  })

  it('is somebody where the input shows one beside flannel, and is taken for granted where it says nothing', () => {
    expect(engineOf('')).toBeUndefined()
    expect(engineOf('{apiVersion: netsim/v1, kind: Network, spec: {cni: canal}}')).toBeUndefined()
    const node = (annotations: string): string =>
      `{apiVersion: v1, kind: Node, metadata: {name: n, annotations: {flannel.alpha.coreos.com/backend-type: vxlan${annotations}}}}`
    expect(engineOf(node(''))).toBe('flannel enforces no NetworkPolicy')
    expect(engineOf(node(', k3s.io/hostname: n'))).toBeUndefined()
  })

  it('does not matter to the one who asks what Calico would do', () => {
    expect(worldOf(`{apiVersion: netsim/v1, kind: Network, spec: {cni: flannel}}${POLICY}`, switchesFor('calico')).noEngine).toBeUndefined()
  })
})

describe('a name', () => {
  const world = worldOf(`${POD}
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec: {replicas: 2, selector: {matchLabels: {app: api}}, template: {metadata: {labels: {app: api}}, spec: {containers: []}}}
---
{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}}
`)

  it.each(['shop/web-0', 'pod/shop/web-0', 'shop/web-0[Pod]', '10.244.0.7', 'fd00::7'])('%s is the pod', (text) => {
    expect(endOf(world, text)).toMatchObject({ kind: 'pod', name: 'web-0' })
  })

  it.each(['pod/web-0', 'web-0'])('%s is the pod of the namespace of bare names', (text) => {
    expect(endOf(world, text, 'shop')).toMatchObject({ kind: 'pod', name: 'web-0' })
    expect(isProblem(endNamed(world, text, 'default'))).toBe(true)
  })

  it('is that of a Deployment, where the input shows its ReplicaSet alone, or beside it', () => {
    const owner = ', ownerReferences: [{controller: true, kind: ReplicaSet, name: web-7d9f}]'
    const hashed = POD.replace('labels: {app: web}', `labels: {app: web, pod-template-hash: 7d9f}${owner}`)
    for (const text of ['deploy/shop/web', 'shop/web', 'rs/shop/web-7d9f', 'shop/web-7d9f'])
      expect(endOf(worldOf(hashed), text)).toMatchObject({ name: 'web-0', workload: { kind: 'ReplicaSet', name: 'web-7d9f' } })
    // a ReplicaSet of one's own has no Deployment above it
    const own = worldOf(POD.replace('labels: {app: web}', `labels: {app: web}${owner}`))
    expect(endNamed(own, 'shop/web', 'default')).toMatchObject({ what: 'there is no pod or workload "shop/web"' })
    expect(endNamed(own, 'deploy/shop/web', 'default')).toMatchObject({ what: 'there is no Deployment shop/web' })
  })

  it.each(['deploy/shop/api', 'shop/api', 'Deployment/shop/api', 'shop/api[Deployment]'])('%s is the workload', (text) => {
    const ends = endsNamed(world, text, 'default')
    if (isProblem(ends)) throw new Error(ends.what)
    expect(ends.map(endName)).toEqual(['shop/api[Deployment]', 'shop/api[Deployment]'])
  })

  it('may be a node, an address of a node, or addresses outside', () => {
    expect(endOf(world, 'node/n1')).toMatchObject({ kind: 'node', name: 'n1' })
    expect(endOf(world, '192.168.0.1')).toMatchObject({ kind: 'node', name: 'n1' })
    expect(endOf(world, '8.8.8.8')).toEqual({ kind: 'outside', range: range('8.8.8.8') })
    expect(endOf(world, '10.0.0.0-10.0.0.9[External]')).toEqual({ kind: 'outside', range: { ...range('10.0.0.0'), last: range('10.0.0.9').first } })
    expect(endName(endOf(world, '2001:db8::/127'))).toBe('2001:db8::-2001:db8::1[External]')
  })

  it.each([
    ['shop/webb-0', 'Did you mean shop/web-0?'],
    ['deploy/shop/apj', 'Did you mean api?'],
    ['node/n2', 'Did you mean n1?'],
    ['a/b/c/d', 'Write ns/pod, deploy/NAME, node/NAME or an address.'],
    ['', 'Write ns/pod, deploy/NAME, node/NAME or an address.'],
  ])('%j that nobody has says what is near', (text, fix) => {
    expect(endNamed(world, text, 'default')).toMatchObject({ severity: 'error', fix })
  })
})

describe('the outside', () => {
  it('is cut at the ends of every range', () => {
    const cuts = partition(range('10.0.0.0/8'), [range('10.1.0.0/16'), range('10.1.2.0/24'), range('9.0.0.0/8'), range('0.0.0.0/0'), range('fd00::/8')])
    expect(cuts.map((one) => endName({ kind: 'outside', range: one }))).toEqual([
      '10.0.0.0-10.0.255.255[External]',
      '10.1.0.0-10.1.1.255[External]',
      '10.1.2.0-10.1.2.255[External]',
      '10.1.3.0-10.1.255.255[External]',
      '10.2.0.0-10.255.255.255[External]',
    ])
  })

  it('without holes is what is left, holes that touch being one', () => {
    const left = without(range('10.0.0.0/8'), [range('10.128.0.0/9'), range('10.0.0.0/16'), range('10.1.0.0/16'), range('11.0.0.0/8')])
    expect(left).toEqual([{ family: 4, first: range('10.2.0.0').first, last: range('10.127.255.255').first }])
    expect(without(range('10.0.0.0/8'), [range('0.0.0.0/0')])).toEqual([])
  })
})
