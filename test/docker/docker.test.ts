/** docker0 and dockerd's rules against the sets that docker's own documentation prints for a new daemon. */
import { describe, expect, it } from 'vitest'
import { formatIp, ip } from '../../src/base/ip.js'
import { formatMac, parseMac } from '../../src/base/mac.js'
import { printRoutes } from '../../src/dataplane/ip-route.js'
import type { DockerView } from '../../src/docker/attachment.js'
import { renderDocker } from '../../src/docker/docker.js'
import { dockerView, pod, podsNamed, rulesOf } from './support.js'

const filter = (change: Partial<DockerView>): string[] => rulesOf('filter', renderDocker(dockerView(change)).chainEdits)
const nat = (change: Partial<DockerView>): string[] => rulesOf('nat', renderDocker(dockerView(change)).chainEdits)

describe('filter', () => {
  it('up to 27', () => {
    const wanted = [
      '-A FORWARD -j DOCKER-USER',
      '-A FORWARD -j DOCKER-ISOLATION-STAGE-1',
      '-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      '-A FORWARD -o docker0 -j DOCKER',
      '-A FORWARD -i docker0 ! -o docker0 -j ACCEPT',
      '-A FORWARD -i docker0 -o docker0 -j ACCEPT',
      '-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2',
      '-A DOCKER-ISOLATION-STAGE-1 -j RETURN',
      '-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP',
      '-A DOCKER-ISOLATION-STAGE-2 -j RETURN',
      '-A DOCKER-USER -j RETURN',
    ]
    for (const version of ['18.09.1', '19.03.15', '20.10', '27', '27.5.1', 'v27.3.1-ce']) expect(filter({ version }).sort()).toEqual([...wanted].sort())
    expect(filter({ version: '27' }).slice(0, 6)).toEqual(wanted.slice(0, 6))
  })

  it('before there was DOCKER-USER', () => {
    expect(filter({ version: '1.13.1' })).toEqual([
      '-A FORWARD -j DOCKER-ISOLATION',
      '-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      '-A FORWARD -o docker0 -j DOCKER',
      '-A FORWARD -i docker0 ! -o docker0 -j ACCEPT',
      '-A FORWARD -i docker0 -o docker0 -j ACCEPT',
      '-A DOCKER-ISOLATION -j RETURN',
    ])
  })

  it('28.0.0, with its set', () => {
    expect(filter({ version: '28.0.0' })).toEqual(
      expect.arrayContaining([
        '-A DOCKER ! -i docker0 -o docker0 -j DROP',
        '-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2',
        '-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP',
        '-A DOCKER-USER -j RETURN',
      ]),
    )
    expect(filter({ version: '28.0.0' }).filter((line) => line.startsWith('-A FORWARD'))).toEqual([
      '-A FORWARD -j DOCKER-USER',
      '-A FORWARD -m set --match-set docker-ext-bridges-v4 dst -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      '-A FORWARD -j DOCKER-ISOLATION-STAGE-1',
      '-A FORWARD -m set --match-set docker-ext-bridges-v4 dst -j DOCKER',
      '-A FORWARD -i docker0 -j ACCEPT',
    ])
    const sets = [{ name: 'docker-ext-bridges-v4', type: 'hash:net', members: [{ element: '10.1.15.0/24' }] }]
    expect(renderDocker(dockerView({ version: '28.0.0' })).ipsets).toMatchObject(sets)
  })

  it.each(['28', '28.0.1', '28.1', '29'])('%s', (version) => {
    expect(filter({ version }).sort()).toEqual([
      '-A DOCKER ! -i docker0 -o docker0 -j DROP',
      '-A DOCKER-BRIDGE -o docker0 -j DOCKER',
      '-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      '-A DOCKER-FORWARD -i docker0 -j ACCEPT',
      '-A DOCKER-FORWARD -j DOCKER-BRIDGE',
      '-A DOCKER-FORWARD -j DOCKER-CT',
      '-A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1',
      '-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2',
      '-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP',
      '-A DOCKER-USER -j RETURN',
      '-A FORWARD -j DOCKER-FORWARD',
      '-A FORWARD -j DOCKER-USER',
    ])
    const inChain = (chain: string): string[] => filter({ version }).filter((line) => line.startsWith(`-A ${chain} `))
    const inOrder = (chain: string): string[] => inChain(chain).map((line) => line.replace(/^.* -j /, ''))
    expect(inOrder('FORWARD')).toEqual(['DOCKER-USER', 'DOCKER-FORWARD'])
    expect(inOrder('DOCKER-FORWARD')).toEqual(['DOCKER-CT', 'DOCKER-ISOLATION-STAGE-1', 'DOCKER-BRIDGE', 'ACCEPT'])
    expect(renderDocker(dockerView({ version })).ipsets).toEqual([])
  })

  it('without ICC: a DROP at the end of FORWARD, since 28 before the ACCEPT', () => {
    expect(
      filter({ icc: false })
        .filter((line) => line.includes('FORWARD'))
        .slice(-2),
    ).toEqual(['-A FORWARD -i docker0 ! -o docker0 -j ACCEPT', '-A FORWARD -i docker0 -o docker0 -j DROP'])
    const edits = renderDocker(dockerView({ icc: false })).chainEdits.filter(({ chain }) => chain === 'FORWARD')
    expect(edits.map(({ action }) => action)).toEqual(['insert', 'append'])
    expect(
      filter({ icc: false, version: '28' })
        .filter((line) => line.startsWith('-A DOCKER-FORWARD'))
        .slice(-2),
    ).toEqual(['-A DOCKER-FORWARD -i docker0 -o docker0 -j DROP', '-A DOCKER-FORWARD -i docker0 ! -o docker0 -j ACCEPT'])
  })

  it('sets the policy of FORWARD only when dockerd turned forwarding on itself, and only since 1.13', () => {
    const policies = (change: Partial<DockerView>): string[] =>
      renderDocker(dockerView(change)).chainEdits.flatMap(({ chain, policy }) => (policy === undefined ? [] : [`${chain} ${policy}`]))
    expect(policies({})).toEqual([])
    expect(policies({ forwardPolicyDrop: true })).toEqual(['FORWARD DROP'])
    expect(policies({ forwardPolicyDrop: true, version: '1.12.6' })).toEqual([])
    expect(policies({ forwardPolicyDrop: true, iptables: false })).toEqual([])
  })
})

describe('nat', () => {
  const always = ['-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER', '-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER']

  it.each(['27', '28.0.0', '28'])('%s by default', (version) => {
    expect(nat({ version })).toEqual([...always, '-A POSTROUTING -s 10.1.15.0/24 ! -o docker0 -j MASQUERADE', '-A DOCKER -i docker0 -j RETURN'])
  })

  it('--ip-masq=false', () => expect(nat({ ipMasq: false })).toEqual(always))

  it('--userland-proxy=false', () => {
    expect(nat({ userlandProxy: false })).toEqual([
      '-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER',
      '-A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER',
      '-A POSTROUTING -o docker0 -m addrtype --src-type LOCAL -j MASQUERADE',
      '-A POSTROUTING -s 10.1.15.0/24 ! -o docker0 -j MASQUERADE',
    ])
  })

  it('masquerades before flanneld, whoever came first', () => {
    const edit = renderDocker(dockerView()).chainEdits.find(({ chain }) => chain === 'POSTROUTING')
    expect(edit?.action).toBe('insert')
  })

  it('--iptables=false', () => expect(renderDocker(dockerView({ iptables: false, icc: false })).chainEdits).toEqual([]))
})

describe('devices', () => {
  it('docker0 stands without pods, with an MTU of its own', () => {
    const { devices, routes, pods } = renderDocker(dockerView())
    expect(pods).toEqual([])
    expect(devices.map(({ kind, name, mtu }) => ({ kind, name, mtu }))).toEqual([{ kind: 'bridge', name: 'docker0', mtu: 1500 }])
    expect(devices[0].addresses).toEqual([{ address: ip('10.1.15.1'), length: 24, scope: 'global', broadcast: ip('10.1.15.255') }])
    expect(formatMac(devices[0].mac ?? 0)).toMatch(/^02:42:/)
    expect(printRoutes(routes)).toBe('10.1.15.0/24 dev docker0 proto kernel scope link src 10.1.15.1 \n')
  })

  it.each([1450, 8951])('docker0 follows its ports to %i', (mtu) => {
    expect(renderDocker(dockerView({ mtu, pods: podsNamed('x', 'y') })).devices.map((device) => device.mtu)).toEqual([mtu, mtu, mtu])
  })

  it('containers have MACs of their addresses', () => {
    const { pods } = renderDocker(dockerView({ pods: podsNamed('x', 'y') }))
    const shown = pods.map(({ address, dataplane }) => `${formatIp(address)} ${formatMac(dataplane.devices[1].mac ?? 0)}`)
    expect(shown).toEqual(['10.1.15.2 02:42:0a:01:0f:02', '10.1.15.3 02:42:0a:01:0f:03'])
  })

  it('high addresses too, which are negative numbers inside', () => {
    const { pods } = renderDocker(dockerView({ subnet: { address: ip('192.168.200.1'), length: 24 }, pods: podsNamed('x') }))
    expect(formatMac(pods[0].dataplane.devices[1].mac ?? 0)).toBe('02:42:c0:a8:c8:02')
  })

  it('a pod: lo, eth0, its two routes; the two ends of the pair name one another', () => {
    const {
      devices,
      pods: [{ dataplane }],
    } = renderDocker(dockerView({ pods: podsNamed('x') }))
    expect(dataplane.netns).toBe('default/x')
    expect(dataplane.devices.map(({ name, mtu }) => [name, mtu])).toEqual([
      ['lo', 65536],
      ['eth0', 1450],
    ])
    expect(printRoutes(dataplane.routes)).toBe('default via 10.1.15.1 dev eth0 \n10.1.15.0/24 dev eth0 proto kernel scope link src 10.1.15.2 \n')
    const host = devices[1]
    const provenance = { by: 'docker', object: 'Pod/default/x' }
    expect(host).toMatchObject({ kind: 'veth', master: 'docker0', peer: { netns: 'default/x', device: 'eth0' }, bridgePort: { hairpin: false }, provenance })
    expect(dataplane.devices[1]).toMatchObject({ peer: { netns: 'a', device: host.name } })
    expect(host.name).toMatch(/^veth[0-9a-f]{7}$/)
  })

  it('hairpin and route_localnet without the userland proxy', () => {
    const { devices, sysctls } = renderDocker(dockerView({ userlandProxy: false, pods: podsNamed('x') }))
    expect(devices[1].bridgePort).toEqual({ hairpin: true })
    expect(sysctls).toEqual({ 'net.ipv4.ip_forward': 1, 'net.ipv4.conf.docker0.route_localnet': 1 })
  })

  it('br_netfilter is turned on for ICC off alone', () => {
    expect(renderDocker(dockerView()).sysctls).toEqual({ 'net.ipv4.ip_forward': 1 })
    expect(renderDocker(dockerView({ icc: false })).sysctls).toHaveProperty(['net.bridge.bridge-nf-call-iptables'], 1)
  })

  it('pins win', () => {
    const pins = { pinnedMac: parseMac('3e:90:09:3a:79:07'), pinnedHostDevice: 'veth-x', pinnedHostMac: parseMac('5e:a8:30:38:c5:c8') }
    const { devices, pods } = renderDocker(dockerView({ bridgeMac: parseMac('5a:c8:16:c0:11:74'), pods: [pod('x', pins)] }))
    expect(devices.map(({ name, mac }) => [name, formatMac(mac ?? 0)])).toEqual([
      ['docker0', '5a:c8:16:c0:11:74'],
      ['veth-x', '5e:a8:30:38:c5:c8'],
    ])
    expect(pods[0].dataplane.devices[1]).toMatchObject({ mac: pins.pinnedMac, peer: { device: 'veth-x' } })
  })
})

describe('chance', () => {
  const names = (change: Partial<DockerView>): string[] => renderDocker(dockerView(change)).devices.map(({ name, mac }) => `${name} ${mac}`)

  it('comes from the seed', () => {
    const pods = podsNamed('x', 'y')
    expect(renderDocker(dockerView({ pods }))).toEqual(renderDocker(dockerView({ pods })))
    expect(names({ pods, seed: 2 })).not.toEqual(names({ pods }))
  })

  it("is each pod's own: one more, or one pinned, changes nobody else", () => {
    const [bridge, x, y] = names({ pods: podsNamed('x', 'y') })
    expect(names({ pods: podsNamed('w', 'x', 'y') })).toEqual([bridge, expect.any(String), x, y])
    expect(names({ pods: [pod('x', { pinnedHostDevice: 'veth-x' }), pod('y')] })).toEqual([bridge, x.replace(/^\S+/, 'veth-x'), y])
  })

  it('differs between nodes, also where the seed was mixed with the name before', () => {
    const macs = ['n1', 'n2', 'n3'].map((node) => renderDocker(dockerView({ node })).devices[0].mac)
    expect(new Set(macs).size).toBe(3)
  })

  it('draws again when a pod has pinned the name', () => {
    const drawn = renderDocker(dockerView({ pods: podsNamed('y') })).devices[1].name
    const { devices } = renderDocker(dockerView({ pods: [pod('y'), pod('x', { pinnedHostDevice: drawn })] }))
    expect(devices[2].name).toBe(drawn)
    expect(devices[1].name).toMatch(/^veth[0-9a-f]{7}$/)
    expect(devices[1].name).not.toBe(drawn)
  })
})

describe('raw', () => {
  it('since 28.2 nobody from outside the bridge gets at a container address', () => {
    const raw = (version: string): string[] => rulesOf('raw', renderDocker(dockerView({ version, pods: podsNamed('a', 'b') })).chainEdits)
    expect(raw('28.2.0')).toEqual(['-A PREROUTING -d 10.1.15.2/32 ! -i docker0 -j DROP', '-A PREROUTING -d 10.1.15.3/32 ! -i docker0 -j DROP'])
    expect(raw('28')).toEqual(raw('28.2.0'))
    expect(raw('28.1.1')).toEqual([])
    expect(raw('27')).toEqual([])
  })
})
