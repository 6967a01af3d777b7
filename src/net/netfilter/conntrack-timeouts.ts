/** How long connections are remembered: the kernel's defaults, or what the netns's sysctls say (nf_conntrack-sysctl.rst). Cold. */
const SECOND_NS = 1e9
const PREFIX = 'net.netfilter.nf_conntrack_'

/** By TCP state, the last one for a connection picked up mid-stream that nobody has answered. */
const TCP_NAMES = ['', 'syn_sent', 'syn_recv', 'established', 'fin_wait', 'close_wait', 'last_ack', 'time_wait', 'close', 'syn_sent', 'unacknowledged'] as const
const TCP_SECONDS = [0, 120, 60, 432_000, 120, 60, 30, 120, 10, 120, 300]
export const TCP_TIMEOUT_UNACK = 10

/** Nanoseconds. */
export interface ConntrackTimeouts {
  readonly tcp: Float64Array
  readonly udp: number
  readonly udpStream: number
  readonly icmp: number
  readonly sctp: number
  readonly sctpEstablished: number
  readonly generic: number
  /** 1: a segment in mid-stream may begin a connection. */
  readonly tcpLoose: number
  /** Entries, at most. */
  readonly max: number
}

export function conntrackTimeouts(sysctls: Readonly<Record<string, number>>): ConntrackTimeouts {
  const value = (name: string, fallback: number): number => sysctls[`${PREFIX}${name}`] ?? fallback
  const timeout = (name: string, seconds: number): number => value(name, seconds) * SECOND_NS
  return {
    tcp: Float64Array.from(TCP_SECONDS, (seconds, state) => timeout(`tcp_timeout_${TCP_NAMES[state]}`, seconds)),
    udp: timeout('udp_timeout', 30),
    udpStream: timeout('udp_timeout_stream', 120),
    icmp: timeout('icmp_timeout', 30),
    sctp: timeout('sctp_timeout_cookie_wait', 3),
    sctpEstablished: timeout('sctp_timeout_established', 210),
    generic: timeout('generic_timeout', 600),
    tcpLoose: value('tcp_loose', 1),
    max: value('max', 262_144),
  }
}
