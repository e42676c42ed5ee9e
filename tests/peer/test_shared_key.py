"""Two certificates, a paid one and a free one, with one key: who reports it for one is asked about both, before the free
one's only reissue is spent."""

import unittest

import probe
from hierarchy import make_key
from test_refusals import configure, free, paid, zones
from world import World

KEY = "/tmp/shared.pem"
ASKED = ("reissue", "www", "--key-compromised")


class SharedKey(unittest.TestCase):
    def begin(self, world):
        configure(world)
        for label, one in (("www", "p0000001"), ("shop", "f0000002")):
            done = world.dcvctl("import", label, "--cert", world.original(one, "fullchain.pem"), "--key", world.original(one, "privkey.pem"))
            self.assertEqual(done.returncode, 0, done.stderr)

    def untouched(self, world):
        self.assertEqual(world.ledger("ReplaceCertificate"), [])
        self.assertIn("no incident", world.dcvctl("incidents").stdout)
        self.assertFalse(any(c["live"]["compromised"] for c in world.dcvctl_json("status")[1]["certificates"]))

    def says_before(self, world):
        dry = world.dcvctl(*ASKED, "--dry-run")
        self.assertEqual(dry.returncode, 0, dry.stderr)
        for line in ("www: would ask tencent to reissue p0000001\n", "  also        shop has the same key and would be reissued too\n",
                     "  marks       the key compromised, for ever\n", "  incident    would be opened for all of them",
                     "shop: would ask tencent to reissue f0000002\n"):
            self.assertIn(line, dry.stdout)
        facts = world.dcvctl_json(*ASKED, "--dry-run")[1]
        self.assertEqual((facts["cert"], facts["also"], facts["marks"], facts["opens_incident"]), ("www", ["shop"], True, True))
        self.assertEqual([(o["cert"], o["last_one"]) for o in facts["others"]], [("shop", True)])
        self.assertNotIn("also  ", world.dcvctl("reissue", "www", "--dry-run").stdout)  # the key is not reported

    def test_what_has_the_same_key_is_asked_for_too(self):
        make_key(KEY, "rsa-2048")
        certificates = [paid(1, "www", key="rsa-2048", key_file=KEY), free(2, "shop", key_file=KEY)]
        with World(certificates, zones=zones("www", "shop"), secondary=False) as world:
            self.begin(world)
            self.says_before(world)
            asked = world.dcvctl(*ASKED)  # nobody at a terminal
            self.assertEqual(asked.returncode, 5, asked.stderr)
            self.assertIn("2 certificates would be reissued: www, shop; 1 of them for having the same key. "
                          "This spends the only reissue of shop (f0000002 at tencent).", asked.stderr)
            several = world.dcvctl("reissue", "--spki", world.dcvctl_json("status", "www")[1]["certificates"][0]["live"]["spki"],
                                   "--key-compromised")
            self.assertEqual(several.returncode, 5, several.stderr)
            self.assertIn("2 certificates would be reissued", several.stderr)
            self.untouched(world)
            said = world.dcvctl(*ASKED, "--yes")
            self.assertEqual(said.returncode, 0, said.stderr)
            self.assertIn("shop has the same key and is reissued too", said.stderr)
            probe.until(lambda: [c["live"]["set"] for c in world.dcvctl_json("status")[1]["certificates"] if not c["job"]] == [2, 2], 40,
                        "both reissued")
            self.assertEqual(len(world.ledger("ReplaceCertificate")), 2)
            world.assert_invariants(self)


if __name__ == "__main__":
    unittest.main()
