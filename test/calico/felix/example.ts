/** A cluster that uses every kind of rule, for tests of the whole render. */
import { ip } from '../../../src/base/ip.js'
import { renderFelix, type FelixPart, type FelixView } from '../../../src/calico/felix/felix.js'
import type { FelixSettings } from '../../../src/cluster/calico/felix-configuration.js'
import { compiled, manifest, podEndpoint } from './manifest.js'
import { felixConfig } from './kit.js'
import { pool } from '../kit.js'

const HTTP = { name: 'http', protocol: 'TCP', port: 8080 }

export const PODS = [
  podEndpoint({ name: 'web', address: '10.0.0.2', interfaceName: 'caliweb', labels: { app: 'web' }, ports: [HTTP] }),
  podEndpoint({ name: 'db', address: '10.0.0.3', interfaceName: 'calidb', labels: { app: 'db' } }),
  podEndpoint({ name: 'shop', namespace: 'prod', address: '10.0.0.4', interfaceName: 'calishop', labels: { app: 'web' }, serviceAccount: 'seller' }),
  podEndpoint({ name: 'far', node: 'n2', address: '10.0.1.2', interfaceName: 'califar', labels: { app: 'web' }, ports: [HTTP] }),
]

export const POLICIES = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: default}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: db}}}]
    ports: [{port: http}, {port: 443}]
  - from: [{ipBlock: {cidr: 172.16.0.0/12, except: [172.16.1.0/24]}}]
---
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: security}
spec: {order: 100}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: security.scan}
spec:
  tier: security
  order: 10
  selector: app == 'db'
  types: [Ingress]
  ingress:
  - {action: Log, protocol: TCP, destination: {ports: [23]}}
  - {action: Deny, protocol: TCP, destination: {ports: [23]}}
  - {action: Deny, source: {nets: [192.0.2.0/24, 198.51.100.0/24]}, destination: {nets: [10.0.0.0/25, 10.0.0.128/25]}}
  - {action: Pass}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: a-ping}
spec:
  selector: app == 'db'
  ingress: [{action: Allow, protocol: ICMP, icmp: {type: 8}}]
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: b-web}
spec:
  selector: app == 'db'
  ingress: [{action: Allow, protocol: TCP, source: {selector: app == 'web', namespaceSelector: team == 'default'}, destination: {ports: ['5432:5433', 6379]}}]
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: office, labels: {site: office}}
spec: {nets: [203.0.113.0/24, 0.0.0.0/0]}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: sellers, namespace: prod}
spec:
  types: [Egress]
  serviceAccountSelector: projectcalico.org/name == 'seller'
  egress:
  - {action: Deny, protocol: UDP, destination: {notPorts: [53]}}
  - {action: Allow, destination: {selector: site == 'office', namespaceSelector: global()}}
  - {action: Allow, destination: {notNets: [10.0.0.0/8]}}
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: n1-eth0, labels: {host: edge}}
spec: {node: n1, interfaceName: eth0, expectedIPs: [192.168.10.11]}
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: n1-all, labels: {host: all}}
spec: {node: n1, interfaceName: "*", profiles: [projectcalico-default-allow]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: untracked}
spec:
  selector: host == 'edge'
  doNotTrack: true
  applyOnForward: true
  types: [Ingress, Egress]
  ingress: [{action: Allow, protocol: UDP, destination: {ports: [5000]}}]
  egress: [{action: Allow, protocol: UDP, source: {ports: [5000]}}]
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: before-dnat}
spec:
  selector: host == 'edge'
  preDNAT: true
  applyOnForward: true
  types: [Ingress]
  ingress: [{action: Deny, protocol: TCP, destination: {ports: ['30000:32767']}}]
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: forwarded}
spec:
  selector: host == 'edge'
  applyOnForward: true
  types: [Ingress, Egress]
  ingress: [{action: Allow}]
  egress: [{action: Allow}]
`

export function exampleView(settings: FelixSettings = {}): FelixView {
  const config = felixConfig(
    { defaultEndpointToHostAction: 'Accept', ...settings },
    { poolsUse: { ipip: true, vxlan: true }, ipipTunnelAddress: ip('10.0.0.1'), vxlanTunnelAddress: ip('10.0.0.5') },
  )
  return {
    config,
    policies: compiled(POLICIES, PODS),
    workloadEndpoints: PODS.filter(({ node }) => node === 'n1'),
    hostEndpoints: manifest(POLICIES).resources.hostEndpoints.filter(({ node }) => node === 'n1'),
    interfaces: [
      { name: 'lo', addresses: [ip('127.0.0.1')] },
      { name: 'eth0', addresses: [ip('192.168.10.11')] },
      { name: 'eth1', addresses: [ip('192.168.20.11')] },
    ],
    pools: [pool('10.0.0.0/16')],
    hostAddresses: [ip('192.168.10.11'), ip('192.168.10.12')],
    remoteVteps: [ip('192.168.10.12')],
    serviceCidrs: ['10.96.0.0/12'],
  }
}

export function exampleNode(settings: FelixSettings = {}): FelixPart {
  return renderFelix(exampleView(settings))
}
