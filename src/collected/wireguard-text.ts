/** `node/wireguard`: the words of `wg show all WORD`, each line behind its word. Keys are public ones; a private one is never in a dump. */
import { parseCidr } from '../base/cidr.js'
import { parseIp } from '../base/ip.js'
import { isWireguardKey } from '../base/wireguard-key.js'
import type { Problem } from '../base/problem.js'
import type { WireguardPeerSpec } from '../dataplane/dataplane.js'
import { parsePort } from '../dataplane/protocols.js'
import { parseInteger, Report, type Place } from '../dataplane/text.js'

export interface WireguardDevice {
  publicKey?: string
  port?: number
  fwmark?: number
  readonly peers: Map<string, { -readonly [Key in keyof WireguardPeerSpec]: WireguardPeerSpec[Key] }>
}

export function readWireguard(text: string, place: Place): { readonly devices: ReadonlyMap<string, WireguardDevice>; readonly problems: readonly Problem[] } {
  const report = new Report(place)
  const devices = new Map<string, WireguardDevice>()
  for (const [at, line] of text.split('\n').entries()) {
    const [word, name, ...values] = line.trim().split(/\s+/)
    if (word === '' || name === undefined) continue
    report.at(at)
    let device = devices.get(name)
    if (device === undefined) devices.set(name, (device = { peers: new Map() }))
    readWord(device, { word, values }, report)
  }
  return { devices, problems: report.problems }
}

function readWord(device: WireguardDevice, { word, values }: { readonly word: string; readonly values: readonly string[] }, report: Report): void {
  const [first = '', ...rest] = values
  if (word === 'public-key') device.publicKey = first
  else if (word === 'listen-port') device.port = parsePort(first)
  else if (word === 'fwmark') device.fwmark = first === 'off' ? 0 : parseInteger(first)
  else if (!isWireguardKey(first)) report.error(`"${first}" is no public key`, 'A peer is named by 44 letters of base64.')
  else {
    let peer = device.peers.get(first)
    if (peer === undefined) device.peers.set(first, (peer = { publicKey: first, allowedIps: [], persistentKeepalive: 0 }))
    if (word === 'endpoints') peer.endpoint = endpointOf(rest[0] ?? '')
    else if (word === 'allowed-ips') peer.allowedIps = rest.flatMap((text) => prefixOf(text))
    else if (word === 'persistent-keepalive') peer.persistentKeepalive = parseInteger(rest[0]) ?? 0
  }
}

/** `(none)` and IPv6 ones: undefined. */
function endpointOf(text: string): WireguardPeerSpec['endpoint'] {
  const at = text.lastIndexOf(':')
  const [address, port] = [parseIp(text.slice(0, at)), parsePort(text.slice(at + 1))]
  return address === undefined || port === undefined ? undefined : { address, port }
}

function prefixOf(text: string): WireguardPeerSpec['allowedIps'] {
  const prefix = parseCidr(text)
  return typeof prefix === 'string' ? [] : [prefix]
}
