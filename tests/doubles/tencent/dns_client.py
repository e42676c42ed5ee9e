"""A small DNS client: one question to one server over UDP and TCP, a resolver's client, a walk from configured
roots."""

import os
import socket
import struct
import time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "TXT": 16, "AAAA": 28, "CAA": 257}
NAMES = {number: name for name, number in TYPES.items()}
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}


class DnsError(Exception):
    pass


def fold(name):
    return name.rstrip(".").lower()


def encode_name(name):
    wire = b""
    for label in filter(None, name.rstrip(".").split(".")):
        raw = label.encode("ascii")
        if len(raw) > 63:
            raise DnsError("label too long")
        wire += bytes([len(raw)]) + raw
    if len(wire) > 254:
        raise DnsError("name too long")
    return wire + b"\0"


def read_name(data, at):
    labels, end, hops = [], None, 0
    while True:
        if at >= len(data):
            raise DnsError("name runs out of the message")
        length = data[at]
        if length & 0xC0 == 0xC0:
            if at + 2 > len(data):
                raise DnsError("pointer cut")
            end = at + 2 if end is None else end
            target = struct.unpack_from("!H", data, at)[0] & 0x3FFF
            hops += 1
            if target >= at or hops > 64:
                raise DnsError("bad pointer")
            at = target
        elif length == 0:
            return ".".join(labels), (at + 1 if end is None else end)
        else:
            labels.append(data[at + 1:at + 1 + length].decode("latin-1"))
            at += 1 + length


class Record:
    def __init__(self, owner, kind, ttl, value):
        self.owner, self.kind, self.ttl, self.value = owner, kind, ttl, value


def _rdata(data, kind, at, length):
    raw = data[at:at + length]
    if kind in ("NS", "CNAME"):
        return read_name(data, at)[0]
    if kind == "SOA":
        names, at = [], at
        for _ in range(2):
            name, at = read_name(data, at)
            names.append(name)
        return (*names, *struct.unpack_from("!IIIII", data, at))
    if kind == "TXT":
        joined, at = b"", 0
        while at < len(raw):
            joined += raw[at + 1:at + 1 + raw[at]]
            at += 1 + raw[at]
        return joined
    if kind == "A":
        return socket.inet_ntop(socket.AF_INET, raw)
    if kind == "AAAA":
        return socket.inet_ntop(socket.AF_INET6, raw)
    if kind == "CAA":
        length = raw[1]
        return raw[0], raw[2:2 + length].decode("latin-1"), raw[2 + length:].decode("latin-1")
    return raw


class Answer:
    """A parsed message."""

    def __init__(self, data):
        try:
            ident, flags, questions, *counts = struct.unpack_from("!HHHHHH", data)
            self.id, self.rcode, self.aa, self.tc = ident, flags & 15, bool(flags & 0x0400), bool(flags & 0x0200)
            self.response, at = bool(flags & 0x8000), 12
            self.question = None
            for _ in range(questions):
                name, at = read_name(data, at)
                self.question = (fold(name), *struct.unpack_from("!HH", data, at))
                at += 4
            self.sections = []
            for count in counts:
                section = []
                for _ in range(count):
                    owner, at = read_name(data, at)
                    kind, _, ttl, length = struct.unpack_from("!HHIH", data, at)
                    at += 10
                    name = NAMES.get(kind, str(kind))
                    section.append(Record(fold(owner), name, ttl, _rdata(data, name, at, length)))
                    at += length
                self.sections.append(section)
        except (struct.error, IndexError, ValueError, OSError) as error:
            raise DnsError(f"malformed answer: {error}") from None

    answer = property(lambda self: self.sections[0])
    authority = property(lambda self: self.sections[1])
    additional = property(lambda self: self.sections[2])

    def values(self, owner, kind):
        return [r.value for r in self.answer if r.kind == kind and r.owner == fold(owner)]


def split_server(text, port=53):
    """"192.0.2.1", "192.0.2.1:53", "[::1]:53" or "::1"."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, int(rest[1:] or port)
    if text.count(":") == 1:
        host, _, number = text.partition(":")
        return host, int(number)
    return text, port


def _exchange_udp(server, wire, timeout, expect):
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.connect(server)
        s.send(wire)
        end = time.monotonic() + timeout
        while True:
            s.settimeout(max(0.001, end - time.monotonic()))
            try:
                answer = Answer(s.recv(65535))
            except DnsError:
                continue
            if expect(answer):
                return answer
            if time.monotonic() >= end:
                raise TimeoutError


def _exchange_tcp(server, wire, timeout, expect):
    with socket.create_connection(server, timeout) as s:
        s.sendall(struct.pack("!H", len(wire)) + wire)
        data = b""
        while len(data) < 2 or len(data) < 2 + struct.unpack_from("!H", data)[0]:
            more = s.recv(65535)
            if not more:
                raise DnsError("connection closed early")
            data += more
        answer = Answer(data[2:])
        if not expect(answer):
            raise DnsError("answer to another question")
        return answer


def query(server, name, kind, recursion=False, timeout=1.5, tries=2, tcp=False):
    """One question to one server "address[:port]": UDP, then TCP if truncated. Raises DnsError on silence."""
    server = split_server(server)
    ident = int.from_bytes(os.urandom(2), "big")
    wire = struct.pack("!HHHHHH", ident, 0x0100 if recursion else 0, 1, 0, 0, 1) + encode_name(name)
    wire += struct.pack("!HH", TYPES[kind], 1) + b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)
    question = (fold(name), TYPES[kind], 1)

    def expect(answer):
        return answer.response and answer.id == ident and answer.question == question

    for _ in range(tries):
        try:
            if not tcp:
                answer = _exchange_udp(server, wire, timeout, expect)
                if not answer.tc:
                    return answer
            return _exchange_tcp(server, wire, timeout, expect)
        except OSError:
            continue
    raise DnsError(f"{server[0]} does not answer")


class Seen:
    """What one server (or the resolver) said of a name, after following aliases."""

    def __init__(self, server, rcode, values, error=None):
        self.server, self.rcode, self.values, self.error = server, rcode, values, error


class ResolverClient:
    """Asks one recursive resolver."""

    def __init__(self, server):
        self.server = server

    def look(self, name, kind):
        """A list of Seen: here one."""
        try:
            for _ in range(9):
                answer = query(self.server, name, kind, recursion=True, timeout=3)
                values, alias = follow(answer, name, kind)
                if values or alias is None or answer.rcode != 0:
                    return [Seen(self.server, answer.rcode, values)]
                name = alias
            return [Seen(self.server, 2, [])]
        except DnsError as error:
            return [Seen(self.server, None, [], str(error))]


def follow(answer, name, kind):
    """The values at the end of the alias chain within one answer, and where the chain leads if it leaves it."""
    alias, visited = None, set()
    while True:
        values = answer.values(name, kind)
        targets = [] if kind == "CNAME" else answer.values(name, "CNAME")
        if values or not targets or fold(name) in visited:
            return values, alias
        visited.add(fold(name))
        name = alias = targets[0]


class RootWalker:
    """Walks from configured root servers and asks every address of the zone's name servers, caching nothing."""

    def __init__(self, roots):
        self.roots = list(roots)

    def look(self, name, kind):
        for _ in range(9):
            try:
                servers = self.servers(name)
            except DnsError as error:
                return [Seen(None, None, [], str(error))]
            seen, aliases = [], []
            for server in servers:
                try:
                    answer = query(server, name, kind)
                except DnsError as error:
                    seen.append(Seen(server, None, [], str(error)))
                    continue
                # Behind an alias only the target's own servers count, whatever another zone of this one says of it.
                values, targets = answer.values(name, kind), answer.values(name, "CNAME") if kind != "CNAME" else []
                lame = answer.rcode not in (0, 3) or not answer.aa
                seen.append(Seen(server, answer.rcode, values, "lame" if lame else None))
                aliases.append(targets[0] if targets and not values else None)
            if not aliases or not all(aliases) or len({fold(a) for a in aliases}) != 1:
                return seen
            name = aliases[0]
        return [Seen(None, 2, [])]

    def servers(self, name, depth=0):
        """The addresses of the zone that holds name."""
        if depth > 6:
            raise DnsError("delegation too deep")
        servers, labels = list(self.roots), fold(name).split(".")
        for count in range(1, len(labels) + 1):
            suffix = ".".join(labels[-count:])
            answer = self._first(servers, suffix)
            if answer.rcode == 3:
                break
            referred = [r.value for r in answer.authority if r.kind == "NS" and r.owner == suffix]
            records = answer.values(suffix, "NS") or referred
            if records:
                servers = self._addresses(records, answer, depth)
        return servers

    @staticmethod
    def _first(servers, name):
        last = DnsError("no server")
        for server in servers:
            try:
                answer = query(server, name, "NS", timeout=1)
                if answer.rcode in (0, 3):
                    return answer
            except DnsError as error:
                last = error
        raise last

    def _addresses(self, names, answer, depth):
        found = []
        for name in names:
            given = answer.additional + answer.answer
            glue = [r.value for r in given if r.kind in ("A", "AAAA") and r.owner == fold(name)]
            if not glue:
                for server in self.servers(name, depth + 1):
                    try:
                        glue = query(server, name, "A").values(name, "A")
                        break
                    except DnsError:
                        continue
            found += [f"[{a}]:53" if ":" in a else a for a in glue if a not in found]
        if not found:
            raise DnsError(f"no address of {', '.join(names)}")
        return found
