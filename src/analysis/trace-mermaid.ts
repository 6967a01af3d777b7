/**
 * A trace document → a Mermaid sequence diagram, for a page on GitHub: a box for each machine, in it the pods and the host that the packet
 * came through, arrows for frames from one to the next, notes for what changed the packet, a cross where it was lost. Fragments and the
 * rounds of a loop share an arrow (×N), so that the diagram stays one that people can read.
 */
import type { DeviceKind } from '../net/device.js'
import { printable } from './text-style.js'
import { changesOf, isLoss } from './trace-text-hops.js'
import type { HopDocument, LegDocument, StepDocument, TraceDocument } from './trace-document.js'

const TUNNELS: readonly DeviceKind[] = ['tun', 'vxlan', 'ipip', 'wireguard']

/** Ends with a newline. */
export function traceMermaid(document: TraceDocument): string {
  const people = participantsOf(document)
  const lines = ['sequenceDiagram', ...boxLines(people)]
  const tunnels = new Set((document.devices ?? []).filter(({ kind }) => TUNNELS.includes(kind)).map(({ netns, device }) => `${netns} ${device}`))
  lines.push(...legLines(document, { name: 'forward', leg: document.forward, people, tunnels }))
  if (document.reply !== null) lines.push(...legLines(document, { name: 'reply', leg: document.reply, people, tunnels }))
  return `${lines.join('\n')}\n`
}

interface Participant {
  readonly id: string
  readonly label: string
  readonly node: string
}

/** Netns → participant, in the order of appearance. */
type Participants = ReadonlyMap<string, Participant>

function participantsOf({ forward, reply }: TraceDocument): Participants {
  const found = new Map<string, Participant>()
  for (const hop of [...forward.hops, ...(reply?.hops ?? [])]) {
    if (!found.has(hop.netns)) found.set(hop.netns, { id: `p${found.size + 1}`, label: labelOf(hop), node: hop.node })
  }
  return found
}

function labelOf({ netns, node, pod }: HopDocument): string {
  if (pod !== undefined) return `pod ${pod}`
  return netns === node && !netns.startsWith('router/') ? `host ${netns}` : netns.replace('/', ' ')
}

/** One box a node, with all that is on it. */
function boxLines(people: Participants): string[] {
  const nodes = [...new Set([...people.values()].map(({ node }) => node))]
  return nodes.flatMap((node) => {
    const members = [...people.values()].filter((one) => one.node === node)
    const lines = members.map(({ id, label }) => `participant ${id} as ${escaped(label)}`)
    if (node === '' || node.startsWith('router/')) return lines.map((line) => `  ${line}`)
    return [`  box transparent ${escaped(node)}`, ...lines.map((line) => `    ${line}`), '  end']
  })
}

/**
 * Mermaid reads `;` and `#` itself, HTML and markdown are none of a name's business, and a line ends a statement: whatever is no letter,
 * digit or harmless sign becomes an entity code of Mermaid's own (#59;).
 */
function escaped(text: string): string {
  return printable(text, false).replace(/[^\p{L}\p{N} ./:,()+→×=_-]/gu, (letter) => `#${letter.codePointAt(0)};`)
}

interface Arrow {
  readonly from: string
  readonly to: string
  readonly step: number
  readonly lengths: Set<number>
  readonly what: string
  count: number
}

interface Note {
  readonly over: string
  readonly lines: string[]
}

type Item = Arrow | Note

interface Walk {
  readonly name: string
  readonly leg: LegDocument
  readonly people: Participants
  /** `netns device` of the devices that frames come out of without a cable. */
  readonly tunnels: ReadonlySet<string>
}

/** An arrow wherever a packet was received in another netns than the one that sent it last. */
function itemsOf({ leg, people, tunnels }: Walk): Item[] {
  const items: Item[] = []
  const arrows = new Map<string, Arrow>()
  const said = new Set<string>()
  /** Of each packet, whence it was sent, the last first. */
  const sent = new Map<number, string[]>()
  for (const { netns, steps } of leg.hops) {
    const here = people.get(netns)?.id ?? ''
    for (const step of steps) {
      const packet = step.packet ?? 0
      const senders = sent.get(packet) ?? []
      if (step.kind === 'send') sent.set(packet, [netns, ...senders.filter((name) => name !== netns)])
      const from = senders.find((name) => name !== netns)
      // What comes out of a tunnel was received before, on the card.
      if (step.kind === 'receive' && from !== undefined && !tunnels.has(`${netns} ${step.at?.device ?? ''}`)) {
        addArrow(items, arrows, { key: `${packet} ${from} ${netns}`, from: people.get(from)?.id ?? '', to: here, step })
      }
      const note = noteOf(step, leg)
      if (note === undefined || said.has(`${packet} ${netns} ${note}`)) continue
      said.add(`${packet} ${netns} ${note}`)
      const last = items.at(-1)
      if (last !== undefined && 'over' in last && last.over === here) last.lines.push(note)
      else items.push({ over: here, lines: [note] })
    }
  }
  return items
}

interface NewArrow {
  readonly key: string
  readonly from: string
  readonly to: string
  readonly step: StepDocument
}

function addArrow(items: Item[], arrows: Map<string, Arrow>, { key, from, to, step }: NewArrow): void {
  const known = arrows.get(key)
  const length = step.frameLength ?? 0
  if (known !== undefined) {
    known.count++
    known.lengths.add(length)
    return
  }
  const arrow: Arrow = { from, to, step: step.n, lengths: new Set([length]), what: step.at?.device ?? '', count: 1 }
  arrows.set(key, arrow)
  items.push(arrow)
}

/** Kinds that a reader of the diagram wants to see; the others are in the text. How the leg ended is said at its end. */
function noteOf(step: StepDocument, { disposition }: LegDocument): string | undefined {
  const { kind, action, text, at, bytesAdded, policy } = step
  const changes = changesOf(step).join(', ')
  if (kind === 'forward') return changes === '' ? undefined : changes
  if (kind === 'encap' || kind === 'decap' || kind === 'nat' || kind === 'agent') return text
  if (action === 'ACCEPT' && policy?.some(({ reason }) => reason === 'rule' || reason === 'profile') === true) return text.replace(/^[A-Z]+: /, '')
  if (kind === 'icmp' || (kind === 'drop' && action !== disposition)) return `${action}: ${text}`
  if (kind === 'fragment') return `fragments for ${at?.device ?? 'the device'}`
  if (kind === 'defragment') return action === 'KEPT' ? undefined : text
  if (kind === 'originate' && action === 'ASK') return text
  if (kind === 'arp' && action !== 'IGNORED') return `${action}: ${text}`
  if ((action === 'DROP' || action === 'REJECT') && !isLoss(disposition)) return `${action}: ${at?.table === undefined ? '' : `${at.table} `}${text}`
  return bytesAdded === undefined ? undefined : text
}

function legLines(document: TraceDocument, walk: Walk): string[] {
  const { leg, name, people } = walk
  const arrow = name === 'reply' ? '-->>' : '->>'
  const lines = itemsOf(walk).map((item) => {
    if ('over' in item) return `  Note over ${item.over}: ${item.lines.map(escaped).join('<br/>')}`
    const lengths = [...item.lengths].sort((a, b) => a - b)
    const bytes = lengths.length === 1 ? `${lengths[0]} bytes` : `${lengths[0]} to ${lengths.at(-1)} bytes`
    return `  ${item.from}${arrow}${item.to}: ${escaped(`${item.step} ${item.what}, ${bytes}${item.count === 1 ? '' : ` ×${item.count}`}`)}`
  })
  const hop = endOf(leg)
  const id = hop === undefined ? undefined : people.get(hop.netns)?.id
  if (id === undefined) return lines
  const verdict = escaped(`${name} ${leg.disposition}`)
  if (!isLoss(leg.disposition)) return [...lines, `  Note over ${id}: ${verdict}`]
  const cause = document.disposition === leg.disposition && document.result.cause !== '' ? `<br/>${escaped(document.result.cause)}` : ''
  return [...lines, `  ${id}${name === 'reply' ? '--x' : '-x'}${id}: ${verdict}${cause}`]
}

/** Where the leg ended. */
function endOf({ hops, disposition }: LegDocument): HopDocument | undefined {
  const ends = (step: StepDocument): boolean =>
    isLoss(disposition) ? step.kind === 'drop' || step.action === 'DROP' || step.action === 'REJECT' : step.action === 'DELIVERED'
  return hops.findLast(({ steps }) => steps.some(ends)) ?? hops.at(-1)
}
