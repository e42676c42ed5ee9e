"""publisher manual: who must publish is told with the exact record, by every channel, once; dcvd goes on by itself."""

import base64
import unittest

import probe
from test_notify import ADMIN, CHAT, KEY, Chat
from test_refusals import configure, paid, zones
from world import World


class ByHand(unittest.TestCase):
    def begin(self, world):
        secret = "whsec_" + base64.b64encode(KEY).decode()
        world.secret("chat", secret)
        chat = Chat()
        chat.open = True
        chat.start()
        configure(world, hand={"publisher": "byhand", "propagation": {"consecutive": 1, "timeout": "8s"}}, more={
            "publishers": {"byhand": {"type": "manual"}}, "admin": {"listen": ADMIN},
            "notify": {"chat": {"url": f"http://{CHAT[0]}:{CHAT[1]}/hook", "secret": {"credential": "chat"}, "on": ["waiting", "stuck"]}}})
        return chat

    @staticmethod
    def job(world):
        return world.dcvctl_json("status", "hand")[1]["certificates"][0]["job"]

    def told(self, world, chat):
        """The record that is asked for, in the words of each channel."""
        self.assertRegex(world.dcvctl("reissue", "hand", "--dry-run").stdout, r"  person      you must publish by hand .*\(publisher byhand\)\n")
        followed = world.dcvctl_until("please publish: .*\n", "reissue", "hand", "--yes", "--wait")
        self.assertEqual(followed.returncode, 130, followed.stderr)
        waiting = self.job(world)["waiting"]
        looks = lambda job: (job["next"], len(job["propagation"])) == (0, 1)  # noqa: E731
        probe.until(lambda: looks(self.job(world)), 20, "the looks go on meanwhile")
        record = waiting["act"].removeprefix("please publish: ")
        self.assertRegex(record, r'^_dnsauth\.www\.hand\.test\. 60 IN TXT "\S+"$')
        self.assertGreater(waiting["deadline"], waiting["since"])
        self.assertIn(record, followed.stderr)
        status = world.dcvctl("status", "hand").stdout
        self.assertIn(f"  WAITS     for you: please publish: {record}, since 20", status)
        self.assertNotIn("TROUBLE", status)
        self.assertIn('\ndcvd_waiting{cert="hand",party="person"} 1\n', probe.fetch("127.0.0.1", "127.0.0.1", "/metrics", 9853)[1].decode())
        probe.until(lambda: len(chat.taken()) == 1, 10, "the notice")
        self.assertIn(record, str(chat.taken()[0][1]))
        return record

    def test_who_must_publish_is_told(self):
        with World([paid(1, "hand")], zones=zones("hand"), secondary=False) as world:
            chat = self.begin(world)
            record = self.told(world, chat)
            probe.until(lambda: self.job(world)["next"], 20, "a round of looks is over, the next one planned")
            self.assertNotIn("TROUBLE", world.dcvctl("status", "hand").stdout)
            world.dcvd.stop()
            world.start_dcvd()
            self.assertEqual(self.job(world)["waiting"]["party"], "you")
            followed = world.start_dcvctl("reissue", "hand", "--yes", "--wait")
            world.dns.update("hand.test", f"add {record.replace(' IN ', ' ')}")
            self.assertEqual(followed.wait(120 * probe.BUSY), 0, "who follows sees it go on")
            probe.until(lambda: not self.job(world), 120, "the certificate without another word")
            self.assertEqual(len(chat.taken()), 1, "told again")
            self.assertEqual(world.dcvctl_json("status", "hand")[1]["certificates"][0]["last_job"]["state"], "done")


if __name__ == "__main__":
    unittest.main()
