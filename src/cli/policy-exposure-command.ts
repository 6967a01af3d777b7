/** `netsim policy exposure`: reads the manifests, makes up the pods that are not there, prints what is open to them. Loaded when it is called. */
import { ConnectionSet } from '../policy/connections.js'
import { exposureDocuments, newcomerDocument } from '../policy/exposure/exposure-document.js'
import { exposureOf, workloadsOf, type Workload } from '../policy/exposure/exposure.js'
import { newcomer } from '../policy/exposure/newcomer.js'
import { outsideRanges } from '../policy/outside.js'
import { EXIT_BAD_INPUT, UsageError } from './exit.js'
import type { Io } from './io.js'
import { safe } from './load-network.js'
import { exposureLines, newcomerLines } from './policy-exposure-text.js'
import type { PolicyExposureFlags } from './policy-exposure-verb.js'
import { loadPolicyState } from './policy-input.js'

/** The exit status. */
export async function policyExposure(flags: PolicyExposureFlags, io: Io): Promise<number> {
  const { labels, inNamespace, inNamespaceWith, port, output } = flags
  const isNewcomer = labels !== undefined || inNamespace !== undefined || inNamespaceWith !== undefined || flags.ports !== undefined
  if (inNamespace !== undefined && inNamespaceWith !== undefined) throw new UsageError('--in-namespace and --in-namespace-with are one or the other')
  if (isNewcomer && flags.focus.length > 0) throw new UsageError('--focus is for the workloads that are there, not for a pod that is to come')
  const loaded = await loadPolicyState(flags, io)
  if (loaded === undefined) return EXIT_BAD_INPUT
  const { world, exit } = loaded
  if (world.noEngine !== undefined)
    await io.err(`warning: ${safe(world.noEngine)}: the policies of the input have no effect, everything is open (--enforced: as if they had)\n`)
  const within = port === undefined ? undefined : ConnectionSet.of(port.protocol, port.port)
  if (isNewcomer) {
    const namespace = inNamespace ?? (inNamespaceWith === undefined ? flags.namespace : undefined)
    const wish = {
      ...(namespace === undefined ? {} : { namespace }),
      ...(inNamespaceWith && { namespaceLabels: inNamespaceWith }),
      labels: labels ?? {},
      ports: flags.ports ?? [],
    }
    const found = newcomer(world, wish, within)
    await io.out(output === 'json' ? json(newcomerDocument(found)) : newcomerLines(found, world, flags.direction))
    return exit
  }
  const ranges = outsideRanges(world).map(({ range }) => range)
  const workloads = workloadsOf(world).filter((workload) => isWanted(workload, flags.focus))
  for (const name of flags.focus.filter((one) => !workloads.some((workload) => isWanted(workload, [one]))))
    await io.err(`warning: no workload is called ${safe(name)}\n`)
  const exposures = exposureOf(world, workloads, ranges)
  await io.out(output === 'json' ? json(exposureDocuments(exposures)) : exposureLines(exposures, { within, direction: flags.direction }))
  return exit
}

function isWanted({ namespace, name }: Workload, focus: readonly string[]): boolean {
  return focus.length === 0 || focus.includes(name) || focus.includes(`${namespace}/${name}`)
}

function json(document: unknown): string {
  return `${JSON.stringify(document, null, 2)}\n`
}
