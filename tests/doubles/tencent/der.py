"""The little of DER that is needed to judge a CSR: subject, names, public key."""

import base64
import re
import subprocess

OIDS = {
    bytes.fromhex("2a864886f70d010101"): "rsa", bytes.fromhex("2a8648ce3d0201"): "ec",
    bytes.fromhex("2a8648ce3d030107"): "ec-p256", bytes.fromhex("2b81040022"): "ec-p384",
    bytes.fromhex("2a811ccf5501822d"): "sm2",
}
OID_CN = bytes.fromhex("550403")
OID_SAN = bytes.fromhex("551d11")
OID_EXTENSION_REQUEST = bytes.fromhex("2a864886f70d01090e")
PEM = re.compile(r"\s*-----BEGIN (NEW )?CERTIFICATE REQUEST-----\n([A-Za-z0-9+/=\n]+)"
                 r"-----END (NEW )?CERTIFICATE REQUEST-----\s*")


class DerError(ValueError):
    pass


def take(data, at=0):
    """One element: (tag, content, offset behind it, whole element)."""
    if at + 2 > len(data):
        raise DerError("cut short")
    length, start = data[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 3 or start + count > len(data):
            raise DerError("bad length")
        length = int.from_bytes(data[start:start + count], "big")
        start += count
    if start + length > len(data):
        raise DerError("cut short")
    return data[at], data[start:start + length], start + length, data[at:start + length]


def items(content):
    at = 0
    while at < len(content):
        tag, inner, at, whole = take(content, at)
        yield tag, inner, whole


class Csr:
    """A parsed PKCS#10 request. Raises DerError if it is not one or (unless trusted) does not prove its key."""

    def __init__(self, pem, trusted=False):
        match = PEM.fullmatch(pem.replace("\r\n", "\n"))
        if not match:
            raise DerError("not a PEM certificate request")
        try:
            self.der = base64.b64decode(match.group(2).replace("\n", ""), validate=True)
        except ValueError:
            raise DerError("not base64") from None
        self.pem = pem
        tag, outer, end, _ = take(self.der)
        if tag != 0x30 or end != len(self.der):
            raise DerError("not one SEQUENCE")
        info = list(items(next(items(outer))[1]))
        if len(info) < 3:
            raise DerError("no request information")
        self.subject, self.spki = info[1][2], info[2][2]
        self.common_names = self._common_names(info[1][1])
        self.key_type = self._key_type(info[2][1])
        self.names = self._names(info[3][1] if len(info) > 3 else b"")
        if not trusted:
            self._verify()

    @staticmethod
    def _common_names(rdns):
        found = []
        for _, rdn, _ in items(rdns):
            for _, attribute, _ in items(rdn):
                (_, oid, _), (_, value, _) = list(items(attribute))[:2]
                if oid == OID_CN:
                    found.append(value.decode("utf-8", "replace"))
        return found

    @staticmethod
    def _key_type(spki):
        (_, algorithm, _), (_, bits, _) = list(items(spki))[:2]
        parts = list(items(algorithm))
        kind = OIDS.get(parts[0][1], "unknown")
        if kind == "rsa":
            modulus = next(items(take(bits[1:])[1]))[1].lstrip(b"\0")
            return f"rsa-{len(modulus) * 8}"
        if kind == "ec":
            return OIDS.get(parts[1][1], "unknown") if len(parts) > 1 else "unknown"
        return kind

    @staticmethod
    def _names(attributes):
        found = []
        for _, attribute, _ in items(attributes):
            parts = list(items(attribute))
            if parts[0][1] != OID_EXTENSION_REQUEST:
                continue
            for _, extension, _ in items(take(parts[1][1])[1]):
                fields = list(items(extension))
                if fields[0][1] == OID_SAN:
                    for tag, value, _ in items(take(fields[-1][1])[1]):
                        if tag != 0x82:
                            raise DerError("a subject alternative name that is no DNS name")
                        found.append(value.decode("ascii"))
        return found

    def _verify(self):
        command = ["openssl", "req", "-verify", "-noout"]
        if self.key_type == "sm2":
            command += ["-vfyopt", "distid:1234567812345678"]
        run = subprocess.run(command, input=self.pem.encode(), capture_output=True, timeout=30, check=False)
        if run.returncode != 0 or b"verify OK" not in run.stderr + run.stdout:
            raise DerError("its own signature does not fit its key")
