"""The daemon's own life: stopped in every state, killed again and again, frozen, reloaded, started twice, asked by a
crowd and by strangers."""

import glob
import os
import random
import re
import shutil
import signal
import subprocess
import time
import unittest

import invariants
import probe
from test_refusals import configure, paid, zones
from servers import BASE
from world import STATE, World

STATES = ("eligible", "rehearsed", "keyed", "ordered", "published", "propagated", "submitted", "issued", "deployed",
          "served")
STRANGER = 61050
FAR_S = 100  # a request that was perhaps sent is looked for during a minute


def sent(world, number):
    return len([c for c in world.ledger("ReplaceCertificate") if c["parameters"]["CertificateId"] == f"p{number:07d}"])


def ended(world, label):
    return world.dcvctl_json("status", label)[1]["certificates"][0]["job"] is None


class Life(unittest.TestCase):
    def world(self, labels):
        return World([paid(at, label) for at, label in enumerate(labels)], zones=zones(*labels), secondary=False)

    def begin(self, world, label):
        asked = world.dcvctl("reissue", label, "--key-compromised", "--yes", "--detach")
        self.assertEqual(asked.returncode, 0, asked.stderr)

    def test_sigterm_in_every_state_ends_well_and_the_job_goes_on(self):
        with self.world(STATES) as world:
            configure(world, rehearsed={"rehearse": "always"})
            for label in STATES:
                with self.subTest(label):
                    self.begin(world, label)
                    moved = re.compile(rf" {label}: job \d+: \w+ -> {label}")
                    probe.until(lambda: moved.search(probe.read_text(world.dcvd.log)), 20, label)
                    begun = time.monotonic()
                    self.assertEqual(world.dcvd.stop(30), 0)
                    self.assertLess(time.monotonic() - begun, 15)  # half of systemd's patience (TimeoutStopSec=)
                    world.start_dcvd()
            for at, label in enumerate(STATES):
                with self.subTest(label):
                    probe.until(lambda: ended(world, label), FAR_S, f"{label} ended")
                    self.assertEqual(sent(world, at), 1)
                    key = probe.spki_of_csr(next(c for c in world.ledger("ReplaceCertificate") if c["parameters"][
                        "CertificateId"] == f"p{at:07d}")["parameters"]["CsrContent"])
                    self.assertEqual(world.served(f"www.{label}.test").spki, key)
            world.assert_invariants(self)

    def test_reloads_crashes_and_a_freeze_lose_and_repeat_nothing(self):
        with self.world(["reloaded", "crashed", "frozen"]) as world:
            configure(world)
            with self.subTest("SIGHUP while the order is being opened"):
                world.control("fault", kind="slow-after", action="ReplaceCertificate", ms=1500)
                self.begin(world, "reloaded")
                probe.until(lambda: sent(world, 0), 20, "the order sent")
                for _ in range(3):
                    world.dcvd.signal(signal.SIGHUP)
                    time.sleep(0.05)
                probe.until(lambda: ended(world, "reloaded"), 40, "ended")
                self.assertEqual(sent(world, 0), 1)
            with self.subTest("twenty crashes"):
                chance = random.Random(20)
                self.begin(world, "crashed")
                for _ in range(20):
                    world.kill_dcvd()
                    world.start_dcvd()
                    time.sleep(chance.uniform(0, 0.08))
                probe.until(lambda: ended(world, "crashed"), FAR_S, "ended")
                self.assertEqual(sent(world, 1), 1)
            with self.subTest("frozen"):
                self.begin(world, "frozen")
                probe.until(lambda: sent(world, 2), 20, "the order sent")
                world.dcvd.signal(signal.SIGSTOP)
                time.sleep(3)
                world.dcvd.signal(signal.SIGCONT)
                probe.until(lambda: ended(world, "frozen"), 40, "ended")
                self.assertEqual(sent(world, 2), 1)
            world.assert_invariants(self)

    def keep_journal(self, world, name):
        """Stops the daemon; its journal as it is now, for later."""
        self.assertEqual(world.dcvd.stop(30), 0)
        os.makedirs(f"{BASE}/{name}", exist_ok=True)
        for one in glob.glob(f"{STATE}/dcvd.db*"):
            shutil.copy2(one, f"{BASE}/{name}")

    def restore_journal(self, world, name=None):
        """An older one takes the place of the one that is there, or none."""
        self.assertEqual(world.dcvd.stop(30), 0)
        for one in glob.glob(f"{STATE}/dcvd.db*"):
            os.unlink(one)
        for one in glob.glob(f"{BASE}/{name}/*") if name else []:
            shutil.copy2(one, STATE)
            world.give_to_dcvd(f"{STATE}/{os.path.basename(one)}")
        world.start_dcvd()

    def key_sent(self, world, number):
        return probe.spki_of_csr(next(c for c in world.ledger("ReplaceCertificate") if c["parameters"][
            "CertificateId"] == f"p{number:07d}")["parameters"]["CsrContent"])

    def test_a_journal_of_yesterday_or_none_at_all_spends_nothing_again(self):
        labels = ["over", "going", "issued", "lost"]
        certificates = [{**paid(at, label), "package_type": "83", "key": "rsa-2048"} for at, label in enumerate(labels)]
        with World(certificates, zones=zones(*labels), secondary=False) as world:
            spent = lambda: [sent(world, at) for at in range(len(labels))]  # noqa: E731
            out = lambda label, times=1: times == len(re.findall(  # noqa: E731
                rf"{label}: job \d+: propagated -> submitted", probe.read_text(world.dcvd.log)))
            configure(world)
            self.keep_journal(world, "knows-nothing")
            world.start_dcvd()
            self.begin(world, "over")
            probe.until(lambda: ended(world, "over"), 40, "ended")
            world.control("validation", paused=True)
            self.begin(world, "going")
            probe.until(lambda: out("going"), 40, "submitted")
            self.keep_journal(world, "knows-the-order")
            world.start_dcvd()
            world.control("validation", paused=False)
            probe.until(lambda: ended(world, "going"), FAR_S, "ended")
            with self.subTest("the job of yesterday finds its order issued"):
                self.restore_journal(world, "knows-the-order")
                probe.until(lambda: ended(world, "going"), FAR_S, "ended again")
                self.assertEqual(spent(), [1, 1, 0, 0])
                self.assertEqual(world.served("www.going.test").spki, self.key_sent(world, 1))
            with self.subTest("a journal from before all of it"):
                self.restore_journal(world, "knows-nothing")
                again = world.dcvctl("reissue", "over", "--yes", "--wait")
                self.assertEqual(again.returncode, 5, again.stderr)
                self.assertRegex(again.stderr, r"R3: used on \d{4}-\d\d-\d\d \(now \w+\)")
                self.assertIn("   1 *", world.dcvctl("sets", "over").stdout)
                self.assertEqual(world.dcvctl("deploy", "over", "--yes", "--wait").returncode, 0)
            with self.subTest("none at all, in the middle of an order"):
                world.control("validation", paused=True)
                for label in labels[2:]:
                    self.begin(world, label)
                probe.until(lambda: out("issued") and out("lost"), 40, "submitted")
                self.restore_journal(world)
                self.assertIn("the journal is empty beside existing sets: rebuilt", probe.read_text(world.dcvd.log))
                self.assertRegex(world.dcvctl("status").stdout, r"(?m)^REBUILT the journal was lost: nothing starts by itself before \d{4}-")
                begun = world.start_dcvctl("reissue", "lost", "--key-compromised", "--yes", "--wait")
                probe.until(lambda: out("lost", 2), 40, "submitted again")
                world.control("validation", paused=False)
                self.assertEqual(begun.wait(60 * probe.BUSY), 0)
                self.assertEqual(world.served("www.lost.test").spki, self.key_sent(world, 3))
            with self.subTest("and issued meanwhile"):
                dry = world.dcvctl("reissue", "issued", "--dry-run")
                self.assertRegex(dry.stdout, r"issued: would take over \w+, which tencent issued for a key of this host")
                taken = world.dcvctl("reissue", "issued", "--key-compromised", "--yes", "--wait")
                self.assertEqual(taken.returncode, 0, taken.stderr)
                self.assertRegex(taken.stderr, r"\w+ was issued for a key of this host and never taken over")
                self.assertEqual(world.served("www.issued.test").spki, self.key_sent(world, 2))
            self.assertEqual(spent(), [1, 1, 1, 1])
            # What only the lost journal knew to be out stays; every other token is gone.
            self.assertEqual([v for v in invariants.violations(world) if "_dnsauth.www.issued.test" not in v], [])

    @staticmethod
    def fed(world):
        """Within 50 ms, which is how often it is fed, and some more."""
        world.notify.settimeout(0.3)
        try:
            return world.notify.recv(4096) == b"WATCHDOG=1"
        except TimeoutError:
            return False

    def test_one_daemon_a_crowd_and_strangers(self):
        with self.world(["www"]) as world:
            configure(world)
            with self.subTest("two daemons"):
                second = subprocess.run([world.program("dcvd")], env={**os.environ, **world.environment()}, text=True,
                                        capture_output=True, timeout=20 * probe.BUSY, check=False)
                self.assertEqual(second.returncode, 75, second.stderr)
                self.assertRegex(second.stderr, rf"{STATE}/lock is held by another process, pid {world.dcvd.pid}")
                self.assertEqual(world.dcvctl("status").returncode, 0)
            with self.subTest("the watchdog is fed while the loop turns"):
                world.dcvd.stop()
                world.start_dcvd(env={"WATCHDOG_USEC": "100000"})
                probe.until(lambda: self.fed(world), 10, "fed")
                probe.until(lambda: self.fed(world), 10, "fed again")
                world.dcvd.signal(signal.SIGSTOP)
                probe.until(lambda: not self.fed(world), 10, "nothing more of a daemon that stands still")
                world.dcvd.signal(signal.SIGCONT)
                probe.until(lambda: self.fed(world), 10, "fed again")
            with self.subTest("a hundred at once"):
                world.control("validation", paused=True)
                commands = [["reissue", "www", "--yes", "--detach"] if n % 5 == 0 else ["status"] for n in range(100)]
                crowd = [subprocess.Popen([world.program("dcvctl"), *command], stdout=subprocess.PIPE, text=True,
                                          env={**os.environ, **world.environment()}) for command in commands]
                said = [(one.communicate(timeout=30 * probe.BUSY)[0], one.returncode) for one in crowd]
                self.assertEqual([s for s in said if s[1] != 0], [])
                world.control("validation", paused=False)
                probe.until(lambda: ended(world, "www"), FAR_S, "ended")
                self.assertEqual(sent(world, 0), 1)
            with self.subTest("a stranger"):
                for command, group in (["status"], "read"), (["reissue", "www", "--yes", "--detach"], "act"):
                    shown = world.dcvctl(*command, as_ids=(STRANGER, STRANGER))
                    self.assertEqual(shown.returncode, 2, shown.stderr)
                    self.assertRegex(shown.stderr, rf'this user may not ask the daemon for "{command[0]}" \(uid {STRANGER} pid \d+\)')
                    self.assertRegex(shown.stderr, rf"join one of the groups of control.{group} in the configuration")
                self.assertEqual(sent(world, 0), 1)
            world.assert_invariants(self)


if __name__ == "__main__":
    unittest.main()
