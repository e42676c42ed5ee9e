"""Putting to use, and putting back: broken configurations, reloads that change nothing, two key types on one server, haproxy."""

import os
import unittest

import probe
from world import FREE, World

ECDSA = {"id": "ecdsa001", "names": FREE["names"], "package_type": "11", "key": "ec-p256"}


def quick(config, name="www"):
    config["certificates"][name]["rehearse"] = "never"
    config["certificates"][name]["propagation"] = {"consecutive": 1}
    return config["certificates"][name]["deploy"][0]


class Deploy(unittest.TestCase):
    def taken_over(self, world, config):
        world.start_nginx()
        directory = config["certificates"]["www"]["deploy"][0]["directory"]
        world.write_config(config)
        world.start_dcvd()
        done = world.dcvctl("import", "www", "--cert", f"{directory}/fullchain.pem", "--key", f"{directory}/privkey.pem")
        self.assertEqual(done.returncode, 0, done.stderr)
        return world.served("www.example.test").der

    def test_a_web_server_that_is_broken_already_costs_nothing(self):
        with World() as world:
            config = world.default_config()
            quick(config)
            before = self.taken_over(world, config)
            world.nginx.configure("nonsense on;")
            done = world.dcvctl("reissue", "www", "--yes", "--wait")
            self.assertEqual(done.returncode, 5, done.stderr)
            self.assertRegex(done.stderr, r"nginx -t failed: .*nonsense")
            self.assertIn("nothing was spent", done.stderr)
            self.assertEqual(world.ledger("ReplaceCertificate"), [])
            self.assertEqual(world.served("www.example.test").der, before)

    def test_a_test_that_fails_after_the_switch_puts_back_and_keeps_the_set(self):
        with World() as world:
            config = world.default_config()
            target = quick(config)
            # Good before, bad once a second generation is live.
            target["services"][0]["test"] = ["/bin/sh", "-c", f"test ! -e /tmp/strict || ! readlink {target['directory']}/.dcvd/live | grep -q 2"]
            before = self.taken_over(world, config)
            open("/tmp/strict", "w", encoding="ascii").close()
            done = world.dcvctl("reissue", "www", "--yes", "--wait")
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("old set kept, new set kept as 2; mend it, then dcvctl deploy www --set 2 (no new order)", done.stderr)
            self.assertEqual(world.served("www.example.test").der, before)
            self.assertIn("   1 *", world.dcvctl("sets", "www").stdout)
            os.unlink("/tmp/strict")
            again = world.dcvctl("deploy", "www", "--set", "2", "--wait")
            self.assertEqual(again.returncode, 0, again.stderr)
            self.assertNotEqual(world.served("www.example.test").der, before)
            self.assertEqual(len(world.ledger("ReplaceCertificate")), 1)
            world.assert_invariants(self)

    def test_a_reload_that_changes_nothing_is_seen_and_put_back(self):
        with World() as world:
            config = world.default_config()
            quick(config)["services"][0]["reload"] = ["/bin/true"]
            before = self.taken_over(world, config)
            done = world.dcvctl("reissue", "www", "--yes", "--wait")
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertRegex(done.stderr, r"reload said 0 but 127\.0\.2\.1:443.* serves the old one.*put back")
            self.assertEqual(world.served("www.example.test").der, before)
            self.assertIn("   1 *", world.dcvctl("sets", "www").stdout)

    def test_a_leaked_key_is_never_put_back_after_a_good_reload(self):
        with World() as world:
            config = world.default_config()
            quick(config)["services"][0]["reload"] = ["/bin/true"]
            self.taken_over(world, config)
            self.assertEqual(world.dcvctl("reissue", "www", "--key-compromised", "--yes", "--detach").returncode, 0)
            going = lambda: world.dcvctl_json("status", "www")[1]["certificates"][0]["job"]  # noqa: E731
            job = probe.until(lambda: (job := going())["state"] == "served" and "error" in job and job, 60, "what it looked at is wrong")
            self.assertIn("stays installed", job["error"]["fix"])
            self.assertIn("configuration names the files in /etc/nginx/tls/", job["error"]["fix"])
            self.assertIn("or dcvctl cancel www", world.dcvctl("deploy", "www").stderr)
            world.nginx.reload()
            probe.until(lambda: world.dcvctl_json("status", "www")[1]["certificates"][0]["job"] is None, 40, "the job done once the server is mended")
            self.assertEqual(len(world.ledger("ReplaceCertificate")), 1)

    def test_rsa_and_ecdsa_certificates_of_one_server(self):
        with World(certificates=[FREE, ECDSA]) as world:
            config = world.default_config(FREE["id"])
            other = world.default_config(ECDSA["id"])["certificates"]["www"]
            config["certificates"]["ecdsa"] = other
            quick(config)
            quick(config, "ecdsa")
            world.start_nginx()
            world.write_config(config)
            world.start_dcvd()
            old = {kind: world.served("www.example.test", kind).der for kind in ("rsa", "ecdsa")}
            for name in ("ecdsa", "www"):
                done = world.dcvctl("reissue", name, "--yes", "--wait")
                self.assertEqual(done.returncode, 0, done.stderr)
            for kind in ("rsa", "ecdsa"):
                self.assertNotEqual(world.served("www.example.test", kind).der, old[kind], kind)


if __name__ == "__main__":
    unittest.main()
