"""The world of a peer test: real servers, the Tencent double, dcvd and dcvctl, and helpers to look at all of them.

    class Reissue(unittest.TestCase):
        def test_it(self):
            with World(certificates=[FREE]) as world:
                world.write_config(world.default_config())
                world.start_dcvd()
                done = world.dcvctl("reissue", "www", "--key-compromised", "--yes", "--wait")
                self.assertEqual(done.returncode, 0, done.stderr)
                world.assert_invariants(self)

Runs only inside namespace.py (tests/peer/run NAME)."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import client
import control
import invariants
import ledger
import namespace
import probe
from hierarchy import make_csr, make_key
from servers import BASE, PRIMARY, RESPONDER, ROOT, START_S, WEB, Child, Dns, Haproxy, Nginx, write

CREDENTIAL = {"secret_id": "AKIDEXAMPLE0000000000000000000000001", "secret_key": "ExampleSecretKey00000000000000001"}
FREE = {"id": "a1B2c3D4", "names": ["www.example.test", "example.test"], "package_type": "83"}
DCVD_UID = dict(namespace.USERS)["dcvd"]
STATE, RUNTIME, CONFIG = "/var/lib/dcvd", "/run/dcvd", "/etc/dcvd/dcvd.yaml"
DOUBLE_ADDRESS = "127.0.4.1:8099"
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
DOUBLE = os.path.join(SOURCE, "tests", "doubles", "tencent", "double.py")
HOSTS = f"@ 60 A {WEB}\nwww 60 A {WEB}\nresponder 60 A {RESPONDER}\n"


class World:
    """Everything on this private machine. services: which of dns, double, nginx start with it."""

    def __init__(self, certificates=(FREE,), zones=None, services=("dns", "double", "nginx"), scenario=None,
                 secondary=True, negative_ttl=300, primary="knot"):
        if not os.path.exists("/run/.etc"):
            raise RuntimeError("a world exists only inside tests/peer/run")
        self.services, self.certificates = services, list(certificates)
        self.webroot = f"{BASE}/webroot"
        self.dns = Dns(zones or {"example.test": HOSTS, "shop.test": HOSTS}, secondary, negative_ttl, primary)
        self.scenario = {"credentials": [CREDENTIAL], "certificates": self.certificates, "rate_limit": 0,
                         "check_spacing_s": 0,
                         "validation": {"root_hints": [ROOT], "interval_s": 0.2}, **(scenario or {})}
        self.double = self.nginx = self.haproxy = self.dcvd = None
        self.children, self.canaries, self.secret_files = [], {CREDENTIAL["secret_key"]: "the API secret"}, set()
        self.notify = None

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, kind, *_):
        if kind is not None and not issubclass(kind, (SystemExit, KeyboardInterrupt)):
            self.show_logs()
        self.stop()

    # -- life

    def start(self):
        shutil.rmtree(BASE, True)
        os.makedirs(BASE, exist_ok=True)
        self._homes()
        if "double" in self.services:
            self._start_double()
        if "dns" in self.services:
            self.dns.start()
        if self.double:
            self.double.await_ready(lambda: "ready" in self.double.tail())
        if "dns" in self.services:
            self.dns.await_ready()
        if "nginx" in self.services:
            self.start_nginx()
        return self

    def stop(self):
        """Everything ends, whatever went wrong before; the namespace is the second line of defence."""
        for child in [self.dcvd, *reversed(self.children), self.haproxy, self.nginx, self.double]:
            if child:
                child.stop()
        self.dns.stop()
        if self.notify:
            self.notify.close()
            self.notify = None

    def _homes(self):
        for path, mode in ((STATE, 0o700), (RUNTIME, 0o755), ("/etc/dcvd", 0o755), ("/etc/dcvd/credentials", 0o755),
                           ("/etc/nginx/tls", 0o755)):
            shutil.rmtree(path, True)
            os.makedirs(path, exist_ok=True)
            os.chmod(path, mode)
        for path in (STATE, RUNTIME):
            self.give_to_dcvd(path)

    @staticmethod
    def give_to_dcvd(path):
        """To user dcvd, where there are users; with one user only it is that user's already."""
        if namespace.has_many_users():
            os.chown(path, DCVD_UID, DCVD_UID)

    def child(self, name, command, ready=None, **how):
        """Any other process, stopped with the world."""
        started = Child(name, command, **how)
        self.children.append(started)
        return started.start(ready)

    def show_logs(self):
        for child in [self.dcvd, self.double, self.nginx, self.haproxy, *self.dns.children, *self.children]:
            if child and child.tail().strip():
                print(f"---- {child.name} ----\n{child.tail()}", file=sys.stderr)

    # -- the double

    def _start_double(self):
        write(f"{BASE}/scenario.json", json.dumps(self.scenario))
        self.double = Child("double",
                            [sys.executable, "-B", DOUBLE, "--listen", DOUBLE_ADDRESS, "--state", f"{BASE}/double",
                                       "--scenario", f"{BASE}/scenario.json"]).start()

    def restart_double(self):
        self.double.stop()
        os.unlink(self.double.log)
        self.double.start(lambda: "ready" in self.double.tail())

    def control(self, op, **fields):
        """The double's control interface (tests/doubles/tencent/README.md)."""
        return control.send(f"{BASE}/double/control.sock", op, **fields)

    def call(self, action, **parameters):
        """A signed call without SDK; the Response, errors included."""
        return client.call(DOUBLE_ADDRESS, CREDENTIAL, action, parameters)[2]

    def ledger(self, action=None, outcome=None):
        """The calls the double saw, oldest first."""
        return [line for line in ledger.read(f"{BASE}/double/ledger.jsonl")
                if (action is None or line["action"] == action) and
                (outcome is None or line["outcome"] == outcome)]

    def events(self, kind=None):
        return [e for e in ledger.read(f"{BASE}/double/events.jsonl") if kind is None or e["event"] == kind]

    def original(self, public_id, name):
        """The path of privkey.pem, csr.pem, cert.pem, chain.pem or fullchain.pem of a certificate of the scenario."""
        return f"{BASE}/double/certs/{public_id}/{name}"

    def make_csr(self, names, kind="rsa-2048"):
        """(path of a new key, CSR) for tests that play the client themselves."""
        path = f"{BASE}/key-{time.monotonic_ns()}.pem"
        make_key(path, kind)
        return path, make_csr(path, kind, names, names[0])

    # -- web servers

    def tls_directory(self, public_id):
        """/etc/nginx/tls/ID with the certificate the host has before dcvd comes."""
        folder = f"/etc/nginx/tls/{public_id}"
        os.makedirs(folder, exist_ok=True)
        for name, mode in (("fullchain.pem", 0o644), ("privkey.pem", 0o640)):
            if not os.path.lexists(f"{folder}/{name}"):
                shutil.copyfile(self.original(public_id, name), f"{folder}/{name}")
                os.chmod(f"{folder}/{name}", mode)
        return folder

    def start_nginx(self, sites=None):
        """Again, if it runs already. By default one site per certificate of the scenario; certificates of the same
        names share a site (RSA and ECDSA)."""
        if sites is None:
            by_names = {}
            for certificate in self.certificates if self.double else []:
                folder = self.tls_directory(certificate["id"])
                by_names.setdefault(tuple(certificate["names"]),
                                    []).append((f"{folder}/fullchain.pem", f"{folder}/privkey.pem"))
            sites = [{"names": names, "pairs": pairs} for names, pairs in by_names.items()]
        if self.nginx:
            self.nginx.stop()
        self.nginx = Nginx(sites, self.webroot)
        self.nginx.start()
        return self.nginx

    def start_haproxy(self, public_id, bundles="/etc/haproxy/certs"):
        write(f"{bundles}/{public_id}.pem", probe.read_text(self.original(public_id, "fullchain.pem")) +
              probe.read_text(self.original(public_id, "privkey.pem")), 0o600)
        self.haproxy = Haproxy(bundles)
        self.haproxy.start()
        return self.haproxy

    def served(self, name="www.example.test", kind=None, address=WEB, port=443):
        """What is served once nginx's old workers are gone: they accept for 100 ms more after a reload."""
        if address == WEB and self.nginx:
            self.nginx.settle()
        return probe.served(address, name, kind, port)

    # -- dcvd

    def program(self, name):
        build = os.environ.get("DCVD_BUILD")
        if not build:
            raise RuntimeError("DCVD_BUILD names no folder of programs")
        return os.path.join(build, name)

    def secret(self, name, value):
        """A credential file {credential: name}, and a canary: the value must show up nowhere. Returns its path."""
        path = f"/etc/dcvd/credentials/{name}"
        write(path, value, 0o400)
        self.give_to_dcvd(path)
        self.canaries[value] = f"credential {name}"
        self.secret_files.add(path)
        return path

    def default_config(self, public_id=None, algorithm="hmac-sha256"):
        """A configuration for the first certificate (or the one named): Tencent double, TSIG zone, web root, nginx. A
        dict to change."""
        certificate = next(c for c in self.certificates if public_id in (None, c["id"]))
        key = self.dns.tsig[algorithm]
        self.secret("tencent-id", CREDENTIAL["secret_id"])
        self.canaries.pop(CREDENTIAL["secret_id"])
        return {
            "cas": {"tencent": {"type": "tencent", "endpoint": f"http://{DOUBLE_ADDRESS}",
                                "secret_id": {"credential": "tencent-id"},
                                "secret_key": {"file": self.secret("tencent-key", CREDENTIAL["secret_key"])}}},
            "publishers": {
                "zone": {"type": "rfc2136", "server": f"{PRIMARY}:53", "ttl": 60,
                         "tsig": {"name": key["name"], "algorithm": algorithm,
                                  "secret": {"file": self.secret("tsig", key["secret"])}}},
                "site": {"type": "webroot", "directory": self.webroot}},
            "certificates": {"www": {
                "names": list(certificate["names"]), "ca": "tencent", "certificate_id": certificate["id"],
                "validation": "dns",
                "publisher": "zone",
                "deploy": [{"directory": f"/etc/nginx/tls/{certificate['id']}", "services": [
                    {"name": "nginx", "test": ["/usr/sbin/nginx", "-t"], "reload": ["/usr/sbin/nginx", "-s", "reload"],
                     "verify": [f"{WEB}:443"]}]}]}}}

    def write_config(self, config, path=CONFIG):
        """A dict (written as JSON, which is YAML) or YAML text; owned by root, writable by nobody else."""
        write(path, config if isinstance(config, str) else json.dumps(config, indent=2) + "\n")
        return path

    def environment(self, more=None):
        return {"CREDENTIALS_DIRECTORY": "/etc/dcvd/credentials", "STATE_DIRECTORY": STATE,
                "RUNTIME_DIRECTORY": RUNTIME, **(more or {})}

    def start_dcvd(self, *arguments, env=None, wait=True, limit_s=START_S, as_dcvd=None, wrap=()):
        """Starts the daemon; ready means it said READY=1. With many users it starts as root and forks its broker,
        unless as_dcvd. wrap: a command before it, e.g. strace."""
        if self.notify:
            self.notify.close()
        path = "/run/world-notify"
        if os.path.exists(path):
            os.unlink(path)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(path)
        os.chmod(path, 0o777)
        self.notify.settimeout(0.05)
        alone = not namespace.has_many_users() if as_dcvd is None else as_dcvd
        self.dcvd = Daemon("dcvd", [*wrap, self.program("dcvd"), *arguments],
                          env=self.environment({"NOTIFY_SOCKET": path, **(env or {})}),
                          as_ids=(DCVD_UID, DCVD_UID) if alone else None)
        self.dcvd.start(self._said_ready if wait else None, limit_s)
        return self.dcvd

    def _said_ready(self):
        try:
            return b"READY=1" in self.notify.recv(4096).split(b"\n")
        except TimeoutError:
            return False

    def kill_dcvd(self, moment=lambda: None):
        """kill -9 when moment() returns, with its broker and helpers gone too when this returns."""
        descendants = _descendants(self.dcvd.pid)
        moment()
        self.dcvd.kill()
        descendants += [late for pid in descendants for late in _descendants(pid)]  # what was begun meanwhile
        for pid in descendants:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        probe.until(lambda: not any(_alive(pid) for pid in descendants), 5, "the daemon's children gone")

    def dcvctl(self, *arguments, env=None, timeout=60 * probe.BUSY, stdin=None, as_ids=None):
        """Runs dcvctl to its end: returncode, stdout, stderr as text. as_ids: (uid, gid), else root where there are
        users. env: more of the environment; None takes a name out of it."""
        return subprocess.run([self.program("dcvctl"), *arguments], capture_output=True, text=True, timeout=timeout,
                              check=False, input=stdin, **self._dcvctl_how(env, as_ids))

    def start_dcvctl(self, *arguments, env=None):
        """A dcvctl that runs beside the test, its words unheard."""
        return subprocess.Popen([self.program("dcvctl"), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, **self._dcvctl_how(env))

    def dcvctl_until(self, pattern, *arguments, limit_s=60):
        """Runs dcvctl until it has said this, then lets go of it as Ctrl-C does (130), however long that took."""
        with open(f"{BASE}/log/dcvctl-said", "w+", encoding="utf-8") as said:
            asked = subprocess.Popen([self.program("dcvctl"), *arguments], stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                                     **self._dcvctl_how(None))
            try:
                probe.until(lambda: asked.poll() is not None or re.search(pattern, probe.read_text(said.name)), limit_s, pattern)
                if asked.poll() is None:
                    asked.send_signal(signal.SIGINT)
                asked.wait(20 * probe.BUSY)
            finally:
                asked.kill()
                asked.wait()
            return subprocess.CompletedProcess(asked.args, asked.returncode, "", probe.read_text(said.name))

    def _dcvctl_how(self, env, as_ids=None):
        as_ids = as_ids or (None if namespace.has_many_users() else (DCVD_UID, DCVD_UID))
        everything = {**os.environ, **self.environment(env)}
        return {"env": {name: value for name, value in everything.items() if value is not None}, "cwd": "/tmp",
                "preexec_fn": namespace.as_user(*as_ids) if as_ids else None}

    def dcvctl_json(self, *arguments, **how):
        done = self.dcvctl("--json", *arguments, **how)
        return done.returncode, json.loads(done.stdout) if done.stdout.strip() else None

    # -- judgement

    def assert_invariants(self, case, **how):
        """Fails the test with every broken invariant that the state directory and the ledgers show."""
        case.assertEqual(invariants.violations(self, **how), [])


class Daemon(Child):
    """dcvd, which like a service of systemd has stopped when its broker and its helpers have ended too."""

    def stop(self, limit_s=10 * probe.BUSY):
        descendants = _descendants(self.pid) if self.running() else []
        status = super().stop(limit_s)
        try:
            probe.until(lambda: not any(_alive(pid) for pid in descendants), limit_s / probe.BUSY, "the daemon's children gone")
        except AssertionError:
            for pid in filter(_alive, descendants):
                os.kill(pid, signal.SIGKILL)
        return status


def _children(pid):
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as f:
            found += [int(x) for x in f.read().split()]
    return found


def _descendants(pid):
    found, line = [], [pid]
    while line:
        try:
            more = _children(line.pop())
        except OSError:
            continue
        found += more
        line += more
    return found


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
