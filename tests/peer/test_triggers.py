"""One story for each way to hear of a leaked key, on Pebble, nginx and the openssl command: from the alarm to the new
certificate on the wire, the old key refused, tokens gone, evidence written. What a host notices by itself: a certificate
revoked in a list, another one by OCSP, a renewal window that is over, a key in a list of burnt keys, at pwnedkeys.com, one
that anybody can fetch, one that anybody can read. What it is told: by each kind of webhook, by a stranger's signature, by a
script, by an operator. What is well is left alone."""

import base64
import hashlib
import hmac
import http.server
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
import unittest

import probe
from acme_newer import Newer
from acme_world import AcmeCase, folder_of
from servers import BASE, write
from test_acme_newer import renewal_id
from test_alerts import LISTEN, event, github, post, spki_of, standard
from world import RUNTIME, STATE, World

CA = f"{BASE}/ca"
LISTS, RESPONDER, PWNED = ("127.0.6.1", 8000), ("127.0.0.1", 8001), ("127.0.7.1", 443)
CONFIG = f"""[ca]
default_ca = d
[d]
dir = .
database = index.txt
new_certs_dir = .
serial = serial
crlnumber = crlnumber
default_md = sha256
default_crl_days = 3
policy = p
copy_extensions = copy
[p]
commonName = supplied
[list]
crlDistributionPoints = URI:http://{LISTS[0]}:{LISTS[1]}/ca.crl
[responder]
authorityInfoAccess = OCSP;URI:http://{RESPONDER[0]}:{RESPONDER[1]}
[none]
basicConstraints = CA:FALSE
"""
EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
FOUND = ("listed", "answered", "burnt", "pwned", "exposed", "copied")
TOLD = ("standard", "github", "alertmanager", "generic", "signed", "dropped", "reported")
WHERE = {"listed": "list", "calm": "list", "answered": "responder"}  # where its certificate says to ask
UNMARKED = ("answered", "early")  # the key is as good as before
FLOOR_S = 3
SECRET = "a-secret-for-all-of-them"


def name_of(cert):
    return f"{cert}.many.example.test"


def key_of(cert):
    return f"{CA}/{cert}.key"


def ca(*arguments):
    done = subprocess.run(["openssl", *arguments], cwd=CA, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"openssl {' '.join(arguments)}: {done.stderr}")


def sign(key, text):
    write(f"{BASE}/signed", text)
    return subprocess.run(["openssl", "dgst", "-sha256", "-sign", key, f"{BASE}/signed"], check=True, capture_output=True).stdout


def pwned_answer(key):
    """A flattened JWS by an EC key on P-256, as pwnedkeys.com gives it."""
    b64 = lambda data: base64.urlsafe_b64encode(data).decode().rstrip("=")
    protected, payload = b64(json.dumps({"alg": "ES256", "kid": spki_of(key)}).encode()), b64(b"this key is pwned")
    der = sign(key, f"{protected}.{payload}")
    r_len = der[3]
    numbers = der[4:4 + r_len], der[6 + r_len:]
    signature = b"".join(n[-32:].rjust(32, b"\0") for n in numbers)
    return json.dumps({"protected": protected, "payload": payload, "signature": b64(signature)}).encode()


class Answers(threading.Thread):
    """A server that gives fixed answers by path, and remembers what it was asked for."""

    def __init__(self, address, answers, tls=None):
        super().__init__(daemon=True)
        self.asked = asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append((self.path, self.headers.get("Authorization")))
                body = answers.get(self.path, b"")
                self.send_response(200 if body else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(address, Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.start()

    def run(self):
        self.server.serve_forever(0.05)


class Triggers(AcmeCase):
    # -- a CA of the openssl command, and what its certificates start with

    def first_certificate(self, cert):
        folder = folder_of(cert)
        os.makedirs(folder, exist_ok=True)
        ca("req", *EC, "-keyout", key_of(cert), "-subj", f"/CN={name_of(cert)}", "-addext",
           f"subjectAltName=DNS:{name_of(cert)}", "-out", f"{cert}.csr")
        ca("ca", "-batch", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-extensions", WHERE.get(cert, "none"),
           "-days", "60", "-notext", "-in", f"{cert}.csr", "-out", f"{cert}.pem")
        write(f"{folder}/privkey.pem", probe.read_text(key_of(cert)), 0o600)
        write(f"{folder}/fullchain.pem", probe.read_text(f"{CA}/{cert}.pem") + probe.read_text(f"{CA}/ca.pem"))
        write(f"{CA}/{cert}.chain", probe.read_text(f"{folder}/fullchain.pem"))
        return f"{folder}/fullchain.pem", f"{folder}/privkey.pem"

    def make_ca(self):
        os.makedirs(CA)
        write(f"{CA}/ca.cnf", CONFIG)
        write(f"{CA}/index.txt", "")
        write(f"{CA}/serial", "1000\n")
        write(f"{CA}/crlnumber", "01\n")
        write(f"{CA}/ca.ext", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n")
        ca("req", "-x509", *EC, "-keyout", "root.key", "-subj", "/CN=Peer Root", "-days", "90", "-out", "root.pem")
        ca("req", *EC, "-keyout", "ca.key", "-subj", "/CN=Peer CA", "-out", "ca.csr")
        ca("x509", "-req", "-in", "ca.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "90", "-extfile",
           "ca.ext", "-out", "ca.pem")

    def revoke(self, world):
        ca("ca", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-revoke", "listed.pem", "-crl_reason", "keyCompromise")
        ca("ca", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-revoke", "answered.pem", "-crl_reason", "superseded")
        ca("ca", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-gencrl", "-out", "crl.pem")
        os.makedirs(f"{CA}/public")
        ca("crl", "-in", "crl.pem", "-outform", "der", "-out", "public/ca.crl")
        world.child("lists", [sys.executable, "-m", "http.server", str(LISTS[1]), "--bind", LISTS[0], "--directory", f"{CA}/public"])
        world.child("ocsp", ["openssl", "ocsp", "-index", "index.txt", "-port", str(RESPONDER[1]), "-CA", "ca.pem", "-rsigner", "ca.pem",
                             "-rkey", "ca.key", "-nmin", "60"], cwd=CA)

    def burn(self):
        public = subprocess.run(["openssl", "pkey", "-in", key_of("burnt"), "-pubout", "-outform", "der"], capture_output=True,
                                check=True).stdout
        number = hashlib.sha256(public[-64:-32].lstrip(b"\0")).digest()[:15] + b"\7"
        records = sorted([number, *(bytes([i]) * 16 for i in range(1, 255, 9))])
        with open(f"{CA}/blocklist", "wb") as f:
            f.write(b"".join(records))
        os.chmod(f"{CA}/blocklist", 0o644)

    def pwnedkeys(self):
        """Only this machine believes that it is pwnedkeys.com."""
        ca("req", "-x509", *EC, "-keyout", "pwned-tls.key", "-subj", "/CN=v1.pwnedkeys.com", "-addext",
           "subjectAltName=DNS:v1.pwnedkeys.com", "-days", "9", "-out", "pwned-tls.pem")
        digest = probe.openssl("x509", "-noout", "-subject_hash", "-in", f"{CA}/pwned-tls.pem").strip()
        write(f"/etc/ssl/certs/{digest}.0", probe.read_text(f"{CA}/pwned-tls.pem"))
        with open("/etc/hosts", "a", encoding="ascii") as f:
            f.write(f"{PWNED[0]} v1.pwnedkeys.com\n")
        return Answers(PWNED, {f"/{spki_of(key_of('pwned'))}": pwned_answer(key_of("pwned"))},
                       (f"{CA}/pwned-tls.pem", f"{CA}/pwned-tls.key"))

    def weak_key_is_not_taken_over(self, world):
        p, q, e = 2**1023 + 1155, 2**1023 + 1493, 65537  # neighbours
        d = pow(e, -1, (p - 1) * (q - 1))
        numbers = (0, p * q, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))
        write(f"{CA}/weak.cnf", "asn1 = SEQUENCE:rsa\n[rsa]\n" + "".join(f"f{i} = INTEGER:{hex(n)}\n" for i, n in enumerate(numbers)))
        ca("asn1parse", "-genconf", "weak.cnf", "-noout", "-out", "weak.der")
        ca("pkey", "-inform", "der", "-in", "weak.der", "-out", "weak.key")
        ca("req", "-x509", "-key", "weak.key", "-subj", f"/CN={name_of('calm')}", "-addext", f"subjectAltName=DNS:{name_of('calm')}",
           "-days", "9", "-out", "weak.pem")
        done = world.dcvctl("import", "calm", "--cert", f"{CA}/weak.pem", "--key", f"{CA}/weak.key")
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertIn("the primes of the RSA key lie close together", done.stderr)
        self.assertIn("dcvctl reissue calm makes a new one", done.stderr)

    # -- the world

    def begin(self):
        world = self.world()
        pebble = self.pebble(world, reuse=100)
        self.early = None
        newer = Newer(pebble, window=self.window)
        world.children.append(newer)
        self.make_ca()
        plan = {"calm": "site", **{cert: "site" for cert in FOUND}, **{cert: "zone" for cert in TOLD}, "early": "site"}
        sections = {cert: self.certificate(cert, [name_of(cert)], publisher=publisher,
                                           on_compromise={"revoke": "never"}, renew="off") for cert, publisher in plan.items()}
        config = self.configure(world, pebble, sections, start=False)
        config["cas"]["pebble"] = newer.ca()
        config["cas"]["pebble"]["ca_bundle"] = newer.bundle
        config["admin"] = {"listen": "127.0.0.1:9853"}
        secret = {"file": world.secret("all", SECRET)}
        config["alerts"] = {
            "listen": [f"{LISTEN[0]}:{LISTEN[1]}"],
            "webhooks": {"standard": {"format": "standard-webhooks",
                                      "secret": {"file": world.secret("whsec", "whsec_" + base64.b64encode(SECRET.encode()).decode())}},
                         "github": {"format": "github", "secret": secret, "token": {"file": world.secret("api", "an-api-token")},
                                    "api": "http://127.0.0.1:9860"},
                         "hub": {"format": "github", "secret": secret}, "guardian": {"format": "gitguardian", "secret": secret},
                         "alertmanager": {"format": "alertmanager", "secret": secret, "labels": {"spki_sha256": "key_pin"}},
                         "generic": {"format": "generic", "secret": secret}},
            "detectors": {name: "off" for name in ("revocation", "keys", "exposed", "key_files", "served", "pwnedkeys")}}
        world.write_config(config)
        world.start_dcvd()
        return world, pebble, config

    def window(self, identifier):
        """Over for one certificate, far away for every other."""
        away = -7200 if identifier == self.early else 86400
        return time.time() + away, time.time() + away + 3600

    def remember(self, world, certs):
        self.old = {cert: world.served(name_of(cert)) for cert in certs}

    # -- the stories

    def story(self, world, cert, alarm):
        """The alarm, and what must come of it; how long that took."""
        begun = time.monotonic()
        alarm()
        probe.until(lambda: world.served(name_of(cert)).der != self.old[cert].der, 60, f"{cert} replaced")
        wall = time.monotonic() - begun
        print(f"{cert:13} from the alarm to the new certificate on the wire: {wall:.2f} s")
        self.assertNotEqual(world.served(name_of(cert)).spki, self.old[cert].spki)
        self.aftermath(world, cert)
        return wall

    def incident_of(self, world, cert):
        """Newest first: it is one of the last."""
        for row in sorted(world.dcvctl_json("incidents", "--all")[1]["incidents"], key=lambda row: -row["id"]):
            facts = world.dcvctl_json("incident", str(row["id"]))[1]
            if [c["cert"] for c in facts["certificates"]] == [cert]:
                return facts
        return None

    def aftermath(self, world, cert):
        """The incident is over, its evidence whole; the old key comes back by no door."""
        probe.until(lambda: (self.incident_of(world, cert) or {}).get("state") == "done", 30, f"the incident of {cert} is over")
        facts = self.incident_of(world, cert)
        self.assertTrue(facts["evidence"]["intact"])
        page = world.dcvctl("incident", str(facts["id"]), "--evidence").stdout
        for line in (f"| {cert} ", "Time to remediation", "The audit trail this was made of is whole"):
            self.assertIn(line, page, cert)
        marked = self.old[cert].spki in (probe.read_text(f"{STATE}/compromised") if os.path.exists(f"{STATE}/compromised") else "")
        self.assertEqual(marked, cert not in UNMARKED, cert)
        if marked:
            taken = world.dcvctl("import", cert, "--cert", f"{CA}/{cert}.chain", "--key", key_of(cert))
            self.assertNotEqual(taken.returncode, 0, cert)
            self.assertIn("is marked compromised", taken.stderr)

    def told(self, world):
        keys = {cert: spki_of(key_of(cert)) for cert in TOLD}
        pem = probe.read_text(key_of("github"))
        hub = Answers(("127.0.0.1", 9860), {"/alerts/7": json.dumps({"secret": pem}).encode()})

        def sent(path, body, headers):
            self.assertEqual(post(f"/alerts/{path}", body, headers)[0], 202, path)

        def by_standard():
            body = event(spki_sha256=keys["standard"])
            sent("standard", body, standard(body, "msg_1", "whsec_" + base64.b64encode(SECRET.encode()).decode()))

        def by_github():
            body = json.dumps({"action": "created", "repository": {"id": 1}, "alert": {
                "number": 7, "secret_type": "ec_private_key", "url": "http://127.0.0.1:9860/alerts/7"}}).encode()
            sent("github", body, github(body, "secret_scanning_alert", secret=SECRET))

        def by_alertmanager():
            body = json.dumps({"version": "4", "status": "firing", "alerts": [{"status": "firing", "labels": {
                "alertname": "Leak", "key_pin": keys["alertmanager"]}}]}).encode()
            sent("alertmanager", body, {"Authorization": f"Bearer {SECRET}"})

        def by_generic():
            body = event(spki_sha256=keys["generic"])
            sent("generic", body, {"X-Signature": hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()})

        def by_stranger():
            challenge = post("/alerts/proof", b'{"challenge":true}')[1]["challenge"]
            statement = {"statement": challenge, "signature": base64.b64encode(sign(key_of("signed"), challenge)).decode(),
                         "public_key": probe.openssl("pkey", "-in", key_of("signed"), "-pubout")}
            sent("proof", json.dumps(statement).encode(), {})

        def by_script():
            write(f"{RUNTIME}/alerts/.leak", keys["dropped"])
            World.give_to_dcvd(f"{RUNTIME}/alerts/.leak")
            os.rename(f"{RUNTIME}/alerts/.leak", f"{RUNTIME}/alerts/leak")

        def by_operator():
            self.run_well(world, "report", key_of("reported"))

        walls = []
        for cert, alarm in zip(TOLD, (by_standard, by_github, by_alertmanager, by_generic, by_stranger, by_script, by_operator)):
            walls.append(self.story(world, cert, alarm))
        self.assertLess(min(walls), FLOOR_S)  # what dcvd needs; the others show what else this machine does
        self.assertEqual(hub.asked, [("/alerts/7", "Bearer an-api-token")])

    def stranger_serves(self, world, config):
        """At one name another certificate than the live one: told, never replaced."""
        folder = f"{BASE}/stranger"
        os.makedirs(folder)
        probe.openssl("req", "-x509", *EC, "-days", "2", "-subj", "/CN=stranger", "-keyout", f"{folder}/key", "-out", f"{folder}/cert")
        pairs = {cert: (f"{folder_of(cert)}/fullchain.pem", f"{folder_of(cert)}/privkey.pem") for cert in config["certificates"]}
        pairs["calm"] = (f"{folder}/cert", f"{folder}/key")
        world.start_nginx([{"names": [name_of(cert)], "pairs": [pair]} for cert, pair in pairs.items()])

    def hinted(self, world):
        """Scanners that do not say which key: a person is told, finds out, and closes it."""
        hub = json.dumps({"action": "created", "repository": {"id": 1}, "alert": {
            "number": 8, "secret_type": "rsa_private_key", "html_url": "https://github.test/o/r/8"}}).encode()
        guardian, stamp = json.dumps({"action": "incident_triggered", "incident": {
            "id": 9, "detector": {"name": "generic_private_key"}, "gitguardian_url": "https://guardian.test/9"}}).encode(), str(int(time.time()))
        mac = hmac.new((stamp + SECRET).encode(), guardian, hashlib.sha256).hexdigest()
        for path, body, headers, link in (("hub", hub, github(hub, "secret_scanning_alert", secret=SECRET), "https://github.test/o/r/8"),
                                          ("guardian", guardian, {"Gitguardian-Signature": "sha256=" + mac, "Timestamp": stamp},
                                           "https://guardian.test/9")):
            status, document, _ = post(f"/alerts/{path}", body, headers)
            self.assertEqual((status, document["act"]), (202, "tells"), document)
            number = str(document["incident"])
            self.assertIn(f"INCIDENT {number}: nothing says which key leaked", world.dcvctl("status").stdout)
            shown = world.dcvctl("incident", number)
            self.assertEqual(shown.returncode, 4, shown.stderr)
            self.assertIn(f"look whether the key is one of this host: {link}; if it is: dcvctl report FILE", shown.stdout)
            self.run_well(world, "dismiss", number, "--because", "not of this host")
        checked = subprocess.run([world.program("dcvd"), "--check-config"], capture_output=True, text=True, check=True)
        self.assertIn("alerts.webhooks.hub: its alerts do not say which key leaked: a person is told to look; with token:", checked.stderr)
        self.assertIn("alerts.webhooks.guardian: its alerts do not say", checked.stderr)
        self.assertNotIn("webhooks.github:", checked.stderr)

    def found(self, world, config):
        pwned = self.pwnedkeys()
        self.revoke(world)
        self.burn()
        self.stranger_serves(world, config)
        os.chmod(f"{folder_of('calm')}/privkey.pem", 0o644)
        write(f"{world.webroot}/privkey.pem", probe.read_text(key_of("exposed")), 0o600)
        os.chown(f"{world.webroot}/privkey.pem", 33, 33)  # only the web server reads it, for everybody
        write(f"{world.webroot}/old/backup.txt", probe.read_text(key_of("copied")), 0o644)
        config["alerts"]["detectors"] = {"revocation": "10s", "keys": "10s", "exposed": "10s", "key_files": "10s", "served": "10s",
                                         "pwnedkeys": "10s", "blocklists": [f"{CA}/blocklist"]}
        world.write_config(config)
        world.dcvd.signal(signal.SIGHUP)
        noticed = {"listed": "listed: its CA revoked", "answered": "answered: its CA revoked", "burnt": "burnt: its key is in a list",
                   "pwned": "pwned: pwnedkeys.com has its private key", "exposed": "a private key can be fetched from",
                   "copied": "everybody can read a private key in the served directory", "early": "early: pebble asks for its renewal at once"}
        left, seen = set(noticed), {}

        def watch():
            log = world.dcvd.tail(200000)
            for cert in left:
                if noticed[cert] in log and cert not in seen:
                    seen[cert] = time.monotonic()
            for cert in [c for c in left if c in seen and world.served(name_of(c)).der != self.old[c].der]:
                print(f"{cert:13} from the notice to the new certificate on the wire: {time.monotonic() - seen[cert]:.2f} s")
                left.discard(cert)
            return not left and "does not serve the live certificate of calm" in log

        probe.until(watch, 60, f"all that was found is replaced, not {left}")
        for cert in noticed:
            self.assertNotEqual(world.served(name_of(cert)).spki, self.old[cert].spki)
            self.aftermath(world, cert)
        self.assertEqual({auth for _, auth in pwned.asked}, {None})
        return world.dcvd.tail(200000)

    def mass(self, world):
        """A CA says which serial numbers must go: counted, asked once, and gone on with after a kill."""
        certs = ("standard", "github", "generic", "signed")
        serials = [probe.openssl("x509", "-noout", "-serial", stdin=probe.read_text(f"{folder_of(c)}/fullchain.pem")).strip()[7:] for c in certs]
        write(f"{BASE}/serials", "\n".join(serials).lower() + "\n")
        dry = self.run_well(world, "reissue", "--issuer", "pebble intermediate", "--dry-run").stdout
        count = len(TOLD) + len(FOUND) + 1
        self.assertIn(f"{count} certificates: {count} would be reissued, 0 would wait, 0 refused\n", dry)
        self.assertRegex(dry, rf"  at pebble {count}; of the same names in the last seven days at most 2 \(early\): compare")
        listed = f"@{BASE}/serials"
        self.assertIn("4 certificates: 4 would", self.run_well(world, "reissue", "--serial", listed, "--dry-run").stdout)
        asked = world.dcvctl("reissue", "--serial", listed)
        self.assertEqual(asked.returncode, 5, asked.stderr)
        self.assertIn("4 certificates would be reissued: github, generic, signed, standard", "".join(asked.stderr.splitlines()[:1]).replace(
            "generic, github", "github, generic"))
        self.remember(world, certs)
        issued = self.pebble_.issued()
        self.run_well(world, "reissue", "--serial", listed, "--yes", "--detach")
        probe.until(lambda: self.pebble_.issued() > issued, 20, "the first of them")
        world.kill_dcvd()
        world.start_dcvd()
        again = world.dcvctl("reissue", "--serial", listed, "--yes", "--wait")  # what is left
        self.assertIn(again.returncode, (0, 2), again.stderr)
        probe.until(lambda: all(world.served(name_of(c)).der != self.old[c].der for c in certs), 40, "all of them")
        probe.until(lambda: not any(row["job"] for row in world.dcvctl_json("status")[1]["certificates"]), 40, "no job runs")
        self.assertEqual(self.pebble_.issued() - issued, 4)
        self.assertIn("no certificate fits", world.dcvctl("reissue", "--serial", listed, "--yes").stderr)

    def brake(self, world, config):
        """What started more than an hour may see holds the next one, over a restart, until a person says so."""
        since, config["limits"] = len(probe.read_text(world.dcvd.log)), {"automatic_per_hour": 5}
        config["alerts"]["detectors"] = {name: "off" for name in config["alerts"]["detectors"] if name != "blocklists"}
        world.write_config(config)
        world.dcvd.signal(signal.SIGHUP)
        probe.until(lambda: "new configuration" in probe.read_text(world.dcvd.log)[since:], 20, "the limit")
        self.remember(world, ["standard"])
        body = event(spki_sha256=self.old["standard"].spki)
        mac = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        number = str(post("/alerts/generic", body, {"X-Signature": mac})[1]["incident"])

        def held():
            done = world.dcvctl("incident", number)
            return done.returncode == 5 and "1 held by the storm brake until" in done.stdout

        probe.until(held, 20, "held")
        world.kill_dcvd()
        world.start_dcvd()
        probe.until(held, 20, "held after a restart")
        self.assertRegex(world.dcvctl("status").stdout, r"HELD 1 certificate held by the storm brake \(at most 5 an hour by themselves\)")
        metrics = probe.fetch("127.0.0.1", "127.0.0.1", "/metrics", 9853)[1].decode()
        self.assertIn('dcvd_waiting{cert="standard",party="brake"} 1\n', metrics)
        self.assertRegex(metrics, r"\ndcvd_incident_deadline_timestamp_seconds [1-9]")
        self.assertEqual(world.served(name_of("standard")).der, self.old["standard"].der)
        self.run_well(world, "confirm", number, "--yes")
        probe.until(lambda: world.served(name_of("standard")).spki != self.old["standard"].spki, 40, "replaced when a person says so")

    def test_from_each_alarm_to_a_new_certificate(self):
        world, self.pebble_, config = self.begin()
        certs = [*config["certificates"]]
        for cert in certs:
            if cert != "early":
                self.run_well(world, "import", cert, "--cert", f"{CA}/{cert}.chain", "--key", key_of(cert))
        self.issue(world, "early")
        self.early = renewal_id(probe.read_text(f"{folder_of('early')}/fullchain.pem"))
        self.remember(world, certs)
        self.weak_key_is_not_taken_over(world)
        self.hinted(world)
        self.told(world)
        log = self.found(world, config)
        self.assertEqual(self.pebble_.issued(), 2 + len(TOLD) + len(FOUND))
        self.assertRegex(log, r"listed: its CA revoked the certificate on .*\(keyCompromise\), says http://127\.0\.6\.1:8000/ca\.crl")
        self.assertRegex(log, r"answered: its CA revoked the certificate on .*\(superseded\), says http://127\.0\.0\.1:8001")
        self.assertIn("burnt: its key is in a list of burnt keys, list 7 of", log)
        self.assertRegex(log, r"a private key can be fetched from http://[a-z]+\.many\.example\.test/privkey\.pem")
        self.assertIn(f"everybody can read a private key in the served directory {world.webroot}/old/backup.txt", log)
        self.assertIn(f"127.0.2.1:443 as {name_of('calm')} does not serve the live certificate of calm", log)
        self.assertIsNone(self.incident_of(world, "calm"))
        self.assertIn(f"key file {folder_of('calm')}/privkey.pem has mode 0644, wider than 0600; chmod 0600 ", log)
        self.files_are_gone(world)
        self.assertEqual([r for r in world.dns.zone_records("example.test") if "_acme-challenge" in r[0]], [])
        self.mass(world)
        self.brake(world, config)
        self.judge(world)


if __name__ == "__main__":
    unittest.main()
