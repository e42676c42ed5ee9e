"""What systemd's unit takes away from the daemon, it can do without: its system calls are filtered as the unit says, while it does all
that it is for. Elsewhere in these tests nothing is filtered."""

import os
import signal
import unittest

import probe
from world import FREE, SOURCE, World

UNIT = os.path.join(SOURCE, "systemd", "dcvd.service.in")
FILTER = os.path.join(SOURCE, "tests", "peer", "as_unit")


class Unit(unittest.TestCase):
    def test_its_filter_lets_pass_all_that_the_daemon_calls(self):
        with World([FREE]) as world:
            config = world.default_config()
            config["certificates"]["www"]["deploy"] = []  # what needs root is dcvd-helper's
            config["tokens"] = {"listen": ["127.0.0.1:8402"], "tls_listen": ["127.0.0.1:8443"]}
            config["alerts"] = {"listen": "127.0.0.1:8405", "webhooks": {
                "scanner": {"format": "generic", "secret": {"file": world.secret("scanner", "c2Nhbm5lcg")}}}}
            config["admin"] = {"listen": "127.0.0.1:9853"}
            config["control"] = {"act": ["dcvd-read"]}  # to which it may give nothing
            world.write_config(config)
            world.start_dcvd(as_dcvd=True, wrap=[FILTER, UNIT])
            self.assertRegex(probe.read_text(f"/proc/{world.dcvd.pid}/status"), r"(?m)^Seccomp:\t2$")
            self.assertIn("/run/dcvd/alerts cannot be given to group dcvd-read", probe.read_text(world.dcvd.log))
            folder = f"/etc/nginx/tls/{FREE['id']}"
            pair = ("--cert", f"{folder}/fullchain.pem", "--key", f"{folder}/privkey.pem")
            for command in (("import", "www", *pair), ("rehearse", "www"), ("alert", "test", "scanner"), ("status",), ("incidents",),
                            ("reissue", "www", "--key-compromised", "--yes", "--wait"), ("history", "www"), ("check", "www")):
                done = world.dcvctl(*command)
                wanted = (0, 1) if command[0] == "check" else (0,)  # names below .test are private
                self.assertIn(done.returncode, wanted, f"{command}: {done.stdout}{done.stderr}{world.dcvd.tail()}")
            for port in (8402, 8405, 9853):
                self.assertIn(probe.fetch("127.0.0.1", "localhost", "/metrics", port)[0], (200, 404))
            world.dcvd.process.send_signal(signal.SIGHUP)
            probe.until(lambda: "new configuration" in probe.read_text(world.dcvd.log), what="the new configuration")
            self.assertEqual(world.dcvd.stop(), 0, "it was killed")


if __name__ == "__main__":
    unittest.main()
