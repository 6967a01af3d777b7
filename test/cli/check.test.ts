/** `netsim check` on the command line: forms, exit statuses, which findings are told, hostile input. */
import { readdirSync, readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { CODES } from '../../src/analysis/check/codes.js'
import { flannelCluster, type ClusterWords } from '../kit/flannel-cluster.js'
import { netsim, type Ran } from './memory-io.js'

const ROOT = new URL('../../', import.meta.url)

function words(more: Partial<ClusterWords> = {}): string {
  return flannelCluster({ backend: 'vxlan', ...more })
}

/** docker masquerades, and one port of one host is closed. */
const FAULTY = words({ ipMasq: false, runtime: { iptables: true }, hosts: { 'host-b': { iptables: ['-I FORWARD -p tcp --dport 9000 -j DROP'] } } })
const SOUND = words()

function check(stdin: string, ...more: readonly string[]): Promise<Ran> {
  return netsim(['check', '-f', '-', ...more], { stdin })
}

interface Report {
  readonly findings: readonly { readonly code: string; readonly severity: string; readonly evidence: readonly { readonly command?: string }[] }[]
  readonly summary: Readonly<Record<string, unknown>>
}

async function report(stdin: string, ...more: readonly string[]): Promise<Report> {
  return JSON.parse((await check(stdin, '-o', 'json', ...more)).out) as Report
}

describe('exit statuses', () => {
  it('0: nothing', async () => {
    expect(await check(SOUND)).toMatchObject({
      code: 0,
      err: '',
      out: expect.stringContaining('CLEAN  0 errors, 0 warnings, 1 info; 1 finding below warning not shown') as string,
    })
  })
  it('1: findings', async () => expect((await check(FAULTY)).code).toBe(1))
  it('1: what was asked to be told, info too', async () => expect((await check(SOUND, '--severity', 'info')).code).toBe(1))
  it('0: a warning where errors are asked for', async () => {
    const text = words({ hosts: { 'host-b': { iptables: ['-I FORWARD -p tcp --dport 9000 -j DROP'] } } })
    expect((await check(text)).code).toBe(1)
    expect((await check(text, '--severity', 'error')).code).toBe(0)
  })
  it('3: input that cannot be read, at its place', async () => {
    const { code, out, err } = await check(SOUND.replace('192.168.0.100', '192.168.0.300'))
    expect({ code, out }).toEqual({ code: 3, out: '' })
    expect(err).toContain('-:1: error: Node/host-a')
  })
  it('1: an error of the input that is a finding is told as one', async () => {
    const text = words({
      pods: [
        { name: 'a', node: 'host-a', address: '10.1.15.9' },
        { name: 'b', node: 'host-a', address: '10.1.15.9' },
      ],
    })
    const { code, out, err } = await check(text)
    expect({ code, err }).toEqual({ code: 1, err: '' })
    expect(out).toContain('NM202')
    expect(out).toContain('the network cannot be built')
    // beside another error it is wrong input all the same
    expect((await check(text.replace('192.168.0.200', '192.168.0.300'))).code).toBe(3)
  })
  it('4: what could not be judged, named', async () => {
    const { code, out } = await check(words({ hosts: { 'host-a': { iptables: ['-I FORWARD -p tcp -m quota --quota 100 -j DROP'] } } }))
    expect(code).toBe(4)
    expect(out).toMatch(/not judged.*quota/)
    expect(out).toContain('PARTLY')
  })
  it('4: nothing to ask', async () => {
    const { code, out } = await check('')
    expect(code).toBe(4)
    expect(out).toContain('not judged  packets: there is no Node\n')
  })
  it.each([
    ['--severity', 'fatal', 'error, warning, info'],
    ['--only', 'NM999', 'There is no code NM999.'],
    ['--skip', 'nm001,nm00', 'There is no code nm00.'],
    ['-o', 'xml', 'text'],
  ])('2: %s %s', async (flag, value, words) => {
    const { code, err } = await netsim(['check', flag, value])
    expect(code).toBe(2)
    expect(err).toContain(words)
  })
  it('2: more words than it takes', async () => expect((await netsim(['check', 'pod-a'])).code).toBe(2))
})

describe('which findings are told', () => {
  it('--only and --skip', async () => {
    expect((await report(FAULTY)).findings.map(({ code }) => code)).toEqual(['NM001', 'NM103'])
    expect((await report(FAULTY, '--only', 'nm103')).findings.map(({ code }) => code)).toEqual(['NM103'])
    expect((await report(FAULTY, '--skip', 'NM001,NM103')).findings).toEqual([])
  })
  it('objects alone need no packet', async () => {
    const { out } = await check(FAULTY, '--only', 'NM201,NM601', '-o', 'json')
    expect(JSON.parse(out)).toMatchObject({ asked: [], findings: [] })
  })
  it('the commands ask the same network', async () => {
    const [first] = (await report(FAULTY)).findings
    expect(first.evidence[0].command).toMatch(/^netsim trace default\/pod-a default\/pod-b:8080 --listen -v -f -$/)
  })
  it('an unreadable pod leaves the rest', async () => {
    expect((await netsim(['check'])).code).toBe(0)
  })
})

describe('text', () => {
  it('holds to the width, and to plain letters', async () => {
    const { out } = await netsim(['check', '-f', '-', '--ascii', '-v', '--severity', 'info'], { stdin: FAULTY, columns: 80 })
    expect(out).toMatch(/^[\u0020-\u007e\n]*$/)
    expect(out.split('\n').filter((line) => line.length > 80)).toEqual([])
    expect(out).toContain('hop         host-a: nat src 10.1.15.2->10.1.15.0')
  })
  it('is coloured where that is asked for, and says the same', async () => {
    const plain = await check(FAULTY)
    const colored = await check(FAULTY, '--color', 'always')
    // eslint-disable-next-line no-control-regex
    expect(colored.out.replace(/\u001b\[[0-9;]*m/g, '')).toBe(plain.out)
    expect(colored.out).toContain('\u001b[31mERROR')
  })
})

describe('JSON', () => {
  const schema = JSON.parse(readFileSync(new URL('docs/findings.schema.json', ROOT), 'utf8')) as {
    $defs: { asked: { properties: { what: { enum: string[] } } } }
  }
  const validate = new Ajv2020({ strict: true, allowUnionTypes: true, allErrors: true }).compile(closed(schema) as object)

  /** In the schema unknown fields pass; here each must be named. */
  function closed(part: unknown): unknown {
    if (Array.isArray(part)) return part.map(closed)
    if (typeof part !== 'object' || part === null) return part
    const copy = Object.fromEntries(Object.entries(part).map(([name, value]) => [name, closed(value)]))
    return 'properties' in part && 'type' in part ? { ...copy, additionalProperties: false } : copy
  }

  const EXAMPLES = readdirSync(new URL('examples/', ROOT)).filter((name) => name.endsWith('.yaml'))

  it.each(EXAMPLES)('of %s fits the published schema, twice the same', async (name) => {
    const file = new URL(`examples/${name}`, ROOT).pathname
    const { out } = await netsim(['check', '-f', file, '-o', 'json', '--severity', 'info'])
    validate(JSON.parse(out))
    expect(validate.errors).toBeNull()
    expect((await netsim(['check', '-f', file, '-o', 'json', '--severity', 'info'])).out).toBe(out)
  })

  it('is what netsim schema prints', async () => {
    expect(JSON.parse((await netsim(['schema', 'findings'])).out)).toEqual(schema)
  })
})

describe('the examples', () => {
  it.each<[string, readonly string[]]>([
    ['calico-classic', []],
    ['calico-fabric', []],
    ['calico-ipip', []],
    ['calico-vxlan', []],
    ['calico-wireguard', []],
    ['canal', ['NM302']],
    ['docker-only', ['NM202']],
    ['flannel-alloc', ['NM005']],
    ['flannel-firewall', ['NM103', 'NM103']],
    ['flannel-gce', ['NM106']],
    ['flannel-host-gw', []],
    ['flannel-udp', []],
    ['flannel-vxlan', []],
    ['mtu-blackhole', ['NM301', 'NM302']],
    ['stale-lease', ['NM205']],
    ['underlay-mtu', ['NM301']],
    ['workloads', []],
  ])('%s has the faults that its head tells of, and no other', async (name, codes) => {
    const { out } = await netsim(['check', '-f', new URL(`examples/${name}.yaml`, ROOT).pathname, '-o', 'json'])
    expect((JSON.parse(out) as Report).findings.map(({ code }) => code)).toEqual(codes)
  })
})

describe('JUnit', () => {
  it('a case for each code, failed where it was found', async () => {
    const { out, code } = await check(FAULTY, '-o', 'junit')
    expect(code).toBe(1)
    expect(out.match(/<testcase /g)).toHaveLength(CODES.length)
    expect(out).toContain(`<testsuites name="netsim check" tests="${CODES.length}" failures="2" errors="0" skipped="0">`)
    expect(out).toMatch(/name="NM001 pod to pod, with NAT"><failure type="error" message="/)
    expect((await check(FAULTY, '-o', 'junit', '--skip', 'NM001')).out.match(/<testcase /g)).toHaveLength(CODES.length - 1)
  })
  it('is well-formed, whatever the objects are called', async () => {
    const text = words({
      ipMasq: false,
      runtime: { iptables: true },
      hosts: { 'host-b': { iptables: ['-I FORWARD -p tcp --dport 9000 -m comment --comment "<&>" -j DROP'] } },
    })
    const { out } = await check(text, '-o', 'junit')
    expect(out).toContain('&lt;&amp;&gt;')
    expect(out).not.toContain('<&>')
  })
})

interface Sarif {
  readonly version: string
  readonly runs: readonly {
    readonly tool: { readonly driver: { readonly rules: readonly { readonly id: string; readonly help: { readonly text: string } }[] } }
    readonly results: readonly {
      readonly ruleId: string
      readonly ruleIndex: number
      readonly level: string
      readonly locations: readonly {
        readonly physicalLocation: { readonly artifactLocation: { readonly uri: string }; readonly region?: { readonly startLine: number } }
      }[]
    }[]
  }[]
}

describe('SARIF', () => {
  it('a rule with its help for each code, a result with its line for each finding', async () => {
    const log = JSON.parse((await check(FAULTY, '-o', 'sarif')).out) as Sarif
    const [run] = log.runs
    expect(log.version).toBe('2.1.0')
    expect(run.tool.driver.rules.map(({ id }) => id)).toEqual([...CODES])
    expect(run.tool.driver.rules.every(({ help }) => help.text.includes('Fix: '))).toBe(true)
    expect(run.results.map(({ ruleId, level }) => [ruleId, level])).toEqual([
      ['NM001', 'error'],
      ['NM103', 'warning'],
    ])
    for (const { ruleId, ruleIndex, locations } of run.results) {
      expect(run.tool.driver.rules[ruleIndex].id).toBe(ruleId)
      expect(locations[0].physicalLocation).toMatchObject({ artifactLocation: { uri: 'stdin' }, region: { startLine: expect.any(Number) as number } })
    }
  })
  it('names files by where the command runs, never by a root', async () => {
    const folder = new URL('examples/', ROOT).pathname
    const { out } = await netsim(['check', '-f', `${folder}flannel-firewall.yaml`, '-o', 'sarif'], { cwd: new URL('.', ROOT).pathname })
    const log = JSON.parse(out) as Sarif
    expect(log.runs[0].results.length).toBeGreaterThan(0)
    for (const { locations } of log.runs[0].results) expect(locations[0].physicalLocation.artifactLocation.uri).toBe('examples/flannel-firewall.yaml')
  })
})

describe('hostile input', () => {
  it.each([
    ['nothing', ''],
    ['no YAML', '{{{'],
    ['a list', '[]'],
    ['no nodes', '{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {nodeName: n}, status: {podIP: 10.1.1.1}}'],
    ['a node alone', '{apiVersion: v1, kind: Node, metadata: {name: n}, status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}}'],
    ['a Service of nobody', '{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{port: 80}]}}'],
    ['names that are no names', FAULTY.replaceAll('pod-a', '__proto__')],
    ['a namespace called node', FAULTY.replace('{"name":"pod-a"}', '{"name":"pod-a","namespace":"node"}')],
  ])('%s ends with a status, never a crash', async (_what, text) => {
    const { code, err } = await check(text, '--severity', 'info')
    expect([0, 1, 3, 4]).toContain(code)
    expect(err).not.toContain('internal error')
  })
  it('no name steers the terminal', async () => {
    const text = FAULTY.replace('--dport 9000', '--dport 9000 -m comment --comment "\\u001b[31m"')
    const { out, err } = await check(text)
    // eslint-disable-next-line no-control-regex
    expect(out + err).not.toMatch(/\u001b/)
  })
})
