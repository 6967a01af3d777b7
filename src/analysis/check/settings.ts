/** What people set by hand on a host and that a loss comes from → the line where they did. */
import type { Cluster } from '../../cluster/cluster.js'
import type { Place } from '../../cluster/problem-list.js'
import type { Code } from './codes.js'
import type { Evidence } from '../../base/finding.js'

/** Empty where nothing of the input says it. */
export function settingEvidence(cluster: Cluster, code: Code, netns: string): readonly Evidence[] {
  switch (code) {
    case 'NM101':
      return sysctls(cluster, netns, (name, value) => value === 0 && FORWARDING.includes(name))
    case 'NM102':
      return commands(cluster, netns, /(?:^|\s)(?:-P|--policy)\s+FORWARD\s+DROP\b/)
    case 'NM104':
      return sysctls(cluster, netns, (name, value) => value === 1 && name.endsWith('.rp_filter'))
    case 'NM106':
      return clouds(cluster, netns)
    default:
      return []
  }
}

const FORWARDING = ['net.ipv4.ip_forward', 'net.ipv4.conf.all.forwarding']

/** The last word of the host's owner on a sysctl; undefined: left as the kernel and the agents have it. */
export function sysctlOf(cluster: Cluster, node: string, name: string): ({ readonly value: number } & Place) | undefined {
  return cluster.hosts
    .filter((host) => host.node === node)
    .flatMap((host) => host.sysctls)
    .findLast((setting) => setting.name === name)
}

function sysctls(cluster: Cluster, node: string, isMeant: (name: string, value: number) => boolean): readonly Evidence[] {
  return cluster.hosts
    .filter((host) => host.node === node)
    .flatMap((host) => host.sysctls)
    .filter(({ name, value }) => isMeant(name, value))
    .map(({ name, value, file, line }) => ({ what: `${node}: ${name} = ${value}`, by: 'owner of the host', file, line }))
}

function commands(cluster: Cluster, node: string, pattern: RegExp): readonly Evidence[] {
  return cluster.hosts
    .filter((host) => host.node === node)
    .flatMap(({ iptables }) => iptables)
    .filter(({ text }) => pattern.test(text))
    .map(({ text, file, line }) => ({ what: `${node}: iptables ${text}`, by: 'owner of the host', file, line }))
}

/** The check as the host's owner has it, else as the segment has it, else the fabric that checks where nobody says otherwise. */
function clouds({ hosts, routers, segments, nodeByName }: Cluster, node: string): readonly Evidence[] {
  const own = hosts.filter((host) => host.node === node && host.sourceDestinationCheck === true)
  if (own.length > 0) return own.map(({ file, line }) => ({ what: `${node}: sourceDestinationCheck is on`, by: 'owner of the host', file, line }))
  const name = nodeByName.get(node)?.segment
  const segment = segments.find((one) => one.name === name && one.sourceDestinationCheck === true)
  if (segment !== undefined) return [{ what: `segment ${segment.name}: sourceDestinationCheck is on`, file: segment.file, line: segment.line }]
  return routers
    .filter(({ cloud, interfaces }) => cloud !== undefined && interfaces.some((one) => one.segment === name))
    .map((router) => ({ what: `router ${router.name} is the fabric of ${router.cloud ?? ''}, which checks`, file: router.file, line: router.line }))
}
