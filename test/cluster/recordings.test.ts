import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { formatMac } from '../../src/base/mac.js'
import { formatIp, type Ip } from '../../src/base/ip.js'
import { build } from './support.js'

interface Recording {
  readonly scenario: {
    readonly segments: Record<string, string>
    readonly nodes: { readonly name: string; readonly ip: string }[]
    readonly flannel: { readonly Network: string }
  }
  readonly pods: Record<string, { readonly node: string; readonly ip: string; readonly mac: string }>
  readonly etcd: Record<string, string>
  readonly state: Record<string, { readonly addr: string }>
}

/** The documents that DESIGN.md 5.4 asks of a replay: JSON objects between --- lines. */
function manifest({ scenario, pods, etcd, state }: Recording): string {
  const macs: Record<string, string> = {}
  const devices: Record<string, string> = {}
  for (const [name, { mac }] of Object.entries(pods)) {
    macs[`default/${name}/eth0`] = mac
    devices[`default/${name}/eth0`] = `veth-${name}`
  }
  for (const { name } of scenario.nodes) {
    for (const link of JSON.parse(state[name].addr) as { ifname: string; address?: string }[]) {
      if (link.ifname !== 'lo' && /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(link.address ?? '')) macs[`${name}/${link.ifname}`] = link.address as string
    }
  }
  const documents: unknown[] = [
    ...scenario.nodes.map(({ name, ip }) => ({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name },
      status: { addresses: [{ type: 'InternalIP', address: ip.split('/')[0] }] },
    })),
    ...Object.entries(pods).map(([name, { node, ip }]) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'default' },
      spec: { nodeName: node, containers: [{ name: 'c', image: 'x', ports: [{ containerPort: 1 }] }] },
      status: { podIP: ip, phase: 'Running' },
    })),
    {
      apiVersion: 'netsim/v1',
      kind: 'Network',
      metadata: { name: 'default' },
      spec: {
        cni: 'flannel',
        datastore: 'etcd',
        runtime: { name: 'docker', iptables: false },
        etcd,
        flannel: { ipMasq: true, version: '0.11.0', iface: 'eth0' },
        kubeProxy: { mode: 'none' },
        underlay: {
          segments: Object.entries(scenario.segments).map(([name, router]) => ({
            name,
            cidr: router.replace(/\d+\/24$/, '0/24'),
            router: router.split('/')[0],
            mtu: 1500,
          })),
        },
        hosts: [],
        pins: { macs, devices },
      },
    },
  ]
  return documents.map((document) => JSON.stringify(document)).join('\n---\n')
}

describe('what a recording of a real network holds', () => {
  it.each(['flannel-udp', 'flannel-vxlan', 'flannel-host-gw'])('%s comes through unchanged', (name) => {
    const recording = JSON.parse(readFileSync(`test/recordings/${name}.rec.json`, 'utf8')) as Recording
    const { cluster, texts } = build(manifest(recording))
    expect(texts).toEqual([])
    expect(
      Object.fromEntries(
        cluster.pods.map((pod) => [
          pod.name,
          { node: pod.node, ip: formatIp(pod.address as Ip), mac: formatMac(cluster.pins.macs.get(`default/${pod.name}/eth0`) ?? 0) },
        ]),
      ),
    ).toEqual(recording.pods)
    expect(Object.fromEntries(cluster.etcd.map(({ key, value }) => [key, value]))).toEqual(recording.etcd)
    expect(cluster.nodes.map(({ name: node, address, prefixLength }) => ({ name: node, ip: `${formatIp(address)}/${prefixLength}` }))).toMatchObject(
      recording.scenario.nodes.map(({ name: node, ip }) => ({ name: node, ip })),
    )
    expect(cluster.segments.map(({ name: segment, router }) => [segment, formatIp(router)])).toEqual(
      Object.entries(recording.scenario.segments).map(([segment, router]) => [segment, router.split('/')[0]]),
    )
    expect(cluster.pods.every(({ ports }) => ports.length === 1 && ports[0].port === 1)).toBe(true)
  })
})

describe('manifests of the days of PetSet', () => {
  it('are read, and each kind is named once', () => {
    const { texts } = build(`apiVersion: v1
kind: Service
metadata: {name: nginx}
spec: {clusterIP: None, selector: {app: nginx}}
---
apiVersion: apps/v1alpha1
kind: PetSet
metadata: {name: web}
spec: {serviceName: nginx, replicas: 2}
---
apiVersion: extensions/v1beta1
kind: Deployment
metadata: {name: front}
---
apiVersion: extensions/v1beta1
kind: Deployment
metadata: {name: back}
---
apiVersion: extensions/v1beta1
kind: NetworkPolicy
metadata: {name: old}
spec: {podSelector: {matchLabels: {role: db}}, ingress: [{from: [{podSelector: {}}]}]}
`)
    expect(texts.map((text) => text.split('\n')[0])).toEqual([
      't.yaml:4: warning: Service/default/nginx: no pod of namespace default has the label app=nginx',
      't.yaml:9: warning: PetSet/default/web: an API server refuses it: spec.template.spec is missing',
      't.yaml:11: warning: Deployment/default/front: an API server refuses it: spec.template.spec is missing',
      't.yaml:15: warning: Deployment/default/back: an API server refuses it: spec.template.spec is missing',
      't.yaml:19: warning: NetworkPolicy/default/old: the NetworkPolicy has no effect: plain docker does not enforce it',
    ])
  })
})
