/** Who listens: the text of `ss -lntu` or of `netstat -lntu`, or /proc/net/tcp and udp → SocketSpecs. A socket of IPv6's any address hears IPv4 too. */
import { parseIp, type Ip } from '../base/ip.js'
import type { SocketSpec } from '../dataplane/dataplane.js'
import { parsePort } from '../dataplane/protocols.js'
import { DUMP } from './collected-node.js'

/** Lines that are no socket's are passed over: both tools print headings of their own. */
export function readSockets(text: string, file: string): readonly SocketSpec[] {
  return text.split('\n').flatMap((line, at): SocketSpec[] => {
    const words = line.trim().split(/\s+/, 6)
    const proto = words[0] === 'tcp' || words[0] === 'tcp6' ? 'tcp' : words[0] === 'udp' || words[0] === 'udp6' ? 'udp' : undefined
    if (proto === undefined) return []
    // ss: Netid State Recv-Q Send-Q Local; netstat: Proto Recv-Q Send-Q Local
    const local = /^\d+$/.test(words[1]) ? words[3] : words[4]
    const end = localEnd(local ?? '')
    return end === undefined ? [] : [socket(proto, end, { file, line: at + 1 })]
  })
}

interface LocalEnd {
  readonly address: Ip
  readonly port: number
}

function socket(proto: SocketSpec['proto'], end: LocalEnd, place: { readonly file: string; readonly line: number }): SocketSpec {
  return { proto, ...end, handler: 'open', provenance: { by: DUMP, ...place } }
}

/** `127.0.0.1:80`, `*:80`, `[::]:80`, `:::80`, `10.0.0.1%eth0:68`, `[::ffff:10.0.0.1]:80`; undefined: IPv6's own. */
function localEnd(text: string): LocalEnd | undefined {
  const at = text.lastIndexOf(':')
  const port = parsePort(text.slice(at + 1))
  const written = text.slice(0, Math.max(at, 0)).replace(/^\[(.*)\]$/, '$1')
  const name = written.split('%')[0].replace(/^::ffff:/i, '')
  const address = name === '*' || name === '::' ? 0 : parseIp(name)
  return port === undefined || address === undefined ? undefined : { address, port }
}

const TCP_LISTEN = '0A'

/** /proc/net/tcp or udp: addresses as the kernel has them in memory, in hexadecimal (net/ipv4/tcp_ipv4.c get_tcp4_sock). */
export function readProcSockets(text: string, proto: 'tcp' | 'udp', file: string): readonly SocketSpec[] {
  return text.split('\n').flatMap((line, at): SocketSpec[] => {
    const match = /^\s*\d+: ([0-9A-F]{8}):([0-9A-F]{4}) ([0-9A-F]{8}):([0-9A-F]{4}) ([0-9A-F]{2}) /i.exec(line)
    if (match === null) return []
    const [, local, port, remote, , state] = match
    if (proto === 'tcp' ? state.toUpperCase() !== TCP_LISTEN : remote !== '00000000') return []
    return [socket(proto, { address: littleEndian(local), port: Number.parseInt(port, 16) }, { file, line: at + 1 })]
  })
}

function littleEndian(hex: string): Ip {
  const bytes = [0, 2, 4, 6].map((at) => Number.parseInt(hex.slice(at, at + 2), 16))
  return bytes[0] | (bytes[1] << 8) | (bytes[2] << 16) | (bytes[3] << 24)
}
