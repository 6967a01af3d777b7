/** Which backend a configuration asks for, and whether this version has it. Backends that exist but are not built here are named, never guessed. */
import type { Problem } from '../base/problem.js'
import { backendSource, type Backend } from './backend.js'
import { hostGwBackend } from './backend-host-gw.js'
import { ipipBackend } from './backend-ipip.js'
import { allocBackend, awsVpcBackend, gceBackend } from './backend-simple.js'
import { udpBackend } from './backend-udp.js'
import { vxlanBackend } from './backend-vxlan.js'
import { wireguardBackend } from './backend-wireguard.js'
import { atLeast } from './version.js'

const BACKENDS: ReadonlyMap<string, Backend> = new Map(
  [udpBackend, vxlanBackend, hostGwBackend, ipipBackend, wireguardBackend, allocBackend, awsVpcBackend, gceBackend].map((backend) => [backend.type, backend]),
)

/** Backends of flannel that netsim does not build. */
const NOT_MODELLED: ReadonlySet<string> = new Set(['ipsec', 'extension', 'ali-vpc', 'tencent-vpc'])

/** The first release that has a backend, and the last where it was taken out; those not listed are older than what is modelled of them. */
const RELEASES: Readonly<Record<string, { readonly first: string; readonly last?: string }>> = {
  'host-gw': { first: '0.2.1' },
  'aws-vpc': { first: '0.4.0', last: '0.19.2' },
  gce: { first: '0.5.0', last: '0.19.2' },
  'ali-vpc': { first: '0.8.0', last: '0.19.2' },
  extension: { first: '0.8.0' },
  ipip: { first: '0.10.0' },
  ipsec: { first: '0.11.0' },
  'tencent-vpc': { first: '0.14.0' },
  wireguard: { first: '0.16.0' },
}

/** What flannel finds under a type in its configuration, or why it, or netsim, does not start. */
export function findBackend(type: string, version: string): Backend | Problem {
  const wrong = missingIn(type, version)
  if (wrong !== undefined) return { severity: 'error', ...backendSource(type), ...wrong }
  const backend = BACKENDS.get(type)
  if (backend !== undefined) return backend
  const known = [...BACKENDS.keys()].join(', ')
  const what = NOT_MODELLED.has(type) ? `backend ${type} is not modelled` : `unknown backend type: '${type}'`
  const fix = type === '' ? 'a Backend without Type is an error; leave Backend out for udp, or give it a Type' : `use one of ${known}`
  return { severity: 'error', ...backendSource(type), what, fix }
}

export function isBackend(found: Backend | Problem): found is Backend {
  return 'render' in found
}

function missingIn(type: string, version: string): { readonly what: string; readonly fix: string } | undefined {
  const releases = RELEASES[type]
  if (releases === undefined) return undefined
  const { first, last } = releases
  const unknown = `unknown backend type: '${type}'; flannel ${version} `
  if (!atLeast(version, first)) return { what: `${unknown}does not have it yet, ${first} is the first that has`, fix: `set the version to ${first} or newer` }
  if (last === undefined || atLeast(last, version)) return undefined
  return { what: `${unknown}no longer has it, ${last} is the last that has`, fix: `set the version to ${last} or older` }
}
