"""dcvctl verify: what it saw is what status shows; nothing compared is nothing good; no right is needed to look."""

import unittest

import namespace
from servers import WEB
from test_deploy import quick
from world import FREE, World

STRANGER = 61050


class Verify(unittest.TestCase):
    def run_it(self, world, want, *arguments, **how):
        done = world.dcvctl(*arguments, **how)
        self.assertEqual(done.returncode, want, f"{arguments}: {done.stdout} {done.stderr}")
        return done.stdout

    def take_over(self, world, **service):
        config = world.default_config()
        quick(config)["services"][0].update(service)
        world.write_config(config)
        world.start_dcvd()
        self.assertEqual(self.run_it(world, 1, "verify"), "www: not adopted: nothing to compare with\n")
        self.run_it(world, 0, "import", "www", "--cert", world.original(FREE["id"], "fullchain.pem"), "--key", world.original(FREE["id"], "privkey.pem"))
        self.run_it(world, 0, "deploy", "www", "--wait")

    def served(self, world, want):
        return [line for line in self.run_it(world, want, "status", "www", "--check").splitlines() if line.startswith("  SERVED")]

    def test_what_is_seen_is_kept(self):
        with World() as world:
            self.take_over(world)
            self.assertIn("the live certificate", self.served(world, 0)[0])
            world.nginx.stop()
            self.assertRegex(self.run_it(world, 1, "verify"), rf"www: {WEB}:443 as www.example.test: UNREACHABLE \(.*refused\)\n")
            self.assertEqual({e["verdict"] for e in world.dcvctl_json("verify")[1]["certificates"][0]["endpoints"]}, {"unreachable"})
            for _ in range(2):  # also after a restart
                self.assertRegex(self.served(world, 1)[0], "refused")
                world.dcvd.stop()
                world.start_dcvd()
            world.start_nginx()
            self.assertIn("serves the live certificate", self.run_it(world, 0, "verify"))
            self.assertIn("the live certificate", self.served(world, 0)[0])

    def test_who_was_found_before_is_missed(self):
        with World() as world:
            self.take_over(world, verify="auto")
            self.assertIn("serves the live certificate", self.run_it(world, 0, "verify"))
            world.nginx.stop()
            self.assertIn("UNREACHABLE", self.run_it(world, 1, "verify"))

    @unittest.skipUnless(namespace.has_many_users(), "needs other users")
    def test_a_stranger_may_look_but_has_nothing_to_compare_with(self):
        with World() as world:
            self.take_over(world)
            stranger = {"as_ids": (STRANGER, STRANGER)}
            for _ in range(2):  # with the daemon and without
                self.assertEqual(self.run_it(world, 1, "verify", **stranger),
                                 "www: nothing to compare with: this user may not read /var/lib/dcvd; sudo dcvctl verify\n")
                world.dcvd.stop()
            self.assertIn("serves the live certificate", self.run_it(world, 0, "verify"))


if __name__ == "__main__":
    unittest.main()
