"""The alerts listener from outside: honest senders, forgers, slow and hostile clients, the real Alertmanager, the drop
folder and the operator's commands. Nothing is reissued here: the certificate asks before it acts."""

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
import unittest

import namespace
import probe
from servers import write
from world import BASE, RUNTIME, SOURCE, STATE, World

LISTEN = ("127.0.0.1", 9854)
SCANNER = "whsec_" + base64.b64encode(b"scanner-secret-of-32-bytes-long!").decode()
OLD_SCANNER = "whsec_" + base64.b64encode(b"an-older-secret-of-that-sender!!").decode()
GITHUB = "It's a Secret to Everybody"
TOKEN = "alertmanager-token-1234567890"
API_TOKEN = "github-api-token-canary-0123456789"


def ed25519():
    """A sender with a key pair: whpk_ and its public half."""
    if not os.path.exists(f"{BASE}/ed25519.pem"):
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", f"{BASE}/ed25519.pem"], check=True)
    der = subprocess.run(["openssl", "pkey", "-in", f"{BASE}/ed25519.pem", "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
    return "whpk_" + base64.b64encode(der[-32:]).decode()


def standard_v1a(body, ident):
    stamp = str(int(time.time()))
    with open(f"{BASE}/to-sign", "wb") as f:
        f.write(f"{ident}.{stamp}.".encode() + body)
    signature = subprocess.run(["openssl", "pkeyutl", "-sign", "-inkey", f"{BASE}/ed25519.pem", "-rawin", "-in", f"{BASE}/to-sign"],
                               check=True, capture_output=True).stdout
    return {"webhook-id": ident, "webhook-timestamp": stamp, "webhook-signature": "v1a," + base64.b64encode(signature).decode()}


def config_of(world):
    config = world.default_config()
    config["certificates"]["www"]["on_compromise"] = {"reissue": "confirm"}
    config["admin"] = {"listen": "127.0.0.1:9853"}
    config["alerts"] = {
        "listen": [f"{LISTEN[0]}:{LISTEN[1]}"], "trusted_proxies": ["127.0.0.9"],
        "webhooks": {
            "scanner": {"format": "standard-webhooks",
                        "secret": [{"file": world.secret("scanner-old", OLD_SCANNER)},
                                   {"file": world.secret("scanner", SCANNER)}]},
            "github": {"format": "github", "secret": {"file": world.secret("github", GITHUB)}},
            "fetching": {"format": "github", "secret": {"file": world.secret("fetching", GITHUB)},
                         "token": {"file": world.secret("github-api", API_TOKEN)}, "api": "http://127.0.0.1:9860"},
            "monitoring": {"format": "alertmanager", "secret": {"file": world.secret("monitoring", TOKEN)},
                           "labels": {"spki_sha256": "key_pin"}},
            "signer": {"format": "standard-webhooks", "secret": {"file": world.secret("signer", ed25519())}},
            "script": {"format": "generic", "secret": {"file": world.secret("script", "a-script-secret")}}}}
    world.canaries.pop(GITHUB)
    world.canaries.pop(ed25519())  # a public key
    return config


def post(path, body=b"", headers=None, method="POST", source=None):
    """(status, document, headers) of one request on a connection of its own."""
    link = http.client.HTTPConnection(*LISTEN, timeout=30, source_address=source)
    try:
        link.request(method, path, body, {"Content-Type": "application/json", **(headers or {})})
        answer = link.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text[:1] == b"{" else None, dict(answer.getheaders())
    finally:
        link.close()


def until_limited(*request, **how):
    """The answers up to the first 429: who is slow gets some of what is allowed back meanwhile."""
    answers = [post(*request, **how)]
    while answers[-1][0] != 429 and len(answers) < 1000:
        answers.append(post(*request, **how))
    return answers


def standard(body, ident, secret=SCANNER, at=None):
    stamp = str(int(time.time()) if at is None else at)
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.new(key, f"{ident}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {"webhook-id": ident, "webhook-timestamp": stamp, "webhook-signature": "v1," + base64.b64encode(mac).decode()}


def github(body, event, delivery="d-1", secret=GITHUB):
    return {"X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
            "X-GitHub-Event": event, "X-GitHub-Delivery": delivery}


def event(**data):
    return json.dumps({"type": "key.compromised", "timestamp": "2026-11-23T07:00:00Z", "data": data}).encode()


def raw(data, limit_s=30):
    """What comes back for these bytes, up to the end of the connection or half a second of silence."""
    with socket.create_connection(LISTEN, timeout=limit_s) as s:
        s.sendall(data)
        answer = b""
        try:
            while chunk := s.recv(4096):
                answer += chunk
                s.settimeout(0.5)
        except (TimeoutError, ConnectionResetError):
            pass
        return answer


def answered(path):
    try:
        return post(path, method="GET")[0] == 405
    except (OSError, http.client.HTTPException):
        return False


def spki_of(path):
    der = subprocess.run(["openssl", "pkey", "-in", path, "-pubout", "-outform", "DER"], capture_output=True, check=True)
    return hashlib.sha256(der.stdout).hexdigest()


def rss_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", probe.read_text(f"/proc/{pid}/status")).group(1))


class Alerts(unittest.TestCase):
    def started(self, world):
        world.write_config(config_of(world))
        folder = world.tls_directory("a1B2c3D4")
        world.start_dcvd()
        done = world.dcvctl("import", "www", "--cert", f"{folder}/fullchain.pem", "--key", f"{folder}/privkey.pem")
        self.assertEqual(done.returncode, 0, done.stderr)
        return f"{folder}/privkey.pem"

    def incidents(self, nameless=False):
        """Their rows in the journal; nameless: of reports that do not say which key leaked."""
        with contextlib.closing(sqlite3.connect(f"file:{STATE}/dcvd.db?mode=ro", uri=True)) as journal:
            return journal.execute("SELECT id FROM incident WHERE key LIKE 'leak %' = ?", (nameless,)).fetchall()

    @staticmethod
    def journal():
        """All that a report may change."""
        with contextlib.closing(sqlite3.connect(f"file:{STATE}/dcvd.db?mode=ro", uri=True)) as journal:
            tables = {table: journal.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
                      for table in ("incident", "incident_case", "alert_seen", "alert_unmatched", "job", "audit")}
        return tables, os.path.exists(f"{STATE}/compromised") and probe.read_text(f"{STATE}/compromised"), os.listdir(f"{STATE}/keys")

    def hangs_up(self, spki):
        """Who resets before the answer has reported all the same; the daemon minds neither this nor half a request."""
        body = event(spki_sha256=spki)
        for cut, ident in ((1 << 20, "msg_reset"), (200, "msg_half")):
            head = "".join(f"{k}: {v}\r\n" for k, v in standard(body, ident).items())
            request = f"POST /alerts/scanner HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
            s = socket.create_connection(LISTEN)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.sendall(request[:cut])
            s.close()
        know = lambda ident: post("/alerts/scanner", body, standard(body, ident))[1].get("text")
        probe.until(lambda: know("msg_reset") == "this delivery was taken before", 20, "the report of who hung up")
        self.assertNotEqual(know("msg_half"), "this delivery was taken before")
        self.assertEqual(len(self.incidents()), 1)

    def no_disk(self, spki):
        """The answer is 503 until it is on disk, and the sender who comes again is then taken."""
        known, strange = event(spki_sha256=spki), event(spki_sha256="cd" * 32)
        os.rename(f"{STATE}/dcvd.db", f"{STATE}/aside")
        for _ in range(2):
            for body, ident in ((known, "msg_disk1"), (strange, "msg_disk2")):
                status, document, headers = post("/alerts/scanner", body, standard(body, ident))
                self.assertEqual(status, 503, document)
                self.assertGreaterEqual(int(headers["Retry-After"]), 1)
        os.rename(f"{STATE}/aside", f"{STATE}/dcvd.db")
        for body, ident in ((known, "msg_disk1"), (strange, "msg_disk2")):
            status, document, _ = post("/alerts/scanner", body, standard(body, ident))
            self.assertEqual(status, 200, document)
            self.assertNotEqual(document["text"], "this delivery was taken before")

    def test_who_may_report_and_who_may_not(self):
        with World(services=("double",)) as world:
            key = self.started(world)
            spki = spki_of(key)
            probe.until(lambda: self.journal()[0]["audit"], 10, "the import's row")
            before = self.journal()
            self.forgers(world, spki)
            self.hostile(spki)
            self.assertEqual(self.journal(), before, "a forged alert changed something")
            self.honest(world, spki)
            self.hangs_up(spki)
            self.no_disk(spki)
            self.other_senders(world)
            self.burst(world, spki)
            self.proofs(world, key)
            self.counted()
            self.assertEqual(world.ledger("ReplaceCertificate"), [])
            world.assert_invariants(self)

    def forgers(self, world, spki):
        body = event(spki_sha256=spki)
        good = standard(body, "msg_1")
        stale = standard(body, "msg_1", at=int(time.time()) - 301)
        for headers in ({}, standard(body, "msg_1", "whsec_" + base64.b64encode(b"x" * 32).decode()), stale,
                        {**good, "webhook-id": "msg_2"}, {**good, "webhook-signature": good["webhook-signature"][:-4]},
                        {**good, "webhook-signature": ""}):
            self.assertEqual(post("/alerts/scanner", body, headers)[0], 401, headers)
        self.assertIn("webhook scanner: an alert with a good signature is refused: its time", probe.read_text(world.dcvd.log))
        self.assertEqual(post("/alerts/scanner", body + b"\n", good)[0], 401)
        hub = github(body, "secret_scanning_alert")
        self.assertEqual(post("/alerts/github", body, {**hub, "X-Hub-Signature-256": hub["X-Hub-Signature-256"][:-1]})[0], 401)
        self.assertEqual(post("/alerts/github", body, github(body, "ping", secret=""))[0], 401)
        self.assertEqual(post("/alerts/monitoring", body, {"Authorization": f"Bearer {TOKEN}x"})[0], 401)
        self.assertEqual(self.incidents(), [])

    def hostile(self, spki):
        body = event(spki_sha256=spki)
        self.assertEqual(post("/alerts/scanner", method="GET")[:2], (405, {"error": "POST only"}))
        self.assertEqual(post("/alerts/scanner", method="GET")[2]["Allow"], "POST")
        for path in ("/", "/alerts/", "/alerts/none", "/alerts/scanner/", "/alerts/%73canner", "/alerts/scanner?x=1", "/alerts//scanner",
                     "/alerts/./scanner", "/alerts/../alerts/scanner", "/metrics"):
            self.assertEqual(post(path, body, standard(body, "m"))[0], 404, path)
        self.assertEqual(post("/alerts/scanner", b"x" * (1 << 20) + b"x")[:2], (413, {"error": "a report is at most 1048576 bytes"}))
        for huge in (b"POST /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
                     b"POST /alerts/scanner HTTP/1.1\r\nHost: x\r\n" + b"X: " + b"y" * 100000 + b"\r\n\r\n",
                     b"POST /alerts/scanner\0 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
                     b"POST http://x/alerts/scanner HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"):
            self.assertNotIn(b" 20", raw(huge, 2).split(b"\r\n")[0])
        self.assertEqual(post("/alerts/scanner", body, {**standard(body, "m"), "Content-Type": "text/xml"})[0], 415)
        for browser in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            self.assertEqual(post("/alerts/scanner", body, {**standard(body, "m"), **browser})[0], 400)
        for bad in (b"", b"[" * 5000, b'{"type":"key.compromised","type":"x"}', b'{"type":"\xff"}', event(), event(spki_sha256="00")):
            status, document, _ = post("/alerts/scanner", bad, standard(bad, "m"))
            self.assertEqual(status, 400, bad)
            self.assertTrue(document["error"])
        head = b"POST /alerts/scanner HTTP/1.1\r\nHost: x\r\n"
        for smuggled in (head + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                         head + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
                         head + b"X: y\n\r\n", b"GET /alerts/proof HTTP/0.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00"):
            answer = raw(smuggled, 2)  # some only wait for more; their deadline is tested elsewhere
            self.assertLessEqual(answer.count(b"HTTP/1."), 1, smuggled)
            self.assertNotIn(b" 20", answer.split(b"\r\n")[0])
        twice = standard(body, "m")
        lines = b"".join(f"{k}: {v}\r\n".encode() for k, v in [*twice.items(), ("webhook-id", "n")])
        self.assertIn(b" 401 ", raw(head + lines + b"Content-Length: %d\r\n\r\n" % len(body) + body))

    def honest(self, world, spki):
        slow = []
        for _ in range(500):  # clients that only begin keep nobody out
            s = socket.create_connection(LISTEN)
            s.sendall(b"POST /alerts/scanner HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            slow.append(s)
        body = event(spki_sha256=spki.upper(), text="found in a repository", link="https://example.test/leak")
        probe.until(lambda: answered("/alerts/scanner"), 10, "a listener that makes room")
        status, document, _ = post("/alerts/scanner", body, standard(body, "msg_1"))
        self.assertEqual(status, 202, document)
        self.first, self.spki = document["incident"], spki
        self.assertEqual(len(self.incidents()), 1)
        for again in (standard(body, "msg_1"), standard(body, "msg_1", OLD_SCANNER), standard(body, "msg_9")):
            status, document, _ = post("/alerts/scanner", body, again)
            self.assertEqual((status, document["incident"], document["known"]), (200, self.first, True))
        world.kill_dcvd()
        for s in slow:
            s.close()
        # the sanitizer keeps freed memory for a while: as little as it can, so that what is measured is ours
        world.start_dcvd(env={"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"})
        status, document, _ = post("/alerts/scanner", b"{}", standard(b"{}", "msg_1"))
        self.assertEqual((status, document), (400, document), "a repeated id under another body is malformed, not taken")
        status, document, _ = post("/alerts/scanner", body, standard(body, "msg_1"))
        self.assertEqual((status, document["incident"]), (200, self.first), "the replay memory did not survive")
        stranger = event(spki_sha256="ab" * 32)
        status, document, _ = post("/alerts/scanner", stranger, standard(stranger, "msg_3"))
        self.assertEqual((status, document["incident"]), (200, None))
        self.assertEqual(len(self.incidents()), 1)

    def other_senders(self, world):
        ping = b'{"zen": "Keep it logically awesome."}'
        self.assertEqual(post("/alerts/github", ping, github(ping, "ping"))[0], 200)
        self.assertEqual(post("/alerts/github", ping, github(ping, "push"))[0], 200)
        published = post("/alerts/github", b"Hello, World!", {"X-GitHub-Event": "ping", "X-Hub-Signature-256":
                         "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"})
        self.assertEqual(published[0], 400, "the published vector is authentic and no JSON")
        leak = json.dumps({"action": "created", "repository": {"id": 1, "full_name": "o/r"},
                           "alert": {"number": 42, "secret_type": "rsa_private_key", "updated_at": "2026-11-23T07:00:00Z",
                                     "html_url": "https://github.com/o/r/security/42", "url": "http://127.0.0.1:9860/alerts/42"}}).encode()
        self.assertEqual(post("/alerts/github", leak, github(leak, "secret_scanning_alert", "d-7"))[0], 202)
        self.assertEqual(post("/alerts/github", leak, github(leak, "secret_scanning_alert", "d-8"))[0], 200)
        self.assertEqual(len(self.incidents(nameless=True)), 1)
        pair = event(spki_sha256=self.spki)
        self.assertEqual(post("/alerts/signer", pair + b" ", standard_v1a(pair, "pair_1"))[0], 401)
        self.assertEqual(post("/alerts/signer", pair, {**standard_v1a(pair, "pair_1"), "webhook-id": "pair_2"})[0], 401)
        self.assertEqual(post("/alerts/signer", pair, standard_v1a(pair, "pair_1"))[1]["incident"], self.first)
        signed = event(domains=["unknown.example"])
        mac = hmac.new(b"a-script-secret", signed, hashlib.sha256).hexdigest()
        self.assertEqual(post("/alerts/script", signed, {"X-Signature": mac})[0], 200)
        self.assertEqual(len(self.incidents()), 1)

    def burst(self, world, spki):
        """As many valid alerts as four connections carry in three seconds: one incident, bounded memory."""
        before, end, count, wrong = rss_kib(world.dcvd.pid), time.monotonic() + 3, [0], []
        body = event(spki_sha256=spki)

        def gun(number):
            link = http.client.HTTPConnection(*LISTEN, timeout=30)
            n = 0
            while time.monotonic() < end:
                link.request("POST", "/alerts/scanner", body, {"Content-Type": "application/json", **standard(body, f"gun_{number}_{n}")})
                answer = link.getresponse()
                answer.read()
                if answer.status not in (200, 503):
                    wrong.append(answer.status)
                n += 1
            count[0] += n
            link.close()

        guns = [threading.Thread(target=gun, args=(n,)) for n in range(4)]
        for one in guns:
            one.start()
        for one in guns:
            one.join()
        print(f"{count[0]} valid alerts in 3 s, {rss_kib(world.dcvd.pid) - before} KiB more")
        self.assertEqual(wrong, [])
        forged = [answer[0] for answer in until_limited("/alerts/scanner", body, source=("127.0.0.6", 0))]
        self.assertEqual((forged[-1], set(forged[:-1])), (429, {401}))
        self.assertEqual(post("/alerts/scanner", body, standard(body, "honest"), source=("127.0.0.6", 0))[0], 200)
        self.assertEqual(len(self.incidents()), 1)
        self.assertLess(rss_kib(world.dcvd.pid) - before, 64 * 1024)

    def proofs(self, world, key):
        pem = probe.read_text(key).encode()
        other = f"{BASE}/other.pem"
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", other], check=True,
                       capture_output=True)
        text = {"Content-Type": "text/plain"}
        self.assertEqual(post("/alerts/proof", spki_of(key).encode(), text)[0], 400, "a name alone is no proof")
        self.assertEqual(post("/alerts/proof", b"", text)[0], 400)
        self.assertEqual(post("/alerts/proof", pem, {"Content-Type": "text/html"})[0], 415)
        self.assertEqual(post("/alerts/proof", b"x" * 65537, {"Content-Type": "text/plain"})[0], 413)
        csr = subprocess.run(["openssl", "req", "-new", "-key", key, "-subj", "/CN=www.example.test"], check=True, capture_output=True).stdout
        self.assertEqual(post("/alerts/proof", csr, text)[0], 400, "an ordinary request proves nothing")
        unknown = probe.read_text(other).encode()
        self.assertEqual(post("/alerts/proof", unknown, text)[:2], (200, {"incident": None}))
        status, challenge, _ = post("/alerts/proof", b'{"challenge":true}')
        self.assertEqual(status, 200)
        write(f"{BASE}/challenge", challenge["challenge"])
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key, f"{BASE}/challenge"], check=True, capture_output=True).stdout
        public = subprocess.run(["openssl", "pkey", "-in", key, "-pubout"], check=True, capture_output=True).stdout
        statement = {"statement": challenge["challenge"], "signature": base64.b64encode(signature).decode(), "public_key": public.decode()}
        self.assertEqual(post("/alerts/proof", json.dumps({**statement, "statement": statement["statement"] + "x"}).encode())[0], 400)
        self.assertIn(post("/alerts/proof", json.dumps(statement).encode())[0], (200, 202))
        kca = subprocess.run(["openssl", "req", "-new", "-key", key, "-utf8", "-subj", "/CN=This key is compromised"], check=True,
                             capture_output=True).stdout
        self.assertEqual(post("/alerts/proof", kca, text)[0], 200)
        self.assertEqual(post("/alerts/proof", pem, text)[0], 200)
        self.assertEqual(len(self.incidents()), 1)
        limited = until_limited("/alerts/proof", b"x", text, source=("127.0.0.8", 0))
        self.assertEqual((limited[-1][0], {answer[0] for answer in limited[:-1]}), (429, {400}))
        self.assertGreaterEqual(int(limited[-1][2]["Retry-After"]), 1)
        through = {**text, "X-Forwarded-For": "127.0.0.8"}  # believed from a trusted proxy only
        self.assertEqual(post("/alerts/proof", b"x", through, source=("127.0.0.9", 0))[0], 429)
        self.assertEqual(post("/alerts/proof", b"x", through, source=("127.0.0.7", 0))[0], 400)

    def counted(self):
        link = http.client.HTTPConnection("127.0.0.1", 9853, timeout=30)
        link.request("GET", "/metrics")
        text = link.getresponse().read().decode()
        link.close()
        for source, result in (("proof", "limited"), ("github", "ignored"), ("scanner", "known"), ("script", "nothing")):
            value = re.search(rf'dcvd_alerts_total{{source="{source}",result="{result}"}} (\S+)', text)
            self.assertTrue(value and float(value.group(1)) > 0, (source, result))

    def test_scripts_operators_and_the_real_alertmanager(self):
        with World(services=("double",)) as world:
            key = self.started(world)
            self.operator(world, key)
            self.dropped(world, key)
            self.fetched(world, key)
            self.alertmanager(world, spki_of(key))
            self.reloaded(world)
            world.assert_invariants(self)

    def test_a_stranger_proves_a_leak_and_nginx_serves_a_new_certificate(self):
        with World() as world:
            config = config_of(world)
            config["certificates"]["www"] |= {"rehearse": "never", "on_compromise": {"reissue": "auto", "revoke": "never"}}
            world.write_config(config)
            folder = world.tls_directory("a1B2c3D4")
            world.start_dcvd()
            taken = world.dcvctl("import", "www", "--cert", f"{folder}/fullchain.pem", "--key", f"{folder}/privkey.pem")
            self.assertEqual(taken.returncode, 0, taken.stderr)
            leaked = probe.read_text(f"{folder}/privkey.pem")
            write(f"{BASE}/leaked.pem", leaked, 0o600)
            old, spki = world.served().sha256, spki_of(f"{BASE}/leaked.pem")
            begun = time.monotonic()
            status, document, _ = post("/alerts/proof", leaked.encode(), {"Content-Type": "text/plain"})
            self.assertEqual(status, 202, document)
            probe.until(lambda: world.served().sha256 != old, 90, "a new certificate served")
            print(f"from the proof to the new certificate on the wire: {time.monotonic() - begun:.1f} s")
            probe.until(lambda: world.dcvctl_json("status", "www")[1]["certificates"][0].get("job") is None, 60, "the job ended")
            self.assertEqual(len(world.ledger("ReplaceCertificate")), 1)
            self.assertIn(spki, probe.read_text(f"{STATE}/compromised"))
            again = world.dcvctl("import", "www", "--cert", world.original("a1B2c3D4", "fullchain.pem"), "--key", f"{BASE}/leaked.pem")
            self.assertNotEqual(again.returncode, 0, "a compromised key was taken back")
            self.assertEqual(post("/alerts/proof", leaked.encode(), {"Content-Type": "text/plain"})[0], 200)
            self.assertEqual(len(world.ledger("ReplaceCertificate")), 1)
            world.assert_invariants(self)

    def operator(self, world, key):
        for name in ("scanner", "monitoring", "script", "github"):
            tested = world.dcvctl("alert", "test", name)
            self.assertEqual(tested.returncode, 0, tested.stderr)
            self.assertIn("nothing was done", tested.stdout)
        self.assertIn("1 certificate", world.dcvctl("alert", "test", "scanner").stdout)
        self.assertEqual(self.incidents(), [], "a test acted")
        self.assertEqual(world.dcvctl("alert", "test", "nobody").returncode, 2)
        write(f"{BASE}/body", event(spki_sha256="ab" * 32).decode())
        self.assertIn("no key or certificate of this host fits", world.dcvctl("alert", "test", "scanner", "--body", f"{BASE}/body").stdout)
        write(f"{BASE}/body", "{}")
        self.assertEqual(world.dcvctl("alert", "test", "scanner", "--body", f"{BASE}/body").returncode, 1)
        pair = world.dcvctl("alert", "test", "signer")
        self.assertNotEqual(pair.returncode, 0)
        self.assertIn("only the sender can sign", pair.stderr)
        self.assertEqual(world.dcvctl("report").returncode, 2)
        self.assertEqual(world.dcvctl("report", "--spki", "00").returncode, 2)
        self.assertEqual(world.dcvctl("report", "--proof", key.replace("privkey", "fullchain")).returncode, 2)
        dry = world.dcvctl("report", "--cert", key.replace("privkey", "fullchain"), "--dry-run")
        self.assertEqual(dry.returncode, 0, dry.stderr)
        self.assertEqual(self.incidents(), [])
        if namespace.has_many_users():
            stranger = world.dcvctl("report", "--spki", spki_of(key), as_ids=(65534, 65534))
            self.assertNotEqual(stranger.returncode, 0, "a user outside the groups reported a key")
            self.assertEqual(self.incidents(), [])

    def dropped(self, world, key):
        folder = f"{RUNTIME}/alerts"
        self.assertEqual(os.stat(folder).st_mode & 0o7777, 0o730)
        os.mkfifo(f"{folder}/fifo")
        os.symlink(key, f"{folder}/link")
        os.mkdir(f"{folder}/folder")
        write(f"{folder}/.hidden", "x")
        self.put(folder, "bad", "hello")
        self.put(folder, "big", "x" * 70000)
        if namespace.has_many_users():
            write(f"{folder}/.mine", spki_of(key), 0o600)  # root's own: a script with a strict umask
            os.rename(f"{folder}/.mine", f"{folder}/mine")
            probe.until(lambda: os.path.exists(f"{folder}/.refused-mine"), 20, "an unreadable report is kept")
        self.put(folder, "leak", json.dumps({"spki_sha256": spki_of(key), "text": "auditd saw a read"}))
        probe.until(lambda: not os.path.exists(f"{folder}/leak"), 20, "the report taken and removed")
        self.assertEqual(len(self.incidents()), 1)
        for n in range(30):
            self.put(folder, f"again{n}", spki_of(key))
        probe.until(lambda: not [f for f in os.listdir(folder) if f.startswith("again")], 30, "all taken")
        self.assertEqual(len(self.incidents()), 1)
        probe.until(lambda: not os.path.exists(f"{folder}/bad") and not os.path.exists(f"{folder}/big"), 10, "refused")
        self.assertTrue(os.path.exists(f"{folder}/.refused-bad"))
        self.assertTrue(os.path.exists(key), "what a link led to was removed")
        world.dcvd.stop()
        self.put(folder, "early", spki_of(key))
        os.utime(f"{folder}/early", (time.time() - 60,) * 2)
        world.start_dcvd()
        probe.until(lambda: not os.path.lexists(f"{folder}/early") and not os.path.lexists(f"{folder}/fifo") and
                    not os.path.lexists(f"{folder}/link"), 20, "what was there at the start")

    @staticmethod
    def put(folder, name, text):
        write(f"{folder}/.{name}", text)
        World.give_to_dcvd(f"{folder}/.{name}")
        os.rename(f"{folder}/.{name}", f"{folder}/{name}")

    def fetched(self, world, key):
        """A GitHub of ours hands out the key of an alert; the token goes there and nowhere else."""
        seen = []
        secrets = {"/alerts/1": probe.read_text(key), "/alerts/2": None}
        stop = threading.Event()
        server = socket.create_server(("127.0.0.1", 9860))
        server.settimeout(0.2)

        def serve():
            while not stop.is_set():
                try:
                    s, _ = server.accept()
                except TimeoutError:
                    continue
                with s:
                    asked = s.recv(8192).decode()
                    seen.append(asked)
                    secret = secrets.get(asked.split()[1])
                    text = json.dumps({"secret": secret}) if secret else "{}"
                    s.sendall((f"HTTP/1.1 {'200 OK' if secret else '404 Not Found'}\r\nContent-Length: {len(text)}\r\n"
                               f"Connection: close\r\n\r\n{text}").encode())

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            for number, url, want in ((1, "http://127.0.0.1:9860/alerts/1", "evidence: private-key"), (2, "http://127.0.0.1:9860/alerts/2", None),
                                      (3, "http://127.0.0.1:9861/alerts/1", None), (4, "http://127.0.0.1:9860@127.0.0.1:9861/", None)):
                body = json.dumps({"action": "created", "repository": {"id": 1},
                                   "alert": {"number": number, "secret_type": "rsa_private_key", "url": url}}).encode()
                status, document, _ = post("/alerts/fetching", body, github(body, "secret_scanning_alert", f"f-{number}"))
                self.assertIn(status, (200, 202), document)
                if want:
                    self.assertIsNotNone(document["incident"], document)
        finally:
            stop.set()
            thread.join()
            server.close()
        self.assertEqual(len(seen), 2)
        self.assertIn(f"Authorization: Bearer {API_TOKEN}", seen[0])
        self.assertEqual(len(self.incidents()), 1)

    def alertmanager(self, world, spki):
        page = probe.read_text(f"{SOURCE}/docs/alerts.md")
        write(f"{BASE}/page.yml", re.search(r"```yml\n(.*?)```", page, re.S).group(1))
        checked = subprocess.run(["amtool", "check-config", f"{BASE}/page.yml"], capture_output=True, text=True, check=False)
        self.assertEqual(checked.returncode, 0, checked.stderr)
        write(f"{BASE}/alertmanager.yml", json.dumps({
            "route": {"receiver": "dcvd", "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"},
            "receivers": [{"name": "dcvd", "webhook_configs": [{
                "url": f"http://{LISTEN[0]}:{LISTEN[1]}/alerts/monitoring", "send_resolved": True,
                "http_config": {"authorization": {"credentials": TOKEN}}}]}]}))
        world.child("alertmanager", ["prometheus-alertmanager", f"--config.file={BASE}/alertmanager.yml", f"--storage.path={BASE}/am",
                                     "--web.listen-address=127.0.0.1:9093", "--cluster.listen-address="])
        alert = json.dumps([{"labels": {"alertname": "PrivateKeyLeaked", "key_pin": base64.b64encode(bytes.fromhex(spki)).decode()},
                             "annotations": {"summary": "a key was seen in a log"}}]).encode()

        def fire():
            link = http.client.HTTPConnection("127.0.0.1", 9093, timeout=5)
            try:
                link.request("POST", "/api/v2/alerts", alert, {"Content-Type": "application/json"})
                return link.getresponse().status == 200
            except OSError:
                return False
            finally:
                link.close()

        def taken():
            link = http.client.HTTPConnection("127.0.0.1", 9853, timeout=30)
            link.request("GET", "/metrics")
            text = link.getresponse().read().decode()
            link.close()
            return re.search(r'dcvd_alerts_total{source="monitoring",result="(known|taken)"} [1-9]', text)

        probe.until(fire, 30, "Alertmanager takes alerts")
        probe.until(taken, 30, "Alertmanager's webhook taken")
        self.assertEqual(len(self.incidents()), 1)

    def reloaded(self, world):
        """SIGHUP: a secret that lets anybody in keeps the old configuration; a new listener opens."""
        config = config_of(world)
        config["alerts"]["webhooks"]["script"]["secret"] = {"file": world.secret("short", "abc")}
        world.canaries.pop("abc")
        world.write_config(config)
        world.dcvd.signal(signal.SIGHUP)
        probe.until(lambda: "the old one stays in force" in probe.read_text(world.dcvd.log), 20, "the configuration refused")
        self.assertEqual(post("/alerts/scanner", method="GET")[0], 405)
        config = config_of(world)
        config["alerts"]["listen"] = [f"{LISTEN[0]}:{LISTEN[1] + 1}"]
        busy = config_of(world)
        busy["alerts"]["listen"] = [f"{LISTEN[0]}:{LISTEN[1] + 2}"]
        with socket.create_server((LISTEN[0], LISTEN[1] + 2)):
            world.write_config(busy)
            world.dcvd.signal(signal.SIGHUP)
            probe.until(lambda: "another program listens there" in probe.read_text(world.dcvd.log), 20, "a port that is taken is named")
        self.assertEqual(post("/alerts/scanner", method="GET")[0], 405)
        world.write_config(config)
        world.dcvd.signal(signal.SIGHUP)

        def moved():
            try:
                socket.create_connection((LISTEN[0], LISTEN[1] + 1), 1).close()
            except OSError:
                return False
            return True

        probe.until(moved, 20, "the new listener")
        self.socket_of_systemd(world)

    def socket_of_systemd(self, world):
        """listen: systemd takes the socket named alerts; without one that is said."""
        world.dcvd.stop()
        config = config_of(world)
        config["alerts"]["listen"] = ["systemd", f"unix:{RUNTIME}/alerts.sock"]
        world.write_config(config)
        refused = subprocess.run([world.program("dcvd")], env={**os.environ, **world.environment()}, capture_output=True, text=True,
                                 timeout=60 * probe.BUSY, check=False)
        self.assertEqual(refused.returncode, 78)
        self.assertIn("systemd passed no socket named alerts", refused.stderr)
        hand_over = ("import os, socket, sys; s = socket.create_server((sys.argv[1], int(sys.argv[2]))); os.dup2(s.fileno(), 3); os.set_inheritable(3, True); "
                     "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='alerts'); os.execv(sys.argv[3], sys.argv[3:])")
        world.start_dcvd(wrap=(sys.executable, "-c", hand_over, LISTEN[0], str(LISTEN[1])))
        body = event(spki_sha256="ef" * 32)
        self.assertEqual(post("/alerts/scanner", body, standard(body, "msg_systemd"))[0], 200)
        link = http.client.HTTPConnection("alerts", timeout=30)
        link.sock = socket.socket(socket.AF_UNIX)
        link.sock.connect(f"{RUNTIME}/alerts.sock")
        link.request("POST", "/alerts/scanner", body, standard(body, "msg_systemd"))
        self.assertEqual(json.loads(link.getresponse().read())["text"], "this delivery was taken before")
        link.close()
        tested = world.dcvctl("alert", "test", "scanner")
        self.assertEqual(tested.returncode, 0, tested.stderr + tested.stdout)


if __name__ == "__main__":
    unittest.main()
