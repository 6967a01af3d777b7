"""The packet arithmetic of flanneld's udp backend: what its proxy sends for what it reads. Written from a description of the proxy's
behaviour and checked against bytes that the real one gave, apart from netsim's own model of it, so that each can witness for the other."""
import struct

IPPROTO_ICMP = 1


def checksum(data):
    """RFC 1071, of an even number of bytes."""
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Proxy:
    """routes: [(base, mask, next_hop, port)], addresses as integers but for next_hop, which goes to sendto as it is."""

    def __init__(self, tun_address, mtu, routes):
        self.tun_address = tun_address
        self.mtu = mtu
        self.routes = list(routes)

    def to_udp(self, packet):
        """A packet read from the TUN: ('send', bytes, next_hop, port), ('icmp', bytes) to be written back, or None."""
        packet = packet[:self.mtu]
        if len(packet) < 20:
            return None
        destination = struct.unpack_from('!I', packet, 16)[0]
        for at, (base, mask, next_hop, port) in enumerate(self.routes):
            if destination & mask == base:
                break
        else:
            return self._unreachable(packet)
        self.routes[0], self.routes[at] = self.routes[at], self.routes[0]
        aged = self._aged(packet)
        return None if aged is None else ('send', aged, next_hop, port)

    def to_tun(self, datagram):
        """A datagram's bytes as they are written to the TUN, or None."""
        datagram = datagram[:self.mtu]
        return self._aged(datagram) if len(datagram) >= 20 else None

    @staticmethod
    def _aged(packet):
        aged = bytearray(packet)
        aged[8] = (aged[8] - 1) & 0xFF
        if aged[8] == 0:
            return None
        old = struct.unpack_from('!H', aged, 10)[0]
        new = old + 0x0100
        new = 0 if old == 0xFEFF else (new & 0xFFFF) + (new >> 16)
        struct.pack_into('!H', aged, 10, new)
        return bytes(aged)

    def _unreachable(self, packet):
        header = (packet[0] & 15) * 4
        if packet[9] == IPPROTO_ICMP or struct.unpack_from('!H', packet, 6)[0] & 0x1FFF or header >= 60:
            return None
        quoted = packet[:header + 8].ljust(header + 8, b'\0')
        icmp = bytearray(struct.pack('!BBHI', 3, 0, 0, 0) + quoted)
        struct.pack_into('!H', icmp, 2, checksum(bytes(icmp)))
        outer = bytearray(struct.pack('!BBHHHBBHI', 0x45, 0, 20 + len(icmp), 0, 0, 8, IPPROTO_ICMP, 0, self.tun_address) + packet[12:16])
        struct.pack_into('!H', outer, 10, checksum(bytes(outer)))
        return 'icmp', bytes(outer + icmp)
