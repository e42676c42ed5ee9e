"""Every fault and variant on command does what it says."""

import http.client
import json
import subprocess
import threading
import time
import unittest
import unittest.mock

import control
import dns_client
import validation
from testing import DoubleCase, ScriptedDns, certificate, csr, eventually

NAMES = ["www.example.test", "example.test"]
BROKEN = (http.client.HTTPException, ConnectionError)


class Transport(DoubleCase):
    def request(self):
        return {"CertificateId": "free0001", "ValidType": "DNS", "CsrType": "upload", "CsrContent": csr(NAMES)}

    def running(self):
        return self.call("DescribeCertificate", CertificateId="free0001")["CertificateExtra"]["ReplacedFor"]

    def test_an_answer_lost_after_processing(self):
        self.control("fault", kind="lost-after", action="ReplaceCertificate")
        with self.assertRaises(BROKEN):
            self.raw("ReplaceCertificate", self.request())
        self.assertTrue(self.running())
        line = [x for x in self.ledger() if x["action"] == "ReplaceCertificate"]
        self.assertEqual([(x["outcome"], x["faults"]) for x in line], [("ok", ["lost-after"])])

    def test_a_request_lost_before_processing(self):
        self.control("fault", kind="lost-before", action="ReplaceCertificate", reset=True)
        with self.assertRaises(BROKEN):
            self.raw("ReplaceCertificate", self.request())
        self.assertIsNone(self.running())
        self.assertEqual([x["outcome"] for x in self.ledger() if x["action"] == "ReplaceCertificate"],
                         ["not processed"])
        self.assertNotIn("Error", self.raw("ReplaceCertificate", self.request())[2], "the fault was for one call")

    def test_internal_error_after_success(self):
        self.control("fault", kind="internal-error-after", action="ReplaceCertificate",
                     code="InternalError.BackendResponseEmpty")
        self.assertEqual(self.code("ReplaceCertificate", self.request()), "InternalError.BackendResponseEmpty")
        self.assertTrue(self.running())

    def test_damaged_answers(self):
        rows = [("cut-json", 200, lambda b: b.startswith(b'{"Response"') and not b.endswith(b"}}")),
                ("not-json", 200, lambda b: b"upstream" in b),
                ("empty", 200, lambda b: b == b""), ("no-response", 200, lambda b: "Response" not in json.loads(b)),
                ("legacy", 200, lambda b: json.loads(b)["codeDesc"] == "InternalError"),
                ("http-status-after", 502, lambda b: b"<html>" in b),
                ("http-status-before", 502, lambda b: b"<html>" in b),
                ("no-request-id", 200, lambda b: "RequestId" not in json.loads(b)["Response"]),
                ("huge", 200, lambda b: len(b) > 1000000)]
        for kind, status, good in rows:
            with self.subTest(kind=kind):
                self.control("fault", kind=kind, status=502, bytes=1000000)
                found, _, _, body = self.raw("DescribeCertificates")
                self.assertEqual(found, status)
                self.assertTrue(good(body), body[:80])

    def test_error_before_slow_skew_skip_and_persistence(self):
        self.control("fault", kind="error", code="RequestLimitExceeded", skip=1, count=2)
        codes = [(self.raw("DescribeCertificates")[2].get("Error") or {}).get("Code") for _ in range(4)]
        self.assertEqual(codes, [None, "RequestLimitExceeded", "RequestLimitExceeded", None])
        number = self.control("fault", kind="slow", ms=150, count=-1)["number"]
        start = time.monotonic()
        for _ in range(2):
            self.raw("DescribeCertificates")
        self.assertGreater(time.monotonic() - start, 0.3)
        self.control("clear-faults", number=number)
        self.assertEqual(self.control("faults")["faults"][-1]["count"], 0)
        self.control("fault", kind="skew", seconds=-86400)
        self.assertNotEqual(self.raw("DescribeCertificates")[1]["Date"][:16],
                            self.raw("DescribeCertificates")[1]["Date"][:16])

    def test_an_endless_answer(self):
        self.control("fault", kind="endless", seconds=0.3)
        self.assertGreater(len(self.raw("DescribeCertificates")[3]), 1024)

    def test_answers_edited_to_be_hostile(self):
        new = self.replace()
        self.control("fault", kind="edit", set={"DvAuthDetail.DvAuths.0.DvAuthKey": "../../etc", "Status": "one"},
                     delete=["StatusMsg"])
        shown = self.call("DescribeCertificate", CertificateId=new)
        self.assertEqual((shown["DvAuthDetail"]["DvAuths"][0]["DvAuthKey"], shown["Status"], "StatusMsg" in shown),
                         ("../../etc", "one", False))

    def test_unknown_faults_and_ops_are_refused(self):
        for op, fields in (("fault", {"kind": "bogus"}), ("nonsense", {}), ("variants", {"bogus": 1}),
                           ("set", {"id": "free0001", "bogus": 1}),
                           ("approve", {"id": "free0001"}), ("approve", {"id": "nonesuch"})):
            with self.assertRaises(ValueError, msg=op):
                self.control(op, **fields)


class Variants(DoubleCase):
    def certificates(self):
        return [certificate("free0001", NAMES), certificate("ovov0001", ["ov.test"], "28")]

    def look(self, public_id):
        shown = self.call("DescribeCertificate", CertificateId=public_id)
        return shown["Status"], shown["CertificateExtra"]["ReplacedBy"], shown["CertificateExtra"]["ReplacedFor"]

    def test_where_status_11_and_the_links_stand(self):
        new = self.replace()
        for eleven, want in (("original", (11, 0)), ("new", (1, 11)), ("both", (11, 11)), ("neither", (1, 0))):
            self.control("variants", status_11=eleven)
            self.assertEqual((self.status("free0001"), self.status(new)), want, eleven)
        for links, want in (("both", (new, "free0001")), ("new", (None, "free0001")), ("original", (new, None)),
                            ("neither", (None, None))):
            self.control("variants", links=links)
            self.assertEqual((self.look("free0001")[2], self.look(new)[1]), want, links)

    def test_the_same_id_comes_back(self):
        self.control("variants", replace_id="same")
        before = self.call("DescribeCertificateDetail", CertificateId="free0001")
        self.assertEqual(self.replace(), "free0001")
        during = self.call("DescribeCertificateDetail", CertificateId="free0001")
        self.assertEqual((during["Status"], during["CertFingerprint"]), (11, before["CertFingerprint"]))
        self.assertEqual(self.call("DescribeCertificates")["TotalCount"], 2)
        self.publish("free0001")
        self.wait_status("free0001", 1)
        after = self.call("DescribeCertificateDetail", CertificateId="free0001")
        self.assertNotEqual(after["CertFingerprint"], before["CertFingerprint"])
        self.assertEqual(self.code("ReplaceCertificate", {"CertificateId": "free0001", "ValidType": "DNS"}),
                         "FailedOperation.OrderAlreadyReplaced")

    def test_the_same_id_cancelled_is_the_original_again(self):
        self.control("variants", replace_id="same")
        self.replace()
        self.call("CancelCertificateOrder", CertificateId="free0001")
        self.wait_status("free0001", 1)
        self.assertIsNone(self.call("DescribeCertificate", CertificateId="free0001")["DvAuthDetail"]["DvAuths"])

    def test_status_messages_null_and_stale(self):
        new = self.replace()
        for how, want in (("null", None), ("stale", "CA-REVIEWING"), ("fresh", "PENDING-DCV")):
            self.control("variants", status_msg=how)
            self.assertEqual(self.call("DescribeCertificate", CertificateId=new)["StatusMsg"], want)

    def test_only_the_top_level_fields(self):
        self.control("variants", dv_auths="top-level")
        detail = self.call("DescribeCertificate", CertificateId=self.replace())["DvAuthDetail"]
        self.assertEqual((detail["DvAuths"], detail["DvAuthKey"]), ([], "_dnsauth.www.example.test"))

    def test_lagging_reads_by_calls_and_by_time(self):
        self.control("lag", calls=2)
        new = self.replace()
        statuses = [self.call("DescribeCertificate", CertificateId="free0001")["Status"] for _ in range(3)]
        self.assertEqual(statuses, [1, 1, 11])
        self.control("lag", seconds=3600)
        self.assertEqual(self.code("DescribeCertificate", {"CertificateId": new}),
                         "FailedOperation.CertificateNotFound")
        self.control("lag")
        self.assertEqual(self.status(new), 0)

    def test_dv_auths_that_appear_late(self):
        self.control("late-dvauths", reads=2)
        new = self.replace()
        seen = [bool(self.call("DescribeCertificate", CertificateId=new)["DvAuthDetail"]["DvAuths"]) for _ in range(3)]
        self.assertEqual(seen, [False, False, True])

    def test_statuses_that_want_somebody_stop_the_order(self):
        new = self.replace()
        for status in (5, 8, 12, 13, 15, 14, 99):
            self.control("set", id=new, status=status, message="x")
            self.assertEqual(self.status(new), status)
        self.publish_and_scan(new)
        self.assertEqual(self.status(new), 99)
        self.control("set", id=new)
        self.wait_status(new, 1)

    def publish_and_scan(self, new):
        self.publish(new)
        self.control("scan")

    def test_review_closed_and_forgotten(self):
        new = self.replace("ovov0001", CsrType="original")
        self.control("close", id=new)
        self.assertEqual(self.status(new), 7)
        self.control("forget")
        self.assertEqual(self.call("DescribeCertificates")["TotalCount"], 0)

    def test_hostile_dv_auths(self):
        for value in ("../../x", "a\nb", "a\0b", "x" * 10240, "", "ü"):
            with self.subTest(value=value[:10]):
                hostile = [{"DvAuthKey": "_dnsauth.ov.test", "DvAuthValue": value, "DvAuthDomain": "ov.test",
                            "DvAuthPath": value,
                            "DvAuthSubDomain": "_dnsauth", "DvAuthVerifyType": kind}
                           for kind in ("TXT", "CNAME", "FILE")]
                self.control("next-dvauths", dv_auths=hostile)
                new = self.replace("ovov0001")
                shown = self.call("DescribeCertificate", CertificateId=new)["DvAuthDetail"]["DvAuths"]
                self.assertEqual([a["DvAuthValue"] for a in shown], [value] * 3)
                self.control("scan")
                self.assertEqual(self.events("worker-error"), [])
                self.call("CancelAuditCertificate", CertificateId=new)
                self.wait_status(new, 7)


class WrongCertificates(DoubleCase):
    def certificates(self):
        return [certificate(f"paid{i:04d}", [f"p{i}.p{i}.test", f"q.p{i}.test"], "11") for i in range(9)]

    def issued(self, number, **how):
        public_id = f"paid{number:04d}"
        self.control("issue-as", **how)
        new = self.replace(public_id, CsrType="original")
        self.wait_status(new, 1)
        return self.call("DescribeCertificateDetail", CertificateId=new)["CertificatePublicKey"]

    def text(self, pem, *what):
        return subprocess.run(["openssl", "x509", "-noout", *what], input=pem.encode(), capture_output=True,
                              check=True).stdout.decode()

    def test_key_names_issuer_dates(self):
        self.assertNotEqual(self.text(self.issued(0, wrong="key"), "-pubkey"),
                            self.text(self.double.state.find("paid0000")["cert"]["leaf"], "-pubkey"))
        self.assertIn("wrong.p1.p1.test", self.text(self.issued(1, wrong="name"), "-ext", "subjectAltName"))
        self.assertNotIn("q.p2.test", self.text(self.issued(2, wrong="missing-name"), "-ext", "subjectAltName"))
        rogue = self.issued(3, wrong="issuer")
        path = self.folder + "/rogue.pem"
        with open(path, "w", encoding="ascii") as f:
            f.write(rogue)
        verify = subprocess.run(["openssl", "verify", "-CAfile", self.folder + "/root.pem", "-untrusted", path, path],
                                capture_output=True, check=False)
        self.assertNotEqual(verify.returncode, 0)
        expired = subprocess.run(["openssl", "x509", "-noout", "-checkend", "0"],
                                 input=self.issued(4, wrong="expired").encode(),
                                 capture_output=True, check=False)
        self.assertEqual(expired.returncode, 1)

    def test_arrangements_of_the_chain(self):
        begin = "-----BEGIN CERTIFICATE-----"
        self.assertNotIn("p5.p5.test", self.text(self.issued(5, chain="reversed"), "-subject"))
        self.assertEqual(self.issued(6, chain="short").count(begin), 1)
        junk = self.issued(7, chain="junk")
        self.assertTrue(junk.startswith("Bag") and junk.count(begin) == 2)
        self.assertEqual(self.issued(8, chain="crlf").count("-----\r\n"), 4)


class Control(DoubleCase):
    def test_over_its_socket(self):
        address = self.double.control_address
        self.assertGreater(control.send(address, "ping")["pid"], 0)
        self.assertEqual(control.send(address, "variants", status_11="new")["variants"]["status_11"], "new")
        with self.assertRaisesRegex(RuntimeError, "unknown op"):
            control.send(address, "bogus")


class Looking(unittest.TestCase):
    def setUp(self):
        self.dns = ScriptedDns()
        self.addCleanup(self.dns.close)
        self.looker = validation.Looker({"resolver": self.dns.address})

    def auth(self, value="v", kind="TXT"):
        return {"DvAuthKey": "_d.x.test", "DvAuthValue": value, "DvAuthDomain": "x.test", "DvAuthVerifyType": kind}

    def test_txt_rows(self):
        rows = [((), "v", -1), (("w",), "v", -2), (("w", "v"), "v", 1), (("v ",), "v", -2), (("V",), "v", -2),
                (("x" * 300,), "x" * 300, 1)]
        for published, want, local in rows:
            with self.subTest(published=published):
                self.dns.table.clear()
                if published:
                    self.dns.txt("_d.x.test", *published)
                self.assertEqual(self.looker.look(self.auth(want)).local, local)

    def test_every_server_that_answers_must_show_the_value(self):
        rows = [([b"v"], [b"v"], None, 1), ([b"v"], [], None, -1), ([b"v"], [b"w"], None, -2), ([b"v"], [], "silent", 1),
                ([], [], "lame", -1)]
        for first, second, error, local in rows:
            with self.subTest(first=first, second=second, error=error):
                seen = [dns_client.Seen("a", 0, first), dns_client.Seen("b", 0, second, error)]
                self.looker.dns = unittest.mock.Mock(look=lambda *_: seen)
                self.assertEqual(self.looker.look(self.auth()).local, local)

    def test_no_server_that_answers_is_told_apart(self):
        self.looker.dns = unittest.mock.Mock(look=lambda *_: [dns_client.Seen("a", None, [], "silent")])
        self.assertEqual(self.looker.look(self.auth()).local, -3)

    def test_aliases_are_followed_for_txt_and_loops_end(self):
        self.dns.cname("_d.x.test", "elsewhere.test")
        self.dns.txt("elsewhere.test", "v")
        self.assertEqual(self.looker.look(self.auth()).local, 1)
        self.dns.cname("elsewhere.test", "_d.x.test")
        del self.dns.table[("elsewhere.test", 16)]
        self.assertEqual(self.looker.look(self.auth()).local, -1)

    def test_truncation_goes_to_tcp(self):
        self.dns.txt("_d.x.test", "v")
        self.dns.truncate = True
        self.assertEqual(self.looker.look(self.auth()).local, 1)
        self.assertEqual([udp for *_, udp in self.dns.asked], [True, False])

    def test_a_failing_resolver_is_no_permission(self):
        self.dns.rcode = 2
        self.assertEqual(self.looker.look(self.auth()).local, -1)
        self.assertEqual(self.looker.caa_forbids(["x.test"]), "x.test")

    def test_caa_rows(self):
        rows = [([], ["x.test", "*.x.test"], None), ([("x.test", "issue", ";")], ["x.test"], "x.test"),
                ([("x.test", "issue", "sectigo.com")], ["a.x.test"], None),
                ([("x.test", "issuewild", ";")], ["x.test"], None),
                ([("x.test", "issuewild", ";")], ["*.x.test"], "*.x.test"),
                ([("x.test", "iodef", "mailto:a@x.test")], ["x.test"], None)]
        for records, names, want in rows:
            with self.subTest(records=records, names=names):
                self.dns.table.clear()
                for record in records:
                    self.dns.caa(*record)
                self.assertEqual(self.looker.caa_forbids(names), want)

    def test_hostile_messages_raise_and_do_not_hang(self):
        good = b"\0\0\x81\x80\0\1\0\1\0\0\0\0\1x\0\0\x10\0\1"
        for data in (b"", good[:5], good + b"\xc0\x30", good + b"\xc0\x0c",
                     good + b"\xc0\x13\0\x10\0\1\0\0\0\0\xff\xff", b"\xff" * 100):
            with self.subTest(data=data):
                with self.assertRaises(dns_client.DnsError):
                    dns_client.Answer(data)

    def test_silence_ends(self):
        import socket
        quiet = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        quiet.bind(("127.0.0.1", 0))
        self.addCleanup(quiet.close)
        with self.assertRaises(dns_client.DnsError):
            dns_client.query("127.0.0.1:%d" % quiet.getsockname()[1], "x.test", "TXT", timeout=0.05)


class Parallel(DoubleCase):
    def test_two_at_once_make_one_order(self):
        request = {"CertificateId": "free0001", "ValidType": "DNS", "CsrType": "upload", "CsrContent": csr(NAMES)}
        found = []
        threads = [threading.Thread(target=lambda: found.append("Error" in self.raw("ReplaceCertificate", request)[2]))
                   for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(found), [False, True, True, True])
        eventually(lambda: len([x for x in self.ledger() if x["action"] == "ReplaceCertificate"]) == 4)


if __name__ == "__main__":
    unittest.main()
