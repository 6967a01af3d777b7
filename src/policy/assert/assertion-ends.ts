/**
 * Whom an assertion means: an end by its name (ends.ts), or everybody of a pattern.
 *
 *   shop/web, deploy/web, node/n1, 10.0.0.0/8   as ends.ts names them
 *   shop/*, STAR/web-*, STAR/*                  pods by glob, of their own name or their workload's (STAR: an asterisk)
 *   shop/[app=web,tier!=db]                     pods by labels, in kubectl's words
 *   [env=prod]/[app=web]                        and their namespaces by labels
 */
import type { Problem } from '../../base/problem.js'
import { matchesRequirement, requirementFaults, SELECTOR_OPERATORS, type Labels, type Requirement } from '../../cluster/labels.js'
import { suggestName } from '../../cluster/nearest-name.js'
import { endsNamed } from '../ends.js'
import type { End, PolicyPod, PolicyWorld } from '../model.js'
import { namedRanges, partition } from '../outside.js'

/** What is wrong, for the caller to give a place. */
export type EndFault = Pick<Problem, 'what' | 'fix'>

/** Names one end, or a pattern's many. */
export type EndResolver = (world: PolicyWorld, text: string) => readonly End[] | EndFault

export function isEndFault(found: readonly End[] | EndFault): found is EndFault {
  return 'what' in found
}

/** `{ namespace: shop, labels: { app: web } }` as the text of a pattern. */
export function patternOf(namespace: string, labels: Labels): string {
  return `${namespace}/[${Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(',')}]`
}

/** @param namespace of names that name none */
export function endResolver(namespace: string): EndResolver {
  return (world, text) => {
    const pattern = readPattern(text)
    if (pattern === undefined) return wholeEnds(world, endsNamed(world, text, namespace))
    if ('what' in pattern) return pattern
    const found = world.pods.filter((pod) => pattern.namespace(pod.namespace, world) && pattern.pod(pod))
    if (found.length > 0) return found
    const names = [...new Set(world.pods.map((pod) => pod.namespace))]
    return { what: `${text} matches no pod, and would probe nothing`, fix: suggestName(text.split('/')[0], names) }
  }
}

/** A range outside is as many ends as the networks of policies cut it into. */
export function wholeEnds<Fault>(world: PolicyWorld, found: readonly End[] | Fault): readonly End[] | Fault {
  if (!Array.isArray(found)) return found
  return (found as readonly End[]).flatMap((end): readonly End[] =>
    end.kind === 'outside' && end.range.first !== end.range.last
      ? partition(end.range, namedRanges(world)).map((range) => ({ kind: 'outside', range }))
      : [end],
  )
}

interface Pattern {
  readonly namespace: (name: string, world: PolicyWorld) => boolean
  readonly pod: (pod: PolicyPod) => boolean
}

/** undefined: a plain name. */
function readPattern(text: string): Pattern | EndFault | undefined {
  const parts = /^(\[[^\]]*\]|[^/[\]]+)\/(\[[^\]]*\]|[^/[\]]+)$/.exec(text)
  if (parts === null || !/[[*]/.test(text)) return undefined
  const namespace = parts[1].startsWith('[') ? readRequirements(parts[1]) : undefined
  const pod = parts[2].startsWith('[') ? readRequirements(parts[2]) : undefined
  if (namespace !== undefined && 'what' in namespace) return namespace
  if (pod !== undefined && 'what' in pod) return pod
  const namespaceGlob = glob(parts[1])
  const podGlob = glob(parts[2])
  return {
    namespace: (name, world) => (namespace === undefined ? namespaceGlob(name) : matchesAll(namespace, world.namespaces.get(name)?.labels ?? {})),
    pod: (one) => (pod === undefined ? podGlob(one.name) || podGlob(one.workload.name) : matchesAll(pod, one.labels)),
  }
}

function glob(text: string): (name: string) => boolean {
  if (text === '*') return () => true
  if (!text.includes('*')) return (name) => name === text
  const pieces = text.split('*')
  const [first] = pieces
  const last = pieces[pieces.length - 1]
  const middle = pieces.slice(1, -1)
  return (name) => {
    if (name.length < first.length + last.length || !name.startsWith(first) || !name.endsWith(last)) return false
    const end = name.length - last.length
    let at = first.length
    for (const piece of middle) {
      const found = name.indexOf(piece, at)
      if (found < 0 || found + piece.length > end) return false
      at = found + piece.length
    }
    return true
  }
}

function matchesAll(requirements: readonly Requirement[], labels: Labels): boolean {
  return requirements.every((requirement) => matchesRequirement(requirement, labels))
}

/** `[app=web,tier!=db,env in (a, b),!old]` (kubectl -l). */
function readRequirements(text: string): readonly Requirement[] | EndFault {
  const inner = text.slice(1, -1).trim()
  const found: Requirement[] = []
  for (const term of inner === '' ? [] : splitTerms(inner)) {
    const requirement = readRequirement(term)
    if (requirement === undefined)
      return { what: `${JSON.stringify(term)} asks for no label`, fix: 'Write app=web, app!=web, app, !app, app in (a,b) or app notin (a,b).' }
    const [fault] = requirementFaults(requirement, SELECTOR_OPERATORS)
    if (fault !== undefined) return fault
    found.push(requirement)
  }
  return found
}

/** At commas outside parentheses. */
function splitTerms(text: string): readonly string[] {
  return text.split(/,(?![^(]*\))/).map((term) => term.trim())
}

function readRequirement(term: string): Requirement | undefined {
  const compared = /^([^\s=!]+)\s*(==|=|!=)\s*([^\s=!]*)$/.exec(term)
  if (compared !== null) return { key: compared[1], operator: compared[2] === '!=' ? 'NotIn' : 'In', values: [compared[3]] }
  const listed = /^([^\s=!]+)\s+(in|notin)\s*\(([^()]*)\)$/.exec(term)
  if (listed !== null) return { key: listed[1], operator: listed[2] === 'in' ? 'In' : 'NotIn', values: listed[3].split(',').map((value) => value.trim()) }
  const bare = /^(!?)\s*([^\s=!()]+)$/.exec(term)
  return bare === null ? undefined : { key: bare[2], operator: bare[1] === '!' ? 'DoesNotExist' : 'Exists' }
}
