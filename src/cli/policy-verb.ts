/** `netsim policy` on the command line: the group of its subcommands, each of which has a file of its own. */
import type { Command } from 'commander'
import { addPolicyDiff } from './policy-diff-verb.js'
import { addPolicyExplain } from './policy-explain-verb.js'
import { addPolicyExposure } from './policy-exposure-verb.js'
import { addPolicyFix } from './policy-fix-verb.js'
import { addPolicyLint } from './policy-lint-verb.js'
import { addPolicyList } from './policy-list-verb.js'
import { addPolicyTest } from './policy-test-verb.js'
import { addPolicyWhatIf } from './policy-whatif-verb.js'
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
  addPolicyLint(group, name, running)
  addPolicyExplain(group, name, running)
  addPolicyDiff(group, name, running)
  addPolicyWhatIf(group, name, running)
  addPolicyTest(group, name, running)
  addPolicyExposure(group, name, running)
  addPolicyFix(group, name, running)
}
