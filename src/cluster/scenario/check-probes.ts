/**
 * The ends of a scenario's probes, as far as names go: each must be in the input, or in something that an event applies. Ports and names that a
 * resolver looks up are asked of each state of the network (network/endpoint.ts), whose words for ends these are.
 */
import { isIpv6Text, parseIp } from '../../base/ip.js'
import type { Cluster } from '../cluster.js'
import { nearestName } from '../nearest-name.js'
import type { KnownObjects } from './known-objects.js'
import type { ScenarioProbe } from './scenario.js'

interface Asked {
  readonly probe: ScenarioProbe
  readonly cluster: Cluster
  readonly known: KnownObjects
  /** Of bare names. */
  readonly namespace: string
  readonly nodes: ReadonlySet<string>
  readonly complete: boolean
}

type Side = 'from' | 'to'
type Wrong = (what: string, fix: string) => void

export function checkProbeEnds(asked: Asked, wrong: Wrong): void {
  const { probe, complete } = asked
  for (const side of ['from', 'to'] as const) {
    const text = probe[side]
    const split = /^(.*?)(?::(\d+|[a-z0-9-]*[a-z][a-z0-9-]*))?$/.exec(text)
    const name = split?.[1] ?? text
    const port = split?.[2]
    if (/^[a-z]+:\/\//i.test(text)) wrong(`${side}: ${text} is a URL`, 'A probe has an address, a name or an object, and a port: svc/web:80.')
    else if (isIpv6Text(/^\[(.*)\]$/.exec(name)?.[1] ?? text)) wrong(`${side}: ${text} is an IPv6 address; IPv6 is not modelled yet`, 'Take the IPv4 address.')
    else if (port !== undefined && /^\d+$/.test(port) && !(Number(port) >= 1 && Number(port) <= 65535))
      wrong(`${side}: ${port} is not a port`, 'Ports are 1 to 65535.')
    else if (complete) checkName(name, side, asked, wrong)
  }
}

function checkName(text: string, side: Side, asked: Asked, wrong: Wrong): void {
  if (parseIp(text) !== undefined) return
  const { cluster, known, namespace, nodes } = asked
  const [kind, ...rest] = text.split('/')
  const objects = [...known.ever.values()]
  const tell = (what: string, name: string, names: readonly string[]): void => {
    if (!names.includes(name)) wrong(`${side}: there is no ${what} ${name}`, suggest(name, names, what))
  }
  if (rest.length === 0) return checkBare(text, side, asked, wrong)
  const [space, name] = rest.length === 1 ? [namespace, rest[0]] : rest
  if (kind === 'node') return tell('node', rest.join('/'), [...nodes])
  if (kind === 'host') return tell('host', rest.join('/'), [...cluster.outsideHosts.map((host) => host.name), ...nodes])
  if (kind === 'router')
    return tell(
      'router',
      rest.join('/'),
      cluster.routers.map((router) => router.name),
    )
  if (kind === 'svc' || kind === 'service')
    return tell(
      'Service',
      `${space}/${name}`,
      objects.filter((object) => object.kind === 'Service').map((object) => `${object.namespace}/${object.name}`),
    )
  const [podSpace, pod] = kind === 'pod' ? [space, name] : [kind, rest[0]]
  if (!known.everHadPod(podSpace, pod)) noPod(podSpace, pod, { side, asked, wrong })
}

/** A pod of the namespace; with dots a name for a resolver, which is asked while the scenario runs. */
function checkBare(text: string, side: Side, asked: Asked, wrong: Wrong): void {
  const { known, namespace } = asked
  if (known.everHadPod(namespace, text) || text.includes('.') || text === 'localhost') return
  noPod(namespace, text, { side, asked, wrong })
}

interface Telling {
  readonly side: Side
  readonly asked: Asked
  readonly wrong: Wrong
}

function noPod(namespace: string, name: string, { side, asked: { cluster, known }, wrong }: Telling): void {
  const isService = [...known.ever.values()].some((object) => object.kind === 'Service' && object.namespace === namespace && object.name === name)
  const pods = cluster.pods.map((pod) => `${pod.namespace}/${pod.name}`)
  const fix = isService ? `There is a Service of that name: write svc/${namespace}/${name}.` : suggest(`${namespace}/${name}`, pods, 'pod')
  wrong(`${side}: there is no pod ${namespace}/${name}`, fix)
}

/** The same name in another namespace is what was meant rather than a name that is spelt like it. */
function suggest(name: string, names: readonly string[], what: string): string {
  const own = name.split('/').at(-1)
  const near = names.find((other) => other.split('/').at(-1) === own) ?? nearestName(name, names)
  if (near !== undefined) return `Did you mean ${near}?`
  const shown = names.slice(0, 8).join(', ')
  return names.length === 0 ? `There is no ${what} here.` : `There are: ${shown}${names.length > 8 ? ', …' : ''}.`
}
