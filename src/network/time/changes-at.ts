/**
 * What changed in the kernels of a run when a state came into force, or between two states: of the nodes whose agents had come further, and of routers. A pod's
 * own netns does not change while it is there, so that the nodes' lines tell all.
 */
import type { Network } from '../network.js'
import { dataplaneChanges, type KernelChange } from './dataplane-diff.js'
import { networkAt } from './network-at.js'
import type { ControlRun, NetworkState } from './network-state.js'
import type { PlanBook } from './plan-book.js'

/** @param index place of the state in run.states; nothing came before the first @param only names of netns; absent: all */
export function changesAt(run: Pick<ControlRun, 'states'> & { readonly book: PlanBook }, index: number, only?: readonly string[]): readonly KernelChange[] {
  return index <= 0 ? [] : changesBetween(run.book, run.states[index - 1], run.states[index], only)
}

/** Between two states of a run. */
export function changesBetween(book: PlanBook, before: NetworkState, after: NetworkState, only?: readonly string[]): readonly KernelChange[] {
  const names = touched(book, before, after).filter((name) => only?.includes(name) ?? true)
  if (names.length === 0) return []
  const [was, is] = [networkAt(book, before), networkAt(book, after)]
  return names.flatMap((name) => hostChanges(name, was, is))
}

function hostChanges(name: string, was: Network, is: Network): readonly KernelChange[] {
  const [offBefore, offNow] = [isOff(was, name), isOff(is, name)]
  if (offBefore && offNow) return []
  if (offNow) return [{ netns: name, kind: 'power', sign: '-', text: 'power, and with it all that was in the kernel' }]
  const changes = devicesInBrief(dataplaneChanges(was.dataplane(name), is.dataplane(name)))
  return offBefore ? [{ netns: name, kind: 'power', sign: '+', text: 'power: the kernel starts with nothing' }, ...changes] : changes
}

/** Of a device that was there and still is, only what is another: `- eth0 LOWER_UP state UP`, `+ eth0 NO-CARRIER state DOWN`. */
function devicesInBrief(changes: readonly KernelChange[]): readonly KernelChange[] {
  const nameOf = ({ text }: KernelChange): string => text.slice(0, text.indexOf(': '))
  const other = (change: KernelChange): KernelChange | undefined =>
    change.kind === 'device' ? changes.find((one) => one.kind === 'device' && one.sign !== change.sign && nameOf(one) === nameOf(change)) : undefined
  return changes.map((change) => {
    const pair = other(change)
    const own = pair === undefined ? undefined : withoutCommon(change.text, pair.text)
    return own === undefined ? change : { ...change, text: `${nameOf(change).replace(/@.*/, '')} ${own}` }
  })
}

/** undefined: there is nothing shorter to say. */
function withoutCommon(text: string, other: string): string | undefined {
  const [one, two] = [text, other].map((line) => {
    const [, flags = '', rest = ''] = /^[^:]+: <([^>]*)> ?(.*)$/.exec(line) ?? []
    return { flags: flags.split(','), words: rest.split(' ') }
  })
  if (one.words.length !== two.words.length) return undefined
  const flags = one.flags.filter((flag) => !two.flags.includes(flag))
  // words come as a name and its value
  const words = one.words.flatMap((word, at) => (word === two.words[at] ? [] : [`${at % 2 === 1 ? `${one.words[at - 1]} ` : ''}${word}`]))
  return flags.length + words.length === 0 ? undefined : [...flags, ...words].join(' ')
}

function isOff(network: Network, name: string): boolean {
  return network.absenceOf(name) !== undefined
}

/** Netns of which the states do not say the same. */
function touched(book: PlanBook, before: NetworkState, after: NetworkState): readonly string[] {
  const names: string[] = []
  for (const [name, node] of after.nodes) if (before.nodes.get(name) !== node) names.push(name)
  if (before.underlay === after.underlay) return names
  return [...names, ...book.cluster(after.version).routers.map((router) => `router/${router.name}`)]
}
