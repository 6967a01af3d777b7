/** IP sets: those that agents fill against what is there. A set whose name another version makes otherwise is known by its type and its members. */
import type { Dataplane } from '../../dataplane/dataplane.js'
import type { IpSet, IpSetMember } from '../../dataplane/ipset.js'
import type { Difference, DriftView, Focus } from './difference.js'
import { repairOf } from './repair.js'
import { shown } from './shown.js'
import { parseIp } from '../../base/ip.js'
import { cidr } from '../../base/cidr.js'
import { mend, wordsOf } from './shell-words.js'

/** Felix makes a set anew under one of these names and swaps it in. */
const TEMPORARY = /^cali[46]t/

const SHOWN = 8

export function ipsetDifferences(view: DriftView, alias: (name: string) => string | undefined): Difference[] {
  const there = new Map(view.there.ipsets.map((set) => [set.name, set]))
  return view.expected.ipsets.flatMap((set) => {
    if (TEMPORARY.test(set.name)) return []
    const other = there.get(set.name) ?? there.get(alias(set.name) ?? '')
    return other === undefined ? [missingSet(view, set)] : memberDifferences(view, set, other)
  })
}

/** Set names of the dump for those of the expected Dataplane that it does not have. */
export function setAliases(expected: Pick<Dataplane, 'ipsets'>, there: Pick<Dataplane, 'ipsets'>): ReadonlyMap<string, string> {
  const names = new Set(there.ipsets.map(({ name }) => name))
  const wanted = new Set(expected.ipsets.map(({ name }) => name))
  const free = there.ipsets.filter(({ name }) => !wanted.has(name) && !TEMPORARY.test(name))
  const found = new Map<string, string>()
  for (const set of expected.ipsets) {
    if (names.has(set.name)) continue
    const same = free.filter((other) => family(other.name) === family(set.name) && meaning(other) === meaning(set) && ![...found.values()].includes(other.name))
    if (same.length === 1) found.set(set.name, same[0].name)
  }
  return found
}

/** `cali40s:` of `cali40s:1WhjnUGRcOsRUvwnDIXn1TA`. */
function family(name: string): string {
  return /^cali[46]0[a-z]?:/.exec(name)?.[0] ?? name
}

function memberKey({ element, nomatch }: IpSetMember): string {
  return `${element.replace(/\/32(?=,|$)/g, '')}${nomatch === true ? ' nomatch' : ''}`
}

function meaning({ type, members }: IpSet): string {
  return `${type} ${members.map(memberKey).sort().join(' ')}`
}

function byOf(set: IpSet): string {
  return set.name.startsWith('cali') || set.name.startsWith('felix') ? 'felix' : set.name.startsWith('KUBE-') ? 'kube-proxy' : 'portmap'
}

function missingSet(view: DriftView, set: IpSet): Difference {
  const by = byOf(set)
  return {
    code: 'ND601',
    cause: `set ${set.name}`,
    what: `the set ${set.name} is missing`,
    expected: [shown(`create ${set.name} ${set.type} ${set.options}`, { by })],
    there: [],
    // a rule cannot name a set that is not there: the kernel refuses it
    apply: (dataplane) => ({ ...withoutRulesOf(dataplane, set.name), ipsets: dataplane.ipsets.filter(({ name }) => name !== set.name) }),
    focus: focusOf(view, set, set.members),
    commands: [mend`ipset create ${set.name} ${set.type} ${wordsOf(set.options)}`, ...adding(set, set.members)],
    repair: repairOf(by, 'ipset'),
  }
}

function withoutRulesOf(dataplane: Dataplane, set: string): Dataplane {
  const tables = dataplane.iptables.tables.map((table) => ({
    ...table,
    chains: table.chains.map((chain) => ({
      ...chain,
      rules: chain.rules.filter(({ matches }) => !matches.some((match) => match.kind === 'set' && match.set === set)),
    })),
  }))
  return { ...dataplane, iptables: { tables } }
}

function memberDifferences(view: DriftView, set: IpSet, other: IpSet): Difference[] {
  const [wanted, has] = [new Set(set.members.map(memberKey)), new Set(other.members.map(memberKey))]
  const missing = set.members.filter((member) => !has.has(memberKey(member)))
  const extra = other.members.filter((member) => !wanted.has(memberKey(member)))
  const by = byOf(set)
  const lines = (members: readonly IpSetMember[]): string[] => members.slice(0, SHOWN).map(({ element }) => `add ${other.name} ${element}`)
  const rest = (members: readonly IpSetMember[]): string => (members.length > SHOWN ? ` … ${members.length - SHOWN} more` : '')
  const names = (members: readonly IpSetMember[]): string =>
    `${members
      .slice(0, SHOWN)
      .map(({ element }) => element)
      .join(', ')}${rest(members)}`
  const changing =
    (change: (members: readonly IpSetMember[]) => readonly IpSetMember[]) =>
    (dataplane: Dataplane): Dataplane => ({
      ...dataplane,
      ipsets: dataplane.ipsets.map((one) => (one.name === set.name ? { ...one, members: change(one.members) } : one)),
    })
  const found: Difference[] = []
  if (missing.length > 0) {
    const empty = other.members.length === 0
    found.push({
      code: empty ? 'ND602' : 'ND603',
      cause: `set ${set.name} missing`,
      what: empty
        ? `the set ${other.name} is empty: it should have ${set.members.length} ${set.members.length === 1 ? 'member' : 'members'}`
        : `the set ${other.name} lacks ${names(missing)}`,
      expected: lines(missing).map((text) => shown(text, { by })),
      there: [shown(`${other.name}: ${other.members.length} members`, other.provenance)],
      apply: changing((members) => members.filter((member) => has.has(memberKey(member)))),
      focus: focusOf(view, set, missing),
      commands: adding(other, missing),
      repair: repairOf(by, 'ipset'),
    })
  }
  if (extra.length > 0)
    found.push({
      code: 'ND604',
      cause: `set ${set.name} extra`,
      what: `the set ${other.name} has ${names(extra)} too many`,
      expected: [],
      there: extra.slice(0, SHOWN).map(({ element, provenance }) => shown(`add ${other.name} ${element}`, provenance)),
      apply: changing((members) => [...members, ...extra]),
      focus: focusOf(view, set, extra),
      commands: extra.map(({ element }) => mend`ipset del ${other.name} ${element}`),
      repair: repairOf(by, 'ipset'),
    })
  return found
}

function adding(set: IpSet, members: readonly IpSetMember[]): string[] {
  return members.map(({ element, nomatch }) => mend`ipset add ${[set.name, element, ...(nomatch === true ? ['nomatch'] : [])]}`)
}

/** Pods and nodes among the members; the pods whose chains ask the set. */
function focusOf(view: DriftView, set: IpSet, members: readonly IpSetMember[]): Focus {
  const { cluster } = view.network
  const addresses = members.flatMap(({ element }) => parseIp(element.split(/[,/]/)[0]) ?? [])
  const pods = addresses.flatMap((address) => cluster.podsByAddress.get(address) ?? []).map(({ namespace, name }) => `${namespace}/${name}`)
  const nodes = addresses.flatMap((address) => view.facts.nodeWithAddress(address) ?? view.facts.nodeBehind(cidr(address, 32)) ?? [])
  const ports = members.flatMap(({ element }) => {
    const match = /,(tcp|udp):(\d+)/.exec(element)
    return match === null ? [] : [{ proto: match[1] as 'tcp' | 'udp', port: Number(match[2]) }]
  })
  return {
    pods: [...new Set([...pods, ...askers(view, set.name)])].slice(0, 8),
    nodes: [...new Set(nodes)].filter((node) => node !== view.node).slice(0, 4),
    ports: ports.slice(0, 4),
  }
}

/** Pods of the node whose chains lead to a rule that asks the set. */
export function askers({ expected }: DriftView, set: string): readonly string[] {
  const chains = expected.iptables.tables.find(({ name }) => name === 'filter')?.chains ?? []
  const asks = new Set(
    chains.filter(({ rules }) => rules.some(({ matches }) => matches.some((match) => match.kind === 'set' && match.set === set))).map(({ name }) => name),
  )
  for (let grew = true; grew;) {
    grew = false
    for (const { name, rules } of chains) {
      if (asks.has(name) || !rules.some(({ target }) => (target?.kind === 'jump' || target?.kind === 'goto') && asks.has(target.chain))) continue
      asks.add(name)
      grew = true
    }
  }
  return expected.devices.flatMap((device) =>
    device.kind === 'veth' && [...asks].some((chain) => /^cali-(tw|fw)-/.test(chain) && chain.endsWith(device.name)) ? [device.peer.netns] : [],
  )
}
