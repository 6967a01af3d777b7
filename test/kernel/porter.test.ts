/** The lab's helper (Python) keeps its hands off what is no namespace's own. Nothing is written here: opening is replaced by a note. */
import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'

const DRIVER = `
import json, os, sys
sys.path.insert(0, sys.argv[1])
import porter
written, complaints = [], []
def fake(path, flags):
    written.append(path)
    if path.endswith('ip_default_ttl'): raise OSError(22, 'Invalid argument')
    if path.endswith('unknown'): raise OSError(2, 'No such file or directory')
    return os.dup(2)
class Hands:
    complain = staticmethod(lambda what, text: complaints.append([what, text]))
real, porter.os.open = os.open, fake
porter.os.write = lambda fd, data: len(data)
porter.Namespace.settings(Hands, sys.stdin.read(), sys.argv[2] == 'tolerant')
print(json.dumps({'written': written, 'complaints': complaints, 'path': os.environ['PATH']}))
`
const havePython = spawnSync('python3', ['--version']).status === 0

interface Told {
  readonly written: readonly string[]
  readonly complaints: readonly (readonly [string, string])[]
  readonly path: string
}

function settings(text: string, tolerance: 'tolerant' | 'strict', environment: NodeJS.ProcessEnv = process.env): Told {
  const { stdout, stderr } = spawnSync('python3', ['-B', '-c', DRIVER, 'src/kernel', tolerance], { input: text, encoding: 'utf8', env: environment })
  if (stderr !== '') throw new Error(stderr)
  return JSON.parse(stdout) as Told
}

describe.skipIf(!havePython)('the helper’s sysctls', () => {
  it('writes what is a namespace’s own, with dots in a device’s name', () => {
    expect(settings('net.ipv4.ip_forward = 1\nnet.ipv4.conf.eth0/100.rp_filter = 2\n', 'strict')).toMatchObject({
      written: ['/proc/sys/net/ipv4/ip_forward', '/proc/sys/net/ipv4/conf/eth0.100/rp_filter'],
      complaints: [],
    })
  })

  it.each([
    'vm.swappiness',
    'kernel.sysrq',
    'fs.file-max',
    'net.ipv4.conf.//.//.//.vm.swappiness',
    'net.ipv4..ip_forward',
    'net./.x',
    'net.netfilter.nf_hooks_lwtunnel',
  ])('leaves %s alone, and says so', (key) => {
    const { written, complaints } = settings(`${key} = 1\n`, 'tolerant')
    expect([written, complaints]).toEqual([[], [[`sysctl ${key}`, expect.stringContaining('left alone')]]])
  })

  it('names a value that the kernel refuses; a setting that it does not have is named only where all must be there', () => {
    const text = 'net.ipv4.ip_default_ttl = 300\nnet.ipv4.unknown = 1\n'
    expect(settings(text, 'tolerant').complaints.map(([what]) => what)).toEqual(['sysctl net.ipv4.ip_default_ttl = 300'])
    expect(settings(text, 'strict').complaints).toHaveLength(2)
  })

  it('never looks for a tool in the folder where the user stands', () => {
    const { path } = settings('', 'strict', { ...process.env, PATH: `${process.env.PATH ?? ''}::.:bin:` })
    expect(path.split(':').every((folder) => folder.startsWith('/'))).toBe(true)
  })
})
