/** A probe as porter.py is told of it, and what it saw as netsim reads it. */
import { formatIp } from '../base/ip.js'
import type { KernelSymbols } from './lab-symbols.js'
import type { CapturedFrame, KernelDrop, KernelRule, LabProbe, Sighting } from './lab-types.js'

export interface SightingMessage {
  /** [netns, device, 1 out, ns since sending, 1 Ethernet, base64] */
  readonly frames: readonly (readonly [string, string, number, number, number, string])[]
  readonly error: string
  readonly drops: readonly (readonly [string, string, number, number])[] | null
  readonly dropsWhy: string
  readonly rules: readonly (readonly [string, string])[] | null
  readonly rulesWhy: string
  readonly heard: readonly string[]
  readonly injected: boolean
  readonly lost: number
}

export function probeMessage(probe: LabProbe): Readonly<Record<string, unknown>> {
  const { kind, netns, predictedNs = 0, listen = [], trace = false } = probe
  const common = { kind, netns, predictedMs: Math.ceil(predictedNs / 1e6), listen, trace }
  const ends = 'destination' in probe ? { source: formatIp(probe.source), destination: formatIp(probe.destination), ttl: probe.ttl } : {}
  switch (probe.kind) {
    case 'udp':
      return { ...common, ...ends, sport: probe.sport, dport: probe.dport, size: probe.size, df: probe.df }
    case 'icmp':
      return { ...common, ...ends, id: probe.id, sequence: probe.sequence, size: probe.size, df: probe.df }
    case 'tcp':
      return {
        ...common,
        ...ends,
        sport: probe.sport,
        dport: probe.dport,
        size: probe.size ?? 0,
        df: probe.df ?? false,
        bytes: probe.syn === undefined ? '' : base64(probe.syn),
      }
    case 'raw':
      return { ...common, bytes: base64(probe.packet) }
    case 'frame':
      return { ...common, device: probe.device, bytes: base64(probe.frame) }
    case 'wait':
      return common
  }
}

/**
 * What the asking process itself will not hear is no loss (a filter on its socket; no ping socket for its echo reply), nor are the pieces of
 * a packet that was put together, which are freed with it.
 */
function isNoLoss(reason: string, location: string): boolean {
  return reason === 'SOCKET_FILTER' || location.startsWith('skb_release_data') || (reason === 'NO_SOCKET' && /^(ping|icmp)_rcv/.test(location))
}

function dropsOf(drops: NonNullable<SightingMessage['drops']>, symbols: KernelSymbols): readonly KernelDrop[] {
  return drops
    .map(([reason, address, certain, timeNs]) => ({ reason, location: symbols.nameOf(address), certain: certain === 1, timeNs }))
    .filter(({ reason, location }) => !isNoLoss(reason, location))
}

export function sightingOf(message: SightingMessage, symbols: KernelSymbols): Sighting {
  return {
    frames: message.frames.map(([netns, device, out, timeNs, ethernet, bytes]): CapturedFrame => ({
      netns,
      device,
      direction: out === 1 ? 'tx' : 'rx',
      timeNs,
      link: ethernet === 1 ? 'ethernet' : 'none',
      bytes: Uint8Array.from(Buffer.from(bytes, 'base64')),
    })),
    error: message.error,
    drops: message.drops === null ? null : dropsOf(message.drops, symbols),
    dropsWhy: message.dropsWhy,
    rules: message.rules === null ? null : message.rules.flatMap(([netns, line]) => parseTraceLine(netns, line)),
    rulesWhy: message.rulesWhy,
    heard: message.heard,
    injected: message.injected,
    lost: message.lost,
  }
}

/** enum nft_verdicts, -5: xtables-monitor has no word for it. */
const NFT_RETURN = '0xfffffffb'

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}

/**
 * A line of `xtables-monitor --trace` (iptables 1.8 xtables-monitor.c trace_print_rule, trace_print_policy), such as
 * ` TRACE: 2 8b1f6a2c filter:FORWARD:rule:0x5:DROP  -4 -t filter -A FORWARD -p udp -j DROP`. Other lines (the packet) give nothing.
 */
export function parseTraceLine(netns: string, line: string): readonly KernelRule[] {
  const found = /^\s*TRACE:\s+\d+\s+([0-9a-f]+)\s+([\w-]+):([^\s:]+):(rule|return|policy)(?::(\S*?))?(?:\s+(.*))?$/.exec(line)
  if (found === null) return []
  const [, packet, table, chain, kind, rest = '', tail = ''] = found
  const verdict = rest.replace(/^0x[0-9a-f]+:/, '').replace(NFT_RETURN, 'RETURN')
  const text = /-A \S+ ?(.*)$/.exec(tail)?.[1] ?? ''
  return [{ netns, packet, table, chain, kind: kind as KernelRule['kind'], verdict, text: text.trim() }]
}
