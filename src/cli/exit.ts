/** Exit statuses (DESIGN.md 5.1) and the error that a wrong command line is. */
import type { Disposition } from '../net/disposition.js'

export const EXIT_OK = 0
/** Not delivered, or `--expect` not met. */
export const EXIT_NOT_DELIVERED = 1
export const EXIT_USAGE = 2
export const EXIT_BAD_INPUT = 3
/** Incomplete or ambiguous. */
export const EXIT_UNKNOWN = 4
/** A bug of netsim's own (sysexits.h EX_SOFTWARE). */
export const EXIT_INTERNAL = 70

/** The command line asks for what is not there. The message says what is. */
export class UsageError extends Error {
  override name = 'UsageError'
}

export function exitOf(disposition: Disposition, expected: readonly Disposition[]): number {
  if (expected.length > 0) return expected.includes(disposition) ? EXIT_OK : EXIT_NOT_DELIVERED
  // A packet that left the modelled world was stopped by nothing in it.
  if (disposition === 'DELIVERED' || disposition === 'EXITED') return EXIT_OK
  return disposition === 'INCOMPLETE' || disposition === 'AMBIGUOUS' ? EXIT_UNKNOWN : EXIT_NOT_DELIVERED
}
