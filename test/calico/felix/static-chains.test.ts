/** Rule IDs: vectors 33 to 48 (upstream's dump of a running node) and 49 to 65 of the reference page. */
import { describe, expect, it } from 'vitest'
import type { FelixConfig } from '../../../src/calico/felix/config.js'
import { workloadDispatchChains } from '../../../src/calico/felix/dispatch.js'
import { workloadChains } from '../../../src/calico/felix/endpoint-chains.js'
import type { FelixPolicyRule } from '../../../src/calico/felix/model.js'
import { policyChains, profileChains } from '../../../src/calico/felix/policy-chains.js'
import { act, chainIds } from '../../../src/calico/felix/rule.js'
import { forwardAppends, staticFilterChains } from '../../../src/calico/felix/static-filter.js'
import { natOutgoingChain, staticMangleChains, staticNatChains, staticRawChains } from '../../../src/calico/felix/static-tables.js'
import { ANY_SIDE, dumpConfig, idsOf, ipipConfig } from './kit.js'

const hook = (chain: string, target: string): string => chainIds({ name: chain, rules: [{ action: act.jump(target) }] }).join()
const appends = (config: FelixConfig): string => chainIds({ name: 'FORWARD*appends*', rules: forwardAppends(config) }).join(', ')

describe('the chains of upstream’s dump (v3.30, VXLAN)', () => {
  const config = dumpConfig()
  const filter = staticFilterChains(config)
  const raw = staticRawChains(config)
  const nat = staticNatChains(config)
  const mangle = staticMangleChains(config)

  it('hooks', () => {
    expect(hook('FORWARD', 'cali-FORWARD')).toBe('wUHhoiAYhphO9Mso')
    expect(appends(config)).toBe('S93hcgKJrXEqnTfs, mp77cMpurHhyjLrM')
    expect(hook('INPUT', 'cali-INPUT')).toBe('Cz_u1IQiXIMmKD4c')
    expect(hook('OUTPUT', 'cali-OUTPUT')).toBe('tVnHkvAo15HuiPy0')
    expect(hook('PREROUTING', 'cali-PREROUTING')).toBe('6gwbT8clXdHdC1b1')
    expect(hook('POSTROUTING', 'cali-POSTROUTING')).toBe('O3lYWMrLQYEMJtB5')
    expect(hook('POSTROUTING*appends*', 'cali-POSTROUTING')).toBe('0i8pjzKKPyA34aQD')
  })

  it('raw', () => {
    expect(idsOf(raw, 'cali-OUTPUT')).toBe('clI8WObfCl4yhr60, ZbkN6P8OdRcBRPpU, ry5_UEpt1OaPPCxO, MGhICIksKDnYMIkW')
    expect(idsOf(raw, 'cali-PREROUTING')).toBe(
      'DQ6LK2guiBRMyrLK, sIsu2aAqNN6K3YYn, W0qKAga6QivxLxL1, QOYCZUivPyJL6Dp1, uvipz_NmQPrGYnTB, pj4jqF0K2OCNLmzX, Jefg6QI5khJcHnVl',
    )
  })

  it('filter', () => {
    expect(idsOf(filter, 'cali-FORWARD')).toBe('W_vvds1Nw3n9QE2f, ZfgmjuiLaA8Pg0kp, tAzwBLPaV-j53OOZ, 4Z0Pf0byo05NFe-P, hQ7Oc16wmUtLuneJ, rnKNH2WxGcRQcIlD')
    expect(idsOf(filter, 'cali-INPUT')).toBe(
      'J76FwxInZIsk7uKY, EDCNTTxYfggApx8C, H03xYXARh4e8pwd4, MN6K3isIWBigb1Va, aKDQAoV0P_FFAIwV, vIx3xkWzuvLW9fr4, 5W9XghKma9wuz47x',
    )
    expect(idsOf(filter, 'cali-OUTPUT')).toBe('Mq1_rAdXXH3YkrzW, 69FkRTJDvD5Vu6Vl, -QZG79DohFjalQBb, 6T0hFtymUtXMOfEV, IpTGXsDHURPUaLjJ, wgnULo2gucg1umsA')
    expect(idsOf(filter, 'cali-wl-to-host')).toBe('Ee9Sbo10IpVujdIY, nSZbcOoG1xPONxb8')
    const dispatch = workloadDispatchChains([], config)
    expect([idsOf(dispatch, 'cali-from-wl-dispatch'), idsOf(dispatch, 'cali-to-wl-dispatch')]).toEqual(['zTj6P0TIgYvgz-md', '7KNphB1nNHw80nIO'])
  })

  it('nat and mangle', () => {
    expect([idsOf(nat, 'cali-PREROUTING'), idsOf(nat, 'cali-OUTPUT')]).toEqual(['r6XmIziWUJsdOK6Z', 'GBTAv2p5CwevEyJm'])
    expect(idsOf(nat, 'cali-POSTROUTING')).toBe('Z-c7XtVd2Bq7s_hA, nYKhEzDlr11Jccal, e9dnSgSVNmIcpVhP')
    expect(idsOf(mangle, 'cali-POSTROUTING')).toBe('NX-7roTexQ3fGRfU, JkYr4aB8O4_N8NBS, nO0nbHA3Or7V6l7t, mgxNjIoKySH7TEGH')
    expect(idsOf(mangle, 'cali-PREROUTING')).toBe('6BJqBjBC7crtA-7-, KX7AGNd6rMcDUai6, wNH7KsA3ILKJBsY9, Cg96MgVuoPm7UMRo')
    expect(idsOf([natOutgoingChain(config, { active: true })], 'cali-nat-outgoing')).toBe('flqWnvo8yq4ULQLa')
  })
})

const ALLOW_ALL: FelixPolicyRule = { action: 'allow', source: ANY_SIDE, destination: ANY_SIDE, annotations: {} }
const tcp80 = (action: 'allow' | 'deny'): FelixPolicyRule => ({ ...ALLOW_ALL, action, protocol: 'tcp', destination: { ...ANY_SIDE, ports: [[80, 80]] } })
const POD_A = 'cali7f94ce7c295'
const POD_B = 'cali92cf1f5e9f6'

describe('v3.32.1 with IPIP', () => {
  const config = ipipConfig()
  const filter = staticFilterChains(config)
  const raw = staticRawChains(config)

  it('static chains', () => {
    expect(idsOf(filter, 'cali-INPUT')).toBe(
      'PajejrV4aFdkZojI, _wjq-Yrma8Ly1Svo, 8TZGxLWh_Eiz66wc, 6McIeIDvPdL6PE1T, FHoqwXIibih3FkAm, qZ1_fX7-OsFCh64q, 64so3UXgS7MtBy-m',
    )
    expect(idsOf(filter, 'cali-OUTPUT')).toBe('Mq1_rAdXXH3YkrzW, 69FkRTJDvD5Vu6Vl, AnEsmO6bDZbQntWW, KMCPT0oQKE3eYLxL, cMHr2aCzyAyBKiqV, EI7GEITASEcJBTEO')
    expect(idsOf(raw, 'cali-PREROUTING')).toBe('DQ6LK2guiBRMyrLK, o0awFTLnSamXVVNW, aJ7XamFJS43rOYyJ, hOMHbY_OXb_BF9pw, N7S4OAqlgBJWcynn, 8A061i5zP9KV-opa')
    expect(idsOf(raw, 'cali-OUTPUT')).toBe('clI8WObfCl4yhr60, ZbkN6P8OdRcBRPpU, tTi_3jFgvxUFsObH')
    expect(idsOf(staticNatChains(config), 'cali-POSTROUTING')).toBe('Z-c7XtVd2Bq7s_hA, nYKhEzDlr11Jccal, SXWvdsbh4Mw7wOln')
    expect(idsOf([natOutgoingChain(config, { active: true })], 'cali-nat-outgoing')).toBe('W_qq_N2KSTWyCvrX')
    expect(idsOf(staticMangleChains(config), 'cali-POSTROUTING')).toBe(
      'rjggb5FqJG-Y25Bt, jjeDINEyBNIZOyCC, zNC99P5aQEt6jv4X, Zq8WVZgLnBNyn-Ed, x8FyevjrLjl7aiMw',
    )
  })

  it('a workload that no policy selects', () => {
    const chains = workloadChains({ interfaceName: POD_A, tiers: [], profiles: ['kns.default', 'ksa.default.default'] }, config)
    expect(idsOf(chains, `cali-tw-${POD_A}`)).toBe(
      'R1MchP45mGRB_b0o, 1huL72JCjWvBCkzc, FNJsdoaaGkYVk3-A, 6TrKPWD67mjXfOUw, A-NQKhs0dJkrLH-p, YcDtopRIjGXPUvla, T3JR6o8vvuK_0O_S, nT3NpsRfjZwe-_4O',
    )
    expect(idsOf(chains, `cali-fw-${POD_A}`)).toBe(
      'tT0oYkApv1fuubaQ, brGGQpHM3mKqJex1, FWTO-jhHll6p1R6M, RTx2uN7m8Kt5uudv, Aw7OQEQwSkHOIveL, M4oXUnz473f7RBkQ, IYAd4ic1GuWr6Yt-, sBfc-5EJsTYf_pKr, ' +
        'QYk79x3o737_jS5-, UeIzW_Cxap6yhSla',
    )
  })

  it('a workload with one ingress policy', () => {
    const web = { kind: 'KubernetesNetworkPolicy', namespace: 'default', name: 'web' } as const
    const tier = { name: 'default', defaultAction: 'Deny', ingress: [{ selector: 'all()', policies: [web] }], egress: [] }
    const chains = workloadChains({ interfaceName: POD_A, tiers: [tier], profiles: ['kns.default', 'ksa.default.default'] }, config)
    expect(idsOf(chains, `cali-tw-${POD_A}`)).toBe(
      'R1MchP45mGRB_b0o, 1huL72JCjWvBCkzc, FNJsdoaaGkYVk3-A, XU0v2IVXgheVnrkU, ZUyJViu9ta-zaXqQ, 3h6FDSQFByVqggtm, VIboQinyTKAxNYFY, UQsr5pYwB5d-Mx1s, ' +
        'nChkenjWK-f2TG2f, U97w963Byc3LDP4u, mM927FWkD23Vr8fg, oiDBwt4ItVN6bOf5',
    )
  })

  it('profiles and policies', () => {
    const kns = profileChains({ name: 'kns.default', ingress: [ALLOW_ALL], egress: [ALLOW_ALL] }, config)
    expect([idsOf(kns, 'cali-pri-kns.default'), idsOf(kns, 'cali-pro-kns.default')]).toEqual(['WMSw8BmYOknRHfsz', 'Vr81boRqq4V77Sg8'])
    const ksa = profileChains({ name: 'ksa.default.default', ingress: [], egress: [] }, config)
    expect(idsOf(ksa, 'cali-pri-ksa.default.default')).toBe('PrckJA84jX_kGp99')
    const policy = (kind: 'KubernetesNetworkPolicy' | 'GlobalNetworkPolicy', namespace: string, name: string, ingress: readonly FelixPolicyRule[]) =>
      policyChains({ id: { kind, namespace, name }, tier: 'default', untracked: false, preDnat: false, ingress, egress: [] }, config)
    expect(idsOf(policy('KubernetesNetworkPolicy', 'default', 'web', [tcp80('allow')]), 'cali-pi-knp/default/web')).toBe('yaB0F35jnfT8V1zi')
    expect(idsOf(policy('KubernetesNetworkPolicy', 'default', 'web', []), 'cali-pi-knp/default/web')).toBe('Um3adIC9cKwVeR-9')
    expect(idsOf(policy('GlobalNetworkPolicy', '', 'deny-80', [tcp80('deny')]), 'cali-pi-gnp/deny-80')).toBe('4InOgsBkRfYf1Xjv, H0-efBQ-tLqsOFzP')
    expect(idsOf(policy('GlobalNetworkPolicy', '', 'two', [tcp80('allow'), { ...ALLOW_ALL, action: 'deny' }]), 'cali-pi-gnp/two')).toBe(
      'mkbZfxD-njBQbcWq, Lwq8VFsg-2P1oyo2, lsu68P_G9gu8hRM-, 3hCBVMa4zKDKIRUN',
    )
  })

  it('dispatch', () => {
    const chains = workloadDispatchChains([POD_B, POD_A], config)
    expect(idsOf(chains, 'cali-from-wl-dispatch')).toBe('GsWT4LFhS4KYcw_f, hv_YQB0xSPKsjXIS, Vy1YSc7WA8IUyKs6')
    expect(idsOf(chains, 'cali-to-wl-dispatch')).toBe('CtOJzTLgj_59m_Px, oiWE57PLY0rCItCc, fzw5BcplJFSrqYTg')
  })
})
