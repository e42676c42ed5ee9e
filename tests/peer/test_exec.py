"""Hooks of other clients as publishers: lego's, certbot's, dehydrated's and uacme's way of calling a script that updates
Knot by knsupdate, against Pebble; and hooks that fail, hang and print without end."""

import os
import re
import unittest

import namespace
import probe
from acme_world import AcmeCase
from servers import PRIMARY, write
from world import HOSTS

HOOKS, SEEN = "/etc/hooks", "/tmp/hooks"
UPDATE = """#!/bin/sh
# update add|del OWNER VALUE: one TXT record at the primary.
printf 'server %s 53\\nzone example.test.\\n%s %s %s TXT "%s"\\nsend\\n' {primary} "$1" "$2" "$([ "$1" = add ] && echo 60)" "$3" |
  knsupdate -t 5 -k {hooks}/key
"""
SCRIPTS = {
    "lego": 'id -u >> {seen}/user; env | sort >> {seen}/env\n'
            'case $1 in present) exec {hooks}/update add "$2" "$3";; cleanup) exec {hooks}/update del "$2" "$3";; esac; exit 9\n',
    "auth": 'echo "$CERTBOT_DOMAIN/$CERTBOT_VALIDATION" | tee -a {seen}/auth\n'
            'exec {hooks}/update add "_acme-challenge.$CERTBOT_DOMAIN." "$CERTBOT_VALIDATION" >&2\n',
    "cleanup": 'echo "$CERTBOT_AUTH_OUTPUT" >> {seen}/cleanup\n'
               'exec {hooks}/update del "_acme-challenge.$CERTBOT_DOMAIN." "$CERTBOT_VALIDATION"\n',
    "dehydrated": 'case $1 in deploy_challenge) exec {hooks}/update add "_acme-challenge.$2." "$4";;\n'
                  'clean_challenge) exec {hooks}/update del "_acme-challenge.$2." "$4";; esac\n',
    "uacme": '[ "$2" = dns-01 ] || exit 1\ncase $1 in begin) exec {hooks}/update add "_acme-challenge.$3." "$5";;\n'
             'done|failed) exec {hooks}/update del "_acme-challenge.$3." "$5";; esac\n',
    "bad": 'echo $$ >> {seen}/bad; case $(cat {hooks}/mood) in\n'
           'fail) echo "the zone is locked by \\033[31mbob" >&2; exit 3;;\n'
           'hang) trap "" TERM; sleep 300 & sleep 300;;\n'
           'chatty) i=0; while [ $i -lt 4000 ]; do echo "line $i of what nobody wants to read"; i=$((i+1)); done;;\n'
           'esac\nexec {hooks}/lego "$@"\n'}


@unittest.skipUnless(namespace.has_many_users(), "hooks run as a user of their own")
class Exec(AcmeCase):
    def scripts(self, world):
        key = world.dns.tsig["hmac-sha256"]
        write(f"{HOOKS}/key", f"hmac-sha256:{key['name']}:{key['secret']}\n", 0o400)
        os.chown(f"{HOOKS}/key", *[dict(namespace.USERS)["dcvd-hook"]] * 2)
        os.makedirs(SEEN, mode=0o777, exist_ok=True)
        os.chmod(SEEN, 0o777)
        words = {"hooks": HOOKS, "seen": SEEN, "primary": PRIMARY}
        write(f"{HOOKS}/update", UPDATE.format(**words), 0o755)
        for name, text in SCRIPTS.items():
            write(f"{HOOKS}/{name}", "#!/bin/sh\n" + text.format(**words), 0o755)

    def start(self):
        world = self.world(zones={"example.test": HOSTS + "*.wild 60 A 127.0.2.1\nwild 60 A 127.0.2.1\n"})
        pebble = self.pebble(world)
        self.scripts(world)
        certificates = {name: self.certificate(name, names, publisher=name) for name, names in (
            ("lego", ["*.wild.example.test", "wild.example.test"]), ("certbot", ["www.example.test"]),
            ("dehydrated", ["example.test"]), ("uacme", ["u.wild.example.test"]), ("bad", ["b.wild.example.test"]))}
        config = self.configure(world, pebble, certificates, start=False)
        for name, more in (("lego", {}), ("certbot", {"command": [f"{HOOKS}/auth"], "cleanup": [f"{HOOKS}/cleanup"]}),
                           ("dehydrated", {}), ("uacme", {}), ("bad", {"protocol": "lego", "timeout": "3s"})):
            config["publishers"][name] = {"type": "exec", "command": [f"{HOOKS}/{name}"], "protocol": name, **more}
        world.write_config(config)
        world.start_dcvd()
        return world, pebble

    def test_hooks_of_other_clients_publish(self):
        world, pebble = self.start()
        for cert in ("lego", "certbot", "dehydrated", "uacme"):
            self.run_well(world, "issue", cert, "--detach")
        done = lambda: probe.read_text(world.dcvd.log).count("-> done: ")
        probe.until(lambda: done() == 4, 60, "four certificates")
        self.assertEqual(pebble.issued(), 4)
        self.assertEqual(sorted(world.served("x.wild.example.test").names()), ["*.wild.example.test", "wild.example.test"])
        probe.until(lambda: not [o for o, kind, _ in world.dns.zone_records("example.test") if kind == "TXT"], 10, "a clean zone")
        self.assertEqual(probe.read_text(f"{SEEN}/auth"), probe.read_text(f"{SEEN}/cleanup"))
        self.assertEqual(set(probe.read_text(f"{SEEN}/user").split()), {str(dict(namespace.USERS)["dcvd-hook"])})
        given = {line.partition("=")[0] for line in probe.read_text(f"{SEEN}/env").splitlines()}
        self.assertLessEqual(given, {"PATH", "LANG", "LC_ALL", "PWD", "SHLVL", "_", "OLDPWD"})
        self.misbehave(world)
        self.judge(world)

    def misbehave(self, world):
        said = lambda text: re.search(text, probe.read_text(world.dcvd.log))
        write(f"{HOOKS}/mood", "fail\n")
        self.run_well(world, "issue", "bad", "--detach")
        line = probe.until(lambda: said(r".*by bad: .*the zone is locked by.*"), 20, "the hook's own words").group(0)
        self.assertIn("exit 3", line)
        self.assertNotIn("\033", probe.read_text(world.dcvd.log))
        self.keep_what_is_out(world)
        write(f"{HOOKS}/mood", "hang\n")
        self.run_well(world, "issue", "bad", "--detach")
        probe.until(lambda: said(r"the hook did not end within 3 s and was killed"), 40, "the time limit")
        write(f"{HOOKS}/mood", "chatty\n")
        self.assertEqual(world.dcvctl("reissue", "bad", "--yes", "--detach").returncode, 0)
        probe.until(lambda: said(r"bad: job \d+: served -> done"), 60, "the certificate in spite of the noise")
        self.assertLess(os.path.getsize(world.dcvd.log), 400000)
        probe.until(lambda: not [o for o, kind, _ in world.dns.zone_records("example.test") if kind == "TXT"], 10, "a clean zone")

    def keep_what_is_out(self, world):
        """A hook that does not take its records back: nothing is called gone before it is."""
        self.assertIn("tokens are being withdrawn", self.run_well(world, "cancel", "bad", "--yes").stdout)
        status, facts = world.dcvctl_json("withdraw", "bad")
        self.assertEqual((status, facts["withdrawn"], len(facts["left"])), (1, 0, 1))
        write(f"{HOOKS}/mood", "good\n")
        self.assertIn("1 token withdrawn", self.run_well(world, "withdraw", "bad").stdout)


if __name__ == "__main__":
    unittest.main()
