/** Which rule takes a request: every row of the tables of the Kubernetes Ingress page, ingress-nginx's own rules, and a naive oracle. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { matchesHost, matchesPath, type Ingress } from '../../../src/cluster/ingress/ingress.js'
import { routeRequest } from '../../../src/cluster/ingress/route-request.js'
import { build, ingress, type IngressText } from './kit.js'

const ingressesOf = (...texts: readonly IngressText[]): readonly Ingress[] => build(...texts.map(ingress)).cluster.ingresses

/** `/foo (Prefix)` → the service named by it. */
function paths(type: string, ...all: readonly string[]): readonly Ingress[] {
  const read = all.map((text) => {
    const [, path, own = type] = /^(\S+)(?: \((\w+)\))?$/.exec(text) ?? []
    return { path, type: own, service: `s${path.replaceAll('/', '-')}${own.toLowerCase()}`.replace(/-+$/, '') }
  })
  return ingressesOf({ rules: [{ paths: read }] })
}

describe('the examples of the Ingress page', () => {
  it.each<[kind: string, paths: string[], asked: string, taken: string | undefined]>([
    ['Prefix', ['/'], '/', '/'],
    ['Prefix', ['/'], '/any/path', '/'],
    ['Exact', ['/foo'], '/foo', '/foo'],
    ['Exact', ['/foo'], '/bar', undefined],
    ['Exact', ['/foo'], '/foo/', undefined],
    ['Exact', ['/foo/'], '/foo', undefined],
    ['Prefix', ['/foo'], '/foo', '/foo'],
    ['Prefix', ['/foo'], '/foo/', '/foo'],
    ['Prefix', ['/foo/'], '/foo', '/foo/'],
    ['Prefix', ['/foo/'], '/foo/', '/foo/'],
    ['Prefix', ['/aaa/bb'], '/aaa/bbb', undefined],
    ['Prefix', ['/aaa/bbb'], '/aaa/bbb', '/aaa/bbb'],
    ['Prefix', ['/aaa/bbb/'], '/aaa/bbb', '/aaa/bbb/'],
    ['Prefix', ['/aaa/bbb'], '/aaa/bbb/', '/aaa/bbb'],
    ['Prefix', ['/aaa/bbb'], '/aaa/bbb/ccc', '/aaa/bbb'],
    ['Prefix', ['/aaa/bbb'], '/aaa/bbbxyz', undefined],
    ['Prefix', ['/', '/aaa'], '/aaa/ccc', '/aaa'],
    ['Prefix', ['/', '/aaa', '/aaa/bbb'], '/aaa/bbb', '/aaa/bbb'],
    ['Prefix', ['/', '/aaa', '/aaa/bbb'], '/ccc', '/'],
    ['Prefix', ['/aaa'], '/ccc', undefined],
  ])('%s %j, asked for %s', (kind, all, asked, taken) => {
    const route = routeRequest(paths(kind, ...all), { host: '', path: asked, tls: false })
    expect([route.outcome, route.path?.path]).toEqual([taken === undefined ? 'none' : 'rule', taken])
    expect(route.others).toHaveLength(all.length - (taken === undefined ? 0 : 1))
  })

  it.each([
    ['/foo (Prefix)', '/foo (Exact)'],
    ['/foo (Exact)', '/foo (Prefix)'],
  ])('mixed %s, %s: Exact is preferred', (...all) => {
    const route = routeRequest(paths('', ...all), { host: '', path: '/foo', tls: false })
    expect(route.path?.pathType).toBe('Exact')
    expect(route.others.map(({ why }) => why)).toEqual(['/foo is as long and Exact'])
  })

  it.each([
    ['*.foo.com', 'bar.foo.com', true],
    ['*.foo.com', 'baz.bar.foo.com', false],
    ['*.foo.com', 'foo.com', false],
    ['foo.com', 'foo.com', true],
    ['foo.com', 'bar.foo.com', false],
    ['*.foo.com', '.foo.com', false],
    ['', 'any.example', true],
  ])('host %s, asked for %s: %s', (pattern, host, matches) => {
    expect(matchesHost(pattern, host)).toBe(matches)
  })
})

describe('hosts', () => {
  const all = ingressesOf({
    rules: [
      { host: 'first.bar.com', paths: [{ path: '/a', service: 'service1' }] },
      { host: '*.bar.com', paths: [{ path: '/', service: 'service2' }] },
      { paths: [{ path: '/', service: 'service3' }] },
    ],
  })
  const taken = (host: string, path = '/a'): string | undefined => routeRequest(all, { host, path, tls: false }).backend?.service?.name

  it.each([
    ['first.bar.com', 'service1'],
    ['FIRST.bar.com:8080', 'service1'],
    ['first.bar.com.', 'service1'],
    ['second.bar.com', 'service2'],
    ['a.second.bar.com', 'service3'],
    ['other.example', 'service3'],
    ['', 'service3'],
  ])('%s goes to %s', (host, name) => {
    expect(taken(host)).toBe(name)
  })

  it('a host that is written out has only its own paths', () => {
    const route = routeRequest(all, { host: 'first.bar.com', path: '/b', tls: false })
    expect(route.outcome).toBe('none')
    expect(route.others).toEqual([
      { object: 'Ingress/default/web', host: '*.bar.com', path: '/', why: 'rules of host first.bar.com go first', file: 't.yaml', line: 1 },
      { object: 'Ingress/default/web', host: '', path: '/', why: 'rules of host first.bar.com go first', file: 't.yaml', line: 1 },
      { object: 'Ingress/default/web', host: 'first.bar.com', path: '/a', why: '/a is no prefix of /b by whole elements', file: 't.yaml', line: 1 },
    ])
  })

  it('no host that matches has no rule', () => {
    const [only] = [ingressesOf({ rules: [{ host: 'a.example', paths: [{ path: '/' }] }] })]
    expect(routeRequest(only, { host: 'b.example', path: '/', tls: false })).toMatchObject({
      outcome: 'none',
      others: [{ why: 'its host a.example is not b.example' }],
    })
  })
})

describe('default backends', () => {
  it('of an Ingress without rules takes all', () => {
    const route = routeRequest(ingressesOf({ defaultService: 'fallback' }), { host: 'x.example', path: '/y', tls: false })
    expect([route.outcome, route.backend?.service?.name]).toEqual(['default', 'fallback'])
  })

  it('serves the hosts of its Ingress, and of hosts in no rule the youngest', () => {
    const all = ingressesOf(
      { name: 'a', created: '2024-01-01T00:00:00Z', defaultService: 'of-a', rules: [{ host: 'a.example', paths: [{ path: '/x' }] }] },
      { name: 'b', created: '2024-01-02T00:00:00Z', defaultService: 'of-b', rules: [{ host: 'a.example', paths: [{ path: '/y' }] }] },
    )
    const taken = (host: string): string | undefined => routeRequest(all, { host, path: '/z', tls: false }).backend?.service?.name
    expect([taken('a.example'), taken('c.example')]).toEqual(['of-a', 'of-b'])
  })
})

describe('one path in several Ingresses', () => {
  const rules = (name: string) => [{ host: 'a.example', paths: [{ path: '/x', service: name }] }]
  const taken = (...texts: IngressText[]): string | undefined =>
    routeRequest(ingressesOf(...texts), { host: 'a.example', path: '/x', tls: false }).backend?.service?.name

  it('is that of the oldest', () => {
    const [young, old] = [
      { name: 'young', created: '2024-05-01T00:00:00Z', rules: rules('young') },
      { name: 'old', created: '2023-05-01T00:00:00Z', rules: rules('old') },
    ]
    expect([taken(young, old), taken(old, young)]).toEqual(['old', 'old'])
  })

  it('of one age that of the last name', () => {
    const both = [
      { name: 'a', rules: rules('a') },
      { name: 'b', rules: rules('b') },
    ]
    expect(taken(...both)).toBe('b')
    expect(routeRequest(ingressesOf(...both), { host: 'a.example', path: '/x', tls: false }).others[0].why).toBe(
      'the same path is in Ingress/default/b (t.yaml:3), which goes first',
    )
  })

  it('a canary takes no path of its own', () => {
    expect(taken({ name: 'z', annotations: { 'nginx.ingress.kubernetes.io/canary': 'true' }, rules: rules('z') }, { name: 'a', rules: rules('a') })).toBe('a')
  })
})

describe('regular expressions of ingress-nginx', () => {
  const REGEX = { 'nginx.ingress.kubernetes.io/use-regex': 'true' }
  const all = (...texts: string[]) =>
    ingressesOf({ annotations: REGEX, rules: [{ host: 'test.com', paths: texts.map((path) => ({ path, type: 'ImplementationSpecific' })) }] })

  it.each([
    // docs/user-guide/ingress-path-matching.md: /foo/bar/(.+), /foo/bar/, /foo/bar in order of their lengths
    [['/foo/bar', '/foo/bar/', '/foo/bar/(.+)'], '/foo/bar/1', '/foo/bar/(.+)'],
    [['/foo/bar', '/foo/bar/', '/foo/bar/(.+)'], '/foo/bar/', '/foo/bar/'],
    [['/foo/bar', '/foo/bar/', '/foo/bar/(.+)'], '/foo/bar', '/foo/bar'],
    [['/something(/|$)(.*)'], '/SOMETHING/new', '/something(/|$)(.*)'],
    [['/something(/|$)(.*)'], '/somethingelse', undefined],
  ])('%j, asked for %s', (texts, asked, taken) => {
    expect(routeRequest(all(...texts), { host: 'test.com', path: asked, tls: false }).path?.path).toBe(taken)
  })

  it('beyond plain text and an ending are said not to be evaluated', () => {
    expect(routeRequest(all('/foo/bar/bar', '/foo/bar/[A-Z0-9]{3}'), { host: 'test.com', path: '/foo/bar/bar', tls: false })).toMatchObject({
      outcome: 'unknown',
      path: { path: '/foo/bar/[A-Z0-9]{3}' },
    })
  })

  it('one Ingress makes them of all paths of its host', () => {
    const mixed = ingressesOf(
      { name: 'a', rules: [{ host: 'test.com', paths: [{ path: '/foo', type: 'Exact' }] }] },
      {
        name: 'b',
        annotations: { 'nginx.ingress.kubernetes.io/rewrite-target': '/$1' },
        rules: [{ host: 'test.com', paths: [{ path: '/x', type: 'ImplementationSpecific' }] }],
      },
    )
    expect(routeRequest(mixed, { host: 'test.com', path: '/foobar', tls: false }).path?.path).toBe('/foo')
  })
})

describe('TLS', () => {
  const tls = [{ hosts: ['a.example'], secretName: 'a-tls' }]
  const rules = [{ host: 'a.example', paths: [{ path: '/' }] }]

  it('ends at the controller with the Secret of the host', () => {
    const route = routeRequest(ingressesOf({ tls, rules }), { host: 'a.example', path: '/', tls: true })
    expect(route).toMatchObject({ outcome: 'rule', redirect: false, certificate: { secretName: 'a-tls', namespace: 'default', file: 't.yaml' } })
  })

  it('sends plain requests there, unless told not to', () => {
    const off = { 'nginx.ingress.kubernetes.io/ssl-redirect': 'false' }
    const redirects = (text: IngressText): boolean => routeRequest(ingressesOf(text), { host: 'a.example', path: '/', tls: false }).redirect
    expect([redirects({ tls, rules }), redirects({ tls, rules, annotations: off }), redirects({ rules })]).toEqual([true, false, false])
    expect(redirects({ rules, annotations: { 'nginx.ingress.kubernetes.io/force-ssl-redirect': 'true' } })).toBe(true)
  })

  it('of a host without an entry shows the controller’s own certificate', () => {
    const route = routeRequest(ingressesOf({ rules }), { host: 'a.example', path: '/', tls: true })
    expect([route.outcome, route.certificate]).toEqual(['rule', undefined])
  })
})

describe('the longest match', () => {
  /** As the API's words are: split on slashes, compare element by element, no thought for speed. */
  function naive(all: readonly { path: string; pathType: string }[], asked: string): number {
    const elements = (path: string): string[] => path.split('/').filter((element, i, list) => element !== '' || (i > 0 && i < list.length - 1))
    const score = all.map(({ path, pathType }) => {
      if (pathType === 'Exact') return path === asked ? path.length * 2 + 1 : -1
      const [mine, theirs] = [elements(path), elements(asked)]
      return mine.every((element, i) => element === theirs[i]) ? path.replace(/\/$/, '').length * 2 : -1
    })
    const best = Math.max(...score)
    return best < 0 ? -1 : score.indexOf(best)
  }

  const path = fc
    .array(fc.constantFrom('a', 'aa', 'b', 'ab'), { maxLength: 4 })
    .chain((elements) => fc.constantFrom(`/${elements.join('/')}`, `/${elements.join('/')}${elements.length > 0 ? '/' : ''}`))

  it('is the one that a naive oracle finds', () => {
    const [template] = ingressesOf({ rules: [{ paths: [{ path: '/' }] }] })
    const [rule] = template.rules
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.record({ path, pathType: fc.constantFrom('Exact' as const, 'Prefix' as const) }), {
          maxLength: 6,
          selector: ({ path: one, pathType }) => `${one} ${pathType}`,
        }),
        path,
        (all, asked) => {
          const made: Ingress = { ...template, rules: [{ ...rule, paths: all.map((one, index) => ({ ...rule.paths[0], ...one, line: index })) }] }
          const route = routeRequest([made], { host: '', path: asked, tls: false })
          const expected = naive(all, asked)
          expect(route.path?.line ?? -1).toBe(expected)
          expect(route.others).toHaveLength(all.length - (expected < 0 ? 0 : 1))
        },
      ),
      { numRuns: 1000 },
    )
  })

  it('any host and path are answered', () => {
    const all = ingressesOf({
      annotations: { 'nginx.ingress.kubernetes.io/use-regex': 'true' },
      rules: [{ host: '*.a.example', paths: [{ path: '/x(/|$)(.*)', type: 'ImplementationSpecific' }] }],
    })
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.boolean(), (host, asked, tls) => {
        expect(['rule', 'default', 'none', 'unknown']).toContain(routeRequest(all, { host, path: asked, tls }).outcome)
      }),
    )
    expect(matchesPath({ path: '', pathType: 'ImplementationSpecific' }, '/anything')).toBe(true)
  })
})
