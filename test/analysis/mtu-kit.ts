/** Two hosts and whatever lies between them, and reports about it. */
import { formatProblem } from '../../src/base/problem.js'
import type { DirectionDocument, MtuReport } from '../../src/analysis/mtu-document.js'
import { mtuReport } from '../../src/analysis/mtu-report.js'
import type { Network } from '../../src/network/network.js'
import { DEFAULT_REQUEST, type TraceRequest } from '../../src/network/request.js'
import { answer, networkOf } from '../kit/network.js'

export interface Site {
  readonly backend: string
  readonly options?: Readonly<Record<string, unknown>>
  /** MTU of the hosts' cards; absent: that of their segment. */
  readonly cards?: readonly [number, number]
  readonly underlay?: Readonly<Record<string, unknown>>
  readonly hosts?: readonly Readonly<Record<string, unknown>>[]
  readonly version?: string
}

/** One segment. */
export function oneSegment(mtu: number): Record<string, unknown> {
  return { segments: [{ name: 's0', cidr: '192.168.0.0/16', mtu }] }
}

/** A link between two routers that carries `mtu`; `filter`: the first router drops what it says of it. */
export function wan(
  mtu: number,
  { filter = [], outer = 1500 }: { readonly filter?: readonly string[]; readonly outer?: number } = {},
): Record<string, unknown> {
  return {
    segments: [
      { name: 's0', cidr: '192.168.10.0/24', router: '192.168.10.254', mtu: outer },
      { name: 'wan', cidr: '192.168.100.0/24', mtu },
      { name: 's1', cidr: '192.168.20.0/24', router: '192.168.20.254', mtu: outer },
    ],
    routers: [
      { name: 'r0', segments: ['s0', 'wan'], addresses: { wan: '192.168.100.1' }, routes: ['192.168.20.0/24 via 192.168.100.2'], iptables: filter },
      { name: 'r1', segments: ['wan', 's1'], addresses: { wan: '192.168.100.2' }, routes: ['192.168.10.0/24 via 192.168.100.1'] },
    ],
  }
}

export const SILENT = ['-A OUTPUT -p icmp --icmp-type fragmentation-needed -j DROP']

/** client on node-1, its neighbour on the same, server on node-2. */
export function siteText({ backend, options = {}, cards, underlay = oneSegment(1500), hosts = [], version = '0.28.9' }: Site): string {
  const node = (name: string, address: string, index: 0 | 1): object => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, annotations: cards === undefined ? {} : { 'netsim/mtu': String(cards[index]) } },
    spec: { podCIDR: `10.244.${index + 1}.0/24` },
    status: { addresses: [{ type: 'InternalIP', address }] },
  })
  const pod = (name: string, nodeName: string): object => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { nodeName } })
  const config = JSON.stringify({ Network: '10.244.0.0/16', Backend: { Type: backend, ...options } })
  const documents = [
    node('node-1', '192.168.10.11', 0),
    node('node-2', '192.168.20.12', 1),
    pod('client', 'node-1'),
    pod('neighbour', 'node-1'),
    pod('server', 'node-2'),
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'kube-flannel-cfg', namespace: 'kube-flannel' }, data: { 'net-conf.json': config } },
    {
      apiVersion: 'netsim/v1',
      kind: 'Network',
      metadata: { name: 'default' },
      spec: { kubeProxy: { mode: 'none' }, flannel: { version, ipMasq: true }, underlay, hosts },
    },
  ]
  return documents.map((document) => JSON.stringify(document)).join('\n---\n')
}

export function siteOf(site: Site): Network {
  return networkOf(siteText(site))
}

export function report(network: Network, source: string, destination: string, request: Partial<TraceRequest> = {}): MtuReport {
  const told = mtuReport(network, { ...DEFAULT_REQUEST, source, destination, ...request })
  if (!('kind' in told)) throw new Error(told.map(formatProblem).join('\n'))
  return told
}

/** One trace, not the report's way of asking: does a packet of that size with DF arrive, and in one piece? */
export function passesWhole(network: Network, source: string, destination: string, request: Partial<TraceRequest>): boolean {
  const { document } = answer(network, source, destination, { df: true, ...request })
  return document.forward.disposition === 'DELIVERED' && document.forward.hops.every(({ steps }) => steps.every(({ kind }) => kind !== 'fragment'))
}

/** `1351-1450 FRAGMENTED`. */
export function bandsIn({ above }: DirectionDocument): string[] {
  return above.map(({ from, to, outcome }) => `${from}-${to} ${outcome}`)
}
