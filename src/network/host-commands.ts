/** What the owner of a host set by hand, in the tools' own words, applied to its Dataplane after the agents: sysctls, ipset, iptables, ip, bridge. */
import type { Problem } from '../base/problem.js'
import type { Dataplane, Provenance } from '../dataplane/dataplane.js'
import { applyFdbCommand } from '../dataplane/bridge-fdb.js'
import { applyAddressCommand } from '../dataplane/ip-address.js'
import { applyLinkCommand } from '../dataplane/ip-link.js'
import { applyNeighbourCommand } from '../dataplane/ip-neigh.js'
import { applyRouteCommand } from '../dataplane/ip-route-command.js'
import { applyRuleCommand } from '../dataplane/ip-rule.js'
import { applyIpsetCommand } from '../dataplane/ipset-save.js'
import { applyIptablesCommand } from '../dataplane/iptables-command.js'
import { abbreviated, type Place } from '../dataplane/text.js'
import type { Command, HostSettings } from '../cluster/network-document.js'

interface Applied {
  readonly dataplane: Dataplane
  readonly problems: readonly Problem[]
}

/** A command that a tool would refuse is a Problem, and changes nothing. */
export function applyHostSettings(dataplane: Dataplane, settings: Pick<HostSettings, 'sysctls' | 'ipset' | 'iptables' | 'ip' | 'bridge'>): Applied {
  const sysctls = { ...dataplane.sysctls }
  for (const { name, value } of settings.sysctls) sysctls[name] = value
  let current: Applied = { dataplane: { ...dataplane, sysctls }, problems: [] }
  const apply = (commands: readonly Command[], tool: Tool): void => {
    for (const command of commands) {
      const place: Place = { file: command.file, line: command.line }
      const next = tool(current.dataplane, command.text, place, { by: 'owner of the host', file: command.file, line: command.line })
      current = { dataplane: next.dataplane, problems: [...current.problems, ...next.problems] }
    }
  }
  apply(settings.ipset, ipsetTool)
  apply(settings.iptables, iptablesTool)
  apply(settings.ip, ipTool)
  apply(settings.bridge, bridgeTool)
  return current
}

type Tool = (dataplane: Dataplane, text: string, place: Place, provenance: Provenance) => Applied

const ipsetTool: Tool = (dataplane, text, place) => {
  const { sets, problems } = applyIpsetCommand(dataplane.ipsets, text, place)
  return { dataplane: { ...dataplane, ipsets: sets }, problems }
}

export const iptablesTool: Tool = (dataplane, text, place, provenance) => {
  const { state, problems } = applyIptablesCommand(dataplane.iptables, text, place, { provenance })
  return { dataplane: { ...dataplane, iptables: state }, problems }
}

const bridgeTool: Tool = (dataplane, text, place, provenance) => {
  const { fdb, problems } = applyFdbCommand(dataplane.fdb, text, place, { provenance, devices: dataplane.devices })
  return { dataplane: { ...dataplane, fdb }, problems }
}

const IP_OBJECTS = ['route', 'rule', 'neighbour', 'neighbor', 'link', 'address'] as const

/** `ip OBJECT …`, the object cut short as iproute2 allows. */
export const ipTool: Tool = (dataplane, text, place, provenance) => {
  const words = text
    .trim()
    .split(/\s+/)
    .filter((word) => word !== 'ip' && word !== '-4')
  const object =
    words[0] === 'r'
      ? 'route'
      : words[0] === 'ru'
        ? 'rule'
        : words[0] === 'n' || words[0] === 'neigh'
          ? 'neighbour'
          : words[0] === 'a'
            ? 'address'
            : words[0] === 'l'
              ? 'link'
              : abbreviated(words[0], IP_OBJECTS)
  const { devices } = dataplane
  switch (object) {
    case 'route': {
      const { routes, problems } = applyRouteCommand(dataplane.routes, text, place, { provenance, devices })
      return { dataplane: { ...dataplane, routes }, problems }
    }
    case 'rule': {
      const { rules, problems } = applyRuleCommand(dataplane.rules, text, place, { provenance })
      return { dataplane: { ...dataplane, rules }, problems }
    }
    case 'neighbour':
    case 'neighbor': {
      const { neighbours, problems } = applyNeighbourCommand(dataplane.neighbours, text, place, { provenance, devices })
      return { dataplane: { ...dataplane, neighbours }, problems }
    }
    case 'link': {
      const changed = applyLinkCommand(devices, text, place)
      return { dataplane: { ...dataplane, devices: changed.devices }, problems: changed.problems }
    }
    case 'address': {
      const changed = applyAddressCommand(devices, text, place)
      return { dataplane: { ...dataplane, devices: changed.devices }, problems: changed.problems }
    }
    default:
      return {
        dataplane,
        problems: [
          {
            severity: 'error',
            file: place.file,
            line: place.line,
            object: '',
            what: `"ip ${words.join(' ')}" is not modelled`,
            fix: 'Modelled are ip route, rule, neigh, link set and addr.',
          },
        ],
      }
  }
}
