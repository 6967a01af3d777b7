/**
 * flanneld as data: from everything that one node's flanneld knows to everything that it puts into the kernel and writes to
 * subnet.env. Depends on the view alone. Source: flannel main.go.
 */
import type { Problem } from '../base/problem.js'
import { piecesOf, withPieces } from '../dataplane/common-rows.js'
import type { DeviceSpec, FdbSpec, NeighbourSpec, RouteSpec, SocketSpec } from '../dataplane/dataplane.js'
import type { ChainEdit } from '../dataplane/iptables.js'
import { backendSource, EMPTY_PART, type CloudPart, type FlannelView, type ProxySpec, type RegistrationView } from './backend.js'
import { findBackend, isBackend } from './backends.js'
import type { LeaseAttributes } from './lease.js'
import { renderMasquerade } from './masquerade.js'
import { subnetEnvOf, type SubnetEnv } from './subnet-env.js'
import { atLeast, checkVersion, isFlannelVersion } from './version.js'

export type { FlannelView } from './backend.js'

/** flanneld's part of a node's Dataplane. */
export interface FlannelPart {
  readonly devices: readonly DeviceSpec[]
  readonly routes: readonly RouteSpec[]
  readonly neighbours: readonly NeighbourSpec[]
  readonly fdb: readonly FdbSpec[]
  readonly sockets: readonly SocketSpec[]
  readonly chainEdits: readonly ChainEdit[]
  readonly sysctls: Readonly<Record<string, number>>
  /** udp only. */
  readonly proxy?: ProxySpec
  /** aws-vpc and gce only. */
  readonly cloud?: CloudPart
  /** Absent when flanneld could not start: then nothing else is there either. */
  readonly subnetEnv?: SubnetEnv
  readonly problems: readonly Problem[]
}

const NOTHING: Omit<FlannelPart, 'problems'> = { ...EMPTY_PART, chainEdits: [], sysctls: {} }

/** With an error among the problems flanneld would have exited at start, and the part is empty. */
export function renderFlannel(view: FlannelView): FlannelPart {
  const versionProblems = checkVersion(view.version, 'flag --version')
  if (versionProblems.some((problem) => problem.severity === 'error')) return { ...NOTHING, problems: versionProblems }
  const backend = findBackend(view.config.backendType, view.version)
  if (!isBackend(backend)) return { ...NOTHING, problems: [...versionProblems, backend] }
  const part = backend.render(view)
  const problems = [...versionProblems, ...part.problems]
  if (!problems.some((problem) => problem.severity === 'error')) problems.push(...tooSmall(part.mtu, view))
  if (problems.some((problem) => problem.severity === 'error')) return { ...NOTHING, problems }
  const masquerade = renderMasquerade(view)
  const { devices, sockets, proxy, cloud } = part
  const made = {
    devices,
    routes: [],
    neighbours: [],
    fdb: [],
    sockets,
    chainEdits: masquerade.chainEdits,
    sysctls: {},
    ...(proxy === undefined ? {} : { proxy }),
    ...(cloud === undefined ? {} : { cloud }),
    subnetEnv: subnetEnvOf(view.config.network, view.ownLease.subnet, part.mtu, view.ipMasq),
    problems: [...problems, ...masquerade.problems],
  }
  return withPieces<FlannelPart>(made, piecesOf(part))
}

/** IPV4_MIN_MTU: with less, the kernel makes no TUN, VXLAN or veth device, and takes IPv4 off any other (net/ipv4/devinet.c inetdev_valid_mtu). */
const LEAST_MTU = 68

function tooSmall(mtu: number, { config, externalInterface }: FlannelView): Problem[] {
  if (mtu >= LEAST_MTU) return []
  const what = `an MTU of ${mtu} is left for pods (card ${externalInterface.name} of the node has ${externalInterface.mtu}); IPv4 needs ${LEAST_MTU}`
  return [{ severity: 'error', ...backendSource(config.backendType), what, fix: 'raise the MTU of the card, or MTU in the Backend' }]
}

/** What flanneld asks a lease with. */
export function registrationAttributes(view: RegistrationView): LeaseAttributes | Problem {
  if (!isFlannelVersion(view.version)) return checkVersion(view.version, 'flag --version')[0]
  const backend = findBackend(view.config.backendType, view.version)
  return isBackend(backend) ? backend.attributes(view) : backend
}

/**
 * What is left when flanneld ends. Its TUN device is not persistent and goes with the process, its WireGuard device it removes, and
 * with either go the routes over it; VXLAN and IPIP device, routes, neighbours, FDB entries and the cloud's route stay.
 * @param how kill: SIGKILL, after which only the kernel clears up, and that is the TUN device
 */
export function remainsAfterExit(part: FlannelPart, version: string, how: 'exit' | 'kill' = 'exit'): FlannelPart {
  const gone = new Set(part.devices.filter(({ kind }) => kind === 'tun' || (kind === 'wireguard' && how === 'exit')).map((device) => device.name))
  const rulesRemoved = how === 'exit' && atLeast(version, '0.25.0') && !atLeast(version, '0.27.0')
  const { proxy: _proxy, ...rest } = part
  return {
    ...rest,
    devices: part.devices.filter((device) => !gone.has(device.name)),
    routes: part.routes.filter((route) => route.device === undefined || !gone.has(route.device)),
    sockets: [],
    chainEdits: rulesRemoved ? [] : part.chainEdits,
  }
}
