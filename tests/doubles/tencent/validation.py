"""Domain validation by real DNS questions and real HTTP fetches, and the worker that moves orders on."""

import concurrent.futures
import http.client
import ssl
import subprocess
import threading
import time

import auths
import dns_client
from state import dv_visible

BODY_MAX = 65536
TIMED_OUT = "域名验证超时，订单已关闭，请重新申请"


class Result:
    """What one look at one DvAuth found."""

    def __init__(self, auth, local, reason="", found=()):
        self.auth, self.local, self.reason, self.found, self.frequently = auth, local, reason, list(found), False

    passed = property(lambda self: self.local == 1)

    def shown(self, ca_done, issued):
        return {"Domain": self.auth.get("DvAuthDomain"), "VerifyType": self.auth.get("DvAuthVerifyType"),
                "LocalCheck": self.local,
                "CaCheck": 2 if ca_done or issued else -1, "LocalCheckFailReason": self.reason,
                "CheckValue": self.found,
                "Frequently": self.frequently, "Issued": issued}


def blocked(auth):
    """The answer to somebody who asks too often: it says nothing."""
    result = Result(auth, -1, "too frequent")
    result.frequently = True
    return result


def after_validation(entry, now, validated=True):
    """Where an order goes once nothing is to be validated: to people (R10) or on to issue."""
    entry["dv_validated"] = validated
    entry["passed_at"] = int(now) if validated else None
    entry.update(phase="review" if entry["review"] else "wait-issue", issue_at=None)


class Looker:
    """Makes the looks. conf: resolver | root_hints, http_port, https_port, fetch_timeout_s, caa."""

    def __init__(self, conf):
        if conf.get("root_hints"):
            self.dns = dns_client.RootWalker(conf["root_hints"])
        else:
            self.dns = dns_client.ResolverClient(conf.get("resolver", "127.0.0.1:53"))
        self.ports = (conf.get("http_port", 80), conf.get("https_port", 443))
        self.timeout = conf.get("fetch_timeout_s", 5)
        self.identities = {name.lower()
                           for name in conf.get("caa", ["trustasia.com", "digicert.com", "sectigo.com", "wotrus.com"])}
        self.companions = True

    def look(self, auth):
        kind = auth.get("DvAuthVerifyType")
        try:
            if kind == "FILE":
                return self.look_file(auth)
            return self.look_record(auth, "CNAME" if kind == "CNAME" else "TXT")
        except (UnicodeError, dns_client.DnsError, ValueError, TypeError, AttributeError) as error:
            return Result(auth, -1 if kind == "TXT" else -6 if kind == "CNAME" else -4, f"cannot be looked up: {error}")

    def look_record(self, auth, kind):
        want = auth["DvAuthValue"]
        seen = self.dns.look(auth["DvAuthKey"], kind)
        usable = [s for s in seen if s.error is None]
        if not usable:
            return Result(auth, -3, "no name server answers: " + "; ".join(str(s.error) for s in seen))
        if kind == "TXT":
            found = [[v.decode("utf-8", "replace") for v in s.values] for s in usable]
            missing, differs = -1, -2
        else:
            found = [[dns_client.fold(v) for v in s.values] for s in usable]
            want, missing, differs = dns_client.fold(want), -6, -7
        flat = sorted({value for values in found for value in values})
        if all(want in values for values in found):
            return Result(auth, 1, found=flat)
        bad = ", ".join(str(s.server) for s, values in zip(usable, found) if want not in values)
        if any(values for values in found if want not in values):
            return Result(auth, differs, f"another value at {bad}", flat)
        return Result(auth, missing, f"not found at {bad}", flat)

    def look_file(self, auth):
        hosts = auths.companions(auth["DvAuthDomain"]) if self.companions else [auth["DvAuthDomain"]]
        results = [self._look_host(auth, host) for host in hosts]
        return next((r for r in results if not r.passed), results[0])

    def _look_host(self, auth, host):
        path = auth["DvAuthPath"].rstrip("/") + "/" + auth["DvAuthKey"]
        addresses = [a for kind in ("A", "AAAA") for s in self.dns.look(host, kind) if s.error is None
                     for a in s.values]
        found = []
        for address in dict.fromkeys(addresses):
            for port, tls in zip(self.ports, (False, True)):
                status, body = self._fetch(address, port, tls, host, path)
                if status == 200 and body in (auth["DvAuthValue"], auth["DvAuthValue"] + "\n"):
                    return Result(auth, 1, found=[body])
                found.append((status, body))
        wrong = [body[:200] for status, body in found if status == 200]
        if wrong:
            return Result(auth, -5, f"another content at {host}", wrong)
        return Result(auth, -4, f"no file at {host}: {[status for status, _ in found] or 'no address'}")

    def _fetch(self, address, port, tls, host, path):
        """(status or error text, body). Redirects are not followed; certificate errors do not matter."""
        try:
            if tls:
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                connection = http.client.HTTPSConnection(address, port, timeout=self.timeout, context=context)
            else:
                connection = http.client.HTTPConnection(address, port, timeout=self.timeout)
            try:
                connection.request("GET", path, headers={"Host": host, "User-Agent": "ca-validator"})
                reply = connection.getresponse()
                return reply.status, reply.read(BODY_MAX).decode("utf-8", "replace")
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            return type(error).__name__, ""

    def caa_forbids(self, names):
        """The name whose CAA records do not admit this CA, or None."""
        return next((name for name in names if not self._caa_admits(name)), None)

    def _caa_admits(self, name):
        labels = name.lower().removeprefix("*.").split(".")
        for at in range(len(labels)):
            seen = self.dns.look(".".join(labels[at:]), "CAA")
            if all(s.error or s.rcode not in (0, 3) for s in seen):
                return False
            records = [v for s in seen if not s.error for v in s.values]
            if records:
                return self._caa_set(records, name.startswith("*."))
        return True

    def _caa_set(self, records, wildcard):
        if any(flags & 128 and tag.lower() not in ("issue", "issuewild", "iodef") for flags, tag, _ in records):
            return False
        chosen = [r for r in records if r[1].lower() == "issuewild"] if wildcard else []
        chosen = chosen or [r for r in records if r[1].lower() == "issue"]
        return not chosen or any(r[2].partition(";")[0].strip().lower() in self.identities for r in chosen)


class Worker:
    """One thread that scans every interval, and at once when kicked; looks are made outside the lock."""

    def __init__(self, state, events):
        conf = state.scenario.get("validation", {})
        self.state, self.events = state, events
        self.looker = Looker(conf)
        self.looker.companions = state.variants["file_companions"]
        self.interval, self.issue_delay = conf.get("interval_s", 2.0), conf.get("issue_delay_s", 0.0)
        self.auto_command = conf.get("dns_auto_command")
        self.paused, self.stopping = False, False
        self.wake = threading.Event()
        self.pool = concurrent.futures.ThreadPoolExecutor(8)
        self.thread = threading.Thread(target=self._run, name="validation", daemon=True)

    def start(self):
        self.thread.start()

    def stop(self):
        self.stopping = True
        self.wake.set()
        self.thread.join(5)
        self.pool.shutdown(wait=False, cancel_futures=True)

    def kick(self):
        self.wake.set()

    def _run(self):
        while not self.stopping:
            self.wake.wait(self.interval)
            self.wake.clear()
            if not self.paused and not self.stopping:
                try:
                    self.scan()
                except Exception as error:  # one bad order must not stop the scanning of the others
                    self.events.write({"event": "worker-error", "error": repr(error)})

    def look(self, auth, auto=False):
        """DNS_AUTO without a command of the scenario's counts as written by the service."""
        if auto and not self.auto_command:
            return Result(auth, 1, found=[auth.get("DvAuthValue")])
        return self.looker.look(auth)

    def scan(self):
        with self.state.lock:
            now = self.state.now()
            waiting = [(e["key"], list(e["dv_auths"]), e["method"], list(e["names"]))
                       for e in self.state.entries.values()
                       if e["phase"] == "dcv" and not e["held"] and dv_visible(e, now)]
            waiting += [(e["key"], list(e["revoke_auths"]), e["method"], []) for e in self.state.entries.values()
                        if e["phase"] == "revoking" and e["revoke_auths"] and not e["held"]]
        for future in [self.pool.submit(self._validate, *one) for one in waiting]:
            future.result()
        with self.state.lock:
            moved = [self._move(e) for e in list(self.state.entries.values()) if not e["held"]]
            if any(moved):
                self.state.commit()

    def _validate(self, key, asked, method, names):
        auto = method == "DNS_AUTO"
        if auto and self.auto_command:
            for auth in asked:
                subprocess.run([*self.auto_command, "add", auth["DvAuthVerifyType"], auth["DvAuthKey"],
                                auth["DvAuthValue"]],
                               check=False, timeout=30, stdin=subprocess.DEVNULL, capture_output=True)
        results = [self.look(auth, auto) for auth in asked]
        caa = self.looker.caa_forbids(names) if names and not auto and all(r.passed for r in results) else None
        with self.state.lock:
            entry = self.state.entries.get(key)
            if entry:
                self._apply(entry, results, caa)

    def _apply(self, entry, results, caa):
        for result in results:
            name = result.auth.get("DvAuthDomain" if result.auth.get("DvAuthVerifyType") == "FILE" else "DvAuthKey")
            said = [result.local, result.reason]
            if entry["checks"].get(name) != said:
                entry["checks"][name] = said
                self.events.write({"event": "look", "id": entry["id"], "auth": result.auth, "local": result.local,
                                   "reason": result.reason, "found": result.found})
        if caa and entry["checks"].get("caa") != caa:
            entry["checks"]["caa"] = caa
            self.events.write({"event": "caa-forbids", "id": entry["id"], "name": caa})
        if caa or not all(r.passed for r in results):
            return
        now = self.state.now()
        if entry["phase"] == "dcv":
            after_validation(entry, now)
            self.state.note(entry, "domainValidationPassed")
            self.events.write({"event": "validated", "id": entry["id"]})
        elif entry["phase"] == "revoking":
            self._revoked(entry, now)
        self.state.commit()

    def _revoked(self, entry, now):
        """The original goes, and with it every certificate that reissued it."""
        line = [entry]
        while line:
            one = line.pop()
            line += [e for e in self.state.entries.values() if e["original"] == one["key"] and e["phase"] == "issued"]
            one.update(phase="revoked", revoked_at=int(now), revoke_auths=[])
            self.state.note(one, "revoked")
            self.events.write({"event": "revoked", "id": one["id"]})

    def _move(self, e):
        """Everything that time alone decides. True if something changed."""
        now = self.state.now()
        if e["phase"] == "cancelling" and now >= (e["cancel_at"] or 0):
            self._cancelled(e)
        elif e["phase"] == "dcv" and e["deadline"] and now > e["deadline"]:
            e.update(phase="failed", message=TIMED_OUT)
            self.events.write({"event": "failed", "id": e["id"], "reason": "validation timed out"})
        elif e["phase"] == "revoking" and e["revoke_deadline"] and now > e["revoke_deadline"]:
            e.update(phase="issued", revoke_auths=[], revoke_deadline=None)
            self.state.note(e, "cancelRevoke")
        elif e["phase"] == "wait-issue" and e["issue_at"] is None:
            e["issue_at"] = now + self.issue_delay
            if self.issue_delay <= 0:
                self._issue(e, now)
        elif e["phase"] == "wait-issue" and now >= e["issue_at"]:
            self._issue(e, now)
        else:
            return False
        return True

    def _cancelled(self, e):
        e.update(phase="cancelled", dv_auths=[])
        original = self.state.entries.get(e["original"])
        if original and original["hidden"]:
            original["hidden"], e["hidden"] = False, True
        self.events.write({"event": "cancelled", "id": e["id"]})

    def _issue(self, e, now):
        original = self.state.entries.get(e["original"])
        old = original["cert"] if original else None
        fault = next((f for f in self.state.next_issue if f.get("id") in (None, e["id"])), {})
        if fault:
            self.state.next_issue.remove(fault)
        midnight = int(now) - (int(now) + 8 * 3600) % 86400
        begin = max(old["not_before"] if old else midnight, midnight)
        begin = min(begin, int(now) - 60)
        end = old["not_after"] if old else int(now) + 90 * 86400
        self.state.issue(e, begin, end, int(now), fault.get("wrong"), fault.get("chain", "normal"))
        e["dv_auths"] = []
        self.events.write({"event": "issued", "id": e["id"], "sha1": e["cert"]["sha1"], "fault": fault or None})

