"""The test CA: for RSA and for EC a root and an intermediate, made once in the state directory, and a rogue twin of
each."""

import hashlib
import os
import secrets
import ssl
import subprocess
import tempfile
import threading

from when import openssl_time

CONFIG = """[ca]
default_ca = this
[this]
dir = {work}
database = $dir/index
serial = $dir/serial
new_certs_dir = $dir
unique_subject = no
default_md = sha256
policy = anything
copy_extensions = none
[anything]
commonName = optional
organizationName = optional
countryName = optional
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[intermediate]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature{encipher}
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
{san}
"""
KEY_ARGUMENTS = {
    "rsa-2048": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "rsa-3072": ["RSA", "-pkeyopt", "rsa_keygen_bits:3072"],
    "rsa-4096": ["RSA", "-pkeyopt", "rsa_keygen_bits:4096"],
    "ec-p256": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "ec-p384": ["EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "sm2": ["SM2"],
}
DISTID = "distid:1234567812345678"


def run(*command, stdin=None):
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command[:4]}: {done.stderr.decode(errors='replace')[-800:]}")
    return done.stdout


def make_key(path, kind):
    run("openssl", "genpkey", "-algorithm", *KEY_ARGUMENTS[kind], "-out", path)
    os.chmod(path, 0o600)


def make_csr(key_path, kind, names, common_name=None):
    """A PEM request for these names, signed with the key at key_path."""
    sm2 = ["-sm3", "-sigopt", DISTID] if kind == "sm2" else ["-sha256"]
    subject = f"/CN={common_name}" if common_name else "/"
    san = "subjectAltName=" + ",".join("DNS:" + name for name in names)
    return run("openssl", "req", "-new", "-key", key_path, *sm2, "-subj", subject, "-addext", san).decode()


def fingerprint(pem):
    """SHA-1 in upper-case hex, as the service shows it."""
    return hashlib.sha1(ssl.PEM_cert_to_DER_cert(pem)).hexdigest().upper()


class Hierarchy:
    """Issues leaf certificates; kinds are "rsa" and "ec", and "rogue-rsa", "rogue-ec" for wrong-issuer tests."""

    def __init__(self, directory, not_before, not_after):
        self.directory = directory
        self.validity = (not_before, not_after)
        self.lock = threading.Lock()
        os.makedirs(directory, mode=0o700, exist_ok=True)
        for kind in ("rsa", "ec"):
            self._make(kind)

    def path(self, kind, what):
        return os.path.join(self.directory, f"{kind}-{what}")

    def pem(self, kind, what):
        with open(self.path(kind, what + ".pem"), encoding="ascii") as f:
            return f.read()

    def chain(self, kind):
        self._make(kind)
        return [self.pem(kind, "intermediate")]

    def root(self, kind):
        self._make(kind)
        return self.pem(kind, "root")

    def issue(self, kind, csr_pem, names, validity, key_type, common_name=None):
        """The leaf as PEM. Subject and names are the caller's, only the key is the request's."""
        self._make(kind)
        subject = f"/CN={common_name}" if common_name else "/"
        return self._sign(csr_pem, "leaf", subject, validity, self._signer(kind, "intermediate"), names, key_type)

    def _signer(self, kind, what):
        return ["-cert", self.path(kind, what + ".pem"), "-keyfile", self.path(kind, what + ".key")]

    def _make(self, kind):
        with self.lock:
            if os.path.exists(self.path(kind, "intermediate.pem")):
                return
            key_kind = "rsa-2048" if kind.endswith("rsa") else "ec-p256"
            for what, signer in (("root", None), ("intermediate", "root")):
                key, title = self.path(kind, what + ".key"), f"Double {kind.removeprefix('rogue-').upper()} {what}"
                make_key(key, key_kind)
                csr = run("openssl", "req", "-new", "-key", key, "-sha256", "-subj",
                          f"/C=CN/O=Test Trust/CN={title}").decode()
                by = self._signer(kind, signer) if signer else ["-selfsign", "-keyfile", key]
                pem = self._sign(csr, what, None, self.validity, by, [])
                with open(self.path(kind, what + ".pem.new"), "w", encoding="ascii") as f:
                    f.write(pem)
                os.rename(self.path(kind, what + ".pem.new"), self.path(kind, what + ".pem"))

    @staticmethod
    def _sign(csr_pem, section, subject, validity, signer, names, key_type="rsa"):
        san = "subjectAltName = " + ",".join("DNS:" + name for name in names) if names else ""
        if names and subject == "/":
            san = san.replace("= ", "= critical,")
        with tempfile.TemporaryDirectory(prefix="double-ca-") as work:
            config, csr, out = (os.path.join(work, name) for name in ("config", "csr", "out"))
            with open(config, "w", encoding="utf-8") as f:
                f.write(CONFIG.format(work=work, san=san,
                                      encipher=", keyEncipherment" if key_type.startswith("rsa") else ""))
            with open(csr, "w", encoding="utf-8") as f:
                f.write(csr_pem)
            open(os.path.join(work, "index"), "wb").close()
            with open(os.path.join(work, "serial"), "w", encoding="ascii") as f:
                f.write(f"{secrets.randbits(127) | 1 << 126:032X}\n")
            run("openssl", "ca", "-batch", "-notext", "-config", config, "-extensions", section,
                *(["-subj", subject] if subject else []), "-startdate", openssl_time(validity[0]), "-enddate",
                openssl_time(validity[1]),
                *(["-vfyopt", DISTID] if key_type == "sm2" else []), *signer, "-in", csr, "-out", out)
            with open(out, encoding="ascii") as f:
                return f.read()
