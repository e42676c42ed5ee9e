"""dcvctl by hand: what a newcomer types, without a daemon and with one, right and wrong."""

import os
import stat
import unittest

from world import DCVD_UID, STATE, World


class Operator(unittest.TestCase):
    def run_it(self, world, want, *arguments):
        done = world.dcvctl(*arguments)
        self.assertEqual(done.returncode, want, f"{arguments}: {done.stdout} {done.stderr}")
        return done.stdout + done.stderr

    def test_a_whole_reissue_without_a_daemon(self):
        with World() as world:
            world.start_nginx()
            config = world.default_config()
            config["certificates"]["www"]["rehearse"] = "never"
            world.write_config(config)
            directory = config["certificates"]["www"]["deploy"][0]["directory"]
            do = lambda want, *arguments: self.run_it(world, want, *arguments)  # noqa: E731
            self.assertRegex(do(0, "import", "--from", "tencent"), r"a1B2c3D4 +www\.example\.test .* until 20")
            self.assertIn("certificate_id: a1B2c3D4", do(0, "import", "--from", "tencent", "a1B2c3D4"))
            self.assertIn("taken over as set 1", do(0, "import", "www", "--cert", f"{directory}/fullchain.pem", "--key", f"{directory}/privkey.pem"))
            self.assertIn("serves the live certificate", do(0, "verify"))
            self.assertIn("no daemon answers", do(3, "reissue", "www", "--yes"))
            self.assertIn("new certificate served", do(0, "reissue", "www", "--local", "--yes"))
            self.assertEqual(len(world.ledger("ReplaceCertificate")), 1)
            self.assertIn("   2 *", do(0, "sets", "www"))
            do(0, "deploy", "www", "--set", "1")
            self.assertIn("   1 *", do(0, "sets", "www"))
            self.assertEqual(len(world.ledger("ReplaceCertificate")), 1)
            for place, _, files in os.walk(STATE):
                for name in [".", *files]:
                    seen = os.lstat(os.path.join(place, name))
                    self.assertEqual(seen.st_uid, DCVD_UID, f"{place}/{name} is owned by {seen.st_uid}")
                    self.assertEqual(stat.S_IMODE(seen.st_mode) & 0o077, 0, f"{place}/{name}")

    def test_wrong_words_say_what_is_right(self):
        with World() as world:
            world.start_nginx()
            world.write_config(world.default_config())
            world.start_dcvd()
            do = lambda want, *arguments: self.run_it(world, want, *arguments)  # noqa: E731
            self.assertIn("did you mean status?", do(2, "statu"))
            self.assertIn("did you mean www?", do(2, "reissue", "wwv", "--yes"))
            self.assertIn("did you mean --reason?", do(2, "reissue", "www", "--reson", "x"))
            self.assertIn("not in this build", do(2, "check"))
            self.assertIn("not in this build", do(2, "reissue", "www", "--staging"))
            self.assertIn("has no set 99", do(2, "deploy", "www", "--set", "99"))
            self.assertIn("still in the configuration", do(2, "forget", "www"))
            self.assertIn("no job is running", do(0, "cancel", "www"))
            self.assertIn("not adopted: no local copy", do(0, "status"))
            do(1, "status", "--check", "--quiet")
            status, facts = world.dcvctl_json("status")
            self.assertEqual((status, facts["schema"]), (0, "dcvd.status/1"))


if __name__ == "__main__":
    unittest.main()
