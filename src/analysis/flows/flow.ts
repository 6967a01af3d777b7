/** One of many flows: who sends how much to whom, and the question that its first packet is. */
import { DEFAULT_REQUEST, type Protocol, type TraceRequest } from '../../network/request.js'

export interface Flow {
  /** As a trace takes them; the destination without its port. */
  readonly source: string
  readonly destination: string
  /** Absent: tcp with a port, icmp without. */
  readonly proto?: Protocol
  readonly port?: number
  /** Echoes, datagrams, TCP segments with data. */
  readonly packets: number
  /** Length of the IP packets; absent: as a trace has it. */
  readonly size?: number
  /** Packets a second; 0: each follows as soon as nothing is left of the one before. */
  readonly rate: number
  /** How many pairs it stands for; absent: itself alone. */
  readonly pairs?: number
}

/** Flows by their numbers, so that any part of them can be had without those before. */
export interface FlowSource {
  readonly count: number
  flow(index: number): Flow
}

/** What all flows of a run have in common. */
export interface CommonRequest {
  readonly namespace: string
  readonly seed: number
  readonly cold: boolean
  readonly listen: boolean
}

/** A TCP flow of several packets needs data to send: of a segment that nobody gave a size. */
export const SEGMENT_LENGTH = 1000

/** Flow by flow another draw of what chance decides. */
export function requestOf({ source, destination, proto, port, packets, size }: Flow, index: number, common: CommonRequest): TraceRequest {
  const isTcp = proto === 'tcp' || (proto === undefined && port !== undefined)
  const length = size ?? (isTcp && packets > 1 ? SEGMENT_LENGTH : undefined)
  return {
    ...DEFAULT_REQUEST,
    ...common,
    source,
    destination: port === undefined ? destination : `${destination}:${port}`,
    ...(proto === undefined ? {} : { proto }),
    ...(length === undefined ? {} : { size: length }),
    seed: (common.seed + index) >>> 0,
  }
}

/** The flow's first packet again, for the command line. */
export function traceWords({ source, destination, proto, size, namespace, seed, cold, listen }: TraceRequest): string[] {
  return [
    ...[source, destination],
    ...(proto === undefined ? [] : ['--proto', proto]),
    ...(size === undefined ? [] : ['--size', String(size)]),
    ...(namespace === DEFAULT_REQUEST.namespace ? [] : ['-n', namespace]),
    ...(cold ? ['--cold'] : []),
    ...(listen ? ['--listen'] : []),
    ...['--seed', String(seed)],
  ]
}
