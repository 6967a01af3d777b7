/** `netsim policy exposure` on the command line: its flags. What it does comes with policy-exposure-command.ts, when it is called. */
import { InvalidArgumentError, Option, type Command } from 'commander'
import { labelFault, type Labels } from '../cluster/labels.js'
import type { Direction, PodPort } from '../policy/model.js'
import { addPolicyOptions, type PolicyFlags } from './policy-flags.js'
import { focusConnection, names, type FocusConnection } from './policy-list-verb.js'
import { namespaceName, outputFormat } from './trace-options.js'
import type { Running } from './verb.js'

const EXPOSURE_FORMATS = ['text', 'json'] as const

/** As commander hands them over. */
export interface PolicyExposureFlags extends PolicyFlags {
  readonly output: (typeof EXPOSURE_FORMATS)[number]
  readonly labels?: Labels
  readonly inNamespace?: string
  readonly inNamespaceWith?: Labels
  readonly ports?: readonly PodPort[]
  readonly port?: FocusConnection
  readonly focus: readonly string[]
  readonly direction?: Direction
}

export function addPolicyExposure(group: Command, name: string, { io, status }: Running): void {
  const command = group
    .command('exposure')
    .summary('what pods that are not there yet could reach, and be reached by; which workloads no policy protects')
    .description(
      'Without labels: for each workload what a pod could do with it that no policy names, and what pods could that its rules name. With labels: a pod ' +
        'that has them, is not there yet, and what it could reach and be reached by.',
    )
    .addHelpText('before', exposureExamples(name))
    .addHelpText('after', EXPOSURE_EXITS)
    .showHelpAfterError(`See '${name} policy exposure --help'.`)
  addPolicyOptions(command)
    .addOption(new Option('--labels <K=V,…>', 'of a pod that is not there yet').argParser(labelList))
    .addOption(new Option('--in-namespace <NAME>', 'where it would be; one that is not there is new').argParser(namespaceName))
    .addOption(new Option('--in-namespace-with <K=V,…>', 'in a new namespace with these labels').argParser(labelList))
    .addOption(new Option('--ports <NAME:PORT,…>', 'names that it gives its ports: http:8080, dns:53/udp').argParser(podPorts))
    .addOption(new Option('--port <PROTO-PORT>', 'this connection alone: tcp-80').argParser(focusConnection))
    .addOption(new Option('--focus <NAME,…>', 'these workloads alone: NAME, ns/NAME').argParser(names).default([], 'all'))
    .addOption(new Option('--direction <DIRECTION>', 'ingress or egress alone').argParser(outputFormat(['ingress', 'egress'] as const)))
    .addOption(new Option('-o, --output <FORMAT>', 'text or json').argParser(outputFormat(EXPOSURE_FORMATS)).default('text'))
    .action(async (flags: PolicyExposureFlags) => {
      const { policyExposure } = await import('./policy-exposure-command.js')
      status.code = await policyExposure(flags, io)
    })
}

/** None: an empty text. */
function labelList(text: string): Labels {
  const labels: Record<string, string> = {}
  for (const pair of text.split(',').filter((one) => one !== '')) {
    const equals = pair.indexOf('=')
    if (equals < 0) throw new InvalidArgumentError('It must be KEY=VALUE with commas between them: app=web,tier=front.')
    const [key, value] = [pair.slice(0, equals).trim(), pair.slice(equals + 1).trim()]
    const fault = labelFault(key, value)
    if (fault !== undefined) throw new InvalidArgumentError(`${fault.what}. ${fault.fix}`)
    labels[key] = value
  }
  return labels
}

function podPorts(text: string): readonly PodPort[] {
  return text.split(',').map((one) => {
    const match = /^([a-z0-9](?:[a-z0-9-]{0,13}[a-z0-9])?):([0-9]{1,5})(?:\/(tcp|udp|sctp))?$/i.exec(one)
    const port = match === null ? 0 : Number(match[2])
    if (match === null || port < 1 || port > 65535) throw new InvalidArgumentError('It must be names and numbers: http:8080, dns:53/udp.')
    return { name: match[1], port, protocol: (match.at(3) ?? 'tcp').toUpperCase() as PodPort['protocol'] }
  })
}

const EXPOSURE_EXITS = `
Exit status of exposure:
  0  answered                                     3  wrong input`

function exposureExamples(name: string): string {
  return `Examples:
  ${name} policy exposure -f shop/                                       workload by workload
  ${name} policy exposure --labels app=web --in-namespace shop -f shop/  a pod that is to come
  ${name} policy exposure --labels role=scraper --in-namespace-with team=ops --port tcp-9090 -f shop/

`
}
