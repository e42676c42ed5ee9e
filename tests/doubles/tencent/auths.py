"""What the service asks a customer to publish: DvAuths of an order, and which hosts a file must stand on."""

import hashlib
import secrets
import string
import time

from products import primary_domain

FILE_PATH = "/.well-known/pki-validation/"
EMPTY = {"DvAuthKey": None, "DvAuthValue": None, "DvAuthDomain": None, "DvAuthPath": None, "DvAuthKeySubDomain": "",
         "DvAuths": None}


def bases(names):
    """Each name once, wildcards by their base, in the order given."""
    return list(dict.fromkeys(name.lower().removeprefix("*.") for name in names))


def _random(count, letters=string.ascii_lowercase + string.digits):
    return "".join(secrets.choice(letters) for _ in range(count))


def _hex():
    return _random(32, "0123456789abcdef")


def _sub_domain(owner, domain):
    return owner.removesuffix("." + primary_domain(domain))


def _auth(kind, domain, key, value, path=""):
    return {"DvAuthKey": key, "DvAuthValue": value, "DvAuthDomain": domain, "DvAuthPath": path,
            "DvAuthSubDomain": "" if kind == "FILE" else _sub_domain(key, domain), "DvAuthVerifyType": kind}


def make(names, method, product, now):
    """The DvAuths of a new order: one per domain to prove."""
    if method == "FILE":
        if product.uses_cname:
            key = _random(32, "0123456789ABCDEF") + ".txt"
            value = f"{hashlib.sha256(key.encode()).hexdigest()}\ntrust-provider.com\n{_random(12)}"
        else:
            key, value = "fileauth.txt", time.strftime("%Y%m%d", time.gmtime(now + 8 * 3600)) + _random(32)
        return [_auth("FILE", domain, key, value, FILE_PATH) for domain in bases(names)]
    found = []
    for domain in bases(names):
        if product.uses_cname:
            target = f"{_hex()}.{_hex()}.cmcd{_random(10)}.trust-provider.com"
            found.append(_auth("CNAME", domain, f"_{_hex()}.{domain}", target))
        else:
            value = time.strftime("%Y%m%d%H%M%S", time.gmtime(now + 8 * 3600)) + _random(28)
            found.append(_auth("TXT", domain, f"_dnsauth.{domain}", value))
    return found


def mask(domain):
    head, dot, tail = domain.partition(".")
    return f"{head[:2]}****{head[-2:]}{dot}{tail}"


def detail(dv_auths, masked):
    """DvAuthDetail as DescribeCertificate shows it."""
    if not dv_auths:
        return dict(EMPTY)
    first = dv_auths[0]
    domain = first.get("DvAuthDomain")
    return {"DvAuthKey": first.get("DvAuthKey"), "DvAuthValue": first.get("DvAuthValue"),
            "DvAuthDomain": mask(domain) if masked and domain else domain, "DvAuthPath": first.get("DvAuthPath"),
            "DvAuthKeySubDomain": first.get("DvAuthSubDomain") or "", "DvAuths": dv_auths}


def companions(host):
    """The hosts a validation file for this host must stand on, itself first."""
    if host.startswith("www."):
        return [host, host[4:]]
    if host == primary_domain(host):
        return [host, "www." + host]
    return [host]
