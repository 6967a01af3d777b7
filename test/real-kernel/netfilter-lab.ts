/**
 * Three network namespaces of the real kernel, a - r - b, with r's iptables in question: frames go in at a or b as raw bytes, and
 * what comes out at either end is compared with what netsim's netfilter makes of the same packet. Root only.
 */
import { execFileSync, spawn, type ChildProcessByStdio } from 'node:child_process'
import { createInterface, type Interface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

export type Side = 'a' | 'b'

const MACS = { a: '02:00:00:00:01:02', ra: '02:00:00:00:01:01', b: '02:00:00:00:02:02', rb: '02:00:00:00:02:01' } as const

/** Sends frames given as hex and answers with the IPv4 frames that each end received until nothing came for a while. */
const PORTER = `
import ctypes, json, os, select, socket, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def opened(ns, device):
    fd = os.open('/run/netns/' + ns, os.O_RDONLY)
    if libc.setns(fd, 0x40000000) != 0: raise OSError(ctypes.get_errno(), ns)
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    s.bind((device, 0x0800))
    return s
ends = {'a': opened(sys.argv[1] + 'a', 'va'), 'b': opened(sys.argv[1] + 'b', 'vb')}
def drain(quiet):
    got = {'a': [], 'b': []}
    while True:
        ready = select.select(list(ends.values()), [], [], quiet)[0]
        if not ready: return got
        for name, s in ends.items():
            if s in ready:
                data, address = s.recvfrom(65535)
                if address[2] != 4: got[name].append(data.hex())
print('ready', flush=True)
for line in sys.stdin:
    ask = json.loads(line)
    drain(0)
    ends[ask['side']].send(bytes.fromhex(ask['hex']))
    print(json.dumps(drain(0.03)), flush=True)
`

export class Lab {
  private readonly prefix: string
  private porter: ChildProcessByStdio<Writable, Readable, null> | undefined
  private lines: Interface | undefined
  private readonly waiting: ((line: string) => void)[] = []

  constructor(prefix: string) {
    this.prefix = prefix
    this.remove()
    for (const name of ['a', 'r', 'b']) {
      ip('netns', 'add', prefix + name)
      this.run(name, 'sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1')
    }
    this.cable('a', 'va', 'ra', '10.1.0.2/24', '10.1.0.1/24')
    this.cable('b', 'vb', 'rb', '10.2.0.2/24', '10.2.0.1/24')
    this.run('r', 'ip', 'link', 'set', 'lo', 'up')
    this.run(
      'r',
      'sysctl',
      '-qw',
      'net.ipv4.ip_forward=1',
      'net.ipv4.conf.all.rp_filter=0',
      'net.ipv4.conf.default.rp_filter=0',
      'net.ipv4.conf.ra.rp_filter=0',
      'net.ipv4.conf.rb.rp_filter=0',
    )
    this.run(
      'r',
      'sysctl',
      '-qw',
      'net.ipv4.icmp_ratelimit=0',
      'net.ipv4.conf.all.send_redirects=0',
      'net.ipv4.conf.ra.send_redirects=0',
      'net.ipv4.conf.rb.send_redirects=0',
    )
  }

  /** Runs a command in the router's netns. */
  router(command: readonly string[], input = ''): string {
    return execFileSync('ip', ['netns', 'exec', `${this.prefix}r`, ...command], { encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'pipe'] })
  }

  async start(): Promise<void> {
    const porter = spawn('python3', ['-c', PORTER, this.prefix], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.porter = porter
    this.lines = createInterface({ input: porter.stdout })
    const ready = this.nextLine()
    this.lines.on('line', (line) => this.waiting.shift()?.(line))
    await ready
  }

  /** @returns the IPv4 packets, without their Ethernet headers, that came out at either end */
  async send(side: Side, packet: Uint8Array): Promise<Record<Side, Uint8Array[]>> {
    const header = `${side === 'a' ? MACS.ra : MACS.rb}${side === 'a' ? MACS.a : MACS.b}0800`.replaceAll(':', '')
    const answer = this.nextLine()
    this.porter?.stdin.write(`${JSON.stringify({ side, hex: header + Buffer.from(packet).toString('hex') })}\n`)
    const got = JSON.parse(await answer) as Record<Side, string[]>
    const stripped = (frames: readonly string[]): Uint8Array[] => frames.map((hex) => new Uint8Array(Buffer.from(hex, 'hex').subarray(14)))
    return { a: stripped(got.a), b: stripped(got.b) }
  }

  /** Ends everything; safe to call twice. */
  remove(): void {
    this.lines?.close()
    this.porter?.kill()
    for (const name of ['a', 'r', 'b']) {
      try {
        execFileSync('ip', ['netns', 'del', this.prefix + name], { stdio: 'ignore' })
      } catch {
        // it was not there
      }
    }
  }

  private nextLine(): Promise<string> {
    return new Promise((resolve) => this.waiting.push(resolve))
  }

  private run(name: string, ...command: readonly string[]): void {
    ip('netns', 'exec', this.prefix + name, ...command)
  }

  private cable(end: Side, device: 'va' | 'vb', other: 'ra' | 'rb', address: string, routerAddress: string): void {
    ip('link', 'add', device, 'netns', this.prefix + end, 'type', 'veth', 'peer', 'name', other, 'netns', `${this.prefix}r`)
    this.run(end, 'ip', 'link', 'set', device, 'address', MACS[end], 'up', 'arp', 'off')
    this.run('r', 'ip', 'link', 'set', other, 'address', MACS[other], 'up')
    this.run('r', 'ip', 'addr', 'add', routerAddress, 'dev', other)
    // the far end answers no ARP: it is a packet socket, whatever the address
    const network = address.slice(0, address.lastIndexOf('.'))
    for (const last of [2, 3, 4, 5]) this.run('r', 'ip', 'neigh', 'add', `${network}.${last}`, 'lladdr', MACS[end], 'dev', other, 'nud', 'permanent')
  }
}

function ip(...words: readonly string[]): void {
  execFileSync('ip', words, { stdio: ['ignore', 'ignore', 'pipe'] })
}
