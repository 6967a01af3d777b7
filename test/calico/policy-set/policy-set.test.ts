/** The packets of table.ts through the chains of the composed network: what becomes of each, and which rule is said to have decided. */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { formatProblem } from '../../../src/base/problem.js'
import type { LegDocument, PolicyVerdictDocument } from '../../../src/analysis/trace-document.js'
import { buildCluster } from '../../../src/cluster/cluster.js'
import { buildNetwork } from '../../../src/network/build-network.js'
import type { Network } from '../../../src/network/network.js'
import { answer } from '../../kit/network.js'
import { TABLE } from './table.js'

const FOLDER = new URL('.', import.meta.url)
const INPUTS = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.yaml'))
  .map((file) => ({ file, text: readFileSync(new URL(file, FOLDER), 'utf8') }))

function build(): { readonly network: Network; readonly problems: readonly string[] } {
  const { cluster, problems } = buildCluster(INPUTS)
  const built = buildNetwork(cluster, { seed: 1, atNs: 0 })
  return { network: built.network, problems: [...problems, ...built.problems].map((problem) => formatProblem(problem).split('\n')[0]) }
}

/** Where a rule stands, by the comment at its line: `security.yaml:21`. Rules of profiles that nobody wrote stand nowhere. */
function placeOf(rule: string): string {
  for (const { file, text } of INPUTS) {
    const at = text.split('\n').findIndex((line) => line.endsWith(`# ${rule}`))
    if (at >= 0) return `${rule} ${file}:${at + 1}`
  }
  return rule
}

function decider({ reason, tier, provenance }: PolicyVerdictDocument): string {
  if (reason === 'tier-end') return `end of ${tier ?? '?'}`
  if (reason !== 'rule' && reason !== 'profile') return reason
  const place = provenance?.file === undefined || provenance.file === '' ? '' : ` ${provenance.file}:${provenance.line ?? 0}`
  return `${provenance?.object ?? '?'}${place}`
}

/** What decided, in the order of the walk; of a packet that is denied the last alone. What no policy is asked about is left out. */
function decidersOf(leg: LegDocument, allowed: boolean): string[] {
  const verdicts = leg.hops.flatMap(({ steps }) => steps.flatMap(({ policy }) => policy ?? []))
  const said = verdicts.filter(({ reason }) => reason !== 'not-policed' && reason !== 'endpoint-to-host').map(decider)
  return allowed ? said : said.slice(-1)
}

describe('the policy set of the shop', () => {
  const { network, problems } = build()

  it('is read without a fault', () => {
    expect(problems.filter((text) => text.includes('error:'))).toEqual([])
    const count = INPUTS.reduce((sum, { text }) => sum + (text.match(/^kind: \S*Policy$/gm) ?? []).length, 0)
    expect(count).toBeGreaterThanOrEqual(30)
    expect(TABLE.length).toBeGreaterThanOrEqual(60)
  })

  it.each(TABLE.map((row) => [`${row.from} → ${row.to} ${row.what}: ${row.why}`, row] as const))('%s', (_, { from, to, what, allowed, deciders }) => {
    const [proto, port] = what.split(' ') as ['tcp' | 'udp' | 'icmp', string?]
    const { document } = answer(network, from, port === undefined ? to : `${to}:${port}`, { proto, listen: true })
    expect([document.forward.disposition, decidersOf(document.forward, allowed)]).toEqual([allowed ? 'DELIVERED' : 'DENIED', deciders.map(placeOf)])
  })
})
