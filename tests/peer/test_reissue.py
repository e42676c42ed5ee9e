"""The main job: a compromised certificate is replaced, end to end, on real servers."""

import unittest

import probe
from servers import PRIMARY
from world import World


class Reissue(unittest.TestCase):
    def test_a_compromised_free_certificate_is_replaced(self):
        with World() as world:
            world.start_nginx()
            before = world.served("www.example.test")
            config = world.default_config()
            directory = config["certificates"]["www"]["deploy"][0]["directory"]
            world.write_config(config)
            world.start_dcvd()
            taken = world.dcvctl("import", "www", "--cert", f"{directory}/fullchain.pem", "--key", f"{directory}/privkey.pem")
            self.assertEqual((taken.returncode, taken.stderr), (0, ""))
            world.dns.relay.hold()
            self.addCleanup(world.dns.relay.release)
            asked = world.dcvctl("reissue", "www", "--key-compromised", "--dry-run")
            self.assertEqual(asked.returncode, 0, asked.stderr)
            self.assertIn("the only reissue of this certificate", asked.stdout)
            self.assertEqual(world.ledger("ReplaceCertificate"), [])
            world.dns.relay.release()
            done = world.dcvctl("reissue", "www", "--key-compromised", "--yes", "--wait")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("same end date as before", done.stderr)
            after = world.served("www.example.test")
            self.assertNotEqual(before.der, after.der)
            self.assertEqual(len(world.ledger("ReplaceCertificate")), 1)
            self.assertEqual(probe.dns_values(PRIMARY, "_dnsauth.www.example.test", "TXT"), [])
            again = world.dcvctl("reissue", "www", "--yes", "--wait")
            self.assertEqual(again.returncode, 5, again.stderr)
            self.assertRegex(again.stderr, r"R3: used on \d{4}-\d\d-\d\d \(now ")
            status, facts = world.dcvctl_json("status", "www")
            self.assertEqual(status, 0)
            self.assertEqual(facts["certificates"][0]["live"]["set"], 2)
            world.assert_invariants(self)


if __name__ == "__main__":
    unittest.main()
