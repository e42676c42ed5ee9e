"""Web servers that do what real ones refuse to do wrong: one address each, a function of (connection, request)."""

import socket
import ssl
import subprocess
import threading
import time

TOKEN = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
VALUE = TOKEN + ".thumbprint-of-nobody-0123456789abcdefghijklmnop"
GOOD = object()  # what a healthy server does


def answer(status=404, body=b"not here\n", headers=(), reason="Reason"):
    def behave(connection, _):
        lines = [f"HTTP/1.1 {status} {reason}", *headers]
        if not any(h.lower().startswith("content-length") for h in headers):
            lines.append(f"Content-Length: {len(body)}")
        connection.sendall(("\r\n".join(lines) + "\r\nConnection: close\r\n\r\n").encode() + body)
    return behave


def redirect(location, status=301, headers=()):
    """location may hold {path} and {host}."""
    def behave(connection, request):
        path = request.split(b" ")[1].decode("latin-1")
        answer(status, b"", [f"Location: {location.format(path=path)}", *headers])(connection, request)
    return behave


def raw(data):
    def behave(connection, _):
        connection.sendall(data)
    return behave


def slow(behave, delay_s):
    def later(connection, request):
        time.sleep(delay_s)
        behave(connection, request)
    return later


def reset(connection, _):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def silent(connection, _):
    time.sleep(20)


def by_header(header, text, then, otherwise):
    """then if the request has text in this header."""
    def behave(connection, request):
        lines = [line for line in request.split(b"\r\n") if line.lower().startswith(header.lower().encode() + b":")]
        (then if any(text in line for line in lines) else otherwise)(connection, request)
    return behave


def token(body, status=200, **how):
    """The file of --value; 404 for anything else."""
    def behave(connection, request):
        found = request.split(b" ")[1] == b"/.well-known/acme-challenge/" + TOKEN.encode()
        (answer(status, body, **how) if found else answer())(connection, request)
    return behave


class Server:
    """One listening address. tls: an SSLContext. greets: does it without waiting for a request."""

    def __init__(self, address, behave, port=80, tls=None, greets=False):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, port))
        self.listener.listen(64)
        self.behave, self.tls, self.greets = behave, tls, greets
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            with connection:
                connection.settimeout(25)
                if self.tls:
                    connection = self.tls.wrap_socket(connection, server_side=True)
                request = b""
                while not self.greets and b"\r\n\r\n" not in request:
                    more = connection.recv(4096)
                    if not more:
                        return
                    request += more
                self.behave(connection, request)
                if self.tls:
                    connection.close()
        except (OSError, ssl.SSLError):
            pass

    def close(self):
        self.listener.close()


def tls_context(folder, old=False):
    """Self-signed; old: TLS 1.1 and nothing newer."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=hostile",
                    "-keyout", f"{folder}/hostile.key", "-out", f"{folder}/hostile.pem"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/hostile.pem", f"{folder}/hostile.key")
    if old:
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
    return context
