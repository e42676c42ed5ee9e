"""R1 to R18: each rule refuses what it must and nothing else."""

import unittest

import auths
from hierarchy import make_csr
from products import DV, EV, OV, Product, primary_domain
from testing import DoubleCase, certificate, csr, eventually, key_file

NAMES = ["www.example.test", "example.test"]
STATUS_CODE = "FailedOperation.InvalidCertificateStatusCode"
REPLACE_FAILED, REPLACED = "FailedOperation.OrderReplaceFailed", "FailedOperation.OrderAlreadyReplaced"


class Eligibility(DoubleCase):
    def certificates(self):
        return [certificate("free0001", NAMES), certificate("upload01", ["up.test"], **{"from": "upload"}),
                certificate("status05", ["five.test"], status=5),
                certificate("endsoon1", ["soon.test"], not_after="+30d"),
                certificate("endlater", ["later.test"], not_after="+31d"),
                certificate("paid0001", ["a.paid.test"], "12", "ec-p256"),
                certificate("sibling1", ["b.paid.test"], "11"), certificate("stranger", ["c.other.test"], "11"),
                certificate("usedfree", ["used.test"], replaced_for="gonegone"),
                certificate("reissue1", ["re.test"], replaced_by="gonegone"),
                certificate("expired1", ["exp.test"], not_before="-90d", not_after="-1d")]

    def refusal(self, public_id, **more):
        names = self.double.state.find(public_id)["names"]
        key = self.double.state.find(public_id)["key_type"]
        return self.code("ReplaceCertificate", {"CertificateId": public_id, "ValidType": "DNS", "CsrType": "upload",
                                                "CsrContent": csr(names, key), **more})

    def test_r1_r2_r3_table(self):
        for public_id, want in (("upload01", "FailedOperation.InvalidCertificateSource"), ("status05", STATUS_CODE),
                                ("expired1", STATUS_CODE),
                                ("endsoon1", REPLACE_FAILED), ("usedfree", REPLACED), ("reissue1", REPLACED)):
            with self.subTest(certificate=public_id):
                self.assertEqual(self.refusal(public_id), want)
        self.replace("endlater")

    def test_r2_holds_at_exactly_thirty_days_by_the_servers_clock(self):
        entry, state = self.double.state.find("free0001"), self.double.state
        state.now = lambda: entry["cert"]["not_after"] - 30 * 86400
        with self.assertRaisesRegex(Exception, "R2"):
            self.double.server.RequestHandlerClass.front.service.judge.replace(entry, {"ValidType": "DNS"})
        state.now = lambda: entry["cert"]["not_after"] - 30 * 86400 - 1
        self.double.server.RequestHandlerClass.front.service.judge.replace(entry, {"ValidType": "DNS"})

    def test_r4_a_sibling_waits_a_stranger_does_not(self):
        self.replace("paid0001")
        self.assertEqual(self.refusal("sibling1"), REPLACE_FAILED)
        self.replace("stranger")

    def test_r5_one_reissue_at_a_time(self):
        new = self.replace("paid0001")
        for eleven in ("original", "new", "neither"):
            self.control("variants", status_11=eleven)
            self.assertEqual((self.refusal("paid0001"), self.refusal(new)), (STATUS_CODE, STATUS_CODE), eleven)

    def test_a_cancelled_reissue_frees_the_original_unless_told_otherwise(self):
        new = self.replace()
        self.assertTrue(self.call("CancelAuditCertificate", CertificateId=new)["Result"])
        self.wait_status(new, 7)
        self.control("variants", cancel_frees_r3=False)
        self.assertEqual(self.refusal("free0001"), REPLACED)
        self.control("variants", cancel_frees_r3=True)
        self.replace()

    def test_a_paid_certificate_is_reissued_by_its_newest_id(self):
        new = self.replace("stranger")
        self.publish(new)
        self.wait_status(new, 1)
        self.assertEqual(self.refusal("stranger"), REPLACED)
        self.replace(new)


class CsrAndMethod(DoubleCase):
    def certificates(self):
        return [certificate("free0001", NAMES), certificate("filefree", ["file.test"], method="FILE"),
                certificate("wildpaid", ["*.wild.test"], "12", "ec-p256"),
                certificate("sm2paid1", ["sm.test"], "33", "sm2"),
                certificate("dnspod01", ["pod.test"], "11", dnspod=True), certificate("paid0001", ["paid.test"], "11")]

    def test_r13_r14_r16_table(self):
        mine = csr(NAMES)
        cases = [
            ("free0001", {"CsrType": "upload"}, "MissingParameter"),
            ("free0001", {"CsrType": "original", "CsrContent": mine}, "InvalidParameter"),
            ("free0001", {"CsrType": "upload", "CsrContent": mine, "CertCSREncryptAlgo": "RSA"}, "InvalidParameter"),
            ("free0001", {"CsrType": "upload", "CsrContent": "nonsense"}, "FailedOperation.CertificateInvalid"),
            ("free0001", {"CsrType": "upload", "CsrContent": mine.replace("\n", "\\n")},
             "FailedOperation.CertificateInvalid"),
            ("free0001", {"CsrType": "upload", "CsrContent": csr(["example.test", "www.example.test"])},
             "FailedOperation.CertificateMismatch"),
            ("free0001", {"CsrType": "upload", "CsrContent": csr(["www.example.test"])},
             "FailedOperation.CertificateMismatch"),
            ("free0001", {"CsrType": "upload", "CsrContent": csr([*NAMES, "x.example.test"])},
             "FailedOperation.CertificateMismatch"),
            ("free0001", {"CsrType": "upload", "CsrContent": csr(NAMES, "ec-p256")},
             "InvalidParameter.RenewAlgorithmInvalid"),
            ("free0001", {"CsrType": "online", "CertCSREncryptAlgo": "RSA", "CertCSRKeyParameter": "4096"},
             "InvalidParameter.RenewAlgorithmInvalid"),
            ("free0001", {"CsrType": "online", "CertCSREncryptAlgo": "RSA", "CertCSRKeyParameter": "prime256v1"},
             "InvalidParameter.RenewAlgorithmInvalid"),
            ("paid0001", {"CsrType": "upload", "CsrContent": csr(["paid.test"], "rsa-3072")},
             "InvalidParameter.RenewAlgorithmInvalid"),
            ("paid0001", {"CsrType": "upload", "CsrContent": csr(["paid.test"], "sm2")},
             "InvalidParameter.RenewAlgorithmInvalid"),
            ("sm2paid1", {"CsrType": "upload", "CsrContent": csr(["sm.test"], "ec-p256")},
             "InvalidParameter.RenewAlgorithmInvalid"),
            ("wildpaid", {"ValidType": "FILE", "CsrType": "original"}, "InvalidParameterValue"),
            ("paid0001", {"ValidType": "DNS_AUTO", "CsrType": "original"}, "InvalidParameterValue"),
        ]
        for public_id, more, want in cases:
            with self.subTest(certificate=public_id, more={k: v[:30] for k, v in more.items()}):
                self.assertEqual(self.code("ReplaceCertificate",
                                           {"CertificateId": public_id, "ValidType": "DNS", **more}), want)

    def test_a_csr_with_a_broken_signature_is_refused(self):
        pem = csr(NAMES)
        lines = pem.strip().split("\n")
        lines[-2] = ("B" if lines[-2][0] != "B" else "C") + lines[-2][1:]
        self.assertEqual(self.code("ReplaceCertificate",
                                   {"CertificateId": "free0001", "ValidType": "DNS", "CsrType": "upload",
                                                          "CsrContent": "\n".join(lines) + "\n"}),
                         "FailedOperation.CertificateInvalid")

    def test_r16_a_free_certificate_keeps_its_first_method(self):
        new = self.replace("filefree")
        shown = self.call("DescribeCertificate", CertificateId=new)
        self.assertEqual(shown["VerifyType"], "FILE")
        self.assertEqual({a["DvAuthVerifyType"] for a in shown["DvAuthDetail"]["DvAuths"]}, {"FILE"})

    def test_dns_auto_on_dnspod_goes_through_by_itself(self):
        new = self.call("ReplaceCertificate", CertificateId="dnspod01", ValidType="DNS_AUTO",
                        CsrType="online")["CertificateId"]
        self.wait_status(new, 1)

    def test_an_sm2_csr_is_taken_for_an_sm2_product(self):
        new = self.replace("sm2paid1")
        self.assertTrue(self.call("DescribeCertificate", CertificateId=new)["DvAuthDetail"]["DvAuths"])


class Waivers(DoubleCase):
    def certificates(self):
        old = {"not_before": "-60d"}
        return [certificate("ov_wotru", ["ov.test"], "28", **old), certificate("paiddv01", ["dv.test"], "11", **old),
                certificate("ov_wotr2", ["ov2.test"], "28", **old), certificate("paiddv02", ["dv2.test"], "11", **old),
                certificate("free0001", ["fr.test"], **old), certificate("ov_geotr", ["geo.test"], "9", **old),
                certificate("youngdv1", ["young.test"], "11", not_before="-2d"),
                certificate("youngfre", ["yf.test"], not_before="-2d"),
                certificate("known_ov", ["known.test"], "28", approved_before=True, **old),
                certificate("waived01", ["waived.test"], "11", dcv_waived=True, **old)]

    def test_r7_r8_r17_who_needs_validation(self):
        rows = [("ov_wotru", "original", False), ("ov_wotr2", "upload", True), ("paiddv01", "original", False),
                ("paiddv02", "upload", True),
                ("free0001", "original", True), ("ov_geotr", "original", True), ("youngdv1", "upload", False),
                ("youngfre", "upload", True),
                ("waived01", "upload", False)]
        for public_id, how, wanted in rows:
            with self.subTest(certificate=public_id, how=how):
                new = self.replace(public_id, CsrType=how)
                self.assertEqual(bool(self.double.state.find(new)["dv_auths"]), wanted)
                if public_id == "free0001":
                    self.assertIn("_dnsauth.fr.test", [a["DvAuthKey"] for a in self.double.state.find(new)["dv_auths"]])

    def test_r7_an_uploaded_csr_equal_to_the_originals_counts(self):
        new = self.replace("paiddv01", CsrContent=self.double.state.find("paiddv01")["csr"])
        self.wait_status(new, 1)

    def test_r10_people_approve_after_validation(self):
        new = self.replace("ov_wotru")
        self.publish(new)
        eventually(lambda: self.call("DescribeCertificate", CertificateId=new)["StatusMsg"] == "LEGAL-REVIEWING",
                   what="the review")
        self.assertEqual(self.status(new), 0)
        self.control("approve", id=new)
        self.wait_status(new, 1)

    def test_r10_holds_where_validation_is_waived(self):
        new = self.replace("ov_wotru", CsrType="original")
        self.assertEqual(self.call("DescribeCertificate", CertificateId=new)["StatusMsg"], "LEGAL-REVIEWING")

    def test_r11_a_company_known_and_unchanged_is_not_reviewed(self):
        new = self.replace("known_ov", CsrType="original")
        self.wait_status(new, 1)

    def test_r18_three_days_without_validation_fail_the_order(self):
        new = self.replace("free0001")
        self.control("age", id=new, seconds=3 * 86400 - 60)
        self.assertEqual(self.status(new), 0)
        self.control("age", id=new, seconds=120)
        self.wait_status(new, 2)

    def test_r6_the_end_date_stays(self):
        new = self.replace("paiddv01", CsrType="original")
        self.wait_status(new, 1)
        read = lambda i: self.call("DescribeCertificateDetail", CertificateId=i)
        self.assertEqual(read(new)["CertEndTime"], read("paiddv01")["CertEndTime"])
        self.assertGreater(read(new)["CertBeginTime"], read("paiddv01")["CertBeginTime"])


class Products(unittest.TestCase):
    def test_classes_and_brands(self):
        rows = [("83", "DV", "TrustAsia", True, False), ("12", "DV", "TrustAsia", False, False),
                ("28", "OV", "Wotrus", False, False),
                ("40", "EV", "Wotrus", False, True), ("51", "OV", "DNSPod", False, True),
                ("9", "OV", "GeoTrust", False, False)]
        for number, kind, brand, free, sm2 in rows:
            p = Product(number)
            self.assertEqual((p.kind, p.brand, p.free, p.sm2), (kind, brand, free, sm2), number)

    def test_no_number_is_in_two_classes(self):
        numbers = (DV + " " + OV + " " + EV).split()
        self.assertEqual(len(numbers), len(set(numbers)))

    def test_primary_domains_and_companions(self):
        for name, want in (("www.example.com", "example.com"), ("*.example.com", "example.com"),
                           ("a.b.co.uk", "b.co.uk"),
                           ("a.b.example.test", "example.test"), ("example.test", "example.test")):
            self.assertEqual(primary_domain(name), want, name)
        for name, want in (("example.com", ["example.com", "www.example.com"]),
                           ("www.a.example.com", ["www.a.example.com", "a.example.com"]),
                           ("a.example.com", ["a.example.com"])):
            self.assertEqual(auths.companions(name), want, name)

    def test_dv_auths_of_each_kind(self):
        txt = auths.make(["www.example.com", "*.www.example.com"], "DNS", Product("83"), 1700000000)
        self.assertEqual([(a["DvAuthKey"], a["DvAuthSubDomain"], a["DvAuthVerifyType"]) for a in txt],
                         [("_dnsauth.www.example.com", "_dnsauth.www", "TXT")])
        self.assertTrue(txt[0]["DvAuthValue"].startswith("20231115"))
        cname = auths.make(["example.com"], "DNS", Product("43"), 0)[0]
        self.assertEqual(cname["DvAuthVerifyType"], "CNAME")
        self.assertRegex(cname["DvAuthValue"], r"trust-provider\.com$")
        file = auths.make(["a.example.com", "b.example.com"], "FILE", Product("83"), 0)
        self.assertEqual({(a["DvAuthKey"], a["DvAuthPath"], a["DvAuthValue"]) for a in file},
                         {("fileauth.txt", "/.well-known/pki-validation/", file[0]["DvAuthValue"])})


class TheOriginalsOwnCsr(DoubleCase):
    def test_key_file_is_the_certificates_key(self):
        self.assertEqual(self.double.state.find("free0001")["csr"].split("\n")[0],
                         "-----BEGIN CERTIFICATE REQUEST-----")
        self.assertEqual(make_csr(key_file("rsa-2048"), "rsa-2048", NAMES, NAMES[0]),
                         self.double.state.find("free0001")["csr"])


if __name__ == "__main__":
    unittest.main()
