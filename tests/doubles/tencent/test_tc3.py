"""The signature: every vector of the reference, and everything that must be refused."""

import unittest

import tc3
from errors import ApiError

ID, KEY = "AKIDEXAMPLE0000000000000000000000001", "ExampleSecretKey00000000000000001"
JSON = "application/json"
VECTORS = {
    "A": ("ssl.tencentcloudapi.com", "ssl", 1700000000, JSON,
          '{"CertificateId":"a1B2c3D4","ValidType":"DNS","CsrType":"online","Reason":"key compromised"}',
          "2399a858e61a9064fe71279a56735420c089138a7d40cb9c72b25800517419f6",
          "2bc962d6989f0b68e4da91b253e4b71cbeefe8357468c1681125d99bb2a3a25b",
          "5d305a3e8f4f7fa7ba22b7fabba9b8c1e317c892a126424d0c763a9b2d706dc3"),
    "B": ("ssl.tencentcloudapi.com", "ssl", 1700000000, JSON + "; charset=utf-8",
          '{"CertificateId":"a1B2c3D4","ValidType":"DNS_AUTO","Reason":"私钥泄露 — é 🔑"}',
          "fd93ad0db01492a05ea75c49dfa3ede54e91807baa078688b83c62d7b9fd6805",
          "712593add6dacdbeb506bc39dea9f926fc078569754fbcc7fa3affec0d200369",
          "c74bf84f3856c7ad6d83f713988a33ff8ec284e46220ccfdaac70c2f5653663c"),
    "C": ("ssl.tencentcloudapi.com", "ssl", 1704067199, JSON, "{}",
          "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
          "5487748653c0f4e0e7d3c99d30cdde60a06f312667f1d599fada7fb15816a1a6",
          "6ad5a5a2d64eddd085061aa2ea1fa9d0befa84a67f8ee5012db240af5448c73b"),
    "D": ("dnspod.tencentcloudapi.com", "dnspod", 1704067200, JSON,
          '{"Domain":"example.com","RecordLine":"默认","SubDomain":"_dnsauth","Value":"202311150613200001"}',
          "c14891fb90769a1c0147a6bb6f4a3658118dd4d1cbda2c724539c5668ec7acbb",
          "2acb887709124e06568b8445e12149ef0d088047f6afca0a1e249fce8a3d84ec",
          "4f4fd626de2b14332dd76ec99a430a18bb9c4b3e119f15f2d84894346cb10b57"),
    "E": ("ssl.intl.tencentcloudapi.com", "ssl", 1700000000, JSON, "{}",
          "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
          "7bd5a47e4bf2cd8f7702ef8412cb0468ac6ad528bef8c29e0a1342ab654041ac",
          "420caa2de59e148edf57a3950f938272208731874a99234dbb13649d9942feb2"),
}


def headers(**more):
    found = {name.lower(): value for name,
             value in tc3.sign(ID, KEY, "ssl.tencentcloudapi.com", b"{}", 1700000000).items()}
    found.update({"x-tc-action": "DescribeCertificates", "x-tc-version": "2019-12-05"})
    for name, value in more.items():
        found[name.replace("_", "-")] = value
    return {name: value for name, value in found.items() if value is not None}


class Vectors(unittest.TestCase):
    def test_every_vector_of_the_reference(self):
        for name, (host, service, at, kind, body, body_hash, canonical_hash, want) in VECTORS.items():
            with self.subTest(vector=name):
                raw, used = body.encode(), {"content-type": kind, "host": host}
                self.assertEqual(tc3.sha256_hex(raw), body_hash)
                canonical = tc3.canonical_request(used, ["content-type", "host"], raw)
                self.assertEqual(tc3.sha256_hex(canonical.encode()), canonical_hash)
                self.assertEqual(tc3.signature(KEY, str(at), service, used, ["content-type", "host"], raw), want)

    def test_the_keys_of_vector_a(self):
        self.assertEqual(tc3.signing_key(KEY, "2023-11-14", "ssl").hex(),
                         "f1b1fcca83d4854ae358a74e107e85f542e273fcbaac617d38fd9e0fcc8827cf")

    def test_every_vector_passes_the_verifier(self):
        for name, (host, service, at, kind, body, *_) in VECTORS.items():
            with self.subTest(vector=name):
                signed = {n.lower(): v for n, v in tc3.sign(ID, KEY, host, body.encode(), at, service, kind).items()}
                signed.update({"x-tc-action": "X", "x-tc-version": "V"})
                tc3.Verifier([{"secret_id": ID, "secret_key": KEY}], service).verify(signed, body.encode(), at)


class Refusals(unittest.TestCase):
    def judge(self, given, body=b"{}", now=1700000000, **how):
        credential = {"secret_id": ID, "secret_key": KEY, **how.pop("credential", {})}
        try:
            tc3.Verifier([credential], **how).verify(given, body, now)
        except ApiError as error:
            return error.code
        return "accepted"

    def test_table(self):
        good = headers()["authorization"]
        failure, expired = "AuthFailure.SignatureFailure", "AuthFailure.SignatureExpire"
        rows = [
            ({}, {}, "accepted"),
            ({"host": None}, {}, "MissingParameter"), ({"content_type": None}, {}, "MissingParameter"),
            ({"authorization": None}, {}, "MissingParameter"), ({"x_tc_timestamp": None}, {}, "MissingParameter"),
            ({"x_tc_action": None}, {}, "MissingParameter"), ({"x_tc_version": None}, {}, "MissingParameter"),
            ({"authorization": "Bearer x"}, {}, "AuthFailure.InvalidAuthorization"),
            ({"authorization": good.replace(ID, "AKIDOTHER")}, {}, "AuthFailure.SecretIdNotFound"),
            ({"authorization": good.replace("2023-11-14", "2023-11-15")}, {}, failure),
            ({"authorization": good.replace("/ssl/", "/dnspod/")}, {}, failure),
            ({"authorization": good.replace("content-type;host", "host")}, {}, failure),
            ({"authorization": good.replace("content-type;host", "host;content-type")}, {}, failure),
            ({"authorization": good.replace("content-type;host", "content-type;host;x-tc-region")}, {}, failure),
            ({"authorization": good[:-1] + ("0" if good[-1] != "0" else "1")}, {}, failure),
            ({"host": "ssl.example.com"}, {}, failure),
            ({"content_type": "application/json; charset=utf-8"}, {}, failure),
            ({"x_tc_content_sha256": "UNSIGNED-PAYLOAD"}, {}, failure),
            ({"x_tc_timestamp": "1700000001"}, {}, failure), ({"x_tc_timestamp": "1.7e9"}, {}, "InvalidParameter"),
            ({"x_tc_timestamp": "01700000000"}, {}, "InvalidParameter"),
            ({}, {"body": b"{ }"}, failure),
            ({}, {"now": 1700000300}, "accepted"), ({}, {"now": 1700000301}, expired),
            ({}, {"now": 1699999699}, expired),
            ({"x_tc_token": "t"}, {}, "AuthFailure.TokenFailure"),
            ({}, {"credential": {"token": "t"}}, "AuthFailure.TokenFailure"),
            ({"x_tc_token": "t"}, {"credential": {"token": "t"}}, "accepted"),
        ]
        for changes, how, want in rows:
            with self.subTest(changes=changes, how=how):
                self.assertEqual(self.judge(headers(**changes), **how), want)

    def test_a_good_signature_for_another_service_is_refused(self):
        signed = {n.lower(): v for n, v in tc3.sign(ID, KEY, "h.test", b"{}", 1700000000, "dnspod").items()}
        signed.update({"x-tc-action": "X", "x-tc-version": "V"})
        self.assertEqual(self.judge(signed), "AuthFailure.SignatureFailure")
        self.assertEqual(self.judge(signed, service="dnspod"), "accepted")

    def test_the_host_without_its_port_only_where_asked(self):
        signed = {n.lower(): v for n, v in tc3.sign(ID, KEY, "127.0.0.1", b"{}", 1700000000).items()}
        signed.update({"x-tc-action": "X", "x-tc-version": "V", "host": "127.0.0.1:8080"})
        self.assertEqual(self.judge(signed), "AuthFailure.SignatureFailure")
        self.assertEqual(self.judge(signed, signed_host="without-port"), "accepted")


if __name__ == "__main__":
    unittest.main()
