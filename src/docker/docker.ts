/**
 * dockerd's default bridge network: docker0, its containers' veth pairs, and its iptables rules. From a view to a part of the node's Dataplane
 * and one Dataplane per pod. Source: moby libnetwork/drivers/bridge.
 */
import type { Ip } from '../base/ip.js'
import { macOf, type Mac } from '../base/mac.js'
import type { DeviceSpec } from '../dataplane/dataplane.js'
import { allocateLowestFree } from './address-allocation.js'
import { subnetOf, type DockerView, type RuntimePart } from './attachment.js'
import { renderDirectAccess, renderDockerRules, renderPublished } from './docker-rules.js'
import { attachPods, bridgeStream, connectedRoute, interfaceAddress } from './veth.js'

const DOCKER_BRIDGE = 'docker0'
const DOCKER = 'docker'
/** Of a bridge without ports; with ports it follows the smallest. */
const BRIDGE_MTU = 1500
/** The first two bytes of the MACs that docker makes up. */
const DOCKER_MAC_HIGH = 0x0242

/** docker0 is there with its address whether it has pods or not. */
export function renderDocker(view: DockerView): RuntimePart {
  const { given, problems } = allocateLowestFree(view)
  const { hostEnds, pods } = attachPods(given, {
    view,
    bridge: DOCKER_BRIDGE,
    by: DOCKER,
    ipam: DOCKER,
    digits: 7,
    hairpin: !view.userlandProxy,
    macOf: containerMac,
    destinations: [{ base: 0, length: 0 }],
    sysctls: {},
  })
  const { chainEdits, ipsets } = renderDockerRules(view)
  return {
    devices: [bridgeOf(view, hostEnds), ...hostEnds],
    routes: [connectedRoute(subnetOf(view), DOCKER_BRIDGE, view.subnet.address, `bridge ${DOCKER_BRIDGE}`)],
    chainEdits: [
      ...chainEdits,
      ...renderPublished(view, pods),
      ...renderDirectAccess(
        view,
        pods.map(({ address }) => address),
      ),
    ],
    ipsets,
    sysctls: dockerSysctls(view),
    pods,
    problems,
  }
}

function bridgeOf(view: DockerView, ports: readonly DeviceSpec[]): DeviceSpec {
  const mac = view.bridgeMac ?? macOf(DOCKER_MAC_HIGH, bridgeStream(view, DOCKER_BRIDGE).nextInt32())
  const mtu = ports.length === 0 ? BRIDGE_MTU : Math.min(...ports.map((port) => port.mtu))
  return {
    kind: 'bridge',
    name: DOCKER_BRIDGE,
    mtu,
    mac,
    up: true,
    addresses: [interfaceAddress(view.subnet.address, view.subnet.length)],
    provenance: { by: DOCKER, object: `bridge ${DOCKER_BRIDGE}` },
  }
}

function containerMac(address: Ip): Mac {
  return macOf(DOCKER_MAC_HIGH, address)
}

function dockerSysctls(view: DockerView): Readonly<Record<string, number>> {
  return {
    'net.ipv4.ip_forward': 1,
    // frames between two ports must meet the rule that drops them
    ...(view.iptables && !view.icc ? { 'net.bridge.bridge-nf-call-iptables': 1 } : {}),
    // without the proxy it is DNAT that takes 127.0.0.1:port to a container
    ...(view.userlandProxy ? {} : { [`net.ipv4.conf.${DOCKER_BRIDGE}.route_localnet`]: 1 }),
  }
}
