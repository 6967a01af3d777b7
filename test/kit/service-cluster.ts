/** A cluster with a Service of every kind that kube-proxy makes other rules for, on any network: for tests that ask it of netsim and of a kernel. */

interface ServiceClusterOptions {
  /** The Network document's spec, beside the underlay; `cni` and what belongs to it. */
  readonly spec: Readonly<Record<string, unknown>>
  readonly documents?: readonly unknown[]
}

const SEGMENT = { name: 's0', cidr: '192.168.10.0/24', latency: '0us' }
const OUTSIDE = { name: 'client', address: '203.0.113.10' }

const node = (number: number): unknown => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: `n${number}` },
  spec: { podCIDR: `10.244.${number}.0/24` },
  status: { addresses: [{ type: 'InternalIP', address: `192.168.10.1${number}` }] },
})

const pod = (name: string, app: string, nodeName: string): unknown => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels: { app } },
  spec: { nodeName, containers: [{ name: 'c', ports: [{ containerPort: 8080 }, { containerPort: 5353, protocol: 'UDP' }] }] },
})

const HTTP = { name: 'http', port: 80, targetPort: 8080 }

function service(name: string, spec: Readonly<Record<string, unknown>>, more: Readonly<Record<string, unknown>> = {}): unknown {
  return { apiVersion: 'v1', kind: 'Service', metadata: { name }, spec: { selector: { app: 'web' }, ports: [HTTP], ...spec }, ...more }
}

const at = (ip: string): Readonly<Record<string, unknown>> => ({ status: { loadBalancer: { ingress: [{ ip }] } } })

const SERVICES = [
  service('web', { clusterIP: '10.96.0.10', ports: [HTTP, { name: 'dns', port: 53, targetPort: 5353, protocol: 'UDP' }] }),
  service('solo', { clusterIP: '10.96.0.11', selector: { app: 'solo' } }),
  service('sticky', { clusterIP: '10.96.0.12', type: 'NodePort', sessionAffinity: 'ClientIP', ports: [{ ...HTTP, nodePort: 30012 }] }),
  service('near', { clusterIP: '10.96.0.13', type: 'NodePort', externalTrafficPolicy: 'Local', ports: [{ ...HTTP, nodePort: 30013 }] }),
  service('inner', { clusterIP: '10.96.0.14', internalTrafficPolicy: 'Local' }),
  service('empty', { clusterIP: '10.96.0.15', selector: { app: 'nobody' }, type: 'NodePort', ports: [{ ...HTTP, nodePort: 30015 }] }),
  service('shop', { clusterIP: '10.96.0.16', type: 'LoadBalancer', externalIPs: ['198.51.100.7'], ports: [{ ...HTTP, nodePort: 30016 }] }, at('203.0.114.16')),
  service(
    'club',
    { clusterIP: '10.96.0.17', type: 'LoadBalancer', loadBalancerSourceRanges: ['203.0.113.0/24', '10.244.1.0/24'], ports: [{ ...HTTP, nodePort: 30017 }] },
    at('203.0.114.17'),
  ),
  service(
    'store',
    { clusterIP: '10.96.0.18', type: 'LoadBalancer', externalTrafficPolicy: 'Local', healthCheckNodePort: 32018, ports: [{ ...HTTP, nodePort: 30018 }] },
    at('203.0.114.18'),
  ),
]

export function serviceCluster({ spec, documents = [] }: ServiceClusterOptions): string {
  const pods = [
    pod('web-0', 'web', 'n1'),
    pod('client-1', 'client', 'n1'),
    pod('web-1', 'web', 'n2'),
    pod('solo-0', 'solo', 'n2'),
    pod('client-3', 'client', 'n3'),
  ]
  const underlay = { segments: [SEGMENT], hosts: [OUTSIDE] }
  const network = { apiVersion: 'netsim/v1', kind: 'Network', metadata: { name: 'default' }, spec: { ...spec, underlay } }
  const objects = [node(1), node(2), node(3), ...pods, ...SERVICES, ...documents, network]
  return objects.map((one) => JSON.stringify(one)).join('\n---\n')
}

const flannel = (backend: string, runtime: Readonly<Record<string, unknown>>): ServiceClusterOptions => ({
  spec: { cni: 'flannel', datastore: 'kubernetes', runtime },
  documents: [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'kube-flannel-cfg', namespace: 'kube-flannel' },
      data: { 'net-conf.json': JSON.stringify({ Network: '10.244.0.0/16', Backend: { Type: backend } }) },
    },
  ],
})

const calico = (encapsulation: string): ServiceClusterOptions => ({
  spec: { cni: 'calico' },
  documents: [
    {
      apiVersion: 'crd.projectcalico.org/v1',
      kind: 'IPPool',
      metadata: { name: 'default-ipv4-ippool' },
      spec: { cidr: '10.244.0.0/16', blockSize: 26, ipipMode: 'Never', vxlanMode: encapsulation, natOutgoing: true },
    },
  ],
})

/** Each network that the cluster is put on. */
export const SERVICE_NETWORKS: Readonly<Record<string, ServiceClusterOptions>> = {
  'flannel vxlan, bridge plugin': flannel('vxlan', { name: 'cni' }),
  'flannel host-gw, bridge plugin': flannel('host-gw', { name: 'cni' }),
  'flannel vxlan, docker': flannel('vxlan', { name: 'docker' }),
  'flannel host-gw, docker': flannel('host-gw', { name: 'docker', iptables: true }),
  'Calico without encapsulation': calico('Never'),
  'Calico vxlan': calico('Always'),
}
