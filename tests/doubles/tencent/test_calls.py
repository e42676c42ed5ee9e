"""The calls over HTTP: envelope, strictness, reads, paging, a whole reissue, revocation, ends."""

import base64
import email.utils
import io
import json
import socket
import ssl
import subprocess
import unittest
import zipfile

import client
import parameters
import tc3
from double import Double
from testing import CREDENTIAL, DoubleCase, certificate, csr, eventually
from when import from_gmt8, gmt8

NAMES = ["www.example.test", "example.test"]


class Strictness(DoubleCase):
    def scenario(self):
        return {"credentials": [{"secret_id": "AKIDEXAMPLE0000000000000000000000001",
                                 "secret_key": "ExampleSecretKey00000000000000001"},
                                {"secret_id": "AKIDREADONLY", "secret_key": "k", "actions": ["DescribeCertificates"]}]}

    def test_refused_requests(self):
        rows = [
            ("DescribeCertificate", {}, "MissingParameter"),
            ("DescribeCertificate", {"CertificateId": 5}, "InvalidParameter"),
            ("DescribeCertificate", {"CertificateId": None}, "InvalidParameter"),
            ("DescribeCertificate", {"CertificateId": ""}, "InvalidParameterValue"),
            ("DescribeCertificate", {"certificateId": "x"}, "UnknownParameter"),
            ("DescribeCertificate", {"CertificateId": "free0001", "Extra": 1}, "UnknownParameter"),
            ("DescribeCertificate", {"CertificateId": "FREE0001"}, "FailedOperation.CertificateNotFound"),
            ("DescribeCertificates", {"Limit": "10"}, "InvalidParameter"),
            ("DescribeCertificates", {"Limit": True}, "InvalidParameter"),
            ("DescribeCertificates", {"Offset": -1}, "InvalidParameterValue"),
            ("DescribeCertificates", {"Upload": 2}, "InvalidParameterValue"),
            ("DescribeCertificates", {"CertIds": "x"}, "InvalidParameter"),
            ("DescribeCertificates", {"CertificateStatus": ["1"]}, "InvalidParameter"),
            ("DescribeCertificates", {"Tags": [{"Key": "x"}]}, "InvalidParameter"),
            ("ReplaceCertificate", {"CertificateId": "free0001"}, "MissingParameter"),
            ("ReplaceCertificate", {"CertificateId": "free0001", "ValidType": "TXT"}, "InvalidParameterValue"),
            ("ReplaceCertificate", {"CertificateId": "free0001", "ValidType": "dns"}, "InvalidParameterValue"),
            ("ReplaceCertificate", {"CertificateId": "free0001", "ValidType": "DNS", "CsrType": "mine"},
             "InvalidParameterValue"),
            ("ReplaceCertificate", {"CertificateId": "free0001", "ValidType": "DNS", "CsrKeyPassword": "x"},
             "UnknownParameter"),
            ("ReplaceCertificate", {"CertificateId": "free0001", "ValidType": "DNS", "UseCrossSignRoot": "true"},
             "InvalidParameter"),
            ("DescribeCertificateOperateLogs", {"Limit": 1001}, "InvalidParameterValue"),
            ("DescribeCertificateOperateLogs", {"StartTime": "yesterday"}, "InvalidParameterValue"),
            ("ApplyCertificate", {}, "InvalidAction"), ("describeCertificates", {}, "InvalidAction"),
            ("__init__", {}, "InvalidAction"),
        ]
        for action, given, want in rows:
            with self.subTest(action=action, given=given):
                self.assertEqual(self.code(action, given), want)
        self.assertEqual(self.call("DescribeCertificateDetail", CertificateId="free0001")["Status"], 1,
                         "nothing was changed by refusals")

    def test_bodies_that_are_no_object(self):
        for body in (b"", b"[]", b"null", b"{", b'{"Limit":1,"Limit":2}', b'{"Limit":NaN}', b"\xff\xfe", b"[" * 100000):
            with self.subTest(body=body[:20]):
                self.assertEqual(self.code("DescribeCertificates", body=body), "InvalidParameter")

    def test_versions_headers_and_methods(self):
        self.assertEqual(self.code("DescribeCertificates", version="2021-03-23"), "NoSuchVersion")
        self.assertEqual(self.code("DescribeCertificates", headers={"X-TC-Language": "fr"}), "InvalidParameter")
        self.assertEqual(self.code("DescribeCertificates", headers={"X-TC-RequestClient": "a/b"}), "InvalidParameter")
        status, headers, response, _ = self.raw("DescribeCertificates",
                                                headers={"X-TC-Language": "en-US", "X-TC-TraceId": "trace-1"})
        self.assertEqual((status, headers["X-TC-TraceId"], "Error" in response), (200, "trace-1", False))
        self.assertIn("RequestId", response)

    def test_a_skewed_timestamp_is_refused_with_a_date(self):
        self.control("clock", skew_s=4000)
        before = self.double.state.now()
        status, headers, response, _ = self.raw("DescribeCertificates")
        self.assertEqual((status, response["Error"]["Code"]), (200, "AuthFailure.SignatureExpire"))
        server = self.double.state.now()
        date = email.utils.parsedate_to_datetime(headers["Date"]).timestamp()
        self.assertTrue(before - 1 <= date <= server, (before, date, server))
        self.assertNotIn("Error", self.raw("DescribeCertificates", timestamp=server)[2])

    def test_an_account_without_the_right(self):
        read_only = {"secret_id": "AKIDREADONLY", "secret_key": "k"}
        self.assertNotIn("Error", client.call(self.double.address, read_only, "DescribeCertificates")[2])
        refused = client.call(self.double.address, read_only, "ReplaceCertificate",
                              {"CertificateId": "free0001", "ValidType": "DNS"})[2]
        self.assertEqual(refused["Error"]["Code"], "AuthFailure.UnauthorizedOperation")

    def test_every_action_of_the_table_exists(self):
        service = self.double.server.RequestHandlerClass.front.service
        for action in parameters.ACTIONS:
            self.assertTrue(callable(getattr(service, "_" + action)), action)


class Throttled(DoubleCase):
    def scenario(self):
        return {"rate_limit": 10, "check_spacing_s": 600}

    def test_ten_a_second_of_one_action(self):
        now = [1000.0]  # its own clock: a slow machine makes no ten calls a second
        self.double.server.RequestHandlerClass.front.throttle.clock = lambda: now[0]
        codes = [self.raw("DescribeCertificates")[2].get("Error") for _ in range(11)]
        now[0] += 1
        codes.append(self.raw("DescribeCertificates")[2].get("Error"))
        self.assertEqual(codes[:10] + codes[11:], [None] * 11)
        self.assertEqual(codes[10]["Code"], "RequestLimitExceeded")
        self.assertNotIn("Error", self.raw("DescribeCertificate", {"CertificateId": "free0001"})[2],
                         "another action is counted by itself")

    def test_asking_too_often_about_validation_says_frequently(self):
        new = self.replace()
        first = self.call("CheckCertificateDomainVerification", CertificateId=new)["VerificationResults"]
        again = self.call("CheckCertificateDomainVerification", CertificateId=new)["VerificationResults"]
        self.assertEqual([r["Frequently"] for r in first], [False, False])
        self.assertEqual([(r["Frequently"], r["LocalCheck"]) for r in again], [(True, -1), (True, -1)])


class Reads(DoubleCase):
    def certificates(self):
        return [certificate(f"list{i:04d}", [f"n{i}.list{i}.test"], "11", not_after=f"+{100 + i}d",
                            insert_time=f"-{i + 1}h") for i in range(12)] + [
            certificate("uploaded", ["up.test"], insert_time="-90d", **{"from": "upload"})]

    def ids(self, **given):
        return [c["CertificateId"] for c in self.call("DescribeCertificates", **given)["Certificates"]]

    def test_paging_order_and_filters(self):
        self.assertEqual(self.call("DescribeCertificates")["TotalCount"], 13)
        self.assertEqual(self.ids(), [f"list{i:04d}" for i in range(10)])
        self.assertEqual(self.ids(Offset=10), ["list0010", "list0011", "uploaded"])
        self.assertEqual(self.ids(Offset=13), [])
        self.assertEqual(self.ids(ExpirationSort="ASC", Limit=1, FilterSource="buy"), ["list0000"])
        self.assertEqual(self.ids(ExpirationSort="DESC", Limit=1), ["uploaded"])
        self.assertEqual(self.ids(SearchKey="N7.LIST"), ["list0007"])
        self.assertEqual(self.ids(CertIds=["list0003", "nonesuch"]), ["list0003"])
        self.assertEqual(self.ids(Upload=1), ["uploaded"])
        self.assertEqual(self.ids(CertificateStatus=[0, 11]), [])
        self.control("set", id="list0004", status=12)
        self.assertEqual(self.ids(CertificateStatus=[12]), ["list0004"])

    def test_times_are_gmt8_and_names_differ_by_call(self):
        begin = self.double.state.find("list0000")["cert"]["not_before"]
        detail = self.call("DescribeCertificateDetail", CertificateId="list0000")
        self.assertEqual(from_gmt8(detail["CertBeginTime"]), begin)
        self.assertEqual(gmt8(0), "1970-01-01 08:00:00")
        self.assertEqual(detail["SubjectAltName"], [])
        self.assertEqual(self.call("DescribeCertificate", CertificateId="list0000")["SubjectAltName"],
                         ["n0.list0.test"])
        self.assertIsNone(self.call("DescribeCertificateDetail", CertificateId="uploaded")["PackageType"])

    def test_the_chain_verifies_against_the_root(self):
        detail = self.call("DescribeCertificateDetail", CertificateId="list0000")
        path = self.folder + "/full.pem"
        with open(path, "w", encoding="ascii") as f:
            f.write(detail["CertificatePublicKey"])
        done = subprocess.run(["openssl", "verify", "-CAfile", self.folder + "/root.pem", "-untrusted", path, path],
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_download_holds_chain_csr_and_a_key_made_by_the_service(self):
        reply = self.call("DownloadCertificate", CertificateId="list0000")
        members = zipfile.ZipFile(io.BytesIO(base64.b64decode(reply["Content"]))).namelist()
        self.assertEqual(sorted(n.rpartition(".")[2] for n in members), ["crt", "csr", "key", "pem"])
        self.control("set", id="list0000", status=5)
        self.assertEqual(self.code("DownloadCertificate", {"CertificateId": "list0000"}),
                         "FailedOperation.InvalidCertificateStatusCode")

    def test_the_log_tells_the_issue(self):
        log = self.call("DescribeCertificateOperateLogs", StartTime="1990-01-01 00:00:00", Limit=1000)
        self.assertEqual({(line["CertId"], line["Type"]) for line in log["OperateLogs"]} >= {("list0000", "issued")},
                         True)


class Reissue(DoubleCase):
    def certificates(self):
        return [certificate("free0001", NAMES), certificate("cname001", ["pod.test"], "48"),
                certificate("filedv01", ["file.test"], "11", method="FILE")]

    def test_from_order_to_certificate(self):
        request = csr(NAMES)
        new = self.replace(CsrContent=request, Reason="key compromised")
        self.assertNotEqual(new, "free0001")
        original, order = (self.call("DescribeCertificate", CertificateId=i) for i in ("free0001", new))
        self.assertEqual((original["Status"], order["Status"], order["StatusMsg"]), (11, 0, "PENDING-DCV"))
        self.assertEqual(original["CertificateExtra"]["ReplacedFor"], new)
        self.assertEqual(order["CertificateExtra"]["ReplacedBy"], "free0001")
        self.assertIsNone(order["CertBeginTime"])
        detail = order["DvAuthDetail"]
        self.assertEqual([a["DvAuthKey"] for a in detail["DvAuths"]],
                         ["_dnsauth.www.example.test", "_dnsauth.example.test"])
        self.assertNotEqual(detail["DvAuthDomain"], detail["DvAuths"][0]["DvAuthDomain"], "the single field is masked")
        check = self.call("CheckCertificateDomainVerification", CertificateId=new)["VerificationResults"]
        self.assertEqual([(r["LocalCheck"], r["CaCheck"], r["Issued"]) for r in check], [(-1, -1, False)] * 2)
        self.dns.txt("_dnsauth.www.example.test", detail["DvAuths"][0]["DvAuthValue"])
        self.dns.txt("_dnsauth.example.test", "something else")
        check = self.call("CheckCertificateDomainVerification", CertificateId=new)["VerificationResults"]
        self.assertEqual([r["LocalCheck"] for r in check], [1, -2])
        self.assertEqual(check[1]["CheckValue"], ["something else"])
        self.assertEqual(self.status(new), 0)
        self.publish(new)
        self.assertEqual(self.call("CompleteCertificate", CertificateId=new)["CertificateId"], new)
        self.wait_status(new, 1)
        self.assertEqual(self.status("free0001"), 1)
        issued = self.call("DescribeCertificateDetail", CertificateId=new)
        self.assertIsNone(issued["CertificatePrivateKey"])
        self.assertIsNone(issued["DvAuthDetail"]["DvAuths"])
        self.assertEqual(issued["CertEndTime"], original["CertEndTime"])
        key = lambda command, pem: subprocess.run(["openssl", command, "-noout", "-pubkey"], input=pem.encode(),
                                                  capture_output=True, check=True).stdout
        self.assertEqual(key("x509", issued["CertificatePublicKey"]), key("req", request))
        self.assertEqual(self.code("CompleteCertificate", {"CertificateId": new}),
                         "FailedOperation.CertificateNotFoundOrAudited")
        calls = [line for line in self.ledger() if line["action"] == "ReplaceCertificate"]
        self.assertEqual([(c["outcome"], c["certificate_id"], c["parameters"]["CsrContent"]) for c in calls],
                         [("ok", new, request)])

    def test_cname_products_take_no_trigger_and_scan_by_themselves(self):
        new = self.replace("cname001")
        self.assertEqual(self.code("CompleteCertificate", {"CertificateId": new}),
                         "FailedOperation.CertificateNotFoundOrAudited")
        auth = self.call("DescribeCertificate", CertificateId=new)["DvAuthDetail"]["DvAuths"][0]
        self.dns.cname(auth["DvAuthKey"], "wrong.target.test")
        eventually(lambda: self.events("look") and self.events("look")[-1]["local"] == -7,
                   what="a mismatch seen by the worker")
        self.dns.cname(auth["DvAuthKey"].lower(), auth["DvAuthValue"].upper() + ".")
        self.wait_status(new, 1)

    def test_a_file_stands_on_the_companion_too(self):
        new = self.call("ReplaceCertificate", CertificateId="filedv01", ValidType="FILE", CsrType="upload",
                        CsrContent=csr(["file.test"]))["CertificateId"]
        auth = self.call("DescribeCertificate", CertificateId=new)["DvAuthDetail"]["DvAuths"][0]
        path = auth["DvAuthPath"] + auth["DvAuthKey"]
        for host in ("file.test", "www.file.test"):
            self.dns.a(host, "127.0.0.1")
        look = lambda: self.call("CheckCertificateDomainVerification",
                                 CertificateId=new)["VerificationResults"][0]["LocalCheck"]
        self.assertEqual(look(), -4)
        self.web.pages[("file.test", path)] = (200, auth["DvAuthValue"])
        self.web.pages[("www.file.test", path)] = (302, f"http://file.test{path}")
        self.assertEqual(look(), -4, "a redirect is not followed")
        self.web.pages[("www.file.test", path)] = (200, auth["DvAuthValue"] + "x")
        self.assertEqual(look(), -5)
        self.web.pages[("www.file.test", path)] = (200, auth["DvAuthValue"] + "\n")
        self.wait_status(new, 1)

    def test_caa_that_names_another_ca_forbids(self):
        self.dns.caa("example.test", "issue", "other.test")
        new = self.replace()
        self.publish(new)
        eventually(lambda: self.events("caa-forbids"), what="the CAA refusal")
        self.assertEqual(self.status(new), 0)
        self.dns.caa("example.test", "issue", "TrustAsia.com; account=1")
        self.wait_status(new, 1)

    def test_cancel_resubmit_and_unknown_states(self):
        new = self.replace("cname001")
        self.assertEqual(self.call("CancelCertificateOrder", CertificateId=new)["CertificateId"], new)
        self.wait_status(new, 7)
        self.assertEqual(self.status("cname001"), 1)
        self.assertEqual(self.code("CancelCertificateOrder", {"CertificateId": new}),
                         "FailedOperation.InvalidCertificateStatusCode")
        self.assertEqual(self.code("CancelAuditCertificate", {"CertificateId": new}),
                         "FailedOperation.CertificateNotFoundOrCantCancel")
        self.call("ModifyCertificateResubmit", CertificateId=new)
        self.assertEqual(self.status(new), 0)
        free = self.replace()
        self.control("reject", id=free, reason="审核失败")
        self.assertEqual(self.call("DescribeCertificate", CertificateId=free)["StatusMsg"], "审核失败")
        self.assertEqual(self.code("ModifyCertificateResubmit", {"CertificateId": free}),
                         "FailedOperation.CertificateStatusNotAllowResubmit")


class Revocation(DoubleCase):
    def certificates(self):
        return [certificate("free0001", NAMES), certificate("ovgeo001", ["ov.test"], "9"),
                certificate("wotrus01", ["w.test"], "25"),
                certificate("upload01", ["up.test"], **{"from": "upload"}),
                certificate("endsoon1", ["s.test"], "11", not_after="+29d"),
                certificate("again001", ["again.test"], "11", replaced_by="gonegone")]

    def test_dv_by_records_and_the_reissue_goes_with_its_original(self):
        new = self.replace()
        self.publish(new)
        self.wait_status(new, 1)
        self.assertEqual(self.code("RevokeCertificate", {"CertificateId": new}), "FailedOperation.RevokeFailed")
        asked = self.call("RevokeCertificate", CertificateId="free0001",
                          Reason="compromised")["RevokeDomainValidateAuths"]
        self.assertEqual([a["DomainValidateAuthPath"] for a in asked], ["", ""])
        shown = self.call("DescribeCertificate", CertificateId="free0001")
        self.assertEqual((shown["Status"], shown["DvRevokeAuthDetail"][0]["DvAuthVerifyType"]), (9, "TXT"))
        for auth in asked:
            self.dns.txt(auth["DomainValidateAuthKey"], auth["DomainValidateAuthValue"])
        self.wait_status("free0001", 10)
        self.wait_status(new, 10)

    def test_revocation_that_is_not_proven_returns_to_issued(self):
        self.call("RevokeCertificate", CertificateId="free0001")
        self.control("age", id="free0001", seconds=3 * 86400 + 1)
        self.wait_status("free0001", 1)

    def test_letters_people_and_refusals(self):
        self.assertIsNone(self.call("RevokeCertificate", CertificateId="ovgeo001")["RevokeDomainValidateAuths"])
        self.assertEqual(self.status("ovgeo001"), 12)
        self.control("letter", id="ovgeo001")
        self.assertEqual(self.status("ovgeo001"), 9)
        self.control("approve", id="ovgeo001")
        self.assertEqual(self.status("ovgeo001"), 10)
        self.assertEqual(self.code("RevokeCertificate", {"CertificateId": "wotrus01"}), "FailedOperation.RevokeFailed",
                         "a reason is wanted")
        self.call("RevokeCertificate", CertificateId="wotrus01", Reason="compromised")
        self.assertEqual(self.status("wotrus01"), 9)
        for public_id, want in (("upload01", "InvalidCertificateSource"), ("endsoon1", "RevokeFailed"),
                                ("again001", "RevokeFailed"),
                                ("wotrus01", "InvalidCertificateStatusCode")):
            self.assertEqual(self.code("RevokeCertificate", {"CertificateId": public_id}), "FailedOperation." + want,
                             public_id)


class OverTls(DoubleCase):
    def test_a_double_with_a_certificate_answers_over_tls(self):
        folder = self.folder + "/certs/free0001/"
        tls = (folder + "fullchain.pem", folder + "privkey.pem")
        secured = Double("127.0.0.1:0", self.folder, self.double.state.scenario, control="127.0.0.1:0", tls=tls)
        self.addCleanup(secured.stop)
        secured.start()
        context = ssl.create_default_context(cafile=self.folder + "/root.pem")
        body = b"{}"
        signed = tc3.sign(CREDENTIAL["secret_id"], CREDENTIAL["secret_key"], "www.example.test", body)
        signed.update({"X-TC-Action": "DescribeCertificates", "X-TC-Version": "2019-12-05"})
        plain = socket.create_connection(secured.server.server_address)
        with context.wrap_socket(plain, server_hostname="www.example.test") as s:
            head = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
            s.sendall(f"POST / HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() +
                      body)
            reply = b""
            while part := s.recv(65536):
                reply += part
        self.assertEqual(json.loads(reply.partition(b"\r\n\r\n")[2])["Response"]["TotalCount"], 1)


class Restart(DoubleCase):
    def test_state_survives(self):
        new = self.replace()
        scenario = self.double.state.scenario
        again = Double("127.0.0.1:0", self.folder, scenario, control="127.0.0.1:0")
        self.addCleanup(again.stop)
        again.start()
        self.assertEqual(json.dumps(again.state.find(new)["dv_auths"]),
                         json.dumps(self.double.state.find(new)["dv_auths"]))


if __name__ == "__main__":
    unittest.main()
