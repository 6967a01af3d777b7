/** `netsim policy fix`: reads the manifests, looks for edits, prints them. Loaded when it is called. */
import type { Problem } from '../base/problem.js'
import { wholeEnds } from '../policy/assert/assertion-ends.js'
import { askedPort, splitTarget, type AskedPort } from '../policy/assert/assertions-file.js'
import { askedOf } from '../policy/assert/assertions.js'
import { ConnectionSet } from '../policy/connections.js'
import { endNamed, isProblem } from '../policy/ends.js'
import { endWords } from '../policy/explain/explain-terms.js'
import { fixDocument, fixYaml } from '../policy/fix/fix-document.js'
import { findFixes, type FixQuestion, type FixResult } from '../policy/fix/fix.js'
import type { End, PolicyWorld } from '../policy/model.js'
import { workloadName } from '../policy/peer-name.js'
import { EXIT_BAD_INPUT, EXIT_NOT_DELIVERED, UsageError } from './exit.js'
import type { Io } from './io.js'
import { safe } from './load-network.js'
import { fixText } from './policy-fix-text.js'
import type { PolicyFixFlags } from './policy-fix-verb.js'
import { loadPolicyState, type LoadedPolicies } from './policy-input.js'
import { tell } from './question.js'
import { wantsAscii, wantsColor, widthOf } from './terminal.js'

/** The exit status. */
export async function policyFix(source: string, destination: string, flags: PolicyFixFlags, io: Io): Promise<number> {
  if (!flags.allow && !flags.deny) throw new UsageError('say what is wanted: --allow or --deny')
  const loaded = await loadPolicyState(flags, io)
  if (loaded === undefined) return EXIT_BAD_INPUT
  const question = questionOf(loaded.world, { source, destination }, flags)
  if ('what' in question) {
    await tell([question], io)
    return EXIT_BAD_INPUT
  }
  const { noEngine } = loaded.world
  if (noEngine !== undefined) await io.err(`warning: ${safe(noEngine)}: no policy of the input has an effect (--enforced: as if they had)\n`)
  const result = findFixes(loaded, question, workloadName)
  const names = { src: titleOf(question.source), dst: titleOf(question.destination) }
  if (flags.output === 'json') await io.out(`${JSON.stringify(fixDocument(loaded, result, names), null, 2)}\n`)
  else if (flags.output === 'yaml') await printYaml(result, flags, io)
  else await io.out(textOf(loaded, result, flags, io))
  return result.already || result.fixes.length > 0 ? loaded.exit : EXIT_NOT_DELIVERED
}

function textOf(loaded: LoadedPolicies, result: FixResult, flags: PolicyFixFlags, io: Io): string {
  const color = wantsColor(flags.color === false ? 'never' : flags.color, io)
  const page = { width: widthOf(io), color, ascii: wantsAscii(flags.ascii, io) }
  const { source, destination } = result.question
  const shown = flags.all ? result.fixes.map((_, index) => index) : [Math.min(flags.pick, result.fixes.length) - 1]
  return fixText(loaded, result, { ...page, names: { src: titleOf(source), dst: titleOf(destination) }, shown })
}

async function printYaml({ already, fixes }: FixResult, { pick }: PolicyFixFlags, io: Io): Promise<void> {
  const fix = fixes.at(pick - 1) ?? fixes.at(0)
  if (fix === undefined) await io.err(already ? 'it is so already: nothing to apply\n' : 'no edit of policies or labels brings it about\n')
  else await io.out(fixYaml(fix))
}

/** Edits are for workloads, whatever pod was named. */
function titleOf(end: End): string {
  return end.kind === 'pod' ? workloadName(end) : endWords(end)
}

interface Ends {
  readonly source: string
  readonly destination: string
}

/** Of a workload the first pod is asked, and the edit names all of them. */
function questionOf(world: PolicyWorld, ends: Ends, { allow, proto, namespace }: PolicyFixFlags): FixQuestion | Problem {
  const target = splitTarget(ends.destination)
  const source = endNamed(world, ends.source, namespace)
  if (isProblem(source)) return source
  const destination = endNamed(world, target.end, namespace)
  if (isProblem(destination)) return destination
  const cut = [source, destination].find((end) => (wholeEnds<End>(world, [end]) as readonly End[]).length > 1)
  if (cut !== undefined) return problem(`${endWords(cut)} is cut by networks of the policies`, 'Ask about a part of it, or about one address.')
  const ports = target.ports === undefined ? [] : target.ports.split(',').map(askedPort)
  if (ports.includes(undefined)) return problem(`${JSON.stringify(target.ports)} is no port`, 'A port is 1 to 65535, a range like 8000-8010, or a name.')
  const asked = ports.length === 0 && proto === undefined ? ConnectionSet.all : askedOf(ports as readonly AskedPort[], proto, destination)
  if (asked.isEmpty) return problem(`${endWords(destination)} has no port of that name`, 'Write its number.')
  return { source, destination, asked, wanted: allow ? 'allow' : 'deny' }
}

function problem(what: string, fix: string): Problem {
  return { severity: 'error', file: 'request', line: 0, object: '', what, fix }
}
