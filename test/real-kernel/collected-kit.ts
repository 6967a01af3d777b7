/** Networks made for real, gathered by the script of `netsim collect` inside their namespaces, and read back: what the tests of real nodes share. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hasErrors, formatProblem } from '../../src/base/problem.js'
import { collectScript } from '../../src/collected/collect-script.js'
import type { CollectedFile, CollectedNode } from '../../src/collected/collected-node.js'
import { readCollected } from '../../src/collected/read-collected.js'
import { judge } from '../../src/kernel/judge.js'
import { KernelLab, labNetworkOf } from '../../src/kernel/lab.js'
import { checkKernel } from '../../src/kernel/lab-check.js'
import { addressesIn } from '../../src/kernel/lab-warm.js'
import { labProbeOf } from '../../src/kernel/lab-question.js'
import { isPrediction, predict, type Prediction } from '../../src/kernel/prediction.js'
import { buildNetwork } from '../../src/network/build-network.js'
import type { Network } from '../../src/network/network.js'
import { DEFAULT_REQUEST, type TraceRequest } from '../../src/network/request.js'
import { networkOf } from '../kit/network.js'

export const PREFIX = `netsim-collected-${process.pid}-`
export const exampleText = (name: string): string => readFileSync(new URL(`../../examples/${name}.yaml`, import.meta.url), 'utf8')

/** Root alone enters namespaces with the node's own tools. */
export async function isReady(): Promise<boolean> {
  const machine = await checkKernel(labNetworkOf(networkOf(exampleText('flannel-firewall'))), PREFIX).catch((error: unknown) => String(error))
  const why = typeof machine === 'string' ? machine : machine.missing.map(({ what }) => what).join(', ')
  const ready = why === '' && typeof machine !== 'string' && machine.privilege === 'root'
  if (!ready) console.warn(`real nodes are not tried here: ${why === '' ? 'root is needed' : why}`)
  return ready
}

export interface Gathered {
  readonly lab: KernelLab
  /** As the agents make it: what the lab was built from. */
  readonly rendered: Network
}

export async function withLab<Result>(rendered: Network, use: (gathered: Gathered) => Promise<Result>): Promise<Result> {
  const lab = await KernelLab.start(labNetworkOf(rendered), { prefix: PREFIX })
  try {
    return await use({ lab, rendered })
  } finally {
    await lab.close()
  }
}

const SCRIPT = collectScript({ conntrack: false, pods: true })

/** Runs the script in a node's namespace, and reads what it wrote. */
export function collect({ lab, rendered }: Gathered, node: string): CollectedNode {
  const folder = mkdtempSync(join(tmpdir(), 'netsim-collected-'))
  try {
    const out = join(folder, node)
    writeFileSync(join(folder, 'crictl'), runtimeOf(lab, rendered, node), { mode: 0o755 })
    const path = `PATH=${folder}:${process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin'}`
    const [command, ...words] = [...lab.enter(node), 'env', path, 'sh', '-s', '--', '-o', out, '--name', node]
    const { status, stderr } = spawnSync(command, words, { input: SCRIPT, encoding: 'utf8', timeout: 60_000 })
    if (status !== 0) throw new Error(`the script ended with ${status} in ${node}: ${stderr}`)
    const { node: read, problems } = readCollected(out, filesIn(out))
    if (read === undefined || hasErrors(problems)) throw new Error(problems.map(formatProblem).join('\n'))
    return withPortsOf(rendered, read)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** What crictl would say of the pods' sandboxes: a container runtime is the one thing that a lab has none of. */
function runtimeOf(lab: KernelLab, rendered: Network, node: string): string {
  const pods = rendered.cluster.pods.filter((pod) => pod.node === node && !pod.hostNetwork && lab.nameOf(`${pod.namespace}/${pod.name}`) !== '')
  const cases = pods.map(({ namespace, name }, i) => {
    const labels = { 'io.kubernetes.pod.namespace': namespace, 'io.kubernetes.pod.name': name }
    const namespaces = [{ type: 'network', path: `/var/run/netns/${lab.nameOf(`${namespace}/${name}`)}` }]
    return `"inspectp sandbox-${i}") cat <<'END'\n${JSON.stringify({ labels, namespaces }, null, 2)}\nEND\n;;\n`
  })
  return `#!/bin/sh\ncase "$1 $2" in\n"pods -q") printf '%s\\n' ${pods.map((_, i) => `sandbox-${i}`).join(' ')} ;;\n${cases.join('')}esac\n`
}

/** The lab opens a pod's ports while a probe is under way to them, so that a dump finds none: the processes are taken to be those that the pods have. */
function withPortsOf(rendered: Network, node: CollectedNode): CollectedNode {
  const pods = node.pods.map((pod) => {
    const sockets = rendered.dataplane(pod.name)?.sockets
    return pod.dataplane === undefined || sockets === undefined ? pod : { ...pod, dataplane: { ...pod.dataplane, sockets } }
  })
  return { ...node, pods }
}

function filesIn(folder: string): readonly CollectedFile[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((file) => ({ file, path: file.slice(folder.length + 1), text: readFileSync(file, 'utf8') }))
}

/** The same cluster with those nodes as they were found. */
export function foundNetwork(rendered: Network, collected: readonly CollectedNode[]): Network {
  const { network, problems } = buildNetwork(rendered.cluster, { seed: 1, collected })
  if (hasErrors(problems)) throw new Error(problems.map(formatProblem).join('\n'))
  return network
}

export type Ask = Partial<TraceRequest>

export function predicted(network: Network, source: string, destination: string, ask: Ask = {}): Prediction {
  const prediction = predict(network, { ...DEFAULT_REQUEST, source, destination, ...ask })
  if (!isPrediction(prediction)) throw new Error(prediction.map(formatProblem).join('\n'))
  return prediction
}

/** Where each frame was seen, and how long it was. */
export function framesOf({ frames }: Prediction): readonly string[] {
  return frames.map(({ netns, device, direction, bytes }) => `${netns} ${device} ${direction} ${bytes.length}`)
}

/**
 * Sends the packet of a prediction in the lab. @returns what is not as predicted, in words; empty when all is
 * @param fresh nothing has been sent in the lab yet, and nothing is to be set before the packet: a lab loads rules that remember packets anew each time
 */
export async function differences(lab: KernelLab, network: Network, prediction: Prediction, { fresh = false } = {}): Promise<readonly string[]> {
  const probe = labProbeOf(network, prediction, { trace: false })
  if (probe === undefined) return ['cannot be sent']
  if (prediction.request.cold) await (fresh ? undefined : lab.cold())
  else await lab.warm(addressesIn(prediction))
  const judged = judge('', prediction, await lab.send(probe))
  if (judged.verdict === 'equal') return []
  return [
    judged.why,
    judged.drops.equal === false ? judged.drops.why : '',
    ...judged.differences.map(({ netns, device, what }) => `${netns} ${device} ${what}`),
  ].filter((text) => text !== '')
}
