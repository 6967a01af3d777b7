/**
 * What policies mean = what Felix's chains do in the simulated kernel = what they do in THIS KERNEL: a sample of the worlds of test/policy/agreement.test.ts,
 * of each dialect, with packets between pods, nodes and a host outside. Needs root or user namespaces and the tools; skipped by name without.
 */
import { describe, expect, it } from 'vitest'
import { labNetworkOf } from '../../src/kernel/lab.js'
import { checkKernel } from '../../src/kernel/lab-check.js'
import { verifyNetwork } from '../../src/kernel/verify.js'
import { DEFAULT_REQUEST, type TraceRequest } from '../../src/network/request.js'
import { evaluatePair } from '../../src/policy/evaluate.js'
import type { End } from '../../src/policy/model.js'
import { parseRange, type AddressRange } from '../../src/policy/address-range.js'
import type { Connection } from '../../src/policy/connections.js'
import { Draw } from '../fuzz/draw.js'
import { DIALECTS, manifestOfPolicies, OUTSIDE_ADDRESSES, randomPolicyDraft, type PolicyDraft } from '../fuzz/policy-draft.js'
import { connectionsOf, Sides } from '../policy/agreement.js'

const PREFIX = `netsim-policy-${process.pid}-`
const WORLDS_OF_EACH = 5
const OF_EACH_ANSWER = 10
const FIRST_SEED = 70

const missing = await checkKernel(labNetworkOf(new Sides([{ file: 'drawn.yaml', text: manifestOfPolicies(randomPolicyDraft(1)) }]).network), PREFIX).then(
  (found) => found.missing.map(({ what }) => what),
  (error: unknown) => [String(error)],
)
if (missing.length > 0) console.warn(`policies are not tried on this kernel: ${missing.join(', ')}`)

interface Asked {
  readonly name: string
  readonly request: TraceRequest
  readonly allowed: boolean
}

/** Of every pair and connection that a socket can ask: some that the policies allow, and as many that they deny. */
function sampleOf(sides: Sides, { seed, mode }: PolicyDraft): readonly Asked[] {
  const connections = connectionsOf(sides.world, false).filter(({ protocol, port }) => protocol === 'TCP' || protocol === 'UDP' || isEcho(protocol, port))
  const client: End = { kind: 'outside', range: parseRange(OUTSIDE_ADDRESSES[0]) as AddressRange }
  // over Calico's VXLAN nobody outside is led to a pod
  const all = [...sides.ends, ...(mode === 'vxlan' ? [] : [client])].flatMap((source) =>
    sides.ends.flatMap((destination): Asked[] => {
      if (source === destination) return []
      const to = sides.place(destination)
      const { allowed } = evaluatePair(sides.world, sides.asSender(source, to).end, destination)
      const from = source.kind === 'node' ? `node/${source.name}` : source === client ? 'host/client' : sides.place(source).netns
      return connections.map((connection): Asked => {
        const { protocol, port } = connection
        const request = { ...DEFAULT_REQUEST, source: from, destination: protocol === 'ICMP' ? to.address : `${to.address}:${port}` }
        const asked: TraceRequest = protocol === 'ICMP' ? request : { ...request, proto: protocol === 'TCP' ? 'tcp' : 'udp' }
        return { name: `${from} → ${request.destination} ${protocol}`, request: asked, allowed: allowed.has(connection) }
      })
    }),
  )
  const draw = new Draw(seed)
  return [true, false].flatMap((answer) => {
    const such = all.filter(({ allowed }) => allowed === answer)
    return such.length === 0 ? [] : draw.times(Math.min(OF_EACH_ANSWER, such.length), () => draw.pick(such))
  })
}

function isEcho(protocol: Connection['protocol'], port: number): boolean {
  return protocol === 'ICMP' && port === 8 * 256
}

describe.skipIf(missing.length > 0)('meaning, chains and THIS KERNEL agree', () => {
  const worlds = DIALECTS.flatMap((dialect) => Array.from({ length: WORLDS_OF_EACH }, (_, index) => [dialect, FIRST_SEED + index] as const))

  it.each(worlds)('of the dialect %s, seed %d', { timeout: 90_000 }, async (dialect, seed) => {
    const draft = randomPolicyDraft(seed, dialect)
    const sides = new Sides([{ file: 'drawn.yaml', text: manifestOfPolicies(draft) }])
    const asked = sampleOf(sides, draft)
    const { probes, complaints } = await verifyNetwork(sides.network, { probes: asked, prefix: PREFIX, rules: false })
    const told = probes.map(({ name, verdict, disposition }, index) => [
      name,
      verdict,
      disposition === 'DENIED' || disposition === 'REJECTED' ? 'held' : 'through',
      asked[index].allowed,
    ])
    expect(complaints).toEqual([])
    expect(told).toEqual(asked.map(({ name, allowed }) => [name, 'equal', allowed ? 'through' : 'held', allowed]))
  })
})
