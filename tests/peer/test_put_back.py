"""When the way back fails as well, or is needed for one of two servers."""

import os
import unittest

import probe
from servers import HAPROXY, write
from test_deploy import quick
from world import FREE, World

# Fails at the calls named in /run/bad, sleeps at the call in /run/slow. 1: before the order, 2: before anything is changed, 3: after the switch,
# 4: on the way back.
TEST = """#!/bin/sh
n=$(($(cat /run/calls) + 1))
echo $n >/run/calls
[ $n != "$(cat /run/slow)" ] || { : >/run/reached; exec sleep 60; }
! grep -qx $n /run/bad || { echo "call $n is bad"; exit 1; }
"""
# A put-back cannot find what it goes back to: somebody cleans up at the wrong moment.
CLEANER = "#!/bin/sh\n[ _$(readlink {0}/.dcvd/live) != _2 ] || {{ rm -rf {0}/.dcvd/0 {0}/.dcvd/1; echo cleaned; exit 1; }}\n"


class PutBackCase(unittest.TestCase):
    def take_over(self, world, config):
        directory = config["certificates"]["www"]["deploy"][0]["directory"]
        world.write_config(config)
        world.start_dcvd()
        self.good(world.dcvctl("import", "www", "--cert", world.original(FREE["id"], "fullchain.pem"), "--key", world.original(FREE["id"], "privkey.pem")))
        return directory

    def good(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def bad(self, done):
        self.assertEqual(done.returncode, 1, done.stderr)
        return done.stderr

    def scripted(self, target, bad=(), slow=""):
        write("/usr/local/bin/test-it", TEST, 0o755)
        write("/run/calls", "0\n", 0o666)
        write("/run/bad", "".join(f"{n}\n" for n in bad), 0o644)
        write("/run/slow", f"{slow}\n")
        target["services"][0]["test"] = ["/usr/local/bin/test-it"]

    def live_is(self, world, number):
        self.assertIn(f"   {number} *", world.dcvctl("sets", "www").stdout)


class PutBack(PutBackCase):
    def test_a_way_back_that_fails_says_so_and_leaves_the_old_files(self):
        with World() as world:
            config = world.default_config()
            self.scripted(quick(config), bad=(3, 4))
            directory = self.take_over(world, config)
            before = world.served().der
            said = self.bad(world.dcvctl("reissue", "www", "--yes", "--wait"))
            self.assertIn("call 3 is bad", said)
            self.assertIn("putting back failed: nginx: /usr/local/bin/test-it failed: call 4 is bad", said)
            self.assertEqual(os.readlink(f"{directory}/.dcvd/live"), "0")
            self.assertEqual(world.served().der, before)
            self.live_is(world, 1)
            self.told_afterwards(world)
            self.good(world.dcvctl("deploy", "www", "--set", "2", "--yes", "--wait"))
            self.live_is(world, 2)
            self.assertNotIn("  FAILED ", self.good(world.dcvctl("status", "www", "--check")).stdout)
            world.assert_invariants(self)

    def told_afterwards(self, world):
        """By somebody who did not follow it, and after a restart."""
        fix = "look at that server now: .*; when it is mended: dcvctl deploy www --set 2 \\(no new order\\)"
        for _ in range(2):
            said = self.good(world.dcvctl("status", "www")).stdout
            self.assertRegex(said, rf"  FAILED    20.*: .*call 3 is bad.*putting back failed.*\n            {fix}\n")
            world.dcvd.stop()
            world.start_dcvd()
        self.assertEqual(world.dcvctl("status", "--check").returncode, 1)
        self.assertRegex(world.dcvctl("history", "www").stdout, f"deployed -> failed: .*; fix: {fix}\n")
        self.assertEqual(world.dcvctl_json("status", "www")[1]["certificates"][0]["last_job"]["state"], "failed")

    def test_a_generation_that_vanished_cannot_be_put_back(self):
        with World() as world:
            config = world.default_config()
            target = quick(config)
            write("/usr/local/bin/cleaner", CLEANER.format(target["directory"]), 0o755)
            target["services"][0]["test"] = ["/usr/local/bin/cleaner"]
            directory = self.take_over(world, config)
            said = self.bad(world.dcvctl("reissue", "www", "--yes", "--wait"))
            self.assertIn("putting back failed", said)
            self.assertIn(directory, said)
            os.unlink("/usr/local/bin/cleaner")
            write("/usr/local/bin/cleaner", "#!/bin/sh\n", 0o755)
            self.good(world.dcvctl("deploy", "www", "--set", "2", "--yes", "--wait"))
            self.live_is(world, 2)
            world.assert_invariants(self)

    def test_two_servers_and_one_stays_behind(self):
        """nginx reloads; haproxy says so and does not: both go back, neither is left with the new one."""
        with World() as world:
            config = world.default_config()
            target = quick(config)
            world.start_haproxy(FREE["id"])
            bundle = f"/etc/haproxy/certs/{FREE['id']}.pem"
            target.update({"files": {"fullchain.pem": "fullchain", "privkey.pem": "key", "all.pem": "combined"}, "links": {bundle: "all.pem"}})
            target["services"].append({"name": "haproxy", "test": [], "reload": ["/bin/true"], "verify": [f"{HAPROXY}:443"]})
            self.take_over(world, config)
            before = world.served().der
            said = self.bad(world.dcvctl("reissue", "www", "--yes", "--wait"))
            self.assertRegex(said, rf"reload said 0 but {HAPROXY}:443 .* serves the old one.*put back")
            probe.until(lambda: world.served().der == before, 10, "nginx back on the old one")
            self.live_is(world, 1)
            self.assertEqual(probe.spki_of_certificate(probe.read_text(bundle)), probe.spki_of_key(probe.read_text(bundle)))
            self.assertEqual(probe.spki_of_certificate(probe.read_text(bundle)), world.served().spki)
            world.assert_invariants(self)

    def test_what_a_reload_needs_is_missed_before_the_order(self):
        for label, change, said in (
                ("program", {"services": {"reload": ["/usr/sbin/nosuch"]}}, "the reload command of service nginx is not on this host, or not executable: /usr/sbin/nosuch"),
                ("pidfile", {"services": {"signal": {"name": "HUP", "pidfile": "/run/nosuch.pid"}}}, "the pidfile of service nginx is not there: /run/nosuch.pid"),
                ("owner", {"owner": "badowner"}, "there is no user badowner")):
            with self.subTest(label), World() as world:
                config = world.default_config()
                target = quick(config)
                if "services" in change:
                    del target["services"][0]["reload"]
                target["services"][0].update(change.pop("services", {}))
                target.update(change)
                self.take_over(world, config)
                before = world.served().der
                for more in ("--dry-run", "--wait"):
                    done = world.dcvctl("reissue", "www", "--yes", more)
                    self.assertEqual(done.returncode, 5, done.stderr)
                    self.assertIn(said, done.stdout + done.stderr)
                self.assertRegex(done.stderr, "(correct the path|start the service|correct owner of that target).*, then dcvctl reissue www: nothing was spent")
                self.assertEqual(world.ledger("ReplaceCertificate"), [])
                self.assertEqual(world.served().der, before)

    def test_a_reload_that_never_ran_is_put_back_whole(self):
        """Nobody looks at that server, so it need not run before the order: it has no pidfile when it is its turn."""
        with World() as world:
            config = world.default_config()
            target = quick(config)
            target["services"].append({"name": "app", "signal": {"name": "HUP", "pidfile": "/run/app.pid"}, "verify": []})
            directory = self.take_over(world, config)
            before = world.served().der
            said = self.bad(world.dcvctl("reissue", "www", "--yes", "--wait"))
            self.assertIn("the pidfile of service app cannot be read: /run/app.pid", said)
            self.assertIn("old set kept, new set kept as 2; mend it, then dcvctl deploy www --set 2 (no new order)", said)
            self.assertNotIn("putting back failed", said)
            self.assertNotIn("neither old nor new", said)
            self.assertEqual(os.readlink(f"{directory}/.dcvd/live"), "0")
            probe.until(lambda: world.served().der == before, 10, "nginx back on the old one")
            self.live_is(world, 1)
            world.child("app", ["/bin/sh", "-c", "trap : HUP; echo $$ >/run/app.pid; while :; do sleep 0.1; done"], lambda: os.path.exists("/run/app.pid"))
            self.good(world.dcvctl("deploy", "www", "--set", "2", "--yes", "--wait"))
            self.live_is(world, 2)
            world.assert_invariants(self)


if __name__ == "__main__":
    unittest.main()
