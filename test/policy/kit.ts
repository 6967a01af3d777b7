/** YAML text → a PolicyWorld, for tests: what the command line does, without files and flags. */
import type { Problem } from '../../src/base/problem.js'
import { readPolicyState, type PolicyState } from '../../src/cluster/policy-state.js'
import { endNamed, isProblem } from '../../src/policy/ends.js'
import type { End, PolicyWorld, Switches } from '../../src/policy/model.js'
import { readPolicyWorld, switchesFor } from '../../src/policy/world.js'

export interface Told {
  readonly state: PolicyState
  readonly world: PolicyWorld
  readonly problems: readonly Problem[]
}

/** Everything that was made of the text, and said of it; the file is called `w.yaml`. */
export function readTold(text: string, switches: Partial<Switches> = {}): Told {
  const { state, problems } = readPolicyState([{ file: 'w.yaml', text }])
  const { world, problems: more } = readPolicyWorld(state, { ...switchesFor(switches.as ?? 'api'), ...switches })
  return { state, world, problems: [...problems, ...more] }
}

/** @throws when anything in the text is an error */
export function worldOf(text: string, switches: Partial<Switches> = {}): PolicyWorld {
  const { world, problems } = readTold(text, switches)
  const errors = problems.filter(({ severity }) => severity === 'error')
  if (errors.length > 0) throw new Error(errors.map(({ line, object, what }) => `${line}: ${object}: ${what}`).join('\n'))
  return world
}

/** @throws when the name means nobody; bare names are of the namespace `default` */
export function endOf(world: PolicyWorld, name: string, namespace = 'default'): End {
  const end = endNamed(world, name, namespace)
  if (isProblem(end)) throw new Error(end.what)
  return end
}
