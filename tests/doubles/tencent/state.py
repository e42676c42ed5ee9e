"""All that the double remembers: certificates, the operation log, variants, the clock; kept in one file, with older
snapshots for lag."""

import json
import os
import secrets
import string
import threading
import time

import auths
from hierarchy import Hierarchy, fingerprint, make_csr, make_key
from products import Product
from when import instant

PENDING = ("dcv", "review", "wait-issue")
VARIANTS = {
    "replace_id": "new",            # new | same: what ReplaceCertificate returns
    "status_11": "original",        # original | new | both | neither
    "links": "both",                # both | new | original | neither: where ReplacedBy / ReplacedFor are shown
    "pending_status": 0,            # of a new order that waits
    "status_msg": "fresh",          # fresh | null | stale
    "mask_domain": True,            # of the top-level DvAuthDomain
    "cancel_frees_r3": True,        # a cancelled or failed reissue does not count
    "reissue_of_replaced": False,   # a paid certificate may be reissued again by its old id
    "file_companions": True,
    "csr_type_case": "any",         # any | lower: is "Upload" taken too
    "dv_auths": "array",            # array | top-level: only the single fields are filled
}
SNAPSHOTS, SNAPSHOT_BYTES = 500, 64 * 1024 * 1024  # what lagging reads may be shown


def new_id():
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(8))


class State:
    """Guarded by .lock; every change ends in commit()."""

    def __init__(self, directory, scenario):
        self.directory, self.scenario = directory, scenario
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.skew_s = 0.0
        self.lag_s, self.lag_calls, self.reads_since_change = 0.0, 0, 0
        self.variants = {**VARIANTS, **scenario.get("variants", {})}
        self.entries, self.log, self.snapshots, self.next_issue, self.next_auths = {}, [], [], [], []
        self.late_auths = {"seconds": 0.0, "reads": 0}
        unknown = set(self.variants) - set(VARIANTS)
        if unknown:
            raise ValueError(f"unknown variants: {sorted(unknown)}")
        validity = scenario.get("hierarchy", {})
        now = time.time()
        self.hierarchy = Hierarchy(os.path.join(directory, "ca"), instant(validity.get("not_before", "-1825d"), now),
                                   instant(validity.get("not_after", "+3650d"), now))
        self._write("root.pem", self.hierarchy.root("rsa") + self.hierarchy.root("ec"))
        if not self._load():
            for description in scenario.get("certificates", []):
                self._add(description)
            self.commit()

    # -- time

    def now(self):
        return time.time() + self.skew_s

    # -- persistence

    def _write(self, name, text, mode=0o644):
        path = os.path.join(self.directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path + ".new", mode)
        os.rename(path + ".new", path)

    def _load(self):
        try:
            with open(os.path.join(self.directory, "state.json"), encoding="utf-8") as f:
                saved = json.load(f)
        except FileNotFoundError:
            return False
        self.entries, self.log = saved["entries"], saved["log"]
        self._snapshot()
        return True

    def _snapshot(self):
        text = json.dumps(self.entries)
        keep = max(1, min(SNAPSHOTS, SNAPSHOT_BYTES // len(text)))
        self.snapshots = [*self.snapshots[-keep:], (time.monotonic(), text)]
        return text

    def commit(self):
        """Saves, keeps a snapshot for lagging reads, wakes those who wait."""
        with self.lock:
            entries = self._snapshot()
            self.reads_since_change = 0
            self._write("state.json", f'{{"entries": {entries}, "log": {json.dumps(self.log)}}}', 0o600)
            self.changed.notify_all()

    def shown(self, counted=True):
        """The entries as a reader sees them now: older ones while a lag is set."""
        with self.lock:
            chosen = len(self.snapshots) - 1
            if self.lag_calls and self.reads_since_change < self.lag_calls:
                chosen = max(0, chosen - 1)
            if self.lag_s:
                limit = time.monotonic() - self.lag_s
                while chosen > 0 and self.snapshots[chosen][0] > limit:
                    chosen -= 1
            self.reads_since_change += counted
            return json.loads(self.snapshots[chosen][1])

    def forget(self):
        """The service loses everything it knew."""
        with self.lock:
            self.entries, self.log, self.snapshots = {}, [], []
            self.commit()

    # -- entries

    @staticmethod
    def by_id(entries, public_id):
        """The entry a public id means, or None."""
        return next((e for e in entries.values() if e["id"] == public_id and not e["hidden"]), None)

    def find(self, public_id):
        return self.by_id(self.entries, public_id)

    def note(self, entry, kind, action=""):
        self.log.append({"Action": action or kind, "CreatedOn": int(self.now()), "CertId": entry["id"], "Type": kind})

    def blank(self, public_id, names, package_type, **more):
        """A new entry with every field."""
        now = self.now()
        return {
            "key": secrets.token_hex(8), "id": public_id, "hidden": False, "names": names, "domain": names[0],
            "alias": "",
            "package_type": package_type, "from": "trustasia", "method": "DNS", "first_method": "DNS", "phase": "dcv",
            "message": None, "held": None, "insert_time": now, "submitted": now, "cert": None, "csr": None,
            "csr_type": "online",
            "private_key": None, "key_password": "", "key_type": "rsa-2048", "dv_auths": [], "dv_visible_at": 0.0,
            "dv_hidden_reads": 0,
            "dv_validated": False, "passed_at": None, "deadline": None, "review": False, "original": None,
            "replaced_by": None,
            "replaced_for": None, "revoke_auths": [], "revoke_deadline": None, "revoked_at": None, "cancel_at": None,
            "issue_at": None,
            "dnspod": False, "approved_before": False, "dcv_waived": False, "organization": {}, "reason": "",
            "checks": {},
            "last_check": 0.0, "wotrus_review": False, **more}

    def _add(self, d):
        """One certificate of the scenario: issued by the test CA with a key made here (or given)."""
        now = self.now()
        known = {"id", "names", "package_type", "key", "key_file", "csr_file", "csr_type", "not_before", "not_after",
                 "method",
                 "first_method", "issued_at", "insert_time", "alias", "from", "status", "dnspod", "approved_before",
                 "dcv_waived",
                 "organization", "replaced_by", "replaced_for"}
        if set(d) - known:
            raise ValueError(f"unknown keys in a certificate of the scenario: {sorted(set(d) - known)}")
        begin, end = instant(d.get("not_before", "-60d"), now), instant(d.get("not_after", "+300d"), now)
        entry = self.blank(d.get("id") or new_id(), d["names"], d.get("package_type", "83"), alias=d.get("alias", ""),
                           method=d.get("method", "DNS"), first_method=d.get("first_method", d.get("method", "DNS")))
        entry.update({name: d[name]
                      for name in ("from", "dnspod", "approved_before", "dcv_waived", "organization", "replaced_by",
                                                 "replaced_for") if name in d})
        entry["key_type"], entry["csr_type"] = d.get("key", "rsa-2048"), d.get("csr_type", "online")
        entry["insert_time"] = instant(d["insert_time"], now) if "insert_time" in d else begin - 3600
        issued = instant(d["issued_at"], now) if "issued_at" in d else begin
        self._originate(entry, d, begin, end, issued)
        if entry["from"] == "upload":
            entry["package_type"] = None
        if "status" in d and d["status"] != 1:
            entry["held"] = {"status": d["status"], "message": None}
        self.entries[entry["key"]] = entry

    def _originate(self, entry, d, begin, end, issued):
        folder = os.path.join("certs", entry["id"])
        os.makedirs(os.path.join(self.directory, folder), exist_ok=True)
        key_path = os.path.join(self.directory, folder, "privkey.pem")
        if "key_file" in d:
            with open(d["key_file"], encoding="ascii") as f:
                self._write(os.path.join(folder, "privkey.pem"), f.read(), 0o600)
        else:
            make_key(key_path, entry["key_type"])
        if "csr_file" in d:
            with open(d["csr_file"], encoding="ascii") as f:
                entry["csr"] = f.read()
        else:
            entry["csr"] = make_csr(key_path, entry["key_type"], entry["names"], entry["domain"])
        if entry["csr_type"] == "online":
            with open(key_path, encoding="ascii") as f:
                entry["private_key"] = f.read()
        self.issue(entry, begin, end, issued)

    def issue(self, entry, begin, end, issued, wrong=None, chain="normal"):
        """Signs the entry's CSR and stores the certificate; wrong and chain are faults asked for by control."""
        kind = "rsa" if entry["key_type"].startswith("rsa") else "ec"
        names, csr, domain = list(entry["names"]), entry["csr"], entry["domain"]
        shown_end = end
        folder = os.path.join(self.directory, "certs", entry["id"] + ("-" + entry["key"] if entry["hidden"] else ""))
        os.makedirs(folder, exist_ok=True)
        if wrong == "key":
            path = os.path.join(folder, "wrong.key")
            make_key(path, entry["key_type"])
            csr = make_csr(path, entry["key_type"], names, domain)
        elif wrong == "name":
            names = domain, = ["wrong." + domain.removeprefix("*.")]
        elif wrong == "missing-name":
            names = names[:-1] or ["wrong." + domain.removeprefix("*.")]
        elif wrong == "extra-name":
            names.append("extra." + domain.removeprefix("*."))
        elif wrong == "expired":
            begin, end = begin - 800 * 86400, int(self.now()) - 86400
        elif wrong == "not-yet-valid":
            begin = int(self.now()) + 86400
        elif wrong == "end-date":
            end -= 30 * 86400
        issuer = "rogue-" + kind if wrong == "issuer" else kind
        leaf = self.hierarchy.issue(issuer, csr, names, (begin, end), entry["key_type"],
                                    domain if len(domain) <= 64 else None)
        entry["cert"] = {"leaf": leaf,
                         "public": arrange([leaf, *self.hierarchy.chain(issuer)], self.hierarchy.root(issuer), chain),
                         "root": self.hierarchy.root(issuer), "not_before": begin,
                         "not_after": shown_end if wrong == "expired" else end, "issued_at": issued,
                         "sha1": fingerprint(leaf), "issuer": issuer}
        entry.update(phase="issued", message=None)
        self.note(entry, "issued")
        for name, text in (("cert.pem", leaf), ("chain.pem", "".join(self.hierarchy.chain(issuer))),
                           ("fullchain.pem", entry["cert"]["public"]), ("csr.pem", entry["csr"])):
            self._write(os.path.join(folder, name), text)

    # -- what is running

    def product(self, entry):
        return Product(entry["package_type"])

    def running_reissue(self, entry):
        """The pending entry that reissues this one, or None."""
        return next((e for e in self.entries.values() if e["original"] == entry["key"]
                     and e["phase"] in (*PENDING, "cancelling")), None)


def arrange(chain, root, how):
    """The PEM text of a chain, normal or broken as asked."""
    if how == "reversed":
        chain = chain[::-1]
    elif how == "short":
        chain = chain[:1]
    elif how == "root":
        chain = [*chain, root]
    elif how == "duplicate":
        chain = [pem for pem in chain for _ in range(2)]
    elif how == "shuffled":
        chain = [chain[-1], root, *chain[:-1]]
    text = "".join(chain)
    if how == "junk":
        text = "Bag Attributes: <none>\nsubject=/CN=junk\n" + "\n# more junk\n\n".join(chain) + "trailing junk\n"
    elif how == "crlf":
        text = text.replace("\n", "\r\n")
    elif how == "cut":
        text = text[:len(text) // 2]
    elif how == "empty":
        text = ""
    elif how not in ("normal", "reversed", "short", "root", "duplicate", "shuffled"):
        raise ValueError(f"unknown chain arrangement {how}")
    return text


def dv_visible(entry, now):
    """Are the DvAuths of this entry already shown?"""
    return bool(entry["dv_auths"]) and now >= entry["dv_visible_at"] and entry["dv_hidden_reads"] <= 0


def detail_of(entry, variants, now):
    shown = entry["dv_auths"] if dv_visible(entry, now) and entry["phase"] in PENDING else []
    found = auths.detail(shown, variants["mask_domain"])
    if variants["dv_auths"] == "top-level":
        found["DvAuths"] = []
    return found
