"""The control interface: POST /control with one JSON object to a unix socket (or a second port); the answer is JSON.

As a program: python3 control.py ADDRESS '{"op": "state"}'   (ADDRESS: a socket's path, or 127.0.0.1:PORT)
Ops: see Controls.OPS; an unknown op or member is refused."""

import http.client
import http.server
import json
import os
import socket
import socketserver
import sys


class Controls:
    """What can be changed while the double runs."""

    OPS = ("ping", "fault", "faults", "clear-faults", "state", "variants", "clock", "age", "lag", "late-dvauths",
           "next-dvauths", "dvauths",
           "set", "approve", "reject", "close", "letter", "revoke", "issue-as", "validation", "scan", "forget",
           "cancel", "add")

    def __init__(self, state, worker, faults):
        self.state, self.worker, self.faults = state, worker, faults

    def run(self, request):
        request = dict(request)
        op = request.pop("op", None)
        if op not in self.OPS:
            raise ValueError(f"unknown op {op!r}; known: {', '.join(self.OPS)}")
        return getattr(self, "_" + op.replace("-", "_"))(**request) or {}

    def _entry(self, public_id):
        entry = self.state.find(public_id)
        if not entry:
            raise ValueError(f"no certificate {public_id}")
        return entry

    def _change(self, public_id, **fields):
        with self.state.lock:
            self._entry(public_id).update(fields)
            self.state.commit()
        self.worker.kick()

    def _ping(self):
        return {"pid": os.getpid(), "now": self.state.now()}

    # -- faults, clock, lag

    def _fault(self, **rule):
        return {"number": self.faults.add(rule)}

    def _faults(self):
        return {"faults": self.faults.list()}

    def _clear_faults(self, number=None):
        self.faults.clear(number)

    def _clock(self, skew_s):
        self.state.skew_s = float(skew_s)
        self.worker.kick()

    def _lag(self, seconds=0, calls=0):
        with self.state.lock:
            self.state.lag_s, self.state.lag_calls = float(seconds), int(calls)

    def _age(self, id, seconds):
        """Moves the order back in time, so that a deadline comes nearer."""
        with self.state.lock:
            entry = self._entry(id)
            for name in ("insert_time", "submitted", "deadline", "revoke_deadline", "passed_at"):
                if entry[name] is not None:
                    entry[name] -= seconds
            if entry["cert"]:
                entry["cert"]["issued_at"] -= seconds
            self.state.commit()
        self.worker.kick()

    # -- what is shown

    def _state(self):
        with self.state.lock:
            return {"entries": list(self.state.entries.values()), "variants": self.state.variants,
                    "log": self.state.log}

    def _variants(self, **changes):
        unknown = set(changes) - set(self.state.variants)
        if unknown:
            raise ValueError(f"unknown variants {sorted(unknown)}; known: {sorted(self.state.variants)}")
        with self.state.lock:
            self.state.variants.update(changes)
            self.worker.looker.companions = self.state.variants["file_companions"]
            self.state.commit()
        return {"variants": self.state.variants}

    def _set(self, id, status=None, message=None, **fields):
        """status: shown instead of the true one and the order stands still; null lets it go on. Other fields of the
        entry as named."""
        with self.state.lock:
            entry = self._entry(id)
            unknown = set(fields) - set(entry)
            if unknown:
                raise ValueError(f"unknown fields {sorted(unknown)}")
            entry["held"] = None if status is None else {"status": int(status), "message": message}
            entry.update(fields)
            self.state.commit()
        self.worker.kick()

    def _late_dvauths(self, seconds=0, reads=0):
        """Of orders opened from now on: shown only after so much time and so many reads."""
        self.state.late_auths = {"seconds": float(seconds), "reads": int(reads)}

    def _next_dvauths(self, dv_auths):
        """The DvAuths of the next order, as given, hostile or not."""
        with self.state.lock:
            self.state.next_auths.append(dv_auths)

    def _dvauths(self, id, dv_auths):
        self._change(id, dv_auths=dv_auths, phase="dcv", dv_validated=False, passed_at=None)

    # -- what people at the CA do

    def _approve(self, id):
        with self.state.lock:
            entry = self._entry(id)
            if entry["phase"] == "revoking":
                self.worker._revoked(entry, self.state.now())
            elif entry["phase"] in ("review", "dcv"):
                entry.update(review=False,
                             **({"phase": "wait-issue", "issue_at": None} if entry["phase"] == "review" else {}))
            else:
                raise ValueError(f"{id} is not under review but {entry['phase']}")
            self.state.commit()
        self.worker.kick()

    def _reject(self, id, reason="审核失败：信息有误"):
        self._change(id, phase="failed", message=reason)

    def _close(self, id):
        self._change(id, phase="cancelled", message="订单已关闭", dv_auths=[])

    def _cancel(self, id):
        self._change(id, phase="cancelling", cancel_at=0)

    def _letter(self, id):
        """The revocation letter was received."""
        self._change(id, phase="revoking", wotrus_review=True)

    def _revoke(self, id):
        """The CA revokes by itself."""
        with self.state.lock:
            self.worker._revoked(self._entry(id), self.state.now())
            self.state.commit()

    def _issue_as(self, id=None, wrong=None, chain="normal"):
        """The next certificate (of this order) is issued wrong: key, name, missing-name, extra-name, issuer, expired,
        not-yet-valid, end-date; chain: reversed, short, root, duplicate, shuffled, junk, crlf, cut, empty."""
        with self.state.lock:
            self.state.next_issue.append({"id": id, "wrong": wrong, "chain": chain})

    def _validation(self, interval_s=None, paused=None, issue_delay_s=None):
        if interval_s is not None:
            self.worker.interval = float(interval_s)
        if issue_delay_s is not None:
            self.worker.issue_delay = float(issue_delay_s)
        if paused is not None:
            self.worker.paused = bool(paused)
        self.worker.kick()

    def _scan(self):
        self.worker.scan()

    def _forget(self):
        self.state.forget()

    def _add(self, certificate):
        with self.state.lock:
            self.state._add(certificate)
            self.state.commit()


class ControlHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    controls = None

    def log_message(self, *_):
        pass

    def address_string(self):
        return "control"

    def do_POST(self):
        try:
            if self.path != "/control":
                raise ValueError("the path is /control")
            request = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
            status, answer = 200, {"ok": True, **self.controls.run(request)}
        except Exception as error:  # whatever is wrong is the test's to see
            status, answer = 400, {"ok": False, "error": f"{type(error).__name__}: {error}"}
        body = json.dumps(answer, default=repr).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class UnixControlServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def get_request(self):
        request, _ = super().get_request()
        return request, ("control", 0)


class TcpControlServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True


def make_server(address, controls):
    handler = type("BoundControlHandler", (ControlHandler,), {"controls": controls})
    if "/" in address:
        if os.path.exists(address):
            os.unlink(address)
        return UnixControlServer(address, handler)
    host, _, port = address.rpartition(":")
    return TcpControlServer((host, int(port)), handler)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("control", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def send(address, op, **fields):
    """One control request; raises RuntimeError if it was refused."""
    if "/" in address:
        connection = _UnixConnection(address, 60)
    else:
        host, _, port = address.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
    try:
        connection.request("POST", "/control", json.dumps({"op": op, **fields}).encode())
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    if not answer.pop("ok"):
        raise RuntimeError(answer["error"])
    return answer


if __name__ == "__main__":
    wanted = json.loads(sys.argv[2])
    print(json.dumps(send(sys.argv[1], wanted.pop("op"), **wanted), indent=2, ensure_ascii=False))
