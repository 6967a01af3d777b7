/**
 * A name → an address, as the C library of a process looks it up: /etc/hosts first, then one query after another along the search list. Source:
 * glibc resolv/res_query.c (__res_context_search), nss files before dns. musl differs: it stops at the first name that exists, with or without
 * an address, and does not search at all for a name with ndots dots or more.
 */
import { dnsNameFault, type DnsRecord } from '../../base/dns-record.js'
import { formatIp, parseIp, type Ip } from '../../base/ip.js'
import type { ClusterPod } from '../pod.js'
import { nodeResolver, podResolver, type HostsLine, type Resolver } from './resolver.js'
import type { DnsWorld } from './dns-world.js'
import { answer, outside, type DnsReply, type QueryType, type Reason } from './records.js'

/** One query and what came of it. */
export interface Attempt extends DnsReply {
  /** Absolute, without the last dot. */
  readonly name: string
  readonly type: QueryType
  /** Where it is sent; absent: the node's own resolver, which is not in the input. */
  readonly server?: Ip
}

export interface Resolution {
  /** As asked. */
  readonly name: string
  readonly resolver: Resolver
  /** literal: it was an address. files: /etc/hosts has it. outside: only the world outside knows. none: no such name, or no address. */
  readonly outcome: 'literal' | 'files' | 'found' | 'outside' | 'none'
  /** In the order made; the last is the one that decided. */
  readonly queries: readonly Attempt[]
  /** The first of `addresses`: what a client connects to. */
  readonly address?: Ip
  readonly addresses: readonly Ip[]
  /** Where the CNAMEs of the answer lead; absent: it has none. */
  readonly cname?: string
  /** Of the deciding answer; the file of /etc/hosts in its place. */
  readonly why: readonly Reason[]
}

/** In whose place a name is looked up: a pod, or a process outside pods. */
export interface Asker {
  readonly pod?: ClusterPod
  /** Of the pod, where IPAM has given it one. */
  readonly address?: Ip
}

export function resolve(world: DnsWorld, from: Asker, name: string): Resolution {
  const resolver = from.pod === undefined ? nodeResolver(world.settings) : podResolver(world.settings, from.pod, from.address)
  const start = { name, resolver, queries: [], addresses: [], why: [] }
  const literal = parseIp(name)
  if (literal !== undefined) return { ...start, outcome: 'literal', address: literal, addresses: [literal] }
  const fault = dnsNameFault(name)
  if (fault !== undefined) return { ...start, outcome: 'none', why: [{ object: '', text: `${fault.what}. ${fault.fix}`, file: '', line: 0 }] }
  const line = inHosts(resolver.hosts, name)
  if (line !== undefined) {
    const { address, file, line: at } = line
    return { ...start, outcome: 'files', address, addresses: [address], why: [{ object: '', text: '/etc/hosts', file, line: at }] }
  }
  const queries: Attempt[] = []
  for (const candidate of candidatesOf(name, resolver)) {
    const attempt = ask(world, resolver, candidate)
    queries.push(attempt)
    const addresses = attempt.records.flatMap((record) => (record.type === 'A' ? record.address : []))
    const cname = lastCname(attempt.records)
    const found = { name, resolver, queries, addresses, ...(cname === undefined ? {} : { cname }), why: attempt.why }
    if (addresses.length > 0) return { ...found, outcome: 'found', address: addresses[0] }
    if (attempt.rcode === 'unknown') return { ...found, outcome: 'outside', why: [...hintOf(name, queries), ...attempt.why] }
    // glibc goes on after NXDOMAIN, after no data, and after SERVFAIL
  }
  return { ...start, queries, outcome: 'none', why: hintOf(name, queries) }
}

/** The names to ask for, in order (res_query.c): the name itself comes first if it has ndots dots or ends with one, else last. */
export function candidatesOf(name: string, { ndots, searches }: Pick<Resolver, 'ndots' | 'searches'>): string[] {
  if (name.endsWith('.')) return [name.slice(0, -1)]
  const dots = name.split('.').length - 1
  const searched = searches.map((domain) => (domain === '.' || domain === '' ? name : `${name}.${domain.replace(/\.$/, '')}`))
  const all = dots >= ndots ? [name, ...searched] : [...searched, name]
  return [...new Set(all)].filter((candidate) => dnsNameFault(candidate) === undefined)
}

function inHosts(hosts: readonly HostsLine[], name: string): HostsLine | undefined {
  const lower = name.toLowerCase().replace(/\.$/, '')
  return hosts.find(({ names }) => names.some((one) => one.toLowerCase() === lower))
}

function ask(world: DnsWorld, resolver: Resolver, name: string): Attempt {
  const question = { name, type: 'A' } as const
  const [server] = resolver.nameservers
  if (!resolver.known || server === undefined) return { ...question, ...outside(world, question) }
  return { ...question, server, ...replyOf(world, server, question) }
}

/** By the server at an address: the cluster's, or one of the world outside. */
function replyOf(world: DnsWorld, server: Ip, question: { readonly name: string; readonly type: QueryType }): DnsReply {
  return isClusterDns(world, server) ? answer(world, question) : outside(world, question, { forward: [formatIp(server)] })
}

/** The Service's address, what kubelets tell pods, and the DNS server's own pods. */
export function isClusterDns({ settings, services }: DnsWorld, server: Ip): boolean {
  const { service, clusterDNS } = settings
  if (clusterDNS.includes(server)) return true
  if (service === undefined) return false
  const endpoints = services.get(`${service.name}.${service.namespace}`.toLowerCase())
  return service.clusterIP === server || endpoints?.addresses.some(({ address }) => address === server) === true
}

function lastCname(records: readonly DnsRecord[]): string | undefined {
  return records.flatMap((record) => (record.type === 'CNAME' ? record.target : [])).at(-1)
}

/**
 * What the cluster says of a name that it lacks, where the name was meant for it: the first answer that names an object. The namespace of the
 * asker itself says nothing of a name with dots: www.example.com too is asked there first.
 */
function hintOf(name: string, queries: readonly Attempt[]): readonly Reason[] {
  const dotted = name.replace(/\.$/, '').includes('.')
  const speaks = ({ why, rcode }: Attempt, index: number): boolean =>
    rcode !== 'unknown' && why.some(({ object }) => object !== '' && !(dotted && index === 0 && object.startsWith('Namespace/')))
  const spoken = queries.find(speaks) ?? (queries.some(({ rcode }) => rcode === 'unknown') ? undefined : queries[0])
  return spoken?.why ?? []
}
