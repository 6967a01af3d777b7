/** Trace documents written by hand, with the frames of a real kernel (test/recordings): what the renderers are tried on. */
import { readFileSync } from 'node:fs'
import type { FrameDocument, HopDocument, LegDocument, RuleDocument, StepDocument, TraceDocument } from '../../src/analysis/trace-document.js'

interface RecordedFrame {
  readonly t: number
  readonly ns: string
  readonly dev: string
  readonly out: boolean
  readonly hex: string
}

/** The frames of one probe, the wire's own namespace left out; pods are named as netsim names them. `back` is the index of the reply's first. */
export function recordedFrames(recording: string, probe: number, pods: readonly string[]): FrameDocument[] {
  const file = new URL(`../recordings/${recording}.rec.json`, import.meta.url)
  const { probes } = JSON.parse(readFileSync(file, 'utf8')) as { probes: { frames: RecordedFrame[] }[] }
  const frames = probes[probe].frames.filter((frame) => frame.ns !== 'wire')
  return frames.map((frame) => ({
    timeNs: Math.round((frame.t - frames[0].t) / 1000) * 1000,
    netns: pods.includes(frame.ns) ? `default/${frame.ns}` : frame.ns,
    device: frame.dev,
    direction: frame.out ? 'tx' : 'rx',
    length: frame.hex.length / 2,
    hex: frame.hex,
    packet: 1,
  }))
}

type StepText = readonly [kind: string, action: string, text: string, more?: Partial<StepDocument>]

/** Numbers the steps on from `first`. */
export function hop(place: { node: string; netns?: string; pod?: string; timeNs: number }, first: number, steps: readonly StepText[]): HopDocument {
  return {
    node: place.node,
    netns: place.netns ?? place.pod ?? place.node,
    ...(place.pod === undefined ? {} : { pod: place.pod }),
    timeNs: place.timeNs,
    steps: steps.map(([kind, action, text, more], index) => ({ n: first + index, kind, action, text, ...more })),
  }
}

const ttl = (before: number, after: number): Partial<StepDocument> => ({ before: { ttl: before }, after: { ttl: after } })

const ACCEPT_RULE: RuleDocument = {
  chain: 'FORWARD',
  rule: 1,
  text: '-s 10.1.0.0/16 -j ACCEPT',
  matched: true,
  action: 'ACCEPT',
  provenance: { by: 'flanneld', object: 'network 10.1.0.0/16' },
}

const MASQUERADE_RULE: RuleDocument = {
  chain: 'POSTROUTING',
  rule: 1,
  text: '! -s 10.1.0.0/16 -j MASQUERADE',
  matched: false,
  action: '',
  failed: { term: '! -s 10.1.0.0/16', actual: '10.1.64.2' },
}

const RETURN_RULE: RuleDocument = {
  chain: 'POSTROUTING',
  rule: 2,
  text: '-s 10.1.0.0/16 -d 10.1.0.0/16 -j RETURN',
  matched: true,
  action: 'RETURN',
  provenance: { by: 'flanneld' },
}

function udpForward(): LegDocument {
  const frames = recordedFrames('flannel-udp', 1, ['a1', 'b1']).slice(0, 10)
  return {
    disposition: 'DELIVERED',
    frames,
    hops: [
      hop({ node: 'n1', pod: 'default/a1', timeNs: 0 }, 1, [
        ['route', 'UNICAST', 'default via 10.1.64.1 dev eth0', { length: 84 }],
        ['send', 'SENT', 'mtu 1472', { at: { device: 'eth0' }, length: 84, frameLength: 98 }],
      ]),
      hop({ node: 'n1', timeNs: 8000 }, 3, [
        ['bridge', 'LOCAL', 'from veth-a1, for docker0 itself', { at: { device: 'docker0' }, length: 84 }],
        ['route', 'FORWARD', '10.1.0.0/16 dev flannel0', { length: 84, ...ttl(64, 63), provenance: { by: 'flanneld' } }],
        [
          'table',
          'ACCEPT',
          '1 rule tried',
          {
            at: { table: 'filter', chain: 'FORWARD' },
            length: 84,
            tried: 1,
            rules: [ACCEPT_RULE],
          },
        ],
        [
          'table',
          'RETURN',
          '2 tried',
          {
            at: { table: 'nat', chain: 'POSTROUTING' },
            length: 84,
            tried: 2,
            rules: [MASQUERADE_RULE, RETURN_RULE],
          },
        ],
        ['send', 'SENT', 'mtu 1472', { at: { device: 'flannel0' }, length: 84, frameLength: 84 }],
        ['agent', 'FORWARD', 'flanneld: 10.1.44.0/24 is at 192.168.10.12:8285', { length: 84, ...ttl(63, 62) }],
        ['encap', 'ENCAPSULATED', 'udp 8285→8285, 192.168.10.11→192.168.10.12', { length: 112, bytesAdded: 28 }],
        ['send', 'SENT', 'mtu 1500', { at: { device: 'eth0' }, length: 112, frameLength: 126 }],
      ]),
      hop({ node: 'n2', timeNs: 527000 }, 11, [
        ['receive', 'RECEIVED', 'for us', { at: { device: 'eth0' }, length: 112, frameLength: 126 }],
        ['socket', 'LOCAL', 'flanneld on udp 8285', { length: 112 }],
        ['decap', 'DECAPSULATED', 'from 192.168.10.11', { length: 84, bytesAdded: -28 }],
        ['agent', 'FORWARD', 'flanneld: written to flannel0', { at: { device: 'flannel0' }, length: 84, ...ttl(62, 61) }],
        ['route', 'FORWARD', '10.1.44.0/24 dev docker0', { length: 84, ...ttl(61, 60) }],
        ['send', 'SENT', 'mtu 1472', { at: { device: 'docker0' }, length: 84, frameLength: 98 }],
      ]),
      hop({ node: 'n2', pod: 'default/b1', timeNs: 869000 }, 17, [
        ['receive', 'RECEIVED', 'for us', { at: { device: 'eth0' }, length: 84, frameLength: 98 }],
        ['socket', 'DELIVERED', 'ICMP echo, answered by the kernel', { length: 84 }],
      ]),
    ],
  }
}

function udpReply(): LegDocument {
  return {
    disposition: 'DELIVERED',
    frames: recordedFrames('flannel-udp', 1, ['a1', 'b1']).slice(10),
    hops: [
      hop({ node: 'n2', pod: 'default/b1', timeNs: 890000 }, 19, [
        ['originate', 'SENT', 'ICMP echo reply', { length: 84 }],
        ['send', 'SENT', 'mtu 1472', { at: { device: 'eth0' }, length: 84, frameLength: 98 }],
      ]),
      hop({ node: 'n2', timeNs: 896000 }, 21, [
        ['route', 'FORWARD', '10.1.0.0/16 dev flannel0', { length: 84, ...ttl(64, 63) }],
        ['send', 'SENT', 'mtu 1500', { at: { device: 'eth0' }, length: 112, frameLength: 126 }],
      ]),
      hop({ node: 'n1', timeNs: 921000 }, 23, [['receive', 'RECEIVED', 'for us', { at: { device: 'eth0' }, length: 112, frameLength: 126 }]]),
      hop({ node: 'n1', pod: 'default/a1', timeNs: 1075000 }, 24, [['socket', 'DELIVERED', 'ICMP echo reply, to ping', { length: 84 }]]),
    ],
  }
}

/** A ping over flannel udp, as probe 1 of the recording went. */
export const ALLOWED: TraceDocument = {
  apiVersion: 'netsim/v1',
  kind: 'Trace',
  disposition: 'DELIVERED',
  metadata: { tool: 'netsim', seed: 1, inputs: ['cluster.yaml'], cni: 'flannel', backend: 'udp', warm: true, runtime: 'docker', nodes: 2 },
  request: {
    source: { name: 'default/a1', address: '10.1.64.2', node: 'n1' },
    destination: { name: 'default/b1', address: '10.1.44.2', node: 'n2' },
    proto: 'icmp',
    sport: 40000,
    dport: 0,
    size: 84,
    df: false,
    ttl: 64,
    cold: false,
  },
  forward: udpForward(),
  reply: udpReply(),
  result: {
    disposition: 'DELIVERED',
    reachable: true,
    cause: '',
    client: 'echo reply after 1.1 ms, ttl 60',
    fixes: [],
    next: ['-v rules tried', '-o json'],
    ttlAtArrival: 60,
    overhead: 28,
    wireFrame: 126,
  },
  mtu: { inner: 1472, outer: 1500, overhead: 28, path: 1472, mss: 1432, limitedBy: 'n1 flannel0' },
  warnings: [],
  notModelled: [],
}

const DROP_RULE = {
  chain: 'FORWARD',
  rule: 1,
  text: '-p tcp -m tcp --dport 8080 -j DROP',
  matched: true,
  action: 'DROP',
  provenance: { by: 'owner of the host', object: 'Network/default', file: 'cluster.yaml', line: 41 },
}

/** A SYN that a rule of the host's owner drops. */
export const DENIED: TraceDocument = {
  ...ALLOWED,
  disposition: 'DENIED',
  request: { ...ALLOWED.request, proto: 'tcp', sport: 40000, dport: 8080, size: 60 },
  forward: {
    disposition: 'DENIED',
    frames: [],
    hops: [
      hop({ node: 'n1', pod: 'default/a1', timeNs: 0 }, 1, [['send', 'SENT', 'mtu 1472', { at: { device: 'eth0' }, length: 60, frameLength: 74 }]]),
      hop({ node: 'n1', timeNs: 8000 }, 2, [
        ['route', 'FORWARD', '10.1.0.0/16 dev flannel0', { length: 60, ...ttl(64, 63) }],
        [
          'table',
          'DROP',
          '1 rule tried',
          { at: { table: 'filter', chain: 'FORWARD', rule: 1 }, length: 60, rules: [DROP_RULE], kernelReason: 'NETFILTER_DROP' },
        ],
      ]),
    ],
  },
  reply: null,
  result: {
    disposition: 'DENIED',
    reachable: false,
    step: 3,
    netns: 'n1',
    kernelReason: 'NETFILTER_DROP',
    cause: 'a rule of filter/FORWARD on n1 drops tcp to port 8080',
    client: 'SYN retried, then connect timeout (no RST, no ICMP)',
    fixes: ['delete the rule, or let 10.1.44.2:8080 through in front of it'],
    next: ['netsim show iptables n1'],
    overhead: 28,
  },
  warnings: ['2 NetworkPolicies select these pods and have no effect: flannel enforces none (policies/api.yaml:1, :31)'],
}

/** 3000 bytes of UDP over flannel udp: three fragments. */
export const FRAGMENTED: TraceDocument = {
  ...ALLOWED,
  request: { ...ALLOWED.request, proto: 'udp', sport: 40000, dport: 9000, size: 3028 },
  forward: {
    disposition: 'DELIVERED',
    frames: [],
    hops: [
      hop({ node: 'n1', pod: 'default/a1', timeNs: 0 }, 1, [
        ['fragment', 'FRAGMENT', 'offset 0, 1448 bytes of payload, more follow', { at: { device: 'eth0' }, length: 1468, packet: 1 }],
        ['send', 'SENT', 'mtu 1472', { at: { device: 'eth0' }, length: 1468, frameLength: 1482, packet: 1 }],
        ['fragment', 'FRAGMENT', 'offset 1448, 1448 bytes of payload, more follow', { at: { device: 'eth0' }, length: 1468, packet: 2 }],
        ['send', 'SENT', 'mtu 1472', { at: { device: 'eth0' }, length: 1468, frameLength: 1482, packet: 2 }],
        ['fragment', 'FRAGMENT', 'offset 2896, 112 bytes of payload, the last', { at: { device: 'eth0' }, length: 132, packet: 3 }],
        ['send', 'SENT', 'mtu 1472', { at: { device: 'eth0' }, length: 132, frameLength: 146, packet: 3 }],
      ]),
      hop({ node: 'n2', pod: 'default/b1', timeNs: 869000 }, 7, [
        ['defragment', 'COMPLETE', '3 fragments, the largest of 1468 bytes', { length: 3028 }],
        ['socket', 'DELIVERED', '0.0.0.0:9000 (no containerPort declared: assumed open)', { length: 3028 }],
      ]),
    ],
  },
  reply: null,
  result: { ...ALLOWED.result, client: 'nothing: UDP is not acknowledged', wireFrame: 1510, next: [] },
}

/** DF and a packet larger than the underlay carries, and the ICMP error that tells so is dropped. */
export const BLACKHOLE: TraceDocument = {
  ...ALLOWED,
  disposition: 'BLACKHOLE',
  metadata: { ...ALLOWED.metadata, backend: 'vxlan', inputs: ['a.yaml', 'b.yaml', 'c.yaml', 'd.yaml', 'e.yaml'] },
  request: { ...ALLOWED.request, size: 1450, df: true, ttl: 9 },
  forward: {
    disposition: 'BLACKHOLE',
    frames: [],
    hops: [
      hop({ node: 'n1', pod: 'default/a1', timeNs: 0 }, 1, [['send', 'SENT', 'mtu 1450', { at: { device: 'eth0' }, length: 1450, frameLength: 1464 }]]),
      hop({ node: 'n1', timeNs: 8000 }, 2, [
        ['encap', 'ENCAPSULATED', 'vni 1, udp 54321→8472, 192.168.10.11→192.168.10.12', { at: { device: 'flannel.1' }, length: 1500, bytesAdded: 50 }],
        ['drop', 'BLACKHOLE', '1500 bytes, mtu 1400, and nobody is told', { at: { device: 'eth0' }, length: 1500, kernelReason: 'PKT_TOO_BIG' }],
      ]),
    ],
  },
  reply: null,
  result: {
    disposition: 'BLACKHOLE',
    reachable: false,
    step: 3,
    kernelReason: 'PKT_TOO_BIG',
    cause: '1450 of the pod + 50 of vxlan = 1500, and eth0 of n1 carries 1400: 100 too many',
    client: 'connect succeeds, small answers arrive, large transfers hang',
    fixes: ['set the pods to mtu 1350', 'or clamp the MSS to 1310'],
    next: [],
    overhead: 50,
  },
  mtu: { inner: 1450, outer: 1400, overhead: 50, path: 1350, mss: 1310, limitedBy: 'n1 eth0' },
}
