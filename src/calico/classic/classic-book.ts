/** What the names of Felix 1.4.9 stand for: its chains of profiles and policies, its sets of tags and selectors. */
import type { Ip } from '../../base/ip.js'
import type { ClassicMatch, ClassicModel, ClassicRules } from '../../cluster/calico/classic-model.js'
import type { Labels } from '../../cluster/labels.js'
import { isSelectorFault, parseSelector, type Selector } from '../../cluster/selector.js'
import { mismatchWords, selectorWords, wantedLabels } from '../felix/selector-words.js'
import type { PolicyBook, PolicyChain, ProfileChain } from '../policy-book.js'
import { rulesChain, selectorSet, SET, tagSet } from './names.js'

interface Known {
  readonly labels: Labels
  readonly tags: readonly string[]
}

const DIRECTIONS = { ingress: 'inbound', egress: 'outbound' } as const
const STATIC_SETS: Readonly<Record<string, string>> = {
  [SET.hosts]: "the nodes' addresses",
  [SET.allPools]: 'the IP pools',
  [SET.masqueradePools]: 'the pools that masquerade',
}

export class ClassicBook implements PolicyBook {
  readonly policies = new Map<string, PolicyChain>()
  readonly profiles = new Map<string, ProfileChain>()
  private readonly sets = new Map<string, Selector | string>()
  private readonly endpoints = new Map<Ip, Known>()

  constructor({ policies, profiles, workloadEndpoints, hostEndpoints }: ClassicModel) {
    for (const direction of ['ingress', 'egress'] as const) {
      for (const { tier, name, selector, rules, file, line } of policies) {
        const applied = parseSelector(selector)
        this.policies.set(rulesChain(`${tier}/${name}`, DIRECTIONS[direction]), {
          label: `policy ${name}`,
          tier,
          direction,
          selector: isSelectorFault(applied) ? selector : selectorWords(applied),
          rules: rules[DIRECTIONS[direction]].length,
          provenance: { by: 'felix', object: `policy/${tier}/${name}`, ...(file === '' ? {} : { file, line }) },
        })
      }
      for (const { name } of profiles) this.profiles.set(rulesChain(name, DIRECTIONS[direction]), { name, direction })
    }
    for (const { rules } of [...policies, ...profiles]) if (rules !== undefined) this.readSets(rules)
    const byName = new Map(profiles.map((profile) => [profile.name, profile]))
    const known = ({ labels, profiles: names }: { readonly labels: Labels; readonly profiles: readonly string[] }): Known => {
      const own = names.flatMap((name) => byName.get(name) ?? [])
      return { labels: Object.assign({}, ...own.map((profile) => profile.labels), labels) as Labels, tags: own.flatMap(({ tags }) => tags) }
    }
    for (const endpoint of workloadEndpoints) for (const { base } of endpoint.ipNetworks) this.endpoints.set(base, known(endpoint))
    for (const endpoint of hostEndpoints) for (const address of endpoint.expectedIPs) this.endpoints.set(address, known(endpoint))
  }

  private readSets({ inbound, outbound }: ClassicRules): void {
    const sides = ({ source, destination }: ClassicMatch) => [source, destination]
    for (const { tag, selector } of [...inbound, ...outbound].flatMap(({ match, not }) => [...sides(match), ...sides(not)])) {
      if (tag !== undefined) this.sets.set(tagSet(tag), tag)
      const parsed = selector === undefined ? undefined : parseSelector(selector)
      if (parsed !== undefined && !isSelectorFault(parsed)) this.sets.set(selectorSet(parsed), parsed)
    }
  }

  setWords(name: string): string | undefined {
    const set = this.sets.get(name)
    if (set === undefined) return STATIC_SETS[name]
    return typeof set === 'string' ? `tag ${set}` : `selector ${selectorWords(set)}`
  }

  mismatch(name: string, address: Ip): readonly string[] {
    const set = this.sets.get(name)
    const known = this.endpoints.get(address)
    if (set === undefined) return []
    if (known === undefined) return ['is the address of no endpoint']
    if (typeof set !== 'string') return mismatchWords(set, known.labels)
    return [known.tags.length === 0 ? 'has no tag' : `has the tag${known.tags.length === 1 ? '' : 's'} ${known.tags.join(', ')}`]
  }

  wanted(name: string, address: Ip): readonly string[] | undefined {
    const set = this.sets.get(name)
    const known = this.endpoints.get(address)
    return set === undefined || typeof set === 'string' || known === undefined ? undefined : wantedLabels(set, known.labels)
  }
}
