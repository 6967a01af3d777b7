/** The kubelet as the source of a question: its process on the node of the pod that it probes, and the ports of the probes that the pod declares. */
import type { Problem } from '../base/problem.js'
import type { Endpoint } from './endpoint.js'
import type { Network } from './network.js'
import { probePorts } from './pods.js'
import { requestProblem } from './request-problem.js'

/** @param destination the pod, with the port that was asked for or its first probe's */
export function kubeletEnds(network: Network, destination: Endpoint | Problem): readonly [Endpoint | Problem, Endpoint | Problem] {
  if ('severity' in destination) return [destination, destination]
  const pod = network.cluster.podByName.get(destination.netns ?? '') ?? network.cluster.podByName.get(destination.name)
  const node = pod?.node === undefined ? undefined : network.cluster.nodeByName.get(pod.node)
  if (pod === undefined || node === undefined) {
    const problem = requestProblem(destination.name, `${destination.name} is no pod: the kubelet probes the pods of its node`, 'Name a pod.')
    return [problem, problem]
  }
  const source: Endpoint = { name: `node/${node.name}`, address: node.address, netns: node.name, node: node.name }
  if (destination.port !== undefined) return [source, destination]
  const [port] = probePorts(pod)
  if (port === undefined) {
    return [source, requestProblem(destination.name, `no probe of ${destination.name} goes over the network`, `Say which port: ${destination.name}:PORT.`)]
  }
  return [source, { ...destination, port: port.port, proto: 'tcp' }]
}
