"""The separate checker: judges the invariants of the design by the state directory, the deployed files, the zones and
the double's ledger, never by what dcvd says of itself. Each function returns lines of what is broken; an empty list is
a pass."""

import os
import stat

import probe
from servers import PRIMARY

STATE = "/var/lib/dcvd"
SET_FILES = ("cert.pem", "chain.pem", "fullchain.pem", "privkey.pem")


def violations(world, replaces=1, tokens_gone=True, secrets=True):
    """replaces: how many accepted ReplaceCertificate each original may have had."""
    found = keys(STATE) + live_sets(STATE) + csr_keys(world, STATE) + spent_once(world,
                                                                                 replaces) + compromised(world, STATE)
    if tokens_gone:
        found += tokens(world)
    if secrets:
        found += canaries(world, STATE)
    return found


def keys(state):
    """I1, I8: private keys are 0600 and named by their SPKI hash."""
    found, folder = [], os.path.join(state, "keys")
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        path = os.path.join(folder, name)
        try:
            mode, text = stat.S_IMODE(os.stat(path).st_mode), probe.read_text(path)
        except FileNotFoundError:  # the daemon removes what nothing needs any more
            continue
        if mode != 0o600:
            found.append(f"I8: {path} has mode {mode:o}")
        if name.endswith(".pem") and "ENCRYPTED" not in text and probe.spki_of_key(text) + ".pem" != name:
            found.append(f"I1: {path} holds another key than its name says")
    return found


def whole_set(folder, names=SET_FILES):
    """Lines about what is wrong with one set of cert, chain, fullchain, privkey."""
    missing = [name for name in names if not os.path.isfile(os.path.join(folder, name))]
    if missing:
        return [f"I3: {folder} lacks {', '.join(missing)}"]
    texts = {name: probe.read_text(os.path.join(folder, name)) for name in names}
    full = texts.get("fullchain.pem") or texts["cert.pem"]
    found = []
    if probe.spki_of_certificate(full) != probe.spki_of_key(texts["privkey.pem"]):
        found.append(f"I3: {folder}: key and certificate do not match")
    if "cert.pem" in texts and "chain.pem" in texts and "".join(texts["fullchain.pem"].split()) != "".join(
            (texts["cert.pem"] + texts["chain.pem"]).split()):
        found.append(f"I3: {folder}: fullchain is not cert and chain")
    return found


def live_sets(state):
    """I3: every live link leads to one whole, matching set below sets/."""
    found, folder = [], os.path.join(state, "live")
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        path = os.path.join(folder, name)
        target = os.path.realpath(path)
        if not os.path.islink(path):
            found.append(f"I3: {path} is no link")
        elif os.path.dirname(target) != os.path.realpath(os.path.join(state, "sets", name)):
            found.append(f"I3: {path} leads to {target}")
        else:
            found += whole_set(target)
    return found


def deployed(directory, names=("fullchain.pem", "privkey.pem")):
    """I3 for a deployed directory: as a reader that opens it once sees it."""
    live = os.path.join(directory, ".dcvd", "live")
    return whole_set(os.path.realpath(live) if os.path.lexists(live) else directory, names)


def _accepted(world):
    return [c for c in world.ledger("ReplaceCertificate") if c["outcome"] == "ok"]


def _sent_csrs(world):
    return [c for c in world.ledger("ReplaceCertificate") if isinstance(c["parameters"], dict)
            and c["parameters"].get("CsrContent")]


def csr_keys(world, state):
    """I1: the key of every CSR that left the process is on disk."""
    found = []
    for call in _sent_csrs(world):
        try:
            name = probe.spki_of_csr(call["parameters"]["CsrContent"])
        except AssertionError:
            found.append(f"I1: call {call['sequence']} carried something that is no CSR")
            continue
        if not os.path.isfile(os.path.join(state, "keys", name + ".pem")):
            found.append(f"I1: the key {name} of the CSR in call {call['sequence']} is not on disk")
    return found


def spent_once(world, replaces):
    """I2: no more accepted reissues than wanted, and after an answer that was lost no repeat before the CA was
    asked."""
    found, per_id = [], {}
    for call in _accepted(world):
        per_id.setdefault(call["parameters"]["CertificateId"], []).append(call["sequence"])
    found += [f"I2: {i} was reissued {len(at)} times, in calls {at}" for i, at in per_id.items() if len(at) > replaces]
    unknown = {}
    for call in world.ledger():
        target = (call["parameters"] or {}).get("CertificateId") if isinstance(call["parameters"], dict) else None
        if call["action"].startswith("Describe"):
            unknown.clear()
        elif call["action"] in ("ReplaceCertificate", "RevokeCertificate", "CancelCertificateOrder",
                                "CancelAuditCertificate"):
            if (call["action"], target) in unknown:
                found.append(f"I2: {call['action']} of {target} repeated in call {call['sequence']} without asking after "
                             f"call {unknown[(call['action'], target)]}")
            lost = {"lost-after", "lost-before", "cut-json", "internal-error-after", "http-status-after",
                    "http-status-before", "empty",
                    "not-json", "no-response", "endless", "huge"} & set(call["faults"])
            if lost or call["outcome"].startswith("InternalError"):
                unknown[(call["action"], target)] = call["sequence"]
    return found


def compromised(world, state):
    """I6: no CSR is sent for a key that was listed as compromised. Judged only for calls after the list's last change:
    what was listed when is not known of earlier ones."""
    path = os.path.join(state, "compromised")
    if not os.path.exists(path):
        return []
    listed = {word for line in probe.read_text(path).splitlines() for word in line.split()}
    late = [c for c in _sent_csrs(world) if c["time"] > os.stat(path).st_mtime]
    return [f"I6: a compromised key was sent in call {c['sequence']}" for c in late
            if probe.spki_of_csr(c["parameters"]["CsrContent"]) in listed]


def asked_for(world):
    """Every DvAuth the double ever asked for."""
    entries = world.control("state")["entries"]
    auths = [a for e in entries for a in e["dv_auths"] + e["revoke_auths"]] + [e["auth"] for e in world.events("look")]
    return [a for a in auths if a.get("DvAuthKey")]


def tokens(world):
    """I5: nothing that was asked for is still published."""
    found = set()
    for auth in asked_for(world):
        kind = auth["DvAuthVerifyType"]
        if kind == "FILE":
            path = world.webroot + auth["DvAuthPath"] + auth["DvAuthKey"]
            if os.path.exists(path):
                found.add(f"I5: the file {path} is still there")
        else:
            try:
                values = probe.dns_values(PRIMARY, auth["DvAuthKey"], kind)
            except (OSError, UnicodeError, probe.dns_client.DnsError):
                continue
            if auth["DvAuthValue"].lower() in [v.lower().rstrip(".") for v in values]:
                found.add(f"I5: {kind} {auth['DvAuthKey']} is still published")
    return sorted(found)


def canaries(world, state):
    """I8: no secret in the logs, the ledgers, the journal, anybody's argv or environment (credential files
    excepted)."""
    needles = {value.encode(): what for value, what in world.canaries.items() if value}
    found = set()
    places = [state, "/run/dcvd", "/var/lib/world/log", "/var/lib/world/double/ledger.jsonl", "/etc/dcvd"]
    files = [os.path.join(folder, name) for place in places for folder, _, names in os.walk(place) for name in names]
    files += [place for place in places if os.path.isfile(place)]
    files += [f"/proc/{pid}/{what}" for pid in os.listdir("/proc") if pid.isdigit() for what in ("cmdline", "environ")]
    for path in files:
        if path in world.secret_files:
            continue
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):
                continue
            with open(path, "rb") as f:
                data = f.read(64 * 1024 * 1024)
        except OSError:
            continue
        found |= {f"I8: {what} stands in {path}" for needle, what in needles.items() if needle in data}
    return sorted(found)
