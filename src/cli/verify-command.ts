/** `netsim verify`: checks the machine, builds the network, has it verified, prints what came of it. Loaded when it is called. */
import { BIRD_TOOLS, checkBird, noBird } from '../kernel/control-bird.js'
import { checkEtcd, ETCD_TOOLS, noEtcd, type EtcdCheckOptions } from '../kernel/control-etcd.js'
import type { ControlDocument } from '../kernel/control-report.js'
import type { KernelLab } from '../kernel/lab.js'
import { labNetworkOf } from '../kernel/lab.js'
import type { KernelCheck } from '../kernel/lab-check.js'
import { junitText } from '../kernel/junit.js'
import { coveringProbes, probeName, type VerifyProbe } from '../kernel/probes.js'
import { refusals, verificationDocument, verifyNetwork, type Verified } from '../kernel/verify.js'
import type { VerificationDocument } from '../kernel/verify-report.js'
import { verifyText } from '../kernel/verify-text.js'
import type { Network } from '../network/network.js'
import type { TraceRequest } from '../network/request.js'
import { EXIT_BAD_INPUT, EXIT_NOT_DELIVERED, EXIT_OK, EXIT_UNKNOWN, EXIT_USAGE } from './exit.js'
import type { Io } from './io.js'
import { labPrefix, labProgress, onThisMachine } from './lab-machine.js'
import { loadNetwork, refusesTouched, safe, type Loaded } from './load-network.js'
import { refuse } from './question.js'
import { wantsAscii, wantsColor } from './terminal.js'
import type { Companion, VerifyFlags } from './verify-verb.js'
import { VERSION } from './version.js'

/** The exit status. @param asked none: a covering set is chosen */
export async function verify(asked: readonly TraceRequest[], flags: VerifyFlags, io: Io): Promise<number> {
  const loaded = await loadNetwork(flags, io)
  if (loaded === undefined) return EXIT_BAD_INPUT
  const { network } = loaded
  const companions = await applicable(flags.with, network, io)
  if (companions === undefined) return EXIT_USAGE
  const given = asked.map((request) => ({ name: probeName(request), request }))
  const refused = refusals(network, given)
  if (refused.length > 0) return refuse(refused, io)
  const probes = given.length > 0 ? given : coveringProbes(network, flags.probes, { seed: flags.seed, sport: flags.sport, namespace: flags.namespace })
  const whole = labNetworkOf(network)
  if (await refusesTouched(network, io)) return EXIT_BAD_INPUT
  const tools = Object.assign({}, ...companions.map((name) => COMPANIONS[name].tools)) as Record<string, string>
  return onThisMachine(whole, { tools, io }, (machine) => verifyOn(machine, loaded, { probes, flags, io, companions }))
}

interface CompanionVerb {
  /** Debian's package of each tool. */
  readonly tools: Readonly<Record<string, string>>
  /** Why the network has none; undefined: it has. */
  inapplicable(network: Network): string | undefined
  check(network: Network, lab: KernelLab, options: EtcdCheckOptions): Promise<ControlDocument>
}

const COMPANIONS: Readonly<Record<Companion, CompanionVerb>> = {
  etcd: { tools: ETCD_TOOLS, inapplicable: noEtcd, check: checkEtcd },
  bird: { tools: BIRD_TOOLS, inapplicable: noBird, check: checkBird },
}

/** Those that the network has, each once: of several that are named the others are left out, and named. undefined: it has none of them. */
async function applicable(names: readonly Companion[], network: Network, io: Io): Promise<readonly Companion[] | undefined> {
  const reasons = new Map(names.map((name) => [name, COMPANIONS[name].inapplicable(network)]))
  const found = [...reasons].flatMap(([name, why]) => (why === undefined ? [name] : []))
  const nothing = reasons.size > 0 && found.length === 0
  for (const [name, why] of reasons) {
    if (why === undefined) continue
    await io.err(nothing ? `error: --with ${name}: ${why}\n    Leave ${name} out.\n` : `note: --with ${name} is left out: ${why}\n`)
  }
  return nothing ? undefined : found
}

/** One after the other. */
async function controlsOf(
  network: Network,
  lab: KernelLab,
  { names, build }: { readonly names: readonly Companion[]; readonly build: EtcdCheckOptions },
): Promise<readonly ControlDocument[]> {
  const documents: ControlDocument[] = []
  for (const name of names) documents.push(await COMPANIONS[name].check(network, lab, build))
  return documents
}

interface Run {
  readonly probes: readonly VerifyProbe[]
  readonly flags: VerifyFlags
  readonly io: Io
  readonly companions: readonly Companion[]
}

async function verifyOn(machine: KernelCheck, { network, inputs }: Loaded, { probes, flags, io, companions }: Run): Promise<number> {
  let printed = false
  const finish = async (verified: Verified): Promise<VerificationDocument> => {
    const context = {
      tool: `netsim ${VERSION}`,
      kernel: machine.kernel,
      privilege: machine.privilege,
      iptables: flags.iptables ?? '',
      inputs,
      seed: flags.seed,
    }
    const document = verificationDocument(network, verified, context)
    if (!printed) await io.out(printedForm(document, flags, io))
    printed = true
    return document
  }
  const progress = flags.output === 'text' ? labProgress(io) : {}
  const build = { seed: flags.seed, ...(flags.at === undefined ? {} : { atNs: flags.at }), ...progress }
  const verified = await verifyNetwork(network, {
    probes,
    prefix: labPrefix(),
    rules: flags.rules,
    ...(flags.iptables === undefined ? {} : { iptables: flags.iptables }),
    ...progress,
    control: (lab) => controlsOf(network, lab, { names: companions, build }),
    ...(flags.keep
      ? {
          keep: async (lab, sofar) => (
            await finish(sofar),
            await standBy(
              lab,
              network.specs.map(({ dataplane }) => dataplane.netns),
              io,
            )
          ),
        }
      : {}),
  })
  const { verdict } = await finish(verified)
  return verdict === 'equal' ? EXIT_OK : verdict === 'differs' ? EXIT_NOT_DELIVERED : EXIT_UNKNOWN
}

function printedForm(document: VerificationDocument, flags: VerifyFlags, io: Io): string {
  if (flags.output === 'json') return `${JSON.stringify(document, null, 2)}\n`
  if (flags.output === 'junit') return junitText(document)
  return verifyText(document, {
    color: wantsColor(flags.color === false ? 'never' : flags.color, io),
    ascii: wantsAscii(flags.ascii, io),
    verbosity: flags.verbose,
  })
}

/** Everything hangs on this process: it stands until somebody ends it. */
async function standBy(lab: KernelLab, names: readonly string[], io: Io): Promise<void> {
  await io.err('\nIt still stands. To look around:\n')
  for (const name of names) await io.err(safe(`  ${name.padEnd(24)} ${lab.enter(name).join(' ')} bash`) + '\n')
  await io.err('Ctrl-C takes it all away.\n')
  await Promise.race([lab.gone, new Promise<void>((resolve) => process.once('SIGINT', resolve))])
}
