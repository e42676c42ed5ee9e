"""A world with Pebble in it: what the tests of ACME share."""

import os
import unittest

import invariants
import probe
from pebble import Pebble
from servers import PRIMARY, RESPONDER, WEB
from world import HOSTS, STATE, World

NAMES = ["www.example.test", "example.test"]
ZONES = {"example.test": HOSTS + f"*.wild 60 A {WEB}\nwild 60 A {WEB}\n*.many 60 A {WEB}\n",
         "responder.test": f"@ 60 A {RESPONDER}\nwww 60 A {RESPONDER}\n"}


def folder_of(cert):
    return f"/etc/nginx/tls/{cert}"


class AcmeCase(unittest.TestCase):
    def world(self, zones=None, **how):
        world = World(**{"certificates": (), "zones": zones or ZONES, "services": ("dns",), "secondary": False, **how})
        world.__enter__()
        self.addCleanup(self.end, world)
        return world

    def end(self, world):
        result = self._outcome.result
        if any(case is self for case, _ in result.errors + result.failures):
            world.show_logs()
        world.stop()

    def pebble(self, world, **how):
        pebble = Pebble(**how).start()
        world.children.append(pebble)
        return pebble

    @staticmethod
    def first_certificate(cert):
        """What nginx starts with: signed by nobody."""
        folder = folder_of(cert)
        os.makedirs(folder, exist_ok=True)
        probe.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                      "-subj", "/CN=first", "-keyout", f"{folder}/privkey.pem", "-out", f"{folder}/fullchain.pem")
        return f"{folder}/fullchain.pem", f"{folder}/privkey.pem"

    def certificate(self, cert, names, address=WEB, **more):
        service = {"name": "nginx", "test": ["/usr/sbin/nginx", "-t"], "reload": ["/usr/sbin/nginx", "-s", "reload"],
                   "verify": [f"{address}:443"]}
        return {"names": names, "ca": "pebble", "propagation": {"consecutive": 1},
                "deploy": [{"directory": folder_of(cert), "services": [service]}], **more}

    def configure(self, world, pebble, certificates, ca=None, start=True):
        """certificates: {name: section}. nginx serves each, dcvd runs."""
        key = world.dns.tsig["hmac-sha256"]
        # The first site is what nginx shows to who names none: an address.
        world.start_nginx([{"names": section["names"], "pairs": [self.first_certificate(cert)]}
                           for cert, section in certificates.items()])
        config = {
            "tokens": {"listen": [f"{RESPONDER}:80"]},
            "cas": {"pebble": pebble.ca(**(ca or {}))},
            "publishers": {
                "zone": {"type": "rfc2136", "server": f"{PRIMARY}:53", "ttl": 60,
                         "tsig": {"name": key["name"], "algorithm": "hmac-sha256",
                                  "secret": {"file": world.secret("tsig", key["secret"])}}},
                "self": {"type": "responder"},
                "site": {"type": "webroot", "directory": world.webroot}},
            "certificates": certificates}
        world.write_config(config)
        if start:
            world.start_dcvd()
        return config

    def run_well(self, world, *arguments):
        done = world.dcvctl(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr + (world.dcvd.tail() if world.dcvd else ""))
        return done

    def issue(self, world, cert="www"):
        return self.run_well(world, "issue", cert, "--wait")

    def judge(self, world, state=STATE):
        self.assertEqual(invariants.keys(state) + invariants.live_sets(state) + invariants.canaries(world, state), [])

    def files_are_gone(self, world):
        probe.until(lambda: not any(files for _, _, files in os.walk(f"{world.webroot}/.well-known")), 5, "tokens gone")
