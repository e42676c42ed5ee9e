"""ACME from the first day on: the account, the documentation's smallest configuration, many names, renewal by time."""

import base64
import json
import os
import shutil
import signal
import subprocess
import unittest

import probe
from acme_faults import altered
from acme_proxy import Proxy
from acme_world import NAMES, AcmeCase
from servers import RESPONDER, WEB
from world import SOURCE, STATE

MAC = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMT-1_W"  # base64url


class AcmeLife(AcmeCase):
    def test_accounts(self):
        world = self.world()
        pebble = self.pebble(world, eab={"kid-1": MAC})
        proxy = Proxy(pebble)  # only writes down what is signed
        world.children.append(proxy)
        config = self.configure(world, proxy, {"www": self.certificate("www", NAMES, publisher="site")},
                                ca={"terms_agreed": False})
        self.refused(world, config, {}, r"terms were not agreed to: .*data:text/plain,Do%20what%20thou%20wilt", r"terms_agreed: true")
        self.refused(world, config, {"terms_agreed": True}, r"external account binding", r"cas\.pebble\.eab")
        bad = {"kid": "kid-1", "hmac_key": {"file": world.secret("eab", "bm90IHRoZSBrZXk=")}}
        self.refused(world, config, {"terms_agreed": True, "eab": bad}, r"newAccount: unauthorized", r"binding")
        none = {"kid": "kid-1", "hmac_key": {"file": world.secret("eab-none", "not base64!")}}
        self.refused(world, config, {"terms_agreed": True, "eab": none}, r"hmac_key is not base64", "as the CA shows it")
        good = {"kid": "kid-1", "hmac_key": {"file": world.secret("eab-good", MAC.replace("-", "+").replace("_", "/") + "=")}}
        self.take(world, config, {"terms_agreed": True, "eab": good})  # HS256, by default
        self.issue(world)
        world.dcvd.stop()
        shutil.move(f"{STATE}/accounts/pebble", f"{STATE}/accounts/pebble.old")  # as mv: there is one already
        config["cas"]["pebble"]["eab"] = {**good, "algorithm": "HS512"}
        world.write_config(config)
        world.start_dcvd()
        self.run_well(world, "reissue", "www", "--yes", "--wait")
        self.assertEqual((self.bound_with(proxy)[0], self.bound_with(proxy)[-2:], pebble.issued()), ("HS256", ["HS256", "HS512"], 2))
        key = probe.read_text(f"{STATE}/accounts/pebble/key.pem")
        world.dcvd.stop()
        os.unlink(f"{STATE}/accounts/pebble/account.json")
        config["cas"]["pebble"]["contact"] = ["mailto:new@example.test"]
        world.write_config(config)
        world.start_dcvd()
        self.run_well(world, "reissue", "www", "--yes", "--wait")
        self.assertIn("account https://", probe.read_text(world.dcvd.log))
        self.assertIn("was found", probe.read_text(world.dcvd.log))
        self.assertIn("contact changed", probe.read_text(world.dcvd.log))
        self.assertEqual(probe.read_text(f"{STATE}/accounts/pebble/key.pem"), key)
        shown = self.run_well(world, "account", "show", "pebble").stdout
        self.assertRegex(shown, r"the account https://\S+, valid, key \S{43}, contact mailto:new@example.test")
        self.run_well(world, "account", "rollover", "pebble")
        self.assertNotEqual(probe.read_text(f"{STATE}/accounts/pebble/key.pem"), key)
        self.assertEqual(os.listdir(f"{STATE}/accounts/pebble").count("key-new.pem"), 0)
        self.run_well(world, "reissue", "www", "--yes", "--wait")
        proxy.harm("POST /my-account/", altered(status="deactivated"))  # as some CAs show it; Pebble refuses its reader
        over = world.dcvctl("account", "deactivate", "pebble")
        self.assertEqual(over.returncode, 1, "no question")
        self.assertRegex(over.stderr, r"the account https://\S+ at pebble is deactivated\s+an account that was deactivated stays so")
        asked = world.dcvctl("account", "deactivate", "pebble")
        self.assertEqual(asked.returncode, 5, "asked first")
        self.assertRegex(asked.stderr, r"This ends the account https://\S+ at pebble for ever")
        self.assertRegex(self.run_well(world, "account", "rollover", "pebble", "--dry-run").stdout, r"would give the account https://\S+ at pebble a new key")
        self.run_well(world, "account", "deactivate", "pebble", "--yes")
        for what in ["deactivate", "--dry-run"], ["deactivate"], ["rollover", "--dry-run"]:
            self.assertEqual(world.dcvctl("account", what[0], "pebble", *what[1:]).returncode, 1, "as the real run would")
        stays = "an account that was deactivated stays so"
        for command, helps in ((("reissue", "www", "--dry-run"), stays), (("account", "show", "pebble"), stays),
                               (("reissue", "www", "--yes", "--wait"), "dcvctl account show pebble")):
            gone = world.dcvctl(*command)
            self.assertEqual(gone.returncode, 1, gone.stdout)
            self.assertRegex(gone.stdout + gone.stderr, r"unauthorized \(403\): Account has been deactivated")
            self.assertIn(f"{helps}; for a new one, by the next order: sudo mv {STATE}/accounts/pebble{{,.old}}; sudo systemctl restart dcvd",
                          gone.stdout + gone.stderr)
        line = lambda: world.dcvctl("status", "www").stdout.partition("  REISSUE   ")[2].partition("\n")[0]  # noqa: E731
        probe.until(lambda: line() != "yes", what="the look after a job that failed")
        self.assertRegex(line(), r"^none: nothing could replace this today \(reading the account: unauthorized")
        world.dcvd.stop()
        shutil.move(f"{STATE}/accounts/pebble", f"{STATE}/accounts/pebble.old")  # as mv: there is one already
        world.start_dcvd()
        self.run_well(world, "reissue", "www", "--yes", "--wait")
        self.assertEqual(line(), "yes")

    @staticmethod
    def bound_with(proxy):
        """The algorithm of every binding that was sent, refused ones too."""
        bound = [json.loads(text).get("externalAccountBinding") for what, text in proxy.payloads if what == "POST /sign-me-up"]
        heads = [one["protected"] for one in bound if one]
        return [json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["alg"] for head in heads]

    def take(self, world, config, ca):
        config["cas"]["pebble"].update(ca)
        world.write_config(config)
        world.dcvd.signal(signal.SIGHUP)
        probe.until(lambda: "new configuration" in probe.read_text(world.dcvd.log), 5, "taken")

    def refused(self, world, config, ca, text, fix):
        if world.dcvd.running():
            world.dcvd.stop()
        config["cas"]["pebble"].update(ca)
        world.write_config(config)
        world.start_dcvd()
        done = world.dcvctl("issue", "www", "--wait")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, text)
        self.assertRegex(done.stderr, fix)

    def test_many_names_at_once(self):
        world = self.world()
        pebble = self.pebble(world, no_nonce=20)
        names = [f"n{i}.many.example.test" for i in range(100)]
        certificate = self.certificate("www", names, publisher="site")
        certificate["deploy"][0]["services"][0]["verify"] = [{"address": f"{WEB}:443", "sni": names[7]}]
        self.configure(world, pebble, {"www": certificate})
        self.issue(world)
        self.assertEqual(sorted(world.served(names[7]).names()), sorted(names))
        self.assertEqual(pebble.issued(), 1)
        self.files_are_gone(world)

    def test_a_key_that_is_held_elsewhere_and_revocation_by_the_account(self):
        world = self.world()
        pebble = self.pebble(world)
        probe.openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/", "-addext", f"subjectAltName=DNS:{NAMES[0]}",
                      "-keyout", "/tmp/hsm.key", "-out", "/etc/dcvd/www.csr")
        os.chmod("/etc/dcvd/www.csr", 0o644)
        certificate = self.certificate("www", NAMES[:1], publisher="site", key={"csr": "/etc/dcvd/www.csr"})
        certificate["deploy"] = [{"directory": "/etc/nginx/tls/elsewhere", "files": {"fullchain.pem": "fullchain"}}]
        self.configure(world, pebble, {"www": certificate})
        self.issue(world)
        pem = probe.read_text("/etc/nginx/tls/elsewhere/fullchain.pem")
        self.assertIn(probe.openssl("pkey", "-in", "/tmp/hsm.key", "-pubout"), probe.openssl("x509", "-noout", "-pubkey", stdin=pem))
        self.assertEqual(os.listdir(f"{STATE}/keys"), [])
        serial = probe.openssl("x509", "-noout", "-serial", stdin=pem).strip().partition("=")[2].lower()
        self.run_well(world, "revoke", "www", "--live", "--yes", "--reason", "cessationOfOperation")
        said = pebble.manage(f"/cert-status-by-serial/{serial}")
        self.assertIn('"Revoked"', said)
        self.assertRegex(said, r'"Reason": ?5\b')

    def test_time_renews_by_itself(self):
        world = self.world()
        pebble = self.pebble(world, validity_s=16)
        self.configure(world, pebble, {
            "www": self.certificate("www", NAMES, publisher="site"),
            "never": self.certificate("never", ["n1.many.example.test"], publisher="site", renew="off")})
        self.issue(world, "never")
        self.issue(world)
        first = world.served().der
        probe.until(lambda: world.served().der != first, 20, "renewed at half of its lifetime")
        first = [("first certificate", "operator")]
        self.assertEqual(self.started(world, "www")[:2], [*first, ("renewal", "time")])  # and so on every eight seconds
        self.assertEqual(self.started(world, "never"), first)

    @staticmethod
    def started(world, cert):
        _, history = world.dcvctl_json("history", cert)
        begun = [row["data"] for row in history["history"] if row["event"] == "started"]
        return [(row["reason"], row["trigger"]) for row in begun]

    def test_what_is_printed_for_web_servers_works(self):
        """Pebble's question goes through an nginx that has the printed text and nothing else of these names."""
        world = self.world()
        pebble = self.pebble(world)
        names = ["www.responder.test", "responder.test"]
        self_, site = self.certificate("self", names, RESPONDER, publisher="self"), self.certificate("site", NAMES, publisher="site")
        self_["deploy"][0]["files"] = {"fullchain.pem": "fullchain", "privkey.pem": "key", "combined.pem": "combined"}
        config = self.configure(world, pebble, {"self": self_, "site": site}, start=False)
        config["tokens"]["listen"] = ["127.0.0.1:8402"]
        world.write_config(config)
        world.start_dcvd()
        world.nginx.stop()
        world.nginx.sites = []
        world.nginx.configure(extra=self.run_well(world, "snippet", "nginx", "self").stdout)
        world.child("nginx-snippet", ["nginx", "-g", "daemon off;"], lambda: probe.tcp_open(RESPONDER, 80) and
                    probe.tcp_open(RESPONDER, 443))
        self.issue(world, "self")
        self.assertEqual(sorted(probe.served(RESPONDER, names[0]).names()), sorted(names))
        self.accepted(world, "haproxy", ["haproxy", "-c", "-f"], "global\n  maxconn 10\n")
        self.accepted(world, "caddy", ["caddy", "validate", "--adapter", "caddyfile", "--config"], "{\n\tadmin off\n}\n")
        shown = self.run_well(world, "snippet", "apache", "self").stdout
        self.assertIn('ProxyPass "/.well-known/acme-challenge/" "http://127.0.0.1:8402/.well-known/acme-challenge/"', shown)
        self.assertIn(f'Alias "/.well-known/acme-challenge/" "{world.webroot}/.well-known/acme-challenge/"',
                      self.run_well(world, "snippet", "apache", "site").stdout)
        self.assertIn("did you mean site?", world.dcvctl("snippet", "nginx", "sitr").stderr)
        self.assertEqual(world.dcvctl("snippet", "iis").returncode, 2)
        listed = self.run_well(world, "publishers").stdout
        self.assertRegex(listed, r"self +responder +file,tls-alpn +127\.0\.0\.1:8402 +self\n")
        self.assertRegex(listed, rf"site +webroot +file +{world.webroot} +site\n")
        self.assertRegex(listed, r"zone +rfc2136 +dns +127\.0\.1\.1:53 +\(no certificate\)\n")

    def accepted(self, world, server, test, before):
        """By the server's own test."""
        path = f"/tmp/{server}.conf"
        with open(path, "w", encoding="ascii") as f:
            f.write(before + self.run_well(world, "snippet", server, "self").stdout)
        done = subprocess.run([*test, path], capture_output=True, text=True, timeout=30 * probe.BUSY, check=False,
                              env={**os.environ, "HOME": "/tmp"})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_smallest_configuration_of_the_documentation_works(self):
        world = self.world()
        pebble = self.pebble(world)
        world.start_nginx([{"names": NAMES, "pairs": [self.first_certificate("www")]}])
        text = probe.read_text(os.path.join(SOURCE, "tests/unit/config/data/smallest.yaml"))
        for old, new in (("https://acme-v02.api.letsencrypt.org/directory", pebble.directory),
                         ("terms_agreed: true", f"terms_agreed: true, ca_bundle: {pebble.bundle}"),
                         ("/var/www/html", world.webroot), ("example.com", "example.test"),
                         # no systemd here
                         ("{preset: nginx}", "{preset: nginx, reload: [/usr/sbin/nginx, -s, reload]}")):
            self.assertIn(old, text)
            text = text.replace(old, new)
        world.write_config(text)
        world.start_dcvd()
        done = self.issue(world)
        self.assertEqual(sorted(world.served().names()), sorted(NAMES))
        self.assertIn("serves the new certificate", done.stderr + probe.read_text(world.dcvd.log))


if __name__ == "__main__":
    unittest.main()
