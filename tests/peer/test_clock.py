"""A clock that is wrong: by a year, before the epoch's second day, after 2038, sixty times too fast (libfaketime in the
daemon alone). A reissue goes on by the CA's clock, nothing starts by itself, and what is due is not slept for years."""

import glob
import unittest

import probe
from servers import BASE
from test_refusals import configure, paid, zones
from world import STATE, World

CLOCKS = {"back": "-365d", "on": "+200d", "past": "+800d", "epoch": "@1970-01-02 00:00:00", "far": "@2039-01-01 00:00:00",
          "fast": "+0 x60"}


class Clock(unittest.TestCase):
    def test_a_wrong_clock_ends_nothing(self):
        library, = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
        with World([paid(at, label) for at, label in enumerate([*CLOCKS, "zone"])], zones=zones(*CLOCKS, "zone"),
                   secondary=False) as world:
            by_file = {"validation": "file", "publisher": "site"}
            configure(world, **{label: by_file for label in CLOCKS})
            for label, clock in CLOCKS.items():
                with self.subTest(label):
                    self.assertEqual(world.dcvd.stop(), 0)
                    # The wall clock alone: no time limit ends sixty times too early.
                    world.start_dcvd(env={"LD_PRELOAD": library, "FAKETIME": clock, "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
                    done = world.dcvctl("reissue", label, "--key-compromised", "--yes", "--wait")
                    self.assertEqual(done.returncode, 0, done.stderr)
            with self.subTest("TSIG by a clock that is ahead, mended"):
                self.assertEqual(world.dcvd.stop(), 0)
                world.start_dcvd(env={"LD_PRELOAD": library, "FAKETIME": "+300d"})
                world.dcvctl("reissue", "zone", "--key-compromised", "--yes", "--detach")
                probe.until(lambda: "the clocks of this host and of the name server differ by -300 d (BADTIME)" in
                            probe.read_text(world.dcvd.log), 20, "BADTIME")
                self.assertEqual(world.dcvd.stop(), 0)
                world.start_dcvd()
                probe.until(lambda: world.dcvctl_json("status", "zone")[1]["certificates"][0]["job"] is None, 60, "done")
            self.assertEqual(len(world.ledger("ReplaceCertificate", "ok")), len(CLOCKS) + 1)
            world.assert_invariants(self)


if __name__ == "__main__":
    unittest.main()
