/** Random rulesets and packets for fast-check: addresses, ports and devices from small sets, so that rules do match. */
import fc from 'fast-check'
import { cidr } from '../../../src/base/cidr.js'
import type { Chain, Match, Rule, Table, Target } from '../../../src/dataplane/iptables.js'
import { Packet } from '../../../src/wire/packet.js'

const invert = fc.boolean()
const address = fc.constantFrom(0x0a010002, 0x0a010003, 0x0a020002, 0x0a028001, 0xc0a80101 | 0)
const net = fc.tuple(address, fc.constantFrom(0, 8, 15, 16, 17, 24, 31, 32)).map(([base, length]) => cidr(base, length))
const port = fc.constantFrom(0, 1, 52, 53, 54, 80, 8080, 40000, 65535)
const ports = fc.tuple(port, port).map(([a, b]) => (a < b ? ([a, b] as const) : ([b, a] as const)))
const device = fc.constantFrom('ra', 'rb', 'r+', '+', 'x0', 'rab')

const generic: fc.Arbitrary<Match> = fc.oneof(
  fc.record({ kind: fc.constant('source' as const), net, invert }),
  fc.record({ kind: fc.constant('destination' as const), net, invert }),
  fc.record({ kind: fc.constantFrom('in-interface' as const, 'out-interface' as const), name: device, invert }),
  fc.record({ kind: fc.constant('fragment' as const), invert }),
  fc.record({ kind: fc.constant('mark' as const), value: fc.constantFrom(0, 1, 3), mask: fc.constantFrom(1, 3, 0xffffffff), invert }),
  fc.record({ kind: fc.constant('length' as const), range: fc.constant([40, 84] as const), invert }),
  fc.record({ kind: fc.constant('comment' as const), text: fc.constant('why') }),
)

function portMatches(module: 'tcp' | 'udp'): fc.Arbitrary<readonly Match[]> {
  const one = fc.oneof(
    fc.record({ kind: fc.constantFrom('source-port' as const, 'destination-port' as const), module: fc.constant(module), ports, invert }),
    fc.record({
      kind: fc.constant('multiport' as const),
      side: fc.constantFrom('sports' as const, 'dports' as const, 'ports' as const),
      ports: fc.array(ports, { minLength: 1, maxLength: 3 }),
      invert,
    }),
    fc.constant({ kind: 'module', module } as const),
    fc.constant(module === 'tcp' ? ({ kind: 'tcp-flags', mask: 0x17, set: 2 } as const) : ({ kind: 'module', module } as const)),
  )
  return fc.array(one, { maxLength: 2 })
}

/** `-p tcp` and what may follow it; or no protocol, or one inverted. */
const protocol: fc.Arbitrary<readonly Match[]> = fc.oneof(
  fc.constant([]),
  fc.constantFrom(6, 17, 1).map((proto) => [{ kind: 'protocol', proto, invert: true } as const]),
  portMatches('tcp').map((more) => [{ kind: 'protocol', proto: 6 } as const, ...more]),
  portMatches('udp').map((more) => [{ kind: 'protocol', proto: 17 } as const, ...more]),
  fc
    .array(fc.record({ kind: fc.constant('icmp-type' as const), type: fc.constantFrom(0, 3, 8, 255), code: fc.constantFrom(undefined, 0, 4), invert }), {
      maxLength: 2,
    })
    .map((more) => [{ kind: 'protocol', proto: 1 } as const, ...more.map(({ code, ...rest }) => (code === undefined ? rest : { ...rest, code }))]),
)

const plainTarget: fc.Arbitrary<Target | undefined> = fc.oneof(
  { weight: 1, arbitrary: fc.constantFrom({ kind: 'ACCEPT' } as const, { kind: 'DROP' } as const, { kind: 'RETURN' } as const) },
  { weight: 2, arbitrary: fc.constantFrom(undefined, { kind: 'LOG' } as const) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('MARK' as const), value: fc.integer({ min: 0, max: 3 }), mask: fc.constantFrom(1, 3, 0xffffffff | 0) }),
  },
)

function rule(below: readonly string[]): fc.Arbitrary<Rule> {
  const jump = (): fc.Arbitrary<Target> => fc.record({ kind: fc.constantFrom('jump' as const, 'goto' as const), chain: fc.constantFrom(...below) })
  const target = below.length === 0 ? plainTarget : fc.oneof({ weight: 3, arbitrary: plainTarget }, { weight: 2, arbitrary: jump() })
  return fc
    .tuple(fc.array(generic, { maxLength: 3 }), protocol, target)
    .map(([some, others, then]) => ({ matches: [...some, ...others], ...(then === undefined ? {} : { target: then }) }))
}

const USER_CHAINS = ['U1', 'U2', 'U3']

/** A filter table whose FORWARD jumps down into three user chains, each only into those after it. */
export function filterTable(longest: number): fc.Arbitrary<Table> {
  const chain = (name: string, below: readonly string[]): fc.Arbitrary<Chain> => fc.array(rule(below), { maxLength: longest }).map((rules) => ({ name, rules }))
  return fc
    .tuple(fc.constantFrom('ACCEPT' as const, 'DROP' as const), chain('FORWARD', USER_CHAINS), chain('U1', ['U2', 'U3']), chain('U2', ['U3']), chain('U3', []))
    .map(([policy, forward, ...users]) => ({
      name: 'filter',
      chains: [{ name: 'INPUT', policy: 'ACCEPT', rules: [] }, { ...forward, policy }, { name: 'OUTPUT', policy: 'ACCEPT', rules: [] }, ...users],
    }))
}

export const packets: fc.Arbitrary<Packet> = fc
  .record({
    src: address,
    dst: address,
    proto: fc.constantFrom(1, 6, 17, 47),
    sport: port,
    dport: port,
    icmpType: fc.constantFrom(0, 3, 8, 11),
    icmpCode: fc.constantFrom(0, 1, 4),
    tcpFlags: fc.constantFrom(2, 0x10, 0x12, 4),
    mark: fc.integer({ min: 0, max: 3 }),
    fragmentOffset: fc.constantFrom(0, 0, 0, 1480),
    ipLength: fc.constantFrom(40, 60, 84, 85, 1500),
  })
  .map(({ icmpType, icmpCode, sport, dport, ...rest }) =>
    Object.assign(new Packet(), rest, rest.proto === 1 ? { sport: icmpType, dport: icmpCode } : rest.proto === 47 ? {} : { sport, dport }),
  )
