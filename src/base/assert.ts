/** A broken invariant: a bug of netsim's own, never bad input (that is a Problem) and never a lost packet (that is a disposition). */
export class InvariantError extends Error {
  override name = 'InvariantError'
}

export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(message)
}

/** Closes a switch over a closed union; reached only when the union grew and the switch did not. */
export function unreachable(value: never): never {
  throw new InvariantError(`unreachable value ${JSON.stringify(value)}`)
}
