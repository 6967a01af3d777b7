/** What became of one flow, as a line of JSON Lines or of CSV. */
import type { Problem } from '../../base/problem.js'
import type { TraceRequest } from '../../network/request.js'
import { traceWords, type Flow } from './flow.js'
import type { FlowResult } from './runner.js'
import type { Loss } from './sums.js'

export interface FlowLine {
  /** Number of the flow, from 0. */
  readonly flow: number
  readonly source: string
  readonly destination: string
  readonly protocol?: string
  readonly port?: number
  readonly packets: number
  readonly size?: number
  readonly rate?: number
  /** How many pairs it stands for: --by-class. */
  readonly pairs?: number
  /** Of the first packet; absent where the flow was refused. */
  readonly disposition?: string
  readonly delivered?: number
  /** Packets by what became of them. */
  readonly all?: Readonly<Record<string, number>>
  readonly unsent?: number
  /** Of the first packet. */
  readonly loss?: Loss
  readonly refused?: readonly string[]
  /** The words after `netsim trace` that ask the first packet again. */
  readonly trace: readonly string[]
}

export function flowLine(index: number, flow: Flow, request: TraceRequest, result: FlowResult | readonly Problem[]): FlowLine {
  const { source, destination, proto, port, packets, rate, pairs } = flow
  const head = {
    flow: index,
    source,
    destination,
    ...(proto === undefined ? {} : { protocol: proto }),
    ...(port === undefined ? {} : { port }),
    packets,
    ...(request.size === undefined ? {} : { size: request.size }),
    ...(rate === 0 ? {} : { rate }),
    ...(pairs === undefined ? {} : { pairs }),
  }
  const trace = traceWords(request)
  if (!('disposition' in result)) return { ...head, refused: result.map(({ what }) => what), trace }
  const { disposition, loss, all, unsent } = result
  return {
    ...head,
    disposition,
    delivered: all.get('DELIVERED') ?? 0,
    all: Object.fromEntries([...all].sort(([a], [b]) => (a < b ? -1 : 1))),
    ...(unsent === 0 ? {} : { unsent }),
    ...(loss === undefined ? {} : { loss }),
    trace,
  }
}

const CSV_COLUMNS = [
  'flow',
  'source',
  'destination',
  'protocol',
  'port',
  'packets',
  'size',
  'rate',
  'disposition',
  'delivered',
  'netns',
  'device',
  'by',
] as const

export const CSV_HEADING = `${CSV_COLUMNS.join(',')}\n`

export function csvLine(line: FlowLine): string {
  const { loss, refused } = line
  const rule = loss?.rule
  const by = rule === undefined ? (loss?.why ?? refused?.join('; ')) : `${rule.table}/${rule.chain} #${rule.number} ${rule.text}`
  const cells = { ...line, netns: loss?.netns, device: loss?.device, by }
  return `${CSV_COLUMNS.map((column) => csvCell(String(cells[column] ?? ''))).join(',')}\n`
}

/** RFC 4180 §2. */
function csvCell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
