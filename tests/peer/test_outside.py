"""What others see and try: the control socket, the admin listener, SIGHUP, users without rights."""

import html.parser
import http.client
import json
import re
import signal
import socket
import subprocess
import time
import unittest

import namespace
import probe
from world import DCVD_UID, RUNTIME, World

ADMIN = "127.0.0.1:9853"
STRANGER, READER = (61002, 61002), (61002, 61003)
METRICS = """dcvd_alerts_total dcvd_build_info dcvd_ca_requests_total dcvd_certificate_last_failure_timestamp_seconds
    dcvd_certificate_last_success_timestamp_seconds dcvd_certificate_not_after_timestamp_seconds dcvd_certificate_reissuable
    dcvd_certificate_served_match dcvd_dns_queries_total dcvd_incident_deadline_timestamp_seconds dcvd_incident_remediation_seconds
    dcvd_incidents_open dcvd_job_next_attempt_timestamp_seconds dcvd_job_state_seconds dcvd_jobs dcvd_notifications_total
    dcvd_propagation_seconds dcvd_reissues_total dcvd_waiting""".split()
HISTOGRAMS = ("dcvd_incident_remediation_seconds", "dcvd_job_state_seconds", "dcvd_propagation_seconds")


def get(path, method="GET", address=ADMIN):
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10 * probe.BUSY)
    connection.request(method, path)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, dict(answer.getheaders()), text


def is_open(host, port):
    try:
        return probe.tcp_open(host, port)
    except OSError:
        return False


def samples(text):
    """Prometheus text format 0.0.4, read as strictly as promtool does: {(name, labels): value} and {family: type}."""
    found, types, helped = {}, {}, set()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split(" ")[2]
            assert name not in helped, f"{name} is helped twice"
            helped.add(name)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name in helped and name not in types, line
            types[name] = kind
        else:
            label = r'[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*"'
            match = re.fullmatch(r'([a-z_]+)(?:\{(' + label + r'(?:,' + label + r')*)\})? (-?[0-9.e+]+|[+-]Inf|NaN)', line)
            assert match, f"not a sample: {line}"
            family = re.sub(r"_(bucket|sum|count)$", "", match[1])
            assert types.get(match[1]) in ("counter", "gauge") or types.get(family) == "histogram", f"no type: {line}"
            assert (match[1], match[2]) not in found, f"twice: {line}"
            found[match[1], match[2]] = float(match[3])
    return found, types


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.outside = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.outside += [value for name, value in attributes if name in ("src", "href", "action", "style")]

    def handle_data(self, data):
        self.text.append(data)


class Control:
    def __init__(self, path=f"{RUNTIME}/dcvd.sock"):
        self.got = b""
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10 * probe.BUSY)
        self.socket.connect(path)

    def close(self):
        self.socket.close()

    def ask(self, data):
        self.socket.sendall(data)
        return self.answer()

    def answer(self):
        while b"\n" not in self.got:
            more = self.socket.recv(65536)
            if not more:
                return None
            self.got += more
        line, _, self.got = self.got.partition(b"\n")
        return json.loads(line)


class Outside(unittest.TestCase):
    def world(self, **more):
        world = World(**more)
        self.addCleanup(world.stop)
        world.start()
        self.config = world.default_config()
        self.config["certificates"]["www"]["rehearse"] = "never"
        self.config["admin"] = {"listen": ADMIN}
        world.write_config(self.config)
        return world

    def control(self):
        opened = Control()
        self.addCleanup(opened.close)
        return opened

    def test_the_admin_listener(self):
        world = self.world()
        begun = time.monotonic()
        world.start_dcvd()
        _, types = samples(get("/metrics")[2])
        self.assertEqual(sorted(types), METRICS, "a family is there before its first sample")
        self.assertEqual(world.dcvctl("reissue", "www", "--yes", "--wait").returncode, 0)
        self.assertEqual(world.dcvctl("reissue", "www", "--yes", "--wait").returncode, 5)
        self.assertEqual(world.dcvctl("deploy", "www", "--wait").returncode, 0)
        probe.until(lambda: "(R3" in world.dcvctl("status", "www").stdout, what="the REISSUE line")
        status, headers, text = get("/metrics")
        self.assertEqual((status, headers["Content-Type"]), (200, "text/plain; version=0.0.4; charset=utf-8"))
        found, types = samples(text)
        for name in METRICS:
            self.assertIn(name, types)
            wanted = "counter" if name.endswith("_total") else \
                "histogram" if name in HISTOGRAMS else "gauge"
            self.assertEqual(types[name], wanted, name)
        self.assertEqual(found["dcvd_certificate_reissuable", 'cert="www"'], 0)
        self.assertEqual(found["dcvd_certificate_served_match", 'cert="www",endpoint="127.0.2.1:443"'], 1)
        self.assertEqual(found["dcvd_reissues_total", 'cert="www",ca="tencent",result="done"'], 1)
        self.assertEqual([key for key in found if key[0] == "dcvd_reissues_total" and 'ca=""' in key[1]], [], "no reissue: put to use again")
        self.assertEqual(found["dcvd_propagation_seconds_count", 'publisher="zone"'], 2)
        self.assertGreater(found["dcvd_job_state_seconds_sum", 'state="keyed"'] + found["dcvd_job_state_seconds_sum", 'state="propagated"'], 0,
                           "no state took any time")
        spent = sum(value for (name, _), value in found.items() if name == "dcvd_job_state_seconds_sum")
        self.assertLess(spent, time.monotonic() - begun, "the states together took longer than the day")
        self.assertFalse([key for key in found if key[0] in ("dcvd_jobs", "dcvd_waiting")], "no job runs")
        self.assertEqual(get("/healthz")[::2], (200, "ok\n"))

        def same():  # the CA is asked anew now and then: between the two on a busy machine
            told = [json.loads(get("/status.json?fresh=1")[2]), world.dcvctl_json("status")[1]]
            for one in told:
                one.pop("now")
            return told[0] == told[1]
        probe.until(same, 20, "the page and dcvctl say the same")
        for path in ("/metrics", "/healthz", "/status.json", "/"):
            whole, headers, text = get(path, "HEAD")
            self.assertEqual((whole, text), (200, ""))
            self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
            for method in ("POST", "PUT", "DELETE", "OPTIONS", "BREW"):
                refused, headers, _ = get(path, method)
                self.assertEqual((refused, headers["Allow"]), (405, "GET, HEAD"))
        for path in ("/nothing", "//metrics", "/metrics/", "/%6detrics", "/..", "/.well-known/acme-challenge/x"):
            self.assertEqual(get(path)[0], 404, path)

    def test_unix_sockets_let_in_whom_they_are_for(self):
        world = self.world(services=("double", "nginx"))
        tokens, admin = f"{RUNTIME}/tokens.sock", f"{RUNTIME}/admin.sock"
        world.write_config({**self.config, "tokens": {"listen": tokens}, "admin": {"listen": f"unix:{admin}"}})
        world.start_dcvd(wrap=("sh", "-c", 'umask 077; exec "$@"', "sh"))  # as in the unit
        ask = lambda path, *more: subprocess.run(  # noqa: E731
            ["setpriv", "--reuid", "33", "--regid", more[0] if more else "33", "--clear-groups", "curl", "-so", "/dev/null", "-w",
             "%{http_code}", "--unix-socket", path, "http://dcvd/healthz"], capture_output=True, text=True, check=False).stdout
        if namespace.has_many_users():
            self.assertEqual((ask(tokens), ask(admin), ask(admin, str(DCVD_UID))), ("404", "000", "200"))
        said = lambda server: world.dcvctl("snippet", server).stdout  # noqa: E731
        self.assertIn(f"proxy_pass http://unix:{tokens}; proxy_set_header Host $host;", said("nginx"))
        self.assertIn(f'"unix:{tokens}|http://localhost/.well-known/acme-challenge/"', said("apache"))
        self.assertIn(f"server dcvd unix@{tokens}", said("haproxy"))
        self.assertIn(f"reverse_proxy unix/{tokens}", said("caddy"))

    def test_the_page_is_one_document_without_anything_from_outside(self):
        world = self.world(services=("double", "nginx"))
        world.start_dcvd()
        world.dcvctl("reissue", "www", "--yes", "--reason", "<script>alert(1)</script>")
        status, headers, text = get("/")
        page = Page(text)
        self.assertEqual((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
        self.assertEqual((page.outside, [t for t in page.tags if t in ("script", "img", "link", "iframe")]), ([], []))
        self.assertIn("www", page.text)

    def test_a_gauge_says_what_waits(self):
        world = self.world()
        world.start_dcvd()
        world.dns.relay.hold()
        world.dcvctl("reissue", "www", "--yes")
        running = lambda: samples(get("/metrics")[2])[0].get(("dcvd_jobs", 'cert="www",state="propagated"'))  # noqa: E731
        probe.until(lambda: running() == 1, what="the gauge of the job that spreads tokens")

    def test_sighup_takes_listeners_whole_or_not_at_all(self):
        world = self.world(services=("double", "nginx"))
        self.config["tokens"] = {"listen": ["127.0.3.1:8402"]}
        world.write_config(self.config)
        world.start_dcvd()

        def asked(what):
            connection.request("GET", "/healthz")
            self.assertEqual(connection.getresponse().read(), b"ok\n", what)

        def reload(config, said, stays=True):
            before = len(probe.read_text(world.dcvd.log))
            world.write_config(config)
            world.dcvd.signal(signal.SIGHUP)
            since = lambda: probe.read_text(world.dcvd.log)[before:]  # noqa: E731
            probe.until(lambda: "stays in force" in since() or "new configuration:" in since(), what="the end of the reload")
            self.assertIn(said, since())
            if stays:  # an idle connection would be closed in the end
                asked("what stays was touched")

        connection = http.client.HTTPConnection("127.0.0.1", 9853, timeout=10 * probe.BUSY)  # stays open over the reload
        self.addCleanup(connection.close)
        asked("at first")
        taken = socket.create_server(("127.0.3.1", 8404))
        bad = {**self.config, "tokens": {"listen": ["127.0.3.1:8403", "127.0.3.1:8404"]}, "admin": {"listen": "127.0.0.1:9854"}}
        reload(bad, "not taken")
        self.assertEqual([is_open("127.0.3.1", port) for port in (8402, 8403)], [True, False])
        self.assertEqual([is_open("127.0.0.1", port) for port in (9853, 9854)], [True, False])
        taken.close()
        for wrong, said in (({"resolvers": ["192.0.2.1"]}, "resolvers cannot change while dcvd runs"),
                            ({"runtime_directory": "/run/other"}, "runtime_directory cannot change"),
                            ({"proxy": {"url": "http://127.0.0.1:3128"}}, "proxy cannot change"),
                            ({"limits": {"jobs": 0}}, "limits.jobs")):
            reload({**self.config, **wrong}, said)
        reload("log: {level: [}", "is not YAML")
        good = {**self.config, "tokens": {"listen": ["127.0.3.1:8402", "127.0.3.1:8403"]},
                "admin": {"listen": [ADMIN, "127.0.0.1:9854"]}}
        reload(good, "new configuration: 1 certificate")
        self.assertEqual([is_open("127.0.3.1", port) for port in (8402, 8403)], [True, True])
        self.assertEqual(get("/healthz", address="127.0.0.1:9854")[0], 200)
        reload({**good, "tokens": {"listen": "127.0.3.1:8403"}, "admin": {"listen": "127.0.0.1:9854"}}, "new configuration", stays=False)
        self.assertEqual([is_open("127.0.3.1", port) for port in (8402, 8403)], [False, True])
        self.assertEqual([is_open("127.0.0.1", port) for port in (9853, 9854)], [False, True])

    def test_the_control_socket_takes_anything(self):
        world = self.world(services=("double", "nginx"))
        world.start_dcvd()
        for garbage in (b"\n", b"x\n", b"{}\n", b"[]\n", b'{"verb": 1}\n', b'{"verb": "nothing"}\n', b'{"verb": "status", "args": []}\n',
                        b'{"verb": "status", "verb": "status"}\n', b"\x00\xff\xfe\n", b"[" * 5000 + b"\n", b'{"verb": "\xff"}\n'):
            answer = self.control().ask(garbage)
            self.assertIn("error", answer, garbage)
        for verb in ("status", "sets", "job", "history", "reissue", "cancel", "withdraw", "import", "list", "deploy", "forget", "verify",
                     "follow"):
            for arguments in ({}, {"cert": 7}, {"cert": None, "certs": "x"}, {"certs": [1, None, {}]}, {"jobs": 5, "id": "x"}, {"cert": "www", "set": -1}):
                answer = self.control().ask(json.dumps({"verb": verb, "args": arguments}).encode() + b"\n")
                self.assertTrue(answer is None or "error" in answer or "result" in answer, (verb, arguments, answer))
        huge = self.control()
        with self.assertRaises(OSError):  # 512 KiB are allowed, then the connection is gone
            for _ in range(64):
                huge.socket.sendall(b"x" * 65536)
        half = [self.control() for _ in range(50)]
        for one in half:
            one.socket.sendall(b'{"verb": "sta')
        both = self.control()
        both.socket.sendall(b'{"verb": "status"}\n{"verb": "sets", "args": {"cert": "www"}}\n')
        first = both.answer()
        self.assertIn("certificates", first["result"])
        self.assertIn("sets", both.answer()["result"], "two requests at once")
        crowd = [self.control() for _ in range(100)]  # no programs: they could take longer than half a request may
        for one in crowd:
            one.socket.sendall(b'{"verb": "status"}\n')
        for one in crowd:
            self.assertIn("result", one.answer(), "a hundred at once")
        for one in half:
            one.socket.sendall(b'tus"}\n')
            self.assertIn("result", one.answer())

    def test_users_without_rights_get_nothing_and_block_nobody(self):
        if not namespace.has_many_users():
            self.skipTest("one user only: nobody is a stranger")
        world = self.world(services=("double", "nginx"))
        for arguments in (["reissue", "www", "--local", "--yes"], ["withdraw", "--stale"], ["history"]):
            done = world.dcvctl(*arguments, as_ids=STRANGER)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("sudo dcvctl " + " ".join(arguments), done.stderr)
            self.assertEqual("no daemon answers" in done.stderr, "--local" not in arguments, "nobody was asked with --local")
        self.assertIn(r"sudo dcvctl history 'it'\''s'", world.dcvctl("history", "it's", as_ids=STRANGER).stderr)
        world.start_dcvd()
        self.assertEqual(world.dcvctl("status", as_ids=READER).returncode, 0)
        for who, arguments, group in ((STRANGER, ["status"], "read"), (READER, ["reissue", "www", "--yes"], "act"),
                                      (READER, ["cancel", "www"], "act"), (STRANGER, ["history"], "read")):
            done = world.dcvctl(*arguments, as_ids=who)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(f"join one of the groups of control.{group}", done.stderr)
        crowd = ("import signal, socket, sys\nheld = []\nfor _ in range(1000):\n    s = socket.socket(socket.AF_UNIX)\n    held.append(s)\n"
                 "    s.connect(sys.argv[1])\nprint('held', flush=True)\nsignal.pause()\n")
        child = world.child("crowd", ["prlimit", "--nofile=4096", "python3", "-c", crowd, f"{RUNTIME}/dcvd.sock"], as_ids=STRANGER)
        probe.until(lambda: "held" in child.tail(), what="a thousand connections")
        for _ in range(5):
            self.assertEqual(world.dcvctl("status").returncode, 0)
        self.assertEqual(world.ledger("ReplaceCertificate"), [])


if __name__ == "__main__":
    unittest.main()
