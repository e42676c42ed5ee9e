"""A challenge name that is an alias into another zone: the token goes to its end, is seen there, and is taken back from there."""

import socket
import threading
import unittest

import probe
from servers import PRIMARY
from test_deploy import quick
from world import FREE, World

ALIAS, END, OTHER_END = "_dnsauth.www.example.test", "www.tokens.shop.test", "other.tokens.shop.test"
SHOP, SHOP_ALIAS = {"id": "sH0pShop", "names": ["www.shop.test"], "package_type": "83"}, "_dnsauth.www.shop.test"
MUTE = "127.0.4.9"


class Mute:
    """Between dcvd and the primary: the answer to an update at the end of the alias is kept back."""

    def __init__(self):
        self.answered, self.kept = threading.Event(), []
        self.listener = socket.create_server((MUTE, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    @staticmethod
    def _message(connection):
        length = connection.recv(2, socket.MSG_WAITALL)
        return length + connection.recv(int.from_bytes(length), socket.MSG_WAITALL)

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.kept.append(connection)
            primary = socket.create_connection((PRIMARY, 53))
            self.kept.append(primary)
            update = self._message(connection)
            primary.sendall(update)
            answer = self._message(primary)
            if b"\4shop\4test" in update:
                self.answered.set()
            else:
                connection.sendall(answer)

    def close(self):
        if self.listener.fileno() >= 0:
            self.listener.shutdown(socket.SHUT_RDWR)
        for one in [self.listener, *self.kept]:
            one.close()


class Alias(unittest.TestCase):
    def start(self, world, target=END, server=None):
        world.dns.update("example.test", f"add {ALIAS}. 60 CNAME {target}.")
        world.dns.in_step("example.test")
        config = world.default_config()
        quick(config)
        if server:
            config["publishers"]["zone"]["server"] = server
        world.start_nginx()
        world.write_config(config)
        world.start_dcvd()

    def at_end(self, end=END):
        return probe.dns_values(PRIMARY, end, "TXT")

    def test_the_token_goes_to_the_end_of_the_alias(self):
        with World() as world:
            world.dns.update("shop.test", f"add {END}. 60 TXT \"somebody else's\"")
            self.start(world)
            done = world.dcvctl("reissue", "www", "--yes", "--wait")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"ns1.example.test ({PRIMARY})", done.stderr)
            self.assertEqual(self.at_end(), ["somebody else's"])
            self.assertEqual(probe.dns_values(PRIMARY, ALIAS, "CNAME"), [END])
            world.assert_invariants(self)

    def test_a_killed_daemon_takes_it_back_from_there(self):
        with World() as world:
            self.start(world)
            world.dns.relay.hold()
            world.dcvctl("reissue", "www", "--yes", "--detach")
            state = lambda: (world.dcvctl_json("status", "www")[1]["certificates"][0]["job"] or {}).get("state")  # noqa: E731
            probe.until(lambda: state() == "propagated", 40, "where it went written down")
            self.assertTrue(self.at_end(), "the token at the end of the alias")
            world.kill_dcvd()
            world.dns.update("example.test", f"del {ALIAS}. CNAME")  # the way there is gone: what was written down counts
            world.dns.relay.release()
            world.start_dcvd()
            world.dcvctl("cancel", "www", "--yes")
            probe.until(lambda: self.at_end() == [], 30, "the token taken back")

    def test_death_right_after_the_update_leaves_nothing_at_the_end(self):
        """No answer came, the place is only in the journal: then the alias is taken away."""
        with World() as world:
            mute = Mute()
            self.addCleanup(mute.close)
            self.start(world, server=MUTE)
            world.dcvctl("reissue", "www", "--yes", "--detach")
            world.kill_dcvd(lambda: self.assertTrue(mute.answered.wait(40), "an update that was taken"))
            self.assertTrue(self.at_end(), "the token at the end of the alias")
            world.dns.update("example.test", f"del {ALIAS}. CNAME")
            world.dns.in_step("example.test")
            mute.close()
            config = world.default_config()
            quick(config)
            world.write_config(config)
            world.start_dcvd()
            world.dcvctl("cancel", "www", "--yes")
            probe.until(lambda: self.at_end() == [], 30, "the token taken back")
            world.assert_invariants(self)

    def test_an_alias_that_changes_meanwhile_moves_no_token(self):
        with World() as world:
            self.start(world)
            world.dns.relay.hold()
            world.dcvctl("reissue", "www", "--yes", "--detach")
            probe.until(self.at_end, 40, "the token at the end of the alias")
            world.dns.update("example.test", f"del {ALIAS}. CNAME", f"add {ALIAS}. 60 CNAME {OTHER_END}.")
            world.dns.update("shop.test", f"add {OTHER_END}. 60 TXT \"somebody else's\"")
            world.dns.relay.release()
            world.dns.in_step("example.test")
            world.dcvctl("cancel", "www", "--yes")
            probe.until(lambda: self.at_end() == [], 30, "the token taken back")
            self.assertEqual(self.at_end(OTHER_END), ["somebody else's"])

    def test_the_tokens_of_two_jobs_at_one_end_come_and_go_by_themselves(self):
        with World([FREE, SHOP]) as world:
            world.dns.update("example.test", f"add {ALIAS}. 60 CNAME {END}.")
            world.dns.update("shop.test", f"add {SHOP_ALIAS}. 60 CNAME {END}.")
            for zone in ("example.test", "shop.test"):
                world.dns.in_step(zone)
            config = world.default_config()
            config["certificates"]["shop"] = world.default_config(SHOP["id"])["certificates"]["www"]
            for name in ("www", "shop"):
                quick(config, name)
            world.start_nginx()
            world.write_config(config)
            world.start_dcvd()
            world.dns.relay.hold()
            world.dcvctl("reissue", "www", "shop", "--yes", "--detach")
            probe.until(lambda: len(self.at_end()) == 2, 40, "two tokens at the end of the aliases")
            world.dcvctl("cancel", "www", "--yes")
            probe.until(lambda: len(self.at_end()) == 1, 30, "one of them taken back")
            world.dns.relay.release()
            probe.until(lambda: self.at_end() == [], 60, "the other one, too")
            facts = lambda: world.dcvctl_json("status", "shop")[1]["certificates"][0]  # noqa: E731
            probe.until(lambda: not facts()["job"], 40, "the end of its job")
            self.assertEqual(facts()["live"]["set"], 1)
            world.assert_invariants(self)

    def test_a_loop_is_named(self):
        with World() as world:
            world.dns.update("shop.test", f"add {END}. 60 CNAME {ALIAS}.")
            self.start(world)
            loops = f"the alias chain of {ALIAS} loops at {ALIAS}"
            self.assertIn(loops, world.dcvctl_until(loops, "reissue", "www", "--yes", "--wait").stderr)

    def test_an_alias_into_no_zone_is_a_mistake(self):
        with World() as world:
            self.start(world, "www.tokens.nowhere")
            helps = "correct the name, or the CNAME records that lead to it"
            done = world.dcvctl_until(helps, "reissue", "www", "--yes", "--wait")
            self.assertEqual(done.returncode, 130, done.stderr)  # the order is open: it goes on when that is mended
            self.assertIn("no zone holds www.tokens.nowhere", done.stderr)
            self.assertIn(helps, done.stderr)


if __name__ == "__main__":
    unittest.main()
