#!/usr/bin/env python3
"""cases.py SOURCE: every id of the catalogue has a case that makes it fire, in a test that names it with its severity or in
a table of units, or a reason why there is none. Prints the matrix."""

import os
import re
import sys
import unittest

SOURCE = sys.argv[1]
# What no test can make happen, and why.
REASONS = {
    "N06": "which methods a CA offers is only known once an order is open: always in doubt, the judgement has units",
}
PEER = [r'\("{id}", "{severity}"',  # (id, severity, ...) of the zoo
        r'\("{id}", "[^"]+", "[^"]+"\)',  # (id, name, word)
        r'\("{severity}", \["{id}"\]', r'\(\["{id}"\], "', r'\["{id}"\]\)  #',  # what a name must show
        r'expect\(\w+, "{id}", "{severity}"', r'found\(many, "{id}"\)',
        r'\["id"\] == "{id}"', r'\("{id}", (?:soon|name)\)', r'\{{"{id}"\}}', r'\["{id}"\]\}}\)']
UNIT = [r'\{{ [^\n]*"{id}"', r'NULL, "{id}",', r'find\(&j, "{id}"\)', r'"{id}( ~|")']


def read(*path):
    with open(os.path.join(SOURCE, *path), encoding="utf-8") as f:
        return f.read()


def texts(folder, pattern):
    return {name: read(folder, name) for name in sorted(os.listdir(os.path.join(SOURCE, folder))) if re.fullmatch(pattern, name)}


class Cases(unittest.TestCase):
    def test_every_id_has_one_or_a_reason(self):
        catalogue = re.findall(r"(?m)^\| ([A-Z]\d\d) \| (\w+) \| .* \| (.*) \|$", read("docs", "checks.md"))
        self.assertGreater(len(catalogue), 130)
        peers = texts("tests/peer", r"test_check_\w+\.py")
        units = {**texts("tests/unit/validators", r"test_\w+\.c"), **texts("tests/unit/job", r"test_check\w*\.c")}
        bare, idle = [], []
        for ident, severity, fix in catalogue:
            where = [n for n, text in peers.items() if any(re.search(p.format(id=ident, severity=severity), text) for p in PEER)]
            where += [n for n, text in units.items() if any(re.search(p.format(id=ident), text) for p in UNIT)]
            reason = REASONS.get(ident) or (fix.partition("Never judged: ")[2])
            print(f"{ident}  {severity:8} {' '.join(where) or reason or 'NOTHING'}")
            if not where and not reason:
                bare.append(ident)
            if ident in REASONS and any(n.startswith("test_check_") and n.endswith(".py") for n in where):
                idle.append(ident)
        self.assertEqual((bare, idle), ([], []))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
