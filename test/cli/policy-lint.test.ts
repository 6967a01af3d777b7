/** `netsim policy lint` on the command line: forms, exit statuses, which findings are told, hostile input. */
import { readdirSync, readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { LINT_CODES } from '../../src/policy/lint/codes.js'
import { netsim, type Ran } from './memory-io.js'

const ROOT = new URL('../../', import.meta.url)
const FAULTY = readFileSync(new URL('examples/policy-lint/shop.yaml', ROOT), 'utf8')
const CODES = ['NP102', 'NP104', 'NP201', 'NP401']

/** A namespace that is closed, as one should be. */
const SOUND = [
  '{apiVersion: v1, kind: Namespace, metadata: {name: shop}}',
  '{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop, labels: {app: web}}, spec: {containers: [{name: c, image: i}]}}',
  '{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: closed, namespace: shop}, spec: {podSelector: {}, policyTypes: [Ingress]}}',
].join('\n---\n')

function lint(stdin: string, ...more: readonly string[]): Promise<Ran> {
  return netsim(['policy', 'lint', '-f', '-', ...more], { stdin })
}

interface Report {
  readonly findings: readonly { readonly code: string; readonly severity: string }[]
  readonly summary: Readonly<Record<string, unknown>>
  readonly notJudged: readonly string[]
}

async function report(stdin: string, ...more: readonly string[]): Promise<Report> {
  return JSON.parse((await lint(stdin, '-o', 'json', ...more)).out) as Report
}

describe('exit statuses', () => {
  it('0: nothing', async () => {
    expect(await lint(SOUND)).toMatchObject({ code: 0, err: '', out: expect.stringContaining('CLEAN  0 errors, 0 warnings, 1 info') as string })
  })
  it('1: findings', async () => expect((await lint(FAULTY)).code).toBe(1))
  it('1: what was asked to be told, info too', async () => expect((await lint(SOUND, '--severity', 'info')).code).toBe(1))
  it('0: warnings where errors are asked for', async () => expect((await lint(FAULTY, '--severity', 'error')).code).toBe(0))
  it('3: a policy that an API server refuses, and the rest is judged', async () => {
    const spec = '{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/99}}]}]}'
    const refused = `${FAULTY}\n---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: bad}, spec: ${spec}}`
    const { code, out, err } = await lint(refused)
    expect(code).toBe(3)
    expect(err).toContain('error: NetworkPolicy/default/bad')
    expect(out).toContain('NP201')
  })
  it('1: two policies of one name are a finding, not an error beside it', async () => {
    const again = SOUND.split('\n---\n')[2].replace('[Ingress]', '[Egress]')
    const { code, out, err } = await lint(`${SOUND}\n---\n${again}`)
    expect({ code, err }).toEqual({ code: 1, err: '' })
    expect(out).toContain('ERROR  NP006')
  })
  it('3: a file that is not there', async () => expect((await netsim(['policy', 'lint', '-f', 'nowhere.yaml'])).code).toBe(3))
})

describe('choice', () => {
  it('--only and --skip', async () => {
    const codes = async (...more: readonly string[]): Promise<readonly string[]> => (await report(FAULTY, ...more)).findings.map(({ code }) => code)
    expect(await codes()).toEqual(CODES)
    expect(await codes('--only', 'np201,NP401')).toEqual(['NP201', 'NP401'])
    expect(await codes('--skip', 'NP201')).toEqual(CODES.filter((code) => code !== 'NP201'))
  })
  it('a code that there is not, with the one that was meant', async () => {
    const { code, err } = await lint(FAULTY, '--only', 'NP20')
    expect(code).not.toBe(0)
    expect(err).toContain('There is no code NP20.')
    expect(err).toContain('docs/policy-lint.md lists them.')
  })
  it('what is below the severity is counted', async () => {
    expect((await report(FAULTY)).summary).toMatchObject({ severity: 'warning', warning: 4, below: 2 })
  })
})

describe('forms', () => {
  const schema = JSON.parse(readFileSync(new URL('docs/policy-findings.schema.json', ROOT), 'utf8')) as object
  const fits = new Ajv2020({ strict: true }).compile(schema)

  it.each(readdirSync(new URL('examples', ROOT)).filter((name) => name.endsWith('.yaml')))('%s: JSON of the published schema, twice the same', async (name) => {
    const text = readFileSync(new URL(`examples/${name}`, ROOT), 'utf8')
    const first = await lint(text, '-o', 'json', '--severity', 'info')
    // the classic model has no part in policy answers, and lint says so
    expect(name.startsWith('calico-classic') ? [3] : [0, 1]).toContain(first.code)
    expect(fits(JSON.parse(first.out)), JSON.stringify(fits.errors)).toBe(true)
    expect((await lint(text, '-o', 'json', '--severity', 'info')).out).toBe(first.out)
  })

  it('SARIF: a rule with its help for each code, a result with its line for each finding', async () => {
    interface Sarif {
      readonly runs: readonly {
        readonly tool: { readonly driver: { readonly rules: readonly { readonly id: string; readonly help: { readonly text: string } }[] } }
        readonly results: readonly { readonly ruleId: string; readonly ruleIndex: number; readonly locations: readonly object[] }[]
      }[]
    }
    const [run] = (JSON.parse((await lint(FAULTY, '-o', 'sarif')).out) as Sarif).runs
    expect(run.tool.driver.rules.map(({ id }) => id)).toEqual([...LINT_CODES])
    expect(run.results.map(({ ruleId }) => ruleId)).toEqual(CODES)
    for (const { ruleId, ruleIndex, locations } of run.results) {
      expect(run.tool.driver.rules[ruleIndex].id).toBe(ruleId)
      expect(locations[0]).toMatchObject({ physicalLocation: { artifactLocation: { uri: 'stdin' }, region: { startLine: expect.any(Number) as number } } })
    }
  })

  it('JUnit: a case for each code that was looked for', async () => {
    const { out } = await lint(FAULTY, '-o', 'junit', '--skip', 'NP604')
    expect(out).toContain(`<testsuites name="netsim policy lint" tests="${LINT_CODES.length - 1}" failures="4"`)
    expect(out).toContain('<testcase classname="netsim.policy.lint" name="NP201 a Service&apos;s port'.replace('&apos;', "'"))
  })

  it('says what could not be judged', async () => {
    const alone = SOUND.split('\n---\n')[2]
    expect((await report(alone)).notJudged).toEqual(['selectors, ports and DNS: the input has no pod and no workload'])
    expect((await lint(alone)).out).toContain('PARTLY')
  })
})

describe('hostile input', () => {
  it.each([
    ['nothing', ''],
    ['no YAML', '{{{'],
    ['a list', '[]'],
    ['a policy without a spec', '{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: a}}'],
    ['lists that are none', FAULTY.replace('policyTypes: [Ingress]', 'policyTypes: Ingress').replace('ports: [{protocol: TCP, port: 80}]', 'ports: 80')],
    ['labels of odd names', FAULTY.replaceAll('app:', '__proto__:')],
    ['names of odd letters', FAULTY.replaceAll('web', 'constructor')],
  ])('%s ends with a status, never a crash', async (_what, text) => {
    for (const form of ['text', 'json', 'sarif', 'junit']) {
      const { code, err } = await lint(text, '--severity', 'info', '-o', form)
      expect([0, 1, 3]).toContain(code)
      expect(err).not.toContain('internal error')
    }
  })
  it('no name steers the terminal', async () => {
    const { out, err } = await lint(FAULTY.replace('app: dbs', 'app: "\\u001b[31m"'))
    // eslint-disable-next-line no-control-regex
    expect(out + err).not.toMatch(/\u001b/)
  })
})
