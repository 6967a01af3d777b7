/**
 * The wireguard backend: one WireGuard device, one route for the whole Network, and for each remote lease a peer whose AllowedIPs are
 * the lease's subnet; they choose the peer on the way out and check the source on the way in.
 *   10.1.0.0/16 dev flannel-wg ─▶ peer with AllowedIPs 10.1.20.0/24 ─▶ UDP to PublicIP:51820
 * Source: flannel pkg/backend/wireguard, since 0.16.0; Linux drivers/net/wireguard.
 */
import { hashText, Prng } from '../base/prng.js'
import type { Problem } from '../base/problem.js'
import { isWireguardKey, randomWireguardKey } from '../base/wireguard-key.js'
import type { DeviceSpec, RouteSpec, WireguardPeerSpec } from '../dataplane/dataplane.js'
import {
  backendSource,
  EMPTY_PART,
  FLANNELD,
  fromLease,
  leaseProblem,
  optionSince,
  remoteLeases,
  type Backend,
  type BackendPart,
  type FlannelView,
  type RegistrationView,
} from './backend.js'
import { GoFields, isJsonObject } from './go-json.js'
import { leaseObject, type Lease, type LeaseAttributes } from './lease.js'
import { atLeast } from './version.js'

/** What flannel takes off the MTU: 32 of WireGuard, 8 of UDP, and 40 for an outer IPv6 header, also where it is IPv4. */
const WIREGUARD_OVERHEAD = 80
const WIREGUARD_DEFAULT_PORT = 51820
const DEVICE = 'flannel-wg'
/** ETH_DATA_LEN less the same 80 (drivers/net/wireguard/device.c wg_setup). */
const KERNEL_DEFAULT_MTU = 1420

export const wireguardBackend: Backend = { type: 'wireguard', attributes: wireguardAttributes, render: renderWireguard }

interface WireguardOptions {
  readonly port: number
  /** Of the underlay, as configured. */
  readonly mtu: number
  readonly keepaliveSeconds: number
}

/** Options that a version does not know are passed over. `Mode` and `PSK` are checked; over IPv4 all nodes having the same, neither changes what is sent. */
function parseWireguardOptions(view: Pick<FlannelView, 'version' | 'config' | 'externalInterface'>): {
  readonly options: WireguardOptions
  readonly problems: readonly Problem[]
} {
  const { version, externalInterface } = view
  const fields = new GoFields(view.config.backend, backendSource('wireguard'))
  const port = fields.integer('ListenPort') ?? WIREGUARD_DEFAULT_PORT
  if (port < 1 || port > 65535) fields.problem(`ListenPort ${port} is not a UDP port that peers could send to`)
  const keepaliveSeconds = fields.integer('PersistentKeepaliveInterval') ?? 0
  if (keepaliveSeconds < 0 || keepaliveSeconds > 65535) fields.problem(`PersistentKeepaliveInterval ${keepaliveSeconds} is not a time of 0 to 65535 seconds`)
  const psk = fields.string('PSK') ?? ''
  if (psk !== '' && !isWireguardKey(psk)) fields.problem('could not parse psk: not the base64 of 32 bytes', 'make one with wg genpsk')
  if (optionSince(fields, 'Mode', '0.18.0', version)) checkMode(fields)
  const mtu = optionSince(fields, 'MTU', '0.21.3', version) ? fields.integer('MTU') : undefined
  return { options: { port, mtu: mtu ?? externalInterface.mtu, keepaliveSeconds }, problems: fields.problems }
}

function checkMode(fields: GoFields): void {
  const mode = fields.string('Mode') ?? 'separate'
  // auto: with no IPv6 address published it is IPv4
  if (mode === 'separate' || mode === 'auto' || mode === 'ipv4') return
  if (mode === 'ipv6') fields.problem('Mode ipv6: IPv6 between the nodes is not modelled', 'use separate, auto or ipv4')
  else fields.problem(`no valid Mode configured: '${mode}'`, 'use separate, auto or ipv4')
}

/** The node's own public key: as published, or drawn; the same each time. */
function wireguardKey(view: RegistrationView & { readonly ownLease?: Lease }): string {
  const published = view.ownLease === undefined ? undefined : publishedPeer(view.ownLease)?.publicKey
  if (published !== undefined && isWireguardKey(published)) return published
  return randomWireguardKey(new Prng(view.seed ^ hashText(`${view.nodeName} wireguard key`)))
}

function wireguardAttributes(view: RegistrationView): LeaseAttributes {
  const { options } = parseWireguardOptions(view)
  const publicKey = wireguardKey(view)
  const backendData = atLeast(view.version, '0.26.6') ? { PublicKey: publicKey, Port: options.port } : { PublicKey: publicKey }
  return { publicIp: view.externalInterface.publicIp, backendType: 'wireguard', backendData }
}

function renderWireguard(view: FlannelView): BackendPart {
  const { config, ownLease, version } = view
  const { options, problems } = parseWireguardOptions(view)
  const mtu = options.mtu - WIREGUARD_OVERHEAD
  const publicKey = wireguardKey(view)
  const remote = renderPeers(view, options, publicKey)
  const device: DeviceSpec = {
    kind: 'wireguard',
    name: DEVICE,
    // Always made anew, so nothing of an earlier one stays. Before 0.18.0 the kernel's MTU is kept, whatever subnet.env says.
    mtu: atLeast(version, '0.18.0') ? mtu : KERNEL_DEFAULT_MTU,
    up: true,
    addresses: [{ address: ownLease.subnet.base, length: 32, scope: 'global' }],
    port: options.port,
    publicKey,
    peers: remote.peers,
    provenance: fromLease(ownLease.subnet),
  }
  const route: RouteSpec = {
    destination: config.network,
    type: 'unicast',
    device: DEVICE,
    scope: 'link',
    provenance: { by: FLANNELD, object: 'Network, backend wireguard' },
  }
  return { ...EMPTY_PART, devices: [device], routes: [route], mtu, problems: [...problems, ...remote.problems] }
}

/** A peer is known by its key: a second lease with the same one takes endpoint and AllowedIPs over. */
function renderPeers(
  view: FlannelView,
  options: WireguardOptions,
  ownKey: string,
): { readonly peers: readonly WireguardPeerSpec[]; readonly problems: readonly Problem[] } {
  const peers = new Map<string, WireguardPeerSpec>()
  const owners = new Map<string, Lease>()
  const problems: Problem[] = []
  for (const lease of remoteLeases(view, 'wireguard', problems)) {
    const { subnet, attributes } = lease
    const published = publishedPeer(lease)
    if (published === undefined || !isWireguardKey(published.publicKey)) {
      const what = `BackendData ${JSON.stringify(attributes.backendData) ?? '(none)'} holds no PublicKey of 32 bytes; flanneld makes no peer of the lease`
      problems.push(leaseProblem(lease, what, 'write {"PublicKey": "…", "Port": 51820} as the node published it'))
      continue
    }
    const { publicKey } = published
    if (published.port < 0 || published.port > 65535) {
      problems.push(
        leaseProblem(lease, `Port ${published.port} is not a UDP port; flanneld makes no peer of the lease`, 'write the port that the node listens on, 51820'),
      )
      continue
    }
    if (publicKey === ownKey) {
      // drivers/net/wireguard/netlink.c set_peer
      problems.push(leaseProblem(lease, `PublicKey ${publicKey} is also the own one of ${view.nodeName}; the kernel makes no peer of it`, ownKeys(lease)))
      continue
    }
    const earlier = owners.get(publicKey)
    if (earlier !== undefined) {
      const what = `PublicKey ${publicKey} is also that of ${leaseObject(earlier.subnet)}; WireGuard knows one peer of a key`
      problems.push(leaseProblem(lease, `${what} and sends nothing to the other any more`, ownKeys(lease)))
    }
    owners.set(publicKey, lease)
    // Up to 0.26.5 the peer's port is not in its lease and is taken to be the own one.
    const port = atLeast(view.version, '0.26.6') && published.port !== 0 ? published.port : options.port
    peers.set(publicKey, {
      publicKey,
      endpoint: { address: attributes.publicIp, port },
      allowedIps: [subnet],
      persistentKeepalive: options.keepaliveSeconds,
    })
  }
  return { peers: [...peers.values()], problems }
}

function ownKeys(lease: Lease): string {
  return `Delete /run/flannel/wgkey on the node of ${leaseObject(lease.subnet)} and restart flanneld there: each node has a key of its own.`
}

/** PublicKey and Port of a lease; Go's field names. */
function publishedPeer(lease: Lease): { readonly publicKey: string; readonly port: number } | undefined {
  const data = lease.attributes.backendData
  if (!isJsonObject(data)) return undefined
  const fields = new GoFields(data, { file: '', line: 0, object: '' })
  return { publicKey: fields.string('PublicKey') ?? '', port: fields.integer('Port') ?? 0 }
}

/** The base64 of 32 bytes (wgtypes.ParseKey). */
