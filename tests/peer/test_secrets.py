"""Secrets show up nowhere: canaries in all of them, looked for in logs, argv, environments, the ledger, the journal,
status and what dcvctl prints, while jobs run and after."""

import base64
import glob
import os
import re
import resource
import signal
import subprocess
import threading
import time
import unittest

import namespace
import probe
from servers import BASE
from test_refusals import paid, zones
from world import CREDENTIAL, DCVD_UID, STATE, World

PASS_PHRASE = "correct horse battery canary"
APP = "/etc/nginx/tls/app"


class Sampler:
    """Reads every process's argv and environment as long as it lives."""

    def __init__(self):
        self.seen, self.rounds, self.stopping = {}, 0, False
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.thread.join()

    def _run(self):
        own = str(os.getpid())
        while not self.stopping:
            for pid in filter(str.isdigit, os.listdir("/proc")):
                if pid != own:
                    self._read(pid)
            self.rounds += 1
            time.sleep(0.003)

    def _read(self, pid):
        for what in ("cmdline", "environ"):
            try:
                with open(f"/proc/{pid}/{what}", "rb") as f:
                    data = f.read()
            except OSError:
                continue
            if data:
                self.seen.setdefault(data, f"{what} of {pid}: {data[:60]!r}")


def body(pem):
    """The base64 lines of a private key that are no other key's: all but the first, which every key shares."""
    return [line for line in pem.splitlines() if line and not line.startswith("-----")][1:]


class Secrets(unittest.TestCase):
    def test_no_secret_is_seen_anywhere(self):
        with World([paid(1, "web"), paid(2, "app")], zones=zones("web", "app"), secondary=False) as world:
            self.configure(world)
            world.start_dcvd(env={"TENCENT_KEY": CREDENTIAL["secret_key"]})
            said = []
            with Sampler() as sampler:
                for label in ("web", "app"):
                    done = world.dcvctl("reissue", label, "--key-compromised", "--yes", "--wait")
                    self.assertEqual(done.returncode, 0, done.stderr)
                    said.append(done.stdout + done.stderr)
                for arguments in (("status", "--records"), ("history",), ("--json", "status", "--records"),
                                  ("--json", "history"), ("sets", "web")):
                    shown = world.dcvctl(*arguments)
                    self.assertEqual(shown.returncode, 0, shown.stderr)
                    said.append(shown.stdout + shown.stderr)
                printed = subprocess.run([world.program("dcvd"), "--print-config"], capture_output=True, text=True,
                                         check=True, env={**os.environ, **world.environment()}).stdout
                said.append(printed)
            self.assertIn("***", printed)
            self.assertGreater(sampler.rounds, 20)
            self.assertTrue(any(b"dcvd-helper" in seen for seen in sampler.seen), "no helper was seen")
            needles = self.needles(world)
            self.judge(needles, {f"dcvctl {at}": text.encode() for at, text in enumerate(said)})
            self.judge(needles, {where: data for data, where in sampler.seen.items()})
            self.judge(needles, self.files(world))
            self.no_core(world)
            world.start_dcvd(env={"TENCENT_KEY": CREDENTIAL["secret_key"]})
            self.assertEqual(world.dcvd.stop(), 0)
            self.judge(needles, self.files(world))
            world.assert_invariants(self)

    def configure(self, world):
        config = world.default_config()
        first = config["certificates"].pop("www")
        config["cas"]["tencent"]["secret_key"] = {"env": "TENCENT_KEY"}
        common = {**first, "rehearse": "never", "propagation": {"consecutive": 1}}
        phrase = world.secret("phrase", PASS_PHRASE)
        if namespace.has_many_users():  # dcvd and, as root, its helper read it
            os.chown(phrase, 0, DCVD_UID)
            os.chmod(phrase, 0o440)
        target = {**first["deploy"][0], "directory": "/etc/nginx/tls/p0000001"}
        config["certificates"] = {
            "web": {**common, "names": ["www.web.test"], "certificate_id": "p0000001", "key": {"type": "ec-p256"},
                    "deploy": [target]},
            "app": {**common, "names": ["www.app.test"], "certificate_id": "p0000002",
                    "key": {"type": "ec-p256", "passphrase": {"file": phrase}},
                    "deploy": [{"directory": APP, "services": []}]}}
        world.write_config(config)

    def needles(self, world):
        """{bytes: what} of all secrets, each as it stands and in base64."""
        encrypted = probe.read_text(f"{APP}/privkey.pem")
        self.assertIn("BEGIN ENCRYPTED PRIVATE KEY", encrypted)
        plain = probe.openssl("pkey", "-passin", f"pass:{PASS_PHRASE}", stdin=encrypted)
        keys = {path: probe.read_text(path) for path in glob.glob(f"{STATE}/keys/*.pem")}
        self.assertEqual(len(keys), 2)
        found = {line.encode(): "the key of app" for line in body(plain)}
        for path, text in keys.items():
            found |= {line.encode(): path for line in body(text)}
        for value, what in world.canaries.items():
            found |= {value.encode(): what, base64.b64encode(value.encode()): what + " in base64"}
        self.assertGreater(len(found), 8)
        return found

    @staticmethod
    def files(world):
        """Everything the daemon, its peers and the tools wrote, but for the folders that hold keys."""
        paths = [path for place in (STATE, "/run/dcvd", f"{BASE}/log") for path in glob.glob(f"{place}/**",
                                                                                             recursive=True)]
        paths += [f"{BASE}/double/{name}" for name in ("ledger.jsonl", "events.jsonl")] + ["/etc/dcvd/dcvd.yaml"]
        held = re.compile(rf"{STATE}/(keys|sets|live)/")
        found = {}
        for path in paths:
            if os.path.isfile(path) and not held.match(path):
                with open(path, "rb") as f:
                    found[path] = f.read()
        return found

    def no_core(self, world):
        """The daemon that holds secrets aborts where another program of its user leaves a core file; it leaves none."""
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
        self.assertEqual(world.dcvd.stop(), 0)
        cores = self.aborted(world, "other", ["sleep", "60"], lambda: True)
        if not cores:
            print("this host lets no program leave a core file: only the limits of dcvd were looked at")
        self.assertEqual(self.aborted(world, "dcvd", [world.program("dcvd")],
                                      lambda: world.dcvctl("status").returncode == 0), [])

    def aborted(self, world, name, command, ready):
        """What stands in its folder after it aborted. As systemd does it: as user dcvd from the beginning, because a
        change of user alone forbids cores on many hosts."""
        folder = f"{BASE}/cores-{name}"
        os.mkdir(folder)
        os.chmod(folder, 0o777)
        child = world.child(f"aborted-{name}", command, ready, cwd=folder, as_ids=(DCVD_UID, DCVD_UID),
                            env=world.environment({"TENCENT_KEY": CREDENTIAL["secret_key"]}))
        if name == "dcvd":
            self.assertRegex(probe.read_text(f"/proc/{child.pid}/limits"), r"Max core file size +0 +0 ")
        child.signal(signal.SIGABRT)
        self.assertEqual(child.process.wait(10 * probe.BUSY), -signal.SIGABRT)
        return os.listdir(folder)

    def judge(self, needles, places):
        self.assertTrue(places)
        self.assertEqual([f"{what} stands in {where}" for where, data in places.items()
                          for needle, what in needles.items() if needle in data], [])


if __name__ == "__main__":
    unittest.main()
