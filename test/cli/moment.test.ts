/** `netsim show KIND --at` and `--diff-from`: what stands in no kernel (sessions of BGP, leases, keys, objects of the API) is of that moment too. */
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { KINDS } from '../../src/cli/show-names.js'
import { netsim } from './memory-io.js'

const scenario = (name: string): string => fileURLToPath(new URL(`../../examples/scenarios/${name}.yaml`, import.meta.url))
const NODE_DIES = scenario('calico-node-dies')
const BIRD_DIES = scenario('calico-bird-restarts')

async function shown(words: readonly string[], file: string): Promise<string> {
  const { code, out, err } = await netsim(['show', ...words, '-f', file])
  expect({ code, err }).toEqual({ code: 0, err: '' })
  return out
}

interface Session {
  readonly netns: string
  readonly peer: string
  readonly state: string
  readonly sinceNs: number
  readonly routes: number
  readonly restarting: boolean
  readonly endsNs: { readonly hold?: number; readonly dial?: number; readonly errorWait?: number; readonly restart?: number }
  readonly absent?: string
}

interface Sessions {
  readonly items: readonly Session[]
  readonly run: { readonly established: number; readonly bytes: number; readonly messages: Readonly<Record<string, number>> }
}

async function sessions(at: string, file = NODE_DIES): Promise<Sessions> {
  return JSON.parse(await shown(['sessions', '--at', at, '-o', 'json'], file)) as Sessions
}

function one({ items }: Sessions, netns: string, peer: string): Session {
  return items.find((item) => item.netns === netns && item.peer === peer) as Session
}

/** Of the diary, ns. */
async function downNs(node: string, file: string): Promise<number> {
  const rows = (
    JSON.parse(await shown(['timeline', node, '--kind', 'bgp-session', '-o', 'json'], file)) as { items: readonly { atNs: number; what: string }[] }
  ).items
  return rows.find(({ atNs, what }) => atNs > 0 && what.includes('is down'))?.atNs as number
}

describe('sessions at a moment', () => {
  it('a hold timer ends when the diary has the session end, or at the next turn of the loop after', async () => {
    const at = await sessions('12s')
    const kept = one(at, 'node-1', '192.168.10.12')
    expect(kept).toMatchObject({ state: 'Established', routes: 1, restarting: false })
    expect(kept.sinceNs).toBeLessThan(0)
    const down = await downNs('node-1', NODE_DIES)
    const { hold = 0 } = kept.endsNs
    expect(hold).toBeGreaterThan(12e9)
    expect(down - hold).toBeGreaterThanOrEqual(0)
    expect(down - hold).toBeLessThan(2.1e9)
    expect(at.items.filter(({ netns }) => netns === 'node-2')).toEqual([{ netns: 'node-2', absent: 'its node has no power' }])
  })

  it('is what it has come to by then: waits after the error, dials, is up again', async () => {
    const after = await sessions('3m41s')
    expect(one(after, 'node-1', '192.168.10.12')).toMatchObject({ state: 'Idle', routes: 0 })
    expect(one(after, 'node-1', '192.168.10.12').endsNs.errorWait).toBeGreaterThan(221e9)
    expect(one(after, 'node-3', '192.168.10.12').endsNs.dial).toBeGreaterThan(221e9)
    expect(one(after, 'node-1', '192.168.10.13').state).toBe('Established')
    const back = await sessions('6m')
    expect(one(back, 'node-1', '192.168.10.12')).toMatchObject({ state: 'Established', routes: 1 })
    expect(one(back, 'node-1', '192.168.10.12').sinceNs).toBeGreaterThan(300e9)
    expect([after.run.established, back.run.established]).toEqual([1, 3])
    expect(back.run.bytes).toBeGreaterThan(after.run.bytes)
  })

  it('tells of a peer that restarts how long its routes are kept', async () => {
    const at = await sessions('10m5s', BIRD_DIES)
    expect(one(at, 'node-1', '192.168.10.12')).toMatchObject({ state: 'Passive', restarting: true, routes: 1 })
    expect(one(at, 'node-1', '192.168.10.12').endsNs.restart).toBeCloseTo(720.00005e9, -3)
    expect(at.items.at(-1)).toEqual({ netns: 'node-2', absent: 'it was stopped' })
    expect(await shown(['sessions', '--at', '10m5s'], BIRD_DIES)).toMatch(/^node-3 .* Active .* dials in \S+; peer restarts, its routes kept 1m55s +Socket/m)
  })

  it('compares two moments without what only runs on', async () => {
    const lines = (await shown(['sessions', '--at', '30s', '--diff-from', '12s'], NODE_DIES)).split('\n')
    expect(lines.filter((line) => line !== '' && !/^[+-] # \d+ OPEN/.test(line))).toEqual([])
    const later = (await shown(['sessions', '--at', '3m45s', '--diff-from', '5s'], NODE_DIES)).split('\n')
    expect(later.filter((line) => line.startsWith('+ node-1')).map((line) => line.replace(/ +/g, ' '))).toEqual([
      expect.stringMatching(/^\+ node-1 Mesh_192_168_10_12 .* Error: Hold timer expired$/),
    ])
  })

  it('before a daemon runs says when it does', async () => {
    const out = await shown(['sessions', '--at', '1s'], scenario('calico-mesh-boots'))
    expect(out).toContain('# node-1: no BIRD runs there: it starts in 1.05 s\n')
    expect(out).toContain('# 0 sessions, 0 established')
  })
})

describe('bgp and bird at a moment', () => {
  it('show the daemon as it is then', async () => {
    const before = await shown(['bgp', 'node-1', '--at', '12s'], NODE_DIES)
    expect(before).toMatch(/^10\.244\.247\.0\/26 +via 192\.168\.10\.12 on eth0 \[Mesh_192_168_10_12 -20\.0\d+s\]/m)
    const after = await shown(['bgp', 'node-1', '--at', '4m'], NODE_DIES)
    expect(after).not.toContain('10.244.247.0/26')
    expect(after).toMatch(/^Mesh_192_168_10_12 BGP +master +start +3m39\.9\d+s +Passive +Error: Hold timer expired$/m)
    expect(await shown(['bgp', 'node-2', '--at', '12s'], NODE_DIES)).toBe('# no BIRD runs here: its node has no power\n')
    expect(await shown(['bird', 'node-2', '--at', '12s'], NODE_DIES)).toBe('# no BIRD runs here: its node has no power\n')
    expect(await shown(['bird', 'node-2', '--at', '9s'], NODE_DIES)).toContain('protocol bgp Mesh_192_168_10_11')
  })

  it('refuse where nobody speaks it, and whom nobody knows', async () => {
    const { code, err } = await netsim(['show', 'sessions', '--at', '12s', '-f', scenario('rollout')])
    expect([code, err]).toEqual([2, expect.stringContaining("nobody speaks BGP here: the pods' network is flannel's")])
    expect((await netsim(['show', 'bgp', 'router/router', '--at', '12s', '-f', NODE_DIES])).err).toContain('router/router speaks no BGP. There are node-1,')
  })
})

describe('what the cluster and the datastores hold at a moment', () => {
  const FLANNEL = scenario('flannel-node-dies')

  it('leases: as etcd has them, ends on the clock of the scenario', async () => {
    const ends = async (at: string): Promise<readonly (string | undefined)[]> =>
      (await shown(['leases', '--at', at], FLANNEL))
        .split('\n')
        .slice(1, -1)
        .map((line) => / (\d+h\S*) /.exec(line)?.[1])
    expect(await ends('12s')).toEqual(['24h', '24h', '24h'])
    // two renewed theirs, an hour before its end
    expect(await ends('23h30m')).toEqual(['47h', '24h', '47h'])
    expect(await ends('24h30m')).toEqual(['47h', '47h'])
  })

  it('etcd: its keys; one that is away says so', async () => {
    expect(await shown(['etcd', '--at', '12s'], FLANNEL)).toContain('/coreos.com/network/config\n')
    expect(await shown(['etcd', '--at', '23h'], scenario('etcd-away'))).toMatch(/^# etcd does not answer now/)
    expect(await shown(['leases', '--at', '24h'], scenario('etcd-away'))).not.toContain('#')
  })

  it('a node without power has nothing in its kernel, and its pods the address that the API tells of', async () => {
    expect(await shown(['routes', 'node-2', '--at', '12s'], FLANNEL)).toBe('# node-2 has no power since 10s: nothing is in its kernel\n')
    expect(await shown(['conntrack', 'node-2', '--at', '12s'], FLANNEL)).toBe('# node-2 has no power since 10s: nothing is in its kernel\n')
    expect(await shown(['nodes', '--at', '2m'], FLANNEL)).toMatch(/^node-2 .* NotReady, has no power since 10s$/m)
    expect(await shown(['pods', '--at', '12s'], FLANNEL)).toMatch(/^default +web-\S+ +Running +10\.1\.20\.2 +node-2$/m)
    expect(await shown(['workloadendpoints', 'node-2', '--at', '12s'], NODE_DIES)).toContain('10.244.247.0/32')
    const { code, err } = await netsim(['show', 'addr', 'shop/api-0', '--at', '12s', '-f', NODE_DIES])
    expect([code, err]).toEqual([2, 'error: shop/api-0 has no network at this moment: node-2 has no power since 10s\n'])
  })

  it.each(KINDS.filter((kind) => kind !== 'timeline'))('%s: an answer of each moment, or a refusal', async (kind) => {
    for (const file of [NODE_DIES, FLANNEL]) {
      const at = async (time: string): Promise<{ readonly code: number; readonly out: string; readonly err: string }> =>
        netsim(['show', kind, '--at', time, '-f', file])
      const [early, late] = [await at('5s'), await at('1m30s')]
      expect(late.code).toBe(early.code)
      expect(early.code === 0 ? early.err : early.out).toBe('')
      const diff = await netsim(['show', kind, '--at', '1m30s', '--diff-from', '5s', '-f', file])
      if (early.code !== 0) expect([early.code, early.err]).toEqual([2, diff.err])
      else if (kind === 'conntrack') expect([diff.code, diff.err]).toEqual([2, expect.stringContaining('--diff-from is not of conntrack')])
      // what differs is told, and nothing else
      else expect([diff.code, diff.out === '']).toEqual([0, withoutColumns(early.out) === withoutColumns(late.out)])
    }
  })
})

/** Timers of sessions run on, columns are as wide as their longest cell. */
function withoutColumns(text: string): string {
  return text
    .replace(/ {3}hold \S+ of 4m/g, '')
    .split('\n')
    .map((line) =>
      line
        .replace(/ +/g, ' ')
        .replace(/ STATE$/, '')
        .trim(),
    )
    .join('\n')
}
