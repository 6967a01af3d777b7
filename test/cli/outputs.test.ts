/**
 * What `netsim trace` gives away, asked through the command line: captures that Wireshark reads without a complaint and that hold the very
 * frames of -o json, on every example; the other forms; and every way to ask for two things at once, or for one in a wrong place.
 */
import { Buffer } from 'node:buffer'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { FrameDocument, TraceDocument } from '../../src/analysis/trace-document.js'
import { readPcapng, type ReadCapture } from '../wire/pcapng-reader.js'
import { fieldsOf, HAS_TSHARK, wireshark } from '../wire/wireshark.js'
import { netsim } from './memory-io.js'

const EXAMPLES = fileURLToPath(new URL('../../examples', import.meta.url))

/** How the bytes of tunnels are read, all checksums looked at. Frames seen on several devices are no retransmissions. */
const STRICT = [
  ...['-d', 'udp.port==8472,vxlan', '-d', 'udp.port==8285,ip'],
  ...['ip.check_checksum:TRUE', 'udp.check_checksum:TRUE', 'tcp.check_checksum:TRUE', 'ip.defragment:FALSE', 'tcp.analyze_sequence_numbers:FALSE'].flatMap(
    (option) => ['-o', option],
  ),
]

interface Asked {
  readonly document: TraceDocument
  readonly file: Buffer
  readonly capture: ReadCapture
}

async function ask(words: readonly string[], cwd = EXAMPLES): Promise<Asked> {
  const json = await netsim(['trace', ...words, '-o', 'json'], { cwd })
  const pcap = await netsim(['trace', ...words, '--pcap', '-'], { cwd })
  expect(json.code, json.err).toBeLessThan(2)
  expect(pcap.code).toBe(json.code)
  const file = Buffer.from(pcap.out, 'latin1')
  return { document: JSON.parse(json.out) as TraceDocument, file, capture: readPcapng(file) }
}

function framesOf({ forward, reply }: TraceDocument): FrameDocument[] {
  return [...forward.frames, ...(reply?.frames ?? [])].sort((a, b) => a.timeNs - b.timeNs)
}

/** Of a port that has no protocol of its own: the payload is a pattern, and tshark would call it malformed DNS. */
const PROBES: readonly (readonly string[])[] = [
  [''],
  [':8080'],
  [':8080', '--size', '1400'],
  [':9000', '--proto', 'udp', '--size', '3000', '--cold'],
  ['', '--ttl', '2'],
]

interface Item {
  readonly namespace: string
  readonly name: string
  readonly ip: string
}

/** The first pod, and the last that has another address; without one an address outside. */
async function endsOf(example: string): Promise<[string, string]> {
  const { out, err } = await netsim(['show', 'pods', '-o', 'json', '-f', example], { cwd: EXAMPLES })
  expect(err).not.toContain('error')
  const [first, ...others] = (JSON.parse(out) as { items: Item[] }).items
  const last = others.findLast(({ ip }) => ip !== first.ip)
  return [`${first.namespace}/${first.name}`, last === undefined ? '203.0.113.9' : `${last.namespace}/${last.name}`]
}

function checkSame({ document, capture }: Asked): void {
  const frames = framesOf(document)
  expect(frames.length).toBeGreaterThan(0)
  expect(capture.packets.map((packet) => packet.bytes.toString('hex'))).toEqual(frames.map(({ hex }) => hex))
  expect(capture.packets.map(({ time }) => Number(time))).toEqual(frames.map(({ timeNs }) => timeNs))
  expect(capture.packets.map(({ id }) => Number(id))).toEqual(frames.map(({ packet }) => packet))
  expect(capture.packets.map((packet) => packet.flags & 3)).toEqual(frames.map(({ direction }) => (direction === 'rx' ? 1 : 2)))
  expect(capture.packets.map((packet) => capture.interfaces[packet.interface].name)).toEqual(frames.map(({ netns, device }) => `${netns}/${device}`))
}

const CHECKED = ['_ws.malformed', 'ip.checksum.status', 'udp.checksum.status', 'tcp.checksum.status', 'icmp.checksum.status']

/** Several files end to end are one file of several sections. */
function checkWithWireshark(asked: readonly Asked[]): void {
  const file = Buffer.concat(asked.map((one) => one.file))
  const frames = asked.flatMap(({ document }) => framesOf(document))
  const rows = fieldsOf(file, ['frame.packet_id', 'frame.len', ...CHECKED], STRICT)
  expect(rows.map(([id, length]) => [Number(id), Number(length)])).toEqual(frames.map(({ packet, length }) => [packet, length]))
  expect(rows.map((row) => row[2]).filter((malformed) => malformed !== '')).toEqual([])
  // 0 is bad, 1 good, 2 not looked at: what is split over fragments, or quoted in part by an ICMP error.
  const statuses = rows.flatMap((row) => row.slice(3).flatMap((cell) => cell.split(',')))
  expect(statuses.filter((status) => !['', '1', '2'].includes(status))).toEqual([])
  expect(statuses.filter((status) => status === '1').length).toBeGreaterThan(frames.length / 2)
  expect(wireshark('capinfos', file, ['-c', '-T', '-r'])).toContain(`\t${frames.length}\n`)
}

const examples = readdirSync(EXAMPLES)
  .filter((name) => name.endsWith('.yaml'))
  .sort()

describe('--pcap', () => {
  it.each(examples)('of examples/%s holds the frames of -o json, and Wireshark finds no fault', { timeout: 60_000 }, async (example) => {
    const [source, destination] = await endsOf(example)
    const asked: Asked[] = []
    for (const [port, ...flags] of PROBES) asked.push(await ask([source, `${destination}${port}`, ...flags, '-f', example]))
    for (const one of asked) checkSame(one)
    if (HAS_TSHARK) checkWithWireshark(asked)
  })
})

describe('a capture', () => {
  it('describes each device once, with its kind, MTU and link', async () => {
    const { capture } = await ask(['pod-a', 'pod-b'])
    const described = capture.interfaces.map(({ name, description, linkType, mac }) => [name, description, linkType, mac === undefined])
    expect(described.filter(([name]) => !String(name).includes('veth'))).toEqual([
      ['default/pod-a/eth0', 'veth, mtu 1472', 1, false],
      ['host-a/docker0', 'bridge, mtu 1472', 1, false],
      ['host-a/flannel0', 'tun, mtu 1472', 101, true],
      ['host-a/eth0', 'nic, mtu 1500', 1, false],
      ['host-b/eth0', 'nic, mtu 1500', 1, false],
      ['host-b/flannel0', 'tun, mtu 1472', 101, true],
      ['host-b/docker0', 'bridge, mtu 1472', 1, false],
      ['default/pod-b/eth0', 'veth, mtu 1472', 1, false],
    ])
    expect(new Set(capture.interfaces.map(({ name }) => name)).size).toBe(capture.interfaces.length)
  })

  it('keeps one id from the pod through the tunnel to the other pod, and gives the answer its own', async () => {
    const { document, file, capture } = await ask(['shop/web-0', 'shop/api-0', '-f', 'flannel-vxlan.yaml'])
    const ids = capture.packets.map(({ id }) => id)
    const half = ids.length / 2
    expect(new Set(ids.slice(0, half)).size).toBe(1)
    expect(new Set(ids.slice(half)).size).toBe(1)
    expect(ids[0]).not.toBe(ids[half])
    expect(new Set(capture.packets.slice(0, half).map((packet) => packet.interface)).size).toBe(half)
    if (!HAS_TSHARK) return
    const rows = fieldsOf(file, ['frame.packet_id', 'frame.interface_name'], STRICT)
    expect(rows).toEqual(framesOf(document).map(({ packet, netns, device }) => [`${packet}`, `${netns}/${device}`]))
  })

  it('gives every step to one frame of its packet, in order', async () => {
    const { document, capture } = await ask(['shop/web-0', 'shop/api-0:8080', '-f', 'flannel-vxlan.yaml'])
    const numbers = capture.packets.flatMap(({ comments }) => comments.flatMap((comment) => /^step (\d+): /.exec(comment)?.[1] ?? [])).map(Number)
    const legs = [document.forward, document.reply].flatMap((leg) => leg?.hops ?? [])
    expect(numbers).toEqual(legs.flatMap(({ steps }) => steps.map(({ n }) => n)))
    expect(capture.packets.flatMap(({ comments }) => comments).filter((comment) => !comment.startsWith('step '))).toEqual([
      'forward DELIVERED',
      'reply DELIVERED',
    ])
  })

  it('puts the verdict on the last frame of a packet that was dropped, and nowhere else', async () => {
    const { document, capture } = await ask(['web-0', 'api-0:9000', '-f', 'flannel-firewall.yaml'])
    expect(document.disposition).toBe('DENIED')
    expect(capture.packets.map(({ verdict }) => verdict)).toEqual([...capture.packets.slice(1).map(() => undefined), [1, 2n]])
    expect(capture.packets.at(-1)?.comments.at(-1)).toMatch(/^forward DENIED \(kernel: NETFILTER_DROP\), /)
    expect(capture.section.get(1)?.at(-1)).toMatch(/^DENIED: /)
    const { capture: fine } = await ask(['web-0', 'api-0', '-f', 'flannel-firewall.yaml'])
    expect(fine.packets.filter(({ verdict }) => verdict !== undefined)).toEqual([])
  })

  it('says to whom a frame was addressed: a bridge port hears what is not for its MAC, ARP asks all', async () => {
    const { document, capture } = await ask(['pod-a', 'pod-b', '--cold'])
    const reception = capture.packets.map((packet) => [capture.interfaces[packet.interface].name, (packet.flags >> 2) & 7] as const)
    const arp = framesOf(document).map(({ hex }) => hex.startsWith('ffffffffffff'))
    reception.forEach(([name, type], index) => {
      if ((capture.packets[index].flags & 3) === 2 || name.endsWith('flannel0')) expect(type).toBe(0)
      else expect(type).toBe(arp[index] ? 3 : name.includes('/veth') ? 4 : 1)
    })
    expect(reception.map(([, type]) => type)).toEqual(expect.arrayContaining([0, 1, 3, 4]))
  })

  it('holds no frame of a packet that never left, and says why', async () => {
    const { document, file, capture } = await ask(['pod-a', 'pod-b', '--size', '3000', '--df'])
    expect(document.forward.frames).toEqual([])
    expect([capture.interfaces, capture.packets]).toEqual([[], []])
    expect(capture.section.get(1)).toHaveLength(2)
    expect(capture.section.get(1)?.[1]).toMatch(new RegExp(`^${document.disposition}`))
    if (HAS_TSHARK) expect(fieldsOf(file, ['frame.number'])).toEqual([])
  })

  it('is the same bytes each time, and names no machine, date or folder', async () => {
    const [one, two] = await Promise.all([ask(['pod-a', 'pod-b']), ask(['pod-a', 'pod-b'], tmpdir())])
    expect(one.file.equals(two.file)).toBe(true)
    expect(one.file.toString('latin1')).not.toContain(process.cwd())
    expect(one.capture.packets[0].time).toBe(0n)
  })

  it('takes the largest packet that IP has, in its fragments', async () => {
    const { document, capture } = await ask(['pod-a', 'pod-b', '--size', '65535'])
    expect(capture.packets).toHaveLength(framesOf(document).length)
    expect(capture.packets.length).toBeGreaterThan(800)
    expect(Math.max(...capture.packets.map(({ originalLength }) => originalLength))).toBe(65_535 + 14)
    expect(new Set(capture.packets.map(({ id }) => id)).size).toBe(2)
  })
})

/** A folder of its own for what is written. */
async function inFolder<Result>(use: (folder: string) => Promise<Result>): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'netsim-outputs-'))
  try {
    return await use(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

describe('--pcap FILE', () => {
  it('writes the capture beside the text, under any name', () =>
    inFolder(async (folder) => {
      const file = 'путь 名.pcapng'
      const plain = await netsim(['trace', 'pod-a', 'pod-b'])
      const { code, out, err } = await netsim(['trace', 'pod-a', 'pod-b', '--pcap', file], { cwd: folder, terminal: true, env: { NO_COLOR: '1' } })
      expect({ code, out, err }).toEqual({ code: 0, out: plain.out, err: '' })
      const { file: piped } = await ask(['pod-a', 'pod-b'])
      expect(readFileSync(join(folder, file)).equals(piped)).toBe(true)
    }))

  it('goes with --svg and with any -o', () =>
    inFolder(async (folder) => {
      const { code, out } = await netsim(['trace', 'pod-a', 'pod-b', '--pcap', 'a', '--svg', 'b', '-o', 'minimal'], { cwd: folder })
      expect(code).toBe(0)
      expect(out).toMatch(/^netsim-minimal 1\n/)
      expect(readPcapng(readFileSync(join(folder, 'a'))).packets).toHaveLength(20)
      expect(readFileSync(join(folder, 'b'), 'utf8')).toMatch(/^<svg/)
      const { out: svg } = await netsim(['trace', 'pod-a', 'pod-b', '--pcap', 'c', '--svg', '-'], { cwd: folder })
      expect(svg).toMatch(/^<svg/)
      expect(readFileSync(join(folder, 'c')).equals(readFileSync(join(folder, 'a')))).toBe(true)
    }))

  it('writes what was lost, with its exit status', () =>
    inFolder(async (folder) => {
      const { code } = await netsim(['trace', 'pod-a', 'pod-b', '--ttl', '1', '--pcap', 'lost'], { cwd: folder })
      expect(code).toBe(1)
      const { packets } = readPcapng(readFileSync(join(folder, 'lost')))
      expect(packets.filter(({ verdict }) => verdict !== undefined)).toHaveLength(1)
    }))
})

describe('two things that want one place', () => {
  it.each([
    ['--pcap - -o json', {}, '--pcap - and -o json both want standard output: give one of them a file'],
    ['--pcap - -o minimal', {}, '--pcap - and -o minimal both want'],
    ['--pcap - --svg -', {}, '--pcap - and --svg - both want'],
    ['--pcap -', { terminal: true }, 'standard output is a terminal: pipe it'],
    ['--pcap /nowhere/at/all.pcapng', {}, '--pcap /nowhere/at/all.pcapng cannot be written: ENOENT'],
    ['--pcap /', {}, '--pcap / cannot be written: EISDIR'],
    ['--pcap=', {}, '--pcap needs the name of a file, or - for standard output'],
  ])('trace %s %j is refused', async (flags, around, message) => {
    const { code, out, err } = await netsim(['trace', 'pod-a', 'pod-b', ...flags.split(' ')], around)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain(message)
  })

  it('text is what --pcap - stands in for, so saying so is no contradiction', async () => {
    const { code, out } = await netsim(['trace', 'pod-a', 'pod-b', '-o', 'text', '--pcap', '-'])
    expect(code).toBe(0)
    expect(readPcapng(Buffer.from(out, 'latin1')).packets).toHaveLength(20)
  })

  it.each([
    ['trace a b -o yaml', 'take text, wide, json, jsonl, minimal or mermaid'],
    ['trace a b -o mermade', 'Did you mean mermaid?'],
    ['trace a b -o widd', 'Did you mean wide?'],
    ['show nodes -o wide', 'take text or json'],
  ])('%s', async (line, message) => {
    const { code, err } = await netsim(line.split(' '))
    expect(code).toBe(2)
    expect(err).toContain(message)
  })
})

describe('-o jsonl', () => {
  it('has the question, every step, every frame behind its step, and the result', async () => {
    const { out } = await netsim(['trace', 'pod-a', 'pod-b', '-o', 'jsonl'])
    const { document } = await ask(['pod-a', 'pod-b'])
    const events = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(events[0]).toMatchObject({ event: 'trace', apiVersion: 'netsim/v1', request: document.request })
    expect(events.at(-1)).toMatchObject({ event: 'result', disposition: 'DELIVERED', forward: 'DELIVERED', reply: 'DELIVERED', mtu: document.mtu })
    const legs = [document.forward, document.reply].flatMap((leg) => (leg === null ? [] : [leg]))
    expect(events.filter(({ event }) => event === 'step').map(({ n, timeNs, kind }) => [n, timeNs, kind])).toEqual(
      legs.flatMap(({ hops }) => hops.flatMap(({ steps }) => steps.map(({ n, timeNs, kind }) => [n, timeNs, kind]))),
    )
    expect(events.filter(({ event }) => event === 'frame').map(({ hex }) => hex)).toEqual(legs.flatMap(({ frames }) => frames.map(({ hex }) => hex)))
    events.forEach((one, index) => {
      if (one.event === 'frame') expect(events.slice(0, index).findLast(({ event }) => event === 'step')?.n).toBe(one.step)
    })
  })
})

describe('docs/output.md', () => {
  it('draws the diagram that it prints', async () => {
    const root = fileURLToPath(new URL('../..', import.meta.url))
    const page = readFileSync(join(root, 'docs/output.md'), 'utf8')
    const drawn = /^```mermaid\n(.*?)^```/ms.exec(page)?.[1]
    const { out } = await netsim(['trace', 'web-0', 'api-0:9000', '-o', 'mermaid', '-f', 'examples/flannel-firewall.yaml'], { cwd: root })
    expect(drawn).toBe(out)
  })
})
