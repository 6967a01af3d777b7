import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cidr } from '../../src/base/cidr.js'
import { dockerOptions, formatDockerOptions, formatSubnetEnv, parseSubnetEnv, subnetEnvOf } from '../../src/flannel/subnet-env.js'
import { net } from './fixtures.js'

const env = subnetEnvOf(net('10.1.0.0/16'), net('10.1.74.0/24'), 1472, false)

describe('subnet.env', () => {
  it('by version: NETWORK from 0.5.3, IPMASQ from 0.2.1', () => {
    expect(formatSubnetEnv(env, '0.11.0')).toBe('FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_SUBNET=10.1.74.1/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=false\n')
    expect(formatSubnetEnv(env, '0.5.2')).toBe('FLANNEL_SUBNET=10.1.74.1/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=false\n')
    expect(formatSubnetEnv(env, '0.2.0')).toBe('FLANNEL_SUBNET=10.1.74.1/24\nFLANNEL_MTU=1472\n')
  })

  it('property: read back what was written', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 8, max: 28 }), fc.integer({ min: 68, max: 9000 }), fc.boolean(), (base, length, mtu, masq) => {
        const written = subnetEnvOf(cidr(base, length), cidr(base, length + 2), mtu, masq)
        expect(parseSubnetEnv(formatSubnetEnv(written, '0.28.9'), 'subnet.env')).toEqual({ env: written, problems: [] })
      }),
    )
  })

  it('what is wrong is named with its line', () => {
    const { env: none, problems } = parseSubnetEnv('FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_MTU=many\nFLANNEL_IPMASQ=yes\n', 'subnet.env')
    expect(none).toBeUndefined()
    expect(problems.map((problem) => [problem.object, problem.line])).toEqual([
      ['FLANNEL_SUBNET', 0],
      ['FLANNEL_MTU', 2],
      ['FLANNEL_IPMASQ', 3],
    ])
  })
})

describe('mk-docker-opts.sh', () => {
  it('as the script wrote it: docker masquerades where flannel does not', () => {
    expect(formatDockerOptions(dockerOptions(env), '0.11.0')).toBe(
      'DOCKER_OPT_BIP="--bip=10.1.74.1/24"\nDOCKER_OPT_IPMASQ="--ip-masq=true"\nDOCKER_OPT_MTU="--mtu=1472"\nDOCKER_OPTS=" --bip=10.1.74.1/24 --ip-masq=true --mtu=1472"\n',
    )
    expect(dockerOptions({ ...env, ipMasq: true }).ipMasq).toBe(false)
    expect(formatDockerOptions(dockerOptions(env), '0.5.5')).toContain(' --mtu=1472 "\n')
  })

  it('without FLANNEL_IPMASQ dockerd keeps its default', () => {
    const { ipMasq: _absent, ...old } = env
    expect(dockerOptions(old).ipMasq).toBeUndefined()
    expect(formatDockerOptions(dockerOptions(old), '0.11.0')).not.toContain('ip-masq')
  })
})
