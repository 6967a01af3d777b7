/**
 * `netsim verify --with etcd`: a real etcd server on the first node of a network that stands in the kernel, filled and read over the underlay
 * that was built for it.
 *
 *   Network.etcdKeys ─▶ etcdctl in another node ─▶ etcd ─▶ etcdctl in every node ─▶ base/etcd-tree.ts ─▶ the same keys, the same Dataplanes?
 *                                                                                 └▶ no connection: does `netsim trace` say so too?
 *
 * The server's data and its log are in the helper process's own /run, which is memory and goes with it. flannel reads API v2 up to 0.17 and v3
 * since 0.18. Source: etcd's and etcdctl's command lines of 3.4 and 3.5 (server/etcdmain, etcdctl/ctlv2, etcdctl/ctlv3).
 */
import { scheduler } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { answerShape, readAnswer, type EtcdApi } from '../base/etcd-tree.js'
import { formatIp } from '../base/ip.js'
import { atLeast } from '../flannel/version.js'
import { composeNetwork, type BuildOptions, type Network } from '../network/network.js'
import type { NodePlan } from '../network/nodes.js'
import { DEFAULT_REQUEST, type TraceRequest } from '../network/request.js'
import { UNANSWERED, type EtcdDocument, type EtcdNodeDocument } from './control-report.js'
import type { KernelLab } from './lab.js'
import { isPrediction, predict, type Prediction } from './prediction.js'
import { whyNotHere } from './verify.js'

/** Debian's package of each. */
export const ETCD_TOOLS: Readonly<Record<string, string>> = { etcd: 'etcd-server', etcdctl: 'etcd-client' }

const PORT = 2379
const PEER = 'http://127.0.0.1:2380'
const DATA = '/run/netsim-etcd'
const LOG = '/run/netsim-etcd.log'
const START_TRIES = 100
const BETWEEN_TRIES_MS = 100
const CONNECT_SECONDS = 2.5
/** An IP packet with one byte of TCP's data, which is answered. */
const ASKING = 53

/** Why it cannot be asked of this network; undefined: it can. */
export function noEtcd({ cluster }: Network): string | undefined {
  if (cluster.cni !== 'flannel') return `the CNI is ${cluster.cni}, and only flannel keeps anything in an etcd`
  return cluster.datastore === 'etcd' ? undefined : 'flannel keeps its leases in the Node objects here (datastore kubernetes): there is no etcd'
}

export interface EtcdCheckOptions extends BuildOptions {
  /** Called before each node. */
  readonly progress?: (done: number, total: number, name: string) => void
}

/** Never throws for what the server or a node does; the server has ended when this resolves. */
export async function checkEtcd(network: Network, lab: KernelLab, options: EtcdCheckOptions): Promise<EtcdDocument> {
  return await new EtcdCheck(network, lab, options).run()
}

/** What a node's connection came to. */
interface Connection {
  readonly prediction: Prediction
  readonly expected: boolean
  /** What the kernel told the client; empty: it stands. */
  readonly error: string
}

interface Key {
  readonly key: string
  readonly value: string
}

class EtcdCheck {
  private readonly network: Network
  private readonly lab: KernelLab
  private readonly options: EtcdCheckOptions
  private readonly api: EtcdApi
  private readonly host: NodePlan
  private readonly address: string
  private readonly rebuilt = new Map<string, readonly string[]>()

  constructor(network: Network, lab: KernelLab, options: EtcdCheckOptions) {
    this.network = network
    this.lab = lab
    this.options = options
    this.api = atLeast(network.cluster.flannel.version, '0.18.0') ? 'v3' : 'v2'
    const taken = ({ dataplane }: NodePlan): boolean =>
      dataplane.sockets.some(({ proto, port, portEnd = port }) => proto === 'tcp' && port <= PORT && PORT <= portEnd)
    this.host = network.nodes.find((node) => !taken(node)) ?? network.nodes[0]
    this.address = formatIp(this.host.node.address)
  }

  async run(): Promise<EtcdDocument> {
    const { api, host, address } = this
    const server = { program: 'etcd' as const, api, node: host.node.name, address: `${address}:${PORT}` }
    // what the questions before have left in caches is no matter here
    await this.lab.warm()
    const pid = await this.lab.spawn(this.netns(host), this.command(), LOG)
    try {
      const failed = await this.failure()
      if (failed !== '') return { ...server, version: '', filledFrom: '', nodes: this.network.nodes.map((node) => leftOut(node.node.name, failed)) }
      return { ...server, version: await this.version(), ...(await this.ask()) }
    } finally {
      await this.lab.run(this.netns(host), ['kill', '-9', String(pid)])
    }
  }

  private netns({ dataplane }: NodePlan): string {
    return dataplane.netns
  }

  private command(): readonly string[] {
    const url = `http://${this.address}:${PORT}`
    const words = ['etcd', '--name', 'netsim', '--data-dir', DATA, '--listen-client-urls', url, '--advertise-client-urls', url]
    words.push('--listen-peer-urls', PEER, '--initial-advertise-peer-urls', PEER, '--initial-cluster', `netsim=${PEER}`)
    return this.api === 'v2' ? [...words, '--enable-v2=true'] : words
  }

  /** Waits until the server serves. @returns why it does not; empty: it does */
  private async failure(): Promise<string> {
    let log = ''
    for (let tries = 0; tries < START_TRIES; tries++) {
      log = (await this.lab.run(this.netns(this.host), ['cat', LOG])).stdout
      if (/ready to serve client requests|serving (insecure )?client (requests|traffic)/.test(log)) return ''
      if (/"level":"fatal"|etcdmain: (listen|error|flag)| C \| |not defined:/.test(log)) break
      await scheduler.wait(BETWEEN_TRIES_MS)
    }
    return `etcd does not start: ${log.trimEnd().split('\n').at(-1) ?? ''}`
  }

  private async version(): Promise<string> {
    const { stdout } = await this.lab.run(this.netns(this.host), ['etcd', '--version'])
    return /etcd Version: (\S+)/.exec(stdout)?.[1] ?? ''
  }

  private async ask(): Promise<Pick<EtcdDocument, 'filledFrom' | 'nodes'>> {
    const { nodes } = this.network
    const connections = new Map<NodePlan, Connection | string>()
    for (const node of nodes) connections.set(node, await this.connect(node))
    const able = [...nodes.filter((node) => node !== this.host), this.host].filter((node) => {
      const connection = connections.get(node)
      return typeof connection === 'object' && connection.error === ''
    })
    const { from, why } = await this.fill(able)
    const documents: EtcdNodeDocument[] = []
    for (const [index, node] of nodes.entries()) {
      this.options.progress?.(index, nodes.length, `etcd from ${node.node.name}`)
      const connection = connections.get(node)
      documents.push(typeof connection === 'object' ? await this.judge(node, connection, why) : leftOut(node.node.name, connection ?? ''))
    }
    this.options.progress?.(nodes.length, nodes.length, '')
    return { filledFrom: from, nodes: documents }
  }

  private request(node: NodePlan): TraceRequest {
    const { seed, atNs = 0 } = this.options
    return { ...DEFAULT_REQUEST, source: `node/${node.node.name}`, destination: `node/${this.host.node.name}:${PORT}`, proto: 'tcp', listen: true, seed, atNs }
  }

  private predicted(request: TraceRequest): Prediction {
    const prediction = predict(this.network, request)
    if (!isPrediction(prediction)) throw new Error(prediction.map(({ what }) => what).join('; '))
    return prediction
  }

  /** Text: why it cannot be tried here. */
  private async connect(node: NodePlan): Promise<Connection | string> {
    const prediction = this.predicted(this.request(node))
    const limit = whyNotHere(this.network, prediction, this.lab.notBuilt)
    if (limit !== undefined) return limit
    const { stdout, stderr } = await this.lab.run(this.netns(node), ['python3', '-c', CONNECT, this.address, String(PORT), String(CONNECT_SECONDS)])
    return { prediction, expected: prediction.outcome.disposition === 'DELIVERED', error: (stdout.trim() || stderr.trim()).replace(/^connected$/, '') }
  }

  /** All keys from one node: the first that succeeds. */
  private async fill(able: readonly NodePlan[]): Promise<{ readonly from: string; readonly why: string }> {
    let why = 'no node reaches the server'
    for (const node of able) {
      why = ''
      for (const { key, value } of this.network.etcdKeys) {
        const words = this.api === 'v3' ? ['put', '--', key, value] : ['set', '--', key, value]
        const { status, stdout, stderr } = await this.etcdctl(node, words)
        if (status !== 0) why = `etcdctl in ${node.node.name} cannot write ${key}: ${lastLine(stderr || stdout)}`
        if (why !== '') break
      }
      if (why === '') return { from: node.node.name, why }
    }
    return { from: '', why }
  }

  private etcdctl(node: NodePlan, words: readonly string[]): ReturnType<KernelLab['run']> {
    const url = `http://${this.address}:${PORT}`
    const v3 = ['env', 'ETCDCTL_API=3', 'etcdctl', '--endpoints', url, '--dial-timeout=2s', '--command-timeout=4s']
    const v2 = ['env', 'ETCDCTL_API=2', 'etcdctl', '--no-sync', '--endpoint', url, '--timeout', '2s', '--total-timeout', '4s', '-o', 'json']
    return this.lab.run(this.netns(node), [...(this.api === 'v3' ? v3 : v2), ...words])
  }

  private async judge(node: NodePlan, connection: Connection, unfilled: string): Promise<EtcdNodeDocument> {
    const { name } = node.node
    const { expected, error, prediction } = connection
    const document = { ...leftOut(name, ''), connection: { predicted: prediction.outcome.disposition, kernel: error } }
    if (error !== '' || !expected) {
      const agree = (error === '') === expected
      const what = agree
        ? []
        : [`netsim trace says ${prediction.outcome.disposition}, and ${error === '' ? 'the connection stands' : `the kernel says "${error}"`}`]
      return { ...document, verdict: agree ? 'equal' : 'differs', differences: what }
    }
    if (unfilled !== '') return { ...document, why: unfilled }
    const { status, stdout, stderr } = await this.etcdctl(
      node,
      this.api === 'v3' ? ['get', '--prefix', '/', '-w', 'json'] : ['ls', '--recursive', '--quorum', '/'],
    )
    const answer = status === 0 ? jsonOf(stdout) : undefined
    if (answerShape(answer) !== this.api) return this.unanswered(document, node, lastLine(stderr || stdout))
    const { tree, faults } = readAnswer(answer, this.api, '/')
    const { equal, differences } = compareKeys(this.network.etcdKeys, tree.keys)
    const wrong = [...differences, ...faults.map(({ key, what }) => `${key}: ${what}`), ...this.otherDataplanes(tree.keys)]
    const keys = { predicted: this.network.etcdKeys.length, read: tree.keys.length, equal }
    return { ...document, keys, differences: wrong, verdict: wrong.length === 0 ? 'equal' : 'differs' }
  }

  /** The connection stands and no answer comes: a path that loses whole segments does so, and netsim must say it of one. */
  private unanswered(document: EtcdNodeDocument, node: NodePlan, said: string): EtcdNodeDocument {
    const size = Math.min(node.node.mtu, this.host.node.mtu)
    const { frames, drops } = this.predicted({ ...this.request(node), size: ASKING, answerSize: size })
    const arrives = frames.some(({ netns, direction, bytes }) => netns === this.netns(node) && direction === 'rx' && bytes.length >= size)
    const connection = { predicted: arrives ? 'DELIVERED' : (drops.at(-1)?.disposition ?? 'BLACKHOLE'), kernel: `${UNANSWERED}${said}` } as const
    if (!arrives) return { ...document, connection, verdict: 'equal' }
    const what = `netsim says that an answer of ${size} bytes arrives, and etcdctl says "${said}"`
    return { ...document, connection, verdict: 'differs', differences: [what] }
  }

  /** The network from these keys in place of its own. */
  private otherDataplanes(keys: readonly Key[]): readonly string[] {
    const same = JSON.stringify(keys.map(({ key, value }) => [key, value]))
    const known = this.rebuilt.get(same)
    if (known !== undefined) return known
    const { cluster } = this.network
    const { file, line } = cluster.etcdSource ?? { file: 'etcd', line: 0 }
    const etcd = keys.map(({ key, value }) => ({ key, value, file, line }))
    const { network } = composeNetwork({ ...cluster, etcd }, this.options)
    const found = [...this.network.dataplanes].flatMap(([netns, dataplane]) =>
      isDeepStrictEqual(network.dataplanes.get(netns), dataplane) ? [] : [`a network built from what was read has another Dataplane of ${netns}`],
    )
    this.rebuilt.set(same, found)
    return found
  }
}

/** Says `connected`, or what the kernel told. */
const CONNECT = `import socket, sys
s = socket.socket()
s.settimeout(float(sys.argv[3]))
try:
    s.connect((sys.argv[1], int(sys.argv[2])))
    print('connected')
except OSError as error:
    print(error.strerror or error)
`

function leftOut(node: string, why: string): EtcdNodeDocument {
  return { node, verdict: 'left-out', why, connection: null, keys: { predicted: 0, read: 0, equal: 0 }, differences: [] }
}

/** Both by name. */
function compareKeys(predicted: readonly Key[], read: readonly Key[]): { readonly equal: number; readonly differences: readonly string[] } {
  const left = new Map(read.map(({ key, value }) => [key, value]))
  const differences: string[] = []
  for (const { key, value } of predicted) {
    const found = left.get(key)
    left.delete(key)
    if (found === undefined) differences.push(`${key}: not there`)
    else if (found !== value) differences.push(`${key}: predicted ${JSON.stringify(value)}, read ${JSON.stringify(found)}`)
  }
  const equal = predicted.length - differences.length
  for (const key of left.keys()) differences.push(`${key}: there, and not predicted`)
  return { equal, differences }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** etcdctl's reason comes last; 3.4 prints a log line in JSON before it. */
function lastLine(text: string): string {
  return text.trimEnd().split('\n').at(-1) ?? ''
}
