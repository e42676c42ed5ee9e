"""kill -9 at moments nobody chose: by the clock, and at the n-th call of a kind of system call (strace). Unlike the
passages of death.py these need no crash points, so what is delivered is what dies here."""

import random
import time
import unittest

import namespace
import probe
from death import END_LIMIT_S, Passage, adopt, judge_world
from servers import Child
from world import DCVD_UID, FREE, HOSTS, World

CALLS = ("fdatasync", "fsync", "renameat2,renameat,rename", "sendto", "write", "pwrite64", "unlink,unlinkat",
         "epoll_wait")
TIMED = 6
REISSUE_S = 0.7  # about what a whole reissue takes


class Kill(Passage):
    """One kill: after some time, or at the n-th call of a thread."""

    def __init__(self, world, number, chance):
        super().__init__(world, number)
        self.after_s = chance.uniform(0, REISSUE_S)
        self.call, self.nth = (None, 0) if number <= TIMED else (CALLS[number - TIMED - 1], chance.randint(1, 40))
        self.point = f"{self.call}:{self.nth}" if self.call else f"{self.after_s:.3f} s"

    def start(self, **env):
        super().start(**env)
        if not self.call:
            return
        tracer = Child(f"strace-{self.number}", [
            "strace", "-f", "-qq", "-o", "/dev/null", "-p", str(self.daemon.pid), "-e", f"trace={self.call}", "-e",
            f"inject={self.call}:signal=KILL:when={self.nth}"]).start()
        self.world.children.append(tracer)
        tasks = f"/proc/{self.daemon.pid}/task/{self.daemon.pid}/status"
        probe.until(lambda: not self.daemon.running() or "TracerPid:\t0\n" not in probe.read_text(tasks), 30, "traced, or dead")

    def die(self):
        self.prepare()
        self.start()
        call, self.call = self.call, None
        self.world.child(f"asking-{self.number}", [self.world.program("dcvctl"), "reissue", self.cert,
                                                   "--key-compromised", "--yes", "--detach"],
                         env=self.world.environment(self.directories()),
                         as_ids=None if namespace.has_many_users() else (DCVD_UID, DCVD_UID))
        end = time.monotonic() + (REISSUE_S if call else self.after_s)
        while self.daemon.running() and time.monotonic() < end:
            time.sleep(0.002)
        self.daemon.kill()
        Passage.start(self)


class Kills(unittest.TestCase):
    def test_a_kill_at_any_moment_loses_and_repeats_nothing(self):
        seed = time.time_ns() & 0xffffffff
        print(f"seed {seed}", flush=True)
        chance = random.Random(seed)
        numbers = range(1, TIMED + len(CALLS) + 1)
        kills = [Kill(None, n, chance) for n in numbers]
        zones = {"example.test": HOSTS, **{f"c{n}.test": HOSTS for n in numbers}}
        with World([FREE, *(k.scenario() for k in kills)], zones=zones, secondary=False) as world:
            for one in kills:
                one.world = world
            adopt(self, world, kills)
            for one in kills:
                one.die()
            end = time.monotonic() + END_LIMIT_S * probe.BUSY
            left = list(kills)
            while left and time.monotonic() < end:
                left = [one for one in left if not self.judged(one)]
                time.sleep(0.05)
            self.assertEqual([(one.number, one.point) for one in left], [], "jobs that did not end")
            judge_world(self, world)

    def judged(self, one):
        if not one.ended():
            return False
        with self.subTest(number=one.number, point=one.point):
            one.judge(self)
        return True


if __name__ == "__main__":
    unittest.main()
