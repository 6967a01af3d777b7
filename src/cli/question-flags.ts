/** The flags that say how a question is asked, for every verb that asks: --proto, --sport, --size, --df, --ttl, --cold, --listen. */
import { Option, type Command } from 'commander'
import { DEFAULT_REQUEST } from '../network/request.js'
import { integer, protocol } from './trace-options.js'

/** What the help of a verb says: of --proto and --size all, of --df, --ttl, --cold and --listen what follows. */
export interface QuestionHelp {
  readonly proto: string
  readonly size: string
  readonly note: string
}

export function addQuestionOptions(command: Command, { proto, size, note }: QuestionHelp): Command {
  return command
    .addOption(new Option('--proto <NAME>', proto).argParser(protocol))
    .addOption(new Option('--sport <PORT>', 'source port').argParser(integer(1, 65535)).default(DEFAULT_REQUEST.sport))
    .addOption(new Option('--size <BYTES>', size).argParser(integer(20, 65535)))
    .option('--df', `set don't-fragment${note}`, false)
    .addOption(new Option('--ttl <N>', `time to live${note}`).argParser(integer(1, 255)).default(DEFAULT_REQUEST.ttl))
    .option('--cold', `no neighbour and no bridge port is known yet${note}`, false)
    .option('--listen', `take the port as open${note}`, false)
}
