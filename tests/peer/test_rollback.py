"""An older set is deployed on purpose: nothing is stopped by that, and a leaked key is replaced as fast as ever."""

import os
import time
import unittest

import probe
from test_alerts import config_of, event, post, spki_of, standard
from test_deploy import quick
from world import FREE, STATE, World


class Rollback(unittest.TestCase):
    def good(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    @staticmethod
    def cert(world):
        return world.dcvctl_json("status", "www")[1]["certificates"][0]

    def roll_back(self, world):
        config = config_of(world)
        quick(config)
        config["certificates"]["www"]["on_compromise"] = {"reissue": "auto", "revoke": "never"}
        world.write_config(config)
        world.start_dcvd()
        self.good(world.dcvctl("import", "www", "--cert", world.original(FREE["id"], "fullchain.pem"), "--key",
                               world.original(FREE["id"], "privkey.pem")))
        self.good(world.dcvctl("reissue", "www", "--yes", "--wait"))
        probe.until(lambda: self.cert(world)["reissuable"].get("sha256") == self.cert(world)["live"]["sha256"], 20,
                    "the CA asked after the reissue")
        before = self.cert(world)["reissuable"]["checked"]
        self.good(world.dcvctl("deploy", "www", "--set", "1", "--wait"))
        probe.until(lambda: self.cert(world)["reissuable"]["checked"] > before, 20, "the CA asked after the rollback")

    def test_a_rollback_stops_nothing_and_an_alert_replaces_at_once(self):
        with World() as world:
            self.roll_back(world)
            self.assertIsNone(self.cert(world).get("stopped"))
            self.assertEqual(self.cert(world)["newest_set"], 2)
            status = self.good(world.dcvctl("status", "www", "--check"))
            self.assertIn("  NEWEST    set 2 is the newest: dcvctl deploy www --set 2\n", status)
            body, begun = event(spki_sha256=spki_of(os.path.realpath(f"{STATE}/live/www/privkey.pem"))), time.monotonic()
            self.assertEqual(post("/alerts/scanner", body, standard(body, "msg_1"))[0], 202)
            probe.until(lambda: self.cert(world)["live"]["set"] == 2 and not self.cert(world)["job"], 40, "replaced")
            print(f"replaced after {time.monotonic() - begun:.1f} s")
            self.assertEqual(len(world.ledger("ReplaceCertificate")), 1)  # what was here already was taken
            self.assertNotIn("storm brake", world.dcvctl("incidents").stdout)
            world.assert_invariants(self)


if __name__ == "__main__":
    unittest.main()
