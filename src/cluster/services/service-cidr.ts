/** Where cluster IPs come from, as far as objects say it: ServiceCIDRs, else the API server's flag, else kubeadm's ClusterConfiguration. */
import { parseCidr, type Cidr } from '../../base/cidr.js'
import { isObject, type JsonValue } from '../located.js'
import { readYaml } from '../yaml-text.js'
import type { KubernetesObject } from '../manifest.js'

export function findServiceCidr(objects: readonly KubernetesObject[]): Cidr | undefined {
  for (const find of [fromServiceCidrs, fromApiServer, fromKubeadm]) {
    const found = objects.flatMap((object) => find(object)).flatMap((text) => firstIpv4(text))
    if (found.length > 0) return found[0]
  }
  return undefined
}

/** Of one family each, with commas between. */
function firstIpv4(texts: string): Cidr[] {
  return texts.split(',').flatMap((text) => {
    const net = parseCidr(text.trim())
    return typeof net === 'string' ? [] : [net]
  })
}

function fromServiceCidrs({ kind, name, value }: KubernetesObject): string[] {
  return kind === 'ServiceCIDR' && name === 'kubernetes' ? strings(at(value, 'spec', 'cidrs')) : []
}

function fromApiServer({ kind, namespace, name, value }: KubernetesObject): string[] {
  if (kind !== 'Pod' || namespace !== 'kube-system' || !name.startsWith('kube-apiserver')) return []
  const containers = at(value, 'spec', 'containers')
  const words = Array.isArray(containers)
    ? containers.flatMap((container: JsonValue) => [...strings(at(container, 'command')), ...strings(at(container, 'args'))])
    : []
  return words.flatMap((word) => /^--service-cluster-ip-range=(.+)$/.exec(word)?.[1] ?? [])
}

function fromKubeadm({ kind, namespace, name, value }: KubernetesObject): string[] {
  if (kind !== 'ConfigMap' || namespace !== 'kube-system' || name !== 'kubeadm-config') return []
  const text = at(value, 'data', 'ClusterConfiguration')
  const subnet = typeof text === 'string' ? at(readYaml(text, 1).documents[0]?.value, 'networking', 'serviceSubnet') : undefined
  return typeof subnet === 'string' ? [subnet] : []
}

function at(value: JsonValue | undefined, ...path: readonly string[]): JsonValue | undefined {
  return path.reduce<JsonValue | undefined>((inner, key) => (isObject(inner) ? inner[key] : undefined), value)
}

function strings(value: JsonValue | undefined): string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : []
}
