"""Faults on command: which calls they strike, how often, and what they do to the answer.

kinds before the call is processed: lost-before, error (code, message), http-status-before (status, body)
kinds after it was processed:       lost-after, internal-error-after (code), http-status-after, cut-json (at),
not-json, empty,
                                    no-response, legacy, huge (bytes), endless, edit (set, delete), no-request-id
kinds on the side:                  slow (ms), slow-after (ms), skew (seconds): this answer's clock only"""

import threading

BEFORE = ("lost-before", "error", "http-status-before")
AFTER = ("lost-after", "internal-error-after", "http-status-after", "cut-json", "not-json", "empty", "no-response",
         "legacy", "huge",
         "endless", "edit", "no-request-id")
SIDE = ("slow", "slow-after", "skew")


class Faults:
    def __init__(self):
        self.lock = threading.Lock()
        self.rules, self.next_number = [], 1

    def add(self, rule):
        """rule: kind, action ("*" for any), count (-1 for ever), skip, and the kind's own fields. Returns its
        number."""
        if rule.get("kind") not in BEFORE + AFTER + SIDE:
            raise ValueError(f"unknown fault {rule.get('kind')!r}; known: {', '.join(BEFORE + AFTER + SIDE)}")
        with self.lock:
            number, self.next_number = self.next_number, self.next_number + 1
            self.rules.append({"action": "*", "count": 1, "skip": 0, "struck": 0, **rule, "number": number})
            return number

    def clear(self, number=None):
        with self.lock:
            self.rules = [] if number is None else [r for r in self.rules if r["number"] != number]

    def list(self):
        with self.lock:
            return [dict(r) for r in self.rules]

    def strike(self, action, certificate_id=None):
        """The faults for this call, each counted down once."""
        chosen = []
        with self.lock:
            for rule in self.rules:
                meant = rule["action"] in ("*", action) and rule.get("id") in (None, certificate_id)
                if not meant or rule["count"] == 0:
                    continue
                if rule["skip"] > 0:
                    rule["skip"] -= 1
                    continue
                if rule["count"] > 0:
                    rule["count"] -= 1
                rule["struck"] += 1
                chosen.append(dict(rule))
        return chosen


def pick(chosen, *kinds):
    return next((f for f in chosen if f["kind"] in kinds), None)


def _step(value, part):
    return value[int(part)] if isinstance(value, list) else value[part]


def edit(response, rule):
    """Sets and deletes members named by dotted paths, e.g. "DvAuthDetail.DvAuths.0.DvAuthKey"."""
    for path, value in rule.get("set", {}).items():
        *way, last = path.split(".")
        target = response
        try:
            for part in way:
                target = _step(target, part)
            target[int(last) if isinstance(target, list) else last] = value
        except (KeyError, IndexError, TypeError, ValueError):
            continue
    for path in rule.get("delete", []):
        *way, last = path.split(".")
        target = response
        try:
            for part in way:
                target = _step(target, part)
            del target[int(last) if isinstance(target, list) else last]
        except (KeyError, IndexError, TypeError, ValueError):
            continue
