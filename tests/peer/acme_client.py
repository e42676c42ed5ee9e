"""A small ACME client of the tests' own (RFC 8555): it opens orders and has the CA try, right or wrong."""

import base64
import hashlib
import json
import re
import ssl
import urllib.error
import urllib.request

import probe
from servers import BASE


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Client:
    def __init__(self, directory, bundle):
        self.context = ssl.create_default_context(cafile=bundle)
        self.key = f"{BASE}/acme-client.pem"
        probe.openssl("genrsa", "-out", self.key, "2048")
        modulus = probe.openssl("rsa", "-in", self.key, "-noout", "-modulus").strip().partition("=")[2]
        self.jwk = {"e": "AQAB", "kty": "RSA", "n": b64(bytes.fromhex(modulus))}
        self.thumbprint = b64(hashlib.sha256(json.dumps(self.jwk, sort_keys=True, separators=(",", ":")).encode()).digest())
        self.nonce = self.account = None
        self.directory = json.loads(self._http("GET", directory)[0])
        self.account = self.post(self.directory["newAccount"], {"termsOfServiceAgreed": True})[1]["Location"]

    def _http(self, method, url, body=None):
        request = urllib.request.Request(url, body, {"Content-Type": "application/jose+json"}, method=method)
        try:
            with urllib.request.urlopen(request, context=self.context, timeout=20) as reply:
                return reply.read(), reply.headers
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{url}: {error.code} {error.read().decode()}") from None

    def _sign(self, data):
        path = f"{BASE}/acme-client.in"
        with open(path, "wb") as f:
            f.write(data)
        probe.openssl("dgst", "-sha256", "-sign", self.key, "-out", f"{BASE}/acme-client.out", path)
        with open(f"{BASE}/acme-client.out", "rb") as f:
            return f.read()

    def post(self, url, payload=None):
        """payload None: POST-as-GET."""
        nonce = self.nonce or self._http("HEAD", self.directory["newNonce"])[1]["Replay-Nonce"]
        who = {"kid": self.account} if self.account else {"jwk": self.jwk}
        protected = b64(json.dumps({"alg": "RS256", "nonce": nonce, "url": url, **who}).encode())
        body = "" if payload is None else b64(json.dumps(payload).encode())
        signature = b64(self._sign(f"{protected}.{body}".encode()))
        text, headers = self._http("POST", url, json.dumps({"protected": protected, "payload": body, "signature": signature}).encode())
        self.nonce = headers["Replay-Nonce"]
        return json.loads(text) if text else None, headers

    def challenge(self, name, kind):
        """An order for this name: (URL of its authorization, the challenge, its key authorization)."""
        kind_of_name = "ip" if name.replace(".", "").isdigit() else "dns"
        order, _ = self.post(self.directory["newOrder"], {"identifiers": [{"type": kind_of_name, "value": name}]})
        url = order["authorizations"][0]
        authorization, _ = self.post(url)
        found = next(c for c in authorization["challenges"] if c["type"] == kind)
        return url, found, f"{found['token']}.{self.thumbprint}"

    def verdict(self, authorization):
        """(status, why) of an authorization; status "pending" while the CA tries."""
        now, _ = self.post(authorization)
        why = next((c["error"]["detail"] for c in now["challenges"] if "error" in c), "")
        return now["status"], re.sub(r"\s+", " ", why)


def txt_value(key_authorization):
    return b64(hashlib.sha256(key_authorization.encode()).digest())
