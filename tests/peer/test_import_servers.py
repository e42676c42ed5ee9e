"""Coming from a web server: configurations that HAProxy and Apache accept themselves, with every way of theirs to name a
certificate, taken over by dcvctl import --from; and the same servers once their files are links of dcvd."""

import os
import shutil
import socket
import subprocess
import time
import unittest

import namespace
import probe
from acme_world import AcmeCase
from hierarchy import Hierarchy, make_csr, make_key
from servers import BASE, HAPROXY, Child, write
from world import CONFIG, STATE

APACHE = "127.0.2.3"
DAY_S = 86400


class Servers(AcmeCase):
    def setUp(self):
        self.machine = self.world(services=())
        now = int(time.time())
        self.validity = (now - DAY_S, now + 60 * DAY_S)
        self.authority = Hierarchy(f"{BASE}/authority", *self.validity)

    def made(self, *names, kind="ec-p256"):
        """(leaf, chain, key) as PEM, of a CA with one intermediate."""
        path = f"{BASE}/made.key"
        make_key(path, kind)
        csr = make_csr(path, kind, names)
        leaf = self.authority.issue("rsa", csr, names, self.validity, kind)
        return leaf, "".join(self.authority.chain("rsa")), probe.read_text(path)

    def run_ok(self, *command):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, f"{command}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def import_from(self, *arguments):
        status, report = self.machine.dcvctl_json("import", "--from", *arguments)
        self.assertEqual(status, 0, report)
        write(f"{BASE}/printed.yaml", report["yaml"])
        self.run_ok(self.machine.program("dcvd"), "--config", f"{BASE}/printed.yaml", "--check-config")
        return report

    def write_and_take_over(self, server, certificates, direct):
        """certificates: {name: (leaf, chain, key)}; direct: the preset's service without systemd, which is not here."""
        write(CONFIG, "include: /etc/dcvd/conf.d/*.yaml\ncontrol: {act: [dcvd]}\n")
        done = self.run_well(self.machine, "import", "--from", server, "--write")
        self.run_ok(self.machine.program("dcvd"), "--config", CONFIG, "--check-config")
        for name, (leaf, chain, key) in certificates.items():
            self.assertIn(f"{name}: taken over as set 1", done.stdout)
            taken = f"{STATE}/live/{name}"
            self.assertEqual(probe.read_text(f"{taken}/fullchain.pem"), leaf + chain, name)
            self.assertEqual(probe.spki_of_key(probe.read_text(f"{taken}/privkey.pem")), probe.spki_of_key(key), name)
        path = f"/etc/dcvd/conf.d/{server}.yaml"
        write(path, probe.read_text(path).replace(f"{{preset: {server}}}", f"{{preset: {server}, {direct}}}"))
        self.machine.start_dcvd()
        for name in certificates:
            self.run_well(self.machine, "deploy", name, "--wait")


class Haproxy(Servers):
    CONF = "/etc/haproxy/haproxy.cfg"

    def configuration(self):
        """Debian's own global and defaults sections, and every way of `bind` to name a certificate."""
        given = {names[0]: self.made(*names, kind=kind) for names, kind in (
            (("one.example.test",), "ec-p256"), (("apart.example.test", "*.apart.example.test"), "rsa-2048"), (("d1.example.test",), "ec-p256"),
            (("d2.example.test",), "rsa-2048"), (("listed.example.test",), "ec-p256"), (("both.example.test",), "rsa-2048"))}
        bundle = lambda name: "".join((given[name][0], given[name][1], given[name][2]))
        write("/etc/ssl/private/one.pem", given["one.example.test"][2] + given["one.example.test"][0] + given["one.example.test"][1], 0o600)
        write("/etc/haproxy/apart.crt", "".join(given["apart.example.test"][:2]))
        write("/etc/haproxy/apart.crt.key", given["apart.example.test"][2], 0o600)
        write("/etc/haproxy/certs/d1.pem", bundle("d1.example.test"), 0o600)
        write("/etc/haproxy/certs/d2.pem", bundle("d2.example.test"), 0o600)
        write("/etc/haproxy/certs/.hidden", "not a certificate")
        write("/etc/haproxy/listed.pem", bundle("listed.example.test"), 0o600)
        write("/etc/haproxy/both.pem.rsa", bundle("both.example.test"), 0o600)
        given["both.example.test-2"] = self.made("both.example.test")
        write("/etc/haproxy/both.pem.ecdsa", bundle("both.example.test-2"), 0o600)
        write("/etc/haproxy/list", "# file [options] filters\n\n/etc/haproxy/listed.pem [alpn h2,http/1.1 ssl-min-ver TLSv1.2] listed.example.test !no.example.test\n"
              "one.pem\n")
        for folder in ("/run/haproxy", "/var/lib/haproxy"):  # which Debian's configuration names
            os.makedirs(folder, exist_ok=True)
        write(self.CONF, probe.read_text(self.CONF) + f"""
frontend tls
	bind {HAPROXY}:443 ssl crt one.pem crt /etc/haproxy/certs alpn h2,http/1.1 # and more
	bind {HAPROXY}:8443 ssl crt "/etc/haproxy/apart.crt" crt-list /etc/haproxy/list
	bind {HAPROXY}:9443 ssl crt /etc/haproxy/both.pem
	bind {HAPROXY}:80
	http-request return status 200
	default_backend inside

backend inside
	server s1 127.0.0.1:8443 ssl verify none crt /etc/haproxy/certs/d1.pem
""")
        return given

    @staticmethod
    def told(command):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect("/run/haproxy/admin.sock")
            s.sendall(command.encode() + b"\n")
            return b"".join(iter(lambda: s.recv(65536), b"")).decode()

    def test_every_way_to_name_a_certificate(self):
        given = self.configuration()
        self.run_ok("haproxy", "-c", "-f", self.CONF)
        report = self.import_from("haproxy")
        certificates = report["configuration"]["certificates"]
        self.assertEqual(sorted(certificates), sorted(given), report["left"])
        for name, section in certificates.items():
            self.assertEqual(section["deploy"][0]["services"], [{"preset": "haproxy"}], name)
        links = {name: section["deploy"][0]["links"] for name, section in certificates.items()}
        self.assertEqual(links["one.example.test"], {"/etc/ssl/private/one.pem": "combined.pem"})
        self.assertEqual(links["apart.example.test"], {"/etc/haproxy/apart.crt": "fullchain.pem", "/etc/haproxy/apart.crt.key": "privkey.pem"})
        self.assertEqual(links["d2.example.test"], {"/etc/haproxy/certs/d2.pem": "combined.pem"})
        self.assertEqual(links["both.example.test-2"], {"/etc/haproxy/both.pem.ecdsa": "combined.pem"})
        self.assertEqual(certificates["d2.example.test"]["key"], {"type": "rsa-2048"})
        self.assertEqual([line for line in report["left"] if "was issued by" not in line], [])
        if not namespace.has_many_users():
            return
        server = Child("haproxy", ["haproxy", "-W", "-db", "-f", self.CONF, "-p", "/run/haproxy.pid"])
        self.machine.children.append(server.start(lambda: probe.tcp_open(HAPROXY, 443)))
        self.write_and_take_over("haproxy", given, f'reload: [/bin/sh, -c, "kill -USR2 $(cat /run/haproxy.pid)"], verify: []')
        self.run_ok("haproxy", "-c", "-f", self.CONF)
        self.assertEqual(os.path.realpath("/etc/haproxy/certs/d1.pem"), os.path.realpath("/etc/haproxy/tls/d1.example.test/combined.pem"))
        loaded = probe.until(lambda: self.told("show ssl cert"), what="an answer")  # the socket moves while it is reloaded
        self.assertIn("/etc/haproxy/certs/d1.pem", loaded)
        self.assertNotIn("dcvd-orig", loaded)
        for name, kind, port in (("one.example.test", None, 443), ("d2.example.test", None, 443), ("listed.example.test", None, 8443),
                                 ("x.apart.example.test", None, 8443), ("both.example.test", "rsa", 9443), ("both.example.test", "ecdsa", 9443)):
            self.assertIn(name.removeprefix("x."), probe.served(HAPROXY, name, kind, port).names())


@unittest.skipUnless(shutil.which("apache2ctl"), "apache2 is not installed")
class Apache(Servers):
    HOME = "/etc/apache2"

    def site(self, name, lines, enabled=True):
        write(f"{self.HOME}/sites-available/{name}.conf", f"""<IfModule mod_ssl.c>
<VirtualHost _default_:443>
	ServerName {name}.example.test
	DocumentRoot ${{SITES}}/{name}
	ErrorLog ${{APACHE_LOG_DIR}}/error.log
	SSLEngine on
{lines}
</VirtualHost>
</IfModule>
""")
        os.makedirs(f"/srv/sites/{name}", exist_ok=True)
        if enabled:
            self.run_ok("a2ensite", "-q", name)

    def configuration(self):
        """Debian's own layout, every way to name certificate, key and chain."""
        given = {name: self.made(name, kind=kind) for name, kind in (
            ("full.example.test", "ec-p256"), ("first.example.test", "rsa-2048"), ("second.example.test", "ec-p256"), ("own.example.test", "ec-p256"),
            ("bundle.example.test", "rsa-2048"), ("both.example.test", "rsa-2048"), ("off.example.test", "ec-p256"))}
        given["both.example.test-2"] = self.made("both.example.test")
        tls = f"{self.HOME}/tls"
        for name, (leaf, chain, key) in given.items():
            write(f"{tls}/{name}.crt", leaf)
            write(f"{tls}/{name}.full", leaf + chain)
            write(f"{tls}/{name}.chain", chain)
            write(f"{tls}/{name}.key", key, 0o600)
            write(f"{tls}/{name}.all", key + leaf, 0o600)
        envvars = probe.read_text(f"{self.HOME}/envvars")
        write(f"{self.HOME}/envvars", envvars + f"export SITES=/srv/sites$SUFFIX\nexport APACHE_LOG_DIR={BASE}/log\n"
              'if [ -z "$NOW" ]; then NOW=$(date); fi\n')
        for folder in (f"{BASE}/log", "/run/lock"):
            os.makedirs(folder, exist_ok=True)
        write(f"{self.HOME}/conf-available/site.conf", f"ServerName localhost\nDefine CERTS /nowhere\nDefine CERTS {tls}\n")
        write(f"{self.HOME}/snippets/bundle", "SSLCertificateFile ${CERTS}/bundle.example.test.all\nSSLCertificateChainFile ${CERTS}/bundle.example.test.chain\n")
        self.run_ok("a2enconf", "-q", "site")
        self.run_ok("a2enmod", "-q", "ssl")
        pair = "\tSSLCertificateFile {0}.{1}\n\tSSLCertificateKeyFile {0}.key".format
        self.site("full", pair("tls/full.example.test", "full"))
        for name in ("first", "second"):  # one CA, and its issuers in one file
            self.site(name, pair(f"${{CERTS}}/{name}.example.test", "crt") + f"\n\tSSLCertificateChainFile {tls}/first.example.test.chain")
        self.site("own", '\tSSLCertificateFile "${CERTS}/own.example.test.crt"\n\tsslcertificatekeyfile \\\n\t\t${CERTS}/own.example.test.key\n'
                  "\tSSLCertificateChainFile ${CERTS}/own.example.test.chain")
        self.site("bundle", "\tServerAlias b.example.test\n\tInclude snippets/bundle")
        self.site("both", pair("tls/both.example.test", "full") + "\n" + pair("tls/both.example.test-2", "full"))
        self.site("off", pair("tls/off.example.test", "full"), enabled=False)
        del given["off.example.test"]
        return given

    def test_debians_layout(self):
        given = self.configuration()
        self.run_ok("apache2ctl", "-t")
        report = self.import_from("apache")
        certificates = report["configuration"]["certificates"]
        self.assertEqual(sorted(certificates), sorted(given), report["left"])
        tls = f"{self.HOME}/tls"
        links = {name: section["deploy"][0]["links"] for name, section in certificates.items()}
        for name, want in {
                "full.example.test": {"full": "fullchain", "key": "privkey"}, "first.example.test": {"crt": "fullchain", "key": "privkey"},
                "second.example.test": {"crt": "fullchain", "key": "privkey"}, "own.example.test": {"crt": "fullchain", "chain": "chain", "key": "privkey"},
                "bundle.example.test": {"all": "combined", "chain": "chain"}, "both.example.test": {"full": "fullchain", "key": "privkey"},
                "both.example.test-2": {"full": "fullchain", "key": "privkey"}}.items():
            self.assertEqual(links[name], {f"{tls}/{name}.{end}": f"{form}.pem" for end, form in want.items()}, name)
            self.assertEqual(certificates[name]["deploy"][0]["services"], [{"preset": "apache"}], name)
        roots = {name: report["configuration"]["publishers"][section["publisher"]] for name, section in certificates.items()}
        self.assertEqual(roots["full.example.test"], {"type": "webroot", "directory": "/srv/sites/full"})
        self.assertEqual([line for line in report["left"] if "was issued by" not in line],
                         [f"{tls}/first.example.test.chain: is the chain of several certificates and stays as it is; each has its own in SSLCertificateFile"])
        if not namespace.has_many_users():
            return
        server = Child("apache", ["/bin/sh", "-c", f". {self.HOME}/envvars; exec apache2 -D FOREGROUND"])
        self.machine.children.append(server.start(lambda: probe.tcp_open(APACHE, 443)))
        self.write_and_take_over("apache", given, f'reload: [apache2ctl, graceful], verify: ["{APACHE}:443"]')
        self.run_ok("apache2ctl", "-t")
        for name in given:
            shown = probe.openssl("s_client", "-connect", f"{APACHE}:443", "-servername", name.removesuffix("-2"), "-showcerts", stdin="")
            self.assertEqual(shown.count("-----BEGIN CERTIFICATE-----"), 2, name)


if __name__ == "__main__":
    unittest.main()
