/**
 * Random policies and packets: what the trace names is what the policies say, by an evaluation of their text that knows nothing of iptables, and the
 * rule that it names is one that the packet was counted in.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { answer, networkOf } from '../kit/network.js'

const SOURCES = ['a', 'b', 'c'] as const
const NETS = ['172.16.0.0/12', '192.0.2.0/24', '10.0.0.0/8'] as const
/** More than one multiport match holds. */
const MANY = [80, 81, 83, 85, 87, 89, 91, 93, 95, 97, 99, 101, 103, 105, 107, 109, 443]

interface RuleWords {
  readonly action: 'Allow' | 'Deny' | 'Pass'
  readonly protocol?: 'TCP' | 'UDP'
  readonly ports: readonly number[]
  readonly app?: string
  readonly nets: readonly string[]
}

interface PolicyWords {
  readonly tier: 'security' | 'default'
  /** Of the target, or of nobody. */
  readonly selected: boolean
  readonly rules: readonly RuleWords[]
}

interface World {
  readonly securityPasses: boolean
  readonly policies: readonly PolicyWords[]
}

const rule: fc.Arbitrary<RuleWords> = fc
  .record({
    action: fc.constantFrom('Allow', 'Allow', 'Deny', 'Pass'),
    protocol: fc.constantFrom('TCP', 'TCP', 'UDP', undefined),
    ports: fc.constantFrom<readonly number[]>([], [80], [443, 8080], MANY),
    app: fc.constantFrom('a', 'b', undefined),
    nets: fc.constantFrom<readonly string[]>([], [], [NETS[0]], [NETS[1]], [NETS[1], NETS[0]], [NETS[1], NETS[2]]),
  })
  // ports need a protocol
  .map(({ protocol, app, ports, ...rest }) => ({
    ...rest,
    ports: protocol === undefined ? [] : ports,
    ...(protocol === undefined ? {} : { protocol }),
    ...(app === undefined ? {} : { app }),
  }))

const world: fc.Arbitrary<World> = fc.record({
  securityPasses: fc.boolean(),
  policies: fc.array(
    fc.record({
      tier: fc.constantFrom<'security' | 'default'>('security', 'default', 'default'),
      selected: fc.constantFrom(true, true, true, false),
      rules: fc.array(rule, { maxLength: 4 }),
    }),
    { maxLength: 5 },
  ),
})

function yamlOf({ securityPasses, policies }: World): string {
  const node = (name: string, address: string): string =>
    `apiVersion: v1\nkind: Node\nmetadata: {name: ${name}}\nstatus: {addresses: [{type: InternalIP, address: ${address}}]}\n---\n`
  const pod = (name: string, on: string): string =>
    `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, labels: {app: ${name}}}\nspec: {nodeName: ${on}}\n---\n`
  const action = securityPasses ? 'Pass' : 'Deny'
  const tier = `apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: security}\nspec: {order: 100, defaultAction: ${action}}\n---\n`
  const rules = (words: readonly RuleWords[]): string =>
    words
      .map(({ action, protocol, ports, app, nets }) => {
        const source = [...(app === undefined ? [] : [`selector: app == '${app}'`]), ...(nets.length === 0 ? [] : [`nets: [${nets.join(', ')}]`])]
        const parts = [
          `action: ${action}`,
          ...(protocol === undefined ? [] : [`protocol: ${protocol}`]),
          ...(source.length === 0 ? [] : [`source: {${source.join(', ')}}`]),
          ...(ports.length === 0 ? [] : [`destination: {ports: [${ports.join(', ')}]}`]),
        ]
        return `{${parts.join(', ')}}`
      })
      .join(', ')
  const policy = ({ tier: name, selected, rules: words }: PolicyWords, i: number): string =>
    `apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: ${nameOf(name, i)}}\n` +
    `spec: {tier: ${name}, order: ${i}, selector: app == '${selected ? 't' : 'nobody'}', types: [Ingress], ingress: [${rules(words)}]}\n---\n`
  return (
    node('n1', '192.168.10.11') +
    node('n2', '192.168.10.12') +
    [...SOURCES.map((name) => pod(name, 'n1')), pod('t', 'n2'), tier, ...policies.map(policy)].join('') +
    'apiVersion: netsim/v1\nkind: Network\nmetadata: {name: default}\nspec: {cni: calico, kubeProxy: {mode: none}}\n'
  )
}

function nameOf(tier: string, i: number): string {
  return tier === 'default' ? `p${i}` : `${tier}.p${i}`
}

interface PacketWords {
  readonly source: (typeof SOURCES)[number]
  readonly proto: 'tcp' | 'udp'
  readonly port: number
}

/** How many of a rule's terms fail. Every pod's address is in 172.16.0.0/12, the pool that calico-node makes. */
function failures({ protocol, ports, app, nets }: RuleWords, { source, proto, port }: PacketWords): number {
  const fails = [
    protocol !== undefined && protocol.toLowerCase() !== proto,
    ports.length > 0 && !ports.includes(port),
    app !== undefined && app !== source,
    nets.length > 0 && !nets.includes(NETS[0]),
  ]
  return fails.filter(Boolean).length
}

interface Expected {
  readonly verdict: 'Allow' | 'Deny'
  readonly reason: 'rule' | 'tier-end' | 'profile'
  readonly policy?: string
  readonly rule?: number
  readonly near: readonly (readonly [policy: string, rule: number, failures: number])[]
}

/** The policies as the documents of Calico tell: tiers, policies, rules in their order, the first that matches. */
function evaluate({ securityPasses, policies }: World, packet: PacketWords): Expected {
  tiers: for (const tier of ['security', 'default'] as const) {
    const applying = policies
      .map((policy, i) => ({ ...policy, name: `GlobalNetworkPolicy ${nameOf(policy.tier, i)}` }))
      .filter((policy) => policy.tier === tier && policy.selected)
    const near: (readonly [string, number, number])[] = []
    for (const { name, rules } of applying) {
      for (const [i, words] of rules.entries()) {
        const failed = failures(words, packet)
        if (failed === 0 && words.action === 'Pass') continue tiers
        if (failed === 0) return { verdict: words.action === 'Allow' ? 'Allow' : 'Deny', reason: 'rule', policy: name, rule: i + 1, near: [] }
        if (words.action !== 'Deny') near.push([name, i + 1, failed])
      }
    }
    const denies = applying.length > 0 && !(tier === 'security' && securityPasses)
    if (denies) return { verdict: 'Deny', reason: 'tier-end', near: near.sort((x, y) => x[2] - y[2]) }
  }
  return { verdict: 'Allow', reason: 'profile', policy: 'profile kns.default', rule: 1, near: [] }
}

const packets: readonly PacketWords[] = SOURCES.flatMap((source) =>
  (['tcp', 'udp'] as const).flatMap((proto) => [80, 443, 5000].map((port) => ({ source, proto, port }))),
)

describe('random policies', () => {
  it('are told as they read', () => {
    fc.assert(
      fc.property(world, fc.shuffledSubarray([...packets], { minLength: 4, maxLength: 4 }), (drawn, asked) => {
        const network = networkOf(yamlOf(drawn))
        for (const packet of asked) {
          const { document } = answer(network, packet.source, `t:${packet.port}`, { proto: packet.proto })
          const { near, ...expected } = evaluate(drawn, packet)
          const verdict = document.forward.hops
            .flatMap(({ steps }) => steps.flatMap(({ policy = [] }) => policy))
            .find(({ endpoint }) => endpoint === 'Pod/default/t')
          expect(verdict).toMatchObject(expected)
          expect(document.disposition).toBe(expected.verdict === 'Allow' ? 'DELIVERED' : 'DENIED')
          if (expected.reason === 'tier-end') {
            expect(document.result.near?.map(({ policy, rule: number, failed }) => [policy, number, failed.length]) ?? []).toEqual(near)
          }
          const netfilter = network.netns('n2')?.netfilter
          const { chain, rule: number } = verdict?.at ?? { chain: '', rule: 0 }
          expect(netfilter?.counters(netfilter.chainIndex(3, chain), number - 1).packets).toBeGreaterThan(0)
        }
      }),
      { numRuns: 40 },
    )
  }, 120_000)
})
