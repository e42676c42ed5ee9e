"""Name servers that do what real ones refuse to do: one small authoritative server per address, all in one thread,
each bent by a function. bend(question, reply, tcp) may change the reply (a Reply), return bytes to be sent instead, or
SILENT."""

import selectors
import socket
import struct
import threading

from dns_client import encode_name, read_name

SILENT = object()
TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "TXT": 16, "AAAA": 28, "DS": 43, "CAA": 257}
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)


class Question:
    def __init__(self, packet):
        self.packet = packet
        self.raw_name, at = read_name(packet, 12)
        self.name = self.raw_name.lower()
        self.type = struct.unpack_from("!H", packet, at)[0]
        self.end = at + 4
        self.edns = struct.unpack_from("!H", packet, 10)[0] > 0


class Reply:
    def __init__(self, question):
        self.question, self.rcode, self.aa, self.tc = question, NOERROR, True, False
        self.answer, self.authority, self.edns = [], [], question.edns
        self.name = question.raw_name

    def wire(self):
        q = self.question
        flags = 0x8000 | (0x0400 if self.aa else 0) | (0x0200 if self.tc else 0) | self.rcode
        out = q.packet[:2] + struct.pack("!HHHHH", flags, 1, len(self.answer), len(self.authority), int(self.edns))
        out += encode_name(self.name) + q.packet[q.end - 4:q.end]
        for owner, kind, rdata in self.answer + self.authority:
            out += encode_name(owner) + struct.pack("!HHIH", TYPES[kind], 1, 60, len(rdata)) + rdata
        return out + (b"\0\0\x29\x04\xd0\0\0\0\0\0\0" if self.edns else b"")


def rdata(kind, text):
    if kind == "A":
        return socket.inet_aton(text)
    if kind in ("NS", "CNAME"):
        return encode_name(text)
    if kind == "SOA":
        return encode_name(text) + encode_name("hostmaster." + text) + struct.pack("!IIIII", 1, 3600, 600, 86400, 60)
    if kind == "CAA":
        flags, tag, value = text.split(" ", 2)
        return bytes([int(flags), len(tag)]) + tag.encode() + value.encode()
    return bytes([len(text)]) + text.encode()


class Zone:
    """records: [(owner, kind, text)]; owners are full names."""

    def __init__(self, apex, records, bend=None):
        self.apex, self.bend = apex, bend
        self.records = [(o.lower(), k, rdata(k, t)) for o, k, t in records]
        self.soa = (apex, "SOA", rdata("SOA", "ns1." + apex))
        self.records.append(self.soa)

    def answer(self, packet, tcp):
        try:
            q = Question(packet)
        except Exception:  # whatever it is, it is no question
            return SILENT
        reply = Reply(q)
        if q.name != self.apex and not q.name.endswith("." + self.apex):
            reply.rcode, reply.aa = REFUSED, False
        else:
            at = [r for r in self.records if r[0] == q.name]
            reply.answer = [r for r in at if TYPES[r[1]] == q.type] or [r for r in at if r[1] == "CNAME"]
            if not reply.answer:
                reply.authority = [self.soa]
                below = any(r[0].endswith("." + q.name) for r in self.records)
                reply.rcode = NOERROR if at or below else NXDOMAIN
        bent = self.bend(q, reply, tcp) if self.bend else None
        if bent is SILENT:
            return SILENT
        return bent if isinstance(bent, bytes) else reply.wire()


class Hostile:
    """All of them: {address: Zone}. tcp: addresses that take connections."""

    def __init__(self, zones, without_tcp=()):
        self.selector = selectors.DefaultSelector()
        self.sockets, self.stopping = [], False
        self.asked = []
        for address, zone in zones.items():
            self._udp(address, zone)
            if address not in without_tcp:
                self._listen(address, zone)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _udp(self, address, zone):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((address, 53))
        self._watch(s, lambda: self._datagram(s, zone))

    def _listen(self, address, zone):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((address, 53))
        s.listen(64)
        self._watch(s, lambda: self._accept(s, zone))

    def _watch(self, s, ready):
        s.setblocking(False)
        self.sockets.append(s)
        self.selector.register(s, selectors.EVENT_READ, ready)

    def _datagram(self, s, zone):
        packet, sender = s.recvfrom(4096)
        reply = zone.answer(packet, False)
        if reply is not SILENT:
            s.sendto(reply, sender)

    def _accept(self, listener, zone):
        s, _ = listener.accept()
        pending = bytearray()
        self._watch(s, lambda: self._stream(s, zone, pending))

    def _stream(self, s, zone, pending):
        data = s.recv(4096)
        if not data:
            self.selector.unregister(s)
            s.close()
            self.sockets.remove(s)
            return
        pending += data
        while len(pending) >= 2 and len(pending) >= 2 + (pending[0] << 8 | pending[1]):
            length = pending[0] << 8 | pending[1]
            packet = bytes(pending[2:2 + length])
            del pending[:2 + length]
            reply = zone.answer(packet, True)
            if reply is not SILENT:
                s.sendall(struct.pack("!H", len(reply)) + reply)

    def _run(self):
        while not self.stopping:
            for key, _ in self.selector.select(0.1):
                try:
                    key.data()
                except OSError:
                    continue

    def close(self):
        self.stopping = True
        self.thread.join()
        for s in self.sockets:
            s.close()
