/**
 * Network document, ConfigMap kube-proxy and DaemonSet → what kube-proxy is told. The document goes before the ConfigMap, that before the defaults.
 * Source: kubernetes/kube-proxy config/v1alpha1/types.go; kubeadm's ConfigMap holds a KubeProxyConfiguration under config.conf.
 */
import { parseCidr, type Cidr } from '../../base/cidr.js'
import { isIpv6Text } from '../../base/ip.js'
import { cidrFault } from '../fields.js'
import { isObject, type JsonObject, type JsonValue } from '../located.js'
import { readYaml } from '../yaml-text.js'
import { describeValue, type KubernetesObject } from '../manifest.js'
import type { NetworkDocument } from '../network-document.js'
import type { Place, ProblemList } from '../problem-list.js'
import { DEFAULT_KUBE_PROXY, NODE_PORT_KEYWORDS, type DetectLocalMode, type KubeProxySettings, type NodePortAddress } from './kube-proxy-settings.js'

export interface KubeProxyInput {
  readonly document: NetworkDocument | undefined
  readonly objects: readonly KubernetesObject[]
  /** Of the pods: what kubeadm tells kube-proxy where nobody says. */
  readonly clusterCIDR: Cidr | undefined
}

/** The rules that are modelled are those of 1.31; they are the same since 1.28. */
const SINCE = [1, 28] as const
const MODES = ['iptables', 'none', 'ipvs', 'nftables', 'userspace', 'kernelspace']
const DETECT_MODES: readonly DetectLocalMode[] = ['ClusterCIDR', 'NodeCIDR', 'BridgeInterface', 'InterfaceNamePrefix']

/** Never throws; what cannot be used is reported. */
export function readKubeProxySettings({ document, objects, clusterCIDR }: KubeProxyInput, problems: ProblemList): KubeProxySettings {
  const configMap = objects.find((object) => object.kind === 'ConfigMap' && object.namespace === 'kube-system' && object.name === 'kube-proxy')
  const config = configMap === undefined ? undefined : readConfiguration(configMap, problems)
  const { version: told, mode, ...fields } = document?.kubeProxy ?? {}
  const place = document?.object.at('spec', 'kubeProxy', 'mode') ?? { file: '', line: 0 }
  const chosen = mode === undefined ? config?.mode : { mode, place, label: document?.object.label ?? '' }
  const known = config?.settings ?? (clusterCIDR === undefined ? {} : { clusterCIDR })
  checkVersion(
    told === undefined
      ? imageVersion(objects)
      : { version: told, place: document?.object.at('spec', 'kubeProxy', 'version') ?? place, label: document?.object.label ?? '' },
    problems,
  )
  const settings: KubeProxySettings = { ...DEFAULT_KUBE_PROXY, ...known, ...fields }
  if (chosen === undefined || chosen.mode === 'iptables') return settings
  if (chosen.mode === 'none') return { ...settings, mode: 'none' }
  problems.warning(
    chosen.place,
    chosen.label,
    `kube-proxy in mode ${chosen.mode} is not modelled: no rules of Services are there`,
    'mode iptables is; write kubeProxy: {mode: iptables} in the Network document to see how that would answer.',
  )
  return { ...settings, mode: 'none', unmodelled: { what: `kube-proxy in mode ${chosen.mode}`, ...chosen.place } }
}

interface ChosenMode {
  readonly mode: string
  readonly place: Place
  readonly label: string
}

interface Configuration {
  readonly settings: Partial<Omit<KubeProxySettings, 'mode' | 'unmodelled'>>
  readonly mode: ChosenMode | undefined
}

/** undefined when there is no KubeProxyConfiguration in it. */
function readConfiguration(object: KubernetesObject, problems: ProblemList): Configuration | undefined {
  const data = isObject(object.value.data) ? object.value.data : {}
  const key = ['config.conf', 'config.yaml', 'config'].find((name) => typeof data[name] === 'string')
  if (key === undefined) return undefined
  const { documents, issues } = readYaml(data[key] as string, 1)
  for (const issue of issues) problems.error(object.inText(['data', key], issue.line), object.label, `${key}: ${issue.what}`, issue.fix)
  const [root] = documents
  if (issues.length > 0 || root === undefined || !isObject(root.value)) return undefined
  return new ConfigurationReader(root.value, { object, key, problems }).read()
}

interface Source {
  readonly object: KubernetesObject
  readonly key: string
  readonly problems: ProblemList
}

class ConfigurationReader {
  private readonly root: JsonObject
  private readonly source: Source

  constructor(root: JsonObject, source: Source) {
    this.root = root
    this.source = source
  }

  read(): Configuration {
    const { object, key } = this.source
    const iptables = mapping(this.root.iptables)
    const detect = mapping(this.root.detectLocal)
    const mode = this.word('mode', MODES)
    const detectLocalMode = this.word('detectLocalMode', DETECT_MODES) as DetectLocalMode | undefined
    const clusterCIDR = this.clusterCIDR()
    const bit = iptables.masqueradeBit
    return {
      mode: mode === undefined ? undefined : { mode, place: object.at('data', key), label: object.label },
      settings: {
        ...(clusterCIDR === undefined ? {} : { clusterCIDR }),
        ...(detectLocalMode === undefined ? {} : { detectLocalMode }),
        ...(typeof detect.bridgeInterface === 'string' ? { bridgeInterface: detect.bridgeInterface } : {}),
        ...(typeof detect.interfaceNamePrefix === 'string' ? { interfaceNamePrefix: detect.interfaceNamePrefix } : {}),
        ...(typeof iptables.masqueradeAll === 'boolean' ? { masqueradeAll: iptables.masqueradeAll } : {}),
        ...(typeof bit === 'number' && Number.isInteger(bit) && bit >= 0 && bit <= 31 ? { masqueradeBit: bit } : {}),
        ...(typeof iptables.localhostNodePorts === 'boolean' ? { localhostNodePorts: iptables.localhostNodePorts } : {}),
        nodePortAddresses: this.nodePortAddresses(),
      },
    }
  }

  /** Empty counts as absent. */
  private word(field: string, known: readonly string[]): string | undefined {
    const value = this.root[field]
    if (value === undefined || value === null || value === '') return undefined
    if (typeof value === 'string' && known.includes(value)) return value
    this.warn(`${field} is ${describeValue(value)}`, `Known: ${known.join(', ')}.`)
    return undefined
  }

  /** One of each family, with a comma between; kubeadm leaves it empty where it was told nothing. */
  private clusterCIDR(): Cidr | undefined {
    const { clusterCIDR } = this.root
    if (typeof clusterCIDR !== 'string') return undefined
    return clusterCIDR.split(',').flatMap((text) => this.cidr(text.trim(), 'clusterCIDR'))[0]
  }

  private nodePortAddresses(): NodePortAddress[] {
    const { nodePortAddresses: texts } = this.root
    if (!Array.isArray(texts)) return []
    return (texts as readonly JsonValue[]).flatMap((text): NodePortAddress[] => {
      const keyword = NODE_PORT_KEYWORDS.find((word) => word === text)
      if (keyword !== undefined) return [keyword]
      return typeof text === 'string' ? this.cidr(text, 'nodePortAddresses') : []
    })
  }

  private cidr(text: string, field: string): Cidr[] {
    if (text === '' || isIpv6Text(text)) return []
    const net = parseCidr(text)
    if (typeof net !== 'string') return [net]
    const fault = cidrFault(text)
    this.warn(`${field}: ${fault?.what ?? ''}`, fault?.fix ?? '')
    return []
  }

  private warn(what: string, fix: string): void {
    const { object, key, problems } = this.source
    problems.warning(object.at('data', key), object.label, `${key}: ${what}`, fix)
  }
}

function mapping(value: JsonValue | undefined): JsonObject {
  return isObject(value) ? value : {}
}

interface ToldVersion {
  readonly version: string
  readonly place: Place
  readonly label: string
}

/** Of the DaemonSet's image. */
function imageVersion(objects: readonly KubernetesObject[]): ToldVersion | undefined {
  const object = objects.find(({ kind, namespace, name }) => kind === 'DaemonSet' && namespace === 'kube-system' && name === 'kube-proxy')
  const template = mapping(mapping(mapping(object?.value.spec).template).spec)
  const containers = Array.isArray(template.containers) ? (template.containers as readonly JsonValue[]) : []
  for (const [index, container] of containers.entries()) {
    const { image } = mapping(container)
    const version = typeof image === 'string' ? /kube-proxy[^:]*:v?([0-9]+\.[0-9]+[^@]*)/.exec(image)?.[1] : undefined
    if (object !== undefined && version !== undefined)
      return { version, place: object.at('spec', 'template', 'spec', 'containers', index, 'image'), label: object.label }
  }
  return undefined
}

function checkVersion(told: ToldVersion | undefined, problems: ProblemList): void {
  const match = /^v?([0-9]+)\.([0-9]+)/.exec(told?.version ?? '')
  if (told === undefined || match === null) return
  const [major, minor] = [Number(match[1]), Number(match[2])]
  if (major > SINCE[0] || (major === SINCE[0] && minor >= SINCE[1])) return
  problems.warning(
    told.place,
    told.label,
    `kube-proxy ${told.version} writes other rules than those that are modelled, which are of ${SINCE.join('.')} and later`,
    'Services are shown as a kube-proxy of 1.31 would have them.',
  )
}
