"""Deployments that are watched, killed and reconfigured: a reader at 1 kHz, haproxy, kill -9 of dcvd-helper, SIGHUP in the middle of a job."""

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import probe
from servers import HAPROXY, WEB, write
from test_deploy import quick
from world import CONFIG, FREE, World

SLOW_TEST = """#!/bin/sh
n=$(($(cat /run/calls) + 1))
echo $n >/run/calls
[ $n != "$(cat /run/slow-at)" ] || { : >/run/reached; exec sleep 60; }
exec /usr/sbin/nginx -t
"""


class Reader(threading.Thread):
    """Opens the live directory once a millisecond and reads through it, as whoever wants certainty does."""

    def __init__(self, directory, names):
        super().__init__(daemon=True)
        self.live, self.names, self.sets, self.gaps, self.reads, self.stopping = f"{directory}/.dcvd/live", names, set(), [], 0, False

    def run(self):
        while not self.stopping:
            try:
                self.sets.add(self._read())
            except OSError as error:
                self.gaps.append(str(error))
            self.reads += 1
            time.sleep(0.001)

    def _read(self):
        live = os.open(self.live, os.O_RDONLY | os.O_DIRECTORY)
        try:
            texts = []
            for name in self.names:
                with open(os.open(name, os.O_RDONLY, dir_fd=live), encoding="ascii") as f:
                    texts.append(f.read())
            return tuple(texts)
        finally:
            os.close(live)

    def stop(self):
        self.stopping = True
        self.join()


def helpers():
    """The processes of dcvd-helper that run now; one that ended waits for its broker's next start."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if re.match(r"\d+ \(dcvd-helper\) [^ZX]", probe.read_text(f"/proc/{pid}/stat")):
                found.append(int(pid))
        except OSError:
            pass
    return found


class Starts(threading.Thread):
    """Every start of dcvd-helper, looked for once a millisecond; not what it forks, which has its name for a moment."""

    def __init__(self):
        super().__init__(daemon=True)
        self.seen, self.stopping = {}, False

    def run(self):
        while not self.stopping:
            for pid in helpers():
                if pid not in self.seen and self._is_start(pid):
                    self.seen[pid] = self._when(pid)
            time.sleep(0.001)

    @staticmethod
    def _when(pid):
        """By the kernel's clock, however late it is seen; never, of one that has ended already."""
        try:
            return int(probe.read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        except OSError:
            return 0

    @staticmethod
    def _is_start(pid):
        try:
            parent = re.search(r"^PPid:\s*(\d+)", probe.read_text(f"/proc/{pid}/status"), re.MULTILINE).group(1)
            return probe.read_text(f"/proc/{parent}/comm").strip() == "dcvd-broker"
        except OSError:
            return False

    def stop(self):
        """When each of them was, oldest first."""
        self.stopping = True
        self.join()
        return sorted(filter(None, self.seen.values()))


class Program:
    """dcvd-helper itself, over a connection that may stay."""

    def __init__(self, config, **kwargs):
        self.near, far = socket.socketpair()
        self.near.settimeout(30 * probe.BUSY)
        with far:
            self.process = subprocess.Popen([os.path.join(os.environ["DCVD_BUILD"], "dcvd-helper"), "--config", config],
                                            stdin=far, stdout=far, **kwargs)
        self.answers = self.near.makefile("rb")

    def ask(self, blob=b"", **header):
        self.near.sendall(json.dumps({**header, "blob": len(blob)}).encode() + b"\n" + blob)
        return json.loads(self.answers.readline())

    def end(self):
        self.answers.close()
        self.near.close()
        return self.process.wait(30 * probe.BUSY)


def belongs(chain, key):
    return probe.spki_of_certificate(chain) == probe.spki_of_key(key)


class Helper(unittest.TestCase):
    def take_over(self, world, config):
        directory = config["certificates"]["www"]["deploy"][0]["directory"]
        world.write_config(config)
        world.start_dcvd()
        done = world.dcvctl("import", "www", "--cert", world.original(FREE["id"], "fullchain.pem"), "--key", world.original(FREE["id"], "privkey.pem"))
        self.assertEqual(done.returncode, 0, done.stderr)
        return directory

    def good(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_what_runs_as_root_holds_nothing_that_talks_to_a_network(self):
        program = os.path.join(os.environ["DCVD_BUILD"], "dcvd-helper")
        libraries = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        self.assertIn("libyaml", libraries)
        for name in ("curl", "cares", "microhttpd", "ssl.so", "gnutls", "ldns", "sqlite"):
            self.assertNotIn("lib" + name, libraries)

    def test_only_the_daemon_needs_libsystemd(self):
        for name in ("dcvd", "dcvctl", "dcvd-helper"):
            libraries = subprocess.run(["ldd", os.path.join(os.environ["DCVD_BUILD"], name)], capture_output=True, text=True, check=True).stdout
            self.assertEqual("libsystemd" in libraries, name == "dcvd", name)

    def test_its_options(self):
        ask = lambda *words: subprocess.run([os.path.join(os.environ["DCVD_BUILD"], "dcvd-helper"), *words],  # noqa: E731
                                            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        for words in (("--help",), ("-h",)):
            self.assertEqual((ask(*words).returncode, ask(*words).stdout.partition(" ")[0], ask(*words).stderr), (0, "usage:", ""))
        self.assertRegex(ask("--version").stdout, r"^dcvd-helper \d+\.\d+\.\d+\n$")
        self.assertEqual((ask("--hlep").returncode, ask("--hlep").stdout), (2, ""))

    def test_its_log_is_for_the_journal_where_its_stderr_is_that(self):
        for here, said in ((True, r"<3>request: .+\n"), (False, r"\d{4}-\d\d-\d\dT\S+Z dcvd-helper: error: request: .+\n")):
            with tempfile.TemporaryFile("w+") as log:
                of = os.fstat(log.fileno())
                stream = f"{of.st_dev}:{of.st_ino + (not here)}"  # of a service whose stderr was somewhere else
                helper = Program("/nonexistent", stderr=log, env={**os.environ, "JOURNAL_STREAM": stream})
                helper.near.sendall(b"nothing like a request\n")
                helper.answers.readline()
                helper.end()
                log.seek(0)
                self.assertRegex(log.read(), f"^{said}$")

    def test_its_log_has_the_form_that_the_configuration_says(self):
        with World() as world:
            config = world.default_config()
            quick(config)
            config["log"] = {"format": "json"}
            config["certificates"]["www"]["deploy"][0]["services"][0]["test"] = ["/bin/false"]
            self.take_over(world, config)
            self.assertEqual(world.dcvctl("deploy", "www", "--yes", "--wait").returncode, 5)
            lines = [json.loads(line) for line in probe.read_text(world.dcvd.log).splitlines()]
            self.assertIn(("dcvd-helper", "error"), [(line["program"], line["level"]) for line in lines])

    def test_a_reader_at_1_khz_never_sees_a_mixture(self):
        with World() as world:
            config = world.default_config()
            quick(config)
            world.start_nginx()
            directory = self.take_over(world, config)
            self.good(world.dcvctl("deploy", "www", "--yes", "--wait"))
            reader = Reader(directory, ("fullchain.pem", "privkey.pem"))
            reader.start()
            self.good(world.dcvctl("reissue", "www", "--yes", "--wait"))
            for number in ("1", "2", "1", "2"):
                self.good(world.dcvctl("deploy", "www", "--set", number, "--yes", "--wait"))
            reader.stop()
            self.assertEqual(reader.gaps, [])
            self.assertEqual(len(reader.sets), 2)
            self.assertGreater(reader.reads, 500)
            for chain, key in reader.sets:
                self.assertTrue(belongs(chain, key))

    def test_haproxy_gets_one_file_and_a_signal(self):
        with World(services=("dns", "double")) as world:
            config = world.default_config()
            target = quick(config)
            world.start_haproxy(FREE["id"])
            target.update({"directory": "/etc/haproxy/certs", "mode": "0600", "files": {f"{FREE['id']}.pem": "combined"}, "services": [
                {"name": "haproxy", "test": ["/usr/sbin/haproxy", "-c", "-f", "/etc/haproxy/haproxy.cfg"],
                 "signal": {"name": "USR2", "pidfile": "/run/haproxy.pid"}, "verify": [f"{HAPROXY}:443"]}]})
            self.take_over(world, config)
            before = probe.served(HAPROXY, "www.example.test").der
            done = world.dcvctl("reissue", "www", "--key-compromised", "--yes", "--wait")
            self.good(done)
            self.assertIn(f"{HAPROXY}:443 as www.example.test serves the new certificate", done.stderr)
            self.assertNotEqual(probe.served(HAPROXY, "www.example.test").der, before)
            self.assertEqual(os.stat(f"/etc/haproxy/certs/{FREE['id']}.pem").st_mode & 0o777, 0o600)
            world.assert_invariants(self)

    def test_a_helper_that_is_killed_leaves_a_whole_set_and_the_job_goes_on(self):
        """Its calls of the test: 1 before the order, 2 before anything is changed, 3 after the switch."""
        for call in (2, 3):
            with self.subTest(call=call), World() as world:
                config = world.default_config()
                quick(config)["services"][0]["test"] = ["/usr/local/bin/slow-test"]
                write("/usr/local/bin/slow-test", SLOW_TEST, 0o755)
                write("/run/calls", "0\n", 0o666)
                write("/run/slow-at", f"{call}\n")
                world.start_nginx()
                directory = self.take_over(world, config)
                world.dcvctl("reissue", "www", "--key-compromised", "--yes", "--detach")
                probe.until(lambda: os.path.exists("/run/reached"), 20, "the helper in the middle of it")
                for pid in helpers():
                    os.kill(pid, signal.SIGKILL)
                os.unlink("/run/reached")
                live = f"{directory}/.dcvd/live" if call == 3 else directory
                self.assertTrue(belongs(probe.read_text(f"{live}/fullchain.pem"), probe.read_text(f"{live}/privkey.pem")))
                probe.until(lambda: world.dcvctl_json("status", "www")[1]["certificates"][0]["job"] is None, 60, "the job done")
                self.assertIn("served -> done", world.dcvctl("history", "www").stdout)
                self.assertEqual(len(world.ledger("ReplaceCertificate")), 1)
                self.assertTrue(belongs(world.served().pem, probe.read_text(f"{directory}/privkey.pem")))
                world.assert_invariants(self)

    def test_a_new_configuration_in_the_middle_of_a_job(self):
        """The second target's directory is missing, and the one above it: both are made."""
        with World() as world:
            config = world.default_config()
            quick(config)
            config["certificates"]["www"]["deploy"].append({"directory": "/etc/nginx/new/www"})
            world.start_nginx()
            self.take_over(world, config)
            world.dns.relay.hold()
            world.dcvctl("reissue", "www", "--yes", "--detach")
            probe.until(lambda: (world.dcvctl_json("status", "www")[1]["certificates"][0]["job"] or {}).get("state") == "propagated", 20, "tokens out")
            world.write_config("certificates: [nonsense]\n")
            world.dcvd.signal(signal.SIGHUP)
            probe.until(lambda: "the old one stays in force" in probe.read_text(world.dcvd.log), 10, "the refusal")
            config["certificates"]["shop"] = {"names": ["shop.test"], "ca": "tencent", "certificate_id": "none0001", "publisher": "zone"}
            config["cas"]["tencent"]["secret_key"]["file"] = world.secret("tencent-again", probe.read_text(config["cas"]["tencent"]["secret_key"]["file"]))
            world.write_config(config)
            world.dcvd.signal(signal.SIGHUP)
            probe.until(lambda: "new configuration: 2 certificates" in probe.read_text(world.dcvd.log), 10, "the new configuration")
            self.assertEqual(world.dcvctl_json("status", "www")[1]["certificates"][0]["job"]["state"], "propagated")
            world.dns.relay.release()
            probe.until(lambda: world.dcvctl_json("status", "www")[1]["certificates"][0]["job"] is None, 30, "the job done")
            self.assertIn("served -> done", world.dcvctl("history", "www").stdout)
            self.assertEqual(len(world.ledger("ReplaceCertificate")), 1)
            self.assertTrue(belongs(world.served().pem, probe.read_text(f"/etc/nginx/tls/{FREE['id']}/privkey.pem")))
            for place in ("/etc/nginx/new", "/etc/nginx/new/www"):
                made = os.stat(place)
                self.assertEqual((made.st_mode & 0o7777, made.st_uid), (0o755, 0), place)
            self.assertTrue(belongs(world.served().pem, probe.read_text("/etc/nginx/new/www/privkey.pem")))
            world.assert_invariants(self)

    def three_targets(self, config):
        deploy = config["certificates"]["www"]["deploy"]
        deploy.extend({"directory": f"/etc/nginx/more/{n}"} for n in "ab")

    def test_a_burst_of_requests_is_served_by_one_process_that_does_not_stay(self):
        with World() as world:
            config = world.default_config()
            quick(config)
            self.three_targets(config)
            world.start_nginx()
            self.take_over(world, config)
            probe.until(lambda: not helpers(), 10, "no helper at rest")

            def burst():
                starts = Starts()
                starts.start()
                self.good(world.dcvctl("deploy", "www", "--yes", "--wait"))
                seen = starts.stop()
                for one, another in zip(seen, seen[1:]):
                    self.assertGreater(another - one, 0.95, "the one of before was idle for less than a second")
                return seen
            probe.until(burst, 10, "a start that was seen")
            probe.until(lambda: not helpers(), 10, "no helper at rest")
            world.assert_invariants(self)

    def test_an_idle_helper_that_is_killed_is_not_missed(self):
        with World() as world:
            config = world.default_config()
            quick(config)
            world.start_nginx()
            self.take_over(world, config)
            for _ in range(3):
                self.good(world.dcvctl("deploy", "www", "--yes", "--wait"))
                for pid in helpers():
                    os.kill(pid, signal.SIGKILL)

    def test_what_a_helper_is_asked_follows_the_configuration_at_once(self):
        """Within the second in which the helper of before is there."""
        with World() as world:
            config = world.default_config()
            quick(config)
            world.start_nginx()
            self.take_over(world, config)
            for n in range(4):
                self.good(world.dcvctl("deploy", "www", "--yes", "--wait"))
                config["certificates"]["www"]["deploy"].append({"directory": f"/etc/nginx/new/{n}"})
                world.write_config(config)
                world.dcvd.signal(signal.SIGHUP)
                probe.until(lambda: world.dcvd.tail(1 << 20).count("new configuration: ") == n + 1, 10, "the new configuration")
                self.good(world.dcvctl("deploy", "www", "--yes", "--wait"))
                self.assertTrue(os.path.exists(f"/etc/nginx/new/{n}/privkey.pem"))

    def test_the_program_serves_one_after_another_by_the_configuration_of_the_moment(self):
        with World(services=()) as world:
            config = world.default_config()
            for root in ("one", "two"):
                os.makedirs(f"/run/{root}")
            config["publishers"]["site"] = {"type": "webroot", "directory": "/run/one"}
            put = {"verb": "token-put", "publisher": "site", "host": "www.example.test"}
            helper = Program(world.write_config(config))
            for n in range(3):
                answer = helper.ask(b"x", path=f"/.well-known/acme-challenge/{n}", **put)
                self.assertEqual((answer.get("error"), answer["more"]), (None, True))
            config["publishers"]["site"]["directory"] = "/run/two"
            world.write_config(config)
            self.assertNotIn("error", helper.ask(b"x", path="/.well-known/acme-challenge/3", **put))
            self.assertEqual([sorted(os.listdir(f"/run/{root}/.well-known/acme-challenge")) for root in ("one", "two")], [["0", "1", "2"], ["3"]])
            self.assertEqual(helper.end(), 0)
            garbage = Program(CONFIG)
            self.assertTrue(garbage.ask(b"x", path="/.well-known/acme-challenge/4", **put)["more"])
            garbage.near.sendall(b"GET / HTTP/1.1\r\n\r\n")
            answer = json.loads(garbage.answers.readline())
            self.assertEqual((answer["error"]["kind"], answer["more"]), ("protocol", False))
            self.assertEqual(garbage.answers.readline(), b"")
            self.assertEqual(garbage.process.wait(30 * probe.BUSY), 1)
            garbage.end()

    def test_a_place_that_cannot_be_made_costs_nothing(self):
        with World() as world:
            config = world.default_config()
            quick(config)["directory"] = "/etc/nginx/nginx.conf/tls/www"
            world.start_nginx()
            self.take_over(world, config)
            done = world.dcvctl("reissue", "www", "--yes", "--wait")
            self.assertEqual(done.returncode, 5, done.stderr)
            self.assertIn("/etc/nginx/nginx.conf is not a directory", done.stderr)
            self.assertIn("move it away, or name another directory", done.stderr)
            self.assertEqual(world.ledger("ReplaceCertificate"), [])


if __name__ == "__main__":
    unittest.main()
