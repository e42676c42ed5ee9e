"""--dry-run of every acting command: it says what would happen, ends as the real run would, and changes nothing."""

import hashlib
import os
import re
import signal
import unittest

import probe
from servers import PRIMARY
from world import FREE, STATE, World


def state(world):
    """Everything that a command could have changed: files of the state directory, links of the target, calls that write."""
    found = {}
    for place, folders, names in os.walk(STATE):
        for path in (os.path.join(place, name) for name in [*folders, *names] if not name.startswith("dcvd.db")):
            if os.path.islink(path):
                found[path] = os.readlink(path)
            elif os.path.isfile(path):
                found[path] = hashlib.sha256(probe.read_text(path).encode()).hexdigest()
    return found, [line["action"] for line in world.ledger() if line["action"].startswith(("Replace", "Cancel"))]


class DryRun(unittest.TestCase):
    def run_it(self, world, want, *arguments):
        done = world.dcvctl(*arguments)
        self.assertEqual(done.returncode, want, f"{arguments}: {done.stdout} {done.stderr}")
        return done.stdout + done.stderr

    def dry(self, world, want, *arguments):
        before = state(world)
        said = self.run_it(world, want, *arguments, "--dry-run")
        self.assertEqual(state(world), before, f"{arguments} --dry-run: {said}")
        return said

    def test_a_dry_run_changes_nothing(self):
        with World() as world:
            config = world.default_config()
            config["certificates"]["www"]["rehearse"] = "never"
            world.write_config(config)
            folder = config["certificates"]["www"]["deploy"][0]["directory"]
            cert, key = f"{folder}/fullchain.pem", f"{folder}/privkey.pem"
            world.start_dcvd()
            dry = lambda want, *arguments: self.dry(world, want, *arguments)  # noqa: E731
            do = lambda want, *arguments: self.run_it(world, want, *arguments)  # noqa: E731
            self.assertIn("/nowhere.yaml: No such file", do(2, "--config", "/nowhere.yaml", "status"))
            self.assertIn("would be taken over, valid until 20", dry(0, "import", "www", "--cert", cert, "--key", key))
            self.assertEqual(world.dcvctl_json("sets", "www")[1]["sets"], [])
            self.assertIn("taken over as set 1", do(0, "import", "www", "--cert", cert, "--key", key))
            self.assertIn("is live already", dry(0, "import", "www", "--cert", cert, "--key", key))
            self.assertIn("would deploy set 1", dry(0, "deploy", "www"))
            self.assertIn("has no set 9", dry(2, "deploy", "www", "--set", "9"))
            self.assertIn("would ask tencent to reissue a1B2c3D4", dry(0, "reissue", "www"))
            live = world.dcvctl_json("sets", "www")[1]["sets"][0]
            pairs = ":".join(re.findall("..", "00" + live["serial"].upper()))
            with open("/tmp/serials", "w", encoding="ascii") as f:
                f.write(f"deadbeef\n{pairs}\n\n")
            for chosen in (("--serial", live["serial"]), ("--serial", pairs), ("--serial", "@/tmp/serials"), ("--all",),
                           ("--spki", live["spki"].upper()), ("--spki", ":".join(re.findall("..", live["spki"]))), ("--issuer", "double rsa"), ("www", "www")):
                self.assertIn("would ask tencent to reissue a1B2c3D4", dry(0, "reissue", *chosen), chosen)
            for chosen in (("--serial", "deadbeef"), ("--spki", "00" * 32), ("--issuer", "nobody")):
                self.assertIn("no certificate fits", dry(2, "reissue", *chosen), chosen)
            for wrong in ((), ("www", "--all"), ("--all", "--spki", "00"), ("--serial", "xyz"), ("--serial", "@/nowhere"), ("--spki", "x")):
                dry(2, "reissue", *wrong)
            self.assertIn("no job is running", dry(0, "cancel", "www"))
            self.assertIn("no token of www is wanted now", dry(0, "publish", "www"))
            world.dns.relay.hold()
            do(0, "reissue", "www", "--yes", "--detach")
            probe.until(lambda: "still at serial" in world.dcvctl("status", "www").stdout, what="tokens that spread")
            self.assertRegex(dry(0, "cancel", "www"), r"would cancel job 1, its order and its tokens; order \w+ at tencent is open")
            self.assertIn("those of a running job stay", dry(0, "withdraw", "www"))
            self.taken_away_and_published_again(world)
            self.assertIn("job 1 of www is running", dry(5, "deploy", "www"))
            self.assertIn("job 1 of www is running", dry(5, "import", "www", "--cert", cert, "--key", key))

    def test_a_certificate_that_has_ended_is_told_as_such(self):
        with World([{**FREE, "not_before": "-90d", "not_after": "-2d"}], services=("double", "nginx")) as world:
            config = world.default_config()
            world.write_config(config)
            folder = config["certificates"]["www"]["deploy"][0]["directory"]
            arguments = ("import", "www", "--cert", f"{folder}/fullchain.pem", "--key", f"{folder}/privkey.pem")
            world.start_dcvd()
            ended = r"warning: it ended on \d{4}-\d\d-\d\d, every client refuses it"
            self.assertRegex(self.dry(world, 0, *arguments), rf"www: would be taken over, {ended}\n")
            self.assertRegex(self.run_it(world, 0, *arguments), rf"www: taken over as set 1, {ended}\n")

    def taken_away_and_published_again(self, world):
        owner, at = "_dnsauth.example.test", (PRIMARY, "_dnsauth.example.test", "TXT")
        value, = probe.dns_values(*at)
        self.assertRegex(self.dry(world, 0, "publish", "www"), rf'2 tokens would be published again\n(.*\n)*.*TXT {owner} "{value}" by zone: before, published')
        world.dns.update("example.test", f"delete {owner}. TXT")
        self.assertEqual(probe.dns_values(*at), [])
        self.assertIn("2 tokens are being published again; dcvctl status --records shows whether they are", self.run_it(world, 0, "publish", "www"))
        probe.until(lambda: probe.dns_values(*at) == [value], what="the record again")

    def test_a_retired_certificate_is_forgotten_when_told(self):
        with World(services=("double", "nginx")) as world:
            config = world.default_config()
            world.write_config(config)
            folder = config["certificates"]["www"]["deploy"][0]["directory"]
            world.start_dcvd()
            do = lambda want, *arguments: self.run_it(world, want, *arguments)  # noqa: E731
            do(0, "import", "www", "--cert", f"{folder}/fullchain.pem", "--key", f"{folder}/privkey.pem")
            self.assertIn("still in the configuration", self.dry(world, 2, "forget", "www"))
            config["certificates"] = {}
            world.write_config(config)
            world.dcvd.signal(signal.SIGHUP)
            probe.until(lambda: "no longer in the configuration" in world.dcvctl("status").stdout, what="the reload")
            self.assertIn("no longer in the configuration", do(2, "reissue", "www", "--yes"))
            self.assertIn("would be forgotten\n", self.dry(world, 0, "forget", "www"))
            self.assertIn("would be forgotten, its sets and keys removed", self.dry(world, 0, "forget", "www", "--purge"))
            self.assertIn("say --yes to do it", do(5, "forget", "www", "--purge"))
            self.assertIn("www: forgotten; its sets stay on disk, --purge removes them", do(0, "forget", "www"))
            self.assertIn("there is no certificate www", do(2, "forget", "www"))
            self.assertTrue(os.path.exists(f"{STATE}/sets/www"))
            self.assertIn("would be forgotten, its sets and keys removed", self.dry(world, 0, "forget", "www", "--purge"))
            self.assertIn("www: forgotten, its sets removed", do(0, "forget", "www", "--purge", "--yes"))
            self.assertFalse(os.path.exists(f"{STATE}/sets/www"))
            self.assertIn("there is no certificate www", do(2, "forget", "www", "--purge", "--yes"))
            self.assertIn("purged", do(0, "history", "www"))

    def test_what_is_wrong_with_an_import_is_named_by_its_file(self):
        with World(services=("double", "nginx")) as world:
            config = world.default_config()
            world.write_config(config)
            folder = config["certificates"]["www"]["deploy"][0]["directory"]
            cert, key = f"{folder}/fullchain.pem", f"{folder}/privkey.pem"
            world.start_dcvd()
            other, csr = world.make_csr(["www.example.test"])
            with open("/tmp/other.csr", "w", encoding="ascii") as f:
                f.write(csr)
            probe.openssl("pkcs8", "-topk8", "-in", key, "-out", "/tmp/locked.key", "-passout", "pass:right horse")
            for name, text in (("right", "right horse\n"), ("wrong", "left horse\n")):
                with open(f"/tmp/{name}", "w", encoding="ascii") as f:
                    f.write(text)
            for arguments, said in ((("--cert", "/etc/hosts", "--key", key), "/etc/hosts: there is no certificate"),
                                    (("--cert", cert, "--key", "/etc/hosts"), "/etc/hosts: not a private key"),
                                    (("--cert", cert, "--key", other), f"{cert}: none of the 2 certificates belongs"),
                                    (("--cert", cert, "--key", "/nowhere"), "/nowhere: No such file"),
                                    (("--cert", cert, "--key", key, "--csr", "/tmp/other.csr"), "for another key"),
                                    (("--cert", cert, "--csr", "/tmp/other.csr"), "held elsewhere"),
                                    (("--cert", cert, "--key", "/tmp/locked.key"), "give --passphrase-file"),
                                    (("--cert", cert, "--key", "/tmp/locked.key", "--passphrase-file", "/tmp/wrong"),
                                     "/tmp/locked.key: the passphrase does not open")):
                for dry in ((), ("--dry-run",)):
                    self.assertIn(said, self.run_it(world, 2, "import", "www", *arguments, *dry))
            self.assertEqual([name for name in os.listdir(f"{STATE}/keys") if name.endswith(".pem")], [],
                             "a key that was refused was kept")
            self.assertIn("taken over as set 1", self.run_it(world, 0, "import", "www", "--cert", cert, "--key", "/tmp/locked.key",
                                                             "--passphrase-file", "/tmp/right"))


if __name__ == "__main__":
    unittest.main()
