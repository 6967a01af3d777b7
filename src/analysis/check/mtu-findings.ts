/** Pairs whose full-size packets do not pass whole → findings: one for each place that sets the limit, measured with `trace --mtu`'s own report. */
import type { Network } from '../../network/network.js'
import { clientText, fixesOf } from '../mtu-advice.js'
import { fileText, placeText } from '../mtu-bands.js'
import type { DirectionDocument, LimitDocument, MtuReport } from '../mtu-document.js'
import { mtuReport } from '../mtu-report.js'
import { finding } from './catalogue.js'
import type { Evidence, Finding } from '../../base/finding.js'
import type { TooBig } from './model-check.js'

/** A report asks some hundred questions. */
const MOST_REPORTS = 6

/** @param told what was left out, in a sentence */
export function mtuFindings(network: Network, tooBig: readonly TooBig[], told: (what: string) => void): readonly Finding[] {
  const kinds = kindsOf(tooBig)
  if (kinds.length > MOST_REPORTS)
    told(`sizes: ${kinds.length - MOST_REPORTS} more places lose or cut full-size packets; netsim trace ${words(kinds[MOST_REPORTS])} --mtu`)
  const found = new Map<string, Measured & { pairs: number }>()
  for (const kind of kinds.slice(0, MOST_REPORTS)) {
    const report = mtuReport(network, kind.request)
    if (!('verdict' in report)) continue
    for (const direction of directionsOf(report)) {
      const id = `${direction.verdict} ${limitWords(direction.limit)}`
      const known = found.get(id)
      if (known === undefined) found.set(id, { direction, report, command: `netsim trace ${words(kind)} --mtu`, pairs: kind.pairs })
      else if (direction === report.forward) known.pairs += kind.pairs
    }
  }
  return [...found.values()].map((one) => findingOf(network, one, one.pairs))
}

interface Measured {
  readonly direction: DirectionDocument
  readonly report: MtuReport
  readonly command: string
}

/** Those that come to grief at the same place are one. */
function kindsOf(tooBig: readonly TooBig[]): readonly TooBig[] {
  const kinds = new Map<string, TooBig>()
  for (const one of tooBig) {
    const known = kinds.get(one.where)
    kinds.set(one.where, known === undefined ? one : { ...known, pairs: known.pairs + one.pairs })
  }
  return [...kinds.values()]
}

function findingOf(network: Network, { direction, report, command }: Measured, pairs: number): Finding {
  const fix = fixesOf(network, [direction], report.underlay).join('; ')
  return finding(direction.verdict === 'BLACKHOLE' ? 'NM301' : 'NM302', {
    what: `${sizeWords(direction)} (and so ${pairs === 1 ? '1 pair' : `${pairs} pairs`})`,
    effect: clientText(direction.verdict, report.request.proto),
    evidence: [{ ...evidenceOf(network, direction), command }],
    ...(fix === '' ? {} : { fix }),
  })
}

/** As people write them: a pod's name alone stands for itself. */
function words({ request }: TooBig): string {
  return `${request.source} ${request.destination}`.replaceAll('pod/', '')
}

const WHOLE = ['PASSES', 'UNREACHABLE', 'UNKNOWN']

function directionsOf({ forward, reverse }: MtuReport): readonly DirectionDocument[] {
  return [forward, ...(reverse === null ? [] : [reverse])].filter(({ verdict }) => !WHOLE.includes(verdict))
}

const FATES: Readonly<Record<string, string>> = {
  BLACKHOLE: 'vanish, and the sender is not told',
  FRAGMENTED: 'are cut on the way',
  TOLD: 'are lost, and the sender is told what fits',
  LEARNED: 'are lost until a host on the way has learned what fits',
}

function sizeWords({ from, to, verdict, full, largest }: DirectionDocument): string {
  return `${from} → ${to}: packets of ${largest + 1} to ${full} bytes ${FATES[verdict] ?? verdict}; ${largest} is the most that passes whole`
}

/** The same device with the same MTU on another node is the same cause. */
function limitWords(limit: LimitDocument | null): string {
  if (limit === null) return ''
  const { kind, place, mtu, overhead, text = '' } = limit
  const where = kind === 'device' ? '' : (place.segment ?? place.netns)
  return [kind, where, place.device ?? '', mtu, overhead, text].join(' ')
}

/** The line of the input where what sets the limit stands. */
function evidenceOf({ cluster }: Network, { limit }: DirectionDocument): Evidence {
  if (limit === null) return { what: 'no MTU sets the limit' }
  const { segment, netns, node } = limit.place
  const placed =
    limit.kind === 'segment' || segment !== undefined
      ? cluster.segments.find(({ name }) => name === segment)
      : (cluster.routers.find(({ name }) => `router/${name}` === netns) ?? cluster.nodeByName.get(node))
  const place = limit.provenance?.file === undefined ? placed : { file: limit.provenance.file, line: limit.provenance.line ?? 1 }
  return {
    what: `${placeText(limit.place)}: ${limit.text ?? limit.arithmetic}${limit.text === undefined ? '' : fileText(limit.provenance)}`,
    ...(place === undefined || place.line === 0 ? {} : { file: place.file, line: place.line }),
  }
}
