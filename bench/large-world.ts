/**
 * Large clusters as `kubectl get … -o json` prints them, piece by piece, so that no text of all is ever in memory: nodes with 30 pods each, each pod with
 * what a Deployment's has (labels, a container with ports, resources and its token, conditions, an address), 15 pods a namespace, Services of 15 pods,
 * one NetworkPolicy a namespace out of six usual kinds. The same size, the same bytes.
 */
import { formatIp, ip } from '../src/base/ip.js'
import { formatMac } from '../src/base/mac.js'
import { PORT } from './forward-network.js'
import { namespaceName, namespaceObject, policyObject, PODS_PER_NAMESPACE, TIERS } from './policy-world.js'

export const BACKENDS = ['vxlan', 'host-gw', 'calico'] as const
export type LargeBackend = (typeof BACKENDS)[number]

export interface LargeSize {
  readonly nodes: number
  readonly services: number
  readonly policies: number
  readonly backend: LargeBackend
}

export const PODS_PER_NODE = 30
const FLANNEL = 'flannel.alpha.coreos.com'
/** Of the nodes' one segment, and of pods: a /24 a node. */
const UNDERLAY = '172.16.0.0/12'
const PODS = '10.0.0.0/8'
const CREATED = '2024-05-01T08:00:00Z'
const TOKEN_PATH = '/var/run/secrets/kubernetes.io/serviceaccount'
const CHUNK_BYTES = 1 << 18

type Json = Readonly<Record<string, unknown>>

/** A /24 of its own. */
function subnetOf(node: number): number {
  return ip('10.0.0.0') | (node << 8)
}

function nodeAddress(node: number): string {
  return formatIp((ip('172.16.0.0') + node + 2) | 0)
}

export function podName(index: number): string {
  return `app-${Math.floor(index / PODS_PER_NAMESPACE) % 50}-5d8f7c9b6d-${(index + 0x10000).toString(36)}`
}

/** By its number: 30 on each node, each 15 that follow one another in a namespace. */
export function podKey(index: number): string {
  return `${namespaceName(Math.floor(index / PODS_PER_NAMESPACE))}/${podName(index)}`
}

export function podAddress(index: number): string {
  return formatIp(subnetOf(Math.floor(index / PODS_PER_NODE)) | ((index % PODS_PER_NODE) + 2))
}

function uid(kind: number, index: number): string {
  return `${kind.toString(16).padStart(8, '0')}-7e57-4000-8000-${index.toString(16).padStart(12, '0')}`
}

function nodeObject(index: number, backend: LargeBackend): Json {
  const name = `node-${index}`
  const address = nodeAddress(index)
  const mac = formatMac(0x5e1d00000000 + index)
  const flannel = {
    [`${FLANNEL}/backend-data`]: backend === 'vxlan' ? JSON.stringify({ VNI: 1, VtepMAC: mac }) : 'null',
    [`${FLANNEL}/backend-type`]: backend,
    [`${FLANNEL}/kube-subnet-manager`]: 'true',
    [`${FLANNEL}/public-ip`]: address,
  }
  const calico = { 'projectcalico.org/IPv4Address': `${address}/12`, 'projectcalico.org/IPv4VXLANTunnelAddr': formatIp(subnetOf(index)) }
  const podCIDR = `${formatIp(subnetOf(index))}/24`
  const condition = { lastHeartbeatTime: CREATED, lastTransitionTime: CREATED, message: 'kubelet is posting ready status', reason: 'KubeletReady' }
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      annotations: { ...(backend === 'calico' ? calico : flannel), 'volumes.kubernetes.io/controller-managed-attach-detach': 'true' },
      creationTimestamp: CREATED,
      labels: {
        'kubernetes.io/arch': 'amd64',
        'kubernetes.io/hostname': name,
        'kubernetes.io/os': 'linux',
        'topology.kubernetes.io/zone': `zone-${index % 3}`,
      },
      name,
      resourceVersion: String(1000 + index),
      uid: uid(1, index),
    },
    spec: { podCIDR, podCIDRs: [podCIDR] },
    status: {
      addresses: [
        { address, type: 'InternalIP' },
        { address: name, type: 'Hostname' },
      ],
      allocatable: { cpu: '16', memory: '64301748Ki', pods: '110' },
      capacity: { cpu: '16', memory: '65301748Ki', pods: '110' },
      conditions: [{ ...condition, status: 'True', type: 'Ready' }],
      nodeInfo: { architecture: 'amd64', containerRuntimeVersion: 'containerd://1.7.16', kubeletVersion: 'v1.30.0', operatingSystem: 'linux' },
    },
  }
}

function podObject(index: number): Json {
  const namespace = Math.floor(index / PODS_PER_NAMESPACE)
  const node = Math.floor(index / PODS_PER_NODE)
  const inNamespace = index % PODS_PER_NAMESPACE
  const tier = TIERS[inNamespace % TIERS.length]
  const isDns = namespace === 0 && inNamespace < 3
  const address = podAddress(index)
  const labels = isDns ? { 'k8s-app': 'kube-dns' } : { app: `app-${namespace % 50}`, 'pod-template-hash': '5d8f7c9b6d', service: serviceName(namespace), tier }
  const container = {
    image: `registry.example.com/team-${namespace % 20}/main:1.${namespace % 9}`,
    imagePullPolicy: 'IfNotPresent',
    name: 'main',
    ports: [
      { containerPort: 8080, name: 'http', protocol: 'TCP' },
      { containerPort: PORT, name: 'probe', protocol: 'UDP' },
    ],
    resources: { limits: { cpu: '500m', memory: '256Mi' }, requests: { cpu: '100m', memory: '128Mi' } },
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    volumeMounts: [{ mountPath: TOKEN_PATH, name: 'kube-api-access', readOnly: true }],
  }
  const conditions = ['Initialized', 'Ready', 'ContainersReady', 'PodScheduled'].map((type) => ({
    lastProbeTime: null,
    lastTransitionTime: CREATED,
    status: 'True',
    type,
  }))
  const tolerations = ['not-ready', 'unreachable'].map((key) => ({
    effect: 'NoExecute',
    key: `node.kubernetes.io/${key}`,
    operator: 'Exists',
    tolerationSeconds: 300,
  }))
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      creationTimestamp: CREATED,
      labels,
      name: podName(index),
      namespace: namespaceName(namespace),
      resourceVersion: String(100_000 + index),
      uid: uid(2, index),
    },
    spec: {
      containers: [container],
      dnsPolicy: 'ClusterFirst',
      enableServiceLinks: true,
      nodeName: `node-${node}`,
      preemptionPolicy: 'PreemptLowerPriority',
      priority: 0,
      restartPolicy: 'Always',
      schedulerName: 'default-scheduler',
      securityContext: {},
      serviceAccount: 'default',
      serviceAccountName: 'default',
      terminationGracePeriodSeconds: 30,
      tolerations,
      volumes: [{ name: 'kube-api-access', projected: { defaultMode: 420, sources: [{ serviceAccountToken: { expirationSeconds: 3607, path: 'token' } }] } }],
    },
    status: {
      conditions,
      containerStatuses: [{ image: container.image, name: 'main', ready: true, restartCount: 0, started: true, state: { running: { startedAt: CREATED } } }],
      hostIP: nodeAddress(node),
      phase: 'Running',
      podIP: address,
      podIPs: [{ ip: address }],
      qosClass: 'Burstable',
      startTime: CREATED,
    },
  }
}

export function serviceName(index: number): string {
  return `service-${index}`
}

/** In front of the pods of its namespace. */
function serviceObject(index: number): Json {
  const clusterIP = serviceAddress(index)
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      creationTimestamp: CREATED,
      name: serviceName(index),
      namespace: namespaceName(index),
      resourceVersion: String(10_000 + index),
      uid: uid(3, index),
    },
    spec: {
      clusterIP,
      clusterIPs: [clusterIP],
      internalTrafficPolicy: 'Cluster',
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      ports: [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 8080 }],
      selector: { service: serviceName(index) },
      sessionAffinity: 'None',
      type: 'ClusterIP',
    },
    status: { loadBalancer: {} },
  }
}

export function serviceAddress(index: number): string {
  return formatIp(ip('11.96.0.0') + index + 16)
}

function settings({ backend, services }: LargeSize): readonly Json[] {
  const calico = backend === 'calico'
  const netConf = JSON.stringify({ Network: PODS, Backend: { Type: backend } })
  const pool = {
    apiVersion: 'crd.projectcalico.org/v1',
    kind: 'IPPool',
    metadata: { name: 'default-ipv4-ippool' },
    spec: { cidr: PODS, blockSize: 24, vxlanMode: 'Always', ipipMode: 'Never', natOutgoing: true, nodeSelector: 'all()' },
  }
  // as clusters of VXLAN alone have it; a mesh of 5,000 would be 12 million sessions
  const bgp = {
    apiVersion: 'crd.projectcalico.org/v1',
    kind: 'BGPConfiguration',
    metadata: { name: 'default' },
    spec: { nodeToNodeMeshEnabled: false },
  }
  const flannel = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'kube-flannel-cfg', namespace: 'kube-flannel' }, data: { 'net-conf.json': netConf } }
  const spec = {
    cni: calico ? 'calico' : 'flannel',
    kubeProxy: { mode: services === 0 ? 'none' : 'iptables' },
    underlay: { segments: [{ name: 'lan', cidr: UNDERLAY }] },
  }
  return [{ apiVersion: 'netsim/v1', kind: 'Network', metadata: { name: 'default' }, spec }, ...(calico ? [pool, bgp] : [flannel])]
}

/** Object by object, in the order in which `kubectl get nodes,namespaces,services,networkpolicies,pods -A -o json` has them. */
export function* largeObjects(size: LargeSize): Generator<Json> {
  const { nodes, services, policies, backend } = size
  yield* settings(size)
  for (let index = 0; index < nodes; index++) yield nodeObject(index, backend)
  const pods = nodes * PODS_PER_NODE
  for (let index = 0; index < pods / PODS_PER_NAMESPACE; index++) yield namespaceObject(index)
  for (let index = 0; index < services; index++) yield serviceObject(index)
  for (let index = 0; index < policies; index++) yield policyObject(index)
  for (let index = 0; index < pods; index++) yield podObject(index)
}

/** One List, indented as kubectl does it. */
export function* largeText(size: LargeSize): Generator<Uint8Array> {
  const encoder = new TextEncoder()
  let text = '{\n    "apiVersion": "v1",\n    "items": ['
  let separator = '\n        '
  for (const object of largeObjects(size)) {
    text += separator + JSON.stringify(object, null, 4).replaceAll('\n', '\n        ')
    separator = ',\n        '
    if (text.length < CHUNK_BYTES) continue
    yield encoder.encode(text)
    text = ''
  }
  yield encoder.encode(`${text}\n    ],\n    "kind": "List",\n    "metadata": {\n        "resourceVersion": ""\n    }\n}\n`)
}
