/**
 * What a trace says of Calico's policy: which rule of which policy decided, and of a drop which rules came near. The expected words follow from the
 * policies as a person reads them.
 */
import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import type { PolicyVerdictDocument, StepDocument, TraceDocument } from '../../src/analysis/trace-document.js'
import { traceText } from '../../src/analysis/trace-text.js'
import type { Network } from '../../src/network/network.js'
import { answer, networkOf, type Ask } from '../kit/network.js'

const node = (name: string, address: string): string =>
  `apiVersion: v1\nkind: Node\nmetadata: {name: ${name}, labels: {role: worker}}\nstatus: {addresses: [{type: InternalIP, address: ${address}}]}\n---\n`
const pod = (name: string, on: string, labels: string, namespace = 'default'): string =>
  `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, namespace: ${namespace}, labels: {${labels}}}\nspec: {nodeName: ${on}}\n---\n`
const calico = (kind: string, name: string, spec: string): string =>
  `apiVersion: projectcalico.org/v3\nkind: ${kind}\nmetadata: {name: ${name}${kind === 'NetworkPolicy' ? ', namespace: default' : ''}}\nspec:\n${spec}\n---\n`
const NETWORK = 'apiVersion: netsim/v1\nkind: Network\nmetadata: {name: default}\nspec: {cni: calico, kubeProxy: {mode: none}}\n'

const PODS =
  node('n1', '192.168.10.11') +
  node('n2', '192.168.10.12') +
  pod('web', 'n1', 'app: web') +
  pod('other', 'n1', 'app: other') +
  pod('db', 'n2', 'app: db') +
  pod('free', 'n2', 'app: free', 'lab')

/** Line of a text, 1-based, in the file that the network was read from. */
function lineOf(text: string, wanted: string): number {
  const line = text.split('\n').findIndex((candidate) => candidate.includes(wanted)) + 1
  if (line === 0) throw new Error(`no line has ${wanted}`)
  return line
}

function verdictsOf(document: TraceDocument): readonly PolicyVerdictDocument[] {
  return document.forward.hops.flatMap(({ steps }) => steps).flatMap(({ policy = [] }) => policy)
}

function stepsOf(document: TraceDocument): readonly StepDocument[] {
  return document.forward.hops.flatMap(({ steps }) => steps)
}

describe('a Kubernetes policy between two nodes', () => {
  const text =
    PODS +
    `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db} # the policy
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}] # rule one
    ports: [{port: 5432}]
  - from: [{ipBlock: {cidr: 10.9.0.0/16, except: [10.9.1.0/24]}}] # rule two
    ports: [{port: 53, protocol: UDP}]
---
${NETWORK}`
  let network: Network
  beforeAll(() => void (network = networkOf(text)))
  const ask = (source: string, destination: string, more: Ask = {}): TraceDocument => answer(network, source, destination, more).document
  // the kind's line is the document's second, a policy is placed at its first
  const policyLine = lineOf(text, 'kind: NetworkPolicy') - 1
  const ruleOne = lineOf(text, '# rule one')

  it('allowed: at each end what decided, with the rule and its line', () => {
    const document = ask('web', 'db:5432')
    expect(document.disposition).toBe('DELIVERED')
    const ends = verdictsOf(document).filter(({ endpoint }) => endpoint !== undefined)
    expect(ends.map(({ text: said }) => said)).toEqual([
      'egress default/web: no policy selects it, profile kns.default allows',
      `ingress default/db: NetworkPolicy default/db rule 1 allows (test.yaml:${ruleOne})`,
    ])
    expect(ends[1]).toMatchObject({
      verdict: 'Allow',
      reason: 'rule',
      direction: 'ingress',
      endpoint: 'Pod/default/db',
      tier: 'default',
      policy: 'NetworkPolicy default/db',
      rule: 1,
      provenance: { by: 'felix', file: 'test.yaml', line: ruleOne },
    })
    expect(result(document)).toEqual({ policies: undefined, near: undefined })
  })

  it('a wrong port: the tier denies, one term failed, and the fix is to add the port', () => {
    const document = ask('web', 'db:22')
    expect(document.disposition).toBe('DENIED')
    expect(verdictsOf(document).at(-1)).toMatchObject({ verdict: 'Deny', reason: 'tier-end', tier: 'default', endpoint: 'Pod/default/db' })
    expect(document.result.cause).toBe(
      'tier default denies what none of its policies allows: default/db is selected for ingress by NetworkPolicy default/db, ' +
        'and no rule of it lets in default/web on tcp/22',
    )
    expect(document.result.policies).toMatchObject([
      { policy: 'NetworkPolicy default/db', tier: 'default', direction: 'ingress', selector: "app == 'db' in namespace default", rules: 2 },
    ])
    expect(document.result.policies?.[0].provenance?.line).toBe(policyLine)
    expect(document.result.near?.map(({ rule, failed }) => [rule, failed.map(({ text: said }) => said)])).toEqual([
      [1, ['port 22 is not 5432']],
      [2, ['source 172.16.40.129 (default/web) is not in 10.9.0.0/16', 'protocol tcp is not udp', 'port 22 is not 53']],
    ])
    expect(document.result.fixes).toEqual([`add port 22 (TCP) to the ports of ingress rule 1 of NetworkPolicy default/db (test.yaml:${ruleOne})`])
  })

  it('a wrong protocol of the right port is mended by a port of that protocol', () => {
    const document = ask('web', 'db:5432', { proto: 'udp' })
    expect(document.result.near?.[0].failed.map(({ text: said }) => said)).toEqual(['protocol udp is not tcp'])
    expect(document.result.fixes).toEqual([`add port 5432 (UDP) to the ports of ingress rule 1 of NetworkPolicy default/db (test.yaml:${ruleOne})`])
  })

  it('a wrong source: the selector, the set that stands for it, and the label that differs', () => {
    const document = ask('other', 'db:5432')
    const said = document.result.near?.[0].failed.map((term) => term.text) ?? []
    expect(said).toHaveLength(1)
    expect(said[0]).toMatch(
      /^source 172\.16\.\d+\.\d+ \(default\/other\) is not in selector app == 'web' in namespace default \[set cali40s:[\w-]+\]: it has app=other$/,
    )
    expect(document.result.fixes[0]).toMatch(
      new RegExp(
        `^add podSelector app=other \\(default/other\\) to from of ingress rule 1 of NetworkPolicy default/db \\(test\\.yaml:${ruleOne}\\), ` +
          'or label default/other app=web$',
      ),
    )
  })

  it('several terms wrong: a rule of its own', () => {
    expect(ask('other', 'db:22').result.fixes).toEqual([
      `add an ingress rule to NetworkPolicy default/db (test.yaml:${policyLine}): from podSelector app=other (default/other), tcp/22`,
    ])
  })

  it('ICMP has no port, and a Kubernetes policy lets it in only with everything else', () => {
    const document = ask('web', 'db')
    expect(document.result.near?.[0].failed.map(({ text: said }) => said)).toEqual(['protocol icmp is not tcp'])
    expect(document.result.fixes).toEqual([
      `add an ingress rule to NetworkPolicy default/db (test.yaml:${policyLine}): from podSelector app=web (default/web), without ports (none lets in icmp alone)`,
    ])
  })

  it('the text names policy, near rule and fix, and the walk at -v names chains and comments', () => {
    const plain = traceText(ask('web', 'db:22'), { width: 200, color: false, ascii: false, verbosity: 0, summaryOnly: false })
    expect(plain).toContain('calico 3.32.1 · IPIP Always · ')
    expect(plain).toMatch(/filter\/FORWARD +ingress default\/db: end of tier default, NetworkPolicy default\/db does not allow it cali-tw-cali\w+ #\d+/)
    expect(plain).toContain(`  policy     NetworkPolicy default/db (test.yaml:${policyLine}) selects app == 'db' in namespace default: 2 ingress rules\n`)
    expect(plain).toContain(`  near       NetworkPolicy default/db rule 1 (test.yaml:${ruleOne}): port 22 is not 5432\n`)
    expect(plain).toContain('raw/PREROUTING')
    expect(plain).toMatch(/raw\/PREROUTING +7 rules tried, 4 matched/)
    const told = traceText(ask('web', 'db:22', { level: 1 }), { width: 300, color: false, ascii: false, verbosity: 1, summaryOnly: false })
    expect(told).toMatch(/cali-pi-knp\/default\/db #1 .*--comment "KubernetesNetworkPolicy default\/db ingress"/)
  })

  it('says the same at every level, and leaves the rows of the question as they were', () => {
    const plain = ask('other', 'db:22')
    const told = ask('other', 'db:22', { level: 1 })
    expect(plain.result).toEqual(told.result)
    const tables = (document: TraceDocument): unknown[] => stepsOf(document).map(({ n, kind, action, policy }) => [n, kind, action, policy])
    expect(tables(plain)).toEqual(tables(told))
    expect(stepsOf(plain).every(({ rules = [] }) => rules.every(({ matched }) => matched))).toBe(true)
  })

  it('the answer belongs to a known connection', () => {
    const { document } = answer(network, 'web', 'db:5432')
    const back = document.reply?.hops.flatMap(({ steps }) => steps).flatMap(({ policy = [] }) => policy) ?? []
    expect(back.filter(({ endpoint }) => endpoint !== undefined).map(({ reason }) => reason)).toEqual(['connection', 'connection'])
  })
})

function result({ result: { policies, near } }: TraceDocument): object {
  return { policies, near }
}

describe('tiers', () => {
  const text =
    PODS +
    calico('Tier', 'security', '  order: 100') +
    calico(
      'GlobalNetworkPolicy',
      'security.guard',
      `  tier: security
  selector: app in {'db', 'free'}
  namespaceSelector: all()
  ingress:
  - {action: Deny, protocol: TCP, destination: {ports: [23]}} # deny telnet
  - {action: Deny, source: {notNets: [172.16.0.0/16, 192.168.10.0/24]}}
  - {action: Pass} # pass`,
    ) +
    calico(
      'NetworkPolicy',
      'many',
      `  selector: app == 'db'
  types: [Ingress]
  ingress:
  - action: Allow # many ports
    protocol: TCP
    source: {selector: app == 'web', nets: [10.0.0.0/8, 172.16.0.0/12]}
    destination: {ports: [1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 25, 27, 29, 31, 33, "8000:8100"]}`,
    ) +
    NETWORK
  let network: Network
  beforeAll(() => void (network = networkOf(text)))
  const ask = (source: string, destination: string, more: Ask = {}): TraceDocument => answer(network, source, destination, more).document

  it('a deny of a policy is its rule', () => {
    const document = ask('web', 'db:23')
    const line = lineOf(text, '# deny telnet')
    const said = `ingress default/db: tier security: GlobalNetworkPolicy security.guard rule 1 denies (test.yaml:${line})`
    expect(verdictsOf(document).at(-1)).toMatchObject({ verdict: 'Deny', reason: 'rule', policy: 'GlobalNetworkPolicy security.guard', rule: 1, text: said })
    expect(document.result.cause).toBe(said)
    expect(document.result.fixes).toEqual([
      `take the packet out of what rule 1 of GlobalNetworkPolicy security.guard (test.yaml:${line}) denies, ` +
        'or allow it in tier security in a rule or policy before it',
    ])
  })

  it('what a tier passes on, and the rule behind it that allows', () => {
    const line = lineOf(text, '# pass')
    expect(verdictsOf(ask('web', 'db:8050')).find(({ direction }) => direction === 'ingress')?.text).toBe(
      `ingress default/db: GlobalNetworkPolicy security.guard rule 3 passes (test.yaml:${line}); ` +
        `Calico NetworkPolicy default/many rule 1 allows (test.yaml:${lineOf(text, '# many ports')})`,
    )
  })

  it('passed on by every tier, the profile decides', () => {
    expect(verdictsOf(ask('web', 'lab/free:80')).find(({ direction }) => direction === 'ingress')).toMatchObject({
      reason: 'profile',
      policy: 'profile kns.lab',
      text: `ingress lab/free: GlobalNetworkPolicy security.guard rule 3 passes (test.yaml:${lineOf(text, '# pass')}), profile kns.lab allows`,
    })
  })

  it('a rule that iptables needs several for fails in what it says, not in a mark', () => {
    const terms = (document: TraceDocument): string[] => document.result.near?.flatMap(({ failed }) => failed.map(({ text: said }) => said)) ?? []
    const ports = '1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 25, 27, 29, 31, 33, 8000:8100'
    const wrongPort = ask('web', 'db:22')
    expect(terms(wrongPort)).toEqual([`port 22 is none of ${ports}`])
    expect(wrongPort.result.fixes).toEqual([
      `add port 22 to destination.ports of ingress rule 1 of Calico NetworkPolicy default/many (test.yaml:${lineOf(text, '# many ports')})`,
    ])
    const fromNode = ask('node/n1', 'db:8000')
    expect(terms(fromNode)[0]).toMatch(/^source 172\.16\.\d+\.\d+ \(node n1, tunl0\) is not in selector app == 'web' in namespace default/)
    expect(terms(ask('web', 'db:8000', { proto: 'udp' }))).toEqual(['protocol udp is not tcp'])
  })
})

describe('where no policy is asked', () => {
  const felix = (settings: string): string => calico('FelixConfiguration', 'default', `  ${settings}`)
  const ask = (settings: string, source: string, destination: string, more: Ask = {}): TraceDocument =>
    answer(networkOf(PODS + felix(settings) + NETWORK), source, destination, more).document

  it('a workload and its own host: defaultEndpointToHostAction', () => {
    const image = 'containers: [{name: calico-node, image: "quay.io/calico/node:v3.32.1"}]'
    const daemon = `apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: calico-node, namespace: kube-system}\nspec: {template: {spec: {${image}}}}\n---\n`
    const dropped = answer(networkOf(PODS + daemon + NETWORK), 'web', 'node/n1:22').document
    expect(dropped.disposition).toBe('DENIED')
    expect(verdictsOf(dropped).map(({ reason, verdict }) => [reason, verdict])).toEqual([
      ['profile', 'Allow'],
      ['endpoint-to-host', 'Deny'],
    ])
    expect(dropped.result.cause).toBe('workload to its own host: defaultEndpointToHostAction DROP')
    expect(dropped.result.fixes[0]).toContain('DEFAULTENDPOINTTOHOSTACTION')
    // calico.yaml sets it to ACCEPT
    expect(verdictsOf(answer(networkOf(PODS + NETWORK), 'web', 'node/n1:22').document).at(-1)).toMatchObject({ reason: 'endpoint-to-host', verdict: 'Allow' })
  })

  it("a host and its own workload: the workload's policy is not asked", () => {
    expect(verdictsOf(ask('logPrefix: x', 'node/n1', 'web:80')).map(({ reason }) => reason)).toEqual(['not-policed'])
  })

  it("a tunnel's outer packet is let out and in as a node's", () => {
    const said = verdictsOf(ask('logPrefix: x', 'web', 'db:80')).filter(({ reason }) => reason === 'tunnel')
    expect(said.map(({ text: words }) => words)).toEqual(['Allow IPIP packets to other Calico hosts', 'Allow IPIP packets from Calico hosts'])
  })

  it('a source that is not its own: anti-spoofing, in the raw table', () => {
    const network = networkOf(PODS + NETWORK)
    const document = answer(network, 'web', 'db', { packet: rawPacket({ src: [10, 1, 2, 3], dst: [192, 168, 10, 12], proto: 17 }) }).document
    expect(document.disposition).toBe('DENIED')
    expect(verdictsOf(document)).toMatchObject([{ verdict: 'Deny', reason: 'spoofed' }])
    expect(document.result.fixes[0]).toContain('allowedSourcePrefixes')
  })

  it('IP in IP of a workload', () => {
    const network = networkOf(PODS + NETWORK)
    const own = answer(network, 'web', 'db').document.request.source.address.split('.').map(Number)
    const document = answer(network, 'web', 'db', { packet: rawPacket({ src: own, dst: [192, 168, 10, 12], proto: 4 }) }).document
    expect(verdictsOf(document)).toMatchObject([{ verdict: 'Deny', reason: 'encapsulated', endpoint: 'Pod/default/web', direction: 'egress' }])
    expect(document.result.cause).toBe('egress default/web: IP in IP packets that a workload makes are dropped')
  })

  it('settings that netsim does not follow are named', () => {
    expect(ask('bpfEnabled: true', 'web', 'db:80').notModelled).toEqual([expect.stringContaining('bpfEnabled')])
    expect(ask('logPrefix: x', 'web', 'db:80').notModelled).toEqual([])
  })
})

/** A header of 20 bytes and 8 bytes of something; the checksum is the kernel's to fill in (IP_HDRINCL). */
function rawPacket({ src, dst, proto }: { readonly src: readonly number[]; readonly dst: readonly number[]; readonly proto: number }): Uint8Array {
  const bytes = Uint8Array.from([0x45, 0, 0, 28, 0, 1, 0, 0, 64, proto, 0, 0, ...src, ...dst, 0x9c, 0x40, 0, 53, 0, 8, 0, 0])
  let sum = 0
  for (let i = 0; i < 20; i += 2) sum += (bytes[i] << 8) | bytes[i + 1]
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  bytes[10] = (~sum >>> 8) & 0xff
  bytes[11] = ~sum & 0xff
  return bytes
}

describe('host endpoints', () => {
  const text =
    PODS +
    calico('HostEndpoint', 'n2-eth0', '  {node: n2, interfaceName: eth0, expectedIPs: [192.168.10.12]}').replace(
      'metadata: {name: n2-eth0}',
      'metadata: {name: n2-eth0, labels: {host: yes}}',
    ) +
    calico(
      'GlobalNetworkPolicy',
      'hosts',
      `  selector: has(host)
  types: [Ingress]
  ingress:
  - {action: Allow, protocol: TCP, source: {nets: [192.168.10.11/32]}, destination: {ports: [9000]}} # hosts rule`,
    ) +
    calico(
      'GlobalNetworkPolicy',
      'raw',
      `  selector: has(host)
  doNotTrack: true
  applyOnForward: true
  ingress:
  - {action: Allow, protocol: UDP, destination: {ports: [5353]}} # raw rule`,
    ) +
    calico(
      'GlobalNetworkPolicy',
      'before-nat',
      `  selector: has(host)
  preDNAT: true
  applyOnForward: true
  types: [Ingress]
  ingress:
  - {action: Deny, protocol: TCP, destination: {ports: [31000]}} # nat rule`,
    ) +
    NETWORK
  let network: Network
  beforeAll(() => void (network = networkOf(text)))
  const atHost = (destination: string, more: Ask = {}): readonly PolicyVerdictDocument[] =>
    verdictsOf(answer(network, 'node/n1', destination, more).document).filter(({ endpoint }) => endpoint === 'HostEndpoint/n2-eth0')

  it('a failsafe port', () => {
    expect(atHost('node/n2:22').at(-1)).toMatchObject({ verdict: 'Allow', reason: 'failsafe', text: expect.stringContaining('--dports 22') })
  })

  it('a rule, and the end of the tier', () => {
    expect(atHost('node/n2:9000').at(-1)?.text).toBe(
      `ingress host endpoint n2-eth0: GlobalNetworkPolicy hosts rule 1 allows (test.yaml:${lineOf(text, '# hosts rule')})`,
    )
    const { result: why } = answer(network, 'node/n1', 'node/n2:9001').document
    expect(why.near?.map(({ policy, failed }) => [policy, failed.map(({ text: said }) => said)])).toEqual([
      ['GlobalNetworkPolicy hosts', ['port 9001 is not 9000']],
    ])
  })

  it('doNotTrack in the raw table, preDNAT in mangle', () => {
    expect(atHost('node/n2:5353', { proto: 'udp' })[0]).toMatchObject({ policy: 'GlobalNetworkPolicy raw', verdict: 'Allow', rule: 1 })
    expect(atHost('node/n2:31000').at(-1)).toMatchObject({ policy: 'GlobalNetworkPolicy before-nat', verdict: 'Deny', rule: 1 })
  })

  it('forwarded packets pass where no policy has applyOnForward', () => {
    const alone = networkOf(PODS + calico('HostEndpoint', 'n2-tunl0', '  {node: n2, interfaceName: tunl0}') + NETWORK)
    const said = verdictsOf(answer(alone, 'db', 'web:80').document).filter(({ endpoint }) => endpoint === 'HostEndpoint/n2-tunl0')
    expect(said.map(({ direction, reason, verdict }) => [direction, reason, verdict])).toEqual([['egress', 'not-policed', 'Allow']])
  })
})

describe('rules of any hand', () => {
  const firewall = readFileSync(new URL('../../examples/flannel-firewall.yaml', import.meta.url), 'utf8')

  it('a rule that drops by itself has no near rule', () => {
    const { result: why } = answer(networkOf(firewall), 'web-0', 'api-0:9000').document
    expect(why).toMatchObject({ disposition: 'DENIED' })
    expect(why.near).toBeUndefined()
  })

  it("where a chain's policy or its last rule drops, the rules that would have accepted", () => {
    const rules = [
      '-N ALLOWED',
      '-A ALLOWED -s 10.244.1.0/24 -p tcp --dport 443 -j ACCEPT',
      '-A ALLOWED -s 10.99.0.0/16 -p udp --dport 53 -j ACCEPT',
      '-A ALLOWED -s 10.244.1.0/24 -p tcp -m multiport --dports 8000:8100,9100 -j RETURN',
      '-A ALLOWED -m conntrack --ctstate ESTABLISHED -j ACCEPT',
      '-A ALLOWED -s 10.98.0.0/16 -p tcp --dport 9000 -j ACCEPT',
      '-A ALLOWED -j DROP',
      '-I FORWARD -j ALLOWED',
    ]
    const text = firewall.replace(/iptables:\n(?: +- .*\n)+/, `iptables:\n${rules.map((rule) => `        - ${rule}\n`).join('')}`)
    const { result: why } = answer(networkOf(text), 'web-0', 'api-0:9000').document
    expect(why.disposition).toBe('DENIED')
    // one term each, in the order of the chain; the second failed in everything, the fourth is for known connections
    expect(why.near?.map(({ at, failed }) => [at, failed.map(({ text: said }) => said)])).toEqual([
      [{ chain: 'ALLOWED', rule: 1 }, ['port 9000 is not 443']],
      [{ chain: 'ALLOWED', rule: 3 }, ['port 9000 is none of 8000:8100, 9100']],
      [{ chain: 'ALLOWED', rule: 5 }, ['source 10.244.1.2 (default/web-0) is not in 10.98.0.0/16']],
    ])
    expect(why.near?.[0].provenance?.by).toBe('owner of the host')
  })

  it('reads a packet that NAT has changed, and one that no card has seen yet', () => {
    const words = (...rules: string[]): string => `iptables:\n${rules.map((rule) => `        - ${rule}\n`).join('')}`
    const changed = firewall.replace(
      /iptables:\n(?: +- .*\n)+/,
      words(
        '-t nat -A PREROUTING -p tcp --dport 9000 -j DNAT --to-destination 10.244.2.2:9443',
        '-N ALLOWED',
        '-A ALLOWED -p tcp --dport 443 -j ACCEPT',
        '-A ALLOWED -j DROP',
        '-I FORWARD -j ALLOWED',
      ),
    )
    const natted = answer(networkOf(changed.replace('"Type": "vxlan"', '"Type": "host-gw"')), 'web-0', 'api-0:9000').document
    expect(natted.result.near?.[0]?.failed.map(({ text: said }) => said)).toEqual(['port 9443 is not 443'])
    const local = firewall.replace(/iptables:\n(?: +- .*\n)+/, words('-P OUTPUT DROP', '-A OUTPUT -p tcp --dport 443 -d 192.168.10.0/24 -j ACCEPT'))
    expect(answer(networkOf(local), 'node/node-2', 'node/node-1:80').document.result.near?.[0]?.failed.map(({ text: said }) => said)).toEqual([
      'port 80 is not 443',
    ])
  })
})

describe('the classic model', () => {
  const classic = readFileSync(new URL('../../examples/calico-classic.yaml', import.meta.url), 'utf8')

  it('a profile lets in by a tag', () => {
    const { document } = answer(networkOf(classic), 'web-1', 'db-1:3306')
    expect(verdictsOf(document).find(({ direction }) => direction === 'ingress')).toMatchObject({
      verdict: 'Allow',
      reason: 'profile',
      endpoint: 'Pod/default/db-1',
      policy: 'profile DB',
      rule: 2,
    })
  })

  it('no rule of the profile lets it in: the tags that it asks for', () => {
    const { document } = answer(networkOf(classic), 'ops-1', 'db-1:3306')
    expect(verdictsOf(document).at(-1)).toMatchObject({ verdict: 'Deny', reason: 'no-profile', direction: 'ingress', endpoint: 'Pod/default/db-1' })
    const source = /^source [\d.]+ \(default\/ops-1\) is not in tag (\w+) \[set felix-v4-\1\]: it has the tag OPS$/
    expect(document.result.near?.map(({ policy, rule, failed }) => [policy, rule, source.exec(failed[0].text)?.[1]])).toEqual([
      ['profile DB', 1, 'DB'],
      ['profile DB', 2, 'DB_ACCESS'],
    ])
    expect(document.result.fixes[0]).toMatch(/^let source of ingress rule 1 of profile DB \(test\.yaml:\d+\) take in /)
  })
})
