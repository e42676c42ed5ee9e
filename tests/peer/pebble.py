"""Debian's Pebble, the ACME test CA, validating for real: it asks this machine's resolver, port 80 and port 443."""

import json
import os
import ssl
import urllib.request

import probe
from servers import BASE, RESOLVER, START_S, Child, write

ADDRESS, PORT, MANAGEMENT = "127.0.5.1", 14000, 15000
STOOD_STILL = f"->{RESOLVER}:53: i/o timeout"  # it says so of every name while its resolver stands still for 2 s


def told_by_its_resolver(run):
    """run(), of a client that takes Pebble's word for the end, once more as long as Pebble only says that."""
    for _ in range(5):
        done = run()
        if STOOD_STILL not in done.stdout + done.stderr:
            break
    return done


class Pebble(Child):
    """Strict; no_nonce and reuse in percent; sleep_s: validations begin up to so much later. host: the name
    that its certificate has beside the address."""

    def __init__(self, no_nonce=0, reuse=0, name="pebble", address=ADDRESS, eab=None, alternates=0, sleep_s=0,
                 validity_s=7776000, http_port=80, host="pebble.test"):
        self.address, self.folder, self.host = address, f"{BASE}/{name}", host
        self.directory = f"https://{address}:{PORT}/dir"
        self.bundle = f"{self.folder}/listen.pem"
        self.configuration = {"pebble": {
            "listenAddress": f"{address}:{PORT}", "managementListenAddress": f"{address}:{MANAGEMENT}",
            "certificate": self.bundle, "privateKey": f"{self.folder}/listen.key", "httpPort": http_port, "tlsPort": 443,
            "ocspResponderURL": "", "certificateValidityPeriod": validity_s,
            "externalAccountBindingRequired": eab is not None, "externalAccountMACKeys": eab or {}}}
        environment = {"PEBBLE_WFE_NONCEREJECT": str(no_nonce), "PEBBLE_AUTHZREUSE": str(reuse),
                       "PEBBLE_ALTERNATE_ROOTS": str(alternates)}
        environment.update({"PEBBLE_VA_SLEEPTIME": str(sleep_s)} if sleep_s else {"PEBBLE_VA_NOSLEEP": "1"})
        super().__init__(name, ["pebble", "-config", f"{self.folder}/pebble.json", "-strict", "-dnsserver",
                                f"{RESOLVER}:53"], env=environment)

    def start(self, ready=None, limit_s=START_S):
        os.makedirs(self.folder, exist_ok=True)
        probe.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                      "-subj", "/CN=pebble", "-addext", f"subjectAltName=IP:{self.address},DNS:{self.host}", "-keyout",
                      f"{self.folder}/listen.key", "-out", self.bundle)
        os.chmod(self.bundle, 0o644)
        write(f"{self.folder}/pebble.json", json.dumps(self.configuration))
        return super().start(ready or (lambda: probe.tcp_open(self.address, PORT) and
                                       probe.tcp_open(self.address, MANAGEMENT)), limit_s)

    def restart(self):
        """It keeps nothing but its address: orders, accounts and roots are gone."""
        self.stop()
        os.unlink(self.log)
        super().start(lambda: probe.tcp_open(self.address, PORT) and probe.tcp_open(self.address, MANAGEMENT))

    def ca(self, **more):
        """The section of the configuration that names this CA."""
        return {"type": "acme", "directory": self.directory, "contact": ["mailto:ops@example.test"],
                "terms_agreed": True, "ca_bundle": self.bundle, **more}

    def manage(self, path):
        context = ssl.create_default_context(cafile=self.bundle)
        with urllib.request.urlopen(f"https://{self.address}:{MANAGEMENT}{path}", context=context, timeout=5 * probe.BUSY) as reply:
            return reply.read().decode()

    def said(self, text):
        """How often it logged this."""
        try:
            return probe.read_text(self.log).count(text)
        except OSError:
            return 0

    def issued(self):
        return self.said("Issued certificate serial")
