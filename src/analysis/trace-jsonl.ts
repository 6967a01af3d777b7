/** A trace document → one JSON object a line, in the order of the steps, for jq and for whoever reads while it comes. */
import type { FrameDocument, HopDocument, LegDocument, TraceDocument } from './trace-document.js'

/** Events `trace` (the question), `step`, `frame` (behind the step that showed it) and `result`. Ends with a newline. */
export function traceJsonLines(document: TraceDocument): string {
  const { apiVersion, disposition, metadata, request, forward, reply, result, mtu, devices, warnings, notModelled } = document
  const events = [
    { event: 'trace', apiVersion, metadata, request, devices },
    ...legEvents('forward', forward),
    ...(reply === null ? [] : legEvents('reply', reply)),
    { event: 'result', ...result, disposition, forward: forward.disposition, reply: reply?.disposition ?? null, mtu, warnings, notModelled },
  ]
  return events.map((event) => `${JSON.stringify(event)}\n`).join('')
}

function legEvents(leg: string, { hops, frames }: LegDocument): object[] {
  const waiting = [...frames]
  const events: object[] = []
  const framesUpTo = (step: number): void => {
    while (waiting.length > 0 && (waiting[0].step ?? 0) <= step) events.push(frameEvent(leg, waiting.shift() as FrameDocument))
  }
  for (const { steps, ...place } of hops) {
    for (const step of steps) {
      events.push({ event: 'step', leg, ...placeOf(place), ...step })
      framesUpTo(step.n)
    }
  }
  framesUpTo(Infinity)
  return events
}

function placeOf({ node, netns, pod }: Omit<HopDocument, 'steps'>): object {
  return { node, netns, ...(pod === undefined ? {} : { pod }) }
}

function frameEvent(leg: string, frame: FrameDocument): object {
  return { event: 'frame', leg, ...frame }
}
