"""The suite acme: whole processes that issue one certificate, dcvd beside lego, uacme, certbot and dehydrated, taking
turns on the same Pebble, Knot and nginx; then through the daemon, as dcvd works on a host: one certificate, many one after
another beside lego and uacme, many at once beside the least that a client can do and on a disk, and one whose daemon is
killed while its order is open. Peers that are not installed are left out. Requests and connections are counted once, by
Pebble's log and a relay before it."""

import contextlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time

import namespace
import probe
from acme_world import AcmeCase
from pebble import ADDRESS, PORT, Pebble
from servers import PRIMARY, RESPONDER, SECONDARY, WEB
from world import HOSTS, STATE, World

RUNS = int(os.environ.get("RUNS", "5"))
MANY, MOST, AT_ONCE = int(os.environ.get("MANY", "100")), int(os.environ.get("MOST", "1000")), 16
LAG_S = 2.0
RELAY_PORT = 14999
FOLDER = "/tmp/bench-acme"
HTTP_HOOK = """#!/bin/sh
d="%(webroot)s/.well-known/acme-challenge"
[ "$2" = http-01 ] || exit 1
case "$1" in begin) printf %%s "$5" > "$d/$4" ;; *) rm -f "$d/$4" ;; esac
"""
# Writes by nsupdate, then looks at every server until all of them show it: what dcvd and lego do by themselves.
DNS_HOOK = """#!/bin/bash
change() { printf 'server %(primary)s\\nzone example.test\\nupdate %%s\\nsend\\n' "$1" | knsupdate -k %(key)s; }
shown() { for s in %(servers)s; do kdig +short +time=2 @$s "$1" TXT | grep -qF -- "$2" || return 1; done; }
case "$kind" in
add) change "add $name. 60 TXT \\"$value\\"" && until shown $name "$value"; do sleep 0.2; done ;;
remove) change "delete $name. TXT \\"$value\\"" ;;
esac
"""
UACME_DNS = """#!/bin/bash
[ "$2" = dns-01 ] || exit 1
name=_acme-challenge.$3 value=$5
case "$1" in begin) kind=add ;; *) kind=remove ;; esac
""" + DNS_HOOK.partition("\n")[2]
DEHYDRATED_DNS = """#!/bin/bash
name=_acme-challenge.$2 value=$4
case "$1" in deploy_challenge) kind=add ;; clean_challenge) kind=remove ;; *) exit 0 ;; esac
""" + DNS_HOOK.partition("\n")[2]


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "runs": len(values)}


class Relay:
    """Passes bytes to Pebble and counts connections."""

    def __init__(self):
        self.count = 0
        self.listener = socket.create_server((ADDRESS, RELAY_PORT), backlog=128)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            client, _ = self.listener.accept()
            self.count += 1
            server = socket.create_connection((ADDRESS, PORT))
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self.pass_on, args=pair, daemon=True).start()

    @staticmethod
    def pass_on(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Lag:
    """For how long the primary shows a token that its secondary does not: what the relay holds back, and what Knot waits before
    it sends a NOTIFY. Nobody can be done sooner."""

    def __init__(self, name):
        self.name, self.ended, self.shown = f"_acme-challenge.{name}", threading.Event(), {}
        self.watcher = threading.Thread(target=self.watch, daemon=True)
        self.watcher.start()

    def watch(self):
        while len(self.shown) < 2 and not self.ended.wait(0.01):
            for server in {PRIMARY, SECONDARY} - set(self.shown):
                with contextlib.suppress(OSError, TimeoutError):
                    if probe.dns_values(server, self.name, "TXT"):
                        self.shown[server] = time.monotonic()

    def seconds(self):
        self.ended.set()
        self.watcher.join()
        return self.shown[SECONDARY] - self.shown[PRIMARY] if len(self.shown) == 2 else None


class Bench:
    """A world with Pebble, and each client's way of asking. An account is there before anything is measured."""

    def __init__(self, world, pebble):
        self.world, self.pebble, self.serial = world, pebble, 0
        os.makedirs(FOLDER)
        os.makedirs(f"{world.webroot}/.well-known/acme-challenge", exist_ok=True)
        with open("/etc/ssl/certs/ca-certificates.crt", "a", encoding="ascii") as f:
            f.write(probe.read_text(pebble.bundle))
        key = world.dns.tsig["hmac-sha256"]
        self.key = key
        with open(f"{FOLDER}/tsig", "w", encoding="ascii") as f:
            f.write(f"hmac-sha256:{key['name'].rstrip('.')}:{key['secret']}\n")
        how = {"webroot": world.webroot, "primary": PRIMARY, "key": f"{FOLDER}/tsig", "servers": " ".join(world.dns.servers())}
        for name, text in (("http", HTTP_HOOK), ("uacme-dns", UACME_DNS), ("dehydrated-dns", DEHYDRATED_DNS)):
            with open(f"{FOLDER}/{name}", "w", encoding="ascii") as f:
                f.write(text % how)
            os.chmod(f"{FOLDER}/{name}", 0o755)

    def ca(self, **options):
        """With every client it is one of the system's roots that Pebble is known by."""
        return {key: value for key, value in self.pebble.ca(**options).items() if key != "ca_bundle"}

    def name(self, zone="many"):
        self.serial += 1
        return f"b{self.serial}.{zone}.example.test"

    def metered(self, command, env=None, must=True):
        done = subprocess.run([os.path.join(os.environ["DCVD_BUILD"], "bench_meter"), *command], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300, check=True, cwd=FOLDER,
                              env={**os.environ, "HOME": FOLDER, **(env or {})})
        figures = json.loads(done.stdout.splitlines()[-1])
        if figures["status"] != 0 and must:
            raise AssertionError(f"{command}: {done.stdout}{done.stderr}")
        return figures

    # -- the clients: (challenge, name, directory) -> (command, environment)

    def dcvd(self, challenge, name, directory):
        """http: through the web root, by dcvd-helper; alone: dcvd answers itself, as --standalone does elsewhere."""
        config = {"log": {"level": "warning"}, "cas": {"pebble": self.ca(directory=directory)},
                  "tokens": {"listen": [f"{RESPONDER}:80"]}, "publishers": {
                      "self": {"type": "responder"},
                      "site": {"type": "webroot", "directory": self.world.webroot},
                      "zone": {"type": "rfc2136", "server": f"{PRIMARY}:53", "ttl": 60, "tsig": {
                          "name": self.key["name"], "algorithm": "hmac-sha256",
                          "secret": {"file": self.world.secret("tsig", self.key["secret"])}}}},
                  "certificates": {"c": {"names": [name], "ca": "pebble", "publisher": {"http": "site", "alone": "self", "dns": "zone"}[challenge],
                                         "propagation": {"consecutive": 1},
                                         "deploy": [{"directory": f"/etc/nginx/tls/{name}"}]}}}
        for folder in ("sets", "live"):
            shutil.rmtree(f"{STATE}/{folder}/c", True)
        self.world.write_config(config)
        return ([self.world.program("dcvctl"), "issue", "c", "--local", "--force", "--quiet"], self.world.environment())

    def lego(self, challenge, name, directory):
        how = {"http": ["--http", "--http.webroot", self.world.webroot], "alone": ["--http", "--http.port", f"{RESPONDER}:80"],
               "dns": ["--dns", "rfc2136", "--dns.resolvers", "127.0.0.53:53"]}[challenge]
        return (["lego", "--server", directory, "--email", "ops@example.test", "-a", "--path", f"{FOLDER}/lego", *how, "-d", name, "run"],
                {"RFC2136_NAMESERVER": PRIMARY, "RFC2136_TSIG_ALGORITHM": "hmac-sha256.", "RFC2136_TSIG_KEY": self.key["name"],
                 "RFC2136_TSIG_SECRET": self.key["secret"], "RFC2136_POLLING_INTERVAL": "1"})

    def uacme(self, challenge, name, directory):
        if challenge == "alone":
            return None
        if not os.path.exists(f"{FOLDER}/uacme"):
            subprocess.run(["uacme", "-y", "-a", directory, "-c", f"{FOLDER}/uacme", "-t", "EC", "new", "ops@example.test"],
                           check=True, capture_output=True)
        hook = f"{FOLDER}/http" if challenge == "http" else f"{FOLDER}/uacme-dns"
        return ["uacme", "-a", directory, "-c", f"{FOLDER}/uacme", "-t", "EC", "-h", hook, "issue", name], {}

    def certbot(self, challenge, name, directory):
        if challenge == "dns":
            return None  # its plugin is another package, and waits a fixed time
        how = ["--standalone", "--http-01-address", RESPONDER] if challenge == "alone" else ["--webroot", "-w", self.world.webroot]
        where = ["-n", "--server", directory, "--config-dir", f"{FOLDER}/cb/c", "--work-dir", f"{FOLDER}/cb/w", "--logs-dir", f"{FOLDER}/cb/l"]
        return ["certbot", "certonly", "--agree-tos", "--no-eff-email", "-m", "ops@example.test", *how, "-d", name, *where], {}

    def dehydrated(self, challenge, name, directory):
        if challenge == "alone":
            return None
        folder = f"{FOLDER}/dehydrated"
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/config", "w", encoding="ascii") as f:
            f.write(f"CA={directory}\nWELLKNOWN={self.world.webroot}/.well-known/acme-challenge\nKEY_ALGO=prime256v1\n"
                    f"CONTACT_EMAIL=ops@example.test\nBASEDIR={folder}\n" +
                    (f"CHALLENGETYPE=dns-01\nHOOK={FOLDER}/dehydrated-dns\n" if challenge == "dns" else ""))
        if not os.path.exists(f"{folder}/accounts"):
            subprocess.run(["dehydrated", "-f", f"{folder}/config", "--register", "--accept-terms"], check=True, capture_output=True)
        return ["dehydrated", "-f", f"{folder}/config", "-c", "-g", "-n", "-d", name], {}

    # -- figures

    def one_by_one(self, challenge, runs):
        clients = [c for c in ("dcvd", "lego", "uacme", "certbot", "dehydrated") if c == "dcvd" or shutil.which(c)]
        found = {c: [] for c in clients}
        for run in range(-1, runs):  # one to warm up: accounts, caches
            for client in clients:
                name = self.name("alone" if challenge == "alone" else "many")
                how = getattr(self, client)(challenge, name, self.pebble.directory)
                if how is None:
                    found.pop(client, None)
                    continue
                if self.world.dns.with_secondary:  # no word of an earlier change is on its way to it
                    time.sleep(LAG_S + 1.5)
                    lag = Lag(name)
                figures = self.metered(*how, must=client == "dcvd")  # what a peer cannot do is counted
                if self.world.dns.with_secondary and (seconds := lag.seconds()) is not None:
                    figures["beyond_the_lag_s"] = figures["wall_s"] - seconds
                if run >= 0:
                    found[client].append(figures)
        return found

    def counted(self, challenge):
        """{client: [requests, connections]} of one issuance through the relay."""
        counts, relay = {}, Relay()
        directory = f"https://{ADDRESS}:{RELAY_PORT}/dir"
        for client in ("dcvd", "lego", "uacme", "certbot", "dehydrated"):
            if client != "dcvd" and not shutil.which(client):
                continue
            shutil.rmtree(f"{FOLDER}/{client}", True)
            if client == "dcvd":
                shutil.rmtree(f"{STATE}/accounts", True)
            how = getattr(self, client)(challenge, self.name(), directory)
            if how is None:
                continue
            self.metered(*how)  # its account at this address
            how = getattr(self, client)(challenge, self.name(), directory)
            before, connections = self.requests(), relay.count
            self.metered(*how)
            counts[client] = {"requests": self.requests() - before, "connections": relay.count - connections}
        return counts

    def requests(self):
        return self.pebble.said("-> calling handler()")

    def requests_of(self, place):
        return self.pebble.said(f"POST /{place} -> calling handler()")


def table(found):
    """Medians, and dcvd's part of each peer's."""
    shown = {}
    for client, runs in found.items():
        good = [run for run in runs if run["status"] == 0]
        shown[client] = {key: spread([run[key] for run in good]) for key in ("wall_s", "cpu_s", "rss_kib", "beyond_the_lag_s")
                         if good and all(key in run for run in good)}
        if len(good) < len(runs):
            shown[client]["failed"] = len(runs) - len(good)
    for client in [c for c in shown if c != "dcvd" and "wall_s" in shown[c]]:
        for key in ("wall_s", "cpu_s"):
            shown["dcvd"][f"{key}_to_{client}"] = shown["dcvd"][key]["median"] / shown[client][key]["median"]
    return shown


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        words = f.read().rpartition(")")[2].split()
    return sum(int(words[k]) for k in (11, 12, 13, 14)) / os.sysconf("SC_CLK_TCK")  # with what it waited for


def start_daemon(bench, count, publisher, **more):
    """A daemon on a fresh state directory with so many certificates; their names in the configuration, and the processes
    to ask for the CPU of all of it: helpers are waited for by these."""
    world = bench.world
    shutil.rmtree(STATE, True)
    os.makedirs(STATE)
    world.give_to_dcvd(STATE)
    config = {"log": {"level": "warning"}, "cas": {"pebble": bench.ca()}, "limits": {"jobs": AT_ONCE}, "tokens": {"listen": [f"{RESPONDER}:80"]},
              "publishers": {"self": {"type": "responder"}, "site": {"type": "webroot", "directory": world.webroot}},
              "include": "/etc/dcvd/conf.d/*.yaml", **more}
    names = [bench.name("alone" if publisher == "self" else "many") for _ in range(count)]
    shutil.rmtree("/etc/dcvd/conf.d", True)
    os.makedirs("/etc/dcvd/conf.d")
    for at in range(0, count, 200):
        world.write_config({"certificates": {name.partition(".")[0]: {
            "names": [name], "ca": "pebble", "publisher": publisher, "propagation": {"consecutive": 1},
            "deploy": [{"directory": f"/etc/nginx/tls/{name}"}]} for name in names[at:at + 200]}}, f"/etc/dcvd/conf.d/{at:06d}.yaml")
    world.write_config(config)
    world.start_dcvd(limit_s=60)
    return [name.partition(".")[0] for name in names], [world.dcvd.pid, *probe.children(world.dcvd.pid)]


def one_after_another(bench, count):
    """`dcvctl issue NAME`, by http-01 through the web root, once for each certificate of a daemon that runs. (all of them,
    one): what that takes of the clock, and of the CPU, the command's and that of daemon, broker and helpers meanwhile."""
    names, pids = start_daemon(bench, count + 1, "site")
    dcvctl = [bench.world.program("dcvctl"), "issue", "--wait", "--quiet"]
    bench.metered([*dcvctl, names.pop()], bench.world.environment())  # makes the account
    before, begun = sum(map(cpu_s, pids)), time.monotonic()
    runs = [bench.metered([*dcvctl, name], bench.world.environment()) for name in names]
    wall = time.monotonic() - begun
    daemon = (sum(map(cpu_s, pids)) - before) / count  # the kernel counts hundredths: only the sum of all tells
    bench.world.dcvd.stop()
    command = sum(run["cpu_s"] for run in runs) / count
    one = {"wall_s": spread([run["wall_s"] for run in runs]), "cpu_s": command + daemon, "cpu_of_command_s": command, "cpu_of_daemon_s": daemon}
    return {"wall_s": wall, "cpu_s": one["cpu_s"] * count}, one


def await_order(world, cert):
    end = time.monotonic() + 20
    while not re.search(rf"{cert}: job \d+: published -> ", probe.read_text(world.dcvd.log)):
        if time.monotonic() > end:
            raise AssertionError(world.dcvd.tail())
        time.sleep(0.001)  # the whole order takes less than a tenth of a second


def resumed(bench, runs):
    """The daemon is killed when its order is there and its token is out, and started again: seconds until the certificate is served."""
    world, figures = bench.world, []
    for _ in range(10 * runs):
        if len(figures) == runs:
            break
        name = bench.name()
        cert = name.partition(".")[0]
        world.start_nginx([{"names": [name], "pairs": [AcmeCase.first_certificate(cert)]}])
        shutil.rmtree("/etc/dcvd/conf.d", True)
        service = {"name": "nginx", "test": ["/usr/sbin/nginx", "-t"], "reload": ["/usr/sbin/nginx", "-s", "reload"], "verify": [f"{WEB}:443"]}
        world.write_config({"cas": {"pebble": bench.ca()}, "publishers": {"site": {"type": "webroot", "directory": world.webroot}},
                            "certificates": {cert: {"names": [name], "ca": "pebble", "publisher": "site", "propagation": {"consecutive": 1},
                                                    "deploy": [{"directory": f"/etc/nginx/tls/{cert}", "services": [service]}]}}})
        world.start_dcvd()
        old = world.served(name).der
        if world.dcvctl("issue", cert, "--detach", "--quiet").returncode != 0:
            raise AssertionError(world.dcvd.tail())
        issued = bench.pebble.issued()
        world.kill_dcvd(lambda: await_order(world, cert))
        if bench.pebble.issued() != issued:
            continue  # too late
        orders, begun = bench.requests_of("order-plz"), time.monotonic()
        world.start_dcvd(wait=False)
        probe.until(lambda: probe.served(WEB, name).der != old, 60, "served")
        figures.append(time.monotonic() - begun)
        if bench.requests_of("order-plz") != orders:
            raise AssertionError("another order was made")
        world.dcvd.stop()
    return {"served_after_s": spread(figures)}


def by_the_least(bench, count):
    """The same by a client that does nothing but ask (bench_acme.c): its figures depend on machine and Pebble alone."""
    names = [bench.name("alone") for _ in range(count)]
    done = subprocess.run([os.path.join(os.environ["DCVD_BUILD"], "bench_acme"), bench.pebble.directory, RESPONDER, str(AT_ONCE)],
                          input="\n".join(names) + "\n", capture_output=True, text=True, timeout=30 + count / 10)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)


def beside_the_least(bench, count):
    """What the daemon takes, and how many times what the least client takes for as many."""
    figures, least = through_the_daemon(bench, count), by_the_least(bench, count)
    return {**figures, "least": least, "per_s_to_least": figures["per_s"] / least["per_s"],
            "cpu_to_least": figures["cpu_ms_each"] / least["cpu_ms_each"]}


def through_the_daemon(bench, count):
    """Every certificate of a daemon at once: how many a second, CPU of each with that of the helpers, memory."""
    world = bench.world
    _, pids = start_daemon(bench, count, "self")
    before, begun, issued = sum(map(cpu_s, pids)), time.monotonic(), bench.pebble.issued()
    done = world.dcvctl("reissue", "--all", "--yes", "--wait", "--quiet", timeout=30 + count / 10)
    wall = time.monotonic() - begun
    if done.returncode != 0 or bench.pebble.issued() - issued != count:
        raise AssertionError(f"{done.returncode} {bench.pebble.issued() - issued} {done.stderr[-2000:]}")
    with open(f"/proc/{world.dcvd.pid}/status", encoding="ascii") as f:
        peak = int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1))
    figures = {"per_s": count / wall, "wall_s": wall, "cpu_ms_each": 1000 * (sum(map(cpu_s, pids)) - before) / count, "rss_kib": peak}
    world.dcvd.stop()
    return figures


def by_a_peer(bench, client, count, parallel):
    """The same number by a client that knows one certificate a run, so many at once."""
    names = [bench.name() for _ in range(count)]
    command, env = getattr(bench, client)("http", "@@", bench.pebble.directory)
    with open(f"{FOLDER}/names", "w", encoding="ascii") as f:
        f.write("\n".join(names) + "\n")
    return bench.metered(["xargs", "-a", f"{FOLDER}/names", "-P", str(parallel), "-I@@", *command], env)


@contextlib.contextmanager
def world_with_pebble(secondary):
    zones = {"example.test": HOSTS + f"*.many 60 A {WEB}\n*.alone 60 A {RESPONDER}\n"}
    shutil.rmtree(FOLDER, True)
    with World(certificates=(), zones=zones, services=("dns",), secondary=secondary) as world:
        pebble = Pebble().start()
        world.children.append(pebble)
        world.start_nginx([])
        yield Bench(world, pebble)


@contextlib.contextmanager
def on_a_disk():
    """What dcvd keeps and what it installs on the file system where it was built, not in memory as in every world. Not undone: the
    last world of a run."""
    with tempfile.TemporaryDirectory(dir=os.environ["DCVD_BUILD"]) as folder:
        os.chmod(folder, 0o755)
        for place in ("/var/lib", "/etc/nginx/tls"):
            os.makedirs(place, exist_ok=True)
            os.makedirs(folder + place)
            namespace.mount(folder + place, place, flags=namespace.MS_BIND)
        yield


def acme(_):
    with world_with_pebble(secondary=False) as bench:
        result = {challenge: table(bench.one_by_one(challenge, RUNS)) for challenge in ("http", "alone", "dns")}
        result["counted"] = bench.counted("http")
        result[f"{MANY}_one_after_another_by_dcvd"], result["http"]["dcvd_as_daemon"] = one_after_another(bench, MANY)
        for client, count in (("uacme", MANY), ("lego", min(MANY, 20))):  # lego looks every five seconds only
            if shutil.which(client):
                result[f"{count}_one_after_another_by_{client}"] = by_a_peer(bench, client, count, 1)
        result["killed_with_an_open_order"] = resumed(bench, RUNS)
        result[f"{MANY}_through_the_daemon"] = through_the_daemon(bench, MANY)
        for client in ("uacme", "lego"):
            if shutil.which(client):
                result[f"{MANY}_by_{client}"] = by_a_peer(bench, client, MANY, AT_ONCE)
        result[f"{MOST}_through_the_daemon"] = beside_the_least(bench, MOST)
    with world_with_pebble(secondary=True) as bench:
        bench.world.dns.relay.lag_s = LAG_S
        result[f"dns_lag_{LAG_S:.0f}s"] = table(bench.one_by_one("dns", max(RUNS // 2, 2)))
    with on_a_disk(), world_with_pebble(secondary=False) as bench:
        result[f"{MANY}_through_the_daemon_on_a_disk"] = through_the_daemon(bench, MANY)
    return result
