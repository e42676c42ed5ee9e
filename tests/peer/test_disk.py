"""A disk that is full, slow, gone, read-only or damaged, and a process without files: nothing is sent twice, nothing is
lost, what is wrong is said with its path and what to do, and the job goes on when it is mended."""

import hashlib
import os
import re
import shutil
import time
import unittest

import probe
from faults import Full, Injected, NoMoreFiles, read_only, small_disk
from test_refusals import configure, paid, zones
from world import STATE, World


def sent(world, number):
    return len([c for c in world.ledger("ReplaceCertificate") if c["parameters"]["CertificateId"] == f"p{number:07d}"])


def cpu_s(pid):
    return sum(map(int, probe.read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()[11:13])) / 100


class Faulty(unittest.TestCase):
    """labels: one certificate each."""

    def world(self, labels):
        self.labels = list(labels)
        return World([paid(at, label) for at, label in enumerate(self.labels)], zones=zones(*self.labels),
                     secondary=False)

    def said(self, world, pattern, since=0, limit_s=20):
        return probe.until(lambda: re.search(pattern, probe.read_text(world.dcvd.log)[since:]), limit_s, pattern)

    def begin(self, world, label):
        """Asks for a reissue; where the log stood before. What was refused at once stands in the log too."""
        since = len(probe.read_text(world.dcvd.log))
        asked = world.dcvctl("reissue", label, "--yes", "--detach")
        with open(world.dcvd.log, "a", encoding="utf-8") as f:
            f.write(asked.stderr.replace("\n        ", "; "))
        return since

    def goes_on(self, world, label):
        self.assertTrue(world.dcvd.running())
        done = world.dcvctl("reissue", label, "--yes", "--wait")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sent(world, self.labels.index(label)), 1)


class Room(Faulty):
    def test_a_disk_without_room_only_delays(self):
        left = {f"bytes{n}": {"bytes_left": n * 4096} for n in (0, 3, 10, 25, 45, 70)}
        left |= {f"files{n}": {"files_left": n} for n in (0, 1, 3, 5)}
        with self.world(left) as world:
            small_disk(self)
            configure(world)
            struck = 0
            for label, how in left.items():
                with self.subTest(label):
                    self.assertEqual(world.dcvd.stop(), 0)  # a log that was written once needs no room again
                    world.start_dcvd()
                    with Full(**how):
                        since = self.begin(world, label)
                        trouble = rf"(disk is full|No space left).*; make room (there|on the disk of {STATE}/dcvd\.db)"
                        found = self.said(world, rf"{trouble}|{label}: job \d+: served -> done", since)
                        struck += "-> done" not in found[0]
                    self.goes_on(world, label)
            self.assertGreater(struck, 6)
            world.assert_invariants(self)


class Calls(Faulty):
    def test_calls_that_fail_only_delay(self):
        rules = {
            "once": "fsync,fdatasync:error=EIO:when=4",
            "ever": "fsync,fdatasync:error=EIO:when=4+",
            "readonly": "pwrite64,mkdirat,renameat,renameat2,symlinkat,linkat,unlinkat:error=EROFS:when=9+",
            "interrupted": "read,write,pread64,pwrite64,openat,accept4,epoll_wait:error=EINTR:when=2+3"}
        words = {"once": r"disk I/O error", "ever": rf"disk I/O error.*; see dmesg and look at the disk of {STATE}/dcvd",
                 "readonly": r"Read-only file system.*; mount"}
        with self.world([*rules, "slow"]) as world:
            configure(world)
            for label, rule in rules.items():
                with self.subTest(label):
                    with Injected(world, rule) as fault:
                        since = self.begin(world, label)
                        if label in words:
                            self.said(world, words[label], since)
                        if label == "interrupted":
                            self.goes_on(world, label)
                        self.assertGreater(fault.struck(), 0)
                    self.goes_on(world, label)
                    if label == "ever":
                        self.said(world, r"the journal takes what is written again; it refused \d+ in \d+", since)
            with self.subTest("slow"), Injected(world, "fdatasync,fsync:delay_enter=30000000") as fault:
                asked = world.start_dcvctl("reissue", "slow", "--yes", "--detach")
                fault.await_delay()
                for _ in range(5):
                    begun = time.monotonic()
                    self.assertEqual(world.dcvctl("status").returncode, 0)
                    self.assertLess(time.monotonic() - begun, 15, "it waits for the disk")
            self.assertEqual(asked.wait(60 * probe.BUSY), 0)
            self.goes_on(world, "slow")
            world.assert_invariants(self)

    def test_a_process_without_files_only_waits(self):
        waits = r"Too many open files; .*; allow more open files .*LimitNOFILE="
        with self.world(["none", "few"]) as world:
            configure(world)
            self.goes_on(world, "none")  # what is opened once is open
            for label, more in (("none", 0), ("few", 2)):
                with NoMoreFiles(world, more):
                    since, spent = self.begin(world, label), cpu_s(world.dcvd.pid)
                    # a connection that ends meanwhile leaves its number free: then dcvctl gets in, and the job waits
                    self.said(world, waits if more else f"the daemon closed the connection|{waits}", since)
                    self.assertLess(cpu_s(world.dcvd.pid) - spent, 0.5, "it spins")
                if more:
                    self.goes_on(world, label)
                else:
                    self.assertIn(world.dcvctl("cancel", label, "--yes").returncode, (0, 1), "it answers again")
            world.assert_invariants(self)


class Journal(Faulty):
    def refused(self, world, pattern):
        world.start_dcvd(wait=False)
        self.assertEqual(world.dcvd.process.wait(20 * probe.BUSY), 78)
        self.assertRegex(world.dcvd.tail(), pattern)

    def test_a_damaged_journal_is_refused_untouched_and_can_be_left(self):
        path = f"{STATE}/dcvd.db"
        with self.world(["www"]) as world:
            configure(world)
            self.goes_on(world, "www")
            self.assertEqual(world.dcvd.stop(), 0)
            with open(path, "rb") as f:
                good = f.read()
            damages = {"cut": good[:len(good) // 2 + 100], "short": good[:60], "zeroed": bytes(len(good)),
                       "head": bytes(100) + good[100:], "page": good[:8192] + os.urandom(4096) + good[12288:],
                       "newer": good[:60] + (99).to_bytes(4, "big") + good[64:]}
            for what, data in damages.items():
                with self.subTest(what):
                    with open(path, "wb") as f:
                        f.write(data)
                    self.refused(world, rf"journal {path} (is damaged|was made by a newer dcvd).*"
                                 r"(move both away|start the newer dcvd)")
                    with open(path, "rb") as f:
                        self.assertEqual(hashlib.sha256(f.read()).digest(), hashlib.sha256(data).digest())
                    self.assertFalse(os.path.exists(path + "-wal"))
            os.rename(path, path + ".damaged")
            calls = len(world.ledger("ReplaceCertificate"))
            world.start_dcvd()
            self.assertRegex(world.dcvd.tail(), "rebuilt")
            _, facts = world.dcvctl_json("status", "www")
            self.assertEqual(facts["certificates"][0]["job"], None)
            self.assertEqual(len(world.ledger("ReplaceCertificate")), calls)
            world.assert_invariants(self)

    def test_a_journal_that_goes_away_stops_all_sending(self):
        with self.world(["www", "open"]) as world:
            configure(world)
            world.control("validation", paused=True)
            self.begin(world, "open")
            probe.until(lambda: sent(world, 1) and "submitted" in world.dcvctl("status", "open").stdout, 20, "order")
            for name in os.listdir(STATE):
                if name.startswith("dcvd.db"):
                    shutil.copy2(f"{STATE}/{name}", f"/tmp/{name}")
                    os.unlink(f"{STATE}/{name}")
            asked = world.dcvctl("reissue", "www", "--yes", "--wait")
            self.assertEqual(asked.returncode, 1, asked.stderr)
            self.assertRegex(asked.stderr, rf"journal {STATE}/dcvd.db or its -wal was removed or replaced")
            self.assertRegex(asked.stderr, "restore both files, then restart dcvd; nothing is sent until then")
            self.assertEqual(sent(world, 0), 0)
            world.control("validation", paused=False)
            self.said(world, "open: the journal cannot be written; the job waits")
            world.dcvd.stop()
            for name in ("dcvd.db", "dcvd.db-wal"):
                shutil.copy2(f"/tmp/{name}", f"{STATE}/{name}")
                world.give_to_dcvd(f"{STATE}/{name}")
            world.start_dcvd()
            self.goes_on(world, "open")
            self.goes_on(world, "www")
            world.assert_invariants(self)

    def test_a_read_only_state_directory_is_refused(self):
        with self.world(["www"]) as world:
            configure(world)
            self.assertEqual(world.dcvd.stop(), 0)
            read_only(self)
            world.start_dcvd(wait=False)
            self.assertNotEqual(world.dcvd.process.wait(20 * probe.BUSY), 0)
            self.assertRegex(world.dcvd.tail(), rf"{STATE}.*Read-only file system.*mount .*writable")


if __name__ == "__main__":
    unittest.main()
