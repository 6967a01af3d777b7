/** The command: dist/cli.js. Sets the exit status and lets Node end by itself, so that what was written reaches its reader whole. */
import { cachedProgram, keepCompiled, type Program } from './code-cache.js'
import { processIo } from './io.js'

const { run } = cachedProgram(process) ?? (await loadProgram())
const status = await run(process.argv, processIo())
// Set already where the output could not be written.
process.exitCode ??= status

async function loadProgram(): Promise<Program> {
  keepCompiled(process)
  return import('./program.js')
}
