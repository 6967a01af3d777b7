/**
 * Assertions held against a world: each is asked of every pair that it means, and of one that fails the explanation says which rule decided. A
 * file that denies alone proves nothing unless a control shows that its probes get through.
 */
import type { Problem } from '../../base/problem.js'
import { isEndFault, type EndResolver } from './assertion-ends.js'
import type { Assertion, AskedPort } from './assertions-file.js'
import { ConnectionSet, type Protocol } from '../connections.js'
import { evaluatePair } from '../evaluate.js'
import { explain, type Explanation } from '../explain/explain.js'
import type { End, PolicyWorld } from '../model.js'
import { outsideRanges } from '../outside.js'
import { endName } from '../peer-name.js'
import { Reachability } from '../reach/reachability.js'

/** A pair of which some connection goes the other way. */
export interface FailedProbe {
  readonly source: End
  readonly destination: End
  /** Of those asked, the ones that are not as expected; empty: there was none to ask (`port`). */
  readonly connections: ConnectionSet
  /** Of those asked, others are. */
  readonly inPart: boolean
  /** The named port that the destination has not. */
  readonly missingPort?: string
  /** Of one of these connections. */
  readonly explanation?: Explanation
}

export interface AssertionResult {
  readonly assertion: Assertion
  readonly passed: boolean
  /** Some of what was asked goes one way, some the other. */
  readonly mixed: boolean
  /** Pairs that were asked. */
  readonly probes: number
  readonly failedProbes: number
  /** The first of them, of each pair of workloads one. */
  readonly failures: readonly FailedProbe[]
}

export interface AssertionReport {
  readonly results: readonly AssertionResult[]
  /** Why the denials that hold prove nothing; absent: something is open that should be. */
  readonly provesNothing?: 'no-control' | 'control-closed'
}

export interface AssertionRun {
  readonly report: AssertionReport
  /** Ends that are not there, and patterns that match nobody. */
  readonly problems: readonly Problem[]
}

const FAILURES_KEPT = 10

export function runAssertions(world: PolicyWorld, assertions: readonly Assertion[], resolve: EndResolver): AssertionRun {
  const runner = new AssertionRunner(world, resolve)
  const results = assertions.flatMap((assertion) => runner.run(assertion) ?? [])
  return { report: { results, ...proofOf(results) }, problems: runner.problems }
}

function proofOf(results: readonly AssertionResult[]): Pick<AssertionReport, 'provesNothing'> {
  if (results.some(({ assertion, passed }) => assertion.control && !passed)) return { provesNothing: 'control-closed' }
  const denials = results.some(({ assertion }) => assertion.expect === 'deny')
  const isOpen = results.some(({ assertion }) => assertion.expect === 'allow')
  return denials && !isOpen ? { provesNothing: 'no-control' } : {}
}

class AssertionRunner {
  readonly problems: Problem[] = []
  private readonly world: PolicyWorld
  private readonly resolve: EndResolver
  private readonly ends = new Map<string, ReturnType<EndResolver>>()
  /** Made for the first pattern. */
  private map: Reachability | undefined
  private readonly classes = new Map<End, number | undefined>()

  constructor(world: PolicyWorld, resolve: EndResolver) {
    this.world = world
    this.resolve = resolve
  }

  /** undefined: it names what is not there. */
  run(assertion: Assertion): AssertionResult | undefined {
    const from = this.endsOf(assertion, assertion.from)
    const to = this.endsOf(assertion, assertion.to)
    if (from === undefined || to === undefined) return undefined
    const isSingle = from.length === 1 && to.length === 1
    let probes = 0
    let failedProbes = 0
    let inPart = false
    const failures: FailedProbe[] = []
    const kinds = new Set<string>()
    for (const source of from)
      for (const destination of to) {
        // that a pod reaches itself is no answer to "everybody"
        if (!isSingle && source === destination) continue
        probes++
        const failed = this.probe(assertion, source, destination, isSingle)
        if (failed === undefined) continue
        failedProbes++
        inPart ||= failed.inPart
        const kind = kindOf(failed)
        if (failures.length >= FAILURES_KEPT || kinds.has(kind)) continue
        kinds.add(kind)
        failures.push(this.explained(failed))
      }
    if (probes === 0) {
      this.wrong(assertion, `${assertion.from} -> ${assertion.to} means one pod and itself: nothing would be probed`, 'Name another end.')
      return undefined
    }
    const mixed = inPart || (failedProbes > 0 && failedProbes < probes)
    return { assertion, passed: failedProbes === 0, mixed, probes, failedProbes, failures }
  }

  private endsOf(assertion: Assertion, text: string): readonly End[] | undefined {
    let found = this.ends.get(text)
    if (found === undefined) this.ends.set(text, (found = this.resolve(this.world, text)))
    if (!isEndFault(found)) return found
    this.wrong(assertion, found.what, found.fix)
    return undefined
  }

  private wrong({ file, line, name }: Assertion, what: string, fix: string): void {
    this.problems.push({ severity: 'error', file, line, object: name ?? '', what, fix })
  }

  private probe({ ports, proto, expect }: Assertion, source: End, destination: End, isSingle: boolean): FailedProbe | undefined {
    const asked = askedOf(ports, proto, destination)
    if (asked.isEmpty) {
      const missing = ports.find((port) => port.kind === 'name')
      const named = missing?.kind === 'name' ? { missingPort: missing.name } : {}
      return expect === 'deny' ? undefined : { source, destination, connections: asked, inPart: false, ...named }
    }
    const allowed = isSingle ? evaluatePair(this.world, source, destination).allowed : this.allowed(source, destination)
    const connections = expect === 'allow' ? asked.minus(allowed) : asked.intersect(allowed)
    return connections.isEmpty ? undefined : { source, destination, connections, inPart: !connections.equals(asked) }
  }

  private allowed(source: End, destination: End): ConnectionSet {
    this.map ??= new Reachability(this.world, { outside: outsideRanges(this.world) })
    const [from, to] = [this.classOf(this.map, source), this.classOf(this.map, destination)]
    // who the one is to the other counts beyond their classes
    if (from === undefined || to === undefined || this.map.isSpecial(source, destination)) return evaluatePair(this.world, source, destination).allowed
    return this.map.connections(from, to)
  }

  private classOf(map: Reachability, end: End): number | undefined {
    if (!this.classes.has(end)) this.classes.set(end, map.classOf(end))
    return this.classes.get(end)
  }

  private explained(failed: FailedProbe): FailedProbe {
    const { source, destination, connections } = failed
    const connection = connections.witness()
    return connection === undefined ? failed : { ...failed, explanation: explain(this.world, { source, destination, connection }) }
  }
}

function kindOf({ source, destination, connections }: FailedProbe): string {
  return `${endName(source)} ${endName(destination)} ${connections.key}`
}

const ECHO_REQUESTS = { ICMP: 8 * 256, ICMPv6: 128 * 256 } as const

/** ICMP without a type is echo request; without ports every one of the protocol; without that too, everything that has ports. */
export function askedOf(ports: readonly AskedPort[], proto: Protocol | undefined, destination: End): ConnectionSet {
  if (ports.length === 0) {
    if (proto === undefined) return ConnectionSet.transport
    return proto === 'ICMP' || proto === 'ICMPv6' ? ConnectionSet.of(proto, ECHO_REQUESTS[proto]) : ConnectionSet.of(proto)
  }
  return ConnectionSet.union(
    ports.flatMap((port): readonly ConnectionSet[] => {
      if (port.kind === 'range') return [ConnectionSet.of(proto ?? 'TCP', port.first, port.last)]
      if (destination.kind !== 'pod') return []
      const named = destination.ports.filter(({ name, protocol }) => name === port.name && (proto === undefined || protocol === proto))
      return named.map(({ protocol, port: number }) => ConnectionSet.of(protocol, number))
    }),
  )
}
