/** Every frame on some devices of some namespaces, with the moment in which a packet socket had it; and packets sent there. Root only. */
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

export interface ClockedFrame {
  /** Seconds of the machine's monotonic clock. */
  readonly at: number
  readonly netns: string
  readonly device: string
  readonly out: boolean
  readonly hex: string
}

/** Prints what it sees, one JSON line a frame; sends IP packets as it is told, `NETNS DESTINATION HEX`. Echoes `@N` with its clock. */
const WATCHER = `
import ctypes, json, os, select, socket, sys, time
libc = ctypes.CDLL(None, use_errno=True)
names, raws = {}, {}
poller = select.poll()
for netns, devices in json.loads(sys.argv[1]).items():
    fd = os.open('/run/netns/' + netns, os.O_RDONLY)
    if libc.setns(fd, 0x40000000) != 0: raise OSError(ctypes.get_errno(), netns)
    os.close(fd)
    raws[netns] = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    for device in devices:
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        s.bind((device, 3))
        s.setblocking(False)
        poller.register(s.fileno(), select.POLLIN)
        names[s.fileno()] = (s, netns, device)
poller.register(0, select.POLLIN)
print(json.dumps({'mark': 'ready', 'at': time.monotonic()}), flush=True)
while True:
    for fd, _ in poller.poll():
        if fd == 0:
            line = sys.stdin.readline()
            if line == '': sys.exit(0)
            words = line.split()
            if words[0] == '@': print(json.dumps({'mark': words[1], 'at': time.monotonic()}), flush=True)
            else:
                try: raws[words[0]].sendto(bytes.fromhex(words[2]), (words[1], 0))
                except OSError: pass
            continue
        s, netns, device = names[fd]
        try: data, address = s.recvfrom(70000)
        except BlockingIOError: continue
        print(json.dumps({'at': time.monotonic(), 'netns': netns, 'device': device, 'out': address[2] == 4, 'hex': data.hex()}), flush=True)
`

export class FrameClock {
  readonly frames: ClockedFrame[] = []
  private readonly child: ChildProcessByStdio<Writable, Readable, null>
  private readonly marks = new Map<string, (at: number) => void>()
  private nextMark = 0
  private readonly ready: Promise<number>

  /** @param devices by the namespace's name */
  constructor(devices: Readonly<Record<string, readonly string[]>>) {
    this.child = spawn('python3', ['-u', '-c', WATCHER, JSON.stringify(devices)], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.ready = this.expectMark('ready')
    createInterface({ input: this.child.stdout }).on('line', (line) => {
      const heard = JSON.parse(line) as ClockedFrame & { readonly mark?: string }
      if (heard.mark === undefined) this.frames.push(heard)
      else this.marks.get(heard.mark)?.(heard.at)
    })
  }

  private expectMark(mark: string): Promise<number> {
    return new Promise((resolve) => this.marks.set(mark, resolve))
  }

  async start(): Promise<void> {
    await this.ready
  }

  /** Now, by the clock of the frames; whatever was sent before is on its way. */
  async now(): Promise<number> {
    const mark = `m${this.nextMark++}`
    const heard = this.expectMark(mark)
    this.child.stdin.write(`@ ${mark}\n`)
    return heard
  }

  send(netns: string, destination: string, packet: Uint8Array): void {
    this.child.stdin.write(`${netns} ${destination} ${Buffer.from(packet).toString('hex')}\n`)
  }

  stop(): void {
    this.child.kill('SIGKILL')
  }
}
