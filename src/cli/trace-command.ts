/** `netsim trace`: builds the network, asks it, prints the answer. Loaded when it is called. */
import type { TraceDocument } from '../analysis/trace-document.js'
import type { Problem } from '../base/problem.js'
import { queryRequest, type NameQuery } from '../analysis/name-lookup.js'
import { traceDocument } from '../analysis/trace-report.js'
import type { Network } from '../network/network.js'
import type { TraceRequest } from '../network/request.js'
import { EXIT_BAD_INPUT, exitOf } from './exit.js'
import type { Io } from './io.js'
import { loadMoment, requestOfMoment } from './load-moment.js'
import { refusesTouched } from './load-network.js'
import { isRefusal, ofInputs, refuse } from './question.js'
import { checkOutputs, writeOutputs } from './trace-output.js'
import type { TraceFlags } from './trace-options.js'

/** The exit status. */
export async function trace(question: TraceRequest, flags: TraceFlags, io: Io): Promise<number> {
  checkOutputs(flags, io)
  const loaded = await loadMoment(flags, io)
  if (loaded === undefined) return EXIT_BAD_INPUT
  const request = requestOfMoment(question, loaded)
  const asked: NameQuery | { readonly request: TraceRequest } | readonly Problem[] = flags.dns === true ? queryRequest(loaded.network, request) : { request }
  if (isRefusal(asked)) return refuse(asked, io)
  const outcome = loaded.network.trace(asked.request)
  if (await refusesTouched(loaded.network, io)) return EXIT_BAD_INPUT
  if (isRefusal(outcome)) return refuse(outcome, io)
  const told = traceDocument(loaded.network, outcome)
  const document: TraceDocument = { ...ofInputs(told, loaded, flags), ...('lookup' in asked ? lookedUp(told, asked, loaded.network) : {}) }
  await writeOutputs(document, flags, io)
  return exitOf(document.disposition, flags.expect)
}

/** Of a query: how its name was looked up, and what is taken for granted of the cluster's DNS. */
function lookedUp({ warnings }: TraceDocument, { lookup }: NameQuery, { dns }: Network): Pick<TraceDocument, 'lookup' | 'warnings'> {
  return { lookup, warnings: [...warnings, ...dns.settings.notes] }
}
