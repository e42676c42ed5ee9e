"""People and proofs: reviewers and companies that are waited for, and every way to show a token."""

import json
import unittest

import probe
from servers import RESPONDER
from test_refusals import configure, paid, zones
from world import World

OV_BY_WOTRUS = "28"
OV_BY_SECURESITE = "5"  # waives no validation


def job(world, label):
    return world.dcvctl_json("status", label)[1]["certificates"][0]["job"]


def order(world, label):
    """The order's id as soon as the running job has one."""
    return probe.until(lambda: (job(world, label) or {}).get("order"), 20, f"{label}'s order")


class People(unittest.TestCase):
    def test_people_are_waited_for_across_a_restart(self):
        labels = ("reviewed", "letter", "facts", "revoking", "free", "moving")
        certificates = [{**paid(at, label), "package_type": OV_BY_WOTRUS} for at, label in enumerate(labels)]
        with World(certificates, zones=zones(*labels), secondary=False) as world:
            configure(world)
            folder = "/etc/nginx/tls/p0000000"
            self.assertEqual(world.dcvctl("import", "reviewed", "--cert", f"{folder}/fullchain.pem", "--key", f"{folder}/privkey.pem").returncode, 0)
            leaked = probe.spki_of_key(probe.read_text(f"{folder}/privkey.pem"))
            asked = world.dcvctl("reissue", "reviewed", "--yes", "--wait")
            self.assertEqual(asked.returncode, 4, asked.stderr)
            self.assertRegex(asked.stderr, r"waiting for the CA's reviewers since \d{4}-\d\d-\d\d: order \w{8}")
            sent = world.ledger("ReplaceCertificate")[0]
            self.assertEqual([a["DvAuthVerifyType"] for a in self.auths(world)], ["CNAME"])
            approved = order(world, "reviewed")
            reported = world.dcvctl("report", "--spki", leaked)  # the review goes on: its key is a fresh one
            self.assertEqual(reported.returncode, 0, reported.stderr)
            waiting = {}
            world.control("validation", paused=True)
            for label, status, party, act in (
                    ("letter", 8, "your company", "Tencent wants the confirmation letter"),
                    ("facts", 5, "your company", "Tencent wants the order's information"),
                    ("revoking", 12, "your company", "Tencent wants the revocation letter"),
                    ("free", 13, "your company", "Tencent wants the application's information"),
                    ("moving", 15, "Tencent Cloud", "the certificate is being migrated")):
                self.assertEqual(world.dcvctl("reissue", label, "--yes", "--detach").returncode, 0)
                waiting[label] = order(world, label)
                if label == "letter":  # told to validate: what was seen is there to be compared
                    saw = probe.until(lambda: (job(world, "letter") or {}).get("dcvd_saw"), 30, "what dcvd saw")
                    self.assertRegex(saw, r"^CNAME _\w+\.www\.letter\.test: 1 of 1 agree$")
                    self.assertIn(f"\n  DCVD SAW  {saw}\n", world.dcvctl("status", "letter").stdout)
                world.control("set", id=waiting[label], status=status)
                shown = world.dcvctl("reissue", label, "--yes", "--wait")
                self.assertEqual(shown.returncode, 4, shown.stderr)
                if status == 15:
                    self.assertRegex(shown.stderr, rf"waiting for {party} since \d{{4}}-\d\d-\d\d: {act}, order "
                                     rf"{waiting[label]} \(status 15, being migrated\)")
                else:
                    self.assertRegex(shown.stderr, rf"waiting for {party}: {act} \(status {status}\), order "
                                     rf"{waiting[label]}, by \d{{4}}-\d\d-\d\d")
                self.assertNotIn("reviewers", shown.stderr)
                said = job(world, label)["waiting"]
                self.assertEqual((said["party"], said["act"]), (party, act))
            self.assertEqual(world.dcvd.stop(), 0)
            world.start_dcvd()
            self.assertEqual(job(world, "reviewed")["waiting"]["party"], "the CA's reviewers")
            world.control("approve", id=approved)
            for one in waiting.values():
                world.control("set", id=one)
            world.control("validation", paused=False)
            for one in waiting.values():
                probe.until(lambda: any(e["id"] == one for e in world.events("validated")), 40, f"{one} validated")
                world.control("approve", id=one)
            for label in labels:
                probe.until(lambda: not job(world, label), 40, f"{label} ended")
                key = probe.spki_of_csr(next(c for c in world.ledger("ReplaceCertificate") if c["parameters"][
                    "CertificateId"] == f"p{labels.index(label):07d}")["parameters"]["CsrContent"])
                self.assertEqual(world.served(f"www.{label}.test").spki, key)
            self.assertEqual(sent["outcome"], "ok")
            incident = world.dcvctl_json("incident", "1")[1]
            self.assertEqual([(c["cert"], c["state"]) for c in incident["certificates"]], [("reviewed", "replaced")])
            world.assert_invariants(self)

    @staticmethod
    def auths(world):
        return [e["auth"] for e in world.events("look") if e["local"] == 1]


class Proofs(unittest.TestCase):
    def test_every_way_to_show_a_token(self):
        labels = ("late", "file", "served", "byhand")
        own = zones(*labels)
        own["served.test"] = f"@ 60 A {RESPONDER}\nwww 60 A {RESPONDER}\n"
        with World([paid(at, label) for at, label in enumerate(labels)], zones=own, secondary=False) as world:
            configure(world, file={"validation": "file", "publisher": "site"},
                      served={"validation": "file", "publisher": "self"}, byhand={"publisher": "hand"},
                      more={"publishers": {"self": {"type": "responder"}, "hand": {"type": "manual"}},
                            "tokens": {"listen": [f"{RESPONDER}:80"]}})
            self.assertEqual(world.dcvctl("reissue", "byhand", "--yes", "--detach").returncode, 0)
            for label in ("file", "served"):
                with self.subTest(label):
                    self.done(world, label)
                    self.assertEqual([e["auth"]["DvAuthVerifyType"] for e in world.events("look") if e["local"] == 1
                                      and e["auth"]["DvAuthDomain"] == f"www.{label}.test"], ["FILE"])
            with self.subTest("late"):
                world.control("late-dvauths", reads=3)
                self.done(world, "late")
            with self.subTest("byhand"):
                self.by_hand(world)
            world.assert_invariants(self)

    def by_hand(self, world):
        def shown():
            facts = world.dcvctl_json("status", "byhand")[1]["certificates"][0]
            return next((t for t in facts.get("tokens", [])), None)
        token = probe.until(shown, 20, "the record to publish")
        self.assertIn("_dnsauth.www.byhand.test", token["token"])
        record = f'_dnsauth.www.byhand.test. 60 IN TXT "{token["value"]}"'
        self.assertIn(f"  TOKEN     please publish: {record}\n", world.dcvctl("status", "byhand").stdout)
        world.dns.update("byhand.test", f"add _dnsauth.www.byhand.test. 60 TXT {token['value']}")
        probe.until(lambda: any(e["id"] != "" for e in world.events("validated")), 20, "validated")
        probe.until(lambda: world.served("www.byhand.test").pem != probe.read_text(world.original("p0000003",
                                                                                                  "cert.pem")),
                    40, "the new certificate served")
        world.dns.update("byhand.test", "del _dnsauth.www.byhand.test. TXT")
        probe.until(lambda: not job(world, "byhand"), 40, f"the job ended: {json.dumps(job(world, 'byhand'))}")
        self.assertEqual(len([c for c in world.ledger("ReplaceCertificate")
                              if c["parameters"]["CertificateId"] == "p0000003"]), 1)

    def done(self, world, label):
        done = world.dcvctl("reissue", label, "--yes", "--wait")
        self.assertEqual(done.returncode, 0, done.stderr)


class SameCsr(unittest.TestCase):
    def test_the_csr_of_another_key_than_the_live_one_is_not_sent(self):
        with World([paid(1, "other")], zones=zones("other"), secondary=False) as world:
            configure(world, other={"key": {"reuse": "when-not-compromised"}})
            probe.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90",
                          "-subj", "/CN=www.other.test", "-addext", "subjectAltName=DNS:www.other.test",
                          "-keyout", "/tmp/other.key", "-out", "/tmp/other.pem")
            taken = world.dcvctl("import", "other", "--cert", "/tmp/other.pem", "--key", "/tmp/other.key")
            self.assertEqual(taken.returncode, 0, taken.stderr)
            done = world.dcvctl("reissue", "other", "--yes", "--wait")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertNotIn("R7:", done.stderr)
            self.assertIn("the live key ", done.stderr)
            sent, = world.ledger("ReplaceCertificate")
            self.assertEqual((sent["parameters"]["CsrType"].lower(), sent["outcome"]), ("upload", "ok"))
            self.assertEqual(world.served("www.other.test").spki, probe.spki_of_csr(sent["parameters"]["CsrContent"]))
            world.assert_invariants(self)

    def test_the_live_key_signs_a_new_csr_where_none_is_waived(self):
        certificates = [paid(1, "kept", package_type=OV_BY_SECURESITE, approved_before=True)]
        with World(certificates, zones=zones("kept"), secondary=False) as world:
            configure(world, kept={"key": {"reuse": "when-not-compromised"}})
            folder = world.tls_directory("p0000001")
            taken = world.dcvctl("import", "kept", "--cert", f"{folder}/fullchain.pem", "--key", f"{folder}/privkey.pem")
            self.assertEqual(taken.returncode, 0, taken.stderr)
            dry = world.dcvctl("reissue", "kept", "--dry-run").stdout
            self.assertIn("key         ec-p256, the live one is kept\n", dry)
            self.assertIn("R9: a new CSR: the domain is validated again, by dns", dry)
            self.assertIn("  KEY       kept next time (key.reuse)\n", world.dcvctl("status", "kept").stdout)
            before = world.served("www.kept.test")
            done = world.dcvctl("reissue", "kept", "--yes", "--wait")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"the live key {before.spki[:16]}... is kept (key.reuse)", done.stderr)
            after = world.served("www.kept.test")
            self.assertEqual((after.spki, after.der == before.der), (before.spki, False))
            sent, = world.ledger("ReplaceCertificate")
            self.assertEqual((sent["parameters"]["CsrType"].lower(), probe.spki_of_csr(sent["parameters"]["CsrContent"])),
                             ("upload", before.spki))
            self.assertTrue(world.events("validated"), "as with any new CSR")
            leaked = world.dcvctl("reissue", "kept", "--key-compromised", "--dry-run").stdout
            self.assertIn("a new one; the live one is not kept: a key is reported compromised\n", leaked)
            done = world.dcvctl("reissue", "kept", "--key-compromised", "--yes", "--wait")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("the live key is not kept (key.reuse): it is marked compromised", done.stderr)
            self.assertNotEqual(world.served("www.kept.test").spki, before.spki)
            world.assert_invariants(self)

    def test_the_same_csr_needs_no_validation(self):
        with World([paid(1, "same")], zones=zones("same"), secondary=False) as world:
            configure(world, same={"key": {"type": "ec-p256", "reuse": "when-not-compromised"}})
            dry = lambda: world.dcvctl("reissue", "same", "--dry-run").stdout  # noqa: E731
            self.assertNotIn("R7:", dry(), "nothing is live here")
            folder = world.tls_directory("p0000001")
            taken = world.dcvctl("import", "same", "--cert", f"{folder}/fullchain.pem", "--key",
                                 f"{folder}/privkey.pem")
            self.assertEqual(taken.returncode, 0, taken.stderr)
            self.assertIn("R7: no validation needed: the CSR stays the same", dry())
            before = world.served("www.same.test")
            serial = world.dns.serial("127.0.1.1", "same.test")
            done = world.dcvctl("reissue", "same", "--yes", "--wait")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("R7: no validation needed: the CSR stays the same", done.stderr)
            after = world.served("www.same.test")
            self.assertEqual((after.spki, after.der == before.der), (before.spki, False))
            sent, = world.ledger("ReplaceCertificate")
            self.assertEqual(sent["parameters"]["CsrType"].lower(), "original")
            self.assertEqual(world.dns.serial("127.0.1.1", "same.test"), serial, "a token was published")
            self.assertEqual(world.events("look"), [])
            world.assert_invariants(self)


if __name__ == "__main__":
    unittest.main()
