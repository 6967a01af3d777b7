/** Assertions: how they are read, what they ask, and that a file of denials without an open control says so. */
import { describe, expect, it } from 'vitest'
import { endResolver, isEndFault } from '../../src/policy/assert/assertion-ends.js'
import { assertionsDocument } from '../../src/policy/assert/assertions-document.js'
import { readAssertions, splitTarget, type AssertionsResult } from '../../src/policy/assert/assertions-file.js'
import { runAssertions } from '../../src/policy/assert/assertions.js'
import { ConnectionSet } from '../../src/policy/connections.js'
import { evaluatePair } from '../../src/policy/evaluate.js'
import type { PolicyWorld } from '../../src/policy/model.js'
import { netsim } from '../cli/memory-io.js'
import { worldOf } from './kit.js'
import { Draw, nameOf, randomWorld } from './random-world.js'

function read(text: string): AssertionsResult {
  return readAssertions({ file: 'rules', text })
}

function run(world: PolicyWorld, text: string): ReturnType<typeof assertionsDocument> & { readonly problems: readonly string[] } {
  const { assertions, problems } = read(text)
  const ran = runAssertions(world, assertions, endResolver('default'))
  return { ...assertionsDocument(world, ran.report), problems: [...problems, ...ran.problems].map(({ line, what, fix }) => `${line}: ${what}: ${fix}`) }
}

const pod = (name: string, labels: string, more = ''): string => `
apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: shop, labels: ${labels}}
spec: {containers: [{name: c, image: i${more}}]}
---`

const WORLD = worldOf(`${pod('web-0', '{app: web}')}${pod('web-1', '{app: web}')}${pod('cron', '{app: cron, old: "1"}')}${pod(
  'db',
  '{app: db}',
  ', ports: [{name: sql, containerPort: 5432}]',
)}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}, {port: 8000, endPort: 8010}]}]
---
apiVersion: v1
kind: Namespace
metadata: {name: other}
`)

describe('an assertion file', () => {
  it('is a list in YAML, in JSON, or short lines: the same', () => {
    const yaml = read('- {from: shop/web-0, to: shop/db, port: 5432, proto: tcp, expect: allow}\n- deny shop/cron -> shop/db:80,90-99/udp\n')
    const json = read('[{"from":"shop/web-0","to":"shop/db","port":5432,"proto":"tcp","expect":"allow"},\n"deny shop/cron -> shop/db:80,90-99/udp"]')
    const lines = read('allow shop/web-0 -> shop/db:5432/tcp # comment\n\ndeny shop/cron => shop/db:80,90-99 udp\n')
    expect(yaml.problems).toEqual([])
    expect(json.assertions).toEqual(yaml.assertions)
    expect(lines.assertions.map((one) => ({ ...one, line: 0 }))).toEqual(yaml.assertions.map((one) => ({ ...one, line: 0 })))
    expect(yaml.assertions.map(({ line, ports, proto }) => ({ line, ports, proto }))).toEqual([
      { line: 1, ports: [{ kind: 'range', first: 5432, last: 5432 }], proto: 'TCP' },
      {
        line: 2,
        ports: [
          { kind: 'range', first: 80, last: 80 },
          { kind: 'range', first: 90, last: 99 },
        ],
        proto: 'UDP',
      },
    ])
  })

  it('takes tests: and labels, and several documents', () => {
    const { assertions, problems } = read('tests:\n- {from: {namespace: shop, labels: {app: web}}, to: shop/db, expect: deny}\n---\n- allow a/b -> c/d\n')
    expect(problems).toEqual([])
    expect(assertions.map(({ from, to }) => [from, to])).toEqual([
      ['shop/[app=web]', 'shop/db'],
      ['a/b', 'c/d'],
    ])
  })

  it.each([
    ['- {from: a/b, to: c/d, expect: allowed}', '1: expect is "allowed": It is allow or deny.'],
    ['- {from: a/b, expect: allow}', '1: to is missing: Write ns/pod, deploy/NAME, an address, ns/*, or {namespace, labels}.'],
    ['- {from: a/b, to: c/d, expect: allow, prot: tcp}', '1: unknown field prot: Did you mean port?'],
    ['-\n  from: a/b\n  to: c/d\n  port: 70000\n  expect: allow', '4: 70000 is no port: A port is 1 to 65535, a range like 8000-8010, or a name.'],
    ['allow a/b c/d', '1: "allow a/b c/d" is no assertion: Write allow shop/web -> shop/db:5432, or {from, to, port, proto, expect: allow|deny}.'],
    ['allow a/b -> c/d:80/icmp', '1: ICMP has no ports: Leave the port out.'],
    [
      'control deny a/b -> c/d',
      '1: a control that is expected to be closed controls nothing: Expect allow of it: a control shows that the probes get through.',
    ],
    ['[]', '0: the file holds no assertion: Write allow shop/web -> shop/db:5432, or {from, to, port, proto, expect: allow|deny}.'],
  ])('what is wrong with %j is a Problem with its line', (text, told) => {
    expect(read(text).problems.map(({ line, what, fix }) => `${line}: ${what}: ${fix}`)).toContain(told)
    expect(read(text).assertions).toEqual([])
  })

  it.each([
    ['shop/db:80', { end: 'shop/db', ports: '80' }],
    ['shop/db', { end: 'shop/db' }],
    ['shop/db:80-90/udp', { end: 'shop/db', ports: '80-90', proto: 'udp' }],
    ['shop/db icmp', { end: 'shop/db', proto: 'icmp' }],
    ['10.0.0.0/8:53 udp', { end: '10.0.0.0/8', ports: '53', proto: 'udp' }],
    ['10.0.0.0/8', { end: '10.0.0.0/8' }],
    ['fd00::1', { end: 'fd00::1' }],
    ['[fd00::1]:80/tcp', { end: 'fd00::1', ports: '80', proto: 'tcp' }],
    ['shop/[app in (a, b)]:80', { end: 'shop/[app in (a, b)]', ports: '80' }],
  ])('%s: end, ports, protocol', (text, parts) => expect(splitTarget(text)).toEqual(parts))
})

describe('an end of an assertion', () => {
  it.each([
    ['shop/web-*', ['web-0', 'web-1']],
    ['*/*', ['web-0', 'web-1', 'cron', 'db']],
    ['shop/[app=web]', ['web-0', 'web-1']],
    ['*/[app notin (web,db)]', ['cron']],
    ['shop/[!old,app!=db]', ['web-0', 'web-1']],
    ['[kubernetes.io/metadata.name=shop]/db', ['db']],
    ['shop/*b*', ['web-0', 'web-1', 'db']],
  ])('%s', (text, names) => {
    const found = endResolver('default')(WORLD, text)
    expect(isEndFault(found) ? found : found.map((end) => (end.kind === 'pod' ? end.name : end.kind))).toEqual(names)
  })

  it.each([
    ['shop/dbb', 'there is no pod or workload "shop/dbb"', 'Did you mean shop/db?'],
    ['shopp/*', 'shopp/* matches no pod, and would probe nothing', 'Did you mean shop?'],
    ['shop/[app in]', '"app in" asks for no label', 'Write app=web, app!=web, app, !app, app in (a,b) or app notin (a,b).'],
  ])('%s is named with the nearest', (text, what, fix) => {
    expect(endResolver('default')(WORLD, text)).toMatchObject({ what, fix })
  })

  it('a range outside is asked in the pieces that policies tell apart', () => {
    const world = worldOf(`${pod('db', '{app: db}')}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.1.0.0/16}}]}]}
`)
    expect(run(world, 'allow 10.0.0.0/8 -> shop/db:80').results).toMatchObject([{ passed: false, actual: 'mixed', probes: 3, failedProbes: 2 }])
    expect(run(world, 'allow 10.1.2.0/24 -> shop/db:80').results).toMatchObject([{ passed: true, probes: 1 }])
  })
})

describe('assertions', () => {
  it('hold or fail; of one that fails the deciding policy is told with its line, and the nearest rule', () => {
    const { passed, failed, results, provesNothing } = run(
      WORLD,
      'allow shop/web-* -> shop/db:5432\ndeny shop/cron -> shop/db\nallow shop/cron -> shop/db:sql\nallow shop/web-0 -> shop/db:8000-8011\nallow shop/web-0 -> shop/db:5432/udp\n',
    )
    expect({ passed, failed, provesNothing }).toEqual({ passed: 2, failed: 3, provesNothing: null })
    expect(results.map(({ actual, port, proto, probes }) => [actual, port, proto, probes])).toEqual([
      ['allow', 5432, 'tcp', 2],
      ['deny', null, null, 1],
      ['deny', 'sql', 'tcp', 1],
      ['mixed', '8000-8011', 'tcp', 1],
      ['deny', 5432, 'udp', 1],
    ])
    expect(results[3].failures[0]).toMatchObject({ conn: 'TCP 8011', explanation: { allowed: false, port: 8011 } })
    const why = results[2].failures[0].text.replaceAll(/w\.yaml:\d+/g, 'w.yaml:N')
    expect(why.split('; ')).toEqual([
      'ingress: NetworkPolicy shop/db (w.yaml:N) selects shop/db, and its one ingress rule does not match',
      'nearest: NetworkPolicy shop/db ingress[0] (w.yaml:N): app=web: shop/cron has app=cron',
    ])
  })

  it('a port name that the destination has not is closed', () => {
    expect(run(WORLD, 'allow shop/web-0 -> shop/db:http').results[0].failures[0].text).toBe('shop/db has no port named http')
    expect(run(WORLD, 'allow shop/web-0 -> shop/db:sql').failed).toBe(0)
  })

  it('everybody is everybody else', () => {
    expect(run(WORLD, 'deny */* -> shop/db:80\nallow shop/web-0 -> shop/db:5432').results[0]).toMatchObject({ passed: true, probes: 3 })
    expect(run(WORLD, 'deny shop/db -> shop/d*').results[0]).toMatchObject({ probes: 1 })
  })

  it('trap 47: denials alone prove nothing, nor do they beside a control that is closed', () => {
    expect(run(WORLD, 'deny shop/cron -> shop/db:5432').provesNothing).toMatch(/^every assertion is a denial/)
    expect(run(WORLD, 'deny shop/cron -> shop/db:5432\ncontrol allow shop/cron -> shop/db:80').provesNothing).toMatch(/^a control is closed/)
    expect(run(WORLD, 'deny shop/cron -> shop/db:5432\n- x').provesNothing).toMatch(/^every assertion is a denial/)
    expect(run(WORLD, '- deny shop/cron -> shop/db:5432\n- {control: true, from: shop/web-0, to: shop/db, port: 5432}').provesNothing).toBeNull()
  })

  it.each(Array.from({ length: 30 }, (_, seed) => seed + 1))('random worlds: a probe is what evaluatePair says of the point (seed %i)', (seed) => {
    const draw = new Draw(seed)
    const { world } = randomWorld(draw, 10)
    const asked = Array.from({ length: 60 }, () => {
      const [source, destination] = [draw.one(world.pods), draw.one(world.pods)]
      const [proto, port] = [draw.one(['TCP', 'UDP'] as const), draw.one([53, 80, 8080, 65535])]
      const allowed = evaluatePair(world, source, destination).allowed.meets(ConnectionSet.of(proto, port))
      return { from: nameOf(source), to: nameOf(destination), port, proto: proto.toLowerCase(), expect: allowed ? 'allow' : 'deny' }
    })
    expect(run(world, JSON.stringify(asked))).toMatchObject({ passed: 60, failed: 0, problems: [] })
    const turned = asked.map((one) => ({ ...one, expect: one.expect === 'allow' ? 'deny' : 'allow' }))
    const { failed, results } = run(world, JSON.stringify(turned))
    expect(failed).toBe(60)
    for (const { failures, expect: wanted } of results) expect(failures[0].explanation?.allowed).toBe(wanted === 'deny')
  })

  it.each(Array.from({ length: 12 }, (_, seed) => seed + 100))('random worlds: everybody to everybody is every pair (seed %i)', (seed) => {
    const { world } = randomWorld(new Draw(seed), 12)
    const [result] = run(world, 'allow */* -> */*:80').results
    const port = ConnectionSet.of('TCP', 80)
    const pairs = world.pods.flatMap((source) =>
      world.pods.filter((destination) => destination !== source).map((destination) => [source, destination] as const),
    )
    const closed = pairs.filter(([source, destination]) => !evaluatePair(world, source, destination).allowed.meets(port))
    expect([result.probes, result.failedProbes]).toEqual([pairs.length, closed.length])
  })
})

describe('netsim policy test', () => {
  const FILES = ['-f', 'examples/policy-explain/']

  it('exits 0, 1 and 3; what could be asked is told beside what is wrong', async () => {
    const at = { cwd: process.cwd() }
    expect((await netsim(['policy', 'test', '-', ...FILES], { ...at, stdin: 'allow shop/web -> shop/db:5432' })).code).toBe(0)
    expect((await netsim(['policy', 'test', 'examples/policy-explain/rules.txt', ...FILES], at)).code).toBe(1)
    const wrong = await netsim(['policy', 'test', '-', ...FILES], { ...at, stdin: 'allow shop/web -> shop/db:5432\nallow shop/webb -> shop/db:80' })
    expect(wrong).toMatchObject({ code: 3, err: '-:2: error: there is no pod or workload "shop/webb"\n    Did you mean shop/web?\n' })
    expect(wrong.out).toContain('1 passed, 0 failed')
  })

  it('--require-control fails what proves nothing', async () => {
    const around = { cwd: process.cwd(), stdin: 'deny shop/report -> shop/db:5432' }
    const words = ['policy', 'test', '-', ...FILES]
    expect(await netsim(words, around)).toMatchObject({ code: 0, err: expect.stringContaining('every assertion is a denial') as string })
    expect((await netsim([...words, '--require-control'], around)).code).toBe(1)
  })

  it('writes JUnit that names each assertion and why it fails', async () => {
    const { out } = await netsim(['policy', 'test', '-', ...FILES, '-o', 'junit'], { cwd: process.cwd(), stdin: 'deny shop/web -> shop/db:5432\n' })
    expect(out).toContain('<testsuites name="netsim policy test" tests="2" failures="1" errors="0" skipped="1">')
    expect(out).toContain('name="deny shop/web -&gt; shop/db:5432/tcp" file="-" line="1"><failure type="deny"')
  })
})
