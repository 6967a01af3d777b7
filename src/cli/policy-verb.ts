/** `netsim policy` on the command line: the group of its subcommands, each of which has a file of its own. */
import type { Command } from 'commander'
import { addPolicyList } from './policy-list-verb.js'
import type { Running } from './verb.js'

export function addPolicy(program: Command, name: string, running: Running): void {
  const group = program
    .command('policy')
    .summary('what the policies mean: who may reach whom, why, and what a change would do')
    .description(
      'Asks what the policies of the manifests mean together: NetworkPolicy, AdminNetworkPolicy, BaselineAdminNetworkPolicy, ClusterNetworkPolicy ' +
        "and Calico's own. No node, address or packet is needed.",
    )
    .helpCommand('help [COMMAND]', 'help for a command')
    .showHelpAfterError(`See '${name} policy --help'.`)
  addPolicyList(group, name, running)
}
