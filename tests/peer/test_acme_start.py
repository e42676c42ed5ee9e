"""The five minutes of docs/acme.md as they are typed: both configurations and every command of the page, in their order,
against Pebble. What a private machine has elsewhere is replaced (addresses, names, the CA); a command that nobody here can
type fails the test."""

import os
import re
import shlex
import subprocess
import unittest

import namespace
import probe
from acme_world import AcmeCase
from servers import PRIMARY, WEB, Nginx, write
from world import HOSTS, SOURCE

WILD = ["*.apps.example.test", "apps.example.test"]
HOOK = """#!/bin/sh
case $1 in present) what=add;; cleanup) what=del;; *) exit 9;; esac
printf 'server {primary} 53\\nzone example.test.\\n%s %s 60 TXT "%s"\\nsend\\n' "$what" "$2" "$3" | knsupdate -t 5 -k /etc/dns-hook.key
"""


def page():
    """(YAML blocks, commands) of the section, without the indentation of its list."""
    text = probe.read_text(os.path.join(SOURCE, "docs/acme.md"))
    section = text.partition("## Five minutes\n")[2].partition("\n## ")[0]
    fence = re.compile(r"(?ms)^( *)```yaml\n(.*?)^ *```$")
    blocks = [re.sub(rf"(?m)^{m.group(1)}", "", m.group(2)) for m in fence.finditer(section)]
    commands = [line.strip().partition("  #")[0] for line in fence.sub("", section).splitlines() if line.startswith("       ")]
    return blocks, commands


class DebianNginx(Nginx):
    """One site on port 80 of every address, and what is in conf.d."""

    def configure(self, extra=""):
        os.makedirs("/etc/nginx/conf.d", exist_ok=True)
        for name in os.listdir("/etc/nginx/conf.d"):
            os.unlink(f"/etc/nginx/conf.d/{name}")
        super().configure(extra="include /etc/nginx/conf.d/*.conf;")
        text = probe.read_text("/etc/nginx/nginx.conf").replace(f"listen {WEB}:80 default_server", "listen 80 default_server")
        write("/etc/nginx/nginx.conf", text)


class AcmeStart(AcmeCase):
    def begin(self, blocks, which):
        self.world_ = world = self.world(zones={"example.test": HOSTS + f"apps 60 A {WEB}\n*.apps 60 A {WEB}\n"})
        self.pebble_ = self.pebble(world)
        world.nginx = DebianNginx([], world.webroot)
        world.nginx.start()
        self.secret = world.dns.tsig["hmac-sha256"]["secret"]
        self.write_hook()
        text = blocks[which]
        places = [("https://acme-v02.api.letsencrypt.org/directory", self.pebble_.directory),
                  ("terms_agreed: true", f"terms_agreed: true\n    ca_bundle: {self.pebble_.bundle}"),
                  ("/var/www/html", world.webroot), ("example.com", "example.test"),
                  # no systemd here
                  ("{preset: nginx}", "{preset: nginx, reload: [/usr/sbin/nginx, -s, reload]}")]
        for old, new in places + ([("192.0.2.1", PRIMARY)] if which == 0 else []):
            self.assertIn(old, text)
            text = text.replace(old, new)
        self.configuration = text

    def write_hook(self):
        write("/usr/local/bin/dns-hook", HOOK.format(primary=PRIMARY), 0o755)
        write("/etc/dns-hook.key", f"hmac-sha256:dcvd.:{self.secret}\n", 0o400)
        if namespace.has_many_users():
            os.chown("/etc/dns-hook.key", *[dict(namespace.USERS)["dcvd-hook"]] * 2)

    def run_line(self, line, stdin=None, as_ids=None):
        path = f"{os.path.dirname(self.world_.program('dcvd'))}:{os.environ['PATH']}"
        return subprocess.run(["bash", "-euo", "pipefail", "-c", line], input=stdin, capture_output=True, text=True, check=False,
                              timeout=60 * probe.BUSY, env={**os.environ, **self.world_.environment({"CREDENTIALS_DIRECTORY": ""}), "PATH": path}, cwd="/tmp",
                              preexec_fn=namespace.as_user(*as_ids) if as_ids else None)

    def type(self, line):
        """As a person would; of the words only sudo is not there, and of the machine systemd. Without sudo it is an ordinary user's."""
        if line.startswith("sudo systemctl enable --now dcvd "):
            # systemd reads the credentials as root; here the daemon does, where there are users.
            if not namespace.has_many_users():
                os.chmod("/etc/dcvd/credentials", 0o755)
            return self.world_.start_dcvd(env={"CREDENTIALS_DIRECTORY": ""})
        self.assertIn(shlex.split(line)[1 if line.startswith("sudo ") else 0], ("install", "nginx", "dcvd", "dcvctl", "tee"), line)
        ordinary = (65534, 65534) if "sudo " not in line and namespace.has_many_users() else None
        done = self.run_line(line.replace("sudo ", ""), self.secret if "/dev/stdin" in line else None, ordinary)
        self.assertEqual(done.returncode, 0, f"{line}: {done.stdout}{done.stderr}")
        if line.endswith("nginx -s reload"):  # which only sends a signal; a person is slower than that
            probe.until(lambda: probe.tcp_open(WEB, 443), what="nginx on port 443")
        return done

    def test_names_by_files_and_a_wildcard_by_rfc_2136(self):
        blocks, commands = page()
        self.assertEqual(len(blocks), 2)
        self.assertEqual([line.split()[-1] for line in commands if "issue" in line and "--wait" in line], ["--wait"] * 2)
        self.begin(blocks, 0)
        for line in commands:
            if line == "sudo dcvd --check-config":
                self.world_.write_config(self.configuration)
            done = self.type(line)
            if line == "sudo dcvctl verify www":
                self.assertIn(":443 as www.example.test: serves the live certificate", done.stdout)
        self.holds("www", ["example.test", "www.example.test"])
        self.holds("wild", WILD)
        self.assertEqual(sorted(self.world_.served().names()), ["example.test", "www.example.test"])
        self.assertEqual(self.pebble_.issued(), 2)
        self.is_clean()

    def holds(self, cert, names):
        text = probe.openssl("x509", "-noout", "-ext", "subjectAltName", "-in", f"/etc/nginx/tls/{cert}/fullchain.pem")
        self.assertEqual(sorted(re.findall(r"DNS:([^,\s]+)", text)), sorted(names))

    def is_clean(self):
        probe.until(lambda: not [r for r in self.world_.dns.zone_records("example.test") if r[1] == "TXT"], 10, "a clean zone")
        self.files_are_gone(self.world_)
        self.judge(self.world_)

    @unittest.skipUnless(namespace.has_many_users(), "hooks run as a user of their own")
    def test_a_wildcard_by_a_hook(self):
        """The other configuration; what it has in common with the first is not typed again."""
        blocks, commands = page()
        self.begin(blocks, 1)
        self.world_.write_config(self.configuration)
        for line in commands:
            if " www" not in line and "/etc/dcvd/credentials" not in line and "nginx" not in line:
                self.type(line)
        self.holds("wild", WILD)
        self.is_clean()


if __name__ == "__main__":
    unittest.main()
