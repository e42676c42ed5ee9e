"""TC3-HMAC-SHA256: signing (for tests) and verifying, as strict as the service."""

import hashlib
import hmac
import re
import time

from errors import ApiError

ALGORITHM = "TC3-HMAC-SHA256"
WINDOW_S = 300
AUTHORIZATION = re.compile(
    r"TC3-HMAC-SHA256 Credential=([A-Za-z0-9]{1,128})/(\d{4}-\d{2}-\d{2})/([a-z0-9]{1,32})/tc3_request, ?"
    r"SignedHeaders=([a-z0-9;-]{1,512}), ?Signature=([0-9a-f]{64})")


def sha256_hex(data):
    return hashlib.sha256(data).hexdigest()


def utc_date(timestamp):
    return time.strftime("%Y-%m-%d", time.gmtime(timestamp))


def signing_key(secret_key, date, service):
    key = hmac.digest(("TC3" + secret_key).encode(), date.encode(), "sha256")
    key = hmac.digest(key, service.encode(), "sha256")
    return hmac.digest(key, b"tc3_request", "sha256")


def canonical_request(headers, signed, body):
    """headers: lower-case names to values; signed: names in the order of SignedHeaders."""
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in signed)
    return f"POST\n/\n\n{lines}\n{';'.join(signed)}\n{sha256_hex(body)}"


def string_to_sign(timestamp, service, canonical):
    scope = f"{utc_date(int(timestamp))}/{service}/tc3_request"
    return f"{ALGORITHM}\n{timestamp}\n{scope}\n{sha256_hex(canonical.encode())}"


def signature(secret_key, timestamp, service, headers, signed, body):
    text = string_to_sign(timestamp, service, canonical_request(headers, signed, body))
    return hmac.digest(signing_key(secret_key, utc_date(int(timestamp)), service), text.encode(), "sha256").hex()


def sign(secret_id, secret_key, host, body, timestamp=None, service="ssl", content_type="application/json"):
    """The headers of a signed POST (host is what the Host header will carry)."""
    timestamp = str(int(time.time() if timestamp is None else timestamp))
    signed = ["content-type", "host"]
    mac = signature(secret_key, timestamp, service, {"content-type": content_type, "host": host}, signed, body)
    return {
        "Host": host, "Content-Type": content_type, "X-TC-Timestamp": timestamp,
        "Authorization": f"{ALGORITHM} Credential={secret_id}/{utc_date(int(timestamp))}/{service}/tc3_request, "
                         f"SignedHeaders={';'.join(signed)}, Signature={mac}",
    }


class Verifier:
    """Judges one request against the known credentials and the server's own clock."""

    def __init__(self, credentials, service="ssl", signed_host="as-sent"):
        if signed_host not in ("as-sent", "without-port"):
            raise ValueError("signed_host: as-sent or without-port")
        self.credentials = {c["secret_id"]: c for c in credentials}
        self.service = service
        self.signed_host = signed_host

    def verify(self, headers, body, now):
        """headers: lower-case names to values. Returns the credential or raises ApiError."""
        for name in ("host", "content-type", "x-tc-action", "x-tc-version", "x-tc-timestamp", "authorization"):
            if not headers.get(name):
                raise ApiError("MissingParameter", f"header {name} is missing")
        if "x-tc-content-sha256" in headers:
            raise ApiError("AuthFailure.SignatureFailure", "an unsigned payload is not accepted")
        match = AUTHORIZATION.fullmatch(headers["authorization"])
        if not match:
            raise ApiError("AuthFailure.InvalidAuthorization", "the Authorization header is malformed")
        secret_id, date, service, names, given = match.groups()
        credential = self._credential(secret_id, headers)
        timestamp = self._timestamp(headers["x-tc-timestamp"], date, now)
        if service != self.service:
            raise ApiError("AuthFailure.SignatureFailure", f"the credential scope names {service}, not {self.service}")
        signed = self._signed(names, headers)
        used = dict(headers)
        if self.signed_host == "without-port":
            used["host"] = headers["host"].rpartition(":")[0] or headers["host"]
        want = signature(credential["secret_key"], timestamp, service, used, signed, body)
        if not hmac.compare_digest(want, given):
            raise ApiError("AuthFailure.SignatureFailure", "the signature does not match")
        return credential

    def _credential(self, secret_id, headers):
        credential = self.credentials.get(secret_id)
        if not credential:
            raise ApiError("AuthFailure.SecretIdNotFound", "the SecretId is not found")
        if (credential.get("token") or "") != (headers.get("x-tc-token") or ""):
            raise ApiError("AuthFailure.TokenFailure", "the token does not belong to this SecretId")
        return credential

    @staticmethod
    def _timestamp(text, date, now):
        if not re.fullmatch(r"[1-9]\d{0,11}", text):
            raise ApiError("InvalidParameter", "X-TC-Timestamp is not a decimal number of seconds")
        if abs(int(text) - now) > WINDOW_S:
            raise ApiError("AuthFailure.SignatureExpire",
                           "the timestamp and the server's clock differ by more than five minutes")
        if utc_date(int(text)) != date:
            raise ApiError("AuthFailure.SignatureFailure", "the credential's date is not the UTC date of the timestamp")
        return text

    @staticmethod
    def _signed(names, headers):
        signed = names.split(";")
        if signed != sorted(set(signed)) or not {"content-type", "host"} <= set(signed):
            raise ApiError("AuthFailure.SignatureFailure",
                           "SignedHeaders must be sorted and hold content-type and host")
        if any(name not in headers for name in signed):
            raise ApiError("AuthFailure.SignatureFailure", "a signed header was not sent")
        return signed
