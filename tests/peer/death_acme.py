"""Death at every passage of a crash point while a first certificate is ordered by ACME: the daemon that goes on polls the
same order with the same key. Pebble's log says how many certificates it issued: one for each passage, never two.
'*:n' is the n-th passage of any crash point; the tests death_acme_1.. share the passages by remainder."""

import invariants
import probe
from acme_world import AcmeCase
from death import DEATH_LIMIT_S, Passage
from servers import PRIMARY
from world import HOSTS

SHARES = 4
AT_ONCE = 24  # certificates of a share: more passages than that fail the test


class AcmePassage(Passage):
    def reissue(self):
        """Without --wait, which would go on over the restart that is yet to come."""
        asked = self.dcvctl("issue", self.cert, "--detach")
        probe.until(lambda: not self.daemon.running() or (asked.returncode == 0 and self.done() and self.clean()),
                    DEATH_LIMIT_S, "death or done")
        asked.returncode = 0 if self.daemon.running() else 1
        return asked

    def clean(self):
        return not probe.dns_values(PRIMARY, f"_acme-challenge.{self.name}", "TXT")

    def done(self):
        return " -> done" in probe.read_text(self.daemon.log)

    def ended(self):
        if self.done():
            return True
        said = probe.read_text(self.daemon.log)
        if " -> " not in said.rpartition("is ready")[2] and self.daemon.running():
            self.dcvctl("issue", self.cert, "--detach")  # died before it was journalled; else it is joined or done
        return False

    def judge(self, case):
        after = self.world.served(self.name)
        case.assertNotEqual(self.before.spki, after.spki)
        case.assertEqual(after.names(), [self.name])
        case.assertTrue(probe.read_text(f"{self.state}/keys/{after.spki}.pem"))
        probe.until(self.clean, 10, "the token gone")
        case.assertEqual(invariants.keys(self.state) + invariants.live_sets(self.state), [])


class AcmeDeath(AcmeCase):
    share = 0

    def test_every_passage(self):
        numbers = [n * SHARES + self.share + 1 for n in range(AT_ONCE)]
        world = self.world({"example.test": HOSTS, **{f"c{n}.test": HOSTS for n in numbers}})
        pebble = self.pebble(world, reuse=0, no_nonce=5)
        passages = [AcmePassage(world, n) for n in numbers]
        self.configure(world, pebble, {p.cert: self.certificate(p.cert, [p.name], publisher="zone") for p in passages},
                       start=False)
        points, lived = [], False
        for one in passages:
            issued = pebble.issued()
            if not one.die():
                lived = True
                break
            with self.subTest(passage=one.number, point=one.point):
                probe.until(one.ended, DEATH_LIMIT_S, f"the end after {one.point}")
                one.judge(self)
                self.assertEqual(pebble.issued() - issued, 1)
                self.assertEqual(one.daemon.stop(), 0, "the daemon that went on")
            points.append(one.point)
        self.assertTrue(lived, "no order lived through")
        self.assertGreater(len(points), 5, "an order has more passages than that")
        one.judge(self)
