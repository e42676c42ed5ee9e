"""Death during a rehearsal, at every passage of a token or a state until the order is sent; while a file stands in the
web root; and while a record stands where an alias led that is gone afterwards. Nothing was spent at the CA by a
rehearsal, no probe, file or record is left, the job goes on."""

import os
import signal
import time
import unittest

import probe
from death import END_LIMIT_S, Passage, adopt, judge_world
from servers import PRIMARY
from world import FREE, HOSTS, World

AT_ONCE = 16
FILE_POINTS = ("token.recorded", "token.out", "token.published", "token.back", "token.withdrawn")
ALIAS_POINTS = ("token.placed", "token.out", "token.published")


class Rehearsal(Passage):
    def configuration(self, first):
        return {**super().configuration(first), "rehearse": "always"}

    def order(self):
        """Not urgent: a leaked key does not wait until its probe is gone."""
        return "reissue", self.cert, "--yes", "--wait"

    def sent(self):
        return [c for c in self.world.ledger("ReplaceCertificate") if c["parameters"]["CertificateId"] == self.id]

    def judge(self, case):
        super().judge(case)
        records = [r for r in self.world.dns.zone_records(self.name) if r[1] == "TXT"]
        case.assertEqual(records, [])


class File(Passage):
    def scenario(self):
        return {**super().scenario(), "method": "FILE", "first_method": "FILE"}

    def configuration(self, first):
        return {**super().configuration(first), "validation": "file", "publisher": "site"}


class Aliased(Passage):
    def alias(self, word):
        self.world.dns.update(self.name, f"{word} _dnsauth.{self.name}. 60 CNAME {self.end()}.")

    def end(self):
        return f"{self.cert}.tokens.example.test"

    def judge(self, case):
        super().judge(case)
        case.assertEqual(probe.dns_values(PRIMARY, self.end(), "TXT"), [])


class DeathOfProbes(unittest.TestCase):
    def passages(self, kind, numbers):
        zones = {"example.test": HOSTS, **{f"c{n}.test": HOSTS for n in numbers}}
        world = World([FREE, *(kind(None, n).scenario() for n in numbers)], zones=zones, secondary=False)
        return world, [kind(world, n) for n in numbers]

    def end(self, passages):
        limit, left = time.monotonic() + END_LIMIT_S * probe.BUSY, list(passages)
        while left and time.monotonic() < limit:
            left = [one for one in left if not self.judged(one)]
            time.sleep(0.05)
        self.assertEqual([(one.number, one.point) for one in left], [], "jobs that did not end")

    def judged(self, one):
        if not one.ended():
            return False
        with self.subTest(number=one.number, point=one.point):
            one.judge(self)
        return True

    def test_death_in_a_rehearsal_spends_nothing_and_leaves_no_probe(self):
        world, passages = self.passages(Rehearsal, range(1, AT_ONCE + 1))
        with world:
            adopt(self, world, passages)
            whole = passages[0]
            self.assertFalse(whole.die("nowhere"))
            whole.judge(self)
            points = probe.read_text(whole.log).splitlines()
            points = points[:points.index("order.send")]
            begin = points.index("token.recorded")
            crashes = [f"{point}:{points[:at + 1].count(point)}" for at, point in enumerate(points)
                       if at >= begin and not point.startswith("store.")]
            self.assertLess(len(crashes), AT_ONCE, "more passages than certificates")
            self.assertGreater(len(crashes), 6)
            died = passages[1:len(crashes) + 1]
            for crash, one in zip(crashes, died):
                with self.subTest(crash):
                    self.assertTrue(one.die(crash, lambda one=one: self.assertEqual(one.sent(), [])))
            self.end(died)
            judge_world(self, world)

    def test_death_while_a_file_stands_in_the_web_root(self):
        world, passages = self.passages(File, range(101, 101 + len(FILE_POINTS)))
        with world:
            adopt(self, world, passages)
            for point, one in zip(FILE_POINTS, passages):
                self.assertTrue(one.die(point))
                self.end([one])  # all of them use the same name of a file in one web root
            left = [name for _, _, names in os.walk(world.webroot) for name in names]
            self.assertEqual(left, [])
            judge_world(self, world)

    def test_death_while_a_record_stands_where_an_alias_led(self):
        world, passages = self.passages(Aliased, range(201, 201 + len(ALIAS_POINTS)))
        with world:
            adopt(self, world, passages)
            for point, one in zip(ALIAS_POINTS, passages):
                one.alias("add")
                self.assertTrue(one.die(point, lambda one=one: one.alias("del")))
                self.assertEqual(one.point, point)
            self.end(passages)
            judge_world(self, world)

    def test_death_of_dcvctl_rehearse_leaves_nothing_once_dcvd_starts(self):
        """Every passage of a rehearsal that runs in dcvctl itself; the next start sweeps."""
        log = "/tmp/rehearse-passages"
        with World([FREE], secondary=False) as world:
            world.start_nginx()
            world.write_config(world.default_config())
            self.assertEqual(world.dcvctl("rehearse", "www", env={"DCVD_CRASH_LOG": log, "DCVD_CRASH": "nowhere:1"}).returncode, 0)
            points = [p for p in probe.read_text(log).splitlines() if not p.startswith("store.")]
            crashes = [f"{p}:{points[:at + 1].count(p)}" for at, p in enumerate(points)]
            self.assertGreater(len(crashes), 5, points)
            for crash in crashes:
                with self.subTest(crash):
                    self.assertEqual(world.dcvctl("rehearse", "www", env={"DCVD_CRASH": crash}).returncode, -signal.SIGKILL)
                    world.start_dcvd()
                    probe.until(lambda: not [r for r in world.dns.zone_records("example.test") if r[1] == "TXT"], END_LIMIT_S,
                                f"every probe of {crash} withdrawn")
                    world.dcvd.stop()
            self.assertEqual(world.ledger("ReplaceCertificate"), [])
            judge_world(self, world)


if __name__ == "__main__":
    unittest.main()
