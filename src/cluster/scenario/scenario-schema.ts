/**
 * The Scenario document (apiVersion netsim/v1) in valibot: its head, one form for each kind of event, the probe. Events and probes are checked one
 * by one (read-scenario.ts), so that a fault in one hides none in another; `scenarioSchema` is the whole, for docs/scenario.schema.json.
 */
import * as v from 'valibot'
import { addressField, cidrField, integerField, unitField } from '../fields.js'
import { inJsonSchema, lazily, optional, say } from '../schema.js'
import { parseMoment } from '../units.js'
import { DELAYS, type DelayInfo } from './delays.js'
import { AGENTS } from './scenario.js'

/** Of the fields of a form: null is absent, in Kubernetes' sense. */
export type Present<Fields> = { readonly [Key in keyof Fields]: Exclude<Fields[Key], null> }

export function present<Fields extends object>(fields: Fields): Present<Fields> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null)) as Present<Fields>
}

const isThere = (value: unknown): boolean => value !== undefined && value !== null

const DAYS = 90
/** Of a run, and of everything in it. */
const LONGEST_NS = DAYS * 24 * 3600 * 1e9
/** Of the time between two packets of a probe. */
const LEAST_PERIOD_NS = 1e6

const TIME_FORM = { type: 'string', pattern: '^(0|([0-9]+(\\.[0-9]+)?\\s*(ns|us|µs|ms|s|m|h|d))+)$' }

/** @param least ns */
const time = (least = 0) =>
  unitField({
    parse: (text) => {
      const ns = parseMoment(text)
      return ns === undefined || ns > LONGEST_NS || ns < least ? undefined : ns
    },
    forms: [TIME_FORM, ...(least === 0 ? [{ const: 0 }] : [])],
    what: `a time ${least === 0 ? 'of at most' : `from ${least < 1e9 ? `${least / 1e6}ms` : `${least / 1e9}s`} to`} ${DAYS} days`,
    example: '90s, 250ms, 1h30m or 2d',
  })

const words = () =>
  v.pipe(
    v.string(),
    inJsonSchema({ pattern: '\\S' }),
    v.check(
      (text) => text.trim() !== '',
      () => say('an empty text', 'Write what is meant, or delete the line.'),
    ),
  )

/** One, or a list of them. */
const oneOrMore = () =>
  v.pipe(
    v.union([words(), v.array(words())], () => say('neither text nor a list of texts', 'Write one, or a list of them: [a, b].')),
    inJsonSchema({
      anyOf: [
        { type: 'string', pattern: '\\S' },
        { type: 'array', minItems: 1, items: { type: 'string', pattern: '\\S' } },
      ],
    }),
    v.transform((value) => (typeof value === 'string' ? [value] : value)),
    v.check(
      (values) => values.length > 0,
      () => say('an empty list', 'Write what is meant, or delete the field.'),
    ),
  )

const PERCENT = /^([0-9]+(?:\.[0-9]+)?)\s*%$/

const share = () =>
  unitField({
    parse: (text) => {
      const percent = text === '0' ? 0 : Number(PERCENT.exec(text)?.[1] ?? Number.NaN)
      return percent >= 0 && percent <= 100 ? percent / 100 : undefined
    },
    forms: [{ type: 'string', pattern: '^(0|[0-9]+(\\.[0-9]+)?\\s*%)$' }, { const: 0 }],
    what: 'a share of the frames',
    example: '10%',
  })

const APPLIED = [
  { type: 'string', pattern: '\\S' },
  { type: 'object', required: ['apiVersion', 'kind'], properties: { apiVersion: { type: 'string' }, kind: { type: 'string' } } },
]

/** Name of a file, an object, or a list of both: read in read-event.ts. */
const applied = () => v.pipe(v.unknown(), inJsonSchema({ anyOf: [...APPLIED, { type: 'array', minItems: 1, items: { anyOf: APPLIED } }] }))

/** `KEY=VALUE` and `KEY-`, or a mapping in which null takes a label away. */
const labelChanges = () =>
  v.pipe(
    v.union([words(), v.array(words()), v.record(v.string(), v.nullable(v.string()))], () =>
      say('no changes of labels', 'Write a list: [tier=db, old-]; values that are numbers stand in quotes.'),
    ),
    v.transform((value) => {
      if (typeof value === 'string') return [value]
      return Array.isArray(value) ? value : Object.entries(value).map(([key, text]) => (text === null ? `${key}-` : `${key}=${text}`))
    }),
    v.check(
      (changes) => changes.length > 0,
      () => say('no change', 'Write KEY=VALUE to set a label, KEY- to take it away.'),
    ),
  )

/** At least one of the fields is there. */
const oneOfThem = (...fields: readonly string[]) => ({ anyOf: fields.map((field) => ({ required: [field], properties: { [field]: {} } })) })

const agent = () => v.picklist(AGENTS)
const where = { on: optional(oneOrMore()) }

/** By the field that says what happens. */
export const eventForms = lazily(() => {
  const at = time()
  return {
    apply: v.looseObject({ at, apply: applied() }),
    delete: v.looseObject({ at, delete: words() }),
    scale: v.looseObject({ at, scale: words(), replicas: integerField(0, 100_000) }),
    rollout: v.looseObject({ at, rollout: v.picklist(['restart', 'pause', 'resume', 'undo']), of: words() }),
    label: v.looseObject({ at, label: words(), set: labelChanges() }),
    move: v.looseObject({ at, move: words(), to: words() }),
    node: v.looseObject({ at, node: words(), state: v.picklist(['down', 'up', 'isolated', 'rejoined']) }),
    cable: v.pipe(
      v.looseObject({
        at,
        cable: words(),
        segment: optional(words()),
        cut: optional(v.boolean()),
        loss: optional(share()),
        delay: optional(time()),
      }),
      inJsonSchema(oneOfThem('cut', 'loss', 'delay')),
      v.check(
        ({ cut, loss, delay }) => [cut, loss, delay].some(isThere),
        () => say('says nothing of the cable', 'Write cut: true (or false), loss: 10% or delay: 20ms.'),
      ),
    ),
    stop: v.looseObject({ at, stop: agent(), ...where }),
    kill: v.looseObject({ at, kill: agent(), ...where }),
    start: v.looseObject({ at, start: agent(), ...where }),
    deleteLease: v.looseObject({ at, deleteLease: cidrField() }),
    mtu: v.pipe(
      v.looseObject({ at, mtu: integerField(68, 65535), segment: optional(words()), node: optional(words()) }),
      inJsonSchema(oneOfThem('segment', 'node')),
      v.check(
        ({ segment, node }) => isThere(segment) !== isThere(node),
        () => say('an MTU of a segment or of a node', 'Write either segment: NAME (what its switch lets through) or node: NAME (its card).'),
      ),
    ),
    firewall: v.looseObject({ at, firewall: words(), iptables: oneOrMore() }),
    resetBGP: v.looseObject({ at, resetBGP: words(), peer: optional(addressField()) }),
  }
})

export type EventForms = ReturnType<typeof eventForms>
export type EventKey = keyof EventForms

export const probeSchema = lazily(() =>
  v.looseObject({
    name: optional(words()),
    from: words(),
    to: words(),
    proto: optional(v.picklist(['tcp', 'udp', 'icmp'])),
    size: optional(integerField(28, 65535)),
    every: optional(time(LEAST_PERIOD_NS)),
    start: optional(time()),
    stop: optional(time()),
    connection: optional(v.boolean()),
  }),
)

const delays = () =>
  v.looseObject(Object.fromEntries(Object.entries(DELAYS).map(([name, { leastNs = 0 }]: readonly [string, DelayInfo]) => [name, optional(time(leastNs))])))

const frame = {
  apiVersion: v.pipe(v.string(), inJsonSchema({ const: 'netsim/v1' })),
  kind: v.pipe(v.string(), inJsonSchema({ const: 'Scenario' })),
  metadata: optional(v.record(v.string(), v.unknown())),
}

const settings = () => ({
  input: optional(oneOrMore()),
  start: optional(v.picklist(['converged', 'boot'])),
  until: optional(time()),
  seed: optional(integerField(0, 4294967295)),
  delays: optional(delays()),
})

/** Without what stands in events and probes. */
export const headSchema = lazily(() =>
  v.looseObject({
    ...frame,
    spec: optional(v.looseObject({ ...settings(), events: optional(v.array(v.unknown())), probes: optional(v.array(v.unknown())) })),
  }),
)

export const scenarioSchema = lazily(() =>
  v.looseObject({
    ...frame,
    spec: optional(
      v.looseObject({
        ...settings(),
        events: optional(v.array(v.union(Object.values(eventForms())))),
        probes: optional(v.array(probeSchema())),
      }),
    ),
  }),
)
