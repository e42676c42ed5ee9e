"""Real servers as children of the test, each on loopback addresses of its own; ready when they answer, dead when the
world ends."""

import base64
import hashlib
import os
import re
import signal
import socket
import struct
import subprocess
import threading

import namespace
import probe

BASE = "/var/lib/world"
START_S = 60  # as long may a server take to start on a machine that does much else
RESOLVER, PRIMARY, SECONDARY, RELAY, ROOT = "127.0.0.53", "127.0.1.1", "127.0.1.2", "127.0.1.3", "127.0.1.10"
WEB, HAPROXY, RESPONDER = "127.0.2.1", "127.0.2.2", "127.0.3.1"
TSIG_ALGORITHMS = ("hmac-md5", "hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512")
WWW_DATA = 33


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)


class Child:
    """One server process. Its output goes to BASE/log/NAME.log."""

    def __init__(self, name, command, env=None, as_ids=None, cwd=None):
        self.name, self.command, self.env, self.as_ids, self.cwd = name, command, env, as_ids, cwd
        self.log = f"{BASE}/log/{name}.log"
        self.process = None

    def start(self, ready=None, limit_s=START_S):
        os.makedirs(f"{BASE}/log", exist_ok=True)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.cwd or BASE,
                env={**os.environ, **(self.env or {})},
                preexec_fn=namespace.as_user(*self.as_ids) if self.as_ids else None)
        if ready:
            self.await_ready(ready, limit_s)
        return self

    def await_ready(self, ready, limit_s=START_S):
        def look():
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.tail()}")
            return ready()
        try:
            probe.until(look, limit_s, f"{self.name} ready")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from None

    def tail(self, size=3000):
        try:
            with open(self.log, "rb") as f:
                f.seek(0, 2)
                f.seek(max(0, f.tell() - size))
                return f.read().decode("utf-8", "replace")
        except OSError:
            return ""

    pid = property(lambda self: self.process.pid)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """SIGKILL, and gone when this returns."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def stop(self, limit_s=10 * probe.BUSY):
        """SIGTERM, then SIGKILL; the exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(limit_s)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode


def reloaded(nsd):
    """Whether no process of NSD is left that answers as before its last reload: until it ends, any of them may take a question."""
    main = probe.children(nsd.pid)
    return len(main) == 1 and len(probe.children(main[0])) == 1


class Relay:
    """Takes the primary's NOTIFY and hands it to the secondary lag_s later, or when released: a secondary that lags on
    command."""

    def __init__(self):
        self.lag_s, self.holding, self.held, self.lock, self.stopping = 0.0, False, {}, threading.Lock(), False
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((RELAY, 53))
        self.tcp = socket.socket()
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind((RELAY, 53))
        self.tcp.listen(16)
        for s in (self.udp, self.tcp):
            s.settimeout(0.1)  # so that close() is noticed
        self.threads = [threading.Thread(target=loop, daemon=True) for loop in (self._udp, self._tcp)]
        for thread in self.threads:
            thread.start()

    def hold(self):
        with self.lock:
            self.holding = True

    def release(self):
        with self.lock:
            self.holding, messages, self.held = False, list(self.held.values()), {}
        for message in messages:
            self._forward(message)

    def _take(self, message):
        if len(message) >= 12 and (message[2] >> 3) & 15 == 4:
            with self.lock:
                if self.holding:
                    self.held[message[12:]] = message
                else:
                    timer = threading.Timer(self.lag_s, self._forward, (message,))
                    timer.daemon = True
                    timer.start()
        return message[:2] + bytes([message[2] | 0x84, message[3] & 0xF0]) + message[4:]

    @staticmethod
    def _forward(message):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind((PRIMARY, 0))
            s.settimeout(0.5)
            for _ in range(10):
                try:
                    s.sendto(message, (SECONDARY, 53))
                    s.recv(4096)
                    return
                except OSError:
                    continue

    def _udp(self):
        while not self.stopping:
            try:
                message, sender = self.udp.recvfrom(65535)
                self.udp.sendto(self._take(message), sender)
            except OSError:
                continue

    def _tcp(self):
        while not self.stopping:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                continue
            threading.Thread(target=self._tcp_one, args=(connection,), daemon=True).start()

    def _tcp_one(self, connection):
        with connection:
            connection.settimeout(5)
            try:
                while True:
                    length = connection.recv(2, socket.MSG_WAITALL)
                    if len(length) < 2:
                        return
                    reply = self._take(connection.recv(struct.unpack("!H", length)[0], socket.MSG_WAITALL))
                    connection.sendall(struct.pack("!H", len(reply)) + reply)
            except OSError:
                return

    def close(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()
        self.udp.close()
        self.tcp.close()


class Dns:
    """Private root and test. (NSD), primary with TSIG updates (Knot, or BIND), secondary (NSD, notified through the
    relay), resolver (Unbound)."""

    def __init__(self, zones, secondary=True, negative_ttl=300, primary="knot"):
        """zones: {zone: zone-file lines beyond SOA and NS}. primary: knot or bind."""
        self.zones, self.with_secondary, self.negative_ttl = dict(zones), secondary, negative_ttl
        self.software = primary
        self.tsig = {}
        for algorithm in TSIG_ALGORITHMS:
            name = "dcvd." if algorithm == "hmac-sha256" else f"dcvd-{algorithm.removeprefix('hmac-')}."
            secret = base64.b64encode(hashlib.sha512(os.urandom(16) + algorithm.encode()).digest()[:32]).decode()
            self.tsig[algorithm] = {"name": name, "algorithm": algorithm, "secret": secret}
        self.relay = None
        self.children = []

    def start(self):
        self._files()
        self.root = self._child("root", ["nsd", "-d", "-c", f"{BASE}/root/nsd.conf"])
        command = {"knot": ["knotd", "-c", f"{BASE}/knot/knot.conf"], "bind": ["named", "-g", "-c", f"{BASE}/bind/named.conf"]}
        self.primary = self._child(self.software, command[self.software])
        self.secondary = None
        if self.with_secondary:
            self.relay = Relay()
            self.secondary = self._child("nsd", ["nsd", "-d", "-c", f"{BASE}/nsd/nsd.conf"])
        self.resolver = self._child("unbound", ["unbound", "-d", "-c", f"{BASE}/unbound/unbound.conf"])
        write("/etc/resolv.conf", f"nameserver {RESOLVER}\noptions timeout:2 attempts:2\n")
        return self

    def _child(self, name, command):
        child = Child(name, command).start()
        self.children.append(child)
        return child

    def await_ready(self):
        self.root.await_ready(lambda: probe.dns(ROOT, "test", "SOA", timeout=0.3).aa)
        for zone in self.zones:
            self.primary.await_ready(lambda: probe.dns(PRIMARY, zone, "SOA", timeout=0.3).aa)
            if self.secondary:
                self.secondary.await_ready(lambda: probe.dns(SECONDARY, zone, "SOA", timeout=0.3).aa)
        self.resolver.await_ready(lambda: probe.dns(RESOLVER, zone, "SOA", recursion=True, timeout=1).answer)

    def servers(self):
        return [PRIMARY, SECONDARY] if self.with_secondary else [PRIMARY]

    # -- files

    def _soa(self, serial=1):
        return f"@ 60 SOA ns1.example.test. hostmaster.example.test. {serial} 3600 600 86400 {self.negative_ttl}\n"

    def _ns(self):
        return "@ 60 NS ns1.example.test.\n" + ("@ 60 NS ns2.example.test.\n" if self.with_secondary else "")

    def _cuts(self, parent):
        """The delegations from one zone to the zones right below it."""
        children = [z for z in self.zones if z.endswith("." + parent) and
                    not any(z.endswith("." + other) and other.endswith("." + parent) for other in self.zones)]
        return "".join(self._ns().replace("@", child + ".") for child in children)

    def _files(self):
        glue = f"ns1.example.test. 60 A {PRIMARY}\nns2.example.test. 60 A {SECONDARY}\n"
        root_soa = "60 SOA ns.nic.test. hostmaster.nic.test. 1 3600 600 86400 60\n"
        write(f"{BASE}/root/root.zone",
              f"$ORIGIN .\n. {root_soa}. 60 NS ns.nic.test.\ntest. 60 NS ns.nic.test.\nns.nic.test. 60 A {ROOT}\n")
        write(f"{BASE}/root/test.zone",
              f"$ORIGIN test.\n@ {root_soa}@ 60 NS ns.nic.test.\nns.nic 60 A {ROOT}\n{self._cuts('test')}{glue}")
        self._nsd("root", ROOT, {".": "root.zone", "test": "test.zone"})
        for zone, lines in self.zones.items():
            text = f"$ORIGIN {zone}.\n{self._soa()}{self._ns()}" + (glue if zone == "example.test"
                                                                    else "") + self._cuts(zone) + lines
            for place in (self.software, "nsd"):
                write(f"{BASE}/{place}/zones/{zone}.zone", text)
        (self._bind if self.software == "bind" else self._knot)()
        self._nsd("nsd", SECONDARY, {zone: f"zones/{zone}.zone" for zone in self.zones},
                  f"  allow-notify: 127.0.0.0/8 NOKEY\n  request-xfr: AXFR {PRIMARY} NOKEY\n")
        self._unbound()

    @staticmethod
    def _nsd(place, address, zones, more=""):
        write(f"{BASE}/{place}/nsd.conf", f"""server:
  ip-address: {address}
  server-count: 1
  username: ""
  zonesdir: {BASE}/{place}
  database: ""
  zonelistfile: {BASE}/{place}/zone.list
  pidfile: {BASE}/{place}/nsd.pid
  xfrdfile: ""
  xfrdir: {BASE}/{place}
  xfrd-reload-timeout: 0
  rrl-ratelimit: 0
  verbosity: 2
remote-control:
  control-enable: no
""" + "".join(f'zone:\n  name: "{zone}"\n  zonefile: "{path}"\n{more}' for zone, path in zones.items()))

    def _knot(self):
        keys = "".join(f"  - id: {k['name']}\n    algorithm: {k['algorithm']}\n    secret: {k['secret']}\n"
                       for k in self.tsig.values())
        names = ", ".join(k["name"] for k in self.tsig.values())
        for folder in ("run", "db"):
            os.makedirs(f"{BASE}/knot/{folder}", exist_ok=True)
        write(f"{BASE}/knot/knot.conf", f"""server:
  rundir: {BASE}/knot/run
  listen: {PRIMARY}@53
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
log:
  - target: stderr
    any: info
database:
  storage: {BASE}/knot/db
  journal-db-max-size: 64M
key:
{keys}remote:
  - id: secondary
    address: {RELAY}@53
acl:
  - id: update
    action: update
    key: [{names}]
  - id: transfer
    action: transfer
    address: 127.0.0.0/8
template:
  - id: default
    storage: {BASE}/knot/zones
    file: "%s.zone"
    acl: [update, transfer]
    {"notify: secondary" if self.with_secondary else "semantic-checks: off"}
    zonefile-sync: -1
    zonefile-load: difference
    journal-content: changes
zone:
""" + "".join(f"  - domain: {zone}.\n" for zone in self.zones), 0o600)

    def _bind(self):
        # It listens on addresses of interfaces only, and lo answers for all of 127/8 without having them.
        subprocess.run(["ip", "address", "replace", f"{PRIMARY}/8", "dev", "lo"], check=True)
        keys = "".join(f'key "{k["name"]}" {{ algorithm {k["algorithm"]}; secret "{k["secret"]}"; }};\n' for k in self.tsig.values())
        grants = " ".join(f'grant "{k["name"]}" zonesub ANY;' for k in self.tsig.values())
        write(f"{BASE}/bind/named.conf", f"""options {{
  directory "{BASE}/bind";
  listen-on {{ {PRIMARY}; }};
  listen-on-v6 {{ none; }};
  recursion no;
  dnssec-validation no;
  allow-transfer {{ 127.0.0.0/8; }};
  notify explicit;
  {f"also-notify {{ {RELAY}; }};" if self.with_secondary else ""}
  notify-delay 0;
  pid-file none;
  session-keyfile none;
  lock-file none;
}};
controls {{ }};
{keys}""" + "".join(f'zone "{zone}" {{ type primary; file "zones/{zone}.zone"; update-policy {{ {grants} }}; }};\n' for zone in self.zones), 0o600)

    @staticmethod
    def _unbound():
        write(f"{BASE}/unbound/root.hints", f". 3600000 NS ns.nic.test.\nns.nic.test. 3600000 A {ROOT}\n")
        write(f"{BASE}/unbound/unbound.conf", f"""server:
  interface: {RESOLVER}
  do-daemonize: no
  username: ""
  chroot: ""
  directory: {BASE}/unbound
  pidfile: {BASE}/unbound/unbound.pid
  use-syslog: no
  log-queries: yes
  access-control: 127.0.0.0/8 allow
  do-not-query-localhost: no
  do-ip6: no
  module-config: iterator
  root-hints: {BASE}/unbound/root.hints
  local-zone: "test." nodefault
  num-threads: 1
remote-control:
  control-enable: yes
  control-interface: {BASE}/unbound/control
  control-use-cert: no
""")

    # -- acts

    def update(self, zone, *lines, algorithm="hmac-sha256"):
        """A dynamic update by knsupdate, e.g. update("example.test", "add a.example.test. 60 TXT x")."""
        key = self.tsig[algorithm]
        text = f"server {PRIMARY} 53\nzone {zone}.\n" + "".join(line + "\n" for line in lines) + "send\n"
        done = subprocess.run(["knsupdate", "-t", "5", "-y", f"{algorithm}:{key['name']}:{key['secret']}"], input=text,
                              text=True,
                              capture_output=True, timeout=30 * probe.BUSY, check=False)
        if done.returncode != 0:
            raise AssertionError(f"knsupdate: {done.stdout}{done.stderr}")

    def flush_resolver(self):
        """Unbound forgets everything below the root."""
        subprocess.run(["unbound-control", "-c", f"{BASE}/unbound/unbound.conf", "flush_zone", "."], check=True,
                       capture_output=True, timeout=10 * probe.BUSY)

    def resolver_cache(self):
        """What Unbound remembers, as text."""
        return subprocess.run(["unbound-control", "-c", f"{BASE}/unbound/unbound.conf", "dump_cache"], check=True,
                              capture_output=True, text=True, timeout=10 * probe.BUSY).stdout

    @staticmethod
    def resolver_asked():
        """Every (name, type) that anybody on this machine has asked Unbound."""
        return set(re.findall(r"info: 127\.0\.0\.1 (\S+?)\.? (\S+) in", probe.read_text(f"{BASE}/log/unbound.log").lower()))

    def zone_records(self, zone):
        """All (owner, type, text) of a zone as the primary has it, by transfer."""
        done = subprocess.run(["kdig", f"@{PRIMARY}", "AXFR", zone, "+noall", "+answer"], capture_output=True,
                              text=True, timeout=10 * probe.BUSY, check=False)
        rows = [line.split(None, 4) for line in done.stdout.splitlines() if line and not line.startswith(";")]
        return [(r[0], r[3], r[4]) for r in rows if len(r) == 5]

    def serial(self, server, zone):
        return probe.dns(server, zone, "SOA").values(zone, "SOA")[0][2]

    def in_step(self, zone):
        """Waits until the secondary has the primary's serial."""
        probe.until(lambda: len({self.serial(server, zone) for server in self.servers()}) == 1 and
                    (not self.secondary or reloaded(self.secondary)), 15, f"{zone} in step on all servers")

    def stop(self):
        for child in reversed(self.children):
            child.stop()
        if self.relay:
            self.relay.close()


class Nginx(Child):
    """nginx with its usual configuration file, so that plain `nginx -t` and `nginx -s reload` work."""

    def __init__(self, sites, webroot):
        """sites: [{"names": [...], "address": WEB, "pairs": [(fullchain, key), ...]}]."""
        super().__init__("nginx", ["nginx", "-g", "daemon off;"],
                         as_ids=None if namespace.has_many_users() else (WWW_DATA, WWW_DATA))
        self.sites, self.webroot = sites, webroot
        os.makedirs(webroot, exist_ok=True)

    def configure(self, extra=""):
        """extra: text at the end of the http block, e.g. something that breaks it."""
        os.makedirs(f"{BASE}/nginx", exist_ok=True)
        os.chmod(f"{BASE}/nginx", 0o777)
        servers = "".join(self._server(site) for site in self.sites)
        temporary = " ".join(f"{kind}_temp_path {BASE}/nginx/{kind};"
                             for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "www-data" if namespace.has_many_users() else "root"
        write("/etc/nginx/nginx.conf", f"""user {user};
pid /run/nginx.pid;
error_log {BASE}/log/nginx-error.log notice;
events {{ worker_connections 512; }}
http {{
  access_log off;
  {temporary}
  default_type text/plain;
  server {{ listen {WEB}:80 default_server; root {self.webroot}; }}
{servers}{extra}
}}
""")
        open("/run/nginx.pid", "ab").close()
        os.chmod("/run/nginx.pid", 0o666)

    @staticmethod
    def _server(site):
        pairs = "".join(f"    ssl_certificate {chain}; ssl_certificate_key {key};\n" for chain, key in site["pairs"])
        head = f"listen {site.get('address', WEB)}:443 ssl; server_name {' '.join(site['names'])};"
        return f"  server {{\n    {head}\n{pairs}    return 200 ok;\n  }}\n"

    def start(self, ready=None, limit_s=START_S):
        self.configure()
        wanted = {(site.get("address", WEB), 443) for site in self.sites} | {(WEB, 80)}
        return super().start(ready or (lambda: all(probe.tcp_open(*w) for w in wanted)), limit_s)

    def reload(self):
        self.signal(signal.SIGHUP)

    def settle(self, limit_s=10):
        """Waits until one worker is left, or none."""
        probe.until(lambda: not self.running() or len(probe.children(self.pid)) <= 1, limit_s, "nginx's old workers gone")


class Haproxy(Child):
    """haproxy in master-worker mode, serving every PEM bundle of a folder; SIGUSR2 to its master (/run/haproxy.pid)
    reloads."""

    def __init__(self, bundles="/etc/haproxy/certs"):
        super().__init__("haproxy", ["haproxy", "-W", "-f", "/etc/haproxy/haproxy.cfg", "-p", "/run/haproxy.pid"])
        self.bundles = bundles

    def start(self, ready=None, limit_s=START_S):
        write("/etc/haproxy/haproxy.cfg", f"""global
  stats socket /run/haproxy.sock mode 600 level admin
defaults
  mode http
  timeout connect 2s
  timeout client 5s
  timeout server 5s
frontend tls
  bind {HAPROXY}:443 ssl crt {self.bundles}
  http-request return status 200 content-type text/plain string ok
""")
        return super().start(ready or (lambda: probe.tcp_open(HAPROXY, 443)), limit_s)

    def reload(self):
        self.signal(signal.SIGUSR2)
