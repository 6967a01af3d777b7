/** Settings that Felix acts on and netsim does not, and one that no kernel takes. */
import type { FelixSettings } from './felix-configuration.js'

interface FelixWarning {
  readonly name: keyof FelixSettings
  readonly what: string
  readonly fix: string
}

/** What is rendered is as if they were not said. */
export function unmodelledSettings(settings: FelixSettings): readonly (keyof FelixSettings)[] {
  return [
    ...(settings.bpfEnabled === true ? (['bpfEnabled'] as const) : []),
    ...(settings.nftablesMode === 'Enabled' ? (['nftablesMode'] as const) : []),
    ...(settings.istioAmbientMode === 'Enabled' ? (['istioAmbientMode'] as const) : []),
    ...(settings.ipv6Support === true ? (['ipv6Support'] as const) : []),
  ]
}

/** Felix writes its deny action into raw too, for packets with a wrong source; the kernel has REJECT in filter only, and the table stays unwritten. */
export function felixWarnings(settings: FelixSettings): readonly FelixWarning[] {
  const unmodelled = unmodelledSettings(settings).map((name) => ({
    name,
    what: `${name} is not modelled`,
    fix: 'What netsim shows is the iptables dataplane of IPv4.',
  }))
  if (settings.iptablesFilterDenyAction?.toUpperCase() !== 'REJECT') return unmodelled
  const what = 'iptablesFilterDenyAction Reject: Felix writes REJECT into the tables raw and mangle as well, where the kernel refuses it'
  return [...unmodelled, { name: 'iptablesFilterDenyAction', what, fix: 'Use Drop; netsim shows the rules as Felix means them.' }]
}
