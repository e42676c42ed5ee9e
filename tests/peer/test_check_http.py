"""The zoo of the groups H and A: a server for every way to fail, one run of dcvctl check over all of them.
Each case names the id, what is to blame and its severity; the healthy twin must stay silent."""

import hashlib
import json
import os
import ssl
import subprocess
import unittest

import hostile_http as bad
import probe
from hostile_http import answer, raw, redirect, token
from servers import BASE, WEB
from world import World

GOOD_V6, DEAD_V6 = "2a00:5::1", "2a00:5::dead"
NOT_FOUND = answer()
BIG = b"<html>" + b"x" * 200000
TLS_ALERT = b"\x15\x03\x01\x00\x02\x02\x46"
H2_SETTINGS = b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80\x00\x04\x00\x01\x00\x00\x00\x05\x00\xff\xff\xff"

# name: (severity, ids that must be found, behaviour of its port 80 or None, word of the culprit in the finding).
RANDOM = {
    "good": ("", [], NOT_FOUND, ""),
    "h05": ("error", ["H05"], None, "try: curl -v --connect-to ::127.0.20.2: http://h05.example.test/"),
    "reset": ("error", ["H05"], bad.reset, "ends the connection"),
    "h07": ("warning", ["H07"], NOT_FOUND, "answer differently"),
    "h09": ("fatal", ["H09"], answer(500, b"broken"), "500"),
    "h10": ("error", ["H10"], answer(403, b"go away"), "403"),
    "h10js": ("error", ["H10"], answer(200, b'<script src="/aes.js"></script>toNumbers('), "bot filter"),
    "h15": ("fatal", ["H15"], redirect("http://good.example.test{path}", 303), "303"),
    "h16": ("fatal", ["H16"], redirect("http://good.example.test:8080{path}"), "8080"),
    "h16s": ("fatal", ["H16"], redirect("ftp://good.example.test{path}"), "ftp"),
    "h17": ("fatal", ["H17"], redirect("https://h17.example.test.well-known/acme-challenge/x"), ".well-known"),
    "h18": ("fatal", ["H18"], redirect("http://h18.example.test{path}"), "loop"),
    "h18n": ("fatal", ["H18"], redirect("http://h18n.example.test{path}a"), "too many"),
    "h19": ("error", ["H19"], raw(TLS_ALERT), "TLS"),
    "h19s": ("error", ["H19"], answer(400, b"The plain HTTP request was sent to HTTPS port"), "mixes"),
    "h20": ("fatal", ["H20"], raw(H2_SETTINGS), "HTTP/2"),
    "h21": ("info", ["H21"], redirect("https://secure.example.test{path}"), "certificate"),
    "h22": ("error", ["H22"], redirect("https://oldtls.example.test{path}"), "TLS 1.1"),
    "h24": ("fatal", ["H24"], redirect("http://h09.example.test{path}"), "h09.example.test"),
    "h24n": ("fatal", ["H24"], redirect("http://nowhere.example.test{path}"), "no address"),
    "h26": ("warning", ["H26"], answer(headers=["CF-Ray: 8a1b2c3d", "Server: cloudflare"]), "Cloudflare"),
    "h27": ("warning", ["H27"], redirect("https://notyet.example.test{path}", headers=["CF-Ray: 1"]), "handshake"),
    "h28": ("error", ["H28"], answer(headers=["Age: 4711", "X-Cache: HIT"]), "old 404"),
    "h29": ("warning", ["H29"], answer(headers=["Server: micro_httpd"]), "micro_httpd"),
    "h30": ("warning", ["H30"], answer(200, BIG), "any path"),
    "h32": ("warning", ["H32"], bad.by_header("User-Agent", b"Mozilla", answer(404, b"another page"), NOT_FOUND), "User-Agent"),
    "h35": ("info", ["H35"], redirect("https://secure.example.test{path}"), "HSTS"),
    "h36": ("warning", ["H36"], answer(421, b"It works!"), "default site"),
    "h04": ("error", ["H04"], NOT_FOUND, DEAD_V6),
    "h06": ("fatal", ["H06"], NOT_FOUND, "IPv6"),
    "h08": ("info", ["H08"], None, "only IPv6"),
    "h23": ("fatal", ["H23"], redirect("http://h23.example.test{path}/"), "fall"),
}
V6 = {"h04": DEAD_V6, "h06": "2a00:5::6", "h08": "2a00:5::8", "h23": DEAD_V6}
SECURE = {"secure": answer(headers=["Strict-Transport-Security: max-age=1"])}

ALPN = ("agood", "a01", "a02", "a03", "a03c", "a03n", "a03x", "a04")
TOKENS = {
    "good": ("", [], token(bad.VALUE.encode()), ""),
    "t09": ("fatal", ["H09"], NOT_FOUND, "404"),
    "t11": ("fatal", ["H11"], token(bad.VALUE.encode().replace(b"nobody", b"nobodi")), "first difference"),
    "t12": ("fatal", ["H12"], token(b"\xef\xbb\xbf" + bad.VALUE.encode()), "byte-order"),
    "t13": ("info", ["H13"], token(bad.VALUE.encode() + b"\r\n"), "white space"),
    "t14": ("fatal", ["H14"], token(bad.VALUE.encode() + b" " * 300), "too long"),
    "t25": ("warning", ["H25"], bad.slow(token(bad.VALUE.encode()), 5.2), "first byte"),
    "tsilent": ("error", ["H05"], bad.silent, "the port is open, and nobody answers there"),
}


class Zoo(unittest.TestCase):
    def setUp(self):
        self.address, lines, self.servers = {}, [], []
        for group, subnet in ((RANDOM, 20), (TOKENS, 21)):
            for number, name in enumerate(group):
                label = name if group is RANDOM else f"v-{name}"
                self.address[label] = f"127.0.{subnet}.{number + 1}"
                if name != "h08":
                    lines.append(f"{label} 60 A {self.address[label]}")
        lines += [f"{name} 60 AAAA {address}" for name, address in V6.items()]
        lines += ["h07 60 A 127.0.22.1", "secure 60 A 127.0.22.2", "oldtls 60 A 127.0.22.3", "notyet 60 A 127.0.22.4",
                  "empty 60 TXT nothing", *(f"{name} 60 A 127.0.23.{n + 1}" for n, name in enumerate(ALPN)), f"www 60 A {WEB}", "broken 60 NS ns.broken", "ns.broken 60 A 127.0.99.99"]
        self.world = World(certificates=(), zones={"example.test": "\n".join(lines) + "\n"}, services=("dns", "nginx"),
                           secondary=False).__enter__()
        self.addCleanup(self.world.stop)
        for address in {GOOD_V6, "2a00:5::6", "2a00:5::8"}:
            subprocess.run(["ip", "address", "add", f"{address}/128", "dev", "lo"], check=True)
        tls = bad.tls_context(BASE)
        self.serve("127.0.22.1", answer(headers=["Server: another"]))
        self.serve("127.0.22.2", SECURE["secure"], 443, tls)
        self.serve("127.0.22.3", NOT_FOUND, 443, bad.tls_context(BASE, old=True))
        self.serve("127.0.22.4", raw(b"\x15\x03\x03\x00\x02\x02\x28"), 443, None, True)
        self.serve("2a00:5::6", answer(404, b"x", ["Server: v6"]))
        self.servers[-1].behave = answer(500, b"v6 is another machine")
        self.serve("2a00:5::8", NOT_FOUND)
        for group in (RANDOM, TOKENS):
            for name, (_, _, behave, _) in group.items():
                if behave:
                    self.serve(self.address[name if group is RANDOM else f"v-{name}"], behave)

    def serve(self, *how):
        self.servers.append(bad.Server(*how))
        self.addCleanup(self.servers[-1].close)

    def check(self, names, *more, method="file"):
        done = self.world.dcvctl("--json", "--timeout", "45s", "check", "--name", *names, "--validation", method,
                                 "--internal", *more)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        found = {}
        for f in json.loads(done.stdout)["findings"]:
            if f["id"][0] in "HA":
                found.setdefault(f["evidence"]["name"].split(".")[0], []).append(f)
        return found, json.loads(done.stdout), done

    def judge(self, group, found, prefix=""):
        matrix = []
        for name, (severity, ids, _, word) in group.items():
            with self.subTest(name):
                here = {f["id"]: f for f in found.get(prefix + name, [])}
                matrix.append(f"{name:8} {' '.join(sorted(here)) or '-'}")
                self.assertLessEqual(set(ids), set(here), here)
                for i in ids:
                    self.assertEqual(here[i]["severity"], severity)
                    self.assertIn(word, json.dumps(here[i]), here[i])
                    self.assertTrue(here[i]["fix"], here[i])
        self.assertEqual([f for f in found.get(prefix + "good", []) if f["severity"] != "info"], [])
        print("\n".join(matrix))

    def test_every_way_to_fail(self):
        names = [f"{name}.example.test" for name in RANDOM] + ["empty.example.test", "www.example.test"]
        found, document, _ = self.check(names)
        self.judge(RANDOM, found)
        self.assertEqual([(f["id"], f["severity"]) for f in found["empty"]], [("H01", "fatal")])
        self.assertEqual(found.get("www", []), [])  # nginx as it comes
        self.assertIn("H31", [d["id"] for d in document["unverifiable"]])
        self.assertEqual(document["verdict"], "would-fail")

        found, _, done = self.check([f"v-{name}.example.test" for name in TOKENS], "--value", bad.VALUE)
        self.judge(TOKENS, found, "v-")

        found, document, done = self.check(["v-good.example.test"], "--value", bad.VALUE)
        self.assertEqual((document["verdict"], done.returncode), ("would-validate", 0), done.stdout)
        found, document, done = self.check([self.address["good"]])  # an address of its own: no zone, no CAA
        self.assertEqual((document["verdict"], done.returncode), ("would-validate", 0), done.stdout)
        self.assertEqual([d["id"] for d in document["unverifiable"] if d["id"] in ("D01", "C01", "H31")], ["H31"])
        _, document, _ = self.check([self.address["good"]], method="dns")
        self.assertEqual([(f["id"], f["severity"]) for f in document["findings"]], [("N03", "fatal")])
        self.challenges_over_tls()
        _, document, _ = self.check(["x.broken.example.test"])  # nobody answers for its zone: D says why
        self.assertEqual(document["verdict"], "would-fail")
        self.assertIn("H02", [d["id"] for d in document["unverifiable"]])

    def challenges_over_tls(self):
        """Group A: certificates of a challenge, right and wrong, on servers that choose acme-tls/1 and one that does
        not."""
        digest = hashlib.sha256(bad.VALUE.encode()).hexdigest()
        other = hashlib.sha256(b"another").hexdigest()
        good = f"1.3.6.1.5.5.7.1.31=critical,DER:0420{digest}"
        cases = {  # name: (ids, word, names in the certificate, extension, protocols)
            "agood": ([], "", ["agood"], good, ["acme-tls/1"]),
            "a01": (["A01"], "443 is closed", None, None, None),
            "a02": (["A02"], "no protocol", ["a02"], good, None),
            "a03": (["A03"], "another challenge", ["a03"], good.replace(digest, other), ["acme-tls/1"]),
            "a03c": (["A03"], "not critical", ["a03c"], good.replace("critical,", ""), ["acme-tls/1"]),
            "a03n": (["A03"], "exactly this name", ["a03n", "www"], good, ["acme-tls/1"]),
            "a03x": (["A03"], "lacks", ["a03x"], None, ["acme-tls/1"]),
            "a04": (["A04"], "proxy", ["a04"], good, ["acme-tls/1"]),
        }
        for number, (name, (_, _, names, extension, protocols)) in enumerate(cases.items()):
            if names:
                folder = f"{BASE}/alpn-{name}"
                os.makedirs(folder)
                signer = ["-CA", f"{BASE}/hostile.pem", "-CAkey", f"{BASE}/hostile.key"] if name == "a04" else []
                probe.openssl("req", "-x509", *signer, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                              "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{folder}/key", "-out", f"{folder}/pem",
                              "-addext", "subjectAltName=" + ",".join(f"DNS:{n}.example.test" for n in names),
                              *(["-addext", extension] if extension else []))
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(f"{folder}/pem", f"{folder}/key")
                if protocols:
                    context.set_alpn_protocols(protocols)
                self.serve(f"127.0.23.{number + 1}", bad.silent, 443, context)
        found, _, _ = self.check([f"{name}.example.test" for name in cases] + ["www.example.test"], "--value", bad.VALUE,
                                 method="tls-alpn")
        for name, (ids, word, *_) in cases.items():
            with self.subTest(name):
                here = found.get(name, [])
                self.assertEqual([(f["id"], f["severity"]) for f in here], [(i, "fatal") for i in ids], here)
                self.assertTrue(all(word in f["message"] for f in here), here)
        self.assertEqual([f["id"] for f in found["www"]], ["A01"])  # nginx without TLS here


if __name__ == "__main__":
    unittest.main()
