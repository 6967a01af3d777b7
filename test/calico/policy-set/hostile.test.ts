/**
 * What is wrong with Calico's objects, asked through the command line: every fault in one run with its line and what to do, never a crash, never
 * a hang.
 */
import fc from 'fast-check'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { netsim } from '../../cli/memory-io.js'

const NETWORK = 'apiVersion: netsim/v1\nkind: Network\nmetadata: {name: default}\nspec: {cni: calico}\n---\n'
const NODE = 'apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nstatus: {addresses: [{type: InternalIP, address: 192.168.0.1}]}\n---\n'
const POD = 'apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {app: web}}\nspec: {nodeName: n1, containers: [{name: c, image: i}]}\n---\n'
const HEAD = NETWORK + NODE + POD
const FIRST_LINE = HEAD.split('\n').length

const object = (kind: string, spec: string, { name = 'p', api = 'projectcalico.org/v3', metadata = '' } = {}): string =>
  `apiVersion: ${api}\nkind: ${kind}\nmetadata: {name: ${name}${metadata}}\nspec: ${spec}\n---\n`
const gnp = (spec: string, name = 'p'): string => object('GlobalNetworkPolicy', spec, { name })
const knp = (spec: string): string => object('NetworkPolicy', spec, { api: 'networking.k8s.io/v1' })

interface Told {
  readonly code: number
  /** Without the place. */
  readonly texts: readonly string[]
  readonly lines: readonly number[]
}

/** What is said of the text behind a sound cluster; lines are those of the text. */
async function told(text: string): Promise<Told> {
  const { code, err } = await netsim(['show', 'iptables', 'n1', '-f', '-'], { stdin: HEAD + text })
  expect(err).not.toMatch(/internal error|TypeError|RangeError|\n\s+at /)
  const found = [...err.matchAll(/^-:(\d+): (.*)$/gm)]
  return { code, texts: found.map(([, , what]) => what), lines: found.map(([, line]) => Number(line) - FIRST_LINE + 1) }
}

describe('one fault', () => {
  const FAULTS: readonly [string, string, string][] = [
    ['a selector', gnp('{selector: "app = web"}'), 'error: GlobalNetworkPolicy/p: selector "app = web"'],
    ['of a rule', gnp('{ingress: [{action: Allow, source: {notSelector: "has(a"}}]}'), 'error: GlobalNetworkPolicy/p: notSelector "has(a"'],
    ['of namespaces', gnp('{namespaceSelector: "a in b"}'), 'error: GlobalNetworkPolicy/p: namespaceSelector "a in b"'],
    ['global() where it is none', gnp('{selector: global()}'), 'error: GlobalNetworkPolicy/p: global() in spec.selector'],
    ['port 65536', gnp('{ingress: [{action: Allow, protocol: TCP, destination: {ports: [65536]}}]}'), 'error: GlobalNetworkPolicy/p: 65536 is no port'],
    [
      'a range that runs backwards',
      gnp('{ingress: [{action: Allow, protocol: TCP, destination: {ports: ["90:80"]}}]}'),
      'error: GlobalNetworkPolicy/p: "90:80" is no port',
    ],
    [
      'a port of ICMP',
      gnp('{ingress: [{action: Allow, protocol: ICMP, destination: {ports: [80]}}]}'),
      'error: GlobalNetworkPolicy/p: ports without a protocol that has ports',
    ],
    ['a prefix', gnp('{ingress: [{action: Allow, source: {nets: [10.0.0.0/33]}}]}'), 'error: GlobalNetworkPolicy/p: "10.0.0.0/33" is no prefix'],
    [
      'nothing outside',
      gnp('{ingress: [{action: Allow, source: {notNets: [0.0.0.0/0]}}]}'),
      'warning: GlobalNetworkPolicy/p: nothing is outside 0.0.0.0/0: Felix leaves the rule out',
    ],
    [
      'both families',
      gnp('{ingress: [{action: Allow, source: {nets: [10.0.0.0/8]}, destination: {nets: ["fd00::/8"]}}]}'),
      'error: GlobalNetworkPolicy/p: nets of both IP versions in one rule',
    ],
    ['an action', gnp('{ingress: [{action: Accept}]}'), 'error: GlobalNetworkPolicy/p: spec.ingress[0].action is "Accept", not Allow or Deny or Log or Pass'],
    ['a type', gnp('{types: [In]}'), 'error: GlobalNetworkPolicy/p: spec.types[0] is "In", not Ingress or Egress'],
    ['a type twice', gnp('{types: [Ingress, Ingress]}'), 'error: GlobalNetworkPolicy/p: a type stands twice'],
    ['an ICMP type', gnp('{ingress: [{action: Allow, protocol: ICMP, icmp: {type: 255}}]}'), 'error: GlobalNetworkPolicy/p: 255 is no ICMP type'],
    ['an unknown field', gnp('{colour: red}'), 'warning: GlobalNetworkPolicy/p: unknown field spec.colour: it says nothing'],
    ['a misspelt field of a rule', gnp('{ingress: [{action: Allow, sourse: {}}]}'), 'warning: GlobalNetworkPolicy/p: unknown field spec.ingress[0].sourse'],
    [
      'a tier that nobody made',
      gnp('{tier: ghost}', 'ghost.p'),
      'warning: GlobalNetworkPolicy/ghost.p: there is no tier "ghost": Felix asks the policy after all tiers, and what no policy of it decides is denied',
    ],
    [
      'a namespace that is not there',
      `apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n${object('NetworkPolicy', '{selector: all()}', { metadata: ', namespace: shpo' })}`,
      'warning: NetworkPolicy/shpo/p: there is no namespace "shpo" in the input: the policy selects nothing',
    ],
    ['a name', gnp('{}', '"Web_1"'), 'error: GlobalNetworkPolicy/Web_1: "Web_1" is no name of a policy'],
    ['a name of a tier', object('Tier', '{order: 1}', { name: 'a.b' }), 'error: Tier/a.b: "a.b" is no name of a tier'],
    [
      'a tier of Calico’s own',
      object('Tier', '{order: 7}', { name: 'kube-admin' }),
      'error: Tier/kube-admin: the tier kube-admin has order 1000 and its end is Pass',
    ],
    [
      'a service of no namespace',
      object('NetworkPolicy', '{egress: [{action: Allow, destination: {services: {name: a}}}]}'),
      'warning: NetworkPolicy/default/p: services without a namespace: Felix finds no such Service, and the rule matches nothing',
    ],
    ['a set', object('GlobalNetworkSet', '{nets: [10.0.0.0/8, nonsense]}'), 'error: GlobalNetworkSet/p: "nonsense" is no prefix'],
    [
      'a set past Calico’s API',
      object('GlobalNetworkSet', '{nets: [10.0.0.0/8, nonsense]}').replace('projectcalico.org/v3', 'crd.projectcalico.org/v1'),
      'warning: GlobalNetworkSet/p: "nonsense" is no prefix: left out, as Calico does',
    ],
    ['a host endpoint', object('HostEndpoint', '{node: n1}'), 'error: HostEndpoint/p: neither interfaceName nor expectedIPs'],
    ['a kind', object('GlobalNetworkPolcy', '{}'), 'error: GlobalNetworkPolcy/p: Calico has no kind GlobalNetworkPolcy'],
    [
      'a block of a Kubernetes policy',
      knp('{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0}}]}]}'),
      'warning: NetworkPolicy/default/p: "10.0.0.0" is no prefix: Calico takes the peer for everybody',
    ],
    [
      'an exception of it',
      knp('{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16, x, 10.2.0.0/16]}}]}]}'),
      'warning: NetworkPolicy/default/p: "x" is no prefix: Calico leaves it out, and every exception behind it',
    ],
    ['port 0', knp('{podSelector: {}, ingress: [{ports: [{port: 0}]}]}'), 'error: NetworkPolicy/default/p: port 0'],
    [
      'a range of it',
      knp('{podSelector: {}, ingress: [{ports: [{port: 90, endPort: 80}]}]}'),
      'warning: NetworkPolicy/default/p: "90:80" is no port: the rule is left out, as Calico does',
    ],
    ['an operator', knp('{podSelector: {matchExpressions: [{key: a, operator: Is}]}}'), 'error: NetworkPolicy/default/p: unknown operator "Is"'],
    ['a label with a quote', knp(`{podSelector: {matchLabels: {app: "x' || all()"}}}`), `error: NetworkPolicy/default/p: "x' || all()" is no label value`],
    [
      'a tier of a cluster policy',
      object('ClusterNetworkPolicy', '{tier: Top, priority: 1, subject: {namespaces: {}}}', { api: 'policy.networking.k8s.io/v1alpha2' }),
      'error: ClusterNetworkPolicy/p: spec.tier is "Top", not Admin or Baseline',
    ],
  ]

  it.each(FAULTS)('%s', async (_, text, expected) => {
    const { code, texts, lines } = await told(text)
    expect([texts.map((line) => line.slice(0, expected.length)), lines]).toEqual([[expected], [expect.any(Number)]])
    expect(lines[0]).toBeGreaterThanOrEqual(1)
    expect(lines[0]).toBeLessThanOrEqual(text.split('\n').length)
    expect(code).toBe(expected.startsWith('error') ? 3 : 0)
  })
})

describe('many faults', () => {
  it('all of them in one run, each with the line that it stands on', async () => {
    const text = `apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: bad}
spec:
  selector: app ==
  types: [Ingress, Ingress]
  ingress:
    - action: Allow
      protocol: TCP
      source:
        nets: [10.0.0.0/99]
        selector: "!"
      destination:
        ports: [70000, "5:4"]
    - action: Deny
      protocol: UDP
      icmp: {type: 8}
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: h}
spec: {interfaceName: eth0}
`
    const { code, lines } = await told(text)
    expect(code).toBe(3)
    expect([...lines].sort((a, b) => a - b)).toEqual([5, 6, 11, 12, 14, 14, 17, 22])
  })

  it('two of one name that differ', async () => {
    const { code, texts } = await told(gnp('{order: 1}') + gnp('{order: 2}'))
    expect([code, texts]).toEqual([3, [expect.stringContaining('GlobalNetworkPolicy/p: stands here and in')]])
  })

  it('a selector of 499 nested parentheses is read and enforced, one of 600 refused', async () => {
    const nested = (depth: number): string =>
      gnp(`{selector: "${'('.repeat(depth)}app == 'web'${')'.repeat(depth)}", namespaceSelector: all(), ingress: [{action: Deny}]}`)
    const { code, out } = await netsim(['show', 'iptables', 'n1', '-f', '-'], { stdin: HEAD + nested(499) })
    expect([code, out.includes('cali-pi-gnp/p')]).toEqual([0, true])
    expect((await told(nested(600))).texts).toEqual([expect.stringContaining('too many nested parentheses')])
  })

  it('a selector of 20,000 terms, 1,000 policies, a chain of aliases that bites its tail', { timeout: 60_000 }, async () => {
    const long = Array.from({ length: 20_000 }, (_, i) => `app != 'a${i}'`).join(' && ')
    expect(await told(gnp(`{selector: "${long}", ingress: [{action: Deny}]}`))).toMatchObject({ code: 0, texts: [] })
    const many = Array.from({ length: 1000 }, (_, i) =>
      gnp(`{order: ${i}, selector: "app == 'web'", ingress: [{action: Allow, protocol: TCP, destination: {ports: [${i + 1}]}}]}`, `p${i}`),
    )
    expect(await told(many.join(''))).toMatchObject({ code: 0, texts: [] })
    const { code } = await told(
      'apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: &a {ingress: [{action: Allow, source: *a}]}\n',
    )
    expect(code).toBe(3)
  })
})

const FOLDER = new URL('.', import.meta.url)
const SOUND = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.yaml'))
  .map((file) => readFileSync(new URL(file, FOLDER), 'utf8'))
  .join('\n---\n')

/** Values in the place of values, and names in the place of names. */
const NASTY = [
  'null',
  '[]',
  '{}',
  '""',
  '-1',
  '65536',
  '1e999',
  '.nan',
  'true',
  '"\u0000"',
  '10.0.0.0/99',
  '::/0',
  'all()',
  '!',
  '((',
  'global()',
  "a == 'b",
  'constructor',
  '__proto__',
  '"\u{1f642}"',
  '99999999999999999999',
  '"90:80"',
  '[[[[[[',
]

describe('the policy set with faults in it', () => {
  it('never a crash or a hang, every Problem with its line', { timeout: 120_000 }, async () => {
    const places = [...SOUND.matchAll(/(?<=[:,[{] ?)[^\n,{}[\]:#]+(?=[\n,}\]])/g)].map((found) => ({ at: found.index, length: found[0].length }))
    const change = fc.tuple(fc.nat(places.length - 1), fc.constantFrom(...NASTY))
    let refused = 0
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        let text = SOUND
        for (const [index, nasty] of [...changes].sort(([a], [b]) => b - a)) {
          const { at, length } = places[index]
          text = text.slice(0, at) + nasty + text.slice(at + length)
        }
        const { code, err, out } = await netsim(['show', 'iptables', 'n1', '-f', '-'], { stdin: text })
        expect([0, 3]).toContain(code)
        expect(err).not.toMatch(/internal error|TypeError|RangeError|undefined|NaN|\[object/)
        if (code === 3) {
          refused++
          // a NUL makes a binary file of it, which has no lines
          expect(err).toMatch(/^-:\d+: error: |is a binary file/m)
        } else expect(out).toContain('cali-FORWARD')
      }),
      { numRuns: 60, seed: 1 },
    )
    expect(refused).toBeGreaterThan(10)
  })
})
