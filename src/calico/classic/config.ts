/**
 * Felix 1.4.9's parameters: what etcd says for the host and for all hosts, over its own defaults, and below what calico/node's felix.cfg says.
 * Source: felix 1.4.9 calico/felix/config.py; calico/node v1.0 filesystem/etc/calico/felix.cfg.
 */
import type { Problem } from '../../base/problem.js'
import { parseIp, type Ip } from '../../base/ip.js'
import type { ClassicSetting, ClassicSettings } from '../../cluster/calico/classic-model.js'
import { nearestName } from '../../cluster/nearest-name.js'

export interface ClassicConfig {
  /** InterfacePrefix, in its order. */
  readonly prefixes: readonly string[]
  readonly endpointToHost: 'DROP' | 'RETURN' | 'ACCEPT'
  readonly drop: 'DROP' | 'LOG-and-DROP' | 'ACCEPT' | 'LOG-and-ACCEPT'
  readonly ipip: boolean
  readonly ipipMtu: number
  readonly ipipTunnelAddress?: Ip
  readonly maxIpsetSize: number
  readonly marks: { readonly accept: number; readonly nextTier: number; readonly endpoints: number }
  /** TCP ports. */
  readonly failsafeIn: readonly number[]
  readonly failsafeOut: readonly number[]
  /** Absent: `none`, as calico/node has it. */
  readonly metadata?: { readonly address: string; readonly port: number }
  readonly ignoreLooseRpf: boolean
}

const DEFAULT_MARK_MASK = 0xff000000
const DEFAULT_IPSET_SIZE = 2 ** 20

/** Parameters that netsim's packets do not feel. */
const OTHERS: readonly string[] = [
  'EtcdAddr',
  'EtcdScheme',
  'EtcdKeyFile',
  'EtcdCertFile',
  'EtcdCaFile',
  'EtcdEndpoints',
  'FelixHostname',
  'StartupCleanupDelay',
  'PeriodicResyncInterval',
  'HostInterfacePollInterval',
  'IptablesRefreshInterval',
  'ClusterGUID',
  'UsageReportingEnabled',
  'LogFilePath',
  'EtcdDriverLogFilePath',
  'LogSeverityFile',
  'LogSeveritySys',
  'LogSeverityScreen',
  'ReportingIntervalSecs',
  'ReportingTTLSecs',
  'EndpointReportingEnabled',
  'EndpointReportingDelaySecs',
  'PrometheusMetricsEnabled',
  'PrometheusMetricsPort',
  'EtcdDriverPrometheusMetricsPort',
  'Ipv6Support',
  'IptablesGeneratorPlugin',
  // calicoctl's mark that the host is there
  'marker',
]

const KNOWN = [
  'InterfacePrefix',
  'DefaultEndpointToHostAction',
  'DropActionOverride',
  'IpInIpEnabled',
  'IpInIpMtu',
  'IpInIpTunnelAddr',
  'MaxIpsetSize',
  'IptablesMarkMask',
  'FailsafeInboundHostPorts',
  'FailsafeOutboundHostPorts',
  'MetadataAddr',
  'MetadataPort',
  'IgnoreLooseRPF',
] as const

type Known = (typeof KNOWN)[number]

/** What calico/node's felix.cfg says; a file wins over etcd. */
const CALICO_NODE_FILE: Readonly<Partial<Record<Known, string>>> = { MetadataAddr: 'none' }

interface ClassicConfigSources {
  readonly host: ClassicSettings
  readonly global: ClassicSettings
  readonly file?: Readonly<Partial<Record<Known, string>>>
}

export function resolveClassicConfig({ host, global, file = CALICO_NODE_FILE }: ClassicConfigSources): {
  readonly config: ClassicConfig
  readonly problems: readonly Problem[]
} {
  const reader = new SettingReader((name) => (file[name] === undefined ? (host.get(name) ?? global.get(name)) : { value: file[name], file: '', line: 0 }))
  for (const [name, setting] of [...host, ...global]) reader.name(name, setting)
  const tunnel = reader.address('IpInIpTunnelAddr')
  const metadata = reader.text('MetadataAddr', '127.0.0.1')
  const config: ClassicConfig = {
    prefixes: reader
      .text('InterfacePrefix', 'cali')
      .split(',')
      .map((prefix) => prefix.trim()),
    endpointToHost: reader.choice('DefaultEndpointToHostAction', ['DROP', 'RETURN', 'ACCEPT']),
    drop: reader.choice('DropActionOverride', ['DROP', 'LOG-and-DROP', 'ACCEPT', 'LOG-and-ACCEPT']),
    ipip: reader.flag('IpInIpEnabled', false),
    ipipMtu: reader.number('IpInIpMtu', 1440),
    ...(tunnel === undefined ? {} : { ipipTunnelAddress: tunnel }),
    maxIpsetSize: reader.number('MaxIpsetSize', DEFAULT_IPSET_SIZE) || DEFAULT_IPSET_SIZE,
    marks: marksOf(reader.number('IptablesMarkMask', DEFAULT_MARK_MASK)),
    failsafeIn: reader.ports('FailsafeInboundHostPorts', [22]),
    failsafeOut: reader.ports('FailsafeOutboundHostPorts', [2379, 2380, 4001, 7001]),
    ...(metadata.toLowerCase() === 'none' ? {} : { metadata: { address: metadata, port: reader.number('MetadataPort', 8775) } }),
    ignoreLooseRpf: reader.flag('IgnoreLooseRPF', false),
  }
  return { config, problems: reader.problems }
}

/** The three lowest bits of the mask. */
function marksOf(mask: number): ClassicConfig['marks'] {
  const bits = Array.from({ length: 32 }, (_, bit) => 2 ** bit).filter((bit) => Math.floor(mask / bit) % 2 === 1)
  const [accept, nextTier, endpoints] = bits.length >= 3 ? bits : [0x1000000, 0x2000000, 0x4000000]
  return { accept, nextTier, endpoints }
}

class SettingReader {
  readonly problems: Problem[] = []
  private readonly find: (name: Known) => ClassicSetting | undefined

  constructor(find: (name: Known) => ClassicSetting | undefined) {
    this.find = find
  }

  /** Felix warns of what it does not know. */
  name(name: string, setting: ClassicSetting): void {
    const known: readonly string[] = [...KNOWN, ...OTHERS]
    if (known.includes(name)) return
    const meant = nearestName(name, known)
    const fix = meant === undefined ? 'It does nothing.' : `It does nothing. Did you mean ${meant}?`
    this.problems.push({ severity: 'warning', file: setting.file, line: setting.line, object: `config/${name}`, what: 'no parameter of Felix 1.4', fix })
  }

  text(name: Known, otherwise: string): string {
    return this.find(name)?.value ?? otherwise
  }

  /** The first is the default. */
  choice<const Word extends string>(name: Known, words: readonly Word[]): Word {
    const found = words.find((word) => word === this.text(name, words[0]))
    if (found === undefined) this.refuse(name, `Write ${words.join(', ')}.`)
    return found ?? words[0]
  }

  flag(name: Known, otherwise: boolean): boolean {
    const word = this.text(name, String(otherwise)).toLowerCase()
    if (['true', '1', 'yes', 'y', 't'].includes(word)) return true
    if (!['false', '0', 'no', 'n', 'f'].includes(word)) this.refuse(name, 'Write true or false.')
    return false
  }

  /** Decimal, or 0x…. */
  number(name: Known, otherwise: number): number {
    const text = this.text(name, String(otherwise)).trim()
    const number = /^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(text) ? Number(text) : Number.NaN
    if (number >= 0 && number <= 0xffffffff) return number
    this.refuse(name, 'Write a whole number.')
    return otherwise
  }

  ports(name: Known, otherwise: readonly number[]): readonly number[] {
    const words = this.text(name, otherwise.join(','))
      .split(',')
      .map((word) => word.trim())
      .filter((word) => word !== '')
    const ports = words.map(Number)
    if (words.every((word) => /^\d{1,5}$/.test(word)) && ports.every((port) => port > 0 && port < 65536)) return ports
    this.refuse(name, 'Write ports from 1 to 65535, with commas between.')
    return otherwise
  }

  address(name: Known): Ip | undefined {
    const text = this.text(name, 'none')
    if (text.toLowerCase() === 'none') return undefined
    const address = parseIp(text)
    if (address === undefined) this.refuse(name, 'Write an address, or none.')
    return address
  }

  /** Felix does not start. */
  private refuse(name: Known, fix: string): void {
    const setting = this.find(name) ?? { value: '', file: '', line: 0 }
    const what = `${JSON.stringify(setting.value)} is no value of ${name}: Felix does not start`
    this.problems.push({ severity: 'error', file: setting.file, line: setting.line, object: `config/${name}`, what, fix })
  }
}
