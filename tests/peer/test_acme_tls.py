"""tls-alpn-01 (RFC 8737) and addresses (RFC 8738) at Pebble, with real validation: dcvd's own listener on port 443, and
what it refuses to everybody else."""

import os
import re
import signal
import subprocess
import sys
import unittest

import probe
from acme_world import AcmeCase
from servers import RESPONDER, WEB


def asked(name, alpn=None):
    """What `openssl s_client` says to a handshake with this name and protocol."""
    how = ["-alpn", alpn] if alpn else []
    done = subprocess.run(["openssl", "s_client", "-connect", f"{RESPONDER}:443", "-servername", name, *how], text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=10 * probe.BUSY, check=False)
    return done.stdout + done.stderr


class AcmeTls(AcmeCase):
    def test_names_and_addresses_are_validated_by_handshakes(self):
        world = self.world()
        pebble = self.pebble(world, no_nonce=20)
        by_tls = {"validation": "tls-alpn", "publisher": "self"}
        certificates = {
            "ec": self.certificate("ec", ["www.responder.test"], **by_tls),
            "rsa": self.certificate("rsa", ["responder.test"], key={"type": "rsa-2048"}, validation="tls-alpn"),
            "ip": self.certificate("ip", [RESPONDER, "www.responder.test"], **by_tls),
            "file": self.certificate("file", [RESPONDER, "responder.test"], validation="file", publisher="self")}
        for cert in ("ip", "file"):  # nginx shows one certificate a name
            certificates[cert]["deploy"][0]["services"][0]["verify"] = []
        config = self.configure(world, pebble, certificates, start=False)
        config["tokens"]["tls_listen"] = [f"{RESPONDER}:443"]
        world.write_config(config)
        world.start_dcvd()
        for at, cert in enumerate(("ec", "rsa", "ip", "file")):
            done = self.issue(world, cert)
            self.assertEqual(pebble.issued(), at + 1, done.stderr)
        self.assertIn("IP Address:" + RESPONDER, self.names_of("ip"))
        self.assertIn("IP Address:" + RESPONDER, self.names_of("file"))
        for name, alpn in (("www.responder.test", "acme-tls/1"), ("www.responder.test", None), ("www.responder.test", "h2")):
            self.assertNotIn("BEGIN CERTIFICATE", asked(name, alpn), "nothing is published now")
        for value, said in (((), []), (("--value", "a.b"), [("A02", RESPONDER), ("A02", RESPONDER)])):  # should it be there now?
            document = world.dcvctl_json("check", "--name", RESPONDER, "www.responder.test", "--validation", "tls-alpn", "--internal", *value)[1]
            self.assertEqual([(f["id"], f["subject"]) for f in document["findings"] if f["severity"] == "fatal"], said, document["findings"])
        self.judge(world)

    def test_addresses_of_version_6(self):
        """Written as they are written, ordered and certified as RFC 8738 has them."""
        world = self.world()
        added = subprocess.run(["ip", "address", "add", "fd00::2/128", "dev", "lo", "nodad"], capture_output=True, text=True, check=False)
        if added.returncode:
            self.skipTest(f"no IPv6 here: {added.stderr}")
        pebble = self.pebble(world)
        certificates = {"file": self.certificate("file", ["FD00:0::2"], validation="file", publisher="self"),
                        "tls": self.certificate("tls", ["fd00::2"], validation="tls-alpn", publisher="self")}
        for certificate in certificates.values():
            certificate["deploy"][0]["services"][0]["verify"] = []
        config = self.configure(world, pebble, certificates, start=False)
        config["tokens"] = {"listen": ["[fd00::2]:80"], "tls_listen": ["[fd00::2]:443"]}
        world.write_config(config)
        world.start_dcvd()
        for at, cert in enumerate(certificates):
            self.issue(world, cert)
            self.assertEqual(pebble.issued(), at + 1)
            self.assertIn("IP Address:FD00:0:0:0:0:0:0:2", self.names_of(cert))
        self.judge(world)

    PASSING_ON = """import os, socket, sys
places = [("tokens", 80), ("tokens-tls", 443)]
for at, (_, port) in enumerate(places):
    os.dup2(socket.create_server((sys.argv[1], port)).detach(), 3 + at)
    os.set_inheritable(3 + at, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(places)), LISTEN_FDNAMES=":".join(name for name, _ in places))
os.execv(sys.argv[2], sys.argv[2:])"""

    def test_sockets_that_are_passed_in_are_told_apart_by_name(self):
        world = self.world()
        pebble = self.pebble(world)
        config = self.configure(world, pebble, {
            "tls": self.certificate("tls", ["www.responder.test"], validation="tls-alpn", publisher="self"),
            "file": self.certificate("file", ["responder.test"], validation="file", publisher="self")}, start=False)
        config["tokens"] = {"listen": ["systemd"], "tls_listen": ["systemd"]}
        world.write_config(config)
        world.start_dcvd(wrap=[sys.executable, "-c", self.PASSING_ON, RESPONDER])
        broker = probe.children(world.dcvd.pid)[0]
        passed = {os.readlink(f"/proc/{world.dcvd.pid}/fd/{fd}") for fd in (3, 4)}
        self.assertEqual(len(passed), 2)
        self.assertFalse(passed & {os.readlink(f"/proc/{broker}/fd/{fd}") for fd in os.listdir(f"/proc/{broker}/fd")}, "nor do its helpers have them")
        for at, cert in enumerate(("tls", "file")):
            self.issue(world, cert)
            self.assertEqual(pebble.issued(), at + 1)

    def names_of(self, cert):
        return probe.openssl("x509", "-noout", "-ext", "subjectAltName", stdin=probe.read_text(f"/etc/nginx/tls/{cert}/fullchain.pem"))

    def test_another_server_on_port_443_is_named(self):
        """Without a listener nothing is ordered. With one elsewhere: the web server answers, and the CA is not asked."""
        world = self.world()
        pebble = self.pebble(world)
        config = self.configure(world, pebble, {"www": self.certificate(
            "www", ["www.example.test"], validation="tls-alpn", propagation={"timeout": "3s", "consecutive": 1})})
        done = world.dcvctl("issue", "www", "--wait")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("tokens.tls_listen", done.stderr)
        self.assertEqual(pebble.said("order-plz"), 0)
        config["tokens"]["tls_listen"] = [f"{RESPONDER}:443"]
        world.write_config(config)
        world.dcvd.signal(signal.SIGHUP)
        probe.until(lambda: "new configuration" in probe.read_text(world.dcvd.log), 5, "taken")
        self.run_well(world, "issue", "www", "--detach")
        said = probe.until(lambda: [line for line in probe.read_text(world.dcvd.log).splitlines()
                                    if "is not shown everywhere" in line], 20, "told")[0]
        self.assertIn(f"tls-alpn www.example.test is not shown everywhere: www.example.test ({WEB})", said)
        self.assertIn("acme-tls/1", said)
        self.assertEqual(pebble.said("chalZ"), 0)


if __name__ == "__main__":
    unittest.main()
