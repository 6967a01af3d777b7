/**
 * What is wrong with the BGP of a cluster that has come to rest: sessions that are not up, each with its reason, peerings that nobody has, speakers
 * whom nobody peers with, identifiers that two have. Sessions that fail for one reason are one Problem.
 */
import { formatIp, type Ip } from '../base/ip.js'
import type { Problem } from '../base/problem.js'
import type { BgpWorld } from '../calico/bgp/bgp-world.js'
import type { Bird } from '../calico/bgp/bird.js'
import type { BgpSession } from '../calico/bgp/session.js'
import type { BGPPeer } from '../cluster/calico/bgp.js'
import type { BgpPaths } from './bgp-path.js'
import type { Network } from './network.js'

interface BgpFindings {
  readonly network: Network
  readonly world: BgpWorld
  readonly paths: BgpPaths
  readonly bgpPeers: readonly BGPPeer[]
  /** Some pool's routes are BIRD's business. */
  readonly carriesPods: boolean
}

type Place = Pick<Problem, 'file' | 'line' | 'object'>

interface Reason {
  readonly why: string
  readonly fix: string
  /** What the reasons of several sessions have in common; absent: `why`. */
  readonly key?: string
}

export function bgpProblems(findings: BgpFindings): Problem[] {
  return [...sessionProblems(findings), ...idlePeers(findings), ...lonely(findings), ...namesakes(findings)]
}

// ---- sessions

interface Down {
  readonly place: Place
  readonly reason: Reason
  readonly sessions: string[]
}

function sessionProblems(findings: BgpFindings): Problem[] {
  const byReason = new Map<string, Down>()
  const told = new Set<string>()
  for (const [name, bird] of findings.world.birds) {
    for (const session of bird.sessions) {
      if (session.phase === 'up') continue
      const other = ownerOf(findings.network, session.config.neighbour)
      const pair = [name, other ?? formatIp(session.config.neighbour)].sort().join(' ')
      if (told.has(pair)) continue
      told.add(pair)
      const reason = reasonOf(findings, name, session, other)
      const place = placeOf(findings.network, name, session)
      const key = `${session.config.provenance?.object ?? ''} ${reason.key ?? reason.why}`
      const down = byReason.get(key) ?? { place, reason, sessions: [] }
      down.sessions.push(`${name} to ${other ?? formatIp(session.config.neighbour)}`)
      byReason.set(key, down)
    }
  }
  return [...byReason.values()].map(({ place, reason, sessions }) => {
    const rest = sessions.length === 1 ? '' : ` (and ${sessions.length - 1} more: ${few(sessions.slice(1))})`
    return { severity: 'warning', ...place, what: `the BGP session ${sessions[0]}${rest} does not come up: ${reason.why}`, fix: reason.fix }
  })
}

function few(texts: readonly string[]): string {
  return `${texts.slice(0, 3).join(', ')}${texts.length > 3 ? ', …' : ''}`
}

/** The BGPPeer, else the node or router itself. */
function placeOf(network: Network, name: string, { config }: BgpSession): Place {
  return config.provenance ?? speakerPlace(network, name)
}

function speakerPlace({ cluster }: Network, name: string): Place {
  const node = cluster.nodeByName.get(name)
  if (node !== undefined) return { object: `Node/${name}`, file: node.file, line: node.line }
  const router = cluster.routers.find((one) => `router/${one.name}` === name)
  return { object: name, file: router?.file ?? '', line: router?.line ?? 0 }
}

/** The node or router that has the address. */
function ownerOf({ specs, pods }: Network, address: Ip): string | undefined {
  const has = specs.find(({ dataplane }) => dataplane.devices.some((device) => device.addresses.some((own) => own.address === address)))
  return has === undefined || pods.some(({ dataplane }) => dataplane === has.dataplane) ? undefined : has.dataplane.netns
}

function reasonOf(findings: BgpFindings, name: string, session: BgpSession, other: string | undefined): Reason {
  const { config } = session
  const address = formatIp(config.neighbour)
  if (other === undefined) {
    const fix = 'Correct the address, or list the router that has it in spec.underlay.routers of the Network document, with its asn.'
    return { why: `no node or router here has ${address}`, fix }
  }
  const far = findings.world.birds.get(other)
  if (far === undefined) return speaksNone(other)
  const back = far.sessions.find((one) => one.config.neighbour === session.sourceAddress)
  if (back === undefined) {
    const fix = other.startsWith('router/')
      ? `Add ${formatIp(session.sourceAddress)} to the router's peers, or leave the list out.`
      : 'Give that side a BGPPeer too (reversePeering: Manual leaves it to you).'
    return { why: `${other} has no peering with ${formatIp(session.sourceAddress)}`, fix }
  }
  return mismatch(name, session, other, back) ?? unconnected(findings, { name, session, other, back })
}

function speaksNone(other: string): Reason {
  if (!other.startsWith('router/')) return { why: `${other} runs no BIRD`, fix: 'A node takes part in BGP when it has an address for it.' }
  return { why: `${other} speaks no BGP: it has no AS number`, fix: 'Give the router an asn in spec.underlay.routers of the Network document.' }
}

/** What OPEN, or the signature of a segment, will be turned down for. */
function mismatch(name: string, { config }: BgpSession, other: string, back: BgpSession): Reason | undefined {
  if (config.password !== back.config.password)
    return { why: 'the two ends have different passwords', fix: 'TCP drops what is signed otherwise: give both the same.' }
  const wrong = [
    { at: name, wants: config.remoteAs, who: other, is: back.config.localAs },
    { at: other, wants: back.config.remoteAs, who: name, is: config.localAs },
  ].find(({ wants, is }) => wants !== is)
  if (wrong === undefined) return undefined
  // confd's processMeshPeers gives a peer without an AS of its own the reader's
  const fix = config.name.startsWith('Mesh_')
    ? 'In the mesh a node that says no AS number is taken to have that of its peer: give all of them one (projectcalico.org/ASNumber), or none.'
    : 'Make asNumber the one that the other side has.'
  return { why: `${wrong.at} expects AS ${wrong.wants} of ${wrong.who}, which has AS ${wrong.is}`, fix }
}

interface Ends {
  readonly name: string
  readonly session: BgpSession
  readonly other: string
  readonly back: BgpSession
}

function unconnected({ paths }: BgpFindings, { session, back, other }: Ends): Reason {
  const dialled = [session, back].filter(({ config }) => !config.passive)
  if (dialled.length === 0) return { why: `both ends wait for the other to dial (passive)`, fix: 'Let one of them dial.' }
  for (const { config, sourceAddress } of dialled) {
    const loss = paths.lossBetween(sourceAddress, config.neighbour, config.port)
    if (loss === undefined) continue
    const { by, object, file, line } = loss.provenance ?? { by: '' }
    const place = file === undefined || file === '' ? '' : ` ${file}:${line ?? 0}`
    const author = by === '' ? '' : ` (${[by, object].filter((part) => part !== undefined && part !== '').join(', ')}${place})`
    const far = `${formatIp(config.neighbour)} port ${config.port}`
    const segment = loss.of === 'SYN' ? `the SYN of ${formatIp(sourceAddress)} to ${far}` : `the SYN-ACK of ${far} to ${formatIp(sourceAddress)}`
    const fix = `netsim trace ${formatIp(sourceAddress)} ${formatIp(config.neighbour)}:${config.port} shows the way.`
    return { why: `${segment} is lost at ${loss.text}${author}`, fix, key: loss.text }
  }
  const said = [session, back].map(({ lastError }) => lastError).find((text) => text !== '')
  return { why: said ?? `BIRD is still in state ${session.stateText}`, fix: `See netsim show bgp ${other}.` }
}

// ---- peerings and speakers

/** BGPPeers of which nobody has anything. */
function idlePeers({ world, bgpPeers }: BgpFindings): Problem[] {
  const used = new Set([...world.birds.values()].flatMap(({ sessions }) => sessions.flatMap(({ config }) => config.provenance?.object ?? [])))
  return bgpPeers.flatMap((peer): Problem[] => {
    const object = `BGPPeer/${peer.name}`
    if (used.has(object) || peer.localWorkloadSelector !== undefined) return []
    const selected = [
      peer.node === undefined ? undefined : `node ${peer.node}`,
      peer.nodeSelector === undefined ? undefined : `nodeSelector ${peer.nodeSelector}`,
      peer.peerSelector === undefined ? undefined : `peerSelector ${peer.peerSelector}`,
    ].filter((text) => text !== undefined)
    const what = `it gives no node a peer${selected.length === 0 ? '' : ` (${selected.join(', ')})`}`
    return [
      { severity: 'warning', file: peer.file, line: peer.line, object, what, fix: 'Another BGPPeer may say the same; else compare the labels of the nodes.' },
    ]
  })
}

function lonely({ network, world, carriesPods }: BgpFindings): Problem[] {
  const alone = [...world.birds.values()].filter(({ sessions }) => sessions.length === 0)
  const routers = alone.filter(({ config }) => config.name.startsWith('router/'))
  const nodes = world.birds.size > 1 && carriesPods ? alone.filter((bird) => !routers.includes(bird)) : []
  const warning = (bird: Bird, what: string, fix: string): Problem => ({ severity: 'warning', ...speakerPlace(network, bird.config.name), what, fix })
  return [
    ...routers.map((bird) =>
      warning(bird, 'it has an AS number, and nobody peers with it', 'A BGPPeer with one of its addresses as peerIP makes nodes peer with it.'),
    ),
    ...(nodes.length === 0
      ? []
      : [
          warning(
            nodes[0],
            `${nodes.map(({ config }) => config.name).join(', ')}: no BGP peer, so that nobody learns the way to its pods`,
            'A reflector takes no part in the mesh, and with nodeToNodeMeshEnabled: false nobody does: write a BGPPeer.',
          ),
        ]),
  ]
}

function namesakes({ network, world }: BgpFindings): Problem[] {
  const byId = new Map<Ip, string>()
  return [...world.birds.values()].flatMap(({ config }): Problem[] => {
    const first = byId.get(config.routerId)
    byId.set(config.routerId, first ?? config.name)
    if (first === undefined) return []
    const what = `${first} and ${config.name} both have the BGP identifier ${formatIp(config.routerId)}: they do not come up with one another`
    return [
      {
        severity: 'warning',
        ...speakerPlace(network, config.name),
        what,
        fix: 'The identifier is the address that the speaker has for BGP: give each its own.',
      },
    ]
  })
}
