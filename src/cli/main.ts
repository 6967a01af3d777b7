/** The command: dist/cli.js. Sets the exit status and lets Node end by itself, so that what was written reaches its reader whole. */
import { processIo } from './io.js'
import { run } from './program.js'

const status = await run(process.argv, processIo())
// Set already where the output could not be written.
process.exitCode ??= status
