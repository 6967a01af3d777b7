/** Wrong command lines, help and version: nothing here builds a network. */
import { describe, expect, it } from 'vitest'
import { netsim } from './memory-io.js'

describe('a wrong command line ends with 2, says why on standard error and prints nothing else', () => {
  it.each<[words: string, says: RegExp]>([
    ['trace a b --size abc', /'--size <BYTES>' argument 'abc' is invalid.*whole number from 20 to 65535/],
    ['trace a b --size 19', /--size/],
    ['trace a b --size 65536', /--size/],
    ['trace a b --size -1', /--size/],
    ['trace a b --size 1e3', /--size/],
    ['trace a b --proto icmp --size 27', /--size 27 is less than the headers of icmp: at least 28/],
    ['trace a b:1 --proto tcp --size 51', /at least 52/],
    ['trace a b --ttl 0', /'--ttl <N>' argument '0' is invalid.*1 to 255/],
    ['trace a b --ttl 256', /--ttl/],
    ['trace a b --sport 70000', /'--sport <PORT>' argument '70000' is invalid.*1 to 65535/],
    ['trace a b --sport 0', /--sport/],
    ['trace a b --seed x', /'--seed <N>' argument 'x' is invalid/],
    ['trace a b --seed 4294967296', /--seed/],
    ['trace a b --seed 1.5', /--seed/],
    ['trace a b -n', /option '-n, --namespace <NAME>' argument missing/],
    ['trace a b -n Shop_1', /name of a namespace/],
    ['trace a b -f', /option '-f, --filename <FILE\|DIR\|->' argument missing/],
    ['trace a b --proto tpc', /Did you mean tcp\?/],
    ['trace a b --at soon', /250ms, 30s/],
    ['trace a b --at 91d', /up to 90d/],
    ['trace a b --expect DELIVRED', /'DELIVRED' is no disposition\. Did you mean DELIVERED\?/],
    ['trace a b --expect DENIED,', /'' is no disposition/],
    ['trace a b -o html', /There is none of that name: take text, wide, json, jsonl, minimal or mermaid/],
    ['trace a b -o jsom', /Did you mean json\?/],
    ['trace a b --color sometimes', /auto, always or never/],
    ['trace a b --sumary', /unknown option '--sumary'\n\(Did you mean --summary\?\)/],
    ['trace a b --pcap', /option '--pcap <FILE\|->' argument missing/],
    ['trace a', /missing required argument 'DST\[:PORT\]'/],
    ['trace', /missing required argument 'SRC'/],
    ['trace a b c', /too many arguments/],
    ['trcae a b', /unknown command 'trcae'\n\(Did you mean trace\?\)/],
    ['show', /missing required argument 'KIND'/],
    ['show policies', /not yet modelled: policies\nThere are nodes, pods, leases, etcd, routes,/],
    ['show routes --kind fdb', /--kind is of timeline, not of routes/],
    ['show timeline --at 5s', /take --from and --to/],
    ['show timeline --agent flanel', /Did you mean flanneld/],
    ['show routes --diff-from 5s', /--diff-from needs --at/],
    ['show routes --at 4s --diff-from 5s', /--diff-from is later than --at/],
    ['run', /missing required argument 'SCENARIO'/],
    ['run x.yaml -o csv', /take text, json or svg/],
    ['show bgp', /nobody speaks BGP here: the pods' network is flannel's/],
    ['show ipam', /there is no Calico here: the pods' network is flannel's/],
    ['show routes --dialect bird2', /--dialect is of bird, not of routes/],
    ['show bird --dialect bird3', /bird3.* is invalid/],
    ['show ruotes', /there is no kind 'ruotes' to show \(Did you mean routes\?\)/],
    ['show constructor', /there is no kind 'constructor'/],
    ['show routes a b', /too many arguments/],
    ['help nothing', /Usage: netsim/],
    ['--nonsense', /unknown option '--nonsense'/],
  ])('netsim %s', async (words, says) => {
    const { code, out, err } = await netsim(words.split(' '))
    expect(err).toMatch(says)
    expect(err).not.toMatch(/ {4}at /)
    expect({ code, out }).toEqual({ code: 2, out: '' })
  })

  it('an empty end is one too', async () => {
    expect(await netsim(['trace', '', 'pod-b'])).toEqual({ code: 2, out: '', err: 'error: SRC is empty\n' })
  })
})

describe('help', () => {
  it.each([[['--help']], [['help']], [[]]])('%j shows examples first, then the verbs, and ends with 0', async (words) => {
    const { code, out, err } = await netsim(words)
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(/^Examples:\n {2}netsim trace pod-a pod-b /)
    expect(out.indexOf('Examples:')).toBeLessThan(out.indexOf('Usage: netsim'))
    expect(out).toMatch(/^Exit status:\n {2}0 {2}as asked/m)
  })

  it.each([['trace'], ['show']])('help %s equals %s --help', async (verb) => {
    const help = await netsim(['help', verb])
    expect(help).toEqual(await netsim([verb, '--help']))
    expect(help.code).toBe(0)
    expect(help.out).toMatch(new RegExp(`^Examples:\n {2}netsim ${verb} [^]*Usage: netsim ${verb} \\[options\\]`))
  })

  it('names every flag of the contract that exists', async () => {
    const { out } = await netsim(['trace', '-h'])
    const flags =
      '-f -R -n --proto --sport --size --df --ttl --cold --listen --at --seed -o -v --expect --summary --svg --pcap --color --no-color --ascii'.split(' ')
    expect(flags.filter((flag) => !new RegExp(`^ {2}.*${flag}\\b`, 'm').test(out))).toEqual([])
  })

  it('fits the width that COLUMNS names', async () => {
    const { out } = await netsim(['show', '--help'], { env: { COLUMNS: '80' } })
    expect(
      Math.max(
        ...out
          .slice(out.indexOf('Options:'))
          .split('\n')
          .map((line) => line.length),
      ),
    ).toBeLessThanOrEqual(80)
  })

  it('speaks of kubectl netsim when kubectl started it', async () => {
    const { out } = await netsim(['--help'], { script: '/usr/local/bin/kubectl-netsim' })
    expect(out).toMatch(/^Usage: kubectl netsim \[options\]/m)
    expect(out).toMatch(/^Examples:\n {2}kubectl netsim trace /)
  })
})

it('--version prints the version alone', async () => {
  expect(await netsim(['--version'])).toMatchObject({ code: 0, out: expect.stringMatching(/^\S+\n$/), err: '' })
})
