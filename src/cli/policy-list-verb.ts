/** `netsim policy list` on the command line: its flags. What it does comes with policy-list-command.ts, when it is called. */
import { InvalidArgumentError, Option, type Command } from 'commander'
import type { Direction } from '../policy/model.js'
import { addPolicyOptions, type PolicyFlags } from './policy-flags.js'
import { integer, outputFormat } from './trace-options.js'
import type { Running } from './verb.js'

const LIST_FORMATS = ['txt', 'json', 'csv', 'md', 'dot', 'svg', 'matrix', 'jsonl'] as const

/** As commander hands them over. */
export interface PolicyListFlags extends PolicyFlags {
  readonly output: (typeof LIST_FORMATS)[number]
  readonly focus: readonly string[]
  readonly focusPeer: readonly string[]
  readonly direction?: Direction
  readonly focusConn?: FocusConnection
  readonly exposure: boolean
  readonly byClass: boolean
  readonly top: number
}

export interface FocusConnection {
  readonly protocol: 'TCP' | 'UDP' | 'SCTP'
  readonly port: number
}

export function addPolicyList(group: Command, name: string, { io, status }: Running): void {
  const command = group
    .command('list')
    .summary('who may reach whom, workload by workload')
    .description('Lists every pair of workloads that the policies let talk, and with whom outside, each with the connections that are let through.')
    .addHelpText('before', listExamples(name))
    .showHelpAfterError(`See '${name} policy list --help'.`)
  addPolicyOptions(command)
    .addOption(new Option('-o, --output <FORMAT>', LIST_FORMATS.join(', ')).argParser(outputFormat(LIST_FORMATS)).default('txt'))
    .addOption(new Option('--focus <NAME,…>', 'rows of these workloads alone: NAME, ns/NAME, ingress-controller').argParser(names).default([], 'all'))
    .addOption(new Option('--focus-peer <NAME,…>', 'of those the rows with these').argParser(names).default([], 'all'))
    .addOption(new Option('--direction <DIRECTION>', 'ingress or egress of the workloads of --focus').argParser(outputFormat(['ingress', 'egress'] as const)))
    .addOption(new Option('--focus-conn <PROTO-PORT>', 'rows that let this through: tcp-80').argParser(focusConnection))
    .option('--by-class', 'for large clusters: pods that no policy tells apart as one, with counts of pods and pairs; txt, csv, jsonl', false)
    .addOption(new Option('--top <N>', 'with --by-class: rows of the table, 0 for all').argParser(integer(0, 2 ** 31 - 1)).default(20))
    .option('--exposure', 'also what pods that are not there yet could reach, and be reached by', false)
    .action(async (flags: PolicyListFlags) => {
      const { policyList } = await import('./policy-list-command.js')
      status.code = await policyList(flags, io)
    })
}

/** With commas between. */
export function names(text: string): readonly string[] {
  const found = text.split(',').map((word) => word.trim())
  if (found.includes('')) throw new InvalidArgumentError('It must be names with commas between them.')
  return found
}

export function focusConnection(text: string): FocusConnection {
  const match = /^(tcp|udp|sctp)-([0-9]{1,5})$/i.exec(text)
  const port = match === null ? 0 : Number(match[2])
  if (match === null || port < 1 || port > 65535) throw new InvalidArgumentError('It must be a protocol and a port: tcp-80, udp-53, sctp-9000.')
  return { protocol: match[1].toUpperCase() as FocusConnection['protocol'], port }
}

function listExamples(name: string): string {
  return `Examples:
  ${name} policy list -f shop/                              the whole map
  ${name} policy list -f shop/ --focus web --direction egress
  ${name} policy list -f shop/ --focus-conn tcp-5432        who may reach a database
  ${name} policy list -f shop/ -o svg > map.svg
  ${name} policy list -f cluster.json --by-class            150,000 pods on one page

`
}
