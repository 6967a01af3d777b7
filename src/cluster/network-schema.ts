/**
 * The Network document (apiVersion netsim/v1): what no Kubernetes object says. Every field is optional; `network-document.ts` and
 * `settings.ts` say what stands in where one is absent.
 */
import * as v from 'valibot'
import { addressField, cidrField, integerField, macField, unitField } from './fields.js'
import { inJsonSchema, lazily, optional, say } from './schema.js'
import { NODE_PORT_KEYWORDS } from './services/kube-proxy-settings.js'
import { parseDuration, parseRate } from './units.js'

const PLAIN_NAME = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,62})$/
const VERSION = /^v?[0-9]+(\.[0-9]+)*(-[A-Za-z0-9.]+)?$/
const DURATION = {
  parse: parseDuration,
  forms: [{ type: 'string', pattern: '^(0|[0-9]+(\\.[0-9]+)?\\s*(ns|us|µs|ms|s|m|h))$' }, { const: 0 }],
  what: 'a duration',
  example: '50us or 1ms',
}
const RATE = {
  parse: parseRate,
  forms: [{ type: 'string', pattern: '^[0-9]+(\\.[0-9]+)?\\s*[kKMGT]?(bps|bit|bit/s)$' }],
  what: 'a rate',
  example: '10Gbps or 100Mbps',
}

/** Commands of one tool, each as the arguments that follow its name. */
const commands = () =>
  optional(
    v.array(
      v.pipe(
        v.string(),
        inJsonSchema({ pattern: '\\S' }),
        v.check(
          (text) => text.trim() !== '',
          () => say('an empty command', 'Delete the line.'),
        ),
      ),
    ),
  )

/** A name that may stand in `segment/router` and `node/device`. */
const plainName = () =>
  v.pipe(
    v.string(),
    inJsonSchema({ pattern: PLAIN_NAME.source }),
    v.check(
      (text) => PLAIN_NAME.test(text),
      (issue) => say(`${JSON.stringify(issue.input)} is no name`, 'Letters, digits, - _ and . only, at most 63, starting with a letter or digit.'),
    ),
  )

/** IFNAMSIZ is 16 with the closing zero; the kernel refuses `/`, `:` and blanks, and the names . and .. */
const deviceName = () =>
  v.pipe(
    v.string(),
    inJsonSchema({ pattern: '^[^/:\\s]+$', maxLength: 15, not: { enum: ['.', '..'] } }),
    v.check(
      (text) => text.length <= 15 && /^[^/:\s]+$/.test(text) && text !== '.' && text !== '..',
      (issue) => say(`${JSON.stringify(issue.input)} is no device name`, 'A Linux device name has 1 to 15 characters, no blank, / or :.'),
    ),
  )

const version = () =>
  v.pipe(
    v.union([v.string(), v.number()], () => say('not a version', 'Write it in quotes: "0.11.0".')),
    inJsonSchema({ pattern: VERSION.source }),
    v.transform(String),
    v.check(
      (text) => VERSION.test(text),
      (issue) => say(`${JSON.stringify(issue.input)} is no version`, 'Write it like "0.11.0".'),
    ),
  )

/** Text, or {value, ttl}: read in network-document.ts, which tells what else is there. */
const etcdValue = () =>
  v.pipe(
    v.unknown(),
    inJsonSchema({
      anyOf: [
        { type: 'string' },
        {
          type: 'object',
          required: ['value'],
          properties: { value: { type: 'string' }, ttl: { type: ['integer', 'null'], minimum: 1 } },
          additionalProperties: false,
        },
      ],
    }),
  )

const underlay = () =>
  v.looseObject({
    segments: optional(
      v.array(
        v.looseObject({
          name: plainName(),
          cidr: cidrField(),
          router: optional(addressField()),
          mtu: optional(integerField(68, 65535)),
          latency: optional(unitField(DURATION)),
          rate: optional(unitField(RATE)),
          sourceDestinationCheck: optional(v.boolean()),
        }),
      ),
    ),
    routers: optional(
      v.array(
        v.looseObject({
          name: plainName(),
          segments: v.array(v.string()),
          cloud: optional(v.picklist(['aws', 'gce'])),
          addresses: optional(v.record(v.string(), addressField())),
          routes: commands(),
          iptables: commands(),
          asn: optional(integerField(1, 4294967295)),
          peers: optional(v.array(addressField())),
        }),
      ),
    ),
    hosts: optional(
      v.array(
        v.looseObject({
          name: plainName(),
          address: addressField(),
          gateway: optional(addressField()),
          ports: optional(v.array(v.union([v.number(), v.string()], () => say('not a port', 'Write 80, or "53/udp".')))),
        }),
      ),
    ),
  })

const host = () =>
  v.looseObject({
    node: v.string(),
    sourceDestinationCheck: optional(v.boolean()),
    sysctls: optional(
      v.record(
        v.string(),
        v.union([v.number(), v.string(), v.boolean()], () => say('not a number', 'Write the number that sysctl prints.')),
      ),
    ),
    iptables: commands(),
    ipset: commands(),
    ip: commands(),
    bridge: commands(),
  })

const dns = () =>
  v.looseObject({
    clusterDNS: optional(v.array(addressField())),
    hosts: optional(v.record(v.string(), addressField())),
    nodes: optional(
      v.looseObject({ nameservers: optional(v.array(addressField())), searches: optional(v.array(v.string())), options: optional(v.array(v.string())) }),
    ),
  })

const kubeProxy = () =>
  v.looseObject({
    mode: optional(v.picklist(['iptables', 'none', 'ipvs', 'nftables', 'userspace'])),
    version: optional(version()),
    clusterCIDR: optional(cidrField()),
    detectLocalMode: optional(v.picklist(['ClusterCIDR', 'NodeCIDR', 'BridgeInterface', 'InterfaceNamePrefix'])),
    bridgeInterface: optional(deviceName()),
    interfaceNamePrefix: optional(deviceName()),
    masqueradeAll: optional(v.boolean()),
    masqueradeBit: optional(integerField(0, 31)),
    nodePortAddresses: optional(
      v.array(
        v.union([v.picklist(NODE_PORT_KEYWORDS), cidrField()], () =>
          say('neither a prefix nor a word for one', 'Write 192.168.0.0/24, primary, localhost or all.'),
        ),
      ),
    ),
    localhostNodePorts: optional(v.boolean()),
  })

export const networkSchema = lazily(() =>
  v.looseObject({
    apiVersion: v.pipe(v.string(), inJsonSchema({ const: 'netsim/v1' })),
    kind: v.pipe(v.string(), inJsonSchema({ const: 'Network' })),
    metadata: optional(v.record(v.string(), v.unknown())),
    spec: optional(
      v.looseObject({
        cni: optional(v.picklist(['flannel', 'calico', 'canal', 'none'])),
        datastore: optional(v.picklist(['etcd', 'kubernetes'])),
        runtime: optional(
          v.looseObject({
            name: optional(v.picklist(['docker', 'cni'])),
            iptables: optional(v.boolean()),
            dockerVersion: optional(version()),
            icc: optional(v.boolean()),
            userlandProxy: optional(v.boolean()),
          }),
        ),
        clusterCIDR: optional(cidrField()),
        serviceCIDR: optional(cidrField()),
        clusterDomain: optional(v.string()),
        dns: optional(dns()),
        etcd: optional(v.record(v.string(), etcdValue())),
        flannel: optional(v.looseObject({ ipMasq: optional(v.boolean()), version: optional(version()), iface: optional(v.string()) })),
        calico: optional(v.looseObject({ version: optional(version()) })),
        kubeProxy: optional(kubeProxy()),
        loadBalancer: optional(v.looseObject({ pool: optional(cidrField()) })),
        underlay: optional(underlay()),
        hosts: optional(v.array(host())),
        pins: optional(v.looseObject({ macs: optional(v.record(v.string(), macField())), devices: optional(v.record(v.string(), deviceName())) })),
      }),
    ),
  }),
)

export type NetworkValue = v.InferOutput<ReturnType<typeof networkSchema>>
