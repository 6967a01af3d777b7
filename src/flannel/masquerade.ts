/**
 * flanneld's iptables rules, by version: masquerading (`--ip-masq`) in nat, forwarding (`--iptables-forward-rules`) in filter.
 * From a view to edits of chains. NET is the Network, SUB the own lease.
 *
 *   0.1   nat FLANNEL, jump appended      0.5.6  rules in POSTROUTING itself     0.20  FLANNEL-POSTRTG, FLANNEL-FWD, jumps inserted
 *   0.9.1 filter FORWARD                  0.11   --random-fully                  0.21.3 jumps appended
 * Source: flannel pkg/trafficmngr/iptables/iptables.go and its ancestors.
 */
import { cidr, type Cidr } from '../base/cidr.js'
import { ip } from '../base/ip.js'
import type { Problem } from '../base/problem.js'
import type { ChainEdit, Match, Rule, Target } from '../dataplane/iptables.js'
import type { FlannelView } from './backend.js'
import { FLANNELD } from './backend.js'
import { leaseObject } from './lease.js'
import { atLeast } from './version.js'

const MULTICAST = cidr(ip('224.0.0.0'), 4)
/** kube-proxy's mark "to be masqueraded". */
const KUBE_MARK: Match = { kind: 'mark', value: 0x4000, mask: 0x4000 }
const ACCEPT: Target = { kind: 'ACCEPT' }
const RETURN: Target = { kind: 'RETURN' }

type MasqueradeView = Pick<FlannelView, 'version' | 'config' | 'ownLease' | 'ipMasq' | 'forwardRules' | 'randomFully'>

/** Edits in the order in which flanneld makes them. */
export function renderMasquerade(view: MasqueradeView): { readonly chainEdits: readonly ChainEdit[]; readonly problems: readonly Problem[] } {
  if (view.config.enableNFTables) {
    const what =
      'EnableNFTables: flannel keeps its rules in nftables tables of its own then, which are not modelled; its masquerading and forward rules are missing here'
    return {
      chainEdits: [],
      problems: [{ severity: 'warning', file: 'network config', line: 0, object: 'EnableNFTables', what, fix: 'set it to false to have the iptables rules' }],
    }
  }
  const forward = (view.forwardRules ?? true) || !atLeast(view.version, '0.11.0')
  const broken = view.ipMasq ? brokenRestore(view) : undefined
  const masquerade = view.ipMasq && broken === undefined ? masqueradeEdits(view) : []
  return { chainEdits: [...masquerade, ...(forward ? forwardEdits(view) : [])], problems: broken === undefined ? [] : [broken] }
}

function brokenRestore(view: MasqueradeView): Problem | undefined {
  if (view.randomFully !== false || !atLeast(view.version, '0.21.0') || atLeast(view.version, '0.21.4')) return undefined
  const what = `flannel ${view.version} with an iptables that lacks --random-fully writes an empty argument, and none of its masquerade rules is accepted`
  return { severity: 'warning', file: 'flag --ip-masq', line: 0, object: 'flannel', what, fix: 'use 0.21.4 or newer, or iptables 1.6.2 or newer' }
}

function masqueradeEdits(view: MasqueradeView): ChainEdit[] {
  const { version } = view
  const since = (minimum: string): boolean => atLeast(version, minimum)
  if (since('0.20.0')) return ownChain('nat', 'POSTROUTING', 'FLANNEL-POSTRTG', since('0.21.0') ? splitRules(view) : chainRules(view), view)
  if (since('0.5.6')) return [{ table: 'nat', chain: 'POSTROUTING', action: 'append', rules: chainRules(view) }]
  return earlyEdits(view)
}

/** Up to 0.5.5: one chain for what comes from the Network. */
function earlyEdits(view: MasqueradeView): ChainEdit[] {
  const net = view.config.network
  const since = (minimum: string): boolean => atLeast(view.version, minimum)
  const chain = since('0.3.0')
    ? [rule(view, [to(net)], ACCEPT), rule(view, [notTo(MULTICAST)], masquerade(view))]
    : [
        rule(view, [to(net)], ACCEPT),
        rule(view, [to(MULTICAST)], ACCEPT),
        rule(view, [{ kind: 'out-interface', name: 'flannel0', invert: true }], masquerade(view)),
      ]
  const jumps = [rule(view, [from(net)], { kind: 'jump', chain: 'FLANNEL' })]
  if (since('0.5.4')) jumps.push(rule(view, [notFrom(net), to(net)], masquerade(view)))
  return [
    { table: 'nat', chain: 'FLANNEL', action: 'create', rules: chain },
    { table: 'nat', chain: 'POSTROUTING', action: 'append', rules: jumps },
  ]
}

/** 0.5.6 to 0.20.x. */
function chainRules(view: MasqueradeView): Rule[] {
  const net = view.config.network
  const sub = view.ownLease.subnet
  return [
    ...(atLeast(view.version, '0.20.2') ? [rule(view, [KUBE_MARK], RETURN)] : []),
    rule(view, [from(net), to(net)], RETURN),
    rule(view, [from(net), notTo(MULTICAST)], masquerade(view)),
    ...(atLeast(view.version, '0.8.0-rc2') ? [rule(view, [notFrom(net), to(sub)], RETURN)] : []),
    rule(view, [notFrom(net), to(net)], masquerade(view)),
  ]
}

/** Since 0.21.0. */
function splitRules(view: MasqueradeView): Rule[] {
  const net = view.config.network
  const sub = view.ownLease.subnet
  return [
    rule(view, [KUBE_MARK], RETURN),
    rule(view, [from(sub), to(net)], RETURN),
    rule(view, [from(net), to(sub)], RETURN),
    rule(view, [notFrom(net), to(sub)], RETURN),
    rule(view, [from(net), notTo(MULTICAST)], masquerade(view)),
    rule(view, [notFrom(net), to(net)], masquerade(view)),
  ]
}

function forwardEdits(view: MasqueradeView): ChainEdit[] {
  if (!atLeast(view.version, '0.9.1')) return []
  const net = view.config.network
  const rules = [forwardRule(view, [from(net)], ACCEPT), forwardRule(view, [to(net)], ACCEPT)]
  if (atLeast(view.version, '0.20.0')) return ownChain('filter', 'FORWARD', 'FLANNEL-FWD', rules, view)
  return [{ table: 'filter', chain: 'FORWARD', action: 'append', rules }]
}

function ownChain(table: 'nat' | 'filter', hook: string, chain: string, rules: readonly Rule[], view: MasqueradeView): ChainEdit[] {
  const make = table === 'nat' ? rule : forwardRule
  const jump = make(view, [], { kind: 'jump', chain })
  return [
    { table, chain, action: 'create', rules },
    { table, chain: hook, action: atLeast(view.version, '0.21.3') ? 'append' : 'insert', rules: [jump] },
  ]
}

function rule(view: MasqueradeView, matches: readonly Match[], target: Target): Rule {
  return commented(view, matches, target, 'flanneld masq')
}

function forwardRule(view: MasqueradeView, matches: readonly Match[], target: Target): Rule {
  return commented(view, matches, target, 'flanneld forward')
}

function commented(view: MasqueradeView, matches: readonly Match[], target: Target, text: string): Rule {
  const comment: readonly Match[] = atLeast(view.version, '0.16.2') ? [{ kind: 'comment', text }] : []
  return { matches: [...matches, ...comment], target, provenance: { by: FLANNELD, object: `${text}, ${leaseObject(view.ownLease.subnet)}` } }
}

function masquerade(view: MasqueradeView): Target {
  return { kind: 'MASQUERADE', random: false, randomFully: (view.randomFully ?? true) && atLeast(view.version, '0.11.0') }
}

function from(net: Cidr): Match {
  return { kind: 'source', net }
}

function notFrom(net: Cidr): Match {
  return { kind: 'source', net, invert: true }
}

function to(net: Cidr): Match {
  return { kind: 'destination', net }
}

function notTo(net: Cidr): Match {
  return { kind: 'destination', net, invert: true }
}
