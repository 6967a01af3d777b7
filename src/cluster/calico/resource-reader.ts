/**
 * What the readers of Calico's kinds share: metadata, and the values that Calico writes as text or number. A CustomResource of
 * crd.projectcalico.org/v1 keeps its Calico labels and its name in the annotation projectcalico.org/metadata.
 * Source: libcalico-go/lib/backend/k8s/resources/resources.go (ConvertK8sResourceToCalicoResource), api/pkg/lib/numorstring.
 */
import * as v from 'valibot'
import { cidr, parseAddressWithLength } from '../../base/cidr.js'
import { isIpv6Text, type Ip } from '../../base/ip.js'
import { groupOf } from '../kinds.js'
import { isObject, type Path } from '../located.js'
import type { Place } from '../problem-list.js'
import { check, optional, say, type UnknownFields } from '../schema.js'
import { isSelectorFault, parseSelector } from '../selector.js'
import { ObjectReader } from './object-reader.js'
import type { CalicoPort, CalicoProtocol, CalicoResource, Net } from './resource.js'

type Optional<Schema extends v.GenericSchema> = v.NullishSchema<Schema, undefined>

export const text = (): Optional<v.StringSchema<undefined>> => optional(v.string())
export const texts = (): Optional<v.ArraySchema<v.StringSchema<undefined>, undefined>> => list(v.string())
export const flag = (): Optional<v.BooleanSchema<undefined>> => optional(v.boolean())
export const textMap = (): Optional<v.RecordSchema<v.StringSchema<undefined>, v.StringSchema<undefined>, undefined>> =>
  optional(v.record(v.string(), v.string()))
export const numberOrText = (): Optional<v.GenericSchema<number | string>> =>
  optional(v.union([v.number(), v.string()], () => say('neither a number nor text', '')))

/** A list that may be null. */
export function list<const Item extends v.GenericSchema>(item: Item): Optional<v.ArraySchema<Item, undefined>> {
  return optional(v.array(item))
}

type ResourceSchema<Entries extends v.ObjectEntries> = v.LooseObjectSchema<
  {
    readonly metadata: v.LooseObjectSchema<
      { readonly name: v.StringSchema<undefined>; readonly labels: ReturnType<typeof textMap>; readonly annotations: ReturnType<typeof textMap> },
      undefined
    >
    readonly spec: Optional<v.LooseObjectSchema<Entries, undefined>>
  },
  undefined
>

/** metadata and a spec of these fields; everything else is let through. */
export function resourceSchema<const Entries extends v.ObjectEntries>(spec: Entries): ResourceSchema<Entries> {
  return v.looseObject({
    metadata: v.looseObject({ name: v.string(), labels: textMap(), annotations: textMap() }),
    spec: optional(v.looseObject(spec)),
  })
}

const METADATA_ANNOTATION = 'projectcalico.org/metadata'

/** A resource of Calico's API, version 3. */
export class ResourceReader extends ObjectReader {
  /**
   * undefined: wrong beyond use, reported.
   * @param unknownFields `name` for the kinds whose fields are all known here
   */
  check<const Schema extends v.GenericSchema>(schema: Schema, unknownFields: UnknownFields = 'hint'): v.InferOutput<Schema> | undefined {
    return check(schema, this.object, this.problems, unknownFields)
  }

  /** Policies alone keep their name in the annotation. */
  head(metadata: { readonly labels?: Labels | null | undefined; readonly annotations?: Labels | null | undefined }): CalicoResource {
    const { [METADATA_ANNOTATION]: kept, ...annotations } = metadata.annotations ?? {}
    const own = this.keptMetadata(kept)
    return {
      name: own?.name ?? this.object.name,
      labels: { ...metadata.labels, ...own?.labels },
      annotations: { ...annotations, ...own?.annotations },
      object: this.object,
      file: this.object.file,
      line: this.object.line,
    }
  }

  /** The annotation holds the name that the object has in Calico's API. */
  get keptName(): boolean {
    const { metadata } = this.object.value
    const kept = isObject(metadata) && isObject(metadata.annotations) ? metadata.annotations[METADATA_ANNOTATION] : undefined
    return typeof kept === 'string' && this.keptMetadata(kept)?.name !== undefined
  }

  /** True for what came straight from the custom resource, past the defaults of Calico's API. */
  get isRaw(): boolean {
    return groupOf(this.object.apiVersion) === 'crd.projectcalico.org'
  }

  private keptMetadata(json: string | undefined): { name?: string; labels: Labels; annotations: Labels } | undefined {
    if (json === undefined) return undefined
    let value: unknown
    try {
      value = JSON.parse(json)
    } catch {
      this.error(['metadata', 'annotations', METADATA_ANNOTATION], 'the annotation is no JSON', 'Dump the object again with calicoctl or kubectl.')
      return undefined
    }
    if (!isObject(value)) return undefined
    const name = typeof value.name === 'string' && value.name !== '' ? { name: value.name } : {}
    return { ...name, labels: stringsOf(value.labels), annotations: stringsOf(value.annotations) }
  }

  at(path: Path): Place {
    return this.object.at(...path)
  }

  /** Reports what the grammar has against it; the text goes through as it is. */
  selector(value: string | null | undefined, path: Path): string {
    const result = parseSelector(value ?? '')
    if (isSelectorFault(result))
      this.error(
        path,
        `${path.at(-1)} ${JSON.stringify(value)}: ${result.fault} (character ${result.at + 1})`,
        `A selector looks like app == 'web' && has(tier).`,
      )
    return value ?? ''
  }

  /** Nets that parse. What comes through Calico's API is refused with another one (v3 validator, `dive,net`); Felix leaves it out of what does not. */
  nets(values: readonly string[] | null | undefined, path: Path): Net[] {
    return (values ?? []).flatMap((value, index) => {
      const net = parseNet(value)
      if (net !== undefined) return [net]
      const what = `${JSON.stringify(value)} is no prefix`
      if (this.isRaw) this.warning([...path, index], `${what}: left out, as Calico does`, 'Write it like 10.0.0.0/8.')
      else this.error([...path, index], what, 'Write it like 10.0.0.0/8.')
      return []
    })
  }

  /** The IPv4 addresses among them. */
  addresses(values: readonly string[] | null | undefined, path: Path): Ip[] {
    return (values ?? []).flatMap((value, index) => this.address(value, [...path, index]) ?? [])
  }

  /** `/32` may stand behind it. */
  override address(value: string | null | undefined, path: Path): Ip | undefined {
    return super.address(value?.replace(/\/32$/, ''), path)
  }

  /** Seconds of a Go duration. */
  seconds(value: string | null | undefined, path: Path): number | undefined {
    if (value === undefined || value === null || value === '') return undefined
    const seconds = parseGoDuration(value)
    if (seconds === undefined) this.error(path, `${JSON.stringify(value)} is no duration`, 'Write it with its unit, like 90s.')
    return seconds
  }

  ports(values: readonly (number | string)[] | null | undefined, path: Path): CalicoPort[] {
    return (values ?? []).flatMap((value, index) => {
      const port = parsePort(value)
      if (port !== undefined) return [port]
      this.error([...path, index], `${JSON.stringify(value)} is no port`, 'Write a number, a range like 8080:8090, or the name of a port.')
      return []
    })
  }

  protocol(value: number | string | null | undefined, path: Path): CalicoProtocol | undefined {
    if (value === undefined || value === null) return undefined
    const protocol = parseProtocol(value)
    if (protocol === undefined)
      this.error(path, `${JSON.stringify(value)} is no protocol`, 'Write TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite or a number up to 255.')
    return protocol
  }
}

type Labels = Readonly<Record<string, string>>

function stringsOf(value: unknown): Labels {
  return isObject(value) ? Object.fromEntries(Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string')) : {}
}

/** Drops what is undefined, so that an absent field stays absent. */
export function given<Fields extends Record<string, unknown>>(fields: Fields): { [Key in keyof Fields]?: Exclude<Fields[Key], undefined | null> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null)) as {
    [Key in keyof Fields]?: Exclude<Fields[Key], undefined | null>
  }
}

/** Masked to its network; a bare address is a /32. */
export function parseNet(value: string): Net | undefined {
  const parsed = parseAddressWithLength(value)
  if (parsed !== undefined) return { family: 4, cidr: cidr(parsed.address, parsed.length), text: value }
  const [address, length] = value.split('/')
  const ok = isIpv6Text(address) && (length === undefined || (/^\d{1,3}$/.test(length) && Number(length) <= 128))
  return ok ? { family: 6, text: value } : undefined
}

const GO_UNITS: Readonly<Record<string, number>> = { h: 3600, m: 60, s: 1, ms: 1e-3, us: 1e-6, µs: 1e-6, ns: 1e-9 }

/** `1m30s`, `0` → seconds. */
export function parseGoDuration(value: string): number | undefined {
  if (value === '0') return 0
  if (!/^(\d+(\.\d*)?(h|ms|m|s|us|µs|ns))+$/.test(value)) return undefined
  let seconds = 0
  for (const [, amount, unit] of value.matchAll(/(\d+(?:\.\d*)?)(h|ms|m|s|us|µs|ns)/g)) seconds += Number(amount) * GO_UNITS[unit]
  return seconds
}

export function parsePort(value: number | string): CalicoPort | undefined {
  const range = /^(\d{1,5})(?::(\d{1,5}))?$/.exec(String(value))
  if (range !== null) {
    const from = Number(range[1])
    const to = range[2] === undefined ? from : Number(range[2])
    return from <= to && to <= 65535 ? { from, to } : undefined
  }
  return typeof value === 'string' && /^[A-Za-z0-9_.-]{1,128}$/.test(value) ? { name: value } : undefined
}

const PROTOCOLS: readonly string[] = ['TCP', 'UDP', 'ICMP', 'ICMPv6', 'SCTP', 'UDPLite']

/** Names in any case, to the one Calico writes. */
export function parseProtocol(value: number | string): CalicoProtocol | undefined {
  if (/^\d{1,3}$/.test(String(value))) return Number(value) <= 255 ? Number(value) : undefined
  return typeof value === 'string' ? PROTOCOLS.find((name) => name.toLowerCase() === value.toLowerCase()) : undefined
}
