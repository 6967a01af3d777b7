/** What the tests of Felix share: configurations, and chains as text. */
import type { FelixSettings } from '../../../src/cluster/calico/felix-configuration.js'
import { resolveFelixConfig, type FelixConfig, type FelixSurroundings } from '../../../src/calico/felix/config.js'
import type { FelixRuleSide } from '../../../src/calico/felix/model.js'
import { chainIds, type FelixChain, type FelixRule } from '../../../src/calico/felix/rule.js'
import { CALICO_3_32, type CalicoProfile } from '../../../src/calico/version.js'
import { ip } from '../../../src/base/ip.js'

/** A rule's side that asks for nothing. */
export const ANY_SIDE: FelixRuleSide = {
  nets: [],
  notNets: [],
  sets: [],
  notSets: [],
  ports: [],
  notPorts: [],
  namedPorts: [],
  notNamedPorts: [],
  ipPortSets: [],
}

/** What upstream's dump of iptables was taken with. */
export const RELEASE_3_30: CalicoProfile = {
  ...CALICO_3_32,
  version: '3.30.0',
  allPoolsSetId: 'all-ipam-pools',
  dscpChain: false,
  policyId: 'tier',
  kubernetesPolicyName: 'knp.default.',
  groupIdByKind: false,
}

export function felixConfig(settings: FelixSettings = {}, surroundings: Partial<FelixSurroundings> = {}): FelixConfig {
  const config = resolveFelixConfig(settings, { release: CALICO_3_32, hostMtu: 1500, poolsUse: { ipip: false, vxlan: false }, ...surroundings })
  if (config === undefined) throw new Error('no marks')
  return config
}

/** calico.yaml: IPIP, endpoint to host ACCEPT. */
export function ipipConfig(settings: FelixSettings = {}): FelixConfig {
  return felixConfig({ defaultEndpointToHostAction: 'Accept', ...settings }, { poolsUse: { ipip: true, vxlan: false }, ipipTunnelAddress: ip('192.168.0.1') })
}

/** Upstream's dump: VXLAN, v3.30. */
export function dumpConfig(): FelixConfig {
  return felixConfig(
    { defaultEndpointToHostAction: 'Accept' },
    { release: RELEASE_3_30, poolsUse: { ipip: false, vxlan: true }, vxlanTunnelAddress: ip('192.168.0.1') },
  )
}

export function chainNamed(chains: readonly FelixChain[], name: string): FelixChain {
  const chain = chains.find((candidate) => candidate.name === name)
  if (chain === undefined) throw new Error(`no chain ${name} among ${chains.map((c) => c.name).join(' ')}`)
  return chain
}

export function idsOf(chains: readonly FelixChain[], name: string): string {
  return chainIds(chainNamed(chains, name)).join(', ')
}

/** Matches and action, one line a rule. */
export function textOf(rules: readonly FelixRule[]): string[] {
  return rules.map((rule) => [...(rule.match ?? []), rule.action ?? ''].join(' '))
}
