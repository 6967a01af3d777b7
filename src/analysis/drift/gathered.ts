/** Which parts of a node's kernel a dump tells of: what a tool was missing for must not be taken for missing in the kernel. */
import type { CollectedNode } from '../../collected/collected-node.js'
import type { Dataplane } from '../../dataplane/dataplane.js'

export interface Gathered {
  readonly devices: boolean
  readonly routes: boolean
  readonly rules: boolean
  readonly neighbours: boolean
  readonly fdb: boolean
  readonly sysctls: boolean
  readonly ipsets: boolean
  readonly iptables: boolean
}

/** The file of the dump that a part is in (read-collected.ts). */
const FILES: Readonly<Record<keyof Gathered, RegExp>> = {
  devices: /^node\/addr\b/,
  routes: /^node\/route\b/,
  rules: /^node\/rule\b/,
  neighbours: /^node\/neigh\b/,
  fdb: /^node\/fdb\b/,
  sysctls: /^node\/sysctl\b/,
  ipsets: /^node\/ipset\b/,
  iptables: /^node\/iptables\b/,
}

const NAMES: Readonly<Record<keyof Gathered, string>> = {
  devices: 'devices',
  routes: 'routes',
  rules: 'rules of routing',
  neighbours: 'neighbours',
  fdb: 'the FDB',
  sysctls: 'sysctls',
  ipsets: 'ipsets',
  iptables: 'iptables',
}

/** Without a dump's own word all of it is there. */
export function gatheredOf(collected: Pick<CollectedNode, 'missing' | 'dataplane'> | undefined): Gathered {
  const unknown = collected?.dataplane.unknown
  const lacks = (part: keyof Gathered): boolean =>
    collected !== undefined &&
    ((part !== 'devices' && part !== 'ipsets' && unknown?.[part] !== undefined) ||
      (collected.missing.some(({ what }) => FILES[part].test(what)) && isEmpty(collected, part)))
  return {
    devices: !lacks('devices'),
    routes: !lacks('routes'),
    rules: !lacks('rules'),
    neighbours: !lacks('neighbours'),
    fdb: !lacks('fdb'),
    sysctls: !lacks('sysctls'),
    ipsets: !lacks('ipsets'),
    iptables: !lacks('iptables'),
  }
}

function isEmpty({ dataplane }: { readonly dataplane: Dataplane }, part: keyof Gathered): boolean {
  if (part === 'sysctls') return Object.keys(dataplane.sysctls).length === 0
  if (part === 'iptables') return dataplane.iptables.tables.length === 0
  return dataplane[part].length === 0
}

/** For the report: what was not compared, though there should be some. */
export function notGathered(gathered: Gathered, expected: Dataplane): readonly string[] {
  return (Object.keys(NAMES) as (keyof Gathered)[]).flatMap((part) => (gathered[part] || isEmpty({ dataplane: expected }, part) ? [] : [NAMES[part]]))
}
