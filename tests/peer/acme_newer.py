"""What ACME has that Debian's Pebble has not, put before it from the texts of the RFC and the drafts: renewal information
(RFC 9773), Retry-After on polling, profiles (draft-ietf-acme-profiles), refused kinds of account keys (RFC 8555 section 6.2), dns-account-01 (draft-ietf-acme-dns-account-label)
and dns-persist-01 (draft-ietf-acme-dns-persist). Signatures, nonces, orders and certificates stay Pebble's; the two
challenges are looked up here, and a good one is handed to a Pebble that takes every answer (PEBBLE_VA_ALWAYS_VALID)."""

import base64
import hashlib
import json
import re
import time

import probe
from acme_proxy import ADDRESS, PORT, Proxy
from servers import PRIMARY

HERE = f"https://{ADDRESS}:{PORT}"
URN = "urn:ietf:params:acme:error:"


def label(account):
    return "_" + base64.b32encode(hashlib.sha256(account.encode()).digest()[:10]).decode().lower()


def permits(record, issuers, account, wildcard, now):
    """The draft's section on records: an issue-value of RFC 8659 with these parameters."""
    issuer, *parameters = [part.strip() for part in record.split(";")]
    pairs = [tuple(x.strip() for x in parameter.split("=", 1)) for parameter in parameters]
    if any(len(pair) != 2 for pair in pairs):
        return False
    known = {}
    for tag, value in pairs:
        if tag.lower() in known:
            return False
        known[tag.lower()] = value
    return (issuer.lower().rstrip(".") in issuers and known.get("accounturi") == account and
            (not wildcard or known.get("policy", "").lower() == "wildcard") and
            int(known.get("persistuntil", now + 1)) > now)


class Newer(Proxy):
    def __init__(self, pebble, challenge=None, profiles=None, window=None, retry_after=None, algorithms=None):
        """challenge: the one that is offered, for dns-01. window(id): (start, end) of a certificate, unix times.
        algorithms: the only ones that accounts may sign with."""
        super().__init__(pebble)
        self.challenge, self.profiles, self.window, self.retry_after = challenge, profiles, window, retry_after
        self.algorithms = algorithms
        self.windows_asked, self.polls, self.offered, self.failed, self.signed_with = [], [], {}, {}, []
        self.told = []

    def asked(self, h, what, body):
        if what.startswith("GET /renewal-info/"):
            return self.renewal(h.path.rpartition("/")[2])
        if what == "POST /sign-me-up":
            self.signed_with.append(self.head(body)["alg"])
            if self.algorithms and self.signed_with[-1] not in self.algorithms:
                document = {"type": URN + "badSignatureAlgorithm", "detail": "not this one", "algorithms": self.algorithms}
                return 400, [("Content-Type", "application/problem+json")], json.dumps(document).encode()
        place = self.offered.get(h.path)
        if place and self.signed(body) == "{}" and not self.validates(h, body, place):
            return self.refused(h, place)
        self.told.append((what, time.monotonic()))
        status, headers, data = self.ask(h, body)
        return self.shaped(h, what, status, headers, data)

    def shaped(self, h, what, status, headers, data):
        if what == "GET /dir":
            document = json.loads(data)
            if self.window:
                document["renewalInfo"] = f"{HERE}/renewal-info"
            if self.profiles:
                document["meta"]["profiles"] = self.profiles
            return status, headers, json.dumps(document).encode()
        if what.startswith("POST /authZ/") and status == 200:
            return status, headers, self.authorization(h.path, data)
        if what.startswith("POST /my-order/"):
            self.polls.append(time.monotonic())
        if self.retry_after and what.startswith(("POST /my-order/", "POST /chalZ/", "POST /finalize-order/")):
            headers = [*headers, ("Retry-After", str(self.retry_after))]
        return status, headers, data

    # -- renewal information

    def renewal(self, identifier):
        self.windows_asked.append(identifier)
        stamp = lambda t: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(t))
        start, end = self.window(identifier)
        document = {"suggestedWindow": {"start": stamp(start), "end": stamp(end)}, "explanationURL": "https://ca.test/why"}
        return 200, [("Content-Type", "application/json"), ("Retry-After", "3600")], json.dumps(document).encode()

    # -- challenges

    def authorization(self, path, data):
        document = json.loads(data)
        if self.challenge and document["status"] == "pending":
            old = next(c for c in document["challenges"] if c["type"] == "dns-01")
            new = {**old, "type": self.challenge}
            if self.challenge == "dns-persist-01":
                del new["token"]
                new["issuer-domain-names"] = ["ca.test", "other.test"]
            if self.failed.get(path):
                new["status"], new["error"] = "invalid", {"type": URN + "unauthorized", "detail": self.failed[path]}
                document["status"] = "invalid"
            document["challenges"] = [new]
            self.offered[re.sub(r"^https://[^/]*", "", old["url"])] = (path, document["identifier"]["value"],
                                                                       document.get("wildcard", False))
        return json.dumps(document).encode()

    @staticmethod
    def head(body):
        head = json.loads(body)["protected"]
        return json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))

    def validates(self, h, body, place):
        path, name, wildcard = place
        account = self.head(body)["kid"]
        if self.challenge == "dns-account-01":
            found = probe.dns_values(PRIMARY, f"{label(account)}._acme-challenge.{name}", "TXT")
            good = any(re.fullmatch(r"[\w-]{43}", value) for value in found)
        else:
            found = probe.dns_values(PRIMARY, f"_validation-persist.{name}", "TXT")
            good = any(permits(value, ("ca.test", "other.test"), account, wildcard, int(time.time())) for value in found)
        if not good:
            self.failed[path] = f"nothing fits at {name}: {found}"
        return good

    def refused(self, h, place):
        """The answer of a challenge that failed at once; its authorization shows it."""
        document = {"type": self.challenge, "status": "invalid", "url": HERE + h.path}
        return 200, [("Content-Type", "application/json")], json.dumps(document).encode()
