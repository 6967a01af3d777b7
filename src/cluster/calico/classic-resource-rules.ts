/**
 * Rules of calicoctl 1.x's policies and profiles → rules of the classic model: `ingress` is inbound, `pass` is next-tier, `notNet` the criterion
 * with `!`. Source: libcalico-go v1.0 lib/api/rule.go, lib/client/rule.go, lib/validator.
 */
import * as v from 'valibot'
import type { InferOutput } from 'valibot'
import type { Path } from '../located.js'
import { describeValue, type KubernetesObject } from '../manifest.js'
import type { ProblemList } from '../problem-list.js'
import { lazily, optional } from '../schema.js'
import type { ClassicMatch, ClassicPort, ClassicRule, ClassicRules, ClassicSide } from './classic-model.js'
import { ruleFaults } from './classic-rule-json.js'
import { classicNet, classicPort, classicProtocol, icmpNumber, isClassicId, selectorFault } from './classic-values.js'
import { given, list, numberOrText, text } from './resource-reader.js'

const icmp = () => optional(v.looseObject({ type: optional(v.number()), code: optional(v.number()) }))
const ports = () => list(v.union([v.number(), v.string()]))

const side = () =>
  optional(
    v.looseObject({
      tag: text(),
      net: text(),
      selector: text(),
      ports: ports(),
      notTag: text(),
      notNet: text(),
      notSelector: text(),
      notPorts: ports(),
    }),
  )

export const ruleSchema = lazily(() =>
  v.looseObject({
    action: v.picklist(['allow', 'deny', 'log', 'pass']),
    ipVersion: optional(v.picklist([4, 6])),
    protocol: numberOrText(),
    icmp: icmp(),
    notProtocol: numberOrText(),
    notICMP: icmp(),
    source: side(),
    destination: side(),
  }),
)

type RuleSpec = InferOutput<ReturnType<typeof ruleSchema>>
type SideSpec = NonNullable<InferOutput<ReturnType<typeof side>>>

interface Directions {
  readonly ingress?: readonly RuleSpec[] | null | undefined
  readonly egress?: readonly RuleSpec[] | null | undefined
}

/** undefined: something is wrong (all of it reported). */
export function readResourceRules({ ingress, egress }: Directions, object: KubernetesObject, problems: ProblemList): ClassicRules | undefined {
  const before = problems.problems.length
  const reader = new RuleReader(object, problems)
  const read = (rules: readonly RuleSpec[] | null | undefined, key: string): ClassicRule[] =>
    (rules ?? []).map((rule, index) => reader.rule(rule, ['spec', key, index]))
  const rules = { inbound: read(ingress, 'ingress'), outbound: read(egress, 'egress') }
  return problems.problems.length === before ? rules : undefined
}

class RuleReader {
  private readonly object: KubernetesObject
  private readonly problems: ProblemList

  constructor(object: KubernetesObject, problems: ProblemList) {
    this.object = object
    this.problems = problems
  }

  rule(spec: RuleSpec, path: Path): ClassicRule {
    const source = spec.source ?? {}
    const destination = spec.destination ?? {}
    const match: ClassicMatch = {
      ...this.protocol(spec.protocol, [...path, 'protocol']),
      ...this.icmp(spec.icmp, [...path, 'icmp']),
      source: this.side(source, '', [...path, 'source']),
      destination: this.side(destination, '', [...path, 'destination']),
    }
    const not: ClassicMatch = {
      ...this.protocol(spec.notProtocol, [...path, 'notProtocol']),
      ...this.icmp(spec.notICMP, [...path, 'notICMP']),
      source: this.side(source, 'not', [...path, 'source']),
      destination: this.side(destination, 'not', [...path, 'destination']),
    }
    const rule: ClassicRule = {
      action: spec.action === 'pass' ? 'next-tier' : spec.action,
      ...given({ ipVersion: spec.ipVersion }),
      match,
      not,
      ...this.object.at(...path),
    }
    for (const { what, fix } of ruleFaults(rule)) this.error(path, what, fix)
    return rule
  }

  private protocol(value: string | number | null | undefined, path: Path): { readonly protocol?: string } {
    if (value === undefined || value === null) return {}
    const protocol = classicProtocol(value)
    if (protocol === undefined) this.error(path, `${describeValue(value)} is no protocol`, 'Write tcp, udp, icmp, icmpv6, sctp, udplite or 1 to 255.')
    return given({ protocol })
  }

  private icmp(value: RuleSpec['icmp'], path: Path): { readonly icmpType?: number; readonly icmpCode?: number } {
    const number = (key: 'type' | 'code', max: number): number | undefined => {
      const written = value?.[key] ?? undefined
      const read = icmpNumber(written)
      if (written !== undefined && (read === undefined || read > max)) this.error([...path, key], `${written} is no ICMP ${key}`, `Write 0 to ${max}.`)
      return read
    }
    // the kernel cannot match type 255
    return given({ icmpType: number('type', 254), icmpCode: number('code', 255) })
  }

  private side(spec: SideSpec, mark: '' | 'not', path: Path): ClassicSide {
    const key = <Name extends 'tag' | 'net' | 'selector' | 'ports'>(name: Name): Name | `not${Capitalize<Name>}` =>
      mark === '' ? name : (`not${name[0].toUpperCase()}${name.slice(1)}` as `not${Capitalize<Name>}`)
    const words = (name: 'tag' | 'net' | 'selector', isRight: (value: string) => boolean, fix: string): string | undefined => {
      const value = spec[key(name)]
      if (value === undefined || value === null || value === '') return undefined
      if (isRight(value)) return value
      this.error([...path, key(name)], `${JSON.stringify(value)} is no ${name}`, fix)
      return undefined
    }
    const net = words('net', (value) => classicNet(value) !== undefined, 'Write it like 10.0.0.0/8.')
    return {
      ...given({
        tag: words('tag', isClassicId, 'A tag has letters, digits and _ . - alone.'),
        net: net === undefined ? undefined : classicNet(net),
        selector: words('selector', (value) => selectorFault(value) === undefined, `A selector of Felix 1.4 looks like role == 'web'.`),
      }),
      ports: this.ports(spec[key('ports')] ?? [], [...path, key('ports')]),
    }
  }

  /** 0 is no port here, unlike in etcd. */
  private ports(values: readonly (string | number)[], path: Path): readonly ClassicPort[] {
    return values.flatMap((value, index): ClassicPort[] => {
      const port = classicPort(typeof value === 'string' && /^\d{1,5}$/.test(value) ? Number(value) : value)
      if (port !== undefined && port[0] > 0) return [port]
      this.error([...path, index], `${describeValue(value)} is no port`, 'Write a number, or a range like 1000:2000.')
      return []
    })
  }

  private error(path: Path, what: string, fix: string): void {
    this.problems.error(this.object.at(...path), this.object.label, what, fix)
  }
}
