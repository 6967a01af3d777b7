"""netsim's hands on a real kernel: makes network namespaces as it is told, sends, and sees every frame. One request a line on standard
input, one answer a line on standard output, both JSON. It works in a mount namespace and a network namespace of its own; the namespaces it
makes have their names there only and are held open by this process alone, so that its end, by whatever means, takes them all away.
Python 3.8 and the standard library; source of the numbers below: the kernel's uapi headers."""
import base64
import ctypes
import errno
import fcntl
import glob
import json
import mmap
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

from tun_proxy import Proxy, checksum

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
PR_SET_PDEATHSIG = 1
COMMAND_SECONDS = 10
RUN_DIRECTORY = '/run/netns/'

libc = ctypes.CDLL(None, use_errno=True)
# an empty word of PATH is the folder where the user stands, and whoever may write there must not become root
SEARCHED = [folder for folder in os.environ.get('PATH', '').split(':') if folder.startswith('/')]
os.environ['PATH'] = ':'.join(SEARCHED + ['/usr/local/sbin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'])
ENVIRONMENT = {**os.environ, 'LC_ALL': 'C'}


SELF = os.getpid()


class Failure(Exception):
    """What a person should know: what is wrong, and what helps."""

    def __init__(self, what, fix=''):
        super().__init__(what)
        self.fix = fix


def call(name, *arguments):
    if getattr(libc, name)(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def die_with_parent(parent=None):
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # whose parent went in the very moment hears of it no more
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def command(words, text='', seconds=COMMAND_SECONDS):
    """(status, stdout, stderr) of a command in the netns that this thread is in."""
    try:
        done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=seconds, env=ENVIRONMENT)
        return done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired:
        return -1, '', '%s did not end within %d s' % (words[0], seconds)
    except OSError as error:
        return 127, '', '%s: %s' % (words[0], error.strerror)


# --- tracepoints, by perf_event_open(2): what is open is closed with the process ---

TRACING = '/sys/kernel/tracing'
PERF_TYPE_TRACEPOINT = 2
PERF_SAMPLE_TID, PERF_SAMPLE_TIME, PERF_SAMPLE_RAW = 2, 4, 1 << 10
PERF_RECORD_SAMPLE = 9
PERF_PAGES, LONGEST_RECORD = 256, 512
ETH_P_IP, ETH_P_ARP = 0x0800, 0x0806
SYSCALL_PERF_EVENT_OPEN = {'x86_64': 298, 'aarch64': 241, 'riscv64': 241, 'ppc64le': 319, 's390x': 331}


def clocks_apart():
    """Nanoseconds from the monotonic clock to that of the day; whoever is interrupted between the two looks is asked again."""
    looks = []
    for _ in range(3):
        before = time.monotonic_ns()
        now = time.time_ns()
        looks.append((time.monotonic_ns() - before, now - before))
    return min(looks)[1]


class Drops:
    """kfree_skb on the CPU that the lab runs on."""

    def __init__(self, cpu):
        if not os.path.exists(TRACING + '/events'):
            call('mount', b'none', TRACING.encode(), b'tracefs', 0, None)
        folder = TRACING + '/events/skb/kfree_skb/'
        with open(folder + 'format') as file:
            text = file.read()
        fields = re.findall(r'field:[^;]*?(\w+);\s*offset:(\d+);\s*size:(\d+)', text)
        self.fields = {name: (int(offset), int(size)) for name, offset, size in fields}
        if 'reason' not in self.fields:
            raise OSError(0, 'this kernel gives no reasons of drops (Linux 5.17 does)')
        self.reasons = {int(number): name for number, name in re.findall(r'\{\s*(\d+),\s*"(\w+)"\s*\}', text)}
        with open(folder + 'id') as file:
            number = int(file.read())
        # type, size, config, period 1, sample_type, read_format, flags (use_clockid), wakeup, bp_type, config1..., clockid
        wanted = PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_RAW
        attributes = bytearray(struct.pack('=IIQQQQQ', PERF_TYPE_TRACEPOINT, 112, number, 1, wanted, 0, 1 << 25).ljust(112, b'\0'))
        struct.pack_into('=i', attributes, 92, time.CLOCK_MONOTONIC)
        buffer = ctypes.create_string_buffer(bytes(attributes), 112)
        call_number = SYSCALL_PERF_EVENT_OPEN.get(os.uname().machine)
        if call_number is None:
            raise OSError(0, 'perf_event_open has an unknown number on %s' % os.uname().machine)
        libc.syscall.restype = ctypes.c_long
        self.fd = libc.syscall(call_number, buffer, -1, cpu, -1, 8)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), 'perf_event_open: ' + os.strerror(ctypes.get_errno()))
        self.ring = mmap.mmap(self.fd, (PERF_PAGES + 1) * mmap.PAGESIZE)

    def take(self):
        """[(time, pid, reason, location)] since the last call, and whether the ring had room for all."""
        ahead = clocks_apart()
        head, tail = struct.unpack_from('=QQ', self.ring, 1024)
        size, found = PERF_PAGES * mmap.PAGESIZE, []
        room = head - tail < size - LONGEST_RECORD
        while tail < head:
            at = tail % size
            kind, _, length = struct.unpack('=IHH', self._bytes(at, 8, size))
            if kind == PERF_RECORD_SAMPLE:
                record = self._bytes((at + 8) % size, length - 8, size)
                pid, _, when, _ = struct.unpack_from('=IIQI', record)
                raw = record[20:]
                reason = int.from_bytes(self._field(raw, 'reason'), sys.byteorder)
                location = int.from_bytes(self._field(raw, 'location'), sys.byteorder)
                if int.from_bytes(self._field(raw, 'protocol'), sys.byteorder) in (ETH_P_IP, ETH_P_ARP):
                    found.append((when + ahead, pid, self.reasons.get(reason, str(reason)), location))
            tail += length
        struct.pack_into('=Q', self.ring, 1032, tail)
        return found, room

    def _field(self, raw, name):
        offset, size = self.fields[name]
        return raw[offset:offset + size]

    def _bytes(self, at, length, size):
        page = mmap.PAGESIZE
        first = min(length, size - at)
        return self.ring[page + at:page + at + first] + self.ring[page:page + length - first]


# --- rings of packet sockets (Documentation/networking/packet_mmap.rst, TPACKET_V3) ---

SOL_PACKET = 263
PACKET_RX_RING, PACKET_STATISTICS, PACKET_VERSION = 5, 6, 10
TPACKET_V3 = 2
TP_STATUS_USER, TP_STATUS_CSUMNOTREADY = 1, 1 << 3
PACKET_OUTGOING = 4
ETH_P_ALL = 3
ARPHRD_LOOPBACK = 772
ETHERNET = (1, ARPHRD_LOOPBACK)
BLOCK = 1 << 17
RETIRE_MS = 2


class Ring:
    """Every frame on every device of one netns, copied by the kernel as it passes, in one order."""

    def __init__(self, blocks):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
        request = struct.pack('=7I', BLOCK, blocks, 2048, blocks * (BLOCK // 2048), RETIRE_MS, 0, 0)
        self.socket.setsockopt(SOL_PACKET, PACKET_RX_RING, request)
        self.map = mmap.mmap(self.socket.fileno(), BLOCK * blocks)
        self.blocks, self.block = blocks, 0
        self.lost()

    def fileno(self):
        return self.socket.fileno()

    def close(self):
        self.map.close()
        self.socket.close()

    def pending(self):
        return struct.unpack_from('=I', self.map, self.block * BLOCK + 12)[0] != 0

    def take(self):
        """[(ns, ifindex, packet type, link type, bytes, checksum is still to be made)]"""
        frames = []
        # once round: a storm would fill it again as fast as it is read
        for _ in range(self.blocks):
            base = self.block * BLOCK
            status, count, at = struct.unpack_from('=III', self.map, base + 8)
            if not status & TP_STATUS_USER:
                break
            at += base
            for _ in range(count):
                step, seconds, nanoseconds, captured, _, flags, mac = struct.unpack_from('=6IH', self.map, at)
                ifindex, hardware, kind = struct.unpack_from('=iHB', self.map, at + 52)
                data, partial = self.map[at + mac:at + mac + captured], bool(flags & TP_STATUS_CSUMNOTREADY)
                frames.append((seconds * 1000000000 + nanoseconds, ifindex, kind, hardware, data, partial))
                at += step
            # the count stays in the block until the kernel opens it anew
            struct.pack_into('=I', self.map, base + 12, 0)
            struct.pack_into('=I', self.map, base + 8, 0)
            self.block = (self.block + 1) % self.blocks
        return frames

    def lost(self):
        return struct.unpack('=III', self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 12))[1]


def completed(frame):
    """A frame of lo whose transport checksum nobody needed: the one a card would have put in."""
    if frame[12:14] != b'\x08\x00' or len(frame) < 34 or struct.unpack_from('!H', frame, 20)[0] & 0x3FFF:
        return frame
    start, length, proto = 14 + (frame[14] & 15) * 4, struct.unpack_from('!H', frame, 16)[0], frame[23]
    at = {6: 16, 17: 6}.get(proto)
    segment = bytearray(frame[start:14 + length])
    if at is None or len(segment) < at + 2:
        return frame
    struct.pack_into('!H', segment, at, 0)
    pseudo = frame[26:34] + struct.pack('!HH', proto, len(segment))
    total = checksum(bytes(pseudo + segment + b'\0' * (len(segment) % 2)))
    struct.pack_into('!H', segment, at, 0xFFFF if total == 0 and proto == 17 else total)
    return frame[:start] + bytes(segment) + frame[14 + length:]


# --- rtnetlink(7): neighbours and FDB entries ---

RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH = 28, 29, 30
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP, NLM_F_CREATE, NLM_F_REPLACE = 1, 4, 0x300, 0x400, 0x100
NLMSG_ERROR, NLMSG_DONE = 2, 3
NDA_DST, NDA_LLADDR, NDA_MASTER = 1, 2, 9
NTF_SELF, NTF_MASTER, NTF_PROXY, NTF_EXT_LEARNED = 2, 4, 8, 16
NUD = {'incomplete': 1, 'reachable': 2, 'stale': 4, 'delay': 8, 'probe': 16, 'failed': 32, 'noarp': 64, 'permanent': 128}
NUD_LASTING = NUD['permanent'] | NUD['noarp']
AF_BRIDGE = 7
NETLINK_NETFILTER = 12
SYSCALL_PIDFD_OPEN, SYSCALL_PIDFD_GETFD = 434, 438
SO_RCVBUFFORCE, MONITOR_BUFFER = 33, 1 << 25
CTNETLINK_DELETE_ALL = (1 << 8) | 2


class Netlink:
    def __init__(self, protocol=0):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self.socket.settimeout(5)
        self.sequence = 0

    def ask(self, kind, flags, body):
        self.sequence += 1
        self.socket.send(struct.pack('=IHHII', 16 + len(body), kind, flags | NLM_F_REQUEST, self.sequence, 0) + body)
        answers = []
        while True:
            data = self.socket.recv(1 << 18)
            while len(data) >= 16:
                length, answer, _, sequence, _ = struct.unpack_from('=IHHII', data)
                payload, data = data[16:length], data[(length + 3) & ~3:]
                if sequence != self.sequence:
                    continue
                if answer == NLMSG_ERROR:
                    number = -struct.unpack_from('=i', payload)[0]
                    if number:
                        raise OSError(number, os.strerror(number))
                    return answers
                if answer == NLMSG_DONE:
                    return answers
                answers.append(payload)

    def neighbours(self, family):
        """[(ifindex, state, flags, attributes)]"""
        found = []
        for payload in self.ask(RTM_GETNEIGH, NLM_F_DUMP, struct.pack('=BxxxiHBB', family, 0, 0, 0, 0)):
            _, ifindex, state, flags, _ = struct.unpack_from('=BxxxiHBB', payload)
            attributes, at = {}, 12
            while at + 4 <= len(payload):
                length, kind = struct.unpack_from('=HH', payload, at)
                attributes[kind & 0x3FFF] = payload[at + 4:at + length]
                at += max(4, (length + 3) & ~3)
            found.append((ifindex, state, flags, attributes))
        return found

    def neighbour(self, add, family, entry):
        ifindex, state, flags, attributes = entry
        body = struct.pack('=BxxxiHBB', family, ifindex, state, flags, 0)
        for kind, value in attributes:
            body += struct.pack('=HH', 4 + len(value), kind) + value.ljust((len(value) + 3) & ~3, b'\0')
        self.ask(RTM_NEWNEIGH if add else RTM_DELNEIGH, NLM_F_ACK | (NLM_F_CREATE | NLM_F_REPLACE if add else 0), body)


def mac_bytes(text):
    return bytes.fromhex(text.replace(':', ''))


# matches that count, and the target that writes into a set
REMEMBERING = re.compile('-m (limit|statistic|recent) |-j SET ')


# --- namespaces ---

SIOCGIFFLAGS, SIOCETHTOOL, SIOCGIFINDEX = 0x8913, 0x8946, 0x8933
IFF_RUNNING = 0x40
# ETHTOOL_SRXCSUM, STXCSUM, SSG, STSO, SUFO, SGSO, SGRO
OFFLOADS = (0x15, 0x17, 0x19, 0x1F, 0x22, 0x24, 0x2C)
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000


class Namespace:
    def __init__(self, lab, plan):
        self.lab, self.plan, self.name, self.netns = lab, plan, plan['name'], plan['netns']
        self.bridges = {line.split()[2] for line in plan['devices'] if ' type bridge ' in line}
        self.tuns, self.listening, self.indexes, self.ring, self.talk, self.monitor = {}, [], {}, None, None, None
        self.touched, self.last_state = True, None
        call('unshare', CLONE_NEWNET)
        path = RUN_DIRECTORY + self.name
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o444))
        call('mount', b'/proc/self/ns/net', path.encode(), None, MS_BIND, None)
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def enter(self):
        call('setns', self.fd, CLONE_NEWNET)

    def complain(self, what, text):
        self.lab.complaints += ['%s: %s: %s' % (self.netns or self.name, what, line) for line in text.strip().split('\n') if line.strip()]

    def batch(self, tool, lines):
        """Each line that fails is named with what the tool says of it; the others are carried out."""
        if not lines:
            return
        status, _, stderr = command([tool, '-force', '-batch', '-'], '\n'.join(lines) + '\n')
        if status == 0:
            return
        said = []
        for line in stderr.strip().split('\n'):
            failed = re.match(r'Command failed -:(\d+)', line)
            if failed is None:
                said.append(line)
            else:
                self.complain('%s %s' % (tool, lines[int(failed.group(1)) - 1]), ' '.join(said) or 'failed')
                said = []
        if said:
            self.complain(tool, '\n'.join(said))

    def settings(self, text, tolerant):
        for line in text.split('\n'):
            if ' = ' not in line:
                continue
            key, value = line.split(' = ', 1)
            parts = [part.replace('/', '.') for part in key.split('.')]
            # of /proc/sys only net/ is a namespace's own: what else stands there is the whole machine's
            # (nf_hooks_lwtunnel is written there and switches all of them, for good: nf_hooks_lwtunnel_set)
            if parts[0] != 'net' or any(part in ('', '.', '..') for part in parts) or parts[-1] == 'nf_hooks_lwtunnel':
                self.complain('sysctl %s' % key, 'it is the whole machine\'s and no namespace\'s: left alone')
                continue
            path = '/proc/sys/' + '/'.join(parts)
            try:
                fd = os.open(path, os.O_WRONLY)
                try:
                    os.write(fd, value.encode())
                finally:
                    os.close(fd)
            except OSError as error:
                # a setting that this kernel does not have is one thing, a value that it refuses is another
                if not tolerant or error.errno == errno.EINVAL:
                    self.complain('sysctl %s = %s' % (key, value), error.strerror)

    def make_tuns(self):
        for device in self.plan['tuns']:
            fd = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(fd, TUNSETIFF, struct.pack('16sH22x', device.encode(), IFF_TUN | IFF_NO_PI))
            self.tuns[device] = fd

    def make_devices(self):
        self.enter()
        # behind the cards: the order of the devices is that in which an address is looked for (inet_select_addr)
        self.make_tuns()
        self.batch('ip', self.plan['devices'])

    def settle(self):
        """A cable that was just plugged in carries nothing until the kernel's linkwatch has seen it."""
        self.enter()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            for device in self.plan['awaited']:
                end = time.monotonic() + 3
                while time.monotonic() < end:
                    try:
                        flags = struct.unpack_from('=H', fcntl.ioctl(control, SIOCGIFFLAGS, struct.pack('16s24x', device.encode())), 16)[0]
                    except OSError:
                        break
                    # a peer that is down stays so
                    if flags & IFF_RUNNING or not flags & 1:
                        break
                    time.sleep(0.0005)

    def fill(self):
        self.enter()
        plan = self.plan
        self.batch('ip', plan['state'])
        self.settings(plan['deviceSettings'], False)
        self.batch('bridge', plan['fdb'])
        self.load(['ipset', 'restore'], plan['ipset'])
        self.load([self.lab.restore], plan['iptables'])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            for index, device in socket.if_nameindex():
                self.indexes[index] = device
                for code in OFFLOADS:
                    value = ctypes.create_string_buffer(struct.pack('=II', code, 0), 8)
                    try:
                        fcntl.ioctl(control, SIOCETHTOOL, struct.pack('16sQ16x', device.encode(), ctypes.addressof(value)))
                    except OSError:
                        pass  # the device has no such offload
        self.devices = {device: index for index, device in self.indexes.items()}
        self.open(plan['sockets']['fixed'])
        if self.netns:
            self.talk = Netlink()

    def load(self, words, text):
        if text:
            status, _, stderr = command(words, text)
            if status != 0:
                self.complain(words[0], stderr)

    def capture(self, blocks):
        self.enter()
        self.ring = Ring(blocks)

    def take(self):
        frames = self.ring.take()
        self.touched = self.touched or frames != []
        return [(self, frame) for frame in frames]

    def open(self, wanted):
        """Listens; what is asked twice is opened once."""
        opened = []
        for one in wanted:
            tcp = one['proto'] == 'tcp'
            s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
            # the asking process may have the same port, at an address of its own
            s.setsockopt(socket.SOL_SOCKET, SO_REUSEPORT, 1)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.setblocking(False)
            try:
                s.bind((one['address'], one['port']))
                if tcp:
                    s.listen(64)
            except OSError as error:
                s.close()
                if error.errno != 98:
                    self.complain('listen on %s %s:%d' % (one['proto'], one['address'], one['port']), error.strerror)
                continue
            opened.append(s)
        self.listening += opened
        return opened

    def close_sockets(self, sockets):
        for s in sockets:
            self.listening.remove(s)
            try:
                while s.type == socket.SOCK_STREAM:
                    accepted, _ = s.accept()
                    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('=ii', 1, 0))
                    accepted.close()
            except OSError:
                pass
            s.close()

    def state(self, neighbours, stations):
        """Exactly these dynamic entries. As entries learned elsewhere neighbours count towards no limit of the machine (neigh_alloc)."""
        known = [(self.devices.get(device, 0), socket.inet_aton(address), NUD[state], mac_bytes(mac)) for device, address, mac, state in neighbours]
        self._replace(socket.AF_INET, {(ifindex, address): (state, mac) for ifindex, address, state, mac in known})
        if any('type bridge ' in line or ' type vxlan ' in line for line in self.plan['devices']):
            self._replace(AF_BRIDGE, {(self.devices.get(device, 0), mac_bytes(mac)): (NUD['reachable'], b'') for device, mac in stations})

    def _replace(self, family, wanted):
        left = dict(wanted)
        bridged = family == AF_BRIDGE
        for ifindex, state, flags, attributes in self.talk.neighbours(family):
            if state & NUD_LASTING or flags & NTF_PROXY:
                continue
            key = (ifindex, attributes.get(NDA_LLADDR if bridged else NDA_DST, b''))
            # a bridge's DNAT goes by the header that an entry has kept since a packet was sent to it (hh_cache): a new one has none
            if not bridged and self.indexes.get(ifindex) not in self.bridges and left.get(key) == (state, attributes.get(NDA_LLADDR, b'')):
                del left[key]
                continue
            where = (NTF_MASTER if NDA_MASTER in attributes else NTF_SELF) if bridged else 0
            kept = [(kind, attributes[kind]) for kind in (NDA_DST, NDA_LLADDR) if kind in attributes and (bridged or kind == NDA_DST)]
            try:
                self.talk.neighbour(False, family, (ifindex, 0, where, kept))
            except OSError:
                pass  # it went by itself
        for (ifindex, address), (state, mac) in left.items():
            attributes = [(NDA_LLADDR, address)] if bridged else [(NDA_DST, address), (NDA_LLADDR, mac)]
            try:
                self.talk.neighbour(True, family, (ifindex, state, NTF_MASTER if bridged else NTF_EXT_LEARNED, attributes))
            except OSError as error:
                self.complain('neighbour' if not bridged else 'fdb', '%s on %s: %s' % (address.hex(), self.indexes.get(ifindex), error.strerror))

    def forget_connections(self):
        self.enter()
        if not self.plan['iptables']:
            return
        try:
            talk = Netlink(NETLINK_NETFILTER)
            talk.ask(CTNETLINK_DELETE_ALL, NLM_F_ACK, struct.pack('=BBH', socket.AF_INET, 0, 0))
            talk.socket.close()
        except OSError:
            pass  # no connection tracking in this kernel, or none in use

    def forget_packets(self):
        """What rules and sets remember of the packets they saw."""
        rules, sets = self.plan['iptables'], self.plan['ipset'].splitlines()
        if not REMEMBERING.search(rules):
            return
        self.enter()
        if '-j SET ' in rules:
            flushed = ['flush ' + line.split()[1] for line in sets if line.startswith('create ')]
            self.load(['ipset', 'restore'], '\n'.join(flushed + [line for line in sets if line.startswith('add ')]) + '\n')
        # loaded anew they count from the start (checkentry); a list of xt_recent outlives its rules where others take it over
        self.load([self.lab.restore], rules)
        for path in glob.glob('/proc/thread-self/net/xt_recent/*'):
            with open(path, 'w') as file:
                file.write('/')
        if self.monitor is not None and '*raw' in rules:
            self.complain('tracing', self.mark_for_tracing())

    def mark_for_tracing(self):
        """Why it cannot be done; empty: every packet's rules are told."""
        for chain in ('PREROUTING', 'OUTPUT'):
            status, _, stderr = command(['iptables', '-t', 'raw', '-I', chain, '-j', 'TRACE'])
            if status != 0:
                return 'TRACE: %s' % stderr.strip()
        return ''


# --- the lab ---

QUIET_SECONDS, IDLE_TURNS = 0.006, 3
STORM_SECONDS, MOST_FRAMES = 5, 20000
MOST_TURNS = 5
RETRANSMIT_MS = 900
MONITOR_SECONDS = 3
SO_ATTACH_FILTER, SO_REUSEPORT = 26, 15
IP_MTU_DISCOVER, IP_PMTUDISC_DONT, IP_PMTUDISC_DO = 10, 0, 2
TCP_MAXSEG = 2
SYN, ACK, PUSH = 2, 16, 8
MOST_DATAGRAMS = 10000


def pattern(length):
    return bytes(i & 255 for i in range(length))


def deaf(s):
    """The socket takes nothing any more (a filter that returns 0), and its kernel says nothing about it."""
    program = ctypes.create_string_buffer(struct.pack('=HBBI', 6, 0, 0, 0), 8)
    s.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack('HxxxxxxQ' if struct.calcsize('P') == 8 else 'HxxI', 1, ctypes.addressof(program)))


def ip_socket(kind, protocol, ask):
    """As the process that asks has it: bound to its address where it has one."""
    s = socket.socket(socket.AF_INET, kind, protocol)
    s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ask['ttl'])
    # a stream has none (do_ip_setsockopt: EINVAL)
    if kind != socket.SOCK_STREAM:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ask['ttl'])
    return s


class Lab:
    def __init__(self, prefix):
        self.prefix, self.namespaces, self.by_netns, self.complaints, self.proxies, self.children = prefix, [], {}, [], [], []
        self.restore, self.user_namespace, self.drops, self.drops_why, self.base = 'iptables-restore', False, None, '', -1
        self.natted, self.captured = [], []

    # what the world of this process is

    def hello(self, _):
        outer_user, outer_group = os.getuid(), os.getgid()
        try:
            call('unshare', CLONE_NEWNS | CLONE_NEWNET)
        except OSError:
            try:
                call('unshare', CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET)
            except OSError as error:
                fix = ('Run as root (in a container: with CAP_SYS_ADMIN), or allow user namespaces: '
                       'sysctl -w kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0.')
                raise Failure('no network namespace can be made here: %s' % error.strerror, fix)
            for file, text in (('setgroups', 'deny'), ('uid_map', '0 %d 1' % outer_user), ('gid_map', '0 %d 1' % outer_group)):
                try:
                    with open('/proc/self/' + file, 'w') as out:
                        out.write(text)
                except OSError as error:
                    # uid 0 maps itself with CAP_SETFCAP alone (verify_root_map)
                    what = 'this user cannot be mapped into a user namespace: %s' % error.strerror
                    raise Failure(what, 'Run as root with CAP_SYS_ADMIN, or as an ordinary user.')
            self.user_namespace = True
        try:
            call('mount', b'none', b'/', None, MS_REC | MS_PRIVATE, None)
            # names, locks and sockets of the tools: nobody else's, and gone with this process
            call('mount', b'netsim', b'/run', b'tmpfs', 0, b'mode=755')
        except OSError as error:
            raise Failure('nothing can be mounted here: %s' % error.strerror, 'Run as root with CAP_SYS_ADMIN.')
        os.mkdir(RUN_DIRECTORY)
        try:
            with open('/proc/sys/net/ipv4/ip_forward', 'w') as file:
                file.write('0')
        except OSError:
            raise Failure('the settings under /proc/sys cannot be written here', 'Mount /proc/sys read-write (a container: --privileged).')
        self.base = os.open('/proc/self/ns/net', os.O_RDONLY | os.O_CLOEXEC)
        return {'userNamespace': self.user_namespace, 'pid': os.getpid()}

    def tools(self, ask):
        return {
            'tools': {name: shutil.which(name) is not None for name in ask['names']},
            'bridgeNetfilter': os.path.exists('/proc/sys/net/bridge/bridge-nf-call-iptables'),
            'kernel': '%s %s' % (os.uname().sysname, os.uname().release),
        }

    def kinds(self, ask):
        """Each kind is really made, and thrown away with its namespace."""
        refused = {}
        attributes = {'vxlan': ' id 1 dstport 4789', 'ipip': ' remote 192.0.2.1 local 192.0.2.2'}
        call('unshare', CLONE_NEWNET)
        for kind in ask['kinds']:
            real = {'nic': 'veth'}.get(kind, kind)
            if kind == 'wireguard':
                refused[kind] = 'netsim knows the public key of a WireGuard device and not the private one that it would need'
            elif kind == 'tun':
                try:
                    os.close(os.open('/dev/net/tun', os.O_RDWR | os.O_CLOEXEC))
                except OSError as error:
                    refused[kind] = '/dev/net/tun: %s' % error.strerror
            elif kind != 'loopback':
                status, _, stderr = command(['ip', 'link', 'add', 'try-' + kind, 'type', real] + attributes.get(kind, '').split())
                if status != 0:
                    refused[kind] = re.sub(r'^(Error|RTNETLINK answers): ', '', stderr.strip()).rstrip('.')
        call('setns', self.base, CLONE_NEWNET)
        return {'refused': refused}

    # building

    def build(self, ask):
        plan = ask['plan']
        self.restore, self.natted = plan['restore'], plan['natPorts']
        for one in plan['namespaces']:
            namespace = Namespace(self, one)
            self.namespaces.append(namespace)
            if namespace.netns:
                self.by_netns[namespace.netns] = namespace
            namespace.settings(one['settings'], True)
        call('setns', self.base, CLONE_NEWNET)
        status, _, stderr = command(['ip', '-batch', '-'], '\n'.join(plan['cables']) + '\n')
        if status != 0:
            raise Failure('the cables cannot be laid: %s' % stderr.strip())
        self.everywhere(Namespace.make_devices, self.namespaces)
        for namespace in self.namespaces:
            namespace.settle()
        self.everywhere(Namespace.fill, self.namespaces)
        self.captured = [self.by_netns[netns] for netns in ask['captured']]
        # a ring waits for the kernel's grace periods: all at once
        blocks = max(2, min(32, 1024 // max(1, len(self.captured))))
        self.everywhere(lambda namespace: namespace.capture(blocks), self.captured, 16)
        self.settle_on_one_cpu()
        for spec in plan['proxies']:
            if spec['device'] in self.by_netns[spec['netns']].tuns:
                self.proxies.append(TunProxy(self.by_netns[spec['netns']], spec))
        self.complaints.sort()
        return {'complaints': self.complaints}

    def everywhere(self, work, namespaces, threads=4):
        """In several namespaces side by side; a thread is in the netns that it entered."""
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(work, namespaces):
                pass
        if self.base >= 0:
            call('setns', self.base, CLONE_NEWNET)

    def settle_on_one_cpu(self):
        """Softirqs run where the sender does: on one CPU everything has one order."""
        cpus = sorted(os.sched_getaffinity(0))
        cpu = cpus[os.getpid() % len(cpus)]
        os.sched_setaffinity(0, {cpu})
        if not self.captured:
            self.drops_why = 'nothing is watched'
            return
        try:
            self.drops = Drops(cpu)
        except (OSError, ValueError) as error:
            self.drops_why = 'the kernel tells no drops here: %s' % error

    # state between probes

    def state(self, ask):
        before = len(self.complaints)
        neighbours, stations = by_first(ask['neighbours']), by_first(ask['stations'])
        # a neighbour's timer may fire between one namespace's turn and the next one's, and tell who was to be forgotten
        for _ in range(MOST_TURNS):
            for namespace in self.by_netns.values():
                wanted = neighbours.get(namespace.netns, []), stations.get(namespace.netns, [])
                # where no frame was seen since, nothing has changed
                if namespace.ring is not None and not namespace.touched and namespace.last_state == wanted:
                    continue
                namespace.forget_connections()
                if namespace.ring is None or namespace.touched:
                    namespace.forget_packets()
                namespace.settings('net.ipv4.route.flush = 1', True)
                namespace.state(*wanted)
                namespace.touched, namespace.last_state = False, wanted
            if not any(namespace.ring.pending() for namespace in self.captured):
                break
            self.watch(0, [])
        if len(self.complaints) > before:
            new = self.complaints[before:]
            raise Failure('the state between probes cannot be set: %s%s' % ('; '.join(new[:3]), ' and %d more' % (len(new) - 3) if len(new) > 3 else ''))
        return {}

    # sending and seeing

    def send(self, ask):
        source = self.known(ask)
        opened = self.open_ports(ask)
        rules, rules_why = self.start_tracing() if ask['trace'] else (None, 'not asked for')
        self.drain()
        frames, error, client = [], '', None
        start = time.time_ns()
        source.enter()
        try:
            client = getattr(self, 'send_' + ask['kind'])(ask)
        except OSError as problem:
            error = os.strerror(problem.errno) if problem.errno else str(problem)
        # the kernel's timers of seconds are late by some jiffies
        seconds = ask['predictedMs'] / 1000
        self.watch(seconds + (0.3 if seconds > 0.5 else 0), frames, client)
        # a datagram's checksum is looked at when its process reads it
        heard = set()
        for namespace in self.by_netns.values():
            for s in namespace.listening:
                if s.type == socket.SOCK_DGRAM and swallow(s) > 0:
                    heard.add(namespace.netns)
        if client is not None and client.replied():
            heard.add(ask['netns'])
        end = time.time_ns()
        error = error or (client.error if client is not None else '')
        lost = sum(namespace.ring.lost() for namespace in self.captured)
        drops, drops_why = self.drops_between(start, end)
        if rules is not None:
            rules_why = self.traced(rules)
            rules = rules if rules_why == '' else None
        self.close_ports(opened, client, ask)
        if rules is not None and client is not None:
            # the end of its connection is no part of the next probe
            self.watch(0, [])
            self.traced([])
        seen = {'frames': self.ordered(frames, start), 'error': error, 'lost': lost, 'heard': sorted(heard),
                'injected': client is not None and client.injected}
        return {**seen, 'drops': drops, 'dropsWhy': drops_why, 'rules': rules, 'rulesWhy': rules_why}

    def drain(self):
        """What came of the probe before, such as the reset of its connection, is no part of this one."""
        if any(namespace.ring.pending() for namespace in self.captured):
            self.watch(0, [])
        for namespace in self.captured:
            namespace.ring.lost()
        if self.drops:
            self.drops.take()

    def open_ports(self, ask):
        """Of the ranges, the ports that this probe may come to."""
        ports = set(self.natted) | {ask['dport']} if 'dport' in ask else set(self.natted)
        if ask['kind'] in ('raw', 'frame'):
            packet = base64.b64decode(ask['bytes'])[14 if ask['kind'] == 'frame' else 0:]
            at = (packet[0] & 15) * 4 if packet else 0
            if len(packet) >= at + 4 and packet[9] in (6, 17):
                # whoever is refused says so to the port that it came from, where a pod may listen too
                ports |= set(struct.unpack_from('!HH', packet, at))
        opened = []
        for namespace in self.by_netns.values():
            wanted = [{'proto': one['proto'], 'address': one['address'], 'port': port}
                      for one in namespace.plan['sockets']['ranges'] for port in ports if one['first'] <= port <= one['last']]
            wanted += [{**one, 'address': '0.0.0.0'} for one in ask['listen'] if one['netns'] == namespace.netns]
            if wanted:
                namespace.enter()
                opened.append((namespace, namespace.open(wanted)))
        return opened

    def close_ports(self, opened, client, ask):
        """The servers first, while the client is there and deaf: nobody answers what they say at parting."""
        connected = client is not None and client.deaf_at_end
        if connected:
            deaf(client.socket)
        # a SYN of nobody's leaves a request behind, which the server would answer again and again
        begun = connected or (ask['kind'] == 'raw' and base64.b64decode(ask['bytes'])[9:10] == bytes([socket.IPPROTO_TCP]))
        for namespace, sockets in opened:
            namespace.enter()
            namespace.close_sockets(sockets)
        for namespace in self.by_netns.values():
            again = [s for s in namespace.listening if s.type == socket.SOCK_STREAM]
            if again and begun:
                namespace.enter()
                where = [{'proto': 'tcp', 'address': s.getsockname()[0], 'port': s.getsockname()[1]} for s in again]
                namespace.close_sockets(again)
                namespace.open(where)
        if client is not None:
            client.close()

    def send_wait(self, _):
        return None

    def send_udp(self, ask):
        s = ip_socket(socket.SOCK_DGRAM, 0, ask)
        client = Client(s)
        try:
            s.setsockopt(socket.SOL_SOCKET, SO_REUSEPORT, 1)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            s.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO if ask['df'] else IP_PMTUDISC_DONT)
            s.bind((ask['source'], ask['sport']))
            s.sendto(pattern(ask['size'] - 28), (ask['destination'], ask['dport']))
            return client
        except OSError:
            client.close()
            raise

    def send_icmp(self, ask):
        s = ip_socket(socket.SOCK_RAW, socket.IPPROTO_ICMP, ask)
        client = Client(s)
        try:
            s.setblocking(False)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            s.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO if ask['df'] else IP_PMTUDISC_DONT)
            if ask['source'] != '0.0.0.0':
                s.bind((ask['source'], 0))
            data = pattern(ask['size'] - 28)
            head = struct.pack('!BBHHH', 8, 0, 0, ask['id'], ask['sequence'])
            total = checksum(head + data + b'\0' * (len(data) % 2))
            client.echo_id = ask['id']
            s.sendto(head[:2] + struct.pack('!H', total) + head[4:] + data, (ask['destination'], 0))
            return client
        except OSError:
            client.close()
            raise

    def send_raw(self, ask):
        self.inject(base64.b64decode(ask['bytes']))

    def inject(self, packet, bound=False):
        """`bound`: a socket's segment; the kernel asks its routes on behalf of the source, as for the connection it belongs to."""
        if bound:
            packet = self.with_source(packet)
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            source, destination = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
            if bound and source != '0.0.0.0':
                try:
                    s.bind((source, 0))
                except OSError:
                    pass  # somebody else's address: it asks on behalf of nobody
            s.sendto(packet, (destination, 0))

    def send_frame(self, ask):
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as s:
            s.bind((ask['device'], 0))
            s.send(base64.b64decode(ask['bytes']))

    def send_tcp(self, ask):
        s = ip_socket(socket.SOCK_STREAM, 0, ask)
        client = Client(s)
        try:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.setsockopt(socket.SOL_SOCKET, SO_REUSEPORT, 1)
            s.setblocking(False)
            if ask['df']:
                s.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
            s.bind((ask['source'], ask['sport']))
            client.deaf_at_end = True
            if ask['size'] == 0:
                deaf(s)
            if ask['size'] == 0 and ask['bytes'] and ask['predictedMs'] >= RETRANSMIT_MS:
                s.listen(1)
                self.inject(base64.b64decode(ask['bytes']), True)
                return client
            try:
                s.connect((ask['destination'], ask['dport']))
            except BlockingIOError:
                pass
            if ask['size'] > 0:
                client.payload, client.lab, client.netns = pattern(ask['size'] - 52), self, ask['netns']
            return client
        except OSError:
            client.close()
            raise

    @staticmethod
    def with_source(packet):
        """The address that the kernel would pick, and the transport checksum with it."""
        at = {6: 16, 17: 6}.get(packet[9])
        header = (packet[0] & 15) * 4
        if packet[12:16] != b'\0\0\0\0' or at is None or struct.unpack_from('!H', packet, 6)[0] & 0x3FFF or len(packet) < header + at + 2:
            return packet
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            s.connect((socket.inet_ntoa(packet[16:20]), 9))
            source = socket.inet_aton(s.getsockname()[0])
        # as much wrong as it was before (RFC 1624)
        was = struct.unpack_from('!H', packet, header + at)[0]
        total = checksum(struct.pack('!H', ~was & 0xFFFF) + source)
        return packet[:12] + source + packet[16:header + at] + struct.pack('!H', total or 0xFFFF) + packet[header + at + 2:]

    def watch(self, seconds, frames, client=None):
        """Serves and listens for at least so long and until nothing stirs any more."""
        poller, handlers = select.poll(), {}
        for namespace in self.captured:
            poller.register(namespace.ring, select.POLLIN)
            handlers[namespace.ring.fileno()] = lambda namespace=namespace: frames.extend(namespace.take())
            # a monitor whose terminal is full reads no more
            if namespace.monitor is not None and namespace.monitor.child.poll() is None:
                poller.register(namespace.monitor.terminal, select.POLLIN)
                handlers[namespace.monitor.terminal] = namespace.monitor.read
        for proxy in self.proxies:
            for fd, handler in proxy.handlers():
                poller.register(fd, select.POLLIN)
                handlers[fd] = handler
        if client is not None and client.payload is not None:
            poller.register(client.socket, select.POLLOUT)
            handlers[client.socket.fileno()] = lambda: (poller.unregister(client.socket), client.established(frames))
        start = last = time.monotonic()
        idle = 0
        while True:
            ready = poller.poll(2)
            for fd, _ in ready:
                handlers[fd]()
            now = time.monotonic()
            idle += 1
            if ready or any(namespace.ring.pending() for namespace in self.captured):
                last, idle = now, 0
            # on a busy machine time passes without anybody's turn: it must have been quiet more than once
            quiet = now - last >= QUIET_SECONDS and idle >= IDLE_TURNS
            if (now - start >= seconds and quiet) or now - start > seconds + STORM_SECONDS or len(frames) > MOST_FRAMES:
                return

    def ordered(self, frames, start):
        """Each netns in the order of its ring; among them by time, which never goes back: a bridge passes on the time of its port."""
        queues = {}
        for namespace, frame in frames:
            queues.setdefault(namespace.netns, []).append(frame)
        found = []
        for netns, queue in queues.items():
            latest = 0
            namespace = self.by_netns[netns]
            for place, (when, ifindex, kind, hardware, data, partial) in enumerate(queue):
                latest = max(latest, when)
                device = namespace.indexes.get(ifindex, '')
                loopback = hardware == ARPHRD_LOOPBACK
                if device == '' or when < start - 1000000 or (loopback and kind == PACKET_OUTGOING):
                    continue
                data = completed(data) if partial else data
                out, ethernet = (1 if kind == PACKET_OUTGOING else 0), (1 if hardware in ETHERNET else 0)
                found.append((latest, netns, place, [netns, device, out, latest - start, ethernet, base64.b64encode(data).decode()]))
        found.sort(key=lambda row: row[:3])
        return [row[3] for row in found]

    def drops_between(self, start, end):
        """The drops, or None and why."""
        if self.drops is None:
            return None, self.drops_why
        taken, room = self.drops.take()
        if not room:
            return None, 'the kernel lost more packets than the ring has room for: reasons are missing'
        return [[reason, '%016x' % location, 1 if pid == os.getpid() else 0, when - start]
                for when, pid, reason, location in taken if start <= when <= end and reason not in ('CONSUMED', 'NOT_DROPPED_YET')], ''

    # the rules taken

    def start_tracing(self):
        status, version, _ = command(['iptables', '-V'])
        if status != 0 or 'nf_tables' not in version or 'legacy' in self.restore:
            return None, 'the rules taken can be read of iptables-nft alone'
        if shutil.which('xtables-monitor') is None:
            return None, 'xtables-monitor is not installed: apt-get install iptables'
        for namespace in self.by_netns.values():
            if not namespace.plan['iptables']:
                continue
            namespace.enter()
            why = namespace.mark_for_tracing() if namespace.monitor is None else ''
            if why != '':
                return None, why
            if namespace.monitor is None or namespace.monitor.lost() != '':
                namespace.monitor = Monitor()
                self.children.append(namespace.monitor.child)
            namespace.monitor.told()
        return [], ''

    def traced(self, rules):
        """Adds to them what was told since; why that is not all, or nothing."""
        time.sleep(0.02)
        lost = ''
        for namespace in self.by_netns.values():
            if namespace.monitor is None:
                continue
            namespace.enter()
            lines = [line.rstrip('\r') for line in namespace.monitor.told().split('\n') if 'TRACE:' in line]
            own_raw = '*raw' in namespace.plan['iptables']
            rules += [[namespace.netns, line] for line in lines if not line.endswith('-j TRACE') and (own_raw or ' raw:' not in line)]
            lost = lost or namespace.monitor.lost()
        return lost

    # other programs

    def known(self, ask):
        if ask['netns'] not in self.by_netns:
            raise Failure('there is no netns "%s" in the lab' % ask['netns'])
        namespace = self.by_netns[ask['netns']]
        namespace.touched = True
        return namespace

    def run(self, ask):
        self.known(ask).enter()
        status, stdout, stderr = command(ask['command'], ask['input'])
        return {'status': status, 'stdout': stdout, 'stderr': stderr}

    def release(self, ask):
        """The lab's own listener gives a port to a real server; `port` of `proto`, tcp or udp."""
        namespace, kind = self.known(ask), {'tcp': socket.SOCK_STREAM, 'udp': socket.SOCK_DGRAM}[ask['proto']]
        namespace.close_sockets([s for s in namespace.listening if s.type == kind and s.getsockname()[1] == ask['port']])
        return {}

    def spawn(self, ask):
        """With `tun` it gets that device as its standard input, and the lab's own proxy lets go of device and port."""
        namespace = self.known(ask)
        tun = namespace.tuns.get(ask['tun'])
        if ask['tun'] and tun is None:
            raise Failure('%s has no TUN device %s' % (ask['netns'], ask['tun']))
        for proxy in [one for one in self.proxies if one.tun == tun]:
            proxy.socket.close()
            self.proxies.remove(proxy)
        namespace.enter()
        with open(ask['log'], 'ab') as log:
            try:
                child = subprocess.Popen(ask['command'], stdin=subprocess.DEVNULL if tun is None else tun, stdout=log, stderr=log, env=ENVIRONMENT,
                                         preexec_fn=lambda: die_with_parent(SELF))
            except OSError as error:
                raise Failure('%s: %s' % (ask['command'][0], error.strerror))
        self.children.append(child)
        return {'pid': child.pid}

    def close(self):
        for child in self.children:
            child.kill()
        for child in self.children:
            child.wait()
        # the kernel would close one after the other, and wait for a grace period each time
        self.everywhere(lambda namespace: namespace.ring.close(), [namespace for namespace in self.captured if namespace.ring], 16)


def netfilter_sockets():
    """The netlink sockets of netfilter's in this netns that are told of events, by inode: how much waits, how often something was lost."""
    with open('/proc/thread-self/net/netlink') as file:
        # sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
        rows = [line.split() for line in file]
    return {row[9]: (int(row[4]), int(row[8])) for row in rows if row[1] == str(NETLINK_NETFILTER) and int(row[3], 16) != 0}


class Monitor:
    """xtables-monitor in the netns that this process is in, which looks up each rule that the kernel tells it of: a long path takes it a while."""

    def __init__(self):
        # a terminal, so that it writes line by line
        self.terminal, far = os.openpty()
        self.child = subprocess.Popen(['xtables-monitor', '--trace'], stdin=subprocess.DEVNULL, stdout=far, stderr=subprocess.DEVNULL,
                                      env=ENVIRONMENT, preexec_fn=lambda: die_with_parent(SELF))
        os.close(far)
        os.set_blocking(self.terminal, False)
        self.text, self.inode, end = '', '', time.monotonic() + MONITOR_SECONDS
        while self.inode == '' and self.child.poll() is None and time.monotonic() < end:
            self.inode = next(iter(netfilter_sockets()), '')
            time.sleep(0.002)
        self.widen()

    def widen(self):
        """Room for all that the kernel tells at once: where the socket's own is too small, the monitor ends (ENOBUFS)."""
        folder = '/proc/%d/fd/' % self.child.pid
        pidfd = libc.syscall(SYSCALL_PIDFD_OPEN, self.child.pid, 0)
        try:
            number = next(int(fd) for fd in os.listdir(folder) if os.readlink(folder + fd) == 'socket:[%s]' % self.inode)
            copy = libc.syscall(SYSCALL_PIDFD_GETFD, pidfd, number, 0)
            with socket.socket(fileno=copy) as s:
                s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, MONITOR_BUFFER)
        except (OSError, StopIteration, ValueError):
            pass  # an older kernel, or a user namespace: what is lost is told
        if pidfd >= 0:
            os.close(pidfd)

    def lost(self):
        """Why not all was told; empty: it was."""
        if self.child.poll() is not None or self.inode not in netfilter_sockets():
            return 'xtables-monitor ended: the kernel had more to tell of the rules than it could read'
        return '' if netfilter_sockets()[self.inode][1] == 0 else 'the kernel had more to tell of the rules than xtables-monitor could read'

    def told(self):
        """All since the last call, once the kernel has told it and the monitor has written it."""
        end = time.monotonic() + MONITOR_SECONDS
        while self.is_behind() and time.monotonic() < end:
            self.read()
            time.sleep(0.002)
        self.read()
        text, self.text = self.text, ''
        return text

    def is_behind(self):
        """Something waits to be read, or the monitor runs."""
        if self.child.poll() is not None:
            return False
        if netfilter_sockets().get(self.inode, (0, 0))[0] > 0:
            return True
        with open('/proc/%d/stat' % self.child.pid) as file:
            return file.read().rpartition(')')[2].split()[0] == 'R'

    def read(self):
        text = b''
        try:
            while True:
                more = os.read(self.terminal, 65536)
                if not more:
                    break
                text += more
        except OSError:
            pass
        self.text += re.sub(r'\x1b\[[0-9;]*m', '', text.decode('ascii', 'replace'))


def by_first(rows):
    found = {}
    for row in rows:
        found.setdefault(row[0], []).append(row[1:])
    return found


def swallow(s):
    """How many datagrams it was."""
    count = 0
    for _ in range(MOST_DATAGRAMS):
        try:
            s.recv(65536)
            count += 1
        except BlockingIOError:
            break
        except OSError:
            pass  # an ICMP error that was told of: the next one
    return count


class Client:
    """The socket that asked; it stays until all is over, so that its port is its own."""

    def __init__(self, s):
        self.socket, self.payload, self.lab, self.netns, self.deaf_at_end, self.error, self.echo_id = s, None, None, '', False, '', -1
        self.injected = False

    def replied(self):
        """The reply to its echo came to it."""
        for _ in range(MOST_DATAGRAMS if self.echo_id >= 0 else 0):
            try:
                packet = self.socket.recv(65536)
            except BlockingIOError:
                break
            except OSError:
                continue  # an ICMP error
            header = (packet[0] & 15) * 4
            if len(packet) >= header + 6 and packet[header] == 0 and struct.unpack_from('!H', packet, header + 4)[0] == self.echo_id:
                return True
        return False

    def established(self, frames):
        """The handshake is done: one data segment; one longer than a client would send is put together from its last ACK."""
        if self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0:
            return
        longest = self.socket.getsockopt(socket.IPPROTO_TCP, TCP_MAXSEG)
        self.lab.by_netns[self.netns].enter()
        if len(self.payload) <= longest:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket.send(self.payload)
            return
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            for namespace in self.lab.captured:
                frames.extend(namespace.take())
            # what NAT made of it, where it went out at once
            for namespace, (_, _, kind, hardware, data, _) in reversed(frames):
                start = 14 if hardware in ETHERNET else 0
                if namespace.netns != self.netns or kind != PACKET_OUTGOING or len(data) < start + 40 or (start and data[12:14] != b'\x08\x00'):
                    continue
                header = (data[start] & 15) * 4
                if data[start + 9] == 6 and data[start + header + 13:start + header + 14] == bytes([ACK]):
                    return self.oversized(self.as_sent(data[start:start + struct.unpack_from('!H', data, start + 2)[0]], header), header)
            time.sleep(0.001)
        self.error = 'the handshake was not seen to end, and no segment was sent'

    def as_sent(self, packet, header):
        (source, sport), (destination, dport) = self.socket.getsockname(), self.socket.getpeername()
        ends = socket.inet_aton(source) + socket.inet_aton(destination)
        return packet[:12] + ends + packet[20:header] + struct.pack('!HH', sport, dport) + packet[header + 4:]

    def oversized(self, acknowledgement, header):
        deaf(self.socket)
        self.injected = True
        segment = bytearray(acknowledgement[header:] + self.payload)
        segment[13] = ACK | PUSH
        segment[16:18] = b'\0\0'
        pseudo = acknowledgement[12:20] + struct.pack('!HH', 6, len(segment))
        struct.pack_into('!H', segment, 16, checksum(pseudo + bytes(segment) + b'\0' * (len(segment) % 2)))
        packet = bytearray(acknowledgement[:header] + segment)
        struct.pack_into('!H', packet, 2, len(packet))
        try:
            self.lab.inject(bytes(packet), True)
        except OSError as problem:
            self.error = problem.strerror  # Message too long: nothing leaves

    def close(self):
        if self.socket.type == socket.SOCK_STREAM:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('=ii', 1, 0))
        self.socket.close()


class TunProxy:
    """flanneld's udp backend: the process between a TUN and a UDP socket."""

    def __init__(self, namespace, spec):
        namespace.enter()
        self.tun = namespace.tuns[spec['device']]
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind((spec['address'], spec['port']))
        routes = [(one['base'], 0xFFFFFFFF << (32 - one['length']) & 0xFFFFFFFF, one['nextHop'], one['port']) for one in spec['routes']]
        self.proxy = Proxy(struct.unpack('!I', socket.inet_aton(spec['tunAddress']))[0], spec['tunMtu'], routes)

    def handlers(self):
        return (self.tun, self.from_tun), (self.socket.fileno(), self.from_socket)

    def from_tun(self):
        try:
            result = self.proxy.to_udp(os.read(self.tun, 65536))
            if result is not None and result[0] == 'send':
                self.socket.sendto(result[1], (result[2], result[3]))
            elif result is not None:
                os.write(self.tun, result[1])
        except OSError:
            pass  # the kernel refuses what the real proxy would only log

    def from_socket(self):
        try:
            packet = self.proxy.to_tun(self.socket.recv(65536))
            if packet is not None:
                os.write(self.tun, packet)
        except OSError:
            pass  # as above


def main():
    die_with_parent()
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    lab = Lab(sys.argv[1])
    try:
        for line in sys.stdin:
            ask = json.loads(line)
            try:
                answer = getattr(lab, ask['op'])(ask)
            except Failure as failure:
                answer = {'failure': str(failure), 'fix': failure.fix}
            except OSError as error:
                answer = {'failure': '%s: %s' % (ask['op'], error)}
            sys.stdout.write(json.dumps(answer) + '\n')
            sys.stdout.flush()
    finally:
        lab.close()


if __name__ == '__main__':
    main()
