"""The rehearsal before a reissue that cannot be had twice: a probe is seen everywhere, withdrawn, seen gone; a broken zone costs nothing.
And what a shared resolver hears of it (I7)."""

import re
import subprocess
import unittest

import probe
from servers import PRIMARY, SECONDARY
from world import World


class Rehearsal(unittest.TestCase):
    def test_the_probe_is_gone_before_the_order_is_opened(self):
        with World() as world:
            world.start_nginx()
            world.write_config(world.default_config())
            world.start_dcvd()
            done = world.dcvctl("reissue", "www", "--yes", "--wait")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("rehearsal: seen everywhere", done.stderr)
            self.assertLess(done.stderr.index("rehearsal: the probes are gone everywhere"), done.stderr.index("opening the order"))
            self.assertIn("_dnsauth.www.example.test", world.dns.resolver_cache())  # the token, asked about last
            self.assertNotIn("dcvd-rehearsal", world.dns.resolver_cache())  # never the probe
            world.assert_invariants(self)

    def early(self, world):
        """What the resolver was asked at or below a challenge name, or at a random sibling of one that stood nowhere."""
        return sorted(n for n, _ in world.dns.resolver_asked() if ("_" in n and not n.startswith("_dcvd-")) or re.match(r"[a-z]{16}\.", n))

    def test_a_resolver_hears_of_no_challenge_before_every_server_shows_it(self):
        with World() as world:
            world.start_nginx()
            config = world.default_config()
            config["certificates"]["www"]["rehearse"] = "never"
            world.write_config(config)
            world.start_dcvd()
            world.dcvctl("check", "www")
            world.dcvctl("check", "--name", "www.example.test", "*.example.test", "--internal")
            self.assertIn(("example.test", "soa"), world.dns.resolver_asked())
            self.assertEqual(self.early(world), [], "a whole check")
            self.assertEqual(world.dcvctl("rehearse", "www").returncode, 0)
            self.assertEqual(self.early(world), [], "a whole rehearsal")
            labels = [n for n, kind in world.dns.resolver_asked() if kind == "txt"]  # a probe of its own, once it stood everywhere
            self.assertTrue(labels and all(re.match(r"_dcvd-[0-9a-f]{16}\.", n) for n in labels), labels)

            world.dns.relay.hold()
            job = subprocess.Popen([world.program("dcvctl"), "reissue", "www", "--yes", "--wait"], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **world._dcvctl_how(None))
            said = next((line for line in job.stderr if "still at serial" in line), "")
            self.assertIn(SECONDARY, said)  # it looks again and again, at the servers alone
            self.assertEqual(self.early(world), [], "a job that waits")
            world.dns.relay.release()
            job.communicate(timeout=60 * probe.BUSY)
            self.assertEqual(job.returncode, 0)
            self.assertIn("_dnsauth.www.example.test", self.early(world))

    def test_a_publisher_that_is_refused_spends_nothing(self):
        with World() as world:
            world.start_nginx()
            config = world.default_config()
            world.secret("wrong", "d3JvbmcgYnV0IGxvbmcgZW5vdWdo")
            config["publishers"]["zone"]["tsig"]["secret"] = {"credential": "wrong"}
            world.write_config(config)
            world.start_dcvd()
            done = world.dcvctl("reissue", "www", "--yes", "--wait")
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("BADSIG", done.stderr)
            self.assertEqual(world.ledger("ReplaceCertificate"), [])
            for server in (PRIMARY, SECONDARY):
                self.assertEqual(probe.dns_values(server, "_dnsauth.www.example.test", "TXT"), [])


if __name__ == "__main__":
    unittest.main()
