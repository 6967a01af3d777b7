/** Which backend a configuration asks for. Backends that exist but are not built here are named, never guessed. */
import type { Problem } from '../base/problem.js'
import { backendSource, type Backend } from './backend.js'
import { hostGwBackend } from './backend-host-gw.js'
import { udpBackend } from './backend-udp.js'
import { vxlanBackend } from './backend-vxlan.js'

const BACKENDS: ReadonlyMap<string, Backend> = new Map([udpBackend, vxlanBackend, hostGwBackend].map((backend) => [backend.type, backend]))

/** Backends of flannel that netsim does not build. */
const NOT_MODELLED: ReadonlySet<string> = new Set(['ipip', 'wireguard', 'alloc', 'aws-vpc', 'gce', 'ipsec', 'extension', 'ali-vpc', 'tencent-vpc'])

export function findBackend(type: string): Backend | Problem {
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
