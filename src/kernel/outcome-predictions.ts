/**
 * Everything that chance may make of a question: which endpoint of a Service is drawn (`-m statistic --mode random`), which of equal next hops a flow's hash
 * falls to. A kernel draws where nobody can predict it, so every outcome is predicted by a tape of choices (net/chance.ts), and what the kernel does has to
 * be one of them, whole. A question of which nothing is left to chance has one.
 */
import type { Problem } from '../base/problem.js'
import type { Network } from '../network/network.js'
import type { TraceRequest } from '../network/request.js'
import { isPrediction, predict, type Prediction } from './prediction.js'

export interface OutcomePredictions {
  /** At least one; in the order of the rules. */
  readonly all: readonly Prediction[]
  /** The share of chance that they make up together; 1: there are no others. */
  readonly followed: number
}

/** Of more outcomes than this a kernel would hardly take one that is told. */
const MOST_OUTCOMES = 64

/** Problems where the request names what is not there. */
export function predictOutcomes(network: Network, request: TraceRequest, limit = MOST_OUTCOMES): OutcomePredictions | readonly Problem[] {
  const { chance } = network.world
  const all: Prediction[] = []
  let tape: readonly number[] | undefined = []
  try {
    while (tape !== undefined && all.length < limit) {
      chance.tell(tape)
      const prediction = predict(network, request)
      if (!isPrediction(prediction)) return prediction
      all.push(prediction)
      tape = chance.following()
    }
  } finally {
    chance.untell()
  }
  return { all, followed: tape === undefined ? 1 : all.reduce((sum, { probability }) => sum + probability, 0) }
}

export function areOutcomes(result: OutcomePredictions | readonly Problem[]): result is OutcomePredictions {
  return !Array.isArray(result)
}

/** What any of them brings: to be ready for whatever the kernel draws. */
export function together({ all }: OutcomePredictions): Pick<Prediction, 'outcome' | 'frames' | 'drops'> {
  return { outcome: all[0].outcome, frames: all.flatMap(({ frames }) => frames), drops: all.flatMap(({ drops }) => drops) }
}

/** That takes the longest: a laboratory has to wait for any of them. */
export function longest({ all }: OutcomePredictions): Prediction {
  return all.reduce((most, one) => (one.durationNs > most.durationNs ? one : most))
}
