"""A reload that kills the server, though nobody said where it listens; dcvd-helper killed on the way back."""

import os
import signal
import unittest

import probe
import test_put_back
from servers import WEB, write
from test_deploy import quick
from test_helper import helpers
from world import World


class Kills(test_put_back.PutBackCase):
    def test_a_reload_that_kills_the_server(self):
        """With `verify: auto` nothing listens any more that could be found: it is missed all the same."""
        with World() as world:
            config = world.default_config()
            write("/usr/local/bin/reload", "#!/bin/sh\nkill $(cat /run/nginx.pid)\n", 0o755)
            quick(config)["services"][0].update({"reload": ["/usr/local/bin/reload"], "verify": "auto"})
            directory = self.take_over(world, config)
            said = self.bad(world.dcvctl("reissue", "www", "--yes", "--wait"))
            self.assertRegex(said, rf"{WEB}:443 as (www\.)?example\.test cannot be looked at: .*; "
                             "putting back failed: nginx: /usr/local/bin/reload failed: ")
            self.assertIn("look at that server now", said)
            self.assertEqual(os.readlink(f"{directory}/.dcvd/live"), "0")
            self.live_is(world, 1)

    def test_a_helper_killed_on_the_way_back(self):
        with World() as world:
            config = world.default_config()
            self.scripted(quick(config), bad=(3,), slow=4)
            directory = self.take_over(world, config)
            world.dcvctl("reissue", "www", "--yes", "--detach")
            probe.until(lambda: os.path.exists("/run/reached"), 20, "the helper on the way back")
            self.assertEqual(os.readlink(f"{directory}/.dcvd/live"), "0")
            for pid in helpers():
                os.kill(pid, signal.SIGKILL)
            probe.until(lambda: world.dcvctl_json("status", "www")[1]["certificates"][0]["job"] is None, 40, "the job done")
            self.live_is(world, 2)
            self.assertEqual(len(world.ledger("ReplaceCertificate")), 1)
            world.assert_invariants(self)


if __name__ == "__main__":
    unittest.main()
