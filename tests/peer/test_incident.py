"""The night a key leaks, on Pebble and nginx: three certificates with one key are replaced and served, the old one is
revoked when nobody shows it any more, and a daemon that dies at any point of it goes on."""

import os
import shutil
import subprocess
import unittest

import probe
from acme_world import NAMES, AcmeCase
from world import STATE

SHARED = ("www", "two", "six")
OLD = "127.0.0.1:8443"  # another server of ours, not reloaded by dcvd
POINTS = ("incident.start:2", "incident.committed:4")  # every passage: tests/unit/job/test_incident_death.c
CRASH_POINTS = "DCVD_CRASH_POINTS" in probe.read_text(f"{os.environ['DCVD_BUILD']}/../build.ninja")


class Incident(AcmeCase):
    def begin(self):
        """A world in which `two` and `six` have the key of `www`, which nginx serves; dcvd runs."""
        world = self.world()
        pebble = self.pebble(world, reuse=100)
        sections = {"www": self.certificate("www", NAMES, publisher="zone", elsewhere=[OLD]),
                    "two": self.certificate("two", ["wild.example.test"], publisher="zone"),
                    "six": self.certificate("six", ["x.wild.example.test"], publisher="zone")}
        for name in SHARED[1:]:
            sections[name]["deploy"] = []
        config = self.configure(world, pebble, sections, start=False)
        world.write_config({**config, "admin": {"listen": "127.0.0.1:9853"}})
        world.start_dcvd()
        self.issue(world)
        return world, pebble

    def share(self, world):
        """The live set of www becomes that of the others: one key, three certificates. Its hash."""
        world.dcvd.stop()
        live = os.path.realpath(f"{STATE}/live/www")
        for name in SHARED[1:]:
            folder = f"{STATE}/sets/{name}"
            os.makedirs(folder, exist_ok=True)
            number = max([0, *(int(n) for n in os.listdir(folder))]) + 1
            shutil.copytree(live, f"{folder}/{number}")
            if os.path.lexists(f"{STATE}/live/{name}"):
                os.unlink(f"{STATE}/live/{name}")
            os.symlink(f"../sets/{name}/{number}", f"{STATE}/live/{name}")
        subprocess.run(["chown", "-R", "--reference", STATE, "--no-dereference", f"{STATE}/sets", f"{STATE}/live"],
                       check=True)
        return probe.spki_of_certificate(probe.read_text(f"{live}/fullchain.pem")), live

    def live_keys(self):
        return [probe.spki_of_certificate(probe.read_text(f"{STATE}/live/{name}/fullchain.pem")) for name in SHARED]

    def incident(self, world, number=1):
        return world.dcvctl_json("incident", str(number))[1]

    def leak(self, world):
        return self.run_well(world, "reissue", "www", "--key-compromised", "--yes", "--detach", "--reason", "leaked")

    def replaced(self, world, number=1):
        return self.incident(world, number).get("state") in ("revoking", "done")

    def expect_new_keys(self, old):
        keys = self.live_keys()
        self.assertEqual(len(set(keys)), 3)
        self.assertNotIn(old, keys)

    def test_from_the_report_to_the_revocation(self):
        world, pebble = self.begin()
        old, live = self.share(world)
        serial = probe.openssl("x509", "-noout", "-serial", "-in", f"{live}/cert.pem").strip()[7:].lower()
        forgotten = self.serve(world, live)
        world.start_dcvd()
        self.assertIn("no incident", self.run_well(world, "incidents").stdout)
        said = self.leak(world).stderr
        self.assertIn("two has the same key and is reissued too", said)
        probe.until(lambda: self.replaced(world), 40, "all replaced")
        self.expect_new_keys(old)
        self.assertEqual(pebble.issued(), 4)
        self.assertIn("key marked compromised for ever: 3 certificates, 3 replaced", self.run_well(world, "incidents").stdout)
        self.asks_before_it_revokes(world, pebble, serial)
        self.assertIn(b"\ndcvd_incident_remediation_seconds_count 1\n", probe.fetch("127.0.0.1", "127.0.0.1", "/metrics", 9853)[1])
        world.kill_dcvd()
        world.start_dcvd()
        self.assertIn("is marked compromised", self.refuses_the_old_key(world, live))
        self.waits_for_the_forgotten_server(world, forgotten, pebble, serial)
        self.evidence(world, old)
        self.judge(world)

    @staticmethod
    def serve(world, folder):
        """What nobody thinks of: a server that dcvd does not reload."""
        child = world.child("forgotten", ["openssl", "s_server", "-accept", OLD, "-cert", f"{folder}/cert.pem", "-key",
                                          f"{folder}/privkey.pem", "-quiet"])
        probe.until(lambda: probe.tcp_open(*OLD.split(":")), 10, "the forgotten server")
        return child

    def asks_before_it_revokes(self, world, pebble, serial):
        """An operator's word is no proof: the reissue needs none, the revocation does."""
        probe.until(lambda: world.dcvctl("incident", "1").returncode == 4, 20, "the question")
        shown = world.dcvctl("incident", "1")
        self.assertIn("dcvctl confirm 1", shown.stdout)
        self.assertIn("revocations wait for you", shown.stdout)
        self.assertIn("  TO DO     six, two, www: not revoked: that waits for you", shown.stdout)
        self.assertRegex(shown.stdout, r"two job \d+: replaced: the new certificate is deployed, not looked at\n")
        self.assertRegex(shown.stdout, r", all replaced after .*, the old ones to be revoked by 20")
        self.assertLess(len(shown.stdout.splitlines()), 24, "more than one screen")
        self.assertIn('"Valid"', pebble.manage(f"/cert-status-by-serial/{serial}"))
        dry = self.run_well(world, "confirm", "1", "--dry-run")
        self.assertIn("would be revoked, for ever", dry.stdout)
        self.assertEqual(world.dcvctl("confirm", "1").returncode, 5, "asked, and nobody answers")

    def refuses_the_old_key(self, world, live):
        done = world.dcvctl("import", "www", "--cert", f"{live}/fullchain.pem", "--key", f"{live}/privkey.pem")
        self.assertNotEqual(done.returncode, 0)
        return done.stderr

    def waits_for_the_forgotten_server(self, world, forgotten, pebble, serial):
        self.run_well(world, "confirm", "1", "--yes")
        said = f"not revoked: {OLD} still serves the old certificate"
        probe.until(lambda: said in world.dcvctl("incident", "1").stdout, 20, said)
        self.assertIn('"Valid"', pebble.manage(f"/cert-status-by-serial/{serial}"), "revoked by one of the three")
        self.assertIn(b"\ndcvd_incidents_open 1\n", probe.fetch("127.0.0.1", "127.0.0.1", "/metrics", 9853)[1])
        forgotten.stop()
        self.serve(world, os.path.realpath(f"{STATE}/live/www"))
        if CRASH_POINTS:
            self.dies_while_it_revokes(world)
        self.run_well(world, "confirm", "1", "--yes")  # looks again now
        probe.until(lambda: self.incident(world)["state"] == "done" and
                    '"Revoked"' in pebble.manage(f"/cert-status-by-serial/{serial}"), 20, "everything revoked")
        self.assertRegex(pebble.manage(f"/cert-status-by-serial/{serial}"), r'"Reason": ?1\b')

    @staticmethod
    def dies_while_it_revokes(world):
        for point in ("incident.revoke", "incident.revoked"):
            world.kill_dcvd()
            world.start_dcvd(env={"DCVD_CRASH": point})
            asked = world.start_dcvctl("confirm", "1", "--yes")
            probe.until(lambda: not world.dcvd.running(), 30, f"death at {point}")
            asked.kill()
            asked.wait()
        world.start_dcvd()

    def evidence(self, world, old):
        facts = self.incident(world)
        self.assertTrue(facts["evidence"]["intact"])
        self.assertEqual(facts["spki"], old)
        self.assertEqual([c["state"] for c in facts["certificates"]], ["replaced"] * 3)
        self.assertGreaterEqual(facts["remediation_seconds"], 0)
        print(f"remediated in {facts['remediation_seconds']} s")
        page = world.dcvctl("incident", "1", "--evidence").stdout
        for line in ("# Incident 1", "## Certificates", f"| Key (SHA-256 of its SPKI) | {old} |", "Time to remediation",
                     "The audit trail this was made of is whole"):
            self.assertIn(line, page)
        self.assertEqual(world.dcvctl("dismiss", "1", "--because", "too late").returncode, 5)

    @unittest.skipUnless(CRASH_POINTS, "this build has no crash points")
    def test_death_on_the_way(self):
        world, pebble = self.begin()
        for number, point in enumerate(POINTS, 1):
            old, _ = self.share(world)
            issued = pebble.issued()
            world.start_dcvd(env={"DCVD_CRASH": point})
            asked = world.start_dcvctl("reissue", "www", "--key-compromised", "--yes", "--detach")
            probe.until(lambda: not world.dcvd.running(), 30, f"death at {point}")
            asked.wait(20 * probe.BUSY)
            world.start_dcvd()
            if not self.incident(world, number).get("id"):  # it died before anything was written: nobody was told
                self.leak(world)
            with self.subTest(point=point):
                probe.until(lambda: self.replaced(world, number), 40, f"all replaced after {point}")
                self.expect_new_keys(old)
                self.assertEqual(pebble.issued() - issued, 3, point)
        self.judge(world)


del AcmeCase

if __name__ == "__main__":
    unittest.main()
