/** The text of an MtuReport, its schema, and `netsim trace --mtu` on the command line. */
import { readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { BAND_OUTCOMES, MTU_VERDICTS, type MtuReport } from '../../src/analysis/mtu-document.js'
import { mtuText, type MtuTextOptions } from '../../src/analysis/mtu-text.js'
import { netsim, type Ran } from '../cli/memory-io.js'
import { networkOf } from '../kit/network.js'
import { oneSegment, report, SILENT, siteOf, siteText, wan, type Site } from './mtu-kit.js'

const ROOT = new URL('../../', import.meta.url)
const PLAIN: MtuTextOptions = { width: 100, color: false, ascii: false, summaryOnly: false }

const SITES: readonly (readonly [string, Site])[] = [
  ['all is well', { backend: 'vxlan' }],
  ['a black hole', { backend: 'ipip', underlay: wan(1400, { filter: SILENT }) }],
  ['a silent segment', { backend: 'vxlan', cards: [1500, 1500], underlay: oneSegment(1400) }],
  ['fragments', { backend: 'wireguard', underlay: wan(1400) }],
  ['a host that learns', { backend: 'udp', underlay: wan(1400) }],
  ['a pod that is told', { backend: 'ipip', underlay: wan(1400) }],
  ['nothing passes', { backend: 'vxlan', hosts: [{ node: 'node-2', iptables: ['-P FORWARD DROP', '-I FORWARD -j DROP'] }] }],
]
const PROTOS = ['tcp', 'udp', 'icmp'] as const

const CASES = SITES.flatMap(([name, site]) => PROTOS.map((proto) => [name, proto, site] as const))

function reportOf(site: Site, proto: (typeof PROTOS)[number]): MtuReport {
  return report(siteOf(site), 'client', proto === 'icmp' ? 'server' : 'server:80', { proto })
}

function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed)
  if (typeof schema !== 'object' || schema === null) return schema
  const copy = Object.fromEntries(Object.entries(schema).map(([name, part]) => [name, closed(part)]))
  return 'properties' in schema && 'type' in schema && !('additionalProperties' in schema) ? { ...copy, additionalProperties: false } : copy
}

interface Schema {
  readonly $defs: Readonly<Record<string, { readonly enum?: readonly string[] }>>
}

const SCHEMA = JSON.parse(readFileSync(new URL('docs/mtu.schema.json', ROOT), 'utf8')) as Schema
const fits = new Ajv2020({ strict: true, allowUnionTypes: true, allErrors: true }).compile(closed(SCHEMA) as object)

describe.each(CASES)('%s, %s', (_name, proto, site) => {
  const told = reportOf(site, proto)

  it('fits its schema, and holds no field that the schema does not name', () => {
    fits(JSON.parse(JSON.stringify(told)))
    expect(fits.errors ?? []).toEqual([])
  })

  it.each([72, 100, 120])('fits %i columns, in plain letters too', (width) => {
    for (const ascii of [false, true]) {
      const lines = mtuText(told, { ...PLAIN, width, ascii }).split('\n')
      expect(lines.filter((line) => line.length > width)).toEqual([])
      expect(lines.filter((line) => /\s$/.test(line))).toEqual([])
      if (ascii) expect(lines.filter((line) => /[^ -~]/.test(line))).toEqual([])
    }
  })

  it('says the same in colours', () => {
    // eslint-disable-next-line no-control-regex
    expect(mtuText(told, { ...PLAIN, color: true }).replace(/\u001b\[\d+m/g, '')).toBe(mtuText(told, PLAIN))
  })

  it('ends with the verdict’s block, which --summary gives alone', () => {
    const summary = mtuText(told, { ...PLAIN, summaryOnly: true })
    expect(summary.startsWith(`${told.verdict}  `)).toBe(true)
    expect(mtuText(told, PLAIN).endsWith(summary)).toBe(true)
  })
})

describe('the schema', () => {
  it('lists the verdicts and outcomes that there are', () => {
    expect(SCHEMA.$defs.verdict.enum).toEqual(MTU_VERDICTS)
    expect(SCHEMA.$defs.outcome.enum).toEqual(BAND_OUTCOMES)
  })

  it('refuses what is no report', () => {
    const told = JSON.parse(JSON.stringify(reportOf({ backend: 'vxlan' }, 'tcp'))) as Record<string, unknown>
    expect([fits(told), fits({ ...told, verdict: 'FINE' }), fits({ ...told, extra: 1 }), fits({ ...told, forward: null })]).toEqual([true, false, false, false])
  })
})

describe('the words', () => {
  it('a black hole: columns that part, the cause in numbers, the rule with its line', () => {
    const text = mtuText(reportOf(SITES[1][1], 'tcp'), PLAIN)
    expect(text).toContain('router r0                    too big                                 1500 > 1400  DROP\n')
    expect(text).toMatch(/node-2 \/ pod default\/server +socket +DELIVERED +never arrives\n/)
    expect(text).toContain('  cause      1480 + 20 ipip = 1500 bytes; router r0 eth1 carries 1400 (100 too many)\n')
    expect(text).toMatch(/silent +ICMP fragmentation needed, mtu 1400, to 192\.168\.10\.11 is lost, DENIED: filter\/OUTPUT #1\s+-p icmp/)
    expect(text).toContain('  fits       largest inner packet 1380, TCP MSS 1340 (1328 with timestamps)\n')
    expect(text).toContain('host-gw 1400, ipip 1380, udp 1372, vxlan 1350, wireguard')
  })

  it('WireGuard’s padding makes it less than the headers leave', () => {
    expect(mtuText(reportOf(SITES[3][1], 'tcp'), PLAIN).replace(/\s+/g, ' ')).toContain(
      '1400 - 20 IPv4 - 8 UDP - 16 WireGuard - 16 tag = 1340; padded to 16 bytes: 1328',
    )
  })

  it('names from files steer no terminal', () => {
    const told = report(networkOf(siteText({ backend: 'vxlan' })), 'client', 'server:80')
    const spoilt: MtuReport = { ...told, warnings: ['\u001b[2Jgone'] }
    expect(mtuText(spoilt, PLAIN)).not.toContain('\u001b')
  })
})

function trace(...words: readonly string[]): Promise<Ran> {
  return netsim(['trace', ...words], { cwd: new URL('.', ROOT).pathname })
}

describe('netsim trace --mtu', () => {
  it.each([
    [0, ['pod-a', 'pod-b']],
    [0, ['shop/web-0', 'shop/api-0:8080', '-f', 'examples/flannel-vxlan.yaml']],
    [1, ['client', 'server:80', '-f', 'examples/mtu-blackhole.yaml']],
    [1, ['client', 'server:80', '-f', 'examples/underlay-mtu.yaml']],
    [1, ['client', '8.8.8.8', '-f', 'examples/underlay-mtu.yaml']],
    [2, ['client', 'nobody:80', '-f', 'examples/underlay-mtu.yaml']],
    [3, ['client', 'server:80', '-f', 'examples/none.yaml']],
    [4, ['pod-a', 'pod-b', '-f', 'examples/docker-only.yaml']],
    [4, ['pod-a', 'pod-b:80', '--proto', 'sctp']],
  ] as const)('exits with %i: %j', async (code, words) => {
    expect((await trace(...words, '--mtu')).code).toBe(code)
  })

  it('-o json is the report, with the files and the version', async () => {
    const { out, code } = await trace('client', 'server:80', '-f', 'examples/mtu-blackhole.yaml', '--mtu', '-o', 'json')
    const told = JSON.parse(out) as MtuReport
    fits(told)
    expect([code, fits.errors ?? []]).toEqual([1, []])
    expect(told.metadata).toMatchObject({ inputs: ['examples/mtu-blackhole.yaml'], runtime: 'cni', nodes: 2 })
    expect(told.next[0]).toBe('netsim trace default/client default/server:80 -v -f examples/mtu-blackhole.yaml')
  })

  it.each([
    [['--size', '1400'], '--mtu tries the sizes itself: leave --size out'],
    [['-o', 'wide'], '--mtu has no -o wide: take text or json'],
    [['--svg', '-'], '--svg is of one packet, and --mtu sends many: ask without --mtu'],
    [['--pcap', 'x'], '--pcap is of one packet, and --mtu sends many: ask without --mtu'],
    [['--expect', 'DELIVERED'], '--expect is of one packet, and --mtu sends many: ask without --mtu'],
  ] as const)('does not go with %j', async (words, message) => {
    expect(await trace('pod-a', 'pod-b', '--mtu', ...words)).toEqual({ code: 2, out: '', err: `error: ${message}\n` })
  })
})
