"""The main job: a compromised certificate is replaced, end to end, on real servers."""

import unittest

from world import FREE, World


class Reissue(unittest.TestCase):
    def test_a_compromised_free_certificate_is_replaced(self):
        with World() as world:
            world.start_nginx()
            world.write_config(world.default_config())
            world.start_dcvd()
            print(world.dcvctl("status", "www").stdout)
            done = world.dcvctl("reissue", "www", "--key-compromised", "--yes", "--wait")
            print(done.stdout, done.stderr)
            print(world.dcvctl("history").stdout)
            self.assertEqual(done.returncode, 0, done.stderr)
            world.assert_invariants(self)


if __name__ == "__main__":
    unittest.main()
