/**
 * Chain names and rule IDs of the reference page, not of single renderers but of a whole cluster as `netsim show iptables` prints it: vectors 31
 * to 37, 43 to 45, 49 to 69 of §8.
 */
import { describe, expect, it } from 'vitest'
import { netsim } from '../../cli/memory-io.js'
import { calico, node, pod } from '../kit.js'

const POD_A = 'cali7f94ce7c295'
const POD_B = 'cali92cf1f5e9f6'
const NETWORK = 'apiVersion: netsim/v1\nkind: Network\nmetadata: {name: default}\nspec: {cni: calico, kubeProxy: {mode: none}}\n---\n'

/** A pod of n1 behind this interface; interface names of the vectors are those of pods that Kubernetes would not name so. */
const plugged = (name: string, interfaceName: string, address: string, labels = ''): string =>
  pod(name, 'n1', { address }) +
  calico(
    'WorkloadEndpoint',
    `n1-k8s-${name}-eth0`,
    `{node: n1, orchestrator: k8s, pod: ${name}, endpoint: eth0, serviceAccountName: default, profiles: [kns.default, ksa.default.default], interfaceName: ${interfaceName}, ipNetworks: [${address}/32]}`,
    {
      metadata: `, namespace: default${labels === '' ? '' : `, labels: {${labels}}`}`,
    },
  )

const A = plugged('pod-a', POD_A, '192.168.0.10', 'app: web')
const B = plugged('pod-b', POD_B, '192.168.0.11')

interface Shown {
  readonly ids: (table: string, chain: string) => string
  readonly rules: (table: string, chain: string) => readonly string[]
  readonly chains: (table: string) => readonly string[]
}

async function shown(text: string): Promise<Shown> {
  const { code, out, err } = await netsim(['show', 'iptables', 'n1', '-f', '-'], { stdin: NETWORK + node('n1', '10.0.0.1') + text })
  expect([code, err.split('\n').filter((line) => line.includes('error'))]).toEqual([0, []])
  const tables = new Map(out.split(/^\*/m).map((part): [string, string[]] => [part.split('\n')[0], part.split('\n')]))
  const rules = (table: string, chain: string): string[] => tables.get(table)?.filter((line) => line.startsWith(`-A ${chain} `)) ?? []
  return {
    rules,
    ids: (table, chain) =>
      rules(table, chain)
        .map((rule) => /"?cali:([A-Za-z0-9_-]{16})"?/.exec(rule)?.[1] ?? '-')
        .join(', '),
    chains: (table) => (tables.get(table) ?? []).flatMap((line) => /^:(\S+)/.exec(line)?.[1] ?? []),
  }
}

const knp = (spec: string): string => `apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: web, namespace: default}\nspec: ${spec}\n---\n`
const TCP_80 = '{action: ACTION, protocol: TCP, destination: {ports: [80]}}'

describe('a default install of 3.32.1 (IPIP), two pods and no policy', async () => {
  const { ids, chains } = await shown(A + B)

  it('33 to 37: what hangs in the kernel’s chains', () => {
    expect(ids('filter', 'FORWARD')).toBe('wUHhoiAYhphO9Mso, S93hcgKJrXEqnTfs, mp77cMpurHhyjLrM')
    expect(ids('filter', 'INPUT')).toBe('Cz_u1IQiXIMmKD4c')
    for (const table of ['raw', 'nat', 'filter']) expect(ids(table, 'OUTPUT')).toBe('tVnHkvAo15HuiPy0')
    for (const table of ['raw', 'mangle', 'nat']) expect(ids(table, 'PREROUTING')).toBe('6gwbT8clXdHdC1b1')
    expect(ids('mangle', 'POSTROUTING')).toBe('O3lYWMrLQYEMJtB5')
    expect(ids('nat', 'POSTROUTING')).toBe('0i8pjzKKPyA34aQD')
  })

  it('40, 45, 48: what is the same in every mode', () => {
    expect(ids('filter', 'cali-FORWARD')).toBe('W_vvds1Nw3n9QE2f, ZfgmjuiLaA8Pg0kp, tAzwBLPaV-j53OOZ, 4Z0Pf0byo05NFe-P, hQ7Oc16wmUtLuneJ, rnKNH2WxGcRQcIlD')
    expect(ids('filter', 'cali-wl-to-host')).toBe('Ee9Sbo10IpVujdIY, nSZbcOoG1xPONxb8')
    expect([ids('nat', 'cali-PREROUTING'), ids('nat', 'cali-OUTPUT')]).toEqual(['r6XmIziWUJsdOK6Z', 'GBTAv2p5CwevEyJm'])
    expect(ids('mangle', 'cali-PREROUTING')).toBe('6BJqBjBC7crtA-7-, KX7AGNd6rMcDUai6, wNH7KsA3ILKJBsY9, Cg96MgVuoPm7UMRo')
  })

  it('49 to 55: the static chains', () => {
    expect(ids('filter', 'cali-INPUT')).toBe(
      'PajejrV4aFdkZojI, _wjq-Yrma8Ly1Svo, 8TZGxLWh_Eiz66wc, 6McIeIDvPdL6PE1T, FHoqwXIibih3FkAm, qZ1_fX7-OsFCh64q, 64so3UXgS7MtBy-m',
    )
    expect(ids('filter', 'cali-OUTPUT')).toBe('Mq1_rAdXXH3YkrzW, 69FkRTJDvD5Vu6Vl, AnEsmO6bDZbQntWW, KMCPT0oQKE3eYLxL, cMHr2aCzyAyBKiqV, EI7GEITASEcJBTEO')
    expect(ids('raw', 'cali-PREROUTING')).toBe('DQ6LK2guiBRMyrLK, o0awFTLnSamXVVNW, aJ7XamFJS43rOYyJ, hOMHbY_OXb_BF9pw, N7S4OAqlgBJWcynn, 8A061i5zP9KV-opa')
    expect(ids('raw', 'cali-OUTPUT')).toBe('clI8WObfCl4yhr60, ZbkN6P8OdRcBRPpU, tTi_3jFgvxUFsObH')
    expect(ids('nat', 'cali-POSTROUTING')).toBe('Z-c7XtVd2Bq7s_hA, nYKhEzDlr11Jccal, SXWvdsbh4Mw7wOln')
    expect(ids('nat', 'cali-nat-outgoing')).toBe('W_qq_N2KSTWyCvrX')
    expect(ids('mangle', 'cali-POSTROUTING')).toBe('rjggb5FqJG-Y25Bt, jjeDINEyBNIZOyCC, zNC99P5aQEt6jv4X, Zq8WVZgLnBNyn-Ed, x8FyevjrLjl7aiMw')
  })

  it('56, 57, 59, 60: an endpoint without policies, its profiles', () => {
    expect(ids('filter', `cali-tw-${POD_A}`)).toBe(
      'R1MchP45mGRB_b0o, 1huL72JCjWvBCkzc, FNJsdoaaGkYVk3-A, 6TrKPWD67mjXfOUw, A-NQKhs0dJkrLH-p, YcDtopRIjGXPUvla, T3JR6o8vvuK_0O_S, nT3NpsRfjZwe-_4O',
    )
    expect(ids('filter', `cali-fw-${POD_A}`)).toBe(
      'tT0oYkApv1fuubaQ, brGGQpHM3mKqJex1, FWTO-jhHll6p1R6M, RTx2uN7m8Kt5uudv, Aw7OQEQwSkHOIveL, M4oXUnz473f7RBkQ, IYAd4ic1GuWr6Yt-, sBfc-5EJsTYf_pKr, ' +
        'QYk79x3o737_jS5-, UeIzW_Cxap6yhSla',
    )
    expect([ids('filter', 'cali-pri-kns.default'), ids('filter', 'cali-pro-kns.default')]).toEqual(['WMSw8BmYOknRHfsz', 'Vr81boRqq4V77Sg8'])
    expect(ids('filter', 'cali-pri-ksa.default.default')).toBe('PrckJA84jX_kGp99')
  })

  it('64, 65: dispatch to the two', () => {
    expect(ids('filter', 'cali-from-wl-dispatch')).toBe('GsWT4LFhS4KYcw_f, hv_YQB0xSPKsjXIS, Vy1YSc7WA8IUyKs6')
    expect(ids('filter', 'cali-to-wl-dispatch')).toBe('CtOJzTLgj_59m_Px, oiWE57PLY0rCItCc, fzw5BcplJFSrqYTg')
  })

  it('traps 41 and 44: what nothing refers to is not there; a direction without rules is one rule without a target', async () => {
    for (const table of ['raw', 'mangle', 'filter']) expect(chains(table).filter((name) => /failsafe|wireguard|gi-|go-/.test(name))).toEqual([])
    const { rules } = await shown(A)
    expect(rules('filter', 'cali-pri-ksa.default.default')).toEqual([
      '-A cali-pri-ksa.default.default -m comment --comment "cali:PrckJA84jX_kGp99" -m comment --comment "Profile ksa.default.default ingress"',
    ])
  })
})

describe('with policies', () => {
  it('58, 61: one Kubernetes policy', async () => {
    const { ids } = await shown(A + knp('{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 80}]}]}'))
    expect(ids('filter', `cali-tw-${POD_A}`)).toBe(
      'R1MchP45mGRB_b0o, 1huL72JCjWvBCkzc, FNJsdoaaGkYVk3-A, XU0v2IVXgheVnrkU, ZUyJViu9ta-zaXqQ, 3h6FDSQFByVqggtm, VIboQinyTKAxNYFY, UQsr5pYwB5d-Mx1s, ' +
        'nChkenjWK-f2TG2f, U97w963Byc3LDP4u, mM927FWkD23Vr8fg, oiDBwt4ItVN6bOf5',
    )
    expect(ids('filter', 'cali-pi-knp/default/web')).toBe('yaB0F35jnfT8V1zi')
  })

  it('61: the same without rules', async () => {
    const { ids } = await shown(A + knp('{podSelector: {}}'))
    expect(ids('filter', 'cali-pi-knp/default/web')).toBe('Um3adIC9cKwVeR-9')
  })

  it('62, 63: deny, and allow then deny', async () => {
    const deny = calico('GlobalNetworkPolicy', 'deny-80', `{order: 1, selector: all(), ingress: [${TCP_80.replace('ACTION', 'Deny')}]}`)
    const two = calico('GlobalNetworkPolicy', 'two', `{order: 2, selector: has(app), ingress: [${TCP_80.replace('ACTION', 'Allow')}, {action: Deny}]}`)
    const { ids } = await shown(A + deny + two)
    expect(ids('filter', 'cali-pi-gnp/deny-80')).toBe('4InOgsBkRfYf1Xjv, H0-efBQ-tLqsOFzP')
    expect(ids('filter', 'cali-pi-gnp/two')).toBe('mkbZfxD-njBQbcWq, Lwq8VFsg-2P1oyo2, lsu68P_G9gu8hRM-, 3hCBVMa4zKDKIRUN')
  })

  it('10, 31, trap 49: a long name; two policies of one selector in a chain of their own', async () => {
    const gnp = (name: string): string => calico('GlobalNetworkPolicy', name, '{order: 5, selector: all(), types: [Ingress, Egress]}')
    const group = await shown(A + gnp('a') + gnp('b'))
    expect(group.chains('filter').filter((name) => /-g[io]-/.test(name))).toEqual(['cali-gi-js-B7zioflPRrAki3OCu', 'cali-go-4ezo5iTUduM_NXbqxhkl'])
    expect(group.rules('filter', 'cali-gi-js-B7zioflPRrAki3OCu').map((rule) => rule.split(' -j ')[1])).toEqual(['cali-pi-gnp/a', 'cali-pi-gnp/b'])
    const { chains } = await shown(A + gnp('long-policy-name-that-gets-hashed'))
    expect(chains('filter')).toEqual(expect.arrayContaining(['cali-pi-_PymyFHQQg3808jiz1OJ', 'cali-po-_PymyFHQQg3808jiz1OJ']))
  })

  it('32: a host endpoint of all interfaces', async () => {
    const { chains } = await shown(A + calico('HostEndpoint', 'all', '{node: n1, interfaceName: "*", profiles: [projectcalico-default-allow]}'))
    expect(chains('filter').filter((name) => /-(fh|th)(fw)?-/.test(name))).toEqual([
      'cali-fh-any-interface-at-all',
      'cali-fhfw-_Nqh4HyA73udmyanQI',
      'cali-th-any-interface-at-all',
      'cali-thfw-_Nqh4HyA73udmyanQI',
    ])
    // trap 41: of failsafe only what some chain jumps to
    expect(chains('filter')).toEqual(expect.arrayContaining(['cali-failsafe-in', 'cali-failsafe-out']))
    expect(chains('raw').filter((name) => name.includes('failsafe'))).toEqual([])
  })

  it('18, 19, 21, 22 and trap 46: sets by the first 31 characters', async () => {
    const rules = [
      `{action: Allow, source: {selector: projectcalico.org/orchestrator == "k8s"}}`,
      `{action: Allow, source: {namespaceSelector: all()}}`,
      `{action: Allow, protocol: TCP, destination: {ports: [http]}}`,
    ]
    const { rules: shownRules } = await shown(A + calico('GlobalNetworkPolicy', 'sets', `{selector: all(), ingress: [${rules.join(', ')}]}`))
    const sets = shownRules('filter', 'cali-pi-gnp/sets').flatMap((rule) => /--match-set (\S+)/.exec(rule)?.[1] ?? [])
    expect(sets).toEqual(['cali40s:WP38oCqDbAT2ANRZlXRDeKI', 'cali40s:2dAotJA2sZ5pOhC_BaBuAFe', 'cali40n:cl9_Kgeu4H0OGLbhovVR3NB'])
  })
})

describe('dispatch', () => {
  const targets = (rules: readonly string[]): string[] => rules.map((rule) => rule.replace(/^-A \S+ /, '').replace(/-m comment --comment "[^"]*" ?/g, ''))
  const workloads = (names: readonly string[]): string => names.map((name, i) => plugged(`pod-${i}`, name, `192.168.0.${20 + i}`)).join('')

  it('66, 43: no endpoint', async () => {
    const { rules } = await shown('')
    expect(targets(rules('filter', 'cali-from-wl-dispatch'))).toEqual(['-j DROP'])
    expect(targets(rules('filter', 'cali-to-wl-dispatch'))).toEqual(['-j DROP'])
  })

  it('67: one endpoint', async () => {
    const { rules, chains } = await shown(workloads(['cali1234']))
    expect(targets(rules('filter', 'cali-from-wl-dispatch'))).toEqual(['-i cali1234 -g cali-fw-cali1234', '-j DROP'])
    // trap 45
    expect(chains('filter').filter((name) => name.includes('dispatch'))).toEqual(['cali-from-wl-dispatch', 'cali-to-wl-dispatch'])
  })

  it('68: one alone, two together', async () => {
    const { rules } = await shown(workloads(['cali2444', 'cali1234', 'cali2333']))
    expect(targets(rules('filter', 'cali-from-wl-dispatch-2'))).toEqual(['-i cali2333 -g cali-fw-cali2333', '-i cali2444 -g cali-fw-cali2444', '-j DROP'])
    expect(targets(rules('filter', 'cali-from-wl-dispatch'))).toEqual(['-i cali1234 -g cali-fw-cali1234', '-i cali2+ -g cali-from-wl-dispatch-2', '-j DROP'])
  })

  it('69: two branches', async () => {
    const { rules } = await shown(workloads(['cali11', 'cali12', 'cali13', 'cali21', 'cali22']))
    expect(targets(rules('filter', 'cali-to-wl-dispatch'))).toEqual(['-o cali1+ -g cali-to-wl-dispatch-1', '-o cali2+ -g cali-to-wl-dispatch-2', '-j DROP'])
    expect([rules('filter', 'cali-to-wl-dispatch-1').length, rules('filter', 'cali-to-wl-dispatch-2').length]).toEqual([4, 3])
  })
})
