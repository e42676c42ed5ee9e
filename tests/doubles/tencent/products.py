"""What a PackageType number means: class, brand, wildcard, free, SM2; and which part of a name is registrable."""

import functools
import os
import re

DV = "2 83 11 12 25 26 27 42 48 49 50 33 34 35 54 55 56"
OV = ("5 6 7 9 10 13 14 15 18 19 21 22 23 28 29 30 43 44 45 57 58 75 76 78 79 81 82 88 89 92 93 97 98 99 100 "
      "37 38 39 51 52 53")
EV = "3 4 8 16 17 20 24 31 32 46 47 59 60 61 77 80 85 90 91 94 95 96 101 40 41"
CLASS = {number: name for name, text in (("DV", DV), ("OV", OV), ("EV", EV)) for number in text.split()}
BRANDS = (("TrustAsia", ((2, 2), (11, 17), (21, 21), (42, 42), (83, 83))),
          ("SecureSite", ((3, 7), (57, 60), (75, 77), (92, 97))),
          ("GeoTrust", ((8, 10), (61, 61), (78, 80), (91, 91))),
          ("GlobalSign", ((18, 20), (22, 24), (81, 82), (85, 85), (88, 90))),
          ("Wotrus", ((25, 35), (37, 41))), ("DNSPod", ((43, 56),)), ("CFCA", ((98, 101),)))
SM2 = {str(n) for n in (*range(33, 36), *range(37, 42), *range(51, 57))}
FREE = {"2", "83"}
SUFFIX_FILE = os.path.join(os.sep, "usr", "share", "publicsuffix", "public_suffix_list.dat")


class Product:
    """One PackageType; None is an uploaded certificate."""

    def __init__(self, package_type):
        self.number = package_type
        self.kind = CLASS.get(package_type)
        self.free = package_type in FREE
        self.sm2 = package_type in SM2
        self.brand = next((name for name, ranges in BRANDS if package_type and
                           any(low <= int(package_type) <= high for low, high in ranges)), None)
        self.paid_dv = self.kind == "DV" and not self.free
        # Human review and validation waivers as the console describes them for these two families.
        own = self.brand == "Wotrus" or (self.brand == "DNSPod" and self.sm2)
        self.reviewed_here = self.kind in ("OV", "EV") and own
        self.reviewed = self.kind in ("OV", "EV")
        self.waivers = self.paid_dv or self.reviewed_here
        self.scans_on_command = self.brand not in ("DNSPod", "Wotrus")
        self.uses_cname = self.brand in ("DNSPod", "Wotrus")
        self.name = f"{self.brand or 'Unknown'} {'free ' if self.free else ''}{self.kind or ''}".strip()


@functools.lru_cache(maxsize=1)
def _suffixes():
    try:
        with open(SUFFIX_FILE, encoding="utf-8") as f:
            icann = f.read().partition("===END ICANN DOMAINS===")[0]
    except OSError:
        return frozenset()
    return frozenset(line.strip() for line in icann.splitlines() if re.match(r"[^/\s]", line))


def primary_domain(name):
    """The registrable domain of a host name or wildcard; the name itself if it has no more labels."""
    labels = name.lower().rstrip(".").removeprefix("*.").split(".")
    rules = _suffixes()
    for at in range(len(labels)):
        tail = ".".join(labels[at:])
        if "!" + tail in rules:
            return tail
        if tail in rules or "*." + ".".join(labels[at + 1:]) in rules or at == len(labels) - 1:
            return ".".join(labels[max(0, at - 1):])
    return name
