"""Faults between dcvd and Pebble: answers lost, late, repeated, refused, out of order. Whatever happens, an order gets one
CSR, a job is only delayed, and one certificate is issued."""

import json
import os
import re
import time
import unittest

import probe
from acme_faults import FaultyCase, altered, problem
from acme_proxy import ADDRESS, PORT, Proxy, Rule, Tunnel
from faults import Full, small_disk
from world import STATE


def never_done(status, headers, body):
    """An order that Pebble has finished, as one that is still being made."""
    order = json.loads(body)
    if order["status"] == "valid":
        order["status"] = "processing"
        del order["certificate"]
    return status, headers, json.dumps(order).encode()


def reversed_chain(status, headers, body):
    mark = b"-----END CERTIFICATE-----\n"
    blocks = [block + mark for block in body.split(mark) if block.strip()]
    return status, headers, b"junk before\n" + b"".join(reversed(blocks))


def without(*names):
    """A directory that lacks these places."""
    def alter(status, headers, body):
        return status, headers, json.dumps({k: v for k, v in json.loads(body).items() if k not in names}).encode()
    return alter


FIREWALL = 403, [("Content-Type", "text/html")], b"<html>blocked</html>"


class AcmeFaults(FaultyCase):
    def test_what_is_lost_late_or_repeated_only_delays(self):
        lost = ["/sign-me-up", "/order-plz", "/authZ/", "/chalZ/", "/finalize-order/", "/my-order/", "/certZ/"]
        other = {"dropped order": ("POST /order-plz", "drop"), "dropped finalize": ("POST /finalize-order/", "drop"),
                 "late finalize": ("POST /finalize-order/", 1.5), "repeated order": ("POST /order-plz", "repeat"),
                 "repeated finalize": ("POST /finalize-order/", "repeat"),
                 "no nonce for once": ("POST /order-plz", lambda s, h, b: (s, [x for x in h if x[0] != "Replay-Nonce"], b)),
                 "limited": ("POST /order-plz", problem(429, "rateLimited", ("Retry-After", "1"))),
                 "busy": ("POST /order-plz", (503, [("Retry-After", "1")], b"<html>busy</html>")),
                 "key not taken": ("POST /finalize-order/", problem(400, "badPublicKey")),
                 "refused order": ("POST /order-plz", FIREWALL),
                 "refused finalize": ("POST /finalize-order/", FIREWALL),
                 "refused answer of finalize": ("POST /finalize-order/", lambda s, h, b: FIREWALL),
                 "refused challenge": ("POST /chalZ/", FIREWALL),
                 "refused answer of a challenge": ("POST /chalZ/", lambda s, h, b: FIREWALL),
                 "processing": ("POST /my-order/", altered(status="processing")),
                 "reversed": ("POST /certZ/", reversed_chain)}
        world, pebble, proxy = self.prepared(len(lost) + len(other) + 1)
        for what, rule in [*((f"lost {path}", (f"POST {path}", "lose")) for path in lost), *other.items()]:
            with self.subTest(what):
                before, cert = pebble.issued(), next(self.certs)
                struck = proxy.harm(*rule)
                done = self.run_well(world, "issue", cert, "--wait")
                self.assertEqual(struck.struck, 1, "the rule was met")
                self.check(pebble, proxy, before, 1)
                self.assertEqual(world.dcvd.running(), True, done.stderr)
        for path, what in (("/rollover-account-key", ("account", "rollover", "pebble")), ("/revoke-cert", ("revoke", "c0", "--live", "--yes"))):
            with self.subTest(f"lost {path}"):
                struck = proxy.harm(f"POST {path}", "lose")
                self.run_well(world, *what)
                self.assertEqual(struck.struck, 1)
        with self.subTest("a CA that forgot everything"):
            proxy.rules = []
            pebble.restart()
            self.run_well(world, "issue", next(self.certs), "--wait")
            self.assertEqual(pebble.issued(), 1)
            self.assertIn("does not know account", probe.read_text(world.dcvd.log))
        self.judge(world)

    def test_a_page_in_the_place_of_an_answer_only_delays(self):
        """A balancer that says 200 and sends its maintenance page, or an answer that says nothing."""
        world, pebble, proxy = self.prepared(4)
        page = 200, [("Content-Type", "text/html")], b"<html>maintenance"
        proxy.rules = [Rule("POST /finalize-order/", lambda s, h, b: page),
                       Rule("POST /finalize-order/", lambda s, h, b: (s, h, b"{}")),
                       Rule("POST /my-order/", page, skip=6), Rule("POST /certZ/", page)]
        asked = [world.start_dcvctl("issue", f"c{at}", "--wait") for at in range(4)]
        self.assertEqual([one.wait(120 * probe.BUSY) for one in asked], [0] * 4, world.dcvd.tail())
        self.assertEqual([rule.struck for rule in proxy.rules], [1] * 4, "the rules were met")
        self.check(pebble, proxy, 0, 4)
        self.assertRegex(probe.read_text(world.dcvd.log), r"finalize: not valid JSON .*; the order is read before anything is sent again")
        self.judge(world)

    def test_a_full_state_disk_only_delays(self):
        """From the moment on when the CA has taken the first CSR, whatever the others are at: nothing is lost or sent twice."""
        world, pebble, proxy = self.prepared(3, start=False)
        small_disk(self)
        world.write_config(self.config)
        world.start_dcvd()
        full = Full(bytes_left=0)

        def fill(*answer):
            full.__enter__()
            return answer
        struck = proxy.harm("POST /finalize-order/", fill)
        asked = [world.start_dcvctl("issue", f"c{at}", "--wait") for at in range(3)]
        probe.until(lambda: struck.struck, 30, "the rule met")
        probe.until(lambda: re.search(rf"(disk is full|No space left).*; make room (there|on the disk of {STATE}/)", probe.read_text(world.dcvd.log)), 20, "told")
        full.__exit__()
        self.assertEqual([one.wait(120 * probe.BUSY) for one in asked], [0] * 3, world.dcvd.tail())
        self.check(pebble, proxy, 0, 3)
        self.assertEqual(proxy.ledger.count(("POST /order-plz", 201)), 3, "one order each")
        self.judge(world)

    def test_what_is_not_offered_ends_the_job_at_once(self):
        """Case 16: nothing that dcvd knows; and an account that is deactivated under an open order."""
        world, pebble, proxy = self.prepared(2)
        odd = [{"type": kind, "url": f"{proxy.directory}/{kind}", "status": "pending", "token": "a=b"} for kind in ("foo-01", "bar-02")]
        for cert, rule, asked, said in (  # the first one is given back then
                ("c0", altered(challenges=odd), 2, r"does not offer http-01 for \S+; it offers: foo-01, bar-02"),
                ("c1", problem(403, "unauthorized"), 1, r"unauthorized")):
            with self.subTest(said):
                struck = proxy.harm("POST /authZ/", rule, times=1000)
                done = world.dcvctl("issue", cert, "--wait")
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertRegex(done.stderr, said)
                self.assertEqual(struck.struck, asked, "no oftener")
                self.files_are_gone(world)
        self.judge(world)

    def test_a_new_account_key_makes_new_tokens(self):
        """Those that are out were made with the old one; that the CA refuses them counts for its limits."""
        world, pebble, proxy = self.prepared(2)
        self.run_well(world, "issue", "c0", "--wait")
        world.nginx.stop()
        self.run_well(world, "issue", "c1", "--detach")
        job = lambda: world.dcvctl_json("status", "c1")[1]["certificates"][0].get("job") or {}
        probe.until(lambda: job().get("state") == "propagated", 30, "a token that nobody sees")
        self.run_well(world, "account", "rollover", "pebble")
        world.nginx.start()
        probe.until(lambda: not job(), 60, "done")
        self.assertIn("a new order: the account has a new key", probe.read_text(world.dcvd.log))
        self.assertNotIn("did not match", probe.read_text(world.dcvd.log))
        self.assertEqual((pebble.issued(), [status for what, status in proxy.ledger if what.startswith("POST /chalZ/")]), (2, [200, 200]))
        self.files_are_gone(world)
        self.judge(world)

    def test_a_ca_that_forgets_everything_under_an_open_order(self):
        """Account and order are gone when it is to be told: both are made anew."""
        world, pebble, _ = self.prepared(1)
        world.nginx.stop()
        self.run_well(world, "issue", "c0", "--detach")
        job = lambda: world.dcvctl_json("status", "c0")[1]["certificates"][0].get("job") or {}
        probe.until(lambda: job().get("state") == "propagated", 30, "a token that nobody sees")
        pebble.restart()
        world.nginx.start()
        waits = lambda: job().get("error") and job().get("next", 0)  # noqa: E731
        for _ in range(2):  # for the account, then for the order; whoever asks again does not wait as long
            probe.until(waits, 30, "put off")
            self.run_well(world, "issue", "c0", "--detach")
        probe.until(lambda: not job(), 60, "done")
        self.assertEqual(pebble.issued(), 1)
        self.assertIn("has order https://", probe.read_text(world.dcvd.log))
        self.files_are_gone(world)
        self.judge(world)

    def test_what_a_directory_does_not_offer_is_said(self):
        world, pebble, proxy = self.prepared(1, start=False)
        proxy.rules = [Rule("GET /dir", without("revokeCert", "keyChange"), times=1000)]
        world.write_config(self.config)
        world.start_dcvd()
        self.run_well(world, "issue", "c0", "--wait")
        for command, said in ((("account", "rollover", "pebble", "--dry-run"), "pebble offers no change of account keys"),
                              (("account", "rollover", "pebble"), "pebble offers no change of account keys"),
                              (("revoke", "c0", "--live", "--yes"), "c0 was not revoked: pebble offers no revocation")):
            done = world.dcvctl(*command)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn(said, done.stderr)

    def test_a_ca_that_is_away_keeps_nobody_from_cancelling(self):
        """Nothing of it was spent: the job ends and its tokens go, whatever becomes of the order. One that only hangs too."""
        world, pebble, proxy = self.prepared(2)
        waits = 200, [("Content-Type", "application/json")], b'{"status": "processing"}'
        for cert, away, said in (("c0", "drop", "giving back|reading"), ("c1", 60, "pebble did not answer in time")):
            with self.subTest(cert):
                proxy.rules = [Rule("POST /chalZ/", waits, times=1000)]
                self.run_well(world, "issue", cert, "--detach")
                state = lambda: (world.dcvctl_json("status", cert)[1]["certificates"][0].get("job") or {}).get("state")
                probe.until(lambda: state() == "submitted", 30, "told")
                proxy.rules = [Rule(".", away, times=100000)]
                began = time.monotonic()
                done = self.run_well(world, "cancel", cert, "--yes")
                self.assertRegex(done.stdout + done.stderr, rf"the order could not be given back to pebble, which costs nothing: .*({said})")
                self.assertLess(time.monotonic() - began, 50)  # an answer comes after 60 s
                self.files_are_gone(world)
                self.assertIsNone(world.dcvctl_json("status", cert)[1]["certificates"][0].get("job"))
                proxy.rules = []
        self.run_well(world, "issue", "c0", "--wait")

    def test_what_is_being_installed_when_its_job_is_cancelled_is_known(self):
        """The helper goes on with it: the journal says so, and the web server's own test may take its time."""
        world, _, _ = self.prepared(1, start=False)
        slow = "/tmp/slow-test"
        with open(slow, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\n[ ! -e /etc/nginx/tls/c0/fullchain.pem ] || sleep 4\n")
        os.chmod(slow, 0o755)
        self.config["certificates"]["c0"]["deploy"][0]["services"] = [{"name": "slow", "test": [slow], "reload": ["/bin/true"], "verify": []}]
        world.write_config(self.config)
        world.start_dcvd()
        self.run_well(world, "issue", "c0", "--detach")
        probe.until(lambda: os.path.exists("/etc/nginx/tls/c0/fullchain.pem"), 30, "being installed")
        self.assertEqual(self.run_well(world, "cancel", "c0").stdout,
                         "cancelled; set 1 is installed: dcvctl verify c0 looks at what is served\n")
        self.assertRegex(self.run_well(world, "status", "c0").stdout, "LIVE +set 1 until")
        self.assertTrue(os.path.exists("/etc/nginx/tls/c0/chain.pem"), "all of it")

    def test_without_a_daemon_nobody_waits_for_another_job(self):
        """One that asks the CA again and again runs along. It goes on at the next start; the tokens of one's own are gone."""
        world, pebble, proxy = self.prepared(2)
        waits = 200, [("Content-Type", "application/json")], b'{"status": "processing"}'
        proxy.rules = [Rule("POST /chalZ/", waits)]
        self.run_well(world, "issue", "c0", "--detach")
        job = lambda: world.dcvctl_json("status", "c0")[1]["certificates"][0].get("job") or {}
        probe.until(lambda: job().get("state") == "submitted", 30, "told")
        place = job()["order"].removeprefix(f"https://{ADDRESS}:{PORT}")
        proxy.harm(f"POST {place}", lambda s, h, b: (s, [*h, ("Retry-After", "10")], b), times=1000)
        world.dcvd.stop()
        began = time.monotonic()
        self.run_well(world, "issue", "c1", "--local")
        self.assertLess(time.monotonic() - began, 50)  # it was given a minute
        self.assertEqual(sum(len(files) for _, _, files in os.walk(f"{world.webroot}/.well-known")), 1, "the other one's")
        world.start_dcvd()
        self.assertEqual(job()["state"], "submitted")
        self.run_well(world, "cancel", "c0", "--yes")
        self.files_are_gone(world)
        self.judge(world)

    def test_a_ca_without_a_final_answer_is_left_for_the_next(self):
        """One that never gets done with an order, and one that nobody answers for: both while nothing is refused."""
        world, pebble, proxy = self.prepared(2, start=False)
        self.config["cas"].update({"slow": proxy.ca(), "pebble": pebble.ca(),
                                   "dead": pebble.ca(directory=pebble.directory.replace("14000", "14009"))})
        for cert, ca in (("c0", "slow"), ("c1", "dead")):
            self.config["certificates"][cert].update({"ca": [ca, "pebble"], "fallback": {"after": "12s"}})
        world.write_config(self.config)
        world.start_dcvd()
        proxy.harm("POST /my-order/", never_done, times=10000)
        asked = [world.start_dcvctl("issue", cert, "--wait") for cert in ("c0", "c1")]
        self.assertEqual([one.wait(60 * probe.BUSY) for one in asked], [0, 0], world.dcvd.tail())
        said = probe.read_text(world.dcvd.log)
        self.assertRegex(said, r"slow gave no final answer for 12 s \(waiting for slow: order \S+ \(processing\)\); going to pebble in 10 s")
        self.assertRegex(said, r"dead gave no final answer for 12 s \(.*127\.0\.5\.1.*\); going to pebble in 10 s; cancel: dcvctl cancel c1")
        self.assertRegex(world.dcvctl("history", "c0").stdout, r"-> eligible: slow gave no final answer for 12 s .*; on to pebble")
        self.assertEqual(pebble.issued(), 3, "slow's own, and two that are used")
        self.judge(world)

    def test_a_ca_that_only_a_proxy_reaches(self):
        """The name of this CA means nothing here; the proxy is dead at first, and then does not know it either."""
        world, pebble, _ = self.prepared(1, start=False)
        place, there = f"{pebble.host}:14000", ("127.0.5.8", 3128)
        self.config["cas"]["pebble"] = pebble.ca(directory=f"https://{place}/dir")
        self.config["proxy"] = {"url": "http://%s:%d" % there}
        world.write_config(self.config)
        world.start_dcvd()
        self.assertRegex(self.last_trouble(world), r"through proxy 127\.0\.5\.8:3128: pebble\.test: .*onnect")
        tunnel = Tunnel(*there, {})
        world.children.append(tunnel)
        self.assertRegex(self.last_trouble(world), r"through proxy 127\.0\.5\.8:3128: pebble\.test: .*403")
        tunnel.places[place] = (pebble.address, 14000)
        self.run_well(world, "issue", "c0", "--wait")
        self.assertEqual(pebble.issued(), 1)
        self.assertEqual(set(tunnel.asked), {f"CONNECT {place}"})
        self.judge(world)

    def last_trouble(self, world):
        """What status says of a job that is then stopped."""
        self.run_well(world, "issue", "c0", "--detach")
        trouble = lambda: world.dcvctl_json("status", "c0")[1]["certificates"][0]["job"].get("error")
        said = probe.until(trouble, 30, "its trouble")
        self.run_well(world, "cancel", "c0", "--yes")
        return f"{said}"


if __name__ == "__main__":
    unittest.main()
