/** Rules that owners of hosts and routers wrote by hand → the ports that they drop or reject: one port of many is met only by a question about it. */
import type { Cluster } from '../../cluster/cluster.js'
import type { Command } from '../../cluster/network-document.js'

const MOST_PORTS = 24

export interface PortQuestion {
  readonly proto: 'tcp' | 'udp'
  readonly port: number
  /** Of the rule; undefined: a router's. */
  readonly node?: string
}

export function portQuestions({ hosts, routers }: Cluster): readonly PortQuestion[] {
  const found = new Map<string, PortQuestion>()
  const note = ({ text }: Command, node: string | undefined): void => {
    if (!/\s-j\s+(DROP|REJECT)\b/.test(text)) return
    const protocol = /\s(?:-p|--protocol)\s+(\S+)/.exec(text)?.[1]
    if (protocol !== 'tcp' && protocol !== 'udp') return
    const listed = /(!\s+)?--(?:dports?|destination-ports?)\s+([0-9:,]+)/.exec(text)
    if (listed === null || listed[1] !== undefined) return
    for (const range of listed[2].split(',')) {
      const port = Number(range.split(':')[0])
      if (port < 1 || port > 65535 || found.size >= MOST_PORTS) continue
      found.set(`${node ?? ''} ${protocol} ${port}`, { proto: protocol, port, ...(node === undefined ? {} : { node }) })
    }
  }
  for (const { node, iptables } of hosts) for (const command of iptables) note(command, node)
  for (const { iptables } of routers) for (const command of iptables) note(command, undefined)
  return [...found.values()]
}
