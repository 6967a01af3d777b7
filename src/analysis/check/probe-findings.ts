/**
 * The kubelet's probes as packets: from the node's own network to the port of each httpGet, tcpSocket or gRPC probe of its pods. Probes that ask the
 * same port of pods of one class are one question.
 */
import { parseIp } from '../../base/ip.js'
import type { ClusterPod } from '../../cluster/pod.js'
import type { Container, Probe } from '../../cluster/pod-containers.js'
import type { Network } from '../../network/network.js'
import { isOutcome } from '../../network/probe.js'
import { DEFAULT_REQUEST } from '../../network/request.js'
import { traceDocument } from '../trace-report.js'
import { finding } from './catalogue.js'
import type { Evidence, Finding } from '../../base/finding.js'
import type { AskedDocument } from './finding.js'
import { ruleEvidence } from './flow-findings.js'
import { podEnd } from './asker.js'
import { podClasses, podName } from './pair-classes.js'
import { walkFacts } from './walk-facts.js'

const MOST_PROBES = 400

interface AskedProbe {
  readonly pod: ClusterPod
  readonly container: Container
  readonly probe: Probe
  readonly port: number
  /** Pods of the class with the same probe. */
  pods: number
}

export function probeFindings(network: Network, seed: number): { readonly findings: readonly Finding[]; readonly asked: AskedDocument } {
  const probes = probesOf(network)
  const chosen = probes.slice(0, MOST_PROBES)
  const findings = [...chosen.flatMap((asked) => blocked(network, asked, seed)), ...probes.flatMap(closed)]
  const sum = (all: readonly AskedProbe[]): number => all.reduce((total, { pods }) => total + pods, 0)
  return { findings, asked: { what: 'probes', asked: chosen.length, of: probes.length, pairs: sum(probes), covered: sum(chosen) } }
}

function probesOf(network: Network): readonly AskedProbe[] {
  const found = new Map<string, AskedProbe>()
  for (const [index, { pods }] of podClasses(network).entries()) {
    for (const pod of pods) {
      for (const container of pod.containers) {
        for (const probe of container.probes) {
          const port = portNumber(container, probe)
          // another host than the pod itself is no flow to the pod
          if (port === undefined || (probe.host !== undefined && parseIp(probe.host) !== pod.address)) continue
          const key = JSON.stringify([index, container.name, probe.kind, port, container.ports.map((declared) => declared.port)])
          const known = found.get(key)
          if (known === undefined) found.set(key, { pod, container, probe, port, pods: 1 })
          else known.pods++
        }
      }
    }
  }
  return [...found.values()]
}

/** A name is one of the container's own ports. */
function portNumber({ ports }: Container, { port }: Probe): number | undefined {
  return typeof port === 'string' && !/^\d+$/.test(port) ? ports.find(({ name }) => name === port)?.port : port === undefined ? undefined : Number(port)
}

function probeWords({ pod, container, probe, port, pods }: AskedProbe): string {
  const more = pods === 1 ? '' : ` (and so ${pods} pods)`
  return `the ${probe.kind} probe of ${podName(pod)}${container.name === '' ? '' : ` (${container.name})`} to port ${port}${more}`
}

function place({ pod, probe }: AskedProbe): Pick<Evidence, 'file' | 'line' | 'object'> {
  return { object: pod.object.label, ...(probe.line === 0 ? {} : { file: pod.file, line: probe.line }) }
}

function blocked(network: Network, asked: AskedProbe, seed: number): readonly Finding[] {
  const { pod, port } = asked
  const request = { ...DEFAULT_REQUEST, seed, source: `node/${pod.node ?? ''}`, destination: `${podEnd(pod)}:${port}`, proto: 'tcp', listen: true } as const
  const outcome = network.trace(request)
  if (!isOutcome(outcome)) return []
  const { loss } = walkFacts(network, outcome)
  if (loss === undefined || (loss.leg.disposition !== 'DENIED' && loss.leg.disposition !== 'REJECTED')) return []
  const { result } = traceDocument(network, outcome)
  const fix = result.fixes.join('; or ')
  return [
    finding('NM602', {
      what: `${probeWords(asked)} does not arrive: ${result.cause}`,
      evidence: [
        { what: probeWords(asked), ...place(asked), ...(result.next.length === 0 ? {} : { command: result.next[0] }) },
        ...(loss.rule === undefined ? [] : [{ what: 'the rule that drops it', ...ruleEvidence(loss.rule) }]),
      ],
      ...(fix === '' ? {} : { fix }),
    }),
  ]
}

/** A pod that declares no port at all says nothing of what listens; one that is ready shows that its probes are answered. */
function closed(asked: AskedProbe): readonly Finding[] {
  const { pod, port } = asked
  const tcp = pod.ports.filter(({ protocol }) => protocol === 'TCP')
  if (tcp.length === 0 || tcp.some((declared) => declared.port === port)) return []
  return [
    finding('NM603', {
      what: `${probeWords(asked)}: its containers declare ${tcp.map((declared) => declared.port).join(', ')}`,
      evidence: [{ what: `port ${port} of the probe`, ...place(asked) }],
      ...(pod.ready ? { severity: 'info' } : {}),
    }),
  ]
}
