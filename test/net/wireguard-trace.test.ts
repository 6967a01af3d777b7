/** IPIP and WireGuard as a trace tells them: one question through flannel's backends, from the first step to the last word. */
import { describe, expect, it } from 'vitest'
import type { StepDocument, TraceDocument } from '../../src/analysis/trace-document.js'
import { flannelCluster, type Backend, type ClusterWords } from '../kit/flannel-cluster.js'
import { answer, networkOf, type Ask } from '../kit/network.js'

function ask(backend: Backend, words: Ask = {}, more: Partial<ClusterWords> = {}): TraceDocument {
  return answer(networkOf(flannelCluster({ backend, ...more })), 'pod-a', 'pod-b', words).document
}

const steps = (document: TraceDocument, ...kinds: readonly string[]): readonly StepDocument[] =>
  document.forward.hops.flatMap((hop) => hop.steps).filter(({ kind }) => kinds.includes(kind))
const told = (document: TraceDocument, ...kinds: readonly string[]): readonly string[] =>
  steps(document, ...kinds).map(({ action, text }) => `${action} ${text}`)

describe('ipip', () => {
  it('encapsulates and unwraps in words, 20 bytes either way', () => {
    const document = ask('ipip')
    expect(told(document, 'encap', 'decap')).toEqual([
      'ENCAP ipip 192.168.0.100→192.168.0.200, +20 bytes',
      'DECAP ipip from 192.168.0.100: out of flannel.ipip',
    ])
    expect(steps(document, 'encap', 'decap').map(({ bytesAdded }) => bytesAdded)).toEqual([20, -20])
    expect([document.disposition, document.reply?.disposition]).toEqual(['DELIVERED', 'DELIVERED'])
  })

  it('has frames of 1034 bytes for a packet of 1000', () => {
    const document = ask('ipip', { size: 1000 })
    const outer = document.forward.frames.filter(({ device }) => device === 'eth0').filter(({ netns }) => netns === 'host-a' || netns === 'host-b')
    expect(outer.map(({ length }) => length)).toEqual([1034, 1034])
  })

  it('an underlay of 1400: cut without DF, told 1380 with it', () => {
    const underlay = { segments: [{ name: 's0', cidr: '192.168.0.0/24', router: '192.168.0.254', mtu: 1400 }] }
    const cut = ask('ipip', { size: 1380 }, { underlay })
    expect(cut.disposition).toBe('DELIVERED')
    const big = ask('ipip', { size: 1381, df: true }, { underlay })
    expect(big.disposition).toBe('TOO_BIG')
  })
})

describe('wireguard', () => {
  it('encapsulates and unwraps in words, the padding apart', () => {
    const document = ask('wireguard')
    expect(told(document, 'encap', 'decap')).toEqual([
      'ENCAP wireguard, peer YmJiYmJi…, udp 51820→51820, 192.168.0.100→192.168.0.200, +72 bytes (60 and 12 of padding)',
      'DECAP wireguard, peer YWFhYWFh…, from 192.168.0.100:51820: out of flannel-wg',
    ])
    expect(document.disposition).toBe('DELIVERED')
    expect(told(document, 'handshake')).toEqual([])
  })

  it('has frames of 1082 bytes for a packet of 1000, and no word of padding where there is none', () => {
    const document = ask('wireguard', { size: 1000 })
    expect(document.forward.frames.filter(({ netns, device }) => netns === 'host-a' && device === 'eth0').map(({ length }) => length)).toEqual([1082])
    expect(told(ask('wireguard', { size: 992 }), 'encap')[0]).toMatch(/, \+60 bytes$/)
  })

  it('cold: the handshake is told, is no end of the question, and its frames are there', () => {
    const document = ask('wireguard', { cold: true })
    expect(told(document, 'handshake')).toEqual([
      'WAIT no session with peer YmJiYmJi… yet, the packet waits for the handshake',
      'SENT initiation to peer YmJiYmJi… at 192.168.0.200:51820',
      'RECEIVED initiation from peer YWFhYWFh… at 192.168.0.100:51820',
      'SENT response to peer YWFhYWFh… at 192.168.0.100:51820',
      'RECEIVED response from peer YmJiYmJi… at 192.168.0.200:51820',
    ])
    expect([document.disposition, document.reply?.disposition]).toEqual(['DELIVERED', 'DELIVERED'])
    const lengths = document.forward.frames
      .filter(({ netns, device, length }) => netns === 'host-a' && device === 'eth0' && length > 42)
      .map(({ length }) => length)
    expect(lengths).toEqual([190, 134, 170])
  })

  it('cold, and the other host drops the handshake: asked 20 times, lost without a word', () => {
    const hosts = { 'host-b': { iptables: ['-t filter -I INPUT -p udp --dport 51820 -j DROP'] } }
    const document = ask('wireguard', { cold: true }, { hosts })
    expect([document.disposition, document.reply]).toEqual(['NO_VTEP', null])
    expect(told(document, 'handshake').filter((text) => text.startsWith('SENT'))).toHaveLength(20)
    expect(told(document, 'handshake').at(-1)).toMatch(/, attempt 20$/)
  })

  it('an address of the Network that nobody leases is refused by the device, and the sender told', () => {
    const { document } = answer(networkOf(flannelCluster({ backend: 'wireguard' })), 'pod-a', '10.1.99.9')
    expect(document.disposition).toBe('NO_VTEP')
    expect(document.reply?.disposition).toBe('DELIVERED')
    const errors = (document.reply?.hops ?? []).flatMap((hop) => hop.steps).filter(({ kind }) => kind === 'icmp')
    expect(errors.map(({ action, text }) => `${action} ${text}`)).toEqual(['SENT host unreachable, to 10.1.15.2 from 10.1.15.1'])
  })
})
