import { parseCidr, type Cidr } from '../../src/base/cidr.js'
import { ip } from '../../src/base/ip.js'
import { readManifests } from '../../src/cluster/manifest.js'
import { ProblemList } from '../../src/cluster/problem-list.js'
import { DEFAULT_KUBE_PROXY, type KubeProxySettings } from '../../src/cluster/services/kube-proxy-settings.js'
import type { ClusterService, LoadBalancerAddress, ServiceEndpoint, ServiceEndpoints, ServicePort } from '../../src/cluster/services/service.js'
import { applyChainEdits } from '../../src/dataplane/chain-edit.js'
import { printIptablesSave } from '../../src/dataplane/iptables-save.js'
import type { KubeProxyPart, KubeProxyView } from '../../src/kubeproxy/kube-proxy.js'
import { prepareServices } from '../../src/kubeproxy/prepared-services.js'
import { renderKubeProxy } from '../../src/kubeproxy/proxier.js'

export const net = (text: string): Cidr => parseCidr(text) as Cidr

const PLAIN: Omit<ClusterService, 'namespace' | 'name' | 'object'> = {
  type: 'ClusterIP',
  clusterIPAssumed: false,
  headless: false,
  ports: [],
  externalIPs: [],
  loadBalancerAddresses: [],
  loadBalancerHostnames: [],
  sourceRanges: [],
  externalLocal: false,
  internalLocal: false,
  healthCheckNodePort: 0,
  publishNotReady: false,
  file: 'services.yaml',
  line: 1,
}

export function port(fields: Partial<ServicePort> = {}): ServicePort {
  return { name: 'p80', protocol: 'TCP', port: 80, targetPort: 80, nodePortAssumed: false, file: 'services.yaml', line: 7, ...fields }
}

/** `10.180.0.1:80@node1`, ready; with words behind: `unready`, `ending`, `zone=a`, `zones=a,b`, `nodes=n1`. */
export function endpoint(text: string): ServiceEndpoint {
  const [where, ...words] = text.split(' ')
  const [, address, number, node] = /^([0-9.]+):([0-9]+)(?:@(.+))?$/.exec(where) as unknown as [string, string, string, string?]
  const given = (key: string): string[] | undefined =>
    words
      .find((word) => word.startsWith(`${key}=`))
      ?.slice(key.length + 1)
      .split(',')
  const ending = words.includes('ending')
  const zones = given('zones')
  const nodes = given('nodes')
  return {
    address: ip(address),
    port: Number(number),
    ...(node === undefined ? {} : { node }),
    ready: !ending && !words.includes('unready'),
    serving: ending || !words.includes('unready'),
    terminating: ending,
    ...(zones === undefined ? {} : { forZones: zones }),
    ...(nodes === undefined ? {} : { forNodes: nodes }),
  }
}

/** Each port with the same endpoints. */
export function service(
  path: string,
  fields: Partial<Omit<ClusterService, 'clusterIP'>> & { readonly clusterIP?: string },
  endpoints: readonly string[] = [],
): ServiceEndpoints {
  const [namespace, name] = path.split('/')
  const { clusterIP, ...rest } = fields
  const text = `{apiVersion: v1, kind: Service, metadata: {namespace: ${namespace}, name: ${name}}}`
  const [object] = readManifests([{ file: 'services.yaml', text }], new ProblemList()).objects
  const read: ClusterService = { ...PLAIN, namespace, name, object, ports: [port()], ...(clusterIP === undefined ? {} : { clusterIP: ip(clusterIP) }), ...rest }
  const listed = endpoints.map(endpoint)
  return { service: read, ports: read.ports.map((each) => ({ port: each, endpoints: listed })), addresses: listed, from: 'EndpointSlice' }
}

export const vip = (address: string): LoadBalancerAddress => ({ address: ip(address), mode: 'VIP', assumed: false })

/** As upstream's tests run it: local traffic is what comes from 10.0.0.0/8. */
export const SETTINGS: KubeProxySettings = { ...DEFAULT_KUBE_PROXY, clusterCIDR: net('10.0.0.0/8') }

export function rendered(services: readonly ServiceEndpoints[], view: Partial<Omit<KubeProxyView, 'services'>> = {}): KubeProxyPart {
  const settings = view.settings ?? SETTINGS
  return renderKubeProxy({
    node: 'node1',
    nodeAddress: ip('192.168.0.2'),
    addresses: [ip('127.0.0.1'), ip('192.168.0.2'), ip('10.180.0.1')],
    conntrackBeLiberal: false,
    ...view,
    settings,
    services: prepareServices(services, settings),
  })
}

/** What iptables-save would show. */
export function savedText({ chainEdits }: KubeProxyPart): string {
  return printIptablesSave(applyChainEdits({ tables: [] }, chainEdits))
}

/** The rules of one table, without `-A `. */
export function rulesOf(part: KubeProxyPart, table: 'filter' | 'nat' | 'mangle', chain = ''): string[] {
  const text = savedText(part)
  const from = text.indexOf(`*${table}`)
  return text
    .slice(from, text.indexOf('COMMIT', from))
    .split('\n')
    .filter((line) => line.startsWith(`-A ${chain}`))
    .map((line) => line.slice(3))
}

/** Those of TestOverallIPTablesRules. */
export const SIX_SERVICES: readonly ServiceEndpoints[] = [
  service('ns1/svc1', { clusterIP: '172.30.0.41' }, ['10.180.0.1:80']),
  service(
    'ns2/svc2',
    {
      clusterIP: '172.30.0.42',
      type: 'LoadBalancer',
      externalLocal: true,
      ports: [port({ nodePort: 3001 })],
      loadBalancerAddresses: [vip('1.2.3.4')],
      externalIPs: [ip('192.168.99.22')],
      healthCheckNodePort: 30000,
    },
    ['10.180.0.2:80'],
  ),
  service('ns3/svc3', { clusterIP: '172.30.0.43', type: 'NodePort', ports: [port({ nodePort: 3003 })] }, ['10.180.0.3:80']),
  service('ns4/svc4', { clusterIP: '172.30.0.44', type: 'NodePort', externalIPs: [ip('192.168.99.33')] }, ['10.180.0.4:80@node1', '10.180.0.5:80']),
  service(
    'ns5/svc5',
    {
      clusterIP: '172.30.0.45',
      type: 'LoadBalancer',
      ports: [port({ nodePort: 3002 })],
      loadBalancerAddresses: [vip('5.6.7.8')],
      sourceRanges: [net('203.0.113.0/25')],
      affinitySeconds: 10800,
      healthCheckNodePort: 30000,
    },
    ['10.180.0.3:80'],
  ),
  service('ns6/svc6', { clusterIP: '172.30.0.46' }),
]
