"""Faults of the machine below a running dcvd: system calls that fail, disks that are full, limits that are reached."""

import os
import subprocess
import time

import namespace
import probe
from servers import BASE
from world import DCVD_UID, STATE

MS_RDONLY, MS_REMOUNT, MNT_DETACH = 1, 32, 2


class Injected:
    """Faults in the system calls of a running daemon and its children for as long as this lives: strace, attached.
    rules as strace's inject= takes them, e.g. "fsync,fdatasync:error=EIO:when=2+" (counted per thread)."""

    def __init__(self, world, *rules):
        self.world, self.pid, self.child, self.log = world, world.dcvd.pid, None, f"{BASE}/log/strace.log"
        calls = ",".join(rule.split(":")[0] for rule in rules)
        self.command = ["strace", "-f", "-qq", "-o", self.log, "-p", str(self.pid), "-e", f"trace={calls}"]
        for rule in rules:
            self.command += ["-e", f"inject={rule}"]

    def __enter__(self):
        self.child = self.world.child("strace", self.command, self._attached)
        return self

    def __exit__(self, *_):
        self.child.stop()

    def _attached(self):
        tasks = os.listdir(f"/proc/{self.pid}/task")
        return all("TracerPid:\t0\n" not in probe.read_text(f"/proc/{self.pid}/task/{task}/status") for task in tasks)

    def await_delay(self):
        """Until a thread of the daemon stands still in a call that is delayed."""
        seen = []

        def look():
            states = {task: probe.read_text(f"/proc/{self.pid}/task/{task}/stat").rpartition(")")[2].split()[0]
                      for task in os.listdir(f"/proc/{self.pid}/task")}
            seen.append({task for task, state in states.items() if state == "t"})
            time.sleep(0.02)
            return len(seen) > 25 and set.intersection(*seen[-25:])
        probe.until(look, what="a call that is delayed")

    def struck(self):
        return probe.read_text(self.log).count("(INJECTED)")


def small_disk(case, size="12m", inodes=2000):
    """The state directory on a file system of its own, before the daemon starts and until the test ends."""
    namespace.mount("tmpfs", STATE, "tmpfs", 0,
                    f"size={size},nr_inodes={inodes},mode=700,uid={DCVD_UID},gid={DCVD_UID}")
    case.addCleanup(unmount)


def read_only(case):
    """The state directory can be read only, until the test ends."""
    namespace.mount(STATE, STATE, None, namespace.MS_BIND)
    case.addCleanup(unmount)
    namespace.mount(None, STATE, None, namespace.MS_BIND | MS_REMOUNT | MS_RDONLY)


def unmount():
    namespace.libc.umount2(os.fsencode(STATE), MNT_DETACH)


class Full:
    """The state directory's file system without room: so many bytes, or so many files, are left."""

    def __init__(self, bytes_left=None, files_left=None):
        self.bytes_left, self.files_left, self.folder = bytes_left, files_left, f"{STATE}/filler"

    def __enter__(self):
        os.mkdir(self.folder)
        now = os.statvfs(STATE)
        if self.bytes_left is not None:
            with open(f"{self.folder}/bytes", "wb", 0) as f:
                f.write(b"x" * (now.f_bavail * now.f_frsize - self.bytes_left))
        for number in range(now.f_favail - self.files_left if self.files_left is not None else 0):
            open(f"{self.folder}/{number}", "wb").close()
        return self

    def __exit__(self, *_):
        subprocess.run(["rm", "-r", self.folder], check=True)


class NoMoreFiles:
    """The daemon may open so many files more than it has open."""

    def __init__(self, world, more=0):
        self.pid, self.more, self.before = world.dcvd.pid, more, None

    def __enter__(self):
        taken = self._taken()
        free = [number for number in range(len(taken) + self.more + 1) if number not in taken]
        self.before = self._limit(free[self.more])
        return self

    def __exit__(self, *_):
        self._limit(self.before)

    def _taken(self):
        """Once nothing closes any more: what ends later would leave more numbers free than are meant."""
        seen = []

        def look():
            seen.append({int(fd) for fd in os.listdir(f"/proc/{self.pid}/fd")})
            time.sleep(0.02)
            return len(seen) > 25 and all(one == seen[-1] for one in seen[-25:])
        probe.until(look, what="open files that stay the same")
        return seen[-1]

    def _limit(self, soft):
        before = [line.split()[3] for line in probe.read_text(f"/proc/{self.pid}/limits").splitlines()
                  if line.startswith("Max open files")][0]
        subprocess.run(["prlimit", f"--pid={self.pid}", f"--nofile={soft}:"], check=True)
        return before
