"""A CA whose answers are lost, swollen, cut or late: a job is delayed, nothing is ordered twice."""

import unittest

from test_hostile_ca import sent
from test_refusals import configure, paid, zones
from world import World


class LossyCa(unittest.TestCase):
    def test_lost_and_swollen_answers_only_delay(self):
        faults = {"swollen": ("huge", "DescribeCertificateDetail"), "replaced": ("huge", "ReplaceCertificate"),
                  "list": ("lost-after", "DescribeCertificates"), "detail": ("lost-after", "DescribeCertificateDetail"),
                  "told": ("lost-after", "CompleteCertificate"), "down": ("http-status-before", "*"),
                  "odd": ("legacy", "DescribeCertificate"), "cut": ("cut-json", "CompleteCertificate")}
        labels = [*faults, "lagging"]
        with World([paid(at, label) for at, label in enumerate(labels)], zones=zones(*labels), secondary=False) as world:
            configure(world)
            for at, (label, (kind, action)) in enumerate(faults.items()):
                with self.subTest(label):
                    world.control("fault", kind=kind, action=action, status=503, count=2)
                    done = world.dcvctl("reissue", label, "--key-compromised", "--yes", "--wait")
                    world.control("clear-faults")
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertEqual(sent(world, at), 1)
            with self.subTest("lagging"):
                world.control("lag", seconds=3)
                done = world.dcvctl("reissue", "lagging", "--key-compromised", "--yes", "--wait")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(sent(world, len(faults)), 1)
            world.control("lag", seconds=0)
            world.assert_invariants(self)


if __name__ == "__main__":
    unittest.main()
