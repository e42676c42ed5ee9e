"""A proxy before Pebble that does harm by rule, and writes down what it saw: requests are dropped, answers lost, held,
repeated, replaced or altered. Pebble names its places after the Host that it is asked for, so all of them lead here."""

import base64
import http.client
import http.server
import json
import os
import re
import socket
import ssl
import threading
import time

import probe
from servers import BASE

ADDRESS, PORT = "127.0.5.2", 14000


class Rule:
    """Applies to the next `times` requests whose "METHOD PATH" matches, after `skip` of them. act: "drop" (never sent),
    "lose" (sent, no answer), "repeat" (sent twice), "replay" (an earlier such request is sent first, as it was then),
    "endless" (an answer whose body never ends), seconds (the answer waits), (status, headers, body) instead of asking, or a
    function that gets and returns those of Pebble's answer."""

    def __init__(self, pattern, act, times=1, skip=0):
        self.pattern, self.act, self.times, self.skip, self.struck = re.compile(pattern), act, times, skip, 0

    def takes(self, what):
        if self.struck >= self.times or not self.pattern.search(what):
            return False
        self.skip -= 1
        self.struck += self.skip < 0
        return self.skip < 0


class Proxy:
    def __init__(self, pebble):
        self.pebble, self.rules, self.ledger, self.lock = pebble, [], [], threading.Lock()
        self.payloads = []  # (what, what was signed)
        self.earlier, self.replayed = {}, []  # {METHOD PLACE: body} of the newest; (what, status)
        self.bundle, key = f"{BASE}/proxy/listen.pem", f"{BASE}/proxy/listen.key"
        self.directory = f"https://{ADDRESS}:{PORT}/dir"
        os.makedirs(f"{BASE}/proxy", exist_ok=True)
        probe.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                      "-subj", "/CN=proxy", "-addext", f"subjectAltName=IP:{ADDRESS}", "-keyout", key, "-out", self.bundle)
        os.chmod(self.bundle, 0o644)
        self.trusted = ssl.create_default_context(cafile=pebble.bundle)
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own.load_cert_chain(self.bundle, key)
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # head and body are two writes: the second would wait for 40 ms

            def handle_one(self):
                proxy.handle(self)

            do_GET = do_HEAD = do_POST = handle_one

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Server((ADDRESS, PORT), Handler)
        self.server.socket = own.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    name, tail = "proxy", staticmethod(lambda: "")

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def harm(self, *rule, **how):
        self.rules = [Rule(*rule, **how)]
        return self.rules[0]

    def handle(self, h):
        body = h.rfile.read(int(h.headers.get("Content-Length") or 0))
        what = f"{h.command} {h.path}"
        with self.lock:
            act = next((r.act for r in self.rules if r.takes(what)), None)
        if act == "drop":
            return self.hang_up(h, what, "dropped")
        if act == "endless":
            return self.pour(h)
        if act == "replay":
            self.replay(h, what)
        answer = act if isinstance(act, tuple) else self.asked(h, what, body)
        if act == "repeat":
            self.ask(h, body)
        if callable(act):
            answer = act(*answer)
        if act == "lose":
            return self.hang_up(h, what, answer[0])
        if isinstance(act, (int, float)):
            time.sleep(act)
        return self.give(h, what, *answer)

    def asked(self, h, what, body):
        """Pebble's answer; what a newer server has beside it is in acme_newer.py."""
        return self.ask(h, body)

    def signed(self, body):
        """What a request carries; None: it is not signed."""
        try:
            text = json.loads(body)["payload"]
            return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        except (ValueError, KeyError, TypeError):
            return None

    def ask(self, h, body):
        headers = {k: v for k, v in h.headers.items() if k.lower() in ("host", "content-type", "accept", "user-agent")}
        connection = http.client.HTTPSConnection(self.pebble.address, PORT, timeout=20 * probe.BUSY, context=self.trusted)
        try:
            connection.putrequest(h.command, h.path, skip_host=True, skip_accept_encoding=True)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            reply = connection.getresponse()
            kept = [(k, v) for k, v in reply.getheaders() if k.lower() not in ("content-length", "transfer-encoding", "connection")]
            answer = reply.status, kept, reply.read()
        finally:
            connection.close()
        with self.lock:
            self.earlier[f"{h.command} {h.path}".rpartition("/")[0]] = h.path, body
            self.ledger.append((f"{h.command} {h.path}", answer[0]))
            self.payloads.append((f"{h.command} {h.path}", self.signed(body)))
        return answer

    def replay(self, h, what):
        """What somebody who listened would send once more: another order's, its signature and nonce as they were."""
        old = self.earlier.get(what.rpartition("/")[0])
        if old:
            path, body = old
            now, h.path = h.path, path
            self.replayed.append((what, self.ask(h, body)[0]))
            h.path = now

    @staticmethod
    def pour(h):
        h.close_connection = True
        h.send_response_only(200)
        h.send_header("Content-Type", "application/json")
        h.end_headers()
        try:
            while True:
                h.wfile.write(b" " * 65536)
        except OSError:
            pass

    def hang_up(self, h, what, how):
        h.close_connection = True
        h.connection.close()

    @staticmethod
    def give(h, what, status, headers, body):
        h.send_response_only(status)
        for name, value in headers:
            h.send_header(name, value)
        h.send_header("Content-Length", str(len(body)))
        h.end_headers()
        if h.command != "HEAD":
            h.wfile.write(body)

    def ca(self, **more):
        return {**self.pebble.ca(), "directory": self.directory, "ca_bundle": self.bundle, **more}

    def finalized(self):
        """{order: how often Pebble took a CSR for it}"""
        taken = {}
        for what, status in list(self.ledger):
            if what.startswith("POST /finalize-order/") and status == 200:
                taken[what] = taken.get(what, 0) + 1
        return taken


class Tunnel:
    """The proxy of a company: it tunnels (CONNECT) to names that it alone knows, {"ca.test:443": (address, port)}."""

    name, tail = "tunnel", staticmethod(lambda: "")

    def __init__(self, address, port, places):
        self.places, self.asked = places, []
        self.listener = socket.create_server((address, port))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.tunnel, args=(client,), daemon=True).start()

    def tunnel(self, client):
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                more = client.recv(4096)
                if not more:
                    return
                head += more
            method, place = head.decode().split()[:2]
            self.asked.append(f"{method} {place}")
            if place not in self.places:
                client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection(self.places[place]) as server:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                threading.Thread(target=self.pass_on, args=(server, client), daemon=True).start()
                self.pass_on(client, server)

    @staticmethod
    def pass_on(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def stop(self):
        self.listener.close()
