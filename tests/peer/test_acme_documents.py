"""Documents that are not what was asked for, between dcvd and Pebble: nothing is sent twice for them, nothing of them is
installed, and the next job is well."""

import base64
import json
import os
import unittest

import probe
from acme_faults import FaultyCase, altered
from acme_proxy import Proxy
from acme_world import folder_of


def with_token(text):
    """Every challenge of an authorization, with this token."""
    def alter(status, headers, body):
        document = json.loads(body)
        for challenge in document.get("challenges", []):
            challenge["token"] = text
        return status, headers, json.dumps(document).encode()
    return alter


class OtherCa:
    """Somebody who answers instead of the CA: with the CSR that the proxy saw, or a key of his own."""

    def __init__(self, proxy):
        self.proxy, self.at = proxy, "/tmp/other"
        probe.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
                      "/CN=Somebody else", "-keyout", f"{self.at}.key", "-out", f"{self.at}.pem")

    def csr(self, own_key, names):
        if own_key:
            probe.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/", "-keyout",
                          f"{self.at}.leaf.key", "-out", f"{self.at}.csr", "-addext", f"subjectAltName=DNS:{names[0]}")
            return
        text = next(json.loads(p)["csr"] for what, p in reversed(self.proxy.payloads) if what.startswith("POST /finalize-order/"))
        with open(f"{self.at}.der", "wb") as f:
            f.write(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        probe.openssl("req", "-inform", "DER", "-in", f"{self.at}.der", "-out", f"{self.at}.csr")

    def leaf(self, names, own_key=False, days=30):
        def alter(status, headers, body):
            self.csr(own_key, names)
            with open(f"{self.at}.ext", "w", encoding="ascii") as f:
                f.write("subjectAltName=" + ",".join(f"DNS:{name}" for name in names))
            leaf = probe.openssl("x509", "-req", "-in", f"{self.at}.csr", "-CA", f"{self.at}.pem", "-CAkey", f"{self.at}.key",
                                 "-extfile", f"{self.at}.ext", "-set_serial", "7", "-days", str(days))
            return status, headers, (leaf + probe.read_text(f"{self.at}.pem")).encode()
        return alter

    def issuer(self, status, headers, body):
        """The right leaf, and below it somebody who did not sign it."""
        mark = b"-----END CERTIFICATE-----\n"
        return status, headers, body.partition(mark)[0] + mark + probe.read_text(f"{self.at}.pem").encode()


class AcmeDocuments(FaultyCase):
    def test_documents_that_are_none_end_one_job_at_worst(self):
        """What is read of the CA is bounded and strict; nothing is sent twice for it, and the next job is well."""
        html = (200, [("Content-Type", "text/html")], b"<html>busy</html>")
        ends = [("elsewhere", ("POST /my-order/", altered(finalize="https://127.0.5.9/f")), "does not name"),
                ("no names", ("POST /authZ/", altered(identifier={})), "names no identifier"),
                ("no challenges", ("POST /authZ/", altered(challenges=5)), "challenges of an authorization are no list"),
                ("no finalize", ("POST /my-order/", altered(finalize=None)), '"finalize" is missing'),
                ("no authorizations", ("POST /order-plz", altered(authorizations={})), "no usable list of authorizations")]
        passes = [(f"html {path}", (f"POST {path}", html)) for path in ("/order-plz", "/authZ/", "/my-order/", "/certZ/")]
        passes += [("no bytes at all", ("POST /order-plz", (201, [], b""))),
                   ("a status that is none", ("POST /my-order/", altered(status=["valid"]))),
                   ("endless order", ("POST /order-plz", "endless")), ("endless certificate", ("POST /certZ/", "endless")),
                   ("endless finalize", ("POST /finalize-order/", "endless"))]
        taken = "POST /finalize-order/", lambda *_: html  # for all that: the order is read
        cut = "POST /order-plz", lambda s, h, b: (s, h, b[:len(b) // 2])  # its place is told: it is read there
        world, pebble, proxy = self.prepared(2 * len(ends) + 6 + len(passes))
        self.assertEqual(self.harmed(world, pebble, proxy, ("POST /sign-me-up", lambda *_: html), 1)[1], 0, "found by its key")
        for what, rule, words in ends:
            for times in (1, 100000):
                with self.subTest(what, times=times):
                    cert, status, said = self.harmed(world, pebble, proxy, rule, times)
                    self.assertEqual(status, 1)
                    self.assertRegex(said, words)
                    self.run_well(world, "issue", cert, "--wait")
        for rule, times in ((taken, 1), (taken, 100000), (cut, 1), (cut, 100000), (passes[-1][1], 1)):
            self.assertEqual(self.harmed(world, pebble, proxy, rule, times)[1], 0)
        late = []
        for what, rule in passes:  # asked for again, later and later
            with self.subTest(what):
                cert, status, said = self.harmed(world, pebble, proxy, rule, 100000, 1 + len(late), goes_on=True)  # those go on meanwhile
                self.assertEqual(status, 0, said)
                late.append(world.start_dcvctl("issue", cert, "--wait"))
        self.assertEqual([one.wait(120 * probe.BUSY) for one in late], [0] * len(passes), world.dcvd.tail())
        self.assertEqual({n for n in proxy.finalized().values()}, {1})
        self.files_are_gone(world)
        self.judge(world)

    def test_tokens_that_are_no_names_of_files_are_refused(self):
        rows = ["../../etc/passwd", "a;id", "a\0b", "a\nb", "A" * 10240, "", "a/b", "\u202e"]
        world, pebble, proxy = self.prepared(len(rows))
        for token in rows:
            with self.subTest(token[:20]):
                _, status, said = self.harmed(world, pebble, proxy, ("POST /authZ/", with_token(token)), 100000)
                self.assertEqual(status, 1, said)
                self.assertNotIn("\n", said)
        self.assertEqual((pebble.issued(), proxy.finalized()), (0, {}))
        self.assertEqual([files for _, _, files in os.walk(world.webroot) if files], [])
        self.judge(world)

    def test_certificates_of_another_kind_than_ordered_are_never_installed(self):
        world, pebble, proxy = self.prepared(12, names=2)
        other = OtherCa(proxy)
        rows = [("a name less", lambda names: other.leaf(names[:1]), "does not cover n"),
                ("a name more", lambda names: other.leaf([*names, "more.example.test"]), "nobody asked for more.example.test"),
                ("other names", lambda names: other.leaf(["a.example.test", "b.example.test"]), "does not cover n"),
                ("expired", lambda names: other.leaf(names, days=-1), "the certificate expired at 20"),
                # Somebody else finalized it (two hosts, one account): another order, two in all.
                ("another key", lambda names: other.leaf(names, own_key=True), "belongs to this private key")]
        for what, act, words in rows:
            for times in (1, 100000):
                with self.subTest(what, times=times):
                    cert = f"c{len(self.seen)}"
                    self.seen.append(cert)
                    names, passes = self.config["certificates"][cert]["names"], what == "another key" and times == 1
                    _, status, said = self.harmed(world, pebble, proxy, ("POST /certZ/", act(names)), times,
                                                  2 if what == "another key" else 1)
                    self.assertEqual(status, 0 if passes else 1, said)
                    self.assertRegex(said, "done" if passes else words)
        with self.subTest("what follows a NUL"):
            hidden = lambda status, headers, body: (status, headers, body.replace(b"-----\n-----", b"-----\n\0\n-----", 1))
            _, status, said = self.harmed(world, pebble, proxy, ("POST /certZ/", hidden), 1)
            self.assertEqual(status, 1, said)
            self.assertIn("sent something else than certificates", said)
        with self.subTest("another issuer"):  # nobody could check the leaf alone
            _, status, said = self.harmed(world, pebble, proxy, ("POST /certZ/", other.issuer), 1)
            self.assertEqual(status, 1, said)
            self.assertIn("none of the certificates that came with it issued the certificate", said)
        self.judge(world)

    def test_an_alternate_chain_for_another_certificate_is_not_taken(self):
        world = self.world()
        pebble = self.pebble(world, alternates=1)
        proxy = Proxy(pebble)
        world.children.append(proxy)
        world.start_nginx([])
        other, names = OtherCa(proxy), [next(self.names)]
        world.write_config({"cas": {"pebble": proxy.ca(preferred_chain="Somebody else")}, "certificates": {
            "c0": {"names": names, "ca": "pebble", "publisher": "site", "validation": "file", "propagation": {"consecutive": 1},
                   "deploy": [{"directory": folder_of("c0")}]}},
                            "publishers": {"site": {"type": "webroot", "directory": world.webroot}}})
        world.start_dcvd()
        struck = proxy.harm("POST /certZ/.*/alternate/", other.leaf(names, own_key=True), times=10)
        self.run_well(world, "issue", "c0", "--wait")
        self.assertEqual((struck.struck, pebble.issued()), (1, 1))
        self.assertIn("none of the 2 chains offered ends below", probe.read_text(world.dcvd.log))
        self.judge(world)

    def test_what_was_sent_before_does_nothing_when_it_is_sent_again(self):
        world, pebble, proxy = self.prepared(6)
        self.run_well(world, "issue", next(self.certs), "--wait")
        for path in ("/order-plz", "/authZ/", "/chalZ/", "/finalize-order/", "/certZ/"):
            with self.subTest(path):
                before = pebble.issued()
                proxy.harm(f"POST {path}", "replay")
                self.run_well(world, "issue", next(self.certs), "--wait")
                self.check(pebble, proxy, before, 1)
                self.assertEqual([status for what, status in proxy.replayed if what.startswith(f"POST {path}")], [400])
        self.judge(world)


if __name__ == "__main__":
    unittest.main()
