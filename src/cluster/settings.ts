/**
 * What the cluster runs: CNI, datastore, container runtime and the agents' settings. The Network document says; where it does not, the other
 * objects do; where they do not, the default stands, and one that matters is reported as assumed.
 */
import { cidr, covers, formatCidr, parseCidr, type Cidr } from '../base/cidr.js'
import { holdsClassicKeys } from './calico/classic-etcd.js'
import { isClassicKind } from './calico/classic-identity.js'
import { networkOf, type ConfigText, type FlannelManifest } from './flannel-settings.js'
import { CALICO_GROUPS, groupOf } from './kinds.js'
import { isObject } from './located.js'
import type { KubernetesObject } from './manifest.js'
import type { Cni, Datastore, EtcdEntry, NetworkDocument } from './network-document.js'
import type { NodeReading } from './node.js'
import type { EtcdApi } from '../base/etcd-tree.js'
import type { EtcdInput } from './etcd-snapshot.js'
import { formatPlace, type Place, type ProblemList } from './problem-list.js'
import { readKubeProxySettings } from './services/kube-proxy-config.js'
import type { KubeProxySettings } from './services/kube-proxy-settings.js'
import { findServiceCidr } from './services/service-cidr.js'

interface Runtime {
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

interface FlannelSettings {
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
  /** Nobody says it: netsim's default. */
  readonly serviceCIDRAssumed: boolean
  readonly clusterDomain: string
  /** What etcd holds; with flannel on etcd the config key is always there. */
  readonly etcd: readonly EtcdEntry[]
  /** Where flannel's keys are in etcd, `/coreos.com/network`. */
  readonly etcdPrefix: string
  /** The server or snapshot that the keys are of; absent where the Network document says them. */
  readonly etcdSource?: Place
  readonly flannel: FlannelSettings
  readonly calico: { readonly version: string }
  readonly kubeProxy: KubeProxySettings
}

const DEFAULTS = {
  serviceCIDR: parseCidr('10.96.0.0/12') as Cidr,
  clusterDomain: 'cluster.local',
  /** What kube-flannel's manifest says. */
  flannelNetwork: parseCidr('10.244.0.0/16') as Cidr,
  dockerVersion: '27',
  calicoVersion: '3.32',
  /** The last versions whose rules are known, of each way to run flannel: on the API of etcd that holds its keys, or on Kubernetes. */
  flannelVersion: { v2: '0.11.0', v3: '0.28.9', kubernetes: '0.28.9' } satisfies Record<EtcdApi | 'kubernetes', string>,
}

interface SettingsInput {
  readonly document: NetworkDocument | undefined
  readonly manifest: FlannelManifest
  readonly etcd: EtcdInput
  readonly objects: readonly KubernetesObject[]
  readonly nodes: readonly NodeReading[]
}

export function resolveSettings(input: SettingsInput, problems: ProblemList): Settings {
  const { document, manifest } = input
  const cni = document?.cni ?? inferCni(input)
  if (document?.cni === undefined && cni === 'none') checkOtherCni(input.objects, problems)
  const datastore = document?.datastore ?? inferDatastore(cni, input)
  const usesFlannel = cni === 'flannel' || cni === 'canal'
  const flannel = resolveFlannel(input, { usesFlannel, datastore }, problems)
  const clusterCIDR = document?.clusterCIDR ?? (flannel.config === undefined ? undefined : networkOf(flannel.config.text))
  checkClusterCidr(document, flannel, problems)
  const serviceCIDR = document?.serviceCIDR ?? findServiceCidr(input.objects)
  return {
    cni,
    datastore,
    runtime: resolveRuntime(document, cni, manifest, datastore),
    ...(clusterCIDR === undefined ? {} : { clusterCIDR }),
    serviceCIDR: serviceCIDR ?? DEFAULTS.serviceCIDR,
    serviceCIDRAssumed: serviceCIDR === undefined,
    clusterDomain: document?.clusterDomain ?? DEFAULTS.clusterDomain,
    etcd: resolveEtcd(input.etcd, flannel, usesFlannel && datastore === 'etcd'),
    etcdPrefix: input.etcd.prefix,
    ...(input.etcd.source === undefined ? {} : { etcdSource: input.etcd.source }),
    flannel,
    calico: { version: bare(document?.calico.version ?? DEFAULTS.calicoVersion) },
    kubeProxy: readKubeProxySettings({ document, objects: input.objects, clusterCIDR }, problems),
  }
}

function hasFlannelKeys({ prefix, entries }: EtcdInput): boolean {
  return entries.some(({ key }) => key.startsWith(`${prefix}/`))
}

function inferCni({ etcd, manifest, objects, nodes }: SettingsInput): Cni {
  const flannel = manifest.present || hasFlannelKeys(etcd) || nodes.some((node) => node.flannel !== undefined)
  const calico = objects.some(
    (object) =>
      CALICO_GROUPS.includes(groupOf(object.apiVersion)) ||
      isClassicKind(object.apiVersion, object.kind) ||
      (object.kind === 'DaemonSet' && (object.name === 'calico-node' || object.name === 'canal')) ||
      (object.kind === 'ConfigMap' && (object.name === 'calico-config' || object.name === 'canal-config')),
  )
  if (calico || holdsClassicKeys(etcd.entries)) return flannel ? 'canal' : 'calico'
  return flannel ? 'flannel' : 'none'
}

/** DaemonSets of CNIs that netsim does not model, by the names that their manifests give them. */
const OTHER_CNI = /^(kindnet|cilium|weave-net|aws-node|azure-cni-networkmonitor|kube-router|antrea-agent|kube-ovn-cni|ovnkube-node)$/

function checkOtherCni(objects: readonly KubernetesObject[], problems: ProblemList): void {
  const other = objects.find(({ kind, name, value }) => OTHER_CNI.test(kind === 'DaemonSet' ? name : kind === 'Pod' ? ownerOf(value) : ''))
  if (other === undefined) return
  const name = other.kind === 'DaemonSet' ? other.name : ownerOf(other.value)
  const what = `the pods' network is ${name}'s, which is not modelled`
  problems.error(
    other,
    other.label,
    what,
    'netsim knows flannel, Calico and Canal: spec.cni of a Network document asks what one of them would do with these objects.',
  )
}

/** The DaemonSet behind a pod. */
function ownerOf({ metadata }: KubernetesObject['value']): string {
  const owners = isObject(metadata) ? metadata.ownerReferences : undefined
  const owner: unknown = Array.isArray(owners) ? owners[0] : undefined
  return isObject(owner) && owner.kind === 'DaemonSet' && typeof owner.name === 'string' ? owner.name : ''
}

function inferDatastore(cni: Cni, { etcd, manifest, nodes }: SettingsInput): Datastore {
  if (cni !== 'flannel') return 'kubernetes'
  if (hasFlannelKeys(etcd) || manifest.kubeSubnetManager === false) return 'etcd'
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
  { document, manifest, nodes, etcd }: SettingsInput,
  how: { readonly usesFlannel: boolean; readonly datastore: Datastore },
  problems: ProblemList,
): FlannelSettings {
  const iface = document?.flannel.iface ?? manifest.iface
  const inEtcd = etcd.entries.find(({ key }) => key === `${etcd.prefix}/config`)
  const told = how.datastore === 'etcd' ? (inEtcd === undefined ? undefined : { text: inEtcd.value, file: inEtcd.file, line: inEtcd.line }) : manifest.netConf
  // a ConfigMap that is there but wrong has been reported, and what a real etcd does not hold is not there: nothing is assumed in its place
  const isKnown = how.datastore === 'kubernetes' ? manifest.present : etcd.source !== undefined
  const assumed = how.usesFlannel && told === undefined && !isKnown
  const config = assumed ? assumeConfig({ document, nodes, etcd }, how.datastore, problems) : told
  return {
    // the manifest's --ip-masq, or what every published manifest and guide starts flannel with
    ipMasq: document?.flannel.ipMasq ?? manifest.ipMasq ?? true,
    version: bare(document?.flannel.version ?? manifest.version ?? DEFAULTS.flannelVersion[how.datastore === 'etcd' ? (etcd.api ?? 'v2') : 'kubernetes']),
    ...(iface === undefined ? {} : { iface }),
    ...(config === undefined || !how.usesFlannel ? {} : { config }),
    configAssumed: assumed,
    ...(manifest.cniConf === undefined ? {} : { cniConf: manifest.cniConf }),
  }
}

/** etcd: the Network alone, so that flannel's own default backend (udp) follows. kubernetes: the backend of the annotations, else the manifest's. */
function assumeConfig({ document, nodes, etcd }: Pick<SettingsInput, 'document' | 'nodes' | 'etcd'>, datastore: Datastore, problems: ProblemList): ConfigText {
  const network = formatCidr(document?.clusterCIDR ?? networkAround(nodes))
  const annotated = nodes.find((node) => node.flannel?.backendType !== undefined)?.flannel?.backendType
  const text = JSON.stringify(datastore === 'etcd' ? { Network: network } : { Network: network, Backend: { Type: annotated ?? 'vxlan' } })
  const place: Place = document ?? nodes[0] ?? { file: '', line: 0 }
  const where = datastore === 'etcd' ? `spec.etcd["${etcd.prefix}/config"] of the Network document` : 'the ConfigMap kube-flannel-cfg'
  problems.warning(place, document?.object.label ?? '', `flannel's configuration is not in the input; taken to be ${text}`, `Give it in ${where}.`)
  return { text, file: place.file, line: place.line }
}

/** The default where the podCIDRs lie in it, else what holds them all: k3s has 10.42.0.0/16 and no ConfigMap. */
function networkAround(nodes: readonly NodeReading[]): Cidr {
  const owned = nodes.flatMap(({ podCIDR }) => podCIDR ?? [])
  const holdsAll = (network: Cidr): boolean => owned.every((prefix) => covers(network, prefix))
  if (holdsAll(DEFAULTS.flannelNetwork)) return DEFAULTS.flannelNetwork
  for (let length = 16; length >= 8; length--) {
    const network = cidr(owned[0].base, length)
    if (holdsAll(network)) return network
  }
  return DEFAULTS.flannelNetwork
}

function resolveEtcd({ prefix, entries }: EtcdInput, flannel: FlannelSettings, needsConfig: boolean): readonly EtcdEntry[] {
  if (!needsConfig || !flannel.configAssumed || flannel.config === undefined) return entries
  return [{ key: `${prefix}/config`, value: flannel.config.text, file: flannel.config.file, line: flannel.config.line }, ...entries]
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
