/**
 * The ports of a host that Felix leaves open whatever policies say (failsafeInboundHostPorts, failsafeOutboundHostPorts), as policies before all
 * tiers. Source: felix/rules/static.go failsafeInChain, felix/config/config_params.go (defaults).
 */
import { grouped } from '../../base/grouped.js'
import type { ProtoPort } from '../../cluster/calico/felix-configuration.js'
import { readFelixConfiguration } from '../../cluster/calico/read-felix-configuration.js'
import { CALICO_GROUPS, groupOf } from '../../cluster/kinds.js'
import type { KubernetesObject } from '../../cluster/manifest.js'
import type { PolicyState } from '../../cluster/policy-state.js'
import { ProblemList, type Place } from '../../cluster/problem-list.js'
import type { Protocol } from '../connections.js'
import type { Peer, Policy, PolicyRule } from '../model.js'
import { hostEndpointCondition } from './host-endpoints.js'
import { everybody, networksPeer, placeIn, portsOf } from './parts.js'

const CLUSTER_PORTS: readonly ProtoPort[] = [179, 2379, 2380, 5473, 6443, 6666, 6667].map((port) => ({ protocol: 'tcp', port }))
const INBOUND: readonly ProtoPort[] = [{ protocol: 'tcp', port: 22 }, { protocol: 'udp', port: 68 }, ...CLUSTER_PORTS]
const OUTBOUND: readonly ProtoPort[] = [{ protocol: 'udp', port: 53 }, { protocol: 'udp', port: 67 }, ...CLUSTER_PORTS]

/** One for each node with a host endpoint whose configuration differs; none without host endpoints. */
export function failsafePolicies({ objects, hostEndpoints }: PolicyState): readonly Policy[] {
  if (hostEndpoints.length === 0) return []
  const configurations = objects.filter(({ apiVersion, kind }) => kind === 'FelixConfiguration' && CALICO_GROUPS.includes(groupOf(apiVersion)))
  const groups = grouped(hostEndpoints, ({ node }) => configurations.find(({ name }) => name === `node.${node}`))
  return [...groups].map(([ofNode, endpoints]): Policy => {
    const common = configurations.find(({ name }) => name === 'default')
    const names = endpoints.map(({ name }) => name)
    const place: Place = { file: endpoints[0].file, line: endpoints[0].line }
    const inbound = ports('failsafeInboundHostPorts', [ofNode, common]) ?? { list: INBOUND, place }
    const outbound = ports('failsafeOutboundHostPorts', [ofNode, common]) ?? { list: OUTBOUND, place }
    const subject = hostEndpointCondition(names, place)
    return {
      kind: 'Profile',
      namespace: '',
      name: 'failsafe ports',
      subject: [subject],
      subjectWords: subject.words,
      directions: ['ingress', 'egress'],
      ingress: inbound.list.map((port, index) => openPort(port, index, inbound.place)),
      egress: outbound.list.map((port, index) => openPort(port, index, outbound.place)),
      file: inbound.place.file,
      line: inbound.place.line,
    }
  })
}

interface Ports {
  readonly list: readonly ProtoPort[]
  readonly place: Place
}

type PortsField = 'failsafeInboundHostPorts' | 'failsafeOutboundHostPorts'

/** The node's own win over the cluster's; what is wrong with them is said where the configuration is read for packets. */
function ports(field: PortsField, objects: readonly (KubernetesObject | undefined)[]): Ports | undefined {
  for (const object of objects) {
    const list = object === undefined ? undefined : readFelixConfiguration(object, new ProblemList())?.settings[field]
    if (list !== undefined) return { list, place: placeIn(object, ['spec', field]) }
  }
  return undefined
}

function openPort({ protocol, port, net }: ProtoPort, index: number, place: Place): PolicyRule {
  const peer: Peer = net === undefined ? everybody(place) : { ...networksPeer([net.text], { object: undefined, path: [], podsToo: true }), ...place }
  const known = protocol.toUpperCase() as Protocol
  return { index, action: 'allow', peers: [peer], local: [], ports: portsOf([{ kind: 'numbers', protocol: known, first: port, last: port }]), ...place }
}
