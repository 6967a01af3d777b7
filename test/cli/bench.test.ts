/** `netsim bench encap` on the command line: forms, flags, what is refused. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { netsim } from './memory-io.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const FEW = ['bench', 'encap', '--backends', 'flannel-vxlan,calico-none', '--sizes', '100,1500']

describe('netsim bench encap', () => {
  it('prints tables', async () => {
    const { out, err, code: status } = await netsim(FEW)
    expect([err, status]).toEqual(['', 0])
    expect(out).toContain('host-a → host-b, one segment, 10 Gbit/s, MTU 1500')
    expect(out).toMatch(/^flannel vxlan +1450 +1450 +1398 +50 +3\.42%/m)
    expect(out).toMatch(/^flannel vxlan +\+50 +\+134 \(2\)$/m)
    expect(out).not.toContain('flannel udp')
  })

  it('prints tables that fit a page of 100 columns, whatever the backend', async () => {
    const { out } = await netsim(['bench', 'encap'])
    const rows = out.split('\n').filter((line) => /^(BACKEND|flannel|Calico|Canal) /.test(line))
    expect(rows.length).toBeGreaterThan(3 * 13)
    expect(rows.filter((line) => line.length > 100)).toEqual([])
    // each backend in each of the tables
    expect(rows.filter((line) => line.startsWith('Calico WireGuard '))).toHaveLength(3)
  })

  it('prints comma-separated values, a line for each size', async () => {
    const { out } = await netsim([...FEW, '-o', 'csv'])
    const [head, ...lines] = out.trimEnd().split('\r\n')
    expect(head.split(',').slice(0, 8)).toEqual(['way', 'backend', 'pod_mtu', 'largest', 'mss', 'size', 'disposition', 'frames'])
    expect(lines.every((line) => line.split(',').length === head.split(',').length)).toBe(true)
    expect(lines.filter((line) => line.startsWith('one segment,flannel-vxlan,')).map((line) => Number(line.split(',')[5]))).toEqual([
      100, 1449, 1450, 1451, 1500,
    ])
  })

  it('prints JSON, and a chart', async () => {
    const document = JSON.parse((await netsim([...FEW, '-o', 'json', '--rate', '1Gbps'])).out) as { kind: string; ways: { rate: number }[] }
    expect([document.kind, document.ways[0].rate]).toEqual(['OverlayCost', 1e9])
    expect((await netsim([...FEW, '-o', 'svg', '--chart', 'goodput'])).out).toMatch(/^<svg .*<\/svg>\n$/s)
  })

  it('prints what its schema says', async () => {
    const schema = JSON.parse(readFileSync(`${ROOT}docs/overlay.schema.json`, 'utf8')) as object
    const validate = new Ajv2020({ allErrors: true }).compile(schema)
    const { out } = await netsim(['bench', 'encap', '-o', 'json', '-f', 'examples/calico-ipip-crosssubnet.yaml', '--sizes', '9000'], { cwd: ROOT })
    expect([validate(JSON.parse(out)), validate.errors]).toEqual([true, null])
    expect(validate({ ...(JSON.parse(out) as object), sizes: 'all' })).toBe(false)
  })

  it.each([
    [['--backends', 'flannel-vxlna'], 'Did you mean flannel-vxlan?'],
    [['--backends', 'cilium'], 'There are: flannel-host-gw, flannel-udp, '],
    [['--sizes', '12'], 'from 28 to 65535'],
    [['--rate', 'fast'], '10Gbps'],
    [['--cost', 'tunnel'], 'NAME=NANOSECONDS'],
    [['--cost', 'tunel=5'], 'did you mean tunnel'],
    [['--chart', 'pie'], 'overhead, goodput'],
    [['--chart', 'goodput'], 'is of -o svg'],
  ])('refuses %j', async (flags, told) => {
    const { err, out, code: status } = await netsim(['bench', 'encap', ...flags])
    expect([status, out]).toEqual([2, ''])
    expect(err).toContain(told)
  })

  it('names what is wrong with the input', async () => {
    const one = 'apiVersion: v1\nkind: Node\nmetadata: {name: a}\nstatus: {addresses: [{type: InternalIP, address: 10.1.1.1}]}\n'
    const { err, code: status } = await netsim(['bench', 'encap', '-f', '-'], { stdin: one })
    expect([status, err]).toEqual([3, expect.stringContaining('needs two of them')])
  })
})
