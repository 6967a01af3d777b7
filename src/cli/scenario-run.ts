/** A loaded Scenario → its run, with a line of progress for whoever waits at a terminal. Loaded when a verb needs a run. */
import { runControlPlane, type Run } from '../network/time/control-plane.js'
import { momentText } from '../analysis/timeline/duration.js'
import type { Io } from './io.js'
import type { LoadedScenario } from './scenario-input.js'

export interface RunWish {
  readonly namespace: string
  /** Wins over the scenario's own. */
  readonly untilNs?: number
  /** Every watch event and BGP message in the diary. */
  readonly keepsWatches?: boolean
}

export function runLoaded({ scenario, cluster, seed, calico }: LoadedScenario, wish: RunWish, io: Io): Run {
  const progress = progressOf(io, 'agents')
  const run = runControlPlane({
    cluster,
    scenario,
    seed,
    ...wish,
    ...(calico === undefined ? {} : { calico }),
    onProgress: progress.tell,
  })
  progress.end()
  return run
}

export interface Progress {
  readonly tell: (atNs: number, untilNs: number) => void
  /** Nothing is left of the line. */
  end(): void
}

/** Of what is asked a hundred times over, a line for each percent. */
export function progressOf(io: Io, name: string): Progress {
  let shown = -1
  return {
    tell: (atNs, untilNs) => {
      const percent = atNs < 0 ? 0 : Math.floor((100 * atNs) / Math.max(1, untilNs))
      if (!io.outIsTerminal || percent === shown) return
      shown = percent
      void io.err(`\r\u001b[K${name}: ${momentText(Math.max(0, atNs))} of ${momentText(untilNs)}, ${percent} %`)
    },
    end: () => {
      if (shown >= 0) void io.err('\r\u001b[K')
    },
  }
}
