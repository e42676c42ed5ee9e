"""dcvctl check and a CA that validates for real say the same of the same zones and servers: each is given an order at Pebble, the
token is published as far as its fault allows, Pebble tries, and dcvctl looks. Where they differ the reason is written."""

import concurrent.futures
import hashlib
import os
import ssl
import unittest

import hostile_dns
import hostile_http as web
import probe
import zoo
from acme_client import Client, txt_value
from hostile_dns import REFUSED, SERVFAIL, TYPES
from pebble import STOOD_STILL, Pebble
from servers import reloaded
from zoo import FIRST, SECOND, Zoo

GOOD = '@ 60 A 45.1.1.1\n@ 60 CAA 0 issue "ca.example"\n@ 60 CAA 0 iodef "mailto:x@good.org"\n'
OLD = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
AT = "_acme-challenge"
KEYS = {}  # token -> key authorization, for the web servers

# What stands at the challenge of NAME.t.org, as the lines of a zone file; {v} is the value.
TXT = {
    "right": '{o} 60 TXT "{v}"', "both": '{o} 60 TXT "{v}"\n{o} 60 TXT "' + OLD + '"', "split": '{o} 60 TXT "{a}" "{b}"',
    "many": '{o} 60 TXT "{v}"\n' + "".join(f'{{o}} 60 TXT "{i:043d}"\n' for i in range(5)),
    "absent": "", "quotes": '{o} 60 TXT "\\"{v}\\""', "blanks": '{o} 60 TXT " {v} "', "records": '{o} 60 TXT "{a}"\n{o} 60 TXT "{b}"',
    "padded": '{o} 60 TXT "{v}="', "old": '{o} 60 TXT "' + OLD + '"', "key": '{o} 60 TXT "{k}"', "doubled": '{o}.t.org 60 TXT "{v}"',
    "alias": "{o} 60 CNAME {n}.tokens.org.", "lost": "{o} 60 CNAME nowhere.nosuch-domain.org.", "loop": "{o} 60 CNAME {o}2\n{o}2 60 CNAME {o}",
    "long": "{o} 60 CNAME l0\n" + "".join(f"l{i} 60 CNAME l{i + 1}\n" for i in range(14)),
}
# Names of zones of their own.
ZONES = ("good.org", "*.wild.org", "signed.org", "s01.org", "s03.org", "d01.org", "t01.org", "nosuch-domain.org", "own.org", "www.c01.org", "lame.org",
         "no-tcp.org")
# Where they differ, whether dcvctl says yes, and why.
EXCEPTIONS = {
    "split.t.org": (True, "this Pebble (before 2.10) does not join the strings of a TXT record, public CAs do"),
    "www.c01.org": (False, "CAA cannot be looked up: Pebble does not look at CAA, every public CA must"),
    "lame.org": (False, "one of two servers is lame: this resolver asked the other, the one of a CA may not"),
    "no-tcp.org": (False, "the server takes no TCP: this answer fitted into UDP, a longer one would not"),
    "see-other.org": (False, "Pebble follows 303, which the Baseline Requirements forbid"),
    "port.org": (False, "Pebble follows a redirect to any port, Let's Encrypt to 80 and 443 alone"),
}


def key_of(request):
    return KEYS.get(request.split(b" ")[1].rpartition(b"/")[2].decode("ascii", "replace"))


def token(change=lambda body: body, status=200):
    """The token's file, changed as told; 404 for anything else."""
    def behave(connection, request):
        key = key_of(request)
        (web.answer(status, change(key.encode())) if key else web.answer())(connection, request)
    return behave


def to(url, status=301):
    return lambda connection, request: web.redirect(url, status)(connection, request)


WEB = {  # NAME.org by file
    "file": token(), "newline": token(lambda b: b + b"\r\n"), "moved": to("http://file.org{path}"), "secure": to("https://tls.org{path}"),
    "slow": web.slow(token(), 2), "found": to("http://file.org{path}", 302),
    "empty": web.answer(), "forbidden": web.answer(403, b"go away"), "broken": web.answer(500, b"broken"), "refused": None,
    "reset": web.reset, "other": token(lambda b: b[:-1] + b"!"), "bom": token(lambda b: b"\xef\xbb\xbf" + b), "cut": token(lambda b: b[:40]),
    "circle": to("http://circle.org{path}"), "elsewhere": to("http://empty.org{path}"), "nowhere": to("http://nosuch.file.org{path}"),
    "tls80": web.raw(b"\x15\x03\x01\x00\x02\x02\x46"), "html": web.answer(200, b"<html>welcome</html>"),
    "long-body": token(lambda b: b + b" " * 300), "see-other": to("http://file.org{path}", 303), "port": to("http://file.org:8080{path}"),
}
ALPN = {"alpn": "{d}", "alpn-other": "00" * 32, "alpn-closed": None}  # NAME.org by tls-alpn: the digest in its certificate
ADDRESSES = {name: f"45.81.0.{i + 1}" for i, name in enumerate([*WEB, *ALPN, "alpn-ip"])}
TLS = "45.81.1.1"


def t_org(keys):
    lines = GOOD + "".join(f"{n} 60 A 45.1.1.1\n" for n in TXT)
    for name, text in TXT.items():
        key = keys.get(f"{name}.t.org")
        if key:
            v = txt_value(key)
            lines += text.format(o=f"{AT}.{name}", v=v, a=v[:20], b=v[20:], k=key, n=name) + "\n"
    return lines


def tokens_org(keys):
    values = {n.partition(".")[0]: txt_value(k) for n, k in keys.items() if n in ("alias.t.org", "signed.org", "s01.org", "s03.org")}
    return GOOD + "".join(f'{n} 60 TXT "{v}"\n' for n, v in values.items())


def value_of(keys, name):
    return f'{AT} 60 TXT "{txt_value(keys[name])}"\n' if name in keys else ""


def bend_txt(change):
    return lambda q, reply, tcp: change(reply) if q.type == TYPES["TXT"] else None


def fail(reply):
    reply.rcode, reply.answer = SERVFAIL, []


def build():
    z = Zoo()
    z.add("t.org", t_org({}))
    z.add("tokens.org", tokens_org({}))
    for zone in ("good.org", "wild.org"):
        z.add(zone, GOOD)
    z.add("own.org", GOOD + f"{AT} 60 NS ns1.host.net.\n{AT} 60 NS ns2.host.net.\n")
    for place in (z.first, z.second):
        place[f"{AT}.own.org"] = z.text("")
    for name, how in (("signed", {}), ("s01", {"ds": "s01.org. 3600 IN DS 12345 13 2 " + "ab" * 32}), ("s03", {"expires": -86400})):
        z.signed(f"{name}.org", GOOD + f"{AT} 60 CNAME {name}.tokens.org.\n", **how)
    z.bad("d01.org", lambda q, r, t: setattr(r, "rcode", REFUSED) or setattr(r, "aa", False))
    z.bad("t01.org", bend_txt(fail))
    z.caa = z.bad("c01.org", lambda q, r, t: fail(r) if q.type == TYPES["CAA"] and q.name == "www.c01.org" else None,
                  [("www.c01.org", "A", "45.1.1.1")])
    z.add("lame.org", GOOD, at=("first",))
    z.no_tcp = z.bad("no-tcp.org", tcp=False)
    for name, address in ADDRESSES.items():
        z.add(f"{name}.org", GOOD.replace("45.1.1.1", address))
    z.add("tls.org", GOOD.replace("45.1.1.1", TLS))
    z.addresses |= {*ADDRESSES.values(), TLS}
    return z


def publish(z, keys):
    """As a publisher would, on both servers; the answer of one shows that they have read it."""
    for zone, lines in (("t.org", t_org(keys)), ("tokens.org", tokens_org(keys)), ("good.org", GOOD + value_of(keys, "good.org")),
                        ("wild.org", GOOD + value_of(keys, "*.wild.org"))):
        z.first[zone] = z.second[zone] = z.text(lines, serial=2)
    z.first[f"{AT}.own.org"] = z.second[f"{AT}.own.org"] = z.text(value_of(keys, "own.org").replace(AT, "@"), serial=2)
    z.first["lame.org"] = z.text(GOOD + value_of(keys, "lame.org"), serial=2)
    for address, name in ((z.caa, "www.c01.org"), (z.no_tcp, "no-tcp.org")):
        z.hostile[address].records.append((f"{AT}.{name}", "TXT", hostile_dns.rdata("TXT", txt_value(keys[name]))))
    z.reload()
    probe.until(lambda: probe.dns_values(FIRST, "lame.org", "SOA")[0][2] == 2, 20, "lame.org")
    for server in (FIRST, SECOND):
        for zone in ("t.org", "tokens.org", "good.org", "wild.org", f"{AT}.own.org"):
            probe.until(lambda s=server, q=zone: probe.dns_values(s, q, "SOA")[0][2] == 2, 20, f"{zone} at {server}")
    probe.until(lambda: all(reloaded(child) for child in z.children if child.name == "second"), 20, "one process that answers")


class Agreement(unittest.TestCase):
    maxDiff = None

    def test_they_say_the_same(self):
        wanted = [(f"{n}.t.org", "dns") for n in TXT] + [(n, "dns") for n in ZONES] + [(f"{n}.org", "file") for n in WEB]
        wanted += [(f"{n}.org", "tls-alpn") for n in ALPN] + [(ADDRESSES["alpn-ip"], "tls-alpn")]
        wanted += [(ADDRESSES[n], "file") for n in ("file", "empty", "refused")]  # certificates for addresses (RFC 8738)
        with build() as world, concurrent.futures.ThreadPoolExecutor(4) as pool:
            pebble = Pebble()
            world.children.append(pebble)
            pebble.start()
            self.serve()
            client = Client(pebble.directory, pebble.bundle)
            kinds = {"dns": "dns-01", "file": "http-01", "tls-alpn": "tls-alpn-01"}
            opened = {n: client.challenge(n, kinds[how]) for n, how in wanted}
            keys = {n: key for n, (_, _, key) in opened.items()}
            KEYS.update({key.partition(".")[0]: key for key in keys.values()})
            publish(world, keys)
            self.serve_alpn(keys)
            for _, challenge, _ in opened.values():
                client.post(challenge["url"], {})
            ours = {n: pool.submit(zoo.check, n, "--value", txt_value(keys[n]) if how == "dns" else keys[n], validation=how)
                    for n, how in wanted}
            theirs = {n: self.verdict(client, url, n) for n, (url, _, _) in opened.items()}
            ours = {n: f.result()[1] for n, f in ours.items()}
        self.judge(ours, theirs)

    def serve(self):
        tls = web.tls_context(zoo.BASE)
        where = [(ADDRESSES[n], behave) for n, behave in WEB.items() if behave]
        servers = [web.Server(*w) for w in where] + [web.Server(TLS, token(), 443, tls), web.Server(ADDRESSES["file"], token(), 8080)]
        for server in servers:
            self.addCleanup(server.close)

    def serve_alpn(self, keys):
        for name, digest in [*ALPN.items(), ("alpn-ip", "{d}")]:
            if not digest:
                continue
            address = ADDRESSES[name] if name == "alpn-ip" else None
            folder, key = f"{zoo.BASE}/{name}", keys[address or f"{name}.org"].encode()
            sni = ".".join(reversed(address.split("."))) + ".in-addr.arpa" if address else f"{name}.org"  # RFC 8738 section 6
            value = digest.format(d=hashlib.sha256(key).hexdigest())
            os.makedirs(folder)
            probe.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                          "-keyout", f"{folder}/key", "-out", f"{folder}/pem", "-addext", f"subjectAltName={f'IP:{address}' if address else f'DNS:{name}.org'}",
                          "-addext", f"1.3.6.1.5.5.7.1.31=critical,DER:0420{value}")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(f"{folder}/pem", f"{folder}/key")
            context.set_alpn_protocols(["acme-tls/1"])
            context.sni_callback = lambda _, asked, __, want=sni: None if asked == want else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            server = web.Server(ADDRESSES[name], web.silent, 443, context)
            self.addCleanup(server.close)

    @staticmethod
    def verdict(client, url, name):
        seen = []
        def ended():
            seen[:] = client.verdict(url)
            return seen[0] != "pending"
        probe.until(ended, 90, f"Pebble's verdict on {name}")
        return seen[0], seen[1]

    def judge(self, ours, theirs):
        differ, judged = [], 0
        for name, (status, why) in theirs.items():
            document = ours[name]
            yes, we = status == "valid", document["verdict"] == "would-validate"
            grave = [f["id"] for f in document["findings"] if f["severity"] in ("fatal", "error")]
            print(f"{name:22} Pebble {status:8} dcvctl {document['verdict']:15} {' '.join(grave):16} {EXCEPTIONS.get(name, (0, why))[1][:90]}")
            if STOOD_STILL in why:  # Pebble knows nothing of the zone
                continue
            if name in EXCEPTIONS:
                self.assertEqual((yes, we), (not EXCEPTIONS[name][0], EXCEPTIONS[name][0]), f"{name} is no exception any more: {why}")
                continue
            judged += 1
            if yes != we:
                differ.append((name, status, why, [(f["id"], f["message"]) for f in document["findings"]], document["unverifiable"]))
        self.assertEqual(differ, [])
        self.assertGreaterEqual(judged, 30)
        self.assertGreaterEqual(sum(status == "valid" for status, _ in theirs.values()), 12)


if __name__ == "__main__":
    unittest.main()
