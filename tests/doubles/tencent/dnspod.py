#!/usr/bin/env python3
"""DNSPod's calls that dcvd makes, as strict as the other double: CreateTXTRecord, CreateRecord, DeleteRecord,
DescribeRecordList. What it holds is written into a real zone by knsupdate.

    dnspod.py SETTINGS.json   {listen, state, credential, domains, records: [[domain, sub, type, value]], faults: [...],
                               server, key: what knsupdate takes}"""

import json
import os
import subprocess
import sys
import threading
import time

import parameters
from errors import ApiError
from faults import Faults
from front import Front, Server
from ledger import Ledger
from parameters import TEXT, WHOLE, Field
from tc3 import Verifier

VERSION, DEFAULT_LINE = "2021-03-23", "\u9ed8\u8ba4"
COMMON = {"Domain": Field(TEXT, required=True), "DomainId": Field(WHOLE)}
NEW = {**COMMON, "SubDomain": Field(TEXT), "RecordLine": Field(TEXT, required=True), "RecordLineId": Field(TEXT),
       "Value": Field(TEXT, required=True), "TTL": Field(WHOLE, low=1, high=604800), "Status": Field(TEXT, values=("ENABLE", "DISABLE")),
       "Remark": Field(TEXT), "GroupId": Field(WHOLE)}
ACTIONS = {
    "CreateTXTRecord": NEW,
    "CreateRecord": {**NEW, "RecordType": Field(TEXT, required=True), "MX": Field(WHOLE), "Weight": Field(WHOLE)},
    "DeleteRecord": {**COMMON, "RecordId": Field(WHOLE, required=True)},
    "DescribeRecordList": {
        **COMMON, "Subdomain": Field(TEXT), "SubDomain": Field(TEXT), "RecordType": Field(TEXT), "RecordLine": Field(TEXT),
        "RecordLineId": Field(TEXT), "GroupId": Field(WHOLE), "Keyword": Field(TEXT), "SortField": Field(TEXT),
        "SortType": Field(TEXT), "Offset": Field(WHOLE, low=0), "Limit": Field(WHOLE, low=1, high=3000),
        "ErrorOnEmpty": Field(TEXT, values=("yes", "no"))}}


class Service:
    def __init__(self, domains, apply, minimum_ttl=600):
        self.domains, self.apply, self.minimum_ttl = domains, apply, minimum_ttl
        self.rows, self.next_id, self.lock, self.state = {}, 2 ** 33, threading.Lock(), self

    @staticmethod
    def now():
        return time.time()

    def add(self, domain, sub, kind, value):
        """A record of somebody else, or of ours after the checks."""
        with self.lock:
            self.next_id += 1
            self.rows[self.next_id] = {"domain": domain, "sub": sub, "type": kind, "value": value}
            number = self.next_id
        self.apply("add", self._owner(domain, sub), kind, value)
        return number

    @staticmethod
    def _owner(domain, sub):
        return f"{domain}." if sub == "@" else f"{sub}.{domain}."

    def call(self, action, version, given):
        if version != VERSION:
            raise ApiError("NoSuchVersion", f"the version {version} does not exist")
        parameters.check(action, given, ACTIONS)
        if given["Domain"] not in self.domains:
            raise ApiError("InvalidParameterValue.DomainNotExists", "the domain is not in this account")
        return getattr(self, "_" + action)(given)

    def _CreateTXTRecord(self, given):
        return self._CreateRecord({**given, "RecordType": "TXT"})

    def _CreateRecord(self, given):
        sub, kind, value = given.get("SubDomain", "@"), given["RecordType"], given["Value"]
        if given.get("RecordLineId", "0") != "0" and given["RecordLine"] != DEFAULT_LINE:
            raise ApiError("InvalidParameter.RecordLineInvalid", "no such line")
        if given.get("TTL", 600) < self.minimum_ttl:
            raise ApiError("LimitExceeded.RecordTtlLimit", f"the plan's TTL is at least {self.minimum_ttl}")
        rows = [r for r in self.rows.values() if (r["domain"], r["sub"]) == (given["Domain"], sub)]
        if any((r["type"], r["value"]) == (kind, value) for r in rows):
            raise ApiError("InvalidParameter.DomainRecordExist", "the record exists")
        if any("CNAME" in (r["type"], kind) for r in rows):
            raise ApiError("InvalidParameter.CustomMessage", "a CNAME stands beside nothing")
        return {"RecordId": self.add(given["Domain"], sub, kind, value)}

    def _DeleteRecord(self, given):
        with self.lock:
            row = self.rows.get(given["RecordId"])
            if not row or row["domain"] != given["Domain"]:
                raise ApiError("InvalidParameter.RecordIdInvalid", "no such record")
            del self.rows[given["RecordId"]]
        self.apply("del", self._owner(row["domain"], row["sub"]), row["type"], row["value"])
        return {}

    def _DescribeRecordList(self, given):
        sub = given.get("SubDomain", given.get("Subdomain"))
        found = [{"RecordId": number, "Value": r["value"] + ("." if r["type"] == "CNAME" else ""), "Status": "ENABLE",
                  "UpdatedOn": "2026-11-25 00:00:00", "Name": r["sub"], "Line": DEFAULT_LINE, "LineId": "0", "Type": r["type"],
                  "Weight": None, "MonitorStatus": "", "Remark": "", "TTL": 600, "MX": 0, "DefaultNS": False}
                 for number, r in self.rows.items() if r["domain"] == given["Domain"] and sub in (None, r["sub"])]
        if not found and given.get("ErrorOnEmpty", "yes") == "yes":
            raise ApiError("ResourceNotFound.NoDataOfRecord", "the list is empty")
        total = len(found)
        found = found[given.get("Offset", 0):][:given.get("Limit", 100)]
        return {"RecordCountInfo": {"SubdomainCount": total, "ListCount": len(found), "TotalCount": total}, "RecordList": found}


def writer(settings):
    def apply(action, owner, kind, value):
        data = f'"{value}"' if kind == "TXT" else value
        line = f"{action} {owner} {'60 ' if action == 'add' else ''}{kind} {data}"
        zone = next(d for d in settings["domains"] if owner.endswith(d + "."))
        subprocess.run(["knsupdate", "-t", "5", "-y", settings["key"]], check=True, timeout=20, text=True, capture_output=True,
                       input=f"server {settings['server']} 53\nzone {zone}.\n{line}\nsend\n")
    return apply


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        settings = json.load(f)
    os.makedirs(settings["state"], exist_ok=True)
    faults, service = Faults(), Service(settings["domains"], writer(settings))
    for row in settings["records"]:
        service.add(*row)
    for fault in settings["faults"]:
        faults.add(fault)
    ledger = Ledger(os.path.join(settings["state"], "ledger.jsonl"))
    host, _, port = settings["listen"].rpartition(":")
    server = Server((host, int(port)), Front(service, Verifier([settings["credential"]], "dnspod"), faults, ledger, 0))
    print("ready", flush=True)
    server.serve_forever(0.05)


if __name__ == "__main__":
    main()
