"""dcvctl rehearse: probes where the real tokens would go, by every publisher, seen, withdrawn, seen gone; nothing is
left behind, also after kill -9; with a daemon and without."""

import json
import os
import signal
import subprocess
import unittest

import hostile_http
import namespace
import probe
import schema
from acme_world import AcmeCase
from servers import PRIMARY, RESPONDER, SECONDARY, WEB
from world import DCVD_UID, HOSTS, STATE

ZONES = {"example.test": HOSTS + "_acme-challenge.alias 60 CNAME elsewhere.shop.test.\nalias 60 A 127.0.2.1\n"
                                 f"bad 60 A {WEB}\nbad 60 A 127.0.2.9\n",
         "shop.test": HOSTS + "moved 60 A 127.0.2.7\n", "responder.test": f"@ 60 A {RESPONDER}\nwww 60 A {RESPONDER}\n"}
CA = {"directory": "https://127.0.5.1:14000/dir"}  # nobody answers there: a rehearsal asks no CA


class NoCa:
    @staticmethod
    def ca(**more):
        return {"type": "acme", "terms_agreed": True, "contact": ["mailto:ops@example.test"], **CA, **more}


def by_name(document):
    return {c["cert"]: c for c in document["certificates"]}


class Rehearse(AcmeCase):
    def certificates(self):
        sections = {
            "www": dict(names=["www.example.test", "example.test", "*.example.test"], publisher="zone"),
            "alias": dict(names=["alias.example.test"], publisher="zone"),
            "files": dict(names=["www.shop.test"], validation="file", publisher="site"),
            "self": dict(names=["www.responder.test"], validation="file", publisher="self"),
            "moved": dict(names=["moved.shop.test"], validation="file", publisher="site", ca="inside"),
            "refused": dict(names=["moved.shop.test"], validation="file", publisher="site",
                            propagation={"consecutive": 1, "timeout": "2s"}),
            "hand": dict(names=["shop.test"], validation="dns", publisher="byhand"),
            "bad": dict(names=["bad.example.test"], validation="file", publisher="site",
                       propagation={"consecutive": 1, "timeout": "2s"}),
            "half": dict(names=["www.example.test", "www.shop.test"],
                         validation="dns", publisher={"default": "zone", "www.shop.test": "byhand"})}
        return {cert: self.certificate(cert, **section) for cert, section in sections.items()}

    def prepare(self, **how):
        world = self.world(zones=ZONES, secondary=True, **how)
        config = self.configure(world, NoCa, self.certificates(), start=False)
        config["publishers"]["byhand"] = {"type": "manual"}
        config["cas"]["inside"] = {**config["cas"]["pebble"], "internal": True}
        world.write_config(config)
        return world, config

    def rehearse(self, world, *certs, code=0):
        done = world.dcvctl("--json", "rehearse", *certs)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        document = json.loads(done.stdout)
        self.assertEqual(schema.faults(document, "rehearse"), [])
        self.assertEqual(document["exit"], code)
        return by_name(document), done

    def nothing_is_left(self, world):
        def left():
            records = [r for zone in ("example.test", "shop.test") for r in world.dns.zone_records(zone) if r[1] == "TXT"]
            files = [n for _, _, names in os.walk(f"{world.webroot}/.well-known") for n in names]
            return not records and not files
        probe.until(left, 10, "every probe withdrawn")
        self.assertNotIn("_acme-challenge", world.dns.resolver_cache())  # I7

    def test_every_publisher(self):
        world, _ = self.prepare()
        world.start_dcvd()
        found, done = self.rehearse(world, "www", "alias", "files", "self")
        for cert, one in found.items():
            self.assertEqual((cert, one["verdict"]), (cert, "ready"), one)
            self.assertLess(one["forecast_ms"], 20000)
            for p in one["probes"]:
                self.assertTrue(p["seen"], p)
                self.assertGreaterEqual(p["gone_after_ms"], 0)
        www = found["www"]["probes"]
        self.assertEqual(sorted(p["token"] for p in www if not p["for_resolvers"]),
                         ["TXT _acme-challenge.example.test", "TXT _acme-challenge.example.test",
                          "TXT _acme-challenge.www.example.test"])
        for p in www:
            asked = {s["address"] for s in p["servers"]}
            self.assertLessEqual({PRIMARY, SECONDARY}, asked)
            self.assertEqual("127.0.0.53" in asked, p["for_resolvers"])
            for server in p["servers"]:  # a resolver is asked once, and may meet a process of NSD that is about to end
                self.assertIn(server["look"], ("seen", "absent", "error") if server["address"] == "127.0.0.53" else ("seen",), p)
        alias = found["alias"]["probes"][0]
        self.assertEqual(alias["servers"][0]["zone"], "shop.test")
        self.assertEqual([s["address"] for s in found["files"]["probes"][0]["servers"]], [WEB])
        self.assertEqual([s["address"] for s in found["self"]["probes"][0]["servers"]], [RESPONDER])
        self.assertIn("www: publishing a probe at _acme-challenge.www.example.test", done.stderr)
        self.nothing_is_left(world)
        self.assertEqual(world.dcvctl_json("status")[1]["certificates"][0]["job"], None)

        # what a person publishes is refused, and said so beside what was tried
        found, done = self.rehearse(world, "half", "hand", code=5)
        self.assertEqual({c: one["error"]["code"] for c, one in found.items()},
                         {"half": "rehearse.manual", "hand": "rehearse.manual"})
        self.assertEqual([p["seen"] for p in found["half"]["probes"]], [True, False, True])

        # one address of two does not serve the file
        found, _ = self.rehearse(world, "bad", "www", code=1)
        self.assertEqual((found["bad"]["verdict"], found["www"]["verdict"]), ("failed", "ready"))
        self.assertIn("127.0.2.9", found["bad"]["error"]["text"])

        # a redirect is followed as far as the CA would: not to a private name, unless it is an internal CA
        server = hostile_http.Server("127.0.2.7", hostile_http.redirect("http://www.shop.test{path}"))
        self.addCleanup(server.close)
        found, _ = self.rehearse(world, "moved", "refused", code=1)
        self.assertEqual((found["moved"]["verdict"], found["refused"]["verdict"]), ("ready", "failed"), found)
        self.assertIn("a redirect to http://www.shop.test/", found["refused"]["error"]["text"])
        self.assertIn("no public top-level domain", found["refused"]["error"]["text"])
        self.nothing_is_left(world)

        done = world.dcvctl("rehearse", "www")
        self.assertRegex(done.stdout, r"www: a real validation would be ready in about \d+ s\n")
        self.assertIn(f"({SECONDARY}) shows it after", done.stdout)
        self.assertEqual(world.dcvctl("rehearse", "nowww").returncode, 2)
        self.assertEqual(world.dcvctl("rehearse").returncode, 2)
        self.judge(world)

    def test_a_secondary_that_lags_is_named_and_a_dry_run_does_nothing(self):
        world, _ = self.prepare()
        world.start_dcvd()
        serial = world.dns.serial(PRIMARY, "example.test")
        done = world.dcvctl("rehearse", "www", "--dry-run")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("TXT _acme-challenge.www.example.test by zone", done.stdout)
        self.assertEqual(world.dcvctl("rehearse", "hand", "--dry-run").returncode, 5)
        planned = world.dcvctl_json("rehearse", "www", "--dry-run")[1]
        self.assertEqual((schema.faults(planned, "rehearse"), planned["certificates"][0]["verdict"]), ([], "planned"))
        self.assertEqual(world.dns.serial(PRIMARY, "example.test"), serial)
        world.dns.relay.hold()
        done = world.dcvctl("rehearse", "alias", "--timeout", "8s")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertRegex(done.stdout, rf"alias: a real validation would fail: .*ns2.example.test \({SECONDARY}\) still at serial")
        world.dns.relay.release()
        self.nothing_is_left(world)

    def test_without_a_daemon(self):
        world, config = self.prepare()
        if namespace.has_many_users():  # a stranger is shown what to type
            world.give_to_dcvd(STATE)
            done = world.dcvctl("rehearse", "www", as_ids=(33, 33))
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("sudo dcvctl rehearse www", done.stderr)
        found, _ = self.rehearse(world, "www", "files", "self")
        self.assertEqual({one["verdict"] for one in found.values()}, {"ready"})
        self.nothing_is_left(world)
        self.assertEqual({os.stat(f"{STATE}/dcvd.db").st_uid}, {DCVD_UID if namespace.has_many_users() else os.getuid()})

        # Ctrl-C takes the probes back; what is out when it is killed the next start sweeps
        world.dns.relay.hold()
        for number, swept in ((signal.SIGINT, False), (signal.SIGKILL, True)):
            with self.subTest(number):
                running = subprocess.Popen([world.program("dcvctl"), "rehearse", "www"], stdin=subprocess.DEVNULL,
                                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                           **world._dcvctl_how(None))
                probe.until(lambda: probe.dns_values(PRIMARY, "_acme-challenge.www.example.test", "TXT"), 10, "a probe")
                running.send_signal(number)
                running.communicate(timeout=20 * probe.BUSY)
                self.assertEqual(running.returncode, -number if swept else 130)
                if swept:
                    self.assertTrue(probe.dns_values(PRIMARY, "_acme-challenge.www.example.test", "TXT"))
                    world.start_dcvd()
                self.nothing_is_left(world)
        world.dns.relay.release()


if __name__ == "__main__":
    unittest.main()
