/** Vectors 1 to 32 of the reference page; most are values of upstream's own tests, as noted there. */
import { describe, expect, it } from 'vitest'
import { lengthLimitedId, uniqueId } from '../../../src/calico/felix/hash.js'
import { allocateMarks, calicoBits, EndpointMarks } from '../../../src/calico/felix/marks.js'
import { ALL_INTERFACES, endpointChain, groupChain, ipsetName, policyChain, profileChain, vtepMac, type PolicyId } from '../../../src/calico/felix/names.js'
import { ruleNflogPrefix, tierNflogPrefix } from '../../../src/calico/felix/nflog.js'
import { CALICO_3_32 } from '../../../src/calico/version.js'
import { formatMac } from '../../../src/base/mac.js'
import { RELEASE_3_30 } from './kit.js'

const gnp = (name: string): PolicyId => ({ kind: 'GlobalNetworkPolicy', namespace: '', name })
const WEB: PolicyId = { kind: 'KubernetesNetworkPolicy', namespace: 'default', name: 'web' }
const LONG = 'long-policy-name-that-gets-hashed'

describe('names that must fit', () => {
  it.each([
    ['felix', '1234', 10, 'felix1234'],
    ['felix', '123456', 11, 'felix123456'],
    ['felix', '_2345', 10, 'felix_kMQI'],
    ['felix', '12345678910', 13, 'felix_Y2QCZIS'],
    ['felix', '', 10, 'felix_'],
  ])('%s + %s in %i', (prefix, suffix, max, expected) => {
    expect(lengthLimitedId(prefix, suffix, max)).toBe(expected)
  })

  it('policies and profiles', () => {
    const at = { release: CALICO_3_32, tier: 'default' }
    expect(policyChain(gnp('default.foo'), 'ingress', at)).toBe('cali-pi-gnp/default.foo')
    expect(policyChain(gnp(LONG), 'ingress', at)).toBe('cali-pi-_PymyFHQQg3808jiz1OJ')
    expect(policyChain(gnp(LONG), 'egress', at)).toBe('cali-po-_PymyFHQQg3808jiz1OJ')
    expect(profileChain(LONG, 'ingress')).toBe('cali-pri-_ffOMcf6pikpiZ6hgKc')
    expect(profileChain(LONG, 'egress')).toBe('cali-pro-_ffOMcf6pikpiZ6hgKc')
    expect(profileChain('kns.default', 'ingress')).toBe('cali-pri-kns.default')
    expect(profileChain('ksa.default.default', 'ingress')).toBe('cali-pri-ksa.default.default')
  })

  it('a policy of each release', () => {
    const chainIn = (policyId: 'kind' | 'tier' | 'name', id: PolicyId, tier: string): string =>
      policyChain(id, 'ingress', { release: { ...RELEASE_3_30, policyId, kubernetesPolicyName: policyId === 'kind' ? 'as is' : 'knp.default.' }, tier })
    expect(chainIn('tier', gnp(LONG), '')).toBe('cali-pi-_FJ9yUkNpzshVDh2n7mg')
    expect(chainIn('kind', WEB, 'default')).toBe('cali-pi-knp/default/web')
    expect(chainIn('tier', WEB, 'default')).toBe('cali-pi-_u7u2r6vXacg_5gxJvpo')
    expect(chainIn('name', WEB, 'default')).toBe('cali-pi-_2a20BaSPViEz4XFucWR')
  })

  it('groups, and the endpoint of all interfaces', () => {
    const group = { selector: 'all()', policies: [gnp('a'), gnp('b')] }
    expect(groupChain(group, 'ingress', CALICO_3_32)).toBe('cali-gi-js-B7zioflPRrAki3OCu')
    expect(groupChain(group, 'egress', CALICO_3_32)).toBe('cali-go-4ezo5iTUduM_NXbqxhkl')
    expect(endpointChain('cali-fh-', ALL_INTERFACES)).toBe('cali-fh-any-interface-at-all')
    expect(endpointChain('cali-th-', ALL_INTERFACES)).toBe('cali-th-any-interface-at-all')
    expect(endpointChain('cali-fhfw-', ALL_INTERFACES)).toBe('cali-fhfw-_Nqh4HyA73udmyanQI')
    expect(endpointChain('cali-thfw-', ALL_INTERFACES)).toBe('cali-thfw-_Nqh4HyA73udmyanQI')
  })
})

describe('IDs of sets', () => {
  it.each([
    ['s', 'all()', 's:5y5I3VdRZfDU01O--xXAPx2yxCQQqMf0M6IWug'],
    ['s', '!(has(b) || !has(a))', 's:Iss0uCleLYv1GSv_pNm7hAO58kE9jAx1NKyG3Q'],
    ['s', '!(a == "b" && !c != "d")', 's:lh3haoY1ikTRkd4UZu0nWSaIBknYLPJLX16d-w'],
    ['s', 'projectcalico.org/orchestrator == "k8s"', 's:WP38oCqDbAT2ANRZlXRDeKIcMPtyI8UP8QIKZA'],
    ['s', 'has(projectcalico.org/namespace)', 's:2dAotJA2sZ5pOhC_BaBuAFekzFsoGV350DfHsw'],
    ['svc', 'default/svc', 'svc:Jhwii46PCMT5NlhWsUqZmv7al8TeHFbNQMhoVg'],
    ['svcnoport', 'default/svc', 'svcnoport:T03S_6hogdrGKrNFBcbKTFsH_uKwDHEo8JddOg'],
    ['n', `${uniqueId('s', 'all()')},tcp,http`, 'n:cl9_Kgeu4H0OGLbhovVR3NBLUOZscKeMK1Mu4A'],
  ])('%s %s', (prefix, content, expected) => {
    expect(uniqueId(prefix, content)).toBe(expected)
  })

  it('are cut to what ipset takes', () => {
    expect(ipsetName(4, 's:WP38oCqDbAT2ANRZlXRDeKIcMPtyI8UP8QIKZA')).toBe('cali40s:WP38oCqDbAT2ANRZlXRDeKI')
    expect(ipsetName(4, 'n:cl9_Kgeu4H0OGLbhovVR3NBLUOZscKeMK1Mu4A')).toBe('cali40n:cl9_Kgeu4H0OGLbhovVR3NB')
    expect(ipsetName(4, 's:qMt7iLlGDhvLnCjM0l9nzxbabcdefgh')).toBe('cali40s:qMt7iLlGDhvLnCjM0l9nzxb')
    expect(ipsetName(4, 'masq-ipam-pools')).toBe('cali40masq-ipam-pools')
  })
})

describe('MACs of VTEPs', () => {
  it.each([
    ['localhostname', 4, '66:48:f6:56:dc:f1'],
    ['remotehostname', 4, '66:3e:ca:a4:db:65'],
    ['remotehostname', 6, '66:a0:68:c9:4c:79'],
    ['remotehostname2', 4, '66:40:18:59:1f:16'],
  ] as const)('%s IPv%i', (node, family, expected) => {
    expect(formatMac(vtepMac(node, family))).toBe(expected)
  })
})

describe('marks', () => {
  it('are handed out lowest first', () => {
    const marks = allocateMarks(0xffff0000, CALICO_3_32, { wireguard: false })
    expect(marks).toEqual({
      accept: 0x10000,
      pass: 0x20000,
      drop: 0x40000,
      scratch0: 0x80000,
      scratch1: 0x100000,
      wireguard: 0,
      endpoint: 0xffe00000,
      nonCaliEndpoint: 0x200000,
    })
    expect(marks === undefined ? 0 : calicoBits(marks)).toBe(0x1b0000)
    const withWireguard = allocateMarks(0xffff0000, CALICO_3_32, { wireguard: true })
    expect([withWireguard?.wireguard, withWireguard?.endpoint]).toEqual([0x200000, 0xffc00000])
    const old = allocateMarks(0xffff0000, { dropMark: false }, { wireguard: false })
    expect([old?.drop, old?.scratch0, old?.scratch1, old?.endpoint]).toEqual([0, 0x40000, 0x80000, 0xfff00000])
    expect(allocateMarks(0xf0000, CALICO_3_32, { wireguard: false })).toBeUndefined()
  })

  it('of endpoints, upstream dispatch_test.go', () => {
    const few = new EndpointMarks(0xff00, 0x100)
    expect(['cali1234', 'cali2333', 'cali2444'].map((name) => few.markOf(name))).toEqual([0xd400, 0xa700, 0x5200])
    const many = new EndpointMarks(0xff00, 0x100)
    expect(['cali11', 'cali12', 'cali13', 'cali21', 'cali22'].map((name) => many.markOf(name))).toEqual([0x200, 0x300, 0x400, 0xf700, 0xf400])
    expect(many.markOf('cali11')).toBe(0x200)
  })

  it('a full mask has none left', () => {
    const tiny = new EndpointMarks(0x300, 0x100)
    expect([tiny.markOf('a'), tiny.markOf('b')].sort((x, y) => x - y)).toEqual([0x200, 0x300])
    expect(() => tiny.markOf('c')).toThrow(/no endpoint mark/)
  })
})

describe('NFLOG prefixes, upstream nflogprefix_test.go', () => {
  it('are hashed when they are long', () => {
    expect(ruleNflogPrefix('allow', { owner: 'policy', direction: 'ingress', index: 0, id: 'np/namespace1/default.policy' })).toBe(
      'API0|np/namespace1/default.policy',
    )
    expect(ruleNflogPrefix('pass', { owner: 'profile', direction: 'egress', index: 999, id: 'short.profile.name' })).toBe('PRE999|short.profile.name')
    const name = 'this-is-still-quite-a-long-tier-name-even-though-its-not-required.quite-a-long-policy-name'
    expect(ruleNflogPrefix('deny', { owner: 'policy', direction: 'egress', index: 1, id: `gnp/${name}` })).toBe(
      'DPE1|gnp/t_FSGxA9eGa6t_A5Rj2agPvl4aq8-eohq0An6xEW4n7_olicy-name',
    )
    expect(tierNflogPrefix('deny', 'ingress', 'tier')).toBe('DPI|tier')
  })
})
