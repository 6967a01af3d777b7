/** Published ports as moby's setPerPortNAT and setPerPortForwarding write them; the DOCKER chain of 28 as moby's iptablesdoc shows it. */
import { describe, expect, it } from 'vitest'
import { ip } from '../../src/base/ip.js'
import { renderDocker } from '../../src/docker/docker.js'
import { dockerView, pod, rulesOf } from './support.js'

const web = pod('web', { hostPorts: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp', line: 12 }] })
const shown = (table: 'nat' | 'filter', change: Parameters<typeof dockerView>[0]): string[] => {
  const view = dockerView({ pods: [web], ...change })
  const without = rulesOf(table, renderDocker({ ...view, pods: [pod('web')] }).chainEdits)
  return rulesOf(table, renderDocker(view).chainEdits).filter((rule) => !without.includes(rule))
}
const hairpin = '-A POSTROUTING -s 10.1.15.2/32 -d 10.1.15.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE'
const accept = '-A DOCKER -d 10.1.15.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT'

describe('published ports', () => {
  it.each([
    ['27', true, [hairpin, '-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.1.15.2:80']],
    ['27', false, [hairpin, '-A DOCKER -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.1.15.2:80']],
    ['28.0.1', true, ['-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.1.15.2:80']],
    ['28.0.1', false, [hairpin, '-A DOCKER -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.1.15.2:80']],
  ])('docker %s, userland proxy %s', (version, userlandProxy, expected) => {
    expect(shown('nat', { version, userlandProxy })).toEqual(expected)
    expect(shown('filter', { version, userlandProxy })).toEqual([accept])
  })

  it('since 28 above the DROP that ends the chain', () => {
    const rules = rulesOf('filter', renderDocker(dockerView({ version: '28.0.1', pods: [web] })).chainEdits).filter(
      (rule) => rule.startsWith('-A DOCKER -d') || rule.startsWith('-A DOCKER !'),
    )
    expect(rules).toEqual([accept, '-A DOCKER ! -i docker0 -o docker0 -j DROP'])
  })

  it('on one address of the host; none without --iptables; each rule says which pod asked', () => {
    const bound = pod('web', { hostPorts: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp', hostIP: ip('192.168.0.2'), line: 12 }] })
    expect(shown('nat', { pods: [bound] })[1]).toBe('-A DOCKER -d 192.168.0.2/32 ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.1.15.2:80')
    expect(renderDocker(dockerView({ iptables: false, pods: [web] })).chainEdits).toEqual([])
    const rules = renderDocker(dockerView({ pods: [web] })).chainEdits.flatMap((edit) => edit.rules)
    expect(rules.filter(({ provenance }) => provenance?.line === 12).map(({ provenance }) => provenance?.object)).toEqual(Array(3).fill('Pod/default/web'))
  })
})
