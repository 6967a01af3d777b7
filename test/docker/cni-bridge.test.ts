/** cni0 as the bridge plugin makes it for flannel. */
import { describe, expect, it } from 'vitest'
import { ip } from '../../src/base/ip.js'
import { formatMac } from '../../src/base/mac.js'
import { printRoutes } from '../../src/dataplane/ip-route.js'
import { chainNameOf, renderCni } from '../../src/docker/cni-bridge.js'
import { cniView, pod, podsNamed, rulesOf } from './support.js'

const network = { base: ip('10.1.0.0'), length: 16 }

describe('cni0', () => {
  it('is not there before the first pod', () => {
    expect(renderCni(cniView({ ipMasq: true }))).toEqual({ devices: [], routes: [], chainEdits: [], ipsets: [], sysctls: {}, pods: [], problems: [] })
  })

  it('nor when the only pod cannot be given an address', () => {
    const part = renderCni(cniView({ pods: [pod('x', { address: ip('10.9.9.9') })] }))
    expect(part.devices).toEqual([])
    expect(part.problems).toHaveLength(1)
  })

  it('has the MTU of subnet.env, the first address, hairpin on its ports', () => {
    const { devices, routes, sysctls } = renderCni(cniView({ pods: podsNamed('x', 'y') }))
    const shown = devices.map(({ kind, name, mtu }) => `${kind} ${name.replace(/[0-9a-f]{8}$/, '#')} ${mtu}`)
    expect(shown).toEqual(['bridge cni0 1450', 'veth veth# 1450', 'veth veth# 1450'])
    expect(devices[0].addresses).toEqual([{ address: ip('10.1.15.1'), length: 24, scope: 'global', broadcast: ip('10.1.15.255') }])
    expect(devices.slice(1).map(({ bridgePort, master }) => ({ bridgePort, master }))).toEqual(Array(2).fill({ bridgePort: { hairpin: true }, master: 'cni0' }))
    expect(printRoutes(routes)).toBe('10.1.15.0/24 dev cni0 proto kernel scope link src 10.1.15.1 \n')
    expect(sysctls).toEqual({ 'net.ipv4.ip_forward': 1 })
    expect(renderCni(cniView({ pods: podsNamed('x'), hairpin: false })).devices[1].bridgePort).toEqual({ hairpin: false })
  })

  it("MACs are random, local and unicast, the pod's none of docker's", () => {
    const { devices, pods } = renderCni(cniView({ pods: podsNamed('x', 'y') }))
    const macs = [...devices, ...pods.map(({ dataplane }) => dataplane.devices[1])].map(({ mac }) => formatMac(mac ?? 0))
    expect(new Set(macs).size).toBe(5)
    for (const mac of macs) expect(Number.parseInt(mac.slice(0, 2), 16) & 3).toBe(2)
    expect(macs.some((mac) => mac.startsWith('02:42:0a:01:0f'))).toBe(false)
  })
})

describe('a pod', () => {
  it('has routes by default, to the Network and to its own subnet', () => {
    const {
      pods: [{ dataplane }],
    } = renderCni(cniView({ pods: podsNamed('x'), networkCidr: network }))
    expect(printRoutes(dataplane.routes).split('\n')).toEqual([
      'default via 10.1.15.1 dev eth0 ',
      '10.1.0.0/16 via 10.1.15.1 dev eth0 ',
      '10.1.15.0/24 dev eth0 proto kernel scope link src 10.1.15.2 ',
      '',
    ])
    expect(dataplane.sysctls).toEqual({ 'net.ipv4.conf.eth0.arp_notify': 1 })
    expect(dataplane.devices[1].provenance).toEqual({ by: 'host-local', object: 'Pod/default/x' })
    expect(dataplane.routes.map(({ provenance }) => provenance?.by)).toEqual(['bridge plugin', 'bridge plugin', 'kernel'])
  })
})

describe('masquerading', () => {
  it("is flannel's unless subnet.env says otherwise", () => {
    expect(renderCni(cniView({ pods: podsNamed('x') })).chainEdits).toEqual([])
  })

  it('has a chain per pod', () => {
    const { chainEdits } = renderCni(cniView({ ipMasq: true, pods: podsNamed('x', 'y') }))
    // printf %s cbr0default/x | sha512sum | cut -c-24
    const [x, y] = ['CNI-7c8c9be87f4866704c729906', chainNameOf('cbr0', 'default/y')]
    const comment = (name: string): string => `-m comment --comment "name: \\"cbr0\\" id: \\"default/${name}\\""`
    expect(rulesOf('nat', chainEdits).sort()).toEqual(
      [
        `-A POSTROUTING -s 10.1.15.2/32 ${comment('x')} -j ${x}`,
        `-A POSTROUTING -s 10.1.15.3/32 ${comment('y')} -j ${y}`,
        `-A ${x} -d 10.1.15.0/24 ${comment('x')} -j ACCEPT`,
        `-A ${x} ! -d 224.0.0.0/4 ${comment('x')} -j MASQUERADE`,
        `-A ${y} -d 10.1.15.0/24 ${comment('y')} -j ACCEPT`,
        `-A ${y} ! -d 224.0.0.0/4 ${comment('y')} -j MASQUERADE`,
      ].sort(),
    )
    const edits = chainEdits.map(({ chain, action, rules }) => [chain, action, rules.length])
    expect(edits).toEqual([
      [x, 'create', 2],
      ['POSTROUTING', 'append', 1],
      [y, 'create', 2],
      ['POSTROUTING', 'append', 1],
    ])
    expect(chainEdits[0].rules[0].provenance).toEqual({ by: 'bridge plugin', object: 'Pod/default/x, its namespace/name taken for the container ID' })
  })

  it('names chains as the plugins do', () => {
    // the vector of containernetworking plugins pkg/utils/utils_test.go
    expect(chainNameOf('test', '1234')).toBe('CNI-2bbe0c48b91a7d1b8a6753a8')
    expect(chainNameOf('cbr0', 'x')).toHaveLength(28)
  })
})
