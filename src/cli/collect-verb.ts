/** `netsim collect` on the command line: prints the script that gathers, on a node, what --node reads. */
import type { Command } from 'commander'
import type { Running } from './verb.js'

interface CollectFlags {
  readonly conntrack: boolean
  readonly pods: boolean
  readonly output?: string
  readonly name?: string
}

export function addCollect(program: Command, name: string, { io }: Running): void {
  program
    .command('collect')
    .summary("print the script that writes down a node's network")
    .description(
      'Prints a POSIX shell script. Run as root on a node, it writes down what the network of the node consists of, with the tools that are there: ' +
        'devices, routes, neighbours, FDB, iptables, ipsets, sysctls, sockets, and the same of each pod. It changes nothing, and gathers neither keys nor ' +
        'payloads. --node of the other verbs reads what it wrote.',
    )
    .option(
      '-o, --output <DIR|TAR|->',
      'where the script writes: a folder, a .tar, .tar.gz or .tgz, or - for an archive on its standard output (default: ./netsim-NODE)',
    )
    .option('--name <NODE>', "the Node's name (default: kubelet's word, else the host's name)")
    .option('--conntrack', 'connections too', false)
    .option('--no-pods', 'the node alone, without the network namespaces of its pods')
    .addHelpText('before', collectExamples(name))
    .showHelpAfterError(`See '${name} collect --help'.`)
    .action(async ({ conntrack, pods, output, name: node }: CollectFlags) => {
      const { collectScript } = await import('../collected/collect-script.js')
      await io.out(collectScript({ conntrack, pods, ...(output === undefined ? {} : { output }), ...(node === undefined ? {} : { node }) }))
    })
}

function collectExamples(name: string): string {
  return `Examples:
  ${name} collect -o - | ssh n1 sudo sh > n1.tar          one node, over ssh
  ${name} collect > collect.sh                            to be read first, and run by hand: sudo sh collect.sh -o n1
  ${name} trace web-0 api-0:8080 --node n1=n1.tar -f cluster.yaml
`
}
