/**
 * SCENARIO, `-f` and the files that a Scenario names → the scenario and the cluster it happens to, or everything that is wrong on standard error.
 * The scenario's own file may hold the cluster too; what its spec.input and its events name stands beside it.
 */
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { hasErrors, type Problem } from '../base/problem.js'
import { buildCluster, clusterOf, type Cluster } from '../cluster/cluster.js'
import { readManifests, type Input, type KubernetesObject } from '../cluster/manifest.js'
import type { Command } from '../cluster/network-document.js'
import { formatPlace, ProblemList } from '../cluster/problem-list.js'
import { checkScenario } from '../cluster/scenario/check-scenario.js'
import type { AppliedFiles } from '../cluster/scenario/read-event.js'
import { isScenario, readScenarioParts, scenarioFiles, type NamedFile } from '../cluster/scenario/read-scenario.js'
import type { Scenario } from '../cluster/scenario/scenario.js'
import { agentProblems, compositionOf, Network, type BuildOptions, type CalicoAgents } from '../network/network.js'
import { checkEtcdFlags } from './etcd-flags.js'
import { readInputs } from './input.js'
import type { Io } from './io.js'
import { calicoOf, report, type InputOptions } from './load-network.js'

export interface LoadedScenario {
  readonly scenario: Scenario
  /** The document. */
  readonly object: KubernetesObject
  /** Version 0 of the objects: the input as it stands, with all of it in `cluster.objects`. */
  readonly cluster: Cluster
  /** --seed where it was given, else the scenario's. */
  readonly seed: number
  readonly calico?: CalicoAgents
  /** The files, as the user named them, and the etcd that was asked. */
  readonly inputs: readonly string[]
  /** Warnings, told already. */
  readonly problems: readonly Problem[]
}

export interface ScenarioOptions extends InputOptions {
  /** Of names that say none. */
  readonly namespace: string
  /** --seed was given: it wins over the scenario's. */
  readonly seedGiven: boolean
}

/**
 * @param file SCENARIO; undefined: the one Scenario among the files of -f is taken
 * @returns undefined when anything is wrong, all of which was said: exit status 3
 */
export async function loadScenario(file: string | undefined, options: ScenarioOptions, io: Io): Promise<LoadedScenario | undefined> {
  const loader = new Loader(options, io)
  const loaded = await loader.load(file)
  await report(loader.problems, io)
  return hasErrors(loader.problems) ? undefined : loaded
}

class Loader {
  problems: readonly Problem[] = []
  private readonly options: ScenarioOptions
  private readonly io: Io

  constructor(options: ScenarioOptions, io: Io) {
    this.options = options
    this.io = io
  }

  async load(file: string | undefined): Promise<LoadedScenario | undefined> {
    const { filename, recursive, etcd: urls = [], etcdPrefix, namespace, seedGiven } = this.options
    checkEtcdFlags(this.options)
    const own = await this.read(file === undefined ? filename : [file], recursive)
    const ofOwn = new ProblemList()
    const manifests = readManifests(own, ofOwn)
    const { objects } = manifests
    const object = this.findScenario(objects, file)
    const wrong = new ProblemList()
    const parts = object === undefined ? undefined : readScenarioParts(object, await this.readApplied(object), wrong)
    const inputs = this.once([...own, ...(await this.readBeside(object, { isAlone: objects.length <= 1, file }))])
    if (inputs.length === 0) return undefined
    const etcd = urls.length === 0 ? undefined : await (await import('./etcd-input.js')).readEtcdInput(this.options, this.io)
    const given = { ...(etcd === undefined ? {} : { etcd: { name: etcd.endpoint, trees: etcd.trees } }), ...(etcdPrefix === undefined ? {} : { etcdPrefix }) }
    const files = inputs.map((input) => input.file)
    const { cluster, problems } =
      inputs.length === own.length ? clusterOf(objects, { ...manifests, given, files }, { problems: ofOwn }) : buildCluster(inputs, given)
    if (parts !== undefined) checkScenario(parts.scenario, cluster, wrong, { namespace, complete: parts.complete && this.isWhole() })
    const seed = seedGiven ? this.options.seed : (parts?.scenario.seed ?? this.options.seed)
    const calico = await calicoOf(cluster)
    this.tell(etcd?.problems ?? [], problems)
    this.tell(networkProblems(withFirewalls(cluster, parts?.scenario), { seed, ...calico }, hasErrors(this.problems)), wrong.problems)
    this.sort(files)
    if (object === undefined || parts === undefined) return undefined
    return {
      scenario: parts.scenario,
      object,
      cluster,
      seed,
      ...calico,
      inputs: [...files, ...(etcd === undefined ? [] : [etcd.endpoint])],
      problems: this.problems,
    }
  }

  /** Every file that was named could be read. */
  private isWhole(): boolean {
    return !hasErrors(this.problems)
  }

  /** File by file as they were read, then by line. */
  private sort(files: readonly string[]): void {
    const order = new Map(files.map((file, index) => [file, index]))
    this.problems = [...this.problems].sort((a, b) => (order.get(a.file) ?? -1) - (order.get(b.file) ?? -1) || a.line - b.line)
  }

  private tell(...lists: readonly (readonly Problem[])[]): void {
    this.problems = [...this.problems, ...lists.flat()]
  }

  private wrong(file: string, line: number, what: string, fix: string): void {
    this.tell([{ severity: 'error', file, line, object: '', what, fix }])
  }

  private async read(names: readonly string[], recursive: boolean): Promise<readonly Input[]> {
    const { inputs, problems } = await readInputs(names, recursive, this.io)
    this.tell(problems)
    return inputs
  }

  private findScenario(objects: readonly KubernetesObject[], file: string | undefined): KubernetesObject | undefined {
    const [first, ...more] = objects.filter(isScenario)
    const where = file ?? (this.options.filename.length === 0 ? 'the input' : this.options.filename.join(', '))
    if (first === undefined && !hasErrors(this.problems))
      this.wrong(where, 0, 'there is no Scenario here', 'It starts like this: apiVersion: netsim/v1, kind: Scenario (docs/scenarios.md).')
    for (const other of more) {
      const fix = file === undefined ? 'Name the file of the one that is meant.' : 'Give each a file of its own.'
      this.wrong(other.file, other.line, `a second Scenario; the first stands in ${formatPlace(first)}`, fix)
    }
    return first
  }

  /** What spec.input names; -f; with neither, and nothing beside the Scenario in its file, what every command reads then. */
  private async readBeside(object: KubernetesObject | undefined, { isAlone, file }: { isAlone: boolean; file: string | undefined }): Promise<readonly Input[]> {
    const { filename, recursive } = this.options
    const named = object === undefined ? [] : scenarioFiles(object).input
    const inputs: Input[] = []
    for (const one of named) inputs.push(...(await this.readNamed(one, object)))
    const flagged = file === undefined || filename.length === 0 ? [] : await this.read(filename, recursive)
    // nothing but the Scenario, wherever it was named: what netsim takes when it is given nothing
    const nothing = object !== undefined && isAlone && named.length === 0 && (file === undefined || filename.length === 0)
    return [...inputs, ...flagged, ...(nothing ? await this.read([], false) : [])]
  }

  private async readApplied(object: KubernetesObject): Promise<AppliedFiles> {
    const files = new Map<string, readonly KubernetesObject[]>()
    for (const file of scenarioFiles(object).applied) {
      const before = this.problems.length
      const inputs = await this.readNamed(file, object)
      const list = new ProblemList()
      const { objects } = readManifests(inputs, list)
      this.tell(list.problems)
      if (inputs.length > 0 && objects.length === 0 && !hasErrors(this.problems.slice(before)))
        this.wrong(file.file, file.line, `${file.name} holds no object`, 'Give it the manifest of what is to be there.')
      if (!hasErrors(this.problems.slice(before))) files.set(file.name, objects)
    }
    return files
  }

  /** A file or folder beside the document; what is wrong with it stands where it is named. */
  private async readNamed({ name, file, line }: NamedFile, object: KubernetesObject | undefined): Promise<readonly Input[]> {
    if (name === '-') {
      this.wrong(file, line, '- stands for standard input, which a document cannot name', 'Give it on the command line: -f -.')
      return []
    }
    const folder = object === undefined || object.file === '-' ? '.' : dirname(object.file)
    const path = isAbsolute(name) || /^[a-z]+:\/\//.test(name) ? name : join(folder, name)
    const { inputs, problems } = await readInputs([path], this.options.recursive, this.io)
    this.tell(problems.map((problem) => (problem.line > 0 ? problem : { ...problem, file, line, what: `${problem.file}: ${problem.what}` })))
    return inputs
  }

  /** A file that is named twice, in the document and with -f, is read once. */
  private once(inputs: readonly Input[]): readonly Input[] {
    const byPath = new Map<string, Input>()
    for (const input of inputs) {
      const path = input.file === '-' ? '-' : resolve(this.io.cwd, input.file)
      if (!byPath.has(path)) byPath.set(path, input)
    }
    return [...byPath.values()]
  }
}

/** Of the network at its start; BGP aside, whose daemons the run itself brings to rest. @param isWrong the input has errors, and none can be built */
function networkProblems(cluster: Cluster, options: BuildOptions, isWrong: boolean): readonly Problem[] {
  return isWrong ? agentProblems(cluster, options) : new Network(compositionOf(cluster, options), undefined).problems
}

/** With all that events will add to its routers' rules: a command that iptables would refuse is told before anything runs. */
function withFirewalls(cluster: Cluster, scenario: Scenario | undefined): Cluster {
  const commands = (name: string): readonly Command[] =>
    (scenario?.events ?? []).flatMap(({ action }) => (action.kind === 'firewall' && action.router === name ? action.iptables : []))
  return { ...cluster, routers: cluster.routers.map((router) => ({ ...router, iptables: [...router.iptables, ...commands(router.name)] })) }
}
