/** `netsim show dns`: the records that the cluster's DNS holds, name by name, each with the object that it comes from; of one name what it answers. */
import { formatIp } from '../base/ip.js'
import { dnsNameFault, type DnsRecord } from '../base/dns-record.js'
import { answer, QUERY_TYPES, reverseName, type DnsReply, type QueryType } from '../cluster/dns/records.js'
import type { DnsWorld } from '../cluster/dns/dns-world.js'
import type { ServiceEndpoints } from '../cluster/services/service.js'
import { UsageError } from './exit.js'
import type { Loaded } from './load-network.js'
import type { Shown } from './show-command.js'
import type { Wanted } from './chosen.js'
import { table } from './table.js'

interface Line {
  readonly name: string
  readonly type: string
  readonly data: string
  readonly from?: string
}

/** @param wanted a name as it stands, without a search list @throws UsageError when it can be none */
export function showDns({ name }: Wanted, { network, cluster }: Loaded): Shown {
  const world = network.dns
  const lines = name === undefined ? allLines(world, network.services.endpoints, cluster.clusterDomain) : linesOf(world, name)
  const unique = [...new Map(lines.map((line) => [`${line.name} ${line.type} ${line.data}`, line])).values()]
  return {
    items: unique,
    text: table(
      ['NAME', 'TYPE', 'DATA', 'FROM'],
      unique.map((line) => [line.name, line.type, line.data, line.from]),
    ),
  }
}

function linesOf(world: DnsWorld, name: string): Line[] {
  const fault = dnsNameFault(name)
  if (fault !== undefined) throw new UsageError(`${fault.what}. ${fault.fix}`)
  const replies = QUERY_TYPES.map((type) => answer(world, { name, type }))
  const found = replies.flatMap((reply) => recordLines(reply))
  if (found.length > 0) return found
  const [{ rcode, why }] = replies
  return [{ name, type: 'A', data: rcode === 'NOERROR' ? 'no address' : rcode, from: why.map(({ text }) => text).join('; ') }]
}

/** Service by Service: its address or the pods', the names of its ports, those of its endpoints, and the way back. */
function allLines(world: DnsWorld, all: readonly ServiceEndpoints[], zone: string): Line[] {
  return all.flatMap(({ service, addresses }) => {
    const name = `${service.name}.${service.namespace}.svc.${zone}`
    const asked = (what: string, type: QueryType): DnsReply => answer(world, { name: what, type })
    const named = service.ports.flatMap((port) => (port.name === '' ? [] : [asked(`_${port.name}._${port.protocol.toLowerCase()}.${name}`, 'SRV')]))
    const targets = service.headless ? addresses.flatMap(({ hostname }) => (hostname === undefined ? [] : [asked(`${hostname}.${name}`, 'A')])) : []
    const owned = service.headless ? addresses.map((one) => one.address) : service.clusterIP === undefined ? [] : [service.clusterIP]
    const back = owned.map((address) => asked(reverseName(address), 'PTR'))
    return [asked(name, 'A'), ...targets, ...named, ...back].flatMap((reply) => recordLines(reply))
  })
}

function recordLines({ records, additional, why }: DnsReply): Line[] {
  const reasons = why.map(reasonText)
  const all = [...new Set(reasons)].join('; ')
  // one reason a record, in their order, wherever several objects answer
  const fromOf = (index: number): string => (reasons.length === records.length ? (reasons[index] ?? all) : all)
  const lineOf = (record: DnsRecord, index: number): Line => {
    const from = fromOf(index)
    return { name: record.name, type: record.type, data: dataOf(record), ...(from === '' ? {} : { from }) }
  }
  return [...records.map(lineOf), ...additional.map(lineOf)]
}

function reasonText({ object, text, file, line }: DnsReply['why'][number]): string {
  const what = object === '' ? text : `${object}${text.includes('assumed') ? ', assumed' : ''}`
  return file === '' ? what : `${what} (${file}:${line})`
}

/** As a zone file has it (RFC 1035 §5). */
function dataOf(record: DnsRecord): string {
  switch (record.type) {
    case 'A':
      return formatIp(record.address)
    case 'SRV':
      return `${record.priority} ${record.weight} ${record.port} ${record.target}`
    case 'TXT':
      return record.texts.map((text) => JSON.stringify(text)).join(' ')
    case 'SOA':
      return `${record.server} ${record.mailbox} ${record.serial}`
    case 'NS':
    case 'CNAME':
    case 'PTR':
      return record.target
  }
}
