#!/usr/bin/env python3
"""A double of the Tencent Cloud SSL service, as strict as the real one. See README.md beside it.

    double.py --listen 127.0.0.1:PORT --state DIR --scenario FILE.json [--control PATH|ADDRESS] [--tls CERT KEY]

In DIR: root.pem (what to trust), certs/ID/ (key, CSR and chain of each certificate), ledger.jsonl (every call),
events.jsonl (looks, validations, issues), state.json (survives a restart), control.sock. One line "ready ADDRESS" on
stdout."""

import argparse
import json
import os
import signal
import sys
import threading

from control import Controls, make_server
from faults import Faults
from front import Front, Server
from ledger import Ledger
from service import Service
from state import State
from tc3 import Verifier
from validation import Worker

SCENARIO_KEYS = {"credentials", "certificates", "hierarchy", "validation", "variants", "codes", "rate_limit",
                 "check_spacing_s",
                 "cancel_delay_s", "cancel_audit_result", "signed_host", "hosts", "uin"}


class Double:
    """Everything together; also used in-process by the unit tests."""

    def __init__(self, listen, directory, scenario, control=None, tls=None):
        unknown = set(scenario) - SCENARIO_KEYS
        if unknown:
            raise ValueError(f"unknown keys in the scenario: {sorted(unknown)}")
        os.makedirs(directory, exist_ok=True)
        self.directory = directory
        self.ledger = Ledger(os.path.join(directory, "ledger.jsonl"))
        self.events = Ledger(os.path.join(directory, "events.jsonl"))
        self.state = State(directory, scenario)
        self.worker = Worker(self.state, self.events)
        self.faults = Faults()
        service = Service(self.state, self.worker, scenario.get("uin", "100000000001"))
        verifier = Verifier(scenario["credentials"], "ssl", scenario.get("signed_host", "as-sent"))
        front = Front(service, verifier, self.faults, self.ledger, scenario.get("rate_limit", 10),
                      scenario.get("hosts"))
        host, _, port = listen.rpartition(":")
        self.server = Server((host.strip("[]"), int(port)), front, tls)
        self.controls = Controls(self.state, self.worker, self.faults)
        self.control_address = control or os.path.join(os.path.abspath(directory), "control.sock")
        self.control = make_server(self.control_address, self.controls)
        self.address = "%s:%d" % self.server.server_address[:2]

    def start(self):
        self.worker.start()
        for server in (self.server, self.control):
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        for server in (self.server, self.control):
            server.shutdown()
            server.server_close()
        self.worker.stop()
        self.ledger.close()
        self.events.close()


def main():
    parser = argparse.ArgumentParser(description="A double of the Tencent Cloud SSL service.")
    parser.add_argument("--listen", required=True, metavar="ADDRESS:PORT")
    parser.add_argument("--state", required=True, metavar="DIR")
    parser.add_argument("--scenario", required=True, metavar="FILE.json")
    parser.add_argument("--control", metavar="PATH|ADDRESS:PORT", help="default: DIR/control.sock")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    options = parser.parse_args()
    with open(options.scenario, encoding="utf-8") as f:
        scenario = json.load(f)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    double = Double(options.listen, options.state, scenario, options.control, options.tls)
    double.start()
    print("ready", double.address, flush=True)
    stop.wait()
    double.stop()


if __name__ == "__main__":
    sys.exit(main())
