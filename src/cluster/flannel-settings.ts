/**
 * What the manifests of kube-flannel say: its ConfigMap (net-conf.json, cni-conf.json) and the arguments and image of its DaemonSet
 * (flannel Documentation/kube-flannel.yml; flags of main.go).
 */
import { parseCidr, type Cidr } from '../base/cidr.js'
import { configMapSchema, daemonSetSchema } from './kubernetes-schemas.js'
import { readEnvironment } from './environment.js'
import { readJson } from './json-text.js'
import { isObject } from './located.js'
import type { KubernetesObject } from './manifest.js'
import type { Place, ProblemList } from './problem-list.js'
import { check } from './schema.js'

/** A JSON text of the input, for its agent to read; known to be syntactically right. */
export interface ConfigText extends Place {
  readonly text: string
}

export interface FlannelManifest {
  readonly netConf?: ConfigText
  readonly cniConf?: ConfigText
  /** Of the DaemonSet's arguments; absent when there is no DaemonSet. */
  readonly ipMasq?: boolean
  readonly iface?: string
  readonly kubeSubnetManager?: boolean
  /** Of the image's tag: `0.28.9`. */
  readonly version?: string
  /** True when a ConfigMap or DaemonSet of flannel's is there, even a wrong one. */
  readonly present: boolean
}

const CONFIG_MAPS: readonly string[] = ['kube-flannel-cfg', 'canal-config']
const NAMESPACES: readonly string[] = ['kube-flannel', 'kube-system']

function isFlannelConfigMap(object: KubernetesObject): boolean {
  return object.kind === 'ConfigMap' && NAMESPACES.includes(object.namespace) && CONFIG_MAPS.includes(object.name)
}

function isFlannelDaemonSet(object: KubernetesObject): boolean {
  return object.kind === 'DaemonSet' && /^(kube-flannel(-ds.*)?|canal)$/.test(object.name)
}

/** Of kube-flannel's manifest, or canal's. */
export function isFlannelObject(object: KubernetesObject): boolean {
  return isFlannelConfigMap(object) || isFlannelDaemonSet(object)
}

/** Agents that netsim models itself; their pods are not created from the DaemonSet. */
export function isAgentDaemonSet(object: KubernetesObject): boolean {
  return isFlannelDaemonSet(object) || (object.kind === 'DaemonSet' && /^(kube-proxy(-.*)?|calico-node)$/.test(object.name))
}

export function readFlannelManifest(objects: readonly KubernetesObject[], problems: ProblemList): FlannelManifest {
  const configMap = objects.find(isFlannelConfigMap)
  const daemonSets = objects.filter(isFlannelDaemonSet)
  return {
    ...(configMap === undefined ? {} : readConfigMap(configMap, problems)),
    ...(daemonSets.length === 0 ? {} : readDaemonSet(daemonSets[0], objects, problems)),
    present: configMap !== undefined || daemonSets.length > 0,
  }
}

function readConfigMap(object: KubernetesObject, problems: ProblemList): Pick<FlannelManifest, 'netConf' | 'cniConf'> {
  const value = check(configMapSchema(), object, problems, 'hint')
  if (value === undefined) return {}
  const data = value.data ?? {}
  const read = (key: string): ConfigText | undefined => (data[key] === undefined ? undefined : readConfigText(data[key], key, object, problems))
  const netConf = read('net-conf.json')
  // Canal's cni_network_config is no JSON before the installer has filled it in; Calico's own reader takes it
  const cniConf = read('cni-conf.json')
  if (data['net-conf.json'] === undefined)
    problems.error(object.at('data'), object.label, 'the ConfigMap has no net-conf.json', 'flannel reads its Network and Backend from that key.')
  return { ...(netConf === undefined ? {} : { netConf }), ...(cniConf === undefined ? {} : { cniConf }) }
}

function readConfigText(text: string, key: string, object: KubernetesObject, problems: ProblemList): ConfigText | undefined {
  const { documents, issues } = readJson(text, 1)
  for (const issue of issues) problems.error(object.inText(['data', key], issue.line), object.label, `${key}: ${issue.what}`, issue.fix)
  if (issues.length > 0) return undefined
  if (documents.length !== 1 || !isObject(documents[0].value)) {
    problems.error(
      object.at('data', key),
      object.label,
      `${key} holds no JSON object`,
      'It looks like {"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}.',
    )
    return undefined
  }
  return { text, ...object.at('data', key) }
}

function readDaemonSet(
  object: KubernetesObject,
  objects: readonly KubernetesObject[],
  problems: ProblemList,
): Omit<FlannelManifest, 'present' | 'netConf' | 'cniConf'> {
  const value = check(daemonSetSchema(), object, problems, 'hint')
  const containers = value?.spec?.template?.spec?.containers ?? []
  const index = Math.max(
    0,
    containers.findIndex(({ name, image }) => (name ?? '').includes('flannel') || (image ?? '').includes('flannel')),
  )
  const container = containers[index]
  if (container === undefined) return {}
  const words = [...(container.command ?? []), ...(container.args ?? [])]
  const flags = new Map<string, string>()
  for (const [at, word] of words.entries()) {
    const match = /^--?([a-z0-9-]+)(?:=(.*))?$/s.exec(word)
    if (match === null) continue
    // `--iface eth1` takes the next word; a flag that is a truth value never does
    const next = match[1].startsWith('iface') || match[1] === 'public-ip' ? words[at + 1] : undefined
    flags.set(match[1], match[2] ?? next ?? 'true')
  }
  // what the command line does not say (flagutil.SetFlagsFromEnv)
  for (const [name, word] of Object.entries(readEnvironment(container, objects))) {
    const flag = /^FLANNELD_(.+)$/.exec(name)?.[1].toLowerCase().replaceAll('_', '-')
    if (flag !== undefined && word !== '' && !flags.has(flag)) flags.set(flag, word)
  }
  for (const flag of ['iface-regex', 'iface-can-reach', 'public-ip']) {
    if (flags.has(flag))
      problems.warning(
        object.at('spec', 'template', 'spec', 'containers', index, 'args'),
        object.label,
        `--${flag} is not modelled: flannel is taken to use the card with the node's InternalIP`,
        '',
      )
  }
  const version = /:v?([0-9]+(?:\.[0-9]+)+)/.exec(container.image ?? '')?.[1]
  const iface = flags.get('iface')
  return {
    ipMasq: isTrue(flags.get('ip-masq')),
    kubeSubnetManager: isTrue(flags.get('kube-subnet-mgr')),
    ...(iface === undefined ? {} : { iface }),
    ...(version === undefined ? {} : { version }),
  }
}

/** As Go's flag package reads a truth value. */
function isTrue(text: string | undefined): boolean {
  return text !== undefined && ['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text)
}

/** The Network of a flannel config, where it is a sound IPv4 prefix; Go's decoder matches field names in any case. */
export function networkOf(config: string): Cidr | undefined {
  const root = readJson(config, 1).documents[0]?.value
  if (!isObject(root)) return undefined
  const key = Object.keys(root).find((name) => name.toLowerCase() === 'network')
  const text = key === undefined ? undefined : root[key]
  const prefix = typeof text === 'string' ? parseCidr(text) : 'syntax'
  return typeof prefix === 'string' ? undefined : prefix
}
