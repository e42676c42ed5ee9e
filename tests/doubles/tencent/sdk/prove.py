#!/usr/bin/env python3
"""Proves the double by the vendor's official SDK: installs it (npm ci) into the folder given, starts the double, runs
prove.js.

    prove.py FOLDER

What npm cannot fetch fails the test, with npm's own words."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import parameters  # noqa: E402
from double import Double  # noqa: E402
from testing import CREDENTIAL, ScriptedDns, certificate, csr  # noqa: E402

NAMES = ["www.example.test", "example.test"]


def install(folder):
    """node_modules in folder, made anew when the lock file changed."""
    with open(os.path.join(HERE, "package-lock.json"), "rb") as f:
        want = hashlib.sha256(f.read()).hexdigest()
    stamp = os.path.join(folder, "installed")
    if os.path.exists(stamp):
        with open(stamp, encoding="ascii") as f:
            if f.read() == want:
                return
    os.makedirs(folder, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(HERE, name), folder)
    for program in ("node", "npm"):
        if not shutil.which(program):
            sys.exit(f"{program} is not installed (tests/packages.sh installs it)")
    done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, timeout=240,
                          check=False)
    if done.returncode != 0:
        sys.exit("npm could not install the vendor's SDK: is the package registry reachable from here?")
    with open(stamp, "w", encoding="ascii") as f:
        f.write(want)


def scenario(dns):
    return {"credentials": [CREDENTIAL], "signed_host": "without-port", "check_spacing_s": 0, "rate_limit": 0,
            "certificates": [certificate("free0001", NAMES),
                             certificate("paid_ov1", ["ov.test"], "9", organization={"OrganizationName": "Test"}),
                             certificate("paid_dv1", ["dv.test"], "11", "ec-p256")],
            "validation": {"resolver": dns.address, "interval_s": 0.1}}


def table():
    return {action: {name: {"kind": field.kind, "required": field.required} for name, field in fields.items()}
            for action, fields in parameters.ACTIONS.items()}


def drive(double, dns, folder):
    """Runs prove.js; its "publish NAME VALUE" lines become TXT records."""
    given = {"install": folder, "port": double.server.server_address[1], "secretId": CREDENTIAL["secret_id"],
             "secretKey": CREDENTIAL["secret_key"],
             "csr": csr(NAMES), "control": double.control_address, "parameters": table()}
    node = subprocess.Popen(["node", os.path.join(HERE, "prove.js"), json.dumps(given)], stdout=subprocess.PIPE,
                            text=True)
    limit = threading.Timer(120, node.kill)
    limit.start()
    try:
        for line in node.stdout:
            words = line.split()
            if words[:1] == ["publish"]:
                dns.txt(words[1], words[2])
            else:
                print(line, end="")
        return node.wait()
    finally:
        limit.cancel()
        node.kill()
        node.wait()


def main():
    folder = os.path.abspath(sys.argv[1])
    install(folder)
    dns = ScriptedDns()
    with tempfile.TemporaryDirectory(prefix="double-sdk-") as state:
        double = Double("127.0.0.1:0", state, scenario(dns))
        double.start()
        try:
            return drive(double, dns, folder)
        finally:
            double.stop()
            dns.close()


if __name__ == "__main__":
    sys.exit(main())
