/** `netsim show` on the command line: its arguments and flags. What it does comes with show-command.ts, when it is called. */
import { Option, type Command } from 'commander'
import type { ShowFlags } from './show-command.js'
import { KINDS, kindOf } from './show-names.js'
import { outputFormat } from './trace-options.js'
import { addInputOptions, type Running } from './verb.js'

export function addShow(program: Command, name: string, { io, status }: Running): void {
  const command = program
    .command('show')
    .summary('print state in the words of the tools that own it')
    .description('Prints what the nodes hold, in the syntax of ip, bridge, iptables-save, ipset and etcdctl.')
    .argument('<KIND>', KINDS.join(', '))
    .argument('[NODE]', 'a node, a pod (ns/pod, or a bare name in -n) or router/NAME; without it every node')
    .addHelpText('before', showExamples(name))
    .showHelpAfterError(`See '${name} show --help'.`)
  addInputOptions(command)
    .addOption(new Option('-o, --output <FORMAT>', 'text or json').argParser(outputFormat).default('text'))
    .action(async (word: string, node: string | undefined, flags: ShowFlags) => {
      const kind = kindOf(word)
      const { show } = await import('./show-command.js')
      status.code = await show(kind, node, { flags, io })
    })
}

function showExamples(name: string): string {
  return `Examples:
  ${name} show routes                       ip route, of every node
  ${name} show fdb host-a -f cluster.yaml   bridge fdb, of one
  ${name} show addr default/pod-a           ip addr, in a pod
  ${name} show iptables host-a              what iptables-restore takes
  ${name} show leases -o json
`
}
