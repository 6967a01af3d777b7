/**
 * What changed in a netns between two moments: two Dataplanes → lines that are gone and lines that are new, in the words of ip, wg, bridge, sysctl, ipset,
 * iptables and ss. Where the order in the kernel means nothing another order is no change; in a chain of iptables it is one.
 */
import { formatCidr } from '../../base/cidr.js'
import { commonRun } from '../../base/common-run.js'
import { formatIp } from '../../base/ip.js'
import { printFdb } from '../../dataplane/bridge-fdb.js'
import type { Dataplane, DeviceSpec, Provenance } from '../../dataplane/dataplane.js'
import { printAddresses } from '../../dataplane/ip-address.js'
import { printNeighbours } from '../../dataplane/ip-neigh.js'
import { printRoute } from '../../dataplane/ip-route.js'
import { printRules } from '../../dataplane/ip-rule.js'
import { printIpsets } from '../../dataplane/ipset-save.js'
import type { Chain, TableName } from '../../dataplane/iptables.js'
import { printSavedRule } from '../../dataplane/iptables-save.js'
import { printSysctls } from '../../dataplane/sysctl.js'

export type KernelChangeKind =
  'power' | 'device' | 'address' | 'peer' | 'route' | 'routing rule' | 'neighbour' | 'fdb' | 'sysctl' | 'ipset' | 'iptables' | 'socket'

export interface KernelChange {
  readonly netns: string
  readonly kind: KernelChangeKind
  /** -: it was there. */
  readonly sign: '+' | '-'
  /** `10.1.53.0/24 via 10.1.53.0 dev flannel.1 onlink`, `-t nat -A KUBE-SERVICES …`. */
  readonly text: string
  /** Of a rule of iptables: its number in its chain, from 1, before or after. */
  readonly place?: number
  readonly provenance?: Provenance
}

/** One line of a netns. */
export interface KernelLine {
  readonly kind: KernelChangeKind
  readonly text: string
  readonly place?: number
  readonly provenance?: Provenance
}

/** `+ 10.1.53.0/24 via …` */
export function changeText({ sign, text }: Pick<KernelChange, 'sign' | 'text'>): string {
  return `${sign} ${text}`
}

/** In the order in which the parts depend on one another; of each part what is gone first. @param before undefined: the netns was not there */
export function dataplaneChanges(before: Dataplane | undefined, after: Dataplane | undefined): readonly KernelChange[] {
  const netns = (after ?? before)?.netns ?? ''
  if (before === after) return []
  const changes: KernelChange[] = []
  const add = (sign: '+' | '-', lines: readonly KernelLine[]): void => {
    for (const line of lines) changes.push({ netns, sign, ...line })
  }
  for (const part of PARTS) {
    if (before !== undefined && after !== undefined && part.same(before, after)) continue
    const [was, is] = [before, after].map((dataplane) => (dataplane === undefined ? [] : part.lines(dataplane)))
    add('-', without(was, is))
    add('+', without(is, was))
  }
  for (const { gone, fresh } of chainDifferences(before, after)) {
    add('-', gone)
    add('+', fresh)
  }
  return changes
}

/** All of a netns, each line once for each time that it is there. */
export function kernelLines(dataplane: Dataplane): readonly KernelLine[] {
  const tables = dataplane.iptables.tables.flatMap(({ name, chains }) => chains.flatMap((chain) => [...headOf(name, chain), ...rulesOf(name, chain)]))
  return [...PARTS.flatMap(({ lines }) => lines(dataplane)), ...tables]
}

interface Part {
  readonly same: (before: Dataplane, after: Dataplane) => boolean
  readonly lines: (dataplane: Dataplane) => readonly KernelLine[]
}

function part(keys: readonly (keyof Dataplane)[], lines: Part['lines']): Part {
  return { same: (before, after) => keys.every((key) => before[key] === after[key]), lines }
}

const PARTS: readonly Part[] = [
  part(['devices'], ({ devices }) => deviceLines(devices)),
  part(['rules'], ({ rules }) => textLines('routing rule', printRules(rules))),
  part(['routes'], ({ routes }) =>
    routes.map((route) => ({ kind: 'route', text: oneLine(printRoute(route, { showTable: true })), ...from(route.provenance) })),
  ),
  part(['neighbours'], ({ neighbours }) =>
    neighbours.map((entry) => ({
      kind: 'neighbour',
      text: oneLine(printNeighbours([entry], { all: true, proxy: entry.proxy === true })),
      ...from(entry.provenance),
    })),
  ),
  part(['fdb'], ({ fdb }) => fdb.map((entry) => ({ kind: 'fdb', text: oneLine(printFdb([entry])), ...from(entry.provenance) }))),
  part(['sysctls'], ({ sysctls }) => textLines('sysctl', printSysctls(sysctls))),
  part(['ipsets'], ({ ipsets }) => textLines('ipset', printIpsets(ipsets))),
  part(['sockets'], ({ sockets }) =>
    sockets.map(({ proto, address, port, portEnd, provenance }) => ({
      kind: 'socket',
      text: `${proto} ${proto === 'udp' ? 'UNCONN' : 'LISTEN'} ${formatIp(address)}:${port}${portEnd === undefined ? '' : `-${portEnd}`}`,
      ...from(provenance),
    })),
  ),
]

function from(provenance: Provenance | undefined): { readonly provenance?: Provenance } {
  return provenance === undefined ? {} : { provenance }
}

function textLines(kind: KernelChangeKind, text: string): KernelLine[] {
  return text.split('\n').flatMap((line) => (line.trim() === '' ? [] : [{ kind, text: oneLine(line) }]))
}

/** What a tool prints over several lines (the next hops of a route), in one. */
function oneLine(text: string): string {
  return text.trim().replace(/\s+/g, ' ')
}

/** As `ip -o link` and `ip -o addr`, without the numbers of the devices: one that comes or goes renames no other. */
function deviceLines(devices: readonly DeviceSpec[]): KernelLine[] {
  const blocks = printAddresses(devices).split(/^(?=\d+: )/m)
  return devices.flatMap((device, at) => {
    const [head, link, ...rest] = blocks[at].split('\n')
    const origin = from(device.provenance)
    const addresses = rest.filter((line) => line.trim().startsWith('inet '))
    return [
      { kind: 'device', text: oneLine(`${head.replace(/^\d+: /, '')} ${link}${kindOf(device)}`), ...origin },
      ...addresses.map((line): KernelLine => ({ kind: 'address', text: oneLine(line), ...origin })),
      ...peersOf(device).map((text): KernelLine => ({ kind: 'peer', text, ...origin })),
    ]
  })
}

/** As `ip -d link` goes on. */
function kindOf(device: DeviceSpec): string {
  if (device.kind === 'ipip') return ` ipip remote ${device.remote === undefined ? 'any' : formatIp(device.remote)}`
  if (device.kind !== 'vxlan') return ''
  const { vni, local, link, port, learning } = device
  const ends = `${local === undefined ? '' : ` local ${formatIp(local)}`}${link === undefined ? '' : ` dev ${link}`}`
  return ` vxlan id ${vni}${ends} dstport ${port}${learning ? '' : ' nolearning'}`
}

/** As `wg set` takes them. */
function peersOf(device: DeviceSpec): string[] {
  if (device.kind !== 'wireguard') return []
  return device.peers.map(({ publicKey, endpoint, allowedIps }) => {
    const at = endpoint === undefined ? '' : ` endpoint ${formatIp(endpoint.address)}:${endpoint.port}`
    return `${device.name} peer ${publicKey}${at} allowed-ips ${allowedIps.map(formatCidr).join(',')}`
  })
}

/** Lines that `others` has not, or not so often. */
function without(lines: readonly KernelLine[], others: readonly KernelLine[]): KernelLine[] {
  const counts = new Map<string, number>()
  const key = ({ kind, text }: KernelLine): string => `${kind} ${text}`
  for (const line of others) counts.set(key(line), (counts.get(key(line)) ?? 0) + 1)
  return lines.filter((line) => {
    const left = counts.get(key(line)) ?? 0
    if (left > 0) counts.set(key(line), left - 1)
    return left === 0
  })
}

interface Difference {
  readonly gone: readonly KernelLine[]
  readonly fresh: readonly KernelLine[]
}

function* chainDifferences(before: Dataplane | undefined, after: Dataplane | undefined): Generator<Difference> {
  if (before !== undefined && before.iptables === after?.iptables) return
  const [was, is] = [chainsOf(before), chainsOf(after)]
  for (const key of new Set([...was.keys(), ...is.keys()])) {
    const [old, now] = [was.get(key), is.get(key)]
    if (old?.chain === now?.chain) continue
    const heads = [old, now].map((one) => (one === undefined ? [] : headOf(one.table, one.chain)))
    const rules = [old, now].map((one) => (one === undefined ? [] : rulesOf(one.table, one.chain)))
    const { gone, fresh } = inOrder(rules[0], rules[1])
    yield { gone: [...without(heads[0], heads[1]), ...gone], fresh: [...without(heads[1], heads[0]), ...fresh] }
  }
}

interface ChainOf {
  readonly table: TableName
  readonly chain: Chain
}

function chainsOf(dataplane: Dataplane | undefined): ReadonlyMap<string, ChainOf> {
  return new Map(
    dataplane?.iptables.tables.flatMap(({ name, chains }) => chains.map((chain): [string, ChainOf] => [`${name} ${chain.name}`, { table: name, chain }])) ?? [],
  )
}

function headOf(table: TableName, { name, policy }: Chain): KernelLine[] {
  return [{ kind: 'iptables', text: policy === undefined ? `-t ${table} -N ${name}` : `-t ${table} -P ${name} ${policy}` }]
}

function rulesOf(table: TableName, { name, rules }: Chain): KernelLine[] {
  return rules.map((rule, at) => ({ kind: 'iptables', text: `-t ${table} ${printSavedRule(name, rule)}`, place: at + 1, ...from(rule.provenance) }))
}

/** Two lists whose order counts: what is left out of the longest run of lines that both have in one order. */
function inOrder(was: readonly KernelLine[], is: readonly KernelLine[]): Difference {
  const kept = commonRun(
    was.map(({ text }) => text),
    is.map(({ text }) => text),
  )
  const [keptWas, keptIs] = [new Set(kept.map(([from]) => from)), new Set(kept.map(([, to]) => to))]
  return { gone: was.filter((_, at) => !keptWas.has(at)), fresh: is.filter((_, at) => !keptIs.has(at)) }
}
