"""What the tests of faults at an ACME CA share: certificates of one CA behind the proxy, and answers made worse."""

import json
import os

import probe
from acme_proxy import Proxy
from acme_world import AcmeCase, folder_of

URN = "urn:ietf:params:acme:error:"


def problem(status, kind, *headers):
    return status, [("Content-Type", "application/problem+json"), *headers], json.dumps(
        {"type": URN + kind, "detail": "as the test says"}).encode()


def altered(**members):
    """Members of a JSON answer, replaced."""
    def alter(status, headers, body):
        return status, headers, json.dumps({**json.loads(body), **members}).encode()
    return alter


class FaultyCase(AcmeCase):
    def setUp(self):
        self.names, self.seen = iter(f"n{i}.many.example.test" for i in range(100)), []

    def prepared(self, count, start=True, names=1):
        world = self.world()
        pebble = self.pebble(world)
        proxy = Proxy(pebble)
        world.children.append(proxy)
        certificates = {f"c{i}": {"names": [next(self.names) for _ in range(names)], "ca": "pebble", "publisher": "site", "validation": "file",
                                  "propagation": {"consecutive": 1}, "deploy": [{"directory": folder_of(f"c{i}")}]}
                        for i in range(count)}
        world.start_nginx([])
        self.config = {"cas": {"pebble": proxy.ca()}, "certificates": certificates,
                       "publishers": {"site": {"type": "webroot", "directory": world.webroot}}}
        if start:
            world.write_config(self.config)
            world.start_dcvd()
        self.certs = iter(certificates)
        return world, pebble, proxy

    def check(self, pebble, proxy, before, more):
        self.assertEqual(pebble.issued() - before, more)
        self.assertEqual({n for n in proxy.finalized().values()} - {1}, set(), "one CSR an order")

    def harmed(self, world, pebble, proxy, rule, times, most=1, goes_on=False):
        """One certificate while the CA does this, for which it may issue so many: its name, exit status and last words.
        goes_on: this ends nothing, and nobody waits for it."""
        before, cert = pebble.issued(), next(self.certs)
        struck = proxy.harm(*rule, times=times)
        done = world.dcvctl("issue", cert, "--detach" if goes_on else "--wait")
        probe.until(lambda: struck.struck, 30, "the rule met")
        if goes_on:
            self.assertIsNotNone(world.dcvctl_json("status", cert)[1]["certificates"][0]["job"])
        there = os.path.exists(f"{folder_of(cert)}/fullchain.pem")
        proxy.rules = []
        self.assertTrue(world.dcvd.running())
        self.assertLessEqual(pebble.issued() - before, most)
        self.assertEqual({n for n in proxy.finalized().values()} - {1}, set(), "one CSR an order")
        self.assertEqual(there, done.returncode == 0 and not goes_on)
        return cert, done.returncode, done.stderr.strip().rpartition("\n")[2]
