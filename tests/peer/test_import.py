"""Coming from other clients: trees that certbot, lego and dehydrated made themselves against Pebble (acme.sh's after its
documented layout: Debian has no package of it), servers that use them, and dcvd that takes all of it over and renews."""

import json
import os
import shutil
import subprocess
import unittest
from concurrent.futures import ThreadPoolExecutor

import namespace
import probe
from acme_world import AcmeCase
from pebble import told_by_its_resolver
from servers import BASE, write
from world import CONFIG

CERTBOT, LEGO, DEHYDRATED = ["www.example.test", "example.test"], ["a.many.example.test"], ["b.many.example.test"]
TRUST = "/etc/ssl/certs/ca-certificates.crt"


@unittest.skipUnless(all(map(shutil.which, ("certbot", "lego", "dehydrated"))), "certbot, lego or dehydrated is not installed")
class Import(AcmeCase):
    def client(self, *command, **environment):
        done = told_by_its_resolver(lambda: subprocess.run(command, env={**os.environ, "HOME": BASE, **environment}, cwd=BASE,
                                                           capture_output=True, text=True, timeout=60 * probe.BUSY, check=False))
        self.assertEqual(done.returncode, 0, f"{command[0]}: {done.stdout}{done.stderr}")

    def certbot(self, world, pebble):
        self.client("certbot", "certonly", "--webroot", "-w", world.webroot, "--server", pebble.directory, "--agree-tos", "-n",
                    "-m", "ops@example.test", "--work-dir", f"{BASE}/certbot", "--logs-dir", f"{BASE}/certbot", "--key-type", "rsa",
                    *(f"-d{name}" for name in CERTBOT), REQUESTS_CA_BUNDLE=pebble.bundle)

    def lego(self, world, pebble):
        self.client("lego", "--server", pebble.directory, "--path", "/etc/lego", "--accept-tos", "--email", "ops@example.test",
                    "--http", "--http.webroot", world.webroot, *(f"-d={name}" for name in LEGO), "run",
                    LEGO_CA_CERTIFICATES=pebble.bundle)

    def dehydrated(self, world, pebble):
        for folder in ("/var/lib/dehydrated", f"{world.webroot}/.well-known/acme-challenge"):
            os.makedirs(folder, exist_ok=True)
        write("/etc/dehydrated/config", f"BASEDIR=/var/lib/dehydrated\nCA={pebble.directory}\nCONTACT_EMAIL=ops@example.test\n"
              f'WELLKNOWN="{world.webroot}/.well-known/acme-challenge"\nDOMAINS_TXT=/etc/dehydrated/domains.txt\n'
              f'CURL_OPTS="--cacert {pebble.bundle}"\nPRIVATE_KEY_RENEW=no\n')
        write("/etc/dehydrated/domains.txt", "\n".join(DEHYDRATED) + "\n")
        self.client("dehydrated", "--register", "--accept-terms")
        self.client("dehydrated", "-c")

    def others(self, world, pebble):
        """Each client gets one certificate in its own way, all at once: they wait most of the time."""
        with ThreadPoolExecutor() as pool:
            for done in [pool.submit(f, world, pebble) for f in (self.certbot, self.lego, self.dehydrated)]:
                done.result()
        self.acme_sh(pebble)

    @staticmethod
    def acme_sh(pebble):
        folder, name = f"{BASE}/.acme.sh/{LEGO[0]}_ecc", LEGO[0]
        chain = probe.read_text(f"/etc/lego/certificates/{name}.crt")
        write(f"{folder}/fullchain.cer", chain)
        write(f"{folder}/{name}.cer", chain.partition("-----END CERTIFICATE-----\n")[0] + "-----END CERTIFICATE-----\n")
        write(f"{folder}/ca.cer", probe.read_text(f"/etc/lego/certificates/{name}.issuer.crt"))
        write(f"{folder}/{name}.key", probe.read_text(f"/etc/lego/certificates/{name}.key"), 0o600)
        write(f"/etc/app/key.pem", probe.read_text(f"{folder}/{name}.key"), 0o600)
        write(f"{folder}/{name}.conf", f"Le_Domain='{name}'\nLe_Alt='no'\nLe_Webroot='no'\nLe_API='{pebble.directory}'\n"
              "Le_Keylength='ec-256'\nLe_RealKeyPath='/etc/app/key.pem'\nLe_RealCertPath='/etc/passwd'\n")
        write(f"{BASE}/.acme.sh/account.conf", "ACCOUNT_EMAIL='ops@example.test'\nSAVED_X=$(touch /etc/executed)\n")

    def pairs(self, world):
        lego, dehydrated = f"/etc/lego/certificates/{LEGO[0]}", f"/var/lib/dehydrated/certs/{DEHYDRATED[0]}"
        certbot = f"/etc/letsencrypt/live/{CERTBOT[0]}"
        world.start_nginx([
            {"names": CERTBOT, "pairs": [(f"{certbot}/fullchain.pem", f"{certbot}/privkey.pem")]},
            {"names": LEGO, "pairs": [(f"{lego}.crt", f"{lego}.key")]},
            {"names": DEHYDRATED, "pairs": [(f"{dehydrated}/fullchain.pem", f"{dehydrated}/privkey.pem")]}])

    def found(self, world, *arguments):
        status, report = world.dcvctl_json("import", "--from", *arguments, env={"HOME": BASE})
        self.assertEqual(status, 0, report)
        write(f"{BASE}/printed.yaml", report["yaml"])
        checked = subprocess.run([world.program("dcvd"), "--config", f"{BASE}/printed.yaml", "--check-config"],
                                 capture_output=True, text=True, timeout=20 * probe.BUSY, check=False)
        self.assertEqual(checked.returncode, 0, report["yaml"] + checked.stderr)
        return report, report["configuration"]

    def test_everything_is_taken_over_and_goes_on(self):
        world = self.world()
        pebble = self.pebble(world)
        with open(TRUST, "a", encoding="ascii") as f:
            f.write(probe.read_text(pebble.bundle))
        world.start_nginx([{"names": ["x"], "pairs": [self.first_certificate("x")]}])
        write("/etc/cron.d/lego", "# lego\n17 3 * * * root /usr/bin/lego --path /etc/lego renew\n")
        write("/etc/systemd/system/snap.certbot.renew.service",
              '[Service]\nExecStart=/usr/bin/snap run --timer="00:00~24:00/2" certbot.renew\n')
        write("/etc/systemd/system/snap.certbot.renew.timer", "[Timer]\nOnCalendar=*-*-* 03:00\n")
        self.off(["certbot-off", "certbot-masked"])
        write("/etc/letsencrypt/renewal-hooks/deploy/mail.sh", "#!/bin/sh\n", 0o755)
        self.others(world, pebble)
        self.pairs(world)
        self.look(world, pebble)
        if namespace.has_many_users():
            self.write(world, pebble)

    @staticmethod
    def off(names):
        """What starts nothing: a timer that is not enabled, one that is masked, and a line of cron that leaves it to systemd."""
        folder, wants = "/etc/systemd/system", "/etc/systemd/system/timers.target.wants"
        for name in names:
            write(f"/lib/systemd/system/{name}.service", "[Service]\nExecStart=/usr/bin/certbot renew\n")
            write(f"/lib/systemd/system/{name}.timer", "[Timer]\nOnCalendar=daily\n")
        os.makedirs(wants, exist_ok=True)
        for name in ("snap.certbot.renew.timer", f"{names[1]}.timer"):
            os.symlink(f"/lib/systemd/system/{name}", f"{wants}/{name}")
        os.symlink("/dev/null", f"{folder}/{names[1]}.timer")
        os.makedirs("/run/systemd/system", exist_ok=True)
        write("/etc/cron.d/certbot", r"0 */12 * * * root test -x /usr/bin/certbot -a \! -d /run/systemd/system && certbot -q renew" + "\n")

    def look(self, world, pebble):
        report, conf = self.found(world, "certbot")
        self.assertIn("switch the other client off: systemctl disable --now snap.certbot.renew.timer", report["next"])
        self.assertNotRegex("\n".join(report["next"]), r"certbot-off|certbot-masked|/etc/cron\.d/certbot")
        self.assertTrue(any("/renewal-hooks/deploy/mail.sh is not run by dcvd" in line for line in report["left"]), report["left"])
        www = conf["certificates"]["www.example.test"]
        self.assertEqual(sorted(www["names"]), sorted(CERTBOT))
        self.assertEqual(conf["cas"]["ca"]["directory"], pebble.directory)
        self.assertEqual(conf["publishers"]["site"], {"type": "webroot", "directory": world.webroot})
        self.assertEqual(www["key"], {"type": "rsa-2048"})
        self.assertEqual(www["deploy"][0]["services"], [{"preset": "nginx"}])
        self.assertEqual(www["deploy"][0]["links"][f"/etc/letsencrypt/live/{CERTBOT[0]}/privkey.pem"], "privkey.pem")
        report, conf = self.found(world, "lego", "/etc/lego")
        self.assertIn("switch the other client off: remove line 2 of /etc/cron.d/lego", report["next"])
        self.assertEqual(conf["cas"]["ca"]["contact"], ["mailto:ops@example.test"])
        report, conf = self.found(world, "dehydrated")
        self.assertEqual(conf["certificates"][DEHYDRATED[0]]["key"], {"type": "ec-p384", "reuse": "when-not-compromised"})
        self.assertEqual(conf["publishers"]["site"]["directory"], world.webroot)
        report, conf = self.found(world, "acme.sh")
        links = conf["certificates"][f"{LEGO[0]}-ecc"]["deploy"][0]["links"]
        self.assertEqual(links["/etc/app/key.pem"], "privkey.pem")
        self.assertNotIn("/etc/passwd", links)
        self.assertTrue(any("/etc/passwd does not hold" in line for line in report["left"]), report["left"])
        self.assertFalse(os.path.exists("/etc/executed"))
        report, conf = self.found(world, "nginx")
        self.assertEqual(len(conf["certificates"]), 3)
        self.assertFalse(conf["cas"]["letsencrypt"]["terms_agreed"])
        for arguments, said in ((("certbot", "/etc/absent"), "name the place"), (("certbot", "--cert", "x"), "--from finds certificates and keys itself"),
                                (("nginx", "/etc/nginx"), "name the file that the server reads first, such as /etc/nginx/nginx.conf")):
            done = world.dcvctl("import", "--from", *arguments)
            self.assertEqual(done.returncode, 2, done.stdout)
            self.assertIn(said, done.stderr)

    def write(self, world, pebble):
        write(CONFIG, "include: /etc/dcvd/conf.d/*.yaml\ncontrol: {act: [dcvd]}\n")
        dry = self.run_well(world, "import", "--from", "certbot", "--write", "--dry-run")
        self.assertIn("certificates:", dry.stdout)
        self.assertFalse(os.path.exists("/etc/dcvd/conf.d"))
        world.start_dcvd()
        done = self.run_well(world, "import", "--from", "certbot", "--write")
        self.assertIn(f"{CERTBOT[0]}: taken over as set 1", done.stdout)
        path = "/etc/dcvd/conf.d/certbot.yaml"
        before = probe.read_text(path)
        again = world.dcvctl("import", "--from", "certbot", "--write")
        self.assertEqual((again.returncode, probe.read_text(path)), (2, before))
        self.assertIn("has these names already", again.stderr)
        other = world.dcvctl("--config", "/etc/dcvd/other.yaml", "import", "--from", "certbot", "--write")
        self.assertEqual((other.returncode, os.path.exists("/etc/dcvd/other.yaml")), (2, False), "nothing is left of what failed")
        done = self.run_well(world, "import", "--from", "dehydrated", "--write")
        self.assertIn(f"{DEHYDRATED[0]}: taken over as set 1", done.stdout)
        second = probe.read_text("/etc/dcvd/conf.d/dehydrated.yaml")  # its CA and its web root are certbot's: one account does
        self.assertIn(" ca: ca\n", second)
        self.assertIn(" publisher: site\n", second)
        self.assertNotRegex(second, "cas:|publishers:")
        write("/etc/dcvd/conf.d/lego.yaml", "publishers: {}\n")
        self.assertIn("exists", world.dcvctl("import", "--from", "lego", "/etc/lego", "--write").stderr)
        status, report = world.dcvctl_json("status")
        self.assertEqual([status, sorted(c["name"] for c in report["certificates"])], [0, sorted([CERTBOT[0], DEHYDRATED[0]])])
        # No systemd here: nginx is reloaded directly.
        write(path, before.replace("{preset: nginx}", "{preset: nginx, reload: [/usr/sbin/nginx, -s, reload]}"))
        os.kill(world.dcvd.pid, 1)
        probe.until(lambda: probe.read_text(world.dcvd.log).count("new configuration") >= 3, 10, "the new configuration")
        old = world.served(CERTBOT[0])
        self.run_well(world, "reissue", CERTBOT[0], "--yes", "--wait")
        new = world.served(CERTBOT[0])
        self.assertNotEqual(new.sha256, old.sha256)
        live = f"/etc/letsencrypt/live/{CERTBOT[0]}/fullchain.pem"
        self.assertTrue(os.path.realpath(live).startswith(f"/etc/nginx/tls/{CERTBOT[0]}/.dcvd/"), os.path.realpath(live))
        self.assertTrue(os.path.lexists(live + ".dcvd-orig"))
        self.run_well(world, "verify", CERTBOT[0])


if __name__ == "__main__":
    unittest.main()
