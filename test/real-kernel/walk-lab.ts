/**
 * The texts of test/net/kit.ts loaded into network namespaces of the real kernel, packets sent there, and every frame that a
 * packet socket sees on every device. Root only.
 */
import { execFileSync, spawn, type ChildProcessByStdio } from 'node:child_process'
import { createInterface, type Interface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { formatMac } from '../../src/base/mac.js'
import { linesOfHost, macFor, type Hosts } from '../net/kit.js'

const PREFIX = 'netsim-test-walk-'

export interface CapturedFrame {
  readonly netns: string
  readonly device: string
  readonly out: boolean
  readonly hex: string
}

/** Sends what it is told on standard input and answers with the frames seen until the time is over. */
const PORTER = `
import ctypes, json, os, select, socket, sys, time
libc = ctypes.CDLL(None, use_errno=True)
prefix, layout = sys.argv[1], json.loads(sys.argv[2])
def enter(ns):
    fd = os.open('/run/netns/' + prefix + ns, os.O_RDONLY)
    if libc.setns(fd, 0x40000000) != 0: raise OSError(ctypes.get_errno(), ns)
    os.close(fd)
poller, names, keep, raws, udps, pack = select.poll(), {}, [], {}, {}, {}
for ns, host in layout.items():
    enter(ns)
    for device in host['devices']:
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        s.bind((device, 3))
        s.setblocking(False)
        poller.register(s.fileno(), select.POLLIN)
        names[s.fileno()] = (s, ns, device)
        out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        out.bind((device, 0))
        pack[(ns, device)] = out
    raws[ns] = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    udps[ns] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udps[ns].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    udps[ns].bind(('0.0.0.0', 40000))
    for kind, port in host['sockets']:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == 'udp' else socket.SOCK_STREAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(('0.0.0.0', port))
        if kind == 'tcp': s.listen(5)
        keep.append(s)
def drain(wait):
    end, got = time.monotonic() + wait, []
    while True:
        left = end - time.monotonic()
        if left <= 0: return got
        for fd, _ in poller.poll(left * 1000):
            s, ns, device = names[fd]
            while True:
                try: data, address = s.recvfrom(70000)
                except BlockingIOError: break
                if device == 'lo' and address[2] == 4: continue
                got.append([ns, device, address[2] == 4, data.hex()])
print('ready', flush=True)
for line in sys.stdin:
    ask = json.loads(line)
    data = bytes.fromhex(ask.get('hex', ''))
    error = ''
    try:
        if ask['kind'] == 'raw': raws[ask['ns']].sendto(data, (ask['dst'], 0))
        elif ask['kind'] == 'frame': pack[(ask['ns'], ask['device'])].send(data)
        elif ask['kind'] == 'udp':
            s = udps[ask['ns']]
            if 'src' in ask:
                enter(ask['ns'])
                s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                s.bind((ask['src'], 40000))
            s.setsockopt(socket.IPPROTO_IP, 10, ask['pmtudisc'])
            s.sendto(bytes(i & 255 for i in range(ask['size'])), (ask['dst'], ask['dport']))
            if 'src' in ask: s.close()
    except OSError as e: error = os.strerror(e.errno)
    print(json.dumps({'error': error, 'frames': drain(ask['wait'] / 1000)}), flush=True)
`

export interface Ask {
  readonly kind: 'raw' | 'frame' | 'udp' | 'wait'
  readonly ns?: string
  readonly device?: string
  readonly hex?: string
  readonly src?: string
  readonly dst?: string
  readonly dport?: number
  readonly size?: number
  readonly pmtudisc?: number
  /** ms */
  readonly wait: number
}

export class WalkLab {
  private readonly hosts: Hosts
  private porter: ChildProcessByStdio<Writable, Readable, null> | undefined
  private lines: Interface | undefined
  private readonly waiting: ((line: string) => void)[] = []

  constructor(hosts: Hosts) {
    this.hosts = hosts
    this.remove()
    const names = Object.keys(hosts)
    for (const name of names) {
      run('ip', ['netns', 'add', PREFIX + name])
      this.inside(
        name,
        'sysctl',
        '-qw',
        'net.ipv6.conf.all.disable_ipv6=1',
        'net.ipv6.conf.default.disable_ipv6=1',
        'net.ipv4.conf.all.rp_filter=0',
        'net.ipv4.conf.default.rp_filter=0',
      )
      this.inside(name, 'ip', 'link', 'set', 'lo', 'up')
    }
    names.forEach((name, index) => this.links(name, index + 1))
    for (const name of names) this.state(name)
  }

  async start(): Promise<void> {
    const layout = Object.fromEntries(
      Object.entries(this.hosts).map(([name, host]) => {
        const lines = linesOfHost(host)
        const devices = ['lo', ...lines.filter((words) => words[0] === 'link' && !words.includes('down')).map((words) => words[1])]
        return [name, { devices, sockets: lines.filter(([word]) => word === 'socket').map(([, kind, port]) => [kind, Number(port)]) }]
      }),
    )
    await this.settled()
    const porter = spawn('python3', ['-c', PORTER, PREFIX, JSON.stringify(layout)], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.porter = porter
    this.lines = createInterface({ input: porter.stdout })
    const ready = this.nextLine()
    this.lines.on('line', (line) => this.waiting.shift()?.(line))
    await ready
  }

  async ask(ask: Ask): Promise<{ readonly error: string; readonly frames: readonly CapturedFrame[] }> {
    const answer = this.nextLine()
    this.porter?.stdin.write(`${JSON.stringify(ask)}\n`)
    const { error, frames } = JSON.parse(await answer) as { error: string; frames: [string, string, boolean, string][] }
    return { error, frames: frames.map(([netns, device, out, hex]) => ({ netns, device, out, hex })) }
  }

  /** Ends everything; safe to call twice. */
  remove(): void {
    this.lines?.close()
    this.porter?.kill()
    this.porter = undefined
    for (const name of Object.keys(this.hosts)) {
      try {
        execFileSync('ip', ['netns', 'del', PREFIX + name], { stdio: 'ignore' })
      } catch {
        // it was not there
      }
    }
  }

  /** A cable that was just plugged in carries nothing until the kernel's linkwatch has seen it (up to a second). */
  private async settled(): Promise<void> {
    for (let tries = 0; tries < 60; tries++) {
      const pending = Object.entries(this.hosts).some(([name, host]) => {
        const state = execFileSync('ip', ['-n', PREFIX + name, '-o', 'link', 'show'], { encoding: 'utf8' })
        return linesOfHost(host).some(
          (words) => words[0] === 'link' && !words.includes('down') && !new RegExp(` ${words[1]}[@:].*(state UP|type vxlan|state UNKNOWN)`).test(state),
        )
      })
      if (!pending) return
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    throw new Error('the devices do not come up')
  }

  private nextLine(): Promise<string> {
    return new Promise((resolve) => this.waiting.push(resolve))
  }

  private inside(name: string, ...command: readonly string[]): void {
    run('ip', ['netns', 'exec', PREFIX + name, ...command])
  }

  private links(name: string, index: number): void {
    const links = linesOfHost(this.hosts[name]).filter(([word]) => word === 'link')
    links.forEach((words, i) => {
      const [, device, kind] = words
      const after = (word: string): string | undefined => (words.includes(word) ? words[words.indexOf(word) + 1] : undefined)
      if (kind === 'veth') {
        const [peerHost, peer] = words[3].split('/')
        if (!exists(PREFIX + name, device))
          run('ip', ['link', 'add', device, 'netns', PREFIX + name, 'type', 'veth', 'peer', 'name', peer, 'netns', PREFIX + peerHost])
        run('ip', ['netns', 'exec', PREFIX + name, 'ethtool', '-K', device, 'tx', 'off', 'rx', 'off', 'gso', 'off', 'tso', 'off', 'gro', 'off'], true)
      } else if (kind === 'vxlan') {
        this.inside(
          name,
          'ip',
          'link',
          'add',
          device,
          'type',
          'vxlan',
          'id',
          after('id') ?? '',
          'local',
          after('local') ?? '',
          'dstport',
          after('dstport') ?? '',
          words.includes('learning') ? 'learning' : 'nolearning',
          'noudpcsum',
          ...(words.includes('gbp') ? ['gbp'] : []),
        )
      } else if (kind === 'bridge') this.inside(name, 'ip', 'link', 'add', device, 'type', 'bridge', 'mcast_snooping', '0')
      else if (kind === 'dummy') this.inside(name, 'ip', 'link', 'add', device, 'type', 'dummy')
      this.inside(name, 'ip', 'link', 'set', device, 'address', formatMac(macFor(index, i + 1)), 'mtu', after('mtu') ?? (kind === 'vxlan' ? '1450' : '1500'))
    })
    for (const words of links) {
      const [, device] = words
      const master = words.includes('master') ? words[words.indexOf('master') + 1] : undefined
      if (master !== undefined) this.inside(name, 'ip', 'link', 'set', device, 'master', master)
      const flags = [
        ...(words.includes('hairpin') ? ['hairpin', 'on'] : []),
        ...(words.includes('isolated') ? ['isolated', 'on'] : []),
        ...(words.includes('nolearning') && master !== undefined ? ['learning', 'off'] : []),
        ...(words.includes('noflood') ? ['flood', 'off'] : []),
      ]
      if (flags.length > 0) this.inside(name, 'bridge', 'link', 'set', 'dev', device, ...flags)
      if (!words.includes('down')) this.inside(name, 'ip', 'link', 'set', device, 'up')
    }
  }

  private state(name: string): void {
    const host = this.hosts[name]
    for (const words of linesOfHost(host)) {
      const rest = words.slice(1)
      if (words[0] === 'addr') this.inside(name, 'ip', 'addr', 'add', ...rest)
      else if (words[0] === 'sysctl') this.inside(name, 'sysctl', '-qw', ...rest)
    }
    for (const words of linesOfHost(host)) {
      const rest = words.slice(1)
      if (words[0] === 'route' || words[0] === 'rule' || words[0] === 'neigh') this.inside(name, 'ip', words[0], ...rest)
      else if (words[0] === 'fdb') this.inside(name, 'bridge', 'fdb', ...rest)
    }
    const iptables = typeof host === 'string' ? undefined : host.iptables
    if (iptables !== undefined) execFileSync('ip', ['netns', 'exec', PREFIX + name, 'iptables-restore'], { input: iptables, stdio: ['pipe', 'ignore', 'pipe'] })
  }
}

function run(command: string, words: readonly string[], tolerant = false): void {
  try {
    execFileSync(command, words, { stdio: ['ignore', 'ignore', 'pipe'] })
  } catch (error) {
    if (!tolerant) throw new Error(`${command} ${words.join(' ')}: ${String((error as { stderr?: Buffer }).stderr)}`, { cause: error })
  }
}

function exists(netns: string, device: string): boolean {
  try {
    execFileSync('ip', ['-n', netns, 'link', 'show', device], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
