"""The HTTP side: envelope, authentication, throttling, faults, ledger."""

import collections
import email.utils
import http.server
import json
import re
import socket
import socketserver
import ssl
import struct
import threading
import time
import uuid

import faults as faults_module
from errors import ApiError
from faults import pick
from parameters import read_body

BODY_MAX = 10 * 1024 * 1024
SINGLE_HEADERS = ("host", "content-type", "content-length", "authorization", "x-tc-action", "x-tc-version",
                  "x-tc-timestamp", "x-tc-token")


class Throttle:
    """So many calls of one action a second."""

    def __init__(self, per_second):
        self.clock = time.monotonic
        self.per_second, self.lock, self.seen = per_second, threading.Lock(), collections.defaultdict(collections.deque)

    def check(self, who, action):
        with self.lock:
            times, now = self.seen[(who, action)], self.clock()
            while times and now - times[0] >= 1:
                times.popleft()
            if self.per_second and len(times) >= self.per_second:
                raise ApiError("RequestLimitExceeded", f"{action} may be called {self.per_second} times a second")
            times.append(now)


class Front:
    """What every connection's handler shares."""

    def __init__(self, service, verifier, faults, ledger, rate_limit=10, hosts=None):
        self.service, self.verifier, self.faults, self.ledger = service, verifier, faults, ledger
        self.throttle, self.hosts = Throttle(rate_limit), hosts

    def process(self, headers, body, known):
        """The Response fields of one authenticated call; known collects what the ledger should hold."""
        credential = self.verifier.verify(headers, body, self.service.state.now())
        known["secret_id"] = credential["secret_id"]
        self._check_headers(headers)
        action = headers["x-tc-action"]
        self.throttle.check(credential["secret_id"], action)
        parameters = known["parameters"] = read_body(body)
        allowed = credential.get("actions")
        if allowed is not None and action not in allowed:
            raise ApiError("AuthFailure.UnauthorizedOperation", f"this account may not call ssl:{action}")
        return self.service.call(action, headers["x-tc-version"], parameters)

    def _check_headers(self, headers):
        if self.hosts and headers["host"] not in self.hosts:
            raise ApiError("InvalidParameter", f"the host {headers['host']} is not served here")
        if not re.fullmatch(r"application/json(; ?charset=utf-8)?", headers["content-type"]):
            raise ApiError("UnsupportedProtocol", "the content type must be application/json")
        if not re.fullmatch(r"[0-9A-Za-z_ ,;.-]{0,128}", headers.get("x-tc-requestclient", "")):
            raise ApiError("InvalidParameter", "X-TC-RequestClient holds characters that are not allowed")
        if headers.get("x-tc-language", "zh-CN") not in ("zh-CN", "en-US"):
            raise ApiError("InvalidParameter", "X-TC-Language must be zh-CN or en-US")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "double"
    sys_version = ""
    timeout = 120
    front = None  # set by serve()

    def log_message(self, *_):
        pass

    def date_time_string(self, timestamp=None):
        return email.utils.formatdate(self.front.service.state.now() + getattr(self, "skew_s", 0), usegmt=True)

    def _refuse(self, code, message, status=200):
        request_id = str(uuid.uuid4())
        self.front.ledger.write({"action": self.headers.get("X-TC-Action"), "parameters": None, "outcome": code,
                                 "RequestId": request_id,
                                 "faults": [], "status": status, "method": self.command})
        self.close_connection = True
        self._send(status,
                   json.dumps({"Response": {"Error": {"Code": code, "Message": message},
                                            "RequestId": request_id}}).encode())

    def do_GET(self):
        self._refuse("UnsupportedProtocol", "only POST is taken here")

    do_PUT = do_DELETE = do_HEAD = do_PATCH = do_GET

    def do_POST(self):
        if self.path != "/":
            return self._refuse("InvalidParameter", "the path is /", 404)
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,9}", length) or int(length) > BODY_MAX or "Transfer-Encoding" in self.headers:
            return self._refuse("RequestSizeLimitExceeded", "a body of known length up to 10 MB is needed", 413)
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            return None
        if any(len(self.headers.get_all(name, [])) > 1 for name in SINGLE_HEADERS):
            return self._refuse("InvalidParameter", "a header is given twice", 400)
        headers = {name.lower(): value for name, value in self.headers.items()}
        return self._serve(headers, body)

    def _serve(self, headers, body):
        front, action = self.front, headers.get("x-tc-action", "")
        chosen = front.faults.strike(action, _certificate_id(body))
        request_id = str(uuid.uuid4())
        known = {"action": action, "version": headers.get("x-tc-version"), "parameters": None, "secret_id": None}
        self.skew_s = (pick(chosen, "skew") or {}).get("seconds", 0)
        self._pause(chosen, "slow")
        before = pick(chosen, *faults_module.BEFORE)
        response, outcome = {}, "ok"
        try:
            if before and before["kind"] == "error":
                raise ApiError(before.get("code", "InternalError"),
                               before.get("message", "an internal error has occurred"))
            if before:
                outcome = "not processed"
            else:
                response = front.process(headers, body, known)
        except ApiError as error:
            outcome, response = error.code, {"Error": {"Code": error.code, "Message": self._message(error, headers)}}
        except Exception as error:  # the double's own failure must be seen, not hang the caller
            outcome, response = "InternalError", {"Error": {"Code": "InternalError", "Message": repr(error)}}
            known["bug"] = repr(error)
        if known["parameters"] is None:
            known["parameters"] = _loose(body)
        if outcome == "ok" and "CertificateId" in response:
            known["certificate_id"] = response["CertificateId"]
        front.ledger.write({**known, "outcome": outcome, "RequestId": request_id,
                            "faults": [f["kind"] for f in chosen]})
        self._pause(chosen, "slow-after")
        self._answer(chosen, before, response, request_id)

    @staticmethod
    def _message(error, headers):
        return error.message if headers.get("x-tc-language") == "en-US" else "请求失败：" + error.message

    @staticmethod
    def _pause(chosen, kind):
        fault = pick(chosen, kind)
        if fault:
            time.sleep(fault.get("ms", 1000) / 1000)

    def _answer(self, chosen, before, response, request_id):
        if before and before["kind"] == "lost-before" or pick(chosen, "lost-after"):
            return self._drop(pick(chosen, "lost-before", "lost-after"))
        status = pick(chosen, "http-status-before", "http-status-after")
        if status:
            return self._send(status.get("status", 500),
                              status.get("body", "<html>Internal Server Error</html>").encode(), "text/html")
        after = pick(chosen, "internal-error-after")
        if after:
            response = {"Error": {"Code": after.get("code", "InternalError"),
                                  "Message": "an internal error has occurred"}}
        for fault in chosen:
            if fault["kind"] == "edit":
                faults_module.edit(response, fault)
        if not pick(chosen, "no-request-id"):
            response["RequestId"] = request_id
        text = json.dumps({"Response": response}, ensure_ascii=False).encode("utf-8", "surrogatepass")
        return self._damage(chosen, text)

    def _damage(self, chosen, text):
        fault = pick(chosen, "cut-json", "not-json", "empty", "no-response", "legacy", "huge", "endless")
        kind = fault["kind"] if fault else None
        if kind == "cut-json":
            text = text[:fault.get("at", len(text) // 2)]
        elif kind == "not-json":
            text = fault.get("body", "upstream connect error").encode()
        elif kind == "empty":
            text = b""
        elif kind == "no-response":
            text = b'{"RequestId": "none"}'
        elif kind == "legacy":
            text = json.dumps({"code": 4000, "codeDesc": "InternalError", "message": "legacy failure"}).encode()
        elif kind == "huge":
            text = text[:-1] + b"," + b'"padding":"' + b"x" * fault.get("bytes", 50 * 1024 * 1024) + b'"}'
        elif kind == "endless":
            return self._endless(fault.get("seconds", 60))
        return self._send(200, text)

    def _send(self, status, body, kind="application/json"):
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if self.headers.get("X-TC-TraceId"):
                self.send_header("X-TC-TraceId", self.headers["X-TC-TraceId"])
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def _endless(self, seconds):
        self.close_connection, end = True, time.monotonic() + seconds
        try:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"Response": {"padding": "')
            while time.monotonic() < end:
                self.wfile.write(b"x" * 1024)
                time.sleep(0.05)
        except OSError:
            pass

    def _drop(self, fault):
        if fault and fault.get("reset"):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def _loose(body):
    """For the ledger: what a refused body held, as far as it can be told."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return {"raw": body[:2000].decode("utf-8", "replace")}


def _certificate_id(body):
    found = _loose(body)
    return found.get("CertificateId") if isinstance(found, dict) else None


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 512
    allow_reuse_address = True

    def __init__(self, address, front, tls=None):
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, type("BoundHandler", (Handler,), {"front": front}))
        self.tls = None
        if tls:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*tls)

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def finish_request(self, request, client_address):
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            request.settimeout(30)
            request = self.tls.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        """A client that goes away in mid-request is part of the game."""
