/**
 * A world that differs → a smaller one that differs in the same way: parts are left out one after the other, in halves first, and what is
 * left is made plainer, for as long as the difference stays.
 */
import { playWorld } from './play-world.js'
import type { HostDraft, ProbeDraft, WorldDraft } from './random-world.js'
import { CALICO_STEPS } from './shrink-calico.js'
import { without } from './shrink-lists.js'

type Step = (draft: WorldDraft) => readonly WorldDraft[]

/** @param stays whether a draft still shows what is looked for; the default plays it and asks for the same kind of difference */
export async function shrink(draft: WorldDraft, stays?: (smaller: WorldDraft) => Promise<boolean>): Promise<WorldDraft> {
  const holds = stays ?? (await sameDifference(draft))
  let best = draft
  for (let again = true; again;) {
    again = false
    for (const step of STEPS) {
      for (let candidates = step(best), at = 0; at < candidates.length; at++) {
        if (!(await holds(candidates[at]))) continue
        best = candidates[at]
        candidates = step(best)
        at = -1
        again = true
      }
    }
  }
  return best
}

/** The first failure's nature: which kinds of differences, not where or of which values. */
function natureOf(failure: string): string {
  const disposition = /\n {2}([A-Z_]+);/.exec(failure)?.[1] ?? failure.replace(/\d+/g, 'N')
  const kinds = [...failure.matchAll(/\n {2}(\w+) [^\n]*?: ([a-z.]+)/g)].map(([, kind, what]) => `${kind} ${what}`)
  return [disposition, kinds.at(0) ?? ''].join(' ')
}

async function sameDifference(draft: WorldDraft): Promise<(smaller: WorldDraft) => Promise<boolean>> {
  const { failures } = await playWorld(draft)
  const wanted = failures.length === 0 ? '' : natureOf(failures[0])
  return async (smaller) => (await playWorld(smaller)).failures.some((failure) => natureOf(failure) === wanted)
}

const hostLists = ['iptables', 'ip', 'sysctls', 'ipset'] as const

const STEPS: readonly Step[] = [
  // the probe alone: of several, one
  (draft) => (draft.probes.length > 1 ? draft.probes.map((probe) => ({ ...draft, probes: [probe] })) : []),
  (draft) => without(draft.hosts).map((hosts) => ({ ...draft, hosts })),
  (draft) =>
    draft.hosts.flatMap((host, index) =>
      hostLists.flatMap((list) => without<HostDraft[typeof list][number]>(host[list]).map((rest) => withHost(draft, index, { ...host, [list]: rest }))),
    ),
  // a rule's words: each match with its value left out
  (draft) =>
    draft.hosts.flatMap((host, index) =>
      host.iptables.flatMap((rule, at) =>
        plainer(rule).map((one) => withHost(draft, index, { ...host, iptables: host.iptables.map((other, i) => (i === at ? one : other)) })),
      ),
    ),
  ...CALICO_STEPS,
  (draft) => without(draft.router.iptables).map((iptables) => ({ ...draft, router: { ...draft.router, iptables } })),
  (draft) => without(draft.router.routes).map((routes) => ({ ...draft, router: { ...draft.router, routes } })),
  (draft) => draft.nodes.slice(1).map(({ name }) => withoutNode(draft, name)),
  (draft) =>
    without(draft.pods)
      .filter((pods) => pods.length > 0)
      .map((pods) => ({ ...draft, pods })),
  (draft) =>
    Object.keys(draft.backend)
      .filter((key) => key !== 'Type')
      .map((key) => ({ ...draft, backend: Object.fromEntries(Object.entries(draft.backend).filter(([other]) => other !== key)) })),
  (draft) => (draft.ipMasq ? [{ ...draft, ipMasq: false }] : []),
  (draft) => (draft.runtime.iptables === true ? [{ ...draft, runtime: { ...draft.runtime, iptables: false } }] : []),
  (draft) => (draft.segments.some(({ mtu }) => mtu !== 1500) || draft.nodes.some(({ cardMtu }) => cardMtu !== 1500) ? [plainMtus(draft)] : []),
  (draft) =>
    draft.probes.flatMap((probe, index) =>
      plainerProbes(probe).map((one) => ({ ...draft, probes: draft.probes.map((other, i) => (i === index ? one : other)) })),
    ),
]

function withHost(draft: WorldDraft, index: number, host: HostDraft): WorldDraft {
  return { ...draft, hosts: draft.hosts.map((other, i) => (i === index ? host : other)) }
}

function withoutNode(draft: WorldDraft, name: string): WorldDraft {
  return {
    ...draft,
    nodes: draft.nodes.filter((node) => node.name !== name),
    pods: draft.pods.filter(({ node }) => node !== name),
    hosts: draft.hosts.filter(({ node }) => node !== name),
  }
}

function plainMtus(draft: WorldDraft): WorldDraft {
  return { ...draft, segments: draft.segments.map((segment) => ({ ...segment, mtu: 1500 })), nodes: draft.nodes.map((node) => ({ ...node, cardMtu: 1500 })) }
}

/** A match begins at ` -m`, or at an option of the rule's own; the target stays. */
function plainer(rule: string): string[] {
  const parts = rule.split(/ (?=(?:! )?-(?:m|s|d|i|o|f|j|g) ?)/).flatMap((part, i, all) => (i > 0 && all[i - 1] === '!' ? [] : [part]))
  return parts.flatMap((part, index) => (index < 1 || /^-[jg]/.test(part) ? [] : [parts.filter((_, other) => other !== index).join(' ')]))
}

function plainerProbes(probe: ProbeDraft): ProbeDraft[] {
  if (probe.kind === 'ask') {
    const { size, ...rest } = probe
    return [
      ...(size === undefined ? [] : [rest]),
      ...(probe.cold ? [{ ...probe, cold: false }] : []),
      ...(probe.df ? [{ ...probe, df: false }] : []),
      ...(probe.ttl === 64 ? [] : [{ ...probe, ttl: 64 }]),
    ]
  }
  const plain = { ttl: 64, tos: 0, df: false, more: false, offset: 0, payload: 0, damage: 0 } as const
  return Object.entries(plain).flatMap(([key, value]) =>
    probe.packet[key as keyof typeof plain] === value ? [] : [{ ...probe, packet: { ...probe.packet, [key]: value } }],
  )
}
