"""Many rounds against Pebble when it is at its worst: half of the nonces refused, nine of ten refused, validations that
take their time, a hundred names; and the daemon killed at the moment that Pebble logs "Issued"."""

import os
import re
import time
import unittest

import invariants
import probe
from acme_world import AcmeCase, folder_of
from world import STATE

KILLS = int(os.environ.get("DCVD_KILLS", "6"))  # 100: the whole proof, by hand
END_LIMIT_S = 60


def key_of(cert):
    return probe.spki_of_certificate(probe.read_text(f"{folder_of(cert)}/fullchain.pem"))


class AcmeRounds(AcmeCase):
    def many(self, world, pebble, certificates, **more):
        """No server is reloaded and nothing is looked at: what counts is what goes on between dcvd and the CA."""
        world.start_nginx([])
        world.write_config({
            "cas": {"pebble": pebble.ca()}, "limits": {"jobs": 16},
            "publishers": {"site": {"type": "webroot", "directory": world.webroot}},
            "certificates": {cert: {"names": names, "ca": "pebble", "publisher": "site", "propagation": {"consecutive": 1},
                                    "deploy": [{"directory": folder_of(cert)}], **more.get(cert, {})} for cert, names in certificates.items()}})
        world.start_dcvd()

    def first(self, world, pebble, certs):
        for cert in certs:
            self.run_well(world, "issue", cert, "--detach")
        self.all_done(world, certs)
        self.assertEqual(pebble.issued(), len(certs))

    def all_done(self, world, certs):
        def idle():
            _, facts = world.dcvctl_json("status")
            rows = [row for row in facts["certificates"] if row["name"] in certs]
            return len(rows) == len(certs) and not any(row["job"] for row in rows)
        probe.until(idle, END_LIMIT_S, "every job's end")

    def test_a_hundred_reissues_with_half_of_the_nonces_refused(self):
        world = self.world()
        pebble = self.pebble(world, no_nonce=50)
        certs = [f"c{i}" for i in range(20)]
        self.many(world, pebble, {cert: [f"{cert}.many.example.test"] for cert in certs})
        self.first(world, pebble, certs)
        keys = {key_of(cert) for cert in certs}
        for _ in range(5):
            self.run_well(world, "reissue", "--all", "--yes", "--wait")
            keys |= {key_of(cert) for cert in certs}
        self.assertEqual((pebble.issued(), len(keys)), (120, 120))
        self.assertGreater(pebble.said("POST /finalize-order/ -> calling"), 160, "each about twice: nonces were refused")
        self.files_are_gone(world)
        self.judge(world)

    def test_nine_of_ten_nonces_refused_while_validations_take_their_time(self):
        world = self.world()
        pebble = self.pebble(world, no_nonce=90, reuse=50, sleep_s=2)
        certs = [f"c{i}" for i in range(3)]
        self.many(world, pebble, {cert: [f"{cert}.many.example.test", f"{cert}b.many.example.test"] for cert in certs})
        self.first(world, pebble, certs)
        self.run_well(world, "reissue", "--all", "--yes", "--wait")
        self.assertEqual(pebble.issued(), 6)
        self.judge(world)

    def test_death_at_the_moment_of_issue_loses_no_key(self):
        """The daemon that comes back fetches what was issued, with the key that it was issued for."""
        world = self.world()
        pebble = self.pebble(world)
        certs = [f"c{i}" for i in range(KILLS)]
        self.many(world, pebble, {cert: [f"{cert}.many.example.test"] for cert in certs})
        unfinished = 0
        for at, cert in enumerate(certs):
            with self.subTest(cert):
                world.kill_dcvd(lambda: self.until_issued(world, pebble, cert))
                unfinished += not os.path.exists(f"{STATE}/live/{cert}")
                world.start_dcvd()
                self.all_done(world, [cert])
                self.assertEqual(pebble.issued(), at + 1)
                self.assertTrue(os.path.exists(f"{STATE}/keys/{key_of(cert)}.pem"))
        self.assertGreater(unfinished, 0, "died before it had the certificate")
        self.assertEqual(invariants.keys(STATE) + invariants.live_sets(STATE), [])

    def test_certificates_of_the_same_names_go_one_after_another(self):
        """An order that the CA gives to both would be finalized with one key only."""
        world = self.world()
        pebble = self.pebble(world)
        self.many(world, pebble, {"ec": ["one.many.example.test"], "rsa": ["one.many.example.test"]}, rsa={"key": {"type": "rsa-2048"}})
        self.first(world, pebble, ["ec", "rsa"])
        self.run_well(world, "reissue", "--all", "--yes", "--wait")
        said = re.findall(r"Added order|Issued certificate", probe.read_text(pebble.log))
        self.assertEqual(said, ["Added order", "Issued certificate"] * 4)
        kinds = [probe.openssl("x509", "-noout", "-text", stdin=probe.read_text(f"{folder_of(cert)}/fullchain.pem")) for cert in ("ec", "rsa")]
        self.assertIn("id-ecPublicKey", kinds[0])
        self.assertIn("rsaEncryption", kinds[1])

    @staticmethod
    def until_issued(world, pebble, cert):
        """Returns within a millisecond of the line in Pebble's log."""
        with open(pebble.log, "rb") as log:
            log.seek(0, os.SEEK_END)
            asked, said, end = world.start_dcvctl("issue", cert, "--detach"), b"", time.monotonic() + END_LIMIT_S * probe.BUSY
            while b"Issued certificate serial" not in said and time.monotonic() < end:
                said += log.read()
        asked.kill()
        asked.wait()


if __name__ == "__main__":
    unittest.main()
