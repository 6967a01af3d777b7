/** The Scenario document → what happens when, in order, and what is asked meanwhile. Whether the cluster has what it names: check-scenario.ts. */
import type { InferOutput } from 'valibot'
import { isObject } from '../located.js'
import { describeValue, type KubernetesObject } from '../manifest.js'
import { formatPlace, type Place, type ProblemList } from '../problem-list.js'
import { check } from '../schema.js'
import type { Delays } from './delays.js'
import { readEvent, type AppliedFiles } from './read-event.js'
import type { Scenario, ScenarioProbe } from './scenario.js'
import { headSchema, present, probeSchema, type Present } from './scenario-schema.js'

const DEFAULT_PERIOD_NS = 1e9

/** A file that the document names, as written: beside the document's own. */
export interface NamedFile extends Place {
  readonly name: string
}

export interface ScenarioFiles {
  /** `spec.input`: what the cluster is read from. */
  readonly input: readonly NamedFile[]
  /** Of events; a file that is applied twice stands here once. */
  readonly applied: readonly NamedFile[]
}

export function isScenario({ apiVersion, kind }: KubernetesObject): boolean {
  return kind === 'Scenario' && apiVersion === 'netsim/v1'
}

/** What must be read before the scenario is. What is no text there is told by readScenario. */
export function scenarioFiles(object: KubernetesObject): ScenarioFiles {
  const { spec } = object.value
  if (!isObject(spec)) return { input: [], applied: [] }
  const named = (value: unknown, ...path: readonly (string | number)[]): NamedFile[] => {
    const values: readonly unknown[] = Array.isArray(value) ? value : [value]
    return values.flatMap((name, index) =>
      typeof name === 'string' && name.trim() !== '' ? [{ name, ...object.at(...path, ...(Array.isArray(value) ? [index] : [])) }] : [],
    )
  }
  const events: readonly unknown[] = Array.isArray(spec.events) ? spec.events : []
  const applied = events.flatMap((event, index) => (isObject(event) ? named(event.apply, 'spec', 'events', index, 'apply') : []))
  return { input: named(spec.input, 'spec', 'input'), applied: applied.filter(({ name }, index) => applied.findIndex((file) => file.name === name) === index) }
}

/** The scenario, or undefined when something in it is wrong (all of it reported). @param files what `scenarioFiles` names as applied */
export function readScenario(object: KubernetesObject, files: AppliedFiles, problems: ProblemList): Scenario | undefined {
  const before = errorsOf(problems)
  const { scenario } = readScenarioParts(object, files, problems)
  return errorsOf(problems) > before ? undefined : scenario
}

export interface ScenarioParts {
  /** As good as the document allows. */
  readonly scenario: Scenario
  /** False: an event that applies something could not be read, so that a name which is not known proves nothing. */
  readonly complete: boolean
}

/** The same of a document in which something is wrong: for checks that are to say all at once. */
export function readScenarioParts(object: KubernetesObject, files: AppliedFiles, problems: ProblemList): ScenarioParts {
  const value = check(headSchema(), object, problems, 'refuse')
  const spec = isObject(object.value.spec) ? object.value.spec : {}
  const entries = (list: unknown): readonly unknown[] => (Array.isArray(list) ? list : [])
  const read = entries(spec.events).map((_, index) => readEvent(object, ['spec', 'events', index], files, problems))
  const probes = entries(spec.probes).flatMap((_, index) => readProbe(object, index, problems) ?? [])
  checkProbeNames(probes, object, problems)
  const { start, until, seed, delays } = present(value?.spec ?? {})
  const events = read.flatMap((event, index) => (event === undefined ? [] : [{ event, index }]))
  const inOrder = events.sort((a, b) => a.event.atNs - b.event.atNs || a.index - b.index).map(({ event }) => event)
  const scenario: Scenario = {
    name: object.name,
    start: start ?? 'converged',
    ...(until === undefined ? {} : { untilNs: until }),
    ...(seed === undefined ? {} : { seed }),
    delays: delaysOf(delays ?? {}),
    events: inOrder,
    probes,
    file: object.file,
    line: object.line,
  }
  checkEnd(scenario, object, problems)
  return { scenario, complete: read.every((event, index) => event !== undefined || !appliesSomething(entries(spec.events)[index])) }
}

function appliesSomething(event: unknown): boolean {
  return isObject(event) && 'apply' in event
}

/** By names that the schema has. */
function delaysOf(written: Readonly<Record<string, unknown>>): Partial<Delays> {
  return Object.fromEntries(Object.entries(written).filter(([, ns]) => typeof ns === 'number'))
}

function errorsOf({ problems }: ProblemList): number {
  return problems.filter(({ severity }) => severity === 'error').length
}

/** What begins after the end does not happen. */
function checkEnd({ untilNs, events, probes }: Scenario, object: KubernetesObject, problems: ProblemList): void {
  if (untilNs === undefined) return
  const late = (place: Place, what: string): void =>
    problems.warning(place, object.label, `${what}: after the end (spec.until)`, 'It does not happen: write a later spec.until, or an earlier time.')
  for (const event of events) if (event.atNs > untilNs) late(event, event.what)
  for (const probe of probes) if (probe.startNs > untilNs) late(probe, `probe ${probe.name} starts`)
}

function readProbe(document: KubernetesObject, index: number, problems: ProblemList): ScenarioProbe | undefined {
  const path = ['spec', 'probes', index] as const
  const { value } = document.located(path)
  if (!isObject(value)) {
    const what = `spec.probes[${index}] is ${describeValue(value)}, not a probe`
    problems.error(document.at(...path), document.label, what, 'A probe has two ends: {from: shop/client, to: "svc/web:80"}.')
    return undefined
  }
  const entry = document.part(path, value)
  const probe = check(probeSchema(), entry, problems, 'refuse')
  return probe === undefined ? undefined : probeOf(present(probe), entry, problems)
}

/** A Service and a container have ports of their own. */
function choosesPort(end: string): boolean {
  return /^(svc|service)\//.test(end) || end.split('/').length > 2
}

function probeOf(value: Present<InferOutput<ReturnType<typeof probeSchema>>>, entry: KubernetesObject, problems: ProblemList): ScenarioProbe | undefined {
  const { name, from, to, proto, size, every, start, stop, connection } = value
  const startNs = start ?? 0
  const field = `spec.probes[${String(entry.within[2])}]`
  if (stop !== undefined && stop <= startNs) {
    problems.error(entry.at('stop'), entry.label, `${field} stops before it starts`, 'Write a later stop.')
    return undefined
  }
  if (proto === 'icmp' && /:[^:]*$/.test(to)) {
    problems.error(entry.at('to'), entry.label, `${field} has a port, and ICMP has none`, `Write to: ${to.replace(/:[^:]*$/, '')}, or another proto.`)
    return undefined
  }
  if ((proto === 'tcp' || proto === 'udp') && !to.includes(':') && !choosesPort(to)) {
    problems.error(entry.at('to'), entry.label, `${field} has no port, and ${proto.toUpperCase()} needs one`, `Write to: ${to}:80, or proto: icmp.`)
    return undefined
  }
  return {
    name: name ?? `${from} → ${to}`,
    from,
    to: withNamespace(to, namespaceOf(from)),
    ...(proto === undefined ? {} : { proto }),
    ...(size === undefined ? {} : { size }),
    everyNs: every ?? DEFAULT_PERIOD_NS,
    startNs,
    ...(stop === undefined ? {} : { stopNs: stop }),
    connection: connection ?? false,
    file: entry.file,
    line: entry.line,
  }
}

/** What its own resolver would look a short name up in first; undefined: the source says none. */
function namespaceOf(from: string): string | undefined {
  const [kind, ...rest] = from.split('/')
  if (['node', 'host', 'router'].includes(kind)) return undefined
  return kind === 'pod' ? (rest.length > 1 ? rest[0] : undefined) : rest.length > 0 ? kind : undefined
}

/** From a pod of shop `svc/web` means shop's. */
function withNamespace(to: string, namespace: string | undefined): string {
  const [kind, ...rest] = to.split('/')
  if (namespace === undefined || rest.length > 1) return to
  if (rest.length === 1) return ['svc', 'service', 'pod'].includes(kind) ? `${kind}/${namespace}/${rest[0]}` : to
  return /^[a-z0-9-]+(:[a-z0-9-]+)?$/.test(to) && !/^localhost\b/.test(to) ? `${namespace}/${to}` : to
}

function checkProbeNames(probes: readonly ScenarioProbe[], object: KubernetesObject, problems: ProblemList): void {
  const first = new Map<string, ScenarioProbe>()
  for (const probe of probes) {
    const other = first.get(probe.name)
    if (other === undefined) first.set(probe.name, probe)
    else problems.error(probe, object.label, `two probes are called ${probe.name}, the other in ${formatPlace(other)}`, 'Give each its own name.')
  }
}
