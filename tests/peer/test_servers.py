"""Name servers of other kinds: BIND as the primary, a secondary that is silent, one that is lame, one that wants TCP."""

import socket
import unittest

import probe
from servers import PRIMARY, ROOT, SECONDARY
from test_deploy import quick
from world import World


class Servers(unittest.TestCase):
    def start(self, world, **propagation):
        config = world.default_config()
        quick(config)
        config["certificates"]["www"]["propagation"].update(propagation)
        world.start_nginx()
        world.write_config(config)
        world.start_dcvd()
        return config

    def test_bind_as_the_primary(self):
        with World(primary="bind") as world:
            world.dns.update("example.test", "add _dnsauth.www.example.test. 60 TXT other")
            self.start(world)
            done = world.dcvctl("reissue", "www", "--yes", "--wait")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(probe.dns_values(PRIMARY, "_dnsauth.www.example.test", "TXT"), ["other"])
            self.assertEqual(probe.dns_values(PRIMARY, "_dnsauth.example.test", "TXT"), [])
            world.assert_invariants(self)

    def test_bind_refuses_the_wrong_key(self):
        with World(primary="bind") as world:
            self.start(world)
            world.secret("tsig", "d3Jvbmcga2V5IG9mIG5vYm9keQ==")
            done = world.dcvctl_until("TSIG|NOTAUTH|BADSIG", "reissue", "www", "--key-compromised", "--yes", "--wait")
            self.assertEqual(done.returncode, 130, done.stderr)  # the job goes on
            world.secret("tsig", world.dns.tsig["hmac-sha256"]["secret"])  # read again at each use: mended while it waits
            probe.until(lambda: world.dcvctl_json("status", "www")[1]["certificates"][0]["job"] is None, 60, "the job done")
            self.assertEqual(len(world.ledger("ReplaceCertificate")), 1)

    def reissue_beside_a_silent_one(self, until, told, **propagation):
        """What dcvctl says until then, while the secondary takes questions and says nothing; told() at the end of it."""
        with World() as world, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            world.dns.secondary.stop()
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            for s in (udp, tcp):
                s.bind((SECONDARY, 53))
            tcp.listen(64)
            self.start(world, **propagation)
            said = world.dcvctl_until(until, "reissue", "www", "--yes", "--wait").stderr
            told(world)
            return said

    def the_ca_is_not_told(self, world):
        self.assertEqual(world.ledger("CompleteCertificate"), [])

    def the_ca_is_told(self, world):
        probe.until(lambda: world.ledger("CompleteCertificate"), 60, "the CA told")
        self.assertEqual(len(world.ledger("CompleteCertificate")), 1)

    def test_a_silent_secondary_is_named_and_waited_for(self):
        helps = "mend or undelegate these servers, or list them under propagation.ignore"
        said = self.reissue_beside_a_silent_one(helps, self.the_ca_is_not_told, timeout="9s")  # not before all show it
        self.assertIn(f"ns2.example.test ({SECONDARY}) does not answer by UDP or TCP; 1 of 2 agree", said)
        self.assertIn(helps, said)

    def test_a_silent_secondary_may_be_ignored(self):
        said = self.reissue_beside_a_silent_one("1 of 1 agree", self.the_ca_is_told, ignore=[SECONDARY])
        self.assertIn("1 of 1 agree", said)

    def reissue_without_the_address_of_ns2(self, world, until, glue=True, **propagation):
        """ns2 has no address in its zone, and it gets no transfer."""
        if not glue:
            path = "/var/lib/world/root/test.zone"
            text = probe.read_text(path)
            with open(path, "w", encoding="ascii") as f:
                f.write("".join(line for line in text.splitlines(True) if not line.startswith("ns2.example.test. 60 A")))
            world.dns.root.stop()
            world.dns.root.start(lambda: probe.dns(ROOT, "test", "SOA", timeout=0.3).aa)
        world.dns.update("example.test", "delete ns2.example.test. A")
        world.dns.in_step("example.test")
        world.dns.flush_resolver()
        world.dns.relay.hold()
        self.start(world, **propagation)
        return world.dcvctl_until(until, "reissue", "www", "--yes", "--wait")

    def test_a_server_without_address_is_asked_by_its_glue(self):
        with World() as world:
            done = self.reissue_without_the_address_of_ns2(world, "still at serial .*1 of 2 agree", timeout="5s")
            self.assertRegex(done.stderr, rf"ns2\.example\.test \({SECONDARY}\) still at serial \d+; 1 of 2 agree")
            self.the_ca_is_not_told(world)  # before all show it
            world.dns.relay.release()
            probe.until(lambda: world.dcvctl_json("status", "www")[1]["certificates"][0]["job"] is None, 90, "the job done")
            self.assertEqual(len(world.ledger("CompleteCertificate")), 1)
            world.assert_invariants(self)

    def test_a_server_without_any_address_is_named_and_waited_for(self):
        with World() as world:
            done = self.reissue_without_the_address_of_ns2(world, "mend or undelegate .*", glue=False, timeout="5s")
            self.assertIn("ns2.example.test: no address known; 1 of 2 agree", done.stderr)
            self.assertIn("mend or undelegate these servers, or list them under propagation.ignore", done.stderr)
            self.the_ca_is_not_told(world)
            world.dns.update("example.test", f"add ns2.example.test. 60 A {SECONDARY}")
            world.dns.relay.release()
            world.dns.flush_resolver()  # it would remember for a minute or five that there is none
            probe.until(lambda: world.ledger("CompleteCertificate"), 90, "the CA told")

    def test_a_server_without_any_address_may_be_ignored(self):
        with World() as world:
            done = self.reissue_without_the_address_of_ns2(world, "1 of 1 agree", glue=False, ignore=["ns2.example.test"])
            self.assertIn("1 of 1 agree", done.stderr)
            self.the_ca_is_told(world)

    def test_a_lame_secondary_is_named(self):
        with World(services=("dns", "double")) as world:
            world.dns.secondary.stop()
            config = probe.read_text("/var/lib/world/nsd/nsd.conf")
            with open("/var/lib/world/nsd/nsd.conf", "w", encoding="ascii") as f:
                f.write(config[:config.index("zone:\n")])
            world.dns.secondary.start(lambda: probe.dns(SECONDARY, "example.test", "SOA", timeout=0.3).rcode == 5)
            self.start(world, timeout="3s")
            done = world.dcvctl_until("propagation.ignore", "reissue", "www", "--yes", "--wait")
            self.assertIn(f"ns2.example.test ({SECONDARY}) is lame for example.test: REFUSED", done.stderr)
            self.assertIn("propagation.ignore", done.stderr)


if __name__ == "__main__":
    unittest.main()
