"""What the double's own tests share: a started double on a port of the kernel's choice, a scripted DNS server, keys
made once."""

import atexit
import http.server
import os
import shutil
import socket
import socketserver
import struct
import tempfile
import threading
import time
import unittest

import client
import dns_client
import ledger
from double import Double
from hierarchy import Hierarchy, make_csr, make_key

CREDENTIAL = {"secret_id": "AKIDEXAMPLE0000000000000000000000001", "secret_key": "ExampleSecretKey00000000000000001"}
_shared = tempfile.mkdtemp(prefix="double-test-")
atexit.register(shutil.rmtree, _shared, True)


def shared_ca():
    """One test CA for all tests of a run: making it is the slow part."""
    path = os.path.join(_shared, "ca")
    Hierarchy(path, int(time.time()) - 1825 * 86400, int(time.time()) + 3650 * 86400)
    return path


def key_file(kind, name="key"):
    path = os.path.join(_shared, f"{name}-{kind}.pem")
    if not os.path.exists(path):
        make_key(path, kind)
    return path


def csr(names, kind="rsa-2048", common_name=None, key="new"):
    return make_csr(key_file(kind, key), kind, names, names[0] if common_name is None else common_name)


def certificate(public_id, names, package_type="83", key="rsa-2048", **more):
    return {"id": public_id, "names": names, "package_type": package_type, "key": key, "key_file": key_file(key),
            **more}


def eventually(test, limit_s=10, what="the condition"):
    """Polls until test() is true; fails loudly at the limit."""
    end = time.monotonic() + limit_s
    while True:
        found = test()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come true in {limit_s} s")
        time.sleep(0.01)


class ScriptedDns:
    """Answers from a table {(name, type): [wire rdata]}; unknown names are NXDOMAIN. table["rcode"] overrides."""

    def __init__(self):
        self.table, self.rcode, self.truncate = {}, None, False
        self.asked = []
        outer = self

        class Udp(socketserver.BaseRequestHandler):
            def handle(self):
                data, sock = self.request
                sock.sendto(outer.answer(data, True), self.client_address)

        class Tcp(socketserver.StreamRequestHandler):
            def handle(self):
                length = struct.unpack("!H", self.rfile.read(2))[0]
                reply = outer.answer(self.rfile.read(length), False)
                self.wfile.write(struct.pack("!H", len(reply)) + reply)

        self.tcp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tcp)
        self.address = "127.0.0.1:%d" % self.tcp.server_address[1]
        self.udp = socketserver.ThreadingUDPServer(self.tcp.server_address, Udp)
        for server in (self.tcp, self.udp):
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        for server in (self.tcp, self.udp):
            server.shutdown()
            server.server_close()

    def txt(self, name, *values):
        self.table[(name,
                    16)] = [b"".join(bytes([len(v[i:i + 255])]) + v[i:i + 255].encode() for i in range(0, len(v), 255))
                                  for v in values]

    def cname(self, name, target):
        self.table[(name, 5)] = [dns_client.encode_name(target)]

    def a(self, name, address):
        self.table[(name, 1)] = [socket.inet_aton(address)]

    def caa(self, name, tag, value, flags=0):
        self.table[(name, 257)] = [bytes([flags, len(tag)]) + tag.encode() + value.encode()]

    def answer(self, data, udp):
        name, at = dns_client.read_name(data, 12)
        kind = struct.unpack_from("!H", data, at)[0]
        self.asked.append((name.lower(), kind, udp))
        records, rcode = [], 0
        if self.rcode is not None:
            rcode = self.rcode
        else:
            owner = name.lower()
            while (owner, kind) not in self.table and (owner, 5) in self.table and len(records) < 8:
                records.append((owner, 5, self.table[(owner, 5)][0]))
                owner = dns_client.read_name(self.table[(owner, 5)][0], 0)[0].lower()
            records += [(owner, kind, rdata) for rdata in self.table.get((owner, kind), [])]
            if not records and not any(known[0] == owner for known in self.table):
                rcode = 3
        truncated = udp and self.truncate
        flags = 0x8580 | rcode | (0x0200 if truncated else 0)
        records = [] if truncated else records
        out = data[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0) + data[12:at + 4]
        for owner, number, rdata in records:
            out += dns_client.encode_name(owner) + struct.pack("!HHIH", number, 1, 60, len(rdata)) + rdata
        return out


class ScriptedWeb:
    """Serves {(host, path): (status, body)} on a port of the kernel's choice."""

    def __init__(self):
        self.pages, self.asked = {}, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                outer.asked.append((self.headers["Host"], self.path))
                status, body = outer.pages.get((self.headers["Host"], self.path), (404, ""))
                self.send_response(status)
                if status in (301, 302):
                    self.send_header("Location", body)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class DoubleCase(unittest.TestCase):
    """A started double; certificates() is overridden to say what exists."""

    def certificates(self):
        return [certificate("free0001", ["www.example.test", "example.test"])]

    def scenario(self):
        return {}

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="double-test-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        os.symlink(shared_ca(), os.path.join(self.folder, "ca"))
        self.dns, self.web = ScriptedDns(), ScriptedWeb()
        self.addCleanup(self.dns.close)
        self.addCleanup(self.web.close)
        scenario = {"credentials": [CREDENTIAL], "certificates": self.certificates(), "rate_limit": 0,
                    "check_spacing_s": 0,
                    "validation": {"resolver": self.dns.address, "interval_s": 0.05, "http_port": self.web.port,
                                   "https_port": 1,
                                   "fetch_timeout_s": 2}}
        scenario.update(self.scenario())
        self.double = Double("127.0.0.1:0", self.folder, scenario)
        self.double.start()
        self.addCleanup(self.double.stop)

    def control(self, op, **fields):
        return self.double.controls.run({"op": op, **fields})

    def raw(self, action, parameters=None, **how):
        return client.call(self.double.address, CREDENTIAL, action, parameters, **how)

    def call(self, action, **parameters):
        """The Response of a call that must succeed."""
        response = self.raw(action, parameters)[2]
        self.assertNotIn("Error", response)
        return response

    def code(self, action, parameters=None, **how):
        """The error code of a call that must fail."""
        return self.raw(action, parameters, **how)[2]["Error"]["Code"]

    def ledger(self):
        return ledger.read(os.path.join(self.folder, "ledger.jsonl"))

    def events(self, kind):
        return [e for e in ledger.read(os.path.join(self.folder, "events.jsonl")) if e["event"] == kind]

    def replace(self, public_id="free0001", **parameters):
        entry = self.double.state.find(public_id)
        parameters.setdefault("CsrType", "upload")
        if parameters["CsrType"].lower() == "upload":
            parameters.setdefault("CsrContent", csr(entry["names"], entry["key_type"]))
        return self.call("ReplaceCertificate", CertificateId=public_id, ValidType="DNS", **parameters)["CertificateId"]

    def publish(self, public_id):
        """Puts what the order asks for into the scripted DNS."""
        for auth in self.call("DescribeCertificate", CertificateId=public_id)["DvAuthDetail"]["DvAuths"]:
            (self.dns.txt if auth["DvAuthVerifyType"] == "TXT" else self.dns.cname)(auth["DvAuthKey"],
                                                                                    auth["DvAuthValue"])

    def status(self, public_id):
        return self.call("DescribeCertificate", CertificateId=public_id)["Status"]

    def wait_status(self, public_id, status):
        eventually(lambda: self.status(public_id) == status, what=f"status {status} of {public_id}")
