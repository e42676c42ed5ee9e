"""What is newer than Debian's Pebble, put before it (acme_newer.py): renewal information and the alarm it can be,
profiles, Retry-After, refused kinds of account keys, dns-account-01, dns-persist-01; and trials at a staging directory."""

import base64
import json
import os
import re
import shutil
import subprocess
import time
import unittest

import probe
from acme_newer import Newer
from acme_world import AcmeCase
from pebble import Pebble, told_by_its_resolver
from servers import PRIMARY
from world import STATE

NAMES = ["*.wild.example.test", "wild.example.test"]


def renewal_id(pem):
    """RFC 9773 section 4.1 with other people's tools: key identifier and serial number out of openssl's text."""
    text = probe.openssl("x509", "-noout", "-ext", "authorityKeyIdentifier", "-serial", stdin=pem)
    key = bytes.fromhex(re.search(r"((?:[0-9A-F]{2}:){5,}[0-9A-F]{2})", text).group(1).replace(":", ""))
    serial = re.search(r"serial=([0-9A-F]+)", text).group(1)
    serial = bytes.fromhex("0" * (len(serial) % 2) + serial)
    serial = b"\0" + serial if serial[0] & 0x80 else serial
    plain = lambda data: base64.urlsafe_b64encode(data).decode().rstrip("=")
    return f"{plain(key)}.{plain(serial)}"


class AcmeNewer(AcmeCase):
    def newer(self, world, **how):
        pebble = Pebble()
        if how.get("challenge"):
            pebble.env["PEBBLE_VA_ALWAYS_VALID"] = "1"
        pebble.start()
        world.children.append(pebble)
        newer = Newer(pebble, **how)
        world.children.append(newer)
        return pebble, newer

    def plain(self, cert, names, **more):
        certificate = self.certificate(cert, names, **more)
        certificate["deploy"] = [{"directory": f"/etc/nginx/tls/{cert}"}]
        return certificate

    def fullchain(self, cert="www"):
        return probe.read_text(f"/etc/nginx/tls/{cert}/fullchain.pem")

    def test_windows_profiles_and_pauses(self):
        world = self.world()
        first = []

        def window(identifier):
            """Over for the first certificate that is asked for, far away for every other."""
            if not first:
                first.append(identifier)
            away = -7200 if identifier == first[0] else 86400
            return time.time() + away, time.time() + away + 3600
        pebble, newer = self.newer(world, window=window, profiles={"shortlived": "six days"}, retry_after=1)
        certificates = {"www": self.plain("www", ["www.example.test"], publisher="site"),
                        "other": self.plain("other", ["n1.many.example.test"], publisher="site")}
        config = self.configure(world, pebble, certificates, start=False)
        config["cas"]["pebble"] = newer.ca(profile="shortlived")
        config["cas"]["second"] = newer.ca(profile="classic")
        certificates["other"]["ca"] = "second"
        world.write_config(config)
        world.start_dcvd()
        self.issue(world)
        old = self.fullchain()
        gaps = [b - a for a, b in zip(newer.polls, newer.polls[1:])]
        self.assertTrue(gaps and min(gaps) > 0.9, gaps)
        probe.until(lambda: "may be about to revoke" in probe.read_text(world.dcvd.log), 20, "the alarm")
        probe.until(lambda: self.fullchain() != old, 30, "renewed by itself")
        self.assertEqual(first, [renewal_id(old)])
        _, history = world.dcvctl_json("history", "www")
        self.assertEqual([row["data"]["page"] for row in history["history"] if row["event"] == "revocation-alarm"],
                         ["https://ca.test/why"])
        orders = [json.loads(p) for what, p in newer.payloads if what == "POST /order-plz"]
        self.assertEqual([order.get("replaces") for order in orders], [None, renewal_id(old)])
        self.assertEqual({order["profile"] for order in orders}, {"shortlived"})
        probe.until(lambda: renewal_id(self.fullchain()) in newer.windows_asked, 20, "the new one is asked for")
        self.assertEqual(pebble.issued(), 2)
        refused = world.dcvctl("issue", "other", "--wait")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("does not offer profile classic; it offers: shortlived", refused.stderr)

    def test_an_account_gets_a_key_of_the_kind_that_the_ca_takes(self):
        world = self.world()
        pebble, newer = self.newer(world, algorithms=["EdDSA", "RS256"])
        config = self.configure(world, pebble, {"www": self.plain("www", ["www.example.test"], publisher="site")}, start=False)
        config["cas"]["pebble"] = newer.ca()
        world.write_config(config)
        world.start_dcvd()
        self.issue(world)
        self.assertEqual(newer.signed_with, ["ES256", "RS256"])
        self.assertIn("making one of type rsa-2048", probe.read_text(world.dcvd.log))
        key = f"{STATE}/accounts/pebble/key.pem"
        self.assertIn("2048 bit", probe.openssl("pkey", "-in", key, "-noout", "-text"))
        self.run_well(world, "account", "rollover", "pebble")
        self.assertIn("2048 bit", probe.openssl("pkey", "-in", key, "-noout", "-text"))
        # An account that is there keeps its key, and a person is told what to do.
        world.dcvd.stop()
        os.unlink(f"{STATE}/accounts/pebble/account.json")
        before, newer.algorithms = probe.read_text(key), ["ES384"]
        world.start_dcvd()
        refused = world.dcvctl("reissue", "www", "--yes", "--wait")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("badSignatureAlgorithm (400): not this one; it takes ES384", refused.stderr)
        self.assertIn(f"move {STATE}/accounts/pebble away", refused.stderr)
        self.assertEqual(probe.read_text(key), before)
        os.rename(f"{STATE}/accounts/pebble", f"{STATE}/accounts/pebble.old")
        world.dcvd.stop()
        world.start_dcvd()
        self.run_well(world, "reissue", "www", "--yes", "--wait")
        self.assertEqual(newer.signed_with[-2:], ["ES256", "ES384"])
        self.judge(world)

    def test_an_account_label_keeps_clients_apart(self):
        world = self.world()
        pebble, newer = self.newer(world, challenge="dns-account-01")
        config = self.configure(world, pebble, {"www": self.plain("www", NAMES, publisher="zone")}, start=False)
        config["cas"]["pebble"] = newer.ca()
        world.write_config(config)
        world.start_dcvd()
        self.issue(world)
        self.assertEqual((pebble.issued(), newer.failed), (1, {}))
        self.assertIn("TXT _", json.dumps(world.dcvctl_json("history", "www")[1]))
        self.assertEqual([r for r in world.dns.zone_records("example.test") if "_acme-challenge" in r[0]], [])

    def test_a_standing_record_is_asked_for_then_used_without_a_write(self):
        world = self.world()
        pebble, newer = self.newer(world, challenge="dns-persist-01")
        config = self.configure(world, pebble, {"www": self.plain("www", NAMES, publisher="zone")}, start=False)
        config["cas"]["pebble"] = newer.ca(challenges=["dns-persist-01", "dns-01"])
        world.write_config(config)
        world.start_dcvd()
        self.run_well(world, "issue", "www", "--detach")
        said = probe.until(lambda: re.search(r'add this record once and leave it.*: (_validation-persist\.wild\.example\.test\. \d+ IN TXT '
                                             r'"ca\.test; accounturi=[^"]*; policy=wildcard")',
                                             probe.read_text(world.dcvd.log)), 20, "the record").group(1)
        self.assertEqual(pebble.issued(), 0)
        owner, ttl, _, _, value = said.split(None, 4)
        status = lambda: self.run_well(world, "status", "www").stdout  # noqa: E731
        self.assertIn(f"please publish: {said}", status())
        self.assertEqual((status().count("TOKEN "), probe.read_text(world.dcvd.log).count("add this record once")), (1, 1), "one does for both names")
        wrong = value.replace("; policy=wildcard", "")
        world.dns.update("example.test", f"add {owner} {ttl} TXT {wrong}")
        why = "it does not say policy=wildcard"
        probe.until(lambda: re.search(rf"ns1\.example\.test \([^)]*\): {re.escape(wrong)} \({why}\)", status()), 20, why)
        self.assertEqual(pebble.issued(), 0)
        world.dns.update("example.test", f"delete {owner} TXT", f"add {owner} {ttl} TXT {value}")
        probe.until(lambda: pebble.issued() == 1, 20, "issued when it appears")
        probe.until(lambda: "-> done" in probe.read_text(world.dcvd.log), 20, "done")
        serial = world.dns.serial(PRIMARY, "example.test")
        self.run_well(world, "reissue", "www", "--key-compromised", "--yes", "--wait")
        self.assertEqual((pebble.issued(), newer.failed), (2, {}))
        self.assertEqual(world.dns.serial(PRIMARY, "example.test"), serial, "no write on the night")
        self.assertEqual(probe.dns_values(PRIMARY, "_validation-persist.wild.example.test", "TXT"), [value.strip('"')])


@unittest.skipUnless(shutil.which("lego"), "lego is not installed")
class Others(AcmeCase):
    """Debian's lego (4.9.1) against the same double, so that it is not dcvd alone who understands it. Of what is newer, lego
    speaks Retry-After (after a challenge) and shows which algorithm was refused for its account. Renewal information, profiles,
    dns-account-01 and dns-persist-01 it does not speak, and has to come through where they are offered; nor do Debian's
    certbot (2.1.0: Retry-After alone) and uacme (1.7.4: none of them), so that nobody else in Debian 12 can check those."""

    def lego(self, world, newer, key, *arguments):
        folder = f"/tmp/lego-{key}"
        command = ["lego", "--server", newer.directory, "--path", folder, "--accept-tos", "--email", "ops@example.test", "--http",
                   "--http.webroot", world.webroot, "--key-type", key, "-d", "www.example.test", *arguments]
        environment = {**os.environ, "HOME": "/tmp", "LEGO_CA_CERTIFICATES": newer.bundle}
        done = told_by_its_resolver(lambda: subprocess.run(command, env=environment, capture_output=True, text=True,
                                                           timeout=60 * probe.BUSY, check=False))
        return done, f"{folder}/certificates/www.example.test.crt"

    def test_an_ordinary_order_of_another_client(self):
        world = self.world()
        pebble = self.pebble(world, sleep_s=2)  # whole seconds below: its first question comes too early
        newer = Newer(pebble, window=lambda _: (time.time(), time.time() + 3600), profiles={"shortlived": "six days"},
                      retry_after=1, algorithms=["RS256"])
        world.children.append(newer)
        world.start_nginx([])
        refused, _ = self.lego(world, newer, "ec256", "run")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("badSignatureAlgorithm", refused.stderr)
        for verb in (["run"], ["renew", "--days", "999", "--no-random-sleep"]):
            done, path = self.lego(world, newer, "rsa2048", *verb)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("DNS:www.example.test", probe.openssl("x509", "-noout", "-ext", "subjectAltName", "-in", path))
        self.assertEqual(pebble.issued(), 2)
        self.assertEqual(set(newer.finalized().values()), {1})
        self.assertEqual(newer.signed_with, ["ES256", "RS256"])
        asked = [one for one in newer.told if one[0].startswith("POST /authZ/")]
        pauses = [later[1] - one[1] for one, later in zip(asked, asked[1:]) if one[0] == later[0]]
        shortest = min((pause for pause in pauses if pause > 0.3), default=1)
        self.assertLess(shortest, 2, f"{pauses}: half to one and a half of Retry-After; without it of 5 s")
        self.assertEqual(newer.windows_asked, [])


class Trials(AcmeCase):
    def test_staging_tries_all_and_deploys_nothing(self):
        world = self.world()
        pebble = self.pebble(world)
        staging = self.pebble(world, name="staging", address="127.0.5.3", no_nonce=20)
        certificate = self.certificate("www", ["www.example.test"], publisher="site")
        config = self.configure(world, pebble, {"www": certificate}, start=False)
        both = f"{STATE}-roots.pem"
        with open(both, "w", encoding="ascii") as f:
            f.write(probe.read_text(pebble.bundle) + probe.read_text(staging.bundle))
        config["cas"]["pebble"].update({"staging": staging.directory, "ca_bundle": both})
        world.write_config(config)
        world.start_dcvd()
        served = world.served()
        dry = self.run_well(world, "issue", "www", "--staging", "--dry-run")
        self.assertIn("would order a new certificate from pebble.staging", dry.stdout)
        done = self.run_well(world, "issue", "www", "--staging", "--wait")
        self.assertIn("nothing of it was kept or deployed", done.stderr)
        self.assertEqual((staging.issued(), pebble.issued()), (1, 0))
        self.assertEqual(world.served().der, served.der)
        self.assertEqual(os.listdir(f"{STATE}/keys"), [])
        self.assertEqual(os.listdir(f"{STATE}/accounts"), ["pebble.staging"])
        self.files_are_gone(world)
        self.issue(world)
        self.assertEqual((staging.issued(), pebble.issued()), (1, 1))
        self.assertEqual(sorted(os.listdir(f"{STATE}/accounts")), ["pebble", "pebble.staging"])
        self.run_well(world, "reissue", "www", "--staging", "--yes", "--wait")
        self.assertEqual((staging.issued(), pebble.issued()), (2, 1))
        self.judge(world)


if __name__ == "__main__":
    unittest.main()
