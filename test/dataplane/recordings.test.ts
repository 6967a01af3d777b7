/** The state of every recorded namespace: its text comes back letter for letter, and says what `ip -j` said of it. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { formatIp, parseIp } from '../../src/base/ip.js'
import { formatMac, parseMac } from '../../src/base/mac.js'
import { parseFdb, printFdb } from '../../src/dataplane/bridge-fdb.js'
import type { FdbSpec, NeighbourSpec } from '../../src/dataplane/dataplane.js'
import { parseNeighbours, printNeighbours } from '../../src/dataplane/ip-neigh.js'
import { parseRoutes, printRoutes } from '../../src/dataplane/ip-route.js'
import { DEFAULT_ROUTING_RULES, parseRules, printRules } from '../../src/dataplane/ip-rule.js'
import { parseIptablesSave, printIptablesSave } from '../../src/dataplane/iptables-save.js'

interface Recorded {
  route_text: string
  iptables: string
  route: string
  rule: string
  neigh: string
  fdb: string
}
type Json = Record<string, unknown>
const place = { file: 'recording', line: 1 }

/** The recorder wrote some outputs as JSON text and some as JSON. */
function rows(value: unknown): Json[] {
  return (typeof value === 'string' ? JSON.parse(value || '[]') : value) as Json[]
}

const namespaces = ['flannel-udp', 'flannel-vxlan', 'flannel-host-gw', 'calico-none'].flatMap((name) => {
  const recording = JSON.parse(readFileSync(new URL(`../recordings/${name}.rec.json`, import.meta.url), 'utf8')) as { state: Record<string, Recorded> }
  return Object.entries(recording.state).map(([ns, state]): [string, Recorded] => [`${name} ${ns}`, state])
})

describe.each(namespaces)('%s', (_name, state) => {
  it('ip route show: same text, and the fields of ip -j route', () => {
    const { routes, problems } = parseRoutes(state.route_text, place)
    expect(problems).toEqual([])
    expect(printRoutes(routes)).toBe(state.route_text)
    // shuffled, the dump order comes back where addresses and metrics differ
    expect(printRoutes([...routes].reverse())).toBe(state.route_text)
    const main = rows(state.route).filter(({ table }) => table === undefined)
    expect(
      routes.map((route) => [
        route.via === undefined ? undefined : formatIp(route.via),
        route.device,
        route.protocol,
        route.scope,
        route.metric,
        route.onlink === true,
        route.type,
      ]),
    ).toEqual(main.map((row) => [row.gateway, row.dev, row.protocol, row.scope, row.metric, (row.flags as string[]).includes('onlink'), row.type ?? 'unicast']))
  })

  it('the routes of all tables print and come back', () => {
    const text =
      rows(state.route)
        .map(
          (row) =>
            ['type', 'dst', 'gateway:via', 'dev', 'table', 'protocol:proto', 'scope', 'prefsrc:src', 'metric']
              .map((field) => {
                const [key, word] = field.split(':')
                return row[key] === undefined ? '' : key === 'type' || key === 'dst' ? `${row[key] as string} ` : `${word ?? key} ${row[key] as string} `
              })
              .join('') + (row.flags as string[]).map((flag) => `${flag} `).join(''),
        )
        .join('\n') + '\n'
    const { routes, problems } = parseRoutes(text, place)
    expect(problems).toEqual([])
    expect(printRoutes(routes, { table: 'all' })).toBe(text)
  })

  it('ip rule', () => {
    const text = rows(state.rule)
      .map((row) => `${row.priority as number}:\tfrom ${row.src as string} lookup ${row.table as string}\n`)
      .join('')
    const { rules, problems } = parseRules(text, place)
    expect(problems).toEqual([])
    expect(rules).toEqual(DEFAULT_ROUTING_RULES)
    expect(printRules(rules)).toBe(text)
  })

  it('ip neigh', () => {
    const entries = rows(state.neigh).map((row): NeighbourSpec => ({
      address: parseIp(row.dst as string) as number,
      device: row.dev as string,
      ...(row.lladdr === undefined ? {} : { mac: parseMac(row.lladdr as string) }),
      state: (row.state as string[])[0].toLowerCase() as NeighbourSpec['state'],
    }))
    const { neighbours, problems } = parseNeighbours(printNeighbours(entries), place)
    expect(problems).toEqual([])
    expect(neighbours).toEqual(entries)
    expect(printNeighbours(neighbours)).toBe(
      rows(state.neigh)
        .map((row) => `${row.dst as string} dev ${row.dev as string} lladdr ${row.lladdr as string} ${(row.state as string[])[0]} \n`)
        .join(''),
    )
  })

  it('bridge fdb', () => {
    const text = rows(state.fdb)
      .map((row) =>
        [
          row.mac,
          'dev',
          row.ifname,
          ...(row.dst === undefined ? [] : ['dst', row.dst]),
          ...(row.flags as string[]),
          ...(row.master === undefined ? [] : ['master', row.master]),
          row.state,
        ].join(' '),
      )
      .map((line) => `${line}\n`)
      .join('')
    const { fdb, problems } = parseFdb(text, place)
    expect(problems).toEqual([])
    expect(printFdb(fdb)).toBe(text)
    expect(fdb.map((entry: FdbSpec) => [formatMac(entry.mac), entry.device, entry.master, entry.state])).toEqual(
      rows(state.fdb).map((row) => [row.mac, row.ifname, row.master, row.state === '' ? 'reachable' : row.state]),
    )
  })

  it('iptables-save', () => {
    const { state: tables, problems } = parseIptablesSave(state.iptables, place)
    expect(problems).toEqual([])
    expect(printIptablesSave(tables)).toBe(
      state.iptables
        .split('\n')
        .filter((line) => !line.startsWith('#'))
        .join('\n'),
    )
  })
})
