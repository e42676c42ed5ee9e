"""Deployments that are watched, killed and reconfigured: a reader at 1 kHz, haproxy, kill -9 of dcvd-helper, SIGHUP in the middle of a job."""

import os
import signal
import subprocess
import threading
import time
import unittest

import probe
from servers import HAPROXY, WEB, write
from test_deploy import quick
from world import FREE, World

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
    """The processes of dcvd-helper that run now."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if probe.read_text(f"/proc/{pid}/comm").strip() == "dcvd-helper":
                found.append(int(pid))
        except OSError:
            pass
    return found


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
            probe.until(lambda: "the old one stays in force" in world.dcvd.tail(), 10, "the refusal")
            config["certificates"]["shop"] = {"names": ["shop.test"], "ca": "tencent", "certificate_id": "none0001", "publisher": "zone"}
            config["cas"]["tencent"]["secret_key"]["file"] = world.secret("tencent-again", probe.read_text(config["cas"]["tencent"]["secret_key"]["file"]))
            world.write_config(config)
            world.dcvd.signal(signal.SIGHUP)
            probe.until(lambda: "new configuration: 2 certificates" in world.dcvd.tail(), 10, "the new configuration")
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
