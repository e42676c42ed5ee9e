"""The dnspod publisher: the API's double holds the records and writes them into Knot; Pebble validates for real."""

import json
import os
import re
import sys
import unittest

import ledger
import probe
from acme_world import AcmeCase
from servers import BASE, PRIMARY, write
from world import CREDENTIAL, DOUBLE, HOSTS

ADDRESS = "127.0.4.2:8099"
ALIAS, END = "_acme-challenge.www.example.test", "www.tokens.example.test"


def lost(action):
    return {"kind": "lost-after", "action": action}


class Dnspod(AcmeCase):
    def start(self, faults):
        world = self.world(zones={"example.test": HOSTS + "*.wild 60 A 127.0.2.1\nwild 60 A 127.0.2.1\n", "other.test": HOSTS})
        pebble = self.pebble(world)
        key = world.dns.tsig["hmac-sha256"]
        write(f"{BASE}/dnspod.json", json.dumps({
            "listen": ADDRESS, "state": f"{BASE}/dnspod", "credential": CREDENTIAL, "domains": ["example.test"], "server": PRIMARY,
            "records": [["example.test", "_acme-challenge.wild", "TXT", "somebody-elses"]],
            "faults": faults,
            "key": f"hmac-sha256:{key['name']}:{key['secret']}"}))
        world.child("dnspod", [sys.executable, "-B", os.path.join(os.path.dirname(DOUBLE), "dnspod.py"), f"{BASE}/dnspod.json"],
                    lambda: probe.tcp_open("127.0.4.2", 8099))
        certificates = {"www": self.certificate("www", ["*.wild.example.test", "wild.example.test"], publisher="dnspod"),
                        "other": self.certificate("other", ["www.other.test"], publisher="dnspod"),
                        "low": self.certificate("low", ["www.example.test"], publisher="low"),
                        "alias": self.certificate("alias", ["www.example.test"], publisher="dnspod", rehearse="never")}
        config = self.configure(world, pebble, certificates, start=False)
        section = {"type": "dnspod", "endpoint": f"http://{ADDRESS}",
                   "secret_id": {"file": world.secret("tencent-id", CREDENTIAL["secret_id"])},
                   "secret_key": {"file": world.secret("tencent-key", CREDENTIAL["secret_key"])}}
        world.canaries.pop(CREDENTIAL["secret_id"])
        config["publishers"].update(dnspod=section, low={**section, "ttl": 60})
        world.write_config(config)
        world.start_dcvd()
        return world, pebble

    def calls(self, action):
        return [line for line in ledger.read(f"{BASE}/dnspod/ledger.jsonl") if line["action"] == action]

    def test_records_come_and_go_and_nothing_else_is_touched(self):
        world, pebble = self.start([lost("CreateTXTRecord"), lost("DeleteRecord")])
        self.run_well(world, "issue", "www", "--detach")
        said = lambda text: re.search(text, probe.read_text(world.dcvd.log))
        probe.until(lambda: said(r"www: job \d+: served -> done"), 60, "the certificate")
        seen = lambda: [value for _, kind, value in world.dns.zone_records("example.test") if kind == "TXT"]
        probe.until(lambda: seen() == ['"somebody-elses"'], 20, "our records gone, the other one there")
        self.assertEqual(pebble.issued(), 1)
        created = [line["parameters"]["Value"] for line in self.calls("CreateTXTRecord")]
        self.assertEqual(len(created), len(set(created)), "an unknown outcome was sent again")
        deleted = lambda: len(self.calls("DeleteRecord"))
        probe.until(lambda: deleted() == len(set(created)), 10, "both deletions in the ledger, which follows the zone")
        for cert, words in (("other", "zone other.test is no domain of this DNSPod account"), ("low", "raise publishers.low.ttl")):
            self.run_well(world, "issue", cert, "--detach")
            probe.until(lambda w=words: w in world.dcvctl("history", cert).stdout or said(w), 30, words)
        self.assertEqual(deleted(), len(set(created)), "a deletion whose outcome was unknown was sent again")
        self.judge(world)

    def test_death_right_after_the_record_was_made_leaves_nothing_at_the_end_of_an_alias(self):
        world, _ = self.start([{"kind": "slow-after", "action": "CreateTXTRecord", "ms": 60000}])
        world.dns.update("example.test", f"add {ALIAS}. 60 CNAME {END}.")
        at_end = lambda: probe.dns_values(PRIMARY, END, "TXT")
        self.run_well(world, "issue", "alias", "--detach")
        world.kill_dcvd(lambda: probe.until(at_end, 60, "the token at the end of the alias"))
        world.dns.update("example.test", f"del {ALIAS}. CNAME")
        world.start_dcvd()
        world.dcvctl("cancel", "alias", "--yes")
        probe.until(lambda: at_end() == [], 30, "the token taken back")
        probe.until(lambda: probe.dns_values(PRIMARY, ALIAS, "TXT") == [], 30, "and at the name itself")
        self.judge(world)


if __name__ == "__main__":
    unittest.main()
