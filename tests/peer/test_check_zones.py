"""dcvctl check on a zoo of zones: for each id of groups D, T, C and S a broken zone whose fault and culprit are named, and a
healthy twin in which the id is silent. The matrix is printed."""

import collections
import concurrent.futures
import json
import os
import re
import time
import unittest

import hostile_dns
import probe
import zoo
from hostile_dns import FORMERR, NOTIMP, NXDOMAIN, REFUSED, SERVFAIL, SILENT, TYPES
from zoo import FIRST, PRIVATE, SAME, SECOND, Zoo

VALUE = "LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ"
OLD = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
GOOD = '@ 60 A 45.1.1.1\nwww 60 A 45.1.1.1\n@ 60 CAA 0 issue "ca.example"\n@ 60 CAA 0 iodef "mailto:x@good.org"\n'


def when(kind, **change):
    """Bends the answers to questions of one type."""
    def bend(q, reply, tcp):
        if q.type == TYPES[kind]:
            for key, value in change.items():
                setattr(reply, key, value)
            if "rcode" in change:
                reply.answer = []
    return bend


def q_type(q):
    return next((k for k, v in TYPES.items() if v == q.type), "")


def always(**change):
    def bend(q, reply, tcp):
        for key, value in change.items():
            setattr(reply, key, value)
    return bend


def silent(q, reply, tcp):
    return SILENT


def upwards(q, reply, tcp):
    reply.aa, reply.answer = False, []
    reply.authority = [("", "NS", hostile_dns.rdata("NS", "ns.nic.net"))]


def formerr(q, reply, tcp):
    if q.edns:
        reply.rcode, reply.edns, reply.answer, reply.authority = FORMERR, False, [], []


def no_edns(q, reply, tcp):
    return SILENT if q.edns else None


def lower(q, reply, tcp):
    reply.name = reply.name.lower()


def limiter():
    seen = {}
    def bend(q, reply, tcp):
        seen[q.name, q.type, q.edns] = seen.get((q.name, q.type, q.edns), 0) + 1
        return SILENT if not tcp and not q.edns and seen[q.name, q.type, q.edns] > 4 else None
    return bend


def cut_caa(q, reply, tcp):
    if q.type == TYPES["CAA"] and q.name == "www.c11.org":
        if tcp:
            return SILENT
        reply.tc, reply.answer = True, []


def deny_parents(q, reply, tcp):
    if q.name == "sub.t13.org":
        reply.rcode, reply.answer = NXDOMAIN, []


def both(q, reply, tcp):
    if q.name == "_acme-challenge.t17.org" and q.type == TYPES["TXT"]:
        reply.answer = [(q.name, "TXT", hostile_dns.rdata("TXT", OLD))]


def loop_pointer(q, reply, tcp):
    return reply.wire()[:12] + b"\xc0\x0c" + b"\0\x06\0\x01"


def wrong_id(q, reply, tcp):
    wire = bytearray(reply.wire())
    wire[0] ^= 0x55
    return bytes(wire)


def cut_all(q, reply, tcp):
    if not tcp:
        reply.tc, reply.answer = True, []


def flapping():
    """The record is there and not there, one question after another."""
    seen = []
    def bend(q, reply, tcp):
        if q.type == TYPES["TXT"]:
            seen.append(q)
            if len(seen) % 2:
                reply.answer = []
    return bend


def short(q, reply, tcp):
    return reply.wire()[:14]


def lying(q, reply, tcp):
    wire = bytearray(reply.wire())
    wire[6:8] = b"\xff\xff"
    return bytes(wire)


# id, severity, name, what the finding must name, more arguments. The healthy twin is good.org or the one in TWINS.
CASES = [
    ("N08", "fatal", "www.nosuch-domain.org", "nosuch-domain.org"),
    ("D01", "fatal", "d01.org", "d01.org"),
    ("D02", "error", "d02.org", "gone.host.net"),
    ("D03", "warning", "d03.org", "alias.host.net"),
    ("D04", "warning", "d04.org", "ns3.host.net"),
    ("D05", "error", "d05.org", f"ns2.host.net ({SECOND})"),
    ("D05", "error", "d05-noaa.org", "hd05-noaa-org.host.net"),
    ("D05", "error", "d05-upwards.org", "hd05-upwards-org.host.net"),
    ("D05", "error", "d05-servfail.org", "hd05-servfail-org.host.net"),
    ("D06", "error", "d06.org", "hd06-org.host.net"),
    ("D07", "error", "d07.org", "hd07-org.host.net"),
    ("D08", "error", "d08.org", f"ns2.host.net ({SECOND}) serves serial 3"),
    ("D09", "error", "d09.org", f"ns2.host.net ({SECOND})", "--value", VALUE),
    ("D10", "warning", "d10.org", "ns1.d10.org"),
    ("D11", "info", "d11.org", "d11.org"),
    ("D11", "info", "d01.org", "single"),
    ("D12", "error", "d12.org", PRIVATE),
    ("D13", "fatal", "d13.org", "hd13-org.host.net"),
    ("D13", "fatal", "d13-silent.org", "hd13-silent-org.host.net"),
    ("D14", "warning", "d14.org", "hd14-org.host.net"),
    ("D14", "warning", "d14-silent.org", "hd14-silent-org.host.net"),
    ("D15", "warning", "d15.org", "hd15-org.host.net"),
    ("D16", "warning", "d16.org", "45.9.9.9"),
    ("D17", "info", "d17.org", "hd17-org.host.net"),
    ("T01", "fatal", "t01.org", "_acme-challenge.t01.org"),
    ("T02", "fatal", "t02.t.org", "_acme-challenge.t02.t.org", "--value", VALUE),
    ("T03", "fatal", "t03.t.org", "_acme-challenge.t03.t.org", "--value", VALUE),
    ("T04", "fatal", "t04.t.org", "_acme-challenge.t04.t.org", "--value", VALUE),
    ("T05", "info", "t05.t.org", "_acme-challenge.t05.t.org", "--value", VALUE),
    ("T06", "fatal", "t06.t.org", "_acme-challenge.t06.t.org", "--value", VALUE),
    ("T07", "fatal", "t07.t.org", "_acme-challenge.t07.t.org", "--value", VALUE),
    ("T08", "fatal", "t08.t.org", "_acme-challenge.t08.t.org", "--value", VALUE),
    ("T09", "error", "t09.t.org", "_acme-challenge.t09.t.org", "--value", VALUE),
    ("T10", "warning", "t10.t.org", "_acme-challenge.t10.t.org.t.org"),
    ("T11", "warning", "t11.t.org", "_acme-challenge.t11.t.org"),
    ("T12", "warning", "t12.t.org", "www.t.org"),
    ("T13", "warning", "www.sub.t13.org", "denies sub.t13.org"),
    ("T14", "info", "t14.t.org", "t14.tokens.org"),
    ("T15", "fatal", "t15.t.org", "loops at"),
    ("T15", "fatal", "t15long.t.org", "too long"),
    ("T16", "fatal", "t16.t.org", "x.nosuch-domain.org"),
    ("T17", "error", "t17.org", "_acme-challenge.t17.org"),
    ("T18", "info", "t18.org", "_acme-challenge.t18.org"),
    ("T19", "warning", "t19.t.org", "_acme-challenge.t19.t.org"),
    ("C01", "fatal", "www.c01.org", "www.c01.org"),
    ("C02", "fatal", "c02.c.org", "other.example"),
    ("C02", "fatal", "deep.below.c02.c.org", "c02.c.org"),
    ("C03", "fatal", "c03.c.org", "future"),
    ("C04", "fatal", "c04.c.org", "c04.c.org"),
    ("C05", "fatal", "*.c05.c.org", "c05.c.org"),
    ("C08", "warning", "c08.c.org", "c08.c.org"),
    ("C09", "warning", "c09.c.org", "CA.example"),
    ("C10", "info", "c10.c.org", "c02.c.org"),
    ("C11", "fatal", "www.c11.org", "www.c11.org"),
    ("C12", "error", "c12.org", f"ns2.host.net ({SECOND})"),
    ("C13", "info", "c13.c.org", "c13.c.org"),
    ("C07", "fatal", "c07.c.org", "http-01"),
    ("S01", "fatal", "s01.org", "s01.org"),
    ("S02", "fatal", "s02.org", "s02.org"),
    ("S03", "fatal", "s03.org", "s03.org"),
    ("S04", "warning", "s04.org", "ns1.host.net"),
    ("S05", "fatal", "s05.org", f"ns2.host.net ({SECOND})"),
    ("S06", "fatal", "s06.org", "s06.org"),
    ("S07", "warning", "s07.org", "SHA-1"),
    ("S08", "warning", "s08.org", "12 NSEC3 iterations"),
    ("S09", "fatal", "s09.t.org", "x.s03.org"),
    ("W01", "info", "w01.org", "3600 s"),
    ("D06", "error", "pointer.org", "hpointer-org.host.net"),  # no answer to the question: dropped as a forgery would be
    ("D06", "error", "short.org", "hshort-org.host.net"),
    ("D05", "error", "lying.org", "cannot be read"),
    ("D06", "error", "wrong-id.org", "hwrong-id-org.host.net"),
    ("D06", "error", "wrong-question.org", "hwrong-question-org.host.net"),
    ("D06", "error", "empty.org", "hempty-org.host.net"),
    ("D01", "fatal", "mute.org", "mute.org"),
    ("D05", "error", "formerr.org", "hformerr-org.host.net"),
    ("D05", "error", "notimp.org", "hnotimp-org.host.net"),
    ("D09", "error", "flaps.org", "hflaps-org.host.net", "--value", VALUE),
]
# What the names themselves say, all of them in one run; and what is said of addresses, without a zone or by file.
NAMES = [
    ("N01", "edge-.good.org", "begins or ends with a hyphen"),
    ("N01", "a..good.org", "an empty label"),
    ("N01", "gr\u00fcn.good.org", "write it as xn--grn-ioa.good.org"),
    ("N02", "ab--cd.good.org", "ab--cd"),
    ("N03", "45.1.1.1", "IP address"),
    ("N04", "a.*.good.org", "a single leading"),
    ("N07", "co.uk", "public suffix"),
    ("N07", "host.corp", "private name"),
    ("N09", "1.1.1.45.in-addr.arpa", "reverse zones"),
    ("N10", "a_b.good.org", "ask for *.good.org instead"),
    ("N10", "a_b.com", "no certificate of a public CA"),
    ("N12", "www.good.org", "already covered by *.good.org"),
]
FILES = [("N05", "*.good.org", "only validated through DNS"), ("H02", "h02.org", "SERVFAIL"), ("H03", "h03.org", "10.20.30.40")]
HEALTHY = ("cut.org", "six.org", "counted.org", "www.counted.org")  # odd, and nothing to a CA
# A healthy neighbour in which the id stays silent though the thing it is about is there.
TWINS = {"T02": ("value.t.org", "--value", VALUE), "T03": ("value.t.org", "--value", VALUE), "T04": ("value.t.org", "--value", VALUE),
         "T05": ("value.t.org", "--value", VALUE), "T06": ("value.t.org", "--value", VALUE), "T07": ("value.t.org", "--value", VALUE),
         "T08": ("value.t.org", "--value", VALUE), "T09": ("both.t.org", "--value", VALUE), "D09": ("value.t.org", "--value", VALUE),
         "T01": ("value.t.org", "--value", VALUE), "T15": ("t14.t.org",), "T16": ("t14.t.org",), "T17": ("t14.t.org",),
         "T10": ("t11.t.org",), "T19": ("both.t.org",), "C05": ("*.wild.c.org",), "C02": ("deep.good.c.org",), "C04": ("good.c.org",),
         "C03": ("known.c.org",), "C08": ("good.c.org",), "C09": ("good.c.org",), "C07": ("method.c.org",),
         **{f"S0{i}": ("signed.org",) for i in range(1, 9)}, "S09": ("s-alias.t.org",)}


def build():
    z = Zoo()
    z.add("good.org", GOOD)
    z.bad("d01.org", always(rcode=REFUSED, aa=False))
    z.add("d02.org", GOOD, ns=("ns1.host.net", "ns2.host.net", "gone.host.net"))
    z.host_lines.append("alias 60 CNAME ns2\n")
    z.add("d03.org", GOOD, ns=("ns1.host.net", "alias.host.net"))
    z.add("d04.org", GOOD, ns=("ns1.host.net", "ns3.host.net"), parent=("ns1.host.net", "ns2.host.net"), at=("first", "second", "third"))
    z.add("d05.org", GOOD, at=("first",))
    z.bad("d05-noaa.org", always(aa=False), beside=True)
    z.bad("d05-upwards.org", upwards, beside=True)
    z.bad("d05-servfail.org", always(rcode=SERVFAIL), beside=True)
    z.bad("d06.org", silent, beside=True)
    z.bad("d07.org", None, beside=True, tcp=False)
    z.add("d08.org", GOOD, serials={"first": 5, "second": 3})
    z.add("d09.org", GOOD + f'_acme-challenge 60 TXT "{VALUE}"\n', second=GOOD)
    z.add("d10.org", GOOD + "ns1 60 A 45.61.1.2\nns2 60 A 45.62.1.1\n", ns=("ns1.d10.org", "ns2.d10.org"),
          glue=[("ns1.d10.org", FIRST), ("ns2.d10.org", SECOND)])
    z.add("d11.org", GOOD + f"ns1 60 A {FIRST}\nns2 60 A {SAME}\n", ns=("ns1.d11.org", "ns2.d11.org"), at=("first",),
          glue=[("ns1.d11.org", FIRST), ("ns2.d11.org", SAME)])
    z.add("d12.org", GOOD, ns=("ns1.host.net", z.host("inside", PRIVATE)))
    z.bad("d13.org", when("CAA", rcode=NOTIMP), beside=True)
    z.bad("d13-silent.org", lambda q, r, t: SILENT if q.type == TYPES["CAA"] else None, beside=True)
    z.bad("d14.org", formerr, beside=True)
    z.bad("d14-silent.org", no_edns, beside=True)
    z.bad("d15.org", lower, beside=True)
    z.add("d16.org", GOOD)
    z.local_data.append(("d16.org", "45.9.9.9"))
    z.bad("d17.org", limiter(), beside=True)
    z.bad("t01.org", when("TXT", rcode=SERVFAIL))
    challenge = "_acme-challenge"
    long_chain = "".join(f"l{i} 60 CNAME l{i + 1}\n" for i in range(12))
    z.add("t.org", GOOD + f"""
{challenge}.t03 60 TXT "\\"{VALUE}\\""
{challenge}.t04 60 TXT " {VALUE} "
{challenge}.t05 60 TXT "{VALUE[:20]}" "{VALUE[20:]}"
{challenge}.t06 60 TXT "{VALUE[:20]}"
{challenge}.t06 60 TXT "{VALUE[20:]}"
{challenge}.t07 60 TXT "{VALUE}="
{challenge}.t08 60 TXT "DGyRejmCefe7v4NfDGDKfA.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
{challenge}.t09 60 TXT "{OLD}"
{challenge}.value 60 TXT "{VALUE}"
{challenge}.both 60 TXT "{VALUE}"
{challenge}.both 60 TXT "{OLD}"
{challenge}.t10.t.org 60 TXT "{OLD}"
*.t11 60 TXT "v=spf1 -all"
*.t12 60 CNAME www
{challenge}.t14 60 CNAME t14.tokens.org.
{challenge}.t15 60 CNAME loop
loop 60 CNAME {challenge}.t15
{challenge}.t15long 60 CNAME l0
{long_chain}{challenge}.t16 60 CNAME x.nosuch-domain.org.
{challenge}.s09 60 CNAME x.s03.org.
{challenge}.s-alias 60 CNAME x.signed.org.
""" + "".join(f'{challenge}.t19 60 TXT "{i:043d}"\n' for i in range(25)) +
          "".join(f"{n} 60 A 45.1.1.1\n" for n in "t02 t03 t04 t05 t06 t07 t08 t09 t10 t11 t14 t15 t15long t16 t19 value both s09".split()))
    z.add("tokens.org", GOOD + f't14 60 TXT "{OLD}"\n')
    z.bad("t13.org", deny_parents, [("www.sub.t13.org", "A", "45.1.1.1")])
    z.bad("t17.org", both, [("_acme-challenge.t17.org", "CNAME", "www.t.org")])
    z.add("t18.org", GOOD + f"{challenge} 60 NS ns1.host.net.\n{challenge} 60 NS ns2.host.net.\n")
    for place in (z.first, z.second):
        place[f"{challenge}.t18.org"] = z.text("")
    z.bad("c01.org", lambda q, r, t: when("CAA", rcode=SERVFAIL)(q, r, t) if q.name == "www.c01.org" else None,
          [("www.c01.org", "A", "45.1.1.1")])
    iodef = '60 CAA 0 iodef "mailto:x@c.org"'
    z.add("c.org", f"""@ 60 A 45.1.1.1
c02 60 CAA 0 issue "other.example"
c03 60 CAA 128 future "x"
c03 60 CAA 0 issue "ca.example"
known 60 CAA 128 issue "ca.example"
c04 60 CAA 0 issue ";"
c05 60 CAA 0 issue "ca.example"
c05 60 CAA 0 issuewild "other.example"
wild 60 CAA 0 issue "other.example"
wild 60 CAA 0 issuewild "ca.example"
c07 60 CAA 0 issue "ca.example; validationmethods=http-01"
method 60 CAA 0 issue "ca.example; validationmethods=dns-01"
c08 60 CAA 0 issue "ca.example; a b"
c08 60 CAA 0 issue "ca.example"
c09 60 CAA 0 issue "CA.example"
c09 60 CAA 0 issue "ca.example"
c10 60 CNAME c02
c13 60 CAA 0 issue "ca.example"
good 60 CAA 0 issue "ca.example"
good {iodef}
""")
    z.bad("c11.org", cut_caa, [("www.c11.org", "A", "45.1.1.1")])
    z.add("c12.org", GOOD, second=GOOD.replace('issue "ca', 'issue "other'))
    other = "3600 IN DS 12345 13 2 " + "ab" * 32
    z.signed("signed.org", GOOD)
    z.signed("s01.org", GOOD, ds=f"s01.org. {other}")
    z.signed("s02.org", GOOD, ds=f"s02.org. {other}", anchor=False)
    z.signed("s03.org", GOOD, expires=-86400)
    z.signed("s04.org", GOOD, expires=86400)
    z.signed("s05.org", GOOD, second=z.text(GOOD), anchor=False)
    z.signed("s06.org", GOOD, anchor=False, change=lambda t: "".join(
        l for l in t.splitlines(True) if "\tNSEC\t" not in l and "RRSIG\tNSEC" not in l))
    z.signed("s07.org", GOOD, digest="-1")
    z.signed("s08.org", GOOD, options=("-n", "-t", "12"))
    z.add("w01.org", GOOD, negative=3600)
    z.counted = collections.Counter()
    z.bad("counted.org", lambda q, r, t: z.counted.update([(q.name, q.type, t, q.edns)]), [("www.counted.org", "A", "45.1.1.1")], beside=True)
    z.bad("h02.org", lambda q, r, t: when(q_type(q), rcode=SERVFAIL)(q, r, t) if q_type(q) in ("A", "AAAA") else None)
    z.add("h03.org", GOOD.replace("45.1.1.1", "10.20.30.40"))
    z.bad("pointer.org", loop_pointer, beside=True)
    z.bad("short.org", short, beside=True)
    z.bad("lying.org", lying, beside=True)
    z.bad("wrong-id.org", wrong_id, beside=True)
    z.bad("wrong-question.org", lambda q, r, t: setattr(r, "name", "another.example"), beside=True)
    z.bad("empty.org", lambda q, r, t: b"", beside=True)
    z.bad("mute.org", silent)
    z.bad("formerr.org", always(rcode=FORMERR), beside=True)
    z.bad("notimp.org", always(rcode=NOTIMP), beside=True)
    z.bad("flaps.org", flapping(), [(f"{challenge}.flaps.org", "TXT", VALUE)], beside=True)
    z.first["flaps.org"] += f'{challenge} 60 TXT "{VALUE}"\n'
    z.bad("cut.org", cut_all, beside=True)  # healthy: what is cut over UDP comes over TCP
    z.host_lines.append("six 60 AAAA 2a00:99::1\nsix 60 A 45.62.1.1\n")
    z.add("six.org", GOOD, ns=("ns1.host.net", "six.host.net"))  # healthy: an IPv6 address that this host cannot try
    return z


# Not of this world: T20 to T23 and C06 need what a test of their own has, C14 and D18 are never judged from one host.
NOT_HERE = {"D18", "C14", "C06", "S10", "T20", "T21", "T22", "T23"}


def catalogue():
    text = probe.read_text(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "docs", "checks.md"))
    return re.findall(r"(?m)^\| ([A-Z][0-9]{2}) \|", text)


def asked_too_often(counted):
    """Questions about counted.org. For the zone's CAA each server is asked once by the run, for all certificates of the zone, and once
    by the resolver; about a challenge no resolver asks, and nobody twice."""
    return {k: n for k, n in counted.items() if n > (2 if k[1] == TYPES["CAA"] else 1 if k[0].startswith("_") else n)}


def found(document, ident):
    return [f for f in document["findings"] if f["id"] == ident]


class Zones(unittest.TestCase):
    maxDiff = None

    def test_each_fault_is_named_and_its_twin_is_silent(self):
        wanted = {(c[2], *c[4:]) for c in CASES} | set(TWINS.values()) | {(n,) for n in ("good.org", *HEALTHY)}
        began = time.monotonic()
        with build() as world, concurrent.futures.ThreadPoolExecutor(3) as pool:
            print(f"the zoo is open after {time.monotonic() - began:.1f} s")
            plain = pool.submit(zoo.check_all, sorted(w[0] for w in wanted if len(w) == 1))
            value = pool.submit(zoo.check_all, sorted(w[0] for w in wanted if len(w) > 1), "--value", VALUE)
            alone = pool.submit(lambda: [zoo.check(n) for n in ("good.org", "d05.org")])
            files = pool.submit(zoo.check, " ".join(n for _, n, _ in FILES), validation="file")
            names = pool.submit(zoo.check, " ".join(["good.org", "*.good.org", *(n for _, n, _ in NAMES)]))
            many = pool.submit(zoo.check, " ".join(f"n{i}.good.org" for i in range(101)), caa="letsencrypt.org")
            seen = {(n,): d for n, d in plain.result().items()} | {(n, "--value", VALUE): d for n, d in value.result().items()}
            alone, names, files, many = alone.result(), names.result()[1], files.result()[1], many.result()[1]
            asked, counted = world.asked(), dict(world.counted)

            def once():
                """A question whose answer is late is sent again: then it is looked at without the crowd of the others."""
                if asked_too_often(world.counted):
                    world.counted.clear()
                    zoo.check_all(["counted.org", "www.counted.org", "d05.org"])
                return not asked_too_often(world.counted)
            probe.until(once, 10, f"each asked as often as needed, not {asked_too_often(world.counted)}")
        print(f"looked at {len(wanted)} certificates after {time.monotonic() - began:.1f} s")
        self.judge(seen)
        self.of_names(names, files, many)
        self.hygiene(asked)
        self.assertTrue([k for k in counted if k[0].startswith("_")], counted)
        self.assertGreater(len(counted), 8)
        self.by_name(*alone)

    def judge(self, seen):
        wrong = []
        for ident, severity, name, culprit, *more in CASES:
            document = seen[name, *more]
            hits = [f for f in found(document, ident) if culprit in json.dumps(f, ensure_ascii=False)]
            twin = TWINS.get(ident, ("good.org",))
            quiet = not found(seen[twin], ident)
            good = bool(hits) and hits[0]["severity"] == severity and (hits[0]["fix"] != "" or ident in ("T14", "T18"))
            grave = severity not in ("fatal", "error") or document["verdict"] == "would-fail"
            print(f"{ident}  {severity:8} {name:26} {'named' if good else 'MISSED':7} twin {twin[0]:18} {'silent' if quiet else 'NOISY'}")
            if not (good and quiet and grave):
                wrong.append((ident, name, [(f["id"], f["message"]) for f in document["findings"]], document["unverifiable"][:8], quiet))
        self.assertEqual(wrong, [])
        for name, ident, lines in (("s03.org", "S03", 2), ("s04.org", "S04", 2), ("s05.org", "S05", 1), ("s05.org", "S02", 0), ("s05.org", "S06", 0)):
            self.assertEqual(len(found(seen[name,], ident)), lines, f"{ident}: one line for each server")
        self.assertIn("group S (DNSSEC)", found(seen["s01.org",], "C01")[0]["fix"])
        self.assertEqual(found(seen["t19.t.org",], "T07"), [])
        self.assertNotIn("at worst", found(seen["t01.org",], "W03")[0]["message"])  # a single server has no secondary
        self.assertIn("_acme-challenge.t15.t.org -> loop.t.org -> _acme-challenge.t15.t.org", found(seen["t15.t.org",], "T15")[0]["fix"])
        for name in HEALTHY:
            self.assertEqual([f for f in seen[name,]["findings"] if f["severity"] in ("fatal", "error") and f["id"][0] not in "OL"], [], name)
        self.assertEqual({i[0] for i in CASES if i[0][0] in "DTCS"} | NOT_HERE,
                         {i for i in catalogue() if i[0] in "DTCS"})

    def of_names(self, names, files, many):
        for document, cases in ((names, NAMES), (files, FILES)):
            for ident, name, word in cases:
                said = [f for f in found(document, ident) if f["subject"] == name and word in f["message"] + f["fix"]]
                print(f"{ident}  {'':8} {name:26} {'named' if said else 'MISSED'}")
                self.assertEqual(len(said), 1, (ident, name, found(document, ident)))
                self.assertTrue(said[0]["fix"])
            self.assertEqual([f for f in document["findings"] if f["id"][0] == "N" and f["subject"] == "good.org"], [])
        self.assertEqual({f["id"] for f in names["findings"] if f["id"][0] == "N"}, {c[0] for c in NAMES})
        self.assertEqual([f["severity"] for f in found(many, "N11")], ["fatal"], many["findings"])
        self.assertEqual(found(names, "N11"), [])

    def by_name(self, good, bad):
        self.assertEqual((good[0], good[1]["verdict"]), (0, "would-validate"))
        self.assertEqual([f for f in good[1]["findings"] if f["severity"] != "info"], [])
        self.assertEqual({s["address"] for s in good[1]["servers"]}, {FIRST, SECOND})
        self.assertTrue(all(s["rcode"] == "NOERROR" and s["aa"] and s["serial"] == 1 for s in good[1]["servers"]), good[1]["servers"])
        self.assertEqual((bad[0], bad[1]["verdict"], bad[1]["summary"]["error"]), (1, "would-fail", 1))

    def hygiene(self, asked):
        """I7: no challenge name and no random sibling was asked at a resolver, but for names whose value every server showed."""
        shown = {f"_acme-challenge.{n}.t.org" for n in ("value", "both", "t05")}
        self.assertGreater(len(asked), 50)
        self.assertEqual({n for n, _ in asked if "_" in n} - shown, set())
        self.assertEqual([n for n, _ in asked if re.match(r"[a-z]{16}\.", n)], [])
        self.assertIn(("_acme-challenge.value.t.org", "TXT"), asked)


if __name__ == "__main__":
    unittest.main()
