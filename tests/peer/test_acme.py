"""ACME against Debian's Pebble, end to end on real servers: first certificates, every way of validating, refused nonces,
reused authorizations, chains, revocation."""

import os
import re
import unittest

import probe
from acme_world import NAMES, AcmeCase
from servers import PRIMARY, WEB, write
from world import STATE

ROOTS = "/etc/ssl/certs"


def common_name(pem):
    return re.search(r"CN ?= ?([^,\n]+)", probe.openssl("x509", "-noout", "-subject", stdin=pem)).group(1)


class Acme(AcmeCase):
    def test_files_in_a_web_root_and_what_an_operator_sees(self):
        world = self.world()
        pebble = self.pebble(world)
        self.configure(world, pebble, {"www": self.certificate("www", NAMES, publisher="site")})
        dry = self.run_well(world, "issue", "www", "--dry-run")
        self.assertIn("would order a new certificate from pebble", dry.stdout)
        self.assertFalse(os.path.exists(f"{STATE}/accounts"))
        self.issue(world)
        served = world.served()
        self.assertEqual(sorted(served.names()), sorted(NAMES))
        self.assertEqual(pebble.issued(), 1)
        self.files_are_gone(world)
        self.assertEqual(os.stat(f"{STATE}/accounts/pebble/key.pem").st_mode & 0o777, 0o600)
        self.assertIn("already has a certificate", self.issue(world).stdout)
        self.run_well(world, "reissue", "www", "--key-compromised", "--yes", "--wait")
        self.assertEqual(pebble.issued(), 2)
        self.assertNotEqual(world.served().spki, served.spki)
        self.revoke(world, pebble, served)
        status = self.run_well(world, "status", "www")
        self.assertRegex(status.stdout, r"(?i)reissue +yes")
        self.judge(world)

    def revoke(self, world, pebble, old):
        serial = probe.openssl("x509", "-noout", "-serial", stdin=old.pem).strip().partition("=")[2]
        seen = lambda: pebble.manage(f"/cert-status-by-serial/{serial.lower()}")
        self.assertIn('"Valid"', seen())
        dry = self.run_well(world, "revoke", "www", "--dry-run")
        self.assertIn("would be revoked", dry.stdout)
        self.assertEqual(world.dcvctl("revoke", "www").returncode, 5, "asked first, and nobody answers")
        self.assertIn('"Valid"', seen())
        done = self.run_well(world, "revoke", "www", "--yes")
        self.assertIn(f"serial {serial.lower()}", done.stdout)
        self.assertIn('"Revoked"', seen())
        self.assertRegex(seen(), r'"Reason": ?1\b')
        self.assertIn("was revoked before", self.run_well(world, "revoke", "www", "--serial", serial, "--yes").stdout)
        live = world.dcvctl("revoke", "www", "--yes", "--serial",
                            probe.openssl("x509", "-noout", "-serial", stdin=world.served().pem).strip()[7:])
        self.assertEqual(live.returncode, 5)
        self.assertIn("is live: visitors would see an error", live.stderr)
        self.assertNotIn("revoked", self.run_well(world, "status", "www").stdout)
        self.assertRegex(self.run_well(world, "sets", "www").stdout, rf"(?m)^ +1   .*serial {serial.lower()}.*  revoked on 20")

    def test_who_says_that_a_key_leaked_has_it_marked(self):
        world = self.world()
        pebble = self.pebble(world)
        certificate = self.certificate("www", NAMES, publisher="site", key={"reuse": "when-not-compromised"})
        self.configure(world, pebble, {"www": certificate})
        self.issue(world)
        old = world.served()
        revoke = lambda *more: self.run_well(world, "revoke", "www", "--live", "--reason", "keyCompromise", *more).stdout  # noqa: E731
        self.assertIn("its key is marked compromised for ever", revoke("--dry-run"))
        self.assertFalse(os.path.exists(f"{STATE}/compromised"))
        revoke("--yes")
        self.assertIn(old.spki, probe.read_text(f"{STATE}/compromised"))
        self.assertRegex(self.run_well(world, "status", "www").stdout, "LIVE .*; its key is marked compromised; revoked on 20")
        world.dcvd.stop()
        world.start_dcvd()
        self.assertRegex(self.run_well(world, "status", "www").stdout, "LIVE .*; revoked on 20")
        self.assertEqual(world.dcvctl("status", "--check").returncode, 1)
        self.run_well(world, "reissue", "www", "--yes", "--wait")
        self.assertNotEqual(world.served().spki, old.spki)
        self.run_well(world, "status", "--check")

    def test_a_kept_key_that_is_live_signs_no_revocation(self):
        world = self.world()
        pebble = self.pebble(world)
        certificate = self.certificate("www", NAMES, publisher="site", key={"reuse": "when-not-compromised"})
        self.configure(world, pebble, {"www": certificate})
        serial_of = lambda served: probe.openssl("x509", "-noout", "-serial", stdin=served.pem).strip().partition("=")[2].lower()
        self.issue(world)
        old = world.served()
        self.run_well(world, "reissue", "www", "--yes", "--wait")
        live = world.served()
        self.assertEqual(live.spki, old.spki)
        self.assertNotEqual(serial_of(live), serial_of(old))
        leaked = world.dcvctl("revoke", "www", "--yes", "--reason", "keyCompromise")
        self.assertEqual(leaked.returncode, 5)
        self.assertIn("the live certificate www has the same key", leaked.stderr)
        self.assertIn("signed by the account: the live certificate www has the same key", self.run_well(world, "revoke", "www", "--yes").stdout)
        self.assertRegex(pebble.manage(f"/cert-status-by-serial/{serial_of(old)}"), r'"Reason": ?4\b')
        self.assertIn('"Valid"', pebble.manage(f"/cert-status-by-serial/{serial_of(live)}"))
        self.judge(world)

    def test_wildcard_and_apex_by_dns_with_half_the_nonces_refused(self):
        world = self.world(secondary=True)
        pebble = self.pebble(world, no_nonce=50, reuse=50)
        names = ["*.wild.example.test", "wild.example.test"]
        self.configure(world, pebble, {"www": self.certificate("www", names, publisher="zone", propagation={"consecutive": 2})})
        self.issue(world)
        self.assertEqual(sorted(world.served("x.wild.example.test").names()), sorted(names))
        for _ in range(4):
            world.dns.flush_resolver()  # it would show the old record until its TTL is over; CAs keep none that long
            self.run_well(world, "reissue", "www", "--yes", "--wait")
        self.assertEqual(pebble.issued(), 5)
        self.assertEqual(probe.dns_values(PRIMARY, "_acme-challenge.wild.example.test", "TXT"), [])
        self.judge(world)

    def test_responder_and_an_order_that_is_ready_at_once(self):
        world = self.world()
        pebble = self.pebble(world, reuse=100)
        self.configure(world, pebble, {
            "ip": self.certificate("ip", [WEB], publisher="site", key={"type": "rsa-2048"}),
            "www": self.certificate("www", ["www.responder.test"], publisher="self")})
        self.issue(world)
        tried = pebble.said("Pulled a task from the Tasks queue")
        self.run_well(world, "reissue", "www", "--yes", "--wait")
        self.assertEqual(pebble.said("Pulled a task from the Tasks queue"), tried, "nothing was validated again")
        self.assertEqual(pebble.issued(), 2)
        self.issue(world, "ip")
        self.assertIn("IP Address:" + WEB, probe.openssl("x509", "-noout", "-ext", "subjectAltName",
                                                         stdin=world.served("ip", address=WEB).pem))

    def test_the_live_key_is_kept_while_nobody_reports_it(self):
        world = self.world()
        pebble = self.pebble(world)
        keep = {"reuse": "when-not-compromised"}
        self.configure(world, pebble, {"www": self.certificate("www", NAMES, publisher="site", key=keep)})
        first = self.issue(world)
        self.assertIn("the live key is not kept (key.reuse): nothing is live here", first.stderr)
        before = world.served(NAMES[0])
        self.assertIn("key         ec-p256, the live one is kept\n", world.dcvctl("reissue", "www", "--dry-run").stdout)
        world.kill_dcvd()
        world.start_dcvd()
        again = self.run_well(world, "reissue", "www", "--yes", "--wait")
        self.assertIn(f"the live key {before.spki[:16]}... is kept (key.reuse)", again.stderr)
        after = world.served(NAMES[0])
        self.assertEqual((after.spki, after.der == before.der, pebble.issued()), (before.spki, False, 2))
        self.assertEqual(os.listdir(f"{STATE}/keys"), [f"{before.spki}.pem"])
        self.run_well(world, "reissue", "www", "--key-compromised", "--yes", "--wait")
        self.assertNotEqual(world.served(NAMES[0]).spki, before.spki)
        self.judge(world)

    def test_a_root_of_the_system_is_found_by_its_hash_or_in_the_one_file(self):
        world = self.world()
        pebble = self.pebble(world)
        config = self.configure(world, pebble, {"www": self.certificate("www", NAMES, publisher="site")}, start=False)
        del config["cas"]["pebble"]["ca_bundle"]
        world.write_config(config)
        world.start_dcvd()
        done = world.dcvctl("issue", "www", "--wait")
        self.assertEqual(done.returncode, 1)
        self.assertIn("its TLS certificate does not verify", done.stderr)
        root, all_of_them = probe.read_text(pebble.bundle), probe.read_text(f"{ROOTS}/ca-certificates.crt")
        by_hash = f"{ROOTS}/{probe.openssl('x509', '-noout', '-hash', stdin=root).strip()}.0"
        write(by_hash, root)
        self.issue(world)
        os.unlink(by_hash)
        world.dcvd.stop()
        write(f"{ROOTS}/ca-certificates.crt", all_of_them + root)  # as by hand, without update-ca-certificates
        world.start_dcvd()
        self.run_well(world, "reissue", "www", "--yes", "--wait")
        self.assertEqual(pebble.issued(), 2)

    def test_a_preferred_chain_is_taken(self):
        world = self.world()
        pebble = self.pebble(world, alternates=2)
        wanted = common_name(pebble.manage("/roots/2"))
        certificate = self.certificate("www", NAMES, publisher="zone")
        self.configure(world, pebble, {"www": certificate}, ca={"preferred_chain": wanted})
        self.issue(world)
        with open(f"/etc/nginx/tls/www/fullchain.pem", encoding="ascii") as f:
            last = f.read().split("-----BEGIN CERTIFICATE-----")[-1]
        issuer = probe.openssl("x509", "-noout", "-issuer", stdin="-----BEGIN CERTIFICATE-----" + last)
        self.assertIn(wanted, issuer)

    def test_a_ca_of_ones_own_that_is_not_trusted_is_told_with_the_setting(self):
        world = self.world()
        pebble = self.pebble(world)
        other, _ = self.first_certificate("other")
        config = self.configure(world, pebble, {"www": self.certificate("www", NAMES, publisher="site")},
                                ca={"ca_bundle": other, "staging": pebble.directory})
        for more in ((), ("--staging",)):
            done = world.dcvctl("issue", "www", "--dry-run", *more)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn("its TLS certificate does not verify", done.stdout)
            self.assertIn("set cas.pebble.ca_bundle to its root certificate", done.stdout)
        config["cas"]["pebble"]["ca_bundle"] = "/etc/dcvd/none.pem"
        world.write_config(config)
        world.dcvd.stop()
        world.start_dcvd()
        done = world.dcvctl("issue", "www", "--dry-run")
        self.assertRegex(done.stdout, "roots in /etc/dcvd/none.pem cannot be read")
        self.assertIn("set cas.pebble.ca_bundle to a PEM file that dcvd can read", done.stdout)

    def test_a_validation_that_fails_is_told_and_given_up(self):
        world = self.world()
        pebble = self.pebble(world, http_port=81)
        self.configure(world, pebble, {"www": self.certificate("www", NAMES, publisher="site")})
        self.run_well(world, "issue", "www", "--detach")
        text = probe.until(lambda: re.search(r"order \S+ at pebble failed: (www.)?example.test: connection.*",
                                             probe.read_text(world.dcvd.log)), 20, "the CA's reason").group(0)
        self.assertIn("again in", text)
        saw = r"file http://(www\.)?example\.test/\S+: 1 of 1 agree"
        self.assertRegex(self.run_well(world, "status", "www").stdout, rf"(?m)^  DCVD SAW  {saw}\n            {saw}$")
        self.files_are_gone(world)
        self.run_well(world, "cancel", "www", "--yes")
        self.assertEqual(pebble.issued(), 0)


if __name__ == "__main__":
    unittest.main()
