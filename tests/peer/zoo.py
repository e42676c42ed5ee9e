"""A zoo of zones behind public addresses of the test's own: a root and two top-level domains (NSD), a primary (Knot), a
secondary (NSD), a third (BIND), a validating resolver (Unbound, its questions logged), and hostile servers.

A zone is added with its lines and the servers it is delegated to; everything is written, signed and started at once."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

import delay
import hostile_dns
import probe
from servers import BASE, Child, write

ROOT, FIRST, SECOND, THIRD, SAME = "45.60.0.1", "45.61.1.1", "45.62.1.1", "45.63.1.1", "45.61.1.2"
PRIVATE = "10.9.9.9"
RESOLVER, BLIND = "127.0.0.53", "127.0.0.54"
SOA = "@ {negative} SOA ns1.host.net. hostmaster.host.net. {serial} 3600 600 86400 {negative}\n"
HOSTS = {"ns1": FIRST, "ns2": SECOND, "ns3": THIRD}


def run(*command, cwd):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


class Zoo:
    def __init__(self, delay_s=0):
        """delay_s: how long an answer of a real server takes to come (delay.py)."""
        self.delay_s, self.delays = delay_s, None
        self.cuts = {"org": [], "net": []}  # zone lines of the top-level domains
        self.first, self.second, self.third = {}, {}, {}  # zone -> text
        self.hostile, self.without_tcp = {}, set()
        self.anchors, self.local_data = [], []
        self.children, self.names = [], dict(HOSTS)
        self.host_lines = []
        self.server = None
        self.addresses = {ROOT, FIRST, SECOND, THIRD, SAME, PRIVATE}
        shutil.rmtree(BASE, True)
        os.makedirs(f"{BASE}/zones", exist_ok=True)

    # -- what lives in it

    def text(self, lines, ns=("ns1.host.net", "ns2.host.net"), serial=1, negative=60):
        return SOA.format(serial=serial, negative=negative) + "".join(f"@ 60 NS {n}.\n" for n in ns) + lines

    def delegate(self, zone, ns=("ns1.host.net", "ns2.host.net"), glue=()):
        """In the zone above, one of org and net."""
        lines = [f"{zone}. 60 NS {n}.\n" for n in ns] + [f"{n}. 60 A {a}\n" for n, a in glue]
        self.cuts[zone.rpartition(".")[2]] += lines

    def add(self, zone, lines, second=None, ns=("ns1.host.net", "ns2.host.net"), at=("first", "second"), **how):
        """A zone on real servers. second: other lines there. how: delegation (parent's ns, glue), serials, negative
        TTL."""
        self.delegate(zone, how.get("parent", ns), how.get("glue", ()))
        for place in at:
            here = second if second is not None and place == "second" else lines
            serial = how.get("serials", {}).get(place, 1)
            getattr(self, place)[zone] = self.text(here, ns, serial, how.get("negative", 60))

    def host(self, name, address):
        """name.host.net, for an address of its own."""
        self.names[name] = address
        self.addresses.add(address)
        return f"{name}.host.net"

    def bad(self, zone, bend=None, records=(), beside=False, tcp=True, apex=True):
        """A zone whose (other) server is hostile. Returns the address."""
        address = f"45.70.{len(self.hostile) // 200}.{len(self.hostile) % 200 + 1}"
        label = "h" + zone.replace(".", "-")
        ns = self.host(label, address)
        lines = [(zone, "NS", ns), (zone, "A", "45.1.1.1"), *records]
        if beside:
            lines.insert(0, (zone, "NS", "ns1.host.net"))
            self.add(zone, "@ 60 A 45.1.1.1\n", ns=("ns1.host.net", ns), at=("first",))
        else:
            self.delegate(zone, (ns,))
        self.hostile[address] = hostile_dns.Zone(zone if apex else "nowhere.invalid", lines, bend)
        if not tcp:
            self.without_tcp.add(address)
        return address

    def signed(self, zone, lines, algorithm="ECDSAP256SHA256", options=(), expires=None, ds=None, change=None, second=None,
               anchor=True, digest="-2"):
        """Signed with ldns. ds: what stands at the parent instead. change: of the signed text. second: unsigned text there."""
        folder = f"{BASE}/sign"
        os.makedirs(folder, exist_ok=True)
        key = run("ldns-keygen", "-k", "-a", algorithm, "-b", "2048", f"{zone}.", cwd=folder).strip()
        write(f"{folder}/{zone}", f"$ORIGIN {zone}.\n" + self.text(lines))
        now = int(time.time())
        stamp = lambda t: time.strftime("%Y%m%d%H%M%S", time.gmtime(t))
        end = now + 30 * 86400 if expires is None else now + expires
        run("ldns-signzone", "-i", stamp(min(now, end) - 86400 * 10), "-e", stamp(end), *options, "-f", f"{zone}.signed", zone, key,
            cwd=folder)
        text = probe.read_text(f"{folder}/{zone}.signed")
        text = change(text) if change else text
        record = run("ldns-key2ds", "-n", "-f", digest, key + ".key", cwd=folder).strip()
        self.delegate(zone)
        self.cuts[zone.rpartition(".")[2]].append((ds or record) + "\n")
        if anchor:
            self.anchors.append(ds or record)
        self.first[zone] = text
        self.second[zone] = second if second is not None else text

    # -- life

    def __enter__(self):
        try:
            self.start()
            return self
        except BaseException:
            self.stop()
            raise

    def __exit__(self, kind, *_):
        if kind:
            for child in self.children:
                if child.tail().strip():
                    print(f"---- {child.name} ----\n{child.tail(1500)}")
        self.stop()

    def start(self):
        self.addresses |= set(self.hostile) | {self.listen(THIRD)}  # named listens on addresses of interfaces alone
        batch = "".join(f"address replace {a}/32 dev lo\n" for a in sorted(self.addresses))
        subprocess.run(["ip", "-batch", "-"], input=batch, text=True, check=True)
        self.add_hosts()
        self._write()
        if self.hostile:
            self.server = hostile_dns.Hostile(self.hostile, self.without_tcp)
        if self.delay_s:
            self.delays = delay.Delays({a: self.listen(a) for a in (ROOT, FIRST, SECOND, THIRD, SAME)}, self.delay_s)
        self._child("root", ["nsd", "-d", "-c", f"{BASE}/root/nsd.conf"])
        self._child("second", ["nsd", "-d", "-c", f"{BASE}/second/nsd.conf"])
        self._child("first", ["knotd", "-c", f"{BASE}/first/knot.conf"])
        self._child("third", ["named", "-g", "-c", f"{BASE}/third/named.conf"])
        self._child("resolver", ["unbound", "-d", "-c", f"{BASE}/resolver/unbound.conf"])
        self._child("blind", ["unbound", "-d", "-c", f"{BASE}/blind/unbound.conf"])
        write("/etc/resolv.conf", f"nameserver {RESOLVER}\n")
        for address in (FIRST, SECOND, THIRD):
            probe.until(lambda a=address: probe.dns(a, "host.net", "SOA", timeout=0.3).aa, 20, f"{address} ready")
        for address in (RESOLVER, BLIND):
            probe.until(lambda a=address: probe.dns(a, "host.net", "SOA", recursion=True, timeout=1).answer, 20, "the resolver")

    def reload(self):
        """The zones as they are now, for the primary and the secondary."""
        self._write()
        for child in self.children:
            if child.name in ("first", "second"):
                child.signal(signal.SIGHUP)

    def listen(self, address):
        """Where the real server of this address is bound: behind its delay, if there is one."""
        return "127." + address.partition(".")[2] if self.delay_s else address

    def add_hosts(self):
        glue = [(f"{n}.host.net", a) for n, a in HOSTS.items()]
        lines = "".join(f"{n} 60 A {a}\n" for n, a in self.names.items()) + "".join(self.host_lines)
        self.add("host.net", lines, ns=tuple(n for n, _ in glue), at=("first", "second", "third"), glue=glue)

    def _child(self, name, command):
        self.children.append(Child(name, command).start())

    def _write(self):
        root = f". 60 SOA ns.nic.net. h.nic.net. 1 3600 600 86400 60\n. 60 NS ns.nic.net.\nns.nic.net. 60 A {ROOT}\n"
        top = "".join(f"{t}. 60 NS ns.nic.net.\n" for t in self.cuts)
        write(f"{BASE}/root/zone.root", "$ORIGIN .\n" + root + top)
        for tld, lines in self.cuts.items():
            own = f"ns.nic 60 A {ROOT}\n" if tld == "net" else ""
            write(f"{BASE}/root/zone.{tld}", f"$ORIGIN {tld}.\n@ 60 SOA ns.nic.net. h.nic.net. 1 3600 600 86400 60\n"
                  f"@ 60 NS ns.nic.net.\n{own}" + "".join(lines))
        self._nsd("root", (self.listen(ROOT),), {".": "zone.root", **{t: f"zone.{t}" for t in self.cuts}})
        for place in ("first", "second", "third"):
            for zone, text in getattr(self, place).items():
                write(f"{BASE}/{place}/{zone}.zone", f"$ORIGIN {zone}.\n" + text)
        self._nsd("second", (self.listen(SECOND), PRIVATE), {z: f"{z}.zone" for z in self.second})
        self._knot()
        self._bind()
        self._unbound("resolver", RESOLVER, True)
        self._unbound("blind", BLIND, False)

    @staticmethod
    def _nsd(place, addresses, zones):
        listen = "".join(f"  ip-address: {a}\n" for a in addresses)
        write(f"{BASE}/{place}/nsd.conf", f"""server:
{listen}  server-count: 1
  username: ""
  zonesdir: {BASE}/{place}
  database: ""
  zonelistfile: {BASE}/{place}/zone.list
  pidfile: {BASE}/{place}/nsd.pid
  xfrdfile: ""
  xfrdir: {BASE}/{place}
  rrl-ratelimit: 0
  verbosity: 1
remote-control:
  control-enable: no
""" + "".join(f'zone:\n  name: "{z}"\n  zonefile: "{f}"\n' for z, f in zones.items()))

    def _knot(self):
        os.makedirs(f"{BASE}/first/run", exist_ok=True)
        os.makedirs(f"{BASE}/first/db", exist_ok=True)
        write(f"{BASE}/first/knot.conf", f"""server:
  rundir: {BASE}/first/run
  listen: [{self.listen(FIRST)}@53, {self.listen(SAME)}@53]
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
log:
  - target: stderr
    any: warning
database:
  storage: {BASE}/first/db
  journal-db-max-size: 8M
template:
  - id: default
    storage: {BASE}/first
    file: "%s.zone"
    journal-content: none
    semantic-checks: off
zone:
""" + "".join(f"  - domain: {z}.\n" for z in self.first), 0o600)

    def _bind(self):
        zones = "".join(f'zone "{z}" {{ type primary; file "{z}.zone"; }};\n' for z in self.third)
        write(f"{BASE}/third/named.conf", f"""options {{ directory "{BASE}/third"; listen-on {{ {self.listen(THIRD)}; }}; listen-on-v6 {{ none; }};
  recursion no; dnssec-validation no; notify no; pid-file none; session-keyfile none; lock-file none; }};
controls {{ }};
{zones}""", 0o600)

    def _unbound(self, place, address, validates):
        write(f"{BASE}/{place}/root.hints", f". 60 NS ns.nic.net.\nns.nic.net. 60 A {ROOT}\n")
        anchors = "".join(f'  trust-anchor: "{a}"\n' for a in self.anchors) if validates else ""
        local = "".join(f'  local-zone: "{n}." transparent\n  local-data: "{n}. 60 IN A {a}"\n' for n, a in self.local_data)
        write(f"{BASE}/{place}/unbound.conf", f"""server:
  interface: {address}
  access-control: 0.0.0.0/0 allow
  num-threads: 1
  do-ip6: no
  username: ""
  chroot: ""
  directory: "{BASE}/{place}"
  pidfile: "{BASE}/{place}/pid"
  root-hints: "{BASE}/{place}/root.hints"
  use-syslog: no
  log-queries: yes
  verbosity: 1
  ede: yes
  module-config: "{'validator iterator' if validates else 'iterator'}"
{anchors}{local}remote-control:
  control-enable: no
""")

    def stop(self):
        if self.server:
            self.server.close()
        if self.delays:
            self.delays.close()
        for child in reversed(self.children):
            child.stop()

    # -- looking

    def asked(self):
        """Every (name, type) the resolvers were asked by the client."""
        found = set()
        for place in ("resolver", "blind"):
            found |= set(re.findall(r"info: 127\.0\.0\.1 (\S+?)\.? (\S+) IN", probe.read_text(f"{BASE}/log/{place}.log")))
        return found


def check(names, *more, validation="dns", caa="ca.example", env=None):
    """(exit status, document) of dcvctl check."""
    command = [os.path.join(os.environ["DCVD_BUILD"], "dcvctl"), "check", "--json", "--name", *names.split(),
               "--validation", validation, *(["--caa", caa] if caa else []), *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60 * probe.BUSY, check=False, cwd="/tmp",
                          env={**os.environ, "DCVD_CONFIG": "/nonexistent", **(env or {})})
    if done.returncode not in (0, 1):
        raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.returncode, json.loads(done.stdout)


def check_all(names, *more):
    """{name: document} of one dcvctl check over a configuration with a certificate for each name."""
    path = f"{BASE}/zoo{len(more)}.yaml"
    config = {"cas": {"ca": {"type": "acme", "directory": "https://ca.example/directory", "terms_agreed": True, "caa": ["ca.example"]}},
              "publishers": {"hand": {"type": "manual"}},
              "certificates": {f"c{i}": {"names": [n], "ca": "ca", "publisher": "hand", "validation": "dns"} for i, n in enumerate(names)}}
    write(path, json.dumps(config))
    done = subprocess.run([os.path.join(os.environ["DCVD_BUILD"], "dcvctl"), "--config", path, "check", "--json", *more],
                          capture_output=True, text=True, timeout=60 * probe.BUSY, check=False, cwd="/tmp")
    if done.returncode != 1 or not done.stdout:
        raise AssertionError(f"{done.returncode}\n{done.stdout[:3000]}{done.stderr}")
    return {t["target"]["names"][0]: t for t in json.loads(done.stdout)["targets"]}
