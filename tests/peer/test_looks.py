"""Where it is looked at what is served: endpoints that are names, and listeners that say nothing."""

import socket
import threading
import time
import unittest

import probe
from test_deploy import quick
from world import FREE, WEB, World

LOOK_S = 5  # as long would a look wait for an answer (agent/deploy/look.c)


class Silent:
    """A listener that says nothing, and how long each connection was held."""

    def __init__(self, address):
        self.listener, self.open, self.held = socket.create_server(address), 0, []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.open += 1
            threading.Thread(target=self.hold, args=(connection, time.monotonic()), daemon=True).start()

    def hold(self, connection, begun):
        with connection:
            try:
                while connection.recv(65536):
                    pass
            except OSError:
                pass
        self.held.append(time.monotonic() - begun)
        self.open -= 1

    def taken(self):
        """What was held since the last time, once nothing is."""
        probe.until(lambda: self.held and not self.open, 20, "every connection given up")
        taken, self.held = self.held, []
        return taken


class Looks(unittest.TestCase):
    def take_over(self, world, verify):
        config = world.default_config()
        quick(config)["services"][0]["verify"] = verify
        world.write_config(config)
        world.start_dcvd()
        done = world.dcvctl("import", "www", "--cert", world.original(FREE["id"], "fullchain.pem"), "--key", world.original(FREE["id"], "privkey.pem"))
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_an_endpoint_that_is_a_name(self):
        with World() as world:
            with open("/etc/hosts", "a", encoding="ascii") as f:
                f.write(f"{WEB} web.internal\n")
            self.take_over(world, ["web.internal:443"])
            done = world.dcvctl("reissue", "www", "--yes", "--wait")
            self.assertEqual(done.returncode, 0, done.stderr)
            said = world.dcvctl("verify", "www").stdout
            self.assertIn(f"{WEB}:443 as www.example.test: serves the live certificate", said)
            world.dcvd.stop()
            self.assertEqual(world.dcvctl("verify", "www").stdout, said)  # by itself, the same
            world.assert_invariants(self)

    def test_a_name_that_cannot_be_looked_up_is_named(self):
        with World() as world:
            self.take_over(world, ["nobody.example.test:443"])
            done = world.dcvctl("reissue", "www", "--yes", "--wait")
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("nobody.example.test:443 cannot be looked at: nobody.example.test has no address", done.stderr)
            self.assertIn("   1 *", world.dcvctl("sets", "www").stdout)  # put back

    def test_a_listener_that_says_nothing_holds_nothing_up(self):
        """As a name server on TCP does: there are some on this machine too."""
        with World() as world:
            silent = Silent(("127.0.0.1", 4443))
            self.take_over(world, "auto")

            def given_up_early(*command):
                """Who waits for an answer never does so; a machine that stands still may hold a connection for longer."""
                done = world.dcvctl(*command)
                self.assertEqual(done.returncode, 0, done.stderr)
                return max(silent.taken()) < LOOK_S - 0.5
            probe.until(lambda: given_up_early("deploy", "www", "--yes", "--wait"), LOOK_S, "given up early after a deployment")
            self.assertIn(f"{WEB}:443", world.dcvctl("status", "www").stdout)
            probe.until(lambda: given_up_early("verify", "www"), LOOK_S, "given up early by verify")


if __name__ == "__main__":
    unittest.main()
