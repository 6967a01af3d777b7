/** `netsim show` on the command line: its arguments and flags. What it does comes with show-command.ts, when it is called. */
import { Option, type Command } from 'commander'
import { UsageError } from './exit.js'
import { afterOf } from './show-after.js'
import type { ShowFlags } from './show-command.js'
import { KINDS, kindOf, type Kind } from './show-names.js'
import { outputFormat, STATE_FORMATS } from './trace-options.js'
import { addInputOptions, collect, type Running } from './verb.js'

export function addShow(program: Command, name: string, running: Running): void {
  const { io, status } = running
  const command = program
    .command('show')
    .summary('print state in the words of the tools that own it')
    .description('Prints what the nodes hold, in the syntax of ip, bridge, iptables-save, ipset, sysctl, ss, conntrack, etcdctl, birdc and calicoctl.')
    .argument('<KIND>', KINDS.join(', '), kindOf)
    .argument(
      '[NODE]',
      'a node, a pod (ns/pod, or a bare name in -n) or router/NAME; of services, endpoints and ingress its name, of dns a name; without it all',
    )
    .addHelpText('before', showExamples(name))
    .showHelpAfterError(`See '${name} show --help'.`)
  addInputOptions(command)
    .addOption(new Option('-o, --output <FORMAT>', 'text or json').argParser(outputFormat(STATE_FORMATS)).default('text'))
    .option('--all', 'sysctls: with the kernel’s defaults; bgp: every attribute of the routes', false)
    .addOption(new Option('--dialect <DIALECT>', 'bird: the language of Calico’s BIRD 1.6, or that of BIRD 2').choices(['calico', 'bird2']).default('calico'))
    .option('--table <TABLE>', 'routes: of another table than main, by number or name, or of all')
    .option("--after <'SRC DST[:PORT]'>", 'conntrack: ask this first, in the words and flags of trace; again and again', collect, [])
    .action(async (kind: Kind, node: string | undefined, flags: ShowFlags) => {
      if (flags.all && kind !== 'sysctls' && kind !== 'bgp') throw new UsageError(`--all is of sysctls and bgp, not of ${kind}`)
      if (flags.table !== undefined && kind !== 'routes') throw new UsageError(`--table is of routes, not of ${kind}`)
      if (command.getOptionValueSource('dialect') === 'cli' && kind !== 'bird') throw new UsageError(`--dialect is of bird, not of ${kind}`)
      if (flags.after.length > 0 && kind !== 'conntrack')
        throw new UsageError(`--after is of conntrack, not of ${kind}: the rest is shown as it is before any packet`)
      const questions = flags.after.map((text) => afterOf(text, flags, running))
      const { show } = await import('./show-command.js')
      status.code = await show(kind, node, { flags, io, questions })
    })
}

function showExamples(name: string): string {
  return `Examples:
  ${name} show routes                       ip route, of every node
  ${name} show routes host-a --table all      ip route show table all
  ${name} show fdb host-a -f cluster.yaml   bridge fdb, of one
  ${name} show addr default/pod-a           ip addr, in a pod
  ${name} show iptables host-a              what iptables-restore takes
  ${name} show leases -o json
  ${name} show etcd --etcd http://127.0.0.1:2379 -o json > etcd.json   a snapshot, for -f
  ${name} show bgp node-1 -f cluster.yaml   birdc show protocols, show route
  ${name} show bird node-1 -f cluster.yaml  the configuration that confd renders
  ${name} show sockets pod-a                who listens: ss -lnptu
  ${name} show sysctls host-a --all         sysctl -a
  ${name} show endpoints shop/api           who is behind a Service
  ${name} show dns                          every record of the cluster
  ${name} show conntrack host-a --after 'pod-a pod-b:80'   conntrack -L, once that was asked
`
}
