"""A second CA that nobody here wrote: the ACME server inside caddy, which validates for real over the system's resolver."""

import os
import unittest

import probe
from acme_world import NAMES, AcmeCase
from servers import BASE, PRIMARY, START_S, Child, write
from world import STATE

ADDRESS, PORT = "127.0.5.4", 14000
CADDYFILE = """{
	admin off
	auto_https disable_redirects
	skip_install_trust
	default_sni %(address)s
	storage file_system %(folder)s
}
https://%(address)s:%(port)d {
	bind %(address)s
	tls internal
	acme_server
}
"""


class Caddy(Child):
    def __init__(self):
        self.folder = f"{BASE}/caddy"
        self.root = f"{self.folder}/pki/authorities/local/root.crt"
        write(f"{BASE}/Caddyfile", CADDYFILE % {"address": ADDRESS, "port": PORT, "folder": self.folder})
        super().__init__("caddy", ["caddy", "run", "--adapter", "caddyfile", "--config", f"{BASE}/Caddyfile"], env={"HOME": BASE})

    def start(self, ready=None, limit_s=START_S):
        super().start(ready or (lambda: probe.tcp_open(ADDRESS, PORT) and os.path.exists(self.root)), limit_s)
        self.bundle = write(f"{BASE}/caddy-root.pem", probe.read_text(self.root))
        return self

    def ca(self):
        return {"type": "acme", "directory": f"https://{ADDRESS}:{PORT}/acme/local/directory", "contact": ["mailto:ops@example.test"],
                "terms_agreed": True, "ca_bundle": f"{BASE}/caddy-root.pem", "internal": True}


class AcmeCaddy(AcmeCase):
    def test_files_wildcards_reissue_and_revocation(self):
        world = self.world()
        caddy = Caddy().start()
        world.children.append(caddy)
        wild = ["*.wild.example.test", "wild.example.test"]
        self.configure(world, caddy, {"www": self.certificate("www", NAMES, publisher="site"),
                                      "wild": self.certificate("wild", wild, publisher="zone")})
        for cert in ("www", "wild"):
            self.issue(world, cert)
        first = world.served()
        self.assertEqual(sorted(first.names()), sorted(NAMES))
        self.assertEqual(sorted(world.served("x.wild.example.test").names()), wild)
        self.assertIn("Caddy Local Authority", probe.openssl("x509", "-noout", "-issuer", stdin=first.pem))
        self.assertEqual(probe.dns_values(PRIMARY, "_acme-challenge.wild.example.test", "TXT"), [])
        self.run_well(world, "reissue", "www", "--key-compromised", "--yes", "--wait")
        self.assertNotEqual(world.served().spki, first.spki)
        self.assertIn("is revoked: ", self.run_well(world, "revoke", "www", "--yes").stdout)
        key = probe.read_text(f"{STATE}/accounts/pebble/key.pem")
        refused = world.dcvctl("account", "rollover", "pebble")
        self.assertRegex(refused.stderr, r"keyChange: .*not implemented\n *this CA cannot do that")
        self.assertEqual(os.listdir(f"{STATE}/accounts/pebble").count("key-new.pem"), 0)
        self.assertEqual(probe.read_text(f"{STATE}/accounts/pebble/key.pem"), key)
        self.assertIn(", valid, key ", self.run_well(world, "account", "show", "pebble").stdout)
        self.files_are_gone(world)
        self.judge(world)


if __name__ == "__main__":
    unittest.main()
