"""dcvctl check as an operator meets it: words, documents, exit statuses, what the configuration adds (account, publisher, CA of another
kind), a host without a resolver, a person who mends a zone while it watches."""

import base64
import hashlib
import json
import os
import re
import signal
import subprocess
import time
import unittest

import hostile_dns
import hostile_http
import probe
import schema
import zoo
from hostile_dns import REFUSED
from servers import write
from zoo import BLIND, FIRST, RESOLVER, SECOND, Zoo

GOOD = '@ 60 A 45.1.1.1\n@ 60 CAA 0 issue "ca.example"\n@ 60 CAA 0 iodef "mailto:x@good.org"\n'
OURS, OTHERS = "https://ca.example/acct/1", "https://ca.example/acct/2"
VALUE = "LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ"
DIRECTORY = "https://ca.example/directory"
FILES = {"plain": "45.80.0.2", "moved": "45.80.0.3", "lost": "45.80.0.4"}


def pki(connection, request):
    """The file of Tencent Cloud's own method."""
    found = request.split(b" ")[1] == b"/.well-known/pki-validation/fileauth.txt"
    (hostile_http.answer(200, b"20261126abc=x\n") if found else hostile_http.answer())(connection, request)


def to_https(connection, request):
    path, host = request.split(b" ")[1].decode(), re.search(rb"(?i)host: (\S+)", request).group(1).decode()
    hostile_http.answer(301, b"", [f"Location: https://{host}{path}"])(connection, request)


def dcvctl(*arguments, config="/nonexistent", **how):
    return subprocess.run([os.path.join(os.environ["DCVD_BUILD"], "dcvctl"), *arguments], capture_output=True, text=True, timeout=60 * probe.BUSY,
                          check=False, cwd="/tmp", env={**os.environ, "DCVD_CONFIG": config}, **how)


def ids(document):
    return {f["id"] for f in document["findings"]}


def by_certificate(document):
    return {t["target"]["certificate"]: t for t in document["targets"]}


def doubts(document):
    return {u["id"]: u["why"] for u in document["unverifiable"]}


def without_host(document):
    """The document as if the host's own side were sound, which no host of this test has (test_check_host looks at
    that); the exit status that it would have."""
    targets = document.get("targets", [document])
    for one in targets:
        one["findings"] = [f for f in one["findings"] if f["id"][0] not in "OWL"]
        found = {f["severity"] for f in one["findings"]}
        one["verdict"] = ("would-fail" if found & {"fatal", "error"} else
                          "unverifiable" if "D01" in doubts(one) else "would-validate")
    verdicts = [one["verdict"] for one in targets]
    document["verdict"] = next((v for v in ("would-fail", "unverifiable") if v in verdicts), "would-validate")
    return int(document["verdict"] != "would-validate")


class Life(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        z = cls.zoo = Zoo()
        z.add("good.org", GOOD)
        z.add("bound.org", f'@ 60 A 45.1.1.1\n@ 60 CAA 0 issue "ca.example; accounturi={OTHERS}"\n'
                           f'ours 60 CAA 0 issue "ca.example; accounturi={OURS}"\n')
        z.add("hidden.org", GOOD, at=("first",), ns=("ns1.host.net",))
        z.first["elsewhere.org"] = z.text(GOOD)  # a zone of that name, while the world is sent to the second
        z.second["elsewhere.org"] = z.text(GOOD).replace("ns1.host.net. host", "ns2.host.net. host")
        z.delegate("elsewhere.org", ("ns2.host.net",))
        z.add("tencent.org", GOOD + '_dnsauth 60 TXT "another-value"\n_dnsauth.right 60 TXT "token"\nright 60 A 45.1.1.1\n')
        soon = int(time.time()) + 86400
        z.add("persist.org", GOOD + f"""
_validation-persist 60 TXT "ca.example; accounturi={OURS}"
_validation-persist.old 60 TXT "ca.example; accounturi={OURS}; persistUntil=1700000000"
_validation-persist.soon 60 TXT "ca.example; accounturi={OURS}; persistUntil={soon}"
_validation-persist.other 60 TXT "other.example; accounturi={OURS}"
""")
        z.signed("signed.org", GOOD)
        cls.mending = z.bad("mending.org", lambda q, r, t: setattr(r, "rcode", REFUSED) or setattr(r, "aa", False))
        z.add("files.org", GOOD.replace("45.1.1.1", "45.80.0.1") + "".join(
            f"{n} 60 A {a}\n" for n, a in FILES.items()))
        z.addresses |= set(FILES.values()) | {"45.80.0.1"}
        z.__enter__()
        tls = hostile_http.tls_context(zoo.BASE)
        cls.web = [hostile_http.Server(FILES["plain"], pki), hostile_http.Server(FILES["moved"], to_https),
                   hostile_http.Server(FILES["moved"], pki, 443, tls), hostile_http.Server(FILES["lost"], to_https),
                   hostile_http.Server(FILES["lost"], hostile_http.answer(), 443, tls)]

    @classmethod
    def tearDownClass(cls):
        for server in cls.web:
            server.close()
        cls.zoo.__exit__(None)

    def config(self, certificates, resolvers=None, **more):
        config = {"state_directory": "/var/lib/check-state",
                  "cas": {"ca": {"type": "acme", "directory": DIRECTORY, "terms_agreed": True, "caa": ["ca.example"]},
                          "tencent": {"type": "tencent", "secret_id": {"file": "/nonexistent"}, "secret_key": {"file": "/nonexistent"}}},
                  "publishers": {"hand": {"type": "manual"},
                                 "zone": {"type": "rfc2136", "server": f"{FIRST}:53",
                                          "tsig": {"name": "k.", "algorithm": "hmac-sha256", "secret": {"file": "/nonexistent"}}},
                                 "second": {"type": "rfc2136", "server": f"{SECOND}:53",
                                            "tsig": {"name": "k.", "algorithm": "hmac-sha256", "secret": {"file": "/nonexistent"}}}},
                  "certificates": {k: {"ca": "ca", "publisher": "hand", "validation": "dns", **v} for k, v in certificates.items()}}
        if resolvers:
            config["resolvers"] = resolvers
        path = f"{zoo.BASE}/life-{self._testMethodName}.yaml"
        write(path, json.dumps({**config, **more}))
        return path

    def look(self, path, *arguments):
        done = dcvctl("--json", "check", *arguments, config=path)
        self.assertTrue(done.stdout, done.stderr)
        document = json.loads(done.stdout)
        self.assertEqual(schema.faults(document, "check"), [])
        self.assertEqual(done.returncode == 0, all(one["verdict"] == "would-validate" for one in document.get("targets", [document])))
        return without_host(document), document

    def test_words_and_exit_statuses(self):
        good = dcvctl("check", "--name", "good.org", "--validation", "dns", "--caa", "ca.example", "-v")
        self.assertEqual(good.returncode, 0, good.stdout)
        self.assertRegex(good.stdout, r"\Agood\.org, dns, ca\.example: would validate(: \d notes?)?\n")
        self.assertRegex(good.stdout, rf"good.org +ns1.host.net +{FIRST} +udp +NOERROR +aa +1 ")
        self.assertIn("other regions", good.stdout)
        self.assertRegex(good.stdout, r"  not judged  T20 L02 L03 L05 O01 .*: it needs a configured certificate")  # each reason once
        bad = dcvctl("check", "--name", "hidden.org", "www.nosuch-domain.org", "--caa", "other.example")
        self.assertEqual(bad.returncode, 1)
        self.assertRegex(bad.stdout.splitlines()[0], r"would fail: \d fatal")
        self.assertIn('hidden.org. IN CAA 0 issue "other.example"', bad.stdout)  # the exact record
        self.assertLess(bad.stdout.index("  fatal"), bad.stdout.index("  info"))
        quiet = dcvctl("check", "--quiet", "--name", "hidden.org", "--caa", "other.example")
        self.assertEqual((quiet.returncode, quiet.stdout), (1, ""))
        for wrong in (["--name"], ["--name", "a.org", "--validation", "mail"], ["--caa", "x"]):
            self.assertEqual(dcvctl("check", *wrong).returncode, 2, wrong)

    def test_strict_counts_warnings(self):
        argv = ("check", "--name", "good.org", "*.good.org", "www.good.org", "--caa", "ca.example")
        self.assertEqual(dcvctl(*argv).returncode, 0)
        self.assertEqual(dcvctl(*argv, "--strict").returncode, 1)  # N12: www is covered by the wildcard

    def test_documents_fit_their_schema(self):
        status, document = self.look("/nonexistent", "--name", "good.org", "bound.org", "--caa", "ca.example")
        self.assertEqual((status, document["target"]["names"]), (0, ["good.org", "bound.org"]))
        self.assertIn("C06", doubts(document))  # whose account it is was not said
        path = self.config({"a": {"names": ["good.org"]}, "b": {"names": ["nosuch-domain.org"]}})
        status, document = self.look(path)
        self.assertEqual((status, document["verdict"]), (1, "would-fail"))
        self.assertEqual([t["verdict"] for t in document["targets"]], ["would-validate", "would-fail"])
        status, document = self.look(path, "a")
        self.assertEqual((status, document["target"]["certificate"]), (0, "a"))

    def test_the_account_of_the_configuration_is_held_against_caa(self):
        os.makedirs("/var/lib/check-state/accounts/ca", mode=0o700, exist_ok=True)
        write("/var/lib/check-state/accounts/ca/account.json", json.dumps({"directory": DIRECTORY, "url": OURS, "contact": []}), 0o600)
        path = self.config({"bad": {"names": ["bound.org"]}, "good": {"names": ["ours.bound.org"]}})
        seen = by_certificate(self.look(path)[1])
        finding = next(f for f in seen["bad"]["findings"] if f["id"] == "C06")
        self.assertEqual((seen["bad"]["verdict"], finding["severity"]), ("would-fail", "fatal"))
        self.assertIn(OTHERS, finding["message"])
        self.assertIn(OURS, finding["fix"])
        self.assertEqual((seen["good"]["verdict"], "C06" in ids(seen["good"]), "C06" in doubts(seen["good"])), ("would-validate", False, False))

    def test_the_challenge_of_the_configuration_is_looked_for(self):
        """dns-account-01 has a name of its own, and dns-persist-01 a record that stands."""
        os.makedirs("/var/lib/check-state/accounts/ca", mode=0o700, exist_ok=True)
        write("/var/lib/check-state/accounts/ca/account.json", json.dumps({"directory": DIRECTORY, "url": OURS, "contact": []}), 0o600)
        ca = {"type": "acme", "directory": DIRECTORY, "terms_agreed": True, "caa": ["ca.example"]}
        path = self.config({"own": {"names": ["good.org"]}}, cas={"ca": {**ca, "challenges": ["dns-account-01"]}})
        document = json.loads(dcvctl("--json", "check", config=path).stdout)
        label = base64.b32encode(hashlib.sha256(OURS.encode()).digest()[:10]).decode().lower()
        self.assertEqual([f["subject"] for f in document["findings"] if f["id"] == "W03"], [f"_{label}._acme-challenge.good.org"])
        path = self.config({"stands": {"names": ["persist.org"]}, "over": {"names": ["old.persist.org"]}},
                           cas={"ca": {**ca, "challenges": ["dns-persist-01"]}})
        seen = by_certificate(json.loads(dcvctl("--json", "check", config=path).stdout))
        self.assertEqual({n: "T21" in ids(one) for n, one in seen.items()}, {"stands": False, "over": True})

    def test_the_next_ca_is_held_against_caa_too(self):
        acme = {"type": "acme", "terms_agreed": True}
        cas = {"ca": {**acme, "directory": DIRECTORY, "caa": ["ca.example"]},
               "twin": {**acme, "directory": "https://twin.example/directory", "caa": ["ca.example"]},
               "other": {**acme, "directory": "https://other.example/directory", "caa": ["other.example"]}}
        by_file = ["ca", {"use": "twin", "validation": "file", "publisher": "root"}]
        path = self.config({"bad": {"names": ["good.org"], "ca": ["ca", "other"]}, "good": {"names": ["good.org"], "ca": ["ca", "twin"]},
                            "dead": {"names": ["good.org"], "ca": by_file}, "files": {"names": ["plain.files.org"], "ca": by_file}},
                           cas=cas, publishers={"hand": {"type": "manual"}, "root": {"type": "webroot", "directory": "/var/www"}})
        seen = by_certificate(json.loads(dcvctl("--json", "check", config=path).stdout))
        said = {cert: [f for f in one["findings"] if f["id"] == "O16"] for cert, one in seen.items()}
        self.assertEqual((said["good"], said["files"]), ([], []))
        self.assertEqual(len(said["dead"]), 1)
        self.assertIn("CA twin, further down the list, could not take over for good.org (H05): IPv4 45.1.1.1", said["dead"][0]["message"])
        self.assertEqual([f["severity"] for f in said["bad"]], ["warning"], said)
        self.assertIn("CA other, further down the list, could not take over for good.org (C02)", said["bad"][0]["message"])
        self.assertIn('0 issue "other.example"', said["bad"][0]["fix"])
        self.assertNotIn("C02", ids(seen["bad"]))  # of the first CA nothing is wrong

    def test_a_publisher_that_writes_elsewhere(self):
        path = self.config({"bad": {"names": ["elsewhere.org"], "publisher": "zone"}, "good": {"names": ["elsewhere.org"], "publisher": "second"},
                            "lame": {"names": ["hidden.org"], "publisher": "second"}, "hand": {"names": ["good.org"]}})
        seen = by_certificate(self.look(path)[1])
        for name in ("bad", "lame"):
            self.assertEqual([f["severity"] for f in seen[name]["findings"] if f["id"] == "T20"], ["fatal"], seen[name])
        for name in ("good", "hand"):
            self.assertEqual((seen[name]["verdict"], "T20" in ids(seen[name])), ("would-validate", False), seen[name])

    def test_a_ca_with_values_of_its_own(self):
        path = self.config({"t": {"names": ["tencent.org"], "ca": "tencent", "certificate_id": "a1B2c3D4"},
                            "r": {"names": ["right.tencent.org"], "ca": "tencent", "certificate_id": "a1B2c3D5"}})
        seen = by_certificate(self.look(path, "--value", "token")[1])
        finding = next(f for f in seen["t"]["findings"] if f["id"] == "T23")
        self.assertIn("_dnsauth.tencent.org", finding["message"])
        self.assertEqual((seen["r"]["verdict"], "T23" in ids(seen["r"])), ("would-validate", False), seen["r"])
        self.assertIn("C02", doubts(seen["r"]))  # under which name it is in CAA is not known

    def test_a_file_as_tencent_wants_it(self):
        """Over http or https, either suffices; a redirect does not."""
        path = self.config({n: {"names": [f"{n}.files.org"], "ca": "tencent", "certificate_id": f"id{n}", "validation": "file",
                                "publisher": "root"} for n in FILES},
                           publishers={"root": {"type": "webroot", "directory": "/var/www"}})
        seen = by_certificate(self.look(path, "--value", "fileauth.txt=20261126abc=x")[1])
        self.assertEqual({n: [f["id"] for f in one["findings"] if f["severity"] in ("fatal", "error")] for n, one in seen.items()},
                         {"plain": [], "moved": [], "lost": ["H34"]})
        self.assertIn("answers with a redirect (301)", next(f["message"] for f in seen["lost"]["findings"] if f["id"] == "H34"))
        seen = by_certificate(self.look(path, "--value", "fileauth.txt=another")[1])
        self.assertEqual({n: [f["id"] for f in one["findings"] if f["severity"] == "fatal"] for n, one in seen.items()},
                         {n: ["H34"] for n in FILES})
        seen = by_certificate(self.look(path)[1])  # nothing is there yet, nor need it be
        self.assertEqual({n: ("H34" in ids(one), "H34" in doubts(one)) for n, one in seen.items()},
                         {"plain": (False, True), "moved": (False, True), "lost": (False, True)})

    def test_persistent_validation(self):
        wrong, soon = ("old.persist.org", "other.persist.org", "none.persist.org"), "soon.persist.org"
        status, document = zoo.check(" ".join(("persist.org", soon, *wrong)), validation="dns-persist")
        named = {(f["id"], f["subject"].partition(".")[2]) for f in document["findings"] if f["id"] in ("T21", "T22")}
        self.assertEqual((status, named), (1, {("T22", soon), *(("T21", name) for name in wrong)}))
        _, document = zoo.check("other.persist.org *.other.persist.org", validation="dns-persist")
        fixes = {f["fix"] for f in document["findings"] if f["id"] == "T21"}
        self.assertEqual([fix.endswith('; policy=wildcard"') for fix in fixes], [True], fixes)  # one record does for both

    def test_a_resolver_that_does_not_validate(self):
        status, document = self.look(self.config({"s": {"names": ["signed.org"]}}, [BLIND]), "s")
        self.assertEqual((status, ids(document) & {"S10", "S01"}), (0, {"S10"}))
        status, document = self.look(self.config({"s": {"names": ["signed.org"]}}, [RESOLVER]), "s")
        self.assertEqual((status, ids(document) & {"S10", "S01"}), (0, set()))

    def test_without_a_resolver_nothing_is_claimed(self):
        status, document = self.look(self.config({"s": {"names": ["good.org"]}}, ["127.0.0.99"]), "s")
        self.assertEqual((status, document["verdict"], document["summary"]["fatal"]), (1, "unverifiable", 0))
        self.assertIn("cannot be asked from here", doubts(document)["D01"])

    def test_the_time_is_bounded(self):
        began = time.monotonic()
        status, document = self.look("/nonexistent", "--name", "mending.org", "--timeout", "1ms")
        self.assertLess(time.monotonic() - began, 30)
        self.assertEqual((status, document["verdict"]), (1, "unverifiable"))
        self.assertIn("--timeout", doubts(document)["D01"])

    def test_it_watches_until_the_zone_is_mended(self):
        process = subprocess.Popen([os.path.join(os.environ["DCVD_BUILD"], "dcvctl"), "check", "--watch", "--name", "mending.org"],
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, "DCVD_CONFIG": "/nonexistent"})
        try:
            self.assertIn("would fail", process.stdout.readline())
            self.zoo.hostile[self.mending].bend = None
            other = subprocess.Popen(process.args[:-1] + ["www.nosuch-domain.org"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                     text=True, env={**os.environ, "DCVD_CONFIG": "/nonexistent"})
            with other:
                self.assertIn("would fail", other.stdout.readline())
                other.send_signal(signal.SIGINT)
                self.assertEqual(other.wait(20 * probe.BUSY), 130)
            self.assertEqual(process.wait(40 * probe.BUSY), 0)
            self.assertIn("would validate", process.stdout.read())
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


if __name__ == "__main__":
    unittest.main()
