/**
 * A chain of ten routers on ns-3 and here: every link is an event of its own, events in one fixed order, the same packet. ns-3 as the machine has it
 * (Debian's libns3-dev); netsim as a traced walk has it.
 */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { cidr } from '../../src/base/cidr.js'
import { ip, type Ip } from '../../src/base/ip.js'
import { EMPTY_DATAPLANE, LOOPBACK, type Dataplane, type DeviceSpec, type RouteSpec } from '../../src/dataplane/dataplane.js'
import { compileWorld } from '../../src/net/compile.js'
import { NETNS_NODE, type World } from '../../src/net/netns.js'
import { PORT, sendFrom } from '../forward-network.js'
import type { Comparison } from './comparison.js'

const NODES = 10
const PACKETS = 20_000
const HERE_PACKETS = 100_000

/** @returns why not, where ns-3 is not there */
export function chainPairs(folder: string, pairs: number): Comparison | string {
  const program = join(folder, 'chain')
  const modules = ['core', 'network', 'internet', 'point-to-point'].map((name) => `ns3-${name}`)
  try {
    const flags = execFileSync('pkg-config', ['--cflags', '--libs', ...modules], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    // without what Debian's .pc files name of other packages' libraries
    execFileSync(
      'c++',
      ['-O2', '-o', program, 'bench/kernel/chain.cc', ...flags.split(/\s+/).filter((word) => /^-(l|L|I\/)/.test(word) && !word.endsWith(';'))],
      {
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    )
  } catch {
    return 'not here (apt-get install libns3-dev g++ pkg-config)'
  }
  const world = chainWorld()
  const there = (): number => Number(execFileSync(program, [String(NODES), String(PACKETS)], { encoding: 'utf8' }))
  walk(world, HERE_PACKETS)
  const turns = Array.from({ length: pairs }, () => ({ there: there(), here: walk(world, HERE_PACKETS) }))
  return { name: `chain of ${NODES} routers`, size: 'a traversal', peer: 'ns-3', turns }
}

const LAST = ip(`10.0.${NODES - 2}.2`)

/** The address of the node on the link before it or behind it. */
function address(link: number, end: 1 | 2): Ip {
  return ip(`10.0.${link}.${end}`)
}

function chainWorld(): World {
  const specs = Array.from({ length: NODES }, (_, node) => ({ dataplane: routerOf(node), role: NETNS_NODE }))
  const segments = Array.from({ length: NODES - 1 }, (_, link) => ({ name: `link${link}`, mtu: 1500, latencyNs: 50_000, rateBps: 1e10 }))
  const world = compileWorld(specs, segments, 1)
  world.trace.on = 1
  return world
}

function routerOf(node: number): Dataplane {
  const card = (link: number, end: 1 | 2): DeviceSpec => ({
    kind: 'nic',
    name: `eth${end}`,
    mtu: 1500,
    up: true,
    segment: `link${link}`,
    addresses: [{ address: address(link, end), length: 24, scope: 'global' }],
  })
  const devices = [...(node > 0 ? [card(node - 1, 2)] : []), ...(node < NODES - 1 ? [card(node, 1)] : [])]
  const beyond = (link: number): RouteSpec => {
    const forward = link > node
    return {
      destination: cidr(ip(`10.0.${link}.0`), 24),
      type: 'unicast',
      via: forward ? address(node, 2) : address(node - 1, 1),
      device: forward ? 'eth1' : 'eth2',
    }
  }
  const routes = Array.from({ length: NODES - 1 }, (_, link) => link).filter((link) => link !== node && link !== node - 1)
  return {
    ...EMPTY_DATAPLANE,
    netns: `r${node}`,
    devices: [LOOPBACK, ...devices],
    routes: routes.map(beyond),
    sysctls: { 'net.ipv4.ip_forward': 1 },
    sockets: node === NODES - 1 ? [{ proto: 'udp', address: ip('0.0.0.0'), port: PORT, handler: 'open' }] : [],
  }
}

/** So many are on their way at once, as they are on ns-3. */
const BATCH = 50

/** CPU ns of a device traversal. @throws Error when a packet is lost */
function walk(world: World, packets: number): number {
  const [first] = world.netns
  const { user, system } = process.cpuUsage()
  let ends = 0
  for (let i = 0; i < packets; i += BATCH) {
    world.trace.clear()
    for (let j = 0; j < BATCH; j++) sendFrom(world, first, LAST)
    while (world.live > 0 && world.sim.step());
    ends += world.trace.endCount
  }
  if (ends !== packets) throw new Error(`${ends} of ${packets} packets arrived at the chain's end`)
  const after = process.cpuUsage()
  return ((after.user + after.system - user - system) * 1000) / (packets * 2 * (NODES - 1))
}
