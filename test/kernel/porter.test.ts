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
/** A ring as perf_event_open makes it, written by hand: head and tail on the first page, records from the second on. */
const RING_DRIVER = `
import json, struct, sys
sys.path.insert(0, sys.argv[1])
import porter
size = porter.PERF_PAGES * porter.mmap.PAGESIZE
raw = struct.pack('=QHxxIQ', 7, 0x0800, 2, 64)
drops = object.__new__(porter.Drops)
drops.fields = {'location': (0, 8), 'protocol': (8, 2), 'reason': (12, 4)}
drops.reasons = {2: 'NO_SOCKET'}
def filled(records, tail):
    drops.ring = bytearray(size + porter.mmap.PAGESIZE)
    record = struct.pack('=IIQI', 41, 41, 1000, len(raw)) + raw
    record = struct.pack('=IHH', porter.PERF_RECORD_SAMPLE, 0, 8 + len(record)) + record
    head = tail
    for _ in range(records):
        for byte in record:
            drops.ring[porter.mmap.PAGESIZE + head % size] = byte
            head += 1
    struct.pack_into('=QQ', drops.ring, 1024, head, tail)
    return len(record)
porter.clocks_apart = lambda: 0
lab = object.__new__(porter.Lab)
lab.drops = drops
answers = []
for records, tail in ((2, 0), (2, size - 20), ((size - porter.LONGEST_RECORD) // filled(0, 0) + 1, 0)):
    filled(records, tail)
    found, why = lab.drops_between(900, 2000)
    answers.append([None if found is None else found, why, struct.unpack_from('=QQ', drops.ring, 1024)[0] == struct.unpack_from('=Q', drops.ring, 1032)[0]])
print(json.dumps(answers))
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

describe.skipIf(!havePython)('the ring of the kernel’s losses', () => {
  it('is read to its head, over its end too; one that has no room left is no list of losses', () => {
    const { stdout, stderr } = spawnSync('python3', ['-B', '-c', RING_DRIVER, 'src/kernel'], { encoding: 'utf8' })
    expect(stderr).toBe('')
    const loss = ['NO_SOCKET', '0000000000000007', 0, 100]
    expect(JSON.parse(stdout)).toEqual([
      [[loss, loss], '', true],
      [[loss, loss], '', true],
      [null, 'the kernel lost more packets than the ring has room for: reasons are missing', true],
    ])
  })
})
