#!/usr/bin/env python3
"""The Tencent Cloud CA of dcvd against the double of the service, on loopback, fault by fault.

    tencent_ca.py DRIVER DOUBLE-DIRECTORY [TEST...]

DRIVER is the built driver_tencent, which runs one operation as a job would. What the double's ledger says decides, not what the driver says of itself."""

import concurrent.futures
import json
import os
import subprocess
import sys
import tempfile
import time

DRIVER, DOUBLE = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
sys.path.insert(0, DOUBLE)
from control import send  # noqa: E402
from ledger import read  # noqa: E402

SECRET_ID, SECRET_KEY = "AKIDEXAMPLE0000000000000000000000001", "ExampleSecretKey00000000000000001"
FREE = {"id": "a1B2c3D4", "names": ["www.example.com", "example.com"], "package_type": "83"}
PAID = {**FREE, "package_type": "11"}
DNSPOD = {**FREE, "package_type": "48"}
OV = {**FREE, "package_type": "28", "approved_before": False}


class Peer:
    """One double, one memory of the driver, one key and CSR."""

    def __init__(self, *certificates, **scenario):
        self.folder = tempfile.TemporaryDirectory(prefix="tencent-ca-")
        self.path = self.folder.name
        scenario = {"credentials": [{"secret_id": SECRET_ID, "secret_key": SECRET_KEY}], "certificates": list(certificates or [FREE]),
                    "validation": {"interval_s": 0.2}, **scenario}
        with open(self.at("scenario.json"), "w", encoding="utf-8") as f:
            json.dump(scenario, f)
        self.double = subprocess.Popen([sys.executable, os.path.join(DOUBLE, "double.py"), "--listen", "127.0.0.1:0", "--state",
                                        self.at("double"), "--scenario", self.at("scenario.json")], stdout=subprocess.PIPE, text=True)
        line = self.double.stdout.readline().split()
        assert line[:1] == ["ready"], line
        self.endpoint = "http://" + line[1]
        self.control("validation", paused=True)
        self.csr()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.double.terminate()
        self.double.wait()
        self.double.stdout.close()
        self.folder.cleanup()

    def at(self, name):
        return os.path.join(self.path, name)

    def csr(self, name="ours", names=("www.example.com", "example.com")):
        subprocess.run(["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", self.at(name + ".key"), "-out", self.at(name + ".csr"),
                        "-subj", "/CN=" + names[0], "-addext", "subjectAltName=" + ",".join("DNS:" + n for n in names)],
                       check=True, capture_output=True)
        return self.at(name + ".csr")

    def control(self, op, **fields):
        return send(self.at("double/control.sock"), op, **fields)

    def run(self, *arguments):
        done = subprocess.run([DRIVER, self.endpoint, self.at("memory.json"), *map(str, arguments)], capture_output=True, text=True, timeout=320,
                              env={**os.environ, "TENCENT_ID": SECRET_ID, "TENCENT_KEY": SECRET_KEY})
        assert done.returncode == 0, (arguments, done.returncode, done.stdout, done.stderr)
        assert SECRET_KEY not in done.stdout + done.stderr
        return json.loads(done.stdout)

    def order(self, id="a1B2c3D4", method="dns"):
        return self.run("order", id, self.at("ours.csr"), method)

    def resolve(self, id="a1B2c3D4", submitted=None):
        return self.run("resolve", id, self.at("ours.csr"), "dns", int(submitted or time.time()))

    def calls(self, action):
        return [c for c in read(self.at("double/ledger.jsonl")) if c.get("action") == action]

    def finish(self, id):
        """The validation has passed: the double issues."""
        self.control("set", id=id, phase="wait-issue", dv_validated=True)
        self.control("validation", paused=False)
        deadline = time.monotonic() + 80
        while time.monotonic() < deadline:
            view = self.run("view", id)
            if view["ready"]:
                return view
            time.sleep(0.2)
        raise AssertionError(view)


def is_ours(peer, pem):
    """The certificate carries the key of ours.csr."""
    key = subprocess.run(["openssl", "pkey", "-in", peer.at("ours.key"), "-pubout"], check=True, capture_output=True, text=True).stdout
    leaf = subprocess.run(["openssl", "x509", "-noout", "-pubkey"], input=pem, check=True, capture_output=True, text=True).stdout
    return key == leaf


# --- tests ----------------------------------------------------------------------------------------------------------------


def test_whole_reissue_of_a_free_certificate():
    with Peer() as p:
        s = p.run("inspect", "a1B2c3D4", "dns", "compromised")
        assert s["id"] == "a1B2c3D4" and s["last_one"] and s["key_type"] == "rsa-2048" and s["exclusive"] == ["example.com"], s
        assert len(read(p.at("double/ledger.jsonl"))) == 2
        new = p.order()["id"]
        assert new != "a1B2c3D4"
        view = p.run("view", new)
        assert view["validation_wanted"] and {x["type"] for x in view["proofs"]} == {"TXT"}, view
        assert {x["place"] for x in view["proofs"]} == {"_dnsauth.www.example.com", "_dnsauth.example.com"}, view
        assert p.run("inspect", "a1B2c3D4")["resume_id"] == new
        assert "kind" not in p.run("validate", new) and len(p.calls("CompleteCertificate")) == 1
        assert "the CA has not validated it yet" in p.run("diagnose", new)["text"]
        p.finish(new)
        assert is_ours(p, p.run("fetch", new)["text"])
        s = p.run("inspect", "a1B2c3D4")
        assert s["code"] == "R3" and new in s["text"] and s["replaced"] == ["a1B2c3D4", new], s
        assert len(p.calls("ReplaceCertificate")) == 1


def test_answers_lost_after_processing():
    for fault in ({"kind": "lost-after"}, {"kind": "internal-error-after"}, {"kind": "cut-json"}, {"kind": "http-status-after"}, {"kind": "not-json"},
                  {"kind": "empty"}, {"kind": "no-response"}, {"kind": "legacy"}):
        with Peer() as p:
            p.control("fault", action="ReplaceCertificate", **fault)
            first = p.order()
            assert first["kind"] == "unknown-outcome", (fault, first)
            found = p.resolve()
            assert found.get("id") and found["id"] != "a1B2c3D4", (fault, found)
            assert len(p.calls("ReplaceCertificate")) == 1, fault
            assert p.run("view", found["id"])["proofs"]


def test_not_processed_is_certain_after_a_minute():
    with Peer() as p:
        p.control("fault", action="ReplaceCertificate", kind="lost-before")
        assert p.order()["kind"] == "unknown-outcome"
        found = p.resolve()
        assert found["id"] is None and "kind" not in found and found["took_ms"] >= 60000, found
        assert p.order().get("id")
        assert len(p.calls("ReplaceCertificate")) == 2


def test_lagging_reads():
    with Peer() as p:
        p.control("lag", seconds=12)
        p.control("fault", action="ReplaceCertificate", kind="lost-after")
        assert p.order()["kind"] == "unknown-outcome"
        found = p.resolve()
        assert found.get("id"), found
        assert len(p.calls("ReplaceCertificate")) == 1


def test_every_variant_of_ids_status_and_links():
    for replace_id in ("new", "same"):
        for status_11 in ("original", "new", "both", "neither"):
            for links in ("both", "new", "original"):
                with Peer(PAID, variants={"replace_id": replace_id, "status_11": status_11, "links": links}) as p:
                    p.control("fault", action="ReplaceCertificate", kind="lost-after")
                    assert p.order()["kind"] == "unknown-outcome"
                    found = p.resolve()
                    what = (replace_id, status_11, links, found)
                    assert (found.get("id") == "a1B2c3D4") == (replace_id == "same") and found.get("id"), what
                    assert not p.run("view", found["id"])["ready"], what
                    p.finish(found["id"])
                    assert is_ours(p, p.run("fetch", found["id"])["text"]), what
                    assert len(p.calls("ReplaceCertificate")) == 1, what


def test_no_links_at_all():
    with Peer(PAID, variants={"links": "neither"}) as p:
        p.control("fault", action="ReplaceCertificate", kind="lost-after")
        assert p.order()["kind"] == "unknown-outcome"
        found = p.resolve()
        assert found.get("id") and found["id"] != "a1B2c3D4" and found["took_ms"] < 40000, found  # known by its CSR, not after the minute


def test_skewed_clock():
    for skew in (-3600, 3600):
        with Peer() as p:
            p.control("clock", skew_s=skew)
            p.control("fault", action="ReplaceCertificate", kind="lost-after")
            assert "kind" not in p.run("inspect", "a1B2c3D4")
            assert p.order()["kind"] == "unknown-outcome"
            assert p.resolve().get("id")
            assert len([c for c in p.calls("ReplaceCertificate")]) == 1  # the offset was remembered


def test_throttling_is_waited_out():
    with Peer() as p:
        p.control("fault", action="*", kind="error", code="RequestLimitExceeded", message="slow down", count=3)
        assert "kind" not in p.run("inspect", "a1B2c3D4")
        p.control("fault", action="ReplaceCertificate", kind="error", code="LimitExceeded.RateLimitExceeded", message="slow down", count=2)
        assert p.order().get("id")


def test_reads_survive_faults_and_refusals_are_believed():
    with Peer() as p:
        p.control("fault", action="DescribeCertificateDetail", kind="http-status-before", status=502, body="<html>")
        p.control("fault", action="DescribeCertificates", kind="cut-json")
        assert "kind" not in p.run("inspect", "a1B2c3D4")
        p.control("fault", action="*", kind="error", code="AuthFailure.UnauthorizedOperation", message="no", count=-1)
        s = p.run("inspect", "a1B2c3D4")
        assert s["kind"] == "denied" and s["code"] == "tc.AuthFailure.UnauthorizedOperation" and "RequestId" in s["text"], s


def test_hostile_answers():
    with Peer() as p:
        p.control("fault", action="DescribeCertificateDetail", kind="huge", bytes=50_000_000, count=-1)
        assert p.run("inspect", "a1B2c3D4")["kind"] in ("protocol", "temporary")
        p.control("clear-faults")
        p.control("next-dvauths", dv_auths=[{"DvAuthKey": "../../x", "DvAuthPath": "/.well-known/pki-validation/", "DvAuthValue": "v",
                                             "DvAuthDomain": "www.example.com", "DvAuthVerifyType": "FILE", "DvAuthSubDomain": ""}])
        new = p.order()["id"]
        assert p.run("view", new)["code"] == "token.grammar"


def test_rules_before_anything_is_sent():
    sibling = {"id": "c9D8", "names": ["shop.example.com"], "package_type": "11", "status": 11}
    for certificates, code, text in (
            ([{**FREE, "not_after": "+29d"}], "R2", "a reissue needs more than 30 d; renew instead"),
            ([{**FREE, "status": 10}], "R1", "status 10"),
            ([{**FREE, "from": "upload"}], "R1", "uploaded"),
            ([FREE, sibling], "R4", "R4: waiting for a sibling: shop.example.com (c9D8, not this host) is being reissued since"),
            ([{**FREE, "method": "FILE"}], "R16", "R16: this free certificate was first validated by FILE; dns cannot be used")):
        with Peer(*certificates) as p:
            s = p.run("inspect", "a1B2c3D4", "dns", "compromised")
            assert s.get("code") == code and text in s["text"], (code, s)
            assert not p.calls("ReplaceCertificate")


def test_dns_auto_asks_whether_the_zone_is_there():
    for dnspod, code in ((True, None), (False, "R16")):
        with Peer({**PAID, "dnspod": dnspod}) as p:
            assert p.run("inspect", "a1B2c3D4", "dns-auto").get("code") == code


def test_waivers_come_from_the_log():
    with Peer({**OV, "not_before": "-4d", "issued_at": "-41h"}) as p:
        s = p.run("inspect", "a1B2c3D4")
        assert any(n.startswith("R8: no validation needed: ") for n in s["notes"]) and s["person_expected"], s
        view = p.run("view", p.order()["id"])
        assert view["person_wanted"] and not view["proofs"] and view["party"] == "the CA's reviewers", view


def test_files_stand_on_both_hosts():
    with Peer({**FREE, "method": "FILE", "names": ["example.com"]}) as p:
        p.csr(names=("example.com",))
        view = p.run("view", p.order(method="file")["id"])
        assert {x["place"] for x in view["proofs"]} == {"example.com", "www.example.com"} and all(x["path"] for x in view["proofs"]), view


def test_masked_fields_and_cname_brand():
    with Peer(DNSPOD, variants={"dv_auths": "top-level"}) as p:
        view = p.run("view", p.order()["id"])
        assert [x["type"] for x in view["proofs"]] == ["CNAME"] and view["proofs"][0]["place"].endswith("www.example.com"), view
        assert "kind" not in p.run("validate", p.run("inspect", "a1B2c3D4")["resume_id"])
        assert not p.calls("CompleteCertificate")


def test_statuses_that_wait_for_people():
    for status, party in ((5, "your company"), (8, "your company"), (12, "your company"), (13, "your company"), (15, "Tencent Cloud")):
        with Peer() as p:
            new = p.order()["id"]
            p.control("set", id=new, status=status)
            view = p.run("view", new)
            assert view["person_wanted"] and view["party"] == party and view["act"] and f"status {status}" in view["state"], view


def test_cancelling():
    for scenario in ({}, {"cancel_audit_result": False}):
        with Peer(PAID, **scenario) as p:
            new = p.order()["id"]
            assert "kind" not in p.run("cancel", new)
            assert p.run("view", new)["end"] == 3
            assert len(p.calls("CancelCertificateOrder")) == (1 if scenario else 0)
    with Peer(PAID) as p:
        new = p.order()["id"]
        p.control("fault", action="CancelAuditCertificate", kind="lost-after")
        assert "kind" not in p.run("cancel", new)
        assert not p.calls("CancelCertificateOrder")


def test_revoking_goes_once_and_says_what_people_must_do():
    for certificate, fault, said in ((PAID, None, "when it sees, within 3 days of being asked: TXT "),
                                     (PAID, "lost-after", "when it sees, within 3 days of being asked: TXT "),
                                     (OV, None, "waiting for the CA's reviewers: the revocation of a1B2c3D4"),
                                     ({**PAID, "package_type": "8"}, None,
                                      "Tencent wants the letter for the revocation of a1B2c3D4 (status 12)")):
        with Peer(certificate) as p:
            path = p.at("double/certs/a1B2c3D4/cert.pem")
            if fault:
                p.control("fault", action="RevokeCertificate", kind=fault)
            for _ in range(2):
                s = p.run("revoke", "a1B2c3D4", path)
                assert s["kind"] == "waiting" and said in s["text"], s
                assert len(p.calls("RevokeCertificate")) == 1
            p.control("revoke", id="a1B2c3D4")
            assert "kind" not in p.run("revoke", "a1B2c3D4", path)
            assert len(p.calls("RevokeCertificate")) == 1


def test_what_must_not_be_revoked_is_not_asked_for():
    with Peer(PAID) as p:
        path = p.at("double/certs/a1B2c3D4/cert.pem")
        new = p.order()["id"]
        p.finish(new)
        s = p.run("revoke", "a1B2c3D4", path)
        assert s["code"] == "tc.both" and "Tencent revokes both or none" in s["text"], s
        assert p.run("revoke", new, p.at(f"double/certs/{new}/cert.pem"))["code"] == "tc.both"
        assert not p.calls("RevokeCertificate")
    with Peer({**PAID, "from": "upload"}) as p:
        assert p.run("revoke", "a1B2c3D4", p.at("double/certs/a1B2c3D4/cert.pem"))["code"] == "tc.uploaded"
        assert not p.calls("RevokeCertificate")
    with Peer({**PAID, "not_after": "+29d"}) as p:
        s = p.run("revoke", "a1B2c3D4", p.at("double/certs/a1B2c3D4/cert.pem"))
        assert s["code"] == "tc.near-end" and "in its last 30 d" in s["text"], s
        assert not p.calls("RevokeCertificate")


def test_status_says_what_a_revocation_would_do():
    for certificate, said in ((PAID, "can be revoked by itself while it has no reissue; it needs a validation"),
                              ({**PAID, "from": "upload"}, "was uploaded: Tencent does not revoke it"),
                              ({**PAID, "not_after": "+29d"}, "Tencent revokes nothing in its last 30 d")):
        with Peer(certificate) as p:
            notes = [n for n in p.run("inspect", "a1B2c3D4")["notes"] if n.startswith("revocation: ")]
            assert len(notes) == 1 and said in notes[0], notes
    with Peer(PAID) as p:
        new = p.order()["id"]
        p.finish(new)
        notes = [n for n in p.run("inspect", "a1B2c3D4")["notes"] if n.startswith("revocation: ")]
        assert f"revocation: {new} and a1B2c3D4 are original and reissue: Tencent revokes both or none" in notes[0], notes


def test_ends():
    for op, end in (("reject", 1), ("close", 3), ("revoke", 4)):
        with Peer(PAID) as p:
            new = p.order()["id"]
            if op == "revoke":
                p.finish(new)
            p.control(op, id=new)
            assert p.run("view", new)["end"] == end


def test_the_list_for_import():
    with Peer(FREE, {**PAID, "id": "late", "names": ["late.example.org"], "not_after": "+20d"}) as p:
        rows = {r["id"]: r for r in p.run("list")["list"]}
        assert rows["a1B2c3D4"]["rule"] == "" and rows["late"]["rule"] == "R2" and rows["late"]["product"] == "TrustAsia DV multi-domain", rows


def run_one(name, function):
    begun = time.time()
    try:
        function()
        return True, f"ok   {name} {time.time() - begun:.1f} s"
    except Exception as error:  # every test is run
        return False, f"FAIL {name}: {type(error).__name__}: {error}"


def main():
    wanted = sys.argv[3:]
    tests = [(n, f) for n, f in globals().items() if n.startswith("test_") and (not wanted or any(w in n for w in wanted))]
    good = bool(tests)
    # Each has a double of its own, and waits most of its time.
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for end in concurrent.futures.as_completed([pool.submit(run_one, *test) for test in tests]):
            passed, text = end.result()
            good = good and passed
            print(text, flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
