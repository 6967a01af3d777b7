/** Moments in which nodes are not all as far, and what is broken then: questions to them, answers worked out by hand. */
import { describe, expect, it } from 'vitest'
import { traceDocument } from '../../../src/analysis/trace-report.js'
import { allOutcomes } from '../../../src/analysis/outcomes.js'
import { printIptablesSave } from '../../../src/dataplane/iptables-save.js'
import { printAddresses } from '../../../src/dataplane/ip-address.js'
import { isOutcome } from '../../../src/network/probe.js'
import type { Network } from '../../../src/network/network.js'
import { DEFAULT_REQUEST, type TraceRequest } from '../../../src/network/request.js'
import { networkAt, PlanBook } from '../../../src/network/time/network-at.js'
import { NONE_SINCE_BOOT } from '../../../src/network/time/network-state.js'
import { clusterOf, momentsOf, SEED, withNodes } from './moment-kit.js'

const CUT = { cut: true, loss: 0, delayNs: 0 }

interface Parts {
  readonly pods?: string
  readonly more?: string
}

function node(name: string, address: string, podCIDR: string): string {
  return `apiVersion: v1
kind: Node
metadata: {name: ${name}}
spec: {podCIDR: ${podCIDR}}
status: {addresses: [{type: InternalIP, address: ${address}}]}
---
`
}

function pod(name: string, on: string, ip: string, labels = `app: ${name}`): string {
  return `apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: default, labels: {${labels}}}
spec: {nodeName: ${on}, containers: [{name: c, image: i, ports: [{containerPort: 80}]}]}
status: {phase: Running, podIP: ${ip}, conditions: [{type: Ready, status: 'True'}]}
---
`
}

const SERVICE = `apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80}]}
---
`

/** Two segments with a router between; n1 and n2 in the first, n3 in the second. */
function flannel({ pods = pod('a', 'n1', '10.244.1.2') + pod('b', 'n2', '10.244.2.2') + pod('c', 'n3', '10.244.3.2'), more = '' }: Parts = {}): string {
  const nodes = node('n1', '192.168.1.1', '10.244.1.0/24') + node('n2', '192.168.1.2', '10.244.2.0/24') + node('n3', '192.168.2.3', '10.244.3.0/24')
  return `${nodes}${pods}${more}apiVersion: netsim/v1
kind: Network
metadata: {name: net}
spec:
  cni: flannel
  datastore: kubernetes
  clusterCIDR: 10.244.0.0/16
  underlay:
    segments: [{name: left, cidr: 192.168.1.0/24}, {name: right, cidr: 192.168.2.0/24}]
    routers: [{name: core, segments: [left, right]}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kube-flannel-cfg, namespace: kube-flannel}
data: {net-conf.json: '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}'}
`
}

function calico({ pods = pod('a', 'n1', '10.0.1.2') + pod('b', 'n2', '10.0.2.2'), more = '' }: Parts = {}): string {
  return `${node('n1', '192.168.1.1', '10.244.1.0/24')}${node('n2', '192.168.1.2', '10.244.2.0/24')}${pods}${more}apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: pool}
spec: {cidr: 10.0.0.0/16, blockSize: 24, ipipMode: Never, vxlanMode: Always, natOutgoing: true}
---
apiVersion: netsim/v1
kind: Network
metadata: {name: net}
spec:
  cni: calico
  underlay:
    segments: [{name: left, cidr: 192.168.1.0/24}]
`
}

const DENY = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: default}
spec: {podSelector: {}, policyTypes: [Ingress]}
---
`

function ask(network: Network, source: string, destination: string, more: Partial<TraceRequest> = {}): string {
  const outcome = network.trace({ ...DEFAULT_REQUEST, source, destination, ...more })
  if (!isOutcome(outcome)) return outcome.map(({ what }) => what).join('; ')
  return outcome.disposition
}

function lastWords(network: Network, source: string, destination: string, more: Partial<TraceRequest> = {}): string {
  const outcome = network.trace({ ...DEFAULT_REQUEST, source, destination, ...more })
  if (!isOutcome(outcome)) throw new Error(outcome.map(({ what }) => what).join('; '))
  return JSON.stringify(traceDocument(network, outcome))
}

describe('flannel', () => {
  const { book, state } = momentsOf(clusterOf(flannel()))

  it('works at rest', () => {
    const network = networkAt(book, state)
    expect(['pod/b', 'pod/c', 'n2', 'n3'].map((to) => ask(network, 'pod/a', to.startsWith('n') ? `node/${to}` : to))).toEqual(Array(4).fill('DELIVERED'))
  })

  it('is kept for states that say the same, also for one that is made anew', () => {
    const same = { ...state, atNs: 5e9, nodes: new Map(state.nodes) }
    expect(networkAt(book, same)).toBe(networkAt(book, state))
    expect(networkAt(book, withNodes(state, { n1: { mtu: 1400 } }))).not.toBe(networkAt(book, state))
  })

  it('a node whose flanneld had no lease since the boot has no subnet, and plugs nothing in', () => {
    const { flannel: _view, ...booted } = { ...state.nodes.get('n2'), pods: NONE_SINCE_BOOT }
    const network = networkAt(book, { ...state, nodes: new Map([...state.nodes, ['n2', booted as never]]) })
    expect(network.dataplane('n2')?.devices.map(({ name }) => name)).toEqual(['lo', 'eth0'])
    expect(network.netns('default/b')).toBeUndefined()
    // what n1 sends through the tunnel finds no socket at port 8472
    expect(ask(network, 'pod/a', 'pod/b')).toBe('NO_SOCKET')
    expect(network.leases.map(({ node: name }) => name)).toEqual(['n1', 'n2', 'n3'])
  })

  it('routes are those that the node’s own flanneld knows of', () => {
    const view = state.nodes.get('n1')?.flannel
    if (view === undefined) throw new Error('n1 has a view')
    const alone = { ...view, leases: [view.ownLease] }
    const network = networkAt(book, withNodes(state, { n1: { flannel: alone } }))
    const overlay = (name: string): number => network.dataplane(name)?.routes.filter(({ device }) => device === 'flannel.1').length ?? -1
    expect([overlay('n1'), overlay('n2')]).toEqual([0, 2])
    expect(ask(network, 'pod/a', 'pod/b')).not.toBe('DELIVERED')
    expect(ask(network, 'pod/b', 'pod/c')).toBe('DELIVERED')
  })
})

describe('power', () => {
  const { book, state } = momentsOf(clusterOf(flannel()))
  const off = { ...withNodes(state, { n2: { power: false } }), atNs: 20e9 }

  it('nothing of a node that is off answers or forwards', () => {
    const network = networkAt(book, off)
    expect([ask(network, 'pod/a', 'node/n2'), ask(network, 'pod/a', 'pod/b')]).toEqual(['NEIGHBOR_FAILED', 'NEIGHBOR_FAILED'])
    expect(ask(network, 'pod/a', 'pod/c')).toBe('DELIVERED')
    expect(network.dataplane('n2')?.routes.some(({ device }) => device === 'flannel.1')).toBe(false)
  })

  it('what is asked from it is answered with since when', () => {
    const later = { ...off, atNs: 25e9 }
    const told = new PlanBook({ versions: book.versions, seed: SEED, states: [state, { ...off, atNs: 12.5e9 }, later] })
    expect(ask(networkAt(told, later), 'pod/b', 'pod/a')).toBe('nothing is sent from default/b: node n2 has no power since 12.5s')
    expect(ask(networkAt(told, later), 'node/n2', 'pod/a')).toBe('nothing is sent from node/n2: node n2 has no power since 12.5s')
    expect(ask(networkAt(book, later), 'node/n2', 'pod/a')).toBe('nothing is sent from node/n2: node n2 has no power')
  })
})

describe('cables', () => {
  const { book, state } = momentsOf(clusterOf(flannel()))

  it('one that is out: no carrier on the card, ARP fails, the node itself works on', () => {
    const network = networkAt(book, withNodes(state, { n2: { cable: CUT } }))
    expect(printAddresses(network.dataplane('n2')?.devices ?? [])).toMatch(/eth0: <NO-CARRIER,BROADCAST,MULTICAST,UP> mtu 1500 .*state DOWN/)
    expect(ask(network, 'pod/b', 'node/n2')).toBe('DELIVERED')
    expect(ask(network, 'node/n2', 'node/n1')).toBe('NEIGHBOR_FAILED')
    expect(ask(network, 'node/n1', 'node/n2')).toBe('NEIGHBOR_FAILED')
    expect(ask(network, 'pod/a', 'pod/c')).toBe('DELIVERED')
  })

  it('a router’s, by its name as the event has it', () => {
    for (const key of ['core right', 'router/core right', 'core ']) {
      const network = networkAt(book, { ...state, underlay: { ...state.underlay, cables: new Map([[key, CUT]]) } })
      expect([ask(network, 'pod/a', 'pod/b'), ask(network, 'node/n1', 'node/n3')]).toEqual(['DELIVERED', 'NEIGHBOR_FAILED'])
    }
    const other = networkAt(book, { ...state, underlay: { ...state.underlay, cables: new Map([['core middle', CUT]]) } })
    expect(ask(other, 'pod/a', 'pod/c')).toBe('DELIVERED')
  })

  it('a lossy one: every frame has both outcomes, as likely as it says, and the seed draws', () => {
    const network = networkAt(book, withNodes(state, { n2: { cable: { cut: false, loss: 0.25, delayNs: 0 } } }))
    const all = allOutcomes(network, { ...DEFAULT_REQUEST, source: 'node/n1', destination: 'node/n2' })
    if (!('outcomes' in all)) throw new Error('no Problems are due')
    const share = (disposition: string): number => all.outcomes.filter((one) => one.disposition === disposition).reduce((sum, one) => sum + one.probability, 0)
    expect(share('DELIVERED')).toBeCloseTo(0.75 * 0.75)
    expect(share('REPLY_LOST')).toBeCloseTo(0.75 * 0.25)
    expect(share('BLACKHOLE')).toBeCloseTo(0.25)
    const drawn = Array.from({ length: 200 }, (_, seed) => ask(network, 'node/n1', 'node/n2', { seed }))
    const delivered = drawn.filter((word) => word === 'DELIVERED').length
    expect(delivered).toBeGreaterThan(80)
    expect(delivered).toBeLessThan(145)
    expect(drawn.map((_, seed) => ask(network, 'node/n1', 'node/n2', { seed }))).toEqual(drawn)
    expect(lastWords(network, 'node/n1', 'node/n2', { seed: drawn.indexOf('BLACKHOLE') })).toContain('lost on a cable that loses frames')
  })

  it('a slow one delays each way once', () => {
    const asked = (network: Network): number => {
      const outcome = network.trace({ ...DEFAULT_REQUEST, source: 'node/n1', destination: 'node/n2' })
      return isOutcome(outcome) ? (outcome.answer?.timeNs ?? 0) : 0
    }
    const slow = networkAt(book, withNodes(state, { n2: { cable: { cut: false, loss: 0, delayNs: 7e6 } } }))
    expect(asked(slow) - asked(networkAt(book, state))).toBe(14e6)
  })
})

describe('MTU', () => {
  const { book, state } = momentsOf(clusterOf(flannel()))
  const large = { df: true, size: 1400, proto: 'icmp' as const }

  it('a segment’s: its switch loses what is larger, cards and tunnels stay as they are', () => {
    const network = networkAt(book, { ...state, underlay: { ...state.underlay, mtus: new Map([['left', 1400]]) } })
    expect(ask(network, 'pod/a', 'pod/b', large)).toBe('BLACKHOLE')
    expect(ask(network, 'pod/a', 'pod/b', { ...large, size: 1350 })).toBe('DELIVERED')
    expect(network.dataplane('router/core')?.devices.map(({ mtu }) => mtu)).toEqual([65536, 1500, 1500])
  })

  it('a card’s: flanneld keeps the tunnel’s that it found at its start, so that outer packets are fragmented', () => {
    const network = networkAt(book, withNodes(state, { n1: { mtu: 1400 } }))
    const mtus = Object.fromEntries((network.dataplane('n1')?.devices ?? []).map(({ name, mtu }) => [name, mtu]))
    expect([mtus.eth0, mtus['flannel.1']]).toEqual([1400, 1450])
    expect(ask(network, 'pod/a', 'pod/b', large)).toBe('DELIVERED')
    expect(
      [lastWords(network, 'pod/a', 'pod/b', large), lastWords(networkAt(book, state), 'pod/a', 'pod/b', large)].map((text) => /fragment/i.test(text)),
    ).toEqual([true, false])
  })

  it('a card’s under Calico: the tunnel has what Felix found at its last start', () => {
    const moments = momentsOf(clusterOf(calico()))
    const vxlan = (felixMtu: number | undefined): number | undefined => {
      const change = felixMtu === undefined ? { mtu: 1400 } : { mtu: 1400, felixMtu }
      return networkAt(moments.book, withNodes(moments.state, { n1: change }))
        .dataplane('n1')
        ?.devices.find(({ kind }) => kind === 'vxlan')?.mtu
    }
    expect([vxlan(undefined), vxlan(1400)]).toEqual([1450, 1350])
  })
})

describe('rules of a router', () => {
  it('are added to those it has', () => {
    const { book, state } = momentsOf(clusterOf(flannel()))
    const text = 'iptables -A FORWARD -p udp --dport 8472 -j DROP'
    const network = networkAt(book, { ...state, underlay: { ...state.underlay, firewalls: new Map([['core', [{ text, file: 's.yaml', line: 7 }]]]) } })
    expect([ask(network, 'pod/a', 'pod/b'), ask(network, 'pod/a', 'pod/c'), ask(network, 'node/n1', 'node/n3')]).toEqual(['DELIVERED', 'DENIED', 'DELIVERED'])
  })
})

describe('kube-proxy', () => {
  const web = pod('web', 'n2', '10.244.2.9')
  const moved = pod('web', 'n3', '10.244.3.9')
  const others = pod('a', 'n1', '10.244.1.2') + pod('b', 'n2', '10.244.2.2')
  const { book, state } = momentsOf(clusterOf(flannel({ pods: others + web, more: SERVICE })), clusterOf(flannel({ pods: others + moved, more: SERVICE })))
  const half = withNodes(state, { n2: { pods: 1, kubeProxy: 1 }, n3: { pods: 1, kubeProxy: 1 } }, { version: 1 })

  it('of one node knows the old endpoint, of the other the new one', () => {
    const network = networkAt(book, half)
    expect(printIptablesSave(network.dataplane('n1')?.iptables ?? { tables: [] })).toContain('10.244.2.9:80')
    expect(printIptablesSave(network.dataplane('n2')?.iptables ?? { tables: [] })).toContain('10.244.3.9:80')
    expect(ask(network, 'pod/b', '10.96.0.10:80')).toBe('DELIVERED')
    expect(ask(network, 'pod/a', '10.96.0.10:80')).not.toBe('DELIVERED')
    expect(ask(networkAt(book, withNodes(half, { n1: { kubeProxy: 1 } })), 'pod/a', '10.96.0.10:80')).toBe('DELIVERED')
  })

  it('a pod runs where its node has plugged it in, whatever the API says', () => {
    const network = networkAt(book, withNodes(state, {}, { version: 1 }))
    expect(network.podPlan('default', 'web')?.pod.node).toBe('n2')
    expect(networkAt(book, half).podPlan('default', 'web')?.pod.node).toBe('n3')
    const both = networkAt(book, withNodes(state, { n3: { pods: 1 } }, { version: 1 }))
    expect(both.podPlan('default', 'web')?.pod.node).toBe('n3')
    expect(ask(both, 'pod/a', 'pod/web:80')).toBe('DELIVERED')
  })

  it('that never ran has written nothing', () => {
    const network = networkAt(book, withNodes(state, { n1: { kubeProxy: NONE_SINCE_BOOT } }))
    expect(printIptablesSave(network.dataplane('n1')?.iptables ?? { tables: [] })).not.toContain('KUBE-SERVICES')
  })
})

describe('Felix', () => {
  const { book, state } = momentsOf(
    clusterOf(calico()),
    clusterOf(calico({ more: DENY })),
    clusterOf(calico({ pods: pod('a', 'n1', '10.0.1.2') + pod('b', 'n2', '10.0.2.2') + pod('late', 'n2', '10.0.2.3') })),
  )

  it('a policy holds where Felix has heard of it', () => {
    const network = networkAt(book, withNodes(state, { n2: { felix: 1 } }, { version: 1 }))
    expect(ask(network, 'pod/a', 'pod/b:80')).toBe('DENIED')
    expect(ask(network, 'pod/b', 'pod/a:80')).toBe('DELIVERED')
  })

  it('a pod that it has not heard of is plugged in, in no chain, and what comes for it is lost', () => {
    const network = networkAt(book, withNodes(state, { n2: { pods: 2 } }, { version: 2 }))
    const late = network.podPlan('default', 'late')
    const device = network.dataplane('n2')?.devices.find((one) => one.kind === 'veth' && one.peer.netns === 'default/late')
    expect(late?.dataplane.devices.length).toBe(2)
    expect(network.dataplane('n2')?.routes.some((route) => route.device === device?.name)).toBe(true)
    expect(printIptablesSave(network.dataplane('n2')?.iptables ?? { tables: [] })).not.toContain(device?.name)
    expect(ask(network, 'pod/a', 'pod/late:80')).toBe('DENIED')
    expect(ask(networkAt(book, withNodes(state, { n2: { pods: 2, felix: 2 } }, { version: 2 })), 'pod/a', 'pod/late:80')).toBe('DELIVERED')
  })

  it('since a boot: no chain, no tunnel, pods as the CNI plugin left them', () => {
    const network = networkAt(book, withNodes(state, { n2: { felix: NONE_SINCE_BOOT } }))
    expect(printIptablesSave(network.dataplane('n2')?.iptables ?? { tables: [] })).not.toContain('cali-')
    expect(network.dataplane('n2')?.devices.map(({ kind }) => kind)).toEqual(['loopback', 'nic', 'veth'])
    expect(ask(network, 'pod/b', 'node/n2')).toBe('DELIVERED')
  })

  it('the same versions mixed and unmixed are one', () => {
    const again = momentsOf(clusterOf(calico()), clusterOf(calico()))
    const mixed = networkAt(again.book, withNodes(again.state, { n1: { felix: 1 }, n2: { pods: 1 } }, { version: 1 }))
    for (const [netns, dataplane] of again.steady.dataplanes) expect(mixed.dataplanes.get(netns)).toEqual(dataplane)
  })
})
