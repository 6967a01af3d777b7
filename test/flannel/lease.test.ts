import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cidr, formatCidr } from '../../src/base/cidr.js'
import { ip } from '../../src/base/ip.js'
import { formatLeaseValue, parseLeaseValue, parseSubnetKey, subnetKey } from '../../src/flannel/lease.js'

const source = { file: 'etcd', line: 0, object: '/coreos.com/network/subnets/10.1.15.0-24' }
const at = ip('192.168.0.100')

describe('lease keys', () => {
  it('name the network and its length', () => {
    expect(subnetKey('/coreos.com/network', cidr(ip('10.1.16.0'), 24))).toBe('/coreos.com/network/subnets/10.1.16.0-24')
  })

  it("are read as flannel's expression reads them", () => {
    const read = (key: string): string => {
      const parsed = parseSubnetKey(key)
      return parsed === undefined ? 'skipped' : `${formatCidr(parsed.subnet)}${parsed.ipv6 ? ' v6' : ''}`
    }
    expect(read('/coreos.com/network/subnets/10.1.16.0-24')).toBe('10.1.16.0/24')
    expect(read('anything 10.1.16.0-24')).toBe('10.1.16.0/24')
    expect(read('10.1.16.0-24&fc00::-64')).toBe('10.1.16.0/24 v6')
    expect(read('10.1.16.0-24x')).toBe('skipped')
    expect(read('10.1x16.0-24')).toBe('skipped')
    expect(read('10.1.16.0-32')).toBe('skipped')
    expect(read('10.1.16.256-24')).toBe('skipped')
    expect(read('10.1.16.0/24')).toBe('skipped')
  })

  it('property: read back what was written', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 0, max: 31 }), (base, length) => {
        expect(parseSubnetKey(subnetKey('/p', cidr(base, length)))?.subnet).toEqual(cidr(base, length))
      }),
    )
  })
})

describe('lease values', () => {
  it("have flannel's field order, by backend and version", () => {
    const vtep = { VtepMAC: 'c6:d2:32:6f:8f:44' }
    expect(formatLeaseValue({ publicIp: at, backendType: '' }, '0.11.0')).toBe('{"PublicIP":"192.168.0.100"}')
    expect(formatLeaseValue({ publicIp: at, backendType: '' }, '0.28.9')).toBe('{"PublicIP":"192.168.0.100","PublicIPv6":null}')
    expect(formatLeaseValue({ publicIp: at, backendType: 'host-gw' }, '0.11.0')).toBe('{"PublicIP":"192.168.0.100","BackendType":"host-gw"}')
    expect(formatLeaseValue({ publicIp: at, backendType: 'vxlan', backendData: vtep }, '0.11.0')).toBe(
      '{"PublicIP":"192.168.0.100","BackendType":"vxlan","BackendData":{"VtepMAC":"c6:d2:32:6f:8f:44"}}',
    )
    expect(formatLeaseValue({ publicIp: at, backendType: 'vxlan', backendData: { VNI: 1, ...vtep } }, '0.28.9')).toBe(
      '{"PublicIP":"192.168.0.100","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}}',
    )
  })

  it('half-written: a warning that names the key, never an exception', () => {
    const whole = '{"PublicIP":"192.168.0.100","BackendType":"vxlan","BackendData":{"VtepMAC":"c6:d2:32:6f:8f:44"}}'
    for (let length = 0; length < whole.length; length++) {
      const { attributes, problems } = parseLeaseValue(whole.slice(0, length), source)
      expect(attributes).toBeUndefined()
      expect(problems).toMatchObject([{ severity: 'warning', object: source.object }])
    }
    expect(parseLeaseValue(whole, source)).toMatchObject({ attributes: { publicIp: at, backendType: 'vxlan' }, problems: [] })
    expect(parseLeaseValue('{"PublicIP":"192.168.0"}', source).problems[0].what).toContain('192.168.0')
    expect(parseLeaseValue('{}', source)).toMatchObject({ attributes: { publicIp: 0 }, problems: [{ severity: 'warning' }] })
  })
})
