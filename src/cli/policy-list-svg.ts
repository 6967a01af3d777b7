/**
 * A PolicyMap as a picture: sources down, destinations across, a band for each namespace, a square for each pair that may talk (dark: everything,
 * light: something), the connections in its tooltip.
 */
import { xmlText } from '../analysis/xml-text.js'
import { connectionText, transportText } from '../policy/connection-text.js'
import type { ListForm } from '../policy/list/list-forms.js'
import { matrixPeers } from '../policy/list/list-matrix.js'
import type { ListPeer, PolicyMap } from '../policy/list/list.js'

const CELL = 16
const LETTER = 6.6
const MARGIN = 12
const STYLE = `text{font:11px ui-monospace,Menlo,Consolas,monospace;fill:#24292f}
.band{fill:#f3f5f7}.line{stroke:#d0d7de;stroke-width:1}.all{fill:#1a7f37}.some{fill:#7bc88f}.self{fill:#e1e4e8}
@media(prefers-color-scheme:dark){svg{background:#0d1117}text{fill:#e6edf3}.band{fill:#161b22}.line{stroke:#30363d}.self{fill:#30363d}}`

export function listSvg(map: PolicyMap, form: ListForm): string {
  const { sources, destinations } = matrixPeers(map)
  const label = Math.ceil(Math.max(0, ...[...sources, ...destinations].map(({ text }) => text.length)) * LETTER) + 8
  const [left, top] = [MARGIN + label, MARGIN + label]
  const width = left + destinations.length * CELL + MARGIN
  const height = top + sources.length * CELL + MARGIN + 24
  const rowOf = new Map(sources.map(({ text }, index) => [text, top + index * CELL]))
  const columnOf = new Map(destinations.map(({ text }, index) => [text, left + index * CELL]))
  const self = sources.flatMap(({ text }) => {
    const [x, y] = [columnOf.get(text), rowOf.get(text)]
    return x === undefined || y === undefined ? [] : square(x, y, 'self', '')
  })
  const squares = map.rows.map(({ source, destination, connections }) => {
    const text = form.transportOnly ? transportText(connections, false) : connectionText(connections)
    const isAll = text === transportText(connections, false) && text.startsWith('All')
    const title = `${source.text} => ${destination.text}${form.through === undefined ? ` : ${text}` : ''}`
    return square(columnOf.get(destination.text) ?? 0, rowOf.get(source.text) ?? 0, isAll ? 'all' : 'some', title)
  })
  const right = left + destinations.length * CELL
  const key = `from the left to the top; dark: everything, light: something${form.through === undefined ? '' : `; ${form.through} alone`}`
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    '<title>Who may reach whom</title>',
    `<style>${STYLE}</style>`,
    ...bands(sources).map(
      ({ from, to }) => `<rect class="band" x="${MARGIN}" y="${top + from * CELL}" width="${right - MARGIN}" height="${(to - from) * CELL}"/>`,
    ),
    ...edges(sources).map((index) => `<line class="line" x1="${MARGIN}" y1="${top + index * CELL}" x2="${right}" y2="${top + index * CELL}"/>`),
    ...edges(destinations).map(
      (index) => `<line class="line" x1="${left + index * CELL}" y1="${MARGIN}" x2="${left + index * CELL}" y2="${top + sources.length * CELL}"/>`,
    ),
    ...sources.map(({ text }, index) => `<text x="${left - 6}" y="${top + index * CELL + 12}" text-anchor="end">${xmlText(text)}</text>`),
    ...destinations.map(({ text }, index) => {
      const [x, y] = [left + index * CELL + 12, top - 6]
      return `<text x="${x}" y="${y}" transform="rotate(-90 ${x} ${y})">${xmlText(text)}</text>`
    }),
    ...self,
    ...squares,
    `<text x="${MARGIN}" y="${height - MARGIN}">${xmlText(key)}</text>`,
    '</svg>',
  ].join('\n')}\n`
}

function square(x: number, y: number, kind: 'all' | 'some' | 'self', title: string): string {
  const box = `x="${x + 2}" y="${y + 2}" width="${CELL - 4}" height="${CELL - 4}" rx="2"`
  return title === '' ? `<rect class="${kind}" ${box}/>` : `<rect class="${kind}" ${box}><title>${xmlText(title)}</title></rect>`
}

/** Every other namespace. */
function bands(peers: readonly ListPeer[]): readonly { readonly from: number; readonly to: number }[] {
  const starts = [0, ...edges(peers), peers.length]
  return starts.slice(0, -1).flatMap((from, index) => (index % 2 === 0 ? { from, to: starts[index + 1] } : []))
}

/** Where another namespace begins. */
function edges(peers: readonly ListPeer[]): readonly number[] {
  return peers.flatMap(({ namespace, kind }, index) => {
    if (index === 0) return []
    const before = peers[index - 1]
    return before.namespace === namespace && before.kind === kind ? [] : index
  })
}
