"""The rehearsal before a reissue that cannot be had twice: a probe is seen everywhere, withdrawn, seen gone; a broken zone costs nothing."""

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
            self.assertLess(done.stderr.index("rehearsal: the probe is gone everywhere"), done.stderr.index("opening the order"))
            world.assert_invariants(self)

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
