/**
 * `netsim policy explain`, and `whatif --ask`, where NAT has a say: an end is a Service, an address or node port of one, or a host outside. What the
 * policies then see is read off a trace, each way apart; without nodes a Service is what it selects, and the answer says so. Loaded when it is called.
 */
import { explainPath, goneFrom, pathDocument, seenWords, translationWords, type ExplainedBranch } from '../analysis/policy-path-explain.js'
import { movedServices, policyPathBySelector } from '../analysis/policy-path-ends.js'
import { policyPath, withoutPolicies, type PathQuestion, type PolicyPath } from '../analysis/policy-path.js'
import { keyLines } from '../analysis/trace-text-verdict.js'
import { printable, styleOf } from '../analysis/text-style.js'
import { hasErrors, type Problem } from '../base/problem.js'
import { buildCluster } from '../cluster/cluster.js'
import { composeNetwork, type Network } from '../network/network.js'
import { PROTOCOLS } from '../network/request.js'
import { requestProblem } from '../network/request-problem.js'
import { explainLines } from '../policy/explain/explain-line.js'
import { explanationDocument } from '../policy/explain/explain-document.js'
import { EXIT_BAD_INPUT, EXIT_NOT_DELIVERED, UsageError } from './exit.js'
import type { Io } from './io.js'
import { calicoOf, safe } from './load-network.js'
import type { PolicyChangeFlags } from './policy-change-verb.js'
import { explanationText, type ExplainTextOptions } from './policy-explain-text.js'
import type { PolicyExplainFlags } from './policy-explain-verb.js'
import type { LoadedPolicies } from './policy-input.js'
import { tell } from './question.js'
import { wantsAscii, wantsColor, widthOf } from './terminal.js'

interface Ends {
  readonly source: string
  readonly destination: string
}

const SEED = 1

/** The exit status. */
export async function explainOnPath(loaded: LoadedPolicies, ends: Ends, flags: PolicyExplainFlags, io: Io): Promise<number> {
  const path = await pathOf(loaded, ends, flags)
  if ('problems' in path) {
    await tell(path.problems, io)
    return EXIT_BAD_INPUT
  }
  const ways = explainPath(loaded.world, path.path)
  await io.out(printed(loaded, { ...path, ways }, flags, io))
  const open = ways.map(({ branch, explanation }) => branch.lost === undefined && explanation.verdict !== 'denied')
  const isOpen = flags.expect === 'allow' ? open.every(Boolean) : open.some(Boolean)
  return (flags.expect === 'deny' ? !isOpen : isOpen) ? loaded.exit : EXIT_NOT_DELIVERED
}

export interface Edited {
  readonly before: LoadedPolicies
  readonly after: LoadedPolicies
}

/** What an edit of policies or labels does to one connection. The exit status: 0 where nothing opens and nothing closes. */
export async function askWhatIf({ before, after }: Edited, ask: string, flags: PolicyChangeFlags, io: Io): Promise<number> {
  const [source, destination, ...rest] = ask.split(/\s+/).filter((word) => word !== '')
  if (destination === undefined || rest.length > 0) throw new UsageError(`--ask ${JSON.stringify(ask)}: write both ends in quotes, 'SRC DST:PORT'`)
  if (flags.output !== 'txt' && flags.output !== 'json') throw new UsageError(`--ask prints txt and json, not ${flags.output}`)
  const found = await pathOf(before, { source, destination }, flags)
  if ('problems' in found) {
    await tell(found.problems, io)
    return EXIT_BAD_INPUT
  }
  const gone = goneFrom(after.world, found.path)
  if (gone.length > 0) {
    const what = `after the edit there is no ${gone.join(', ')}: nobody can be asked about it`
    await tell([requestProblem('--ask', what, 'The path is that of before: ask of edits that leave its pods, or compare without --ask.')], io)
    return EXIT_BAD_INPUT
  }
  const moved = movedServices(before.state, after.state)
  if (moved.length > 0)
    await io.err(`warning: the edit changes where ${safe(moved.map((name) => `svc/${name}`).join(', '))} leads: --ask keeps to the path of before\n`)
  const [was, now] = [before, after].map(({ world }) => explainPath(world, found.path))
  await io.out(flags.output === 'json' ? changeJson({ before, after }, found, [was, now]) : changeText(found, [was, now], pageOf(flags, io)))
  const same = was.every(({ explanation }, index) => explanation.verdict === now[index].explanation.verdict)
  return same ? before.exit : EXIT_NOT_DELIVERED
}

type BeforeAndAfter = readonly [readonly ExplainedBranch[], readonly ExplainedBranch[]]

function changeJson({ before, after }: Edited, { path, without }: Found, [was, now]: BeforeAndAfter): string {
  const documents = was.map(({ branch, explanation, names }, index) => ({
    path: { ...pathDocument(path, branch), ...(without === undefined ? {} : { without }) },
    before: explanationDocument(before.world, explanation, names),
    after: explanationDocument(after.world, now[index].explanation, names),
  }))
  return `${JSON.stringify(documents, null, 2)}\n`
}

function changeText(found: Found, [was, now]: BeforeAndAfter, page: ExplainTextOptions): string {
  const style = styleOf(page.color)
  return was
    .map((way, index) => {
      const next = now[index]
      const [old, fresh] = [way, next].map(({ explanation, names }) => explanationText(explanation, names, page))
      return `${wayText({ ...found, ways: was }, index, page)}${style.bold('before')}  ${old}${style.bold('after')}   ${fresh}`
    })
    .join('\n')
}

function pageOf({ color, ascii }: Pick<PolicyExplainFlags, 'color' | 'ascii'>, io: Io): ExplainTextOptions {
  return { width: widthOf(io), color: wantsColor(color === false ? 'never' : color, io), ascii: wantsAscii(ascii, io) }
}

interface Found {
  readonly path: PolicyPath
  /** Why there is no trace to read it off. */
  readonly without?: string
}

type Spoken = Pick<PolicyExplainFlags, 'namespace' | 'proto'>

async function pathOf(loaded: LoadedPolicies, ends: Ends, flags: Spoken): Promise<Found | { readonly problems: readonly Problem[] }> {
  const { state, world } = loaded
  const spoken = flags.proto === undefined ? undefined : PROTOCOLS.find((word) => word === String(flags.proto).toLowerCase())
  if (flags.proto !== undefined && spoken === undefined) {
    const what = `protocol ${flags.proto} through a Service or from outside is not modelled`
    return { problems: [requestProblem('--proto', what, `Ask with one of ${PROTOCOLS.join(', ')}, or about the pods themselves.`)] }
  }
  const question: PathQuestion = { ...ends, namespace: flags.namespace, ...(spoken === undefined ? {} : { proto: spoken }) }
  const built = await networkOf(loaded)
  const path = built instanceof Object ? policyPath(built, world, question) : policyPathBySelector(state, world, question)
  if (isPath(path)) return { path, ...(built instanceof Object ? {} : { without: built }) }
  return { problems: path }
}

function isPath(found: PolicyPath | readonly Problem[]): found is PolicyPath {
  return !Array.isArray(found)
}

/** Or why none can be built. */
async function networkOf({ texts = [] }: LoadedPolicies): Promise<Network | string> {
  const { cluster, problems } = buildCluster(texts)
  const first = problems.find(({ severity }) => severity === 'error')
  if (cluster.nodes.length === 0) return 'the input has no nodes'
  if (first !== undefined) return `no network can be built of the input (${first.object}: ${first.what})`
  const { network, problems: more } = composeNetwork(withoutPolicies(cluster), { seed: SEED, ...(await calicoOf(cluster)) })
  return hasErrors(more) ? `no network can be built of the input (${more[0].object}: ${more[0].what})` : network
}

interface Told extends Found {
  readonly ways: readonly ExplainedBranch[]
}

function printed({ world }: LoadedPolicies, { path, without, ways }: Told, flags: PolicyExplainFlags, io: Io): string {
  if (flags.output === 'json') {
    const documents = ways.map(({ branch, explanation, names }) => ({
      ...explanationDocument(world, explanation, names),
      path: { ...pathDocument(path, branch), ...(without === undefined ? {} : { without }) },
    }))
    return `${JSON.stringify(documents.length === 1 ? documents[0] : documents, null, 2)}\n`
  }
  if (flags.output === 'short') return ways.flatMap(({ explanation, names }) => explainLines(explanation, names).map((line) => `${safe(line)}\n`)).join('')
  const page = pageOf(flags, io)
  return ways.map((way, index) => wayText({ path, without, ways }, index, page) + explanationText(way.explanation, way.names, page)).join('\n')
}

/** `way 1 of 2 (50%)  tools/curl → svc/shop/web`, what was rewritten, and what the policies of each side see. */
function wayText({ path, without, ways }: Told, index: number, { width, color, ascii }: ExplainTextOptions): string {
  const { branch } = ways[index]
  const { translations, egress, ingress, lost, probability } = branch
  const page = { style: styleOf(color), width: Math.max(72, width), clean: (text: string) => printable(text, ascii) }
  const which = ways.length === 1 ? '' : `, way ${index + 1} of ${ways.length} (${Math.round(probability * 100)}%)`
  const path_ = translations.length === 0 ? 'nothing is rewritten' : translations.map(translationWords).join('\n')
  const shown = [
    page.style.bold(page.clean(`${path.source} → ${path.destination}${which}`)),
    ...(without === undefined
      ? keyLines(page, 'path', { text: path_ })
      : keyLines(page, 'path', { text: `${without}: the Service is taken to be the pods that it selects, at their targetPort`, style: 'yellow' })),
    ...keyLines(page, 'egress', { text: egress === undefined ? 'no policy is asked where it comes from' : `policies see ${seenWords(egress)}` }),
    ...keyLines(page, 'ingress', { text: ingress === undefined ? 'no policy is asked where it goes' : `policies see ${seenWords(ingress)}` }),
    ...(lost === undefined
      ? []
      : keyLines(page, 'lost', { text: `${lost.disposition} at ${lost.netns}: without any policy it does not arrive`, style: 'red' })),
  ]
  return shown.map((line) => `${line.trimEnd()}\n`).join('')
}
