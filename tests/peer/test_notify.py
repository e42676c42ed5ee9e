"""What people asked to be told: by a command that runs as a user of its own, and by a signed call; kept until it was
taken, over a kill; and commands that misbehave."""

import base64
import hashlib
import hmac
import http.server
import json
import os
import re
import threading
import time
import unittest
import urllib.request

import namespace
import probe
from servers import write
from world import FREE, World

HOOK_UID = dict(namespace.USERS)["dcvd-hook"]
CHAT, ADMIN = ("127.0.5.1", 8111), "127.0.0.1:9853"
KEY = bytes(range(32))
OUT = "/run/hook"
MAIL = f"""#!/bin/sh
n=$(ls {OUT} | grep -c "mail[.][0-9]*$") # one that a kill cut short leaves its .tmp
{{ echo "ran as $(id -u) $(id -G) $*"; env; cat; }} >{OUT}/mail.$n.tmp
mv {OUT}/mail.$n.tmp {OUT}/mail.$n
"""


class Chat(threading.Thread):
    """Takes signed calls; says 503 until it is open."""

    def __init__(self):
        super().__init__(daemon=True)
        self.calls, self.open, self.lock = [], False, threading.Lock()
        chat = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                with chat.lock:
                    status = 200 if chat.open else 503
                    chat.calls.append((status, dict((k.lower(), v) for k, v in self.headers.items()), body))
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(CHAT, Handler)

    def run(self):
        self.server.serve_forever(0.05)

    def taken(self):
        """What it accepted: (delivery, document), oldest first, each checked."""
        return [(headers["webhook-id"], check(headers, body)) for status, headers, body in self.calls if status == 200]

    def refused(self):
        return [(headers["webhook-id"], check(headers, body)) for status, headers, body in self.calls if status == 503]


def check(headers, body):
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    want = "v1," + base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    if headers["webhook-signature"] != want or abs(int(headers["webhook-timestamp"]) - time.time()) > 300:
        raise AssertionError(f"badly signed: {headers}")
    return json.loads(body)


def shell(script):
    return ["/bin/sh", "-c", script]


class Notify(unittest.TestCase):
    def configure(self, world):
        os.makedirs(OUT, exist_ok=True)
        os.chmod(OUT, 0o1777)
        write("/usr/local/bin/fake-sendmail", MAIL, 0o755)
        config = world.default_config()
        config["admin"] = {"listen": ADMIN}
        secret = "whsec_" + base64.b64encode(KEY).decode()
        world.secret("chat", secret)
        config["notify"] = {
            "mail": {"command": ["/usr/local/bin/fake-sendmail", "-t"], "to": ["ops@example.test"], "on": ["served", "failed"]},
            "chat": {"url": f"http://{CHAT[0]}:{CHAT[1]}/hook", "secret": {"credential": "chat"}, "on": ["served", "failed"], "repeat": "1m"},
            "one": {"command": shell("printf 'no \\033[2J way\\n' >&2; exit 1"), "on": ["stuck"]},
            "unfit": {"command": ["/etc/passwd"], "on": ["stuck"]},
            "absent": {"command": ["/nowhere/mail"], "on": ["stuck"]},
            "shot": {"command": shell("kill -SEGV $$"), "on": ["stuck"]},
            "loud": {"command": shell("head -c 200000000 /dev/zero"), "on": ["stuck"]},
            "escapes": {"command": shell(f"setsid sleep 600 & echo $! >{OUT}/escaped"), "on": ["stuck"]}}
        world.write_config(config)
        return config

    def commands_are_judged(self, world):
        done = world.dcvctl("notify", "test", "mail")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, "notify.mail took the test notice\n")
        text = probe.read_text(f"{OUT}/mail.0")
        if namespace.has_many_users():
            self.assertTrue(text.startswith(f"ran as {HOOK_UID} {HOOK_UID} -t\n"), text)
        head, _, body = text.partition("To: ops@example.test\n")
        self.assertEqual(sorted(line.partition("=")[0] for line in head.splitlines()[1:]), ["DCVD_EVENT", "LANG", "PATH", "PWD"])
        self.assertIn("this is a test by dcvctl notify test: nothing happened", body)
        for name, tells in (("one", r"exit 1"), ("unfit", "cannot be executed"), ("absent", "not found"), ("shot", "ended by signal 11")):
            done = world.dcvctl("notify", "test", name)
            self.assertEqual(done.returncode, 1, name)
            self.assertIn(tells, done.stdout)
            self.assertFalse(re.search(r"[\x00-\x09\x0b-\x1f\x7f]", done.stdout), done.stdout)
        self.assertEqual(world.dcvctl("notify", "test", "loud").returncode, 0)
        self.assertEqual(world.dcvctl("notify", "test", "escapes").returncode, 0)
        escaped = f"/proc/{probe.read_text(f'{OUT}/escaped').strip()}"
        probe.until(lambda: not os.path.exists(escaped), 10, "the end of what escaped")

    @staticmethod
    def metrics():
        with urllib.request.urlopen(f"http://{ADMIN}/metrics", timeout=10 * probe.BUSY) as answer:
            return answer.read().decode()

    def wrong_words_are_refused(self, world):
        done = world.dcvctl("notify", "test", "nobody")
        self.assertEqual(done.returncode, 2)
        self.assertIn("mail, chat, one", done.stderr)
        done = world.dcvctl("notify", "test", "chat", "--dry-run")
        self.assertEqual(done.returncode, 0)
        self.assertIn(f"would call http://{CHAT[0]}", done.stdout)
        done = world.dcvctl("notify", "test", "chat")
        self.assertEqual(done.returncode, 1)
        self.assertIn("answered 503", done.stdout)

    def test_people_are_told_until_they_heard_it(self):
        with World(certificates=[FREE]) as world:
            chat = Chat()
            chat.start()
            config = self.configure(world)
            world.start_dcvd()
            self.commands_are_judged(world)
            self.wrong_words_are_refused(world)
            tries = len(chat.calls)
            done = world.dcvctl("reissue", "www", "--key-compromised", "--yes", "--wait")
            self.assertEqual(done.returncode, 0, done.stderr)
            probe.until(lambda: len(chat.calls) > tries, 20, "the first try")
            first = chat.refused()[tries]
            self.assertEqual(first[1]["type"], "dcvd.served")
            world.kill_dcvd()
            chat.open = True
            world.start_dcvd()
            probe.until(lambda: any(d["type"] == "dcvd.served" for _, d in chat.taken()), 30, "the call is taken")
            # One that was under way when its sender was killed may come again: it says so by its id.
            self.assertEqual({i for i, d in chat.taken() if d["type"] == "dcvd.served"}, {first[0]})
            self.assertIn("dcvctl status www", chat.taken()[0][1]["data"]["look"])
            probe.until(lambda: os.path.exists(f"{OUT}/mail.1"), 20, "the mail")
            self.assertIn("\nSubject: [dcvd world] ", probe.read_text(f"{OUT}/mail.1"))
            accepted = r'dcvd_notifications_total\{target="chat",result="accepted"\} [1-9]'
            probe.until(lambda: re.search(accepted, self.metrics()), 20, "counted once the answer is there")
            self.assertRegex(self.metrics(), r'dcvd_notifications_total\{target="one",result="dropped"\} 0')
            del config["notify"]["loud"]
            world.write_config(config)
            world.dcvd.signal(1)
            probe.until(lambda: "new configuration" in probe.read_text(world.dcvd.log), 10, "the new configuration")
            self.assertEqual(world.dcvctl("notify", "test", "loud").returncode, 2)
            world.assert_invariants(self)


if __name__ == "__main__":
    unittest.main()
