"""A CA that issues something else than it was asked for, or hands out hostile tokens: nothing
of it is installed or published, what is served stays, and nothing is ordered twice."""

import os
import re
import unittest

import probe
from servers import PRIMARY
from test_refusals import configure, paid, zones
from world import World

WRONG = {
    "key": r"none of the 2 certificates belongs to this private key",
    "name": r"the certificate does not cover www\.name\.test",
    "missing-name": r"the certificate does not cover www\.missing-name\.test",
    "extra-name": r"nobody asked for extra\.www\.extra-name\.test in the certificate",
    "expired": r"the certificate expired at \d{4}-",
    "not-yet-valid": r"the certificate is not valid before \d{4}-"}
CHAINS = {"reversed": 0, "root": 0, "duplicate": 0, "shuffled": 0, "junk": 0, "crlf": 0, "cut": 1}
REFUSED = {"huge": "without a value", "long": "without a value", "empty": "without a value"}
PLACE = "/.well-known/pki-validation/"


def sent(world, number):
    return len([c for c in world.ledger("ReplaceCertificate") if c["parameters"]["CertificateId"] == f"p{number:07d}"])


def auth(kind, label, key=None, value="v", path=PLACE):
    key = key if key is not None else ("fileauth.txt" if kind == "FILE" else f"_dnsauth.www.{label}.test")
    return {"DvAuthKey": key, "DvAuthPath": path, "DvAuthValue": value, "DvAuthDomain": f"www.{label}.test",
            "DvAuthVerifyType": kind, "DvAuthSubDomain": ""}


def hostile(label):
    """One hostile DvAuth by its name."""
    return {
        "climbs": auth("FILE", label, "../../../../tmp/climbed"),
        "elsewhere": auth("FILE", label, path="/../../tmp/"), "shell": auth("FILE", label, "a;id>b.txt"),
        "huge": auth("FILE", label, value="v" * 10240 * 8), "nul": auth("FILE", label, "a\0b.txt"),
        "foreign": auth("TXT", label, "_dnsauth.example.test"), "newline": auth("TXT", label, value="v\n@ NS evil."),
        "long": auth("TXT", label, value="v" * 10240), "empty": auth("TXT", label, value=""),
        "top": auth("CNAME", label, key="@", value="evil.example.test"),
        "root": auth("CNAME", label, value=".")}[label]


class HostileCa(unittest.TestCase):
    def reissue(self, world, label):
        return world.dcvctl("reissue", label, "--yes", "--wait")

    def test_certificates_that_do_not_fit_are_never_installed(self):
        labels = [*WRONG, *CHAINS]
        with World([paid(at, label) for at, label in enumerate(labels)], zones=zones(*labels),
                   secondary=False) as world:
            configure(world)
            for at, label in enumerate(labels):
                with self.subTest(label):
                    before = world.served(f"www.{label}.test").der
                    world.control("issue-as", **({"wrong": label} if label in WRONG else {"chain": label}))
                    done = self.reissue(world, label)
                    wanted = 1 if label in WRONG else CHAINS[label]
                    self.assertEqual(done.returncode, wanted, done.stderr)
                    self.assertRegex(done.stderr, WRONG.get(label, "issued"))
                    self.assertEqual(world.served(f"www.{label}.test").der == before, wanted == 1)
                    self.assertEqual(sent(world, at), 1)
            world.assert_invariants(self)

    def test_hostile_tokens_are_never_published(self):
        labels = ("climbs", "elsewhere", "shell", "huge", "nul", "foreign", "newline", "long", "empty", "top", "root")
        with World([paid(at, label) for at, label in enumerate(labels)], zones=zones(*labels), secondary=False) as world:
            by_file = {"validation": "file", "publisher": "site"}
            configure(world, **{label: by_file for label in labels if hostile(label)["DvAuthVerifyType"] == "FILE"})
            world.control("validation", paused=True)
            before = {zone: sorted(world.dns.zone_records(zone)) for zone in ("example.test", *(f"{x}.test" for x in labels))}
            for at, label in enumerate(labels):
                with self.subTest(label):
                    world.control("next-dvauths", dv_auths=[hostile(label)])
                    since = len(probe.read_text(world.dcvd.log))
                    world.dcvctl("reissue", label, "--yes", "--detach")
                    failed = re.compile(rf"error: {label}: job \d+ failed: .*{REFUSED.get(label, 'is refused')}"
                                        if label != "foreign" else "published -> propagated")  # below its own name
                    probe.until(lambda: failed.search(probe.read_text(world.dcvd.log)[since:]), 20, label)
                    self.assertEqual(sent(world, at), 1)
            self.assertTrue(world.dcvd.running())
            left = [os.path.join(place, name) for place, _, names in os.walk(world.webroot) for name in names]
            self.assertEqual(left, [])
            self.assertFalse(os.path.exists("/tmp/climbed"))
            before.pop("foreign.test")
            for zone, records in before.items():
                without_soa = [r for r in sorted(world.dns.zone_records(zone)) if r[1] != "SOA"]
                self.assertEqual(without_soa, [r for r in records if r[1] != "SOA"])
            self.assertEqual(probe.dns_values(PRIMARY, "_dnsauth.example.test", "TXT"), [])


if __name__ == "__main__":
    unittest.main()
