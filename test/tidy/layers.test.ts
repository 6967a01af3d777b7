/**
 * The floors: which folder of src/ may import which. A folder that needs a name from one it may not import says that the
 * name belongs one floor down.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { earlyUses, filesUnder, importCycles, parseSource, reachable, readSources, ROOT, type Import, type Source } from './sources.js'

const BELOW_AGENTS = ['base', 'sim', 'wire', 'dataplane', 'etcd', 'cluster']
const AGENTS = ['flannel', 'calico', 'kubeproxy', 'docker']
const BELOW_NETWORK = [...BELOW_AGENTS, 'collected', 'net', 'policy', ...AGENTS]

/** A folder → the folders that it may import besides itself. */
const FLOORS: Record<string, readonly string[]> = {
  base: [],
  sim: ['base'],
  wire: ['base'],
  dataplane: ['base'],
  net: ['base', 'sim', 'wire', 'dataplane'],
  etcd: ['base', 'sim'],
  cluster: ['base'],
  collected: ['base', 'dataplane'],
  policy: ['base', 'cluster'],
  flannel: BELOW_AGENTS,
  calico: BELOW_AGENTS,
  kubeproxy: BELOW_AGENTS,
  docker: BELOW_AGENTS,
  network: BELOW_NETWORK,
  analysis: [...BELOW_NETWORK, 'network'],
  kernel: [...BELOW_NETWORK, 'network', 'analysis'],
  cli: [...BELOW_NETWORK, 'network', 'analysis', 'kernel'],
}

/** What an agent may know of the kernel it talks to: the types of a TUN and of a socket, nothing that runs. */
const NET_FOR_AGENTS = ['src/net/tun.ts', 'src/net/socket.ts']

/**
 * ip_output calls vxlan_xmit, which calls ip_output for the outer packet; a neighbour that fails sends an ICMP error. The files
 * of a kernel call one another in rings as the kernel's own do, through functions alone.
 */
const RINGS_OF_A_KERNEL = 'src/net/'

/** Packages that only one file or folder may import. */
const PACKAGE_HOMES: Record<string, readonly string[]> = {
  'ip-address': ['src/base/ip.ts'],
  netmask: ['src/base/cidr.ts'],
  commander: ['src/cli/'],
}

/** What the command prints of itself (netsim schema). */
const PUBLISHED_SCHEMA = /^docs\/[a-z-]+\.schema\.json$/

/** Floors that talk to the world outside: a real server, a real kernel, the user. */
const WORLDLY = ['etcd', 'kernel', 'cli']

const sources = readSources('src')

function folderOf(path: string): string {
  return path.split('/').length > 2 ? path.split('/')[1] : ''
}

type LocalImport = Import & { readonly target: string }

function mayImport(from: string, wanted: LocalImport): boolean {
  const importer = folderOf(from)
  const imported = folderOf(wanted.target)
  if (PUBLISHED_SCHEMA.test(wanted.target)) return importer === 'cli'
  if (importer === '') return imported !== 'cli'
  if (importer === imported) return true
  if (AGENTS.includes(importer) && NET_FOR_AGENTS.includes(wanted.target)) return wanted.typeOnly
  return FLOORS[importer]?.includes(imported) ?? false
}

function floorBreaches(source: Source): string[] {
  return source.imports
    .filter((found): found is LocalImport => found.target !== undefined)
    .filter((found) => !mayImport(source.path, found))
    .map((found) => `${source.path}:${found.line}: may not import ${found.target}`)
}

function packageBreaches(source: Source): string[] {
  return source.imports.flatMap(({ line, specifier, target }) => {
    if (target !== undefined) return []
    const home = PACKAGE_HOMES[specifier]
    if (home?.some((place) => source.path.startsWith(place)) === false) return [`${source.path}:${line}: ${specifier} is imported by ${home.join(', ')} only`]
    if (specifier.startsWith('node:') && !WORLDLY.includes(folderOf(source.path))) {
      return [`${source.path}:${line}: ${specifier} ties a pure floor to the process`]
    }
    return []
  })
}

describe('floors', () => {
  it('a folder imports only from floors below its own; agents never import one another', () => {
    expect(sources.flatMap(floorBreaches)).toEqual([])
  })

  it('every folder of src stands on a floor', () => {
    expect(sources.map((source) => folderOf(source.path)).filter((folder) => folder !== '' && !(folder in FLOORS))).toEqual([])
  })

  it('every relative import names a file that exists', () => {
    const paths = new Set([...sources.map((source) => source.path), ...filesUnder('docs').filter((path) => PUBLISHED_SCHEMA.test(path))])
    const broken = sources.flatMap((source) =>
      source.imports.filter(({ target }) => target !== undefined && !paths.has(target)).map(({ line, specifier }) => `${source.path}:${line}: ${specifier}`),
    )
    expect(broken).toEqual([])
  })

  it('no import cycles at run time, but for the rings of a kernel', () => {
    expect(importCycles(sources.filter(({ path }) => !path.startsWith(RINGS_OF_A_KERNEL)))).toEqual([])
    expect(sources.flatMap((source) => earlyUses(source, sources))).toEqual([])
  })

  it('a package, or a module of Node, is imported only where it belongs', () => {
    expect(sources.flatMap(packageBreaches)).toEqual([])
  })

  it('no barrel files below src/index.ts', () => {
    const barrels = sources.filter(({ path, tree }) => path !== 'src/index.ts' && tree.statements.length > 0 && tree.statements.every(isReexport))
    expect(barrels.map((source) => source.path)).toEqual([])
  })
})

function isReexport(statement: Source['tree']['statements'][number]): boolean {
  return /^export\s+(type\s+)?[{*].*\sfrom\s/s.test(statement.getText())
}

describe('what is published', () => {
  it('no dead files: the library or the command line reaches every file', () => {
    const reached = reachable(sources, ['src/index.ts', 'src/cli/main.ts'])
    expect(sources.map((source) => source.path).filter((path) => !reached.has(path))).toEqual([])
  })

  it('the dependencies are the packages that the library imports, no more and no fewer', () => {
    const reached = reachable(sources, ['src/index.ts'])
    const wanted = sources.filter((source) => reached.has(source.path)).flatMap((source) => source.imports)
    const packages = wanted.filter(({ specifier, target }) => target === undefined && !specifier.startsWith('node:')).map(({ specifier }) => specifier)
    const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
    expect(Object.keys(dependencies).sort()).toEqual([...new Set(packages)].sort())
  })
})

describe('the checks themselves', () => {
  const complaints = (path: string, text: string): string[] => [...floorBreaches(parseSource(path, text)), ...packageBreaches(parseSource(path, text))]

  it.each([
    ['src/policy/evaluate.ts', "import type { Netns } from '../net/netns.js'"],
    ['src/calico/felix.ts', "import { lease } from '../flannel/lease.js'"],
    ['src/net/bridge.ts', "export { pod } from '../cluster/pod.js'"],
    ['src/flannel/udp.ts', "import { Tun } from '../net/tun.js'"],
    ['src/flannel/udp.ts', "import type { Netns } from '../net/netns.js'"],
    ['src/network/network.ts', "const main = await import('../cli/main.js')"],
    ['src/index.ts', "export * from './cli/main.js'"],
    ['src/wire/ipv4.ts', "import { Address4 } from 'ip-address'"],
    ['src/cluster/yaml.ts', "import { readFileSync } from 'node:fs'"],
    ['src/calico/name.ts', "import { createHash } from 'node:crypto'"],
  ])('%s may not say %s', (path, text) => {
    expect(complaints(path, text)).toHaveLength(1)
  })

  it.each([
    ['src/flannel/udp.ts', "import type { Tun } from '../net/tun.js'"],
    ['src/flannel/udp.ts', "import { type Tun } from '../net/tun.js'"],
    ['src/cli/read.ts', "import { readFileSync } from 'node:fs'"],
    ['src/base/cidr.ts', "import { Netmask } from 'netmask'"],
  ])('%s may say %s', (path, text) => {
    expect(complaints(path, text)).toEqual([])
  })

  it('a ring of imports is found', () => {
    const half = [parseSource('src/a.ts', "import './b.js'"), parseSource('src/b.ts', "import { c } from './c.js'")]
    expect(importCycles([...half, parseSource('src/c.ts', "export * from './a.js'")])).toEqual(['src/a.ts → src/b.ts → src/c.ts → src/a.ts'])
    expect(importCycles([...half, parseSource('src/c.ts', "import type { A } from './a.js'")])).toEqual([])
    const early = [
      parseSource('src/a.ts', "import { b } from './b.js'\nconst c = b + 1"),
      parseSource('src/b.ts', "import { c } from './a.js'\nconst d = () => c"),
    ]
    expect(early.flatMap((source) => earlyUses(source, early))).toEqual(['src/a.ts:2: b is read while the module loads'])
  })
})
