/**
 * What a packet costs a kernel, modelled: every constant has a name, a value and a source, and any of them may be set. The walk is counted
 * (devices, bridges, tunnels, crossings, rules, lookups); this file alone turns counts into nanoseconds.
 *
 * The measured ones: Linux 6.18 in a virtual machine of two processors, two host namespaces joined by a veth, UDP of 64 bytes, CPU time of the
 * sender's core, medians of five interleaved runs (docs/overhead.md says how, and how well the model fits what was measured).
 */

export const COST_NAMES = ['socket', 'device', 'bridge', 'tunnel', 'crypto', 'byte', 'crossing', 'rule', 'conntrack'] as const
export type CostName = (typeof COST_NAMES)[number]

export interface CostConstant {
  /** Nanoseconds, for each `of`. */
  readonly ns: number
  readonly of: string
  readonly source: string
  /** No measurement stands behind it. */
  readonly assumed: boolean
}

const MEASURED = 'measured, Linux 6.18'

export const COSTS: Readonly<Record<CostName, CostConstant>> = {
  socket: { ns: 1322, of: 'packet: sendmsg and recvmsg', source: `${MEASURED}: loopback less one device`, assumed: false },
  device: { ns: 177, of: 'device that a frame passes', source: `${MEASURED}: six devices of a routed path less loopback, by five`, assumed: false },
  bridge: { ns: 332, of: 'passage through a bridge', source: `${MEASURED}: flannel host-gw less a routed path and two devices, by two`, assumed: false },
  tunnel: {
    ns: 474,
    of: 'header put on or taken off',
    source: `${MEASURED}: VXLAN less no tunnel and two devices, by two; taken for IPIP too`,
    assumed: false,
  },
  crypto: { ns: 474, of: 'WireGuard packet sealed or opened', source: 'assumed: once more what a tunnel costs, for queues and keys', assumed: true },
  byte: { ns: 0.7, of: 'byte that WireGuard seals or opens', source: 'ChaCha20-Poly1305, 1400 bytes: 1.43 GB/s (openssl speed)', assumed: false },
  crossing: { ns: 2920, of: 'crossing into or out of user space', source: `${MEASURED}: flannel udp less host-gw and two devices, by two`, assumed: false },
  rule: { ns: 11.8, of: 'iptables rule tried', source: `${MEASURED}: 2,000 rules less 200, legacy; nft takes 10.3`, assumed: false },
  conntrack: { ns: 500, of: 'packet that connection tracking looks up', source: `${MEASURED}: an ESTABLISHED accept, a host`, assumed: false },
}

/** What a walk is counted in. */
export interface Counts {
  readonly devices: number
  readonly bridges: number
  /** Headers put on and taken off by the kernel. */
  readonly tunnels: number
  /** Of those, WireGuard's; and the bytes inside. */
  readonly seals: number
  readonly sealedBytes: number
  readonly crossings: number
  readonly rules: number
  readonly lookups: number
}

/** CPU of all hosts together, nanoseconds. */
export function cpuNs(counts: Counts, costs: Readonly<Record<CostName, CostConstant>>): number {
  const { devices, bridges, tunnels, seals, sealedBytes, crossings, rules, lookups } = counts
  return Math.round(
    costs.socket.ns +
      costs.device.ns * devices +
      costs.bridge.ns * bridges +
      costs.tunnel.ns * tunnels +
      costs.crypto.ns * seals +
      costs.byte.ns * sealedBytes +
      costs.crossing.ns * crossings +
      costs.rule.ns * rules +
      costs.conntrack.ns * lookups,
  )
}
