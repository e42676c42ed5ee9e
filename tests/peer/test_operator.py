"""dcvctl by hand: what a newcomer types, without a daemon and with one, right and wrong."""

import os
import re
import sqlite3
import stat
import time
import unittest

import namespace
import probe
from world import DCVD_UID, STATE, World


class Operator(unittest.TestCase):
    def run_it(self, world, want, *arguments):
        done = world.dcvctl(*arguments)
        self.assertEqual(done.returncode, want, f"{arguments}: {done.stdout} {done.stderr}")
        return done.stdout + done.stderr

    def write_from_the_account(self, world, config):
        """Asked as user dcvd, written as root; the credentials are root's alone, as the README makes them."""
        tencent = {**config["cas"]["tencent"], "secret_key": {"credential": "tencent-key"}}
        world.write_config({**config, "cas": {"tencent": tencent}, "include": "/etc/dcvd/conf.d/*.yaml"})
        folder, names = "/etc/dcvd/credentials", ("tencent-id", "tencent-key")
        os.chmod(folder, 0o700)
        for name in names:
            os.chown(f"{folder}/{name}", 0, 0)
        listed = world.dcvctl("import", "--from", "tencent", env={"CREDENTIALS_DIRECTORY": ""})
        self.assertIn("a1B2c3D4", listed.stdout, listed.stderr)
        os.chmod(folder, 0o755)
        for name in names:
            world.give_to_dcvd(f"{folder}/{name}")
        path = "/etc/dcvd/conf.d/www-example-test.yaml"
        self.assertIn(f"{path} is written", self.run_it(world, 0, "import", "--from", "tencent", "a1B2c3D4", "--write"))
        made = os.stat(path)
        self.assertEqual((made.st_uid, stat.S_IMODE(made.st_mode)), (0, 0o644))
        self.assertIn("no sets", self.run_it(world, 0, "sets", "www-example-test"))
        self.assertEqual(self.run_it(world, 2, "import", "--from", "tencent", "none0000", "--write").count("holds no certificate"), 1)
        os.unlink(path)

    def test_a_whole_reissue_without_a_daemon(self):
        with World() as world:
            world.start_nginx()
            config = world.default_config()
            config["certificates"]["www"]["rehearse"] = "never"
            if namespace.has_many_users():
                self.write_from_the_account(world, {k: v for k, v in config.items() if k != "certificates"})
            world.write_config(config)
            directory = config["certificates"]["www"]["deploy"][0]["directory"]
            do = lambda want, *arguments: self.run_it(world, want, *arguments)  # noqa: E731
            self.assertRegex(do(0, "import", "--from", "tencent"), r"a1B2c3D4 +www\.example\.test .* until 20")
            self.assertIn("certificate_id: a1B2c3D4", do(0, "import", "--from", "tencent", "a1B2c3D4"))
            self.assertIn("a1B2c3D4 is certificate www of the configuration already",
                          do(2, "import", "--from", "tencent", "a1B2c3D4", "--write"))
            self.assertIn("taken over as set 1", do(0, "import", "www", "--cert", f"{directory}/fullchain.pem", "--key", f"{directory}/privkey.pem"))
            self.assertIn("serves the live certificate", do(0, "verify"))
            self.assertIn("no daemon answers", do(3, "reissue", "www", "--yes"))
            self.assertIn("new certificate served", do(0, "reissue", "www", "--local", "--yes"))
            self.assertEqual(len(world.ledger("ReplaceCertificate")), 1)
            self.assertIn("   2 *", do(0, "sets", "www"))
            do(0, "deploy", "www", "--set", "1")
            self.assertIn("   1 *", do(0, "sets", "www"))
            self.assertEqual(len(world.ledger("ReplaceCertificate")), 1)
            do(0, "rehearse", "www")
            self.assertRegex(do(0, "history", "www"), r" rehearsal 1 token-published ")
            for place, _, files in os.walk(STATE):
                for name in [".", *files]:
                    seen = os.lstat(os.path.join(place, name))
                    self.assertEqual(seen.st_uid, DCVD_UID, f"{place}/{name} is owned by {seen.st_uid}")
                    self.assertEqual(stat.S_IMODE(seen.st_mode) & 0o077, 0, f"{place}/{name}")
            journal = sqlite3.connect(f"{STATE}/dcvd.db")
            journal.execute("UPDATE audit SET data = replace(data, 'queued', 'quoted')")
            journal.commit()
            journal.close()
            status, trail = world.dcvctl_json("history")
            self.assertEqual((status, trail["exit"], trail["intact"]), (1, 1, False))

    def test_without_a_daemon_a_look_starts_nothing_and_waits_for_nothing(self):
        with World() as world:
            config = world.default_config()
            config["certificates"]["www"]["rehearse"] = "never"
            world.write_config(config)
            world.dns.relay.hold()
            left = world.dcvctl("reissue", "www", "--local", "--yes", "--timeout", "15s")
            self.assertEqual(left.returncode, 4, left.stderr)
            self.assertIn("job 1 of www goes on at the next start of dcvd", left.stderr)
            calls, begun = len(world.ledger()), time.monotonic()
            self.assertIn("ordered -> published", self.run_it(world, 0, "history", "www"))
            self.assertIn("no sets", self.run_it(world, 0, "sets", "www"))
            self.assertEqual(len(world.ledger()), calls, "looking at the past asked the CA")
            self.assertIn("a1B2c3D4", self.run_it(world, 0, "import", "--from", "tencent"))
            self.assertLess(time.monotonic() - begun, 45)
            world.dns.relay.release()
            self.assertIn("new certificate served", self.run_it(world, 0, "reissue", "www", "--local", "--yes"))
            self.assertEqual(len(world.ledger("ReplaceCertificate")), 1)

    def test_wrong_words_say_what_is_right(self):
        with World() as world:
            world.start_nginx()
            do = lambda want, *arguments: self.run_it(world, want, *arguments)  # noqa: E731
            self.assertIn("dcvd.yaml:1:1: No such file: there is no configuration; write one", do(2, "verify"))
            world.write_config(world.default_config())
            world.start_dcvd()
            self.assertIn("the configuration has www", do(2, "sets", "nope"))
            self.assertIn("--spki zz: the SHA-256 of a public key, 64 hex digits", do(2, "report", "--spki", "zz"))
            self.assertIn("did you mean status?\n        dcvctl --help\n", do(2, "statu"))
            self.assertIn("--spki zz: the SHA-256 of a public key in hex\n        dcvctl reissue --help\n", do(2, "reissue", "--spki", "zz"))
            self.assertIn("\n        dcvctl import --help\n", do(2, "import", "www"))
            self.assertIn("did you mean www?", do(2, "reissue", "wwv", "--yes"))
            self.assertIn("did you mean --reason?", do(2, "reissue", "www", "--reson", "x"))
            self.assertIn("use dcvctl without --local; another dcvctl --local: let it end\n", do(2, "reissue", "www", "--local", "--yes"))
            self.assertIn("no CA of www has a directory to try orders at", do(2, "reissue", "www", "--staging", "--yes"))
            self.assertIn("only tries", do(2, "reissue", "www", "--staging", "--key-compromised"))
            self.assertIn("has no set 99", do(2, "deploy", "www", "--set", "99"))
            self.assertIn("dcvctl deploy www --set N takes one", do(2, "deploy", "www"))
            self.assertIn("still in the configuration", do(2, "forget", "www"))
            self.assertIn("there is no CA nobody in the configuration\n        cas has tencent", do(2, "account", "show", "nobody"))
            self.assertIn("no job is running", do(0, "cancel", "www"))
            self.assertIn("not adopted: no local copy of the served certificate; run dcvctl import www ", do(0, "status"))
            probe.until(lambda: re.search(r"(?m)^  REISSUE   yes until \d{4}-\d\d-\d\d \(R2\)$", do(0, "status")), 20, "the CA asked")
            do(1, "status", "--check", "--quiet")
            for which in (["www"], ["--all"]):
                self.assertIn("This spends the only reissue of www", do(5, "reissue", *which))
            self.assertEqual(world.ledger("ReplaceCertificate"), [], "spent and nobody was asked")
            self.assertIn("exclude each other", do(2, "reissue", "www", "--all", "--yes"))
            self.assertIn("neither PEM, DER, base64 nor a JWS", do(2, "report", "/etc/hosts"))
            status, facts = world.dcvctl_json("status")
            self.assertEqual((status, facts["schema"]), (0, "dcvd.status/1"))


if __name__ == "__main__":
    unittest.main()
