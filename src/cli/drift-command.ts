/** `netsim drift`: renders the cluster, reads the dumps, holds the one against the other, prints the findings. Loaded when it is called. */
import { driftCatalogue } from '../analysis/drift/catalogue.js'
import { driftOf } from '../analysis/drift/drift.js'
import { driftText } from '../analysis/drift/drift-text.js'
import type { DriftFinding, DriftReport } from '../analysis/drift/finding.js'
import { withHostFacts } from '../analysis/drift/host-facts.js'
import { toldByDumps } from '../analysis/drift/told-by-dumps.js'
import { findingsJunit } from '../analysis/findings-junit.js'
import { sarifLog } from '../analysis/findings-sarif.js'
import { isWanted, SEVERITIES } from '../base/finding.js'
import { hasErrors, type Problem } from '../base/problem.js'
import type { CollectedNode } from '../collected/collected-node.js'
import { checkCollected } from '../network/collected-cluster.js'
import { checkIdentity } from '../network/collected-identity.js'
import { composeNetwork, type Network } from '../network/network.js'
import type { DriftFlags } from './drift-verb.js'
import { EXIT_BAD_INPUT, EXIT_NOT_DELIVERED, EXIT_OK, EXIT_UNKNOWN, UsageError } from './exit.js'
import { fileUri } from './file-uri.js'
import type { Io } from './io.js'
import { calicoOf, readNetwork, report, type ReadNetwork } from './load-network.js'
import { readNodes } from './node-input.js'
import { inputFlags } from './question.js'
import { wantsAscii, wantsColor, widthOf } from './terminal.js'
import { VERSION } from './version.js'

/** The exit status. */
export async function drift(flags: DriftFlags, io: Io): Promise<number> {
  const { node = [], filename, etcd = [], ...rest } = flags
  if (node.length === 0) throw new UsageError('drift wants the dump of a node: --node NAME=DIR (netsim collect prints the script that makes one)')
  if (filename.length === 0 && etcd.length === 0)
    throw new UsageError('drift wants the cluster that the agents were told of: -f FILE (kubectl get nodes,pods,svc,endpointslices,cm -A -o yaml)')
  const { nodes, problems } = await readNodes(node, io)
  let words: readonly string[] = []
  const read = await readNetwork({ ...rest, filename, ...(etcd.length === 0 ? {} : { etcd }) }, io, (cluster) => {
    const told = toldByDumps(cluster, nodes)
    words = told.words
    return told.inputs
  })
  const others = hasErrors(problems) ? [] : checkIdentity(read.cluster, nodes)
  if (others.length > 0) {
    await report(others, io)
    return EXIT_BAD_INPUT
  }
  const dumped = [...problems, ...checkCollected(nodes, read.cluster), ...nodes.flatMap((one) => one.problems)]
  const built = hasErrors([...read.problems, ...dumped]) ? { problems: [] } : await asHosts(read, nodes, flags.seed)
  const all = [...read.problems, ...dumped, ...built.problems]
  await report(all, io)
  if (built.network === undefined || hasErrors(all)) return EXIT_BAD_INPUT
  const { network } = built
  const { seed, severity, only, skip } = flags
  const inputs = nodes.map((collected) => ({ name: collected.name, dataplane: collected.dataplane, collected }))
  const found = driftOf(network, inputs, { seed, severity, only, skip, tool: `netsim ${VERSION}`, inputs: read.inputs, told: words })
  await report(network.lateProblems, io)
  if (hasErrors(network.lateProblems)) return EXIT_BAD_INPUT
  await io.out(printed(withFiles(found, flags), flags, io))
  if (fails(found.findings, flags)) return EXIT_NOT_DELIVERED
  return found.findings.length === 0 && found.notJudged.length > 0 ? EXIT_UNKNOWN : EXIT_OK
}

/** Where the dumps say what no file does (how much a card carries), the agents are rendered anew. */
async function asHosts(
  { cluster, network }: ReadNetwork,
  nodes: readonly CollectedNode[],
  seed: number,
): Promise<{ readonly network?: Network; readonly problems: readonly Problem[] }> {
  const told = withHostFacts(cluster, nodes)
  if (network === undefined || told === cluster) return { problems: [], ...(network === undefined ? {} : { network }) }
  return { network: composeNetwork(told, { seed, ...(await calicoOf(told)) }).network, problems: [] }
}

function fails(findings: readonly DriftFinding[], { failOn, severity }: DriftFlags): boolean {
  const least = failOn ?? severity
  return least !== 'never' && findings.some((one) => SEVERITIES.indexOf(one.severity) <= SEVERITIES.indexOf(least))
}

/** So that a command of a finding asks the same network. */
function withFiles(found: DriftReport, flags: DriftFlags): DriftReport {
  const more = inputFlags(flags)
  const findings = found.findings.map((one) => ({
    ...one,
    traffic: { ...one.traffic, changes: one.traffic.changes.map((change) => ({ ...change, command: change.command + more })) },
  }))
  return { ...found, findings }
}

function printed(found: DriftReport, flags: DriftFlags, io: Io): string {
  const { output } = flags
  const catalogue = driftCatalogue()
  if (output === 'json') return `${JSON.stringify(found, null, 2)}\n`
  if (output === 'sarif')
    return `${JSON.stringify(sarifLog(withMends(found), { catalogue, version: VERSION, relative: (file) => fileUri(file, io) }), null, 2)}\n`
  if (output === 'junit') {
    const judged = catalogue.filter(({ code }) => isWanted(code, flags))
    return findingsJunit(withMends(found), { command: 'netsim drift', suite: found.metadata.nodes.map(({ name }) => name).join(' '), judged })
  }
  const color = wantsColor(flags.color === false ? 'never' : flags.color, io)
  return driftText(found, { width: widthOf(io), color, ascii: wantsAscii(flags.ascii, io), verbosity: flags.verbose })
}

/** Forms that know no commands have them in the fix. */
function withMends(found: DriftReport): DriftReport {
  return { ...found, findings: found.findings.map((one) => ({ ...one, fix: [one.fix, ...one.commands].join('\n') })) }
}
