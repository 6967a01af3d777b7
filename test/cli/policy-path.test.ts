/** `netsim policy explain` with ends that NAT touches: forms, exit statuses, standard input, inputs without nodes. */
import { readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { netsim, type Ran } from './memory-io.js'

const TEXT = readFileSync(new URL('../../examples/services-calico.yaml', import.meta.url), 'utf8')
const SCHEMA = JSON.parse(readFileSync(new URL('../../docs/policy-explanation.schema.json', import.meta.url), 'utf8')) as object
/** Without Nodes and the Network document: what a folder of manifests holds. */
const MANIFESTS = TEXT.split(/^---$/m)
  .filter((part) => !/^kind: (Node|Network|Installation)$/m.test(part))
  .join('---')

function explain(stdin: string, ...more: readonly string[]): Promise<Ran> {
  return netsim(['policy', 'explain', '-f', '-', ...more], { stdin })
}

describe('policy explain on the real path', () => {
  it('tells each way: what was rewritten and where, what policies see, what they say', async () => {
    const { code, out, err } = await explain(TEXT, 'tools/curl', 'svc/shop/web:80')
    expect([code, err]).toEqual([0, ''])
    expect(out).toContain('tools/curl → svc/shop/web, way 1 of 2 (50%)')
    expect(out).toMatch(/path\s+DNAT 10\.96\.20\.1:80 → 10\.244\.247\.2:8080 on node-1: Service\/shop\/web/)
    expect(out).toContain('ALLOWED  tools/curl → shop/web-1   TCP 8080')
  })

  it('writes JSON with the path of each way, from standard input', async () => {
    const { out } = await explain(TEXT, 'node/node-1', 'svc/shop/web', '-o', 'json')
    const documents = JSON.parse(out) as unknown
    const validate = new Ajv2020({ strict: false }).compile(SCHEMA)
    expect([validate(documents), validate.errors]).toEqual([true, null])
    expect(documents).toMatchObject([
      {
        dst: 'shop/web-1',
        allowed: false,
        path: { basis: 'trace', probability: 0.5, translations: [{ side: 'destination' }, { side: 'source', to: '10.244.84.128' }] },
      },
      { dst: 'shop/web-0', allowed: true, path: { translations: [{ object: 'Service/shop/web', line: 58 }], ingress: { proto: 'tcp', port: 8080 } } },
    ])
  })

  it('has the statuses of explain: of several ways one is enough, and --expect allow wants all', async () => {
    const asked = ['node/node-1', 'svc/shop/web', '-o', 'short']
    const codes = await Promise.all([[], ['--expect', 'allow'], ['--expect', 'deny']].map(async (more) => (await explain(TEXT, ...asked, ...more)).code))
    expect(codes).toEqual([0, 1, 1])
    expect((await explain(TEXT, 'shop/web-0', 'svc/shop/web', '--expect', 'deny')).code).toBe(0)
  })

  it('takes a Service for what it selects where there are no nodes, and says so', async () => {
    const { code, out } = await explain(MANIFESTS, 'tools/curl', 'svc/shop/web')
    expect(out).toMatch(/the input has no nodes: the Service is taken to be the pods that it selects, at their\s+targetPort/)
    expect(out).toContain('tools/curl → shop/web-0')
    expect(code).toBe(0)
  })

  it('3: a Service or a host that is not there, a protocol that no trace has', async () => {
    const wrong = await Promise.all(
      [
        ['tools/curl', 'svc/shop/wep'],
        ['host/nobody', 'shop/web-0:8080'],
        ['tools/curl', 'svc/shop/web', '--proto', '47'],
      ].map((words) => explain(TEXT, ...words)),
    )
    expect(wrong.map(({ code }) => code)).toEqual([3, 3, 3])
    expect(wrong.map(({ err }) => err).join('')).toMatch(/no Service "wep"[^]*no host "nobody"[^]*protocol 47/)
  })

  it('tells what would not arrive without any policy', async () => {
    const { code, out } = await explain(TEXT, 'tools/curl', '10.96.20.1:81')
    expect(out).toMatch(/lost\s+\w+ at /)
    expect(code).toBe(1)
    const user = TEXT.replace('  clusterCIDR: 10.244.0.0/16\n', (line) => `${line}  underlay: {hosts: [{name: user, address: 203.0.113.9}]}\n`)
    // what was asked, though nothing came to where policies are
    expect((await explain(user, 'host/user', 'svc/shop/web:80')).out).toMatch(/lost\s+NO_ROUTE at [^]*host\/user → svc\/shop\/web {3}TCP 80$/m)
  })
})

describe('policy whatif --ask', () => {
  const whatif = (stdin: string, ...more: readonly string[]): Promise<Ran> => netsim(['policy', 'whatif', '-f', '-', ...more], { stdin })

  it('tells of one connection why before and why after', async () => {
    const { code, out } = await whatif(TEXT, '--delete', 'np/shop/web', '--ask', 'shop/web-0 svc/shop/web')
    expect(code).toBe(1)
    expect(out).toMatch(/before {2}DENIED {2}shop\/web-0 → shop\/web-1[^]*after {3}ALLOWED/)
  })

  it('goes by the labels that the edit leaves', async () => {
    const asked = ['--label', 'pod/tools/curl app=other', '--ask', 'tools/curl svc/kube-system/kube-dns', '-o', 'json']
    const labelled = await whatif(TEXT, ...asked)
    expect([labelled.code, JSON.parse(labelled.out)]).toMatchObject([1, [{ before: { allowed: false }, after: { allowed: true } }]])
    const { code, out } = await whatif(TEXT, '--delete', 'np/tools/curl', '--ask', 'tools/curl svc/shop/web', '-o', 'json')
    expect([code, JSON.parse(out)]).toMatchObject([0, [{ before: { allowed: true }, after: { allowed: true } }, { path: { basis: 'trace' } }]])
  })

  it('keeps to the path of before: says so where a Service leads elsewhere, and refuses where a pod of it is gone', async () => {
    const asked = ['--ask', 'tools/curl svc/shop/web:80']
    const ofService = await whatif(TEXT, '--delete', 'svc/shop/web', ...asked)
    expect([ofService.code, ofService.err]).toEqual([0, 'warning: the edit changes where svc/shop/web leads: --ask keeps to the path of before\n'])
    const unlabelled = await whatif(TEXT, '--label', 'pod/shop/web-0 app=old', ...asked)
    expect(unlabelled.err).toContain('where svc/shop/web, svc/shop/web-pods leads')
    expect((await whatif(TEXT, '--label', 'pod/tools/curl app=old', ...asked)).err).toBe('')
    for (const edit of [
      ['--scale', 'sts/shop/web=1'],
      ['--delete', 'pod/tools/curl'],
    ]) {
      const { code, out, err } = await whatif(TEXT, ...edit, ...asked)
      expect([code, out]).toEqual([3, ''])
      expect(err).toMatch(/after the edit there is no (shop\/web-1|tools\/curl)/)
    }
  })

  it('asks pods themselves where there are no nodes, and refuses what is no pair', async () => {
    const { code, out } = await whatif(MANIFESTS, '--delete', 'np/shop/web', '--ask', 'shop/web-0 shop/web-1:8080')
    expect(code).toBe(1)
    expect(out).toContain('after   ALLOWED  shop/web-0 → shop/web-1')
    expect((await whatif(TEXT, '--delete', 'np/shop/web', '--ask', 'shop/web-0')).code).toBe(2)
  })
})
