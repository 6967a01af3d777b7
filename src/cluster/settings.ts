/**
 * What the cluster runs: CNI, datastore, container runtime and the agents' settings. The Network document says; where it does not, the other
 * objects do; where they do not, the default stands, and one that matters is reported as assumed.
 */
import { formatCidr, parseCidr, type Cidr } from '../base/cidr.js'
import { networkOf, type ConfigText, type FlannelManifest } from './flannel-settings.js'
import { CALICO_GROUPS, groupOf } from './kinds.js'
import type { KubernetesObject } from './manifest.js'
import type { Cni, Datastore, EtcdEntry, NetworkDocument } from './network-document.js'
import type { NodeReading } from './node.js'
import { formatPlace, type Place, type ProblemList } from './problem-list.js'

export interface Runtime {
  /** docker: docker0 with --bip. cni: cni0 by the bridge plugin. */
  readonly name: 'docker' | 'cni'
  /** docker writes its own iptables rules. */
  readonly iptables: boolean
  /** Without the v: `27`, `28.0.1`. */
  readonly dockerVersion: string
  /** docker's --icc. */
  readonly icc: boolean
  /** docker's --userland-proxy; off means hairpin on its ports. */
  readonly userlandProxy: boolean
}

export interface FlannelSettings {
  /** --ip-masq */
  readonly ipMasq: boolean
  /** Without the v. */
  readonly version: string
  /** --iface; absent: the card of the default route. */
  readonly iface?: string
  /** net-conf.json, or the value of the config key in etcd; absent when flannel plays no part. */
  readonly config?: ConfigText
  /** True when netsim made the config up from defaults (reported). */
  readonly configAssumed: boolean
  readonly cniConf?: ConfigText
}

export interface Settings {
  readonly cni: Cni
  readonly datastore: Datastore
  readonly runtime: Runtime
  readonly clusterCIDR?: Cidr
  readonly serviceCIDR: Cidr
  readonly clusterDomain: string
  /** What etcd holds; with flannel on etcd the config key is always there. */
  readonly etcd: readonly EtcdEntry[]
  readonly flannel: FlannelSettings
  readonly calico: { readonly version: string }
  readonly kubeProxy: { readonly mode: 'iptables' | 'none' }
}

export const FLANNEL_PREFIX = '/coreos.com/network'
export const FLANNEL_CONFIG_KEY = `${FLANNEL_PREFIX}/config`

const DEFAULTS = {
  serviceCIDR: parseCidr('10.96.0.0/12') as Cidr,
  clusterDomain: 'cluster.local',
  /** What kube-flannel's manifest says. */
  flannelNetwork: '10.244.0.0/16',
  dockerVersion: '27',
  calicoVersion: '3.32',
  /** The last versions whose rules are known, of each way to run flannel. */
  flannelVersion: { etcd: '0.11.0', kubernetes: '0.28.9' },
}

export interface SettingsInput {
  readonly document: NetworkDocument | undefined
  readonly manifest: FlannelManifest
  readonly objects: readonly KubernetesObject[]
  readonly nodes: readonly NodeReading[]
}

export function resolveSettings(input: SettingsInput, problems: ProblemList): Settings {
  const { document, manifest } = input
  const cni = document?.cni ?? inferCni(input)
  const datastore = document?.datastore ?? inferDatastore(cni, input)
  const usesFlannel = cni === 'flannel' || cni === 'canal'
  const flannel = resolveFlannel(input, { usesFlannel, datastore }, problems)
  const clusterCIDR = document?.clusterCIDR ?? (flannel.config === undefined ? undefined : networkOf(flannel.config.text))
  checkClusterCidr(document, flannel, problems)
  return {
    cni,
    datastore,
    runtime: resolveRuntime(document, cni, manifest, datastore),
    ...(clusterCIDR === undefined ? {} : { clusterCIDR }),
    serviceCIDR: document?.serviceCIDR ?? DEFAULTS.serviceCIDR,
    clusterDomain: document?.clusterDomain ?? DEFAULTS.clusterDomain,
    etcd: resolveEtcd(document, flannel, usesFlannel && datastore === 'etcd'),
    flannel,
    calico: { version: bare(document?.calico.version ?? DEFAULTS.calicoVersion) },
    kubeProxy: { mode: document?.kubeProxy.mode ?? 'iptables' },
  }
}

function hasFlannelKeys(document: NetworkDocument | undefined): boolean {
  return document?.etcd.some(({ key }) => key.startsWith(`${FLANNEL_PREFIX}/`)) === true
}

function inferCni({ document, manifest, objects, nodes }: SettingsInput): Cni {
  const flannel = manifest.present || hasFlannelKeys(document) || nodes.some((node) => node.flannel !== undefined)
  const calico = objects.some(
    (object) =>
      CALICO_GROUPS.includes(groupOf(object.apiVersion)) ||
      (object.kind === 'DaemonSet' && object.name === 'calico-node') ||
      (object.kind === 'ConfigMap' && object.name === 'calico-config'),
  )
  if (calico) return flannel ? 'canal' : 'calico'
  return flannel ? 'flannel' : 'none'
}

function inferDatastore(cni: Cni, { document, manifest, nodes }: SettingsInput): Datastore {
  if (cni !== 'flannel') return 'kubernetes'
  if (hasFlannelKeys(document) || manifest.kubeSubnetManager === false) return 'etcd'
  if (manifest.present || nodes.some((node) => node.flannel !== undefined || node.podCIDR !== undefined)) return 'kubernetes'
  return 'etcd'
}

function resolveRuntime(document: NetworkDocument | undefined, cni: Cni, manifest: FlannelManifest, datastore: Datastore): Runtime {
  const told = document?.runtime ?? {}
  const inferred = cni === 'none' || (cni === 'flannel' && datastore === 'etcd' && !manifest.present) ? 'docker' : 'cni'
  const name = told.name ?? inferred
  return {
    name,
    iptables: told.iptables ?? name === 'docker',
    dockerVersion: bare(told.dockerVersion ?? DEFAULTS.dockerVersion),
    icc: told.icc ?? true,
    userlandProxy: told.userlandProxy ?? true,
  }
}

function resolveFlannel(
  { document, manifest, nodes }: SettingsInput,
  how: { readonly usesFlannel: boolean; readonly datastore: Datastore },
  problems: ProblemList,
): FlannelSettings {
  const iface = document?.flannel.iface ?? manifest.iface
  const inEtcd = document?.etcd.find(({ key }) => key === FLANNEL_CONFIG_KEY)
  const told = how.datastore === 'etcd' ? (inEtcd === undefined ? undefined : { text: inEtcd.value, file: inEtcd.file, line: inEtcd.line }) : manifest.netConf
  // a ConfigMap that is there but wrong has been reported: nothing is assumed in its place
  const assumed = how.usesFlannel && told === undefined && !(how.datastore === 'kubernetes' && manifest.present)
  const config = assumed ? assumeConfig(document, nodes, how.datastore, problems) : told
  return {
    // the manifest's --ip-masq, or what every published manifest and guide starts flannel with
    ipMasq: document?.flannel.ipMasq ?? manifest.ipMasq ?? true,
    version: bare(document?.flannel.version ?? manifest.version ?? DEFAULTS.flannelVersion[how.datastore]),
    ...(iface === undefined ? {} : { iface }),
    ...(config === undefined || !how.usesFlannel ? {} : { config }),
    configAssumed: assumed,
    ...(manifest.cniConf === undefined ? {} : { cniConf: manifest.cniConf }),
  }
}

/** etcd: the Network alone, so that flannel's own default backend (udp) follows. kubernetes: the backend of the annotations, else the manifest's. */
function assumeConfig(document: NetworkDocument | undefined, nodes: readonly NodeReading[], datastore: Datastore, problems: ProblemList): ConfigText {
  const network = document?.clusterCIDR === undefined ? DEFAULTS.flannelNetwork : formatCidr(document.clusterCIDR)
  const annotated = nodes.find((node) => node.flannel?.backendType !== undefined)?.flannel?.backendType
  const text = JSON.stringify(datastore === 'etcd' ? { Network: network } : { Network: network, Backend: { Type: annotated ?? 'vxlan' } })
  const place: Place = document ?? nodes[0] ?? { file: '', line: 0 }
  const where = datastore === 'etcd' ? `spec.etcd["${FLANNEL_CONFIG_KEY}"] of the Network document` : 'the ConfigMap kube-flannel-cfg'
  problems.warning(place, document?.object.label ?? '', `flannel's configuration is not in the input; taken to be ${text}`, `Give it in ${where}.`)
  return { text, file: place.file, line: place.line }
}

function resolveEtcd(document: NetworkDocument | undefined, flannel: FlannelSettings, needsConfig: boolean): readonly EtcdEntry[] {
  const entries = document?.etcd ?? []
  if (!needsConfig || !flannel.configAssumed || flannel.config === undefined) return entries
  return [{ key: FLANNEL_CONFIG_KEY, value: flannel.config.text, file: flannel.config.file, line: flannel.config.line }, ...entries]
}

function checkClusterCidr(document: NetworkDocument | undefined, flannel: FlannelSettings, problems: ProblemList): void {
  if (document?.clusterCIDR === undefined || flannel.config === undefined) return
  const network = networkOf(flannel.config.text)
  if (network === undefined || formatCidr(network) === formatCidr(document.clusterCIDR)) return
  problems.warning(
    document.object.at('spec', 'clusterCIDR'),
    document.object.label,
    `clusterCIDR is ${formatCidr(document.clusterCIDR)}, flannel's Network ${formatCidr(network)} (${formatPlace(flannel.config)})`,
    'flannel goes by its own Network; make the two equal.',
  )
}

/** `v0.11.0-amd64` → `0.11.0`. */
function bare(version: string): string {
  return version.replace(/^v/, '').replace(/-.*$/, '')
}
