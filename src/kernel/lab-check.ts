/** Can this machine stand in for the network? Found by really trying, in a namespace that is thrown away. */
import type { Problem } from '../base/problem.js'
import { unbuildable } from './build-plan.js'
import type { LabNetwork, NotBuilt } from './lab-types.js'
import { LabError, Porter } from './lab-process.js'

export interface KernelCheck {
  /** Tools and privileges that are lacking and how to get them; empty: a lab can start. */
  readonly missing: readonly Problem[]
  /** Devices of kinds that this kernel does not know, and what is no Linux at all (device ''). */
  readonly cannotBuild: readonly NotBuilt[]
  /** `root`, or `user namespace`: then drops and some modules cannot be had. */
  readonly privilege: 'root' | 'user namespace' | 'none'
  /** `Linux 6.18.44`, for reports. */
  readonly kernel: string
}

interface ToolsMessage {
  readonly tools: Readonly<Record<string, boolean>>
  readonly bridgeNetfilter: boolean
  readonly kernel: string
}

/** Debian's package of each. */
const TOOLS: Readonly<Record<string, string>> = { ip: 'iproute2', bridge: 'iproute2', 'iptables-restore': 'iptables', ipset: 'ipset' }

/** @param more tools that are wanted besides, with Debian's package of each */
export async function checkKernel(network: Pick<LabNetwork, 'specs'>, prefix: string, more: Readonly<Record<string, string>> = {}): Promise<KernelCheck> {
  const tools = { ...TOOLS, ...more }
  let porter: Porter
  try {
    porter = await Porter.start(prefix)
  } catch (error) {
    if (!(error instanceof LabError)) throw error
    return { missing: [lack(error.what, error.fix)], cannotBuild: [], privilege: 'none', kernel: '' }
  }
  try {
    const found = await porter.ask<ToolsMessage>({ op: 'tools', names: Object.keys(tools) })
    const missing = Object.entries(found.tools).flatMap(([tool, there]) =>
      there ? [] : [lack(`${tool} is not installed`, `apt-get install ${tools[tool]} (Debian's name of the package)`)],
    )
    if (!found.bridgeNetfilter && wantsBridgeNetfilter(network)) missing.push(lack('the kernel module br_netfilter is not loaded', 'modprobe br_netfilter'))
    const cannotBuild = missing.length > 0 ? [] : unbuildable(network, await porter.lackingKinds(kindsOf(network)))
    return { missing, cannotBuild, privilege: porter.userNamespace ? 'user namespace' : 'root', kernel: found.kernel }
  } finally {
    await porter.stop()
  }
}

function kindsOf({ specs }: Pick<LabNetwork, 'specs'>): readonly string[] {
  return specs.flatMap(({ dataplane }) => dataplane.devices.map(({ kind }) => kind))
}

function wantsBridgeNetfilter({ specs }: Pick<LabNetwork, 'specs'>): boolean {
  return specs.some(
    ({ dataplane }) =>
      dataplane.iptables.tables.length > 0 &&
      dataplane.devices.some(({ kind }) => kind === 'bridge') &&
      dataplane.sysctls['net.bridge.bridge-nf-call-iptables'] !== 0,
  )
}

function lack(what: string, fix: string): Problem {
  return { severity: 'error', file: 'this machine', line: 0, object: '', what, fix }
}
