"""The zoo of group O, and of W and L as far as they are about this host: everything wrong at once against the same host
in order. Each id names its culprit and its severity; what only a daemon knows is said to be unverifiable without one."""

import copy
import email.utils
import hashlib
import http.server
import json
import os
import re
import shutil
import signal
import threading
import time
import unittest

import namespace
import probe
from servers import BASE, RESPONDER, WEB, write
from world import CREDENTIAL, DCVD_UID, FREE, RUNTIME, STATE, World

OLD = {"id": "e5F6a7B8", "names": ["old.example.test"], "package_type": "11", "key": "ec-p256", "not_before": "-90d",
       "not_after": "+35d"}
SICK_CA = "127.0.6.1"
STOOD_STILL = email.utils.formatdate(time.time() - 25 * 86400, usegmt=True)


class Wrong(http.server.BaseHTTPRequestHandler):
    """A CA with an outage and a clock that stands still."""

    def do_GET(self):
        self.send_response_only(503)
        self.send_header("Date", STOOD_STILL)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Host(unittest.TestCase):
    def check(self, world, *more, code=None, env=None):
        done = world.dcvctl("--json", "--timeout", "50s", *more, env=env)
        self.assertIn(done.returncode, (0, 1) if code is None else (code,), done.stderr + done.stdout)
        document = json.loads(done.stdout)
        found, why = {}, {}
        for one in document.get("targets", [document]):
            for f in one["findings"]:
                found.setdefault(f["id"], []).append(f)
            why.update({d["id"]: d["why"] for d in one["unverifiable"]})
        return found, why

    def expect(self, found, i, severity, word):
        with self.subTest(i):
            self.assertIn(i, found)
            said = json.dumps(found[i], ensure_ascii=False)
            self.assertEqual({f["severity"] for f in found[i]}, {severity})
            self.assertIn(word, said)
            self.assertTrue(all(f["fix"] for f in found[i]), said)

    def only(self, found, severities=("fatal", "error", "warning")):
        return sorted({i for i, list_ in found.items() for f in list_ if i[0] in "OWL" and f["severity"] in severities})

    def test_this_host(self):
        zones = {"example.test": f"@ 60 A {WEB}\nwww 60 A {WEB}\nold 60 A {WEB}\nnat 60 A 45.99.0.1\nlong 60 A {WEB}\nself 60 A {RESPONDER}\n"
                                 "_acme-challenge.long 3600 TXT left-from-before\n"}
        with World(certificates=[FREE, OLD], zones=zones, secondary=False) as world:
            config = world.default_config()
            second = copy.deepcopy(config["cas"]["tencent"])
            second["secret_key"] = {"file": world.secret("second-key", "NotTheRightSecretKey00000000000001")}
            config["cas"]["second"] = second
            config["certificates"]["old"] = {**copy.deepcopy(config["certificates"]["www"]), "names": OLD["names"],
                                             "certificate_id": OLD["id"]}
            config["certificates"]["old"]["deploy"][0]["directory"] = "/etc/nginx/tls/e5F6a7B8"
            config["certificates"]["old"]["key"] = {"type": "ec-p256"}
            config["certificates"]["gone"] = {**config["certificates"]["www"], "certificate_id": "zzzzzzzz",
                                              "deploy": []}
            config["certificates"]["old"]["ca"] = ["tencent", {"use": "second"}]
            config["tokens"] = {"listen": [f"{RESPONDER}:80", f"{RESPONDER}:8402"]}
            world.write_config(config)
            without, why = self.check(world, "check", "www")
            self.assertIn("no daemon answers", why["O02"])
            self.expect(without, "O20", "warning", "not adopted")

            world.start_dcvd()
            folder = f"/etc/nginx/tls/{FREE['id']}"
            done = world.dcvctl("import", "www", "--cert", f"{folder}/fullchain.pem", "--key", f"{folder}/privkey.pem")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.in_order(world)
            self.who_answers(world, config)
            self.a_second_certificate(world)
            self.waits(world)
            self.nearly_over(world)
            self.sick_by_daemon(world)
            self.sick_by_host(world, config)
            self.in_the_daemons_place(world)

    def in_order(self, world):
        found, why = self.check(world, "check", "www")
        self.assertEqual(self.only(found), [], found)
        self.expect(found, "O14", "info", "R2: it can be reissued until")
        rules = {f["message"].partition(":")[0]: f["message"] for f in found["O14"]}
        self.assertEqual(sorted(rules), sorted(f"R{i}" for i in range(1, 19)))
        dated = {r for r, text in rules.items() if re.search(r"\d{4}-\d\d-\d\d", text)}
        self.assertLessEqual(set(rules) - dated, {"R4", "R5", "R12", "R13", "R15"}, rules)
        text, whole = world.dcvctl("check", "www").stdout, world.dcvctl("check", "www", "-v").stdout
        self.assertEqual(re.findall(r"info +O14  (R\d+|\d+ more)", text), ["R1", "R2", "R3", "15 more"])
        self.assertEqual(re.findall(r"info +O14  (R\d+|\d+ more)", whole), [f"R{i}" for i in range(1, 19)])
        self.assertLessEqual({"O02", "O03", "O07", "O10", "O15", "O18", "L02", "W04"} & set(why), set(), why)
        serial = world.dns.serial("127.0.1.1", "example.test")
        self.check(world, "check", "www")
        self.assertEqual(world.dns.serial("127.0.1.1", "example.test"), serial)  # the publisher was only asked
        self.assertEqual(world.ledger("ReplaceCertificate"), [])

    def who_answers(self, world, config):
        """O05: port 80 is dcvd's, or a web server's that serves the web root, or it is not."""
        lying = ".well-known/acme-challenge/left-behind"
        write(f"{world.webroot}/{lying}", "a file of yesterday\n")
        write(f"{BASE}/other-root/{lying}", "a file of yesterday, elsewhere\n")
        for path in (f"{BASE}/other-root", f"{BASE}/empty-root"):
            os.makedirs(path, exist_ok=True)
        cases = {  # publisher, name, word of O05; "": silent; None: in doubt
            "dcvd": ("self", "self.example.test", ""),
            "nginx": ("self", "www.example.test", "nginx answers the token path of www.example.test itself (status 404)"),
            "root": ("site", "www.example.test", ""),
            "wrong": ("elsewhere", "www.example.test", f"nginx does not serve {BASE}/other-root"),
            "empty": ("empty", "www.example.test", None),
            "never": ("site", "self.example.test", "port 80 of self.example.test is dcvd's own"),
        }
        files = copy.deepcopy(config)
        files["publishers"] = {"self": {"type": "responder"}, "site": config["publishers"]["site"],
                               "elsewhere": {"type": "webroot", "directory": f"{BASE}/other-root"},
                               "empty": {"type": "webroot", "directory": f"{BASE}/empty-root"}}
        files["certificates"] = {cert: {"names": [name], "ca": "tencent", "certificate_id": f"x{cert}", "validation": "file",
                                        "publisher": publisher, "deploy": []} for cert, (publisher, name, _) in cases.items()}
        path = world.write_config(files, "/etc/dcvd/files.yaml")
        done = world.dcvctl("--json", "--config", path, "--timeout", "50s", "check")
        self.assertIn(done.returncode, (0, 1), done.stderr)
        for target in json.loads(done.stdout)["targets"]:
            cert = target["target"]["certificate"]
            word, said = cases[cert][2], [f for f in target["findings"] if f["id"] == "O05"]
            with self.subTest(cert):
                self.assertEqual([(f["severity"], bool(f["fix"])) for f in said], [("error", True)] if word else [], said)
                self.assertTrue(all(word in f["message"] for f in said), said)
                self.assertEqual("O05" in [d["id"] for d in target["unverifiable"]], word is None, target["unverifiable"])
                self.assertNotIn("O04", [f["id"] for f in target["findings"]])
        files["tokens"] = {"listen": ["127.0.3.1:8402"]}  # handed on by whoever has port 80, which is dcvd here
        files["certificates"] = {"dcvd": files["certificates"]["dcvd"]}
        world.write_config(files, path)
        found, why = self.check(world, "--config", path, "check", "dcvd")
        self.assertNotIn("O05", {**found, **why})
        files["cas"]["acme"] = {"type": "acme", "directory": "https://ca.example.test/dir", "terms_agreed": True,
                                "contact": ["mailto:ops@example.test"], "internal": True}
        for listen, names, word in (([f"{WEB}:443"], ["www.example.test"], "port 443 of www.example.test is nginx's, not dcvd's"),
                                    ([], ["www.example.test"], "tokens.tls_listen is not set")):
            files["tokens"]["tls_listen"] = listen
            files["certificates"]["tls"] = {"names": names, "ca": "acme", "validation": "tls-alpn", "deploy": []}
            files["certificates"].pop("dcvd", None)
            world.write_config(files, path)
            found, _ = self.check(world, "--config", path, "check", "tls")
            self.expect(found, "O05", "error", word)
        files["certificates"] = {"dcvd": {"names": ["self.example.test"], "ca": "tencent", "certificate_id": "xdcvd", "validation": "file",
                                          "publisher": "self", "deploy": []}}
        del files["tokens"]
        world.write_config(files, path)
        found, _ = self.check(world, "--config", path, "check", "dcvd")
        self.expect(found, "O05", "error", "tokens.listen is not set")
        os.unlink(f"{world.webroot}/{lying}")

    def a_second_certificate(self, world):
        """O18: nginx has an ECDSA certificate beside the RSA one, and no certificate of the configuration is it."""
        folder = f"{BASE}/second"
        os.makedirs(folder)
        probe.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9", "-subj",
                      "/CN=second", "-addext", "subjectAltName=DNS:www.example.test", "-keyout", f"{folder}/privkey.pem",
                      "-out", f"{folder}/fullchain.pem")
        pairs = [(f"{d}/fullchain.pem", f"{d}/privkey.pem") for d in (f"/etc/nginx/tls/{FREE['id']}", folder)]
        world.start_nginx([{"names": FREE["names"], "pairs": pairs}])
        found, _ = self.check(world, "check", "www")
        self.expect(found, "O18", "warning", f"{WEB}:443 as www.example.test also serves a certificate")
        self.assertNotIn("O10", found)
        self.assertEqual(len(found["O18"]), 1)
        world.start_nginx()

    def waits(self, world):
        found, _ = self.check(world, "check", "--name", "www.example.test", "long.example.test", "--internal")
        self.expect(found, "W02", "warning", "3600 s")
        self.expect(found, "W03", "info", "_acme-challenge.www.example.test")
        self.assertEqual({f["evidence"]["name"] for f in found["W02"]}, {"long.example.test"})

    def nearly_over(self, world):
        found, _ = self.check(world, "check", "old")
        self.expect(found, "O22", "warning", "R2: it can be reissued until")
        self.expect(found, "O24", "warning", "a reissue keeps the end date")
        self.expect(found, "O16", "warning", "second")
        self.expect(found, "O02", "error", "second")
        self.assertNotIn("O15", found)
        found, _ = self.check(world, "check", "gone")
        self.expect(found, "O21", "error", "zzzzzzzz")
        self.expect(found, "O15", "error", "nothing could replace gone today")

    def sick_by_daemon(self, world):
        """The daemon's own: a CA that refuses, a key that may not update, a web server that would not start."""
        for _ in range(3):
            world.dcvctl("reissue", "gone", "--yes", "--wait")
        found, _ = self.check(world, "check", "gone")
        self.expect(found, "L03", "warning", "the last 3 jobs of gone failed")
        tsig = "/etc/dcvd/credentials/tsig"
        good = probe.read_text(tsig)
        os.chmod(tsig, 0o600)
        write(tsig, "d3JvbmcgYnV0IGxvbmcgZW5vdWdo", 0o400)
        world.give_to_dcvd(tsig)
        self.assertEqual(world.dcvctl("rehearse", "www").returncode, 1)
        world.nginx.configure("this_is_no_directive on;")
        key = "/etc/dcvd/credentials/tencent-key"
        os.chmod(key, 0o600)
        write(key, "NotTheRightSecretKey00000000000000", 0o400)
        world.give_to_dcvd(key)
        found, _ = self.check(world, "check", "www")
        self.expect(found, "O02", "error", "tencent")
        self.expect(found, "O03", "error", "BADSIG")
        self.expect(found, "O07", "error", "this_is_no_directive")
        self.expect(found, "O15", "error", "www")
        self.expect(found, "O19", "warning", "left behind")
        for path, text in ((tsig, good), (key, CREDENTIAL["secret_key"])):
            os.chmod(path, 0o600)
            write(path, text, 0o400)
            world.give_to_dcvd(path)
        world.nginx.configure()

    def in_the_daemons_place(self, world):
        """Without a daemon root sees what it would see, and leaves all as it was."""
        def state():
            found = []
            for folder, _, names in os.walk(STATE):
                for name in set(names) - {"lock"}:  # it names the last process that had it
                    with open(f"{folder}/{name}", "rb") as f:
                        found.append((folder, name, hashlib.sha256(f.read()).hexdigest()))
            return sorted(found)
        world.start_nginx()
        world.dcvd.signal(signal.SIGSTOP)  # one that hangs costs half of the time
        began = time.monotonic()
        done = world.dcvctl("--json", "--timeout", "8s", "check", "www")
        self.assertLess(time.monotonic() - began, 30)
        why = {d["id"]: d["why"] for d in json.loads(done.stdout)["unverifiable"]}
        self.assertIn("the daemon did not answer within 4 s", why["O02"])
        world.dcvd.signal(signal.SIGCONT)
        world.dcvd.stop()
        if namespace.has_many_users():
            shutil.rmtree(RUNTIME)  # as systemd does when the daemon has stopped
        before = state()
        found, why = self.check(world, "check", "www", "gone")
        self.expect(found, "O14", "info", "R2: it can be reissued until")
        self.expect(found, "O21", "error", "zzzzzzzz")
        self.expect(found, "L03", "warning", "jobs of gone failed")
        self.assertLessEqual({"O02", "O07", "O15", "L02", "L03"} & set(why), set(), why)
        self.assertEqual(state(), before)
        self.assertEqual(world.ledger("ReplaceCertificate"), [])
        if namespace.has_many_users():
            self.assertFalse(os.path.exists(RUNTIME))
            done = world.dcvctl("--json", "check", "www", as_ids=(33, 33))
            why = {d["id"]: d["why"] for d in json.loads(done.stdout)["unverifiable"]}
            self.assertIn("no daemon answers", why["O02"])

    def certbot_is_switched_off(self, world, path):
        """Nothing starts it: its package's timer is disabled or masked, and its line of cron is none where systemd runs."""
        timers, other = "/etc/systemd/system", "/etc/systemd/system/multi-user.target.wants/renew.timer"
        timer, wanted = f"{timers}/certbot.timer", f"{timers}/timers.target.wants/certbot.timer"
        line = r"0 */12 * * * root test -x /usr/bin/certbot -a \! -d /run/systemd/system && certbot -q renew"
        write("/etc/cron.d/certbot", f"# certbot\n{line}\n")
        write(timer, "[Timer]\nOnCalendar=daily\n")
        write(f"{timers}/renew.service", "[Service]\nExecStart=/usr/bin/certbot renew\n")
        os.makedirs("/run/systemd/system")
        for enabled, masked, cron, off in (([], False, line, True), ([wanted], False, line, False), ([wanted], True, line, True),
                                           ([other], False, line, False), ([], False, "1 1 * * * root certbot renew", False)):
            for link in (wanted, other):
                os.makedirs(os.path.dirname(link), exist_ok=True)
                if os.path.lexists(link):
                    os.unlink(link)
                if link in enabled:
                    os.symlink("/lib/systemd/system/any.timer", link)
            os.unlink(timer)
            if masked:
                os.symlink("/dev/null", timer)
            else:
                write(timer, "[Timer]\nOnCalendar=daily\n")
            write("/etc/cron.d/certbot", f"{cron}\n")
            with self.subTest(enabled=enabled, masked=masked, cron=cron):
                self.assertEqual("O11" in self.check(world, "--config", path, "check", "www")[0], not off)
        os.rmdir("/run/systemd/system")

    def sick_by_host(self, world, config):
        """What dcvctl finds by itself, by another configuration than the daemon's."""
        server = http.server.HTTPServer((SICK_CA, 80), Wrong)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.shutdown)
        sick = copy.deepcopy(config)
        www = sick["certificates"]["www"]
        sick["certificates"] = {"www": www}
        sick["cas"]["sick"] = {**sick["cas"]["tencent"], "endpoint": f"http://{SICK_CA}"}
        www["ca"] = "sick"
        www["validation"], www["publisher"] = "file", "site"
        sick["publishers"]["site"]["directory"] = f"{BASE}/no-such-root"
        sick["cas"]["tencent"]["secret_key"] = {"file": "/etc/dcvd/credentials/no-such-secret"}
        service = www["deploy"][0]["services"][0]
        service["test"], service["reload"] = ["/usr/sbin/no-such-test"], ["no-such-reload"]
        tsig = {"name": "held.", "algorithm": "hmac-sha256", "secret": {"credential": "held"}}
        sick["publishers"]["held"] = {**sick["publishers"]["zone"], "tsig": tsig}
        sick["publishers"]["seen"] = {**sick["publishers"]["zone"], "tsig": {**tsig, "secret": {"env": "DCVD_UNSEEN"}}}
        write("/etc/dcvd/credentials/held", "aGVsZCBieSByb290", 0o600)
        write("/etc/letsencrypt/renewal/www.example.test.conf", "[renewalparams]\nauthenticator = webroot\n")
        write("/etc/letsencrypt/renewal/odd one.conf", "[webroot_map]\nwww.example.test = /srv\n")
        write("/etc/letsencrypt/renewal/unrelated.test.conf", "domains = notwww.example.test.org\n")
        os.chmod(f"{STATE}/keys", 0o755)
        folder = f"/etc/nginx/tls/{OLD['id']}"
        world.start_nginx([{"names": FREE["names"], "pairs": [(f"{folder}/fullchain.pem", f"{folder}/privkey.pem")]}])
        path = world.write_config(sick, "/etc/dcvd/sick.yaml")
        typed = {"CREDENTIALS_DIRECTORY": None}  # by a person, no unit has set it
        found, _ = self.check(world, "--config", path, "check", "www", env=typed)
        self.expect(found, "O01", "error", "no-such-secret")
        self.assertNotIn("held", json.dumps(found["O01"]))  # root reads the credentials, and hands them over
        self.expect(found, "O06", "error", "no-such-root")
        self.expect(found, "O08", "error", f"chmod 0700 {STATE}/keys")
        self.expect(found, "O10", "error", f"{WEB}:443")
        folder = "/etc/letsencrypt/renewal"
        for fix in (f"mv {folder}/www.example.test.conf {folder}/www.example.test.conf.off (",
                    f"mv '{folder}/odd one.conf' '{folder}/odd one.conf'.off ("):
            self.expect(found, "O11", "warning", fix)
        self.assertEqual(len(found["O11"]), 2)
        self.certbot_is_switched_off(world, path)
        self.expect(found, "O12", "error", "no-such-test")
        self.assertEqual(len(found["O12"]), 2)
        self.expect(found, "L01", "info", "503")
        self.expect(found, "W04", "error", "ahead by the clock of CA sick")
        os.chmod(f"{STATE}/keys", 0o700)

        sick["cas"]["tencent"] = config["cas"]["tencent"]
        world.write_config(sick, path)
        found, why = self.check(world, "--config", path, "check", "www", env=typed)
        self.assertNotIn("O01", found)
        self.assertIn("its own environment (1 secret)", why["O01"])

        sick["proxy"] = {"url": "http://127.0.6.9:3128", "except": []}
        sick["cas"]["sick"] = {"type": "acme", "directory": "https://ca.example.test/dir", "terms_agreed": True,
                               "contact": ["mailto:ops@example.test"]}
        sick["cas"]["inside"] = {**sick["cas"]["sick"], "internal": True}
        sick["certificates"]["nat"] = {"names": ["nat.example.test"], "ca": "inside", "validation": "file", "publisher": "site"}
        sick["state_directory"] = f"{BASE}/small"
        os.makedirs(sick["state_directory"])
        namespace.mount("tmpfs", sick["state_directory"], "tmpfs", 0, "size=1m,mode=700")
        world.write_config(sick, path)
        world.nginx.stop()
        found, _ = self.check(world, "--config", path, "check", "nat")
        self.expect(found, "O23", "warning", "it does not know this certificate")
        self.expect(found, "H33", "info", "nat.example.test does not answer from this host itself")
        self.assertNotIn("H05", found)
        self.expect(found, "O09", "error", f"{BASE}/small has 1 MB left")
        www["ca"] = ["sick", "inside"]
        world.write_config(sick, path)
        found, _ = self.check(world, "--config", path, "check", "www")
        self.expect(found, "O17", "error", "127.0.6.9")
        self.assertEqual({f["subject"]: "a job goes to CA inside after 6 h" in f["message"] for f in found["O17"]},
                         {"sick": True, "inside": False})
        self.expect(found, "O04", "error", "port 80")
        if namespace.has_many_users():  # root would fork a broker, dcvd alone needs one that is there, others do not know
            for uid, is_found in ((DCVD_UID, True), (33, False)):
                document = json.loads(world.dcvctl("--json", "check", "www", as_ids=(uid, uid)).stdout)
                found = {f["id"]: [f] for f in document["findings"]}
                why = {d["id"]: d["why"] for d in document["unverifiable"]}
                if is_found:
                    self.expect(found, "O13", "error", f"/etc/nginx/tls/{FREE['id']} belongs to another user than dcvd")
                else:
                    self.assertNotIn("O13", found)
                    self.assertIn("whether dcvd was started as root", why["O13"])


if __name__ == "__main__":
    unittest.main()
