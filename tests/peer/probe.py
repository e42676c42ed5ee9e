"""Looks from outside: waiting, DNS questions, served certificates, fetches, public keys."""

import functools
import hashlib
import http.client
import os
import socket
import ssl
import subprocess
import time

import dns_client

BUSY = 4  # so many times as long takes on a machine that stands still now and then what a calm one does


def until(test, limit_s=20, what="the condition"):
    """The first true value of test(), polled; AssertionError when it hangs, naming what was awaited: limit_s is enough for a
    machine that does nothing else. Exceptions of the network count as false."""
    limit_s *= BUSY
    end, pause = time.monotonic() + limit_s, 0.005
    while True:
        try:
            found, why = test(), ""
        except (OSError, dns_client.DnsError, http.client.HTTPException) as error:
            found, why = None, f" (last: {error})"
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {limit_s} s{why}")
        time.sleep(pause)
        pause = min(0.05, pause * 1.3)


def read_text(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def children(parent):
    """The processes whose parent this is."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = read_text(f"/proc/{pid}/stat")
        except OSError:
            continue
        if int(stat.rpartition(")")[2].split()[1]) == parent:
            found.append(int(pid))
    return found


def dns(server, name, kind, recursion=False, tcp=False, timeout=2 * BUSY):
    """The Answer of one server; DnsError on silence."""
    return dns_client.query(server, name, kind, recursion=recursion, tcp=tcp, timeout=timeout)


def dns_values(server, name, kind, recursion=False):
    """The values at a name as text, [] if there are none."""
    answer = dns(server, name, kind, recursion)
    values = [r.value for r in answer.answer if r.kind == kind]
    return [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in values]


def tcp_open(host, port):
    socket.create_connection((host, port), 1).close()
    return True


def fetch(address, host, path, port=80):
    """(status, body) of a plain GET at one address."""
    connection = http.client.HTTPConnection(address, port, timeout=5 * BUSY)
    try:
        connection.request("GET", path, headers={"Host": host})
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


class Served:
    """A certificate seen on the wire."""

    def __init__(self, der):
        self.der, self.pem = der, ssl.DER_cert_to_PEM_cert(der)
        self.sha256 = hashlib.sha256(der).hexdigest()
        self.spki = spki_of_certificate(self.pem)

    def names(self):
        text = openssl("x509", "-noout", "-ext", "subjectAltName", stdin=self.pem)
        return [part.strip().removeprefix("DNS:") for part in text.splitlines()[-1].split(",")]


def served(address, name, kind=None, port=443, timeout=5 * BUSY):
    """What address:port serves for this SNI; kind "rsa" or "ecdsa" asks for that signature only."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if kind:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers({"rsa": "ECDHE+aRSA", "ecdsa": "ECDHE+aECDSA"}[kind])
    with socket.create_connection((address, port),
                                  timeout) as plain, context.wrap_socket(plain, server_hostname=name) as secured:
        return Served(secured.getpeercert(True))


def openssl(*arguments, stdin=None):
    done = subprocess.run(["openssl", *arguments], input=stdin.encode() if stdin is not None else None,
                          capture_output=True, timeout=60, check=False)
    if done.returncode != 0:
        raise AssertionError(f"openssl {' '.join(arguments)}: {done.stderr.decode(errors='replace')}")
    return done.stdout.decode()


def _spki(public_pem):
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(public_pem.replace("PUBLIC KEY", "CERTIFICATE"))).hexdigest()


@functools.lru_cache(maxsize=None)
def spki_of_certificate(pem):
    return _spki(openssl("x509", "-noout", "-pubkey", stdin=pem))


@functools.lru_cache(maxsize=None)
def spki_of_csr(pem):
    return _spki(openssl("req", "-noout", "-pubkey", stdin=pem))


@functools.lru_cache(maxsize=None)
def spki_of_key(pem):
    return _spki(openssl("pkey", "-pubout", stdin=pem))
