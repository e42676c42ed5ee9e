"""The actions. Each takes checked parameters and returns the fields of Response, or raises ApiError."""

import base64
import io
import os
import tempfile
import time
import zipfile

import auths
import parameters
import validation
from errors import ApiError
from hierarchy import make_csr, make_key
from render import Renderer, log_line
from rules import DAY, Judge
from state import PENDING, dv_visible, new_id
from when import from_gmt8

VERSION = "2019-12-05"
DEADLINE_S = 3 * DAY


def failed(detail, message):
    return ApiError("FailedOperation." + detail, message)


class Service:
    """Holds the state and the validation worker; call() is the one way in."""

    def __init__(self, state, worker, uin="100000000001"):
        self.state, self.worker, self.uin = state, worker, uin
        self.judge = Judge(state)

    def call(self, action, version, given):
        if version != VERSION:
            raise ApiError("NoSuchVersion", f"the version {version} does not exist")
        parameters.check(action, given)
        return getattr(self, "_" + action)(given)

    # -- helpers

    def _entry(self, given):
        entry = self.state.find(given["CertificateId"])
        if not entry:
            raise failed("CertificateNotFound", "the certificate does not exist")
        return entry

    def _read(self, given, render):
        with self.state.lock:
            entries = self.state.shown()
            entry = self.state.by_id(entries, given["CertificateId"])
            if not entry:
                raise failed("CertificateNotFound", "the certificate does not exist")
            renderer = Renderer(entries, self.state.variants, self.state.now(), self.uin)
            found = render(renderer, entry)
            live = self.state.entries.get(entry["key"])
            if live and live["dv_hidden_reads"] > 0:
                live["dv_hidden_reads"] -= 1
                self.state.commit()
            return found

    def _status(self, entry):
        return Renderer(self.state.entries, self.state.variants, self.state.now(), self.uin).status(entry)

    # -- reads

    def _DescribeCertificate(self, given):
        return self._read(given, Renderer.single)

    def _DescribeCertificateDetail(self, given):
        return self._read(given, Renderer.full)

    def _DescribeCertificates(self, given):
        with self.state.lock:
            entries = self.state.shown()
            renderer = Renderer(entries, self.state.variants, self.state.now(), self.uin)
        found = [e for e in entries.values() if not e["hidden"] and self._wanted(e, renderer, given)]
        if "ExpirationSort" in given:
            found.sort(key=lambda e: e["cert"]["not_after"] if e["cert"] else 0,
                       reverse=given["ExpirationSort"] == "DESC")
        else:
            found.sort(key=lambda e: e["insert_time"], reverse=True)
        start, limit = given.get("Offset", 0), min(given.get("Limit", 10), 1000)
        return {"TotalCount": len(found), "Certificates": [renderer.in_list(e) for e in found[start:start + limit]]}

    @staticmethod
    def _wanted(e, renderer, given):
        shown = renderer.in_list(e)
        search = given.get("SearchKey", "").lower()
        tests = (
            not search or any(search in text.lower() for text in (e["id"], e["alias"], *e["names"])),
            given.get("CertificateType", "SVR") == "SVR", given.get("ProjectId", 0) == 0,
            not given.get("CertificateStatus") or shown["Status"] in given["CertificateStatus"],
            "Deployable" not in given or shown["Deployable"] == bool(given["Deployable"]),
            "Upload" not in given or (e["from"] == "upload") == bool(given["Upload"]),
            "Renew" not in given or shown["RenewAble"] == bool(given["Renew"]),
            "FilterSource" not in given or (e["from"] == "upload") == (given["FilterSource"] == "upload"),
            "IsSM" not in given or shown["IsSM"] == bool(given["IsSM"]),
            not given.get("FilterExpiring") or shown["IsExpiring"],
            not given.get("IsPendingIssue") or e["phase"] in PENDING,
            not given.get("Tags"), "CertIds" not in given or e["id"] in given["CertIds"])
        return all(tests)

    def _DescribeCertificateOperateLogs(self, given):
        now = self.state.now()
        try:
            start = from_gmt8(given["StartTime"]) if "StartTime" in given else now - 15 * DAY
            end = from_gmt8(given["EndTime"]) if "EndTime" in given else now
        except ValueError:
            raise ApiError("InvalidParameterValue", "a time is not YYYY-MM-DD HH:MM:SS") from None
        with self.state.lock:
            lines = [line for line in reversed(self.state.log) if start <= line["CreatedOn"] <= end]
            total = len(self.state.log)
        at, limit = given.get("Offset", 0), given.get("Limit", 20)
        return {"AllTotal": total, "TotalCount": len(lines),
                "OperateLogs": [log_line(line, self.uin) for line in lines[at:at + limit]]}

    def _DownloadCertificate(self, given):
        with self.state.lock:
            entry = self._entry(given)
            if self._status(entry) not in (1, 11) or not entry["cert"]:
                raise failed("InvalidCertificateStatusCode", "the certificate is not issued")
            out, folder = io.BytesIO(), entry["domain"].replace("*", "_") + "_nginx/"
            with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(folder + entry["domain"] + "_bundle.crt", entry["cert"]["public"])
                archive.writestr(folder + entry["domain"] + "_bundle.pem", entry["cert"]["public"])
                archive.writestr(folder + entry["domain"] + ".csr", entry["csr"])
                if entry["private_key"]:
                    archive.writestr(folder + entry["domain"] + ".key", entry["private_key"])
        return {"Content": base64.b64encode(out.getvalue()).decode(), "ContentType": "application/zip"}

    # -- reissue

    def _ReplaceCertificate(self, given):
        with self.state.lock:
            original = self._entry(given)
            plan = self.judge.replace(original, given)
            self._make_online_key(original, plan)
            same = self.state.variants["replace_id"] == "same"
            entry = self._new_order(original, plan, given, same)
            self.state.entries[entry["key"]] = entry
            if same:
                original["hidden"] = True
            else:
                original["replaced_for"] = entry["id"]
            self.state.note(original, "replace")
            self.state.commit()
        self.worker.kick()
        return {"CertificateId": entry["id"]}

    def _new_order(self, original, plan, given, same):
        state, now = self.state, self.state.now()
        entry = state.blank(original["id"] if same else new_id(), list(original["names"]), original["package_type"])
        entry.update({name: original[name] for name in (
            "domain", "alias", "from", "first_method", "dnspod", "approved_before", "organization", "dcv_waived")})
        entry.update(method=plan.method, csr=plan.csr_pem, csr_type="online" if plan.csr_type == "online" else "parse",
                     key_type=plan.key_type, private_key=getattr(plan, "private_key", None),
                     reason=given.get("Reason", ""),
                     key_password=given.get("CsrkeyPassword", ""), original=original["key"], review=plan.review,
                     replaced_by=None if same else original["id"], cert=original["cert"] if same else None,
                     waiver=plan.waiver)
        if plan.csr_type == "original":
            entry.update(csr_type=original["csr_type"], private_key=original["private_key"])
        if plan.validation:
            self._ask_for_validation(entry, now)
        else:
            validation.after_validation(entry, now, validated=False)
        return entry

    def _ask_for_validation(self, entry, now):
        state = self.state
        entry.update(phase="dcv", deadline=int(now) + DEADLINE_S)
        entry["dv_auths"] = state.next_auths.pop(0) if state.next_auths else auths.make(
            entry["names"], "FILE" if entry["method"] == "FILE" else "DNS", state.product(entry), now)
        entry["dv_visible_at"] = now + state.late_auths["seconds"]
        entry["dv_hidden_reads"] = state.late_auths["reads"]

    @staticmethod
    def _make_online_key(original, plan):
        if plan.csr_pem is not None:
            return
        with tempfile.TemporaryDirectory(prefix="double-key-") as folder:
            path = os.path.join(folder, "key")
            make_key(path, plan.key_type)
            plan.csr_pem = make_csr(path, plan.key_type, original["names"], original["domain"])
            with open(path, encoding="ascii") as f:
                plan.private_key = f.read()

    # -- validation

    def _CheckCertificateDomainVerification(self, given):
        spacing = self.state.scenario.get("check_spacing_s", 10)
        with self.state.lock:
            entry = self._entry(given)
            if entry["phase"] not in (*PENDING, "issued",
                                      "revoking") or (entry["phase"] == "issued" and not entry["dv_auths"]):
                raise failed("CertificateStatusNotAllowVerify", "nothing of this certificate is to be validated")
            asked = entry["revoke_auths"] if entry["phase"] == "revoking" else entry["dv_auths"]
            often = time.monotonic() - entry["last_check"] < spacing and entry["last_check"] > 0
            if not often:
                entry["last_check"] = time.monotonic()
            issued = entry["phase"] == "issued"
            done = entry["dv_validated"] or entry["phase"] in ("wait-issue", "review")
            auto = entry["method"] == "DNS_AUTO"
            seen = list(asked) if entry["phase"] == "revoking" or issued or dv_visible(entry, self.state.now()) else []
        results = [validation.blocked(auth) if often else self.worker.look(auth, auto) for auth in seen]
        return {"VerificationResults": [r.shown(done, issued) for r in results] or None}

    def _CompleteCertificate(self, given):
        with self.state.lock:
            entry = self._entry(given)
            if entry["phase"] not in PENDING:
                raise failed("CertificateNotFoundOrAudited", "the certificate is not under validation")
            if not self.state.product(entry).scans_on_command:
                raise failed("CertificateNotFoundOrAudited", "this brand validates by itself only")
        self.worker.kick()
        return {"CertificateId": entry["id"]}

    # -- ends

    def _cancel(self, entry):
        entry.update(phase="cancelling", cancel_at=self.state.now() + self.state.scenario.get("cancel_delay_s", 0))
        self.state.note(entry, "cancel")
        self.state.commit()
        self.worker.kick()

    def _CancelCertificateOrder(self, given):
        with self.state.lock:
            entry = self._entry(given)
            if entry["phase"] not in (*PENDING, "failed"):
                raise failed("InvalidCertificateStatusCode", "this order cannot be cancelled")
            self._cancel(entry)
            return {"CertificateId": entry["id"]}

    def _CancelAuditCertificate(self, given):
        with self.state.lock:
            entry = self._entry(given)
            if entry["phase"] not in PENDING:
                raise failed("CertificateNotFoundOrCantCancel", "the certificate is not under review")
            if self.state.scenario.get("cancel_audit_result") is False:
                return {"Result": False}
            self._cancel(entry)
            return {"Result": True}

    def _ModifyCertificateResubmit(self, given):
        with self.state.lock:
            entry = self._entry(given)
            if self.state.product(entry).free or entry["phase"] not in ("failed", "cancelled") or entry["cert"]:
                raise failed("CertificateStatusNotAllowResubmit", "this certificate cannot be submitted again")
            now = self.state.now()
            entry.update(submitted=now, message=None, dv_validated=False, passed_at=None)
            self._ask_for_validation(entry, now)
            self.state.note(entry, "resubmit")
            self.state.commit()
        self.worker.kick()
        return {"CertificateId": entry["id"]}

    # -- revocation

    def _RevokeCertificate(self, given):
        with self.state.lock:
            entry = self._entry(given)
            product = self._may_be_revoked(entry, given)
            entry["held"], now = None, self.state.now()
            by_people = product.brand == "Wotrus" or (product.brand == "DNSPod" and product.sm2
                                                      and product.kind == "DV")
            if by_people:
                entry.update(phase="revoking", wotrus_review=True)
            elif product.kind in ("OV", "EV"):
                entry["phase"] = "letter"
            else:
                entry.update(phase="revoking", revoke_deadline=now + DEADLINE_S, wotrus_review=False,
                             revoke_auths=auths.make(entry["names"], "FILE" if entry["method"] == "FILE" else "DNS",
                                                     product, now))
            entry["reason"] = given.get("Reason", "")
            self.state.note(entry, "revoke")
            self.state.commit()
            shown = [{"DomainValidateAuthPath": a["DvAuthPath"], "DomainValidateAuthKey": a["DvAuthKey"],
                      "DomainValidateAuthValue": a["DvAuthValue"], "DomainValidateAuthDomain": a["DvAuthDomain"]}
                     for a in entry["revoke_auths"]]
        self.worker.kick()
        return {"RevokeDomainValidateAuths": shown or None}

    def _may_be_revoked(self, entry, given):
        if entry["from"] == "upload":
            raise failed("InvalidCertificateSource", "an uploaded certificate cannot be revoked")
        if self._status(entry) != 1:
            raise failed("InvalidCertificateStatusCode", "the certificate is not issued")
        if entry["original"] or entry["replaced_by"]:
            raise failed("RevokeFailed", "a reissued certificate is revoked through its original")
        product = self.state.product(entry)
        near_end = entry["cert"]["not_after"] - self.state.now() <= 30 * DAY
        if near_end and product.brand != "Wotrus" and not product.sm2:
            raise failed("RevokeFailed", "the certificate is in its renewal period")
        if product.brand == "Wotrus" and not given.get("Reason"):
            raise failed("RevokeFailed", "this brand wants a reason")
        return product
