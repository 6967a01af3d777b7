/** A node as netsim renders it, written as the script of `netsim collect` would find it, and read back: names of veths, MACs and indexes are others then. */
import { formatIp, type Ip } from '../../../src/base/ip.js'
import { formatCidr } from '../../../src/base/cidr.js'
import { readCollected } from '../../../src/collected/read-collected.js'
import type { CollectedFile, CollectedNode } from '../../../src/collected/collected-node.js'
import { COLLECT_FORMAT } from '../../../src/collected/collect-script.js'
import { printFdb } from '../../../src/dataplane/bridge-fdb.js'
import type { Dataplane, DeviceSpec } from '../../../src/dataplane/dataplane.js'
import { printAddresses } from '../../../src/dataplane/ip-address.js'
import { printNeighbours } from '../../../src/dataplane/ip-neigh.js'
import { printRoutes } from '../../../src/dataplane/ip-route.js'
import { DEFAULT_ROUTING_RULES, printRules } from '../../../src/dataplane/ip-rule.js'
import { printIpsets } from '../../../src/dataplane/ipset-save.js'
import { printIptablesSave } from '../../../src/dataplane/iptables-save.js'
import { printSysctls } from '../../../src/dataplane/sysctl.js'

export interface DumpedPod {
  readonly dataplane: Dataplane
}

export interface DumpOptions {
  /** More files, or others in their place; null: none of that name. */
  readonly files?: Readonly<Record<string, string | null>>
  /** The pods' own namespaces are looked into. */
  readonly pods?: boolean
}

export function dumpOf(node: Dataplane, pods: readonly DumpedPod[], options: DumpOptions = {}): CollectedNode {
  const written = [...dumpFiles(node, pods, options)].map(([path, text]): CollectedFile => ({ file: `${node.netns}.dump/${path}`, path, text }))
  const { node: read, problems } = readCollected(`${node.netns}.dump`, written)
  if (read === undefined || problems.length + read.problems.length > 0) throw new Error(JSON.stringify([problems, read?.problems]))
  return read
}

/** By path. */
export function dumpFiles(node: Dataplane, pods: readonly DumpedPod[], { files = {}, pods: looked = true }: DumpOptions): ReadonlyMap<string, string> {
  const numbers = new Map<string, number>()
  node.devices.forEach(({ name }, at) => numbers.set(`${node.netns} ${name}`, at + 1))
  pods.forEach(({ dataplane }, at) => dataplane.devices.forEach(({ name }, i) => numbers.set(`${dataplane.netns} ${name}`, 1000 + at * 10 + i)))
  const all: Record<string, string | null> = {
    manifest: `netsim-collect ${COLLECT_FORMAT}\nnode ${node.netns}\nkernel Linux 6.1.0\ntool iptables iptables v1.8.9 (nf_tables)\n`,
    ...under('node', node, numbers),
  }
  if (looked) {
    pods.forEach(({ dataplane }, at) => {
      Object.assign(all, under(`pods/${4026532000 + at}`, dataplane, numbers))
      all[`pods/${4026532000 + at}/about`] = `pod ${dataplane.netns}\n`
    })
  }
  return new Map(Object.entries({ ...all, ...files }).flatMap(([path, text]): [string, string][] => (text === null ? [] : [[path, text]])))
}

function under(folder: string, dataplane: Dataplane, numbers: ReadonlyMap<string, number>): Record<string, string> {
  const { devices, routes, rules, neighbours, fdb, sysctls, iptables, ipsets } = dataplane
  return {
    [`${folder}/addr`]: addresses(dataplane, numbers),
    [`${folder}/route`]: printRoutes(routes, { table: 'all' }),
    [`${folder}/rule`]: printRules(rules.length === 0 ? DEFAULT_ROUTING_RULES : rules),
    [`${folder}/neigh`]: printNeighbours(neighbours, { all: true }),
    [`${folder}/neigh-proxy`]: printNeighbours(neighbours, { proxy: true }),
    [`${folder}/fdb`]: printFdb(fdb),
    [`${folder}/sysctl`]: printSysctls(sysctls),
    [`${folder}/iptables-nft`]: printIptablesSave(iptables, { counters: true }),
    [`${folder}/ipset`]: printIpsets(ipsets),
    [`${folder}/wireguard`]: devices.map(wireguard).join(''),
  }
}

/** `ip -d addr show`. */
function addresses({ netns, devices }: Dataplane, numbers: ReadonlyMap<string, number>): string {
  const text = printAddresses(devices, {
    ifindex: ({ name }) => numbers.get(`${netns} ${name}`) ?? 0,
    peer: (device) => (device.kind === 'veth' ? `if${numbers.get(`${device.peer.netns} ${device.peer.device}`) ?? 9999}` : undefined),
  })
  const blocks = text.split(/^(?=\d+: )/m)
  return devices
    .map((device, at) => {
      const [head, link, ...rest] = blocks[at].split('\n')
      const details = detailsOf(device)
      return [
        head,
        `${link} promiscuity 0`,
        ...(details === '' ? [] : [`    ${details}`]),
        ...(device.master === undefined ? [] : [`    ${slave(device)}`]),
        ...rest,
      ].join('\n')
    })
    .join('')
}

function slave({ bridgePort = {} }: DeviceSpec): string {
  const flag = (word: string, on: boolean): string => `${word} ${on ? 'on' : 'off'}`
  const { hairpin = false, learning = true, flood = true, isolated = false } = bridgePort
  const flags = [flag('hairpin', hairpin), 'guard off', flag('learning', learning), flag('flood', flood), flag('isolated', isolated)]
  return `bridge_slave state forwarding priority 32 cost 2 ${flags.join(' ')}`
}

function addressOf(address: Ip | undefined): string {
  return address === undefined ? 'any' : formatIp(address)
}

function detailsOf(device: DeviceSpec): string {
  switch (device.kind) {
    case 'veth':
      return 'veth numtxqueues 2 numrxqueues 2'
    case 'bridge':
      return [
        `bridge forward_delay 1500 hello_time 200 ageing_time ${(device.ageing ?? 300) * 100}`,
        `vlan_filtering ${device.vlanFiltering === true ? 1 : 0} nf_call_iptables ${device.nfCallIptables === true ? 1 : 0}`,
      ].join(' ')
    case 'vxlan':
      return [
        `vxlan id ${device.vni}`,
        device.local === undefined ? '' : `local ${formatIp(device.local)}`,
        device.link === undefined ? '' : `dev ${device.link}`,
        `srcport 0 0 dstport ${device.port}`,
        device.learning ? '' : 'nolearning',
        `ttl ${device.ttl === 0 ? 'auto' : device.ttl} ageing 300`,
        device.gbp ? 'gbp' : '',
        device.udpChecksum ? 'udpcsum' : 'noudpcsum',
      ]
        .filter((word) => word !== '')
        .join(' ')
    case 'ipip':
      return `ipip remote ${addressOf(device.remote)} local ${addressOf(device.local)} ttl ${device.ttl} ${device.pmtudisc ? 'pmtudisc' : 'nopmtudisc'}`
    case 'tun':
      return 'tun type tun pi off vnet_hdr off persist off'
    case 'wireguard':
      return 'wireguard numtxqueues 1 numrxqueues 1'
    case 'dummy':
      return 'dummy numtxqueues 1'
    default:
      return 'numtxqueues 1 numrxqueues 1'
  }
}

/** `wg show all WORD` with the word in front, as the script writes it. */
function wireguard(device: DeviceSpec): string {
  if (device.kind !== 'wireguard') return ''
  const { name, publicKey, port, fwmark = 0, peers } = device
  const lines = [
    ['public-key', name, publicKey],
    ['listen-port', name, String(port)],
    ['fwmark', name, fwmark === 0 ? 'off' : `0x${fwmark.toString(16)}`],
    ...peers.map((peer) => ['peers', name, peer.publicKey]),
    ...peers.map((peer) => [
      'endpoints',
      name,
      peer.publicKey,
      peer.endpoint === undefined ? '(none)' : `${formatIp(peer.endpoint.address)}:${peer.endpoint.port}`,
    ]),
    ...peers.map((peer) => ['allowed-ips', name, peer.publicKey, peer.allowedIps.length === 0 ? '(none)' : peer.allowedIps.map(formatCidr).join(' ')]),
    ...peers.map((peer) => ['persistent-keepalive', name, peer.publicKey, peer.persistentKeepalive === 0 ? 'off' : String(peer.persistentKeepalive)]),
  ]
  return `${lines.map((line) => line.join('\t')).join('\n')}\n`
}
