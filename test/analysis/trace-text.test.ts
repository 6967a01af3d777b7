/** The text of a trace, on documents written by hand with the frames of a real kernel. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { printable, styleOf, wrap } from '../../src/analysis/text-style.js'
import type { TraceDocument } from '../../src/analysis/trace-document.js'
import { traceText, type TraceTextOptions } from '../../src/analysis/trace-text.js'
import { ALLOWED, BLACKHOLE, DENIED, FRAGMENTED } from './documents.js'

const PLAIN: TraceTextOptions = { width: 100, color: false, ascii: false, verbosity: 0, summaryOnly: false }

function text(document: TraceDocument, options: Partial<TraceTextOptions> = {}): string {
  return traceText(document, { ...PLAIN, ...options })
}

const widest = (printed: string): number => Math.max(...printed.split('\n').map((line) => [...line].length))

describe('the whole text', () => {
  it('allowed: both ways, the rule that decided, the size on the wire, MTU arithmetic', () => {
    expect(text(ALLOWED)).toMatchInlineSnapshot(`
      "default/a1 10.1.64.2 → default/b1 10.1.44.2   ICMP echo, 84 bytes
      flannel udp · docker · 2 nodes from cluster.yaml · seed 1 · warm

      n1 / pod default/a1                                                                         t=0.0 us
        1  route            default via 10.1.64.1 dev eth0                              84 B  UNICAST
        2  send eth0        mtu 1472                                              frame 98 B  SENT
      n1 / host                                                                                   t=8.0 us
        3  bridge docker0   from veth-a1, for docker0 itself                            84 B  LOCAL
        4  route            10.1.0.0/16 dev flannel0 ttl 64→63                          84 B  FORWARD
        5  filter/FORWARD   #1 -s 10.1.0.0/16 -j ACCEPT                                 84 B  ACCEPT
        6  nat/POSTROUTING  #2 -s 10.1.0.0/16 -d 10.1.0.0/16 -j RETURN (2               84 B  RETURN
                            tried)
        7  send flannel0    mtu 1472                                              frame 84 B  SENT
        8  agent            flanneld: 10.1.44.0/24 is at 192.168.10.12:8285             84 B  FORWARD
                            ttl 63→62
        9  encap            udp 8285→8285, 192.168.10.11→192.168.10.12            +28  112 B  ENCAPSULATED
       10  send eth0        mtu 1500                                             frame 126 B  SENT
      n2 / host                                                                                 t=527.0 us
       11  receive eth0     for us                                               frame 126 B  RECEIVED
       12  socket           flanneld on udp 8285                                       112 B  LOCAL
       13  decap            from 192.168.10.11                                     -28  84 B  DECAPSULATED
       14  agent            flanneld: written to flannel0 ttl 62→61                     84 B  FORWARD
       15  route            10.1.44.0/24 dev docker0 ttl 61→60                          84 B  FORWARD
       16  send docker0     mtu 1472                                              frame 98 B  SENT
      n2 / pod default/b1                                                                       t=869.0 us
       17  receive eth0     for us                                                frame 98 B  RECEIVED
       18  socket           ICMP echo, answered by the kernel                           84 B  DELIVERED

      reply   ICMP echo reply                                                                    DELIVERED
        19-20  n2 / pod default/b1  eth0 ttl 64                                     frame 98 B  t=890.0 us
        21-22  n2 / host            veth-b1 → docker0 → flannel0 → eth0 ttl 62     frame 126 B  t=896.0 us
           23  n1 / host            eth0 → flannel0 → docker0 → veth-a1 ttl 60     frame 126 B  t=921.0 us
           24  n1 / pod default/a1  eth0 ttl 60                                     frame 98 B  t=1.075 ms

      DELIVERED  default/a1 reaches default/b1 with ttl 60; reply DELIVERED (steps 19 to 24)
        client     echo reply after 1.1 ms, ttl 60
        size       84 + 28 overhead = 112 bytes on the underlay, 126 in a frame (14 Ethernet)
        mtu        1500 underlay - 20 IP - 8 UDP = 1472 inside; TCP MSS 1472 - 40 = 1432
        next       -v rules tried
                   -o json
      "
    `)
  })

  it('denied: the guilty step, its rule and where the rule comes from', () => {
    expect(text(DENIED)).toMatchInlineSnapshot(`
      "default/a1 10.1.64.2:40000 → default/b1 10.1.44.2:8080   TCP SYN, 60 bytes
      flannel udp · docker · 2 nodes from cluster.yaml · seed 1 · warm

      n1 / pod default/a1                                                                         t=0.0 us
        1  send eth0       mtu 1472                                                  frame 74 B  SENT
      n1 / host                                                                                   t=8.0 us
        2  route           10.1.0.0/16 dev flannel0 ttl 64→63                              60 B  FORWARD
        3  filter/FORWARD  #1 -p tcp -m tcp --dport 8080 -j DROP (1 rule tried)            60 B  DROP

      DENIED  step 3, n1 / host, filter/FORWARD rule 1                              kernel: NETFILTER_DROP
        cause      a rule of filter/FORWARD on n1 drops tcp to port 8080
        rule       -A FORWARD -p tcp -m tcp --dport 8080 -j DROP
                   from owner of the host, Network/default, cluster.yaml:41
        client     SYN retried, then connect timeout (no RST, no ICMP)
        warning    2 NetworkPolicies select these pods and have no effect: flannel enforces none
                   (policies/api.yaml:1, :31)
        fix        delete the rule, or let 10.1.44.2:8080 through in front of it
        next       netsim show iptables n1
      "
    `)
  })

  it('fragmenting: a line per fragment', () => {
    expect(text(FRAGMENTED)).toMatchInlineSnapshot(`
      "default/a1 10.1.64.2:40000 → default/b1 10.1.44.2:9000   UDP, 3028 bytes
      flannel udp · docker · 2 nodes from cluster.yaml · seed 1 · warm

      n1 / pod default/a1                                                                         t=0.0 us
        1  fragment eth0  offset 0, 1448 bytes of payload, more follow                   1468 B  FRAGMENT
        2  send eth0      mtu 1472                                                  frame 1482 B  SENT
        3  fragment eth0  offset 1448, 1448 bytes of payload, more follow                1468 B  FRAGMENT
        4  send eth0      mtu 1472                                                  frame 1482 B  SENT
        5  fragment eth0  offset 2896, 112 bytes of payload, the last                     132 B  FRAGMENT
        6  send eth0      mtu 1472                                                  frame 146 B  SENT
      n2 / pod default/b1                                                                       t=869.0 us
        7  defragment     3 fragments, the largest of 1468 bytes                         3028 B  COMPLETE
        8  socket         0.0.0.0:9000 (no containerPort declared: assumed open)         3028 B  DELIVERED

      DELIVERED  default/a1 reaches default/b1:9000 with ttl 60; nothing is sent back
        client     nothing: UDP is not acknowledged
        size       28 bytes overhead per packet; largest frame on the underlay 1510 bytes
        mtu        1500 underlay - 20 IP - 8 UDP = 1472 inside; TCP MSS 1472 - 40 = 1432
      "
    `)
  })

  it('too big for the underlay: the summary says by how much', () => {
    expect(text(BLACKHOLE, { summaryOnly: true })).toMatchInlineSnapshot(`
      "BLACKHOLE  step 3, n1 / host, drop eth0                                          kernel: PKT_TOO_BIG
        cause      1450 of the pod + 50 of vxlan = 1500, and eth0 of n1 carries 1400: 100 too many
        client     connect succeeds, small answers arrive, large transfers hang
        size       50 bytes overhead per packet
        mtu        1400 underlay - 20 IP - 8 UDP - 8 VXLAN - 14 Ethernet = 1350 inside;
                   the sender's device has mtu 1450, 100 too many; TCP MSS 1350 - 40 = 1310
        fix        set the pods to mtu 1350
        fix        or clamp the MSS to 1310
      "
    `)
  })
})

describe('depth', () => {
  it('-v names every rule tried, the term that failed and who wrote the rule', () => {
    const printed = text(ALLOWED, { verbosity: 1 })
    expect(printed).toMatch(/POSTROUTING #1 ! -s 10\.1\.0\.0\/16 -j MASQUERADE ! -s 10\.1\.0\.0\/16: +no match\n +10\.1\.64\.2\n/)
    expect(printed).toContain('from flanneld, network 10.1.0.0/16')
    expect(text(ALLOWED)).not.toContain('MASQUERADE')
  })

  it('-v shows the way back step by step', () => {
    expect(text(ALLOWED, { verbosity: 1 })).toMatch(/^ 22 {2}send eth0 /m)
    expect(text(ALLOWED)).not.toMatch(/^ 22 /m)
  })

  it('-vv shows what changed and every frame, each once, in words', () => {
    const printed = text(ALLOWED, { verbosity: 2 })
    expect(printed.match(/^ {5}\S+ (rx|tx) {2}frame of \d+ bytes/gm)).toHaveLength(ALLOWED.forward.frames.length + (ALLOWED.reply?.frames.length ?? 0))
    expect(printed).toContain('before  ttl=64')
    expect(printed).toContain('UDP 8285 > 8285, length 84')
    expect(printed).not.toContain('0x0000:')
  })

  it('-vvv adds every byte of every frame', () => {
    const printed = text(ALLOWED, { verbosity: 3 })
    const dumped = [...printed.matchAll(/^ {7}0x[0-9a-f]{4}: {2}((?:[0-9a-f]{2,4} )+)/gm)].map((match) => match[1].replaceAll(' ', '')).join('')
    expect(dumped).toBe([...ALLOWED.forward.frames, ...(ALLOWED.reply?.frames ?? [])].map((frame) => frame.hex).join(''))
    expect(printed).toContain('0x0030:  0000 e91c 0d00 0000 0000 1011 1213 1415  ................')
  })
})

describe('for any terminal', () => {
  it.each([ALLOWED, DENIED, FRAGMENTED, BLACKHOLE])('fits 80 and 100 columns, at every depth', (document) => {
    for (const width of [80, 100]) {
      for (const verbosity of [0, 1, 2, 3]) expect(widest(text(document, { width, verbosity }))).toBeLessThanOrEqual(width)
    }
  })

  it.each([ALLOWED, DENIED, FRAGMENTED, BLACKHOLE])('without colour loses no word and moves none', (document) => {
    for (const verbosity of [0, 2]) {
      const colored = text(document, { color: true, verbosity })
      expect(colored).toContain('\u001b[')
      // eslint-disable-next-line no-control-regex
      expect(colored.replace(/\u001b\[[0-9]+m/g, '').replace(/ +$/gm, '')).toBe(text(document, { verbosity }))
    }
  })

  it('paints the verdict, the guilty step and the warning', () => {
    const printed = text(DENIED, { color: true })
    expect(printed).toContain('\u001b[31mDENIED\u001b[39m')
    expect(printed).toContain('\u001b[31m  3\u001b[39m')
    expect(printed).toContain('\u001b[33m2\u001b[39m \u001b[33mNetworkPolicies')
    expect(text(ALLOWED, { color: true })).toContain('\u001b[32mDELIVERED\u001b[39m')
  })

  it('in plain letters has no other', () => {
    for (const document of [ALLOWED, DENIED, FRAGMENTED, BLACKHOLE]) expect(text(document, { ascii: true, verbosity: 3 })).toMatch(/^[\n\u0020-\u007e]*$/)
    expect(text(ALLOWED, { ascii: true })).toContain('ttl 64->63')
  })

  it('names from files cannot steer the terminal', () => {
    const hostile: TraceDocument = { ...DENIED, warnings: ['\u001b]0;owned\u0007\u202e'], result: { ...DENIED.result, cause: 'a\rb\u009b31m' } }
    // eslint-disable-next-line no-control-regex
    expect(text(hostile)).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/)
  })
})

describe('wrap', () => {
  it('loses no word and passes no width', () => {
    const words = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', '-'), minLength: 1, maxLength: 30 }), { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(words, fc.integer({ min: 5, max: 40 }), (list, width) => {
        const lines = wrap([{ text: list.join(' ') }], width, styleOf(false))
        expect(lines.join('').replaceAll(' ', '')).toBe(list.join(''))
        expect(lines.every((line) => line.length <= width)).toBe(true)
      }),
    )
  })

  it('printable leaves plain text as it is', () => {
    fc.assert(fc.property(fc.string({ unit: fc.constantFrom(...'abc 019/:→·') }), (words) => printable(words, false) === words))
  })
})
