/** `netsim trace SRC http(s)://HOST/PATH`: the rule that takes the request and both connections. Loaded when it is called. */
import { ingressTrace, type IngressTrace } from '../analysis/ingress-trace.js'
import { printable, styleOf } from '../analysis/text-style.js'
import { traceText } from '../analysis/trace-text.js'
import type { TraceRequest } from '../network/request.js'
import { EXIT_BAD_INPUT, EXIT_NOT_DELIVERED, EXIT_UNKNOWN, exitOf, UsageError } from './exit.js'
import type { Io } from './io.js'
import { loadMoment, requestOfMoment } from './load-moment.js'
import { refusesTouched } from './load-network.js'
import { isRefusal, ofInputs, refuse } from './question.js'
import { wantsAscii, wantsColor, widthOf } from './terminal.js'
import type { TraceFlags } from './trace-options.js'

const FIRST_ERROR = 400

/** The exit status. @throws UsageError when a flag asks for one connection's path */
export async function ingress(request: TraceRequest, flags: TraceFlags, io: Io): Promise<number> {
  const { output, svg, pcap, all, dns } = flags
  if (all === true || dns === true) throw new UsageError('--all and --dns are of one connection: ask for the addresses that the text without them names')
  if (output !== 'text' && output !== 'json') throw new UsageError(`a request through an Ingress has no -o ${output}: take text or json`)
  if (svg !== undefined || pcap !== undefined) throw new UsageError('--svg and --pcap are of one connection: ask for the two addresses that the text names')
  const loaded = await loadMoment(flags, io)
  if (loaded === undefined) return EXIT_BAD_INPUT
  const answered = ingressTrace(loaded.network, requestOfMoment(request, loaded))
  if (await refusesTouched(loaded.network, io)) return EXIT_BAD_INPUT
  if (isRefusal(answered)) return refuse(answered, io)
  const told: IngressTrace = { ...answered, flows: answered.flows.map((flow) => ofInputs(flow, loaded, flags)) }
  await io.out(flags.output === 'json' ? `${JSON.stringify(told, null, 2)}\n` : ingressText(told, flags, io))
  const status = exitOf(told.disposition, flags.expect)
  if (status !== 0 || told.status === undefined) return status
  return told.status.code === 0 ? EXIT_UNKNOWN : told.status.code >= FIRST_ERROR ? EXIT_NOT_DELIVERED : status
}

function ingressText(told: IngressTrace, flags: TraceFlags, io: Io): string {
  const ascii = wantsAscii(flags.ascii, io)
  const color = wantsColor(flags.color === false ? 'never' : flags.color, io)
  const style = styleOf(color)
  const say = (text: string): string => printable(text, ascii)
  const lines = headLines(told).map(([key, text]) => `  ${style.bold(key.padEnd(10))} ${say(text)}`)
  const flows = told.flows.flatMap((trace, index) => {
    const title = index === 0 ? 'the client to the controller' : 'the controller to the backend; the client stands in X-Forwarded-For'
    const text = traceText(trace, { width: widthOf(io), color, ascii, verbosity: flags.verbose, summaryOnly: flags.summary })
    return ['', style.bold(say(`connection ${index + 1}: ${title}`)), text.trimEnd()]
  })
  return `${[say(`${told.request.source} → ${told.request.url}`), ...lines, ...flows].join('\n')}\n`
}

const OTHERS_SHOWN = 4

function headLines({ request, route, controller, entry, status, notes }: IngressTrace): (readonly [string, string])[] {
  const place = route.file === undefined ? '' : ` (${route.file}:${route.line ?? 0})`
  const taken = route.host === undefined ? 'default backend' : `host ${route.host || '(any)'} path ${route.path || '/'} (${route.pathType ?? ''})`
  const rule = route.outcome === 'none' ? `no rule takes host ${request.host} path ${request.path}` : `${route.ingress ?? ''}, ${taken}${place}`
  const backend = route.backend === undefined ? '' : `${route.backend}, by ${route.via ?? ''}${route.why === undefined ? '' : `: ${route.why}`}`
  const pod = controller.pod === undefined ? '' : `, ${controller.pod}`
  const others = route.others.slice(0, OTHERS_SHOWN).map(({ object, host, path, why, file, line }) => `${object} ${host}${path} (${file}:${line}): ${why}`)
  const more = route.others.length - others.length
  const rows: (readonly [string, string])[] = [
    ['controller', `${controller.product}${pod}, reached by ${entry.kind} ${entry.address}:${entry.port} of ${entry.object} (${entry.file}:${entry.line})`],
    ...(request.tls ? ([['tls', `ends at the controller, with ${route.certificate ?? "the controller's own certificate"}`]] as const) : []),
    ['rule', rule],
    ...(backend === '' ? [] : ([['backend', backend]] as const)),
    ...(status === undefined ? [] : ([['answer', `${status.code === 0 ? 'INCOMPLETE' : `HTTP ${status.code}`} by the controller: ${status.why}`]] as const)),
    ...others.map((text, index) => [index === 0 ? 'not' : '', text] as const),
    ...(more > 0 ? ([['', `… ${more} more paths`]] as const) : []),
    ...notes.map((note) => ['assumed', note] as const),
  ]
  return rows
}
