"""A challenge name that is an alias into another zone: the token goes to its end, is seen there, and is taken back from there."""

import unittest

import probe
from servers import PRIMARY
from test_deploy import quick
from world import World

ALIAS, END = "_dnsauth.www.example.test", "www.tokens.shop.test"


class Alias(unittest.TestCase):
    def start(self, world, target=END):
        world.dns.update("example.test", f"add {ALIAS}. 60 CNAME {target}.")
        world.dns.in_step("example.test")
        config = world.default_config()
        quick(config)
        world.start_nginx()
        world.write_config(config)
        world.start_dcvd()

    def at_end(self):
        return probe.dns_values(PRIMARY, END, "TXT")

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
