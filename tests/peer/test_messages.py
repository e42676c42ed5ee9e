"""The words of the interface that no other test hears: who is next, what is blocked, what stands in the way."""

import copy
import os
import signal
import unittest

import probe
from world import CONFIG, World


class Messages(unittest.TestCase):
    def world(self, change=lambda config: None, **more):
        world = World(**more)
        self.addCleanup(world.stop)
        world.start()
        config = world.default_config()
        config["certificates"]["www"]["rehearse"] = "never"
        change(config)
        world.write_config(config)
        world.start_dcvd()
        return world

    def test_the_next_ca_is_named_before_it_is_asked(self):
        def spare(config):
            config["cas"]["spare"] = copy.deepcopy(config["cas"]["tencent"])
            config["certificates"]["www"]["ca"] = ["tencent", "spare"]
        world = self.world(spare)
        self.assertEqual(world.dcvctl("reissue", "www", "--yes", "--wait").returncode, 0)
        self.assertRegex(world.dcvctl("status", "www").stdout, r"(?m)^  REISSUE   used \(R3\): next goes to spare$")
        dry = world.dcvctl("reissue", "www", "--dry-run")
        self.assertEqual(dry.returncode, 5, "both are of one account")
        self.assertRegex(dry.stdout, r"(?m)^www: refused by tencent: R3: used on .*\nwww: refused by spare: R3: used on ")
        going = world.dcvctl_until("going to spare in 10 s.*\n", "reissue", "www", "--yes", "--wait")
        self.assertEqual(going.returncode, 130, going.stderr)
        self.assertRegex(going.stderr, r"tencent refused \(R3: used on \d{4}-\d\d-\d\d \(now \w{8}\)\); going to spare in 10 s; "
                                       r"cancel: dcvctl cancel www\n")
        self.assertRegex(going.stderr, r"(?m)^job 2 goes on; dcvctl status www$")
        stopped = world.dcvctl("cancel", "www", "--yes")
        self.assertEqual((stopped.returncode, stopped.stdout), (0, "cancelled; nothing was spent\n"))
        self.assertEqual(len(world.ledger("ReplaceCertificate", "ok") or world.ledger("ReplaceCertificate")), 1)

    def test_nothing_could_replace_this_today(self):
        world = self.world()
        world.dcvctl("reissue", "www", "--yes", "--wait")
        self.assertRegex(world.dcvctl("status", "www").stdout, r"(?m)^  REISSUE   none: nothing could replace this today \(R3: used")

    def test_a_blocked_port_is_said_with_the_setting_that_helps(self):
        def by_hand(config):
            config["publishers"]["hand"] = {"type": "manual"}
            config["certificates"]["www"]["publisher"] = "hand"
        world = self.world(by_hand, secondary=False)
        world.dcvctl("reissue", "www", "--yes")
        probe.until(lambda: "still at serial" in world.dcvctl("status", "www").stdout, what="the name server asked")
        self.assertIn("please publish: _dnsauth.", probe.read_text(world.dcvd.log))
        for child in world.dns.children:
            if child.name == "knot":
                child.signal(signal.SIGSTOP)
                self.addCleanup(child.signal, signal.SIGCONT)
        blocked = lambda: world.dcvctl("status", "--check")  # noqa: E731
        named = lambda done: done if "port 53 is blocked from here (0 of 1 addresses" in done.stdout else None  # noqa: E731
        shown = probe.until(lambda: named(blocked()), 40, "port 53 named")
        self.assertEqual(shown.returncode, 1)
        self.assertIn("set propagation.view: resolvers", shown.stdout)

    def test_a_broken_web_server_refuses_the_dry_run_too(self):
        world = self.world(services=("double", "nginx"))
        with open("/etc/nginx/nginx.conf", "a", encoding="ascii") as f:
            f.write("this is not configuration;\n")
        dry = world.dcvctl("reissue", "www", "--dry-run")
        self.assertEqual(dry.returncode, 5, dry.stdout)
        self.assertRegex(dry.stdout, r"www: refused: .*nginx -t failed")
        real = world.dcvctl("reissue", "www", "--yes", "--wait")
        self.assertEqual(real.returncode, 5, real.stderr)
        self.assertEqual(world.ledger("ReplaceCertificate"), [])

    def test_what_this_host_refuses_is_not_laid_on_the_ca(self):
        world = self.world(services=("double", "nginx"))
        os.chmod(CONFIG, 0o666)  # dcvd-helper does not act on what anybody may write
        dry = world.dcvctl("reissue", "www", "--dry-run")
        os.chmod(CONFIG, 0o644)
        self.assertEqual(dry.returncode, 1, dry.stdout)
        self.assertRegex(dry.stdout, rf"www: refused on this host: .*{CONFIG}")
        self.assertNotIn("refused by", dry.stdout)


if __name__ == "__main__":
    unittest.main()
