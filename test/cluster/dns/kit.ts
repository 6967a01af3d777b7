/** Services, endpoints and pods by hand, and a DNS world over them. */
import { parseCidr, type Cidr } from '../../../src/base/cidr.js'
import { ip } from '../../../src/base/ip.js'
import type { DnsRecord } from '../../../src/base/dns-record.js'
import { formatIp } from '../../../src/base/ip.js'
import { readDnsSettings, type DnsSettings } from '../../../src/cluster/dns/dns-settings.js'
import { buildDnsWorld, type DnsWorld } from '../../../src/cluster/dns/dns-world.js'
import { readManifests, type KubernetesObject } from '../../../src/cluster/manifest.js'
import { readPod, type ClusterPod } from '../../../src/cluster/pod.js'
import { ProblemList } from '../../../src/cluster/problem-list.js'
import type { ClusterService, ServiceEndpoint, ServiceEndpoints, ServicePort } from '../../../src/cluster/services/service.js'

export function objectsOf(text: string): readonly KubernetesObject[] {
  return readManifests([{ file: 't.yaml', text }], new ProblemList()).objects
}

export function podOf(text: string): ClusterPod {
  const [object] = objectsOf(text)
  const pod = readPod(object, new ProblemList())
  if (pod === undefined) throw new Error('no pod')
  return pod
}

export function pod(name: string, { namespace = 'default', address = '', spec = '{}' } = {}): ClusterPod {
  return podOf(`apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: ${spec}\nstatus: {podIP: "${address}"}`)
}

/** `http:80/TCP` */
function port(text: string): ServicePort {
  const [, name, number, protocol] = /^([^:]*):([0-9]+)\/(TCP|UDP)$/.exec(text) ?? []
  return { name, protocol: protocol as 'TCP' | 'UDP', port: Number(number), targetPort: Number(number), nodePortAssumed: false, file: 't.yaml', line: 1 }
}

interface ServiceText {
  /** `namespace/name` */
  readonly name: string
  /** Absent: headless. */
  readonly clusterIP?: string
  readonly externalName?: string
  readonly ports?: readonly string[]
  readonly labels?: Record<string, string>
  readonly assumed?: boolean
}

export function service({ name: path, clusterIP, externalName, ports = ['http:80/TCP'], labels = {}, assumed = false }: ServiceText): ClusterService {
  const [namespace, name] = path.split('/')
  const metadata = JSON.stringify({ name, namespace, labels })
  // on line 7
  const [object] = objectsOf(`${'\n'.repeat(6)}apiVersion: v1\nkind: Service\nmetadata: ${metadata}\n`)
  return {
    namespace,
    name,
    type: externalName === undefined ? 'ClusterIP' : 'ExternalName',
    ...(clusterIP === undefined ? {} : { clusterIP: ip(clusterIP) }),
    clusterIPAssumed: assumed,
    headless: clusterIP === undefined && externalName === undefined,
    ...(externalName === undefined ? {} : { externalName }),
    ports: ports.map(port),
    externalIPs: [],
    loadBalancerAddresses: [],
    loadBalancerHostnames: [],
    sourceRanges: [],
    externalLocal: false,
    internalLocal: false,
    healthCheckNodePort: 0,
    publishNotReady: false,
    object,
    file: 't.yaml',
    line: 7,
  }
}

export interface EndpointText {
  readonly address: string
  readonly hostname?: string
  readonly ready?: boolean
  readonly pod?: ClusterPod
}

export function endpoints(of: ServiceText, ...all: readonly EndpointText[]): ServiceEndpoints {
  const made = service(of)
  const endpoint = ({ address, hostname, ready = true, pod: behind }: EndpointText, number: number): ServiceEndpoint => ({
    address: ip(address),
    port: number,
    ready,
    serving: ready,
    terminating: false,
    ...(hostname === undefined ? {} : { hostname }),
    ...(behind === undefined ? {} : { pod: behind }),
  })
  return {
    service: made,
    ports: made.ports.map((one) => ({ port: one, endpoints: all.map((text) => endpoint(text, one.port)) })),
    addresses: all.map((text) => endpoint(text, 0)),
    from: 'EndpointSlice',
  }
}

export interface WorldText {
  readonly services: readonly ServiceEndpoints[]
  /** Of kube-system/coredns; absent: there is none. */
  readonly corefile?: string
  readonly objects?: string
  readonly clusterDomain?: string
  readonly namespaces?: readonly string[]
  readonly pods?: readonly ClusterPod[]
}

export function settings({ services, corefile, objects = '', clusterDomain = 'cluster.local' }: WorldText): DnsSettings {
  const map =
    corefile === undefined
      ? ''
      : `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: coredns, namespace: kube-system}\ndata:\n` +
        `  Corefile: |\n${corefile.replaceAll(/^(?=.)/gm, '    ')}\n---\n`
  return readDnsSettings(
    { objects: objectsOf(`${map}${objects}`), clusterDomain, serviceCIDR: parseCidr('10.96.0.0/12') as Cidr },
    services.map((one) => one.service),
  )
}

export function world(text: WorldText): DnsWorld {
  const { services, namespaces = [], pods = [] } = text
  return buildDnsWorld({ settings: settings(text), services, namespaces, pods })
}

/** As a zone file has it, without class. */
export function line(record: DnsRecord): string {
  const head = `${record.name} ${record.ttl} ${record.type}`
  switch (record.type) {
    case 'A':
      return `${head} ${formatIp(record.address)}`
    case 'SRV':
      return `${head} ${record.priority} ${record.weight} ${record.port} ${record.target}`
    case 'TXT':
      return `${head} ${record.texts.join(' ')}`
    case 'SOA':
      return head
    default:
      return `${head} ${record.target}`
  }
}
