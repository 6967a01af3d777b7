/**
 * /run/flannel/subnet.env, through which flanneld tells docker or the CNI plugin what it was given, and what mk-docker-opts.sh
 * makes of it. Both ways. Source: flannel pkg/subnet/subnet.go (WriteSubnetFile), dist/mk-docker-opts.sh.
 */
import { cidr, formatCidr, parseAddressWithLength, type Cidr } from '../base/cidr.js'
import { formatIp, type Ip } from '../base/ip.js'
import type { Problem } from '../base/problem.js'
import { problemAt, type TextSource } from './go-json.js'
import { atLeast } from './version.js'

export interface SubnetEnv {
  readonly network?: Cidr
  /** The bridge's address: the first of the leased subnet, with its length. */
  readonly subnet: { readonly address: Ip; readonly length: number }
  readonly mtu: number
  readonly ipMasq?: boolean
}

export function subnetEnvOf(network: Cidr, subnet: Cidr, mtu: number, ipMasq: boolean): SubnetEnv {
  return { network, subnet: { address: (subnet.base + 1) | 0, length: subnet.length }, mtu, ipMasq }
}

/** The file as flanneld of that version writes it. */
export function formatSubnetEnv(env: SubnetEnv, version: string): string {
  const lines: string[] = []
  if (env.network !== undefined && atLeast(version, '0.5.3')) lines.push(`FLANNEL_NETWORK=${formatCidr(env.network)}`)
  lines.push(`FLANNEL_SUBNET=${formatIp(env.subnet.address)}/${env.subnet.length}`, `FLANNEL_MTU=${env.mtu}`)
  if (env.ipMasq !== undefined && atLeast(version, '0.2.1')) lines.push(`FLANNEL_IPMASQ=${env.ipMasq}`)
  return lines.map((line) => `${line}\n`).join('')
}

export function parseSubnetEnv(text: string, file: string): { readonly env?: SubnetEnv; readonly problems: readonly Problem[] } {
  const values = new Map<string, { readonly value: string; readonly line: number }>()
  for (const [index, line] of text.split('\n').entries()) {
    const match = /^\s*([A-Z0-9_]+)=(.*?)\s*$/.exec(line)
    if (match !== null) values.set(match[1], { value: match[2].replace(/^(["'])(.*)\1$/, '$2'), line: index + 1 })
  }
  const problems: Problem[] = []
  const at = (name: string): TextSource => ({ file, line: values.get(name)?.line ?? 0, object: name })
  const wrong = (name: string): void =>
    void problems.push(problemAt(at(name), values.has(name) ? `'${values.get(name)?.value}' makes no sense` : `${name} is missing`))
  const prefix = (name: string): SubnetEnv['subnet'] | undefined => parseAddressWithLength(values.get(name)?.value ?? '')
  const subnet = prefix('FLANNEL_SUBNET')
  if (subnet === undefined) wrong('FLANNEL_SUBNET')
  const network = prefix('FLANNEL_NETWORK')
  if (network === undefined && values.has('FLANNEL_NETWORK')) wrong('FLANNEL_NETWORK')
  const mtu = Number(values.get('FLANNEL_MTU')?.value ?? NaN)
  if (!Number.isInteger(mtu) || mtu <= 0) wrong('FLANNEL_MTU')
  const masq = values.get('FLANNEL_IPMASQ')?.value
  if (masq !== undefined && masq !== 'true' && masq !== 'false') wrong('FLANNEL_IPMASQ')
  if (subnet === undefined || problems.length > 0) return { problems }
  const known = network === undefined ? {} : { network: cidr(network.address, network.length) }
  return { env: { ...known, subnet, mtu, ...(masq === undefined ? {} : { ipMasq: masq === 'true' }) }, problems }
}

/** dockerd's options. ipMasq is the inverse of flannel's: one of the two masquerades. */
interface DockerOptions {
  readonly bip: { readonly address: Ip; readonly length: number }
  readonly mtu: number
  /** undefined: left to dockerd, whose default is true. */
  readonly ipMasq?: boolean
}

export function dockerOptions(env: SubnetEnv): DockerOptions {
  return { bip: env.subnet, mtu: env.mtu, ...(env.ipMasq === undefined ? {} : { ipMasq: !env.ipMasq }) }
}

/** What `mk-docker-opts.sh` writes to /run/docker_opts.env without flags. */
export function formatDockerOptions(options: DockerOptions, version: string): string {
  const named: (readonly [string, string])[] = [['BIP', `--bip=${formatIp(options.bip.address)}/${options.bip.length}`]]
  if (options.ipMasq !== undefined) named.push(['IPMASQ', `--ip-masq=${options.ipMasq}`])
  named.push(['MTU', `--mtu=${options.mtu}`])
  const single = named.map(([name, value]) => `DOCKER_OPT_${name}="${value}"\n`).join('')
  const trailing = atLeast(version, '0.6.0') ? '' : ' '
  return `${single}DOCKER_OPTS=" ${named.map(([, value]) => value).join(' ')}${trailing}"\n`
}
