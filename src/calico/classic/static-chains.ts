/**
 * The chains that stand whatever the endpoints are. Established connections are accepted before anything else is asked: a rule that is made
 * stricter does not cut them.
 * Source: felix 1.4.9 calico/felix/plugins/fiptgenerator.py, frules.py (install_global_rules), fipmanager.py, masq.py.
 */
import { formatIp, type Ip } from '../../base/ip.js'
import type { ClassicConfig } from './config.js'
import { bit, dropRules, fragments, hex, type ClassicChain } from './fragment.js'
import { CHAIN, HOST_DISPATCH, SET, WORKLOAD_DISPATCH } from './names.js'

const ESTABLISHED = '--match conntrack --ctstate RELATED,ESTABLISHED --jump ACCEPT'
const INVALID = '--match conntrack --ctstate INVALID'

export function filterChains(config: ClassicConfig): readonly ClassicChain[] {
  return [
    { name: CHAIN.forward, rules: fragments(forwardRules(config)) },
    { name: CHAIN.input, rules: fragments(inputRules(config)) },
    { name: CHAIN.output, rules: fragments(outputRules(config)) },
    ...failsafeChains(config),
  ]
}

export function rawChains(config: ClassicConfig): readonly ClassicChain[] {
  const { marks } = config
  const chain = (name: string, option: string, target: string): ClassicChain => ({
    name,
    rules: fragments([`--jump MARK --set-mark 0/${hex(marks.accept)}`, ...hostTrafficRules(config, option, target)]),
  })
  return [chain(CHAIN.prerouting, '--in-interface', HOST_DISPATCH.from), chain(CHAIN.output, '--out-interface', HOST_DISPATCH.to), ...failsafeChains(config)]
}

/** @param floating in the order in which they are to stand */
export function natChains(config: ClassicConfig, floating: readonly { readonly internal: Ip; readonly external: Ip }[]): readonly ClassicChain[] {
  const { metadata } = config
  const metadataRule =
    metadata === undefined
      ? []
      : [`--protocol tcp --dport 80 --destination 169.254.169.254/32 --jump DNAT --to-destination ${metadata.address}:${metadata.port}`]
  const first = floating.filter(({ internal }, index) => floating.findIndex((other) => other.internal === internal) === index)
  return [
    { name: CHAIN.prerouting, rules: fragments([`--jump ${CHAIN.floatingDnat}`, ...metadataRule]) },
    { name: CHAIN.postrouting, rules: fragments([`--jump ${CHAIN.floatingSnat}`]) },
    { name: CHAIN.output, rules: fragments([`--jump ${CHAIN.floatingDnat}`]) },
    {
      name: CHAIN.floatingDnat,
      rules: fragments(floating.map(({ internal, external }) => `-d ${formatIp(external)} -j DNAT --to-destination ${formatIp(internal)}`)),
    },
    {
      name: CHAIN.floatingSnat,
      rules: fragments(first.map(({ internal, external }) => `-s ${formatIp(internal)} -d ${formatIp(internal)} -j SNAT --to-source ${formatIp(external)}`)),
    },
  ]
}

/** Rules of Felix's in the kernel's own POSTROUTING, first to last: each was inserted at the head, the masquerade of pools last of all. */
export function postroutingRules({ ipip, ipipTunnelAddress }: ClassicConfig, masquerades: boolean): readonly string[] {
  return [
    ...(masquerades ? [`--match set --match-set ${SET.masqueradePools} src --match set ! --match-set ${SET.allPools} dst --jump MASQUERADE`] : []),
    `--jump ${CHAIN.postrouting}`,
    ...(ipip && ipipTunnelAddress !== undefined
      ? ['--out-interface tunl0 -m addrtype ! --src-type LOCAL --limit-iface-out -m addrtype --src-type LOCAL -j MASQUERADE']
      : []),
  ]
}

function failsafeChains({ failsafeIn, failsafeOut }: ClassicConfig): readonly ClassicChain[] {
  const rules = (ports: readonly number[]): ClassicChain['rules'] => fragments(ports.map((port) => `--protocol tcp --dport ${port} --jump ACCEPT`))
  return [
    { name: CHAIN.failsafeIn, rules: rules(failsafeIn) },
    { name: CHAIN.failsafeOut, rules: rules(failsafeOut) },
  ]
}

/** A workload's packet has been through both of its chains; one of the host alone goes through the host endpoints'. */
function forwardRules(config: ClassicConfig): readonly string[] {
  const { marks, prefixes } = config
  return [
    `--jump ACCEPT --match mark --mark ${bit(marks.accept)} --match conntrack --ctstate UNTRACKED`,
    ...dropRules(config, INVALID),
    ESTABLISHED,
    ...prefixes.flatMap((prefix) => [
      `--jump ${WORKLOAD_DISPATCH.from} --in-interface ${prefix}+`,
      `--jump ${WORKLOAD_DISPATCH.to} --out-interface ${prefix}+`,
    ]),
    ...prefixes.flatMap((prefix) => [`--jump ACCEPT --in-interface ${prefix}+`, `--jump ACCEPT --out-interface ${prefix}+`]),
    `--jump ${HOST_DISPATCH.from}`,
    `--jump ${HOST_DISPATCH.to}`,
  ]
}

/** What does not come from a workload leaves by --goto; the rest of the chain is for workloads alone. */
function inputRules(config: ClassicConfig): readonly string[] {
  const { marks, ipip, metadata, endpointToHost } = config
  return [
    `--jump ACCEPT --match mark --mark ${bit(marks.accept)}`,
    ...(ipip ? dropRules(config, `--protocol 4 --match set ! --match-set ${SET.hosts} src`) : []),
    ...dropRules(config, INVALID),
    ESTABLISHED,
    ...hostTrafficRules(config, '--in-interface', HOST_DISPATCH.from),
    ...(metadata === undefined ? [] : [`--protocol tcp --destination ${metadata.address} --dport ${metadata.port} --jump ACCEPT`]),
    '--protocol udp --sport 68 --dport 67 --jump ACCEPT',
    '--protocol udp --dport 53 --jump ACCEPT',
    ...(endpointToHost === 'DROP' ? [] : [`--jump ${WORKLOAD_DISPATCH.from}`]),
    ...(endpointToHost === 'DROP' ? dropRules(config, '', 'Drop all packets from endpoints to the host') : []),
    ...(endpointToHost === 'ACCEPT' ? ['--jump ACCEPT'] : []),
  ]
}

function outputRules(config: ClassicConfig): readonly string[] {
  return [
    `--jump ACCEPT --match mark --mark ${bit(config.marks.accept)}`,
    ...dropRules(config, INVALID),
    ESTABLISHED,
    ...hostTrafficRules(config, '--out-interface', HOST_DISPATCH.to),
  ]
}

/** Marks what has to do with a workload, and sends everything else to the host endpoints' chains, not to come back. */
function hostTrafficRules({ marks, prefixes }: ClassicConfig, option: string, target: string): readonly string[] {
  return [
    `--jump MARK --set-mark 0/${hex(marks.endpoints)}`,
    ...prefixes.map((prefix) => `${option} ${prefix}+ --jump MARK --set-mark ${bit(marks.endpoints)}`),
    `--goto ${target} --match mark --mark 0/${hex(marks.endpoints)}`,
  ]
}
