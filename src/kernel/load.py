"""Datagrams as fast as one thread sends them, for src/kernel/calibrate.ts: 32 a system call, so that Python costs next to nothing of each.
  load.py send ADDRESS PORT PAYLOAD PACKETS   prints the CPU nanoseconds of the thread, one datagram
  load.py take PORT                           takes whatever comes, until it is killed
On a path of veths everything that a packet meets runs in softirqs inside the sender's system call (net/core/dev.c), so that its thread pays for all.
Python 3.8 and the standard library."""
import ctypes
import os
import socket
import sys
import time

BATCH, LARGEST = 32, 2048
MSG_WAITFORONE = 0x10000
WARMING = 8

libc = ctypes.CDLL(None, use_errno=True)


class Part(ctypes.Structure):
    _fields_ = [('base', ctypes.c_void_p), ('length', ctypes.c_size_t)]


class Header(ctypes.Structure):
    _fields_ = [('name', ctypes.c_void_p), ('name_length', ctypes.c_uint32), ('parts', ctypes.POINTER(Part)), ('part_count', ctypes.c_size_t),
                ('control', ctypes.c_void_p), ('control_length', ctypes.c_size_t), ('flags', ctypes.c_int)]


class Message(ctypes.Structure):
    _fields_ = [('header', Header), ('length', ctypes.c_uint32)]


def batch(length):
    """An array of messages, and what must live as long as it does."""
    buffers = [ctypes.create_string_buffer(max(length, 1)) for _ in range(BATCH)]
    parts = (Part * BATCH)(*(Part(ctypes.addressof(buffer), length) for buffer in buffers))
    messages = (Message * BATCH)()
    for index in range(BATCH):
        messages[index].header.parts = ctypes.pointer(parts[index])
        messages[index].header.part_count = 1
    return messages, (buffers, parts)


def checked(done, what):
    if done < 0:
        error = ctypes.get_errno()
        sys.exit('%s: %s' % (what, os.strerror(error)))
    return done


def stay(index):
    # whoever started this stays on one
    os.sched_setaffinity(0, range(os.cpu_count()))
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[index % len(cpus)]})


def send(address, port, payload, packets):
    stay(0)
    plug = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    plug.bind(('', 40000))
    plug.connect((address, port))
    messages, _held = batch(payload)
    for _ in range(WARMING):
        checked(libc.sendmmsg(plug.fileno(), messages, BATCH, 0), 'sendmmsg')
    sent, before = 0, time.thread_time_ns()
    while sent < packets:
        sent += checked(libc.sendmmsg(plug.fileno(), messages, BATCH, 0), 'sendmmsg')
    print('%.1f' % ((time.thread_time_ns() - before) / sent))


def take(port):
    stay(1)
    plug = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    plug.bind(('', port))
    messages, _held = batch(LARGEST)
    while True:
        checked(libc.recvmmsg(plug.fileno(), messages, BATCH, MSG_WAITFORONE, None), 'recvmmsg')


if __name__ == '__main__':
    if sys.argv[1] == 'send':
        send(sys.argv[2], *map(int, sys.argv[3:6]))
    else:
        take(int(sys.argv[2]))
