/** hostPorts by the portmap plugin: names and rules as a container host shows them (podman with CNI), order as in portmap_iptables.go. */
import { describe, expect, it } from 'vitest'
import { ip } from '../../src/base/ip.js'
import { chainNameOf, renderCni } from '../../src/docker/cni-bridge.js'
import { portmapChainName, renderPortmap } from '../../src/docker/portmap.js'
import { cniView, pod, podsNamed, rulesOf } from './support.js'

const tcp = (hostPort: number, containerPort: number, more: { hostIP?: number; line?: number } = {}) => ({
  hostPort,
  containerPort,
  protocol: 'tcp' as const,
  ...more,
})

describe('portmap', () => {
  it('names the chain of a container by the hash that the bridge plugin takes, three digits shorter', () => {
    const id = '2d2b3521457cb1d9b7ae6657304d05789a854e7a48916276a40da543df9aa217'
    expect(chainNameOf('podman', id)).toBe('CNI-b6c5fb6c593e895d843cb5bd')
    expect(portmapChainName('podman', id)).toBe('CNI-DN-b6c5fb6c593e895d843cb')
  })

  it("one port: shared chains, the pod's own, and 127.0.0.1", () => {
    const part = renderCni(cniView({ pods: [pod('web', { hostPorts: [tcp(8080, 80, { line: 12 })] }), pod('other')] }))
    const chain = portmapChainName('cbr0', 'default/web')
    expect(rulesOf('nat', part.chainEdits)).toEqual([
      '-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
      '-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
      '-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ',
      '-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000',
      '-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE',
      `-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"cbr0\\" id: \\"default/web\\"" -m multiport --dports 8080 -j ${chain}`,
      `-A ${chain} -s 10.1.15.0/24 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK`,
      `-A ${chain} -s 127.0.0.1/32 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK`,
      `-A ${chain} -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.1.15.2:80`,
    ])
    expect(part.sysctls).toMatchObject({ 'net.ipv4.conf.cni0.route_localnet': 1 })
    const own = part.chainEdits.find((edit) => edit.chain === chain)
    expect(own?.rules.map(({ provenance }) => provenance)).toEqual(
      Array(3).fill({ by: 'portmap plugin', object: 'Pod/default/web, its namespace/name taken for the container ID', file: 'pods.yaml', line: 12 }),
    )
  })

  it("stands above the bridge plugin's masquerading, which came later", () => {
    const part = renderCni(cniView({ ipMasq: true, pods: [pod('web', { hostPorts: [tcp(8080, 80)] })] }))
    expect(rulesOf('nat', part.chainEdits).filter((rule) => rule.startsWith('-A POSTROUTING'))[0]).toContain('CNI-HOSTPORT-MASQ')
  })

  it('hostIP, other protocols, more ports than one rule takes; the newest pod first', () => {
    const many = Array.from({ length: 17 }, (_, i) => tcp(9000 + i, 80))
    const edits = renderPortmap({
      networkName: 'k8s-pod-network',
      prefixLength: 32,
      pods: [
        { attachment: pod('a', { hostPorts: many }), address: ip('10.1.0.1') },
        {
          attachment: pod('b', {
            hostPorts: [{ hostPort: 53, containerPort: 5353, protocol: 'udp', hostIP: ip('192.168.0.2') }, tcp(53, 5353, { hostIP: 0 })],
          }),
          address: ip('10.1.0.2'),
        },
      ],
    })
    const [a, b] = ['default/a', 'default/b'].map((id) => portmapChainName('k8s-pod-network', id))
    const rules = rulesOf('nat', edits)
    const entries = rules
      .filter((rule) => rule.startsWith('-A CNI-HOSTPORT-DNAT'))
      .map((rule) => [rule.split(' ')[3], /--dports (\S+)/.exec(rule)?.[1].split(',').length, rule.split('-j ')[1]])
    expect(entries).toEqual([
      ['udp', 1, b],
      ['tcp', 1, b],
      ['tcp', 2, a],
      ['tcp', 15, a],
    ])
    expect(rules.filter((rule) => rule.startsWith(`-A ${b}`))).toEqual([
      `-A ${b} -s 10.1.0.2/32 -d 192.168.0.2/32 -p udp -m udp --dport 53 -j CNI-HOSTPORT-SETMARK`,
      `-A ${b} -s 127.0.0.1/32 -d 192.168.0.2/32 -p udp -m udp --dport 53 -j CNI-HOSTPORT-SETMARK`,
      `-A ${b} -d 192.168.0.2/32 -p udp -m udp --dport 53 -j DNAT --to-destination 10.1.0.2:5353`,
      `-A ${b} -s 10.1.0.2/32 -p tcp -m tcp --dport 53 -j CNI-HOSTPORT-SETMARK`,
      `-A ${b} -s 127.0.0.1/32 -p tcp -m tcp --dport 53 -j CNI-HOSTPORT-SETMARK`,
      `-A ${b} -p tcp -m tcp --dport 53 -j DNAT --to-destination 10.1.0.2:5353`,
    ])
  })

  it('nothing where nobody asks', () => {
    expect(renderPortmap({ networkName: 'cbr0', prefixLength: 24, pods: [] })).toEqual([])
    expect(renderCni(cniView({ pods: podsNamed('x') })).chainEdits).toEqual([])
  })
})
