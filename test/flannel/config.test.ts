import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatCidr } from '../../src/base/cidr.js'
import { formatIp } from '../../src/base/ip.js'
import { parseFlannelConfig, type ConfigOptions } from '../../src/flannel/config.js'

const source = { file: 'net-conf.json', line: 3, object: 'ConfigMap/kube-flannel-cfg' }

function parse(value: unknown, version = '0.28.9', manager: ConfigOptions['manager'] = 'etcd') {
  return parseFlannelConfig(typeof value === 'string' ? value : JSON.stringify(value), { version, manager, source })
}

function subnets(value: unknown, version?: string): string {
  const { config, problems } = parse(value, version)
  return config === undefined
    ? (problems.find((problem) => problem.severity === 'error')?.what ?? '')
    : `${config.subnetLength} ${formatIp(config.subnetMin)} ${formatIp(config.subnetMax)}`
}

describe('parseFlannelConfig', () => {
  it("defaults: flannel's own example, and lengths by the size of the Network", () => {
    expect(subnets({ Network: '10.3.0.0/16' })).toBe('24 10.3.1.0 10.3.255.0')
    expect(subnets({ Network: '10.3.0.0/22' })).toBe('24 10.3.1.0 10.3.3.0')
    expect(subnets({ Network: '10.3.0.0/23' })).toBe('25 10.3.0.128 10.3.1.128')
    expect(subnets({ Network: '10.3.0.0/28' })).toBe('30 10.3.0.4 10.3.0.12')
    expect(subnets({ Network: '10.3.0.0/16', SubnetLen: 28, SubnetMin: '10.3.5.0', SubnetMax: '10.3.8.0' })).toBe('28 10.3.5.0 10.3.8.0')
    expect(subnets({ Network: '255.255.0.0/16' })).toBe('24 255.255.1.0 255.255.255.0')
  })

  it("errors since 0.10.0, in flannel's order", () => {
    expect(subnets({})).toContain('Network is missing')
    expect(subnets({ Network: '10.3.0.0/16', SubnetLen: 31 })).toContain('SubnetLen must be less than /31')
    expect(subnets({ Network: '10.3.0.0/16', SubnetLen: 17 })).toContain('at least four subnets')
    expect(subnets({ Network: '10.3.0.0/29' })).toContain('Minimum useful network prefix is /28')
    expect(subnets({ Network: '10.3.0.0/16', SubnetMin: '10.4.1.0' })).toBe('SubnetMin 10.4.1.0 is not in the range of the Network')
    expect(subnets({ Network: '10.3.0.0/16', SubnetMax: '10.4.1.0' })).toBe('SubnetMax 10.4.1.0 is not in the range of the Network')
    expect(subnets({ Network: '10.3.0.0/16', SubnetMin: '10.3.1.4' })).toBe('SubnetMin is not on a SubnetLen boundary: 10.3.1.4')
    const all = parse({ Network: '10.3.0.0/16', SubnetMin: '10.4.1.4', SubnetMax: '10.3.1.4' }).problems.map((problem) =>
      problem.what.split(' ').slice(0, 4).join(' '),
    )
    expect(all).toEqual(['SubnetMin 10.4.1.4 is not', 'SubnetMin is not on', 'SubnetMax is not on'])
  })

  it('older rules up to 0.9.1: no alignment, one subnet is enough, /25 of a /24', () => {
    expect(subnets({ Network: '10.3.0.0/24' }, '0.9.1')).toBe('25 10.3.0.128 10.3.0.128')
    expect(subnets({ Network: '10.3.0.0/23' }, '0.9.1')).toBe('24 10.3.1.0 10.3.1.0')
    expect(subnets({ Network: '10.3.0.0/16', SubnetLen: 16 }, '0.9.1')).toBe('16 10.4.0.0 10.3.0.0')
    expect(subnets({ Network: '10.3.0.0/16', SubnetLen: 15 }, '0.9.1')).toContain('HostSubnet is larger network than Network')
    expect(subnets({ Network: '10.3.0.0/16', SubnetMin: '10.3.1.4' }, '0.9.1')).toBe('24 10.3.1.4 10.3.255.0')
  })

  it('the backend: absent is udp, present without Type is unknown, and case does not matter', () => {
    expect(parse({ Network: '10.3.0.0/16' }).config?.backendType).toBe('udp')
    expect(parse({ Network: '10.3.0.0/16', Backend: {} }).config?.backendType).toBe('')
    expect(parse({ network: '10.3.0.0/16', BACKEND: { tYPE: 'Host-GW' } }).config?.backendType).toBe('host-gw')
    expect(parse({ Network: '10.3.0.0/16', Backend: 'vxlan' }).config).toBeUndefined()
    expect(parse({ Network: '10.3.0.0/16', Backend: { Type: 4 } }).problems[0].what).toContain('Type is number 4')
  })

  it('as Go: null is as if absent, the wrong type is an error, the last spelling of a name wins', () => {
    expect(subnets({ Network: '10.3.0.0/16', SubnetLen: null })).toBe('24 10.3.1.0 10.3.255.0')
    expect(subnets({ Network: '10.3.0.0/16', SubnetLen: '24' })).toBe('SubnetLen is string "24" where a whole number is wanted')
    expect(formatCidr(parse('{"Network":"10.1.0.0/16","network":"10.2.0.0/16"}').config?.network ?? { base: 0, length: 0 })).toBe('10.2.0.0/16')
  })

  it('host bits, which flannel would mask away in silence, are an error that says which prefix was meant', () => {
    const { config, problems } = parse({ Network: '10.3.4.5/16' })
    expect(config).toBeUndefined()
    expect(problems).toMatchObject([{ severity: 'error', file: 'net-conf.json', line: 3, fix: 'write 10.3.0.0/16' }])
  })

  it('the kubernetes manager checks no subnets since 0.20.0', () => {
    expect(parse({ Network: '10.244.0.0/30', Backend: { Type: 'vxlan' } }, '0.28.9', 'kubernetes').config).toBeDefined()
    expect(parse({ Network: '10.244.0.0/30' }, '0.19.2', 'kubernetes').config).toBeUndefined()
  })

  it('names IPv6 as not modelled', () => {
    expect(parse({ Network: '10.3.0.0/16', EnableIPv6: true, IPv6Network: 'fc00::/48' }).problems[0]).toMatchObject({
      severity: 'warning',
      what: expect.stringContaining('IPv6') as string,
    })
    expect(parse({ Network: '10.3.0.0/16', EnableIPv4: false }).config).toBeUndefined()
  })

  it('property: any JSON, whole or cut, gives a config or an error, never an exception', () => {
    const field = fc.constantFrom('Network', 'SubnetLen', 'SubnetMin', 'SubnetMax', 'Backend', 'EnableIPv6', 'x')
    const value = fc.oneof(fc.jsonValue(), fc.constantFrom('10.3.0.0/16', '10.3.0.0/33', '10.3.1.0', 24, 33, -1))
    fc.assert(
      fc.property(fc.dictionary(field, value), fc.nat(200), fc.constantFrom('0.1.0', '0.9.1', '0.11.0', '0.28.9'), (object, cut, version) => {
        const text = JSON.stringify(object)
        for (const one of [text, text.slice(0, cut)]) {
          const { config, problems } = parseFlannelConfig(one, { version, manager: 'etcd', source })
          expect(config === undefined).toBe(problems.some((problem) => problem.severity === 'error'))
        }
      }),
    )
  })
})
