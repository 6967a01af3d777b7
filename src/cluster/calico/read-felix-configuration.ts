/**
 * FelixConfiguration, and FELIX_… of the environment of calico-node: text → settings; and how they lie over one another. Words that Felix
 * does not know in a setting make it keep its default; here they are errors.
 * Source: api/…/v3/felixconfig.go, felix/config/config_params.go (precedence, parameter types).
 */
import * as v from 'valibot'
import { isObject, type JsonValue, type Path } from '../located.js'
import type { KubernetesObject } from '../manifest.js'
import { editDistance } from '../nearest-name.js'
import type { ProblemList } from '../problem-list.js'
import { lazily, optional } from '../schema.js'
import type { FelixConfiguration, FelixSettings, ProtoPort } from './felix-configuration.js'
import { felixWarnings } from './felix-warnings.js'
import { parseGoDuration, parseNet, parsePort, ResourceReader, textMap } from './resource-reader.js'
import type { CalicoPort } from './resource.js'

type SettingName = keyof FelixSettings
type SettingKind =
  | 'boolean'
  | 'number'
  | 'port'
  | 'vni'
  | 'text'
  | 'address'
  | 'seconds'
  | 'ports'
  | 'port range'
  | 'proto ports'
  | 'nets'
  | 'ranges'
  | 'regular expression'
  | 'names or /regular expressions/'
  | RegExp
  | readonly string[]

/** Of 15 characters at most, as the kernel's are (config_params.go IfaceParamRegexp). */
const INTERFACE = /^[a-zA-Z0-9:._+-]{1,15}$/

const KINDS: Readonly<Record<SettingName, SettingKind>> = {
  allowIPIPPacketsFromWorkloads: 'boolean',
  allowVXLANPacketsFromWorkloads: 'boolean',
  bpfEnabled: 'boolean',
  chainInsertMode: ['insert', 'append'],
  defaultEndpointToHostAction: ['DROP', 'ACCEPT', 'RETURN', 'REJECT'],
  deviceRouteProtocol: 'number',
  deviceRouteSourceAddress: 'address',
  disableConntrackInvalidCheck: 'boolean',
  externalNodesList: 'nets',
  failsafeInboundHostPorts: 'proto ports',
  failsafeOutboundHostPorts: 'proto ports',
  featureDetectOverride: 'text',
  floatingIPs: ['Enabled', 'Disabled'],
  flowLogsGoldmaneServer: 'text',
  flowLogsLocalReporter: ['Enabled', 'Disabled'],
  interfaceExclude: 'names or /regular expressions/',
  // a pod's interface is the first one and 11 digits; of the others iptables makes `NAME+`
  interfacePrefix: /^[a-zA-Z0-9_-]{1,4}(,[a-zA-Z0-9_-]{1,14})*$/,
  ipForwarding: ['Enabled', 'Disabled'],
  ipipEnabled: 'boolean',
  ipipMTU: 'number',
  iptablesBackend: ['Legacy', 'NFT', 'Auto'],
  iptablesFilterAllowAction: ['ACCEPT', 'RETURN'],
  iptablesFilterDenyAction: ['DROP', 'REJECT'],
  iptablesMangleAllowAction: ['ACCEPT', 'RETURN'],
  iptablesMarkMask: 'number',
  iptablesNATOutgoingInterfaceFilter: INTERFACE,
  ipv4ElevatedRoutePriority: 'number',
  ipv4NormalRoutePriority: 'number',
  ipv6Support: 'boolean',
  istioAmbientMode: ['Enabled', 'Disabled'],
  kubeNodePortRanges: 'ports',
  logActionRateLimit: /^[1-9]\d{0,3}\/(second|minute|hour|day)$/,
  logActionRateLimitBurst: 'number',
  logPrefix: /^[^"\\\n]*$/,
  maxIpsetSize: 'number',
  mtuIfacePattern: 'regular expression',
  natOutgoingAddress: 'address',
  natOutgoingExclusions: ['IPPoolsOnly', 'IPPoolsAndHostIPs'],
  natPortRange: 'port range',
  nftablesMode: ['Disabled', 'Enabled', 'Auto'],
  programClusterRoutes: ['Enabled', 'Disabled'],
  removeExternalRoutes: 'boolean',
  routeSource: ['CalicoIPAM', 'WorkloadIPs'],
  routeSyncDisabled: 'boolean',
  routeTableRanges: 'ranges',
  serviceLoopPrevention: ['Drop', 'Reject', 'Disabled'],
  vxlanEnabled: 'boolean',
  vxlanMTU: 'number',
  vxlanPort: 'port',
  vxlanVNI: 'vni',
  wireguardEnabled: 'boolean',
  wireguardHostEncryptionEnabled: 'boolean',
  wireguardInterfaceName: INTERFACE,
  wireguardKeepAlive: 'seconds',
  wireguardListeningPort: 'port',
  wireguardMTU: 'number',
  wireguardRoutingRulePriority: 'number',
  workloadSourceSpoofing: ['Any', 'Disabled'],
}

/** Fields that are spelt almost like one above, and are others. */
const ALMOST: readonly string[] = [
  'ipv6ElevatedRoutePriority',
  'ipv6NormalRoutePriority',
  'nftablesFilterAllowAction',
  'nftablesFilterDenyAction',
  'nftablesMangleAllowAction',
  'nftablesMarkMask',
  'routeTableRange',
  'vxlanMTUV6',
  'wireguardEnabledV6',
  'wireguardInterfaceNameV6',
  'wireguardListeningPortV6',
  'wireguardMTUV6',
]

const schema = lazily(() =>
  v.looseObject({
    metadata: v.looseObject({ name: v.string(), labels: textMap(), annotations: textMap() }),
    spec: optional(v.record(v.string(), v.unknown())),
  }),
)

export function readFelixConfiguration(object: KubernetesObject, problems: ProblemList): FelixConfiguration | undefined {
  const reader = new ResourceReader(object, problems)
  const value = reader.check(schema())
  if (value === undefined) return undefined
  const spec = isObject(object.value.spec) ? object.value.spec : {}
  const settings: Record<string, unknown> = {}
  for (const [name, written] of Object.entries(spec)) {
    if (!Object.hasOwn(KINDS, name)) suggestField(name, reader)
    if (!Object.hasOwn(KINDS, name) || written === null) continue
    const kind = KINDS[name as SettingName]
    const read = readSetting(written, kind)
    if (read !== undefined) settings[name] = read
    else if (written !== '') report(name, written, { kind, path: ['spec', name], reader })
  }
  for (const { name, what, fix } of felixWarnings(settings)) reader.warning(['spec', name], what, fix)
  return { ...reader.head(value.metadata), settings }
}

/** Felix has three times as many fields as play a part here: only what is almost one of these is told. */
function suggestField(name: string, reader: ResourceReader): void {
  const isNear = (field: string): boolean => editDistance(name.toLowerCase(), field.toLowerCase()) <= 2
  const meant = name.length < 6 || ALMOST.includes(name) ? undefined : Object.keys(KINDS).find(isNear)
  if (meant !== undefined) reader.warning(['spec', name], `unknown field spec.${name}`, `Did you mean ${meant}? As it stands the field says nothing.`)
}

function report(name: string, written: JsonValue, { kind, path, reader }: { kind: SettingKind; path: Path; reader: ResourceReader }): void {
  const numbers: Readonly<Record<string, string>> = { port: 'a number up to 65535', vni: 'a number up to 16777215' }
  if (kind === 'regular expression' || kind === 'names or /regular expressions/') {
    reader.warning(path, `${name} is ${JSON.stringify(written)}, which netsim cannot read: Felix's default is taken`, `Due is: ${kind}.`)
    return
  }
  const due = kind instanceof RegExp ? `text that matches ${kind.source}` : typeof kind === 'string' ? (numbers[kind] ?? kind) : kind.join(', ')
  reader.error(path, `${name} is ${JSON.stringify(written)}`, `Due is: ${due}.`)
}

/** FELIX_NAME, by the name of the parameter in any case; the words of its lists are those of Felix's own configuration file. */
export function felixEnvironment(environment: readonly { readonly name: string; readonly value: string }[]): FelixSettings {
  const settings: Record<string, unknown> = {}
  for (const { name, value } of environment) {
    const wanted = /^FELIX_(.+)$/i.exec(name)?.[1].toLowerCase()
    const setting = wanted === undefined ? undefined : Object.keys(KINDS).find((known) => parameterName(known) === wanted)
    if (setting === undefined || value === '') continue
    const kind = KINDS[setting as SettingName]
    const read = kind === 'proto ports' ? protoPortsOfText(value) : readSetting(value, kind)
    if (read !== undefined) settings[setting] = read
  }
  return settings
}

/** Felix's own parameters are named as the fields are, but for these. */
function parameterName(field: string): string {
  const renamed: Readonly<Record<string, string>> = {
    ipipEnabled: 'ipinipenabled',
    ipipMTU: 'ipinipmtu',
    externalNodesList: 'externalnodescidrlist',
    wireguardKeepAlive: 'wireguardpersistentkeepalive',
  }
  return renamed[field] ?? field.toLowerCase()
}

/** What Felix of one node goes by: its environment, over the node's object, over the cluster's. */
export function felixSettingsOf(configurations: readonly FelixConfiguration[], node: string, environment: FelixSettings): FelixSettings {
  const of = (name: string): FelixSettings => configurations.find((configuration) => configuration.name === name)?.settings ?? {}
  return { ...of('default'), ...of(`node.${node}`), ...environment }
}

function readSetting(value: JsonValue, kind: SettingKind): unknown {
  if (kind instanceof RegExp) return textOf(value, kind)
  if (typeof kind !== 'string') return kind.find((word) => typeof value === 'string' && word.toLowerCase() === value.toLowerCase())
  switch (kind) {
    case 'boolean':
      return booleanOf(value)
    case 'number':
      return numberOf(value)
    case 'port':
      return numberOf(value, 65535)
    case 'vni':
      return numberOf(value, 0xffffff)
    case 'text':
      return textOf(value, /^/)
    case 'address': {
      const net = typeof value === 'string' ? parseNet(value) : undefined
      return net?.family === 4 && net.cidr.length === 32 ? net.cidr.base : undefined
    }
    case 'seconds':
      return typeof value === 'string' ? (parseGoDuration(value) ?? numberOf(value)) : numberOf(value)
    case 'ports':
      return listOf(value, portOf)
    case 'regular expression':
      return typeof value === 'string' && value !== '' && isExpression(value) ? value : undefined
    case 'names or /regular expressions/':
      return typeof value === 'string' && value.split(',').every((item) => isExpression(/^\/(.*)\/$/.exec(item.trim())?.[1] ?? '')) ? value : undefined
    case 'port range': {
      const port = portOf(value)
      return port !== undefined && 'from' in port ? port : undefined
    }
    case 'nets':
      return listOf(value, (item) => (typeof item === 'string' ? parseNet(item) : undefined))
    case 'proto ports':
      return listOf(value, protoPortOf)
    case 'ranges':
      return listOf(value, (item) =>
        isObject(item) && typeof item.min === 'number' && typeof item.max === 'number' ? { min: item.min, max: item.max } : undefined,
      )
  }
}

function isExpression(text: string): boolean {
  try {
    new RegExp(text)
    return true
  } catch {
    return false
  }
}

function textOf(value: JsonValue, due: RegExp): string | undefined {
  const text = typeof value === 'number' ? String(value) : value
  return typeof text === 'string' && due.test(text) ? text : undefined
}

function booleanOf(value: JsonValue): boolean | undefined {
  if (typeof value === 'boolean') return value
  if (typeof value !== 'string') return undefined
  if (['true', '1', 'yes', 'y', 't'].includes(value.toLowerCase())) return true
  return ['false', '0', 'no', 'n', 'f'].includes(value.toLowerCase()) ? false : undefined
}

function numberOf(value: JsonValue, largest = Number.MAX_SAFE_INTEGER): number | undefined {
  const number = typeof value === 'string' && /^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(value) ? Number(value) : value
  return typeof number === 'number' && Number.isInteger(number) && number >= 0 && number <= largest ? number : undefined
}

function portOf(value: JsonValue): CalicoPort | undefined {
  return typeof value === 'number' || typeof value === 'string' ? parsePort(value) : undefined
}

/** A list, or text with commas; undefined when one of its items is wrong. */
function listOf<Item>(value: JsonValue, read: (item: JsonValue) => Item | undefined): Item[] | undefined {
  const items = Array.isArray(value)
    ? (value as readonly JsonValue[])
    : typeof value === 'string'
      ? value
          .split(',')
          .filter((item) => item.trim() !== '')
          .map((item) => item.trim())
      : undefined
  const values = items?.map(read)
  return values === undefined || values.includes(undefined) ? undefined : (values as Item[])
}

function protoPortOf(value: JsonValue): ProtoPort | undefined {
  if (!isObject(value)) return undefined
  const port = numberOf(value.port)
  const protocol = typeof value.protocol === 'string' ? value.protocol.toLowerCase() : 'tcp'
  if (port === undefined || port > 65535) return undefined
  if (typeof value.net !== 'string' || value.net === '') return { protocol, port }
  const net = parseNet(value.net)
  return net === undefined ? undefined : { protocol, port, net }
}

/** `tcp:22,udp:68,tcp:10.0.0.0/8:179,443`; `none` is an empty list. */
function protoPortsOfText(value: string): ProtoPort[] | undefined {
  if (value.toLowerCase() === 'none') return []
  const read = value.split(',').map((item): ProtoPort | undefined => {
    const match = /^(?:(tcp|udp|sctp):)?(?:(.*):)?(\d{1,5})$/i.exec(item.trim())
    if (match === null || Number(match[3]) > 65535) return undefined
    const net = match[2] ? parseNet(match[2]) : undefined
    if (match[2] && net === undefined) return undefined
    return { protocol: (match[1] ?? 'tcp').toLowerCase(), port: Number(match[3]), ...(net === undefined ? {} : { net }) }
  })
  return read.includes(undefined) ? undefined : (read as ProtoPort[])
}
