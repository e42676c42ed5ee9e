"""What is put into a target: every form and link, an encrypted key, the certificate alone when the key is held elsewhere, SM2."""

import os
import signal
import subprocess
import unittest

import namespace
import probe
from servers import write
from test_deploy import quick
from world import DCVD_UID, FREE, World

PHRASE = "correct horse battery staple 7"
FORMS = {"cert.pem": "cert", "chain.pem": "chain", "fullchain.pem": "fullchain", "privkey.pem": "key", "all.pem": "combined", "leaf.der": "der",
         "bundle.p12": "pkcs12"}
SM2 = {"id": "sm200001", "names": FREE["names"], "package_type": "54", "key": "sm2"}


def squeezed(text):
    return "".join(text.split())


def phrase_file(world):
    """Read by the daemon, which encrypts, and by root's dcvd-helper, which checks."""
    path = world.secret("phrase", PHRASE)
    if namespace.has_many_users():
        os.chown(path, 0, DCVD_UID)
        os.chmod(path, 0o440)
    return path


class Forms(unittest.TestCase):
    def start(self, world, config):
        world.write_config(config)
        world.start_dcvd()

    def take_over(self, world, config, *more):
        self.start(world, config)
        key = more or ("--key", world.original(FREE["id"], "privkey.pem"))
        self.good(world.dcvctl("import", "www", "--cert", world.original(FREE["id"], "fullchain.pem"), *key))

    def good(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def test_every_form_and_a_link(self):
        with World() as world:
            config = world.default_config()
            target = quick(config)
            target.update({"files": FORMS, "links": {"/etc/ssl/site/site.crt": "cert.pem"}, "mode": "0640", "group": "www-data"})
            write("/etc/ssl/site/site.crt", "what was there\n")
            folder = target["directory"]
            self.take_over(world, config)
            self.good(world.dcvctl("reissue", "www", "--key-compromised", "--yes", "--wait"))
            text = {name: probe.read_text(f"{folder}/{name}") for name in FORMS if name.endswith(".pem")}
            served = world.served()
            self.assertEqual(squeezed(text["cert.pem"]), squeezed(served.pem))
            self.assertEqual(text["fullchain.pem"], text["cert.pem"] + text["chain.pem"])
            self.assertEqual(text["chain.pem"].count("BEGIN CERTIFICATE"), 1)
            self.assertEqual(probe.spki_of_key(text["privkey.pem"]), served.spki)
            self.assertEqual(text["all.pem"], text["privkey.pem"] + text["fullchain.pem"])
            with open(f"{folder}/leaf.der", "rb") as f:
                self.assertEqual(f.read(), served.der)
            bundle = ("pkcs12", "-in", f"{folder}/bundle.p12", "-passin", "pass:")
            self.assertEqual(probe.spki_of_certificate(probe.openssl(*bundle, "-nokeys", "-clcerts")), served.spki)
            self.assertEqual(probe.spki_of_key(probe.openssl(*bundle, "-nocerts", "-noenc")), served.spki)
            self.assertEqual(probe.openssl(*bundle, "-nokeys", "-cacerts").count("BEGIN CERTIFICATE"), 1)
            for name, form in FORMS.items():
                wanted = 0o640 if form in ("key", "combined", "pkcs12") else 0o644
                self.assertEqual(os.stat(f"{folder}/{name}").st_mode & 0o777, wanted, name)
            self.assertEqual(probe.read_text("/etc/ssl/site/site.crt"), text["cert.pem"])
            self.assertEqual(probe.read_text("/etc/ssl/site/site.crt.dcvd-orig"), "what was there\n")
            world.assert_invariants(self)

    def test_an_encrypted_key_that_nginx_opens(self):
        with World() as world:
            config = world.default_config()
            folder = quick(config)["directory"]
            phrase = phrase_file(world)
            config["certificates"]["www"]["key"] = {"passphrase": {"file": phrase}}
            world.nginx.configure(f"ssl_password_file {phrase};")
            self.take_over(world, config)
            before = world.served().der
            self.good(world.dcvctl("reissue", "www", "--key-compromised", "--yes", "--wait"))
            key = probe.read_text(f"{folder}/privkey.pem")
            self.assertIn("BEGIN ENCRYPTED PRIVATE KEY", key)
            self.assertNotEqual(world.served().der, before)
            plain = probe.openssl("pkey", "-in", f"{folder}/privkey.pem", "-passin", f"file:{phrase}")
            self.assertEqual(probe.spki_of_key(plain), world.served().spki)
            world.assert_invariants(self)

    def test_a_mode_that_was_changed_is_given_by_deploy(self):
        with World() as world:
            config = world.default_config()
            target = quick(config)
            self.take_over(world, config)
            self.good(world.dcvctl("deploy", "www", "--wait"))
            key = f"{target['directory']}/privkey.pem"
            self.assertEqual(os.stat(key).st_mode & 0o777, 0o600)
            target["mode"] = "0640"
            if namespace.has_many_users():
                target["group"] = "12345"
            world.write_config(config)
            world.dcvd.signal(signal.SIGHUP)
            probe.until(lambda: "new configuration" in probe.read_text(world.dcvd.log), 5, "taken")
            self.good(world.dcvctl("deploy", "www", "--wait"))
            self.assertEqual(os.stat(key).st_mode & 0o777, 0o640)
            self.assertEqual(os.stat(key).st_gid, 12345 if namespace.has_many_users() else 0)
            self.assertEqual(os.stat(f"{target['directory']}/fullchain.pem").st_mode & 0o777, 0o644)
            world.assert_invariants(self)

    def test_a_pass_phrase_that_is_gone_costs_nothing(self):
        with World() as world:
            config = world.default_config()
            quick(config)
            phrase = phrase_file(world)
            config["certificates"]["www"]["key"] = {"passphrase": {"file": phrase}}
            self.take_over(world, config)
            os.unlink(phrase)
            done = world.dcvctl("reissue", "www", "--yes", "--wait")
            self.assertEqual(done.returncode, 5, done.stderr)
            self.assertIn(phrase, done.stderr)
            self.assertEqual(world.ledger("ReplaceCertificate"), [])

    def test_a_key_that_is_held_elsewhere(self):
        """The module's side is played: the key is where nginx finds it and dcvd does not look; dcvd gets a CSR."""
        with World() as world:
            config = world.default_config()
            target = quick(config)
            folder = target["directory"]
            held, csr_path = "/etc/nginx/held.pem", "/etc/dcvd/www.csr"
            key_path, csr = world.make_csr(FREE["names"])
            write(csr_path, csr)
            config["certificates"]["www"]["key"] = {"csr": csr_path}
            write(held, probe.read_text(f"{folder}/privkey.pem"), 0o600)
            os.unlink(f"{folder}/privkey.pem")
            # The module answers with whichever key belongs to the certificate.
            write("/usr/local/bin/reload", f"""#!/bin/sh
cp {key_path} {held}
exec /usr/sbin/nginx -s reload
""", 0o755)
            target["services"][0].update({"test": ["/bin/true"], "reload": ["/usr/local/bin/reload"]})
            world.start_nginx([{"names": FREE["names"], "pairs": [(f"{folder}/fullchain.pem", held)]}])
            old_csr = world.original(FREE["id"], "csr.pem")
            self.take_over(world, config, "--csr", old_csr)
            self.good(world.dcvctl("reissue", "www", "--key-compromised", "--yes", "--wait"))
            self.assertEqual(world.served().spki, probe.spki_of_csr(csr))
            self.assertEqual(squeezed(probe.read_text(f"{folder}/cert.pem")), squeezed(world.served().pem))
            self.assertFalse(os.path.lexists(f"{folder}/privkey.pem"))
            found = subprocess.run(["grep", "-rl", "PRIVATE KEY", "/var/lib/dcvd", folder], capture_output=True, text=True, check=False)
            self.assertEqual(found.stdout, "")
            self.assertEqual(world.ledger("ReplaceCertificate")[0]["parameters"]["CsrContent"].split(), csr.split())

    def test_the_leaked_key_of_a_csr_is_refused(self):
        with World() as world:
            config = world.default_config()
            quick(config)
            csr = world.original(FREE["id"], "csr.pem")
            write("/etc/dcvd/www.csr", probe.read_text(csr))
            config["certificates"]["www"]["key"] = {"csr": "/etc/dcvd/www.csr"}
            self.take_over(world, config, "--csr", csr)
            done = world.dcvctl("reissue", "www", "--key-compromised", "--yes", "--wait")
            self.assertEqual(done.returncode, 5, done.stderr)
            self.assertIn("R13: the CSR carries the key that is reported compromised", done.stderr)
            self.assertIn("make a new key and CSR where that key is held", done.stderr)
            self.assertEqual(world.ledger("ReplaceCertificate"), [])

    def test_sm2_is_installed_where_nobody_can_look_at_it(self):
        with World(certificates=[SM2], services=("dns", "double")) as world:
            config = world.default_config()
            target = quick(config)
            world.tls_directory(SM2["id"])
            target["services"][0].update({"test": ["/bin/true"], "reload": ["/bin/true"], "verify": []})
            self.start(world, config)
            done = self.good(world.dcvctl("reissue", "www", "--key-compromised", "--yes", "--wait"))
            self.assertIn("deployed, not looked at", done.stderr)
            self.assertIn("  SERVED    deployed, not looked at\n", world.dcvctl("status", "www").stdout)
            self.assertIn("deployed, not looked at", world.dcvctl("verify", "www").stdout)
            self.assertRegex(world.dcvctl("sets", "www").stdout, r"1 \* .*  deployed, not looked at\n")
            folder = target["directory"]
            self.assertIn("ASN1 OID: SM2", probe.openssl("x509", "-in", f"{folder}/cert.pem", "-noout", "-text"))
            self.assertEqual(probe.spki_of_certificate(probe.read_text(f"{folder}/cert.pem")), probe.spki_of_key(probe.read_text(f"{folder}/privkey.pem")))
            world.assert_invariants(self)

    def test_sm2_is_refused_for_a_product_that_is_none(self):
        with World() as world:
            config = world.default_config()
            quick(config)
            config["certificates"]["www"]["key"] = {"type": "sm2"}
            self.take_over(world, config)
            done = world.dcvctl("reissue", "www", "--yes", "--wait")
            self.assertEqual(done.returncode, 5, done.stderr)
            self.assertIn("R14: a free certificate is reissued for an rsa-2048 key only, sm2 is asked for", done.stderr)
            self.assertEqual(world.ledger("ReplaceCertificate"), [])


if __name__ == "__main__":
    unittest.main()
