"""Death at every passage of a crash point: the n-th passage of a whole reissue kills the daemon (SIGKILL), a second
daemon goes on, and the ledger, the zone, the web server and the state directory are judged.

Each passage has a certificate, a zone and a copy of the state directory of its own, so that the daemons that go on (an
order that perhaps was sent is looked for during a minute) do so beside the next deaths. '*:n' is the n-th passage of
any crash point: n is raised until a reissue lives through; the tests death_1.. share the passages by remainder."""

import os
import socket
import subprocess
import time
import unittest

import invariants
import probe
from servers import PRIMARY, Child
from world import DCVD_UID, FREE, HOSTS, STATE, World
import namespace

SHARES = 6
AT_ONCE = 22  # certificates of a share: more passages than that fail the test
DEATH_LIMIT_S, END_LIMIT_S = 30, 95  # of a machine that does nothing else


class Passage:
    """One death and what became of the job after it."""

    def __init__(self, world, number):
        self.world, self.number, self.point = world, number, None
        self.cert, self.name, self.id = f"c{number}", f"c{number}.test", f"d{number:07d}"
        self.state, self.runtime = f"{STATE}-{number}", f"/run/dcvd-{number}"
        self.log, self.before, self.daemon = f"/tmp/passages-{number}", None, None

    def scenario(self):
        return {"id": self.id, "names": [self.name], "package_type": "11", "key": "ec-p256"}

    def configuration(self, first):
        target = {**first["deploy"][0], "directory": f"/etc/nginx/tls/{self.id}"}
        return {**first, "names": [self.name], "certificate_id": self.id, "rehearse": "never",
                "key": {"type": "ec-p256"}, "propagation": {"consecutive": 1}, "deploy": [target]}

    def directories(self):
        return {"STATE_DIRECTORY": self.state, "RUNTIME_DIRECTORY": self.runtime}

    def start(self, **env):
        """A daemon of this passage, ready or dead."""
        path = f"/tmp/notify-{self.number}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            if os.path.exists(path):
                os.unlink(path)
            notify.bind(path)
            os.chmod(path, 0o777)
            notify.setblocking(False)
            self.daemon = Child(f"dcvd-{self.number}", [self.world.program("dcvd")],
                                env=self.world.environment({**self.directories(), "NOTIFY_SOCKET": path, **env}),
                                as_ids=None if namespace.has_many_users() else (DCVD_UID, DCVD_UID)).start()
            self.world.children.append(self.daemon)
            probe.until(lambda: not self.daemon.running() or b"READY=1" in notify.recv(4096), DEATH_LIMIT_S,
                        "ready or dead")

    def dcvctl(self, *arguments):
        return self.world.dcvctl(*arguments, env=self.directories(), timeout=DEATH_LIMIT_S * probe.BUSY)

    def order(self):
        """What an operator types."""
        return "reissue", self.cert, "--key-compromised", "--yes", "--wait"

    def outlived(self):
        """Whether the daemon lived through its reissue. A dcvctl whose daemon died would wait for the next one."""
        asked = self.world.start_dcvctl(*self.order(), env=self.directories())
        try:
            probe.until(lambda: asked.poll() is not None or not self.daemon.running(), DEATH_LIMIT_S, f"an end of {self.number}")
            return asked.poll() == 0
        finally:
            asked.kill()
            asked.wait()

    def prepare(self):
        subprocess.run(["cp", "-a", STATE, self.state], check=True)
        os.mkdir(self.runtime)
        self.world.give_to_dcvd(self.runtime)
        self.before = self.world.served(self.name)

    def die(self, crash=None, dead=lambda: None):
        """False if the daemon lived through its whole reissue. crash: the point, by default this number's passage of
        any; dead() is called between the two daemons."""
        self.prepare()
        self.start(DCVD_CRASH=crash or f"*:{self.number}", DCVD_CRASH_LOG=self.log)
        if self.daemon.running() and self.outlived():
            return False
        probe.until(lambda: not self.daemon.running(), DEATH_LIMIT_S, f"death at {self.number}")
        self.point = probe.read_text(self.log).splitlines()[-1]
        dead()
        self.start()
        return True

    def ended(self):
        """The job goes on by itself; only an order that never reached the journal is given again. The log only spares
        questions."""
        said = probe.read_text(self.daemon.log)
        if " -> " in said and not any(f" -> {end}" in said for end in ("done", "failed", "cancelled")):
            return False
        _, facts = self.world.dcvctl_json("status", self.cert, env=self.directories())
        facts = facts["certificates"][0]
        if facts["job"]:
            return False
        _, history = self.world.dcvctl_json("history", self.cert, env=self.directories())
        return any(row["job"] for row in history["history"]) or self.dcvctl(*self.order()).returncode == 0

    def judge(self, case):
        sent = [c for c in self.world.ledger("ReplaceCertificate") if c["parameters"]["CertificateId"] == self.id]
        case.assertEqual([c["outcome"] for c in sent], ["ok"])
        after = self.world.served(self.name)
        case.assertNotEqual(self.before.spki, after.spki)
        case.assertEqual(probe.spki_of_csr(sent[0]["parameters"]["CsrContent"]), after.spki)
        case.assertTrue(os.path.exists(f"{self.state}/keys/{after.spki}.pem"))
        case.assertEqual(probe.dns_values(PRIMARY, f"_dnsauth.{self.name}", "TXT"), [])
        live = os.path.realpath(f"{self.state}/live/{self.cert}")
        case.assertEqual(probe.spki_of_certificate(probe.read_text(f"{live}/fullchain.pem")), after.spki)
        case.assertEqual(invariants.keys(self.state) + invariants.live_sets(self.state), [])
        if self.point:
            case.assertEqual(self.daemon.stop(), 0, "the daemon that went on")


def adopt(case, world, passages):
    """Each certificate of the passages is taken over by a daemon that ends; its state directory is what they copy."""
    config = world.default_config()
    first = config["certificates"].pop("www")
    config["certificates"] = {p.cert: p.configuration(first) for p in passages}
    world.write_config(config)
    world.start_dcvd()
    for one in passages:
        folder = f"/etc/nginx/tls/{one.id}"
        taken = world.dcvctl("import", one.cert, "--cert", f"{folder}/fullchain.pem", "--key",
                             f"{folder}/privkey.pem")
        case.assertEqual((taken.returncode, taken.stderr), (0, ""))
    world.dcvd.stop()


def judge_world(case, world):
    case.assertEqual(invariants.tokens(world) + invariants.spent_once(world, 1), [])


class Death(unittest.TestCase):
    share = 0

    def test_every_passage(self):
        numbers = [n * SHARES + self.share + 1 for n in range(AT_ONCE)]
        zones = {"example.test": HOSTS, **{f"c{n}.test": HOSTS for n in numbers}}
        scenarios = [Passage(None, n).scenario() for n in numbers]
        with World([FREE, *scenarios], zones=zones, secondary=False) as world:
            passages = [Passage(world, n) for n in numbers]
            adopt(self, world, passages)
            died, lived = self.deaths(passages)
            self.assertTrue(lived, "no reissue lived through")
            self.assertGreater(len(died), 10, "a reissue has more passages than that")
            lived.judge(self)
            judge_world(self, world)

    def deaths(self, passages):
        """Those that died, and the one that lived through; those that went on are judged as they end."""
        died, open_ones, lived = [], [], None
        for one in passages:
            if not one.die():
                lived = one
                break
            died.append(one)
            open_ones = [p for p in [*open_ones, one] if not self.judged(p)]
        end = time.monotonic() + END_LIMIT_S * probe.BUSY
        while open_ones and time.monotonic() < end:
            open_ones = [p for p in open_ones if not self.judged(p)]
            time.sleep(0.05)
        self.assertEqual([(p.number, p.point) for p in open_ones], [], "jobs that did not end")
        return died, lived

    def judged(self, one):
        if not one.ended():
            return False
        with self.subTest(passage=one.number, point=one.point):
            one.judge(self)
        return True
