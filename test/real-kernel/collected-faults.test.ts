/**
 * What goes wrong on real nodes, done by hand to networks made for real, one at a time: the node is gathered as an operator would, `drift` names what is
 * wrong, a trace over the dump says where the packet ends, and this kernel does the same with the same packet, frame by frame.
 */
import { describe, expect, it } from 'vitest'
import { driftOf } from '../../src/analysis/drift/drift.js'
import type { DriftCode } from '../../src/analysis/drift/codes.js'
import type { Disposition } from '../../src/net/disposition.js'
import type { Network } from '../../src/network/network.js'
import { networkOf } from '../kit/network.js'
import { collect, differences, exampleText, foundNetwork, isReady, predicted, withLab, type Ask } from './collected-kit.js'

interface Fault {
  readonly name: string
  readonly example: string
  readonly node: string
  /** For a shell inside the node's namespace. */
  readonly commands: (rendered: Network) => readonly string[]
  /** And inside of that pod's. */
  readonly inPod?: readonly [pod: string, command: string]
  readonly ask: Ask & { readonly source: string; readonly destination: string }
  /** How the question ends where nothing is wrong; default DELIVERED. */
  readonly before?: Disposition
  /** The netns it ends in, and how. */
  readonly ends: readonly [netns: string, disposition: Disposition]
  readonly codes: readonly DriftCode[]
  /** What the cluster's objects say otherwise than the nodes: replaced in the manifests that drift is asked with. */
  readonly manifest?: (text: string) => string
  /** Where the lab sees nothing any more: it listens to the device that was there before. */
  readonly unseen?: string
  /** What mends it is for the agents to do: a command restarts them, and there are none here. */
  readonly restart?: true
  /** The rules of the node remember packets (statistic): the lab must not load them anew before the packet. */
  readonly fresh?: boolean
}

const pods: Fault['ask'] = { source: 'shop/web-0', destination: 'shop/api-0' }
const vxlan = { example: 'flannel-vxlan', node: 'node-1', ask: pods }
const VTEP_1 = '5e:1d:0c:a6:31:01'
const VTEP_2 = '5e:1d:0c:a6:31:02'

/** flannel.1 as flanneld makes it, but for some words. */
const anotherTunnel = (words: string): readonly string[] => [
  'ip link del flannel.1',
  `ip link add flannel.1 address ${VTEP_1} mtu 1450 type vxlan ${words} local 192.168.10.11 dev eth0 nolearning noudpcsum`,
  'ip link set flannel.1 up',
  'ip addr add 10.244.1.0/32 dev flannel.1',
  `ip neigh replace 10.244.2.0 lladdr ${VTEP_2} dev flannel.1 nud permanent`,
  `bridge fdb replace ${VTEP_2} dev flannel.1 dst 192.168.10.12 self permanent`,
  'ip route replace 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink',
]

const vethOf = (rendered: Network, node: string, pod: string): string => {
  const veth = rendered.dataplane(node)?.devices.find((device) => device.kind === 'veth' && device.peer.netns === pod)
  if (veth === undefined) throw new Error(pod)
  return veth.name
}

const FAULTS: readonly Fault[] = [
  {
    name: 'an FDB entry deleted',
    ...vxlan,
    commands: () => [`bridge fdb del ${VTEP_2} dev flannel.1 dst 192.168.10.12`],
    ends: ['node-1', 'NO_VTEP'],
    codes: ['ND304'],
  },
  {
    name: 'the MAC of a neighbour changed',
    ...vxlan,
    commands: () => ['ip neigh replace 10.244.2.0 lladdr 02:00:00:00:00:01 dev flannel.1 nud permanent'],
    ends: ['node-1', 'NO_VTEP'],
    codes: ['ND302'],
  },
  { name: 'a route removed', ...vxlan, commands: () => ['ip route del 10.244.2.0/24'], ends: ['router/router', 'NO_ROUTE'], codes: ['ND201'] },
  {
    name: 'FORWARD drops, and nobody accepts for it',
    ...vxlan,
    commands: () => ['iptables -P FORWARD DROP', 'iptables -F FLANNEL-FWD'],
    ends: ['node-1', 'DENIED'],
    codes: ['ND501', 'ND506'],
    restart: true,
  },
  {
    name: 'a REJECT before the chains of the agents',
    ...vxlan,
    commands: () => ['iptables -I FORWARD -p icmp -j REJECT --reject-with icmp-admin-prohibited'],
    ends: ['node-1', 'REJECTED'],
    codes: ['ND504'],
  },
  {
    name: 'an MTU that is not the agent’s',
    ...vxlan,
    commands: () => ['ip link set flannel.1 mtu 1400'],
    ask: { ...pods, size: 1450, df: true },
    ends: ['node-1', 'TOO_BIG'],
    codes: ['ND104'],
  },
  {
    name: 'rp_filter on, and the way back another',
    ...vxlan,
    commands: () => ['sysctl -w net.ipv4.conf.all.rp_filter=1', 'ip route replace 10.244.2.0/24 via 192.168.10.12 dev eth0'],
    ask: { source: 'shop/api-0', destination: 'shop/web-0' },
    ends: ['node-1', 'RPFILTER'],
    codes: ['ND203', 'ND401'],
  },
  {
    name: 'a second masquerade',
    ...vxlan,
    commands: () => ['iptables -t nat -I POSTROUTING -s 10.244.0.0/16 -j MASQUERADE'],
    ends: ['shop/api-0', 'DELIVERED'],
    codes: ['ND507'],
  },
  { name: 'nothing is forwarded', ...vxlan, commands: () => ['sysctl -w net.ipv4.ip_forward=0'], ends: ['node-1', 'NO_ROUTE'], codes: ['ND401'] },
  {
    name: 'another port of VXLAN',
    ...vxlan,
    commands: () => anotherTunnel('id 1 dstport 4789'),
    unseen: 'node-1 flannel.1 ',
    ends: ['node-2', 'NO_SOCKET'],
    codes: ['ND105'],
    restart: true,
  },
  {
    name: 'another VNI',
    ...vxlan,
    commands: () => anotherTunnel('id 2 dstport 8472'),
    unseen: 'node-1 flannel.1 ',
    ends: ['node-2', 'NO_VTEP'],
    codes: ['ND105'],
    restart: true,
  },
  {
    name: 'a blackhole more specific than the agent’s route',
    ...vxlan,
    commands: () => ['ip route add blackhole 10.244.2.0/25'],
    ends: ['node-1', 'NULL_ROUTED'],
    codes: ['ND204'],
  },
  {
    name: 'cni0 down',
    ...vxlan,
    commands: () => ['ip link set cni0 down'],
    ask: { ...pods, cold: true },
    ends: ['shop/web-0', 'NEIGHBOR_FAILED'],
    codes: ['ND102'],
  },
  {
    name: 'the address of cni0 gone',
    ...vxlan,
    commands: () => ['ip addr del 10.244.1.1/24 dev cni0'],
    ask: { ...pods, cold: true },
    ends: ['shop/web-0', 'NEIGHBOR_FAILED'],
    codes: ['ND107'],
  },
  {
    name: 'flannel.1 with another MAC than was published',
    ...vxlan,
    commands: () => ['ip link set flannel.1 address 02:00:00:00:00:77'],
    ask: { source: 'shop/api-0', destination: 'shop/web-0' },
    ends: ['node-1', 'NEIGHBOR_FAILED'],
    codes: ['ND106', 'ND301'],
    restart: true,
  },
  {
    name: 'a foreign table of routes in front',
    ...vxlan,
    commands: () => ['ip rule add pref 100 lookup 99', 'ip route add prohibit 10.244.2.0/24 table 99'],
    ends: ['node-1', 'NULL_ROUTED'],
    codes: ['ND206'],
  },
  {
    name: 'the route of a node that is gone',
    ...vxlan,
    commands: () => ['ip route add 10.244.9.0/24 via 10.244.9.0 dev flannel.1 onlink'],
    ends: ['shop/api-0', 'DELIVERED'],
    codes: ['ND202'],
  },
  {
    name: 'rules of iptables-legacy besides those of nft',
    ...vxlan,
    commands: () => ['iptables-legacy -I FORWARD -p icmp -d 10.244.2.0/24 -j DROP'],
    ends: ['node-1', 'DENIED'],
    codes: ['ND508'],
  },
  {
    name: 'another address published than the node has',
    ...vxlan,
    commands: () => [],
    manifest: (text) => text.replace('public-ip: 192.168.10.11', 'public-ip: 192.168.10.99'),
    ends: ['shop/api-0', 'DELIVERED'],
    codes: ['ND801'],
    restart: true,
  },
  {
    name: 'a bridge’s ports isolated',
    example: 'services-flannel',
    node: 'node-1',
    commands: (rendered) => ['shop/web-0', 'shop/api-0'].map((pod) => `bridge link set dev ${vethOf(rendered, 'node-1', pod)} isolated on`),
    ask: pods,
    ends: ['node-1', 'DENIED'],
    codes: ['ND108', 'ND108'],
  },
  {
    name: 'a Service’s chain emptied',
    example: 'services-flannel',
    node: 'node-1',
    commands: () => ['iptables -t nat -F KUBE-SERVICES'],
    ask: { source: 'shop/web-0', destination: '10.96.0.10:53', proto: 'udp', cold: true },
    fresh: true,
    ends: ['router/router', 'NO_ROUTE'],
    codes: ['ND501'],
    restart: true,
  },
  {
    name: 'a member missing in Calico’s set of VXLAN hosts',
    example: 'calico-vxlan',
    node: 'node-1',
    commands: () => ['ipset del cali40all-vxlan-net 192.168.10.12'],
    ask: { source: 'shop/api-0', destination: 'shop/web-0' },
    ends: ['node-1', 'DENIED'],
    codes: ['ND602'],
  },
  {
    name: 'proxy_arp off on a Calico pod’s veth',
    example: 'calico-none',
    node: 'node-1',
    commands: (rendered) => [`sysctl -w net.ipv4.conf.${vethOf(rendered, 'node-1', 'shop/web-0')}.proxy_arp=0`],
    ask: { ...pods, cold: true },
    before: 'DENIED',
    ends: ['shop/web-0', 'NEIGHBOR_FAILED'],
    codes: ['ND401'],
  },
  {
    name: 'a permanent neighbour deleted',
    ...vxlan,
    commands: () => ['ip neigh del 10.244.2.0 dev flannel.1'],
    ends: ['node-1', 'NEIGHBOR_FAILED'],
    codes: ['ND301'],
  },
  {
    name: 'another MAC published than the node has',
    ...vxlan,
    commands: () => [],
    manifest: (text) => text.replace(`"VtepMAC":"${VTEP_1}"`, '"VtepMAC":"5e:1d:0c:a6:31:99"'),
    ends: ['shop/api-0', 'DELIVERED'],
    codes: ['ND106'],
    restart: true,
  },
  {
    name: 'a rule of flannel’s missing',
    ...vxlan,
    commands: () => ['iptables -t nat -D FLANNEL-POSTRTG 2'],
    ends: ['shop/api-0', 'DELIVERED'],
    codes: ['ND502'],
  },
  {
    name: 'rules of flannel’s in another order',
    ...vxlan,
    commands: () => [
      'iptables -t nat -S FLANNEL-POSTRTG 2 | sed "s/^-A/-A/" > /tmp/rule.$$; iptables -t nat -D FLANNEL-POSTRTG 2; sh -c "iptables -t nat $(cat /tmp/rule.$$)"; rm /tmp/rule.$$',
    ],
    ends: ['shop/api-0', 'DELIVERED'],
    codes: ['ND505'],
    restart: true,
  },
  {
    name: 'a member too many in Calico’s set of VXLAN hosts',
    example: 'calico-vxlan',
    node: 'node-1',
    commands: () => ['ipset add cali40all-vxlan-net 192.168.10.99'],
    ask: { source: 'shop/api-0', destination: 'shop/web-0' },
    ends: ['shop/web-0', 'DELIVERED'],
    codes: ['ND604'],
  },
  {
    name: 'leftovers of Weave',
    ...vxlan,
    commands: () => ['ip link add weave type bridge', 'ip addr add 10.32.0.1/12 dev weave', 'ip link set weave up'],
    ends: ['shop/api-0', 'DELIVERED'],
    codes: ['ND701'],
  },
  {
    name: 'the route of a node by another one',
    example: 'flannel-host-gw',
    node: 'node-1',
    commands: () => ['ip route replace 10.244.2.0/24 via 192.168.10.254 dev eth0'],
    ask: { source: 'default/client', destination: 'default/server' },
    ends: ['router/router', 'NO_ROUTE'],
    codes: ['ND203'],
  },
  {
    name: 'the node’s end of a pod’s veth down',
    ...vxlan,
    commands: (rendered) => [`ip link set ${vethOf(rendered, 'node-1', 'shop/web-0')} down`],
    ask: { source: 'shop/api-0', destination: 'shop/web-0', cold: true },
    // a bridge without a port that is up has no carrier
    unseen: 'node-1 cni0 ',
    ends: ['node-1', 'NEIGHBOR_FAILED'],
    codes: ['ND102'],
  },
  {
    name: 'the default route of a pod gone',
    ...vxlan,
    commands: () => [],
    inPod: ['shop/web-0', 'ip route del default; ip route del 10.244.0.0/16'],
    ends: ['shop/web-0', 'NO_ROUTE'],
    codes: ['ND201', 'ND201'],
  },
  {
    name: 'the MTU of a pod’s card',
    ...vxlan,
    commands: () => [],
    inPod: ['shop/web-0', 'ip link set eth0 mtu 1500'],
    ends: ['shop/api-0', 'DELIVERED'],
    codes: ['ND104'],
  },
]

describe.skipIf(!(await isReady()))('faults made by hand on THIS KERNEL (skipped without root and the tools)', () => {
  it.each(FAULTS)(
    '$name',
    async ({ example, node, commands, inPod, ask: { source, destination, ...ask }, before = 'DELIVERED', ends, codes, manifest, unseen, fresh, restart }) => {
      const rendered = networkOf(exampleText(example))
      await withLab(rendered, async ({ lab }) => {
        for (const [netns, command] of [...commands(rendered).map((one) => [node, one] as const), ...(inPod === undefined ? [] : [inPod])]) {
          const { status, stderr } = await lab.run(netns, ['sh', '-c', command])
          expect([command, status, stderr]).toEqual([command, 0, ''])
        }
        const collected = collect({ lab, rendered }, node)
        const found = foundNetwork(rendered, [collected])
        expect(predicted(rendered, source, destination, ask).outcome.disposition).toBe(before)

        const after = predicted(found, source, destination, ask)
        const { result } = after.document
        expect([result.netns ?? result.server?.netns, result.disposition]).toEqual(ends)

        const wanted = manifest === undefined ? rendered : networkOf(manifest(exampleText(example)))
        const { findings } = driftOf(wanted, [{ name: node, dataplane: collected.dataplane, collected }])
        expect(findings.map(({ code }) => code).sort()).toEqual(codes)

        expect((await differences(lab, found, after, { fresh })).filter((text) => unseen === undefined || !text.startsWith(unseen))).toEqual([])

        // what it says to type, typed there
        const mends = findings.flatMap((one) => one.commands)
        const isRestart = (command: string): boolean => /^(kubectl|systemctl|mv) /.test(command)
        expect([mends.length > 0, mends.some(isRestart)]).toEqual([true, restart === true])
        if (restart === true) return
        for (const command of mends) {
          const { status, stderr } = await lab.run(node, ['sh', '-c', command])
          expect([command, status, stderr]).toEqual([command, 0, ''])
        }
        const mended = collect({ lab, rendered }, node)
        const again = driftOf(wanted, [{ name: node, dataplane: mended.dataplane, collected: mended }])
        expect(again.findings.map(({ code, what }) => `${code} ${what}`)).toEqual([])
      })
    },
    120_000,
  )
})
