"""When Tencent Cloud refuses for good, the next CA of the list takes over by itself: another validation, publisher and
key type, announced before, recorded."""

import time
import unittest

import probe
from acme_world import AcmeCase
from servers import RESPONDER, WEB
from test_terminal import Terminal
from world import HOSTS, World

USED = {"id": "f0000003", "names": ["www.responder.test"], "package_type": "83", "replaced_for": "f0000031"}
NEWER = {"id": "f0000031", "names": ["www.responder.test"], "package_type": "83", "replaced_by": "f0000003"}
ENDING = {"id": "p0000002", "names": ["www.responder.test"], "package_type": "5", "not_after": "+29d"}


class Fallback(AcmeCase):
    def test_a_used_free_certificate_is_replaced_by_acme(self):
        world = self.world({"example.test": HOSTS, "responder.test": f"@ 60 A {RESPONDER}\nwww 60 A {RESPONDER}\n"},
                           certificates=[USED, NEWER], services=("dns", "double"))
        pebble = self.pebble(world)
        folder = world.tls_directory("f0000003")
        world.start_nginx([{"names": USED["names"], "pairs": [(f"{folder}/fullchain.pem", f"{folder}/privkey.pem")]}])
        config = world.default_config("f0000003")
        config["tokens"] = {"listen": [f"{RESPONDER}:80"]}
        config["cas"]["pebble"] = pebble.ca()
        config["publishers"]["self"] = {"type": "responder"}
        config["certificates"]["www"].update({
            "ca": ["tencent", {"use": "pebble", "validation": "file", "publisher": "self", "key": {"type": "ec-p384"}}],
            "propagation": {"consecutive": 1}, "key": {"type": "rsa-2048"}})
        world.write_config(config)
        world.start_dcvd()
        before = world.served("www.responder.test")
        self.run_well(world, "import", "www", "--cert", f"{folder}/fullchain.pem", "--key", f"{folder}/privkey.pem")
        dry = world.dcvctl("reissue", "www", "--key-compromised", "--dry-run")
        self.assertRegex(dry.stdout, r"refused by tencent: R3: used on .*\n.*would order a new certificate from pebble")
        self.assertEqual(pebble.issued(), 0)
        begun = time.monotonic()
        done = self.run_well(world, "reissue", "www", "--key-compromised", "--yes", "--wait")
        self.assertGreater(time.monotonic() - begun, 9.5, "ten seconds to cancel")
        self.assertRegex(done.stderr, r"tencent refused \(R3: used on [^)]*\(now f0000031\)[^)]*\); going to pebble in 10 s; "
                         r"cancel: dcvctl cancel www")
        after = world.served("www.responder.test")
        self.assertNotEqual(before.spki, after.spki)
        self.assertIn("secp384r1", probe.openssl("x509", "-noout", "-text", stdin=after.pem))
        self.assertEqual((pebble.issued(), world.ledger("ReplaceCertificate")), (1, []))
        history = world.dcvctl("history", "www").stdout
        self.assertRegex(history, r"eligible -> eligible: tencent refused \(R3: used on .*\); on to pebble")
        self.judge(world)

    def test_it_can_be_stopped_in_its_ten_seconds(self):
        world = self.world({"example.test": HOSTS, "responder.test": f"@ 60 A {RESPONDER}\nwww 60 A {RESPONDER}\n"},
                           certificates=[USED, NEWER], services=("dns", "double"))
        pebble = self.pebble(world)
        folder = world.tls_directory("f0000003")
        world.start_nginx([{"names": USED["names"], "pairs": [(f"{folder}/fullchain.pem", f"{folder}/privkey.pem")]}])
        config = world.default_config("f0000003")
        config["cas"]["pebble"] = pebble.ca()
        config["certificates"]["www"]["ca"] = ["tencent", "pebble"]
        world.write_config(config)
        world.start_dcvd()
        self.run_well(world, "reissue", "www", "--yes", "--detach")
        probe.until(lambda: "going to pebble in 10 s" in probe.read_text(world.dcvd.log), 10, "announced")
        self.run_well(world, "cancel", "www", "--yes")
        _, facts = world.dcvctl_json("status", "www")
        self.assertIsNone(facts["certificates"][0]["job"])
        self.assertEqual(pebble.said("POST /order-plz"), 0)

    def test_an_organization_is_not_dropped_unless_allowed(self):
        world = self.world({"example.test": HOSTS, "responder.test": f"@ 60 A {RESPONDER}\nwww 60 A {RESPONDER}\n"},
                           certificates=[ENDING], services=("dns", "double"))
        pebble = self.pebble(world)
        world.tls_directory("p0000002")
        world.start_nginx()
        config = world.default_config("p0000002")
        config["cas"]["pebble"] = pebble.ca()
        config["certificates"]["www"].update({"ca": ["tencent", "pebble"], "key": {"type": "rsa-2048"}})
        world.write_config(config)
        world.start_dcvd()
        done = world.dcvctl("reissue", "www", "--yes", "--wait")
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertIn("R2: ", done.stderr)
        allowed = "let pebble issue one without the organization's name: fallback: {downgrade: true}"
        self.assertIn(allowed, done.stderr)
        dry = world.dcvctl("reissue", "www", "--dry-run")
        self.assertEqual(dry.returncode, 5, dry.stdout)
        self.assertRegex(dry.stdout, r"^www: refused by tencent: R2: ")
        self.assertIn(allowed, dry.stdout)
        self.assertIn("or once: dcvctl reissue www --downgrade", dry.stdout)
        self.assertRegex(self.run_well(world, "status", "www").stdout, r"REISSUE +none: nothing could replace this today \(R2: .*\); pebble would leave out")
        self.assertRegex(self.run_well(world, "reissue", "www", "--downgrade", "--dry-run").stdout, "would order a new certificate from pebble")
        asked = Terminal(world, "reissue", "www").until("Go on? [y/N]").type("n\n")
        self.assertEqual(asked.end(), 5)
        self.assertRegex(asked.text, r"tencent refuses www: R2: .*pebble would issue one that does not name the organization\.")
        agreed = Terminal(world, "reissue", "www").until("Go on? [y/N]").type("y\n").until("going to pebble in 10 s")
        self.run_well(world, "cancel", "www", "--yes")
        self.assertEqual(agreed.end(), 1)
        self.run_well(world, "reissue", "www", "--yes", "--downgrade", "--detach")
        probe.until(lambda: probe.read_text(world.dcvd.log).count("going to pebble in 10 s") == 2, 10, "announced")
        self.run_well(world, "cancel", "www", "--yes")
        config["certificates"]["www"]["fallback"] = {"downgrade": True}
        world.dcvd.stop()
        world.write_config(config)
        world.start_dcvd()
        self.run_well(world, "reissue", "www", "--yes", "--detach")
        probe.until(lambda: "going to pebble in 10 s" in probe.read_text(world.dcvd.log), 10, "announced")


if __name__ == "__main__":
    unittest.main()
