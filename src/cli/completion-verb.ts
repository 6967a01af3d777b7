/** `netsim completion SHELL` on the command line. */
import type { Command } from 'commander'
import { nearestName } from '../cluster/nearest-name.js'
import { choosing } from './choices.js'
import { UsageError } from './exit.js'
import type { CompletionShell } from './completion-scripts.js'
import type { Running } from './verb.js'

const SHELLS: readonly CompletionShell[] = ['bash', 'zsh', 'fish']

const shellOf = choosing(SHELLS, (word): CompletionShell => {
  const found = SHELLS.find((shell) => shell === word.toLowerCase())
  if (found !== undefined) return found
  const nearest = nearestName(word, SHELLS)
  throw new UsageError(`there is no completion for '${word}'${nearest === undefined ? '' : ` (Did you mean ${nearest}?)`}\nThere are ${SHELLS.join(', ')}.`)
})

export function addCompletion(program: Command, name: string, { io }: Running): void {
  program
    .command('completion')
    .summary('print the completion script of a shell')
    .description('Prints a script that completes verbs, flags, their values, files, and the pods and nodes of your manifests.')
    .argument('<SHELL>', SHELLS.join(', '), shellOf)
    .addHelpText('before', completionExamples())
    .showHelpAfterError(`See '${name} completion --help'.`)
    .action(async (shell: CompletionShell) => {
      const { COMPLETION_SCRIPTS } = await import('./completion-scripts.js')
      await io.out(COMPLETION_SCRIPTS[shell])
    })
}

/** The command is `netsim` here: `kubectl netsim` is completed by kubectl, which asks kubectl_complete-netsim. */
function completionExamples(): string {
  return `Examples:
  source <(netsim completion bash)                    in ~/.bashrc
  source <(netsim completion zsh)                     in ~/.zshrc, after compinit
  netsim completion fish | source                     in ~/.config/fish/config.fish

kubectl completes 'kubectl netsim' by itself where kubectl_complete-netsim is on the PATH.

`
}
