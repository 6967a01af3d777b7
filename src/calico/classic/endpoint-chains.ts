/**
 * One endpoint's two chains: the tiers whose policies select it, then its profiles in their order, then a drop. `to` is what goes to the
 * endpoint's interface; for a host that is its outbound traffic.
 * Source: felix 1.4.9 calico/felix/plugins/fiptgenerator.py (endpoint_updates, host_endpoint_updates, _build_to_or_from_chain).
 */
import { formatMac, type Mac } from '../../base/mac.js'
import type { ClassicDirection } from '../../cluster/calico/classic-model.js'
import type { Provenance } from '../../dataplane/dataplane.js'
import type { ClassicConfig } from './config.js'
import { bit, dropRules, fragments, hex, type ClassicChain } from './fragment.js'
import { CHAIN, endpointChain, rulesChain } from './names.js'

/** IDs of policies, as chains are named by. */
export interface ClassicTierPolicies {
  readonly tier: string
  readonly policies: readonly string[]
}

interface EndpointChainsInput {
  readonly interfaceName: string
  /** In the last rule's comment. */
  readonly id: string
  readonly mac?: Mac
  readonly profiles: readonly string[]
  readonly tiers: readonly ClassicTierPolicies[]
  readonly kind: 'workload' | 'host'
  /** In the raw table: what is allowed is not tracked, what is not goes on. */
  readonly untracked?: boolean
  readonly provenance: Provenance
}

type Config = Pick<ClassicConfig, 'marks' | 'drop' | 'prefixes'>

export function endpointChains(input: EndpointChainsInput, config: Config): readonly ClassicChain[] {
  const isHost = input.kind === 'host'
  const [to, from]: readonly ClassicDirection[] = isHost ? ['outbound', 'inbound'] : ['inbound', 'outbound']
  const chain = (way: 'to' | 'from', direction: ClassicDirection): ClassicChain => ({
    name: endpointChain(way, input.interfaceName, config.prefixes),
    rules: fragments(endpointRules({ ...input, ...(way === 'to' ? { mac: undefined } : {}) }, direction, config)),
    provenance: input.provenance,
  })
  return [chain('to', to), chain('from', from)]
}

type Rules = Omit<EndpointChainsInput, 'mac'> & { readonly mac?: Mac | undefined }

function endpointRules({ id, mac, profiles, tiers, kind, untracked = false }: Rules, direction: ClassicDirection, config: Config): readonly string[] {
  const { accept, nextTier } = config.marks
  const accepted = `--match mark --mark ${bit(accept)} --match comment --comment`
  return [
    ...(kind === 'host' ? [`--jump ${direction === 'inbound' ? CHAIN.failsafeIn : CHAIN.failsafeOut}`] : []),
    `--jump MARK --set-mark 0/${hex(accept)}`,
    ...(mac === undefined ? [] : dropRules(config, `--match mac ! --mac-source ${formatMac(mac)}`, 'Incorrect source MAC')),
    ...tiers.flatMap(({ tier, policies }) => [
      `--jump MARK --set-mark 0/${hex(nextTier)} --match comment --comment "Start of tier ${tier}"`,
      ...policies.flatMap((policy) => [
        `--match mark --mark 0/${hex(nextTier)} --jump ${rulesChain(policy, direction)}`,
        ...(untracked ? [`${accepted} "No track if policy accepted" --jump NOTRACK`] : []),
        `${accepted} "Return if policy accepted" --jump RETURN`,
      ]),
      ...(untracked ? [] : dropRules(config, `--match mark --mark 0/${hex(nextTier)}`, 'Drop if no policy in tier passed')),
    ]),
    ...profiles.flatMap((profile) => [`--jump ${rulesChain(profile, direction)}`, `${accepted} "Profile accepted packet" --jump RETURN`]),
    ...(untracked ? [] : dropRules(config, '', `Packet did not match any profile (endpoint ${id})`)),
  ]
}
