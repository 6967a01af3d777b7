/** What may differ harmlessly is no drift; whatever is taken away is told; what was found, done to the expected node, leaves nothing to find. */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { randomMac, type Mac } from '../../../src/base/mac.js'
import { hashText, Prng } from '../../../src/base/prng.js'
import { differencesOf } from '../../../src/analysis/drift/compare.js'
import { driftOf, viewOf } from '../../../src/analysis/drift/drift.js'
import { gatheredOf } from '../../../src/analysis/drift/gathered.js'
import { NodeFacts } from '../../../src/analysis/drift/node-facts.js'
import { translate } from '../../../src/analysis/drift/translate.js'
import { buildCluster } from '../../../src/cluster/cluster.js'
import type { Dataplane } from '../../../src/dataplane/dataplane.js'
import { buildNetwork } from '../../../src/network/build-network.js'
import type { Network } from '../../../src/network/network.js'
import type { NodePlan } from '../../../src/network/nodes.js'
import { dumpFiles, dumpOf } from './dump-kit.js'

function networkOf(example: string): Network {
  const { cluster } = buildCluster([{ file: `examples/${example}`, text: readFileSync(`examples/${example}`, 'utf8') }])
  return buildNetwork(cluster, { seed: 1 }).network
}

const EXAMPLES = [
  'services-flannel.yaml',
  'services-calico.yaml',
  'flannel-host-gw.yaml',
  'calico-ipip.yaml',
  'canal.yaml',
  'calico-wireguard.yaml',
  'docker-only.yaml',
]

/** The same node with names and MACs that another kernel would have drawn. */
function disguised(
  network: Network,
  { dataplane, pods }: NodePlan,
  seed: string,
): { readonly dataplane: Dataplane; readonly pods: readonly { readonly dataplane: Dataplane }[] } {
  const macs = new Map<Mac, Mac>()
  const published = new NodeFacts(network, []).publishedMac(dataplane.netns)
  const own = new Set(
    dataplane.devices.flatMap(({ name, mac }) => (mac === undefined || mac === published || name.startsWith('vxlan') || name.startsWith('cali') ? [] : [mac])),
  )
  const names = {
    device: (name: string): string =>
      name === 'eth0'
        ? 'ens192'
        : name.startsWith('veth')
          ? `veth${hashText(name + seed)
              .toString(16)
              .padStart(8, '0')}`
          : name,
    mac: (mac: Mac): Mac => {
      if (!own.has(mac)) return mac
      if (!macs.has(mac)) macs.set(mac, randomMac(new Prng(hashText(`${mac} ${seed}`))))
      return macs.get(mac) ?? mac
    },
    key: (key: string): string => key,
  }
  const renamed = translate(dataplane, names)
  return {
    dataplane: renamed,
    pods: pods.map((pod) => ({
      dataplane: {
        ...pod.dataplane,
        devices: pod.dataplane.devices.map((device) =>
          device.kind === 'veth' ? { ...device, peer: { ...device.peer, device: names.device(device.peer.device) } } : device,
        ),
      },
    })),
  }
}

/** What docker has for itself on many a node. */
const DOCKER_FILTER = `:DOCKER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-USER -j RETURN
`
const DOCKER_NAT = `-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
`

/** The same rules with those of docker before and behind them, and what only counts. */
function besideDocker(text: string): string {
  return text.replace(/(?<=\*filter\n(?:(?::.*)\n)*)(?=(?:\[|-A|COMMIT))/, DOCKER_FILTER).replace(/(?<=\*nat\n(?:(?::.*|\[.*|-A.*)\n)*)(?=COMMIT)/, DOCKER_NAT)
}

const HOST_NOISE = `net.ipv4.ip_local_port_range = 32768\t60999\nnet.core.somaxconn = 4096\nnet.ipv4.tcp_congestion_control = cubic\n`

describe('what may differ', () => {
  it.each(EXAMPLES)('%s: names of veths and of the card, MACs, learnt entries, docker, the rest of the host', (example) => {
    const network = networkOf(example)
    for (const plan of network.nodes.slice(0, 1)) {
      const { dataplane, pods } = disguised(network, plan, 'another kernel')
      const noisy: Dataplane = {
        ...dataplane,
        neighbours: [
          ...dataplane.neighbours,
          { address: 0x0a000001, device: 'ens192', mac: 0x020000000001, state: 'reachable' },
          { address: 0x0a000002, device: 'ens192', state: 'failed' },
        ],
        fdb: [...dataplane.fdb, { mac: 0x333300000001, device: 'ens192', self: true, state: 'permanent' }],
        sysctls: { ...dataplane.sysctls, 'net.ipv4.conf.ens192.rp_filter': 2, 'net.ipv4.conf.ens192.accept_redirects': 0 },
      }
      const plain = dumpOf(noisy, pods)
      const rules = dumpFiles(noisy, pods, {}).get('node/iptables-nft') ?? ''
      const files = {
        ...(network.cluster.runtime.name === 'docker' ? {} : { 'node/iptables-nft': besideDocker(rules) }),
        'node/sysctl': `${HOST_NOISE}${Object.entries(noisy.sysctls)
          .map(([key, value]) => `${key} = ${value}`)
          .join('\n')}\n`,
      }
      for (const collected of [plain, dumpOf(noisy, pods, { files }), dumpOf(noisy, pods, { pods: false })]) {
        const report = driftOf(network, [{ name: collected.name, dataplane: collected.dataplane, collected }])
        expect(report.findings.map(({ what, expected, there }) => [what, expected, there])).toEqual([])
      }
    }
  })
})

interface Deletion {
  readonly what: string
  readonly dataplane: Dataplane
}

/** One thing of an agent's. */
function deletions(dataplane: Dataplane): readonly Deletion[] {
  const isAgents = (one: { readonly provenance?: { readonly by: string } }): boolean =>
    one.provenance !== undefined && !/^(kernel|owner of the host|node)$/.test(one.provenance.by)
  const without = <Item>(items: readonly Item[], at: number): Item[] => items.filter((_, index) => index !== at)
  return [
    ...dataplane.routes.flatMap((route, at) =>
      isAgents(route) ? [{ what: `route ${at}`, dataplane: { ...dataplane, routes: without(dataplane.routes, at) } }] : [],
    ),
    ...dataplane.neighbours.flatMap((one, at) =>
      one.state === 'permanent' && isAgents(one)
        ? [{ what: `neighbour ${at}`, dataplane: { ...dataplane, neighbours: without(dataplane.neighbours, at) } }]
        : [],
    ),
    ...dataplane.fdb.flatMap((one, at) =>
      one.destination === undefined ? [] : [{ what: `fdb ${at}`, dataplane: { ...dataplane, fdb: without(dataplane.fdb, at) } }],
    ),
    ...dataplane.devices.flatMap((device, at) =>
      isAgents(device)
        ? [
            {
              what: `device ${device.name}`,
              dataplane: {
                ...dataplane,
                devices: without(dataplane.devices, at).map((other) => {
                  const { master, bridgePort: _, ...rest } = other
                  return master === device.name ? rest : other
                }),
                routes: dataplane.routes.filter((route) => route.device !== device.name),
                neighbours: dataplane.neighbours.filter((one) => one.device !== device.name),
                fdb: dataplane.fdb.filter((one) => one.device !== device.name && one.master !== device.name),
              },
            },
          ]
        : [],
    ),
    ...dataplane.ipsets.flatMap((set, at) =>
      set.members.map((_, member) => ({
        what: `member ${member} of ${set.name}`,
        dataplane: { ...dataplane, ipsets: dataplane.ipsets.map((other, index) => (index === at ? { ...set, members: without(set.members, member) } : other)) },
      })),
    ),
    ...dataplane.iptables.tables.flatMap((table, t) =>
      table.chains.flatMap((chain, c) =>
        chain.rules.flatMap(({ target }, r) =>
          // a rule that only counts or logs does nothing
          target === undefined || target.kind === 'NFLOG' || target.kind === 'LOG'
            ? []
            : [
                {
                  what: `rule ${r} of ${chain.name} in ${table.name}`,
                  dataplane: {
                    ...dataplane,
                    iptables: {
                      tables: dataplane.iptables.tables.map((one, i) =>
                        i === t ? { ...one, chains: one.chains.map((two, j) => (j === c ? { ...two, rules: without(two.rules, r) } : two)) } : one,
                      ),
                    },
                  },
                },
              ],
        ),
      ),
    ),
  ]
}

describe('one thing taken away', () => {
  it.each(EXAMPLES)('%s: is told, and nothing else', (example) => {
    const network = networkOf(example)
    const facts = new NodeFacts(network, [])
    fc.assert(
      fc.property(fc.nat(), fc.nat(), (n, d) => {
        const plan = network.nodes[n % network.nodes.length]
        const all = deletions(plan.dataplane)
        fc.pre(all.length > 0)
        const { what, dataplane } = all[d % all.length]
        const collected = dumpOf(dataplane, plan.pods)
        const input = { name: collected.name, dataplane: collected.dataplane, collected }
        const view = viewOf({ network, facts }, input, plan.dataplane)
        const found = differencesOf(view, gatheredOf(collected))
        expect(found.length, what).toBeGreaterThan(0)
        expect(new Set(found.map(({ cause }) => cause)).size, `${what}: ${found.map((one) => one.what).join('; ')}`).toBe(1)
        // what was found, done to the expected node, is the node
        const mended = found.reduce((now, { apply }) => apply?.(now) ?? now, plan.dataplane)
        const again = differencesOf(viewOf({ network, facts }, input, mended), gatheredOf(collected))
        expect(again.map((one) => `${what}: ${one.what}`)).toEqual([])
      }),
      { numRuns: 60, seed: 7 },
    )
  })
})
