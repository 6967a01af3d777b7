import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { buildCluster } from '../../../src/cluster/cluster.js'
import { parseCidr, type Cidr } from '../../../src/base/cidr.js'
import { renderFlannel } from '../../../src/flannel/flanneld.js'
import { planFlannel } from '../../../src/network/flannel-plan.js'
import { bareNodes } from '../../../src/network/network.js'
import { etcdCluster, exampleText, FlannelRun, HOUR, MS, nodeText, SECOND, type FlannelRunOptions } from './flannel-kit.js'

const DAY = 24 * HOUR
const net = (text: string): Cidr => parseCidr(text) as Cidr

const examples = readdirSync(new URL('../../../examples/', import.meta.url)).filter((name) => {
  if (!name.endsWith('.yaml')) return false
  const { cni } = buildCluster([{ file: name, text: exampleText(name) }]).cluster
  return cni === 'flannel' || cni === 'canal'
})

/** With whose subnet: runs are told apart by seeds alone. */
const converged = (text: string, options?: FlannelRunOptions): FlannelRun => new FlannelRun(text, options).converged()

describe('a start run to rest is what planFlannel renders at once', () => {
  it('is asked of every example with flannel', () => {
    expect(examples.length).toBeGreaterThan(10)
    expect(examples).toContain('canal.yaml')
  })

  const texts = [
    ...examples.map((name): [string, string] => [name, exampleText(name)]),
    ...(['udp', 'vxlan', 'host-gw', 'ipip', 'wireguard'] as const).map((type): [string, string] => [
      `twelve new nodes, ${type}`,
      etcdCluster(12, { Network: '10.1.0.0/16', Backend: { Type: type } }),
    ]),
    ['twelve new nodes, flannel 0.10.0', etcdCluster(12, undefined, { version: '0.10.0' })] as [string, string],
  ]
  it.each(texts.flatMap(([name, text]) => (['converged', 'boot'] as const).map((start): [string, 'converged' | 'boot', string] => [name, start, text])))(
    '%s, %s',
    (_name, start, text) => {
      const run = converged(text, { family: { start } })
      const { cluster } = run
      const plan = planFlannel(cluster, bareNodes(cluster, 1), { seed: 1, atNs: 0 })
      const held = [...plan.ownLeases.keys()]
      expect(held.length).toBeGreaterThan(0)
      for (const { name } of cluster.nodes) {
        const { flannel, flanneldRuns } = run.node(name)
        expect([name, flannel !== undefined, flanneldRuns]).toEqual([name, held.includes(name), held.includes(name)])
        if (flannel !== undefined) expect(renderFlannel(flannel)).toEqual(plan.parts.get(name))
      }
      const bare = ({ subnet, attributes }: { subnet: Cidr; attributes: unknown }): unknown => ({ subnet, attributes })
      expect(run.family.leases.map(({ node, lease }) => [node, bare(lease)])).toEqual(plan.leases.map(({ node, lease }) => [node, bare(lease)]))
      expect(run.diary.entries.some(({ kind }) => kind === 'lease-refused')).toBe(false)
    },
  )
})

describe('leases in etcd', () => {
  it('a node dies: the others send to it until its lease is over, 24 hours after it was last renewed', () => {
    const run = converged(etcdCluster(3))
    const gone = run.subnet('n2')
    run.runTo(HOUR)
    const down = run.power('n2', false)
    expect(run.node('n2').flannel).toBeUndefined()
    run.runTo(DAY - 1)
    expect(run.routes('n1')).toContain(gone)
    run.changes.length = 0
    run.runTo(DAY + SECOND)
    expect(run.routes('n1')).toEqual([run.subnet('n3')])
    expect(run.told('lease-expired')).toEqual([`${DAY / SECOND} n2 lease ${gone} expired`])
    const heardNs = DAY + run.delays['etcd.watch'] + run.delays['flannel.apply']
    expect(run.changes.map(({ atNs, node }) => [atNs, node])).toEqual([
      [heardNs, 'n1'],
      [heardNs, 'n3'],
    ])
    expect(run.why(run.changes[0].cause)).toEqual([`lease ${gone} expired`, 'node n2 goes down'])
    expect(run.diary.chain(run.changes[0].cause ?? -1)[0].id).toBe(down)
  })

  it('is renewed at 23 hours, then every 23; nobody’s kernel changes by it', () => {
    const run = converged(etcdCluster(3))
    run.runTo(47 * HOUR)
    const lines = ['n1', 'n2', 'n3'].map((name) => `${name} lease ${run.subnet(name)} renewed`)
    expect(run.told('lease-renewed')).toEqual([23, 46].flatMap((hours) => lines.map((line) => `${hours * 3600} ${line}`)))
    expect(run.changes).toEqual([])
    expect(run.told('lease-expired')).toEqual([])
  })

  it('time to live and margin are those of the scenario', () => {
    const run = converged(etcdCluster(2), { delays: { 'flannel.leaseTTL': 100 * SECOND, 'flannel.renewMargin': 10 * SECOND } })
    const gone = run.subnet('n2')
    run.runTo(95 * SECOND)
    run.power('n2', false)
    run.runTo(300 * SECOND)
    expect(run.told('lease-renewed', 'lease-expired').map((line) => line.replace(/ lease.* /, ' '))).toEqual([
      '90 n1 renewed',
      '90 n2 renewed',
      '180 n1 renewed',
      '190 n2 expired',
      '270 n1 renewed',
    ])
    expect(run.routes('n1')).not.toContain(gone)
  })

  it('a margin as long as the lease does not renew without end', () => {
    const run = converged(etcdCluster(2), { delays: { 'flannel.leaseTTL': 10 * SECOND, 'flannel.renewMargin': HOUR } })
    run.runTo(5 * SECOND + 1)
    expect(run.told('lease-renewed')).toHaveLength(10)
  })

  it('a lease of the input that nobody renews ends when its time to live is over, counted from time 0', () => {
    const run = converged(exampleText('stale-lease.yaml'))
    expect(run.routes('node-1')).toEqual(['10.1.99.0/24'])
    run.runTo(3 * DAY)
    expect(run.told('lease-expired')).toEqual(['86280 - lease 10.1.99.0/24 expired'])
    expect(run.told('lease-renewed')[0]).toBe(`${43200 - 3600} node-1 lease 10.1.15.0/24 renewed`)
    expect(run.routes('node-1')).toEqual([])
  })

  it('a node reboots: the same subnet, another MAC, and the others follow once its flanneld is back', () => {
    const run = converged(etcdCluster(3))
    const before = run.subnet('n2')
    const mac = (): unknown =>
      run
        .node('n1')
        .flannel?.leases.find(({ attributes }) =>
          run.family.leases.some(({ node, lease }) => node === 'n2' && lease.attributes.publicIp === attributes.publicIp),
        )?.attributes.backendData
    const first = mac()
    run.runTo(10 * SECOND)
    run.power('n2', false)
    run.runTo(20 * SECOND)
    run.changes.length = 0
    run.power('n2', true)
    run.runTo(HOUR)
    expect(run.subnet('n2')).toBe(before)
    expect(run.told('lease-taken')).toEqual([
      `${(20 * SECOND + run.delays['host.boot'] + run.delays['agent.start'] + 2 * MS) / SECOND} n2 lease ${before} taken: same PublicIP`,
    ])
    expect(mac()).not.toEqual(first)
    expect(renderFlannel(run.node('n1').flannel ?? fail()).fdb).toHaveLength(2)
    expect(run.routes('n2')).toEqual([run.subnet('n1'), run.subnet('n3')].sort())
    const [heard] = run.changes.filter(({ node }) => node === 'n1')
    expect(run.why(heard.cause)).toEqual([`lease ${before} taken: same PublicIP`, 'flanneld starts', 'node n2 goes up'])
  })

  it('flanneld is restarted on its own: device, MAC, subnet and the others’ kernels stay', () => {
    const run = converged(etcdCluster(3))
    const { flannel } = run.node('n2')
    run.agent('flanneld', 'stop', 'n2')
    expect(run.node('n2')).toMatchObject({ flanneldRuns: false, flannel })
    run.runTo(60 * SECOND)
    run.agent('flanneld', 'start', 'n2')
    run.runTo(HOUR)
    expect(run.node('n2').flanneldRuns).toBe(true)
    expect(renderFlannel(run.node('n2').flannel ?? fail())).toEqual(renderFlannel(flannel ?? fail()))
    expect(run.changes.filter(({ node }) => node !== 'n2')).toEqual([])
    expect(run.told('agent', 'lease-taken').map((line) => line.replace(/lease \S+/, 'lease'))).toEqual([
      '0 n2 flanneld is stopped',
      '62 n2 flanneld starts',
      '62.002 n2 lease taken: same PublicIP',
    ])
  })

  it('a flanneld that stays stopped loses its lease; one that comes back takes the subnet of subnet.env while it is free', () => {
    const run = converged(etcdCluster(3))
    const before = run.subnet('n2')
    run.agent('flanneld', 'kill', 'n2')
    expect(run.node('n2')).toMatchObject({ flanneldRuns: false, flanneldKilled: true })
    run.runTo(25 * HOUR)
    expect([run.subnet('n2'), run.routes('n1').length]).toEqual(['none', 1])
    run.agent('flanneld', 'start')
    run.runTo(26 * HOUR)
    expect(run.subnet('n2')).toBe(before)
    expect(run.node('n2').flanneldKilled).toBeUndefined()
    expect(run.told('lease-taken')).toEqual([expect.stringMatching(/ n2 lease .* taken: previous subnet$/)])
  })
})

function fail(): never {
  throw new Error('nothing there')
}

describe('delete-lease', () => {
  it('the others take the way away, its own flanneld exits and is started anew, with another or the same subnet', () => {
    const run = converged(etcdCluster(3))
    const before = run.subnet('n2')
    run.runTo(SECOND)
    const cause = run.act({ kind: 'delete-lease', subnet: net(before) }, `delete ${before}`)
    run.runTo(2 * SECOND)
    expect(run.routes('n1')).toEqual([run.subnet('n3')])
    // what a process of vxlan leaves in the kernel stays there
    expect(run.node('n2')).toMatchObject({ flanneldRuns: false, flannel: { nodeName: 'n2' } })
    run.runTo(HOUR)
    expect(run.told('lease-deleted', 'agent', 'lease-taken')).toEqual([
      `1 n2 lease ${before} deleted`,
      '1.001 n2 flanneld exits: lease has been revoked',
      '11.001 n2 flanneld starts',
      `11.003 n2 lease ${before} taken: previous subnet`,
    ])
    expect(run.routes('n1')).toEqual([run.subnet('n2'), run.subnet('n3')].sort())
    const first = run.changes.find(({ node }) => node === 'n1')
    expect([first?.atNs, run.why(first?.cause)]).toEqual([SECOND + 11 * MS, [`lease ${before} deleted`, `delete ${before}`]])
    expect(run.diary.get(run.diary.entries.find(({ kind }) => kind === 'lease-deleted')?.id ?? -1).cause).toBe(cause)
  })

  it('says so where there is none, and where a lease is a Node', () => {
    const run = converged(etcdCluster(2))
    run.act({ kind: 'delete-lease', subnet: net('10.9.9.0/24') })
    expect(run.told('lease-refused')).toEqual(['0 - there is no lease 10.9.9.0/24 to be deleted'])
    const kubernetes = converged(exampleText('flannel-vxlan.yaml'))
    kubernetes.act({ kind: 'delete-lease', subnet: net('10.244.1.0/24') })
    expect(kubernetes.told('lease-refused')).toEqual(["0 - lease 10.244.1.0/24 is a Node's podCIDR: it goes with its Node"])
    expect(kubernetes.routes('node-2')).toEqual(['10.244.1.0/24'])
  })
})

describe('two flanneld race for one subnet', () => {
  /** One subnet is free: 10.1.1.0/24 is SubnetMin. */
  const both = (version: string): FlannelRun => {
    const run = new FlannelRun(
      etcdCluster(2, { Network: '10.1.0.0/22', SubnetMin: '10.1.1.0', SubnetMax: '10.1.1.0', Backend: { Type: 'vxlan' } }, { version }),
      {
        family: { start: 'boot', spreadNs: 0 },
      },
    )
    run.family.boot()
    run.runTo(30 * SECOND)
    return run
  }

  it('since 0.18 the one that is late exits, and is started anew to find none left', () => {
    const run = both('0.28.9')
    expect(run.told('lease-taken', 'lease-refused', 'agent').slice(0, 5)).toEqual([
      '2 n1 flanneld starts',
      '2 n2 flanneld starts',
      '2.002 n1 lease 10.1.1.0/24 taken: drawn',
      '2.002 n2 no lease: subnet 10.1.1.0/24 already exists',
      '2.002 n2 flanneld exits: failed to acquire lease: subnet 10.1.1.0/24 already exists',
    ])
    expect(run.told('lease-refused')[1]).toBe('12.004 n2 no lease: out of subnets')
    expect([run.node('n1').flanneldRuns, run.node('n2').flannel]).toEqual([true, undefined])
  })

  it('before, it asks again at once', () => {
    const run = both('0.17.0')
    expect(run.told('lease-refused').slice(0, 2)).toEqual(['2.002 n2 no lease: subnet 10.1.1.0/24 already exists', '2.004 n2 no lease: out of subnets'])
  })
})

describe('etcd is away', () => {
  const away = (hours: number, version = '0.28.9'): FlannelRun => {
    const run = converged(etcdCluster(3, undefined, { version }))
    run.runTo(HOUR)
    run.agent('etcd', 'stop')
    run.runTo((1 + hours) * HOUR)
    run.agent('etcd', 'start')
    return run
  }

  it('for an hour: nothing changes in a kernel, no lease ends', () => {
    const run = away(1)
    run.runTo(22 * HOUR)
    expect([run.changes, run.told('lease-expired', 'lease-refused')]).toEqual([[], []])
    run.runTo(3 * DAY)
    expect([run.changes, run.told('lease-expired', 'lease-refused')]).toEqual([[], []])
    expect(run.told('agent')).toEqual(['3600 - etcd is away', '7202 - etcd answers again; every lease that it holds has its whole time to live anew'])
  })

  it('for 25 hours: renewals fail each minute; at its return etcd gives every lease its whole time again, and all are renewed', () => {
    const run = away(25)
    run.runTo(27 * HOUR)
    const refused = run.told('lease-refused').filter((line) => line.includes(' n1 '))
    // from 23 h on each minute until etcd answers, at 26 h and 2 s
    expect([refused[0], refused[1], refused.length]).toEqual([
      `${23 * 3600} n1 lease ${run.subnet('n1')} not renewed: the datastore does not answer; again in 1 min`,
      `${23 * 3600 + 60} n1 lease ${run.subnet('n1')} not renewed: the datastore does not answer; again in 1 min`,
      181,
    ])
    expect(run.told('lease-renewed').map((line) => line.split(' ')[0])).toEqual(Array(3).fill(String(26 * 3600 + 60)))
    expect([run.told('lease-expired'), run.changes]).toEqual([[], []])
  })

  it('for 25 hours with flannel 0.17: keys of the v2 API end at a time of day, and flannelds of the lost leases begin anew', () => {
    const run = away(25, '0.17.0')
    run.runTo(27 * HOUR)
    expect(run.told('lease-expired').map((line) => line.split(' ')[0])).toEqual(Array(3).fill(String(26 * 3600 + 2)))
    expect(run.told('agent').filter((line) => line.endsWith('lease has been revoked'))).toHaveLength(3)
    for (const name of ['n1', 'n2', 'n3']) expect([run.routes(name).length, run.node(name).flanneldRuns]).toEqual([2, true])
  })

  it('what was written meanwhile is heard of when the watch is back: at the next of its tries', () => {
    const run = converged(etcdCluster(3))
    const gone = run.subnet('n2')
    run.cut('n1', true)
    run.runTo(SECOND)
    run.act({ kind: 'delete-lease', subnet: net(gone) })
    run.agent('flanneld', 'stop', 'n2')
    run.runTo(2 * SECOND)
    expect([run.routes('n1').includes(gone), run.routes('n3').includes(gone)]).toEqual([true, false])
    run.cut('n1', false)
    run.changes.length = 0
    run.runTo(HOUR)
    // tries after 0.1, 0.3, 0.7, 1.5 and 3.1 s
    expect(run.changes.map(({ atNs, node }) => [atNs, node])).toEqual([[3.1 * SECOND + 11 * MS, 'n1']])
    expect(run.why(run.changes[0].cause)[0]).toBe(`lease ${gone} deleted`)
  })

  it('a node that is isolated for longer than its lease loses it, and begins anew when it is back', () => {
    const run = converged(etcdCluster(3))
    const before = run.subnet('n2')
    run.runTo(HOUR)
    run.cut('n2', true)
    run.runTo(25 * HOUR)
    expect(run.told('lease-expired')).toEqual([`86400 n2 lease ${before} expired`])
    expect([run.routes('n1').includes(before), run.routes('n2').length, run.node('n2').flanneldRuns]).toEqual([false, 2, true])
    run.cut('n2', false)
    run.runTo(26 * HOUR)
    expect(run.told('agent').map((line) => line.replace(/^\S+ /, ''))).toEqual(['n2 flanneld exits: lease has been revoked', 'n2 flanneld starts'])
    expect(run.routes('n1')).toContain(run.subnet('n2'))
  })

  it('a flanneld that starts meanwhile waits for it', () => {
    const run = converged(etcdCluster(2))
    run.agent('etcd', 'kill')
    run.agent('flanneld', 'stop', 'n2')
    run.agent('flanneld', 'start', 'n2')
    run.runTo(HOUR)
    expect(run.node('n2').flanneldRuns).toBe(false)
    run.agent('etcd', 'start')
    run.runTo(2 * HOUR)
    expect(run.node('n2').flanneldRuns).toBe(true)
  })
})

describe('leases in Node objects', () => {
  const text = exampleText('flannel-vxlan.yaml')

  it('a Node that goes takes its lease along; one that comes is learnt of', () => {
    const run = converged(text)
    const extra = `---\n${nodeText(7, '10.244.7.0/24').replace('192.168.0.7', '192.168.10.17')}`
    run.apply(`${text}\n${extra}`)
    run.runTo(10 * SECOND)
    expect(run.routes('node-1')).toEqual(['10.244.2.0/24', '10.244.7.0/24'])
    expect(run.routes('n7')).toEqual(['10.244.1.0/24', '10.244.2.0/24'])
    run.changes.length = 0
    run.apply(text)
    run.runTo(20 * SECOND)
    expect(run.routes('node-1')).toEqual(['10.244.2.0/24'])
    expect(run.changes[0].atNs).toBe(10 * SECOND + run.delays['apiserver.watch'] + run.delays['flannel.apply'])
    expect(run.why(run.changes[0].cause)).toEqual(['apply'])
  })

  it('a dead node stays routed for ever: its Node is still there', () => {
    const run = converged(text)
    run.power('node-2', false)
    run.runTo(30 * DAY)
    expect([run.routes('node-1'), run.changes.filter(({ node }) => node === 'node-1')]).toEqual([['10.244.2.0/24'], []])
  })
})

describe('a run', () => {
  const story = (): string => {
    const run = new FlannelRun(etcdCluster(12), { seed: 5, keepsWatches: true }).converged()
    run.runTo(HOUR)
    run.power('n4', false)
    run.agent('etcd', 'stop')
    run.runTo(24.5 * HOUR)
    run.agent('etcd', 'start')
    run.act({ kind: 'delete-lease', subnet: net(run.subnet('n2')) })
    run.runTo(50 * HOUR)
    run.power('n4', true)
    run.runTo(60 * HOUR)
    const routes = run.changes.map(({ atNs, node, cause, state }) => [
      atNs,
      node,
      cause,
      state.flannel === undefined ? null : renderFlannel(state.flannel).routes,
    ])
    return JSON.stringify([run.diary.entries, routes, run.family.etcdKeys])
  }

  it('is the same for the same seed', () => {
    expect(story()).toBe(story())
  })

  it('keeps watch events in the diary only where they are asked for, and counts them', () => {
    const [quiet, loud] = [false, true].map((keepsWatches) => new FlannelRun(etcdCluster(5), { keepsWatches }).boot())
    expect(quiet.diary.entries.filter(({ kind }) => kind === 'watch')).toEqual([])
    expect(loud.diary.entries.filter(({ kind }) => kind === 'watch')).toHaveLength(loud.family.watchEvents)
    // each hears of each other once
    expect([quiet.family.watchEvents, loud.family.watchEvents]).toEqual([20, 20])
  })

  it('etcd’s keys are those of flannel and as many leases as nodes', () => {
    const run = converged(etcdCluster(4))
    expect(run.family.etcdKeys).toHaveLength(5)
    expect(run.family.leases.map(({ node }) => node).sort()).toEqual(['n1', 'n2', 'n3', 'n4'])
  })
})
