"""dcvctl on a terminal and in a script: questions, the live view, Ctrl-C, time-outs, several certificates, one document."""

import copy
import json
import os
import pty
import re
import select
import signal
import subprocess
import time
import unittest

import namespace
import probe
from world import RUNTIME, World

SHOP = {"id": "b1B2c3D4", "names": ["shop.test"], "package_type": "83"}
WWW = {"id": "a1B2c3D4", "names": ["www.example.test", "example.test"], "package_type": "83"}


class Terminal:
    """dcvctl on a terminal of its own."""

    def __init__(self, world, *arguments, env=None):
        self.text = ""
        environment = {**os.environ, **world.environment(env), "TERM": "xterm"}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(world.program("dcvctl"), ["dcvctl", *arguments], environment)

    def _read(self):
        if select.select([self.fd], [], [], 0.05)[0]:
            try:
                more = os.read(self.fd, 4096)
            except OSError:
                return False
            self.text += more.decode()
            return bool(more)
        return True

    def until(self, wanted, limit_s=20):
        return self.until_it_matches(re.escape(wanted), limit_s)

    def until_it_matches(self, pattern, limit_s=20):
        end = time.monotonic() + limit_s * probe.BUSY
        while not re.search(pattern, self.text):
            if not self._read() or time.monotonic() > end:
                raise AssertionError(f"no {pattern!r} in {self.text!r}")
        return self

    def type(self, text):
        os.write(self.fd, text.encode())
        return self

    def press_ctrl_c(self):
        os.kill(self.pid, signal.SIGINT)
        return self

    def end(self, limit_s=60):
        end = time.monotonic() + limit_s * probe.BUSY
        while self._read():
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError(f"no end after {self.text!r}")
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def two_certificates(world):
    config = world.default_config("a1B2c3D4")
    www = config["certificates"]["www"]
    www["rehearse"] = "never"
    shop = copy.deepcopy(www)
    shop.update(names=["shop.test"], certificate_id="b1B2c3D4")
    shop["deploy"][0]["directory"] = "/etc/nginx/tls/b1B2c3D4"
    config["certificates"]["shop"] = shop
    return config


class OnATerminal(unittest.TestCase):
    def test_it_asks_follows_and_lets_go(self):
        with World(certificates=[WWW, SHOP]) as world:
            world.write_config(two_certificates(world))
            world.start_dcvd()
            asked = Terminal(world, "reissue", "www").until("Go on? [y/N]").type("n\n")
            self.assertEqual(asked.end(), 5)
            self.assertIn("only reissue of www (a1B2c3D4 at tencent)", asked.text)
            self.assertIn("nothing was done", asked.text)
            left = Terminal(world, "reissue", "www").until("Go on? [y/N]").press_ctrl_c()
            self.assertEqual(left.end(), 130)
            self.assertIn("interrupted: nothing was done", left.text)
            self.assertEqual(world.ledger("ReplaceCertificate"), [])
            world.dns.relay.hold()
            live = Terminal(world, "reissue", "www").until("Go on? [y/N]").type("y\n").until("still at serial 1\r\n")
            live.until_it_matches(r"\x1b\[\d+A\x1b\[J")  # the block is drawn again in its place
            live.until_it_matches(r"\n +ns1\.example\.test \(127\.0\.1\.1\) shows it after \d+ ms\r\n")
            self.assertEqual(live.press_ctrl_c().end(), 130)
            self.assertIn("job 1 goes on; dcvctl status www\r\n", live.text)
            self.assertIn("Go on?", Terminal(world, "cancel", "www").until("may have spent the only reissue").until("Go on?").type("n\n").text)
            plain = Terminal(world, "reissue", "www", "--yes", env={"NO_COLOR": "1"}).until("still at serial 1\r\n")
            world.dns.relay.release()
            self.assertEqual(plain.end(), 0, plain.text)
            self.assertIn("done       new certificate served\r\n", plain.text)
            self.assertNotRegex(plain.text, r"\x1b\[\d*m", "colours in spite of NO_COLOR")
            coloured = Terminal(world, "reissue", "www", "--yes")
            self.assertEqual(coloured.end(), 5)
            self.assertRegex(coloured.text, r"\x1b\[31mfailed\x1b\[0m +R3: used on ")
            watch = Terminal(world, "status", "--watch").until("REISSUE")
            self.assertEqual(watch.press_ctrl_c().end(), 130)

    def test_a_script_gets_one_document_and_one_exit(self):
        with World(certificates=[WWW, SHOP]) as world:
            world.write_config(two_certificates(world))
            world.start_dcvd()
            refused = world.dcvctl("reissue", "www")
            self.assertEqual((refused.returncode, refused.stdout), (5, ""))
            self.assertIn("say --yes to do it", refused.stderr)
            status, document = world.dcvctl_json("reissue", "--all")
            self.assertEqual((status, document["exit"], document["error"]["code"]), (5, 5, "confirm"))
            self.assertIn("2 certificates would be reissued: shop, www", document["error"]["text"])
            self.assertEqual(world.ledger("ReplaceCertificate"), [])
            world.dns.relay.hold()
            status, document = world.dcvctl_json("reissue", "www", "www", "--yes")
            self.assertEqual((status, [job["cert"] for job in document["jobs"]]), (0, ["www"]), "a name said twice is one job")
            status, document = world.dcvctl_json("reissue", "www", "--yes", "--wait", "--timeout", "8s")
            self.assertEqual((status, document["exit"], document["jobs"][0]["ended"]), (4, 4, False))
            world.dns.relay.release()
            followed = world.dcvctl("reissue", "www", "--yes", "--wait")
            self.assertEqual((followed.returncode, followed.stdout), (0, ""), followed.stderr)
            status, document = world.dcvctl_json("reissue", "www", "shop", "--dry-run")
            self.assertEqual((status, [one["exit"] for one in document["certificates"]]), (5, [5, 0]))
            self.assertEqual(document["certificates"][0]["error"]["code"], "R3")
            both = world.dcvctl("reissue", "--all", "--yes", "--wait")
            self.assertEqual(both.returncode, 5, both.stderr)
            self.assertRegex(both.stdout, r"(?m)^www +failed +R3: used on ")
            self.assertRegex(both.stdout, r"(?m)^shop +done +new certificate served$")
            status, document = world.dcvctl_json("deploy", "shop", "--wait")
            self.assertEqual((status, document["jobs"][0]["state"], document["jobs"][0]["ended"]), (0, "done", True))
            self.assertEqual(world.dcvctl("deploy", "shop", "--wait", "--quiet").stderr, "")
            job = world.dcvctl_json("deploy", "shop", "--detach")[1]["jobs"][0]["job"]
            probe.until(lambda: world.dcvctl_json("status", "shop")[1]["certificates"][0]["last_job"]["job"] == job, what="the end of that job")
            for arguments in (["statu"], ["status", "--chek"], ["status", "--timeout", "x"], ["snippet"], ["status", "nobody"],
                              ["history", "nobody"], ["sets"], ["import", "--from", "tencent", "zzz"], ["status", "--watch"]):
                done = world.dcvctl("--json", *arguments)
                self.assertEqual((done.returncode, json.loads(done.stdout)["exit"]), (2, 2), arguments)
                self.assertTrue(done.stderr.startswith("dcvctl: "), done.stderr)
            for arguments in (["status"], ["sets", "www"], ["verify"], ["history"], ["withdraw", "--stale"]):
                self.assertEqual(world.dcvctl("--quiet", *arguments).stdout, "", arguments)
            fails_again = lambda: (world.dcvctl("reissue", "www", "--yes", "--wait").returncode,  # noqa: E731
                                   world.dcvctl("status", "--check").returncode)
            probe.until(lambda: fails_again() == (5, 1), what="a failure in a later second than the success")
            status, document = world.dcvctl_json("status", "--check")
            self.assertEqual((status, document["exit"]), (1, 1))
            self.assertEqual({c["name"]: c["trouble"] for c in document["certificates"]}, {"www": "the last job failed", "shop": None})
            config = two_certificates(world)
            del config["certificates"]["shop"]
            world.write_config(config)
            world.dcvd.signal(signal.SIGHUP)
            probe.until(lambda: "no longer in the configuration" in world.dcvctl("status").stdout, what="the reload")
            status, document = world.dcvctl_json("reissue", "shop", "www", "--yes")
            self.assertEqual((status, document["exit"]), (2, 2), "one that cannot be started keeps no other from it")
            self.assertEqual([job["cert"] for job in document["jobs"]], ["www"])
            self.assertEqual([(one["cert"], one["exit"], one["error"]["code"]) for one in document["refused"]], [("shop", 2, "cert.retired")])
            both = world.dcvctl("reissue", "shop", "www", "--yes", "--wait")
            self.assertEqual(both.returncode, 2)
            self.assertRegex(both.stdout, r"(?m)^shop +refused +certificate shop is no longer in the configuration\nwww +failed +R3")
            if namespace.has_many_users():
                os.chmod(RUNTIME, 0o700)
                self.assertIn("use sudo, or join", world.dcvctl("reissue", "www", as_ids=(65534, 65534)).stderr)
            world.dcvd.stop()
            for arguments in (["status"], ["reissue", "www", "--yes"], ["status", "--check"]):
                status, document = world.dcvctl_json(*arguments)
                self.assertEqual((status, document["error"]["code"]), (3, "no-daemon"))
            for command in ("reissue", "issue"):
                self.assertIn(f"dcvctl {command} www --local", world.dcvctl(command, "www").stderr)
            broken = world.write_config("bad: 1\nworse: 2\n", "/etc/dcvd/broken.yaml")
            for arguments in (["check"], ["verify"], ["publishers"], ["snippet", "nginx"], ["sets", "www"]):
                done = world.dcvctl("--json", "--config", broken, *arguments)
                document = json.loads(done.stdout)
                self.assertEqual((done.returncode, document["exit"], document["error"]["code"]), (2, 2, "config"), arguments)
                self.assertEqual([line.split(" ")[:2] for line in document["error"]["problems"]],
                                 [[f"{broken}:1:1:", "bad:"], [f"{broken}:2:1:", "worse:"]])
                self.assertEqual(world.dcvctl("--config", broken, *arguments).stderr, done.stderr)

    def test_following_survives_a_restart_and_no_text_commands_the_terminal(self):
        with World(certificates=[WWW, SHOP]) as world:
            world.write_config(two_certificates(world))
            world.start_dcvd()
            world.dns.relay.hold()
            followed = Terminal(world, "reissue", "www", "--yes", "--reason", "\x1b[2J red\x07").until("still at serial 1\r\n")
            world.dcvd.stop()
            followed.until("waiting for it to come back")
            world.start_dcvd()
            world.dns.relay.release()
            self.assertEqual(followed.end(), 0, followed.text)
            self.assertIn("new certificate served", followed.text)
            self.assertEqual(len(world.ledger("ReplaceCertificate")), 1)
            told = world.dcvctl("history", "www").stdout
            self.assertIn(r"\x1b[2J red\x07", told)
            self.assertNotIn("\x1b", told)
            facts = world.dcvctl_json("history", "www")[1]["history"]
            self.assertIn("\x1b[2J red\x07", [row["data"].get("reason") for row in facts if row["event"] == "started"])
            world.dns.relay.hold()
            left = Terminal(world, "reissue", "shop", "--yes").until("still at serial")
            world.kill_dcvd()
            self.assertEqual(left.until("waiting for it to come back").press_ctrl_c().end(), 3, left.text)
            self.assertIn("job 2 goes on when dcvd runs again; dcvctl status shop", left.text)

    def test_help_is_everywhere(self):
        with World(services=()) as world:
            shown = world.dcvctl("--help")
            self.assertEqual(shown.returncode, 0)
            self.assertEqual(world.dcvctl("help").stdout, shown.stdout)
            here = re.findall(r"(?m)^  ([a-z]+) +\S", shown.stdout.partition("\noptions of every command")[0])
            self.assertEqual(sorted(here), sorted((
                "check rehearse issue reissue import status history incidents incident confirm dismiss report revoke cancel deploy sets "
                "forget withdraw verify publish publishers account alert notify snippet").split()), "the interface's commands")
            for name in here:
                one = world.dcvctl(name, "--help")
                self.assertEqual(one.returncode, 0)
                self.assertRegex(one.stdout, rf"usage: dcvctl {name}[ \n]")
                self.assertIn("examples:\n  dcvctl " + name, one.stdout)
                self.assertEqual(world.dcvctl("help", name).stdout, one.stdout)
                self.assertEqual(world.dcvctl("-h", name).stdout, one.stdout)
            self.assertEqual(json.loads(world.dcvctl("--json", "--version").stdout)["program"], "dcvctl")
            listed = json.loads(world.dcvctl("--json", "check", "--catalogue").stdout)["checks"]
            page = re.findall(r"(?m)^\| ([A-Z]\d\d) \| (\w+) \|", world.dcvctl("check", "--catalogue").stdout)
            self.assertEqual([(one["id"], one["severity"]) for one in listed], page)
            with open("/dev/full", "wb") as full:
                for words in (["--help"], ["--version"], ["help", "status"], ["check", "--catalogue"]):
                    done = subprocess.run([world.program("dcvctl"), *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
                    self.assertEqual((done.returncode, done.stderr), (1, "dcvctl: standard output: No space left on device\n"), words)


if __name__ == "__main__":
    unittest.main()
