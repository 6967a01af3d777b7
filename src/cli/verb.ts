/** What the verbs of the command line share: the place they run in, and the flags that say which network. */
import { Option, type Command } from 'commander'
import { DEFAULT_REQUEST } from '../network/request.js'
import { addEtcdOptions } from './etcd-flags.js'
import type { Io } from './io.js'
import { integer, namespaceName } from './trace-options.js'

const SEED_MAX = 4294967295

export interface Running {
  readonly io: Io
  /** Texts on their way out. */
  readonly pending: Promise<void>[]
  readonly status: { code: number }
}

/** A flag that may be given again and again. */
export function collect(value: string, before: readonly string[]): string[] {
  return [...before, value]
}

/** -f, -R, -n, --seed, and --etcd with its own. */
export function addInputOptions(command: Command): Command {
  command
    .option('-f, --filename <FILE|DIR|->', 'manifests: a file, a folder, or - for standard input; again and again', collect, [])
    .option('-R, --recursive', 'look into the folders of -f DIR too', false)
    .addOption(new Option('-n, --namespace <NAME>', 'namespace of bare pod names').argParser(namespaceName).default(DEFAULT_REQUEST.namespace))
    .addOption(new Option('--seed <N>', 'seed of what a real network draws by chance').argParser(integer(0, SEED_MAX)).default(DEFAULT_REQUEST.seed))
  return addEtcdOptions(command)
}
