"""What is refused, by which rule, with which exit status; what faults of the CA cost: never a second order."""

import json
import re
import unittest

import probe
from world import HOSTS, World

REFUSED, WAITING = 5, 4


def paid(number, label, **more):
    return {"id": f"p{number:07d}", "names": [f"www.{label}.test"], "package_type": "11", "key": "ec-p256", **more}


def free(number, label, **more):
    return {"id": f"f{number:07d}", "names": [f"www.{label}.test"], "package_type": "83", **more}


def configure(world, more=None, **changes):
    """Every certificate of the scenario that has a name of its own, named by its label. changes: {label: {...}};
    more: {"publishers": {...}, ...}."""
    config = world.default_config()
    first = config["certificates"].pop("www")
    for one in world.certificates:
        label = one["names"][0].split(".")[-2]
        target = {**first["deploy"][0], "directory": f"/etc/nginx/tls/{one['id']}"}
        key = {"type": "ec-p256"} if one.get("key") == "ec-p256" else {"type": "rsa-2048"}
        config["certificates"].setdefault(label, {
            **first, "names": one["names"], "certificate_id": one["id"], "rehearse": "never", "key": key,
            "propagation": {"consecutive": 1}, "deploy": [target], **changes.get(label, {})})
    for section, entries in (more or {}).items():
        config[section] = {**config.get(section, {}), **entries}
    world.write_config(config)
    world.start_dcvd()


def zones(*labels):
    return {"example.test": HOSTS, **{f"{label}.test": HOSTS for label in labels}}


class Refusals(unittest.TestCase):
    def test_the_rules_refuse_before_anything_is_spent(self):
        certificates = [
            paid(1, "uploaded", **{"from": "upload"}), paid(2, "ending", not_after="+29d"),
            free(3, "used", replaced_for="f0000031"), free(31, "used", replaced_by="f0000003"),
            free(4, "elliptic"), free(41, "held"), paid(42, "unlike"), free(5, "file", method="FILE", first_method="FILE"), paid(6, "running"),
            paid(7, "sibling"), {**paid(71, "sibling"), "names": ["shop.sibling.test"]}, paid(8, "failed")]
        with World(certificates, zones=zones("running"), secondary=False) as world:
            world.control("validation", paused=True)
            world.control("set", id="p0000008", status=2)
            for one in ("p0000006", "p0000071"):
                reply = world.call("ReplaceCertificate", CertificateId=one, ValidType="DNS", CsrType="original",
                                   Reason="by another host")
                self.assertIn("CertificateId", reply)
            csr = {}
            for label, name, kind in (("held", "www.held.test", "ec-p256"), ("unlike", "shop.unlike.test", "rsa-2048")):
                csr[label] = f"/etc/dcvd/{label}.csr"
                with open(csr[label], "w", encoding="ascii") as f:
                    f.write(world.make_csr([name], kind)[1])
            configure(world, elliptic={"key": {"type": "ec-p256"}}, held={"key": {"csr": csr["held"]}},
                      unlike={"key": {"csr": csr["unlike"]}})
            spent = len(world.ledger("ReplaceCertificate"))
            for label, message in (
                    ("uploaded", r"R1: p0000001 was uploaded to the account, not issued by it: it cannot be reissued"),
                    ("failed", r"R1: p0000008 is not issued: status 2, "),
                    ("ending", r"R2: (29 d|28 d 23 h) left, a reissue needs more than 30 d; renew instead"),
                    ("used", r"R3: used on (\d{4}-\d\d-\d\d|an unknown date) \(now f0000031\)"),
                    ("elliptic", r"R14: a free certificate is reissued for an rsa-2048 key only, ec-p256 is asked for"),
                    ("held", r"R14: a free certificate is reissued for an rsa-2048 key only, ec-p256 is asked for"),
                    ("unlike", r"R13: the CSR lacks www\.unlike\.test, which p0000042 has"),
                    ("file", r"R16: this free certificate was first validated by FILE; dns cannot be used")):
                with self.subTest(label):
                    self.refused(world, label, message, REFUSED)
            with self.subTest("running"):
                self.refused(world, "running", r"R5: reissue \w{8} is running since .* with the key that is reported "
                             "compromised", REFUSED, "--key-compromised")
                dry = world.dcvctl("reissue", "running", "--dry-run")
                self.assertRegex(dry.stdout, r"would resume the running reissue \w{8} at tencent")
                self.assertIn("spends      nothing more: the order is open", dry.stdout)
                self.assertRegex(dry.stdout, r"R5: reissue \w{8} is running since .*; resuming it")
                self.assertEqual(dry.returncode, 0)
            with self.subTest("sibling"):
                self.refused(world, "sibling", r"R4: waiting for a sibling: shop.sibling.test \(\w{8}, not this host\) "
                             r"is being reissued since .*, asked again at ", WAITING)
            self.assertEqual(len(world.ledger("ReplaceCertificate")), spent)
            with self.subTest("resumed, and opened with another host's key"):
                self.assertEqual(world.dcvctl("reissue", "running", "--yes", "--detach").returncode, 0)
                said = lambda text: re.search(text, probe.read_text(world.dcvd.log))  # noqa: E731
                probe.until(lambda: said(r"R5: reissue \w{8} is running since .*; resuming it"), 20, "the reissue resumed")
                world.control("validation", paused=False)
                probe.until(lambda: said(r"running: job \d+ failed: .*order \w{8} was opened for a key that is not on this host; "
                                         r"where it was opened has the key: dcvctl import running "), 40, "the key missed")
            self.assertEqual(len(world.ledger("ReplaceCertificate")), spent)
            world.assert_invariants(self)

    def refused(self, world, label, message, status, *options):
        dry = world.dcvctl("reissue", label, "--dry-run", *options)
        self.assertRegex(dry.stdout, message)
        self.assertEqual(dry.returncode, status, dry.stdout)
        done = world.dcvctl("reissue", label, "--yes", "--wait", *options)
        self.assertRegex(done.stderr, message)
        self.assertEqual(done.returncode, status, done.stderr)


class Faults(unittest.TestCase):
    def test_faults_of_the_ca_never_cost_a_second_order(self):
        cases = {
            "lost": [{"kind": "lost-after", "action": "ReplaceCertificate"}],
            "internal": [{"kind": "internal-error-after", "action": "ReplaceCertificate"}],
            "cut": [{"kind": "cut-json", "action": "ReplaceCertificate"}],
            "reading": [{"kind": "cut-json", "action": "DescribeCertificateDetail"}],
            "throttled": [{"kind": "error", "code": "RequestLimitExceeded", "message": "slower", "count": 2}],
            "skewed": []}
        certificates = [paid(at, label) for at, label in enumerate(cases)]
        with World(certificates, zones=zones(*cases), secondary=False) as world:
            configure(world)
            for one, (label, faults) in zip(certificates, cases.items()):
                with self.subTest(label):
                    if label == "skewed":
                        world.control("clock", skew_s=900)
                    for fault in faults:
                        world.control("fault", **fault)
                    done = world.dcvctl("reissue", label, "--yes", "--wait")
                    self.assertEqual(done.returncode, 0, done.stderr)
                    accepted = [c for c in world.ledger("ReplaceCertificate") if
                                c["parameters"]["CertificateId"] == one["id"]]
                    signed = [c for c in accepted if not c["outcome"].startswith("AuthFailure")]
                    self.assertEqual(len(signed), 1, json.dumps(accepted, indent=1))
                    if label in ("lost", "internal", "cut"):
                        self.assertRegex(done.stderr, r"unknown outcome: asked tencent, found \w{8}, adopted it; "
                                         "nothing sent twice")
            world.control("clock", skew_s=0)
            world.assert_invariants(self)

    def test_a_dry_run_spends_nothing(self):
        with World([free(1, "one")], zones=zones("one"), secondary=False) as world:
            configure(world)
            before = world.served("www.one.test").der
            asked = world.dcvctl("reissue", "one", "--dry-run")
            self.assertEqual(asked.returncode, 0, asked.stderr)
            self.assertIn("the only reissue of this certificate", asked.stdout)
            self.assertTrue(re.search(r"same end date as before: \d{4}-\d\d-\d\d", asked.stdout), asked.stdout)
            self.assertEqual([c["action"] for c in world.ledger() if not c["action"].startswith("Describe")], [])
            self.assertEqual(world.served("www.one.test").der, before)


if __name__ == "__main__":
    unittest.main()
