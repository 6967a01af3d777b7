/** Pods whose egress is closed but for what rules name, and that cannot ask the cluster's DNS by one protocol or by both. */
import { grouped } from '../../base/grouped.js'
import type { Evidence, Finding } from '../../base/finding.js'
import { ConnectionSet, type Protocol } from '../connections.js'
import { parseRange } from '../address-range.js'
import { evaluatePair, type DirectionMeaning } from '../evaluate.js'
import { policyName } from '../explain/explain-line.js'
import type { End, Policy, PolicyPod, PolicyWorld } from '../model.js'
import { hasNodeLocalDns } from './address-findings.js'
import { lintFinding } from './catalogue.js'
import { listed, podsWords, type LintFacts, type PodClass } from './facts.js'
import { knownNetworks } from './known-networks.js'
import { METADATA_NAME } from './near-labels.js'
import { targetOn } from './service-facts.js'

/** kube-dns and CoreDNS of every installer; OpenShift's. */
const LABELS: readonly (readonly [key: string, value: string])[] = [
  ['k8s-app', 'kube-dns'],
  ['k8s-app', 'coredns'],
  ['dns.operator.openshift.io/daemonset-dns', 'default'],
]
const DNS_PORT = 53
/** OpenShift's DNS pods listen there. */
const OTHER_DNS_PORT = 5353
const NODE_LOCAL = '169.254.20.10'
const PROTOCOLS = ['UDP', 'TCP'] as const
type DnsProtocol = (typeof PROTOCOLS)[number]

interface DnsServer {
  readonly pod: PolicyPod
  readonly ports: Readonly<Record<DnsProtocol, number>>
}

interface Dns {
  readonly world: PolicyWorld
  readonly servers: readonly DnsServer[]
  /** No DNS is in the input: netsim asks about pods such as every cluster has. */
  readonly imagined: boolean
  /** That the Service has, where there is one. */
  readonly offered: readonly DnsProtocol[]
  /** By namespace of whoever asks. */
  readonly near: Map<string, PolicyWorld>
}

export function dnsFindings(facts: LintFacts): readonly Finding[] {
  const dns = findDns(facts)
  const elsewhere = ownResolvers(facts)
  const cut = facts.classes.flatMap((one) => {
    const { pod } = one
    if (pod.hostNetwork || elsewhere.has(`${pod.namespace}/${pod.name}`) || dns.servers.some((server) => server.pod === pod)) return []
    const found = missingOf(facts, dns, pod)
    return found === undefined ? [] : [{ one, ...found }]
  })
  const keyOf = ({ missing, selecting, side }: (typeof cut)[number]): string => JSON.stringify([side, missing, selecting.map(policyName)])
  const told = [...grouped(cut, keyOf).values()].map((group) => dnsFinding(facts, dns, { ...group[0], classes: group.map(({ one }) => one) }))
  return [...told, ...nodeLocalFindings(facts, dns, new Set(cut.map(({ one }) => one)))]
}

/** dnsPolicy Default and None: what the node asks, or what the pod names itself. */
function ownResolvers({ state }: LintFacts): ReadonlySet<string> {
  const pods = [...state.pods, ...state.madePods, ...state.idle]
  return new Set(pods.filter(({ dnsPolicy }) => dnsPolicy === 'Default' || dnsPolicy === 'None').map(({ namespace, name }) => `${namespace}/${name}`))
}

function findDns({ world, state }: LintFacts): Dns {
  const service = state.services.find(({ namespace, name }) => namespace === 'kube-system' && (name === 'kube-dns' || name === 'coredns'))
  const portOf = (pod: PolicyPod, protocol: DnsProtocol): number => {
    const own = service?.ports.find((port) => port.protocol === protocol && port.port === DNS_PORT)
    const declared = pod.ports.find((port) => port.protocol === protocol && (port.port === DNS_PORT || port.port === OTHER_DNS_PORT))
    return (own === undefined ? undefined : targetOn(pod, own)) ?? declared?.port ?? DNS_PORT
  }
  const pods = dnsPods(world)
  const ofService = PROTOCOLS.filter((protocol) => service?.ports.some((port) => port.protocol === protocol && port.port === DNS_PORT) === true)
  const offered = ofService.length === 0 ? PROTOCOLS : ofService
  if (pods.length > 0)
    return {
      world,
      imagined: false,
      offered,
      near: new Map(),
      servers: pods.map((pod) => ({ pod, ports: { UDP: portOf(pod, 'UDP'), TCP: portOf(pod, 'TCP') } })),
    }
  const namespaces = world.namespaces.has(IMAGINED.namespace)
    ? world.namespaces
    : new Map([...world.namespaces, [IMAGINED.namespace, { name: IMAGINED.namespace, labels: { 'kubernetes.io/metadata.name': IMAGINED.namespace } }]])
  return {
    world: { ...world, namespaces, pods: [...world.pods, IMAGINED] },
    imagined: true,
    offered: PROTOCOLS,
    near: new Map(),
    servers: [{ pod: IMAGINED, ports: { UDP: DNS_PORT, TCP: DNS_PORT } }],
  }
}

/** That the input has. */
export function dnsPods({ pods }: PolicyWorld): readonly PolicyPod[] {
  return pods.filter(({ labels, hostNetwork }) => !hostNetwork && LABELS.some(([key, value]) => labels[key] === value))
}

/** As kubeadm makes it. */
const IMAGINED: PolicyPod = {
  kind: 'pod',
  namespace: 'kube-system',
  name: 'coredns',
  labels: { 'k8s-app': 'kube-dns' },
  ports: [
    { name: 'dns', protocol: 'UDP', port: DNS_PORT },
    { name: 'dns-tcp', protocol: 'TCP', port: DNS_PORT },
  ],
  hostNetwork: false,
  serviceAccount: 'coredns',
  addresses: [],
  workload: { kind: 'Deployment', name: 'coredns' },
  imagined: true,
  file: '',
  line: 0,
}

interface Missing {
  readonly missing: readonly DnsProtocol[]
  readonly selecting: readonly Policy[]
  readonly side: 'egress' | 'ingress'
}

/** undefined: it can ask, or is kept from everything, and has nothing to ask for. */
function missingOf(facts: LintFacts, dns: Dns, pod: PolicyPod): Missing | undefined {
  const world = nearWorld(dns, pod)
  const pairs = dns.servers.map(({ pod: server, ports }) => ({ ports, pair: evaluatePair(world, pod, server) }))
  const { egress } = pairs[0].pair
  if (egress.selecting.length > 0) {
    if (!letsSomethingOut(egress)) return undefined
    const missing = dns.offered.filter(
      (protocol) =>
        !(dns.imagined && namesDns(egress.selecting, protocol)) &&
        pairs.some(({ ports, pair }) => !pair.egress.allowed.has({ protocol, port: ports[protocol] })),
    )
    if (missing.length > 0) return { missing, selecting: egress.selecting, side: 'egress' }
  }
  // who is to blame then stands before the DNS pods; nobody is where there are none
  const { ingress } = pairs[0].pair
  if (dns.imagined || ingress.selecting.length === 0 || facts.classes.length === 0) return undefined
  const missing = dns.offered.filter((protocol) => pairs.some(({ ports, pair }) => !pair.ingress.allowed.has({ protocol, port: ports[protocol] })))
  return missing.length === 0 ? undefined : { missing, selecting: ingress.selecting, side: 'ingress' }
}

/** With the policies that can select the pod or a DNS server: of thousands of namespaces most have nothing to do with it. */
function nearWorld({ world, servers, near }: Dns, { namespace }: PolicyPod): PolicyWorld {
  let found = near.get(namespace)
  if (found === undefined) {
    const names = new Set(['', namespace, ...servers.map(({ pod }) => pod.namespace)])
    found = { ...world, tiers: world.tiers.map((tier) => ({ ...tier, policies: tier.policies.filter((policy) => names.has(policy.namespace)) })) }
    near.set(namespace, found)
  }
  return found
}

function letsSomethingOut({ selecting }: DirectionMeaning): boolean {
  return selecting.some(({ egress }) => egress.some(({ action, peers }) => action === 'allow' && peers.length > 0))
}

/** A rule that opens the port of DNS towards somebody: whom exactly cannot be judged without the pods. */
function namesDns(selecting: readonly Policy[], protocol: Protocol): boolean {
  return selecting.some(({ egress }) =>
    egress.some(
      ({ action, ports, peers }) =>
        action === 'allow' &&
        peers.length > 0 &&
        !ports.fixed.isAll &&
        ([DNS_PORT, OTHER_DNS_PORT].some((port) => ports.fixed.has({ protocol, port })) ||
          ports.named.some(({ name, protocol: own }) => name.startsWith('dns') && (own === undefined || own === protocol))),
    ),
  )
}

interface Cut extends Missing {
  readonly classes: readonly PodClass[]
}

function dnsFinding(facts: LintFacts, dns: Dns, { missing, selecting, side, classes }: Cut): Finding {
  const whose = dns.imagined ? 'kube-dns in kube-system' : podsWords(facts.classes.filter(({ pod }) => dns.servers.some((server) => server.pod === pod)))
  const names = listed(selecting.map(policyName))
  const ports = [...new Set(missing.map((protocol) => `${protocol} ${dns.servers[0].ports[protocol]}`))].join(' and ')
  const who = podsWords(classes)
  const plural = selecting.length === 1
  const what =
    side === 'egress'
      ? `${who}: no rule of ${names} lets ${ports} out to ${whose}`
      : `${who}: ${names} ${plural ? 'does' : 'do'} not let ${ports} in to ${whose}`
  const evidence: Evidence[] = selecting.map((policy) => facts.evidence(policy, `closes ${side}`))
  const [first] = dns.servers
  const numbers = `${dns.offered.join(' and ')} ${[...new Set(dns.offered.map((protocol) => first.ports[protocol]))].join(' and ')}`
  const add =
    side === 'egress'
      ? `Add an egress rule: to namespaceSelector ${METADATA_NAME}: ${first.pod.namespace} with podSelector ${labelWords(first.pod)}, ports ${numbers}.`
      : `Let every pod in there on ${numbers}.`
  if (missing.length === dns.offered.length) return lintFinding('NP401', { what, evidence, fix: add })
  // most answers fit into UDP: who left out TCP has seldom felt it
  return lintFinding('NP402', { what, evidence, fix: add, ...(missing.includes('UDP') ? {} : { severity: 'info' }) })
}

function labelWords({ labels }: PolicyPod): string {
  const found = LABELS.find(([key, value]) => labels[key] === value)
  return found === undefined ? 'of the DNS pods' : found.join(': ')
}

/** The cache answers on the node, at an address of its own and at that of kube-dns: no packet of a pod goes to the pods of kube-dns. */
function nodeLocalFindings(facts: LintFacts, dns: Dns, told: ReadonlySet<PodClass>): readonly Finding[] {
  if (!hasNodeLocalDns(facts)) return []
  const own = knownNetworks(facts.state).clusterIps.filter(({ service }) => service === 'kube-system/kube-dns')
  const targets = [parseRange(NODE_LOCAL), ...own.map(({ range }) => range)].flatMap((range): End[] =>
    range === undefined ? [] : [{ kind: 'outside', range }],
  )
  const wanted = ConnectionSet.of('UDP', DNS_PORT)
  const cut = facts.classes.filter((one) => {
    if (one.pod.hostNetwork || told.has(one)) return false
    const pairs = targets.map((target) => evaluatePair(nearWorld(dns, one.pod), one.pod, target).egress)
    return pairs[0].selecting.length > 0 && letsSomethingOut(pairs[0]) && !pairs.some(({ allowed }) => allowed.covers(wanted))
  })
  const policiesOf = ({ pod }: PodClass): readonly Policy[] => evaluatePair(nearWorld(dns, pod), pod, targets[0]).egress.selecting
  return [...grouped(cut, (one) => JSON.stringify(policiesOf(one).map(policyName))).values()].map((classes) => {
    const selecting = policiesOf(classes[0])
    return lintFinding('NP401', {
      what: `${podsWords(classes)}: NodeLocal DNSCache answers at ${NODE_LOCAL}, and no rule of ${listed(selecting.map(policyName))} lets UDP 53 out to it`,
      evidence: selecting.map((policy) => facts.evidence(policy, 'closes egress')),
      severity: 'info',
      fix: `Add an egress rule to ipBlock ${NODE_LOCAL}/32, UDP and TCP 53, where the engine applies policies to packets for the own node.`,
    })
  })
}
