/** `show conntrack`: lines as the real tool prints them, and what a question leaves in each netns. */
import { describe, expect, it } from 'vitest'
import { parseIp } from '../../src/base/ip.js'
import { conntrackLine } from '../../src/cli/conntrack-text.js'
import type { ConntrackEntry, ConntrackTuple } from '../../src/net/netfilter/conntrack-list.js'
import { netsim } from './memory-io.js'

const ASSURED = 4
const SEEN_REPLY = 2

const tuple = (src: string, dst: string, ports: readonly [number, number]): ConntrackTuple => ({
  src: parseIp(src) ?? 0,
  dst: parseIp(dst) ?? 0,
  ports: (ports[0] << 16) | ports[1],
})
const entry = (fields: Pick<ConntrackEntry, 'proto' | 'original' | 'reply' | 'secondsLeft'> & Partial<ConntrackEntry>): ConntrackEntry => ({
  slot: 0,
  id: 1,
  status: SEEN_REPLY,
  mark: 0,
  ...fields,
})
const TO_SERVER = ['10.1.15.2', '192.168.0.200'] as const
const BACK = ['192.168.0.200', '192.168.0.100'] as const
const TO_NOBODY = ['10.1.15.2', '192.168.0.77'] as const
const FROM_NOBODY = ['192.168.0.77', '192.168.0.100'] as const

/**
 * `conntrack -L` (conntrack-tools 1.4.7, Linux 6.18) on a router that masquerades 10.1.15.0/24 and sends its port 8888, marked 0x2a, to
 * 192.168.0.200:80; `use` aside, which counts whoever looks.
 */
const REAL: readonly (readonly [line: string, entry: ConntrackEntry])[] = [
  [
    'udp      17 28 src=10.1.15.2 dst=192.168.0.200 sport=40000 dport=53 src=192.168.0.200 dst=192.168.0.100 sport=53 dport=40000 mark=0 use=1',
    entry({ proto: 17, secondsLeft: 28, original: tuple(...TO_SERVER, [40000, 53]), reply: tuple(...BACK, [53, 40000]) }),
  ],
  [
    'tcp      6 431998 ESTABLISHED src=10.1.15.2 dst=192.168.0.200 sport=40002 dport=80 src=192.168.0.200 dst=192.168.0.100 sport=80 dport=40002 [ASSURED] mark=0 use=1',
    entry({
      proto: 6,
      secondsLeft: 431998,
      tcpState: 'ESTABLISHED',
      status: SEEN_REPLY | ASSURED,
      original: tuple(...TO_SERVER, [40002, 80]),
      reply: tuple(...BACK, [80, 40002]),
    }),
  ],
  [
    'udp      17 28 src=10.1.15.2 dst=192.168.0.77 sport=40001 dport=9 [UNREPLIED] src=192.168.0.77 dst=192.168.0.100 sport=9 dport=40001 mark=0 use=1',
    entry({ proto: 17, secondsLeft: 28, status: 0, original: tuple(...TO_NOBODY, [40001, 9]), reply: tuple(...FROM_NOBODY, [9, 40001]) }),
  ],
  [
    'tcp      6 118 SYN_SENT src=10.1.15.2 dst=192.168.0.77 sport=40005 dport=81 [UNREPLIED] src=192.168.0.77 dst=192.168.0.100 sport=81 dport=40005 mark=0 use=1',
    entry({
      proto: 6,
      secondsLeft: 118,
      tcpState: 'SYN_SENT',
      status: 0,
      original: tuple(...TO_NOBODY, [40005, 81]),
      reply: tuple(...FROM_NOBODY, [81, 40005]),
    }),
  ],
  [
    'tcp      6 431998 ESTABLISHED src=10.1.15.2 dst=10.1.15.1 sport=40003 dport=8888 src=192.168.0.200 dst=192.168.0.100 sport=80 dport=40003 [ASSURED] mark=42 use=1',
    entry({
      proto: 6,
      secondsLeft: 431998,
      tcpState: 'ESTABLISHED',
      status: SEEN_REPLY | ASSURED,
      mark: 0x2a,
      original: tuple('10.1.15.2', '10.1.15.1', [40003, 8888]),
      reply: tuple(...BACK, [80, 40003]),
    }),
  ],
  [
    'icmp     1 28 src=10.1.15.2 dst=192.168.0.200 type=8 code=0 id=26672 src=192.168.0.200 dst=192.168.0.100 type=0 code=0 id=26672 mark=0 use=1',
    entry({ proto: 1, secondsLeft: 28, original: tuple(...TO_SERVER, [26672, 8 << 8]), reply: tuple(...BACK, [26672, 0]) }),
  ],
]

describe('a connection', () => {
  it.each(REAL)('%s', (line, one) => {
    expect(conntrackLine(one)).toBe(line)
  })
})

describe('show conntrack', () => {
  const show = async (...words: string[]): Promise<string> => {
    const { code, out, err } = await netsim(['show', 'conntrack', ...words])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    return out
  }
  const UDP = 'src=192.168.0.100 dst=192.168.0.200 sport=8285 dport=8285 src=192.168.0.200 dst=192.168.0.100 sport=8285 dport=8285 mark=0 use=1'

  it('is empty before any packet, and says how to fill it', async () => {
    expect(await show('host-a')).toBe("# no connections before any packet; --after 'SRC DST:PORT' shows those of a trace\n")
  })

  it('tells a netns whose kernel keeps no table', async () => {
    expect(await show('pod-a', '--after', 'pod-a pod-b')).toBe('# no rule of default/pod-a needs connection tracking: its kernel keeps no table\n')
  })

  it('shows the connection and its tunnel on both hosts', async () => {
    const asked = ['--after', 'pod-a pod-b:80']
    const inner = 'tcp      6 60 SYN_RECV src=10.1.15.2 dst=10.1.20.3 sport=40000 dport=80 src=10.1.20.3 dst=10.1.15.2 sport=80 dport=40000 mark=0 use=1'
    expect(await show('host-a', ...asked)).toBe(`${inner}\nudp      17 30 ${UDP}\n`)
    expect(await show(...asked)).toBe(
      `# after pod-a pod-b:80: DELIVERED\n# host-a\n${inner}\nudp      17 30 ${UDP}\n# host-b\nudp      17 30 ${UDP}\n${inner}\n`,
    )
  })

  it('a handshake and a segment make it ASSURED', async () => {
    const out = await show('host-a', '--after', 'pod-a pod-b:80 --size 1000')
    expect(out).toMatch(/^tcp {6}6 432000 ESTABLISHED src=10\.1\.15\.2 .* \[ASSURED\] mark=0 use=1$/m)
    expect(out).not.toContain('UNREPLIED')
  })

  it('what is masqueraded and never answered', async () => {
    const out = await show('host-a', '--after', 'pod-a 8.8.8.8:53 --proto udp')
    expect(out).toMatch(
      /^udp {6}17 30 src=10\.1\.15\.2 dst=8\.8\.8\.8 sport=40000 dport=53 \[UNREPLIED\] src=8\.8\.8\.8 dst=192\.168\.0\.100 sport=53 dport=\d+ mark=0 use=1$/m,
    )
  })

  it('each question begins anew; JSON names it', async () => {
    const words = ['host-b', '--after', 'pod-a pod-b', '--after', 'pod-b pod-a:53 --proto udp --sport 999', '-o', 'json']
    const { items } = JSON.parse(await show(...words)) as { items: { after: string; tracked: boolean; entries: { original: { dport?: number } }[] }[] }
    expect(items.map(({ after, tracked }) => [after, tracked])).toEqual([
      ['pod-a pod-b', true],
      ['pod-b pod-a:53 --proto udp --sport 999', true],
    ])
    expect(items[0].entries.map(({ original }) => original.dport)).toEqual([8285, undefined])
    expect(items[1].entries).toContainEqual({
      protocol: 'udp',
      protocolNumber: 17,
      timeout: 30,
      original: { src: '10.1.20.3', dst: '10.1.15.2', sport: 999, dport: 53 },
      reply: { src: '10.1.15.2', dst: '10.1.20.3', sport: 53, dport: 999 },
      unreplied: expect.any(Boolean) as boolean,
      assured: false,
      mark: 0,
    })
  })

  it('names of the namespace of -n, or of the question’s own', async () => {
    const words = ['-f', new URL('../../examples/flannel-vxlan.yaml', import.meta.url).pathname, 'node-1']
    const outer = await show(...words, '-n', 'shop', '--after', 'web-0 api-0:8080')
    expect(outer).toContain('dst=10.244.2.2 sport=40000 dport=8080')
    expect(await show(...words, '--after', 'web-0 api-0:8080 -n shop')).toBe(outer)
  })

  it.each([
    ['pod-a', /^error: --after 'pod-a': missing required argument 'DST\[:PORT\]'\n$/],
    ['', /missing required argument/],
    ['pod-a pod-b --ttl 999', /argument '999' is invalid\. It must be a whole number from 1 to 255/],
    ['pod-a pod-b --svg x', /--svg is no part of a question/],
    ['pod-a pod-b -f x.yaml', /--filename is no part of a question/],
    ['pod-a pod-x', /there is no pod "pod-x".*\n {4}Did you mean/],
  ])('--after %j is told: exit 2', async (text, says) => {
    const { code, out, err } = await netsim(['show', 'conntrack', '--after', text])
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(says)
  })

  it('--after is of conntrack alone', async () => {
    const { code, err } = await netsim(['show', 'neigh', '--after', 'pod-a pod-b'])
    expect(code).toBe(2)
    expect(err).toMatch(/--after is of conntrack, not of neigh/)
  })
})
