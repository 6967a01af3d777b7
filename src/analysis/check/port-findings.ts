/** Ports of nodes that two want: pods on the host's network, hostPorts, node ports, and the sockets of the node's own agents. */
import type { Cluster } from '../../cluster/cluster.js'
import type { ClusterService } from '../../cluster/services/service.js'
import { finding } from './catalogue.js'
import type { Finding } from '../../base/finding.js'
import { podName } from './pair-classes.js'

interface Claim {
  readonly who: string
  readonly object: string
  readonly file: string
  readonly line: number
  /** Empty: every address. */
  readonly address: string
}

const EVERY = ['', '0.0.0.0', '::']

export function portFindings(cluster: Cluster): readonly Finding[] {
  const claims = new Map<string, Claim[]>()
  for (const pod of cluster.pods) {
    if (pod.terminated || pod.node === undefined) continue
    for (const { port, protocol, hostPort, hostIP, line } of pod.ports) {
      const wanted = pod.hostNetwork ? port : hostPort
      if (wanted === undefined) continue
      const how = pod.hostNetwork ? "on its node's network" : `with a hostPort`
      note(claims, `${pod.node} ${protocol} ${wanted}`, {
        who: `${podName(pod)} ${how}`,
        object: pod.object.label,
        file: pod.file,
        line,
        address: EVERY.includes(hostIP ?? '') || pod.hostNetwork ? '' : (hostIP ?? ''),
      })
    }
  }
  return [...clashes(claims), ...nodePortClashes(cluster.services, claims)]
}

function note(claims: Map<string, Claim[]>, key: string, claim: Claim): void {
  const known = claims.get(key)
  if (known === undefined) claims.set(key, [claim])
  else known.push(claim)
}

function portWords(key: string): string {
  const [node, protocol, port] = key.split(' ')
  return `${protocol} port ${port} of node ${node}`
}

function clashes(claims: ReadonlyMap<string, readonly Claim[]>): readonly Finding[] {
  return [...claims].flatMap(([key, all]) => {
    const second = all.find((one, index) => all.slice(0, index).some((other) => other.address === '' || one.address === '' || other.address === one.address))
    if (second === undefined) return []
    const what = `${portWords(key)} is wanted by ${all.map(({ who }) => who).join(' and ')}`
    return finding('NM501', { what, evidence: [second, ...all.filter((one) => one !== second)].map(evidenceOf) })
  })
}

function evidenceOf({ who, object, file, line }: Claim): Finding['evidence'][number] {
  return { what: who, object, ...(line === 0 ? {} : { file, line }) }
}

/** A node port is one of every node: another Service's, or a pod's on some node. */
function nodePortClashes(services: readonly ClusterService[], claims: ReadonlyMap<string, readonly Claim[]>): readonly Finding[] {
  const found: Finding[] = []
  const first = new Map<string, Claim>()
  const byPort = new Map<string, (readonly [string, Claim])[]>()
  for (const [key, all] of claims) {
    const [, protocol, port] = key.split(' ')
    byPort.set(`${protocol} ${port}`, [...(byPort.get(`${protocol} ${port}`) ?? []), ...all.map((claim) => [key, claim] as const)])
  }
  for (const service of services) {
    for (const { protocol, nodePort, file, line, nodePortAssumed } of service.ports) {
      if (nodePort === undefined || nodePortAssumed) continue
      const claim: Claim = { who: `the node port of Service ${service.namespace}/${service.name}`, object: service.object.label, file, line, address: '' }
      const key = `${protocol} ${nodePort}`
      const other = first.get(key)
      if (other === undefined) first.set(key, claim)
      else
        found.push(
          finding('NM501', {
            what: `${protocol} port ${nodePort} of every node is wanted by ${claim.who} and ${other.who}`,
            evidence: [claim, other].map(evidenceOf),
          }),
        )
      for (const [at, held] of byPort.get(key) ?? [])
        found.push(
          finding('NM501', {
            what: `${portWords(at)} is wanted by ${held.who} and ${claim.who}`,
            effect: 'Packets to the port go to the Service; the pod gets none from elsewhere.',
            evidence: [claim, held].map(evidenceOf),
          }),
        )
    }
  }
  return found
}
