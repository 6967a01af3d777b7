/**
 * `netsim check`: a cluster held against the Kubernetes network model and the common faults. From a network to a CheckReport; of a cluster from which
 * none can be built, to what its objects alone show.
 *
 *   objects ─▶ addresses, ports, policies      packets ─▶ pod to pod, node to pod, full sizes, probes
 */
import { findingsInOrder, isWanted, reportFindings, type Finding, type Wanted } from '../../base/finding.js'
import type { Problem } from '../../base/problem.js'
import type { Cluster } from '../../cluster/cluster.js'
import type { ServiceEndpoints } from '../../cluster/services/service.js'
import type { Network } from '../../network/network.js'
import { addressFindings, type NamedNetwork } from './address-findings.js'
import { codeInfo } from './catalogue.js'
import { CODES, type Code } from './codes.js'
import type { AskedDocument, CheckReport } from './finding.js'
import { checkModel } from './model-check.js'
import { mtuFindings } from './mtu-findings.js'
import { bridgeFindings, forwardingFindings, policyFindings } from './object-findings.js'
import { policyMeaningFindings } from './policy-findings.js'
import { portFindings } from './port-findings.js'
import { probeFindings } from './probe-findings.js'
import { endpointFindings } from './service-findings.js'

export interface CheckOptions extends Wanted {
  readonly seed: number
  readonly only: readonly Code[]
  readonly skip: readonly Code[]
  readonly tool: string
  readonly inputs: readonly string[]
  /** Of the reading and the building of the input; what they know of a fault is taken over. */
  readonly problems?: readonly Problem[]
}

export interface Checked {
  readonly report: CheckReport
  /** All that was found, whatever was asked to be told. */
  readonly found: readonly Finding[]
}

interface Found {
  readonly findings: readonly Finding[]
  readonly asked: readonly AskedDocument[]
  readonly notJudged: readonly string[]
}

/** Asks some hundred questions of the network; the rows of the last one stand afterwards. */
export function checkNetwork(network: Network, options: CheckOptions): Checked {
  const { cluster } = network
  const objects = objectFindings(cluster, options, { pools: poolsOf(network), services: network.services.endpoints })
  const packets = CODES_OF_PACKETS.some((code) => isWanted(code, options)) ? packetFindings(network, options) : NOTHING
  const findings = [...objects, ...packets.findings]
  return reportOf(cluster, { ...packets, findings, notJudged: [...packets.notJudged, ...notModelled(network)] }, { options, backend: backendOf(network) })
}

/** Nothing can be built from it: what its objects alone show. */
export function checkObjects(cluster: Cluster, options: CheckOptions): Checked {
  const findings = [...objectFindings(cluster, options, { pools: [], services: [] }), ...forwardingFindings(cluster, () => false)]
  const notJudged = ['packets: the network cannot be built before the errors of its objects are mended']
  return reportOf(cluster, { findings, asked: [], notJudged }, { options, backend: '' })
}

const NOTHING: Found = { findings: [], asked: [], notJudged: [] }
const CODES_OF_PACKETS = CODES.filter((code) => codeInfo(code).traced)

interface Known {
  readonly pools: readonly NamedNetwork[]
  readonly services: readonly ServiceEndpoints[]
}

function objectFindings(cluster: Cluster, options: CheckOptions, { pools, services }: Known): readonly Finding[] {
  return [
    ...addressFindings(cluster, pools),
    ...portFindings(cluster),
    ...policyFindings(cluster),
    ...policyMeaningFindings(cluster, (code) => isWanted(code, options)),
    ...bridgeFindings(cluster),
    ...endpointFindings(services, cluster.pods, options.problems ?? []),
  ]
}

function packetFindings(network: Network, options: CheckOptions): Found {
  const notJudged: string[] = []
  const { flows, asked, tooBig } = checkModel(network, options.seed)
  const sized = mtuFindings(network, tooBig, (what) => void notJudged.push(what))
  const probes = probeFindings(network, options.seed)
  const forwarding = forwardingFindings(network.cluster, (node) => flows.met('NM101', node))
  return {
    findings: [...flows.findings(), ...forwarding, ...sized, ...probes.findings],
    asked: [...asked, ...(probes.asked.of === 0 ? [] : [probes.asked])],
    notJudged: [...nothingToAsk(network), ...notJudged, ...flows.unknown.values()],
  }
}

/** Without pods and nodes nothing was asked, and nothing is known. */
function nothingToAsk({ cluster }: Network): readonly string[] {
  if (cluster.nodes.length === 0) return ['packets: there is no Node']
  return cluster.pods.some(({ hostNetwork, terminated, node }) => !hostNetwork && !terminated && node !== undefined)
    ? []
    : ['packets: no pod has a network of its own']
}

/** Where Calico gives pods their addresses from. */
function poolsOf({ cluster, calico }: Network): readonly NamedNetwork[] {
  // in Canal flannel gives them
  if (cluster.cni === 'canal') return []
  return (calico?.cluster.resources.ipPools ?? []).map(({ name, cidr, file, line }) => ({
    kind: 'pods',
    name: `IPPool ${name}`,
    prefix: cidr,
    place: { file, line },
    assumed: false,
  }))
}

function notModelled({ calico }: Network): readonly string[] {
  return (calico?.unmodelled ?? []).map((setting) => `Felix: ${setting} of the FelixConfiguration is not modelled`)
}

function backendOf({ flannel }: Network): string {
  return flannel?.config?.backendType ?? ''
}

function reportOf(
  cluster: Cluster,
  { findings, asked, notJudged }: Found,
  { options, backend }: { readonly options: CheckOptions; readonly backend: string },
): Checked {
  const found = findingsInOrder(findings)
  const { seed, tool, inputs } = options
  const report: CheckReport = {
    apiVersion: 'netsim/v1',
    kind: 'Findings',
    metadata: {
      tool,
      seed,
      inputs,
      cni: cluster.cni,
      backend,
      runtime: cluster.runtime.name,
      nodes: cluster.nodes.length,
      pods: cluster.pods.filter(({ terminated }) => !terminated).length,
    },
    asked,
    ...reportFindings(found, options),
    notJudged,
  }
  return { report, found }
}
