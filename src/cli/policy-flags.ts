/** The flags that all of `netsim policy` share: which manifests, and what is decided where the API of policies leaves something open. */
import { Option, type Command } from 'commander'
import type { Switches } from '../policy/model.js'
import { integer, namespaceName, outputFormat } from './trace-options.js'
import { collect } from './verb.js'

const AS = ['api', 'calico', 'np-guard'] as const
const COMPATS = ['np-guard'] as const
const PORT_MAX = 65535

/** As commander hands them over. */
export interface PolicyFlags {
  readonly filename: readonly string[]
  readonly recursive: boolean
  readonly namespace: string
  readonly as?: Switches['as']
  readonly compat?: (typeof COMPATS)[number]
  readonly ipBlock?: Switches['ipBlock']
  readonly hairpin?: Switches['hairpin']
  readonly ownNode?: Switches['ownNode']
  readonly hostNetwork?: Switches['hostNetwork']
  readonly otherProtocols?: Switches['otherProtocols']
  readonly sourcePort?: number
  /** As if somebody enforced them. */
  readonly enforced: boolean
}

/** -f, -R, -n, --as, --compat, and a flag for each switch. */
export function addPolicyOptions(command: Command): Command {
  const oneOf = <Word extends string>(flags: string, about: string, words: readonly Word[]): Option => new Option(flags, about).argParser(outputFormat(words))
  return command
    .option('-f, --filename <FILE|DIR|->', 'manifests: a file, a folder with all that is in it, or - for standard input; again and again', collect, [])
    .addOption(new Option('-R, --recursive', 'look into the folders of -f DIR too: policy does so anyhow').default(true).hideHelp())
    .addOption(new Option('-n, --namespace <NAME>', 'namespace of bare names').argParser(namespaceName).default('default'))
    .addOption(oneOf('--as <WHOSE>', 'decide what the API leaves open as api, calico or np-guard (default: api)', AS))
    .addOption(oneOf('--compat <TOOL>', "np-guard: netpol-analyzer's forms, and its decisions", COMPATS))
    .addOption(oneOf('--ip-block <WHAT>', 'an ipBlock matches pod addresses too: pods-too or outside-only', ['pods-too', 'outside-only'] as const))
    .addOption(oneOf('--hairpin <WHAT>', 'a pod to its own address: allowed or governed', ['allowed', 'governed'] as const))
    .addOption(oneOf('--own-node <WHAT>', 'a node to its own pods: allowed or governed', ['allowed', 'governed'] as const))
    .addOption(oneOf('--host-network <WHAT>', "pods on their host's network are node or pod", ['node', 'pod'] as const))
    .addOption(oneOf('--other-protocols <WHAT>', 'all but TCP, UDP and SCTP: governed or free', ['governed', 'free'] as const))
    .addOption(new Option('--source-port <N>', 'where connections come from, for rules that ask (default: 40000)').argParser(integer(1, PORT_MAX)))
    .option('--enforced', 'as if an engine enforced the policies, where nobody does', false)
}
