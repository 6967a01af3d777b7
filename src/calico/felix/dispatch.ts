/**
 * From a kernel chain to an endpoint's chains, by interface name: one level of a prefix tree, gotos all the way, so that a RETURN in an
 * endpoint's chain goes back to whoever called the root. After felix/rules/dispatch.go.
 */
import { denyWord, type FelixConfig } from './config.js'
import type { EndpointMarks } from './marks.js'
import { ALL_INTERFACES, CHAIN, ENDPOINT_PREFIX, endpointChain } from './names.js'
import { act, m, type FelixChain, type FelixRule } from './rule.js'
import { compareText } from './static-tables.js'

/** Names that share their first character after what all share. */
interface Branch {
  readonly prefix: string
  readonly nextCharacter: string
  readonly names: readonly string[]
}

function commonPrefix(sorted: readonly string[]): string {
  if (sorted.length === 0) return ''
  const [first, last] = [sorted[0], sorted[sorted.length - 1]]
  let length = 0
  while (length < first.length && first[length] === last[length]) length++
  return first.slice(0, length)
}

function branchesOf(names: readonly string[]): readonly Branch[] {
  const sorted = [...new Set(names)].sort(compareText)
  const common = commonPrefix(sorted)
  const branches = new Map<string, string[]>()
  for (const name of sorted) {
    const prefix = name.slice(0, common.length + 1)
    const members = branches.get(prefix)
    if (members === undefined) branches.set(prefix, [name])
    else members.push(name)
  }
  return [...branches].map(([prefix, members]) => ({ prefix, nextCharacter: prefix.slice(common.length), names: members }))
}

interface Tree {
  readonly root: string
  readonly names: readonly string[]
  readonly interfaceMatch: (name: string) => string
  readonly target: (name: string) => string
  /** Repeated at the end of each child: a goto does not come back. */
  readonly endRules: readonly FelixRule[]
  /** Between the root's name and the character, in a child's name. */
  readonly infix?: string
}

interface RenderedTree {
  readonly children: readonly FelixChain[]
  readonly rules: readonly FelixRule[]
}

function renderTree({ root, names, interfaceMatch, target, endRules, infix = '' }: Tree): RenderedTree {
  const children: FelixChain[] = []
  const rules: FelixRule[] = []
  const toEndpoint = (name: string): FelixRule => ({ match: [interfaceMatch(name)], action: act.goto(target(name)) })
  for (const branch of branchesOf(names)) {
    if (branch.names.length === 1) {
      rules.push(toEndpoint(branch.names[0]))
      continue
    }
    const child = `${root}${infix}-${branch.nextCharacter}`
    rules.push({ match: [interfaceMatch(`${branch.prefix}+`)], action: act.goto(child) })
    children.push({ name: child, rules: [...branch.names.map(toEndpoint), ...endRules] })
  }
  return { children, rules: [...rules, ...endRules] }
}

interface Roots {
  readonly from: { readonly chain: string; readonly prefix: string; readonly endRules: readonly FelixRule[] }
  readonly to: { readonly chain: string; readonly prefix: string; readonly endRules: readonly FelixRule[] }
}

function dispatchOne(names: readonly string[], { chain, prefix, endRules }: Roots['from'], interfaceMatch: (name: string) => string): readonly FelixChain[] {
  const tree = renderTree({ root: chain, names, interfaceMatch, target: (name) => endpointChain(prefix, name), endRules })
  return [...tree.children, { name: chain, rules: tree.rules }]
}

/** All from-children, from-root, to-children, to-root. */
function dispatchPair(names: readonly string[], { from, to }: Roots): readonly FelixChain[] {
  return [...dispatchOne(names, from, m.inInterface), ...dispatchOne(names, to, m.outInterface)]
}

export function workloadDispatchChains(names: readonly string[], config: Pick<FelixConfig, 'deny'>): readonly FelixChain[] {
  const endRules = [{ action: config.deny, comments: ['Unknown interface'] }]
  return dispatchPair(names, {
    from: { chain: CHAIN.fromWorkload, prefix: ENDPOINT_PREFIX.fromWorkload, endRules },
    to: { chain: CHAIN.toWorkload, prefix: ENDPOINT_PREFIX.toWorkload, endRules },
  })
}

/** Interfaces with a host endpoint of their own, and whether one of `*` takes the rest. */
interface HostInterfaces {
  readonly names: readonly string[]
  readonly wildcard: boolean
}

/** What hostEndpointChains rendered, by what the dispatch chains of each table go to. */
interface HostDispatch {
  readonly all: HostInterfaces
  /** Those with doNotTrack policies; `*` never. */
  readonly untracked: readonly string[]
  /** Those with preDNAT policies. */
  readonly preDnat: HostInterfaces
}

type Way = { readonly chain: string; readonly prefix: string }

const FROM_HOST: Way = { chain: CHAIN.fromHostEndpoint, prefix: ENDPOINT_PREFIX.fromHost }
const TO_HOST: Way = { chain: CHAIN.toHostEndpoint, prefix: ENDPOINT_PREFIX.toHost }

function toWildcard(way: Way, { wildcard }: HostInterfaces): readonly FelixRule[] {
  return wildcard ? [{ action: act.goto(endpointChain(way.prefix, ALL_INTERFACES)) }] : []
}

/** cali-from-host-endpoint and cali-to-host-endpoint of each table; in filter also those of forwarded traffic. */
export function hostDispatchChains(
  { all, untracked, preDnat }: HostDispatch,
  config: Pick<FelixConfig, 'interfacePrefixes'>,
): Readonly<Record<'raw' | 'mangle' | 'filter', readonly FelixChain[]>> {
  const skipWorkloads = config.interfacePrefixes.map((prefix) => ({
    match: [m.outInterface(`${prefix}+`)],
    action: act.return,
    comments: ['Skip egress WHEP policy for traffic to local workload'],
  }))
  const pair = (from: Way, to: Way): readonly FelixChain[] =>
    dispatchPair(all.names, { from: { ...from, endRules: toWildcard(from, all) }, to: { ...to, endRules: toWildcard(to, all) } })
  const toEnd = all.wildcard ? [...skipWorkloads, ...toWildcard(TO_HOST, all)] : []
  return {
    raw: dispatchPair(untracked, { from: { ...FROM_HOST, endRules: [] }, to: { ...TO_HOST, endRules: [] } }),
    mangle: [
      ...dispatchOne(preDnat.names, { ...FROM_HOST, endRules: toWildcard(FROM_HOST, preDnat) }, m.inInterface),
      ...dispatchOne(all.names, { ...TO_HOST, endRules: toEnd }, m.outInterface),
    ],
    filter: [
      ...pair(FROM_HOST, TO_HOST),
      ...pair(
        { chain: CHAIN.fromHostEndpointForward, prefix: ENDPOINT_PREFIX.fromHostForward },
        { chain: CHAIN.toHostEndpointForward, prefix: ENDPOINT_PREFIX.toHostForward },
      ),
    ],
  }
}

/** IPVS only: interface → mark, and mark → the chain of the interface that it came in by. */
export function endpointMarkChains(
  endpoints: { readonly workloads: readonly string[]; readonly hosts: readonly string[] },
  config: Pick<FelixConfig, 'deny' | 'interfacePrefixes' | 'marks'>,
  marks: EndpointMarks,
): readonly FelixChain[] {
  const { workloads, hosts } = endpoints
  const trees = [
    { names: workloads, infix: '-wep' },
    { names: hosts, infix: '-hep' },
  ].map(({ names, infix }) =>
    renderTree({
      root: CHAIN.setEndpointMark,
      names,
      interfaceMatch: m.inInterface,
      target: (name) => endpointChain(ENDPOINT_PREFIX.setMark, name),
      endRules: [],
      infix,
    }),
  )
  const fromMark = (prefix: string, names: readonly string[]): FelixRule[] =>
    [...new Set(names)]
      .sort(compareText)
      .map((name) => ({ match: [m.markEquals(marks.markOf(name), marks.mask)], action: act.goto(endpointChain(prefix, name)) }))
  return [
    ...trees.flatMap(({ children }) => children),
    {
      name: CHAIN.setEndpointMark,
      rules: [
        ...trees.flatMap(({ rules }) => rules),
        ...config.interfacePrefixes.map((prefix) => ({ match: [m.inInterface(`${prefix}+`)], action: config.deny, comments: ['Unknown endpoint'] })),
        { action: act.setMaskedMark(config.marks.nonCaliEndpoint, marks.mask), comments: ['Non-Cali endpoint mark'] },
      ],
    },
    {
      name: CHAIN.fromEndpointMark,
      rules: [
        ...fromMark(ENDPOINT_PREFIX.fromWorkload, workloads),
        ...fromMark(ENDPOINT_PREFIX.fromHostForward, hosts),
        { action: config.deny, comments: ['Unknown interface'] },
      ],
    },
  ]
}

/** cali-sm-…: marks what came in by the interface. */
export function setMarkChain(name: string, marks: EndpointMarks): FelixChain {
  return { name: endpointChain(ENDPOINT_PREFIX.setMark, name), rules: [{ action: act.setMaskedMark(marks.markOf(name), marks.mask) }] }
}

/** `Drop if no profiles matched` and its like. */
export function denyComment(config: Pick<FelixConfig, 'deny'>, rest: string): string {
  return `${denyWord(config)} ${rest}`
}
