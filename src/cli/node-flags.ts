/** `--node [NAME=]DIR` on the command line: nodes as dumps have them. What it does comes with node-input.ts, when it is given. */
import type { Command } from 'commander'
import { collect } from './verb.js'

export interface NodeFlags {
  /** As written: `n1=DIR`, `n1=FILE.tar.gz`, or without the name. */
  readonly node?: readonly string[]
}

export function addNodeOption(command: Command): Command {
  return command.option(
    '--node <[NAME=]DIR|TAR>',
    'a node as it was found: what the script of netsim collect wrote; again and again. Without -f the cluster is these',
    collect,
    [],
  )
}
