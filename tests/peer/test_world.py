"""The harness itself: real servers come up, a change arrives everywhere, the double validates and issues, faults of
the checker are found."""

import os
import signal
import subprocess
import unittest

import invariants
import namespace
import probe
from servers import HAPROXY, PRIMARY, RESOLVER, SECONDARY, TSIG_ALGORITHMS, WEB, Child, write
from world import FREE, World

ECDSA = {"id": "ecdsa001", "names": FREE["names"], "package_type": "11", "key": "ec-p256"}


class Harness(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World(certificates=[FREE, ECDSA])
        cls.world.__enter__()
        cls.addClassCleanup(cls.world.__exit__, None, None, None)

    def values(self, server, name, recursion=False):
        return probe.dns_values(server, name, "TXT", recursion)

    def test_an_update_arrives_at_both_servers_and_at_the_resolver(self):
        dns = self.world.dns
        for number, algorithm in enumerate(TSIG_ALGORITHMS):
            name = f"t{number}.example.test"
            dns.update("example.test", f"add {name}. 60 TXT \"{algorithm}\"", algorithm=algorithm)
            self.assertEqual(self.values(PRIMARY, name), [algorithm])
        probe.until(lambda: self.values(SECONDARY, name) == [algorithm], 15, "the secondary's copy")
        dns.in_step("example.test")
        self.assertEqual(self.values(RESOLVER, name, True), [algorithm])
        self.assertIn((name + ".", "TXT", f'"{algorithm}"'), dns.zone_records("example.test"))

    def test_an_update_with_a_wrong_key_is_refused(self):
        key = self.world.dns.tsig["hmac-sha256"]
        good, key["secret"] = key["secret"], "d3Jvbmc="
        self.addCleanup(key.__setitem__, "secret", good)
        with self.assertRaises(AssertionError):
            self.world.dns.update("shop.test", "add w.shop.test. 60 TXT x")
        self.assertEqual(self.values(PRIMARY, "w.shop.test"), [])

    def test_the_secondary_lags_on_command(self):
        dns = self.world.dns
        dns.in_step("shop.test")
        dns.relay.hold()
        dns.update("shop.test", "add late.shop.test. 60 TXT x")
        probe.until(lambda: dns.relay.held, 15, "a held NOTIFY")
        self.assertEqual((self.values(PRIMARY, "late.shop.test"), self.values(SECONDARY, "late.shop.test")),
                         (["x"], []))
        dns.relay.release()
        probe.until(lambda: self.values(SECONDARY, "late.shop.test") == ["x"], 15, "the secondary's copy")

    def test_the_resolver_remembers_what_was_not_there(self):
        dns = self.world.dns
        self.assertEqual(self.values(RESOLVER, "early.shop.test", True), [])
        dns.update("shop.test", "add early.shop.test. 60 TXT x")
        dns.in_step("shop.test")
        self.assertEqual(self.values(RESOLVER, "early.shop.test", True), [], "the negative answer is cached")
        dns.flush_resolver()
        self.assertEqual(self.values(RESOLVER, "early.shop.test", True), ["x"])

    def test_nginx_serves_both_algorithms_and_reloads(self):
        world = self.world
        rsa, ecdsa = (world.served(kind=kind) for kind in ("rsa", "ecdsa"))
        self.assertNotEqual(rsa.spki, ecdsa.spki)
        self.assertEqual(rsa.spki, probe.spki_of_key(probe.read_text(world.original(FREE["id"], "privkey.pem"))))
        self.assertEqual(rsa.names(), FREE["names"])
        first = world.nginx
        world.start_nginx()
        self.assertEqual((first.running(), world.nginx.running()), (False, True))
        subprocess.run(["nginx", "-t"], check=True, capture_output=True)
        world.nginx.configure("this is broken;")
        self.assertNotEqual(subprocess.run(["nginx", "-t"], check=False, capture_output=True).returncode, 0)
        world.nginx.configure()
        for name in ("fullchain.pem", "privkey.pem"):
            path = f"/etc/nginx/tls/{FREE['id']}/{name}"
            self.addCleanup(os.rename, path + ".old", path)
            os.rename(path, path + ".old")
            with open(path, "w", encoding="ascii") as f:
                f.write(self.second_pair()[name])
        subprocess.run(["nginx", "-s", "reload"], check=True, capture_output=True)
        probe.until(lambda: world.served(kind="rsa").spki != rsa.spki, 10, "the reload seen on the wire")

    def second_pair(self):
        """Another RSA certificate of the double's CA, as files."""
        if not hasattr(self.world, "pair"):
            self.world.control("add", certificate={"id": "spare001", "names": FREE["names"], "package_type": "11"})
            self.world.pair = {n: probe.read_text(self.world.original("spare001", n))
                               for n in ("fullchain.pem", "privkey.pem")}
        return self.world.pair

    def test_the_web_root_is_served_and_haproxy_too(self):
        world = self.world
        os.makedirs(world.webroot + "/.well-known/pki-validation", exist_ok=True)
        with open(world.webroot + "/.well-known/pki-validation/t.txt", "w", encoding="ascii") as f:
            f.write("token")
        self.assertEqual(probe.fetch(WEB, "www.example.test", "/.well-known/pki-validation/t.txt"), (200, b"token"))
        world.start_haproxy(FREE["id"])
        self.assertEqual(world.served(address=HAPROXY).sha256, probe.Served(world.served(address=HAPROXY).der).sha256)
        self.assertEqual(world.served(address=HAPROXY).spki,
                         probe.spki_of_key(probe.read_text(world.original(FREE["id"], "privkey.pem"))))
        world.haproxy.reload()
        probe.until(lambda: probe.tcp_open(HAPROXY, 443), 10, "haproxy after a reload")

    def test_a_child_that_dies_is_told_with_its_output(self):
        with self.assertRaisesRegex(AssertionError, "(?s)ended with 3.*last words"):
            Child("dying", ["sh", "-c", "echo last words; exit 3"]).start(lambda: False)

    def test_users(self):
        done = Child("who", ["sh", "-c", "id -u; id -g"], as_ids=(61001, 61001)).start()
        self.assertEqual(done.process.wait(10 * probe.BUSY), 0)
        self.assertEqual(done.tail().split(), ["61001", "61001"])
        self.assertEqual(os.geteuid(), 0)
        if namespace.has_many_users():
            self.assertEqual(os.stat("/var/lib/dcvd").st_uid, 61001)

    def test_the_machine_is_private(self):
        with open("/proc/net/dev", encoding="ascii") as f:
            self.assertEqual([line.split(":")[0].strip() for line in f if ":" in line], ["lo"])
        self.assertLess(os.getpid(), 100)
        self.assertEqual(os.stat("/").st_uid, 0)
        for path in namespace.PRIVATE:  # where tests write: nothing of the host's, and gone with the test
            self.assertTrue(os.path.ismount(path), path)


PLAYED_DAEMON = """#!/usr/bin/python3
import os, socket, subprocess, sys, time
child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
    s.sendto(b"STATUS=x\\nREADY=1\\n", os.environ["NOTIFY_SOCKET"])
print("child", child.pid, flush=True)
time.sleep(1000)
"""
PLAYED_CONTROL = """#!/bin/sh
[ "$1" = --json ] && { echo '{"uid": '$(id -u)'}'; exit 4; }
echo "$@ $STATE_DIRECTORY"; exit 5
"""


class Programs(unittest.TestCase):
    """Starting, asking and killing the daemon, with programs that only play it."""

    def setUp(self):
        self.folder = "/tmp/played"
        for name, text in (("dcvd", PLAYED_DAEMON), ("dcvctl", PLAYED_CONTROL)):
            write(f"{self.folder}/{name}", text, 0o755)
        before = os.environ.get("DCVD_BUILD")
        os.environ["DCVD_BUILD"] = self.folder
        self.addCleanup(os.environ.pop if before is None else os.environ.__setitem__, "DCVD_BUILD",
                        *([] if before is None else [before]))

    def test_the_daemon_is_awaited_and_killed_with_its_children(self):
        with World(services=()) as world:
            world.start_dcvd()
            child = int(probe.until(lambda: world.dcvd.tail().split()[1:], 5)[0])
            self.assertTrue(os.path.exists(f"/proc/{child}"))
            world.kill_dcvd()
            gone = not os.path.exists(f"/proc/{child}/stat")
            self.assertTrue(gone or probe.read_text(f"/proc/{child}/stat").split()[2] in "ZX")
            write(f"{self.folder}/dcvd", "#!/bin/sh\necho no configuration >&2; exit 78\n", 0o755)
            with self.assertRaisesRegex(AssertionError, "(?s)ended with 78.*no configuration"):
                world.start_dcvd()

    def test_the_command_and_the_configuration(self):
        with World(services=()) as world:
            done = world.dcvctl("status", "www")
            self.assertEqual((done.returncode, done.stdout), (5, "status www /var/lib/dcvd\n"))
            self.assertEqual(world.dcvctl_json(as_ids=(65534, 65534)), (4, {"uid": 65534}))
            path = world.write_config(world.default_config())
            self.assertIn(FREE["id"], probe.read_text(path))
            self.assertEqual(os.stat("/etc/dcvd/credentials/tsig").st_mode & 0o777, 0o400)
            self.assertEqual(invariants.canaries(world, "/var/lib/dcvd"), [])
            write("/etc/dcvd/leak", "x" + self.secret_of(world), 0o600)
            self.assertEqual(invariants.canaries(world, "/var/lib/dcvd"),
                             ["I8: credential tsig stands in /etc/dcvd/leak"])

    @staticmethod
    def secret_of(world):
        return world.dns.tsig["hmac-sha256"]["secret"]


class Zones(unittest.TestCase):
    def test_a_zone_below_another_is_delegated(self):
        with World(services=("dns",), zones={"example.test": "", "acme.example.test": "x 60 TXT below\n"},
                   secondary=False) as world:
            self.assertEqual(probe.dns_values(RESOLVER, "x.acme.example.test", "TXT", True), ["below"])
            self.assertEqual(world.dns.servers(), [PRIMARY])


class Order(unittest.TestCase):
    """A reissue played by hand: the client's part is this test's, everything else is real."""

    def test_from_order_to_served_certificate_and_its_judgement(self):
        with World() as world:
            world.default_config()
            path, csr = world.make_csr(FREE["names"])
            reply = world.call("ReplaceCertificate", CertificateId=FREE["id"], ValidType="DNS", CsrType="upload",
                               CsrContent=csr)
            new = reply["CertificateId"]
            self.assertTrue([v for v in invariants.violations(world, tokens_gone=False) if v.startswith("I1")],
                            "the key is not in STATE")
            os.makedirs("/var/lib/dcvd/keys", exist_ok=True)
            kept = f"/var/lib/dcvd/keys/{probe.spki_of_csr(csr)}.pem"
            os.rename(path, kept)
            os.chmod(kept, 0o600)
            world.assert_invariants(self)
            auths = world.call("DescribeCertificate", CertificateId=new)["DvAuthDetail"]["DvAuths"]
            world.dns.relay.hold()
            world.dns.update("example.test", *[f"add {a['DvAuthKey']}. 60 TXT \"{a['DvAuthValue']}\"" for a in auths])
            probe.until(lambda: [e for e in world.events("look") if e["local"] == -
                                 1 and SECONDARY in e["reason"] and PRIMARY not in e["reason"]],
                        15, "the double sees that the secondary lags")
            self.assertEqual(world.call("DescribeCertificate", CertificateId=new)["Status"], 0)
            world.dns.relay.release()
            world.call("CompleteCertificate", CertificateId=new)
            probe.until(lambda: world.call("DescribeCertificate", CertificateId=new)["Status"] == 1, 20, "issued")
            detail = world.call("DescribeCertificateDetail", CertificateId=new)
            self.assertEqual(probe.spki_of_certificate(detail["CertificatePublicKey"]), probe.spki_of_csr(csr))
            self.judgement(world, auths, kept)

    def judgement(self, world, auths, kept):
        """The checker sees each thing that is wrong, and nothing once it is mended."""
        broken = lambda: {v.split(":")[0] for v in invariants.violations(world)}
        self.assertEqual(broken(), {"I5"})
        world.dns.update("example.test", *[f"del {a['DvAuthKey']}. TXT \"{a['DvAuthValue']}\"" for a in auths])
        world.assert_invariants(self)
        os.chmod(kept, 0o644)
        self.assertEqual(broken(), {"I8"})
        os.chmod(kept, 0o600)
        for value in world.canaries:
            with open("/var/lib/dcvd/log", "w", encoding="utf-8") as f:
                f.write("x" + value + "x")
            self.assertEqual(broken(), {"I8"}, world.canaries[value])
        os.unlink("/var/lib/dcvd/log")
        with open("/var/lib/dcvd/compromised", "w", encoding="ascii") as f:
            f.write(os.path.basename(kept).removesuffix(".pem") + "\n")
        self.assertEqual(broken(), set(), "listed after it was sent")
        os.utime("/var/lib/dcvd/compromised", (1, 1))
        self.assertEqual(broken(), {"I6"})
        os.unlink("/var/lib/dcvd/compromised")
        self.live_sets(world, broken)
        world.control("fault", kind="lost-before", action="ReplaceCertificate", count=2)
        for _ in range(2):
            with self.assertRaises((OSError, Exception)):
                world.call("ReplaceCertificate", CertificateId=FREE["id"], ValidType="DNS")
        self.assertEqual(broken(), {"I2"})

    def live_sets(self, world, broken):
        folder = "/var/lib/dcvd/sets/www/1"
        os.makedirs(folder)
        os.makedirs("/var/lib/dcvd/live")
        os.symlink("../sets/www/1", "/var/lib/dcvd/live/www")
        self.assertEqual(broken(), {"I3"}, "an empty set")
        for name in invariants.SET_FILES:
            with open(f"{folder}/{name}", "w", encoding="ascii") as f:
                f.write(probe.read_text(world.original(FREE["id"], name)))
        self.assertEqual(broken(), set())
        with open(f"{folder}/privkey.pem", "w", encoding="ascii") as f:
            f.write(probe.read_text(world.make_csr(["other.test"])[0]))
        self.assertEqual(broken(), {"I3"}, "a key of another certificate")
        os.unlink("/var/lib/dcvd/live/www")

    def test_file_validation_through_the_web_root(self):
        certificate = {"id": "file0001", "names": ["www.shop.test"], "package_type": "11", "method": "FILE"}
        with World(certificates=[certificate]) as world:
            csr = world.make_csr(certificate["names"])[1]
            new = world.call("ReplaceCertificate", CertificateId="file0001", ValidType="FILE", CsrType="upload",
                             CsrContent=csr)["CertificateId"]
            auth = world.call("DescribeCertificate", CertificateId=new)["DvAuthDetail"]["DvAuths"][0]
            path = world.webroot + auth["DvAuthPath"] + auth["DvAuthKey"]
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="ascii") as f:
                f.write(auth["DvAuthValue"])
            probe.until(lambda: world.call("DescribeCertificate", CertificateId=new)["Status"] == 1, 20, "issued")
            self.assertTrue(invariants.tokens(world))
            os.unlink(path)
            self.assertEqual(invariants.tokens(world), [])

    def test_the_double_goes_on_after_a_restart_and_a_kill(self):
        with World(services=("double",)) as world:
            csr = world.make_csr(FREE["names"])[1]
            new = world.call("ReplaceCertificate", CertificateId=FREE["id"], ValidType="DNS", CsrType="upload",
                             CsrContent=csr)["CertificateId"]
            world.double.signal(signal.SIGKILL)
            world.double.process.wait()
            world.restart_double()
            self.assertEqual(world.call("DescribeCertificate", CertificateId=new)["Status"], 0)


if __name__ == "__main__":
    unittest.main()
